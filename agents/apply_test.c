#include "agents/apply.h"
#include "tests/test.h"

struct fake {
        struct vn_apply_state now;
        unsigned reads, sets;
        bool paused, pause_after_read;
        enum vn_rc read_rc, set_rc;
};

static enum vn_rc fake_read(void *state, const char *function, const char *region, struct vn_apply_state *ret,
                            struct vn_err *err)
{
        struct fake *fake = state;
        (void)function, (void)region;
        fake->reads++;
        fake->paused |= fake->pause_after_read;
        *ret = fake->now;
        return fake->read_rc == VN_OK ? VN_OK : vn_fail(err, fake->read_rc, "cloud says no");
}

static enum vn_rc fake_set(void *state, const char *function, const char *region, uint32_t memory_mb,
                           struct vn_apply_state *ret, struct vn_err *err)
{
        struct fake *fake = state;
        (void)function, (void)region;
        fake->sets++;
        if (fake->set_rc != VN_OK)
                return vn_fail(err, fake->set_rc, "guard lost");
        fake->now.memory_mb = memory_mb;
        CHECK(vn_str_copy(fake->now.guard, sizeof fake->now.guard, VN_STR("g2")));
        *ret = fake->now;
        return VN_OK;
}

static bool fake_paused(void *state, const char *function)
{
        (void)function;
        return ((struct fake *)state)->paused;
}

static const struct vn_agent_command usual = {.id = "d-1",
                                              .function = "f",
                                              .memory_mb = 768,
                                              .expected_guard = "g1",
                                              .expected_memory_mb = 512,
                                              .expires_us = 100};

static struct vn_command_result run(struct fake *fake, const struct vn_agent_command *command, const char *level,
                                    int64_t now_us)
{
        struct vn_apply_cloud cloud = {fake, fake_read, fake_set, fake_paused};
        struct vn_command_result result;
        vn_apply(&cloud, command, level, now_us, &result);
        CHECK_TEXT("d-1", result.id);
        CHECK(result.done == !result.error[0]);
        return result;
}

static struct fake cloud_at(uint32_t memory_mb)
{
        return (struct fake){.now = {.memory_mb = memory_mb, .guard = "g1"}};
}

TEST(apply_changes_memory_once)
{
        struct fake fake = cloud_at(512);
        struct vn_command_result r = run(&fake, &usual, "tune", 50);
        CHECK(r.done);
        CHECK_INT(768, r.memory_mb);
        CHECK_TEXT("g2", r.guard);
        r = run(&fake, &usual, "tune", 50); /* again, after a crash: nothing more happens */
        CHECK(r.done);
        CHECK_INT(1, fake.sets);
}

static void check_refused(struct fake fake, struct vn_agent_command command, const char *level, int64_t now_us,
                          const char *why)
{
        struct vn_command_result r = run(&fake, &command, level, now_us);
        CHECK(!r.done);
        CHECK(strstr(r.error, why));
        CHECK_INT(0, fake.sets);
}

TEST(apply_refuses_what_it_must)
{
        struct fake fake = cloud_at(512);
        struct vn_agent_command c = usual;
        check_refused(fake, c, "observe", 50, "observed only");
        check_refused(fake, c, "", 50, "observed only");
        check_refused(fake, c, "tune", 101, "expired");
        c.memory_mb = 769;
        check_refused(fake, c, "tune", 50, "+50 %");
        c.expected_memory_mb = 0; /* not told: the cloud's own figure counts */
        check_refused(fake, c, "tune", 50, "+50 %");
        c = usual, c.memory_mb = 0;
        check_refused(fake, c, "tune", 50, "no such memory");
        check_refused(cloud_at(640), usual, "tune", 50, "not what the decision");
        fake = cloud_at(512), fake.now.guard[1] = '9';
        check_refused(fake, usual, "tune", 50, "has changed");
        fake = cloud_at(512), fake.now.busy = true;
        check_refused(fake, usual, "tune", 50, "under way");
        fake = cloud_at(512), fake.paused = true;
        check_refused(fake, usual, "tune", 50, "paused");
        fake = cloud_at(512), fake.pause_after_read = true; /* the pause came in between */
        check_refused(fake, usual, "tune", 50, "paused");
        fake = cloud_at(512), fake.read_rc = VN_UNAVAILABLE;
        check_refused(fake, usual, "tune", 50, "cloud says no");
}

TEST(apply_reports_a_lost_guard_and_lets_a_rollback_go_far)
{
        struct fake fake = cloud_at(512);
        fake.set_rc = VN_ABORTED;
        struct vn_command_result r = run(&fake, &usual, "invoke", 50);
        CHECK(!r.done && strstr(r.error, "guard lost"));
        CHECK_INT(512, r.memory_mb);
        fake = cloud_at(512);
        struct vn_agent_command c = usual;
        c.rollback = true, c.memory_mb = 2048;
        CHECK(run(&fake, &c, "tune", 50).done);
}
