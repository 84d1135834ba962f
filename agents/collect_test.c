/* Used memory out of billed GB-seconds and logged time. */
#include "agents/collect.h"

#include "tests/test.h"

struct meter {
        double gb_s, calls;
        int asked;
        enum vn_rc rc;
};

static enum vn_rc read_meter(void *state, const struct vn_cloud_function *function, int64_t from_us, int64_t to_us,
                             double *ret_gb_s, double *ret_calls, struct vn_err *err)
{
        struct meter *m = state;

        (void)function;
        CHECK(from_us < to_us && from_us % VN_US_PER_MIN == 0);
        m->asked++;
        *ret_gb_s = m->gb_s;
        *ret_calls = m->calls;
        return m->rc == VN_OK ? VN_OK : vn_fail(err, m->rc, "no");
}

static const struct vn_cloud_function f = {.name = "f"};

TEST(used_memory_is_what_the_meter_billed)
{
        VN_AUTO(vn_used_memory)
        used = NULL;
        /* Ten calls of 250 ms at 384 MB. */
        struct meter m = {.gb_s = 10 * 0.25 * 384 / 1024, .calls = 10};
        const struct vn_used_memory_meter meter = {read_meter, &m};
        int64_t now = VN_US_PER_HOUR;

        CHECK_OK(vn_used_memory_new(&used, NULL));
        for (int i = 0; i < 10; i++)
                CHECK_OK(vn_used_memory_add(used, &f, now + i, 250000, NULL));
        CHECK_INT(0, vn_used_memory_mb(used, "f"));
        CHECK_OK(vn_used_memory_refresh(used, now + VN_US_PER_MIN, &meter, NULL));
        CHECK_INT(384, vn_used_memory_mb(used, "f"));
        CHECK_INT(0, vn_used_memory_mb(used, "g"));
        /* Not again within ten minutes, nor without new calls. */
        CHECK_OK(vn_used_memory_refresh(used, now + 2 * VN_US_PER_MIN, &meter, NULL));
        CHECK_OK(vn_used_memory_refresh(used, now + 20 * VN_US_PER_MIN, &meter, NULL));
        CHECK_INT(1, m.asked);
}

TEST(used_memory_scales_to_the_calls_that_the_meter_saw)
{
        VN_AUTO(vn_used_memory)
        used = NULL;
        struct meter m = {.gb_s = 5 * 0.1 * 128 / 1024, .calls = 5}; /* five more are not metered yet */
        const struct vn_used_memory_meter meter = {read_meter, &m};

        CHECK_OK(vn_used_memory_new(&used, NULL));
        for (int i = 0; i < 10; i++)
                CHECK_OK(vn_used_memory_add(used, &f, VN_US_PER_HOUR, 20000, NULL)); /* billed as 100 ms */
        CHECK_OK(vn_used_memory_refresh(used, 2 * VN_US_PER_HOUR, &meter, NULL));
        CHECK_INT(128, vn_used_memory_mb(used, "f"));
}

TEST(used_memory_keeps_what_it_knew_when_the_meter_fails_or_is_empty)
{
        VN_AUTO(vn_used_memory)
        used = NULL;
        struct meter m = {.gb_s = 0.1 * 256 / 1024, .calls = 1};
        const struct vn_used_memory_meter meter = {read_meter, &m};
        int64_t now = VN_US_PER_HOUR;

        CHECK_OK(vn_used_memory_new(&used, NULL));
        CHECK_OK(vn_used_memory_add(used, &f, now, 100000, NULL));
        CHECK_OK(vn_used_memory_refresh(used, now + 1, &meter, NULL));
        CHECK_INT(256, vn_used_memory_mb(used, "f"));
        CHECK_OK(vn_used_memory_add(used, &f, now, 100000, NULL));
        m.rc = VN_UNAVAILABLE;
        CHECK_RC(VN_UNAVAILABLE, vn_used_memory_refresh(used, now + VN_US_PER_HOUR, &meter, NULL));
        m = (struct meter){0};
        CHECK_OK(vn_used_memory_refresh(used, now + 2 * VN_US_PER_HOUR, &meter, NULL));
        CHECK_INT(256, vn_used_memory_mb(used, "f"));
}

static enum vn_rc add_two(void)
{
        VN_AUTO(vn_used_memory)
        used = NULL;

        VN_TRY(vn_used_memory_new(&used, NULL));
        return vn_used_memory_add(used, &f, 0, 1, NULL);
}

TEST(used_memory_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(add_two);
}
