/* lock.h - a mutex that knows its class and its owner.
 * Purpose: VN_ASSERT_HELD(&lock) says what a comment can only hope; taking it twice, or giving back another's, stops
 *   the process. Each class counts how often it was taken and how often somebody had to wait.
 * Threads: any. Ownership: embedded in the struct it guards; init before, done after all users. */
#ifndef VANE_BASE_LOCK_H
#define VANE_BASE_LOCK_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/err.h"
#include "base/str.h"

struct vn_lock_class {
        const char *name;
        atomic_uint_fast64_t taken, waited;
        struct vn_lock_class *next; /* all classes in use */
        atomic_bool listed;
};
#define VN_LOCK_CLASS(variable, text) static struct vn_lock_class variable = {.name = (text)}

struct vn_lock {
        pthread_mutex_t mutex;
        _Atomic(pthread_t) owner;
        atomic_bool held;
        struct vn_lock_class *class;
};

void vn_lock_init(struct vn_lock *lock, struct vn_lock_class *class);
void vn_lock_done(struct vn_lock *lock);
void vn_lock_take(struct vn_lock *lock);
void vn_lock_give(struct vn_lock *lock);
bool vn_lock_held(const struct vn_lock *lock); /* by this thread */
#define VN_ASSERT_HELD(lock) VN_ASSERT(vn_lock_held(lock))
/* Waits on a condition; the lock is given for that time. deadline NULL: for ever. False: the time (CLOCK_REALTIME)
 * has come. */
bool vn_lock_wait(struct vn_lock *lock, pthread_cond_t *condition, const struct timespec *deadline);

static inline struct vn_lock *vn_lock_scope(struct vn_lock *lock)
{
        vn_lock_take(lock);
        return lock;
}
static inline void vn_lock_scope_end(struct vn_lock **lock)
{
        vn_lock_give(*lock);
}
/* Held until the end of the scope. */
#define VN_LOCKED(lock)                                                                                              \
        __attribute__((cleanup(vn_lock_scope_end), unused)) struct vn_lock *vn_locked_ = vn_lock_scope(lock)

/* "class taken waited" lines of every class that was ever taken. */
void vn_lock_report(struct vn_buf *out);

#endif
