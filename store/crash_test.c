/* Kills a process at every fault point of the store, many times over, and looks at what the next one finds:
 * nothing that was acknowledged is missing, nothing is there twice, tables and records tell the same story, and the
 * log verifies. The acknowledgements go through a shared page, which survives the kill. */
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/testing.h"
#include "tests/test.h"

#define CHANGES 40 /* in one life of the process */
#define KEYS 64
#define LIVES 4

static struct vn_note_key *key;

struct shared {                   /* what the killed process had been told */
        _Atomic uint64_t changes; /* numbers below are acknowledged */
        _Atomic uint64_t routes;
        _Atomic uint64_t opened;
};

static void make_key(void)
{
        if (!key)
                CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
}

static struct vn_store *open_at(const char *dir, struct vn_err *err)
{
        struct vn_store *store = NULL;
        struct vn_store_config config = testing_config(dir, key, 1);
        config.checkpoint_interval_us = 2000;
        config.segment_max_bytes = 128 * 1024; /* rolls often */
        if (vn_store_open(&config, &store, err) != VN_OK)
                return NULL;
        return store;
}

/* Change number n: puts "last" = n and key n % KEYS = n, with one record; the odd ones have no record. */
static enum vn_rc change(struct vn_store *store, uint64_t n)
{
        struct vn_key at;
        uint8_t bytes[400];
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        struct vn_str value = vn_str_n(&n, sizeof n);
        vn_batch_put(batch, VN_TABLE_meta, vn_key_text(vn_key_init(&at, VN_STR("t")), VN_STR("last")), value);
        vn_batch_put(batch, VN_TABLE_meters, vn_key_u64(vn_key_init(&at, VN_STR("t")), n % KEYS), value);
        if (n % 2 == 0)
                vn_batch_record(batch, testing_record(bytes, 300, 1, n, 1, 0));
        return vn_store_commit(store, batch, NULL);
}

static void live(const char *dir, struct shared *shared, uint64_t seed)
{
        struct vn_store *store = open_at(dir, NULL);
        struct vn_rng rng;
        uint8_t bytes[5000];
        vn_rng_seed(&rng, seed);
        if (!store)
                _exit(3);
        atomic_store(&shared->opened, 1);
        for (int i = 0; i < CHANGES; i++) {
                for (uint64_t k = vn_rng_below(&rng, 30); k > 0; k--) {
                        uint64_t n = atomic_load(&shared->routes);
                        struct vn_str record = testing_record(bytes, 150 + vn_rng_below(&rng, 3) * 1200, 2, n, 1, 0);
                        if (vn_ring_put(vn_store_ring(store, 0), record.ptr, record.len) == VN_OK)
                                atomic_store(&shared->routes, n + 1);
                }
                uint64_t n = atomic_load(&shared->changes);
                if (change(store, n) == VN_OK)
                        atomic_store(&shared->changes, n + 1);
                else
                        _exit(4);
        }
        vn_store_free(store);
        _exit(0);
}

/* --- what the next process finds --- */
struct found {
        uint64_t changes; /* last + 1 by the records: even numbers in order */
        uint64_t routes;
        bool wrong;
};

static bool find_record(void *arg, uint64_t seq, struct vn_str record)
{
        (void)seq;
        struct found *f = arg;
        struct testing_record r;
        memcpy(&r, record.ptr, sizeof r);
        if (r.kind[0] == 'g') {
                f->wrong = true;
        } else if (r.origin == 1) {
                f->wrong = f->wrong || r.id < f->changes || r.id % 2 || r.id > f->changes + 1;
                f->changes = r.id + 1;
        } else {
                f->wrong = f->wrong || r.id != f->routes;
                f->routes = r.id + 1;
        }
        return true;
}

static uint64_t value_of(struct vn_store *store, enum vn_table table, const struct vn_key *at)
{
        uint64_t n;
        VN_AUTO(vn_buf)
        value = VN_BUF_INIT(100);
        if (vn_store_get(store, table, at, &value, NULL) != VN_OK)
                return UINT64_MAX;
        CHECK_INT(sizeof n, value.len);
        memcpy(&n, value.ptr, sizeof n);
        return n;
}

static void check_store(const char *dir, struct shared *shared)
{
        struct vn_err err = {.rc = VN_OK};
        struct vn_store *store = open_at(dir, &err);
        if (!store)
                test_fail(__FILE__, __LINE__, "after the kill: %s", err.msg);
        CHECK_OK(vn_store_flush(store, &err));
        struct found found = {0};
        struct vn_record_filter filter = {.limit = SIZE_MAX};
        uint64_t next;
        CHECK_OK(vn_store_records(store, &filter, find_record, &found, &next, &err));
        CHECK(!found.wrong);
        CHECK_INT(next, vn_store_checkpoint(store).size);

        struct vn_key at;
        uint64_t last =
                value_of(store, VN_TABLE_meta, vn_key_text(vn_key_init(&at, VN_STR("t")), VN_STR("last"))) + 1;
        uint64_t told = atomic_load(&shared->changes), routes = atomic_load(&shared->routes);
        if (last != told && last != told + 1) /* the one under way may have come through */
                test_fail(__FILE__, __LINE__, "last %llu, told %llu, records %llu", (unsigned long long)last,
                          (unsigned long long)told, (unsigned long long)found.changes);
        CHECK(found.changes == last || found.changes + 1 == last);
        CHECK(found.routes == routes || found.routes == routes + 1);
        for (uint64_t n = last > KEYS ? last - KEYS : 0; n < last; n++)
                CHECK_INT(n, value_of(store, VN_TABLE_meters, vn_key_u64(vn_key_init(&at, VN_STR("t")), n % KEYS)));
        atomic_store(&shared->changes, last);
        atomic_store(&shared->routes, found.routes);
        vn_store_free(store);
        struct vn_verify_report report;
        struct vn_record_ops ops = testing_ops();
        if (vn_store_verify(dir, key, &ops, &report, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "verify: %s", err.msg);
        CHECK_INT(0, report.missing);
}

static unsigned kill_at(const char *dir, const char *point, struct vn_rng *rng, bool armed_at_open)
{
        struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        unsigned killed = 0;
        CHECK(shared != MAP_FAILED);
        for (int i = 0; i < LIVES; i++) {
                uint64_t seed = vn_rng_u64(rng), nth = 1 + vn_rng_below(rng, armed_at_open ? 3 : 40);
                int status;
                pid_t pid = fork();
                if (pid == 0) {
                        vn_fault_arm(point, nth, VN_FAULT_KILL);
                        live(dir, shared, seed);
                }
                CHECK(waitpid(pid, &status, 0) == pid);
                killed += WIFSIGNALED(status) != 0;
                CHECK(WIFSIGNALED(status) ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
                check_store(dir, shared);
        }
        munmap(shared, 4096);
        return killed;
}

static const char *const points[] = {
        "store.commit.before",   "store.commit.between", "store.keyed.before", "store.keyed.after", "log.sync",
        "log.checkpoint.before", "log.checkpoint.after", "file.sync",          "file.rename",
};

TEST(a_kill_at_any_point_loses_and_doubles_nothing)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        make_key();
        for (size_t i = 0; i < sizeof points / sizeof *points; i++) {
                char dir[512];
                snprintf(dir, sizeof dir, "%s/%zu", test_dir(), i);
                if (!kill_at(dir, points[i], &rng, false))
                        test_fail(__FILE__, __LINE__, "%s was never reached", points[i]);
        }
}

TEST(a_kill_while_opening_is_harmless)
{
        static const char *const opening[] = {"store.env.sync", "store.env.rename"};
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        make_key();
        for (size_t i = 0; i < 2; i++) {
                char dir[512];
                snprintf(dir, sizeof dir, "%s/%zu", test_dir(), i);
                CHECK(kill_at(dir, opening[i], &rng, true));
        }
}

TEST(a_kill_at_any_time_loses_and_doubles_nothing)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        make_key();
        struct shared *shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        const char *dir = test_dir(); /* made before the fork: both must see the same one */
        for (int i = 0; i < 25; i++) {
                uint64_t seed = vn_rng_u64(&rng);
                pid_t pid = fork();
                if (pid == 0)
                        live(dir, shared, seed);
                usleep((useconds_t)vn_rng_below(&rng, 60000));
                kill(pid, SIGKILL);
                CHECK(waitpid(pid, NULL, 0) == pid);
                check_store(dir, shared);
        }
        munmap(shared, 4096);
}

TEST(failures_that_are_not_kills_are_told_and_leave_the_store_whole)
{
        make_key();
        static const char *const failing[] = {"store.commit.before", "store.keyed.before", "log.checkpoint.before",
                                              "file.sync"};
        for (size_t i = 0; i < 4; i++) {
                char dir[512];
                snprintf(dir, sizeof dir, "%s/%zu", test_dir(), i);
                struct shared shared = {0};
                struct vn_store *store = open_at(dir, NULL);
                CHECK(store);
                for (uint64_t n = 0; n < 60; n++) {
                        if (n % 10 == 5)
                                vn_fault_arm(failing[i], 1, VN_FAULT_FAIL);
                        for (int again = 0; change(store, n) != VN_OK; again++) {
                                if (again == 100)
                                        break;
                                usleep(20000); /* read-only until the next look at the disk */
                        }
                        atomic_store(&shared.changes, n + 1);
                        if (i == 3) { /* a failed sync: this process may acknowledge nothing more */
                                usleep(10000);
                                if (change(store, n + 1) != VN_OK)
                                        break;
                                atomic_store(&shared.changes, ++n + 1);
                        }
                }
                vn_fault_clear();
                vn_store_free(store);
                check_store(dir, &shared);
        }
}
