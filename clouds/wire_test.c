/* The scripted transport, and what all three clouds share: retries, error texts, tokens, clock skew. */
#include "clouds/wire_test.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#define NOON INT64_C(1795521600000000) /* 2026-11-24T12:00:00Z */

struct vn_clock_fake wire_clock;
bool wire_may_fail;

static void keep(struct wire *wire, const struct vn_cloud_request *request)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);

        CHECK(wire->at < WIRE_MAX_ASKED);
        vn_buf_printf(&text, "%s %s\n", request->method, request->url);
        for (size_t i = 0; i < request->header_count; i++)
                vn_buf_printf(&text, "%.*s: %.*s\n", VN_FMT(request->headers[i].name),
                              VN_FMT(request->headers[i].value));
        vn_buf_printf(&text, "\n%.*s", VN_FMT(request->body));
        vn_text_copy(wire->asked[wire->at], sizeof(wire->asked[0]), vn_buf_view(&text));
}

static enum vn_rc send_scripted(void *state, const struct vn_cloud_request *request,
                                struct vn_cloud_response *response, struct vn_err *err)
{
        struct wire *wire = state;
        const struct wire_step *step = &wire->steps[wire->at];
        struct vn_str rest, expect;

        if (wire->at >= wire->count)
                test_fail(__FILE__, __LINE__, "one call too many: %s %s", request->method, request->url);
        keep(wire, request);
        wire->at++;
        expect = vn_str(step->expect);
        if (expect.ptr) {
                struct vn_str method = vn_str_cut(&expect, ' ');
                if (!vn_str_eq(method, vn_str(request->method)) || !strstr(request->url, expect.ptr))
                        test_fail(__FILE__, __LINE__, "call %zu: want %s, got %s %s", wire->at, step->expect,
                                  request->method, request->url);
        }
        if (step->status == 0)
                return vn_fail(err, VN_UNAVAILABLE, "the connection broke");
        response->status = step->status;
        rest = vn_str(step->headers);
        while (rest.ptr && rest.len > 0) {
                struct vn_str value = vn_str_cut(&rest, '\n'), name = vn_str_cut(&value, ':');
                vn_cloud_response_add_header(response, name, vn_str_trim(value));
        }
        vn_buf_text(&response->body, step->body ? step->body : "");
        return vn_buf_check(&response->body, err);
}

static void sleep_scripted(void *state, int64_t us)
{
        struct wire *wire = state;

        wire->slept_us += us;
}

void wire_init(struct wire *wire, const struct wire_step *steps, size_t count)
{
        memset(wire, 0, sizeof(*wire));
        wire->steps = steps;
        wire->count = count;
        wire->transport = (struct vn_cloud_transport){send_scripted, sleep_scripted, wire};
        vn_clock_fake_init(&wire_clock, NOON);
}

void wire_check_done(const struct wire *wire)
{
        CHECK_INT(wire->count, wire->at);
}

static struct vn_cloud *open_one(struct wire *wire, const struct vn_cloud_config *config)
{
        struct vn_cloud *cloud = NULL;
        struct vn_err err = {0};

        if (vn_cloud_open(config, &wire_clock.clock, &wire->transport, &cloud, &err) != VN_OK && !wire_may_fail)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        return cloud;
}

struct vn_cloud *wire_aws(struct wire *wire)
{
        return open_one(wire, &(struct vn_cloud_config){.kind = VN_CLOUD_AWS,
                                                        .region = VN_STR("us-east-1"),
                                                        .access_key_id = VN_STR("AKIDEXAMPLE"),
                                                        .secret_access_key = VN_STR("secret"),
                                                        .session_token = VN_STR("TOKEN")});
}

struct vn_cloud *wire_aws_without_keys(struct wire *wire, const char *profile)
{
        return open_one(wire, &(struct vn_cloud_config){.kind = VN_CLOUD_AWS,
                                                        .region = VN_STR("us-east-1"),
                                                        .profile = vn_str(profile)});
}

struct vn_cloud *wire_azure(struct wire *wire)
{
        return open_one(wire, &(struct vn_cloud_config){.kind = VN_CLOUD_AZURE,
                                                        .region = VN_STR("eastus"),
                                                        .tenant = VN_STR("t"),
                                                        .client_id = VN_STR("c"),
                                                        .client_secret = VN_STR("s&s"),
                                                        .subscription = VN_STR("sub"),
                                                        .workspace = VN_STR("ws")});
}

const char *wire_gcp_key(void)
{
        static char text[8192];
        EVP_PKEY *key;
        BIO *bio;
        char *pem;
        json_t *file;

        if (text[0])
                return text;
        key = EVP_RSA_gen(2048);
        bio = BIO_new(BIO_s_mem());
        CHECK(key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
        long len = BIO_get_mem_data(bio, &pem);
        file = json_pack("{s:s, s:s, s:s, s:s%, s:s}", "type", "service_account", "project_id", "p", "client_email",
                         "sa@p.iam.gserviceaccount.com", "private_key", pem, (size_t)len, "token_uri",
                         "https://oauth2.googleapis.com/token");
        CHECK(file && json_dumpb(file, text, sizeof(text) - 1, 0) < sizeof(text));
        json_decref(file);
        BIO_free(bio);
        EVP_PKEY_free(key);
        return text;
}

struct vn_cloud *wire_gcp(struct wire *wire)
{
        return open_one(wire, &(struct vn_cloud_config){.kind = VN_CLOUD_GCP,
                                                        .region = VN_STR("us-central1"),
                                                        .key_json = vn_str(wire_gcp_key())});
}

static enum vn_rc list_once(struct vn_cloud *cloud, struct vn_err *err)
{
        struct vn_cloud_list list;
        enum vn_rc rc = vn_cloud_list(cloud, &list, err);

        if (rc == VN_OK)
                vn_cloud_list_done(&list);
        return rc;
}

TEST(reads_are_retried_with_jitter_and_retry_after)
{
        static const struct wire_step steps[] = {{NULL, 0, NULL, NULL},
                                                 {NULL, 503, NULL, "busy"},
                                                 {NULL, 429, "Retry-After: 7\n", "{}"},
                                                 {NULL, 400, NULL, "{\"__type\":\"x#ThrottlingException\"}"},
                                                 {NULL, 200, NULL, "{\"Functions\":[]}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);

        CHECK_OK(list_once(cloud, NULL));
        CHECK(wire.slept_us >= 7 * VN_US_PER_S && wire.slept_us < 15 * VN_US_PER_S);
        CHECK_INT(5, vn_cloud_call_count(cloud));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(retries_end_and_say_why)
{
        static const struct wire_step steps[] = {{NULL, 503, NULL, ""},
                                                 {NULL, 503, NULL, ""},
                                                 {NULL, 503, NULL, ""},
                                                 {NULL, 503, NULL, ""},
                                                 {NULL, 503, NULL, "{\"message\":\"down\"}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_err err;

        CHECK_RC(VN_UNAVAILABLE, list_once(cloud, &err));
        CHECK(strstr(err.msg, "503") && strstr(err.msg, "down"));
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(retry_after_may_be_a_date)
{
        static const struct wire_step steps[] = {{NULL, 503, "Retry-After: Tue, 24 Nov 2026 12:00:09 GMT\n", ""},
                                                 {NULL, 200, NULL, "{\"Functions\":[]}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);

        CHECK_OK(list_once(cloud, NULL));
        CHECK_INT(9 * VN_US_PER_S, wire.slept_us);
        vn_cloud_free(cloud);
}

TEST(a_skewed_clock_is_learnt_from_the_refusal)
{
        static const struct wire_step steps[] = {
                {NULL, 403, "Date: Tue, 24 Nov 2026 13:30:00 GMT\n", "{\"message\":\"Signature expired\"}"},
                {NULL, 200, NULL, "{\"Functions\":[]}"},
                {NULL, 403, "Date: Tue, 24 Nov 2026 13:30:00 GMT\nx-amzn-ErrorType: InvalidSignatureException\n",
                 "{}"}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);

        CHECK_OK(list_once(cloud, NULL));
        CHECK(strstr(wire.asked[0], "20261124T120000Z"));
        CHECK(strstr(wire.asked[1], "20261124T133000Z"));
        CHECK_RC(VN_UNAUTHENTICATED, list_once(cloud, NULL)); /* the same skew again is no news */
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

static void check_error(int status, const char *headers, const char *body, enum vn_rc want, const char *text)
{
        const struct wire_step steps[] = {{NULL, status, headers, body}};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = wire_aws(&wire);
        struct vn_err err = {0};

        CHECK_RC(want, list_once(cloud, &err));
        if (!strstr(err.msg, text))
                test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", err.msg, text);
        vn_cloud_free(cloud);
}

TEST(errors_of_every_shape_are_told)
{
        check_error(404, "x-amzn-ErrorType: ResourceNotFoundException:http://x/\n", "{\"Message\":\"gone\"}",
                    VN_NOT_FOUND, "ResourceNotFoundException: gone");
        check_error(412, NULL, "{\"__type\":\"a.b#PreconditionFailedException\",\"message\":\"m\"}", VN_ABORTED,
                    "PreconditionF");
        check_error(409, NULL, "{\"error\":{\"code\":409,\"status\":\"ABORTED\",\"message\":\"m\"}}", VN_ABORTED,
                    "ABORTED: m");
        check_error(403, NULL, "{\"error\":{\"code\":\"AuthorizationFailed\",\"message\":\"no\"}}",
                    VN_PERMISSION_DENIED, "no");
        check_error(400, NULL, "{\"code\":\"BadRequest\",\"message\":\"bare\"}", VN_INVALID_ARGUMENT,
                    "BadRequest: bare");
        check_error(400, NULL, "<html>not json", VN_INVALID_ARGUMENT, "400");
        check_error(400, NULL, "{\"message\":\"a\\u0007b\\nc\"}", VN_INVALID_ARGUMENT, "a b c");
        check_error(200, NULL, "{\"Functions\":", VN_DATA_LOSS, "line 1");
        check_error(200, NULL, "[]", VN_DATA_LOSS, "Functions");
}

TEST(an_account_without_credentials_is_refused)
{
        struct vn_cloud_config config = {.kind = VN_CLOUD_AWS, .region = VN_STR("r"), .access_key_id = VN_STR("k")};
        struct vn_cloud *cloud = NULL;
        struct vn_err err;
        VN_AUTO(vn_json)
        account = json_pack("{s:s, s:s, s:i}", "cloud", "azure", "tenant", "t", "client_id", 7);
        VN_AUTO(vn_json)
        unknown = json_pack("{s:s}", "cloud", "oracle");
        struct wire wire;

        wire_init(&wire, NULL, 0);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_open(&config, &wire_clock.clock, &wire.transport, &cloud, &err));
        CHECK(strstr(err.msg, "secret_access_key"));
        CHECK_OK(vn_cloud_config_from_json(account, &config, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_open(&config, &wire_clock.clock, &wire.transport, &cloud, &err));
        CHECK(strstr(err.msg, "client_id"));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_config_from_json(unknown, &config, &err));
        config = (struct vn_cloud_config){.kind = VN_CLOUD_GCP, .key_json = VN_STR("{\"client_email\":\"x\"}")};
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_open(&config, &wire_clock.clock, &wire.transport, &cloud, &err));
        CHECK(strstr(err.msg, "private_key"));
        CHECK(!cloud);
}

static enum vn_rc open_each(void)
{
        const struct vn_cloud_config configs[] = {
                {.kind = VN_CLOUD_AWS,
                 .region = VN_STR("r"),
                 .access_key_id = VN_STR("k"),
                 .secret_access_key = VN_STR("s")},
                {.kind = VN_CLOUD_GCP,
                 .key_json = VN_STR("{\"client_email\":\"x\",\"private_key\":\"y\",\"project_id\":\"p\"}")}};

        for (size_t i = 0; i < 2; i++) {
                struct wire wire;
                struct vn_cloud *cloud;

                wire_init(&wire, NULL, 0);
                VN_TRY(vn_cloud_open(&configs[i], &wire_clock.clock, &wire.transport, &cloud, NULL));
                vn_cloud_free(cloud);
        }
        return VN_OK;
}

TEST(opening_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(open_each);
}

TEST(minutes_stay_in_order_and_within_the_array)
{
        struct vn_cloud_minute minutes[3], one = {.calls = 1};
        size_t count = 0;

        CHECK(vn_minute_add(minutes, 3, &count, 10 * VN_US_PER_MIN + 5, &one));
        CHECK(vn_minute_add(minutes, 3, &count, 8 * VN_US_PER_MIN, &one));
        CHECK(vn_minute_add(minutes, 3, &count, 9 * VN_US_PER_MIN, &one));
        CHECK(vn_minute_add(minutes, 3, &count, 9 * VN_US_PER_MIN + 1, &one));
        CHECK(!vn_minute_add(minutes, 3, &count, 7 * VN_US_PER_MIN, &one));
        CHECK_INT(3, count);
        CHECK_INT(9 * VN_US_PER_MIN, minutes[1].start_us);
        CHECK_NEAR(2, minutes[1].calls, 0);
}

TEST(links_keep_only_path_and_query)
{
        struct vn_str host, path, query;

        CHECK_OK(vn_link_split(VN_STR("https://evil.example:443/a/b?c=d&e"), &host, &path, &query, NULL));
        CHECK(vn_str_eq(host, VN_STR("evil.example:443")) && vn_str_eq(path, VN_STR("/a/b")) &&
              vn_str_eq(query, VN_STR("c=d&e")));
        CHECK_RC(VN_DATA_LOSS, vn_link_split(VN_STR("/a/b"), &host, &path, &query, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_link_split(VN_STR("https://h/a b"), &host, &path, &query, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_link_split(VN_STR("https://"), &host, &path, &query, NULL));
}
