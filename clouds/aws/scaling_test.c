/* Concurrency, aliases, asynchronous calls and health, in the shapes that were recorded on AWS. */
#include "clouds/aws/aws.h"
#include "clouds/wire_test.h"

#define CONFIG(revision)                                                                                             \
        {                                                                                                            \
                "GET /2015-03-31/functions/f/configuration", 200, NULL,                                              \
                        "{\"FunctionName\":\"f\",\"FunctionArn\":\"arn:aws:lambda:us-east-1:1:function:f\","         \
                        "\"Runtime\":"                                                                               \
                        "\"nodejs20.x\",\"MemorySize\":128,\"Timeout\":3,\"RevisionId\":\"" revision                 \
                        "\",\"State\":\"Active\",\"LastUpdateStatus\":\"Successful\"}"                               \
        }
#define RESERVED(body)                                                                                               \
        {                                                                                                            \
                "GET /2019-09-30/functions/f/concurrency", 200, NULL, body                                           \
        }
#define LIST(body)                                                                                                   \
        {                                                                                                            \
                "GET /2019-09-30/functions/f/provisioned-concurrency?List=ALL&MaxItems=50", 200, NULL,               \
                        "{\"ProvisionedConcurrencyConfigs\":[" body "]}"                                             \
        }
#define LISTED(qualifier, n, status)                                                                                 \
        "{\"FunctionArn\":\"arn:aws:lambda:us-east-1:1:function:f:" qualifier                                        \
        "\",\"RequestedProvisionedConcurrentExecutions\":" n ",\"Status\":\"" status "\"}"
#define LOOK "GET /2019-09-30/functions/f/provisioned-concurrency?Qualifier=live"
#define ONE(n, status) "{\"RequestedProvisionedConcurrentExecutions\":" n ",\"Status\":\"" status "\"}"
#define GONE                                                                                                         \
        {                                                                                                            \
                LOOK, 404, "x-amzn-ErrorType: ProvisionedConcurrencyConfigNotFoundException\n",                      \
                        "{\"Type\":\"User\",\"message\":\"No Provisioned Concurrency Config found for this "         \
                        "function\"}"                                                                                \
        }

static struct vn_cloud_function function_f(void)
{
        return (struct vn_cloud_function){.name = "f",
                                          .guard = "r1",
                                          .memory_mb = 128,
                                          .memory_tunable = true,
                                          .memory_min_mb = 128,
                                          .memory_max_mb = 10240,
                                          .timeout_s = 3};
}

#define CHANGE(f, setting, value, got)                                                                               \
        vn_cloud_change(cloud, f, VN_SETTING_##setting, value, VN_US_PER_MIN, got, NULL)

TEST(aws_read_tells_both_concurrencies)
{
        static const struct wire_step steps[] = {
                CONFIG("r1"),
                RESERVED("{\"ReservedConcurrentExecutions\":7}"),
                {"GET provisioned-concurrency?List=ALL&MaxItems=50", 200, NULL,
                 "{\"ProvisionedConcurrencyConfigs\":[" LISTED("live", "2", "READY") "],\"NextMarker\":\"a+b\"}"},
                {"GET provisioned-concurrency?List=ALL&Marker=a%2Bb&MaxItems=50", 200, NULL,
                 "{\"ProvisionedConcurrencyConfigs\":[" LISTED("3", "1", "IN_PROGRESS") "]}"},
                CONFIG("r1"),
                {"GET /concurrency", 403, "x-amzn-ErrorType: AccessDeniedException\n", "{}"},
                {"GET provisioned-concurrency", 403, "x-amzn-ErrorType: AccessDeniedException\n", "{}"},
                CONFIG("r1"),
                RESERVED("{\"ReservedConcurrentExecutions\":\"many\"}")};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f(), got;

        CHECK_OK(vn_cloud_read(cloud, &f, &got, NULL));
        CHECK_INT(7, got.max_instances);
        CHECK_INT(3, got.warm_instances);
        CHECK_INT(1, got.concurrency);
        CHECK(got.busy);
        CHECK_OK(vn_cloud_read(cloud, &f, &got, NULL)); /* memory can be tuned by whoever may read no more */
        CHECK_INT(0, got.max_instances + got.warm_instances);
        CHECK(!got.busy);
        CHECK_RC(VN_DATA_LOSS, vn_cloud_read(cloud, &f, &got, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_reserved_concurrency_is_set_once_whatever_is_lost_and_undone)
{
        static const struct wire_step steps[] = {/* the answer is lost, the change was made */
                                                 RESERVED("{}"),
                                                 CONFIG("r1"),
                                                 {"PUT /2017-10-31/functions/f/concurrency", 0, NULL, NULL},
                                                 /* read, and the change again, which finds it made */
                                                 CONFIG("r1"),
                                                 RESERVED("{\"ReservedConcurrentExecutions\":5}"),
                                                 LIST(""),
                                                 RESERVED("{\"ReservedConcurrentExecutions\":5}"),
                                                 CONFIG("r2"),
                                                 /* sent again by somebody who has not heard */
                                                 RESERVED("{\"ReservedConcurrentExecutions\":5}"),
                                                 CONFIG("r2"),
                                                 /* undone; the first look still shows the old value */
                                                 RESERVED("{\"ReservedConcurrentExecutions\":5}"),
                                                 CONFIG("r2"),
                                                 {"DELETE /2017-10-31/functions/f/concurrency", 204, NULL, ""},
                                                 RESERVED("{\"ReservedConcurrentExecutions\":5}"),
                                                 RESERVED("{}"),
                                                 CONFIG("r3")};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f(), got, again, undone;

        CHECK_OK(CHANGE(&f, MAX_INSTANCES, 5, &got));
        CHECK(strstr(wire.asked[2], "{\"ReservedConcurrentExecutions\":5}"));
        CHECK_INT(5, got.max_instances);
        CHECK_TEXT("r2", got.guard);
        CHECK_OK(CHANGE(&f, MAX_INSTANCES, 5, &again));
        CHECK_OK(CHANGE(&got, MAX_INSTANCES, 0, &undone));
        CHECK_INT(0, undone.max_instances);
        CHECK_TEXT("r3", undone.guard);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_reserved_concurrency_is_refused_when_it_is_not_as_read)
{
        static const struct wire_step steps[] = {
                RESERVED("{\"ReservedConcurrentExecutions\":9}"),
                CONFIG("r1"), /* somebody else's value */
                RESERVED("{\"ReservedConcurrentExecutions\":null}"),
                CONFIG("r8"),                                     /* somebody else's edit */
                RESERVED("{\"ReservedConcurrentExecutions\":0}"), /* stopped on purpose */
                RESERVED("{}"),
                CONFIG("r1"),
                {"PUT /concurrency", 400, "x-amzn-ErrorType: InvalidParameterValueException\n",
                 "{\"message\":\"Specified ReservedConcurrentExecutions for function decreases account's "
                 "UnreservedConcurrentExecution below its minimum value of [100].\"}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f(), got = {.name = "untouched"};
        struct vn_err err = {0};

        CHECK_RC(VN_ABORTED, CHANGE(&f, MAX_INSTANCES, 5, &got));
        CHECK_RC(VN_ABORTED, CHANGE(&f, MAX_INSTANCES, 5, &got));
        CHECK_RC(VN_FAILED_PRECONDITION, CHANGE(&f, MAX_INSTANCES, 5, &got));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_cloud_change(cloud, &f, VN_SETTING_MAX_INSTANCES, 950, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "below its minimum"));
        CHECK_RC(VN_FAILED_PRECONDITION, CHANGE(&f, CONCURRENCY, 4, &got));
        CHECK_TEXT("untouched", got.name);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_provisioned_concurrency_is_waited_for_and_taken_away_again)
{
        static const struct wire_step steps[] = {
                LIST(""),
                CONFIG("r1"),
                {"GET /2015-03-31/functions/f/aliases?MaxItems=50", 200, NULL,
                 "{\"Aliases\":[{\"Name\":\"head\",\"FunctionVersion\":\"$LATEST\"},{\"Name\":\"live\","
                 "\"FunctionVersion\":\"4\"}]}"},
                {"PUT /2019-09-30/functions/f/provisioned-concurrency?Qualifier=live", 0, NULL, NULL},
                /* lost: read until nothing is under way, and again, which finds it made */
                CONFIG("r1"),
                RESERVED("{}"),
                LIST(LISTED("live", "3", "IN_PROGRESS")),
                CONFIG("r1"),
                RESERVED("{}"),
                LIST(LISTED("live", "3", "READY")),
                LIST(LISTED("live", "3", "READY")),
                {LOOK, 200, NULL, ONE("3", "READY")},
                CONFIG("r2"),
                /* undone */
                LIST(LISTED("live", "3", "READY")),
                CONFIG("r2"),
                {"DELETE /2019-09-30/functions/f/provisioned-concurrency?Qualifier=live", 204, NULL, ""},
                {LOOK, 200, NULL, ONE("3", "READY")},
                GONE,
                CONFIG("r3"),
                /* and once more: nothing is left to do */
                LIST(""),
                CONFIG("r3")};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f(), got, undone;

        CHECK_OK(CHANGE(&f, WARM_INSTANCES, 3, &got));
        CHECK(strstr(wire.asked[3], "{\"ProvisionedConcurrentExecutions\":3}"));
        CHECK_INT(3, got.warm_instances);
        CHECK_OK(CHANGE(&got, WARM_INSTANCES, 0, &undone));
        CHECK_INT(0, undone.warm_instances);
        CHECK_OK(CHANGE(&got, WARM_INSTANCES, 0, &undone));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_provisioned_concurrency_fails_with_its_reason)
{
        static const struct wire_step steps[] = {
                LIST(""),
                CONFIG("r1"),
                {"GET /aliases", 200, NULL, "{\"Aliases\":[{\"Name\":\"head\",\"FunctionVersion\":\"$LATEST\"}]}"},
                LIST(LISTED("live", "1", "READY") "," LISTED("2", "1", "READY")),
                LIST(LISTED("live", "2", "READY")),
                CONFIG("r1"),
                LIST(LISTED("live", "1", "READY")),
                CONFIG("r1"),
                {"PUT Qualifier=live", 202, NULL, "{}"},
                {LOOK, 200, NULL,
                 "{\"RequestedProvisionedConcurrentExecutions\":3,\"Status\":\"FAILED\",\"StatusReason\":"
                 "\"FUNCTION_ERROR_INIT_FAILURE\"}"},
                LIST(LISTED("live", "1", "READY")),
                CONFIG("r1"),
                {"PUT Qualifier=live", 202, NULL, "{}"},
                {LOOK, 200, NULL, ONE("9", "READY")}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f(), got = {.name = "untouched"};
        struct vn_err err = {0};

        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_change(cloud, &f, VN_SETTING_WARM_INSTANCES, 3, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "no alias of a published version"));
        CHECK_RC(VN_FAILED_PRECONDITION, CHANGE(&f, WARM_INSTANCES, 3, &got)); /* on two qualifiers: whose? */
        f.warm_instances = 1;
        CHECK_RC(VN_ABORTED, CHANGE(&f, WARM_INSTANCES, 3, &got));
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_change(cloud, &f, VN_SETTING_WARM_INSTANCES, 3, VN_US_PER_MIN, &got, &err));
        CHECK(strstr(err.msg, "INIT_FAILURE"));
        CHECK_RC(VN_ABORTED, CHANGE(&f, WARM_INSTANCES, 3, &got)); /* changed by somebody else meanwhile */
        CHECK_TEXT("untouched", got.name);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

#define ALIAS(name, weights, revision)                                                                               \
        "{\"AliasArn\":\"a\",\"Name\":\"" name                                                                       \
        "\",\"FunctionVersion\":\"1\",\"Description\":\"\",\"RevisionId\":\"" revision                               \
        "\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{" weights "}}}"

TEST(aws_split_moves_under_its_revision_and_back)
{
        static const struct wire_step steps[] = {
                {"GET /2015-03-31/functions/f/aliases?MaxItems=50", 200, NULL,
                 "{\"Aliases\":[{\"Name\":\"live\",\"FunctionVersion\":\"1\",\"RevisionId\":\"a1\"}]}"},
                {"PUT /2015-03-31/functions/f/aliases/live", 0, NULL, NULL},
                {"GET /2015-03-31/functions/f/aliases/live", 200, NULL, ALIAS("live", "\"2\":0.05", "a2")},
                {"PUT /2015-03-31/functions/f/aliases/live", 200, NULL, ALIAS("live", "", "a3")},
                {"PUT /2015-03-31/functions/f/aliases/live", 412, "x-amzn-ErrorType: PreconditionFailedException\n",
                 "{\"message\":\"The Revision Id provided does not match the latest Revision Id.\"}"},
                {"GET /aliases?MaxItems=50", 200, NULL, "{\"Aliases\":[]}"},
                {"GET /aliases/live", 200, NULL, ALIAS("live", "\"2\":1.5", "a2")},
                {"GET /aliases/live", 200, NULL, ALIAS("live", "\"2\":0.1,\"3\":0.1", "a2")}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f();
        struct vn_cloud_split before, wanted, after, undone;

        CHECK_OK(vn_cloud_read_split(cloud, &f, VN_STR(""), &before, NULL));
        CHECK_INT(1, before.count);
        CHECK_TEXT("live", before.alias);
        wanted = before;
        wanted.count = 2;
        wanted.shares[0].per_mille = 950;
        wanted.shares[1] = (struct vn_cloud_share){"2", 50};
        CHECK_OK(vn_cloud_set_split(cloud, &f, &wanted, VN_US_PER_MIN, &after, NULL));
        CHECK(strstr(wire.asked[1], "{\"FunctionVersion\":\"1\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{"
                                    "\"2\":0.050}},\"RevisionId\":\"a1\"}"));
        CHECK_INT(50, after.shares[1].per_mille);
        CHECK_INT(950, after.shares[0].per_mille);
        memcpy(before.guard, after.guard, sizeof(before.guard));
        CHECK_OK(vn_cloud_set_split(cloud, &f, &before, VN_US_PER_MIN, &undone, NULL));
        CHECK(strstr(wire.asked[3], "\"AdditionalVersionWeights\":{}"));
        CHECK_INT(1, undone.count);
        CHECK_RC(VN_ABORTED, vn_cloud_set_split(cloud, &f, &wanted, VN_US_PER_MIN, &undone, NULL));
        wanted.count = 3;
        wanted.shares[1].per_mille = 25;
        wanted.shares[2] = (struct vn_cloud_share){"3", 25};
        CHECK_RC(VN_OUT_OF_RANGE, vn_cloud_set_split(cloud, &f, &wanted, VN_US_PER_MIN, &undone, NULL));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_cloud_read_split(cloud, &f, VN_STR(""), &before, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_read_split(cloud, &f, VN_STR("live"), &before, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_read_split(cloud, &f, VN_STR("live"), &before, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_asynchronous_calls_are_handed_over_once)
{
        static const struct wire_step steps[] = {
                {"POST /2015-03-31/functions/f/invocations", 202, "x-amzn-RequestId: q\n", ""},
                {"POST /invocations", 429, NULL, "{\"Reason\":\"CallerRateLimitExceeded\"}"},
                {"POST /invocations", 0, NULL, NULL}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_function f = function_f();
        struct vn_cloud_result result;

        CHECK_OK(vn_cloud_invoke_async(cloud, &f, VN_STR("{}"), &result, NULL));
        CHECK(strstr(wire.asked[0], "X-Amz-Invocation-Type: Event"));
        CHECK(!strstr(wire.asked[0], "X-Amz-Log-Type"));
        CHECK_INT(202, result.http_status);
        CHECK_INT(-1, result.duration_us);
        CHECK(vn_str_eq(vn_cloud_response_header(&result.response, "x-amzn-requestid"), VN_STR("q")));
        vn_cloud_result_done(&result);
        CHECK_OK(vn_cloud_invoke_async(cloud, &f, VN_STR("{}"), &result, NULL));
        CHECK(result.throttled);
        vn_cloud_result_done(&result);
        CHECK_RC(VN_UNAVAILABLE, vn_cloud_invoke_async(cloud, &f, VN_STR("{}"), &result, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(aws_health_names_the_identity_and_the_clocks_distance)
{
        static const struct wire_step steps[] = {
                {"POST https://sts.us-east-1.amazonaws.com/", 200, "Date: Tue, 24 Nov 2026 12:00:03 GMT\n",
                 "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111111111111:user/agent</Arn>"
                 "<UserId>AIDA</UserId></GetCallerIdentityResult></GetCallerIdentityResponse>"},
                {"POST sts", 403, "Date: Tue, 24 Nov 2026 12:00:00 GMT\n",
                 "<ErrorResponse><Error><Type>Sender</Type><Code>InvalidClientTokenId</Code><Message>The security "
                 "token included in the request is invalid.</Message></Error></ErrorResponse>"},
                {"POST sts", 200, NULL, "<html></html>"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_cloud_health health;
        struct vn_err err = {0};

        CHECK_OK(vn_cloud_health(cloud, &health, NULL));
        CHECK_TEXT("arn:aws:iam::111111111111:user/agent", health.identity);
        CHECK_INT(3500000, health.clock_offset_us);
        CHECK(strstr(wire.asked[0], "Action=GetCallerIdentity&Version=2011-06-15"));
        CHECK_RC(VN_UNAUTHENTICATED, vn_cloud_health(cloud, &health, &err));
        CHECK(strstr(err.msg, "InvalidClientTokenId") && strstr(err.msg, "is invalid"));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_health(cloud, &health, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}
