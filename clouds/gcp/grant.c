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
        vn_grant_line(&ret->secret, "function", vn_str(f->name));
        vn_grant_line(&ret->secret, "region", vn_str(f->region));
        vn_grant_line(&ret->secret, "url", vn_str(f->url));
        vn_grant_line(&ret->secret, "header", VN_STR("authorization"));
        if (memchr(token->text, '\n', token->len))
                return vn_fail(err, VN_DATA_LOSS, "gcp: a token of several lines");
        vn_buf_text(&ret->secret, "value Bearer ");
        vn_buf_str(&ret->secret, vn_str_n(token->text, token->len));
        vn_buf_char(&ret->secret, '\n');
        return vn_buf_check(&ret->secret, err);
}

enum vn_rc vn_gcp_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                        uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err)
{
        int64_t asked_us = vn_now_us(cloud->clock) + seconds * VN_US_PER_S;

        vn_buf_reserve(&ret->secret, 32768); /* a buffer that grows leaves copies behind */
        vn_grant_line(&ret->secret, "cloud", VN_STR("gcp"));
        for (size_t i = 0; i < count; i++)
                VN_TRY(add_function(cloud, functions[i], ret, err));
        /* The token's hour cannot be shortened, the gateway's use of it can. */
        if (asked_us < ret->expires_us)
                ret->expires_us = asked_us;
        snprintf(ret->honoured, sizeof(ret->honoured), "the tokens' end");
        return VN_OK;
}
