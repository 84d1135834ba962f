#include "base/detmath.h"
#include "base/hash.h"
#include "federation/train.h"
#include "tests/test.h"

static struct vn_model *random_model(uint64_t seed, enum vn_activation activation)
{
        struct vn_model_shape shape = vn_model_shape_default;
        shape.net[0].activation = shape.net[1].activation = (uint8_t)activation;
        struct vn_model *model = NULL;
        CHECK_OK(vn_model_new(&shape, seed, &model, NULL));
        struct vn_rng rng;
        vn_rng_seed(&rng, seed);
        for (size_t i = 0; i < model->parameter_count; i++)
                model->parameters[i] += (float)(0.1 * vn_rng_normal(&rng));
        return model;
}

TEST(model_bytes_round_trip)
{
        VN_AUTO(vn_model)
        model = random_model(test_seed(), VN_ACTIVATION_RELU);
        VN_AUTO(vn_model)
        back = NULL;
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES), again = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        model->version = 7, model->round = 9, model->parent[3] = 4;
        CHECK_OK(vn_model_encode(model, &bytes, NULL));
        CHECK_OK(vn_model_decode(vn_buf_view(&bytes), &back, NULL));
        CHECK_INT(7, back->version);
        CHECK_INT(9, back->round);
        CHECK(!memcmp(back->hash, model->hash, sizeof back->hash));
        CHECK(vn_model_shape_eq(&model->shape, &back->shape));
        CHECK_OK(vn_model_encode(back, &again, NULL));
        CHECK(again.len == bytes.len && !memcmp(again.ptr, bytes.ptr, bytes.len));
}

TEST(model_decoding_notices_every_flipped_or_missing_byte)
{
        VN_AUTO(vn_model)
        model = random_model(3, VN_ACTIVATION_RELU);
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        struct vn_model *none = NULL;
        CHECK_OK(vn_model_encode(model, &bytes, NULL));
        for (size_t i = 0; i < bytes.len; i += i < 200 ? 1 : 97) {
                bytes.ptr[i] ^= 0x40;
                CHECK(vn_model_decode(vn_buf_view(&bytes), &none, NULL) != VN_OK && !none);
                bytes.ptr[i] ^= 0x40;
                CHECK(vn_model_decode(vn_str_n(bytes.ptr, i), &none, NULL) != VN_OK);
        }
}

/* A sender can make the checksum right, so what is inside is checked too. */
static void check_resealed(struct vn_buf *bytes, size_t at, uint8_t value, enum vn_rc expected)
{
        struct vn_model *none = NULL;
        uint8_t old = (uint8_t)bytes->ptr[at];
        bytes->ptr[at] = (char)value;
        vn_sha256(bytes->ptr, bytes->len - 32, (uint8_t *)bytes->ptr + bytes->len - 32);
        CHECK_RC(expected, vn_model_decode(vn_buf_view(bytes), &none, NULL));
        bytes->ptr[at] = (char)old;
}

TEST(model_decoding_refuses_hostile_content)
{
        VN_AUTO(vn_model)
        model = random_model(3, VN_ACTIVATION_RELU);
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        CHECK_OK(vn_model_encode(model, &bytes, NULL));
        size_t shapes = 8 + 4 + 4 + 8 + 8 + 32;
        check_resealed(&bytes, 8, 99, VN_FAILED_PRECONDITION);        /* format */
        check_resealed(&bytes, 12, 99, VN_FAILED_PRECONDITION);       /* features */
        check_resealed(&bytes, shapes, 0, VN_INVALID_ARGUMENT);       /* no layers */
        check_resealed(&bytes, shapes, 200, VN_INVALID_ARGUMENT);     /* too many */
        check_resealed(&bytes, shapes + 1, 2, VN_INVALID_ARGUMENT);   /* activation */
        check_resealed(&bytes, shapes + 2, 2, VN_INVALID_ARGUMENT);   /* skip */
        check_resealed(&bytes, shapes + 2, 0, VN_INVALID_ARGUMENT);   /* no skip: fewer parameters than there are */
        check_resealed(&bytes, shapes + 3, 21, VN_INVALID_ARGUMENT);  /* inputs */
        check_resealed(&bytes, shapes + 6, 255, VN_INVALID_ARGUMENT); /* width */
        check_resealed(&bytes, shapes + 11, 1, VN_INVALID_ARGUMENT);  /* a width behind the last layer */
        check_resealed(&bytes, shapes + 26, 1, VN_INVALID_ARGUMENT);  /* parameter count */
        model->parameters[5] = (float)(vn_exp(800));
        vn_buf_reset(&bytes);
        CHECK_OK(vn_model_encode(model, &bytes, NULL));
        struct vn_model *none = NULL;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_model_decode(vn_buf_view(&bytes), &none, NULL));
}

TEST(model_refuses_shapes_out_of_bounds)
{
        struct vn_model *none = NULL;
        struct vn_model_shape shape = vn_model_shape_default;
        shape.net[0].width[1] = 0;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_model_new(&shape, 1, &none, NULL));
        shape = vn_model_shape_default;
        shape.net[0].width[1] = 1025;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_model_new(&shape, 1, &none, NULL));
        shape = vn_model_shape_default;
        shape.net[1].width[3] = 2;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_model_new(&shape, 1, &none, NULL));
}

TEST(model_new_answers_as_the_baseline)
{
        VN_AUTO(vn_model)
        model = NULL;
        CHECK_OK(vn_model_new(&vn_model_shape_default, 11, &model, NULL));
        struct vn_fn_stats stats = {.windows = 9, .recent = 9, .mean = 12.5, .median = 12};
        struct vn_duration_query query = {VN_PLATFORM_GCP, 512, 7, 1, 0};
        struct vn_duration_estimate estimate;
        vn_model_duration(model, &stats, &query, &estimate);
        CHECK_NEAR(12.5, estimate.log_mean, 0);
        CHECK(estimate.log_spread > 0);
        struct vn_cold_query cold = {VN_PLATFORM_AWS, 512, 1e12};
        CHECK_NEAR(0.5, vn_model_cold(model, &stats, &cold), 0);
}

/* What this machine computes today is what every machine must: a changed bit is a new model format. */
TEST(model_inference_bits_are_fixed)
{
        VN_AUTO(vn_model)
        model = random_model(42, VN_ACTIVATION_TANH);
        struct vn_fn_stats stats = {.windows = 20,
                                    .recent = 20,
                                    .mean = 12.5,
                                    .median = 12.25,
                                    .spread = 0.5,
                                    .last = 12,
                                    .payload_log_mean = 6,
                                    .cold_share = 0.25,
                                    .log_memory = 6,
                                    .slope_payload = 0.5,
                                    .slope_cold = 0.25,
                                    .calls_per_min = 3,
                                    .within_sd = 0.5};
        struct vn_duration_query query = {VN_PLATFORM_AZURE, 1536, 8, 0, INT64_C(1700000000000000)};
        struct vn_cold_query cold = {VN_PLATFORM_AZURE, 1536, 400};
        struct vn_duration_estimate estimate;
        vn_model_duration(model, &stats, &query, &estimate);
        double values[3] = {estimate.log_mean, estimate.log_spread, vn_model_cold(model, &stats, &cold)};
        char text[128];
        snprintf(text, sizeof text, "%a %a %a", values[0], values[1], values[2]);
        CHECK_TEXT("0x1.877ce69p+3 0x1.670c446308f3ep+0 0x1.e9ccdb61a32d2p-2", text);
}

/* --- gradients against finite differences --- */

/* Returns how many gradients were real, not near zero. */
static size_t check_gradient(const struct vn_net_shape *shape, float *p, const struct vn_duration_row *duration,
                             const struct vn_cold_row *cold)
{
        size_t n = vn_net_parameters(shape), checked = 0;
        double *grad = vn_alloc_array(n, sizeof *grad);
        if (duration)
                vn_duration_loss(shape, p, duration, grad);
        else
                vn_cold_loss(shape, p, cold, grad);
        for (size_t i = 0; i < n; i++) {
                float held = p[i], up = held + 0.004f, down = held - 0.004f;
                p[i] = up;
                double above =
                        duration ? vn_duration_loss(shape, p, duration, NULL) : vn_cold_loss(shape, p, cold, NULL);
                p[i] = down;
                double below =
                        duration ? vn_duration_loss(shape, p, duration, NULL) : vn_cold_loss(shape, p, cold, NULL);
                p[i] = held;
                double slope = (above - below) / ((double)up - (double)down);
                double size = grad[i] > 0 ? grad[i] : -grad[i];
                CHECK_NEAR(slope, grad[i], 1e-3 + 0.02 * size);
                checked += size > 1e-3;
        }
        vn_free(grad);
        return checked;
}

TEST(train_gradients_agree_with_finite_differences)
{
        uint64_t seed = test_seed();
        struct vn_rng rng;
        vn_rng_seed(&rng, seed);
        size_t checked = 0, parameters = 0;
        for (int round = 0; round < 3; round++) {
                VN_AUTO(vn_model)
                model = random_model(seed + (uint64_t)round, VN_ACTIVATION_TANH);
                struct vn_duration_row d = {.y = (float)(vn_rng_normal(&rng) + (round % 2 ? 2 : -2)), .weight = 1.5f};
                struct vn_cold_row c = {.share = (float)vn_rng_unit(&rng), .weight = 2};
                for (int i = 0; i < VN_DURATION_FEATURES; i++)
                        d.x[i] = (float)vn_rng_normal(&rng);
                for (int i = 0; i < VN_COLD_FEATURES; i++)
                        c.x[i] = (float)vn_rng_normal(&rng);
                checked += check_gradient(&model->shape.net[0], model->parameters, &d, NULL);
                checked += check_gradient(&model->shape.net[1],
                                          model->parameters + vn_net_parameters(&model->shape.net[0]), NULL, &c);
                parameters += model->parameter_count;
        }
        /* One random net may be saturated, and its gradients near zero; all of them are not. */
        CHECK(checked > parameters / 8);
}

static enum vn_rc model_pass(void)
{
        VN_AUTO(vn_model)
        model = NULL, copy = NULL, back = NULL;
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        VN_TRY(vn_model_new(&vn_model_shape_default, 1, &model, NULL));
        VN_TRY(vn_model_clone(model, &copy, NULL));
        VN_TRY(vn_model_encode(copy, &bytes, NULL));
        return vn_model_decode(vn_buf_view(&bytes), &back, NULL);
}

TEST(model_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(model_pass);
}
