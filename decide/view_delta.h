/* view_delta.h - a part of a view as what differs from the same part of an earlier view of the workload.
 * Form: length of the whole; then, until it is reached, runs: bytes as in the base, bytes that are not, and those bytes.
 *   Both parts are walked at the same place, since fields do not move. Lengths are varints.
 * Canonical: a pair has one delta, and applying refuses any other. Whether the base was the right one, the content hash
 *   of the whole part tells. Threads: any; pure. Ownership: appends to the caller's empty buffer, whose maximum bounds it. */
#ifndef VANE_DECIDE_VIEW_DELTA_H
#define VANE_DECIDE_VIEW_DELTA_H

#include "base/err.h"
#include "base/str.h"

enum vn_rc vn_view_delta_make(struct vn_str base, struct vn_str whole, struct vn_buf *ret,
                              struct vn_err *err) VN_MUST_USE;
/* DATA_LOSS for what making cannot have made of this base. */
enum vn_rc vn_view_delta_apply(struct vn_str base, struct vn_str delta, struct vn_buf *ret,
                               struct vn_err *err) VN_MUST_USE;

#endif
