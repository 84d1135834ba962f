/* loop.h - an event loop with a doorbell: work is handed into it from any thread.
 * Purpose: one libevent base with a bounded hand-off queue, timers and its thread.
 * Threads: vn_loop_post may be called from any thread; everything else only on the loop's own thread, or before it
 *   starts. The queue is a list under a mutex plus one event: libevent coalesces activations, so the event is never
 *   the queue. It rings only when the list was empty; the list is spliced under the lock and run without it.
 * Ownership: the loop owns its event base; a vn_task belongs to the caller and must live until it has run. */
#ifndef VANE_BASE_LOOP_H
#define VANE_BASE_LOOP_H

#include "base/err.h"

struct event_base;
struct vn_loop;

struct vn_task {
        void (*run)(struct vn_task *task);
        struct vn_task *next; /* the queue's */
};

enum vn_rc vn_loop_new(const char *name, struct vn_loop **ret, struct vn_err *err) VN_MUST_USE;
struct vn_loop *vn_loop_free(struct vn_loop *loop); /* after vn_loop_join; tasks still queued are run first */
enum vn_rc vn_loop_start(struct vn_loop *loop, struct vn_err *err) VN_MUST_USE; /* on a thread of its own */
void vn_loop_run(struct vn_loop *loop);                                         /* on this thread, until stopped */
void vn_loop_stop(struct vn_loop *loop);                                        /* any thread */
void vn_loop_join(struct vn_loop *loop);
/* After vn_loop_join: runs on this thread what is still queued; true if there was anything. */
bool vn_loop_run_left(struct vn_loop *loop);
void vn_loop_post(struct vn_loop *loop, struct vn_task *task); /* any thread; runs once, in order of posting */
struct event_base *vn_loop_base(struct vn_loop *loop);
bool vn_loop_is_current(const struct vn_loop *loop);

/* Timers count real monotonic time, also under a sandbox clock. */
struct vn_timer;
enum vn_rc vn_timer_new(struct vn_loop *loop, void (*fire)(void *arg), void *arg, struct vn_timer **ret,
                        struct vn_err *err) VN_MUST_USE;
void vn_timer_once(struct vn_timer *timer, int64_t delay_us);
void vn_timer_every(struct vn_timer *timer, int64_t interval_us);
void vn_timer_cancel(struct vn_timer *timer);
struct vn_timer *vn_timer_free(struct vn_timer *timer);

#endif
