/* platform/fleet.h - what a platform is made of: accounts in regions (sites), deployments, and the work of functions.
 * Pure data. Threads: any. Ownership: arrays are the caller's. Units: milliseconds and MB (2^20 bytes) as named. */
#ifndef VANE_PLATFORM_FLEET_H
#define VANE_PLATFORM_FLEET_H

#include "platform/prices.h"

enum vn_platform_plan {
        VN_PLAN_LAMBDA,            /* AWS: CPU share by memory, one request an instance, 1 ms steps, INIT billed */
        VN_PLAN_AZURE_CONSUMPTION, /* memory as used, in 128 MB steps; at least 100 ms; no memory knob */
        VN_PLAN_AZURE_FLEX,        /* instance memory 512, 2048 or 4096; at least 1 s, then 100 ms steps */
        VN_PLAN_CLOUD_RUN,         /* GCP: vCPU and memory of an instance while it has requests, 100 ms steps */
};
enum vn_platform_runtime { VN_RUNTIME_NODE, VN_RUNTIME_PYTHON, VN_RUNTIME_GO, VN_RUNTIME_DOTNET, VN_RUNTIME_JAVA };
#define VN_RUNTIME_COUNT 5

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
        uint32_t max_instances; /* at most VN_MAX_PLATFORM_INSTANCES; 0: the plan's usual limit */
        uint32_t
                warm_instances; /* kept started: the first so many meet no cold start. What they cost is not billed here */
        struct vn_platform_work work;
};

struct vn_platform_config {
        const struct vn_platform_site *sites;
        size_t site_count;
        const struct vn_platform_deployment *deployments;
        size_t deployment_count;
        double spread; /* the seed moves latency, cold-start and idle-life constants by up to this share (0.3) */
};

#endif
