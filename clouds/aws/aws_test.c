/* The AWS side against scripted answers in the shapes of botocore's models and of answers recorded on AWS. */
#include "clouds/aws/aws.h"
#include "clouds/wire_test.h"

#define CONFIG(mb, revision, status)                                                                                 \
        "{\"FunctionName\":\"f\",\"FunctionArn\":\"arn:aws:lambda:us-east-1:111111111111:function:f\",\"Runtime\":"  \
        "\"nodejs20.x\","                                                                                            \
        "\"MemorySize\":" mb ",\"Timeout\":3,\"RevisionId\":\"" revision                                             \
        "\",\"State\":\"Active\",\"LastUpdateStatus\":\"" status "\"}"

/* What follows a configuration in a read. */
#define NO_CONCURRENCY                                                                                               \
        {"GET /2019-09-30/functions/f/concurrency", 200, NULL, "{}"},                                                \
        {                                                                                                            \
                "GET /2019-09-30/functions/f/provisioned-concurrency?List=ALL&MaxItems=50", 200, NULL,               \
                        "{\"ProvisionedConcurrencyConfigs\":[]}"                                                     \
        }

static struct vn_cloud_function function_f(void)
{
        struct vn_cloud_function f = {.name = "f",
                                      .guard = "r1",
                                      .memory_mb = 128,
                                      .memory_tunable = true,
                                      .memory_min_mb = 128,
                                      .memory_max_mb = 10240,
                                      .timeout_s = 3};
        return f;
}

TEST(aws_list_follows_markers)
{
        static const struct wire_step steps[] = {
                {"GET https://lambda.us-east-1.amazonaws.com/2015-03-31/functions?MaxItems=50", 200, NULL,
                 "{\"Functions\":[" CONFIG("128", "r1", "Successful") "],\"NextMarker\":\"a/b+c==\"}"},
                {"GET /functions?Marker=a%2Fb%2Bc%3D%3D&MaxItems=50", 200, NULL,
                 "{\"Functions\":[{\"FunctionName\":\"g\",\"MemorySize\":512}],\"NextMarker\":null}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_list list;

        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        CHECK_INT(2, list.count);
        CHECK(list.complete);
        CHECK_TEXT("f", list.functions[0].name);
        CHECK_TEXT("", list.functions[0].guard);
        CHECK_INT(512, list.functions[1].memory_mb);
        CHECK(strstr(wire.asked[0], "X-Amz-Security-Token: TOKEN"));
        CHECK(strstr(wire.asked[0], "Credential=AKIDEXAMPLE/20261124/us-east-1/lambda/aws4_request"));
        CHECK(!strstr(wire.asked[0], "secret"));
        vn_cloud_list_done(&list);
        vn_cloud_free(cloud);
}

TEST(aws_memory_change_is_guarded_and_waited_for)
{
        static const struct wire_step steps[] = {
                {"PUT /2015-03-31/functions/f/configuration", 200, NULL, CONFIG("256", "r2", "InProgress")},
                {"GET /2015-03-31/functions/f/configuration", 200, NULL, CONFIG("256", "r2", "InProgress")},
                {"GET /configuration", 200, NULL, CONFIG("256", "r3", "Successful")}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f(), got;

        CHECK_OK(vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, 256, VN_US_PER_MIN, &got, NULL));
        CHECK(strstr(wire.asked[0], "{\"MemorySize\":256,\"RevisionId\":\"r1\"}"));
        CHECK_INT(256, got.memory_mb);
        CHECK_TEXT("r3", got.guard);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_lost_guard_changes_nothing)
{
        static const struct wire_step steps[] = {{"PUT /configuration", 412,
                                                  "x-amzn-ErrorType: PreconditionFailedException\n",
                                                  "{\"Type\":\"User\",\"Message\":\"The Revision Id provided does "
                                                  "not match the latest Revision Id.\"}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f(), got = {.name = "untouched"};

        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, 256, VN_US_PER_MIN, &got, NULL));
        CHECK_TEXT("untouched", got.name);
        CHECK_RC(VN_OUT_OF_RANGE, vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, 64, VN_US_PER_MIN, &got, NULL));
        CHECK_RC(VN_OUT_OF_RANGE, vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, 10241, VN_US_PER_MIN, &got, NULL));
        f.guard[0] = '\0';
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, 256, VN_US_PER_MIN, &got, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_lost_answer_is_settled_by_reading)
{
        static const struct wire_step made[] = {{"PUT /configuration", 0, NULL, NULL},
                                                {"GET /configuration", 200, NULL, CONFIG("256", "r2", "Successful")},
                                                NO_CONCURRENCY};
        static const struct wire_step not_made[] = {
                {"PUT /configuration", 0, NULL, NULL},
                {"GET /configuration", 200, NULL, CONFIG("128", "r1", "Successful")},
                NO_CONCURRENCY,
                {"PUT /configuration", 200, NULL, CONFIG("256", "r2", "Successful")}};
        static const struct wire_step other[] = {{"PUT /configuration", 0, NULL, NULL},
                                                 {"GET /configuration", 200, NULL, CONFIG("512", "r9", "Successful")},
                                                 NO_CONCURRENCY};
        struct vn_cloud_function f = function_f(), got;
        struct wire wire;

        for (int i = 0; i < 3; i++) {
                if (i == 0)
                        WIRE_INIT(&wire, made);
                else if (i == 1)
                        WIRE_INIT(&wire, not_made);
                else
                        WIRE_INIT(&wire, other);
                struct vn_cloud *cloud = wire_aws(&wire);
                CHECK_RC(i < 2 ? VN_OK : VN_UNAVAILABLE,
                         vn_cloud_change(cloud, &f, VN_SETTING_MEMORY_MB, 256, VN_US_PER_MIN, &got, NULL));
                wire_check_done(&wire);
                vn_cloud_free(cloud);
        }
}

/* START, END and REPORT lines of a real cold start, base64. */
#define TAIL_TEXT                                                                                                    \
        "START RequestId: 6f747a18 Version: $LATEST\nEND RequestId: 6f747a18\nREPORT RequestId: 6f747a18\t"          \
        "Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit Duration: "     \
        "110.10 ms\t\n"

TEST(aws_invoke_reads_the_log_tail)
{
        VN_AUTO(vn_buf)
        headers = VN_BUF_INIT(4096);
        vn_buf_text(&headers, "X-Amz-Log-Result: ");
        vn_buf_base64(&headers, TAIL_TEXT, strlen(TAIL_TEXT));
        vn_buf_text(&headers, "\nX-Other: 80000\n");
        const struct wire_step steps[] = {
                {"POST /2015-03-31/functions/f/invocations", 200, headers.ptr, "{\"ok\":1}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f();
        struct vn_cloud_result result;

        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("{\"a\":1}"), &result, NULL));
        CHECK(!result.function_error && !result.throttled && !result.timed_out);
        CHECK_INT(3010, result.duration_us);
        CHECK_INT(4000, result.billed_us);
        CHECK_INT(110100, result.init_us);
        CHECK_INT(36, result.max_memory_mb);
        CHECK(vn_str_eq(vn_buf_view(&result.response.body), VN_STR("{\"ok\":1}")));
        CHECK(vn_str_eq(vn_cloud_response_header(&result.response, "x-other"), VN_STR("80000")));
        vn_cloud_result_done(&result);
        vn_cloud_free(cloud);
}

TEST(aws_invoke_is_never_repeated)
{
        static const struct wire_step steps[] = {
                {"POST /invocations", 0, NULL, NULL},
                {"POST /invocations", 429, NULL, "{\"Reason\":\"ConcurrentInvocationLimitExceeded\"}"},
                {"POST /invocations", 200, "X-Amz-Function-Error: Unhandled\n",
                 "{\"errorMessage\":\"x Task timed out after 1.00 seconds\"}"},
                {"POST /invocations", 502, NULL, ""}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f();
        struct vn_cloud_result result;

        CHECK_RC(VN_UNAVAILABLE, vn_cloud_invoke(cloud, &f, VN_STR(""), &result, NULL));
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR(""), &result, NULL));
        CHECK(result.throttled);
        vn_cloud_result_done(&result);
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR(""), &result, NULL));
        CHECK(result.function_error && result.timed_out);
        CHECK_INT(-1, result.duration_us);
        vn_cloud_result_done(&result);
        CHECK_RC(VN_UNAVAILABLE, vn_cloud_invoke(cloud, &f, VN_STR(""), &result, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

struct gathered {
        struct vn_cloud_invocation items[8];
        size_t count;
};

static enum vn_rc gather(void *arg, const struct vn_cloud_invocation *invocation)
{
        struct gathered *g = arg;

        CHECK(g->count < 8);
        g->items[g->count++] = *invocation;
        return VN_OK;
}

TEST(aws_logs_go_on_through_empty_pages)
{
        static const struct wire_step steps[] = {
                {"POST https://logs.us-east-1.amazonaws.com/", 200, NULL, "{\"events\":[],\"nextToken\":\"t1\"}"},
                {"POST logs", 200, NULL,
                 "{\"events\":[{\"logStreamName\":\"2026/11/24/"
                 "[$LATEST]abc\",\"timestamp\":1795521601000,\"message\":"
                 "\"REPORT RequestId: q\\tDuration: 100.00 ms\\tBilled Duration: 100 ms\\tMemory Size: 128 MB\\tMax "
                 "Memory Used: 36 MB\\t\\n\"},"
                 "{\"timestamp\":1795521601000,\"message\":\"REPORT of the quarter\"},"
                 "{\"timestamp\":1795521699000,\"message\":\"REPORT RequestId: z\\tDuration: 1 ms\\tBilled Duration: "
                 "1 ms\\tMemory Size: 1 MB\\t\"}]}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f();
        struct gathered g = {0};

        CHECK_OK(vn_cloud_logs(cloud, &f, wire_clock.time_us, wire_clock.time_us + VN_US_PER_MIN, gather, &g, NULL));
        CHECK_INT(1, g.count);
        CHECK_TEXT("abc", g.items[0].instance);
        CHECK_TEXT("f", g.items[0].function);
        CHECK_INT(wire_clock.time_us + 900000, g.items[0].time_us);
        CHECK(!g.items[0].cold);
        CHECK(strstr(wire.asked[0], "X-Amz-Target: Logs_20140328.FilterLogEvents"));
        CHECK(strstr(wire.asked[0], "\"logGroupName\":\"/aws/lambda/f\""));
        CHECK(strstr(wire.asked[1], "\"nextToken\":\"t1\""));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_metrics_leave_out_missing_minutes)
{
        static const struct wire_step steps[] = {
                {"POST https://monitoring.us-east-1.amazonaws.com/", 200, NULL,
                 "{\"MetricDataResults\":[{\"Id\":\"calls\",\"Timestamps\":[1795521600,1795521720],\"Values\":[5,7],"
                 "\"StatusCode\":\"PartialData\"},{\"Id\":\"p95\",\"Timestamps\":[1795521600],\"Values\":[12.5]}],"
                 "\"NextToken\":\"n\"}"},
                {"POST monitoring", 200, NULL,
                 "{\"MetricDataResults\":[{\"Id\":\"errors\",\"Timestamps\":[1795521720],\"Values\":[2]},{\"Id\":"
                 "\"throttles\",\"Timestamps\":[],\"Values\":[]}]}"},
                {"POST monitoring", 200, NULL,
                 "{\"MetricDataResults\":[{\"Id\":\"calls\",\"Timestamps\":[1],\"Values\":[]}]}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f();
        struct vn_cloud_minute minutes[4];
        size_t count;

        CHECK_OK(vn_cloud_metrics(cloud, &f, wire_clock.time_us, wire_clock.time_us + VN_US_PER_HOUR, minutes, 4,
                                  &count, NULL));
        CHECK_INT(2, count);
        CHECK_NEAR(7, minutes[1].calls, 0);
        CHECK_NEAR(2, minutes[1].errors, 0);
        CHECK_NEAR(12500, minutes[0].p95_us, 1e-9);
        CHECK(strstr(wire.asked[0], "\"Stat\":\"p95\""));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_metrics(cloud, &f, 1, wire_clock.time_us, minutes, 4, &count, NULL));
        vn_cloud_free(cloud);
}

#define PRICE(group, dimensions)                                                                                     \
        "{\\\"product\\\":{\\\"attributes\\\":{\\\"group\\\":\\\"" group                                             \
        "\\\",\\\"regionCode\\\":\\\"us-east-1\\\"}},"                                                               \
        "\\\"terms\\\":{\\\"OnDemand\\\":{\\\"X.Y\\\":{\\\"priceDimensions\\\":{" dimensions "}}}}}"
#define TIER(name, from, usd)                                                                                        \
        "\\\"" name "\\\":{\\\"beginRange\\\":\\\"" from "\\\",\\\"pricePerUnit\\\":{\\\"USD\\\":\\\"" usd "\\\"}}"

TEST(aws_prices_keep_every_tier)
{
        static const struct wire_step steps[] = {
                {"POST https://api.pricing.us-east-1.amazonaws.com/", 200, NULL,
                 "{\"PriceList\":[\"" PRICE("AWS-Lambda-Duration",
                                            TIER("b", "6000000000", "0.0000150000") "," TIER(
                                                    "a", "0", "0.0000166667")) "\"],"
                                                                               "\"NextToken\":\"n\"}"},
                {"POST pricing", 200, NULL,
                 "{\"PriceList\":[\"" PRICE("AWS-Lambda-Requests", TIER("a", "0", "0.0000002000")) "\",\"" PRICE(
                         "AWS-Lambda-Edge", TIER("a", "0", "9")) "\"]}"}};
        static const struct wire_step bad[] = {
                {"POST pricing", 200, NULL,
                 "{\"PriceList\":[\"" PRICE("AWS-Lambda-Requests", TIER("a", "0", "free")) "\"]}"},
                {"POST pricing", 200, NULL, "{\"PriceList\":[]}"},
                {"POST pricing", 200, NULL,
                 "{\"PriceList\":[\"" PRICE("AWS-Lambda-Requests",
                                            "\\\"a\\\":{\\\"beginRange\\\":\\\"0\\\","
                                            "\\\"pricePerUnit\\\":{\\\"CNY\\\":\\\"1.36\\\"}}") "\"]}"}};
        struct vn_err err;
        struct vn_cloud_price_list prices;
        struct wire wire;

        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        CHECK_OK(vn_cloud_prices(cloud, &prices, NULL));
        CHECK_INT(3, prices.count);
        CHECK(prices.prices[0].meter == VN_METER_GB_SECOND && prices.prices[2].meter == VN_METER_REQUEST);
        CHECK_INT(16666700, prices.prices[0].pico_usd);
        CHECK_NEAR(6e9, prices.prices[1].from_units, 0);
        CHECK_TEXT("lambda-x86", prices.prices[0].plan);
        CHECK(strstr(wire.asked[0], "/us-east-1/pricing/aws4_request"));
        vn_cloud_price_list_done(&prices);
        vn_cloud_free(cloud);

        WIRE_INIT(&wire, bad);
        cloud = wire_aws(&wire);
        CHECK_RC(VN_DATA_LOSS, vn_cloud_prices(cloud, &prices, NULL));
        CHECK_RC(VN_NOT_FOUND, vn_cloud_prices(cloud, &prices, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_prices(cloud, &prices, &err));
        CHECK_TEXT("aws: a price of AWS-Lambda-Requests is in CNY, not in USD", err.msg);
        vn_cloud_free(cloud);
}

TEST(aws_truncated_answers_are_errors_not_crashes)
{
        static const char whole[] = "{\"Functions\":[" CONFIG("128", "r1", "Successful") "],\"NextMarker\":\"\"}";
        char cut[sizeof(whole)];

        for (size_t n = 0; n < sizeof(whole) - 1; n++) {
                struct vn_cloud_list list;
                struct wire wire;

                memcpy(cut, whole, n);
                cut[n] = '\0';
                const struct wire_step steps[] = {{NULL, 200, NULL, cut}};
                WIRE_INIT(&wire, steps);
                struct vn_cloud *cloud = wire_aws(&wire);
                CHECK_RC(VN_DATA_LOSS, vn_cloud_list(cloud, &list, NULL));
                vn_cloud_free(cloud);
        }
}
