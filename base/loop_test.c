#include "base/loop.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/fault.h"
#include "tests/test.h"

#define POSTERS 4
#define POSTS_EACH 5000

struct counted {
        struct vn_task task;
        int number;
        int *last_seen;
        struct vn_loop *loop;
        atomic_int *ran;
};

static void count_in_order(struct vn_task *task)
{
        struct counted *c = (struct counted *)task;
        VN_ASSERT(vn_loop_is_current(c->loop));
        VN_ASSERT(*c->last_seen == c->number - 1); /* one poster's tasks come in order */
        *c->last_seen = c->number;
        atomic_fetch_add(c->ran, 1);
}

static struct counted posted[POSTERS][POSTS_EACH];
static int seen[POSTERS];

static void *poster(void *arg)
{
        struct counted *mine = arg;
        for (int i = 0; i < POSTS_EACH; i++)
                vn_loop_post(mine[i].loop, &mine[i].task);
        return NULL;
}

TEST(tasks_of_many_threads_run_once_and_in_order)
{
        struct vn_loop *loop;
        atomic_int ran = 0;
        CHECK_OK(vn_loop_new("t", &loop, NULL));
        CHECK_OK(vn_loop_start(loop, NULL));
        CHECK(!vn_loop_is_current(loop));
        pthread_t threads[POSTERS];
        for (int t = 0; t < POSTERS; t++) {
                seen[t] = -1;
                for (int i = 0; i < POSTS_EACH; i++)
                        posted[t][i] = (struct counted){{count_in_order, NULL}, i, &seen[t], loop, &ran};
                CHECK(!pthread_create(&threads[t], NULL, poster, posted[t]));
        }
        for (int t = 0; t < POSTERS; t++)
                pthread_join(threads[t], NULL);
        vn_loop_stop(loop);
        vn_loop_join(loop);
        CHECK_INT(POSTERS * POSTS_EACH, atomic_load(&ran));
        vn_loop_free(loop);
}

static void set_flag(struct vn_task *task)
{
        *((struct counted *)task)->ran = 1;
}

TEST(what_is_queued_when_the_loop_goes_still_runs)
{
        struct vn_loop *loop;
        atomic_int ran = 0;
        CHECK_OK(vn_loop_new("t", &loop, NULL));
        struct counted c = {.task = {.run = set_flag}, .ran = &ran};
        vn_loop_post(loop, &c.task);
        vn_loop_free(loop);
        CHECK_INT(1, atomic_load(&ran));
}

struct ticking {
        struct vn_loop *loop;
        struct vn_timer *timer;
        int fired;
};

static void tick(void *arg)
{
        struct ticking *t = arg;
        if (++t->fired == 3) {
                vn_timer_cancel(t->timer);
                vn_timer_once(t->timer, 1000);
        } else if (t->fired == 4) {
                t->timer = vn_timer_free(t->timer); /* a timer may free itself while it fires */
                vn_loop_stop(t->loop);
        }
}

TEST(timers_repeat_cancel_and_free_themselves)
{
        struct ticking t = {0};
        CHECK_OK(vn_loop_new("t", &t.loop, NULL));
        CHECK_OK(vn_timer_new(t.loop, tick, &t, &t.timer, NULL));
        int64_t start_us = vn_mono_us(vn_clock_real());
        vn_timer_every(t.timer, 5000);
        vn_loop_run(t.loop);
        CHECK_INT(4, t.fired);
        CHECK(vn_mono_us(vn_clock_real()) - start_us >= 15000);
        vn_loop_free(t.loop);
}

static enum vn_rc make_and_free(void)
{
        struct vn_loop *loop;
        struct vn_timer *timer;
        VN_TRY(vn_loop_new("t", &loop, NULL));
        enum vn_rc rc = vn_timer_new(loop, tick, NULL, &timer, NULL);
        if (rc == VN_OK)
                vn_timer_free(timer);
        vn_loop_free(loop);
        return rc;
}

TEST(loop_out_of_memory_or_descriptors)
{
        struct vn_loop *loop;
        struct vn_err err;
        TEST_ALLOC_LOOP(make_and_free);
        vn_fault_arm("loop.bell", 1, VN_FAULT_FAIL);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_loop_new("t", &loop, &err));
        CHECK(loop == NULL);
        vn_fault_clear();
        CHECK(vn_loop_free(NULL) == NULL && vn_timer_free(NULL) == NULL);
}
