/* run_change.h - one group's bytes as their change against the decision before; for run.c only. Canonical: the form and
 * the patches follow from the two byte strings. */
#ifndef VANE_DECIDE_RUN_CHANGE_H
#define VANE_DECIDE_RUN_CHANGE_H

#include "decide/wire.h"

void vn_change_put(struct vn_out *out, struct vn_str before, struct vn_str now);
/* Turns the bytes before (at most `max`) into those that follow; false for what cannot be a change of them. */
bool vn_change_take(struct vn_in *in, uint8_t *bytes, size_t *len, size_t max);

#endif
