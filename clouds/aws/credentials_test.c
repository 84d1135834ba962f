/* Where AWS keys come from, in which order, when they are fetched anew, and what is refused. */
#include "clouds/aws/credentials.h"

#include <stdlib.h>

#include "clouds/aws/profile.h"
#include "clouds/wire_test.h"

static char shared_credentials[256], shared_config[256];

static void write_file(const char *path, const char *text)
{
        CHECK_OK(vn_file_write_atomic(path, vn_str(text), 0600, NULL));
}

/* None of the machine's own settings: no variable, no file, no metadata service. */
static void clean_environment(void)
{
        static const char *const names[] = {"AWS_ACCESS_KEY_ID",
                                            "AWS_SECRET_ACCESS_KEY",
                                            "AWS_SESSION_TOKEN",
                                            "AWS_PROFILE",
                                            "AWS_WEB_IDENTITY_TOKEN_FILE",
                                            "AWS_ROLE_ARN",
                                            "AWS_ROLE_SESSION_NAME",
                                            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
                                            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                                            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
                                            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
                                            "AWS_EC2_METADATA_SERVICE_ENDPOINT",
                                            "AWS_EC2_METADATA_DISABLED"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                unsetenv(names[i]);
        snprintf(shared_credentials, sizeof(shared_credentials), "%s/credentials", test_dir());
        snprintf(shared_config, sizeof(shared_config), "%s/config", test_dir());
        setenv("AWS_SHARED_CREDENTIALS_FILE", shared_credentials, 1);
        setenv("AWS_CONFIG_FILE", shared_config, 1);
}

static void check_keys(struct vn_cloud *cloud, const char *id, const char *token)
{
        struct vn_aws_keys keys;
        CHECK_OK(vn_aws_keys(cloud, &keys, NULL));
        CHECK(vn_str_eq(keys.access_key_id, vn_str(id)) && vn_str_eq(keys.session_token, vn_str(token)));
        CHECK(keys.secret_access_key.len > 0);
}

TEST(aws_profiles_are_read_as_the_command_line_tool_reads_them)
{
        const struct vn_str text = VN_STR("# first\n"
                                          "aws_access_key_id = NOSECTION\n"
                                          "[ default ]\r\n"
                                          "aws_access_key_id = AKIA/DEFAULT+=\r\n"
                                          "s3 =\n"
                                          "  aws_access_key_id = NESTED\n"
                                          "[profile with space]\n"
                                          "AWS_ACCESS_KEY_ID=UPPER   # why\n"
                                          "[profile twice]\nregion = a\nregion = b\n"
                                          "[broken\nregion = c\n"
                                          "[bare]\nregion = d\n");
        static const struct {
                const char *profile, *name;
                bool config;
                const char *want; /* NULL: none */
        } cases[] = {{"default", "aws_access_key_id", true, "AKIA/DEFAULT+="},
                     {"default", "aws_access_key_id", false, "AKIA/DEFAULT+="},
                     {"default", "s3", true, ""},
                     {"with space", "aws_access_key_id", true, "UPPER"},
                     {"twice", "region", true, "b"},
                     {"broken", "region", true, NULL},
                     {"bare", "region", true, NULL}, /* in the config file only "profile bare" would be it */
                     {"bare", "region", false, "d"},
                     {"Default", "aws_access_key_id", true, NULL}};
        for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
                struct vn_str got =
                        vn_aws_profile_value(text, cases[i].config, vn_str(cases[i].profile), vn_str(cases[i].name));
                if (!cases[i].want)
                        CHECK(!got.ptr);
                else
                        CHECK(got.ptr && vn_str_eq(got, vn_str(cases[i].want)));
        }
}

TEST(aws_keys_are_looked_for_in_the_order_of_awss_own_clients)
{
        static const struct wire_step steps[] = {
                {"GET http://169.254.170.2/creds/x", 200, NULL,
                 "{\"AccessKeyId\":\"CONTAINER\",\"SecretAccessKey\":\"s\",\"Token\":"
                 "\"t3\",\"Expiration\":\"2026-11-24T18:00:00Z\"}"}};
        struct wire wire;
        clean_environment();
        WIRE_INIT(&wire, steps);
        setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/creds/x", 1);
        setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "Bearer abc", 1);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, NULL);
        check_keys(cloud, "CONTAINER", "t3");
        CHECK(strstr(wire.asked[0], "Authorization: Bearer abc"));
        vn_cloud_free(cloud);

        write_file(shared_credentials, "[default]\naws_access_key_id=FILE\naws_secret_access_key=s\n"
                                       "[other]\naws_access_key_id=OTHER\naws_secret_access_key=s\n");
        cloud = wire_aws_without_keys(&wire, NULL);
        check_keys(cloud, "FILE", "");
        vn_cloud_free(cloud);

        setenv("AWS_ACCESS_KEY_ID", "ENVIRONMENT", 1);
        setenv("AWS_SECRET_ACCESS_KEY", "s", 1);
        setenv("AWS_SESSION_TOKEN", "t1", 1);
        cloud = wire_aws_without_keys(&wire, NULL);
        check_keys(cloud, "ENVIRONMENT", "t1");
        vn_cloud_free(cloud);
        cloud = wire_aws_without_keys(&wire, "other"); /* what the account names comes before all */
        check_keys(cloud, "OTHER", "");
        vn_cloud_free(cloud);
        cloud = wire_aws(&wire);
        check_keys(cloud, "AKIDEXAMPLE", "TOKEN");
        vn_cloud_free(cloud);
        wire_check_done(&wire);
}

#define INSTANCE(id, end)                                                                                            \
        "{\"Code\":\"Success\",\"AccessKeyId\":\"" id "\",\"SecretAccessKey\":\"s\",\"Token\":\"t\","                \
        "\"Expiration\":\"" end "\"}"
#define ROUND(id, end)                                                                                               \
        {"PUT http://169.254.169.254/latest/api/token", 200, NULL, "SESSION"},                                       \
                {"GET /latest/meta-data/iam/security-credentials/", 200, NULL, "the-role\n"},                        \
        {                                                                                                            \
                "GET /latest/meta-data/iam/security-credentials/the-role", 200, NULL, INSTANCE(id, end)              \
        }
#define LIST                                                                                                         \
        {                                                                                                            \
                "GET /2015-03-31/functions", 200, NULL, "{\"Functions\":[]}"                                         \
        }

static void list(struct vn_cloud *cloud)
{
        struct vn_cloud_list found;
        CHECK_OK(vn_cloud_list(cloud, &found, NULL));
        vn_cloud_list_done(&found);
}

TEST(aws_instance_keys_are_renewed_ahead_and_serve_to_their_end)
{
        static const struct wire_step steps[] = {
                ROUND("ONE", "2026-11-24T13:00:00Z"),
                LIST,
                LIST,
                /* five minutes ahead; the service is away, the old ones still hold */
                {"PUT /latest/api/token", 0, NULL, NULL},
                {"PUT /latest/api/token", 503, NULL, NULL},
                LIST,
                LIST,
                /* a minute later it is back */
                ROUND("TWO", "2026-11-24T19:00:00Z"),
                LIST,
                /* and the keys are withdrawn before their end */
                {"GET /functions", 403, "x-amzn-ErrorType: ExpiredTokenException\n", "{}"},
                ROUND("THREE", "2026-11-24T20:00:00Z"),
                LIST};
        static const char *const used[] = {"ONE", "ONE", "ONE", "ONE", "TWO", "TWO", "THREE"};
        struct wire wire;
        size_t signed_calls = 0;
        clean_environment();
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, NULL);
        list(cloud);
        list(cloud);
        wire_clock.time_us += 56 * VN_US_PER_MIN;
        list(cloud);
        list(cloud);
        wire_clock.time_us += VN_US_PER_MIN;
        list(cloud);
        list(cloud);
        wire_check_done(&wire);
        CHECK(strstr(wire.asked[0], "X-aws-ec2-metadata-token-ttl-seconds: 21600"));
        CHECK(strstr(wire.asked[1], "X-aws-ec2-metadata-token: SESSION"));
        for (size_t i = 0; i < wire.at; i++) {
                const char *credential = strstr(wire.asked[i], "Credential=");
                if (!credential)
                        continue;
                CHECK(signed_calls < sizeof(used) / sizeof(used[0]));
                CHECK(!strncmp(credential + 11, used[signed_calls], strlen(used[signed_calls])));
                CHECK(strstr(wire.asked[i], "X-Amz-Security-Token: t\n"));
                signed_calls++;
        }
        CHECK_INT(7, signed_calls);
        vn_cloud_free(cloud);
}

static void check_refused(const char *profile, enum vn_rc want, const char *part)
{
        struct wire wire;
        struct vn_aws_keys keys;
        struct vn_err err = {0};
        wire_init(&wire, NULL, 0);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, profile);
        CHECK_RC(want, vn_aws_keys(cloud, &keys, &err));
        if (!strstr(err.msg, part))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", part, err.msg);
        CHECK(!strstr(err.msg, "HUSH"));
        vn_cloud_free(cloud);
}

TEST(aws_keys_that_are_not_to_be_had_are_said_place_by_place)
{
        clean_environment();
        setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
        check_refused(NULL, VN_UNAUTHENTICATED, "environment: AWS_ACCESS_KEY_ID");
        check_refused(NULL, VN_UNAUTHENTICATED, "profile \"default\": no keys");
        check_refused(NULL, VN_UNAUTHENTICATED, "instance metadata: switched off");
        check_refused("absent", VN_NOT_FOUND, "profile \"absent\": no keys");
        write_file(shared_config, "[profile role]\nrole_arn = arn:aws:iam::1:role/x\nsource_profile = default\n"
                                  "[profile alone]\nrole_arn = arn:aws:iam::1:role/x\n"
                                  "[profile loop]\nrole_arn = r\nsource_profile = loop2\n"
                                  "[profile loop2]\nrole_arn = r\nsource_profile = loop\n"
                                  "[profile runs]\ncredential_process = /bin/evil HUSH\n"
                                  "[profile odd]\naws_access_key_id = A\naws_secret_access_key = HUSH\x01\n");
        check_refused("role", VN_FAILED_PRECONDITION, "profile \"default\": no keys");
        check_refused("alone", VN_FAILED_PRECONDITION, "without source_profile");
        check_refused("loop", VN_FAILED_PRECONDITION, "more than 4 roles");
        check_refused("runs", VN_FAILED_PRECONDITION, "credential_process is not supported");
        check_refused("odd", VN_DATA_LOSS, "control characters");
        setenv("AWS_PROFILE", "role", 1);
        check_refused(NULL, VN_FAILED_PRECONDITION, "profile \"role\""); /* not passed over */
        setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/absent/token", 1);
        check_refused(NULL, VN_INVALID_ARGUMENT, "web identity: no role");
        setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/x", 1);
        check_refused(NULL, VN_FAILED_PRECONDITION, "there is no /absent/token");
        unsetenv("AWS_ROLE_ARN");
        clean_environment();
        setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "creds", 1);
        check_refused(NULL, VN_INVALID_ARGUMENT, "container");
        setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/creds", 1);
        setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "/absent/token", 1);
        check_refused(NULL, VN_FAILED_PRECONDITION, "container"); /* nor is this passed over */
}

static void check_container_answer(int status, const char *body, enum vn_rc want)
{
        const struct wire_step steps[] = {{NULL, status, NULL, body}, {NULL, status, NULL, body}};
        struct wire wire;
        struct vn_aws_keys keys;
        struct vn_err err = {0};
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, NULL);
        CHECK_RC(want, vn_aws_keys(cloud, &keys, &err));
        CHECK(!strstr(err.msg, "HUSH"));
        vn_cloud_free(cloud);
}

TEST(aws_answers_that_are_no_keys_are_refused)
{
        static const char *const bad[] = {
                "",
                "no JSON HUSH",
                "[]",
                "{\"AccessKeyId\":\"A\"}",
                "{\"AccessKeyId\":1,\"SecretAccessKey\":\"HUSH\"}",
                "{\"AccessKeyId\":\"A B\",\"SecretAccessKey\":\"HUSH\"}",
                "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSH\\r\\nX: y\"}",
                "{\"AccessKeyId\":\"A\",\"SecretAccessKey\":\"HUSH\",\"Expiration\":\"soon\"}"};
        clean_environment();
        setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:9/x", 1);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                check_container_answer(200, bad[i], VN_DATA_LOSS);
        check_container_answer(200, "{\"Code\":\"AssumeRoleUnauthorizedAccess\"}", VN_UNAVAILABLE);
        check_container_answer(500, "HUSH", VN_UNAVAILABLE);
        check_container_answer(404, "HUSH", VN_UNAVAILABLE);
        check_container_answer(0, NULL, VN_UNAVAILABLE);
}

#define ASSUMED(id, end)                                                                                             \
        "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><AssumeRoleResult><Credentials>"    \
        "<AccessKeyId>" id "</AccessKeyId>\n<SecretAccessKey>s/+=</SecretAccessKey><SessionToken>t-" id              \
        "</SessionToken><Expiration>" end "</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"

TEST(aws_roles_are_assumed_with_the_keys_of_their_source)
{
        static const struct wire_step steps[] = {
                {"POST https://sts.us-east-1.amazonaws.com/", 200, NULL, ASSUMED("MIDDLE", "2026-11-24T13:00:00Z")},
                {"POST https://sts.us-east-1.amazonaws.com/", 200, NULL,
                 ASSUMED("OUTER", "2026-11-24T13:00:00.000Z")},
                LIST,
                /* an hour later: the whole chain anew; the middle role's keys that end at once start no round of their own */
                {"POST https://sts.", 200, NULL, ASSUMED("MIDDLE2", "2026-11-24T12:57:00Z")},
                {"POST https://sts.", 200, NULL, ASSUMED("OUTER2", "2026-11-24T14:00:00Z")},
                LIST};
        struct wire wire;
        clean_environment();
        write_file(shared_credentials, "[base]\naws_access_key_id=BASE\naws_secret_access_key=s\n");
        write_file(shared_config, "[profile middle]\nrole_arn=arn:aws:iam::1:role/middle\nsource_profile=base\n"
                                  "[profile outer]\nrole_arn=arn:aws:iam::2:role/outer\nsource_profile=middle\n"
                                  "external_id=a b&c\nrole_session_name=me\n");
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, "outer");
        list(cloud);
        wire_clock.time_us += 56 * VN_US_PER_MIN;
        list(cloud);
        wire_check_done(&wire);
        CHECK(strstr(wire.asked[0], "Credential=BASE/") && strstr(wire.asked[0], "/sts/aws4_request"));
        CHECK(strstr(wire.asked[0],
                     "Action=AssumeRole&Version=2011-06-15&RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fmiddle"
                     "&RoleSessionName=vane-agent&DurationSeconds=3600"));
        CHECK(strstr(wire.asked[1], "Credential=MIDDLE/") &&
              strstr(wire.asked[1], "X-Amz-Security-Token: t-MIDDLE\n"));
        CHECK(strstr(wire.asked[1], "RoleSessionName=me&DurationSeconds=3600&ExternalId=a%20b%26c"));
        CHECK(strstr(wire.asked[2], "Credential=OUTER/") && strstr(wire.asked[5], "Credential=OUTER2/"));
        vn_cloud_free(cloud);
}

TEST(aws_web_identity_is_proof_without_a_signature)
{
        static const struct wire_step steps[] = {
                {"POST https://sts.us-east-1.amazonaws.com/", 200, NULL, ASSUMED("WEB", "2026-11-24T13:00:00Z")},
                LIST};
        struct wire wire;
        char path[300];
        clean_environment();
        snprintf(path, sizeof(path), "%s/token", test_dir());
        write_file(path, "eyJ.abc.def\n");
        setenv("AWS_WEB_IDENTITY_TOKEN_FILE", path, 1);
        setenv("AWS_ROLE_ARN", "arn:aws:iam::1:role/pod", 1);
        setenv("AWS_ROLE_SESSION_NAME", "pod-1", 1);
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, NULL);
        list(cloud);
        wire_check_done(&wire);
        CHECK(!strstr(wire.asked[0], "Credential="));
        CHECK(strstr(wire.asked[0], "Action=AssumeRoleWithWebIdentity&Version=2011-06-15") &&
              strstr(wire.asked[0], "RoleSessionName=pod-1") &&
              strstr(wire.asked[0], "WebIdentityToken=eyJ.abc.def"));
        CHECK(strstr(wire.asked[1], "Credential=WEB/") && strstr(wire.asked[1], "X-Amz-Security-Token: t-WEB\n"));
        vn_cloud_free(cloud);
}

static void check_role_answer(int status, const char *body, enum vn_rc want, const char *part)
{
        const struct wire_step step = {NULL, status, NULL, body}, steps[] = {step, step, step, step, step};
        struct wire wire;
        struct vn_aws_keys keys;
        struct vn_err err = {0};
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, "role");
        CHECK_RC(want, vn_aws_keys(cloud, &keys, &err));
        if (!strstr(err.msg, part) || strstr(err.msg, "HUSH"))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in, or HUSH is: %s", part, err.msg);
        vn_cloud_free(cloud);
}

TEST(aws_refused_roles_say_the_services_code)
{
#define REFUSED(code) "<ErrorResponse><Error><Code>" code "</Code><Message>HUSH</Message></Error></ErrorResponse>"
        clean_environment();
        write_file(shared_config, "[profile role]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=role\n"
                                  "aws_access_key_id=SELF\naws_secret_access_key=HUSH\n");
        check_role_answer(403, REFUSED("AccessDenied"), VN_PERMISSION_DENIED, "AccessDenied");
        check_role_answer(403, REFUSED("ExpiredToken"), VN_UNAUTHENTICATED, "ExpiredToken");
        check_role_answer(403, "<html>HUSH</html>", VN_UNAUTHENTICATED, "no code");
        check_role_answer(503, "", VN_UNAVAILABLE, "status 503");
        check_role_answer(0, NULL, VN_UNAVAILABLE, "role arn:aws:iam::1:role/x");
        check_role_answer(200, "", VN_DATA_LOSS, "without keys");
        check_role_answer(200, ASSUMED("A", "never"), VN_DATA_LOSS, "without keys");
        check_role_answer(200, ASSUMED("A&amp;B", "2026-11-24T13:00:00Z"), VN_DATA_LOSS, "without keys");
        check_role_answer(200, ASSUMED("A B", "2026-11-24T13:00:00Z"), VN_DATA_LOSS, "blanks");
        check_role_answer(200, "<AccessKeyId>HUSH", VN_DATA_LOSS, "without keys");
}

static enum vn_rc assume_once(void)
{
        static const struct wire_step steps[] = {{NULL, 200, NULL, ASSUMED("A", "2026-11-24T13:00:00Z")}};
        struct wire wire;
        struct vn_aws_keys keys;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws_without_keys(&wire, "role");
        enum vn_rc rc = cloud ? vn_aws_keys(cloud, &keys, NULL) : VN_RESOURCE_EXHAUSTED;
        vn_cloud_free(cloud);
        return rc;
}

TEST(aws_keys_survive_each_failed_allocation)
{
        clean_environment();
        write_file(shared_config, "[profile role]\nrole_arn=arn:aws:iam::1:role/x\nsource_profile=role\n"
                                  "aws_access_key_id=SELF\naws_secret_access_key=s\n");
        wire_may_fail = true;
        TEST_ALLOC_LOOP(assume_once);
        wire_may_fail = false;
}
