/* azure_test.c - Azure on the wire without a server. */
#include "sim/sim_test.h"

struct azure_call {
        struct test_request request;
        struct vn_sim_response response;
};

static void call(struct test_sim *t, struct azure_call *c, const char *token, const char *verb, const char *path,
                 const char *query, const char *body)
{
        char bearer[4096];
        test_request_init(&c->request, verb, path, query, body);
        test_request_header(&c->request, "host", "localhost:1");
        snprintf(bearer, sizeof bearer, "Bearer %s", token ? token : "");
        if (token)
                test_request_header(&c->request, "authorization", bearer);
        vn_sim_response_init(&c->response);
        vn_sim_azure(t->sim, &c->request.wire, &c->response);
}

static void end(struct azure_call *c)
{
        vn_sim_response_done(&c->response);
}

static void get_token(struct test_sim *t, const char *scope, char ret[4000])
{
        const struct vn_sim_account *a = &t->sim->accounts[2];
        struct azure_call c;
        char path[100], body[600];
        snprintf(path, sizeof path, "/%s/oauth2/v2.0/token", a->tenant);
        snprintf(body, sizeof body, "client_id=%s&client_secret=%s&grant_type=client_credentials&scope=%s", a->key_id,
                 a->secret, scope);
        call(t, &c, NULL, "POST", path, "", body);
        CHECK_INT(200, c.response.status);
        json_t *json = test_json(&c.response);
        snprintf(ret, 4000, "%s", test_text(json, "access_token"));
        json_decref(json);
        end(&c);
}

#define ARM "https%3A%2F%2Fmanagement.azure.com%2F.default"
#define V "api-version=2025-05-01"

static void site_path(const struct test_sim *t, const char *rest, char ret[300])
{
        snprintf(ret, 300, "/subscriptions/%s/resourceGroups/vane-demo/providers/Microsoft.Web/sites%s",
                 t->sim->accounts[2].id, rest);
}

TEST(tokens_are_given_for_the_right_secret_only)
{
        struct test_sim t;
        struct azure_call c;
        char path[100], body[300];
        test_sim_init(&t);
        const struct vn_sim_account *a = &t.sim->accounts[2];
        static const struct {
                const char *form, *error;
                int status;
        } cases[] = {{"grant_type=password", "unsupported_grant_type", 400},
                     {"grant_type=client_credentials&client_id=nobody", "unauthorized_client", 400}};
        snprintf(path, sizeof path, "/%s/oauth2/v2.0/token", a->tenant);
        for (size_t i = 0; i < 2; i++) {
                call(&t, &c, NULL, "POST", path, "", cases[i].form);
                json_t *json = test_json(&c.response);
                CHECK_INT(cases[i].status, c.response.status);
                CHECK_TEXT(cases[i].error, test_text(json, "error"));
                json_decref(json);
                end(&c);
        }
        snprintf(body, sizeof body, "grant_type=client_credentials&client_id=%s&client_secret=wrong&scope=%s",
                 a->key_id, ARM);
        call(&t, &c, NULL, "POST", path, "", body);
        CHECK_INT(401, c.response.status);
        CHECK(strstr(c.response.body.ptr, "AADSTS7000215"));
        end(&c);
        snprintf(body, sizeof body, "grant_type=client_credentials&client_id=%s&client_secret=%s&scope=x", a->key_id,
                 a->secret);
        call(&t, &c, NULL, "POST", path, "", body);
        CHECK_INT(400, c.response.status);
        end(&c);
        call(&t, &c, NULL, "POST", "/00000000-0000-0000-0000-000000000000/oauth2/v2.0/token", "", body);
        CHECK(strstr(c.response.body.ptr, "AADSTS90002"));
        end(&c);
        test_sim_done(&t);
}

TEST(bearer_tokens_expire_and_hold_for_one_audience)
{
        struct test_sim t;
        struct azure_call c;
        char token[4000], other[4000], path[300];
        test_sim_init(&t);
        get_token(&t, ARM, token);
        get_token(&t, "https%3A%2F%2Fapi.loganalytics.io%2F.default", other);
        site_path(&t, "/fn-00", path);
        call(&t, &c, token, "GET", path, V, "");
        CHECK_INT(200, c.response.status);
        end(&c);
        call(&t, &c, other, "GET", path, V, "");
        CHECK_INT(401, c.response.status);
        end(&c);
        call(&t, &c, NULL, "GET", path, V, "");
        CHECK_INT(401, c.response.status);
        CHECK(test_response_header(&c.response, "www-authenticate")[0]);
        end(&c);
        call(&t, &c, token, "GET", path, "", ""); /* no api-version */
        CHECK_INT(400, c.response.status);
        end(&c);
        t.clock.time_us += 3700 * VN_US_PER_S;
        call(&t, &c, token, "GET", path, V, "");
        CHECK_INT(401, c.response.status);
        CHECK(strstr(c.response.body.ptr, "ExpiredAuthenticationToken"));
        end(&c);
        test_sim_done(&t);
}

TEST(a_flex_site_is_replaced_by_a_long_running_put)
{
        struct test_sim t;
        struct azure_call c;
        char token[4000], path[300], name[32], body[400], operation[300];
        uint32_t f = 0;
        test_sim_init(&t);
        get_token(&t, ARM, token);
        while (!vn_sim_azure_flex(t.sim, vn_demo_deployment(t.sim->demo, 2, f)))
                f++;
        snprintf(name, sizeof name, "/fn-%02u", f);
        site_path(&t, name, path);
        uint32_t wanted = vn_sim_memory(t.sim, vn_demo_deployment(t.sim->demo, 2, f)) == 4096 ? 512 : 4096;
        snprintf(body, sizeof body,
                 "{\"location\":\"eastus\",\"properties\":{\"functionAppConfig\":{\"scaleAndConcurrency\":"
                 "{\"instanceMemoryMB\":%u}}}}",
                 wanted);
        call(&t, &c, token, "PUT", path, V, body);
        CHECK_INT(202, c.response.status);
        const char *url = test_response_header(&c.response, "azure-asyncoperation");
        CHECK(!strncmp(url, "https://localhost:1/subscriptions/", 34));
        snprintf(operation, sizeof operation, "%.*s", (int)strcspn(url + 19, "?"), url + 19);
        end(&c);
        call(&t, &c, token, "GET", operation, V, "");
        CHECK(strstr(c.response.body.ptr, "InProgress"));
        end(&c);
        call(&t, &c, token, "PUT", path, V, body);
        CHECK_INT(409, c.response.status);
        end(&c);
        t.clock.time_us += 30 * VN_US_PER_S;
        call(&t, &c, token, "GET", operation, V, "");
        CHECK(strstr(c.response.body.ptr, "Succeeded"));
        end(&c);
        CHECK_INT(wanted,
                  vn_platform_memory(t.sim->platform, vn_demo_deployment(t.sim->demo, 2, f), t.clock.time_us));
        static const char *const bad[] = {"", "{}", "{\"location\":\"x\",\"properties\":{}}",
                                          ("{\"location\":\"x\",\"properties\":{\"functionAppConfig\":{"
                                           "\"scaleAndConcurrency\":{\"instanceMemoryMB\":1000}}}}")};
        for (size_t i = 0; i < 4; i++) {
                call(&t, &c, token, "PUT", path, V, bad[i]);
                CHECK_INT(400, c.response.status);
                end(&c);
        }
        test_sim_done(&t);
}

/* Invokes fn-`f` of azure-a with the key that ARM lists; returns the status. */
static int invoke(struct test_sim *t, uint32_t f, const char *key)
{
        struct azure_call c;
        char host[96], path[32];
        vn_sim_azure_host(t->sim, vn_demo_deployment(t->sim->demo, 2, f), host);
        snprintf(path, sizeof path, "/api/fn-%02u", f);
        test_request_init(&c.request, "POST", path, "", "{}");
        test_request_header(&c.request, "host", host);
        test_request_header(&c.request, "x-functions-key", key);
        vn_sim_response_init(&c.response);
        vn_sim_azure(t->sim, &c.request.wire, &c.response);
        int status = c.response.status;
        CHECK((status == 200) == (test_response_header(&c.response, "x-vane-sim-elapsed-us")[0] != 0));
        end(&c);
        return status;
}

TEST(invocations_need_the_key_and_reach_queries_and_metrics)
{
        struct test_sim t;
        struct azure_call c;
        char token[4000], arm[4000], path[300], query[400], key[64];
        test_sim_init(&t);
        get_token(&t, ARM, arm);
        get_token(&t, "https%3A%2F%2Fapi.loganalytics.io%2F.default", token);
        site_path(&t, "/fn-01/host/default/listkeys", path);
        call(&t, &c, arm, "POST", path, V, "");
        json_t *json = test_json(&c.response);
        snprintf(key, sizeof key, "%s", test_text(json, "masterKey"));
        json_decref(json);
        end(&c);
        CHECK_INT(401, invoke(&t, 1, "wrong"));
        for (int i = 0; i < 4; i++) {
                t.clock.time_us += 61 * VN_US_PER_S;
                CHECK_INT(200, invoke(&t, 1, key));
        }
        snprintf(path, sizeof path, "/v1/workspaces/%s/query", t.sim->accounts[2].workspace);
        snprintf(query, sizeof query,
                 "{\"query\":\"AppRequests | where AppRoleName == \\\"fn-01\\\" | order by TimeGenerated asc | take "
                 "3 | project TimeGenerated, DurationMs\",\"workspaces\":null}");
        call(&t, &c, token, "POST", path, "", query);
        CHECK_INT(200, c.response.status);
        json = test_json(&c.response);
        CHECK_INT(3, json_array_size(json_object_get(json_array_get(json_object_get(json, "tables"), 0), "rows")));
        json_decref(json);
        end(&c);
        call(&t, &c, token, "POST", path, "", "{\"query\":\"AppRequests | nonsense\"}");
        CHECK_INT(400, c.response.status);
        end(&c);
        site_path(&t, "/fn-01/providers/Microsoft.Insights/metrics", path);
        call(&t, &c, arm, "GET", path,
             "api-version=2018-01-01&metricnames=Requests&timespan=2027-01-15T08:00:00Z/"
             "2027-01-15T09:00:00Z&interval=PT1M",
             "");
        CHECK_INT(200, c.response.status);
        double sum = 0;
        json = test_json(&c.response);
        json_t *point, *series = json_array_get(
                               json_object_get(json_array_get(json_object_get(json, "value"), 0), "timeseries"), 0);
        size_t i;
        CHECK_INT(60, json_array_size(json_object_get(series, "data")));
        json_array_foreach(json_object_get(series, "data"), i, point) sum +=
                json_number_value(json_object_get(point, "total"));
        CHECK_NEAR(4, sum, 0);
        json_decref(json);
        end(&c);
        call(&t, &c, arm, "GET", path, "api-version=2018-01-01&metricnames=Nothing", "");
        CHECK_INT(400, c.response.status);
        json = test_json(&c.response);
        CHECK_TEXT("BadRequest", test_text(json, "code")); /* bare, unlike ARM's */
        json_decref(json);
        end(&c);
        test_sim_done(&t);
}

TEST(retail_prices_need_no_token_and_carry_the_grant_as_a_tier)
{
        struct test_sim t;
        struct azure_call c;
        test_sim_init(&t);
        call(&t, &c, NULL, "GET", "/api/retail/prices",
             "$filter=serviceName%20eq%20'Functions'%20and%20armRegionName%20eq%20'westus'%20and%20meterName%20eq%20'"
             "Standard%20Execution%20Time'",
             "");
        CHECK_INT(200, c.response.status);
        json_t *json = test_json(&c.response), *items = json_object_get(json, "Items");
        CHECK_INT(2, json_array_size(items));
        CHECK_NEAR(0, json_number_value(json_object_get(json_array_get(items, 0), "retailPrice")), 0);
        CHECK_NEAR(400000, json_number_value(json_object_get(json_array_get(items, 1), "tierMinimumUnits")), 0);
        CHECK_NEAR(0.000016, json_number_value(json_object_get(json_array_get(items, 1), "retailPrice")), 1e-12);
        json_decref(json);
        end(&c);
        test_sim_done(&t);
}
