/* lmdb_engine.h - the LMDB engine itself, for lmdb_*.c only; its parts are in lmdb_parts.h.
 * Threads: commit and roll on the writer; the rest as in engine.h. */
#ifndef VANE_STORE_LMDB_ENGINE_H
#define VANE_STORE_LMDB_ENGINE_H

#include "store/lmdb_parts.h"

struct vn_lmdb {
        struct vn_engine engine;
        struct vn_record_ops ops;
        struct vn_store_config config;
        char segment_dir[VN_PATH_BYTES];
        char reserve_path[VN_PATH_BYTES];
        struct vn_keyed keyed;
        pthread_mutex_t commit_mutex; /* held through a commit; a backup starts between two */
        pthread_mutex_t mutex;        /* segments, their refs and states */
        struct vn_segment *segments[VN_MAX_SEGMENTS];
        size_t segment_count;
        struct vn_buf redo;
        bool redo_pending; /* the last redo entry is not in the tables yet */
        _Atomic bool stopping;
        _Atomic int backups; /* while > 0: all changes go through redo entries, and none is trimmed */
        _Atomic uint64_t syncs;
};
/* Keys of a record; one whose keys cannot be read matches every filter. */
void vn_lmdb_keys(const struct vn_lmdb *e, struct vn_str record, struct vn_record_keys *ret);
/* Rolls to a new segment when the last one is old or full. */
enum vn_rc vn_lmdb_roll(struct vn_lmdb *e, int64_t now_us, bool force, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_lmdb_open_segments(struct vn_lmdb *e, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_lmdb_replay(struct vn_lmdb *e, struct vn_err *err) VN_MUST_USE;
void vn_lmdb_commit(struct vn_engine *engine, struct vn_group *group, void (*done)(void *arg, enum vn_rc rc),
                    void *arg);
enum vn_rc vn_lmdb_backup(struct vn_engine *engine, const char *to_dir, const atomic_bool *stop, struct vn_err *err);
enum vn_rc vn_lmdb_records(struct vn_engine *engine, const struct vn_record_filter *filter, vn_record_fn fn,
                           void *arg, uint64_t *ret_next, struct vn_err *err);
enum vn_rc vn_lmdb_record(struct vn_engine *engine, uint64_t seq, struct vn_buf *ret, struct vn_err *err);
enum vn_rc vn_lmdb_find(struct vn_engine *engine, uint64_t origin, uint64_t id, int64_t near_us, uint64_t *ret_seq,
                        struct vn_buf *ret, struct vn_err *err);
enum vn_rc vn_lmdb_oldest(struct vn_engine *engine, int64_t before_us, struct vn_span *ret, struct vn_err *err);
enum vn_rc vn_lmdb_drop(struct vn_engine *engine, const struct vn_span *span, struct vn_err *err);
/* True if the record's keys pass the filter. */
bool vn_keys_match(const struct vn_record_keys *keys, const struct vn_record_filter *filter);

#endif
