/* rounds_store.c - rounds and models as rows and blobs. */
#include "base/hash.h"
#include "server/rounds/internal.h"
#include "server/state.h"

static const char *const state_names[] = {"collecting", "aggregating", "promoted", "refused", "failed"};

const char *vn_round_state_name(enum vn_round_state state)
{
        return state_names[state];
}

static void round_key(struct vn_key *key, uint64_t round)
{
        vn_key_u64(vn_key_text(vn_key_init(key, vn_str(VN_TENANT_SYSTEM)), vn_str(VN_MODEL_NAME)), round);
}

void vn_round_put(struct vn_batch *batch, const struct vn_round *round)
{
        Vane__State__Round m = VANE__STATE__ROUND__INIT;
        size_t n = round->updates ? round->update_count : 0;
        Vane__State__Update *updates = vn_alloc_array(n + 1, sizeof *updates);
        Vane__State__Update **list = vn_alloc_array(n + 1, sizeof(Vane__State__Update *));
        struct vn_key key = {.failed = true}; /* out of memory: the batch reports it */
        for (size_t i = 0; updates && list && i < n; i++) {
                vane__state__update__init(&updates[i]);
                updates[i].account_id = round->updates[i].account_id;
                updates[i].weight = round->updates[i].weight;
                updates[i].sha256.data = round->updates[i].sha256;
                updates[i].sha256.len = sizeof round->updates[i].sha256;
                list[i] = &updates[i];
        }
        if (updates && list) {
                round_key(&key, round->round);
                m.n_updates = n;
                m.updates = list;
        }
        m.round = round->round;
        m.state = vn_state_text(state_names[round->state]);
        m.base_version = round->base_version;
        m.new_version = round->new_version;
        m.quorum = round->quorum;
        m.refused = round->refused;
        m.eval_loss_before = round->loss_before;
        m.eval_loss_after = round->loss_after;
        m.baseline_loss = round->baseline_loss;
        m.started_us = round->started_us;
        m.ended_us = round->ended_us;
        m.deadline_us = round->deadline_us;
        m.note = vn_state_text(round->note);
        vn_state_put(batch, VN_TABLE_rounds, &key, &m.base);
        vn_free(updates);
        vn_free(list);
}

enum vn_rc vn_rounds_remember(struct vn_rounds *rounds, const struct vn_round *round, struct vn_err *err)
{
        if (!rounds->ended)
                rounds->ended = vn_alloc_array(VN_ROUNDS_REMEMBERED, sizeof *rounds->ended);
        if (!rounds->ended)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "rounds: out of memory");
        if (rounds->ended_count == VN_ROUNDS_REMEMBERED)
                memmove(rounds->ended, rounds->ended + 1, --rounds->ended_count * sizeof *rounds->ended);
        rounds->ended[rounds->ended_count] = *round;
        rounds->ended[rounds->ended_count++].updates = NULL;
        rounds->judged += round->state == VN_ROUND_PROMOTED || round->state == VN_ROUND_REFUSED;
        return VN_OK;
}

static enum vn_rc fill_round(const Vane__State__Round *m, struct vn_round *ret, struct vn_err *err)
{
        unsigned state = 0;
        while (state <= VN_ROUND_FAILED && strcmp(m->state, state_names[state]))
                state++;
        if (state > VN_ROUND_FAILED || m->n_updates > VN_MAX_ROUND_UPDATES ||
            !vn_str_copy(ret->note, sizeof ret->note, vn_str(m->note)))
                return vn_fail(err, VN_DATA_LOSS, "rounds: a stored round is not readable");
        ret->round = m->round;
        ret->state = (enum vn_round_state)state;
        ret->base_version = m->base_version;
        ret->new_version = m->new_version;
        ret->quorum = m->quorum;
        ret->refused = m->refused;
        ret->loss_before = m->eval_loss_before;
        ret->loss_after = m->eval_loss_after;
        ret->baseline_loss = m->baseline_loss;
        ret->started_us = m->started_us;
        ret->ended_us = m->ended_us;
        ret->deadline_us = m->deadline_us;
        ret->update_count = (uint32_t)m->n_updates;
        return VN_OK;
}

static enum vn_rc take_open(struct vn_rounds *rounds, const Vane__State__Round *m, const struct vn_round *round,
                            struct vn_err *err)
{
        struct vn_round_update *updates = rounds->open.updates;
        rounds->open = *round;
        rounds->open.updates = updates;
        rounds->is_open = true;
        for (size_t i = 0; i < m->n_updates; i++) {
                if (m->updates[i]->sha256.len != sizeof updates[i].sha256)
                        return vn_fail(err, VN_DATA_LOSS, "rounds: a stored update is not readable");
                updates[i].account_id = m->updates[i]->account_id;
                updates[i].weight = m->updates[i]->weight;
                memcpy(updates[i].sha256, m->updates[i]->sha256.data, sizeof updates[i].sha256);
        }
        return VN_OK;
}

static enum vn_rc load_round(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct vn_rounds *rounds = arg;
        Vane__State__Round *m = (Vane__State__Round *)message;
        struct vn_round round = {0};
        (void)key;
        enum vn_rc rc = fill_round(m, &round, err);
        if (rc == VN_OK && round.round > rounds->last_round)
                rounds->last_round = round.round;
        if (rc == VN_OK)
                rc = round.state == VN_ROUND_COLLECTING || round.state == VN_ROUND_AGGREGATING
                             ? take_open(rounds, m, &round, err)
                             : vn_rounds_remember(rounds, &round, err);
        vane__state__round__free_unpacked(m, NULL);
        return rc;
}

/* --- models --- */

void vn_model_row_put(struct vn_batch *batch, const struct vn_model_row *row)
{
        Vane__State__Model m = VANE__STATE__MODEL__INIT;
        uint8_t sha256[32];
        struct vn_key key;
        memcpy(sha256, row->sha256, sizeof sha256);
        round_key(&key, row->version); /* the same form: model, number */
        m.version = row->version;
        m.sha256.data = sha256;
        m.sha256.len = sizeof sha256;
        m.parameters = row->parameters;
        m.round = row->round;
        m.eval_loss = row->eval_loss;
        m.baseline_loss = row->baseline_loss;
        m.time_us = row->time_us;
        m.decision_id = vn_state_text(row->decision_id);
        vn_state_put(batch, VN_TABLE_models, &key, &m.base);
}

enum vn_rc vn_model_blob_put(struct vn_server *server, struct vn_model *model, struct vn_model_row *ret,
                             struct vn_err *err)
{
        VN_AUTO(vn_buf) bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        struct vn_hash hash;
        VN_TRY(vn_model_encode(model, &bytes, err));
        VN_TRY(vn_store_blob_put(server->store, vn_buf_view(&bytes), &hash, err));
        memcpy(ret->sha256, hash.b, sizeof ret->sha256);
        ret->version = model->version;
        ret->round = model->round;
        ret->parameters = model->parameter_count;
        return VN_OK;
}

enum vn_rc vn_rounds_add_model(struct vn_rounds *rounds, const struct vn_model_row *row, struct vn_err *err)
{
        struct vn_model_row *grown =
                vn_realloc(rounds->models, (rounds->model_count + 1) * sizeof *rounds->models);
        if (!grown)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "models: out of memory");
        rounds->models = grown;
        rounds->models[rounds->model_count++] = *row;
        return VN_OK;
}

static enum vn_rc load_model(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        Vane__State__Model *m = (Vane__State__Model *)message;
        struct vn_model_row row = {.version = m->version, .round = m->round, .parameters = m->parameters,
                                   .eval_loss = m->eval_loss, .baseline_loss = m->baseline_loss,
                                   .time_us = m->time_us};
        (void)key;
        enum vn_rc rc = VN_OK;
        if (m->sha256.len == sizeof row.sha256 &&
            vn_str_copy(row.decision_id, sizeof row.decision_id, vn_str(m->decision_id)))
                memcpy(row.sha256, m->sha256.data, sizeof row.sha256);
        else
                rc = vn_fail(err, VN_DATA_LOSS, "models: a stored model is not readable");
        if (rc == VN_OK)
                rc = vn_rounds_add_model(arg, &row, err);
        vane__state__model__free_unpacked(m, NULL);
        return rc;
}

static enum vn_rc read_model(struct vn_server *server, const struct vn_model_row *row, struct vn_model **ret,
                             struct vn_err *err)
{
        VN_AUTO(vn_buf) bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        struct vn_hash hash;
        memcpy(hash.b, row->sha256, sizeof hash.b);
        VN_TRY(vn_store_blob_get(server->store, &hash, &bytes, err));
        VN_TRY(vn_model_decode(vn_buf_view(&bytes), ret, err));
        if ((*ret)->version == row->version)
                return VN_OK;
        *ret = vn_model_free(*ret);
        return vn_fail(err, VN_DATA_LOSS, "models: version %llu has another's bytes", (unsigned long long)row->version);
}

/* The first start makes version 1: it answers with a function's own running mean, whatever its seed. */
static enum vn_rc first_model(struct vn_rounds *rounds, struct vn_err *err)
{
        VN_AUTO(vn_model) model = NULL;
        VN_AUTO(vn_batch) batch = vn_batch_new();
        struct vn_model_row row = {.time_us = vn_now_us(rounds->server->clock)};
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "models: out of memory");
        VN_TRY(vn_model_new(&vn_model_shape_default, 1, &model, err));
        VN_TRY(vn_model_blob_put(rounds->server, model, &row, err));
        vn_model_row_put(batch, &row);
        VN_TRY(vn_store_commit(rounds->server->store, batch, err));
        return vn_rounds_add_model(rounds, &row, err);
}

enum vn_rc vn_rounds_load(struct vn_rounds *rounds, struct vn_err *err)
{
        struct vn_store *store = rounds->server->store;
        VN_TRY(vn_state_load(store, VN_TABLE_models, &vane__state__model__descriptor, load_model, rounds, err));
        VN_TRY(vn_state_load(store, VN_TABLE_rounds, &vane__state__round__descriptor, load_round, rounds, err));
        if (!rounds->model_count)
                VN_TRY(first_model(rounds, err));
        VN_TRY(read_model(rounds->server, &rounds->models[0], &rounds->first, err));
        return read_model(rounds->server, &rounds->models[rounds->model_count - 1], &rounds->current, err);
}
