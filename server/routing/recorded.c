/* recorded.c - `acknowledge: recorded`: an answer waits until the store has committed what stands in the journals. */
#include "server/routing/internal.h"

struct waiting {
        struct vn_task task;
        struct vn_call *call;
        struct vn_route_table *table; /* keeps the views whose texts the answer has */
        struct vn_batch *batch;
        void (*then)(void *arg, enum vn_rc rc);
        void *arg;
        enum vn_rc rc;
};

static void tell(struct vn_task *task)
{
        struct waiting *w = (struct waiting *)task;
        w->then(w->arg, w->rc);
        vn_route_table_unref(w->table);
        vn_batch_free(w->batch);
        vn_call_unref(w->call);
        vn_free(w);
}

/* On the writer's thread. */
static void committed(void *arg, enum vn_rc rc)
{
        struct waiting *w = arg;
        w->rc = rc;
        vn_loop_post(vn_call_loop(w->call), &w->task);
}

/* An empty batch is committed together with what the rings hold by then. */
void vn_when_recorded(struct vn_route_loop *loop, struct vn_call *call, void (*then)(void *arg, enum vn_rc rc),
                      void *arg)
{
        struct vn_err err;
        struct waiting *w = vn_alloc(sizeof *w);
        struct vn_batch *batch = w ? vn_batch_new() : NULL;
        if (!batch) {
                vn_free(w);
                then(arg, VN_RESOURCE_EXHAUSTED);
                return;
        }
        *w = (struct waiting){.task.run = tell,
                              .call = vn_call_ref(call),
                              .table = loop->table,
                              .batch = batch,
                              .then = then,
                              .arg = arg};
        atomic_fetch_add(&w->table->references, 1);
        enum vn_rc rc = vn_store_submit(loop->server->store, batch, committed, w, &err);
        if (rc != VN_OK) {
                w->rc = rc;
                tell(&w->task);
        }
}
