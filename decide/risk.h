/* risk.h - chances that a choice goes wrong, each with its event, horizon and data; and how good they were.
 * Threads: any; pure. Formulas: run time is taken as log-normal through its .5 and .95 quantiles (normal tail by the
 *   logistic function with factor 1.702, error below .01); parts are combined as 1 - prod(1 - p); a calibration
 *   (slope, intercept in log-odds) fitted on outcomes is applied to the whole, because the parts depend on each other. */
#ifndef VANE_DECIDE_RISK_H
#define VANE_DECIDE_RISK_H

#include "decide/decide.h"

const char *vn_risk_event(enum vn_risk_part part);   /* "answer later than the policy's latency limit" */
const char *vn_risk_horizon(enum vn_risk_part part); /* "this call" */
const char *vn_risk_data(enum vn_risk_part part);    /* what the chance is made from */

/* Fills the parts, the combination and the blast radius for a candidate whose features are given. */
void vn_risk_of(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                uint32_t candidate, const struct vn_features *features, struct vn_risk *ret);
/* Share of a log-normal with those quantiles that lies above x. */
double vn_risk_above(double p50, double p95, double x);
double vn_risk_combine(const float *parts, size_t count);

struct vn_calibration {
        double slope, intercept; /* 1, 0: as computed */
};
double vn_risk_calibrated(const struct vn_calibration *calibration, double chance);

/* Brier score and expected calibration error over ten equal bins, streamed. */
struct vn_risk_score {
        uint64_t n[10], hits[10];
        double chance_sum[10], brier_sum;
};
void vn_risk_score_add(struct vn_risk_score *score, double chance, bool happened);
double vn_risk_score_brier(const struct vn_risk_score *score);
double vn_risk_score_ece(const struct vn_risk_score *score);
/* One Newton fit of the calibration to the bins; identity below 50 outcomes or without both kinds. */
struct vn_calibration vn_risk_score_fit(const struct vn_risk_score *score);

#endif
