/* stats.c - see stats.h. */
#include "sim/stats.h"

#include <stdlib.h>

struct sample {
        int64_t slot;
        double value;
};

static int compare_samples(const void *a, const void *b)
{
        const struct sample *x = a, *y = b;
        if (x->slot != y->slot)
                return x->slot < y->slot ? -1 : 1;
        return x->value < y->value ? -1 : x->value > y->value;
}

static void fill_point(const struct sample *first, size_t n, double percentile, struct vn_series_point *point)
{
        size_t rank = (size_t)(percentile / 100 * (double)n + 0.999999);
        for (size_t i = 0; i < n; i++)
                point->sum += first[i].value;
        point->count = n;
        point->minimum = first[0].value;
        point->maximum = first[n - 1].value;
        point->percentile = first[rank < 1 ? 0 : rank > n ? n - 1 : rank - 1].value;
}

static size_t next(const struct vn_sim_function *f, size_t at, int64_t from_us, int64_t until_us)
{
        return vn_sim_next_record(f, at, from_us, until_us);
}

struct vn_series_point *vn_series(const struct vn_sim *sim, uint32_t deployment, vn_series_value value,
                                  const void *arg, int64_t from_us, int64_t until_us, int64_t period_us,
                                  double percentile, size_t max, size_t *ret_count)
{
        const struct vn_sim_function *f = &sim->functions[deployment];
        size_t n = 0, most = 0;
        *ret_count = 0;
        from_us -= from_us % period_us;
        until_us =
                vn_sim_visible(sim, VN_SIM_METRIC_LAG, (uint32_t)(deployment / sim->demo->function_count), until_us);
        for (size_t i = next(f, 0, from_us, until_us); i < f->record_count; i = next(f, i + 1, from_us, until_us))
                most++;
        struct sample *samples = vn_alloc_array(most + 1, sizeof *samples);
        struct vn_series_point *points = vn_alloc_array(most + 1, sizeof *points);
        if (!samples || !points) {
                vn_free(samples);
                vn_free(points);
                return NULL;
        }
        for (size_t i = next(f, 0, from_us, until_us); i < f->record_count; i = next(f, i + 1, from_us, until_us)) {
                const struct vn_sim_record *r = &f->records[i];
                double v;
                if (r->at_us < from_us || !value(r, arg, &v))
                        continue;
                samples[n++] = (struct sample){(r->at_us - from_us) / period_us, v};
        }
        qsort(samples, n, sizeof *samples, compare_samples);
        for (size_t i = 0, end; i < n && *ret_count < max; i = end) {
                for (end = i; end < n && samples[end].slot == samples[i].slot;)
                        end++;
                struct vn_series_point *point = &points[(*ret_count)++];
                point->start_us = from_us + samples[i].slot * period_us;
                fill_point(samples + i, end - i, percentile, point);
        }
        vn_free(samples);
        return points;
}
