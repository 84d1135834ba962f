/* Azure Retail Prices API (no credentials): Functions in one region, Consumption and Flex, on demand and always ready,
 * every tier. */
#include <stdlib.h>

#include "base/decimal.h"
#include "clouds/azure/azure.h"

#define MAX_PAGES 50

static bool has(json_t *item, const char *key, const char *word)
{
        const char *text = json_string_value(json_object_get(item, key));

        return text && strcasestr(text, word);
}

/* "10", "1 GB Second", "1M": how many of our units one price buys; 0 if it is not understood. */
static double units_sold(struct vn_str unit)
{
        struct vn_str number = vn_str_cut(&unit, ' ');
        double count, factor = 1;

        if (vn_str_ends(number, VN_STR("M")) || vn_str_ends(number, VN_STR("K"))) {
                factor = number.ptr[number.len - 1] == 'M' ? 1e6 : 1e3;
                number.len--;
        }
        return vn_str_to_double(number, &count) == VN_OK && count > 0 ? count * factor : 0;
}

/* What a meter's name sells. "Always Ready" are Flex's instances that are kept; their baseline is what keeping costs. */
static bool meter_of(json_t *item, enum vn_cloud_meter *ret)
{
        bool ready = has(item, "meterName", "Always Ready");

        if (ready && has(item, "meterName", "Baseline"))
                *ret = VN_METER_READY_GB_SECOND;
        else if (has(item, "meterName", "Execution Time"))
                *ret = ready ? VN_METER_READY_RUN_GB_SECOND : VN_METER_GB_SECOND;
        else if (has(item, "meterName", "Total Executions"))
                *ret = ready ? VN_METER_READY_REQUEST : VN_METER_REQUEST;
        else
                return false;
        return true;
}

/* One unit's price of what is sold by `units`: from 1e-15 USD, so that a tenth of it is not rounded. */
static bool unit_price(double usd, double units, int64_t *ret)
{
        int64_t femto, divisor = (int64_t)units * 1000;

        if (!(usd >= 0) || !(units >= 1 && units <= 1e9) || vn_decimal_from_double(usd, 15, &femto) != VN_OK)
                return false;
        *ret = (femto + divisor / 2) / divisor;
        return true;
}

static enum vn_rc add_item(struct vn_cloud *cloud, json_t *item, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        bool flex = has(item, "meterName", "On Demand") || has(item, "meterName", "Always Ready") ||
                    has(item, "skuName", "Flex") || has(item, "productName", "Flex");
        double usd = vn_json_pick_number(item, "retailPrice", -1),
               units = units_sold(vn_json_str(item, "unitOfMeasure"));
        struct vn_str currency = vn_json_str(item, "currencyCode");
        struct vn_cloud_price price = {.effective_us = vn_price_since(vn_json_str(item, "effectiveStartDate"))};

        if (!meter_of(item, &price.meter) || !has(item, "type", "Consumption") ||
            price.effective_us > vn_now_us(cloud->clock))
                return VN_OK;
        if (!vn_str_eq(currency, VN_STR("USD")))
                return vn_fail(err, VN_DATA_LOSS, "azure: a price is in %.*s, not in USD",
                               (int)(currency.len < 8 ? currency.len : 8), currency.ptr ? currency.ptr : "");
        if (!unit_price(usd, units, &price.pico_usd))
                return vn_fail(err, VN_DATA_LOSS, "azure: a price has no amount or unit");
        price.from_units = vn_json_pick_number(item, "tierMinimumUnits", 0) * units;
        if (!(price.from_units >= 0))
                return vn_fail(err, VN_DATA_LOSS, "azure: a price's tier is negative");
        vn_text_copy(price.plan, sizeof(price.plan), flex ? VN_STR("flex") : VN_STR("consumption"));
        vn_text_copy(price.region, sizeof(price.region), cloud->config.region);
        return vn_price_add(ret, &price, err);
}

static int price_cmp(const void *a, const void *b)
{
        const struct vn_cloud_price *x = a, *y = b;
        int plan = strcmp(x->plan, y->plan);

        if (plan)
                return plan;
        if (x->meter != y->meter)
                return x->meter < y->meter ? -1 : 1;
        return (x->from_units > y->from_units) - (x->from_units < y->from_units);
}

static enum vn_rc price_page(struct vn_cloud *cloud, struct vn_buf *path, struct vn_buf *query,
                             struct vn_cloud_price_list *ret, bool *ret_more, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        page = NULL;
        struct vn_call call = {.method = "GET",
                               .host = "prices.azure.com",
                               .path = vn_buf_view(path),
                               .query = vn_buf_view(query),
                               .anonymous = true};
        struct vn_str link, host, next_path, next_query;
        json_t *item;
        size_t i;

        vn_cloud_response_init(&response);
        VN_TRY(vn_buf_check(path, err));
        VN_TRY(vn_buf_check(query, err));
        VN_TRY(vn_call_json(cloud, &call, &response, &page, err));
        json_array_foreach(json_object_get(page, "Items"), i, item) VN_TRY(add_item(cloud, item, ret, err));
        link = vn_json_str(page, "NextPageLink");
        *ret_more = link.len > 0;
        if (!*ret_more)
                return VN_OK;
        VN_TRY(vn_link_split(link, &host, &next_path, &next_query, err));
        vn_buf_reset(path);
        vn_buf_str(path, next_path);
        vn_buf_reset(query);
        vn_buf_str(query, next_query);
        return VN_OK;
}

enum vn_rc vn_azure_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(16384);
        bool more = true;
        char filter[160];

        if (cloud->config.region.len == 0)
                return vn_fail(err, VN_FAILED_PRECONDITION, "azure: prices need the account's region");
        snprintf(filter, sizeof(filter), "serviceName eq 'Functions' and armRegionName eq '%.*s'",
                 VN_FMT(cloud->config.region));
        vn_buf_text(&path, "/api/retail/prices");
        vn_buf_text(&query, "api-version=2023-01-01-preview&$filter=");
        vn_buf_url_encode(&query, vn_str(filter), false);
        for (int page = 0; more && page < MAX_PAGES; page++)
                VN_TRY(price_page(cloud, &path, &query, ret, &more, err));
        if (ret->count == 0)
                return vn_fail(err, VN_NOT_FOUND, "azure: no Functions prices for %.*s",
                               VN_FMT(cloud->config.region));
        qsort(ret->prices, ret->count, sizeof(ret->prices[0]), price_cmp);
        return VN_OK;
}
