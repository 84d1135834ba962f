/* gcp_run.c - Cloud Run v2 as far as functions own services: reading them and their revisions, and dividing traffic under the
 * service's etag. Every change of the function makes a revision. */
#include <stdio.h>

#include "sim/gcp.h"

#define MAX_REVISIONS 100 /* the oldest are gone */

static bool is(struct vn_str part, const char *word)
{
        return vn_str_eq(part, vn_str(word));
}

static void revision_name(const struct vn_sim *sim, uint32_t deployment, uint32_t number, char ret[VN_SIM_SLOT_BYTES])
{
        uint64_t hash = vn_hash64(&number, sizeof number, sim->seed + deployment);
        snprintf(ret, VN_SIM_SLOT_BYTES, "%.20s-%05u-%c%c%c", vn_sim_function_name(sim, deployment), number,
                 (int)('a' + hash % 26), (int)('a' + hash / 26 % 26), (int)('a' + hash / 676 % 26));
}

static uint32_t ready_revision(struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        bool busy = vn_sim_busy(sim, deployment, false);
        return busy && t->revisions > 1 ? t->revisions - 1 : t->revisions;
}

static uint32_t oldest_revision(const struct vn_sim_tuning *t)
{
        return t->revisions > MAX_REVISIONS ? t->revisions - MAX_REVISIONS + 1 : 1;
}

/* Number of a revision by its short name; 0 if there is none. */
static uint32_t find_revision(struct vn_sim *sim, uint32_t deployment, struct vn_str name)
{
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        char text[VN_SIM_SLOT_BYTES];
        for (uint32_t n = t->revisions; n >= oldest_revision(t) && n > 0; n--) {
                revision_name(sim, deployment, n, text);
                if (is(name, text))
                        return n;
        }
        return 0;
}

static void etag_of(const struct vn_sim *sim, uint32_t deployment, char ret[32])
{
        snprintf(ret, 32, "\"CK%u\"", sim->functions[deployment].revision);
}

static json_t *traffic_json(const struct vn_sim_tuning *t)
{
        json_t *traffic = json_array();
        if (t->share_count == 0)
                json_array_append_new(traffic, json_pack("{s:s, s:i}", "type",
                                                         "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent", 100));
        for (size_t i = 0; i < t->share_count; i++) {
                const struct vn_sim_share *s = &t->shares[i];
                json_t *target = json_pack("{s:s, s:i}", "type",
                                           s->name[0] ? "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
                                                      : "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST",
                                           "percent", (int)s->percent);
                if (target && s->name[0])
                        json_object_set_new(target, "revision", json_string(s->name));
                if (target && s->tag[0])
                        json_object_set_new(target, "tag", json_string(s->tag));
                json_array_append_new(traffic, target);
        }
        return traffic;
}

json_t *vn_gcp_service(struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_platform_deployment *d = &sim->demo->deployments[deployment];
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        char name[200], host[96], memory[24], cpu[24], etag[32], generation[16];
        char ready[VN_SIM_SLOT_BYTES], created[VN_SIM_SLOT_BYTES];
        vn_gcp_path(sim, deployment, "services", name);
        vn_sim_gcp_host(sim, deployment, host);
        snprintf(memory, sizeof memory, "%uMi", vn_sim_memory(sim, deployment));
        snprintf(generation, sizeof generation, "%u", t->revisions);
        etag_of(sim, deployment, etag);
        vn_gcp_cpu_text(d, vn_sim_memory(sim, deployment), cpu);
        revision_name(sim, deployment, ready_revision(sim, deployment), ready);
        revision_name(sim, deployment, t->revisions, created);
        json_t *json = json_pack(
                "{s:s, s:s+, s:o, s:s, s:s, s:b, s:{s:[{s:s, s:{s:{s:s, s:s}}}], s:{s:i, s:i}, s:i}, s:{s:s, s:s}}",
                "name", name, "uri", "https://", host, "updateTime",
                vn_sim_time(sim->functions[deployment].changed_us), "etag", etag, "generation", generation,
                "reconciling", vn_sim_busy(sim, deployment, false), "template", "containers", "image", "function",
                "resources", "limits", "memory", memory, "cpu", cpu, "scaling", "minInstanceCount",
                (int)t->warm_instances, "maxInstanceCount", (int)t->max_instances, "maxInstanceRequestConcurrency",
                (int)t->concurrency, "terminalCondition", "type", "Ready", "state", "CONDITION_SUCCEEDED");
        if (!json)
                return NULL;
        json_object_set_new(json, "latestReadyRevision", json_sprintf("%s/revisions/%s", name, ready));
        json_object_set_new(json, "latestCreatedRevision", json_sprintf("%s/revisions/%s", name, created));
        json_object_set_new(json, "traffic", traffic_json(t));
        json_object_set_new(json, "trafficStatuses", traffic_json(t));
        return json;
}

static json_t *revision_json(struct vn_sim *sim, uint32_t deployment, uint32_t number)
{
        char service[200], name[VN_SIM_SLOT_BYTES], memory[24];
        vn_gcp_path(sim, deployment, "services", service);
        revision_name(sim, deployment, number, name);
        snprintf(memory, sizeof memory, "%uMi", vn_sim_memory(sim, deployment));
        return json_pack("{s:s++, s:s, s:b, s:[{s:s}]}", "name", service, "/revisions/", name, "service", service,
                         "reconciling", number > ready_revision(sim, deployment), "containers", "image", "function");
}

/* Newest first. */
static void list_revisions(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                           struct vn_sim_response *response)
{
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        uint64_t size, from;
        if (vn_sim_param_u64(request->query, "pageSize", 100, 1u << 30, &size) != VN_OK ||
            vn_sim_param_u64(request->query, "pageToken", t->revisions, t->revisions, &from) != VN_OK) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "pageSize or pageToken is not valid");
                return;
        }
        json_t *items = json_array(), *body;
        uint32_t n = (uint32_t)from;
        for (size = size ? size : 100; size > 0 && n >= oldest_revision(t) && n > 0; n--, size--)
                json_array_append_new(items, revision_json(sim, deployment, n));
        body = json_pack("{s:o}", "revisions", items);
        if (body && n >= oldest_revision(t) && n > 0)
                json_object_set_new(body, "nextPageToken", json_sprintf("%u", n));
        vn_sim_json(response, 200, body);
}

static json_t *operation(struct vn_sim *sim, uint32_t deployment, bool look)
{
        struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        bool done = (t->looks += look) > 1;
        char id[40];
        vn_sim_uuid(t->operation, id);
        json_t *service = vn_gcp_service(sim, deployment), *json;
        if (service)
                json_object_set_new(service, "@type", json_string("type.googleapis.com/google.cloud.run.v2.Service"));
        json = json_pack("{s:o, s:O, s:b}", "name",
                         json_sprintf("projects/%s/locations/%s/operations/%s", a->id, a->region, id), "metadata",
                         service, "done", done);
        if (json && done)
                json_object_set(json, "response", service);
        json_decref(service);
        return json;
}

json_t *vn_gcp_run_operation(struct vn_sim *sim, uint32_t account, struct vn_str id)
{
        for (uint32_t f = 0; f < sim->demo->function_count; f++) {
                uint32_t deployment = vn_demo_deployment(sim->demo, account, f);
                char text[40];
                vn_sim_uuid(vn_sim_tuning(sim, deployment)->operation, text);
                if (vn_sim_tuning(sim, deployment)->operation && is(id, text))
                        return operation(sim, deployment, true);
        }
        return NULL;
}

/* An enum arrives as its name or as its number. */
static bool by_latest(json_t *target)
{
        json_t *type = json_object_get(target, "type");
        return json_is_integer(type) ? json_integer_value(type) == 1
                                     : !strcmp(json_is_string(type) ? json_string_value(type) : "",
                                               "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST");
}

/* NULL when the targets are good. */
static const char *read_traffic(struct vn_sim *sim, uint32_t deployment, json_t *traffic, struct vn_sim_tuning *ret)
{
        json_int_t sum = 0;
        json_t *target;
        size_t i;
        ret->share_count = 0;
        if (json_array_size(traffic) > VN_SIM_SHARES)
                return "too many traffic targets";
        json_array_foreach(traffic, i, target)
        {
                struct vn_sim_share *share = &ret->shares[ret->share_count++];
                struct vn_str revision = vn_str(json_string_value(json_object_get(target, "revision")));
                struct vn_str tag = vn_str(json_string_value(json_object_get(target, "tag")));
                json_int_t percent = json_integer_value(json_object_get(target, "percent"));
                *share = (struct vn_sim_share){.percent = (double)percent};
                if (percent < 0 || percent > 100)
                        return "a percent is outside of 0 to 100";
                sum += percent;
                if (by_latest(target) ? revision.len > 0 : !find_revision(sim, deployment, revision))
                        return "a traffic target names a revision that does not exist";
                if (!by_latest(target) && !vn_str_copy(share->name, sizeof share->name, revision))
                        return "a revision's name is too long";
                if (tag.len && !vn_str_copy(share->tag, sizeof share->tag, tag))
                        return "a tag is too long";
        }
        return ret->share_count && sum != 100 ? "the percents of traffic must make 100" : NULL;
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
        char etag[32];
        const char *sent, *wrong;
        if (!vn_gcp_write_allowed(sim, (uint32_t)(deployment / sim->demo->function_count), response))
                return;
        if (vn_sim_body(request, &body, &err) != VN_OK) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Invalid JSON payload received. %s", err.msg);
                return;
        }
        if (!vn_sim_param(request->query, "updateMask", &mask) || !is(vn_str_trim(vn_buf_view(&mask)), "traffic")) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT",
                                 "This simulator changes a service's traffic only.");
                return;
        }
        etag_of(sim, deployment, etag);
        sent = json_string_value(json_object_get(body, "etag"));
        if (sent && sent[0] && strcmp(sent, etag) != 0) {
                vn_sim_gcp_error(response, 409, "ABORTED",
                                 "Conflict for resource: the etag %.40s is not the present one.", sent);
                return;
        }
        wrong = read_traffic(sim, deployment, json_object_get(body, "traffic"), &wanted);
        if (wrong) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "%s", wrong);
                return;
        }
        wanted.operation = vn_hash64(&sim->next_id, 8, sim->seed + 3);
        wanted.looks = 0;
        sim->next_id++;
        *vn_sim_tuning(sim, deployment) = wanted;
        vn_sim_tuned(sim, deployment);
        vn_sim_json(response, 200, operation(sim, deployment, false));
}

void vn_gcp_run(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                const struct vn_str *part, size_t count, struct vn_sim_response *response)
{
        bool get = is(request->verb, "GET");
        uint32_t number;
        if (count == 0 && get)
                vn_sim_json(response, 200, vn_gcp_service(sim, deployment));
        else if (count == 0 && is(request->verb, "PATCH"))
                patch(sim, deployment, request, response);
        else if (count == 1 && get && is(part[0], "revisions"))
                list_revisions(sim, deployment, request, response);
        else if (count == 2 && get && is(part[0], "revisions") &&
                 (number = find_revision(sim, deployment, part[1])) != 0)
                vn_sim_json(response, 200, revision_json(sim, deployment, number));
        else
                vn_sim_gcp_error(response, get ? 404 : 501, get ? "NOT_FOUND" : "UNIMPLEMENTED",
                                 "Operation is not served by this simulator.");
}
