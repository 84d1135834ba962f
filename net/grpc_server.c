/* grpc_server.c - gRPC over HTTP/2 (grpc.io "PROTOCOL-HTTP2"): dispatch, framing, deadlines, status in trailers.
 * Encodings: identity only. A peer that compresses gets UNIMPLEMENTED with grpc-accept-encoding, as the protocol asks;
 *   so there is no decompression to bomb. */
#include "net/edge_internal.h"

#define PREFIX_BYTES 5
#define MAX_STATUS_MESSAGE 1024

static const char *const status_text[] = {"0", "1",  "2",  "3",  "4",  "5",  "6",  "7", "8",
                                          "9", "10", "11", "12", "13", "14", "15", "16"};

static void refuse(struct vn_call *call, enum vn_rc rc, const char *message)
{
        call->discard = true;
        edge_grpc_finish(call, rc, message);
        call->over = true;
}

/* A stream that was opened has a handler which must hear of its end; another has none yet. */
static void fail(struct vn_call *call, enum vn_rc rc, const char *message)
{
        if (call->started)
                edge_call_abort(call, rc, message);
        else
                refuse(call, rc, message);
}

/* --- head --- */

static bool parse_timeout(struct vn_str text, int64_t *ret_us)
{
        int64_t value = 0;
        if (text.len < 2 || text.len > 9)
                return false;
        for (size_t i = 0; i + 1 < text.len; i++) {
                if (text.ptr[i] < '0' || text.ptr[i] > '9')
                        return false;
                value = value * 10 + (text.ptr[i] - '0');
        }
        switch (text.ptr[text.len - 1]) {
        case 'H': *ret_us = value * VN_US_PER_HOUR; return true;
        case 'M': *ret_us = value * VN_US_PER_MIN; return true;
        case 'S': *ret_us = value * VN_US_PER_S; return true;
        case 'm': *ret_us = value * VN_US_PER_MS; return true;
        case 'u': *ret_us = value; return true;
        case 'n': *ret_us = (value + 999) / 1000; return true;
        }
        return false;
}

static void on_deadline(evutil_socket_t fd, short what, void *arg)
{
        struct vn_call *call = arg;
        (void)fd, (void)what;
        edge_loop_now(call->loop);
        call->deadline_armed = false;
        edge_count(call->loop, EDGE_STAT_deadlines, 1);
        edge_call_abort(call, VN_DEADLINE_EXCEEDED, "deadline exceeded");
}

static bool arm_deadline(struct vn_call *call)
{
        struct vn_str text = vn_call_header(call, "grpc-timeout");
        int64_t timeout_us;
        if (!text.len)
                return true;
        if (!parse_timeout(text, &timeout_us))
                return false;
        call->deadline_us = call->loop->now_us + timeout_us;
        struct timeval tv = {timeout_us / VN_US_PER_S, timeout_us % VN_US_PER_S};
        evtimer_assign(&call->deadline_event, vn_loop_base(call->loop->loop), on_deadline, call);
        call->deadline_armed = !event_add(&call->deadline_event, &tv);
        return true;
}

static bool is_stream(const struct vn_call *call)
{
        return call->entry->row->kind == VN_CLIENT_STREAM || call->entry->row->kind == VN_BIDI;
}

void edge_grpc_head(struct vn_call *call)
{
        struct vn_err err = {0};
        call->kind = CALL_GRPC;
        struct vn_str encoding = vn_call_header(call, "grpc-encoding");
        if (!vn_str_eq(call->verb, VN_STR("POST"))) {
                call->kind = CALL_REFUSED;
                edge_http_error(call, 405, VN_UNIMPLEMENTED, "gRPC calls are POST");
                return;
        }
        call->entry = edge_route_grpc(&call->loop->edge->routes, call->path);
        if (!call->entry) {
                refuse(call, VN_UNIMPLEMENTED, "no such method");
                return;
        }
        struct vn_str type = vn_call_header(call, "content-type");
        if (type.len > 16 && type.ptr[16] == '+' && !vn_str_eq(type, VN_STR("application/grpc+proto"))) {
                refuse(call, VN_UNIMPLEMENTED, "only protobuf messages are spoken here");
                return;
        }
        if (encoding.len && !vn_str_eq(encoding, VN_STR("identity"))) {
                VN_IGNORE(vn_call_add_initial_metadata(call, "grpc-accept-encoding", VN_STR("identity")));
                refuse(call, VN_UNIMPLEMENTED, "this grpc-encoding is not supported");
                return;
        }
        enum vn_rc rc = edge_call_admit(call, call->entry->row->access, &err);
        if (rc != VN_OK) {
                refuse(call, rc, err.msg);
                return;
        }
        if (!arm_deadline(call)) {
                refuse(call, VN_INVALID_ARGUMENT, "malformed grpc-timeout");
                return;
        }
        if (!is_stream(call))
                return;
        call->body_deadline_us = 0;
        call->started = true;
        if (call->entry->row->open) {
                vn_call_ref(call);
                call->entry->row->open(call);
                vn_call_unref(call);
        }
}

/* --- messages in --- */

static void deliver(struct vn_call *call, const char *bytes, size_t n)
{
        const struct vn_method *row = call->entry->row;
        bool stream = is_stream(call);
        if (!stream && call->message_count++) {
                fail(call, VN_UNIMPLEMENTED, "more than one request message");
                return;
        }
        call->arena_now = stream ? &call->message_arena : &call->arena;
        call->arena_full = false;
        ProtobufCMessage *message =
                protobuf_c_message_unpack(row->request, &call->allocator, n, (const uint8_t *)bytes);
        if (!message) {
                if (call->arena_full)
                        fail(call, VN_RESOURCE_EXHAUSTED, "the request message takes too much memory");
                else
                        fail(call, VN_INVALID_ARGUMENT, "the request message is malformed");
        } else if (stream) {
                row->message(call, message);
        } else {
                call->request = message;
        }
        if (stream)
                vn_arena_reset(&call->message_arena);
}

static bool prefix_ok(struct vn_call *call)
{
        const uint8_t *p = call->prefix;
        call->message_len = (uint32_t)p[1] << 24 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 8 | p[4];
        if (p[0]) {
                fail(call, VN_INTERNAL, "a compressed message without a grpc-encoding");
                return false;
        }
        if (call->message_len > call->entry->max_request_bytes) {
                edge_count(call->loop, EDGE_STAT_too_large, 1);
                fail(call, VN_RESOURCE_EXHAUSTED, "the request message is larger than the method allows");
                return false;
        }
        return true;
}

/* Takes one step: some of the prefix, or some of the message. Returns the bytes used. */
static size_t step(struct vn_call *call, const char *bytes, size_t n)
{
        if (call->prefix_len < PREFIX_BYTES) {
                size_t take = PREFIX_BYTES - call->prefix_len;
                if (take > n)
                        take = n;
                memcpy(call->prefix + call->prefix_len, bytes, take);
                call->prefix_len += (unsigned)take;
                if (call->prefix_len < PREFIX_BYTES || !prefix_ok(call) || call->message_len)
                        return take;
                call->prefix_len = 0;
                deliver(call, bytes, 0);
                return take;
        }
        size_t need = call->message_len - call->body.len, take = need < n ? need : n;
        if (!call->body.len && take == need) { /* the common case: whole in one chunk, unpacked where it lies */
                call->prefix_len = 0;
                deliver(call, bytes, take);
                return take;
        }
        if (!edge_call_hold(call, call->body.len + take + call->stash.len) || !vn_buf_add(&call->body, bytes, take)) {
                fail(call, VN_RESOURCE_EXHAUSTED, "too many request bytes are waiting on this connection");
                return take;
        }
        if (take == need) {
                call->prefix_len = 0;
                deliver(call, call->body.ptr, call->body.len);
                vn_buf_reset(&call->body);
                edge_call_hold(call, call->stash.len);
        }
        return take;
}

/* Feeds until the bytes are used up, reading is paused or the call is over; returns how many were used. */
static size_t feed(struct vn_call *call, const char *bytes, size_t n)
{
        size_t at = 0;
        while (at < n && !call->read_paused && !call->over && !call->discard)
                at += step(call, bytes + at, n - at);
        return call->over || call->discard ? n : at;
}

void edge_grpc_data(struct vn_call *call, const char *bytes, size_t n)
{
        vn_call_ref(call);
        size_t used = call->stash.len ? 0 : feed(call, bytes, n);
        edge_h2_consume(call, used);
        if (used < n && call->conn) {
                if (!vn_buf_add(&call->stash, bytes + used, n - used) ||
                    !edge_call_hold(call, call->body.len + call->stash.len))
                        fail(call, VN_RESOURCE_EXHAUSTED, "too many request bytes are waiting on this connection");
        }
        vn_call_unref(call);
}

static void half_close(struct vn_call *call)
{
        call->half_close_due = false;
        if (call->prefix_len) {
                fail(call, VN_INVALID_ARGUMENT, "the last request message is cut off");
        } else if (is_stream(call)) {
                call->entry->row->half_close(call);
        } else if (!call->message_count) {
                fail(call, VN_INVALID_ARGUMENT, "there is no request message");
        } else {
                edge_call_run(call);
        }
}

void edge_grpc_ended(struct vn_call *call)
{
        vn_call_ref(call);
        if (call->stash.len)
                call->half_close_due = true;
        else
                half_close(call);
        vn_call_unref(call);
}

void edge_grpc_read_resume(struct vn_call *call)
{
        vn_call_ref(call);
        struct vn_buf stash = call->stash;
        call->stash = VN_BUF_INIT(stash.max_bytes);
        size_t used = feed(call, stash.ptr, stash.len);
        edge_h2_consume(call, used);
        /* Bytes cannot have come meanwhile: we are on the loop. Paused again: keep the rest. */
        if (used < stash.len && call->conn && !vn_buf_add(&call->stash, stash.ptr + used, stash.len - used))
                fail(call, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_buf_done(&stash);
        edge_call_hold(call, call->body.len + call->stash.len);
        if (call->half_close_due && !call->stash.len && !call->over && !call->read_paused)
                half_close(call);
        vn_call_unref(call);
}

/* --- messages and status out --- */

static size_t add_list(const struct call_metadata *list, nghttp2_nv *nv)
{
        size_t n = 0;
        for (const struct call_metadata *item = list; item; item = item->next)
                nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)item->name.ptr, (uint8_t *)(uintptr_t)item->value.ptr,
                                       item->name.len, item->value.len, NGHTTP2_NV_FLAG_NONE};
        return n;
}

static void send_head(struct vn_call *call)
{
        nghttp2_nv nv[CALL_NV_MAX];
        size_t n = 0;
        nv[n++] = edge_nv_fixed(":status", "200");
        nv[n++] = edge_nv_fixed("content-type", "application/grpc");
        n += add_list(call->initial, nv + n);
        edge_call_submit(call, nv, n, true);
}

enum vn_rc edge_grpc_send(struct vn_call *call, const ProtobufCMessage *message)
{
        size_t n = protobuf_c_message_get_packed_size(message);
        if (n > UINT32_MAX - PREFIX_BYTES)
                return VN_RESOURCE_EXHAUSTED;
        VN_TRY(edge_call_outbox(call, PREFIX_BYTES + n));
        uint8_t *at = (uint8_t *)call->out.ptr + call->out.len;
        at[0] = 0;
        at[1] = (uint8_t)(n >> 24);
        at[2] = (uint8_t)(n >> 16);
        at[3] = (uint8_t)(n >> 8);
        at[4] = (uint8_t)n;
        protobuf_c_message_pack(message, at + PREFIX_BYTES);
        call->out.len += PREFIX_BYTES + n;
        call->out.ptr[call->out.len] = 0;
        if (!call->head_sent)
                send_head(call);
        else
                edge_call_resume(call);
        return VN_OK;
}

/* Percent-encodes what does not fit a header (spec: everything but printable ASCII, and the percent sign). */
static struct vn_str encode_message(struct vn_call *call, const char *message)
{
        size_t len = message ? strlen(message) : 0, n = 0;
        if (len > MAX_STATUS_MESSAGE)
                len = MAX_STATUS_MESSAGE;
        char *to = len ? vn_arena_alloc(&call->head_arena, 3 * len) : NULL;
        for (size_t i = 0; to && i < len; i++) {
                unsigned char c = (unsigned char)message[i];
                if (c >= 0x20 && c <= 0x7e && c != '%') {
                        to[n++] = (char)c;
                        continue;
                }
                to[n++] = '%';
                to[n++] = "0123456789ABCDEF"[c >> 4];
                to[n++] = "0123456789ABCDEF"[c & 15];
        }
        return vn_str_n(to ? to : "", n);
}

size_t edge_grpc_trailers(struct vn_call *call, nghttp2_nv *nv)
{
        size_t n = 0;
        unsigned status = (unsigned)call->status <= 16 ? (unsigned)call->status : VN_UNKNOWN;
        nv[n++] = edge_nv_fixed("grpc-status", status_text[status]);
        if (call->status_message.len)
                nv[n++] = edge_nv("grpc-message", call->status_message);
        return n + add_list(call->trailing, nv + n);
}

void edge_grpc_finish(struct vn_call *call, enum vn_rc rc, const char *message)
{
        if (rc != VN_OK)
                edge_call_failed(call, rc);
        call->status = rc;
        call->status_message = encode_message(call, message);
        call->out_end = true;
        if (call->head_sent) {
                edge_call_resume(call);
                return;
        }
        nghttp2_nv nv[CALL_NV_MAX];
        size_t n = 0;
        nv[n++] = edge_nv_fixed(":status", "200");
        nv[n++] = edge_nv_fixed("content-type", "application/grpc");
        n += add_list(call->initial, nv + n);
        n += edge_grpc_trailers(call, nv + n);
        call->end_sent = true;
        edge_call_submit(call, nv, n, false);
}
