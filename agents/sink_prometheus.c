/* Prometheus: counters and histograms a function, and the sinks' own health, on a listener of the agent's own. Nothing is
 * spooled: counters go on while nobody scrapes, and begin at 0 with the agent, which rate() and increase() expect. */
#include <inttypes.h>
#include <stdio.h>

#include "agents/sink_kind.h"
#include "base/hash.h"
#include "net/edge.h"

#define MAX_FUNCTIONS 10000
#define SLOTS 32768 /* a power of two, over twice as many */
#define MAX_TEXT_BYTES ((size_t)96 << 20)
#define DRAIN_MS 200
#define BYTES_A_MB 1048576.0
VN_LOCK_CLASS(prometheus_class, "prometheus");

static const double bounds_s[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900};
#define BUCKETS (sizeof bounds_s / sizeof bounds_s[0])

struct row {
        char function[VN_MAX_FUNCTION_NAME], region[VN_MAX_REGION_NAME];
        uint64_t calls, errors, throttles, timeouts, cold_starts;
        uint64_t duration_us, billed_us, init_us, in_sketch;
        uint64_t at_most[BUCKETS];
        uint32_t memory_mb;
};

struct prometheus {
        struct vn_edge *edge;
        char host[64], names[2][80];
        uint16_t port;
        struct vn_lock lock; /* what follows */
        struct row *rows;
        size_t count, cap;
        uint16_t *slots;   /* index in rows, plus one */
        uint64_t unlisted; /* windows of functions beyond the limit */
};

/* --- counting --- */

static bool grow(struct prometheus *p)
{
        size_t cap = p->cap ? 2 * p->cap : 64;
        struct row *rows = vn_realloc(p->rows, cap * sizeof *rows);
        if (!rows)
                return false;
        p->rows = rows;
        p->cap = cap;
        return true;
}

static struct row *row_of(struct prometheus *p, const struct vn_window *w)
{
        VN_ASSERT_HELD(&p->lock);
        size_t slot =
                (size_t)vn_hash64(w->function, strlen(w->function), vn_hash64(w->region, strlen(w->region), 0)) %
                SLOTS;
        for (; p->slots[slot]; slot = (slot + 1) % SLOTS) {
                struct row *row = &p->rows[p->slots[slot] - 1];
                if (!strcmp(row->function, w->function) && !strcmp(row->region, w->region))
                        return row;
        }
        if (p->count == MAX_FUNCTIONS || (p->count == p->cap && !grow(p)))
                return NULL;
        struct row *row = &p->rows[p->count++];
        *row = (struct row){0};
        memcpy(row->function, w->function, sizeof row->function);
        memcpy(row->region, w->region, sizeof row->region);
        p->slots[slot] = (uint16_t)p->count;
        return row;
}

static void count_window(struct vn_sink *sink, const struct vn_window *w)
{
        struct prometheus *p = sink->state;
        VN_LOCKED(&p->lock);
        struct row *row = row_of(p, w);
        if (!row) {
                p->unlisted++;
                return;
        }
        row->calls += w->calls;
        row->errors += w->errors;
        row->throttles += w->throttles;
        row->timeouts += w->timeouts;
        row->cold_starts += w->cold_starts;
        row->duration_us += w->duration_sum_us;
        row->billed_us += w->billed_sum_us;
        row->init_us += w->init_sum_us;
        row->memory_mb = w->memory_mb;
        row->in_sketch += w->durations.total;
        for (size_t i = 0; i < BUCKETS; i++) {
                double above = vn_sketch_share_above(&w->durations, (int64_t)(bounds_s[i] * 1e6));
                row->at_most[i] += w->durations.total - (uint64_t)(above * (double)w->durations.total + 0.5);
        }
}

/* --- printing --- */

static void add_label(struct vn_buf *ret, const char *name, const char *value)
{
        vn_buf_printf(ret, "%s=\"", name);
        for (const char *c = value; *c; c++) {
                if (*c == '\n') {
                        vn_buf_text(ret, "\\n");
                        continue;
                }
                if (*c == '\\' || *c == '"')
                        vn_buf_char(ret, '\\');
                vn_buf_char(ret, *c);
        }
        vn_buf_char(ret, '"');
}

static void begin_metric(struct vn_buf *ret, const char *name, const char *type, const char *help)
{
        vn_buf_printf(ret, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* name{account,cloud,function,region: the brace stays open for one more label. */
static void begin_row(const struct vn_sink *sink, const struct row *row, const char *name, struct vn_buf *ret)
{
        vn_buf_printf(ret, "%s{", name);
        add_label(ret, "account", sink->sinks->account);
        add_label(ret, ",cloud", sink->sinks->cloud);
        add_label(ret, ",function", row->function);
        add_label(ret, ",region", row->region);
}

static const struct {
        const char *name, *type, *help;
        size_t at;
        double scale;
} columns[] = {
        {"vane_function_calls_total", "counter", "Calls that ran.", offsetof(struct row, calls), 1},
        {"vane_function_errors_total", "counter", "Calls that ended with an error.", offsetof(struct row, errors), 1},
        {"vane_function_throttles_total", "counter", "Calls that the platform refused.",
         offsetof(struct row, throttles), 1},
        {"vane_function_timeouts_total", "counter", "Calls that ran out of time.", offsetof(struct row, timeouts), 1},
        {"vane_function_cold_starts_total", "counter", "Calls that began with a cold start.",
         offsetof(struct row, cold_starts), 1},
        {"vane_function_billed_seconds_total", "counter", "Billed time.", offsetof(struct row, billed_us), 1e-6},
        {"vane_function_init_seconds_total", "counter", "Time of starts, as far as the cloud tells.",
         offsetof(struct row, init_us), 1e-6},
};

static void print_functions(const struct vn_sink *sink, struct vn_buf *ret)
{
        const struct prometheus *p = sink->state;
        for (size_t c = 0; c < sizeof columns / sizeof columns[0]; c++) {
                begin_metric(ret, columns[c].name, columns[c].type, columns[c].help);
                for (size_t i = 0; i < p->count; i++) {
                        uint64_t value;
                        memcpy(&value, (const char *)&p->rows[i] + columns[c].at, sizeof value);
                        begin_row(sink, &p->rows[i], columns[c].name, ret);
                        vn_buf_printf(ret, "} %.15g\n", (double)value * columns[c].scale);
                }
        }
        begin_metric(ret, "vane_function_memory_bytes", "gauge", "Memory of the last call.");
        for (size_t i = 0; i < p->count; i++) {
                begin_row(sink, &p->rows[i], "vane_function_memory_bytes", ret);
                vn_buf_printf(ret, "} %.15g\n", p->rows[i].memory_mb * BYTES_A_MB);
        }
}

static void print_durations(const struct vn_sink *sink, struct vn_buf *ret)
{
        const struct prometheus *p = sink->state;
        begin_metric(ret, "vane_function_duration_seconds", "histogram", "Run time, without starts.");
        for (size_t i = 0; i < p->count; i++) {
                const struct row *row = &p->rows[i];
                for (size_t b = 0; b <= BUCKETS; b++) {
                        begin_row(sink, row, "vane_function_duration_seconds_bucket", ret);
                        if (b < BUCKETS)
                                vn_buf_printf(ret, ",le=\"%g\"} %" PRIu64 "\n", bounds_s[b], row->at_most[b]);
                        else
                                vn_buf_printf(ret, ",le=\"+Inf\"} %" PRIu64 "\n", row->in_sketch);
                }
                begin_row(sink, row, "vane_function_duration_seconds_sum", ret);
                vn_buf_printf(ret, "} %.15g\n", (double)row->duration_us / 1e6);
                begin_row(sink, row, "vane_function_duration_seconds_count", ret);
                vn_buf_printf(ret, "} %" PRIu64 "\n", row->in_sketch);
        }
}

static void print_sink(const struct vn_sink_health *h, const char *name, double value, struct vn_buf *ret)
{
        vn_buf_printf(ret, "%s{", name);
        add_label(ret, "sink", h->name);
        add_label(ret, ",kind", h->kind);
        vn_buf_printf(ret, "} %.15g\n", value);
}

static void print_health(const struct vn_sink *sink, struct vn_buf *ret)
{
        struct vn_sink_health all[VN_MAX_SINKS];
        size_t count = vn_sinks_health(sink->sinks, all);
        double now_s = (double)vn_mono_us(vn_clock_real()) / 1e6;
#define PRINT(name, type, help, shown, value)                                                                        \
        begin_metric(ret, name, type, help);                                                                         \
        for (const struct vn_sink_health *h = all; h < all + count; h++)                                             \
                if (h->spooled && (shown))                                                                           \
        print_sink(h, name, value, ret)
        PRINT("vane_agent_sink_spooled_bytes", "gauge", "Size of the sink's spool on disk.", true,
              (double)h->waiting_bytes);
        PRINT("vane_agent_sink_spooled_records", "gauge", "Records that wait for the sink.", true,
              (double)h->waiting_records);
        PRINT("vane_agent_sink_delivered_records_total", "counter", "Records that the sink has confirmed.", true,
              (double)h->delivered_records);
        PRINT("vane_agent_sink_dropped_records_total", "counter", "Records that did not fit into the spool.", true,
              (double)h->dropped_records);
        PRINT("vane_agent_sink_refused_records_total", "counter", "Records that the sink will never take.", true,
              (double)h->refused_records);
        PRINT("vane_agent_sink_last_error_age_seconds", "gauge", "Time since the last failed delivery.",
              h->last_error_us > 0, now_s - (double)h->last_error_us / 1e6);
#undef PRINT
}

static void handle_metrics(void *context, const struct vn_http_request *request)
{
        struct vn_sink *sink = context;
        struct prometheus *p = sink->state;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_TEXT_BYTES);
        {
                VN_LOCKED(&p->lock);
                print_functions(sink, &text);
                print_durations(sink, &text);
                begin_metric(&text, "vane_agent_unlisted_windows_total", "counter",
                             "Windows of functions beyond the first 10000, which are not shown.");
                vn_buf_printf(&text, "vane_agent_unlisted_windows_total %" PRIu64 "\n", p->unlisted);
        }
        print_health(sink, &text);
        struct vn_err err = {0};
        if (vn_buf_check(&text, &err) == VN_OK)
                vn_http_reply(request->call, 200, "text/plain; version=0.0.4; charset=utf-8", vn_buf_view(&text),
                              NULL, 0);
        else
                vn_call_finish(request->call, VN_RESOURCE_EXHAUSTED, &err);
}

/* --- the listener --- */

static enum vn_rc parse_listen(struct prometheus *p, const json_t *config, struct vn_err *err)
{
        struct vn_str text, port;
        uint64_t number;
        VN_TRY(vn_sink_text(config, "listen", &text, err));
        const char *colon = memrchr(text.ptr, ':', text.len);
        size_t host_len = colon ? (size_t)(colon - text.ptr) : 0;
        port = vn_str_n(text.ptr + host_len + 1, text.len > host_len ? text.len - host_len - 1 : 0);
        if (!colon || vn_str_to_u64(port, &number) != VN_OK || !number || number > UINT16_MAX ||
            !vn_str_copy(p->host, sizeof p->host, vn_str_n(text.ptr, host_len)))
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "listen must be an address of this machine and a port: "
                               "127.0.0.1:9464");
        p->port = (uint16_t)number;
        snprintf(p->names[0], sizeof p->names[0], "%s:%u", p->host, p->port);
        snprintf(p->names[1], sizeof p->names[1], "localhost:%u", p->port);
        return VN_OK;
}

static enum vn_rc open_prometheus(struct vn_sink *sink, const json_t *config, struct vn_err *err)
{
        struct prometheus *p = sink->state = vn_alloc(sizeof *p);
        struct vn_edge_limits limits;
        uint16_t port;
        if (!p)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a sink");
        vn_lock_init(&p->lock, &prometheus_class);
        p->slots = vn_alloc_array(SLOTS, sizeof *p->slots);
        if (!p->slots)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a sink");
        VN_TRY(parse_listen(p, config, err));
        vn_edge_limits_default(&limits);
        limits.max_connections = 64;
        VN_TRY(vn_edge_new(&limits, 1, &p->edge, err));
        VN_TRY(vn_edge_listen(p->edge, p->host, p->port, NULL, &port, err));
        for (int i = 0; i < 2; i++)
                VN_TRY(vn_edge_allow_host(p->edge, p->names[i], err));
        VN_TRY(vn_edge_add_http(p->edge, "/metrics", VN_ACCESS_PUBLIC, handle_metrics, sink, err));
        return vn_edge_start(p->edge, err);
}

static void close_prometheus(struct vn_sink *sink)
{
        struct prometheus *p = sink->state;
        if (!p)
                return;
        if (p->edge)
                vn_edge_drain(p->edge, DRAIN_MS);
        vn_edge_free(p->edge);
        vn_lock_done(&p->lock);
        vn_free(p->rows);
        vn_free(p->slots);
        vn_free(p);
}

static const char *const members[] = {"listen", NULL};
const struct vn_sink_kind vn_sink_prometheus = {.name = "prometheus",
                                                .members = members,
                                                .open = open_prometheus,
                                                .close = close_prometheus,
                                                .window = count_window};
