/* testing.h - seeded views and questions for decide's tests and benches. Not for programs. */
#ifndef VANE_DECIDE_TESTING_H
#define VANE_DECIDE_TESTING_H

#include <stdio.h>

#include "base/hash.h"
#include "decide/decide.h"

#define TESTING_EPOCH_US INT64_C(1764000000000000)

static inline double testing_between(struct vn_rng *rng, double low, double high)
{
        return low + vn_rng_unit(rng) * (high - low);
}

/* A plausible endpoint: prices, durations and states spread as the three clouds' are. */
static inline void testing_endpoint(struct vn_rng *rng, uint32_t i, struct vn_endpoint *e)
{
        static const int64_t rounding[3] = {1000, 1000, 100000};
        *e = (struct vn_endpoint){.provider = (enum vn_provider)(i % 3)};
        e->id = vn_rng_u64(rng);
        snprintf(e->account, sizeof e->account, "account-%u", i);
        snprintf(e->region, sizeof e->region, "%s",
                 (const char *[]){"us-east-1", "westeurope", "europe-west1"}[e->provider]);
        snprintf(e->function, sizeof e->function, "checkout");
        e->memory_mb = 512;
        e->need_mb = 200;
        e->usd_per_gb_s = testing_between(rng, 1.2e-5, 2.6e-5);
        e->usd_per_gb_s_next = e->usd_per_gb_s * .9;
        e->billed_gb = .5;
        e->share = 1;
        e->rounding_us = rounding[e->provider];
        e->minimum_us = e->provider == VN_PROVIDER_AZURE ? 100000 : 0;
        e->request_usd = testing_between(rng, 2e-7, 4e-7);
        e->egress_usd_per_gb = testing_between(rng, .087, .12);
        e->flags = e->provider == VN_PROVIDER_AWS ? VN_ENDPOINT_INIT_BILLED : 0;
        double base_us = testing_between(rng, 4e4, 3e5);
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                        e->duration_us[k][q] = (float)(base_us * (1 + .3 * k) * (.6 + .2 * q));
        for (unsigned k = 0; k < VN_VIEW_COLD_KNOTS; k++)
                e->cold_chance[k] = (float)(.01 + .06 * k);
        e->cold_us = testing_between(rng, 2e5, 1.5e6);
        e->init_us = e->cold_us * .7;
        e->network_us = testing_between(rng, 5e3, 9e4);
        e->error_rate = testing_between(rng, 0, .02);
        e->throttle_rate = testing_between(rng, 0, .01);
        e->last_call_us = TESTING_EPOCH_US - (int64_t)testing_between(rng, 1e6, 4e9);
        e->concurrency_limit = 1000;
        e->samples = 100 + vn_rng_below(rng, 10000);
        e->price_time_us = e->health_time_us = TESTING_EPOCH_US - 60000000;
}

/* Open (not sealed), so that tests can change it first. NULL when memory is out. */
static inline struct vn_view *testing_view(uint32_t count, uint64_t seed)
{
        struct vn_view *view;
        struct vn_rng rng;
        if (vn_view_new(count, &view, NULL) != VN_OK)
                return NULL;
        vn_rng_seed(&rng, seed);
        snprintf(view->tenant, sizeof view->tenant, "default");
        snprintf(view->workload, sizeof view->workload, "checkout");
        view->epoch = 7;
        view->epoch_us = TESTING_EPOCH_US;
        view->model_version = 3, view->price_version = 2, view->policy_version = 1;
        view->calls_per_min = 120;
        view->response_bytes = 2048;
        view->count = count;
        view->policy.exploration = 0;
        for (uint32_t i = 0; i < count; i++)
                testing_endpoint(&rng, i, &view->endpoint[i]);
        return view;
}

static inline struct vn_question testing_question(struct vn_rng *rng)
{
        return (struct vn_question){.id = {0x1234567890abcdef, (uint32_t)vn_rng_below(rng, 4), vn_rng_u64(rng) >> 20},
                                    .time_us = TESTING_EPOCH_US + (int64_t)vn_rng_below(rng, 10000000),
                                    .payload_bytes = (uint32_t)vn_rng_below(rng, 200000),
                                    .response_bytes = (uint32_t)vn_rng_below(rng, 50000)};
}

static inline struct vn_features testing_features(struct vn_rng *rng)
{
        struct vn_features f;
        float *all = (float *)&f;
        const double high[] = {.02, 400, 99, .4, .2, 9, 90000, 500000, 1, 1500000, .2, 1};
        for (size_t i = 0; i < sizeof high / sizeof *high; i++)
                all[i] = (float)(vn_rng_unit(rng) * high[i]);
        return f;
}

#endif
