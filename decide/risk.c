#include "decide/risk.h"

#include "base/detmath.h"

/* How often list prices and meters drift away from what was read: a mean life of 30 days. */
#define PRICE_LIFE_US (30.0 * 86400 * 1e6)
#define PRICE_DOUBT 0.5 /* that a list which cannot follow the last good one still means a change */
#define OVERRUN 1.5     /* a call that costs this many times its expectation is an overrun */
#define NEVER_US 1e15   /* no limit: longer than any call */

const char *vn_risk_event(enum vn_risk_part part)
{
        static const char *const text[] = {
                "slower than the latency limit", "refused, failed (out of memory too) or never answered",
                "so slow that it costs over 1.5 times the expectation", "another price list by the time it ends"};
        return (unsigned)part < VN_RISK_PARTS ? text[part] : "";
}

const char *vn_risk_horizon(enum vn_risk_part part)
{
        return (unsigned)part < VN_RISK_PARTS ? "this call" : "";
}

const char *vn_risk_data(enum vn_risk_part part)
{
        static const char *const text[] = {"predicted quantiles, cold-start chance, network",
                                           "throttle and error rates, calls in flight against the limit",
                                           "predicted quantiles, rounding, cold-start chance and billing",
                                           "age of the price list"};
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

double vn_risk_raw(const struct vn_risk *risk)
{
        return vn_risk_combine(risk->part, VN_RISK_PARTS);
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

/* The shortest wait that proves an overrun. Billed time moves in steps; what of a cold start is not billed is taken off,
 * since an outcome does not tell whether there was one. */
static double overrun_us(const struct vn_endpoint *e, const struct vn_features *f)
{
        if (!(f->rate > 0))
                return NEVER_US;
        double billed_ms = (OVERRUN * vn_features_cost(f) - (double)f->request - (double)f->egress) / (double)f->rate;
        if (!(billed_ms < NEVER_US / 1e3))
                return NEVER_US;
        double steps = (double)(int64_t)(billed_ms * 1e3 / (double)e->rounding_us);
        double unbilled_us = e->cold_us - (e->flags & VN_ENDPOINT_INIT_BILLED ? e->init_us : 0);
        return (double)f->network_us + steps * (double)e->rounding_us + (unbilled_us > 0 ? unbilled_us : 0);
}

static double slo_us(const struct vn_view *view)
{
        return view->policy.latency_slo_ms > 0 ? view->policy.latency_slo_ms * 1e3 : NEVER_US;
}

double vn_risk_limit_us(const struct vn_view *view, uint32_t candidate, const struct vn_features *features)
{
        double overrun = overrun_us(&view->endpoint[candidate], features), slo = slo_us(view);
        return slo < overrun ? slo : overrun;
}

/* Chance that the caller waits longer than that. */
static double later_than(double limit_us, double p50, double p95, const struct vn_features *f)
{
        double cold = (double)f->cold_chance, left = limit_us - (double)f->network_us;
        if (limit_us >= NEVER_US)
                return 0;
        return (1 - cold) * vn_risk_above(p50, p95, left) + cold * vn_risk_above(p50, p95, left - (double)f->cold_us);
}

void vn_risk_of(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                uint32_t candidate, const struct vn_features *f, struct vn_risk *ret)
{
        const struct vn_endpoint *e = &view->endpoint[candidate];
        double p50, p95;
        run_quantiles(view, question, candidate, &p50, &p95);

        double use = e->concurrency_limit > 0 ? ((double)live->in_flight[candidate] + 1) / e->concurrency_limit : 0;
        double refused = e->throttle_rate + (use > .8 ? (use - .8) * (use - .8) * 25 : 0);
        refused = refused < 1 ? refused : 1;
        double failed = 1 - (1 - refused) * (1 - (double)f->error_rate);
        if (e->need_mb > (double)e->memory_mb)
                failed = 1;
        double age = e->price_time_us > 0 ? (double)(question->time_us - e->price_time_us) : PRICE_LIFE_US;
        double stale = age > 0 ? 1 - vn_exp(-age / PRICE_LIFE_US) : 0;
        if (e->flags & VN_ENDPOINT_PRICE_DOUBTED)
                stale = 1 - (1 - stale) * (1 - PRICE_DOUBT);

        ret->part[VN_RISK_SLO] = (float)later_than(slo_us(view), p50, p95, f);
        ret->part[VN_RISK_THROTTLE] = (float)failed;
        ret->part[VN_RISK_COST] = (float)later_than(overrun_us(e, f), p50, p95, f);
        ret->part[VN_RISK_PRICE] = (float)stale;
        ret->combined = (float)vn_risk_calibrated(&view->calibration, vn_risk_raw(ret));
        ret->blast_radius = (float)view->calls_per_min;
}

static double log_odds(double chance)
{
        double p = chance < 1e-6 ? 1e-6 : chance > 1 - 1e-6 ? 1 - 1e-6 : chance;
        return vn_log(p / (1 - p));
}

double vn_risk_calibrated(const struct vn_calibration *calibration, double chance)
{
        if (calibration->slope == 1 && calibration->intercept == 0)
                return chance;
        return vn_sigmoid(calibration->slope * log_odds(chance) + calibration->intercept);
}

static const double bin_upper[VN_RISK_BINS] = {.001, .002, .005, .01, .02, .05, .1,  .2,  .3,   .4,
                                               .5,   .6,   .7,   .8,  .9,  .95, .98, .99, .999, 2};

static unsigned bin_of(double chance)
{
        unsigned bin = 0;
        while (chance >= bin_upper[bin])
                bin++;
        return bin;
}

void vn_risk_score_add(struct vn_risk_score *score, double chance, bool happened)
{
        if (!(chance >= 0 && chance <= 1))
                return;
        unsigned bin = bin_of(chance);
        double miss = chance - (happened ? 1 : 0);
        score->n[bin]++;
        score->hits[bin] += happened;
        score->chance_sum[bin] += chance;
        score->brier_sum += miss * miss;
}

void vn_risk_score_merge(struct vn_risk_score *into, const struct vn_risk_score *from, double weight)
{
        for (unsigned b = 0; b < VN_RISK_BINS; b++) {
                into->n[b] += weight * from->n[b];
                into->hits[b] += weight * from->hits[b];
                into->chance_sum[b] += weight * from->chance_sum[b];
        }
        into->brier_sum += weight * from->brier_sum;
}

double vn_risk_score_count(const struct vn_risk_score *score)
{
        double n = 0;
        for (unsigned b = 0; b < VN_RISK_BINS; b++)
                n += score->n[b];
        return n;
}

double vn_risk_score_brier(const struct vn_risk_score *score)
{
        double n = vn_risk_score_count(score);
        return n > 0 ? score->brier_sum / n : 0;
}

double vn_risk_score_ece(const struct vn_risk_score *score)
{
        double n = vn_risk_score_count(score), sum = 0;
        for (unsigned b = 0; b < VN_RISK_BINS; b++) {
                double gap = score->chance_sum[b] - score->hits[b];
                sum += gap < 0 ? -gap : gap;
        }
        return n > 0 ? sum / n : 0;
}

void vn_risk_score_under(const struct vn_risk_score *score, const struct vn_calibration *calibration,
                         struct vn_risk_score *ret)
{
        *ret = (struct vn_risk_score){.brier_sum = 0};
        for (unsigned b = 0; b < VN_RISK_BINS; b++) {
                double n = score->n[b], hits = score->hits[b];
                if (!(n > 0))
                        continue;
                double p = vn_risk_calibrated(calibration, score->chance_sum[b] / n);
                unsigned to = bin_of(p);
                ret->n[to] += n;
                ret->hits[to] += hits;
                ret->chance_sum[to] += n * p;
                ret->brier_sum += n * p * p - 2 * p * hits + hits;
        }
}

static double limited(double x, double low, double high)
{
        return x < low ? low : x > high ? high : x;
}

#define SLOPE_PULL 4.0     /* one over the square of how far off a slope, an intercept is taken to be */
#define INTERCEPT_PULL 0.1 /* chances of one size do not tell the two apart: then all are moved, not stretched */

/* One Newton step of a logistic regression of the bins' outcomes on their log-odds, with a slight pull towards identity,
 * so that few or one-sided bins cannot run away. */
static bool newton(const struct vn_risk_score *score, struct vn_calibration *c)
{
        double g0 = SLOPE_PULL * (1 - c->slope), g1 = -INTERCEPT_PULL * c->intercept;
        double h00 = SLOPE_PULL, h01 = 0, h11 = INTERCEPT_PULL;
        for (unsigned b = 0; b < VN_RISK_BINS; b++) {
                if (!(score->n[b] > 0))
                        continue;
                double m = score->n[b], x = log_odds(score->chance_sum[b] / m);
                double p = vn_sigmoid(c->slope * x + c->intercept), miss = score->hits[b] - m * p;
                double weight = m * p * (1 - p);
                g0 += miss * x;
                g1 += miss;
                h00 += weight * x * x;
                h01 += weight * x;
                h11 += weight;
        }
        double det = h00 * h11 - h01 * h01;
        if (!(det > 1e-12))
                return false;
        double before = c->slope;
        c->slope = limited(before + limited((g0 * h11 - g1 * h01) / det, -1, 1), VN_CALIBRATION_MIN_SLOPE,
                           VN_CALIBRATION_MAX_SLOPE);
        /* What the intercept then lacks: the second row, for the step that the slope was allowed. */
        double along = (g1 - h01 * (c->slope - before)) / h11;
        c->intercept = limited(c->intercept + limited(along, -2, 2), -VN_CALIBRATION_MAX_INTERCEPT,
                               VN_CALIBRATION_MAX_INTERCEPT);
        return true;
}

struct vn_calibration vn_risk_score_fit(const struct vn_risk_score *score)
{
        struct vn_calibration c = {1, 0, 0};
        double n = vn_risk_score_count(score), hits = 0;
        for (unsigned b = 0; b < VN_RISK_BINS; b++)
                hits += score->hits[b];
        if (n < VN_RISK_MIN_OUTCOMES || !(hits > 0) || hits >= n)
                return c;
        for (unsigned step = 0; step < 25 && newton(score, &c); step++) {
        }
        c.outcomes = (uint64_t)n;
        return c;
}

struct vn_calibration vn_risk_score_choose(const struct vn_risk_score *fitted, const struct vn_risk_score *held_out)
{
        struct vn_calibration identity = {1, 0, 0}, c = vn_risk_score_fit(fitted);
        struct vn_risk_score all = *fitted, before, after, held_before, held_after;
        vn_risk_score_merge(&all, held_out, 1);
        vn_risk_score_under(&all, &identity, &before);
        vn_risk_score_under(&all, &c, &after);
        vn_risk_score_under(held_out, &identity, &held_before);
        vn_risk_score_under(held_out, &c, &held_after);
        if (held_after.brier_sum < held_before.brier_sum && after.brier_sum <= before.brier_sum &&
            vn_risk_score_ece(&after) <= vn_risk_score_ece(&before))
                identity = c;
        identity.outcomes = (uint64_t)vn_risk_score_count(&all);
        return identity;
}
