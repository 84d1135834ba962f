#include <stdlib.h>

#include "base/detmath.h"
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

/* Each a shape that a sketch could get wrong. */
static int64_t even_us(struct vn_rng *rng, size_t i)
{
        (void)i;
        return draw_us(rng);
}

static int64_t two_peaks_us(struct vn_rng *rng, size_t i)
{
        return i % 100 < 51 ? 1000 + (int64_t)vn_rng_below(rng, 3) : 60 * INT64_C(1000000000);
}

static int64_t heavy_tail_us(struct vn_rng *rng, size_t i)
{
        (void)i;
        return (int64_t)(200 / vn_exp(1.5 * vn_log(1 - vn_rng_unit(rng) * 0.99999999)));
}

static int64_t bucket_edges_us(struct vn_rng *rng, size_t i)
{
        (void)i;
        return (int64_t)vn_exp(0.020000666706669 * (double)(300 + vn_rng_below(rng, 900))) +
               (int64_t)vn_rng_below(rng, 2);
}

static int64_t all_the_same_us(struct vn_rng *rng, size_t i)
{
        (void)rng, (void)i;
        return 123457;
}

TEST(sketch_quantiles_are_within_one_percent)
{
        static int64_t (*const shapes[])(struct vn_rng *, size_t) = {even_us, two_peaks_us, heavy_tail_us,
                                                                     bucket_edges_us, all_the_same_us};
        enum { N = 5000 };
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        int64_t *values = vn_alloc_array(N, sizeof *values);
        for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
                static struct vn_sketch sketch;
                vn_sketch_init(&sketch);
                for (size_t i = 0; i < N; i++) {
                        values[i] = shapes[s](&rng, i);
                        vn_sketch_add(&sketch, values[i], 1);
                }
                qsort(values, N, sizeof *values, by_value);
                for (unsigned permille = 0; permille <= 1000; permille++) {
                        double q = permille / 1000.0, exact = (double)values[(size_t)(q * (N - 1))];
                        if (exact < 200)
                                continue; /* whole microseconds are coarser than the sketch there */
                        CHECK_NEAR(exact, vn_sketch_quantile_us(&sketch, q), exact * 0.01);
                }
        }
        vn_free(values);
}

TEST(sketch_weights_count_as_often_as_they_stand_for)
{
        static struct vn_sketch one_by_one, weighed;
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        vn_sketch_init(&one_by_one);
        vn_sketch_init(&weighed);
        for (size_t i = 0; i < 500; i++) {
                int64_t us = draw_us(&rng);
                uint32_t weight = 1 + (uint32_t)vn_rng_below(&rng, 40);
                vn_sketch_add(&weighed, us, weight);
                for (uint32_t k = 0; k < weight; k++)
                        vn_sketch_add(&one_by_one, us, 1);
        }
        CHECK(!memcmp(&one_by_one, &weighed, sizeof weighed));
}

TEST(sketch_reads_the_older_form)
{
        static struct vn_sketch sketch;
        /* Version 1, bucket 288: its middle is 1.02 * gamma^288 = 102.9 ms. */
        CHECK_OK(vn_sketch_decode(vn_str_n("\x01\xa0\x02\x05\x9f\x01\x02", 7), &sketch, NULL));
        CHECK_INT(7, sketch.total);
        CHECK_NEAR(102882, vn_sketch_quantile_us(&sketch, 0.1), 0.03 * 102882);
        CHECK(vn_sketch_quantile_us(&sketch, 1) > 5e7);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_sketch_decode(vn_str_n("\x01\xf8\x04\x01", 4), &sketch, NULL));
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
                {"\x03\x00\x01", 3},                     /* another version */
                {"\x02\x00", 2},                         /* gap without count */
                {"\x02\x00\x00", 3},                     /* a count of zero */
                {"\x02\x80\x00\x01", 4},                 /* overlong varint */
                {"\x02\xff\xff\xff\xff\x7f\x01", 7},     /* above 32 bits */
                {"\x02\xff\xff\xff\xff\x0f\x01", 7},     /* beyond the last bucket */
                {"\x02\xf0\x09\x01", 4},                 /* bucket 1264 of 1264 */
                {"\x02\x80\x80\x80\x80\x80\x80\x80", 8}, /* never ends */
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_sketch_decode(vn_str_n(bad[i].bytes, bad[i].n), &sketch, NULL));
        CHECK_OK(vn_sketch_decode(vn_str_n("\x02\xef\x09\x01", 4), &sketch, NULL)); /* the last bucket */

        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (size_t i = 0; i < 5000; i++) {
                char noise[40] = {2};
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
