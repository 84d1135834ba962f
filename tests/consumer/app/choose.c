/* choose.c - somebody else's program: two places that could serve a call, and the cheaper one. */
#include <stdio.h>

#include "decide/decide.h"

static void place(struct vn_endpoint *e, uint64_t id, enum vn_provider provider, double usd_per_gb_s)
{
        *e = (struct vn_endpoint){.id = id, .function = "thumbnail", .provider = provider, .memory_mb = 512};
        snprintf(e->account, sizeof e->account, "account-%llu", (unsigned long long)id);
        snprintf(e->region, sizeof e->region, "region-%llu", (unsigned long long)id);
        e->usd_per_gb_s = e->usd_per_gb_s_next = usd_per_gb_s;
        e->billed_gb = 0.5;
        e->share = 1;
        e->rounding_us = 1000;
        e->samples = 1000;
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                        e->duration_us[k][q] = 100e3f + 10e3f * (float)q;
}

int main(void)
{
        static struct vn_live live;
        static struct vn_decision decision;
        struct vn_err err;
        VN_AUTO(vn_view)
        view = NULL;
        if (vn_view_new(2, &view, &err) != VN_OK)
                return 1;
        snprintf(view->tenant, sizeof view->tenant, "default");
        snprintf(view->workload, sizeof view->workload, "thumbnail");
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                view->payload_bytes[k] = 1000.0 * k;
        view->policy.exploration = 0;
        view->count = 2;
        place(&view->endpoint[0], 1, VN_PROVIDER_AWS, 2e-5);
        place(&view->endpoint[1], 2, VN_PROVIDER_GCP, 1e-5);
        if (vn_view_seal(view, &err) != VN_OK) {
                fprintf(stderr, "%s\n", err.msg);
                return 1;
        }
        struct vn_question question = {.id = {1, 0, 1}, .time_us = 1};
        vn_decide(view, &question, &live, &decision);
        printf("%s, score %.3f against %.3f\n", view->endpoint[decision.choice].account, decision.score,
               decision.runner_up_score);
        return decision.status == VN_DECIDED && decision.choice == 1 ? 0 : 1;
}
