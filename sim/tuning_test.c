/* tuning_test.c - instances, plans, slots and shares of revisions on Azure and GCP without a server: what the official clients
 * cannot see (a clock moved by hand, effects on the platform). */
#include "sim/azure_arm.h"
#include "sim/sim_test.h"

/* ARM without its front: the path's parts after the site's name. */
static int web(struct test_sim *t, uint32_t deployment, const char *verb, const char *body, const char *text)
{
        struct test_request request;
        struct vn_sim_response response;
        int status;
        test_request_init(&request, verb, "/", "", body);
        vn_sim_response_init(&response);
        vn_azure_web(t->sim, deployment, &request.wire, &response);
        status = response.status;
        if (text && !strstr(response.body.ptr, text))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in %s", text, response.body.ptr);
        vn_sim_response_done(&response);
        return status;
}

static int slots(struct test_sim *t, uint32_t deployment, const char *verb, const char *name, const char *location)
{
        struct vn_str part[3] = {vn_str(name), VN_STR("operationresults"), VN_STR("create")};
        struct test_request request;
        struct vn_sim_response response;
        int status;
        test_request_init(&request, verb, "/p", "", "");
        vn_sim_response_init(&response);
        vn_azure_slots(t->sim, deployment, &request.wire, part, location ? 3 : name ? 1 : 0, &response);
        status = response.status;
        vn_sim_response_done(&response);
        return status;
}

/* The first of an account (2: Azure's first, 4: GCP's first) that is or is not on Flex. */
static uint32_t pick(const struct test_sim *t, uint32_t account, bool flex)
{
        for (uint32_t f = 0; f < t->sim->demo->function_count; f++) {
                uint32_t d = vn_demo_deployment(t->sim->demo, account, f);
                if (vn_sim_azure_flex(t->sim, d) == flex)
                        return d;
        }
        return 0;
}

static void move(struct test_sim *t, uint32_t deployment, const char *plan, bool good)
{
        struct vn_sim_response response;
        VN_AUTO(vn_json)
        body = json_pack("{s:{s:o}}", "properties", "serverFarmId",
                         json_sprintf("/subscriptions/%s/resourceGroups/vane-demo/providers/Microsoft.Web/"
                                      "serverfarms/%s",
                                      t->sim->accounts[2].id, plan));
        vn_sim_response_init(&response);
        CHECK(vn_azure_move(t->sim, deployment, body, &response) == good);
        vn_sim_response_done(&response);
}

TEST(a_plan_decides_what_config_web_takes)
{
        struct test_sim t;
        test_sim_init(&t);
        uint32_t plain = pick(&t, 2, false), flex = pick(&t, 2, true);
        CHECK_INT(200, web(&t, plain, "GET", "", "\"functionAppScaleLimit\":200"));
        CHECK_INT(200, web(&t, plain, "PATCH", "{\"properties\":{\"functionAppScaleLimit\":3}}", ":3"));
        CHECK_INT(3, vn_platform_deployment(t.sim->platform, plain)->max_instances);
        CHECK_INT(400, web(&t, plain, "PATCH", "{\"properties\":{\"minimumElasticInstanceCount\":1}}", NULL));
        CHECK_INT(400, web(&t, flex, "PATCH", "{\"properties\":{\"functionAppScaleLimit\":3}}", NULL));
        CHECK_INT(400, web(&t, plain, "PATCH", "{\"properties\":{\"functionAppScaleLimit\":\"x\"}}", NULL));
        CHECK_INT(400, web(&t, plain, "PATCH", "{}", NULL));
        move(&t, flex, "premium", false);
        move(&t, plain, "nowhere", false);
        move(&t, plain, "premium", true);
        CHECK_TEXT("ElasticPremium", vn_azure_tier(t.sim, plain));
        CHECK_INT(200, web(&t, plain, "PATCH", "{\"properties\":{\"minimumElasticInstanceCount\":4}}", ":4"));
        CHECK_INT(4, vn_platform_deployment(t.sim->platform, plain)->warm_instances);
        move(&t, plain, "consumption", true);
        CHECK_INT(0, vn_platform_deployment(t.sim->platform, plain)->warm_instances);
        test_sim_done(&t);
}

TEST(slots_are_made_by_looking_twice_and_counted_by_plan)
{
        struct test_sim t;
        test_sim_init(&t);
        uint32_t plain = pick(&t, 2, false), flex = pick(&t, 2, true);
        CHECK_INT(409, slots(&t, flex, "PUT", "blue", NULL));
        CHECK_INT(202, slots(&t, plain, "PUT", "blue", NULL));
        CHECK_INT(202, slots(&t, plain, "GET", "blue", "operation"));
        CHECK_INT(200, slots(&t, plain, "GET", "blue", "operation"));
        CHECK_INT(200, slots(&t, plain, "PUT", "Blue", NULL)); /* it is there */
        CHECK_INT(409, slots(&t, plain, "PUT", "green", NULL));
        move(&t, plain, "premium", true);
        CHECK_INT(409, slots(&t, plain, "PUT", "production", NULL));
        CHECK_INT(409, slots(&t, plain, "PUT", "a-name-that-is-far-too-long-for-any-slot-of-all", NULL));
        CHECK_INT(202, slots(&t, plain, "PUT", "green", NULL));
        CHECK_INT(409, slots(&t, plain, "PUT", "red", NULL));
        CHECK_INT(200, slots(&t, plain, "DELETE", "blue", NULL));
        CHECK_INT(404, slots(&t, plain, "GET", "blue", NULL));
        CHECK_INT(200, slots(&t, plain, "GET", "green", NULL));
        test_sim_done(&t);
}

TEST(writes_come_back_with_time)
{
        struct test_sim t;
        uint32_t left = 0;
        test_sim_init(&t);
        for (int i = 0; i < 5; i++)
                CHECK(vn_sim_write_allowed(t.sim, 2, 5, 2, &left));
        CHECK_INT(0, left);
        CHECK(!vn_sim_write_allowed(t.sim, 2, 5, 2, &left));
        CHECK(vn_sim_write_allowed(t.sim, 3, 5, 2, &left)); /* another account's own */
        t.clock.time_us += VN_US_PER_S;
        CHECK(vn_sim_write_allowed(t.sim, 2, 5, 2, &left) && vn_sim_write_allowed(t.sim, 2, 5, 2, &left));
        CHECK(!vn_sim_write_allowed(t.sim, 2, 5, 2, &left));
        t.clock.time_us += VN_US_PER_HOUR;
        CHECK(vn_sim_write_allowed(t.sim, 2, 5, 2, &left));
        CHECK_INT(4, left);
        test_sim_done(&t);
}

/* --- Cloud Run --- */

static int run(struct test_sim *t, uint32_t deployment, const char *query, const char *body, const char *text)
{
        struct test_request request;
        struct vn_sim_response response;
        int status;
        test_request_init(&request, "PATCH", "/", query, body);
        vn_sim_response_init(&response);
        vn_gcp_run(t->sim, deployment, &request.wire, NULL, 0, &response);
        status = response.status;
        if (text && !strstr(response.body.ptr, text))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in %s", text, response.body.ptr);
        vn_sim_response_done(&response);
        return status;
}

static void etag_of(struct test_sim *t, uint32_t deployment, char ret[64], char ret_revision[64])
{
        VN_AUTO(vn_json)
        service = vn_gcp_service(t->sim, deployment);
        const char *name = test_text(service, "latestReadyRevision");
        snprintf(ret, 64, "%s", test_text(service, "etag"));
        snprintf(ret_revision, 64, "%s", strrchr(name, '/') + 1);
}

TEST(traffic_moves_under_its_etag_and_the_operation_ends_at_the_second_look)
{
        struct test_sim t;
        char etag[64], old[64], revision[64], body[400];
        test_sim_init(&t);
        uint32_t d = vn_demo_deployment(t.sim->demo, 4, 3);
        etag_of(&t, d, old, revision);
        old[strlen(old) - 1] = '\0'; /* without its quotes */
        snprintf(body, sizeof body,
                 "{\"etag\":\"\\\"%s\\\"\",\"traffic\":[{\"type\":1,\"percent\":30},{\"type\":2,\"revision\":\"%s\","
                 "\"percent\":70}]}",
                 old + 1, revision);
        CHECK_INT(200, run(&t, d, "updateMask=traffic", body, "\"done\":false"));
        CHECK_INT(409, run(&t, d, "updateMask=traffic", body, "ABORTED"));
        etag_of(&t, d, etag, revision);
        CHECK(strcmp(etag + 1, old + 1) != 0);
        char id[40];
        vn_sim_uuid(vn_sim_tuning(t.sim, d)->operation, id);
        for (int look = 0; look < 3; look++) {
                VN_AUTO(vn_json)
                operation = vn_gcp_run_operation(t.sim, 4, vn_str(id));
                CHECK(json_is_true(json_object_get(operation, "done")) == (look > 0));
                CHECK((json_object_get(operation, "response") != NULL) == (look > 0));
        }
        CHECK(!vn_gcp_run_operation(t.sim, 5, vn_str(id))); /* of another project */
        CHECK_INT(400, run(&t, d, "", body, "traffic only"));
        CHECK_INT(400, run(&t, d, "updateMask=traffic", "{\"traffic\":[{\"type\":1,\"percent\":99}]}", "make 100"));
        CHECK_INT(400, run(&t, d, "updateMask=traffic", "{\"traffic\":[{\"type\":2,\"percent\":100}]}", "exist"));
        CHECK_INT(400, run(&t, d, "updateMask=traffic", "[]", NULL));
        CHECK_INT(200, run(&t, d, "updateMask=traffic", "{}", "\"percent\":100")); /* back to the default */
        test_sim_done(&t);
}
