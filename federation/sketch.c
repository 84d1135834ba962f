/* The buckets' bounds are found with vn_log, so that every machine puts a duration into the same one. */
#include "federation/sketch.h"

#include "base/detmath.h"

/* gamma = 1.01 / 0.99: the middle of (gamma^i, gamma^(i+1)] is within 1 % of both ends. ln(24 h in us) / ln gamma is
 * 1259, so 1264 buckets reach a little beyond a day. */
static const double log_gamma = 0.020000666706669;
static const double middle =
        1.01; /* 2 gamma / (gamma + 1), the point of equal relative error, over the lower bound */
#define SKETCH_VERSION 2
#define OLD_VERSION 1
#define OLD_BUCKETS 632
static const double old_log_gamma = 0.040005334613699;
static const double old_middle = 1.02;

void vn_sketch_init(struct vn_sketch *sketch)
{
        memset(sketch, 0, sizeof *sketch);
}

static size_t bucket_of(int64_t duration_us)
{
        if (duration_us <= 1)
                return 0;
        double i = vn_log((double)duration_us) / log_gamma;
        return i >= VN_SKETCH_BUCKETS - 1 ? VN_SKETCH_BUCKETS - 1 : (size_t)i;
}

static void add_to(struct vn_sketch *sketch, size_t bucket, uint32_t times)
{
        uint32_t room = UINT32_MAX - sketch->count[bucket];
        uint32_t n = times < room ? times : room;
        sketch->count[bucket] += n;
        sketch->total += n;
}

void vn_sketch_add(struct vn_sketch *sketch, int64_t duration_us, uint32_t times)
{
        add_to(sketch, bucket_of(duration_us), times);
}

void vn_sketch_merge(struct vn_sketch *into, const struct vn_sketch *from)
{
        for (size_t i = 0; i < VN_SKETCH_BUCKETS; i++)
                add_to(into, i, from->count[i]);
}

static double bucket_middle_us(size_t bucket)
{
        return vn_exp((double)bucket * log_gamma) * middle;
}

double vn_sketch_quantile_us(const struct vn_sketch *sketch, double q)
{
        if (!sketch->total)
                return 0;
        if (!(q > 0))
                q = 0;
        if (q > 1)
                q = 1;
        uint64_t rank = (uint64_t)(q * (double)(sketch->total - 1)), seen = 0;
        for (size_t i = 0; i < VN_SKETCH_BUCKETS; i++) {
                seen += sketch->count[i];
                if (seen > rank)
                        return bucket_middle_us(i);
        }
        return bucket_middle_us(VN_SKETCH_BUCKETS - 1);
}

double vn_sketch_share_above(const struct vn_sketch *sketch, int64_t limit_us)
{
        if (!sketch->total)
                return 0;
        uint64_t above = 0;
        for (size_t i = bucket_of(limit_us) + 1; i < VN_SKETCH_BUCKETS; i++)
                above += sketch->count[i];
        return (double)above / (double)sketch->total;
}

static void put_varint(struct vn_buf *buf, uint32_t value)
{
        while (value >= 0x80) {
                vn_buf_char(buf, (char)(value | 0x80));
                value >>= 7;
        }
        vn_buf_char(buf, (char)value);
}

/* False at the end of the bytes, above 32 bits, or for a form longer than it need be. */
static bool take_varint(struct vn_str *bytes, uint32_t *ret)
{
        uint64_t value = 0;
        for (unsigned shift = 0; shift < 35; shift += 7) {
                if (!bytes->len)
                        return false;
                uint8_t byte = (uint8_t)*bytes->ptr;
                bytes->ptr++, bytes->len--;
                value |= (uint64_t)(byte & 0x7f) << shift;
                if (!(byte & 0x80)) {
                        *ret = (uint32_t)value;
                        return value <= UINT32_MAX && (byte || !shift);
                }
        }
        return false;
}

void vn_sketch_encode(const struct vn_sketch *sketch, struct vn_buf *ret)
{
        uint32_t gap = 0;
        vn_buf_char(ret, SKETCH_VERSION);
        for (size_t i = 0; i < VN_SKETCH_BUCKETS; i++) {
                if (!sketch->count[i]) {
                        gap++;
                        continue;
                }
                put_varint(ret, gap);
                put_varint(ret, sketch->count[i]);
                gap = 0;
        }
}

static size_t from_old(size_t bucket)
{
        return bucket_of((int64_t)(vn_exp((double)bucket * old_log_gamma) * old_middle));
}

enum vn_rc vn_sketch_decode(struct vn_str bytes, struct vn_sketch *ret, struct vn_err *err)
{
        if (!bytes.len || bytes.len > VN_SKETCH_MAX_BYTES ||
            (bytes.ptr[0] != SKETCH_VERSION && bytes.ptr[0] != OLD_VERSION))
                return vn_fail(err, VN_INVALID_ARGUMENT, "duration sketch: unknown version or size");
        bool old = bytes.ptr[0] == OLD_VERSION;
        size_t buckets = old ? OLD_BUCKETS : VN_SKETCH_BUCKETS;
        bytes.ptr++, bytes.len--;
        vn_sketch_init(ret);
        uint64_t next = 0;
        while (bytes.len) {
                uint32_t gap, count;
                if (!take_varint(&bytes, &gap) || !take_varint(&bytes, &count) || !count || next + gap >= buckets) {
                        vn_sketch_init(ret);
                        return vn_fail(err, VN_INVALID_ARGUMENT, "duration sketch: malformed bytes");
                }
                next += gap;
                add_to(ret, old ? from_old(next) : next, count);
                next++;
        }
        return VN_OK;
}
