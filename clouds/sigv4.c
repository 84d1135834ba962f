#include "clouds/sigv4.h"

#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/mem.h"

#define ALGORITHM "AWS4-HMAC-SHA256"

/* One signing in progress: what both kinds share. */
struct signing {
        const struct vn_sigv4_request *request;
        const struct vn_sigv4_key *key;
        const struct vn_sigv4_options *options;
        struct vn_sigv4_result *ret;
        struct vn_sigv4_header headers[VN_SIGV4_MAX_HEADERS + 3];
        size_t header_count;
        struct vn_buf scope;        /* 20150830/us-east-1/service/aws4_request */
        struct vn_buf signed_names; /* host;x-amz-date */
};

void vn_sigv4_result_init(struct vn_sigv4_result *result)
{
        memset(result, 0, sizeof(*result));
        result->canonical = VN_BUF_INIT(VN_SIGV4_MAX_TEXT_BYTES);
        result->string_to_sign = VN_BUF_INIT(VN_SIGV4_MAX_TEXT_BYTES);
        result->authorization = VN_BUF_INIT(VN_SIGV4_MAX_TEXT_BYTES);
        result->query = VN_BUF_INIT(VN_SIGV4_MAX_TEXT_BYTES);
}

void vn_sigv4_result_done(struct vn_sigv4_result *result)
{
        vn_buf_done(&result->canonical);
        vn_buf_done(&result->string_to_sign);
        vn_buf_done(&result->authorization);
        vn_buf_done(&result->query);
}

static int name_cmp(struct vn_str a, struct vn_str b)
{
        size_t n = a.len < b.len ? a.len : b.len;

        for (size_t i = 0; i < n; i++) {
                int x = (unsigned char)a.ptr[i], y = (unsigned char)b.ptr[i];

                x = x >= 'A' && x <= 'Z' ? x + 32 : x;
                y = y >= 'A' && y <= 'Z' ? y + 32 : y;
                if (x != y)
                        return x - y;
        }
        return (a.len > b.len) - (a.len < b.len);
}

/* Insertion sort: repeated headers must keep their order, qsort would not promise it. */
static void sort_headers(struct vn_sigv4_header *headers, size_t count)
{
        for (size_t i = 1; i < count; i++) {
                struct vn_sigv4_header moving = headers[i];
                size_t j = i;

                for (; j > 0 && name_cmp(headers[j - 1].name, moving.name) > 0; j--)
                        headers[j] = headers[j - 1];
                headers[j] = moving;
        }
}

static void add_lower(struct vn_buf *buf, struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                vn_buf_char(buf, s.ptr[i] >= 'A' && s.ptr[i] <= 'Z' ? (char)(s.ptr[i] + 32) : s.ptr[i]);
}

static bool is_blank(char c)
{
        return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* Trimmed, runs of blanks (a folded line too) as one space. */
static void add_value(struct vn_buf *buf, struct vn_str value)
{
        bool started = false, blank = false;

        for (size_t i = 0; i < value.len; i++) {
                if (is_blank(value.ptr[i])) {
                        blank = started;
                        continue;
                }
                if (blank)
                        vn_buf_char(buf, ' ');
                vn_buf_char(buf, value.ptr[i]);
                started = true;
                blank = false;
        }
}

static void add_headers(struct signing *s)
{
        struct vn_buf *out = &s->ret->canonical;

        sort_headers(s->headers, s->header_count);
        for (size_t i = 0; i < s->header_count; i++) {
                if (i > 0 && !name_cmp(s->headers[i].name, s->headers[i - 1].name)) {
                        vn_buf_char(out, ',');
                } else {
                        if (i > 0) {
                                vn_buf_char(out, '\n');
                                vn_buf_char(&s->signed_names, ';');
                        }
                        add_lower(out, s->headers[i].name);
                        vn_buf_char(out, ':');
                        add_lower(&s->signed_names, s->headers[i].name);
                }
                add_value(out, s->headers[i].value);
        }
        vn_buf_text(out, "\n\n");
}

/* RFC 3986 section 5.2.4 on whole segments; empty segments vanish, as AWS's rule has it. */
static enum vn_rc add_path(struct signing *s, struct vn_err *err)
{
        struct vn_str path = s->request->path, rest = path;
        VN_AUTO(vn_buf)
        plain = VN_BUF_INIT(VN_SIGV4_MAX_TEXT_BYTES);

        if (path.len == 0)
                path = VN_STR("/");
        if (path.ptr[0] != '/')
                return vn_fail(err, VN_INVALID_ARGUMENT, "path to sign does not start with '/'");
        if (s->options->path_as_sent) {
                vn_buf_str(&s->ret->canonical, path);
                return VN_OK;
        }
        if (s->options->keep_path) {
                vn_buf_url_encode(&s->ret->canonical, path, true);
                return VN_OK;
        }
        while (rest.ptr) {
                struct vn_str part = vn_str_cut(&rest, '/');

                if (part.len == 0 || vn_str_eq(part, VN_STR(".")))
                        continue;
                if (vn_str_eq(part, VN_STR(".."))) {
                        while (plain.len > 0 && plain.ptr[plain.len - 1] != '/')
                                plain.len--;
                        plain.len -= plain.len > 0;
                        continue;
                }
                vn_buf_char(&plain, '/');
                vn_buf_str(&plain, part);
        }
        if (plain.len == 0 || path.ptr[path.len - 1] == '/' || vn_str_ends(path, VN_STR("/.")) ||
            vn_str_ends(path, VN_STR("/..")))
                vn_buf_char(&plain, '/');
        VN_TRY(vn_buf_check(&plain, err));
        vn_buf_url_encode(&s->ret->canonical, vn_buf_view(&plain), true);
        return VN_OK;
}

struct param {
        size_t name_at, name_len, value_at, value_len; /* in the text of encoded names and values */
        const char *base;
};

static int param_cmp(const void *a, const void *b)
{
        const struct param *x = a, *y = b;
        int by_name =
                vn_str_cmp(vn_str_n(x->base + x->name_at, x->name_len), vn_str_n(y->base + y->name_at, y->name_len));

        if (by_name)
                return by_name;
        return vn_str_cmp(vn_str_n(x->base + x->value_at, x->value_len),
                          vn_str_n(y->base + y->value_at, y->value_len));
}

/* Appends the canonical form of one side of a parameter: decoded, then encoded by the one rule. */
static enum vn_rc add_param_text(struct vn_buf *text, struct vn_str raw, size_t *ret_at, size_t *ret_len,
                                 struct vn_err *err)
{
        VN_AUTO(vn_buf)
        plain = VN_BUF_INIT(VN_SIGV4_MAX_TEXT_BYTES);

        enum vn_rc rc = vn_url_decode(raw, &plain);
        if (rc != VN_OK)
                return vn_fail(err, rc, "query to sign has a bad percent-encoding, or memory is out");
        *ret_at = text->len;
        vn_buf_url_encode(text, vn_buf_view(&plain), false);
        *ret_len = text->len - *ret_at;
        return vn_buf_check(text, err);
}

static enum vn_rc add_query(struct vn_buf *out, struct vn_str query, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_SIGV4_MAX_TEXT_BYTES);
        struct param params[VN_SIGV4_MAX_PARAMS];
        size_t count = 0;

        while (query.ptr && query.len > 0) {
                struct vn_str value = vn_str_cut(&query, '&'), name;
                struct param *p = &params[count];

                if (value.len == 0)
                        continue;
                if (count++ == VN_SIGV4_MAX_PARAMS)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "more than %d query parameters to sign",
                                       VN_SIGV4_MAX_PARAMS);
                name = vn_str_cut(&value, '=');
                VN_TRY(add_param_text(&text, name, &p->name_at, &p->name_len, err));
                VN_TRY(add_param_text(&text, value.ptr ? value : VN_STR(""), &p->value_at, &p->value_len, err));
        }
        for (size_t i = 0; i < count; i++)
                params[i].base = vn_buf_view(&text).ptr;
        if (count > 1)
                qsort(params, count, sizeof(params[0]), param_cmp);
        for (size_t i = 0; i < count; i++) {
                if (i > 0)
                        vn_buf_char(out, '&');
                vn_buf_add(out, params[i].base + params[i].name_at, params[i].name_len);
                vn_buf_char(out, '=');
                vn_buf_add(out, params[i].base + params[i].value_at, params[i].value_len);
        }
        return vn_buf_check(out, err);
}

static void hash_hex(struct vn_str bytes, char ret[65])
{
        uint8_t hash[VN_SHA256_BYTES];

        vn_sha256(bytes.ptr ? bytes.ptr : "", bytes.len, hash);
        vn_hex(hash, sizeof(hash), ret);
}

static void sign_string(struct signing *s)
{
        struct vn_sigv4_result *r = s->ret;
        uint8_t k[VN_SHA256_BYTES], next[VN_SHA256_BYTES];
        VN_AUTO(vn_buf)
        first = VN_BUF_INIT(4096);
        const struct vn_str parts[] = {vn_str_n(r->date, 8), s->key->region, s->key->service, VN_STR("aws4_request"),
                                       vn_buf_view(&r->string_to_sign)};

        vn_buf_text(&first, "AWS4");
        vn_buf_str(&first, s->key->secret_access_key);
        if (first.failed) {
                r->string_to_sign.failed = true; /* seen by the check that follows */
                return;
        }
        vn_hmac_sha256(vn_buf_view(&first), parts[0], k);
        for (size_t i = 1; i < sizeof(parts) / sizeof(parts[0]); i++) {
                vn_hmac_sha256(vn_str_n(k, sizeof(k)), parts[i], next);
                memcpy(k, next, sizeof(k));
        }
        vn_hex(k, sizeof(k), r->signature);
        explicit_bzero(first.ptr, first.len);
        explicit_bzero(k, sizeof(k));
}

static enum vn_rc signing_start(struct signing *s, struct vn_err *err)
{
        time_t seconds = (time_t)(s->options->time_us / VN_US_PER_S);
        struct tm tm;
        bool host = false;

        if (s->request->header_count > VN_SIGV4_MAX_HEADERS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "more than %d headers to sign", VN_SIGV4_MAX_HEADERS);
        if (!gmtime_r(&seconds, &tm) || strftime(s->ret->date, sizeof(s->ret->date), "%Y%m%dT%H%M%SZ", &tm) != 16)
                return vn_fail(err, VN_INVALID_ARGUMENT, "time to sign is out of range");
        for (size_t i = 0; i < s->request->header_count; i++) {
                s->headers[s->header_count++] = s->request->headers[i];
                host = host || !name_cmp(s->request->headers[i].name, VN_STR("host"));
        }
        if (!host)
                return vn_fail(err, VN_INVALID_ARGUMENT, "no Host header to sign");
        vn_buf_reset(&s->ret->canonical);
        vn_buf_reset(&s->ret->string_to_sign);
        vn_buf_reset(&s->ret->authorization);
        vn_buf_reset(&s->ret->query);
        vn_buf_add(&s->scope, s->ret->date, 8);
        vn_buf_printf(&s->scope, "/%.*s/%.*s/aws4_request", VN_FMT(s->key->region), VN_FMT(s->key->service));
        hash_hex(s->request->body, s->ret->body_sha256);
        return vn_buf_check(&s->scope, err);
}

/* Unless the caller has it among its headers already. */
static void add_missing(struct signing *s, struct vn_str name, struct vn_str value)
{
        for (size_t i = 0; i < s->request->header_count; i++)
                if (!name_cmp(s->request->headers[i].name, name))
                        return;
        s->headers[s->header_count++] = (struct vn_sigv4_header){name, value};
}

/* The canonical request with the given query, then the string to sign and the signature. */
static enum vn_rc signing_finish(struct signing *s, struct vn_str query, struct vn_err *err)
{
        struct vn_sigv4_result *r = s->ret;
        char hash[65];

        vn_buf_str(&r->canonical, s->request->method);
        vn_buf_char(&r->canonical, '\n');
        VN_TRY(add_path(s, err));
        vn_buf_char(&r->canonical, '\n');
        VN_TRY(add_query(&r->canonical, query, err));
        vn_buf_char(&r->canonical, '\n');
        vn_buf_reset(&s->signed_names);
        add_headers(s);
        vn_buf_str(&r->canonical, vn_buf_view(&s->signed_names));
        vn_buf_char(&r->canonical, '\n');
        vn_buf_text(&r->canonical, r->body_sha256);
        VN_TRY(vn_buf_check(&r->canonical, err));
        VN_TRY(vn_buf_check(&s->signed_names, err));

        hash_hex(vn_buf_view(&r->canonical), hash);
        vn_buf_printf(&r->string_to_sign, ALGORITHM "\n%s\n%.*s\n%s", r->date, VN_FMT(vn_buf_view(&s->scope)), hash);
        VN_TRY(vn_buf_check(&r->string_to_sign, err));
        sign_string(s);
        return vn_buf_check(&r->string_to_sign, err);
}

static enum vn_rc sign_headers(struct signing *s, struct vn_err *err)
{
        struct vn_buf *out = &s->ret->authorization;

        VN_TRY(signing_start(s, err));
        add_missing(s, VN_STR("x-amz-date"), vn_str(s->ret->date));
        if (s->options->sign_body_header)
                add_missing(s, VN_STR("x-amz-content-sha256"), vn_str(s->ret->body_sha256));
        if (s->key->session_token.len > 0 && !s->options->token_after)
                add_missing(s, VN_STR("x-amz-security-token"), s->key->session_token);
        VN_TRY(signing_finish(s, s->request->query, err));
        vn_buf_text(out, ALGORITHM " Credential=");
        vn_buf_str(out, s->key->access_key_id);
        vn_buf_printf(out, "/%.*s, SignedHeaders=%.*s, Signature=%s", VN_FMT(vn_buf_view(&s->scope)),
                      VN_FMT(vn_buf_view(&s->signed_names)), s->ret->signature);
        return vn_buf_check(out, err);
}

/* X-Amz-SignedHeaders stands in the query that is signed, so the names are gathered before the request is made. */
static void gather_names(struct signing *s)
{
        sort_headers(s->headers, s->header_count);
        for (size_t i = 0; i < s->header_count; i++) {
                if (i > 0 && !name_cmp(s->headers[i].name, s->headers[i - 1].name))
                        continue;
                if (i > 0)
                        vn_buf_char(&s->signed_names, ';');
                add_lower(&s->signed_names, s->headers[i].name);
        }
}

static void add_token(struct signing *s)
{
        vn_buf_text(&s->ret->query, "&X-Amz-Security-Token=");
        vn_buf_url_encode(&s->ret->query, s->key->session_token, false);
}

static enum vn_rc sign_query(struct signing *s, struct vn_err *err)
{
        struct vn_buf *q = &s->ret->query;
        bool token = s->key->session_token.len > 0;

        VN_TRY(signing_start(s, err));
        vn_buf_str(q, s->request->query);
        if (q->len > 0)
                vn_buf_char(q, '&');
        vn_buf_text(q, "X-Amz-Algorithm=" ALGORITHM "&X-Amz-Credential=");
        vn_buf_url_encode(q, s->key->access_key_id, false);
        vn_buf_text(q, "%2F");
        vn_buf_url_encode(q, vn_buf_view(&s->scope), false);
        vn_buf_printf(q, "&X-Amz-Date=%s&X-Amz-SignedHeaders=", s->ret->date);
        gather_names(s);
        vn_buf_url_encode(q, vn_buf_view(&s->signed_names), false);
        vn_buf_printf(q, "&X-Amz-Expires=%u", s->options->expires_s);
        if (token && !s->options->token_after)
                add_token(s);
        VN_TRY(vn_buf_check(q, err));
        VN_TRY(signing_finish(s, vn_buf_view(q), err));
        if (token && s->options->token_after)
                add_token(s);
        vn_buf_printf(q, "&X-Amz-Signature=%s", s->ret->signature);
        return vn_buf_check(q, err);
}

static enum vn_rc run(struct signing *s, enum vn_rc (*sign)(struct signing *, struct vn_err *), struct vn_err *err)
{
        enum vn_rc rc;

        s->scope = VN_BUF_INIT(1024);
        s->signed_names = VN_BUF_INIT(16384);
        rc = sign(s, err);
        vn_buf_done(&s->scope);
        vn_buf_done(&s->signed_names);
        return rc;
}

enum vn_rc vn_sigv4_sign_headers(const struct vn_sigv4_request *request, const struct vn_sigv4_key *key,
                                 const struct vn_sigv4_options *options, struct vn_sigv4_result *ret,
                                 struct vn_err *err)
{
        struct signing s = {.request = request, .key = key, .options = options, .ret = ret};

        return run(&s, sign_headers, err);
}

enum vn_rc vn_sigv4_sign_query(const struct vn_sigv4_request *request, const struct vn_sigv4_key *key,
                               const struct vn_sigv4_options *options, struct vn_sigv4_result *ret,
                               struct vn_err *err)
{
        struct signing s = {.request = request, .key = key, .options = options, .ret = ret};

        return run(&s, sign_query, err);
}
