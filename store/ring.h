/* ring.h - the journal of one edge loop: a preallocated, shared-mapped ring of 1 KiB slots.
 * Purpose: a route is answered once its record stands here; it survives the process (kill -9), not a power cut.
 * Threads: one producer (the edge loop that owns the ring) calls put, lost and next_seq; one consumer (the store's
 *   writer) calls the rest. No locks: the slots are handed over by one release store of the head.
 * Slot: position, sequence, checksum, length, part, and how many sequences the record takes (a streamed batch is one
 *   record of many decisions); 992 bytes of payload. A longer record takes up to 17 consecutive slots. Reading stops at the first slot whose position or checksum is wrong.
 * Errors: put says RESOURCE_EXHAUSTED when the ring is full; the caller then counts with vn_ring_lost. */
#ifndef VANE_STORE_RING_H
#define VANE_STORE_RING_H

#include "base/err.h"
#include "base/str.h"

#define VN_RING_SLOT_BYTES 1024
#define VN_RING_PAYLOAD_BYTES 992
#define VN_RING_DEFAULT_SLOTS 65536
#define VN_RING_MAX_RECORD_BYTES 16000

struct vn_ring;

/* What is missing; the writer turns it into a gap record. */
enum vn_gap_kind {
        VN_GAP_LOST = 1,      /* refused by a full ring: the producer counted them */
        VN_GAP_POWER_CUT = 2, /* sequences first_seq..last_seq may have been answered and are gone */
        VN_GAP_CORRUPT = 3,   /* slots with a wrong checksum between valid ones */
};
struct vn_gap {
        enum vn_gap_kind kind;
        uint32_t ring;
        uint64_t count;     /* 0: not known (the end of a power cut's gap) */
        uint64_t first_seq; /* 0 for LOST */
        uint64_t last_seq;
        int64_t first_us; /* 0: not known */
        int64_t last_us;
        uint8_t view[32]; /* LOST: the view that served meanwhile */
};

/* Creates the file (slots * 1 KiB + one page) or opens it. `slots` is a power of two and must match an old file. */
enum vn_rc vn_ring_open(const char *path, uint32_t number, uint32_t slots, struct vn_ring **ret,
                        struct vn_err *err) VN_MUST_USE;
struct vn_ring *vn_ring_free(struct vn_ring *ring); /* unmaps; the file stays */

/* --- producer --- */
/* Copies the record in; no allocation, no system call. n in 1..VN_RING_MAX_RECORD_BYTES. It takes `count` sequences,
 * from the next one on. */
enum vn_rc vn_ring_put_run(struct vn_ring *ring, const void *bytes, size_t n, uint16_t count) VN_MUST_USE;
static inline enum vn_rc vn_ring_put(struct vn_ring *ring, const void *bytes, size_t n)
{
        return vn_ring_put_run(ring, bytes, n, 1);
}
bool vn_ring_has_room(struct vn_ring *ring, size_t n); /* a put of so many bytes will succeed */
/* The first sequence of the next put: part of the decision's id. Never goes back, not even after a power cut. */
uint64_t vn_ring_next_seq(const struct vn_ring *ring);
/* Counts answers that could not be recorded; survives the process like a slot does. */
void vn_ring_lost(struct vn_ring *ring, uint64_t count, int64_t now_us, const uint8_t view[32]);

/* --- consumer --- */
struct vn_ring_mark {      /* what the store remembers of a ring, in the commit that holds its records */
        uint64_t position; /* first slot not yet consumed */
        uint64_t next_seq; /* first sequence of the first record not yet consumed */
        uint64_t lost;     /* answers counted as lost that a gap record tells of */
};
/* Once, before the producer starts: finds what was put after `mark`. After a power cut (another boot, or a head that is
 * older than the mark) the sequence jumps to the next multiple of 2^32 and the jump is a gap. */
enum vn_rc vn_ring_recover(struct vn_ring *ring, const struct vn_ring_mark *mark, struct vn_err *err) VN_MUST_USE;
/* Next record, or NOT_FOUND when none waits. *ret points into the ring or into `scratch` (>= 16,000 bytes) and is
 * good until vn_ring_release. */
enum vn_rc vn_ring_peek(struct vn_ring *ring, uint8_t *scratch, struct vn_str *ret, uint64_t *ret_seq) VN_MUST_USE;
struct vn_ring_mark vn_ring_read_mark(const struct vn_ring *ring); /* after the last record peeked */
void vn_ring_rewind(struct vn_ring *ring);  /* the commit failed: peek again from the last release */
void vn_ring_release(struct vn_ring *ring); /* the commit stands: slots may be overwritten */
/* After peeking: the next thing found missing, each once until a rewind; false when there is none. */
bool vn_ring_take_gap(struct vn_ring *ring, struct vn_gap *ret);
/* All is released: says so in the file, so that the next boot does not suspect a power cut. */
void vn_ring_close_clean(struct vn_ring *ring);
uint64_t vn_ring_waiting(const struct vn_ring *ring); /* slots; any thread */

#endif
