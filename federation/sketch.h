/* sketch.h - a mergeable sketch of durations with at most 1 % relative error.
 * Purpose: quantiles of durations over any union of windows, accounts and hours. Buckets are fixed and logarithmic
 *   (each 2 % wide, so that a bucket's middle is within 1 % of everything in it), hence merging is adding and the
 *   order of merging cannot change a bit. A weight is a whole number: a sampled call counts as many times as it stands
 *   for. After DDSketch (Masson, Rim, Lee, VLDB 2019), with a fixed range.
 * Threads: none of its own; a value type without pointers. Units: microseconds, 1 us to 24 h; what lies outside is
 *   counted in the first or last bucket.
 * Errors: decoding refuses anything that encoding cannot have made. */
#ifndef VANE_FEDERATION_SKETCH_H
#define VANE_FEDERATION_SKETCH_H

#include "base/err.h"
#include "base/str.h"

#define VN_SKETCH_BUCKETS 1264
#define VN_SKETCH_MAX_BYTES 8192 /* of an encoded sketch */

struct vn_sketch {
        uint64_t total;
        uint32_t count[VN_SKETCH_BUCKETS]; /* a bucket stays at UINT32_MAX once it gets there */
};

void vn_sketch_init(struct vn_sketch *sketch);
void vn_sketch_add(struct vn_sketch *sketch, int64_t duration_us, uint32_t times);
void vn_sketch_merge(struct vn_sketch *into, const struct vn_sketch *from);
/* The duration below which the share q of what was added lies (q outside 0..1 is clamped); 0 for an empty sketch. */
double vn_sketch_quantile_us(const struct vn_sketch *sketch, double q);
/* Share of what was added that is longer than the limit (to the bucket's accuracy); 0 for an empty sketch. */
double vn_sketch_share_above(const struct vn_sketch *sketch, int64_t limit_us);

/* Canonical bytes: version, then (gap, count) pairs as varints. Appends to the buffer; check it with vn_buf_check.
 * Decoding also reads version 1, which had buckets twice as wide: what was stored with 2 % stays within 3 %. */
void vn_sketch_encode(const struct vn_sketch *sketch, struct vn_buf *ret);
enum vn_rc vn_sketch_decode(struct vn_str bytes, struct vn_sketch *ret, struct vn_err *err) VN_MUST_USE;

#endif
