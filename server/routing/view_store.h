/* view_store.h - views kept for replay: written when they are published, read when a decision is decided again, dropped
 * when the replay window has passed.
 * Tables: `views` has a frame a view, by epoch and the beginning of its id, so that a publication's frames lie side by
 *   side; `view_parts` the parts that frames name, by generation and hash (decide/view_frame.h). A generation begins
 *   with each start of vaned, after an eighth of the window, and when something could not be stored.
 * Threads: the control loop, but vn_view_load: any thread that may wait for the disk.
 * Ownership: the keeper is counted, since the store's writer may outlast it with a batch. */
#ifndef VANE_SERVER_ROUTING_VIEW_STORE_H
#define VANE_SERVER_ROUTING_VIEW_STORE_H

#include "decide/record.h"
#include "store/store.h"

/* Of a published view: whether, and where, it is kept. */
struct vn_view_kept {
        uint64_t generation; /* 0: not kept */
        uint8_t depth;       /* of its frame */
        uint8_t named;       /* bit a part: kept whole in this generation */
};

struct vn_view_keeper;
enum vn_rc vn_view_keeper_new(struct vn_store *store, struct vn_view_keeper **ret, struct vn_err *err) VN_MUST_USE;
struct vn_view_keeper *vn_view_keeper_free(struct vn_view_keeper *keeper);
/* No epoch up to this one was given out by an earlier run. */
uint64_t vn_view_keeper_last_epoch(const struct vn_view_keeper *keeper);

/* A publication: begin, add what is new, end. */
void vn_view_keeper_begin(struct vn_view_keeper *keeper, uint64_t epoch, int64_t now_us, int64_t window_us);
/* In the present generation: such a view may go on being used. */
bool vn_view_keeper_keeps(const struct vn_view_keeper *keeper, const struct vn_view_kept *kept);
void vn_view_keeper_add(struct vn_view_keeper *keeper, const struct vn_view *view, const struct vn_view *before,
                        const struct vn_view_kept *before_kept, struct vn_view_kept *ret);
void vn_view_keeper_end(struct vn_view_keeper *keeper);
/* Drops generations that ended before the window, a slice a call and never two at a time in the store. True while
 * there is more. */
bool vn_view_keeper_expire(struct vn_view_keeper *keeper, int64_t now_us, int64_t window_us);

/* The view that a route's record names. FAILED_PRECONDITION "view expired ..." if it is no longer kept. */
enum vn_rc vn_view_load(struct vn_store *store, const struct vn_record *record, struct vn_view **ret,
                        struct vn_err *err) VN_MUST_USE;

#endif
