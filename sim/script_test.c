/* script_test.c - scripts: what is refused, and what each kind of event does to requests and readers. */
#include "sim/script.h"

#include "sim/sim_test.h"
#include "sim/stats.h"

static void load(struct test_sim *t, const char *text)
{
        struct vn_err err = {0};
        enum vn_rc rc = vn_sim_script(t->sim, vn_str(text), TEST_START_US, &err);
        if (rc != VN_OK)
                fprintf(stderr, "%s\n", err.msg);
        CHECK_OK(rc);
}

TEST(a_script_with_a_mistake_is_refused_with_its_line)
{
        static const char *const bad[] = {
                "events:\n  - {what: outage, cloud: ibm}",
                "events:\n  - {what: outrage, cloud: aws}",
                "events:\n  - {what: slow, cloud: aws}",
                "events:\n  - {what: slow, cloud: aws, factor: -1}",
                "events:\n  - {what: slow, cloud: aws, factor: 2, for: 0}",
                "events:\n  - {what: outage, cloud: aws, factor: 2}",
                "events:\n  - {what: outage, cloud: aws, account: gcp-a}",
                "events:\n  - {what: throttle, share: 1.5}",
                "events:\n  - {what: throttle, service: logging}",
                "events:\n  - {what: edit, account: aws-a, memory_mb: 512}",
                "events:\n  - [outage]",
                "events:\n  - outage",
        };
        struct test_sim t;
        struct vn_err err;
        test_sim_init(&t);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                if (vn_sim_script(t.sim, vn_str(bad[i]), TEST_START_US, &err) != VN_INVALID_ARGUMENT)
                        fprintf(stderr, "taken: %s\n", bad[i]);
                CHECK_RC(VN_INVALID_ARGUMENT, vn_sim_script(t.sim, vn_str(bad[i]), TEST_START_US, &err));
                CHECK(strstr(err.msg, "line 2"));
        }
        CHECK_RC(VN_INVALID_ARGUMENT, vn_sim_script(t.sim, VN_STR("things: []"), TEST_START_US, &err));
        CHECK(!t.sim->event_count);
        load(&t,
             "{\"events\": [{\"what\": \"throttle\", \"account\": \"gcp-a\", \"at\": \"2027-01-15T08:00:00Z\"}]}");
        CHECK_INT(1, (int)t.sim->event_count);
        test_sim_done(&t);
}

/* Asks for something of an account as the wire layer would; the status of what is answered instead, 0 for nothing. */
static int asked(struct test_sim *t, enum vn_platform_cloud cloud, const char *verb, const char *path,
                 struct vn_sim_disturbance *how)
{
        struct test_request r;
        struct vn_sim_response response;
        char authorization[200];
        test_request_init(&r, verb, path, "", "");
        snprintf(authorization, sizeof authorization, "AWS4-HMAC-SHA256 Credential=%s/x", t->sim->accounts[0].key_id);
        if (cloud == VN_PLATFORM_AWS)
                test_request_header(&r, "authorization", authorization);
        vn_sim_response_init(&response);
        vn_sim_disturb(t->sim, cloud, &r.wire, &response, how);
        int status = how->refuse ? response.status : 0;
        if (status == 429)
                CHECK_TEXT("1", test_response_header(&response, "retry-after"));
        vn_sim_response_done(&response);
        return status;
}

TEST(events_hit_what_is_in_their_scope_and_time)
{
        struct test_sim t;
        struct vn_sim_disturbance how;
        char gcp_a[200], gcp_b[200];
        test_sim_init(&t);
        snprintf(gcp_a, sizeof gcp_a, "/v2/projects/%s/locations/-/functions", t.sim->accounts[4].id);
        snprintf(gcp_b, sizeof gcp_b, "/v2/projects/%s/locations/-/functions", t.sim->accounts[5].id);
        load(&t, "events:\n"
                 "  - {what: throttle, account: gcp-a, service: control, at: 10, for: 10}\n"
                 "  - {what: outage, region: us-east-1, service: control, at: 30, for: 10}\n"
                 "  - {what: conflict, cloud: aws, at: 50, for: 10}\n"
                 "  - {what: stall, cloud: azure, seconds: 3, at: 50, for: 10}\n"
                 "  - {what: rate, account: gcp-b, limit: 2, at: 70, for: 10}\n");
        CHECK_INT(0, asked(&t, VN_PLATFORM_GCP, "GET", gcp_a, &how));
        t.clock.time_us = TEST_START_US + 15 * VN_US_PER_S;
        CHECK_INT(429, asked(&t, VN_PLATFORM_GCP, "GET", gcp_a, &how));
        CHECK_INT(0, asked(&t, VN_PLATFORM_GCP, "GET", gcp_b, &how));
        CHECK_INT(0, asked(&t, VN_PLATFORM_GCP, "POST", "/v2/entries:list", &how));
        t.clock.time_us = TEST_START_US + 35 * VN_US_PER_S;
        CHECK_INT(0, asked(&t, VN_PLATFORM_GCP, "GET", gcp_a, &how));
        CHECK_INT(503, asked(&t, VN_PLATFORM_AWS, "GET", "/2015-03-31/functions", &how));
        CHECK_INT(0, asked(&t, VN_PLATFORM_AWS, "POST", "/2015-03-31/functions/x/invocations", &how));
        t.clock.time_us = TEST_START_US + 55 * VN_US_PER_S;
        CHECK_INT(409, asked(&t, VN_PLATFORM_AWS, "PUT", "/2015-03-31/functions/x/configuration", &how));
        CHECK_INT(0, asked(&t, VN_PLATFORM_AWS, "GET", "/2015-03-31/functions/x/configuration", &how));
        CHECK_INT(0, asked(&t, VN_PLATFORM_AZURE, "GET", "/subscriptions/x", &how));
        CHECK_INT(3 * VN_US_PER_S, how.stall_us);
        t.clock.time_us = TEST_START_US + 75 * VN_US_PER_S;
        CHECK_INT(0, asked(&t, VN_PLATFORM_GCP, "GET", gcp_b, &how));
        CHECK_INT(0, asked(&t, VN_PLATFORM_GCP, "GET", gcp_b, &how));
        CHECK_INT(429, asked(&t, VN_PLATFORM_GCP, "GET", gcp_b, &how));
        t.clock.time_us += VN_US_PER_S;
        CHECK_INT(0, asked(&t, VN_PLATFORM_GCP, "GET", gcp_b, &how));
        test_sim_done(&t);
}

TEST(a_share_is_drawn_from_the_seed)
{
        uint64_t seen[2] = {0};
        int hits = 0;
        for (int k = 0; k < 2; k++) {
                struct test_sim t;
                struct vn_sim_disturbance how;
                test_sim_init(&t);
                load(&t, "events: [{what: reset, cloud: azure, share: 0.3}]");
                for (int i = 0; i < 60; i++) {
                        asked(&t, VN_PLATFORM_AZURE, "GET", "/subscriptions/x", &how);
                        seen[k] |= (uint64_t)how.reset << i;
                        hits += how.reset;
                }
                test_sim_done(&t);
        }
        CHECK(seen[0] == seen[1]);
        CHECK(hits > 2 * 8 && hits < 2 * 32);
}

TEST(reads_are_stale_for_a_while_after_a_change)
{
        struct test_sim t;
        struct vn_err err;
        test_sim_init(&t);
        load(&t, "events: [{what: stale, account: aws-a, seconds: 20}]");
        uint32_t before = vn_sim_memory(t.sim, 0), wanted = before == 512 ? 1024 : 512,
                 revision = vn_sim_revision(t.sim, 0);
        CHECK_OK(vn_sim_change(t.sim, 0, wanted, VN_US_PER_S, &err));
        CHECK_INT(before, vn_sim_memory(t.sim, 0));
        CHECK_INT(revision, vn_sim_revision(t.sim, 0));
        CHECK(t.sim->functions[0].revision != revision); /* what a guarded write is measured by */
        t.clock.time_us += 30 * VN_US_PER_S;
        CHECK_INT(wanted, vn_sim_memory(t.sim, 0));
        test_sim_done(&t);
}

static bool one(const struct vn_sim_record *r, const void *arg, double *ret)
{
        (void)arg;
        *ret = 1;
        return r->instance != 0;
}

static size_t points_now(struct test_sim *t)
{
        size_t count;
        vn_free(vn_series(t->sim, 0, one, NULL, TEST_START_US, TEST_START_US + VN_US_PER_HOUR, VN_US_PER_MIN, 50, 100,
                          &count));
        return count;
}

TEST(metrics_lag_pages_are_short_and_a_quota_throttles)
{
        struct test_sim t;
        struct test_request r;
        struct vn_sim_response response;
        struct vn_platform_outcome out;
        test_sim_init(&t);
        load(&t, "events:\n"
                 "  - {what: metric_lag, account: aws-a, seconds: 120}\n"
                 "  - {what: page, account: gcp-a, items: 3}\n"
                 "  - {what: page, account: gcp-b, items: 0}\n"
                 "  - {what: quota, account: aws-b, limit: 0}\n");
        test_request_init(&r, "POST", "/", "", "{}");
        vn_sim_response_init(&response);
        vn_sim_invoke(t.sim, 0, &r.wire, &response, &out);
        CHECK_INT(VN_RUN_OK, out.status);
        vn_sim_invoke(t.sim, vn_demo_deployment(t.sim->demo, 1, 0), &r.wire, &response, &out);
        CHECK_INT(VN_RUN_THROTTLED, out.status);
        vn_sim_response_done(&response);
        t.clock.time_us += VN_US_PER_MIN;
        CHECK_INT(0, (int)points_now(&t));
        t.clock.time_us += 2 * VN_US_PER_MIN;
        CHECK_INT(1, (int)points_now(&t));
        CHECK_INT(3, (int)vn_sim_page_size(t.sim, 4, true, 50));
        CHECK_INT(0, (int)vn_sim_page_size(t.sim, 5, true, 50));
        CHECK_INT(50, (int)vn_sim_page_size(t.sim, 5, false, 50));
        CHECK_INT(50, (int)vn_sim_page_size(t.sim, 0, true, 50));
        test_sim_done(&t);
}

TEST(somebody_else_edits_a_function)
{
        struct test_sim t;
        struct vn_sim_disturbance how;
        test_sim_init(&t);
        load(&t, "events: [{what: edit, account: aws-a, function: fn-00, memory_mb: 3008, at: 5}]");
        uint32_t revision = t.sim->functions[0].revision;
        CHECK(vn_sim_memory(t.sim, 0) != 3008);
        t.clock.time_us += 6 * VN_US_PER_S;
        asked(&t, VN_PLATFORM_AWS, "GET", "/", &how);
        CHECK_INT(3008, vn_sim_memory(t.sim, 0));
        CHECK(t.sim->functions[0].revision > revision);
        test_sim_done(&t);
}
