#include "base/metrics.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#define LABEL_BYTES 32
#define BUCKETS 19
/* Upper bounds in microseconds; 1, 2.5, 5 a decade from 100 us to 100 s. */
static const uint64_t bounds_us[BUCKETS] = {100,     250,      500,      1000,     2500,     5000,    10000,
                                            25000,   50000,    100000,   250000,   500000,   1000000, 2500000,
                                            5000000, 10000000, 25000000, 50000000, 100000000};

static const struct {
        const char *text;
        enum vn_metric_type type;
        const char *label, *help;
} metrics[VN_METRIC_COUNT] = {
#define VN_METRIC(name, text, type, label, help) {text, VN_METRIC_##type, label, help},
#include "base/metrics.def"
#undef VN_METRIC
};

struct histogram {
        atomic_uint_fast64_t buckets[BUCKETS + 1], sum_us;
};
/* Slot 0 serves metrics without label and, on labelled ones, "other". */
struct series {
        char label[LABEL_BYTES];
        atomic_uint_fast64_t count;
        _Atomic double gauge;
};
static struct series series[VN_METRIC_COUNT][VN_METRIC_MAX_LABELS + 1];
static atomic_uint label_counts[VN_METRIC_COUNT];
static struct histogram histograms[VN_METRIC_COUNT]; /* histograms carry no label */
static pthread_mutex_t label_lock = PTHREAD_MUTEX_INITIALIZER;

static struct series *find(enum vn_metric metric, const char *label, unsigned count)
{
        for (unsigned i = 1; i <= count; i++)
                if (!strcmp(series[metric][i].label, label))
                        return &series[metric][i];
        return NULL;
}

static struct series *slot(enum vn_metric metric, const char *label)
{
        struct series *found;
        unsigned count;

        VN_ASSERT((unsigned)metric < VN_METRIC_COUNT);
        VN_ASSERT(!label || metrics[metric].label);
        if (!label || strlen(label) >= LABEL_BYTES)
                return &series[metric][0];
        /* A label is written before the count says that it is there, and never changes: no lock to read. */
        found = find(metric, label, atomic_load_explicit(&label_counts[metric], memory_order_acquire));
        if (found)
                return found;
        pthread_mutex_lock(&label_lock);
        count = atomic_load(&label_counts[metric]);
        found = find(metric, label, count);
        if (!found && count < VN_METRIC_MAX_LABELS) {
                found = &series[metric][count + 1];
                memcpy(found->label, label, strlen(label) + 1);
                atomic_store_explicit(&label_counts[metric], count + 1, memory_order_release);
        }
        pthread_mutex_unlock(&label_lock);
        return found ? found : &series[metric][0];
}

void vn_metric_add(enum vn_metric metric, const char *label, uint64_t n)
{
        VN_ASSERT(metrics[metric].type == VN_METRIC_COUNTER);
        atomic_fetch_add_explicit(&slot(metric, label)->count, n, memory_order_relaxed);
}

void vn_metric_set(enum vn_metric metric, const char *label, double value)
{
        VN_ASSERT(metrics[metric].type == VN_METRIC_GAUGE);
        atomic_store_explicit(&slot(metric, label)->gauge, value, memory_order_relaxed);
}

void vn_metric_observe(enum vn_metric metric, const char *label, uint64_t us)
{
        struct histogram *h = &histograms[metric];
        unsigned i = 0;

        VN_ASSERT(metrics[metric].type == VN_METRIC_HISTOGRAM && !label);
        while (i < BUCKETS && us > bounds_us[i])
                i++;
        atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
        atomic_fetch_add_explicit(&h->sum_us, us, memory_order_relaxed);
}

static double value_of(enum vn_metric metric, const struct series *s)
{
        return metrics[metric].type == VN_METRIC_GAUGE ? atomic_load(&s->gauge) : (double)atomic_load(&s->count);
}

double vn_metric_value(enum vn_metric metric, const char *label)
{
        double sum = 0;

        if (metrics[metric].type == VN_METRIC_HISTOGRAM) {
                for (unsigned i = 0; i <= BUCKETS; i++)
                        sum += (double)atomic_load(&histograms[metric].buckets[i]);
                return sum;
        }
        if (label)
                return value_of(metric, slot(metric, label));
        for (unsigned i = 0; i <= atomic_load(&label_counts[metric]); i++)
                sum += value_of(metric, &series[metric][i]);
        return sum;
}

static void print_label(struct vn_buf *out, const char *value)
{
        for (const char *c = value; *c; c++) {
                if (*c == '\\' || *c == '"')
                        vn_buf_char(out, '\\');
                vn_buf_char(out, *c == '\n' ? ' ' : *c);
        }
}

static void print_histogram(struct vn_buf *out, enum vn_metric metric)
{
        const char *name = metrics[metric].text;
        uint64_t total = 0;

        for (unsigned i = 0; i <= BUCKETS; i++) {
                total += atomic_load(&histograms[metric].buckets[i]);
                if (i < BUCKETS)
                        vn_buf_printf(out, "%s_bucket{le=\"%g\"} %" PRIu64 "\n", name, (double)bounds_us[i] / 1e6,
                                      total);
        }
        vn_buf_printf(out, "%s_bucket{le=\"+Inf\"} %" PRIu64 "\n%s_sum %.6f\n%s_count %" PRIu64 "\n", name, total,
                      name, (double)atomic_load(&histograms[metric].sum_us) / 1e6, name, total);
}

static void print_series(struct vn_buf *out, enum vn_metric metric)
{
        unsigned count = atomic_load_explicit(&label_counts[metric], memory_order_acquire);

        if (!metrics[metric].label) {
                vn_buf_printf(out, "%s %.17g\n", metrics[metric].text, value_of(metric, &series[metric][0]));
                return;
        }
        for (unsigned i = 0; i <= count; i++) {
                const struct series *s = &series[metric][i];
                if (!i && atomic_load(&s->count) == 0)
                        continue;
                vn_buf_printf(out, "%s{%s=\"", metrics[metric].text, metrics[metric].label);
                print_label(out, i ? s->label : "other");
                vn_buf_printf(out, "\"} %.17g\n", value_of(metric, s));
        }
}

static const char *type_name(enum vn_metric_type type)
{
        switch (type) {
        case VN_METRIC_COUNTER: return "counter";
        case VN_METRIC_GAUGE: return "gauge";
        case VN_METRIC_HISTOGRAM: return "histogram";
        }
        VN_ASSERT(!"metric type");
        return "";
}

void vn_metrics_print(struct vn_buf *out)
{
        for (unsigned i = 0; i < VN_METRIC_COUNT; i++) {
                vn_buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metrics[i].text, metrics[i].help, metrics[i].text,
                              type_name(metrics[i].type));
                if (metrics[i].type == VN_METRIC_HISTOGRAM)
                        print_histogram(out, (enum vn_metric)i);
                else
                        print_series(out, (enum vn_metric)i);
        }
}

void vn_metrics_document(struct vn_buf *out)
{
        vn_buf_text(out, "| metric | type | label | meaning |\n| --- | --- | --- | --- |\n");
        for (unsigned i = 0; i < VN_METRIC_COUNT; i++)
                vn_buf_printf(out, "| `%s` | %s | %s | %s |\n", metrics[i].text, type_name(metrics[i].type),
                              metrics[i].label ? metrics[i].label : "", metrics[i].help);
}

void vn_metrics_reset(void)
{
        for (unsigned m = 0; m < VN_METRIC_COUNT; m++) {
                atomic_store(&label_counts[m], 0);
                for (unsigned i = 0; i <= VN_METRIC_MAX_LABELS; i++) {
                        atomic_store(&series[m][i].count, 0);
                        atomic_store(&series[m][i].gauge, 0);
                }
                for (unsigned i = 0; i <= BUCKETS; i++)
                        atomic_store(&histograms[m].buckets[i], 0);
                atomic_store(&histograms[m].sum_us, 0);
        }
}
