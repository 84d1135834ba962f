/* edge.c - the edge as a whole: making, listening, accepting, starting, draining, ending. See edge.h. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/tls.h"
#include "net/edge_internal.h"
#include "net/health.h"
#include "net/reflection.h"

#define LISTEN_BACKLOG 1024
#define ACCEPTS_A_TURN 64
#define ACCEPT_PAUSE_US 100000
#define DRAIN_POLL_NS 5000000

void vn_edge_limits_default(struct vn_edge_limits *ret)
{
        *ret = (struct vn_edge_limits){
                .max_connections = 10000,
                .max_streams = 100,
                .header_timeout_ms = 10000,
                .body_timeout_ms = 30000,
                .idle_timeout_ms = 300000,
                .max_header_bytes = 32u << 10,
                .max_body_bytes = 4u << 20,
                .outbox_bytes = 256u << 10,
        };
}

enum vn_rc vn_edge_new(const struct vn_edge_limits *limits, unsigned loop_count, struct vn_edge **ret,
                       struct vn_err *err)
{
        *ret = NULL;
        if (loop_count == 0 || loop_count > EDGE_MAX_LOOPS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "edge: 1 to %d loops, not %u", EDGE_MAX_LOOPS, loop_count);
        struct vn_edge *edge = vn_alloc(sizeof *edge);
        if (!edge)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "edge: out of memory");
        if (limits)
                edge->limits = *limits;
        else
                vn_edge_limits_default(&edge->limits);
        atomic_store(&edge->serving, true);
        enum vn_rc rc = VN_OK;
        while (rc == VN_OK && edge->loop_count < loop_count) {
                rc = edge_loop_new(edge, edge->loop_count, &edge->loops[edge->loop_count], err);
                if (rc == VN_OK)
                        edge->loop_count++;
        }
        if (rc == VN_OK)
                rc = vn_health_new(edge, &edge->health, err);
        if (rc == VN_OK)
                rc = vn_reflection_new(edge, &edge->reflection, err);
        if (rc != VN_OK) {
                vn_edge_free(edge);
                return rc;
        }
        *ret = edge;
        return VN_OK;
}

void vn_edge_set_authenticator(struct vn_edge *edge, vn_authenticate authenticate, void *context)
{
        edge->authenticate = authenticate;
        edge->authenticate_context = context;
}

enum vn_rc vn_edge_allow_host(struct vn_edge *edge, const char *host, struct vn_err *err)
{
        if (edge->host_count == EDGE_MAX_HOSTS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "edge: more than %d allowed hosts", EDGE_MAX_HOSTS);
        if (!host[0] || !vn_str_copy(edge->hosts[edge->host_count], sizeof edge->hosts[0], vn_str(host)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "edge: host \"%.64s\"", host);
        edge->host_count++;
        return VN_OK;
}

enum vn_rc vn_edge_add_methods(struct vn_edge *edge, const struct vn_method *rows, size_t count, void *context,
                               struct vn_err *err)
{
        VN_ASSERT(!edge->started);
        for (size_t i = 0; i < count; i++)
                VN_TRY(edge_routes_add(&edge->routes, &rows[i], context, err));
        return VN_OK;
}

enum vn_rc vn_edge_add_http(struct vn_edge *edge, const char *prefix, enum vn_access access, vn_http_handler handler,
                            void *context, struct vn_err *err)
{
        VN_ASSERT(!edge->started);
        return edge_routes_add_raw(&edge->routes, prefix, access, handler, context, err);
}

enum vn_rc vn_edge_set_descriptors(struct vn_edge *edge, struct vn_str descriptor_set, struct vn_err *err)
{
        return vn_reflection_add(edge->reflection, descriptor_set, err);
}

/* --- listening --- */

static bool is_loopback(const struct sockaddr *address)
{
        if (address->sa_family == AF_INET)
                return (ntohl(((const struct sockaddr_in *)(const void *)address)->sin_addr.s_addr) >> 24) == 127;
        return address->sa_family == AF_INET6 &&
               IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)(const void *)address)->sin6_addr);
}

static uint16_t bound_port(int fd)
{
        union {
                struct sockaddr any;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
        } address = {.v6 = {.sin6_family = AF_UNSPEC}};
        socklen_t len = sizeof address;
        if (getsockname(fd, &address.any, &len))
                return 0;
        return ntohs(address.any.sa_family == AF_INET6 ? address.v6.sin6_port : address.v4.sin_port);
}

static enum vn_rc open_listener(const char *host, uint16_t port, bool plain, int *ret_fd, struct vn_err *err)
{
        char service[8];
        struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
        int one = 1, fd = -1;
        snprintf(service, sizeof service, "%u", port);
        int error = getaddrinfo(host, service, &hints, &found);
        if (error)
                return vn_fail(err, VN_INVALID_ARGUMENT, "listen on %s: %s", host, gai_strerror(error));
        enum vn_rc rc = VN_OK;
        if (plain && !is_loopback(found->ai_addr))
                rc = vn_fail(err, VN_INVALID_ARGUMENT,
                             "listen on %s:%u: without TLS only loopback addresses are served", host, port);
        if (rc == VN_OK) {
                fd = socket(found->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
                if (fd >= 0)
                        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
                if (fd < 0 || bind(fd, found->ai_addr, found->ai_addrlen) || listen(fd, LISTEN_BACKLOG))
                        rc = vn_fail(err, vn_rc_from_errno(errno), "listen on %s:%u: %s", host, port,
                                     strerror(errno));
        }
        freeaddrinfo(found);
        if (rc != VN_OK && fd >= 0)
                close(fd);
        else
                *ret_fd = fd;
        return rc;
}

struct hand_off {
        struct vn_task task;
        struct edge_loop *loop;
        SSL_CTX *tls;
        int fd;
};

static void take_over(struct vn_task *task)
{
        struct hand_off *hand = (struct hand_off *)task;
        struct vn_edge *edge = hand->loop->edge;
        if (atomic_load(&edge->ending)) { /* too late: the loop is being taken apart */
                close(hand->fd);
                atomic_fetch_sub(&edge->connections, 1);
        } else {
                edge_conn_adopt(hand->loop, hand->fd, hand->tls);
        }
        vn_free(hand);
}

static void hand_over(struct vn_edge *edge, struct edge_listener *listener, int fd)
{
        struct edge_loop *home = edge->loops[0], *loop = edge->loops[edge->next_loop++ % edge->loop_count];
        if (atomic_fetch_add(&edge->connections, 1) >= edge->limits.max_connections) {
                atomic_fetch_sub(&edge->connections, 1);
                edge_count(home, EDGE_STAT_refused, 1);
                close(fd);
                return;
        }
        struct hand_off *hand = loop == home ? NULL : vn_alloc(sizeof *hand);
        if (!hand) { /* our own, or no memory for the message: then it is ours too */
                edge_conn_adopt(home, fd, listener->tls);
                return;
        }
        *hand = (struct hand_off){{take_over, NULL}, loop, listener->tls, fd};
        vn_loop_post(loop->loop, &hand->task);
}

static void on_accept(evutil_socket_t listen_fd, short what, void *arg)
{
        struct edge_listener *listener = arg;
        struct vn_edge *edge = listener->edge;
        (void)what;
        for (int i = 0; i < ACCEPTS_A_TURN; i++) {
                int fd = VN_FAULT("edge.accept") ? (errno = EMFILE, -1)
                                                 : accept4((int)listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                if (fd >= 0) {
                        hand_over(edge, listener, fd);
                        continue;
                }
                if (errno == EINTR || errno == ECONNABORTED)
                        continue;
                if (errno == EAGAIN)
                        return;
                /* Out of descriptors or memory: the backlog waits, the connections we have go on. */
                edge_count(edge->loops[0], EDGE_STAT_accept_pauses, 1);
                for (unsigned l = 0; l < edge->listener_count; l++)
                        event_del(edge->listeners[l].event);
                vn_timer_once(edge->accept_again, ACCEPT_PAUSE_US);
                return;
        }
}

static void accept_again(void *arg)
{
        struct vn_edge *edge = arg;
        for (unsigned l = 0; l < edge->listener_count && !atomic_load(&edge->draining); l++)
                event_add(edge->listeners[l].event, NULL);
}

static enum vn_rc allow_default_hosts(struct vn_edge *edge, const char *host, uint16_t port, struct vn_err *err)
{
        char text[128];
        bool v6 = strchr(host, ':') != NULL;
        snprintf(text, sizeof text, v6 ? "[%.64s]:%u" : "%.64s:%u", host, port);
        VN_TRY(vn_edge_allow_host(edge, text, err));
        snprintf(text, sizeof text, "localhost:%u", port);
        return vn_edge_allow_host(edge, text, err);
}

enum vn_rc vn_edge_listen(struct vn_edge *edge, const char *host, uint16_t port, struct vn_tls_server *tls,
                          uint16_t *ret_port, struct vn_err *err)
{
        VN_ASSERT(!edge->started);
        if (edge->listener_count == EDGE_MAX_LISTENERS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "edge: more than %d listeners", EDGE_MAX_LISTENERS);
        int fd = -1;
        VN_TRY(open_listener(host, port, !tls, &fd, err));
        port = bound_port(fd);
        struct edge_listener *listener = &edge->listeners[edge->listener_count];
        *listener = (struct edge_listener){.edge = edge, .fd = fd, .tls = tls ? vn_tls_server_ctx(tls) : NULL};
        listener->event =
                event_new(vn_loop_base(edge->loops[0]->loop), fd, EV_READ | EV_PERSIST, on_accept, listener);
        enum vn_rc rc = listener->event ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "edge: out of memory");
        if (rc == VN_OK && !tls)
                rc = allow_default_hosts(edge, host, port, err);
        if (rc != VN_OK) {
                if (listener->event)
                        event_free(listener->event);
                close(fd);
                return rc;
        }
        if (listener->tls)
                SSL_CTX_up_ref(listener->tls);
        edge->listener_count++;
        if (ret_port)
                *ret_port = port;
        return VN_OK;
}

/* --- life --- */

enum vn_rc vn_edge_start(struct vn_edge *edge, struct vn_err *err)
{
        VN_ASSERT(!edge->started);
        VN_TRY(vn_timer_new(edge->loops[0]->loop, accept_again, edge, &edge->accept_again, err));
        for (unsigned i = 0; i < edge->listener_count; i++)
                if (event_add(edge->listeners[i].event, NULL))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "edge: cannot watch a listener");
        edge->started = true;
        signal(SIGPIPE, SIG_IGN); /* OpenSSL writes with write(2), which knows no MSG_NOSIGNAL */
        for (unsigned i = 0; i < edge->loop_count; i++)
                VN_TRY(vn_loop_start(edge->loops[i]->loop, err));
        return VN_OK;
}

struct vn_loop *vn_edge_loop(struct vn_edge *edge, unsigned index)
{
        VN_ASSERT(index < edge->loop_count);
        return edge->loops[index]->loop;
}

unsigned vn_edge_loop_count(const struct vn_edge *edge)
{
        return edge->loop_count;
}

void vn_edge_set_serving(struct vn_edge *edge, bool serving)
{
        atomic_store(&edge->serving, serving);
        vn_health_changed(edge->health);
}

static void order_all(struct vn_edge *edge, bool drain, bool cut)
{
        for (unsigned i = 0; i < edge->loop_count; i++) {
                struct edge_loop *loop = edge->loops[i];
                pthread_mutex_lock(&loop->lock);
                loop->drain_asked |= drain;
                loop->cut_asked |= cut;
                edge_loop_order(loop);
                pthread_mutex_unlock(&loop->lock);
        }
}

static void wait_until_empty(struct vn_edge *edge, int64_t until_us)
{
        struct timespec pause = {0, DRAIN_POLL_NS};
        while (atomic_load(&edge->connections) && vn_mono_us(vn_clock_real()) < until_us)
                nanosleep(&pause, NULL);
}

void vn_edge_drain(struct vn_edge *edge, uint32_t grace_ms)
{
        if (!edge->started)
                return;
        for (unsigned i = 0; i < edge->loop_count; i++)
                VN_ASSERT(!vn_loop_is_current(edge->loops[i]->loop));
        vn_edge_set_serving(edge, false);
        atomic_store(&edge->draining, true);
        order_all(edge, true, false);
        wait_until_empty(edge, vn_mono_us(vn_clock_real()) + (int64_t)grace_ms * VN_US_PER_MS);
        order_all(edge, false, true);
        wait_until_empty(edge, vn_mono_us(vn_clock_real()) + VN_US_PER_S);
}

void vn_edge_end_account(struct vn_edge *edge, uint64_t account_or_person_id)
{
        for (unsigned i = 0; i < edge->loop_count; i++) {
                struct edge_loop *loop = edge->loops[i];
                pthread_mutex_lock(&loop->lock);
                /* More than fit before the loop looks: every call of agents and people ends, and those still
                 * welcome call again. */
                if (loop->revoked_count == EDGE_MAX_REVOKED)
                        loop->revoke_all = true;
                else
                        loop->revoked[loop->revoked_count++] = account_or_person_id;
                edge_loop_order(loop);
                pthread_mutex_unlock(&loop->lock);
        }
}

void vn_edge_stats(const struct vn_edge *edge, struct vn_edge_stats *ret)
{
        *ret = (struct vn_edge_stats){0};
        for (unsigned i = 0; i < edge->loop_count; i++) {
                const struct edge_loop *loop = edge->loops[i];
#define VN_EDGE_STAT(name, help)                                                                                     \
        ret->name += atomic_load_explicit(&loop->stats[EDGE_STAT_##name], memory_order_relaxed);
#include "net/edge_stats.def"
#undef VN_EDGE_STAT
        }
}

struct vn_edge *vn_edge_free(struct vn_edge *edge)
{
        if (!edge)
                return NULL;
        atomic_store(&edge->ending, true);
        for (unsigned i = 0; i < edge->loop_count; i++)
                vn_loop_stop(edge->loops[i]->loop);
        for (unsigned i = 0; i < edge->loop_count; i++)
                vn_loop_join(edge->loops[i]->loop);
        for (unsigned i = 0; i < edge->listener_count; i++) {
                event_free(edge->listeners[i].event);
                close(edge->listeners[i].fd);
                SSL_CTX_free(edge->listeners[i].tls);
        }
        vn_timer_free(edge->accept_again);
        for (unsigned i = 0; i < edge->loop_count; i++)
                edge_loop_free(edge->loops[i]);
        vn_health_free(edge->health);
        vn_reflection_free(edge->reflection);
        edge_routes_done(&edge->routes);
        vn_free(edge);
        return NULL;
}
