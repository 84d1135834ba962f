/* sigv4_test.c - the verifier against requests that AWS's own SDKs signed, whole and tampered with. */
#include "sim/sim_test.h"

/* Their public example credentials and the time at which they were recorded. */
static const struct vn_sigv4_key example = {"AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", "us-east-1"};

static const char *const files[] = {"cloudwatch.GetMetricData",
                                    "lambda.GetFunctionConfiguration-arn",
                                    "lambda.GetFunctionConfiguration",
                                    "lambda.Invoke",
                                    "lambda.ListFunctions",
                                    "lambda.UpdateFunctionConfiguration",
                                    "logs.FilterLogEvents",
                                    "logs.StartQuery",
                                    "pricing.GetProducts",
                                    "sts.AssumeRole",
                                    "lambda.PutFunctionConcurrency",
                                    "lambda.PublishVersion"};

/* Recordings are no data set that a user would replace: they are read from the carried data, wherever $VANE_DATA is. */
static void carried_file(const char *name, struct vn_buf *ret)
{
        const char *root = getenv("VANE_DATA_DEFAULT");
        char path[1024];
        struct vn_err err;
        snprintf(path, sizeof path, "%s/%s", root ? root : "tests/data", name);
        CHECK_OK(vn_file_read(path, ret, &err));
}

struct recorded {
        struct vn_buf text, path;
        struct test_request request;
};

/* The recorder wrote the request line, headers, an empty line, and content-length bytes of body. */
static void load(const char *name, struct recorded *r, int64_t *ret_us)
{
        char file[128], names[16][64];
        static char kept[16][64];
        uint64_t body_bytes = 0;
        snprintf(file, sizeof file, "clouds/aws/sdk-requests/%s.http", name);
        r->text = VN_BUF_INIT(1 << 20);
        r->path = VN_BUF_INIT(4096);
        carried_file(file, &r->text);
        struct vn_str rest = vn_buf_view(&r->text), line = vn_str_cut(&rest, '\n');
        test_request_init(&r->request, "", "", "", "");
        r->request.wire.verb = vn_str_cut(&line, ' ');
        struct vn_str target = vn_str_cut(&line, ' '), query = target, path = vn_str_cut(&query, '?');
        CHECK_OK(vn_url_decode(path, &r->path));
        r->request.wire.path = vn_buf_view(&r->path);
        r->request.wire.query = query.ptr ? query : VN_STR("");
        for (int i = 0; i < 16; i++) {
                struct vn_str value = vn_str_cut(&rest, '\n');
                if (value.len && value.ptr[value.len - 1] == '\r')
                        value.len--;
                if (!value.len)
                        break;
                struct vn_str key = vn_str_cut(&value, ':');
                CHECK(vn_str_copy(names[i], sizeof names[i], key));
                for (char *c = names[i]; *c; c++)
                        *c = *c >= 'A' && *c <= 'Z' ? (char)(*c + 32) : *c;
                memcpy(kept[i], names[i], sizeof kept[i]);
                struct test_header *h = &r->request.headers[r->request.header_count++];
                h->name = kept[i];
                CHECK(vn_str_copy(h->value, sizeof h->value, vn_str_trim(value)));
        }
        if (test_header(&r->request, "content-length").len)
                CHECK_OK(vn_str_to_u64(test_header(&r->request, "content-length"), &body_bytes));
        CHECK(body_bytes <= rest.len);
        r->request.wire.body = vn_str_n(rest.ptr, (size_t)body_bytes);
        CHECK_OK(vn_time_parse("2026-11-24T07:28:11Z", 20, ret_us));
}

static void done(struct recorded *r)
{
        vn_buf_done(&r->text);
        vn_buf_done(&r->path);
}

/* Each recording names its own second. */
static int64_t date_of(const struct recorded *r)
{
        char rfc[32];
        const char *d = test_header(&r->request, "x-amz-date").ptr;
        int64_t us;
        snprintf(rfc, sizeof rfc, "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", d, d + 4, d + 6, d + 9, d + 11, d + 13);
        CHECK_OK(vn_time_parse(rfc, strlen(rfc), &us));
        return us;
}

static enum vn_sigv4_verdict verify(struct recorded *r, int64_t now_us)
{
        struct vn_sigv4_result result;
        r->request.wire.header_context = &r->request;
        return vn_sigv4_verify(&r->request.wire, &example, 1, now_us, 0, &result);
}

TEST(requests_signed_by_official_sdks_pass)
{
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                struct recorded r;
                int64_t now_us;
                load(files[i], &r, &now_us);
                now_us = date_of(&r);
                CHECK_INT(VN_SIGV4_OK, verify(&r, now_us));
                CHECK_INT(VN_SIGV4_OK, verify(&r, now_us + 299 * VN_US_PER_S));
                CHECK_INT(VN_SIGV4_EXPIRED, verify(&r, now_us + 301 * VN_US_PER_S));
                CHECK_INT(VN_SIGV4_EXPIRED, verify(&r, now_us - 301 * VN_US_PER_S));
                done(&r);
        }
}

static bool is_signed(const struct recorded *r, const char *name)
{
        struct vn_str list = test_header(&r->request, "authorization"), mark = VN_STR("SignedHeaders=");
        const char *start = memmem(list.ptr, list.len, mark.ptr, mark.len);
        CHECK(start);
        struct vn_str rest = vn_str(start + mark.len), names = vn_str_cut(&rest, ',');
        while (names.ptr) {
                if (vn_str_eq(vn_str_cut(&names, ';'), vn_str(name)))
                        return true;
        }
        return false;
}

TEST(any_change_of_a_signed_request_is_noticed)
{
        for (size_t i = 0; i < sizeof files / sizeof files[0]; i++) {
                struct recorded r;
                int64_t now_us;
                load(files[i], &r, &now_us);
                now_us = date_of(&r);
                for (size_t h = 0; h < r.request.header_count; h++) {
                        char *value = r.request.headers[h].value;
                        if (!value[0] || !is_signed(&r, r.request.headers[h].name))
                                continue;
                        value[strlen(value) - 1] ^= 1;
                        CHECK(verify(&r, now_us) != VN_SIGV4_OK);
                        value[strlen(value) - 1] ^= 1;
                }
                struct vn_str path = r.request.wire.path, query = r.request.wire.query, body = r.request.wire.body;
                r.request.wire.path = VN_STR("/elsewhere");
                CHECK_INT(VN_SIGV4_MISMATCH, verify(&r, now_us));
                r.request.wire.path = path;
                r.request.wire.query = VN_STR("x=y");
                CHECK_INT(VN_SIGV4_MISMATCH, verify(&r, now_us));
                r.request.wire.query = query;
                r.request.wire.body = VN_STR("another body");
                CHECK_INT(VN_SIGV4_MISMATCH, verify(&r, now_us));
                r.request.wire.body = body;
                r.request.wire.verb = VN_STR("PATCH");
                CHECK_INT(VN_SIGV4_MISMATCH, verify(&r, now_us));
                done(&r);
        }
}

TEST(malformed_authorizations_are_told_apart)
{
        struct vn_sigv4_result result;
        struct test_request r;
        static const char *const bad[] = {
                "Basic abc", "AWS4-HMAC-SHA256",
                "AWS4-HMAC-SHA256 Credential=a/b/c, SignedHeaders=host, Signature=00",
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20261124/us-east-1/lambda/aws4_request, SignedHeaders=x"};
        test_request_init(&r, "GET", "/", "", "");
        CHECK_INT(VN_SIGV4_MISSING, vn_sigv4_verify(&r.wire, &example, 1, 0, 0, &result));
        for (size_t i = 0; i < 4; i++) {
                r.header_count = 0;
                test_request_header(&r, "authorization", bad[i]);
                CHECK_INT(VN_SIGV4_INCOMPLETE, vn_sigv4_verify(&r.wire, &example, 1, 0, 0, &result));
        }
        struct recorded recorded;
        int64_t now_us;
        load("lambda.ListFunctions", &recorded, &now_us);
        now_us = date_of(&recorded);
        struct vn_sigv4_key other = {"AKIDOTHER", "x", "us-east-1"}, region = example;
        CHECK_INT(VN_SIGV4_UNKNOWN_KEY, vn_sigv4_verify(&recorded.request.wire, &other, 1, now_us, 0, &result));
        region.region = "eu-west-1";
        CHECK_INT(VN_SIGV4_SCOPE, vn_sigv4_verify(&recorded.request.wire, &region, 1, now_us, 0, &result));
        done(&recorded);
}

/* Vectors of AWS's suite whose path is the same however often it is encoded. */
TEST(canonical_requests_of_the_suite)
{
        static const struct {
                const char *dir, *query, *headers;
        } cases[] = {{"get-vanilla", "", "host;x-amz-date"},
                     {"get-vanilla-query-order-encoded", "Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
                      "host;x-amz-date"},
                     {"get-vanilla-query-order-key-case", "Param2=value2&Param1=value1", "host;x-amz-date"}};
        for (size_t i = 0; i < 3; i++) {
                char path[200];
                struct test_request r;
                VN_AUTO(vn_buf)
                want = VN_BUF_INIT(1 << 16);
                VN_AUTO(vn_buf)
                got = VN_BUF_INIT(1 << 16);
                snprintf(path, sizeof path,
                         "aws-sigv4/tests/aws-signing-test-suite/v4/%s/header-canonical-request.txt", cases[i].dir);
                carried_file(path, &want);
                test_request_init(&r, "GET", "/", cases[i].query, "");
                test_request_header(&r, "host", "example.amazonaws.com");
                test_request_header(&r, "x-amz-date", "20150830T123600Z");
                CHECK(vn_sigv4_canonical(&r.wire, vn_str(cases[i].headers),
                                         VN_STR("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                                         false, &got));
                CHECK_TEXT(want.ptr, got.ptr);
        }
}

static enum vn_rc sign_and_verify(void)
{
        static const uint8_t key[32] = {3};
        VN_AUTO(vn_json)
        claims = json_pack("{s:s, s:i}", "sub", "x", "exp", 1);
        VN_AUTO(vn_json)
        back = NULL;
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(4096);
        if (!claims)
                return VN_RESOURCE_EXHAUSTED;
        VN_TRY(vn_token_sign(key, claims, &token, NULL));
        /* Without memory a token is refused like a wrong one: never the other way round. */
        return vn_token_verify(key, vn_buf_view(&token), &back, NULL) == VN_OK ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

TEST(tokens_survive_failing_allocations)
{
        TEST_ALLOC_LOOP(sign_and_verify);
}
