/* engine.h - what the store asks of the database below it.
 * Purpose: one narrow, asynchronous interface, so that LMDB, a PostgreSQL-protocol database and a slow fake fit.
 * Threads: commit is called by the one writer, one group in flight at a time; its completion may come on any thread.
 *   Snapshots are opened and used on reader threads, one thread a snapshot; the rest is thread-safe.
 * Contract of commit: check each batch's preconditions in order (each sees the batches before it); number the records
 *   of accepted batches and of the rings consecutively from next_seq; make keyed changes, records and ring marks
 *   durable together. Batches that failed have their rc set and changed nothing. If the whole group fails, nothing of
 *   it is visible now or after a restart. `vn_group.first_seq` and each batch's number are filled in.
 * LMDB's order, which a crash may cut anywhere: keyed transaction opened and filled; segment committed (records, marks,
 *   and the keyed changes as a redo entry if there are both); keyed committed with applied_upto. Recovery replays a redo
 *   entry that is newer than applied_upto. A group with only one of the two needs only one commit. */
#ifndef VANE_STORE_ENGINE_H
#define VANE_STORE_ENGINE_H

#include <stdatomic.h>

#include "store/history.h"
#include "store/store.h"

struct vn_group {
        struct vn_batch **batches;
        size_t batch_count;
        const struct vn_str *ring_records; /* after the batches' own records in the numbering */
        size_t ring_record_count;
        const struct vn_ring_mark *marks; /* one a ring, stored with the records */
        size_t mark_count;
        int64_t now_us;
        bool reserve;          /* may use the space that is kept back */
        uint64_t first_seq;    /* out: number of the group's first record */
        uint64_t record_count; /* out */
        uint64_t id_count;     /* out: decision ids in them */
        struct vn_err error;   /* out, if the group failed: why */
};
struct vn_engine_state { /* what recovery found */
        uint64_t next_seq;
        struct vn_ring_mark marks[VN_STORE_MAX_RINGS];
};
struct vn_engine_usage {
        uint64_t used_bytes;
        uint64_t segments;
        uint64_t syncs;
};

struct vn_engine_ops {
        const char *name;
        enum vn_rc (*state)(struct vn_engine *e, struct vn_engine_state *ret, struct vn_err *err);
        void (*commit)(struct vn_engine *e, struct vn_group *group, void (*done)(void *arg, enum vn_rc rc),
                       void *arg);
        enum vn_rc (*snap_open)(struct vn_engine *e, struct vn_snap **ret, struct vn_err *err);
        void (*snap_close)(struct vn_snap *snap);
        enum vn_rc (*get)(struct vn_snap *snap, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                          struct vn_err *err);
        enum vn_rc (*scan)(struct vn_snap *snap, enum vn_table table, const struct vn_key *prefix,
                           const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg, struct vn_err *err);
        /* Records in number order (or back), those that pass the filter; see vn_store_records. */
        enum vn_rc (*records)(struct vn_engine *e, const struct vn_record_filter *filter, vn_record_fn fn, void *arg,
                              uint64_t *ret_next, struct vn_err *err);
        enum vn_rc (*record)(struct vn_engine *e, uint64_t seq, struct vn_buf *ret, struct vn_err *err);
        enum vn_rc (*find)(struct vn_engine *e, uint64_t origin, uint64_t id, int64_t near_us, uint64_t *ret_seq,
                           struct vn_buf *ret, struct vn_err *err);
        /* The oldest unit of retention that ended before before_us; NOT_FOUND if none. Then drops it. */
        enum vn_rc (*oldest)(struct vn_engine *e, int64_t before_us, struct vn_span *ret, struct vn_err *err);
        enum vn_rc (*drop)(struct vn_engine *e, const struct vn_span *span, struct vn_err *err);
        enum vn_rc (*backup)(struct vn_engine *e, const char *to_dir, const atomic_bool *stop, struct vn_err *err);
        void (*usage)(struct vn_engine *e, struct vn_engine_usage *ret);
        void (*stopping)(struct vn_engine *e); /* commit must no longer wait for room */
        void (*close)(struct vn_engine *e);
};
struct vn_engine {
        const struct vn_engine_ops *ops;
};
struct vn_snap {
        struct vn_engine *engine;
};

/* The default engine, on a directory that the caller has locked. */
enum vn_rc vn_engine_lmdb_open(const struct vn_store_config *config, struct vn_engine **ret,
                               struct vn_err *err) VN_MUST_USE;
/* In memory, durable in nothing; each commit takes commit_delay_us and each read read_delay_us of real time. */
enum vn_rc vn_engine_fake_open(const struct vn_store_config *config, int64_t commit_delay_us, int64_t read_delay_us,
                               struct vn_engine **ret, struct vn_err *err) VN_MUST_USE;
/* Fake only: the next n commits fail with this code. */
void vn_engine_fake_fail(struct vn_engine *engine, unsigned n, enum vn_rc rc);

#endif
