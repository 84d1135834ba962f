#include "agents/scrub.h"

#include "agents/scrub_patterns.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json.h"
#include "tests/test.h"

static const char *scrubbed(const char *line)
{
        static char text[8192];
        struct vn_scrub scrub;
        struct vn_str got;
        vn_scrub_init(&scrub);
        CHECK_OK(vn_scrub_text(&scrub, vn_str(line), &got, NULL));
        CHECK(vn_str_copy(text, sizeof text, got));
        vn_scrub_done(&scrub);
        return text;
}

struct row {
        const char *in, *out;
};
static void check_rows(const struct row *rows, size_t count)
{
        for (size_t i = 0; i < count; i++)
                CHECK_TEXT(rows[i].out, scrubbed(rows[i].in));
}
#define CHECK_ROWS(rows) check_rows(rows, sizeof(rows) / sizeof *(rows))

TEST(scrub_people)
{
        static const struct row rows[] = {
                {"from ana.b+x@mail.example.com, ok", "from [email], ok"},
                {"<ana@example.org>", "<[email]>"},
                {"?", "?"},
                {"ana%40example.com", "[email]"},
                {"j\xc3\xb6rg@b\xc3\xbc"
                 "ro.example",
                 "[email]"},
                {"@Override root@localhost a@b", "@Override root@localhost a@b"},
                {"paid 4111 1111 1111 1111 now", "paid [card] now"},
                {"4111-1111-1111-1111;5555555555554444,378282246310005", "[card];[card],[card]"},
                {"4111111111111112 1795521600000", "4111111111111112 1795521600000"}, /* no sum; a time */
                {"12 4111111111111111", "12 [card]"},
                {"client 10.0.0.1:443 and 300.1.1.1", "client [ip]:443 and 300.1.1.1"},
                {"ip-10-0-0-12.internal", "ip-[ip].internal"},
                {"v1.2.3 is not 1.2.3", "v1.2.3 is not 1.2.3"},
                {"[2001:db8::1]:80 ::1 fe80::1%eth0", "[[ip]]:80 [ip] [ip]%eth0"},
                {"1:2:3:4:5:6:7:8 ::ffff:1.2.3.4", "[ip] [ip]"},
                {"12:30:45 std::string a:b", "12:30:45 std::string a:b"},
        };
        CHECK_ROWS(rows);
}

TEST(scrub_tokens_and_keys)
{
        static const struct row rows[] = {
                {"Bearer abcdef123456 x", "Bearer [token] x"},
                {"authorization: Basic dXNlcjpwYXNz", "authorization: [secret]"},
                {"got eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2ln, fine", "got [token], fine"},
                {"AKIAIOSFODNN7EXAMPLE", "[key]"},
                {"key/AKIAIOSFODNN7EXAMPLE/x", "key/[key]/x"},
                {"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", "[key]"},
                {"ya29.a0AfH6SMBx-abcdefgh", "[token]"},
                {"ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[token]"},
                {"x-functions-key: abc-DEF_1==", "x-functions-key: [secret]"},
                {"AccountName=a;AccountKey=Zm9v+/==;EndpointSuffix=core",
                 "AccountName=a;AccountKey=[secret];EndpointSuffix=core"},
                {"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY----- after", "[private-key] after"},
                {"-----BEGIN EC PRIVATE KEY-----\\nMIIE", "[private-key]"},
                {"/var/task/node_modules/express/lib/router/index.js:284:7",
                 "/var/task/node_modules/express/lib/router/index.js:284:7"},
                {"RequestId: 8f5d1c1e-0d4e-4f7a-9a52-1f1e3a6f3a55 took 12",
                 "RequestId: 8f5d1c1e-0d4e-4f7a-9a52-1f1e3a6f3a55 took 12"},
        };
        CHECK_ROWS(rows);
}

TEST(scrub_values_of_names)
{
        static const struct row rows[] = {
                {"password=hunter2 next", "password=[secret] next"},
                {"db_password : hunter2, port: 1", "db_password : [secret], port: 1"},
                {"{\"password\":\"a \\\"b\\\" c\",\"n\":1}", "{\"password\":\"[secret]\",\"n\":1}"},
                {"{\\\"clientSecret\\\":\\\"x y\\\",\\\"n\\\":1}",
                 "{\\\"clientSecret\\\":\\\"[secret]\\\",\\\"n\\\":1}"},
                {"'token': 'x'", "'token': '[secret]'"},
                {"{\"tokens\":[\"a\",\"b\"],\"n\":1}", "{\"tokens\":[secret],\"n\":1}"},
                {"secret => x y", "secret => [secret] y"},
                {"Cookie: a=1; b=2\nnext", "Cookie: [secret]\nnext"},
                {"<password>x y</password>", "<password>[secret]</password>"},
                {"password= ", "password= "},
                {"password1=x", "password1=[secret]"},
                {"pin: 1234 spin: 1234", "pin: [secret] spin: 1234"},
                {"max=5 n: 7 Memory Size: 128 MB", "max=5 n: 7 Memory Size: 128 MB"},
        };
        CHECK_ROWS(rows);
}

TEST(scrub_urls)
{
        static const struct row rows[] = {
                {"https://bob:pw@h.example/p", "https://[userinfo]@h.example/p"},
                {"postgres://u:p@ss@db:5432/x", "postgres://[userinfo]@db:5432/x"},
                {"GET /a?x=1&y=two&z HTTP/1.1", "GET /a?x=[value]&y=[value]&z HTTP/1.1"},
                {"\"/a?mail=ana@b.co#top\"", "\"/a?mail=[value]#top\""},
                {"why? a=b", "why? a=b"},
                {"https://h/#access_token=abc", "https://h/#access_token=[secret]"},
        };
        CHECK_ROWS(rows);
}

TEST(scrub_counts_what_it_replaced)
{
        struct vn_scrub scrub;
        struct vn_str got;
        vn_scrub_init(&scrub);
        CHECK_OK(vn_scrub_text(&scrub, VN_STR("a@b.co 1.2.3.4 c@d.de password=x"), &got, NULL));
        CHECK_INT(2, scrub.counts[VN_SCRUB_EMAIL]);
        CHECK_INT(1, scrub.counts[VN_SCRUB_IP]);
        CHECK_INT(1, scrub.counts[VN_SCRUB_SECRET]);
        CHECK_TEXT("[card]", vn_scrub_mark(VN_SCRUB_CARD));
        vn_scrub_done(&scrub);
}

/* Pieces of secrets and of what parts them, thrown together: a second scrubbing changes nothing. */
TEST(scrub_twice_is_scrub_once)
{
        static const char *const pieces[] = {
                "password",
                "=",
                ":",
                "\"",
                " ",
                "a@b.co",
                "1.2.3.4",
                "::1",
                "fe80",
                "[",
                "]",
                "{",
                "}",
                "?",
                "&x=",
                "://",
                "Bearer ",
                "AKIAIOSFODNN7EXAMPLE",
                "4111111111111111",
                "-----BEGIN RSA PRIVATE KEY-----",
                "-----END",
                "\\",
                "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
                "/",
                "+",
                "eyJhbGciOiJIUzI1NiJ9.e30.x",
                "<secret>",
                "@",
                "%40",
                "\n",
                "[email]",
                "[secret]",
                "ip-",
                "Aa1",
                "\xc3\xa9",
        };
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned i = 0; i < 20000; i++) {
                char line[1200] = "", once[8192];
                for (uint64_t k = 1 + vn_rng_below(&rng, 14); k; k--)
                        strncat(line, pieces[vn_rng_below(&rng, sizeof pieces / sizeof *pieces)],
                                sizeof line - strlen(line) - 1);
                CHECK(vn_str_copy(once, sizeof once, vn_str(scrubbed(line))));
                CHECK_TEXT(once, scrubbed(once));
        }
}

static enum vn_rc scrub_one(void)
{
        struct vn_scrub scrub;
        struct vn_str got;
        vn_scrub_init(&scrub);
        enum vn_rc rc = vn_scrub_text(&scrub, VN_STR("password=x a@b.co"), &got, NULL);
        CHECK(rc != VN_OK || vn_str_eq(got, VN_STR("password=[secret] [email]")));
        vn_scrub_done(&scrub);
        return rc;
}

TEST(scrub_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(scrub_one);
}

/* What a hostile line may make the scrubber look ahead for, again and again: each ends at once, not with the test's time. */
TEST(scrub_takes_time_by_length_only)
{
        static const char *const pieces[] = {"?",         "eyJ.", "basic ", "token:[",    "a@", "-----BEGIN ",
                                             "://",       "1 ",   "SG.",    "::1",        "\"", "<secret",
                                             "password=", "/",    "4-",     "eyJaaaaaaa", "\\"};
        for (size_t k = 0; k < sizeof pieces / sizeof *pieces; k++) {
                size_t n = strlen(pieces[k]), count = VN_SCRUB_MAX_BYTES / n;
                struct vn_scrub scrub;
                struct vn_str got;
                char *line = vn_alloc(n * count);
                CHECK(line);
                for (size_t i = 0; i < count; i++)
                        memcpy(line + i * n, pieces[k], n);
                vn_scrub_init(&scrub);
                int64_t begin_us = vn_mono_us(vn_clock_real());
                enum vn_rc rc = vn_scrub_text(&scrub, vn_str_n(line, n * count), &got, NULL);
                CHECK(rc == VN_OK || rc == VN_RESOURCE_EXHAUSTED);
                if (vn_mono_us(vn_clock_real()) - begin_us > 10 * VN_US_PER_S)
                        test_fail(__FILE__, __LINE__, "\"%s\" takes too long", pieces[k]);
                vn_scrub_done(&scrub);
                vn_free(line);
        }
}

TEST(scrub_refuses_what_is_too_long)
{
        struct vn_scrub scrub;
        struct vn_str got;
        size_t n = VN_SCRUB_MAX_BYTES + 1;
        char *line = vn_alloc(n);
        CHECK(line);
        memset(line, 'x', n);
        vn_scrub_init(&scrub);
        CHECK_OK(vn_scrub_text(&scrub, vn_str_n(line, n - 1), &got, NULL));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_scrub_text(&scrub, vn_str_n(line, n), &got, NULL));
        vn_scrub_done(&scrub);
        vn_free(line);
}

/* --- the owner's patterns --- */

static enum vn_rc patterns_of(const char *json, struct vn_scrub_patterns **ret, struct vn_err *err)
{
        static const struct vn_json_limits limits = {65536, 4, 400};
        VN_AUTO(vn_json)
        root = NULL;
        CHECK_OK(vn_json_parse(vn_str(json), &limits, &root, NULL));
        return vn_scrub_patterns_new(root, ret, err);
}

TEST(patterns_replace_by_name)
{
        VN_AUTO(vn_scrub_patterns)
        p = NULL;
        struct vn_str got;
        uint64_t hits = 0;
        CHECK_OK(patterns_of("[{\"name\":\"customer\",\"pattern\":\"CUST-\\\\d+\"},{\"name\":\"plate\",\"pattern\":"
                             "\"(?i)\\\\b[a-z]{2} ?\\\\d{4}\\\\b\"}]",
                             &p, NULL));
        CHECK_OK(vn_scrub_patterns_run(p, VN_STR("CUST-12 drives ab 1234, CUST-7\xff walks"), &got, &hits, NULL));
        CHECK(vn_str_eq(got, VN_STR("[customer] drives [plate], [customer]\xff walks")));
        CHECK_INT(3, hits);
        CHECK_OK(vn_scrub_patterns_run(p, VN_STR("nothing"), &got, &hits, NULL));
        CHECK(vn_str_eq(got, VN_STR("nothing")));
        CHECK_INT(3, hits);
}

TEST(patterns_that_match_nothing_or_behind_themselves_end)
{
        VN_AUTO(vn_scrub_patterns)
        p = NULL;
        struct vn_str got;
        uint64_t hits = 0;
        CHECK_OK(patterns_of("[{\"name\":\"e\",\"pattern\":\"x*\"},{\"name\":\"k\",\"pattern\":\"a\\\\Kb\"}]", &p,
                             NULL));
        CHECK_OK(vn_scrub_patterns_run(p, VN_STR("\xc3\xa9xx ab"), &got, &hits, NULL));
        CHECK(vn_str_eq(got, VN_STR("\xc3\xa9[e] a[k]")));
}

TEST(patterns_that_are_wrong_are_named_with_the_place)
{
        struct vn_scrub_patterns *p = NULL;
        struct vn_err err;
        CHECK_RC(VN_INVALID_ARGUMENT, patterns_of("[{\"name\":\"open\",\"pattern\":\"ab(c\"}]", &p, &err));
        CHECK(strstr(err.msg, "scrub_patterns.open: at byte 4"));
        CHECK_RC(VN_INVALID_ARGUMENT, patterns_of("[{\"name\":\"a b\",\"pattern\":\"x\"}]", &p, &err));
        CHECK(strstr(err.msg, "scrub_patterns[0].name"));
        CHECK_RC(VN_INVALID_ARGUMENT, patterns_of("[{\"name\":\"a\",\"pattern\":\"\"}]", &p, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, patterns_of("[{\"name\":\"a\"}]", &p, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, patterns_of("{}", &p, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, patterns_of("[{\"name\":\"c\",\"pattern\":\"\\\\C\"}]", &p, &err));
}

TEST(patterns_that_take_too_long_stop_the_line)
{
        VN_AUTO(vn_scrub_patterns)
        p = NULL;
        struct vn_str got;
        struct vn_err err;
        uint64_t hits = 0;
        CHECK_OK(patterns_of("[{\"name\":\"slow\",\"pattern\":\"^(a|aa)+$\"}]", &p, NULL));
        CHECK_RC(VN_RESOURCE_EXHAUSTED,
                 vn_scrub_patterns_run(p, VN_STR("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab"), &got,
                                       &hits, &err));
        CHECK(strstr(err.msg, "slow"));
}

static enum vn_rc patterns_once(void)
{
        VN_AUTO(vn_scrub_patterns)
        p = NULL;
        struct vn_str got;
        uint64_t hits = 0;
        VN_TRY(patterns_of("[{\"name\":\"a\",\"pattern\":\"b+(c|d)\"}]", &p, NULL));
        return vn_scrub_patterns_run(p, VN_STR("abbcd"), &got, &hits, NULL);
}

TEST(patterns_survive_each_failed_allocation)
{
        TEST_ALLOC_LOOP(patterns_once);
}
