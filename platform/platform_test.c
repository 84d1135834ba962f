/* platform_test.c - the model: same bits for the same seed, billing by hand, conservation, limits, injections. */
#include "platform/platform.h"

#include "base/clock.h"
#include "base/detmath.h"
#include "base/hash.h"
#include "tests/test.h"

static struct vn_price_meter flat(double usd)
{
        return (struct vn_price_meter){.tiers = {{0, usd}}, .tier_count = 1};
}

static const struct vn_platform_work steady = {
        .cpu_ms = 80, .io_ms = 20, .parallel = 1, .need_mb = 100, .response_bytes = 1000};

struct bench {
        struct vn_platform_site site;
        struct vn_platform_deployment d;
        struct vn_platform_config config;
        struct vn_platform *p;
};

static void setup(struct bench *b, enum vn_platform_plan plan, uint32_t memory_mb)
{
        memset(b, 0, sizeof *b);
        b->site.rtt_ms = 20;
        b->site.price.gb_s = flat(1e-5);
        b->site.price.flex_gb_s = flat(2e-5);
        b->site.price.vcpu_s = flat(2.4e-5);
        b->site.price.gib_s = flat(2.5e-6);
        b->site.price.request = flat(2e-7);
        b->site.price.flex_request = flat(4e-7);
        b->site.price.egress_gb = flat(0.09);
        b->d = (struct vn_platform_deployment){.plan = plan,
                                               .memory_mb = memory_mb,
                                               .timeout_us = 60 * VN_US_PER_S,
                                               .concurrency = 1,
                                               .work = steady};
        b->config = (struct vn_platform_config){
                .sites = &b->site, .site_count = 1, .deployments = &b->d, .deployment_count = 1};
}

static void start(struct bench *b, uint64_t seed)
{
        struct vn_err err;
        CHECK_OK(vn_platform_new(&b->config, seed, &b->p, &err));
}

static struct vn_platform_outcome call(struct bench *b, int64_t at_us)
{
        struct vn_platform_outcome out;
        vn_platform_invoke(b->p, 0, at_us, 0, &out);
        return out;
}

TEST(the_same_seed_gives_the_same_bits_and_another_does_not)
{
        struct vn_platform_outcome first[500], again[500];
        for (int round = 0; round < 3; round++) {
                struct bench b;
                setup(&b, VN_PLAN_CLOUD_RUN, 512);
                b.d.work.noise = 0.3;
                b.d.concurrency = 4;
                b.config.spread = 0.3;
                start(&b, round == 2 ? 8 : 7);
                for (int i = 0; i < 500; i++)
                        vn_platform_invoke(b.p, 0, i * INT64_C(37) * VN_US_PER_S, (uint64_t)i,
                                           round ? &again[i] : &first[i]);
                vn_platform_free(b.p);
                if (round)
                        CHECK((memcmp(first, again, sizeof first) == 0) == (round == 1));
        }
}

TEST(lambda_bills_whole_milliseconds_and_init)
{
        struct bench b;
        setup(&b, VN_PLAN_LAMBDA, 1769);
        start(&b, 1);
        struct vn_platform_outcome cold = call(&b, 0), warm = call(&b, 10 * VN_US_PER_S);
        CHECK(cold.cold && cold.init_us > 0 && !warm.cold && warm.init_us == 0);
        /* 80 ms of cpu on one vCPU and 20 ms of waiting: 100 ms, 0.1 s x 1769/1024 GB x 1e-5. */
        CHECK_INT(100000, warm.run_us);
        CHECK_INT(100000, warm.billed_us);
        CHECK_NEAR(0.1 * 1769 / 1024 * 1e-5, warm.cost.compute_usd, 1e-15);
        CHECK_NEAR(2e-7, warm.cost.request_usd, 1e-18);
        CHECK_NEAR(1000 / 1e9 * 0.09, warm.cost.egress_usd, 1e-18);
        CHECK_INT((cold.run_us + cold.init_us + 999) / 1000 * 1000, cold.billed_us);
        CHECK_INT(cold.network_us + cold.cold_us + cold.run_us, cold.elapsed_us);
        CHECK(cold.cold_us > cold.init_us && cold.cost.init_usd > 0);
        vn_platform_free(b.p);
}

TEST(cpu_share_follows_memory_on_lambda)
{
        static const uint32_t sizes[] = {128, 256, 512, 1769, 3538};
        static const int64_t want_us[] = {80000 * 1769 / 128 + 20000, 80000 * 1769 / 256 + 20000,
                                          80000 * 1769 / 512 + 20000, 100000, 100000};
        for (int i = 0; i < 5; i++) {
                struct bench b;
                setup(&b, VN_PLAN_LAMBDA, sizes[i]);
                start(&b, 1);
                call(&b, 0);
                struct vn_platform_outcome warm = call(&b, 20 * VN_US_PER_S);
                CHECK_NEAR((double)want_us[i], (double)warm.run_us, 2);
                vn_platform_free(b.p);
        }
}

TEST(consumption_bills_used_memory_in_128s_and_at_least_100_ms)
{
        struct bench b;
        setup(&b, VN_PLAN_AZURE_CONSUMPTION, 1536);
        b.d.work.cpu_ms = 5;
        b.d.work.io_ms = 1;
        start(&b, 1);
        call(&b, 0);
        struct vn_platform_outcome warm = call(&b, 10 * VN_US_PER_S);
        CHECK_INT(100000, warm.billed_us);
        CHECK_INT(256, warm.memory_mb); /* 100 of its own and 60 of the host */
        CHECK_NEAR(0.1 * 0.25 * 1e-5, warm.cost.compute_usd, 1e-15);
        struct vn_err err;
        CHECK_RC(VN_FAILED_PRECONDITION, vn_platform_set_memory(b.p, 0, 512, 0, &err));
        vn_platform_free(b.p);
}

TEST(flex_bills_instance_memory_a_second_at_least)
{
        struct bench b;
        struct vn_err err;
        setup(&b, VN_PLAN_AZURE_FLEX, 2048);
        start(&b, 1);
        call(&b, 0);
        struct vn_platform_outcome warm = call(&b, 20 * VN_US_PER_S);
        CHECK_INT(1000000, warm.billed_us);
        CHECK_NEAR(1 * 2 * 2e-5, warm.cost.compute_usd, 1e-15);
        CHECK_NEAR(4e-7, warm.cost.request_usd, 1e-18);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_set_memory(b.p, 0, 1024, 0, &err));
        CHECK_OK(vn_platform_set_memory(b.p, 0, 512, 0, &err));
        vn_platform_free(b.p);
}

TEST(cloud_run_rounds_to_100_ms_and_overlap_shares_an_instance)
{
        struct bench b;
        setup(&b, VN_PLAN_CLOUD_RUN, 2048);
        b.d.concurrency = 4;
        b.d.work.cpu_ms = 0;
        b.d.work.io_ms = 250;
        start(&b, 1);
        call(&b, 0);
        struct vn_platform_outcome one = call(&b, 60 * VN_US_PER_S);
        CHECK_INT(250000, one.run_us);
        CHECK_INT(300000, one.billed_us);
        CHECK_NEAR(0.3 * 2.4e-5, one.cost.compute_usd, 1e-15);
        CHECK_NEAR(0.3 * 2 * 2.5e-6, one.cost.memory_usd, 1e-15);
        /* 50 ms later on the same instance: most of its time is paid for already. */
        struct vn_platform_outcome two = call(&b, 60 * VN_US_PER_S + 100000);
        CHECK_INT(one.instance_id, two.instance_id);
        CHECK(two.billed_us == 100000);
        vn_platform_free(b.p);
}

TEST(an_instance_serves_again_until_its_idle_life_ends)
{
        for (uint64_t seed = 1; seed <= 20; seed++) {
                struct bench b;
                setup(&b, VN_PLAN_LAMBDA, 512);
                start(&b, seed);
                CHECK(call(&b, 0).cold);
                CHECK(!call(&b, 200 * VN_US_PER_S).cold);
                CHECK(call(&b, 5000 * VN_US_PER_S).cold);
                vn_platform_free(b.p);
        }
}

TEST(warm_instances_spare_the_cold_start_and_limits_move)
{
        struct bench b;
        setup(&b, VN_PLAN_LAMBDA, 512);
        start(&b, 1);
        vn_platform_set_scaling(b.p, 0, 3, 2);
        struct vn_platform_outcome first = call(&b, 0), second = call(&b, 0), third = call(&b, 0);
        CHECK(!first.cold && !first.cold_us && !first.init_us && !second.cold && third.cold && third.init_us > 0);
        CHECK_INT(VN_RUN_THROTTLED, call(&b, 0).status);
        CHECK(!call(&b, 24 * VN_US_PER_HOUR).cold); /* whatever the time between */
        vn_platform_set_scaling(b.p, 0, 0, 0);
        CHECK(call(&b, 48 * VN_US_PER_HOUR).cold);
        vn_platform_free(b.p);
}

TEST(parallel_requests_need_instances_and_limits_refuse)
{
        struct bench b;
        setup(&b, VN_PLAN_LAMBDA, 512);
        b.d.max_instances = 3;
        start(&b, 1);
        for (int i = 0; i < 3; i++)
                CHECK_INT(VN_RUN_OK, call(&b, 0).status);
        struct vn_platform_outcome refused = call(&b, 0);
        CHECK_INT(VN_RUN_THROTTLED, refused.status);
        CHECK(refused.cost.total_usd == 0 && refused.instance_id == 0);
        vn_platform_free(b.p);

        setup(&b, VN_PLAN_LAMBDA, 512);
        b.site.concurrency_limit = 2;
        start(&b, 1);
        call(&b, 0);
        call(&b, 0);
        CHECK_INT(VN_RUN_THROTTLED, call(&b, 0).status);
        CHECK_INT(VN_RUN_OK, call(&b, 30 * VN_US_PER_S).status);
        vn_platform_free(b.p);

        setup(&b, VN_PLAN_AZURE_FLEX, 2048); /* Azure queues instead */
        b.d.max_instances = 1;
        start(&b, 1);
        struct vn_platform_outcome first = call(&b, 0), second = call(&b, 0);
        CHECK_INT(VN_RUN_OK, second.status);
        CHECK(second.queue_us > 0 && second.instance_id == first.instance_id);
        vn_platform_free(b.p);
}

TEST(too_little_memory_kills_and_a_time_limit_cuts)
{
        struct bench b;
        setup(&b, VN_PLAN_LAMBDA, 128);
        b.d.work.need_mb = 200;
        start(&b, 1);
        struct vn_platform_outcome out = call(&b, 0);
        CHECK_INT(VN_RUN_OOM, out.status);
        CHECK(out.cost.total_usd > 0 && out.used_mb == 128);
        CHECK(call(&b, 60 * VN_US_PER_S).cold); /* the sandbox went with it */
        vn_platform_free(b.p);

        setup(&b, VN_PLAN_LAMBDA, 1769);
        b.d.timeout_us = 50000;
        start(&b, 1);
        out = call(&b, 0);
        CHECK_INT(VN_RUN_TIMEOUT, out.status);
        CHECK_INT(50000, out.run_us);
        vn_platform_free(b.p);
}

TEST(a_memory_change_holds_from_its_time_and_restarts_instances)
{
        struct bench b;
        struct vn_err err;
        setup(&b, VN_PLAN_LAMBDA, 512);
        start(&b, 1);
        call(&b, 0);
        CHECK_OK(vn_platform_set_memory(b.p, 0, 1024, 30 * VN_US_PER_S, &err));
        struct vn_platform_outcome before = call(&b, 20 * VN_US_PER_S), after = call(&b, 31 * VN_US_PER_S);
        CHECK_INT(512, before.memory_mb);
        CHECK(!before.cold && after.cold);
        CHECK_INT(1024, after.memory_mb);
        CHECK_INT(1024, vn_platform_memory(b.p, 0, 40 * VN_US_PER_S));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_set_memory(b.p, 0, 64, 0, &err));
        CHECK_RC(VN_NOT_FOUND, vn_platform_set_memory(b.p, 9, 512, 0, &err));
        vn_platform_free(b.p);
}

TEST(injections_hold_in_their_range_only)
{
        struct bench b;
        struct vn_err err;
        struct vn_injection in = {VN_INJECT_OUTAGE, 0, 10 * VN_US_PER_S, 20 * VN_US_PER_S, 1};
        setup(&b, VN_PLAN_LAMBDA, 1769);
        start(&b, 1);
        CHECK_OK(vn_platform_inject(b.p, &in, &err));
        in = (struct vn_injection){VN_INJECT_LATENCY, UINT32_MAX, 30 * VN_US_PER_S, 40 * VN_US_PER_S, 3};
        CHECK_OK(vn_platform_inject(b.p, &in, &err));
        in = (struct vn_injection){VN_INJECT_PRICE, 0, 50 * VN_US_PER_S, 60 * VN_US_PER_S, 2};
        CHECK_OK(vn_platform_inject(b.p, &in, &err));
        CHECK_INT(VN_RUN_OK, call(&b, 0).status);
        CHECK_INT(VN_RUN_UNAVAILABLE, call(&b, 15 * VN_US_PER_S).status);
        struct vn_platform_outcome plain = call(&b, 25 * VN_US_PER_S), slow = call(&b, 35 * VN_US_PER_S),
                                   dear = call(&b, 55 * VN_US_PER_S);
        CHECK_INT(3 * plain.run_us, slow.run_us);
        CHECK_NEAR(2 * plain.cost.total_usd, dear.cost.total_usd, 1e-15);
        in.amount = -1;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_inject(b.p, &in, &err));
        in = (struct vn_injection){VN_INJECT_PRICE, 5, 0, 1, 1};
        CHECK_RC(VN_NOT_FOUND, vn_platform_inject(b.p, &in, &err));
        vn_platform_free(b.p);
}

/* Property: what all calls cost is what the meters' movement costs, over tiers and grants. */
TEST(the_sum_of_costs_is_the_price_of_the_meters)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (int round = 0; round < 20; round++) {
                struct bench b;
                double sum = 0, parts = 0;
                setup(&b, VN_PLAN_LAMBDA, 128 + (uint32_t)vn_rng_below(&rng, 3000));
                b.site.price.gb_s = (struct vn_price_meter){
                        .free = 1, .tiers = {{0, 1e-5}, {3, 0.5e-5}, {6, 0.2e-5}}, .tier_count = 3};
                b.site.price.request.free = 10;
                b.site.used_gb_s = vn_rng_unit(&rng) * 2;
                b.d.work.noise = 0.5;
                start(&b, vn_rng_u64(&rng));
                for (int i = 0; i < 200; i++) {
                        struct vn_platform_outcome out =
                                call(&b, (int64_t)vn_rng_below(&rng, 1000) * VN_US_PER_S * i);
                        sum += out.cost.total_usd;
                        parts += out.cost.request_usd + out.cost.compute_usd + out.cost.memory_usd +
                                 out.cost.init_usd + out.cost.egress_usd;
                }
                const struct vn_platform_site *now = vn_platform_site(b.p, 0);
                double want =
                        vn_price_meter_usd(&b.site.price.gb_s, b.site.used_gb_s, now->used_gb_s - b.site.used_gb_s) +
                        vn_price_meter_usd(&b.site.price.request, 0, now->used_requests) +
                        vn_price_meter_usd(&b.site.price.egress_gb, 0, now->used_egress_gb);
                CHECK_NEAR(want, sum, 1e-12);
                CHECK_NEAR(sum, parts, 1e-12);
                vn_platform_free(b.p);
        }
}

/* Property: time on a shared instance is billed at least once and never for longer than if nobody shared. */
TEST(shared_instances_bill_between_union_and_sum)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (int round = 0; round < 20; round++) {
                struct bench b;
                setup(&b, VN_PLAN_CLOUD_RUN, 2048);
                b.d.concurrency = 16;
                b.d.max_instances = 1;
                b.d.work.cpu_ms = 0;
                b.d.work.io_ms = 400;
                start(&b, vn_rng_u64(&rng));
                call(&b, 0);
                int64_t at = 60 * VN_US_PER_S, end = 0, active = 0, alone = 0, billed = 0;
                for (int i = 0; i < 100; i++) {
                        at += (int64_t)vn_rng_below(&rng, 200 * VN_US_PER_MS);
                        struct vn_platform_outcome out = call(&b, at);
                        if (out.status != VN_RUN_OK)
                                continue;
                        int64_t from = at + out.network_us / 2, until = from + out.run_us;
                        active += until > end ? until - (from > end ? from : end) : 0;
                        end = until > end ? until : end;
                        alone += (out.run_us + 99999) / 100000 * 100000;
                        billed += out.billed_us;
                }
                CHECK(billed >= active);
                CHECK(billed <= alone);
                vn_platform_free(b.p);
        }
}

TEST(the_seed_moves_constants_within_the_spread)
{
        double low = 1e9, high = 0;
        for (uint64_t seed = 0; seed < 200; seed++) {
                struct bench b;
                setup(&b, VN_PLAN_LAMBDA, 512);
                b.site.rtt_ms = 1000;
                b.config.spread = 0.3;
                start(&b, seed);
                double rtt = (double)call(&b, 0).network_us / 1e3;
                low = rtt < low ? rtt : low;
                high = rtt > high ? rtt : high;
                vn_platform_free(b.p);
        }
        CHECK(low > 695 && low < 750 && high < 1340 && high > 1250);
}

TEST(bad_configurations_name_what_is_wrong)
{
        struct bench b;
        struct vn_err err;
        setup(&b, VN_PLAN_LAMBDA, 64);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_new(&b.config, 1, &b.p, &err));
        CHECK(strstr(err.msg, "deployment 0") && strstr(err.msg, "128"));
        setup(&b, VN_PLAN_LAMBDA, 128);
        b.d.site = 1;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_new(&b.config, 1, &b.p, &err));
        setup(&b, VN_PLAN_LAMBDA, 128);
        b.d.concurrency = 2;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_new(&b.config, 1, &b.p, &err));
        setup(&b, VN_PLAN_LAMBDA, 128);
        b.d.work.cpu_ms = vn_log(-1); /* a NaN must not pass */
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_new(&b.config, 1, &b.p, &err));
        b.config.site_count = 0;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_platform_new(&b.config, 1, &b.p, &err));
        CHECK(vn_platform_free(NULL) == NULL);
}

static enum vn_rc make_one(void)
{
        struct bench b;
        struct vn_err err;
        setup(&b, VN_PLAN_LAMBDA, 512);
        enum vn_rc rc = vn_platform_new(&b.config, 1, &b.p, &err);
        vn_platform_free(b.p);
        return rc;
}

TEST(running_out_of_memory_leaks_nothing)
{
        TEST_ALLOC_LOOP(make_one);
}
