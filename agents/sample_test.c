#include "agents/sample.h"

#include "base/hash.h"
#include "tests/test.h"

#define MINUTE INT64_C(60000000)

static struct vn_sampler *sampler(uint32_t one_in, uint32_t cap, uint64_t seed)
{
        const struct vn_sample_config config = {one_in, cap, MINUTE, 100, seed};
        struct vn_sampler *s = NULL;
        CHECK_OK(vn_sampler_new(&config, &s, NULL));
        return s;
}

/* 3,000 lines of three functions over three minutes: every seventh an error, one function far dearer than the others. */
struct totals {
        double count, sum;
        uint64_t always, kept;
};
#define LINES 3000
static double value_of(unsigned i)
{
        return 1 + i % 97;
}

static struct totals run(uint32_t cap, uint64_t seed)
{
        struct totals t = {0};
        VN_AUTO(vn_sampler)
        s = sampler(10, cap, seed);
        for (unsigned i = 0; i < LINES; i++) {
                bool error = i % 7 == 0;
                uint64_t function = 1 + i % 3;
                vn_sampler_cost(s, function, function == 2 ? 50 : 1);
                uint32_t weight = vn_sampler_weight(s, function, i, (int64_t)i * 3 * MINUTE / LINES, error);
                CHECK(!error || weight == 1);
                t.count += weight;
                t.sum += weight * value_of(i);
                t.always += error && weight;
                t.kept += weight > 0;
        }
        return t;
}

static void check_unbiased(uint32_t cap)
{
        enum { SEEDS = 400 };
        double count = 0, count2 = 0, sum = 0, sum2 = 0, exact = 0;
        for (unsigned i = 0; i < LINES; i++)
                exact += value_of(i);
        uint64_t seed = test_seed();
        for (unsigned k = 0; k < SEEDS; k++) {
                struct totals t = run(cap, vn_hash64(&k, sizeof k, seed));
                CHECK_INT((LINES + 6) / 7, t.always);
                count += t.count, count2 += t.count * t.count;
                sum += t.sum, sum2 += t.sum * t.sum;
        }
        count /= SEEDS, sum /= SEEDS;
        /* Five standard errors of the mean over the seeds; squared, to do without a root. */
        double of_count = (count2 / SEEDS - count * count) / SEEDS, of_sum = (sum2 / SEEDS - sum * sum) / SEEDS;
        CHECK((count - LINES) * (count - LINES) <= 25 * of_count);
        CHECK((sum - exact) * (sum - exact) <= 25 * of_sum);
        CHECK(of_count > 0 && of_count < LINES); /* it was drawn, and is no guess */
}

TEST(sample_counts_and_sums_are_unbiased_and_errors_exact)
{
        check_unbiased(100000);
}

TEST(sample_stays_unbiased_where_the_bound_halves_the_rates)
{
        check_unbiased(40);
}

TEST(sample_keeps_a_tenth_and_stays_near_its_bound)
{
        uint64_t seed = test_seed(), kept = 0, bounded = 0;
        for (unsigned k = 0; k < 50; k++) {
                kept += run(100000, seed + k).kept;
                bounded += run(40, seed + k).kept;
        }
        /* 429 errors and a tenth of 2,571; the rates by cost round down. */
        CHECK_NEAR(429 + 257, (double)kept / 50, 60);
        CHECK((double)bounded / 50 < 429 + 3 * 50);
}

TEST(sample_decides_the_same_record_alike)
{
        VN_AUTO(vn_sampler)
        s = sampler(10, 100000, 5);
        VN_AUTO(vn_sampler)
        dense = sampler(3, 100000, 5);
        unsigned kept = 0;
        for (uint64_t i = 0; i < 2000; i++) {
                uint32_t first = vn_sampler_weight(s, 1, i, 1, false);
                CHECK_INT(first, vn_sampler_weight(s, 1, i, 1, false));
                CHECK(!first || vn_sampler_weight(dense, 1, i, 1, false)); /* a higher rate keeps it too */
                kept += first > 0;
        }
        CHECK_NEAR(200, kept, 70);
}

TEST(sample_gives_more_to_what_costs_more)
{
        VN_AUTO(vn_sampler)
        s = sampler(10, 1000, 5);
        for (unsigned i = 0; i < 1000; i++) {
                vn_sampler_cost(s, 1, 1);
                vn_sampler_cost(s, 2, 200);
                CHECK(vn_sampler_weight(s, 1, i, 1, false) <= 10);
                CHECK(vn_sampler_weight(s, 2, i, 1, false) <= 10);
        }
        CHECK_INT(10, vn_sampler_one_in(s, 1));
        CHECK(vn_sampler_weight(s, 1, 0, MINUTE, true) == 1); /* a new interval */
        /* Half of the 200 lines by traffic, half by cost: 50.5 and 149.5 of 1,000 each. */
        CHECK_INT(20, vn_sampler_one_in(s, 1));
        CHECK_INT(7, vn_sampler_one_in(s, 2));
        CHECK_INT(10, vn_sampler_one_in(s, 3));
}

TEST(sample_has_bounds)
{
        struct vn_sampler *none = NULL;
        const struct vn_sample_config bad[] = {
                {0, 1, 1, 1, 1}, {1001, 1, 1, 1, 1}, {1, 0, 1, 1, 1}, {1, 1, 0, 1, 1}, {1, 1, 1, 0, 1}};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_sampler_new(&bad[i], &none, NULL));
        VN_AUTO(vn_sampler)
        s = sampler(2, 100, 5);
        unsigned kept = 0;
        for (uint64_t f = 0; f < 5000; f++) /* far more functions than have a rate, and lines than there is room */
                kept += vn_sampler_weight(s, f * 7919, f, 1, false) > 0;
        CHECK(kept >= 50 && kept < 300);
}

static enum vn_rc make(void)
{
        const struct vn_sample_config config = {10, 10, 1, 10, 1};
        VN_AUTO(vn_sampler)
        s = NULL;
        return vn_sampler_new(&config, &s, NULL);
}

TEST(sample_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(make);
}
