/* prices_test.c - price lists and metering over tiers and grants, with cases worked by hand. */
#include "platform/prices.h"

#include "base/hash.h"
#include "platform/carried_test.h"
#include "tests/test.h"

static void load(struct vn_price_table *table)
{
        static const char *const files[] = {"prices/functions.csv", "prices/aws_lambda_volume_tiers.csv",
                                            "prices/egress_internet.csv"};
        struct vn_buf text[3];
        struct vn_err err;
        for (int i = 0; i < 3; i++)
                test_read_data(files[i], &text[i]);
        CHECK_OK(vn_price_table_parse(vn_buf_view(&text[0]), vn_buf_view(&text[1]), vn_buf_view(&text[2]), table,
                                      &err));
        for (int i = 0; i < 3; i++)
                vn_buf_done(&text[i]);
}

TEST(a_meter_splits_exactly_at_grant_and_tiers)
{
        struct vn_price_meter m = {.free = 10, .tiers = {{0, 2}, {20, 1}, {30, 0.5}}, .tier_count = 3};
        CHECK_NEAR(0, vn_price_meter_usd(&m, 0, 10), 0);
        CHECK_NEAR(2 * 5, vn_price_meter_usd(&m, 0, 15), 0);
        CHECK_NEAR(2 * 5 + 1 * 10 + 0.5 * 5, vn_price_meter_usd(&m, 15, 20), 1e-12);
        CHECK_NEAR(0.5 * 7, vn_price_meter_usd(&m, 100, 7), 0);
        CHECK_NEAR(1e-7 * 0.5, vn_price_meter_usd(&m, 1e9, 1e-7), 0); /* small amounts far along keep their digits */
        CHECK_NEAR(0, vn_price_meter_usd(&m, 50, 0), 0);
}

TEST(metering_in_pieces_costs_the_same_as_at_once)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (int round = 0; round < 100; round++) {
                struct vn_price_meter m = {
                        .free = vn_rng_unit(&rng) * 5, .tiers = {{0, 3}, {7, 2}, {11, 1}}, .tier_count = 3};
                double used = 0, pieces = 0;
                for (int i = 0; i < 50; i++) {
                        double amount = vn_rng_unit(&rng);
                        pieces += vn_price_meter_usd(&m, used, amount);
                        used += amount;
                }
                CHECK_NEAR(vn_price_meter_usd(&m, 0, used), pieces, 1e-9);
        }
}

TEST(list_prices_of_the_three_clouds)
{
        static struct vn_price_table table;
        struct vn_platform_price p;
        struct vn_err err;
        load(&table);
        CHECK_OK(vn_price_table_region(&table, VN_PLATFORM_AWS, "us-east-1", &p, &err));
        CHECK_NEAR(0.0000166667, p.gb_s.tiers[0].usd, 1e-15);
        CHECK_INT(3, p.gb_s.tier_count);
        CHECK_NEAR(2e-7, p.request.tiers[0].usd, 1e-18);
        CHECK_NEAR(400000, p.gb_s.free, 0);
        CHECK_OK(vn_price_table_region(&table, VN_PLATFORM_AZURE, "westus", &p,
                                       &err)); /* one price for all of Azure */
        CHECK_NEAR(0.000016, p.gb_s.tiers[0].usd, 1e-15);
        CHECK_NEAR(0.000026, p.flex_gb_s.tiers[0].usd, 1e-15);
        CHECK_OK(vn_price_table_region(&table, VN_PLATFORM_GCP, "us-central1", &p, &err));
        CHECK_NEAR(0.000024, p.vcpu_s.tiers[0].usd, 1e-15);
        CHECK_NEAR(180000, p.vcpu_s.free, 0);
        CHECK_NEAR(0.12, p.egress_gb.tiers[0].usd, 1e-15);
        CHECK_RC(VN_NOT_FOUND, vn_price_table_region(&table, VN_PLATFORM_AWS, "mars-1", &p, &err));
}

TEST(bad_lists_are_refused_with_their_line)
{
        static struct vn_price_table table;
        struct vn_err err;
        struct vn_str none = VN_STR("");
        CHECK_RC(VN_INVALID_ARGUMENT, vn_price_table_parse(none, none, none, &table, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_price_table_parse(VN_STR("provider,service\n"), none, none, &table, &err));
#define HEADER                                                                                                       \
        "provider,service,region,arch,price_tier,usd_per_gb_second,usd_per_gib_second_memory,usd_per_vcpu_second,"   \
        "free_gb_seconds_month,free_requests_month,usd_per_million_requests,billing_step_ms,billing_minimum_ms\n"
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_price_table_parse(VN_STR(HEADER "aws,lambda,x,,,abc,,,,,,1,1\n"), none, none, &table, &err));
        CHECK(strstr(err.msg, "line 2") && strstr(err.msg, "usd_per_gb_second"));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_price_table_parse(VN_STR(HEADER "aws,lambda,x,,,-1,,,,,,1,1\n"), none, none, &table, &err));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_price_table_parse(VN_STR(HEADER), none, VN_STR("cloud,from_gb_month,usd_per_gb\naws,5,1\n"),
                                      &table, &err));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_price_table_parse(VN_STR(HEADER), none, VN_STR("cloud,from_gb_month,usd_per_gb\nibm,0,1\n"),
                                      &table, &err));
}

static enum vn_rc parse_for_allocations(void)
{
        static struct vn_price_table table;
        struct vn_err err;
        return vn_price_table_parse(VN_STR(HEADER "aws,lambda,x,,,1,,,,,,1,1\n"), VN_STR(""), VN_STR(""), &table,
                                    &err);
}

TEST(running_out_of_memory_leaks_nothing_of_a_price_list)
{
        TEST_ALLOC_LOOP(parse_for_allocations);
}
