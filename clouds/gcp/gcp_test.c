/* The GCP side against scripted answers in the shapes of the discovery documents. */
#include "clouds/gcp/gcp.h"

#include <openssl/evp.h>
#include <openssl/pem.h>

#include "clouds/wire_test.h"

#define F "projects/p/locations/us-central1/functions/f"
#define TOKEN                                                                                                        \
        {                                                                                                            \
                "POST https://oauth2.googleapis.com/token", 200, NULL,                                               \
                        "{\"access_token\":\"ACC\",\"expires_in\":3599,\"token_type\":\"Bearer\"}"                   \
        }
#define FUNCTION(memory, updated)                                                                                    \
        "{\"name\":\"" F "\",\"environment\":\"GEN_2\",\"state\":\"ACTIVE\",\"updateTime\":\"" updated               \
        "\",\"buildConfig\":{\"runtime\":\"nodejs20\"},"                                                             \
        "\"serviceConfig\":{\"availableMemory\":\"" memory                                                           \
        "\",\"timeoutSeconds\":60,\"maxInstanceRequestConcurrency\":8,\"uri\":\"https://f-abc-uc.a.run.app\"}}"

static struct vn_cloud_function function_f(void)
{
        struct vn_cloud_function f = {
                .name = "f", .resource = F, .region = "us-central1", .url = "https://f-abc-uc.a.run.app"};
        return f;
}

TEST(gcp_memory_quantities)
{
        CHECK_INT(256, vn_gcp_memory_mb(VN_STR("256M")));
        CHECK_INT(512, vn_gcp_memory_mb(VN_STR("512Mi")));
        CHECK_INT(1024, vn_gcp_memory_mb(VN_STR("1Gi")));
        CHECK_INT(1536, vn_gcp_memory_mb(VN_STR("1.5G")));
        CHECK_INT(128, vn_gcp_memory_mb(VN_STR("134217728")));
        CHECK_INT(1, vn_gcp_memory_mb(VN_STR("1024k")));
        CHECK_INT(0, vn_gcp_memory_mb(VN_STR("")));
        CHECK_INT(0, vn_gcp_memory_mb(VN_STR("Mi")));
        CHECK_INT(0, vn_gcp_memory_mb(VN_STR("256i")));
        CHECK_INT(0, vn_gcp_memory_mb(VN_STR("-5Mi")));
        CHECK_INT(0, vn_gcp_memory_mb(VN_STR("1e30Gi")));
        CHECK_INT(0, vn_gcp_memory_mb(VN_STR("256MB")));
}

/* The claims of the JWT in a recorded token request, after checking its signature with the account's own key. */
static json_t *claims_of(const char *asked)
{
        VN_AUTO(vn_buf)
        claims = VN_BUF_INIT(8192);
        VN_AUTO(vn_buf)
        signature = VN_BUF_INIT(8192);
        VN_AUTO(vn_json)
        key_file = NULL;
        json_t *root = NULL;
        struct vn_str jwt = vn_str(strstr(asked, "assertion=") + strlen("assertion=")), rest = jwt, payload;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        EVP_PKEY *key;
        BIO *bio;

        vn_str_cut(&rest, '.');
        payload = vn_str_cut(&rest, '.');
        CHECK_OK(vn_base64_decode(payload, &claims));
        CHECK_OK(vn_base64_decode(rest, &signature));
        CHECK_OK(vn_json_load(vn_str(wire_gcp_key()), &key_file, NULL));
        bio = BIO_new_mem_buf(vn_json_str(key_file, "private_key").ptr, -1);
        key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        CHECK(key && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, key) == 1);
        CHECK_INT(1, EVP_DigestVerify(context, (const unsigned char *)signature.ptr, signature.len,
                                      (const unsigned char *)jwt.ptr, (size_t)(payload.ptr + payload.len - jwt.ptr)));
        EVP_PKEY_free(key);
        BIO_free(bio);
        EVP_MD_CTX_free(context);
        CHECK_OK(vn_json_load(vn_buf_view(&claims), &root, NULL));
        return root;
}

TEST(gcp_lists_all_locations_and_names_the_unreachable)
{
        static const struct wire_step steps[] = {
                TOKEN,
                {"GET https://cloudfunctions.googleapis.com/v2/projects/p/locations/-/functions?pageSize=1000", 200,
                 NULL,
                 "{\"functions\":[" FUNCTION("256M",
                                             "t1") "],\"nextPageToken\":\"a=b\",\"unreachable\":[\"us-east7\"]}"},
                {"GET pageSize=1000&pageToken=a%3Db", 200, NULL,
                 "{\"functions\":[{\"name\":\"projects/p/locations/europe-west1/functions/g\",\"state\":3}]}"},
                {"GET functions", 200, NULL, "{\"functions\":[{\"name\":\"nonsense\"}]}"},
                {"GET functions", 200, NULL, "{}"}};
        struct vn_cloud_list list;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        CHECK_INT(1, list.count); /* the other one is outside the account's region */
        CHECK_INT(1, list.unreachable_count);
        CHECK_TEXT("us-east7", list.unreachable[0]);
        CHECK(!list.complete);
        CHECK_INT(256, list.functions[0].memory_mb);
        CHECK_INT(8, list.functions[0].concurrency);
        CHECK(strstr(wire.asked[1], "Authorization: Bearer ACC"));
        vn_cloud_list_done(&list);
        CHECK_RC(VN_DATA_LOSS, vn_cloud_list(cloud, &list, NULL));
        CHECK_OK(vn_cloud_list(cloud, &list, NULL));
        CHECK_INT(0, list.count);
        VN_AUTO(vn_json)
        claims = claims_of(wire.asked[0]);
        CHECK(vn_str_eq(vn_json_str(claims, "iss"), VN_STR("sa@p.iam.gserviceaccount.com")));
        CHECK(vn_str_eq(vn_json_str(claims, "aud"), VN_STR("https://oauth2.googleapis.com/token")));
        CHECK(vn_json_pick_number(claims, "exp", 0) - vn_json_pick_number(claims, "iat", 0) == 3600);
        CHECK(vn_json_at(claims, "scope") && !vn_json_at(claims, "target_audience"));
        vn_cloud_free(cloud);
}

TEST(gcp_change_compares_masks_and_follows)
{
        static const struct wire_step steps[] = {
                TOKEN,
                {"GET /v2/" F, 200, NULL, FUNCTION("256M", "t1")}, /* read */
                {"GET /v2/" F, 200, NULL, FUNCTION("256M", "t1")},
                {"PATCH /v2/" F "?updateMask=serviceConfig.availableMemory", 200, NULL,
                 "{\"name\":\"projects/p/locations/l/operations/o\",\"done\":false}"},
                {"GET /v2/projects/p/locations/l/operations/o", 200, NULL,
                 "{\"name\":\"projects/p/locations/l/operations/o\"}"},
                {"GET /operations/o", 200, NULL,
                 "{\"name\":\"projects/p/locations/l/operations/o\",\"done\":true,\"response\":{}}"},
                {"GET /v2/" F, 200, NULL, FUNCTION("512Mi", "t2")},
                {"GET /v2/" F, 200, NULL, FUNCTION("512Mi", "t3")},
                {"GET /v2/" F, 200, NULL, FUNCTION("512Mi", "t2")},
                {"PATCH /v2/" F, 200, NULL,
                 "{\"name\":\"o\",\"done\":true,\"error\":{\"code\":3,\"message\":\"build failed\"}}"}};
        struct vn_cloud_function f = function_f(), read, got;
        struct vn_err err;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_read(cloud, &f, &read, NULL));
        CHECK_OK(vn_cloud_change(cloud, &read, VN_SETTING_MEMORY_MB, 512, VN_US_PER_MIN, &got, NULL));
        CHECK_INT(512, got.memory_mb);
        CHECK_TEXT("t2", got.guard);
        CHECK(strstr(wire.asked[3], "\"availableMemory\":\"512Mi\""));
        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &got, VN_SETTING_MEMORY_MB, 1024, VN_US_PER_MIN, &read,
                                             &err)); /* t3 by now */
        CHECK_RC(VN_ABORTED, vn_cloud_change(cloud, &got, VN_SETTING_MEMORY_MB, 1024, VN_US_PER_MIN, &read, &err));
        CHECK(strstr(err.msg, "build failed"));
        CHECK_RC(VN_OUT_OF_RANGE,
                 vn_cloud_change(cloud, &got, VN_SETTING_MEMORY_MB, 300, VN_US_PER_MIN, &read, &err));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(gcp_invoke_with_an_id_token_for_the_service)
{
        /* exp 1795525200 = 13:00 */
        static const struct wire_step steps[] = {
                {"POST https://oauth2.googleapis.com/token", 200, NULL,
                 "{\"id_token\":\"e30.eyJleHAiOjE3OTU1MjUyMDB9.c2ln\"}"},
                {"POST https://f-abc-uc.a.run.app/", 200, "X-Vane: 1\n", "ok"},
                {"POST https://f-abc-uc.a.run.app/", 429, NULL, "<html>no available instance"},
                {"POST token", 200, NULL, "{\"id_token\":\"e30.eyJleHAiOjE3OTU1MjUyMDB9.c2ln\"}"},
                {"POST https://f-abc-uc.a.run.app/", 504, NULL, ""},
                {"POST token", 400, NULL, "{\"error\":\"invalid_grant\",\"error_description\":\"Invalid JWT\"}"}};
        struct vn_cloud_function f = function_f();
        struct vn_cloud_result result;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK(strstr(wire.asked[1], "Bearer e30."));
        vn_cloud_result_done(&result);
        wire_clock.time_us += 54 * VN_US_PER_MIN;
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK(result.throttled);
        vn_cloud_result_done(&result);
        wire_clock.time_us += VN_US_PER_MIN;
        CHECK_OK(vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        CHECK(result.timed_out && result.function_error);
        vn_cloud_result_done(&result);
        CHECK_RC(VN_UNAUTHENTICATED, vn_cloud_invoke(cloud, &f, VN_STR("x"), &result, NULL));
        VN_AUTO(vn_json)
        claims = claims_of(wire.asked[0]);
        CHECK(vn_str_eq(vn_json_str(claims, "target_audience"), VN_STR("https://f-abc-uc.a.run.app")));
        CHECK(!vn_json_at(claims, "scope"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

static enum vn_rc take(void *arg, const struct vn_cloud_invocation *invocation)
{
        struct vn_cloud_invocation *items = arg;
        size_t i = 0;

        while (i < 3 && items[i].id_hash)
                i++;
        items[i] = *invocation;
        return VN_OK;
}

#define ENTRY(id, second, status, latency)                                                                           \
        "{\"insertId\":\"" id "\",\"timestamp\":\"2026-11-24T12:00:" second "Z\",\"labels\":{\"instanceId\":\"i\"}," \
        "\"resource\":{\"labels\":{\"service_name\":\"f\"}},\"httpRequest\":{\"status\":" status                     \
        ",\"latency\":\"" latency "\",\"requestSize\":\"120\"}}"

TEST(gcp_logs_go_on_through_empty_pages)
{
        static const struct wire_step steps[] = {
                TOKEN,
                {"POST https://logging.googleapis.com/v2/entries:list", 200, NULL, "{\"nextPageToken\":\"n\"}"},
                {"POST entries:list", 200, NULL,
                 "{\"entries\":[" ENTRY("a", "01.25", "200", "0.123456s") "," ENTRY("b", "02", "500", "1s") "," ENTRY(
                         "c", "03", "429", "") "]}"},
                {"POST entries:list", 200, NULL, "{\"entries\":[" ENTRY("a", "01", "200", "fast") "]}"}};
        struct vn_cloud_invocation items[4] = {0};
        struct vn_cloud_function f = function_f();
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);
        int64_t now = wire_clock.time_us;

        CHECK_OK(vn_cloud_logs(cloud, &f, now, now + VN_US_PER_MIN, take, items, NULL));
        CHECK_INT(now + 1250000, items[0].time_us);
        CHECK_INT(123456, items[0].duration_us);
        CHECK_INT(120, items[0].request_bytes);
        CHECK_INT(-1, items[0].response_bytes);
        CHECK(items[0].cold && !items[1].cold && !items[2].cold);
        CHECK(items[1].status == VN_INVOCATION_ERROR && items[2].status == VN_INVOCATION_THROTTLED);
        CHECK(strstr(wire.asked[1], "timestamp>=\\\"2026-11-24T12:00:00.000Z\\\""));
        CHECK(strstr(wire.asked[1], "service_name=\\\"f\\\""));
        CHECK_RC(VN_DATA_LOSS, vn_cloud_logs(cloud, &f, now, now + 1, take, items, NULL));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(gcp_metrics_sum_series_newest_first)
{
        static const struct wire_step steps[] = {
                TOKEN,
                {"GET "
                 "https://monitoring.googleapis.com/v3/projects/p/"
                 "timeSeries?filter=metric.type%3D%22run.googleapis.com%2Frequest_count%22",
                 200, NULL,
                 "{\"timeSeries\":[{\"metric\":{\"labels\":{\"response_code\":\"200\",\"response_code_class\":"
                 "\"2xx\"}},\"points\":["
                 "{\"interval\":{\"endTime\":\"2026-11-24T12:02:00Z\"},\"value\":{\"int64Value\":\"7\"}},"
                 "{\"interval\":{\"endTime\":\"2026-11-24T12:01:00Z\"},\"value\":{\"int64Value\":\"5\"}}]},"
                 "{\"metric\":{\"labels\":{\"response_code\":\"500\"}},\"points\":[{\"interval\":{\"endTime\":\"2026-"
                 "11-24T12:01:00Z\"},\"value\":{\"int64Value\":\"2\"}}]}]}"},
                {"GET "
                 "https://monitoring.googleapis.com/v3/projects/p/"
                 "timeSeries?filter=metric.type%3D%22run.googleapis.com%2Frequest_latencies%22",
                 200, NULL,
                 "{\"timeSeries\":[{\"metric\":{\"labels\":{\"response_code_class\":\"2xx\"}},\"points\":[{"
                 "\"interval\":{\"endTime\":\"2026-11-24T12:01:00Z\"},\"value\":{\"distributionValue\":{\"count\":"
                 "\"10\",\"mean\":150,\"bucketOptions\":{\"linearBuckets\":{\"numFiniteBuckets\":4,\"width\":100,"
                 "\"offset\":0}},\"bucketCounts\":[\"0\",\"5\",\"5\"]}}}]}]}"},
                {"GET container%2Fbillable_instance_time%22", 200, NULL,
                 "{\"timeSeries\":[{\"points\":[{\"interval\":{\"endTime\":\"2026-11-24T12:01:00Z\"},\"value\":{"
                 "\"doubleValue\":12.5}}]}]}"}};
        struct vn_cloud_minute minutes[4];
        struct vn_cloud_function f = function_f();
        struct wire wire;
        size_t count;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);
        int64_t now = wire_clock.time_us;

        CHECK_OK(vn_cloud_metrics(cloud, &f, now, now + VN_US_PER_HOUR, minutes, 4, &count, NULL));
        CHECK_INT(2, count);
        CHECK_INT(now, minutes[0].start_us);
        CHECK_NEAR(7, minutes[0].calls, 0);
        CHECK_NEAR(2, minutes[0].errors, 0);
        CHECK_NEAR(7, minutes[1].calls, 0);
        CHECK_NEAR(12.5, minutes[0].billed_instance_s, 0);
        CHECK_NEAR(190000, minutes[0].p95_us, 1e-6);
        CHECK_NEAR(0, minutes[1].p95_us, 0);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

#define SKU(text, unit, from, units, nanos)                                                                          \
        "{\"description\":\"" text                                                                                   \
        "\",\"category\":{\"usageType\":\"OnDemand\"},\"serviceRegions\":[\"us-central1\"],\"pricingInfo\":["        \
        "{\"pricingExpression\":{\"usageUnit\":\"" unit "\",\"tieredRates\":[{\"startUsageAmount\":" from            \
        ",\"unitPrice\":{\"currencyCode\":\"USD\",\"units\":\"" units "\",\"nanos\":" nanos "}}]}}]}"

TEST(gcp_prices_from_the_catalog)
{
        VN_AUTO(vn_buf)
        compute = VN_BUF_INIT(1 << 20);
        struct vn_cloud_price_list prices;
        struct wire wire;

        CHECK_OK(vn_file_read(test_data("clouds/gcp/opencost/skus.json"), &compute, NULL));
        const struct wire_step steps[] = {
                TOKEN,
                {"GET https://cloudbilling.googleapis.com/v1/services/152E-C115-5142/skus?currencyCode=USD", 200,
                 NULL,
                 "{\"skus\":[" SKU("CPU Allocation Time", "s", "0", "0", "24000") "," SKU(
                         "Memory Allocation Time", "GiBy.s", "0", "0", "2500") "],\"nextPageToken\":\"n\"}"},
                {"GET pageToken=n", 200, NULL,
                 "{\"skus\":[" SKU("Requests", "count", "2000000", "0",
                                   "400") "," SKU("Min Instance CPU Allocation Time", "s", "0", "9", "0") "]}"},
                {"GET skus", 200, NULL, compute.ptr},
                {"GET pageToken=APKCS1", 200, NULL, "{}"}};
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_gcp(&wire);

        CHECK_OK(vn_cloud_prices(cloud, &prices, NULL));
        CHECK_INT(4, prices.count);
        CHECK(prices.prices[0].meter == VN_METER_GIB_SECOND);
        CHECK(prices.prices[3].meter == VN_METER_READY_VCPU_SECOND);
        CHECK_INT(9 * INT64_C(1000000000000), prices.prices[3].pico_usd);
        CHECK_INT(2500000, prices.prices[0].pico_usd);
        CHECK_INT(24000000, prices.prices[1].pico_usd);
        CHECK_NEAR(2e6, prices.prices[2].from_units, 0);
        vn_cloud_price_list_done(&prices);
        CHECK_RC(VN_NOT_FOUND, vn_cloud_prices(cloud, &prices, NULL)); /* a real page, of another service */
        vn_cloud_free(cloud);
}
