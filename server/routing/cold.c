#include "server/routing/cold.h"

#define INTERCEPT_PULL 20.0 /* calls: network and run time are measured, so they are off by little */
#define FADE 4000.0         /* at this weight of one caller its past counts half */
#define LEAST (-4.0)
#define MOST 8.0

static double limited(double x, double low, double high)
{
        return x < low ? low : x > high ? high : x;
}

void vn_cold_add(struct vn_cold *cold, const struct vn_cold_outcome *o, double scale_us)
{
        if (!(o->share >= 0 && o->share <= 1) || !(o->spread_us >= 0) || o->excess_us != o->excess_us)
                return;
        struct vn_cold_sums *s = &cold->sums[vn_witness_place(cold->caller, o->caller)];
        double excess_us = limited(o->excess_us, LEAST * scale_us, MOST * scale_us);
        double w = scale_us * scale_us / (scale_us * scale_us + o->spread_us * o->spread_us);
        s->starts += o->share;
        s->w += w;
        s->c += w * o->share;
        s->y += w * excess_us;
        s->cc += w * o->share * o->share;
        s->cy += w * o->share * excess_us;
        if (s->w > FADE) {
                double *all[] = {&s->starts, &s->w, &s->c, &s->y, &s->cc, &s->cy};
                for (unsigned i = 0; i < sizeof all / sizeof *all; i++)
                        *all[i] /= 2;
        }
        if (o->time_us > cold->newest_us)
                cold->newest_us = o->time_us;
}

void vn_cold_estimate(const struct vn_cold *cold, double scale_us, double prior_us, double prior_starts,
                      struct vn_cold_estimate *ret)
{
        double count[VN_WITNESSES], weight[VN_WITNESSES];
        struct vn_cold_sums t = {0, 0, 0, 0, 0, 0};
        for (unsigned i = 0; i < VN_WITNESSES; i++)
                count[i] = cold->sums[i].w;
        vn_witness_weights(count, VN_WITNESS_FLOOR, weight);
        for (unsigned i = 0; i < VN_WITNESSES; i++) {
                const struct vn_cold_sums *s = &cold->sums[i];
                t.starts += weight[i] * s->starts;
                t.w += weight[i] * s->w;
                t.c += weight[i] * s->c;
                t.y += weight[i] * s->y;
                t.cc += weight[i] * s->cc;
                t.cy += weight[i] * s->cy;
        }
        double a11 = t.w + INTERCEPT_PULL, a22 = t.cc + prior_starts, b2 = t.cy + prior_starts * prior_us;
        double slope = (a11 * b2 - t.c * t.y) / (a11 * a22 - t.c * t.c); /* > 0: Cauchy-Schwarz, and the pulls */
        ret->us = limited(slope, 0, MOST * scale_us);
        ret->starts = t.starts;
}
