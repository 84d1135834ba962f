#include <arpa/inet.h>
#include <ctype.h>
#include <pthread.h>
#include <strings.h>

#include "net/http_client_internal.h"

#define DEFAULT_TIMEOUT_US INT64_C(30000000)
#define DEFAULT_CONNECT_US INT64_C(5000000)
#define DEFAULT_MAX_BYTES ((size_t)8 << 20)
#define MAX_URL_BYTES 8192

static pthread_once_t once = PTHREAD_ONCE_INIT;
static void init_curl(void)
{
        VN_ASSERT(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
}

static enum vn_rc no_memory(struct vn_err *err)
{
        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP request");
}

static bool copy_text(const char *from, char **to)
{
        *to = from ? vn_strdup(from) : NULL;
        return !from || *to;
}

enum vn_rc http_settings_init(struct http_settings *settings, const struct vn_http_options *options,
                              struct vn_err *err)
{
        bool copied;

        pthread_once(&once, init_curl);
        *settings = (struct http_settings){.allow_local_http = options->allow_local_http,
                                           .http1_only = options->http1_only,
                                           .ca_pem_bytes = options->ca_pem.len};
        if (!options->cert_file != !options->key_file)
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "a client certificate needs its key, and a key its certificate");
        copied = copy_text(options->ca_file, &settings->ca_file) &&
                 copy_text(options->cert_file, &settings->cert_file) &&
                 copy_text(options->key_file, &settings->key_file) &&
                 copy_text(options->user_agent ? options->user_agent : "vane", &settings->user_agent);
        if (copied && options->ca_pem.len) {
                settings->ca_pem = vn_strndup(options->ca_pem.ptr, options->ca_pem.len);
                copied = settings->ca_pem;
        }
        if (copied)
                return VN_OK;
        http_settings_done(settings);
        return no_memory(err);
}

void http_settings_done(struct http_settings *settings)
{
        vn_free(settings->ca_file);
        vn_free(settings->cert_file);
        vn_free(settings->key_file);
        vn_free(settings->user_agent);
        vn_free(settings->ca_pem);
        *settings = (struct http_settings){0};
}

/* --- answers --- */

void vn_http_answer_init(struct vn_http_answer *answer)
{
        *answer = (struct vn_http_answer){.headers = VN_BUF_INIT(VN_HTTP_MAX_HEAD_BYTES),
                                          .body = VN_BUF_INIT(VN_HTTP_MAX_RESPONSE_BYTES)};
}

void vn_http_answer_done(struct vn_http_answer *answer)
{
        vn_buf_done(&answer->headers);
        vn_buf_done(&answer->body);
}

struct vn_str vn_http_answer_header(const struct vn_http_answer *answer, const char *lower_name)
{
        const char *p = answer->headers.ptr, *end = p ? p + answer->headers.len : NULL;

        while (p && p < end) {
                const char *value = p + strlen(p) + 1;
                if (!strcmp(p, lower_name))
                        return vn_str(value);
                p = value + strlen(value) + 1;
        }
        return (struct vn_str){NULL, 0};
}

/* --- libcurl's callbacks --- */

static size_t on_body(char *bytes, size_t size, size_t count, void *arg)
{
        struct http_transfer *t = arg;
        size_t n = size * count;

        if (n > t->max_bytes - t->answer->body.len) {
                t->too_large = true;
                return 0;
        }
        if (!vn_buf_add(&t->answer->body, bytes, n)) {
                t->no_memory = true;
                return 0;
        }
        return n;
}

/* "Name: value\r\n", or a status line, which starts the headers anew (a 100 or 103 came before). */
static size_t on_header(char *bytes, size_t size, size_t count, void *arg)
{
        struct http_transfer *t = arg;
        struct vn_buf *headers = &t->answer->headers;
        struct vn_str value = vn_str_n(bytes, size * count), name;

        while (value.len && (value.ptr[value.len - 1] == '\n' || value.ptr[value.len - 1] == '\r'))
                value.len--;
        if (vn_str_starts(value, VN_STR("HTTP/"))) {
                vn_buf_reset(headers);
                return size * count;
        }
        name = vn_str_cut(&value, ':');
        if (!value.ptr || memchr(name.ptr, 0, name.len) || memchr(value.ptr, 0, value.len))
                return size * count;
        value = vn_str_trim(value);
        for (size_t i = 0; i < name.len; i++)
                vn_buf_char(headers, (char)tolower((unsigned char)name.ptr[i]));
        vn_buf_char(headers, '\0');
        vn_buf_str(headers, value);
        vn_buf_char(headers, '\0');
        if (headers->failed) {
                t->too_large = true;
                return 0;
        }
        return size * count;
}

static int on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
        const struct http_transfer *t = arg;
        (void)a, (void)b, (void)c, (void)d;
        return t->abort && atomic_load(t->abort);
}

/* --- the request --- */

/* This machine, and the credential services of the clouds (EC2, ECS, EKS, Azure, App Service, GCP): link-local, so never
 * beyond the host. */
static bool is_local(const char *host)
{
        static const char *const local[] = {"127.0.0.1", "[::1]", "localhost", "[fd00:ec2::254]", "[fd00:ec2::23]"};
        struct in_addr address;

        for (size_t i = 0; i < sizeof(local) / sizeof(local[0]); i++)
                if (!strcasecmp(host, local[i]))
                        return true;
        return inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 16 == 0xa9fe; /* 169.254.0.0/16 */
}

static enum vn_rc check_url(struct http_transfer *t, const struct http_settings *settings, const char *url,
                            struct vn_err *err)
{
        CURLU *parsed;
        char *scheme = NULL, *host = NULL, *user = NULL;
        enum vn_rc rc = VN_OK;

        if (strlen(url) > MAX_URL_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "a URL longer than %d bytes", MAX_URL_BYTES);
        parsed = curl_url();
        if (!parsed)
                return no_memory(err);
        if (curl_url_set(parsed, CURLUPART_URL, url, 0) || curl_url_get(parsed, CURLUPART_SCHEME, &scheme, 0) ||
            curl_url_get(parsed, CURLUPART_HOST, &host, 0))
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "not a URL");
        else if (!vn_str_copy(t->host, sizeof(t->host), vn_str(host)))
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "a host name longer than %d bytes", HTTP_MAX_HOST_BYTES);
        else if (!curl_url_get(parsed, CURLUPART_USER, &user, 0))
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "%s: a URL with a user name in it", t->host);
        else if (strcmp(scheme, "https") &&
                 !(settings->allow_local_http && !strcmp(scheme, "http") && is_local(host)))
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "%s: only https is allowed", t->host);
        curl_free(scheme);
        curl_free(host);
        curl_free(user);
        curl_url_cleanup(parsed);
        return rc;
}

static bool is_token(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!isalnum((unsigned char)s.ptr[i]) && !strchr("!#$%&'*+-.^_`|~", s.ptr[i]))
                        return false;
        return s.len > 0;
}

static bool is_field_value(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if ((unsigned char)s.ptr[i] < ' ' && s.ptr[i] != '\t')
                        return false;
        return true;
}

static enum vn_rc add_header(struct http_transfer *t, struct vn_str name, struct vn_str value, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        line = VN_BUF_INIT(VN_HTTP_MAX_HEAD_BYTES);
        struct curl_slist *longer;

        if (!is_token(name) || !is_field_value(value))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: a header that HTTP cannot carry", t->host);
        vn_buf_str(&line, name);
        vn_buf_text(&line, value.len ? ": " : ";"); /* libcurl's way to send an empty one */
        vn_buf_str(&line, value);
        VN_TRY(vn_buf_check(&line, err));
        longer = curl_slist_append(t->headers, line.ptr);
        explicit_bzero(line.ptr, line.len);
        if (!longer)
                return no_memory(err);
        t->headers = longer;
        return VN_OK;
}

static enum vn_rc add_headers(struct http_transfer *t, const struct vn_http_ask *ask, struct vn_err *err)
{
        struct curl_slist *first;

        if (ask->header_count > VN_HTTP_MAX_HEADERS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: more than %d headers", t->host, VN_HTTP_MAX_HEADERS);
        first = curl_slist_append(NULL, "Expect:"); /* no waiting for 100 */
        if (!first)
                return no_memory(err);
        t->headers = first;
        for (size_t i = 0; i < ask->header_count; i++)
                VN_TRY(add_header(t, ask->headers[i].name, ask->headers[i].value, err));
        return VN_OK;
}

static CURLcode set_trust(CURL *e, const struct http_settings *s)
{
        CURLcode rc = CURLE_OK;

        if (s->ca_pem) {
                struct curl_blob blob = {s->ca_pem, s->ca_pem_bytes, CURL_BLOB_COPY};
                rc |= curl_easy_setopt(e, CURLOPT_CAINFO_BLOB, &blob);
        } else if (s->ca_file) {
                rc |= curl_easy_setopt(e, CURLOPT_CAINFO, s->ca_file);
        }
        if (s->ca_pem || s->ca_file)
                rc |= curl_easy_setopt(e, CURLOPT_CAPATH, NULL); /* else the system's would do too */
        if (s->cert_file) {
                rc |= curl_easy_setopt(e, CURLOPT_SSLCERT, s->cert_file);
                rc |= curl_easy_setopt(e, CURLOPT_SSLKEY, s->key_file);
        }
        rc |= curl_easy_setopt(e, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
        rc |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 1L);
        rc |= curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 2L);
        return rc;
}

static long milliseconds(int64_t us, int64_t fallback_us)
{
        int64_t value = us > 0 ? us : fallback_us;
        return (long)(value < 1000 ? 1 : value / 1000);
}

static CURLcode set_rules(CURL *e, struct http_transfer *t, const struct http_settings *s,
                          const struct vn_http_ask *ask)
{
        CURLcode rc = CURLE_OK;

        rc |= curl_easy_setopt(e, CURLOPT_URL, ask->url);
        rc |= curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, s->allow_local_http ? "https,http" : "https");
        rc |= curl_easy_setopt(e, CURLOPT_PROXY, "");
        rc |= curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
        rc |= curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
        rc |= curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS,
                               milliseconds(ask->connect_timeout_us, DEFAULT_CONNECT_US));
        rc |= curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, milliseconds(ask->timeout_us, DEFAULT_TIMEOUT_US));
        rc |= curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)t->max_bytes);
        rc |= curl_easy_setopt(e, CURLOPT_HTTP_VERSION,
                               (long)(s->http1_only ? CURL_HTTP_VERSION_1_1 : CURL_HTTP_VERSION_2TLS));
        rc |= curl_easy_setopt(e, CURLOPT_PIPEWAIT, s->http1_only ? 0L : 1L); /* share an h2 connection */
        rc |= curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
        rc |= curl_easy_setopt(e, CURLOPT_USERAGENT, s->user_agent);
        rc |= curl_easy_setopt(e, CURLOPT_HTTPHEADER, t->headers);
        rc |= curl_easy_setopt(e, CURLOPT_ERRORBUFFER, t->error);
        rc |= curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
        rc |= curl_easy_setopt(e, CURLOPT_WRITEDATA, t);
        rc |= curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_header);
        rc |= curl_easy_setopt(e, CURLOPT_HEADERDATA, t);
        rc |= curl_easy_setopt(e, CURLOPT_NOPROGRESS, t->abort ? 0L : 1L);
        rc |= curl_easy_setopt(e, CURLOPT_XFERINFOFUNCTION, on_progress);
        rc |= curl_easy_setopt(e, CURLOPT_XFERINFODATA, t);
        rc |= curl_easy_setopt(e, CURLOPT_PRIVATE, t);
        return rc;
}

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
        struct http_transfer *t = arg;
        size_t left = t->body.len - t->body_at, n = size * count < left ? size * count : left;

        memcpy(to, t->body.ptr + t->body_at, n);
        t->body_at += n;
        return n;
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
        (void)arg, (void)offset, (void)origin;
        return CURL_SEEKFUNC_FAIL;
}

/* When a kept connection breaks without a byte of an answer, libcurl takes it for one that was closed while idle and sends the
 * request again. The other side may have carried it out. A body that cannot be rewound ends that; a request without one takes
 * a connection of its own. */
static CURLcode set_once(CURL *e, struct http_transfer *t, bool has_body)
{
        CURLcode rc = CURLE_OK;

        if (!has_body || t->body.len == 0)
                return curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        rc |= curl_easy_setopt(e, CURLOPT_READFUNCTION, on_read);
        rc |= curl_easy_setopt(e, CURLOPT_READDATA, t);
        rc |= curl_easy_setopt(e, CURLOPT_SEEKFUNCTION, on_seek);
        return rc;
}

static CURLcode set_method(struct http_transfer *t, const struct vn_http_ask *ask, bool copy_body)
{
        CURL *e = t->easy;
        CURLcode rc = CURLE_OK;
        bool body = ask->body.len || !strcmp(ask->method, "POST") || !strcmp(ask->method, "PUT") ||
                    !strcmp(ask->method, "PATCH");

        if (!strcmp(ask->method, "HEAD"))
                rc |= curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
        if (body) {
                rc |= curl_easy_setopt(e, CURLOPT_POST, 1L);
                rc |= curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)ask->body.len);
                if (!ask->once || t->body.len == 0)
                        rc |= curl_easy_setopt(e, copy_body ? CURLOPT_COPYPOSTFIELDS : CURLOPT_POSTFIELDS,
                                               ask->body.ptr ? ask->body.ptr : "");
        }
        if (ask->once)
                rc |= set_once(e, t, body);
        rc |= curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, ask->method);
        return rc;
}

enum vn_rc http_transfer_prepare(struct http_transfer *t, const struct http_settings *settings,
                                 const struct vn_http_ask *ask, bool copy_body, struct vn_err *err)
{
        VN_TRY(check_url(t, settings, ask->url, err));
        if (!is_token(vn_str(ask->method)) || strlen(ask->method) > 16)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: not an HTTP method", t->host);
        t->max_bytes = ask->max_response_bytes ? ask->max_response_bytes : DEFAULT_MAX_BYTES;
        if (t->max_bytes > VN_HTTP_MAX_RESPONSE_BYTES)
                t->max_bytes = VN_HTTP_MAX_RESPONSE_BYTES;
        t->answer->status = 0;
        vn_buf_reset(&t->answer->headers);
        vn_buf_reset(&t->answer->body);
        VN_TRY(add_headers(t, ask, err));
        t->body = ask->body;
        t->body_at = 0;
        if (ask->once && copy_body && ask->body.len) {
                t->body_copy = vn_strndup(ask->body.ptr, ask->body.len);
                if (!t->body_copy)
                        return no_memory(err);
                t->body.ptr = t->body_copy;
        }
        if (set_rules(t->easy, t, settings, ask) | set_trust(t->easy, settings) | set_method(t, ask, copy_body))
                return no_memory(err);
        return VN_OK;
}

/* What libcurl says about TLS and connections names host, port and certificate, but never a path or a header. */
enum vn_rc http_transfer_result(struct http_transfer *t, CURLcode code, struct vn_err *err)
{
        const char *why = t->error[0] ? t->error : curl_easy_strerror(code);
        long status = 0;

        if (code == CURLE_OK) {
                curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
                t->answer->status = (int)status;
                return VN_OK;
        }
        if (t->too_large || code == CURLE_FILESIZE_EXCEEDED)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: answer larger than %zu bytes", t->host, t->max_bytes);
        if (t->no_memory || code == CURLE_OUT_OF_MEMORY)
                return no_memory(err);
        if (code == CURLE_OPERATION_TIMEDOUT)
                return vn_fail(err, VN_DEADLINE_EXCEEDED, "%s: no whole answer in time", t->host);
        if (code == CURLE_ABORTED_BY_CALLBACK)
                return vn_fail(err, VN_CANCELLED, "%s: given up", t->host);
        return vn_fail(err, VN_UNAVAILABLE, "%s: %s", t->host, why);
}

void http_transfer_done(struct http_transfer *t)
{
        curl_slist_free_all(t->headers);
        t->headers = NULL;
        vn_free(t->body_copy);
        t->body_copy = NULL;
}
