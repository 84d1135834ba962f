/* net/edge.h - the edge: one listener that speaks HTTP/1.1, HTTP/2, gRPC (all four kinds) and JSON.
 * Purpose: accept, TLS with ALPN, frame, limit, authenticate, dispatch to vn_method rows and to raw HTTP handlers.
 * Threads: vn_edge_new.. and vn_edge_add_* before vn_edge_start; then each connection lives on one edge loop for life.
 * Ownership: tables and strings passed in must outlive the edge.
 * Limits: every figure in struct vn_edge_limits; each has a counter for how often it was hit. */
#ifndef VANE_NET_EDGE_H
#define VANE_NET_EDGE_H

#include "base/loop.h"
#include "net/service.h"

struct vn_edge;
struct vn_tls_server; /* base/tls.h */

struct vn_edge_limits {
        uint32_t max_connections;       /* 10,000 */
        uint32_t max_streams;           /* 100 concurrent streams a connection */
        uint32_t header_timeout_ms;     /* 10,000: whole request head, from its first byte */
        uint32_t body_timeout_ms;       /* 30,000: whole body of a non-streaming request */
        uint32_t idle_timeout_ms;       /* 300,000 */
        uint32_t max_header_bytes;      /* 32 KiB */
        uint32_t max_body_bytes;        /* 4 MiB */
        uint32_t outbox_bytes;          /* 256 KiB a call */
        uint32_t max_connection_age_ms; /* 0: no limit; then GOAWAY and grace */
};
void vn_edge_limits_default(struct vn_edge_limits *ret);

/* Fills identity from the verified certificate, bearer token or cookie of a call; UNAUTHENTICATED or OK. It runs before
 * access is checked against the row: an absent credential is OK with VN_ACCESS_PUBLIC. */
typedef enum vn_rc (*vn_authenticate)(void *context, struct vn_call *call, struct vn_identity *ret,
                                      struct vn_err *err);

enum vn_rc vn_edge_new(const struct vn_edge_limits *limits, unsigned loop_count, struct vn_edge **ret,
                       struct vn_err *err) VN_MUST_USE;
/* Listens on host:port (port 0: any; the one taken is returned). tls NULL: plain, loopback addresses only, else refused. */
enum vn_rc vn_edge_listen(struct vn_edge *edge, const char *host, uint16_t port, struct vn_tls_server *tls,
                          uint16_t *ret_port, struct vn_err *err) VN_MUST_USE;
void vn_edge_set_authenticator(struct vn_edge *edge, vn_authenticate authenticate, void *context);
/* Host and Origin values allowed on plain listeners ("127.0.0.1:8420", ...): others get 403 (DNS rebinding). */
enum vn_rc vn_edge_allow_host(struct vn_edge *edge, const char *host, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_edge_add_methods(struct vn_edge *edge, const struct vn_method *rows, size_t count, void *context,
                               struct vn_err *err) VN_MUST_USE;

/* --- raw HTTP: the UI's files, tiles, /metrics, login, and everything else that is not a method row --- */
struct vn_http_request {
        struct vn_str verb, path, query, body; /* path is decoded once, without the query */
        struct vn_call *call;                  /* headers, identity, loop, arena */
};
typedef void (*vn_http_handler)(void *context, const struct vn_http_request *request);
/* prefix "/ui/" matches all below it; "/metrics" only itself. The longest prefix wins. */
enum vn_rc vn_edge_add_http(struct vn_edge *edge, const char *prefix, enum vn_access access, vn_http_handler handler,
                            void *context, struct vn_err *err) VN_MUST_USE;
struct vn_http_header {
        const char *name, *value;
};
/* Answers a raw request; may be called later on the call's loop. Headers are copied; body too. */
void vn_http_reply(struct vn_call *call, int status, const char *content_type, struct vn_str body,
                   const struct vn_http_header *headers, size_t header_count);

/* For simulators: sends the head of such an answer and the first `sent` bytes of its body, then cuts the connection. sent 0:
 * cuts it at once. Like vn_http_reply, but never from inside the handler. */
void vn_http_break(struct vn_call *call, int status, const char *content_type, struct vn_str body, size_t sent);

/* Descriptor set (protoc --descriptor_set_out --include_imports) for the reflection service and openapi.json. */
enum vn_rc vn_edge_set_descriptors(struct vn_edge *edge, struct vn_str descriptor_set,
                                   struct vn_err *err) VN_MUST_USE;
/* Health service: "" is the whole server; unknown services are NOT_FOUND. */
void vn_edge_set_serving(struct vn_edge *edge, bool serving);

enum vn_rc vn_edge_start(struct vn_edge *edge, struct vn_err *err) VN_MUST_USE;
struct vn_loop *vn_edge_loop(struct vn_edge *edge, unsigned index);
unsigned vn_edge_loop_count(const struct vn_edge *edge);
/* GOAWAY and Connection: close, wait up to grace_ms for calls in flight, then cut. Blocks; not on an edge loop. */
void vn_edge_drain(struct vn_edge *edge, uint32_t grace_ms);
/* Ends within one turn of each loop every call whose identity matches (a revoked account or person). Any thread. */
void vn_edge_end_account(struct vn_edge *edge, uint64_t account_or_person_id);

/* What the edge counted, summed over its loops; any thread. Fields and their meaning: net/edge_stats.def. */
struct vn_edge_stats {
#define VN_EDGE_STAT(name, help) uint64_t name;
#include "net/edge_stats.def"
#undef VN_EDGE_STAT
};
void vn_edge_stats(const struct vn_edge *edge, struct vn_edge_stats *ret);
struct vn_edge *vn_edge_free(struct vn_edge *edge);

#endif
