#include "tests/test.h"

#include "decide/testing.h"

static const struct vn_live idle_live;

static struct vn_view *sealed(uint32_t count, uint64_t seed)
{
        struct vn_view *view = testing_view(count, seed);
        CHECK(view);
        CHECK_OK(vn_view_seal(view, NULL));
        return view;
}

TEST(decide_same_inputs_same_bits_and_scores_match_features)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned round = 0; round < 200; round++) {
                VN_AUTO(vn_view)
                view = sealed(1 + (uint32_t)vn_rng_below(&rng, VN_VIEW_MAX_ENDPOINTS), vn_rng_u64(&rng));
                struct vn_question q = testing_question(&rng);
                struct vn_decision a, b;
                memset(&a, 0xaa, sizeof a);
                memset(&b, 0x55, sizeof b);
                vn_decide(view, &q, &idle_live, &a);
                vn_decide(view, &q, &idle_live, &b);
                CHECK(a.choice == b.choice && a.runner_up == b.runner_up);
                CHECK(!memcmp(&a.score, &b.score, sizeof a.score) &&
                      !memcmp(&a.features, &b.features, sizeof a.features));
                CHECK(!memcmp(a.excluded, b.excluded, sizeof a.excluded));
                CHECK_INT(VN_DECIDED, a.status);
                /* No feasible candidate scores below the choice, and the runner-up is the best of the others. */
                for (uint32_t i = 0; i < view->count; i++) {
                        struct vn_features f;
                        vn_decide_features(view, &q, &idle_live, i, &f);
                        double s = vn_features_score(&f, &a.weights);
                        CHECK(a.excluded[i] || s >= a.score);
                        CHECK(a.excluded[i] || i == a.choice || s >= a.runner_up_score);
                        if (i == a.choice)
                                CHECK(s == a.score && a.cost == vn_features_cost(&f));
                }
                CHECK(a.margin >= 0 && a.confidence >= .5f && a.confidence <= 1);
                CHECK(a.risk.combined >= 0 && a.risk.combined <= 1);
        }
}

TEST(decide_order_of_candidates_does_not_matter)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned round = 0; round < 300; round++) {
                uint32_t n = 2 + (uint32_t)vn_rng_below(&rng, 40);
                VN_AUTO(vn_view)
                a = testing_view(n, vn_rng_u64(&rng));
                VN_AUTO(vn_view)
                b = NULL;
                CHECK(a);
                a->policy.exploration = round % 3 == 0 ? .2 : 0;
                a->paused = round % 7 == 0;
                if (round % 5 == 0) /* a tie */
                        for (uint32_t i = 0; i < n; i++) {
                                uint64_t id = a->endpoint[i].id;
                                a->endpoint[i] = a->endpoint[0];
                                a->endpoint[i].id = id;
                        }
                CHECK_OK(vn_view_clone(a, &b, NULL));
                for (uint32_t i = n - 1; i > 0; i--) {
                        uint32_t j = (uint32_t)vn_rng_below(&rng, i + 1);
                        struct vn_endpoint swap = b->endpoint[i];
                        b->endpoint[i] = b->endpoint[j];
                        b->endpoint[j] = swap;
                }
                CHECK_OK(vn_view_seal(a, NULL));
                CHECK_OK(vn_view_seal(b, NULL));
                struct vn_question q = testing_question(&rng);
                struct vn_decision da, db;
                vn_decide(a, &q, &idle_live, &da);
                vn_decide(b, &q, &idle_live, &db);
                CHECK(a->endpoint[da.choice].id == b->endpoint[db.choice].id);
                CHECK_INT(da.explored, db.explored);
                CHECK(da.score == db.score);
        }
}

TEST(decide_dearer_or_slower_is_never_preferred)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned round = 0; round < 400; round++) {
                VN_AUTO(vn_view)
                before = testing_view(2 + (uint32_t)vn_rng_below(&rng, 20), vn_rng_u64(&rng));
                VN_AUTO(vn_view)
                after = NULL;
                CHECK(before);
                CHECK_OK(vn_view_clone(before, &after, NULL));
                uint32_t i = (uint32_t)vn_rng_below(&rng, before->count);
                struct vn_endpoint *e = &after->endpoint[i];
                double up = 1 + vn_rng_unit(&rng);
                switch (round % 7) {
                case 0: e->usd_per_gb_s *= up, e->usd_per_gb_s_next *= up; break;
                case 1: e->request_usd *= up; break;
                case 2: e->network_us *= up; break;
                case 3: e->cold_us *= up; break;
                case 4: e->error_rate *= up; break;
                case 5: e->egress_usd_per_gb *= up; break;
                case 6: e->minimum_us += 50000; break;
                }
                CHECK_OK(vn_view_seal(before, NULL));
                CHECK_OK(vn_view_seal(after, NULL));
                struct vn_question q = testing_question(&rng);
                struct vn_decision a, b;
                vn_decide(before, &q, &idle_live, &a);
                vn_decide(after, &q, &idle_live, &b);
                CHECK(a.choice == i || b.choice != i); /* what was not chosen is not chosen for getting worse */
        }
}

TEST(decide_each_exclusion_excludes_and_is_named)
{
        for (unsigned e = 0; e < VN_EXCLUSION_COUNT; e++) {
                VN_AUTO(vn_view)
                view = testing_view(3, 5);
                struct vn_live live = {.breaker_open = {{0, 0}}};
                struct vn_question q = {.id = {1, 0, 1}, .time_us = TESTING_EPOCH_US, .payload_bytes = 100};
                struct vn_decision d;
                CHECK(view);
                struct vn_endpoint *x = &view->endpoint[1]; /* Azure, westeurope */
                switch ((enum vn_exclusion)e) {
                case VN_EXCLUDED_CLOUD: view->policy.clouds = 1u << VN_PROVIDER_AWS | 1u << VN_PROVIDER_GCP; break;
                case VN_EXCLUDED_REGION:
                        view->policy.region_count = 2;
                        snprintf(view->policy.regions[0], 48, "us-east-1");
                        snprintf(view->policy.regions[1], 48, "gcp:europe-west1");
                        break;
                case VN_EXCLUDED_RESIDENCY:
                        snprintf(x->region, sizeof x->region, "nowhere");
                        snprintf(view->endpoint[0].region, sizeof x->region, "eu-central-1");
                        view->policy.residency = 1u << VN_RESIDENCY_EU;
                        break;
                case VN_EXCLUDED_OBSERVE: x->flags |= VN_ENDPOINT_OBSERVE_ONLY; break;
                case VN_EXCLUDED_CALLER: vn_bit_set(&q.caller_excluded, 1); break;
                case VN_EXCLUDED_PAUSED: x->flags |= VN_ENDPOINT_PAUSED; break;
                case VN_EXCLUDED_UNHEALTHY: x->flags |= VN_ENDPOINT_UNHEALTHY; break;
                case VN_EXCLUDED_BREAKER: vn_bit_set(&live.breaker_open, 1); break;
                case VN_EXCLUDED_THROTTLED: x->tokens = 4, live.assigned[1] = 4; break;
                case VN_EXCLUDED_MEMORY: x->need_mb = 513; break;
                case VN_EXCLUDED_SLO: view->policy.latency_slo_ms = 1e4, x->network_us = 2e7; break;
                }
                CHECK_OK(vn_view_seal(view, NULL));
                vn_decide(view, &q, &live, &d);
                CHECK_INT(1u << e, d.excluded[1]);
                CHECK_INT(0, d.excluded[0] | d.excluded[2]);
                CHECK_INT(2, d.feasible);
                CHECK(d.choice != 1 && d.runner_up != 1);
                CHECK(strcmp(vn_exclusion_name((enum vn_exclusion)e), "unknown"));
        }
}

TEST(decide_falls_back_to_the_declared_split_within_the_law)
{
        VN_AUTO(vn_view)
        view = testing_view(6, 11);
        unsigned seen[VN_PROVIDER_COUNT] = {0, 0, 0};
        double share[VN_PROVIDER_COUNT];
        CHECK(view);
        view->policy.fallback[0] = .6, view->policy.fallback[1] = .3, view->policy.fallback[2] = .1;
        view->policy.clouds = 1u << VN_PROVIDER_AWS | 1u << VN_PROVIDER_AZURE; /* law: never GCP */
        view->policy.latency_slo_ms = 1;                                       /* nothing can keep this */
        view->endpoint[0].flags |= VN_ENDPOINT_UNHEALTHY;                      /* AWS has another one */
        CHECK_OK(vn_view_seal(view, NULL));
        vn_decide_split(view, share);
        CHECK_NEAR(2.0 / 3, share[0], 1e-12);
        CHECK_NEAR(0, share[2], 0);
        for (unsigned i = 0; i < 3000; i++) {
                struct vn_question q = {.id = {9, 1, i}, .time_us = TESTING_EPOCH_US};
                struct vn_decision d;
                vn_decide(view, &q, &idle_live, &d);
                CHECK_INT(VN_DECIDED_SPLIT, d.status);
                CHECK(d.choice != 0 && d.runner_up == VN_NO_CANDIDATE && d.feasible == 0);
                seen[view->endpoint[d.choice].provider]++;
        }
        CHECK(seen[0] > 1850 && seen[0] < 2150 && seen[2] == 0);

        for (uint32_t i = 0; i < 6; i++)
                view->endpoint[i].flags |= VN_ENDPOINT_OBSERVE_ONLY;
        CHECK_OK(vn_view_seal(view, NULL));
        struct vn_question q = {.id = {9, 1, 1}, .time_us = TESTING_EPOCH_US};
        struct vn_decision d;
        vn_decide(view, &q, &idle_live, &d);
        CHECK_INT(VN_DECIDED_NONE, d.status);
        CHECK(d.choice == VN_NO_CANDIDATE);
}

TEST(decide_explores_the_declared_share_by_the_id_alone)
{
        VN_AUTO(vn_view)
        view = testing_view(4, 3);
        unsigned explored = 0, chosen[4] = {0};
        CHECK(view);
        view->policy.exploration = .1;
        CHECK_OK(vn_view_seal(view, NULL));
        for (unsigned i = 0; i < 20000; i++) {
                struct vn_question q = {.id = {77, 2, i}, .time_us = TESTING_EPOCH_US};
                struct vn_decision d;
                vn_decide(view, &q, &idle_live, &d);
                explored += d.explored;
                chosen[d.choice]++;
                if (d.explored)
                        CHECK(d.runner_up == d.best && d.choice != d.best && d.margin <= 0);
        }
        CHECK(explored > 1350 && explored < 1650); /* three in four draws meet another one */
        for (unsigned i = 0; i < 4; i++)
                CHECK(chosen[i] > 350);
}

TEST(decide_warm_wins_over_a_little_cheaper_and_live_moves_it_on)
{
        VN_AUTO(vn_view)
        view = testing_view(2, 8);
        struct vn_question q = {.id = {1, 1, 1}, .time_us = TESTING_EPOCH_US + 1000000};
        struct vn_decision d;
        struct vn_live live = {.breaker_open = {{0, 0}}};
        CHECK(view);
        uint64_t other = view->endpoint[1].id;
        view->endpoint[1] = view->endpoint[0];
        view->endpoint[1].id = other;
        view->endpoint[0].last_call_us = TESTING_EPOCH_US - 20000000000; /* cold for long, 1 % cheaper */
        view->endpoint[0].usd_per_gb_s *= .99;
        view->endpoint[1].last_call_us = TESTING_EPOCH_US - 1000000;
        view->endpoint[1].tokens = 5;
        CHECK_OK(vn_view_seal(view, NULL));
        for (unsigned i = 0; i < 5; i++) {
                vn_decide(view, &q, &live, &d);
                CHECK_INT(1, d.choice);
                vn_live_assigned(&live, d.choice);
        }
        vn_decide(view, &q, &live, &d); /* the tokens of this epoch are spent */
        CHECK_INT(0, d.choice);
        CHECK_INT(1u << VN_EXCLUDED_THROTTLED, d.excluded[1]);
        vn_live_finished(&live, 1);
        CHECK_INT(4, live.in_flight[1]);
}

TEST(decide_prices_the_next_call_past_a_border)
{
        VN_AUTO(vn_view)
        view = testing_view(1, 8);
        struct vn_question q = {.id = {1, 1, 1}, .time_us = TESTING_EPOCH_US};
        struct vn_live live = {.breaker_open = {{0, 0}}};
        struct vn_features f;
        CHECK(view);
        struct vn_endpoint *e = &view->endpoint[0];
        e->usd_per_gb_s = 0; /* grant left */
        e->usd_per_gb_s_next = 2e-5;
        e->border_s = 1;
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                for (unsigned i = 0; i < VN_VIEW_QUANTILES; i++)
                        e->duration_us[k][i] = 150000;
        e->rounding_us = 100000;
        e->minimum_us = 0;
        CHECK_OK(vn_view_seal(view, NULL));
        vn_decide_features(view, &q, &live, 0, &f);
        CHECK_NEAR(150, (double)f.mean_ms, 1e-3);
        CHECK_NEAR(50, (double)f.rounding_ms, 1e-3); /* 150 ms are billed as 200 */
        CHECK_NEAR(0, (double)f.rate, 0);
        live.assigned[0] = 5; /* five calls of 200 ms use up the second */
        vn_decide_features(view, &q, &live, 0, &f);
        CHECK_NEAR(2e-5 * .5 * 1e3, (double)f.rate, 1e-8);
}

TEST(decide_spent_budget_decides_by_cost_alone)
{
        VN_AUTO(vn_view)
        view = testing_view(12, 21);
        struct vn_question q = {.id = {1, 1, 1}, .time_us = TESTING_EPOCH_US, .payload_bytes = 9000};
        struct vn_decision d;
        CHECK(view);
        view->policy.cost_weight = 0, view->policy.latency_weight = 1;
        view->policy.budget_usd_per_day = 10;
        view->spent_usd = 10;
        for (uint32_t i = 0; i < view->count; i++)
                view->endpoint[i].error_rate = 0;
        CHECK_OK(vn_view_seal(view, NULL));
        vn_decide(view, &q, &idle_live, &d);
        CHECK(d.over_budget);
        for (uint32_t i = 0; i < view->count; i++) {
                struct vn_features f;
                vn_decide_features(view, &q, &idle_live, i, &f);
                CHECK(vn_features_cost(&f) * 1.01 >= d.cost);
        }
}

/* Bits since decide_version 1, and of version 2's risk. A change here needs a new VN_DECIDE_VERSION. */
TEST(decide_recorded_cases_keep_their_bits)
{
        uint64_t choices = 0, risks = 0;
        struct vn_rng rng;
        vn_rng_seed(&rng, 20261124);
        for (unsigned i = 0; i < 64; i++) {
                VN_AUTO(vn_view)
                view = testing_view(1 + i * 2 % 128, i);
                CHECK(view);
                view->policy.exploration = .1;
                view->policy.latency_slo_ms = i % 4 ? 0 : 700;
                if (i % 3)
                        view->calibration = (struct vn_calibration){.6 + .01 * i, .05 * i - 1, i};
                CHECK_OK(vn_view_seal(view, NULL));
                struct vn_question q = testing_question(&rng);
                struct vn_decision d;
                vn_decide(view, &q, &idle_live, &d);
                choices = vn_hash64(&d.choice, sizeof d.choice, choices);
                choices = vn_hash64(&d.score, sizeof d.score, choices);
                choices = vn_hash64(&d.margin, sizeof d.margin, choices);
                choices = vn_hash64(&d.features, sizeof d.features, choices);
                choices = vn_hash64(&d.confidence, sizeof d.confidence, choices);
                risks = vn_hash64(d.risk.part, sizeof d.risk.part, risks);
                risks = vn_hash64(&d.risk.combined, sizeof d.risk.combined, risks);
        }
        if (choices != UINT64_C(0x09f15eddeffd4bc1) || risks != UINT64_C(0x68741e96df5e794d))
                test_fail(__FILE__, __LINE__, "the bits are %016llx and %016llx", (unsigned long long)choices,
                          (unsigned long long)risks);
}

TEST(decision_ids_read_back_and_nothing_else_does)
{
        struct vn_decision_id id = {0xfedcba9876543210, 0xffff, 0x123456789abcdef}, back;
        char text[VN_DECISION_ID_TEXT_BYTES];
        vn_decision_id_format(&id, text);
        CHECK_OK(vn_decision_id_parse(vn_str(text), &back));
        CHECK(back.origin == id.origin && back.loop == id.loop && back.sequence == id.sequence);
        const char *bad[] = {"",
                             "-",
                             "--",
                             "1-2-3",
                             "fedcba9876543210-ffff",
                             "fedcba9876543210-ffff-",
                             "FEDCBA9876543210-ffff-1",
                             "fedcba9876543210-0ffff-1",
                             "fedcba9876543210-ffff-1-2",
                             "fedcba9876543210-ffff-11111111111111111",
                             "fedcba98765432100-f-1"};
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_decision_id_parse(vn_str(bad[i]), &back));
}
