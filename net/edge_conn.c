/* edge_conn.c - one connection's socket: read once a turn, write once a turn, TLS, time-outs, the end.
 * Which protocol: by ALPN under TLS; on plain sockets by the first bytes (the HTTP/2 preface or anything else). */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/tls.h"
#include "net/edge_internal.h"

#define READS_A_TURN 8
#define LINGER_MAX_BYTES (4u << 20)
#define SPARE_KEEP_BYTES (64u << 10)
#define STALL_US (30 * VN_US_PER_S)
#define DRAIN_GRACE_US (30 * VN_US_PER_S)

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
#define PREFACE_LEN (sizeof preface - 1)

enum io { IO_OK, IO_AGAIN, IO_END, IO_BAD };

static enum io tls_result(struct edge_conn *conn, int n)
{
        int error = SSL_get_error(conn->ssl, n);
        ERR_clear_error();
        if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                return IO_AGAIN;
        return error == SSL_ERROR_ZERO_RETURN ? IO_END : IO_BAD;
}

static enum io sock_read(struct edge_conn *conn, char *to, size_t room, size_t *ret)
{
        if (conn->ssl) {
                ERR_clear_error();
                int n = SSL_read(conn->ssl, to, (int)room);
                *ret = n > 0 ? (size_t)n : 0;
                return n > 0 ? IO_OK : tls_result(conn, n);
        }
        ssize_t n;
        do
                n = recv(conn->fd, to, room, 0);
        while (n < 0 && errno == EINTR);
        *ret = n > 0 ? (size_t)n : 0;
        if (n == 0)
                return IO_END;
        return n > 0 ? IO_OK : errno == EAGAIN ? IO_AGAIN : IO_BAD;
}

static enum io sock_write(struct edge_conn *conn, const char *from, size_t len, size_t *ret)
{
        if (conn->ssl) {
                ERR_clear_error();
                int n = SSL_write(conn->ssl, from, len > 1 << 20 ? 1 << 20 : (int)len);
                *ret = n > 0 ? (size_t)n : 0;
                return n > 0 ? IO_OK : tls_result(conn, n);
        }
        ssize_t n;
        do
                n = send(conn->fd, from, len, MSG_NOSIGNAL);
        while (n < 0 && errno == EINTR);
        *ret = n > 0 ? (size_t)n : 0;
        return n >= 0 ? IO_OK : errno == EAGAIN ? IO_AGAIN : IO_BAD;
}

void edge_conn_kill(struct edge_conn *conn)
{
        struct edge_loop *loop = conn->loop;
        if (conn->dead)
                return;
        conn->dead = true;
        event_del(&conn->read_event);
        event_del(&conn->write_event);
        *(conn->prev ? &conn->prev->next : &loop->conns) = conn->next;
        if (conn->next)
                conn->next->prev = conn->prev;
        loop->conn_count--;
        while (conn->calls)
                edge_call_detach(conn->calls);
        conn->next = loop->dead;
        loop->dead = conn;
        edge_count(loop, EDGE_STAT_closed, 1);
        event_active(loop->flush_event, EV_READ, 0);
}

void edge_conn_reap(struct edge_conn *conn)
{
        if (conn->h2)
                nghttp2_session_del(conn->h2);
        edge_h1_free(conn);
        SSL_free(conn->ssl);
        close(conn->fd);
        vn_buf_done(&conn->out);
        vn_buf_done(&conn->early);
        atomic_fetch_sub(&conn->loop->edge->connections, 1);
        vn_free(conn);
}

struct vn_buf *edge_conn_out(struct edge_conn *conn)
{
        if (!conn->out.ptr && conn->loop->spare.ptr) {
                conn->out = conn->loop->spare;
                conn->loop->spare = VN_BUF_INIT(EDGE_OUT_MAX_BYTES);
        }
        if (conn->out.ptr &&
            conn->out_at > EDGE_OUT_HIGH_BYTES / 4) { /* a slow reader: move the rest down, or it would only grow */
                memmove(conn->out.ptr, conn->out.ptr + conn->out_at, conn->out.len - conn->out_at);
                conn->out.len -= conn->out_at;
                conn->out_at = 0;
        }
        return &conn->out;
}

static void give_back(struct edge_conn *conn)
{
        vn_buf_reset(&conn->out);
        conn->out_at = 0;
        if (!conn->loop->spare.ptr && conn->out.cap <= SPARE_KEEP_BYTES) {
                conn->loop->spare = conn->out;
                conn->out = VN_BUF_INIT(EDGE_OUT_MAX_BYTES);
        } else {
                vn_buf_done(&conn->out);
                conn->out = VN_BUF_INIT(EDGE_OUT_MAX_BYTES);
        }
}

void edge_conn_read_pause(struct edge_conn *conn, bool off)
{
        if (conn->dead || conn->read_off == off)
                return;
        conn->read_off = off;
        if (off)
                event_del(&conn->read_event);
        else if (!event_add(&conn->read_event, NULL) && conn->ssl && SSL_has_pending(conn->ssl))
                event_active(&conn->read_event, EV_READ, 0);
}

static void watch_write(struct edge_conn *conn, bool on)
{
        if (conn->write_on == on)
                return;
        conn->write_on = on;
        if (on)
                event_add(&conn->write_event, NULL);
        else
                event_del(&conn->write_event);
}

/* Writes what is there; false once the connection is dead. */
static bool write_out(struct edge_conn *conn, bool *ret_blocked)
{
        *ret_blocked = false;
        while (conn->out_at < conn->out.len) {
                size_t n;
                enum io io = sock_write(conn, conn->out.ptr + conn->out_at, conn->out.len - conn->out_at, &n);
                if (io == IO_AGAIN) {
                        *ret_blocked = true;
                        break;
                }
                if (io != IO_OK) {
                        edge_conn_kill(conn);
                        return false;
                }
                conn->out_at += n;
                conn->stall_deadline_us = 0;
                edge_count(conn->loop, EDGE_STAT_bytes_out, n);
        }
        if (conn->out_at == conn->out.len && conn->out.ptr)
                give_back(conn);
        return true;
}

/* Nothing more will be said: close our half, then read away what still comes, because closing a socket with unread
 * bytes resets it, and the reset overtakes our last answer. */
static void linger(struct edge_conn *conn)
{
        conn->lingering = true;
        conn->linger_until_us = conn->loop->now_us + EDGE_LINGER_US;
        if (conn->ssl && conn->up) {
                SSL_shutdown(conn->ssl);
                ERR_clear_error();
        }
        shutdown(conn->fd, SHUT_WR);
        edge_conn_read_pause(conn, false);
        if (conn->peer_eof)
                edge_conn_kill(conn);
}

void edge_conn_flush(struct edge_conn *conn)
{
        bool blocked = false;
        if (conn->dead || conn->lingering || !conn->up)
                return;
        for (;;) {
                if (conn->protocol == CONN_H2 && !edge_h2_pump(conn)) {
                        edge_conn_kill(conn);
                        return;
                }
                if (conn->protocol == CONN_H1)
                        edge_h1_pump(conn);
                if (conn->dead)
                        return;
                bool had = conn->out_at < conn->out.len;
                if (!write_out(conn, &blocked))
                        return;
                if (conn->loop->wake) /* a full outbox drained: its handler may have more to say in this turn */
                        edge_call_wake(conn->loop);
                else if (blocked || !had)
                        break;
                if (conn->dead)
                        return;
                if (blocked)
                        break;
        }
        if (blocked && !conn->stall_deadline_us)
                conn->stall_deadline_us = conn->loop->now_us + STALL_US;
        watch_write(conn, blocked);
        if (!blocked && (conn->close_after || (conn->protocol == CONN_H2 && edge_h2_done(conn))))
                linger(conn);
}

static void on_write(evutil_socket_t fd, short what, void *arg)
{
        struct edge_conn *conn = arg;
        (void)fd, (void)what;
        edge_loop_now(conn->loop);
        conn->in_turn = true;
        edge_conn_flush(conn);
        conn->in_turn = false;
        if (conn->dead)
                event_active(conn->loop->flush_event, EV_READ, 0);
}

static bool choose(struct edge_conn *conn, enum conn_protocol protocol)
{
        conn->protocol = protocol;
        return (protocol == CONN_H2 ? edge_h2_start(conn) : edge_h1_start(conn)) == VN_OK;
}

static bool feed(struct edge_conn *conn, const char *bytes, size_t n)
{
        if (conn->protocol == CONN_H2)
                return edge_h2_input(conn, bytes, n) == VN_OK;
        edge_h1_input(conn, bytes, n);
        return true;
}

/* A plain connection says HTTP/2 by its preface; as soon as a byte differs it is HTTP/1. */
static bool sniff(struct edge_conn *conn, const char *bytes, size_t n)
{
        if (!vn_buf_add(&conn->early, bytes, n))
                return false;
        size_t known = conn->early.len < PREFACE_LEN ? conn->early.len : PREFACE_LEN;
        bool h2 = !memcmp(conn->early.ptr, preface, known);
        if (h2 && known < PREFACE_LEN)
                return true;
        if (!choose(conn, h2 ? CONN_H2 : CONN_H1))
                return false;
        bool ok = feed(conn, conn->early.ptr, conn->early.len);
        vn_buf_done(&conn->early);
        return ok;
}

static bool handshake(struct edge_conn *conn)
{
        ERR_clear_error();
        int n = SSL_do_handshake(conn->ssl);
        if (n != 1) {
                int error = SSL_get_error(conn->ssl, n);
                ERR_clear_error();
                watch_write(conn, error == SSL_ERROR_WANT_WRITE);
                if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
                        return true;
                edge_count(conn->loop, EDGE_STAT_handshake_failures, 1);
                if (vn_tls_peer_expired(conn->ssl))
                        edge_count(conn->loop, EDGE_STAT_expired, 1);
                return false;
        }
        watch_write(conn, false);
        conn->up = true;
        enum vn_rc rc = vn_tls_peer_uri(conn->ssl, conn->peer_uri, conn->peer_fingerprint);
        if (rc != VN_OK && rc != VN_NOT_FOUND)
                return false; /* a certificate that names nobody, or several */
        conn->has_peer = rc == VN_OK;
        conn->peer_until_s = vn_tls_peer_not_after_s(conn->ssl);
        const unsigned char *alpn;
        unsigned alpn_len;
        SSL_get0_alpn_selected(conn->ssl, &alpn, &alpn_len);
        if (!choose(conn, alpn_len == 2 && !memcmp(alpn, "h2", 2) ? CONN_H2 : CONN_H1))
                return false;
        conn->head_deadline_us = conn->loop->now_us + (int64_t)conn->loop->edge->limits.header_timeout_ms * 1000;
        return true;
}

static void read_end(struct edge_conn *conn)
{
        conn->peer_eof = true;
        edge_conn_read_pause(conn, true);
        /* A half-closed HTTP/1 client may still wait for its answer; a stream's reader is taken to have left. */
        bool waits = conn->protocol == CONN_H1 && conn->calls && !conn->calls->sse && conn->calls->request_ended;
        bool owed = conn->protocol == CONN_H1 && !conn->calls && conn->out_at < conn->out.len;
        conn->close_after = true;
        if (!waits && !owed)
                edge_conn_kill(conn);
}

static void read_turn(struct edge_conn *conn)
{
        struct edge_loop *loop = conn->loop;
        for (int i = 0; i < READS_A_TURN && !conn->dead && !conn->read_off; i++) {
                size_t n;
                enum io io = sock_read(conn, loop->in, sizeof loop->in, &n);
                if (io == IO_AGAIN)
                        return;
                if (io == IO_BAD) {
                        edge_conn_kill(conn);
                        return;
                }
                if (io == IO_END) {
                        read_end(conn);
                        return;
                }
                edge_count(loop, EDGE_STAT_bytes_in, n);
                if (conn->lingering) {
                        if ((conn->lingered_bytes += n) > LINGER_MAX_BYTES)
                                edge_conn_kill(conn);
                        continue;
                }
                conn->active_us = loop->now_us;
                if (!(conn->protocol == CONN_UNKNOWN ? sniff(conn, loop->in, n) : feed(conn, loop->in, n))) {
                        edge_conn_kill(conn);
                        return;
                }
                /* A plain read that did not fill the buffer has emptied the socket: no second look is needed. */
                if (!conn->ssl && n < sizeof loop->in)
                        return;
        }
        if (!conn->dead && !conn->read_off && conn->ssl && SSL_has_pending(conn->ssl))
                event_active(&conn->read_event, EV_READ, 0);
}

static void on_read(evutil_socket_t fd, short what, void *arg)
{
        struct edge_conn *conn = arg;
        (void)fd, (void)what;
        edge_loop_now(conn->loop);
        conn->in_turn = true;
        bool ok = conn->up || handshake(conn);
        if (!ok)
                edge_conn_kill(conn);
        if (conn->up && !conn->dead)
                read_turn(conn);
        edge_conn_flush(conn);
        conn->in_turn = false;
        /* While a peer does not take our answers it may not ask for more. */
        if (!conn->dead && !conn->lingering && conn->out.len - conn->out_at > EDGE_OUT_HIGH_BYTES &&
            conn->protocol == CONN_H2)
                edge_conn_read_pause(conn, true);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
        struct edge_conn *conn = arg;
        if (!conn->up) { /* the handshake waits to write */
                on_read(fd, what, arg);
                return;
        }
        on_write(fd, what, arg);
        if (!conn->dead && conn->read_off && conn->protocol == CONN_H2 && !conn->peer_eof &&
            conn->out.len - conn->out_at < EDGE_OUT_HIGH_BYTES / 2)
                edge_conn_read_pause(conn, false);
}

static void socket_options(int fd)
{
        int one = 1, idle_s = 60, interval_s = 15, probes = 4;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval_s, sizeof interval_s);
        setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
}

void edge_conn_adopt(struct edge_loop *loop, int fd, SSL_CTX *tls)
{
        edge_loop_now(loop);
        struct edge_conn *conn = vn_alloc(sizeof *conn);
        SSL *ssl = conn && tls ? SSL_new(tls) : NULL;
        if (!conn || (tls && (!ssl || !SSL_set_fd(ssl, fd)))) {
                edge_count(loop, EDGE_STAT_refused, 1);
                SSL_free(ssl);
                vn_free(conn);
                close(fd);
                atomic_fetch_sub(&loop->edge->connections, 1);
                return;
        }
        socket_options(fd);
        if (ssl)
                SSL_set_accept_state(ssl);
        conn->loop = loop;
        conn->fd = fd;
        conn->ssl = ssl;
        conn->plain = conn->up = !tls;
        conn->out = VN_BUF_INIT(EDGE_OUT_MAX_BYTES);
        conn->early = VN_BUF_INIT(EDGE_READ_BYTES + PREFACE_LEN);
        conn->born_us = conn->active_us = loop->now_us;
        conn->head_deadline_us = loop->now_us + (int64_t)loop->edge->limits.header_timeout_ms * 1000;
        conn->next = loop->conns;
        if (conn->next)
                conn->next->prev = conn;
        loop->conns = conn;
        loop->conn_count++;
        struct event_base *base = vn_loop_base(loop->loop);
        event_assign(&conn->read_event, base, fd, EV_READ | EV_PERSIST, on_read, conn);
        event_assign(&conn->write_event, base, fd, EV_WRITE | EV_PERSIST, on_writable, conn);
        edge_count(loop, EDGE_STAT_accepted, 1);
        if (event_add(&conn->read_event, NULL))
                edge_conn_kill(conn);
}

void edge_conn_drain(struct edge_conn *conn)
{
        if (conn->draining)
                return;
        conn->draining = true;
        conn->drain_step_us = conn->loop->now_us + EDGE_SWEEP_US;
        if (conn->protocol == CONN_H2)
                edge_h2_drain(conn, false);
        else if (!conn->calls) {
                conn->close_after = true;
                edge_loop_mark_dirty(conn);
                if (!conn->up)
                        edge_conn_kill(conn);
        }
}

static void sweep_calls(struct edge_conn *conn)
{
        struct vn_call *next;
        int64_t now_us = conn->loop->now_us;
        bool expired = edge_conn_expired(conn);
        for (struct vn_call *call = conn->calls; call && !conn->dead; call = next) {
                next = call->next;
                if (expired && !call->over) {
                        edge_count(conn->loop, EDGE_STAT_expired, 1);
                        edge_call_abort(call, VN_UNAUTHENTICATED, "the client certificate has expired");
                } else if (call->body_deadline_us && now_us > call->body_deadline_us && !call->over) {
                        edge_count(conn->loop, EDGE_STAT_body_timeouts, 1);
                        edge_call_abort(call, VN_DEADLINE_EXCEEDED, "the request body took too long");
                } else if (call->sse && now_us > call->sse_next_beat_us) {
                        edge_json_beat(call);
                }
        }
}

void edge_conn_sweep(struct edge_conn *conn)
{
        const struct vn_edge_limits *limits = &conn->loop->edge->limits;
        int64_t now_us = conn->loop->now_us;
        enum edge_stat why = EDGE_STAT_COUNT;
        if (conn->lingering ? now_us > conn->linger_until_us : false) {
                edge_conn_kill(conn);
                return;
        }
        if (conn->head_deadline_us && now_us > conn->head_deadline_us)
                why = EDGE_STAT_head_timeouts;
        else if (conn->stall_deadline_us && now_us > conn->stall_deadline_us)
                why = EDGE_STAT_stalls;
        else if (!conn->calls && now_us - conn->active_us > (int64_t)limits->idle_timeout_ms * 1000)
                why = EDGE_STAT_idle_closed;
        if (why != EDGE_STAT_COUNT) {
                edge_count(conn->loop, why, 1);
                edge_conn_kill(conn);
                return;
        }
        sweep_calls(conn);
        if (conn->dead)
                return;
        if (limits->max_connection_age_ms && !conn->draining &&
            now_us - conn->born_us > (int64_t)limits->max_connection_age_ms * 1000) {
                edge_count(conn->loop, EDGE_STAT_idle_closed, 1);
                edge_conn_drain(conn);
        } else if (conn->draining && !conn->lingering && now_us >= conn->drain_step_us) {
                if (conn->protocol == CONN_H2 && !conn->goaway_sent)
                        edge_h2_drain(conn, true);
                conn->goaway_sent = true;
                if (!conn->calls) {
                        conn->close_after = true;
                        edge_loop_mark_dirty(conn);
                } else if (now_us - conn->drain_step_us > DRAIN_GRACE_US) {
                        edge_conn_kill(conn);
                }
        }
}
