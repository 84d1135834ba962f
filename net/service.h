/* net/service.h - one table row adds a method: to gRPC, to HTTP/JSON and to /openapi.json.
 * Purpose: what a handler sees. The edge (edge.h) speaks HTTP/2, HTTP/1.1, gRPC and JSON below it; a handler sees
 *   unpacked protobuf-c messages and a call, and cannot tell which of them carried it.
 * Threads: every function here runs on the call's loop, and so do the handler's callbacks. Work elsewhere holds a
 *   reference, taken with vn_call_ref and given back on the loop, and comes back with vn_loop_post(vn_call_loop(call),
 *   ...); until then it may ask vn_call_over, read identity, method, context and headers, and fill the call's arena.
 * Ownership: a call is reference-counted: the edge holds one until it is over, the handler takes its own for
 *   whatever completes later. Request messages live in the call's arena: unary and server-stream requests until the
 *   call is freed, streamed ones until on_message returns.
 * Limits: one request message 4 MiB (per row: max_request_bytes), arena 8 MiB, outbox 256 KiB a call. */
#ifndef VANE_NET_SERVICE_H
#define VANE_NET_SERVICE_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct vn_call;
struct vn_loop;

enum vn_method_kind { VN_UNARY, VN_SERVER_STREAM, VN_CLIENT_STREAM, VN_BIDI };
enum vn_http_verb { VN_HTTP_NONE, VN_HTTP_GET, VN_HTTP_POST, VN_HTTP_PUT, VN_HTTP_PATCH, VN_HTTP_DELETE };

/* Who may call. ENROLL: TLS without a client certificate (the join token is in the message). AGENT: a verified client
 * certificate. The others: a person's token or session with at least that role (admin > approver,operator > viewer). */
enum vn_access {
        VN_ACCESS_PUBLIC,
        VN_ACCESS_ENROLL,
        VN_ACCESS_AGENT,
        VN_ACCESS_VIEWER,
        VN_ACCESS_OPERATOR,
        VN_ACCESS_APPROVER,
        VN_ACCESS_ADMIN,
};

#define VN_MAX_TENANT_BYTES 64
#define VN_MAX_ACTOR_BYTES 96

/* Filled by the authenticator (edge.h) before the handler runs; never from anything that the peer merely says. */
struct vn_identity {
        enum vn_access access;            /* the highest that the caller holds */
        char tenant[VN_MAX_TENANT_BYTES]; /* "" for public */
        char actor[VN_MAX_ACTOR_BYTES];   /* "person:alice", "account:ID", "" for public */
        uint64_t account_id;              /* agents only, else 0 */
        uint64_t person_id; /* people only, else 0: vn_edge_end_account ends them by it; good for this boot */
};

struct vn_method {
        const char *service; /* "vane.v1.Accounts" */
        const char *name;    /* "CreateAccount" */
        enum vn_method_kind kind;
        enum vn_access access;
        const ProtobufCMessageDescriptor *request;
        const ProtobufCMessageDescriptor *response;
        enum vn_http_verb verb; /* VN_HTTP_NONE: gRPC only */
        const char
                *path; /* "/v1/accounts/{name}": {field} fills a request field; GET fills the rest from the query */
        const char *help;         /* one sentence, for openapi.json */
        size_t max_request_bytes; /* 0: 4 MiB */

        /* Unary and server stream: the whole request is there. Finish now or later. */
        void (*start)(struct vn_call *call, const ProtobufCMessage *request);
        /* Client and bidi streams: open, then a message at a time, then the peer's half-close. */
        void (*open)(struct vn_call *call);
        void (*message)(struct vn_call *call, const ProtobufCMessage *message);
        void (*half_close)(struct vn_call *call);
        /* The call ended before the handler finished it (peer gone, deadline, drain). NULL: nothing to undo. */
        void (*cancelled)(struct vn_call *call);
        /* The outbox has room again after vn_call_send returned RESOURCE_EXHAUSTED. */
        void (*writable)(struct vn_call *call);
};

/* Sends one message of a response stream; RESOURCE_EXHAUSTED when the outbox is full (nothing was queued),
 * CANCELLED after the end. The message is packed at once: the caller keeps it. */
enum vn_rc vn_call_send(struct vn_call *call, const ProtobufCMessage *message) VN_MUST_USE;
/* Unary and client stream: answers with the message and OK. A second finish is a bug and stops the process. */
void vn_call_reply(struct vn_call *call, const ProtobufCMessage *message);
/* Ends with a status: an error, or OK at the end of a response stream (err NULL). */
void vn_call_finish(struct vn_call *call, enum vn_rc rc, const struct vn_err *err);
/* True once the peer is gone or the call is finished: stop working for it. */
bool vn_call_over(const struct vn_call *call);

struct vn_call *vn_call_ref(struct vn_call *call);
struct vn_call *vn_call_unref(struct vn_call *call);
struct vn_loop *vn_call_loop(struct vn_call *call);
struct vn_arena *vn_call_arena(struct vn_call *call); /* lives until the call is freed; for replies */
const struct vn_identity *vn_call_identity(const struct vn_call *call);
const struct vn_method *vn_call_method(const struct vn_call *call);
void *vn_call_user(const struct vn_call *call); /* whatever the handler keeps with the call; NULL at first */
void vn_call_set_user(struct vn_call *call, void *user);
/* The server-wide pointer that the table was registered with (vn_edge_add_methods). */
void *vn_call_context(const struct vn_call *call);
/* Microseconds of vn_clock_real's mono clock at which the peer's deadline passes; INT64_MAX without one. */
int64_t vn_call_deadline_us(const struct vn_call *call);
/* A request header or gRPC metadata value by lower-case name; empty if absent. */
struct vn_str vn_call_header(const struct vn_call *call, const char *name);
/* "GET", "POST", ...; gRPC calls are "POST". */
struct vn_str vn_call_verb(const struct vn_call *call);
/* Adds a gRPC header or trailer (an HTTP header, for JSON) to the answer; copied. Names are lower case; values of names
 * that end in "-bin" are base64, as they are on the wire. At most 32 a call; initial ones before the first message. */
enum vn_rc vn_call_add_initial_metadata(struct vn_call *call, const char *name, struct vn_str value) VN_MUST_USE;
enum vn_rc vn_call_add_trailing_metadata(struct vn_call *call, const char *name, struct vn_str value) VN_MUST_USE;
/* Streams: no further message is delivered until it is resumed; the peer is held back by flow control. */
void vn_call_pause_reading(struct vn_call *call, bool pause);
/* The one URI SAN of the peer's verified certificate, or NULL without one. */
const char *vn_call_peer_uri(const struct vn_call *call);
/* The TLS peer's certificate fingerprint (SHA-256) or NULL. */
const uint8_t *vn_call_peer_fingerprint(const struct vn_call *call);

#endif
