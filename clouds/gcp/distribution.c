/* A distribution of Cloud Monitoring: counts of the values in each bucket. Bucket 0 is what lies below the first bound,
 * the last one what lies above the last bound; empty buckets at the end are left out. */
#include "base/detmath.h"
#include "clouds/gcp/gcp.h"

#define MAX_BUCKETS 5000

struct buckets {
        enum { LINEAR, EXPONENTIAL, EXPLICIT } kind;
        double first, step; /* offset and width, or scale and growth factor */
        json_t *bounds;     /* explicit */
        size_t finite;      /* between bounds: one bound more */
};

static bool read_options(json_t *distribution, struct buckets *ret)
{
        double finite = 0;

        *ret = (struct buckets){.kind = EXPLICIT,
                                .bounds = vn_json_at(distribution, "bucketOptions.explicitBuckets.bounds")};
        if (ret->bounds) {
                size_t count = json_array_size(ret->bounds);

                ret->finite = count - (count > 0);
                for (size_t i = 0; i < count; i++)
                        if (!json_is_number(json_array_get(ret->bounds, i)))
                                return false;
                return count > 0 && count <= MAX_BUCKETS;
        }
        if (vn_json_at(distribution, "bucketOptions.linearBuckets")) {
                ret->kind = LINEAR;
                finite = vn_json_pick_number(distribution, "bucketOptions.linearBuckets.numFiniteBuckets", -1);
                ret->first = vn_json_pick_number(distribution, "bucketOptions.linearBuckets.offset", 0);
                ret->step = vn_json_pick_number(distribution, "bucketOptions.linearBuckets.width", 0);
        } else {
                ret->kind = EXPONENTIAL;
                finite = vn_json_pick_number(distribution, "bucketOptions.exponentialBuckets.numFiniteBuckets", -1);
                ret->first = vn_json_pick_number(distribution, "bucketOptions.exponentialBuckets.scale", 0);
                ret->step = vn_json_pick_number(distribution, "bucketOptions.exponentialBuckets.growthFactor", 0);
        }
        if (!(finite >= 1 && finite < MAX_BUCKETS))
                return false;
        ret->finite = (size_t)finite;
        return ret->kind == LINEAR ? ret->step > 0 && ret->step < 1e15 && ret->first > -1e15 && ret->first < 1e15
                                   : ret->step > 1 && ret->step < 1e6 && ret->first > 0 && ret->first < 1e15;
}

static double bound(const struct buckets *b, size_t i)
{
        if (b->kind == EXPLICIT)
                return json_number_value(json_array_get(b->bounds, i));
        return b->kind == LINEAR ? b->first + b->step * (double)i : b->first * vn_exp((double)i * vn_log(b->step));
}

/* A value of bucket i, `share` of the way through it. */
static double value_in(const struct buckets *b, size_t i, double share)
{
        double low = i > 0 ? bound(b, i - 1) : 0, high;

        if (i > b->finite)
                return low; /* above everything: no more is known */
        high = bound(b, i);
        if (i == 0 && high < low)
                return high;
        return low + (high - low) * share;
}

static double count_at(json_t *counts, size_t i)
{
        json_t *item = json_array_get(counts, i);
        double count;

        if (json_is_string(item))
                return vn_str_to_double(vn_str(json_string_value(item)), &count) == VN_OK ? count : -1;
        return json_is_number(item) ? json_number_value(item) : -1;
}

enum vn_rc vn_gcp_distribution_quantile(json_t *distribution, double q, double *ret, struct vn_err *err)
{
        json_t *counts = vn_json_at(distribution, "bucketCounts");
        double total = 0, seen = 0;
        struct buckets buckets;
        size_t size = json_array_size(counts);

        *ret = 0;
        if (size == 0 &&
            (!vn_json_at(distribution, "bucketOptions") || vn_json_pick_number(distribution, "count", 0) == 0))
                return VN_OK;
        if (!read_options(distribution, &buckets) || size > buckets.finite + 2)
                return vn_fail(err, VN_DATA_LOSS, "gcp: a distribution has no buckets that can be read");
        for (size_t i = 0; i < size; i++) {
                double count = count_at(counts, i);

                if (!(count >= 0 && count < 1e15))
                        return vn_fail(err, VN_DATA_LOSS, "gcp: a distribution's bucket holds no count");
                total += count;
        }
        for (size_t i = 0; i < size && total > 0; i++) {
                double count = count_at(counts, i);

                if (count > 0 && seen + count >= q * total) {
                        *ret = value_in(&buckets, i, (q * total - seen) / count);
                        break;
                }
                seen += count;
        }
        return *ret > -1e15 && *ret < 1e15
                       ? VN_OK
                       : vn_fail(err, VN_DATA_LOSS, "gcp: a distribution's bounds are out of range");
}
