/* One object into each of the three stores, against scripted answers; S3's own rule of signing by AWS's example. */
#include "clouds/object.h"

#include "clouds/sigv4.h"
#include "clouds/wire_test.h"

static struct vn_cloud_object object_of(const char *bucket)
{
        return (struct vn_cloud_object){.bucket = vn_str(bucket),
                                        .account = VN_STR("store1"),
                                        .key = VN_STR("vane/v1/function=a b/x.ndjson.zst"),
                                        .body = VN_STR("BYTES"),
                                        .content_type = "application/zstd"};
}

static bool asked_with(const struct wire *wire, size_t call, const char *text)
{
        return strstr(wire->asked[call], text) != NULL;
}

/* "Signature Calculations for the Authorization Header", example PUT Object, of the S3 API reference. */
TEST(object_s3_signs_the_path_as_it_is_sent)
{
        const struct vn_sigv4_header headers[] = {{VN_STR("Host"), VN_STR("examplebucket.s3.amazonaws.com")},
                                                  {VN_STR("Date"), VN_STR("Fri, 24 May 2013 00:00:00 GMT")},
                                                  {VN_STR("x-amz-storage-class"), VN_STR("REDUCED_REDUNDANCY")}};
        const struct vn_sigv4_request request = {
                VN_STR("PUT"), VN_STR("/test%24file.text"), VN_STR(""), headers, 3, VN_STR("Welcome to Amazon S3.")};
        const struct vn_sigv4_key key = {VN_STR("AKIAIOSFODNN7EXAMPLE"),
                                         VN_STR("wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"), VN_STR(""),
                                         VN_STR("us-east-1"), VN_STR("s3")};
        const struct vn_sigv4_options options = {
                .time_us = INT64_C(1369353600000000), .sign_body_header = true, .path_as_sent = true};
        struct vn_sigv4_result result;
        vn_sigv4_result_init(&result);
        CHECK_OK(vn_sigv4_sign_headers(&request, &key, &options, &result, NULL));
        CHECK_TEXT("98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd", result.signature);
        vn_sigv4_result_done(&result);
}

TEST(object_put_on_aws_is_a_signed_put_by_path)
{
        static const struct wire_step steps[] = {
                {"PUT https://s3.us-east-1.amazonaws.com/logs-1/vane/v1/function%3Da%20b/x.ndjson.zst", 200, NULL,
                 ""}};
        struct wire wire;
        struct vn_cloud_object object = object_of("logs-1");
        int64_t wait_us;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        CHECK_OK(vn_cloud_put_object(cloud, &object, &wait_us, NULL));
        CHECK(asked_with(&wire, 0, "/us-east-1/s3/aws4_request"));
        CHECK(asked_with(&wire, 0, "X-Amz-Security-Token: TOKEN"));
        CHECK(asked_with(&wire, 0, "Content-Type: application/zstd"));
        CHECK(asked_with(&wire, 0, "\n\nBYTES"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(object_put_on_azure_names_the_account_in_the_host_and_its_token_is_for_storage)
{
        static const struct wire_step steps[] = {
                {"POST https://login.microsoftonline.com/t/oauth2/v2.0/token", 200, NULL,
                 "{\"access_token\":\"ACC\",\"expires_in\":3599}"},
                {"PUT https://store1.blob.core.windows.net/logs-1/vane/v1/function%3Da%20b/x.ndjson.zst", 201, NULL,
                 ""}};
        struct wire wire;
        struct vn_cloud_object object = object_of("logs-1");
        int64_t wait_us;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_azure(&wire);
        CHECK_OK(vn_cloud_put_object(cloud, &object, &wait_us, NULL));
        CHECK(asked_with(&wire, 0, "scope=https%3A%2F%2Fstorage.azure.com%2F.default"));
        CHECK(asked_with(&wire, 1, "x-ms-blob-type: BlockBlob"));
        CHECK(asked_with(&wire, 1, "x-ms-version: "));
        CHECK(asked_with(&wire, 1, "Authorization: Bearer ACC"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(object_put_on_gcp_is_one_upload)
{
        static const struct wire_step steps[] = {
                {"POST https://oauth2.googleapis.com/token", 200, NULL,
                 "{\"access_token\":\"ACC\",\"expires_in\":3599}"},
                {"POST https://storage.googleapis.com/upload/storage/v1/b/logs-1/"
                 "o?uploadType=media&name=vane%2Fv1%2Ffunction%3Da%20b%2Fx.ndjson.zst",
                 200, NULL, "{}"}};
        struct wire wire;
        struct vn_cloud_object object = object_of("logs-1");
        int64_t wait_us;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);
        CHECK_OK(vn_cloud_put_object(cloud, &object, &wait_us, NULL));
        CHECK(asked_with(&wire, 1, "Authorization: Bearer ACC"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(object_put_is_sent_once_and_says_how_long_to_wait_and_what_was_wrong)
{
        static const struct wire_step steps[] = {
                {"PUT ", 503, "Retry-After: 7\n", "<?xml version=\"1.0\"?><Error><Code>SlowDown</Code></Error>"},
                {"PUT ", 404, NULL, "<Error><Code>NoSuchBucket</Code><Message>m</Message></Error>"},
                {"PUT ", 0, NULL, NULL}};
        struct wire wire;
        struct vn_cloud_object object = object_of("logs-1");
        struct vn_err err = {0};
        int64_t wait_us;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        CHECK_RC(VN_UNAVAILABLE, vn_cloud_put_object(cloud, &object, &wait_us, &err));
        CHECK_INT(7 * VN_US_PER_S, wait_us);
        CHECK(strstr(err.msg, "503 SlowDown"));
        CHECK_RC(VN_NOT_FOUND, vn_cloud_put_object(cloud, &object, &wait_us, &err));
        CHECK_INT(0, wait_us);
        CHECK(strstr(err.msg, "404 NoSuchBucket"));
        CHECK_RC(VN_UNAVAILABLE, vn_cloud_put_object(cloud, &object, &wait_us, &err));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(object_names_that_could_leave_their_place_are_refused)
{
        static const char *const bad[] = {"", "ab", "a/b", "..%2f", "UPPER", "a b", "host?x"};
        struct wire wire;
        int64_t wait_us;
        wire_init(&wire, NULL, 0);
        struct vn_cloud *cloud = wire_azure(&wire);
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
                struct vn_cloud_object object = object_of(bad[i]);
                CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_put_object(cloud, &object, &wait_us, NULL));
                if (bad[i][0]) {
                        object = object_of("logs-1");
                        object.account = vn_str(bad[i]);
                        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_put_object(cloud, &object, &wait_us, NULL));
                }
        }
        vn_cloud_free(cloud);
}
