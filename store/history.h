/* history.h - what the store remembers of the past: records, the Merkle log over them, retention, backup.
 * Threads: any, but these wait for a disk: not on an edge loop (use vn_store_read's pool or the control plane).
 * Ownership: results are copied into the caller's buffers; a vn_record_fn sees bytes that live only for the call.
 * Errors: DATA_LOSS means that bytes are not those that were committed: stop and look. */
#ifndef VANE_STORE_HISTORY_H
#define VANE_STORE_HISTORY_H

#include <stdatomic.h>

#include "store/store.h"

/* --- records of the log; NOT_FOUND: never was, or its segment is gone (see vn_store_retain) --- */
struct vn_record_filter {
        uint64_t from_seq; /* inclusive */
        uint64_t to_seq;   /* exclusive; 0: the end */
        int64_t from_us;   /* 0: no bound */
        int64_t to_us;     /* exclusive; 0: no bound */
        uint64_t kinds;    /* any of these bits; 0: all */
        uint64_t tenants;  /* all of these bits */
        uint64_t subjects[4];
        bool newest_first;
        size_t limit;    /* records passed to fn */
        size_t max_read; /* records looked at, 0: 100,000; where it ended tells ret_next */
};
enum vn_rc vn_store_records(struct vn_store *store, const struct vn_record_filter *filter, vn_record_fn fn, void *arg,
                            uint64_t *ret_next, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_store_record(struct vn_store *store, uint64_t seq, struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
/* By decision id (origin as in vn_record_keys); near_us, if not 0, is where the search begins. */
enum vn_rc vn_store_find(struct vn_store *store, uint64_t origin, uint64_t id, int64_t near_us, uint64_t *ret_seq,
                         struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
/* Drops the segments that ended before before_us, by the times in their records as far as the clock bears them out.
 * UNAVAILABLE if one is being read: the next call tries again, behind another tombstone. `tombstone` (range, rule, actor) makes a record for each, which is
 * committed before its segment goes. */
struct vn_span {
        uint64_t first_seq;
        uint64_t last_seq;
        int64_t first_us;
        int64_t last_us;
};
enum vn_rc vn_store_retain(struct vn_store *store, int64_t before_us,
                           enum vn_rc (*tombstone)(void *arg, const struct vn_span *span, struct vn_buf *ret),
                           void *arg, struct vn_err *err) VN_MUST_USE;

/* --- the log --- */
struct vn_checkpoint vn_store_checkpoint(struct vn_store *store);                            /* last published */
enum vn_rc vn_store_checkpoint_note(struct vn_store *store, struct vn_buf *ret) VN_MUST_USE; /* signed */
enum vn_rc vn_store_tile(struct vn_store *store, const struct vn_tile_name *tile, struct vn_buf *ret,
                         struct vn_err *err) VN_MUST_USE; /* NOT_FOUND beyond the published size */
enum vn_rc vn_store_leaf(struct vn_store *store, uint64_t seq, struct vn_leaf *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_store_prove_inclusion(struct vn_store *store, uint64_t seq, uint64_t size, struct vn_proof *ret,
                                    struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_store_prove_consistency(struct vn_store *store, uint64_t size1, uint64_t size2, struct vn_proof *ret,
                                      struct vn_err *err) VN_MUST_USE;

/* --- backup: a consistent copy while it runs; restore verifies it against its log before it accepts --- */
/* CANCELLED soon after *stop became true (NULL: never); whatever fails leaves nothing behind. */
enum vn_rc vn_store_backup(struct vn_store *store, const char *to_dir, const atomic_bool *stop,
                           struct vn_err *err) VN_MUST_USE;
struct vn_verify_report {
        uint64_t log_size, records, missing, segments;
        struct vn_checkpoint checkpoint;
};
/* Verifies a state or backup directory that no process has open: checkpoint, every leaf, every record's leaf. A record
 * that is missing without a tombstone in the log is DATA_LOSS. */
enum vn_rc vn_store_verify(const char *dir, const struct vn_note_key *key, const struct vn_record_ops *ops,
                           struct vn_verify_report *ret, struct vn_err *err) VN_MUST_USE;
/* Verifies `from_dir`, copies it beside, renames: to_dir must not exist or be empty. */
enum vn_rc vn_store_restore(const char *from_dir, const char *to_dir, const struct vn_note_key *key,
                            const struct vn_record_ops *ops, struct vn_verify_report *ret,
                            struct vn_err *err) VN_MUST_USE;

#endif
