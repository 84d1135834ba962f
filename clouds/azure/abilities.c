/* Azure: what the identity may do on a site, from the roles that it has there. */
#include "clouds/azure/azure.h"
#include "clouds/permissions.h"

/* '*' stands for any text; case does not count. */
static bool matches(struct vn_str pattern, struct vn_str text)
{
        size_t p = 0, t = 0, star = SIZE_MAX, from = 0;

        while (t < text.len) {
                if (p < pattern.len && pattern.ptr[p] == '*') {
                        star = p++;
                        from = t;
                } else if (p < pattern.len &&
                           vn_str_eq_nocase(vn_str_n(pattern.ptr + p, 1), vn_str_n(text.ptr + t, 1))) {
                        p++;
                        t++;
                } else if (star != SIZE_MAX) {
                        p = star + 1;
                        t = ++from;
                } else {
                        return false;
                }
        }
        while (p < pattern.len && pattern.ptr[p] == '*')
                p++;
        return p == pattern.len;
}

static bool any_matches(json_t *patterns, const char *action)
{
        json_t *pattern;
        size_t i;

        json_array_foreach(patterns, i,
                           pattern) if (json_is_string(pattern) &&
                                        matches(vn_str(json_string_value(pattern)), vn_str(action))) return true;
        return false;
}

/* A role's exceptions take away from that role only. */
static bool allows(json_t *answer, const char *action)
{
        json_t *role;
        size_t i;

        json_array_foreach(json_object_get(answer, "value"), i,
                           role) if (any_matches(json_object_get(role, "actions"), action) &&
                                     !any_matches(json_object_get(role, "notActions"), action)) return true;
        return false;
}

enum vn_rc vn_azure_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                        bool *ret_invoke, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        char path[VN_CLOUD_RESOURCE_BYTES + 64];

        vn_cloud_response_init(&response);
        snprintf(path, sizeof(path), "%s/providers/Microsoft.Authorization/permissions", function->resource);
        VN_TRY(vn_azure_arm(cloud, "GET", vn_str(path), VN_STR("api-version=2022-04-01"), NULL, &response, &answer,
                            err));
        *ret_change = allows(answer, vn_permission_name(VN_CLOUD_AZURE, "change memory_mb"));
        *ret_invoke = allows(answer, vn_permission_name(VN_CLOUD_AZURE, "invoke"));
        return VN_OK;
}
