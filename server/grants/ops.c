/* ops.c - what people and agents do with grants: list, revoke, report. */
#include <stdio.h>

#include "server/grants/internal.h"
#include "server/registry/hub.h"

#define MAX_SEALED_BYTES 65536
#define LONGEST_US (12 * VN_US_PER_HOUR)

static const char *const state_names[] = {[VN_GRANT_ASKED] = "asked",
                                          [VN_GRANT_HELD] = "held",
                                          [VN_GRANT_REVOKED] = "revoked",
                                          [VN_GRANT_ENDED] = "ended",
                                          [VN_GRANT_FAILED] = "failed"};

static Vane__V1__Grant *grant_message(struct vn_op *op, const struct vn_grant *grant)
{
        Vane__V1__Grant *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Grant, vane__v1__grant__init);
        char **functions = vn_arena_alloc(op->arena, (grant->function_count + 1) * sizeof *functions);
        if (!m || !functions)
                return NULL;
        for (size_t i = 0; i < grant->function_count; i++)
                functions[i] = vn_op_text(op, grant->functions[i].name);
        m->id = vn_op_text(op, grant->id);
        m->account = vn_op_text(op, grant->account);
        m->cloud = vn_op_text(op, vn_cloud_name(grant->cloud));
        m->gateway = vn_op_text(op, grant->gateway);
        m->functions = functions;
        m->n_functions = grant->function_count;
        m->state = vn_op_text(op, state_names[grant->state]);
        m->asked_us = grant->asked_us;
        m->expires_us = grant->expires_us;
        m->honoured_until_us = grant->honoured_until_us;
        m->honoured = vn_op_text(op, grant->honoured);
        return m;
}

enum vn_rc op_list_grants(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        struct vn_grants *grants = op->server->grants;
        const struct vn_grant **mine = vn_arena_alloc(op->arena, (grants->count + 1) * sizeof *mine);
        Vane__V1__ListGrantsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListGrantsResponse, vane__v1__list_grants_response__init);
        size_t total = 0;
        struct vn_page page;
        if (!mine || !m)
                return vn_op_no_memory(err);
        for (size_t i = grants->count; i-- > 0;)
                if (!strcmp(grants->grants[i]->tenant, op->identity->tenant) &&
                    strstr(grants->grants[i]->account, request->filter))
                        mine[total++] = grants->grants[i];
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, total, &page, err));
        m->grants = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->grants);
        for (size_t i = 0; m->grants && i < page.count; i++)
                if ((m->grants[i] = grant_message(op, mine[page.from + i])))
                        m->n_grants++;
        if (m->n_grants != page.count)
                return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        m->total = (uint32_t)total;
        *ret_reply = &m->base;
        return VN_OK;
}

/* A grant that is about to end has its successor beside it: to take one away is to take away all that this gateway holds for
 * the account. All are recorded before any is touched. */
static enum vn_rc revoke_with_its_like(struct vn_op *op, const struct vn_grant *grant, struct vn_err *err)
{
        struct vn_grants *grants = op->server->grants;
        for (int step = 0; step < 2; step++) {
                for (size_t i = 0; i < grants->count; i++) {
                        struct vn_grant *g = grants->grants[i];
                        if ((g->state != VN_GRANT_ASKED && g->state != VN_GRANT_HELD) ||
                            g->account_id != grant->account_id || strcmp(g->gateway, grant->gateway))
                                continue;
                        if (step == 0)
                                VN_TRY(vn_grant_record(op->server, g, op->identity->actor, "revoked", err));
                        else
                                vn_grant_revoke(op->server, g);
                }
        }
        return VN_OK;
}

enum vn_rc op_revoke_grant(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        struct vn_grant *grant = vn_grant_find(op->server->grants, ((const Vane__V1__GrantId *)message)->id);
        if (!grant || strcmp(grant->tenant, op->identity->tenant))
                return vn_fail(err, VN_NOT_FOUND, "id: no such grant");
        if (grant->state == VN_GRANT_ASKED || grant->state == VN_GRANT_HELD)
                VN_TRY(revoke_with_its_like(op, grant, err));
        Vane__V1__Grant *m = grant_message(op, grant);
        if (!m)
                return vn_op_no_memory(err);
        *ret_reply = &m->base;
        return VN_OK;
}

/* --- the agent's answer --- */

static void pass_on(struct vn_server *server, struct vn_grant *grant, const Vane__V1__GrantReport *report)
{
        Vane__V1__GatewayEvent event = VANE__V1__GATEWAY_EVENT__INIT;
        Vane__V1__SealedGrant sealed = VANE__V1__SEALED_GRANT__INIT;
        sealed.id = grant->id;
        sealed.account = grant->account;
        sealed.enc = report->enc;
        sealed.sealed = report->sealed;
        sealed.expires_us = report->expires_us;
        event.event_case = VANE__V1__GATEWAY_EVENT__EVENT_GRANT;
        event.grant = &sealed;
        vn_hub_send_gateway(server, grant->stream, &event.base);
}

static enum vn_rc take_report(struct vn_op *op, struct vn_grant *grant, const Vane__V1__GrantReport *report,
                              struct vn_err *err)
{
        if (report->error[0]) {
                char why[160];
                snprintf(why, sizeof why, "the agent has no grant: %.120s", report->error);
                grant->state = VN_GRANT_FAILED;
                vn_grant_trouble(op->server, grant->stream, grant->account, why);
                return VN_OK;
        }
        if (report->enc.len != 32 || !report->sealed.len || report->sealed.len > MAX_SEALED_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "sealed: 1 to %d bytes, and enc 32", MAX_SEALED_BYTES);
        if (report->expires_us > op->now_us + LONGEST_US || report->honoured_until_us < 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "expires_us: at most 12 hours away");
        if (!vn_str_copy(grant->honoured, sizeof grant->honoured, vn_str(report->honoured)) ||
            !vn_str_is_utf8(vn_str(report->honoured)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "honoured: at most %zu bytes", sizeof grant->honoured - 1);
        grant->expires_us = report->expires_us;
        grant->honoured_until_us = report->honoured_until_us;
        /* Revoked while it was being minted: the cloud honours it all the same, but it goes to nobody. */
        if (grant->state == VN_GRANT_ASKED) {
                grant->state = VN_GRANT_HELD;
                pass_on(op->server, grant, report);
        }
        return VN_OK;
}

enum vn_rc op_report_grant(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        const Vane__V1__GrantReport *report = (const Vane__V1__GrantReport *)message;
        struct vn_account_entry *account;
        Vane__V1__Ack *ack = VN_NEW_MESSAGE(op->arena, Vane__V1__Ack, vane__v1__ack__init);
        if (!ack)
                return vn_op_no_memory(err);
        VN_TRY(vn_op_agent_account(op, &account, err));
        struct vn_grant *grant = vn_grant_find(op->server->grants, report->id);
        if (!grant || grant->account_id != account->id)
                return vn_fail(err, VN_NOT_FOUND, "id: no such grant was asked of this account");
        if (grant->state == VN_GRANT_HELD)
                return vn_fail(err, VN_FAILED_PRECONDITION, "id: this grant was reported before");
        VN_TRY(take_report(op, grant, report, err));
        *ret_reply = &ack->base;
        return VN_OK;
}
