/* explain.c - why a decision was made so: attribution, counterfactual, risk, alternatives, replay, proof. */
#include <stdio.h>

#include "decide/risk.h"
#include "policies/policy.h"
#include "server/audit/audit.h"
#include "server/explain/explain.h"
#include "server/record.h"
#include "server/routing/view_store.h"
#include "store/history.h"

static enum vn_rc add_attributions(struct vn_op *op, const struct vn_record *r, Vane__V1__Explanation *m,
                                   struct vn_err *err)
{
        struct vn_attribution a;
        if (r->kind != VN_RECORD_ROUTE || !r->has_runner_up)
                return VN_OK;
        vn_attribute_record(r, &a);
        m->attributions = vn_arena_alloc(op->arena, (VN_FEATURE_GROUPS + 1) * sizeof *m->attributions);
        if (!m->attributions)
                return vn_op_no_memory(err);
        for (unsigned g = 0; g < VN_FEATURE_GROUPS; g++) {
                char detail[160];
                Vane__V1__Attribution *row =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__Attribution, vane__v1__attribution__init);
                if (!row)
                        return vn_op_no_memory(err);
                vn_group_detail((enum vn_group)g, &r->choice.features, &r->runner_up.features, detail, sizeof detail);
                row->group = vn_op_text(op, vn_group_name((enum vn_group)g));
                row->value = a.value[g];
                row->detail = vn_op_text(op, detail);
                m->attributions[m->n_attributions++] = row;
        }
        m->margin = a.margin;
        m->attribution_sum = a.sum;
        m->baseline = vn_op_printf(op, "%s (%s)", r->runner_up.account, r->runner_up.region);
        return VN_OK;
}

static enum vn_rc add_risks(struct vn_op *op, const struct vn_record *r, Vane__V1__Explanation *m, struct vn_err *err)
{
        m->risk = (double)r->risk.combined;
        m->risk_computed = m->risk;
        m->blast_radius = (double)r->risk.blast_radius;
        if (r->kind != VN_RECORD_ROUTE)
                return VN_OK;
        m->risk_computed = vn_risk_raw(&r->risk);
        m->risks = vn_arena_alloc(op->arena, (VN_RISK_PARTS + 1) * sizeof *m->risks);
        for (unsigned p = 0; m->risks && p < VN_RISK_PARTS; p++) {
                Vane__V1__RiskPart *row = VN_NEW_MESSAGE(op->arena, Vane__V1__RiskPart, vane__v1__risk_part__init);
                if (!row)
                        return vn_op_no_memory(err);
                row->event = vn_op_text(op, vn_risk_event((enum vn_risk_part)p));
                row->chance = (double)r->risk.part[p];
                row->horizon = vn_op_text(op, vn_risk_horizon((enum vn_risk_part)p));
                row->data = vn_op_text(op, vn_risk_data((enum vn_risk_part)p));
                m->risks[m->n_risks++] = row;
        }
        return m->risks ? VN_OK : vn_op_no_memory(err);
}

enum vn_rc vn_explain_calibration(struct vn_op *op, const struct vn_calibration *calibration,
                                  Vane__V1__RiskCalibration **ret, struct vn_err *err)
{
        Vane__V1__RiskCalibration *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__RiskCalibration, vane__v1__risk_calibration__init);
        if (!m)
                return vn_op_no_memory(err);
        m->slope = calibration->slope;
        m->intercept = calibration->intercept;
        m->outcomes = calibration->outcomes;
        *ret = m;
        return VN_OK;
}

static enum vn_rc add_candidates(struct vn_op *op, const struct vn_record *r, const struct vn_view *view,
                                 const struct vn_question *question, Vane__V1__Explanation *m, struct vn_err *err)
{
        m->candidates = vn_arena_alloc(op->arena, (view->count + 1) * sizeof *m->candidates);
        if (!m->candidates)
                return vn_op_no_memory(err);
        for (uint32_t i = 0; i < view->count; i++) {
                const struct vn_endpoint *e = &view->endpoint[i];
                struct vn_features f;
                Vane__V1__Candidate *c = VN_NEW_MESSAGE(op->arena, Vane__V1__Candidate, vane__v1__candidate__init);
                if (c)
                        c->excluded_by = vn_arena_alloc(op->arena, VN_EXCLUSION_COUNT * sizeof *c->excluded_by);
                if (!c || !c->excluded_by)
                        return vn_op_no_memory(err);
                vn_decide_features(view, question, &r->live, i, &f);
                c->account = vn_op_text(op, e->account);
                c->cloud = vn_op_text(op, vn_provider_name(e->provider));
                c->region = vn_op_text(op, e->region);
                c->cost_usd = vn_features_cost(&f) / 1e6;
                c->latency_p95_ms = vn_features_latency_us(&f) / 1000;
                c->network_ms = (double)f.network_us / 1000;
                c->cold_chance = (double)f.cold_chance;
                c->error_rate = (double)f.error_rate;
                c->score = vn_features_score(&f, &r->weights);
                for (unsigned x = 0; x < VN_EXCLUSION_COUNT; x++)
                        if (vn_bit(&r->excluded[x], i))
                                c->excluded_by[c->n_excluded_by++] =
                                        vn_op_text(op, vn_exclusion_name((enum vn_exclusion)x));
                c->chosen = e->id == r->choice.endpoint_id;
                m->candidates[m->n_candidates++] = c;
        }
        return VN_OK;
}

static void age_line(struct vn_op *op, Vane__V1__Explanation *m, const char *what, int64_t then_us, int64_t now_us)
{
        if (then_us > 0)
                m->data_ages[m->n_data_ages++] =
                        vn_op_printf(op, "%s: %.0f s old", what, (double)(now_us - then_us) / 1e6);
        else
                m->data_ages[m->n_data_ages++] = vn_op_printf(op, "%s: none yet", what);
}

static enum vn_rc add_policy_and_ages(struct vn_op *op, const struct vn_record *r, const struct vn_view *view,
                                      Vane__V1__Explanation *m, struct vn_err *err)
{
        m->policy_rules = vn_arena_alloc(op->arena, 8 * sizeof *m->policy_rules);
        m->data_ages = vn_arena_alloc(op->arena, 8 * sizeof *m->data_ages);
        if (!m->policy_rules || !m->data_ages)
                return vn_op_no_memory(err);
        const struct vn_policy_compiled *p = &view->policy;
        m->policy_rules[m->n_policy_rules++] = vn_op_printf(
                op, "policy %s, version %llu: cost %.3g, latency %.3g at $%.3g a million calls for each ms", p->name,
                (unsigned long long)view->policy_version, p->cost_weight, p->latency_weight,
                p->latency_value_usd_per_ms);
        if (p->latency_slo_ms > 0)
                m->policy_rules[m->n_policy_rules++] = vn_op_printf(
                        op, "limits.latency_slo_ms: %.0f at quantile %.3g", p->latency_slo_ms, p->slo_quantile);
        if (p->residency || p->region_count || p->clouds != 7)
                m->policy_rules[m->n_policy_rules++] = vn_op_text(op, "limits on clouds, regions or residency apply");
        if (p->budget_usd_per_day > 0)
                m->policy_rules[m->n_policy_rules++] = vn_op_printf(
                        op, "limits.budget_usd_per_day: $%.4g, of which $%.4g was spent%s", p->budget_usd_per_day,
                        view->spent_usd, r->over_budget ? ": cost alone decides until 00:00 UTC" : "");
        if (r->explored)
                m->policy_rules[m->n_policy_rules++] =
                        vn_op_printf(op, "routing.exploration: %.3g of calls are drawn elsewhere, to keep learning",
                                     p->exploration);
        for (uint32_t i = 0; i < view->count; i++)
                if (view->endpoint[i].id == r->choice.endpoint_id) {
                        age_line(op, m, "prices", view->endpoint[i].price_time_us, r->time_us);
                        age_line(op, m, "agent last heard", view->endpoint[i].health_time_us, r->time_us);
                        age_line(op, m, "view", view->epoch_us, r->time_us);
                }
        return VN_OK;
}

static enum vn_rc add_counterfactual(struct vn_op *op, const struct vn_record *r, const struct vn_view *view,
                                     const struct vn_question *question, Vane__V1__Explanation *m, struct vn_err *err)
{
        struct vn_decision *d = vn_arena_alloc(op->arena, sizeof *d);
        struct vn_counterfactual cf;
        if (!d)
                return vn_op_no_memory(err);
        vn_decide(view, question, &r->live, d);
        VN_TRY(vn_counterfactual(view, question, &r->live, d, &cf, err));
        if (!cf.found)
                return VN_OK;
        Vane__V1__Counterfactual *c =
                VN_NEW_MESSAGE(op->arena, Vane__V1__Counterfactual, vane__v1__counterfactual__init);
        if (!c)
                return vn_op_no_memory(err);
        c->feature = vn_op_text(op, vn_group_name(cf.group));
        c->from = cf.from;
        c->to = cf.to;
        c->unit = vn_op_text(op, cf.unit);
        c->would_choose =
                vn_op_text(op, cf.would_choose < view->count ? view->endpoint[cf.would_choose].account : "");
        c->sentence = vn_op_text(op, cf.sentence);
        c->verified = cf.verified;
        m->counterfactual = c;
        return VN_OK;
}

static void add_replay(struct vn_op *op, struct vn_str bytes, const struct vn_decision_id *id,
                       const struct vn_view *view, Vane__V1__Explanation *m)
{
        uint8_t again[VN_RUN_MAX_BYTES];
        size_t n = 0;
        struct vn_err why;
        m->replayed = vn_record_replay(bytes, id, view, again, sizeof again, &n, &why) == VN_OK;
        m->replay_note = vn_op_text(op, m->replayed ? "decided again just now, with the same bits" : why.msg);
}

static enum vn_rc with_view(struct vn_op *op, const struct vn_record *r, struct vn_str bytes,
                            Vane__V1__Explanation *m, struct vn_err *err)
{
        VN_AUTO(vn_view)
        view = NULL;
        struct vn_question question;
        struct vn_err why;
        if (r->kind != VN_RECORD_ROUTE)
                return VN_OK;
        enum vn_rc rc = vn_view_load(op->server->store, r, &view, &why);
        if (rc != VN_OK) {
                /* The record still explains itself from the values that it carries. */
                m->replay_note = vn_op_text(op, why.msg);
                return VN_OK;
        }
        vn_record_question(r, &question);
        VN_TRY(vn_explain_calibration(op, &view->calibration, &m->calibration, err));
        VN_TRY(add_candidates(op, r, view, &question, m, err));
        VN_TRY(add_policy_and_ages(op, r, view, m, err));
        VN_TRY(add_counterfactual(op, r, view, &question, m, err));
        add_replay(op, bytes, &r->id, view, m);
        return VN_OK;
}

enum vn_rc op_explain_decision(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                               struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_RUN_MAX_BYTES);
        struct vn_record *record = vn_arena_alloc(op->arena, sizeof *record);
        Vane__V1__Explanation *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Explanation, vane__v1__explanation__init);
        uint64_t seq;
        ProtobufCMessage *decision;
        if (!record || !m)
                return vn_op_no_memory(err);
        VN_TRY(vn_explain_find(op, ((const Vane__V1__DecisionId *)message)->id, record, &bytes, &seq, err));
        VN_TRY(op_get_decision(op, message, &decision, err));
        m->decision = (Vane__V1__Decision *)decision;
        m->sentence = m->decision->summary;
        VN_TRY(add_attributions(op, record, m, err));
        VN_TRY(add_risks(op, record, m, err));
        VN_TRY(with_view(op, record, vn_buf_view(&bytes), m, err));
        VN_TRY(vn_audit_proof(op, seq, 0, &m->proof, err));
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_replay_decision(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                              struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_RUN_MAX_BYTES);
        VN_AUTO(vn_view)
        view = NULL;
        struct vn_record *record = vn_arena_alloc(op->arena, sizeof *record);
        uint8_t *again = vn_arena_alloc(op->arena, VN_RUN_MAX_BYTES);
        Vane__V1__ReplayResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ReplayResponse, vane__v1__replay_response__init);
        uint64_t seq;
        size_t n = 0;
        if (!record || !again || !m)
                return vn_op_no_memory(err);
        VN_TRY(vn_explain_find(op, ((const Vane__V1__DecisionId *)message)->id, record, &bytes, &seq, err));
        if (record->kind != VN_RECORD_ROUTE)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "only routes are decided by a function that can run again");
        VN_TRY(vn_view_load(op->server->store, record, &view, err));
        struct vn_err why = {.msg = "the same bytes"};
        enum vn_rc rc = vn_record_replay(vn_buf_view(&bytes), &record->id, view, again, VN_RUN_MAX_BYTES, &n, &why);
        if (rc != VN_OK && rc != VN_DATA_LOSS)
                return vn_fail(err, rc, "%s", why.msg);
        m->identical = rc == VN_OK;
        m->note = vn_op_text(op, why.msg);
        m->decide_version = record->decide_version;
        m->recorded.data = vn_arena_alloc(op->arena, bytes.len + 1);
        if (!m->recorded.data)
                return vn_op_no_memory(err);
        memcpy(m->recorded.data, bytes.ptr, bytes.len);
        m->recorded.len = bytes.len;
        m->replayed.data = again;
        m->replayed.len = n;
        *ret_reply = &m->base;
        return VN_OK;
}
