/* control.c - see control.h. */
#include "sim/control.h"

#include <stdio.h>
#include <stdlib.h>

#include "sim/script.h"
#include "sim/permissions.h"

static void refuse(struct vn_sim_response *response, int status, const char *message)
{
        vn_sim_json(response, status, json_pack("{s:s}", "message", message));
}

static int compare_i64(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return x < y ? -1 : x > y;
}

struct ledger {
        uint64_t invocations, failed, cold;
        struct vn_platform_cost cost;
        int64_t *elapsed_us;
        size_t elapsed_count;
};

static void add_function(const struct vn_sim_function *f, struct ledger *to)
{
        to->invocations += f->invocations;
        to->failed += f->failed;
        to->cold += f->cold;
        to->cost.request_usd += f->cost.request_usd;
        to->cost.compute_usd += f->cost.compute_usd;
        to->cost.memory_usd += f->cost.memory_usd;
        to->cost.init_usd += f->cost.init_usd;
        to->cost.egress_usd += f->cost.egress_usd;
        to->cost.total_usd += f->cost.total_usd;
        for (size_t i = 0; i < f->record_count; i++)
                to->elapsed_us[to->elapsed_count++] = f->records[i].end_us - f->records[i].at_us;
}

static double quantile_ms(const struct ledger *l, size_t percent)
{
        return l->elapsed_count ? (double)l->elapsed_us[l->elapsed_count * percent / 100] / 1e3 : 0;
}

static json_t *ledger_json(struct ledger *l)
{
        qsort(l->elapsed_us, l->elapsed_count, sizeof *l->elapsed_us, compare_i64);
        return json_pack("{s:I, s:I, s:I, s:f, s:{s:f, s:f, s:f, s:f, s:f}, s:f, s:f, s:f}", "invocations",
                         (json_int_t)l->invocations, "failed", (json_int_t)l->failed, "cold_starts",
                         (json_int_t)l->cold, "cost_usd", l->cost.total_usd, "cost_parts", "request_usd",
                         l->cost.request_usd, "compute_usd", l->cost.compute_usd, "memory_usd", l->cost.memory_usd,
                         "init_usd", l->cost.init_usd, "egress_usd", l->cost.egress_usd, "p50_ms", quantile_ms(l, 50),
                         "p95_ms", quantile_ms(l, 95), "p99_ms", quantile_ms(l, 99));
}

/* The sum over the accounts from `first` until before `end`. */
static json_t *ledger_of(const struct vn_sim *sim, uint32_t first, uint32_t end, int64_t *scratch)
{
        struct ledger l = {.elapsed_us = scratch};
        for (size_t d = first * sim->demo->function_count; d < end * sim->demo->function_count; d++)
                add_function(&sim->functions[d], &l);
        return ledger_json(&l);
}

static void ledger(const struct vn_sim *sim, struct vn_sim_response *response)
{
        int64_t *scratch = vn_alloc_array(sim->record_total + 1, sizeof *scratch);
        if (!scratch) {
                refuse(response, 503, "no memory for the ledger");
                return;
        }
        json_t *clouds = json_object(), *accounts = json_object();
        /* Accounts of one cloud stand side by side (platform/demo.h). */
        for (uint32_t c = 0; c < VN_PLATFORM_CLOUDS; c++)
                json_object_set_new(clouds, vn_platform_cloud_name((enum vn_platform_cloud)c),
                                    ledger_of(sim, 2 * c, 2 * c + 2, scratch));
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++)
                json_object_set_new(accounts, sim->accounts[a].name, ledger_of(sim, a, a + 1, scratch));
        vn_sim_json(response, 200,
                    json_pack("{s:o, s:o, s:o}", "total", ledger_of(sim, 0, VN_SIM_ACCOUNTS, scratch), "clouds",
                              clouds, "accounts", accounts));
        vn_free(scratch);
}

/* Sites that a body names: one account, a cloud, or all. False if the name is unknown. */
static bool sites_of(const struct vn_sim *sim, const json_t *body, bool chosen[VN_SIM_ACCOUNTS])
{
        const char *cloud = json_string_value(json_object_get(body, "cloud")),
                   *account = json_string_value(json_object_get(body, "account"));
        bool any = false;
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                chosen[a] = (!cloud || !strcmp(cloud, vn_platform_cloud_name(sim->accounts[a].cloud))) &&
                            (!account || !strcmp(account, sim->accounts[a].name));
                any = any || chosen[a];
        }
        return any;
}

static void inject(struct vn_sim *sim, enum vn_injection_kind kind, const json_t *body,
                   struct vn_sim_response *response)
{
        bool chosen[VN_SIM_ACCOUNTS];
        struct vn_err err;
        double amount = json_number_value(json_object_get(body, kind == VN_INJECT_OUTAGE ? "share" : "factor"));
        double from_s = json_number_value(json_object_get(body, "from_s")),
               seconds = json_number_value(json_object_get(body, "seconds"));
        if (!sites_of(sim, body, chosen)) {
                refuse(response, 404, "no such cloud or account");
                return;
        }
        if (!json_is_number(json_object_get(body, kind == VN_INJECT_OUTAGE ? "share" : "factor")) || !(seconds > 0) ||
            seconds > 1e9 || !(from_s >= 0) || from_s > 1e9) {
                refuse(response, 400, "needs share (outage) or factor, and seconds");
                return;
        }
        int64_t from_us = vn_now_us(sim->clock) + (int64_t)(from_s * 1e6);
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                struct vn_injection injection = {kind, a, from_us, from_us + (int64_t)(seconds * 1e6), amount};
                if (!chosen[a])
                        continue;
                if (vn_platform_inject(sim->platform, &injection, &err) != VN_OK) {
                        refuse(response, 400, err.msg);
                        return;
                }
                sim->injections[sim->injection_count++] = injection; /* the platform has the same maximum */
        }
        vn_sim_json(response, 200, json_pack("{s:b}", "ok", 1));
}

static void event(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_err err;
        if (vn_sim_script_one(sim, request->body, vn_now_us(sim->clock), &err) != VN_OK)
                refuse(response, 400, err.msg);
        else
                vn_sim_json(response, 200, json_pack("{s:b}", "ok", 1));
}

/* Attaches a document to an account's identity, as its text; without one everything is allowed again. */
static void permissions(struct vn_sim *sim, const json_t *body, struct vn_sim_response *response)
{
        const char *account = json_string_value(json_object_get(body, "account")),
                   *document = json_string_value(json_object_get(body, "document"));
        struct vn_err err;
        for (uint32_t a = 0; account && a < VN_SIM_ACCOUNTS; a++) {
                json_t *policy = NULL;
                if (strcmp(account, sim->accounts[a].name))
                        continue;
                if (document &&
                    vn_sim_policy_parse(sim->accounts[a].cloud, vn_str(document), &policy, &err) != VN_OK) {
                        refuse(response, 400, err.msg);
                        return;
                }
                json_decref(sim->accounts[a].policy);
                sim->accounts[a].policy = policy;
                vn_sim_json(response, 200, json_pack("{s:b}", "ok", 1));
                return;
        }
        refuse(response, 404, "no such account");
}

static json_t *alone_json(const struct vn_sim_alone *r, const char *account)
{
        json_t *json = json_pack("{s:f, s:f, s:I, s:I}", "cost_usd", r->cost_usd, "p95_ms", r->p95_ms, "failed",
                                 (json_int_t)r->failed, "invocations", (json_int_t)r->invocations);
        if (json && account)
                json_object_set_new(json, "account", json_string(account));
        return json;
}

static void alone(const struct vn_sim *sim, const json_t *body, struct vn_sim_response *response)
{
        const char *cloud = json_string_value(json_object_get(body, "cloud"));
        struct vn_sim_alone result[2];
        enum vn_platform_cloud which;
        struct vn_err err;
        if (cloud && !strcmp(cloud, "thirds")) {
                const uint32_t first_of_each[3] = {0, 2, 4};
                if (vn_sim_alone(sim, first_of_each, &result[0], &err) != VN_OK)
                        refuse(response, 503, err.msg);
                else
                        vn_sim_json(response, 200, alone_json(&result[0], NULL));
                return;
        }
        if (!cloud || vn_platform_cloud_parse(vn_str(cloud), &which) != VN_OK) {
                refuse(response, 400, "cloud must be aws, azure, gcp or thirds");
                return;
        }
        for (uint32_t i = 0; i < 2; i++) {
                uint32_t account = 2 * (uint32_t)which + i;
                if (vn_sim_alone(sim, (const uint32_t[3]){account, account, account}, &result[i], &err) != VN_OK) {
                        refuse(response, 503, err.msg);
                        return;
                }
        }
        /* The better one: fewer failures, then cheaper. */
        uint32_t best = result[1].failed != result[0].failed ? result[1].failed < result[0].failed
                                                             : result[1].cost_usd < result[0].cost_usd;
        json_t *json = alone_json(&result[best], sim->accounts[2 * (uint32_t)which + best].name);
        json_object_set_new(json, "other",
                            alone_json(&result[!best], sim->accounts[2 * (uint32_t)which + !best].name));
        vn_sim_json(response, 200, json);
}

void vn_sim_control(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        struct vn_str header = vn_sim_header(request, "authorization"), scheme = VN_STR("Bearer ");
        bool post = vn_str_eq(request->verb, VN_STR("POST")), get = vn_str_eq(request->verb, VN_STR("GET"));
        if (!vn_str_starts(header, scheme) ||
            !vn_str_eq_secret(vn_str_n(header.ptr + scheme.len, header.len - scheme.len),
                              vn_str(sim->control_token))) {
                refuse(response, 401, "the control token is needed");
                return;
        }
        if (vn_sim_body(request, &body, &err) != VN_OK)
                refuse(response, 400, err.msg);
        else if (post && vn_str_eq(request->path, VN_STR("/control/outage")))
                inject(sim, VN_INJECT_OUTAGE, body, response);
        else if (post && vn_str_eq(request->path, VN_STR("/control/latency")))
                inject(sim, VN_INJECT_LATENCY, body, response);
        else if (post && vn_str_eq(request->path, VN_STR("/control/price")))
                inject(sim, VN_INJECT_PRICE, body, response);
        else if (post && vn_str_eq(request->path, VN_STR("/control/event")))
                event(sim, request, response);
        else if (post && vn_str_eq(request->path, VN_STR("/control/permissions")))
                permissions(sim, body, response);
        else if (get && vn_str_eq(request->path, VN_STR("/control/ledger")))
                ledger(sim, response);
        else if (post && vn_str_eq(request->path, VN_STR("/control/alone")))
                alone(sim, body, response);
        else if (vn_str_eq(request->path, VN_STR("/control/hidden")))
                refuse(response, 403, "the model's constants are not told");
        else
                refuse(response, 404, "no such control");
}
