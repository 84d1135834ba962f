/* An engine in memory that takes its time: scenarios run over it to show that nothing but the store waits for it. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/batch.h"
#include "store/engine.h"

#define FAKE_MAX_ROWS 1000000u
#define FAKE_MAX_RECORDS 4000000u

struct row {
        struct vn_str key;
        struct vn_str value; /* one allocation with the key, at key.ptr */
};
struct fake_table {
        struct row *rows; /* sorted by key */
        size_t count;
        size_t room;
};
struct fake {
        struct vn_engine engine;
        struct vn_record_ops ops;
        int64_t commit_delay_us;
        int64_t read_delay_us;
        pthread_mutex_t mutex;
        struct fake_table tables[VN_TABLE_COUNT];
        struct vn_str *records;
        size_t record_count;
        size_t record_room;
        struct vn_ring_mark marks[VN_STORE_MAX_RINGS];
        unsigned fail_count;
        enum vn_rc fail_rc;
        uint64_t bytes;
};

static void wait_us(int64_t us)
{
        struct timespec t = {us / VN_US_PER_S, us % VN_US_PER_S * 1000};
        if (us > 0)
                nanosleep(&t, NULL);
}

/* --- tables --- */
static size_t row_find(const struct fake_table *table, struct vn_str key, bool *ret_found)
{
        size_t lo = 0, hi = table->count;
        *ret_found = false;
        while (lo < hi) {
                size_t middle = lo + (hi - lo) / 2;
                int order = vn_str_cmp(table->rows[middle].key, key);
                if (order == 0)
                        *ret_found = true;
                if (order < 0)
                        lo = middle + 1;
                else
                        hi = middle;
        }
        return lo;
}

static void row_remove(struct fake_table *table, size_t at)
{
        vn_free((void *)(uintptr_t)table->rows[at].key.ptr);
        memmove(table->rows + at, table->rows + at + 1, (--table->count - at) * sizeof *table->rows);
}

static void row_put(struct fake *f, struct fake_table *table, struct vn_str key, struct vn_str value)
{
        bool found;
        size_t at = row_find(table, key, &found);
        if (found)
                row_remove(table, at);
        if (table->count == table->room) {
                VN_ASSERT(table->room < FAKE_MAX_ROWS);
                table->room = table->room ? 2 * table->room : 64;
                table->rows = vn_realloc(table->rows, table->room * sizeof *table->rows);
                VN_ASSERT(table->rows); /* a test engine may be simple about memory */
        }
        char *bytes = vn_alloc(key.len + value.len + 1);
        VN_ASSERT(bytes);
        memcpy(bytes, key.ptr, key.len);
        if (value.len)
                memcpy(bytes + key.len, value.ptr, value.len);
        memmove(table->rows + at + 1, table->rows + at, (table->count++ - at) * sizeof *table->rows);
        table->rows[at] = (struct row){vn_str_n(bytes, key.len), vn_str_n(bytes + key.len, value.len)};
        f->bytes += key.len + value.len;
}

static enum vn_rc check(struct fake *f, const struct vn_batch *batch)
{
        struct vn_str ops = vn_buf_view(&batch->ops);
        struct vn_op op;
        bool found;
        while (vn_op_next(&ops, &op)) {
                const struct fake_table *table = &f->tables[op.head.table];
                size_t at = row_find(table, op.key, &found);
                if (op.head.kind == VN_OP_REQUIRE_ABSENT && found)
                        return VN_ALREADY_EXISTS;
                if (op.head.kind == VN_OP_REQUIRE_EQUAL && (!found || !vn_str_eq(table->rows[at].value, op.value)))
                        return VN_ABORTED;
        }
        return VN_OK;
}

static void apply(struct fake *f, const struct vn_batch *batch)
{
        struct vn_str ops = vn_buf_view(&batch->ops);
        struct vn_op op;
        bool found;
        while (vn_op_next(&ops, &op)) {
                struct fake_table *table = &f->tables[op.head.table];
                size_t at = row_find(table, op.key, &found);
                if (op.head.kind == VN_OP_PUT)
                        row_put(f, table, op.key, op.value);
                else if (op.head.kind == VN_OP_DELETE && found)
                        row_remove(table, at);
                else if (op.head.kind == VN_OP_DELETE_RANGE)
                        for (uint32_t i = 0;
                             i < op.head.max && at < table->count && vn_str_cmp(table->rows[at].key, op.value) < 0;
                             i++)
                                row_remove(table, at);
        }
}

static void record_add(struct fake *f, struct vn_str record, struct vn_group *group)
{
        struct vn_record_keys keys = {.id_count = 0};
        if (f->ops.keys(f->ops.arg, record, &keys) == VN_OK)
                group->id_count += keys.id_count;
        if (f->record_count == f->record_room) {
                VN_ASSERT(f->record_room < FAKE_MAX_RECORDS);
                f->record_room = f->record_room ? 2 * f->record_room : 256;
                f->records = vn_realloc(f->records, f->record_room * sizeof *f->records);
                VN_ASSERT(f->records);
        }
        char *copy = vn_alloc(record.len);
        VN_ASSERT(copy);
        memcpy(copy, record.ptr, record.len);
        f->records[f->record_count++] = vn_str_n(copy, record.len);
        f->bytes += record.len;
}

/* --- the interface --- */
static void fake_commit(struct vn_engine *engine, struct vn_group *group, void (*done)(void *arg, enum vn_rc rc),
                        void *arg)
{
        struct fake *f = (struct fake *)engine;
        struct vn_str rest, record;
        wait_us(f->commit_delay_us);
        pthread_mutex_lock(&f->mutex);
        enum vn_rc rc = f->fail_count ? f->fail_rc : VN_OK;
        if (f->fail_count)
                f->fail_count--;
        group->first_seq = f->record_count;
        for (size_t i = 0; rc == VN_OK && i < group->batch_count; i++) {
                struct vn_batch *batch = group->batches[i];
                batch->rc = check(f, batch);
                if (batch->rc != VN_OK)
                        continue;
                apply(f, batch);
                batch->first_seq = batch->record_count ? f->record_count : UINT64_MAX;
                rest = vn_buf_view(&batch->records);
                while (vn_batch_record_next(&rest, &record))
                        record_add(f, record, group);
        }
        for (size_t i = 0; rc == VN_OK && i < group->ring_record_count; i++)
                record_add(f, group->ring_records[i], group);
        if (rc == VN_OK && group->mark_count)
                memcpy(f->marks, group->marks, group->mark_count * sizeof *f->marks);
        group->record_count = f->record_count - group->first_seq;
        pthread_mutex_unlock(&f->mutex);
        if (rc != VN_OK)
                VN_IGNORE(vn_fail(&group->error, rc, "the fake engine was told to fail"));
        done(arg, rc);
}

static enum vn_rc fake_state(struct vn_engine *engine, struct vn_engine_state *ret, struct vn_err *err)
{
        (void)err;
        struct fake *f = (struct fake *)engine;
        ret->next_seq = f->record_count;
        memcpy(ret->marks, f->marks, sizeof ret->marks);
        return VN_OK;
}

static enum vn_rc fake_snap_open(struct vn_engine *engine, struct vn_snap **ret, struct vn_err *err)
{
        struct vn_snap *snap = vn_alloc(sizeof *snap);
        if (!snap)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        struct fake *f = (struct fake *)engine;
        wait_us(f->read_delay_us);
        pthread_mutex_lock(&f->mutex); /* a snapshot: nothing changes while it is held */
        snap->engine = engine;
        *ret = snap;
        return VN_OK;
}

static void fake_snap_close(struct vn_snap *snap)
{
        pthread_mutex_unlock(&((struct fake *)snap->engine)->mutex);
        vn_free(snap);
}

static enum vn_rc fake_get(struct vn_snap *snap, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                           struct vn_err *err)
{
        bool found;
        const struct fake_table *t = &((struct fake *)snap->engine)->tables[table];
        if (key->failed)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: malformed key", vn_table_name(table));
        size_t at = row_find(t, vn_str_n(key->bytes, key->len), &found);
        if (!found)
                return vn_fail(err, VN_NOT_FOUND, "%s: not found", vn_table_name(table));
        vn_buf_str(ret, t->rows[at].value);
        return vn_buf_check(ret, err);
}

static enum vn_rc fake_scan(struct vn_snap *snap, enum vn_table table, const struct vn_key *prefix,
                            const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg, struct vn_err *err)
{
        bool found;
        const struct fake_table *t = &((struct fake *)snap->engine)->tables[table];
        if (prefix->failed || (after && after->failed))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: malformed key", vn_table_name(table));
        struct vn_str begin = vn_str_n(prefix->bytes, prefix->len);
        size_t at = row_find(t, begin, &found);
        if (after) {
                size_t next = row_find(t, vn_str_n(after->bytes, after->len), &found);
                if (next + found > at)
                        at = next + found;
        }
        for (; limit > 0 && at < t->count && vn_str_starts(t->rows[at].key, begin); at++, limit--)
                if (!fn(arg, t->rows[at].key, t->rows[at].value))
                        break;
        return VN_OK;
}

static bool fake_match(const struct fake *f, struct vn_str record, const struct vn_record_filter *filter)
{
        struct vn_record_keys keys = {.id_count = 0};
        if (f->ops.keys(f->ops.arg, record, &keys) != VN_OK)
                return true;
        for (int i = 0; i < 4; i++)
                if ((keys.subjects[i] & filter->subjects[i]) != filter->subjects[i])
                        return false;
        return (!filter->kinds || (keys.kinds & filter->kinds)) &&
               (keys.tenants & filter->tenants) == filter->tenants &&
               (!filter->from_us || keys.last_us >= filter->from_us) &&
               (!filter->to_us || keys.first_us < filter->to_us);
}

static enum vn_rc fake_records(struct vn_engine *engine, const struct vn_record_filter *filter, vn_record_fn fn,
                               void *arg, uint64_t *ret_next, struct vn_err *err)
{
        (void)err;
        struct fake *f = (struct fake *)engine;
        bool back = filter->newest_first, more = true;
        size_t given = 0, looked = 0, max_read = filter->max_read ? filter->max_read : SIZE_MAX;
        pthread_mutex_lock(&f->mutex);
        uint64_t to = filter->to_seq && filter->to_seq < f->record_count ? filter->to_seq : f->record_count;
        uint64_t at = back ? to : filter->from_seq;
        while (more && given < filter->limit && looked < max_read && (back ? at > filter->from_seq : at < to)) {
                uint64_t seq = back ? --at : at++;
                looked++;
                if (!fake_match(f, f->records[seq], filter))
                        continue;
                given++;
                more = fn(arg, seq, f->records[seq]);
        }
        pthread_mutex_unlock(&f->mutex);
        if (ret_next)
                *ret_next = at;
        return VN_OK;
}

static enum vn_rc fake_record(struct vn_engine *engine, uint64_t seq, struct vn_buf *ret, struct vn_err *err)
{
        struct fake *f = (struct fake *)engine;
        pthread_mutex_lock(&f->mutex);
        bool have = seq < f->record_count;
        if (have)
                vn_buf_str(ret, f->records[seq]);
        pthread_mutex_unlock(&f->mutex);
        return have ? vn_buf_check(ret, err) : vn_fail(err, VN_NOT_FOUND, "no such record");
}

static enum vn_rc fake_find(struct vn_engine *engine, uint64_t origin, uint64_t id, int64_t near_us,
                            uint64_t *ret_seq, struct vn_buf *ret, struct vn_err *err)
{
        (void)near_us;
        struct fake *f = (struct fake *)engine;
        enum vn_rc rc = VN_NOT_FOUND;
        pthread_mutex_lock(&f->mutex);
        for (size_t i = f->record_count; rc == VN_NOT_FOUND && i-- > 0;) {
                struct vn_record_keys keys = {.id_count = 0};
                if (f->ops.keys(f->ops.arg, f->records[i], &keys) != VN_OK || keys.origin != origin ||
                    id < keys.id_first || id - keys.id_first >= keys.id_count)
                        continue;
                *ret_seq = i;
                vn_buf_str(ret, f->records[i]);
                rc = vn_buf_check(ret, err);
        }
        pthread_mutex_unlock(&f->mutex);
        return rc == VN_NOT_FOUND ? vn_fail(err, rc, "no record holds this decision id") : rc;
}

static enum vn_rc fake_oldest(struct vn_engine *engine, int64_t before_us, struct vn_span *ret, struct vn_err *err)
{
        (void)engine, (void)before_us, (void)ret;
        return vn_fail(err, VN_NOT_FOUND, "the fake engine has no segments");
}

static enum vn_rc fake_drop(struct vn_engine *engine, const struct vn_span *span, struct vn_err *err)
{
        (void)engine, (void)span;
        return vn_fail(err, VN_FAILED_PRECONDITION, "the fake engine has no segments");
}

static enum vn_rc fake_backup(struct vn_engine *engine, const char *to_dir, const atomic_bool *stop,
                              struct vn_err *err)
{
        (void)engine, (void)to_dir, (void)stop;
        return vn_fail(err, VN_FAILED_PRECONDITION, "the fake engine keeps nothing that could be backed up");
}

static void fake_usage(struct vn_engine *engine, struct vn_engine_usage *ret)
{
        struct fake *f = (struct fake *)engine;
        pthread_mutex_lock(&f->mutex);
        ret->used_bytes = f->bytes;
        ret->segments = 1;
        pthread_mutex_unlock(&f->mutex);
}

static void fake_stopping(struct vn_engine *engine)
{
        (void)engine;
}

static void fake_close(struct vn_engine *engine)
{
        struct fake *f = (struct fake *)engine;
        for (size_t i = 0; i < VN_TABLE_COUNT; i++) {
                while (f->tables[i].count)
                        row_remove(&f->tables[i], f->tables[i].count - 1);
                vn_free(f->tables[i].rows);
        }
        for (size_t i = 0; i < f->record_count; i++)
                vn_free((void *)(uintptr_t)f->records[i].ptr);
        vn_free(f->records);
        pthread_mutex_destroy(&f->mutex);
        vn_free(f);
}

static const struct vn_engine_ops ops = {
        .name = "fake",
        .state = fake_state,
        .commit = fake_commit,
        .snap_open = fake_snap_open,
        .snap_close = fake_snap_close,
        .get = fake_get,
        .scan = fake_scan,
        .records = fake_records,
        .record = fake_record,
        .find = fake_find,
        .oldest = fake_oldest,
        .drop = fake_drop,
        .backup = fake_backup,
        .usage = fake_usage,
        .stopping = fake_stopping,
        .close = fake_close,
};

enum vn_rc vn_engine_fake_open(const struct vn_store_config *config, int64_t commit_delay_us, int64_t read_delay_us,
                               struct vn_engine **ret, struct vn_err *err)
{
        struct fake *f = vn_alloc(sizeof *f);
        if (!f)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        f->engine.ops = &ops;
        f->ops = config->record;
        f->commit_delay_us = commit_delay_us;
        f->read_delay_us = read_delay_us;
        pthread_mutex_init(&f->mutex, NULL);
        *ret = &f->engine;
        return VN_OK;
}

void vn_engine_fake_fail(struct vn_engine *engine, unsigned n, enum vn_rc rc)
{
        struct fake *f = (struct fake *)engine;
        pthread_mutex_lock(&f->mutex);
        f->fail_count = n;
        f->fail_rc = rc;
        pthread_mutex_unlock(&f->mutex);
}
