#include <stdlib.h>

#include "base/hash.h"
#include "federation/sketch.h"
#include "tests/test.h"

static int by_value(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return (x > y) - (x < y);
}

static int64_t draw_us(struct vn_rng *rng)
{
        /* From 1 us to hours, evenly over the orders of magnitude. */
        int64_t top = INT64_C(1) << vn_rng_below(rng, 35);
        return top + (int64_t)vn_rng_below(rng, (uint64_t)top);
}

TEST(sketch_quantiles_are_within_two_percent)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        enum { N = 5000 };
        int64_t *values = vn_alloc_array(N, sizeof *values);
        static struct vn_sketch sketch;
        vn_sketch_init(&sketch);
        for (size_t i = 0; i < N; i++) {
                values[i] = draw_us(&rng);
                vn_sketch_add(&sketch, values[i], 1);
        }
        qsort(values, N, sizeof *values, by_value);
        for (unsigned percent = 0; percent <= 100; percent++) {
                double q = percent / 100.0, exact = (double)values[(size_t)(q * (N - 1))];
                if (exact < 100)
                        continue; /* whole microseconds are coarser than the sketch there */
                CHECK_NEAR(exact, vn_sketch_quantile_us(&sketch, q), exact * 0.0201);
        }
        vn_free(values);
}

TEST(sketch_merge_is_adding_in_any_order)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        static struct vn_sketch all, part[3], left, right;
        vn_sketch_init(&all);
        for (int p = 0; p < 3; p++)
                vn_sketch_init(&part[p]);
        for (size_t i = 0; i < 3000; i++) {
                int64_t us = draw_us(&rng);
                vn_sketch_add(&all, us, 2);
                vn_sketch_add(&part[i % 3], us, 2);
        }
        left = part[0];
        vn_sketch_merge(&left, &part[1]);
        vn_sketch_merge(&left, &part[2]);
        right = part[2];
        vn_sketch_merge(&right, &part[1]);
        vn_sketch_merge(&right, &part[0]);
        CHECK(!memcmp(&left, &all, sizeof all) && !memcmp(&right, &all, sizeof all));
        CHECK_INT(6000, all.total);
}

TEST(sketch_bytes_round_trip_and_share_above)
{
        static struct vn_sketch sketch, back;
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_SKETCH_MAX_BYTES);
        vn_sketch_init(&sketch);
        CHECK_NEAR(0, vn_sketch_quantile_us(&sketch, 0.5), 0);
        vn_sketch_add(&sketch, -5, 1);
        vn_sketch_add(&sketch, INT64_MAX, 3);
        vn_sketch_add(&sketch, 80000, 300);
        vn_sketch_add(&sketch, 80000, UINT32_MAX); /* a full bucket stays full */
        vn_sketch_encode(&sketch, &bytes);
        CHECK_OK(vn_sketch_decode(vn_buf_view(&bytes), &back, NULL));
        CHECK(!memcmp(&sketch, &back, sizeof back));
        CHECK_NEAR(3.0 / (4 + (double)UINT32_MAX), vn_sketch_share_above(&sketch, 1000000), 1e-12);
        CHECK_NEAR(1, vn_sketch_share_above(&sketch, 1000), 1e-6);

        /* The widest sketch fits the stated maximum. */
        vn_buf_reset(&bytes);
        for (size_t i = 0; i < VN_SKETCH_BUCKETS; i++)
                sketch.count[i] = UINT32_MAX;
        vn_sketch_encode(&sketch, &bytes);
        CHECK_OK(vn_buf_check(&bytes, NULL));
}

TEST(sketch_refuses_hostile_bytes)
{
        static struct vn_sketch sketch;
        static const struct {
                const char *bytes;
                size_t n;
        } bad[] = {
                {"", 0},                                 /* nothing */
                {"\x02\x00\x01", 3},                     /* another version */
                {"\x01\x00", 2},                         /* gap without count */
                {"\x01\x00\x00", 3},                     /* a count of zero */
                {"\x01\x80\x00\x01", 4},                 /* overlong varint */
                {"\x01\xff\xff\xff\xff\x7f\x01", 7},     /* above 32 bits */
                {"\x01\xff\xff\xff\xff\x0f\x01", 7},     /* beyond the last bucket */
                {"\x01\xf8\x04\x01", 4},                 /* bucket 632 of 632 */
                {"\x01\x80\x80\x80\x80\x80\x80\x80", 8}, /* never ends */
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_sketch_decode(vn_str_n(bad[i].bytes, bad[i].n), &sketch, NULL));
        CHECK_OK(vn_sketch_decode(vn_str_n("\x01\xf7\x04\x01", 4), &sketch, NULL)); /* the last bucket */

        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (size_t i = 0; i < 5000; i++) {
                char noise[40] = {1};
                size_t n = 1 + vn_rng_below(&rng, sizeof noise - 1);
                for (size_t k = 1; k < n; k++)
                        noise[k] = (char)vn_rng_u64(&rng);
                if (vn_sketch_decode(vn_str_n(noise, n), &sketch, NULL) != VN_OK)
                        continue;
                VN_AUTO(vn_buf)
                again = VN_BUF_INIT(VN_SKETCH_MAX_BYTES);
                vn_sketch_encode(&sketch, &again);
                CHECK(again.len == n && !memcmp(again.ptr, noise, n)); /* one form for each sketch */
        }
}
