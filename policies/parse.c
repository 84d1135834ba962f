/* parse.c - from the tree to a policy: a table of fields, each with its type and bounds. */
#include <stddef.h>
#include <stdio.h>

#include "policies/policy.h"
#include "base/clouds.h"
#include "policies/tree.h"

struct context {
        struct vn_policy_compiled *policy;
        struct vn_policy_errors *errors;
};

static void report(struct context *c, uint32_t line, uint32_t column, const char *field, const char *format, ...)
        VN_PRINTF(5, 6);
static void report(struct context *c, uint32_t line, uint32_t column, const char *field, const char *format, ...)
{
        if (c->errors->count == VN_POLICY_MAX_ERRORS)
                return;
        struct vn_policy_error *e = &c->errors->items[c->errors->count++];
        e->line = line;
        e->column = column;
        snprintf(e->field, sizeof e->field, "%s", field);
        va_list args;
        va_start(args, format);
        vsnprintf(e->message, sizeof e->message, format, args);
        va_end(args);
}

enum type { NUMBER, TEXT, CHOICE, MAP, OBJECTIVE, CLOUDS, REGIONS, RESIDENCY };
struct field {
        const char *name;
        enum type type;
        size_t offset;
        double low, high;          /* NUMBER */
        const char *choices;       /* CHOICE: "a|b|c", in the enum's order. TEXT: maximum length follows from size */
        size_t size;               /* TEXT */
        const struct field *below; /* MAP */
};
#define AT(member) offsetof(struct vn_policy_compiled, member)

static const struct field fallback_fields[] = {
#define CLOUD(id, name) {name, NUMBER, AT(fallback[VN_PROVIDER_##id]), 0, 1e6, NULL, 0, NULL},
#include "base/clouds.def"
        {.name = NULL}};
#define FALLBACK_UNSAID -1.0
static const struct field scope_fields[] = {{"workloads", TEXT, AT(workloads), 0, 0, NULL, 128, NULL},
                                            {.name = NULL}};
static const struct field limit_fields[] = {
        {"clouds", CLOUDS, AT(clouds), 0, 0, NULL, 0, NULL},
        {"regions", REGIONS, AT(regions), 0, 0, NULL, 0, NULL},
        {"residency", RESIDENCY, 0, 0, 0, NULL, 0, NULL},
        {"latency_slo_ms", NUMBER, AT(latency_slo_ms), 0.1, 900000, NULL, 0, NULL},
        {"slo_quantile", NUMBER, AT(slo_quantile), 0.5, 0.999, NULL, 0, NULL},
        {"budget_usd_per_day", NUMBER, AT(budget_usd_per_day), 0.000001, 1e9, NULL, 0, NULL},
        {.name = NULL}};
static const struct field routing_fields[] = {
        {"mode", CHOICE, AT(routing_mode), 0, 0, "shadow|advisory|automatic", 0, NULL},
        {"exploration", NUMBER, AT(exploration), 0, 0.2, NULL, 0, NULL},
        {"fallback", MAP, 0, 0, 0, NULL, 0, fallback_fields},
        {"unrecordable", CHOICE, AT(unrecordable), 0, 0, "last_split|refuse", 0, NULL},
        {"acknowledge", CHOICE, AT(acknowledge), 0, 0, "journal|recorded", 0, NULL},
        {.name = NULL}};
static const struct field tuning_fields[] = {
        {"mode", CHOICE, AT(tuning_mode), 0, 0, "off|shadow|approval|automatic", 0, NULL},
        {"max_step", NUMBER, AT(max_step), 0.1, 0.5, NULL, 0, NULL},
        {.name = NULL}};
static const struct field objective_fields[] = {{"cost", NUMBER, AT(cost_weight), 0, 1, NULL, 0, NULL},
                                                {"latency", NUMBER, AT(latency_weight), 0, 1, NULL, 0, NULL},
                                                {.name = NULL}};
static const struct field top_fields[] = {
        {"policy", TEXT, AT(name), 0, 0, NULL, VN_POLICY_NAME_BYTES, NULL},
        {"scope", MAP, 0, 0, 0, NULL, 0, scope_fields},
        {"objective", OBJECTIVE, 0, 0, 0, NULL, 0, NULL},
        {"latency_value_usd_per_ms", NUMBER, AT(latency_value_usd_per_ms), 0, 1000, NULL, 0, NULL},
        {"limits", MAP, 0, 0, 0, NULL, 0, limit_fields},
        {"routing", MAP, 0, 0, 0, NULL, 0, routing_fields},
        {"tuning", MAP, 0, 0, 0, NULL, 0, tuning_fields},
        {.name = NULL}};

static void *member(struct context *c, const struct field *f)
{
        return (char *)c->policy + f->offset;
}

static void read_number(struct context *c, const struct field *f, const struct vn_node *node, const char *path)
{
        double value;
        if (node->kind != VN_NODE_TEXT || node->quoted || vn_str_to_double(node->text, &value) != VN_OK)
                report(c, node->line, node->column, path, "a number is needed here");
        else if (!(value >= f->low && value <= f->high))
                report(c, node->line, node->column, path, "must be from %g to %g", f->low, f->high);
        else
                *(double *)member(c, f) = value;
}

static void read_text(struct context *c, const struct field *f, const struct vn_node *node, const char *path)
{
        if (node->kind != VN_NODE_TEXT || node->text.len == 0)
                report(c, node->line, node->column, path, "a text is needed here");
        else if (!vn_str_is_utf8(node->text) || !vn_str_copy(member(c, f), f->size, node->text))
                report(c, node->line, node->column, path, "at most %zu bytes of UTF-8", f->size - 1);
}

/* Index of the text among "a|b|c", or -1. */
static int choice_index(const char *choices, struct vn_str text)
{
        struct vn_str rest = vn_str(choices);
        for (int i = 0; rest.ptr; i++)
                if (vn_str_eq(vn_str_cut(&rest, '|'), text))
                        return i;
        return -1;
}

static void read_choice(struct context *c, const struct field *f, const struct vn_node *node, const char *path)
{
        int index = node->kind == VN_NODE_TEXT ? choice_index(f->choices, node->text) : -1;
        if (index < 0)
                report(c, node->line, node->column, path, "must be one of %s", f->choices);
        else
                *(unsigned *)member(c, f) = (unsigned)index; /* the enums have no negative member: unsigned int */
}

static void read_clouds(struct context *c, const struct vn_node *node, const char *path)
{
        uint32_t clouds = 0;
        for (const struct vn_node *item = node->child; item; item = item->next) {
                enum vn_provider provider;
                if (item->kind == VN_NODE_TEXT && vn_provider_parse(item->text, &provider))
                        clouds |= UINT32_C(1) << provider;
                else
                        report(c, item->line, item->column, path, "must be one of%s", vn_cloud_names);
        }
        if (node->kind != VN_NODE_LIST || !node->child)
                report(c, node->line, node->column, path, "a list of clouds is needed here");
        c->policy->clouds = clouds;
}

static void read_regions(struct context *c, const struct vn_node *node, const char *path)
{
        if (node->kind != VN_NODE_LIST || !node->child)
                report(c, node->line, node->column, path, "a list of regions is needed here");
        for (const struct vn_node *item = node->child; item; item = item->next) {
                uint32_t at = c->policy->region_count;
                if (at == VN_POLICY_MAX_REGIONS) {
                        report(c, item->line, item->column, path, "at most %d regions", VN_POLICY_MAX_REGIONS);
                        return;
                }
                if (item->kind != VN_NODE_TEXT || item->text.len == 0 ||
                    !vn_str_copy(c->policy->regions[at], sizeof c->policy->regions[at], item->text))
                        report(c, item->line, item->column, path, "a region's name, at most 47 bytes");
                else
                        c->policy->region_count++;
        }
}

static void read_residency(struct context *c, const struct vn_node *node, const char *path)
{
        if (node->kind != VN_NODE_LIST || !node->child)
                report(c, node->line, node->column, path, "a list of jurisdictions is needed here: [eu]");
        for (const struct vn_node *item = node->child; item; item = item->next) {
                enum vn_residency residency;
                if (item->kind == VN_NODE_TEXT && vn_residency_parse(item->text, &residency))
                        c->policy->residency |= UINT32_C(1) << residency;
                else
                        report(c, item->line, item->column, path, "eu, uk, ch, no, us, ca, br, in, jp, au, sg or kr");
        }
}

static void read_map(struct context *c, const struct field *fields, const struct vn_node *node, const char *path);

static void read_objective(struct context *c, const struct vn_node *node, const char *path)
{
        if (node->kind == VN_NODE_MAP) {
                c->policy->cost_weight = c->policy->latency_weight = 0;
                read_map(c, objective_fields, node, path);
                if (!(c->policy->cost_weight + c->policy->latency_weight > 0))
                        report(c, node->line, node->column, path, "cost and latency cannot both weigh nothing");
                return;
        }
        int index = node->kind == VN_NODE_TEXT ? choice_index("cost|latency", node->text) : -1;
        if (index < 0)
                report(c, node->line, node->column, path, "cost, latency, or weights: {cost: 0.7, latency: 0.3}");
        c->policy->cost_weight = index == 0;
        c->policy->latency_weight = index == 1;
}

static void read_field(struct context *c, const struct field *f, const struct vn_node *node, const char *path)
{
        switch (f->type) {
        case NUMBER: read_number(c, f, node, path); break;
        case TEXT: read_text(c, f, node, path); break;
        case CHOICE: read_choice(c, f, node, path); break;
        case MAP: read_map(c, f->below, node, path); break;
        case OBJECTIVE: read_objective(c, node, path); break;
        case CLOUDS: read_clouds(c, node, path); break;
        case REGIONS: read_regions(c, node, path); break;
        case RESIDENCY: read_residency(c, node, path); break;
        }
}

/* Recursion is bounded by the table of fields, not by the document. */
static void read_map(struct context *c, const struct field *fields, const struct vn_node *node, const char *path)
{
        if (node->kind != VN_NODE_MAP) {
                report(c, node->line, node->column, path, "keys and values are needed here");
                return;
        }
        for (const struct vn_node *child = node->child; child; child = child->next) {
                char below[96];
                const struct field *f = fields;
                while (f->name && !vn_str_eq(vn_str(f->name), child->key))
                        f++;
                snprintf(below, sizeof below, "%s%s%.*s", path, path[0] ? "." : "",
                         child->key.len > 40 ? 40 : (int)child->key.len, child->key.ptr);
                if (f->name)
                        read_field(c, f, child, below);
                else
                        report(c, child->key_line, child->key_column, below, "no such key here");
        }
}

void vn_policy_default(struct vn_policy_compiled *ret)
{
        *ret = (struct vn_policy_compiled){.cost_weight = 0.5,
                                           .latency_weight = 0.5,
                                           .latency_value_usd_per_ms = 0.01,
                                           .clouds = (1u << VN_PROVIDER_COUNT) - 1,
                                           .slo_quantile = 0.95,
                                           .routing_mode = VN_ROUTING_AUTOMATIC,
                                           .exploration = 0.01,
                                           .max_step = 0.5};
        for (unsigned i = 0; i < VN_PROVIDER_COUNT; i++)
                ret->fallback[i] = FALLBACK_UNSAID;
        VN_ASSERT(vn_str_copy(ret->workloads, sizeof ret->workloads, VN_STR("*")));
        VN_ASSERT(vn_str_copy(ret->name, sizeof ret->name, VN_STR("default")));
}

/* A split that names clouds gives nothing to the others; one that is not there is equal. Returns the sum. */
static double finish_fallback(struct vn_policy_compiled *p)
{
        double sum = 0;
        bool said = false;
        for (unsigned i = 0; i < VN_PROVIDER_COUNT; i++)
                said |= p->fallback[i] != FALLBACK_UNSAID;
        for (unsigned i = 0; i < VN_PROVIDER_COUNT; i++) {
                if (p->fallback[i] == FALLBACK_UNSAID)
                        p->fallback[i] = said ? 0 : 1;
                sum += p->fallback[i];
        }
        return sum;
}

static void finish(struct context *c, const struct vn_node *root)
{
        struct vn_policy_compiled *p = c->policy;
        double sum = finish_fallback(p);
        if (!vn_str_is_name(vn_str(p->name), VN_POLICY_NAME_BYTES - 1))
                report(c, root->line, root->column, "policy", "a name is needed: letters, digits, '-', '_', '.'");
        if (!(sum > 0))
                report(c, root->line, root->column, "routing.fallback", "the weights cannot all be 0");
        else
                for (unsigned i = 0; i < VN_PROVIDER_COUNT; i++)
                        p->fallback[i] /= sum;
}

enum vn_rc vn_policy_parse(struct vn_str document, struct vn_policy_compiled *ret, struct vn_policy_errors *errors,
                           struct vn_err *err)
{
        struct context c = {ret, errors};
        struct vn_node *root = NULL;
        uint32_t line = 1, column = 1;
        struct vn_err place;
        errors->count = 0;
        vn_policy_default(ret);
        ret->name[0] = 0;
        if (document.len > VN_POLICY_MAX_BYTES) {
                report(&c, 1, 1, "", "the document is larger than %d bytes", VN_POLICY_MAX_BYTES);
        } else {
                VN_AUTO(vn_arena)
                arena = {0};
                vn_arena_init(&arena, 1u << 20);
                if (vn_tree_parse(document, &arena, &root, &line, &column, &place) != VN_OK) {
                        const char *what = strstr(place.msg, ": ");
                        report(&c, line, column, "", "%s", what ? what + 2 : place.msg);
                } else if (!root) {
                        report(&c, 1, 1, "", "the document is empty");
                } else {
                        read_map(&c, top_fields, root, "");
                        finish(&c, root);
                }
        }
        if (errors->count == 0)
                return VN_OK;
        const struct vn_policy_error *first = &errors->items[0];
        return vn_fail(err, VN_INVALID_ARGUMENT, "line %u, column %u: %s%s%s", first->line, first->column,
                       first->field, first->field[0] ? ": " : "", first->message);
}
