/* stream.c - RouteStream: a batch is decided item by item, and stands in the journal as one record (decide/run.h).
 * Answers keep the order of the batches, also when the policy of one of them waits for the commit. */
#include <stdio.h>

#include "server/routing/internal.h"

#define MAX_BATCH 1024

struct stream {           /* in the call's arena */
        uint32_t waiting; /* batches whose answers wait for a commit */
        bool half_closed;
};

struct item {
        Vane__V1__RouteResult result;
        struct vn_route_answer answer;
        struct vn_err err;
};

struct batch {
        struct vn_call *call;
        size_t count;
        struct item *items;
        Vane__V1__RouteResult **results;
};

static struct batch *batch_free(struct batch *batch)
{
        if (batch) {
                vn_free(batch->items);
                vn_free(batch->results);
        }
        vn_free(batch);
        return NULL;
}

static struct batch *batch_new(struct vn_call *call, size_t count)
{
        struct batch *batch = vn_alloc(sizeof *batch);
        if (!batch)
                return NULL;
        *batch = (struct batch){.call = call,
                                .count = count,
                                .items = vn_alloc_array(count + 1, sizeof *batch->items),
                                .results = vn_alloc_array(count + 1, sizeof(Vane__V1__RouteResult *))};
        return batch->items && batch->results ? batch : batch_free(batch);
}

/* --- the run --- */

void vn_route_flush(struct vn_route_loop *loop)
{
        size_t len;
        if (!loop->run || !vn_run_count(loop->run))
                return;
        uint32_t count = vn_run_count(loop->run);
        VN_ASSERT(vn_run_finish(loop->run, loop->bytes, sizeof loop->bytes, &len, NULL) == VN_OK);
        /* Room was looked for before the first decision went in, and nobody else puts into this ring. */
        VN_ASSERT(vn_ring_put_run(loop->ring, loop->bytes, len, (uint16_t)count) == VN_OK);
        atomic_store_explicit(&loop->journalled, vn_ring_next_seq(loop->ring), memory_order_release);
        vn_run_begin(loop->run);
}

static bool run_is_open(struct vn_route_loop *loop)
{
        if (!loop->run && !(loop->run = vn_run_new()))
                return false;
        if (vn_run_count(loop->run))
                return true;
        vn_run_begin(loop->run);
        return vn_ring_has_room(loop->ring, VN_RUN_MAX_BYTES);
}

/* Adds loop->record, behind a flush if the run is full. The sequence stays the same: what was flushed has moved on. */
static enum vn_rc add_to_run(struct vn_route_loop *loop, struct vn_err *err)
{
        if (!vn_run_count(loop->run))
                vn_route_seed(loop, loop->record->seed);
        enum vn_rc rc = vn_run_add(loop->run, loop->record, err);
        if (rc != VN_RESOURCE_EXHAUSTED)
                return rc;
        vn_route_flush(loop);
        if (!run_is_open(loop))
                return vn_fail(err, VN_UNAVAILABLE, "the journal is full");
        vn_route_seed(loop, loop->record->seed);
        return vn_run_add(loop->run, loop->record, err);
}

/* --- items --- */

static enum vn_rc route_item(struct vn_route_loop *loop, const struct vn_identity *who,
                             const Vane__V1__RouteRequest *request, struct item *item, bool *ret_wait)
{
        struct vn_routed r;
        /* Without room for a whole run, each for itself: what the policy says of the unrecordable holds there. */
        if (!run_is_open(loop))
                return vn_route_one(loop, who, request, &item->answer, ret_wait, &item->err);
        VN_TRY(vn_route_ask(loop, who, request, &r, &item->err));
        if (!r.again) {
                enum vn_rc rc = vn_route_record(loop, who, request, &r, &item->err);
                if (rc == VN_OK)
                        rc = add_to_run(loop, &item->err);
                if (rc != VN_OK)
                        vn_route_give_up(loop, &r);
                if (rc == VN_UNAVAILABLE)
                        return vn_route_one(loop, who, request, &item->answer, ret_wait, &item->err);
                VN_TRY(rc);
                r.recorded = true;
        }
        vn_route_finish(loop, who, &r, &item->answer);
        *ret_wait |= r.ref->view->policy.acknowledge == VN_ACKNOWLEDGE_RECORDED;
        return VN_OK;
}

static void route_items(struct vn_route_loop *loop, const Vane__V1__RouteBatch *asked, struct batch *batch,
                        bool *ret_wait)
{
        const struct vn_identity *who = vn_call_identity(batch->call);
        for (size_t i = 0; i < batch->count; i++) {
                struct item *item = &batch->items[i];
                vane__v1__route_result__init(&item->result);
                batch->results[i] = &item->result;
                enum vn_rc rc = route_item(loop, who, asked->requests[i], item, ret_wait);
                item->result.code = rc;
                if (rc == VN_OK)
                        item->result.response = &item->answer.message;
                else
                        item->result.message = item->err.msg;
        }
        vn_route_flush(loop);
}

/* --- answers --- */

static void send_batch(struct batch *batch)
{
        struct vn_err err;
        Vane__V1__RouteBatchResponse reply = VANE__V1__ROUTE_BATCH_RESPONSE__INIT;
        reply.n_results = batch->count;
        reply.results = batch->results;
        if (vn_call_send(batch->call, &reply.base) != VN_OK && !vn_call_over(batch->call))
                vn_call_finish(batch->call,
                               vn_fail(&err, VN_RESOURCE_EXHAUSTED, "the client does not read its answers"), &err);
}

static void batch_recorded(void *arg, enum vn_rc rc)
{
        struct batch *batch = arg;
        struct stream *stream = vn_call_user(batch->call);
        struct vn_err err;
        stream->waiting--;
        if (!vn_call_over(batch->call) && rc != VN_OK)
                vn_call_finish(batch->call, vn_fail(&err, VN_UNAVAILABLE, "decided, but the records are not durable"),
                               &err);
        if (!vn_call_over(batch->call))
                send_batch(batch);
        if (!vn_call_over(batch->call) && stream->half_closed && !stream->waiting)
                vn_call_finish(batch->call, VN_OK, NULL);
        batch_free(batch);
}

void vn_route_stream_open(struct vn_call *call)
{
        struct stream *stream = vn_arena_alloc(vn_call_arena(call), sizeof *stream);
        struct vn_err err;
        if (stream)
                vn_call_set_user(call, stream);
        else
                vn_call_finish(call, vn_op_no_memory(&err), &err);
}

void vn_route_stream_half_close(struct vn_call *call)
{
        struct stream *stream = vn_call_user(call);
        if (!stream)
                return; /* open has ended the call for want of memory */
        stream->half_closed = true;
        if (!stream->waiting)
                vn_call_finish(call, VN_OK, NULL);
}

void vn_route_stream_message(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__RouteBatch *asked = (const Vane__V1__RouteBatch *)message;
        struct stream *stream = vn_call_user(call);
        struct vn_err err;
        if (!stream)
                return; /* open has ended the call for want of memory */
        bool wait = stream->waiting > 0;
        if (asked->n_requests > MAX_BATCH) {
                vn_call_finish(call, vn_fail(&err, VN_INVALID_ARGUMENT, "requests: at most %d", MAX_BATCH), &err);
                return;
        }
        struct batch *batch = batch_new(call, asked->n_requests);
        if (!batch) {
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        struct vn_route_loop *loop = vn_route_loop_here(vn_call_context(call), call);
        route_items(loop, asked, batch, &wait);
        if (wait) {
                stream->waiting++;
                vn_when_recorded(loop, call, batch_recorded, batch);
        } else {
                send_batch(batch);
                batch_free(batch);
        }
}
