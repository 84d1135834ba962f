#include "tests/test.h"

#include <math.h>

#include "decide/attribution.h"
#include "decide/testing.h"

static const struct vn_live idle_live;
static const struct vn_weights even = {.7, 5e-5};

TEST(attribution_adds_up_to_the_margin)
{
        struct vn_rng rng;
        double worst = 0;
        vn_rng_seed(&rng, test_seed());
        for (unsigned i = 0; i < 3000; i++) {
                struct vn_features a = testing_features(&rng), b = testing_features(&rng);
                struct vn_attribution x, y;
                vn_attribute(&a, &b, &even, &x);
                double margin = vn_features_score(&b, &even) - vn_features_score(&a, &even);
                CHECK(x.margin == margin);
                worst = fabs(x.sum - margin) > worst ? fabs(x.sum - margin) : worst;
                vn_attribute(&b, &a, &even, &y); /* the other way round: every value changes its sign */
                for (unsigned g = 0; g < VN_FEATURE_GROUPS; g++)
                        CHECK_NEAR(-x.value[g], y.value[g], 1e-12);
        }
        CHECK(worst <= 1e-12);
}

TEST(attribution_gives_equal_features_exactly_nothing)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned g = 0; g < VN_FEATURE_GROUPS; g++) {
                struct vn_features a = testing_features(&rng), b = a;
                struct vn_attribution x;
                switch ((enum vn_group)g) {
                case VN_FEATURE_PRICE: b.rate *= 2; break;
                case VN_FEATURE_DURATION: b.mean_ms *= 2, b.tail_us *= 2; break;
                case VN_FEATURE_ROUNDING: b.rounding_ms += 9; break;
                case VN_FEATURE_REQUEST: b.request *= 2; break;
                case VN_FEATURE_EGRESS: b.egress *= 2; break;
                case VN_FEATURE_INIT: b.init *= 2; break;
                case VN_FEATURE_NETWORK: b.network_us *= 2; break;
                case VN_FEATURE_COLD: b.cold_chance /= 2, b.cold_us /= 2; break;
                case VN_FEATURE_ERRORS: b.error_rate *= 2; break;
                case VN_FEATURE_LOAD: b.load += .5f; break;
                }
                vn_attribute(&a, &b, &even, &x);
                for (unsigned i = 0; i < VN_FEATURE_GROUPS; i++)
                        CHECK(i == g ? x.value[i] != 0 : x.value[i] == 0);
                CHECK_NEAR(x.margin, x.value[g], 1e-12);
        }
}

TEST(attribution_survives_in_the_record_alone)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned i = 0; i < 200; i++) {
                VN_AUTO(vn_view)
                view = testing_view(2 + (uint32_t)vn_rng_below(&rng, 30), vn_rng_u64(&rng));
                struct vn_record r, back;
                struct vn_decision d;
                struct vn_attribution x;
                uint8_t bytes[VN_RECORD_MAX_BYTES];
                char sentence[VN_SENTENCE_BYTES], reason[64];
                size_t n;
                CHECK(view);
                view->policy.exploration = .2;
                CHECK_OK(vn_view_seal(view, NULL));
                struct vn_question q = testing_question(&rng);
                vn_decide(view, &q, &idle_live, &d);
                vn_record_of_route(view, &q, &idle_live, &d, &r);
                CHECK_OK(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
                CHECK_OK(vn_record_decode(vn_str_n(bytes, n), &back, NULL));
                vn_attribute_record(&back, &x);
                CHECK(x.margin == d.margin);
                CHECK_NEAR(d.margin, x.sum, 1e-9);
                CHECK(d.explored ? x.draw == -x.margin : x.draw == 0);
                vn_record_sentence(&back, sentence);
                CHECK(strstr(sentence, view->endpoint[d.choice].account));
                vn_decision_reason(&d, reason, sizeof reason);
                CHECK(reason[0]);
        }
}

TEST(exclusions_the_smallest_set_that_explains_a_lone_candidate)
{
        struct vn_record r = {.kind = VN_RECORD_ROUTE, .status = VN_DECIDED, .candidates = 5};
        char sentence[VN_SENTENCE_BYTES];
        CHECK_INT(0, vn_smallest_exclusions(&r));
        for (uint32_t i = 1; i < 5; i++)
                vn_bit_set(&r.excluded[VN_EXCLUDED_SLO], i);
        vn_bit_set(&r.excluded[VN_EXCLUDED_CLOUD], 1);
        vn_bit_set(&r.excluded[VN_EXCLUDED_BREAKER], 2);
        CHECK_INT(1u << VN_EXCLUDED_SLO, vn_smallest_exclusions(&r));
        r.excluded[VN_EXCLUDED_SLO].w[0] &= ~UINT64_C(2); /* the first one now needs the cloud rule */
        CHECK_INT(1u << VN_EXCLUDED_SLO | 1u << VN_EXCLUDED_CLOUD, vn_smallest_exclusions(&r));
        vn_record_sentence(&r, sentence);
        CHECK(strstr(sentence, "cloud, latency_slo"));
}

TEST(counterfactual_is_verified_and_smallest_among_its_kind)
{
        struct vn_rng rng;
        unsigned found = 0;
        vn_rng_seed(&rng, test_seed());
        for (unsigned i = 0; i < 100; i++) {
                VN_AUTO(vn_view)
                view = testing_view(2 + (uint32_t)vn_rng_below(&rng, 10), vn_rng_u64(&rng));
                VN_AUTO(vn_view)
                changed = NULL;
                struct vn_counterfactual c;
                struct vn_decision d, again;
                CHECK(view);
                CHECK_OK(vn_view_seal(view, NULL));
                struct vn_question q = testing_question(&rng);
                vn_decide(view, &q, &idle_live, &d);
                CHECK_OK(vn_counterfactual(view, &q, &idle_live, &d, &c, NULL));
                if (!c.found)
                        continue;
                found++;
                CHECK(c.verified && c.would_choose != d.choice && c.sentence[0] && c.factor > 0);
                CHECK(c.of_choice ? c.factor > 1 : c.factor < 1);
                if (c.group != VN_FEATURE_NETWORK)
                        continue;
                /* Independently: the change does it, nine tenths of the change do not. */
                CHECK_OK(vn_view_clone(view, &changed, NULL));
                uint32_t who = c.of_choice ? d.choice : d.runner_up;
                double old = view->endpoint[who].network_us;
                changed->endpoint[who].network_us = old * c.factor;
                CHECK_OK(vn_view_seal(changed, NULL));
                vn_decide(changed, &q, &idle_live, &again);
                CHECK_INT(c.would_choose, again.choice);
                changed->endpoint[who].network_us = old * (1 + .9 * (c.factor - 1));
                CHECK_OK(vn_view_seal(changed, NULL));
                vn_decide(changed, &q, &idle_live, &again);
                CHECK_INT(d.choice, again.choice);
        }
        CHECK(found > 80);
}

static enum vn_rc counterfactual_once(void)
{
        VN_AUTO(vn_view)
        view = testing_view(4, 2);
        struct vn_counterfactual c;
        struct vn_decision d;
        struct vn_question q = {.id = {1, 1, 1}, .time_us = TESTING_EPOCH_US, .payload_bytes = 1000};
        if (!view)
                return VN_RESOURCE_EXHAUSTED;
        VN_TRY(vn_view_seal(view, NULL));
        vn_decide(view, &q, &idle_live, &d);
        return vn_counterfactual(view, &q, &idle_live, &d, &c, NULL);
}

TEST(counterfactual_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(counterfactual_once);
}
