/* One call to a cloud: address, credentials, retries, and what its errors mean. */
#include "clouds/call.h"

#include <time.h>

#include "clouds/aws/credentials.h"
#include "clouds/aws/sts.h"

#define MAX_ATTEMPTS 5
#define BACKOFF_BASE_US (200 * VN_US_PER_MS)
#define BACKOFF_MAX_US (5 * VN_US_PER_S)
#define RETRY_AFTER_MAX_US (30 * VN_US_PER_S)
#define SKEW_US (4 * VN_US_PER_MIN) /* AWS refuses signatures older than five minutes */

bool vn_request_header(struct vn_cloud_request *request, struct vn_str name, struct vn_str value)
{
        if (request->header_count == VN_CLOUD_MAX_HEADERS)
                return false;
        request->headers[request->header_count++] = (struct vn_cloud_header){name, value};
        return true;
}

static struct vn_str host_of(struct vn_str url)
{
        if (vn_str_starts(url, VN_STR("https://")))
                url = vn_str_n(url.ptr + 8, url.len - 8);
        else if (vn_str_starts(url, VN_STR("http://")))
                url = vn_str_n(url.ptr + 7, url.len - 7);
        return vn_str_cut(&url, '/');
}

static bool is_loopback(struct vn_str host)
{
        struct vn_str name = vn_str_cut(&host, ':');

        return vn_str_eq(name, VN_STR("127.0.0.1")) || vn_str_eq(name, VN_STR("localhost"));
}

/* A stand-in endpoint takes every host of the cloud; a function's own host stays visible in Host. */
static enum vn_rc address(struct vn_cloud *cloud, const struct vn_call *call, struct vn_cloud_request *request,
                          struct vn_arena *scratch, struct vn_str *ret_host, struct vn_err *err)
{
        struct vn_str host = vn_str(call->host), at = cloud->config.endpoint;
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(64 << 10);

        if (call->function_host && cloud->config.functions_endpoint.len > 0)
                at = cloud->config.functions_endpoint;
        *ret_host = host;
        if (at.len == 0 || is_loopback(host)) {
                vn_buf_text(&url, call->plain ? "http://" : "https://");
                vn_buf_str(&url, host);
        } else {
                vn_buf_str(&url, at);
                if (call->function_host)
                        vn_request_header(request, VN_STR("Host"), host);
                else
                        *ret_host = host_of(at);
        }
        vn_buf_str(&url, call->path);
        if (call->query.len > 0) {
                vn_buf_char(&url, '?');
                vn_buf_str(&url, call->query);
        }
        VN_TRY(vn_buf_check(&url, err));
        request->url = vn_arena_strndup(scratch, url.ptr, url.len);
        return request->url ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a call");
}

/* What it fetches itself is not the operation's. */
static enum vn_rc authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch, struct vn_err *err)
{
        enum vn_call_class class = cloud->budget.class;
        enum vn_rc rc;

        cloud->budget.class = VN_CALLS_CREDENTIALS;
        rc = cloud->ops->authorize(cloud, call, host, request, scratch, err);
        cloud->budget.class = class;
        return rc;
}

static enum vn_rc send_once(struct vn_cloud *cloud, const struct vn_call *call, struct vn_cloud_response *ret,
                            bool *ret_sent, struct vn_err *err)
{
        VN_AUTO(vn_arena)
        scratch;
        struct vn_cloud_request request = {.method = call->method, .body = call->body, .once = call->once};
        struct vn_str host;

        vn_arena_init(&scratch, 1 << 20);
        request.timeout_us = call->timeout_us ? call->timeout_us : 30 * VN_US_PER_S;
        VN_TRY(address(cloud, call, &request, &scratch, &host, err));
        if (call->content_type)
                vn_request_header(&request, VN_STR("Content-Type"), vn_str(call->content_type));
        for (size_t i = 0; i < call->extra_count; i++)
                vn_request_header(&request, call->extra[i].name, call->extra[i].value);
        if (!call->anonymous)
                VN_TRY(authorize(cloud, call, host, &request, &scratch, err));
        VN_TRY(vn_budget_take(&cloud->budget, cloud->config.kind, vn_now_us(cloud->clock), err));
        cloud->calls++;
        *ret_sent = true;
        vn_cloud_response_done(ret);
        vn_cloud_response_init(ret);
        return cloud->transport->send(cloud->transport->state, &request, ret, err);
}

enum vn_rc vn_http_date_parse(struct vn_str text, int64_t *ret_us)
{
        char copy[40];
        struct tm tm = {0};
        const char *end;

        if (!vn_str_copy(copy, sizeof(copy), text))
                return VN_INVALID_ARGUMENT;
        end = strptime(copy, "%a, %d %b %Y %H:%M:%S GMT", &tm);
        if (!end || *end)
                return VN_INVALID_ARGUMENT;
        *ret_us = (int64_t)timegm(&tm) * VN_US_PER_S;
        return VN_OK;
}

/* Full jitter (Brooker, AWS Architecture Blog 2015), or what the service asks for. */
static int64_t pause_us(struct vn_cloud *cloud, const struct vn_cloud_response *response, int attempt)
{
        struct vn_str after = vn_cloud_response_header(response, "retry-after");
        int64_t span = BACKOFF_BASE_US << attempt, asked;
        uint64_t seconds;

        if (after.ptr && vn_str_to_u64(after, &seconds) == VN_OK && seconds < 3600)
                asked = (int64_t)seconds * VN_US_PER_S;
        else if (after.ptr && vn_http_date_parse(after, &asked) == VN_OK)
                asked -= vn_now_us(cloud->clock);
        else
                return (int64_t)vn_rng_below(&cloud->rng,
                                             (uint64_t)(span < BACKOFF_MAX_US ? span : BACKOFF_MAX_US) + 1);
        asked = asked < 0 ? 0 : asked;
        return asked < RETRY_AFTER_MAX_US ? asked : RETRY_AFTER_MAX_US;
}

static bool is_throttle_code(const char *code)
{
        return strstr(code, "Throttl") || strstr(code, "TooManyRequests") || !strcmp(code, "LimitExceededException");
}

static bool may_help(const struct vn_cloud_response *response)
{
        char code[64];

        if (response->status == 429 || response->status >= 500)
                return true;
        if (response->status != 400)
                return false;
        vn_call_error_code(response, code);
        return is_throttle_code(code);
}

/* A signature refused for its time: learn the service's clock. True if it is worth one more attempt. */
static bool learn_skew(struct vn_cloud *cloud, const struct vn_cloud_response *response)
{
        int64_t service_us, offset;
        struct vn_str date = vn_cloud_response_header(response, "date");

        if (cloud->config.kind != VN_CLOUD_AWS || response->status != 403 || !date.ptr ||
            vn_http_date_parse(date, &service_us) != VN_OK)
                return false;
        offset = service_us - vn_now_us(cloud->clock);
        if (offset - cloud->clock_offset_us < SKEW_US && cloud->clock_offset_us - offset < SKEW_US)
                return false;
        cloud->clock_offset_us = offset;
        return true;
}

/* AWS keys that end early were refused before the call did anything. True if there are others now. */
static bool keys_ended(struct vn_cloud *cloud, const struct vn_cloud_response *response)
{
        char code[64];

        if (cloud->config.kind != VN_CLOUD_AWS || (response->status != 400 && response->status != 403))
                return false;
        vn_call_error_code(response, code);
        return strstr(code, "ExpiredToken") && vn_aws_keys_expired(cloud);
}

enum vn_rc vn_cloud_send(struct vn_cloud *cloud, const struct vn_call *call, struct vn_cloud_response *ret,
                         struct vn_err *err)
{
        bool skew_learnt = false, token_renewed = false;

        for (int attempt = 0;; attempt++) {
                bool sent = false;
                enum vn_rc rc = send_once(cloud, call, ret, &sent, err);

                if (!sent) /* no credentials: whoever gives them has been asked often enough */
                        return rc;
                if (rc == VN_OK && !skew_learnt && learn_skew(cloud, ret)) {
                        skew_learnt = true;
                        continue;
                }
                /* A token can be revoked before its end; the refused call did nothing, so even a write may follow. */
                if (rc == VN_OK && ret->status == 401 && !token_renewed && !call->anonymous &&
                    cloud->config.kind != VN_CLOUD_AWS) {
                        token_renewed = true;
                        vn_token_drop(cloud, call->audience ? call->audience : "");
                        continue;
                }
                if (rc == VN_OK && !token_renewed && !call->anonymous && keys_ended(cloud, ret)) {
                        token_renewed = true;
                        continue;
                }
                if (rc == VN_OK && !may_help(ret))
                        return VN_OK;
                if (rc != VN_OK && rc != VN_UNAVAILABLE && rc != VN_DEADLINE_EXCEEDED)
                        return rc;
                if (call->once)
                        cloud->write_late = rc == VN_DEADLINE_EXCEEDED;
                if (call->once || attempt + 1 == MAX_ATTEMPTS)
                        return rc;
                cloud->transport->sleep_us(cloud->transport->state, pause_us(cloud, ret, attempt));
        }
}

/* --- errors --- */

static struct vn_str last_part(struct vn_str s, char separator)
{
        struct vn_str part = s;

        while (s.ptr)
                part = vn_str_cut(&s, separator);
        return part;
}

static struct vn_str first_of(json_t *root, const char *const *names, size_t count)
{
        for (size_t i = 0; i < count; i++) {
                struct vn_str s = vn_json_str(root, names[i]);
                if (s.len > 0)
                        return s;
        }
        return VN_STR("");
}

void vn_call_error_code(const struct vn_cloud_response *response, char ret[64])
{
        static const char *const names[] = {"error.status", "error.code", "__type", "code", "Code", "error"};
        struct vn_str type = vn_cloud_response_header(response, "x-amzn-errortype");
        VN_AUTO(vn_json)
        root = NULL;

        if (type.ptr) {
                vn_text_copy(ret, 64, vn_str_cut(&type, ':'));
                return;
        }
        vn_text_copy(ret, 64, vn_aws_xml_text(vn_buf_view(&response->body), "Code"));
        if (!ret[0] && vn_json_load(vn_buf_view(&response->body), &root, NULL) == VN_OK)
                vn_text_copy(ret, 64, last_part(first_of(root, names, 6), '#'));
}

static enum vn_rc rc_of(int status, const char *code)
{
        if (is_throttle_code(code))
                return VN_RESOURCE_EXHAUSTED;
        if (!strcmp(code, "FAILED_PRECONDITION"))
                return VN_FAILED_PRECONDITION;
        if (status == 409 || status == 412)
                return strcmp(code, "ALREADY_EXISTS") ? VN_ABORTED : VN_ALREADY_EXISTS;
        if (!strcmp(code, "ExpiredTokenException") || !strcmp(code, "UnrecognizedClientException") ||
            !strcmp(code, "InvalidSignatureException") || !strcmp(code, "SignatureDoesNotMatch") ||
            !strcmp(code, "ExpiredToken") || !strcmp(code, "InvalidClientTokenId"))
                return VN_UNAUTHENTICATED;
        if (status == 400 && !strcmp(code, "AccessDeniedException")) /* CloudWatch Logs and the price list say so */
                return VN_PERMISSION_DENIED;
        if (status >= 500)
                return VN_UNAVAILABLE;
        return vn_rc_from_http_status(status) == VN_OK ? VN_UNKNOWN : vn_rc_from_http_status(status);
}

enum vn_rc vn_call_error(struct vn_cloud *cloud, const struct vn_cloud_response *response, struct vn_err *err)
{
        static const char *const names[] = {"error.message", "message", "Message", "error_description"};
        VN_AUTO(vn_json)
        root = NULL;
        char code[64], text[120];

        vn_call_error_code(response, code);
        vn_text_copy(text, sizeof(text), vn_aws_xml_text(vn_buf_view(&response->body), "Message"));
        if (!text[0] && vn_json_load(vn_buf_view(&response->body), &root, NULL) == VN_OK)
                vn_text_copy(text, sizeof(text), first_of(root, names, 4));
        for (char *p = text; *p; p++)
                if ((unsigned char)*p < 0x20 || *p == 0x7f)
                        *p = ' ';
        return vn_fail(err, rc_of(response->status, code), "%s answered %d %s%s%s",
                       vn_cloud_kind_name(cloud->config.kind), response->status, code, text[0] ? ": " : "", text);
}

enum vn_rc vn_call_json(struct vn_cloud *cloud, const struct vn_call *call, struct vn_cloud_response *response,
                        json_t **ret, struct vn_err *err)
{
        VN_TRY(vn_cloud_send(cloud, call, response, err));
        if (response->status < 200 || response->status > 299)
                return vn_call_error(cloud, response, err);
        if (response->body.len == 0) {
                *ret = json_object();
                return *ret ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for JSON");
        }
        return vn_json_load(vn_buf_view(&response->body), ret, err);
}

enum vn_rc vn_link_split(struct vn_str link, struct vn_str *ret_host, struct vn_str *ret_path,
                         struct vn_str *ret_query, struct vn_err *err)
{
        struct vn_str host = host_of(link), rest;

        if (host.len == 0 || host.ptr == link.ptr || host.len >= VN_CLOUD_URL_BYTES)
                return vn_fail(err, VN_DATA_LOSS, "a link is not an absolute URL");
        rest = vn_str_n(host.ptr + host.len, (size_t)(link.ptr + link.len - (host.ptr + host.len)));
        for (size_t i = 0; i < link.len; i++)
                if ((unsigned char)link.ptr[i] <= ' ' || link.ptr[i] == 0x7f || link.ptr[i] == '#')
                        return vn_fail(err, VN_DATA_LOSS, "a link has a character that a URL may not have");
        *ret_host = host;
        *ret_path = vn_str_cut(&rest, '?');
        *ret_query = rest.ptr ? rest : VN_STR("");
        return VN_OK;
}

enum vn_rc vn_function_status(struct vn_cloud *cloud, struct vn_cloud_result *ret, struct vn_err *err)
{
        int status = ret->http_status = ret->response.status;

        ret->throttled = status == 429;
        ret->timed_out = status == 504;
        ret->function_error = status == 500 || status == 504;
        if (ret->throttled || ret->function_error || (status >= 200 && status < 300))
                return VN_OK;
        if (status < 400 || status == 401 || status == 403 || status == 404 || status > 500)
                return vn_call_error(cloud, &ret->response, err);
        ret->function_error = true; /* any other 4xx is the function's own word */
        return VN_OK;
}

bool vn_wait_more(struct vn_cloud *cloud, struct vn_wait *wait, const struct vn_cloud_response *hint)
{
        struct vn_str after = hint ? vn_cloud_response_header(hint, "retry-after") : (struct vn_str){0};
        int64_t pause = wait->pause_us ? wait->pause_us : 100 * VN_US_PER_MS;
        uint64_t seconds;

        if (wait->waited_us >= wait->max_us)
                return false;
        wait->pause_us = pause < VN_US_PER_S ? pause * 2 : pause;
        if (after.ptr && vn_str_to_u64(after, &seconds) == VN_OK && seconds <= 60)
                pause = (int64_t)seconds * VN_US_PER_S;
        if (pause > wait->max_us - wait->waited_us)
                pause = wait->max_us - wait->waited_us;
        cloud->transport->sleep_us(cloud->transport->state, pause);
        wait->waited_us += pause;
        return true;
}
