/* proposals.c - people's part: list, approve (somebody else than the author), reject; and the agent's answer. */
#include <stdio.h>

#include "server/op.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/tuning/internal.h"
#include "server/tuning/pauses.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"

static Vane__V1__Proposal *proposal_message(struct vn_op *op, const struct vn_proposal *p)
{
        const struct vn_account_entry *account = vn_registry_by_id(op->server->registry, p->account_id);
        Vane__V1__Proposal *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Proposal, vane__v1__proposal__init);
        if (m)
                m->history = vn_arena_alloc(op->arena, (p->history_count + 1) * sizeof *m->history);
        if (!m || !m->history)
                return NULL;
        m->id = vn_op_text(op, p->id);
        m->kind = vn_op_text(op, "memory");
        m->state = vn_op_text(op, p->state);
        m->workload = vn_op_text(op, p->workload);
        m->account = vn_op_text(op, account ? account->name : "");
        m->from_memory_mb = p->from_mb;
        m->to_memory_mb = p->to_mb;
        m->saving_usd_per_million = p->saving_usd;
        m->saving_share = p->saving_share;
        m->p95_before_ms = p->p95_before_us / 1000;
        m->p95_after_ms = p->p95_after_us / 1000;
        m->risk = p->risk;
        m->confidence = p->confidence;
        m->reason = vn_op_text(op, p->reason);
        m->created_us = p->created_us;
        m->changed_us = p->changed_us;
        m->approved_by = vn_op_text(op, p->approved_by);
        m->proposed_by = vn_op_text(op, p->proposed_by);
        m->decision_id = vn_op_text(op, p->decision_id);
        for (size_t i = 0; i < p->history_count; i++)
                m->history[m->n_history++] = vn_op_text(op, p->history[i]);
        return m;
}

static enum vn_rc reply(struct vn_op *op, const struct vn_proposal *p, ProtobufCMessage **ret_reply,
                        struct vn_err *err)
{
        Vane__V1__Proposal *m = proposal_message(op, p);
        *ret_reply = m ? &m->base : NULL;
        return m ? VN_OK : vn_op_no_memory(err);
}

static enum vn_rc find(struct vn_op *op, const char *id, struct vn_proposal **ret, struct vn_err *err)
{
        struct vn_tuning *tuning = op->server->tuning;
        for (size_t i = 0; i < tuning->count; i++)
                if (!strcmp(tuning->items[i].id, id) && !strcmp(tuning->items[i].tenant, op->identity->tenant)) {
                        *ret = &tuning->items[i];
                        return VN_OK;
                }
        return vn_fail(err, VN_NOT_FOUND, "id: no such proposal");
}

enum vn_rc op_list_proposals(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        const Vane__V1__ListProposalsRequest *request = (const Vane__V1__ListProposalsRequest *)message;
        struct vn_tuning *tuning = op->server->tuning;
        size_t total = 0;
        struct vn_proposal **mine = vn_arena_alloc(op->arena, (tuning->count + 1) * sizeof *mine);
        Vane__V1__ListProposalsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListProposalsResponse, vane__v1__list_proposals_response__init);
        if (!mine || !m)
                return vn_op_no_memory(err);
        for (size_t i = tuning->count; i-- > 0;)
                if (!strcmp(tuning->items[i].tenant, op->identity->tenant) &&
                    (!request->state[0] || !strcmp(tuning->items[i].state, request->state)))
                        mine[total++] = &tuning->items[i];
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, total, &page, err));
        m->proposals = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->proposals);
        for (size_t i = 0; m->proposals && i < page.count; i++)
                if ((m->proposals[i] = proposal_message(op, mine[page.from + i])))
                        m->n_proposals++;
        if (m->n_proposals != page.count)
                return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        m->total = (uint32_t)total;
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_approve_proposal(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                               struct vn_err *err)
{
        const Vane__V1__ProposalAction *request = (const Vane__V1__ProposalAction *)message;
        struct vn_proposal *p;
        VN_TRY(find(op, request->id, &p, err));
        const struct vn_account_entry *account = vn_registry_by_id(op->server->registry, p->account_id);
        if (strcmp(p->state, "waiting"))
                return vn_fail(err, VN_FAILED_PRECONDITION, "this proposal is %s: only a waiting one is approved",
                               p->state);
        if (!strcmp(p->proposed_by, op->identity->actor))
                return vn_fail(err, VN_PERMISSION_DENIED, "nobody approves their own proposal: another person does");
        if (!account || account->revoked || account->level < VN_LEVEL_TUNE)
                return vn_fail(err, VN_FAILED_PRECONDITION, "its account may not be tuned");
        if (vn_registry_usable_level(account) < VN_LEVEL_TUNE)
                return vn_fail(err, VN_FAILED_PRECONDITION, "its agent may only observe: %.95s is refused",
                               account->refused);
        if (vn_pauses_global(op->server, p->tenant) || vn_pauses_account(op->server, p->tenant, account->name) ||
            vn_pauses_function(op->server, p->tenant, p->workload))
                return vn_fail(err, VN_FAILED_PRECONDITION, "changes are paused there");
        VN_ASSERT(vn_str_copy(p->approved_by, sizeof p->approved_by, vn_str(op->identity->actor)));
        enum vn_rc rc = vn_proposal_apply(op->server, p, op->identity->actor, err);
        if (rc != VN_OK) {
                p->approved_by[0] = 0;
                return rc;
        }
        return reply(op, p, ret_reply, err);
}

enum vn_rc op_reject_proposal(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                              struct vn_err *err)
{
        const Vane__V1__ProposalAction *request = (const Vane__V1__ProposalAction *)message;
        struct vn_proposal *p;
        VN_TRY(find(op, request->id, &p, err));
        if (strcmp(p->state, "waiting"))
                return vn_fail(err, VN_FAILED_PRECONDITION, "this proposal is %s: only a waiting one is rejected",
                               p->state);
        VN_TRY(vn_proposal_move(op->server, p, "rejected", op->identity->actor, request->comment, err));
        return reply(op, p, ret_reply, err);
}

/* The agent's answer to a command. */
enum vn_rc op_report_command(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        const Vane__V1__CommandResult *result = (const Vane__V1__CommandResult *)message;
        struct vn_tuning *tuning = op->server->tuning;
        struct vn_account_entry *account;
        struct vn_proposal *p = NULL;
        VN_TRY(vn_op_agent_account(op, &account, err));
        struct vn_str id = vn_str(result->id);
        bool back = vn_str_ends(id, VN_STR("/back"));
        if (back)
                id.len -= 5;
        for (size_t i = 0; i < tuning->count; i++)
                if (vn_str_eq(vn_str(tuning->items[i].id), id) && tuning->items[i].account_id == account->id)
                        p = &tuning->items[i];
        if (!p)
                return vn_fail(err, VN_NOT_FOUND, "id: no such command for this account");
        Vane__V1__Ack *ack = VN_NEW_MESSAGE(op->arena, Vane__V1__Ack, vane__v1__ack__init);
        if (!ack)
                return vn_op_no_memory(err);
        *ret_reply = &ack->base;
        if (strcmp(p->state, back ? "rolling-back" : "applying"))
                return VN_OK; /* answered already */
        const char *state = !result->done ? "failed" : back ? "rolled-back" : "verifying";
        int64_t applied_us = p->applied_us;
        if (result->done && !back)
                p->applied_us = op->now_us;
        enum vn_rc rc = vn_proposal_move(op->server, p, state, op->identity->actor, result->error, err);
        if (rc != VN_OK) {
                p->applied_us = applied_us;
                return rc;
        }
        struct vn_function_entry *f = vn_registry_function(account, p->workload, p->region);
        if (f && result->done) {
                f->memory_mb = result->memory_mb;
                VN_IGNORE(vn_str_copy(f->guard, sizeof f->guard, vn_str(result->guard)));
                vn_routing_dirty(op->server);
        }
        return VN_OK;
}
