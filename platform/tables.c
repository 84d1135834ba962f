/* tables.c - every constant of the model, with its source.
 * Sources: (a) daily Lambda cold starts, zip packages, x86_64, September 2025 to March 2026 (lambda-perf);
 * (b) cold response times and cold-start chance after idle minutes on three clouds, about 2021 (coldstart data sets);
 * (c) SeBS, August 2020: the same CPU-bound function at 2 GB took 60.5 ms on AWS, 72.1 on GCP, 89.4 on Azure;
 * (d) memory of applications in the Azure Functions trace, July 2019; [m] general knowledge. */
#include "platform/tables.h"

static const struct vn_plan_table tables[] = {
        [VN_PLAN_LAMBDA] =
                {
                        .speed = 1.0,
                        /* (b) js answers cold in 265 ms, of which (a) is init */
                        .place_ms = {110, 0.30},
                        /* (a) means node20 147, python3.12 94, go 51, dotnet8 258, java21 267; sigma from (b) p95/p50 */
                        .init_ms = {[VN_RUNTIME_NODE] = {147, 0.30},
                                    [VN_RUNTIME_PYTHON] = {94, 0.30},
                                    [VN_RUNTIME_GO] = {51, 0.30},
                                    [VN_RUNTIME_DOTNET] = {258, 0.25},
                                    [VN_RUNTIME_JAVA] = {267, 0.33}},
                        .init_ms_per_mb = 14,  /* (b) the larger package variants, per MB [m] */
                        .front_ms = {6, 0.40}, /* [m] */
                        .billed_front_share = 0,
                        /* (b) no cold start up to 5 idle minutes, always cold from 10 */
                        .idle_early = 0.02,
                        .idle_min_s = 240,
                        .idle_low_s = 300,
                        .idle_high_s = 600,
                        .default_max_instances = 1000,
                },
        [VN_PLAN_AZURE_CONSUMPTION] =
                {
                        .speed = 60.5 / 89.4, /* (c) */
                        .place_ms = {420, 0.60},
                        /* (b) Linux and Python variants: js 1252, python 1321, csharp 904; java 7850; go as a custom handler [m] */
                        .init_ms = {[VN_RUNTIME_NODE] = {830, 0.65},
                                    [VN_RUNTIME_PYTHON] = {900, 0.55},
                                    [VN_RUNTIME_GO] = {700, 0.60},
                                    [VN_RUNTIME_DOTNET] = {490, 0.70},
                                    [VN_RUNTIME_JAVA] = {3400, 0.50}},
                        .init_ms_per_mb = 40,      /* (b) as above [m] */
                        .front_ms = {14, 0.50},    /* [m] */
                        .billed_front_share = 0.5, /* the host's dispatch to its worker is inside the execution [m] */
                        /* (b) chance of a cold start: 5 min .08, 20 min .21, 25 min .78, 30 min .94 */
                        .idle_early = 0.21,
                        .idle_min_s = 180,
                        .idle_low_s = 1200,
                        .idle_high_s = 1860,
                        /* (d) median of an application 113 to 170 MB in all; what the host adds to the function's own [m] */
                        .host_mb = {[VN_RUNTIME_NODE] = 60,
                                    [VN_RUNTIME_PYTHON] = 60,
                                    [VN_RUNTIME_GO] = 50,
                                    [VN_RUNTIME_DOTNET] = 40,
                                    [VN_RUNTIME_JAVA] = 80},
                        .default_max_instances = 200, /* [m] */
                },
        [VN_PLAN_AZURE_FLEX] =
                {
                        .speed = 60.5 / 72.1, /* newer machines than Consumption's [m] */
                        .place_ms = {180, 0.45},
                        .init_ms = {[VN_RUNTIME_NODE] = {420, 0.45},
                                    [VN_RUNTIME_PYTHON] = {480, 0.45},
                                    [VN_RUNTIME_GO] = {360, 0.45},
                                    [VN_RUNTIME_DOTNET] = {330, 0.45},
                                    [VN_RUNTIME_JAVA] = {1500, 0.40}}, /* [m] */
                        .init_ms_per_mb = 20,                          /* [m] */
                        .front_ms = {12, 0.45},                        /* [m] */
                        .billed_front_share = 0.5,
                        .idle_early = 0.10,
                        .idle_min_s = 60,
                        .idle_low_s = 300,
                        .idle_high_s = 900, /* [m] */
                        .host_mb = {[VN_RUNTIME_NODE] = 60,
                                    [VN_RUNTIME_PYTHON] = 60,
                                    [VN_RUNTIME_GO] = 50,
                                    [VN_RUNTIME_DOTNET] = 40,
                                    [VN_RUNTIME_JAVA] = 80},
                        .default_max_instances = 100,
                },
        [VN_PLAN_CLOUD_RUN] =
                {
                        .speed = 60.5 / 72.1, /* (c) */
                        .place_ms = {240, 0.35},
                        /* (b) js 666, python 1102, go 589 in all; the others [m] */
                        .init_ms = {[VN_RUNTIME_NODE] = {420, 0.22},
                                    [VN_RUNTIME_PYTHON] = {850, 0.22},
                                    [VN_RUNTIME_GO] = {340, 0.15},
                                    [VN_RUNTIME_DOTNET] = {800, 0.25},
                                    [VN_RUNTIME_JAVA] = {1700, 0.25}},
                        .init_ms_per_mb = 12,  /* (b) as above [m] */
                        .front_ms = {8, 0.40}, /* [m] */
                        .billed_front_share = 0,
                        /* (b) always warm up to 15 idle minutes, always cold from 25 */
                        .idle_early = 0.02,
                        .idle_min_s = 180,
                        .idle_low_s = 900,
                        .idle_high_s = 1500,
                        .default_max_instances = 100, /* the default limit of a service [m] */
                },
};

const struct vn_plan_table *vn_plan_table(enum vn_platform_plan plan)
{
        return &tables[plan];
}

/* GCP's default CPU by memory; sizes between two rows get the larger row's. */
static const struct {
        uint32_t memory_mb;
        double vcpu;
} gcp_cpu[] = {{128, .083}, {256, .167}, {512, .333}, {1024, .583}, {2048, 1},
               {4096, 2},   {8192, 2},   {16384, 4},  {32768, 8}};

double vn_platform_vcpu(enum vn_platform_plan plan, uint32_t memory_mb)
{
        switch (plan) {
        case VN_PLAN_LAMBDA: return memory_mb / 1769.0;
        case VN_PLAN_AZURE_CONSUMPTION: return 1;
        case VN_PLAN_AZURE_FLEX: return memory_mb / 2048.0; /* .25, 1 and 2 vCPU [m] */
        case VN_PLAN_CLOUD_RUN:
                for (size_t i = 0; i < sizeof gcp_cpu / sizeof gcp_cpu[0]; i++) {
                        if (memory_mb <= gcp_cpu[i].memory_mb)
                                return gcp_cpu[i].vcpu;
                }
                return 8;
        }
        return 1;
}
