/* Azure's changes, splits, partial lists and health against scripted answers: one write each, and none after a doubt. */
#include "clouds/azure/azure.h"
#include "clouds/wire_test.h"

#define SITE "/subscriptions/sub/resourceGroups/g/providers/Microsoft.Web/sites/app"
#define FARM "/subscriptions/sub/resourceGroups/g/providers/Microsoft.Web/serverfarms/p"
#define TOKEN                                                                                                        \
        {                                                                                                            \
                "POST /oauth2/v2.0/token", 200, NULL, "{\"access_token\":\"TOK\",\"expires_in\":3599}"               \
        }
#define FUNCTIONS                                                                                                    \
        {                                                                                                            \
                "GET " SITE "/functions?", 200, NULL,                                                                \
                        "{\"value\":[{\"name\":\"app/hello\",\"properties\":{\"name\":\"hello\"}}]}"                 \
        }
#define HEAD                                                                                                         \
        "{\"id\":\"" SITE "\",\"name\":\"app\",\"kind\":\"functionapp\",\"location\":\"East US\",\"properties\":{"
#define FLEX(scale) HEAD "\"functionAppConfig\":{\"scaleAndConcurrency\":{" scale ",\"instanceMemoryMB\":2048}}}}"
#define OTHER(sku) HEAD "\"sku\":\"" sku "\",\"serverFarmId\":\"" FARM "\"}}"
#define WEB(properties) "{\"properties\":{" properties "}}"
#define PLAN                                                                                                         \
        {                                                                                                            \
                "GET " FARM, 200, NULL, "{\"sku\":{\"name\":\"EP2\",\"tier\":\"ElasticPremium\"}}"                   \
        }
#define GET_SITE(text)                                                                                               \
        {                                                                                                            \
                "GET " SITE "?api-version", 200, NULL, text                                                          \
        }
#define GET_WEB(properties)                                                                                          \
        {                                                                                                            \
                "GET " SITE "/config/web", 200, NULL, WEB(properties)                                                \
        }
#define PREMIUM(properties) GET_SITE(OTHER("ElasticPremium")), GET_WEB(properties)
#define READ_PREMIUM(properties) PREMIUM(properties), PLAN, FUNCTIONS
#define PATCHED                                                                                                      \
        {                                                                                                            \
                "PATCH " SITE "/config/web", 200, NULL, "{}"                                                         \
        }

static const struct vn_cloud_function app = {.name = "app", .resource = SITE, .region = "eastus"};

static void change_flex(enum vn_cloud_setting setting, const char *before, const char *after, uint32_t value,
                        const char *sent)
{
        const struct wire_step steps[] = {
                TOKEN,           GET_SITE(before), FUNCTIONS, GET_SITE(before), {"PUT " SITE, 200, NULL, "{}"},
                GET_SITE(after), FUNCTIONS};
        struct vn_cloud_function read, got;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &app, &read, NULL));
        CHECK_OK(vn_cloud_change(cloud, &read, setting, value, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(value, vn_setting_value(&got, setting));
        if (!strstr(wire.asked[4], sent))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in %s", sent, wire.asked[4]);
        CHECK(strstr(wire.asked[4], "\"instanceMemoryMB\":2048"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(flex_changes_each_scale_setting_and_keeps_the_others)
{
        change_flex(VN_SETTING_MAX_INSTANCES, FLEX("\"maximumInstanceCount\":100"),
                    FLEX("\"maximumInstanceCount\":60"), 60, "\"maximumInstanceCount\":60");
        change_flex(VN_SETTING_CONCURRENCY, FLEX("\"alwaysReady\":[]"),
                    FLEX("\"triggers\":{\"http\":{\"perInstanceConcurrency\":16}}"), 16,
                    "\"triggers\":{\"http\":{\"perInstanceConcurrency\":16}}");
        change_flex(VN_SETTING_WARM_INSTANCES, FLEX("\"alwaysReady\":[{\"name\":\"durable\",\"instanceCount\":1}]"),
                    FLEX("\"alwaysReady\":[{\"name\":\"http\",\"instanceCount\":2}]"), 2,
                    "[{\"name\":\"durable\",\"instanceCount\":1},{\"name\":\"http\",\"instanceCount\":2}]");
        change_flex(VN_SETTING_WARM_INSTANCES,
                    FLEX("\"alwaysReady\":[{\"name\":\"http\",\"instanceCount\":2},{\"name\":\"blob\"}]"),
                    FLEX("\"alwaysReady\":[]"), 0, "\"alwaysReady\":[{\"name\":\"blob\"}]");
}

TEST(premium_has_its_plans_memory_and_changes_config_web)
{
        const struct wire_step steps[] = {
                TOKEN,
                READ_PREMIUM("\"minimumElasticInstanceCount\":1,\"functionAppScaleLimit\":9"),
                PREMIUM("\"minimumElasticInstanceCount\":1,\"functionAppScaleLimit\":9"),
                PATCHED,
                READ_PREMIUM("\"minimumElasticInstanceCount\":3,\"functionAppScaleLimit\":9"),
                PREMIUM("\"minimumElasticInstanceCount\":3,\"functionAppScaleLimit\":9"),
                PATCHED,
                READ_PREMIUM("\"minimumElasticInstanceCount\":3,\"functionAppScaleLimit\":0"),
                PREMIUM("\"minimumElasticInstanceCount\":3,\"functionAppScaleLimit\":0")};
        struct vn_cloud_function read, got, last;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &app, &read, NULL));
        CHECK_INT(7168, read.memory_mb);
        CHECK_INT(1, read.warm_instances);
        CHECK_INT(9, read.max_instances);
        CHECK(!read.memory_tunable);
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_change(cloud, &read, VN_SETTING_MEMORY_MB, 512, VN_US_PER_MIN, &got, &err));
        CHECK_OK(vn_cloud_change(cloud, &read, VN_SETTING_WARM_INSTANCES, 3, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(3, got.warm_instances);
        CHECK(strstr(wire.asked[7], "{\"properties\":{\"minimumElasticInstanceCount\":3}}"));
        CHECK_OK(vn_cloud_change(cloud, &got, VN_SETTING_MAX_INSTANCES, 0, VN_US_PER_MIN, &last, NULL));
        CHECK_INT(0, last.max_instances);
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_change(cloud, &last, VN_SETTING_CONCURRENCY, 5, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "Premium plan") && strstr(err.msg, "concurrency"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(consumption_has_a_limit_only_and_an_old_site_is_asked_for_its_plan)
{
        const struct wire_step steps[] = {
                TOKEN,
                GET_SITE(OTHER("Dynamic")),
                GET_WEB("\"functionAppScaleLimit\":200"),
                FUNCTIONS,
                GET_SITE(OTHER("Dynamic")),
                GET_WEB("\"functionAppScaleLimit\":200"),
                GET_SITE(OTHER("")),
                {"GET " FARM, 200, NULL, "{\"sku\":{\"name\":\"S1\",\"tier\":\"Standard\"}}"},
                GET_WEB("\"functionAppScaleLimit\":7"),
                FUNCTIONS};
        struct vn_cloud_function read, got;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &app, &read, NULL));
        CHECK_INT(200, read.max_instances);
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_change(cloud, &read, VN_SETTING_WARM_INSTANCES, 1, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "Consumption plan"));
        CHECK_OK(vn_cloud_read(cloud, &app, &read, NULL));
        CHECK_INT(0, read.max_instances);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

#define LIMIT(n) "\"functionAppScaleLimit\":" n

TEST(a_lost_answer_is_looked_up_and_the_change_is_made_once)
{
        const struct wire_step steps[] = {TOKEN,
                                          READ_PREMIUM(LIMIT("9")),
                                          PREMIUM(LIMIT("9")),
                                          {"PATCH /config/web", 0, NULL, NULL}, /* carried out, the answer is lost */
                                          READ_PREMIUM(LIMIT("5")),
                                          PREMIUM(LIMIT("5")), /* undo: lost before it arrived, so sent once more */
                                          {"PATCH /config/web", 0, NULL, NULL},
                                          READ_PREMIUM(LIMIT("5")),
                                          PREMIUM(LIMIT("5")),
                                          PATCHED,
                                          READ_PREMIUM(LIMIT("9")),
                                          PREMIUM(LIMIT("9"))};
        struct vn_cloud_function read, got, undone;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &app, &read, NULL));
        CHECK_OK(vn_cloud_change(cloud, &read, VN_SETTING_MAX_INSTANCES, 5, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(5, got.max_instances);
        CHECK_OK(vn_cloud_change(cloud, &got, VN_SETTING_MAX_INSTANCES, 9, VN_US_PER_MIN, &undone, NULL));
        CHECK_TEXT(read.guard, undone.guard);
        /* Resent with a guard that is gone: nothing is written. */
        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &got, VN_SETTING_MAX_INSTANCES, 9, VN_US_PER_MIN, &undone, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(a_change_that_the_cloud_refuses_or_undoes_is_told)
{
        const struct wire_step steps[] = {
                TOKEN,
                READ_PREMIUM(LIMIT("9")),
                PREMIUM(LIMIT("9")),
                {"PATCH /config/web", 409, NULL, "{\"Code\":\"Conflict\",\"Message\":\"another operation\"}"},
                PREMIUM(LIMIT("9")),
                {"PATCH /config/web", 400, NULL, "{\"error\":{\"code\":\"BadRequest\",\"message\":\"too many\"}}"},
                PREMIUM(LIMIT("9")),
                PATCHED,
                READ_PREMIUM(LIMIT("7"))};
        struct vn_cloud_function read, got;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read(cloud, &app, &read, NULL));
        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &read, VN_SETTING_MAX_INSTANCES, 5, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "Conflict"));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_cloud_change(cloud, &read, VN_SETTING_MAX_INSTANCES, 5000, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "too many"));
        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &read, VN_SETTING_MAX_INSTANCES, 5, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "has 7"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

/* --- slots --- */

#define SLOTS                                                                                                        \
        {                                                                                                            \
                "GET " SITE "/slots", 200, NULL,                                                                     \
                        "{\"value\":[{\"name\":\"app/blue\",\"properties\":{\"defaultHostName\":\"app-blue.x\"}},"   \
                        "{\"name\":\"app/green\",\"properties\":{\"defaultHostName\":\"app-green.x\"}}]}"            \
        }
#define RULES(rules) "\"experiments\":{\"rampUpRules\":[" rules "]}"
#define RULE(slot, percent)                                                                                          \
        "{\"name\":\"" slot "\",\"actionHostName\":\"app-" slot ".x\",\"reroutePercentage\":" percent "}"
#define READ_SLOTS(rules) PREMIUM(RULES(rules)), SLOTS
#define SET_SLOTS(rules) SLOTS, GET_WEB(RULES(rules))

TEST(slots_get_their_share_once_and_give_it_back)
{
        const struct wire_step steps[] = {TOKEN,
                                          READ_SLOTS(""),
                                          SET_SLOTS(""),
                                          PATCHED,
                                          GET_WEB(RULES(RULE("blue", "12.5"))),
                                          SET_SLOTS(RULE("blue", "12.5")),
                                          {"PATCH /config/web", 0, NULL, NULL},
                                          READ_SLOTS("")};
        struct vn_cloud_split read, wanted, got, undone;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read_split(cloud, &app, VN_STR(""), &read, NULL));
        CHECK_INT(3, read.count);
        CHECK_TEXT("production", read.shares[0].version);
        CHECK_INT(1000, read.shares[0].per_mille);
        CHECK_TEXT("blue", read.shares[1].version);
        wanted = read;
        wanted.shares[0].per_mille = 875;
        wanted.shares[1].per_mille = 125;
        CHECK_OK(vn_cloud_set_split(cloud, &app, &wanted, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(125, got.shares[1].per_mille);
        CHECK(strstr(wire.asked[6], "\"rampUpRules\":[{\"name\":\"blue\",\"actionHostName\":\"app-blue.x\","
                                    "\"reroutePercentage\":12.5}]"));
        memcpy(read.guard, got.guard, sizeof(read.guard));
        CHECK_OK(vn_cloud_set_split(cloud, &app, &read, VN_US_PER_MIN, &undone, NULL)); /* done, its answer lost */
        CHECK_INT(1000, undone.shares[0].per_mille);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(a_split_by_another_or_to_no_slot_writes_nothing)
{
        const struct wire_step steps[] = {TOKEN,
                                          READ_SLOTS(""),
                                          SET_SLOTS(RULE("green", "10")),
                                          SET_SLOTS(""),
                                          GET_SITE(FLEX("\"maximumInstanceCount\":100")),
                                          PREMIUM(RULES(RULE("blue", "60") "," RULE("green", "60"))),
                                          SLOTS};
        struct vn_cloud_split read, got;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_read_split(cloud, &app, VN_STR(""), &read, NULL));
        CHECK_RC(VN_ABORTED, vn_cloud_set_split(cloud, &app, &read, VN_US_PER_MIN, &got, &err));
        read.shares[0].per_mille = 900;
        read.shares[1].per_mille = 100;
        snprintf(read.shares[1].version, sizeof(read.shares[1].version), "red");
        CHECK_RC(VN_NOT_FOUND, vn_cloud_set_split(cloud, &app, &read, VN_US_PER_MIN, &got, &err));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_cloud_read_split(cloud, &app, VN_STR(""), &got, &err));
        CHECK(strstr(err.msg, "Flex Consumption plan"));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_read_split(cloud, &app, VN_STR(""), &got, &err));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

/* --- lists with holes, and health --- */

#define ITEM(name)                                                                                                   \
        "{\"id\":\"/" name "\",\"name\":\"" name                                                                     \
        "\",\"kind\":\"functionapp\",\"location\":\"eastus\",\"properties\":{}}"
#define DENIED                                                                                                       \
        {                                                                                                            \
                NULL, 403, NULL, "{\"error\":{\"code\":\"AuthorizationFailed\",\"message\":\"no\"}}"                 \
        }

TEST(a_list_tells_what_it_could_not_read)
{
        const struct wire_step steps[] = {
                TOKEN,
                {"GET /sites?", 200, NULL,
                 "{\"value\":[" ITEM("a") "," ITEM("b") "],\"nextLink\":\"https://management.azure.com/next?p=2\"}"},
                DENIED, /* a */
                {"GET management.azure.com/b?", 200, NULL,
                 "{\"id\":\"/b\",\"name\":\"b\",\"location\":\"eastus\",\"properties\":{\"sku\":\"Dynamic\","
                 "\"siteConfig\":{\"functionAppScaleLimit\":20}}}"},
                {"GET /b/functions", 200, NULL, "{\"value\":[{\"name\":\"b/f\"}]}"},
                {"GET /next?p=2", 403, NULL, "{\"code\":\"AuthorizationFailed\"}"}};
        struct vn_cloud_list list;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        CHECK(!list.complete);
        CHECK_INT(1, list.count);
        CHECK_TEXT("b", list.functions[0].name);
        CHECK_INT(20, list.functions[0].max_instances);
        CHECK_INT(2, list.unreachable_count);
        CHECK_TEXT("site a", list.unreachable[0]);
        CHECK_TEXT("page 2 of the sites", list.unreachable[1]);
        wire_check_done(&wire);
        vn_cloud_list_done(&list);
        vn_cloud_free(cloud);
}

TEST(a_list_gives_up_after_three_sites_and_needs_its_first_page)
{
        const struct wire_step steps[] = {
                TOKEN,
                {"GET /sites?", 200, NULL, "{\"value\":[" ITEM("a") "," ITEM("b") "," ITEM("c") "," ITEM("d") "]}"},
                DENIED,
                DENIED,
                DENIED,
                DENIED};
        struct vn_cloud_list list;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        CHECK(!list.complete && list.count == 0);
        CHECK_INT(4, list.unreachable_count);
        vn_cloud_list_done(&list);
        CHECK_RC(VN_PERMISSION_DENIED, vn_cloud_list(cloud, &list, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(health_names_the_subscription_and_the_clocks_difference)
{
        const struct wire_step steps[] = {
                TOKEN,
                {"GET /subscriptions/sub?api-version=2022-12-01", 200, "Date: Tue, 24 Nov 2026 12:00:07 GMT\n",
                 "{\"subscriptionId\":\"SUB\",\"displayName\":\"Shop\",\"state\":\"Enabled\"}"},
                {"GET /subscriptions/sub?", 200, NULL, "{\"subscriptionId\":\"other\"}"},
                {"GET /subscriptions/sub?", 403, NULL, "{\"error\":{\"code\":\"AuthorizationFailed\"}}"}};
        struct vn_cloud_health health;
        struct vn_cloud_result result;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);

        CHECK_OK(vn_cloud_health(cloud, &health, NULL));
        CHECK_TEXT("SUB Shop", health.identity);
        CHECK_INT(7500000, health.clock_offset_us);
        CHECK_RC(VN_DATA_LOSS, vn_cloud_health(cloud, &health, NULL));
        CHECK_RC(VN_PERMISSION_DENIED, vn_cloud_health(cloud, &health, NULL));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_cloud_invoke_async(cloud, &app, VN_STR("x"), &result, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}
