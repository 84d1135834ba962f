/* GCP: tokens from a service account's key. A JWT signed with the key goes to token_uri and comes back as an access
 * token, or as an ID token for one audience. */
#include "clouds/gcp/credentials.h"

#define GRANT "urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer"

static enum vn_rc write_jwt(const struct vn_gcp_source *source, const char *audience, int64_t now_us,
                            struct vn_buf *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        claims = VN_BUF_INIT(8192);
        long long now_s = (long long)(now_us / VN_US_PER_S);

        vn_buf_text(&claims, "{\"iss\":");
        vn_buf_json_string(&claims, source->email);
        vn_buf_text(&claims, ",\"sub\":");
        vn_buf_json_string(&claims, source->email);
        vn_buf_text(&claims, ",\"aud\":");
        vn_buf_json_string(&claims, source->token_uri);
        vn_buf_text(&claims, audience[0] ? ",\"target_audience\":" : ",\"scope\":");
        vn_buf_json_string(&claims, vn_str(audience[0] ? audience : VN_GCP_SCOPE));
        vn_buf_printf(&claims, ",\"iat\":%lld,\"exp\":%lld}", now_s, now_s + VN_GCP_LIFE_S);
        VN_TRY(vn_buf_check(&claims, err));
        return vn_jwt_sign(VN_STR("{\"alg\":\"RS256\",\"typ\":\"JWT\"}"), vn_buf_view(&claims), source->pem, ret,
                           err);
}

enum vn_rc vn_gcp_keep_token(struct vn_cloud *cloud, json_t *answer, const char *slot,
                             const struct vn_cloud_token **ret, struct vn_err *err)
{
        double seconds = vn_json_pick_number(answer, "expires_in", 0);

        if (!(seconds > 0 && seconds < 1e7))
                return vn_fail(err, VN_DATA_LOSS, "gcp: token without lifetime");
        return vn_token_store(cloud, slot, vn_json_str(answer, "access_token"),
                              vn_now_us(cloud->clock) + (int64_t)(seconds * (double)VN_US_PER_S), ret, err);
}

enum vn_rc vn_gcp_key_token(struct vn_cloud *cloud, const struct vn_gcp_source *source, const char *audience,
                            const char *slot, const struct vn_cloud_token **ret, struct vn_err *err)
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
        struct vn_str uri_host, token;
        enum vn_rc rc;

        vn_cloud_response_init(&response);
        VN_TRY(vn_link_split(source->token_uri, &uri_host, &call.path, &call.query, err));
        vn_text_copy(host, sizeof(host), uri_host);
        vn_buf_text(&form, "grant_type=" GRANT "&assertion=");
        VN_TRY(write_jwt(source, audience, vn_now_us(cloud->clock), &form, err));
        call.body = vn_buf_view(&form);
        rc = vn_call_json(cloud, &call, &response, &answer, err);
        explicit_bzero(form.ptr, form.len);
        if (rc == VN_INVALID_ARGUMENT) /* invalid_grant comes as 400 */
                return vn_err_prefix(err, VN_UNAUTHENTICATED, "gcp token");
        VN_TRY(rc);
        if (!audience[0])
                return vn_gcp_keep_token(cloud, answer, slot, ret, err);
        token = vn_json_str(answer, "id_token");
        return vn_token_store(cloud, slot, token,
                              vn_jwt_end_us(token, vn_now_us(cloud->clock) + VN_GCP_LIFE_S * VN_US_PER_S), ret, err);
}
