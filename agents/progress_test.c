#include "agents/progress.h"
#include "tests/test.h"

TEST(progress_survives_and_remembers_the_last_commands)
{
        static struct vn_progress progress, again;
        CHECK_OK(vn_progress_open(test_dir(), &progress, NULL));
        CHECK_INT(0, progress.collected_until_us);
        progress.collected_until_us = INT64_C(1700000040000000);
        for (unsigned i = 0; i < VN_MAX_REMEMBERED + 5; i++) {
                struct vn_command_result r = {.done = i % 2, .memory_mb = i, .guard = "g\"1", .error = "e"};
                snprintf(r.id, sizeof r.id, "d-%u", i);
                vn_progress_remember(&progress, &r);
        }
        CHECK_OK(vn_progress_save(&progress, NULL));
        CHECK_OK(vn_progress_open(test_dir(), &again, NULL));
        CHECK_INT(progress.collected_until_us, again.collected_until_us);
        CHECK(!vn_progress_find(&again, "d-4"));
        for (unsigned i = 5; i < VN_MAX_REMEMBERED + 5; i++) {
                char id[16];
                snprintf(id, sizeof id, "d-%u", i);
                const struct vn_command_result *r = vn_progress_find(&again, id);
                CHECK(r && r->done == i % 2 && r->memory_mb == i);
                CHECK_TEXT("g\"1", r->guard);
        }
}

TEST(progress_refuses_a_damaged_file)
{
        static struct vn_progress progress;
        char path[600];
        snprintf(path, sizeof path, "%s/progress.json", test_dir());
        static const char *const bad[] = {
                "{",
                "[]",
                "{\"collected_until_us\":\"x\",\"commands\":[]}",
                "{\"collected_until_us\":1,\"commands\":[1]}",
                "{\"collected_until_us\":1,\"commands\":[{\"id\":\"a\",\"memory_mb\":-1}]}",
        };
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
                CHECK_OK(vn_file_write_atomic(path, vn_str(bad[i]), 0600, NULL));
                CHECK(vn_progress_open(test_dir(), &progress, NULL) != VN_OK);
        }
}

static enum vn_rc save_and_open(void)
{
        static struct vn_progress progress;
        struct vn_command_result r = {.done = true, .id = "d-1", .guard = "g", .error = "e"};
        VN_TRY(vn_progress_open(test_dir(), &progress, NULL));
        vn_progress_remember(&progress, &r);
        VN_TRY(vn_progress_save(&progress, NULL));
        return vn_progress_open(test_dir(), &progress, NULL);
}

TEST(progress_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(save_and_open);
}
