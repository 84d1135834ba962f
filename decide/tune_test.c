#include "tests/test.h"

#include <math.h>

#include "base/hash.h"
#include "decide/tune.h"

#define POINTS 20

/* 1 s of CPU at 1,769 MB with a share of waiting: duration falls with memory, cost has a minimum. */
static void curve(double cpu_ms, double wait_ms, struct vn_curve_point ret[POINTS])
{
        for (unsigned i = 0; i < POINTS; i++) {
                double mb = 128.0 * (i + 1), us = (wait_ms + cpu_ms * (mb < 1769 ? 1769 / mb : 1)) * 1e3;
                ret[i] = (struct vn_curve_point){(uint32_t)mb, us, us * 1.4, us / 1e6 * mb / 1024 * 16.6667 + .2};
        }
}

static void ask(struct vn_tune_question *q, struct vn_policy_compiled *policy, const struct vn_curve_point *points)
{
        vn_policy_default(policy);
        policy->tuning_mode = VN_TUNING_AUTOMATIC;
        policy->max_step = .5;
        policy->cost_weight = 1, policy->latency_weight = 0;
        *q = (struct vn_tune_question){.curve = points,
                                       .points = POINTS,
                                       .current_mb = 1024,
                                       .peak_mb = 100,
                                       .tunable = true,
                                       .calls = 5000,
                                       .model_error = .1,
                                       .policy = policy};
}

TEST(tune_halves_what_only_waits)
{
        struct vn_curve_point points[POINTS];
        struct vn_policy_compiled policy;
        struct vn_tune_question q;
        struct vn_tune_proposal p;
        curve(0, 200, points);
        ask(&q, &policy, points);
        vn_tune(&q, &p);
        CHECK_INT(VN_TUNE_APPLY, p.result);
        CHECK_INT(512, p.to_mb);
        CHECK_INT(128, p.goal_mb);
        CHECK(p.saving_share > .4 && p.saving_share < .5 && p.confidence > .8 && p.risk < .1);
        CHECK(strstr(p.reason, "1024 to 512 MB"));
}

TEST(tune_never_steps_up_by_more_than_half_or_below_the_peak)
{
        struct vn_rng rng;
        unsigned applied = 0;
        vn_rng_seed(&rng, test_seed());
        for (unsigned i = 0; i < 2000; i++) {
                struct vn_curve_point points[POINTS];
                struct vn_policy_compiled policy;
                struct vn_tune_question q;
                struct vn_tune_proposal p;
                curve(vn_rng_unit(&rng) * 2000, vn_rng_unit(&rng) * 500, points);
                ask(&q, &policy, points);
                q.current_mb = 128 * (1 + (uint32_t)vn_rng_below(&rng, POINTS));
                q.peak_mb = 1 + (uint32_t)vn_rng_below(&rng, 2000);
                policy.max_step = .1 + .4 * vn_rng_unit(&rng);
                policy.latency_weight = vn_rng_unit(&rng);
                policy.latency_slo_ms = i % 2 ? 1500 : 0;
                vn_tune(&q, &p);
                CHECK(p.reason[0] && p.from_mb == q.current_mb);
                if (p.result != VN_TUNE_APPLY) {
                        CHECK_INT(q.current_mb, p.to_mb);
                        continue;
                }
                applied++;
                CHECK(p.to_mb <= q.current_mb * (1 + policy.max_step) + 1e-9);
                CHECK(p.to_mb >= q.peak_mb * VN_TUNE_HEADROOM);
                CHECK(p.gain >= VN_TUNE_MIN_GAIN && p.risk >= 0 && p.risk <= 1);
                if (policy.latency_slo_ms > 0)
                        CHECK(p.p95_after_us * 1.1 <= 1.5e6);
        }
        CHECK(applied > 300);
}

TEST(tune_says_why_none)
{
        struct vn_curve_point points[POINTS];
        struct vn_policy_compiled policy;
        struct vn_tune_question q;
        struct vn_tune_proposal p;
        const enum vn_tune_result want[] = {VN_TUNE_NOT_TUNABLE,  VN_TUNE_MODE_OFF,      VN_TUNE_FEW_CALLS,
                                            VN_TUNE_NO_CURVE,     VN_TUNE_PEAK_UNKNOWN,  VN_TUNE_BEST_ALREADY,
                                            VN_TUNE_MEMORY_FLOOR, VN_TUNE_LATENCY_LIMIT, VN_TUNE_UNCERTAIN,
                                            VN_TUNE_NO_CURVE,     VN_TUNE_NO_CURVE,      VN_TUNE_SMALL_GAIN};
        for (unsigned i = 0; i < sizeof want / sizeof *want; i++) {
                curve(i == 7 ? 300 : 0, 200, points);
                ask(&q, &policy, points);
                switch (i) {
                case 0: q.tunable = false; break;
                case 1: policy.tuning_mode = VN_TUNING_OFF; break;
                case 2: q.calls = 49; break;
                case 3: q.points = 1; break;
                case 4: q.peak_mb = 0; break;
                case 5: q.current_mb = 128; break;
                case 6: q.peak_mb = 1000; break;
                case 7:
                        policy.latency_slo_ms = 100; /* nothing keeps this */
                        break;
                case 8: q.calls = 50, q.model_error = .4; break;
                case 9: q.current_mb = 1000; break; /* not a point of the curve */
                case 10: points[3].p50_us = NAN; break;
                case 11: q.model_error = .95; break;
                }
                vn_tune(&q, &p);
                CHECK_TEXT(vn_tune_result_name(want[i]), vn_tune_result_name(p.result));
                CHECK(p.reason[0] && p.to_mb == q.current_mb);
        }
}

TEST(tune_steps_among_fixed_sizes)
{
        struct vn_curve_point points[3] = {{512, 9e5, 1e6, 9}, {2048, 2e5, 3e5, 6}, {4096, 1e5, 2e5, 8}};
        struct vn_policy_compiled policy;
        struct vn_tune_question q;
        struct vn_tune_proposal p;
        ask(&q, &policy, points);
        q.points = 3, q.current_mb = 512, q.fixed_sizes = true;
        vn_tune(&q, &p);
        CHECK_INT(VN_TUNE_APPLY, p.result);
        CHECK_INT(2048, p.to_mb);
}

TEST(tune_judges_with_counts)
{
        const struct vn_tune_sample before = {.calls = 2000, .errors = 10, .p50_us = 1e5, .p95_us = 2e5};
        const struct {
                struct vn_tune_sample after;
                double expected_p95_us;
                bool deadline;
                enum vn_tune_verdict verdict;
        } cases[] = {
                {{500, 3, 1e5, 2e5, 25}, 2e5, false, VN_TUNE_KEEP},
                {{500, 40, 1e5, 2e5, 25}, 2e5, false, VN_TUNE_ROLL_BACK}, /* errors 0.5 -> 8 % */
                {{500, 3, 2e5, 4e5, 250}, 2e5, false, VN_TUNE_ROLL_BACK}, /* twice as slow */
                {{500, 3, 2e5, 4e5, 250}, 3.9e5, false, VN_TUNE_KEEP},    /* as promised */
                {{12, 0, 1e5, 2e5, 0}, 2e5, false, VN_TUNE_WAIT},
                {{12, 0, 1e5, 2e5, 0}, 2e5, true, VN_TUNE_KEEP},
                {{12, 9, 1e5, 2e5, 0}, 2e5, false, VN_TUNE_ROLL_BACK}, /* broken: not waited for */
                {{40, 0, 1e5, 2.6e5, 4}, 2e5, false, VN_TUNE_KEEP},    /* four in forty may be chance */
                {{0, 0, 0, 0, 0}, 2e5, false, VN_TUNE_WAIT},
        };
        for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
                struct vn_tune_judgement j;
                vn_tune_judge(&before, &cases[i].after, cases[i].expected_p95_us, cases[i].deadline, &j);
                if (j.verdict != cases[i].verdict)
                        test_fail(__FILE__, __LINE__, "case %zu: %d, %s", i, j.verdict, j.reason);
                CHECK(j.reason[0] && isfinite(j.errors_z) && isfinite(j.latency_z));
        }
}
