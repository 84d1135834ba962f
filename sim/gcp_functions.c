/* gcp_functions.c - Cloud Functions v2: list, get, patch with long-running operations; the list of Cloud Run v2, whose
 * services are in gcp_run.c. */
#include <stdio.h>

#include "sim/gcp.h"

#define SETTLE_US (60 * VN_US_PER_S)

static bool is(struct vn_str part, const char *word)
{
        return vn_str_eq(part, vn_str(word));
}

void vn_gcp_path(const struct vn_sim *sim, uint32_t deployment, const char *kind, char ret[200])
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        snprintf(ret, 200, "projects/%s/locations/%s/%s/%s", a->id, a->region, kind,
                 vn_sim_function_name(sim, deployment));
}

void vn_gcp_cpu_text(const struct vn_platform_deployment *d, uint32_t memory_mb, char ret[24])
{
        snprintf(ret, 24, "%.4g", d->vcpu > 0 ? d->vcpu : vn_platform_vcpu(VN_PLAN_CLOUD_RUN, memory_mb));
}

static json_t *function(struct vn_sim *sim, uint32_t deployment, bool look)
{
        static const char *const runtimes[VN_RUNTIME_COUNT] = {"nodejs20", "python312", "go122", "dotnet8", "java21"};
        const struct vn_platform_deployment *d = &sim->demo->deployments[deployment];
        char name[200], service[200], host[96], memory[24], cpu[24];
        bool busy = vn_sim_busy(sim, deployment, look);
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        vn_gcp_path(sim, deployment, "functions", name);
        vn_gcp_path(sim, deployment, "services", service);
        vn_sim_gcp_host(sim, deployment, host);
        snprintf(memory, sizeof memory, "%uMi", vn_sim_memory(sim, deployment));
        vn_gcp_cpu_text(d, vn_sim_memory(sim, deployment), cpu);
        return json_pack("{s:s, s:s, s:s, s:s+, s:o, s:{}, s:{s:s, s:s}, s:{s:s, s:s+, s:s, s:s, s:i, s:i, s:i, s:i, "
                         "s:s, s:b}}",
                         "name", name, "environment", "GEN_2", "state", busy ? "DEPLOYING" : "ACTIVE", "url",
                         "https://", host, "updateTime", vn_sim_time(sim->functions[deployment].changed_us), "labels",
                         "buildConfig", "runtime", runtimes[d->runtime], "entryPoint", "handler", "serviceConfig",
                         "service", service, "uri", "https://", host, "availableMemory", memory, "availableCpu", cpu,
                         "timeoutSeconds", (int)(d->timeout_us / VN_US_PER_S), "minInstanceCount",
                         (int)t->warm_instances, "maxInstanceCount", (int)t->max_instances,
                         "maxInstanceRequestConcurrency", (int)t->concurrency, "ingressSettings", "ALLOW_ALL",
                         "allTrafficOnLatestRevision", t->share_count == 0);
}

static void list(struct vn_sim *sim, uint32_t account, struct vn_str location, bool services,
                 const struct vn_sim_request *request, struct vn_sim_response *response)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        uint64_t size, start;
        if (vn_sim_param_u64(request->query, "pageSize", 1000, 1u << 30, &size) != VN_OK ||
            vn_sim_param_u64(request->query, "pageToken", 0, sim->demo->function_count, &start) != VN_OK) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "pageSize or pageToken is not valid");
                return;
        }
        if (services && is(location, "-")) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Location must not be a wildcard.");
                return;
        }
        size = !size || size > 1000 ? 1000 : size;
        VN_AUTO(vn_buf)
        sent = VN_BUF_INIT(64); /* token "0" follows an empty first page */
        size = vn_sim_page_size(sim, account, !vn_sim_param(request->query, "pageToken", &sent) || !sent.len,
                                (size_t)size);
        double none;
        bool unreachable = vn_sim_event_now(sim, VN_SIM_UNREACHABLE, account, &none);
        json_t *items = json_array(), *body;
        size_t f = (is(location, "-") || is(location, a->region)) && !unreachable ? (size_t)start
                                                                                  : sim->demo->function_count;
        size_t end = f + size < sim->demo->function_count ? f + size : sim->demo->function_count;
        for (; f < end; f++) {
                uint32_t deployment = vn_demo_deployment(sim->demo, account, (uint32_t)f);
                json_array_append_new(items,
                                      services ? vn_gcp_service(sim, deployment) : function(sim, deployment, false));
        }
        body = json_pack("{s:o}", services ? "services" : "functions", items);
        if (body && unreachable)
                json_object_set_new(body, "unreachable", json_pack("[s]", a->region));
        if (body && f < sim->demo->function_count) {
                char token[24];
                snprintf(token, sizeof token, "%zu", f);
                json_object_set_new(body, "nextPageToken", json_string(token));
        }
        vn_sim_json(response, 200, body);
}

static void operation_name(const struct vn_sim *sim, uint32_t deployment, char ret[200])
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        snprintf(ret, 200, "projects/%s/locations/%s/operations/operation-%016llx", a->id, a->region,
                 (unsigned long long)sim->functions[deployment].operation);
}

/* Official clients fail on a metadata or response without @type. */
static json_t *operation(struct vn_sim *sim, uint32_t deployment, bool look)
{
        char name[200], target[200];
        bool busy = vn_sim_busy(sim, deployment, look);
        operation_name(sim, deployment, name);
        vn_gcp_path(sim, deployment, "functions", target);
        json_t *json = json_pack("{s:s, s:{s:s, s:s, s:s, s:s, s:o}, s:b}", "name", name, "metadata", "@type",
                                 "type.googleapis.com/google.cloud.functions.v2.OperationMetadata", "target", target,
                                 "verb", "update", "apiVersion", "v2", "createTime",
                                 vn_sim_time(sim->functions[deployment].changed_us), "done", !busy);
        if (json && !busy) {
                json_t *result = function(sim, deployment, false);
                json_object_set_new(result, "@type",
                                    json_string("type.googleapis.com/google.cloud.functions.v2.Function"));
                json_object_set_new(json, "response", result);
        }
        return json;
}

/* "512Mi", "512M", "1Gi", "1G": M and Mi are the same here, as the service sells only whole MiB. 0: not a quantity. */
static uint32_t parse_quantity(struct vn_str text)
{
        uint64_t number, factor = 0;
        size_t digits = 0;
        while (digits < text.len && text.ptr[digits] >= '0' && text.ptr[digits] <= '9')
                digits++;
        struct vn_str unit = vn_str_n(text.ptr + digits, text.len - digits);
        if (is(unit, "Mi") || is(unit, "M"))
                factor = 1;
        else if (is(unit, "Gi") || is(unit, "G"))
                factor = 1024;
        if (vn_str_to_u64(vn_str_n(text.ptr, digits), &number) != VN_OK || number > 65536)
                return 0;
        return (uint32_t)(number * factor);
}

/* "serviceConfig.minInstanceCount" of a mask is "service_config.min_instance_count" just as well. */
static bool mask_field_is(struct vn_str field, const char *camel)
{
        size_t at = 0;
        for (const char *c = camel; *c; c++) {
                char lower = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
                if (lower != *c && at < field.len && field.ptr[at] == '_')
                        at++;
                if (at >= field.len || (field.ptr[at] != *c && field.ptr[at] != lower))
                        return false;
                at++;
        }
        return at == field.len;
}

static const char *read_count(json_t *config, const char *name, uint32_t max, uint32_t absent, uint32_t *ret)
{
        struct vn_err err;
        int64_t value = 0;
        if (json_object_get(config, name) &&
            (vn_json_i64(config, name, &value, &err) != VN_OK || value < 0 || value > max))
                return "an instance count or a concurrency is not valid";
        *ret = value ? (uint32_t)value : absent;
        return NULL;
}

/* One field of the mask; NULL when it is good. What the mask names and the body lacks gets its default. */
static const char *read_field(const struct vn_platform_deployment *d, struct vn_str field, json_t *config,
                              uint32_t *mb, struct vn_sim_tuning *ret)
{
        if (mask_field_is(field, "serviceConfig.availableMemory")) {
                const char *memory = json_string_value(json_object_get(config, "availableMemory"));
                *mb = memory ? parse_quantity(vn_str(memory)) : 0;
                /* Small shares of a CPU come with small memory: up to 512 MiB below half a CPU, 1 GiB below one. */
                return d->vcpu > 0 && d->vcpu < 1 && *mb > (d->vcpu < 0.5 ? 512u : 1024u)
                               ? "total memory is too much for the CPU"
                               : NULL;
        }
        if (mask_field_is(field, "serviceConfig.minInstanceCount"))
                return read_count(config, "minInstanceCount", 1000, 0, &ret->warm_instances);
        if (mask_field_is(field, "serviceConfig.maxInstanceCount"))
                return read_count(config, "maxInstanceCount", 1000, 100, &ret->max_instances);
        if (mask_field_is(field, "serviceConfig.maxInstanceRequestConcurrency"))
                return read_count(config, "maxInstanceRequestConcurrency", 1000, 1, &ret->concurrency);
        return "this simulator changes availableMemory, minInstanceCount, maxInstanceCount and "
               "maxInstanceRequestConcurrency of serviceConfig by name";
}

static const char *read_mask(struct vn_sim *sim, uint32_t deployment, struct vn_str mask, json_t *config,
                             uint32_t *mb, struct vn_sim_tuning *ret)
{
        const struct vn_platform_deployment *d = &sim->demo->deployments[deployment];
        uint32_t before = ret->concurrency;
        const char *wrong = mask.len ? NULL : "an updateMask is needed";
        while (!wrong && mask.ptr)
                wrong = read_field(d, vn_str_trim(vn_str_cut(&mask, ',')), config, mb, ret);
        if (wrong)
                return wrong;
        if (ret->warm_instances > ret->max_instances)
                return "minInstanceCount is more than maxInstanceCount";
        if (ret->concurrency > 1 && ret->concurrency != before &&
            (d->vcpu > 0 ? d->vcpu : vn_platform_vcpu(d->plan, *mb)) < 1)
                return "Total cpu < 1 is not supported with concurrency > 1";
        return NULL;
}

bool vn_gcp_write_allowed(struct vn_sim *sim, uint32_t account, struct vn_sim_response *response)
{
        uint32_t left;
        if (vn_sim_write_allowed(sim, account, 120, 2, &left))
                return true;
        vn_sim_gcp_error(response, 429, "RESOURCE_EXHAUSTED",
                         "Quota exceeded for quota metric 'Write requests' and limit 'Write requests per minute'.");
        vn_sim_set_header(response, "retry-after", "1");
        return false;
}

static void patch(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                  struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_buf)
        mask = VN_BUF_INIT(1024);
        struct vn_sim_tuning wanted = *vn_sim_tuning(sim, deployment);
        struct vn_err err;
        const char *wrong;
        uint32_t mb = vn_sim_memory(sim, deployment);
        if (!vn_gcp_write_allowed(sim, (uint32_t)(deployment / sim->demo->function_count), response))
                return;
        if (vn_sim_body(request, &body, &err) != VN_OK) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Invalid JSON payload received. %s", err.msg);
                return;
        }
        vn_sim_param(request->query, "updateMask", &mask);
        wrong = read_mask(sim, deployment, vn_buf_view(&mask), json_object_get(body, "serviceConfig"), &mb, &wanted);
        if (wrong) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "%s", wrong);
                return;
        }
        if (vn_sim_busy(sim, deployment, false)) {
                vn_sim_gcp_error(response, 409, "ABORTED", "unable to queue the operation");
                return;
        }
        if (vn_sim_change(sim, deployment, mb, SETTLE_US, &err) != VN_OK) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "availableMemory is not valid: %s", err.msg);
                return;
        }
        wanted.revisions++;
        *vn_sim_tuning(sim, deployment) = wanted;
        vn_sim_tuned(sim, deployment);
        vn_sim_json(response, 200, operation(sim, deployment, false));
}

static void get_operation(struct vn_sim *sim, uint32_t account, struct vn_str id, struct vn_sim_response *response)
{
        json_t *of_run = vn_gcp_run_operation(sim, account, id);
        if (of_run) {
                vn_sim_json(response, 200, of_run);
                return;
        }
        for (uint32_t f = 0; f < sim->demo->function_count; f++) {
                uint32_t deployment = vn_demo_deployment(sim->demo, account, f);
                char name[200];
                if (!sim->functions[deployment].operation)
                        continue;
                operation_name(sim, deployment, name);
                if (vn_str_ends(vn_str(name), id) && id.len == 26) {
                        vn_sim_json(response, 200, operation(sim, deployment, true));
                        return;
                }
        }
        vn_sim_gcp_error(response, 404, "NOT_FOUND", "The operation was not found.");
}

void vn_gcp_functions(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                      const struct vn_str *part, size_t count, struct vn_sim_response *response)
{
        bool get = is(request->verb, "GET"), services = count > 2 && is(part[2], "services");
        bool kind = count > 2 && (services || is(part[2], "functions"));
        if (count < 3 || count > 6 || !is(part[0], "locations") || (count > 4 && !services)) {
                vn_sim_gcp_error(response, 404, "NOT_FOUND", "Method not found.");
                return;
        }
        if (kind && count == 3 && get) {
                list(sim, account, part[1], services, request, response);
                return;
        }
        if (count == 4 && get && is(part[2], "operations")) {
                get_operation(sim, account, part[3], response);
                return;
        }
        uint32_t deployment = kind && count >= 4 && is(part[1], sim->accounts[account].region)
                                      ? vn_sim_find(sim, account, part[3])
                                      : UINT32_MAX;
        if (deployment == UINT32_MAX)
                vn_sim_gcp_error(response, 404, "NOT_FOUND", "Resource '%.*s' was not found",
                                 count > 3 && part[3].len < 80 ? (int)part[3].len : 0, count > 3 ? part[3].ptr : "");
        else if (services)
                vn_gcp_run(sim, deployment, request, part + 4, count - 4, response);
        else if (get)
                vn_sim_json(response, 200, function(sim, deployment, true));
        else if (is(request->verb, "PATCH"))
                patch(sim, deployment, request, response);
        else
                vn_sim_gcp_error(response, 501, "UNIMPLEMENTED", "Operation is not served by this simulator.");
}
