/* The signer against AWS's own test suite, both kinds of signature and every step on the way, and against what
 * official programs sent. */
#include "clouds/sigv4.h"

#include <dirent.h>
#include <jansson.h>

#include "base/clock.h"
#include "tests/test.h"

#define SUITE "aws-sigv4/tests/aws-signing-test-suite/v4"

/* A request text taken apart; pointers stay in the text. */
struct parsed {
        struct vn_sigv4_request request;
        struct vn_sigv4_header headers[VN_SIGV4_MAX_HEADERS];
        struct vn_str target; /* as on the request line */
};

static void parse(struct vn_str text, struct parsed *ret)
{
        struct vn_str rest = text, line = vn_str_cut(&rest, '\n');

        memset(ret, 0, sizeof(*ret));
        if (vn_str_ends(line, VN_STR("\r")))
                line.len--;
        ret->request.method = vn_str_cut(&line, ' ');
        CHECK(vn_str_ends(line, VN_STR(" HTTP/1.1")));
        line.len -= strlen(" HTTP/1.1");
        ret->target = line;
        ret->request.path = vn_str_cut(&line, '?');
        ret->request.query = line.ptr ? line : VN_STR("");
        while (rest.ptr && rest.len > 0 && rest.ptr[0] != '\n' && rest.ptr[0] != '\r') {
                struct vn_str value = vn_str_cut(&rest, '\n'), name;

                while (rest.ptr && rest.len > 0 && (rest.ptr[0] == ' ' || rest.ptr[0] == '\t')) {
                        struct vn_str more = vn_str_cut(&rest, '\n');
                        value.len = (size_t)(more.ptr + more.len - value.ptr);
                }
                name = vn_str_cut(&value, ':');
                CHECK(ret->request.header_count < VN_SIGV4_MAX_HEADERS);
                ret->headers[ret->request.header_count++] = (struct vn_sigv4_header){name, value};
        }
        if (rest.ptr && rest.len > 0) {
                vn_str_cut(&rest, '\n');
                ret->request.body = rest.ptr ? rest : VN_STR("");
        }
        ret->request.headers = ret->headers;
}

static void read_case(const char *name, const char *file, struct vn_buf *ret)
{
        char path[512];

        snprintf(path, sizeof(path), "%s/%s/%s", SUITE, name, file);
        vn_buf_reset(ret);
        CHECK_OK(vn_file_read(test_data(path), ret, NULL));
}

static void check_case_file(const char *name, const char *file, struct vn_str got)
{
        VN_AUTO(vn_buf)
        want = VN_BUF_INIT(1 << 20);

        read_case(name, file, &want);
        if (!vn_str_eq(vn_buf_view(&want), got))
                test_fail(__FILE__, __LINE__, "%s/%s: want\n%s\ngot\n%.*s", name, file, want.ptr, VN_FMT(got));
}

struct suite_case {
        json_t *context;
        struct vn_sigv4_key key;
        struct vn_sigv4_options options;
};

static struct vn_str json_text(json_t *object, const char *key)
{
        return vn_str(json_string_value(json_object_get(object, key)));
}

static void read_context(const char *name, struct suite_case *ret)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 16);
        json_t *credentials;
        struct vn_str time;

        read_case(name, "context.json", &text);
        ret->context = json_loadb(text.ptr, text.len, 0, NULL);
        CHECK(ret->context);
        credentials = json_object_get(ret->context, "credentials");
        ret->key.access_key_id = json_text(credentials, "access_key_id");
        ret->key.secret_access_key = json_text(credentials, "secret_access_key");
        ret->key.session_token = json_text(credentials, "token");
        ret->key.region = json_text(ret->context, "region");
        ret->key.service = json_text(ret->context, "service");
        ret->options.keep_path = !json_is_true(json_object_get(ret->context, "normalize"));
        ret->options.sign_body_header = json_is_true(json_object_get(ret->context, "sign_body"));
        ret->options.token_after = json_is_true(json_object_get(ret->context, "omit_session_token"));
        ret->options.expires_s = (uint32_t)json_integer_value(json_object_get(ret->context, "expiration_in_seconds"));
        time = json_text(ret->context, "timestamp");
        CHECK_OK(vn_time_parse(time.ptr, time.len, &ret->options.time_us));
}

static void check_signed_query(const char *name, const struct parsed *p, const struct vn_sigv4_result *r)
{
        VN_AUTO(vn_buf)
        want = VN_BUF_INIT(1 << 20);
        VN_AUTO(vn_buf)
        got = VN_BUF_INIT(1 << 20);
        struct vn_str rest, line;

        read_case(name, "query-signed-request.txt", &want);
        rest = vn_buf_view(&want);
        line = vn_str_cut(&rest, '\n');
        vn_buf_printf(&got, "%.*s %.*s?%.*s HTTP/1.1", VN_FMT(p->request.method), VN_FMT(p->request.path),
                      VN_FMT(vn_buf_view(&r->query)));
        if (!vn_str_eq(line, vn_buf_view(&got)))
                test_fail(__FILE__, __LINE__, "%s: want\n%.*s\ngot\n%s", name, VN_FMT(line), got.ptr);
}

static void check_case(const char *name)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);
        VN_AUTO(vn_buf)
        signed_text = VN_BUF_INIT(1 << 20);
        struct suite_case c = {0};
        struct parsed p;
        struct vn_sigv4_result r;

        vn_sigv4_result_init(&r);
        read_context(name, &c);
        read_case(name, "request.txt", &text);
        parse(vn_buf_view(&text), &p);

        CHECK_OK(vn_sigv4_sign_headers(&p.request, &c.key, &c.options, &r, NULL));
        check_case_file(name, "header-canonical-request.txt", vn_buf_view(&r.canonical));
        check_case_file(name, "header-string-to-sign.txt", vn_buf_view(&r.string_to_sign));
        check_case_file(name, "header-signature.txt", vn_str(r.signature));
        read_case(name, "header-signed-request.txt", &signed_text);
        vn_buf_char(&r.authorization, '\n');
        CHECK(strstr(signed_text.ptr, r.authorization.ptr));

        CHECK_OK(vn_sigv4_sign_query(&p.request, &c.key, &c.options, &r, NULL));
        check_case_file(name, "query-canonical-request.txt", vn_buf_view(&r.canonical));
        check_case_file(name, "query-string-to-sign.txt", vn_buf_view(&r.string_to_sign));
        check_case_file(name, "query-signature.txt", vn_str(r.signature));
        check_signed_query(name, &p, &r);
        vn_sigv4_result_done(&r);
        json_decref(c.context);
}

TEST(sigv4_passes_all_of_awss_cases)
{
        DIR *dir = opendir(test_data(SUITE));
        struct dirent *entry;
        int count = 0;

        CHECK(dir);
        while ((entry = readdir(dir))) {
                if (entry->d_name[0] == '.')
                        continue;
                check_case(entry->d_name);
                count++;
        }
        closedir(dir);
        CHECK(count > 0);
        printf("  %d cases, headers and query\n", count);
}

/* What a recorded request says of its own signature. */
struct claim {
        struct vn_str authorization, date, scope_rest, signed_names, signature;
};

static struct vn_str header_of(const struct parsed *p, const char *name)
{
        for (size_t i = 0; i < p->request.header_count; i++)
                if (vn_str_eq_nocase(p->headers[i].name, vn_str(name)))
                        return vn_str_trim(vn_str_n(p->headers[i].value.ptr, p->headers[i].value.len));
        return (struct vn_str){0};
}

static bool name_is_signed(struct vn_str names, struct vn_str name)
{
        while (names.ptr)
                if (vn_str_eq_nocase(vn_str_cut(&names, ';'), name))
                        return true;
        return false;
}

static void check_recorded(const char *file)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);
        char path[512];
        struct parsed p;
        struct vn_sigv4_header kept[VN_SIGV4_MAX_HEADERS];
        struct vn_sigv4_key key = {.access_key_id = VN_STR("AKIDEXAMPLE"),
                                   .secret_access_key = VN_STR("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")};
        struct vn_sigv4_options options = {0};
        struct vn_sigv4_result r;
        struct vn_str authorization, scope, names, when;
        size_t count = 0;
        char stamp[32];

        snprintf(path, sizeof(path), "clouds/aws/sdk-requests/%s", file);
        CHECK_OK(vn_file_read(test_data(path), &text, NULL));
        if (strstr(text.ptr, "\n\n----"))
                text.len = (size_t)(strstr(text.ptr, "\n\n----") - text.ptr);
        parse(vn_buf_view(&text), &p);
        authorization = header_of(&p, "authorization");
        if (authorization.len == 0)
                return; /* AssumeRoleWithWebIdentity is unsigned */
        scope = vn_str(strstr(authorization.ptr, "Credential=") + strlen("Credential="));
        vn_str_cut(&scope, '/');
        vn_str_cut(&scope, '/');
        key.region = vn_str_cut(&scope, '/');
        key.service = vn_str_cut(&scope, '/');
        names = vn_str(strstr(authorization.ptr, "SignedHeaders=") + strlen("SignedHeaders="));
        names = vn_str_cut(&names, ',');
        for (size_t i = 0; i < p.request.header_count; i++)
                if (name_is_signed(names, p.headers[i].name))
                        kept[count++] = p.headers[i];
        p.request.headers = kept;
        p.request.header_count = count;
        when = header_of(&p, "x-amz-date");
        snprintf(stamp, sizeof(stamp), "%.4s-%.2s-%.2sT%.2s:%.2s:%.2sZ", when.ptr, when.ptr + 4, when.ptr + 6,
                 when.ptr + 9, when.ptr + 11, when.ptr + 13);
        CHECK_OK(vn_time_parse(stamp, strlen(stamp), &options.time_us));
        vn_sigv4_result_init(&r);
        CHECK_OK(vn_sigv4_sign_headers(&p.request, &key, &options, &r, NULL));
        if (!vn_str_eq(authorization, vn_buf_view(&r.authorization)))
                test_fail(__FILE__, __LINE__, "%s: want\n%.*s\ngot\n%s\n%s", file, VN_FMT(authorization),
                          r.authorization.ptr, r.canonical.ptr);
        vn_sigv4_result_done(&r);
}

TEST(sigv4_signs_as_the_official_programs_did)
{
        DIR *dir = opendir(test_data("clouds/aws/sdk-requests"));
        struct dirent *entry;
        int count = 0;

        CHECK(dir);
        while ((entry = readdir(dir))) {
                if (!strstr(entry->d_name, ".http"))
                        continue;
                check_recorded(entry->d_name);
                count++;
        }
        closedir(dir);
        CHECK(count >= 10);
}

static struct vn_sigv4_header host_header[] = {{{"Host", 4}, {"h", 1}}};
static const struct vn_sigv4_key test_key = {
        .access_key_id = {"A", 1}, .secret_access_key = {"S", 1}, .region = {"r", 1}, .service = {"s", 1}};

static enum vn_rc sign_with(struct vn_str path, struct vn_str query, size_t headers, bool by_query)
{
        struct vn_sigv4_request request = {VN_STR("GET"), path, query, host_header, headers, VN_STR("")};
        struct vn_sigv4_options options = {.time_us = VN_US_PER_HOUR, .expires_s = 60};
        struct vn_sigv4_result r;
        enum vn_rc rc;

        vn_sigv4_result_init(&r);
        rc = by_query ? vn_sigv4_sign_query(&request, &test_key, &options, &r, NULL)
                      : vn_sigv4_sign_headers(&request, &test_key, &options, &r, NULL);
        vn_sigv4_result_done(&r);
        return rc;
}

TEST(sigv4_refuses_what_it_cannot_sign)
{
        VN_AUTO(vn_buf)
        many = VN_BUF_INIT(1 << 20);

        CHECK_OK(sign_with(VN_STR(""), VN_STR(""), 1, false));
        CHECK_RC(VN_INVALID_ARGUMENT, sign_with(VN_STR("x"), VN_STR(""), 1, false));
        CHECK_RC(VN_INVALID_ARGUMENT, sign_with(VN_STR("/"), VN_STR("a=%g1"), 1, false));
        CHECK_RC(VN_INVALID_ARGUMENT, sign_with(VN_STR("/"), VN_STR("a=%2"), 1, true));
        CHECK_RC(VN_INVALID_ARGUMENT, sign_with(VN_STR("/"), VN_STR(""), 0, false));
        for (int i = 0; i <= VN_SIGV4_MAX_PARAMS; i++)
                vn_buf_text(&many, "a=1&");
        CHECK_RC(VN_INVALID_ARGUMENT, sign_with(VN_STR("/"), vn_buf_view(&many), 1, false));
        vn_buf_reset(&many);
        for (size_t i = 0; i < VN_SIGV4_MAX_TEXT_BYTES; i++)
                vn_buf_char(&many, 'a');
        CHECK_RC(VN_RESOURCE_EXHAUSTED, sign_with(VN_STR("/"), vn_buf_view(&many), 1, false));
}

TEST(sigv4_signature_depends_on_each_part)
{
        struct vn_sigv4_request request = {VN_STR("GET"), VN_STR("/a"), VN_STR("b=c"), host_header, 1,
                                           VN_STR("body")};
        struct vn_sigv4_options options = {.time_us = VN_US_PER_HOUR};
        struct vn_sigv4_result a, b;

        vn_sigv4_result_init(&a);
        vn_sigv4_result_init(&b);
        CHECK_OK(vn_sigv4_sign_headers(&request, &test_key, &options, &a, NULL));
        for (int i = 0; i < 5; i++) {
                struct vn_sigv4_request other = request;
                struct vn_sigv4_options then = options;

                other.method = i == 0 ? VN_STR("PUT") : other.method;
                other.path = i == 1 ? VN_STR("/b") : other.path;
                other.query = i == 2 ? VN_STR("b=d") : other.query;
                other.body = i == 3 ? VN_STR("Body") : other.body;
                then.time_us += i == 4 ? VN_US_PER_S : 0;
                CHECK_OK(vn_sigv4_sign_headers(&other, &test_key, &then, &b, NULL));
                CHECK(strcmp(a.signature, b.signature) != 0);
        }
        vn_sigv4_result_done(&a);
        vn_sigv4_result_done(&b);
}

static enum vn_rc sign_both(void)
{
        enum vn_rc rc = sign_with(VN_STR("/a/../b%3A"), VN_STR("z=1&y&x=%2f"), 1, false);

        return rc != VN_OK ? rc : sign_with(VN_STR("/a"), VN_STR("z=1&y"), 1, true);
}

TEST(sigv4_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(sign_both);
}
