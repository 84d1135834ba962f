#include "server/rounds/internal.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "base/metrics.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "vane/v1/agent.pb-c.h"

#define FIRST_MODEL_SEED 1
#define EPOCHS 20
#define BATCH 32
#define LEARNING_RATE 0.003
#define PROXIMAL 2.0 /* few rows an account: stay near what all have learnt */

struct vn_round_entry *vn_rounds_open(struct vn_lineage *lineage)
{
        return lineage->open ? &lineage->rounds[lineage->round_count - 1] : NULL;
}

struct vn_lineage *vn_rounds_of(const struct vn_server *server, const char *tenant)
{
        return server->rounds->of[vn_tenants_number(server, tenant)];
}

enum vn_rc vn_rounds_make_first(struct vn_server *server, struct vn_batch *batch, const char *tenant,
                                const char *actor, struct vn_lineage **ret, struct vn_err *err)
{
        VN_AUTO(vn_lineage)
        lineage = vn_lineage_new(server, tenant);
        struct vn_model_entry *e = lineage ? vn_lineage_add_model(lineage) : NULL;
        if (!e)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(vn_model_new(&vn_model_shape_default, FIRST_MODEL_SEED, &lineage->first, err));
        VN_TRY(vn_model_clone(lineage->first, &lineage->current, err));
        VN_TRY(vn_model_put(server, lineage->first, e, err));
        struct vn_change change = {.kind = VN_RECORD_MODEL,
                                   .tenant = tenant,
                                   .actor = actor,
                                   .subject = "duration",
                                   .choice = "version 1",
                                   .model_version = 1};
        VN_TRY(vn_record_change(server, batch, &change, e->decision_id, err));
        vn_model_store(batch, lineage, e);
        *ret = vn_steal(&lineage);
        return VN_OK;
}

void vn_rounds_adopt(struct vn_server *server, struct vn_lineage *lineage)
{
        struct vn_lineage **place = &server->rounds->of[vn_tenants_number(server, lineage->tenant)];
        vn_lineage_free(*place);
        *place = lineage;
}

/* The models that a stored lineage names; a tenant that has none gets its first. */
static enum vn_rc take_up(struct vn_server *server, struct vn_lineage *lineage, struct vn_err *err)
{
        if (!lineage->model_count) {
                struct vn_lineage *first;
                VN_AUTO(vn_batch)
                batch = vn_batch_new();
                if (!batch)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
                VN_TRY(vn_rounds_make_first(server, batch, lineage->tenant, "system:first-start", &first, err));
                vn_rounds_adopt(server, first);
                return vn_store_commit(server->store, batch, err);
        }
        const struct vn_model_entry *last = &lineage->models[lineage->model_count - 1];
        VN_TRY(vn_rounds_load_model(server->store, &lineage->models[0].blob, &lineage->first, err));
        VN_TRY(vn_rounds_load_model(server->store, &last->blob, &lineage->current, err));
        lineage->loss_first = lineage->loss_last = last->eval_loss;
        lineage->baseline = last->baseline_loss;
        return VN_OK;
}

enum vn_rc vn_rounds_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds = vn_alloc(sizeof *rounds);
        if (!rounds)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        rounds->server = server;
        for (size_t i = 0; i < vn_tenants_count(server); i++)
                if (!(rounds->of[i] = vn_lineage_new(server, vn_tenants_at(server, i)->name)))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(vn_lineages_load(rounds, err));
        for (size_t i = 0; i < vn_tenants_count(server); i++)
                VN_TRY(take_up(server, rounds->of[i], err));
        VN_TRY(vn_loop_new("compute", &rounds->compute, err));
        return vn_loop_start(rounds->compute, err);
}

void vn_rounds_stop(struct vn_server *server)
{
        struct vn_rounds *rounds = server->rounds;
        if (!rounds)
                return;
        if (rounds->compute) {
                vn_loop_stop(rounds->compute);
                vn_loop_join(rounds->compute);
                vn_loop_free(rounds->compute);
        }
        for (size_t i = 0; i < VN_MAX_TENANTS; i++)
                vn_lineage_free(rounds->of[i]);
        vn_free(rounds);
        server->rounds = NULL;
}

static void offer_event(const struct vn_lineage *lineage, const struct vn_round_entry *r, Vane__V1__RoundOffer *ret,
                        Vane__V1__AgentEvent *ret_event)
{
        vane__v1__agent_event__init(ret_event);
        vane__v1__round_offer__init(ret);
        ret->round = r->round;
        ret->base_version = r->base_version;
        ret->deadline_us = r->deadline_us;
        ret->epochs = EPOCHS;
        ret->batch = BATCH;
        ret->learning_rate = LEARNING_RATE;
        ret->proximal = PROXIMAL;
        ret->seed = r->round;
        ret->parameter_count = lineage->current->parameter_count;
        ret_event->event_case = VANE__V1__AGENT_EVENT__EVENT_ROUND;
        ret_event->round = ret;
}

static void model_event(const struct vn_lineage *lineage, Vane__V1__ModelNotice *ret, Vane__V1__AgentEvent *ret_event)
{
        vane__v1__agent_event__init(ret_event);
        vane__v1__model_notice__init(ret);
        VN_ASSERT(lineage->current); /* a lineage begins with its first model */
        ret->version = lineage->current->version;
        ret->sha256 = (ProtobufCBinaryData){32, lineage->current->hash};
        ret_event->event_case = VANE__V1__AGENT_EVENT__EVENT_MODEL;
        ret_event->model = ret;
}

void vn_rounds_hello(struct vn_server *server, uint64_t account_id)
{
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, account_id);
        Vane__V1__AgentEvent event;
        Vane__V1__ModelNotice notice;
        Vane__V1__RoundOffer offer;
        if (!account)
                return;
        struct vn_lineage *lineage = vn_rounds_of(server, account->tenant);
        const struct vn_round_entry *r = vn_rounds_open(lineage);
        model_event(lineage, &notice, &event);
        vn_hub_send_agent(server, account_id, &event.base);
        if (r && !lineage->computing) {
                offer_event(lineage, r, &offer, &event);
                vn_hub_send_agent(server, account_id, &event.base);
        }
}

/* Those that may take part: from others no update comes, and a round must not wait for it. */
static size_t online_accounts(struct vn_server *server, const char *tenant)
{
        struct vn_leave_rules rules;
        size_t n = 0;
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                vn_registry_rules(server, a, &rules);
                n += vn_registry_online(server, a) && !strcmp(a->tenant, tenant) &&
                     vn_may_leave(&rules, VN_LEAVING_UPDATE);
        }
        return n;
}

enum vn_rc vn_rounds_begin(struct vn_server *server, struct vn_lineage *lineage, int64_t now_us, struct vn_err *err)
{
        if (lineage->open)
                return vn_fail(err, VN_FAILED_PRECONDITION, "round %llu is open",
                               (unsigned long long)vn_rounds_open(lineage)->round);
        uint64_t number = lineage->round_count ? lineage->rounds[lineage->round_count - 1].round + 1 : 1;
        struct vn_round_entry *r = vn_lineage_add_round(lineage);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (r)
                r->updates = vn_alloc_array(VN_ROUND_MAX_UPDATES, sizeof *r->updates);
        if (!r || !r->updates || !batch) {
                if (r)
                        lineage->round_count--;
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        r->round = number;
        r->base_version = lineage->current->version;
        r->quorum = server->config.round_quorum;
        r->started_us = now_us;
        r->deadline_us = now_us + server->config.round_deadline_s * VN_US_PER_S;
        VN_ASSERT(vn_str_copy(r->state, sizeof r->state, VN_STR("collecting")));
        vn_round_store(batch, lineage, r);
        enum vn_rc rc = vn_store_commit(server->store, batch, err);
        if (rc != VN_OK) {
                vn_free(r->updates);
                lineage->round_count--;
                return rc;
        }
        lineage->open = true;
        Vane__V1__AgentEvent event;
        Vane__V1__RoundOffer offer;
        offer_event(lineage, r, &offer, &event);
        vn_hub_send_agents(server, lineage->tenant, &event.base);
        return VN_OK;
}

static enum vn_refusal gate(struct vn_server *server, struct vn_lineage *lineage, const struct vn_submission *s,
                            uint64_t *ret_weight)
{
        const struct vn_round_entry *r = vn_rounds_open(lineage);
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, s->account_id);
        if (!r)
                return VN_REFUSED_NO_ROUND;
        if (account->revoked || r->update_count == VN_ROUND_MAX_UPDATES)
                return VN_REFUSED_IDENTITY;
        if (s->round == r->round && (lineage->computing || vn_now_us(server->clock) > r->deadline_us))
                return VN_REFUSED_LATE;
        struct vn_gate_rules rules = {.round = r->round,
                                      .base_version = r->base_version,
                                      .parameters = lineage->current->parameter_count,
                                      .max_norm = VN_UPDATE_MAX_NORM,
                                      .max_weight = VN_UPDATE_MAX_WEIGHT};
        struct vn_gate_header header = {s->round, s->base_version, s->samples, s->total_bytes};
        struct vn_gate_check check = {0};
        double norm;
        enum vn_refusal refusal = vn_gate_begin(&rules, &header, &check);
        if (refusal == VN_ACCEPTED)
                refusal = vn_gate_chunk(&check, 0, s->bytes.ptr, s->bytes.len);
        if (refusal == VN_ACCEPTED)
                refusal = vn_gate_end(&check, &norm);
        uint8_t digest[32];
        vn_sha256(vn_buf_view(&s->bytes).ptr, s->bytes.len, digest);
        if (refusal == VN_ACCEPTED && memcmp(digest, s->sha256, 32))
                refusal = VN_REFUSED_CHECKSUM;
        *ret_weight = check.weight;
        return refusal;
}

enum vn_rc vn_rounds_accept(struct vn_server *server, struct vn_submission *s, struct vn_err *err)
{
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, s->account_id);
        if (!account)
                return vn_fail(err, VN_UNAUTHENTICATED, "this account is revoked or gone");
        VN_TRY(vn_registry_may_come(server, account, VN_LEAVING_UPDATE, err));
        /* The tenant of the account that the certificate names: an update has no way into another's round. */
        struct vn_lineage *lineage = vn_rounds_of(server, account->tenant);
        struct vn_round_entry *r = vn_rounds_open(lineage);
        s->refusal = gate(server, lineage, s, &s->weight);
        struct vn_hash hash;
        memcpy(hash.b, s->sha256, 32);
        for (size_t i = 0; s->refusal == VN_ACCEPTED && i < r->update_count; i++)
                if (r->updates[i].account_id == s->account_id) {
                        if (vn_hash_eq(&r->updates[i].blob, &hash))
                                return VN_OK; /* sent again after a lost answer */
                        s->refusal = VN_REFUSED_DUPLICATE;
                }
        if (s->refusal != VN_ACCEPTED) {
                vn_gate_count(&lineage->gate, s->refusal);
                VN_METRIC_ADD_FOR(UPDATES, vn_refusal_name(s->refusal), 1);
                if (r)
                        r->refused++;
                return VN_OK;
        }
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        /* The blob first: the round never names bytes that are not there. */
        VN_TRY(vn_store_blob_put(server->store, vn_buf_view(&s->bytes), &hash, err));
        r->updates[r->update_count++] = (struct vn_round_update){s->account_id, s->weight, hash};
        vn_round_store(batch, lineage, r);
        enum vn_rc rc = vn_store_commit(server->store, batch, err);
        if (rc != VN_OK) {
                r->update_count--;
                return rc;
        }
        vn_gate_count(&lineage->gate, VN_ACCEPTED);
        VN_METRIC_ADD_FOR(UPDATES, vn_refusal_name(VN_ACCEPTED), 1);
        return VN_OK;
}

/* Ends the open round; the change, if any, is recorded in the same commit. */
static enum vn_rc close_round(struct vn_server *server, struct vn_lineage *lineage, struct vn_round_entry *r,
                              const char *state, const char *note, struct vn_model *promoted, struct vn_err *err)
{
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        struct vn_model_entry entry = {.eval_loss = r->loss_after, .baseline_loss = r->baseline};
        char choice[64], before[64], summary[200];
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        snprintf(r->state, sizeof r->state, "%s", state);
        snprintf(r->note, sizeof r->note, "%s", note);
        r->ended_us = vn_now_us(server->clock);
        if (promoted) {
                VN_TRY(vn_model_put(server, promoted, &entry, err));
                r->new_version = promoted->version;
        }
        vn_round_store(batch, lineage, r);
        if (strcmp(state, "failed")) {
                snprintf(before, sizeof before, "version %llu", (unsigned long long)r->base_version);
                snprintf(choice, sizeof choice, promoted ? "version %llu" : "version %llu kept",
                         (unsigned long long)(promoted ? promoted->version : r->base_version));
                snprintf(summary, sizeof summary,
                         "Round %llu averaged %zu updates; held-out loss %.4f, was %.4f; baseline %.4f: %s.",
                         (unsigned long long)r->round, r->update_count, r->loss_after, r->loss_before, r->baseline,
                         promoted ? "promoted" : "refused");
                struct vn_change change = {.kind = VN_RECORD_MODEL,
                                           .tenant = lineage->tenant,
                                           .actor = "system:rounds",
                                           .subject = "duration",
                                           .before = before,
                                           .choice = choice,
                                           .summary = summary,
                                           .margin = r->loss_before - r->loss_after,
                                           .model_version = promoted ? promoted->version : r->base_version};
                VN_TRY(vn_record_change(server, batch, &change, entry.decision_id, err));
        }
        if (promoted)
                vn_model_store(batch, lineage, &entry);
        VN_TRY(vn_store_commit(server->store, batch, err));
        struct vn_model_entry *kept = promoted ? vn_lineage_add_model(lineage) : NULL;
        if (kept)
                *kept = entry;
        lineage->open = lineage->computing = false;
        lineage->ended += strcmp(state, "failed") != 0;
        lineage->next_us = r->started_us + server->config.round_interval_s * VN_US_PER_S;
        return VN_OK;
}

void vn_rounds_computed(struct vn_server *server, struct vn_lineage *lineage, uint64_t number,
                        struct vn_model *candidate, bool better, const double losses[3], double baseline,
                        const char *note)
{
        struct vn_round_entry *r = vn_rounds_open(lineage);
        struct vn_err err;
        lineage->computing = false;
        if (!r || r->round != number) {
                vn_model_free(candidate);
                return;
        }
        r->loss_before = losses[1];
        r->loss_after = losses[2];
        r->baseline = baseline;
        enum vn_rc rc = close_round(server, lineage, r,
                                    better      ? "promoted"
                                    : candidate ? "refused"
                                                : "failed",
                                    note, better ? candidate : NULL, &err);
        if (rc != VN_OK) {
                VN_LOG(ROUND_KEPT, "tenant=%s round=%llu stays open: %s", lineage->tenant, (unsigned long long)number,
                       err.msg);
                vn_model_free(candidate);
                return;
        }
        if (candidate) {
                lineage->loss_first = losses[0];
                lineage->loss_last = better ? losses[2] : losses[1];
                lineage->baseline = baseline;
        }
        if (!better) {
                vn_model_free(candidate);
                return;
        }
        vn_model_free(lineage->current);
        lineage->current = candidate;
        Vane__V1__AgentEvent event;
        Vane__V1__ModelNotice notice;
        model_event(lineage, &notice, &event);
        vn_hub_send_agents(server, lineage->tenant, &event.base);
        vn_routing_dirty(server);
}

static void tick_one(struct vn_server *server, struct vn_lineage *lineage, int64_t now_us)
{
        struct vn_round_entry *r = vn_rounds_open(lineage);
        struct vn_err err;
        if (lineage->computing)
                return;
        if (!r) {
                if (now_us >= lineage->next_us &&
                    online_accounts(server, lineage->tenant) >= server->config.round_quorum &&
                    vn_rounds_begin(server, lineage, now_us, &err) != VN_OK)
                        VN_LOG(ROUND_KEPT, "tenant=%s no round begins: %s", lineage->tenant, err.msg);
                return;
        }
        bool all = r->update_count >= r->quorum && r->update_count >= online_accounts(server, lineage->tenant);
        if (!all && now_us < r->deadline_us)
                return;
        if (r->update_count < r->quorum) {
                if (close_round(server, lineage, r, "failed", "too few updates at the deadline", NULL, &err) != VN_OK)
                        VN_LOG(ROUND_KEPT, "tenant=%s a round does not end: %s", lineage->tenant, err.msg);
                return;
        }
        lineage->computing = true;
        vn_rounds_compute(server, lineage, r);
}

void vn_rounds_tick(struct vn_server *server, int64_t now_us)
{
        for (size_t i = 0; i < vn_tenants_count(server); i++)
                tick_one(server, server->rounds->of[i], now_us);
}

const struct vn_model *vn_rounds_model(const struct vn_server *server, const char *tenant)
{
        return vn_rounds_of(server, tenant)->current;
}

double vn_rounds_model_error(const struct vn_server *server, const char *tenant)
{
        const struct vn_lineage *lineage = vn_rounds_of(server, tenant);
        return lineage->loss_last > 0 ? lineage->loss_last : 0.5;
}

void vn_rounds_figures(const struct vn_server *server, const char *tenant, struct vn_rounds_figures *ret)
{
        const struct vn_lineage *lineage = vn_rounds_of(server, tenant);
        *ret = (struct vn_rounds_figures){.rounds = lineage->ended,
                                          .model_version = lineage->current->version,
                                          .eval_loss_first = lineage->loss_first,
                                          .eval_loss_last = lineage->loss_last,
                                          .eval_loss_baseline = lineage->baseline};
}
