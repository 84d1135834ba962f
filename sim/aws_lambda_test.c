/* aws_lambda_test.c - versions, aliases and concurrency of Lambda, as recorded on AWS. */
#include "sim/aws_lambda.h"
#include "sim/aws_test.h"

#define F FUNCTIONS "/fn-02"
#define CONCURRENCY_2017 "/2017-10-31/functions/fn-02/concurrency"
#define CONCURRENCY "/2019-09-30/functions/fn-02/concurrency"
#define WARM "/2019-09-30/functions/fn-02/provisioned-concurrency"

/* Status of one call; its JSON in *ret unless NULL; `part` must be in the body, `code` in the error's header. */
static int ask(struct test_sim *t, const char *verb, const char *path, const char *query, const char *body,
               const char *code, json_t **ret)
{
        struct aws_call c;
        aws_call(t, &c, "lambda", verb, path, query, body, NULL, NULL);
        int status = c.response.status;
        if (code && strcmp(code, test_response_header(&c.response, "x-amzn-errortype")))
                test_fail(__FILE__, __LINE__, "%s %s: want %s, got %d %.*s", verb, path, code, status,
                          (int)c.response.body.len, c.response.body.ptr);
        if (ret)
                *ret = test_json(&c.response);
        aws_end(&c);
        return status;
}

static void publish_two(struct test_sim *t)
{
        CHECK_INT(201, ask(t, "POST", F "/versions", "", "{}", NULL, NULL));
        CHECK_INT(200, ask(t, "PUT", F "/configuration", "", "{\"MemorySize\":777}", NULL, NULL));
        CHECK_INT(409, ask(t, "POST", F "/versions", "", "{}", "ResourceConflictException", NULL));
        t->clock.time_us += 10 * VN_US_PER_S;
        CHECK_INT(201, ask(t, "POST", F "/versions", "", "", NULL, NULL));
}

TEST(versions_are_published_once_a_change_and_listed_in_pages)
{
        struct test_sim t;
        json_t *json;
        test_sim_init(&t);
        publish_two(&t);
        CHECK_INT(201, ask(&t, "POST", F "/versions", "", "{}", NULL, &json)); /* unchanged: the same one */
        CHECK_TEXT("2", test_text(json, "Version"));
        CHECK_INT(777, test_int(json, "MemorySize"));
        json_decref(json);
        CHECK_INT(412, ask(&t, "POST", F "/versions", "", "{\"RevisionId\":\"old\"}", "PreconditionFailedException",
                           NULL));
        CHECK_INT(200, ask(&t, "GET", F "/versions", "MaxItems=2", "", NULL, &json));
        json_t *list = json_object_get(json, "Versions");
        CHECK_INT(2, json_array_size(list));
        CHECK_TEXT("$LATEST", test_text(json_array_get(list, 0), "Version"));
        CHECK_TEXT("2", test_text(json, "NextMarker"));
        json_decref(json);
        CHECK_INT(200, ask(&t, "GET", F "/versions", "Marker=2", "", NULL, &json));
        CHECK_INT(1, json_array_size(json_object_get(json, "Versions")));
        CHECK(!json_object_get(json, "NextMarker"));
        json_decref(json);
        CHECK_INT(200, ask(&t, "GET", F "/configuration", "Qualifier=1", "", NULL, &json));
        CHECK(test_int(json, "MemorySize") != 777);
        json_decref(json);
        CHECK_INT(404, ask(&t, "GET", F "/configuration", "Qualifier=9", "", "ResourceNotFoundException", NULL));
        CHECK_INT(404, ask(&t, "POST", F ":9/invocations", "", "{}", "ResourceNotFoundException", NULL));
        test_sim_done(&t);
}

TEST(aliases_move_under_their_revision_and_refuse_what_lambda_refuses)
{
        static const struct {
                const char *body, *code;
                int status;
        } bad[] = {
                {"{\"Name\":\"2024\",\"FunctionVersion\":\"1\"}", "ValidationException", 400},
                {"{\"Name\":\"a\"}", "ValidationException", 400},
                {"{\"Name\":\"a\",\"FunctionVersion\":\"9\"}", "ResourceNotFoundException", 404},
                {"{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", "ResourceConflictException", 409},
#define ROUTED(version, weights)                                                                                     \
        "{\"Name\":\"a\",\"FunctionVersion\":\"" version                                                             \
        "\",\"RoutingConfig\":{\"AdditionalVersionWeights\":{" weights "}}}"
                {ROUTED("1", "\"1\":0.1"), "InvalidParameterValueException", 400},
                {ROUTED("1", "\"2\":0.1,\"3\":0.1"), "InvalidParameterValueException", 400},
                {ROUTED("1", "\"2\":1.1"), "ValidationException", 400},
                {ROUTED("1", "\"2\":\"x\""), "ValidationException", 400},
                {ROUTED("1", "\"7\":0.5"), "ResourceNotFoundException", 404},
                {ROUTED("$LATEST", "\"2\":0.5"), "InvalidParameterValueException", 400},
                {"[", "InvalidRequestContentException", 400},
        };
        struct test_sim t;
        json_t *json;
        char body[200], revision[64];
        test_sim_init(&t);
        publish_two(&t);
        CHECK_INT(201,
                  ask(&t, "POST", F "/aliases", "", "{\"Name\":\"live\",\"FunctionVersion\":\"1\"}", NULL, &json));
        snprintf(revision, sizeof revision, "%s", test_text(json, "RevisionId"));
        CHECK(!json_object_get(json, "RoutingConfig"));
        json_decref(json);
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                CHECK_INT(bad[i].status, ask(&t, "POST", F "/aliases", "", bad[i].body, bad[i].code, NULL));
        snprintf(body, sizeof body,
                 "{\"RoutingConfig\":{\"AdditionalVersionWeights\":{\"2\":0.25}},\"RevisionId\":\"%s\"}", revision);
        CHECK_INT(200, ask(&t, "PUT", F "/aliases/live", "", body, NULL, &json));
        CHECK_NEAR(0.25,
                   json_number_value(json_object_get(
                           json_object_get(json_object_get(json, "RoutingConfig"), "AdditionalVersionWeights"), "2")),
                   0);
        CHECK(strcmp(revision, test_text(json, "RevisionId")));
        json_decref(json);
        CHECK_INT(412, ask(&t, "PUT", F "/aliases/live", "", body, "PreconditionFailedException", NULL));
        int second = 0;
        for (int i = 0; i < 400; i++) {
                struct aws_call c;
                t.clock.time_us += 20 * VN_US_PER_S;
                aws_call(&t, &c, "lambda", "POST", F ":live/invocations", "", "{}", NULL, NULL);
                CHECK_INT(200, c.response.status);
                second += !strcmp("2", test_response_header(&c.response, "x-amz-executed-version"));
                aws_end(&c);
        }
        CHECK(second > 60 && second < 140); /* 100, and 4.6 standard deviations on either side */
        CHECK_INT(200, ask(&t, "PUT", F "/aliases/live", "", "{\"RoutingConfig\":{}}", NULL, &json));
        CHECK(!json_object_get(json, "RoutingConfig"));
        json_decref(json);
        CHECK_INT(200, ask(&t, "GET", F "/aliases", "", "", NULL, &json));
        CHECK_INT(1, json_array_size(json_object_get(json, "Aliases")));
        json_decref(json);
        CHECK_INT(404, ask(&t, "GET", F "/aliases/none", "", "", "ResourceNotFoundException", NULL));
        CHECK_INT(204, ask(&t, "DELETE", F "/aliases/live", "", "", NULL, NULL));
        CHECK_INT(404, ask(&t, "GET", F "/aliases/live", "", "", "ResourceNotFoundException", NULL));
        test_sim_done(&t);
}

TEST(reserved_concurrency_limits_stops_and_leaves_the_account_its_hundred)
{
        struct test_sim t;
        json_t *json;
        test_sim_init(&t);
        CHECK_INT(200, ask(&t, "GET", CONCURRENCY, "", "", NULL, &json));
        CHECK_INT(0, json_object_size(json));
        json_decref(json);
        CHECK_INT(400, ask(&t, "PUT", CONCURRENCY_2017, "", "{\"ReservedConcurrentExecutions\":901}",
                           "InvalidParameterValueException", NULL));
        CHECK_INT(400, ask(&t, "PUT", CONCURRENCY_2017, "", "{\"ReservedConcurrentExecutions\":-1}",
                           "ValidationException", NULL));
        CHECK_INT(400, ask(&t, "PUT", "/2017-10-31/functions/fn-02:1/concurrency", "",
                           "{\"ReservedConcurrentExecutions\":1}", "InvalidParameterValueException", NULL));
        CHECK_INT(200, ask(&t, "PUT", CONCURRENCY_2017, "", "{\"ReservedConcurrentExecutions\":1}", NULL, NULL));
        CHECK_INT(200, ask(&t, "GET", "/2016-08-19/account-settings", "", "", NULL, &json));
        CHECK_INT(999, test_int(json_object_get(json, "AccountLimit"), "UnreservedConcurrentExecutions"));
        json_decref(json);
        CHECK_INT(200, ask(&t, "POST", F "/invocations", "", "{}", NULL, NULL));
        CHECK_INT(429,
                  ask(&t, "POST", F "/invocations", "", "{}", "TooManyRequestsException", &json)); /* one at once */
        CHECK_TEXT("ReservedFunctionConcurrentInvocationLimitExceeded", test_text(json, "Reason"));
        json_decref(json);
        CHECK_INT(200, ask(&t, "PUT", CONCURRENCY_2017, "", "{\"ReservedConcurrentExecutions\":0}", NULL, NULL));
        t.clock.time_us += VN_US_PER_HOUR;
        CHECK_INT(429, ask(&t, "POST", F "/invocations", "", "{}", "TooManyRequestsException", NULL));
        CHECK_INT(200, ask(&t, "GET", F, "", "", NULL, &json));
        CHECK_INT(0, test_int(json_object_get(json, "Concurrency"), "ReservedConcurrentExecutions"));
        json_decref(json);
        CHECK_INT(204, ask(&t, "DELETE", CONCURRENCY_2017, "", "", NULL, NULL));
        CHECK_INT(200, ask(&t, "POST", F "/invocations", "", "{}", NULL, NULL));
        test_sim_done(&t);
}

#define PROVISION(n) "{\"ProvisionedConcurrentExecutions\":" n "}"

TEST(provisioned_concurrency_takes_its_time_and_ends_cold_starts)
{
        struct test_sim t;
        json_t *json;
        test_sim_init(&t);
        CHECK_INT(404, ask(&t, "PUT", WARM, "Qualifier=live", PROVISION("2"), "ResourceNotFoundException", NULL));
        CHECK_INT(400,
                  ask(&t, "PUT", WARM, "Qualifier=$LATEST", PROVISION("2"), "InvalidParameterValueException", NULL));
        publish_two(&t);
        CHECK_INT(404,
                  ask(&t, "GET", WARM, "Qualifier=1", "", "ProvisionedConcurrencyConfigNotFoundException", NULL));
        CHECK_INT(400, ask(&t, "PUT", WARM, "Qualifier=1", PROVISION("0"), "ValidationException", NULL));
        CHECK_INT(400, ask(&t, "PUT", WARM, "Qualifier=1", PROVISION("950"), "InvalidParameterValueException", NULL));
        CHECK_INT(202, ask(&t, "PUT", WARM, "Qualifier=1", PROVISION("2"), NULL, &json));
        CHECK_TEXT("IN_PROGRESS", test_text(json, "Status"));
        CHECK_INT(0, test_int(json, "AllocatedProvisionedConcurrentExecutions"));
        json_decref(json);
        CHECK_INT(400, ask(&t, "PUT", CONCURRENCY_2017, "", "{\"ReservedConcurrentExecutions\":1}",
                           "InvalidParameterValueException", NULL));
        t.clock.time_us += 10 * VN_US_PER_S;
        CHECK_INT(200, ask(&t, "GET", WARM, "Qualifier=1", "", NULL, &json));
        CHECK_TEXT("READY", test_text(json, "Status"));
        json_decref(json);
        CHECK_INT(200, ask(&t, "GET", WARM, "List=ALL", "", NULL, &json));
        CHECK_INT(1, json_array_size(json_object_get(json, "ProvisionedConcurrencyConfigs")));
        json_decref(json);
        CHECK_INT(200, ask(&t, "POST", F ":1/invocations", "", "{}", NULL, NULL));
        CHECK_INT(0, t.sim->functions[2].cold);
        CHECK_INT(204, ask(&t, "DELETE", WARM, "Qualifier=1", "", NULL, NULL));
        t.clock.time_us += 24 * VN_US_PER_HOUR;
        CHECK_INT(200, ask(&t, "POST", F ":1/invocations", "", "{}", NULL, NULL));
        CHECK_INT(1, t.sim->functions[2].cold);
        test_sim_done(&t);
}

TEST(asynchronous_calls_are_taken_even_when_the_function_is_stopped)
{
        struct test_sim t;
        struct aws_call c;
        test_sim_init(&t);
        CHECK_INT(200, ask(&t, "PUT", CONCURRENCY_2017, "", "{\"ReservedConcurrentExecutions\":0}", NULL, NULL));
        aws_call(&t, &c, "lambda", "POST", F "/invocations", "", "{}", "x-amz-invocation-type", "Event");
        CHECK_INT(202, c.response.status);
        aws_end(&c);
        aws_call(&t, &c, "lambda", "POST", F "/invocations", "", "{}", "x-amz-invocation-type", "DryRun");
        CHECK_INT(204, c.response.status);
        aws_end(&c);
        CHECK_INT(0, t.sim->functions[2].invocations);
        test_sim_done(&t);
}
