/* metrics.h - counters, gauges and histograms from metrics.def, as Prometheus text.
 * Purpose: VN_METRIC_ADD_FOR(NAME, label, 1) anywhere, one table row a metric, /metrics and docs/metrics.md from the same table.
 * Threads: any; atomics only, no lock on the path. Ownership: everything is static.
 * Labels: at most one a metric. Its values are few and known (a cloud's name, an rc), registered on first use, at most
 *   VN_METRIC_MAX_LABELS each; more are counted under "other". Tenants, accounts and workloads are no label values
 *   here (server/account_metrics.def is printed apart, with a bound of its own).
 * Histograms: microseconds in, seconds out; fixed buckets 100 us .. 100 s, 1-2.5-5 a decade. */
#ifndef VANE_BASE_METRICS_H
#define VANE_BASE_METRICS_H

#include "base/str.h"

#define VN_METRIC_MAX_LABELS 40

enum vn_metric_type { VN_METRIC_COUNTER, VN_METRIC_GAUGE, VN_METRIC_HISTOGRAM };
enum vn_metric {
#define VN_METRIC(name, text, type, label, help) VN_METRIC_##name,
#include "base/metrics.def"
#undef VN_METRIC
        VN_METRIC_COUNT
};

void vn_metric_add(enum vn_metric metric, const char *label, uint64_t n);      /* counters */
void vn_metric_set(enum vn_metric metric, const char *label, double value);    /* gauges */
void vn_metric_observe(enum vn_metric metric, const char *label, uint64_t us); /* histograms */
#define VN_METRIC_ADD_FOR(name, label, n) vn_metric_add(VN_METRIC_##name, label, n)
#define VN_METRIC_SET(name, value) vn_metric_set(VN_METRIC_##name, NULL, value)
#define VN_METRIC_OBSERVE(name, us) vn_metric_observe(VN_METRIC_##name, NULL, us)

/* A counter's, gauge's or histogram count's value now (all labels together with label NULL on a labelled metric). */
double vn_metric_value(enum vn_metric metric, const char *label);
/* Prometheus text format 0.0.4. */
void vn_metrics_print(struct vn_buf *out);
void vn_metrics_document(struct vn_buf *out); /* a Markdown table */
void vn_metrics_reset(void);                  /* tests only */

#endif
