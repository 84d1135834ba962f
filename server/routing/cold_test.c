/* cold_test.c - the duration of a cold start, learnt from outcomes of the platform model, against the model's own. */
#include "server/routing/cold.h"

#include <math.h>

#include "base/clock.h"
#include "base/hash.h"
#include "platform/platform.h"
#include "tests/test.h"

/* One function on one plan; the seed moves the platform's constants by up to 30 %. */
struct bench {
        struct vn_platform *platform;
        struct vn_rng rng;
        int64_t at_us;
        double run_us, run_sd_us, network_us; /* what telemetry would know */
        double true_us;                       /* what a start adds, by the model itself */
};

static struct vn_platform_outcome call(struct bench *b)
{
        struct vn_platform_outcome out;
        b->at_us += (int64_t)(exp(vn_rng_unit(&b->rng) * log(7200)) * 1e6); /* idle for 1 s to two hours */
        vn_platform_invoke(b->platform, 0, b->at_us, 0, &out);
        b->at_us += out.elapsed_us;
        return out;
}

static void bench_open(struct bench *b, enum vn_platform_plan plan, uint64_t seed)
{
        struct vn_platform_site site = {.rtt_ms = 40};
        struct vn_platform_deployment d = {.plan = plan,
                                           .runtime = VN_RUNTIME_PYTHON,
                                           .package_mb = 5,
                                           .memory_mb = plan == VN_PLAN_AZURE_CONSUMPTION ? 0 : 512,
                                           .timeout_us = 60 * VN_US_PER_S,
                                           .concurrency = 1,
                                           .work = {.cpu_ms = 150,
                                                    .io_ms = 60,
                                                    .parallel = 1,
                                                    .noise = .3,
                                                    .need_mb = 100,
                                                    .response_bytes = 1000}};
        struct vn_platform_config config = {
                .sites = &site, .site_count = 1, .deployments = &d, .deployment_count = 1, .spread = .3};
        const unsigned n = 20000;
        double sum = 0, squares = 0, network = 0, starts = 0, added = 0;
        memset(b, 0, sizeof *b);
        b->at_us = VN_US_PER_S;
        vn_rng_seed(&b->rng, seed);
        CHECK_OK(vn_platform_new(&config, seed, &b->platform, NULL));
        for (unsigned i = 0; i < n; i++) {
                struct vn_platform_outcome out = call(b);
                sum += (double)out.run_us;
                squares += (double)out.run_us * (double)out.run_us;
                network += (double)out.network_us;
                starts += out.cold;
                added += out.cold ? (double)(out.elapsed_us - out.network_us - out.run_us) : 0;
        }
        b->run_us = sum / n;
        b->run_sd_us = sqrt(squares / n - b->run_us * b->run_us);
        b->network_us = network / n;
        b->true_us = added / starts;
}

/* What `n` outcomes teach, each held against the window of its minute; all are wrong about network by the same. */
static struct vn_cold_estimate learn(struct bench *b, unsigned n, double scale_us, double network_error_us)
{
        struct vn_cold cold;
        struct vn_cold_estimate ret;
        struct vn_platform_outcome of_minute[60];
        unsigned count = 0, starts = 0;
        int64_t minute = 0;
        memset(&cold, 0, sizeof cold);
        for (unsigned i = 0; i < n; i++) {
                struct vn_platform_outcome out = call(b);
                int64_t now = (b->at_us - out.elapsed_us) / VN_US_PER_MIN;
                for (unsigned k = 0; (now != minute || count == 60) && k < count; k++) {
                        struct vn_cold_outcome o = {.caller = 1 + (uint64_t)(minute + k) % 3,
                                                    .time_us = minute * VN_US_PER_MIN,
                                                    .share = (double)starts / count,
                                                    .excess_us = (double)of_minute[k].elapsed_us - b->network_us -
                                                                 network_error_us - b->run_us,
                                                    .spread_us = b->run_sd_us};
                        vn_cold_add(&cold, &o, scale_us);
                }
                if (now != minute || count == 60)
                        count = starts = 0;
                minute = now;
                of_minute[count++] = out;
                starts += out.cold;
        }
        vn_cold_estimate(&cold, scale_us, scale_us, 8, &ret);
        return ret;
}

TEST(cold_durations_of_three_clouds_are_found)
{
        static const struct {
                enum vn_platform_plan plan;
                double scale_us;
        } row[] = {{VN_PLAN_AZURE_CONSUMPTION, 2500e3}, {VN_PLAN_CLOUD_RUN, 1000e3}, {VN_PLAN_LAMBDA, 400e3}};
        for (unsigned k = 0; k < sizeof row / sizeof *row; k++)
                for (uint64_t seed = 1; seed <= 8; seed++) {
                        struct bench b;
                        bench_open(&b, row[k].plan, seed);
                        struct vn_cold_estimate few = learn(&b, 300, row[k].scale_us, 0);
                        struct vn_cold_estimate many = learn(&b, 3000, row[k].scale_us, 0);
                        struct vn_cold_estimate off = learn(&b, 3000, row[k].scale_us, 30e3);
                        CHECK_NEAR(1, few.us / b.true_us, .3);
                        CHECK_NEAR(1, many.us / b.true_us, .1);
                        CHECK_NEAR(1, off.us / b.true_us, .15);
                        CHECK(few.starts > 20);
                        vn_platform_free(b.platform);
                }
}

TEST(cold_little_data_changes_little_and_wild_data_is_bounded)
{
        struct vn_cold cold;
        struct vn_cold_estimate e;
        memset(&cold, 0, sizeof cold);
        vn_cold_estimate(&cold, 1000e3, 700e3, 8, &e);
        CHECK_NEAR(700e3, e.us, 1e-6);
        CHECK_NEAR(0, e.starts, 0);
        /* One certain start of 1.6 s against eight of 0.7: a ninth of the way, less what the intercept takes. */
        vn_cold_add(&cold, &(struct vn_cold_outcome){1, 5, 1, 1600e3, 0}, 1000e3);
        vn_cold_estimate(&cold, 1000e3, 700e3, 8, &e);
        CHECK(e.us > 750e3 && e.us < 810e3);
        CHECK_INT(5, cold.newest_us);
        for (unsigned i = 0; i < 5000; i++)
                vn_cold_add(&cold, &(struct vn_cold_outcome){1, 6, i % 2, i % 2 ? 9e11 : -9e11, 0}, 1000e3);
        vn_cold_estimate(&cold, 1000e3, 700e3, 8, &e);
        CHECK_NEAR(8000e3, e.us, 1e-3);
        for (unsigned i = 0; i < 50000; i++)
                vn_cold_add(&cold, &(struct vn_cold_outcome){1, 6, i % 2, i % 2 ? -9e11 : 9e11, 0}, 1000e3);
        vn_cold_estimate(&cold, 1000e3, 700e3, 8, &e);
        CHECK_NEAR(0, e.us, 0);
        double before = cold.sums[0].w;
        vn_cold_add(&cold, &(struct vn_cold_outcome){1, 9, NAN, 1, 0}, 1000e3);
        vn_cold_add(&cold, &(struct vn_cold_outcome){1, 9, .5, NAN, 0}, 1000e3);
        vn_cold_add(&cold, &(struct vn_cold_outcome){1, 9, .5, 1, NAN}, 1000e3);
        CHECK(cold.sums[0].w == before && cold.newest_us == 6);
}

/* Four callers tell of starts of half a second; a fifth tells of nine, a hundred times as often. */
TEST(cold_one_caller_moves_it_no_further_than_its_share)
{
        struct vn_cold cold;
        struct vn_cold_estimate honest, moved;
        memset(&cold, 0, sizeof cold);
        for (unsigned i = 0; i < 4000; i++)
                vn_cold_add(&cold, &(struct vn_cold_outcome){1 + i % 4, 1, i / 4 % 2, i / 4 % 2 ? 500e3 : 0, 0},
                            1000e3);
        vn_cold_estimate(&cold, 1000e3, 1000e3, 8, &honest);
        CHECK_NEAR(500e3, honest.us, 20e3);
        for (unsigned i = 0; i < 400000; i++)
                vn_cold_add(&cold, &(struct vn_cold_outcome){99, 1, i % 2, i % 2 ? 8000e3 : 0, 0}, 1000e3);
        vn_cold_estimate(&cold, 1000e3, 1000e3, 8, &moved);
        /* Of five callers one has a third at most. */
        CHECK(moved.us > honest.us && moved.us <= 500e3 + (8000e3 - 500e3) * (1 / 3.0 + .01));
}
