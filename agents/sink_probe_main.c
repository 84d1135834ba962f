/* vane-sink-probe - tests only: puts numbered lines and windows into the sinks of a cloud.json, waits until they have arrived,
 * and prints each sink's health as JSON. Line and window number i are the same in every run.
 *   vane-sink-probe --config FILE --state DIR [--lines N] [--windows N] [--first I] [--wait SECONDS] [--stay 1]
 * Exit 0: everything was delivered; 3: something still waits; 1: the sinks cannot be opened. --stay 1: until SIGTERM. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agents/sink.h"
#include "base/fault.h"
#include "base/log.h"

#define START_US INT64_C(1767225540000000) /* 2025-12-31T23:59:00Z: lines soon fall into another day */
#define FUNCTIONS 5

struct options {
        const char *config, *state;
        uint64_t lines, windows, first, wait, stay;
};

static volatile sig_atomic_t stopping;

static void on_signal(int number)
{
        (void)number;
        stopping = 1;
}

/* Names that a careless writer would break its form with. */
static const char *const functions[FUNCTIONS] = {"plain", "with space", "com,ma=\"quoted\"", "sl/ash?&%41#",
                                                 "\xc3\xbc-\\"};

static void put_line(struct vn_sinks *sinks, uint64_t i)
{
        char text[200];
        int n = snprintf(text, sizeof text, "line %llu \"quoted\" \xe2\x82\xac \t end", (unsigned long long)i);
        const struct vn_sink_line line = {.time_us = START_US + (int64_t)i * 20000,
                                          .function = functions[i % FUNCTIONS],
                                          .region = "region-1",
                                          .kind = i % 2 ? "error" : "application",
                                          .weight = (uint32_t)(1 + i % 4),
                                          .text = vn_str_n(text, (size_t)n)};
        vn_sinks_line(sinks, &line);
}

static void put_window(struct vn_sinks *sinks, uint64_t i)
{
        struct vn_window w = {.region = "region-1",
                              .start_us = START_US + (int64_t)(i / FUNCTIONS) * VN_WINDOW_US,
                              .calls = 1 + (uint32_t)(i % 7),
                              .errors = i % 3 == 0,
                              .cold_starts = i % 5 == 0,
                              .duration_sum_us = 1000 * (1 + i % 7),
                              .billed_sum_us = 2000,
                              .memory_mb = 512,
                              .payload_sum_bytes = 10};
        snprintf(w.function, sizeof w.function, "%s", functions[i % FUNCTIONS]);
        vn_sketch_init(&w.durations);
        vn_sketch_add(&w.durations, 1000, w.calls);
        vn_sinks_window(sinks, &w);
}

static enum vn_rc parse(int argc, char **argv, struct options *ret, struct vn_err *err)
{
        const struct {
                const char *name;
                const char **text;
                uint64_t *number;
        } rows[] = {{"--config", &ret->config, NULL}, {"--state", &ret->state, NULL},
                    {"--lines", NULL, &ret->lines},   {"--windows", NULL, &ret->windows},
                    {"--first", NULL, &ret->first},   {"--wait", NULL, &ret->wait},
                    {"--stay", NULL, &ret->stay}};
        for (int i = 1; i + 1 < argc; i += 2)
                for (size_t r = 0; r < sizeof rows / sizeof rows[0]; r++)
                        if (!strcmp(argv[i], rows[r].name) && rows[r].text)
                                *rows[r].text = argv[i + 1];
                        else if (!strcmp(argv[i], rows[r].name))
                                VN_TRY(vn_str_to_u64(vn_str(argv[i + 1]), rows[r].number));
        return ret->config && ret->state ? VN_OK
                                         : vn_fail(err, VN_INVALID_ARGUMENT, "--config and --state are needed");
}

static bool all_delivered(const struct vn_sinks *sinks)
{
        struct vn_sink_health h[VN_MAX_SINKS];
        size_t count = vn_sinks_health(sinks, h);
        for (size_t i = 0; i < count; i++)
                if (h[i].waiting_records)
                        return false;
        return true;
}

static void print_health(const struct vn_sinks *sinks)
{
        struct vn_sink_health h[VN_MAX_SINKS];
        size_t count = vn_sinks_health(sinks, h);
        for (size_t i = 0; i < count; i++)
                printf("{\"sink\":\"%s\",\"waiting\":%llu,\"delivered\":%llu,\"dropped\":%llu,\"refused\":%llu}\n",
                       h[i].name, (unsigned long long)h[i].waiting_records,
                       (unsigned long long)h[i].delivered_records, (unsigned long long)h[i].dropped_records,
                       (unsigned long long)h[i].refused_records);
        fflush(stdout);
}

int main(int argc, char **argv)
{
        struct options o = {.wait = 10};
        struct vn_err err = {0};
        struct vn_sinks *sinks = NULL;
        const struct timespec pause = {0, 10 * 1000 * 1000};
        vn_fault_init();
        vn_log_init("vane-sink-probe", VN_LOG_INFO, VN_LOG_TEXT);
        signal(SIGTERM, on_signal);
        signal(SIGPIPE, SIG_IGN);
        enum vn_rc rc = parse(argc, argv, &o, &err);
        const struct vn_sinks_options options = {o.config, o.state, "probe", vn_clock_real()};
        if (rc == VN_OK)
                rc = vn_sinks_open(&options, &sinks, &err);
        if (rc != VN_OK || !sinks) {
                fprintf(stderr, "vane-sink-probe: %s\n", rc == VN_OK ? "no sinks" : err.msg);
                return 1;
        }
        for (uint64_t i = o.first; i < o.first + o.lines; i++)
                put_line(sinks, i);
        for (uint64_t i = o.first; i < o.first + o.windows; i++)
                put_window(sinks, i);
        printf("put\n");
        fflush(stdout);
        for (uint64_t turn = 0; !stopping && (o.stay || (turn < o.wait * 100 && !all_delivered(sinks))); turn++)
                nanosleep(&pause, NULL);
        bool done = all_delivered(sinks);
        print_health(sinks);
        vn_sinks_free(sinks);
        return done ? 0 : 3;
}
