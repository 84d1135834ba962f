/* GCP Cloud Billing Catalog: request-based prices of Cloud Run, under which Functions v2 bill. */
#include <stdlib.h>

#include "clouds/gcp/gcp.h"

#define CLOUD_RUN "152E-C115-5142"
#define MAX_PAGES 50

static bool has_word(struct vn_str description, const char *const *words, size_t count)
{
        char text[160];

        vn_text_copy(text, sizeof(text), description);
        for (size_t i = 0; i < count; i++)
                if (strcasestr(text, words[i]))
                        return true;
        return false;
}

/* What the catalog sells besides plain request-based use of a service. */
static bool is_other_product(struct vn_str description)
{
        static const char *const words[] = {"job",     "instance-based", "commit", "gpu",
                                            "network", "worker",         "egress", "always"};

        return has_word(description, words, sizeof(words) / sizeof(words[0]));
}

/* vCPU-seconds are sold by "s", memory by "GiBy.s", requests by "count". */
static bool meter_of(json_t *sku, json_t *expression, enum vn_cloud_meter *ret)
{
        static const char *const cpu[] = {"cpu"}, *const memory[] = {"memory"}, *const request[] = {"request"},
                                 *const kept[] = {"min instance", "idle"};
        struct vn_str unit = vn_json_str(expression, "usageUnit"), description = vn_json_str(sku, "description");
        bool idle = has_word(description, kept, 2); /* minimum instances, while no request runs on them */

        if (vn_str_eq(unit, VN_STR("s")) && has_word(description, cpu, 1))
                *ret = idle ? VN_METER_READY_VCPU_SECOND : VN_METER_VCPU_SECOND;
        else if (vn_str_eq(unit, VN_STR("GiBy.s")) && has_word(description, memory, 1))
                *ret = idle ? VN_METER_READY_GIB_SECOND : VN_METER_GIB_SECOND;
        else if (vn_str_eq(unit, VN_STR("count")) && has_word(description, request, 1))
                *ret = VN_METER_REQUEST;
        else
                return false;
        return true;
}

static bool in_region(struct vn_cloud *cloud, json_t *sku)
{
        json_t *region;
        size_t i;

        if (cloud->config.region.len == 0)
                return true;
        json_array_foreach(json_object_get(sku, "serviceRegions"), i, region)
        {
                struct vn_str name = vn_str(json_string_value(region));

                if (vn_str_eq(name, cloud->config.region) || vn_str_eq(name, VN_STR("global")))
                        return true;
        }
        return false;
}

static enum vn_rc add_rates(struct vn_cloud *cloud, json_t *expression, const struct vn_cloud_price *kind,
                            struct vn_cloud_price_list *ret, struct vn_err *err)
{
        json_t *rate;
        size_t i;

        json_array_foreach(json_object_get(expression, "tieredRates"), i, rate)
        {
                struct vn_cloud_price price = *kind;
                struct vn_str currency = vn_json_str(rate, "unitPrice.currencyCode");
                double units =
                        vn_json_pick_number(rate, "unitPrice.units", 0); /* int64 as text, or left out when zero */
                double nanos = vn_json_pick_number(rate, "unitPrice.nanos", 0);

                price.from_units = vn_json_pick_number(rate, "startUsageAmount", 0);
                if (!vn_json_at(rate, "unitPrice") || !(units >= 0 && units < 1e6) || !(nanos >= 0 && nanos < 1e9) ||
                    !(price.from_units >= 0))
                        return vn_fail(err, VN_DATA_LOSS, "gcp: a rate has no amount");
                if (!vn_str_eq(currency, VN_STR("USD")))
                        return vn_fail(err, VN_DATA_LOSS, "gcp: a rate is in %.*s, not in USD",
                                       (int)(currency.len < 8 ? currency.len : 8), currency.ptr ? currency.ptr : "");
                price.pico_usd = (int64_t)units * INT64_C(1000000000000) + (int64_t)nanos * 1000;
                vn_text_copy(price.plan, sizeof(price.plan), VN_STR("cloud-run"));
                vn_text_copy(price.region, sizeof(price.region), cloud->config.region);
                VN_TRY(vn_price_add(ret, &price, err));
        }
        return VN_OK;
}

static enum vn_rc add_sku(struct vn_cloud *cloud, json_t *sku, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        json_t *pricing = json_array_get(json_object_get(sku, "pricingInfo"), 0); /* the newest first */
        json_t *expression = vn_json_at(pricing, "pricingExpression");
        struct vn_str usage = vn_json_str(sku, "category.usageType");
        struct vn_cloud_price kind = {.effective_us = vn_price_since(vn_json_str(pricing, "effectiveTime"))};

        if (!in_region(cloud, sku) || is_other_product(vn_json_str(sku, "description")) ||
            !meter_of(sku, expression, &kind.meter) || kind.effective_us > vn_now_us(cloud->clock) ||
            (usage.len > 0 && !vn_str_eq(usage, VN_STR("OnDemand"))))
                return VN_OK;
        return add_rates(cloud, expression, &kind, ret, err);
}

static int price_cmp(const void *a, const void *b)
{
        const struct vn_cloud_price *x = a, *y = b;

        if (x->meter != y->meter)
                return x->meter < y->meter ? -1 : 1;
        return (x->from_units > y->from_units) - (x->from_units < y->from_units);
}

enum vn_rc vn_gcp_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);

        for (int i = 0; i < MAX_PAGES; i++) {
                VN_AUTO(vn_json)
                page = NULL;
                json_t *sku;
                size_t at;

                vn_buf_reset(&query);
                vn_buf_text(&query, "currencyCode=USD&pageSize=5000");
                if (token.len > 0) {
                        vn_buf_text(&query, "&pageToken=");
                        vn_buf_url_encode(&query, vn_buf_view(&token), false);
                }
                VN_TRY(vn_buf_check(&query, err));
                VN_TRY(vn_gcp_call(cloud, "GET", "cloudbilling.googleapis.com",
                                   VN_STR("/v1/services/" CLOUD_RUN "/skus"), vn_buf_view(&query), NULL, false, &page,
                                   err));
                json_array_foreach(json_object_get(page, "skus"), at, sku) VN_TRY(add_sku(cloud, sku, ret, err));
                vn_buf_reset(&token);
                vn_buf_str(&token, vn_json_str(page, "nextPageToken"));
                VN_TRY(vn_buf_check(&token, err));
                if (token.len > 0)
                        continue;
                if (ret->count == 0)
                        return vn_fail(err, VN_NOT_FOUND, "gcp: no Cloud Run prices for %.*s",
                                       VN_FMT(cloud->config.region));
                qsort(ret->prices, ret->count, sizeof(ret->prices[0]), price_cmp);
                return VN_OK;
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "gcp: more than %d pages of prices", MAX_PAGES);
}
