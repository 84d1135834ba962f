/* lmdb_parts.h - the parts of the LMDB engine, for lmdb_*.c only.
 * Threads: the writer alone has write transactions. Segments are found and counted under engine->mutex; a segment that a
 *   reader uses has refs > 0 and is not dropped. Environments are opened once a process (LMDB's own rule).
 * Flags: MDB_NOSYNC, MDB_NOMETASYNC and MDB_WRITEMAP are never used; MDB_NOTLS is, because readers come from a pool. */
#ifndef VANE_STORE_LMDB_PARTS_H
#define VANE_STORE_LMDB_PARTS_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "store/batch.h"
#include "store/engine.h"
#include "store/file.h"

#define VN_KEYED_FORMAT 1
#define VN_SEGMENT_FORMAT 1
#define VN_BLOCK_RECORDS 256
#define VN_MAX_SEGMENTS 4096
#define VN_BLOOM_WORDS 32

/* --- lmdb_env.c: opening, errors, sizes --- */
struct vn_env {
        MDB_env *env;
        char path[VN_PATH_BYTES];
        int fd;
};
/* NOSPACE is RESOURCE_EXHAUSTED; a broken file or a failed sync is DATA_LOSS. */
enum vn_rc vn_lmdb_fail(struct vn_err *err, int lmdb_rc, const char *path);
/* Makes the folder, if missing, beside and renames it into place when `fill` has committed its first content. */
enum vn_rc vn_env_open(struct vn_env *env, const char *path, uint64_t map_bytes, unsigned max_dbs,
                       enum vn_rc (*fill)(struct vn_env *env, void *arg, struct vn_err *err), void *arg,
                       struct vn_err *err) VN_MUST_USE;
void vn_env_close(struct vn_env *env);
uint64_t vn_env_file_bytes(const struct vn_env *env);
uint64_t vn_env_live_bytes(const struct vn_env *env); /* file less the pages that are free again */
enum vn_rc vn_env_copy(const struct vn_env *env, const char *to_dir, struct vn_err *err) VN_MUST_USE;
static inline MDB_val vn_val(struct vn_str s)
{
        return (MDB_val){s.len, (void *)(uintptr_t)s.ptr};
}
static inline struct vn_str vn_val_str(MDB_val v)
{
        return vn_str_n(v.mv_data, v.mv_size);
}

/* --- lmdb_keyed.c: the tables --- */
struct vn_keyed {
        struct vn_env env;
        MDB_dbi schema;
        MDB_dbi table[VN_TABLE_COUNT];
        uint64_t applied_upto; /* number of the last redo entry that is in here */
};
enum vn_rc vn_keyed_open(struct vn_keyed *keyed, const char *path, uint64_t map_bytes,
                         struct vn_err *err) VN_MUST_USE;
/* Sets batch->rc; anything but OK from the function itself fails the whole transaction. */
enum vn_rc vn_keyed_apply(struct vn_keyed *keyed, MDB_txn *txn, struct vn_batch *batch,
                          struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_keyed_apply_ops(struct vn_keyed *keyed, MDB_txn *txn, struct vn_str ops,
                              struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_keyed_mark(struct vn_keyed *keyed, MDB_txn *txn, uint64_t applied_upto, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_keyed_get(struct vn_keyed *keyed, MDB_txn *txn, enum vn_table table, const struct vn_key *key,
                        struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_keyed_scan(struct vn_keyed *keyed, MDB_txn *txn, enum vn_table table, const struct vn_key *prefix,
                         const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg,
                         struct vn_err *err) VN_MUST_USE;

/* --- lmdb_segment.c: one time segment of records --- */
struct vn_segment_state { /* stored in every commit of the segment */
        uint64_t number;
        uint64_t first_seq;
        uint64_t next_seq;
        uint64_t redo_number; /* of the last redo entry ever written */
        int64_t created_us;
        int64_t first_us; /* of records; 0: none yet */
        int64_t last_us;
        uint64_t mark_count;
        struct vn_ring_mark marks[VN_STORE_MAX_RINGS];
};
struct vn_block { /* summary of up to 256 records with one value of seq / 256 */
        uint64_t count;
        uint64_t kinds;
        uint64_t tenants;
        uint64_t subjects[4];
        int64_t first_us;
        int64_t last_us;
        uint64_t ids[VN_BLOOM_WORDS];
};
struct vn_segment {
        struct vn_env env;
        MDB_dbi meta, records, redo, blocks;
        struct vn_segment_state state; /* of the last commit; the writer's, others under engine->mutex */
        struct vn_block block;         /* of the records after the last stored summary; writer only */
        uint32_t refs;
};
enum vn_rc vn_segment_open(const char *dir, uint64_t number, const struct vn_segment_state *create,
                           uint64_t map_bytes, struct vn_segment **ret, struct vn_err *err) VN_MUST_USE;
struct vn_segment *vn_segment_close(struct vn_segment *segment);
/* Appends and keeps the block summary; `state` is the state to be, changed as it goes. */
enum vn_rc vn_segment_append(struct vn_segment *segment, MDB_txn *txn, struct vn_segment_state *state,
                             struct vn_block *block, struct vn_str record, const struct vn_record_keys *keys,
                             struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_segment_put_state(struct vn_segment *segment, MDB_txn *txn, const struct vn_segment_state *state,
                                struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_segment_put_block(struct vn_segment *segment, MDB_txn *txn, uint64_t number,
                                const struct vn_block *block, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_segment_put_redo(struct vn_segment *segment, MDB_txn *txn, uint64_t number, struct vn_str ops,
                               struct vn_err *err) VN_MUST_USE;
/* Drops redo entries up to `upto`: they are in the tables. */
enum vn_rc vn_segment_trim_redo(struct vn_segment *segment, MDB_txn *txn, uint64_t upto,
                                struct vn_err *err) VN_MUST_USE;
void vn_block_add(struct vn_block *block, const struct vn_record_keys *keys);
bool vn_block_has_id(const struct vn_block *block, uint64_t origin, uint64_t id);

#endif
