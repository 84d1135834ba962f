/* azure_arm.c - sites: list, get, replace (a long-running operation), functions, keys. Plans, the web configuration and slots
 * are in azure_config.c. */
#include "sim/azure_arm.h"

#include <stdio.h>

#include "sim/permissions.h"

#define GROUP VN_AZURE_GROUP
#define SETTLE_US (20 * VN_US_PER_S)

static bool is(struct vn_str part, const char *word)
{
        return vn_str_eq_nocase(part, vn_str(word));
}

void vn_azure_site_id(const struct vn_sim *sim, uint32_t deployment, char ret[256])
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        snprintf(ret, 256, "/subscriptions/%s/resourceGroups/" GROUP "/providers/Microsoft.Web/sites/%s", a->id,
                 vn_sim_function_name(sim, deployment));
}

static json_t *flex_config(struct vn_sim *sim, uint32_t deployment)
{
        static const char *const names[VN_RUNTIME_COUNT] = {"node", "python", "custom", "dotnet-isolated", "java"};
        const struct vn_platform_deployment *d = &sim->demo->deployments[deployment];
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        json_t *ready = t->warm_instances
                                ? json_pack("[{s:s, s:i}]", "name", "http", "instanceCount", (int)t->warm_instances)
                                : json_array();
        return json_pack("{s:{s:s, s:s}, s:{s:o, s:i, s:i, s:{s:{s:i}}}}", "runtime", "name", names[d->runtime],
                         "version", "20", "scaleAndConcurrency", "alwaysReady", ready, "maximumInstanceCount",
                         (int)t->max_instances, "instanceMemoryMB", (int)vn_sim_memory(sim, deployment), "triggers",
                         "http", "perInstanceConcurrency", (int)t->concurrency);
}

json_t *vn_azure_site(struct vn_sim *sim, uint32_t deployment, bool full)
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        char id[256], host[96], farm[200], changed[VN_TIME_TEXT_BYTES];
        bool flex = vn_sim_azure_flex(sim, deployment);
        vn_azure_site_id(sim, deployment, id);
        vn_sim_azure_host(sim, deployment, host);
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        vn_time_format(sim->functions[deployment].changed_us, changed);
        changed[23] = 0; /* without a zone, as Microsoft.Web writes it */
        vn_azure_plan_id(sim, deployment, farm);
        json_t *json = json_pack(
                "{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:[s], s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:{s:i, s:i, s:i}}}",
                "id", id, "name", vn_sim_function_name(sim, deployment), "type", "Microsoft.Web/sites", "kind",
                "functionapp,linux", "location", a->region, "properties", "state", "Running", "hostNames", host,
                "enabled", 1, "availabilityState", "Normal", "serverFarmId", farm, "lastModifiedTimeUtc", changed,
                "defaultHostName", host, "sku", vn_azure_tier(sim, deployment), "httpsOnly", 1, "siteConfig",
                "numberOfWorkers", 1, "functionAppScaleLimit", flex ? 0 : (int)t->max_instances,
                "minimumElasticInstanceCount", flex ? 0 : (int)t->warm_instances);
        if (json && !full)
                json_object_set_new(json_object_get(json, "properties"), "siteConfig", json_null());
        /* A list leaves the Flex part out: each site must be read for it. */
        if (json && flex && full)
                json_object_set_new(json_object_get(json, "properties"), "functionAppConfig",
                                    flex_config(sim, deployment));
        return json;
}

static void set_etag(const struct vn_sim *sim, uint32_t deployment, struct vn_sim_response *response)
{
        char etag[32];
        snprintf(etag, sizeof etag, "\"%llX\"", (unsigned long long)sim->functions[deployment].changed_us);
        vn_sim_set_header(response, "etag", etag);
}

static void list_sites(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                       struct vn_sim_response *response)
{
        enum { PAGE = 25 };
        uint64_t skip;
        if (vn_sim_param_u64(request->query, "$skipToken", 0, sim->demo->function_count, &skip) != VN_OK) {
                vn_sim_azure_error(response, 400, "InvalidSkipToken", "The skip token is not valid.");
                return;
        }
        json_t *value = json_array();
        size_t f = (size_t)skip;
        /* An empty first page's token must not be taken for the start again: "0" is one, its absence is not. */
        VN_AUTO(vn_buf)
        sent = VN_BUF_INIT(64);
        size_t page = vn_sim_page_size(sim, account, !vn_sim_param(request->query, "$skipToken", &sent), PAGE);
        for (; f < sim->demo->function_count && f < skip + page; f++)
                json_array_append_new(value,
                                      vn_azure_site(sim, vn_demo_deployment(sim->demo, account, (uint32_t)f), false));
        json_t *body = json_pack("{s:o}", "value", value);
        if (body && f < sim->demo->function_count) {
                VN_AUTO(vn_buf)
                next = VN_BUF_INIT(1024);
                vn_sim_own_address(request, &next);
                vn_buf_printf(&next,
                              "/subscriptions/%s/providers/Microsoft.Web/sites?api-version=2025-05-01&$skipToken=%zu",
                              sim->accounts[account].id, f);
                json_object_set_new(body, "nextLink", json_string(next.ptr ? next.ptr : ""));
        }
        vn_sim_json(response, 200, body);
}

/* The Flex part of a PUT; NULL when it is good, else what is wrong. Nothing is changed. */
static const char *read_scale(const struct vn_sim *sim, uint32_t deployment, json_t *scale, uint32_t *ret_mb,
                              struct vn_sim_tuning *ret)
{
        json_t *ready = json_object_get(scale, "alwaysReady"), *group;
        json_t *http = json_object_get(json_object_get(scale, "triggers"), "http");
        struct vn_err err;
        int64_t mb, max = 100, at_once = 0;
        size_t i;
        if (vn_json_i64(scale, "instanceMemoryMB", &mb, &err) != VN_OK || mb < 0 || mb > 65536 ||
            vn_platform_check_memory(sim->demo->deployments[deployment].plan, (uint32_t)mb, &err) != VN_OK)
                return "InstanceMemoryMB must be one of 512, 2048, 4096.";
        if (json_object_get(scale, "maximumInstanceCount") &&
            (vn_json_i64(scale, "maximumInstanceCount", &max, &err) != VN_OK || max < 1 || max > 1000))
                return "MaximumInstanceCount must be between 1 and 1000.";
        if (json_object_get(http, "perInstanceConcurrency") &&
            (vn_json_i64(http, "perInstanceConcurrency", &at_once, &err) != VN_OK || at_once < 1 || at_once > 1000))
                return "PerInstanceConcurrency must be between 1 and 1000.";
        ret->warm_instances = 0;
        json_array_foreach(ready, i, group)
        {
                const char *name = json_string_value(json_object_get(group, "name"));
                json_int_t count = json_integer_value(json_object_get(group, "instanceCount"));
                if (!name || count < 0 || count > max)
                        return "AlwaysReady needs a name and at most as many instances as the app may have.";
                if (!strcmp(name, "http"))
                        ret->warm_instances = (uint32_t)count;
        }
        ret->max_instances = (uint32_t)max;
        ret->concurrency = at_once ? (uint32_t)at_once : mb <= 512 ? 4 : mb <= 2048 ? 16 : 32;
        *ret_mb = (uint32_t)mb;
        return NULL;
}

static void put_flex(struct vn_sim *sim, uint32_t account, uint32_t deployment, json_t *body,
                     const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(1024);
        struct vn_sim_tuning wanted = *vn_sim_tuning(sim, deployment);
        struct vn_err err;
        uint32_t mb = 0;
        char operation[40];
        json_t *config = json_object_get(json_object_get(body, "properties"), "functionAppConfig");
        json_t *scale = json_object_get(config, "scaleAndConcurrency");
        const char *wrong = scale ? read_scale(sim, deployment, scale, &mb, &wanted)
                                  : "Flex Consumption sites need functionAppConfig.scaleAndConcurrency: a PUT "
                                    "replaces the site.";
        if (wrong) {
                vn_sim_azure_error(response, 400, "BadRequest", "%s", wrong);
                return;
        }
        if (vn_sim_change(sim, deployment, mb, SETTLE_US, &err) != VN_OK) {
                vn_sim_azure_error(response, 409, "Conflict",
                                   "Cannot modify this site because another operation is in progress.");
                return;
        }
        *vn_sim_tuning(sim, deployment) = wanted;
        vn_sim_tuned(sim, deployment);
        vn_sim_json(response, 202, vn_azure_site(sim, deployment, true));
        vn_sim_uuid(sim->functions[deployment].operation, operation);
        vn_sim_own_address(request, &url);
        vn_buf_printf(
                &url,
                "/subscriptions/%s/providers/Microsoft.Web/locations/%s/operationResults/%s?api-version=2025-05-01",
                sim->accounts[account].id, sim->accounts[account].region, operation);
        vn_sim_set_header(response, "azure-asyncoperation", url.ptr ? url.ptr : "");
        vn_sim_set_header(response, "retry-after", "1");
        set_etag(sim, deployment, response);
}

/* PUT replaces a site, PATCH changes what it names. */
static void write_site(struct vn_sim *sim, uint32_t account, uint32_t deployment, bool replace,
                       const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        json_t *properties = NULL;
        if (vn_sim_body(request, &body, &err) != VN_OK ||
            (replace && (!json_is_object(properties = json_object_get(body, "properties")) ||
                         !json_is_string(json_object_get(body, "location"))))) {
                vn_sim_azure_error(response, 400, "InvalidRequestContent",
                                   "The request content was invalid: location and properties are needed.");
                return;
        }
        if (vn_sim_busy(sim, deployment, false)) {
                vn_sim_azure_error(response, 409, "Conflict",
                                   "Cannot modify this site because another operation is in progress.");
                return;
        }
        if (vn_sim_azure_flex(sim, deployment) && replace) {
                put_flex(sim, account, deployment, body, request, response);
        } else if (vn_azure_move(sim, deployment, body, response)) {
                vn_sim_json(response, 200, vn_azure_site(sim, deployment, true));
                set_etag(sim, deployment, response);
        }
}

static void operation(struct vn_sim *sim, uint32_t account, struct vn_str id, struct vn_sim_response *response)
{
        for (uint32_t f = 0; f < sim->demo->function_count; f++) {
                uint32_t deployment = vn_demo_deployment(sim->demo, account, f);
                char text[40];
                if (!sim->functions[deployment].operation)
                        continue;
                vn_sim_uuid(sim->functions[deployment].operation, text);
                if (!is(id, text))
                        continue;
                bool busy = vn_sim_busy(sim, deployment, true);
                vn_sim_json(response, 200,
                            json_pack("{s:s, s:s}", "id", text, "status", busy ? "InProgress" : "Succeeded"));
                if (busy)
                        vn_sim_set_header(response, "retry-after", "1");
                return;
        }
        vn_sim_azure_error(response, 404, "NotFound", "The operation was not found.");
}

static void functions(const struct vn_sim *sim, uint32_t deployment, struct vn_sim_response *response)
{
        char id[256], host[96], url[200], full[360], function_name[80];
        const char *name = vn_sim_function_name(sim, deployment);
        vn_azure_site_id(sim, deployment, id);
        vn_sim_azure_host(sim, deployment, host);
        snprintf(url, sizeof url, "https://%s/api/%s", host, name);
        snprintf(full, sizeof full, "%s/functions/%s", id, name);
        snprintf(function_name, sizeof function_name, "%s/%s", name, name);
        vn_sim_json(response, 200,
                    json_pack("{s:[{s:s, s:s, s:s, s:{s:s, s:s, s:b, s:s}}]}", "value", "id", full, "name",
                              function_name, "type", "Microsoft.Web/sites/functions", "properties", "name", name,
                              "invoke_url_template", url, "isDisabled", 0, "language", "node"));
}

static void keys(const struct vn_sim *sim, uint32_t deployment, bool host, struct vn_sim_response *response)
{
        char key[48];
        vn_azure_key(sim, deployment, key);
        vn_sim_json(response, 200,
                    host ? json_pack("{s:s, s:{s:s}, s:{}}", "masterKey", key, "functionKeys", "default", key,
                                     "systemKeys")
                         : json_pack("{s:s}", "default", key));
}

/* Below one site: what follows its name. */
static void site_child(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                       const struct vn_sim_request *request, const struct vn_str *part, size_t count,
                       struct vn_sim_response *response)
{
        bool get = vn_str_eq(request->verb, VN_STR("GET")), post = vn_str_eq(request->verb, VN_STR("POST"));
        bool put = vn_str_eq(request->verb, VN_STR("PUT"));
        char id[256];
        vn_azure_site_id(sim, deployment, id);
        if (count == 0 && get) {
                vn_sim_busy(sim, deployment, true);
                vn_sim_json(response, 200, vn_azure_site(sim, deployment, true));
                set_etag(sim, deployment, response);
        } else if (count == 0 && (put || vn_str_eq(request->verb, VN_STR("PATCH")))) {
                write_site(sim, account, deployment, put, request, response);
        } else if (count == 1 && get && is(part[0], "functions")) {
                functions(sim, deployment, response);
        } else if (count == 3 && post && is(part[0], "host") && is(part[1], "default") && is(part[2], "listkeys")) {
                keys(sim, deployment, true, response);
        } else if (count == 3 && post && is(part[0], "functions") && is(part[2], "listkeys")) {
                if (is(part[1], vn_sim_function_name(sim, deployment)))
                        keys(sim, deployment, false, response);
                else
                        vn_sim_azure_error(response, 404, "NotFound", "The function was not found.");
        } else if (count == 2 && is(part[0], "config") && is(part[1], "web")) {
                vn_azure_web(sim, deployment, request, response);
        } else if (count >= 1 && is(part[0], "slots")) {
                vn_azure_slots(sim, deployment, request, part + 1, count - 1, response);
        } else if (count == 3 && get && is(part[0], "providers") && is(part[1], "microsoft.insights") &&
                   is(part[2], "metrics")) {
                vn_sim_azure_metrics(sim, deployment, id, request, response);
        } else if (count == 3 && get && is(part[0], "providers") && is(part[1], "microsoft.authorization") &&
                   is(part[2], "permissions")) {
                vn_sim_azure_permissions(sim, account, response);
        } else {
                vn_sim_azure_error(response, get || post ? 404 : 405, get || post ? "NotFound" : "MethodNotAllowed",
                                   "There is no such operation on this site.");
        }
}

/* Resource Manager's bucket of writes a subscription: 200, and 10 more a second. Reading keys is a POST and none. */
static bool write_allowed(struct vn_sim *sim, uint32_t account, struct vn_sim_response *response)
{
        char text[16];
        uint32_t left;
        if (!vn_sim_write_allowed(sim, account, 200, 10, &left)) {
                vn_sim_azure_error(response, 429, "SubscriptionRequestsThrottled",
                                   "Number of requests for the subscription exceeded the limit. Please try again.");
                vn_sim_set_header(response, "retry-after", "1");
                return false;
        }
        snprintf(text, sizeof text, "%u", left);
        vn_sim_set_header(response, "x-ms-ratelimit-remaining-subscription-writes", text);
        return true;
}

void vn_azure_arm(struct vn_sim *sim, const struct vn_sim_request *request, const struct vn_str *part, size_t count,
                  struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        version = VN_BUF_INIT(64);
        uint32_t account;
        bool get = vn_str_eq(request->verb, VN_STR("GET")), post = vn_str_eq(request->verb, VN_STR("POST"));
        if (!vn_sim_azure_bearer(sim, request, "https://management.azure.com", response, &account))
                return;
        if (!vn_sim_param(request->query, "api-version", &version) || !version.len) {
                vn_sim_azure_error(response, 400, "MissingApiVersionParameter",
                                   "The api-version query parameter (?api-version=) is required for all requests.");
                return;
        }
        vn_sim_set_header(response, "x-ms-ratelimit-remaining-subscription-reads", "11999");
        if (!get && !post && !write_allowed(sim, account, response))
                return;
        if (!is(part[1], sim->accounts[account].id)) {
                vn_sim_azure_error(response, 403, "AuthorizationFailed",
                                   "The client does not have authorization to perform this action over this scope, "
                                   "or the scope is invalid.");
                return;
        }
        if (!vn_sim_azure_permitted(sim, account, request, part, count, response))
                return;
        if (count == 2 && get) {
                vn_sim_json(response, 200,
                            json_pack("{s:s+, s:s, s:s, s:s, s:s}", "id", "/subscriptions/",
                                      sim->accounts[account].id, "subscriptionId", sim->accounts[account].id,
                                      "tenantId", sim->accounts[account].tenant, "displayName",
                                      sim->accounts[account].name, "state", "Enabled"));
        } else if (count == 5 && get && is(part[2], "providers") && is(part[3], "microsoft.web") &&
                   is(part[4], "sites")) {
                list_sites(sim, account, request, response);
        } else if (count == 8 && get && is(part[2], "providers") && is(part[4], "locations") &&
                   is(part[6], "operationresults")) {
                operation(sim, account, part[7], response);
        } else if (count >= 7 && count <= 12 && is(part[2], "resourcegroups") && is(part[4], "providers") &&
                   is(part[5], "microsoft.web") && is(part[6], "serverfarms") && is(part[3], GROUP)) {
                vn_azure_plans(sim, account, request, part + 7, count - 7, response);
        } else if (count >= 7 && count <= 12 && is(part[2], "resourcegroups") && is(part[4], "providers") &&
                   is(part[5], "microsoft.web") && is(part[6], "sites")) {
                uint32_t deployment =
                        count > 7 && is(part[3], GROUP) ? vn_sim_find(sim, account, part[7]) : UINT32_MAX;
                if (count == 7 && get && is(part[3], GROUP))
                        list_sites(sim, account, request, response);
                else if (deployment == UINT32_MAX)
                        vn_sim_azure_error(response, 404, "ResourceNotFound",
                                           "The Resource under resource group was not found.");
                else
                        site_child(sim, account, deployment, request, part + 8, count - 8, response);
        } else {
                vn_sim_azure_error(response, 404, "InvalidResourceType", "The resource type could not be found.");
        }
}
