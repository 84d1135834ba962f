/* Full disks: a spent budget, a file size limit (as a full file system looks to a writer), and recovery by itself. */
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/testing.h"
#include "tests/test.h"

static struct vn_note_key *key;

static struct vn_store *open_with(const char *dir, uint64_t budget, uint64_t min_free)
{
        struct vn_store *store = NULL;
        struct vn_err err = {.rc = VN_OK};
        if (!key)
                CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        struct vn_store_config config = testing_config(dir, key, 1);
        config.disk_budget_bytes = budget;
        config.min_free_bytes = min_free;
        if (vn_store_open(&config, &store, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "open: %s", err.msg);
        return store;
}

static enum vn_rc put(struct vn_store *store, uint64_t number, bool remove, bool reserve, struct vn_err *err)
{
        struct vn_key at;
        static char value[20000];
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        vn_key_u64(vn_key_init(&at, VN_STR("t")), number);
        if (remove)
                vn_batch_delete(batch, VN_TABLE_windows, &at);
        else
                vn_batch_put(batch, VN_TABLE_windows, &at, vn_str_n(value, reserve ? 100 : sizeof value));
        if (reserve)
                vn_batch_use_reserve(batch);
        return vn_store_commit(store, batch, err);
}

static uint64_t fill(struct vn_store *store, uint64_t max)
{
        struct vn_err err = {.rc = VN_OK};
        for (uint64_t n = 0; n < max; n++) {
                enum vn_rc rc = put(store, n, false, false, &err);
                if (rc == VN_OK)
                        continue;
                CHECK_RC(VN_RESOURCE_EXHAUSTED, rc);
                return n;
        }
        return max;
}

static void check_readable(struct vn_store *store, uint64_t count)
{
        struct vn_key at;
        for (uint64_t n = 0; n < count; n++) {
                VN_AUTO(vn_buf)
                value = VN_BUF_INIT(30000);
                enum vn_rc rc = vn_store_get(store, VN_TABLE_windows, vn_key_u64(vn_key_init(&at, VN_STR("t")), n),
                                             &value, NULL);
                if (rc != VN_OK)
                        test_fail(__FILE__, __LINE__, "value %llu of %llu: %s", (unsigned long long)n,
                                  (unsigned long long)count, vn_rc_name(rc));
        }
}

static bool comes_back(struct vn_store *store)
{
        for (int i = 0; i < 60; i++) {
                if (put(store, 100000, false, true, NULL) == VN_OK && put(store, 100001, false, false, NULL) == VN_OK)
                        return true;
                usleep(50000);
        }
        return false;
}

TEST(spent_budget_refuses_changes_and_recovers_when_there_is_room)
{
        struct vn_store *store = open_with(test_dir(), 20u << 20, 1);
        struct vn_store_stats stats;
        uint64_t count = fill(store, 5000);
        CHECK(count > 100 && count < 1100);
        vn_store_stats(store, &stats);
        CHECK(stats.read_only && stats.refused >= 1 && stats.used_bytes >= stats.budget_bytes);
        CHECK(strstr(stats.why, "budget"));
        CHECK(stats.used_bytes < stats.budget_bytes + (6u << 20));
        check_readable(store, count);
        CHECK_OK(put(store, 200000, false, true, NULL)); /* gap records and tombstones still find room */

        /* Routes wait in their ring, and then what does not fit is counted. */
        uint8_t bytes[300], view[32] = {1};
        struct vn_str record = testing_record(bytes, 300, 1, 1, 1, 1);
        uint64_t lost = 0;
        for (int i = 0; i < 300; i++)
                if (vn_ring_put(vn_store_ring(store, 0), record.ptr, record.len) != VN_OK) {
                        vn_ring_lost(vn_store_ring(store, 0), 1, i, view);
                        lost++;
                }
        CHECK_INT(300 - 256, lost);
        for (uint64_t n = 0; n < count; n++)
                CHECK_OK(put(store, n, true, false, NULL)); /* deleting is how room is made */
        CHECK(comes_back(store));
        CHECK_OK(vn_store_flush(store, NULL));
        vn_store_stats(store, &stats);
        CHECK(!stats.read_only && !stats.why[0]);
        CHECK_INT(1, stats.gaps);
        CHECK_INT(lost, stats.lost);
        CHECK_INT(257, vn_store_checkpoint(store).size);
        vn_store_free(store);
}

/* In a child, because the limit cannot be lifted again by everybody: files may not grow beyond 3 MiB. */
static void limited_life(const char *dir, int said)
{
        struct vn_store *store = open_with(dir, UINT64_C(1) << 30, 1);
        struct vn_store_stats stats;
        struct rlimit limit = {3u << 20, RLIM_INFINITY};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
                _exit(2);
        uint64_t count = fill(store, 5000);
        if (write(said, &count, sizeof count) != sizeof count)
                _exit(3);
        vn_store_stats(store, &stats);
        check_readable(store, count);
        limit.rlim_cur = RLIM_INFINITY;
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0)
                _exit(4);
        if (!comes_back(store))
                _exit(5);
        vn_store_free(store);
        _exit(0);
}

TEST(files_that_cannot_grow_are_survived)
{
        int pipes[2], status;
        uint64_t count;
        const char *dir = test_dir(); /* made before the fork: both must see the same one */
        CHECK(pipe(pipes) == 0);
        pid_t pid = fork();
        if (pid == 0)
                limited_life(dir, pipes[1]);
        close(pipes[1]);
        CHECK(read(pipes[0], &count, sizeof count) == sizeof count);
        CHECK(waitpid(pid, &status, 0) == pid);
        CHECK(WIFEXITED(status)); /* no SIGBUS */
        CHECK_INT(0, WEXITSTATUS(status));
        CHECK(count > 20 && count < 5000);
        struct vn_store *store = open_with(dir, UINT64_C(1) << 30, 1);
        check_readable(store, count);
        vn_store_free(store);
        close(pipes[0]);
}

TEST(full_file_system_is_survived)
{
        char dir[512], ballast[600];
        snprintf(dir, sizeof dir, "%s/small", test_dir());
        CHECK(mkdir(dir, 0700) == 0);
        if (mount("tmpfs", dir, "tmpfs", 0, "size=16m") != 0)
                test_skip("a small file system needs the right to mount");
        snprintf(ballast, sizeof ballast, "%s/ballast", dir);
        static char bytes[4u << 20];
        CHECK_OK(vn_file_write_atomic(ballast, vn_str_n(bytes, sizeof bytes), 0600, NULL));
        char state[600];
        snprintf(state, sizeof state, "%s/state", dir);
        struct vn_store *store = open_with(state, UINT64_C(1) << 30, 1);
        uint64_t count = fill(store, 5000);
        check_readable(store, count);
        vn_store_free(store);
        store = open_with(state, UINT64_C(1) << 30, 1); /* opens on the full disk, too */
        check_readable(store, count);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, put(store, 300000, false, false, NULL));
        unlink(ballast);
        bool back = comes_back(store);
        check_readable(store, count);
        vn_store_free(store);
        store = open_with(state, UINT64_C(1) << 30, 1);
        check_readable(store, count);
        vn_store_free(store);
        umount2(dir, MNT_DETACH);
        CHECK(count > 20 && count < 5000);
        CHECK(back);
}
