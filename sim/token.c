/* token.c - see token.h. */
#include "sim/token.h"

#include <stdio.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/mem.h"

#define MAX_TOKEN_BYTES 16384
#define SLACK_US (300 * VN_US_PER_S)

enum vn_rc vn_token_sign(const uint8_t key[32], const json_t *claims, struct vn_buf *ret, struct vn_err *err)
{
        static const char header[] = "{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"vane-sim\"}";
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(MAX_TOKEN_BYTES);
        uint8_t mac[VN_SHA256_BYTES];
        char *text = json_dumps(claims, JSON_COMPACT);
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a token");
        vn_buf_base64url(&token, header, sizeof header - 1);
        vn_buf_char(&token, '.');
        vn_buf_base64url(&token, text, strlen(text));
        free(text);
        vn_hmac_sha256(vn_str_n(key, 32), vn_buf_view(&token), mac);
        vn_buf_char(&token, '.');
        vn_buf_base64url(&token, mac, sizeof mac);
        VN_TRY(vn_buf_check(&token, err));
        vn_buf_str(ret, vn_buf_view(&token));
        return vn_buf_check(ret, err);
}

struct parts {
        struct vn_str signed_text, header, payload, signature;
};

static enum vn_rc split(struct vn_str token, struct parts *ret, struct vn_err *err)
{
        struct vn_str rest = token;
        ret->header = vn_str_cut(&rest, '.');
        ret->payload = rest.ptr ? vn_str_cut(&rest, '.') : VN_STR("");
        ret->signature = rest.ptr ? rest : VN_STR("");
        if (token.len > MAX_TOKEN_BYTES || !ret->header.len || !ret->payload.len || !ret->signature.len ||
            memchr(ret->signature.ptr, '.', ret->signature.len))
                return vn_fail(err, VN_UNAUTHENTICATED, "not a JWT");
        ret->signed_text = vn_str_n(token.ptr, ret->header.len + 1 + ret->payload.len);
        return VN_OK;
}

static enum vn_rc decode(struct vn_str part, json_t **ret, struct vn_err *err)
{
        static const struct vn_json_limits limits = {.max_bytes = MAX_TOKEN_BYTES, .max_depth = 6, .max_values = 200};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_TOKEN_BYTES);
        if (vn_base64_decode(part, &text) != VN_OK || vn_json_parse(vn_buf_view(&text), &limits, ret, NULL) != VN_OK)
                return vn_fail(err, VN_UNAUTHENTICATED, "the token's JSON cannot be read");
        return VN_OK;
}

static enum vn_rc check_algorithm(struct vn_str header, const char *wanted, struct vn_err *err)
{
        VN_AUTO(vn_json)
        json = NULL;
        struct vn_str alg;
        VN_TRY(decode(header, &json, err));
        if (!json_is_object(json) || vn_json_text(json, "alg", &alg, NULL) != VN_OK ||
            !vn_str_eq(alg, vn_str(wanted)))
                return vn_fail(err, VN_UNAUTHENTICATED, "the token is not signed with %s", wanted);
        return VN_OK;
}

static enum vn_rc claims_of(const struct parts *parts, json_t **ret, struct vn_err *err)
{
        VN_TRY(decode(parts->payload, ret, err));
        if (json_is_object(*ret))
                return VN_OK;
        json_decref(*ret);
        *ret = NULL;
        return vn_fail(err, VN_UNAUTHENTICATED, "the token's claims are no object");
}

enum vn_rc vn_token_verify(const uint8_t key[32], struct vn_str token, json_t **ret_claims, struct vn_err *err)
{
        struct parts parts;
        uint8_t mac[VN_SHA256_BYTES];
        VN_AUTO(vn_buf)
        sent = VN_BUF_INIT(512);
        VN_TRY(split(token, &parts, err));
        VN_TRY(check_algorithm(parts.header, "HS256", err));
        vn_hmac_sha256(vn_str_n(key, 32), parts.signed_text, mac);
        if (vn_base64_decode(parts.signature, &sent) != VN_OK ||
            !vn_str_eq_secret(vn_buf_view(&sent), vn_str_n(mac, sizeof mac)))
                return vn_fail(err, VN_UNAUTHENTICATED, "the token's signature is wrong");
        return claims_of(&parts, ret_claims, err);
}

static bool set_padding(EVP_PKEY_CTX *key, bool pss)
{
        return !pss || (EVP_PKEY_CTX_set_rsa_padding(key, RSA_PKCS1_PSS_PADDING) == 1 &&
                        EVP_PKEY_CTX_set_rsa_pss_saltlen(key, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static enum vn_rc verify_rsa(const char *public_pem, struct vn_str token, bool pss, json_t **ret_claims,
                             struct vn_err *err)
{
        struct parts parts;
        VN_AUTO(vn_buf)
        sent = VN_BUF_INIT(2048);
        EVP_PKEY_CTX *key_context = NULL; /* the digest context's */
        VN_TRY(split(token, &parts, err));
        VN_TRY(check_algorithm(parts.header, pss ? "PS256" : "RS256", err));
        if (vn_base64_decode(parts.signature, &sent) != VN_OK)
                return vn_fail(err, VN_UNAUTHENTICATED, "the token's signature cannot be read");
        BIO *bio = BIO_new_mem_buf(public_pem, -1);
        EVP_PKEY *key = bio ? PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL) : NULL;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        bool good = key && context && EVP_DigestVerifyInit(context, &key_context, EVP_sha256(), NULL, key) == 1 &&
                    set_padding(key_context, pss) &&
                    EVP_DigestVerify(context, (const unsigned char *)sent.ptr, sent.len,
                                     (const unsigned char *)parts.signed_text.ptr, parts.signed_text.len) == 1;
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(key);
        BIO_free(bio);
        if (!good)
                return vn_fail(err, VN_UNAUTHENTICATED, "the token's signature is wrong");
        return claims_of(&parts, ret_claims, err);
}

enum vn_rc vn_token_verify_rs256(const char *public_pem, struct vn_str token, json_t **ret_claims, struct vn_err *err)
{
        return verify_rsa(public_pem, token, false, ret_claims, err);
}

enum vn_rc vn_token_verify_ps256(const char *public_pem, struct vn_str token, json_t **ret_claims, struct vn_err *err)
{
        return verify_rsa(public_pem, token, true, ret_claims, err);
}

enum vn_rc vn_token_header(struct vn_str token, json_t **ret, struct vn_err *err)
{
        struct parts parts;
        VN_TRY(split(token, &parts, err));
        return decode(parts.header, ret, err);
}

static bool sign_rsa(const char *private_pem, struct vn_str text, struct vn_buf *ret)
{
        unsigned char signature[512];
        size_t len = sizeof signature;
        BIO *bio = BIO_new_mem_buf(private_pem, -1);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        bool good = key && context && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                    EVP_DigestSign(context, signature, &len, (const unsigned char *)text.ptr, text.len) == 1;
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(key);
        BIO_free(bio);
        return good && vn_buf_base64url(ret, signature, len);
}

enum vn_rc vn_token_sign_rs256(const char *private_pem, const char *key_id, const json_t *claims, struct vn_buf *ret,
                               struct vn_err *err)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(MAX_TOKEN_BYTES);
        VN_AUTO(vn_buf)
        signature = VN_BUF_INIT(1024);
        char header[128];
        char *text = json_dumps(claims, JSON_COMPACT);
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a token");
        snprintf(header, sizeof header, "{\"typ\":\"JWT\",\"alg\":\"RS256\",\"kid\":\"%s\"}", key_id);
        vn_buf_base64url(&token, header, strlen(header));
        vn_buf_char(&token, '.');
        vn_buf_base64url(&token, text, strlen(text));
        free(text);
        VN_TRY(vn_buf_check(&token, err));
        if (!sign_rsa(private_pem, vn_buf_view(&token), &signature))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a signature");
        vn_buf_str(ret, vn_buf_view(&token));
        vn_buf_char(ret, '.');
        vn_buf_str(ret, vn_buf_view(&signature));
        return vn_buf_check(ret, err);
}

static bool in_time(int64_t from_us, int64_t until_us, int64_t now_us)
{
        return now_us + SLACK_US >= from_us && now_us < until_us;
}

enum vn_rc vn_token_in_time(const json_t *claims, int64_t now_us, int64_t real_us, struct vn_err *err)
{
        int64_t exp, iat = 0, nbf = 0;
        if (vn_json_i64(claims, "exp", &exp, NULL) != VN_OK || exp < 0 || exp > INT64_C(100000000000))
                return vn_fail(err, VN_UNAUTHENTICATED, "the token has no exp");
        if (json_object_get(claims, "iat") &&
            (vn_json_i64(claims, "iat", &iat, NULL) != VN_OK || iat < 0 || iat > exp))
                return vn_fail(err, VN_UNAUTHENTICATED, "the token's iat is wrong");
        if (json_object_get(claims, "nbf") &&
            (vn_json_i64(claims, "nbf", &nbf, NULL) != VN_OK || nbf < 0 || nbf > exp))
                return vn_fail(err, VN_UNAUTHENTICATED, "the token's nbf is wrong");
        int64_t from_us = (iat > nbf ? iat : nbf) * VN_US_PER_S, until_us = exp * VN_US_PER_S;
        if (!in_time(from_us, until_us, now_us) && !in_time(from_us, until_us, real_us))
                return vn_fail(err, VN_UNAUTHENTICATED, "the token has expired or is not valid yet");
        return VN_OK;
}

static char *bio_text(BIO *bio)
{
        char *data = NULL;
        long n = BIO_get_mem_data(bio, &data);
        return n > 0 ? vn_strndup(data, (size_t)n) : NULL;
}

enum vn_rc vn_token_make_key(char *ret_id, size_t id_bytes, char **ret_private_pem, char **ret_public_pem,
                             struct vn_err *err)
{
        EVP_PKEY *key = EVP_RSA_gen(2048);
        BIO *private_bio = BIO_new(BIO_s_mem()), *public_bio = BIO_new(BIO_s_mem());
        uint8_t hash[VN_SHA256_BYTES];
        char hex[2 * VN_SHA256_BYTES + 1];
        *ret_private_pem = *ret_public_pem = NULL;
        if (key && private_bio && public_bio &&
            PEM_write_bio_PKCS8PrivateKey(private_bio, key, NULL, NULL, 0, NULL, NULL) == 1 &&
            PEM_write_bio_PUBKEY(public_bio, key) == 1) {
                *ret_private_pem = bio_text(private_bio);
                *ret_public_pem = bio_text(public_bio);
        }
        BIO_free(private_bio);
        BIO_free(public_bio);
        EVP_PKEY_free(key);
        if (!*ret_private_pem || !*ret_public_pem) {
                vn_free(*ret_private_pem);
                vn_free(*ret_public_pem);
                *ret_private_pem = *ret_public_pem = NULL;
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a key");
        }
        vn_sha256(*ret_public_pem, strlen(*ret_public_pem), hash);
        vn_hex(hash, 20, hex);
        if (!vn_str_copy(ret_id, id_bytes, vn_str(hex)))
                ret_id[0] = 0;
        return VN_OK;
}
