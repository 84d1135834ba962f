/* spool_parts.h - the spool between its two files: segments (spool.c) and its state file (spool_state.c).
 * Threads: all of it under the spool's lock, but for opening. */
#ifndef VANE_AGENTS_SPOOL_PARTS_H
#define VANE_AGENTS_SPOOL_PARTS_H

#include "agents/spool.h"
#include "base/lock.h"

#define VN_SPOOL_DIR_BYTES 400
#define VN_SPOOL_PATH_BYTES (VN_SPOOL_DIR_BYTES + 32)

struct segment {
        uint64_t first, records, bytes;
        bool sealed; /* nothing is added: a record in it cannot be read any more */
};
struct vn_spool {
        struct vn_lock lock;
        char dir[VN_SPOOL_DIR_BYTES], id[VN_SPOOL_ID_BYTES];
        uint64_t max_bytes, segment_bytes;
        struct segment *segments; /* oldest first; those before `head` are acknowledged and wait to be removed */
        size_t count, cap, head;
        uint64_t head_offset; /* in segments[head]: where the first that waits begins */
        uint64_t total_bytes;
        uint64_t acked, next; /* first sequence that waits, and the one that the next record gets */
        uint64_t durable;     /* what is below may be handed out */
        uint64_t in_flight_until;
        int fd; /* of the newest segment; -1: not open */
        bool dirty, dir_dirty;
        bool fresh; /* no state file: what lies here is no gap */
        struct vn_spool_dropped told, pending, doubt;
        uint64_t counted_records, counted_bytes;
        struct vn_buf scratch;
};

void vn_spool_dropped_reset(struct vn_spool_dropped *dropped);
void vn_spool_dropped_add(struct vn_spool_dropped *to, const struct vn_spool_dropped *more);
/* Takes id, acknowledged sequence and what was dropped from spool.json. A spool whose file is missing or unreadable begins
 * with another id at the oldest record: what had arrived may come again, under names of its own. */
enum vn_rc vn_spool_state_load(struct vn_spool *spool, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_spool_state_save(struct vn_spool *spool, struct vn_err *err) VN_MUST_USE;

#endif
