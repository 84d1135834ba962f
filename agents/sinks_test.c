#include "agents/sink.h"

#include <stdio.h>
#include <unistd.h>

#include "base/hash.h"
#include "net/edge.h"
#include "tests/test.h"

#define ACCOUNT "\"cloud\":\"aws\",\"region\":\"us-east-1\",\"access_key_id\":\"a\",\"secret_access_key\":\"b\""

static void write_text(const char *name, const char *text, char ret_path[700])
{
        snprintf(ret_path, 700, "%s/%s", test_dir(), name);
        CHECK_OK(vn_file_write_atomic(ret_path, vn_str(text), 0600, NULL));
}

static enum vn_rc open_with(const char *sinks, struct vn_sinks **ret, struct vn_err *err)
{
        char text[4096], path[700];
        snprintf(text, sizeof text, "{" ACCOUNT "%s}", sinks);
        write_text("cloud.json", text, path);
        const struct vn_sinks_options options = {path, test_dir(), "acc", vn_clock_real()};
        return vn_sinks_open(&options, ret, err);
}

TEST(sinks_none_is_fine_and_takes_nothing)
{
        struct vn_sinks *sinks = NULL;
        struct vn_window window = {0};
        CHECK_OK(open_with("", &sinks, NULL));
        CHECK(!sinks);
        vn_sinks_window(sinks, &window);
        vn_sinks_free(sinks);
}

TEST(sinks_say_what_is_wrong_with_their_configuration)
{
        char secret[700], config[2048];
        static const struct {
                const char *sinks, *want;
        } rows[] = {
                {"{}", "an array"},
                {"[1]", "not an object"},
                {"[{}]", "kind"},
                {"[{\"kind\":\"kafka\"}]", "no such kind"},
                {"[{\"kind\":\"s3\",\"bucket\":\"b-1\",\"colour\":1}]", "colour is no member"},
                {"[{\"kind\":\"s3\"}]", "bucket"},
                {"[{\"kind\":\"s3\",\"bucket\":\"\"}]", "bucket is empty"},
                {"[{\"kind\":\"s3\",\"bucket\":\"b-1\",\"flush_s\":-1}]", "flush_s must be from"},
                {"[{\"kind\":\"s3\",\"bucket\":\"b-1\",\"spool_bytes\":1000}]", "spool_bytes must be from"},
                {"[{\"kind\":\"s3\",\"bucket\":\"b-1\",\"name\":\"../x\"}]", "name: letters"},
                {"[{\"kind\":\"s3\",\"bucket\":\"b-1\"},{\"kind\":\"s3\",\"bucket\":\"b-2\"}]",
                 "two sinks are called s3"},
                {"[{\"kind\":\"gcs\",\"bucket\":\"b-1\"}]", "gcs is for accounts of gcp"},
                {"[{\"kind\":\"blob\",\"container\":\"b-1\",\"account\":\"x\"}]", "blob is for accounts of azure"},
                {"[{\"kind\":\"influx\",\"database\":\"d\"}]", "url"},
                {"[{\"kind\":\"influx\",\"url\":\"ftp://x\",\"database\":\"d\"}]", "url must begin"},
                {"[{\"kind\":\"influx\",\"url\":\"https://x\"}]", "either database"},
                {"[{\"kind\":\"influx\",\"url\":\"https://x\",\"database\":\"d\",\"bucket\":\"b\"}]",
                 "either database"},
                {"[{\"kind\":\"influx\",\"url\":\"https://x\",\"bucket\":\"b\"}]", "org"},
                {"[{\"kind\":\"postgres\",\"conninfo\":\"host=h password=SECRET\"}]", "the password belongs into"},
                {"[{\"kind\":\"postgres\",\"conninfo\":\"SECRET ho st=h\"}]", "not a connection string"},
                {"[{\"kind\":\"postgres\",\"conninfo\":\"host=h\",\"table\":\"a; DROP\"}]", "table: lower-case"},
                {"[{\"kind\":\"prometheus\",\"listen\":\"9464\"}]", "listen must be"},
                {"[{\"kind\":\"prometheus\",\"listen\":\"0.0.0.0:9464\"}]", ""},
        };
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct vn_sinks *sinks = NULL;
                struct vn_err err = {0};
                snprintf(config, sizeof config, ",\"sinks\":%s", rows[i].sinks);
                if (open_with(config, &sinks, &err) == VN_OK)
                        test_fail(__FILE__, __LINE__, "accepted: %s", rows[i].sinks);
                if (!strstr(err.msg, rows[i].want) || strstr(err.msg, "SECRET"))
                        test_fail(__FILE__, __LINE__, "%s: %s", rows[i].sinks, err.msg);
        }
        write_text("two-lines", "SECRET\nmore\n", secret);
        snprintf(config, sizeof config,
                 ",\"sinks\":[{\"kind\":\"influx\",\"url\":\"https://x\",\"database\":\"d\",\"token_file\":\"%s\"}]",
                 secret);
        struct vn_sinks *sinks = NULL;
        struct vn_err err = {0};
        CHECK_RC(VN_INVALID_ARGUMENT, open_with(config, &sinks, &err));
        CHECK(strstr(err.msg, "more than one line") && !strstr(err.msg, "SECRET"));
}

/* --- an InfluxDB that answers what a test wants --- */

static struct {
        const struct {
                int status;
                const char *retry_after, *body;
        } * steps;
        size_t count;
        _Atomic size_t at, points, most_points;
        char authorization[200], query[200];
} script;

static void answer(void *context, const struct vn_http_request *request)
{
        (void)context;
        size_t at = script.at++, points = 0;
        const struct vn_http_header header = {"retry-after", at < script.count ? script.steps[at].retry_after : NULL};
        struct vn_str token = vn_call_header(request->call, "authorization");
        VN_IGNORE(vn_str_copy(script.authorization, sizeof script.authorization, token));
        VN_IGNORE(vn_str_copy(script.query, sizeof script.query, request->query));
        for (size_t i = 0; i < request->body.len; i++)
                points += request->body.ptr[i] == '\n';
        if (at < script.count) {
                vn_http_reply(request->call, script.steps[at].status, "application/json",
                              vn_str(script.steps[at].body), &header, header.value != NULL);
                return;
        }
        script.points += points;
        if (points > script.most_points)
                script.most_points = points;
        vn_http_reply(request->call, 204, "text/plain", VN_STR(""), NULL, 0);
}

static struct vn_edge *start_influx(uint16_t *ret_port)
{
        struct vn_edge_limits limits;
        struct vn_edge *edge = NULL;
        char host[40];
        vn_edge_limits_default(&limits);
        CHECK_OK(vn_edge_new(&limits, 1, &edge, NULL));
        CHECK_OK(vn_edge_listen(edge, "127.0.0.1", 0, NULL, ret_port, NULL));
        snprintf(host, sizeof host, "127.0.0.1:%u", *ret_port);
        CHECK_OK(vn_edge_allow_host(edge, host, NULL));
        CHECK_OK(vn_edge_add_http(edge, "/api/v2/write", VN_ACCESS_PUBLIC, answer, NULL, NULL));
        CHECK_OK(vn_edge_start(edge, NULL));
        return edge;
}

static void put_windows(struct vn_sinks *sinks, unsigned count)
{
        for (unsigned i = 0; i < count; i++) {
                struct vn_window w = {.function = "f", .region = "r", .start_us = i * VN_WINDOW_US, .calls = 1};
                vn_sinks_window(sinks, &w);
        }
}

static struct vn_sink_health wait_for_all(struct vn_sinks *sinks, int seconds)
{
        struct vn_sink_health h[VN_MAX_SINKS] = {0};
        for (int i = 0; i < seconds * 100; i++) {
                CHECK_INT(1, vn_sinks_health(sinks, h));
                if (!h[0].waiting_records)
                        break;
                usleep(10000);
        }
        return h[0];
}

TEST(sinks_influx_waits_as_long_as_it_is_asked_halves_what_is_too_large_and_counts_what_is_refused)
{
        static const struct {
                int status;
                const char *retry_after, *body;
        } steps[] = {{503, "1", "{\"code\":\"unavailable\",\"message\":\"busy\"}"},
                     {429, "1", ""},
                     {413, NULL, "{\"error\":\"too large\"}"},
                     {413, NULL, ""},
                     {400, NULL, "{\"error\":\"partial write: points beyond retention policy dropped=7\"}"}};
        char token[700], config[2048];
        struct vn_sinks *sinks = NULL;
        struct vn_err err = {0};
        uint16_t port;
        memset(&script, 0, sizeof script);
        script.steps = (const void *)steps;
        script.count = sizeof steps / sizeof steps[0];
        struct vn_edge *edge = start_influx(&port);
        write_text("token", "T0KEN\n", token);
        snprintf(config, sizeof config,
                 ",\"sinks\":[{\"kind\":\"influx\",\"url\":\"http://127.0.0.1:%u/\",\"org\":\"o&o\",\"bucket\":\"b\","
                 "\"token_file\":\"%s\"}]",
                 port, token);
        if (open_with(config, &sinks, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        int64_t from_us = vn_mono_us(vn_clock_real());
        put_windows(sinks, 400);
        struct vn_sink_health h = wait_for_all(sinks, 20);
        CHECK(vn_mono_us(vn_clock_real()) - from_us >= 2 * VN_US_PER_S); /* a second each, as asked */
        CHECK_INT(0, h.waiting_records);
        CHECK_INT(7, h.refused_records);
        CHECK_INT(393, h.delivered_records);
        CHECK_INT(0, h.dropped_records);
        CHECK(h.last_error_us > 0);
        CHECK(script.points >= 200 && script.points < 400 && script.most_points < 400);
        CHECK_TEXT("Token T0KEN", script.authorization);
        CHECK_TEXT("precision=ns&org=o%26o&bucket=b", script.query);
        vn_sinks_free(sinks);
        vn_edge_drain(edge, 100);
        vn_edge_free(edge);
}

TEST(sinks_keep_in_their_spool_what_nobody_takes_until_the_next_start)
{
        const char *config = ",\"sinks\":[{\"kind\":\"postgres\",\"conninfo\":\"host=127.0.0.1 port=1\"}]";
        struct vn_sinks *sinks = NULL;
        struct vn_sink_health h[VN_MAX_SINKS];
        CHECK_OK(open_with(config, &sinks, NULL));
        put_windows(sinks, 50);
        vn_sinks_free(sinks);
        CHECK_OK(open_with(config, &sinks, NULL));
        CHECK_INT(1, vn_sinks_health(sinks, h));
        CHECK_INT(50, h[0].waiting_records);
        CHECK_TEXT("postgres", h[0].name);
        vn_sinks_free(sinks);
}

TEST(sinks_cut_a_line_that_is_too_long_and_lose_none)
{
        struct vn_sinks *sinks = NULL;
        struct vn_sink_health h[VN_MAX_SINKS];
        char *text = vn_alloc(1 << 20);
        CHECK(text);
        /* Nothing listens there, and a flush is an hour away. */
        CHECK_OK(open_with(",\"endpoint\":\"https://"
                           "127.0.0.1:1\",\"sinks\":[{\"kind\":\"s3\",\"bucket\":\"b-1\",\"flush_s\":3600}]",
                           &sinks, NULL));
        for (int fill = 1; fill < 200; fill += 60) {
                memset(text, fill, 1 << 20);
                const struct vn_sink_line line = {.time_us = 1,
                                                  .function = "f",
                                                  .region = "r",
                                                  .kind = "report",
                                                  .text = vn_str_n(text, 1 << 20)};
                vn_sinks_line(sinks, &line);
        }
        vn_sinks_health(sinks, h);
        CHECK_INT(4, h[0].waiting_records);
        CHECK_INT(0, h[0].dropped_records);
        vn_sinks_free(sinks);
        vn_free(text);
}
