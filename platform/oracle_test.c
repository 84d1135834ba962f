/* oracle_test.c - does the demonstration leave something to win, honestly? With perfect knowledge of the model, choose
 * for each function the cheapest endpoint (and size) that is at most a quarter slower at its p95 than on the best single cloud; then look at the p95 over all calls. */
#include <stdlib.h>

#include "platform/carried_test.h"
#include "platform/demo.h"
#include "tests/test.h"

#define MAX_FUNCTIONS 64

struct world {
        struct vn_buf text[6];
        struct vn_price_table prices;
        struct vn_trace *trace;
        struct vn_demo *demo;
};

static void world_init(struct world *w, uint64_t seed)
{
        static const char *const files[6] = {"azure-functions/azure2019-500/invocations.csv",
                                             "azure-functions/azure2019-500/durations.csv",
                                             "azure-functions/azure2019-500/memory.csv",
                                             "prices/functions.csv",
                                             "prices/aws_lambda_volume_tiers.csv",
                                             "prices/egress_internet.csv"};
        struct vn_trace_options options;
        struct vn_err err;
        for (int i = 0; i < 6; i++)
                test_read_data(files[i], &w->text[i]);
        vn_trace_options_default(&options);
        options.seed = seed;
        CHECK_OK(vn_trace_build(vn_buf_view(&w->text[0]), vn_buf_view(&w->text[1]), vn_buf_view(&w->text[2]),
                                &options, &w->trace, &err));
        CHECK_OK(vn_price_table_parse(vn_buf_view(&w->text[3]), vn_buf_view(&w->text[4]), vn_buf_view(&w->text[5]),
                                      &w->prices, &err));
        CHECK_OK(vn_demo_build(w->trace, &w->prices, &w->demo, &err));
}

static void world_done(struct world *w)
{
        vn_demo_free(w->demo);
        vn_trace_free(w->trace);
        for (int i = 0; i < 6; i++)
                vn_buf_done(&w->text[i]);
}

static int compare_i64(const void *a, const void *b)
{
        int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
        return x < y ? -1 : x > y;
}

struct result {
        double usd, p95_ms;
        size_t failed, cold;
};

/* Runs the calls of one function, or of all (function UINT32_MAX), each at its chosen site and size (0: first). */
static struct result run(const struct world *w, uint64_t seed, uint32_t only, const uint32_t *site,
                         const uint32_t *mb)
{
        struct vn_platform *p = NULL;
        struct result r = {0};
        struct vn_err err;
        int64_t *elapsed = malloc(sizeof *elapsed * (w->trace->call_count + 1));
        size_t n = 0;
        CHECK_OK(vn_platform_new(&w->demo->config, seed, &p, &err));
        for (uint32_t f = 0; f < w->demo->function_count; f++) {
                uint32_t d = vn_demo_deployment(w->demo, site[f], f);
                if (mb[f])
                        CHECK_OK(vn_platform_set_memory(p, d, mb[f], 0, &err));
        }
        for (size_t i = 0; i < w->trace->call_count; i++) {
                const struct vn_trace_call *c = &w->trace->calls[i];
                struct vn_platform_outcome out;
                if (only != UINT32_MAX && c->function != only)
                        continue;
                vn_platform_invoke(p, vn_demo_deployment(w->demo, site[c->function], c->function), c->at_us,
                                   c->payload_bytes, &out);
                r.usd += out.cost.total_usd;
                r.failed += out.status != VN_RUN_OK;
                r.cold += out.cold;
                elapsed[n++] = out.elapsed_us;
        }
        qsort(elapsed, n, sizeof *elapsed, compare_i64);
        r.p95_ms = n ? (double)elapsed[n * 95 / 100] / 1e3 : 0;
        free(elapsed);
        vn_platform_free(p);
        return r;
}

static void fill(uint32_t *to, size_t n, uint32_t value)
{
        for (size_t i = 0; i < n; i++)
                to[i] = value;
}

/* Cheapest choice for one function that is no slower than `limit_ms` and fails nothing. */
static void choose(const struct world *w, uint64_t seed, uint32_t f, double limit_ms, bool tune, uint32_t *site,
                   uint32_t *mb)
{
        static const uint32_t aws[] = {0, 128, 192, 256, 384, 512, 768, 1024, 1536, 1769, 3008};
        static const uint32_t gcp[] = {0, 128, 256, 512, 1024, 2048, 4096};
        static const uint32_t flex[] = {0, 512, 2048};
        uint32_t best_site = site[f], best_mb = 0;
        double best_usd = 1e9;
        for (uint32_t s = 0; s < VN_DEMO_SITES; s++) {
                enum vn_platform_plan plan = w->demo->deployments[vn_demo_deployment(w->demo, s, f)].plan;
                const uint32_t *sizes = plan == VN_PLAN_LAMBDA ? aws : plan == VN_PLAN_CLOUD_RUN ? gcp : flex;
                size_t count = plan == VN_PLAN_LAMBDA       ? 11
                               : plan == VN_PLAN_CLOUD_RUN  ? 7
                               : plan == VN_PLAN_AZURE_FLEX ? 3
                                                            : 1;
                for (size_t i = 0; i < (tune ? count : 1); i++) {
                        site[f] = s;
                        mb[f] = sizes[i];
                        struct result r = run(w, seed, f, site, mb);
                        if (r.usd < best_usd && r.p95_ms <= limit_ms && !r.failed) {
                                best_usd = r.usd;
                                best_site = s;
                                best_mb = sizes[i];
                        }
                }
        }
        site[f] = best_site;
        mb[f] = best_mb;
}

TEST(no_cloud_wins_everything_and_routing_with_sizing_pays)
{
        double sum_plain = 0, sum_tuned = 0;
        for (uint64_t seed = 1; seed <= 5; seed++) {
                struct world w;
                uint32_t site[MAX_FUNCTIONS], mb[MAX_FUNCTIONS], count[3] = {0};
                struct result single[VN_DEMO_SITES], result[2];
                uint32_t best = 0;
                world_init(&w, seed);
                CHECK(w.demo->function_count <= MAX_FUNCTIONS);
                fill(mb, MAX_FUNCTIONS, 0);
                for (uint32_t s = 0; s < VN_DEMO_SITES; s++) {
                        fill(site, MAX_FUNCTIONS, s);
                        single[s] = run(&w, seed, UINT32_MAX, site, mb);
                        CHECK_INT(0, single[s].failed);
                        if (single[s].usd < single[best].usd)
                                best = s;
                        printf("  seed %u %-8s $%.5f p95 %.0f ms cold %zu\n", (unsigned)seed, w.demo->sites[s].name,
                               single[s].usd, single[s].p95_ms, single[s].cold);
                }
                for (int tune = 0; tune < 2; tune++) {
                        for (uint32_t f = 0; f < w.demo->function_count; f++) {
                                uint32_t try_site[MAX_FUNCTIONS], try_mb[MAX_FUNCTIONS];
                                fill(try_site, MAX_FUNCTIONS, best);
                                fill(try_mb, MAX_FUNCTIONS, 0);
                                double limit = run(&w, seed, f, try_site, try_mb).p95_ms * 1.25;
                                choose(&w, seed, f, limit, tune, try_site, try_mb);
                                site[f] = try_site[f];
                                mb[f] = try_mb[f];
                                count[w.demo->sites[site[f]].cloud] += (uint32_t)tune;
                        }
                        result[tune] = run(&w, seed, UINT32_MAX, site, mb);
                        printf("  seed %u oracle%s $%.5f (%.1f %%) p95 %.0f ms (%.2f) cold %zu\n", (unsigned)seed,
                               tune ? ", sizes too" : "", result[tune].usd,
                               100 * (1 - result[tune].usd / single[best].usd), result[tune].p95_ms,
                               result[tune].p95_ms / single[best].p95_ms, result[tune].cold);
                }
                printf("  seed %u of %zu functions: aws %u azure %u gcp %u\n", (unsigned)seed, w.demo->function_count,
                       count[0], count[1], count[2]);
                sum_plain += 1 - result[0].usd / single[best].usd;
                sum_tuned += 1 - result[1].usd / single[best].usd;
                CHECK(result[1].p95_ms <= 1.05 * single[best].p95_ms);
                CHECK(count[0] && count[1] && count[2]);
                world_done(&w);
        }
        printf("  mean saving: %.1f %% with first sizes, %.1f %% with sizes chosen too\n", 20 * sum_plain,
               20 * sum_tuned);
        CHECK(sum_tuned / 5 > 0.15);
}

static struct world alloc_world;

static enum vn_rc build_demo(void)
{
        struct vn_demo *demo = NULL;
        VN_TRY(vn_demo_build(alloc_world.trace, &alloc_world.prices, &demo, NULL));
        vn_demo_free(demo);
        return VN_OK;
}

TEST(demo_survives_failing_allocations)
{
        world_init(&alloc_world, 1);
        TEST_ALLOC_LOOP(build_demo);
        world_done(&alloc_world);
}
