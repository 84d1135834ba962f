/* The smallest relative change of one feature that makes another candidate win. Searched over features, where a score
 * costs nanoseconds, then verified by deciding again on a copy of the view in which the raw value is changed. */
#include <stdio.h>

#include "decide/attribution.h"
#include "decide/view_codec.h"

/* Multiplies a group's own value; false if the group has none to scale. */
static bool scale_features(struct vn_features *f, enum vn_group group, double factor)
{
        float *field[2] = {NULL, NULL};
        switch (group) {
        case VN_FEATURE_PRICE: field[0] = &f->rate, field[1] = &f->init; break;
        case VN_FEATURE_DURATION: field[0] = &f->mean_ms, field[1] = &f->tail_us; break;
        case VN_FEATURE_REQUEST: field[0] = &f->request; break;
        case VN_FEATURE_EGRESS: field[0] = &f->egress; break;
        case VN_FEATURE_NETWORK: field[0] = &f->network_us; break;
        case VN_FEATURE_COLD: field[0] = &f->cold_us; break;
        case VN_FEATURE_ERRORS: field[0] = &f->error_rate; break;
        case VN_FEATURE_ROUNDING:
        case VN_FEATURE_INIT:
        case VN_FEATURE_LOAD: return false; /* follow from the others, or are nobody's to change */
        }
        double old = (double)*field[0];
        *field[0] = (float)(old * factor);
        if (field[1])
                *field[1] = (float)((double)*field[1] * factor);
        return old > 0 && !(group == VN_FEATURE_ERRORS && old * factor > 1);
}

/* The same in the raw part of a view. */
static void scale_endpoint(struct vn_endpoint *e, enum vn_group group, double factor)
{
        switch (group) {
        case VN_FEATURE_PRICE:
                e->usd_per_gb_s *= factor, e->usd_per_gb_s_next *= factor;
                e->usd_per_vcpu_s *= factor, e->usd_per_vcpu_s_next *= factor;
                return;
        case VN_FEATURE_DURATION:
                for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                        for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                                e->duration_us[k][q] = (float)((double)e->duration_us[k][q] * factor);
                return;
        case VN_FEATURE_REQUEST: e->request_usd *= factor; return;
        case VN_FEATURE_EGRESS: e->egress_usd_per_gb *= factor; return;
        case VN_FEATURE_NETWORK: e->network_us *= factor; return;
        case VN_FEATURE_COLD: e->cold_us *= factor; return;
        case VN_FEATURE_ERRORS: e->error_rate *= factor; return;
        case VN_FEATURE_ROUNDING:
        case VN_FEATURE_INIT:
        case VN_FEATURE_LOAD: return;
        }
}

static void describe(enum vn_group group, const struct vn_features *f, double *value, const char **unit)
{
        *unit = "USD a million calls";
        switch (group) {
        case VN_FEATURE_PRICE: *value = (double)f->rate, *unit = "USD a million ms"; return;
        case VN_FEATURE_DURATION: *value = (double)f->mean_ms, *unit = "ms"; return;
        case VN_FEATURE_NETWORK: *value = (double)f->network_us / 1e3, *unit = "ms"; return;
        case VN_FEATURE_COLD: *value = (double)f->cold_us / 1e3, *unit = "ms"; return;
        case VN_FEATURE_ERRORS: *value = (double)f->error_rate * 100, *unit = "%"; return;
        case VN_FEATURE_REQUEST: *value = (double)f->request; return;
        case VN_FEATURE_EGRESS: *value = (double)f->egress; return;
        case VN_FEATURE_ROUNDING:
        case VN_FEATURE_INIT:
        case VN_FEATURE_LOAD: *value = 0; return;
        }
}

struct search {
        const struct vn_decision *d;
        enum vn_group group;
        bool of_choice;
};

static bool flips(const struct search *s, double factor)
{
        struct vn_features a = s->d->features, b = s->d->runner_up_features;
        if (!scale_features(s->of_choice ? &a : &b, s->group, factor))
                return false;
        return vn_features_score(&a, &s->d->weights) > vn_features_score(&b, &s->d->weights);
}

/* The least factor on the choice (up) or the greatest on the runner-up (down) that flips; 0 if none within 100 times. */
static double find_factor(const struct search *s)
{
        double still = 1, flipped = s->of_choice ? 1.01 : .99;
        while (!flips(s, flipped)) {
                still = flipped;
                flipped = s->of_choice ? flipped * 1.5 : flipped / 1.5;
                if (flipped > 100 || flipped < .01)
                        return 0;
        }
        for (unsigned i = 0; i < 40; i++) {
                double middle = (still + flipped) / 2;
                if (flips(s, middle))
                        flipped = middle;
                else
                        still = middle;
        }
        return s->of_choice ? flipped * (1 + 1e-6) : flipped * (1 - 1e-6); /* float32 rows round: a hair beyond */
}

static enum vn_rc verify(const struct vn_view *view, const struct vn_question *question, const struct vn_live *live,
                         uint32_t candidate, enum vn_group group, double factor, struct vn_counterfactual *ret,
                         struct vn_err *err)
{
        VN_AUTO(vn_view)
        changed = NULL;
        struct vn_decision again;
        VN_TRY(vn_view_clone(view, &changed, err));
        scale_endpoint(&changed->endpoint[candidate], group, factor);
        changed->policy.exploration = 0; /* the question is what wins, not what is drawn */
        if (vn_view_reheat(changed, candidate, NULL) != VN_OK)
                return VN_OK; /* out of bounds: not a change that could happen */
        vn_decide(changed, question, live, &again);
        ret->would_choose = again.choice;
        ret->verified = again.status == VN_DECIDED;
        return VN_OK;
}

static void sentence(const struct vn_view *view, const struct vn_decision *d, struct vn_counterfactual *c)
{
        const char *other = c->would_choose < view->count ? view->endpoint[c->would_choose].account : "another";
        const char *whose = view->endpoint[c->of_choice ? d->choice : d->runner_up].account;
        snprintf(c->sentence, sizeof c->sentence,
                 "With %s of %s at %.4g instead of %.4g %s (%+.1f %%), %s would be chosen.", vn_group_name(c->group),
                 whose, c->to, c->from, c->unit, (c->factor - 1) * 100, other);
}

enum vn_rc vn_counterfactual(const struct vn_view *view, const struct vn_question *question,
                             const struct vn_live *live, const struct vn_decision *d, struct vn_counterfactual *ret,
                             struct vn_err *err)
{
        *ret = (struct vn_counterfactual){.unit = "", .would_choose = VN_NO_CANDIDATE};
        if (d->status != VN_DECIDED || d->runner_up == VN_NO_CANDIDATE || d->explored)
                return VN_OK;
        struct {
                struct search s;
                double factor, size;
        } found[2 * VN_FEATURE_GROUPS];
        unsigned count = 0;
        for (unsigned i = 0; i < 2 * VN_FEATURE_GROUPS; i++) {
                struct search s = {d, (enum vn_group)(i / 2), i % 2 == 0};
                double factor = find_factor(&s);
                if (factor <= 0)
                        continue;
                double size = factor > 1 ? factor - 1 : 1 / factor - 1;
                unsigned at = count++;
                for (; at > 0 && found[at - 1].size > size; at--)
                        found[at] = found[at - 1];
                found[at].s = s;
                found[at].factor = factor;
                found[at].size = size;
        }
        for (unsigned i = 0; i < count && !ret->verified; i++) {
                const struct search *s = &found[i].s;
                VN_TRY(verify(view, question, live, s->of_choice ? d->choice : d->runner_up, s->group,
                              found[i].factor, ret, err));
                ret->verified = ret->verified && ret->would_choose != d->choice;
                if (!ret->verified)
                        continue; /* float32 or a limit stood against it: try the next larger one */
                ret->found = true;
                ret->group = s->group;
                ret->of_choice = s->of_choice;
                ret->factor = found[i].factor;
                describe(s->group, s->of_choice ? &d->features : &d->runner_up_features, &ret->from, &ret->unit);
                ret->to = ret->from * found[i].factor;
                sentence(view, d, ret);
        }
        return VN_OK;
}
