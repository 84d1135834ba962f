/* report.c - how routed calls ended: testimony of the caller, accepted once, in time, from the caller that asked. */
#include <stdio.h>

#include "server/record.h"
#include "server/routing/internal.h"

#define MAX_OUTCOMES 1024
#define MAX_REASONS 10
#define MAX_LATENCY_US (900 * VN_US_PER_S + 60 * VN_US_PER_S) /* the longest time-out of any cloud, and the way */

struct item {
        struct vn_decision_id id;
        uint64_t latency_us;
        uint32_t response_bytes;
        uint8_t status;
        char id_text[VN_DECISION_ID_TEXT_BYTES];
};

/* One report; its items visit the loops that made their decisions, one loop after the other. */
struct report {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call;
        uint64_t caller;
        char tenant[64], actor[64];
        size_t count;
        struct item *items;
        uint32_t next_loop;
        uint32_t accepted, refused;
        char reasons[MAX_REASONS][96];
        size_t reason_count;
};

static void refuse(struct report *r, const struct item *item, const char *why)
{
        r->refused++;
        if (r->reason_count < MAX_REASONS)
                snprintf(r->reasons[r->reason_count++], sizeof r->reasons[0], "%s: %s", item->id_text, why);
}

static void record_outcome(struct vn_route_loop *loop, const struct report *r, const struct item *item,
                           int64_t now_us)
{
        struct vn_record *record = loop->record;
        size_t n;
        memset(record, 0, sizeof *record);
        record->kind = VN_RECORD_OUTCOME;
        record->id = (struct vn_decision_id){vn_record_origin_key(&item->id, true), loop->number, item->id.sequence};
        record->time_us = now_us;
        record->decide_version = VN_DECIDE_VERSION;
        vn_route_seed(loop, record->seed);
        memcpy(record->tenant, r->tenant, sizeof record->tenant);
        memcpy(record->actor, r->actor, sizeof record->actor);
        record->outcome_status = item->status;
        record->outcome_latency_us = item->latency_us;
        record->outcome_response_bytes = item->response_bytes;
        record->outcome_of = item->id;
        if (vn_record_encode(record, loop->bytes, sizeof loop->bytes, &n, NULL) != VN_OK ||
            vn_ring_put(loop->ring, loop->bytes, n) != VN_OK)
                atomic_fetch_add(&loop->unrecorded, 1);
        atomic_store_explicit(&loop->journalled, vn_ring_next_seq(loop->ring), memory_order_release);
}

static void take_outcome(struct vn_route_loop *loop, struct report *r, const struct item *item)
{
        struct vn_pending *p = &loop->pending[item->id.sequence & (VN_PENDING_SLOTS - 1)];
        int64_t now_us = vn_now_us(loop->server->clock);
        /* One text for both: nobody learns here which decisions others have. */
        if (item->id.origin != vn_record_origin(loop->server) || p->sequence != item->id.sequence || !p->time_us ||
            p->caller != r->caller)
                return refuse(r, item, "not known to this caller, or too long ago");
        if (!p->open)
                return refuse(r, item, "reported already");
        if (now_us - p->time_us > VN_OUTCOME_WITHIN_US)
                return refuse(r, item, "too late");
        if (item->status < VANE__V1__OUTCOME__STATUS__STATUS_OK ||
            item->status > VANE__V1__OUTCOME__STATUS__STATUS_TIMEOUT)
                return refuse(r, item, "status: required");
        if (item->latency_us > (uint64_t)MAX_LATENCY_US)
                return refuse(r, item, "latency_us: longer than any function may run");
        p->open = false;
        r->accepted++;
        struct vn_loop_live *live = vn_loop_live_of(loop, p->hash, NULL);
        for (uint32_t i = 0; live && i < live->count; i++)
                if (live->endpoint_id[i] == p->endpoint_id)
                        vn_live_finished(&live->live, i);
        vn_route_sample(loop, &(struct vn_sample){.account_id = p->account_id,
                                                  .endpoint_id = p->endpoint_id,
                                                  .hash = p->hash,
                                                  .time_us = now_us,
                                                  .latency_us = (uint32_t)item->latency_us,
                                                  .status = item->status,
                                                  .response_bytes = item->response_bytes,
                                                  .lesson = vn_lesson_of(p, item->latency_us),
                                                  .tenant = p->tenant});
        record_outcome(loop, r, item, now_us);
        atomic_fetch_add_explicit(&loop->counts[p->tenant].outcomes, 1, memory_order_relaxed);
        if (item->status != VANE__V1__OUTCOME__STATUS__STATUS_OK)
                atomic_fetch_add_explicit(&loop->counts[p->tenant].failed, 1, memory_order_relaxed);
}

static void report_done(struct vn_task *task)
{
        struct report *r = (struct report *)task;
        struct vn_call *call = r->call;
        struct vn_routing *routing = r->server->routing;
        char *reasons[MAX_REASONS];
        atomic_fetch_add(&routing->loops[0].outcomes_refused, r->refused);
        if (!vn_call_over(call)) {
                Vane__V1__ReportResponse reply = VANE__V1__REPORT_RESPONSE__INIT;
                reply.accepted = r->accepted;
                reply.refused = r->refused;
                for (size_t i = 0; i < r->reason_count; i++)
                        reasons[i] = r->reasons[i];
                reply.reasons = reasons;
                reply.n_reasons = r->reason_count;
                vn_call_reply(call, &reply.base);
        }
        vn_call_unref(call);
}

/* Runs on one routing loop after the other, then back on the call's own. */
static void report_visit(struct vn_task *task)
{
        struct report *r = (struct report *)task;
        struct vn_routing *routing = r->server->routing;
        struct vn_route_loop *loop = &routing->loops[r->next_loop];
        for (size_t i = 0; i < r->count; i++)
                if (r->items[i].id.loop == loop->number)
                        take_outcome(loop, r, &r->items[i]);
        bool more = false;
        while (!more && ++r->next_loop < routing->loop_count)
                for (size_t i = 0; i < r->count && !more; i++)
                        more = r->items[i].id.loop == r->next_loop;
        r->task.run = more ? report_visit : report_done;
        vn_loop_post(more ? routing->loops[r->next_loop].loop : vn_call_loop(r->call), &r->task);
}

void vn_report_start(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__ReportRequest *request = (const Vane__V1__ReportRequest *)message;
        struct vn_server *server = vn_call_context(call);
        const struct vn_identity *who = vn_call_identity(call);
        struct vn_err err;
        struct vn_arena *arena = vn_call_arena(call);
        if (request->n_outcomes > MAX_OUTCOMES) {
                vn_call_finish(call, vn_fail(&err, VN_INVALID_ARGUMENT, "outcomes: at most %d", MAX_OUTCOMES), &err);
                return;
        }
        struct report *r = vn_arena_alloc(arena, sizeof *r);
        if (r)
                r->items = vn_arena_alloc(arena, (request->n_outcomes + 1) * sizeof *r->items);
        if (!r || !r->items || !vn_str_copy(r->tenant, sizeof r->tenant, vn_str(who->tenant)) ||
            !vn_str_copy(r->actor, sizeof r->actor, vn_str(who->actor))) {
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        r->server = server;
        r->caller = vn_caller_hash(server, who);
        for (size_t i = 0; i < request->n_outcomes; i++) {
                const Vane__V1__Outcome *o = request->outcomes[i];
                struct item *item = &r->items[r->count];
                if (!vn_str_copy(item->id_text, sizeof item->id_text, vn_str(o->decision_id)) ||
                    vn_decision_id_parse(vn_str(o->decision_id), &item->id) != VN_OK) {
                        snprintf(item->id_text, sizeof item->id_text, "outcomes[%zu]", i);
                        refuse(r, item, "decision_id: not a decision's id");
                        continue;
                }
                if (item->id.loop >= server->routing->loop_count) {
                        refuse(r, item, "not known to this caller, or too long ago");
                        continue;
                }
                item->latency_us = o->latency_us;
                item->response_bytes = o->response_bytes;
                item->status = (uint8_t)((unsigned)o->status > 4 ? 0 : o->status);
                r->count++;
        }
        r->call = vn_call_ref(call);
        r->next_loop = r->count ? r->items[0].id.loop : 0;
        for (size_t i = 0; i < r->count; i++)
                if (r->items[i].id.loop < r->next_loop)
                        r->next_loop = r->items[i].id.loop;
        r->task.run = r->count ? report_visit : report_done;
        vn_loop_post(r->count ? server->routing->loops[r->next_loop].loop : vn_call_loop(call), &r->task);
}
