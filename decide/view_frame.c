#include "decide/view_frame.h"

#include "base/hash.h"
#include "decide/view_delta.h"
#include "decide/wire.h"

#define FORMAT 1

/* What is shared by many views or changes by hand is kept under its hash; what drifts is kept as what differs. */
static const bool drifts[VN_VIEW_PARTS] = {[VN_PART_PRICES] = true, [VN_PART_MODEL] = true, [VN_PART_STATE] = true};

static bool may_keep(const struct vn_view_frame *frame, unsigned part)
{
        return frame->depth || (frame->keep[part] != VN_KEEP_SAME && frame->keep[part] != VN_KEEP_DELTA);
}

enum vn_rc vn_view_frame_write(const struct vn_view_frame *frame, uint64_t epoch, struct vn_buf *ret,
                               struct vn_err *err)
{
        uint8_t head[64];
        struct vn_out out = {.p = head, .cap = sizeof head};
        uint64_t keep = 0;
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++)
                keep |= (uint64_t)frame->keep[p] << (2 * p);
        vn_put_le(&out, FORMAT, 1);
        vn_put_le(&out, frame->depth, 1);
        vn_put_le(&out, keep, 2);
        if (frame->depth) {
                vn_put_var(&out, epoch - frame->base_epoch);
                vn_put(&out, frame->base_name, sizeof frame->base_name);
        } else {
                vn_put_var(&out, epoch - frame->generation);
                vn_put_var(&out, frame->count);
        }
        vn_buf_add(ret, head, out.len);
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++) {
                if (frame->keep[p] == VN_KEEP_NAMED)
                        vn_buf_add(ret, frame->id[p], sizeof frame->id[p]);
                if (frame->keep[p] != VN_KEEP_DELTA && frame->keep[p] != VN_KEEP_WHOLE)
                        continue;
                out.len = 0;
                vn_put_var(&out, frame->bytes[p].len);
                vn_buf_add(ret, head, out.len);
                vn_buf_str(ret, frame->bytes[p]);
        }
        return vn_buf_check(ret, err);
}

enum vn_rc vn_view_frame_read(struct vn_str bytes, uint64_t epoch, struct vn_view_frame *ret, struct vn_err *err)
{
        struct vn_in in = {.p = (const uint8_t *)bytes.ptr, .len = bytes.len};
        uint64_t format = vn_take_le(&in, 1);
        memset(ret, 0, sizeof *ret);
        if (!in.bad && format != FORMAT)
                return vn_fail(err, VN_UNIMPLEMENTED, "a view kept in format %u, this program reads %d",
                               (unsigned)format, FORMAT);
        ret->depth = (uint8_t)vn_take_le(&in, 1);
        uint64_t keep = vn_take_le(&in, 2);
        if (ret->depth) {
                ret->base_epoch = epoch - vn_take_var(&in, epoch);
                const uint8_t *name = vn_take(&in, sizeof ret->base_name);
                if (name)
                        memcpy(ret->base_name, name, sizeof ret->base_name);
                in.bad |= ret->base_epoch == epoch;
        } else {
                ret->generation = epoch - vn_take_var(&in, epoch);
                ret->count = (uint32_t)vn_take_var(&in, VN_VIEW_MAX_ENDPOINTS);
                in.bad |= !ret->count;
        }
        in.bad |= ret->depth >= VN_VIEW_CHAIN || keep >> (2 * VN_VIEW_PARTS);
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++) {
                const uint8_t *at;
                ret->keep[p] = (enum vn_view_keep)(keep >> (2 * p) & 3);
                in.bad |= !may_keep(ret, p);
                if (ret->keep[p] == VN_KEEP_NAMED && (at = vn_take(&in, 32)))
                        memcpy(ret->id[p], at, 32);
                if (ret->keep[p] != VN_KEEP_DELTA && ret->keep[p] != VN_KEEP_WHOLE)
                        continue;
                size_t n = (size_t)vn_take_var(&in, VN_VIEW_PART_MAX_BYTES);
                ret->bytes[p] = vn_str_n(vn_take(&in, n), n);
        }
        if (in.bad || in.at != in.len)
                return vn_fail(err, VN_DATA_LOSS, "a kept view is damaged");
        return VN_OK;
}

/* A drifting part: what differs, unless that is hardly less than the whole. */
static enum vn_rc keep_drifting(const struct vn_view *view, const struct vn_view *base, unsigned part,
                                struct vn_view_frame *frame, struct vn_buf *scratch, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        old = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
        VN_AUTO(vn_buf)
        whole = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
        VN_TRY(vn_view_encode_part(view, (enum vn_view_part)part, &whole, err));
        if (base) {
                VN_TRY(vn_view_encode_part(base, (enum vn_view_part)part, &old, err));
                VN_TRY(vn_view_delta_make(vn_buf_view(&old), vn_buf_view(&whole), scratch, err));
        }
        frame->keep[part] = base && scratch->len < whole.len / 4 * 3 ? VN_KEEP_DELTA : VN_KEEP_WHOLE;
        if (frame->keep[part] == VN_KEEP_WHOLE) {
                vn_buf_reset(scratch);
                vn_buf_str(scratch, vn_buf_view(&whole));
        }
        frame->bytes[part] = vn_buf_view(scratch);
        return vn_buf_check(scratch, err);
}

static enum vn_rc make(const struct vn_view *view, uint64_t generation, const struct vn_view *base,
                       uint8_t base_depth, struct vn_buf scratch[VN_VIEW_PARTS], struct vn_buf *ret,
                       uint8_t *ret_named, struct vn_err *err)
{
        struct vn_view_frame frame = {.count = view->count, .generation = generation};
        VN_ASSERT(view->sealed && (!base || (base->count == view->count && base_depth + 1 < VN_VIEW_CHAIN)));
        if (base) {
                frame.depth = (uint8_t)(base_depth + 1);
                frame.base_epoch = base->epoch;
                memcpy(frame.base_name, base->id, sizeof frame.base_name);
        }
        *ret_named = 0;
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++) {
                if (base && !memcmp(base->part_id[p], view->part_id[p], 32)) {
                        frame.keep[p] = VN_KEEP_SAME;
                } else if (drifts[p] && (base || p == VN_PART_STATE)) {
                        VN_TRY(keep_drifting(view, base, p, &frame, &scratch[p], err));
                } else {
                        frame.keep[p] = VN_KEEP_NAMED;
                        memcpy(frame.id[p], view->part_id[p], 32);
                        *ret_named |= (uint8_t)(1u << p);
                }
        }
        return vn_view_frame_write(&frame, view->epoch, ret, err);
}

enum vn_rc vn_view_frame_make(const struct vn_view *view, uint64_t generation, const struct vn_view *base,
                              uint8_t base_depth, struct vn_buf *ret, uint8_t *ret_named, struct vn_err *err)
{
        struct vn_buf scratch[VN_VIEW_PARTS];
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++)
                scratch[p] = VN_BUF_INIT(2 * VN_VIEW_PART_MAX_BYTES);
        enum vn_rc rc = make(view, generation, base, base_depth, scratch, ret, ret_named, err);
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++)
                vn_buf_done(&scratch[p]);
        return rc;
}

/* --- and back --- */
struct rebuild {
        const struct vn_view_frame *frames;
        size_t count;
        vn_view_fetch fetch;
        void *arg;
};

/* One part: from the newest frame that has it whole, with every later difference on top. */
static enum vn_rc rebuild_part(const struct rebuild *r, unsigned part, struct vn_buf *ret, struct vn_err *err)
{
        size_t from = r->count - 1;
        while (from && (r->frames[from].keep[part] == VN_KEEP_SAME || r->frames[from].keep[part] == VN_KEEP_DELTA))
                from--;
        if (r->frames[from].keep[part] == VN_KEEP_NAMED)
                VN_TRY(r->fetch(r->arg, r->frames[from].id[part], ret, err));
        else
                vn_buf_str(ret, r->frames[from].bytes[part]);
        VN_TRY(vn_buf_check(ret, err));
        for (size_t i = from + 1; i < r->count; i++) {
                VN_AUTO(vn_buf)
                next = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
                if (r->frames[i].keep[part] == VN_KEEP_SAME)
                        continue;
                VN_TRY(vn_view_delta_apply(vn_buf_view(ret), r->frames[i].bytes[part], &next, err));
                struct vn_buf done = *ret;
                *ret = next;
                next = done;
        }
        return VN_OK;
}

enum vn_rc vn_view_frames_rebuild(const struct vn_view_frame *frames, size_t count, const uint8_t id[32],
                                  vn_view_fetch fetch, void *arg, struct vn_view **ret, struct vn_err *err)
{
        struct rebuild r = {frames, count, fetch, arg};
        struct vn_buf parts[VN_VIEW_PARTS];
        struct vn_str texts[VN_VIEW_PARTS];
        enum vn_rc rc = VN_OK;
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++) {
                parts[p] = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
                if (rc == VN_OK)
                        rc = rebuild_part(&r, p, &parts[p], err);
                texts[p] = vn_buf_view(&parts[p]);
        }
        if (rc == VN_OK)
                rc = vn_view_rebuild(id, frames[0].count, texts, ret, err);
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++)
                vn_buf_done(&parts[p]);
        return rc;
}
