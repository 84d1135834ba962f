/* The whole way of a line, and 200 secrets that must not come out at its end. */
#include "agents/lines.h"

#include "base/hash.h"
#include "tests/test.h"

struct out {
        size_t count;
        double weight;
        struct vn_buf text;
        enum vn_line_kind kind;
        enum vn_rc rc;
};

static enum vn_rc take(void *arg, const struct vn_line *line, struct vn_err *err)
{
        struct out *out = arg;
        out->count++;
        out->weight += line->weight;
        out->kind = line->kind;
        vn_buf_str(&out->text, line->text);
        vn_buf_char(&out->text, '\n');
        CHECK(!out->text.failed);
        return out->rc == VN_OK ? VN_OK : vn_fail(err, out->rc, "full");
}

static struct vn_lines *lines_to(struct out *out, enum vn_data_class data_class, uint32_t one_in)
{
        *out = (struct out){.text = VN_BUF_INIT(4 << 20)};
        const struct vn_lines_config config = {
                .sample = {one_in, 1000000, 60000000, 100, 1}, .data_class = data_class, .each = take, .arg = out};
        struct vn_lines *lines = NULL;
        CHECK_OK(vn_lines_new(&config, &lines, NULL));
        return lines;
}

static void give(struct vn_lines *lines, const char *text, bool error)
{
        static uint64_t id;
        struct vn_cloud_line line = {.id_hash = ++id, .time_us = 1, .error = error, .text = vn_str(text)};
        CHECK(vn_str_copy(line.function, sizeof line.function, VN_STR("f")));
        CHECK_OK(vn_lines_take(lines, "r", &line, NULL));
}

/* --- planted secrets --- */

static void letters(struct vn_rng *rng, const char *alphabet, size_t n, char *ret)
{
        size_t count = strlen(alphabet);
        for (size_t i = 0; i < n; i++)
                ret[i] = alphabet[vn_rng_below(rng, count)];
        ret[n] = 0;
}

static void card_number(struct vn_rng *rng, char *ret)
{
        unsigned sum = 0;
        ret[0] = '4';
        letters(rng, "0123456789", 14, ret + 1);
        for (int i = 0; i < 15; i++) {
                unsigned d = (unsigned)(ret[i] - '0') << (i % 2 == 0);
                sum += d > 9 ? d - 9 : d;
        }
        ret[15] = (char)('0' + (10 - sum % 10) % 10);
        ret[16] = 0;
}

#define LOW "abcdefghijklmnopqrstuvwxyz"
#define ALNUM LOW "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* Secret i, and a line that holds it. */
static void plant(unsigned i, struct vn_rng *rng, char secret[300], char line[800])
{
        static const char *const forms[20] = {
                "signed up: %s (new)",
                "connected from %s after 3 tries",
                "peer [%s]:443 closed",
                "charged %s, 12.50 EUR",
                "{\"level\":\"info\",\"password\":\"%s\",\"user\":7}",
                "Authorization: Bearer %s",
                "retry with token %s failed",
                "using credentials %s for s3",
                "aws_secret_access_key = %s",
                "AZURE_STORAGE=DefaultEndpointsProtocol=https;AccountName=a;AccountKey=%s;Suffix=core.windows.net",
                "GET https://h.example/cb?state=%s&x=1 200",
                "postgres://app:%s@db.internal:5432/main",
                "loaded -----BEGIN RSA PRIVATE KEY-----\n%s\n-----END RSA PRIVATE KEY-----",
                "env {\\\"client_secret\\\":\\\"%s\\\",\\\"n\\\":1}",
                "google key %s is disabled",
                "cookie: sid=%s; path=/",
                "config: db.passwd: '%s'",
                "<secret>%s</secret>",
                "slack hook posted by %s",
                "raw material %s end",
        };
        char a[300], b[300];
        switch (i % 20) {
        case 0:
                letters(rng, LOW, 9, a), letters(rng, LOW, 7, b);
                snprintf(secret, 300, "%s.%u@%s.example.com", a, i, b);
                break;
        case 1: snprintf(secret, 300, "10.%u.%u.%u", i % 250, (unsigned)vn_rng_below(rng, 250), 1 + i % 99); break;
        case 2: snprintf(secret, 300, "2001:db8:%x::%x", i + 16, 4096 + (unsigned)vn_rng_below(rng, 4096)); break;
        case 3: card_number(rng, secret); break;
        case 5: letters(rng, ALNUM "-_", 43, secret); break;
        case 6:
                letters(rng, ALNUM, 20, a), letters(rng, ALNUM, 30, b);
                snprintf(secret, 300, "eyJ%s.eyJ%s.%s", a, b, a);
                break;
        case 7: memcpy(secret, "AKIA", 4), letters(rng, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567", 16, secret + 4); break;
        case 8: letters(rng, ALNUM "+/", 40, secret); break;
        case 9: letters(rng, ALNUM "+/", 86, secret), memcpy(secret + 86, "==", 3); break;
        case 12: letters(rng, ALNUM "+/", 60, secret); break;
        case 14: memcpy(secret, "AIza", 4), letters(rng, ALNUM "-_", 35, secret + 4); break;
        case 18: memcpy(secret, "xoxb-", 5), letters(rng, "0123456789", 24, secret + 5); break;
        case 19: letters(rng, ALNUM, 30, secret), memcpy(secret + 30, "aB3x", 5); break;
        default: letters(rng, ALNUM "!$*", 14, secret); break;
        }
        const char *form = forms[i % 20], *place = strstr(form, "%s");
        snprintf(line, 800, "%.*s%s%s", (int)(place - form), form, secret, place + 2);
}

TEST(lines_let_none_of_200_secrets_out)
{
        struct vn_rng rng;
        struct out out;
        char secrets[200][300], line[800];
        vn_rng_seed(&rng, test_seed());
        VN_AUTO(vn_lines)
        lines = lines_to(&out, VN_DATA_INTERNAL, 1);
        for (unsigned i = 0; i < 200; i++) {
                plant(i, &rng, secrets[i], line);
                CHECK(strstr(line, secrets[i]));
                give(lines, line, false);
        }
        CHECK_INT(200, out.count);
        for (unsigned i = 0; i < 200; i++)
                if (strstr(out.text.ptr, secrets[i]))
                        test_fail(__FILE__, __LINE__, "secret %u of form %u came out: %s", i, i % 20, secrets[i]);
        /* What is worth reading is still there. */
        CHECK(strstr(out.text.ptr, "signed up: [email] (new)") && strstr(out.text.ptr, "charged [card], 12.50 EUR"));
        CHECK(strstr(out.text.ptr, "AccountKey=[secret];Suffix=core.windows.net"));
        vn_buf_done(&out.text);
}

/* --- kinds, sampling, classes --- */

#define COLD                                                                                                         \
        "REPORT RequestId: 8f5d\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: "   \
        "36 "                                                                                                        \
        "MB\tInit Duration: 110.10 ms\t"

TEST(lines_are_of_a_kind)
{
        static const struct {
                const char *text;
                bool error;
                enum vn_line_kind kind;
                bool always;
        } rows[] = {
                {COLD, false, VN_LINE_REPORT, true},
                {"REPORT RequestId: 8\tDuration: 3.01 ms\t", false, VN_LINE_REPORT, false},
                {"REPORT RequestId: 8\tDuration: 3.01 ms\tStatus: timeout", false, VN_LINE_REPORT, true},
                {"{\"time\":\"t\",\"type\":\"platform.report\",\"record\":{\"status\":\"success\"}}", false,
                 VN_LINE_REPORT, false},
                {"{\"time\":\"t\",\"type\":\"platform.report\",\"record\":{\"metrics\":{\"initDurationMs\":1},"
                 "\"status\":\"success\"}}",
                 false, VN_LINE_REPORT, true},
                {"START RequestId: 8 Version: $LATEST", false, VN_LINE_PLATFORM, false},
                {"INIT_START Runtime Version: nodejs", false, VN_LINE_PLATFORM, true},
                {"Starting new instance. Reason: AUTOSCALING", false, VN_LINE_PLATFORM, true},
                {"2026-11-24T12:00:00Z\t8f5d\tERROR\tno such thing", false, VN_LINE_ERROR, true},
                {"2026-11-24T12:00:00Z 8f5d Task timed out after 3.00 seconds", false, VN_LINE_ERROR, true},
                {"whatever", true, VN_LINE_ERROR, true},
                {"hello", false, VN_LINE_APPLICATION, false},
                {"", false, VN_LINE_APPLICATION, false},
        };
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
                bool always;
                struct vn_cloud_line line = {.error = rows[i].error, .text = vn_str(rows[i].text)};
                CHECK(vn_line_kind_of(&line, &always) == rows[i].kind);
                CHECK(always == rows[i].always);
        }
        CHECK_TEXT("report", vn_line_kind_name(VN_LINE_REPORT));
}

TEST(lines_are_sampled_with_all_errors_and_counted)
{
        struct out out;
        struct vn_lines_stats stats;
        VN_AUTO(vn_lines)
        lines = lines_to(&out, VN_DATA_INTERNAL, 10);
        for (unsigned i = 0; i < 5000; i++)
                give(lines, "hello ana@example.com", i % 10 == 0);
        vn_lines_stats(lines, &stats);
        CHECK_INT(5000, stats.seen);
        CHECK_INT(5000, stats.handed + stats.left_out);
        CHECK_INT(stats.handed, stats.scrubbed[VN_SCRUB_EMAIL]); /* what is left out is not even scrubbed */
        CHECK_NEAR(500 + 450, (double)stats.handed, 120);
        CHECK_NEAR(5000, out.weight, 1000);
        vn_buf_done(&out.text);
}

TEST(lines_of_a_restricted_account_are_figures_only)
{
        struct out out;
        struct vn_lines_stats stats;
        VN_AUTO(vn_lines)
        lines = lines_to(&out, VN_DATA_RESTRICTED, 1);
        give(lines, "a customer's words", false);
        give(lines, "a customer's words", true);
        give(lines, "START RequestId: a customer's words", false);
        give(lines, "REPORT RequestId: a customer's words", false);
        give(lines, COLD "Error Type: a customer's words", false);
        CHECK_INT(1, out.count);
        CHECK_TEXT(
                "REPORT Duration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\tInit "
                "Duration: 110.10 ms\n",
                out.text.ptr);
        vn_lines_stats(lines, &stats);
        CHECK_INT(4, stats.not_allowed);
        vn_lines_set_class(lines, VN_DATA_PUBLIC);
        give(lines, "a customer's words", false);
        CHECK_INT(2, out.count);
        vn_buf_done(&out.text);
}

TEST(lines_stop_with_who_takes_them)
{
        struct out out;
        VN_AUTO(vn_lines)
        lines = lines_to(&out, VN_DATA_INTERNAL, 1);
        out.rc = VN_UNAVAILABLE;
        struct vn_cloud_line line = {.function = "f", .text = VN_STR("x")};
        CHECK_RC(VN_UNAVAILABLE, vn_lines_take(lines, "r", &line, NULL));
        vn_buf_done(&out.text);
}

static enum vn_rc drop(void *arg, const struct vn_line *line, struct vn_err *err)
{
        (void)arg, (void)err;
        CHECK(vn_str_eq(line->text, VN_STR("password=[secret]")));
        return VN_OK;
}

/* A line for which there is no memory is dropped and counted, never handed on as it was. */
static enum vn_rc one_line(void)
{
        const struct vn_lines_config config = {.sample = {1, 10, 60000000, 10, 1}, .each = drop};
        const struct vn_cloud_line line = {.function = "f", .text = VN_STR("password=x")};
        struct vn_lines_stats stats;
        VN_AUTO(vn_lines)
        lines = NULL;
        VN_TRY(vn_lines_new(&config, &lines, NULL));
        CHECK_OK(vn_lines_take(lines, "r", &line, NULL));
        vn_lines_stats(lines, &stats);
        CHECK_INT(1, stats.handed + stats.refused);
        return stats.refused ? VN_RESOURCE_EXHAUSTED : VN_OK;
}

TEST(lines_survive_each_failed_allocation)
{
        TEST_ALLOC_LOOP(one_line);
}
