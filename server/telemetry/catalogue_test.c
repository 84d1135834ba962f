#include "server/telemetry/catalogue.h"
#include "tests/test.h"

static void add(struct vn_account_prices *p, const char *meter, const char *arch, double from, int64_t pico)
{
        CHECK(vn_catalogue_tier(&p->tiers[p->tier_count++], meter, "us-east-1", arch, from, pico));
}

static struct vn_account_prices list(void)
{
        struct vn_account_prices p = {0};
        add(&p, "request", "x86", 0, 200000);
        add(&p, "gb_second", "x86", 6e9, 15000000);
        add(&p, "gb_second", "x86", 0, 16666700);
        return p;
}

static void written(struct vn_account_prices *p, struct vn_buf *text)
{
        vn_buf_reset(text);
        CHECK_OK(vn_catalogue_write("aws", p, text, NULL));
}

TEST(catalogue_is_the_same_bytes_whatever_the_order)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_CATALOGUE_MAX_BYTES);
        struct vn_account_prices one = list(), two = {0}, back = {0};
        add(&two, "gb_second", "x86", 0, 16666700);
        add(&two, "gb_second", "x86", 6e9, 15000000);
        add(&two, "request", "x86", 0, 200000);
        written(&two, &text);
        written(&one, &text);
        CHECK(!memcmp(one.version, two.version, sizeof one.version));
        vn_buf_text(&text, "");
        CHECK(vn_str_eq(vn_buf_view(&text), VN_STR("vane prices 1\ncloud aws\ncurrency USD\n"
                                                   "gb_second us-east-1 x86 0 0.0000166667\n"
                                                   "gb_second us-east-1 x86 6000000000 0.000015\n"
                                                   "request us-east-1 x86 0 0.0000002\n")));
        CHECK_OK(vn_catalogue_read(vn_buf_view(&text), &back, NULL));
        CHECK_INT(3, back.tier_count);
        CHECK(!memcmp(back.version, one.version, sizeof back.version));
        CHECK(!memcmp(back.tiers, one.tiers, 3 * sizeof one.tiers[0]));
        one.tiers[0].pico_usd++;
        written(&one, &text);
        CHECK(memcmp(one.version, two.version, sizeof one.version));
        add(&one, "request", "x86", 0, 1);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_catalogue_write("aws", &one, &text, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_catalogue_read(VN_STR("vane prices 1\na\nb\nrequest us x86 0\n"), &back, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_catalogue_read(VN_STR("something"), &back, NULL));
}

TEST(catalogue_refuses_what_cannot_follow_the_last_good_one)
{
        struct vn_account_prices none = {0}, old = list(), fresh = list();
        struct vn_err err;
        CHECK_OK(vn_catalogue_check(&none, &fresh, &err));
        CHECK_OK(vn_catalogue_check(&old, &fresh, &err));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_catalogue_check(&old, &none, &err));
        fresh.tiers[0].pico_usd = 0;
        CHECK_RC(VN_FAILED_PRECONDITION, vn_catalogue_check(&none, &fresh, &err));
        CHECK_TEXT("prices: all of request in us-east-1 costs nothing", err.msg);
        fresh.tiers[0].pico_usd = 2000000;
        CHECK_OK(vn_catalogue_check(&old, &fresh, &err));
        fresh.tiers[0].pico_usd = 2000001;
        CHECK_RC(VN_FAILED_PRECONDITION, vn_catalogue_check(&old, &fresh, &err));
        fresh.tiers[0].pico_usd = 19999;
        CHECK_RC(VN_FAILED_PRECONDITION, vn_catalogue_check(&old, &fresh, &err));
        fresh.tiers[0] = fresh.tiers[2];
        fresh.tier_count = 2;
        CHECK_RC(VN_FAILED_PRECONDITION, vn_catalogue_check(&old, &fresh, &err));
        CHECK_TEXT("prices: request in us-east-1 is missing", err.msg);
        add(&fresh, "request", "x86", 0, 200000);
        add(&fresh, "ready_request", "x86", 0, 200000); /* more than before is welcome */
        CHECK_OK(vn_catalogue_check(&old, &fresh, &err));
}

TEST(catalogue_takes_no_tier_that_is_no_price)
{
        struct vn_price_tier_entry t;
        CHECK(!vn_catalogue_tier(&t, "", "", "", 0, 1));
        CHECK(!vn_catalogue_tier(&t, "gb second", "", "", 0, 1));
        CHECK(!vn_catalogue_tier(&t, "request", "a\nb", "", 0, 1));
        CHECK(!vn_catalogue_tier(&t, "request", "", "", -1, 1));
        CHECK(!vn_catalogue_tier(&t, "request", "", "", .5, 1));
        CHECK(!vn_catalogue_tier(&t, "request", "", "", 0.0 / 0.0, 1));
        CHECK(!vn_catalogue_tier(&t, "request", "", "", 0, -1));
        CHECK(!vn_catalogue_tier(&t, "request", "", "", 0, INT64_MAX));
}
