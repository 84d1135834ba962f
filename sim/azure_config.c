/* azure_config.c - plans, a site's web configuration and its slots. Each account has three plans; sites are made on Consumption
 * or Flex Consumption, and one on Consumption can be moved to Premium and back. */
#include <stdio.h>

#include "sim/azure_arm.h"

static bool is(struct vn_str part, const char *word)
{
        return vn_str_eq_nocase(part, vn_str(word));
}

static const struct plan {
        const char *name, *size, *tier, *kind;
        int max_workers;
} plans[] = {{"consumption", "Y1", "Dynamic", "functionapp", 0},
             {"flex", "FC1", "FlexConsumption", "functionapp", 0},
             {"premium", "EP1", "ElasticPremium", "elastic", 100}};
enum { CONSUMPTION, FLEX, PREMIUM, PLAN_COUNT };

static const struct plan *plan_of(struct vn_sim *sim, uint32_t deployment)
{
        if (vn_sim_azure_flex(sim, deployment))
                return &plans[FLEX];
        return &plans[vn_sim_tuning(sim, deployment)->premium ? PREMIUM : CONSUMPTION];
}

const char *vn_azure_tier(struct vn_sim *sim, uint32_t deployment)
{
        return plan_of(sim, deployment)->tier;
}

static void plan_id(const struct vn_sim *sim, uint32_t account, const struct plan *plan, char ret[200])
{
        snprintf(ret, 200,
                 "/subscriptions/%s/resourceGroups/" VN_AZURE_GROUP "/providers/Microsoft.Web/serverfarms/%s",
                 sim->accounts[account].id, plan->name);
}

void vn_azure_plan_id(struct vn_sim *sim, uint32_t deployment, char ret[200])
{
        plan_id(sim, (uint32_t)(deployment / sim->demo->function_count), plan_of(sim, deployment), ret);
}

static json_t *plan_json(const struct vn_sim *sim, uint32_t account, const struct plan *plan)
{
        char id[200];
        plan_id(sim, account, plan, id);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:{s:s, s:i, s:s}, s:{s:s, s:s, s:s}}", "id", id, "name",
                         plan->name, "type", "Microsoft.Web/serverfarms", "kind", plan->kind, "location",
                         sim->accounts[account].region, "properties", "status", "Ready", "maximumElasticWorkerCount",
                         plan->max_workers, "provisioningState", "Succeeded", "sku", "name", plan->size, "tier",
                         plan->tier, "size", plan->size);
}

void vn_azure_plans(const struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                    const struct vn_str *part, size_t count, struct vn_sim_response *response)
{
        json_t *value;
        if (!vn_str_eq(request->verb, VN_STR("GET")) || count > 1) {
                vn_sim_azure_error(response, 405, "MethodNotAllowed", "This simulator only reads plans.");
                return;
        }
        for (size_t i = 0; count == 1 && i < PLAN_COUNT; i++) {
                if (is(part[0], plans[i].name)) {
                        vn_sim_json(response, 200, plan_json(sim, account, &plans[i]));
                        return;
                }
        }
        if (count == 1) {
                vn_sim_azure_error(response, 404, "ResourceNotFound", "The plan was not found.");
                return;
        }
        value = json_array();
        for (size_t i = 0; i < PLAN_COUNT; i++)
                json_array_append_new(value, plan_json(sim, account, &plans[i]));
        vn_sim_json(response, 200, json_pack("{s:o}", "value", value));
}

bool vn_azure_move(struct vn_sim *sim, uint32_t deployment, json_t *body, struct vn_sim_response *response)
{
        struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        struct vn_str wanted =
                vn_str(json_string_value(json_object_get(json_object_get(body, "properties"), "serverFarmId")));
        uint32_t account = (uint32_t)(deployment / sim->demo->function_count);
        char id[200];
        for (size_t i = 0; wanted.ptr && i < PLAN_COUNT; i++) {
                plan_id(sim, account, &plans[i], id);
                if (!is(wanted, id))
                        continue;
                if ((i == FLEX) != vn_sim_azure_flex(sim, deployment))
                        break; /* nothing moves to or from Flex */
                if (&plans[i] != plan_of(sim, deployment)) {
                        t->premium = i == PREMIUM;
                        t->max_instances = t->premium ? 0 : 200; /* each plan's own default */
                        t->warm_instances = t->premium ? 1 : 0;
                        t->pre_warmed = t->premium ? 1 : 0;
                        vn_sim_tuned(sim, deployment);
                }
                return true;
        }
        if (!wanted.ptr)
                return true;
        vn_sim_azure_error(response, 400, "BadRequest", "The site cannot be moved to this plan.");
        return false;
}

/* --- config/web --- */

static json_t *web_json(struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        bool flex = vn_sim_azure_flex(sim, deployment);
        json_t *rules = json_array();
        char id[256];
        for (size_t i = 0; i < t->share_count; i++) {
                char host[140];
                vn_azure_slot_host(sim, deployment, t->shares[i].name, host);
                json_array_append_new(rules, json_pack("{s:s, s:f, s:s}", "actionHostName", host, "reroutePercentage",
                                                       t->shares[i].percent, "name", t->shares[i].name));
        }
        vn_azure_site_id(sim, deployment, id);
        return json_pack("{s:s+, s:s, s:s, s:{s:i, s:i, s:i, s:{s:o}}}", "id", id, "/config/web", "name", "web",
                         "type", "Microsoft.Web/sites/config", "properties", "preWarmedInstanceCount",
                         (int)t->pre_warmed, "minimumElasticInstanceCount", flex ? 0 : (int)t->warm_instances,
                         "functionAppScaleLimit", flex ? 0 : (int)t->max_instances, "experiments", "rampUpRules",
                         rules);
}

static const struct vn_sim_slot *find_slot(const struct vn_sim_tuning *t, struct vn_str name)
{
        for (size_t i = 0; i < t->slot_count; i++)
                if (is(name, t->slots[i].name))
                        return &t->slots[i];
        return NULL;
}

/* NULL when the rules are good. */
static const char *read_rules(struct vn_sim *sim, uint32_t deployment, json_t *rules, struct vn_sim_tuning *ret)
{
        json_t *rule;
        double sum = 0;
        size_t i;
        ret->share_count = 0;
        if (!json_is_array(rules) || json_array_size(rules) > VN_SIM_SLOTS)
                return "RampUpRules must be one for each slot at most.";
        json_array_foreach(rules, i, rule)
        {
                const char *name = json_string_value(json_object_get(rule, "name"));
                const char *action = json_string_value(json_object_get(rule, "actionHostName"));
                const struct vn_sim_slot *slot = name ? find_slot(ret, vn_str(name)) : NULL;
                double percent = json_number_value(json_object_get(rule, "reroutePercentage"));
                struct vn_sim_share *share = &ret->shares[ret->share_count++];
                char host[140] = "";
                if (slot)
                        vn_azure_slot_host(sim, deployment, slot->name, host);
                if (!slot || !action || !is(vn_str(action), host))
                        return "ActionHostName must be the host of a slot of this site.";
                if (!(percent >= 0 && percent <= 100) || (sum += percent) > 100)
                        return "ReroutePercentage must be between 0 and 100, and so must the sum.";
                *share = (struct vn_sim_share){.percent = percent};
                snprintf(share->name, sizeof share->name, "%s", slot->name);
        }
        return NULL;
}

static bool read_count(json_t *properties, const char *name, int64_t max, uint32_t *ret)
{
        struct vn_err err;
        int64_t value;
        if (!json_object_get(properties, name))
                return true;
        if (vn_json_i64(properties, name, &value, &err) != VN_OK || value < 0 || value > max)
                return false;
        *ret = (uint32_t)value;
        return true;
}

static const char *read_web(struct vn_sim *sim, uint32_t deployment, json_t *properties, struct vn_sim_tuning *ret)
{
        json_t *experiments = json_object_get(properties, "experiments");
        bool premium = ret->premium, flex = vn_sim_azure_flex(sim, deployment);
        if (flex && (experiments || json_object_get(properties, "functionAppScaleLimit") ||
                     json_object_get(properties, "minimumElasticInstanceCount")))
                return "This setting is not supported for Flex Consumption sites.";
        if (!read_count(properties, "functionAppScaleLimit", premium ? 100 : 200, &ret->max_instances))
                return "FunctionAppScaleLimit is more than the plan allows.";
        if (!read_count(properties, "minimumElasticInstanceCount", premium ? 20 : 0, &ret->warm_instances) ||
            !read_count(properties, "preWarmedInstanceCount", premium ? 10 : 0, &ret->pre_warmed))
                return "MinimumElasticInstanceCount and PreWarmedInstanceCount are limited by the plan.";
        return experiments ? read_rules(sim, deployment, json_object_get(experiments, "rampUpRules"), ret) : NULL;
}

void vn_azure_web(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                  struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_sim_tuning wanted = *vn_sim_tuning(sim, deployment);
        struct vn_err err;
        json_t *properties;
        const char *wrong;
        if (vn_str_eq(request->verb, VN_STR("GET"))) {
                vn_sim_json(response, 200, web_json(sim, deployment));
                return;
        }
        if (!vn_str_eq(request->verb, VN_STR("PATCH"))) {
                vn_sim_azure_error(response, 405, "MethodNotAllowed", "This simulator gets and patches config/web.");
                return;
        }
        if (vn_sim_busy(sim, deployment, false)) {
                vn_sim_azure_error(response, 409, "Conflict",
                                   "Cannot modify this site because another operation is in progress.");
                return;
        }
        if (vn_sim_body(request, &body, &err) != VN_OK ||
            !json_is_object(properties = json_object_get(body, "properties"))) {
                vn_sim_azure_error(response, 400, "InvalidRequestContent", "The request content was invalid.");
                return;
        }
        wrong = read_web(sim, deployment, properties, &wanted);
        if (wrong) {
                vn_sim_azure_error(response, 400, "BadRequest", "%s", wrong);
                return;
        }
        *vn_sim_tuning(sim, deployment) = wanted;
        vn_sim_tuned(sim, deployment);
        vn_sim_json(response, 200, web_json(sim, deployment));
}

/* --- slots --- */

void vn_azure_slot_host(struct vn_sim *sim, uint32_t deployment, const char *slot, char ret[140])
{
        char host[96];
        vn_sim_azure_host(sim, deployment, host);
        snprintf(ret, 140, "%s-%s%s", vn_sim_function_name(sim, deployment), slot,
                 host + strlen(vn_sim_function_name(sim, deployment)));
}

static json_t *slot_json(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_slot *slot)
{
        const char *name = vn_sim_function_name(sim, deployment);
        char id[256], host[140], farm[200];
        vn_azure_site_id(sim, deployment, id);
        vn_azure_slot_host(sim, deployment, slot->name, host);
        vn_azure_plan_id(sim, deployment, farm);
        return json_pack("{s:s++, s:s++, s:s, s:s, s:s, s:{s:s, s:s, s:s, s:[s]}}", "id", id, "/slots/", slot->name,
                         "name", name, "/", slot->name, "type", "Microsoft.Web/sites/slots", "kind",
                         "functionapp,linux", "location",
                         sim->accounts[deployment / sim->demo->function_count].region, "properties", "state",
                         "Running", "serverFarmId", farm, "defaultHostName", host, "hostNames", host);
}

static void put_slot(struct vn_sim *sim, uint32_t deployment, struct vn_str name,
                     const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(1024);
        struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        size_t most = vn_sim_azure_flex(sim, deployment) ? 0 : t->premium ? VN_SIM_SLOTS : 1;
        const struct vn_sim_slot *old = find_slot(t, name);
        char id[256];
        if (old) {
                vn_sim_json(response, 200, slot_json(sim, deployment, old));
                return;
        }
        if (t->slot_count >= most || is(name, "production") ||
            !vn_str_copy(t->slots[t->slot_count].name, VN_SIM_SLOT_BYTES, name)) {
                vn_sim_azure_error(response, 409, "Conflict", "Cannot create more than %zu slot(s) on this plan.",
                                   most);
                return;
        }
        t->slots[t->slot_count].looks = 0;
        vn_sim_json(response, 202, slot_json(sim, deployment, &t->slots[t->slot_count]));
        vn_azure_site_id(sim, deployment, id);
        vn_sim_own_address(request, &url);
        vn_buf_printf(&url, "%s/slots/%s/operationresults/create?api-version=2025-05-01", id,
                      t->slots[t->slot_count].name);
        vn_sim_set_header(response, "location", url.ptr ? url.ptr : "");
        vn_sim_set_header(response, "retry-after", "1");
        t->slot_count++;
}

/* The older form of a long-running operation: 202 with the same Location until it is done, then what was made. */
static void slot_operation(struct vn_sim *sim, uint32_t deployment, struct vn_sim_slot *slot,
                           const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(1024);
        if (++slot->looks > 1) {
                vn_sim_json(response, 200, slot_json(sim, deployment, slot));
                return;
        }
        vn_sim_text(response, 202, "application/json", "");
        vn_sim_own_address(request, &url);
        vn_buf_printf(&url, "%.*s?api-version=2025-05-01", VN_FMT(request->path));
        vn_sim_set_header(response, "location", url.ptr ? url.ptr : "");
        vn_sim_set_header(response, "retry-after", "1");
}

static void delete_slot(struct vn_sim_tuning *t, const struct vn_sim_slot *slot)
{
        size_t at = (size_t)(slot - t->slots), kept = 0;
        for (size_t i = 0; i < t->share_count; i++)
                if (strcmp(t->shares[i].name, slot->name) != 0)
                        t->shares[kept++] = t->shares[i];
        t->share_count = kept;
        memmove(&t->slots[at], &t->slots[at + 1], (t->slot_count - at - 1) * sizeof t->slots[0]);
        t->slot_count--;
}

void vn_azure_slots(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                    const struct vn_str *part, size_t count, struct vn_sim_response *response)
{
        struct vn_sim_tuning *t = vn_sim_tuning(sim, deployment);
        const struct vn_sim_slot *slot = count > 0 ? find_slot(t, part[0]) : NULL;
        bool get = vn_str_eq(request->verb, VN_STR("GET"));
        if (count == 0 && get) {
                json_t *value = json_array();
                for (size_t i = 0; i < t->slot_count; i++)
                        json_array_append_new(value, slot_json(sim, deployment, &t->slots[i]));
                vn_sim_json(response, 200, json_pack("{s:o}", "value", value));
        } else if (count == 1 && vn_str_eq(request->verb, VN_STR("PUT"))) {
                put_slot(sim, deployment, part[0], request, response);
        } else if (count == 0 || !slot) {
                vn_sim_azure_error(response, 404, "ResourceNotFound", "The slot was not found.");
        } else if (count == 1 && get) {
                vn_sim_json(response, 200, slot_json(sim, deployment, slot));
        } else if (count == 1 && vn_str_eq(request->verb, VN_STR("DELETE"))) {
                delete_slot(t, slot);
                vn_sim_tuned(sim, deployment);
                vn_sim_text(response, 200, "application/json", "");
        } else if (count == 3 && get && is(part[1], "operationresults")) {
                slot_operation(sim, deployment, &t->slots[slot - t->slots], request, response);
        } else {
                vn_sim_azure_error(response, 405, "MethodNotAllowed", "There is no such operation on this slot.");
        }
}
