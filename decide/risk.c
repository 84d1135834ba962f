#include "decide/risk.h"

#include "base/detmath.h"

/* How often list prices and meters drift away from what was read: a mean life of 30 days. */
#define PRICE_LIFE_US (30.0 * 86400 * 1e6)
#define OVERRUN 1.5 /* a call that costs this many times its expectation is an overrun */

const char *vn_risk_event(enum vn_risk_part part)
{
        static const char *const text[] = {"slower than the latency limit", "refused by a limit or out of memory",
                                           "costs over 1.5 times the expectation", "the price is no longer true"};
        return (unsigned)part < VN_RISK_PARTS ? text[part] : "";
}

const char *vn_risk_horizon(enum vn_risk_part part)
{
        return (unsigned)part < VN_RISK_PARTS ? "this call" : "";
}

const char *vn_risk_data(enum vn_risk_part part)
{
        static const char *const text[] = {
                "predicted quantiles, cold-start chance, network", "throttle rate, calls in flight against the limit",
                "predicted quantiles, rounding, cold-start billing", "age of the price list"};
        return (unsigned)part < VN_RISK_PARTS ? text[part] : "";
}

double vn_risk_above(double p50, double p95, double x)
{
        if (x <= 0)
                return 1;
        if (p50 <= 0)
                return 0;
        double sigma = vn_log(p95 > p50 ? p95 / p50 : 1) / 1.6449;
        if (sigma < .01)
                sigma = .01;
        return vn_sigmoid(-1.702 * vn_log(x / p50) / sigma);
}

double vn_risk_combine(const float *parts, size_t count)
{
        double none = 1;
        for (size_t i = 0; i < count; i++)
                none *= 1 - (double)parts[i];
        return 1 - none;
}

/* The .5 and .95 quantiles of the run time at this payload. */
static void run_quantiles(const struct vn_view *view, const struct vn_question *question, uint32_t candidate,
                          double *p50, double *p95)
{
        const struct vn_endpoint *e = &view->endpoint[candidate];
        double payload = question->payload_bytes;
        unsigned k = 0;
        while (k < VN_VIEW_KNOTS - 2 && payload >= view->payload_bytes[k + 1])
                k++;
        double share = (payload - view->payload_bytes[k]) / (view->payload_bytes[k + 1] - view->payload_bytes[k]);
        share = share < 0 ? 0 : share > 1 ? 1 : share;
        *p50 = (double)e->duration_us[k][2] +
               share * ((double)e->duration_us[k + 1][2] - (double)e->duration_us[k][2]);
        *p95 = (double)e->duration_us[k][5] +
               share * ((double)e->duration_us[k + 1][5] - (double)e->duration_us[k][5]);
}

void vn_risk_of(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                uint32_t candidate, const struct vn_features *f, struct vn_risk *ret)
{
        const struct vn_endpoint *e = &view->endpoint[candidate];
        double p50, p95, cold = (double)f->cold_chance, slo_us = view->policy.latency_slo_ms * 1e3;
        run_quantiles(view, question, candidate, &p50, &p95);

        double late = 0;
        if (slo_us > 0) {
                double left = slo_us - (double)f->network_us;
                late = (1 - cold) * vn_risk_above(p50, p95, left) +
                       cold * vn_risk_above(p50, p95, left - (double)f->cold_us);
        }
        double use = e->concurrency_limit > 0 ? ((double)live->in_flight[candidate] + 1) / e->concurrency_limit : 0;
        double refused = e->throttle_rate + (use > .8 ? (use - .8) * (use - .8) * 25 : 0);
        if (e->need_mb > (double)e->memory_mb)
                refused = 1;
        double limit = OVERRUN * vn_features_cost(f), fixed = (double)f->request + (double)f->egress;
        double over = f->rate > 0 ? vn_risk_above(p50, p95, (limit - fixed) / (double)f->rate * 1e3) : 0;
        if (fixed + (double)f->rate * (p50 / 1e3) + (double)f->init > limit)
                over = over + cold * (1 - over);
        double age = e->price_time_us > 0 ? (double)(question->time_us - e->price_time_us) : PRICE_LIFE_US;
        double stale = age > 0 ? 1 - vn_exp(-age / PRICE_LIFE_US) : 0;

        ret->part[VN_RISK_SLO] = (float)late;
        ret->part[VN_RISK_THROTTLE] = refused < 1 ? (float)refused : 1.f;
        ret->part[VN_RISK_COST] = (float)over;
        ret->part[VN_RISK_PRICE] = (float)stale;
        ret->combined = (float)vn_risk_combine(ret->part, VN_RISK_PARTS);
        ret->blast_radius = (float)view->calls_per_min;
}

double vn_risk_calibrated(const struct vn_calibration *calibration, double chance)
{
        double p = chance < 1e-6 ? 1e-6 : chance > 1 - 1e-6 ? 1 - 1e-6 : chance;
        return vn_sigmoid(calibration->slope * vn_log(p / (1 - p)) + calibration->intercept);
}

void vn_risk_score_add(struct vn_risk_score *score, double chance, bool happened)
{
        if (!(chance >= 0 && chance <= 1))
                return;
        unsigned bin = chance < 1 ? (unsigned)(chance * 10) : 9;
        double miss = chance - (happened ? 1 : 0);
        score->n[bin]++;
        score->hits[bin] += happened;
        score->chance_sum[bin] += chance;
        score->brier_sum += miss * miss;
}

static uint64_t total(const struct vn_risk_score *score)
{
        uint64_t n = 0;
        for (unsigned b = 0; b < 10; b++)
                n += score->n[b];
        return n;
}

double vn_risk_score_brier(const struct vn_risk_score *score)
{
        uint64_t n = total(score);
        return n ? score->brier_sum / (double)n : 0;
}

double vn_risk_score_ece(const struct vn_risk_score *score)
{
        uint64_t n = total(score);
        double sum = 0;
        for (unsigned b = 0; b < 10; b++) {
                double gap = score->chance_sum[b] - (double)score->hits[b];
                sum += gap < 0 ? -gap : gap;
        }
        return n ? sum / (double)n : 0;
}

/* Logistic regression of the bins' outcomes on their log-odds, by Newton's method with a slight pull towards identity,
 * so that few or one-sided bins cannot run away. */
struct vn_calibration vn_risk_score_fit(const struct vn_risk_score *score)
{
        struct vn_calibration c = {1, 0};
        uint64_t n = total(score), hits = 0;
        for (unsigned b = 0; b < 10; b++)
                hits += score->hits[b];
        if (n < 50 || hits == 0 || hits == n)
                return c;
        for (unsigned step = 0; step < 25; step++) {
                double g0 = 1 - c.slope, g1 = -c.intercept, h00 = 1, h01 = 0, h11 = 1; /* the pull: unit prior */
                for (unsigned b = 0; b < 10; b++) {
                        if (!score->n[b])
                                continue;
                        double m = (double)score->n[b], mean = score->chance_sum[b] / m;
                        mean = mean < 1e-6 ? 1e-6 : mean > 1 - 1e-6 ? 1 - 1e-6 : mean;
                        double x = vn_log(mean / (1 - mean)), p = vn_sigmoid(c.slope * x + c.intercept);
                        double miss = (double)score->hits[b] - m * p, weight = m * p * (1 - p);
                        g0 += miss * x;
                        g1 += miss;
                        h00 += weight * x * x;
                        h01 += weight * x;
                        h11 += weight;
                }
                double det = h00 * h11 - h01 * h01;
                if (!(det > 1e-12))
                        break;
                c.slope += (g0 * h11 - g1 * h01) / det;
                c.intercept += (g1 * h00 - g0 * h01) / det;
        }
        return c;
}
