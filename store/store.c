#include "store/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

#include "store/store_parts.h"

#define MAX_QUEUED_BATCHES 4096

int64_t vn_store_mono_us(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return t.tv_sec * VN_US_PER_S + t.tv_nsec / 1000;
}

void vn_store_config_defaults(struct vn_store_config *c)
{
        if (!c->clock)
                c->clock = vn_clock_real();
        if (!c->ring_slots)
                c->ring_slots = VN_RING_DEFAULT_SLOTS;
        if (!c->readers)
                c->readers = 2;
        if (!c->checkpoint_interval_us)
                c->checkpoint_interval_us = 200 * VN_US_PER_MS;
        if (!c->segment_us)
                c->segment_us = 24 * VN_US_PER_HOUR;
        if (!c->segment_max_bytes)
                c->segment_max_bytes = UINT64_C(1) << 30;
        if (!c->disk_budget_bytes)
                c->disk_budget_bytes = UINT64_C(8) << 30;
        if (!c->min_free_bytes)
                c->min_free_bytes = UINT64_C(64) << 20;
}

enum vn_rc vn_store_lock(const char *dir, int *ret_fd, struct vn_err *err)
{
        char path[VN_PATH_BYTES], pid[32] = "";
        VN_TRY(vn_path_join(path, dir, "LOCK", err));
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
                ssize_t n = pread(fd, pid, sizeof pid - 1, 0);
                pid[n > 0 ? strcspn(pid, "\n") : 0] = 0;
                close(fd);
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: in use by process %s; two must not share one state",
                               dir, pid[0] ? pid : "(unknown)");
        }
        int n = snprintf(pid, sizeof pid, "%ld\n", (long)getpid());
        if (ftruncate(fd, 0) != 0 || pwrite(fd, pid, (size_t)n, 0) != n)
                VN_IGNORE(true); /* the number only serves the message of a second opener */
        *ret_fd = fd;
        return VN_OK;
}

static enum vn_rc open_rings(struct vn_store *store, const struct vn_engine_state *state, struct vn_err *err)
{
        char path[VN_PATH_BYTES], name[32];
        for (uint32_t i = 0; i < store->config.ring_count; i++) {
                snprintf(name, sizeof name, "ring.%u", i);
                VN_TRY(vn_path_join(path, store->dir, name, err));
                VN_TRY(vn_ring_open(path, i, store->config.ring_slots, &store->rings[i], err));
                VN_TRY(vn_ring_recover(store->rings[i], &state->marks[i], err));
        }
        return VN_OK;
}

static enum vn_rc open_parts(struct vn_store *store, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        struct vn_engine_state state = {.next_seq = 0};
        if (!store->engine)
                VN_TRY(vn_engine_lmdb_open(&store->config, &store->engine, err));
        VN_TRY(store->engine->ops->state(store->engine, &state, err));
        VN_TRY(vn_path_join(path, store->dir, "log", err));
        VN_TRY(vn_logfile_open(path, store->config.log_key, false, &store->log, err));
        store->writer.next_seq = state.next_seq;
        memcpy(store->writer.marks, state.marks, sizeof store->writer.marks);
        if (vn_logfile_size(store->log) > state.next_seq)
                return vn_fail(err, VN_DATA_LOSS, "%s: the log has %llu leaves, but only %llu records were committed",
                               store->dir, (unsigned long long)vn_logfile_size(store->log),
                               (unsigned long long)state.next_seq);
        VN_TRY(vn_writer_catch_up(store, err));
        VN_TRY(open_rings(store, &state, err));
        VN_TRY(vn_blobs_open(store, err));
        VN_TRY(vn_writer_start(store, err));
        return vn_readers_start(store, err);
}

static enum vn_rc check_config(const struct vn_store_config *config, struct vn_err *err)
{
        if (!config->dir || !config->log_key || !config->record.keys || !config->record.leaf || !config->record.gap)
                return vn_fail(err, VN_INVALID_ARGUMENT, "store: directory, log key and record callbacks are needed");
        if (config->ring_count > VN_STORE_MAX_RINGS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "store: at most %d rings", VN_STORE_MAX_RINGS);
        if (config->readers > VN_MAX_READERS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "store: at most %d reader threads", VN_MAX_READERS);
        return VN_OK;
}

enum vn_rc vn_store_open_engine(const struct vn_store_config *config, struct vn_engine *engine, struct vn_store **ret,
                                struct vn_err *err)
{
        enum vn_rc rc = check_config(config, err);
        struct vn_store *store = rc == VN_OK ? vn_alloc(sizeof *store) : NULL;
        if (!store) {
                if (engine)
                        engine->ops->close(engine);
                return rc != VN_OK ? rc : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        store->engine = engine;
        store->config = *config;
        store->lock_fd = -1;
        vn_store_config_defaults(&store->config);
        pthread_mutex_init(&store->mutex, NULL);
        pthread_mutex_init(&store->read_mutex, NULL);
        pthread_condattr_t attr;
        pthread_condattr_init(&attr);
        pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
        pthread_cond_init(&store->wake, &attr);
        pthread_condattr_destroy(&attr);
        pthread_cond_init(&store->done, NULL);
        pthread_cond_init(&store->read_wake, NULL);
        if (!vn_str_copy(store->dir, sizeof store->dir, vn_str(config->dir)))
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "store: the path is too long");
        store->config.dir = store->dir;
        if (rc == VN_OK)
                rc = vn_dir_make(store->dir, err);
        if (rc == VN_OK)
                rc = vn_store_lock(store->dir, &store->lock_fd, err);
        if (rc == VN_OK)
                rc = open_parts(store, err);
        if (rc != VN_OK) {
                vn_store_free(store);
                return rc;
        }
        *ret = store;
        return VN_OK;
}

enum vn_rc vn_store_open(const struct vn_store_config *config, struct vn_store **ret, struct vn_err *err)
{
        return vn_store_open_engine(config, NULL, ret, err);
}

struct vn_store *vn_store_free(struct vn_store *store)
{
        if (!store)
                return NULL;
        vn_readers_stop(store);
        vn_writer_stop(store);
        for (uint32_t i = 0; i < store->config.ring_count; i++) {
                if (store->rings[i] && store->failed == VN_OK)
                        vn_ring_close_clean(store->rings[i]);
                vn_ring_free(store->rings[i]);
        }
        vn_logfile_free(store->log);
        if (store->engine)
                store->engine->ops->close(store->engine);
        if (store->lock_fd >= 0)
                close(store->lock_fd);
        vn_free(store->writer.scratch);
        vn_buf_done(&store->writer.gaps);
        pthread_cond_destroy(&store->wake);
        pthread_cond_destroy(&store->done);
        pthread_cond_destroy(&store->read_wake);
        pthread_mutex_destroy(&store->mutex);
        pthread_mutex_destroy(&store->read_mutex);
        vn_free(store);
        return NULL;
}

struct vn_ring *vn_store_ring(struct vn_store *store, uint32_t number)
{
        VN_ASSERT(number < store->config.ring_count);
        return store->rings[number];
}

/* --- changes --- */
enum vn_rc vn_store_submit(struct vn_store *store, struct vn_batch *batch, void (*done)(void *arg, enum vn_rc rc),
                           void *arg, struct vn_err *err)
{
        VN_TRY(vn_batch_check(batch, err));
        VN_ASSERT(!batch->submitted);
        enum vn_rc rc = VN_OK;
        pthread_mutex_lock(&store->mutex);
        if (store->stop)
                rc = vn_fail(err, VN_UNAVAILABLE, "the store is stopping");
        else if (store->failed != VN_OK)
                rc = vn_fail(err, store->failed, "%s", store->stats.why);
        else if (store->queue_count >= MAX_QUEUED_BATCHES)
                rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "%d changes wait for the disk already", MAX_QUEUED_BATCHES);
        else if (store->stats.read_only && batch->grows && !batch->reserve)
                rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s", store->stats.why);
        if (rc != VN_OK) {
                store->stats.refused++;
                pthread_mutex_unlock(&store->mutex);
                return rc;
        }
        batch->submitted = true;
        batch->done = done;
        batch->arg = arg;
        batch->next = NULL;
        if (store->queue_tail)
                store->queue_tail->next = batch;
        else
                store->queue_head = batch;
        store->queue_tail = batch;
        store->queue_count++;
        pthread_cond_signal(&store->wake);
        pthread_mutex_unlock(&store->mutex);
        return VN_OK;
}

struct waiter {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        bool done;
        enum vn_rc rc;
};

static void wake_waiter(void *arg, enum vn_rc rc)
{
        struct waiter *w = arg;
        pthread_mutex_lock(&w->mutex);
        w->done = true;
        w->rc = rc;
        pthread_cond_signal(&w->cond);
        pthread_mutex_unlock(&w->mutex);
}

/* The writer found the disk full, or failed, after the change was taken: what it says of itself is the reason. */
static void say_why(struct vn_store *store, enum vn_rc rc, struct vn_err *err)
{
        struct vn_store_stats stats;
        vn_store_stats(store, &stats);
        VN_IGNORE(vn_fail(err, rc, "%s", stats.why[0] ? stats.why : "the store did not commit the change"));
}

enum vn_rc vn_store_commit(struct vn_store *store, struct vn_batch *batch, struct vn_err *err)
{
        struct waiter w = {.done = false};
        pthread_mutex_init(&w.mutex, NULL);
        pthread_cond_init(&w.cond, NULL);
        enum vn_rc rc = vn_store_submit(store, batch, wake_waiter, &w, err);
        if (rc == VN_OK) {
                pthread_mutex_lock(&w.mutex);
                while (!w.done)
                        pthread_cond_wait(&w.cond, &w.mutex);
                pthread_mutex_unlock(&w.mutex);
                rc = w.rc;
                if (rc == VN_ALREADY_EXISTS)
                        VN_IGNORE(vn_fail(err, rc, "exists already"));
                else if (rc == VN_ABORTED)
                        VN_IGNORE(vn_fail(err, rc, "changed meanwhile"));
                else if (rc != VN_OK)
                        say_why(store, rc, err);
        }
        pthread_mutex_destroy(&w.mutex);
        pthread_cond_destroy(&w.cond);
        return rc;
}

enum vn_rc vn_store_flush(struct vn_store *store, struct vn_err *err)
{
        pthread_mutex_lock(&store->mutex);
        uint64_t mine = ++store->flush_wanted;
        pthread_cond_signal(&store->wake);
        while (store->flush_done < mine && !store->stop)
                pthread_cond_wait(&store->done, &store->mutex);
        enum vn_rc rc = store->flush_done >= mine ? store->flush_rc : VN_UNAVAILABLE;
        if (rc != VN_OK)
                VN_IGNORE(vn_fail(err, rc, "%s", store->flush_error.msg[0] ? store->flush_error.msg : "stopping"));
        pthread_mutex_unlock(&store->mutex);
        return rc;
}

void vn_store_stats(struct vn_store *store, struct vn_store_stats *ret)
{
        pthread_mutex_lock(&store->mutex);
        *ret = store->stats;
        pthread_mutex_unlock(&store->mutex);
        ret->ring_waiting = 0;
        for (uint32_t i = 0; i < store->config.ring_count; i++)
                ret->ring_waiting += vn_ring_waiting(store->rings[i]);
        ret->log_size = vn_logfile_checkpoint(store->log).size;
        ret->budget_bytes = store->config.disk_budget_bytes;
}
