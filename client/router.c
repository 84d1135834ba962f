#include "client/router.h"

#include <pthread.h>
#include <stdio.h>
#include <time.h>

#include "base/clock.h"
#include "base/str.h"
#include "net/grpc_client.h"
#include "vane/v1/routing.pb-c.h"

#define MAX_FILE_BYTES (256u << 10)
#define ARENA_BYTES (1u << 20)
#define MAX_QUEUE 65536
#define REPORT_BATCH 256
#define PATIENCE_US (10 * VN_US_PER_S)
#define PAUSE_US (100 * VN_US_PER_MS)

struct vn_router {
        struct vn_grpc_channel *channel;
        struct vn_grpc_call *stream; /* NULL: to be opened */
        struct vn_arena arena;
        pthread_t reporter;
        bool started;
        pthread_mutex_t mutex;
        pthread_cond_t wake;
        struct vn_report *queue; /* under the mutex, a ring of MAX_QUEUE */
        size_t first, queued, sending;
        struct vn_router_counts counts;
        bool stop;
};

static void pause_us(int64_t us)
{
        struct timespec left = {.tv_sec = us / VN_US_PER_S, .tv_nsec = us % VN_US_PER_S * 1000};

        nanosleep(&left, NULL);
}

/* --- reports --- */

static enum vn_rc send_reports(struct vn_router *router, const struct vn_report *reports, size_t count,
                               struct vn_arena *arena, Vane__V1__ReportResponse **ret, struct vn_err *err)
{
        static const struct vn_grpc_method method = {.path = "/vane.v1.Routing/Report",
                                                     .response = &vane__v1__report_response__descriptor,
                                                     .timeout_us = PATIENCE_US,
                                                     .wait_ready = true};
        Vane__V1__Outcome outcomes[REPORT_BATCH], *list[REPORT_BATCH];
        Vane__V1__ReportRequest request = VANE__V1__REPORT_REQUEST__INIT;
        ProtobufCMessage *answer;

        for (size_t i = 0; i < count; i++) {
                vane__v1__outcome__init(&outcomes[i]);
                outcomes[i].decision_id = (char *)(uintptr_t)reports[i].decision_id;
                outcomes[i].status = (Vane__V1__Outcome__Status)reports[i].status;
                outcomes[i].latency_us = reports[i].latency_us;
                outcomes[i].response_bytes = reports[i].response_bytes;
                list[i] = &outcomes[i];
        }
        request.n_outcomes = count;
        request.outcomes = list;
        VN_TRY(vn_grpc_unary(router->channel, &method, &request.base, arena, &answer, err));
        *ret = (Vane__V1__ReportResponse *)answer;
        return VN_OK;
}

static void count_answer(struct vn_router *router, enum vn_rc rc, const Vane__V1__ReportResponse *answer, size_t sent,
                         const struct vn_err *err)
{
        const char *reason = rc != VN_OK ? err->msg : answer->n_reasons > 0 ? answer->reasons[0] : NULL;

        if (rc == VN_OK) {
                router->counts.accepted += answer->accepted;
                router->counts.refused += answer->refused;
        } else {
                router->counts.lost += sent;
        }
        if (reason)
                snprintf(router->counts.last_reason, sizeof(router->counts.last_reason), "%s", reason);
}

static void *reporter_main(void *arg)
{
        struct vn_router *router = arg;
        struct vn_report batch[REPORT_BATCH];

        pthread_mutex_lock(&router->mutex);
        while (!router->stop) {
                VN_AUTO(vn_arena)
                arena;
                Vane__V1__ReportResponse *answer = NULL;
                struct vn_err err = {0};
                size_t count = router->queued < REPORT_BATCH ? router->queued : REPORT_BATCH;
                enum vn_rc rc;

                vn_arena_init(&arena, ARENA_BYTES);
                if (count == 0) {
                        pthread_cond_wait(&router->wake, &router->mutex);
                        continue;
                }
                for (size_t i = 0; i < count; i++)
                        batch[i] = router->queue[(router->first + i) % MAX_QUEUE];
                router->first = (router->first + count) % MAX_QUEUE;
                router->queued -= count;
                router->sending = count;
                pthread_mutex_unlock(&router->mutex);
                rc = send_reports(router, batch, count, &arena, &answer, &err);
                for (int i = 0; i < 5 && rc == VN_UNAVAILABLE;
                     i++) { /* a report is accepted once, so again is safe */
                        pause_us(PAUSE_US);
                        rc = send_reports(router, batch, count, &arena, &answer, &err);
                }
                pthread_mutex_lock(&router->mutex);
                router->sending = 0;
                count_answer(router, rc, answer, count, &err);
        }
        pthread_mutex_unlock(&router->mutex);
        return NULL;
}

enum vn_rc vn_router_report(struct vn_router *router, const struct vn_report *report, struct vn_err *err)
{
        bool full;

        pthread_mutex_lock(&router->mutex);
        full = router->queued == MAX_QUEUE;
        if (!full) {
                router->queue[(router->first + router->queued) % MAX_QUEUE] = *report;
                router->queued++;
                pthread_cond_signal(&router->wake);
        }
        pthread_mutex_unlock(&router->mutex);
        return full ? vn_fail(err, VN_RESOURCE_EXHAUSTED, "%d reports wait for the server", MAX_QUEUE) : VN_OK;
}

void vn_router_flush(struct vn_router *router, int64_t wait_us, struct vn_router_counts *ret)
{
        int64_t waited_us = 0;

        pthread_mutex_lock(&router->mutex);
        while ((router->queued > 0 || router->sending > 0) && waited_us < wait_us) {
                pthread_mutex_unlock(&router->mutex);
                pause_us(VN_US_PER_MS);
                waited_us += VN_US_PER_MS;
                pthread_mutex_lock(&router->mutex);
        }
        *ret = router->counts;
        ret->lost += router->queued + router->sending;
        pthread_mutex_unlock(&router->mutex);
}

/* --- routes --- */

static void copy_result(const Vane__V1__RouteResult *result, struct vn_route_answer *ret)
{
        const Vane__V1__RouteResponse *r = result->response;

        memset(ret, 0, sizeof(*ret));
        ret->rc = (enum vn_rc)result->code;
        snprintf(ret->problem, sizeof(ret->problem), "%s", result->message);
        if (ret->rc != VN_OK)
                return;
        if (!r || strlen(r->decision_id) >= sizeof(ret->decision_id) || strlen(r->account) >= sizeof(ret->account) ||
            strlen(r->function) >= sizeof(ret->function)) {
                ret->rc = VN_DATA_LOSS;
                snprintf(ret->problem, sizeof(ret->problem), "the answer to a route lacks its parts");
                return;
        }
        memcpy(ret->decision_id, r->decision_id, strlen(r->decision_id) + 1);
        memcpy(ret->account, r->account, strlen(r->account) + 1);
        memcpy(ret->function, r->function, strlen(r->function) + 1);
}

static enum vn_rc route_once(struct vn_router *router, const struct vn_route_ask *asks, size_t count,
                             struct vn_route_answer *ret, struct vn_err *err)
{
        static const struct vn_grpc_method method = {.path = "/vane.v1.Routing/RouteStream",
                                                     .response = &vane__v1__route_batch_response__descriptor,
                                                     .wait_ready = true};
        Vane__V1__RouteRequest requests[VN_ROUTER_MAX_BATCH], *list[VN_ROUTER_MAX_BATCH];
        Vane__V1__RouteBatch batch = VANE__V1__ROUTE_BATCH__INIT;
        Vane__V1__RouteBatchResponse *response;
        ProtobufCMessage *answer = NULL;

        for (size_t i = 0; i < count; i++) {
                vane__v1__route_request__init(&requests[i]);
                requests[i].workload = (char *)(uintptr_t)asks[i].workload;
                requests[i].payload_bytes = asks[i].payload_bytes;
                requests[i].time_us = asks[i].time_us;
                requests[i].request_id = (char *)(uintptr_t)asks[i].request_id;
                requests[i].n_exclude_accounts = asks[i].excluded_count;
                requests[i].exclude_accounts = (char **)(uintptr_t)asks[i].excluded;
                list[i] = &requests[i];
        }
        batch.n_requests = count;
        batch.requests = list;
        vn_arena_reset(&router->arena);
        if (!router->stream)
                VN_TRY(vn_grpc_open(router->channel, &method, &router->stream, err));
        VN_TRY(vn_grpc_send(router->stream, &batch.base, err));
        VN_TRY(vn_grpc_recv(router->stream, &router->arena, &answer, err));
        if (!answer)
                return vn_fail(err, VN_CANCELLED, "the route stream ended");
        response = (Vane__V1__RouteBatchResponse *)answer;
        if (response->n_results != count)
                return vn_fail(err, VN_DATA_LOSS, "%zu answers to %zu routes", response->n_results, count);
        for (size_t i = 0; i < count; i++)
                copy_result(response->results[i], &ret[i]);
        return VN_OK;
}

enum vn_rc vn_router_route(struct vn_router *router, const struct vn_route_ask *asks, size_t count,
                           struct vn_route_answer *ret, struct vn_err *err)
{
        enum vn_rc rc;

        VN_ASSERT(count > 0 && count <= VN_ROUTER_MAX_BATCH);
        for (int64_t waited_us = 0;; waited_us += PAUSE_US) {
                rc = route_once(router, asks, count, ret, err);
                if (rc == VN_OK || rc == VN_DATA_LOSS)
                        return rc;
                if (router->stream && rc == VN_CANCELLED)
                        rc = vn_grpc_finish(router->stream, err); /* the peer's own reason */
                router->stream = vn_grpc_call_free(router->stream);
                if (waited_us >= PATIENCE_US || rc == VN_UNAUTHENTICATED || rc == VN_PERMISSION_DENIED ||
                    rc == VN_UNIMPLEMENTED)
                        return rc == VN_OK ? vn_fail(err, VN_UNAVAILABLE, "the route stream ends at once") : rc;
                pause_us(PAUSE_US);
        }
}

/* --- life --- */

static enum vn_rc open_channel(struct vn_router *router, const char *server, const char *ca_file,
                               const char *token_file, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(MAX_FILE_BYTES);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(4096);
        struct vn_grpc_options options = {.target = server};

        if (!strncmp(server, "https://", 8))
                options.target = server + 8;
        VN_TRY(vn_file_read(ca_file, &ca, err));
        VN_TRY(vn_file_read(token_file, &token, err));
        options.ca_pem = vn_buf_view(&ca);
        options.token = vn_buf_view(&token);
        while (options.token.len > 0 && strchr("\r\n ", options.token.ptr[options.token.len - 1]))
                options.token.len--;
        return vn_grpc_channel_new(&options, &router->channel, err);
}

enum vn_rc vn_router_open(const char *server, const char *ca_file, const char *token_file, struct vn_router **ret,
                          struct vn_err *err)
{
        VN_AUTO(vn_router)
        router = vn_alloc(sizeof(*router));

        if (!router)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a router");
        vn_arena_init(&router->arena, ARENA_BYTES);
        pthread_mutex_init(&router->mutex, NULL);
        pthread_cond_init(&router->wake, NULL);
        router->queue = vn_alloc_array(MAX_QUEUE, sizeof(router->queue[0]));
        if (!router->queue)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a router");
        VN_TRY(open_channel(router, server, ca_file, token_file, err));
        router->started = !pthread_create(&router->reporter, NULL, reporter_main, router);
        if (!router->started)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no more threads");
        *ret = vn_steal(&router);
        return VN_OK;
}

struct vn_router *vn_router_free(struct vn_router *router)
{
        if (!router)
                return NULL;
        pthread_mutex_lock(&router->mutex);
        router->stop = true;
        pthread_cond_signal(&router->wake);
        pthread_mutex_unlock(&router->mutex);
        if (router->started)
                pthread_join(router->reporter, NULL);
        vn_grpc_call_free(router->stream);
        vn_grpc_channel_free(router->channel);
        pthread_cond_destroy(&router->wake);
        pthread_mutex_destroy(&router->mutex);
        vn_arena_done(&router->arena);
        vn_free(router->queue);
        vn_free(router);
        return NULL;
}
