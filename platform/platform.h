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
#include "platform/prices.h"

enum vn_platform_plan {
        VN_PLAN_LAMBDA,            /* AWS: CPU share by memory, one request an instance, 1 ms steps, INIT billed */
        VN_PLAN_AZURE_CONSUMPTION, /* memory as used, in 128 MB steps; at least 100 ms; no memory knob */
        VN_PLAN_AZURE_FLEX,        /* instance memory 512, 2048 or 4096; at least 1 s, then 100 ms steps */
        VN_PLAN_CLOUD_RUN,         /* GCP: vCPU and memory of an instance while it has requests, 100 ms steps */
};
enum vn_platform_runtime { VN_RUNTIME_NODE, VN_RUNTIME_PYTHON, VN_RUNTIME_GO, VN_RUNTIME_DOTNET, VN_RUNTIME_JAVA };
#define VN_RUNTIME_COUNT 5
enum vn_platform_status {
        VN_RUN_OK,
        VN_RUN_ERROR,       /* the function failed by itself */
        VN_RUN_OOM,         /* killed: memory below need */
        VN_RUN_TIMEOUT,
        VN_RUN_THROTTLED,   /* refused by a concurrency limit; not billed */
        VN_RUN_UNAVAILABLE, /* an injected outage; not billed */
};

#define VN_MAX_PLATFORM_SITES 64
#define VN_MAX_PLATFORM_DEPLOYMENTS 100000
#define VN_MAX_PLATFORM_SLOTS 16       /* requests at once in one instance */
#define VN_MAX_PLATFORM_INSTANCES 1000 /* of one deployment */
#define VN_MAX_PLATFORM_INJECTIONS 256

/* One account in one region, as seen from the caller. The used_* figures are where its meters stand at the start. */
struct vn_platform_site {
        char name[32]; /* "aws-a" */
        enum vn_platform_cloud cloud;
        char region[32];
        double rtt_ms; /* caller to region and back */
        struct vn_platform_price price;
        double used_gb_s, used_flex_gb_s, used_vcpu_s, used_gib_s, used_requests, used_flex_requests, used_egress_gb;
        uint32_t concurrency_limit; /* requests in flight over the whole account; 0: none */
};

/* What the function does, the same wherever it runs. cpu figures are at one vCPU of AWS speed. */
struct vn_platform_work {
        double cpu_ms, cpu_ms_per_kb, io_ms;
        double parallel; /* vCPUs that it can keep busy, 1 for single-threaded */
        double noise;    /* sigma of the log-normal factor on cpu and io time */
        double need_mb, need_mb_per_kb;
        double response_bytes, response_per_byte; /* fixed and per payload byte */
        double error_rate;
};

struct vn_platform_deployment {
        uint32_t site;
        enum vn_platform_plan plan;
        enum vn_platform_runtime runtime;
        double package_mb;
        uint32_t memory_mb;
        double vcpu; /* VN_PLAN_CLOUD_RUN: fixed share whatever the memory; 0: by the memory table */
        int64_t timeout_us;
        uint32_t concurrency;   /* requests at once in an instance; 1 on Lambda */
        uint32_t max_instances; /* at most VN_MAX_PLATFORM_INSTANCES; 0 means that */
        struct vn_platform_work work;
};

struct vn_platform_config {
        const struct vn_platform_site *sites;
        size_t site_count;
        const struct vn_platform_deployment *deployments;
        size_t deployment_count;
        double spread; /* the seed moves latency, cold-start and idle-life constants by up to this share (0.3) */
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
        uint32_t memory_mb;  /* configured (Consumption: what is billed) */
        uint32_t used_mb;    /* most that the invocation held */
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

/* From time_us on new instances have the new size and old ones take no more requests. INVALID_ARGUMENT for a size
 * that the plan does not offer, FAILED_PRECONDITION where there is no such knob. */
enum vn_rc vn_platform_set_memory(struct vn_platform *platform, uint32_t deployment, uint32_t memory_mb,
                                  int64_t time_us, struct vn_err *err) VN_MUST_USE;
/* The size in force at that time. */
uint32_t vn_platform_memory(const struct vn_platform *platform, uint32_t deployment, int64_t time_us);
/* vCPUs that a size gives on a plan; also for the simulator's answers. */
double vn_platform_vcpu(enum vn_platform_plan plan, uint32_t memory_mb);

enum vn_injection_kind {
        VN_INJECT_OUTAGE,  /* amount: share of requests that fail, 0..1 */
        VN_INJECT_LATENCY, /* amount: factor on network and run time */
        VN_INJECT_PRICE,   /* amount: factor on every price */
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
