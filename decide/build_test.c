#include "tests/test.h"

#include <math.h>

#include "decide/build.h"
#include "decide/testing.h"

static const double knots[VN_VIEW_KNOTS] = {0, 4096, 65536, 1048576};

/* A function seen at 512 MB: 100 ms, slower with payload, faster with memory. */
static struct vn_fn_stats stats_of_function(void)
{
        return (struct vn_fn_stats){.windows = 40,
                                    .recent = 40,
                                    .mean = log(1e5),
                                    .median = log(1e5),
                                    .spread = .1,
                                    .last = log(1e5),
                                    .payload_log_mean = log1p(4096),
                                    .log_memory = log(512),
                                    .slope_payload = .05,
                                    .slope_memory = -.8,
                                    .calls_per_min = 10,
                                    .within_sd = .2};
}

static void tables_are_sound(const struct vn_endpoint *e)
{
        for (unsigned k = 0; k < VN_VIEW_KNOTS; k++)
                for (unsigned q = 0; q < VN_VIEW_QUANTILES; q++)
                        CHECK(e->duration_us[k][q] >= (q ? e->duration_us[k][q - 1] : 1.f) &&
                              e->duration_us[k][q] < 1e10f);
        for (unsigned k = 0; k < VN_VIEW_COLD_KNOTS; k++)
                CHECK(e->cold_chance[k] >= 0 && e->cold_chance[k] <= 1);
}

TEST(build_from_history_alone)
{
        struct vn_fn_stats stats = stats_of_function();
        struct vn_build_input in = {.stats = &stats, .memory_mb = 512, .default_cold_us = 7e5};
        struct vn_endpoint e;
        vn_build_model_part(&in, knots, &e);
        tables_are_sound(&e);
        CHECK_NEAR(1e5, (double)e.duration_us[1][2], 100); /* the middle at the usual payload */
        CHECK(e.duration_us[3][2] > e.duration_us[1][2] && e.duration_us[0][2] < e.duration_us[1][2]);
        CHECK_NEAR(exp(1.6449 * .2), (double)(e.duration_us[1][5] / e.duration_us[1][2]), 1e-3);
        CHECK_NEAR(7e5, e.cold_us, 0);
}

TEST(build_takes_the_shape_of_what_was_seen)
{
        struct vn_fn_stats stats = stats_of_function();
        struct vn_sketch sketch;
        struct vn_build_input in = {.stats = &stats, .sketch = &sketch, .memory_mb = 512};
        struct vn_endpoint e;
        vn_sketch_init(&sketch);
        vn_sketch_add(&sketch, 50000, 90);
        vn_sketch_add(&sketch, 500000, 10); /* one call in ten takes ten times as long */
        vn_build_model_part(&in, knots, &e);
        tables_are_sound(&e);
        /* of 104 calls, four are the prior's */
        CHECK_NEAR(exp((100 * log(10) + 4 * 1.6449 * .2) / 104), (double)(e.duration_us[1][5] / e.duration_us[1][2]),
                   .2);
        vn_sketch_add(&sketch, 50000, 9000);
        vn_sketch_add(&sketch, 500000, 1000);
        vn_build_model_part(&in, knots, &e);
        CHECK_NEAR(10, (double)(e.duration_us[1][5] / e.duration_us[1][2]), .2);
}

/* A place that is seldom tried must not keep a tail that nobody has seen there: each call moves it, none makes it jump. */
TEST(build_weighs_the_shape_by_calls)
{
        struct vn_fn_stats stats = stats_of_function();
        struct vn_sketch sketch;
        struct vn_build_input in = {.stats = &stats, .sketch = &sketch, .memory_mb = 512};
        struct vn_endpoint e;
        double tail = 0, last;
        stats.within_sd = .6;
        vn_sketch_init(&sketch);
        for (unsigned calls = 0; calls <= 60; calls++) { /* all alike: their own spread is none */
                vn_build_model_part(&in, knots, &e);
                tables_are_sound(&e);
                last = tail;
                tail = (double)(e.duration_us[1][5] / e.duration_us[1][2]);
                CHECK_NEAR(exp(1.6449 * .6 * 4 / (4. + calls)), tail, .01);
                CHECK(!calls || (tail < last && tail > last * .8));
                vn_sketch_add(&sketch, 100000, 1);
        }
}

TEST(build_with_a_model_and_without_anything)
{
        VN_AUTO(vn_model)
        model = NULL;
        struct vn_fn_stats stats = stats_of_function(), odd = stats;
        struct vn_build_input in = {.default_us = 3e5, .memory_mb = 512, .default_cold_us = 1e6};
        struct vn_endpoint e;
        vn_build_model_part(&in, knots, &e); /* nothing known: what the caller assumes */
        tables_are_sound(&e);
        CHECK_NEAR(3e5, (double)e.duration_us[0][2], 10);

        CHECK_OK(vn_model_new(&vn_model_shape_default, 1, &model, NULL));
        in.model = model;
        in.stats = &stats;
        vn_build_model_part(&in, knots, &e);
        tables_are_sound(&e);
        odd.mean = 1e6, odd.within_sd = NAN; /* whatever the statistics hold, the tables can be sealed */
        in.stats = &odd;
        vn_build_model_part(&in, knots, &e);
        tables_are_sound(&e);
}

TEST(build_curve_has_the_billing_of_the_place)
{
        struct vn_fn_stats stats = stats_of_function();
        struct vn_build_input in = {.stats = &stats, .memory_mb = 512};
        const struct vn_endpoint e = {.usd_per_gb_s = 1e-5,
                                      .share = 1,
                                      .rounding_us = 100000,
                                      .minimum_us = 100000,
                                      .request_usd = 2e-7,
                                      .egress_usd_per_gb = .1};
        struct vn_build_size sizes[3] = {{256, .25, 0}, {512, .5, 0}, {1024, 1, 0}};
        struct vn_curve_point curve[VN_TUNE_MAX_POINTS];
        CHECK_INT(3, vn_build_curve(&in, &e, 1000, sizes, 3, curve));
        for (unsigned i = 0; i < 3; i++) {
                CHECK_INT(sizes[i].memory_mb, curve[i].memory_mb);
                CHECK(curve[i].p95_us >= curve[i].p50_us);
                CHECK(i == 0 || curve[i].p50_us < curve[i - 1].p50_us);
        }
        /* 1,024 MB: 57 ms and its tail stay within one step of 100 ms: 1 GB x .1 s x 1e-5, the request, the egress. */
        CHECK_NEAR(1 + .2 + .1, curve[2].usd_per_million, 1e-9);
}
