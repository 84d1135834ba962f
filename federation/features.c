/* Features are scaled to about -3..3 by constants, not by data: a model then means the same in every account. */
#include "federation/features.h"

#include <stdlib.h>

#include "base/detmath.h"

/* The first clouds have features of their own; all others share the zeros, so that a new cloud does not make every model
 * of before unreadable. */
#define PLATFORMS_TOLD_APART 3

#define LOG_US_CENTRE 11.5 /* ln of 100 ms in us */
#define SLOPE_RIDGE 0.5    /* shrinks a slope until its input has varied enough */

void vn_fn_history_init(struct vn_fn_history *history)
{
        memset(history, 0, sizeof *history);
}

static int by_value(const void *a, const void *b)
{
        float x = *(const float *)a, y = *(const float *)b;
        return (x > y) - (x < y);
}

static double median_of(const struct vn_fn_history *h, uint32_t n)
{
        float sorted[VN_HISTORY_WINDOWS];
        for (uint32_t i = 0; i < n; i++)
                sorted[i] = h->ring[i].y;
        qsort(sorted, n, sizeof sorted[0], by_value);
        return n % 2 ? (double)sorted[n / 2] : ((double)sorted[n / 2 - 1] + (double)sorted[n / 2]) / 2;
}

static void fill_means(const struct vn_fn_history *h, uint32_t n, struct vn_fn_stats *s)
{
        double y = 0, payload = 0, cold = 0, memory = 0, calls = 0, within = 0;
        for (uint32_t i = 0; i < n; i++) {
                y += (double)h->ring[i].y;
                payload += (double)h->ring[i].payload;
                cold += (double)h->ring[i].cold;
                memory += (double)h->ring[i].log_memory;
                calls += (double)h->ring[i].calls;
                within += (double)h->ring[i].sum_sq_within;
        }
        s->mean = y / n;
        s->payload_log_mean = payload / n;
        s->cold_share = cold / n;
        s->log_memory = memory / n;
        s->calls_per_min = calls / n;
        s->within_sd = calls > n ? vn_sqrt(within / (calls - n)) : 0;
}

/* Windows weigh by their calls, and a new memory size starts nearly afresh: what was before it is only a prior. */
static double anchor_of(const struct vn_fn_history *h, uint32_t n)
{
        const float newest = h->ring[(h->next + VN_HISTORY_WINDOWS - 1) % VN_HISTORY_WINDOWS].log_memory;
        double all = 0, all_calls = 0, same = 0, same_calls = 0;
        for (uint32_t i = 0; i < n; i++) {
                double calls = (double)h->ring[i].calls, sum = calls * (double)h->ring[i].y;
                all += sum;
                all_calls += calls;
                if (h->ring[i].log_memory == newest) {
                        same += sum;
                        same_calls += calls;
                }
        }
        return (same + VN_ANCHOR_PRIOR_CALLS * all / all_calls) / (same_calls + VN_ANCHOR_PRIOR_CALLS);
}

/* Ridge regression of y on one input at a time: joint fits would be finer, and unstable with little data. */
static void fill_slopes(const struct vn_fn_history *h, uint32_t n, struct vn_fn_stats *s)
{
        double yy = 0, pp = 0, py = 0, cc = 0, cy = 0, mm = 0, my = 0;
        for (uint32_t i = 0; i < n; i++) {
                double y = (double)h->ring[i].y - s->mean, p = (double)h->ring[i].payload - s->payload_log_mean;
                double c = (double)h->ring[i].cold - s->cold_share, m = (double)h->ring[i].log_memory - s->log_memory;
                yy += y * y;
                pp += p * p, py += p * y;
                cc += c * c, cy += c * y;
                mm += m * m, my += m * y;
        }
        s->spread = vn_sqrt(yy / n);
        s->slope_payload = py / (pp + SLOPE_RIDGE);
        s->slope_cold = cy / (cc + SLOPE_RIDGE);
        s->slope_memory = my / (mm + SLOPE_RIDGE);
}

void vn_fn_history_push(struct vn_fn_history *h, const struct vn_window *window)
{
        if (!window->calls)
                return;
        double calls = window->calls, y = vn_window_log_mean(window);
        double within = window->log_duration_sum_sq - calls * y * y;
        uint32_t at = h->next;
        h->next = (h->next + 1) % VN_HISTORY_WINDOWS;
        h->ring[at].y = (float)y;
        h->ring[at].payload = (float)(window->payload_log_sum / calls);
        h->ring[at].cold = (float)(window->cold_starts / calls);
        h->ring[at].log_memory = (float)vn_log(window->memory_mb ? window->memory_mb : 128);
        h->ring[at].calls = (float)calls;
        h->ring[at].sum_sq_within = (float)(within > 0 ? within : 0);
        struct vn_fn_stats *s = &h->stats;
        s->windows += s->windows < UINT32_MAX;
        s->recent = s->windows < VN_HISTORY_WINDOWS ? s->windows : VN_HISTORY_WINDOWS;
        s->last = y;
        fill_means(h, s->recent, s);
        fill_slopes(h, s->recent, s);
        s->median = median_of(h, s->recent);
        s->anchor = anchor_of(h, s->recent);
}

static float bounded(double x)
{
        return (float)(x > 4 ? 4 : x < -4 ? -4 : x == x ? x : 0);
}

void vn_duration_features(const struct vn_fn_stats *s, const struct vn_duration_query *q,
                          float ret[VN_DURATION_FEATURES])
{
        double memory = vn_log(q->memory_mb > 1 ? q->memory_mb : 128);
        double payload = q->payload_log - s->payload_log_mean, cold = q->cold_share - s->cold_share;
        double shift = memory - s->log_memory, n = s->recent;
        float *x = ret;
        *x++ = bounded((memory - 6.9) / 2);
        *x++ = bounded(shift);
        *x++ = bounded((q->payload_log - 8) / 4);
        *x++ = bounded(payload);
        *x++ = bounded(q->cold_share);
        *x++ = bounded(cold * 2);
        for (int p = 0; p < PLATFORMS_TOLD_APART; p++)
                *x++ = q->platform == (enum vn_platform)p;
        *x++ = bounded((s->mean - LOG_US_CENTRE) / 2);
        *x++ = bounded((s->median - s->anchor) * 4);
        *x++ = bounded(s->last - s->anchor);
        *x++ = bounded(s->spread * 2);
        *x++ = bounded(4 / (n + 1));
        *x++ = bounded(s->slope_payload * payload);
        *x++ = bounded(s->slope_cold * cold);
        *x++ = bounded(s->slope_memory * shift);
        *x++ = bounded(s->within_sd);
        *x++ = bounded((s->anchor - s->mean) * 4);
        *x++ = bounded((s->anchor + s->slope_payload * payload + s->slope_cold * cold - s->mean) * 4);
        VN_ASSERT(x - ret == VN_DURATION_FEATURES);
}

void vn_cold_features(const struct vn_fn_stats *s, const struct vn_cold_query *q, float ret[VN_COLD_FEATURES])
{
        double idle = vn_log1p(q->idle_s > 0 ? q->idle_s : 0);
        float *x = ret;
        *x++ = bounded((idle - 4.5) / 2);
        *x++ = bounded(idle - 6.4); /* sharp about 10 minutes, where clouds let idle instances go */
        *x++ = bounded((idle - 5.7) * 2);
        *x++ = bounded((vn_log(q->memory_mb > 1 ? q->memory_mb : 128) - 6.9) / 2);
        for (int p = 0; p < PLATFORMS_TOLD_APART; p++)
                *x++ = q->platform == (enum vn_platform)p;
        for (int p = 0; p < PLATFORMS_TOLD_APART; p++)
                *x++ = q->platform == (enum vn_platform)p ? bounded((idle - 5.7) / 2) : 0;
        *x++ = bounded(s->cold_share * 2);
        *x++ = bounded((vn_log1p(s->calls_per_min) - 2) / 2);
        VN_ASSERT(x - ret == VN_COLD_FEATURES);
}

void vn_duration_query_of_window(const struct vn_window *window, enum vn_platform platform,
                                 struct vn_duration_query *ret)
{
        double calls = window->calls ? window->calls : 1;
        *ret = (struct vn_duration_query){
                .platform = platform,
                .memory_mb = window->memory_mb,
                .payload_log = window->payload_log_sum / calls,
                .cold_share = window->cold_starts / calls,
                .time_us = window->start_us,
        };
}

double vn_idle_bin_s(size_t bin)
{
        VN_ASSERT(bin < VN_IDLE_BINS);
        double lower = bin ? vn_idle_upper_s[bin - 1] : 0.25;
        return vn_sqrt(lower * vn_idle_upper_s[bin]);
}
