#include <string.h>

#include "store/lmdb_engine.h"

#define DEFAULT_MAX_READ 100000
#define FIND_SLACK_US (5 * VN_US_PER_MIN)

/* --- segments: borrow and give back --- */
static struct vn_segment *segment_take(struct vn_lmdb *e, size_t at, struct vn_segment_state *ret_state)
{
        struct vn_segment *segment = NULL;
        pthread_mutex_lock(&e->mutex);
        if (at < e->segment_count) {
                segment = e->segments[at];
                segment->refs++;
                *ret_state = segment->state;
        }
        pthread_mutex_unlock(&e->mutex);
        return segment;
}

/* The segment that holds seq, or the next one after a hole that retention made (newest_first: the one before). */
static struct vn_segment *segment_for(struct vn_lmdb *e, uint64_t seq, bool newest_first,
                                      struct vn_segment_state *ret_state)
{
        struct vn_segment *found = NULL;
        pthread_mutex_lock(&e->mutex);
        for (size_t i = 0; i < e->segment_count; i++) {
                struct vn_segment *segment = e->segments[i];
                if (segment->state.first_seq == segment->state.next_seq)
                        continue;
                if (newest_first && segment->state.first_seq <= seq)
                        found = segment;
                if (!newest_first && seq < segment->state.next_seq && !found)
                        found = segment;
        }
        if (found) {
                found->refs++;
                *ret_state = found->state;
        }
        pthread_mutex_unlock(&e->mutex);
        return found;
}

static void segment_give(struct vn_lmdb *e, struct vn_segment *segment)
{
        pthread_mutex_lock(&e->mutex);
        segment->refs--;
        pthread_mutex_unlock(&e->mutex);
}

static int get_number(MDB_txn *txn, MDB_dbi dbi, uint64_t number, MDB_val *ret)
{
        uint64_t be = __builtin_bswap64(number);
        MDB_val key = {sizeof be, &be};
        return mdb_get(txn, dbi, &key, ret);
}

/* --- filters --- */
static bool bits_match(uint64_t kinds, uint64_t tenants, const uint64_t subjects[4],
                       const struct vn_record_filter *filter)
{
        if ((filter->kinds && !(kinds & filter->kinds)) || (tenants & filter->tenants) != filter->tenants)
                return false;
        for (int i = 0; i < 4; i++)
                if ((subjects[i] & filter->subjects[i]) != filter->subjects[i])
                        return false;
        return true;
}

bool vn_keys_match(const struct vn_record_keys *keys, const struct vn_record_filter *filter)
{
        if (filter->from_us && keys->last_us < filter->from_us)
                return false;
        if (filter->to_us && keys->first_us >= filter->to_us)
                return false;
        return bits_match(keys->kinds, keys->tenants, keys->subjects, filter);
}

static bool block_match(const struct vn_block *block, const struct vn_record_filter *filter)
{
        if (filter->from_us && block->last_us < filter->from_us)
                return false;
        if (filter->to_us && block->first_us >= filter->to_us)
                return false;
        return bits_match(block->kinds, block->tenants, block->subjects, filter);
}

/* A block without a summary (the newest one) may hold anything. */
static bool block_load(MDB_txn *txn, const struct vn_segment *segment, uint64_t number, struct vn_block *ret)
{
        MDB_val data;
        if (get_number(txn, segment->blocks, number, &data) || data.mv_size != sizeof *ret)
                return false;
        memcpy(ret, data.mv_data, sizeof *ret);
        return true;
}

/* --- walking --- */
struct walk {
        struct vn_lmdb *e;
        const struct vn_record_filter *filter;
        vn_record_fn fn;
        void *arg;
        uint64_t at;   /* next number to look at; newest_first: one above it */
        uint64_t stop; /* exclusive; newest_first: inclusive */
        size_t given;
        size_t looked;
        size_t max_read;
        bool ended;
};

static enum vn_rc walk_record(struct walk *w, MDB_txn *txn, const struct vn_segment *segment, uint64_t seq,
                              struct vn_err *err)
{
        MDB_val data;
        struct vn_record_keys keys;
        int rc = get_number(txn, segment->records, seq, &data);
        if (rc == MDB_NOTFOUND)
                return VN_OK;
        if (rc)
                return vn_lmdb_fail(err, rc, segment->env.path);
        w->looked++;
        vn_lmdb_keys(w->e, vn_val_str(data), &keys);
        if (!vn_keys_match(&keys, w->filter))
                return VN_OK;
        w->given++;
        if (!w->fn(w->arg, seq, vn_val_str(data)))
                w->ended = true;
        return VN_OK;
}

static bool walk_is_over(const struct walk *w)
{
        return w->ended || w->given >= w->filter->limit || w->looked >= w->max_read;
}

static enum vn_rc walk_forward(struct walk *w, MDB_txn *txn, const struct vn_segment *segment, uint64_t end,
                               struct vn_err *err)
{
        struct vn_block block;
        while (w->at < end && !walk_is_over(w)) {
                uint64_t block_end = (w->at / VN_BLOCK_RECORDS + 1) * VN_BLOCK_RECORDS;
                if (block_load(txn, segment, w->at / VN_BLOCK_RECORDS, &block) && !block_match(&block, w->filter)) {
                        w->at = block_end < end ? block_end : end;
                        continue;
                }
                for (; w->at < block_end && w->at < end && !walk_is_over(w); w->at++)
                        VN_TRY(walk_record(w, txn, segment, w->at, err));
        }
        return VN_OK;
}

static enum vn_rc walk_back(struct walk *w, MDB_txn *txn, const struct vn_segment *segment, uint64_t begin,
                            struct vn_err *err)
{
        struct vn_block block;
        while (w->at > begin && !walk_is_over(w)) {
                uint64_t number = (w->at - 1) / VN_BLOCK_RECORDS, block_begin = number * VN_BLOCK_RECORDS;
                if (block_begin < begin)
                        block_begin = begin;
                if (block_load(txn, segment, number, &block) && !block_match(&block, w->filter)) {
                        w->at = block_begin;
                        continue;
                }
                for (; w->at > block_begin && !walk_is_over(w); w->at--)
                        VN_TRY(walk_record(w, txn, segment, w->at - 1, err));
        }
        return VN_OK;
}

static enum vn_rc walk_segment(struct walk *w, struct vn_segment *segment, const struct vn_segment_state *state,
                               struct vn_err *err)
{
        bool back = w->filter->newest_first;
        uint64_t begin = state->first_seq > w->stop || !back ? state->first_seq : w->stop;
        uint64_t end = !back && w->stop < state->next_seq ? w->stop : state->next_seq;
        MDB_txn *txn;
        if (back && w->at > state->next_seq)
                w->at = state->next_seq;
        if (!back && w->at < state->first_seq)
                w->at = state->first_seq;
        int rc = mdb_txn_begin(segment->env.env, NULL, MDB_RDONLY, &txn);
        if (rc)
                return vn_lmdb_fail(err, rc, segment->env.path);
        enum vn_rc walked = back ? walk_back(w, txn, segment, begin, err) : walk_forward(w, txn, segment, end, err);
        mdb_txn_abort(txn);
        return walked;
}

enum vn_rc vn_lmdb_records(struct vn_engine *engine, const struct vn_record_filter *filter, vn_record_fn fn,
                           void *arg, uint64_t *ret_next, struct vn_err *err)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        bool back = filter->newest_first;
        uint64_t to = filter->to_seq ? filter->to_seq : UINT64_MAX;
        struct walk w = {.e = e,
                         .filter = filter,
                         .fn = fn,
                         .arg = arg,
                         .at = back ? to : filter->from_seq,
                         .stop = back ? filter->from_seq : to,
                         .max_read = filter->max_read ? filter->max_read : DEFAULT_MAX_READ};
        while (!walk_is_over(&w) && (back ? w.at > w.stop : w.at < w.stop)) {
                struct vn_segment_state state;
                struct vn_segment *segment = segment_for(e, back ? w.at - 1 : w.at, back, &state);
                if (!segment) {
                        w.at = back ? w.stop : w.at;
                        break;
                }
                uint64_t before = w.at;
                enum vn_rc rc = walk_segment(&w, segment, &state, err);
                segment_give(e, segment);
                VN_TRY(rc);
                if (w.at == before && !walk_is_over(&w))
                        break;
        }
        if (ret_next)
                *ret_next = w.at;
        return VN_OK;
}

enum vn_rc vn_lmdb_record(struct vn_engine *engine, uint64_t seq, struct vn_buf *ret, struct vn_err *err)
{
        struct vn_lmdb *e = (struct vn_lmdb *)engine;
        struct vn_segment_state state;
        struct vn_segment *segment = segment_for(e, seq, false, &state);
        MDB_txn *txn;
        MDB_val data;
        int rc = MDB_NOTFOUND;
        if (segment) {
                rc = mdb_txn_begin(segment->env.env, NULL, MDB_RDONLY, &txn);
                if (!rc) {
                        rc = get_number(txn, segment->records, seq, &data);
                        if (!rc)
                                vn_buf_str(ret, vn_val_str(data));
                        mdb_txn_abort(txn);
                }
                segment_give(e, segment);
        }
        if (rc == MDB_NOTFOUND)
                return vn_fail(err, VN_NOT_FOUND, "record %llu is not here", (unsigned long long)seq);
        return rc ? vn_lmdb_fail(err, rc, e->segment_dir) : vn_buf_check(ret, err);
}

/* --- by decision id --- */
struct find {
        struct vn_lmdb *e;
        uint64_t origin;
        uint64_t id;
        int64_t near_us;
        bool near_pass; /* first pass: only blocks near near_us; second: only the others */
        uint64_t *ret_seq;
        struct vn_buf *ret;
};

static enum vn_rc find_in_block(const struct find *f, MDB_txn *txn, const struct vn_segment *segment, uint64_t begin,
                                uint64_t end, struct vn_err *err)
{
        struct vn_record_keys keys;
        MDB_val data;
        for (uint64_t seq = begin; seq < end; seq++) {
                if (get_number(txn, segment->records, seq, &data))
                        continue;
                vn_lmdb_keys(f->e, vn_val_str(data), &keys);
                if (keys.origin != f->origin || f->id < keys.id_first || f->id - keys.id_first >= keys.id_count)
                        continue;
                *f->ret_seq = seq;
                vn_buf_str(f->ret, vn_val_str(data));
                return vn_buf_check(f->ret, err);
        }
        return VN_NOT_FOUND;
}

static bool near_enough(const struct find *f, const struct vn_block *block)
{
        return f->near_us >= block->first_us - FIND_SLACK_US && f->near_us <= block->last_us + FIND_SLACK_US;
}

static enum vn_rc find_in_segment(const struct find *f, const struct vn_segment *segment,
                                  const struct vn_segment_state *state, struct vn_err *err)
{
        enum vn_rc found = VN_NOT_FOUND;
        struct vn_block block;
        MDB_txn *txn;
        if (state->first_seq == state->next_seq)
                return VN_NOT_FOUND;
        int rc = mdb_txn_begin(segment->env.env, NULL, MDB_RDONLY, &txn);
        if (rc)
                return vn_lmdb_fail(err, rc, segment->env.path);
        uint64_t first = state->first_seq / VN_BLOCK_RECORDS, last = (state->next_seq - 1) / VN_BLOCK_RECORDS;
        for (uint64_t number = last + 1; found == VN_NOT_FOUND && number-- > first;) {
                bool known = block_load(txn, segment, number, &block);
                if (known && !vn_block_has_id(&block, f->origin, f->id))
                        continue;
                if (f->near_us && (!known || near_enough(f, &block)) != f->near_pass)
                        continue;
                uint64_t begin = number * VN_BLOCK_RECORDS, end = begin + VN_BLOCK_RECORDS;
                found = find_in_block(f, txn, segment, begin > state->first_seq ? begin : state->first_seq,
                                      end < state->next_seq ? end : state->next_seq, err);
        }
        mdb_txn_abort(txn);
        return found;
}

static enum vn_rc find_pass(const struct find *f, struct vn_err *err)
{
        enum vn_rc found = VN_NOT_FOUND;
        pthread_mutex_lock(&f->e->mutex);
        size_t count = f->e->segment_count;
        pthread_mutex_unlock(&f->e->mutex);
        while (found == VN_NOT_FOUND && count-- > 0) {
                struct vn_segment_state state;
                struct vn_segment *segment = segment_take(f->e, count, &state);
                if (!segment)
                        continue;
                found = find_in_segment(f, segment, &state, err);
                segment_give(f->e, segment);
        }
        return found;
}

enum vn_rc vn_lmdb_find(struct vn_engine *engine, uint64_t origin, uint64_t id, int64_t near_us, uint64_t *ret_seq,
                        struct vn_buf *ret, struct vn_err *err)
{
        struct find f = {.e = (struct vn_lmdb *)engine,
                         .origin = origin,
                         .id = id,
                         .near_us = near_us,
                         .near_pass = true,
                         .ret_seq = ret_seq,
                         .ret = ret};
        enum vn_rc found = find_pass(&f, err);
        f.near_pass = false;
        if (found == VN_NOT_FOUND && near_us)
                found = find_pass(&f, err);
        return found == VN_NOT_FOUND ? vn_fail(err, VN_NOT_FOUND, "no record holds this decision id") : found;
}
