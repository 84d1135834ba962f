#include "agents/meter.h"
#include "tests/test.h"

struct fake {
        struct vn_metered told;
        enum vn_rc rc;
        int64_t from_us, to_us;
        int asked;
};

static enum vn_rc read_fake(void *state, const struct vn_cloud_function *f, int64_t from_us, int64_t to_us,
                            struct vn_metered *ret, struct vn_err *err)
{
        struct fake *fake = state;
        (void)f;
        fake->asked++;
        fake->from_us = from_us;
        fake->to_us = to_us;
        *ret = fake->told;
        return fake->rc == VN_OK ? VN_OK : vn_fail(err, fake->rc, "no");
}

TEST(meter_uses_every_minute_once)
{
        struct vn_cloud_function f = {.name = "f", .region = "r", .memory_mb = 512, .milli_vcpu = 333};
        struct fake fake = {.told = {.calls = 3, .instance_s = 2}};
        static struct vn_window w, again;
        VN_AUTO(vn_meter)
        meter = NULL;
        CHECK_OK(vn_meter_new(&meter, NULL));
        w = (struct vn_window){.start_us = 10 * VN_WINDOW_US, .calls = 3, .billed_mb_us = 1};
        again = w;
        vn_meter_apply(meter, &f, read_fake, &fake, &w);
        CHECK_INT(2000000 * 512, w.billed_mb_us);
        CHECK_INT(2000000 * 333, w.billed_milli_vcpu_us);
        CHECK(w.metered && fake.from_us == w.start_us && fake.to_us == 11 * VN_WINDOW_US);
        vn_meter_apply(meter, &f, read_fake, &fake, &again);
        CHECK(!again.metered && again.billed_mb_us == 1 && fake.asked == 1);

        /* A minute without calls may still have been billed: it is in the next one. */
        w = (struct vn_window){.start_us = 13 * VN_WINDOW_US, .calls = 1};
        fake.told = (struct vn_metered){.calls = 1, .gb_s = 4};
        vn_meter_apply(meter, &f, read_fake, &fake, &w);
        CHECK_INT(11 * VN_WINDOW_US, fake.from_us);
        CHECK_INT(4 * INT64_C(1024000000), w.billed_mb_us);
}

TEST(meter_that_is_behind_or_away_changes_nothing)
{
        struct vn_cloud_function f = {.name = "f", .region = "r", .memory_mb = 512};
        struct fake fake = {.told = {.calls = 2, .gb_s = 9}};
        static struct vn_window w;
        VN_AUTO(vn_meter)
        meter = NULL;
        CHECK_OK(vn_meter_new(&meter, NULL));
        w = (struct vn_window){.start_us = 10 * VN_WINDOW_US, .calls = 3, .billed_mb_us = 7};
        vn_meter_apply(meter, &f, read_fake, &fake, &w);
        CHECK(!w.metered && w.billed_mb_us == 7);
        w.start_us += VN_WINDOW_US;
        fake = (struct fake){.rc = VN_UNAVAILABLE};
        vn_meter_apply(meter, &f, read_fake, &fake, &w);
        CHECK(!w.metered && w.billed_mb_us == 7);
        w.start_us += VN_WINDOW_US;
        fake = (struct fake){.told = {.calls = 3, .gb_s = 0.0 / 0.0}};
        vn_meter_apply(meter, &f, read_fake, &fake, &w);
        CHECK(!w.metered && fake.from_us == w.start_us); /* what was billed by rule is not metered later */
}
