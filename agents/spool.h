/* spool.h - a bounded first-in-first-out queue of records on disk.
 * Purpose: what a sink cannot take now waits here. Beyond the bound the oldest go, a segment at a time, and what went is
 *   told once: in the next batch that is read.
 * Form: DIR/<first sequence, 16 hex digits>.seg, each a row of records: a 32-byte little-endian head (hash of all that
 *   follows it, sequence, time, length, kind) and the payload. Sequences rise by one, so that a gap between two segments
 *   says how many records are missing. DIR/spool.json: the spool's id, the sequence up to which all is acknowledged, and
 *   what was dropped and not told yet.
 * What survives: an accepted record is in the kernel when vn_spool_put returns, so kill -9 loses none. Records are made
 *   durable before they are handed out (vn_spool_peek), and whenever the reader calls vn_spool_sync: a power cut loses at
 *   most what came since, and never something that the other side already has.
 * Recovery: a torn or garbled end of the newest segment is cut off; a garbled record in an older one costs the rest of that
 *   segment, which counts as dropped.
 * Threads: any; internally locked (class "spool"). One reader: peek and ack come from one thread.
 * Bounds: max_bytes of segments (at least VN_SPOOL_MIN_BYTES); a record at most VN_SPOOL_MAX_RECORD_BYTES. */
#ifndef VANE_AGENTS_SPOOL_H
#define VANE_AGENTS_SPOOL_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define VN_SPOOL_MIN_BYTES (256u << 10)
#define VN_SPOOL_MAX_RECORD_BYTES (60u << 10)
#define VN_SPOOL_HEAD_BYTES 32
#define VN_SPOOL_ID_BYTES 17 /* 16 hex digits, made at random with the spool */

struct vn_spool_record {
        uint64_t sequence;
        int64_t time_us;
        uint32_t kind; /* the caller's */
        struct vn_str payload;
};
/* Reads the record that `bytes` begin with; *ret_used is its whole length, *ret points into the bytes. OUT_OF_RANGE: they
 * end within the record; DATA_LOSS: they are no record. */
enum vn_rc vn_spool_record_read(struct vn_str bytes, struct vn_spool_record *ret, size_t *ret_used) VN_MUST_USE;

struct vn_spool_dropped {
        uint64_t records, bytes; /* bytes of payload; 0 of records that were found missing */
        int64_t from_us, to_us;  /* times of the oldest and newest that are known; from > to: of none */
};
struct vn_spool_batch {
        struct vn_spool_dropped dropped; /* since the last batch that was acknowledged; records 0: nothing */
        uint64_t first_sequence;         /* of the first record, or, without records, of the next one */
        struct vn_spool_record *records; /* oldest first; payloads in `bytes` */
        size_t count, cap;
        struct vn_buf bytes;
};
void vn_spool_batch_init(struct vn_spool_batch *batch);
void vn_spool_batch_done(struct vn_spool_batch *batch);

struct vn_spool;
/* Makes the directory if it is missing. */
enum vn_rc vn_spool_open(const char *dir, uint64_t max_bytes, struct vn_spool **ret, struct vn_err *err) VN_MUST_USE;
struct vn_spool *vn_spool_free(struct vn_spool *spool); /* what waits stays on disk */
VN_DEFINE_AUTO(vn_spool);
const char *vn_spool_id(const struct vn_spool *spool);

/* Not OK: this record was dropped (too long, or the disk does not take it) and is counted as such. */
enum vn_rc vn_spool_put(struct vn_spool *spool, uint32_t kind, int64_t time_us, struct vn_str payload,
                        struct vn_err *err) VN_MUST_USE;
/* The oldest records: at most max_records, and at most max_bytes of payload but always one if there is one. */
enum vn_rc vn_spool_peek(struct vn_spool *spool, size_t max_records, size_t max_bytes, struct vn_spool_batch *ret,
                         struct vn_err *err) VN_MUST_USE;
/* The batch has arrived, with what it says of dropped ones. Records of it that were dropped meanwhile do not count as such. On
 * an error it still holds for this process; after a restart the batch may come again. */
enum vn_rc vn_spool_ack(struct vn_spool *spool, const struct vn_spool_batch *batch, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_spool_sync(struct vn_spool *spool, struct vn_err *err) VN_MUST_USE;

struct vn_spool_stats {
        uint64_t waiting_records, waiting_bytes; /* bytes: of segments on disk */
        uint64_t dropped_records, dropped_bytes; /* since open; without what a reader may yet deliver */
        uint64_t untold_records;                 /* dropped, and in no acknowledged batch yet */
};
void vn_spool_stats(const struct vn_spool *spool, struct vn_spool_stats *ret);

#endif
