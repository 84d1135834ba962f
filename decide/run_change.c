/* The change of a group's bytes against those of the decision before: 0 for none; 1 and patches where only some bytes of
 * as many differ; else the length plus 2 and the bytes. A patch is the bytes to keep, the count to replace and these;
 * keeping to the end ends the list. Neighbours less than three bytes apart are one patch. */
#include "decide/run_change.h"

enum { SAME, PATCHED, WHOLE };
#define JOIN_BELOW 3

static size_t equal_from(const uint8_t *a, const uint8_t *b, size_t at, size_t n)
{
        uint64_t x, y;
        for (; at + 8 <= n; at += 8) {
                memcpy(&x, a + at, 8);
                memcpy(&y, b + at, 8);
                if (x != y)
                        return at + (size_t)__builtin_ctzll(x ^ y) / 8;
        }
        while (at < n && a[at] == b[at])
                at++;
        return at;
}

/* Where the patch that begins at `at` ends, and where the next one begins. */
static size_t patch_end(const uint8_t *a, const uint8_t *b, size_t at, size_t n, size_t *ret_next)
{
        for (;;) {
                while (at < n && a[at] != b[at])
                        at++;
                *ret_next = equal_from(a, b, at, n);
                if (*ret_next == n || *ret_next - at >= JOIN_BELOW)
                        return at;
                at = *ret_next;
        }
}

static void put_patches(struct vn_out *out, const uint8_t *before, const uint8_t *now, size_t n)
{
        size_t at = 0, next = equal_from(before, now, 0, n), end;
        vn_put_var(out, PATCHED);
        vn_put_var(out, next - at);
        while (next < n) {
                at = next;
                end = patch_end(before, now, at, n, &next);
                vn_put_var(out, end - at);
                vn_put(out, now + at, end - at);
                vn_put_var(out, next - end);
        }
}

void vn_change_put(struct vn_out *out, struct vn_str before, struct vn_str now)
{
        if (before.len == now.len && !(now.len && memcmp(before.ptr, now.ptr, now.len))) {
                vn_put_var(out, SAME);
                return;
        }
        if (before.len == now.len && !out->bad) {
                /* In a place no larger than the whole would take: what does not fit is not worth it. */
                size_t room = out->cap - out->len;
                struct vn_out patches = {.p = out->p + out->len, .cap = room < now.len ? room : now.len};
                put_patches(&patches, (const uint8_t *)before.ptr, (const uint8_t *)now.ptr, now.len);
                if (!patches.bad) {
                        out->len += patches.len;
                        return;
                }
        }
        vn_put_var(out, now.len + WHOLE);
        if (now.len)
                vn_put(out, now.ptr, now.len);
}

static void take_patches(struct vn_in *in, uint8_t *bytes, size_t n)
{
        size_t at = (size_t)vn_take_var(in, n);
        while (!in->bad && at < n) {
                size_t len = (size_t)vn_take_var(in, n - at);
                const uint8_t *patch = len ? vn_take(in, len) : NULL;
                if (!patch) {
                        in->bad = true;
                        return;
                }
                memcpy(bytes + at, patch, len);
                at += len;
                at += (size_t)vn_take_var(in, n - at);
        }
}

bool vn_change_take(struct vn_in *in, uint8_t *bytes, size_t *len, size_t max)
{
        uint64_t form = vn_take_var(in, max + WHOLE);
        if (form == PATCHED) {
                take_patches(in, bytes, *len);
        } else if (form >= WHOLE) {
                *len = (size_t)form - WHOLE;
                const uint8_t *whole = vn_take(in, *len);
                if (whole && *len)
                        memcpy(bytes, whole, *len);
        }
        return !in->bad;
}
