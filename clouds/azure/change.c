/* Azure: changing the instance memory of a Flex Consumption site: read, compare, PUT the whole site, follow the operation.
 * Microsoft.Web documents no If-Match, so between the comparison and the PUT another writer can slip in; the window is
 * one round trip, and the read after the operation shows what stands. */
#include "clouds/azure/azure.h"

/* Members that ARM reports and does not take. App settings are not in the answer of GET and are kept by the service
 * when siteConfig does not name them. */
static const char *const read_only[] = {
        "state",
        "hostNames",
        "repositorySiteName",
        "usageState",
        "enabledHostNames",
        "availabilityState",
        "lastModifiedTimeUtc",
        "trafficManagerHostNames",
        "targetSwapSlot",
        "outboundIpAddresses",
        "possibleOutboundIpAddresses",
        "suspendedTill",
        "maxNumberOfWorkers",
        "resourceGroup",
        "isDefaultContainer",
        "defaultHostName",
        "slotSwapStatus",
        "inProgressOperationId",
        "hostNameSslStates",
        "sku",
        "containerSize",
};

static json_t *put_body(json_t *site, uint32_t memory_mb)
{
        static const char *const outer[] = {"location", "kind", "tags", "identity", "extendedLocation"};
        json_t *body = json_object(), *properties = json_deep_copy(json_object_get(site, "properties")), *scale;

        if (!body || !properties || json_object_set_new(body, "properties", properties)) {
                json_decref(body);
                return NULL;
        }
        for (size_t i = 0; i < sizeof(outer) / sizeof(outer[0]); i++)
                if (json_object_get(site, outer[i]) &&
                    json_object_set(body, outer[i], json_object_get(site, outer[i])))
                        goto fail;
        for (size_t i = 0; i < sizeof(read_only) / sizeof(read_only[0]); i++)
                json_object_del(properties, read_only[i]);
        scale = vn_json_at(properties, "functionAppConfig.scaleAndConcurrency");
        if (scale && !json_object_set_new(scale, "instanceMemoryMB", json_integer(memory_mb)))
                return body;
fail:
        json_decref(body);
        return NULL;
}

/* One look at the operation's own resource. ret_done once it has ended well. */
static enum vn_rc look(struct vn_cloud *cloud, struct vn_str link, bool is_status, struct vn_cloud_response *response,
                       bool *ret_done, struct vn_err *err)
{
        VN_AUTO(vn_json)
        answer = NULL;
        struct vn_str host, path, query, status;

        VN_TRY(vn_link_split(link, &host, &path, &query, err));
        VN_TRY(vn_azure_arm(cloud, "GET", path, query, NULL, response, &answer, err));
        if (!is_status) {
                *ret_done = response->status != 202;
                return VN_OK;
        }
        status = vn_json_str(answer, "status");
        *ret_done = vn_str_eq_nocase(status, VN_STR("Succeeded"));
        if (vn_str_eq_nocase(status, VN_STR("Failed")) || vn_str_eq_nocase(status, VN_STR("Canceled")))
                return vn_fail(err, VN_ABORTED, "azure: the change ended as %.*s: %.*s", VN_FMT(status),
                               (int)vn_json_str(answer, "error.message").len,
                               vn_json_str(answer, "error.message").ptr);
        return VN_OK;
}

static enum vn_rc follow(struct vn_cloud *cloud, struct vn_cloud_response *response, int64_t max_wait_us,
                         struct vn_err *err)
{
        VN_AUTO(vn_buf)
        link = VN_BUF_INIT(8192);
        struct vn_wait wait = {.max_us = max_wait_us};
        struct vn_str at = vn_cloud_response_header(response, "azure-asyncoperation");
        bool is_status = at.ptr != NULL, done = false;

        if (!is_status)
                at = vn_cloud_response_header(response, "location");
        if (response->status != 202 || !at.ptr)
                return VN_OK;
        vn_buf_str(&link, at);
        VN_TRY(vn_buf_check(&link, err));
        while (!done) {
                if (!vn_wait_more(cloud, &wait, response))
                        return vn_fail(err, VN_DEADLINE_EXCEEDED, "azure: the change is still running");
                VN_TRY(look(cloud, vn_buf_view(&link), is_status, response, &done, err));
        }
        return VN_OK;
}

static enum vn_rc set_memory(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t memory_mb,
                             int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        site = NULL;
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_json)
        answer = NULL;
        char guard[VN_CLOUD_GUARD_BYTES];

        vn_cloud_response_init(&response);
        VN_TRY(vn_azure_get_site(cloud, as_read->resource, &site, guard, err));
        if (strcmp(guard, as_read->guard) != 0)
                return vn_fail(err, VN_ABORTED, "azure: %s was changed by somebody else", as_read->name);
        body = put_body(site, memory_mb);
        if (!body)
                return vn_fail(err, VN_FAILED_PRECONDITION, "azure: %s has no Flex memory setting", as_read->name);
        VN_TRY(vn_azure_arm(cloud, "PUT", vn_str(as_read->resource), VN_AZURE_API, body, &response, &answer, err));
        VN_TRY(follow(cloud, &response, max_wait_us, err));
        VN_TRY(vn_azure_read(cloud, as_read, ret, err));
        if (ret->memory_mb != memory_mb)
                return vn_fail(err, VN_ABORTED, "azure: %s has %u MB after the change to %u", as_read->name,
                               ret->memory_mb, memory_mb);
        return VN_OK;
}

enum vn_rc vn_azure_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                           enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                           struct vn_cloud_function *ret, struct vn_err *err)
{
        if (setting != VN_SETTING_MEMORY_MB)
                return vn_fail(err, VN_FAILED_PRECONDITION, "azure: %s of %s cannot be changed",
                               vn_cloud_setting_name(setting), as_read->name);
        return set_memory(cloud, as_read, value, max_wait_us, ret, err);
}
