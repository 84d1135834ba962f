/* attribution.h - why this candidate: exact Shapley values of the margin, counterfactual, exclusions, a sentence.
 * Purpose: the margin (score of the best other minus score of the choice, before any draw) shared out over ten feature
 *   groups against a named baseline: the other candidate. v(S) = margin when the groups in S have the choice's values
 *   and the rest the other's, so v(nothing) = 0 and v(all) = margin; the values add up to it (1e-9; here 1e-12).
 * Threads: any; pure; only the counterfactual allocates (it decides again on a copy of the view).
 * Units: USD a million calls. Source: Shapley 1953; weights |S|!(n-|S|-1)!/n!, in the closed form of shapley.c. */
#ifndef VANE_DECIDE_ATTRIBUTION_H
#define VANE_DECIDE_ATTRIBUTION_H

#include "decide/record.h"

enum vn_group {
        VN_FEATURE_PRICE,
        VN_FEATURE_DURATION,
        VN_FEATURE_ROUNDING,
        VN_FEATURE_REQUEST,
        VN_FEATURE_EGRESS,
        VN_FEATURE_INIT,
        VN_FEATURE_NETWORK,
        VN_FEATURE_COLD,
        VN_FEATURE_ERRORS,
        VN_FEATURE_LOAD,
};
#define VN_FEATURE_GROUPS 10
const char *vn_group_name(enum vn_group group); /* "price", "duration", ... */

struct vn_attribution {
        double value[VN_FEATURE_GROUPS]; /* > 0: speaks for the choice */
        double sum, margin;
        double draw; /* what the exploration draw overcame: -margin if it chose against the score, else 0; not in sum */
};
void vn_attribute(const struct vn_features *choice, const struct vn_features *other, const struct vn_weights *weights,
                  struct vn_attribution *ret);
void vn_attribute_record(const struct vn_record *record, struct vn_attribution *ret); /* zeros without a runner-up */
/* "0.41 against 0.66 USD a million" */
void vn_group_detail(enum vn_group group, const struct vn_features *choice, const struct vn_features *other,
                     char *ret, size_t ret_bytes);

/* With one feasible candidate: the smallest set of exclusion reasons (bits) that covers all the others. */
uint32_t vn_smallest_exclusions(const struct vn_record *record);

struct vn_counterfactual {
        bool found, verified; /* verified: deciding again with it chose `would_choose` */
        enum vn_group group;
        bool of_choice; /* the choice's value changes; else the runner-up's */
        double from, to, factor;
        const char *unit;
        uint32_t would_choose; /* candidate index */
        char sentence[256];
};
/* The smallest relative change of one feature that makes another candidate win. */
enum vn_rc vn_counterfactual(const struct vn_view *view, const struct vn_question *question,
                             const struct vn_live *live, const struct vn_decision *decision,
                             struct vn_counterfactual *ret, struct vn_err *err) VN_MUST_USE;

/* One sentence a person can read, from the record alone. */
#define VN_SENTENCE_BYTES 320
void vn_record_sentence(const struct vn_record *record, char ret[VN_SENTENCE_BYTES]);
/* The deciding factor in a few words, for RouteResponse.reason. */
void vn_decision_reason(const struct vn_decision *decision, char *ret, size_t ret_bytes);

#endif
