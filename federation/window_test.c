#include "base/detmath.h"
#include "base/hash.h"
#include "federation/window.h"
#include "tests/test.h"

#define START INT64_C(1700000040000000) /* a whole minute */

static struct vn_invocation call_at(const char *function, int64_t at_us, int64_t duration_us)
{
        struct vn_invocation call = {.start_us = START + at_us, .duration_us = duration_us, .memory_mb = 512};
        CHECK(vn_str_copy(call.function, sizeof call.function, vn_str(function)));
        return call;
}

struct seen {
        size_t count, sampled_count;
        uint64_t calls, sampled_calls;
        struct vn_window last, all[8];
        bool fail;
        uint64_t hash;
};

static enum vn_rc see(void *ctx, const struct vn_window *full, const struct vn_window *sampled, struct vn_err *err)
{
        struct seen *seen = ctx;
        if (seen->fail)
                return vn_fail(err, VN_UNAVAILABLE, "not now");
        if (seen->count < 8)
                seen->all[seen->count] = *full;
        seen->count++;
        seen->calls += full->calls;
        seen->last = *full;
        if (sampled) {
                seen->sampled_count++;
                seen->sampled_calls += sampled->calls;
                CHECK(sampled->calls + sampled->throttles <= full->calls + full->throttles);
                seen->hash = vn_hash64(&sampled->durations, sizeof sampled->durations, seen->hash);
        }
        seen->hash = vn_hash64(&full->durations, sizeof full->durations, seen->hash);
        return VN_OK;
}

static const struct vn_window_config usual = {
        .max_functions = 100, .sample_rate = 0.1, .seed = 7, .grace_us = 5000000};

TEST(window_counts_what_it_should)
{
        VN_AUTO(vn_windower)
        w = NULL;
        static struct seen seen;
        memset(&seen, 0, sizeof seen);
        CHECK_OK(vn_windower_new(&usual, &w, NULL));
        struct vn_invocation call = call_at("f", 1000000, 100000);
        call.cold = true, call.init_us = 300000, call.billed_us = 400000, call.payload_bytes = 1000;
        CHECK_OK(vn_windower_add(w, &call, NULL));
        call = call_at("f", 41000000, 200000);
        call.status = VN_CALL_TIMEOUT, call.memory_mb = 1024, call.max_memory_mb = 90, call.billed_us = 200000;
        CHECK_OK(vn_windower_add(w, &call, NULL));
        call = call_at("f", 42000000, 0);
        call.status = VN_CALL_THROTTLED;
        CHECK_OK(vn_windower_add(w, &call, NULL));
        call = call_at("f", 61000000, 50000);
        CHECK_OK(vn_windower_add(w, &call, NULL));

        CHECK_OK(vn_windower_close(w, START + 64000000, see, &seen, NULL));
        CHECK_INT(0, seen.count); /* still in its grace */
        CHECK_OK(vn_windower_close(w, START + 65000000, see, &seen, NULL));
        CHECK_INT(1, seen.count);
        const struct vn_window *x = &seen.last;
        CHECK_INT(START, x->start_us);
        CHECK_INT(2, x->calls);
        CHECK_INT(1, x->errors);
        CHECK_INT(1, x->timeouts);
        CHECK_INT(1, x->throttles);
        CHECK_INT(1, x->cold_starts);
        CHECK_INT(300000, x->duration_sum_us);
        CHECK_INT(600000, x->billed_sum_us);
        CHECK_INT(300000, x->init_sum_us);
        CHECK_INT(100000, x->cold_duration_sum_us);
        CHECK_INT(512, x->memory_mb); /* of the last call by time, the throttled one included */
        CHECK_INT(90, x->max_memory_mb);
        CHECK_INT(2, x->durations.total);
        CHECK_NEAR(vn_log(100000) + vn_log(200000), x->log_duration_sum, 1e-9);
        CHECK_NEAR(vn_log1p(1000), x->payload_log_sum, 1e-9);
        CHECK_INT(40000000, x->idle_sum_us);
        CHECK_INT(1, x->idle[4].calls); /* 30 s < 40 s <= 60 s */

        call = call_at("f", 59000000, 1);
        CHECK_RC(VN_OUT_OF_RANGE, vn_windower_add(w, &call, NULL)); /* its window has gone out */
        struct vn_window_stats stats;
        vn_windower_stats(w, &stats);
        CHECK_INT(4, stats.added);
        CHECK_INT(1, stats.late);
        CHECK_INT(1, stats.open);
}

/* Different arrival orders within an open window: the same windows and the same sample. */
static uint64_t hash_of_order(const size_t *order, size_t n, double *ret_share)
{
        VN_AUTO(vn_windower)
        w = NULL;
        static struct seen seen;
        memset(&seen, 0, sizeof seen);
        CHECK_OK(vn_windower_new(&usual, &w, NULL));
        for (size_t i = 0; i < n; i++) {
                struct vn_invocation call = call_at(order[i] % 2 ? "odd" : "even",
                                                    (int64_t)order[i] * 7919 % 60000000, 1000 + (int64_t)order[i]);
                CHECK_OK(vn_windower_add(w, &call, NULL));
        }
        CHECK_OK(vn_windower_close(w, START + 600000000, see, &seen, NULL));
        CHECK_INT(2, seen.count);
        CHECK_INT(n, seen.calls);
        *ret_share = (double)seen.sampled_calls / (double)n;
        return seen.hash;
}

TEST(window_sample_is_a_tenth_whatever_the_order)
{
        enum { N = 4000 };
        size_t order[N];
        double share, again;
        for (size_t i = 0; i < N; i++)
                order[i] = i;
        uint64_t hash = hash_of_order(order, N, &share);
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (size_t i = N; i > 1; i--) {
                size_t j = vn_rng_below(&rng, i), held = order[i - 1];
                order[i - 1] = order[j], order[j] = held;
        }
        CHECK(hash_of_order(order, N, &again) == hash);
        CHECK_NEAR(0.1, share, 0.025);
        CHECK_NEAR(share, again, 0);
}

TEST(window_emits_by_start_and_keeps_what_a_failing_sender_refused)
{
        VN_AUTO(vn_windower)
        w = NULL;
        static struct seen seen;
        memset(&seen, 0, sizeof seen);
        CHECK_OK(vn_windower_new(&usual, &w, NULL));
        static const struct {
                const char *name;
                int64_t at_us;
        } calls[] = {{"b", 61000000}, {"b", 1000000}, {"a", 121000000}, {"a", 62000000}};
        for (size_t i = 0; i < 4; i++) {
                struct vn_invocation call = call_at(calls[i].name, calls[i].at_us, 10);
                CHECK_OK(vn_windower_add(w, &call, NULL));
        }
        seen.fail = true;
        CHECK_RC(VN_UNAVAILABLE, vn_windower_close(w, START + 600000000, see, &seen, NULL));
        seen.fail = false;
        CHECK_OK(vn_windower_close(w, START + 600000000, see, &seen, NULL));
        CHECK_INT(4, seen.count);
        CHECK_TEXT("b", seen.all[0].function);
        CHECK_TEXT("a", seen.all[1].function);
        CHECK_TEXT("b", seen.all[2].function);
        CHECK_INT(START + 120000000, seen.all[3].start_us);
        CHECK_OK(vn_windower_close(w, START + 700000000, see, &seen, NULL));
        CHECK_INT(4, seen.count);
}

TEST(window_bounds_hold)
{
        struct vn_window_config config = usual;
        config.max_functions = 2;
        VN_AUTO(vn_windower)
        w = NULL;
        CHECK_OK(vn_windower_new(&config, &w, NULL));
        struct vn_invocation call = call_at("a", 0, 1);
        CHECK_OK(vn_windower_add(w, &call, NULL));
        call = call_at("b", 0, 1);
        CHECK_OK(vn_windower_add(w, &call, NULL));
        call = call_at("c", 0, 1);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_windower_add(w, &call, NULL));
        for (int i = 1; i < VN_WINDOW_OPEN_MAX; i++) {
                call = call_at("a", i * VN_WINDOW_US, 1);
                CHECK_OK(vn_windower_add(w, &call, NULL));
        }
        call = call_at("a", 99 * VN_WINDOW_US, 1);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_windower_add(w, &call, NULL));
        call = call_at("a", 0, -1);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_windower_add(w, &call, NULL));
        config.sample_rate = 1.5;
        struct vn_windower *none = NULL;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_windower_new(&config, &none, NULL));
}

TEST(scrub_keeps_the_allow_list_and_counts_the_rest)
{
        struct vn_invocation call;
        uint64_t dropped = 0;
        const struct vn_field fields[] = {
                {VN_STR("function"), VN_STR("checkout")}, {VN_STR("start_us"), VN_STR("1700000040000000")},
                {VN_STR("duration_us"), VN_STR("1500")},  {VN_STR("cold"), VN_STR("1")},
                {VN_STR("status"), VN_STR("timeout")},    {VN_STR("payload"), VN_STR("{\"card\":\"4111\"}")},
                {VN_STR("user_ip"), VN_STR("10.1.2.3")},  {VN_STR("payload_bytes"), VN_STR("17")},
        };
        CHECK_OK(vn_invocation_scrub(fields, 8, &call, &dropped, NULL));
        CHECK_INT(2, dropped);
        CHECK_INT(1500, call.duration_us);
        CHECK_INT(VN_CALL_TIMEOUT, call.status);
        CHECK(call.cold);
        CHECK_INT(17, call.payload_bytes);
        for (const char *p = (const char *)&call; p + 4 <= (const char *)(&call + 1); p++)
                CHECK(memcmp(p, "4111", 4) && memcmp(p, "10.1", 4));
}

TEST(scrub_refuses_malformed_records_without_repeating_them)
{
        static const struct {
                struct vn_field field;
        } bad[] = {
                {{VN_STR("duration_us"), VN_STR("-1")}},  {{VN_STR("duration_us"), VN_STR("1e3")}},
                {{VN_STR("duration_us"), VN_STR("")}},    {{VN_STR("cold"), VN_STR("yes")}},
                {{VN_STR("status"), VN_STR("SECRET42")}}, {{VN_STR("memory_mb"), VN_STR("99999999")}},
                {{VN_STR("region"), VN_STR("a b")}},      {{VN_STR("region"), VN_STR("\x01")}},
                {{VN_STR("function"), VN_STR("twice")}},  {{VN_STR("start_us"), VN_STR("9")}},
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                struct vn_field fields[3] = {
                        {VN_STR("function"), VN_STR("f")}, {VN_STR("start_us"), VN_STR("5")}, bad[i].field};
                struct vn_invocation call;
                struct vn_err err = {0};
                uint64_t dropped = 0;
                CHECK_RC(VN_INVALID_ARGUMENT, vn_invocation_scrub(fields, 3, &call, &dropped, &err));
                CHECK(!strstr(err.msg, "SECRET42"));
                CHECK_RC(VN_INVALID_ARGUMENT, vn_invocation_scrub(fields, 1, &call, &dropped, NULL));
        }
}

TEST(hold_out_is_one_in_eight_and_fixed)
{
        struct vn_window window = {.function = "f", .region = "r"};
        unsigned held = 0;
        for (int i = 0; i < 8000; i++) {
                window.start_us = START + i * VN_WINDOW_US;
                held += vn_window_held_out(&window);
        }
        CHECK_NEAR(1000, held, 120);
}

static enum vn_rc windower_pass(void)
{
        VN_AUTO(vn_windower)
        w = NULL;
        static struct seen seen;
        memset(&seen, 0, sizeof seen);
        VN_TRY(vn_windower_new(&usual, &w, NULL));
        for (int i = 0; i < 20; i++) {
                char name[8];
                snprintf(name, sizeof name, "f%d", i);
                struct vn_invocation call = call_at(name, i, 10);
                VN_TRY(vn_windower_add(w, &call, NULL));
        }
        VN_TRY(vn_windower_close(w, START + 600000000, see, &seen, NULL));
        CHECK_INT(20, seen.count);
        return VN_OK;
}

TEST(windower_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(windower_pass);
}
