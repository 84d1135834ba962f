#include "net/grpc_client.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/loop.h"
#include "net/edge.h"
#include "tests/test.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/routing.pb-c.h"

/* --- a service on our own edge, one method of each kind --- */

static void unary(struct vn_call *call, const ProtobufCMessage *request)
{
        const Vane__V1__RouteRequest *r = (const Vane__V1__RouteRequest *)request;
        Vane__V1__RouteResponse reply = VANE__V1__ROUTE_RESPONSE__INIT;
        struct vn_str token = vn_call_header(call, "authorization");
        char *text;

        if (!strcmp(r->workload, "fail")) {
                struct vn_err err;
                enum vn_rc rc = vn_fail(&err, VN_FAILED_PRECONDITION, "no such luck");
                vn_call_finish(call, rc, &err);
                return;
        }
        if (!strcmp(r->workload, "never")) {
                vn_call_set_user(vn_call_ref(call), call);
                return;
        }
        text = vn_arena_strndup(vn_call_arena(call), token.ptr, token.len);
        reply.decision_id = r->workload;
        reply.reason = text ? text : reply.reason;
        vn_call_reply(call, &reply.base);
}

static void cancelled(struct vn_call *call)
{
        if (vn_call_user(call))
                vn_call_unref(call);
}

static void server_stream(struct vn_call *call, const ProtobufCMessage *request)
{
        (void)request;
        for (unsigned i = 0; i < 5; i++) {
                Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
                Vane__V1__ModelNotice model = VANE__V1__MODEL_NOTICE__INIT;
                model.version = i;
                event.event_case = VANE__V1__AGENT_EVENT__EVENT_MODEL;
                event.model = &model;
                CHECK_OK(vn_call_send(call, &event.base));
        }
        vn_call_finish(call, VN_OK, NULL);
}

static void count_message(struct vn_call *call, const ProtobufCMessage *message)
{
        (void)message;
        vn_call_set_user(call, (char *)vn_call_user(call) + 1);
}

static void count_done(struct vn_call *call)
{
        Vane__V1__UpdateReceipt reply = VANE__V1__UPDATE_RECEIPT__INIT;
        reply.weight = (uintptr_t)vn_call_user(call);
        vn_call_reply(call, &reply.base);
}

static void echo_batch(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__RouteBatch *batch = (const Vane__V1__RouteBatch *)message;
        Vane__V1__RouteBatchResponse reply = VANE__V1__ROUTE_BATCH_RESPONSE__INIT;
        Vane__V1__RouteResult result = VANE__V1__ROUTE_RESULT__INIT, *results[1] = {&result};

        result.code = (int32_t)batch->n_requests;
        reply.n_results = 1;
        reply.results = results;
        CHECK_OK(vn_call_send(call, &reply.base));
}

static void echo_done(struct vn_call *call)
{
        vn_call_finish(call, VN_OK, NULL);
}

static void nothing(struct vn_call *call)
{
        (void)call;
}

static const struct vn_method rows[] = {
        {.service = "vane.v1.Routing",
         .name = "Route",
         .kind = VN_UNARY,
         .access = VN_ACCESS_PUBLIC,
         .request = &vane__v1__route_request__descriptor,
         .response = &vane__v1__route_response__descriptor,
         .start = unary,
         .cancelled = cancelled},
        {.service = "vane.v1.Agents",
         .name = "Watch",
         .kind = VN_SERVER_STREAM,
         .access = VN_ACCESS_PUBLIC,
         .request = &vane__v1__watch_request__descriptor,
         .response = &vane__v1__agent_event__descriptor,
         .start = server_stream},
        {.service = "vane.v1.Agents",
         .name = "SubmitUpdate",
         .kind = VN_CLIENT_STREAM,
         .access = VN_ACCESS_PUBLIC,
         .request = &vane__v1__update_part__descriptor,
         .response = &vane__v1__update_receipt__descriptor,
         .open = nothing,
         .message = count_message,
         .half_close = count_done},
        {.service = "vane.v1.Routing",
         .name = "RouteStream",
         .kind = VN_BIDI,
         .access = VN_ACCESS_PUBLIC,
         .request = &vane__v1__route_batch__descriptor,
         .response = &vane__v1__route_batch_response__descriptor,
         .open = nothing,
         .message = echo_batch,
         .half_close = echo_done},
};

#define SECONDS(n) ((n)*VN_US_PER_S)
static const struct vn_grpc_method route = {"/vane.v1.Routing/Route", &vane__v1__route_response__descriptor,
                                            SECONDS(10), false};
static const struct vn_grpc_method watch = {"/vane.v1.Agents/Watch", &vane__v1__agent_event__descriptor, SECONDS(10),
                                            false};
static const struct vn_grpc_method submit = {"/vane.v1.Agents/SubmitUpdate", &vane__v1__update_receipt__descriptor,
                                             SECONDS(10), false};
static const struct vn_grpc_method stream = {"/vane.v1.Routing/RouteStream",
                                             &vane__v1__route_batch_response__descriptor, SECONDS(10), false};

struct fixture {
        struct vn_edge *edge;
        struct vn_grpc_channel *channel;
        struct vn_arena arena;
        struct vn_err err;
};

static void open_channel(struct fixture *f, uint16_t port)
{
        char target[32];
        snprintf(target, sizeof(target), "127.0.0.1:%u", port);
        CHECK_OK(vn_grpc_channel_new(&(struct vn_grpc_options){.target = target, .token = VN_STR("t0ken")},
                                     &f->channel, &f->err));
}

static void set_up(struct fixture *f)
{
        uint16_t port;
        char host[32];

        *f = (struct fixture){.edge = NULL};
        vn_arena_init(&f->arena, 1 << 20);
        CHECK_OK(vn_edge_new(NULL, 1, &f->edge, &f->err));
        CHECK_OK(vn_edge_add_methods(f->edge, rows, sizeof(rows) / sizeof(rows[0]), NULL, &f->err));
        CHECK_OK(vn_edge_listen(f->edge, "127.0.0.1", 0, NULL, &port, &f->err));
        snprintf(host, sizeof(host), "127.0.0.1:%u", port);
        CHECK_OK(vn_edge_allow_host(f->edge, host, &f->err));
        CHECK_OK(vn_edge_start(f->edge, &f->err));
        open_channel(f, port);
}

static void tear_down(struct fixture *f)
{
        vn_grpc_channel_free(f->channel);
        vn_edge_drain(f->edge, 1000);
        vn_edge_free(f->edge);
        vn_arena_done(&f->arena);
}

static enum vn_rc call_route(struct fixture *f, const char *workload, int64_t timeout_us,
                             Vane__V1__RouteResponse **ret)
{
        Vane__V1__RouteRequest request = VANE__V1__ROUTE_REQUEST__INIT;
        struct vn_grpc_method method = route;
        char text[64];
        ProtobufCMessage *reply;

        snprintf(text, sizeof(text), "%s", workload);
        request.workload = text;
        method.timeout_us = timeout_us;
        VN_TRY(vn_grpc_unary(f->channel, &method, &request.base, &f->arena, &reply, &f->err));
        *ret = (Vane__V1__RouteResponse *)reply;
        return VN_OK;
}

TEST(grpc_client_unary)
{
        struct fixture f;
        Vane__V1__RouteResponse *reply = NULL;

        set_up(&f);
        for (int i = 0; i < 20; i++) {
                vn_arena_reset(&f.arena);
                CHECK_OK(call_route(&f, "thumb", SECONDS(10), &reply));
                CHECK_TEXT("thumb", reply->decision_id);
                CHECK_TEXT("Bearer t0ken", reply->reason);
        }
        CHECK_RC(VN_FAILED_PRECONDITION, call_route(&f, "fail", SECONDS(10), &reply));
        CHECK_TEXT("no such luck", f.err.msg);
        CHECK_RC(VN_DEADLINE_EXCEEDED, call_route(&f, "never", 200000, &reply));
        vn_arena_done(&f.arena);
        vn_arena_init(&f.arena, 100); /* the answer does not fit: an error, not a half message */
        CHECK_RC(VN_INTERNAL, call_route(&f, "thumb", SECONDS(10), &reply));
        tear_down(&f);
}

TEST(grpc_client_unknown_method)
{
        struct fixture f;
        Vane__V1__RouteRequest request = VANE__V1__ROUTE_REQUEST__INIT;
        struct vn_grpc_method missing = {"/vane.v1.Routing/Nothing", &vane__v1__route_response__descriptor,
                                         SECONDS(10), false};
        ProtobufCMessage *reply;

        set_up(&f);
        CHECK_RC(VN_UNIMPLEMENTED, vn_grpc_unary(f.channel, &missing, &request.base, &f.arena, &reply, &f.err));
        tear_down(&f);
}

static enum vn_rc each(void *context, const ProtobufCMessage *message, struct vn_err *err)
{
        const Vane__V1__AgentEvent *event = (const Vane__V1__AgentEvent *)message;
        int *seen = context;

        CHECK_INT(VANE__V1__AGENT_EVENT__EVENT_MODEL, event->event_case);
        CHECK_INT(*seen, event->model->version);
        if (++*seen == 103)
                return vn_fail(err, VN_ABORTED, "enough");
        return VN_OK;
}

TEST(grpc_client_server_stream)
{
        struct fixture f;
        Vane__V1__WatchRequest request = VANE__V1__WATCH_REQUEST__INIT;
        int seen = 0;

        set_up(&f);
        CHECK_OK(vn_grpc_server_stream(f.channel, &watch, &request.base, 1 << 16, each, &seen, &f.err));
        CHECK_INT(5, seen);
        tear_down(&f);
}

static enum vn_rc stop_at_two(void *context, const ProtobufCMessage *message, struct vn_err *err)
{
        int *seen = context;
        (void)message;
        return ++*seen == 2 ? vn_fail(err, VN_ABORTED, "enough") : VN_OK;
}

TEST(grpc_client_ends_a_stream_early)
{
        struct fixture f;
        Vane__V1__WatchRequest request = VANE__V1__WATCH_REQUEST__INIT;
        int seen = 0;

        set_up(&f);
        CHECK_RC(VN_ABORTED,
                 vn_grpc_server_stream(f.channel, &watch, &request.base, 1 << 16, stop_at_two, &seen, &f.err));
        CHECK_INT(2, seen);
        tear_down(&f);
}

TEST(grpc_client_client_stream)
{
        struct fixture f;
        Vane__V1__UpdatePart part = VANE__V1__UPDATE_PART__INIT;
        struct vn_grpc_call *call = NULL;
        ProtobufCMessage *reply = NULL;

        set_up(&f);
        CHECK_OK(vn_grpc_open(f.channel, &submit, &call, &f.err));
        for (int i = 0; i < 50; i++)
                CHECK_OK(vn_grpc_send(call, &part.base, &f.err)); /* empty messages are messages too */
        CHECK_OK(vn_grpc_send_done(call, &f.err));
        CHECK_OK(vn_grpc_recv(call, &f.arena, &reply, &f.err));
        CHECK(reply);
        CHECK_INT(50, ((Vane__V1__UpdateReceipt *)reply)->weight);
        CHECK_OK(vn_grpc_finish(call, &f.err));
        CHECK_OK(vn_grpc_finish(call, &f.err));
        vn_grpc_call_free(call);
        tear_down(&f);
}

TEST(grpc_client_bidi_and_cancel)
{
        struct fixture f;
        Vane__V1__RouteBatch batch = VANE__V1__ROUTE_BATCH__INIT;
        Vane__V1__RouteRequest one = VANE__V1__ROUTE_REQUEST__INIT, *requests[3] = {&one, &one, &one};
        struct vn_grpc_call *call = NULL;
        ProtobufCMessage *reply = NULL;

        set_up(&f);
        batch.requests = requests;
        CHECK_OK(vn_grpc_open(f.channel, &stream, &call, &f.err));
        for (size_t i = 0; i < 4; i++) {
                batch.n_requests = i;
                CHECK_OK(vn_grpc_send(call, &batch.base, &f.err));
                CHECK_OK(vn_grpc_recv(call, &f.arena, &reply, &f.err));
                CHECK_INT(i, ((Vane__V1__RouteBatchResponse *)reply)->results[0]->code);
        }
        vn_grpc_cancel(call);
        CHECK_OK(vn_grpc_recv(call, &f.arena, &reply, &f.err));
        CHECK(!reply);
        CHECK_RC(VN_CANCELLED, vn_grpc_finish(call, &f.err));
        CHECK_RC(VN_CANCELLED, vn_grpc_send(call, &batch.base, &f.err));
        vn_grpc_call_free(call);
        CHECK_OK(vn_grpc_open(f.channel, &stream, &call, &f.err));
        vn_grpc_call_free(call); /* in the middle of it */
        tear_down(&f);
}

static void *send_many(void *arg)
{
        Vane__V1__RouteBatch batch = VANE__V1__ROUTE_BATCH__INIT;
        struct vn_grpc_call *call = arg;
        struct vn_err err;
        bool all = true;

        for (int i = 0; i < 200; i++)
                all = all && vn_grpc_send(call, &batch.base, &err) == VN_OK;
        return all && vn_grpc_send_done(call, &err) == VN_OK ? call : NULL;
}

TEST(grpc_client_sends_while_another_thread_receives)
{
        struct fixture f;
        struct vn_grpc_call *call = NULL;
        ProtobufCMessage *reply = NULL;
        pthread_t thread;
        void *sent;
        int received = 0;

        set_up(&f);
        CHECK_OK(vn_grpc_open(f.channel, &stream, &call, &f.err));
        CHECK(!pthread_create(&thread, NULL, send_many, call));
        for (;; received++) {
                vn_arena_reset(&f.arena);
                CHECK_OK(vn_grpc_recv(call, &f.arena, &reply, &f.err));
                if (!reply)
                        break;
        }
        pthread_join(thread, &sent);
        CHECK(sent);
        CHECK_INT(200, received);
        CHECK_OK(vn_grpc_finish(call, &f.err));
        vn_grpc_call_free(call);
        tear_down(&f);
}

/* --- without a server --- */

TEST(grpc_client_reports_no_server)
{
        struct fixture f = {.edge = NULL};
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t n = sizeof(a);
        Vane__V1__RouteResponse *reply;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        vn_arena_init(&f.arena, 1 << 16);
        CHECK(!bind(fd, (struct sockaddr *)&a, sizeof(a)) && !getsockname(fd, (struct sockaddr *)&a, &n));
        open_channel(&f, ntohs(a.sin_port)); /* bound, not listening: refused */
        CHECK_RC(VN_UNAVAILABLE, call_route(&f, "x", SECONDS(10), &reply));
        CHECK(!strstr(f.err.msg, "t0ken"));
        f.channel = vn_grpc_channel_free(f.channel);
        CHECK(!listen(fd, 4));
        open_channel(&f, ntohs(a.sin_port)); /* accepted by the kernel, never answered */
        CHECK_RC(VN_DEADLINE_EXCEEDED, call_route(&f, "x", 300000, &reply));
        vn_grpc_channel_free(f.channel);
        close(fd);
        vn_arena_done(&f.arena);
}

TEST(grpc_client_refuses_bad_options)
{
        struct vn_grpc_channel *channel;
        struct vn_err err;
        struct vn_grpc_options o = {.target = "example.com:443"};

        CHECK_RC(VN_INVALID_ARGUMENT, vn_grpc_channel_new(&o, &channel, &err)); /* plain text to elsewhere */
        o.target = "127.0.0.1.example.com:443";
        CHECK_RC(VN_INVALID_ARGUMENT, vn_grpc_channel_new(&o, &channel, &err));
        o.target = "localhost";
        CHECK_RC(VN_INVALID_ARGUMENT, vn_grpc_channel_new(&o, &channel, &err));
        o.target = "localhost:1";
        o.token = VN_STR("secret\nx: y");
        CHECK_RC(VN_INVALID_ARGUMENT, vn_grpc_channel_new(&o, &channel, &err));
        CHECK(!strstr(err.msg, "secret"));
        o.token = VN_STR("");
        o.cert_pem = VN_STR("x");
        CHECK_RC(VN_INVALID_ARGUMENT, vn_grpc_channel_new(&o, &channel, &err));
}
