#include "base/lock.h"

#include <errno.h>
#include <inttypes.h>

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct vn_lock_class *list;

void vn_lock_init(struct vn_lock *lock, struct vn_lock_class *class)
{
        VN_ASSERT(pthread_mutex_init(&lock->mutex, NULL) == 0);
        atomic_init(&lock->held, false);
        lock->class = class;
        if (!atomic_exchange(&class->listed, true)) {
                pthread_mutex_lock(&list_lock);
                class->next = list;
                list = class;
                pthread_mutex_unlock(&list_lock);
        }
}

void vn_lock_done(struct vn_lock *lock)
{
        VN_ASSERT(!atomic_load(&lock->held));
        VN_ASSERT(pthread_mutex_destroy(&lock->mutex) == 0);
}

bool vn_lock_held(const struct vn_lock *lock)
{
        /* Only this thread writes its own name here, so a match is the truth and a race can only say no. */
        return atomic_load(&lock->held) && pthread_equal(atomic_load(&lock->owner), pthread_self());
}

static void taken(struct vn_lock *lock)
{
        atomic_store(&lock->owner, pthread_self());
        atomic_store(&lock->held, true);
        atomic_fetch_add_explicit(&lock->class->taken, 1, memory_order_relaxed);
}

void vn_lock_take(struct vn_lock *lock)
{
        VN_ASSERT(!vn_lock_held(lock));
        if (pthread_mutex_trylock(&lock->mutex)) {
                atomic_fetch_add_explicit(&lock->class->waited, 1, memory_order_relaxed);
                VN_ASSERT(pthread_mutex_lock(&lock->mutex) == 0);
        }
        taken(lock);
}

void vn_lock_give(struct vn_lock *lock)
{
        VN_ASSERT_HELD(lock);
        atomic_store(&lock->held, false);
        VN_ASSERT(pthread_mutex_unlock(&lock->mutex) == 0);
}

bool vn_lock_wait(struct vn_lock *lock, pthread_cond_t *condition, const struct timespec *deadline)
{
        int rc;

        VN_ASSERT_HELD(lock);
        atomic_store(&lock->held, false);
        rc = deadline ? pthread_cond_timedwait(condition, &lock->mutex, deadline)
                      : pthread_cond_wait(condition, &lock->mutex);
        VN_ASSERT(rc == 0 || rc == ETIMEDOUT);
        taken(lock);
        return rc == 0;
}

void vn_lock_report(struct vn_buf *out)
{
        pthread_mutex_lock(&list_lock);
        for (struct vn_lock_class *class = list; class; class = class->next)
                vn_buf_printf(out, "%s %" PRIuFAST64 " %" PRIuFAST64 "\n", class->name, atomic_load(&class->taken),
                              atomic_load(&class->waited));
        pthread_mutex_unlock(&list_lock);
}
