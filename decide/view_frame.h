/* view_frame.h - how a view is kept: one small frame a view, and whole parts under their hashes beside it.
 * A keyframe names its parts (by hash, kept once however many views share them) and carries the state whole. Every other
 * frame stands on an earlier one of the workload and carries what differs. A chain has at most VN_VIEW_CHAIN frames, so
 * rebuilding never reads further, and what it gives must have the view's id.
 * A generation is a stretch of time whose frames and parts refer to nothing outside of it: what is kept expires one
 * generation at a time, and nobody needs to count who still refers to what.
 * Bytes: canonical; the frame's own epoch and name are its key in the store, not in its bytes.
 * Threads: any; pure. Ownership: a frame that was read points into the bytes it was read from. */
#ifndef VANE_DECIDE_VIEW_FRAME_H
#define VANE_DECIDE_VIEW_FRAME_H

#include "decide/view.h"

#define VN_VIEW_CHAIN 16
#define VN_VIEW_FRAME_MAX_BYTES 65536
#define VN_VIEW_NAME_BYTES 8 /* of a view's id, as far as a frame's key has it */

enum vn_view_keep {
        VN_KEEP_SAME,  /* as in the frame below */
        VN_KEEP_NAMED, /* kept whole beside the frame, under its hash */
        VN_KEEP_DELTA, /* what differs from the frame below */
        VN_KEEP_WHOLE, /* in the frame */
};
struct vn_view_frame {
        uint8_t depth;       /* frames below it; 0: a keyframe */
        uint32_t count;      /* keyframe: candidates */
        uint64_t generation; /* keyframe: the epoch that its generation begins with */
        uint64_t base_epoch; /* others: key of the frame below */
        uint8_t base_name[VN_VIEW_NAME_BYTES];
        enum vn_view_keep keep[VN_VIEW_PARTS];
        uint8_t id[VN_VIEW_PARTS][32];      /* NAMED */
        struct vn_str bytes[VN_VIEW_PARTS]; /* DELTA, WHOLE */
};

/* The frame of a sealed view: a keyframe if `base` is NULL, else on top of base, which has `base_depth` and as many
 * candidates. Sets bits of the parts that it names and base's frame cannot have: the caller keeps those. */
enum vn_rc vn_view_frame_make(const struct vn_view *view, uint64_t generation, const struct vn_view *base,
                              uint8_t base_depth, struct vn_buf *ret, uint8_t *ret_named,
                              struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_view_frame_write(const struct vn_view_frame *frame, uint64_t epoch, struct vn_buf *ret,
                               struct vn_err *err) VN_MUST_USE;
/* DATA_LOSS for bytes that writing cannot have made, UNIMPLEMENTED for another format. */
enum vn_rc vn_view_frame_read(struct vn_str bytes, uint64_t epoch, struct vn_view_frame *ret,
                              struct vn_err *err) VN_MUST_USE;
/* Gives a part that a frame names; appends to `ret`. */
typedef enum vn_rc (*vn_view_fetch)(void *arg, const uint8_t id[32], struct vn_buf *ret, struct vn_err *err);
/* The view `id` out of its chain, the keyframe first. DATA_LOSS if that is not what the frames give; what `fetch` fails
 * with is passed on. */
enum vn_rc vn_view_frames_rebuild(const struct vn_view_frame *frames, size_t count, const uint8_t id[32],
                                  vn_view_fetch fetch, void *arg, struct vn_view **ret,
                                  struct vn_err *err) VN_MUST_USE;

#endif
