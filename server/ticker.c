#include "server/ticker.h"

#include "server/explain/explain.h"
#include "server/grants/grants.h"
#include "server/retention.h"
#include "server/rounds/rounds.h"
#include "server/routing/routing.h"
#include "server/tuning/tuning.h"

#define TICK_US (100 * VN_US_PER_MS) /* views: at most ten a second */

struct vn_ticker {
        struct vn_timer *timer;
};

/* Set up on the loop itself: timers belong to their loop. */
struct setup {
        struct vn_task task;
        struct vn_server *server;
};

static void tick(void *arg)
{
        struct vn_server *server = arg;
        int64_t now_us = vn_now_us(server->clock);
        vn_routing_tick(server, now_us);
        vn_rounds_tick(server, now_us);
        vn_tuning_tick(server, now_us);
        vn_explain_tick(server);
        vn_grants_tick(server, now_us);
        vn_retention_tick(server, now_us);
}

static void setup_run(struct vn_task *task)
{
        struct setup *setup = (struct setup *)task;
        vn_timer_every(setup->server->ticker->timer, TICK_US);
        vn_free(setup);
}

enum vn_rc vn_ticker_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_ticker *ticker = server->ticker = vn_alloc(sizeof *ticker);
        struct setup *setup = vn_alloc(sizeof *setup);
        if (!ticker || !setup) {
                vn_free(setup);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        enum vn_rc rc = vn_timer_new(server->control, tick, server, &ticker->timer, err);
        if (rc != VN_OK) {
                vn_free(setup);
                return rc;
        }
        *setup = (struct setup){.task.run = setup_run, .server = server};
        vn_loop_post(server->control, &setup->task);
        return VN_OK;
}

void vn_ticker_stop(struct vn_server *server)
{
        if (server->ticker)
                vn_timer_free(server->ticker->timer);
        vn_free(server->ticker);
        server->ticker = NULL;
}
