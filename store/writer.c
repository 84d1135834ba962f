/* The one writer. A turn: take changes and ring records, commit them as one group (engine.h), hand the ring slots back,
 * complete the changes, append the leaves; at most every checkpoint_interval publish a checkpoint.
 *
 * Ring records alone are committed at most every 5 ms: their routes are answered already, and a commit costs the same
 * for one as for a thousand. A change is committed at once, and takes along whatever the rings hold. */
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <time.h>

#include "base/fault.h"
#include "base/hash.h"
#include "base/metrics.h"
#include "store/store_parts.h"

#define DRAIN_INTERVAL_US (5 * VN_US_PER_MS)
#define DRAIN_AT_SLOTS 2048
#define SPACE_INTERVAL_US (250 * VN_US_PER_MS)
#define SPACE_BYTES (4u << 20)
#define RETRY_US (100 * VN_US_PER_MS)

struct turn {
        struct vn_batch *list;
        size_t batch_count;
        uint64_t flush;
        bool stop;
};

/* --- leaves --- */
enum vn_rc vn_writer_leaf(const struct vn_record_ops *ops, struct vn_str record, struct vn_leaf *ret)
{
        static const char unread[] = "vane unreadable record v1\n";
        ret->len = 0;
        if (ops->leaf(ops->arg, record, ret) == VN_OK && ret->len > 0 && ret->len <= VN_LEAF_MAX_BYTES)
                return VN_OK;
        /* A record that its own module cannot read still stands in the log, by its hash. */
        memcpy(ret->bytes, unread, sizeof unread - 1);
        vn_sha256(record.ptr, record.len, ret->bytes + sizeof unread - 1);
        ret->len = sizeof unread - 1 + VN_SHA256_BYTES;
        return VN_OK;
}

static enum vn_rc append_leaf(struct vn_store *store, struct vn_str record)
{
        struct vn_leaf leaf;
        VN_TRY(vn_writer_leaf(&store->config.record, record, &leaf));
        return vn_logfile_append(store->log, &leaf);
}

enum vn_rc vn_writer_catch_up(struct vn_store *store, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(VN_STORE_RECORD_MAX_BYTES);
        while (vn_logfile_size(store->log) < store->writer.next_seq) {
                vn_buf_reset(&record);
                enum vn_rc rc = store->engine->ops->record(store->engine, vn_logfile_size(store->log), &record, err);
                if (rc == VN_NOT_FOUND)
                        return vn_fail(err, VN_DATA_LOSS, "%s: a record that the log lacks is gone", store->dir);
                VN_TRY(rc);
                if (append_leaf(store, vn_buf_view(&record)) != VN_OK)
                        VN_TRY(vn_logfile_publish(store->log, err)); /* the buffers are full: make them durable */
        }
        return VN_OK;
}

static void append_group(struct vn_store *store, const struct vn_group *group)
{
        struct vn_str rest, record;
        if (vn_logfile_size(store->log) != group->first_seq)
                return; /* behind: the next publish catches up, in order */
        for (size_t i = 0; i < group->batch_count; i++) {
                if (group->batches[i]->rc != VN_OK)
                        continue;
                rest = vn_buf_view(&group->batches[i]->records);
                while (vn_batch_record_next(&rest, &record))
                        if (append_leaf(store, record) != VN_OK)
                                return;
        }
        for (size_t i = 0; i < group->ring_record_count; i++)
                if (append_leaf(store, group->ring_records[i]) != VN_OK)
                        return;
}

static enum vn_rc publish(struct vn_store *store, struct vn_err *err)
{
        store->writer.published_at_us = vn_store_mono_us();
        VN_TRY(vn_writer_catch_up(store, err));
        uint64_t before = vn_logfile_checkpoint(store->log).size;
        VN_TRY(vn_logfile_publish(store->log, err));
        struct vn_checkpoint checkpoint = vn_logfile_checkpoint(store->log);
        if (store->config.published && checkpoint.size != before)
                store->config.published(store->config.published_arg, &checkpoint);
        return VN_OK;
}

/* --- space --- */
static void set_read_only(struct vn_store *store, const char *why)
{
        pthread_mutex_lock(&store->mutex);
        if (store->failed == VN_OK) {
                store->stats.read_only = why != NULL;
                snprintf(store->stats.why, sizeof store->stats.why, "%s", why ? why : "");
        }
        pthread_mutex_unlock(&store->mutex);
}

void vn_writer_check_space(struct vn_store *store)
{
        struct vn_engine_usage usage = {.used_bytes = 0};
        struct statvfs fs;
        store->engine->ops->usage(store->engine, &usage);
        uint64_t used = usage.used_bytes + vn_logfile_bytes(store->log) + atomic_load(&store->blob_bytes) +
                        (uint64_t)store->config.ring_count * store->config.ring_slots * VN_RING_SLOT_BYTES;
        uint64_t free_bytes = UINT64_MAX;
        if (statvfs(store->dir, &fs) == 0)
                free_bytes = (uint64_t)fs.f_bavail * fs.f_frsize;
        const char *why = NULL;
        if (used >= store->config.disk_budget_bytes)
                why = "the disk budget is spent: shorten the retention or raise the budget";
        else if (free_bytes < store->config.min_free_bytes)
                why = "the file system is nearly full";
        pthread_mutex_lock(&store->mutex);
        store->stats.used_bytes = used;
        store->stats.free_bytes = free_bytes;
        store->stats.segments = usage.segments;
        store->stats.syncs = usage.syncs + vn_logfile_syncs(store->log);
        pthread_mutex_unlock(&store->mutex);
        set_read_only(store, why);
        store->writer.checked_at_us = vn_store_mono_us();
        store->writer.bytes_since_check = 0;
}

static void note_failure(struct vn_store *store, enum vn_rc rc, const struct vn_err *err)
{
        store->writer.drain_failed = true;
        if (rc == VN_RESOURCE_EXHAUSTED)
                set_read_only(store, err ? err->msg : "the disk is full");
        if (rc != VN_DATA_LOSS)
                return;
        /* After a failed sync the kernel may have dropped the pages: nothing more may be acknowledged by this process. */
        pthread_mutex_lock(&store->mutex);
        store->failed = VN_DATA_LOSS;
        store->stats.read_only = true;
        snprintf(store->stats.why, sizeof store->stats.why, "%s", err->msg);
        pthread_mutex_unlock(&store->mutex);
}

/* --- groups --- */
static void add_gaps(struct vn_store *store, struct vn_ring *ring, struct vn_group *group)
{
        struct vn_writer *w = &store->writer;
        struct vn_gap gap;
        while (group->ring_record_count < VN_GROUP_MAX_RECORDS + VN_GROUP_MAX_GAPS &&
               w->gaps.len + VN_RING_PAYLOAD_BYTES <= VN_GROUP_MAX_GAPS * VN_RING_PAYLOAD_BYTES &&
               vn_ring_take_gap(ring, &gap)) {
                VN_AUTO(vn_buf)
                record = VN_BUF_INIT(VN_RING_PAYLOAD_BYTES);
                VN_ASSERT(store->config.record.gap(store->config.record.arg, &gap, &record) == VN_OK && record.len);
                size_t at = w->gaps.len;
                VN_ASSERT(vn_buf_str(&w->gaps, vn_buf_view(&record))); /* reserved at start: never moves */
                w->records[group->ring_record_count++] = vn_str_n(w->gaps.ptr + at, record.len);
                pthread_mutex_lock(&store->mutex);
                store->stats.gaps++;
                store->stats.lost += gap.count;
                pthread_mutex_unlock(&store->mutex);
        }
}

static void take_ring_records(struct vn_store *store, struct vn_group *group)
{
        struct vn_writer *w = &store->writer;
        size_t scratch = 0;
        bool moved = false;
        vn_buf_reset(&w->gaps);
        for (uint32_t i = 0; i < store->config.ring_count; i++) {
                struct vn_str record;
                uint64_t seq;
                while (group->ring_record_count < VN_GROUP_MAX_RECORDS &&
                       scratch + VN_RING_MAX_RECORD_BYTES <= VN_GROUP_SCRATCH_BYTES &&
                       vn_ring_peek(store->rings[i], w->scratch + scratch, &record, &seq) == VN_OK) {
                        if (record.ptr == (const char *)w->scratch + scratch)
                                scratch += record.len;
                        w->records[group->ring_record_count++] = record;
                }
                add_gaps(store, store->rings[i], group);
                struct vn_ring_mark mark = vn_ring_read_mark(store->rings[i]);
                moved = moved || memcmp(&mark, &w->marks[i], sizeof mark) != 0;
                w->marks[i] = mark;
        }
        if (!moved)
                return;
        group->ring_records = w->records;
        group->marks = w->marks;
        group->mark_count = store->config.ring_count;
}

struct group_done {
        pthread_mutex_t mutex;
        pthread_cond_t cond;
        bool done;
        enum vn_rc rc;
};

static void group_done(void *arg, enum vn_rc rc)
{
        struct group_done *g = arg;
        pthread_mutex_lock(&g->mutex);
        g->done = true;
        g->rc = rc;
        pthread_cond_signal(&g->cond);
        pthread_mutex_unlock(&g->mutex);
}

static enum vn_rc commit_and_wait(struct vn_store *store, struct vn_group *group)
{
        struct group_done g = {.done = false};
        pthread_mutex_init(&g.mutex, NULL);
        pthread_cond_init(&g.cond, NULL);
        store->engine->ops->commit(store->engine, group, group_done, &g);
        pthread_mutex_lock(&g.mutex);
        while (!g.done)
                pthread_cond_wait(&g.cond, &g.mutex);
        pthread_mutex_unlock(&g.mutex);
        pthread_mutex_destroy(&g.mutex);
        pthread_cond_destroy(&g.cond);
        return g.rc;
}

static void complete(struct vn_store *store, struct vn_group *group, enum vn_rc rc, int64_t took_us)
{
        uint64_t refused = 0;
        for (size_t i = 0; i < group->batch_count; i++) {
                struct vn_batch *batch = group->batches[i];
                enum vn_rc result = rc == VN_OK ? batch->rc : rc;
                refused += result != VN_OK;
                if (result != VN_OK)
                        batch->first_seq = UINT64_MAX;
                batch->submitted = false;
                batch->done(batch->arg, result); /* the batch may be gone after this */
        }
        if (rc == VN_OK && took_us >= 0)
                VN_METRIC_OBSERVE(COMMIT_SECONDS, (uint64_t)took_us);
        pthread_mutex_lock(&store->mutex);
        store->stats.refused += refused;
        store->stats.batches += group->batch_count - refused;
        store->stats.records += rc == VN_OK ? group->record_count : 0;
        store->stats.ids += rc == VN_OK ? group->id_count : 0;
        store->stats.commits += rc == VN_OK;
        if ((uint64_t)took_us > store->stats.commit_us_max)
                store->stats.commit_us_max = (uint64_t)took_us;
        pthread_mutex_unlock(&store->mutex);
}

static void run_group(struct vn_store *store, struct vn_group *group)
{
        struct vn_writer *w = &store->writer;
        int64_t begin = vn_store_mono_us();
        enum vn_rc rc = commit_and_wait(store, group);
        if (rc == VN_OK) {
                w->next_seq = group->first_seq + group->record_count;
                w->drain_failed = false;
                append_group(store, group);
                for (size_t i = 0; i < group->ring_record_count; i++)
                        w->bytes_since_check += group->ring_records[i].len;
                for (size_t i = 0; i < group->batch_count; i++)
                        w->bytes_since_check += group->batches[i]->ops.len + group->batches[i]->records.len;
        } else {
                note_failure(store, rc, &group->error);
        }
        for (uint32_t i = 0; group->mark_count && i < store->config.ring_count; i++) {
                if (rc == VN_OK)
                        vn_ring_release(store->rings[i]);
                else
                        vn_ring_rewind(store->rings[i]);
                w->marks[i] = vn_ring_read_mark(store->rings[i]);
        }
        complete(store, group, rc, vn_store_mono_us() - begin);
}

static bool is_read_only(struct vn_store *store)
{
        pthread_mutex_lock(&store->mutex);
        bool read_only = store->stats.read_only;
        pthread_mutex_unlock(&store->mutex);
        return read_only;
}

/* --- turns --- */
/* Fills the group with the turn's changes; those that the budget forbids are refused here. */
static void take_batches(struct vn_store *store, struct turn *turn, struct vn_group *group, bool read_only)
{
        struct vn_writer *w = &store->writer;
        struct vn_batch *next;
        for (struct vn_batch *batch = turn->list; batch; batch = next) {
                next = batch->next;
                if (read_only && batch->grows && !batch->reserve) {
                        pthread_mutex_lock(&store->mutex);
                        store->stats.refused++;
                        enum vn_rc why = store->failed != VN_OK ? store->failed : VN_RESOURCE_EXHAUSTED;
                        pthread_mutex_unlock(&store->mutex);
                        batch->submitted = false;
                        batch->done(batch->arg, why);
                        continue;
                }
                group->reserve = group->reserve || (read_only && batch->reserve);
                w->batches[group->batch_count++] = batch;
        }
        group->batches = w->batches;
}

static bool rings_wait(const struct vn_store *store)
{
        for (uint32_t i = 0; i < store->config.ring_count; i++)
                if (vn_ring_waiting(store->rings[i]))
                        return true;
        return false;
}

static void one_group(struct vn_store *store, struct turn *turn)
{
        struct vn_group group = {.now_us = vn_now_us(store->config.clock)};
        bool read_only = is_read_only(store);
        take_batches(store, turn, &group, read_only);
        turn->list = NULL;
        if (!read_only)
                take_ring_records(store, &group);
        store->writer.drained_at_us = vn_store_mono_us();
        if (group.batch_count || group.mark_count)
                run_group(store, &group);
}

static void drain_all(struct vn_store *store, struct turn *turn)
{
        one_group(store, turn);
        while (rings_wait(store) && !store->writer.drain_failed && !is_read_only(store))
                one_group(store, turn);
}

static void finish_flush(struct vn_store *store, uint64_t flush)
{
        struct vn_err err = {.rc = VN_OK};
        enum vn_rc rc = publish(store, &err);
        if (rc != VN_OK)
                note_failure(store, rc, &err);
        pthread_mutex_lock(&store->mutex);
        if (rc == VN_OK && store->stats.read_only)
                rc = vn_fail(&err, VN_RESOURCE_EXHAUSTED, "%s", store->stats.why);
        else if (rc == VN_OK && store->writer.drain_failed)
                rc = vn_fail(&err, VN_UNAVAILABLE, "the last commit failed");
        store->flush_rc = rc;
        store->flush_error = err;
        store->flush_done = flush;
        pthread_cond_broadcast(&store->done);
        pthread_mutex_unlock(&store->mutex);
}

static bool drain_due(const struct vn_store *store, int64_t now)
{
        uint64_t waiting = 0;
        for (uint32_t i = 0; i < store->config.ring_count; i++)
                waiting += vn_ring_waiting(store->rings[i]);
        int64_t interval = store->writer.drain_failed ? RETRY_US : DRAIN_INTERVAL_US;
        if (waiting >= DRAIN_AT_SLOTS && !store->writer.drain_failed)
                return true;
        return now - store->writer.drained_at_us >= interval;
}

/* Waits for a change, a flush, a stop, or the time to look at the rings; takes what is there. */
static void wait_for_turn(struct vn_store *store, struct turn *turn)
{
        size_t bytes = 0;
        memset(turn, 0, sizeof *turn);
        pthread_mutex_lock(&store->mutex);
        if (!store->queue_head && !store->stop && store->flush_done == store->flush_wanted) {
                struct timespec until;
                clock_gettime(CLOCK_MONOTONIC, &until);
                int64_t ns = until.tv_nsec + DRAIN_INTERVAL_US / 2 * 1000;
                until.tv_sec += ns / 1000000000;
                until.tv_nsec = ns % 1000000000;
                pthread_cond_timedwait(&store->wake, &store->mutex, &until);
        }
        struct vn_batch **end = &turn->list;
        while (store->queue_head && turn->batch_count < VN_GROUP_MAX_BATCHES && bytes < VN_GROUP_MAX_BATCH_BYTES) {
                struct vn_batch *batch = store->queue_head;
                store->queue_head = batch->next;
                batch->next = NULL;
                *end = batch;
                end = &batch->next;
                turn->batch_count++;
                bytes += batch->ops.len + batch->records.len;
        }
        if (!store->queue_head)
                store->queue_tail = NULL;
        store->queue_count -= turn->batch_count;
        turn->stop = store->stop && !store->queue_head;
        turn->flush = store->flush_wanted > store->flush_done && !store->queue_head ? store->flush_wanted : 0;
        pthread_mutex_unlock(&store->mutex);
}

static void publish_if_due(struct vn_store *store)
{
        struct vn_err err = {.rc = VN_OK};
        if (vn_store_mono_us() - store->writer.published_at_us < store->config.checkpoint_interval_us)
                return;
        enum vn_rc rc = publish(store, &err);
        if (rc != VN_OK)
                note_failure(store, rc, &err);
}

void *vn_writer_main(void *arg)
{
        struct vn_store *store = arg;
        struct turn turn;
        do {
                wait_for_turn(store, &turn);
                int64_t now = vn_store_mono_us();
                if (now - store->writer.checked_at_us >= SPACE_INTERVAL_US ||
                    store->writer.bytes_since_check >= SPACE_BYTES)
                        vn_writer_check_space(store);
                if (turn.stop || turn.flush)
                        drain_all(store, &turn);
                else if (turn.list || drain_due(store, now))
                        one_group(store, &turn);
                if (turn.flush)
                        finish_flush(store, turn.flush);
                else
                        publish_if_due(store);
        } while (!turn.stop);
        finish_flush(store, store->flush_wanted);
        return NULL;
}

enum vn_rc vn_writer_start(struct vn_store *store, struct vn_err *err)
{
        struct vn_writer *w = &store->writer;
        w->scratch = vn_alloc(VN_GROUP_SCRATCH_BYTES);
        w->gaps = VN_BUF_INIT(VN_GROUP_MAX_GAPS * VN_RING_PAYLOAD_BYTES + 1);
        if (!w->scratch || !vn_buf_reserve(&w->gaps, VN_GROUP_MAX_GAPS * VN_RING_PAYLOAD_BYTES))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_writer_check_space(store);
        /* On a full disk the store opens for reading; the writer tries again by itself. */
        enum vn_rc rc = vn_logfile_publish(store->log, err);
        if (rc == VN_RESOURCE_EXHAUSTED)
                note_failure(store, rc, err);
        else if (rc != VN_OK)
                return rc;
        if (pthread_create(&store->writer_thread, NULL, vn_writer_main, store) != 0)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "cannot start the writer thread");
        store->writer_runs = true;
        return VN_OK;
}

void vn_writer_stop(struct vn_store *store)
{
        if (!store->writer_runs)
                return;
        if (store->engine->ops->stopping)
                store->engine->ops->stopping(store->engine);
        pthread_mutex_lock(&store->mutex);
        store->stop = true;
        pthread_cond_signal(&store->wake);
        pthread_cond_broadcast(&store->done);
        pthread_mutex_unlock(&store->mutex);
        pthread_join(store->writer_thread, NULL);
        store->writer_runs = false;
}
