#include "tests/test.h"

#include <math.h>

#include "decide/record.h"
#include "decide/risk.h"
#include "decide/testing.h"

static const struct vn_live idle_live;

TEST(risk_parts_follow_their_inputs)
{
        /* A log-normal's own quantiles: half above the median, about 5 % above the .95 quantile. */
        CHECK_NEAR(.5, vn_risk_above(100, 200, 100), 1e-12);
        CHECK_NEAR(.05, vn_risk_above(100, 200, 200), .01);
        CHECK_NEAR(1, vn_risk_above(100, 200, 0), 0);
        float parts[3] = {.1f, .2f, 0};
        CHECK_NEAR(1 - .9 * .8, vn_risk_combine(parts, 3), 1e-7);

        VN_AUTO(vn_view)
        view = testing_view(1, 2);
        struct vn_question q = {.id = {1, 1, 1}, .time_us = TESTING_EPOCH_US, .payload_bytes = 1000};
        struct vn_decision d;
        CHECK(view);
        double before = -1;
        for (double slo_ms = 3000; slo_ms > 300; slo_ms /= 1.3) { /* a tighter limit is missed more often */
                view->policy.latency_slo_ms = slo_ms;
                view->endpoint[0].price_time_us = TESTING_EPOCH_US - INT64_C(86400000000);
                CHECK_OK(vn_view_seal(view, NULL));
                vn_decide(view, &q, &idle_live, &d);
                CHECK((double)d.risk.part[VN_RISK_SLO] >= before);
                before = (double)d.risk.part[VN_RISK_SLO];
        }
        CHECK_NEAR(1 - exp(-1.0 / 30), (double)d.risk.part[VN_RISK_PRICE], 1e-6); /* a day old */
}

TEST(risk_calibration_mends_overconfidence)
{
        struct vn_risk_score raw = {.brier_sum = 0}, mended = {.brier_sum = 0};
        struct vn_calibration fit = {1, 0, 0}, same;
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        same = vn_risk_score_fit(&raw);
        CHECK(same.slope == 1 && same.intercept == 0);
        for (unsigned pass = 0; pass < 2; pass++) {
                for (unsigned i = 0; i < 20000; i++) {
                        double said = vn_rng_unit(&rng),
                               truth = vn_risk_calibrated(&(struct vn_calibration){.5, -1, 0}, said);
                        bool happened = vn_rng_unit(&rng) < truth;
                        if (pass == 0)
                                vn_risk_score_add(&raw, said, happened);
                        else
                                vn_risk_score_add(&mended, vn_risk_calibrated(&fit, said), happened);
                }
                fit = vn_risk_score_fit(&raw);
        }
        CHECK_NEAR(.5, fit.slope, .1);
        CHECK_NEAR(-1, fit.intercept, .15);
        CHECK(vn_risk_score_ece(&raw) > .1 && vn_risk_score_ece(&mended) < .02);
        CHECK(vn_risk_score_brier(&mended) < vn_risk_score_brier(&raw));
}

/* The chance that a latency drawn as the model says goes over the limit is the parts' own chance, and the limit is where
 * the first of both events begins. */
TEST(risk_limit_is_the_union_of_late_and_too_dear)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned round = 0; round < 40; round++) {
                VN_AUTO(vn_view)
                view = testing_view(1, vn_rng_u64(&rng));
                struct vn_question q = testing_question(&rng);
                struct vn_features f;
                struct vn_risk risk;
                CHECK(view);
                struct vn_endpoint *e = &view->endpoint[0];
                e->error_rate = e->throttle_rate = 0;
                view->policy.latency_slo_ms = round % 3 ? testing_between(&rng, 200, 2000) : 0;
                CHECK_OK(vn_view_seal(view, NULL));
                vn_decide_features(view, &q, &idle_live, 0, &f);
                vn_risk_of(view, &q, &idle_live, 0, &f, &risk);
                double limit = vn_risk_limit_us(view, 0, &f);
                double larger = (double)(risk.part[VN_RISK_SLO] > risk.part[VN_RISK_COST] ? risk.part[VN_RISK_SLO]
                                                                                          : risk.part[VN_RISK_COST]);
                /* One event lies inside the other: whichever limit is lower has the greater chance, of the union too. */
                double p50 = 0, p95 = 0, low = view->payload_bytes[0];
                for (unsigned k = 0; k + 1 < VN_VIEW_KNOTS; k++)
                        if (q.payload_bytes >= (low = view->payload_bytes[k])) {
                                double share = (q.payload_bytes - low) / (view->payload_bytes[k + 1] - low);
                                share = share > 1 ? 1 : share;
                                p50 = (double)e->duration_us[k][2] * (1 - share) +
                                      (double)e->duration_us[k + 1][2] * share;
                                p95 = (double)e->duration_us[k][5] * (1 - share) +
                                      (double)e->duration_us[k + 1][5] * share;
                        }
                double sigma = log(p95 / p50) / 1.6449;
                unsigned over = 0, draws = 4000;
                for (unsigned i = 0; i < draws; i++) {
                        double latency = (double)f.network_us + p50 * exp(sigma * vn_rng_normal(&rng)) +
                                         (vn_rng_unit(&rng) < (double)f.cold_chance ? (double)f.cold_us : 0);
                        over += latency > limit;
                }
                CHECK_NEAR(larger, (double)over / draws, .04);
        }
}

TEST(risk_overrun_needs_a_run_that_costs_too_much)
{
        VN_AUTO(vn_view)
        view = testing_view(1, 5);
        struct vn_question q = {.id = {1, 1, 1}, .time_us = TESTING_EPOCH_US};
        struct vn_features f;
        CHECK(view);
        struct vn_endpoint *e = &view->endpoint[0];
        e->usd_per_gb_s = 2e-5, e->usd_per_gb_s_next = 0; /* without a border ahead */
        e->request_usd = e->egress_usd_per_gb = e->error_rate = e->throttle_rate = 0;
        e->network_us = 10000;
        e->cold_us = 300000, e->init_us = 200000, e->flags = VN_ENDPOINT_INIT_BILLED;
        for (unsigned k = 0; k < VN_VIEW_COLD_KNOTS; k++)
                e->cold_chance[k] = 0;
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                for (unsigned i = 0; i < VN_VIEW_QUANTILES; i++)
                        e->duration_us[k][i] = 150000;
        e->rounding_us = 100000, e->minimum_us = 0;
        CHECK_OK(vn_view_seal(view, NULL));
        vn_decide_features(view, &q, &idle_live, 0, &f);
        /* 200 ms are billed, 300 are 1.5 times as much: the run must pass 300, and 100 of a start cost nothing. */
        CHECK_NEAR(10000 + 300000 + 100000, vn_risk_limit_us(view, 0, &f), 1);
        e->flags = 0;
        CHECK_OK(vn_view_seal(view, NULL));
        CHECK_NEAR(10000 + 300000 + 300000, vn_risk_limit_us(view, 0, &f), 1);
        e->usd_per_gb_s = 0; /* a grant is left: time costs nothing */
        CHECK_OK(vn_view_seal(view, NULL));
        vn_decide_features(view, &q, &idle_live, 0, &f);
        CHECK(vn_risk_limit_us(view, 0, &f) > 1e12);
        view->policy.latency_slo_ms = 250;
        CHECK_OK(vn_view_seal(view, NULL));
        CHECK_NEAR(250000, vn_risk_limit_us(view, 0, &f), 1e-6);
}

TEST(risk_identity_changes_no_bit_and_a_calibration_only_the_whole)
{
        struct vn_calibration identity = {1, 0, 9};
        for (double p = 0; p <= 1; p += .001)
                CHECK(vn_risk_calibrated(&identity, p) == p);
        VN_AUTO(vn_view)
        view = testing_view(3, 4);
        struct vn_question q = {.id = {1, 1, 1}, .time_us = TESTING_EPOCH_US, .payload_bytes = 1000};
        struct vn_decision raw, mended;
        CHECK(view);
        view->policy.latency_slo_ms = 400;
        CHECK_OK(vn_view_seal(view, NULL));
        vn_decide(view, &q, &idle_live, &raw);
        CHECK((double)raw.risk.combined == (double)(float)vn_risk_raw(&raw.risk));
        view->calibration = (struct vn_calibration){.5, -1, 400};
        CHECK_OK(vn_view_seal(view, NULL));
        vn_decide(view, &q, &idle_live, &mended);
        CHECK(!memcmp(raw.risk.part, mended.risk.part, sizeof raw.risk.part));
        CHECK(raw.choice == mended.choice && raw.score == mended.score);
        double p = vn_risk_raw(&raw.risk);
        CHECK_NEAR(1 / (1 + exp(-(.5 * log(p / (1 - p)) - 1))), (double)mended.risk.combined, 1e-6);
}

/* A stream of predictions, `twist` away from the truth, and what the chosen calibration makes of another such stream. */
static void stream(struct vn_rng *rng, const struct vn_calibration *twist, unsigned count, double scale,
                   const struct vn_calibration *mend, struct vn_risk_score *ret)
{
        *ret = (struct vn_risk_score){.brier_sum = 0};
        for (unsigned i = 0; i < count; i++) {
                double u = vn_rng_unit(rng), said = scale * u * u;
                bool happened = vn_rng_unit(rng) < vn_risk_calibrated(twist, said);
                vn_risk_score_add(ret, vn_risk_calibrated(mend, said), happened);
        }
}

TEST(risk_choice_mends_what_is_off_and_leaves_what_is_right)
{
        const struct vn_calibration identity = {1, 0, 0};
        const struct vn_calibration twists[] = {{1, 0, 0}, {.5, -1, 0}, {1, 1.5, 0}, {2, 0, 0}, {.3, -2, 0}};
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned t = 0; t < sizeof twists / sizeof *twists; t++) {
                for (unsigned n = 200; n <= 20000; n *= 10) {
                        struct vn_risk_score fitted, held, raw, mended, seen, seen_after;
                        stream(&rng, &twists[t], n, .8, &identity, &fitted);
                        stream(&rng, &twists[t], n / 3, .8, &identity, &held);
                        struct vn_calibration c = vn_risk_score_choose(&fitted, &held);
                        CHECK_INT(n + n / 3, c.outcomes);
                        /* On what was seen it is never worse. */
                        seen = fitted;
                        vn_risk_score_merge(&seen, &held, 1);
                        struct vn_risk_score before;
                        vn_risk_score_under(&seen, &identity, &before);
                        vn_risk_score_under(&seen, &c, &seen_after);
                        CHECK(seen_after.brier_sum <= before.brier_sum);
                        CHECK(vn_risk_score_ece(&seen_after) <= vn_risk_score_ece(&before));
                        /* On what is new: better where there is something to mend, within noise where there is not. */
                        struct vn_rng same = rng;
                        stream(&rng, &twists[t], 20000, .8, &identity, &raw);
                        stream(&same, &twists[t], 20000, .8, &c, &mended);
                        double noise = n < 2000 ? .01 : .003;
                        CHECK(vn_risk_score_brier(&mended) <= vn_risk_score_brier(&raw) + noise);
                        if (t == 0)
                                CHECK(vn_risk_score_ece(&mended) <= vn_risk_score_ece(&raw) + (n < 2000 ? .08 : .02));
                        else if (n >= 2000)
                                CHECK(vn_risk_score_ece(&mended) < .5 * vn_risk_score_ece(&raw) &&
                                      vn_risk_score_brier(&mended) < vn_risk_score_brier(&raw));
                }
        }
}

TEST(risk_choice_is_identity_while_outcomes_are_few_or_one_sided)
{
        struct vn_risk_score fitted = {.brier_sum = 0}, held = {.brier_sum = 0};
        for (unsigned i = 0; i < 49; i++) {
                struct vn_calibration c = vn_risk_score_choose(&fitted, &held);
                CHECK(c.slope == 1 && c.intercept == 0 && c.outcomes == 2 * i);
                vn_risk_score_add(&fitted, .01, i % 2);
                vn_risk_score_add(&held, .01, i % 2);
        }
        vn_risk_score_add(&fitted, .01, true);
        struct vn_calibration moved = vn_risk_score_choose(&fitted, &held);
        CHECK_NEAR(.5, vn_risk_calibrated(&moved, .01), .1);
        CHECK(moved.slope > .6 && moved.intercept > 2); /* chances of one size only: moved rather than stretched */

        struct vn_risk_score never = {.brier_sum = 0};
        for (unsigned i = 0; i < 500; i++)
                vn_risk_score_add(&never, .3, false);
        struct vn_calibration c = vn_risk_score_choose(&never, &never);
        CHECK(c.slope == 1 && c.intercept == 0);

        /* What the held-out part contradicts is not taken, though it would do on all together. */
        struct vn_risk_score other = {.brier_sum = 0};
        fitted = other;
        for (unsigned i = 0; i < 400; i++) {
                vn_risk_score_add(&fitted, .2, i % 2);
                if (i % 4 == 0)
                        vn_risk_score_add(&other, .2, i % 40 == 0);
        }
        c = vn_risk_score_choose(&fitted, &other);
        CHECK(c.slope == 1 && c.intercept == 0);
        vn_risk_score_add(&other, NAN, true);
        vn_risk_score_add(&other, 1.5, true);
        CHECK_NEAR(100, vn_risk_score_count(&other), 0);
}

/* Chances that say nothing at all become the share that happens, though a slope may not vanish. */
TEST(risk_fit_finds_the_share_where_chances_say_nothing)
{
        for (unsigned tenth = 1; tenth <= 9; tenth += 2) {
                struct vn_risk_score score = {.brier_sum = 0}, told;
                for (unsigned i = 0; i < 6000; i++)
                        vn_risk_score_add(&score, .001 + .5 * (i / 10 % 100) / 100, i % 10 < tenth);
                struct vn_calibration c = vn_risk_score_fit(&score);
                double sum = 0;
                vn_risk_score_under(&score, &c, &told);
                for (unsigned b = 0; b < VN_RISK_BINS; b++)
                        sum += told.chance_sum[b];
                CHECK_NEAR(tenth / 10.0, sum / 6000, .005);
                CHECK_NEAR(tenth / 10.0, vn_risk_calibrated(&c, .005), .1);
                CHECK_NEAR(tenth / 10.0, vn_risk_calibrated(&c, .4), .05);
        }
}

static enum vn_rc replay_on(const struct vn_view *of, const struct vn_view *on, float *ret_risk)
{
        struct vn_question q = {.id = {77, 1, 5}, .time_us = TESTING_EPOCH_US + 5000, .payload_bytes = 3000};
        struct vn_decision d;
        static struct vn_record r;
        uint8_t bytes[VN_RECORD_MAX_BYTES], again[VN_RECORD_MAX_BYTES];
        size_t n, m;
        vn_decide(of, &q, &idle_live, &d);
        vn_record_of_route(of, &q, &idle_live, &d, &r);
        *ret_risk = d.risk.combined;
        CHECK_OK(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
        enum vn_rc rc = vn_record_replay(vn_str_n((const char *)bytes, n), &q.id, on, again, sizeof again, &m, NULL);
        if (rc == VN_OK)
                CHECK(n == m && !memcmp(bytes, again, n));
        return rc;
}

/* A decision is replayed with the calibration that it was made with, which came along in its view. */
TEST(risk_replays_to_the_same_bytes_before_and_after_a_calibration)
{
        VN_AUTO(vn_view)
        before = testing_view(5, 9);
        VN_AUTO(vn_view)
        after = NULL;
        VN_AUTO(vn_view)
        stored = NULL;
        VN_AUTO(vn_buf)
        blob = VN_BUF_INIT(1 << 20);
        float risk_before, risk_after, risk_stored;
        CHECK(before);
        before->policy.latency_slo_ms = 600;
        CHECK_OK(vn_view_seal(before, NULL));
        CHECK_OK(vn_view_clone(before, &after, NULL));
        after->calibration = (struct vn_calibration){.7, .9, 321};
        CHECK_OK(vn_view_seal(after, NULL));
        CHECK(memcmp(before->id, after->id, 32));
        CHECK_OK(vn_view_encode(after, &blob, NULL));
        CHECK_OK(vn_view_decode_blob(vn_buf_view(&blob), &stored, NULL));
        CHECK_INT(321, stored->calibration.outcomes);
        CHECK_OK(replay_on(before, before, &risk_before));
        CHECK_OK(replay_on(after, stored, &risk_after));
        CHECK_OK(replay_on(stored, after, &risk_stored));
        CHECK(risk_before < risk_after && !memcmp(&risk_after, &risk_stored, sizeof risk_after));
        CHECK_RC(VN_FAILED_PRECONDITION, replay_on(before, after, &risk_before));
}
