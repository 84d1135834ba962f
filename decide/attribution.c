#include "decide/attribution.h"

#include <stdio.h>

static const char *const group_names[VN_FEATURE_GROUPS] = {"price",  "duration",     "rounding", "request fee",
                                                           "egress", "init billing", "network",  "cold start",
                                                           "errors", "load"};

const char *vn_group_name(enum vn_group group)
{
        return (unsigned)group < VN_FEATURE_GROUPS ? group_names[group] : "unknown";
}

void vn_attribute_record(const struct vn_record *record, struct vn_attribution *ret)
{
        *ret = (struct vn_attribution){.sum = 0};
        if (record->kind != VN_RECORD_ROUTE || !record->has_runner_up)
                return;
        vn_attribute(&record->choice.features, &record->runner_up.features, &record->weights, ret);
        if (record->explored)
                ret->draw = -ret->margin;
}

void vn_group_detail(enum vn_group group, const struct vn_features *a, const struct vn_features *b, char *ret,
                     size_t ret_bytes)
{
        switch (group) {
        case VN_FEATURE_PRICE:
                snprintf(ret, ret_bytes, "%.4g against %.4g USD a million billed ms", (double)a->rate,
                         (double)b->rate);
                return;
        case VN_FEATURE_DURATION:
                snprintf(ret, ret_bytes, "%.4g against %.4g ms on average, %.4g against %.4g ms at the quantile",
                         (double)a->mean_ms, (double)b->mean_ms, (double)a->tail_us / 1e3, (double)b->tail_us / 1e3);
                return;
        case VN_FEATURE_ROUNDING:
                snprintf(ret, ret_bytes, "%.4g against %.4g ms billed on top", (double)a->rounding_ms,
                         (double)b->rounding_ms);
                return;
        case VN_FEATURE_REQUEST:
                snprintf(ret, ret_bytes, "%.4g against %.4g USD a million", (double)a->request, (double)b->request);
                return;
        case VN_FEATURE_EGRESS:
                snprintf(ret, ret_bytes, "%.4g against %.4g USD a million", (double)a->egress, (double)b->egress);
                return;
        case VN_FEATURE_INIT:
                snprintf(ret, ret_bytes, "%.4g against %.4g USD a million cold starts", (double)a->init,
                         (double)b->init);
                return;
        case VN_FEATURE_NETWORK:
                snprintf(ret, ret_bytes, "%.4g against %.4g ms", (double)a->network_us / 1e3,
                         (double)b->network_us / 1e3);
                return;
        case VN_FEATURE_COLD:
                snprintf(ret, ret_bytes, "%.3g %% of %.4g ms against %.3g %% of %.4g ms",
                         (double)a->cold_chance * 100, (double)a->cold_us / 1e3, (double)b->cold_chance * 100,
                         (double)b->cold_us / 1e3);
                return;
        case VN_FEATURE_ERRORS:
                snprintf(ret, ret_bytes, "%.3g %% against %.3g %%", (double)a->error_rate * 100,
                         (double)b->error_rate * 100);
                return;
        case VN_FEATURE_LOAD: snprintf(ret, ret_bytes, "%.3g against %.3g", (double)a->load, (double)b->load); return;
        }
        snprintf(ret, ret_bytes, "unknown");
}

uint32_t vn_smallest_exclusions(const struct vn_record *r)
{
        uint32_t need[VN_VIEW_MAX_ENDPOINTS], needs = 0, best = 0;
        for (uint32_t i = 0; i < r->candidates; i++) {
                uint32_t reasons = 0;
                for (unsigned e = 0; e < VN_EXCLUSION_COUNT; e++)
                        reasons |= (uint32_t)vn_bit(&r->excluded[e], i) << e;
                bool known = reasons == 0;
                for (uint32_t n = 0; n < needs && !known; n++)
                        known = need[n] == reasons;
                if (!known)
                        need[needs++] = reasons;
        }
        if (!needs)
                return 0;
        best = (1u << VN_EXCLUSION_COUNT) - 1;
        for (uint32_t set = 1; set < 1u << VN_EXCLUSION_COUNT; set++) {
                if (__builtin_popcount(set) >= __builtin_popcount(best))
                        continue;
                bool covers = true;
                for (uint32_t n = 0; n < needs && covers; n++)
                        covers = need[n] & set;
                if (covers)
                        best = set;
        }
        return best;
}

/* The group that speaks loudest in the direction of the margin. */
static enum vn_group loudest(const struct vn_attribution *a, bool for_choice)
{
        enum vn_group best = VN_FEATURE_PRICE;
        for (unsigned g = 1; g < VN_FEATURE_GROUPS; g++) {
                double now = for_choice ? a->value[g] : -a->value[g];
                double old = for_choice ? a->value[best] : -a->value[best];
                if (now > old)
                        best = (enum vn_group)g;
        }
        return best;
}

static void exclusions_text(uint32_t set, char *ret, size_t ret_bytes)
{
        size_t at = 0;
        ret[0] = 0;
        for (unsigned e = 0; e < VN_EXCLUSION_COUNT && at < ret_bytes; e++)
                if (set >> e & 1)
                        at += (size_t)snprintf(ret + at, ret_bytes - at, "%s%s", at ? ", " : "",
                                               vn_exclusion_name((enum vn_exclusion)e));
}

static void change_sentence(const struct vn_record *r, char ret[VN_SENTENCE_BYTES])
{
        if (r->summary[0])
                snprintf(ret, VN_SENTENCE_BYTES, "%s", r->summary);
        else if (r->before[0])
                snprintf(ret, VN_SENTENCE_BYTES, "%s %.100s went from %s to %s.", vn_record_kind_name(r->kind),
                         r->subject, r->before, r->after);
        else
                snprintf(ret, VN_SENTENCE_BYTES, "%s %.100s: %s.", vn_record_kind_name(r->kind), r->subject,
                         r->after);
}

static void lone_sentence(const struct vn_record *r, const char *place, char ret[VN_SENTENCE_BYTES])
{
        char why[160];
        exclusions_text(vn_smallest_exclusions(r), why, sizeof why);
        if (r->status == VN_DECIDED_NONE)
                snprintf(ret, VN_SENTENCE_BYTES, "No place is allowed for %.80s: %s.", r->workload, why);
        else if (r->status == VN_DECIDED_SPLIT)
                snprintf(ret, VN_SENTENCE_BYTES, "%s was drawn from the declared split, because %s.", place,
                         why[0] ? why : "the workload is paused");
        else if (r->candidates == 1)
                snprintf(ret, VN_SENTENCE_BYTES, "%s is the only place that %.80s is deployed to.", place,
                         r->workload);
        else
                snprintf(ret, VN_SENTENCE_BYTES,
                         "%s was the only one of %u places left; the others were ruled out by %s.", place,
                         r->candidates, why);
}

void vn_record_sentence(const struct vn_record *r, char ret[VN_SENTENCE_BYTES])
{
        char place[128], detail[128];
        struct vn_attribution a;
        if (r->kind != VN_RECORD_ROUTE) {
                change_sentence(r, ret);
                return;
        }
        snprintf(place, sizeof place, "%s (%s %s)", r->choice.account,
                 vn_provider_name((enum vn_provider)r->choice.provider), r->choice.region);
        if (!r->has_runner_up) {
                lone_sentence(r, place, ret);
                return;
        }
        vn_attribute_record(r, &a);
        bool for_choice = a.margin >= 0;
        enum vn_group g = loudest(&a, for_choice);
        vn_group_detail(g, &r->choice.features, &r->runner_up.features, detail, sizeof detail);
        if (r->explored)
                snprintf(ret, VN_SENTENCE_BYTES,
                         "%s was drawn to learn about it, though %s scores %.3g USD a million better, "
                         "mostly by %s (%s).",
                         place, r->runner_up.account, -a.margin, vn_group_name(g), detail);
        else
                snprintf(ret, VN_SENTENCE_BYTES, "%s beats %s by %.3g USD a million%s, mostly by %s (%s).", place,
                         r->runner_up.account, a.margin,
                         r->over_budget ? " by cost alone, the day's budget being spent" : "", vn_group_name(g),
                         detail);
}

void vn_decision_reason(const struct vn_decision *d, char *ret, size_t ret_bytes)
{
        struct vn_attribution a;
        if (d->status == VN_DECIDED_NONE) {
                snprintf(ret, ret_bytes, "no place is allowed");
        } else if (d->status == VN_DECIDED_SPLIT) {
                snprintf(ret, ret_bytes, "declared split");
        } else if (d->explored) {
                snprintf(ret, ret_bytes, "exploration");
        } else if (d->runner_up == VN_NO_CANDIDATE) {
                snprintf(ret, ret_bytes, d->count > 1 ? "only feasible place" : "only place");
        } else {
                vn_attribute(&d->features, &d->runner_up_features, &d->weights, &a);
                snprintf(ret, ret_bytes, "%s%s", vn_group_name(loudest(&a, true)),
                         d->over_budget ? "; the day's budget is spent" : "");
        }
}
