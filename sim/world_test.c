/* world_test.c - many functions: names, pages of a list, and queries that skip what lies outside of their time. */
#include "sim/sim_test.h"

#include "sim/stats.h"

static void init_large(struct test_sim *t, uint32_t functions)
{
        struct vn_sim_data data;
        struct vn_err err;
        const char *carried = getenv("VANE_DATA_DEFAULT");
        const struct vn_sim_options options = {.seed = 5, .functions = functions};
        vn_clock_fake_init(&t->clock, TEST_START_US);
        CHECK_OK(vn_sim_data_read(getenv("VANE_DATA"), carried ? carried : "tests/data", &data, &err));
        enum vn_rc rc = vn_sim_new(&data.texts, &t->clock.clock, &options, &t->sim, &err);
        vn_sim_data_done(&data);
        CHECK_OK(rc);
}

TEST(ten_thousand_functions_are_found_by_name)
{
        struct test_sim t;
        init_large(&t, 10000);
        size_t count = t.sim->demo->function_count, fixed_cpu = 0, flex = 0;
        CHECK(count == 1667);
        for (uint32_t a = 0; a < VN_SIM_ACCOUNTS; a++) {
                for (size_t f = 0; f < count; f++) {
                        uint32_t deployment = vn_demo_deployment(t.sim->demo, a, (uint32_t)f);
                        CHECK(vn_sim_find(t.sim, a, vn_str(t.sim->trace->functions[f].name)) == deployment);
                        fixed_cpu += t.sim->demo->deployments[deployment].vcpu > 0;
                        flex += t.sim->demo->deployments[deployment].plan == VN_PLAN_AZURE_FLEX;
                }
        }
        CHECK(vn_sim_find(t.sim, 0, VN_STR("FN-1666")) == 1666);
        CHECK(vn_sim_find(t.sim, 0, VN_STR("fn-1667")) == UINT32_MAX);
        /* A mix, not one function many times. */
        CHECK(fixed_cpu > 500 && fixed_cpu < 2500);
        CHECK(flex > 200 && flex < 800);
        test_sim_done(&t);
}

static void invoke_at(struct test_sim *t, uint32_t deployment, int64_t at_us)
{
        struct test_request r;
        struct vn_sim_response response;
        struct vn_platform_outcome out;
        char text[32];
        test_request_init(&r, "POST", "/", "", "{}");
        snprintf(text, sizeof text, "%lld", (long long)at_us);
        test_request_header(&r, "x-vane-sim-at-us", text);
        vn_sim_response_init(&response);
        vn_sim_invoke(t->sim, deployment, &r.wire, &response, &out);
        vn_sim_response_done(&response);
}

TEST(a_query_sees_what_looking_at_every_record_sees)
{
        struct test_sim t;
        struct vn_rng rng;
        test_sim_init(&t);
        vn_rng_seed(&rng, 9);
        for (int i = 0; i < 1500; i++) /* nearly in the order of their times */
                invoke_at(&t, 3, TEST_START_US + i * VN_US_PER_S - (int64_t)vn_rng_below(&rng, 90) * VN_US_PER_S);
        const struct vn_sim_function *f = &t.sim->functions[3];
        CHECK(f->record_count == 1500);
        for (int i = 0; i < 200; i++) {
                int64_t from_us = TEST_START_US + ((int64_t)vn_rng_below(&rng, 1700) - 100) * VN_US_PER_S;
                int64_t until_us = from_us + (int64_t)vn_rng_below(&rng, 400) * VN_US_PER_S;
                size_t seen = 0, there = 0;
                for (size_t k = 0; k < f->record_count; k++)
                        there += f->records[k].end_us >= from_us && f->records[k].at_us < until_us;
                for (size_t k = vn_sim_next_record(f, 0, from_us, until_us); k < f->record_count;
                     k = vn_sim_next_record(f, k + 1, from_us, until_us))
                        seen++;
                CHECK(seen == there);
        }
        test_sim_done(&t);
}

TEST(the_same_seed_gives_the_same_ledger)
{
        struct test_sim t[2];
        for (int k = 0; k < 2; k++) {
                init_large(&t[k], 600);
                struct vn_rng rng;
                vn_rng_seed(&rng, 4);
                for (int i = 0; i < 2000; i++)
                        invoke_at(&t[k], (uint32_t)vn_rng_below(&rng, 600), TEST_START_US + i * VN_US_PER_S / 10);
        }
        for (size_t d = 0; d < 600; d++) {
                const struct vn_sim_function *a = &t[0].sim->functions[d], *b = &t[1].sim->functions[d];
                CHECK(a->record_count == b->record_count);
                CHECK(!a->record_count || !memcmp(a->records, b->records, a->record_count * sizeof *a->records));
                CHECK(!memcmp(&a->cost, &b->cost, sizeof a->cost));
        }
        test_sim_done(&t[0]);
        test_sim_done(&t[1]);
}
