#include "clouds/permissions.h"

#include "clouds/wire_test.h"

static json_t *document(enum vn_cloud_kind cloud, enum vn_permission_level level, const struct vn_policy_scope *scope)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(65536);
        json_t *root;

        CHECK_OK(vn_policy_document(cloud, level, scope, VN_POLICY_JSON, &text, NULL));
        root = json_loads(text.ptr, 0, NULL);
        CHECK(root);
        return root;
}

TEST(an_aws_policy_is_narrowed_where_it_can_be_and_fits_into_iam)
{
        const struct vn_policy_scope scope = {VN_STR("prod"), VN_STR("123456789012"), VN_STR("eu-west-1"),
                                              VN_STR("logs")};
        VN_AUTO(vn_json)
        root = document(VN_CLOUD_AWS, VN_MAY_INVOKE, &scope);
        json_t *statement;
        size_t i, found = 0;
        char *compact = json_dumps(root, JSON_COMPACT);

        CHECK(strlen(compact) < 6144);
        free(compact);
        json_array_foreach(json_object_get(root, "Statement"), i, statement)
        {
                const char *resource = json_string_value(json_object_get(statement, "Resource"));
                found += !strcmp(resource, "arn:aws:lambda:eu-west-1:123456789012:function:*");
                found += !strcmp(resource, "arn:aws:logs:eu-west-1:123456789012:log-group:/aws/lambda/*");
                found += !strcmp(resource, "arn:aws:iam::123456789012:role/vane-invoke");
                found += !strcmp(resource, "arn:aws:s3:::logs/*");
                /* What may be done to anything is reading, nothing else. */
                if (!strcmp(resource, "*"))
                        CHECK(!strcmp(json_string_value(json_object_get(statement, "Sid")), "VaneObserve"));
        }
        CHECK_INT(6, found); /* functions at three levels */
}

TEST(a_number_that_is_not_known_is_a_named_placeholder)
{
        const struct vn_policy_scope scope = {.name = VN_STR("new")};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(65536);

        CHECK_OK(vn_policy_document(VN_CLOUD_AWS, VN_MAY_TUNE, &scope, VN_POLICY_OWN, &text, NULL));
        CHECK(strstr(text.ptr, "arn:aws:lambda:*:ACCOUNT_NUMBER:function:*"));
        CHECK(strstr(text.ptr, "VaneTuneFunctionsReplaceACCOUNTNUMBER"));
        vn_buf_reset(&text);
        CHECK_OK(vn_policy_document(VN_CLOUD_AZURE, VN_MAY_TUNE, &scope, VN_POLICY_OWN, &text, NULL));
        CHECK(strstr(text.ptr, "Replace SUBSCRIPTION_ID before use."));
        vn_buf_reset(&text);
        CHECK_OK(vn_policy_document(VN_CLOUD_GCP, VN_MAY_TUNE, &scope, VN_POLICY_OWN, &text, NULL));
        CHECK(strstr(text.ptr, "replace PROJECT_ID"));
        CHECK(strstr(text.ptr, "iam.serviceAccounts.actAs"));
        CHECK(strstr(text.ptr, "\n  - cloudfunctions.functions.update\n"));
}

TEST(a_lower_level_has_nothing_of_a_higher_one_and_a_higher_all_of_a_lower)
{
        const struct vn_policy_scope scope = {VN_STR("a"), VN_STR("123456789012"), VN_STR("eu-west-1"), VN_STR("")};

        for (unsigned cloud = VN_CLOUD_AWS; cloud <= VN_CLOUD_GCP; cloud++) {
                for (unsigned level = VN_MAY_OBSERVE; level <= VN_MAY_INVOKE; level++) {
                        VN_AUTO(vn_buf)
                        text = VN_BUF_INIT(65536);
                        CHECK_OK(vn_policy_document((enum vn_cloud_kind)cloud, (enum vn_permission_level)level,
                                                    &scope, VN_POLICY_JSON, &text, NULL));
                        for (size_t i = 0; i < vn_permission_count; i++) {
                                char quoted[128];
                                if (vn_permissions[i].cloud != (enum vn_cloud_kind)cloud)
                                        continue;
                                snprintf(quoted, sizeof(quoted), "\"%s\"", vn_permissions[i].name);
                                CHECK((strstr(text.ptr, quoted) != NULL) == (vn_permissions[i].level <= level));
                        }
                        CHECK(!strstr(text.ptr, "\"*:") && !strstr(text.ptr, "/*\",")); /* no wildcard actions */
                }
        }
}

TEST(what_could_not_stand_in_a_document_is_refused)
{
        static const char *const bad[] = {"\"", "a b", "*", "$(x)", "a\nb", "é"};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(65536);

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct vn_policy_scope account = {.account = vn_str(bad[i])}, bucket = {.bucket = vn_str(bad[i])},
                                       region = {.region = vn_str(bad[i])};
                CHECK_RC(VN_INVALID_ARGUMENT,
                         vn_policy_document(VN_CLOUD_AWS, VN_MAY_TUNE, &account, VN_POLICY_OWN, &text, NULL));
                CHECK_RC(VN_INVALID_ARGUMENT,
                         vn_policy_document(VN_CLOUD_GCP, VN_MAY_TUNE, &bucket, VN_POLICY_OWN, &text, NULL));
                CHECK_RC(VN_INVALID_ARGUMENT,
                         vn_policy_document(VN_CLOUD_AWS, VN_MAY_TUNE, &region, VN_POLICY_OWN, &text, NULL));
        }
        CHECK_INT(0, text.len);
}

TEST(a_full_name_says_whose_it_is)
{
        CHECK(vn_str_eq(
                vn_policy_account_of(VN_CLOUD_AWS, VN_STR("arn:aws:lambda:eu-west-1:123456789012:function:f")),
                VN_STR("123456789012")));
        CHECK(vn_str_eq(vn_policy_account_of(VN_CLOUD_AZURE, VN_STR("/subscriptions/S-1/resourceGroups/g")),
                        VN_STR("S-1")));
        CHECK(vn_str_eq(vn_policy_account_of(VN_CLOUD_GCP, VN_STR("projects/p-1/locations/l/functions/f")),
                        VN_STR("p-1")));
        CHECK_INT(0, vn_policy_account_of(VN_CLOUD_AWS, VN_STR("f")).len);
        CHECK_INT(0, vn_policy_account_of(VN_CLOUD_AWS, VN_STR("arn:aws")).len);
}

static struct vn_cloud_function function = {.name = "f",
                                            .resource = "/subscriptions/s/resourceGroups/g/providers/"
                                                        "Microsoft.Web/sites/f"};

static void check_ability(struct vn_cloud *cloud, struct wire *wire, enum vn_permission_level level,
                          const char *refused)
{
        struct vn_cloud_abilities abilities;
        struct vn_err err;

        CHECK_OK(vn_cloud_abilities(cloud, &function, &abilities, &err));
        CHECK_INT(level, abilities.level);
        CHECK(!strcmp(refused, abilities.refused));
        wire_check_done(wire);
        vn_cloud_free(cloud);
}

#define DENIED "x-amzn-errortype: AccessDeniedException\n"
#define LAMBDA_PUT "PUT /2015-03-31/functions/f/configuration"
#define LAMBDA_POST "POST /2015-03-31/functions/f/invocations"

TEST(aws_is_asked_by_requests_that_change_nothing)
{
        static const struct wire_step observes[] = {{LAMBDA_PUT, 403, DENIED, "{}"},
                                                    {LAMBDA_POST, 403, DENIED, "{}"}},
                                      tunes[] = {{LAMBDA_PUT, 412, "x-amzn-errortype: PreconditionFailedException\n",
                                                  "{}"},
                                                 {LAMBDA_POST, 403, DENIED, "{}"}},
                                      all[] = {{LAMBDA_PUT, 409, "x-amzn-errortype: ResourceConflictException\n",
                                                "{}"},
                                               {LAMBDA_POST, 204, NULL, ""}};
        struct wire wire;

        WIRE_INIT(&wire, observes);
        check_ability(wire_aws(&wire), &wire, VN_MAY_OBSERVE, "lambda:UpdateFunctionConfiguration");
        CHECK(strstr(wire.asked[0], "{\"RevisionId\":\"00000000-0000-0000-0000-000000000000\"}"));
        CHECK(strstr(wire.asked[1], "DryRun"));
        WIRE_INIT(&wire, tunes);
        check_ability(wire_aws(&wire), &wire, VN_MAY_TUNE, "lambda:InvokeFunction");
        WIRE_INIT(&wire, all);
        check_ability(wire_aws(&wire), &wire, VN_MAY_INVOKE, "");
}

#define TOKEN                                                                                                        \
        {                                                                                                            \
                NULL, 200, NULL, "{\"access_token\":\"t\",\"expires_in\":3599}"                                      \
        }

TEST(azure_roles_have_wildcards_and_exceptions)
{
        static const struct wire_step reader[] = {
                TOKEN,
                {"GET Microsoft.Authorization/permissions", 200, NULL, "{\"value\":[{\"actions\":[\"*/read\"]}]}"}};
        static const struct wire_step contributor[] = {
                TOKEN,
                {NULL, 200, NULL,
                 "{\"value\":[{\"actions\":[\"*/read\"],\"notActions\":[]},"
                 "{\"actions\":[\"microsoft.web/Sites/*\"],\"notActions\":[\"*/listKeys/action\"]}]}"}};
        static const struct wire_step owner[] = {TOKEN, {NULL, 200, NULL, "{\"value\":[{\"actions\":[\"*\"]}]}"}};
        struct wire wire;

        WIRE_INIT(&wire, reader);
        check_ability(wire_azure(&wire), &wire, VN_MAY_OBSERVE, "Microsoft.Web/sites/write");
        WIRE_INIT(&wire, contributor);
        check_ability(wire_azure(&wire), &wire, VN_MAY_TUNE, "Microsoft.Web/sites/host/listkeys/action");
        WIRE_INIT(&wire, owner);
        check_ability(wire_azure(&wire), &wire, VN_MAY_INVOKE, "");
}

TEST(gcp_leaves_the_member_out_when_nothing_is_held)
{
        static const struct wire_step none[] = {TOKEN, {"POST :testIamPermissions", 200, NULL, "{}"}};
        static const struct wire_step all[] = {
                TOKEN,
                {"POST :testIamPermissions", 200, NULL,
                 "{\"permissions\":[\"run.routes.invoke\",\"cloudfunctions.functions.update\"]}"}};
        struct wire wire;

        WIRE_INIT(&wire, none);
        check_ability(wire_gcp(&wire), &wire, VN_MAY_OBSERVE, "cloudfunctions.functions.update");
        WIRE_INIT(&wire, all);
        check_ability(wire_gcp(&wire), &wire, VN_MAY_INVOKE, "");
}

/* As YAML: jansson's own writer passes over a key when memory is out. */
static enum vn_cloud_kind kind_to_make;
static size_t whole_len;

static enum vn_rc make_one(void)
{
        const struct vn_policy_scope scope = {VN_STR("a"), VN_STR("1"), VN_STR("r"), VN_STR("b")};
        struct vn_buf text = VN_BUF_INIT(65536);
        enum vn_rc rc = vn_policy_document(kind_to_make, VN_MAY_INVOKE, &scope, VN_POLICY_YAML, &text, NULL);

        CHECK(rc != VN_OK || !whole_len || text.len == whole_len);
        if (!whole_len)
                whole_len = text.len;
        vn_buf_done(&text);
        return rc;
}

TEST(a_document_is_whole_or_not_there)
{
        for (unsigned kind = VN_CLOUD_AWS; kind <= VN_CLOUD_GCP; kind++) {
                kind_to_make = (enum vn_cloud_kind)kind;
                whole_len = 0;
                CHECK_OK(make_one());
                TEST_ALLOC_LOOP(make_one);
        }
}
