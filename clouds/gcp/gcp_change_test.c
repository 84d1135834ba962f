/* GCP's changes, shares of revisions, partial lists and health against scripted answers: one write each, and none after a
 * doubt. */
#include "clouds/gcp/gcp.h"
#include "clouds/wire_test.h"

#define F "projects/p/locations/us-central1/functions/f"
#define S "projects/p/locations/us-central1/services/f-svc"
#define TOKEN                                                                                                        \
        {                                                                                                            \
                "POST https://oauth2.googleapis.com/token", 200, NULL,                                               \
                        "{\"access_token\":\"ACC\",\"expires_in\":3599}"                                             \
        }
#define BODY(state, updated, config)                                                                                 \
        "{\"name\":\"" F "\",\"environment\":\"GEN_2\",\"state\":\"" state "\",\"updateTime\":\"" updated            \
        "\",\"serviceConfig\":{\"availableMemory\":\"256Mi\",\"service\":\"" S "\"," config "}}"
#define GET_F(updated, config)                                                                                       \
        {                                                                                                            \
                "GET https://cloudfunctions.googleapis.com/v2/" F, 200, NULL, BODY("ACTIVE", updated, config)        \
        }
#define DONE                                                                                                         \
        {                                                                                                            \
                "PATCH https://cloudfunctions.googleapis.com/v2/" F, 200, NULL,                                      \
                        "{\"name\":\"projects/p/locations/us-central1/operations/o\",\"done\":true}"                 \
        }
#define LOST                                                                                                         \
        {                                                                                                            \
                "PATCH /v2/", 0, NULL, NULL                                                                          \
        }

static const struct vn_cloud_function f = {.name = "f", .resource = F, .region = "us-central1"};

static void change_one(enum vn_cloud_setting setting, const char *member, const char *mask)
{
        char before[600], after[600], sent[120];
        const struct wire_step steps[] = {TOKEN,
                                          {"GET /functions/f", 200, NULL, before},
                                          {"GET /functions/f", 200, NULL, before},
                                          {mask, 200, NULL, "{\"name\":\"projects/p/locations/l/operations/o\"}"},
                                          {"GET cloudfunctions.googleapis.com/v2/projects/p/locations/l/operations/o",
                                           200, NULL, "{\"name\":\"projects/p/locations/l/operations/o\"}"},
                                          {"GET /operations/o", 200, NULL, "{\"done\":true}"},
                                          {"GET /functions/f", 200, NULL, after}};
        struct vn_cloud_function read, got;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        snprintf(before, sizeof(before), BODY("ACTIVE", "1", "\"%s\":3"), member);
        snprintf(after, sizeof(after), BODY("ACTIVE", "2", "\"%s\":7"), member);
        snprintf(sent, sizeof(sent), "{\"name\":\"" F "\",\"serviceConfig\":{\"%s\":7}}", member);
        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        CHECK_INT(3, vn_setting_value(&read, setting));
        CHECK_OK(vn_cloud_change(cloud, &read, setting, 7, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(7, vn_setting_value(&got, setting));
        CHECK(strstr(wire.asked[3], sent));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(each_setting_is_patched_by_its_own_mask)
{
        change_one(VN_SETTING_CONCURRENCY, "maxInstanceRequestConcurrency",
                   "PATCH ?updateMask=serviceConfig.maxInstanceRequestConcurrency");
        change_one(VN_SETTING_MAX_INSTANCES, "maxInstanceCount", "PATCH ?updateMask=serviceConfig.maxInstanceCount");
        change_one(VN_SETTING_WARM_INSTANCES, "minInstanceCount", "PATCH ?updateMask=serviceConfig.minInstanceCount");
}

#define MIN(n) "\"minInstanceCount\":" n

TEST(a_lost_answer_is_waited_for_and_the_change_is_made_once)
{
        const struct wire_step steps[] = {TOKEN,
                                          GET_F("1", MIN("0")),
                                          GET_F("1", MIN("0")),
                                          LOST, /* carried out slowly, the answer is lost */
                                          {"GET /functions/f", 200, NULL, BODY("DEPLOYING", "2", MIN("0"))},
                                          GET_F("3", MIN("2")),
                                          GET_F("3", MIN("2")), /* undo: lost before it arrived, so sent once more */
                                          LOST,
                                          GET_F("3", MIN("2")),
                                          GET_F("3", MIN("2")),
                                          DONE,
                                          GET_F("4", MIN("0")),
                                          GET_F("4", MIN("0"))};
        struct vn_cloud_function read, got, undone;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        CHECK_OK(vn_cloud_change(cloud, &read, VN_SETTING_WARM_INSTANCES, 2, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(2, got.warm_instances);
        CHECK(wire.slept_us > 0);
        CHECK_OK(vn_cloud_change(cloud, &got, VN_SETTING_WARM_INSTANCES, 0, VN_US_PER_MIN, &undone, NULL));
        CHECK_INT(0, undone.warm_instances);
        CHECK_RC(VN_ABORTED,
                 vn_cloud_change(cloud, &got, VN_SETTING_WARM_INSTANCES, 0, VN_US_PER_MIN, &undone, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(a_change_that_fails_hangs_or_is_refused_is_told)
{
        const struct wire_step steps[] = {
                TOKEN,
                GET_F("1", MIN("0")),
                GET_F("1", MIN("0")),
                {"PATCH /v2/", 400, NULL,
                 "{\"error\":{\"code\":400,\"status\":\"INVALID_ARGUMENT\",\"message\":\"needs 1 CPU\"}}"},
                GET_F("1", MIN("0")),
                {"PATCH /v2/", 409, NULL, "{\"error\":{\"code\":409,\"status\":\"ABORTED\",\"message\":\"queue\"}}"},
                GET_F("1", MIN("0")),
                {"PATCH /v2/", 200, NULL,
                 "{\"name\":\"projects/x\",\"done\":true,\"error\":{\"code\":13,\"message\":\"build\"}}"},
                GET_F("1", MIN("0")),
                {"PATCH /v2/", 200, NULL, "{\"name\":\"projects/x/operations/o\"}"},
                {"GET /operations/o", 200, NULL, "{\"name\":\"projects/x/operations/o\"}"},
                {"GET /operations/o", 200, NULL, "{\"name\":\"projects/x/operations/o\"}"},
                {"GET /operations/o", 200, NULL, "{\"name\":\"projects/x/operations/o\"}"},
                GET_F("1", MIN("0")),
                DONE,
                GET_F("2", MIN("5"))};
        static const enum vn_rc want[] = {VN_INVALID_ARGUMENT, VN_ABORTED, VN_ABORTED, VN_DEADLINE_EXCEEDED,
                                          VN_ABORTED};
        static const char *const texts[] = {"needs 1 CPU", "queue", "build", "still running", "has 5"};
        struct vn_cloud_function read, got;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        for (size_t i = 0; i < 5; i++) {
                CHECK_RC(want[i],
                         vn_cloud_change(cloud, &read, VN_SETTING_WARM_INSTANCES, 9, 700 * VN_US_PER_MS, &got, &err));
                CHECK(strstr(err.msg, texts[i]));
        }
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(the_first_generation_is_only_read)
{
        const char *first = "{\"name\":\"" F "\",\"environment\":1,\"state\":1,\"updateTime\":\"1\"}";
        const struct wire_step steps[] = {TOKEN,
                                          {"GET /functions/f", 200, NULL, first},
                                          {"GET /functions/f", 200, NULL, first},
                                          {"GET /functions/f", 200, NULL, first}};
        struct vn_cloud_function read, got;
        struct vn_cloud_split split;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_change(cloud, &read, VN_SETTING_MAX_INSTANCES, 5, VN_US_PER_MIN, &got, &err));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_cloud_read_split(cloud, &f, VN_STR(""), &split, &err));
        CHECK(strstr(err.msg, "first generation"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

/* --- revisions --- */

#define FIND GET_F("1", MIN("0"))
#define SERVICE(etag, traffic)                                                                                       \
        {                                                                                                            \
                "GET https://run.googleapis.com/v2/" S, 200, NULL,                                                   \
                        "{\"name\":\"" S "\",\"etag\":\"" etag "\",\"traffic\":[" traffic "]}"                       \
        }
#define REVISIONS                                                                                                    \
        {                                                                                                            \
                "GET https://run.googleapis.com/v2/" S "/revisions?pageSize=8", 200, NULL,                           \
                        "{\"revisions\":[{\"name\":\"" S "/revisions/f-2\"},{\"name\":\"" S "/revisions/f-1\"}]}"    \
        }
#define ALL_LATEST "{\"type\":\"TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST\",\"percent\":100}"
#define TAGGED "{\"type\":2,\"revision\":\"f-0\",\"tag\":\"old\"}"
#define CANARY "{\"type\":1,\"percent\":90},{\"type\":2,\"revision\":\"f-1\",\"percent\":10}," TAGGED
#define RUN_DONE                                                                                                     \
        {"PATCH https://run.googleapis.com/v2/" S "?updateMask=traffic", 200, NULL,                                  \
         "{\"name\":\"projects/p/locations/l/operations/r\"}"},                                                      \
        {                                                                                                            \
                "GET https://run.googleapis.com/v2/projects/p/locations/l/operations/r", 200, NULL,                  \
                        "{\"done\":true}"                                                                            \
        }

TEST(revisions_get_their_share_under_the_etag_and_give_it_back)
{
        const struct wire_step steps[] = {TOKEN,
                                          FIND,
                                          SERVICE("e1", ALL_LATEST "," TAGGED),
                                          REVISIONS, /* read */
                                          FIND,
                                          SERVICE("e1", ALL_LATEST "," TAGGED),
                                          RUN_DONE, /* set */
                                          SERVICE("e2", CANARY),
                                          FIND,
                                          SERVICE("e2", CANARY),
                                          LOST, /* undo: done, its answer lost */
                                          FIND,
                                          SERVICE("e3", ""),
                                          REVISIONS};
        struct vn_cloud_split read, wanted, got, undone;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_read_split(cloud, &f, VN_STR(""), &read, NULL));
        CHECK_INT(3, read.count);
        CHECK_TEXT("LATEST", read.shares[0].version);
        CHECK_INT(1000, read.shares[0].per_mille);
        CHECK_TEXT("f-1", read.shares[2].version);
        wanted = read;
        wanted.shares[0].per_mille = 900;
        wanted.shares[2].per_mille = 100;
        CHECK_OK(vn_cloud_set_split(cloud, &f, &wanted, VN_US_PER_MIN, &got, NULL));
        CHECK_TEXT("e2", got.guard);
        CHECK(strstr(wire.asked[6], "\"etag\":\"e1\""));
        CHECK(strstr(wire.asked[6], "\"type\":\"TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST\",\"percent\":90}"));
        CHECK(strstr(wire.asked[6], "\"revision\":\"f-1\",\"percent\":10}"));
        CHECK(strstr(wire.asked[6], "\"revision\":\"f-0\",\"tag\":\"old\"}"));
        memcpy(read.guard, got.guard, sizeof(read.guard));
        CHECK_OK(vn_cloud_set_split(cloud, &f, &read, VN_US_PER_MIN, &undone, NULL));
        CHECK_TEXT("e3", undone.guard);
        CHECK_INT(1000, undone.shares[0].per_mille);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(a_stale_etag_an_odd_share_and_a_failed_rollout_are_told)
{
        const struct wire_step steps[] = {
                TOKEN,
                FIND,
                SERVICE("e1", ALL_LATEST),
                REVISIONS, /* read */
                FIND,
                SERVICE("e9", ALL_LATEST), /* seen to be stale before anything is sent */
                FIND,
                SERVICE("e1", ALL_LATEST), /* or told so by the service */
                {"PATCH run.googleapis.com", 409, NULL, "{\"error\":{\"code\":409,\"status\":\"ABORTED\"}}"},
                FIND,
                SERVICE("e1", ALL_LATEST), /* 5 per mille */
                FIND,
                SERVICE("e1", ALL_LATEST),
                {"PATCH run.googleapis.com", 200, NULL,
                 "{\"name\":\"projects/x\",\"done\":true,\"error\":{\"code\":9,\"message\":\"not ready\"}}"},
                FIND,
                SERVICE("", ALL_LATEST),
                REVISIONS};
        struct vn_cloud_split read, wanted, got;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_read_split(cloud, &f, VN_STR(""), &read, NULL));
        CHECK_RC(VN_ABORTED, vn_cloud_set_split(cloud, &f, &read, VN_US_PER_MIN, &got, &err));
        CHECK_RC(VN_ABORTED, vn_cloud_set_split(cloud, &f, &read, VN_US_PER_MIN, &got, &err));
        wanted = read;
        wanted.shares[0].per_mille = 995;
        wanted.shares[1].per_mille = 5;
        CHECK_RC(VN_OUT_OF_RANGE, vn_cloud_set_split(cloud, &f, &wanted, VN_US_PER_MIN, &got, &err));
        CHECK_RC(VN_ABORTED, vn_cloud_set_split(cloud, &f, &read, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "not ready"));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_read_split(cloud, &f, VN_STR(""), &got, &err));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

/* --- lists with holes, and health --- */

TEST(a_list_whose_second_page_is_refused_says_so)
{
        const struct wire_step steps[] = {
                TOKEN,
                {"GET /functions?pageSize=1000", 200, NULL,
                 "{\"functions\":[" BODY("ACTIVE", "1", MIN("1")) "],\"nextPageToken\":\"t\"}"},
                {"GET pageToken=t", 403, NULL, "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\"}}"},
                {"GET /functions?pageSize=1000", 403, NULL,
                 "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\"}}"}};
        struct vn_cloud_list list;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        CHECK(!list.complete && list.count == 1 && list.functions[0].warm_instances == 1);
        CHECK_INT(1, list.unreachable_count);
        CHECK_TEXT("page 2 of the functions", list.unreachable[0]);
        vn_cloud_list_done(&list);
        CHECK_RC(VN_PERMISSION_DENIED, vn_cloud_list(cloud, &list, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(health_names_the_project_and_the_clocks_difference)
{
        const struct wire_step steps[] = {
                TOKEN,
                {"GET https://cloudfunctions.googleapis.com/v2/projects/p/locations/us-central1/functions?pageSize=1",
                 200, "Date: Tue, 24 Nov 2026 11:59:50 GMT\n", "{}"},
                {"GET ?pageSize=1", 403, NULL, "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\"}}"}};
        struct vn_cloud_health health;
        struct vn_cloud_result result;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_health(cloud, &health, NULL));
        CHECK_TEXT("projects/p sa@p.iam.gserviceaccount.com", health.identity);
        CHECK_INT(-9500000, health.clock_offset_us);
        CHECK_RC(VN_PERMISSION_DENIED, vn_cloud_health(cloud, &health, NULL));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_cloud_invoke_async(cloud, &f, VN_STR("x"), &result, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}
