/* calibrate.h - one tenant's risk, held against what happened: scores by caller, and the calibration fitted to them.
 * Purpose: each outcome adds the chance that was computed, the chance that was told, and whether the event happened
 *   (decide/risk.h says which). Now and then a calibration is fitted to three outcomes in four and tested on the fourth.
 * Threads: the control loop. Ownership: plain values. The past fades: a caller's scores halve at VN_CALIBRATOR_FADE. */
#ifndef VANE_SERVER_ROUTING_CALIBRATE_H
#define VANE_SERVER_ROUTING_CALIBRATE_H

#include "decide/risk.h"
#include "server/routing/witness.h"

#define VN_CALIBRATOR_FADE 20000

struct vn_risk_witness {
        uint64_t reports; /* outcomes told; who never told one is no witness by silence */
        struct vn_risk_score fitted, held_out, issued; /* chances as computed, in two parts; and as told */
};
struct vn_calibrator {
        uint64_t caller[VN_WITNESSES];
        struct vn_risk_witness witness[VN_WITNESSES];
        struct vn_calibration calibration; /* in force */
        int64_t fitted_us;                 /* 0: never */
        uint64_t added, added_at_fit;
};

struct vn_risk_told { /* of one decision */
        uint64_t caller;
        double raw, issued;
        bool happened;
        bool silent; /* no outcome within the time: counts as happened */
};

void vn_calibrator_init(struct vn_calibrator *c);
void vn_calibrator_add(struct vn_calibrator *c, const struct vn_risk_told *told);
/* Enough has been added since the last fit that another is worth it. */
bool vn_calibrator_due(const struct vn_calibrator *c);
void vn_calibrator_fit(struct vn_calibrator *c, int64_t now_us);
/* All callers together, each with its weight. */
void vn_calibrator_scores(const struct vn_calibrator *c, struct vn_risk_score *ret_raw,
                          struct vn_risk_score *ret_issued);

#endif
