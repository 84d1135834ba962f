#include "decide/view_delta.h"

#include "decide/view.h"
#include "decide/wire.h"

#define SHORT_RUN                                                                                                    \
        3 /* fewer equal bytes between two changes than a run's two lengths take: not worth ending a run for */

static size_t equal_from(struct vn_str base, struct vn_str whole, size_t at)
{
        size_t n = 0;
        while (at + n < whole.len && at + n < base.len && whole.ptr[at + n] == base.ptr[at + n])
                n++;
        return n;
}

/* Up to where the next run of equal bytes begins that is worth it, or the end. */
static size_t changed_from(struct vn_str base, struct vn_str whole, size_t at)
{
        size_t end = at;
        while (end < whole.len) {
                size_t equal = equal_from(base, whole, end);
                if (equal >= SHORT_RUN || (equal && end + equal == whole.len))
                        break;
                end += equal + 1;
        }
        return (end < whole.len ? end : whole.len) - at;
}

static bool put_var(struct vn_buf *ret, uint64_t value)
{
        uint8_t bytes[10];
        struct vn_out out = {.p = bytes, .cap = sizeof bytes};
        vn_put_var(&out, value);
        return vn_buf_add(ret, bytes, out.len);
}

enum vn_rc vn_view_delta_make(struct vn_str base, struct vn_str whole, struct vn_buf *ret, struct vn_err *err)
{
        put_var(ret, whole.len);
        for (size_t at = 0; at < whole.len;) {
                size_t equal = equal_from(base, whole, at), changed = changed_from(base, whole, at + equal);
                put_var(ret, equal);
                put_var(ret, changed);
                vn_buf_add(ret, whole.ptr + at + equal, changed);
                at += equal + changed;
        }
        return vn_buf_check(ret, err);
}

static bool apply(struct vn_str base, struct vn_in *in, struct vn_buf *ret)
{
        uint64_t length = vn_take_var(in, VN_VIEW_PART_MAX_BYTES);
        while (!in->bad && ret->len < length) {
                uint64_t equal = vn_take_var(in, length - ret->len);
                uint64_t changed = vn_take_var(in, length - ret->len - equal);
                const uint8_t *bytes = vn_take(in, (size_t)changed);
                if (!bytes || !(equal + changed) || (equal && ret->len + equal > base.len))
                        return false;
                if ((equal && !vn_buf_add(ret, base.ptr + ret->len, (size_t)equal)) ||
                    !vn_buf_add(ret, bytes, (size_t)changed))
                        return true; /* the buffer tells why */
        }
        return !in->bad && in->at == in->len;
}

enum vn_rc vn_view_delta_apply(struct vn_str base, struct vn_str delta, struct vn_buf *ret, struct vn_err *err)
{
        struct vn_in in = {.p = (const uint8_t *)delta.ptr, .len = delta.len};
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(2 * VN_VIEW_PART_MAX_BYTES);
        bool read = apply(base, &in, ret);
        VN_TRY(vn_buf_check(ret, err));
        if (read)
                VN_TRY(vn_view_delta_make(base, vn_buf_view(ret), &again, err));
        if (!read || !vn_str_eq(vn_buf_view(&again), delta))
                return vn_fail(err, VN_DATA_LOSS, "a view's delta does not fit the part that it is based on");
        return VN_OK;
}
