/* policy.h - the policy language: typed YAML documents that say what routing and tuning may do.
 * Purpose: parse strictly, report every error with its place, and compile to a fixed-size value that decisions read.
 * Threads: pure. Ownership: value types without pointers; texts are copied.
 * Document:
 *   policy: NAME                     required; letters, digits, '-', '_', '.'
 *   scope: {workloads: GLOB}         '*' and '?'; default '*'
 *   objective: cost | latency | {cost: W, latency: W}     weights 0..1, not both 0
 *   latency_value_usd_per_ms: X      what a millisecond less is worth a million calls; default 0.01
 *   limits: {clouds: [..], regions: [..], residency: [eu, us, ..], latency_slo_ms: X, slo_quantile: Q, budget_usd_per_day: X}
 *   routing: {mode: shadow|advisory|automatic, exploration: 0..0.2, fallback: {aws: W, azure: W, gcp: W, http: W},
 *             unrecordable: refuse|last_split, acknowledge: journal|recorded}
 *   tuning: {mode: off|shadow|approval|automatic, max_step: 0.1..0.5}
 * Limits: 64 KiB, depth 8, 20 errors; anchors, aliases, tags and several documents are refused. */
#ifndef VANE_POLICIES_POLICY_H
#define VANE_POLICIES_POLICY_H

#include "base/err.h"
#include "base/str.h"
#include "policies/place.h"

#define VN_POLICY_MAX_BYTES 65536
#define VN_POLICY_MAX_ERRORS 20
#define VN_POLICY_MAX_REGIONS 16
#define VN_POLICY_NAME_BYTES 64

enum vn_routing_mode { VN_ROUTING_SHADOW, VN_ROUTING_ADVISORY, VN_ROUTING_AUTOMATIC };
enum vn_tuning_mode { VN_TUNING_OFF, VN_TUNING_SHADOW, VN_TUNING_APPROVAL, VN_TUNING_AUTOMATIC };
enum vn_unrecordable { VN_UNRECORDABLE_LAST_SPLIT, VN_UNRECORDABLE_REFUSE };
enum vn_acknowledge { VN_ACKNOWLEDGE_JOURNAL, VN_ACKNOWLEDGE_RECORDED };

struct vn_policy_compiled {
        char name[VN_POLICY_NAME_BYTES];
        char workloads[128]; /* glob */
        double cost_weight, latency_weight;
        double latency_value_usd_per_ms;         /* a million calls */
        uint32_t clouds;                         /* bits (1 << enum vn_provider) */
        uint32_t region_count;                   /* 0: all */
        char regions[VN_POLICY_MAX_REGIONS][48]; /* "aws:us-east-1" or "us-east-1" */
        uint32_t residency;                      /* bits (1 << enum vn_residency); 0: anywhere */
        double latency_slo_ms;                   /* 0: none */
        double slo_quantile;
        double budget_usd_per_day; /* 0: none */
        enum vn_routing_mode routing_mode;
        double exploration;
        double fallback[VN_PROVIDER_COUNT]; /* weights of the declared split, sum 1 */
        enum vn_unrecordable unrecordable;
        enum vn_acknowledge acknowledge;
        enum vn_tuning_mode tuning_mode;
        double max_step;
};

struct vn_policy_error {
        uint32_t line, column; /* from 1 */
        char field[96];        /* "limits.latency_slo_ms" */
        char message[160];
};
struct vn_policy_errors {
        size_t count;
        struct vn_policy_error items[VN_POLICY_MAX_ERRORS];
};

/* What holds where no policy matches: cost and latency equally, all clouds, automatic routing, tuning off. */
void vn_policy_default(struct vn_policy_compiled *ret);
/* INVALID_ARGUMENT with every error found (at least one) in *errors; the first is repeated in err. */
enum vn_rc vn_policy_parse(struct vn_str document, struct vn_policy_compiled *ret, struct vn_policy_errors *errors,
                           struct vn_err *err) VN_MUST_USE;
/* Canonical JSON: every field, one order; two policies are equal if it is. */
void vn_policy_print(const struct vn_policy_compiled *policy, struct vn_buf *ret);
/* '*' any run, '?' one byte; takes time proportional to both lengths. */
bool vn_policy_glob(const char *pattern, const char *text);
/* True if the policy's limits allow this place; region as the cloud names it. */
bool vn_policy_allows_cloud(const struct vn_policy_compiled *policy, enum vn_provider provider);
bool vn_policy_allows_region(const struct vn_policy_compiled *policy, enum vn_provider provider, const char *region);
bool vn_policy_allows_residency(const struct vn_policy_compiled *policy, enum vn_provider provider,
                                const char *region);

/* What differs between two policies, field by field. */
struct vn_policy_change {
        char field[96], before[128], after[128];
};
#define VN_POLICY_MAX_CHANGES 64
size_t vn_policy_diff(const struct vn_policy_compiled *before, const struct vn_policy_compiled *after,
                      struct vn_policy_change ret[VN_POLICY_MAX_CHANGES]);

#endif
