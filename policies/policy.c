#include "policies/policy.h"

#include <stdio.h>

static const char *const routing_modes[] = {"shadow", "advisory", "automatic"};
static const char *const tuning_modes[] = {"off", "shadow", "approval", "automatic"};
static const char *const unrecordables[] = {"last_split", "refuse"};
static const char *const acknowledges[] = {"journal", "recorded"};

bool vn_policy_glob(const char *pattern, const char *text)
{
        const char *star = NULL, *retry = NULL;
        while (*text) {
                if (*pattern == '*') {
                        star = pattern++;
                        retry = text;
                } else if (*pattern == '?' || *pattern == *text) {
                        pattern++;
                        text++;
                } else if (star) {
                        pattern = star + 1;
                        text = ++retry;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}

bool vn_policy_allows_cloud(const struct vn_policy_compiled *policy, enum vn_provider provider)
{
        return policy->clouds >> provider & 1;
}

bool vn_policy_allows_region(const struct vn_policy_compiled *policy, enum vn_provider provider, const char *region)
{
        char full[96];
        snprintf(full, sizeof full, "%s:%s", vn_provider_name(provider), region);
        for (uint32_t i = 0; i < policy->region_count; i++)
                if (!strcmp(policy->regions[i], region) || !strcmp(policy->regions[i], full))
                        return true;
        return policy->region_count == 0;
}

bool vn_policy_allows_residency(const struct vn_policy_compiled *policy, enum vn_provider provider,
                                const char *region)
{
        return !policy->residency || (vn_region_residency(provider, vn_str(region)) & policy->residency);
}

/* One row a field, so that print and diff cannot disagree. Calls visit(arg, field, JSON value). */
typedef void (*visit_fn)(void *arg, const char *field, const char *json);

static void visit_number(visit_fn visit, void *arg, const char *field, double value)
{
        char text[40];
        for (int digits = 6; digits <= 17; digits++) {
                double back;
                snprintf(text, sizeof text, "%.*g", digits, value);
                if (vn_str_to_double(vn_str(text), &back) == VN_OK && back == value)
                        break;
        }
        visit(arg, field, text);
}

static void visit_text(visit_fn visit, void *arg, const char *field, const char *value)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(2048);
        vn_buf_json_string(&text, vn_str(value));
        visit(arg, field, vn_buf_view(&text).ptr);
}

static void visit_all(const struct vn_policy_compiled *p, visit_fn visit, void *arg)
{
        VN_AUTO(vn_buf)
        list = VN_BUF_INIT(4096);
        visit_text(visit, arg, "policy", p->name);
        visit_text(visit, arg, "scope.workloads", p->workloads);
        visit_number(visit, arg, "objective.cost", p->cost_weight);
        visit_number(visit, arg, "objective.latency", p->latency_weight);
        visit_number(visit, arg, "latency_value_usd_per_ms", p->latency_value_usd_per_ms);
        vn_buf_char(&list, '[');
        for (unsigned i = 0; i < VN_PROVIDER_COUNT; i++)
                if (vn_policy_allows_cloud(p, (enum vn_provider)i))
                        vn_buf_printf(&list, "%s\"%s\"", list.len > 1 ? "," : "",
                                      vn_provider_name((enum vn_provider)i));
        vn_buf_char(&list, ']');
        visit(arg, "limits.clouds", list.ptr ? list.ptr : "[]");
        vn_buf_reset(&list);
        vn_buf_char(&list, '[');
        for (uint32_t i = 0; i < p->region_count; i++) {
                vn_buf_text(&list, i ? "," : "");
                vn_buf_json_string(&list, vn_str(p->regions[i]));
        }
        vn_buf_char(&list, ']');
        visit(arg, "limits.regions", list.ptr ? list.ptr : "[]");
        vn_buf_reset(&list);
        vn_buf_char(&list, '[');
        for (unsigned i = 0; i < VN_RESIDENCY_COUNT; i++)
                if (p->residency >> i & 1)
                        vn_buf_printf(&list, "%s\"%s\"", list.len > 1 ? "," : "",
                                      vn_residency_name((enum vn_residency)i));
        vn_buf_char(&list, ']');
        visit(arg, "limits.residency", list.ptr ? list.ptr : "[]");
        visit_number(visit, arg, "limits.latency_slo_ms", p->latency_slo_ms);
        visit_number(visit, arg, "limits.slo_quantile", p->slo_quantile);
        visit_number(visit, arg, "limits.budget_usd_per_day", p->budget_usd_per_day);
        visit_text(visit, arg, "routing.mode", routing_modes[p->routing_mode]);
        visit_number(visit, arg, "routing.exploration", p->exploration);
#define CLOUD(id, name) visit_number(visit, arg, "routing.fallback." name, p->fallback[VN_PROVIDER_##id]);
#include "base/clouds.def"
        visit_text(visit, arg, "routing.unrecordable", unrecordables[p->unrecordable]);
        visit_text(visit, arg, "routing.acknowledge", acknowledges[p->acknowledge]);
        visit_text(visit, arg, "tuning.mode", tuning_modes[p->tuning_mode]);
        visit_number(visit, arg, "tuning.max_step", p->max_step);
}

static void print_one(void *arg, const char *field, const char *json)
{
        struct vn_buf *buf = arg;
        vn_buf_printf(buf, "%s\"%s\":%s", buf->len && buf->ptr[buf->len - 1] != '{' ? "," : "", field, json);
}

void vn_policy_print(const struct vn_policy_compiled *policy, struct vn_buf *ret)
{
        vn_buf_char(ret, '{');
        visit_all(policy, print_one, ret);
        vn_buf_char(ret, '}');
}

struct diff {
        struct vn_policy_change rows[VN_POLICY_MAX_CHANGES];
        size_t count;
        bool second;
};

static void diff_one(void *arg, const char *field, const char *json)
{
        struct diff *d = arg;
        if (d->count == VN_POLICY_MAX_CHANGES)
                return;
        struct vn_policy_change *row = &d->rows[d->count++];
        snprintf(row->field, sizeof row->field, "%s", field);
        snprintf(d->second ? row->after : row->before, sizeof row->before, "%s", json);
}

size_t vn_policy_diff(const struct vn_policy_compiled *before, const struct vn_policy_compiled *after,
                      struct vn_policy_change ret[VN_POLICY_MAX_CHANGES])
{
        struct diff d = {.count = 0};
        visit_all(before, diff_one, &d);
        d.count = 0;
        d.second = true;
        visit_all(after, diff_one, &d); /* the same rows in the same order */
        size_t changed = 0;
        for (size_t i = 0; i < d.count; i++)
                if (strcmp(d.rows[i].before, d.rows[i].after))
                        ret[changed++] = d.rows[i];
        return changed;
}
