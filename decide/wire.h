/* wire.h - writing and reading canonical bytes in fixed buffers; for decide/ only.
 * Little endian; varints are LEB128 in their shortest form. A writer that runs out, or a reader that meets anything
 * that a writer cannot have made, sets `bad` and then does nothing: check once at the end. */
#ifndef VANE_DECIDE_WIRE_H
#define VANE_DECIDE_WIRE_H

#include <string.h>

#include "base/str.h"

struct vn_out {
        uint8_t *p;
        size_t len, cap;
        bool bad;
};
struct vn_in {
        const uint8_t *p;
        size_t len, at;
        bool bad;
};

static inline void vn_put(struct vn_out *o, const void *bytes, size_t n)
{
        if (o->bad || n > o->cap - o->len) {
                o->bad = true;
                return;
        }
        memcpy(o->p + o->len, bytes, n);
        o->len += n;
}
static inline void vn_put_le(struct vn_out *o, uint64_t v, size_t n)
{
        uint8_t b[8];
        for (size_t i = 0; i < n; i++)
                b[i] = (uint8_t)(v >> (8 * i));
        vn_put(o, b, n);
}
static inline void vn_put_var(struct vn_out *o, uint64_t v)
{
        uint8_t b[10];
        size_t n = 0;
        for (; v >= 0x80; v >>= 7)
                b[n++] = (uint8_t)(v | 0x80);
        b[n++] = (uint8_t)v;
        vn_put(o, b, n);
}
static inline void vn_put_f32(struct vn_out *o, float v)
{
        uint32_t bits;
        memcpy(&bits, &v, 4);
        vn_put_le(o, bits, 4);
}
static inline void vn_put_f64(struct vn_out *o, double v)
{
        uint64_t bits;
        memcpy(&bits, &v, 8);
        vn_put_le(o, bits, 8);
}
static inline void vn_put_text(struct vn_out *o, const char *text)
{
        size_t n = strlen(text);
        vn_put_var(o, n);
        vn_put(o, text, n);
}

static inline const uint8_t *vn_take(struct vn_in *in, size_t n)
{
        if (in->bad || n > in->len - in->at) {
                in->bad = true;
                return NULL;
        }
        const uint8_t *p = in->p + in->at;
        in->at += n;
        return p;
}
static inline uint64_t vn_take_le(struct vn_in *in, size_t n)
{
        const uint8_t *p = vn_take(in, n);
        uint64_t v = 0;
        for (size_t i = 0; p && i < n; i++)
                v |= (uint64_t)p[i] << (8 * i);
        return v;
}
static inline uint64_t vn_take_var(struct vn_in *in, uint64_t max)
{
        uint64_t v = 0;
        for (unsigned shift = 0; shift < 64; shift += 7) {
                const uint8_t *p = vn_take(in, 1);
                if (!p)
                        return 0;
                if (shift == 63 && *p > 1)
                        break;
                v |= (uint64_t)(*p & 0x7f) << shift;
                if (*p & 0x80)
                        continue;
                if ((*p == 0 && shift) || v > max)
                        break;
                return v;
        }
        in->bad = true;
        return 0;
}
static inline float vn_take_f32(struct vn_in *in)
{
        uint32_t bits = (uint32_t)vn_take_le(in, 4);
        float v;
        memcpy(&v, &bits, 4);
        return v;
}
static inline double vn_take_f64(struct vn_in *in)
{
        uint64_t bits = vn_take_le(in, 8);
        double v;
        memcpy(&v, &bits, 8);
        return v;
}
static inline void vn_take_text(struct vn_in *in, char *ret, size_t ret_bytes)
{
        uint64_t n = vn_take_var(in, ret_bytes - 1);
        const uint8_t *p = vn_take(in, (size_t)n);
        ret[0] = 0;
        if (!p)
                return;
        if (memchr(p, 0, (size_t)n)) {
                in->bad = true;
                return;
        }
        memcpy(ret, p, (size_t)n);
        ret[n] = 0;
}

#endif
