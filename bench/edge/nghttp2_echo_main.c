/* nghttp2_echo_main.c - the same echo on nothing but libnghttp2 and epoll: no routing, no limits, no parsing. The floor
 * that the edge bench compares with. */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <nghttp2/nghttp2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define BODY_MAX 4096
#define OUT_MAX (1 << 20)

struct stream {
        struct stream *next;
        uint8_t body[BODY_MAX];
        size_t len, at;
};

struct connection {
        int fd;
        nghttp2_session *session;
        size_t out_len;
        uint8_t out[OUT_MAX];
};

static struct stream *spare;
static nghttp2_session_callbacks *callbacks;

#define NV(n, v)                                                                                                     \
        {                                                                                                            \
                (uint8_t *)(uintptr_t)(n), (uint8_t *)(uintptr_t)(v), sizeof(n) - 1, sizeof(v) - 1,                  \
                        NGHTTP2_NV_FLAG_NO_COPY_NAME | NGHTTP2_NV_FLAG_NO_COPY_VALUE                                 \
        }

static int on_begin(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        (void)user;
        if (frame->headers.cat != NGHTTP2_HCAT_REQUEST)
                return 0;
        struct stream *stream = spare ? spare : malloc(sizeof *stream);
        if (!stream)
                abort();
        if (stream == spare)
                spare = stream->next;
        stream->len = stream->at = 0;
        return nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, stream);
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
        (void)flags, (void)user;
        if (!stream || stream->len + len > BODY_MAX)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        memcpy(stream->body + stream->len, data, len);
        stream->len += len;
        return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
        static const nghttp2_nv trailers[] = {NV("grpc-status", "0")};
        struct stream *stream = source->ptr;
        (void)user;
        size_t n = stream->len - stream->at < room ? stream->len - stream->at : room;
        memcpy(buf, stream->body + stream->at, n);
        stream->at += n;
        if (stream->at == stream->len) {
                *flags |= NGHTTP2_DATA_FLAG_EOF | NGHTTP2_DATA_FLAG_NO_END_STREAM;
                nghttp2_submit_trailer(session, id, trailers, 1);
        }
        return (ssize_t)n;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        static const nghttp2_nv head[] = {NV(":status", "200"), NV("content-type", "application/grpc")};
        (void)user;
        /* DATA only: the same bit means ACK in SETTINGS and PING. */
        if (frame->hd.type != NGHTTP2_DATA || !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
                return 0;
        nghttp2_data_provider provider = {.source.ptr =
                                                  nghttp2_session_get_stream_user_data(session, frame->hd.stream_id),
                                          .read_callback = read_body};
        return nghttp2_submit_response(session, frame->hd.stream_id, head, 2, &provider);
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
        (void)code, (void)user;
        if (stream) {
                stream->next = spare;
                spare = stream;
        }
        return 0;
}

static void turn(struct connection *connection)
{
        static uint8_t in[65536];
        ssize_t n = read(connection->fd, in, sizeof in);
        if (n <= 0 || nghttp2_session_mem_recv(connection->session, in, (size_t)n) < 0) {
                nghttp2_session_del(connection->session);
                close(connection->fd);
                free(connection);
                return;
        }
        const uint8_t *frames;
        connection->out_len = 0;
        while ((n = nghttp2_session_mem_send(connection->session, &frames)) > 0) {
                if (connection->out_len + (size_t)n > OUT_MAX)
                        abort();
                memcpy(connection->out + connection->out_len, frames, (size_t)n);
                connection->out_len += (size_t)n;
        }
        for (size_t at = 0; at < connection->out_len; at += (size_t)n)
                if ((n = write(connection->fd, connection->out + at, connection->out_len - at)) < 0)
                        n = 0; /* the bench's client reads all the time: try again */
}

static void take(int listener, int poll)
{
        int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK);
        struct connection *connection = fd < 0 ? NULL : calloc(1, sizeof *connection);
        if (!connection)
                return;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        nghttp2_settings_entry settings[] = {{NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, 100}};
        connection->fd = fd;
        nghttp2_session_server_new(&connection->session, callbacks, connection);
        nghttp2_submit_settings(connection->session, NGHTTP2_FLAG_NONE, settings, 1);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = connection};
        epoll_ctl(poll, EPOLL_CTL_ADD, fd, &event);
}

int main(void)
{
        struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof address;
        int listener = socket(AF_INET, SOCK_STREAM, 0), poll = epoll_create1(0);
        struct epoll_event event = {.events = EPOLLIN}, events[64];
        if (bind(listener, (struct sockaddr *)&address, len) || listen(listener, 64) ||
            getsockname(listener, (struct sockaddr *)&address, &len))
                return 1;
        nghttp2_session_callbacks_new(&callbacks);
        nghttp2_session_callbacks_set_on_begin_headers_callback(callbacks, on_begin);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(callbacks, on_data);
        nghttp2_session_callbacks_set_on_frame_recv_callback(callbacks, on_frame);
        nghttp2_session_callbacks_set_on_stream_close_callback(callbacks, on_close);
        epoll_ctl(poll, EPOLL_CTL_ADD, listener, &event);
        printf("%u\n", ntohs(address.sin_port));
        fflush(stdout);
        for (;;) {
                int n = epoll_wait(poll, events, 64, -1);
                for (int i = 0; i < n; i++) {
                        if (events[i].data.ptr)
                                turn(events[i].data.ptr);
                        else
                                take(listener, poll);
                }
        }
}
