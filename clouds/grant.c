/* What the clouds' grants share: bounds, wiping. */
#include "clouds/grant.h"

#include "clouds/call.h"

enum vn_rc vn_cloud_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                          uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err)
{
        *ret = (struct vn_cloud_grant){.secret = VN_BUF_INIT(VN_CLOUD_GRANT_MAX_BYTES)};
        if (!cloud->ops->grant)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: it has no invoke grants", cloud->ops->name);
        if (!count || count > VN_CLOUD_GRANT_MAX_FUNCTIONS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "a grant is for 1 to %d functions",
                               VN_CLOUD_GRANT_MAX_FUNCTIONS);
        enum vn_rc rc = cloud->ops->grant(cloud, functions, count, seconds, ret, err);
        if (rc == VN_OK)
                rc = vn_buf_check(&ret->secret, err);
        if (rc != VN_OK)
                vn_cloud_grant_done(ret);
        return rc;
}

void vn_grant_line(struct vn_buf *ret, const char *name, struct vn_str value)
{
        for (size_t i = 0; i < value.len; i++)
                if ((unsigned char)value.ptr[i] < ' ' || value.ptr[i] == 0x7f)
                        ret->failed = true;
        vn_buf_text(ret, name);
        vn_buf_char(ret, ' ');
        vn_buf_str(ret, value);
        vn_buf_char(ret, '\n');
}

void vn_cloud_grant_done(struct vn_cloud_grant *grant)
{
        if (grant->secret.ptr)
                explicit_bzero(grant->secret.ptr, grant->secret.cap);
        vn_buf_done(&grant->secret);
}
