/* Azure: how calls are divided over a site's slots: experiments.rampUpRules of config/web, one rule a slot, in percent. What
 * no rule takes goes to production. Flex Consumption has no slots; Consumption has one beside production, the larger plans
 * more. Only calls that come in by the site's own host name are divided.
 * Guarded like the other settings of config/web: the rules are compared right before the PATCH, one round trip of race
 * remains, and the read afterwards shows what stands. */
#include "clouds/azure/azure.h"

#define PRODUCTION "production"

static json_t *rules_of(json_t *web)
{
        return vn_json_at(web, "properties.experiments.rampUpRules");
}

/* "site/slot" is a slot's name in ARM. */
static struct vn_str slot_name(json_t *slot)
{
        struct vn_str name = vn_json_str(slot, "name"), rest = name;

        vn_str_cut(&rest, '/');
        return rest.ptr ? rest : name;
}

static json_t *slot_by(json_t *slots, struct vn_str name)
{
        json_t *slot;
        size_t i;

        json_array_foreach(json_object_get(slots, "value"), i, slot)
        {
                if (vn_str_eq_nocase(slot_name(slot), name))
                        return slot;
        }
        return NULL;
}

static struct vn_cloud_share *share_of(struct vn_cloud_split *split, struct vn_str name)
{
        for (size_t i = 0; i < split->count; i++)
                if (vn_str_eq_nocase(name, vn_str(split->shares[i].version)))
                        return &split->shares[i];
        if (split->count == VN_CLOUD_MAX_SHARES)
                return NULL;
        vn_text_copy(split->shares[split->count].version, VN_CLOUD_NAME_BYTES, name);
        return &split->shares[split->count++];
}

static enum vn_rc read_rules(json_t *web, json_t *slots, struct vn_cloud_split *ret, struct vn_err *err)
{
        struct vn_cloud_share *share;
        json_t *rule, *slot;
        uint32_t rerouted = 0;
        size_t i;

        share_of(ret, VN_STR(PRODUCTION));
        json_array_foreach(rules_of(web), i, rule)
        {
                double percent = vn_json_pick_number(rule, "reroutePercentage", 0);

                share = share_of(ret, vn_json_str(rule, "name"));
                if (!share || !(percent >= 0 && percent <= 100))
                        return vn_fail(err, VN_DATA_LOSS, "azure: the slots' rules cannot be read");
                share->per_mille += (uint32_t)(percent * 10 + 0.5);
                rerouted += (uint32_t)(percent * 10 + 0.5);
        }
        if (rerouted > 1000)
                return vn_fail(err, VN_DATA_LOSS, "azure: the slots' rules make more than all calls");
        ret->shares[0].per_mille = 1000 - rerouted;
        json_array_foreach(json_object_get(slots, "value"), i, slot) /* those that get nothing, as far as they fit */
        {
                share_of(ret, slot_name(slot));
        }
        return vn_azure_hash(rules_of(web) ? rules_of(web) : json_null(), ret->guard, err);
}

enum vn_rc vn_azure_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                               struct vn_cloud_split *ret, struct vn_err *err)
{
        VN_AUTO(vn_azure_site)
        site = {0};
        VN_AUTO(vn_json)
        slots = NULL;

        (void)alias;
        VN_TRY(vn_azure_site_get(cloud, function->resource, &site, err));
        if (site.plan == VN_AZURE_FLEX)
                return vn_fail(err, VN_FAILED_PRECONDITION, "azure: %s is on the %s plan, which has no slots",
                               function->name, vn_azure_plan_name(site.plan));
        VN_TRY(vn_azure_below(cloud, "GET", function->resource, "slots", NULL, &slots, err));
        return read_rules(site.web, slots, ret, err);
}

/* One rule a slot; a rule that stands already keeps its other members (steps of an automatic ramp). */
static enum vn_rc make_rules(const struct vn_cloud_function *function, const struct vn_cloud_split *wanted,
                             json_t *web, json_t *slots, json_t *ret, struct vn_err *err)
{
        for (size_t i = 0; i < wanted->count; i++) {
                struct vn_str name = vn_str(wanted->shares[i].version);
                json_t *slot = slot_by(slots, name), *old, *rule = NULL;
                double percent = wanted->shares[i].per_mille / 10.0;
                struct vn_str host = vn_json_str(slot, "properties.defaultHostName");
                size_t at;

                if (vn_str_eq_nocase(name, VN_STR(PRODUCTION)) || wanted->shares[i].per_mille == 0)
                        continue;
                if (!slot || host.len == 0)
                        return vn_fail(err, VN_NOT_FOUND, "azure: %s has no slot %.60s", function->name,
                                       wanted->shares[i].version);
                json_array_foreach(rules_of(web), at, old)
                {
                        if (vn_str_eq_nocase(vn_json_str(old, "name"), name))
                                rule = json_deep_copy(old);
                }
                if (!rule)
                        rule = json_pack("{s:s%, s:s%}", "name", name.ptr, name.len, "actionHostName", host.ptr,
                                         host.len);
                if (!rule || json_object_set_new(rule, "reroutePercentage", json_real(percent)) ||
                    json_array_append(ret, rule)) {
                        json_decref(rule);
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
                }
                json_decref(rule);
        }
        return VN_OK;
}

enum vn_rc vn_azure_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                              const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                              struct vn_err *err)
{
        VN_AUTO(vn_json)
        web = NULL;
        VN_AUTO(vn_json)
        slots = NULL;
        VN_AUTO(vn_json)
        rules = json_array();
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_json)
        after = NULL;
        struct vn_cloud_split now = {0};

        (void)max_wait_us; /* a PATCH of config/web is carried out when it is answered */
        VN_TRY(vn_azure_below(cloud, "GET", function->resource, "slots", NULL, &slots, err));
        VN_TRY(vn_azure_below(cloud, "GET", function->resource, "config/web", NULL, &web, err));
        VN_TRY(read_rules(web, slots, &now, err));
        if (strcmp(now.guard, wanted->guard) != 0)
                return vn_fail(err, VN_ABORTED, "azure: the slots of %s were changed by somebody else",
                               function->name);
        if (rules)
                VN_TRY(make_rules(function, wanted, web, slots, rules, err));
        body = json_pack("{s:{s:{s:O}}}", "properties", "experiments", "rampUpRules", rules);
        if (!body)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        VN_TRY(vn_azure_below(cloud, "PATCH", function->resource, "config/web", body, &answer, err));
        VN_TRY(vn_azure_below(cloud, "GET", function->resource, "config/web", NULL, &after, err));
        VN_TRY(read_rules(after, slots, ret, err));
        if (!vn_split_same(ret, wanted))
                return vn_fail(err, VN_ABORTED, "azure: %s divides its calls otherwise than asked", function->name);
        return VN_OK;
}
