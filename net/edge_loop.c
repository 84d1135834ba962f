/* edge_loop.c - one loop of the edge: its turn's end (flush and reap), its sweep over time-outs, its orders. */
#include <stdio.h>
#include <time.h>

#include "net/edge_internal.h"

void edge_loop_now(struct edge_loop *loop)
{
        loop->now_us = vn_mono_us(vn_clock_real());
}

const char *edge_loop_date(struct edge_loop *loop)
{
        int64_t now_s = vn_now_us(vn_clock_real()) / VN_US_PER_S;
        if (now_s != loop->date_s) {
                time_t t = (time_t)now_s;
                struct tm tm;
                gmtime_r(&t, &tm);
                strftime(loop->date, sizeof loop->date, "%a, %d %b %Y %H:%M:%S GMT", &tm);
                loop->date_s = now_s;
        }
        return loop->date;
}

void edge_loop_mark_dirty(struct edge_conn *conn)
{
        if (conn->dirty || conn->in_turn)
                return;
        conn->dirty = true;
        conn->next_dirty = conn->loop->dirty;
        conn->loop->dirty = conn;
        event_active(conn->loop->flush_event, EV_READ, 0);
}

static void on_flush(evutil_socket_t fd, short what, void *arg)
{
        struct edge_loop *loop = arg;
        (void)fd, (void)what;
        edge_loop_now(loop);
        edge_call_wake(loop);
        while (loop->dirty) {
                struct edge_conn *conn = loop->dirty;
                loop->dirty = conn->next_dirty;
                conn->dirty = false;
                if (!conn->dead)
                        edge_conn_flush(conn);
        }
        while (loop->dead) {
                struct edge_conn *conn = loop->dead;
                loop->dead = conn->next;
                edge_conn_reap(conn);
        }
}

static void on_sweep(void *arg)
{
        struct edge_loop *loop = arg;
        edge_loop_now(loop);
        struct edge_conn *next;
        for (struct edge_conn *conn = loop->conns; conn; conn = next) {
                next = conn->next; /* a killed connection leaves this list at once */
                edge_conn_sweep(conn);
        }
}

static void end_account(struct edge_loop *loop, uint64_t account_id, bool all)
{
        struct edge_conn *next;
        for (struct edge_conn *conn = loop->conns; conn; conn = next) {
                next = conn->next;
                struct vn_call *following;
                for (struct vn_call *call = conn->calls; call; call = following) {
                        following = call->next;
                        const struct vn_identity *who = &call->identity;
                        uint64_t id = who->account_id ? who->account_id : who->person_id;
                        if (call->over || !id || (!all && id != account_id))
                                continue;
                        edge_count(loop, EDGE_STAT_revoked, 1);
                        edge_call_abort(call, VN_UNAUTHENTICATED, "the caller was revoked");
                        if (conn->dead)
                                break;
                }
        }
}

static void run_order(struct vn_task *task)
{
        struct edge_loop *loop = (struct edge_loop *)((char *)task - offsetof(struct edge_loop, order));
        uint64_t revoked[EDGE_MAX_REVOKED];
        pthread_mutex_lock(&loop->lock);
        loop->order_posted = false;
        bool drain = loop->drain_asked, cut = loop->cut_asked, all = loop->revoke_all;
        unsigned count = loop->revoked_count;
        memcpy(revoked, loop->revoked, count * sizeof *revoked);
        loop->revoked_count = 0;
        loop->revoke_all = loop->drain_asked = loop->cut_asked = false;
        pthread_mutex_unlock(&loop->lock);
        edge_loop_now(loop);
        for (unsigned i = 0; i < count; i++)
                end_account(loop, revoked[i], false);
        if (all)
                end_account(loop, 0, true);
        if (drain && loop->index == 0)
                for (unsigned i = 0; i < loop->edge->listener_count; i++)
                        event_del(loop->edge->listeners[i].event);
        struct edge_conn *next;
        for (struct edge_conn *conn = loop->conns; conn && (drain || cut); conn = next) {
                next = conn->next;
                if (cut)
                        edge_conn_kill(conn);
                else
                        edge_conn_drain(conn);
        }
}

void edge_loop_order(struct edge_loop *loop)
{
        if (loop->order_posted)
                return;
        loop->order_posted = true;
        loop->order.run = run_order;
        vn_loop_post(loop->loop, &loop->order);
}

enum vn_rc edge_loop_new(struct vn_edge *edge, unsigned index, struct edge_loop **ret, struct vn_err *err)
{
        char name[16];
        *ret = NULL;
        struct edge_loop *loop = vn_alloc(sizeof *loop);
        if (!loop)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an edge loop");
        loop->edge = edge;
        loop->index = index;
        loop->spare.max_bytes = EDGE_OUT_MAX_BYTES;
        pthread_mutex_init(&loop->lock, NULL);
        edge_loop_now(loop);
        snprintf(name, sizeof name, "edge%u", index);
        enum vn_rc rc = vn_loop_new(name, &loop->loop, err);
        if (rc == VN_OK)
                rc = vn_timer_new(loop->loop, on_sweep, loop, &loop->sweep, err);
        if (rc == VN_OK)
                rc = edge_h2_setup(loop, err);
        if (rc == VN_OK) {
                loop->flush_event = event_new(vn_loop_base(loop->loop), -1, EV_PERSIST, on_flush, loop);
                if (!loop->flush_event)
                        rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an edge loop");
        }
        if (rc != VN_OK) {
                edge_loop_free(loop);
                return rc;
        }
        vn_timer_every(loop->sweep, EDGE_SWEEP_US);
        *ret = loop;
        return VN_OK;
}

struct edge_loop *edge_loop_free(struct edge_loop *loop)
{
        if (!loop)
                return NULL;
        while (loop->conns)
                edge_conn_kill(loop->conns);
        if (loop->flush_event)
                on_flush(-1, 0, loop);
        if (loop->flush_event)
                event_free(loop->flush_event);
        vn_timer_free(loop->sweep);
        vn_loop_free(loop->loop); /* runs what other threads still posted, which may give up their calls */
        while (loop->pool) {
                struct vn_call *call = loop->pool;
                loop->pool = call->next;
                vn_arena_done(&call->arena);
                vn_arena_done(&call->message_arena);
                vn_arena_done(&call->head_arena);
                vn_buf_done(&call->body);
                vn_buf_done(&call->out);
                vn_free(call);
        }
        if (loop->h2_callbacks)
                nghttp2_session_callbacks_del(loop->h2_callbacks);
        if (loop->h2_option)
                nghttp2_option_del(loop->h2_option);
        vn_buf_done(&loop->spare);
        pthread_mutex_destroy(&loop->lock);
        vn_free(loop);
        return NULL;
}
