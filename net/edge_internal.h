/* edge_internal.h - what the files of the edge share; nothing outside net/edge*, h1*, h2*, grpc_server* includes it.
 * Threads: an edge_loop, its connections and their calls belong to that loop's thread. struct vn_edge is written before
 *   vn_edge_start only, but for the atomics and what stands under its lock.
 * A turn: bytes are read once, fed to the protocol, everything the turn produced leaves in one write (conn_flush).
 * Killing: edge_conn_kill takes a connection out of service at once, but its memory goes in the reaper of the same
 *   turn's end, because the protocol library may still be on the stack. */
#ifndef VANE_NET_EDGE_INTERNAL_H
#define VANE_NET_EDGE_INTERNAL_H

#include <event2/event.h>
#include <event2/event_struct.h>
#include <nghttp2/nghttp2.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/edge.h"
#include "net/edge_call.h"
#include "net/edge_route.h"

#define EDGE_MAX_LISTENERS 8
#define EDGE_MAX_LOOPS 64
#define EDGE_MAX_HOSTS 64
#define EDGE_READ_BYTES 65536
#define EDGE_OUT_HIGH_BYTES (256u << 10) /* above: no more frames are made until the socket takes some */
#define EDGE_OUT_MAX_BYTES (2u << 20)
#define EDGE_CONN_BUFFERED_MAX (32u << 20)  /* request bytes that one connection's calls may hold */
#define EDGE_LOOP_BUFFERED_MAX (512u << 20) /* and all of a loop's */
#define EDGE_POOL_CALLS 512
#define EDGE_SWEEP_US 250000
#define EDGE_LINGER_US 1000000
#define EDGE_MAX_REVOKED 64

enum edge_stat {
#define VN_EDGE_STAT(name, help) EDGE_STAT_##name,
#include "net/edge_stats.def"
#undef VN_EDGE_STAT
        EDGE_STAT_COUNT
};

struct edge_listener {
        struct vn_edge *edge;
        int fd;
        SSL_CTX *tls; /* NULL: plain */
        struct event *event;
};

enum conn_protocol { CONN_UNKNOWN, CONN_H1, CONN_H2 };

struct edge_conn {
        struct edge_conn *next, *prev; /* in the loop's list */
        struct edge_conn *next_dirty;
        struct edge_loop *loop;
        SSL *ssl;
        int fd;
        enum conn_protocol protocol;
        bool plain, up /* handshake done */, dead, dirty, in_turn, read_off, write_on, lingering, draining,
                close_after;
        bool peer_eof, has_peer, goaway_sent;
        struct event read_event, write_event;
        struct vn_buf out; /* made but not yet taken by the socket, from out_at on */
        size_t out_at;
        struct vn_buf early; /* a plain connection's first bytes, until its protocol is known */
        nghttp2_session *h2;
        struct h1_conn *h1;
        struct vn_call *calls;
        unsigned call_count;
        size_t buffered_bytes;
        int64_t born_us, active_us;
        int64_t head_deadline_us;  /* 0: none; the handshake or a request head must be whole by then */
        int64_t stall_deadline_us; /* 0: none; the socket must take something by then */
        int64_t linger_until_us, drain_step_us;
        size_t lingered_bytes;
        int64_t credit, credit_us; /* control frames, see h2.c */
        char peer_uri[256];
        uint8_t peer_fingerprint[32];
        int64_t peer_until_s; /* Unix time; a call that comes later is refused, an open one ends */
};

struct edge_loop {
        struct vn_edge *edge;
        struct vn_loop *loop;
        unsigned index;
        struct vn_timer *sweep;
        struct event *flush_event;
        struct edge_conn *conns, *dirty, *dead;
        unsigned conn_count;
        struct vn_call *pool, *wake; /* unused calls; calls whose `writable` is due */
        unsigned pool_count;
        struct vn_buf spare; /* an output buffer going from connection to connection */
        int64_t now_us;      /* monotonic, of this turn */
        char date[40];       /* HTTP date of this second */
        int64_t date_s;
        size_t buffered_bytes;
        nghttp2_session_callbacks *h2_callbacks;
        nghttp2_option *h2_option;
        _Atomic uint64_t stats[EDGE_STAT_COUNT];

        pthread_mutex_t lock; /* guards what follows: orders from other threads */
        bool order_posted, drain_asked, cut_asked, revoke_all;
        struct vn_task order;
        uint64_t revoked[EDGE_MAX_REVOKED];
        unsigned revoked_count;
        char in[EDGE_READ_BYTES];
};

struct vn_edge {
        struct vn_edge_limits limits;
        unsigned loop_count;
        struct edge_loop *loops[EDGE_MAX_LOOPS];
        struct edge_listener listeners[EDGE_MAX_LISTENERS];
        unsigned listener_count;
        char hosts[EDGE_MAX_HOSTS][128];
        unsigned host_count;
        vn_authenticate authenticate;
        void *authenticate_context;
        struct edge_routes routes;
        struct vn_timer *accept_again; /* loop 0's */
        unsigned next_loop;
        bool started;
        atomic_uint connections;
        atomic_bool draining, serving, ending;
        struct vn_health *health;
        struct vn_reflection *reflection;
};

static inline void edge_count(struct edge_loop *loop, enum edge_stat stat, uint64_t n)
{
        /* One writer a loop: no locked instruction is needed, only that readers see whole values. */
        atomic_store_explicit(&loop->stats[stat], atomic_load_explicit(&loop->stats[stat], memory_order_relaxed) + n,
                              memory_order_relaxed);
}

static inline bool edge_conn_expired(const struct edge_conn *conn)
{
        return conn->has_peer && vn_now_us(vn_clock_real()) >= conn->peer_until_s * VN_US_PER_S;
}

/* edge_loop.c */
enum vn_rc edge_loop_new(struct vn_edge *edge, unsigned index, struct edge_loop **ret,
                         struct vn_err *err) VN_MUST_USE;
struct edge_loop *edge_loop_free(struct edge_loop *loop);
void edge_loop_order(struct edge_loop *loop); /* with its lock held */
void edge_loop_mark_dirty(struct edge_conn *conn);
void edge_loop_now(struct edge_loop *loop);
const char *edge_loop_date(struct edge_loop *loop);

/* edge_conn.c */
void edge_conn_adopt(struct edge_loop *loop, int fd, SSL_CTX *tls);
void edge_conn_flush(struct edge_conn *conn);
void edge_conn_kill(struct edge_conn *conn);
void edge_conn_reap(struct edge_conn *conn);
void edge_conn_read_pause(struct edge_conn *conn, bool off);
struct vn_buf *edge_conn_out(struct edge_conn *conn); /* to append output to */
void edge_conn_sweep(struct edge_conn *conn);
void edge_conn_drain(struct edge_conn *conn);

/* h2.c */
enum vn_rc edge_h2_setup(struct edge_loop *loop, struct vn_err *err) VN_MUST_USE;
enum vn_rc edge_h2_start(struct edge_conn *conn) VN_MUST_USE;
enum vn_rc edge_h2_input(struct edge_conn *conn, const char *bytes, size_t n) VN_MUST_USE;
bool edge_h2_pump(struct edge_conn *conn); /* false: the connection is beyond help */
bool edge_h2_done(struct edge_conn *conn);
void edge_h2_calm(struct edge_conn *conn, uint32_t error_code);
void edge_h2_drain(struct edge_conn *conn, bool final);
void edge_h2_respond(struct vn_call *call, const nghttp2_nv *nv, size_t count, bool body);
void edge_h2_resume(struct vn_call *call);
void edge_h2_reset(struct vn_call *call, uint32_t error_code);
void edge_h2_consume(struct vn_call *call, size_t bytes);

/* h1_conn.c */
enum vn_rc edge_h1_start(struct edge_conn *conn) VN_MUST_USE;
void edge_h1_input(struct edge_conn *conn, const char *bytes, size_t n);
void edge_h1_pump(struct edge_conn *conn);
void edge_h1_respond(struct vn_call *call, const nghttp2_nv *nv, size_t count, bool body);
void edge_h1_call_gone(struct vn_call *call);
void edge_h1_free(struct edge_conn *conn);

#endif
