/* demo.c - see demo.h.
 * Profiles: a function's base time is the trace's median duration (taken at one vCPU of AWS speed), split into cpu and
 *   waiting by its class; the class and all other figures come from a hash of its identity. The classes are those that
 *   right-sizing studies find: waiting on the network, computing, mixed, holding much memory, using two processors.
 * First sizes: three functions in five start oversized by one to three steps, as owners leave them; the others fit. */
#include "platform/demo.h"

#include "base/clock.h"
#include "base/detmath.h"
#include "base/hash.h"

/* Round trips from a caller in azure:northcentralus (Chicago), ms: inter-region measurements of April 2022
 * (Apache-2.0). All grants are used up and no meter is near its next tier, unless a test says otherwise. */
static const struct {
        const char *name;
        enum vn_platform_cloud cloud;
        const char *region;
        double rtt_ms;
} sites[VN_DEMO_SITES] = {
        {"aws-a", VN_PLATFORM_AWS, "us-east-1", 19.0},   {"aws-b", VN_PLATFORM_AWS, "us-west-2", 65.4},
        {"azure-a", VN_PLATFORM_AZURE, "eastus", 16.1},  {"azure-b", VN_PLATFORM_AZURE, "westus", 48.1},
        {"gcp-a", VN_PLATFORM_GCP, "us-central1", 12.9}, {"gcp-b", VN_PLATFORM_GCP, "us-east4", 20.3},
};

enum profile_class { CLASS_WAITING, CLASS_COMPUTING, CLASS_MIXED, CLASS_MEMORY, CLASS_PARALLEL };

static double clamp(double value, double low, double high)
{
        return value < low ? low : value > high ? high : value;
}

static double between(struct vn_rng *rng, double low, double high)
{
        return low + (high - low) * vn_rng_unit(rng);
}

static void make_work(const struct vn_trace_function *f, struct vn_rng *rng, struct vn_platform_work *work,
                      enum profile_class *ret_class)
{
        double base_ms = clamp(f->p50_ms > 0 ? f->p50_ms : f->mean_ms, 12, 3000);
        double cpu_share = 0.5, pick = vn_rng_unit(rng);
        enum profile_class class = pick < 0.30   ? CLASS_WAITING
                                   : pick < 0.55 ? CLASS_COMPUTING
                                   : pick < 0.68 ? CLASS_MIXED
                                   : pick < 0.90 ? CLASS_MEMORY
                                                 : CLASS_PARALLEL;
        memset(work, 0, sizeof *work);
        work->parallel = 1;
        work->need_mb = clamp(f->memory_mb > 0 ? f->memory_mb * between(rng, 0.6, 1.3) : 100, 60, 400);
        switch (class) {
        case CLASS_WAITING:
                cpu_share = between(rng, 0.01, 0.06); /* it waits for another service */
                /* The longer it waits, the more it holds meanwhile. */
                work->need_mb = clamp(90 + 0.6 * base_ms, 90, 400) * between(rng, 0.8, 1.08);
                break;
        case CLASS_COMPUTING: cpu_share = between(rng, 0.85, 0.98); break;
        case CLASS_MIXED: cpu_share = between(rng, 0.3, 0.6); break;
        case CLASS_MEMORY:
                cpu_share = between(rng, 0.02, 0.08);
                work->need_mb = vn_rng_unit(rng) < 0.7 ? between(rng, 260, 460) : between(rng, 460, 900);
                break;
        case CLASS_PARALLEL:
                cpu_share = between(rng, 0.85, 0.95);
                work->parallel = 2;
                work->need_mb = between(rng, 150, 1200);
                break;
        }
        double sensitive = vn_rng_unit(rng) < 0.5 ? between(rng, 0.2, 0.6) : 0; /* share of cpu time due to payload */
        double kb = f->payload_bytes / 1024;
        work->cpu_ms = base_ms * cpu_share * (1 - sensitive);
        work->cpu_ms_per_kb = base_ms * cpu_share * sensitive / (kb > 0.1 ? kb : 0.1);
        work->io_ms = base_ms * (1 - cpu_share);
        work->noise = f->p50_ms > 0 && f->p99_ms > f->p50_ms
                              ? clamp(vn_log(f->p99_ms / f->p50_ms) / 2.33 / 2, 0.08, 0.35)
                              : 0.12;
        work->need_mb_per_kb = between(rng, 0, 0.2);
        work->response_bytes = 600 * vn_exp(1.0 * vn_rng_normal(rng));
        work->response_per_byte = vn_rng_unit(rng) < 0.3 ? between(rng, 0.2, 1.5) : 0;
        *ret_class = class;
}

/* A size that fits with a margin for payloads; then the steps that its owner was too generous by. */
static uint32_t first_memory(const struct vn_platform_work *work, enum profile_class class, uint32_t oversized_steps)
{
        static const uint32_t sizes[] = {128, 256, 512, 1024, 1536, 2048, 3008};
        double need = (work->need_mb + work->need_mb_per_kb * 20) * 1.25;
        uint32_t i = 0;
        if (class == CLASS_COMPUTING || class == CLASS_PARALLEL)
                i = 3; /* owners know that compute wants more */
        while (i + 1 < sizeof sizes / sizeof sizes[0] && sizes[i] < need)
                i++;
        i += oversized_steps;
        return sizes[i < 6 ? i : 6];
}

static uint32_t gcp_memory(uint32_t mb)
{
        static const uint32_t sizes[] = {128, 256, 512, 1024, 2048, 4096};
        uint32_t i = 0;
        while (i < 5 && sizes[i] < mb)
                i++;
        return sizes[i];
}

struct profile {
        struct vn_platform_work work;
        enum profile_class class;
        enum vn_platform_runtime runtime;
        double package_mb;
        uint32_t memory_mb;
        bool flex, fixed_cpu;
};

static void make_profile(const struct vn_trace_function *f, struct profile *ret)
{
        static const uint8_t runtimes[] = {VN_RUNTIME_NODE,   VN_RUNTIME_NODE,   VN_RUNTIME_NODE, VN_RUNTIME_PYTHON,
                                           VN_RUNTIME_PYTHON, VN_RUNTIME_PYTHON, VN_RUNTIME_GO,   VN_RUNTIME_DOTNET,
                                           VN_RUNTIME_DOTNET, VN_RUNTIME_JAVA};
        struct vn_rng rng;
        vn_rng_seed(&rng, vn_hash64(f->hash, strlen(f->hash), 24));
        make_work(f, &rng, &ret->work, &ret->class);
        ret->runtime = (enum vn_platform_runtime)runtimes[vn_rng_below(&rng, sizeof runtimes)];
        ret->package_mb = between(&rng, 0.5, 12);
        uint32_t steps = vn_rng_unit(&rng) < 0.6 ? 1 + (uint32_t)vn_rng_below(&rng, 3) : 0;
        ret->memory_mb = first_memory(&ret->work, ret->class, steps);
        ret->flex = vn_rng_unit(&rng) < 0.12;
        /* Where a function mostly waits, its owner may have fixed a small CPU share beside the memory. */
        ret->fixed_cpu = (ret->class == CLASS_WAITING || ret->class == CLASS_MEMORY) && vn_rng_unit(&rng) < 0.85;
}

static void make_deployment(const struct vn_demo *demo, uint32_t site, const struct profile *profile,
                            struct vn_platform_deployment *d)
{
        *d = (struct vn_platform_deployment){.site = site,
                                             .runtime = profile->runtime,
                                             .package_mb = profile->package_mb,
                                             .memory_mb = profile->memory_mb,
                                             .timeout_us = 120 * VN_US_PER_S,
                                             .concurrency = 1,
                                             .max_instances = 100,
                                             .work = profile->work};
        switch (demo->sites[site].cloud) {
        case VN_PLATFORM_AWS: d->plan = VN_PLAN_LAMBDA; break;
        case VN_PLATFORM_AZURE:
                d->plan = profile->flex ? VN_PLAN_AZURE_FLEX : VN_PLAN_AZURE_CONSUMPTION;
                d->memory_mb = profile->flex ? (profile->memory_mb > 512 ? 2048 : 512) : 1536;
                d->concurrency = profile->flex ? 8 : 4;
                break;
        case VN_PLATFORM_GCP:
                d->plan = VN_PLAN_CLOUD_RUN;
                d->memory_mb = gcp_memory(profile->memory_mb);
                /* Smallest shares that Cloud Run takes with memory: .08 up to 512 MiB, .5 up to 1 GiB, then 1 [m]. */
                if (profile->fixed_cpu)
                        d->vcpu = profile->work.need_mb < 440 ? 0.167 : profile->work.need_mb < 900 ? 0.5 : 1;
                if (profile->fixed_cpu && d->memory_mb > (d->vcpu < 0.5 ? 512 : d->vcpu < 1 ? 1024u : 4096u))
                        d->memory_mb = d->vcpu < 0.5 ? 512 : d->vcpu < 1 ? 1024 : 4096;
                break;
        }
}

static enum vn_rc make_sites(struct vn_demo *demo, const struct vn_price_table *prices, struct vn_err *err)
{
        for (uint32_t i = 0; i < VN_DEMO_SITES; i++) {
                struct vn_platform_site *site = &demo->sites[i];
                VN_ASSERT(vn_str_copy(site->name, sizeof site->name, vn_str(sites[i].name)));
                VN_ASSERT(vn_str_copy(site->region, sizeof site->region, vn_str(sites[i].region)));
                site->cloud = sites[i].cloud;
                site->rtt_ms = sites[i].rtt_ms;
                site->concurrency_limit = 1000;
                VN_TRY(vn_price_table_region(prices, site->cloud, site->region, &site->price, err));
                site->used_gb_s = site->price.gb_s.free;
                site->used_flex_gb_s = site->price.flex_gb_s.free;
                site->used_vcpu_s = site->price.vcpu_s.free;
                site->used_gib_s = site->price.gib_s.free;
                site->used_requests = site->price.request.free;
                site->used_flex_requests = site->price.flex_request.free;
                site->used_egress_gb = 100;
        }
        return VN_OK;
}

enum vn_rc vn_demo_build(const struct vn_trace *trace, const struct vn_price_table *prices, struct vn_demo **ret,
                         struct vn_err *err)
{
        VN_AUTO(vn_demo)
        demo = vn_alloc(sizeof *demo);
        if (!demo)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the demonstration");
        demo->function_count = trace->function_count;
        demo->deployments = vn_alloc_array(trace->function_count * VN_DEMO_SITES, sizeof *demo->deployments);
        if (!demo->deployments)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the demonstration");
        VN_TRY(make_sites(demo, prices, err));
        for (uint32_t f = 0; f < trace->function_count; f++) {
                struct profile profile;
                make_profile(&trace->functions[f], &profile);
                for (uint32_t s = 0; s < VN_DEMO_SITES; s++)
                        make_deployment(demo, s, &profile, &demo->deployments[vn_demo_deployment(demo, s, f)]);
        }
        demo->config = (struct vn_platform_config){.sites = demo->sites,
                                                   .site_count = VN_DEMO_SITES,
                                                   .deployments = demo->deployments,
                                                   .deployment_count = trace->function_count * VN_DEMO_SITES,
                                                   .spread = 0.3};
        *ret = vn_steal(&demo);
        return VN_OK;
}

struct vn_demo *vn_demo_free(struct vn_demo *demo)
{
        if (!demo)
                return NULL;
        vn_free(demo->deployments);
        vn_free(demo);
        return NULL;
}
