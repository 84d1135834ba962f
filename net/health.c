/* health.c - see health.h. Watchers of one loop form a list that only this loop touches. */
#include "net/health.h"

#include "grpc/health/v1/health.pb-c.h"
#include "net/edge_internal.h"

struct watcher {
        struct watcher *next, **at;
        struct vn_call *call;
        bool known, unsent; /* unsent: the outbox was full, the newest state follows when it drains */
};

struct loop_watch {
        struct vn_task task;
        struct vn_health *health;
        struct watcher *watchers;
        pthread_mutex_t lock; /* guards posted */
        bool posted;
};

struct vn_health {
        struct vn_edge *edge;
        struct loop_watch loops[EDGE_MAX_LOOPS];
};

static Grpc__Health__V1__HealthCheckResponse__ServingStatus state(const struct vn_edge *edge, bool known)
{
        if (!known)
                return GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVICE_UNKNOWN;
        return atomic_load(&edge->serving) ? GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__SERVING
                                           : GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__SERVING_STATUS__NOT_SERVING;
}

static bool is_known(const struct vn_edge *edge, const char *service)
{
        return !service[0] || edge_route_has_service(&edge->routes, vn_str(service));
}

static void check(struct vn_call *call, const ProtobufCMessage *message)
{
        const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
        const struct vn_health *health = vn_call_context(call);
        Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
        struct vn_err err;
        if (!is_known(health->edge, request->service)) {
                vn_fail(&err, VN_NOT_FOUND, "unknown service");
                vn_call_finish(call, VN_NOT_FOUND, &err);
                return;
        }
        reply.status = state(health->edge, true);
        vn_call_reply(call, &reply.base);
}

static void tell(struct vn_health *health, struct watcher *watcher)
{
        Grpc__Health__V1__HealthCheckResponse reply = GRPC__HEALTH__V1__HEALTH_CHECK_RESPONSE__INIT;
        reply.status = state(health->edge, watcher->known);
        watcher->unsent = vn_call_send(watcher->call, &reply.base) == VN_RESOURCE_EXHAUSTED;
}

static void watch(struct vn_call *call, const ProtobufCMessage *message)
{
        const Grpc__Health__V1__HealthCheckRequest *request = (const void *)message;
        struct vn_health *health = vn_call_context(call);
        struct watcher *watcher = vn_arena_alloc(vn_call_arena(call), sizeof *watcher);
        if (!watcher) {
                vn_call_finish(call, VN_RESOURCE_EXHAUSTED, NULL);
                return;
        }
        struct loop_watch *loop = &health->loops[call->loop->index];
        *watcher = (struct watcher){loop->watchers, &loop->watchers, call, is_known(health->edge, request->service),
                                    false};
        if (watcher->next)
                watcher->next->at = &watcher->next;
        loop->watchers = watcher;
        vn_call_set_user(call, watcher);
        tell(health, watcher);
}

/* Watching never ends by our side, so this is where every watcher leaves. */
static void unwatch(struct vn_call *call)
{
        struct watcher *watcher = vn_call_user(call);
        if (!watcher)
                return;
        *watcher->at = watcher->next;
        if (watcher->next)
                watcher->next->at = watcher->at;
}

static void writable(struct vn_call *call)
{
        struct watcher *watcher = vn_call_user(call);
        if (watcher && watcher->unsent)
                tell(vn_call_context(call), watcher);
}

static const struct vn_method rows[] = {
        {.service = "grpc.health.v1.Health",
         .name = "Check",
         .kind = VN_UNARY,
         .access = VN_ACCESS_PUBLIC,
         .request = &grpc__health__v1__health_check_request__descriptor,
         .response = &grpc__health__v1__health_check_response__descriptor,
         .help = "Says whether the server, or one of its services, is serving.",
         .max_request_bytes = 4096,
         .start = check},
        {.service = "grpc.health.v1.Health",
         .name = "Watch",
         .kind = VN_SERVER_STREAM,
         .access = VN_ACCESS_PUBLIC,
         .request = &grpc__health__v1__health_check_request__descriptor,
         .response = &grpc__health__v1__health_check_response__descriptor,
         .help = "Says so now, and again whenever it changes.",
         .max_request_bytes = 4096,
         .start = watch,
         .cancelled = unwatch,
         .writable = writable},
};

static void tell_loop(struct vn_task *task)
{
        struct loop_watch *loop = (struct loop_watch *)task;
        pthread_mutex_lock(&loop->lock);
        loop->posted = false;
        pthread_mutex_unlock(&loop->lock);
        struct watcher *next;
        for (struct watcher *watcher = loop->watchers; watcher; watcher = next) {
                next = watcher->next;
                tell(loop->health, watcher);
        }
}

enum vn_rc vn_health_new(struct vn_edge *edge, struct vn_health **ret, struct vn_err *err)
{
        *ret = NULL;
        struct vn_health *health = vn_alloc(sizeof *health);
        if (!health)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "health: out of memory");
        health->edge = edge;
        for (unsigned i = 0; i < EDGE_MAX_LOOPS; i++) {
                health->loops[i].health = health;
                health->loops[i].task.run = tell_loop;
                pthread_mutex_init(&health->loops[i].lock, NULL);
        }
        *ret = health;
        return vn_edge_add_methods(edge, rows, sizeof rows / sizeof *rows, health, err);
}

void vn_health_changed(struct vn_health *health)
{
        for (unsigned i = 0; i < health->edge->loop_count; i++) {
                struct loop_watch *loop = &health->loops[i];
                pthread_mutex_lock(&loop->lock);
                bool post = !loop->posted;
                loop->posted = true;
                pthread_mutex_unlock(&loop->lock);
                if (post)
                        vn_loop_post(vn_edge_loop(health->edge, i), &loop->task);
        }
}

struct vn_health *vn_health_free(struct vn_health *health)
{
        if (!health)
                return NULL;
        for (unsigned i = 0; i < EDGE_MAX_LOOPS; i++)
                pthread_mutex_destroy(&health->loops[i].lock);
        vn_free(health);
        return NULL;
}
