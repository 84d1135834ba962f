#include "base/detmath.h"
#include "base/hash.h"
#include "federation/aggregate.h"
#include "tests/test.h"

static enum vn_rc fedavg(const struct vn_update *updates, size_t count, size_t n, unsigned threads, float *ret)
{
        return vn_aggregate(vn_strategy_find("fedavg"), updates, count, n, threads, ret, NULL);
}

/* The vectors that the field's own tests use: weights 1 and 2. */
TEST(fedavg_gives_the_known_averages)
{
        static const float a[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10}, b[] = {29, 23, 19, 17, 13, 11, 7, 5, 3, 2};
        static const double want[] = {19.6667, 16, 13.6667, 12.6667, 10.3333, 9.3333, 7, 6, 5, 4.6667};
        struct vn_update updates[] = {{"a", 1, a}, {"b", 2, b}};
        float ret[10];
        CHECK_OK(fedavg(updates, 2, 10, 1, ret));
        for (int i = 0; i < 10; i++)
                CHECK_NEAR(want[i], (double)ret[i], 5e-5);
}

enum { UPDATES = 23, N = 40000 };

static float *random_updates(struct vn_update *updates, char names[UPDATES][8])
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        float *values = vn_alloc_array((size_t)UPDATES * N, sizeof(float));
        for (size_t i = 0; i < (size_t)UPDATES * N; i++)
                values[i] = (float)(vn_rng_normal(&rng) * vn_exp(6 * vn_rng_normal(&rng)));
        for (size_t k = 0; k < UPDATES; k++) {
                snprintf(names[k], 8, "acc%03zu", k);
                updates[k] = (struct vn_update){names[k], (double)(1 + vn_rng_below(&rng, 1000)), values + k * N};
        }
        return values;
}

TEST(fedavg_bits_do_not_depend_on_order_or_threads)
{
        struct vn_update updates[UPDATES];
        char names[UPDATES][8];
        float *values = random_updates(updates, names);
        float *first = vn_alloc_array(N, sizeof(float)), *again = vn_alloc_array(N, sizeof(float));
        CHECK_OK(fedavg(updates, UPDATES, N, 1, first));
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned turn = 0; turn < 12; turn++) {
                for (size_t i = UPDATES; i > 1; i--) {
                        size_t j = vn_rng_below(&rng, i);
                        struct vn_update held = updates[i - 1];
                        updates[i - 1] = updates[j], updates[j] = held;
                }
                memset(again, 0xff, N * sizeof(float));
                CHECK_OK(fedavg(updates, UPDATES, N, turn % 7, again));
                CHECK(!memcmp(first, again, N * sizeof(float)));
        }
        vn_free(values);
        vn_free(first);
        vn_free(again);
}

/* The vectorised loop against the plainest one that can be written. */
TEST(fedavg_is_the_plain_sum_in_order_of_account)
{
        struct vn_update updates[UPDATES];
        char names[UPDATES][8];
        float *values = random_updates(updates, names), *ret = vn_alloc_array(N, sizeof(float));
        for (size_t count = 1; count <= UPDATES; count += count < 9 ? 1 : 7) {
                CHECK_OK(fedavg(updates, count, N, 2, ret));
                for (size_t i = 0; i < N; i++) {
                        double sum = 0, weight = 0;
                        for (size_t k = 0; k < count; k++) {
                                sum += updates[k].weight * (double)updates[k].values[i];
                                weight += updates[k].weight;
                        }
                        float plain = (float)(sum / weight);
                        CHECK(!memcmp(&plain, &ret[i], 4));
                }
        }
        vn_free(values);
        vn_free(ret);
}

TEST(fedavg_refuses_what_makes_no_average)
{
        static const float one[] = {1}, big[] = {3e38f}, infinite[] = {(float)(1e300 * 1e10)};
        float ret[1];
        struct vn_update updates[] = {{"a", 1, one}, {"a", 1, one}};
        CHECK_RC(VN_INVALID_ARGUMENT, fedavg(updates, 0, 1, 1, ret));
        CHECK_RC(VN_INVALID_ARGUMENT, fedavg(updates, 2, 1, 1, ret)); /* twice the same account */
        static const double weights[] = {0, -1, 1e16, 1e300 * 1e10};
        for (size_t i = 0; i < 4; i++) {
                updates[0].weight = weights[i];
                CHECK_RC(VN_INVALID_ARGUMENT, fedavg(updates, 1, 1, 1, ret));
        }
        updates[0] = (struct vn_update){"a", 1e15, big};
        CHECK_OK(fedavg(updates, 1, 1, 1, ret)); /* no overflow on the way */
        CHECK_NEAR(3e38, (double)ret[0], 1e32);
        updates[0] = (struct vn_update){"a", 1, infinite};
        CHECK_RC(VN_OUT_OF_RANGE, fedavg(updates, 1, 1, 1, ret));
        CHECK(!vn_strategy_find("krum"));
}

static enum vn_rc pass(void)
{
        static const float one[] = {1};
        struct vn_update update = {"a", 1, one};
        float ret[1];
        return fedavg(&update, 1, 1, 1, ret);
}

TEST(fedavg_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(pass);
}
