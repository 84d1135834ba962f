/* rounds_ops.c - what people ask about models and rounds. */
#include "server/api.h"
#include "server/rounds/internal.h"
#include "vane/v1/control.pb-c.h"

static Vane__V1__Model *model_message(struct vn_op *op, const struct vn_model_row *row)
{
        Vane__V1__Model *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Model, vane__v1__model__init);
        char hex[65];
        if (!m)
                return NULL;
        vn_hex(row->sha256, sizeof row->sha256, hex);
        m->version = row->version;
        m->sha256 = vn_op_text(op, hex);
        m->parameters = row->parameters;
        m->round = row->round;
        m->eval_loss = row->eval_loss;
        m->baseline_loss = row->baseline_loss;
        m->time_us = row->time_us;
        m->current = row->version == op->server->rounds->current->version;
        m->decision_id = vn_op_text(op, row->decision_id);
        return m;
}

enum vn_rc op_list_models(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        struct vn_rounds *rounds = op->server->rounds;
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, rounds->model_count, &page, err));
        Vane__V1__ListModelsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListModelsResponse, vane__v1__list_models_response__init);
        if (!m || !(m->models = vn_arena_alloc(op->arena, (page.count + 1) * sizeof(Vane__V1__Model *))))
                return vn_op_no_memory(err);
        for (size_t i = 0; i < page.count; i++, m->n_models++)
                if (!(m->models[i] = model_message(op, &rounds->models[rounds->model_count - 1 - page.from - i])))
                        return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        *ret_reply = &m->base;
        return VN_OK;
}

static Vane__V1__Round *round_message(struct vn_op *op, const struct vn_round *round)
{
        Vane__V1__Round *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Round, vane__v1__round__init);
        if (!m)
                return NULL;
        m->round = round->round;
        m->state = vn_op_text(op, vn_round_state_name(round->state));
        m->base_version = round->base_version;
        m->new_version = round->new_version;
        m->quorum = round->quorum;
        m->updates = round->update_count;
        m->refused = round->updates ? atomic_load(&op->server->rounds->refused) : round->refused;
        m->eval_loss_before = round->loss_before;
        m->eval_loss_after = round->loss_after;
        m->baseline_loss = round->baseline_loss;
        m->started_us = round->started_us;
        m->ended_us = round->ended_us;
        m->note = vn_op_text(op, round->note);
        return m;
}

/* Newest first: the open one, then those that ended. */
static const struct vn_round *round_at(const struct vn_rounds *rounds, size_t index)
{
        if (rounds->is_open && !index--)
                return &rounds->open;
        return &rounds->ended[rounds->ended_count - 1 - index];
}

enum vn_rc op_list_rounds(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        struct vn_rounds *rounds = op->server->rounds;
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, rounds->ended_count + rounds->is_open, &page,
                          err));
        Vane__V1__ListRoundsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListRoundsResponse, vane__v1__list_rounds_response__init);
        if (!m || !(m->rounds = vn_arena_alloc(op->arena, (page.count + 1) * sizeof(Vane__V1__Round *))))
                return vn_op_no_memory(err);
        for (size_t i = 0; i < page.count; i++, m->n_rounds++)
                if (!(m->rounds[i] = round_message(op, round_at(rounds, page.from + i))))
                        return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_start_round(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        (void)message;
        VN_TRY(vn_rounds_begin(op->server, op->now_us, err));
        Vane__V1__Round *m = round_message(op, &op->server->rounds->open);
        if (!m)
                return vn_op_no_memory(err);
        *ret_reply = &m->base;
        return VN_OK;
}
