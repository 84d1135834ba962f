/* risk.h - chances that a choice goes wrong, each with its event, horizon and data; and how good they were.
 * Threads: any; pure. Formulas: run time is taken as log-normal through its .5 and .95 quantiles (normal tail by the
 *   logistic function with factor 1.702, error below .01); parts are combined as 1 - prod(1 - p); a calibration
 *   (slope, intercept in log-odds) fitted on outcomes is applied to the whole, because the parts depend on each other.
 * The event of the whole is the union of the parts' events, each of them visible when an outcome is reported:
 *   - the answer took longer than the policy's latency limit;
 *   - it was refused, failed or never came (out of memory shows as a failure);
 *   - it took so long that the run costs over 1.5 times the expectation, even if the call was a cold start;
 *   - the account has reported a price list that differs from the one that decided.
 *   The first and the third are one comparison, of the latency with vn_risk_limit_us. */
#ifndef VANE_DECIDE_RISK_H
#define VANE_DECIDE_RISK_H

#include "decide/decide.h"

const char *vn_risk_event(enum vn_risk_part part);   /* "answer later than the policy's latency limit" */
const char *vn_risk_horizon(enum vn_risk_part part); /* "this call" */
const char *vn_risk_data(enum vn_risk_part part);    /* what the chance is made from */

/* Fills the parts, the combination and the blast radius for a candidate whose features are given. */
void vn_risk_of(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                uint32_t candidate, const struct vn_features *features, struct vn_risk *ret);
/* The latency from which on an outcome counts, by the latency limit or by what the run must have cost. */
double vn_risk_limit_us(const struct vn_view *view, uint32_t candidate, const struct vn_features *features);
/* Share of a log-normal with those quantiles that lies above x. */
double vn_risk_above(double p50, double p95, double x);
double vn_risk_combine(const float *parts, size_t count);
double vn_risk_raw(const struct vn_risk *risk); /* the combination before its calibration */

double vn_risk_calibrated(const struct vn_calibration *calibration, double chance); /* 1, 0: the very same bits */

/* Chances and what became of them, in bins that are finer near 0 and 1, where most chances are. Sums are doubles since
 * one caller's outcomes may count less than one each (witness.h). */
#define VN_RISK_BINS 20
struct vn_risk_score {
        double n[VN_RISK_BINS], hits[VN_RISK_BINS], chance_sum[VN_RISK_BINS], brier_sum;
};
void vn_risk_score_add(struct vn_risk_score *score, double chance, bool happened);
void vn_risk_score_merge(struct vn_risk_score *into, const struct vn_risk_score *from, double weight);
double vn_risk_score_count(const struct vn_risk_score *score);
double vn_risk_score_brier(const struct vn_risk_score *score); /* mean of (chance - happened)^2 */
/* Expected calibration error: mean over outcomes of |mean chance - share that happened| of their bin. */
double vn_risk_score_ece(const struct vn_risk_score *score);
/* What the score would be, had each bin's chances been calibrated; to the width of the bins. */
void vn_risk_score_under(const struct vn_risk_score *score, const struct vn_calibration *calibration,
                         struct vn_risk_score *ret);
/* Fit of the calibration to the bins; identity below VN_RISK_MIN_OUTCOMES or without both kinds. */
#define VN_RISK_MIN_OUTCOMES 50
struct vn_calibration vn_risk_score_fit(const struct vn_risk_score *score);
/* The same, but identity unless it is better than identity on outcomes held out from the fit, and not worse, by Brier
 * score and calibration error, on all together. */
struct vn_calibration vn_risk_score_choose(const struct vn_risk_score *fitted, const struct vn_risk_score *held_out);

#endif
