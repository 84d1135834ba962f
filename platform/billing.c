/* billing.c - what an invocation costs, by each plan's own rounding rules.
 * Rules (price files: billing_step_ms, billing_minimum_ms; [m] where they come from general knowledge):
 *   Lambda       ceil to 1 ms of run plus init, times the configured memory; INIT is billed since August 2025 [m].
 *   Consumption  at least 100 ms, ceil to 1 ms; memory as used, ceil to 128 MB, at least 128, at most 1,536.
 *   Flex         the instance's active time times its memory; at least 1,000 ms, then 100 ms steps.
 *   Cloud Run    the instance's active time in 100 ms steps, vCPU and memory apart; start-up is billed as active [m].
 * On the last two, requests that overlap in one instance share its time: only time not paid for yet is added. */
#include "base/clock.h"
#include "platform/internal.h"

static int64_t ceil_to(int64_t value, int64_t step)
{
        return (value + step - 1) / step * step;
}

/* Active time that nobody has paid for, rounded up; what rounding adds is paid ahead. */
static int64_t shared_time(struct vn_instance *instance, int64_t from_us, int64_t until_us, int64_t minimum_us)
{
        bool fresh = instance->billed_until_us <= from_us;
        int64_t start = fresh ? from_us : instance->billed_until_us;
        if (until_us <= start)
                return 0;
        int64_t billed = ceil_to(until_us - start, 100 * VN_US_PER_MS);
        if (fresh && billed < minimum_us)
                billed = minimum_us;
        instance->billed_until_us = start + billed;
        return billed;
}

static double meter(const struct vn_price_meter *rates, double *used, double amount)
{
        double usd = vn_price_meter_usd(rates, *used, amount);
        *used += amount;
        return usd;
}

static double compute_usd(struct vn_platform_site *site, const struct vn_platform_deployment *d, int64_t billed_us,
                          struct vn_platform_outcome *outcome)
{
        double seconds = (double)billed_us / 1e6;
        switch (d->plan) {
        case VN_PLAN_LAMBDA:
        case VN_PLAN_AZURE_CONSUMPTION:
                return meter(&site->price.gb_s, &site->used_gb_s, seconds * outcome->memory_mb / 1024.0);
        case VN_PLAN_AZURE_FLEX:
                return meter(&site->price.flex_gb_s, &site->used_flex_gb_s, seconds * outcome->memory_mb / 1024.0);
        case VN_PLAN_CLOUD_RUN:
                outcome->cost.memory_usd =
                        meter(&site->price.gib_s, &site->used_gib_s, seconds * outcome->memory_mb / 1024.0);
                return meter(&site->price.vcpu_s, &site->used_vcpu_s,
                             seconds * (d->vcpu > 0 ? d->vcpu : vn_platform_vcpu(d->plan, outcome->memory_mb)));
        }
        return 0;
}

static int64_t billed_time(const struct vn_platform_deployment *d, struct vn_instance *instance, int64_t from_us,
                           int64_t until_us, int64_t front_us, const struct vn_platform_outcome *outcome)
{
        int64_t run_us = until_us - from_us;
        switch (d->plan) {
        case VN_PLAN_LAMBDA: return ceil_to(run_us + outcome->init_us, VN_US_PER_MS);
        case VN_PLAN_AZURE_CONSUMPTION:
                run_us = ceil_to(run_us + front_us, VN_US_PER_MS);
                return run_us < 100 * VN_US_PER_MS ? 100 * VN_US_PER_MS : run_us;
        case VN_PLAN_AZURE_FLEX:
                return shared_time(instance, from_us - outcome->init_us, until_us + front_us, 1000 * VN_US_PER_MS);
        case VN_PLAN_CLOUD_RUN:
                return shared_time(instance, from_us - outcome->init_us, until_us, 100 * VN_US_PER_MS);
        }
        return run_us;
}

void vn_platform_bill(struct vn_platform *platform, uint32_t deployment, struct vn_instance *instance,
                      int64_t from_us, int64_t until_us, int64_t front_us, double price_factor,
                      struct vn_platform_outcome *outcome)
{
        const struct vn_platform_deployment *d = &platform->deployments[deployment];
        struct vn_platform_site *site = &platform->sites[d->site];
        struct vn_platform_cost *cost = &outcome->cost;
        bool flex = d->plan == VN_PLAN_AZURE_FLEX;

        if (d->plan == VN_PLAN_AZURE_CONSUMPTION) {
                uint32_t used = (outcome->used_mb + 127) / 128 * 128;
                outcome->memory_mb = used < 128 ? 128 : used > 1536 ? 1536 : used;
        }
        outcome->billed_us = billed_time(d, instance, from_us, until_us, front_us, outcome);
        cost->compute_usd = compute_usd(site, d, outcome->billed_us, outcome);
        /* Consumption bills executions, so its init is free; elsewhere init is its share of the billed time. */
        if (outcome->init_us && outcome->billed_us && d->plan != VN_PLAN_AZURE_CONSUMPTION) {
                double share = (double)outcome->init_us / (double)outcome->billed_us;
                cost->init_usd = (cost->compute_usd + cost->memory_usd) * (share < 1 ? share : 1);
                cost->compute_usd -= cost->compute_usd * (share < 1 ? share : 1);
                cost->memory_usd -= cost->memory_usd * (share < 1 ? share : 1);
        }
        cost->request_usd = flex ? meter(&site->price.flex_request, &site->used_flex_requests, 1)
                                 : meter(&site->price.request, &site->used_requests, 1);
        cost->egress_usd =
                meter(&site->price.egress_gb, &site->used_egress_gb, (double)outcome->response_bytes / 1e9);

        cost->request_usd *= price_factor;
        cost->compute_usd *= price_factor;
        cost->memory_usd *= price_factor;
        cost->init_usd *= price_factor;
        cost->egress_usd *= price_factor;
        cost->total_usd =
                cost->request_usd + cost->compute_usd + cost->memory_usd + cost->init_usd + cost->egress_usd;
}
