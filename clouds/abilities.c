/* What an account's credentials may do: the level that they can be used at, and what the next one lacks. */
#include "clouds/call.h"
#include "clouds/permissions.h"

enum vn_rc vn_cloud_abilities(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                              struct vn_cloud_abilities *ret, struct vn_err *err)
{
        const char *lacks = "";
        bool change = false, invoke = false;

        if (!cloud->ops->may)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: it cannot be asked what is allowed",
                               cloud->ops->name);
        VN_TRY(cloud->ops->may(cloud, function, &change, &invoke, err));
        memset(ret, 0, sizeof(*ret));
        ret->level = !change ? VN_MAY_OBSERVE : invoke ? VN_MAY_INVOKE : VN_MAY_TUNE;
        if (!change)
                lacks = vn_permission_name(cloud->config.kind, "change memory_mb");
        else if (!invoke)
                lacks = vn_permission_name(cloud->config.kind, "invoke");
        vn_text_copy(ret->refused, sizeof(ret->refused), vn_str(lacks));
        return VN_OK;
}
