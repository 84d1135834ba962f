/* prices.c - see prices.h. */
#include "platform/prices.h"

#include "base/mem.h"
#include "platform/csv.h"

static const char *const cloud_names[VN_PLATFORM_CLOUDS] = {"aws", "azure", "gcp"};

const char *vn_platform_cloud_name(enum vn_platform_cloud cloud)
{
        return cloud_names[cloud];
}

enum vn_rc vn_platform_cloud_parse(struct vn_str name, enum vn_platform_cloud *ret)
{
        for (int i = 0; i < VN_PLATFORM_CLOUDS; i++) {
                if (vn_str_eq(name, vn_str(cloud_names[i]))) {
                        *ret = (enum vn_platform_cloud)i;
                        return VN_OK;
                }
        }
        return VN_NOT_FOUND;
}

double vn_price_meter_usd(const struct vn_price_meter *meter, double used, double amount)
{
        double from = used > meter->free ? used : meter->free;
        double until = used + amount, usd = 0;
        for (uint32_t i = 0; i < meter->tier_count; i++) {
                double low = from > meter->tiers[i].from ? from : meter->tiers[i].from;
                double high = until;
                if (i + 1 < meter->tier_count && high > meter->tiers[i + 1].from)
                        high = meter->tiers[i + 1].from;
                if (high <= low)
                        continue;
                /* Far along a meter, until - used loses the digits of a small amount: then the amount itself is
                 * exact, because it lies within one tier. */
                usd += (low == used && high == until ? amount : high - low) * meter->tiers[i].usd;
        }
        return usd;
}

static enum vn_rc read_row(const struct vn_csv *csv, const int column[], struct vn_price_row *ret, bool *ret_skip,
                           struct vn_err *err)
{
        static const char *const names[] = {"usd_per_gb_second",     "usd_per_gib_second_memory",
                                            "usd_per_vcpu_second",   "usd_per_million_requests",
                                            "free_gb_seconds_month", "free_requests_month",
                                            "billing_step_ms",       "billing_minimum_ms"};
        double *const values[] = {
                &ret->usd_per_gb_s, &ret->usd_per_gib_s, &ret->usd_per_vcpu_s, &ret->usd_per_million_requests,
                &ret->free_gb_s,    &ret->free_requests, &ret->step_ms,        &ret->minimum_ms};
        *ret = (struct vn_price_row){0};
        *ret_skip = vn_platform_cloud_parse(vn_csv_field(csv, column[8]), &ret->cloud) != VN_OK;
        if (*ret_skip)
                return VN_OK;
        for (int i = 0; i < 8; i++) {
                VN_TRY(vn_csv_number(csv, column[i], names[i], 0, values[i], err));
                if (*values[i] < 0)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "line %zu, %s: negative", csv->line, names[i]);
        }
        if (!vn_str_copy(ret->product, sizeof ret->product, vn_csv_field(csv, column[9])) ||
            !vn_str_copy(ret->region, sizeof ret->region, vn_csv_field(csv, column[10])))
                return vn_fail(err, VN_INVALID_ARGUMENT, "line %zu: a name is too long", csv->line);
        ret->arm = vn_str_eq(vn_csv_field(csv, column[11]), VN_STR("arm64"));
        return VN_OK;
}

static enum vn_rc read_functions(struct vn_csv *csv, struct vn_price_table *table, struct vn_err *err)
{
        static const char *const names[] = {"usd_per_gb_second",
                                            "usd_per_gib_second_memory",
                                            "usd_per_vcpu_second",
                                            "usd_per_million_requests",
                                            "free_gb_seconds_month",
                                            "free_requests_month",
                                            "billing_step_ms",
                                            "billing_minimum_ms",
                                            "provider",
                                            "service",
                                            "region",
                                            "arch"};
        int column[12];
        if (!vn_csv_next(csv))
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions: no header");
        for (int i = 0; i < 12; i++) {
                column[i] = vn_csv_column(csv, names[i]);
                if (column[i] < 0)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "functions: no column %s", names[i]);
        }
        while (vn_csv_next(csv)) {
                bool skip;
                if (table->row_count == VN_MAX_PRICE_ROWS)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "functions: more than %d rows", VN_MAX_PRICE_ROWS);
                enum vn_rc rc = read_row(csv, column, &table->rows[table->row_count], &skip, err);
                if (rc != VN_OK)
                        return vn_err_prefix(err, rc, "functions");
                table->row_count += !skip;
        }
        return VN_OK;
}

static enum vn_rc add_tier(const struct vn_csv *csv, int from_column, int usd_column, struct vn_price_tier *tiers,
                           uint32_t *count, struct vn_err *err)
{
        struct vn_price_tier tier;
        VN_TRY(vn_csv_number(csv, from_column, "from", 0, &tier.from, err));
        VN_TRY(vn_csv_number(csv, usd_column, "usd", 0, &tier.usd, err));
        if (*count == VN_MAX_PRICE_TIERS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "line %zu: more than %d tiers", csv->line,
                               VN_MAX_PRICE_TIERS);
        if (tier.usd < 0 || (*count ? tier.from <= tiers[*count - 1].from : tier.from != 0))
                return vn_fail(err, VN_INVALID_ARGUMENT, "line %zu: tiers must ascend from 0", csv->line);
        tiers[(*count)++] = tier;
        return VN_OK;
}

static enum vn_rc read_tiers(struct vn_csv *csv, struct vn_price_table *table, struct vn_err *err)
{
        if (!vn_csv_next(csv))
                return VN_OK;
        int arch = vn_csv_column(csv, "arch"), from = vn_csv_column(csv, "from_gb_seconds_month"),
            usd = vn_csv_column(csv, "usd_per_gb_second");
        uint32_t count = 0;
        while (vn_csv_next(csv)) {
                if (!vn_str_eq(vn_csv_field(csv, arch), VN_STR("x86_64")))
                        continue;
                enum vn_rc rc = add_tier(csv, from, usd, table->aws_tiers, &count, err);
                if (rc != VN_OK)
                        return vn_err_prefix(err, rc, "volume tiers");
        }
        table->aws_tier_count = count;
        return VN_OK;
}

static enum vn_rc read_egress(struct vn_csv *csv, struct vn_price_table *table, struct vn_err *err)
{
        if (!vn_csv_next(csv))
                return VN_OK;
        int cloud_column = vn_csv_column(csv, "cloud"), from = vn_csv_column(csv, "from_gb_month"),
            usd = vn_csv_column(csv, "usd_per_gb");
        while (vn_csv_next(csv)) {
                enum vn_platform_cloud cloud;
                if (vn_platform_cloud_parse(vn_csv_field(csv, cloud_column), &cloud) != VN_OK)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "egress: line %zu: unknown cloud", csv->line);
                struct vn_price_meter *meter = &table->egress[cloud];
                enum vn_rc rc = add_tier(csv, from, usd, meter->tiers, &meter->tier_count, err);
                if (rc != VN_OK)
                        return vn_err_prefix(err, rc, "egress");
        }
        return VN_OK;
}

enum vn_rc vn_price_table_parse(struct vn_str functions_csv, struct vn_str aws_tiers_csv, struct vn_str egress_csv,
                                struct vn_price_table *ret, struct vn_err *err)
{
        struct vn_csv *csv = vn_alloc(sizeof *csv); /* too large for a stack */
        enum vn_rc rc;
        if (!csv)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a price list");
        memset(ret, 0, sizeof *ret);
        vn_csv_init(csv, functions_csv);
        rc = read_functions(csv, ret, err);
        vn_csv_init(csv, aws_tiers_csv);
        if (rc == VN_OK)
                rc = read_tiers(csv, ret, err);
        vn_csv_init(csv, egress_csv);
        if (rc == VN_OK)
                rc = read_egress(csv, ret, err);
        vn_free(csv);
        return rc;
}

static struct vn_price_meter flat(double usd, double free_units)
{
        return (struct vn_price_meter){.free = free_units, .tiers = {{0, usd}}, .tier_count = 1};
}

static const struct vn_price_row *find_row(const struct vn_price_table *table, enum vn_platform_cloud cloud,
                                           const char *product, const char *region)
{
        const struct vn_price_row *found = NULL;
        size_t regions = 0;
        for (size_t i = 0; i < table->row_count; i++) {
                const struct vn_price_row *row = &table->rows[i];
                if (row->cloud != cloud || row->arm || strcmp(row->product, product))
                        continue;
                if (!strcmp(row->region, region))
                        return row;
                found = row;
                regions++;
        }
        return regions == 1 ? found : NULL; /* one list price for the whole cloud */
}

static void aws_price(const struct vn_price_table *table, const struct vn_price_row *row,
                      struct vn_platform_price *ret)
{
        ret->gb_s = flat(row->usd_per_gb_s, row->free_gb_s);
        /* Other regions keep the list's discount steps in proportion to their own first rate. */
        for (size_t i = 1; i < table->aws_tier_count && table->aws_tiers[0].usd > 0; i++) {
                ret->gb_s.tiers[i] = table->aws_tiers[i];
                ret->gb_s.tiers[i].usd *= row->usd_per_gb_s / table->aws_tiers[0].usd;
                ret->gb_s.tier_count = (uint32_t)i + 1;
        }
        ret->request = flat(row->usd_per_million_requests / 1e6, row->free_requests);
}

enum vn_rc vn_price_table_region(const struct vn_price_table *table, enum vn_platform_cloud cloud, const char *region,
                                 struct vn_platform_price *ret, struct vn_err *err)
{
        static const char *const product[] = {"lambda", "functions-consumption", "cloud-run-request-based"};
        const struct vn_price_row *row = find_row(table, cloud, product[cloud], region);
        if (!row)
                return vn_fail(err, VN_NOT_FOUND, "no price for %s %s", cloud_names[cloud], region);
        memset(ret, 0, sizeof *ret);
        ret->egress_gb = table->egress[cloud];
        switch (cloud) {
        case VN_PLATFORM_AWS: aws_price(table, row, ret); return VN_OK;
        case VN_PLATFORM_AZURE:
                ret->gb_s = flat(row->usd_per_gb_s, row->free_gb_s);
                ret->request = flat(row->usd_per_million_requests / 1e6, row->free_requests);
                row = find_row(table, cloud, "functions-flex-on-demand", region);
                if (!row)
                        return vn_fail(err, VN_NOT_FOUND, "no Flex price for azure %s", region);
                ret->flex_gb_s = flat(row->usd_per_gb_s, row->free_gb_s);
                ret->flex_request = flat(row->usd_per_million_requests / 1e6, row->free_requests);
                return VN_OK;
        case VN_PLATFORM_GCP:
                ret->gib_s = flat(row->usd_per_gib_s, row->free_gb_s);
                /* The list carries one grant column: memory's. The vCPU grant is half of it (180,000 to 360,000). */
                ret->vcpu_s = flat(row->usd_per_vcpu_s, row->free_gb_s / 2);
                ret->request = flat(row->usd_per_million_requests / 1e6, row->free_requests);
                return VN_OK;
        }
        return vn_fail(err, VN_INTERNAL, "cloud out of range");
}
