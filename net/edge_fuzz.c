/* Any bytes on a connection of the edge: HTTP/1.1, or HTTP/2 with gRPC, in pieces, against handlers of every kind. The
 * connection ends when its peer goes, and every call that began has ended with it.
 * First byte: 1 sends the HTTP/2 preface first, the rest is the size of the pieces. One thread: the loop is turned here. */
#include <sys/socket.h>
#include <unistd.h>

#include "grpc/health/v1/health.pb-c.h"
#include "net/edge_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_TURNS 200

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
        const Grpc__Health__V1__HealthCheckRequest *request = (const Grpc__Health__V1__HealthCheckRequest *)message;
        struct vn_err err;
        VN_IGNORE(vn_call_add_trailing_metadata(call, "x-why", vn_str(request->service)));
        vn_call_finish(call, vn_fail(&err, VN_NOT_FOUND, "no \"%s\"", request->service), &err);
}

static void each(struct vn_call *call, const ProtobufCMessage *message)
{
        VN_IGNORE(vn_call_send(call, message));
        if (!strcmp(((const Grpc__Health__V1__HealthCheckRequest *)message)->service, "pause")) {
                vn_call_pause_reading(call, true);
                vn_call_pause_reading(call, false);
        }
}

static void half_close(struct vn_call *call)
{
        vn_call_finish(call, VN_OK, NULL);
}

static void raw(void *context, const struct vn_http_request *request)
{
        const struct vn_http_header header = {"x-test", "1"};
        (void)context;
        vn_http_reply(request->call, 200, "text/plain", request->body, &header, 1);
}

#define ROW(row_name, row_kind)                                                                                      \
        .service = "t.T", .name = row_name, .kind = row_kind, .access = VN_ACCESS_PUBLIC,                            \
        .request = &grpc__health__v1__health_check_request__descriptor,                                              \
        .response = &grpc__health__v1__health_check_request__descriptor, .help = "Test."

static const struct vn_method rows[] = {
        {ROW("E", VN_UNARY), .verb = VN_HTTP_POST, .path = "/e/{service}", .start = answer,
         .max_request_bytes = 4096},
        {ROW("G", VN_UNARY), .verb = VN_HTTP_GET, .path = "/g", .start = refuse},
        {ROW("S", VN_SERVER_STREAM), .verb = VN_HTTP_GET, .path = "/s", .start = three},
        {ROW("B", VN_BIDI), .message = each, .half_close = half_close},
};

static struct vn_edge *edge;

static void make_edge(void)
{
        VN_ASSERT(vn_edge_new(NULL, 1, &edge, NULL) == VN_OK);
        VN_ASSERT(vn_edge_add_methods(edge, rows, sizeof rows / sizeof *rows, NULL, NULL) == VN_OK);
        VN_ASSERT(vn_edge_add_http(edge, "/r/", VN_ACCESS_PUBLIC, raw, NULL, NULL) == VN_OK);
        VN_ASSERT(vn_edge_allow_host(edge, "h", NULL) == VN_OK);
}

static void turn(int fd)
{
        static char sink[65536];
        event_base_loop(vn_loop_base(edge->loops[0]->loop), EVLOOP_NONBLOCK);
        while (recv(fd, sink, sizeof sink, MSG_DONTWAIT) > 0)
                ;
}

static void feed(int fd, const uint8_t *bytes, size_t n)
{
        for (int turns = 0; n && turns < MAX_TURNS; turns++) {
                ssize_t sent = send(fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL);
                if (sent > 0) {
                        bytes += sent;
                        n -= (size_t)sent;
                }
                turn(fd);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static const uint8_t hello[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0";
        int pair[2];
        if (!edge)
                make_edge();
        if (size < 2 || size > 65536)
                return 0;
        VN_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair));
        atomic_fetch_add(&edge->connections, 1);
        edge_conn_adopt(edge->loops[0], pair[0], NULL);
        size_t piece = (size_t)(data[0] >> 1) * 64 + 1;
        if (data[0] & 1)
                feed(pair[1], hello, sizeof hello);
        for (size_t at = 1; at < size; at += piece)
                feed(pair[1], data + at, size - at < piece ? size - at : piece);
        shutdown(pair[1], SHUT_WR);
        turn(pair[1]);
        close(pair[1]);
        for (int i = 0; i < MAX_TURNS && edge->loops[0]->conns; i++)
                event_base_loop(vn_loop_base(edge->loops[0]->loop), EVLOOP_NONBLOCK);
        VN_ASSERT(!edge->loops[0]->conns && !atomic_load(&edge->connections));
        struct vn_edge_stats stats;
        vn_edge_stats(edge, &stats);
        VN_ASSERT(stats.calls == stats.calls_ended && !edge->loops[0]->buffered_bytes);
        return 0;
}
