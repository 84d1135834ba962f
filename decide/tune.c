#include "decide/tune.h"

#include <stdio.h>

#include "base/detmath.h"

#define FEWEST_CALLS_AFTER 30 /* before an applied change is judged */
#define WORSE_SHARE 1.25      /* of the promised p95: more than that is worse */
#define WORSE_Z 3.0

const char *vn_tune_result_name(enum vn_tune_result result)
{
        static const char *const names[] = {"apply",        "not-tunable",   "mode-off",     "few-calls",
                                            "no-curve",     "peak-unknown",  "best-already", "small-gain",
                                            "memory-floor", "latency-limit", "uncertain"};
        return (unsigned)result < sizeof names / sizeof *names ? names[result] : "unknown";
}

static double score(const struct vn_tune_question *q, const struct vn_curve_point *p)
{
        return q->policy->cost_weight * p->usd_per_million +
               q->policy->latency_weight * q->policy->latency_value_usd_per_ms * (p->p95_us / 1e3);
}

static void none(struct vn_tune_proposal *ret, enum vn_tune_result result, const char *reason)
{
        ret->result = result;
        ret->to_mb = ret->from_mb;
        snprintf(ret->reason, sizeof ret->reason, "%s", reason);
}

static bool curve_ok(const struct vn_tune_question *q, size_t *ret_current)
{
        bool found = false;
        if (q->points < 2 || q->points > VN_TUNE_MAX_POINTS)
                return false;
        for (size_t i = 0; i < q->points; i++) {
                const struct vn_curve_point *p = &q->curve[i];
                if (!(p->p50_us > 0 && p->p95_us >= p->p50_us && p->p95_us < 1e12 && p->usd_per_million >= 0 &&
                      p->usd_per_million < 1e9) ||
                    (i && p->memory_mb <= q->curve[i - 1].memory_mb))
                        return false;
                if (p->memory_mb == q->current_mb) {
                        found = true;
                        *ret_current = i;
                }
        }
        return found;
}

static bool within_limit(const struct vn_tune_question *q, const struct vn_curve_point *p)
{
        double limit_us = q->policy->latency_slo_ms * 1e3;
        return limit_us <= 0 || p->p95_us * (1 + q->model_error) <= limit_us;
}

/* The least score in a range of sizes; `current` if nothing there is better. Sizes below the memory floor or above the
 * latency limit do not count (what is in force may stay, whatever it is). */
static size_t best_between(const struct vn_tune_question *q, size_t current, double low_mb, double high_mb)
{
        size_t best = current;
        for (size_t i = 0; i < q->points; i++) {
                double mb = (double)q->curve[i].memory_mb;
                if (i == current || mb < low_mb || mb > high_mb || mb < (double)q->peak_mb * VN_TUNE_HEADROOM ||
                    !within_limit(q, &q->curve[i]))
                        continue;
                if (score(q, &q->curve[i]) < score(q, &q->curve[best]))
                        best = i;
        }
        return best;
}

/* Log-normal with the model's error as its sigma: the chance that the truth lies above the limit. */
static double chance_above(double expected, double limit, double error)
{
        double sigma = error > .02 ? error : .02;
        return expected > 0 && limit > 0 ? vn_sigmoid(-1.702 * vn_log(limit / expected) / sigma) : 0;
}

static void risks(const struct vn_tune_question *q, const struct vn_curve_point *from,
                  const struct vn_curve_point *to, struct vn_tune_proposal *ret)
{
        double limit_us = q->policy->latency_slo_ms * 1e3, promised = to->p95_us * WORSE_SHARE;
        if (promised < from->p95_us)
                promised = from->p95_us;
        if (limit_us > 0 && limit_us < promised)
                promised = limit_us;
        ret->risk_latency = chance_above(to->p95_us, promised, q->model_error);
        /* Peaks vary by about 8 % from week to week; above the floor of 15 % that leaves a few per cent. */
        ret->risk_memory = q->peak_mb && to->memory_mb < from->memory_mb
                                   ? chance_above((double)q->peak_mb, (double)to->memory_mb, .08)
                                   : 0;
        ret->risk = 1 - (1 - ret->risk_latency) * (1 - ret->risk_memory);
}

/* Why sizes that score better were out of reach. */
static void why_not(const struct vn_tune_question *q, size_t current, struct vn_tune_proposal *ret)
{
        bool floor = false, slow = false;
        for (size_t i = 0; i < q->points; i++) {
                if (score(q, &q->curve[i]) >= score(q, &q->curve[current]) * (1 - VN_TUNE_MIN_GAIN))
                        continue;
                floor |= (double)q->curve[i].memory_mb < (double)q->peak_mb * VN_TUNE_HEADROOM;
                slow |= !within_limit(q, &q->curve[i]);
        }
        if (floor)
                none(ret, VN_TUNE_MEMORY_FLOOR, "smaller would be better, but the peak memory plus 15 % must fit");
        else if (slow)
                none(ret, VN_TUNE_LATENCY_LIMIT, "another size would be better, but would break the latency limit");
        else
                none(ret, VN_TUNE_BEST_ALREADY, "no other size scores better under the policy");
}

static bool may_tune(const struct vn_tune_question *q, struct vn_tune_proposal *ret)
{
        if (!q->tunable)
                none(ret, VN_TUNE_NOT_TUNABLE, "the plan has no memory setting");
        else if (q->policy->tuning_mode == VN_TUNING_OFF)
                none(ret, VN_TUNE_MODE_OFF, "the policy switches tuning off");
        else if (q->calls < VN_TUNE_MIN_CALLS)
                none(ret, VN_TUNE_FEW_CALLS, "too few calls to judge");
        else
                return true;
        return false;
}

void vn_tune(const struct vn_tune_question *q, struct vn_tune_proposal *ret)
{
        size_t current = 0;
        *ret = (struct vn_tune_proposal){.from_mb = q->current_mb, .to_mb = q->current_mb, .goal_mb = q->current_mb};
        if (!may_tune(q, ret))
                return;
        if (!curve_ok(q, &current) || !(q->model_error >= 0 && q->model_error < 10)) {
                none(ret, VN_TUNE_NO_CURVE, "there is no usable prediction by memory size yet");
                return;
        }
        const struct vn_curve_point *from = &q->curve[current];
        double step = q->policy->max_step < VN_TUNE_MAX_STEP - 1 ? 1 + q->policy->max_step : VN_TUNE_MAX_STEP;
        double high = (double)from->memory_mb * step, low = (double)from->memory_mb / 2;
        if (q->fixed_sizes) {
                low = (double)q->curve[current ? current - 1 : 0].memory_mb;
                high = (double)q->curve[current + 1 < q->points ? current + 1 : current].memory_mb;
        }
        size_t goal = best_between(q, current, 0, 1e9), best = best_between(q, current, low, high);
        ret->goal_mb = q->curve[goal].memory_mb;
        ret->p95_before_us = ret->p95_after_us = from->p95_us;
        double old = score(q, from);
        if (best == current || !(old > 0)) {
                why_not(q, current, ret);
                return;
        }
        const struct vn_curve_point *to = &q->curve[best];
        double trust = q->model_error < 1 ? 1 - q->model_error : 0;
        ret->gain = (old - score(q, to)) / old * trust;
        ret->confidence = (double)q->calls / ((double)q->calls + 200) * trust;
        ret->saving_usd_per_million = from->usd_per_million - to->usd_per_million;
        ret->saving_share = from->usd_per_million > 0 ? ret->saving_usd_per_million / from->usd_per_million : 0;
        ret->p95_after_us = to->p95_us;
        risks(q, from, to, ret);
        if (to->memory_mb < from->memory_mb && !q->peak_mb) {
                none(ret, VN_TUNE_PEAK_UNKNOWN, "smaller would be better, but the peak memory is not known");
        } else if (ret->gain < VN_TUNE_MIN_GAIN) {
                none(ret, VN_TUNE_SMALL_GAIN, "the best other size gains less than 3 % after the model's error");
        } else if (ret->confidence < .15) {
                none(ret, VN_TUNE_UNCERTAIN, "the prediction rests on too little data");
        } else {
                ret->result = VN_TUNE_APPLY;
                ret->to_mb = to->memory_mb;
                snprintf(ret->reason, sizeof ret->reason,
                         "%u to %u MB: %+.1f %% cost, p95 %.4g to %.4g ms, %.0f %% better under the policy%s",
                         from->memory_mb, to->memory_mb, -ret->saving_share * 100, from->p95_us / 1e3,
                         to->p95_us / 1e3, ret->gain * 100, goal != best ? "; further steps follow" : "");
        }
}

/* z of two proportions with one added success and failure each, so that small counts stay sober. */
static double proportions_z(uint64_t hits1, uint64_t n1, uint64_t hits2, uint64_t n2)
{
        double a = (double)hits1 + 1, m = (double)n1 + 2, b = (double)hits2 + 1, n = (double)n2 + 2;
        double p = (a + b) / (m + n);
        return (b / n - a / m) / vn_sqrt(p * (1 - p) * (1 / m + 1 / n));
}

void vn_tune_judge(const struct vn_tune_sample *before, const struct vn_tune_sample *after, double expected_p95_us,
                   bool deadline_passed, struct vn_tune_judgement *ret)
{
        double allowed = (expected_p95_us > before->p95_us ? expected_p95_us : before->p95_us) * WORSE_SHARE;
        *ret = (struct vn_tune_judgement){.verdict = VN_TUNE_WAIT};
        ret->errors_z = proportions_z(before->errors, before->calls, after->errors, after->calls);
        ret->latency_z = proportions_z(before->calls / 20, before->calls, after->over_baseline_p95, after->calls);
        double rate_before = before->calls ? (double)before->errors / (double)before->calls : 0;
        double rate_after = after->calls ? (double)after->errors / (double)after->calls : 0;

        if (after->calls >= 5 && ret->errors_z > WORSE_Z && rate_after > rate_before + .01) {
                ret->verdict = VN_TUNE_ROLL_BACK;
                snprintf(ret->reason, sizeof ret->reason, "errors went from %.2f %% to %.2f %% (z %.1f)",
                         rate_before * 100, rate_after * 100, ret->errors_z);
        } else if (after->calls >= FEWEST_CALLS_AFTER && after->p95_us > allowed && ret->latency_z > WORSE_Z) {
                ret->verdict = VN_TUNE_ROLL_BACK;
                snprintf(ret->reason, sizeof ret->reason,
                         "p95 is %.4g ms where at most %.4g ms was promised (z %.1f)", after->p95_us / 1e3,
                         allowed / 1e3, ret->latency_z);
        } else if (after->calls >= FEWEST_CALLS_AFTER || deadline_passed) {
                ret->verdict = VN_TUNE_KEEP;
                snprintf(ret->reason, sizeof ret->reason,
                         "%llu calls since: p95 %.4g ms, errors %.2f %%, neither worse",
                         (unsigned long long)after->calls, after->p95_us / 1e3, rate_after * 100);
        } else {
                snprintf(ret->reason, sizeof ret->reason, "%llu of %d calls seen since the change",
                         (unsigned long long)after->calls, FEWEST_CALLS_AFTER);
        }
}
