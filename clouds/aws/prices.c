/* AWS Price List query API: all that Lambda bills in the account's region, every tier. */
#include <stdlib.h>

#include "base/decimal.h"
#include "clouds/aws/aws.h"

#define MAX_PAGES 100

static const struct {
        const char *group;
        enum vn_cloud_meter meter;
        const char *plan, *arch;
} groups[] = {
        {"AWS-Lambda-Duration", VN_METER_GB_SECOND, "lambda-x86", "x86"},
        {"AWS-Lambda-Duration-ARM", VN_METER_GB_SECOND, "lambda-arm", "arm"},
        {"AWS-Lambda-Requests", VN_METER_REQUEST, "lambda-x86", "x86"},
        {"AWS-Lambda-Requests-ARM", VN_METER_REQUEST, "lambda-arm", "arm"},
        {"AWS-Lambda-Provisioned-Concurrency", VN_METER_READY_GB_SECOND, "lambda-x86", "x86"},
        {"AWS-Lambda-Provisioned-Concurrency-ARM", VN_METER_READY_GB_SECOND, "lambda-arm", "arm"},
        {"AWS-Lambda-Duration-Provisioned", VN_METER_READY_RUN_GB_SECOND, "lambda-x86", "x86"},
        {"AWS-Lambda-Duration-Provisioned-ARM", VN_METER_READY_RUN_GB_SECOND, "lambda-arm", "arm"},
        {"AWS-Lambda-Storage-Duration", VN_METER_STORAGE_GB_SECOND, "lambda-x86", "x86"},
        {"AWS-Lambda-Storage-Duration-ARM", VN_METER_STORAGE_GB_SECOND, "lambda-arm", "arm"},
};

/* Prices come as decimal text and are parsed as such; a list that leaves one out is an error, not a price of zero. */
static enum vn_rc add_dimension(json_t *dimension, size_t group, struct vn_str region, int64_t effective_us,
                                struct vn_cloud_price_list *ret, struct vn_err *err)
{
        struct vn_cloud_price price = {.meter = groups[group].meter, .effective_us = effective_us};
        struct vn_str usd = vn_json_str(dimension, "pricePerUnit.USD"), from = vn_json_str(dimension, "beginRange");
        json_t *per_unit = json_object_get(dimension, "pricePerUnit");
        const char *currency = json_object_iter_key(json_object_iter(per_unit));

        if (usd.len == 0 && currency)
                return vn_fail(err, VN_DATA_LOSS, "aws: a price of %s is in %.8s, not in USD", groups[group].group,
                               currency);
        if (vn_decimal_parse(usd, VN_PICO, &price.pico_usd) != VN_OK || price.pico_usd < 0 ||
            vn_str_to_double(from, &price.from_units) != VN_OK || price.from_units < 0)
                return vn_fail(err, VN_DATA_LOSS, "aws: a price of %s has no USD amount or range",
                               groups[group].group);
        vn_text_copy(price.plan, sizeof(price.plan), vn_str(groups[group].plan));
        vn_text_copy(price.arch, sizeof(price.arch), vn_str(groups[group].arch));
        vn_text_copy(price.region, sizeof(price.region), region);
        return vn_price_add(ret, &price, err);
}

static enum vn_rc add_product(struct vn_cloud *cloud, struct vn_str text, struct vn_cloud_price_list *ret,
                              struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str group, region;
        const char *offer_key, *dimension_key;
        json_t *offer, *dimension;

        VN_TRY(vn_json_load(text, &root, err));
        group = vn_json_str(root, "product.attributes.group");
        region = vn_json_str(root, "product.attributes.regionCode");
        if (region.len > 0 && !vn_str_eq(region, cloud->config.region))
                return VN_OK;
        for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
                if (!vn_str_eq(group, vn_str(groups[i].group)))
                        continue;
                json_object_foreach(vn_json_at(root, "terms.OnDemand"), offer_key, offer)
                {
                        int64_t since_us = vn_price_since(vn_json_str(offer, "effectiveDate"));

                        if (since_us > vn_now_us(cloud->clock))
                                continue;
                        json_object_foreach(json_object_get(offer, "priceDimensions"), dimension_key, dimension)
                                VN_TRY(add_dimension(dimension, i, cloud->config.region, since_us, ret, err));
                }
        }
        return VN_OK;
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

enum vn_rc vn_aws_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        body = json_pack("{s:s, s:[{s:s, s:s, s:s%}], s:s, s:i}", "ServiceCode", "AWSLambda", "Filters", "Type",
                         "TERM_MATCH", "Field", "regionCode", "Value", cloud->config.region.ptr,
                         cloud->config.region.len, "FormatVersion", "aws_v1", "MaxResults", 100);

        for (int i = 0; body && i < MAX_PAGES; i++) {
                VN_AUTO(vn_json)
                page = NULL;
                json_t *item, *next;
                size_t at;

                VN_TRY(vn_aws_target(cloud, "pricing", "api.pricing.us-east-1.amazonaws.com",
                                     "application/x-amz-json-1.1", "AWSPriceListService.GetProducts", body, &page,
                                     err));
                json_array_foreach(json_object_get(page, "PriceList"), at, item) /* JSON in JSON */
                        VN_TRY(add_product(cloud, vn_str_n(json_string_value(item), json_string_length(item)), ret,
                                           err));
                next = json_object_get(page, "NextToken");
                if (!json_is_string(next)) {
                        if (ret->count == 0)
                                return vn_fail(err, VN_NOT_FOUND, "aws: no Lambda prices for %.*s",
                                               VN_FMT(cloud->config.region));
                        qsort(ret->prices, ret->count, sizeof(ret->prices[0]), price_cmp);
                        return VN_OK;
                }
                if (json_object_set(body, "NextToken", next))
                        break;
        }
        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "aws: too many pages of prices, or out of memory");
}
