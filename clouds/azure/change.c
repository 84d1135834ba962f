/* Azure: changing what a plan lets be changed. Flex Consumption: read, compare, PUT the whole site, follow the operation.
 * Premium and Consumption: read, compare, PATCH one number of config/web, which is carried out when it is answered.
 * Microsoft.Web documents no If-Match, so between the comparison and the write another writer can slip in; the window is
 * one round trip, and the read afterwards shows what stands. A PATCH names one number only, so that it overwrites
 * nobody's other change even then. */
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

static json_t *child(json_t *parent, const char *name)
{
        json_t *found = json_object_get(parent, name);

        if (!json_is_object(found) && !json_object_set_new(parent, name, json_object()))
                found = json_object_get(parent, name);
        return found;
}

/* 0 takes the number away: the service then has its own default. */
static bool set_number(json_t *parent, const char *name, uint32_t value)
{
        if (value > 0)
                return !json_object_set_new(parent, name, json_integer(value));
        json_object_del(parent, name);
        return json_is_object(parent);
}

/* Instances are kept ready by group; `http` is the one that HTTP functions share. */
static bool set_always_ready(json_t *scale, uint32_t value)
{
        json_t *groups = json_object_get(scale, "alwaysReady"), *group;
        size_t i;

        if (!json_is_array(groups) && json_object_set_new(scale, "alwaysReady", groups = json_array()))
                return false;
        json_array_foreach(groups, i, group)
        {
                if (!vn_str_eq_nocase(vn_json_str(group, "name"), VN_STR("http")))
                        continue;
                return value > 0 ? set_number(group, "instanceCount", value) : !json_array_remove(groups, i);
        }
        return value == 0 || !json_array_append_new(groups, json_pack("{s:s, s:I}", "name", "http", "instanceCount",
                                                                      (json_int_t)value));
}

static bool set_flex(json_t *scale, enum vn_cloud_setting setting, uint32_t value)
{
        switch (setting) {
        case VN_SETTING_MEMORY_MB: return set_number(scale, "instanceMemoryMB", value);
        case VN_SETTING_MAX_INSTANCES: return set_number(scale, "maximumInstanceCount", value);
        case VN_SETTING_WARM_INSTANCES: return set_always_ready(scale, value);
        case VN_SETTING_CONCURRENCY:
                return set_number(child(child(scale, "triggers"), "http"), "perInstanceConcurrency", value);
        }
        return false;
}

static json_t *put_body(json_t *site, enum vn_cloud_setting setting, uint32_t value)
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
        if (scale && set_flex(scale, setting, value))
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

static enum vn_rc put_flex(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, json_t *site,
                           enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        body = put_body(site, setting, value);
        VN_AUTO(vn_json)
        answer = NULL;

        vn_cloud_response_init(&response);
        if (!body)
                return vn_fail(err, VN_FAILED_PRECONDITION, "azure: %s has no Flex scale settings", as_read->name);
        VN_TRY(vn_azure_arm(cloud, "PUT", vn_str(as_read->resource), VN_AZURE_API, body, &response, &answer, err));
        return follow(cloud, &response, max_wait_us, err);
}

/* The number of config/web that stands for a setting; NULL where the plan has none. */
static const char *web_member(enum vn_azure_plan plan, enum vn_cloud_setting setting)
{
        if (setting == VN_SETTING_MAX_INSTANCES && (plan == VN_AZURE_CONSUMPTION || plan == VN_AZURE_PREMIUM))
                return "functionAppScaleLimit";
        if (setting == VN_SETTING_WARM_INSTANCES && plan == VN_AZURE_PREMIUM)
                return "minimumElasticInstanceCount";
        return NULL;
}

static enum vn_rc patch_web(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, enum vn_azure_plan plan,
                            enum vn_cloud_setting setting, uint32_t value, struct vn_err *err)
{
        const char *member = web_member(plan, setting);
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_json)
        answer = NULL;

        if (!member)
                return vn_fail(err, VN_FAILED_PRECONDITION, "azure: %s is on the %s plan, where %s is not a setting",
                               as_read->name, vn_azure_plan_name(plan), vn_cloud_setting_name(setting));
        body = json_pack("{s:{s:I}}", "properties", member, (json_int_t)value);
        if (!body)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        return vn_azure_below(cloud, "PATCH", as_read->resource, "config/web", body, &answer, err);
}

enum vn_rc vn_azure_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                           enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                           struct vn_cloud_function *ret, struct vn_err *err)
{
        VN_AUTO(vn_azure_site)
        site = {0};
        uint32_t got;

        VN_TRY(vn_azure_site_get(cloud, as_read->resource, &site, err));
        if (strcmp(site.guard, as_read->guard) != 0)
                return vn_fail(err, VN_ABORTED, "azure: %s was changed by somebody else", as_read->name);
        if (site.plan == VN_AZURE_FLEX)
                VN_TRY(put_flex(cloud, as_read, site.site, setting, value, max_wait_us, err));
        else
                VN_TRY(patch_web(cloud, as_read, site.plan, setting, value, err));
        VN_TRY(vn_azure_read(cloud, as_read, ret, err));
        got = vn_setting_value(ret, setting);
        /* A limit that was taken away comes back as the service's default. */
        if (got != value && !(value == 0 && setting != VN_SETTING_WARM_INSTANCES))
                return vn_fail(err, VN_ABORTED, "azure: %s has %u for %s after the change to %u", as_read->name, got,
                               vn_cloud_setting_name(setting), value);
        return VN_OK;
}
