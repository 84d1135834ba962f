/* record_codec.h - header, frame and groups of a record's bytes, shared by encoding, runs, leaf and redaction. */
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
/* Seed, or salts and commitments: into and out of the record; the frame then points into it. */
void vn_record_frame_init(struct vn_frame *ret, const struct vn_record *record, const uint8_t *header);
void vn_record_frame_copy(const struct vn_frame *frame, struct vn_record *ret);

/* `count`: decisions in the record. */
void vn_record_header_write(const struct vn_record *record, uint32_t count, uint8_t ret[VN_RECORD_HEADER_BYTES]);
bool vn_record_header_read(const uint8_t *header, struct vn_record *ret, uint32_t *ret_count);
/* One group; nothing is written of one that is erased, or of an outcome without content. */
void vn_record_group_write(struct vn_out *out, unsigned group, const struct vn_record *record);
bool vn_record_group_read(struct vn_str bytes, unsigned group, struct vn_record *ret); /* false unless whole */
void vn_frame_salts(const uint8_t seed[VN_RECORD_SEED_BYTES], uint8_t ret[VN_RECORD_GROUPS][VN_RECORD_SEED_BYTES]);

#endif
