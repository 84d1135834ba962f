/* decide.h - where does this call run? A pure function of view, question and live.
 * Purpose: the same choice, with the same bits, in vaned, in the gateway, in the simulator and in replay.
 * Pure: no clock, no I/O, no allocation, no libm; whatever is random comes from a hash of the decision's id.
 * Threads: any (a sealed view is immutable; live belongs to its edge loop). Cost: see bench/decide_main.c.
 * Units: score, cost and margin in USD a million calls; microseconds; bytes.
 * Formula (since decide_version 1), over features that are exact float32:
 *   cost    = rate*(mean + rounding) + request + egress + cold_chance*init
 *   latency = network + duration quantile + cold_chance*cold_us
 *   score   = (weight_cost*cost + weight_latency*value*latency) * (1 + error_rate + load)
 * A change of any bit of a result raises VN_DECIDE_VERSION, and recorded cases stay in decide_test.c. */
#ifndef VANE_DECIDE_DECIDE_H
#define VANE_DECIDE_DECIDE_H

#include "decide/id.h"
#include "decide/view.h"

#define VN_DECIDE_VERSION 2 /* 2: parts of risk as outcomes can show them, and calibrated as a whole */
#define VN_NO_CANDIDATE UINT32_MAX
#define VN_LIVE_MAX 16383 /* counters saturate there */

/* What kept a candidate out; a candidate may have several. Bits of decision->excluded[]. */
enum vn_exclusion {
        VN_EXCLUDED_CLOUD,
        VN_EXCLUDED_REGION,
        VN_EXCLUDED_RESIDENCY, /* the policy's law: never relaxed */
        VN_EXCLUDED_OBSERVE,   /* no grant to invoke: never relaxed */
        VN_EXCLUDED_CALLER,    /* the caller said that it just failed: never relaxed */
        VN_EXCLUDED_PAUSED,
        VN_EXCLUDED_UNHEALTHY,
        VN_EXCLUDED_BREAKER,
        VN_EXCLUDED_THROTTLED,
        VN_EXCLUDED_MEMORY,
        VN_EXCLUDED_SLO,
};
#define VN_EXCLUSION_COUNT 11
#define VN_EXCLUDED_NEVER_RELAXED 0x1fu
const char *vn_exclusion_name(enum vn_exclusion exclusion); /* "cloud", "latency_slo", ... */

struct vn_question {
        struct vn_decision_id id;
        int64_t time_us;
        uint32_t payload_bytes, response_bytes;
        struct vn_bits128 caller_excluded; /* by candidate index */
};

/* What changed since the view's epoch; by candidate index. All zero at the start of an epoch. */
struct vn_live {
        uint16_t assigned[VN_VIEW_MAX_ENDPOINTS];
        uint16_t in_flight[VN_VIEW_MAX_ENDPOINTS];
        struct vn_bits128 breaker_open;
};
void vn_live_assigned(struct vn_live *live, uint32_t candidate); /* one more chosen and in flight; saturates */
void vn_live_finished(struct vn_live *live, uint32_t candidate);

/* All that a score is made of, each an exact float32: a record that keeps them explains itself. */
struct vn_features {
        float rate;                  /* USD a million calls for each billed millisecond */
        float mean_ms, rounding_ms;  /* billed time = mean + rounding */
        float request, egress, init; /* USD a million calls; init when cold */
        float network_us, tail_us;
        float cold_chance, cold_us;
        float error_rate, load;
};
struct vn_weights {
        double cost, latency_per_us;
};
double vn_features_cost(const struct vn_features *f);       /* expected cost of the next call */
double vn_features_latency_us(const struct vn_features *f); /* expected, for the objective */
double vn_features_score(const struct vn_features *f, const struct vn_weights *weights);

enum vn_decision_status {
        VN_DECIDED,       /* the best of the feasible */
        VN_DECIDED_SPLIT, /* nothing feasible, or paused: the declared split */
        VN_DECIDED_NONE,  /* nowhere allowed */
};
enum vn_risk_part { VN_RISK_SLO, VN_RISK_THROTTLE, VN_RISK_COST, VN_RISK_PRICE };
#define VN_RISK_PARTS 4
struct vn_risk {
        float part[VN_RISK_PARTS];
        float combined;     /* 1 - prod(1 - p), then calibrated by the view's calibration */
        float blast_radius; /* calls a minute that go the same way; a severity, not a chance */
};
struct vn_decision {
        enum vn_decision_status status;
        bool explored;    /* a draw chose another than the best */
        bool over_budget; /* the day's budget is spent: decided by cost alone */
        uint32_t choice, best,
                runner_up; /* candidate index or VN_NO_CANDIDATE; runner_up: the best other feasible one */
        uint32_t count, feasible;
        double score, runner_up_score,
                margin;          /* margin = runner_up_score - score, before any draw; 0 without runner-up */
        double cost, latency_us; /* of the choice */
        struct vn_weights weights;
        struct vn_features features, runner_up_features;
        float confidence; /* chance that the choice is really better, from the sample counts */
        struct vn_risk risk;
        uint32_t excluded[VN_VIEW_MAX_ENDPOINTS];
};

/* The view must be sealed. Never fails: status says what came out. */
void vn_decide(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
               struct vn_decision *ret);
/* Features and score of any candidate under the same question: for pages that show all of them. */
void vn_decide_features(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                        uint32_t candidate, struct vn_features *ret);
/* The share of calls that each cloud gets while split serves; for xDS and pages. Sums to 1, or all 0. */
void vn_decide_split(const struct vn_view *view, double ret[VN_PROVIDER_COUNT]);
/* The weights that hold now (budget spent: cost alone). */
void vn_decide_weights(const struct vn_view *view, struct vn_weights *ret);
/* [0, 1) from the decision's id and a purpose. */
double vn_decide_draw(const struct vn_decision_id *id, uint64_t purpose);

#endif
