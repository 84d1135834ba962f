/* GCP: changing one field of a function's serviceConfig: read, compare, PATCH with a mask of that field alone, follow the
 * operation, read again. There is no etag: the last update's time is compared, one round trip before the write; in that
 * window another writer can slip in, of whose fields the mask overwrites this one only. What the service refuses (more than
 * one request at once needs a whole CPU, a size that does not go with the CPU) comes through as its own error. */
#include "clouds/gcp/gcp.h"

enum vn_rc vn_gcp_follow(struct vn_cloud *cloud, const char *host, json_t **operation, int64_t max_wait_us,
                         struct vn_err *err)
{
        struct vn_wait wait = {.max_us = max_wait_us};
        char path[512];

        while (!json_is_true(json_object_get(*operation, "done"))) {
                json_t *next = NULL;
                struct vn_str name = vn_json_str(*operation, "name");

                if (name.len == 0 || memchr(name.ptr, '?', name.len))
                        return vn_fail(err, VN_DATA_LOSS, "gcp: a change was answered without an operation");
                snprintf(path, sizeof(path), "/v2/%.*s", VN_FMT(name));
                if (!vn_wait_more(cloud, &wait, NULL))
                        return vn_fail(err, VN_DEADLINE_EXCEEDED, "gcp: the change is still running");
                VN_TRY(vn_gcp_call(cloud, "GET", host, vn_str(path), VN_STR(""), NULL, false, &next, err));
                json_decref(*operation);
                *operation = next;
        }
        if (vn_json_at(*operation, "error"))
                return vn_fail(err, VN_ABORTED, "gcp: the change failed with code %.0f: %.120s",
                               vn_json_pick_number(*operation, "error.code", 0),
                               vn_json_str(*operation, "error.message").ptr);
        return VN_OK;
}

static json_t *patch_of(const char *resource, enum vn_cloud_setting setting, const char *member, uint32_t value)
{
        char quantity[32];

        snprintf(quantity, sizeof(quantity), "%uMi", value);
        return json_pack("{s:s, s:{s:o}}", "name", resource, "serviceConfig", member,
                         setting == VN_SETTING_MEMORY_MB ? json_string(quantity) : json_integer(value));
}

enum vn_rc vn_gcp_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                         enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                         struct vn_cloud_function *ret, struct vn_err *err)
{
        static const char *const members[] = {[VN_SETTING_MEMORY_MB] = "availableMemory",
                                              [VN_SETTING_CONCURRENCY] = "maxInstanceRequestConcurrency",
                                              [VN_SETTING_MAX_INSTANCES] = "maxInstanceCount",
                                              [VN_SETTING_WARM_INSTANCES] = "minInstanceCount"};
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_json)
        operation = NULL;
        char path[VN_CLOUD_RESOURCE_BYTES + 8], mask[80];
        uint32_t got;

        VN_TRY(vn_gcp_read(cloud, as_read, ret, err));
        if (strcmp(ret->guard, as_read->guard) != 0)
                return vn_fail(err, VN_ABORTED, "gcp: %s was changed by somebody else", as_read->name);
        if (!ret->memory_tunable)
                return vn_fail(err, VN_FAILED_PRECONDITION, "gcp: %s is of the first generation", as_read->name);
        snprintf(path, sizeof(path), "/v2/%s", as_read->resource);
        snprintf(mask, sizeof(mask), "updateMask=serviceConfig.%s", members[setting]);
        body = patch_of(as_read->resource, setting, members[setting], value);
        if (!body)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        VN_TRY(vn_gcp_call(cloud, "PATCH", VN_GCP_FUNCTIONS_HOST, vn_str(path), vn_str(mask), body, true, &operation,
                           err));
        VN_TRY(vn_gcp_follow(cloud, VN_GCP_FUNCTIONS_HOST, &operation, max_wait_us, err));
        VN_TRY(vn_gcp_read(cloud, as_read, ret, err));
        got = vn_setting_value(ret, setting);
        /* A limit that was taken away comes back as the service's default. */
        if (got != value && !(value == 0 && setting != VN_SETTING_WARM_INSTANCES))
                return vn_fail(err, VN_ABORTED, "gcp: %s has %u for %s after the change to %u", as_read->name, got,
                               vn_cloud_setting_name(setting), value);
        return VN_OK;
}
