/* spend_test.c - two loops count, the control loop tells what a day has cost. */
#include "server/routing/internal.h"
#include "tests/test.h"

#define DAY INT64_C(20000)
#define DAY_US (24 * VN_US_PER_HOUR)

struct house {
        struct vn_routing routing;
        struct vn_server server;
        struct vn_route_loop *loops;
        _Atomic double usd[2][VN_POLICY_NUMBERS];
};

static struct house *house_new(void)
{
        struct house *h = vn_alloc(sizeof *h);
        CHECK(h);
        h->loops = vn_alloc_array(2, sizeof *h->loops);
        CHECK(h->loops);
        for (unsigned i = 0; i < 2; i++)
                h->loops[i].spent_usd = h->usd[i];
        h->routing.loops = h->loops;
        h->routing.loop_count = 2;
        h->server.routing = &h->routing;
        vn_spend_day(&h->server, DAY * DAY_US + 5);
        return h;
}

static void house_free(struct house *h)
{
        vn_free(h->loops);
        vn_free(h);
}

TEST(spend_sums_loops_and_keeps_policies_apart)
{
        struct house *h = house_new();
        struct vn_policy_entry one = {.number = 1}, other = {.number = VN_MAX_POLICIES};
        vn_count_usd(&h->usd[0][1], .25);
        vn_count_usd(&h->usd[1][1], .5);
        vn_count_usd(&h->usd[1][VN_MAX_POLICIES], 4);
        CHECK_NEAR(.75, vn_spend_today_usd(&h->server, &one), 0);
        CHECK_NEAR(4, vn_spend_today_usd(&h->server, &other), 0);
        house_free(h);
}

TEST(spend_begins_anew_with_each_utc_day)
{
        struct house *h = house_new();
        struct vn_policy_entry one = {.number = 1};
        vn_count_usd(&h->usd[0][1], 2);
        vn_spend_day(&h->server, (DAY + 1) * DAY_US - 1);
        CHECK_NEAR(2, vn_spend_today_usd(&h->server, &one), 0);
        vn_spend_day(&h->server, (DAY + 1) * DAY_US);
        CHECK_NEAR(0, vn_spend_today_usd(&h->server, &one), 0);
        vn_count_usd(&h->usd[1][1], 3);
        vn_spend_day(&h->server, (DAY + 1) * DAY_US + 7);
        CHECK_NEAR(3, vn_spend_today_usd(&h->server, &one), 0);
        /* A clock that was set back does not give the budget anew. */
        vn_spend_day(&h->server, DAY * DAY_US);
        CHECK_NEAR(3, vn_spend_today_usd(&h->server, &one), 0);
        house_free(h);
}
