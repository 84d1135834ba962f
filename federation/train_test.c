/* Learning, from windows to held-out loss, on accounts made up here: durations depend on the function, on payload,
 * memory and coldness, and on chance; windows hold few calls. */
#include "base/detmath.h"
#include "base/hash.h"
#include "federation/aggregate.h"
#include "federation/evaluate.h"
#include "federation/train.h"
#include "tests/test.h"

enum { ACCOUNTS = 6, FUNCTIONS = 8, MINUTES = 150 };
#define START INT64_C(1700000040000000)

struct account {
        char name[16];
        enum vn_platform platform;
        struct vn_rows rows;
        struct vn_fn_history history[FUNCTIONS];
};
struct world {
        struct account account[ACCOUNTS];
        struct vn_window *windows; /* in order of time; account a's are those with index % ACCOUNTS == a */
        size_t window_count;
        struct vn_rng rng;
};

struct function_nature {
        double base, payload_slope, payload_mean, cpu_share, cold_factor, rate;
};

static struct function_nature nature_of(struct vn_rng *rng)
{
        return (struct function_nature){
                .base = 9 + 4 * vn_rng_unit(rng),
                .payload_slope = 0.2 + 0.6 * vn_rng_unit(rng),
                .payload_mean = 6 + 4 * vn_rng_unit(rng),
                .cpu_share = vn_rng_unit(rng),
                .cold_factor = 0.3 + 0.6 * vn_rng_unit(rng),
                .rate = 0.5 + 6 * vn_rng_unit(rng) * vn_rng_unit(rng),
        };
}

static void calls_of_minute(struct world *world, struct vn_windower *w, const struct function_nature *nature, int f,
                            int minute, double *last_s)
{
        unsigned calls = (unsigned)(nature->rate * 2 * vn_rng_unit(&world->rng) + 0.5);
        for (unsigned c = 0; c < calls; c++) {
                double at_s = 60.0 * minute + 60.0 * c / calls + vn_rng_unit(&world->rng);
                double payload = nature->payload_mean + 0.8 * vn_rng_normal(&world->rng), idle = at_s - *last_s;
                bool cold = vn_rng_unit(&world->rng) < vn_sigmoid((idle - 90) / 20);
                uint32_t memory = minute < 80 ? 512 : 1024;
                double log_us = nature->base + nature->payload_slope * (payload - nature->payload_mean) -
                                nature->cpu_share * vn_log(memory / 512.0) + (cold ? nature->cold_factor : 0) +
                                0.25 * vn_rng_normal(&world->rng);
                struct vn_invocation call = {.start_us = START + (int64_t)(at_s * 1e6),
                                             .memory_mb = memory,
                                             .duration_us = (int64_t)vn_exp(log_us),
                                             .cold = cold,
                                             .payload_bytes = (uint64_t)vn_exp(payload)};
                snprintf(call.function, sizeof call.function, "fn-%d", f);
                CHECK_OK(vn_windower_add(w, &call, NULL));
                *last_s = at_s;
        }
}

struct collecting {
        struct world *world;
        struct account *account;
};

static enum vn_rc collect(void *ctx, const struct vn_window *full, const struct vn_window *sampled,
                          struct vn_err *err)
{
        struct collecting *c = ctx;
        struct vn_fn_history *history = &c->account->history[full->function[3] - '0'];
        if (sampled)
                VN_TRY(vn_rows_add(&c->account->rows, &history->stats, sampled, c->account->platform, err));
        vn_fn_history_push(history, full);
        c->world->windows[c->world->window_count++] = *full;
        return VN_OK;
}

static void world_make(struct world *world, uint64_t seed, size_t account_end[ACCOUNTS])
{
        vn_rng_seed(&world->rng, seed);
        world->window_count = 0;
        world->windows = vn_alloc_array((size_t)ACCOUNTS * FUNCTIONS * (MINUTES + 2), sizeof *world->windows);
        for (int a = 0; a < ACCOUNTS; a++) {
                struct account *account = &world->account[a];
                *account = (struct account){.platform = (enum vn_platform)(a % VN_PLATFORM_COUNT)};
                snprintf(account->name, sizeof account->name, "account-%d", a);
                vn_rows_init(&account->rows, 5000);
                struct vn_windower *w = NULL;
                struct vn_window_config config = {.max_functions = 64, .sample_rate = 0.4, .seed = seed + 1};
                CHECK_OK(vn_windower_new(&config, &w, NULL));
                struct function_nature nature[FUNCTIONS];
                double last_s[FUNCTIONS];
                for (int f = 0; f < FUNCTIONS; f++)
                        nature[f] = nature_of(&world->rng), last_s[f] = -1000;
                struct collecting collecting = {world, account};
                for (int minute = 0; minute < MINUTES; minute++) {
                        for (int f = 0; f < FUNCTIONS; f++)
                                calls_of_minute(world, w, &nature[f], f, minute, &last_s[f]);
                        CHECK_OK(vn_windower_close(w, START + minute * VN_WINDOW_US, collect, &collecting, NULL));
                }
                vn_windower_free(w);
                account_end[a] = world->window_count;
        }
}

static void world_done(struct world *world)
{
        for (int a = 0; a < ACCOUNTS; a++)
                vn_rows_done(&world->account[a].rows);
        vn_free(world->windows);
}

static void evaluate(const struct world *world, const size_t account_end[ACCOUNTS], const struct vn_model *first,
                     const struct vn_model *last, struct vn_eval_result *ret)
{
        VN_AUTO(vn_evaluation)
        e = NULL;
        const struct vn_model *models[2] = {first, last};
        CHECK_OK(vn_evaluation_new(models, 2, 1000, &e, NULL));
        for (size_t i = 0, a = 0; i < world->window_count; i++) {
                while (i >= account_end[a])
                        a++;
                CHECK_OK(vn_evaluation_push(e, world->account[a].name, world->account[a].platform, &world->windows[i],
                                            NULL));
        }
        vn_evaluation_result(e, ret);
}

/* Rounds of local training and averaging; the model is changed in place. */
static void federate(struct world *world, struct vn_model *model, int rounds)
{
        size_t n = model->parameter_count;
        float *deltas = vn_alloc_array(n * (ACCOUNTS + 1), sizeof(float));
        for (int round = 0; round < rounds; round++) {
                struct vn_update updates[ACCOUNTS];
                for (int a = 0; a < ACCOUNTS; a++) {
                        struct vn_train_config config = {.seed = (uint64_t)(100 * round + a),
                                                         .epochs = 6,
                                                         .batch = 32,
                                                         .learning_rate = 0.004};
                        struct vn_train_result result;
                        CHECK_OK(vn_train_local(model, &world->account[a].rows, &config, deltas + (size_t)a * n,
                                                &result, NULL));
                        updates[a] = (struct vn_update){world->account[a].name, (double)result.samples,
                                                        deltas + (size_t)a * n};
                }
                float *mean = deltas + ACCOUNTS * n;
                CHECK_OK(vn_aggregate(vn_strategy_find("fedavg"), updates, ACCOUNTS, n, 2, mean, NULL));
                for (size_t i = 0; i < n; i++)
                        model->parameters[i] += mean[i];
        }
        vn_free(deltas);
}

static void run(uint64_t seed, bool shuffle, struct vn_eval_result *ret, uint8_t ret_hash[32])
{
        static struct world world;
        size_t account_end[ACCOUNTS];
        world_make(&world, seed, account_end);
        for (int a = 0; shuffle && a < ACCOUNTS; a++)
                vn_rows_shuffle_labels(&world.account[a].rows, seed + (uint64_t)a);
        VN_AUTO(vn_model)
        first = NULL;
        VN_AUTO(vn_model)
        last = NULL;
        CHECK_OK(vn_model_new(&vn_model_shape_default, 5, &first, NULL));
        CHECK_OK(vn_model_clone(first, &last, NULL));
        federate(&world, last, 4);
        CHECK_OK(vn_model_seal(last, NULL));
        memcpy(ret_hash, last->hash, 32);
        evaluate(&world, account_end, first, last, ret);
        world_done(&world);
        printf("  %s: windows %llu, mean %.4f, median %.4f, baseline %.4f, first %.4f, last %.4f, cold %.4f -> %.4f "
               "(%.4f)\n",
               shuffle ? "shuffled" : "true labels", (unsigned long long)ret->windows, ret->mean_loss,
               ret->median_loss, ret->baseline_loss, ret->loss[0], ret->loss[1], ret->cold_brier[0],
               ret->cold_brier[1], ret->cold_base_brier);
}

TEST(federated_training_beats_the_baselines_and_shuffled_labels_do_not)
{
        for (uint64_t seed = 1; seed <= 2; seed++) {
                struct vn_eval_result real, shuffled;
                uint8_t hash[32], again[32];
                run(seed, false, &real, hash);
                CHECK(real.windows > 300);
                CHECK(real.baseline_loss <= real.mean_loss && real.baseline_loss <= real.median_loss);
                CHECK_NEAR(real.mean_loss, real.loss[0], 1e-12); /* a new model is the running mean */
                CHECK(real.loss[1] < 0.85 * real.baseline_loss);
                CHECK(real.cold_brier[1] < real.cold_base_brier && real.cold_brier[1] < real.cold_brier[0]);
                run(seed, true, &shuffled, again);
                CHECK(shuffled.loss[1] > shuffled.baseline_loss);
                CHECK(memcmp(hash, again, 32));
        }
}

TEST(federated_training_repeats_to_the_bit)
{
        struct vn_eval_result one, two;
        uint8_t hash[32], again[32];
        run(9, false, &one, hash);
        run(9, false, &two, again);
        CHECK(!memcmp(hash, again, 32) && !memcmp(&one, &two, sizeof one));
}

TEST(training_refuses_bad_configurations_and_no_rows)
{
        VN_AUTO(vn_model)
        model = NULL;
        CHECK_OK(vn_model_new(&vn_model_shape_default, 5, &model, NULL));
        struct vn_duration_row row = {.y = 1, .weight = 1};
        struct vn_rows rows = {.duration_count = 1, .max_rows = 1, .duration = &row};
        float delta[4000];
        struct vn_train_result result;
        const struct vn_train_config good = {.epochs = 1, .batch = 8, .learning_rate = 0.01};
        CHECK_OK(vn_train_local(model, &rows, &good, delta, &result, NULL));
        struct vn_train_config bad = good;
        bad.epochs = 0;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_train_local(model, &rows, &bad, delta, &result, NULL));
        bad = good, bad.batch = 5000;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_train_local(model, &rows, &bad, delta, &result, NULL));
        bad = good, bad.learning_rate = vn_log(-1);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_train_local(model, &rows, &bad, delta, &result, NULL));
        rows.duration_count = 0;
        CHECK_RC(VN_FAILED_PRECONDITION, vn_train_local(model, &rows, &good, delta, &result, NULL));
        row.y = (float)vn_exp(800); /* a label that no window can have: refused, not spread */
        rows.duration_count = 1;
        CHECK_RC(VN_ABORTED, vn_train_local(model, &rows, &good, delta, &result, NULL));
}

static enum vn_rc pass(void)
{
        VN_AUTO(vn_model)
        model = NULL;
        VN_TRY(vn_model_new(&vn_model_shape_default, 5, &model, NULL));
        struct vn_rows rows;
        vn_rows_init(&rows, 100);
        struct vn_fn_stats stats = {.windows = 5, .recent = 5};
        struct vn_window window = {.function = "f", .calls = 2, .log_duration_sum = 20, .idle = {{2, 1}}};
        enum vn_rc rc = VN_OK;
        for (int i = 0; i < 80 && rc == VN_OK; i++) {
                window.start_us = START + i * VN_WINDOW_US;
                rc = vn_rows_add(&rows, &stats, &window, VN_PLATFORM_AWS, NULL);
        }
        float delta[4000];
        struct vn_train_result result;
        struct vn_train_config config = {.epochs = 1, .batch = 8, .learning_rate = 0.01};
        if (rc == VN_OK)
                rc = vn_train_local(model, &rows, &config, delta, &result, NULL);
        vn_rows_done(&rows);
        return rc;
}

TEST(training_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(pass);
}

static enum vn_rc evaluate_some(void)
{
        VN_AUTO(vn_evaluation)
        e = NULL;
        VN_TRY(vn_evaluation_new(NULL, 0, 100, &e, NULL));
        for (int i = 0; i < 40; i++) {
                struct vn_window window = {.start_us = (i / 10 + 1) * VN_WINDOW_US, .calls = 5};
                snprintf(window.function, sizeof window.function, "f%d", i % 10);
                VN_TRY(vn_evaluation_push(e, "a", VN_PLATFORM_AWS, &window, NULL));
        }
        return VN_OK;
}

TEST(evaluation_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(evaluate_some);
}
