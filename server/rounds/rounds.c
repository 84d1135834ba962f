/* rounds.c - the state machine of a round. Each change of state is one commit; see internal.h. */
#include <stdio.h>

#include "base/hash.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/registry.h"
#include "server/rounds/internal.h"
#include "server/routing/routing.h"
#include "server/telemetry/telemetry.h"
#include "vane/v1/agent.pb-c.h"

#define DEFAULT_ERROR 0.5
#define RETRY_US (10 * VN_US_PER_S)

struct vn_model_bytes *vn_model_bytes_unref(struct vn_model_bytes *bytes)
{
        if (bytes && atomic_fetch_sub(&bytes->references, 1) == 1) {
                vn_buf_done(&bytes->bytes);
                vn_free(bytes);
        }
        return NULL;
}

/* --- what edge loops may see --- */

static enum vn_rc publish_model(struct vn_rounds *rounds, struct vn_err *err)
{
        struct vn_model_bytes *bytes = vn_alloc(sizeof *bytes);
        if (!bytes)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "models: out of memory");
        bytes->bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        bytes->version = rounds->current->version;
        atomic_store(&bytes->references, 1);
        enum vn_rc rc = vn_model_encode(rounds->current, &bytes->bytes, err);
        if (rc != VN_OK) {
                vn_model_bytes_unref(bytes);
                return rc;
        }
        pthread_mutex_lock(&rounds->mutex);
        struct vn_model_bytes *old = rounds->shared.bytes;
        rounds->shared.bytes = bytes;
        pthread_mutex_unlock(&rounds->mutex);
        vn_model_bytes_unref(old);
        return VN_OK;
}

void vn_rounds_share(struct vn_rounds *rounds)
{
        pthread_mutex_lock(&rounds->mutex);
        rounds->shared.open = rounds->is_open && rounds->open.state == VN_ROUND_COLLECTING;
        rounds->shared.deadline_us = rounds->open.deadline_us;
        rounds->shared.rules = (struct vn_gate_rules){
                .round = rounds->open.round,
                .base_version = rounds->open.base_version,
                .parameters = rounds->current->parameter_count,
                .max_norm = VN_ROUND_MAX_NORM,
                .max_weight = VN_ROUND_MAX_WEIGHT,
        };
        pthread_mutex_unlock(&rounds->mutex);
}

/* --- what agents are told --- */

static void send_model(struct vn_server *server, uint64_t account_id)
{
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__ModelNotice notice = VANE__V1__MODEL_NOTICE__INIT;
        uint8_t hash[VN_MODEL_HASH_BYTES];
        memcpy(hash, server->rounds->current->hash, sizeof hash);
        notice.version = server->rounds->current->version;
        notice.sha256.data = hash;
        notice.sha256.len = sizeof hash;
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_MODEL;
        event.model = &notice;
        vn_hub_send_agent(server, account_id, &event.base);
}

static void send_offer(struct vn_server *server, uint64_t account_id)
{
        const struct vn_round *round = &server->rounds->open;
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__RoundOffer offer = VANE__V1__ROUND_OFFER__INIT;
        offer.round = round->round;
        offer.base_version = round->base_version;
        offer.deadline_us = round->deadline_us;
        offer.epochs = VN_ROUND_EPOCHS;
        offer.batch = VN_ROUND_BATCH;
        offer.learning_rate = VN_ROUND_LEARNING_RATE;
        offer.seed = vn_hash64(&round->round, sizeof round->round, 1);
        offer.parameter_count = server->rounds->current->parameter_count;
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_ROUND;
        event.round = &offer;
        vn_hub_send_agent(server, account_id, &event.base);
}

static bool has_update(const struct vn_round *round, uint64_t account_id)
{
        for (size_t i = 0; i < round->update_count; i++)
                if (round->updates[i].account_id == account_id)
                        return true;
        return false;
}

void vn_rounds_hello(struct vn_server *server, uint64_t account_id)
{
        struct vn_rounds *rounds = server->rounds;
        send_model(server, account_id);
        if (rounds->is_open && rounds->open.state == VN_ROUND_COLLECTING && !has_update(&rounds->open, account_id))
                send_offer(server, account_id);
}

/* --- the steps --- */

size_t vn_rounds_online(const struct vn_server *server)
{
        size_t online = 0;
        for (size_t i = 0; i < vn_registry_count(server->registry); i++)
                online += vn_registry_online(server, vn_registry_at(server->registry, i));
        return online;
}

static enum vn_rc store_round(struct vn_server *server, const struct vn_round *round, struct vn_err *err)
{
        VN_AUTO(vn_batch) batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        vn_round_put(batch, round);
        return vn_store_commit(server->store, batch, err);
}

enum vn_rc vn_rounds_begin(struct vn_server *server, int64_t now_us, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
        if (rounds->is_open || rounds->job_running)
                return vn_fail(err, VN_FAILED_PRECONDITION, "a round is under way");
        if (vn_rounds_online(server) < server->config.round_quorum)
                return vn_fail(err, VN_FAILED_PRECONDITION, "a round needs %u accounts online",
                               server->config.round_quorum);
        struct vn_round round = {
                .round = rounds->last_round + 1,
                .base_version = rounds->current->version,
                .state = VN_ROUND_COLLECTING,
                .quorum = server->config.round_quorum,
                .started_us = now_us,
                .deadline_us = now_us + server->config.round_deadline_s * VN_US_PER_S,
                .updates = rounds->open.updates,
        };
        VN_TRY(store_round(server, &round, err));
        rounds->open = round;
        rounds->is_open = true;
        rounds->last_round = round.round;
        atomic_store(&rounds->refused, 0);
        vn_rounds_share(rounds);
        send_offer(server, 0);
        return VN_OK;
}

/* The round is over; `batch` may hold more that belongs to the same decision. */
static enum vn_rc end_round(struct vn_server *server, struct vn_batch *batch, enum vn_round_state state,
                            const char *note, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
        struct vn_round round = rounds->open;
        round.state = state;
        round.ended_us = vn_now_us(server->clock);
        round.refused = atomic_load(&rounds->refused);
        snprintf(round.note, sizeof round.note, "%s", note);
        vn_round_put(batch, &round);
        VN_TRY(vn_store_commit(server->store, batch, err));
        rounds->is_open = false;
        VN_TRY(vn_rounds_remember(rounds, &round, err));
        rounds->figures.rounds = rounds->judged;
        vn_rounds_share(rounds);
        /* The journal has served: averaging will not be repeated. A blob that stays behind only costs space. */
        for (size_t i = 0; i < round.update_count; i++) {
                struct vn_hash hash;
                memcpy(hash.b, round.updates[i].sha256, sizeof hash.b);
                VN_IGNORE(vn_store_blob_delete(server->store, &hash, NULL));
        }
        return VN_OK;
}

static enum vn_rc fail_round(struct vn_server *server, const char *note, struct vn_err *err)
{
        VN_AUTO(vn_batch) batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        return end_round(server, batch, VN_ROUND_FAILED, note, err);
}

static enum vn_rc close_collecting(struct vn_server *server, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
        if (rounds->open.update_count < rounds->open.quorum) {
                char note[96];
                snprintf(note, sizeof note, "%u updates by the deadline, %u needed", rounds->open.update_count,
                         rounds->open.quorum);
                return fail_round(server, note, err);
        }
        struct vn_round round = rounds->open;
        round.state = VN_ROUND_AGGREGATING;
        VN_TRY(store_round(server, &round, err));
        rounds->open = round;
        vn_rounds_share(rounds);
        return VN_OK;
}

static enum vn_rc step(struct vn_server *server, int64_t now_us, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
        if (rounds->job_running)
                return VN_OK;
        if (!rounds->is_open) {
                if (now_us < rounds->next_round_us || vn_rounds_online(server) < server->config.round_quorum)
                        return VN_OK;
                rounds->next_round_us = now_us + server->config.round_interval_s * VN_US_PER_S;
                return vn_rounds_begin(server, now_us, err);
        }
        if (rounds->open.state == VN_ROUND_COLLECTING) {
                bool all = rounds->open.update_count >= rounds->open.quorum &&
                           rounds->open.update_count >= vn_rounds_online(server);
                bool full = rounds->open.update_count == VN_MAX_ROUND_UPDATES;
                if (!all && !full && now_us < rounds->open.deadline_us)
                        return VN_OK;
                return close_collecting(server, err);
        }
        return vn_rounds_judge(server, err);
}

void vn_rounds_tick(struct vn_server *server, int64_t now_us)
{
        struct vn_err err = {0};
        if (step(server, now_us, &err) == VN_OK)
                return;
        /* Nothing has changed: the same step is tried again, later. */
        fprintf(stderr, "vaned: round %llu: %s\n", (unsigned long long)server->rounds->open.round, err.msg);
        server->rounds->next_round_us = now_us + RETRY_US;
}

/* --- the verdict --- */

static void take_figures(struct vn_rounds *rounds, const struct vn_eval_result *r, bool promoted)
{
        if (!r->windows)
                return;
        rounds->figures.eval_loss_first = r->loss[0];
        rounds->figures.eval_loss_last = r->loss[promoted ? 2 : 1];
        rounds->figures.eval_loss_baseline = r->baseline_loss;
        rounds->model_error = rounds->figures.eval_loss_last;
}

static enum vn_rc record_verdict(struct vn_server *server, struct vn_batch *batch, const struct vn_judgement *j,
                                 bool promoted, const char *summary, char ret_id[VN_DECISION_ID_TEXT_BYTES],
                                 struct vn_err *err)
{
        char choice[64], before[64];
        snprintf(choice, sizeof choice, promoted ? "version %llu" : "version %llu refused",
                 (unsigned long long)j->candidate->version);
        snprintf(before, sizeof before, "version %llu", (unsigned long long)server->rounds->current->version);
        struct vn_change change = {
                .kind = VN_RECORD_MODEL,
                .tenant = VN_TENANT_DEFAULT,
                .actor = "vaned",
                .subject = "model/" VN_MODEL_NAME,
                .choice = choice,
                .before = before,
                .summary = summary,
                .model_version = j->candidate->version,
                .margin = j->result.loss[1] - j->result.loss[2],
        };
        return vn_record_change(server, batch, &change, ret_id, err);
}

/* Row of the model, row of the round and the record of the decision: one commit. */
static enum vn_rc take_verdict(struct vn_server *server, struct vn_judgement *j, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds;
        const struct vn_eval_result *r = &j->result;
        bool promoted = r->windows && r->loss[2] < r->loss[1];
        char summary[160], id[VN_DECISION_ID_TEXT_BYTES] = "";
        VN_AUTO(vn_batch) batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        if (r->windows)
                snprintf(summary, sizeof summary,
                         "error %.4f against %.4f of the version in force and %.4f of the baseline, %llu windows",
                         r->loss[2], r->loss[1], r->baseline_loss, (unsigned long long)r->windows);
        else
                snprintf(summary, sizeof summary, "no held-out windows to judge by");
        VN_TRY(record_verdict(server, batch, j, promoted, summary, id, err));
        rounds->open.loss_before = r->loss[1];
        rounds->open.loss_after = r->loss[2];
        rounds->open.baseline_loss = r->baseline_loss;
        j->row.eval_loss = r->loss[2];
        j->row.baseline_loss = r->baseline_loss;
        j->row.time_us = vn_now_us(server->clock);
        snprintf(j->row.decision_id, sizeof j->row.decision_id, "%s", id);
        if (promoted) {
                rounds->open.new_version = j->candidate->version;
                vn_model_row_put(batch, &j->row);
        }
        VN_TRY(end_round(server, batch, promoted ? VN_ROUND_PROMOTED : VN_ROUND_REFUSED, summary, err));
        take_figures(rounds, r, promoted);
        if (!promoted) {
                struct vn_hash hash;
                memcpy(hash.b, j->row.sha256, sizeof hash.b);
                VN_IGNORE(vn_store_blob_delete(server->store, &hash, NULL)); /* nothing names it; it only costs space */
                return VN_OK;
        }
        VN_TRY(vn_rounds_add_model(rounds, &j->row, err));
        vn_model_free(rounds->current);
        rounds->current = vn_steal(&j->candidate);
        rounds->figures.model_version = rounds->current->version;
        VN_TRY(publish_model(rounds, err));
        vn_rounds_share(rounds);
        vn_routing_dirty(server);
        send_model(server, 0);
        return VN_OK;
}

void vn_rounds_judged(struct vn_server *server, struct vn_judgement *j)
{
        struct vn_rounds *rounds = server->rounds;
        struct vn_err err = {0};
        enum vn_rc rc = j->rc;
        rounds->job_running = false;
        if (rc == VN_OK && j->candidate)
                rc = take_verdict(server, j, &err);
        else if (rc == VN_OK)
                take_figures(rounds, &j->result, false);
        else if (rounds->is_open && (rc == VN_DATA_LOSS || rc == VN_NOT_FOUND || rc == VN_OUT_OF_RANGE ||
                                     rc == VN_INVALID_ARGUMENT))
                rc = fail_round(server, j->err.msg, &err); /* trying again cannot help */
        else
                err = j->err;
        if (rc != VN_OK)
                fprintf(stderr, "vaned: round %llu: %s\n", (unsigned long long)rounds->open.round, err.msg);
}

/* --- start, stop, figures --- */

enum vn_rc vn_rounds_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_rounds *rounds = server->rounds = vn_alloc(sizeof *rounds);
        if (!rounds)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "rounds: out of memory");
        rounds->server = server;
        rounds->model_error = DEFAULT_ERROR;
        pthread_mutex_init(&rounds->mutex, NULL);
        rounds->open.updates = vn_alloc_array(VN_MAX_ROUND_UPDATES, sizeof *rounds->open.updates);
        if (!rounds->open.updates)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "rounds: out of memory");
        VN_TRY(vn_rounds_load(rounds, err));
        rounds->figures.rounds = rounds->judged;
        rounds->figures.model_version = rounds->current->version;
        rounds->next_round_us = vn_now_us(server->clock) + server->config.round_interval_s * VN_US_PER_S;
        VN_TRY(publish_model(rounds, err));
        vn_rounds_share(rounds);
        VN_TRY(vn_loop_new("compute", &rounds->compute, err));
        VN_TRY(vn_loop_start(rounds->compute, err));
        /* The figures of the version in force, from the windows that are kept; an open round makes its own. */
        return rounds->is_open ? VN_OK : vn_rounds_judge(server, err);
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
        server->rounds = NULL;
        vn_model_bytes_unref(rounds->shared.bytes);
        vn_model_free(rounds->first);
        vn_model_free(rounds->current);
        pthread_mutex_destroy(&rounds->mutex);
        vn_free(rounds->open.updates);
        vn_free(rounds->ended);
        vn_free(rounds->models);
        vn_free(rounds);
}

const struct vn_model *vn_rounds_model(const struct vn_server *server)
{
        return server->rounds->current;
}

double vn_rounds_model_error(const struct vn_server *server)
{
        return server->rounds->model_error;
}

void vn_rounds_figures(const struct vn_server *server, struct vn_rounds_figures *ret)
{
        *ret = server->rounds->figures;
}
