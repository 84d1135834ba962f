/* calibrate_test.c - a tenant's calibration over time: better where chances are off, no worse where they are right, and
 * out of one caller's hands. */
#include "server/routing/calibrate.h"

#include "base/hash.h"
#include "tests/test.h"

/* `n` outcomes of `callers` callers; what happens follows the chance bent by `truth`. */
static void tell(struct vn_calibrator *c, struct vn_rng *rng, const struct vn_calibration *truth, unsigned callers,
                 unsigned n)
{
        for (unsigned i = 0; i < n; i++) {
                double u = vn_rng_unit(rng), raw = .7 * u * u;
                struct vn_risk_told told = {.caller = 100 + i % callers,
                                            .raw = raw,
                                            .issued = vn_risk_calibrated(&c->calibration, raw),
                                            .happened = vn_rng_unit(rng) < vn_risk_calibrated(truth, raw)};
                vn_calibrator_add(c, &told);
                if (vn_calibrator_due(c))
                        vn_calibrator_fit(c, i);
        }
}

TEST(calibrator_mends_what_is_off)
{
        static const struct vn_calibration truths[] = {{.5, -1, 0}, {1, 1.2, 0}, {2, .5, 0}, {.6, -2, 0}};
        static struct vn_calibrator c;
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned t = 0; t < sizeof truths / sizeof *truths; t++) {
                struct vn_risk_score raw, issued;
                vn_calibrator_init(&c);
                tell(&c, &rng, &truths[t], 3, 6000);
                vn_calibrator_scores(&c, &raw, &issued);
                /* Also those that were told before the first fit are in. */
                CHECK(vn_risk_score_brier(&issued) < vn_risk_score_brier(&raw));
                CHECK(vn_risk_score_ece(&issued) < .5 * vn_risk_score_ece(&raw));
                CHECK_NEAR(6000, vn_risk_score_count(&raw), 1e-6);
        }
}

TEST(calibrator_leaves_what_is_right)
{
        static struct vn_calibrator c;
        struct vn_rng rng;
        struct vn_risk_score raw, issued;
        vn_rng_seed(&rng, test_seed());
        for (unsigned round = 0; round < 20; round++) {
                vn_calibrator_init(&c);
                tell(&c, &rng, &(struct vn_calibration){1, 0, 0}, 2, 3000);
                vn_calibrator_scores(&c, &raw, &issued);
                CHECK(vn_risk_score_brier(&issued) <= vn_risk_score_brier(&raw) + .003);
                CHECK(vn_risk_score_ece(&issued) <= vn_risk_score_ece(&raw) + .02);
        }
}

TEST(calibrator_starts_as_identity_and_waits_for_enough)
{
        static struct vn_calibrator c;
        vn_calibrator_init(&c);
        for (unsigned i = 0; i < VN_RISK_MIN_OUTCOMES - 1; i++) {
                vn_calibrator_add(&c, &(struct vn_risk_told){.caller = 1, .raw = .01, .happened = i % 2});
                CHECK(!vn_calibrator_due(&c));
        }
        CHECK(c.calibration.slope == 1 && c.calibration.intercept == 0 && !c.fitted_us);
        for (unsigned i = 0; i < 400; i++)
                vn_calibrator_add(&c,
                                  &(struct vn_risk_told){.caller = 1, .raw = .01, .issued = .01, .happened = i % 2});
        CHECK(vn_calibrator_due(&c));
        vn_calibrator_fit(&c, 77);
        CHECK(!vn_calibrator_due(&c));
        CHECK_INT(77, c.fitted_us);
        CHECK_INT(VN_RISK_MIN_OUTCOMES - 1 + 400, c.calibration.outcomes);
        CHECK_NEAR(.5, vn_risk_calibrated(&c.calibration, .01), .1);
}

TEST(calibrator_hears_the_silence_of_those_who_speak)
{
        static struct vn_calibrator c;
        struct vn_risk_score raw, issued;
        struct vn_risk_told silence = {.caller = 1, .raw = .1, .issued = .1, .silent = true};
        struct vn_risk_told word = {.caller = 1, .raw = .1, .issued = .1};
        vn_calibrator_init(&c);
        for (unsigned i = 0; i < 100; i++)
                vn_calibrator_add(&c, &silence);
        vn_calibrator_scores(&c, &raw, &issued);
        CHECK_NEAR(0, vn_risk_score_count(&raw), 0);
        vn_calibrator_add(&c, &word);
        vn_calibrator_add(&c, &silence);
        vn_calibrator_scores(&c, &raw, &issued);
        CHECK_NEAR(2, vn_risk_score_count(&raw), 1e-9);
        CHECK_NEAR((.9 * .9 + .1 * .1) / 2, vn_risk_score_brier(&raw), 1e-9); /* one missed, one not */
        vn_calibrator_add(&c, &(struct vn_risk_told){.caller = 1, .raw = -1, .issued = 0});
        vn_calibrator_scores(&c, &raw, &issued);
        CHECK_NEAR(2, vn_risk_score_count(&raw), 1e-9);
}

/* What calls like those of tell() are told on average. */
static double mean_told(const struct vn_calibrator *c)
{
        double sum = 0;
        for (unsigned i = 0; i < 1000; i++) {
                double u = (i + .5) / 1000;
                sum += vn_risk_calibrated(&c->calibration, .7 * u * u);
        }
        return sum / 1000;
}

TEST(calibrator_one_caller_moves_it_no_further_than_its_share)
{
        static struct vn_calibrator c;
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        vn_calibrator_init(&c);
        tell(&c, &rng, &(struct vn_calibration){1, 0, 0}, 4, 4000);
        vn_calibrator_fit(&c, 1);
        double honest = mean_told(&c), moved[2];
        CHECK_NEAR(.7 / 3, honest, .03);
        for (unsigned flood = 0; flood < 2; flood++) {
                for (unsigned i = 0; i < (flood ? 300000u : 15000u); i++) {
                        double u = vn_rng_unit(&rng);
                        vn_calibrator_add(&c,
                                          &(struct vn_risk_told){.caller = 7, .raw = .7 * u * u, .happened = true});
                }
                vn_calibrator_fit(&c, 2);
                moved[flood] = mean_told(&c);
        }
        /* A fifth caller has a third of the weight at most, and says that everything goes wrong. */
        CHECK(moved[0] > honest && moved[0] < honest * 2 / 3 + 1 / 3.0 + .02);
        CHECK_NEAR(moved[0], moved[1], .02); /* and telling it twenty times as often moves nothing more */
}

TEST(witness_weights_keep_their_promise)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned round = 0; round < 2000; round++) {
                double count[VN_WITNESSES], weight[VN_WITNESSES], sum = 0;
                unsigned heard = 0;
                for (unsigned i = 0; i < VN_WITNESSES; i++) {
                        double u = vn_rng_unit(&rng);
                        count[i] = vn_rng_below(&rng, 3) ? (double)(uint64_t)(1e6 * u * u * u * u) : 0;
                        heard += count[i] > 0;
                }
                vn_witness_weights(count, VN_WITNESS_FLOOR, weight);
                for (unsigned i = 0; i < VN_WITNESSES; i++) {
                        CHECK(weight[i] > 0 && weight[i] <= 1);
                        sum += weight[i] * count[i];
                }
                double share = heard > 7 ? .25 : 2.0 / (heard + 1);
                for (unsigned i = 0; i < VN_WITNESSES; i++) {
                        double counts = weight[i] * count[i];
                        CHECK(heard < 2 || counts <= VN_WITNESS_FLOOR * 1.0001 || counts <= share * sum * 1.0001);
                        /* And nobody loses what need not be taken. */
                        if (weight[i] < 1)
                                CHECK(counts >= .999 * share * sum || counts >= .999 * VN_WITNESS_FLOOR);
                }
        }
        uint64_t callers[VN_WITNESSES] = {0};
        for (uint64_t caller = 1; caller < 20; caller++)
                CHECK_INT(caller < VN_WITNESSES ? caller - 1 : VN_WITNESSES - 1, vn_witness_place(callers, caller));
        CHECK_INT(2, vn_witness_place(callers, 3));
}
