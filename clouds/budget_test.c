/* The call budget: what draws from it, what never does, and what is said when it is empty. */
#include "clouds/budget.h"
#include "clouds/wire_test.h"

#define CONFIG "{\"FunctionName\":\"f\",\"MemorySize\":128,\"RevisionId\":\"r1\",\"LastUpdateStatus\":\"Successful\"}"

static enum vn_rc list_once(struct vn_cloud *cloud, struct vn_err *err)
{
        struct vn_cloud_list list;
        enum vn_rc rc = vn_cloud_list(cloud, &list, err);

        if (rc == VN_OK)
                vn_cloud_list_done(&list);
        return rc;
}

/* 20 calls an hour: 18 of observing, two that only a read may have, and changes whatever is left. */
TEST(observing_leaves_a_tenth_to_reads_and_nothing_to_changes_which_need_none)
{
        static struct wire_step steps[WIRE_MAX_ASKED];
        struct wire wire;
        struct vn_cloud *cloud = NULL;
        struct vn_cloud_function f = {.name = "f", .guard = "r1", .memory_mb = 128}, got;
        struct vn_cloud_usage usage;
        struct vn_cloud_result result;
        struct vn_err err = {0};

        f.memory_tunable = true;
        f.memory_min_mb = 128, f.memory_max_mb = 10240;
        for (size_t i = 0; i < WIRE_MAX_ASKED; i++)
                steps[i] = (struct wire_step){NULL, 200, NULL, "{\"Functions\":[]}"};
        steps[18] = (struct wire_step){"PUT /configuration", 200, NULL, CONFIG};
        steps[19] = (struct wire_step){"POST /invocations", 200, NULL, "{}"};
        steps[20] = (struct wire_step){"GET /configuration", 200, NULL, CONFIG};
        steps[21] = (struct wire_step){"GET /concurrency", 200, NULL, "{}"};
        wire_init(&wire, steps, WIRE_MAX_ASKED);
        const struct vn_cloud_config config = {.kind = VN_CLOUD_AWS,
                                               .region = VN_STR("us-east-1"),
                                               .access_key_id = VN_STR("AKIDEXAMPLE"),
                                               .secret_access_key = VN_STR("secret"),
                                               .calls_per_hour = 20};
        CHECK_OK(vn_cloud_open(&config, &wire_clock.clock, &wire.transport, &cloud, NULL));
        for (int i = 0; i < 18; i++)
                CHECK_OK(list_once(cloud, NULL));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, list_once(cloud, &err));
        CHECK(strstr(err.msg, "budget of 20 calls an hour (calls_per_hour) is used up"));
        CHECK(strstr(err.msg, "180 s"));
        CHECK_INT(18, wire.at);
        CHECK_OK(vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, 128, VN_US_PER_MIN, &got, NULL));
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR(""), &result, NULL));
        vn_cloud_result_done(&result);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_cloud_read(cloud, &f, &got, &err)); /* needs three calls, two are left */
        CHECK_INT(22, wire.at);
        CHECK_INT(0, wire.slept_us); /* it is not waited for */

        vn_cloud_usage(cloud, &usage);
        CHECK_INT(18, usage.calls[VN_CALLS_LIST]);
        CHECK_INT(2, usage.calls[VN_CALLS_READ]);
        CHECK_INT(1, usage.calls[VN_CALLS_CHANGE]);
        CHECK_INT(1, usage.calls[VN_CALLS_INVOKE]);
        CHECK_NEAR(0, usage.left, 1e-9);
        CHECK_INT(wire_clock.time_us, usage.since_us);
        wire_clock.time_us += VN_US_PER_HOUR / 2;
        vn_cloud_usage(cloud, &usage);
        CHECK_NEAR(10, usage.left, 1e-9);
        for (int i = 0; i < 8; i++)
                CHECK_OK(list_once(cloud, NULL));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, list_once(cloud, NULL));
        wire_clock.time_us += 100 * VN_US_PER_HOUR;
        vn_cloud_usage(cloud, &usage);
        CHECK_NEAR(20, usage.left, 0); /* holds an hour's worth */
        vn_cloud_free(cloud);
}

TEST(metrics_cost_what_is_asked_for_and_tokens_are_nobodys_observing)
{
        static const struct wire_step aws[] = {{"POST monitoring", 500, NULL, ""},
                                               {"POST monitoring", 200, NULL, "{\"MetricDataResults\":[]}"}};
        static const struct wire_step azure[] = {
                {"POST /t/oauth2/v2.0/token", 200, NULL, "{\"access_token\":\"T\",\"expires_in\":3600}"},
                {"GET /sites", 200, NULL, "{\"value\":[]}"}};
        struct vn_cloud_function f = {.name = "f"};
        struct vn_cloud_minute minutes[4];
        struct vn_cloud_usage usage;
        struct wire wire;
        size_t count;

        WIRE_INIT(&wire, aws);
        struct vn_cloud *cloud = wire_aws(&wire);
        CHECK_OK(vn_cloud_metrics(cloud, &f, wire_clock.time_us, wire_clock.time_us + VN_US_PER_MIN, minutes, 4,
                                  &count, NULL));
        vn_cloud_usage(cloud, &usage);
        CHECK_INT(2, usage.calls[VN_CALLS_METRICS]); /* each attempt */
        CHECK_NEAR(2 * 3 * 0.01 / 1000, usage.usd[VN_CALLS_METRICS], 1e-12);
        CHECK_INT(VN_CLOUD_CALLS_PER_HOUR, usage.calls_per_hour);
        vn_cloud_free(cloud);

        WIRE_INIT(&wire, azure);
        cloud = wire_azure(&wire);
        CHECK_OK(list_once(cloud, NULL));
        vn_cloud_usage(cloud, &usage);
        CHECK_INT(1, usage.calls[VN_CALLS_CREDENTIALS]);
        CHECK_INT(1, usage.calls[VN_CALLS_LIST]);
        CHECK_NEAR(VN_CLOUD_CALLS_PER_HOUR - 1, usage.left, 1e-9);
        vn_cloud_free(cloud);
}

TEST(a_budget_out_of_range_is_refused)
{
        static const char *const bad[] = {"0", "-1", "1.5", "\"9\"", "10000001", "true"};
        struct vn_cloud_config config;
        char text[100];

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                VN_AUTO(vn_json)
                account = NULL;

                snprintf(text, sizeof(text), "{\"cloud\":\"aws\",\"calls_per_hour\":%s}", bad[i]);
                account = json_loads(text, 0, NULL);
                CHECK(account);
                CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_config_from_json(account, &config, NULL));
        }
        VN_AUTO(vn_json)
        good = json_loads("{\"cloud\":\"gcp\",\"calls_per_hour\":7}", 0, NULL);
        CHECK_OK(vn_cloud_config_from_json(good, &config, NULL));
        CHECK_INT(7, config.calls_per_hour);
}
