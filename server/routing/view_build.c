/* view_build.c - one workload's view: what is known of each endpoint, frozen. */
#include "base/detmath.h"
#include "decide/build.h"
#include "server/policy_table.h"
#include "server/rounds/rounds.h"
#include "server/routing/billing.h"
#include "server/routing/internal.h"
#include "server/tenants.h"
#include "server/tuning/pauses.h"

#define PRIOR_COLD_CALLS 4.0 /* how many calls the model's answer weighs against the endpoint's own counts */
#define UNKNOWN_DURATION_US 500000.0
#define UNKNOWN_NETWORK_US 30000.0
#define AZURE_CONSUMPTION_MB 1536u /* what an instance of that plan has; nothing to choose */
#define HEALTH_MIN_OUTCOMES 5.0
#define ILL_ENDPOINT_ROW 5 /* errors without an OK between them */
#define ILL_ACCOUNT_ROW 10 /* and of several endpoints: one broken function does not condemn its account */
#define ILL_FOR_US (5 * VN_US_PER_MIN) /* after the last error it is tried again; one more begins this anew */

/* What the workload's other endpoints say, for one that was never called; and of the workload as a whole. */
struct workload_prior {
        double log_duration_sum, weight, payload_bytes, calls;
        double logged_response_bytes, logged_calls; /* where the cloud's log tells sizes */
        double told_response_bytes, told_calls;     /* as callers tell them */
        double calls_per_min;
};

static void gather_prior(struct vn_server *server, const char *tenant, const char *workload, int64_t now_us,
                         struct workload_prior *ret)
{
        *ret = (struct workload_prior){0};
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                if (strcmp(a->tenant, tenant))
                        continue;
                for (size_t f = 0; f < a->function_count; f++) {
                        if (strcmp(a->functions[f].name, workload))
                                continue;
                        const char *region = a->functions[f].region;
                        const struct vn_endpoint_stats *s =
                                vn_telemetry_find(server->telemetry, a->id, workload, region);
                        const struct vn_endpoint_live *live =
                                vn_endpoint_live_of(server->routing, vn_endpoint_id_of(a->id, region, workload));
                        double told = 0;
                        if (live)
                                ret->told_response_bytes +=
                                        vn_witness_mean_sum(&live->response_bytes, VN_WITNESS_FLOOR, &told);
                        ret->told_calls += told;
                        if (!s || !s->calls)
                                continue;
                        if (s->response_mean_bytes > 0) {
                                ret->logged_response_bytes += s->response_mean_bytes * (double)s->calls;
                                ret->logged_calls += (double)s->calls;
                        }
                        ret->calls_per_min += vn_endpoint_calls_per_min(s, now_us);
                        ret->log_duration_sum += s->history.stats.mean;
                        ret->weight += 1;
                        ret->payload_bytes += s->payload_mean_bytes * (double)s->calls;
                        ret->calls += (double)s->calls;
                }
        }
}

static void fill_model(struct vn_server *server, const struct vn_view *view, const struct vn_endpoint_stats *s,
                       const struct workload_prior *prior, enum vn_cloud_id cloud, int64_t now_us,
                       struct vn_endpoint *e)
{
        struct vn_endpoint_live *live = vn_endpoint_live_of(server->routing, e->id);
        struct vn_cold_start start;
        struct vn_sketch recent;
        struct vn_build_input input = {.model = vn_rounds_model(server, view->tenant),
                                       .platform = (enum vn_platform)cloud,
                                       .memory_mb = e->memory_mb,
                                       .time_us = now_us,
                                       .default_us = prior->weight > 0
                                                             ? vn_exp(prior->log_duration_sum / prior->weight)
                                                             : UNKNOWN_DURATION_US,
                                       .init_us = s && s->cold_starts ? s->init_mean_us : 0};
        if (live)
                live->logged_cold_us = input.init_us;
        vn_lessons_cold(server, view->tenant, cloud, live, &start);
        input.cold_us = start.us;
        if (s) {
                vn_endpoint_recent(s, &recent);
                input.sketch = &recent;
                input.stats = &s->history.stats;
        }
        vn_build_model_part(&input, view->payload_bytes, e);
        /* The endpoint's own counts, where it has them, weigh against the model's chances. */
        for (unsigned k = 0; s && k < VN_VIEW_COLD_KNOTS; k++) {
                size_t b = 0;
                while (b < VN_IDLE_BINS - 1 && (double)(1u << k) > vn_idle_upper_s[b])
                        b++;
                double chance = (s->idle[b].cold + PRIOR_COLD_CALLS * e->cold_chance[k]) /
                                (s->idle[b].calls + PRIOR_COLD_CALLS);
                /* Longer idle is never warmer. */
                e->cold_chance[k] = k && chance < e->cold_chance[k - 1] ? e->cold_chance[k - 1] : chance;
        }
}

/* By the callers' reports. A dearer score is not enough: at less than half the price a dead cloud would still be called. */
static bool breaker_open(const struct vn_endpoint_live *e, const struct vn_account_live *a, int64_t now_us)
{
        return (e && e->errors_in_row >= ILL_ENDPOINT_ROW && now_us - e->last_error_us < ILL_FOR_US) ||
               (a && a->errors_in_row >= ILL_ACCOUNT_ROW && a->ill_count == VN_ILL_ENDPOINTS &&
                now_us - a->last_error_us < ILL_FOR_US);
}

static void fill_state(struct vn_server *server, const struct vn_account_entry *account,
                       const struct vn_endpoint_stats *s, int64_t now_us, struct vn_endpoint *e)
{
        struct vn_routing *routing = server->routing;
        const struct vn_endpoint_live *live = vn_endpoint_live_of(routing, e->id);
        const struct vn_account_prices *prices = vn_telemetry_prices(server->telemetry, account->id);
        if (account->level < VN_LEVEL_INVOKE)
                e->flags |= VN_ENDPOINT_OBSERVE_ONLY;
        if (vn_pauses_account(server, account->tenant, account->name))
                e->flags |= VN_ENDPOINT_PAUSED;
        if (!vn_registry_online(server, account))
                e->flags |= VN_ENDPOINT_UNHEALTHY;
        e->network_us = vn_routing_network_us(server, account->id);
        if (s && s->recent_calls >= HEALTH_MIN_OUTCOMES) {
                e->error_rate = s->recent_errors / s->recent_calls;
                e->throttle_rate = s->recent_throttles / (s->recent_calls + s->recent_throttles);
        }
        if (live && live->recent_outcomes >= HEALTH_MIN_OUTCOMES) {
                double reported = live->recent_errors / live->recent_outcomes;
                double throttled = live->recent_throttles / live->recent_outcomes;
                e->error_rate = reported > e->error_rate ? reported : e->error_rate;
                e->throttle_rate = throttled > e->throttle_rate ? throttled : e->throttle_rate;
        }
        if (breaker_open(live, vn_account_live_of(routing, account->id), now_us))
                e->flags |= VN_ENDPOINT_UNHEALTHY;
        e->last_call_us = s ? s->last_call_us : 0;
        if (live && live->last_assigned_us > e->last_call_us)
                e->last_call_us = live->last_assigned_us;
        if (e->last_call_us > now_us)
                e->last_call_us = now_us;
        e->samples = s ? s->calls : 0;
        e->price_time_us = prices ? prices->time_us : 0;
        if (prices && prices->doubted)
                e->flags |= VN_ENDPOINT_PRICE_DOUBTED;
        e->health_time_us = account->last_seen_us;
}

static bool add_endpoint(struct vn_server *server, struct vn_view *view, struct vn_view_ref *ref,
                         const struct vn_account_entry *account, const struct vn_function_entry *f,
                         const struct workload_prior *prior, int64_t now_us)
{
        const struct vn_endpoint_stats *s = vn_telemetry_find(server->telemetry, account->id, f->name, f->region);
        const struct vn_account_prices *prices = vn_telemetry_prices(server->telemetry, account->id);
        struct vn_endpoint *e = &view->endpoint[view->count];
        memset(e, 0, sizeof *e);
        e->id = vn_endpoint_id_of(account->id, f->region, f->name);
        if (!vn_str_copy(e->account, sizeof e->account, vn_str(account->name)) ||
            !vn_str_copy(e->region, sizeof e->region, vn_str(f->region)) ||
            !vn_str_copy(e->function, sizeof e->function, vn_str(f->name)))
                return false;
        e->provider = (enum vn_provider)account->cloud;
        e->memory_mb = f->memory_mb ? f->memory_mb : AZURE_CONSUMPTION_MB;
        e->need_mb = s ? s->max_memory_mb : 0;
        if (e->need_mb > e->memory_mb)
                e->need_mb = e->memory_mb; /* it was measured at a larger size; this one was accepted since */
        e->concurrency_limit =
                f->max_instances ? (double)f->max_instances * (f->concurrency ? f->concurrency : 1) : 0;
        if (!vn_billing_fill(prices, account->cloud, f->region, e->memory_mb, s ? s->max_memory_mb : 0, e))
                return false; /* without a price there is no saving to claim */
        if ((uint64_t)prices->since_us > view->price_version)
                view->price_version = (uint64_t)prices->since_us;
        fill_model(server, view, s, prior, account->cloud, now_us, e);
        fill_state(server, account, s, now_us, e);
        VN_ASSERT(vn_str_copy(ref->urls[view->count], 256, vn_str(f->url)));
        ref->account_ids[view->count] = account->id;
        view->count++;
        return true;
}

/* Few clouds log sizes; what callers tell stands in, and zero is only for who knows nothing. */
static double response_bytes_of(const struct workload_prior *prior)
{
        if (prior->logged_calls > 0)
                return prior->logged_response_bytes / prior->logged_calls;
        return prior->told_calls > 0 ? prior->told_response_bytes / prior->told_calls : 0;
}

static void fill_head(struct vn_server *server, struct vn_view_ref *ref, const char *tenant, const char *workload,
                      const struct workload_prior *prior, uint64_t epoch, int64_t now_us)
{
        const struct vn_policy_entry *policy = vn_policy_for(server, tenant, workload);
        struct vn_view *view = ref->view;
        double mean = prior->calls > 0 ? prior->payload_bytes / prior->calls : 1024;
        VN_ASSERT(vn_str_copy(view->tenant, sizeof view->tenant, vn_str(tenant)));
        VN_ASSERT(vn_str_copy(view->workload, sizeof view->workload, vn_str(workload)));
        view->epoch = epoch;
        view->epoch_us = now_us;
        view->model_version = vn_rounds_model(server, tenant)->version;
        view->policy_version = policy->version;
        view->policy = policy->compiled;
        ref->policy = policy->number;
        if (policy->compiled.budget_usd_per_day >
            0) /* else it decides nothing, and the view need not change with it */
                view->spent_usd = vn_spend_today_usd(server, policy);
        view->calls_per_min = (uint64_t)(prior->calls_per_min + .5);
        view->response_bytes = response_bytes_of(prior);
        const struct vn_tenant_lessons *lessons = vn_lessons_of(server->routing, tenant);
        if (lessons)
                view->calibration = lessons->risk.calibration;
        view->paused = vn_pauses_global(server, tenant) || vn_pauses_function(server, tenant, workload);
        /* Where this workload's payloads lie, with room on both sides. */
        view->payload_bytes[0] = 0;
        view->payload_bytes[1] = mean / 2 + 1;
        view->payload_bytes[2] = mean * 2 + 2;
        view->payload_bytes[3] = mean * 16 + 4;
}

/* What outcomes say of the last half minute goes into the run times, and with them into cost, latency and risk. */
static void fill_slowdowns(struct vn_server *server, struct vn_view *view, struct vn_view_ref *ref, int64_t now_us)
{
        static const struct vn_slowdown nothing;
        const struct vn_slowdown *own[VN_VIEW_MAX_ENDPOINTS];
        double alone[VN_VIEW_MAX_ENDPOINTS];
        for (uint32_t i = 0; i < view->count; i++) {
                const struct vn_endpoint_live *live = vn_endpoint_live_of(server->routing, view->endpoint[i].id);
                own[i] = live ? &live->slowdown : &nothing;
                alone[i] = vn_slowdown_now(own[i], 1, now_us);
        }
        for (uint32_t i = 0; i < view->count; i++) {
                double like = 1;
                for (uint32_t k = 0; k < view->count; k++)
                        if (k != i && view->endpoint[k].provider == view->endpoint[i].provider && alone[k] > like)
                                like = alone[k];
                ref->slowdown[i] = (float)vn_slowdown_now(own[i], like, now_us);
                for (unsigned knot = 0; knot < VN_VIEW_KNOTS; knot++)
                        for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                                view->endpoint[i].duration_us[knot][q] *= ref->slowdown[i];
        }
}

enum vn_rc vn_view_build(struct vn_server *server, const char *tenant, const char *workload, uint64_t epoch,
                         int64_t now_us, struct vn_view_ref **ret, struct vn_err *err)
{
        struct workload_prior prior;
        struct vn_view_ref *ref = vn_alloc(sizeof *ref);
        if (ref)
                ref->urls = vn_alloc_array(VN_VIEW_MAX_ENDPOINTS, sizeof *ref->urls);
        if (!ref || !ref->urls) {
                vn_free(ref);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        atomic_store(&ref->references, 1);
        ref->tenant = (uint16_t)vn_tenants_number(server, tenant);
        enum vn_rc rc = vn_view_new(VN_VIEW_MAX_ENDPOINTS, &ref->view, err);
        if (rc != VN_OK) {
                vn_view_unref(ref);
                return rc;
        }
        gather_prior(server, tenant, workload, now_us, &prior);
        fill_head(server, ref, tenant, workload, &prior, epoch, now_us);
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                if (a->revoked || strcmp(a->tenant, tenant))
                        continue;
                for (size_t f = 0; f < a->function_count && ref->view->count < VN_VIEW_MAX_ENDPOINTS; f++)
                        if (!strcmp(a->functions[f].name, workload))
                                VN_IGNORE(add_endpoint(server, ref->view, ref, a, &a->functions[f], &prior, now_us));
        }
        fill_slowdowns(server, ref->view, ref, now_us);
        /* Listed, but no account has sent its prices yet: there is nothing to decide by. */
        rc = ref->view->count ? vn_view_seal(ref->view, err) : vn_fail(err, VN_NOT_FOUND, "no endpoint has a price");
        if (rc != VN_OK)
                vn_view_unref(ref);
        else
                *ret = ref;
        return rc;
}

/* What the way there and back takes: the median of the callers' figures less the median run time, over the account's
 * functions together; both medians are over the same calls, so the functions' own times cancel. */
void vn_routing_measure_networks(struct vn_server *server)
{
        struct vn_routing *routing = server->routing;
        for (size_t i = 0; i < routing->account_count; i++) {
                struct vn_account_live *a = &routing->accounts[i];
                struct vn_sketch runs;
                vn_sketch_init(&runs);
                for (size_t k = 0; k < vn_telemetry_count(server->telemetry); k++) {
                        const struct vn_endpoint_stats *s = vn_telemetry_at(server->telemetry, k);
                        if (s->account_id == a->account_id) {
                                vn_sketch_merge(&runs, &s->recent[0]);
                                vn_sketch_merge(&runs, &s->recent[1]);
                        }
                }
                a->network_us = 0;
                if (a->latency.total >= 20 && runs.total >= 20) {
                        double network = vn_sketch_quantile_us(&a->latency, 0.5) - vn_sketch_quantile_us(&runs, 0.5);
                        a->network_us = network < 500 ? 500 : network > 2e6 ? 2e6 : network;
                }
        }
}

double vn_routing_network_us(const struct vn_server *server, uint64_t account_id)
{
        const struct vn_account_live *a = vn_account_live_of(server->routing, account_id);
        return a && a->network_us > 0 ? a->network_us : UNKNOWN_NETWORK_US;
}
