/* The frame: header, erased bits, lengths of the six groups, seed (or salts and commitments), groups. */
#include "base/hash.h"
#include "decide/record_codec.h"

enum vn_rc vn_frame_read(struct vn_str bytes, struct vn_frame *ret, struct vn_err *err)
{
        struct vn_in in = {.p = (const uint8_t *)bytes.ptr, .len = bytes.len};
        size_t length[VN_RECORD_GROUPS];

        memset(ret, 0, sizeof *ret);
        ret->header = vn_take(&in, VN_RECORD_HEADER_BYTES);
        if (!ret->header || ret->header[0] != 'V' || ret->header[1] != 'R')
                return vn_fail(err, VN_DATA_LOSS, "these bytes are not a decision record");
        if (ret->header[2] != VN_RECORD_FORMAT)
                return vn_fail(err, VN_UNIMPLEMENTED, "a record of format %u, this program reads %d", ret->header[2],
                               VN_RECORD_FORMAT);
        ret->erased = (uint8_t)vn_take_le(&in, 1);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                length[g] = (size_t)vn_take_var(&in, VN_RUN_MAX_BYTES);
                in.bad |= (ret->erased >> g & 1) && length[g];
        }
        in.bad |= ret->erased >> VN_RECORD_GROUPS;
        if (!ret->erased)
                ret->seed = vn_take(&in, VN_RECORD_SEED_BYTES);
        for (unsigned g = 0; g < VN_RECORD_GROUPS && ret->erased; g++) {
                if (ret->erased >> g & 1)
                        ret->commitment[g] = vn_take(&in, 32);
                else if (length[g])
                        ret->salt[g] = vn_take(&in, VN_RECORD_SEED_BYTES);
        }
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                ret->group[g] = vn_str_n(vn_take(&in, length[g]), length[g]);
        if (in.bad || in.at != in.len)
                return vn_fail(err, VN_DATA_LOSS, "the decision record is damaged or cut short");
        return VN_OK;
}

void vn_frame_write(struct vn_out *out, const struct vn_frame *frame)
{
        vn_put(out, frame->header, VN_RECORD_HEADER_BYTES);
        vn_put_le(out, frame->erased, 1);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                vn_put_var(out, frame->group[g].len);
        if (!frame->erased)
                vn_put(out, frame->seed, VN_RECORD_SEED_BYTES);
        for (unsigned g = 0; g < VN_RECORD_GROUPS && frame->erased; g++) {
                if (frame->erased >> g & 1)
                        vn_put(out, frame->commitment[g], 32);
                else if (frame->group[g].len)
                        vn_put(out, frame->salt[g], VN_RECORD_SEED_BYTES);
        }
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                if (frame->group[g].len)
                        vn_put(out, frame->group[g].ptr, frame->group[g].len);
}

/* Two salts a hash: three hashes for the six groups. */
void vn_frame_salts(const uint8_t seed[VN_RECORD_SEED_BYTES], uint8_t ret[VN_RECORD_GROUPS][VN_RECORD_SEED_BYTES])
{
        uint8_t block[VN_RECORD_SEED_BYTES + 10], hash[32];
        memcpy(block, seed, VN_RECORD_SEED_BYTES);
        memcpy(block + VN_RECORD_SEED_BYTES, "vane salt", 9);
        for (unsigned pair = 0; pair < VN_RECORD_GROUPS / 2; pair++) {
                block[sizeof block - 1] = (uint8_t)pair;
                vn_sha256(block, sizeof block, hash);
                memcpy(ret[2 * pair], hash, VN_RECORD_SEED_BYTES);
                memcpy(ret[2 * pair + 1], hash + 16, VN_RECORD_SEED_BYTES);
        }
}

static void leaf_of(const struct vn_frame *frame, uint8_t ret[VN_RECORD_LEAF_BYTES])
{
        uint8_t salts[VN_RECORD_GROUPS][VN_RECORD_SEED_BYTES];
        if (frame->seed)
                vn_frame_salts(frame->seed, salts);
        memcpy(ret, frame->header, VN_RECORD_HEADER_BYTES);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                uint8_t *to = ret + VN_RECORD_HEADER_BYTES + 32 * g;
                if (frame->commitment[g]) {
                        memcpy(to, frame->commitment[g], 32);
                } else if (!frame->group[g].len) {
                        memset(to, 0, 32);
                } else {
                        const struct vn_str parts[2] = {
                                vn_str_n(frame->seed ? salts[g] : frame->salt[g], VN_RECORD_SEED_BYTES),
                                frame->group[g]};
                        vn_sha256_parts(parts, 2, to);
                }
        }
}

enum vn_rc vn_record_leaf(struct vn_str bytes, uint8_t ret[VN_RECORD_LEAF_BYTES], struct vn_err *err)
{
        struct vn_frame frame;
        VN_TRY(vn_frame_read(bytes, &frame, err));
        leaf_of(&frame, ret);
        return VN_OK;
}

enum vn_rc vn_record_verify_leaf(struct vn_str bytes, struct vn_str leaf, struct vn_err *err)
{
        uint8_t own[VN_RECORD_LEAF_BYTES];
        static const char *const names[] = {"identity", "question", "choice", "reasons", "outcome", "rest"};
        VN_TRY(vn_record_leaf(bytes, own, err));
        if (leaf.len != sizeof own)
                return vn_fail(err, VN_DATA_LOSS, "a leaf has %d bytes, not %zu", VN_RECORD_LEAF_BYTES, leaf.len);
        if (memcmp(own, leaf.ptr, VN_RECORD_HEADER_BYTES))
                return vn_fail(err, VN_DATA_LOSS, "the leaf is of another record: the headers differ");
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++)
                if (memcmp(own + VN_RECORD_HEADER_BYTES + 32 * g, leaf.ptr + VN_RECORD_HEADER_BYTES + 32 * g, 32))
                        return vn_fail(err, VN_DATA_LOSS, "the record's group \"%s\" is not what was committed to",
                                       names[g]);
        return VN_OK;
}

enum vn_rc vn_record_redact(struct vn_str bytes, uint8_t groups, uint8_t *ret, size_t cap, size_t *ret_len,
                            struct vn_err *err)
{
        struct vn_frame frame;
        uint8_t leaf[VN_RECORD_LEAF_BYTES], salts[VN_RECORD_GROUPS][VN_RECORD_SEED_BYTES];
        VN_TRY(vn_frame_read(bytes, &frame, err));
        leaf_of(&frame, leaf);
        if (frame.seed)
                vn_frame_salts(frame.seed, salts);
        for (unsigned g = 0; g < VN_RECORD_GROUPS; g++) {
                if (frame.seed)
                        frame.salt[g] = salts[g];
                if (!(groups >> g & 1) || !frame.group[g].len)
                        continue;
                frame.erased |= (uint8_t)(1u << g);
                frame.commitment[g] = leaf + VN_RECORD_HEADER_BYTES + 32 * g;
                frame.group[g].len = 0;
        }
        struct vn_out out = {.p = ret, .cap = cap};
        vn_frame_write(&out, &frame);
        if (out.bad)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no room for the redacted record");
        *ret_len = out.len;
        return VN_OK;
}
