/* The Azure side against scripted answers; the site is Microsoft's own Flex Consumption example. */
#include "clouds/azure/azure.h"
#include "clouds/wire_test.h"

#define RES                                                                                                          \
        "/subscriptions/34adfa4f-cedf-4dc0-ba29-b6d1a69ab345/resourceGroups/testrg123/providers/Microsoft.Web/"      \
        "sites/sitef6141"
#define TOKEN                                                                                                        \
        {                                                                                                            \
                "POST https://login.microsoftonline.com/t/oauth2/v2.0/token", 200, NULL,                             \
                        "{\"access_token\":\"TOK\",\"expires_in\":3599}"                                             \
        }
#define FUNCTIONS                                                                                                    \
        {                                                                                                            \
                "GET " RES "/functions?api-version=2024-04-01", 200, NULL,                                           \
                        "{\"value\":[{\"name\":\"sitef6141/"                                                         \
                        "hello\",\"properties\":{\"name\":\"hello\",\"invoke_url_template\":\"https://"              \
                        "sitef6141.azurewebsites.net/api/hello\"}}]}"                                                \
        }

/* The example's answer of 200 as text, with another memory if asked. */
static char *site_text(int memory_mb, const char *modified)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);
        VN_AUTO(vn_json)
        root = NULL;
        json_t *site;

        CHECK_OK(vn_file_read(
                test_data("clouds/azure/rest-api-specs/CreateOrUpdateFunctionAppFlexConsumptionWithDetails.json"),
                &text, NULL));
        CHECK_OK(vn_json_load(vn_buf_view(&text), &root, NULL));
        site = vn_json_at(root, "responses.200.body");
        CHECK(site);
        CHECK(!json_object_set_new(vn_json_at(site, "properties.functionAppConfig.scaleAndConcurrency"),
                                   "instanceMemoryMB", json_integer(memory_mb)));
        CHECK(!json_object_set_new(vn_json_at(site, "properties"), "lastModifiedTimeUtc", json_string(modified)));
        return json_dumps(site, JSON_COMPACT);
}

static struct vn_cloud_function site_function(void)
{
        struct vn_cloud_function f = {.name = "sitef6141",
                                      .resource = RES,
                                      .region = "eastus",
                                      .memory_tunable = true,
                                      .url = "https://sitef6141.azurewebsites.net/api/hello"};
        return f;
}

TEST(azure_lists_function_apps_only_and_reads_what_the_list_leaves_out)
{
        char *site = site_text(2048, "a");
        const struct wire_step steps[] = {TOKEN,
                                          {"GET "
                                           "https://management.azure.com/subscriptions/sub/providers/Microsoft.Web/"
                                           "sites?api-version=2024-04-01",
                                           200, NULL,
                                           "{\"value\":[{\"id\":\"/x\",\"name\":\"web\",\"kind\":\"app\"},{\"id\":\"/"
                                           "y\",\"name\":\"flow\",\"kind\":\"functionapp,workflowapp\"}],"
                                           "\"nextLink\":\"https://elsewhere.example/page?$skip=2\"}"},
                                          {"GET https://management.azure.com/page?$skip=2", 200, NULL,
                                           "{\"value\":[{\"id\":\"" RES
                                           "\",\"name\":\"sitef6141\",\"kind\":\"FunctionApp,linux\",\"location\":"
                                           "\"East US\",\"properties\":{}}]}"},
                                          {"GET " RES "?api-version", 200, NULL, site},
                                          FUNCTIONS};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);
        struct vn_cloud_list list;

        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        CHECK_INT(1, list.count);
        CHECK_TEXT("sitef6141", list.functions[0].name);
        CHECK_TEXT("eastus", list.functions[0].region);
        CHECK_TEXT("https://sitef6141.azurewebsites.net/api/hello", list.functions[0].url);
        CHECK_INT(2048, list.functions[0].memory_mb);
        CHECK_INT(16, list.functions[0].concurrency);
        CHECK(strstr(wire.asked[0], "client_secret=s%26s") && !strstr(wire.asked[0], "Authorization"));
        CHECK(strstr(wire.asked[1], "Authorization: Bearer TOK"));
        wire_check_done(&wire);
        vn_cloud_list_done(&list);
        vn_cloud_free(cloud);
        free(site);
}

TEST(azure_change_keeps_the_rest_and_follows_the_operation)
{
        char *before = site_text(2048, "a"), *after = site_text(4096, "b");
        const struct wire_step steps[] = {
                TOKEN,
                {"GET " RES, 200, NULL, before},
                FUNCTIONS, /* read */
                {"GET " RES, 200, NULL, before},
                {"PUT " RES, 202,
                 "Azure-AsyncOperation: https://management.azure.com/op/1?api-version=x\nRetry-After: 2\n", before},
                {"GET https://management.azure.com/op/1?api-version=x", 200, NULL, "{\"status\":\"InProgress\"}"},
                {"GET /op/1", 200, NULL, "{\"status\":\"Succeeded\"}"},
                {"GET " RES, 200, NULL, after},
                FUNCTIONS};
        struct vn_cloud_function f = site_function(), read, got;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        CHECK(read.guard[0]);
        CHECK_OK(vn_cloud_change(cloud, &read, VN_SETTING_MEMORY_MB, 4096, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(4096, got.memory_mb);
        CHECK(strcmp(read.guard, got.guard) != 0);
        CHECK(strstr(wire.asked[4], "\"instanceMemoryMB\":4096"));
        CHECK(strstr(wire.asked[4], "\"maximumInstanceCount\":100"));
        CHECK(strstr(wire.asked[4], "\"location\":\"East US\""));
        CHECK(!strstr(wire.asked[4], "\"hostNames\"") && !strstr(wire.asked[4], "\"state\""));
        CHECK(wire.slept_us >= 2 * VN_US_PER_S);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
        free(before);
        free(after);
}

TEST(azure_change_by_another_aborts_before_the_put)
{
        char *before = site_text(2048, "a"), *other = site_text(512, "b");
        const struct wire_step steps[] = {
                TOKEN, {"GET " RES, 200, NULL, before}, FUNCTIONS, {"GET " RES, 200, NULL, other}};
        struct vn_cloud_function f = site_function(), read, got;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &read, VN_SETTING_MEMORY_MB, 4096, VN_US_PER_MIN, &got, NULL));
        CHECK_RC(VN_OUT_OF_RANGE,
                 vn_cloud_change(cloud, &read, VN_SETTING_MEMORY_MB, 1024, VN_US_PER_MIN, &got, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
        free(before);
        free(other);
}

TEST(azure_change_that_fails_or_hangs_is_told)
{
        char *before = site_text(2048, "a");
        const struct wire_step steps[] = {
                TOKEN,
                {"GET " RES, 200, NULL, before},
                FUNCTIONS,
                {"GET " RES, 200, NULL, before},
                {"PUT " RES, 202, "Azure-AsyncOperation: https://management.azure.com/op/1\n", ""},
                {"GET /op/1", 200, NULL, "{\"status\":\"Failed\",\"error\":{\"code\":\"x\",\"message\":\"quota\"}}"},
                {"GET " RES, 200, NULL, before},
                {"PUT " RES, 202, "Location: https://management.azure.com/op/2\n", ""},
                {"GET /op/2", 202, NULL, ""},
                {"GET /op/2", 202, NULL, ""},
                {"GET /op/2", 202, NULL, ""}};
        struct vn_cloud_function f = site_function(), read, got;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &read, VN_SETTING_MEMORY_MB, 4096, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "Failed") && strstr(err.msg, "quota"));
        CHECK_RC(VN_DEADLINE_EXCEEDED,
                 vn_cloud_change(cloud, &read, VN_SETTING_MEMORY_MB, 4096, 700 * VN_US_PER_MS, &got, &err));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
        free(before);
}

TEST(azure_invoke_uses_the_host_key_and_renews_it)
{
        static const struct wire_step steps[] = {
                TOKEN,
                {"POST https://management.azure.com" RES "/host/default/listkeys", 200, NULL,
                 "{\"masterKey\":\"m\",\"functionKeys\":{\"default\":\"k1\"}}"},
                {"POST https://sitef6141.azurewebsites.net/api/hello", 401, NULL, ""},
                {"POST /host/default/listkeys", 200, NULL,
                 "{\"masterKey\":\"m\",\"functionKeys\":{\"default\":\"k2\"}}"},
                {"POST https://sitef6141.azurewebsites.net/api/hello", 200, NULL, "hi"},
                {"POST /api/hello", 500, NULL, ""},
                {"POST /api/hello", 429, NULL, ""},
                {"POST /api/hello", 503, NULL, ""},
                {"POST /api/hello", 418, NULL, ""}};
        struct vn_cloud_function f = site_function();
        struct vn_cloud_result result;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK(!result.function_error && result.duration_us == -1);
        CHECK(strstr(wire.asked[2], "x-functions-key: k1") && strstr(wire.asked[4], "x-functions-key: k2"));
        vn_cloud_result_done(&result);
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK(result.function_error);
        vn_cloud_result_done(&result);
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK(result.throttled);
        vn_cloud_result_done(&result);
        CHECK_RC(VN_UNAVAILABLE, vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK(result.function_error);
        vn_cloud_result_done(&result);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

static enum vn_rc take_first(void *arg, const struct vn_cloud_invocation *invocation)
{
        struct vn_cloud_invocation *items = arg;

        items[invocation->status == VN_INVOCATION_OK ? 0 : 1] = *invocation;
        return VN_OK;
}

#define COLUMNS                                                                                                      \
        "\"columns\":[{\"name\":\"TimeGenerated\"},{\"name\":\"Id\"},{\"name\":\"AppRoleName\"},{\"name\":"          \
        "\"AppRoleInstance\"},"                                                                                      \
        "{\"name\":\"DurationMs\"},{\"name\":\"Success\"},{\"name\":\"ResultCode\"},{\"name\":\"ItemCount\"}]"

TEST(azure_logs_by_kql)
{
        static const struct wire_step steps[] = {
                TOKEN,
                {"POST https://api.loganalytics.io/v1/workspaces/ws/query", 200, NULL,
                 "{\"tables\":[{\"name\":\"PrimaryResult\"," COLUMNS ",\"rows\":["
                 "[\"2026-11-24T12:00:01.5Z\",\"a\",\"sitef6141\",\"i1\",12.5,true,\"200\",1],"
                 "[\"2026-11-24T12:00:02Z\",\"b\",\"sitef6141\",\"i1\",7,\"False\",\"500\",3]]}]}"},
                {"POST /query", 200, NULL, "{\"tables\":[],\"error\":{\"code\":\"PartialError\"}}"},
                {"POST /query", 200, NULL, "{\"tables\":[{\"columns\":[],\"rows\":[]}]}"}};
        struct vn_cloud_invocation items[2] = {0};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);
        struct vn_cloud_function f = site_function();
        int64_t now = wire_clock.time_us;

        CHECK_OK(vn_cloud_logs(cloud, &f, now, now + VN_US_PER_MIN, take_first, items, NULL));
        CHECK_INT(now + 1500000, items[0].time_us);
        CHECK_INT(12500, items[0].duration_us);
        CHECK(items[0].cold && !items[1].cold);
        CHECK(items[1].status == VN_INVOCATION_ERROR);
        CHECK_NEAR(3, items[1].weight, 0);
        CHECK(strstr(wire.asked[0], "scope=https%3A%2F%2Fapi.loganalytics.io%2F.default"));
        CHECK(strstr(wire.asked[1], "AppRoleName == \\\"sitef6141\\\""));
        CHECK_RC(VN_UNAVAILABLE, vn_cloud_logs(cloud, NULL, now, now + 1, take_first, items, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_logs(cloud, NULL, now, now + 1, take_first, items, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(azure_metrics_recorded_answers)
{
        VN_AUTO(vn_buf)
        daily = VN_BUF_INIT(1 << 16);
        VN_AUTO(vn_buf)
        unknown = VN_BUF_INIT(1 << 16);
        struct vn_cloud_minute minutes[4];
        struct vn_cloud_function f = site_function();
        struct vn_err err;
        struct wire wire;
        size_t count;

        CHECK_OK(vn_file_read(test_data("clouds/azure/custodian/metric_total_200.json"), &daily, NULL));
        CHECK_OK(vn_file_read(test_data("clouds/azure/custodian/metric_unknown_400.json"), &unknown, NULL));
        const struct wire_step steps[] = {
                TOKEN,
                {"GET " RES
                 "/providers/Microsoft.Insights/metrics?api-version=2018-01-01&timespan=2026-11-24T12%3A00%3A00",
                 200, NULL,
                 "{\"interval\":\"PT1M\",\"value\":[{\"name\":{\"value\":\"OnDemandFunctionExecutionCount\"},"
                 "\"timeseries\":[{\"data\":["
                 "{\"timeStamp\":\"2026-11-24T12:00:00Z\",\"total\":5.0},{\"timeStamp\":\"2026-11-24T12:01:00Z\"}]}]}"
                 ","
                 "{\"name\":{\"value\":\"OnDemandFunctionExecutionUnits\"},\"timeseries\":[{\"data\":[{\"timeStamp\":"
                 "\"2026-11-24T12:00:00Z\",\"total\":2048000}]}]},"
                 "{\"name\":{\"value\":\"Http5xx\"},\"timeseries\":[{\"data\":[{\"timeStamp\":\"2026-11-24T12:00:"
                 "00Z\",\"total\":1}]}]}]}"},
                {NULL, 200, NULL, daily.ptr},
                {NULL, 400, NULL, unknown.ptr}};
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);
        int64_t now = wire_clock.time_us;

        CHECK_OK(vn_cloud_metrics(cloud, &f, now, now + VN_US_PER_HOUR, minutes, 4, &count, NULL));
        CHECK_INT(1, count);
        CHECK_NEAR(5, minutes[0].calls, 0);
        CHECK_NEAR(1, minutes[0].errors, 0);
        CHECK_NEAR(2, minutes[0].billed_gb_s, 0);
        CHECK_RC(VN_OUT_OF_RANGE, vn_cloud_metrics(cloud, &f, now, now + VN_US_PER_HOUR, minutes, 4, &count, &err));
        CHECK(strstr(err.msg, "P1D")); /* the service coarsened the interval */
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_cloud_metrics(cloud, &f, now, now + VN_US_PER_HOUR, minutes, 4, &count, &err));
        CHECK(strstr(err.msg, "BadRequest: Failed to find metric"));
        vn_cloud_free(cloud);
}

#define ITEM(meter, unit, from, price)                                                                               \
        "{\"currencyCode\":\"USD\",\"type\":\"Consumption\",\"meterName\":\"" meter "\",\"unitOfMeasure\":\"" unit   \
        "\",\"tierMinimumUnits\":" from ",\"retailPrice\":" price "}"

TEST(azure_prices_by_tier_and_unit)
{
        static const struct wire_step steps[] = {
                {"GET "
                 "https://prices.azure.com/api/retail/"
                 "prices?api-version=2023-01-01-preview&$filter=serviceName%20eq%20%27Functions%27",
                 200, NULL,
                 "{\"Items\":[" ITEM("Standard Execution Time", "1 GB Second", "400000", "0.000016") "," ITEM(
                         "Standard Execution Time", "1 GB Second", "0",
                         "0") "],\"NextPageLink\":\"https://prices.azure.com:443/api/retail/prices?$skip=2\"}"},
                {"GET https://prices.azure.com/api/retail/prices?$skip=2", 200, NULL,
                 "{\"Items\":[" ITEM("Standard Total Executions", "10", "100000", "0.000002") "," ITEM(
                         "On Demand Execution Time", "1 GB Second", "0",
                         "0.000026") "," ITEM("Always Ready Baseline Execution Time", "1 GB Second", "0",
                                              "9") "," ITEM("Premium vCPU Duration", "1 Hour", "0",
                                                            "9") "],\"NextPageLink\":null}"},
                {NULL, 200, NULL, "{\"Items\":[" ITEM("Standard Execution Time", "some", "0", "1") "]}"}};
        struct vn_cloud_price_list prices;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_prices(cloud, &prices, NULL));
        CHECK_INT(5, prices.count);
        CHECK_INT(0, prices.prices[0].pico_usd);
        CHECK_NEAR(400000, prices.prices[1].from_units, 0);
        CHECK(prices.prices[2].meter == VN_METER_REQUEST);
        CHECK_INT(200000, prices.prices[2].pico_usd);
        CHECK_NEAR(1000000, prices.prices[2].from_units, 0);
        CHECK_TEXT("flex", prices.prices[3].plan);
        CHECK_INT(26000000, prices.prices[3].pico_usd);
        CHECK_TEXT("flex", prices.prices[4].plan);
        CHECK(prices.prices[4].meter == VN_METER_READY_GB_SECOND);
        vn_cloud_price_list_done(&prices);
        CHECK_RC(VN_DATA_LOSS, vn_cloud_prices(cloud, &prices, NULL));
        CHECK(!strstr(wire.asked[0], "Authorization"));
        vn_cloud_free(cloud);
}

TEST(azure_token_is_cached_until_five_minutes_before_its_end)
{
        static const struct wire_step steps[] = {
                TOKEN,
                {"GET sites", 200, NULL, "{\"value\":[]}"},
                {"GET sites", 200, NULL, "{\"value\":[]}"},
                TOKEN,
                {"GET sites", 200, NULL, "{\"value\":[]}"},
                {"POST token", 400, NULL,
                 "{\"error\":\"invalid_client\",\"error_description\":\"AADSTS7000215: Invalid secret\"}"}};
        struct vn_cloud_list list;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        wire_clock.time_us += (3599 - 301) * VN_US_PER_S;
        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        wire_clock.time_us += 2 * VN_US_PER_S;
        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        wire_clock.time_us += VN_US_PER_HOUR;
        CHECK_RC(VN_UNAUTHENTICATED, vn_cloud_list(cloud, &list, &err));
        CHECK(strstr(err.msg, "AADSTS7000215") && !strstr(err.msg, "s&s"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}
