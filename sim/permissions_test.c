#include "sim/permissions.h"

#include "sim/sim_test.h"

static json_t *parse(enum vn_platform_cloud cloud, const char *text)
{
        json_t *policy;
        CHECK_OK(vn_sim_policy_parse(cloud, vn_str(text), &policy, NULL));
        return policy;
}

TEST(iam_actions_have_wildcards_without_case_resources_with)
{
        VN_AUTO(vn_json)
        p = parse(VN_PLATFORM_AWS,
                  "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":"
                  "[\"lambda:Get*\",\"logs:FilterLogEvents\"],\"Resource\":\"arn:aws:lambda:*:1:function:a?c*\"}]}");
        const char *yes = "arn:aws:lambda:r:1:function:abc-1";
        CHECK(vn_sim_policy_allows(VN_PLATFORM_AWS, p, "lambda:GetFunctionConfiguration", yes));
        CHECK(vn_sim_policy_allows(VN_PLATFORM_AWS, p, "Lambda:getalias", yes));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_AWS, p, "lambda:UpdateAlias", yes));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_AWS, p, "lambda:GetAlias", "arn:aws:lambda:r:2:function:abc-1"));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_AWS, p, "lambda:GetAlias", "arn:aws:lambda:r:1:function:ABC-1"));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_AWS, p, "lambda:GetAlias", "arn:aws:lambda:r:1:function:ac"));
}

TEST(azure_roles_hold_in_their_scope_and_have_exceptions)
{
        VN_AUTO(vn_json)
        p = parse(VN_PLATFORM_AZURE,
                  "{\"Name\":\"n\",\"IsCustom\":true,\"Actions\":[\"Microsoft.Web/sites/*\"],\"NotActions\":[\"*/"
                  "write\"],"
                  "\"DataActions\":[],\"NotDataActions\":[],\"AssignableScopes\":[\"/subscriptions/S\"]}");
        CHECK(vn_sim_policy_allows(VN_PLATFORM_AZURE, p, "microsoft.web/Sites/functions/read", "/subscriptions/s"));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_AZURE, p, "Microsoft.Web/sites/write", "/subscriptions/S"));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_AZURE, p, "Microsoft.Web/sites/read", "/subscriptions/T"));
}

TEST(gcp_roles_come_as_yaml_and_have_no_wildcards)
{
        VN_AUTO(vn_json)
        p = parse(VN_PLATFORM_GCP,
                  "# a note\ntitle: \"t\"\nstage: \"GA\"\nincludedPermissions:\n  - run.services.get\n  - \"a.*\"\n");
        CHECK(vn_sim_policy_allows(VN_PLATFORM_GCP, p, "run.services.get", ""));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_GCP, p, "a.b", ""));
        CHECK(!vn_sim_policy_allows(VN_PLATFORM_GCP, p, "run.services.update", ""));
}

TEST(what_a_cloud_would_not_take_is_refused)
{
        static const struct {
                enum vn_platform_cloud cloud;
                const char *text;
        } bad[] = {
                {VN_PLATFORM_AWS, "{}"},
                {VN_PLATFORM_AWS, "{\"Version\":\"2008-10-17\",\"Statement\":[]}"},
                {VN_PLATFORM_AWS, "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Deny\",\"Action\":\"*\","
                                  "\"Resource\":\"*\"}]}"},
                {VN_PLATFORM_AWS,
                 "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Sid\":\"a b\",\"Effect\":\"Allow\",\"Action\":\"*\","
                 "\"Resource\":\"*\"}]}"},
                {VN_PLATFORM_AZURE, "{\"Name\":\"n\",\"IsCustom\":true}"},
                {VN_PLATFORM_GCP, "title: x\n"},
                {VN_PLATFORM_GCP, "no colon here\n"}};
        struct vn_err err;
        json_t *policy;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_sim_policy_parse(bad[i].cloud, vn_str(bad[i].text), &policy, &err));
}
