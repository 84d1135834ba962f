/* GCP: tokens from a service account's key. A JWT signed with the key goes to token_uri and comes back as an access
 * token, or as an ID token for one audience. */
#include <openssl/evp.h>
#include <openssl/pem.h>

#include "clouds/gcp/gcp.h"

#define SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define GRANT "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"
#define LIFE_S 3600

static enum vn_rc sign(const char *key_pem, struct vn_str text, struct vn_buf *ret, struct vn_err *err)
{
        BIO *bio = BIO_new_mem_buf(key_pem, -1);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        unsigned char signature[1024];
        size_t len = sizeof(signature);
        bool ok = key && context && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_size(key) <= (int)sizeof(signature) &&
                  EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                  EVP_DigestSign(context, signature, &len, (const unsigned char *)text.ptr, text.len) == 1;

        BIO_free(bio);
        EVP_PKEY_free(key);
        EVP_MD_CTX_free(context);
        if (!ok)
                return vn_fail(err, VN_UNAUTHENTICATED, "gcp: the account's private key cannot sign (RSA expected)");
        vn_buf_base64url(ret, signature, len);
        return VN_OK;
}

enum vn_rc vn_gcp_jwt(const char *email, const char *key_pem, const char *token_uri, const char *target_audience,
                      int64_t now_us, struct vn_buf *ret, struct vn_err *err)
{
        static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
        VN_AUTO(vn_buf)
        claims = VN_BUF_INIT(8192);
        VN_AUTO(vn_buf)
        signature = VN_BUF_INIT(4096);
        long long now_s = (long long)(now_us / VN_US_PER_S);
        size_t start;

        vn_buf_text(&claims, "{\"iss\":");
        vn_buf_json_string(&claims, vn_str(email));
        vn_buf_text(&claims, ",\"sub\":");
        vn_buf_json_string(&claims, vn_str(email));
        vn_buf_text(&claims, ",\"aud\":");
        vn_buf_json_string(&claims, vn_str(token_uri));
        vn_buf_text(&claims, target_audience ? ",\"target_audience\":" : ",\"scope\":");
        vn_buf_json_string(&claims, vn_str(target_audience ? target_audience : SCOPE));
        vn_buf_printf(&claims, ",\"iat\":%lld,\"exp\":%lld}", now_s, now_s + LIFE_S);
        VN_TRY(vn_buf_check(&claims, err));
        start = ret->len;
        vn_buf_base64url(ret, header, strlen(header));
        vn_buf_char(ret, '.');
        vn_buf_base64url(ret, claims.ptr, claims.len);
        VN_TRY(vn_buf_check(ret, err));
        VN_TRY(sign(key_pem, vn_str_n(ret->ptr + start, ret->len - start), &signature, err));
        vn_buf_char(ret, '.');
        vn_buf_str(ret, vn_buf_view(&signature));
        VN_TRY(vn_buf_check(&signature, err));
        return vn_buf_check(ret, err);
}

/* An ID token's answer has no expires_in: its own exp claim tells. */
static int64_t id_token_end_us(struct vn_str token, int64_t missing_us)
{
        VN_AUTO(vn_buf)
        claims = VN_BUF_INIT(16384);
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str payload;
        double exp;

        vn_str_cut(&token, '.');
        payload = token.ptr ? vn_str_cut(&token, '.') : VN_STR("");
        if (vn_base64_decode(payload, &claims) != VN_OK || vn_json_load(vn_buf_view(&claims), &root, NULL) != VN_OK)
                return missing_us;
        exp = vn_json_pick_number(root, "exp", 0);
        return exp > 0 && exp < 1e11 ? (int64_t)exp * VN_US_PER_S : missing_us;
}

static enum vn_rc store(struct vn_cloud *cloud, const char *audience, json_t *answer,
                        const struct vn_cloud_token **ret, struct vn_err *err)
{
        int64_t now = vn_now_us(cloud->clock);
        struct vn_str token;
        double seconds;

        if (audience[0]) {
                token = vn_json_str(answer, "id_token");
                return vn_token_store(cloud, audience, token, id_token_end_us(token, now + LIFE_S * VN_US_PER_S), ret,
                                      err);
        }
        token = vn_json_str(answer, "access_token");
        seconds = vn_json_pick_number(answer, "expires_in", 0);
        if (!(seconds > 0 && seconds < 1e7))
                return vn_fail(err, VN_DATA_LOSS, "gcp: token without lifetime");
        return vn_token_store(cloud, audience, token, now + (int64_t)(seconds * (double)VN_US_PER_S), ret, err);
}

static enum vn_rc fetch(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                        struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_buf)
        form = VN_BUF_INIT(16384);
        char host[VN_CLOUD_URL_BYTES];
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .anonymous = true,
                               .content_type = "application/x-www-form-urlencoded"};
        struct vn_str uri_host;
        enum vn_rc rc;

        vn_cloud_response_init(&response);
        VN_TRY(vn_link_split(vn_str(cloud->key_token_uri), &uri_host, &call.path, &call.query, err));
        vn_text_copy(host, sizeof(host), uri_host);
        vn_buf_text(&form, "grant_type=" GRANT "&assertion=");
        VN_TRY(vn_gcp_jwt(cloud->key_email, cloud->key_pem, cloud->key_token_uri, audience[0] ? audience : NULL,
                          vn_now_us(cloud->clock), &form, err));
        call.body = vn_buf_view(&form);
        rc = vn_call_json(cloud, &call, &response, &answer, err);
        explicit_bzero(form.ptr, form.len);
        if (rc == VN_INVALID_ARGUMENT) /* invalid_grant comes as 400 */
                return vn_err_prefix(err, VN_UNAUTHENTICATED, "gcp token");
        VN_TRY(rc);
        return store(cloud, audience, answer, ret, err);
}

enum vn_rc vn_gcp_id_token(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                           struct vn_err *err)
{
        vn_token_drop(cloud, audience);
        return fetch(cloud, audience, ret, err);
}

enum vn_rc vn_gcp_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch, struct vn_err *err)
{
        const char *audience = call->audience ? call->audience : "";
        const struct vn_cloud_token *token = vn_token_find(cloud, audience);

        (void)host;
        if (!token)
                VN_TRY(fetch(cloud, audience, &token, err));
        return vn_bearer(request, scratch, token, err);
}

enum vn_rc vn_gcp_open(struct vn_cloud *cloud, struct vn_err *err)
{
        VN_AUTO(vn_json)
        key = NULL;
        struct vn_str email, pem, uri, project;
        struct vn_cloud_config *c = &cloud->config;

        VN_TRY(vn_account_need(c->key_json, "key_json", err));
        if (vn_json_load(c->key_json, &key, NULL) != VN_OK)
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: key_json is not a service account's key file");
        email = vn_json_str(key, "client_email");
        pem = vn_json_str(key, "private_key");
        uri = vn_json_str(key, "token_uri");
        project = vn_json_str(key, "project_id");
        VN_TRY(vn_account_need(email, "client_email of the key", err));
        VN_TRY(vn_account_need(pem, "private_key of the key", err));
        uri = uri.len > 0 ? uri : VN_STR("https://oauth2.googleapis.com/token");
        cloud->key_email = vn_arena_strndup(&cloud->arena, email.ptr, email.len);
        cloud->key_pem = vn_arena_strndup(&cloud->arena, pem.ptr, pem.len);
        cloud->key_token_uri = vn_arena_strndup(&cloud->arena, uri.ptr, uri.len);
        if (c->project.len == 0)
                c->project = vn_str_n(vn_arena_strndup(&cloud->arena, project.ptr, project.len), project.len);
        if (!cloud->key_email || !cloud->key_pem || !cloud->key_token_uri || !c->project.ptr)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        return vn_account_need(c->project, "project", err);
}
