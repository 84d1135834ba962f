/* Raw lines of the three clouds, and what a distribution says of its quantiles. */
#include "clouds/gcp/gcp.h"
#include "clouds/wire_test.h"

struct taken {
        size_t count;
        struct vn_cloud_line lines[8];
        char texts[8][64];
        enum vn_rc rc;
};

static enum vn_rc take(void *arg, const struct vn_cloud_line *line)
{
        struct taken *t = arg;

        CHECK(t->count < 8 && vn_str_copy(t->texts[t->count], sizeof(t->texts[0]), line->text));
        t->lines[t->count++] = *line;
        return t->rc;
}

static const struct vn_cloud_function f = {.name = "f", .resource = "/s/a"};

TEST(aws_lines_go_on_through_empty_pages)
{
        static const struct wire_step steps[] = {
                {"POST https://logs.us-east-1.amazonaws.com/", 200, NULL, "{\"events\":[],\"nextToken\":\"t1\"}"},
                {"POST logs", 200, NULL,
                 "{\"events\":[{\"eventId\":\"1\",\"logStreamName\":\"d/[$LATEST]abc\",\"timestamp\":1795521601000,"
                 "\"message\":\"hello\\n\"},{\"eventId\":\"2\",\"timestamp\":1795521602000,\"message\":\"hello\"},"
                 "{\"timestamp\":1795521699000,\"message\":\"too late\"},{\"timestamp\":1795521601000}]}"},
                {"POST logs", 400, NULL, "{\"__type\":\"ResourceNotFoundException\",\"message\":\"none\"}"}};
        struct taken t = {0};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        int64_t now = wire_clock.time_us;
        struct vn_err err;

        CHECK_OK(vn_cloud_lines(cloud, &f, now, now + VN_US_PER_MIN, take, &t, &err));
        CHECK_INT(2, t.count);
        CHECK_TEXT("hello", t.texts[0]);
        CHECK_TEXT("abc", t.lines[0].instance);
        CHECK_INT(now + VN_US_PER_S, t.lines[0].time_us);
        CHECK(t.lines[0].id_hash != t.lines[1].id_hash && !t.lines[0].error);
        CHECK(!strstr(wire.asked[0], "filterPattern"));
        CHECK(strstr(wire.asked[1], "\"nextToken\":\"t1\""));
        CHECK_OK(vn_cloud_lines(cloud, &f, now, now + 1, take, &t, &err)); /* never ran: no log group */
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_lines(cloud, NULL, now, now + 1, take, &t, &err));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

#define TOKEN_STEP                                                                                                   \
        {                                                                                                            \
                NULL, 200, NULL, "{\"access_token\":\"T\",\"expires_in\":3600}"                                      \
        }

TEST(azure_lines_are_traces)
{
        static const struct wire_step steps[] = {
                TOKEN_STEP,
                {"POST https://api.loganalytics.io/v1/workspaces/ws/query", 200, NULL,
                 "{\"tables\":[{\"columns\":[{\"name\":\"TimeGenerated\"},{\"name\":\"Message\"},{\"name\":"
                 "\"SeverityLevel\"},{\"name\":\"AppRoleName\"},{\"name\":\"AppRoleInstance\"}],\"rows\":["
                 "[\"2026-11-24T12:00:01Z\",\"fine\",1,\"a\",\"i\"],[\"2026-11-24T12:00:02Z\",\"broken\",3,\"a\","
                 "\"i\"],"
                 "[\"2026-11-24T12:00:02Z\",\"\",3,\"a\",\"i\"]]}]}"},
                {"POST /query", 200, NULL, "{\"tables\":[{\"columns\":[],\"rows\":[]}]}"}};
        struct taken t = {0};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);
        int64_t now = wire_clock.time_us;

        CHECK_OK(vn_cloud_lines(cloud, &f, now, now + VN_US_PER_MIN, take, &t, NULL));
        CHECK_INT(2, t.count);
        CHECK(!t.lines[0].error && t.lines[1].error);
        CHECK_TEXT("a", t.lines[1].function);
        CHECK(strstr(wire.asked[1], "AppTraces | where TimeGenerated >= datetime(2026-11-24T12:00:00"));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_lines(cloud, NULL, now, now + 1, take, &t, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(gcp_lines_are_text_or_json)
{
        static const struct wire_step steps[] = {
                TOKEN_STEP,
                {"POST https://logging.googleapis.com/v2/entries:list", 200, NULL, "{\"nextPageToken\":\"n\"}"},
                {"POST entries:list", 200, NULL,
                 "{\"entries\":[{\"insertId\":\"a\",\"timestamp\":\"2026-11-24T12:00:01Z\",\"textPayload\":\"hello\","
                 "\"resource\":{\"labels\":{\"service_name\":\"f\"}},\"labels\":{\"instanceId\":\"i\"}},"
                 "{\"insertId\":\"b\",\"timestamp\":\"2026-11-24T12:00:02Z\",\"severity\":\"CRITICAL\","
                 "\"jsonPayload\":"
                 "{\"z\":1,\"a\":\"x\"}},{\"insertId\":\"c\",\"timestamp\":\"2026-11-24T12:00:03Z\",\"severity\":500,"
                 "\"textPayload\":\"bad\"}]}"},
                {"POST entries:list", 200, NULL, "{\"entries\":[{\"textPayload\":\"x\"}]}"},
                {"POST entries:list", 200, NULL,
                 "{\"entries\":[{\"timestamp\":\"2026-11-24T12:00:01Z\",\"textPayload\":\"x\"}]}"}};
        struct taken t = {0};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);
        int64_t now = wire_clock.time_us;

        CHECK_OK(vn_cloud_lines(cloud, &f, now, now + VN_US_PER_MIN, take, &t, NULL));
        CHECK_INT(3, t.count);
        CHECK_TEXT("{\"a\":\"x\",\"z\":1}", t.texts[1]);
        CHECK(!t.lines[0].error && t.lines[1].error && t.lines[2].error);
        CHECK_TEXT("i", t.lines[0].instance);
        CHECK(strstr(wire.asked[1], "run.googleapis.com%2Fstderr"));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_lines(cloud, NULL, now, now + 1, take, &t, NULL));
        t.rc = VN_ABORTED; /* whoever takes the lines may end it */
        CHECK_RC(VN_ABORTED, vn_cloud_lines(cloud, NULL, now, now + 1, take, &t, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

/* --- distributions --- */

static enum vn_rc quantile(const char *text, double q, double *ret)
{
        VN_AUTO(vn_json)
        root = NULL;

        CHECK_OK(vn_json_load(vn_str(text), &root, NULL));
        return vn_gcp_distribution_quantile(root, q, ret, NULL);
}

TEST(gcp_distributions_of_each_kind)
{
        static const struct {
                const char *text;
                double q, want;
        } rows[] = {
                {"{\"count\":\"4\",\"bucketOptions\":{\"linearBuckets\":{\"numFiniteBuckets\":3,\"width\":10,"
                 "\"offset\":"
                 "5}},\"bucketCounts\":[\"0\",\"2\",\"2\"]}",
                 0.75, 20},
                {"{\"count\":\"4\",\"bucketOptions\":{\"exponentialBuckets\":{\"numFiniteBuckets\":5,"
                 "\"growthFactor\":2,"
                 "\"scale\":1}},\"bucketCounts\":[\"0\",\"0\",\"0\",\"4\"]}",
                 0.5, 6}, /* 4 to 8 */
                {"{\"count\":\"2\",\"bucketOptions\":{\"explicitBuckets\":{\"bounds\":[0,1,7]}},\"bucketCounts\":["
                 "\"0\","
                 "\"1\",\"1\"]}",
                 1, 7},
                {"{\"count\":\"3\",\"bucketOptions\":{\"explicitBuckets\":{\"bounds\":[8]}},\"bucketCounts\":[\"1\","
                 "\"2\"]}",
                 0.9, 8}, /* above the last bound: no more is known */
                {"{\"count\":\"1\",\"bucketOptions\":{\"explicitBuckets\":{\"bounds\":[8]}},\"bucketCounts\":[1]}",
                 0.5, 4},
                {"{\"count\":\"0\",\"bucketOptions\":{\"linearBuckets\":{}}}", 0.5, 0},
                {"{\"count\":\"9\",\"mean\":3}", 0.5, 0}, /* without buckets there is no quantile */
        };
        static const char *const bad[] = {
                "{\"bucketCounts\":[\"1\"]}",
                "{\"bucketOptions\":{\"linearBuckets\":{\"numFiniteBuckets\":2,\"width\":0}},\"bucketCounts\":[\"1\"]"
                "}",
                "{\"bucketOptions\":{\"exponentialBuckets\":{\"numFiniteBuckets\":2,\"growthFactor\":1,\"scale\":1}},"
                "\"bucketCounts\":[\"1\"]}",
                "{\"bucketOptions\":{\"exponentialBuckets\":{\"numFiniteBuckets\":4999,\"growthFactor\":1000,"
                "\"scale\":1}},"
                "\"bucketCounts\":[\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"0\",\"1\"]}",
                "{\"bucketOptions\":{\"explicitBuckets\":{\"bounds\":[1]}},\"bucketCounts\":[\"1\",\"1\",\"1\"]}",
                "{\"bucketOptions\":{\"explicitBuckets\":{\"bounds\":[1]}},\"bucketCounts\":[\"-1\"]}",
                "{\"bucketOptions\":{\"explicitBuckets\":{\"bounds\":[\"x\"]}},\"bucketCounts\":[\"1\"]}",
        };
        double got;

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                CHECK_OK(quantile(rows[i].text, rows[i].q, &got));
                CHECK_NEAR(rows[i].want, got, 1e-9);
        }
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                CHECK_RC(VN_DATA_LOSS, quantile(bad[i], 0.5, &got));
}
