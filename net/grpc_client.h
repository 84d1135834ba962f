/* net/grpc_client.h - gRPC calls with protobuf-c messages, blocking, over the C core.
 * Purpose: what agents and vanectl speak to vaned with: all four kinds of call, TLS with a given CA, a client
 *   certificate or a bearer token, deadlines, cancellation, reconnection and keep-alive by the core.
 * Threads: a channel may be shared by any threads. A call belongs to one thread, except that one thread may send while
 *   another receives, and vn_grpc_cancel may come from any thread while the call lives.
 * Ownership: received messages live in the arena that is passed. A call must be freed before its channel.
 * Limits: one message 8 MiB each way; the arena bounds what unpacking may take.
 * Errors: the peer's status is the result, its message in err; UNAVAILABLE: not connected; DEADLINE_EXCEEDED.
 *   Tokens never appear in a message. Times are microseconds of real time, whatever the sandbox clock says. */
#ifndef VANE_NET_GRPC_CLIENT_H
#define VANE_NET_GRPC_CLIENT_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct vn_grpc_options {
        const char *target;     /* "host:port" */
        struct vn_str ca_pem;   /* empty: plain text, allowed to loopback addresses only */
        struct vn_str cert_pem; /* client certificate chain and key, both or neither */
        struct vn_str key_pem;
        const char *server_name; /* verified name if it is not target's host; NULL: target's */
        struct vn_str token;     /* sent as "authorization: Bearer ..." over TLS and loopback; may be empty */
        bool keep_alive;         /* pings while calls are open, every 60 s: for agents' long streams */
};

struct vn_grpc_channel;
enum vn_rc vn_grpc_channel_new(const struct vn_grpc_options *options, struct vn_grpc_channel **ret,
                               struct vn_err *err) VN_MUST_USE;
struct vn_grpc_channel *vn_grpc_channel_free(struct vn_grpc_channel *channel);
VN_DEFINE_AUTO(vn_grpc_channel);

/* A method is named as on the wire: "/vane.v1.Accounts/ListAccounts". timeout_us 0: no deadline. wait_ready: while the
 * channel is down, wait for it up to the deadline instead of failing at once. */
struct vn_grpc_method {
        const char *path;
        const ProtobufCMessageDescriptor *response;
        int64_t timeout_us;
        bool wait_ready;
};

/* One request, one response. */
enum vn_rc vn_grpc_unary(struct vn_grpc_channel *channel, const struct vn_grpc_method *method,
                         const ProtobufCMessage *request, struct vn_arena *arena, ProtobufCMessage **ret,
                         struct vn_err *err) VN_MUST_USE;

/* --- streams: open, send and receive in any order, then finish --- */
struct vn_grpc_call;
enum vn_rc vn_grpc_open(struct vn_grpc_channel *channel, const struct vn_grpc_method *method,
                        struct vn_grpc_call **ret, struct vn_err *err) VN_MUST_USE;
/* Blocks until the core has taken the message. CANCELLED once the call is over: vn_grpc_finish then says why. */
enum vn_rc vn_grpc_send(struct vn_grpc_call *call, const ProtobufCMessage *message, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_grpc_send_done(struct vn_grpc_call *call, struct vn_err *err) VN_MUST_USE; /* half-close */
/* The next message, or *ret NULL at the end of the stream (then finish). */
enum vn_rc vn_grpc_recv(struct vn_grpc_call *call, struct vn_arena *arena, ProtobufCMessage **ret,
                        struct vn_err *err) VN_MUST_USE;
/* Waits for the peer's status; the same again if asked again. */
enum vn_rc vn_grpc_finish(struct vn_grpc_call *call, struct vn_err *err) VN_MUST_USE;
void vn_grpc_cancel(struct vn_grpc_call *call);                    /* any thread */
struct vn_grpc_call *vn_grpc_call_free(struct vn_grpc_call *call); /* cancels what is under way and waits for it */
VN_DEFINE_AUTO(vn_grpc_call);

/* Sends one request and hands over each response; `each` returning anything but OK cancels the stream with that. */
enum vn_rc vn_grpc_server_stream(struct vn_grpc_channel *channel, const struct vn_grpc_method *method,
                                 const ProtobufCMessage *request, size_t arena_bytes,
                                 enum vn_rc (*each)(void *context, const ProtobufCMessage *message,
                                                    struct vn_err *err),
                                 void *context, struct vn_err *err) VN_MUST_USE;

/* protobuf-c's allocator over an arena (also for protobuf_c_message_unpack elsewhere): free is a no-op. */
ProtobufCAllocator vn_grpc_arena_allocator(struct vn_arena *arena);

#endif
