/* loop.c - see loop.h. The doorbell is an eventfd: ringing it is one write from any thread, and libevent itself
 * stays free of locks (EVENT_BASE_FLAG_NOLOCK), because nothing but this file is called from outside the loop. */
#include "base/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

struct vn_loop {
        struct event_base *base; /* the loop's thread */
        struct event *bell;
        int bell_fd;
        atomic_bool stopping;
        bool started;
        pthread_t thread;
        char name[16];
        pthread_mutex_t lock; /* guards head and tail only */
        struct vn_task *head;
        struct vn_task **tail;
};

struct vn_timer {
        struct event *event;
        void (*fire)(void *arg);
        void *arg;
        bool every;
        struct timeval interval;
};

static _Thread_local struct vn_loop *current_loop;

static void ring(struct vn_loop *loop)
{
        uint64_t one = 1;
        ssize_t n;
        /* EAGAIN means that the counter is full, so the bell rings anyway. */
        do
                n = write(loop->bell_fd, &one, sizeof one);
        while (n < 0 && errno == EINTR);
}

static void run_queued(struct vn_loop *loop)
{
        pthread_mutex_lock(&loop->lock);
        struct vn_task *task = loop->head;
        loop->head = NULL;
        loop->tail = &loop->head;
        pthread_mutex_unlock(&loop->lock);
        while (task) {
                struct vn_task *next = task->next; /* the task may free itself */
                task->next = NULL;
                task->run(task);
                task = next;
        }
}

static void on_bell(evutil_socket_t fd, short what, void *arg)
{
        struct vn_loop *loop = arg;
        uint64_t count;
        (void)what;
        ssize_t n = read((int)fd, &count, sizeof count); /* only empties it: the list is what counts */
        (void)n;
        run_queued(loop);
        if (atomic_load(&loop->stopping))
                event_base_loopbreak(loop->base);
}

static struct event_base *make_base(void)
{
        struct event_config *config = event_config_new();
        if (!config)
                return NULL;
        struct event_base *base = NULL;
        if (!event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK))
                base = event_base_new_with_config(config);
        event_config_free(config);
        return base;
}

enum vn_rc vn_loop_new(const char *name, struct vn_loop **ret, struct vn_err *err)
{
        *ret = NULL;
        struct vn_loop *loop = vn_alloc(sizeof *loop);
        if (!loop)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "loop %s: out of memory", name);
        loop->tail = &loop->head;
        pthread_mutex_init(&loop->lock, NULL);
        snprintf(loop->name, sizeof loop->name, "%s", name);
        loop->bell_fd = VN_FAULT("loop.bell") ? -1 : eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
        if (loop->bell_fd >= 0)
                loop->base = make_base();
        if (loop->base)
                loop->bell = event_new(loop->base, loop->bell_fd, EV_READ | EV_PERSIST, on_bell, loop);
        if (!loop->bell || event_add(loop->bell, NULL)) {
                vn_loop_free(loop);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "loop %s: no event base or descriptor", name);
        }
        *ret = loop;
        return VN_OK;
}

struct vn_loop *vn_loop_free(struct vn_loop *loop)
{
        if (!loop)
                return NULL;
        VN_ASSERT(!loop->started);
        while (vn_loop_run_left(loop))
                ;
        if (loop->bell)
                event_free(loop->bell);
        if (loop->base)
                event_base_free(loop->base);
        if (loop->bell_fd >= 0)
                close(loop->bell_fd);
        pthread_mutex_destroy(&loop->lock);
        vn_free(loop);
        return NULL;
}

void vn_loop_run(struct vn_loop *loop)
{
        struct vn_loop *outer = current_loop;
        current_loop = loop;
        while (!atomic_load(&loop->stopping))
                event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
        run_queued(loop);
        current_loop = outer;
}

static void *loop_thread(void *arg)
{
        struct vn_loop *loop = arg;
        pthread_setname_np(pthread_self(), loop->name);
        vn_loop_run(loop);
        return NULL;
}

enum vn_rc vn_loop_start(struct vn_loop *loop, struct vn_err *err)
{
        VN_ASSERT(!loop->started);
        int error = pthread_create(&loop->thread, NULL, loop_thread, loop);
        if (error)
                return vn_fail(err, vn_rc_from_errno(error), "loop %s: no thread (error %d)", loop->name, error);
        loop->started = true;
        return VN_OK;
}

void vn_loop_stop(struct vn_loop *loop)
{
        atomic_store(&loop->stopping, true);
        ring(loop);
}

void vn_loop_join(struct vn_loop *loop)
{
        if (!loop->started)
                return;
        VN_ASSERT(current_loop != loop);
        pthread_join(loop->thread, NULL);
        loop->started = false;
}

bool vn_loop_run_left(struct vn_loop *loop)
{
        VN_ASSERT(!loop->started);
        bool any = loop->head != NULL;
        run_queued(loop);
        return any;
}

void vn_loop_post(struct vn_loop *loop, struct vn_task *task)
{
        task->next = NULL;
        pthread_mutex_lock(&loop->lock);
        bool was_empty = loop->head == NULL;
        *loop->tail = task;
        loop->tail = &task->next;
        pthread_mutex_unlock(&loop->lock);
        if (was_empty)
                ring(loop);
}

struct event_base *vn_loop_base(struct vn_loop *loop)
{
        return loop->base;
}

bool vn_loop_is_current(const struct vn_loop *loop)
{
        return current_loop == loop;
}

/* --- timers --- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
        struct vn_timer *timer = arg;
        (void)fd;
        (void)what;
        /* First the next turn, so that `fire` may cancel or free the timer. */
        if (timer->every)
                event_add(timer->event, &timer->interval);
        timer->fire(timer->arg);
}

enum vn_rc vn_timer_new(struct vn_loop *loop, void (*fire)(void *arg), void *arg, struct vn_timer **ret,
                        struct vn_err *err)
{
        *ret = NULL;
        struct vn_timer *timer = vn_alloc(sizeof *timer);
        if (timer)
                timer->event = evtimer_new(loop->base, on_timer, timer);
        if (!timer || !timer->event) {
                vn_free(timer);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "loop %s: no memory for a timer", loop->name);
        }
        timer->fire = fire;
        timer->arg = arg;
        *ret = timer;
        return VN_OK;
}

static void arm(struct vn_timer *timer, int64_t delay_us, bool every)
{
        if (delay_us < 0)
                delay_us = 0;
        timer->every = every;
        timer->interval = (struct timeval){.tv_sec = delay_us / 1000000, .tv_usec = delay_us % 1000000};
        event_add(timer->event, &timer->interval);
}

void vn_timer_once(struct vn_timer *timer, int64_t delay_us)
{
        arm(timer, delay_us, false);
}

void vn_timer_every(struct vn_timer *timer, int64_t interval_us)
{
        arm(timer, interval_us, true);
}

void vn_timer_cancel(struct vn_timer *timer)
{
        timer->every = false;
        event_del(timer->event);
}

struct vn_timer *vn_timer_free(struct vn_timer *timer)
{
        if (!timer)
                return NULL;
        event_free(timer->event);
        vn_free(timer);
        return NULL;
}
