/* gRPC on the edge, seen by a small client of our own on nghttp2: what the outside judges do not reach (revocation,
 * hand-off from other threads, health changes, odd framing, pausing, drain). */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <nghttp2/nghttp2.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "grpc/health/v1/health.pb-c.h"
#include "net/edge.h"
#include "tests/test.h"

/* --- the server's methods --- */

static int cancelled_count, full_count, busy_done;
static _Atomic int busy_started;
static char big_text[65536];

static void answer(struct vn_call *call, const ProtobufCMessage *message)
{
        vn_call_reply(call, message);
}

struct later {
        struct vn_task task;
        struct vn_call *call;
};

static void complete(struct vn_task *task)
{
        struct later *later = (struct later *)task;
        Grpc__Health__V1__HealthCheckRequest reply = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
        char text[] = "later";
        reply.service = text;
        if (!vn_call_over(later->call))
                vn_call_reply(later->call, &reply.base);
        vn_call_unref(later->call);
        free(later);
}

static void *work_elsewhere(void *arg)
{
        struct later *later = arg;
        usleep(20000);
        vn_loop_post(vn_call_loop(later->call), &later->task);
        return NULL;
}

static void defer(struct vn_call *call, const ProtobufCMessage *message)
{
        struct later *later = calloc(1, sizeof *later);
        pthread_t thread;
        (void)message;
        VN_ASSERT(later);
        *later = (struct later){{complete, NULL}, vn_call_ref(call)};
        VN_ASSERT(!pthread_create(&thread, NULL, work_elsewhere, later));
        pthread_detach(thread);
}

/* What an operation does on another loop: it fills the call's arena until it sees that nobody waits any more. */
static void busy_end(struct vn_task *task)
{
        struct later *later = (struct later *)task;
        vn_call_unref(later->call);
        free(later);
        __atomic_add_fetch(&busy_done, 1, __ATOMIC_SEQ_CST);
}

static void *work_in_arena(void *arg)
{
        struct later *later = arg;
        for (int i = 0; i < 2000 && !vn_call_over(later->call); i++) {
                char *piece = vn_arena_strndup(vn_call_arena(later->call), big_text, 64);
                usleep(100);
                VN_ASSERT(!piece || !memcmp(piece, big_text, 64));
        }
        VN_ASSERT(vn_arena_strndup(vn_call_arena(later->call), big_text, 3000));
        later->task.run = busy_end;
        vn_loop_post(vn_call_loop(later->call), &later->task);
        return NULL;
}

static void busy(struct vn_call *call, const ProtobufCMessage *message)
{
        struct later *later = calloc(1, sizeof *later);
        pthread_t thread;
        (void)message;
        VN_ASSERT(later);
        later->call = vn_call_ref(call);
        busy_started++;
        VN_ASSERT(!pthread_create(&thread, NULL, work_in_arena, later));
        pthread_detach(thread);
}

static void park(struct vn_call *call, const ProtobufCMessage *message)
{
        (void)call, (void)message;
}

static void count_cancelled(struct vn_call *call)
{
        (void)call;
        __atomic_add_fetch(&cancelled_count, 1, __ATOMIC_SEQ_CST);
}

/* Fills the outbox, then goes on from `writable` until 64 messages of 64 KiB are sent. */

static void pour(struct vn_call *call)
{
        Grpc__Health__V1__HealthCheckRequest reply = GRPC__HEALTH__V1__HEALTH_CHECK_REQUEST__INIT;
        uintptr_t sent = (uintptr_t)vn_call_user(call);
        reply.service = big_text;
        while (sent < 64) {
                enum vn_rc rc = vn_call_send(call, &reply.base);
                if (rc == VN_RESOURCE_EXHAUSTED)
                        full_count++;
                if (rc != VN_OK)
                        return;
                vn_call_set_user(call, (void *)++sent);
        }
        vn_call_finish(call, VN_OK, NULL);
}

static void pour_start(struct vn_call *call, const ProtobufCMessage *message)
{
        (void)message;
        pour(call);
}

static void bidi_message(struct vn_call *call, const ProtobufCMessage *message)
{
        VN_IGNORE(vn_call_send(call, message));
        if (!strcmp(((const Grpc__Health__V1__HealthCheckRequest *)(const void *)message)->service, "pause"))
                vn_call_pause_reading(call, true);
}

static void bidi_half_close(struct vn_call *call)
{
        vn_call_finish(call, VN_OK, NULL);
}

#define ROW(row_name, row_kind, row_access)                                                                          \
        .service = "t.T", .name = row_name, .kind = row_kind, .access = row_access,                                  \
        .request = &grpc__health__v1__health_check_request__descriptor,                                              \
        .response = &grpc__health__v1__health_check_request__descriptor, .help = "Test."

static const struct vn_method rows[] = {
        {ROW("Echo", VN_UNARY, VN_ACCESS_PUBLIC), .start = answer, .max_request_bytes = 1000},
        {ROW("Defer", VN_UNARY, VN_ACCESS_PUBLIC), .start = defer},
        {ROW("Busy", VN_UNARY, VN_ACCESS_PUBLIC), .start = busy},
        {ROW("Park", VN_UNARY, VN_ACCESS_PUBLIC), .start = park, .cancelled = count_cancelled},
        {ROW("AgentPark", VN_UNARY, VN_ACCESS_AGENT), .start = park, .cancelled = count_cancelled},
        {ROW("Pour", VN_SERVER_STREAM, VN_ACCESS_PUBLIC), .start = pour_start, .writable = pour},
        {ROW("Bidi", VN_BIDI, VN_ACCESS_PUBLIC), .message = bidi_message, .half_close = bidi_half_close,
         .cancelled = count_cancelled},
};

static enum vn_rc authenticate(void *context, struct vn_call *call, struct vn_identity *ret, struct vn_err *err)
{
        (void)context, (void)err;
        if (vn_str_eq(vn_call_header(call, "authorization"), VN_STR("agent"))) {
                ret->access = VN_ACCESS_AGENT;
                ret->account_id = 42;
        }
        return VN_OK;
}

static struct vn_edge *edge;
static uint16_t port;

static enum vn_rc start_edge(void)
{
        struct vn_err err;
        memset(big_text, 'b', sizeof big_text - 1);
        cancelled_count = full_count = busy_done = 0;
        busy_started = 0;
        VN_TRY(vn_edge_new(NULL, 1, &edge, &err));
        VN_TRY(vn_edge_add_methods(edge, rows, sizeof rows / sizeof *rows, NULL, &err));
        vn_edge_set_authenticator(edge, authenticate, NULL);
        VN_TRY(vn_edge_listen(edge, "127.0.0.1", 0, NULL, &port, &err));
        return vn_edge_start(edge, &err);
}

/* --- the client --- */

struct stream {
        int32_t id;
        struct vn_str out;
        size_t out_at;
        struct vn_buf in;
        char status[8], message[128];
        bool closed;
        uint32_t error_code;
};

struct client {
        int fd;
        nghttp2_session *session;
        bool goaway;
};

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, frame->hd.stream_id);
        struct vn_str key = vn_str_n(name, name_len);
        (void)flags, (void)user;
        if (vn_str_eq(key, VN_STR("grpc-status")))
                return vn_str_copy(stream->status, sizeof stream->status, vn_str_n(value, value_len)) ? 0 : -1;
        if (vn_str_eq(key, VN_STR("grpc-message")))
                return vn_str_copy(stream->message, sizeof stream->message, vn_str_n(value, value_len)) ? 0 : -1;
        return 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *user)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
        (void)flags, (void)user;
        return vn_buf_add(&stream->in, data, len) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_close(nghttp2_session *session, int32_t id, uint32_t code, void *user)
{
        struct stream *stream = nghttp2_session_get_stream_user_data(session, id);
        (void)user;
        stream->closed = true;
        stream->error_code = code;
        return 0;
}

static int on_frame(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct client *client = user;
        (void)session;
        client->goaway |= frame->hd.type == NGHTTP2_GOAWAY;
        return 0;
}

static ssize_t read_out(nghttp2_session *session, int32_t id, uint8_t *buf, size_t room, uint32_t *flags,
                        nghttp2_data_source *source, void *user)
{
        struct stream *stream = source->ptr;
        size_t n = stream->out.len - stream->out_at < room ? stream->out.len - stream->out_at : room;
        (void)session, (void)id, (void)user;
        if (n)
                memcpy(buf, stream->out.ptr + stream->out_at, n);
        stream->out_at += n;
        if (stream->out_at == stream->out.len)
                *flags |= NGHTTP2_DATA_FLAG_EOF;
        return (ssize_t)n;
}

static void client_open(struct client *client)
{
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct timeval patience = {0, 50000};
        nghttp2_session_callbacks *cb;
        *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM, 0)};
        CHECK(!connect(client->fd, (struct sockaddr *)&address, sizeof address));
        setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        nghttp2_session_callbacks_new(&cb);
        nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_close);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
        CHECK(!nghttp2_session_client_new(&client->session, cb, client));
        nghttp2_session_callbacks_del(cb);
        CHECK(!nghttp2_submit_settings(client->session, 0, NULL, 0));
}

static void client_close(struct client *client)
{
        nghttp2_session_del(client->session);
        close(client->fd);
}

static void begin(struct client *client, struct stream *stream, const char *path, const char *extra_name,
                  const char *extra_value)
{
        char authority[32];
        snprintf(authority, sizeof authority, "localhost:%u", port);
        const char *fields[] = {":method", "POST",       ":scheme",  "http",         ":path",
                                path,      ":authority", authority,  "content-type", "application/grpc",
                                "te",      "trailers",   extra_name, extra_value};
        nghttp2_nv nv[7];
        size_t count = extra_name ? 7 : 6;
        for (size_t i = 0; i < count; i++)
                nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)fields[2 * i], (uint8_t *)(uintptr_t)fields[2 * i + 1],
                                     strlen(fields[2 * i]), strlen(fields[2 * i + 1]), 0};
        nghttp2_data_provider provider = {.source.ptr = stream, .read_callback = read_out};
        stream->in = VN_BUF_INIT(8 << 20);
        stream->id = nghttp2_submit_request(client->session, NULL, nv, count, &provider, stream);
        CHECK(stream->id > 0);
}

/* Talks until the condition holds, or ten seconds have passed. */
#define RUN(client, until)                                                                                           \
        do {                                                                                                         \
                int64_t run_end_ = vn_mono_us(vn_clock_real()) + 10 * VN_US_PER_S;                                   \
                while (!(until) && vn_mono_us(vn_clock_real()) < run_end_ && turn(client))                           \
                        ;                                                                                            \
                turn(client);                                                                                        \
                CHECK(until);                                                                                        \
        } while (0)

static bool turn(struct client *client)
{
        const uint8_t *frames;
        uint8_t in[65536];
        ssize_t n;
        while ((n = nghttp2_session_mem_send(client->session, &frames)) > 0)
                if (send(client->fd, frames, (size_t)n, MSG_NOSIGNAL) != n)
                        return false;
        n = recv(client->fd, in, sizeof in, 0);
        if (n == 0)
                return false;
        return n < 0 || nghttp2_session_mem_recv(client->session, in, (size_t)n) >= 0;
}

/* service = "hi": field 1, 2 bytes */
static const char hi[] = "\0\0\0\0\x04\x0a\x02hi";
#define HI vn_str_n(hi, sizeof hi - 1)

static void call_once(const char *path, struct vn_str out, struct stream *ret)
{
        struct client client;
        *ret = (struct stream){.out = out};
        client_open(&client);
        begin(&client, ret, path, NULL, NULL);
        RUN(&client, ret->closed);
        client_close(&client);
}

TEST(grpc_unary_and_odd_framing)
{
        static const struct {
                const char *path;
                const char *out;
                size_t len;
                const char *status;
        } cases[] = {
                {"/t.T/Echo", hi, sizeof hi - 1, "0"},
                {"/t.T/Echo", "\0\0\0\0\0", 5, "0"},
                {"/t.T/Defer", hi, sizeof hi - 1, "0"},
                {"/t.T/None", hi, sizeof hi - 1, "12"},
                {"/none/None", hi, sizeof hi - 1, "12"},
                {"/t.T/AgentPark", hi, sizeof hi - 1, "16"},
                {"/t.T/Echo", "", 0, "3"},                        /* no message */
                {"/t.T/Echo", "\0\0\0", 3, "3"},                  /* half a prefix */
                {"/t.T/Echo", "\0\0\0\0\x04\x0a", 6, "3"},        /* half a message */
                {"/t.T/Echo", "\0\0\0\0\x02\xff\xff", 7, "3"},    /* not a message */
                {"/t.T/Echo", "\1\0\0\0\x04\x0a\x02hi", 9, "13"}, /* compressed, but by what? */
                {"/t.T/Echo", "\0\0\0\x10\0", 5, "8"},            /* larger than the row allows */
                {"/t.T/Echo", "\0\xff\xff\xff\xff", 5, "8"},
                {"/t.T/Echo", "\0\0\0\0\0\0\0\0\0\0", 10, "12"}, /* two messages */
        };
        CHECK_OK(start_edge());
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct stream stream;
                call_once(cases[i].path, vn_str_n(cases[i].out, cases[i].len), &stream);
                if (strcmp(stream.status, cases[i].status))
                        test_fail(__FILE__, __LINE__, "case %zu: want %s, got %s \"%s\"", i, cases[i].status,
                                  stream.status, stream.message);
                if (i == 0)
                        CHECK(stream.in.len == sizeof hi - 1 && !memcmp(stream.in.ptr, hi, sizeof hi - 1));
                if (i == 2)
                        CHECK(stream.in.len == 12 && !memcmp(stream.in.ptr + 7, "later", 5));
                vn_buf_done(&stream.in);
        }
        edge = vn_edge_free(edge);
}

TEST(grpc_deadline_cancel_and_revocation)
{
        struct client client;
        struct stream late = {.out = HI}, dropped = {.out = HI}, agent = {.out = HI};
        struct vn_edge_stats stats;
        CHECK_OK(start_edge());
        client_open(&client);
        begin(&client, &late, "/t.T/Park", "grpc-timeout", "100m");
        RUN(&client, late.closed);
        CHECK_TEXT("4", late.status);
        CHECK_INT(1, cancelled_count);
        begin(&client, &dropped, "/t.T/Park", NULL, NULL);
        for (int i = 0; i < 4; i++)
                turn(&client);
        nghttp2_submit_rst_stream(client.session, 0, dropped.id, NGHTTP2_CANCEL);
        RUN(&client, __atomic_load_n(&cancelled_count, __ATOMIC_SEQ_CST) == 2);
        begin(&client, &agent, "/t.T/AgentPark", "authorization", "agent");
        for (int i = 0; i < 4; i++)
                turn(&client);
        vn_edge_end_account(edge, 41); /* somebody else */
        for (int i = 0; i < 4; i++)
                turn(&client);
        CHECK(!agent.closed);
        int64_t start_us = vn_mono_us(vn_clock_real());
        vn_edge_end_account(edge, 42);
        RUN(&client, agent.closed);
        CHECK(vn_mono_us(vn_clock_real()) - start_us < VN_US_PER_S);
        CHECK_TEXT("16", agent.status);
        CHECK_INT(3, cancelled_count);
        for (uint64_t id = 100; id < 300; id++) /* more than a loop's list holds: all agents' calls end */
                vn_edge_end_account(edge, id);
        vn_edge_stats(edge, &stats);
        CHECK(stats.deadlines == 1 && stats.revoked == 1 && stats.cancelled == 3);
        client_close(&client);
        edge = vn_edge_free(edge);
}

TEST(grpc_deadline_may_pass_while_another_thread_works_for_the_call)
{
        struct client client;
        struct stream streams[16];
        CHECK_OK(start_edge());
        client_open(&client);
        for (int i = 0; i < 16; i++) {
                char timeout[8];
                snprintf(timeout, sizeof timeout, "%dm", 20 + 3 * i);
                streams[i] = (struct stream){.out = HI};
                begin(&client, &streams[i], "/t.T/Busy", "grpc-timeout", timeout);
        }
        for (int i = 0; i < 16; i++) {
                RUN(&client, streams[i].closed);
                CHECK_TEXT("4", streams[i].status);
                CHECK_TEXT("deadline exceeded", streams[i].message);
        }
        client_close(&client);
        vn_edge_drain(edge, 0);
        /* On a slow machine some deadlines pass before their handlers begin. */
        for (int i = 0; i < 2000 && __atomic_load_n(&busy_done, __ATOMIC_SEQ_CST) < busy_started; i++)
                usleep(5000);
        CHECK(busy_started > 0);
        CHECK_INT(busy_started, __atomic_load_n(&busy_done, __ATOMIC_SEQ_CST));
        edge = vn_edge_free(edge);
}

TEST(grpc_full_outbox_goes_on_when_it_drains)
{
        struct stream stream;
        CHECK_OK(start_edge());
        call_once("/t.T/Pour", HI, &stream);
        CHECK_TEXT("0", stream.status);
        CHECK(full_count > 3);
        CHECK(stream.in.len > 64 * 65535u);
        vn_buf_done(&stream.in);
        edge = vn_edge_free(edge);
}

TEST(grpc_paused_reading_holds_the_peer_back)
{
        /* "pause", then 1 MB that must not be taken. */
        static char out[1 << 20];
        struct client client;
        struct stream stream = {.out = vn_str_n(out, sizeof out)};
        size_t n = 12;
        memcpy(out, "\0\0\0\0\x07\x0a\x05pause", n);
        for (; n + 9 <= sizeof out; n += 9)
                memcpy(out + n, hi, 9);
        stream.out.len = n;
        CHECK_OK(start_edge());
        client_open(&client);
        begin(&client, &stream, "/t.T/Bidi", NULL, NULL);
        for (int i = 0; i < 20; i++)
                turn(&client);
        CHECK(stream.out_at > 1000 && stream.out_at <= 300000); /* the stream's window, and no more */
        CHECK_INT(12, stream.in.len);
        client_close(&client);
        for (int i = 0; i < 1000 && !__atomic_load_n(&cancelled_count, __ATOMIC_SEQ_CST); i++)
                usleep(5000);
        CHECK_INT(1, cancelled_count);
        vn_buf_done(&stream.in);
        edge = vn_edge_free(edge);
}

TEST(health_watchers_hear_of_changes_and_drain_says_goaway)
{
        struct client client;
        struct stream watcher = {.out = vn_str_n("\0\0\0\0\0", 5)}, unknown = {.out = HI};
        CHECK_OK(start_edge());
        client_open(&client);
        begin(&client, &watcher, "/grpc.health.v1.Health/Watch", NULL, NULL);
        begin(&client, &unknown, "/grpc.health.v1.Health/Watch", NULL, NULL);
        RUN(&client, watcher.in.len == 7 && unknown.in.len == 7);
        CHECK(watcher.in.ptr[6] == 1 && unknown.in.ptr[6] == 3);
        vn_edge_set_serving(edge, false);
        RUN(&client, watcher.in.len == 14);
        CHECK(watcher.in.ptr[13] == 2);
        vn_edge_set_serving(edge, true);
        RUN(&client, watcher.in.len == 21);
        vn_edge_drain(edge, 600); /* watchers do not leave by themselves, so they are cut */
        while (turn(&client))
                ;
        CHECK(client.goaway);
        client_close(&client);
        vn_buf_done(&watcher.in);
        vn_buf_done(&unknown.in);
        edge = vn_edge_free(edge);
}
