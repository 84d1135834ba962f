/* witness.h - outcome reports are testimony: how much of an estimate may rest on one caller.
 * Purpose: what estimators learn from outcomes is kept apart by caller, in a few places, and put together with weights:
 *   no caller counts for more than `floor` of its outcomes or 2/(k+1) of all that count, at least a quarter, where k
 *   callers were heard; one alone counts in full. The last place is shared by all who came after the others.
 * Threads: any; pure. Ownership: arrays are the caller's. */
#ifndef VANE_SERVER_ROUTING_WITNESS_H
#define VANE_SERVER_ROUTING_WITNESS_H

#include <stdint.h>

#define VN_WITNESSES 8
#define VN_WITNESS_FLOOR 500.0 /* a newcomer must not silence one who has told much */

/* The caller's place; takes a free one. */
unsigned vn_witness_place(uint64_t callers[VN_WITNESSES], uint64_t caller);
/* What each place's sums are to be multiplied by, 0..1. */
void vn_witness_weights(const double count[VN_WITNESSES], double floor, double ret[VN_WITNESSES]);

/* A mean of what callers told. */
struct vn_witness_mean {
        uint64_t caller[VN_WITNESSES];
        double sum[VN_WITNESSES], count[VN_WITNESSES];
};
void vn_witness_mean_add(struct vn_witness_mean *mean, uint64_t caller, double value);
/* The past counts for `keep` of what it did, 0..1. */
void vn_witness_mean_fade(struct vn_witness_mean *mean, double keep);
/* The sum over all callers, each with its weight; *ret_count: of how many outcomes. */
double vn_witness_mean_sum(const struct vn_witness_mean *mean, double floor, double *ret_count);

#endif
