/* log, metrics, config, lock, json: the modules that are made of tables. */
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/config.h"
#include "base/json.h"
#include "base/lock.h"
#include "base/log.h"
#include "base/metrics.h"
#include "tests/test.h"

/* --- json --- */

TEST(json_is_bounded_and_says_where)
{
        static const struct vn_json_limits limits = {64, 3, 8};
        json_t *root = NULL;
        struct vn_err err;
        double number;
        int64_t integer;
        struct vn_str text;

        CHECK_OK(vn_json_parse(VN_STR("{\"a\":[1,{\"b\":\"]]]]\"}],\"n\":2.5}"), &limits, &root, &err));
        CHECK_OK(vn_json_double(root, "n", &number, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_json_i64(root, "n", &integer, &err));
        CHECK_RC(VN_NOT_FOUND, vn_json_text(root, "zz", &text, &err));
        CHECK_TEXT("zz: missing", err.msg);
        json_decref(root);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_json_parse(VN_STR("[[[[]]]]"), &limits, &root, &err));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_json_parse(VN_STR("[1,2,3,4,5,6,7,8,9]"), &limits, &root, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_json_parse(VN_STR("{\n \"a\":1,\"a\":2}"), &limits, &root, &err));
        CHECK(strstr(err.msg, "line 2"));
}

/* --- config --- */

struct demo {
        char name[16];
        uint16_t port;
        uint64_t bytes;
        double share;
        bool on;
};
static const struct vn_config_row rows[] = {
        VN_CONFIG_ROW(struct demo, name, "name", TEXT, NULL, 1, 15, "", START, "A name.") VN_CONFIG_ROW(
                struct demo, port, "http.port", UINT, "80", 1, 65535, "", START, "A port.")
                VN_CONFIG_ROW(struct demo, bytes, "http.bytes", UINT, "1024", 1, 1e15, "bytes", RELOAD, "A size.")
                        VN_CONFIG_ROW(struct demo, share, "share", NUMBER, "0.5", 0, 1, "", RELOAD, "A share.")
                                VN_CONFIG_ROW(struct demo, on, "on", BOOL, "true", 0, 1, "", RELOAD, "Whether.")};
#define ROWS rows, sizeof(rows) / sizeof(rows[0])

TEST(config_reads_nested_and_dotted_keys)
{
        struct demo d = {.port = 9};
        struct vn_err err;

        CHECK_OK(vn_config_parse(ROWS, VN_STR("name: x\nhttp:\n  port: 81\nhttp.bytes: 5\non: false\n"), "f", &d,
                                 sizeof(d), &err));
        CHECK_TEXT("x", d.name);
        CHECK_INT(81, d.port);
        CHECK_INT(5, d.bytes);
        CHECK_NEAR(0.5, d.share, 0);
        CHECK(!d.on);
}

static void config_refused(const char *yaml, const char *message)
{
        struct demo d = {.port = 9};
        struct vn_err err;

        CHECK_RC(VN_INVALID_ARGUMENT, vn_config_parse(ROWS, vn_str(yaml), "f", &d, sizeof(d), &err));
        if (!strstr(err.msg, message))
                test_fail(__FILE__, __LINE__, "\"%s\" does not hold \"%s\"", err.msg, message);
        CHECK_INT(9, d.port); /* untouched */
}

TEST(config_refuses_with_the_place)
{
        config_refused("", "name is missing");
        config_refused("name: x\nprot: 1\n", "line 2 column 1: no such key: prot");
        config_refused("name: x\nname: y\n", "line 2 column 1: given twice");
        config_refused("name: x\nhttp:\n  port: 65536\n", "line 3 column 9: out of bounds: http.port 1 to 65535");
        config_refused("name: x\nhttp:\n  port: -1\n", "wants a whole number");
        config_refused("name: x\nshare: nan\n", "share wants a number");
        config_refused("name: x\non: yes\n", "on wants a true or false");
        config_refused("name: [x]\n", "wants one value");
        config_refused("- name\n", "not a list of keys");
        config_refused("name: &a x\nshare: *a\n", "line 2");
        config_refused("name: x\n---\nname: y\n", "more than one document");
        config_refused("name: 'unclosed\n", "line ");
        config_refused("name: 0123456789abcdef\n", "out of bounds");
        config_refused("a: {a: {a: {a: {a: {a: {a: {a: {a: {a: 1}}}}}}}}}}\n", "nested too deep");
}

static void put(const char *path, const char *yaml)
{
        CHECK_OK(vn_file_write_atomic(path, vn_str(yaml), 0600, NULL));
}

TEST(config_reloads_all_or_nothing)
{
        char path[512];
        struct demo d = {.port = 0};
        struct vn_err err;

        snprintf(path, sizeof(path), "%s/c.yaml", test_dir());
        put(path, "name: x\nshare: 0.1\n");
        CHECK_OK(vn_config_read(ROWS, path, &d, sizeof(d), &err));
        put(path, "name: x\nshare: 0.2\nhttp.port: 90\n");
        CHECK_RC(VN_FAILED_PRECONDITION, vn_config_reload(ROWS, path, &d, sizeof(d), &err));
        CHECK(strstr(err.msg, "http.port"));
        CHECK_NEAR(0.1, d.share, 0);
        put(path, "name: x\nshare: 2\n");
        CHECK_RC(VN_INVALID_ARGUMENT, vn_config_reload(ROWS, path, &d, sizeof(d), &err));
        put(path, "name: x\nshare: 0.2\n");
        CHECK_OK(vn_config_reload(ROWS, path, &d, sizeof(d), &err));
        CHECK_NEAR(0.2, d.share, 0);
}

static enum vn_rc parse_config(void)
{
        struct demo d = {.port = 0};
        return vn_config_parse(ROWS, VN_STR("name: x\nhttp:\n  port: 81\n"), "f", &d, sizeof(d), NULL);
}

TEST(config_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(parse_config);
}

/* --- log --- */

static size_t log_lines(int fd, char *text, size_t bytes)
{
        ssize_t n = read(fd, text, bytes - 1);
        size_t lines = 0;

        text[n > 0 ? n : 0] = '\0';
        for (const char *c = text; *c; c++)
                lines += *c == '\n';
        return lines;
}

TEST(log_writes_one_line_and_holds_repeats_back)
{
        struct vn_clock_fake clock;
        char text[16384];
        int fds[2];

        CHECK(!pipe(fds));
        fcntl(fds[0], F_SETFL, O_NONBLOCK);
        vn_clock_fake_init(&clock, INT64_C(1795527252000000));
        vn_log_init("test", VN_LOG_INFO, VN_LOG_TEXT);
        vn_log_set_output(fds[1], &clock.clock);
        VN_LOG(START, "account=%s", "a\nb");
        CHECK_INT(1, log_lines(fds[0], text, sizeof(text)));
        CHECK(strstr(text, "Z info start account=a b\n"));
        vn_log_set_level(VN_LOG_WARN);
        VN_LOG(START, "below the level");
        vn_log_set_level(VN_LOG_INFO);
        CHECK_INT(0, log_lines(fds[0], text, sizeof(text)));
        for (int i = 0; i < 100; i++)
                VN_LOG(ROUND_KEPT, "n=%d", i);
        CHECK_INT(20, log_lines(fds[0], text, sizeof(text)));
        clock.time_us += 11 * VN_US_PER_S;
        VN_LOG(ROUND_KEPT, "n=last");
        CHECK_INT(2, log_lines(fds[0], text, sizeof(text)));
        CHECK(strstr(text, "held_back=80"));
        CHECK_NEAR(80, vn_metric_value(VN_METRIC_LOG_HELD_BACK, "round-kept"), 0);

        vn_log_init("test", VN_LOG_INFO, VN_LOG_JSON);
        VN_LOG(FATAL, "what=%s why=\"%s\" and so on", "body", "too large");
        log_lines(fds[0], text, sizeof(text));
        CHECK(strstr(text, "\"event\":\"fatal\",\"what\":\"body\",\"why\":\"too large\",\"text\":\"and so on\"}"));
        vn_log_init("test", VN_LOG_INFO, VN_LOG_TEXT);
        vn_log_set_output(2, NULL);
        close(fds[0]);
        close(fds[1]);
}

/* --- metrics --- */

static void *count_up(void *arg)
{
        (void)arg;
        for (int i = 0; i < 10000; i++) {
                VN_METRIC_ADD_FOR(LOG_LINES, i % 2 ? "start" : "fatal", 1);
                VN_METRIC_OBSERVE(COMMIT_SECONDS, 300);
        }
        return NULL;
}

TEST(metrics_count_from_many_threads)
{
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(1 << 20);
        pthread_t threads[4];

        vn_metrics_reset();
        for (int i = 0; i < 4; i++)
                CHECK(!pthread_create(&threads[i], NULL, count_up, NULL));
        for (int i = 0; i < 4; i++)
                pthread_join(threads[i], NULL);
        CHECK_NEAR(20000, vn_metric_value(VN_METRIC_LOG_LINES, "fatal"), 0);
        CHECK_NEAR(40000, vn_metric_value(VN_METRIC_LOG_LINES, NULL), 0);
        VN_METRIC_SET(UP_SINCE, 6);
        for (int i = 0; i < 100; i++) {
                char label[16];
                snprintf(label, sizeof(label), "l%d", i);
                VN_METRIC_ADD_FOR(LOG_HELD_BACK, label, 1);
        }
        vn_metrics_print(&out);
        CHECK(!out.failed);
        CHECK(strstr(out.ptr, "# TYPE vane_log_lines_total counter\n"));
        CHECK(strstr(out.ptr, "vane_log_lines_total{event=\"start\"} 20000\n"));
        CHECK(strstr(out.ptr, "vane_start_time_seconds 6\n"));
        CHECK(strstr(out.ptr, "vane_log_lines_held_back_total{event=\"other\"} 60\n"));
        CHECK(strstr(out.ptr, "vane_commit_seconds_bucket{le=\"0.00025\"} 0\n"));
        CHECK(strstr(out.ptr, "vane_commit_seconds_bucket{le=\"0.0005\"} 40000\n"));
        CHECK(strstr(out.ptr, "vane_commit_seconds_sum 12.000000\nvane_commit_seconds_count 40000\n"));
        vn_metrics_reset();
}

/* --- lock --- */

VN_LOCK_CLASS(test_class, "test");
static struct vn_lock lock;

static void *look(void *arg)
{
        *(bool *)arg = vn_lock_held(&lock);
        return NULL;
}

TEST(lock_knows_its_owner)
{
        VN_AUTO(vn_buf)
        report = VN_BUF_INIT(4096);
        struct timespec past = {.tv_sec = 1};
        pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
        pthread_t thread;
        bool other = true;

        vn_lock_init(&lock, &test_class);
        CHECK(!vn_lock_held(&lock));
        {
                VN_LOCKED(&lock);
                VN_ASSERT_HELD(&lock);
                CHECK(!pthread_create(&thread, NULL, look, &other));
                pthread_join(thread, NULL);
                CHECK(!other);
                CHECK(!vn_lock_wait(&lock, &condition, &past));
                CHECK(vn_lock_held(&lock));
        }
        CHECK(!vn_lock_held(&lock));
        vn_lock_report(&report);
        CHECK(strstr(report.ptr, "test 2 0\n"));
        vn_lock_done(&lock);
}
