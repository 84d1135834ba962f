/* GCP: what the service account may do in its project. */
#include "clouds/gcp/gcp.h"
#include "clouds/permissions.h"

static bool holds(json_t *answer, const char *permission)
{
        json_t *one;
        size_t i;

        json_array_foreach(json_object_get(answer, "permissions"), i,
                           one) if (json_is_string(one) && !strcmp(json_string_value(one), permission)) return true;
        return false;
}

enum vn_rc vn_gcp_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                      bool *ret_invoke, struct vn_err *err)
{
        const char *change = vn_permission_name(VN_CLOUD_GCP, "change memory_mb"),
                   *invoke = vn_permission_name(VN_CLOUD_GCP, "invoke");
        VN_AUTO(vn_json)
        body = json_pack("{s:[s,s]}", "permissions", change, invoke);
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(512);

        (void)function; /* roles are the project's */
        if (!body)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        vn_buf_text(&path, "/v1/projects/");
        vn_buf_url_encode(&path, cloud->config.project, false);
        vn_buf_text(&path, ":testIamPermissions");
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_gcp_call(cloud, "POST", "cloudresourcemanager.googleapis.com", vn_buf_view(&path), VN_STR(""), body,
                           false, &answer, err));
        *ret_change = holds(answer, change);
        *ret_invoke = holds(answer, invoke);
        return VN_OK;
}
