/* tune.h - what memory size should this function have? And was the change good?
 * Purpose: turns a predicted curve (duration and cost by memory) into one guarded proposal, or says why there is none;
 *   judges an applied change against its baseline.
 * Threads: any; pure. Units: MB, microseconds, USD a million calls.
 * Guards: at most +50 % a step (or the next size where a plan has fixed sizes), never below peak memory + 15 %, a gain
 *   of at least VN_TUNE_MIN_GAIN, enough calls, latency limit kept. Confidence widens with little data:
 *   n / (n + 200), times how far the model is trusted (its relative error). */
#ifndef VANE_DECIDE_TUNE_H
#define VANE_DECIDE_TUNE_H

#include "policies/policy.h"

#define VN_TUNE_MAX_POINTS 64
#define VN_TUNE_MIN_CALLS 50
#define VN_TUNE_MIN_GAIN 0.03
#define VN_TUNE_MAX_STEP 1.5
#define VN_TUNE_HEADROOM 1.15

struct vn_curve_point {
        uint32_t memory_mb;
        double p50_us, p95_us;
        double usd_per_million;
};
struct vn_tune_question {
        const struct vn_curve_point *curve; /* ascending in memory; sizes that the plan offers */
        size_t points;
        uint32_t current_mb; /* one of the curve's */
        uint32_t peak_mb;    /* most memory seen; 0: not known */
        bool fixed_sizes;    /* the plan offers few sizes: a step is the next one up, +50 % or not */
        bool tunable;
        uint64_t calls;     /* that the estimates rest on */
        double model_error; /* relative, of durations: .15 means 15 % */
        const struct vn_policy_compiled *policy;
};
enum vn_tune_result {
        VN_TUNE_APPLY,
        VN_TUNE_NOT_TUNABLE,
        VN_TUNE_MODE_OFF,
        VN_TUNE_FEW_CALLS,
        VN_TUNE_NO_CURVE,
        VN_TUNE_PEAK_UNKNOWN,
        VN_TUNE_BEST_ALREADY,
        VN_TUNE_SMALL_GAIN,
        VN_TUNE_MEMORY_FLOOR,
        VN_TUNE_LATENCY_LIMIT,
        VN_TUNE_UNCERTAIN,
};
const char *vn_tune_result_name(enum vn_tune_result result);

struct vn_tune_proposal {
        enum vn_tune_result result;
        uint32_t from_mb, to_mb; /* to_mb = from_mb when there is none */
        uint32_t goal_mb;        /* where further steps lead */
        double gain;             /* share of the objective's score that is saved, after the model's error */
        double saving_usd_per_million, saving_share; /* negative: costs more (for speed) */
        double p95_before_us, p95_after_us;
        double risk, risk_latency, risk_memory;
        double confidence;
        char reason[192];
};
void vn_tune(const struct vn_tune_question *question, struct vn_tune_proposal *ret);

struct vn_tune_sample { /* of the baseline, and of the time since the change */
        uint64_t calls, errors;
        double p50_us, p95_us;
        uint64_t over_baseline_p95; /* calls longer than the baseline's p95 */
};
enum vn_tune_verdict { VN_TUNE_WAIT, VN_TUNE_KEEP, VN_TUNE_ROLL_BACK };
struct vn_tune_judgement {
        enum vn_tune_verdict verdict;
        double latency_z, errors_z; /* two-proportion z of each */
        char reason[160];
};
/* expected_p95_us: what the proposal promised; slower is fine up to it plus a quarter, worse than that is not. */
void vn_tune_judge(const struct vn_tune_sample *before, const struct vn_tune_sample *after, double expected_p95_us,
                   bool deadline_passed, struct vn_tune_judgement *ret);

#endif
