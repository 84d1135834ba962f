/* route.c - one call, decided on its edge loop: view + live -> decide -> journal -> answer. */
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
static void next_seed(struct vn_route_loop *loop, uint8_t ret[VN_RECORD_SEED_BYTES])
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
                                                  .tenant = ref->tenant,
                                                  .cost_usd = (float)cost_usd});
        struct vn_tenant_counts *counts = &loop->counts[ref->tenant];
        atomic_fetch_add_explicit(&counts->routed, 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&counts->per_cloud[e->provider], 1, memory_order_relaxed);
}

static const char *mode_name(const struct vn_decision *d, const struct vn_view *view)
{
        if (d->status == VN_DECIDED_SPLIT)
                return "split";
        static const char *const modes[] = {"shadow", "advisory", "automatic"};
        return modes[view->policy.routing_mode];
}

struct route_answer {
        char id[VN_DECISION_ID_TEXT_BYTES];
        char reason[96];
        Vane__V1__RouteResponse message;
};

static void fill_answer(struct route_answer *a, const struct vn_question *question, const struct vn_view_ref *ref,
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

/* The journal first; what cannot be written down is refused or served by the split, as the policy says. */
static enum vn_rc journal(struct vn_route_loop *loop, struct vn_view_ref *ref, const struct vn_question *question,
                          const struct vn_loop_live *live, struct vn_decision *d,
                          const Vane__V1__RouteRequest *request, const struct vn_identity *who, size_t *ret_len,
                          struct vn_err *err)
{
        struct vn_record *r = loop->record;
        vn_record_of_route(ref->view, question, &live->live, d, r);
        next_seed(loop, r->seed);
        VN_ASSERT(vn_str_copy(r->tenant, sizeof r->tenant, vn_str(who->tenant)));
        if (!vn_str_copy(r->actor, sizeof r->actor, vn_str(who->actor)) ||
            !vn_str_copy(r->request_id, sizeof r->request_id, vn_str(request->request_id)) ||
            !vn_str_copy(r->caller_region, sizeof r->caller_region, vn_str(request->caller_region)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "request_id: at most 63 bytes; caller_region: at most 47");
        VN_TRY(vn_record_encode(r, loop->bytes, sizeof loop->bytes, ret_len, err));
        if (vn_ring_put(loop->ring, loop->bytes, *ret_len) == VN_OK)
                return VN_OK;
        *ret_len = 0;
        atomic_fetch_add(&loop->unrecorded, 1);
        if (ref->view->policy.unrecordable == VN_UNRECORDABLE_REFUSE) {
                atomic_fetch_add(&loop->counts[ref->tenant].refused, 1);
                return vn_fail(err, VN_UNAVAILABLE, "this decision cannot be recorded, and the policy says refuse");
        }
        vn_ring_lost(loop->ring, 1, question->time_us, ref->view->id);
        d->choice = split_choice(ref->view, &question->id);
        d->status = VN_DECIDED_SPLIT;
        return d->choice == VN_NO_CANDIDATE ? vn_fail(err, VN_UNAVAILABLE, "no endpoint can serve") : VN_OK;
}

/* The first answer again, from its record. */
static bool answer_again(struct vn_route_loop *loop, struct vn_view_ref *ref, uint64_t key,
                         const struct vn_identity *who, const char *request_id, struct route_answer *a)
{
        struct vn_record *r = loop->record;
        if (!vn_request_ids_get(loop->server->routing->request_ids, key, r))
                return false;
        /* The key is a hash: the record itself says whose answer it is. */
        if (strcmp(r->tenant, who->tenant) || strcmp(r->actor, who->actor) || strcmp(r->request_id, request_id))
                return false;
        for (uint32_t i = 0; i < ref->view->count; i++) {
                if (ref->view->endpoint[i].id != r->choice.endpoint_id)
                        continue;
                struct vn_question question = {.id = r->id};
                struct vn_decision d = {.status = r->status, .choice = i, .features = r->choice.features};
                d.cost = vn_features_cost(&d.features);
                d.latency_us = vn_features_latency_us(&d.features);
                fill_answer(a, &question, ref, &d);
                snprintf(a->reason, sizeof a->reason, "the answer already given to this request_id");
                return true;
        }
        return false;
}

static enum vn_rc route_one(struct vn_route_loop *loop, const struct vn_identity *who,
                            const Vane__V1__RouteRequest *request, struct route_answer *a, bool *ret_wait,
                            struct vn_err *err)
{
        struct vn_question question = {.id = {vn_record_origin(loop->server), loop->number, 0}};
        static _Thread_local struct vn_decision decision;
        size_t len = 0;
        if (!request->workload[0])
                return vn_fail(err, VN_INVALID_ARGUMENT, "workload: required");
        uint64_t hash = vn_workload_hash(who->tenant, request->workload);
        struct vn_view_ref *ref = vn_route_find(loop->table, hash, who->tenant, vn_str(request->workload));
        if (!ref)
                return vn_fail(err, VN_NOT_FOUND,
                               "workload: no account lists a function \"%.100s\", or none has sent prices yet",
                               request->workload);
        uint64_t key = request->request_id[0] ? vn_hash64(request->request_id, strlen(request->request_id),
                                                          hash ^ vn_caller_hash(loop->server, who))
                                              : 0;
        if (key && answer_again(loop, ref, key, who, request->request_id, a))
                return VN_OK;
        struct vn_loop_live *live = vn_loop_live_of(loop, hash, ref->view);
        if (!live)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        question.id.sequence = vn_ring_next_seq(loop->ring);
        VN_TRY(make_question(request, ref->view, loop->server, &question, err));
        vn_decide(ref->view, &question, &live->live, &decision);
        if (decision.status == VN_DECIDED_NONE || decision.choice == VN_NO_CANDIDATE) {
                atomic_fetch_add(&loop->counts[ref->tenant].refused, 1);
                return vn_fail(
                        err, VN_FAILED_PRECONDITION,
                        "no endpoint of \"%.100s\" may serve: %u known, all excluded by the policy or not promoted",
                        request->workload, ref->view->count);
        }
        VN_TRY(journal(loop, ref, &question, live, &decision, request, who, &len, err));
        if (decision.status == VN_DECIDED_SPLIT)
                atomic_fetch_add_explicit(&loop->counts[ref->tenant].split, 1, memory_order_relaxed);
        note_assignment(loop, ref, live, &question, decision.choice, decision.cost / 1e6, who);
        fill_answer(a, &question, ref, &decision);
        if (key && len)
                vn_request_ids_put(loop->server->routing->request_ids, key, vn_str_n(loop->bytes, len));
        *ret_wait |= len && ref->view->policy.acknowledge == VN_ACKNOWLEDGE_RECORDED;
        return VN_OK;
}

/* --- acknowledge: recorded --- */

struct wait_recorded {
        struct vn_task task;
        struct vn_call *call;
        struct vn_batch *batch;
        struct route_answer answer;
        enum vn_rc rc;
};

static void recorded_answer(struct vn_task *task)
{
        struct wait_recorded *w = (struct wait_recorded *)task;
        struct vn_err err;
        if (vn_call_over(w->call)) {
                /* nobody is left to answer */
        } else if (w->rc == VN_OK) {
                vn_call_reply(w->call, &w->answer.message.base);
        } else {
                vn_call_finish(w->call, vn_fail(&err, VN_UNAVAILABLE, "decided, but the record is not durable"),
                               &err);
        }
        vn_batch_free(w->batch);
        vn_call_unref(w->call);
        vn_free(w);
}

static void recorded_done(void *arg, enum vn_rc rc)
{
        struct wait_recorded *w = arg;
        w->rc = rc;
        vn_loop_post(vn_call_loop(w->call), &w->task);
}

/* An empty batch is committed together with what the rings hold by then. */
static void reply_when_recorded(struct vn_server *server, struct vn_call *call, const struct route_answer *answer)
{
        struct vn_err err;
        struct wait_recorded *w = vn_alloc(sizeof *w);
        if (w)
                w->batch = vn_batch_new();
        if (!w || !w->batch) {
                vn_free(w);
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        w->task.run = recorded_answer;
        w->call = vn_call_ref(call);
        w->answer = *answer;
        w->answer.message.decision_id = w->answer.id;
        w->answer.message.reason = w->answer.reason;
        /* The view's texts may go with the view: these copies stay with the call. */
        char **texts[] = {&w->answer.message.account, &w->answer.message.region, &w->answer.message.function,
                          &w->answer.message.url};
        for (size_t i = 0; i < 4; i++) {
                char *copy = vn_arena_strndup(vn_call_arena(call), *texts[i], strlen(*texts[i]));
                static char empty[1] = "";
                *texts[i] = copy ? copy : empty;
        }
        enum vn_rc rc = vn_store_submit(server->store, w->batch, recorded_done, w, &err);
        if (rc != VN_OK) {
                vn_call_finish(call, rc, &err);
                vn_batch_free(w->batch);
                vn_call_unref(w->call);
                vn_free(w);
        }
}

void vn_route_start(struct vn_call *call, const ProtobufCMessage *message)
{
        struct vn_server *server = vn_call_context(call);
        struct vn_route_loop *loop = vn_route_loop_here(server, call);
        struct route_answer answer;
        struct vn_err err;
        bool wait = false;
        enum vn_rc rc = route_one(loop, vn_call_identity(call), (const Vane__V1__RouteRequest *)message, &answer,
                                  &wait, &err);
        if (rc != VN_OK)
                vn_call_finish(call, rc, &err);
        else if (wait)
                reply_when_recorded(server, call, &answer);
        else
                vn_call_reply(call, &answer.message.base);
}

/* --- many at a time --- */

#define MAX_BATCH 1024

void vn_route_stream_open(struct vn_call *call)
{
        (void)call;
}

void vn_route_stream_half_close(struct vn_call *call)
{
        vn_call_finish(call, VN_OK, NULL);
}

void vn_route_stream_message(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__RouteBatch *batch = (const Vane__V1__RouteBatch *)message;
        struct vn_route_loop *loop = vn_route_loop_here(vn_call_context(call), call);
        struct vn_err err;
        size_t n = batch->n_requests;
        if (n > MAX_BATCH) {
                vn_call_finish(call, vn_fail(&err, VN_INVALID_ARGUMENT, "requests: at most %d", MAX_BATCH), &err);
                return;
        }
        struct item {
                Vane__V1__RouteResult result;
                struct route_answer answer;
                struct vn_err err;
        } *items = vn_alloc_array(n + 1, sizeof *items);
        Vane__V1__RouteResult **results = vn_alloc_array(n + 1, sizeof *results);
        enum vn_rc rc = items && results ? VN_OK : vn_op_no_memory(&err);
        bool wait = false;
        for (size_t i = 0; rc == VN_OK && i < n; i++) {
                vane__v1__route_result__init(&items[i].result);
                results[i] = &items[i].result;
                enum vn_rc one = route_one(loop, vn_call_identity(call), batch->requests[i], &items[i].answer, &wait,
                                           &items[i].err);
                items[i].result.code = one;
                if (one == VN_OK)
                        items[i].result.response = &items[i].answer.message;
                else
                        items[i].result.message = items[i].err.msg;
        }
        /* A policy that waits for commits is for unary calls: on a stream the client would lose its batching. */
        if (rc == VN_OK && wait)
                rc = vn_fail(&err, VN_FAILED_PRECONDITION, "acknowledge: recorded needs unary Route calls");
        if (rc == VN_OK) {
                Vane__V1__RouteBatchResponse reply = VANE__V1__ROUTE_BATCH_RESPONSE__INIT;
                reply.n_results = n;
                reply.results = results;
                rc = vn_call_send(call, &reply.base);
                if (rc != VN_OK)
                        vn_fail(&err, rc, "the client does not read its answers");
        }
        if (rc != VN_OK && !vn_call_over(call))
                vn_call_finish(call, rc, &err);
        vn_free(results);
        vn_free(items);
}
