/* Single rules by hand; the many together are tests/bill. */
#include "base/decimal.h"
#include "platform/bill.h"
#include "tests/test.h"

static struct vn_bill_rates lambda(void)
{
        struct vn_bill_rates rates = {.lambda_free_gb_s = 400000, .lambda_free_requests = 1000000};
        CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_LAMBDA, VN_BILL_GB_S, 6000000000, 15000000, NULL));
        CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_LAMBDA, VN_BILL_GB_S, 0, 16666700, NULL));
        CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_LAMBDA_ARM, VN_BILL_GB_S, 0, 13333400, NULL));
        CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_LAMBDA, VN_BILL_REQUEST, 0, 200000, NULL));
        CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_LAMBDA_ARM, VN_BILL_REQUEST, 0, 200000, NULL));
        CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_ACCOUNT, VN_BILL_EGRESS_GB, 0, 90000000000, NULL));
        return rates;
}

struct priced {
        struct vn_bill_line line[VN_MAX_BILL_LINES];
        size_t count;
};

static void price(const struct vn_bill_rates *rates, const struct vn_bill_usage *before,
                  const struct vn_bill_usage *now, struct priced *ret)
{
        CHECK_OK(vn_bill_price(rates, before, now, ret->line, &ret->count, NULL));
}

static int64_t total(const struct priced *p)
{
        int64_t sum = 0;
        for (size_t i = 0; i < p->count; i++)
                sum += p->line[i].amount_pico_usd;
        return sum;
}

TEST(bill_rounds_each_plan_its_own_way)
{
        CHECK_INT(2000, vn_bill_time_us(VN_BILL_LAMBDA, 1000, 1));
        CHECK_INT(100000, vn_bill_time_us(VN_BILL_CONSUMPTION, 1, 900000));
        CHECK_INT(101000, vn_bill_time_us(VN_BILL_CONSUMPTION, 100001, 0));
        CHECK_INT(1000000, vn_bill_time_us(VN_BILL_FLEX, 1, 0));
        CHECK_INT(1100000, vn_bill_time_us(VN_BILL_FLEX, 1000001, 0));
        CHECK_INT(300000, vn_bill_time_us(VN_BILL_CLOUD_RUN, 200000, 1));
        CHECK_INT(128, vn_bill_memory_mb(VN_BILL_CONSUMPTION, 1536, 0));
        CHECK_INT(256, vn_bill_memory_mb(VN_BILL_CONSUMPTION, 1536, 129));
        CHECK_INT(1536, vn_bill_memory_mb(VN_BILL_CONSUMPTION, 1536, UINT32_MAX));
        CHECK_INT(512, vn_bill_memory_mb(VN_BILL_FLEX, 512, 1));
}

TEST(bill_of_a_small_month_is_a_grant)
{
        struct vn_bill_rates rates = lambda();
        struct vn_bill_usage before = {0}, now = {0};
        static struct priced p;
        vn_bill_call(&now, &(struct vn_bill_call){
                                   .plan = VN_BILL_LAMBDA, .memory_mb = 1024, .run_us = 1000000, .count = 1000});
        price(&rates, &before, &now, &p);
        CHECK_INT(2, p.count);
        CHECK(p.line[0].from == VN_BILL_GRANT && p.line[1].from == VN_BILL_GRANT);
        CHECK_INT(0, total(&p));
        /* The same when the grants are gone: 1,000 GB-s and 1,000 requests. */
        vn_bill_past_grants(&rates, &before);
        price(&rates, &before, &now, &p);
        CHECK_INT(INT64_C(16866700000), total(&p));
}

TEST(bill_splits_at_a_tier_and_shares_the_grant_between_architectures)
{
        struct vn_bill_rates rates = lambda();
        struct vn_bill_usage before = {0}, now = {0};
        static struct priced p;
        struct vn_bill_call c = {.plan = VN_BILL_LAMBDA, .memory_mb = 1024, .run_us = 1000000, .count = 6000001000};
        vn_bill_call(&now, &c);
        now.grains[VN_BILL_LAMBDA][VN_BILL_REQUEST] = 0;
        price(&rates, &before, &now, &p);
        CHECK_INT(3, p.count);
        CHECK_INT((6000000000 - 400000) * 16666700, p.line[1].amount_pico_usd);
        CHECK_INT(INT64_C(15000000000), p.line[2].amount_pico_usd);

        memset(&now, 0, sizeof now);
        c.count = 600000;
        vn_bill_call(&now, &c);
        c.plan = VN_BILL_LAMBDA_ARM;
        c.count = 200000;
        vn_bill_call(&now, &c);
        price(&rates, &before, &now, &p);
        CHECK(p.line[0].grains == 300000 * vn_bill_grains(VN_BILL_GB_S));
        CHECK_INT(300000 * INT64_C(16666700), p.line[1].amount_pico_usd);
}

TEST(bill_keeps_capacity_in_five_minutes_on_aws_and_idle_time_alone_on_cloud_run)
{
        struct vn_bill_usage u = {0};
        vn_bill_keep(&u, VN_BILL_LAMBDA, 1024, 0, 2, 301 * UINT64_C(1000000));
        CHECK(u.grains[VN_BILL_LAMBDA][VN_BILL_READY_GB_S] == 1200 * vn_bill_grains(VN_BILL_READY_GB_S));
        vn_bill_keep(&u, VN_BILL_CLOUD_RUN, 1024, 1000, 1, 10 * UINT64_C(1000000));
        vn_bill_call(&u, &(struct vn_bill_call){.plan = VN_BILL_CLOUD_RUN,
                                                .memory_mb = 1024,
                                                .milli_vcpu = 1000,
                                                .run_us = 1000000,
                                                .count = 4,
                                                .ready = true});
        vn_bill_settle(&u);
        CHECK(u.grains[VN_BILL_CLOUD_RUN][VN_BILL_READY_VCPU_S] == 6 * vn_bill_grains(VN_BILL_READY_VCPU_S));
        CHECK(u.grains[VN_BILL_CLOUD_RUN][VN_BILL_VCPU_S] == 4 * vn_bill_grains(VN_BILL_VCPU_S));
}

TEST(bill_is_shared_out_by_use)
{
        struct vn_bill_rates rates = lambda();
        struct vn_bill_usage before = {0}, one = {0}, two = {0}, all = {0};
        static struct priced p;
        struct vn_bill_call c = {
                .plan = VN_BILL_LAMBDA, .memory_mb = 128, .run_us = 700000, .count = 90000000, .response_bytes = 7};
        vn_bill_call(&one, &c);
        c.count = 3;
        vn_bill_call(&two, &c);
        vn_bill_sum(&all, &one);
        vn_bill_sum(&all, &two);
        price(&rates, &before, &all, &p);
        for (size_t i = 0; i < p.count; i++) {
                struct vn_bill_line a = vn_bill_share(&p.line[i], &one, &all),
                                    b = vn_bill_share(&p.line[i], &two, &all);
                CHECK_NEAR((double)p.line[i].amount_pico_usd, (double)a.amount_pico_usd + (double)b.amount_pico_usd,
                           1);
                CHECK(p.line[i].amount_pico_usd == 0 || a.amount_pico_usd > b.amount_pico_usd);
        }
}

TEST(bill_refuses_what_it_has_no_price_for)
{
        struct vn_bill_rates rates = lambda();
        struct vn_bill_usage before = {0}, now = {0};
        static struct priced p;
        struct vn_err err;
        vn_bill_call(&now, &(struct vn_bill_call){.plan = VN_BILL_FLEX, .memory_mb = 512, .run_us = 1, .count = 1});
        CHECK_RC(VN_NOT_FOUND, vn_bill_price(&rates, &before, &now, p.line, &p.count, &err));
        CHECK_TEXT("flex gb_second: no price", err.msg);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_bill_rate_add(&rates, VN_BILL_LAMBDA, VN_BILL_GB_S, 0, 1, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_bill_rate_add(&rates, VN_BILL_FLEX, VN_BILL_GB_S, 0, -1, &err));
        for (uint64_t i = 0; i < VN_MAX_BILL_TIERS; i++)
                CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_FLEX, VN_BILL_GB_S, i, 1, &err));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_bill_rate_add(&rates, VN_BILL_FLEX, VN_BILL_GB_S, 99, 1, &err));
        vn_bill_call(&now,
                     &(struct vn_bill_call){
                             .plan = VN_BILL_LAMBDA, .memory_mb = 10240, .run_us = 900000000, .count = UINT64_MAX});
        CHECK_OK(vn_bill_rate_add(&rates, VN_BILL_FLEX, VN_BILL_REQUEST, 0, 1, &err));
        CHECK_RC(VN_OUT_OF_RANGE, vn_bill_price(&rates, &before, &now, p.line, &p.count, &err));
}
