#include "agents/learn.h"
#include "agents/window_proto.h"
#include "base/hash.h"
#include "tests/test.h"

#define START INT64_C(1700000040000000)

/* Windows of one function whose log duration follows its payload. */
static void feed(struct vn_learn *learn, unsigned minutes)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, 3);
        for (unsigned i = 0; i < minutes; i++) {
                double payload = 6 + vn_rng_normal(&rng);
                struct vn_window w = {.function = "f",
                                      .region = "r",
                                      .start_us = START + i * VN_WINDOW_US,
                                      .calls = 4,
                                      .memory_mb = 512,
                                      .payload_log_sum = 4 * payload,
                                      .log_duration_sum = 4 * (10 + 0.5 * payload)};
                w.log_duration_sum_sq = w.log_duration_sum * w.log_duration_sum / 4;
                CHECK_OK(vn_learn_window(learn, &w, i % 2 ? &w : NULL, NULL));
        }
}

TEST(learn_trains_on_its_windows_and_scores_the_base_model)
{
        VN_AUTO(vn_learn)
        learn = NULL;
        struct vn_learn_update update, shuffled;
        struct vn_train_config config = {.seed = 1, .epochs = 20, .batch = 16, .learning_rate = 0.01};
        CHECK_OK(vn_learn_new(VN_PLATFORM_GCP, 10, &learn, NULL));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_learn_train(learn, &config, false, &update, NULL));
        struct vn_model *model = NULL, *better = NULL;
        CHECK_OK(vn_model_new(&vn_model_shape_default, 1, &model, NULL));
        vn_learn_set_model(learn, model);
        CHECK_RC(VN_FAILED_PRECONDITION, vn_learn_train(learn, &config, false, &update, NULL)); /* no rows yet */
        feed(learn, 200);
        CHECK_OK(vn_learn_train(learn, &config, false, &update, NULL));
        CHECK(update.eval_windows > 5);
        CHECK_NEAR(update.mean_loss_sum, update.model_loss_sum, 1e-9); /* version 1 is the running mean */
        CHECK(update.result.loss_after < update.result.loss_before);
        CHECK_OK(vn_learn_train(learn, &config, true, &shuffled, NULL));
        CHECK(memcmp(update.delta, shuffled.delta, update.parameters * sizeof(float)));
        vn_free(shuffled.delta);

        CHECK_OK(vn_model_clone(model, &better, NULL));
        for (size_t i = 0; i < update.parameters; i++)
                better->parameters[i] += update.delta[i];
        vn_free(update.delta);
        vn_learn_set_model(learn, better);
        CHECK_OK(vn_learn_train(learn, &config, false, &update, NULL));
        CHECK(update.model_loss_sum < 0.7 * update.mean_loss_sum);
        vn_free(update.delta);
}

TEST(learn_bounds_its_functions)
{
        VN_AUTO(vn_learn)
        learn = NULL;
        CHECK_OK(vn_learn_new(VN_PLATFORM_AWS, 1, &learn, NULL));
        struct vn_window w = {.function = "f", .calls = 1}, other = {.function = "g", .calls = 1};
        CHECK_OK(vn_learn_window(learn, &w, NULL, NULL));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_learn_window(learn, &other, NULL, NULL));
}

static enum vn_rc pass(void)
{
        VN_AUTO(vn_learn)
        learn = NULL;
        struct vn_model *model = NULL;
        VN_TRY(vn_learn_new(VN_PLATFORM_AWS, 10, &learn, NULL));
        VN_TRY(vn_model_new(&vn_model_shape_default, 1, &model, NULL));
        vn_learn_set_model(learn, model);
        struct vn_window w = {.function = "f", .region = "r", .calls = 4, .memory_mb = 512, .log_duration_sum = 40};
        for (int i = 0; i < 12; i++) {
                w.start_us = START + i * VN_WINDOW_US;
                VN_TRY(vn_learn_window(learn, &w, &w, NULL));
        }
        struct vn_learn_update update;
        struct vn_train_config config = {.seed = 1, .epochs = 1, .batch = 16, .learning_rate = 0.01};
        VN_TRY(vn_learn_train(learn, &config, true, &update, NULL));
        vn_free(update.delta);
        return VN_OK;
}

TEST(learn_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(pass);
}

TEST(window_goes_over_the_wire_whole)
{
        struct vn_window w = {.function = "f",
                              .region = "r",
                              .start_us = START,
                              .calls = 4,
                              .errors = 1,
                              .throttles = 2,
                              .timeouts = 1,
                              .cold_starts = 2,
                              .duration_sum_us = 10,
                              .billed_sum_us = 11,
                              .init_sum_us = 12,
                              .log_duration_sum = 40,
                              .log_duration_sum_sq = 401,
                              .memory_mb = 512,
                              .max_memory_mb = 90,
                              .payload_sum_bytes = 5,
                              .payload_log_sum = 8,
                              .response_sum_bytes = 6,
                              .idle_sum_us = 7};
        w.idle[3] = (struct vn_idle_bin){3, 2};
        vn_sketch_add(&w.durations, 5000, 4);
        VN_AUTO(vn_arena)
        arena;
        vn_arena_init(&arena, 65536);
        Vane__V1__Window *m = NULL;
        CHECK_OK(vn_window_to_proto(&w, &arena, &m, NULL));
        CHECK_INT(60, m->length_s);
        CHECK_INT(4, m->calls);
        CHECK_NEAR(2, m->payload_log_mean, 0);
        CHECK_INT(1, m->n_idle_bins);
        CHECK_INT(30, m->idle_bins[0]->upper_s);
        CHECK_INT(2, m->idle_bins[0]->cold);
        struct vn_sketch sketch;
        CHECK_OK(vn_sketch_decode(vn_str_n(m->duration_sketch.data, m->duration_sketch.len), &sketch, NULL));
        CHECK_INT(4, sketch.total);
        CHECK(vane__v1__window__get_packed_size(m) < 300);
}
