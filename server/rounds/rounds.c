#include "server/rounds/internal.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/log.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/state.h"
#include "vane/v1/agent.pb-c.h"

#define FIRST_MODEL_SEED 1
#define EPOCHS 20
#define BATCH 32
#define LEARNING_RATE 0.003
#define PROXIMAL 2.0 /* few rows an account: stay near what all have learnt */

struct vn_round_entry *vn_rounds_open(struct vn_rounds *rounds)
{
        return rounds->open ? &rounds->rounds[rounds->round_count - 1] : NULL;
}

static void round_key(struct vn_key *key, uint64_t round)
{
        vn_key_u64(vn_key_text(vn_key_init(key, VN_STR(VN_TENANT_DEFAULT)), VN_STR("duration")), round);
}

void vn_round_store(struct vn_batch *batch, const struct vn_round_entry *r)
{
        struct vn_round_entry copy = *r;
        Vane__State__Round m = VANE__STATE__ROUND__INIT;
        Vane__State__Update *updates = vn_alloc_array(r->update_count + 1, sizeof *updates);
        Vane__State__Update **list = vn_alloc_array(r->update_count + 1, sizeof *list);
        struct vn_key key = {.failed = !updates || !list}; /* without memory the batch fails as a whole */
        m.round = r->round;
        m.state = copy.state;
        m.note = copy.note;
        m.base_version = r->base_version;
        m.new_version = r->new_version;
        m.quorum = r->quorum;
        m.refused = r->refused;
        m.eval_loss_before = r->loss_before;
        m.eval_loss_after = r->loss_after;
        m.baseline_loss = r->baseline;
        m.started_us = r->started_us;
        m.ended_us = r->ended_us;
        m.deadline_us = r->deadline_us;
        for (size_t i = 0; !key.failed && i < r->update_count; i++) {
                vane__state__update__init(&updates[i]);
                updates[i].account_id = r->updates[i].account_id;
                updates[i].weight = r->updates[i].weight;
                updates[i].sha256 = (ProtobufCBinaryData){32, copy.updates[i].blob.b};
                list[m.n_updates++] = &updates[i];
        }
        m.updates = list;
        if (!key.failed)
                round_key(&key, r->round);
        vn_state_put(batch, VN_TABLE_rounds, &key, &m.base);
        vn_free(updates);
        vn_free(list);
}

static void model_store(struct vn_batch *batch, const struct vn_model_entry *e)
{
        struct vn_model_entry copy = *e;
        Vane__State__Model m = VANE__STATE__MODEL__INIT;
        struct vn_key key;
        m.version = e->version;
        m.sha256 = (ProtobufCBinaryData){32, copy.blob.b};
        m.parameters = e->parameters;
        m.round = e->round;
        m.eval_loss = e->eval_loss;
        m.baseline_loss = e->baseline_loss;
        m.time_us = e->time_us;
        m.decision_id = copy.decision_id;
        round_key(&key, e->version);
        vn_state_put(batch, VN_TABLE_models, &key, &m.base);
}

static struct vn_round_entry *append_round(struct vn_rounds *rounds)
{
        struct vn_round_entry *grown = vn_realloc(rounds->rounds, (rounds->round_count + 1) * sizeof *grown);
        if (!grown)
                return NULL;
        rounds->rounds = grown;
        memset(&grown[rounds->round_count], 0, sizeof *grown);
        return &grown[rounds->round_count++];
}

static struct vn_model_entry *append_model(struct vn_rounds *rounds)
{
        struct vn_model_entry *grown = vn_realloc(rounds->models, (rounds->model_count + 1) * sizeof *grown);
        if (!grown)
                return NULL;
        rounds->models = grown;
        memset(&grown[rounds->model_count], 0, sizeof *grown);
        return &grown[rounds->model_count++];
}

static enum vn_rc load_round(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        struct vn_rounds *rounds = arg;
        Vane__State__Round *m = (Vane__State__Round *)message;
        struct vn_round_entry *r = append_round(rounds);
        bool good = r && m->n_updates <= VN_ROUND_MAX_UPDATES &&
                    vn_str_copy(r->state, sizeof r->state, vn_str(m->state)) &&
                    vn_str_copy(r->note, sizeof r->note, vn_str(m->note));
        bool room = r && (r->updates = vn_alloc_array(VN_ROUND_MAX_UPDATES, sizeof *r->updates));
        good = good && room;
        for (size_t i = 0; good && i < m->n_updates; i++) {
                good = m->updates[i]->sha256.len == 32;
                r->updates[i] = (struct vn_round_update){.account_id = m->updates[i]->account_id,
                                                         .weight = m->updates[i]->weight};
                if (good)
                        memcpy(r->updates[i].blob.b, m->updates[i]->sha256.data, 32);
                r->update_count++;
        }
        if (good) {
                r->round = m->round;
                r->base_version = m->base_version;
                r->new_version = m->new_version;
                r->quorum = m->quorum;
                r->refused = m->refused;
                r->loss_before = m->eval_loss_before;
                r->loss_after = m->eval_loss_after;
                r->baseline = m->baseline_loss;
                r->started_us = m->started_us;
                r->ended_us = m->ended_us;
                r->deadline_us = m->deadline_us;
                rounds->open = !strcmp(r->state, "collecting");
                rounds->ended += !strcmp(r->state, "promoted") || !strcmp(r->state, "refused");
        }
        vane__state__round__free_unpacked(m, NULL);
        return vn_state_taken(room ? r : NULL, good, "rounds: a stored round", err);
}

static enum vn_rc load_model_entry(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        struct vn_rounds *rounds = arg;
        Vane__State__Model *m = (Vane__State__Model *)message;
        bool good = m->sha256.len == 32;
        struct vn_model_entry *e = append_model(rounds);
        if (e && good) {
                memcpy(e->blob.b, m->sha256.data, 32);
                e->version = m->version;
                e->round = m->round;
                e->parameters = m->parameters;
                e->eval_loss = m->eval_loss;
                e->baseline_loss = m->baseline_loss;
                e->time_us = m->time_us;
                VN_IGNORE(vn_str_copy(e->decision_id, sizeof e->decision_id, vn_str(m->decision_id)));
        }
        vane__state__model__free_unpacked(m, NULL);
        return vn_state_taken(e, good, "models: a stored model", err);
}

enum vn_rc vn_rounds_load_model(struct vn_store *store, const struct vn_hash *blob, struct vn_model **ret,
                                struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        VN_TRY(vn_store_blob_get(store, blob, &bytes, err));
        return vn_model_decode(vn_buf_view(&bytes), ret, err);
}

/* Puts the model's bytes away and fills the entry that names them. */
static enum vn_rc put_model(struct vn_server *server, struct vn_model *model, struct vn_model_entry *e,
                            struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        VN_TRY(vn_model_encode(model, &bytes, err));
        VN_TRY(vn_store_blob_put(server->store, vn_buf_view(&bytes), &e->blob, err));
        e->version = model->version;
        e->round = model->round;
        e->parameters = model->parameter_count;
        e->time_us = vn_now_us(server->clock);
        return VN_OK;
}

static enum vn_rc first_model(struct vn_server *server, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
        VN_TRY(vn_model_new(&vn_model_shape_default, FIRST_MODEL_SEED, &rounds->first, err));
        struct vn_model_entry *e = append_model(rounds);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!e || !batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(put_model(server, rounds->first, e, err));
        struct vn_change change = {.kind = VN_RECORD_MODEL,
                                   .tenant = VN_TENANT_DEFAULT,
                                   .actor = "system:first-start",
                                   .subject = "duration",
                                   .choice = "version 1",
                                   .model_version = 1};
        VN_TRY(vn_record_change(server, batch, &change, e->decision_id, err));
        model_store(batch, e);
        return vn_store_commit(server->store, batch, err);
}

enum vn_rc vn_rounds_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds = vn_alloc(sizeof *rounds);
        if (!rounds)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        rounds->server = server;
        VN_TRY(vn_state_load(server->store, VN_TABLE_models, &vane__state__model__descriptor, load_model_entry,
                             rounds, err));
        VN_TRY(vn_state_load(server->store, VN_TABLE_rounds, &vane__state__round__descriptor, load_round, rounds,
                             err));
        if (!rounds->model_count)
                VN_TRY(first_model(server, err));
        else
                VN_TRY(vn_rounds_load_model(server->store, &rounds->models[0].blob, &rounds->first, err));
        const struct vn_model_entry *last = &rounds->models[rounds->model_count - 1];
        VN_TRY(vn_rounds_load_model(server->store, &last->blob, &rounds->current, err));
        rounds->loss_first = rounds->loss_last = last->eval_loss;
        rounds->baseline = last->baseline_loss;
        rounds->next_us = server->started_us + server->config.round_interval_s * VN_US_PER_S;
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
        for (size_t i = 0; i < rounds->round_count; i++)
                vn_free(rounds->rounds[i].updates);
        vn_free(rounds->rounds);
        vn_free(rounds->models);
        vn_model_free(rounds->current);
        vn_model_free(rounds->first);
        vn_free(rounds);
        server->rounds = NULL;
}

static void send_offer(struct vn_server *server, uint64_t account_id)
{
        struct vn_rounds *rounds = server->rounds;
        const struct vn_round_entry *r = vn_rounds_open(rounds);
        if (!r || rounds->computing)
                return;
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__RoundOffer offer = VANE__V1__ROUND_OFFER__INIT;
        offer.round = r->round;
        offer.base_version = r->base_version;
        offer.deadline_us = r->deadline_us;
        offer.epochs = EPOCHS;
        offer.batch = BATCH;
        offer.learning_rate = LEARNING_RATE;
        offer.proximal = PROXIMAL;
        offer.seed = r->round;
        offer.parameter_count = rounds->current->parameter_count;
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_ROUND;
        event.round = &offer;
        vn_hub_send_agent(server, account_id, &event.base);
}

static void send_model(struct vn_server *server, uint64_t account_id)
{
        struct vn_rounds *rounds = server->rounds;
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__ModelNotice notice = VANE__V1__MODEL_NOTICE__INIT;
        notice.version = rounds->current->version;
        notice.sha256 = (ProtobufCBinaryData){32, rounds->current->hash};
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_MODEL;
        event.model = &notice;
        vn_hub_send_agent(server, account_id, &event.base);
}

void vn_rounds_hello(struct vn_server *server, uint64_t account_id)
{
        send_model(server, account_id);
        send_offer(server, account_id);
}

static size_t online_accounts(struct vn_server *server)
{
        size_t n = 0;
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                n += vn_registry_online(server, a) && !strcmp(a->tenant, VN_TENANT_DEFAULT);
        }
        return n;
}

enum vn_rc vn_rounds_begin(struct vn_server *server, int64_t now_us, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
        if (rounds->open)
                return vn_fail(err, VN_FAILED_PRECONDITION, "round %llu is open",
                               (unsigned long long)vn_rounds_open(rounds)->round);
        uint64_t number = rounds->round_count ? rounds->rounds[rounds->round_count - 1].round + 1 : 1;
        struct vn_round_entry *r = append_round(rounds);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (r)
                r->updates = vn_alloc_array(VN_ROUND_MAX_UPDATES, sizeof *r->updates);
        if (!r || !r->updates || !batch) {
                if (r)
                        rounds->round_count--;
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        r->round = number;
        r->base_version = rounds->current->version;
        r->quorum = server->config.round_quorum;
        r->started_us = now_us;
        r->deadline_us = now_us + server->config.round_deadline_s * VN_US_PER_S;
        VN_ASSERT(vn_str_copy(r->state, sizeof r->state, VN_STR("collecting")));
        vn_round_store(batch, r);
        enum vn_rc rc = vn_store_commit(server->store, batch, err);
        if (rc != VN_OK) {
                vn_free(r->updates);
                rounds->round_count--;
                return rc;
        }
        rounds->open = true;
        send_offer(server, 0);
        return VN_OK;
}

static enum vn_refusal gate(struct vn_server *server, const struct vn_submission *s, uint64_t *ret_weight)
{
        struct vn_rounds *rounds = server->rounds;
        const struct vn_round_entry *r = vn_rounds_open(rounds);
        const struct vn_account_entry *account = vn_registry_by_id(server->registry, s->account_id);
        if (!r)
                return VN_REFUSED_NO_ROUND;
        if (!account || account->revoked || strcmp(account->tenant, VN_TENANT_DEFAULT) ||
            r->update_count == VN_ROUND_MAX_UPDATES)
                return VN_REFUSED_IDENTITY;
        if (s->round == r->round && (rounds->computing || vn_now_us(server->clock) > r->deadline_us))
                return VN_REFUSED_LATE;
        struct vn_gate_rules rules = {.round = r->round,
                                      .base_version = r->base_version,
                                      .parameters = rounds->current->parameter_count,
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
        struct vn_rounds *rounds = server->rounds;
        struct vn_round_entry *r = vn_rounds_open(rounds);
        s->refusal = gate(server, s, &s->weight);
        struct vn_hash hash;
        memcpy(hash.b, s->sha256, 32);
        for (size_t i = 0; s->refusal == VN_ACCEPTED && i < r->update_count; i++)
                if (r->updates[i].account_id == s->account_id) {
                        if (vn_hash_eq(&r->updates[i].blob, &hash))
                                return VN_OK; /* sent again after a lost answer */
                        s->refusal = VN_REFUSED_DUPLICATE;
                }
        if (s->refusal != VN_ACCEPTED) {
                vn_gate_count(&rounds->gate, s->refusal);
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
        vn_round_store(batch, r);
        enum vn_rc rc = vn_store_commit(server->store, batch, err);
        if (rc != VN_OK)
                r->update_count--;
        else
                vn_gate_count(&rounds->gate, VN_ACCEPTED);
        return rc;
}

/* Ends the open round; the change, if any, is recorded in the same commit. */
static enum vn_rc close_round(struct vn_server *server, struct vn_round_entry *r, const char *state, const char *note,
                              struct vn_model *promoted, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
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
                VN_TRY(put_model(server, promoted, &entry, err));
                r->new_version = promoted->version;
        }
        vn_round_store(batch, r);
        if (strcmp(state, "failed")) {
                snprintf(before, sizeof before, "version %llu", (unsigned long long)r->base_version);
                snprintf(choice, sizeof choice, promoted ? "version %llu" : "version %llu kept",
                         (unsigned long long)(promoted ? promoted->version : r->base_version));
                snprintf(summary, sizeof summary,
                         "Round %llu averaged %zu updates; held-out loss %.4f, was %.4f; baseline %.4f: %s.",
                         (unsigned long long)r->round, r->update_count, r->loss_after, r->loss_before, r->baseline,
                         promoted ? "promoted" : "refused");
                struct vn_change change = {.kind = VN_RECORD_MODEL,
                                           .tenant = VN_TENANT_DEFAULT,
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
                model_store(batch, &entry);
        VN_TRY(vn_store_commit(server->store, batch, err));
        struct vn_model_entry *kept = promoted ? append_model(rounds) : NULL;
        if (kept)
                *kept = entry;
        rounds->open = rounds->computing = false;
        rounds->ended += strcmp(state, "failed") != 0;
        rounds->next_us = r->started_us + server->config.round_interval_s * VN_US_PER_S;
        return VN_OK;
}

void vn_rounds_computed(struct vn_server *server, uint64_t number, struct vn_model *candidate, bool better,
                        const double losses[3], double baseline, const char *note)
{
        struct vn_rounds *rounds = server->rounds;
        struct vn_round_entry *r = vn_rounds_open(rounds);
        struct vn_err err;
        rounds->computing = false;
        if (!r || r->round != number) {
                vn_model_free(candidate);
                return;
        }
        r->loss_before = losses[1];
        r->loss_after = losses[2];
        r->baseline = baseline;
        enum vn_rc rc = close_round(server, r,
                                    better      ? "promoted"
                                    : candidate ? "refused"
                                                : "failed",
                                    note, better ? candidate : NULL, &err);
        if (rc != VN_OK) {
                VN_LOG(ROUND_KEPT, "round=%llu stays open: %s", (unsigned long long)number, err.msg);
                vn_model_free(candidate);
                return;
        }
        if (candidate) {
                rounds->loss_first = losses[0];
                rounds->loss_last = better ? losses[2] : losses[1];
                rounds->baseline = baseline;
        }
        if (!better) {
                vn_model_free(candidate);
                return;
        }
        vn_model_free(rounds->current);
        rounds->current = candidate;
        send_model(server, 0);
        vn_routing_dirty(server);
}

void vn_rounds_tick(struct vn_server *server, int64_t now_us)
{
        struct vn_rounds *rounds = server->rounds;
        struct vn_round_entry *r = vn_rounds_open(rounds);
        struct vn_err err;
        if (rounds->computing)
                return;
        if (!r) {
                if (now_us >= rounds->next_us && online_accounts(server) >= server->config.round_quorum &&
                    vn_rounds_begin(server, now_us, &err) != VN_OK)
                        VN_LOG(ROUND_KEPT, "no round begins: %s", err.msg);
                return;
        }
        bool all = r->update_count >= r->quorum && r->update_count >= online_accounts(server);
        if (!all && now_us < r->deadline_us)
                return;
        if (r->update_count < r->quorum) {
                if (close_round(server, r, "failed", "too few updates at the deadline", NULL, &err) != VN_OK)
                        VN_LOG(ROUND_KEPT, "a round does not end: %s", err.msg);
                return;
        }
        rounds->computing = true;
        vn_rounds_compute(server, r);
}

const struct vn_model *vn_rounds_model(const struct vn_server *server)
{
        return server->rounds->current;
}

double vn_rounds_model_error(const struct vn_server *server)
{
        return server->rounds->loss_last > 0 ? server->rounds->loss_last : 0.5;
}

void vn_rounds_figures(const struct vn_server *server, struct vn_rounds_figures *ret)
{
        const struct vn_rounds *rounds = server->rounds;
        *ret = (struct vn_rounds_figures){.rounds = rounds->ended,
                                          .model_version = rounds->current->version,
                                          .eval_loss_first = rounds->loss_first,
                                          .eval_loss_last = rounds->loss_last,
                                          .eval_loss_baseline = rounds->baseline};
}
