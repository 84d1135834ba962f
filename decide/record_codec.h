/* record_codec.h - the frame of a record's bytes, shared by encoding, leaf and redaction. */
#ifndef VANE_DECIDE_RECORD_CODEC_H
#define VANE_DECIDE_RECORD_CODEC_H

#include "decide/record.h"
#include "decide/wire.h"

struct vn_frame { /* points into the bytes */
        const uint8_t *header;
        uint8_t erased;
        const uint8_t *seed;                         /* NULL once something is erased */
        const uint8_t *salt[VN_RECORD_GROUPS];       /* then: of the groups that remain */
        const uint8_t *commitment[VN_RECORD_GROUPS]; /* and of the erased ones */
        struct vn_str group[VN_RECORD_GROUPS];
};
enum vn_rc vn_frame_read(struct vn_str bytes, struct vn_frame *ret, struct vn_err *err) VN_MUST_USE;
void vn_frame_write(struct vn_out *out, const struct vn_frame *frame);
void vn_frame_salts(const uint8_t seed[VN_RECORD_SEED_BYTES], uint8_t ret[VN_RECORD_GROUPS][VN_RECORD_SEED_BYTES]);

#endif
