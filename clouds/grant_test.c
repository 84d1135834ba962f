#include "clouds/grant.h"

#include "clouds/wire_test.h"

#define ARN(name) "arn:aws:lambda:us-east-1:1:function:" name
#define SITE "/subscriptions/s/resourceGroups/g/providers/Microsoft.Web/sites/a"

static struct vn_cloud_function one = {.name = "f", .region = "us-east-1", .resource = ARN("f")},
                                two = {.name = "g", .region = "us-east-1", .resource = ARN("g")};

static bool has(const struct vn_cloud_grant *grant, const char *text)
{
        return memmem(grant->secret.ptr, grant->secret.len, text, strlen(text)) != NULL;
}

#define SESSION                                                                                                      \
        "<AssumeRoleResponse><AssumeRoleResult><Credentials><AccessKeyId>ASIA</AccessKeyId>"                         \
        "<SecretAccessKey>s3</SecretAccessKey><SessionToken>t4</SessionToken>"                                       \
        "<Expiration>2026-11-24T12:15:00Z</Expiration></Credentials></AssumeRoleResult></AssumeRoleResponse>"

TEST(an_aws_grant_is_a_session_narrowed_to_the_functions)
{
        static const struct wire_step steps[] = {{"POST https://sts.us-east-1.amazonaws.com/", 200, NULL, SESSION}};
        const struct vn_cloud_function *functions[] = {&one, &two};
        struct vn_cloud_grant grant;
        struct wire wire;

        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        cloud->config.grant_role_arn = VN_STR("arn:aws:iam::1:role/vane-invoke");
        CHECK_OK(vn_cloud_grant(cloud, functions, 2, 300, &grant, NULL));
        CHECK(strstr(wire.asked[0], "RoleArn=arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fvane-invoke"));
        CHECK(strstr(wire.asked[0], "DurationSeconds=900")); /* the least that the service gives */
        CHECK(strstr(wire.asked[0], "%22Action%22%3A%22lambda%3AInvokeFunction%22%2C%22Resource%22%3A%5B"
                                    "%22arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Af%22%2C"
                                    "%22arn%3Aaws%3Alambda%3Aus-east-1%3A1%3Afunction%3Ag%22%5D%7D%5D%7D"));
        CHECK(has(&grant, "cloud aws\n") && has(&grant, "secret_access_key s3\n") &&
              has(&grant, "session_token t4\n"));
        CHECK(has(&grant, "function f\nfunction g\n"));
        CHECK_INT(vn_now_us(&wire_clock.clock) + 900 * VN_US_PER_S, grant.expires_us);
        CHECK_INT(grant.expires_us, grant.honoured_until_us);
        vn_cloud_grant_done(&grant);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(nothing_is_asked_for_a_grant_that_would_be_too_wide)
{
        static const struct wire_step none[] = {{NULL, 500, NULL, ""}};
        struct vn_cloud_function all = {.name = "*", .resource = ARN("*")}, nameless = {.name = "f"};
        const struct vn_cloud_function *functions[VN_CLOUD_GRANT_MAX_FUNCTIONS + 1];
        struct vn_cloud_grant grant;
        struct wire wire;

        wire_init(&wire, none, 0);
        struct vn_cloud *cloud = wire_aws(&wire);
        for (size_t i = 0; i <= VN_CLOUD_GRANT_MAX_FUNCTIONS; i++)
                functions[i] = &one;
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_grant(cloud, functions, 1, 900, &grant, NULL)); /* no role is named */
        cloud->config.grant_role_arn = VN_STR("arn:aws:iam::1:role/vane-invoke");
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_grant(cloud, functions, 0, 900, &grant, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_cloud_grant(cloud, functions, VN_CLOUD_GRANT_MAX_FUNCTIONS + 1, 900, &grant, NULL));
        functions[0] = &all;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_grant(cloud, functions, 1, 900, &grant, NULL));
        functions[0] = &nameless;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_grant(cloud, functions, 1, 900, &grant, NULL));
        CHECK_INT(0, vn_cloud_call_count(cloud));
        vn_cloud_free(cloud);
}

#define TOKEN                                                                                                        \
        {                                                                                                            \
                NULL, 200, NULL, "{\"access_token\":\"t\",\"expires_in\":3599}"                                      \
        }

TEST(an_azure_grant_is_the_function_s_own_key_not_the_host_s)
{
        static const struct wire_step steps[] = {
                TOKEN, {"POST " SITE "/functions/hello/listkeys", 200, NULL, "{\"default\":\"k==\"}"}};
        static struct vn_cloud_function f = {
                .name = "a", .region = "eastus", .resource = SITE, .url = "https://a.azurewebsites.net/api/hello"};
        const struct vn_cloud_function *functions[] = {&f};
        struct vn_cloud_grant grant;
        struct wire wire;

        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);
        CHECK_OK(vn_cloud_grant(cloud, functions, 1, 900, &grant, NULL));
        CHECK(has(&grant, "function a\nregion eastus\nurl https://a.azurewebsites.net/api/hello\n"
                          "header x-functions-key\nvalue k==\n"));
        CHECK_INT(vn_now_us(&wire_clock.clock) + 900 * VN_US_PER_S, grant.expires_us);
        CHECK_INT(0, grant.honoured_until_us); /* without end */
        CHECK(strstr(grant.honoured, "rotation"));
        vn_cloud_grant_done(&grant);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(a_value_of_two_lines_makes_no_grant)
{
        static const struct wire_step steps[] = {
                TOKEN, {"POST " SITE "/functions/hello/listkeys", 200, NULL, "{\"default\":\"k\\nfunction other\"}"}};
        static struct vn_cloud_function f = {.name = "a", .resource = SITE, .url = "https://a.example/api/hello"};
        const struct vn_cloud_function *functions[] = {&f};
        struct vn_cloud_grant grant;
        struct wire wire;

        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);
        CHECK(vn_cloud_grant(cloud, functions, 1, 900, &grant, NULL) != VN_OK);
        CHECK_INT(0, grant.secret.len);
        vn_cloud_free(cloud);
}

TEST(a_gcp_grant_is_an_id_token_for_each_address_and_used_for_less_than_it_is_honoured)
{
        static const struct wire_step steps[] = {{"POST /token", 200, NULL, "{\"id_token\":\"aaa.e30.sig\"}"},
                                                 {"POST /token", 200, NULL, "{\"id_token\":\"bbb.e30.sig\"}"}};
        static struct vn_cloud_function f = {.name = "f", .region = "r", .url = "https://f.a.run.app"},
                                        g = {.name = "g", .region = "r", .url = "https://g.a.run.app"};
        const struct vn_cloud_function *functions[] = {&f, &g};
        struct vn_cloud_grant grant;
        struct wire wire;

        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);
        CHECK_OK(vn_cloud_grant(cloud, functions, 2, 900, &grant, NULL));
        CHECK(has(&grant, "function f\nregion r\nurl https://f.a.run.app\nheader authorization\n"
                          "value Bearer aaa.e30.sig\nfunction g\n"));
        CHECK(has(&grant, "value Bearer bbb.e30.sig\n"));
        CHECK_INT(vn_now_us(&wire_clock.clock) + 900 * VN_US_PER_S, grant.expires_us);
        CHECK_INT(vn_now_us(&wire_clock.clock) + VN_US_PER_HOUR, grant.honoured_until_us);
        vn_cloud_grant_done(&grant);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}
