/* Who gets credentials without a secret, and whom each of the three clouds refuses. */
#include "sim/identity.h"

#include <stdarg.h>

#include "sim/sim_test.h"

typedef void (*handler)(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);

/* One call of the host's listener or of a cloud: "name: value" headers, NULL at the end. */
static json_t *ask(struct test_sim *t, handler to, int want, const char *verb, const char *path, const char *query,
                   const char *body, ...)
{
        struct test_request r;
        struct vn_sim_response response;
        va_list args;
        json_t *json = NULL;
        test_request_init(&r, verb, path, query, body);
        va_start(args, body);
        for (const char *name = va_arg(args, const char *); name; name = va_arg(args, const char *))
                test_request_header(&r, name, va_arg(args, const char *));
        va_end(args);
        vn_sim_response_init(&response);
        to(t->sim, &r.wire, &response);
        if (response.status != want)
                test_fail(__FILE__, __LINE__, "%s %s: %d, not %d: %.*s", verb, path, response.status, want,
                          VN_FMT(vn_buf_view(&response.body)));
        if (response.body.len && (response.body.ptr[0] == '{'))
                json = test_json(&response);
        else if (response.body.len)
                json = json_stringn(response.body.ptr, response.body.len);
        vn_sim_response_done(&response);
        return json;
}
#define ASK(...) json_decref(ask(__VA_ARGS__))

static json_t *claims(const char *aud, int64_t from_s, int64_t until_s)
{
        return json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "iss", VN_SIM_ISSUER, "sub", VN_SIM_SUBJECT, "aud", aud,
                         "iat", (json_int_t)from_s, "nbf", (json_int_t)from_s, "exp", (json_int_t)until_s);
}

static enum vn_sim_subject check(struct test_sim *t, const char *key, json_t *taken)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        CHECK_OK(vn_token_sign_rs256(key, "k", taken, &token, NULL));
        json_decref(taken);
        return vn_sim_subject_check(t->sim, vn_buf_view(&token), "a");
}

TEST(subjects_are_taken_from_the_issuer_for_the_audience_and_in_time_only)
{
        struct test_sim t;
        char id[48], *stranger, *public_pem;
        VN_AUTO(vn_buf)
        good = VN_BUF_INIT(8192);
        test_sim_init(&t);
        const char *key = vn_sim_identity(t.sim)->issuer_private_pem;
        int64_t now = TEST_START_US / VN_US_PER_S;
        CHECK_INT(VN_SUBJECT_GOOD, check(&t, key, claims("a", now, now + 60)));
        CHECK_INT(VN_SUBJECT_AUDIENCE, check(&t, key, claims("b", now, now + 60)));
        CHECK_INT(VN_SUBJECT_TIME, check(&t, key, claims("a", now - 60, now)));
        CHECK_INT(VN_SUBJECT_TIME, check(&t, key, claims("a", now + 301, now + 900)));
        json_t *other = claims("a", now, now + 60);
        json_object_set_new(other, "iss", json_string("https://issuer.example"));
        CHECK_INT(VN_SUBJECT_ISSUER, check(&t, key, other));
        other = claims("a", now, now + 60);
        json_object_set_new(other, "sub", json_string("system:serviceaccount:vane:agent2"));
        CHECK_INT(VN_SUBJECT_NAME, check(&t, key, other));
        other = claims("a", now, now + 60);
        json_object_del(other, "exp");
        CHECK_INT(VN_SUBJECT_TIME, check(&t, key, other));
        CHECK_OK(vn_token_make_key(id, sizeof id, &stranger, &public_pem, NULL));
        CHECK_INT(VN_SUBJECT_UNREADABLE, check(&t, stranger, claims("a", now, now + 60)));
        vn_free(stranger);
        vn_free(public_pem);
        /* {"alg":"none"}, with the good one's claims, without and with its signature */
        CHECK_OK(vn_sim_subject_sign(t.sim, "a", &good, NULL));
        CHECK_INT(VN_SUBJECT_GOOD, vn_sim_subject_check(t.sim, vn_buf_view(&good), "a"));
        VN_AUTO(vn_buf)
        unsigned_one = VN_BUF_INIT(8192);
        struct vn_str rest = vn_buf_view(&good);
        vn_str_cut(&rest, '.');
        vn_buf_printf(&unsigned_one, "eyJhbGciOiJub25lIn0.%.*s", VN_FMT(rest));
        CHECK_INT(VN_SUBJECT_UNREADABLE, vn_sim_subject_check(t.sim, vn_buf_view(&unsigned_one), "a"));
        struct vn_str payload = vn_str_cut(&rest, '.');
        vn_buf_reset(&unsigned_one);
        vn_buf_printf(&unsigned_one, "eyJhbGciOiJub25lIn0.%.*s.", VN_FMT(payload));
        CHECK_INT(VN_SUBJECT_UNREADABLE, vn_sim_subject_check(t.sim, vn_buf_view(&unsigned_one), "a"));
        test_sim_done(&t);
}

TEST(aws_hosts_give_keys_to_sessions_and_containers_with_their_token)
{
        static const char roles[] = "/latest/meta-data/iam/security-credentials/";
        const char *ttl = "x-aws-ec2-metadata-token-ttl-seconds", *session = "x-aws-ec2-metadata-token";
        struct test_sim t;
        char path[128];
        test_sim_init(&t);
        ASK(&t, vn_sim_identity_host, 401, "GET", roles, "", "", NULL);
        ASK(&t, vn_sim_identity_host, 400, "PUT", "/latest/api/token", "", "", NULL);
        ASK(&t, vn_sim_identity_host, 400, "PUT", "/latest/api/token", "", "", ttl, "21601", NULL);
        ASK(&t, vn_sim_identity_host, 403, "PUT", "/latest/api/token", "", "", ttl, "60", "x-forwarded-for",
            "1.2.3.4", NULL);
        VN_AUTO(vn_json)
        token = ask(&t, vn_sim_identity_host, 200, "PUT", "/latest/api/token", "", "", ttl, "60", NULL);
        const char *text = json_string_value(token);
        VN_AUTO(vn_json)
        role = ask(&t, vn_sim_identity_host, 200, "GET", roles, "", "", session, text, NULL);
        snprintf(path, sizeof path, "%s%s", roles, json_string_value(role));
        VN_AUTO(vn_json)
        keys = ask(&t, vn_sim_identity_host, 200, "GET", path, "", "", session, text, NULL);
        CHECK_TEXT("Success", test_text(keys, "Code"));
        CHECK(!strncmp(test_text(keys, "AccessKeyId"), "ASIA", 4) && test_text(keys, "Token")[0]);
        t.clock.time_us += 60 * VN_US_PER_S; /* the session has ended */
        ASK(&t, vn_sim_identity_host, 401, "GET", path, "", "", session, text, NULL);
        ASK(&t, vn_sim_identity_host, 403, "GET", "/creds", "", "", NULL);
        ASK(&t, vn_sim_identity_host, 403, "GET", "/creds", "", "", "authorization", "x", NULL);
        VN_AUTO(vn_json)
        container = ask(&t, vn_sim_identity_host, 200, "GET", "/creds", "", "", "authorization",
                        vn_sim_identity(t.sim)->host_secret, NULL);
        CHECK(test_text(container, "SecretAccessKey")[0] && test_text(container, "Expiration")[0]);
        test_sim_done(&t);
}

TEST(web_identities_are_assumed_for_roles_that_trust_them)
{
        struct test_sim t;
        VN_AUTO(vn_buf)
        form = VN_BUF_INIT(16384);
        test_sim_init(&t);
        for (int by_id = 0; by_id < 2; by_id++) {
                vn_buf_reset(&form);
                vn_buf_printf(&form,
                              "Action=AssumeRoleWithWebIdentity&Version=2011-06-15&RoleSessionName=s1&RoleArn="
                              "arn:aws:iam::%s:role/vane-agent%s&WebIdentityToken=",
                              t.sim->accounts[1].id, by_id ? "-by-id" : "");
                CHECK_OK(vn_sim_subject_sign(t.sim, VN_SIM_AWS_AUDIENCE, &form, NULL));
                VN_AUTO(vn_json)
                xml = ask(&t, vn_sim_aws, by_id ? 403 : 200, "POST", "/", "", form.ptr, NULL);
                CHECK((strstr(json_string_value(xml), "<SessionToken>") != NULL) == !by_id);
        }
        ASK(&t, vn_sim_aws, 400, "POST", "/", "",
            "Action=AssumeRoleWithWebIdentity&RoleSessionName=s1&RoleArn=arn&WebIdentityToken=a.b.c", NULL);
        test_sim_done(&t);
}

TEST(azure_hosts_give_tokens_as_texts_to_those_who_ask_as_azure_wants)
{
        static const char imds[] = "/metadata/identity/oauth2/token", app[] = "/msi/token";
        static const char query[] = "api-version=2018-02-01&resource=https%3A%2F%2Fmanagement.azure.com%2F",
                          newer[] = "api-version=2019-08-01&resource=https%3A%2F%2Fmanagement.azure.com";
        struct test_sim t;
        char client[256];
        test_sim_init(&t);
        ASK(&t, vn_sim_identity_host, 400, "GET", imds, query, "", NULL);
        ASK(&t, vn_sim_identity_host, 400, "GET", imds, newer, "", "metadata", "true", NULL);
        ASK(&t, vn_sim_identity_host, 400, "GET", imds, "api-version=2018-02-01", "", "metadata", "true", NULL);
        VN_AUTO(vn_json)
        machine = ask(&t, vn_sim_identity_host, 200, "GET", imds, query, "", "metadata", "true", NULL);
        CHECK_TEXT("3599", test_text(machine, "expires_in"));
        snprintf(client, sizeof client, "%s&client_id=%s", query, t.sim->accounts[3].key_id);
        ASK(&t, vn_sim_identity_host, 400, "GET", imds, client, "", "metadata", "true", NULL);
        snprintf(client, sizeof client, "%s&client_id=%s", query, t.sim->accounts[2].key_id);
        ASK(&t, vn_sim_identity_host, 200, "GET", imds, client, "", "metadata", "true", NULL);
        ASK(&t, vn_sim_identity_host, 401, "GET", app, newer, "", "x-identity-header", "x", NULL);
        VN_AUTO(vn_json)
        site = ask(&t, vn_sim_identity_host, 200, "GET", app, newer, "", "x-identity-header",
                   vn_sim_identity(t.sim)->host_secret, NULL);
        CHECK(!json_object_get(site, "expires_in") && test_text(site, "expires_on")[0]);
        test_sim_done(&t);
}

TEST(gcp_metadata_and_impersonation_answer_in_their_own_forms)
{
        static const char self[] = "/computeMetadata/v1/instance/service-accounts/default/";
        struct test_sim t;
        char path[256], bearer[4096], other[256];
        test_sim_init(&t);
        snprintf(path, sizeof path, "%stoken", self);
        ASK(&t, vn_sim_identity_host, 403, "GET", path, "", "", NULL);
        ASK(&t, vn_sim_identity_host, 403, "GET", path, "", "", "metadata-flavor", "google", NULL);
        VN_AUTO(vn_json)
        token = ask(&t, vn_sim_identity_host, 200, "GET", path, "", "", "metadata-flavor", "Google", NULL);
        snprintf(bearer, sizeof bearer, "Bearer %s", test_text(token, "access_token"));
        snprintf(path, sizeof path, "%sidentity", self);
        ASK(&t, vn_sim_identity_host, 400, "GET", path, "", "", "metadata-flavor", "Google", NULL);
        ASK(&t, vn_sim_identity_host, 200, "GET", path, "audience=https%3A%2F%2Fa", "", "metadata-flavor", "Google",
            NULL);
        snprintf(path, sizeof path, "/v1/projects/-/serviceAccounts/%s:generateAccessToken",
                 t.sim->accounts[4].key_id);
        snprintf(other, sizeof other, "/v1/projects/-/serviceAccounts/%s:generateAccessToken",
                 t.sim->accounts[5].key_id);
        ASK(&t, vn_sim_gcp, 401, "POST", path, "", "{\"scope\":[\"s\"]}", NULL);
        ASK(&t, vn_sim_gcp, 403, "POST", other, "", "{\"scope\":[\"s\"]}", "authorization", bearer, NULL);
        ASK(&t, vn_sim_gcp, 400, "POST", path, "", "{}", "authorization", bearer, NULL);
        VN_AUTO(vn_json)
        made = ask(&t, vn_sim_gcp, 200, "POST", path, "", "{\"scope\":[\"s\"],\"lifetime\":\"3600s\"}",
                   "authorization", bearer, NULL);
        CHECK(test_text(made, "accessToken")[0] && test_text(made, "expireTime")[0]);
        test_sim_done(&t);
}
