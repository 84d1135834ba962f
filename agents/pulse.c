#include "agents/pulse.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "agents/link.h"
#include "base/clock.h"
#include "base/mem.h"

#define EVERY_US (5 * VN_US_PER_S) /* of real time: silence longer than 15 s counts as offline */
#define STUCK_US (5 * VN_US_PER_MIN)

struct vn_pulse {
        pthread_t thread;
        pthread_mutex_t mutex;
        pthread_cond_t changed;
        bool stopping, running; /* stopping: under the mutex; running: the main thread's */
        struct vn_grpc_channel *channel;
        _Atomic int64_t turned_us;
};

static bool wait_for_next(struct vn_pulse *p)
{
        struct timespec until;
        pthread_mutex_lock(&p->mutex);
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += EVERY_US / VN_US_PER_S;
        while (!p->stopping && pthread_cond_timedwait(&p->changed, &p->mutex, &until) != ETIMEDOUT)
                ;
        bool stopping = p->stopping;
        pthread_mutex_unlock(&p->mutex);
        return !stopping;
}

static void *beat(void *arg)
{
        struct vn_pulse *p = arg;
        while (wait_for_next(p))
                if (vn_mono_us(vn_clock_real()) - atomic_load(&p->turned_us) < STUCK_US)
                        VN_IGNORE(vn_link_alive(p->channel, NULL)); /* the reports say when the server is away */
        return NULL;
}

enum vn_rc vn_pulse_new(struct vn_pulse **ret, struct vn_err *err)
{
        struct vn_pulse *p = vn_alloc(sizeof *p);
        pthread_condattr_t attr;
        if (!p)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_mutex_init(&p->mutex, NULL);
        pthread_cond_init(&p->changed, &attr);
        pthread_condattr_destroy(&attr);
        vn_pulse_turn(p);
        *ret = p;
        return VN_OK;
}

enum vn_rc vn_pulse_start(struct vn_pulse *pulse, struct vn_grpc_channel *channel, struct vn_err *err)
{
        VN_ASSERT(!pulse->running);
        pulse->channel = channel;
        pulse->stopping = false;
        int error = pthread_create(&pulse->thread, NULL, beat, pulse);
        if (error)
                return vn_fail(err, vn_rc_from_errno(error), "pulse: no thread: %s", strerror(error));
        pulse->running = true;
        return VN_OK;
}

void vn_pulse_stop(struct vn_pulse *pulse)
{
        if (!pulse->running)
                return;
        pthread_mutex_lock(&pulse->mutex);
        pulse->stopping = true;
        pthread_cond_broadcast(&pulse->changed);
        pthread_mutex_unlock(&pulse->mutex);
        pthread_join(pulse->thread, NULL);
        pulse->running = false;
}

struct vn_pulse *vn_pulse_free(struct vn_pulse *pulse)
{
        if (!pulse)
                return NULL;
        vn_pulse_stop(pulse);
        pthread_cond_destroy(&pulse->changed);
        pthread_mutex_destroy(&pulse->mutex);
        vn_free(pulse);
        return NULL;
}

void vn_pulse_turn(struct vn_pulse *pulse)
{
        atomic_store(&pulse->turned_us, vn_mono_us(vn_clock_real()));
}
