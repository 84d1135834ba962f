/* ops.c - what people ask of models and rounds. */
#include "server/op.h"
#include "server/rounds/internal.h"
#include "vane/v1/control.pb-c.h"

static Vane__V1__Round *round_message(struct vn_op *op, const struct vn_round_entry *r)
{
        Vane__V1__Round *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Round, vane__v1__round__init);
        if (!m)
                return NULL;
        m->round = r->round;
        m->state = vn_op_text(op, r->state);
        m->base_version = r->base_version;
        m->new_version = r->new_version;
        m->quorum = r->quorum;
        m->updates = (uint32_t)r->update_count;
        m->refused = r->refused;
        m->eval_loss_before = r->loss_before;
        m->eval_loss_after = r->loss_after;
        m->baseline_loss = r->baseline;
        m->started_us = r->started_us;
        m->ended_us = r->ended_us;
        m->note = vn_op_text(op, r->note);
        return m;
}

enum vn_rc op_list_rounds(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        const struct vn_lineage *lineage = vn_rounds_of(op->server, op->identity->tenant);
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, lineage->round_count, &page, err));
        Vane__V1__ListRoundsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListRoundsResponse, vane__v1__list_rounds_response__init);
        if (m)
                m->rounds = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->rounds);
        if (!m || !m->rounds)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < page.count; i++)
                if ((m->rounds[i] = round_message(op, &lineage->rounds[lineage->round_count - 1 - page.from - i])))
                        m->n_rounds++;
        if (m->n_rounds != page.count)
                return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_list_models(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        const struct vn_lineage *lineage = vn_rounds_of(op->server, op->identity->tenant);
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, lineage->model_count, &page, err));
        Vane__V1__ListModelsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListModelsResponse, vane__v1__list_models_response__init);
        if (m)
                m->models = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->models);
        if (!m || !m->models)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < page.count; i++) {
                const struct vn_model_entry *e = &lineage->models[lineage->model_count - 1 - page.from - i];
                Vane__V1__Model *one = VN_NEW_MESSAGE(op->arena, Vane__V1__Model, vane__v1__model__init);
                char hex[65];
                if (!one)
                        return vn_op_no_memory(err);
                vn_hex(e->blob.b, 32, hex);
                one->version = e->version;
                one->sha256 = vn_op_text(op, hex);
                one->parameters = e->parameters;
                one->round = e->round;
                one->eval_loss = e->eval_loss;
                one->baseline_loss = e->baseline_loss;
                one->time_us = e->time_us;
                one->current = e->version == lineage->current->version;
                one->decision_id = vn_op_text(op, e->decision_id);
                m->models[m->n_models++] = one;
        }
        m->next_page_token = page.next_token;
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_start_round(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        (void)message;
        struct vn_lineage *lineage = vn_rounds_of(op->server, op->identity->tenant);
        VN_TRY(vn_rounds_begin(op->server, lineage, op->now_us, err));
        Vane__V1__Round *m = round_message(op, vn_rounds_open(lineage));
        *ret_reply = m ? &m->base : NULL;
        return m ? VN_OK : vn_op_no_memory(err);
}
