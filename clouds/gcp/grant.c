/* GCP: an invoke grant is an ID token for each function's address. */
#include "clouds/grant.h"

#include "clouds/gcp/gcp.h"

static enum vn_rc add_function(struct vn_cloud *cloud, const struct vn_cloud_function *f, struct vn_cloud_grant *ret,
                               struct vn_err *err)
{
        const struct vn_cloud_token *token;

        VN_TRY(vn_gcp_id_token(cloud, f->url, &token, err));
        if (!ret->expires_us || token->expires_us < ret->expires_us)
                ret->expires_us = token->expires_us;
        if (token->expires_us > ret->honoured_until_us)
                ret->honoured_until_us = token->expires_us;
        vn_buf_text(&ret->secret, "{\"name\":");
        vn_buf_json_string(&ret->secret, vn_str(f->name));
        vn_buf_text(&ret->secret, ",\"region\":");
        vn_buf_json_string(&ret->secret, vn_str(f->region));
        vn_buf_text(&ret->secret, ",\"url\":");
        vn_buf_json_string(&ret->secret, vn_str(f->url));
        vn_buf_printf(&ret->secret, ",\"header\":\"authorization\",\"value\":\"Bearer %.*s\"}", (int)token->len,
                      token->text);
        return vn_buf_check(&ret->secret, err);
}

enum vn_rc vn_gcp_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                        uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err)
{
        int64_t asked_us = vn_now_us(cloud->clock) + seconds * VN_US_PER_S;

        vn_buf_reserve(&ret->secret, 32768); /* a buffer that grows leaves copies behind */
        vn_buf_text(&ret->secret, "{\"cloud\":\"gcp\",\"functions\":[");
        for (size_t i = 0; i < count; i++) {
                vn_buf_text(&ret->secret, i ? "," : "");
                VN_TRY(add_function(cloud, functions[i], ret, err));
        }
        vn_buf_text(&ret->secret, "]}");
        /* The token's hour cannot be shortened, the gateway's use of it can. */
        if (asked_us < ret->expires_us)
                ret->expires_us = asked_us;
        snprintf(ret->honoured, sizeof(ret->honoured), "the tokens' end");
        return VN_OK;
}
