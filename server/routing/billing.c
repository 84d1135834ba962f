#include "server/routing/billing.h"

#define AZURE_STEP_MB 128u
#define AZURE_CONSUMPTION_MB 1536u

/* The tier that holds at `position` units: the last whose start is not beyond it, skipping free ones (grants are taken
 * as used up). *ret_next gets the following tier's price and how many units remain until it. */
/* Rates of Azure's Flex plan stand beside Consumption's in one account's list, marked in `arch`. */
#define FLEX "flex"

static bool tier_applies(const struct vn_price_tier_entry *t, bool flex)
{
        return flex ? !strcmp(t->arch, FLEX) : !t->arch[0] || !strcmp(t->arch, "x86");
}

static bool tier_price(const struct vn_account_prices *prices, bool flex, const char *meter, const char *region,
                       double position, double *ret_usd, double *ret_next_usd, double *ret_units_left)
{
        const struct vn_price_tier_entry *now = NULL, *next = NULL;
        for (int pass = 0; pass < 2 && !now; pass++)
                for (size_t i = 0; i < prices->tier_count; i++) {
                        const struct vn_price_tier_entry *t = &prices->tiers[i];
                        /* First the region's own rows, then rows that name no region. */
                        if (strcmp(t->meter, meter) || strcmp(t->region, pass ? "" : region) || t->usd_per_unit <= 0)
                                continue;
                        if (!tier_applies(t, flex))
                                continue;
                        if (t->from_units <= position || !now) {
                                if (!now || t->from_units > now->from_units || now->from_units > position)
                                        now = t;
                        }
                }
        if (!now)
                return false;
        for (size_t i = 0; i < prices->tier_count; i++) {
                const struct vn_price_tier_entry *t = &prices->tiers[i];
                if (!strcmp(t->meter, meter) && !strcmp(t->region, now->region) && !strcmp(t->arch, now->arch) &&
                    t->from_units > position && t->from_units > now->from_units &&
                    (!next || t->from_units < next->from_units))
                        next = t;
        }
        *ret_usd = now->usd_per_unit;
        if (ret_next_usd) {
                *ret_next_usd = next ? next->usd_per_unit : now->usd_per_unit;
                *ret_units_left = next ? next->from_units - position : 0;
        }
        return true;
}

double vn_billing_gcp_vcpu(uint32_t memory_mb)
{
        static const struct {
                uint32_t up_to_mb;
                double vcpu;
        } sizes[] = {{128, 0.083}, {256, 0.167}, {512, 0.333}, {1024, 0.583},
                     {2048, 1},    {4096, 2},    {8192, 2},    {16384, 4}};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
                if (memory_mb <= sizes[i].up_to_mb)
                        return sizes[i].vcpu;
        return 8;
}

static bool fill_egress(const struct vn_account_prices *prices, enum vn_cloud_id cloud, const char *region,
                        struct vn_endpoint *ret)
{
        /* USD a GB, first paid tier to the internet. A place of one's own states its price or has none. */
        static const double list_price[VN_CLOUD_COUNT] = {[VN_AWS] = 0.09, [VN_AZURE] = 0.087, [VN_GCP] = 0.12};
        if (!tier_price(prices, false, "egress_gb", region, 0, &ret->egress_usd_per_gb, NULL, NULL))
                ret->egress_usd_per_gb = list_price[cloud];
        return true;
}

static bool stated(const struct vn_account_prices *prices, const char *meter, const char *region, double *ret_usd)
{
        for (size_t i = 0; i < prices->tier_count; i++) {
                const struct vn_price_tier_entry *t = &prices->tiers[i];
                if (!strcmp(t->meter, meter) && (!t->region[0] || !strcmp(t->region, region))) {
                        *ret_usd = t->usd_per_unit;
                        return true;
                }
        }
        return false;
}

/* A place of one's own: memory by the time that it runs and a fee a call, as the account states them. They may be 0, as for
 * machines that cost the same whether they run or not; but they must be stated. */
static bool fill_stated(const struct vn_account_prices *prices, const char *region, uint32_t memory_mb,
                        struct vn_endpoint *ret)
{
        ret->billed_gb = memory_mb / 1024.0;
        ret->rounding_us = 1;
        if (!stated(prices, "gb_second", region, &ret->usd_per_gb_s) ||
            !stated(prices, "request", region, &ret->request_usd))
                return false;
        ret->usd_per_gb_s_next = ret->usd_per_gb_s;
        return true;
}

bool vn_billing_fill(const struct vn_account_prices *prices, enum vn_cloud_id cloud, const char *region,
                     uint32_t memory_mb, uint32_t peak_mb, struct vn_endpoint *ret)
{
        double left = 0; /* of the memory meter until its next tier */
        bool flex = cloud == VN_AZURE && memory_mb != AZURE_CONSUMPTION_MB; /* Flex sells other sizes than this */
        ret->share = 1;
        if (cloud == VN_HTTP)
                return prices && fill_stated(prices, region, memory_mb, ret);
        if (!prices || !tier_price(prices, flex, "request", region, prices->requests, &ret->request_usd, NULL, NULL))
                return false;
        switch (cloud) {
        case VN_AWS:
                ret->rounding_us = 1000;
                ret->minimum_us = 0;
                ret->billed_gb = memory_mb / 1024.0;
                ret->flags |= VN_ENDPOINT_INIT_BILLED; /* since August 2025, for every runtime */
                if (!tier_price(prices, flex, "gb_second", region, prices->gb_s, &ret->usd_per_gb_s,
                                &ret->usd_per_gb_s_next, &left))
                        return false;
                break;
        case VN_AZURE: {
                /* Consumption bills what was used, rounded up to 128 MB, and 100 ms at least; Flex the instance's memory
                 * in steps of 100 ms, and 1 s at least. */
                uint32_t used = flex ? memory_mb : peak_mb ? peak_mb : 2 * AZURE_STEP_MB;
                ret->rounding_us = flex ? 100000 : 1000;
                ret->minimum_us = flex ? 1000000 : 100000;
                ret->billed_gb = (used + AZURE_STEP_MB - 1) / AZURE_STEP_MB * AZURE_STEP_MB / 1024.0;
                if (!tier_price(prices, flex, "gb_second", region, prices->gb_s, &ret->usd_per_gb_s,
                                &ret->usd_per_gb_s_next, &left))
                        return false;
                break;
        }
        case VN_GCP:
                ret->rounding_us = 100000;
                ret->minimum_us = 100000;
                ret->billed_gb = memory_mb / 1024.0;
                ret->vcpu = vn_billing_gcp_vcpu(memory_mb);
                if (!tier_price(prices, false, "gib_second", region, prices->gb_s, &ret->usd_per_gb_s,
                                &ret->usd_per_gb_s_next, &left) ||
                    !tier_price(prices, false, "vcpu_second", region, 0, &ret->usd_per_vcpu_s, NULL, NULL))
                        return false;
                ret->usd_per_vcpu_s_next = ret->usd_per_vcpu_s; /* it is sold in one paid tier */
                break;
        case VN_HTTP:
        case VN_CLOUD_COUNT: return false;
        }
        ret->border_s = left > 0 && ret->billed_gb > 0 ? left / ret->billed_gb : 0;
        return fill_egress(prices, cloud, region, ret);
}

double vn_billing_usd_per_million(const struct vn_endpoint *e, double duration_us, double response_bytes)
{
        double billed_us = duration_us < (double)e->minimum_us ? (double)e->minimum_us : duration_us;
        /* On average a duration is rounded up by half a step. */
        billed_us += (double)e->rounding_us / 2;
        if (billed_us < (double)e->minimum_us)
                billed_us = (double)e->minimum_us;
        double per_s = e->usd_per_gb_s * e->billed_gb + e->usd_per_vcpu_s * e->vcpu;
        return 1e6 *
               (per_s * billed_us / 1e6 / e->share + e->request_usd + e->egress_usd_per_gb * response_bytes / 1e9);
}
