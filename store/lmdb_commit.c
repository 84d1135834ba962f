/* The commit of one group over two environments. The order (engine.h) makes a crash at any instant harmless:
 *   keyed transaction filled, uncommitted        -> crash: nothing happened
 *   segment committed: records, marks, redo      -> crash: recovery replays the redo entry into the tables
 *   keyed committed with applied_upto            -> crash: recovery sees that the redo entry is applied */
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/lmdb_engine.h"

#define RETRY_MS 20
#define SYNCS_PER_COMMIT 2 /* data pages, then the meta page */

struct commit {
        struct vn_lmdb *e;
        struct vn_group *group;
        struct vn_segment *segment;
        struct vn_segment_state state; /* to be */
        struct vn_block block;
        MDB_txn *keyed;
        MDB_txn *records;
        bool has_changes; /* of accepted batches */
        bool has_records;
        uint64_t id_count;
};

void vn_lmdb_keys(const struct vn_lmdb *e, struct vn_str record, struct vn_record_keys *ret)
{
        memset(ret, 0, sizeof *ret);
        if (e->ops.keys(e->ops.arg, record, ret) == VN_OK)
                return;
        memset(ret, 0xff, sizeof *ret);
        ret->id_count = 0;
        ret->first_us = ret->last_us = 0;
}

static enum vn_rc apply_batches(struct commit *c, struct vn_err *err)
{
        struct vn_group *group = c->group;
        uint64_t records = 0;
        int rc;
        for (size_t i = 0; i < group->batch_count; i++) {
                struct vn_batch *batch = group->batches[i];
                batch->rc = VN_OK;
                if (batch->op_count && !c->keyed) {
                        rc = mdb_txn_begin(c->e->keyed.env.env, NULL, 0, &c->keyed);
                        if (rc)
                                return vn_lmdb_fail(err, rc, c->e->keyed.env.path);
                }
                if (batch->op_count)
                        VN_TRY(vn_keyed_apply(&c->e->keyed, c->keyed, batch, err));
                if (batch->rc != VN_OK)
                        continue;
                c->has_changes = c->has_changes || batch->changes;
                records += batch->record_count;
        }
        c->has_records = records || group->ring_record_count || group->mark_count;
        return VN_OK;
}

static enum vn_rc append_batch(struct commit *c, struct vn_batch *batch, struct vn_err *err)
{
        struct vn_str rest = vn_buf_view(&batch->records), record;
        struct vn_record_keys keys;
        batch->first_seq = batch->record_count ? c->state.next_seq : UINT64_MAX;
        while (vn_batch_record_next(&rest, &record)) {
                vn_lmdb_keys(c->e, record, &keys);
                VN_TRY(vn_segment_append(c->segment, c->records, &c->state, &c->block, record, &keys, err));
                c->id_count += keys.id_count;
        }
        return VN_OK;
}

static enum vn_rc append_redo(struct commit *c, struct vn_err *err)
{
        struct vn_buf *redo = &c->e->redo;
        vn_buf_reset(redo);
        for (size_t i = 0; i < c->group->batch_count; i++)
                if (c->group->batches[i]->rc == VN_OK)
                        vn_buf_str(redo, vn_buf_view(&c->group->batches[i]->ops));
        VN_TRY(vn_buf_check(redo, err));
        return vn_segment_put_redo(c->segment, c->records, ++c->state.redo_number, vn_buf_view(redo), err);
}

static enum vn_rc fill_segment(struct commit *c, struct vn_err *err)
{
        struct vn_group *group = c->group;
        struct vn_record_keys keys;
        int rc = mdb_txn_begin(c->segment->env.env, NULL, 0, &c->records);
        if (rc)
                return vn_lmdb_fail(err, rc, c->segment->env.path);
        for (size_t i = 0; i < group->batch_count; i++)
                if (group->batches[i]->rc == VN_OK)
                        VN_TRY(append_batch(c, group->batches[i], err));
        for (size_t i = 0; i < group->ring_record_count; i++) {
                vn_lmdb_keys(c->e, group->ring_records[i], &keys);
                VN_TRY(vn_segment_append(c->segment, c->records, &c->state, &c->block, group->ring_records[i], &keys,
                                         err));
                c->id_count += keys.id_count;
        }
        if (!atomic_load(&c->e->backups))
                VN_TRY(vn_segment_trim_redo(c->segment, c->records, c->e->keyed.applied_upto, err));
        if (c->has_changes)
                VN_TRY(append_redo(c, err));
        if (group->mark_count) {
                memcpy(c->state.marks, group->marks, group->mark_count * sizeof group->marks[0]);
                if (c->state.mark_count < group->mark_count)
                        c->state.mark_count = group->mark_count;
        }
        return vn_segment_put_state(c->segment, c->records, &c->state, err);
}

static enum vn_rc commit_txn(struct vn_lmdb *e, MDB_txn **txn, const char *path, struct vn_err *err)
{
        int rc = mdb_txn_commit(vn_steal(txn));
        atomic_fetch_add(&e->syncs, SYNCS_PER_COMMIT);
        return vn_lmdb_fail(err, rc, path);
}

static enum vn_rc commit_segment(struct commit *c, struct vn_err *err)
{
        struct vn_lmdb *e = c->e;
        VN_TRY(fill_segment(c, err));
        if (VN_FAULT("store.commit.before"))
                return vn_fail(err, VN_UNAVAILABLE, "injected failure before the commit");
        VN_TRY(commit_txn(e, &c->records, c->segment->env.path, err));
        VN_IGNORE(VN_FAULT("store.commit.between")); /* a place to be killed at */
        c->group->record_count = c->state.next_seq - c->group->first_seq;
        c->group->id_count = c->id_count;
        c->segment->block = c->block;
        pthread_mutex_lock(&e->mutex);
        c->segment->state = c->state;
        pthread_mutex_unlock(&e->mutex);
        return VN_OK;
}

/* The redo entry is durable, so its changes must reach the tables before anything else happens: retried until there is
 * room. The reserve is given up first, so this waits only if somebody else fills the disk at the same moment. */
static enum vn_rc finish_redo(struct vn_lmdb *e, struct vn_err *err)
{
        MDB_txn *txn = NULL;
        int rc = mdb_txn_begin(e->keyed.env.env, NULL, 0, &txn);
        enum vn_rc applied = rc ? vn_lmdb_fail(err, rc, e->keyed.env.path)
                                : vn_keyed_apply_ops(&e->keyed, txn, vn_buf_view(&e->redo), err);
        uint64_t number = e->segments[e->segment_count - 1]->state.redo_number;
        if (applied == VN_OK)
                applied = vn_keyed_mark(&e->keyed, txn, number, err);
        if (applied == VN_OK)
                applied = commit_txn(e, &txn, e->keyed.env.path, err);
        else if (txn)
                mdb_txn_abort(txn);
        if (applied == VN_OK) {
                e->keyed.applied_upto = number;
                e->redo_pending = false;
        }
        return applied;
}

static enum vn_rc insist_on_redo(struct vn_lmdb *e, struct vn_err *err)
{
        for (;;) {
                enum vn_rc rc = finish_redo(e, err);
                if (rc != VN_RESOURCE_EXHAUSTED || atomic_load(&e->stopping))
                        return rc;
                VN_IGNORE(unlink(e->reserve_path));
                nanosleep(&(struct timespec){0, RETRY_MS * 1000000L}, NULL);
        }
}

static enum vn_rc commit_keyed(struct commit *c, bool redo, struct vn_err *err)
{
        struct vn_lmdb *e = c->e;
        if (!c->has_changes) { /* only preconditions were looked at */
                mdb_txn_abort(vn_steal(&c->keyed));
                return VN_OK;
        }
        enum vn_rc rc = redo ? vn_keyed_mark(&e->keyed, c->keyed, c->state.redo_number, err) : VN_OK;
        if (rc == VN_OK && VN_FAULT("store.keyed.before"))
                rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "injected failure before the tables' commit");
        if (rc == VN_OK)
                rc = commit_txn(e, &c->keyed, e->keyed.env.path, err);
        VN_IGNORE(VN_FAULT("store.keyed.after")); /* a place to be killed at */
        if (rc == VN_OK && redo)
                e->keyed.applied_upto = c->state.redo_number;
        if (rc == VN_OK || !redo)
                return rc;
        if (c->keyed)
                mdb_txn_abort(vn_steal(&c->keyed));
        e->redo_pending = true;
        return rc == VN_RESOURCE_EXHAUSTED ? insist_on_redo(e, err) : rc;
}

static enum vn_rc commit_once(struct commit *c, struct vn_err *err)
{
        struct vn_lmdb *e = c->e;
        c->segment = e->segments[e->segment_count - 1];
        c->state = c->segment->state;
        c->block = c->segment->block;
        c->group->first_seq = c->state.next_seq;
        c->group->record_count = 0;
        VN_TRY(apply_batches(c, err));
        /* While a backup runs, every change goes through a redo entry: the copies are of different moments. */
        bool segment = c->has_records || (c->has_changes && atomic_load(&e->backups));
        if (segment)
                VN_TRY(commit_segment(c, err));
        return c->keyed ? commit_keyed(c, segment, err) : VN_OK;
}

static void commit_abort(struct commit *c)
{
        if (c->records)
                mdb_txn_abort(vn_steal(&c->records));
        if (c->keyed)
                mdb_txn_abort(vn_steal(&c->keyed));
}

void vn_lmdb_commit(struct vn_engine *engine, struct vn_group *group, void (*done)(void *arg, enum vn_rc rc),
                    void *arg)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        struct vn_err err = {.rc = VN_OK};
        pthread_mutex_lock(&e->commit_mutex);
        enum vn_rc rc = e->redo_pending ? insist_on_redo(e, &err) : VN_OK;
        if (rc == VN_OK)
                rc = vn_lmdb_roll(e, group->now_us, false, &err);
        if (rc == VN_OK && group->reserve)
                VN_IGNORE(unlink(e->reserve_path)); /* made again when there is room (vn_engine_usage) */
        if (rc == VN_OK) {
                struct commit c = {.e = e, .group = group};
                rc = commit_once(&c, &err);
                commit_abort(&c);
        }
        pthread_mutex_unlock(&e->commit_mutex);
        if (rc != VN_OK)
                group->error = err;
        done(arg, rc);
}

enum vn_rc vn_lmdb_replay(struct vn_lmdb *e, struct vn_err *err)
{
        /* Only the last segment can hold redo entries that are not applied: it rolls only when all are. A restored
         * backup may hold several. */
        struct vn_segment *segment = e->segments[e->segment_count - 1];
        MDB_txn *txn, *keyed = NULL;
        MDB_cursor *cursor;
        uint64_t from = __builtin_bswap64(e->keyed.applied_upto + 1), number = e->keyed.applied_upto;
        MDB_val key = {sizeof from, &from}, data;
        int rc = mdb_txn_begin(segment->env.env, NULL, MDB_RDONLY, &txn);
        if (rc)
                return vn_lmdb_fail(err, rc, segment->env.path);
        rc = mdb_cursor_open(txn, segment->redo, &cursor);
        if (rc) {
                mdb_txn_abort(txn);
                return vn_lmdb_fail(err, rc, segment->env.path);
        }
        rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
        enum vn_rc done = rc == MDB_NOTFOUND ? VN_OK : vn_lmdb_fail(err, rc, segment->env.path);
        if (!rc && (rc = mdb_txn_begin(e->keyed.env.env, NULL, 0, &keyed)))
                done = vn_lmdb_fail(err, rc, e->keyed.env.path);
        for (; !rc && done == VN_OK; rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT)) {
                memcpy(&number, key.mv_data, sizeof number);
                number = __builtin_bswap64(number);
                done = vn_keyed_apply_ops(&e->keyed, keyed, vn_val_str(data), err);
        }
        if (done == VN_OK && keyed)
                done = vn_keyed_mark(&e->keyed, keyed, number, err);
        if (done == VN_OK && keyed) {
                done = commit_txn(e, &keyed, e->keyed.env.path, err);
                e->keyed.applied_upto = number;
        }
        if (keyed)
                mdb_txn_abort(keyed);
        mdb_cursor_close(cursor);
        mdb_txn_abort(txn);
        return done;
}
