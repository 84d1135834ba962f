/* Rounds over a real store: promoted, refused, failed; and taken up by the next process after a kill at each step, with
 * the same bits in the end. */
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "federation/train.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/registry.h"
#include "server/rounds/internal.h"
#include "vane/v1/agent.pb-c.h"
#include "server/state.h"
#include "server/telemetry/telemetry.h"
#include "tests/test.h"

#define START INT64_C(1700000040000000)
enum { ACCOUNTS = 2, MINUTES = 160 };

struct house {
        struct vn_server server;
        struct vn_clock_fake clock;
};

static struct vn_lineage *lineage_of(struct vn_server *server)
{
        return vn_rounds_of(server, VN_TENANT_DEFAULT);
}

/* A tenant beside "default", as CreateTenant stores it; its account is number ACCOUNTS + 1. */
static void store_other_tenant(struct vn_server *server)
{
        Vane__State__Tenant tenant = VANE__STATE__TENANT__INIT;
        struct vn_key key;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        tenant.name = vn_state_text("other");
        vn_key_text(vn_key_init(&key, VN_STR(VN_TENANT_SYSTEM)), VN_STR("other"));
        vn_state_put(batch, VN_TABLE_tenants, &key, &tenant.base);
        CHECK_OK(vn_store_commit(server->store, batch, NULL));
}

static void house_open_for(struct house *house, bool two_tenants)
{
        struct vn_server *s = &house->server;
        struct vn_err err = {0};
        memset(house, 0, sizeof *house);
        vn_clock_fake_init(&house->clock, START + MINUTES * VN_WINDOW_US);
        s->clock = s->wall = &house->clock.clock;
        snprintf(s->config.state_dir, sizeof s->config.state_dir, "%s", test_dir());
        s->config.round_quorum = 2;
        s->config.round_interval_s = 60;
        s->config.round_deadline_s = 30;
        enum vn_rc rc = vn_loop_new("control", &s->control, &err);
        if (rc == VN_OK)
                rc = vn_edge_new(NULL, 1, &s->edge, &err);
        if (rc == VN_OK)
                rc = vn_record_start(s, &err);
        if (rc == VN_OK && two_tenants)
                store_other_tenant(s);
        if (rc == VN_OK)
                rc = vn_tenants_start(s, &err);
        if (rc == VN_OK)
                rc = vn_registry_start(s, &err);
        if (rc == VN_OK)
                rc = vn_hub_start(s, &err);
        if (rc == VN_OK)
                rc = vn_telemetry_start(s, &err);
        if (rc != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        vn_loop_stop(s->control);
        while (vn_registry_count(s->registry) < ACCOUNTS) { /* not stored: each house has the same two */
                struct vn_account_entry *account = vn_registry_append(s->registry);
                CHECK(account && vn_str_copy(account->tenant, sizeof account->tenant, VN_STR(VN_TENANT_DEFAULT)));
        }
        if (two_tenants) {
                struct vn_account_entry *account = vn_registry_append(s->registry);
                CHECK(account && vn_str_copy(account->tenant, sizeof account->tenant, VN_STR("other")));
        }
        for (size_t i = 0; i < vn_registry_count(s->registry); i++)
                vn_registry_heard(s, vn_registry_at(s->registry, i));
        CHECK_OK(vn_rounds_start(s, NULL));
}

static void house_open(struct house *house)
{
        house_open_for(house, false);
}

static void house_close(struct house *house)
{
        struct vn_server *s = &house->server;
        vn_rounds_stop(s);
        vn_telemetry_stop(s);
        vn_hub_stop(s);
        s->edge = vn_edge_free(s->edge);
        vn_registry_stop(s);
        vn_tenants_stop(s);
        vn_record_stop(s);
        s->control = vn_loop_free(s->control);
}

/* --- windows whose duration follows their payload, stored as ReportWindows stores them --- */

static struct vn_window window_of(uint64_t account_id, int minute)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, account_id * 1000 + (uint64_t)minute);
        double payload = 6 + vn_rng_normal(&rng);
        struct vn_window w = {.function = "f",
                              .region = "r",
                              .start_us = START + minute * VN_WINDOW_US,
                              .calls = 4,
                              .memory_mb = 512,
                              .payload_log_sum = 4 * payload,
                              .log_duration_sum = 4 * (10 + 0.5 * payload + 0.05 * vn_rng_normal(&rng))};
        w.log_duration_sum_sq = w.log_duration_sum * w.log_duration_sum / 4;
        return w;
}

static void store_windows(struct vn_server *server)
{
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        for (uint64_t account = 1; account <= ACCOUNTS; account++)
                for (int minute = 0; minute < MINUTES; minute++) {
                        struct vn_window w = window_of(account, minute);
                        Vane__V1__Window m = VANE__V1__WINDOW__INIT;
                        struct vn_key key;
                        m.function = w.function;
                        m.region = w.region;
                        m.start_us = w.start_us;
                        m.calls = w.calls;
                        m.memory_mb = w.memory_mb;
                        m.payload_log_mean = w.payload_log_sum / w.calls;
                        m.log_duration_sum = w.log_duration_sum;
                        m.log_duration_sum_sq = w.log_duration_sum_sq;
                        vn_key_u64(vn_key_text(vn_key_text(vn_key_u64(vn_key_init(&key, VN_STR("default")), account),
                                                           VN_STR("f")),
                                               VN_STR("r")),
                                   (uint64_t)w.start_us);
                        vn_state_put(batch, VN_TABLE_windows, &key, &m.base);
                }
        CHECK_OK(vn_store_commit(server->store, batch, NULL));
}

/* What an agent would send for round 1; sign -1 makes it harmful. */
static enum vn_refusal send_update(struct vn_server *server, uint64_t account, double sign)
{
        const struct vn_model *model = vn_rounds_model(server, VN_TENANT_DEFAULT);
        struct vn_fn_history history;
        struct vn_rows rows;
        struct vn_train_config config = {.seed = account, .epochs = 10, .batch = 16, .learning_rate = 0.01};
        struct vn_train_result result;
        float *delta = vn_alloc_array(model->parameter_count, sizeof(float));
        vn_fn_history_init(&history);
        vn_rows_init(&rows, 1000);
        for (int minute = 0; minute < MINUTES; minute++) {
                struct vn_window w = window_of(account, minute);
                CHECK_OK(vn_rows_add(&rows, &history.stats, &w, VN_PLATFORM_AWS, NULL));
                vn_fn_history_push(&history, &w);
        }
        CHECK_OK(vn_train_local(model, &rows, &config, delta, &result, NULL));
        for (size_t i = 0; i < model->parameter_count; i++)
                delta[i] *= (float)sign;
        struct vn_submission update = {.account_id = account,
                                       .round = 1,
                                       .base_version = model->version,
                                       .samples = result.samples,
                                       .total_bytes = model->parameter_count * sizeof(float),
                                       .bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES)};
        vn_buf_add(&update.bytes, delta, update.total_bytes);
        vn_sha256(delta, update.total_bytes, update.sha256);
        CHECK_OK(vn_rounds_accept(server, &update, NULL));
        vn_buf_done(&update.bytes);
        vn_rows_done(&rows);
        vn_free(delta);
        return update.refusal;
}

static void submit(struct vn_server *server, uint64_t account, double sign)
{
        CHECK_INT(VN_ACCEPTED, send_update(server, account, sign));
}

/* --- the control loop by hand: ticks until no job runs and no round is open --- */

static void tick_once(struct house *house)
{
        vn_rounds_tick(&house->server, house->clock.time_us);
        usleep(2000);
        vn_loop_run(house->server.control); /* told to stop beforehand, so it only runs what was posted */
}

static void settle(struct house *house)
{
        for (int i = 0; i < 5000 && (lineage_of(&house->server)->computing || lineage_of(&house->server)->open); i++)
                tick_once(house);
        CHECK(!lineage_of(&house->server)->computing && !lineage_of(&house->server)->open);
}

static void begin(struct house *house)
{
        CHECK_OK(vn_rounds_begin(&house->server, lineage_of(&house->server), house->clock.time_us, NULL));
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_rounds_begin(&house->server, lineage_of(&house->server), house->clock.time_us, NULL));
}

TEST(round_with_good_updates_is_promoted_and_stays)
{
        static struct house house;
        uint8_t hash[32];
        house_open(&house);
        struct vn_server *s = &house.server;
        store_windows(s);
        begin(&house);
        submit(s, 1, 1);
        submit(s, 2, 1);
        settle(&house);
        struct vn_rounds_figures figures;
        vn_rounds_figures(s, VN_TENANT_DEFAULT, &figures);
        CHECK_INT(2, figures.model_version);
        CHECK_INT(1, figures.rounds);
        CHECK(figures.eval_loss_last < figures.eval_loss_first &&
              figures.eval_loss_last < figures.eval_loss_baseline);
        CHECK(!memcmp(vn_rounds_model(s, VN_TENANT_DEFAULT)->parent, lineage_of(s)->first->hash, 32));
        CHECK(lineage_of(s)->models[1].decision_id[0]); /* a recorded decision */
        CHECK_TEXT("promoted", lineage_of(s)->rounds[0].state);
        memcpy(hash, vn_rounds_model(s, VN_TENANT_DEFAULT)->hash, 32);
        house_close(&house);

        house_open(&house);
        CHECK(!memcmp(hash, vn_rounds_model(&house.server, VN_TENANT_DEFAULT)->hash, 32));
        vn_rounds_figures(&house.server, VN_TENANT_DEFAULT, &figures);
        CHECK_INT(1, figures.rounds);
        house_close(&house);
}

TEST(round_that_makes_it_worse_is_refused)
{
        static struct house house;
        house_open(&house);
        store_windows(&house.server);
        begin(&house);
        submit(&house.server, 1, -1);
        submit(&house.server, 2, -1);
        settle(&house);
        CHECK_INT(1, vn_rounds_model(&house.server, VN_TENANT_DEFAULT)->version);
        CHECK_TEXT("refused", lineage_of(&house.server)->rounds[0].state);
        CHECK(lineage_of(&house.server)->rounds[0].loss_after > lineage_of(&house.server)->rounds[0].loss_before);
        house_close(&house);
}

TEST(round_without_quorum_fails_at_its_deadline)
{
        static struct house house;
        house_open(&house);
        store_windows(&house.server);
        begin(&house);
        submit(&house.server, 1, 1);
        for (int i = 0; i < 3; i++)
                tick_once(&house);
        CHECK(lineage_of(&house.server)->open);
        house.clock.time_us += 31 * VN_US_PER_S;
        for (size_t i = 0; i < ACCOUNTS; i++)
                vn_registry_heard(&house.server, vn_registry_at(house.server.registry, i));
        settle(&house);
        CHECK_TEXT("failed", lineage_of(&house.server)->rounds[0].state);
        CHECK_INT(1, vn_rounds_model(&house.server, VN_TENANT_DEFAULT)->version);
        house_close(&house);
}

TEST(round_takes_nothing_of_another_tenant)
{
        static struct house house;
        struct vn_server *s = &house.server;
        const uint64_t stranger = ACCOUNTS + 1;
        house_open_for(&house, true);
        struct vn_lineage *own = lineage_of(s), *other = vn_rounds_of(s, "other");
        store_windows(s);
        begin(&house);
        CHECK_INT(VN_REFUSED_NO_ROUND, send_update(s, stranger, -1));
        CHECK_OK(vn_rounds_begin(s, other, house.clock.time_us, NULL));
        CHECK_INT(VN_ACCEPTED, send_update(s, stranger, -1));
        CHECK_INT(0, vn_rounds_open(own)->update_count);
        CHECK_INT(1, vn_rounds_open(other)->update_count);
        submit(s, 1, 1);
        CHECK(!own->computing); /* the stranger makes no quorum here */
        submit(s, 2, 1);
        settle(&house);
        CHECK_INT(2, vn_rounds_model(s, VN_TENANT_DEFAULT)->version);
        CHECK_INT(1, vn_rounds_model(s, "other")->version);
        CHECK(other->open && !other->computing);
        house_close(&house);

        house_open_for(&house, true); /* and the same from the store */
        CHECK_INT(2, vn_rounds_model(s, VN_TENANT_DEFAULT)->version);
        CHECK_INT(1, vn_rounds_model(s, "other")->version);
        CHECK_INT(1, vn_rounds_open(vn_rounds_of(s, "other"))->update_count);
        CHECK(!lineage_of(s)->open);
        house_close(&house);
}

TEST(round_outlives_a_stop_while_it_is_judged)
{
        static struct house house;
        house_open(&house);
        store_windows(&house.server);
        begin(&house);
        submit(&house.server, 1, 1);
        submit(&house.server, 2, 1);
        vn_rounds_tick(&house.server, house.clock.time_us);
        CHECK(lineage_of(&house.server)->computing);
        house_close(&house); /* the job's answer comes after its module has gone */
        house_open(&house);
        settle(&house);
        CHECK_INT(2, vn_rounds_model(&house.server, VN_TENANT_DEFAULT)->version);
        house_close(&house);
}

/* --- killed at each step --- */

static void run_until(int step)
{
        static struct house house;
        house_open(&house);
        store_windows(&house.server);
        begin(&house);
        if (step >= 1)
                submit(&house.server, 1, 1);
        if (step >= 2)
                submit(&house.server, 2, 1);
        if (step >= 3)
                vn_rounds_tick(&house.server, house.clock.time_us); /* aggregating */
        if (step >= 4)
                vn_rounds_tick(&house.server, house.clock.time_us); /* the job has begun */
        kill(getpid(), SIGKILL);
}

static void reference(uint8_t ret_hash[32])
{
        static struct house house;
        house_open(&house);
        store_windows(&house.server);
        begin(&house);
        submit(&house.server, 2, 1); /* another order, too */
        submit(&house.server, 1, 1);
        settle(&house);
        memcpy(ret_hash, vn_rounds_model(&house.server, VN_TENANT_DEFAULT)->hash, 32);
        house_close(&house);
}

static void check_killed_at(int step)
{
        static struct house house;
        uint8_t hash[32];
        CHECK(test_dir()); /* made before the fork: both use the same */
        pid_t child = fork();
        CHECK(child >= 0);
        if (!child) {
                run_until(step);
                _exit(1);
        }
        int status;
        CHECK(waitpid(child, &status, 0) == child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        house_open(&house);
        struct vn_lineage *rounds = lineage_of(&house.server);
        CHECK(rounds->open);
        CHECK_INT(1, vn_rounds_open(rounds)->round);
        CHECK_INT(step < 2 ? step : 2, vn_rounds_open(rounds)->update_count);
        for (uint64_t account = vn_rounds_open(rounds)->update_count + 1; account <= ACCOUNTS; account++)
                submit(&house.server, account, 1);
        settle(&house);
        CHECK_INT(2, vn_rounds_model(&house.server, VN_TENANT_DEFAULT)->version);
        memcpy(hash, vn_rounds_model(&house.server, VN_TENANT_DEFAULT)->hash, 32);
        house_close(&house);
        char store[600], aside[600];
        snprintf(store, sizeof store, "%s/store", test_dir());
        snprintf(aside, sizeof aside, "%s/killed", test_dir());
        CHECK(!rename(store, aside)); /* the reference starts afresh */
        uint8_t expected[32];
        reference(expected);
        CHECK(!memcmp(hash, expected, 32));
}

TEST(round_killed_when_open_is_taken_up)
{
        check_killed_at(0);
}
TEST(round_killed_between_updates_is_taken_up)
{
        check_killed_at(1);
}
TEST(round_killed_after_its_updates_is_taken_up)
{
        check_killed_at(2);
}
TEST(round_killed_when_aggregating_is_taken_up)
{
        check_killed_at(3);
}
TEST(round_killed_while_judging_is_taken_up)
{
        check_killed_at(4);
}
