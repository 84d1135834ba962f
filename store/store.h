/* store.h - the store: keyed tables, the decision log, blobs, and the one writer thread.
 * Purpose: everything that vaned remembers. Reads take a snapshot; writes go to the writer, which commits in groups.
 * Threads: all functions from any thread unless said otherwise; rings: see ring.h. Edge loops call only
 *   vn_store_submit, vn_store_read and vn_ring_put; the others wait for a disk.
 * Ownership: the caller frees batches, keys and results; `done` runs on the writer thread (submit) or on a reader
 *   thread (read) and must be short: post to a loop from there.
 * Errors: RESOURCE_EXHAUSTED when the disk budget is spent or the disk is full (the store reads on and recovers by
 *   itself), FAILED_PRECONDITION for a newer schema, a second opener, UNAVAILABLE after stop.
 * Beside it: history.h reads records and log back, backs up, restores, verifies; blob.h holds what is large.
 * Order: a record's sequence is its leaf index in the log, given once, at commit. */
#ifndef VANE_STORE_STORE_H
#define VANE_STORE_STORE_H

#include "base/clock.h"
#include "base/mem.h"
#include "store/note.h"
#include "store/ring.h"
#include "store/table.h"

struct vn_store;
struct vn_engine;

/* What the store must know of a record without understanding it. Both callbacks run on the writer (and at recovery):
 * pure functions of the bytes. */
struct vn_record_keys {
        uint64_t origin;   /* of the decision ids in it: hash of origin and loop */
        uint64_t id_first; /* ids are id_first .. id_first + id_count - 1 */
        uint32_t id_count; /* 0: this record has no decision id */
        int64_t first_us;
        int64_t last_us;
        uint64_t kinds;       /* one bit a kind */
        uint64_t tenants;     /* one or more bits (vn_record_bit of the name) */
        uint64_t subjects[4]; /* workloads, accounts: bits as the caller likes, 256 of them */
};
static inline uint64_t vn_record_bit(uint64_t hash)
{
        return UINT64_C(1) << (hash & 63);
}
struct vn_leaf {
        size_t len;
        uint8_t bytes[VN_LEAF_MAX_BYTES];
};
struct vn_record_ops {
        enum vn_rc (*keys)(void *arg, struct vn_str record, struct vn_record_keys *ret);
        enum vn_rc (*leaf)(void *arg, struct vn_str record, struct vn_leaf *ret);
        /* Makes the record that tells of a gap; at most VN_RING_PAYLOAD_BYTES. */
        enum vn_rc (*gap)(void *arg, const struct vn_gap *gap, struct vn_buf *ret);
        void *arg;
        /* Whether this record is a tombstone, and of which numbers; for verification alone. NULL: none is. */
        bool (*tombstone)(void *arg, struct vn_str record, uint64_t *ret_first, uint64_t *ret_last);
};

#define VN_STORE_MAX_RINGS 64

struct vn_store_config {
        const char *dir;              /* state directory; made if missing */
        const struct vn_clock *clock; /* NULL: the real one. For segments' times only */
        const struct vn_note_key *log_key;
        struct vn_record_ops record;
        uint32_t ring_count;                                                  /* one for each edge loop */
        uint32_t ring_slots;                                                  /* 0: VN_RING_DEFAULT_SLOTS */
        uint32_t readers;                                                     /* threads of the reader pool; 0: 2 */
        int64_t checkpoint_interval_us;                                       /* 0: 200 ms */
        int64_t segment_us;                                                   /* time in one segment; 0: a day */
        uint64_t segment_max_bytes;                                           /* 0: 1 GiB */
        uint64_t disk_budget_bytes;                                           /* 0: 8 GiB */
        uint64_t min_free_bytes;                                              /* of the file system; 0: 64 MiB */
        void (*published)(void *arg, const struct vn_checkpoint *checkpoint); /* optional, writer thread */
        void *published_arg;
};
enum vn_rc vn_store_open(const struct vn_store_config *config, struct vn_store **ret, struct vn_err *err) VN_MUST_USE;
/* The same store over another engine (engine.h), which it then owns. Blobs, rings and log stay in config->dir. */
enum vn_rc vn_store_open_engine(const struct vn_store_config *config, struct vn_engine *engine, struct vn_store **ret,
                                struct vn_err *err) VN_MUST_USE;
/* Commits what waits, publishes a last checkpoint, completes everything, closes. */
struct vn_store *vn_store_free(struct vn_store *store);
VN_DEFINE_AUTO(vn_store);

struct vn_ring *vn_store_ring(struct vn_store *store, uint32_t number);

/* --- changes --- */
/* The batch stays the caller's but must not be touched until done runs. If submit fails, done never runs. */
enum vn_rc vn_store_submit(struct vn_store *store, struct vn_batch *batch, void (*done)(void *arg, enum vn_rc rc),
                           void *arg, struct vn_err *err) VN_MUST_USE;
/* Submits and waits until it is durable. */
enum vn_rc vn_store_commit(struct vn_store *store, struct vn_batch *batch, struct vn_err *err) VN_MUST_USE;
/* Waits until everything put into the rings before this call is committed and under a published checkpoint. */
enum vn_rc vn_store_flush(struct vn_store *store, struct vn_err *err) VN_MUST_USE;

/* --- reads --- */
struct vn_snap; /* a snapshot; lives within one call, never longer than 1 s */
typedef bool (*vn_scan_fn)(void *arg, struct vn_str key, struct vn_str value); /* false: stop */
typedef bool (*vn_record_fn)(void *arg, uint64_t seq, struct vn_str record);   /* false: stop */
/* Runs work(snap) on the reader pool, then done(rc of work). RESOURCE_EXHAUSTED at once if 1,024 wait already. */
enum vn_rc vn_store_read(struct vn_store *store, enum vn_rc (*work)(void *arg, struct vn_snap *snap),
                         void (*done)(void *arg, enum vn_rc rc), void *arg) VN_MUST_USE;
enum vn_rc vn_snap_get(struct vn_snap *snap, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                       struct vn_err *err) VN_MUST_USE;
/* Keys that begin with `prefix`, from `after` on (exclusive; NULL: from the start), in order, at most `limit`. */
enum vn_rc vn_snap_scan(struct vn_snap *snap, enum vn_table table, const struct vn_key *prefix,
                        const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg,
                        struct vn_err *err) VN_MUST_USE;
/* The same in one short read transaction on the calling thread: for control-plane threads. Get appends to `ret`. */
enum vn_rc vn_store_get(struct vn_store *store, enum vn_table table, const struct vn_key *key, struct vn_buf *ret,
                        struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_store_scan(struct vn_store *store, enum vn_table table, const struct vn_key *prefix,
                         const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg,
                         struct vn_err *err) VN_MUST_USE;

/* --- state --- */
struct vn_store_stats {
        uint64_t used_bytes, budget_bytes, free_bytes; /* free: of the file system */
        bool read_only; /* budget or disk full: changes are refused until there is room */
        char why[96];   /* of read_only; empty otherwise */
        uint64_t records, ids, commits, batches, refused, gaps, lost; /* ids: decisions in the records */
        uint64_t log_size, segments;
        uint64_t ring_waiting; /* slots over all rings */
        uint64_t commit_us_max;
        uint64_t syncs; /* fdatasync and msync calls that the store asked for, commits included */
};
void vn_store_stats(struct vn_store *store, struct vn_store_stats *ret);

#endif
