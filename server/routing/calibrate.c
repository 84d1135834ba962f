#include "server/routing/calibrate.h"

#include <string.h>

#include "base/hash.h"

#define HOLD_OUT_ONE_IN 4
#define DUE_SHARE 10 /* a tenth more than there was */
#define DUE_LEAST 25

void vn_calibrator_init(struct vn_calibrator *c)
{
        memset(c, 0, sizeof *c);
        c->calibration.slope = 1;
}

static double count_of(const struct vn_risk_witness *w)
{
        return vn_risk_score_count(&w->fitted) + vn_risk_score_count(&w->held_out);
}

static void halve(struct vn_risk_score *score)
{
        struct vn_risk_score whole = *score;
        memset(score, 0, sizeof *score);
        vn_risk_score_merge(score, &whole, .5);
}

void vn_calibrator_add(struct vn_calibrator *c, const struct vn_risk_told *told)
{
        struct vn_risk_witness *w = &c->witness[vn_witness_place(c->caller, told->caller)];
        bool happened = told->happened || told->silent;
        if (!(told->raw >= 0 && told->raw <= 1) || (told->silent && !w->reports))
                return;
        w->reports += !told->silent;
        c->added++;
        /* By a hash of the number: calls that come in a fixed turn must not all fall into one part. */
        bool held_out = vn_hash64(&c->added, sizeof c->added, 11) % HOLD_OUT_ONE_IN == 0;
        vn_risk_score_add(held_out ? &w->held_out : &w->fitted, told->raw, happened);
        vn_risk_score_add(&w->issued, told->issued, happened);
        if (count_of(w) > VN_CALIBRATOR_FADE) {
                halve(&w->fitted);
                halve(&w->held_out);
                halve(&w->issued);
        }
}

bool vn_calibrator_due(const struct vn_calibrator *c)
{
        uint64_t fresh = c->added - c->added_at_fit, known = c->added_at_fit;
        known = known < VN_CALIBRATOR_FADE ? known : VN_CALIBRATOR_FADE;
        return c->added >= VN_RISK_MIN_OUTCOMES && fresh >= DUE_LEAST && fresh * DUE_SHARE >= known;
}

static void weights_of(const struct vn_calibrator *c, double ret[VN_WITNESSES])
{
        double count[VN_WITNESSES];
        for (unsigned i = 0; i < VN_WITNESSES; i++)
                count[i] = count_of(&c->witness[i]);
        vn_witness_weights(count, VN_WITNESS_FLOOR, ret);
}

void vn_calibrator_fit(struct vn_calibrator *c, int64_t now_us)
{
        struct vn_risk_score fitted = {.brier_sum = 0}, held_out = {.brier_sum = 0};
        double weight[VN_WITNESSES];
        weights_of(c, weight);
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                vn_risk_score_merge(&fitted, &c->witness[i].fitted, weight[i]);
                vn_risk_score_merge(&held_out, &c->witness[i].held_out, weight[i]);
        }
        c->calibration = vn_risk_score_choose(&fitted, &held_out);
        c->fitted_us = now_us;
        c->added_at_fit = c->added;
}

void vn_calibrator_scores(const struct vn_calibrator *c, struct vn_risk_score *ret_raw,
                          struct vn_risk_score *ret_issued)
{
        double weight[VN_WITNESSES];
        weights_of(c, weight);
        memset(ret_raw, 0, sizeof *ret_raw);
        memset(ret_issued, 0, sizeof *ret_issued);
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                vn_risk_score_merge(ret_raw, &c->witness[i].fitted, weight[i]);
                vn_risk_score_merge(ret_raw, &c->witness[i].held_out, weight[i]);
                vn_risk_score_merge(ret_issued, &c->witness[i].issued, weight[i]);
        }
}
