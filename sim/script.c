/* script.c - see script.h. */
#include "sim/script.h"

#include <math.h>

#include "base/clock.h"
#include "policies/tree.h"

#define MAX_SCRIPT_BYTES (1u << 20)
#define FOR_GOOD_US (INT64_C(100) * 365 * 24 * VN_US_PER_HOUR)

struct keys {
        const struct vn_node *what, *cloud, *region, *account, *service, *at, *lasts, *share, *amount, *function;
};

static enum vn_rc wrong(const struct vn_node *node, const char *what, struct vn_err *err)
{
        return vn_fail(err, VN_INVALID_ARGUMENT, "script, line %u: %s", node->line, what);
}

static enum vn_rc number(const struct vn_node *node, double low, double high, double *ret, struct vn_err *err)
{
        if (node->kind != VN_NODE_TEXT || vn_str_to_double(node->text, ret) != VN_OK || !(*ret >= low) ||
            !(*ret <= high))
                return vn_fail(err, VN_INVALID_ARGUMENT, "script, line %u: %.*s must be a number from %g to %g",
                               node->line, VN_FMT(node->key), low, high);
        return VN_OK;
}

static enum vn_rc read_keys(const struct vn_node *map, const struct vn_sim_amount *amount, struct keys *ret,
                            struct vn_err *err)
{
        for (const struct vn_node *n = map->child; n; n = n->next) {
                const struct {
                        const char *name;
                        const struct vn_node **to;
                } known[] = {{"what", &ret->what},        {"cloud", &ret->cloud}, {"region", &ret->region},
                             {"account", &ret->account},  {"at", &ret->at},       {"service", &ret->service},
                             {"for", &ret->lasts},        {"share", &ret->share}, {"function", &ret->function},
                             {amount->name, &ret->amount}};
                bool found = false;
                for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                        if (known[i].name && vn_str_eq(n->key, vn_str(known[i].name))) {
                                *known[i].to = n;
                                found = true;
                        }
                }
                if (!found || n->kind != VN_NODE_TEXT)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "script, line %u: %.*s is not known here", n->line,
                                       VN_FMT(n->key));
        }
        return VN_OK;
}

static bool is(const struct vn_node *node, const char *text)
{
        return !node || vn_str_eq(node->text, vn_str(text));
}

static enum vn_rc read_scope(const struct vn_sim *sim, const struct vn_node *map, const struct keys *keys,
                             struct vn_sim_event *event, struct vn_err *err)
{
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                const struct vn_sim_account *account = &sim->accounts[a];
                if (is(keys->cloud, vn_platform_cloud_name(account->cloud)) && is(keys->region, account->region) &&
                    is(keys->account, account->name))
                        event->accounts |= UINT32_C(1) << a;
        }
        if (!event->accounts)
                return wrong(map, "there is no such cloud, region or account", err);
        event->service = VN_SIM_SERVICES;
        if (keys->service && vn_sim_service_parse(keys->service->text, &event->service) != VN_OK)
                return wrong(keys->service, "service is control, invoke, logs, metrics, prices or identity", err);
        return VN_OK;
}

static enum vn_rc read_times(const struct keys *keys, int64_t start_us, struct vn_sim_event *event,
                             struct vn_err *err)
{
        double seconds;
        event->from_us = start_us;
        if (keys->at && vn_time_parse(keys->at->text.ptr, keys->at->text.len, &event->from_us) != VN_OK) {
                VN_TRY(number(keys->at, 0, 1e9, &seconds, err));
                event->from_us = start_us + (int64_t)(seconds * 1e6);
        }
        event->until_us = event->from_us + FOR_GOOD_US;
        if (keys->lasts) {
                VN_TRY(number(keys->lasts, 1e-6, 1e9, &seconds, err));
                event->until_us = event->from_us + (int64_t)(seconds * 1e6);
        }
        return VN_OK;
}

static enum vn_rc read_event(struct vn_sim *sim, const struct vn_node *map, int64_t start_us, struct vn_err *err)
{
        struct vn_sim_event event = {.share = 1};
        struct keys keys = {0};
        const struct vn_node *what = map->kind == VN_NODE_MAP ? map->child : NULL;
        while (what && !vn_str_eq(what->key, VN_STR("what")))
                what = what->next;
        if (!what || what->kind != VN_NODE_TEXT || vn_sim_event_parse(what->text, &event.kind) != VN_OK)
                return wrong(what ? what : map, "an event needs `what`, a kind that there is", err);
        const struct vn_sim_amount *amount = vn_sim_event_amount_of(event.kind);
        VN_TRY(read_keys(map, amount, &keys, err));
        VN_TRY(read_scope(sim, map, &keys, &event, err));
        VN_TRY(read_times(&keys, start_us, &event, err));
        if (keys.share)
                VN_TRY(number(keys.share, 0, 1, &event.share, err));
        event.amount = amount->absent;
        if (keys.amount)
                VN_TRY(number(keys.amount, amount->low, amount->high, &event.amount, err));
        else if (amount->name && isnan(amount->absent))
                return vn_fail(err, VN_INVALID_ARGUMENT, "script, line %u: %s is needed", map->line, amount->name);
        if ((event.kind == VN_SIM_EDIT) != (keys.function != NULL) ||
            (keys.function && !vn_str_copy(event.function, sizeof event.function, keys.function->text)))
                return wrong(map, "an edit, and only an edit, needs a function", err);
        return vn_sim_event_add(sim, &event, err);
}

static enum vn_rc read_tree(struct vn_sim *sim, struct vn_str text, bool one, int64_t start_us,
                            struct vn_arena *arena, struct vn_err *err)
{
        struct vn_node *root;
        uint32_t line, column;
        if (text.len > MAX_SCRIPT_BYTES)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "a script has at most %u bytes", MAX_SCRIPT_BYTES);
        VN_TRY(vn_tree_parse(text, arena, &root, &line, &column, err));
        if (!root || root->kind != VN_NODE_MAP)
                return vn_fail(err, VN_INVALID_ARGUMENT, "the script is no map");
        if (one)
                return read_event(sim, root, start_us, err);
        const struct vn_node *events = root->child;
        if (!events || events->next || !vn_str_eq(events->key, VN_STR("events")) || events->kind != VN_NODE_LIST)
                return wrong(root, "a script has `events`, a list, and nothing else", err);
        for (const struct vn_node *n = events->child; n; n = n->next)
                VN_TRY(read_event(sim, n, start_us, err));
        return VN_OK;
}

static enum vn_rc read_script(struct vn_sim *sim, struct vn_str text, bool one, int64_t start_us, struct vn_err *err)
{
        struct vn_arena arena;
        vn_arena_init(&arena, 16u << 20);
        enum vn_rc rc = read_tree(sim, text, one, start_us, &arena, err);
        vn_arena_done(&arena);
        return rc;
}

enum vn_rc vn_sim_script(struct vn_sim *sim, struct vn_str text, int64_t start_us, struct vn_err *err)
{
        return read_script(sim, text, false, start_us, err);
}

enum vn_rc vn_sim_script_one(struct vn_sim *sim, struct vn_str text, int64_t start_us, struct vn_err *err)
{
        return read_script(sim, text, true, start_us, err);
}
