#include "net/http_client.h"

#include <arpa/inet.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "base/tls.h"
#include "net/edge.h"
#include "tests/test.h"

/* A server of a few lines: one thread, one connection at a time, kept alive; it answers by path. */
struct server {
        int fd;
        uint16_t port;
        struct vn_tls_server *tls;
        pthread_t thread;
        atomic_int connections, lost;
        pthread_mutex_t lock;
        char last[4096]; /* the last request */
};

struct peer {
        int fd;
        SSL *ssl;
};

static ssize_t peer_read(struct peer *p, char *to, size_t n)
{
        return p->ssl ? SSL_read(p->ssl, to, (int)n) : read(p->fd, to, n);
}

static void peer_write(struct peer *p, struct vn_str s)
{
        if (p->ssl)
                SSL_write(p->ssl, s.ptr, (int)s.len);
        else
                VN_IGNORE(send(p->fd, s.ptr, s.len, MSG_NOSIGNAL) < 0); /* a gone peer is the test's doing */
}

static bool serve_one(struct server *s, struct peer *p)
{
        char text[sizeof(s->last)];
        size_t n = 0, body = 0;
        char *end = NULL;
        const char *length;

        while (!end) {
                ssize_t got = n < sizeof(text) - 1 ? peer_read(p, text + n, sizeof(text) - 1 - n) : 0;
                if (got <= 0)
                        return false;
                n += (size_t)got;
                text[n] = '\0';
                end = strstr(text, "\r\n\r\n");
        }
        length = strcasestr(text, "content-length: ");
        if (length)
                body = strtoul(length + 16, NULL, 10);
        while (n < (size_t)(end + 4 - text) + body) {
                ssize_t got = peer_read(p, text + n, sizeof(text) - 1 - n);
                if (got <= 0)
                        return false;
                n += (size_t)got;
                text[n] = '\0';
        }
        pthread_mutex_lock(&s->lock);
        memcpy(s->last, text, n + 1);
        pthread_mutex_unlock(&s->lock);
        if (strstr(text, " /slow ")) {
                usleep(1500000);
                return false;
        }
        if (strstr(text, " /break "))
                return false;
        if (strstr(text, " /lost ")) { /* carried out, but the answer does not arrive */
                atomic_fetch_add(&s->lost, 1);
                setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &(struct linger){1, 0}, sizeof(struct linger));
                return false;
        }
        if (strstr(text, " /large ")) {
                peer_write(p, VN_STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"));
                for (int i = 0; i < 20; i++)
                        peer_write(p, VN_STR("a\r\n0123456789\r\n"));
                peer_write(p, VN_STR("0\r\n\r\n"));
        } else if (strstr(text, " /moved ")) {
                peer_write(p, VN_STR("HTTP/1.1 302 Found\r\nLocation: /ok\r\nContent-Length: 0\r\n\r\n"));
        } else {
                peer_write(p, VN_STR("HTTP/1.1 200 OK\r\nX-One: 1\r\nx-one: 2\r\nX-Empty:\r\nContent-Length: "
                                     "5\r\n\r\nhello"));
        }
        return true;
}

/* Whether the last request holds that text. */
static bool was_sent(struct server *s, const char *text)
{
        bool found;

        pthread_mutex_lock(&s->lock);
        found = strstr(s->last, text);
        pthread_mutex_unlock(&s->lock);
        return found;
}

static void *serve(void *arg)
{
        struct server *s = arg;
        for (;;) {
                struct peer p = {.fd = accept(s->fd, NULL, NULL)};
                if (p.fd < 0)
                        return NULL;
                atomic_fetch_add(&s->connections, 1);
                /* One connection at a time: an idle one makes room for the next. */
                setsockopt(p.fd, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 300000},
                           sizeof(struct timeval));
                if (s->tls) {
                        p.ssl = SSL_new(vn_tls_server_ctx(s->tls));
                        SSL_set_fd(p.ssl, p.fd);
                }
                if (!p.ssl || SSL_accept(p.ssl) == 1)
                        while (serve_one(s, &p))
                                ;
                SSL_free(p.ssl);
                close(p.fd);
        }
}

static void server_start(struct server *s, struct vn_tls_server *tls)
{
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof(a);

        *s = (struct server){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), .tls = tls};
        pthread_mutex_init(&s->lock, NULL);
        CHECK(!bind(s->fd, (struct sockaddr *)&a, sizeof(a)) && !listen(s->fd, 16));
        CHECK(!getsockname(s->fd, (struct sockaddr *)&a, &n));
        s->port = ntohs(a.sin_port);
        CHECK(!pthread_create(&s->thread, NULL, serve, s));
}

static void server_stop(struct server *s)
{
        shutdown(s->fd, SHUT_RDWR);
        pthread_join(s->thread, NULL);
        close(s->fd);
}

static const char *url(const struct server *s, const char *path)
{
        static char text[128];
        snprintf(text, sizeof(text), "%s://localhost:%u%s", s->tls ? "https" : "http", s->port, path);
        return text;
}

static const struct vn_http_options plain = {.allow_local_http = true};

TEST(http_client_keeps_its_connection)
{
        struct server s;
        VN_AUTO(vn_http)
        http = NULL;
        struct vn_http_field headers[] = {{VN_STR("X-Test"), VN_STR("a b")}, {VN_STR("X-Nothing"), VN_STR("")}};
        struct vn_http_answer answer;
        struct vn_err err;

        server_start(&s, NULL);
        vn_http_answer_init(&answer);
        CHECK_OK(vn_http_new(&plain, &http, &err));
        for (int i = 0; i < 3; i++) {
                struct vn_http_ask ask = {.method = "POST",
                                          .url = url(&s, "/ok?x=1"),
                                          .headers = headers,
                                          .header_count = 2,
                                          .body = VN_STR("{\"a\":1}")};
                CHECK_OK(vn_http_do(http, &ask, &answer, &err));
                CHECK_INT(200, answer.status);
                CHECK_TEXT("hello", answer.body.ptr);
                CHECK(vn_str_eq(vn_http_answer_header(&answer, "x-one"), VN_STR("1")));
                CHECK(vn_http_answer_header(&answer, "x-empty").ptr);
                CHECK(!vn_http_answer_header(&answer, "x-two").ptr);
                CHECK(was_sent(&s, "POST /ok?x=1 HTTP/1.1") && was_sent(&s, "X-Test: a b\r\n"));
                CHECK(was_sent(&s, "X-Nothing:\r\n") && was_sent(&s, "{\"a\":1}") && !was_sent(&s, "Expect"));
        }
        CHECK_INT(1, atomic_load(&s.connections));
        struct vn_http_ask moved = {.method = "GET", .url = url(&s, "/moved")};
        CHECK_OK(vn_http_do(http, &moved, &answer, &err));
        CHECK_INT(302, answer.status);
        struct vn_http_ask bare = {.method = "GET", .url = url(&s, "/ok"), .body = VN_STR("")};
        CHECK_OK(vn_http_do(http, &bare, &answer, &err));
        CHECK(!was_sent(&s, "Content-")); /* neither a type nor a length of nothing */
        http = vn_http_free(http);
        vn_http_answer_done(&answer);
        server_stop(&s);
}

static enum vn_rc get(struct vn_http *http, const char *address, size_t max_bytes, int64_t timeout_us,
                      struct vn_err *err)
{
        struct vn_http_ask ask = {
                .method = "GET", .url = address, .max_response_bytes = max_bytes, .timeout_us = timeout_us};
        struct vn_http_answer answer;
        enum vn_rc rc;

        vn_http_answer_init(&answer);
        rc = vn_http_do(http, &ask, &answer, err);
        vn_http_answer_done(&answer);
        return rc;
}

TEST(http_client_sends_once_what_must_not_go_twice)
{
        static const struct vn_str bodies[] = {{"x", 1}, {"", 0}};
        struct server s;
        VN_AUTO(vn_http)
        http = NULL;
        struct vn_err err;

        server_start(&s, NULL);
        CHECK_OK(vn_http_new(&plain, &http, &err));
        for (size_t i = 0; i < 4; i++) {
                struct vn_http_ask ask = {.method = i / 2 ? "PUT" : "POST", .body = bodies[i % 2], .once = true};
                struct vn_http_answer answer;

                vn_http_answer_init(&answer);
                CHECK_OK(get(http, url(&s, "/ok"), 0, 0, &err)); /* a connection that is kept */
                ask.url = url(&s, "/lost");
                CHECK_RC(VN_UNAVAILABLE, vn_http_do(http, &ask, &answer, &err));
                CHECK_INT(i + 1, atomic_load(&s.lost));
                ask.url = url(&s, "/ok");
                CHECK_OK(vn_http_do(http, &ask, &answer, &err));
                CHECK(was_sent(&s, i % 2 ? "Content-Length: 0\r\n" : "\r\n\r\nx"));
                vn_http_answer_done(&answer);
        }
        http = vn_http_free(http);
        server_stop(&s);
}

TEST(http_client_bounds_size_and_time)
{
        struct server s;
        VN_AUTO(vn_http)
        http = NULL;
        struct vn_err err;

        server_start(&s, NULL);
        CHECK_OK(vn_http_new(&plain, &http, &err));
        CHECK_OK(get(http, url(&s, "/large"), 200, 0, &err));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, get(http, url(&s, "/large"), 199, 0, &err)); /* chunked: the counter */
        CHECK_RC(VN_RESOURCE_EXHAUSTED, get(http, url(&s, "/ok"), 4, 0, &err));      /* declared: the header */
        CHECK_RC(VN_UNAVAILABLE, get(http, url(&s, "/break"), 0, 0, &err));
        CHECK_RC(VN_DEADLINE_EXCEEDED, get(http, url(&s, "/slow"), 0, 200000, &err));
        CHECK(strstr(err.msg, "localhost") && !strstr(err.msg, "slow"));
        http = vn_http_free(http);
        server_stop(&s);
        CHECK_OK(vn_http_new(&plain, &http, &err));
        CHECK_RC(VN_UNAVAILABLE, get(http, url(&s, "/ok"), 0, 0, &err));
}

TEST(http_client_refuses_what_it_must_not_send)
{
        static const struct vn_http_options strict = {0};
        VN_AUTO(vn_http)
        http = NULL;
        VN_AUTO(vn_http)
        lax = NULL;
        struct vn_http_field bad = {VN_STR("X-A"), VN_STR("1\r\nX-B: 2")};
        struct vn_http_ask ask = {.method = "GET", .url = "https://localhost:1/", .headers = &bad, .header_count = 1};
        struct vn_http_answer answer;
        struct vn_err err;

        vn_http_answer_init(&answer);
        CHECK_OK(vn_http_new(&strict, &http, &err));
        CHECK_OK(vn_http_new(&plain, &lax, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, get(http, "http://127.0.0.1:1/", 0, 0, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, get(lax, "http://example.com/", 0, 0, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, get(lax, "http://127.0.0.1.example.com/", 0, 0, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, get(lax, "http://169.254.169.254.example.com/", 0, 0, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, get(lax, "http://169.253.0.1/", 0, 0, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, get(lax, "file:///etc/passwd", 0, 0, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, get(http, "https://me:secret@localhost/", 0, 0, &err));
        CHECK(!strstr(err.msg, "secret"));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_http_do(http, &ask, &answer, &err));
        bad = (struct vn_http_field){VN_STR("X A"), VN_STR("1")};
        CHECK_RC(VN_INVALID_ARGUMENT, vn_http_do(http, &ask, &answer, &err));
        ask = (struct vn_http_ask){.method = "GET /", .url = "https://localhost:1/"};
        CHECK_RC(VN_INVALID_ARGUMENT, vn_http_do(http, &ask, &answer, &err));
        vn_http_answer_done(&answer);
}

static void make_tls(struct vn_buf *ca, struct vn_tls_server **ret)
{
        static const char *const names[] = {"localhost"};
        int64_t now_s = vn_now_us(vn_clock_real()) / VN_US_PER_S;
        struct vn_pki_leaf leaf = {names, 1, NULL, true, now_s - 60, now_s + 3600};
        VN_AUTO(vn_buf)
        ca_key = VN_BUF_INIT(8192);
        VN_AUTO(vn_buf)
        key = VN_BUF_INIT(8192);
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(8192);
        VN_AUTO(vn_buf)
        cert = VN_BUF_INIT(8192);

        CHECK_OK(vn_pki_make_key(&ca_key, NULL));
        CHECK_OK(vn_pki_make_ca(vn_buf_view(&ca_key), "test", now_s - 60, now_s + 3600, ca, NULL));
        CHECK_OK(vn_pki_make_key(&key, NULL));
        CHECK_OK(vn_pki_make_csr(vn_buf_view(&key), &csr, NULL));
        CHECK_OK(vn_pki_sign_csr(vn_buf_view(ca), vn_buf_view(&ca_key), vn_buf_view(&csr), &leaf, &cert, NULL));
        CHECK_OK(vn_tls_server_new(vn_buf_view(&cert), vn_buf_view(&key), NULL, ret, NULL));
}

TEST(http_client_verifies_the_server)
{
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(8192);
        struct vn_tls_server *tls = NULL;
        struct server s;
        VN_AUTO(vn_http)
        pinned = NULL;
        VN_AUTO(vn_http)
        by_system = NULL;
        struct vn_http_options options = {.http1_only = true};
        struct vn_err err;
        char by_address[64];

        make_tls(&ca, &tls);
        server_start(&s, tls);
        CHECK_OK(vn_http_new(&options, &by_system, &err));
        options.ca_pem = vn_buf_view(&ca);
        CHECK_OK(vn_http_new(&options, &pinned, &err));
        CHECK_OK(get(pinned, url(&s, "/ok"), 0, 0, &err));
        snprintf(by_address, sizeof(by_address), "https://127.0.0.1:%u/ok", s.port);
        pinned = vn_http_free(pinned); /* the server takes one connection at a time */
        CHECK_OK(vn_http_new(&options, &pinned, &err));
        CHECK_RC(VN_UNAVAILABLE, get(pinned, by_address, 0, 0, &err)); /* not a name of the certificate */
        CHECK_RC(VN_UNAVAILABLE, get(by_system, url(&s, "/ok"), 0, 0, &err));
        pinned = vn_http_free(pinned);
        by_system = vn_http_free(by_system);
        server_stop(&s);
        vn_tls_server_free(tls);
}

struct waiting {
        struct vn_loop *loop;
        unsigned *left; /* of all that the loop waits for */
        enum vn_rc rc;
        int status;
};

static void on_done(void *context, enum vn_rc rc, const struct vn_http_answer *answer, const struct vn_err *err)
{
        struct waiting *w = context;
        (void)err;
        w->rc = rc;
        w->status = answer->status;
        if (!--*w->left)
                vn_loop_stop(w->loop);
}

TEST(http_client_completes_on_a_loop)
{
        struct server s;
        struct vn_loop *loop = NULL;
        struct vn_http_async *http = NULL;
        struct vn_http_exchange *last = NULL;
        unsigned left = 2, many = 100;
        struct waiting all = {.left = &left}, refused = {.left = &left}, given_up = {.left = &many};
        struct vn_http_ask ask = {.method = "GET"};
        struct vn_err err;

        server_start(&s, NULL);
        CHECK_OK(vn_loop_new("test", &loop, &err));
        all.loop = refused.loop = given_up.loop = loop;
        CHECK_OK(vn_http_async_new(loop, &plain, 4, &http, &err));
        ask.url = url(&s, "/ok");
        ask.timeout_us = 5000000;
        CHECK_OK(vn_http_async_start(http, &ask, on_done, &all, NULL, &err));
        ask.url = "http://127.0.0.1:1/";
        CHECK_OK(vn_http_async_start(http, &ask, on_done, &refused, NULL, &err));
        vn_loop_run(loop);
        CHECK_OK(all.rc);
        CHECK_INT(200, all.status);
        CHECK_RC(VN_UNAVAILABLE, refused.rc);

        ask.url = url(&s, "/slow");
        for (int i = 0; i < 4; i++)
                CHECK_OK(vn_http_async_start(http, &ask, on_done, &given_up, &last, &err));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_http_async_start(http, &ask, on_done, &given_up, NULL, &err));
        vn_http_async_cancel(last);
        CHECK_RC(VN_CANCELLED, given_up.rc);
        CHECK_INT(99, many);
        http = vn_http_async_free(http);
        CHECK_INT(96, many);
        vn_loop_free(loop);
        server_stop(&s);
}

/* --- against our own edge, where ALPN makes it HTTP/2 --- */

static void say_hello(void *context, const struct vn_http_request *request)
{
        struct vn_http_header header = {"x-verb", "seen"};
        (void)context;
        vn_http_reply(request->call, 200, "text/plain", request->body, &header, 1);
}

TEST(http_client_shares_a_connection_over_http2)
{
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(8192);
        struct vn_tls_server *tls = NULL;
        struct vn_edge *edge = NULL;
        struct vn_loop *loop = NULL;
        struct vn_http_async *http = NULL;
        struct vn_http_options options = {.user_agent = "test"};
        struct vn_edge_stats stats;
        unsigned left = 20;
        struct waiting all = {.left = &left};
        struct vn_err err;
        uint16_t port;
        char address[64];

        make_tls(&ca, &tls);
        CHECK_OK(vn_edge_new(NULL, 1, &edge, &err));
        CHECK_OK(vn_edge_add_http(edge, "/hello", VN_ACCESS_PUBLIC, say_hello, NULL, &err));
        CHECK_OK(vn_edge_listen(edge, "127.0.0.1", 0, tls, &port, &err));
        CHECK_OK(vn_edge_start(edge, &err));
        snprintf(address, sizeof(address), "https://localhost:%u/hello", port);
        options.ca_pem = vn_buf_view(&ca);
        CHECK_OK(vn_loop_new("test", &loop, &err));
        all.loop = loop;
        CHECK_OK(vn_http_async_new(loop, &options, 20, &http, &err));
        for (int i = 0; i < 20; i++) {
                struct vn_http_ask ask = {.method = "POST", .url = address, .body = VN_STR("hello")};
                CHECK_OK(vn_http_async_start(http, &ask, on_done, &all, NULL, &err));
        }
        vn_loop_run(loop);
        CHECK_OK(all.rc);
        CHECK_INT(200, all.status);
        vn_edge_stats(edge, &stats);
        CHECK_INT(20, stats.calls);
        CHECK_INT(1, stats.accepted); /* twenty at once on one connection: that is HTTP/2 */
        vn_http_async_free(http);
        vn_loop_free(loop);
        vn_edge_drain(edge, 1000);
        vn_edge_free(edge);
        vn_tls_server_free(tls);
}
