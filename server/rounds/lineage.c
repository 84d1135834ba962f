/* lineage.c - one tenant's models and rounds: in memory, in the store, and loaded from there. */
#include "server/rounds/internal.h"
#include "server/state.h"
#include "server/tenants.h"

void vn_lineage_key(struct vn_key *key, const char *tenant, uint64_t number)
{
        vn_key_u64(vn_key_text(vn_key_init(key, vn_str(tenant)), VN_STR("duration")), number);
}

void vn_round_store(struct vn_batch *batch, const struct vn_lineage *lineage, const struct vn_round_entry *r)
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
                vn_lineage_key(&key, lineage->tenant, r->round);
        vn_state_put(batch, VN_TABLE_rounds, &key, &m.base);
        vn_free(updates);
        vn_free(list);
}

void vn_model_store(struct vn_batch *batch, const struct vn_lineage *lineage, const struct vn_model_entry *e)
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
        vn_lineage_key(&key, lineage->tenant, e->version);
        vn_state_put(batch, VN_TABLE_models, &key, &m.base);
}

struct vn_round_entry *vn_lineage_add_round(struct vn_lineage *lineage)
{
        struct vn_round_entry *grown = vn_realloc(lineage->rounds, (lineage->round_count + 1) * sizeof *grown);
        if (!grown)
                return NULL;
        lineage->rounds = grown;
        memset(&grown[lineage->round_count], 0, sizeof *grown);
        return &grown[lineage->round_count++];
}

struct vn_model_entry *vn_lineage_add_model(struct vn_lineage *lineage)
{
        struct vn_model_entry *grown = vn_realloc(lineage->models, (lineage->model_count + 1) * sizeof *grown);
        if (!grown)
                return NULL;
        lineage->models = grown;
        memset(&grown[lineage->model_count], 0, sizeof *grown);
        return &grown[lineage->model_count++];
}

struct vn_lineage *vn_lineage_new(struct vn_server *server, const char *tenant)
{
        struct vn_lineage *lineage = vn_alloc(sizeof *lineage);
        if (lineage) {
                VN_ASSERT(vn_str_copy(lineage->tenant, sizeof lineage->tenant, vn_str(tenant)));
                lineage->next_us = vn_now_us(server->clock) + server->config.round_interval_s * VN_US_PER_S;
        }
        return lineage;
}

struct vn_lineage *vn_lineage_free(struct vn_lineage *lineage)
{
        if (!lineage)
                return NULL;
        for (size_t i = 0; i < lineage->round_count; i++)
                vn_free(lineage->rounds[i].updates);
        vn_free(lineage->rounds);
        vn_free(lineage->models);
        vn_model_free(lineage->current);
        vn_model_free(lineage->first);
        vn_free(lineage);
        return NULL;
}

/* Whose a stored round or model is, by its key. */
static struct vn_lineage *lineage_of_key(struct vn_rounds *rounds, struct vn_str key)
{
        struct vn_str tenant;
        if (!vn_key_take_text(&key, &tenant))
                return NULL;
        for (size_t i = 0; i < vn_tenants_count(rounds->server); i++)
                if (vn_str_eq(tenant, vn_str(rounds->of[i]->tenant)))
                        return rounds->of[i];
        return NULL;
}

static enum vn_rc load_round(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct vn_lineage *lineage = lineage_of_key(arg, key);
        Vane__State__Round *m = (Vane__State__Round *)message;
        struct vn_round_entry *r = lineage ? vn_lineage_add_round(lineage) : NULL;
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
                lineage->open = !strcmp(r->state, "collecting");
                lineage->ended += !strcmp(r->state, "promoted") || !strcmp(r->state, "refused");
        }
        vane__state__round__free_unpacked(m, NULL);
        if (!lineage)
                return vn_fail(err, VN_DATA_LOSS, "rounds: a stored round is of no tenant");
        return vn_state_taken(room ? r : NULL, good, "rounds: a stored round", err);
}

static enum vn_rc load_model_entry(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct vn_lineage *lineage = lineage_of_key(arg, key);
        Vane__State__Model *m = (Vane__State__Model *)message;
        bool good = m->sha256.len == 32;
        struct vn_model_entry *e = lineage ? vn_lineage_add_model(lineage) : NULL;
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
        if (!lineage)
                return vn_fail(err, VN_DATA_LOSS, "models: a stored model is of no tenant");
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

enum vn_rc vn_model_put(struct vn_server *server, struct vn_model *model, struct vn_model_entry *e,
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

enum vn_rc vn_lineages_load(struct vn_rounds *rounds, struct vn_err *err)
{
        struct vn_store *store = rounds->server->store;
        VN_TRY(vn_state_load(store, VN_TABLE_models, &vane__state__model__descriptor, load_model_entry, rounds, err));
        return vn_state_load(store, VN_TABLE_rounds, &vane__state__round__descriptor, load_round, rounds, err);
}
