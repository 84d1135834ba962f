#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "base/hash.h"
#include "store/lmdb_parts.h"

#define MAX_DBS 4
#define BLOOM_BITS (VN_BLOOM_WORDS * 64)
#define BLOOM_PROBES 4
#define IDS_SHIFT 6 /* ids are summarised in runs of 64: a loop's ids come one after the other */
#define MAX_ID_RUNS 64

/* --- summaries --- */
static uint64_t id_hash(uint64_t origin, uint64_t run)
{
        uint64_t words[2] = {origin, run};
        return vn_hash64(words, sizeof words, 0);
}

static void bloom_add(struct vn_block *block, uint64_t hash)
{
        for (int i = 0; i < BLOOM_PROBES; i++) {
                unsigned bit = (unsigned)(hash >> (16 * i)) % BLOOM_BITS;
                block->ids[bit / 64] |= UINT64_C(1) << (bit % 64);
        }
}

void vn_block_add(struct vn_block *block, const struct vn_record_keys *keys)
{
        if (!block->count || keys->first_us < block->first_us)
                block->first_us = keys->first_us;
        if (!block->count || keys->last_us > block->last_us)
                block->last_us = keys->last_us;
        block->count++;
        block->kinds |= keys->kinds;
        block->tenants |= keys->tenants;
        for (int i = 0; i < 4; i++)
                block->subjects[i] |= keys->subjects[i];
        if (!keys->id_count)
                return;
        uint64_t first = keys->id_first >> IDS_SHIFT, last = (keys->id_first + keys->id_count - 1) >> IDS_SHIFT;
        if (last - first >= MAX_ID_RUNS)
                memset(block->ids, 0xff, sizeof block->ids);
        else
                for (uint64_t run = first; run <= last; run++)
                        bloom_add(block, id_hash(keys->origin, run));
}

bool vn_block_has_id(const struct vn_block *block, uint64_t origin, uint64_t id)
{
        uint64_t hash = id_hash(origin, id >> IDS_SHIFT);
        for (int i = 0; i < BLOOM_PROBES; i++) {
                unsigned bit = (unsigned)(hash >> (16 * i)) % BLOOM_BITS;
                if (!(block->ids[bit / 64] >> (bit % 64) & 1))
                        return false;
        }
        return true;
}

/* --- writing --- */
static enum vn_rc put_number(struct vn_segment *segment, MDB_txn *txn, MDB_dbi dbi, uint64_t number,
                             struct vn_str value, unsigned flags, struct vn_err *err)
{
        uint64_t be = __builtin_bswap64(number);
        MDB_val key = {sizeof be, &be}, data = vn_val(value);
        return vn_lmdb_fail(err, mdb_put(txn, dbi, &key, &data, flags), segment->env.path);
}

enum vn_rc vn_segment_put_state(struct vn_segment *segment, MDB_txn *txn, const struct vn_segment_state *state,
                                struct vn_err *err)
{
        MDB_val key = vn_val(VN_STR("state"));
        MDB_val data = {offsetof(struct vn_segment_state, marks) + state->mark_count * sizeof state->marks[0],
                        (void *)(uintptr_t)state};
        return vn_lmdb_fail(err, mdb_put(txn, segment->meta, &key, &data, 0), segment->env.path);
}

enum vn_rc vn_segment_put_block(struct vn_segment *segment, MDB_txn *txn, uint64_t number,
                                const struct vn_block *block, struct vn_err *err)
{
        return put_number(segment, txn, segment->blocks, number, vn_str_n(block, sizeof *block), 0, err);
}

enum vn_rc vn_segment_put_redo(struct vn_segment *segment, MDB_txn *txn, uint64_t number, struct vn_str ops,
                               struct vn_err *err)
{
        return put_number(segment, txn, segment->redo, number, ops, MDB_APPEND, err);
}

enum vn_rc vn_segment_append(struct vn_segment *segment, MDB_txn *txn, struct vn_segment_state *state,
                             struct vn_block *block, struct vn_str record, const struct vn_record_keys *keys,
                             struct vn_err *err)
{
        VN_TRY(put_number(segment, txn, segment->records, state->next_seq, record, MDB_APPEND, err));
        if (!state->first_us || keys->first_us < state->first_us)
                state->first_us = keys->first_us;
        if (keys->last_us > state->last_us)
                state->last_us = keys->last_us;
        vn_block_add(block, keys);
        if (++state->next_seq % VN_BLOCK_RECORDS == 0) {
                VN_TRY(vn_segment_put_block(segment, txn, (state->next_seq - 1) / VN_BLOCK_RECORDS, block, err));
                memset(block, 0, sizeof *block);
        }
        return VN_OK;
}

enum vn_rc vn_segment_trim_redo(struct vn_segment *segment, MDB_txn *txn, uint64_t upto, struct vn_err *err)
{
        MDB_cursor *cursor;
        MDB_val key, data;
        int rc = mdb_cursor_open(txn, segment->redo, &cursor);
        if (rc)
                return vn_lmdb_fail(err, rc, segment->env.path);
        while (!(rc = mdb_cursor_get(cursor, &key, &data, MDB_FIRST))) {
                uint64_t be;
                memcpy(&be, key.mv_data, sizeof be);
                if (__builtin_bswap64(be) > upto || (rc = mdb_cursor_del(cursor, 0)))
                        break;
        }
        mdb_cursor_close(cursor);
        return rc == MDB_NOTFOUND ? VN_OK : vn_lmdb_fail(err, rc, segment->env.path);
}

/* --- opening --- */
static int open_dbs(struct vn_segment *segment, MDB_txn *txn)
{
        int rc = mdb_dbi_open(txn, "meta", MDB_CREATE, &segment->meta);
        if (!rc)
                rc = mdb_dbi_open(txn, "records", MDB_CREATE, &segment->records);
        if (!rc)
                rc = mdb_dbi_open(txn, "redo", MDB_CREATE, &segment->redo);
        if (!rc)
                rc = mdb_dbi_open(txn, "blocks", MDB_CREATE, &segment->blocks);
        return rc;
}

static enum vn_rc fill_segment(struct vn_env *env, void *arg, struct vn_err *err)
{
        struct vn_segment *segment = arg;
        MDB_txn *txn;
        uint64_t format = VN_SEGMENT_FORMAT;
        int rc = mdb_txn_begin(env->env, NULL, 0, &txn);
        if (rc)
                return vn_lmdb_fail(err, rc, env->path);
        rc = open_dbs(segment, txn);
        MDB_val key = vn_val(VN_STR("format")), data = {sizeof format, &format};
        if (!rc)
                rc = mdb_put(txn, segment->meta, &key, &data, 0);
        enum vn_rc put =
                rc ? vn_lmdb_fail(err, rc, env->path) : vn_segment_put_state(segment, txn, &segment->state, err);
        if (put != VN_OK) {
                mdb_txn_abort(txn);
                return put;
        }
        return vn_lmdb_fail(err, mdb_txn_commit(txn), env->path);
}

static enum vn_rc load_meta(struct vn_segment *segment, MDB_txn *txn, struct vn_err *err)
{
        struct vn_segment_state *state = &segment->state;
        MDB_val key = vn_val(VN_STR("format")), data;
        uint64_t format;
        int rc = mdb_get(txn, segment->meta, &key, &data);
        if (rc || data.mv_size != sizeof format)
                return vn_fail(err, VN_DATA_LOSS, "%s: no format entry", segment->env.path);
        memcpy(&format, data.mv_data, sizeof format);
        if (format != VN_SEGMENT_FORMAT)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "%s: has schema %" PRIu64
                               ", this program knows %d: the state was written by a %s Vane",
                               segment->env.path, format, VN_SEGMENT_FORMAT,
                               format > VN_SEGMENT_FORMAT ? "newer" : "much older");
        key = vn_val(VN_STR("state"));
        rc = mdb_get(txn, segment->meta, &key, &data);
        if (rc || data.mv_size < offsetof(struct vn_segment_state, marks) || data.mv_size > sizeof *state)
                return vn_fail(err, VN_DATA_LOSS, "%s: no state entry", segment->env.path);
        memset(state, 0, sizeof *state);
        memcpy(state, data.mv_data, data.mv_size);
        if (state->mark_count > VN_STORE_MAX_RINGS || state->first_seq > state->next_seq)
                return vn_fail(err, VN_DATA_LOSS, "%s: damaged state entry", segment->env.path);
        return VN_OK;
}

static enum vn_rc load(struct vn_segment *segment, uint64_t number, struct vn_err *err)
{
        MDB_txn *txn;
        int rc = mdb_txn_begin(segment->env.env, NULL, 0, &txn);
        if (rc)
                return vn_lmdb_fail(err, rc, segment->env.path);
        rc = open_dbs(segment, txn);
        enum vn_rc loaded = rc ? vn_lmdb_fail(err, rc, segment->env.path) : load_meta(segment, txn, err);
        if (loaded == VN_OK && segment->state.number != number)
                loaded = vn_fail(err, VN_DATA_LOSS, "%s: holds another segment", segment->env.path);
        if (loaded != VN_OK) {
                mdb_txn_abort(txn);
                return loaded;
        }
        return vn_lmdb_fail(err, mdb_txn_commit(txn), segment->env.path); /* keeps the handles; writes nothing */
}

enum vn_rc vn_segment_open(const char *dir, uint64_t number, const struct vn_segment_state *create,
                           uint64_t map_bytes, struct vn_segment **ret, struct vn_err *err)
{
        char name[32], path[VN_PATH_BYTES];
        snprintf(name, sizeof name, "%016" PRIx64, number);
        VN_TRY(vn_path_join(path, dir, name, err));
        struct vn_segment *segment = vn_alloc(sizeof *segment);
        if (!segment)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        if (create)
                segment->state = *create;
        enum vn_rc rc = vn_env_open(&segment->env, path, map_bytes, MAX_DBS, fill_segment, segment, err);
        if (rc == VN_OK)
                rc = load(segment, number, err);
        if (rc != VN_OK) {
                vn_segment_close(segment);
                return rc;
        }
        *ret = segment;
        return VN_OK;
}

struct vn_segment *vn_segment_close(struct vn_segment *segment)
{
        if (!segment)
                return NULL;
        vn_env_close(&segment->env);
        vn_free(segment);
        return NULL;
}
