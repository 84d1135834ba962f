/* gcp_test.c - GCP on the wire without a server, and the control API. */
#include "sim/sim_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "base/hash.h"

struct gcp_call {
        struct test_request request;
        struct vn_sim_response response;
};

static void call(struct test_sim *t, struct gcp_call *c, const char *token, const char *host, const char *verb,
                 const char *path, const char *query, const char *body)
{
        char bearer[4096];
        test_request_init(&c->request, verb, path, query, body);
        test_request_header(&c->request, "host", host ? host : "localhost:1");
        snprintf(bearer, sizeof bearer, "Bearer %s", token ? token : "");
        if (token)
                test_request_header(&c->request, "authorization", bearer);
        vn_sim_response_init(&c->response);
        vn_sim_gcp(t->sim, &c->request.wire, &c->response);
}

static void end(struct gcp_call *c)
{
        vn_sim_response_done(&c->response);
}

/* A JWT with these claims, signed with the account's private key. */
static void sign_jwt(const struct test_sim *t, const char *claims, struct vn_buf *ret)
{
        static const char header[] = "{\"alg\":\"RS256\",\"typ\":\"JWT\"}";
        unsigned char signature[512];
        size_t n = sizeof signature;
        vn_buf_base64url(ret, header, sizeof header - 1);
        vn_buf_char(ret, '.');
        vn_buf_base64url(ret, claims, strlen(claims));
        BIO *bio = BIO_new_mem_buf(t->sim->accounts[4].private_pem, -1);
        EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        CHECK(key && EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(context, signature, &n, (const unsigned char *)ret->ptr, ret->len) == 1);
        EVP_MD_CTX_free(context);
        EVP_PKEY_free(key);
        BIO_free(bio);
        vn_buf_char(ret, '.');
        vn_buf_base64url(ret, signature, n);
}

/* Exchanges an assertion; the status is returned and the token, if any, put into `ret`. */
static int exchange(struct test_sim *t, const char *extra, int64_t shift_s, char ret[4000])
{
        VN_AUTO(vn_buf)
        body = VN_BUF_INIT(16384);
        char claims[1000];
        struct gcp_call c;
        long long now_s = t->clock.time_us / VN_US_PER_S + shift_s;
        snprintf(claims, sizeof claims,
                 "{\"iss\":\"%s\",\"aud\":\"https://oauth2.googleapis.com/token\",\"iat\":%lld,\"exp\":%lld,%s}",
                 t->sim->accounts[4].key_id, now_s, now_s + 3600, extra);
        vn_buf_text(&body, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer&assertion=");
        VN_AUTO(vn_buf)
        jwt = VN_BUF_INIT(8192);
        sign_jwt(t, claims, &jwt);
        vn_buf_str(&body, vn_buf_view(&jwt));
        call(t, &c, NULL, NULL, "POST", "/token", "", body.ptr);
        json_t *json = test_json(&c.response);
        const char *token =
                test_text(json, "id_token")[0] ? test_text(json, "id_token") : test_text(json, "access_token");
        snprintf(ret, 4000, "%s", token);
        json_decref(json);
        int status = c.response.status;
        end(&c);
        return status;
}

static void function_path(const struct test_sim *t, const char *rest, char ret[300])
{
        snprintf(ret, 300, "/v2/projects/%s/locations/%s", t->sim->accounts[4].id, rest);
}

#define SCOPE "\"scope\":\"https://www.googleapis.com/auth/cloud-platform\""

TEST(assertions_are_checked)
{
        struct test_sim t;
        char token[4000], path[300];
        struct gcp_call c;
        test_sim_init(&t);
        CHECK_INT(200, exchange(&t, SCOPE, 0, token));
        function_path(&t, "-/functions", path);
        call(&t, &c, token, NULL, "GET", path, "pageSize=7", "");
        CHECK_INT(200, c.response.status);
        json_t *json = test_json(&c.response);
        CHECK_INT(7, json_array_size(json_object_get(json, "functions")));
        CHECK_TEXT("7", test_text(json, "nextPageToken"));
        json_decref(json);
        end(&c);
        char waste[4000];
        CHECK_INT(400, exchange(&t, SCOPE, -7200, waste));                          /* old */
        CHECK_INT(400, exchange(&t, SCOPE, 7200, waste));                           /* of the future */
        CHECK_INT(400, exchange(&t, "\"x\":1", 0, waste));                          /* neither scope nor audience */
        CHECK_INT(400, exchange(&t, SCOPE ",\"target_audience\":\"x\"", 0, waste)); /* both */
        t.clock.time_us += 3700 * VN_US_PER_S;
        call(&t, &c, token, NULL, "GET", path, "", "");
        CHECK_INT(401, c.response.status);
        end(&c);
        test_sim_done(&t);
}

TEST(memory_is_patched_by_an_operation)
{
        struct test_sim t;
        struct gcp_call c;
        char token[4000], path[300], operation[300];
        uint32_t f = 0;
        test_sim_init(&t);
        CHECK_INT(200, exchange(&t, SCOPE, 0, token));
        while (t.sim->demo->deployments[vn_demo_deployment(t.sim->demo, 4, f)].vcpu > 0)
                f++;
        char rest[80];
        snprintf(rest, sizeof rest, "us-central1/functions/fn-%02u", f);
        function_path(&t, rest, path);
        call(&t, &c, token, NULL, "PATCH", path, "updateMask=serviceConfig.availableMemory",
             "{\"serviceConfig\":{\"availableMemory\":\"4Gi\"}}");
        CHECK_INT(200, c.response.status);
        json_t *json = test_json(&c.response);
        CHECK(json_is_false(json_object_get(json, "done")));
        CHECK(test_text(json_object_get(json, "metadata"), "@type")[0]);
        snprintf(operation, sizeof operation, "/v2/%s", test_text(json, "name"));
        json_decref(json);
        end(&c);
        call(&t, &c, token, NULL, "PATCH", path, "updateMask=service_config.available_memory",
             "{\"serviceConfig\":{\"availableMemory\":\"2Gi\"}}");
        CHECK_INT(409, c.response.status);
        end(&c);
        t.clock.time_us += 61 * VN_US_PER_S;
        call(&t, &c, token, NULL, "GET", operation, "", "");
        json = test_json(&c.response);
        CHECK(json_is_true(json_object_get(json, "done")));
        CHECK_TEXT("4096Mi",
                   test_text(json_object_get(json_object_get(json, "response"), "serviceConfig"), "availableMemory"));
        json_decref(json);
        end(&c);
        static const char *const bad[][2] = {
                {"", "{}"},
                {"updateMask=*", "{}"},
                {"updateMask=serviceConfig.availableMemory", "{\"serviceConfig\":{\"availableMemory\":\"12\"}}"},
                {"updateMask=serviceConfig.availableMemory", "{"},
                {"updateMask=serviceConfig.availableMemory", "{}"}};
        for (size_t i = 0; i < 5; i++) {
                call(&t, &c, token, NULL, "PATCH", path, bad[i][0], bad[i][1]);
                CHECK_INT(400, c.response.status);
                end(&c);
        }
        function_path(&t, "-/services", path);
        call(&t, &c, token, NULL, "GET", path, "", "");
        CHECK_INT(400, c.response.status); /* Cloud Run takes no wildcard */
        end(&c);
        test_sim_done(&t);
}

TEST(invocations_need_an_id_token_and_reach_logs_and_metrics)
{
        struct test_sim t;
        struct gcp_call c;
        char token[4000], id[4000], host[96], extra[200], body[600], path[300];
        test_sim_init(&t);
        vn_sim_gcp_host(t.sim, vn_demo_deployment(t.sim->demo, 4, 3), host);
        snprintf(extra, sizeof extra, "\"target_audience\":\"https://%s\"", host);
        CHECK_INT(200, exchange(&t, SCOPE, 0, token));
        CHECK_INT(200, exchange(&t, extra, 0, id));
        call(&t, &c, token, host, "POST", "/", "", "{}");
        CHECK_INT(401, c.response.status); /* an access token is no ID token */
        end(&c);
        for (int i = 0; i < 3; i++) {
                t.clock.time_us += 61 * VN_US_PER_S;
                call(&t, &c, id, host, "POST", "/", "", "{}");
                CHECK_INT(200, c.response.status);
                end(&c);
        }
        const char *project = t.sim->accounts[4].id;
        snprintf(body, sizeof body,
                 "{\"resourceNames\":[\"projects/%s\"],\"filter\":\"resource.type=\\\"cloud_run_revision\\\" AND "
                 "logName=\\\"projects/%s/logs/"
                 "run.googleapis.com%%2Frequests\\\" AND "
                 "timestamp>=\\\"2027-01-15T08:00:00Z\\\"\",\"orderBy\":\"timestamp asc\",\"pageSize\":2}",
                 project, project);
        call(&t, &c, token, NULL, "POST", "/v2/entries:list", "", body);
        CHECK_INT(200, c.response.status);
        json_t *json = test_json(&c.response);
        CHECK_INT(2, json_array_size(json_object_get(json, "entries")));
        CHECK_TEXT("2", test_text(json, "nextPageToken"));
        json_decref(json);
        end(&c);
        snprintf(path, sizeof path, "/v3/projects/%s/timeSeries", project);
        call(&t, &c, token, NULL, "GET", path,
             "filter=metric.type%3D%22run.googleapis.com%2Frequest_count%22%20AND%20resource.labels.service_name%3D%"
             "22fn-03%22&"
             "interval.startTime=2027-01-15T08:00:00Z&interval.endTime=2027-01-15T09:00:00Z&aggregation."
             "alignmentPeriod=60s&"
             "aggregation.perSeriesAligner=ALIGN_SUM",
             "");
        CHECK_INT(200, c.response.status);
        json = test_json(&c.response);
        json_t *points = json_object_get(json_array_get(json_object_get(json, "timeSeries"), 0), "points");
        CHECK_INT(3, json_array_size(points));
        CHECK_TEXT("1", test_text(json_object_get(json_array_get(points, 0), "value"), "int64Value"));
        json_decref(json);
        end(&c);
        call(&t, &c, token, NULL, "GET", path, "filter=nonsense", "");
        CHECK_INT(400, c.response.status);
        end(&c);
        test_sim_done(&t);
}

TEST(the_catalog_has_free_tiers)
{
        struct test_sim t;
        struct gcp_call c;
        char token[4000];
        test_sim_init(&t);
        CHECK_INT(200, exchange(&t, SCOPE, 0, token));
        call(&t, &c, token, NULL, "GET", "/v1/services/152E-C115-5142/skus", "currencyCode=USD", "");
        CHECK_INT(200, c.response.status);
        CHECK(strstr(c.response.body.ptr, "\"startUsageAmount\":180000.0") &&
              strstr(c.response.body.ptr, "\"nanos\":24000"));
        end(&c);
        call(&t, &c, token, NULL, "GET", "/v1/services/6F81-5844-456A/skus", "", "");
        CHECK_INT(404, c.response.status);
        end(&c);
        test_sim_done(&t);
}

static int control(struct test_sim *t, const char *token, const char *verb, const char *path, const char *body,
                   json_t **ret)
{
        struct test_request r;
        struct vn_sim_response response;
        char bearer[200];
        test_request_init(&r, verb, path, "", body);
        snprintf(bearer, sizeof bearer, "Bearer %s", token);
        test_request_header(&r, "authorization", bearer);
        vn_sim_response_init(&response);
        vn_sim_control(t->sim, &r.wire, &response);
        if (ret)
                *ret = test_json(&response);
        int status = response.status;
        vn_sim_response_done(&response);
        return status;
}

/* Property: what went to one account alone, at first sizes, costs in the replay what the ledger says. */
TEST(a_replay_alone_repeats_the_ledger_to_the_bit)
{
        struct test_sim t;
        json_t *ledger, *alone;
        struct vn_rng rng;
        test_sim_init(&t);
        vn_rng_seed(&rng, test_seed());
        const char *key = t.sim->control_token;
        CHECK_INT(200, control(&t, key, "POST", "/control/latency",
                               "{\"cloud\":\"aws\",\"factor\":2,\"seconds\":600}", NULL));
        for (int i = 0; i < 400; i++) {
                struct test_request r;
                struct vn_sim_response response;
                struct vn_platform_outcome out;
                t.clock.time_us += (int64_t)vn_rng_below(&rng, 20 * VN_US_PER_S);
                test_request_init(&r, "POST", "/", "", "{\"payload\":true}");
                vn_sim_response_init(&response);
                vn_sim_invoke(t.sim, vn_demo_deployment(t.sim->demo, 0, (uint32_t)vn_rng_below(&rng, 40)), &r.wire,
                              &response, &out);
                vn_sim_response_done(&response);
        }
        CHECK_INT(200, control(&t, key, "GET", "/control/ledger", "", &ledger));
        CHECK_INT(200, control(&t, key, "POST", "/control/alone", "{\"cloud\":\"aws\"}", &alone));
        json_t *mine = !strcmp(test_text(alone, "account"), "aws-a") ? alone : json_object_get(alone, "other");
        json_t *total = json_object_get(ledger, "total");
        CHECK_INT(400, test_int(total, "invocations"));
        CHECK_NEAR(json_number_value(json_object_get(total, "cost_usd")),
                   json_number_value(json_object_get(mine, "cost_usd")), 1e-12);
        CHECK_NEAR(json_number_value(json_object_get(total, "p95_ms")),
                   json_number_value(json_object_get(mine, "p95_ms")), 1e-9);
        json_decref(ledger);
        json_decref(alone);
        test_sim_done(&t);
}

TEST(control_is_for_its_token_and_tells_no_constants)
{
        struct test_sim t;
        test_sim_init(&t);
        const char *key = t.sim->control_token;
        CHECK_INT(401, control(&t, "wrong", "GET", "/control/ledger", "", NULL));
        CHECK_INT(403, control(&t, key, "GET", "/control/hidden", "", NULL));
        CHECK_INT(404, control(&t, key, "GET", "/control/else", "", NULL));
        CHECK_INT(404,
                  control(&t, key, "POST", "/control/outage", "{\"cloud\":\"ibm\",\"share\":1,\"seconds\":5}", NULL));
        CHECK_INT(400,
                  control(&t, key, "POST", "/control/outage", "{\"cloud\":\"aws\",\"share\":2,\"seconds\":5}", NULL));
        CHECK_INT(400, control(&t, key, "POST", "/control/price", "{\"factor\":2}", NULL));
        CHECK_INT(400, control(&t, key, "POST", "/control/alone", "{}", NULL));
        CHECK_INT(200, control(&t, key, "POST", "/control/outage",
                               "{\"account\":\"aws-b\",\"share\":1,\"seconds\":5}", NULL));
        struct test_request r;
        struct vn_sim_response response;
        struct vn_platform_outcome out;
        for (uint32_t account = 0; account < 2; account++) {
                test_request_init(&r, "POST", "/", "", "{}");
                vn_sim_response_init(&response);
                CHECK((vn_sim_invoke(t.sim, vn_demo_deployment(t.sim->demo, account, 0), &r.wire, &response, &out) ==
                       NULL) == (account == 1));
                vn_sim_response_done(&response);
        }
        test_sim_done(&t);
}
