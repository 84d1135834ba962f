/* Where Google's tokens come from, in which order, what a credential file may say, and what is refused. */
#include "clouds/gcp/credentials.h"

#include <stdlib.h>

#include "clouds/wire_test.h"

/* None of the machine's own settings. */
static void clean_environment(void)
{
        static const char *const names[] = {"GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT",
                                            "GCE_METADATA_HOST", "NO_GCE_CHECK"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                unsetenv(names[i]);
        setenv("CLOUDSDK_CONFIG", test_dir(), 1);
}

static const char *file_with(const char *name, const char *text)
{
        static char path[300];
        snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
        CHECK_OK(vn_file_write_atomic(path, vn_str(text), 0600, NULL));
        return path;
}

static struct vn_cloud *open_account(struct wire *wire, const char *key_json, const char *project)
{
        struct vn_cloud_config config = {
                .kind = VN_CLOUD_GCP, .key_json = vn_str(key_json), .project = vn_str(project)};
        struct vn_cloud *cloud = NULL;
        struct vn_err err = {0};
        if (vn_cloud_open(&config, &wire_clock.clock, &wire->transport, &cloud, &err) != VN_OK && !wire_may_fail)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        return cloud;
}

#define STS "https://sts.googleapis.com/v1/token"
#define ACCOUNT "https://iamcredentials.googleapis.com/v1/projects/-/serviceAccounts/a@p.iam.gserviceaccount.com"
#define AUDIENCE "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/w/providers/p"
#define EXTERNAL(source, more)                                                                                       \
        "{\"type\":\"external_account\",\"audience\":\"" AUDIENCE                                                    \
        "\",\"subject_token_type\":\"urn:ietf:params:oauth:token-type:jwt\",\"token_url\":\"" STS                    \
        "\",\"credential_source\":" source more "}"
#define AS_ACCOUNT ",\"service_account_impersonation_url\":\"" ACCOUNT ":generateAccessToken\""

#define LIST                                                                                                         \
        {                                                                                                            \
                "GET https://cloudfunctions.googleapis.com/v2/projects/p/", 200, NULL, "{}"                          \
        }
#define FEDERATED(token)                                                                                             \
        {                                                                                                            \
                "POST " STS, 200, NULL,                                                                              \
                        "{\"access_token\":\"" token                                                                 \
                        "\",\"issued_token_type\":\"x\",\"token_type\":\"Bearer\",\"expires_in\":3599}"              \
        }
#define GENERATED(token)                                                                                             \
        {                                                                                                            \
                "POST " ACCOUNT ":generateAccessToken", 200, NULL,                                                   \
                        "{\"accessToken\":\"" token "\",\"expireTime\":\"2026-11-24T13:00:00Z\"}"                    \
        }
#define FLAVOR "Metadata-Flavor: Google\n"
/* exp 1795525200 = 13:00 */
#define ID_TOKEN "e30.eyJleHAiOjE3OTU1MjUyMDB9.c2ln"

static void list(struct vn_cloud *cloud)
{
        struct vn_cloud_list found;
        struct vn_err err = {0};
        if (vn_cloud_list(cloud, &found, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        vn_cloud_list_done(&found);
}

static void invoke(struct vn_cloud *cloud)
{
        const struct vn_cloud_function f = {.name = "f", .url = "https://f-uc.a.run.app"};
        struct vn_cloud_result result;
        struct vn_err err = {0};
        if (vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        vn_cloud_result_done(&result);
}

TEST(gcp_metadata_gives_tokens_and_the_project_to_whoever_asks_as_google_wants)
{
        static const struct wire_step steps[] = {
                {"GET http://169.254.169.254/computeMetadata/v1/project/project-id", 200, FLAVOR, "p\n"},
                {"GET http://169.254.169.254/computeMetadata/v1/instance/service-accounts/default/token?scopes=https",
                 200, FLAVOR, "{\"access_token\":\"ONE\",\"expires_in\":600,\"token_type\":\"Bearer\"}"},
                LIST,
                LIST,
                {"GET /computeMetadata/v1/instance/service-accounts/default/identity?audience=https%3A%2F%2Ff-uc.a."
                 "run.app&format=full",
                 200, FLAVOR, ID_TOKEN},
                {"POST https://f-uc.a.run.app", 200, NULL, "ok"},
                /* renewed ahead; the server is away for a moment, the old one serves */
                {"GET /default/token", 0, NULL, NULL},
                {"GET /default/token", 0, NULL, NULL},
                LIST,
                LIST,
                {"GET /default/token", 200, FLAVOR, "{\"access_token\":\"TWO\",\"expires_in\":3599}"},
                LIST};
        struct wire wire;
        clean_environment();
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(&wire, NULL, NULL);
        list(cloud);
        list(cloud);
        invoke(cloud);
        CHECK(strstr(wire.asked[0], "Metadata-Flavor: Google") && strstr(wire.asked[1], "Metadata-Flavor: Google"));
        CHECK(strstr(wire.asked[3], "Bearer ONE\n") && strstr(wire.asked[5], "Bearer " ID_TOKEN "\n"));
        wire_clock.time_us += 6 * VN_US_PER_MIN;
        list(cloud);
        list(cloud);
        CHECK(strstr(wire.asked[9], "Bearer ONE\n"));
        wire_clock.time_us += VN_US_PER_MIN;
        list(cloud);
        CHECK(strstr(wire.asked[11], "Bearer TWO\n"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(gcp_credentials_are_looked_for_in_the_order_of_googles_own_clients)
{
        static const struct wire_step key[] = {
                {"POST https://oauth2.googleapis.com/token", 200, NULL, "{\"access_token\":\"K\",\"expires_in\":60}"},
                LIST};
        static const struct wire_step external[] = {FEDERATED("F"), LIST};
        static const struct wire_step metadata[] = {
                {"GET http://127.0.0.1:99/computeMetadata/v1/instance/service-accounts/default/token", 200, FLAVOR,
                 "{\"access_token\":\"M\",\"expires_in\":60}"},
                LIST};
        struct wire wire;
        char subject[300], text[2048];
        clean_environment();
        setenv("GCE_METADATA_HOST", "127.0.0.1:99", 1);
        WIRE_INIT(&wire, metadata);
        struct vn_cloud *cloud = open_account(&wire, NULL, "p");
        list(cloud);
        wire_check_done(&wire);
        vn_cloud_free(cloud);

        file_with("application_default_credentials.json", wire_gcp_key());
        WIRE_INIT(&wire, key);
        cloud = open_account(&wire, NULL, NULL); /* the project is the key's */
        list(cloud);
        wire_check_done(&wire);
        vn_cloud_free(cloud);

        snprintf(subject, sizeof(subject), "%s", file_with("subject", "eyJ.a.b\n"));
        snprintf(text, sizeof(text), EXTERNAL("{\"file\":\"%s\"}", ""), subject);
        setenv("GOOGLE_APPLICATION_CREDENTIALS", file_with("external.json", text), 1);
        setenv("GOOGLE_CLOUD_PROJECT", "p", 1);
        WIRE_INIT(&wire, external);
        cloud = open_account(&wire, NULL, NULL);
        list(cloud);
        wire_check_done(&wire);
        CHECK(strstr(wire.asked[0], "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange") &&
              strstr(wire.asked[0], "&subject_token=eyJ.a.b") &&
              strstr(wire.asked[0], "&audience=%2F%2Fiam.googleapis.com%2Fprojects%2F1%2F") &&
              strstr(wire.asked[0], "&subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt") &&
              !strstr(wire.asked[0], "Authorization"));
        CHECK(strstr(wire.asked[1], "Bearer F\n"));
        vn_cloud_free(cloud);

        WIRE_INIT(&wire, key);
        cloud = open_account(&wire, wire_gcp_key(), NULL);
        list(cloud);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
        CHECK_INT(0, remove(file_with("application_default_credentials.json", "")));
}

TEST(gcp_federated_tokens_ask_for_those_of_the_account_that_they_may_be)
{
        static const struct wire_step steps[] = {
                {"GET http://169.254.169.254/token?a=b", 200, NULL, "{\"a.b\":\"eyJ.1\"}"},
                FEDERATED("F1"),
                GENERATED("A1"),
                LIST,
                /* the function's ID token with the federated token that is still good */
                {"POST " ACCOUNT ":generateIdToken", 200, NULL, "{\"token\":\"" ID_TOKEN "\"}"},
                {"POST https://f-uc.a.run.app", 200, NULL, "ok"},
                /* both revoked: the subject is asked anew, once */
                {"GET cloudfunctions", 401, NULL, "{}"},
                {"POST " ACCOUNT ":generateAccessToken", 401, NULL, "{}"},
                {"GET http://169.254.169.254/token", 200, NULL, "{\"a.b\":\"eyJ.2\"}"},
                FEDERATED("F2"),
                GENERATED("A2"),
                LIST};
        struct wire wire;
        clean_environment();
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(
                &wire,
                EXTERNAL("{\"url\":\"http://169.254.169.254/token?a=b\",\"headers\":{\"Metadata\":\"True\"},"
                         "\"format\":{\"type\":\"json\",\"subject_token_field_name\":\"a.b\"}}",
                         AS_ACCOUNT),
                "p");
        list(cloud);
        invoke(cloud);
        CHECK(strstr(wire.asked[0], "Metadata: True"));
        CHECK(strstr(wire.asked[1], "&subject_token=eyJ.1"));
        CHECK(strstr(wire.asked[2], "Bearer F1\n") && strstr(wire.asked[2], "\"lifetime\":\"3600s\""));
        CHECK(strstr(wire.asked[3], "Bearer A1\n"));
        CHECK(strstr(wire.asked[4], "Bearer F1\n") &&
              strstr(wire.asked[4], "\"audience\":\"https://f-uc.a.run.app\""));
        list(cloud);
        CHECK(strstr(wire.asked[9], "&subject_token=eyJ.2") && strstr(wire.asked[10], "Bearer F2\n") &&
              strstr(wire.asked[11], "Bearer A2\n"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(gcp_impersonated_accounts_are_asked_for_with_their_sources_token)
{
        static const struct wire_step steps[] = {
                {"POST https://oauth2.googleapis.com/token", 200, NULL,
                 "{\"access_token\":\"KEY\",\"expires_in\":3599}"},
                GENERATED("A1"),
                LIST,
                {"POST " ACCOUNT ":generateIdToken", 200, NULL, "{\"token\":\"" ID_TOKEN "\"}"},
                {"POST https://f-uc.a.run.app", 200, NULL, "ok"}};
        static char text[10000];
        struct wire wire;
        clean_environment();
        snprintf(text, sizeof(text),
                 "{\"type\":\"impersonated_service_account\",\"delegates\":[\"d1\",\"d\\\"2\"]" AS_ACCOUNT
                 ",\"source_credentials\":%s}",
                 wire_gcp_key());
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(&wire, text, NULL);
        list(cloud);
        invoke(cloud);
        CHECK(strstr(wire.asked[1], "Bearer KEY\n") && strstr(wire.asked[1], "\"delegates\":[\"d1\",\"d\\\"2\"]"));
        CHECK(strstr(wire.asked[2], "Bearer A1\n") && strstr(wire.asked[3], "Bearer KEY\n"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

/* --- refusals --- */

static void check_file(const char *text, enum vn_rc want, const char *part)
{
        VN_AUTO(vn_gcp_source)
        source = NULL;
        struct vn_err err = {0};
        CHECK_RC(want, vn_gcp_source_parse(vn_str(text), false, &source, &err));
        if (!strstr(err.msg, part) || strstr(err.msg, "HUSH"))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in, or HUSH is: %s", part, err.msg);
}

static void check_token_url(const char *url, bool good)
{
        VN_AUTO(vn_gcp_source)
        source = NULL;
        char text[1024];
        snprintf(
                text, sizeof(text),
                "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"token_url\":\"%s\","
                "\"credential_source\":{\"file\":\"f\"}}",
                url);
        if ((vn_gcp_source_parse(vn_str(text), false, &source, NULL) == VN_OK) != good)
                test_fail(__FILE__, __LINE__, "%s %s", url, good ? "is refused" : "is taken");
}

TEST(gcp_urls_of_credential_files_lead_to_googles_hosts_only)
{
        static const char *const strangers[] = {"http://sts.googleapis.com/v1/token",
                                                "https://evil.example/v1/token",
                                                "https://evil.example?.googleapis.com/v1",
                                                "https://evil.example#.googleapis.com/v1",
                                                "https://sts.googleapis.com@evil.example/v1",
                                                "https://evil.example\\\\.googleapis.com/v1",
                                                "https://evilgoogleapis.com/v1",
                                                "https://.googleapis.com/v1",
                                                "https://sts.googleapis.com:443@evil.example/",
                                                "https://sts.googleapis.com:8443/v1",
                                                "https://169.254.169.254/v1",
                                                "https://",
                                                "sts.googleapis.com",
                                                "file:///etc/passwd"};
        check_token_url(STS, true);
        check_token_url("https://sts.us-east1.rep.googleapis.com/v1/token", true);
        for (size_t i = 0; i < sizeof(strangers) / sizeof(strangers[0]); i++)
                check_token_url(strangers[i], false);
        check_file(EXTERNAL("{\"url\":\"http://10.0.0.1/token\"}", ""), VN_FAILED_PRECONDITION, "plain http");
        check_file(EXTERNAL("{\"url\":\"http://169.254.169.254.evil.example/\"}", ""), VN_FAILED_PRECONDITION,
                   "plain http");
        check_file(EXTERNAL("{\"url\":\"https://evil.example/\"}", ""), VN_FAILED_PRECONDITION,
                   "evil.example is none");
        check_file(EXTERNAL("{\"file\":\"f\"}",
                            ",\"service_account_impersonation_url\":\"https://evil.example/x:generateAccessToken\""),
                   VN_FAILED_PRECONDITION, "service_account_impersonation_url: evil.example");
        check_file(EXTERNAL("{\"file\":\"f\"}",
                            ",\"service_account_impersonation_url\":\"https://iamcredentials.googleapis.com/x\""),
                   VN_INVALID_ARGUMENT, "does not end in");
        check_file("{\"client_email\":\"e\",\"private_key\":\"HUSH\",\"token_uri\":\"https://evil.example/token\"}",
                   VN_FAILED_PRECONDITION, "token_uri: evil.example");
}

TEST(gcp_credential_files_that_cannot_be_used_are_refused_by_name)
{
        static const struct {
                const char *text, *part;
                enum vn_rc rc;
        } cases[] = {
                {"{\"type\":\"authorized_user\",\"refresh_token\":\"HUSH\"}",
                 "authorized_user is a person's own login", VN_FAILED_PRECONDITION},
                {EXTERNAL("{\"executable\":{\"command\":\"/bin/HUSH\"}}", ""), "\"executable\" is not supported",
                 VN_FAILED_PRECONDITION},
                {EXTERNAL("{\"environment_id\":\"aws1\",\"url\":\"http://169.254.169.254/\"}", ""),
                 "\"environment_id\" is not supported: AWS", VN_FAILED_PRECONDITION},
                {EXTERNAL("{\"certificate\":{}}", ""), "\"certificate\" is not supported", VN_FAILED_PRECONDITION},
                {EXTERNAL("{\"file\":\"f\"}", ",\"workforce_pool_user_project\":\"1\""), "workforce",
                 VN_FAILED_PRECONDITION},
                {EXTERNAL("{\"file\":\"f\"}", ",\"universe_domain\":\"example.com\""), "universe_domain",
                 VN_FAILED_PRECONDITION},
                {EXTERNAL("{\"file\":\"f\",\"url\":\"http://127.0.0.1/\"}", ""), "neither", VN_INVALID_ARGUMENT},
                {EXTERNAL("{}", ""), "neither", VN_INVALID_ARGUMENT},
                {EXTERNAL("{\"file\":\"f\",\"format\":{\"type\":\"xml\"}}", ""), "neither text nor json",
                 VN_INVALID_ARGUMENT},
                {EXTERNAL("{\"file\":\"f\",\"format\":{\"type\":\"json\"}}", ""), "subject_token_field_name",
                 VN_INVALID_ARGUMENT},
                {EXTERNAL("{\"url\":\"http://127.0.0.1/\",\"headers\":{\"A\":\"HUSH\\r\\nB: c\"}}", ""), "no header",
                 VN_INVALID_ARGUMENT},
                {EXTERNAL("{\"url\":\"http://127.0.0.1/\",\"headers\":{\"A\":7}}", ""), "no header",
                 VN_INVALID_ARGUMENT},
                {"{\"type\":\"gdch_service_account\"}", "\"gdch_service_account\" are not supported",
                 VN_FAILED_PRECONDITION},
                {"{\"type\":\"impersonated_service_account\"" AS_ACCOUNT "}", "source_credentials",
                 VN_INVALID_ARGUMENT},
                {"{\"type\":\"impersonated_service_account\"" AS_ACCOUNT
                 ",\"source_credentials\":{\"type\":\"authorized_user\"}}",
                 "authorized_user", VN_FAILED_PRECONDITION},
                {"{\"type\":\"impersonated_service_account\"" AS_ACCOUNT
                 ",\"source_credentials\":{\"type\":\"impersonated_service_account\"}}",
                 "\"impersonated_service_account\" are not supported", VN_FAILED_PRECONDITION},
                {"{\"type\":\"impersonated_service_account\"" AS_ACCOUNT ",\"delegates\":[7]}", "delegates",
                 VN_INVALID_ARGUMENT},
                {"HUSH", "not a credential file", VN_INVALID_ARGUMENT},
                {"[]", "not a credential file", VN_INVALID_ARGUMENT},
                {"{\"type\":\"external_account\"}", "audience", VN_INVALID_ARGUMENT},
        };
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
                check_file(cases[i].text, cases[i].rc, cases[i].part);
}

static void check_refused(const char *key_json, const struct wire_step *steps, size_t count, enum vn_rc want,
                          const char *part)
{
        struct wire wire;
        struct vn_cloud_list found;
        struct vn_err err = {0};
        wire_init(&wire, steps, count);
        struct vn_cloud *cloud = open_account(&wire, key_json, "p");
        CHECK_RC(want, vn_cloud_list(cloud, &found, &err));
        if (!strstr(err.msg, part) || strstr(err.msg, "HUSH"))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in, or HUSH is: %s", part, err.msg);
        vn_cloud_free(cloud);
}
#define REFUSED(key_json, want, part, ...)                                                                           \
        do {                                                                                                         \
                const struct wire_step steps_[] = {__VA_ARGS__};                                                     \
                check_refused(key_json, steps_, sizeof(steps_) / sizeof(steps_[0]), want, part);                     \
        } while (0)
#define SILENCE                                                                                                      \
        {                                                                                                            \
                NULL, 0, NULL, NULL                                                                                  \
        }

TEST(gcp_credentials_that_are_not_to_be_had_are_said_place_by_place)
{
        clean_environment();
        REFUSED(NULL, VN_UNAUTHENTICATED, "GOOGLE_APPLICATION_CREDENTIALS is not set", SILENCE, SILENCE);
        REFUSED(NULL, VN_UNAUTHENTICATED, "gcloud has no application default credentials", SILENCE, SILENCE);
        REFUSED(NULL, VN_UNAUTHENTICATED, "metadata server: nothing answers", SILENCE, SILENCE);
        /* whoever answers must say that it is the metadata server */
        REFUSED(NULL, VN_UNAUTHENTICATED, "no metadata server",
                {NULL, 200, NULL, "{\"access_token\":\"HUSH\",\"expires_in\":60}"});
        REFUSED(NULL, VN_UNAUTHENTICATED, "no service account", {NULL, 404, FLAVOR, "HUSH"});
        REFUSED(NULL, VN_UNAVAILABLE, "status 403", {NULL, 403, FLAVOR, "HUSH"});
        REFUSED(NULL, VN_DATA_LOSS, "no JSON", {NULL, 200, FLAVOR, "HUSH"});
        REFUSED(NULL, VN_DATA_LOSS, "without lifetime", {NULL, 200, FLAVOR, "{\"access_token\":\"HUSH\"}"});
        setenv("NO_GCE_CHECK", "true", 1);
        REFUSED(NULL, VN_UNAUTHENTICATED, "switched off", SILENCE);
        setenv("GOOGLE_APPLICATION_CREDENTIALS", "/absent/key.json", 1);
        REFUSED(NULL, VN_FAILED_PRECONDITION, "there is no /absent/key.json", SILENCE);
        setenv("GOOGLE_APPLICATION_CREDENTIALS", file_with("user.json", "{\"type\":\"authorized_user\"}"), 1);
        REFUSED(NULL, VN_FAILED_PRECONDITION, "user.json: authorized_user", SILENCE);
        clean_environment();
}

TEST(gcp_exchanges_that_fail_say_why)
{
        clean_environment();
        const char *by_url = EXTERNAL("{\"url\":\"http://127.0.0.1/t\"}", AS_ACCOUNT);
        const struct wire_step subject = {NULL, 200, NULL, "eyJ.a.b"};
        REFUSED(by_url, VN_UNAVAILABLE, "subject's token: answered with status 403", {NULL, 403, NULL, "HUSH"});
        REFUSED(by_url, VN_DATA_LOSS, "subject's token: no token", {NULL, 200, NULL, "HUSH HUSH"});
        REFUSED(by_url, VN_FAILED_PRECONDITION, "subject's token: nothing answers", SILENCE, SILENCE);
        REFUSED(EXTERNAL("{\"file\":\"/absent/subject\"}", ""), VN_FAILED_PRECONDITION, "there is no /absent/subject",
                SILENCE);
        REFUSED(by_url, VN_UNAUTHENTICATED, "invalid_grant", subject,
                {NULL, 400, NULL, "{\"error\":\"invalid_grant\",\"error_description\":\"expired\"}"});
        REFUSED(by_url, VN_PERMISSION_DENIED, "impersonation", subject, FEDERATED("F"),
                {NULL, 403, NULL, "{\"error\":{\"code\":403,\"status\":\"PERMISSION_DENIED\",\"message\":\"no\"}}"});
        REFUSED(by_url, VN_DATA_LOSS, "without its end", subject, FEDERATED("F"),
                {NULL, 200, NULL, "{\"accessToken\":\"HUSH\"}"});
        /* an ID token has no other way than an account's */
        struct wire wire;
        struct vn_cloud_result result;
        struct vn_err err = {0};
        const struct vn_cloud_function f = {.name = "f", .url = "https://f-uc.a.run.app"};
        wire_init(&wire, NULL, 0);
        struct vn_cloud *cloud = open_account(&wire, EXTERNAL("{\"file\":\"f\"}", ""), "p");
        CHECK_RC(VN_FAILED_PRECONDITION, vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, &err));
        CHECK(strstr(err.msg, "service_account_impersonation_url"));
        vn_cloud_free(cloud);
}

static enum vn_rc exchange_once(void)
{
        static const struct wire_step steps[] = {{NULL, 200, NULL, "eyJ.a.b"}, FEDERATED("F"), GENERATED("A"), LIST};
        struct wire wire;
        struct vn_cloud_list found;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(&wire, EXTERNAL("{\"url\":\"http://127.0.0.1/t\"}", AS_ACCOUNT), "p");
        enum vn_rc rc = cloud ? vn_cloud_list(cloud, &found, NULL) : VN_RESOURCE_EXHAUSTED;
        if (rc == VN_OK)
                vn_cloud_list_done(&found);
        vn_cloud_free(cloud);
        return rc;
}

TEST(gcp_exchanges_survive_each_failed_allocation)
{
        clean_environment();
        wire_may_fail = true;
        TEST_ALLOC_LOOP(exchange_once);
        wire_may_fail = false;
}
