/* The edge with each allocation failing once, while it takes a connection, reads a request, answers and lets go. The loop
 * is turned on this thread, because the counter of failing allocations is the thread's. What must hold: nothing dies,
 * nothing leaks, the connection ends, every call that began has ended; and untouched, the answer is right. */
#include <sys/socket.h>
#include <unistd.h>

#include "grpc/health/v1/health.pb-c.h"
#include "net/edge_internal.h"
#include "tests/test.h"

static struct vn_edge *edge;
static struct vn_str request;
static char reply[65536];
static size_t reply_len;

static void answer(struct vn_call *call, const ProtobufCMessage *message)
{
        vn_call_reply(call, message);
}

static void three(struct vn_call *call, const ProtobufCMessage *message)
{
        for (int i = 0; i < 3; i++)
                VN_IGNORE(vn_call_send(call, message));
        vn_call_finish(call, VN_OK, NULL);
}

static void refuse(struct vn_call *call, const ProtobufCMessage *message)
{
        struct vn_err err;
        (void)message;
        VN_IGNORE(vn_call_add_trailing_metadata(call, "x-why", VN_STR("because")));
        vn_call_finish(call, vn_fail(&err, VN_NOT_FOUND, "no such thing"), &err);
}

static void each(struct vn_call *call, const ProtobufCMessage *message)
{
        VN_IGNORE(vn_call_send(call, message));
}

static void half_close(struct vn_call *call)
{
        vn_call_finish(call, VN_OK, NULL);
}

static void raw(void *context, const struct vn_http_request *http)
{
        const struct vn_http_header header = {"X-Test", "1"};
        (void)context;
        vn_http_reply(http->call, 200, "text/plain", http->body, &header, 1);
}

#define ROW(row_name, row_kind)                                                                                      \
        .service = "t.T", .name = row_name, .kind = row_kind, .access = VN_ACCESS_PUBLIC,                            \
        .request = &grpc__health__v1__health_check_request__descriptor,                                              \
        .response = &grpc__health__v1__health_check_request__descriptor, .help = "Test."

static const struct vn_method rows[] = {
        {ROW("E", VN_UNARY), .verb = VN_HTTP_POST, .path = "/e/{service}", .start = answer},
        {ROW("R", VN_UNARY), .verb = VN_HTTP_GET, .path = "/r", .start = refuse},
        {ROW("S", VN_SERVER_STREAM), .verb = VN_HTTP_GET, .path = "/s", .start = three},
        {ROW("B", VN_BIDI), .message = each, .half_close = half_close},
};

static void turn(int fd)
{
        event_base_loop(vn_loop_base(edge->loops[0]->loop), EVLOOP_NONBLOCK);
        ssize_t n;
        while (reply_len < sizeof reply - 1 &&
               (n = recv(fd, reply + reply_len, sizeof reply - 1 - reply_len, MSG_DONTWAIT)) > 0)
                reply_len += (size_t)n;
}

/* In two pieces, so that what waits for the rest is reached too. */
static enum vn_rc one_connection(void)
{
        int pair[2];
        reply_len = 0;
        VN_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
        atomic_fetch_add(&edge->connections, 1);
        edge_conn_adopt(edge->loops[0], pair[0], NULL);
        size_t half = request.len / 2;
        VN_IGNORE(send(pair[1], request.ptr, half, MSG_NOSIGNAL) < 0);
        turn(pair[1]);
        VN_IGNORE(send(pair[1], request.ptr + half, request.len - half, MSG_NOSIGNAL) < 0);
        for (int i = 0; i < 8; i++)
                turn(pair[1]);
        close(pair[1]);
        for (int i = 0; i < 50 && edge->loops[0]->conns; i++)
                event_base_loop(vn_loop_base(edge->loops[0]->loop), EVLOOP_NONBLOCK);
        VN_ASSERT(!edge->loops[0]->conns && !atomic_load(&edge->connections));
        struct vn_edge_stats stats;
        vn_edge_stats(edge, &stats);
        VN_ASSERT(stats.calls == stats.calls_ended && !edge->loops[0]->buffered_bytes);
        return VN_OK;
}

static enum vn_rc make_edge(void)
{
        VN_TRY(vn_edge_new(NULL, 1, &edge, NULL));
        VN_TRY(vn_edge_add_methods(edge, rows, sizeof rows / sizeof *rows, NULL, NULL));
        VN_TRY(vn_edge_add_http(edge, "/raw/", VN_ACCESS_PUBLIC, raw, NULL, NULL));
        return vn_edge_allow_host(edge, "h", NULL);
}

/* Each run has an edge of its own: a pool from the run before would hide allocations. */
static enum vn_rc edge_and_connection(void)
{
        edge = NULL;
        enum vn_rc rc = make_edge();
        if (rc == VN_OK)
                rc = one_connection();
        edge = vn_edge_free(edge);
        return rc;
}

static void check(struct vn_str bytes, const char *want)
{
        request = bytes;
        TEST_ALLOC_LOOP(edge_and_connection);
        if (!memmem(reply, reply_len, want, strlen(want)))
                test_fail(__FILE__, __LINE__, "no \"%s\" in the answer to %.30s", want, bytes.ptr);
}

TEST(http1_survives_failing_allocations)
{
        check(VN_STR("POST /e/name?x=1 HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: "
                     "2\r\n\r\n{}"),
              "400 ");
        check(VN_STR("POST /e/na%6de HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nContent-Length: "
                     "2\r\n\r\n{}"),
              "{\"service\":\"name\"}");
        check(VN_STR("GET /r HTTP/1.1\r\nHost: h\r\n\r\n"), "no such thing");
        check(VN_STR("GET /s?service=a HTTP/1.1\r\nHost: h\r\n\r\n"), "id: 3");
        check(VN_STR("POST /raw/a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
              "hello");
}

/* A frame's head, then its payload, appended. */
static void frame(struct vn_buf *to, uint8_t type, uint8_t flags, struct vn_str payload)
{
        const char head[9] = {0, (char)(payload.len >> 8), (char)payload.len, (char)type, (char)flags, 0, 0, 0, 1};
        vn_buf_add(to, head, sizeof head);
        vn_buf_str(to, payload);
}

static void field(struct vn_buf *to, const char *name, const char *value)
{
        vn_buf_char(to, 0); /* literal, not indexed */
        vn_buf_char(to, (char)strlen(name));
        vn_buf_text(to, name);
        vn_buf_char(to, (char)strlen(value));
        vn_buf_text(to, value);
}

static void check_grpc(const char *path, struct vn_str messages, const char *want)
{
        static const char start[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        head = VN_BUF_INIT(1024);
        field(&head, ":method", "POST");
        field(&head, ":scheme", "http");
        field(&head, ":path", path);
        field(&head, ":authority", "h");
        field(&head, "content-type", "application/grpc");
        field(&head, "grpc-timeout", "1S");
        vn_buf_add(&bytes, start, sizeof start);
        frame(&bytes, 1, 4, vn_buf_view(&head));
        frame(&bytes, 0, 1, messages);
        check(vn_buf_view(&bytes), want);
}

TEST(grpc_survives_failing_allocations)
{
        static const char one[] = "\0\0\0\0\4\n\2hi", two[] = "\0\0\0\0\4\n\2hi\0\0\0\0\5\n\3you";
        check_grpc("/t.T/E", vn_str_n(one, sizeof one - 1), "hi");
        check_grpc("/t.T/R", vn_str_n(one, sizeof one - 1), ""); /* its texts are Huffman-coded */
        check_grpc("/t.T/S", vn_str_n(one, sizeof one - 1), "hi");
        check_grpc("/t.T/B", vn_str_n(two, sizeof two - 1), "you");
        check_grpc("/grpc.health.v1.Health/Check", VN_STR("\0\0\0\0\0"), "\b");
}
