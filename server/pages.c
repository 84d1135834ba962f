/* pages.c - operations behind the overview and the functions' pages: figures gathered from all modules. */
#include <stdlib.h>

#include "server/explain/explain.h"
#include "server/op.h"
#include "server/policy_table.h"
#include "server/registry/registry.h"
#include "server/rounds/rounds.h"
#include "server/routing/routing.h"
#include "server/telemetry/telemetry.h"
#include "server/tenants.h"
#include "server/tuning/pauses.h"
#include "server/tuning/tuning.h"
#include "vane/v1/control.pb-c.h"

#define PRICE_STALE_US (2 * VN_US_PER_HOUR) /* agents read prices every hour */

static enum vn_rc add_clouds(struct vn_op *op, const struct vn_routing_figures *r, Vane__V1__Status *m,
                             struct vn_err *err)
{
        m->clouds = vn_arena_alloc(op->arena, VN_CLOUD_COUNT * sizeof *m->clouds);
        for (unsigned c = 0; m->clouds && c < VN_CLOUD_COUNT; c++) {
                Vane__V1__CloudStatus *s =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__CloudStatus, vane__v1__cloud_status__init);
                if (!s)
                        return vn_op_no_memory(err);
                s->cloud = vn_op_text(op, vn_cloud_name((enum vn_cloud_id)c));
                for (size_t i = 0; i < vn_registry_count(op->server->registry); i++) {
                        const struct vn_account_entry *a = vn_registry_at(op->server->registry, i);
                        if (a->cloud != c || a->revoked || strcmp(a->tenant, op->identity->tenant))
                                continue;
                        s->accounts++;
                        s->online += vn_registry_online(op->server, a);
                        s->functions += (uint32_t)a->function_count;
                }
                if (!s->accounts && !r->per_cloud[c])
                        continue;
                s->routed = r->per_cloud[c];
                s->cost_usd = r->cost_usd[c];
                s->p95_ms = r->p95_ms[c];
                m->accounts += s->accounts;
                m->agents_online += s->online;
                m->clouds[m->n_clouds++] = s;
        }
        return m->clouds ? VN_OK : vn_op_no_memory(err);
}

static enum vn_rc add_risk(struct vn_op *op, Vane__V1__Status *m, struct vn_err *err)
{
        struct vn_risk_quality q;
        VN_IGNORE(
                vn_routing_risk_quality(op->server, op->identity->tenant, &q)); /* without outcomes it is all zero */
        m->risk = VN_NEW_MESSAGE(op->arena, Vane__V1__RiskQuality, vane__v1__risk_quality__init);
        if (!m->risk)
                return vn_op_no_memory(err);
        m->risk->outcomes = q.outcomes;
        m->risk->brier_computed = q.brier_raw;
        m->risk->brier = q.brier;
        m->risk->ece_computed = q.ece_raw;
        m->risk->ece = q.ece;
        m->risk->fitted_us = q.fitted_us;
        return vn_explain_calibration(op, &q.calibration, &m->risk->calibration, err);
}

enum vn_rc op_get_status(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                         struct vn_err *err)
{
        (void)message;
        struct vn_server *server = op->server;
        const char *tenant = op->identity->tenant;
        struct vn_routing_figures r;
        struct vn_rounds_figures rounds;
        struct vn_tuning_figures tuning;
        struct vn_store_stats s;
        struct vn_err unused;
        Vane__V1__Status *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Status, vane__v1__status__init);
        if (!m)
                return vn_op_no_memory(err);
        vn_routing_figures(server, tenant, &r);
        vn_rounds_figures(server, tenant, &rounds);
        vn_tuning_figures(server, tenant, &tuning);
        vn_store_stats(server->store, &s);
        VN_TRY(add_clouds(op, &r, m, err));
        VN_TRY(add_risk(op, m, err));
        m->version = vn_op_text(op, VANE_VERSION);
        m->time_us = op->now_us;
        m->started_us = server->started_us;
        m->workloads = (uint32_t)r.workloads;
        m->decisions = r.routed + vn_tenants_at(server, vn_tenants_number(server, tenant))->changes;
        m->routed = r.routed;
        m->outcomes = r.outcomes;
        m->failed = r.failed;
        m->windows = vn_telemetry_windows(server->telemetry, tenant);
        m->model_version = rounds.model_version;
        m->rounds = rounds.rounds;
        m->eval_loss_first = rounds.eval_loss_first;
        m->eval_loss_last = rounds.eval_loss_last;
        m->eval_loss_baseline = rounds.eval_loss_baseline;
        m->log_size = s.log_size;
        m->proposals = tuning.proposals;
        m->applied = tuning.applied;
        m->rolled_back = tuning.rolled_back;
        m->paused = vn_pauses_global(server, tenant);
        if (vn_tenant_is_installation(op->identity, &unused) == VN_OK) {
                /* The machine's, not a tenant's: they would tell one tenant how busy the others are. */
                struct vn_routing_totals totals;
                vn_routing_totals(server, &totals);
                m->view_epoch = totals.epoch;
                m->store_bytes = s.used_bytes;
                m->store_budget_bytes = s.budget_bytes;
                m->gaps = s.gaps;
        }
        *ret_reply = &m->base;
        return VN_OK;
}

/* --- functions --- */

static double usd_per_million(const struct vn_view *view, uint32_t i)
{
        struct vn_question question = {.time_us = view->epoch_us,
                                       .payload_bytes = (uint32_t)view->payload_bytes[1] * 2};
        static const struct vn_live nothing;
        struct vn_features f;
        vn_decide_features(view, &question, &nothing, i, &f);
        return vn_features_cost(&f);
}

static void fill_summary(struct vn_op *op, const struct vn_view *view, Vane__V1__FunctionSummary *m)
{
        struct vn_sketch all;
        double best = 0;
        vn_sketch_init(&all);
        m->workload = vn_op_text(op, view->workload);
        m->endpoints = view->count;
        m->routed = vn_routing_routed(op->server, view->tenant, view->workload);
        m->policy = vn_op_text(op, view->policy.name);
        m->paused = view->paused;
        m->cheapest = vn_op_text(op, "");
        for (uint32_t i = 0; i < view->count; i++) {
                const struct vn_account_entry *a =
                        vn_registry_by_name(op->server->registry, view->tenant, view->endpoint[i].account);
                const struct vn_endpoint_stats *s =
                        a ? vn_telemetry_find(op->server->telemetry, a->id, view->workload, view->endpoint[i].region)
                          : NULL;
                double usd = usd_per_million(view, i);
                m->calls += s ? s->calls : 0;
                if (s) {
                        struct vn_sketch recent;
                        vn_endpoint_recent(s, &recent);
                        vn_sketch_merge(&all, &recent);
                }
                if (!i || usd < best) {
                        best = usd;
                        m->cheapest = vn_op_text(op, view->endpoint[i].account);
                }
        }
        m->usd_per_million = best;
        m->p95_ms = vn_sketch_quantile_us(&all, 0.95) / 1000;
}

static int by_name(const void *a, const void *b)
{
        return strcmp((*(const struct vn_view *const *)a)->workload, (*(const struct vn_view *const *)b)->workload);
}

enum vn_rc op_list_functions(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        size_t slots = vn_routing_view_count(op->server), total = 0;
        const struct vn_view **views = vn_arena_alloc(op->arena, (slots + 1) * sizeof *views);
        Vane__V1__ListFunctionsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListFunctionsResponse, vane__v1__list_functions_response__init);
        if (!views || !m)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < slots; i++) {
                const struct vn_view *v = vn_routing_view_at(op->server, i);
                if (v && !strcmp(v->tenant, op->identity->tenant) && strstr(v->workload, request->filter))
                        views[total++] = v;
        }
        if (total > 1)
                qsort(views, total, sizeof *views, by_name);
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, total, &page, err));
        m->functions = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->functions);
        if (!m->functions)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < page.count; i++) {
                Vane__V1__FunctionSummary *one =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__FunctionSummary, vane__v1__function_summary__init);
                if (!one)
                        return vn_op_no_memory(err);
                fill_summary(op, views[page.from + i], one);
                m->functions[m->n_functions++] = one;
        }
        m->next_page_token = page.next_token;
        m->total = (uint32_t)total;
        *ret_reply = &m->base;
        return VN_OK;
}

static const char *endpoint_state(const struct vn_endpoint *e, bool online)
{
        if (e->flags & VN_ENDPOINT_UNHEALTHY)
                return online ? "breaker-open" : "offline";
        if (e->flags & VN_ENDPOINT_OBSERVE_ONLY)
                return "observe-only";
        return e->flags & VN_ENDPOINT_PAUSED ? "paused" : "ok";
}

static void fill_cold_start(struct vn_op *op, const struct vn_view *view, const struct vn_endpoint *e,
                            Vane__V1__Endpoint *m)
{
        struct vn_cold_start start;
        const char *logged;
        vn_routing_cold_start(op->server, view->tenant, e->provider, e->id, &start);
        logged = start.logged_us > 0 ? "the cloud's log, and " : "";
        m->cold_start_ms = start.us / 1000;
        m->cold_start_samples = start.starts;
        m->cold_start_age_s = start.newest_us ? (double)(op->now_us - start.newest_us) / 1e6 : 0;
        if (!start.newest_us)
                m->cold_start_source = vn_op_text(op, start.logged_us > 0 ? "the cloud's log" : "general knowledge");
        else
                m->cold_start_source = vn_op_printf(op, "%soutcomes of %s", logged,
                                                    start.own ? "this function" : "all functions in this cloud");
}

static Vane__V1__Endpoint *endpoint_message(struct vn_op *op, const struct vn_view *view, uint32_t i,
                                            const struct vn_endpoint_stats *s, bool online, const char *note)
{
        const struct vn_endpoint *e = &view->endpoint[i];
        Vane__V1__Endpoint *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Endpoint, vane__v1__endpoint__init);
        if (!m)
                return NULL;
        m->account = vn_op_text(op, e->account);
        m->cloud = vn_op_text(op, vn_provider_name(e->provider));
        m->region = vn_op_text(op, e->region);
        m->function = vn_op_text(op, e->function);
        m->memory_mb = e->memory_mb;
        m->usd_per_million = usd_per_million(view, i);
        m->state = vn_op_text(op, endpoint_state(e, online));
        m->price_stale = view->epoch_us - e->price_time_us > PRICE_STALE_US;
        m->note = vn_op_text(op, note);
        fill_cold_start(op, view, e, m);
        if (s) {
                struct vn_sketch recent;
                vn_endpoint_recent(s, &recent);
                m->calls = s->calls;
                m->error_rate = s->calls ? (double)s->errors / (double)s->calls : 0;
                m->cold_rate = s->calls ? (double)s->cold_starts / (double)s->calls : 0;
                m->p50_ms = vn_sketch_quantile_us(&recent, 0.5) / 1000;
                m->p95_ms = vn_sketch_quantile_us(&recent, 0.95) / 1000;
                m->max_memory_used_mb = s->max_memory_mb;
        }
        return m;
}

static Vane__V1__FunctionCurve *curve_message(struct vn_op *op, const struct vn_account_entry *account,
                                              const struct vn_curve_point *points, size_t count,
                                              const struct vn_tune_proposal *t)
{
        Vane__V1__FunctionCurve *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__FunctionCurve, vane__v1__function_curve__init);
        if (m)
                m->points = vn_arena_alloc(op->arena, (count + 1) * sizeof *m->points);
        if (!m || !m->points)
                return NULL;
        m->account = vn_op_text(op, account->name);
        m->cloud = vn_op_text(op, vn_cloud_name(account->cloud));
        m->finding = vn_op_text(op, t->reason);
        for (size_t i = 0; i < count; i++) {
                Vane__V1__CurvePoint *p =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__CurvePoint, vane__v1__curve_point__init);
                if (!p)
                        return NULL;
                p->memory_mb = points[i].memory_mb;
                p->p50_ms = points[i].p50_us / 1000;
                p->p95_ms = points[i].p95_us / 1000;
                p->usd_per_million = points[i].usd_per_million;
                p->current = points[i].memory_mb == t->from_mb;
                p->proposed = t->result == VN_TUNE_APPLY && points[i].memory_mb == t->to_mb;
                m->points[m->n_points++] = p;
        }
        return m;
}

enum vn_rc op_get_function(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        const char *workload = ((const Vane__V1__FunctionName *)message)->workload;
        const struct vn_view *view = vn_routing_view(op->server, op->identity->tenant, workload);
        if (!view)
                return vn_fail(err, VN_NOT_FOUND, "workload: no account lists a function \"%.100s\"", workload);
        Vane__V1__FunctionDetail *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__FunctionDetail, vane__v1__function_detail__init);
        if (m) {
                m->summary = VN_NEW_MESSAGE(op->arena, Vane__V1__FunctionSummary, vane__v1__function_summary__init);
                m->endpoints = vn_arena_alloc(op->arena, (view->count + 1) * sizeof *m->endpoints);
                m->curves = vn_arena_alloc(op->arena, (view->count + 1) * sizeof *m->curves);
        }
        if (!m || !m->summary || !m->endpoints || !m->curves)
                return vn_op_no_memory(err);
        fill_summary(op, view, m->summary);
        for (uint32_t i = 0; i < view->count; i++) {
                const struct vn_endpoint *e = &view->endpoint[i];
                struct vn_account_entry *a = vn_registry_by_name(op->server->registry, view->tenant, e->account);
                struct vn_function_entry *f = a ? vn_registry_function(a, e->function, e->region) : NULL;
                struct vn_curve_point points[VN_TUNE_MAX_POINTS];
                struct vn_tune_proposal t = {.reason = "not listed any more"};
                const struct vn_endpoint_stats *s =
                        a ? vn_telemetry_find(op->server->telemetry, a->id, e->function, e->region) : NULL;
                size_t count = f ? vn_tuning_curve(op->server, a, f, s, points, &t) : 0;
                Vane__V1__FunctionCurve *curve = f ? curve_message(op, a, points, count, &t) : NULL;
                Vane__V1__Endpoint *endpoint =
                        endpoint_message(op, view, i, s, a && vn_registry_online(op->server, a), t.reason);
                if (!endpoint || (f && !curve))
                        return vn_op_no_memory(err);
                m->endpoints[m->n_endpoints++] = endpoint;
                if (curve)
                        m->curves[m->n_curves++] = curve;
        }
        *ret_reply = &m->base;
        return VN_OK;
}
