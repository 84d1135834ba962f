/* platform/prices.h - price lists of serverless platforms, read from CSV text.
 * Purpose: one record a cloud and region with every rate that an invocation can meet, and exact metering over tiers.
 * Pure: takes text, does no I/O. Threads: any. Ownership: plain values.
 * Files: prices/functions.csv, prices/aws_lambda_volume_tiers.csv and prices/egress_internet.csv below the data root. */
#ifndef VANE_PLATFORM_PRICES_H
#define VANE_PLATFORM_PRICES_H

#include "base/err.h"
#include "base/str.h"

enum vn_platform_cloud { VN_PLATFORM_AWS, VN_PLATFORM_AZURE, VN_PLATFORM_GCP };
#define VN_PLATFORM_CLOUDS 3
const char *vn_platform_cloud_name(enum vn_platform_cloud cloud); /* "aws", "azure", "gcp" */
enum vn_rc vn_platform_cloud_parse(struct vn_str name, enum vn_platform_cloud *ret) VN_MUST_USE;

#define VN_MAX_PRICE_TIERS 4
struct vn_price_tier {
        double from; /* units used this month at which the rate begins */
        double usd;
};
/* A meter's rates. Units below `free` cost nothing, then the tier that the unit falls into. */
struct vn_price_meter {
        double free;
        struct vn_price_tier tiers[VN_MAX_PRICE_TIERS]; /* ascending, the first from 0 */
        uint32_t tier_count;
};
/* What `amount` more units cost when `used` are on the meter already, split exactly at the tiers' borders. */
double vn_price_meter_usd(const struct vn_price_meter *meter, double used, double amount);

/* One cloud and region. A plan's second product (Azure Flex) has its own rates beside the first. */
struct vn_platform_price {
        struct vn_price_meter gb_s;                  /* AWS, Azure Consumption */
        struct vn_price_meter flex_gb_s;             /* Azure Flex, on demand */
        struct vn_price_meter vcpu_s, gib_s;         /* GCP */
        struct vn_price_meter request, flex_request; /* per single request */
        struct vn_price_meter egress_gb;             /* to the internet, 10^9 bytes */
};

#define VN_MAX_PRICE_ROWS 512
struct vn_price_row {
        enum vn_platform_cloud cloud;
        char product[40], region[32];
        bool arm;
        double usd_per_gb_s, usd_per_gib_s, usd_per_vcpu_s, usd_per_million_requests;
        double free_gb_s, free_requests;
        double step_ms, minimum_ms;
};
struct vn_price_table {
        struct vn_price_row rows[VN_MAX_PRICE_ROWS];
        size_t row_count;
        struct vn_price_tier aws_tiers[VN_MAX_PRICE_TIERS]; /* x86_64 list tiers */
        size_t aws_tier_count;
        struct vn_price_meter egress[VN_PLATFORM_CLOUDS];
};
/* Empty tier or egress text is allowed and leaves single rates and no egress. Errors name file kind and line. */
enum vn_rc vn_price_table_parse(struct vn_str functions_csv, struct vn_str aws_tiers_csv, struct vn_str egress_csv,
                                struct vn_price_table *ret, struct vn_err *err) VN_MUST_USE;
/* x86 rates of a region; where the list lacks the region but the cloud has one price, that one; else NOT_FOUND. */
enum vn_rc vn_price_table_region(const struct vn_price_table *table, enum vn_platform_cloud cloud, const char *region,
                                 struct vn_platform_price *ret, struct vn_err *err) VN_MUST_USE;

#endif
