/* route.c - one call, decided on its edge loop: view + live -> decide -> journal -> answer. Batches: stream.c; answers that
 * wait for the commit: recorded.c. */
#include <sched.h>
#include <stdio.h>

#include "decide/attribution.h"
#include "server/record.h"
#include "server/routing/internal.h"

struct vn_route_loop *vn_route_loop_here(struct vn_server *server, struct vn_call *call)
{
        struct vn_routing *routing = server->routing;
        struct vn_loop *here = vn_call_loop(call);
        struct vn_route_loop *loop = NULL;
        for (uint32_t i = 0; i < routing->loop_count && !loop; i++)
                if (routing->loops[i].loop == here)
                        loop = &routing->loops[i];
        VN_ASSERT(loop);
        if (!loop->table || loop->table->epoch != atomic_load_explicit(&routing->epoch, memory_order_acquire)) {
                struct vn_route_table *old = loop->table;
                pthread_mutex_lock(&routing->mutex);
                loop->table = routing->current;
                atomic_fetch_add(&loop->table->references, 1);
                pthread_mutex_unlock(&routing->mutex);
                vn_route_table_unref(old);
        }
        return loop;
}

/* A new epoch starts at zero; what is in flight goes along, by endpoint. */
static void live_renew(struct vn_loop_live *live, const struct vn_view *view)
{
        struct vn_live fresh = {0};
        for (uint32_t i = 0; i < view->count; i++) {
                uint32_t old = i;
                if (i >= live->count || live->endpoint_id[i] != view->endpoint[i].id)
                        for (old = 0; old < live->count && live->endpoint_id[old] != view->endpoint[i].id;)
                                old++;
                if (old < live->count)
                        fresh.in_flight[i] = live->live.in_flight[old];
        }
        for (uint32_t i = 0; i < view->count; i++)
                live->endpoint_id[i] = view->endpoint[i].id;
        live->count = view->count;
        live->live = fresh;
        memcpy(live->view_id, view->id, sizeof live->view_id);
}

struct vn_loop_live *vn_loop_live_of(struct vn_route_loop *loop, uint64_t hash, const struct vn_view *view)
{
        struct vn_loop_live **bucket = &loop->lives[hash >> 10 & 1023], *live = *bucket;
        while (live && live->hash != hash)
                live = live->next;
        if (!live) {
                live = vn_alloc(sizeof *live);
                if (!live)
                        return NULL;
                live->hash = hash;
                live->next = *bucket;
                *bucket = live;
        }
        if (view && memcmp(live->view_id, view->id, sizeof live->view_id))
                live_renew(live, view);
        return live;
}

void vn_route_sample(struct vn_route_loop *loop, const struct vn_sample *sample)
{
        if (loop->sample_count < VN_MAX_SAMPLES)
                loop->samples[loop->sample_count++] = *sample;
}

/* Salts must not be guessable, and the kernel is too far away: a keyed counter. */
void vn_route_seed(struct vn_route_loop *loop, uint8_t ret[VN_RECORD_SEED_BYTES])
{
        uint8_t block[40], digest[32];
        memcpy(block, loop->secret, 32);
        loop->seed_counter++;
        memcpy(block + 32, &loop->seed_counter, 8);
        vn_sha256(block, sizeof block, digest);
        memcpy(ret, digest, VN_RECORD_SEED_BYTES);
}

uint64_t vn_caller_hash(const struct vn_server *server, const struct vn_identity *who)
{
        uint64_t tenant = vn_hash64(who->tenant, strlen(who->tenant), server->routing->caller_seed);
        return vn_hash64(who->actor, strlen(who->actor), tenant);
}

/* With nothing to decide by, or nowhere to write it down: the declared split, drawn from the decision's id. */
static uint32_t split_choice(const struct vn_view *view, const struct vn_decision_id *id)
{
        double share[VN_PROVIDER_COUNT], draw = vn_decide_draw(id, 3);
        uint32_t last = VN_NO_CANDIDATE;
        vn_decide_split(view, share);
        for (uint32_t i = 0; i < view->count; i++) {
                const struct vn_endpoint *e = &view->endpoint[i];
                uint32_t of_cloud = 0;
                if (e->flags & (VN_ENDPOINT_OBSERVE_ONLY | VN_ENDPOINT_UNHEALTHY) || share[e->provider] <= 0)
                        continue;
                for (uint32_t k = 0; k < view->count; k++)
                        of_cloud += view->endpoint[k].provider == e->provider &&
                                    !(view->endpoint[k].flags & (VN_ENDPOINT_OBSERVE_ONLY | VN_ENDPOINT_UNHEALTHY));
                last = i;
                draw -= share[e->provider] / of_cloud;
                if (draw < 0)
                        return i;
        }
        return last;
}

static enum vn_rc make_question(const Vane__V1__RouteRequest *request, const struct vn_view *view,
                                const struct vn_server *server, struct vn_question *ret, struct vn_err *err)
{
        ret->time_us = request->time_us > 0 ? request->time_us : vn_now_us(server->clock);
        ret->payload_bytes = request->payload_bytes;
        ret->response_bytes = request->response_bytes;
        if (request->n_exclude_accounts > 32)
                return vn_fail(err, VN_INVALID_ARGUMENT, "exclude_accounts: at most 32");
        for (size_t n = 0; n < request->n_exclude_accounts; n++)
                for (uint32_t i = 0; i < view->count; i++)
                        if (!strcmp(view->endpoint[i].account, request->exclude_accounts[n]))
                                vn_bit_set(&ret->caller_excluded, i);
        return VN_OK;
}

/* Remembers the decision for its outcome, tells the control loop of the assignment, counts. */
static void note_assignment(struct vn_route_loop *loop, struct vn_view_ref *ref, struct vn_loop_live *live,
                            const struct vn_question *question, uint32_t choice, double cost_usd,
                            const struct vn_identity *who)
{
        const struct vn_endpoint *e = &ref->view->endpoint[choice];
        struct vn_pending *p = &loop->pending[question->id.sequence & (VN_PENDING_SLOTS - 1)];
        *p = (struct vn_pending){.sequence = question->id.sequence,
                                 .hash = live->hash,
                                 .endpoint_id = e->id,
                                 .account_id = ref->account_ids[choice],
                                 .caller = vn_caller_hash(loop->server, who),
                                 .tenant = ref->tenant,
                                 .time_us = question->time_us,
                                 .open = true};
        vn_live_assigned(&live->live, choice);
        vn_route_sample(loop, &(struct vn_sample){.account_id = p->account_id,
                                                  .endpoint_id = e->id,
                                                  .hash = live->hash,
                                                  .time_us = question->time_us,
                                                  .cloud = (uint8_t)e->provider,
                                                  .tenant = ref->tenant});
        struct vn_tenant_counts *counts = &loop->counts[ref->tenant];
        atomic_fetch_add_explicit(&counts->routed, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counts->per_cloud[e->provider], 1, memory_order_relaxed);
        vn_count_usd(&counts->cost_usd[e->provider], cost_usd);
        vn_count_usd(&loop->spent_usd[ref->policy], cost_usd);
}

static const char *mode_name(const struct vn_decision *d, const struct vn_view *view)
{
        if (d->status == VN_DECIDED_SPLIT)
                return "split";
        static const char *const modes[] = {"shadow", "advisory", "automatic"};
        return modes[view->policy.routing_mode];
}

static void fill_answer(struct vn_route_answer *a, const struct vn_question *question, const struct vn_view_ref *ref,
                        const struct vn_decision *d)
{
        struct vn_endpoint *e = &ref->view->endpoint[d->choice];
        union {
                const char *in;
                char *out;
        } text;
        vane__v1__route_response__init(&a->message);
        vn_decision_id_format(&question->id, a->id);
        vn_decision_reason(d, a->reason, sizeof a->reason);
        a->message.decision_id = a->id;
        text.in = vn_provider_name(e->provider);
        a->message.cloud = text.out;
        a->message.account = e->account;
        a->message.region = e->region;
        a->message.function = e->function;
        a->message.url = ref->urls[d->choice];
        a->message.expected_cost_usd = d->cost / 1e6;
        a->message.expected_p95_ms = d->latency_us / 1000;
        text.in = mode_name(d, ref->view);
        a->message.mode = text.out;
        a->message.reason = a->reason;
}

/* --- request ids --- */

static bool is_journalled(struct vn_routing *routing, const struct vn_route_loop *own,
                          const struct vn_decision_id *id)
{
        if (id->origin != vn_record_origin(routing->server) || id->loop == own->number ||
            id->loop >= routing->loop_count)
                return true; /* of an earlier life; or our own, which stands in the journal before anybody hears of it */
        return id->sequence < atomic_load_explicit(&routing->loops[id->loop].journalled, memory_order_acquire);
}

/* The first answer again, or the right to give it. Another loop may be about to answer the same request: its decision is
 * on a processor, so the wait is short; and since our own open run is journalled first, it does not wait for us. */
static bool answered_before(struct vn_route_loop *loop, const uint8_t key[VN_REQUEST_KEY_BYTES],
                            struct vn_request_answer *ret)
{
        struct vn_routing *routing = loop->server->routing;
        for (;;) {
                enum vn_request_state state = vn_request_ids_claim(routing->request_ids, key, ret);
                if (state == VN_REQUEST_NEW)
                        return false;
                if (state == VN_REQUEST_ANSWERED && is_journalled(routing, loop, &ret->id))
                        return true;
                vn_route_flush(loop);
                sched_yield();
        }
}

/* The decision as it was answered; false if its endpoint has gone, since then nobody could call it. */
static bool take_again(const struct vn_request_answer *answer, struct vn_routed *r)
{
        const struct vn_view *view = r->ref->view;
        for (uint32_t i = 0; i < view->count && !r->again; i++) {
                if (view->endpoint[i].id != answer->endpoint_id)
                        continue;
                r->question.id = answer->id;
                r->decision = (struct vn_decision){.status = answer->status,
                                                   .choice = i,
                                                   .cost = answer->cost,
                                                   .latency_us = answer->latency_us};
                r->again = true;
        }
        return r->again;
}

/* --- one call --- */

static enum vn_rc decide(struct vn_route_loop *loop, const Vane__V1__RouteRequest *request, uint64_t hash,
                         struct vn_routed *r, struct vn_err *err)
{
        const struct vn_view *view = r->ref->view;
        r->live = vn_loop_live_of(loop, hash, view);
        if (!r->live)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        r->question.id.sequence = vn_ring_next_seq(loop->ring) + (loop->run ? vn_run_count(loop->run) : 0);
        VN_TRY(make_question(request, view, loop->server, &r->question, err));
        r->decision.status = VN_DECIDED_NONE;
        vn_decide(view, &r->question, &r->live->live, &r->decision);
        if (r->decision.status != VN_DECIDED_NONE && r->decision.choice != VN_NO_CANDIDATE)
                return VN_OK;
        atomic_fetch_add(&loop->counts[r->ref->tenant].refused, 1);
        return vn_fail(err, VN_FAILED_PRECONDITION,
                       "no endpoint of \"%.100s\" may serve: %u known, all excluded by the policy or not promoted",
                       request->workload, view->count);
}

enum vn_rc vn_route_ask(struct vn_route_loop *loop, const struct vn_identity *who,
                        const Vane__V1__RouteRequest *request, struct vn_routed *r, struct vn_err *err)
{
        struct vn_request_answer before;
        if (!request->workload[0])
                return vn_fail(err, VN_INVALID_ARGUMENT, "workload: required");
        uint64_t hash = vn_workload_hash(who->tenant, request->workload);
        r->ref = vn_route_find(loop->table, hash, who->tenant, vn_str(request->workload));
        if (!r->ref)
                return vn_fail(err, VN_NOT_FOUND,
                               "workload: no account lists a function \"%.100s\", or none has sent prices yet",
                               request->workload);
        r->question = (struct vn_question){.id = {vn_record_origin(loop->server), loop->number, 0}};
        r->again = r->recorded = false;
        r->has_key = request->request_id[0] != 0;
        if (r->has_key)
                vn_request_key(who->tenant, who->actor, request->workload, request->request_id, r->key);
        if (r->has_key && answered_before(loop, r->key, &before) && take_again(&before, r))
                return VN_OK;
        enum vn_rc rc = decide(loop, request, hash, r, err);
        if (rc != VN_OK)
                vn_route_give_up(loop, r);
        return rc;
}

void vn_route_give_up(struct vn_route_loop *loop, const struct vn_routed *r)
{
        if (r->has_key)
                vn_request_ids_drop(loop->server->routing->request_ids, r->key);
}

enum vn_rc vn_route_record(struct vn_route_loop *loop, const struct vn_identity *who,
                           const Vane__V1__RouteRequest *request, const struct vn_routed *routed, struct vn_err *err)
{
        struct vn_record *r = loop->record;
        vn_record_of_route(routed->ref->view, &routed->question, &routed->live->live, &routed->decision, r);
        VN_ASSERT(vn_str_copy(r->tenant, sizeof r->tenant, vn_str(who->tenant)));
        if (!vn_str_copy(r->actor, sizeof r->actor, vn_str(who->actor)) ||
            !vn_str_copy(r->request_id, sizeof r->request_id, vn_str(request->request_id)) ||
            !vn_str_copy(r->caller_region, sizeof r->caller_region, vn_str(request->caller_region)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "request_id: at most 63 bytes; caller_region: at most 47");
        return VN_OK;
}

void vn_route_finish(struct vn_route_loop *loop, const struct vn_identity *who, const struct vn_routed *r,
                     struct vn_route_answer *answer)
{
        const struct vn_decision *d = &r->decision;
        fill_answer(answer, &r->question, r->ref, d);
        if (r->again) {
                snprintf(answer->reason, sizeof answer->reason, "the answer already given to this request_id");
                return;
        }
        if (d->status == VN_DECIDED_SPLIT)
                atomic_fetch_add_explicit(&loop->counts[r->ref->tenant].split, 1, memory_order_relaxed);
        note_assignment(loop, r->ref, r->live, &r->question, d->choice, d->cost / 1e6, who);
        if (r->recorded)
                vn_outcome_watch(loop, r->ref, &r->question, d);
        if (r->has_key && r->recorded)
                vn_request_ids_answer(loop->server->routing->request_ids, r->key,
                                      &(struct vn_request_answer){.id = r->question.id,
                                                                  .endpoint_id = r->ref->view->endpoint[d->choice].id,
                                                                  .cost = d->cost,
                                                                  .latency_us = d->latency_us,
                                                                  .status = d->status});
        else
                vn_route_give_up(loop, r);
}

/* What cannot be written down is refused or served by the split, as the policy says. */
static enum vn_rc unrecordable(struct vn_route_loop *loop, struct vn_routed *r, struct vn_err *err)
{
        const struct vn_view *view = r->ref->view;
        atomic_fetch_add(&loop->unrecorded, 1);
        if (view->policy.unrecordable == VN_UNRECORDABLE_REFUSE) {
                atomic_fetch_add(&loop->counts[r->ref->tenant].refused, 1);
                return vn_fail(err, VN_UNAVAILABLE, "this decision cannot be recorded, and the policy says refuse");
        }
        vn_ring_lost(loop->ring, 1, r->question.time_us, view->id);
        r->decision.choice = split_choice(view, &r->question.id);
        r->decision.status = VN_DECIDED_SPLIT;
        if (r->decision.choice == VN_NO_CANDIDATE)
                return vn_fail(err, VN_UNAVAILABLE, "no endpoint can serve");
        struct vn_features f; /* of where it goes, not of where it would have gone */
        vn_decide_features(view, &r->question, &r->live->live, r->decision.choice, &f);
        r->decision.cost = vn_features_cost(&f);
        r->decision.latency_us = vn_features_latency_us(&f);
        return VN_OK;
}

static enum vn_rc journal(struct vn_route_loop *loop, const struct vn_identity *who,
                          const Vane__V1__RouteRequest *request, struct vn_routed *r, struct vn_err *err)
{
        size_t len;
        VN_TRY(vn_route_record(loop, who, request, r, err));
        vn_route_seed(loop, loop->record->seed);
        VN_TRY(vn_record_encode(loop->record, loop->bytes, sizeof loop->bytes, &len, err));
        r->recorded = vn_ring_put(loop->ring, loop->bytes, len) == VN_OK;
        if (!r->recorded)
                return unrecordable(loop, r, err);
        atomic_store_explicit(&loop->journalled, vn_ring_next_seq(loop->ring), memory_order_release);
        return VN_OK;
}

enum vn_rc vn_route_one(struct vn_route_loop *loop, const struct vn_identity *who,
                        const Vane__V1__RouteRequest *request, struct vn_route_answer *answer, bool *ret_wait,
                        struct vn_err *err)
{
        struct vn_routed r;
        VN_TRY(vn_route_ask(loop, who, request, &r, err));
        enum vn_rc rc = r.again ? VN_OK : journal(loop, who, request, &r, err);
        if (rc != VN_OK) {
                vn_route_give_up(loop, &r);
                return rc;
        }
        vn_route_finish(loop, who, &r, answer);
        /* A first answer may still be on its way to the disk: its retry waits, too. */
        *ret_wait |= (r.again || r.recorded) && r.ref->view->policy.acknowledge == VN_ACKNOWLEDGE_RECORDED;
        return VN_OK;
}

/* --- Route --- */

struct unary { /* an answer that waits for its commit */
        struct vn_call *call;
        struct vn_route_answer answer;
};

static void unary_recorded(void *arg, enum vn_rc rc)
{
        struct unary *u = arg;
        struct vn_err err;
        if (rc == VN_OK && !vn_call_over(u->call))
                vn_call_reply(u->call, &u->answer.message.base);
        else if (!vn_call_over(u->call))
                vn_call_finish(u->call, vn_fail(&err, VN_UNAVAILABLE, "decided, but the record is not durable"),
                               &err);
        vn_free(u);
}

void vn_route_start(struct vn_call *call, const ProtobufCMessage *message)
{
        struct vn_route_loop *loop = vn_route_loop_here(vn_call_context(call), call);
        struct vn_route_answer answer;
        struct vn_err err;
        bool wait = false;
        enum vn_rc rc = vn_route_one(loop, vn_call_identity(call), (const Vane__V1__RouteRequest *)message, &answer,
                                     &wait, &err);
        struct unary *u = rc == VN_OK && wait ? vn_alloc(sizeof *u) : NULL;
        if (rc == VN_OK && wait && !u)
                rc = vn_op_no_memory(&err);
        if (rc != VN_OK) {
                vn_call_finish(call, rc, &err);
        } else if (!wait) {
                vn_call_reply(call, &answer.message.base);
        } else {
                *u = (struct unary){call, answer};
                u->answer.message.decision_id = u->answer.id;
                u->answer.message.reason = u->answer.reason;
                vn_when_recorded(loop, call, unary_recorded, u);
        }
}
