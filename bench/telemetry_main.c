/* Telemetry of the agent: log lines a second through scrub, sample and window; the error of a sketch's quantiles; and what
 * a million calls of the Azure trace cost to send. Usage: bench-telemetry DATA_DIRECTORY. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "agents/lines.h"
#include "agents/window_proto.h"
#include "base/detmath.h"
#include "base/hash.h"
#include "clouds/aws/aws.h"
#include "platform/trace.h"

#define CALLS 8000 /* five lines each */
#define LINES (5 * CALLS)
#define LINE_BYTES 420
#define PASSES 11
#define FUNCTIONS 40
#define START_US INT64_C(1795521600000000)
#define REPORT_WINDOWS 200

static void die(const char *what, const struct vn_err *err)
{
        fprintf(stderr, "bench-telemetry: %s: %s\n", what, err ? err->msg : "");
        exit(1);
}

static double now_s(void)
{
        struct timespec t;
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t); /* a core's own time, whatever else the machine does */
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void figure(const char *name, const char *metric, double value, const char *unit)
{
        printf("{\"bench\": \"telemetry\", \"case\": \"%s\", \"metric\": \"%s\", \"value\": %.6g, \"unit\": "
               "\"%s\"}\n",
               name, metric, value, unit);
        fflush(stdout);
}

/* --- lines --- */

struct line {
        char text[LINE_BYTES];
        struct vn_cloud_line line;
};

static double normal(struct vn_rng *rng)
{
        double sum = -6;
        for (int i = 0; i < 12; i++)
                sum += vn_rng_unit(rng);
        return sum;
}

/* One application line in twelve holds something that must go. */
static void application_text(struct vn_rng *rng, const char *id, char ret[LINE_BYTES])
{
        unsigned n = (unsigned)vn_rng_below(rng, 1000000);
        switch (vn_rng_below(rng, 12)) {
        case 0:
                switch (n % 4) {
                case 0:
                        snprintf(ret, LINE_BYTES,
                                 "2026-11-24T12:00:00.%03uZ\t%s\tINFO\tsigned in ana.%u@example.com from "
                                 "10.1.%u.%u",
                                 n % 1000, id, n, n % 250, n % 99);
                        break;
                case 1:
                        snprintf(ret, LINE_BYTES,
                                 "{\"level\":\"debug\",\"requestId\":\"%s\",\"headers\":{\"authorization\":"
                                 "\"Bearer eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI%u\"},\"path\":\"/v1/orders\"}",
                                 id, n);
                        break;
                case 2:
                        snprintf(ret, LINE_BYTES,
                                 "GET https://api.example.com/v1/users?session=%u&page=%u 200 in %u ms", n, n % 9,
                                 n % 400);
                        break;
                default:
                        snprintf(ret, LINE_BYTES,
                                 "2026-11-24T12:00:00Z\t%s\tINFO\tcharged 4111 1111 1111 1111, order %u", id, n);
                }
                return;
        case 1:
        case 2:
        case 3:
        case 4:
                snprintf(ret, LINE_BYTES,
                         "{\"level\":\"info\",\"time\":\"2026-11-24T12:00:00.%03uZ\",\"requestId\":\"%s\","
                         "\"message\":\"cache miss\",\"key\":\"item:%u\",\"shard\":%u,\"took_ms\":%u.%u}",
                         n % 1000, id, n, n % 16, n % 90, n % 10);
                return;
        default:
                snprintf(ret, LINE_BYTES,
                         "2026-11-24T12:00:00.%03uZ\t%s\tINFO\tprocessed batch %u of 12: %u records, %u "
                         "skipped, next in queue orders-eu",
                         n % 1000, id, n % 12, n % 500, n % 7);
        }
}

static void make_call(struct vn_rng *rng, struct line *five, unsigned i)
{
        char id[40];
        double ms = vn_exp(4 + normal(rng));
        unsigned n = (unsigned)vn_rng_below(rng, 1u << 31), function = (unsigned)vn_rng_below(rng, FUNCTIONS);
        bool cold = n % 50 == 0;
        snprintf(id, sizeof id, "%08x-0d4e-4f7a-9a52-%012x", n, i);
        snprintf(five[0].text, LINE_BYTES, "START RequestId: %s Version: $LATEST", id);
        application_text(rng, id, five[1].text);
        application_text(rng, id, five[2].text);
        snprintf(five[3].text, LINE_BYTES, "END RequestId: %s", id);
        snprintf(five[4].text, LINE_BYTES,
                 "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %.0f ms\tMemory Size: 512 MB\tMax Memory "
                 "Used: "
                 "%u MB\t%s",
                 id, ms, ms + 1, 60 + n % 200, cold ? "Init Duration: 210.10 ms\t" : "");
        for (unsigned k = 0; k < 5; k++) {
                struct vn_cloud_line *line = &five[k].line;
                *line = (struct vn_cloud_line){.id_hash = vn_hash64(&(unsigned){5 * i + k}, sizeof(unsigned), 1),
                                               .time_us = START_US + (int64_t)i * 60 * 1000000 / CALLS,
                                               .text = vn_str(five[k].text)};
                snprintf(line->function, sizeof line->function, "orders-%02u", function);
        }
}

static enum vn_rc count_line(void *arg, const struct vn_line *line, struct vn_err *err)
{
        (void)err;
        *(uint64_t *)arg += line->text.len;
        return VN_OK;
}

static enum vn_rc count_window(void *arg, const struct vn_window *full, const struct vn_window *sampled,
                               struct vn_err *err)
{
        (void)sampled, (void)err;
        *(uint64_t *)arg += full->calls;
        return VN_OK;
}

/* What the agent does with each line of a log: a report into its window, and every line to the account's own store. */
static double one_pass(struct line *lines, uint32_t one_in)
{
        uint64_t bytes = 0, calls = 0;
        struct vn_err err;
        const struct vn_lines_config config = {.sample = {one_in, 10000000, 60000000, 1000, 1},
                                               .data_class = VN_DATA_INTERNAL,
                                               .each = count_line,
                                               .arg = &bytes};
        const struct vn_window_config window_config = {1000, 0.1, 1, 0};
        struct vn_lines *pipe = NULL;
        struct vn_windower *windower = NULL;
        if (vn_lines_new(&config, &pipe, &err) != VN_OK || vn_windower_new(&window_config, &windower, &err) != VN_OK)
                die("starting", &err);
        double begin = now_s();
        for (size_t i = 0; i < LINES; i++) {
                struct vn_cloud_invocation record = {0};
                const struct vn_cloud_line *line = &lines[i].line;
                bool always;
                if (vn_line_kind_of(line, &always) == VN_LINE_REPORT &&
                    vn_aws_report_parse(line->text, &record) == VN_OK) {
                        struct vn_invocation call = {.start_us = line->time_us,
                                                     .duration_us = record.duration_us,
                                                     .init_us = record.init_us,
                                                     .billed_us = record.billed_us,
                                                     .memory_mb = record.memory_mb,
                                                     .max_memory_mb = record.max_memory_mb,
                                                     .cold = record.cold};
                        memcpy(call.function, line->function, sizeof call.function - 1);
                        memcpy(call.region, "eu-central-1", 13);
                        if (vn_windower_add(windower, &call, &err) != VN_OK)
                                die("window", &err);
                        vn_lines_cost(pipe, line->function, "eu-central-1", (double)record.billed_us * 0.5e-6);
                }
                if (vn_lines_take(pipe, "eu-central-1", line, &err) != VN_OK)
                        die("line", &err);
        }
        if (vn_windower_close(windower, START_US + 3600000000, count_window, &calls, &err) != VN_OK)
                die("closing", &err);
        double seconds = now_s() - begin;
        if (calls != CALLS || !bytes)
                die("calls went missing", NULL);
        vn_lines_free(pipe);
        vn_windower_free(windower);
        return LINES / seconds;
}

static int by_double(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return (x > y) - (x < y);
}

static void bench_lines(void)
{
        struct line *lines = vn_alloc_array(LINES, sizeof *lines);
        double rates[PASSES];
        struct vn_rng rng;
        if (!lines)
                die("out of memory", NULL);
        vn_rng_seed(&rng, 1);
        for (unsigned i = 0; i < CALLS; i++)
                make_call(&rng, lines + (size_t)5 * i, i);
        for (unsigned kind = 0; kind < 2; kind++) {
                for (unsigned i = 0; i < PASSES; i++)
                        rates[i] = one_pass(lines, kind ? 10 : 1);
                qsort(rates, PASSES, sizeof *rates, by_double);
                figure(kind ? "one line in ten" : "every line scrubbed", "lines_per_core_per_s", rates[PASSES / 2],
                       "lines/s");
        }
        vn_free(lines);
}

/* --- the trace --- */

struct sent {
        struct vn_arena arena;
        Vane__V1__WindowReport report;
        Vane__V1__Window *windows[REPORT_WINDOWS];
        uint64_t bytes, calls, windows_sent;
        struct vn_sketch all;
};

static void flush_report(struct sent *sent)
{
        sent->report.windows = sent->windows;
        sent->bytes += vane__v1__window_report__get_packed_size(&sent->report);
        sent->report.n_windows = 0;
        vn_arena_reset(&sent->arena);
}

static enum vn_rc send_window(void *arg, const struct vn_window *full, const struct vn_window *sampled,
                              struct vn_err *err)
{
        struct sent *sent = arg;
        (void)sampled;
        VN_TRY(vn_window_to_proto(full, &sent->arena, &sent->windows[sent->report.n_windows++], err));
        vn_sketch_merge(&sent->all, &full->durations);
        sent->calls += full->calls;
        sent->windows_sent++;
        if (sent->report.n_windows == REPORT_WINDOWS)
                flush_report(sent);
        return VN_OK;
}

static struct vn_trace *read_trace(const char *data)
{
        static const char *const names[3] = {"invocations", "durations", "memory"};
        struct vn_buf text[3];
        struct vn_trace *trace = NULL;
        struct vn_err err;
        for (int i = 0; i < 3; i++) {
                char path[600];
                text[i] = VN_BUF_INIT(8 << 20);
                snprintf(path, sizeof path, "%s/azure-functions/azure2019-500/%s.csv", data, names[i]);
                if (vn_file_read(path, &text[i], &err) != VN_OK)
                        die(path, &err);
        }
        const struct vn_trace_options options = {.functions = FUNCTIONS, .minutes = 180, .seed = 1};
        if (vn_trace_build(vn_buf_view(&text[0]), vn_buf_view(&text[1]), vn_buf_view(&text[2]), &options, &trace,
                           &err) != VN_OK)
                die("trace", &err);
        for (int i = 0; i < 3; i++)
                vn_buf_done(&text[i]);
        return trace;
}

static void add_trace_call(struct vn_windower *windower, const struct vn_trace *trace, size_t i, struct vn_rng *rng,
                           double *ret_us)
{
        const struct vn_trace_call *c = &trace->calls[i];
        const struct vn_trace_function *f = &trace->functions[c->function];
        double middle = f->p50_ms > 0 ? f->p50_ms : 100;
        double us = middle * 1000 * vn_exp(normal(rng) * 0.3);
        struct vn_invocation call = {.start_us = START_US + c->at_us,
                                     .duration_us = (int64_t)us + 1,
                                     .billed_us = (int64_t)us + 1000,
                                     .memory_mb = 512,
                                     .max_memory_mb = 150,
                                     .payload_bytes = c->payload_bytes,
                                     .response_bytes = 900};
        struct vn_err err;
        memcpy(call.function, f->name, sizeof f->name);
        memcpy(call.region, "eu-central-1", 13);
        *ret_us = (double)call.duration_us;
        if (vn_windower_add(windower, &call, &err) != VN_OK)
                die("window", &err);
}

static double worst_error(double *exact_us, size_t n, const struct vn_sketch *sketch)
{
        double worst = 0;
        qsort(exact_us, n, sizeof *exact_us, by_double);
        for (unsigned permille = 1; permille < 1000; permille++) {
                double exact = exact_us[(size_t)(permille / 1000.0 * (double)(n - 1))];
                double off = vn_sketch_quantile_us(sketch, permille / 1000.0) / exact - 1;
                worst = off > worst ? off : -off > worst ? -off : worst;
        }
        return worst;
}

/* Each call of the trace `times` times on average, the further ones anywhere in its minute: the same mix, more of it. */
static void bench_trace(struct vn_trace *trace, const char *name, double times)
{
        struct sent *sent = vn_alloc(sizeof *sent);
        size_t room = (size_t)((times + 1) * (double)(trace->call_count + 1)), n = 0;
        double *exact_us = vn_alloc_array(room, sizeof *exact_us);
        const struct vn_window_config config = {1000, 0.1, 1, 0};
        struct vn_windower *windower = NULL;
        struct vn_rng rng;
        struct vn_err err;
        if (!sent || !exact_us || vn_windower_new(&config, &windower, &err) != VN_OK)
                die("out of memory", NULL);
        vn_rng_seed(&rng, 1);
        vn_arena_init(&sent->arena, 64 << 20);
        vane__v1__window_report__init(&sent->report);
        for (size_t i = 0; i < trace->call_count; i++) {
                int64_t at_us = trace->calls[i].at_us;
                if (vn_windower_close(windower, START_US + at_us, send_window, sent, &err) != VN_OK)
                        die("closing", &err);
                add_trace_call(windower, trace, i, &rng, &exact_us[n++]);
                for (double more = times - 1; more > 0 && vn_rng_unit(&rng) < more; more--) {
                        trace->calls[i].at_us = at_us - at_us % 60000000 + (int64_t)vn_rng_below(&rng, 60000000);
                        add_trace_call(windower, trace, i, &rng, &exact_us[n++]);
                }
                trace->calls[i].at_us = at_us;
        }
        if (vn_windower_close(windower, START_US + trace->span_us + 600000000, send_window, sent, &err) != VN_OK)
                die("closing", &err);
        flush_report(sent);
        figure(name, "quantile_error_max", worst_error(exact_us, n, &sent->all), "share");
        figure(name, "bytes_per_million_invocations", (double)sent->bytes / (double)sent->calls * 1e6, "bytes");
        figure(name, "calls_per_window", (double)sent->calls / (double)sent->windows_sent, "calls");
        vn_arena_done(&sent->arena);
        vn_windower_free(windower);
        vn_free(exact_us);
        vn_free(sent);
}

int main(int argc, char **argv)
{
        if (argc != 2) {
                fprintf(stderr, "usage: %s DATA_DIRECTORY\n", argv[0]);
                return 2;
        }
        bench_lines();
        VN_AUTO(vn_trace)
        trace = read_trace(argv[1]);
        bench_trace(trace, "a million calls in the trace's three hours", 1e6 / (double)trace->call_count);
        bench_trace(trace, "the trace at its own density", 1);
        return 0;
}
