/* platform/platform.h - how serverless platforms behave and bill: a deterministic discrete-event model.
 * Purpose: one call answers what an invocation at a given virtual time would have met (network, queue, cold start,
 *   run, billing). The simulator serves it; benches and training run it directly.
 * Pure: no I/O, no clock. The same config, seed and sequence of calls give the same bits on every machine.
 * Threads: one at a time per platform. Ownership: config arrays are copied; outcomes are plain values.
 * Units: microseconds, MB (2^20 bytes, as the clouds mean it), USD. Time never goes back for one deployment: an
 *   earlier arrival is taken as at the latest one.
 * Sources of the constants: platform/tables.c says for each where it comes from. */
#ifndef VANE_PLATFORM_PLATFORM_H
#define VANE_PLATFORM_PLATFORM_H

#include "base/err.h"
#include "platform/fleet.h"

enum vn_platform_status {
        VN_RUN_OK,
        VN_RUN_ERROR, /* the function failed by itself */
        VN_RUN_OOM,   /* killed: memory below need */
        VN_RUN_TIMEOUT,
        VN_RUN_THROTTLED,   /* refused by a concurrency limit; not billed */
        VN_RUN_UNAVAILABLE, /* an injected outage; not billed */
};

struct vn_platform_cost {
        double request_usd, compute_usd, memory_usd, init_usd, egress_usd;
        double total_usd; /* the sum, in that order */
};
struct vn_platform_outcome {
        enum vn_platform_status status;
        bool cold;
        int64_t network_us, queue_us;
        int64_t cold_us; /* all of the start: finding a machine, then init */
        int64_t init_us; /* the part in which the function's own code starts */
        int64_t run_us;
        int64_t elapsed_us; /* what the caller saw: the sum of network, queue, cold and run */
        int64_t billed_us;
        uint32_t memory_mb; /* configured (Consumption: what is billed) */
        uint32_t used_mb;   /* most that the invocation held */
        uint64_t response_bytes;
        uint64_t instance_id; /* unique within the platform; 0: none was reached */
        struct vn_platform_cost cost;
};

struct vn_platform;
enum vn_rc vn_platform_new(const struct vn_platform_config *config, uint64_t seed, struct vn_platform **ret,
                           struct vn_err *err) VN_MUST_USE;
struct vn_platform *vn_platform_free(struct vn_platform *platform);

void vn_platform_invoke(struct vn_platform *platform, uint32_t deployment, int64_t time_us, uint64_t payload_bytes,
                        struct vn_platform_outcome *ret);

/* The same for a run that took place elsewhere and was measured there: it has no model's duration, memory or failure, but the
 * platform's network, cold start, limits and bill. measured NULL: the model's run. */
struct vn_platform_measured {
        int64_t run_us;
        uint64_t response_bytes;
        bool failed;
};
void vn_platform_invoke_measured(struct vn_platform *platform, uint32_t deployment, int64_t time_us,
                                 uint64_t payload_bytes, const struct vn_platform_measured *measured,
                                 struct vn_platform_outcome *ret);

/* From time_us on new instances have the new size and old ones take no more requests. INVALID_ARGUMENT for a size
 * that the plan does not offer, FAILED_PRECONDITION where there is no such knob. */
enum vn_rc vn_platform_set_memory(struct vn_platform *platform, uint32_t deployment, uint32_t memory_mb,
                                  int64_t time_us, struct vn_err *err) VN_MUST_USE;
/* Instances that start from now on have ids above `past`: those up to it were told of by an earlier process. */
void vn_platform_skip_instances(struct vn_platform *platform, uint64_t past);
/* Whether a plan offers a size: the errors of vn_platform_set_memory without its effect. */
enum vn_rc vn_platform_check_memory(enum vn_platform_plan plan, uint32_t memory_mb, struct vn_err *err) VN_MUST_USE;
/* From the next request on; instances over a new limit are not taken away. max_instances 0: the plan's usual limit; more than
 * VN_MAX_PLATFORM_INSTANCES of either count as that many. */
void vn_platform_set_scaling(struct vn_platform *platform, uint32_t deployment, uint32_t max_instances,
                             uint32_t warm_instances);
/* The size in force at that time. */
uint32_t vn_platform_memory(const struct vn_platform *platform, uint32_t deployment, int64_t time_us);
/* vCPUs that a size gives on a plan; also for the simulator's answers. */
double vn_platform_vcpu(enum vn_platform_plan plan, uint32_t memory_mb);

enum vn_injection_kind {
        VN_INJECT_OUTAGE,  /* amount: share of requests that fail, 0..1 */
        VN_INJECT_LATENCY, /* amount: factor on network and run time */
        VN_INJECT_PRICE,   /* amount: factor on every price */
        VN_INJECT_LIMIT,   /* amount: requests in flight in the account, where its own limit is not lower */
};
struct vn_injection {
        enum vn_injection_kind kind;
        uint32_t site; /* UINT32_MAX: all */
        int64_t from_us, until_us;
        double amount;
};
enum vn_rc vn_platform_inject(struct vn_platform *platform, const struct vn_injection *injection,
                              struct vn_err *err) VN_MUST_USE;
/* The product of the price factors that hold at a site then (1 without any). */
double vn_platform_price_factor(const struct vn_platform *platform, uint32_t site, int64_t time_us);

size_t vn_platform_site_count(const struct vn_platform *platform);
/* The site with its meters as they stand now; the deployment as configured now. Valid until the next call. */
const struct vn_platform_site *vn_platform_site(const struct vn_platform *platform, uint32_t site);
size_t vn_platform_deployment_count(const struct vn_platform *platform);
const struct vn_platform_deployment *vn_platform_deployment(const struct vn_platform *platform, uint32_t deployment);

#endif
