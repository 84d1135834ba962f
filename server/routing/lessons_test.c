/* lessons_test.c - over a real store: outcomes and their windows teach, and a restart keeps what was learnt. */
#include "server/policy_table.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/rounds/rounds.h"
#include "server/routing/internal.h"
#include "server/state.h"
#include "server/tenants.h"
#include "server/tuning/pauses.h"
#include "tests/test.h"
#include "vane/state/state.pb-c.h"

#define START INT64_C(1700000040000000)

struct house {
        struct vn_server server;
        struct vn_clock_fake clock;
        struct vn_account_entry *account;
};

/* As ReportPrices would have, before the start. */
static void store_prices(struct house *house)
{
        Vane__State__Prices prices = VANE__STATE__PRICES__INIT;
        struct vn_batch *batch = vn_batch_new();
        struct vn_key key;
        prices.account_id = house->account->id;
        prices.time_us = START - VN_US_PER_HOUR;
        vn_key_text(vn_key_u64(vn_key_init(&key, VN_STR(VN_TENANT_DEFAULT)), house->account->id), VN_STR("prices"));
        CHECK(batch);
        vn_state_put(batch, VN_TABLE_meters, &key, &prices.base);
        CHECK_OK(vn_store_commit(house->server.store, batch, NULL));
        vn_batch_free(batch);
}

static void house_open(struct house *house)
{
        struct vn_server *s = &house->server;
        struct vn_err err = {0};
        memset(house, 0, sizeof *house);
        vn_clock_fake_init(&house->clock, START);
        s->clock = s->wall = &house->clock.clock;
        snprintf(s->config.state_dir, sizeof s->config.state_dir, "%s", test_dir());
        enum vn_rc rc = vn_loop_new("control", &s->control, &err);
        if (rc == VN_OK)
                rc = vn_edge_new(NULL, 1, &s->edge, &err);
        if (rc == VN_OK)
                rc = vn_record_start(s, &err);
        if (rc == VN_OK)
                rc = vn_tenants_start(s, &err);
        if (rc == VN_OK)
                rc = vn_registry_start(s, &err);
        if (rc == VN_OK)
                rc = vn_hub_start(s, &err);
        if (rc == VN_OK)
                rc = vn_pauses_start(s, &err);
        if (rc == VN_OK)
                rc = vn_policy_table_start(s, &err);
        if (rc != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        /* Not stored: each house has the same one. */
        house->account = vn_registry_append(s->registry);
        CHECK(house->account);
        house->account->cloud = VN_AZURE;
        CHECK(vn_str_copy(house->account->tenant, sizeof house->account->tenant, VN_STR(VN_TENANT_DEFAULT)));
        house->account->functions = vn_alloc(sizeof *house->account->functions);
        house->account->function_count = 1;
        CHECK(vn_str_copy(house->account->functions->name, sizeof house->account->functions->name, VN_STR("f")));
        CHECK(vn_str_copy(house->account->functions->region, sizeof house->account->functions->region, VN_STR("r")));
        store_prices(house);
        CHECK_OK(vn_telemetry_start(s, NULL));
        CHECK_OK(vn_rounds_start(s, NULL));
        CHECK_OK(vn_routing_start(s, NULL));
        vn_account_live_of(s->routing, house->account->id)->network_us = 20e3;
}

static void house_close(struct house *house)
{
        struct vn_server *s = &house->server;
        vn_routing_stop(s);
        vn_rounds_stop(s);
        vn_telemetry_stop(s);
        vn_policy_table_stop(s);
        vn_pauses_stop(s);
        vn_hub_stop(s);
        s->edge = vn_edge_free(s->edge);
        vn_registry_stop(s);
        vn_tenants_stop(s);
        vn_record_stop(s);
        s->control = vn_loop_free(s->control);
}

static uint64_t endpoint_of(const struct house *house)
{
        return vn_endpoint_id_of(house->account->id, "r", "f");
}

/* An outcome of a call decided in that minute, over what a warm run takes. */
static void outcome(struct house *house, int64_t minute, double excess_us, uint8_t status)
{
        struct vn_routing *routing = house->server.routing;
        struct vn_pending p = {.caller = 7,
                               .time_us = START + minute * VN_WINDOW_US + 5,
                               .watched = true,
                               .raw = .02f,
                               .risk = .02f,
                               .limit_us = 1e6f,
                               .price_time_us = START,
                               .warm_us = 100e3f,
                               .spread_us = 20e3f};
        struct vn_sample sample = {.account_id = house->account->id,
                                   .endpoint_id = endpoint_of(house),
                                   .time_us = p.time_us,
                                   .status = status,
                                   .lesson = vn_lesson_of(&p, (uint64_t)(100e3 + excess_us))};
        vn_lesson_absorb(&house->server, &sample, vn_endpoint_live_of(routing, sample.endpoint_id),
                         vn_account_live_of(routing, sample.account_id));
}

static void window(struct house *house, int64_t minute, uint32_t calls, uint32_t cold)
{
        struct vn_window w = {
                .function = "f", .region = "r", .start_us = START + minute * VN_WINDOW_US, .calls = calls};
        w.cold_starts = cold;
        vn_routing_window(&house->server, house->account, &w);
}

static struct vn_cold_start cold_start(struct house *house)
{
        struct vn_cold_start start;
        vn_routing_cold_start(&house->server, VN_TENANT_DEFAULT, VN_AZURE, endpoint_of(house), &start);
        return start;
}

TEST(lessons_are_learnt_and_survive_a_restart)
{
        static struct house house;
        struct vn_risk_quality before, after;
        house_open(&house);
        struct vn_cold_start unknown = cold_start(&house);
        CHECK_NEAR(2500e3, unknown.us, 1e-6); /* general knowledge */
        CHECK_INT(0, unknown.newest_us);
        CHECK(!vn_routing_risk_quality(&house.server, VN_TENANT_DEFAULT, &before));
        /* Two minutes in three are cold, by the windows; then calls take 1.2 s more, and are over the limit. */
        for (int64_t m = 0; m < 300; m++) {
                bool cold = m % 3 != 0;
                outcome(&house, m, cold ? 1200e3 : 0, VANE__V1__OUTCOME__STATUS__STATUS_OK);
                window(&house, m, 1, cold);
        }
        vn_lessons_tick(&house.server, START);
        struct vn_cold_start learnt = cold_start(&house);
        CHECK_NEAR(1200e3, learnt.us, 100e3);
        CHECK(learnt.own && learnt.newest_us == START + 299 * VN_WINDOW_US + 5);
        CHECK_NEAR(200, learnt.starts, 1e-6);
        CHECK(vn_routing_risk_quality(&house.server, VN_TENANT_DEFAULT, &before));
        CHECK_NEAR(300, before.outcomes, 1e-9);
        CHECK(before.fitted_us && before.calibration.outcomes == 300);
        CHECK_NEAR(2 / 3.0, vn_risk_calibrated(&before.calibration, .02), .05);
        house_close(&house);

        house_open(&house);
        struct vn_cold_start kept = cold_start(&house);
        CHECK(kept.us == learnt.us && kept.starts == learnt.starts && kept.newest_us == learnt.newest_us);
        CHECK(vn_routing_risk_quality(&house.server, VN_TENANT_DEFAULT, &after));
        CHECK(!memcmp(&before, &after, sizeof before));
        /* It goes on from there. */
        outcome(&house, 400, 0, VANE__V1__OUTCOME__STATUS__STATUS_OK);
        CHECK(vn_routing_risk_quality(&house.server, VN_TENANT_DEFAULT, &after));
        CHECK_NEAR(301, after.outcomes, 1e-9);
        house_close(&house);
}

TEST(lessons_need_the_window_of_the_minute)
{
        static struct house house;
        house_open(&house);
        outcome(&house, 5, 1200e3, VANE__V1__OUTCOME__STATUS__STATUS_OK);
        window(&house, 4, 1, 1); /* another minute's */
        CHECK_INT(0, cold_start(&house).newest_us);
        window(&house, 6, 1, 1); /* its own did not come */
        window(&house, 5, 1, 1);
        CHECK_INT(0, cold_start(&house).newest_us);
        for (unsigned i = 0; i < 2 * VN_COLD_WAITING; i++)
                outcome(&house, 7, 1200e3, VANE__V1__OUTCOME__STATUS__STATUS_OK);
        outcome(&house, 8, 1200e3, VANE__V1__OUTCOME__STATUS__STATUS_ERROR); /* how long that took says nothing */
        window(&house, 7, 2 * VN_COLD_WAITING, VN_COLD_WAITING);
        CHECK_NEAR(VN_COLD_WAITING / 2, cold_start(&house).starts, 1e-6);
        window(&house, 8, 1, 1);
        CHECK_NEAR(VN_COLD_WAITING / 2, cold_start(&house).starts, 1e-6);
        house_close(&house);
}

static double hits_of(const struct vn_risk_score *score)
{
        double hits = 0;
        for (unsigned b = 0; b < VN_RISK_BINS; b++)
                hits += score->hits[b];
        return hits;
}

TEST(lessons_count_each_event_of_the_union)
{
        static struct house house;
        struct vn_risk_quality q;
        struct vn_risk_score raw, told;
        house_open(&house);
        struct vn_calibrator *risk = &vn_lessons_of(house.server.routing, VN_TENANT_DEFAULT)->risk;
        const struct {
                double excess_us;
                uint8_t status;
                double hits;
        } row[] = {
                {0, VANE__V1__OUTCOME__STATUS__STATUS_OK, 0},     {899e3, VANE__V1__OUTCOME__STATUS__STATUS_OK, 0},
                {901e3, VANE__V1__OUTCOME__STATUS__STATUS_OK, 1}, {0, VANE__V1__OUTCOME__STATUS__STATUS_THROTTLED, 1},
                {0, VANE__V1__OUTCOME__STATUS__STATUS_ERROR, 1},  {0, VANE__V1__OUTCOME__STATUS__STATUS_TIMEOUT, 1}};
        double want = 0;
        for (size_t i = 0; i < sizeof row / sizeof *row; i++) {
                outcome(&house, 1, row[i].excess_us, row[i].status);
                vn_calibrator_scores(risk, &raw, &told);
                CHECK_NEAR(want += row[i].hits, hits_of(&raw), 1e-9);
        }
        /* All is well with it, but another price list came since. */
        vn_telemetry_prices(house.server.telemetry, house.account->id)->since_us = START + 1;
        outcome(&house, 1, 0, VANE__V1__OUTCOME__STATUS__STATUS_OK);
        vn_calibrator_scores(risk, &raw, &told);
        CHECK_NEAR(want + 1, hits_of(&raw), 1e-9);
        CHECK(vn_routing_risk_quality(&house.server, VN_TENANT_DEFAULT, &q));
        CHECK_NEAR(7, q.outcomes, 1e-9);
        house_close(&house);
}
