/* One call over the C core.
 *
 * Each call has a completion queue of the pluck kind, so that a thread waits for its own operation only and one thread
 * may send while another receives. RECV_INITIAL_METADATA and RECV_STATUS are posted when the call opens: without the
 * first the status does not arrive before the deadline. Every posted batch is plucked before the call goes: the core
 * writes into our fields until then. */
#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>
#include <grpc/support/time.h>

#include "base/lock.h"
#include "net/grpc_client_internal.h"

enum tag { TAG_OPEN, TAG_INITIAL, TAG_STATUS, TAG_SEND, TAG_RECV, TAG_COUNT };

struct vn_grpc_call {
        grpc_call *core;
        grpc_completion_queue *queue;
        struct vn_lock start_lock; /* start_batch calls must not overlap */
        const ProtobufCMessageDescriptor *response;
        char tags[TAG_COUNT]; /* their addresses are the tags */
        grpc_metadata_array initial, trailing;
        bool initial_posted, status_posted, status_known, receive_ended;
        grpc_status_code status;
        grpc_slice details;
};

VN_LOCK_CLASS(start_class, "grpc-call");

static bool start(struct vn_grpc_call *call, const grpc_op *op, enum tag tag)
{
        grpc_call_error error;

        vn_lock_take(&call->start_lock);
        error = grpc_call_start_batch(call->core, op, 1, &call->tags[tag], NULL);
        vn_lock_give(&call->start_lock);
        /* Anything else is our own misuse, and no tag would come. */
        VN_ASSERT(error == GRPC_CALL_OK || error == GRPC_CALL_ERROR_TOO_MANY_OPERATIONS);
        return error == GRPC_CALL_OK;
}

static bool wait_for(struct vn_grpc_call *call, enum tag tag)
{
        grpc_event event =
                grpc_completion_queue_pluck(call->queue, &call->tags[tag], gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
        VN_ASSERT(event.type == GRPC_OP_COMPLETE);
        return event.success;
}

static bool post_open(struct vn_grpc_call *call, const struct vn_grpc_channel *channel, bool wait_ready)
{
        grpc_metadata token = {.key = grpc_slice_from_static_string("authorization"),
                               .value = grpc_slice_from_static_buffer(channel->token, channel->token_bytes)};
        grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};

        op.data.recv_status_on_client.trailing_metadata = &call->trailing;
        op.data.recv_status_on_client.status = &call->status;
        op.data.recv_status_on_client.status_details = &call->details;
        call->status_posted = start(call, &op, TAG_STATUS);

        op = (grpc_op){.op = GRPC_OP_RECV_INITIAL_METADATA};
        op.data.recv_initial_metadata.recv_initial_metadata = &call->initial;
        call->initial_posted = start(call, &op, TAG_INITIAL);

        op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA,
                       .flags = wait_ready ? GRPC_INITIAL_METADATA_WAIT_FOR_READY : 0};
        op.data.send_initial_metadata.metadata = &token;
        op.data.send_initial_metadata.count = channel->token_bytes ? 1 : 0;
        return start(call, &op, TAG_OPEN) && wait_for(call, TAG_OPEN);
}

enum vn_rc vn_grpc_open(struct vn_grpc_channel *channel, const struct vn_grpc_method *method,
                        struct vn_grpc_call **ret, struct vn_err *err)
{
        struct vn_grpc_call *call = vn_alloc(sizeof(*call));
        gpr_timespec deadline = gpr_inf_future(GPR_CLOCK_MONOTONIC);
        grpc_slice path;

        if (!call)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a gRPC call");
        if (method->timeout_us > 0)
                deadline = gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                                        gpr_time_from_micros(method->timeout_us, GPR_TIMESPAN));
        vn_lock_init(&call->start_lock, &start_class);
        call->response = method->response;
        call->details = grpc_empty_slice();
        grpc_metadata_array_init(&call->initial);
        grpc_metadata_array_init(&call->trailing);
        call->queue = grpc_completion_queue_create_for_pluck(NULL);
        path = grpc_slice_from_copied_string(method->path);
        call->core = grpc_channel_create_call(channel->core, NULL, GRPC_PROPAGATE_DEFAULTS, call->queue, path, NULL,
                                              deadline, NULL);
        grpc_slice_unref(path);
        VN_ASSERT(call->core);
        if (!post_open(call, channel, method->wait_ready)) {
                enum vn_rc rc = vn_grpc_finish(call, err);
                vn_grpc_call_free(call);
                return rc != VN_OK ? rc : vn_fail(err, VN_UNAVAILABLE, "%s: the call did not start", method->path);
        }
        *ret = call;
        return VN_OK;
}

enum vn_rc vn_grpc_send(struct vn_grpc_call *call, const ProtobufCMessage *message, struct vn_err *err)
{
        size_t bytes = protobuf_c_message_get_packed_size(message);
        grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
        grpc_slice slice;
        bool sent;

        if (bytes > GRPC_MAX_MESSAGE_BYTES)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "a message of %zu bytes, at most %d may be sent", bytes,
                               GRPC_MAX_MESSAGE_BYTES);
        slice = grpc_slice_malloc(bytes);
        protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
        op.data.send_message.send_message = grpc_raw_byte_buffer_create(&slice, 1);
        grpc_slice_unref(slice);
        sent = start(call, &op, TAG_SEND) && wait_for(call, TAG_SEND);
        grpc_byte_buffer_destroy(op.data.send_message.send_message);
        return sent ? VN_OK : vn_fail(err, VN_CANCELLED, "the call is over");
}

enum vn_rc vn_grpc_send_done(struct vn_grpc_call *call, struct vn_err *err)
{
        grpc_op op = {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT};

        if (start(call, &op, TAG_SEND) && wait_for(call, TAG_SEND))
                return VN_OK;
        return vn_fail(err, VN_CANCELLED, "the call is over");
}

/* The next message's bytes; NULL at the end. */
static grpc_byte_buffer *receive(struct vn_grpc_call *call)
{
        grpc_byte_buffer *bytes = NULL;
        grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};

        if (call->receive_ended)
                return NULL;
        op.data.recv_message.recv_message = &bytes;
        VN_ASSERT(start(call, &op, TAG_RECV)); /* two receivers at once are a bug */
        if (!wait_for(call, TAG_RECV) && bytes) {
                grpc_byte_buffer_destroy(bytes);
                bytes = NULL;
        }
        call->receive_ended = !bytes;
        return bytes;
}

static enum vn_rc unpack(const struct vn_grpc_call *call, grpc_byte_buffer *bytes, struct vn_arena *arena,
                         ProtobufCMessage **ret, struct vn_err *err)
{
        ProtobufCAllocator allocator = vn_grpc_arena_allocator(arena);
        grpc_byte_buffer_reader reader;
        grpc_slice whole;
        ProtobufCMessage *message;

        if (!grpc_byte_buffer_reader_init(&reader, bytes))
                return vn_fail(err, VN_INTERNAL, "a message that does not decompress");
        whole = grpc_byte_buffer_reader_readall(&reader);
        grpc_byte_buffer_reader_destroy(&reader);
        message = protobuf_c_message_unpack(call->response, &allocator, GRPC_SLICE_LENGTH(whole),
                                            GRPC_SLICE_START_PTR(whole));
        grpc_slice_unref(whole);
        if (!message)
                return vn_fail(err, VN_INTERNAL, "the answer is not a %s, or larger than %zu bytes unpacked",
                               call->response->name, arena->max_bytes);
        *ret = message;
        return VN_OK;
}

enum vn_rc vn_grpc_recv(struct vn_grpc_call *call, struct vn_arena *arena, ProtobufCMessage **ret, struct vn_err *err)
{
        grpc_byte_buffer *bytes = receive(call);
        enum vn_rc rc;

        if (!bytes) {
                *ret = NULL;
                return VN_OK;
        }
        rc = unpack(call, bytes, arena, ret, err);
        grpc_byte_buffer_destroy(bytes);
        return rc;
}

static void await_status(struct vn_grpc_call *call)
{
        if (call->status_posted && !call->status_known)
                wait_for(call, TAG_STATUS);
        call->status_known = true;
}

enum vn_rc vn_grpc_finish(struct vn_grpc_call *call, struct vn_err *err)
{
        grpc_byte_buffer *unread;
        struct vn_str details;

        /* Messages that nobody took would hold the status back. */
        while ((unread = receive(call)))
                grpc_byte_buffer_destroy(unread);
        await_status(call);
        if (call->status == GRPC_STATUS_OK)
                return VN_OK;
        details = vn_str_n(GRPC_SLICE_START_PTR(call->details), GRPC_SLICE_LENGTH(call->details));
        return vn_fail(err, call->status > GRPC_STATUS_UNAUTHENTICATED ? VN_UNKNOWN : (enum vn_rc)call->status,
                       "%.*s", details.len > 200 ? 200 : (int)details.len, details.ptr);
}

void vn_grpc_cancel(struct vn_grpc_call *call)
{
        grpc_call_cancel(call->core, NULL);
}

struct vn_grpc_call *vn_grpc_call_free(struct vn_grpc_call *call)
{
        if (!call)
                return NULL;
        if (!call->status_known)
                grpc_call_cancel(call->core, NULL);
        if (call->initial_posted)
                wait_for(call, TAG_INITIAL);
        await_status(call);
        grpc_call_unref(call->core);
        grpc_completion_queue_shutdown(call->queue);
        grpc_completion_queue_destroy(call->queue);
        grpc_metadata_array_destroy(&call->initial);
        grpc_metadata_array_destroy(&call->trailing);
        grpc_slice_unref(call->details);
        vn_lock_done(&call->start_lock);
        vn_free(call);
        return NULL;
}
