/* interop_service.c - see interop_service.h. Behaviour after doc/interop-test-descriptions.md of the gRPC project. */
#include "tests/interop/interop_service.h"

#include "base/clock.h"
#include "base/loop.h"
#include "grpc/testing/test.pb-c.h"

#define MAX_PAYLOAD (8 << 20)

static uint8_t zeroes[MAX_PAYLOAD];

static void echo_metadata(struct vn_call *call)
{
        struct vn_str initial = vn_call_header(call, "x-grpc-test-echo-initial");
        struct vn_str trailing = vn_call_header(call, "x-grpc-test-echo-trailing-bin");
        if (initial.len)
                VN_IGNORE(vn_call_add_initial_metadata(call, "x-grpc-test-echo-initial", initial));
        if (trailing.len)
                VN_IGNORE(vn_call_add_trailing_metadata(call, "x-grpc-test-echo-trailing-bin", trailing));
}

static void finish_with(struct vn_call *call, int32_t code, const char *message)
{
        struct vn_err err;
        vn_fail(&err, (enum vn_rc)code, "%s", message);
        vn_call_finish(call, (enum vn_rc)code, &err);
}

static bool fill(Grpc__Testing__Payload *payload, int32_t size)
{
        grpc__testing__payload__init(payload);
        if (size < 0 || size > MAX_PAYLOAD)
                return false;
        payload->body = (ProtobufCBinaryData){(size_t)size, zeroes};
        return true;
}

static void empty_call(struct vn_call *call, const ProtobufCMessage *message)
{
        Grpc__Testing__Empty reply = GRPC__TESTING__EMPTY__INIT;
        (void)message;
        echo_metadata(call);
        vn_call_reply(call, &reply.base);
}

static void unary_call(struct vn_call *call, const ProtobufCMessage *message)
{
        const Grpc__Testing__SimpleRequest *request = (const void *)message;
        Grpc__Testing__SimpleResponse reply = GRPC__TESTING__SIMPLE_RESPONSE__INIT;
        Grpc__Testing__Payload payload;
        echo_metadata(call);
        if (request->response_status && request->response_status->code) {
                finish_with(call, request->response_status->code, request->response_status->message);
                return;
        }
        if (!fill(&payload, request->response_size)) {
                finish_with(call, VN_INVALID_ARGUMENT, "response_size");
                return;
        }
        /* No size asked for: the payload comes back, which makes this the benches' echo. */
        if (!request->response_size && request->payload)
                payload.body = request->payload->body;
        reply.payload = &payload;
        vn_call_reply(call, &reply.base);
}

/* --- streams: a queue of answers that are still due --- */

struct due {
        struct due *next;
        int32_t size;
        int32_t interval_us;
};

struct stream {
        struct vn_call *call;
        struct due *first, **last;
        struct vn_timer *timer;
        bool half_closed, hold; /* hold: answer only after the half-close (HalfDuplexCall) */
        int64_t total_bytes;
        int32_t status;
        const char *status_message;
};

static void stream_run(void *arg);

static struct stream *stream_of(struct vn_call *call)
{
        struct stream *stream = vn_call_user(call);
        if (stream)
                return stream;
        stream = vn_arena_alloc(vn_call_arena(call), sizeof *stream);
        if (!stream || vn_timer_new(vn_call_loop(call), stream_run, stream, &stream->timer, NULL) != VN_OK) {
                vn_call_finish(call, VN_RESOURCE_EXHAUSTED, NULL);
                return NULL;
        }
        stream->call = call;
        stream->last = &stream->first;
        vn_call_set_user(call, stream);
        return stream;
}

static void stream_end(struct vn_call *call)
{
        struct stream *stream = vn_call_user(call);
        if (stream)
                stream->timer = vn_timer_free(stream->timer);
}

static void stream_finish(struct stream *stream)
{
        struct vn_call *call = stream->call;
        stream_end(call);
        if (stream->status)
                finish_with(call, stream->status, stream->status_message);
        else
                vn_call_finish(call, VN_OK, NULL);
}

/* Sends what is due; waits on its timer for an interval, or on `writable` for room. */
static void stream_send(struct stream *stream, bool first_is_due)
{
        while (stream->first && !(stream->hold && !stream->half_closed)) {
                struct due *due = stream->first;
                Grpc__Testing__StreamingOutputCallResponse reply =
                        GRPC__TESTING__STREAMING_OUTPUT_CALL_RESPONSE__INIT;
                Grpc__Testing__Payload payload;
                if (due->interval_us > 0 && !first_is_due) {
                        vn_timer_once(stream->timer, due->interval_us);
                        return;
                }
                if (!fill(&payload, due->size)) {
                        stream->status = VN_INVALID_ARGUMENT;
                        stream->status_message = "size";
                        stream_finish(stream);
                        return;
                }
                reply.payload = &payload;
                if (vn_call_send(stream->call, &reply.base) == VN_RESOURCE_EXHAUSTED) {
                        due->interval_us = 0;
                        vn_call_pause_reading(stream->call, true);
                        return;
                }
                first_is_due = false;
                stream->first = due->next;
                if (!stream->first)
                        stream->last = &stream->first;
        }
        if (stream->half_closed || stream->status)
                stream_finish(stream);
}

static void stream_run(void *arg)
{
        struct stream *stream = arg;
        stream_send(stream, true);
}

static void stream_writable(struct vn_call *call)
{
        struct stream *stream = vn_call_user(call);
        if (!stream || !stream->timer)
                return;
        stream_send(stream, false);
        if (!vn_call_over(call) && !stream->first)
                vn_call_pause_reading(call, false);
}

static void stream_take(struct vn_call *call, const Grpc__Testing__StreamingOutputCallRequest *request, bool hold,
                        bool whole)
{
        struct stream *stream = stream_of(call);
        if (!stream)
                return;
        stream->hold = hold;
        stream->half_closed = whole;
        for (size_t i = 0; i < request->n_response_parameters; i++) {
                struct due *due = vn_arena_alloc(vn_call_arena(call), sizeof *due);
                if (!due) {
                        stream->status = VN_RESOURCE_EXHAUSTED;
                        stream->status_message = "too many responses";
                        stream_finish(stream);
                        return;
                }
                *due = (struct due){NULL, request->response_parameters[i]->size,
                                    request->response_parameters[i]->interval_us};
                *stream->last = due;
                stream->last = &due->next;
        }
        if (request->response_status && request->response_status->code) {
                const char *text = request->response_status->message;
                stream->status = request->response_status->code;
                stream->status_message = vn_arena_strndup(vn_call_arena(call), text, strlen(text));
        }
        stream_send(stream, false);
}

static void output_call(struct vn_call *call, const ProtobufCMessage *message)
{
        echo_metadata(call);
        stream_take(call, (const void *)message, false, true);
}

static void duplex_open(struct vn_call *call)
{
        echo_metadata(call);
}

static void full_duplex_message(struct vn_call *call, const ProtobufCMessage *message)
{
        stream_take(call, (const void *)message, false, false);
}

static void half_duplex_message(struct vn_call *call, const ProtobufCMessage *message)
{
        stream_take(call, (const void *)message, true, false);
}

static void duplex_half_close(struct vn_call *call)
{
        struct stream *stream = stream_of(call);
        if (!stream)
                return;
        stream->half_closed = true;
        stream_send(stream, false);
}

static void input_message(struct vn_call *call, const ProtobufCMessage *message)
{
        const Grpc__Testing__StreamingInputCallRequest *request = (const void *)message;
        struct stream *stream = stream_of(call);
        if (stream && request->payload)
                stream->total_bytes += (int64_t)request->payload->body.len;
}

static void input_half_close(struct vn_call *call)
{
        struct stream *stream = stream_of(call);
        Grpc__Testing__StreamingInputCallResponse reply = GRPC__TESTING__STREAMING_INPUT_CALL_RESPONSE__INIT;
        if (!stream)
                return;
        reply.aggregated_payload_size = (int32_t)stream->total_bytes;
        stream_end(call);
        vn_call_reply(call, &reply.base);
}

#define ROW(row_name, row_kind, in, out)                                                                             \
        .service = "grpc.testing.TestService", .name = row_name, .kind = row_kind, .access = VN_ACCESS_PUBLIC,       \
        .request = &grpc__testing__##in##__descriptor, .response = &grpc__testing__##out##__descriptor,              \
        .help = "An interoperability test."

/* UnimplementedCall has no row: that is its test. */
const struct vn_method interop_rows[] = {
        {ROW("EmptyCall", VN_UNARY, empty, empty), .verb = VN_HTTP_GET, .path = "/v1/empty", .start = empty_call},
        {ROW("UnaryCall", VN_UNARY, simple_request, simple_response), .verb = VN_HTTP_POST, .path = "/v1/unary",
         .start = unary_call},
        {ROW("StreamingOutputCall", VN_SERVER_STREAM, streaming_output_call_request, streaming_output_call_response),
         .verb = VN_HTTP_POST, .path = "/v1/output", .start = output_call, .cancelled = stream_end,
         .writable = stream_writable},
        {ROW("StreamingInputCall", VN_CLIENT_STREAM, streaming_input_call_request, streaming_input_call_response),
         .message = input_message, .half_close = input_half_close, .cancelled = stream_end},
        {ROW("FullDuplexCall", VN_BIDI, streaming_output_call_request, streaming_output_call_response),
         .open = duplex_open, .message = full_duplex_message, .half_close = duplex_half_close,
         .cancelled = stream_end, .writable = stream_writable},
        {ROW("HalfDuplexCall", VN_BIDI, streaming_output_call_request, streaming_output_call_response),
         .open = duplex_open, .message = half_duplex_message, .half_close = duplex_half_close,
         .cancelled = stream_end, .writable = stream_writable},
};
const size_t interop_row_count = sizeof interop_rows / sizeof *interop_rows;
