/* Plain HTTP endpoints: the functions file, calls with a token, the access log. */
#include "clouds/http/http.h"

#include <stdlib.h>
#include <unistd.h>

#include "clouds/wire_test.h"

#define ONE                                                                                                          \
        "{\"functions\":[{\"name\":\"resize\",\"url\":\"https://fn.example:8443/resize\",\"memory_mb\":512,"         \
        "\"timeout_s\":20,\"concurrency\":10},{\"name\":\"mail\",\"url\":\"http://127.0.0.1:9/mail\","               \
        "\"memory_mb\":256,\"region\":\"de-attic\"}],\"prices\":{\"usd_per_gb_s\":0.00001,\"usd_per_request\":0}}"

struct place {
        char functions[64], token[64], log[64];
        struct wire wire;
        struct vn_cloud *cloud;
};

static void write_file(char path[64], const char *text)
{
        if (!path[0]) {
                memcpy(path, "/tmp/vane-http-XXXXXX", 22);
                int fd = mkstemp(path);
                CHECK(fd >= 0);
                close(fd);
        }
        FILE *file = fopen(path, "we");
        CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void open_place(struct place *p, const struct wire_step *steps, size_t count)
{
        *p = (struct place){.functions = ""};
        write_file(p->functions, ONE);
        write_file(p->token, "first\n");
        write_file(p->log, "");
        wire_init(&p->wire, steps, count);
        const struct vn_cloud_config config = {.kind = VN_CLOUD_HTTP,
                                               .region = VN_STR("eu-cellar1"),
                                               .functions_file = vn_str(p->functions),
                                               .token_file = vn_str(p->token),
                                               .log_file = vn_str(p->log)};
        CHECK_OK(vn_cloud_open(&config, &wire_clock.clock, &p->wire.transport, &p->cloud, NULL));
}

static void close_place(struct place *p)
{
        wire_check_done(&p->wire);
        vn_cloud_free(p->cloud);
        unlink(p->functions);
        unlink(p->token);
        unlink(p->log);
}

TEST(the_functions_file_is_the_list)
{
        struct place p;
        struct vn_cloud_list list;
        struct vn_cloud_function read;

        open_place(&p, NULL, 0);
        CHECK_OK(vn_cloud_list(p.cloud, &list, NULL));
        CHECK_INT(2, list.count);
        CHECK(list.complete && !strcmp(list.functions[0].region, "eu-cellar1"));
        CHECK(!strcmp(list.functions[1].region, "de-attic") && list.functions[1].timeout_s == 60);
        CHECK_OK(vn_cloud_read(p.cloud, &list.functions[0], &read, NULL));
        CHECK(!strcmp(read.guard, list.functions[0].guard) && read.memory_mb == 512 && !read.memory_tunable);
        CHECK_RC(VN_FAILED_PRECONDITION, vn_cloud_change(p.cloud, &read, VN_SETTING_MEMORY_MB, 1024, 0, &read, NULL));
        write_file(p.functions, "{\"functions\":[]}");
        CHECK_RC(VN_NOT_FOUND, vn_cloud_read(p.cloud, &list.functions[0], &read, NULL));
        vn_cloud_list_done(&list);
        close_place(&p);
}

TEST(a_wrong_entry_is_named_and_nothing_is_listed)
{
        static const struct {
                const char *text, *says;
        } wrong[] = {
                {"[]", "functions"},
                {"{\"functions\":", "functions_file"},
                {"{\"functions\":[{\"name\":\"a\",\"url\":\"http://example.com/\",\"memory_mb\":1}]}", "https"},
                {"{\"functions\":[{\"name\":\"a\",\"url\":\"https://e/\"}]}", "memory_mb"},
                {"{\"functions\":[{\"name\":\"a\",\"url\":\"https://e/\",\"memory_mb\":-1}]}", "memory_mb"},
                {"{\"functions\":[{\"name\":\"a\",\"url\":\"https://e/ \",\"memory_mb\":1}]}", "character"},
                {"{\"functions\":[{\"url\":\"https://e/\",\"memory_mb\":1}]}", "name"},
                {"{\"functions\":[{\"name\":\"a\",\"url\":\"https://e/\",\"memory_mb\":1,\"timeout_s\":\"9\"}]}",
                 "timeout_s"},
        };
        struct place p;

        open_place(&p, NULL, 0);
        for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
                struct vn_cloud_list list;
                struct vn_err err = {0};

                write_file(p.functions, wrong[i].text);
                CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_list(p.cloud, &list, &err));
                if (!strstr(err.msg, wrong[i].says))
                        test_fail(__FILE__, __LINE__, "\"%s\" lacks \"%s\"", err.msg, wrong[i].says);
        }
        close_place(&p);
}

TEST(prices_are_stated_or_missing_by_name)
{
        struct place p;
        struct vn_cloud_price_list prices;
        struct vn_err err = {0};

        open_place(&p, NULL, 0);
        CHECK_OK(vn_cloud_prices(p.cloud, &prices, NULL));
        CHECK_INT(2, prices.count);
        CHECK_INT(10000000, prices.prices[0].pico_usd);
        CHECK_INT(0, prices.prices[1].pico_usd);
        vn_cloud_price_list_done(&prices);
        write_file(p.functions, "{\"functions\":[],\"prices\":{\"usd_per_gb_s\":0}}");
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_prices(p.cloud, &prices, &err));
        CHECK(strstr(err.msg, "usd_per_request"));
        close_place(&p);
}

TEST(calls_carry_the_token_as_the_file_has_it_now)
{
        static const struct wire_step steps[] = {{"POST https://fn.example:8443/resize", 200, NULL, "done"},
                                                 {"POST https://fn.example:8443/resize", 401, NULL, "{}"},
                                                 {"POST https://fn.example:8443/resize", 503, NULL, "{}"},
                                                 {"POST http://127.0.0.1:9/mail", 200, NULL, "sent"},
                                                 {"HEAD https://fn.example:8443/resize", 405, NULL, ""},
                                                 {"HEAD https://fn.example:8443/resize", 403, NULL, ""}};
        struct place p;
        struct vn_cloud_list list;
        struct vn_cloud_result result;
        struct vn_cloud_health health;

        open_place(&p, steps, sizeof(steps) / sizeof(steps[0]));
        CHECK_OK(vn_cloud_list(p.cloud, &list, NULL));
        CHECK_OK(vn_cloud_invoke(p.cloud, &list.functions[0], VN_STR("in"), &result, NULL));
        CHECK(strstr(p.wire.asked[0], "Bearer first") && strstr(p.wire.asked[0], "in"));
        vn_cloud_result_done(&result);
        write_file(p.token, "second");
        /* A refused token is read once more, and a 503 is never repeated: it may have run. */
        CHECK_RC(VN_UNAVAILABLE, vn_cloud_invoke(p.cloud, &list.functions[0], VN_STR("in"), &result, NULL));
        CHECK(strstr(p.wire.asked[1], "Bearer second"));
        CHECK_OK(vn_cloud_invoke(p.cloud, &list.functions[1], VN_STR(""), &result, NULL));
        vn_cloud_result_done(&result);
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_cloud_invoke_async(p.cloud, &list.functions[0], VN_STR(""), &result, NULL));
        CHECK_OK(vn_cloud_health(p.cloud, &health, NULL));
        CHECK_RC(VN_PERMISSION_DENIED, vn_cloud_health(p.cloud, &health, NULL));
        vn_cloud_list_done(&list);
        close_place(&p);
}

struct seen {
        struct vn_cloud_invocation last;
        uint64_t hash[8];
        size_t count;
};

static enum vn_rc note(void *arg, const struct vn_cloud_invocation *invocation)
{
        struct seen *seen = arg;

        seen->last = *invocation;
        if (seen->count < 8)
                seen->hash[seen->count] = invocation->id_hash;
        seen->count++;
        return VN_OK;
}

#define LINE(rest) "{\"time\":\"2026-11-24T12:00:01.5Z\",\"function\":\"resize\"," rest "}\n"

TEST(the_log_is_read_line_by_line)
{
        struct place p;
        struct seen seen = {.count = 0}, again = {.count = 0};
        const int64_t noon = wire_clock.time_us;

        open_place(&p, NULL, 0);
        write_file(p.log, "not json\n" LINE("\"duration_ms\":12.5,\"status\":200") /* two alike are two calls */
                   LINE("\"duration_ms\":12.5,\"status\":200") LINE("\"status\":200")
                           LINE("\"duration_ms\":-1,\"status\":200") LINE("\"duration_ms\":1,\"status\":99") LINE(
                                   "\"duration_ms\":\"7\",\"status\":504,\"init_ms\":3,"
                                   "\"memory_used_mb\":70,\"request_bytes\":5") "{\"time\":\"2026-11-24T12:00:02Z\","
                                                                                "\"function\":\"resize\",");
        CHECK_OK(vn_cloud_logs(p.cloud, NULL, noon, noon + VN_US_PER_MIN, note, &seen, NULL));
        CHECK_INT(3, seen.count);
        CHECK(seen.hash[0] != seen.hash[1] && seen.last.status == VN_INVOCATION_TIMEOUT && seen.last.cold);
        CHECK_INT(7000, seen.last.duration_us);
        CHECK_INT(70, seen.last.max_memory_mb);
        CHECK_OK(vn_cloud_logs(p.cloud, NULL, noon, noon + VN_US_PER_MIN, note, &again, NULL));
        CHECK(again.count == 3 && !memcmp(again.hash, seen.hash, sizeof(seen.hash)));
        CHECK_OK(vn_cloud_logs(p.cloud, NULL, noon, noon + VN_US_PER_S, note, &again, NULL));
        CHECK_INT(3, again.count);
        unlink(p.log);
        CHECK_OK(vn_cloud_logs(p.cloud, NULL, noon, noon + VN_US_PER_MIN, note, &again, NULL));
        close_place(&p);
}

TEST(a_line_over_chunks_is_whole_and_one_that_is_too_long_is_passed_over)
{
        struct place p;
        struct seen seen = {.count = 0};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 20);
        size_t lines = 0;

        open_place(&p, NULL, 0);
        while (text.len < 300000) {
                vn_buf_printf(&text,
                              "{\"time\":\"2026-11-24T12:00:01Z\",\"function\":\"resize\",\"status\":200,"
                              "\"duration_ms\":%zu}\n",
                              lines++);
                if (lines == 100)
                        for (int i = 0; i < 9000; i++)
                                vn_buf_text(&text, "0123456789");
                if (lines == 100)
                        vn_buf_char(&text, '\n');
        }
        CHECK_OK(vn_buf_check(&text, NULL));
        write_file(p.log, text.ptr);
        CHECK_OK(vn_cloud_logs(p.cloud, NULL, wire_clock.time_us, wire_clock.time_us + VN_US_PER_MIN, note, &seen,
                               NULL));
        CHECK_INT(lines, seen.count);
        close_place(&p);
}
