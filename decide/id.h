/* id.h - the identity of a decision, and sets of candidates.
 * Purpose: ids are unique without a clock (origin of a boot, loop, the loop's sequence); candidates are named by their
 *   index in the view. Threads: any; values. */
#ifndef VANE_DECIDE_ID_H
#define VANE_DECIDE_ID_H

#include "base/err.h"
#include "base/str.h"

struct vn_bits128 {
        uint64_t w[2];
};
static inline bool vn_bit(const struct vn_bits128 *bits, uint32_t i)
{
        return bits->w[i >> 6] >> (i & 63) & 1;
}
static inline void vn_bit_set(struct vn_bits128 *bits, uint32_t i)
{
        bits->w[i >> 6] |= UINT64_C(1) << (i & 63);
}

struct vn_decision_id {
        uint64_t origin; /* unique a boot */
        uint32_t loop;
        uint64_t sequence; /* of the loop's journal */
};
/* "o-l-s" in hexadecimal, and back. */
#define VN_DECISION_ID_TEXT_BYTES 48
void vn_decision_id_format(const struct vn_decision_id *id, char ret[VN_DECISION_ID_TEXT_BYTES]);
enum vn_rc vn_decision_id_parse(struct vn_str text, struct vn_decision_id *ret) VN_MUST_USE;

#endif
