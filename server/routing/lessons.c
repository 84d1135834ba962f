/* lessons.c - what outcomes teach: how good the chances of risk were, and what a cold start takes.
 * On the edge loop a decision's slot keeps what its outcome will be held against; the outcome, or its absence after
 * VN_OUTCOME_WITHIN_US, goes to the control loop as a sample. There each tenant has a calibrator (calibrate.h), each
 * endpoint and each tenant's cloud a regression of cold starts (cold.h). Tenants do not teach each other. */
#include "base/metrics.h"
#include "server/routing/internal.h"

#define OVERDUE_STEP 128        /* slots a tick: all of them in under a minute */
#define KNOWN_RUN_CALLS 5       /* with fewer calls seen the expected run is a guess */
#define CLOUD_PRIOR_STARTS 8    /* general knowledge weighs as much as so many cold starts of a cloud's functions, */
#define FUNCTION_PRIOR_STARTS 8 /* and those as much as so many of the function's own */
#define KEEP_EVERY_US (10 * VN_US_PER_S)

/* What a start takes by general knowledge; it holds until outcomes say otherwise. The order matters more than the
 * figure: an unknown start must not look cheaper than a measured one. */
static const double unknown_cold_us[VN_CLOUD_COUNT] = {
        [VN_AWS] = 400e3, [VN_AZURE] = 2500e3, [VN_GCP] = 1000e3, [VN_HTTP] = 1000e3};

/* --- edge loop --- */

void vn_outcome_watch(struct vn_route_loop *loop, const struct vn_view_ref *ref, const struct vn_question *question,
                      const struct vn_decision *decision)
{
        const struct vn_view *view = ref->view;
        const struct vn_endpoint *e = &view->endpoint[decision->choice];
        const struct vn_features *f = &decision->features;
        struct vn_pending *p = &loop->pending[question->id.sequence & (VN_PENDING_SLOTS - 1)];
        p->watched = true;
        p->raw = (float)vn_risk_raw(&decision->risk);
        p->risk = decision->risk.combined;
        p->limit_us = (float)vn_risk_limit_us(view, decision->choice, f);
        p->warm_us = e->samples >= KNOWN_RUN_CALLS ? f->network_us + f->mean_ms * 1e3f : -1;
        p->spread_us =
                (e->duration_us[1][5] - e->duration_us[1][2]) / 1.645f; /* of a normal: .95 quantile less median */
        /* Also where the expectation is a guess: being far off it matters as much. */
        bool tells = (double)f->cold_chance <= VN_SLOWDOWN_COLD_CHANCE;
        p->run_us = tells ? f->mean_ms * 1e3f / ref->slowdown[decision->choice] : -1;
        p->network_us = f->network_us;
        p->price_time_us = e->price_time_us;
}

struct vn_lesson vn_lesson_of(const struct vn_pending *pending, uint64_t latency_us)
{
        return (struct vn_lesson){
                .caller = pending->caller,
                .price_time_us = pending->price_time_us,
                .raw = pending->raw,
                .risk = pending->risk,
                .decided_us = pending->time_us,
                .excess_us = (float)latency_us - pending->warm_us,
                .spread_us = pending->spread_us,
                .watched = pending->watched,
                .late = (float)latency_us > pending->limit_us,
                .slower = pending->run_us > 0 ? ((float)latency_us - pending->network_us) / pending->run_us : -1,
                .run_known = pending->warm_us >= 0};
}

void vn_outcomes_overdue(struct vn_route_loop *loop)
{
        int64_t now_us = vn_now_us(loop->server->clock);
        for (unsigned i = 0; i < OVERDUE_STEP; i++) {
                struct vn_pending *p = &loop->pending[loop->next_overdue++ & (VN_PENDING_SLOTS - 1)];
                if (!p->open || now_us - p->time_us <= VN_OUTCOME_WITHIN_US)
                        continue;
                p->open = false;
                struct vn_loop_live *live = vn_loop_live_of(loop, p->hash, NULL);
                for (uint32_t k = 0; live && k < live->count; k++)
                        if (live->endpoint_id[k] == p->endpoint_id)
                                vn_live_finished(&live->live, k);
                struct vn_sample sample = {.account_id = p->account_id,
                                           .endpoint_id = p->endpoint_id,
                                           .hash = p->hash,
                                           .time_us = now_us,
                                           .status = VANE__V1__OUTCOME__STATUS__STATUS_TIMEOUT,
                                           .lesson = vn_lesson_of(p, 0)};
                sample.lesson.silent = true;
                vn_route_sample(loop, &sample);
        }
}

/* --- control loop --- */

struct vn_tenant_lessons *vn_lessons_of(struct vn_routing *routing, const char *tenant)
{
        for (struct vn_tenant_lessons *t = routing->lessons; t; t = t->next)
                if (!strcmp(t->tenant, tenant))
                        return t;
        struct vn_tenant_lessons *t = vn_alloc(sizeof *t);
        if (!t)
                return NULL;
        VN_ASSERT(vn_str_copy(t->tenant, sizeof t->tenant, vn_str(tenant)));
        vn_calibrator_init(&t->risk);
        t->next = routing->lessons;
        return routing->lessons = t;
}

void vn_lessons_free(struct vn_routing *routing)
{
        while (routing->lessons) {
                struct vn_tenant_lessons *t = routing->lessons;
                routing->lessons = t->next;
                vn_free(t);
        }
}

static void wait_for_window(const struct vn_lesson *l, struct vn_endpoint_live *e,
                            const struct vn_account_live *account)
{
        if (!l->run_known || !(account->network_us > 0))
                return; /* nothing to hold the latency against */
        if (!e->waiting)
                e->waiting = vn_alloc(sizeof *e->waiting);
        struct vn_cold_waiting *w = e->waiting;
        if (!w || w->count == VN_COLD_WAITING)
                return;
        w->outcome[w->count].decided_us = l->decided_us;
        w->outcome[w->count].caller = l->caller;
        w->outcome[w->count].excess_us = l->excess_us;
        w->outcome[w->count].spread_us = l->spread_us;
        w->count++;
}

void vn_lesson_absorb(struct vn_server *server, const struct vn_sample *s, struct vn_endpoint_live *endpoint,
                      const struct vn_account_live *account)
{
        const struct vn_lesson *l = &s->lesson;
        const struct vn_account_entry *entry = vn_registry_by_id(server->registry, s->account_id);
        struct vn_tenant_lessons *tenant = entry && l->watched ? vn_lessons_of(server->routing, entry->tenant) : NULL;
        const struct vn_account_prices *prices = vn_telemetry_prices(server->telemetry, s->account_id);
        if (!tenant)
                return;
        bool failed = s->status != VANE__V1__OUTCOME__STATUS__STATUS_OK;
        bool stale = prices && l->price_time_us < prices->since_us;
        vn_calibrator_add(&tenant->risk, &(struct vn_risk_told){.caller = l->caller,
                                                                .raw = (double)l->raw,
                                                                .issued = (double)l->risk,
                                                                .happened = failed || l->late || stale,
                                                                .silent = l->silent});
        tenant->fresh = true;
        if (!failed)
                wait_for_window(l, endpoint, account);
        if (!failed && l->slower > 0 && account->network_us > 0)
                vn_slowdown_add(&endpoint->slowdown, l->caller, (double)l->slower, s->time_us);
}

void vn_routing_window(struct vn_server *server, const struct vn_account_entry *account,
                       const struct vn_window *window)
{
        uint64_t id = vn_endpoint_id_of(account->id, window->region, window->function);
        struct vn_endpoint_live *e = server->routing ? vn_endpoint_live_of(server->routing, id) : NULL;
        struct vn_cold_waiting *w = e ? e->waiting : NULL;
        struct vn_tenant_lessons *tenant = w ? vn_lessons_of(server->routing, account->tenant) : NULL;
        unsigned left = 0;
        if (!tenant)
                return;
        for (unsigned i = 0; i < w->count; i++) {
                if (w->outcome[i].decided_us >= window->start_us + VN_WINDOW_US) {
                        w->outcome[left++] = w->outcome[i];
                        continue;
                }
                if (w->outcome[i].decided_us < window->start_us || !window->calls)
                        continue; /* its window never came */
                /* Of AWS's starts the log tells a part; what is learnt is the rest. */
                double known_us = (double)window->init_sum_us / window->calls;
                struct vn_cold_outcome o = {.caller = w->outcome[i].caller,
                                            .time_us = w->outcome[i].decided_us,
                                            .share = (double)window->cold_starts / window->calls,
                                            .excess_us = (double)w->outcome[i].excess_us - known_us,
                                            .spread_us = (double)w->outcome[i].spread_us};
                vn_cold_add(&e->cold, &o, unknown_cold_us[account->cloud]);
                vn_cold_add(&tenant->cold[account->cloud], &o, unknown_cold_us[account->cloud]);
                e->cold_fresh = tenant->fresh = true;
        }
        w->count = left;
}

void vn_lessons_cold(struct vn_server *server, const char *tenant, enum vn_cloud_id cloud,
                     const struct vn_endpoint_live *endpoint, struct vn_cold_start *ret)
{
        struct vn_tenant_lessons *t = vn_lessons_of(server->routing, tenant);
        double scale_us = unknown_cold_us[cloud], logged_us = endpoint ? endpoint->logged_cold_us : 0;
        struct vn_cold_estimate all, own;
        *ret = (struct vn_cold_start){.us = logged_us > 0 ? logged_us : scale_us, .logged_us = logged_us};
        if (!t || (cloud == VN_AWS && !(logged_us > 0)))
                return;
        vn_cold_estimate(&t->cold[cloud], scale_us, logged_us > 0 ? 0 : scale_us, CLOUD_PRIOR_STARTS, &all);
        ret->us = logged_us + all.us;
        ret->starts = all.starts;
        ret->newest_us = t->cold[cloud].newest_us;
        if (!endpoint || !endpoint->cold.newest_us)
                return;
        vn_cold_estimate(&endpoint->cold, scale_us, all.us, FUNCTION_PRIOR_STARTS, &own);
        ret->us = logged_us + own.us;
        if (own.starts >= FUNCTION_PRIOR_STARTS) { /* the function's own are most of it */
                ret->own = true;
                ret->starts = own.starts;
                ret->newest_us = endpoint->cold.newest_us;
        }
}

void vn_routing_cold_start(struct vn_server *server, const char *tenant, unsigned cloud, uint64_t endpoint_id,
                           struct vn_cold_start *ret)
{
        vn_lessons_cold(server, tenant, (enum vn_cloud_id)cloud, vn_endpoint_live_of(server->routing, endpoint_id),
                        ret);
}

static void quality_of(const struct vn_risk_score *raw, const struct vn_risk_score *issued,
                       struct vn_risk_quality *ret)
{
        ret->outcomes = vn_risk_score_count(raw);
        ret->brier_raw = vn_risk_score_brier(raw);
        ret->ece_raw = vn_risk_score_ece(raw);
        ret->brier = vn_risk_score_brier(issued);
        ret->ece = vn_risk_score_ece(issued);
}

bool vn_routing_risk_quality(const struct vn_server *server, const char *tenant, struct vn_risk_quality *ret)
{
        struct vn_risk_score raw, issued;
        *ret = (struct vn_risk_quality){.calibration.slope = 1};
        for (const struct vn_tenant_lessons *t = server->routing->lessons; t; t = t->next) {
                if (strcmp(t->tenant, tenant))
                        continue;
                vn_calibrator_scores(&t->risk, &raw, &issued);
                quality_of(&raw, &issued, ret);
                ret->calibration = t->risk.calibration;
                ret->fitted_us = t->risk.fitted_us;
        }
        return ret->outcomes > 0;
}

/* For /metrics, all tenants together. */
static void publish_quality(const struct vn_routing *routing)
{
        struct vn_risk_score raw = {.brier_sum = 0}, issued = {.brier_sum = 0}, one, told;
        struct vn_risk_quality q = {.outcomes = 0};
        for (const struct vn_tenant_lessons *t = routing->lessons; t; t = t->next) {
                vn_calibrator_scores(&t->risk, &one, &told);
                vn_risk_score_merge(&raw, &one, 1);
                vn_risk_score_merge(&issued, &told, 1);
        }
        quality_of(&raw, &issued, &q);
        VN_METRIC_SET(RISK_OUTCOMES, q.outcomes);
        vn_metric_set(VN_METRIC_RISK_BRIER, "computed", q.brier_raw);
        vn_metric_set(VN_METRIC_RISK_BRIER, "told", q.brier);
        vn_metric_set(VN_METRIC_RISK_ECE, "computed", q.ece_raw);
        vn_metric_set(VN_METRIC_RISK_ECE, "told", q.ece);
}

void vn_lessons_tick(struct vn_server *server, int64_t now_us)
{
        struct vn_routing *routing = server->routing;
        int64_t wall_us = vn_now_us(server->wall);
        bool fitted = false;
        for (struct vn_tenant_lessons *t = routing->lessons; t; t = t->next)
                if (vn_calibrator_due(&t->risk)) {
                        vn_calibrator_fit(&t->risk, now_us);
                        fitted = routing->dirty = true;
                }
        if (fitted || wall_us - routing->kept_wall_us >= KEEP_EVERY_US) {
                routing->kept_wall_us = wall_us;
                publish_quality(routing);
                vn_lessons_keep(server, false);
        }
}
