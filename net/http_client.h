/* net/http_client.h - HTTPS requests over libcurl, with limits on everything that the other side can make grow.
 * Purpose: the cloud adapters' and the server's way out. Two forms over the same rules: vn_http_do blocks and belongs
 *   to programs that run it on a thread of their own (agents); vn_http_async completes on a loop.
 * Threads: a vn_http (blocking) is used by one thread at a time; a vn_http_async belongs to its loop's thread: made
 *   before the loop starts or on it, started, cancelled and freed on it.
 * Ownership: requests borrow until vn_http_do or vn_http_async_start has returned (it copies); responses own.
 * Rules: certificates and names are verified; no redirects; https only, http only to loopback addresses where the
 *   options allow it; proxies of the environment are ignored. HTTP/2 where the server offers it, connections are kept.
 * Errors: any HTTP status is VN_OK. UNAVAILABLE: no connection or it broke. DEADLINE_EXCEEDED: the timeout.
 *   RESOURCE_EXHAUSTED: the answer is larger than allowed. Messages name the host only: never a path, query or header. */
#ifndef VANE_NET_HTTP_CLIENT_H
#define VANE_NET_HTTP_CLIENT_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct vn_loop;

struct vn_http_options {
        const char *ca_file;   /* NULL: the system's authorities */
        struct vn_str ca_pem;  /* instead of ca_file: exactly these authorities (pinned); copied */
        const char *cert_file; /* client certificate and key, both or neither */
        const char *key_file;
        const char *user_agent; /* NULL: "vane" */
        bool allow_local_http; /* to this machine, and to the link-local addresses at which clouds hand out credentials */
        bool http1_only;
};

#define VN_HTTP_MAX_HEADERS 64
#define VN_HTTP_MAX_RESPONSE_BYTES ((size_t)64 << 20)
#define VN_HTTP_MAX_HEAD_BYTES ((size_t)64 << 10)

struct vn_http_field {
        struct vn_str name, value;
};
struct vn_http_ask {
        const char *method; /* "GET", ... */
        const char *url;
        const struct vn_http_field *headers;
        size_t header_count;        /* at most VN_HTTP_MAX_HEADERS */
        struct vn_str body;         /* sent if ptr is not NULL or the method is POST, PUT or PATCH */
        int64_t timeout_us;         /* the whole exchange; 0: 30 s */
        int64_t connect_timeout_us; /* 0: 5 s */
        size_t max_response_bytes;  /* 0: 8 MiB */
        bool once; /* never sent twice, not even when a kept connection breaks before its answer (libcurl's habit) */
};
struct vn_http_answer {
        int status;
        struct vn_buf headers; /* "name\0value\0" pairs, names in lower case, last response only */
        struct vn_buf body;
};
void vn_http_answer_init(struct vn_http_answer *answer);
void vn_http_answer_done(struct vn_http_answer *answer);
/* The first header of that lower-case name; ptr NULL if there is none. */
struct vn_str vn_http_answer_header(const struct vn_http_answer *answer, const char *lower_name);

/* --- blocking --- */
struct vn_http;
enum vn_rc vn_http_new(const struct vn_http_options *options, struct vn_http **ret, struct vn_err *err) VN_MUST_USE;
struct vn_http *vn_http_free(struct vn_http *http);
VN_DEFINE_AUTO(vn_http);
/* `answer` is initialised by the caller and replaced; its buffers' memory is reused. */
enum vn_rc vn_http_do(struct vn_http *http, const struct vn_http_ask *ask, struct vn_http_answer *answer,
                      struct vn_err *err) VN_MUST_USE;
/* May be called from another thread or a signal handler: the exchange under way ends with CANCELLED. */
void vn_http_abort(struct vn_http *http);

/* --- on a loop --- */
struct vn_http_async;
struct vn_http_exchange;
/* Exactly once for each exchange that vn_http_async_start accepted, never from inside it; the answer lives until the
 * callback returns. */
typedef void (*vn_http_done)(void *context, enum vn_rc rc, const struct vn_http_answer *answer,
                             const struct vn_err *err);

enum vn_rc vn_http_async_new(struct vn_loop *loop, const struct vn_http_options *options, unsigned max_in_flight,
                             struct vn_http_async **ret, struct vn_err *err) VN_MUST_USE;
/* Exchanges under way end with CANCELLED (their callbacks run). */
struct vn_http_async *vn_http_async_free(struct vn_http_async *http);
/* RESOURCE_EXHAUSTED when max_in_flight are under way. ret may be NULL. */
enum vn_rc vn_http_async_start(struct vn_http_async *http, const struct vn_http_ask *ask, vn_http_done done,
                               void *context, struct vn_http_exchange **ret, struct vn_err *err) VN_MUST_USE;
/* Ends it now; its callback runs with CANCELLED before this returns. */
void vn_http_async_cancel(struct vn_http_exchange *exchange);

#endif
