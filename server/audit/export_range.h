/* export_range.h - which entries of the log an export must account for, and the tombstones that may excuse some.
 * Threads: the reader loop. Ownership: the list is freed by its owner. */
#ifndef VANE_SERVER_AUDIT_EXPORT_RANGE_H
#define VANE_SERVER_AUDIT_EXPORT_RANGE_H

#include "store/history.h"

/* Entries [*ret_first, *ret_end) of a log of `size` entries hold every record of the time range that is still there,
 * and whatever else the log tells to be of that time. No bound in time is no bound in entries. */
enum vn_rc vn_export_range(struct vn_store *store, uint64_t size, int64_t from_us, int64_t to_us, uint64_t *ret_first,
                           uint64_t *ret_end, struct vn_err *err) VN_MUST_USE;

struct vn_tombstone {
        uint64_t seq;         /* its own entry */
        uint64_t first, last; /* what it excuses */
        bool told;            /* the export's: its line is written */
};
struct vn_tombstones {
        struct vn_tombstone *list;
        size_t count;
};
/* Adds those among entries [from, to) of the log; to 0: the end. RESOURCE_EXHAUSTED beyond 100,000. */
enum vn_rc vn_tombstones_load(struct vn_store *store, uint64_t from, uint64_t to, struct vn_tombstones *list,
                              struct vn_err *err) VN_MUST_USE;
void vn_tombstones_done(struct vn_tombstones *list);
/* One that excuses the entry, or NULL. *ret_next is the nearest entry above that one of them does excuse. */
struct vn_tombstone *vn_tombstone_of(const struct vn_tombstones *list, uint64_t seq, uint64_t *ret_next);

#endif
