/* aws_test.c - AWS on the wire without a server. */
#include <stdlib.h>

#include "sim/sim_test.h"

#include "base/hash.h"

struct aws_call {
        struct test_request request;
        struct vn_sim_response response;
};

static void sign_with(const struct vn_sigv4_key *a, struct test_request *r, const char *service, int64_t at_us)
{
        VN_AUTO(vn_buf)
        canonical = VN_BUF_INIT(1 << 16);
        uint8_t hash[32], key[32], next[32];
        char date[32], amz[32], hex[65], text[512], first[100];
        vn_time_format(at_us, date);
        snprintf(amz, sizeof amz, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", date, date + 5, date + 8, date + 11, date + 14,
                 date + 17);
        test_request_header(r, "host", "localhost:1");
        test_request_header(r, "x-amz-date", amz);
        vn_sha256(r->wire.body.ptr, r->wire.body.len, hash);
        vn_hex(hash, 32, hex);
        CHECK(vn_sigv4_canonical(&r->wire, VN_STR("host;x-amz-date"), vn_str(hex), false, &canonical));
        vn_sha256(canonical.ptr, canonical.len, hash);
        vn_hex(hash, 32, hex);
        snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", amz, amz, a->region, service,
                 hex);
        snprintf(first, sizeof first, "AWS4%s", a->secret);
        vn_hmac_sha256(vn_str(first), vn_str_n(amz, 8), key);
        vn_hmac_sha256(vn_str_n(key, 32), vn_str(a->region), next);
        vn_hmac_sha256(vn_str_n(next, 32), vn_str(service), key);
        vn_hmac_sha256(vn_str_n(key, 32), VN_STR("aws4_request"), next);
        vn_hmac_sha256(vn_str_n(next, 32), vn_str(text), key);
        vn_hex(key, 32, hex);
        snprintf(
                text, sizeof text,
                "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=host;x-amz-date, Signature=%s",
                a->key_id, amz, a->region, service, hex);
        test_request_header(r, "authorization", text);
}

/* With the account's own key. */
static void sign(const struct test_sim *t, uint32_t account, struct test_request *r, const char *service,
                 int64_t at_us)
{
        const struct vn_sim_account *a = &t->sim->accounts[account];
        const struct vn_sigv4_key key = {a->key_id, a->secret, a->region};
        sign_with(&key, r, service, at_us);
}

static void call(struct test_sim *t, struct aws_call *c, const char *service, const char *verb, const char *path,
                 const char *query, const char *body, const char *header, const char *value)
{
        test_request_init(&c->request, verb, path, query, body);
        if (header)
                test_request_header(&c->request, header, value);
        if (service[0])
                sign(t, 0, &c->request, service, t->clock.time_us);
        vn_sim_response_init(&c->response);
        vn_sim_aws(t->sim, &c->request.wire, &c->response);
}

static void end(struct aws_call *c)
{
        vn_sim_response_done(&c->response);
}

#define FUNCTIONS "/2015-03-31/functions"

TEST(lists_in_pages_of_at_most_fifty)
{
        struct test_sim t;
        struct aws_call c;
        test_sim_init(&t);
        call(&t, &c, "lambda", "GET", FUNCTIONS, "MaxItems=10000", "", NULL, NULL);
        CHECK_INT(200, c.response.status);
        json_t *json = test_json(&c.response);
        CHECK_INT(40, json_array_size(json_object_get(json, "Functions")));
        CHECK(json_is_null(json_object_get(json, "NextMarker")));
        json_decref(json);
        end(&c);
        call(&t, &c, "lambda", "GET", FUNCTIONS, "Marker=fn-38&MaxItems=1", "", NULL, NULL);
        json = test_json(&c.response);
        CHECK_TEXT("fn-38", test_text(json_array_get(json_object_get(json, "Functions"), 0), "FunctionName"));
        CHECK_TEXT("fn-39", test_text(json, "NextMarker"));
        json_decref(json);
        end(&c);
        call(&t, &c, "lambda", "GET", FUNCTIONS, "MaxItems=x", "", NULL, NULL);
        CHECK_INT(400, c.response.status);
        end(&c);
        test_sim_done(&t);
}

TEST(signatures_are_checked_and_refused_with_their_own_codes)
{
        struct test_sim t;
        struct aws_call c;
        test_sim_init(&t);
        call(&t, &c, "", "GET", FUNCTIONS, "", "", NULL, NULL);
        CHECK_INT(403, c.response.status);
        CHECK_TEXT("MissingAuthenticationTokenException", test_response_header(&c.response, "x-amzn-errortype"));
        end(&c);
        test_request_init(&c.request, "GET", FUNCTIONS, "", "");
        sign(&t, 0, &c.request, "lambda", t.clock.time_us);
        c.request.wire.query = VN_STR("MaxItems=3"); /* not what was signed */
        vn_sim_response_init(&c.response);
        vn_sim_aws(t.sim, &c.request.wire, &c.response);
        CHECK_TEXT("InvalidSignatureException", test_response_header(&c.response, "x-amzn-errortype"));
        end(&c);
        test_request_init(&c.request, "POST", "/", "", "{}");
        test_request_header(&c.request, "x-amz-target", "Logs_20140328.FilterLogEvents");
        sign(&t, 0, &c.request, "logs", t.clock.time_us - 400 * VN_US_PER_S);
        vn_sim_response_init(&c.response);
        vn_sim_aws(t.sim, &c.request.wire, &c.response);
        json_t *json = test_json(&c.response);
        CHECK_INT(403, c.response.status);
        CHECK_TEXT("RequestExpired", test_text(json, "__type"));
        json_decref(json);
        end(&c);
        call(&t, &c, "logs", "GET", FUNCTIONS, "", "", NULL, NULL); /* signed for another service */
        CHECK_INT(403, c.response.status);
        end(&c);
        test_sim_done(&t);
}

TEST(memory_changes_under_a_revision_and_settle_by_virtual_time)
{
        struct test_sim t;
        struct aws_call c;
        char revision[64], body[200];
        test_sim_init(&t);
        call(&t, &c, "lambda", "GET", FUNCTIONS "/fn-02/configuration", "", "", NULL, NULL);
        json_t *json = test_json(&c.response);
        snprintf(revision, sizeof revision, "%s", test_text(json, "RevisionId"));
        CHECK_TEXT("Successful", test_text(json, "LastUpdateStatus"));
        json_decref(json);
        end(&c);
        snprintf(body, sizeof body, "{\"MemorySize\":777,\"RevisionId\":\"%s\"}", revision);
        call(&t, &c, "lambda", "PUT", FUNCTIONS "/fn-02/configuration", "", body, NULL, NULL);
        CHECK_INT(200, c.response.status);
        end(&c);
        call(&t, &c, "lambda", "PUT", FUNCTIONS "/fn-02/configuration", "", "{\"MemorySize\":700}", NULL, NULL);
        CHECK_INT(409, c.response.status);
        end(&c);
        t.clock.time_us += 10 * VN_US_PER_S;
        call(&t, &c, "lambda", "GET", FUNCTIONS "/fn-02/configuration", "", "", NULL, NULL);
        json = test_json(&c.response);
        CHECK_INT(777, test_int(json, "MemorySize"));
        CHECK_TEXT("Successful", test_text(json, "LastUpdateStatus"));
        CHECK(strcmp(revision, test_text(json, "RevisionId")));
        json_decref(json);
        end(&c);
        call(&t, &c, "lambda", "PUT", FUNCTIONS "/fn-02/configuration", "", body, NULL, NULL);
        CHECK_INT(412, c.response.status);
        CHECK_TEXT("PreconditionFailedException", test_response_header(&c.response, "x-amzn-errortype"));
        end(&c);
        static const char *const bad[] = {"{\"MemorySize\":127}",
                                          "{\"MemorySize\":10241}",
                                          "{\"MemorySize\":\"x\"}",
                                          "{\"Timeout\":5}",
                                          "[]",
                                          "{",
                                          "{\"MemorySize\":-1}"};
        for (size_t i = 0; i < 7; i++) {
                call(&t, &c, "lambda", "PUT", FUNCTIONS "/fn-02/configuration", "", bad[i], NULL, NULL);
                CHECK_INT(400, c.response.status);
                end(&c);
        }
        test_sim_done(&t);
}

static void invoke(struct test_sim *t, struct aws_call *c, const char *at_us)
{
        test_request_init(&c->request, "POST", FUNCTIONS "/fn-09/invocations", "", "{\"n\":1}");
        if (at_us)
                test_request_header(&c->request, "x-vane-sim-at-us", at_us);
        test_request_header(&c->request, "x-amz-log-type", "Tail");
        sign(t, 0, &c->request, "lambda", t->clock.time_us);
        vn_sim_response_init(&c->response);
        vn_sim_aws(t->sim, &c->request.wire, &c->response);
}

TEST(an_invocation_tells_its_virtual_time_and_reaches_logs_metrics_and_ledger)
{
        struct test_sim t;
        struct aws_call c;
        char body[600];
        test_sim_init(&t);
        for (int i = 0; i < 3; i++) {
                t.clock.time_us += 70 * VN_US_PER_S;
                invoke(&t, &c, NULL);
                CHECK_INT(200, c.response.status);
                CHECK(strtoll(test_response_header(&c.response, "x-vane-sim-elapsed-us"), NULL, 10) > 1000);
                CHECK(test_response_header(&c.response, "x-amz-log-result")[0]);
                end(&c);
        }
        long long from_s = TEST_START_US / VN_US_PER_S;
        snprintf(body, sizeof body,
                 "{\"logGroupName\":\"/aws/lambda/fn-09\",\"filterPattern\":\"REPORT\",\"startTime\":%lld000}",
                 from_s);
        call(&t, &c, "logs", "POST", "/", "", body, "x-amz-target", "Logs_20140328.FilterLogEvents");
        json_t *json = test_json(&c.response);
        CHECK_INT(0, json_array_size(json_object_get(json, "events"))); /* an empty page with a token */
        char token[64];
        snprintf(token, sizeof token, "%s", test_text(json, "nextToken"));
        CHECK(token[0]);
        json_decref(json);
        end(&c);
        snprintf(body, sizeof body,
                 "{\"logGroupName\":\"/aws/lambda/"
                 "fn-09\",\"filterPattern\":\"REPORT\",\"startTime\":%lld000,\"nextToken\":\"%s\"}",
                 from_s, token);
        call(&t, &c, "logs", "POST", "/", "", body, "x-amz-target", "Logs_20140328.FilterLogEvents");
        json = test_json(&c.response);
        CHECK_INT(3, json_array_size(json_object_get(json, "events")));
        CHECK(strstr(test_text(json_array_get(json_object_get(json, "events"), 0), "message"), "Init Duration"));
        CHECK(!strstr(test_text(json_array_get(json_object_get(json, "events"), 1), "message"), "Init Duration"));
        json_decref(json);
        end(&c);
        snprintf(body, sizeof body,
                 "{\"MetricDataQueries\":[{\"Id\":\"calls\",\"MetricStat\":{\"Metric\":{\"Namespace\":\"AWS/"
                 "Lambda\",\"MetricName\":"
                 "\"Invocations\",\"Dimensions\":[{\"Name\":\"FunctionName\",\"Value\":\"fn-09\"}]},\"Period\":60,"
                 "\"Stat\":\"Sum\"}}],"
                 "\"StartTime\":%lld,\"EndTime\":%lld}",
                 from_s, from_s + 3600);
        call(&t, &c, "monitoring", "POST", "/", "", body, "x-amz-target",
             "GraniteServiceVersion20100801.GetMetricData");
        json = test_json(&c.response);
        json_t *result = json_array_get(json_object_get(json, "MetricDataResults"), 0);
        CHECK_INT(3, json_array_size(json_object_get(result, "Values"))); /* a minute without data has no point */
        CHECK(json_integer_value(json_array_get(json_object_get(result, "Timestamps"), 0)) >
              json_integer_value(json_array_get(json_object_get(result, "Timestamps"), 2)));
        json_decref(json);
        end(&c);
        CHECK_INT(3, t.sim->functions[9].invocations);
        test_sim_done(&t);
}

TEST(prices_come_as_json_in_json_with_every_tier)
{
        struct test_sim t;
        struct aws_call c;
        struct vn_err err;
        test_sim_init(&t);
        const char *body = "{\"ServiceCode\":\"AWSLambda\",\"Filters\":[{\"Type\":\"TERM_MATCH\",\"Field\":"
                           "\"regionCode\",\"Value\":\"us-west-2\"}],"
                           "\"FormatVersion\":\"aws_v1\"}";
        test_request_init(&c.request, "POST", "/", "", body);
        test_request_header(&c.request, "x-amz-target", "AWSPriceListService.GetProducts");
        sign(&t, 0, &c.request, "pricing", t.clock.time_us);
        vn_sim_response_init(&c.response);
        vn_sim_aws(t.sim, &c.request.wire, &c.response);
        json_t *json = test_json(&c.response);
        CHECK_INT(2, json_array_size(json_object_get(json, "PriceList")));
        const char *item = json_string_value(json_array_get(json_object_get(json, "PriceList"), 1));
        CHECK(strstr(item, "0.0000166667") && strstr(item, "\"Inf\"") && strstr(item, "6000000000"));
        json_decref(json);
        end(&c);
        struct vn_injection dear = {VN_INJECT_PRICE, 1, t.clock.time_us - 1, t.clock.time_us + VN_US_PER_HOUR, 2};
        CHECK_OK(vn_platform_inject(t.sim->platform, &dear, &err));
        call(&t, &c, "pricing", "POST", "/", "", body, "x-amz-target", "AWSPriceListService.GetProducts");
        CHECK(strstr(c.response.body.ptr, "0.0000333334"));
        end(&c);
        test_sim_done(&t);
}

TEST(sts_answers_in_xml)
{
        struct test_sim t;
        struct aws_call c;
        test_sim_init(&t);
        call(&t, &c, "sts", "POST", "/", "", "Action=GetCallerIdentity&Version=2011-06-15", NULL, NULL);
        CHECK_INT(200, c.response.status);
        CHECK(strstr(c.response.body.ptr, t.sim->accounts[0].id));
        end(&c);
        call(&t, &c, "sts", "POST", "/", "", "Action=Other", NULL, NULL);
        CHECK_INT(400, c.response.status);
        CHECK(strstr(c.response.body.ptr, "<Code>InvalidAction</Code>"));
        end(&c);
        test_sim_done(&t);
}

/* With a session's keys; token NULL: left out. */
static int session_status(struct test_sim *t, const struct vn_sim_session *s, const char *token, const char *service,
                          const char *body, const char *part)
{
        struct aws_call c;
        const struct vn_sigv4_key key = {s->key_id, s->secret, t->sim->accounts[s->account].region};
        bool sts = !strcmp(service, "sts");
        test_request_init(&c.request, sts ? "POST" : "GET", sts ? "/" : FUNCTIONS, "", body);
        if (token)
                test_request_header(&c.request, "x-amz-security-token", token);
        sign_with(&key, &c.request, service, t->clock.time_us);
        vn_sim_response_init(&c.response);
        vn_sim_aws(t->sim, &c.request.wire, &c.response);
        int status = c.response.status;
        CHECK(!part || strstr(c.response.body.ptr, part));
        end(&c);
        return status;
}

static int assume(struct test_sim *t, uint32_t account, const char *role, const char *more, const char *part)
{
        struct aws_call c;
        char body[400];
        snprintf(body, sizeof body, "Action=AssumeRole&Version=2011-06-15&RoleArn=arn:aws:iam::%s:role/%s%s",
                 t->sim->accounts[account].id, role, more);
        call(t, &c, "sts", "POST", "/", "", body, NULL, NULL);
        int status = c.response.status;
        CHECK(strstr(c.response.body.ptr, part));
        end(&c);
        return status;
}

TEST(sts_gives_keys_for_a_role_until_their_end)
{
#define NAME "&RoleSessionName=me"
        struct test_sim t;
        test_sim_init(&t);
        const struct vn_sim_session *s = t.sim->sessions;
        CHECK_INT(400, assume(&t, 1, "vane-agent", "", "ValidationError"));
        CHECK_INT(400, assume(&t, 1, "vane-agent", "&RoleSessionName=a%20b", "ValidationError"));
        CHECK_INT(400, assume(&t, 1, "vane-agent", NAME "&DurationSeconds=60", "ValidationError"));
        CHECK_INT(403, assume(&t, 1, "admin", NAME, "AccessDenied"));
        CHECK_INT(403, assume(&t, 1, "vane-agent-by-id", NAME, "AccessDenied"));
        CHECK(!s->key_id[0]);
        CHECK_INT(200, assume(&t, 1, "vane-agent-by-id", NAME "&ExternalId=vane-sim&DurationSeconds=900", "ASIA"));
        CHECK_INT(1, s->account);
        CHECK_INT(200, session_status(&t, s, s->token, "lambda", "", "fn-00"));
        CHECK_INT(403, session_status(&t, s, NULL, "lambda", "", "invalid"));
        CHECK_INT(403, session_status(&t, s, "other", "lambda", "", "invalid"));
        CHECK_INT(400, session_status(&t, s, s->token, "sts",
                                      "Action=AssumeRole&RoleArn=x" NAME "&DurationSeconds=7200", "role chaining"));
        t.clock.time_us += 901 * VN_US_PER_S;
        CHECK_INT(403, session_status(&t, s, s->token, "lambda", "", "expired"));
        CHECK_INT(403, session_status(&t, s, s->token, "sts", "Action=GetCallerIdentity", "ExpiredToken<"));
        test_sim_done(&t);
}

TEST(hostile_bodies_are_refused)
{
        static const char *const targets[] = {"Logs_20140328.FilterLogEvents",
                                              "GraniteServiceVersion20100801.GetMetricData",
                                              "AWSPriceListService.GetProducts", "Logs_20140328.Nothing"};
        static const char *const services[] = {"logs", "monitoring", "pricing", "logs"};
        static const char *const bodies[] = {
                "",
                "{}",
                "[]",
                "{\"MetricDataQueries\":5}",
                "\xff",
                "{\"ServiceCode\":3}",
                "{\"MetricDataQueries\":[{\"Id\":\"Bad\"}],\"StartTime\":1,\"EndTime\":2}",
                "{\"logGroupName\":\"/aws/lambda/fn-00\",\"nextToken\":\"x\"}"};
        struct test_sim t;
        struct aws_call c;
        test_sim_init(&t);
        for (size_t i = 0; i < 4; i++) {
                for (size_t b = 0; b < sizeof bodies / sizeof bodies[0]; b++) {
                        call(&t, &c, services[i], "POST", "/", "", bodies[b], "x-amz-target", targets[i]);
                        CHECK_INT(400, c.response.status);
                        end(&c);
                }
        }
        test_sim_done(&t);
}

static struct vn_sim_data alloc_data;
static struct vn_clock_fake alloc_clock;

static enum vn_rc make_world(void)
{
        struct vn_sim *sim = NULL;
        VN_TRY(vn_sim_new(&alloc_data.texts, &alloc_clock.clock, 5, &sim, NULL));
        vn_sim_free(sim);
        return VN_OK;
}

TEST(a_world_survives_failing_allocations)
{
        const char *carried = getenv("VANE_DATA_DEFAULT");
        vn_clock_fake_init(&alloc_clock, TEST_START_US);
        CHECK_OK(vn_sim_data_read(getenv("VANE_DATA"), carried ? carried : "tests/data", &alloc_data, NULL));
        TEST_ALLOC_LOOP(make_world);
        vn_sim_data_done(&alloc_data);
}
