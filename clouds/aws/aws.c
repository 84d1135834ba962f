/* AWS Lambda's control plane: sign, list, read, change. */
#include "clouds/aws/aws.h"

#include "clouds/aws/credentials.h"
#include "clouds/sigv4.h"

#define MAX_PAGES 400
#define LAMBDA_MIN_MB 128
#define LAMBDA_MAX_MB 10240

void vn_aws_host(const struct vn_cloud *cloud, const char *service, char ret[128])
{
        snprintf(ret, 128, "%s.%.*s.amazonaws.com", service, VN_FMT(cloud->config.region));
}

static enum vn_rc send_signature(struct vn_cloud_request *request, struct vn_arena *scratch,
                                 const struct vn_sigv4_result *signature, struct vn_str token, struct vn_err *err)
{
        struct vn_str authorization = vn_buf_view(&signature->authorization);
        char *a = vn_arena_strndup(scratch, authorization.ptr, authorization.len);
        char *date = vn_arena_strndup(scratch, signature->date, strlen(signature->date));
        char *hash = vn_arena_strndup(scratch, signature->body_sha256, strlen(signature->body_sha256));

        if (!a || !date || !hash)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a signature");
        vn_request_header(request, VN_STR("X-Amz-Date"), vn_str(date));
        vn_request_header(request, VN_STR("X-Amz-Content-Sha256"), vn_str(hash));
        if (token.len > 0)
                vn_request_header(request, VN_STR("X-Amz-Security-Token"), token);
        vn_request_header(request, VN_STR("Authorization"), vn_str_n(a, authorization.len));
        return VN_OK;
}

enum vn_rc vn_aws_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch, struct vn_err *err)
{
        struct vn_sigv4_header headers[VN_CLOUD_MAX_HEADERS];
        bool pricing =
                !strcmp(call->audience, "pricing"); /* its API stands in us-east-1 whatever the account's region */
        struct vn_aws_keys keys;
        VN_TRY(vn_aws_keys(cloud, &keys, err));
        const struct vn_sigv4_key key = {keys.access_key_id, keys.secret_access_key, keys.session_token,
                                         pricing ? VN_STR("us-east-1") : cloud->config.region,
                                         vn_str(call->audience)};
        const struct vn_sigv4_options options = {.time_us = vn_now_us(cloud->clock) + cloud->clock_offset_us,
                                                 .sign_body_header = true,
                                                 .path_as_sent = !strcmp(call->audience, VN_AWS_S3)};
        struct vn_sigv4_request to_sign = {vn_str(call->method), call->path, call->query, headers, 0, call->body};
        struct vn_sigv4_result signature;
        enum vn_rc rc;

        /* Said outright, so that what is signed is what is sent even for a default port. */
        vn_request_header(request, VN_STR("Host"), host);
        for (size_t i = 0; i < request->header_count; i++)
                headers[i] = (struct vn_sigv4_header){request->headers[i].name, request->headers[i].value};
        to_sign.header_count = request->header_count;
        vn_sigv4_result_init(&signature);
        rc = vn_sigv4_sign_headers(&to_sign, &key, &options, &signature, err);
        if (rc == VN_OK)
                rc = send_signature(request, scratch, &signature, keys.session_token, err);
        vn_sigv4_result_done(&signature);
        return rc;
}

enum vn_rc vn_aws_target(struct vn_cloud *cloud, const char *service, const char *host, const char *content_type,
                         const char *target, json_t *body, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .path = VN_STR("/"),
                               .content_type = content_type,
                               .audience = service};
        char *text = json_dumps(body, JSON_COMPACT);
        enum vn_rc rc;

        vn_cloud_response_init(&response);
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        call.extra[call.extra_count++] = (struct vn_cloud_header){VN_STR("X-Amz-Target"), vn_str(target)};
        if (!strcmp(service, "monitoring"))
                call.extra[call.extra_count++] =
                        (struct vn_cloud_header){VN_STR("X-Amzn-Query-Mode"), VN_STR("true")};
        call.body = vn_str(text);
        rc = vn_call_json(cloud, &call, &response, ret, err);
        free(text);
        return rc;
}

static void read_function(struct vn_cloud *cloud, json_t *item, struct vn_cloud_function *ret)
{
        double memory = vn_json_pick_number(item, "MemorySize", 0), timeout = vn_json_pick_number(item, "Timeout", 0);
        struct vn_str status = vn_json_str(item, "LastUpdateStatus"), state = vn_json_str(item, "State");

        vn_text_copy(ret->name, sizeof(ret->name), vn_json_str(item, "FunctionName"));
        vn_text_copy(ret->region, sizeof(ret->region), cloud->config.region);
        vn_text_copy(ret->resource, sizeof(ret->resource), vn_json_str(item, "FunctionArn"));
        vn_text_copy(ret->runtime, sizeof(ret->runtime), vn_json_str(item, "Runtime"));
        vn_text_copy(ret->guard, sizeof(ret->guard), vn_json_str(item, "RevisionId"));
        ret->memory_mb = memory > 0 && memory <= 1 << 20 ? (uint32_t)memory : 0;
        ret->timeout_s = timeout > 0 && timeout <= 86400 ? (uint32_t)timeout : 0;
        ret->concurrency = 1;
        ret->memory_tunable = true;
        ret->memory_min_mb = LAMBDA_MIN_MB;
        ret->memory_max_mb = LAMBDA_MAX_MB;
        ret->busy = vn_str_eq(status, VN_STR("InProgress")) || vn_str_eq(state, VN_STR("Pending"));
}

static enum vn_rc list_page(struct vn_cloud *cloud, struct vn_buf *marker, struct vn_cloud_list *ret,
                            struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        page = NULL;
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(8192);
        char host[128];
        struct vn_call call = {
                .method = "GET", .host = host, .path = VN_STR("/2015-03-31/functions"), .audience = "lambda"};
        json_t *item, *items;
        struct vn_str next;
        size_t i;

        vn_cloud_response_init(&response);
        vn_aws_host(cloud, "lambda", host);
        if (marker->len > 0) {
                vn_buf_text(&query, "Marker=");
                vn_buf_url_encode(&query, vn_buf_view(marker), false);
                vn_buf_char(&query, '&');
        }
        vn_buf_text(&query, "MaxItems=50");
        VN_TRY(vn_buf_check(&query, err));
        call.query = vn_buf_view(&query);
        VN_TRY(vn_call_json(cloud, &call, &response, &page, err));
        items = json_object_get(page, "Functions");
        if (!json_is_array(items))
                return vn_fail(err, VN_DATA_LOSS, "aws: the list has no Functions");
        json_array_foreach(items, i, item)
        {
                struct vn_cloud_function function = {0};

                read_function(cloud, item, &function);
                function.guard[0] = '\0'; /* a list leaves out the update's state: read before changing */
                /* Passing over what cannot be read would look like a function that was taken away. */
                if (!function.name[0] || !function.memory_mb)
                        return vn_fail(err, VN_DATA_LOSS, "aws: a function of the list lacks name or memory");
                VN_TRY(vn_list_add(ret, &function, err));
        }
        next = vn_json_str(page, "NextMarker");
        vn_buf_reset(marker);
        vn_buf_str(marker, next);
        return vn_buf_check(marker, err);
}

static enum vn_rc aws_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        marker = VN_BUF_INIT(4096);

        for (int page = 0; page < MAX_PAGES; page++) {
                VN_TRY(list_page(cloud, &marker, ret, err));
                if (marker.len == 0)
                        return VN_OK;
        }
        ret->complete = false;
        return VN_OK;
}

enum vn_rc vn_aws_lambda(struct vn_cloud *cloud, const struct vn_aws_lambda_call *c, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        char host[128];
        struct vn_call call = {.method = c->method,
                               .host = host,
                               .query = c->query,
                               .body = c->body,
                               .audience = "lambda",
                               .content_type = c->body.len > 0 ? "application/json" : NULL,
                               .once = strcmp(c->method, "GET") != 0};

        vn_cloud_response_init(&response);
        vn_aws_host(cloud, "lambda", host);
        vn_buf_printf(&path, "/%s/functions/", c->version);
        vn_buf_url_encode(&path, vn_str(c->function), false);
        vn_buf_char(&path, '/');
        vn_buf_text(&path, c->what);
        if (c->item.len > 0) {
                vn_buf_char(&path, '/');
                vn_buf_url_encode(&path, c->item, false);
        }
        VN_TRY(vn_buf_check(&path, err));
        call.path = vn_buf_view(&path);
        return vn_call_json(cloud, &call, &response, ret, err);
}

/* GET (body empty) or PUT. */
static enum vn_rc configuration(struct vn_cloud *cloud, const char *name, struct vn_str body,
                                struct vn_cloud_function *ret, struct vn_err *err)
{
        const struct vn_aws_lambda_call call = {.method = body.len > 0 ? "PUT" : "GET",
                                                .version = VN_LAMBDA_2015,
                                                .function = name,
                                                .what = "configuration",
                                                .body = body};
        VN_AUTO(vn_json)
        answer = NULL;

        VN_TRY(vn_aws_lambda(cloud, &call, &answer, err));
        read_function(cloud, answer, ret);
        if (!ret->name[0] || !ret->guard[0] || !ret->memory_mb)
                return vn_fail(err, VN_DATA_LOSS, "aws: configuration of %s lacks name, memory or revision", name);
        return VN_OK;
}

enum vn_rc vn_aws_configuration(struct vn_cloud *cloud, const char *name, struct vn_cloud_function *ret,
                                struct vn_err *err)
{
        return configuration(cloud, name, VN_STR(""), ret, err);
}

static enum vn_rc aws_read(struct vn_cloud *cloud, const struct vn_cloud_function *which,
                           struct vn_cloud_function *ret, struct vn_err *err)
{
        VN_TRY(vn_aws_configuration(cloud, which->name, ret, err));
        return vn_aws_read_scaling(cloud, ret, err);
}

static enum vn_rc set_memory(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t memory_mb,
                             int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        body = VN_BUF_INIT(512);
        struct vn_wait wait = {.max_us = max_wait_us};

        vn_buf_printf(&body, "{\"MemorySize\":%u,\"RevisionId\":", memory_mb);
        vn_buf_json_string(&body, vn_str(as_read->guard));
        vn_buf_char(&body, '}');
        VN_TRY(vn_buf_check(&body, err));
        VN_TRY(configuration(cloud, as_read->name, vn_buf_view(&body), ret, err));
        /* The revision changes once more when the update settles, so the last read gives the guard. */
        while (ret->busy) {
                if (!vn_wait_more(cloud, &wait, NULL))
                        return vn_fail(err, VN_DEADLINE_EXCEEDED, "aws: %s is still being updated", as_read->name);
                VN_TRY(vn_aws_configuration(cloud, as_read->name, ret, err));
        }
        if (ret->memory_mb != memory_mb)
                return vn_fail(err, VN_ABORTED, "aws: %s has %u MB after the change to %u", as_read->name,
                               ret->memory_mb, memory_mb);
        ret->max_instances = as_read->max_instances;
        ret->warm_instances = as_read->warm_instances;
        return VN_OK;
}

static enum vn_rc aws_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                             enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                             struct vn_cloud_function *ret, struct vn_err *err)
{
        switch (setting) {
        case VN_SETTING_MEMORY_MB: return set_memory(cloud, as_read, value, max_wait_us, ret, err);
        case VN_SETTING_CONCURRENCY: break;
        case VN_SETTING_MAX_INSTANCES: return vn_aws_set_reserved(cloud, as_read, value, max_wait_us, ret, err);
        case VN_SETTING_WARM_INSTANCES: return vn_aws_set_warm(cloud, as_read, value, max_wait_us, ret, err);
        }
        return vn_fail(err, VN_FAILED_PRECONDITION, "aws: %s: an instance of Lambda takes one request at a time",
                       as_read->name);
}

static enum vn_rc aws_open(struct vn_cloud *cloud, struct vn_err *err)
{
        const struct vn_cloud_config *c = &cloud->config;

        VN_TRY(vn_account_need(c->region, "region", err));
        if (!c->access_key_id.len && !c->secret_access_key.len)
                return VN_OK; /* aws/credentials.h looks for keys */
        if (c->profile.len)
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: either keys or a profile");
        VN_TRY(vn_account_need(c->access_key_id, "access_key_id", err));
        return vn_account_need(c->secret_access_key, "secret_access_key", err);
}

static void aws_close(struct vn_cloud *cloud)
{
        vn_aws_session_free(cloud->aws);
}

const struct vn_cloud_ops vn_aws_ops = {
        .name = "aws",
        .open = aws_open,
        .close = aws_close,
        .authorize = vn_aws_authorize,
        .list = aws_list,
        .read = aws_read,
        .change = aws_change,
        .read_split = vn_aws_read_split,
        .set_split = vn_aws_set_split,
        .invoke = vn_aws_invoke,
        .invoke_async = vn_aws_invoke_async,
        .health = vn_aws_health,
        .may = vn_aws_may,
        .grant = vn_aws_grant,
        .logs = vn_aws_logs,
        .lines = vn_aws_lines,
        .metrics = vn_aws_metrics,
        .prices = vn_aws_prices,
        .put_object = vn_aws_put_object,
};
