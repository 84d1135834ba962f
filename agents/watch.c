#include "agents/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"
#include "base/hash.h"
#include "vane/v1/agent.pb-c.h"

#define MAX_EVENTS 256
#define MAX_PAUSED 1024
#define ARENA_BYTES (1u << 20)
#define FIRST_BACKOFF_US (200 * VN_US_PER_MS)
#define MAX_BACKOFF_US (10 * VN_US_PER_S)

struct vn_watch {
        pthread_t thread;
        bool running;
        pthread_mutex_t mutex; /* of everything below */
        pthread_cond_t changed;
        struct vn_grpc_channel *channel;
        struct vn_grpc_call *call; /* while open */
        bool stopping;
        bool fresh; /* the stream has just opened: the first pause notice begins the whole list anew */
        struct vn_agent_event *events; /* ring */
        size_t first, count;
        bool account_paused;
        char (*paused)[VN_MAX_FUNCTION_NAME];
        size_t paused_count;
        struct vn_err error;
        atomic_bool connected;
        atomic_uint_fast64_t model_version;
};

/* --- pauses --- */

static void pause_set(struct vn_watch *watch, bool paused, const char *function)
{
        pthread_mutex_lock(&watch->mutex);
        if (watch->fresh)
                watch->paused_count = 0;
        watch->fresh = false;
        size_t i = 0;
        while (i < watch->paused_count && strcmp(watch->paused[i], function))
                i++;
        if (!function[0])
                watch->account_paused = paused;
        else if (!paused && i < watch->paused_count)
                memcpy(watch->paused[i], watch->paused[--watch->paused_count], sizeof watch->paused[i]);
        else if (paused && i == watch->paused_count) {
                /* No room to remember this one, or no such name: stop everything rather than too little. */
                if (i < MAX_PAUSED && vn_str_copy(watch->paused[i], sizeof watch->paused[i], vn_str(function)))
                        watch->paused_count++;
                else
                        watch->account_paused = true;
        }
        pthread_mutex_unlock(&watch->mutex);
}

bool vn_watch_paused(struct vn_watch *watch, const char *function)
{
        pthread_mutex_lock(&watch->mutex);
        bool paused = watch->account_paused;
        for (size_t i = 0; !paused && i < watch->paused_count; i++)
                paused = !strcmp(watch->paused[i], function);
        pthread_mutex_unlock(&watch->mutex);
        return paused;
}

/* --- messages to events --- */

static bool convert_command(const Vane__V1__Command *m, struct vn_agent_command *ret)
{
        ret->memory_mb = m->memory_mb;
        ret->expected_memory_mb = m->expected_memory_mb;
        ret->rollback = m->rollback;
        ret->expires_us = m->expires_us;
        return m->id[0] && vn_str_copy(ret->id, sizeof ret->id, vn_str(m->id)) &&
               vn_str_copy(ret->function, sizeof ret->function, vn_str(m->function)) &&
               vn_str_copy(ret->region, sizeof ret->region, vn_str(m->region)) &&
               vn_str_copy(ret->expected_guard, sizeof ret->expected_guard, vn_str(m->expected_guard));
}

static void convert_round(const Vane__V1__RoundOffer *m, struct vn_agent_round *ret)
{
        *ret = (struct vn_agent_round){
                .round = m->round,
                .base_version = m->base_version,
                .seed = m->seed,
                .parameter_count = m->parameter_count,
                .deadline_us = m->deadline_us,
                .epochs = m->epochs,
                .batch = m->batch,
                .learning_rate = m->learning_rate,
                .proximal = m->proximal >= 0 && m->proximal <= 100 ? m->proximal : 0,
        };
}

/* A class that is not known here forbids what the strictest does. */
static bool convert_rules(const Vane__V1__DataNotice *m, struct vn_leave_rules *ret)
{
        if (!vn_data_class_parse(vn_str(m->data_class), &ret->data_class))
                ret->data_class = VN_DATA_RESTRICTED;
        return vn_str_copy(ret->residency, sizeof ret->residency, vn_str(m->residency)) &&
               vn_str_copy(ret->server_residency, sizeof ret->server_residency, vn_str(m->server_residency));
}

static bool convert_grant(const Vane__V1__GrantRequest *m, struct vn_agent_grant *ret)
{
        if (m->gateway_key.len != sizeof ret->gateway_key || !m->n_functions ||
            m->n_functions > VN_AGENT_GRANT_FUNCTIONS || !m->id[0] ||
            !vn_str_copy(ret->id, sizeof ret->id, vn_str(m->id)) ||
            !vn_str_copy(ret->gateway, sizeof ret->gateway, vn_str(m->gateway)))
                return false;
        memcpy(ret->gateway_key, m->gateway_key.data, sizeof ret->gateway_key);
        ret->seconds = m->seconds;
        for (size_t i = 0; i < m->n_functions; i++)
                if (!vn_str_copy(ret->functions[i].name, sizeof ret->functions[i].name,
                                 vn_str(m->functions[i]->name)) ||
                    !vn_str_copy(ret->functions[i].region, sizeof ret->functions[i].region,
                                 vn_str(m->functions[i]->region)))
                        return false;
        ret->function_count = m->n_functions;
        return true;
}

bool vn_watch_convert(struct vn_watch *watch, const Vane__V1__AgentEvent *message, struct vn_agent_event *ret)
{
        memset(ret, 0, sizeof *ret);
        switch (message->event_case) {
        case VANE__V1__AGENT_EVENT__EVENT_COMMAND:
                ret->kind = VN_AGENT_COMMAND;
                return convert_command(message->command, &ret->command);
        case VANE__V1__AGENT_EVENT__EVENT_ROUND:
                ret->kind = VN_AGENT_ROUND;
                convert_round(message->round, &ret->round);
                return true;
        case VANE__V1__AGENT_EVENT__EVENT_MODEL:
                ret->kind = VN_AGENT_MODEL;
                ret->model.version = message->model->version;
                if (message->model->sha256.len != sizeof ret->model.sha256)
                        return false;
                memcpy(ret->model.sha256, message->model->sha256.data, sizeof ret->model.sha256);
                return true;
        case VANE__V1__AGENT_EVENT__EVENT_PAUSE:
                pause_set(watch, message->pause->paused, message->pause->function);
                return false;
        case VANE__V1__AGENT_EVENT__EVENT_LEVEL:
                ret->kind = VN_AGENT_LEVEL;
                return vn_str_copy(ret->level, sizeof ret->level, vn_str(message->level->level));
        case VANE__V1__AGENT_EVENT__EVENT_DATA:
                ret->kind = VN_AGENT_RULES;
                return convert_rules(message->data, &ret->rules);
        case VANE__V1__AGENT_EVENT__EVENT_GRANT:
                ret->kind = VN_AGENT_GRANT;
                return convert_grant(message->grant, &ret->grant);
        case VANE__V1__AGENT_EVENT__EVENT__NOT_SET:
        case _VANE__V1__AGENT_EVENT__EVENT__CASE_IS_INT_SIZE: break;
        }
        return false;
}

static bool put_event(struct vn_watch *watch, const struct vn_agent_event *event)
{
        pthread_mutex_lock(&watch->mutex);
        bool room = watch->count < MAX_EVENTS;
        if (room)
                watch->events[(watch->first + watch->count++) % MAX_EVENTS] = *event;
        pthread_cond_broadcast(&watch->changed);
        pthread_mutex_unlock(&watch->mutex);
        return room;
}

static void deadline_after(int64_t us, struct timespec *ret)
{
        clock_gettime(CLOCK_MONOTONIC, ret);
        ret->tv_sec += us / VN_US_PER_S;
        ret->tv_nsec += us % VN_US_PER_S * 1000;
        if (ret->tv_nsec >= 1000000000)
                ret->tv_nsec -= 1000000000, ret->tv_sec++;
}

bool vn_watch_next(struct vn_watch *watch, int64_t wait_us, struct vn_agent_event *ret)
{
        struct timespec until;
        deadline_after(wait_us, &until);
        pthread_mutex_lock(&watch->mutex);
        while (!watch->count && wait_us > 0)
                if (pthread_cond_timedwait(&watch->changed, &watch->mutex, &until) == ETIMEDOUT)
                        break;
        bool some = watch->count > 0;
        if (some) {
                *ret = watch->events[watch->first];
                watch->first = (watch->first + 1) % MAX_EVENTS;
                watch->count--;
        }
        pthread_mutex_unlock(&watch->mutex);
        return some;
}

/* --- the thread --- */

static enum vn_rc receive_all(struct vn_watch *watch, struct vn_grpc_call *call, struct vn_err *err)
{
        struct vn_arena arena;
        vn_arena_init(&arena, ARENA_BYTES);
        enum vn_rc rc;
        for (;;) {
                ProtobufCMessage *message = NULL;
                rc = vn_grpc_recv(call, &arena, &message, err);
                if (rc != VN_OK || !message)
                        break;
                atomic_store(&watch->connected, true);
                struct vn_agent_event event;
                if (vn_watch_convert(watch, (const Vane__V1__AgentEvent *)message, &event) &&
                    !put_event(watch, &event)) {
                        rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "watch: too many events wait");
                        break;
                }
                vn_arena_reset(&arena);
        }
        if (rc == VN_OK)
                rc = vn_grpc_finish(call, err);
        vn_arena_done(&arena);
        return rc == VN_OK ? vn_fail(err, VN_UNAVAILABLE, "the server ended the stream") : rc;
}

static enum vn_rc watch_once(struct vn_watch *watch, struct vn_err *err)
{
        /* Waits for the line: the stream stands as soon as the server does, not at the end of our own pause. */
        struct vn_grpc_method method = {"/vane.v1.Agents/Watch", &vane__v1__agent_event__descriptor, 0, true};
        Vane__V1__WatchRequest request = VANE__V1__WATCH_REQUEST__INIT;
        request.model_version = atomic_load(&watch->model_version);
        struct vn_grpc_call *call = NULL;
        VN_TRY(vn_grpc_open(watch->channel, &method, &call, err));
        pthread_mutex_lock(&watch->mutex);
        watch->call = call;
        watch->fresh = true;
        bool stopping = watch->stopping;
        pthread_mutex_unlock(&watch->mutex);
        enum vn_rc rc = stopping ? VN_CANCELLED : vn_grpc_send(call, &request.base, err);
        if (rc == VN_OK)
                rc = vn_grpc_send_done(call, err);
        if (rc == VN_OK)
                rc = receive_all(watch, call, err);
        else if (!stopping)
                rc = vn_grpc_finish(call, err) == VN_OK ? rc : err->rc; /* the status says more than "cancelled" */
        pthread_mutex_lock(&watch->mutex);
        watch->call = NULL;
        pthread_mutex_unlock(&watch->mutex);
        vn_grpc_call_free(call);
        atomic_store(&watch->connected, false);
        return rc;
}

/* True when the watch is being stopped. */
static bool wait_before_retry(struct vn_watch *watch, int64_t us)
{
        struct timespec until;
        deadline_after(us, &until);
        pthread_mutex_lock(&watch->mutex);
        while (!watch->stopping && pthread_cond_timedwait(&watch->changed, &watch->mutex, &until) != ETIMEDOUT)
                ;
        bool stopping = watch->stopping;
        pthread_mutex_unlock(&watch->mutex);
        return stopping;
}

static void *watch_run(void *arg)
{
        struct vn_watch *watch = arg;
        int64_t backoff_us = FIRST_BACKOFF_US;
        struct vn_rng rng;
        uint64_t seed;
        vn_random_bytes(&seed, sizeof seed); /* many agents must not come back at the same instant */
        vn_rng_seed(&rng, seed);
        for (;;) {
                struct vn_err err = {0};
                int64_t started_us = vn_mono_us(vn_clock_real());
                VN_IGNORE(watch_once(watch, &err)); /* it always ends with an error, which is kept for the asker */
                pthread_mutex_lock(&watch->mutex);
                watch->error = err;
                pthread_mutex_unlock(&watch->mutex);
                if (vn_mono_us(vn_clock_real()) - started_us > MAX_BACKOFF_US)
                        backoff_us = FIRST_BACKOFF_US; /* it had held */
                if (wait_before_retry(watch, backoff_us / 2 + (int64_t)vn_rng_below(&rng, (uint64_t)backoff_us)))
                        return NULL;
                backoff_us = backoff_us * 2 < MAX_BACKOFF_US ? backoff_us * 2 : MAX_BACKOFF_US;
        }
}

enum vn_rc vn_watch_resume(struct vn_watch *watch, struct vn_grpc_channel *channel, struct vn_err *err)
{
        VN_ASSERT(!watch->running);
        watch->channel = channel;
        watch->stopping = false;
        int error = pthread_create(&watch->thread, NULL, watch_run, watch);
        if (error)
                return vn_fail(err, vn_rc_from_errno(error), "watch: no thread: %s", strerror(error));
        watch->running = true;
        return VN_OK;
}

static struct vn_watch *watch_new(void)
{
        struct vn_watch *watch = vn_alloc(sizeof *watch);
        if (!watch)
                return NULL;
        pthread_condattr_t attr;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_mutex_init(&watch->mutex, NULL);
        pthread_cond_init(&watch->changed, &attr);
        pthread_condattr_destroy(&attr);
        watch->events = vn_alloc_array(MAX_EVENTS, sizeof *watch->events);
        watch->paused = vn_alloc_array(MAX_PAUSED, sizeof *watch->paused);
        return watch->events && watch->paused ? watch : vn_watch_free(watch);
}

enum vn_rc vn_watch_start(struct vn_grpc_channel *channel, struct vn_watch **ret, struct vn_err *err)
{
        struct vn_watch *watch = watch_new();
        if (!watch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "watch: out of memory");
        if (channel) {
                enum vn_rc rc = vn_watch_resume(watch, channel, err);
                if (rc != VN_OK) {
                        vn_watch_free(watch);
                        return rc;
                }
        }
        *ret = watch;
        return VN_OK;
}

void vn_watch_stop(struct vn_watch *watch)
{
        if (!watch->running)
                return;
        pthread_mutex_lock(&watch->mutex);
        watch->stopping = true;
        if (watch->call)
                vn_grpc_cancel(watch->call);
        pthread_cond_broadcast(&watch->changed);
        pthread_mutex_unlock(&watch->mutex);
        pthread_join(watch->thread, NULL);
        watch->running = false;
}

struct vn_watch *vn_watch_free(struct vn_watch *watch)
{
        if (!watch)
                return NULL;
        vn_watch_stop(watch);
        pthread_cond_destroy(&watch->changed);
        pthread_mutex_destroy(&watch->mutex);
        vn_free(watch->events);
        vn_free(watch->paused);
        vn_free(watch);
        return NULL;
}

bool vn_watch_connected(const struct vn_watch *watch)
{
        return atomic_load(&watch->connected);
}

void vn_watch_set_model_version(struct vn_watch *watch, uint64_t version)
{
        atomic_store(&watch->model_version, version);
}

void vn_watch_error(struct vn_watch *watch, struct vn_err *ret)
{
        pthread_mutex_lock(&watch->mutex);
        *ret = watch->error;
        pthread_mutex_unlock(&watch->mutex);
}
