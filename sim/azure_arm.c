/* azure_arm.c - sites: list, get, replace (a long-running operation), functions, keys, web configuration. */
#include "sim/azure_arm.h"

#include <stdio.h>

#include "sim/permissions.h"

#define GROUP "vane-demo"
#define SETTLE_US (20 * VN_US_PER_S)

static bool is(struct vn_str part, const char *word)
{
        return vn_str_eq_nocase(part, vn_str(word));
}

static void site_id(const struct vn_sim *sim, uint32_t deployment, char ret[256])
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        snprintf(ret, 256, "/subscriptions/%s/resourceGroups/" GROUP "/providers/Microsoft.Web/sites/%s", a->id,
                 vn_sim_function_name(sim, deployment));
}

static json_t *flex_config(const struct vn_sim *sim, uint32_t deployment)
{
        static const char *const names[VN_RUNTIME_COUNT] = {"node", "python", "custom", "dotnet-isolated", "java"};
        const struct vn_platform_deployment *d = &sim->demo->deployments[deployment];
        return json_pack("{s:{s:s, s:s}, s:{s:[], s:i, s:i, s:{s:{s:i}}}}", "runtime", "name", names[d->runtime],
                         "version", "20", "scaleAndConcurrency", "alwaysReady", "maximumInstanceCount",
                         (int)d->max_instances, "instanceMemoryMB", (int)vn_sim_memory(sim, deployment), "triggers",
                         "http", "perInstanceConcurrency", (int)d->concurrency);
}

static json_t *site(struct vn_sim *sim, uint32_t deployment, bool full)
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        char id[256], host[96], farm[200], changed[VN_TIME_TEXT_BYTES];
        bool flex = vn_sim_azure_flex(sim, deployment);
        site_id(sim, deployment, id);
        vn_sim_azure_host(sim, deployment, host);
        vn_time_format(sim->functions[deployment].changed_us, changed);
        changed[23] = 0; /* without a zone, as Microsoft.Web writes it */
        snprintf(farm, sizeof farm,
                 "/subscriptions/%s/resourceGroups/" GROUP "/providers/Microsoft.Web/serverfarms/%s", a->id,
                 flex ? "flex" : "consumption");
        json_t *json = json_pack(
                "{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:[s], s:b, s:s, s:s, s:s, s:s, s:s, s:b, s:{s:i, s:i}}}", "id",
                id, "name", vn_sim_function_name(sim, deployment), "type", "Microsoft.Web/sites", "kind",
                "functionapp,linux", "location", a->region, "properties", "state", "Running", "hostNames", host,
                "enabled", 1, "availabilityState", "Normal", "serverFarmId", farm, "lastModifiedTimeUtc", changed,
                "defaultHostName", host, "sku", flex ? "FlexConsumption" : "Dynamic", "httpsOnly", 1, "siteConfig",
                "numberOfWorkers", 1, "functionAppScaleLimit", flex ? 0 : 200);
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
        for (; f < sim->demo->function_count && f < skip + PAGE; f++)
                json_array_append_new(value, site(sim, vn_demo_deployment(sim->demo, account, (uint32_t)f), false));
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

static void put_site(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct vn_sim_request *request,
                     struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(1024);
        struct vn_err err;
        int64_t mb;
        char operation[40];
        if (vn_sim_body(request, &body, &err) != VN_OK || !json_is_object(json_object_get(body, "properties")) ||
            !json_is_string(json_object_get(body, "location"))) {
                vn_sim_azure_error(response, 400, "InvalidRequestContent",
                                   "The request content was invalid: location and properties are needed.");
                return;
        }
        json_t *config = json_object_get(json_object_get(body, "properties"), "functionAppConfig");
        json_t *scale = json_object_get(config, "scaleAndConcurrency");
        if (!vn_sim_azure_flex(sim, deployment) || !scale) {
                vn_sim_azure_error(response, 400, "BadRequest",
                                   vn_sim_azure_flex(sim, deployment)
                                           ? "Flex Consumption sites need functionAppConfig.scaleAndConcurrency: a "
                                             "PUT replaces the site."
                                           : "This simulator changes Flex Consumption sites only.");
                return;
        }
        if (vn_sim_busy(sim, deployment, false)) {
                vn_sim_azure_error(response, 409, "Conflict",
                                   "Cannot modify this site because another operation is in progress.");
                return;
        }
        if (vn_json_i64(scale, "instanceMemoryMB", &mb, &err) != VN_OK || mb < 0 || mb > 65536 ||
            vn_sim_change(sim, deployment, (uint32_t)mb, SETTLE_US, &err) != VN_OK) {
                vn_sim_azure_error(response, 400, "BadRequest", "InstanceMemoryMB must be one of 512, 2048, 4096.");
                return;
        }
        vn_sim_json(response, 202, site(sim, deployment, true));
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

static void operation(struct vn_sim *sim, uint32_t account, struct vn_str id, struct vn_sim_response *response)
{
        for (uint32_t f = 0; f < sim->demo->function_count; f++) {
                uint32_t deployment = vn_demo_deployment(sim->demo, account, f);
                char text[40];
                vn_sim_uuid(sim->functions[deployment].operation, text);
                if (!sim->functions[deployment].operation || !is(id, text))
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
        site_id(sim, deployment, id);
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
        char id[256];
        site_id(sim, deployment, id);
        if (count == 0 && get) {
                vn_sim_busy(sim, deployment, true);
                vn_sim_json(response, 200, site(sim, deployment, true));
                set_etag(sim, deployment, response);
        } else if (count == 0 && vn_str_eq(request->verb, VN_STR("PUT"))) {
                put_site(sim, account, deployment, request, response);
        } else if (count == 1 && get && is(part[0], "functions")) {
                functions(sim, deployment, response);
        } else if (count == 3 && post && is(part[0], "host") && is(part[1], "default") && is(part[2], "listkeys")) {
                keys(sim, deployment, true, response);
        } else if (count == 3 && post && is(part[0], "functions") && is(part[2], "listkeys")) {
                if (is(part[1], vn_sim_function_name(sim, deployment)))
                        keys(sim, deployment, false, response);
                else
                        vn_sim_azure_error(response, 404, "NotFound", "The function was not found.");
        } else if (count == 2 && get && is(part[0], "config") && is(part[1], "web")) {
                vn_sim_json(response, 200,
                            json_pack("{s:s+, s:s, s:s, s:{s:i, s:i, s:i}}", "id", id, "/config/web", "name", "web",
                                      "type", "Microsoft.Web/sites/config", "properties", "preWarmedInstanceCount", 0,
                                      "minimumElasticInstanceCount", 0, "functionAppScaleLimit",
                                      vn_sim_azure_flex(sim, deployment) ? 0 : 200));
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

void vn_azure_arm(struct vn_sim *sim, const struct vn_sim_request *request, const struct vn_str *part, size_t count,
                  struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        version = VN_BUF_INIT(64);
        uint32_t account;
        bool get = vn_str_eq(request->verb, VN_STR("GET"));
        if (!vn_sim_azure_bearer(sim, request, "https://management.azure.com", response, &account))
                return;
        if (!vn_sim_param(request->query, "api-version", &version) || !version.len) {
                vn_sim_azure_error(response, 400, "MissingApiVersionParameter",
                                   "The api-version query parameter (?api-version=) is required for all requests.");
                return;
        }
        vn_sim_set_header(response, "x-ms-ratelimit-remaining-subscription-reads", "11999");
        if (!is(part[1], sim->accounts[account].id)) {
                vn_sim_azure_error(response, 403, "AuthorizationFailed",
                                   "The client does not have authorization to perform this action over this scope, "
                                   "or the scope is invalid.");
                return;
        }
        if (!vn_sim_azure_permitted(sim, account, request, part, count, response))
                return;
        if (count == 5 && get && is(part[2], "providers") && is(part[3], "microsoft.web") && is(part[4], "sites")) {
                list_sites(sim, account, request, response);
        } else if (count == 8 && get && is(part[2], "providers") && is(part[4], "locations") &&
                   is(part[6], "operationresults")) {
                operation(sim, account, part[7], response);
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
