/* Any bytes as a base and a delta, or as a frame: refused, or made again to the same bytes. */
#include "decide/view_delta.h"
#include "decide/view_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void as_delta(struct vn_str base, struct vn_str delta)
{
        VN_AUTO(vn_buf)
        whole = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(2 * VN_VIEW_PART_MAX_BYTES);
        if (vn_view_delta_apply(base, delta, &whole, NULL) != VN_OK)
                return;
        VN_ASSERT(vn_view_delta_make(base, vn_buf_view(&whole), &again, NULL) == VN_OK);
        VN_ASSERT(vn_str_eq(delta, vn_buf_view(&again)));
}

static void as_frame(struct vn_str bytes, uint64_t epoch)
{
        struct vn_view_frame frame;
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(bytes.len + 1000);
        if (vn_view_frame_read(bytes, epoch, &frame, NULL) != VN_OK)
                return;
        VN_ASSERT(vn_view_frame_write(&frame, epoch, &again, NULL) == VN_OK);
        VN_ASSERT(vn_str_eq(bytes, vn_buf_view(&again)));
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++)
                if (frame.keep[p] == VN_KEEP_DELTA)
                        as_delta(frame.bytes[VN_PART_STATE], frame.bytes[p]);
}

/* The first byte says how much of the rest is the base. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size)
                return 0;
        size_t base = data[0] < size - 1 ? data[0] : size - 1;
        as_delta(vn_str_n(data + 1, base), vn_str_n(data + 1 + base, size - 1 - base));
        as_frame(vn_str_n(data, size), (uint64_t)1 << 33);
        return 0;
}
