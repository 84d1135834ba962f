/* The edge over real sockets: HTTP/1.1, JSON, access, time-outs, drain. gRPC and HTTP/2 have edge_h2_test.c, and the
 * judges under tests/judges. */
#include "net/edge.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "grpc/health/v1/health.pb-c.h"
#include "tests/test.h"

static struct vn_call *parked; /* by the "park" handler, on loop 0 */
static int cancelled_count;

static void answer(struct vn_call *call, const ProtobufCMessage *message)
{
        const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
        Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
        struct vn_err err;
        if (!strcmp(request->service, "missing")) {
                vn_fail(&err, VN_NOT_FOUND, "there is no \"%s\"", request->service);
                vn_call_finish(call, VN_NOT_FOUND, &err);
                return;
        }
        reply.status = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING;
        vn_call_reply(call, &reply.base);
}

static void park(struct vn_call *call, const ProtobufCMessage *message)
{
        (void)message;
        parked = vn_call_ref(call);
}

static void unpark(struct vn_call *call)
{
        __atomic_add_fetch(&cancelled_count, 1, __ATOMIC_SEQ_CST);
        vn_call_unref(call);
        parked = NULL;
}

static void watch(struct vn_call *call, const ProtobufCMessage *message)
{
        Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
        (void)message;
        for (int i = 0; i < 2; i++)
                VN_IGNORE(vn_call_send(call, &reply.base));
        vn_call_finish(call, VN_OK, NULL);
}

/* Sends until the outbox is full, and then no more: how much that took is what one stuck reader can cost. */
static size_t flooded_bytes;

static void flood(struct vn_call *call, const ProtobufCMessage *message)
{
        Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
        (void)message;
        flooded_bytes = 0;
        while (flooded_bytes < 100u << 20 && vn_call_send(call, &reply.base) == VN_OK)
                flooded_bytes += sizeof "id: 1\ndata: {\"status\":\"UNKNOWN\"}\n\n" - 1;
        __atomic_add_fetch(&cancelled_count, 1, __ATOMIC_SEQ_CST);
}

#define ROW(row_name, row_verb, row_path, row_access)                                                                \
        .service = "t.T", .name = row_name, .verb = row_verb, .path = row_path, .access = row_access,                \
        .request = &grpc__health__v1__health_check_request__descriptor,                                              \
        .response = &grpc__health__v1__health_check_response__descriptor, .help = "Test."

static const struct vn_method rows[] = {
        {ROW("Get", VN_HTTP_GET, "/v1/things/{service}", VN_ACCESS_PUBLIC), .start = answer},
        {ROW("Pause", VN_HTTP_POST, "/v1/things/{service}:pause", VN_ACCESS_PUBLIC), .start = answer},
        {ROW("Post", VN_HTTP_POST, "/v1/things", VN_ACCESS_PUBLIC), .start = answer},
        {ROW("List", VN_HTTP_GET, "/v1/things", VN_ACCESS_PUBLIC), .start = answer},
        {ROW("Park", VN_HTTP_GET, "/v1/park", VN_ACCESS_PUBLIC), .start = park, .cancelled = unpark},
        {ROW("Watch", VN_HTTP_GET, "/v1/watch", VN_ACCESS_PUBLIC), .kind = VN_SERVER_STREAM, .start = watch},
        {ROW("Flood", VN_HTTP_GET, "/v1/flood", VN_ACCESS_PUBLIC), .kind = VN_SERVER_STREAM, .start = flood},
        {ROW("Agents", VN_HTTP_GET, "/v1/agents", VN_ACCESS_AGENT), .start = answer},
        {ROW("Views", VN_HTTP_GET, "/v1/views", VN_ACCESS_VIEWER), .start = answer},
        {ROW("Approve", VN_HTTP_GET, "/v1/approve", VN_ACCESS_APPROVER), .start = answer},
        {ROW("Join", VN_HTTP_GET, "/v1/join", VN_ACCESS_ENROLL), .start = answer},
        {ROW("Grpc", VN_HTTP_NONE, NULL, VN_ACCESS_PUBLIC), .start = answer},
};

static void raw(void *context, const struct vn_http_request *request)
{
        char text[256];
        const struct vn_http_header headers[] = {{"ETag", "\"7\""}, {"X-Bad", "a\r\nSet-Cookie: b"}};
        (void)context;
        snprintf(text, sizeof text, "%.*s %.*s ?%.*s %zu", VN_FMT(request->verb), VN_FMT(request->path),
                 VN_FMT(request->query), request->body.len);
        if (vn_str_eq(request->query, VN_STR("304")))
                vn_http_reply(request->call, 304, NULL, VN_STR(""), headers, 2);
        else
                vn_http_reply(request->call, 200, "text/plain", vn_str(text), headers, 2);
}

/* The role is what the test says it is. */
static enum vn_rc authenticate(void *context, struct vn_call *call, struct vn_identity *ret, struct vn_err *err)
{
        static const struct {
                const char *token;
                enum vn_access access;
        } tokens[] = {{"agent", VN_ACCESS_AGENT},
                      {"viewer", VN_ACCESS_VIEWER},
                      {"operator", VN_ACCESS_OPERATOR},
                      {"approver", VN_ACCESS_APPROVER},
                      {"admin", VN_ACCESS_ADMIN}};
        struct vn_str given = vn_call_header(call, "authorization");
        (void)context;
        if (!given.len)
                return VN_OK;
        for (size_t i = 0; i < sizeof tokens / sizeof *tokens; i++) {
                if (!vn_str_eq(given, vn_str(tokens[i].token)))
                        continue;
                ret->access = tokens[i].access;
                ret->account_id = ret->access == VN_ACCESS_AGENT ? 42 : 0;
                return VN_OK;
        }
        return vn_fail(err, VN_UNAUTHENTICATED, "unknown token");
}

static struct vn_edge *edge;
static uint16_t port;

static enum vn_rc start_edge(const struct vn_edge_limits *limits, unsigned loops)
{
        struct vn_err err;
        VN_TRY(vn_edge_new(limits, loops, &edge, &err));
        VN_TRY(vn_edge_add_methods(edge, rows, sizeof rows / sizeof *rows, NULL, &err));
        VN_TRY(vn_edge_add_http(edge, "/raw", VN_ACCESS_PUBLIC, raw, NULL, &err));
        VN_TRY(vn_edge_add_http(edge, "/ui/", VN_ACCESS_PUBLIC, raw, NULL, &err));
        vn_edge_set_authenticator(edge, authenticate, NULL);
        VN_TRY(vn_edge_listen(edge, "127.0.0.1", 0, NULL, &port, &err));
        return vn_edge_start(edge, &err);
}

static int dial(void)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct timeval patience = {10, 0};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        CHECK(fd >= 0 && !connect(fd, (struct sockaddr *)&address, sizeof address));
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        return fd;
}

static char got[65536];

/* Sends and reads until the server closes; what came is in `got`. -1: it did not close. */
static int exchange(const char *text, size_t len)
{
        int fd = dial();
        size_t n = 0;
        ssize_t r = 1;
        CHECK(send(fd, text, len, MSG_NOSIGNAL) == (ssize_t)len);
        while (n < sizeof got - 1 && (r = recv(fd, got + n, sizeof got - 1 - n, 0)) > 0)
                n += (size_t)r;
        got[n] = 0;
        close(fd);
        return r == 0 ? 0 : -1;
}

/* One request, asked to close after; returns the status. Headers: whole lines. */
static int ask(const char *verb, const char *target, const char *headers, const char *body)
{
        char text[4096];
        int n = snprintf(
                text, sizeof text,
                "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\nConnection: close\r\nContent-Length: %zu\r\n%s\r\n%s", verb,
                target, port, strlen(body), headers, body);
        CHECK_INT(0, exchange(text, (size_t)n));
        CHECK(strlen(got) > 12);
        return (int)strtol(got + 9, NULL, 10);
}

TEST(edge_json_rows)
{
        const char *json = "Content-Type: application/json\r\n";
        CHECK_OK(start_edge(NULL, 2));
        CHECK_INT(200, ask("GET", "/v1/things/a%2Fb", "", ""));
        CHECK(strstr(got, "{\"status\":\"SERVING\"}"));
        CHECK_INT(200, ask("POST", "/v1/things/x:pause", "", ""));
        CHECK_INT(404, ask("GET", "/v1/things/missing", "", ""));
        CHECK(strstr(got, "{\"code\":5,\"message\":\"there is no \\\"missing\\\"\",\"details\":[]}"));
        CHECK_INT(404, ask("GET", "/v1/things?service=missing", "", ""));
        CHECK_INT(404, ask("GET", "/v1/things/missing?service=other", "", "")); /* the path wins */
        CHECK_INT(404, ask("POST", "/v1/things", json, "{\"service\":\"missing\"}"));
        CHECK_INT(200, ask("POST", "/v1/things", json, "{\"service\":\"\"}"));
        CHECK_INT(200, ask("POST", "/v1/things", json, "")); /* no body: the empty message */
        CHECK_INT(400, ask("POST", "/v1/things", json, "{\"service\":"));
        CHECK_INT(400, ask("POST", "/v1/things", json, "{\"servic\":\"a\"}"));
        CHECK_INT(400, ask("GET", "/v1/things?nope=1", "", ""));
        CHECK_INT(400, ask("GET", "/v1/things/%zz", "", ""));
        CHECK_INT(400, ask("GET", "/v1/things", json, "{}"));
        CHECK_INT(415, ask("POST", "/v1/things", "Content-Type: text/plain\r\n", "{}"));
        CHECK_INT(415, ask("POST", "/v1/things", "", "{}"));
        CHECK_INT(415, ask("POST", "/t.T/Get", "Content-Type: application/grpc\r\n", ""));
        CHECK_INT(405, ask("PUT", "/v1/things", json, "{}"));
        CHECK(strstr(got, "allow: GET, HEAD, POST\r\n"));
        CHECK_INT(404, ask("GET", "/v1/nothing", "", ""));
        CHECK_INT(404, ask("GET", "/t.T/Grpc", "", ""));
        CHECK_INT(200, ask("HEAD", "/v1/things", "", ""));
        CHECK(strstr(got, "content-length: 20\r\n") && !strstr(got, "SERVING"));
        CHECK_INT(200, ask("GET", "/v1/watch", "", ""));
        CHECK(strstr(got, "text/event-stream") && strstr(got, "id: 2\ndata: {\"status\":\"UNKNOWN\"}\n\n") &&
              strstr(got, "event: end\n") && strstr(got, "transfer-encoding: chunked"));
        edge = vn_edge_free(edge);
}

TEST(edge_raw_handlers)
{
        CHECK_OK(start_edge(NULL, 1));
        CHECK_INT(200, ask("POST", "/raw?a=b", "", "12345"));
        CHECK(strstr(got, "POST /raw ?a=b 5") && strstr(got, "etag: \"7\"\r\n") && !strstr(got, "Set-Cookie"));
        CHECK_INT(200, ask("HEAD", "/raw", "", ""));
        CHECK(strstr(got, "content-length: 12\r\n") && !strstr(got, "GET /raw"));
        CHECK_INT(304, ask("GET", "/raw?304", "", ""));
        CHECK(!strstr(got, "content-length"));
        CHECK_INT(200, ask("GET", "/ui/x%20y", "", ""));
        CHECK(strstr(got, "GET /ui/x y ?"));
        CHECK_INT(404, ask("GET", "/rawer", "", ""));
        CHECK_INT(400, ask("GET", "/ui/../etc", "", ""));
        CHECK_INT(400, ask("GET", "/ui/%2e%2e/etc", "", ""));
        CHECK_INT(400, ask("GET", "/ui/a%00b", "", ""));
        CHECK_INT(400, ask("GET", "/ui/a%5cb", "", ""));
        edge = vn_edge_free(edge);
}

TEST(edge_access)
{
        static const struct {
                const char *path, *token;
                int status;
        } cases[] = {
                {"/v1/agents", "", 401},          {"/v1/agents", "agent", 200},   {"/v1/agents", "admin", 403},
                {"/v1/views", "", 401},           {"/v1/views", "viewer", 200},   {"/v1/views", "agent", 403},
                {"/v1/views", "approver", 200},   {"/v1/approve", "admin", 200},  {"/v1/approve", "approver", 200},
                {"/v1/approve", "operator", 403}, {"/v1/approve", "viewer", 403}, {"/v1/approve", "wrong", 401},
                {"/v1/things", "wrong", 401},     {"/v1/join", "", 401}, /* without TLS nobody enrols */
        };
        char header[128];
        struct vn_edge_stats stats;
        CHECK_OK(start_edge(NULL, 1));
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                snprintf(header, sizeof header, "Authorization: %s\r\n", cases[i].token);
                int status = ask("GET", cases[i].path, cases[i].token[0] ? header : "", "");
                if (status != cases[i].status)
                        test_fail(__FILE__, __LINE__, "%s as \"%s\": want %d, got %d", cases[i].path, cases[i].token,
                                  cases[i].status, status);
        }
        vn_edge_stats(edge, &stats);
        CHECK(stats.unauthenticated == 5 && stats.denied == 4);
        edge = vn_edge_free(edge);
}

TEST(edge_refuses_foreign_hosts_and_origins_on_plain_listeners)
{
        char text[256];
        uint16_t other;
        struct vn_err err;
        CHECK_OK(start_edge(NULL, 1));
        CHECK_INT(403, ask("GET", "/raw", "Origin: http://evil.example\r\n", ""));
        CHECK_INT(403, ask("GET", "/raw", "Origin: null\r\n", ""));
        snprintf(text, sizeof text, "Origin: http://localhost:%u\r\n", port);
        CHECK_INT(200, ask("GET", "/raw", text, ""));
        int n = snprintf(text, sizeof text, "GET /raw HTTP/1.1\r\nHost: evil.example:%u\r\nConnection: close\r\n\r\n",
                         port);
        CHECK_INT(0, exchange(text, (size_t)n));
        CHECK(strstr(got, "403"));
        edge = vn_edge_free(edge);
        CHECK_OK(vn_edge_new(NULL, 1, &edge, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_listen(edge, "0.0.0.0", 0, NULL, &other, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_listen(edge, "::", 0, NULL, &other, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_listen(edge, "no such host", 0, NULL, &other, &err));
        edge = vn_edge_free(edge);
}

TEST(edge_hostile_http1)
{
        static const char *const tails[] = {
                "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
                "Content-Length: +5\r\n\r\nhello",
                "Content-Length: -1\r\n\r\n",
                "Content-Length: 0x5\r\n\r\nhello",
                "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
                "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
                "X: a\n\r\n",
                "X: a\rb\r\n\r\n",
                "X : a\r\n\r\n",
                "X: a\r\n b\r\n\r\n",
                "Host: b\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n0x5\r\nhello\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n-1\r\nhello\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n5\r\nhelloX\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n5;\r\nhello\r\n0\r\n\r\n",
                "Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
        };
        char text[512];
        CHECK_OK(start_edge(NULL, 1));
        for (size_t i = 0; i < sizeof tails / sizeof *tails; i++) {
                int n = snprintf(text, sizeof text, "POST /raw HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n%s", port, tails[i]);
                if (exchange(text, (size_t)n) || strncmp(got, "HTTP/1.1 400 ", 13) || strstr(got + 1, "HTTP/1.1"))
                        test_fail(__FILE__, __LINE__, "%s: %.60s", tails[i], got);
        }
        edge = vn_edge_free(edge);
}

TEST(edge_keeps_pipelines_and_reads_chunks)
{
        char text[1024];
        CHECK_OK(start_edge(NULL, 1));
        int n = snprintf(text, sizeof text,
                         "GET /raw?1 HTTP/1.1\r\nHost: localhost:%u\r\n\r\n"
                         "POST /raw?2 HTTP/1.1\r\nHost: localhost:%u\r\nTransfer-Encoding: chunked\r\n\r\n"
                         "5\r\nhello\r\n6;a=b\r\n world\r\n0\r\nT: r\r\n\r\n"
                         "GET /raw?3 HTTP/1.1\r\nHost: localhost:%u\r\nConnection: close\r\n\r\n",
                         port, port, port);
        CHECK_INT(0, exchange(text, (size_t)n));
        const char *one = strstr(got, "GET /raw ?1 0"), *two = strstr(got, "POST /raw ?2 11");
        const char *three = strstr(got, "GET /raw ?3 0");
        CHECK(one && two > one && three > two);
        /* The same, a byte at a time. */
        int fd = dial();
        for (int i = 0; i < n; i++)
                CHECK(send(fd, text + i, 1, MSG_NOSIGNAL) == 1);
        size_t len = 0;
        ssize_t r;
        while ((r = recv(fd, got + len, sizeof got - 1 - len, 0)) > 0)
                len += (size_t)r;
        got[len] = 0;
        CHECK(r == 0 && strstr(got, "POST /raw ?2 11") && strstr(got, "GET /raw ?3 0"));
        close(fd);
        edge = vn_edge_free(edge);
}

TEST(edge_limits)
{
        struct vn_edge_limits limits;
        struct vn_edge_stats stats;
        static char big[9000];
        char text[10000];
        vn_edge_limits_default(&limits);
        limits.header_timeout_ms = limits.body_timeout_ms = 300;
        limits.max_header_bytes = 4096;
        limits.max_body_bytes = 1000;
        CHECK_OK(start_edge(&limits, 1));
        memset(big, 'a', sizeof big - 1);
        int n = snprintf(text, sizeof text, "GET /raw HTTP/1.1\r\nHost: localhost:%u\r\nX: %s\r\n\r\n", port, big);
        CHECK_INT(0, exchange(text, (size_t)n));
        CHECK(!strncmp(got, "HTTP/1.1 431", 12));
        big[2000] = 0;
        CHECK_INT(413, ask("POST", "/raw", "", big));
        int64_t start_us = vn_mono_us(vn_clock_real());
        CHECK_INT(0, exchange("GET /raw HT", 11)); /* cut without an answer, soon */
        n = snprintf(text, sizeof text, "POST /raw HTTP/1.1\r\nHost: localhost:%u\r\nContent-Length: 9\r\n\r\nslow",
                     port);
        CHECK_INT(0, exchange(text, (size_t)n));
        CHECK(strstr(got, "too long"));
        CHECK(vn_mono_us(vn_clock_real()) - start_us < 5 * VN_US_PER_S);
        vn_edge_stats(edge, &stats);
        CHECK(stats.head_timeouts == 1 && stats.body_timeouts == 1 && stats.too_large >= 1);
        edge = vn_edge_free(edge);
}

static void wait_for(const int *count, int value)
{
        for (int i = 0; i < 1000 && __atomic_load_n(count, __ATOMIC_SEQ_CST) < value; i++)
                usleep(5000);
}

TEST(edge_tells_handlers_that_the_peer_left)
{
        char text[128];
        CHECK_OK(start_edge(NULL, 1));
        cancelled_count = 0;
        int fd = dial();
        int n = snprintf(text, sizeof text, "GET /v1/park HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", port);
        CHECK(send(fd, text, (size_t)n, 0) == n);
        struct linger reset = {1, 0};
        usleep(100000);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
        wait_for(&cancelled_count, 1);
        CHECK_INT(1, cancelled_count);
        /* Drain: who waits is cut after the grace, and told so. */
        fd = dial();
        CHECK(send(fd, text, (size_t)n, 0) == n);
        usleep(100000);
        int64_t start_us = vn_mono_us(vn_clock_real());
        vn_edge_drain(edge, 300);
        CHECK_INT(2, cancelled_count);
        CHECK(vn_mono_us(vn_clock_real()) - start_us < 3 * VN_US_PER_S);
        CHECK(recv(fd, text, sizeof text, 0) <= 0);
        close(fd);
        edge = vn_edge_free(edge);
}

TEST(edge_bounds_a_stuck_reader)
{
        char text[128];
        CHECK_OK(start_edge(NULL, 1));
        cancelled_count = 0;
        int fd = dial();
        int n = snprintf(text, sizeof text, "GET /v1/flood HTTP/1.1\r\nHost: localhost:%u\r\n\r\n", port);
        CHECK(send(fd, text, (size_t)n, 0) == n);
        wait_for(&cancelled_count, 1);
        CHECK(flooded_bytes > 200u << 10 && flooded_bytes <= 256u << 10);
        close(fd);
        edge = vn_edge_free(edge);
}

TEST(edge_pauses_accepting_without_descriptors_and_goes_on)
{
        struct vn_edge_stats stats;
        CHECK_OK(start_edge(NULL, 1));
        vn_fault_arm("edge.accept", 1, VN_FAULT_FAIL);
        CHECK_INT(200, ask("GET", "/raw", "", ""));
        vn_fault_clear();
        vn_edge_stats(edge, &stats);
        CHECK_INT(1, stats.accept_pauses);
        edge = vn_edge_free(edge);
        struct vn_edge_limits limits;
        vn_edge_limits_default(&limits);
        limits.max_connections = 1;
        CHECK_OK(start_edge(&limits, 1));
        int fd = dial();
        usleep(100000);
        exchange("", 0);
        CHECK_TEXT("", got);
        close(fd);
        vn_edge_stats(edge, &stats);
        CHECK_INT(1, stats.refused);
        edge = vn_edge_free(edge);
}

TEST(edge_refuses_bad_rows)
{
        struct vn_err err;
        struct vn_method bad = rows[0];
        CHECK_OK(vn_edge_new(NULL, 1, &edge, &err));
        CHECK_OK(vn_edge_add_methods(edge, rows, 1, NULL, &err));
        CHECK_RC(VN_ALREADY_EXISTS, vn_edge_add_methods(edge, rows, 1, NULL, &err));
        bad.name = "Other";
        bad.path = "/v1/{bad";
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_add_methods(edge, &bad, 1, NULL, &err));
        bad.path = "v1";
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_add_methods(edge, &bad, 1, NULL, &err));
        bad.path = "/v1";
        bad.start = NULL;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_add_methods(edge, &bad, 1, NULL, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_add_http(edge, "x", VN_ACCESS_PUBLIC, raw, NULL, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_set_descriptors(edge, VN_STR("\xff\xff"), &err));
        edge = vn_edge_free(edge);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_edge_new(NULL, 0, &edge, &err));
}

static enum vn_rc make_edge(void)
{
        struct vn_err err;
        enum vn_rc rc = vn_edge_new(NULL, 1, &edge, &err);
        if (rc == VN_OK)
                rc = vn_edge_add_methods(edge, rows, sizeof rows / sizeof *rows, NULL, &err);
        if (rc == VN_OK)
                rc = vn_edge_listen(edge, "127.0.0.1", 0, NULL, &port, &err);
        edge = vn_edge_free(edge);
        return rc;
}

TEST(edge_out_of_memory)
{
        TEST_ALLOC_LOOP(make_edge);
}
