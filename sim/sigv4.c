/* sigv4.c - see sigv4.h. */
#include "sim/sigv4.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/hash.h"

#define MAX_PARAMS 64
#define MAX_CANONICAL_BYTES (64u << 10)
#define MAX_SKEW_US (300 * VN_US_PER_S)

struct authorization {
        struct vn_str key_id, date, region, service, signed_headers, signature;
};

/* "Credential=AKID/20261124/us-east-1/lambda/aws4_request, SignedHeaders=a;b, Signature=hex" */
static bool parse_authorization(struct vn_str text, struct authorization *ret)
{
        memset(ret, 0, sizeof *ret);
        struct vn_str terminator = {0}, rest = text;
        if (!vn_str_eq(vn_str_cut(&rest, ' '), VN_STR("AWS4-HMAC-SHA256")))
                return false;
        while (rest.ptr) {
                struct vn_str value = vn_str_trim(vn_str_cut(&rest, ',')), key = vn_str_cut(&value, '=');
                if (vn_str_eq(key, VN_STR("Credential"))) {
                        ret->key_id = vn_str_cut(&value, '/');
                        ret->date = vn_str_cut(&value, '/');
                        ret->region = vn_str_cut(&value, '/');
                        ret->service = vn_str_cut(&value, '/');
                        terminator = value;
                } else if (vn_str_eq(key, VN_STR("SignedHeaders"))) {
                        ret->signed_headers = value;
                } else if (vn_str_eq(key, VN_STR("Signature"))) {
                        ret->signature = value;
                }
        }
        return ret->key_id.len && ret->date.len == 8 && ret->region.len && ret->service.len &&
               vn_str_eq(terminator, VN_STR("aws4_request")) && ret->signed_headers.len && ret->signature.len == 64;
}

struct param {
        char *text; /* "name=value", both encoded */
};

static int compare_params(const void *a, const void *b)
{
        /* '=' sorts before no character that an encoded name can hold but '-', '.', digits: compare name, then value. */
        const char *x = ((const struct param *)a)->text, *y = ((const struct param *)b)->text;
        size_t x_name = strcspn(x, "="), y_name = strcspn(y, "=");
        int name = vn_str_cmp(vn_str_n(x, x_name), vn_str_n(y, y_name));
        return name ? name : strcmp(x + x_name, y + y_name);
}

static bool encode_part(struct vn_str raw, struct vn_buf *to)
{
        VN_AUTO(vn_buf)
        plain = VN_BUF_INIT(MAX_CANONICAL_BYTES);
        return vn_url_decode(raw, &plain) == VN_OK && vn_buf_url_encode(to, vn_buf_view(&plain), false);
}

static bool canonical_query(struct vn_str query, struct vn_buf *ret)
{
        struct param params[MAX_PARAMS];
        size_t count = 0;
        bool good = true;
        struct vn_str rest = query;
        while (good && rest.ptr && rest.len) {
                struct vn_str value = vn_str_cut(&rest, '&'), key = vn_str_cut(&value, '=');
                if (!key.len && !value.len)
                        continue;
                VN_AUTO(vn_buf)
                one = VN_BUF_INIT(MAX_CANONICAL_BYTES);
                good = count < MAX_PARAMS && encode_part(key, &one) && vn_buf_char(&one, '=') &&
                       (!value.len || encode_part(value, &one));
                if (good)
                        params[count++].text = vn_buf_take(&one);
                good = good && params[count - 1].text;
        }
        if (good && count)
                qsort(params, count, sizeof *params, compare_params);
        for (size_t i = 0; i < count; i++) {
                good = good && (!i || vn_buf_char(ret, '&')) && vn_buf_text(ret, params[i].text);
                vn_free(params[i].text);
        }
        return good;
}

/* Trimmed, runs of blanks made one. */
static bool add_header_value(struct vn_str value, struct vn_buf *ret)
{
        value = vn_str_trim(value);
        for (size_t i = 0; i < value.len; i++) {
                if (value.ptr[i] == ' ' && i && value.ptr[i - 1] == ' ')
                        continue;
                vn_buf_char(ret, value.ptr[i]);
        }
        return !ret->failed;
}

bool vn_sigv4_canonical(const struct vn_sim_request *request, struct vn_str signed_headers,
                        struct vn_str payload_hash, bool s3, struct vn_buf *ret)
{
        VN_AUTO(vn_buf)
        once = VN_BUF_INIT(MAX_CANONICAL_BYTES);
        vn_buf_str(ret, request->verb);
        vn_buf_char(ret, '\n');
        /* Every service but S3 encodes the path twice: once as it travels, once more for the signature. */
        vn_buf_url_encode(&once, request->path, true);
        if (s3)
                vn_buf_str(ret, vn_buf_view(&once));
        else
                vn_buf_url_encode(ret, vn_buf_view(&once), true);
        vn_buf_char(ret, '\n');
        if (!canonical_query(request->query, ret))
                return false;
        vn_buf_char(ret, '\n');
        for (struct vn_str rest = signed_headers; rest.ptr;) {
                char name[128];
                if (!vn_str_copy(name, sizeof name, vn_str_cut(&rest, ';')))
                        return false;
                vn_buf_text(ret, name);
                vn_buf_char(ret, ':');
                add_header_value(vn_sim_header(request, name), ret);
                vn_buf_char(ret, '\n');
        }
        vn_buf_char(ret, '\n');
        vn_buf_str(ret, signed_headers);
        vn_buf_char(ret, '\n');
        vn_buf_str(ret, payload_hash);
        return !ret->failed && !once.failed;
}

/* "20261124T133412Z" */
static bool parse_date(struct vn_str text, int64_t *ret_us)
{
        char rfc[32];
        if (text.len != 16 || text.ptr[8] != 'T' || text.ptr[15] != 'Z')
                return false;
        const char *d = text.ptr;
        snprintf(rfc, sizeof rfc, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", d, d + 4, d + 6, d + 9, d + 11, d + 13);
        return vn_time_parse(rfc, strlen(rfc), ret_us) == VN_OK;
}

static bool is_signed(const struct authorization *a, const char *name)
{
        for (struct vn_str rest = a->signed_headers; rest.ptr;) {
                if (vn_str_eq(vn_str_cut(&rest, ';'), vn_str(name)))
                        return true;
        }
        return false;
}

static bool signature_matches(const struct vn_sim_request *request, const struct authorization *a, const char *secret,
                              struct vn_str amz_date)
{
        VN_AUTO(vn_buf)
        canonical = VN_BUF_INIT(2 * MAX_CANONICAL_BYTES);
        VN_AUTO(vn_buf)
        to_sign = VN_BUF_INIT(1024);
        uint8_t hash[VN_SHA256_BYTES], key[VN_SHA256_BYTES], next[VN_SHA256_BYTES];
        char hex[2 * VN_SHA256_BYTES + 1], first[80];

        vn_sha256(request->body.ptr ? request->body.ptr : "", request->body.len, hash);
        vn_hex(hash, sizeof hash, hex);
        /* The declared hash, if there is one, must be that of the body: else a proxy could change it unseen. S3 lets a
         * client leave that to TLS. */
        struct vn_str declared = vn_sim_header(request, "x-amz-content-sha256"), signed_hash = vn_str(hex);
        bool s3 = vn_str_eq(a->service, VN_STR("s3"));
        if (s3 && vn_str_eq(declared, VN_STR("UNSIGNED-PAYLOAD")))
                signed_hash = declared;
        else if ((declared.len || s3) && !vn_str_eq(declared, vn_str(hex)))
                return false;
        if (!vn_sigv4_canonical(request, a->signed_headers, signed_hash, s3, &canonical))
                return false;
        vn_sha256(canonical.ptr, canonical.len, hash);
        vn_hex(hash, sizeof hash, hex);
        vn_buf_printf(&to_sign, "AWS4-HMAC-SHA256\n%.*s\n%.*s/%.*s/%.*s/aws4_request\n%s", VN_FMT(amz_date),
                      VN_FMT(a->date), VN_FMT(a->region), VN_FMT(a->service), hex);
        snprintf(first, sizeof first, "AWS4%s", secret);
        vn_hmac_sha256(vn_str(first), a->date, key);
        vn_hmac_sha256(vn_str_n(key, sizeof key), a->region, next);
        vn_hmac_sha256(vn_str_n(next, sizeof next), a->service, key);
        vn_hmac_sha256(vn_str_n(key, sizeof key), VN_STR("aws4_request"), next);
        vn_hmac_sha256(vn_str_n(next, sizeof next), vn_buf_view(&to_sign), key);
        vn_hex(key, sizeof key, hex);
        return !to_sign.failed && vn_str_eq_secret(vn_str(hex), a->signature);
}

static enum vn_sigv4_verdict say(struct vn_sigv4_result *ret, enum vn_sigv4_verdict verdict, const char *message)
{
        snprintf(ret->message, sizeof ret->message, "%s", message);
        return verdict;
}

static int64_t distance(int64_t a, int64_t b)
{
        return a > b ? a - b : b - a;
}

enum vn_sigv4_verdict vn_sigv4_verify(const struct vn_sim_request *request, const struct vn_sigv4_key *keys,
                                      size_t key_count, int64_t now_us, int64_t real_us, struct vn_sigv4_result *ret)
{
        struct authorization a;
        struct vn_str header = vn_sim_header(request, "authorization"), date = vn_sim_header(request, "x-amz-date");
        int64_t at_us;
        memset(ret, 0, sizeof *ret);
        if (!header.len)
                return say(ret, VN_SIGV4_MISSING, "Missing Authentication Token");
        if (!parse_authorization(header, &a) || !vn_str_copy(ret->service, sizeof ret->service, a.service))
                return say(ret, VN_SIGV4_INCOMPLETE,
                           "Authorization header requires Credential, SignedHeaders and Signature.");
        if (!is_signed(&a, "host") || !is_signed(&a, "x-amz-date") || !parse_date(date, &at_us) ||
            !vn_str_eq(a.date, vn_str_n(date.ptr, 8)))
                return say(ret, VN_SIGV4_INCOMPLETE,
                           "The host and X-Amz-Date headers must be signed, and the scope be of that date.");
        for (ret->key = 0; ret->key < key_count; ret->key++) {
                if (vn_str_eq(a.key_id, vn_str(keys[ret->key].key_id)))
                        break;
        }
        if (ret->key == key_count)
                return say(ret, VN_SIGV4_UNKNOWN_KEY, "The security token included in the request is invalid.");
        /* The price list has one home for all regions. */
        const char *region = keys[ret->key].region;
        if (region && !vn_str_eq(a.region, vn_str(region)) && !vn_str_eq(a.service, VN_STR("pricing")))
                return say(ret, VN_SIGV4_SCOPE, "Credential should be scoped to a valid region.");
        if (distance(at_us, now_us) > MAX_SKEW_US && distance(at_us, real_us) > MAX_SKEW_US) {
                char now[VN_TIME_TEXT_BYTES];
                vn_time_format(now_us, now);
                snprintf(ret->message, sizeof ret->message, "Signature %s: %.*s is more than 5 minutes from %s.",
                         at_us < now_us ? "expired" : "not yet current", VN_FMT(date), now);
                return VN_SIGV4_EXPIRED;
        }
        if (!signature_matches(request, &a, keys[ret->key].secret, date))
                return say(ret, VN_SIGV4_MISMATCH,
                           "The request signature we calculated does not match the signature you provided. Check "
                           "your AWS "
                           "Secret Access Key and signing method. Consult the service documentation for details.");
        return VN_SIGV4_OK;
}
