#include <dirent.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/lmdb_engine.h"

#define SEGMENT_MAP_SLACK (512u << 20) /* a group is at most some MiB: a segment rolls long before its map is full */
#define RESERVE_BYTES (4u << 20)
#define REDO_MAX_BYTES (64u << 20)

struct lmdb_snap {
        struct vn_snap snap;
        MDB_txn *txn;
};

static uint64_t segment_map_bytes(const struct vn_lmdb *e)
{
        return e->config.segment_max_bytes + SEGMENT_MAP_SLACK;
}

/* --- segments --- */
enum vn_rc vn_lmdb_roll(struct vn_lmdb *e, int64_t now_us, bool force, struct vn_err *err)
{
        struct vn_segment *last = e->segments[e->segment_count - 1], *next;
        struct vn_segment_state state = last->state;
        bool due = now_us - state.created_us >= e->config.segment_us ||
                   vn_env_file_bytes(&last->env) >= e->config.segment_max_bytes;
        if (!force && (!due || state.first_seq == state.next_seq || atomic_load(&e->backups)))
                return VN_OK;
        if (e->segment_count == VN_MAX_SEGMENTS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: %d segments: shorten the retention", e->segment_dir,
                               VN_MAX_SEGMENTS);
        if (last->block.count) { /* the last, partial block's summary */
                MDB_txn *txn;
                int rc = mdb_txn_begin(last->env.env, NULL, 0, &txn);
                if (rc)
                        return vn_lmdb_fail(err, rc, last->env.path);
                enum vn_rc put =
                        vn_segment_put_block(last, txn, state.next_seq / VN_BLOCK_RECORDS, &last->block, err);
                if (put != VN_OK) {
                        mdb_txn_abort(txn);
                        return put;
                }
                VN_TRY(vn_lmdb_fail(err, mdb_txn_commit(txn), last->env.path));
        }
        state.number++;
        state.first_seq = state.next_seq;
        state.created_us = now_us;
        state.first_us = state.last_us = 0;
        VN_TRY(vn_segment_open(e->segment_dir, state.number, &state, segment_map_bytes(e), &next, err));
        pthread_mutex_lock(&e->mutex);
        e->segments[e->segment_count++] = next;
        pthread_mutex_unlock(&e->mutex);
        return VN_OK;
}

static int by_number(const void *a, const void *b)
{
        const uint64_t *x = a, *y = b;
        return *x < *y ? -1 : *x > *y;
}

static enum vn_rc list_segments(struct vn_lmdb *e, uint64_t *numbers, size_t *ret_count, struct vn_err *err)
{
        DIR *dir = opendir(e->segment_dir);
        enum vn_rc rc = VN_OK;
        size_t count = 0;
        if (!dir)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", e->segment_dir, strerror(errno));
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(dir));) {
                uint64_t number;
                uint8_t bytes[8];
                if (vn_unhex(vn_str(entry->d_name), bytes, sizeof bytes) != VN_OK)
                        continue;
                memcpy(&number, bytes, sizeof number);
                number = be64toh(number);
                if (count == VN_MAX_SEGMENTS)
                        rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: too many segments", e->segment_dir);
                else
                        numbers[count++] = number;
        }
        closedir(dir);
        qsort(numbers, count, sizeof *numbers, by_number);
        *ret_count = count;
        return rc;
}

/* The summary of the newest block lives only in memory: made again from its records. */
static enum vn_rc rebuild_block(struct vn_lmdb *e, struct vn_segment *segment, struct vn_err *err)
{
        uint64_t begin = segment->state.next_seq / VN_BLOCK_RECORDS * VN_BLOCK_RECORDS;
        struct vn_record_keys keys;
        MDB_txn *txn;
        MDB_val data;
        int rc = mdb_txn_begin(segment->env.env, NULL, MDB_RDONLY, &txn);
        if (rc)
                return vn_lmdb_fail(err, rc, segment->env.path);
        if (begin < segment->state.first_seq)
                begin = segment->state.first_seq;
        for (uint64_t seq = begin; seq < segment->state.next_seq; seq++) {
                uint64_t be = __builtin_bswap64(seq);
                MDB_val key = {sizeof be, &be};
                if (mdb_get(txn, segment->records, &key, &data)) {
                        mdb_txn_abort(txn);
                        return vn_fail(err, VN_DATA_LOSS, "%s: record %" PRIu64 " is missing", segment->env.path,
                                       seq);
                }
                vn_lmdb_keys(e, vn_val_str(data), &keys);
                vn_block_add(&segment->block, &keys);
        }
        mdb_txn_abort(txn);
        return VN_OK;
}

static enum vn_rc open_all(struct vn_lmdb *e, const uint64_t *numbers, size_t count, struct vn_err *err)
{
        struct vn_segment_state first = {.number = 1, .created_us = vn_now_us(e->config.clock)};
        for (size_t i = 0; i < count || i == 0; i++) {
                VN_TRY(vn_segment_open(e->segment_dir, count ? numbers[i] : 1, count ? NULL : &first,
                                       segment_map_bytes(e), &e->segments[i], err));
                e->segment_count++;
                if (i > 0 && e->segments[i]->state.first_seq < e->segments[i - 1]->state.next_seq)
                        return vn_fail(err, VN_DATA_LOSS, "%s: overlaps the segment before",
                                       e->segments[i]->env.path);
        }
        return rebuild_block(e, e->segments[e->segment_count - 1], err);
}

enum vn_rc vn_lmdb_open_segments(struct vn_lmdb *e, struct vn_err *err)
{
        size_t count = 0;
        uint64_t *numbers = vn_alloc_array(VN_MAX_SEGMENTS, sizeof *numbers);
        if (!numbers)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        enum vn_rc rc = list_segments(e, numbers, &count, err);
        if (rc == VN_OK)
                rc = open_all(e, numbers, count, err);
        vn_free(numbers);
        return rc;
}

/* Records carry times that callers gave: no segment ends before it began or after the next one did. */
static int64_t ended_us(const struct vn_segment_state *state, const struct vn_segment_state *next)
{
        int64_t at_most = state->last_us < next->created_us ? state->last_us : next->created_us;
        return at_most > state->created_us ? at_most : state->created_us;
}

enum vn_rc vn_lmdb_oldest(struct vn_engine *engine, int64_t before_us, struct vn_span *ret, struct vn_err *err)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        enum vn_rc rc = VN_NOT_FOUND;
        pthread_mutex_lock(&e->mutex);
        const struct vn_segment_state *state = &e->segments[0]->state;
        if (e->segment_count > 1 && ended_us(state, &e->segments[1]->state) < before_us &&
            !atomic_load(&e->backups)) {
                *ret = (struct vn_span){state->first_seq, state->next_seq - 1, state->first_us, state->last_us};
                rc = VN_OK;
        }
        pthread_mutex_unlock(&e->mutex);
        return rc == VN_OK ? rc : vn_fail(err, rc, "no segment is that old");
}

enum vn_rc vn_lmdb_drop(struct vn_engine *engine, const struct vn_span *span, struct vn_err *err)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        struct vn_segment *segment = NULL;
        pthread_mutex_lock(&e->mutex);
        if (e->segment_count > 1 && e->segments[0]->state.first_seq == span->first_seq && !e->segments[0]->refs &&
            !atomic_load(&e->backups)) {
                segment = e->segments[0];
                memmove(e->segments, e->segments + 1, --e->segment_count * sizeof e->segments[0]);
        }
        pthread_mutex_unlock(&e->mutex);
        if (!segment)
                return vn_fail(err, VN_UNAVAILABLE, "the segment is being read: try again");
        char path[VN_PATH_BYTES];
        VN_ASSERT(vn_str_copy(path, sizeof path, vn_str(segment->env.path)));
        vn_segment_close(segment);
        VN_IGNORE(VN_FAULT("store.drop.before")); /* a place to be killed at */
        VN_TRY(vn_dir_remove(path, err));
        return vn_dir_sync(e->segment_dir, err);
}

/* --- snapshots --- */
static enum vn_rc snap_open(struct vn_engine *engine, struct vn_snap **ret, struct vn_err *err)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        struct lmdb_snap *snap = vn_alloc(sizeof *snap);
        if (!snap)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        int rc = mdb_txn_begin(e->keyed.env.env, NULL, MDB_RDONLY, &snap->txn);
        if (rc) {
                vn_free(snap);
                return vn_lmdb_fail(err, rc, e->keyed.env.path);
        }
        snap->snap.engine = engine;
        *ret = &snap->snap;
        return VN_OK;
}

static void snap_close(struct vn_snap *snap)
{
        struct lmdb_snap *s = (struct lmdb_snap *)snap;
        mdb_txn_abort(s->txn);
        vn_free(s);
}

static enum vn_rc snap_get(struct vn_snap *snap, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                           struct vn_err *err)
{
        struct lmdb_snap *s = (struct lmdb_snap *)snap;
        return vn_keyed_get(&((struct vn_lmdb *)snap->engine)->keyed, s->txn, table, key, ret, err);
}

static enum vn_rc snap_scan(struct vn_snap *snap, enum vn_table table, const struct vn_key *prefix,
                            const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg, struct vn_err *err)
{
        struct lmdb_snap *s = (struct lmdb_snap *)snap;
        return vn_keyed_scan(&((struct vn_lmdb *)snap->engine)->keyed, s->txn, table, prefix, after, limit, fn, arg,
                             err);
}

/* --- the rest of the interface --- */
static enum vn_rc engine_state(struct vn_engine *engine, struct vn_engine_state *ret, struct vn_err *err)
{
        (void)err;
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        const struct vn_segment_state *state = &e->segments[e->segment_count - 1]->state;
        ret->next_seq = state->next_seq;
        memcpy(ret->marks, state->marks, sizeof ret->marks);
        return VN_OK;
}

/* Space for the records that must be written even when the budget is spent. Best effort: without it they wait. */
static void make_reserve(const struct vn_lmdb *e)
{
        int fd = open(e->reserve_path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd < 0)
                return;
        if (posix_fallocate(fd, 0, RESERVE_BYTES) != 0)
                VN_IGNORE(unlink(e->reserve_path));
        close(fd);
}

static void engine_usage(struct vn_engine *engine, struct vn_engine_usage *ret)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        ret->used_bytes = vn_env_live_bytes(&e->keyed.env);
        pthread_mutex_lock(&e->mutex);
        for (size_t i = 0; i < e->segment_count; i++)
                ret->used_bytes += vn_env_file_bytes(&e->segments[i]->env);
        ret->segments = e->segment_count;
        pthread_mutex_unlock(&e->mutex);
        ret->syncs = atomic_load(&e->syncs);
        if (access(e->reserve_path, F_OK) != 0)
                make_reserve(e);
        ret->used_bytes += vn_file_bytes_on_disk(e->reserve_path);
}

static void engine_close(struct vn_engine *engine)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        for (size_t i = 0; i < e->segment_count; i++)
                vn_segment_close(e->segments[i]);
        vn_env_close(&e->keyed.env);
        vn_buf_done(&e->redo);
        pthread_mutex_destroy(&e->mutex);
        pthread_mutex_destroy(&e->commit_mutex);
        vn_free(e);
}

static void engine_stopping(struct vn_engine *engine)
{
        atomic_store(&((struct vn_lmdb *)engine)->stopping, true);
}

static const struct vn_engine_ops ops = {
        .name = "lmdb",
        .state = engine_state,
        .commit = vn_lmdb_commit,
        .snap_open = snap_open,
        .snap_close = snap_close,
        .get = snap_get,
        .scan = snap_scan,
        .records = vn_lmdb_records,
        .record = vn_lmdb_record,
        .find = vn_lmdb_find,
        .oldest = vn_lmdb_oldest,
        .drop = vn_lmdb_drop,
        .backup = vn_lmdb_backup,
        .usage = engine_usage,
        .stopping = engine_stopping,
        .close = engine_close,
};

static enum vn_rc open_parts(struct vn_lmdb *e, const char *dir, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        VN_TRY(vn_path_join(path, dir, "keyed", err));
        VN_TRY(vn_keyed_open(&e->keyed, path, 2 * e->config.disk_budget_bytes + SEGMENT_MAP_SLACK, err));
        VN_TRY(vn_path_join(e->segment_dir, dir, "segments", err));
        VN_TRY(vn_dir_make(e->segment_dir, err));
        VN_TRY(vn_path_join(e->reserve_path, dir, "reserve", err));
        VN_TRY(vn_lmdb_open_segments(e, err));
        VN_TRY(vn_lmdb_replay(e, err));
        make_reserve(e);
        return VN_OK;
}

enum vn_rc vn_engine_lmdb_open(const struct vn_store_config *config, struct vn_engine **ret, struct vn_err *err)
{
        struct vn_lmdb *e = vn_alloc(sizeof *e);
        if (!e)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        pthread_mutex_init(&e->mutex, NULL);
        pthread_mutex_init(&e->commit_mutex, NULL);
        e->engine.ops = &ops;
        e->config = *config;
        e->ops = config->record;
        e->redo = VN_BUF_INIT(REDO_MAX_BYTES);
        enum vn_rc rc = open_parts(e, config->dir, err);
        if (rc != VN_OK) {
                engine_close(&e->engine);
                return rc;
        }
        *ret = &e->engine;
        return VN_OK;
}
