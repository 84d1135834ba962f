/* The closed form against the definition: every set of groups, weighed by |S|!(n-|S|-1)!/n!. */
#include "tests/test.h"

#include <math.h>

#include "decide/attribution.h"
#include "decide/testing.h"

#define MAX_PLAYERS 12

/* Exact Shapley values of any game; v has 2^players entries, index = bit set. */
static void shapley(const double *v, unsigned players, double *ret)
{
        double by_size[MAX_PLAYERS];
        by_size[0] = 1.0 / players; /* 0!(n-1)!/n! */
        for (unsigned s = 1; s < players; s++)
                by_size[s] = by_size[s - 1] * s / (players - s);
        for (unsigned i = 0; i < players; i++) {
                ret[i] = 0;
                for (uint32_t set = 0; set < 1u << players; set++)
                        if (!(set >> i & 1))
                                ret[i] += by_size[__builtin_popcount(set)] * (v[set | 1u << i] - v[set]);
        }
}

TEST(shapley_of_known_games)
{
        /* Glove game: players 0 and 1 hold left gloves, 2 the right one: 1/6, 1/6, 2/3. */
        double v[8] = {0, 0, 0, 0, 0, 1, 1, 1}, phi[MAX_PLAYERS];
        shapley(v, 3, phi);
        CHECK_NEAR(1.0 / 6, phi[0], 1e-15);
        CHECK_NEAR(1.0 / 6, phi[1], 1e-15);
        CHECK_NEAR(2.0 / 3, phi[2], 1e-15);
        double one[2] = {3, 5};
        shapley(one, 1, phi);
        CHECK_NEAR(2, phi[0], 0);
}

TEST(shapley_is_efficient_symmetric_linear_and_zero_for_dummies)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned n = 2; n <= MAX_PLAYERS; n++) {
                static double v[4096], w[4096], mix[4096];
                double a[12], b[12], c[12], sum = 0;
                for (uint32_t s = 0; s < 1u << n; s++) {
                        /* Player 0 is a dummy; players n-1 and n-2 are alike, in v. */
                        uint32_t t = s & ~1u, hi = t >> (n - 2) & 3;
                        if (n > 3 && hi == 2)
                                t = (t & ~(3u << (n - 2))) | 1u << (n - 2);
                        v[s] = t == s ? vn_rng_unit(&rng) : v[t];
                        w[s] = vn_rng_unit(&rng);
                        mix[s] = 2 * v[s] - 3 * w[s];
                }
                shapley(v, n, a);
                shapley(w, n, b);
                shapley(mix, n, c);
                for (unsigned i = 0; i < n; i++) {
                        sum += a[i];
                        CHECK_NEAR(2 * a[i] - 3 * b[i], c[i], 1e-13);
                }
                CHECK_NEAR(v[(1u << n) - 1] - v[0], sum, 1e-13);
                CHECK(a[0] == 0);
                if (n > 3)
                        CHECK_NEAR(a[n - 1], a[n - 2], 1e-13);
        }
}

/* The features of a mixed candidate: groups of the set from the choice, the rest from the other. */
static struct vn_features mixed(const struct vn_features *choice, const struct vn_features *other, uint32_t set)
{
        struct vn_features f = *other;
        for (unsigned g = 0; g < VN_FEATURE_GROUPS; g++) {
                if (!(set >> g & 1))
                        continue;
                switch ((enum vn_group)g) {
                case VN_FEATURE_PRICE: f.rate = choice->rate; break;
                case VN_FEATURE_DURATION: f.mean_ms = choice->mean_ms, f.tail_us = choice->tail_us; break;
                case VN_FEATURE_ROUNDING: f.rounding_ms = choice->rounding_ms; break;
                case VN_FEATURE_REQUEST: f.request = choice->request; break;
                case VN_FEATURE_EGRESS: f.egress = choice->egress; break;
                case VN_FEATURE_INIT: f.init = choice->init; break;
                case VN_FEATURE_NETWORK: f.network_us = choice->network_us; break;
                case VN_FEATURE_COLD: f.cold_chance = choice->cold_chance, f.cold_us = choice->cold_us; break;
                case VN_FEATURE_ERRORS: f.error_rate = choice->error_rate; break;
                case VN_FEATURE_LOAD: f.load = choice->load; break;
                }
        }
        return f;
}

TEST(closed_form_is_the_definition)
{
        static double v[1u << VN_FEATURE_GROUPS];
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned i = 0; i < 300; i++) {
                struct vn_features a = testing_features(&rng), b = testing_features(&rng);
                const struct vn_weights w = {vn_rng_unit(&rng), vn_rng_unit(&rng) * 1e-4};
                struct vn_attribution x;
                double expected[VN_FEATURE_GROUPS], base = vn_features_score(&b, &w);
                for (uint32_t set = 0; set < 1u << VN_FEATURE_GROUPS; set++) {
                        struct vn_features f = mixed(&a, &b, set);
                        v[set] = base - vn_features_score(&f, &w);
                }
                shapley(v, VN_FEATURE_GROUPS, expected);
                vn_attribute(&a, &b, &w, &x);
                for (unsigned g = 0; g < VN_FEATURE_GROUPS; g++)
                        CHECK_NEAR(expected[g], x.value[g], 1e-11);
        }
}
