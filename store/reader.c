#include <string.h>

#include "store/store_parts.h"

#define MAX_WAITING_READS 1024

static struct vn_read_job *next_job(struct vn_store *store)
{
        pthread_mutex_lock(&store->read_mutex);
        while (!store->read_head && !store->read_stop)
                pthread_cond_wait(&store->read_wake, &store->read_mutex);
        struct vn_read_job *job = store->read_head;
        if (job) {
                store->read_head = job->next;
                if (!store->read_head)
                        store->read_tail = NULL;
                store->read_waiting--;
        }
        pthread_mutex_unlock(&store->read_mutex);
        return job;
}

static enum vn_rc with_snap(struct vn_store *store, enum vn_rc (*work)(void *arg, struct vn_snap *snap), void *arg,
                            struct vn_err *err)
{
        struct vn_snap *snap;
        VN_TRY(store->engine->ops->snap_open(store->engine, &snap, err));
        enum vn_rc rc = work(arg, snap);
        store->engine->ops->snap_close(snap);
        return rc;
}

static void *reader_main(void *arg)
{
        struct vn_store *store = arg;
        for (struct vn_read_job *job; (job = next_job(store));) {
                enum vn_rc rc = with_snap(store, job->work, job->arg, NULL);
                job->done(job->arg, rc);
                vn_free(job);
        }
        return NULL;
}

enum vn_rc vn_readers_start(struct vn_store *store, struct vn_err *err)
{
        for (uint32_t i = 0; i < store->config.readers; i++) {
                if (pthread_create(&store->readers[i], NULL, reader_main, store) != 0)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "cannot start a reader thread");
                store->reader_count++;
        }
        return VN_OK;
}

void vn_readers_stop(struct vn_store *store)
{
        pthread_mutex_lock(&store->read_mutex);
        store->read_stop = true;
        pthread_cond_broadcast(&store->read_wake);
        pthread_mutex_unlock(&store->read_mutex);
        for (unsigned i = 0; i < store->reader_count; i++)
                pthread_join(store->readers[i], NULL);
        store->reader_count = 0;
}

enum vn_rc vn_store_read(struct vn_store *store, enum vn_rc (*work)(void *arg, struct vn_snap *snap),
                         void (*done)(void *arg, enum vn_rc rc), void *arg)
{
        struct vn_read_job *job = vn_alloc(sizeof *job);
        if (!job)
                return VN_RESOURCE_EXHAUSTED;
        *job = (struct vn_read_job){.work = work, .done = done, .arg = arg};
        enum vn_rc rc = VN_OK;
        pthread_mutex_lock(&store->read_mutex);
        if (store->read_stop)
                rc = VN_UNAVAILABLE;
        else if (store->read_waiting >= MAX_WAITING_READS)
                rc = VN_RESOURCE_EXHAUSTED;
        if (rc == VN_OK) {
                if (store->read_tail)
                        store->read_tail->next = job;
                else
                        store->read_head = job;
                store->read_tail = job;
                store->read_waiting++;
                pthread_cond_signal(&store->read_wake);
        }
        pthread_mutex_unlock(&store->read_mutex);
        if (rc != VN_OK)
                vn_free(job);
        return rc;
}

enum vn_rc vn_snap_get(struct vn_snap *snap, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                       struct vn_err *err)
{
        return snap->engine->ops->get(snap, table, key, ret, err);
}

enum vn_rc vn_snap_scan(struct vn_snap *snap, enum vn_table table, const struct vn_key *prefix,
                        const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg, struct vn_err *err)
{
        return snap->engine->ops->scan(snap, table, prefix, after, limit, fn, arg, err);
}

enum vn_rc vn_store_get(struct vn_store *store, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                        struct vn_err *err)
{
        struct vn_snap *snap;
        VN_TRY(store->engine->ops->snap_open(store->engine, &snap, err));
        enum vn_rc rc = vn_snap_get(snap, table, key, ret, err);
        store->engine->ops->snap_close(snap);
        return rc;
}

enum vn_rc vn_store_scan(struct vn_store *store, enum vn_table table, const struct vn_key *prefix,
                         const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg, struct vn_err *err)
{
        struct vn_snap *snap;
        VN_TRY(store->engine->ops->snap_open(store->engine, &snap, err));
        enum vn_rc rc = vn_snap_scan(snap, table, prefix, after, limit, fn, arg, err);
        store->engine->ops->snap_close(snap);
        return rc;
}
