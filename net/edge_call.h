/* edge_call.h - a request in flight, whatever carries it; internal to the edge.
 * Life: made at the first header, `over` when the handler has finished it or the peer is gone, unlinked from its
 *   connection when the transport is done with it, back to the loop's pool at the last unref. */
#ifndef VANE_NET_EDGE_CALL_H
#define VANE_NET_EDGE_CALL_H

#include <event2/event_struct.h>
#include <nghttp2/nghttp2.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "base/str.h"
#include "net/service.h"

#define CALL_INLINE_HEADERS 24
#define CALL_MAX_HEADERS 128
#define CALL_ARENA_BYTES (8u << 20)
#define CALL_MAX_METADATA 32
#define CALL_NV_MAX (CALL_MAX_METADATA + 16)

struct edge_conn;
struct edge_loop;
struct edge_entry;
struct edge_raw;

enum call_kind { CALL_NEW, CALL_GRPC, CALL_JSON, CALL_RAW, CALL_REFUSED };

struct call_header {
        struct vn_str name, value;
};

struct call_metadata {
        struct call_metadata *next;
        struct vn_str name, value;
};

struct vn_call {
        struct vn_call *next, *prev; /* in the connection's list, or the pool's */
        struct vn_call *next_wake;
        struct edge_conn *conn; /* NULL once the transport is done with the call */
        struct edge_loop *loop;
        unsigned refs;
        int32_t stream_id; /* 0: HTTP/1.1 */
        enum call_kind kind;
        const struct edge_entry *entry;
        const struct edge_raw *raw;
        struct vn_identity identity;
        void *user;

        struct vn_arena arena, message_arena; /* message_arena: of one streamed message at a time */
        struct vn_arena *arena_now;           /* which of them the allocator fills */
        struct vn_arena head_arena;           /* of the answer's head: a deadline may end the call on its loop while
                                                 another thread still fills `arena` */
        ProtobufCAllocator allocator;
        bool arena_full;

        struct vn_str verb, target, authority, path, query;
        size_t header_bytes;
        unsigned header_count, header_room;
        struct call_header *headers;
        bool head_too_large, headers_broken;

        bool head_done, request_ended, started, discard, finished, aborted, waking, want_writable;
        atomic_bool over; /* set on the loop; whoever works for the call elsewhere may look */
        bool read_paused, is_head, sse;
        int64_t body_deadline_us; /* 0: none */
        int64_t deadline_us;
        struct event deadline_event;
        bool deadline_armed;

        struct vn_buf body;  /* HTTP body, or the gRPC message being put together */
        struct vn_buf stash; /* paused streams: what came after the message that paused it */
        size_t held_bytes;   /* counted in conn->buffered_bytes */
        bool half_close_due;
        uint8_t prefix[5];
        unsigned prefix_len;
        uint32_t message_len;
        ProtobufCMessage *request;
        unsigned message_count;

        struct vn_buf out; /* response bytes from out_at on */
        size_t out_at;
        bool head_sent, out_end, out_deferred, end_sent;
        int64_t content_length; /* of the response; -1: unknown */
        enum vn_rc status;
        struct vn_str status_message;
        struct call_metadata *initial, *trailing;
        unsigned metadata_count;
        uint64_t sse_id;
        int64_t sse_next_beat_us;
        struct call_header header_store[CALL_INLINE_HEADERS];
};

/* edge_call.c */
struct vn_call *edge_call_new(struct edge_conn *conn, int32_t stream_id);
void edge_call_header(struct vn_call *call, struct vn_str name, struct vn_str value); /* copied */
void edge_call_head_done(struct vn_call *call);
void edge_call_data(struct vn_call *call, const char *bytes, size_t n);
void edge_call_request_ended(struct vn_call *call);
/* The transport has no more use for the call: its stream closed or its connection went. */
void edge_call_detach(struct vn_call *call);
/* The edge ends it in the handler's stead: deadline, revocation, body too slow. */
void edge_call_abort(struct vn_call *call, enum vn_rc rc, const char *message);
void edge_call_wake(struct edge_loop *loop);
void edge_call_writable_soon(struct vn_call *call);
void edge_call_run(struct vn_call *call); /* the whole request is there: start the handler */
/* For the handler's one finish: true if there is still somebody to answer. */
bool edge_call_finish_once(struct vn_call *call);
/* Says that the call now holds that many request bytes; false: over the connection's or the loop's limit. */
bool edge_call_hold(struct vn_call *call, size_t bytes);
/* Counts an answer that is an error. */
void edge_call_failed(const struct vn_call *call, enum vn_rc rc);
/* Space in the outbox for n more bytes, or RESOURCE_EXHAUSTED and `writable` later. */
enum vn_rc edge_call_outbox(struct vn_call *call, size_t n) VN_MUST_USE;
/* Identity, then the role that is needed; VN_OK or why not. */
enum vn_rc edge_call_admit(struct vn_call *call, enum vn_access need, struct vn_err *err) VN_MUST_USE;
void edge_call_submit(struct vn_call *call, const nghttp2_nv *nv, size_t count, bool body);
void edge_call_resume(struct vn_call *call);
size_t edge_call_pending(const struct vn_call *call);
nghttp2_nv edge_nv(const char *name, struct vn_str value);
nghttp2_nv edge_nv_fixed(const char *name, const char *value);

/* grpc_server.c: after edge_call_head_done has seen content-type application/grpc */
void edge_grpc_head(struct vn_call *call);
void edge_grpc_data(struct vn_call *call, const char *bytes, size_t n);
void edge_grpc_ended(struct vn_call *call);
void edge_grpc_read_resume(struct vn_call *call);
enum vn_rc edge_grpc_send(struct vn_call *call, const ProtobufCMessage *message) VN_MUST_USE;
void edge_grpc_finish(struct vn_call *call, enum vn_rc rc, const char *message);
size_t edge_grpc_trailers(struct vn_call *call, nghttp2_nv *nv);

/* edge_http.c: method rows as JSON, raw handlers, plain errors */
void edge_http_head(struct vn_call *call);
void edge_http_ended(struct vn_call *call);
void edge_http_error(struct vn_call *call, int status, enum vn_rc rc, const char *message);
void edge_json_reply(struct vn_call *call, const ProtobufCMessage *message);
enum vn_rc edge_json_send(struct vn_call *call, const ProtobufCMessage *message) VN_MUST_USE;
void edge_json_finish(struct vn_call *call, enum vn_rc rc, const char *message);
void edge_json_beat(struct vn_call *call); /* SSE heartbeat, from the sweep */

#endif
