/* view_codec.h - inside of views: naming them, and sealing a what-if copy without naming it. */
#ifndef VANE_DECIDE_VIEW_CODEC_H
#define VANE_DECIDE_VIEW_CODEC_H

#include "decide/view.h"

/* Sets the ids from the canonical bytes. */
enum vn_rc vn_view_name(struct vn_view *view, struct vn_err *err) VN_MUST_USE;
/* After one candidate of a clone was changed: hot rows again, no ids (nothing may store such a view). */
enum vn_rc vn_view_reheat(struct vn_view *view, uint32_t candidate, struct vn_err *err) VN_MUST_USE;

#endif
