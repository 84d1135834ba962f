#include "server/routing/slowdown.h"

#include "base/clock.h"
#include "base/detmath.h"

#define HALF_LIFE_US (30 * VN_US_PER_S)
#define PRIOR_WEIGHT 3.0
#define FLOOR 3.0 /* outcomes of one caller that count whatever others tell */
#define LEAST 1.2
#define STEP_LOG .0953 /* ln 1.1 */
#define LOG_LOW (-1.0)
#define LOG_HIGH 2.1 /* one outcome can say so much; ln 8 is the most that is told */

static double faded(const struct vn_slowdown *s, int64_t now_us)
{
        double passed = now_us > s->at_us ? (double)(now_us - s->at_us) : 0;
        return vn_exp(-.6931471805599453 * passed / (double)HALF_LIFE_US);
}

void vn_slowdown_add(struct vn_slowdown *s, uint64_t caller, double ratio, int64_t now_us)
{
        if (!(ratio > 0))
                return;
        double log_ratio = vn_log(ratio);
        log_ratio = log_ratio < LOG_LOW ? LOG_LOW : log_ratio > LOG_HIGH ? LOG_HIGH : log_ratio;
        vn_witness_mean_fade(&s->logs, faded(s, now_us));
        vn_witness_mean_add(&s->logs, caller, log_ratio);
        if (now_us > s->at_us)
                s->at_us = now_us;
}

double vn_slowdown_now(const struct vn_slowdown *s, double prior, int64_t now_us)
{
        struct vn_witness_mean logs = s->logs;
        double weight;
        vn_witness_mean_fade(&logs, faded(s, now_us));
        double log_sum = vn_witness_mean_sum(&logs, FLOOR, &weight);
        double log_factor = (log_sum + PRIOR_WEIGHT * vn_log(prior)) / (weight + PRIOR_WEIGHT);
        double stepped = vn_exp((double)(int64_t)(log_factor / STEP_LOG) * STEP_LOG);
        if (!(vn_exp(log_factor) >= LEAST))
                return 1;
        return stepped > VN_SLOWDOWN_MAX ? VN_SLOWDOWN_MAX : stepped;
}
