#include "decide/build.h"

#include "base/detmath.h"

/* What the assumed shape weighs, in calls: a spread of ln(run time) from n calls is off by 1/sqrt(2 n), so four tell it
 * within a third, and a model that has seen little of a place is further off. */
#define SHAPE_PRIOR_CALLS 4
#define MAD_TO_SIGMA 1.2533 /* of a normal: sqrt(pi/2) */
#define DEFAULT_SIGMA 0.4
#define MAX_US 3.6e9 /* an hour: no platform lets a call run longer */

static const double quantile[VN_VIEW_QUANTILES] = {.1, .3, .5, .7, .9, .95, .99};
static const double normal_z[VN_VIEW_QUANTILES] = {-1.2816, -.5244, 0, .5244, 1.2816, 1.6449, 2.3263};

static bool seen(const struct vn_build_input *in)
{
        return in->stats && in->stats->windows > 0;
}

/* Middle of ln(us), and the spread around it. */
static void middle(const struct vn_build_input *in, double payload_log, double memory_mb, double *mean, double *sigma)
{
        *sigma = DEFAULT_SIGMA;
        if (!seen(in)) {
                *mean = vn_log(in->default_us > 1 ? in->default_us : 1);
                return;
        }
        const struct vn_fn_stats *s = in->stats;
        if (s->within_sd > .01)
                *sigma = s->within_sd < 2 ? s->within_sd : 2;
        if (!in->model) {
                *mean = s->mean + s->slope_payload * (payload_log - s->payload_log_mean) +
                        s->slope_memory * (vn_log(memory_mb) - s->log_memory);
                return;
        }
        struct vn_duration_query query = {in->platform, memory_mb, payload_log, 0, in->time_us};
        struct vn_duration_estimate estimate;
        vn_model_duration(in->model, s, &query, &estimate);
        *mean = estimate.log_mean;
        double own = estimate.log_spread * MAD_TO_SIGMA;
        if (own > *sigma && own < 2)
                *sigma = own;
}

/* The shape of what was seen: ln of each quantile over the middle, and what it weighs against the assumed one. */
struct shape {
        double weight, from_middle[VN_VIEW_QUANTILES];
};

static void shape_of(const struct vn_sketch *sketch, struct shape *ret)
{
        double calls = sketch ? (double)sketch->total : 0;
        double middle_us = calls > 0 ? vn_sketch_quantile_us(sketch, .5) : 0;
        *ret = (struct shape){.weight = middle_us > 0 ? calls / (calls + SHAPE_PRIOR_CALLS) : 0};
        for (unsigned q = 0; ret->weight > 0 && q < VN_VIEW_QUANTILES; q++)
                ret->from_middle[q] = vn_log(vn_sketch_quantile_us(sketch, quantile[q]) / middle_us);
}

/* Run-time quantiles at one payload and memory size; ascending and bounded whatever the model says. */
static void quantiles_us(const struct vn_build_input *in, const struct shape *shape, double payload_log,
                         double memory_mb, double ret[VN_VIEW_QUANTILES])
{
        double mean, sigma;
        middle(in, payload_log, memory_mb, &mean, &sigma);
        for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++) {
                double us = vn_exp(mean + (1 - shape->weight) * normal_z[q] * sigma +
                                   shape->weight * shape->from_middle[q]);
                double least = q ? ret[q - 1] : 1;
                us = us > least ? us : least; /* also for NaN */
                ret[q] = us < MAX_US ? us : MAX_US;
        }
}

void vn_build_model_part(const struct vn_build_input *in, const double payload_bytes[VN_VIEW_KNOTS],
                         struct vn_endpoint *ret)
{
        struct shape shape;
        shape_of(in->sketch, &shape);
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++) {
                double us[VN_VIEW_QUANTILES];
                quantiles_us(in, &shape, vn_log1p(payload_bytes[k]), in->memory_mb, us);
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                        ret->duration_us[k][q] = (float)us[q];
        }
        for (unsigned k = 0; k < VN_VIEW_COLD_KNOTS; k++) {
                struct vn_cold_query query = {in->platform, in->memory_mb, (double)(1u << k)};
                double chance = k < 9 ? .02 : .5; /* nothing known: most platforms keep an instance some minutes */
                if (seen(in) && in->model)
                        chance = vn_model_cold(in->model, in->stats, &query);
                ret->cold_chance[k] = chance > 0 ? (float)(chance < 1 ? chance : 1) : 0.f;
        }
        ret->cold_us = in->cold_us > 0 ? in->cold_us : in->default_cold_us;
        ret->init_us = in->init_us;
}

size_t vn_build_curve(const struct vn_build_input *in, const struct vn_endpoint *e, double response_bytes,
                      const struct vn_build_size *sizes, size_t size_count, struct vn_curve_point *ret)
{
        static const double weight[VN_VIEW_QUANTILES] = {.2, .2, .2, .2, .125, .045, .03};
        double payload_log = seen(in) ? in->stats->payload_log_mean : 0;
        size_t n = size_count < VN_TUNE_MAX_POINTS ? size_count : VN_TUNE_MAX_POINTS;
        struct shape shape;
        shape_of(in->sketch, &shape);
        for (size_t i = 0; i < n; i++) {
                double us[VN_VIEW_QUANTILES], billed_us = 0;
                quantiles_us(in, &shape, payload_log, (double)sizes[i].memory_mb, us);
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++) {
                        double at_least = us[q] > (double)e->minimum_us ? us[q] : (double)e->minimum_us;
                        double steps = (double)(int64_t)(at_least / (double)e->rounding_us);
                        if (steps * (double)e->rounding_us < at_least)
                                steps += 1;
                        billed_us += weight[q] * steps * (double)e->rounding_us;
                }
                double usd_per_s =
                        (e->usd_per_gb_s * sizes[i].billed_gb + e->usd_per_vcpu_s * sizes[i].vcpu) / e->share;
                ret[i] = (struct vn_curve_point){.memory_mb = sizes[i].memory_mb,
                                                 .p50_us = us[2],
                                                 .p95_us = us[5],
                                                 .usd_per_million = usd_per_s * billed_us + e->request_usd * 1e6 +
                                                                    e->egress_usd_per_gb * response_bytes / 1e3};
        }
        return n;
}
