#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <lmdb.h>

#include "base/fault.h"
#include "store/blob.h"
#include "store/engine.h"
#include "store/testing.h"
#include "tests/test.h"

static struct vn_note_key *key;

static struct vn_store *open_store(const char *dir, bool fake)
{
        struct vn_store *store = NULL;
        struct vn_err err = {.rc = VN_OK};
        if (!key)
                CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        struct vn_store_config config = testing_config(dir, key, 2);
        if (fake) {
                struct vn_engine *engine;
                CHECK_OK(vn_engine_fake_open(&config, 2000, 500, &engine, &err));
                CHECK_OK(vn_store_open_engine(&config, engine, &store, &err));
        } else if (vn_store_open(&config, &store, &err) != VN_OK) {
                test_fail(__FILE__, __LINE__, "open: %s", err.msg);
        }
        return store;
}

static struct vn_key *k(struct vn_key *to, const char *tenant, const char *name)
{
        return vn_key_text(vn_key_init(to, vn_str(tenant)), vn_str(name));
}

static enum vn_rc put(struct vn_store *store, const char *tenant, const char *name, const char *value)
{
        struct vn_key at;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        vn_batch_put(batch, VN_TABLE_policies, k(&at, tenant, name), vn_str(value));
        return vn_store_commit(store, batch, NULL);
}

static void check_value(struct vn_store *store, const char *tenant, const char *name, const char *want)
{
        struct vn_key at;
        VN_AUTO(vn_buf)
        value = VN_BUF_INIT(1000);
        enum vn_rc rc = vn_store_get(store, VN_TABLE_policies, k(&at, tenant, name), &value, NULL);
        CHECK_RC(want ? VN_OK : VN_NOT_FOUND, rc);
        if (want)
                CHECK_TEXT(want, value.ptr);
}

static bool join(void *arg, struct vn_str at, struct vn_str value)
{
        struct vn_str tenant, name;
        if (!vn_key_take_text(&at, &tenant) || !vn_key_take_text(&at, &name))
                return false;
        vn_buf_printf(arg, "%.*s/%.*s=%.*s ", VN_FMT(tenant), VN_FMT(name), VN_FMT(value));
        return true;
}

static void tables(bool fake)
{
        struct vn_store *store = open_store(test_dir(), fake);
        struct vn_key at, after, to;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1000);
        CHECK_OK(put(store, "acme", "b", "2"));
        CHECK_OK(put(store, "acme", "a", "1"));
        CHECK_OK(put(store, "acme", "c", "3"));
        CHECK_OK(put(store, "acme2", "a", "other tenant"));
        CHECK_OK(put(store, "ac", "a", "other tenant"));
        CHECK_OK(put(store, "acme", "b", "two"));
        check_value(store, "acme", "b", "two");
        check_value(store, "acme", "d", NULL);

        vn_key_init(&at, VN_STR("acme"));
        CHECK_OK(vn_store_scan(store, VN_TABLE_policies, &at, NULL, 100, join, &text, NULL));
        CHECK_TEXT("acme/a=1 acme/b=two acme/c=3 ", text.ptr);
        vn_buf_reset(&text);
        CHECK_OK(vn_store_scan(store, VN_TABLE_policies, &at, k(&after, "acme", "a"), 1, join, &text, NULL));
        CHECK_TEXT("acme/b=two ", text.ptr);
        vn_buf_reset(&text);
        CHECK_OK(vn_store_scan(store, VN_TABLE_accounts, &at, NULL, 100, join, &text, NULL));
        CHECK_INT(0, text.len);

        /* A batch whose precondition fails changes nothing; the right one changes all. */
        vn_batch_put(batch, VN_TABLE_policies, k(&at, "acme", "z"), VN_STR("9"));
        vn_batch_require_equal(batch, VN_TABLE_policies, k(&at, "acme", "b"), VN_STR("2"));
        CHECK_RC(VN_ABORTED, vn_store_commit(store, batch, NULL));
        check_value(store, "acme", "z", NULL);
        vn_batch_reset(batch);
        vn_batch_require_absent(batch, VN_TABLE_policies, k(&at, "acme", "a"));
        vn_batch_put(batch, VN_TABLE_policies, k(&at, "acme", "a"), VN_STR("9"));
        CHECK_RC(VN_ALREADY_EXISTS, vn_store_commit(store, batch, NULL));
        check_value(store, "acme", "a", "1");
        vn_batch_reset(batch);
        vn_batch_require_absent(batch, VN_TABLE_policies, k(&at, "acme", "z"));
        vn_batch_require_equal(batch, VN_TABLE_policies, k(&at, "acme", "b"), VN_STR("two"));
        vn_batch_put(batch, VN_TABLE_policies, k(&at, "acme", "z"), VN_STR("9"));
        vn_batch_delete(batch, VN_TABLE_policies, k(&at, "acme", "b"));
        vn_batch_delete(batch, VN_TABLE_policies, k(&at, "acme", "never was"));
        CHECK_OK(vn_store_commit(store, batch, NULL));
        check_value(store, "acme", "b", NULL);
        vn_batch_reset(batch);
        vn_batch_delete_range(batch, VN_TABLE_policies, k(&at, "acme", "a"), k(&to, "acme", "z"), 1);
        CHECK_OK(vn_store_commit(store, batch, NULL));
        check_value(store, "acme", "a", NULL);
        check_value(store, "acme", "c", "3");
        CHECK_OK(vn_store_commit(store, batch, NULL));
        check_value(store, "acme", "c", NULL);
        check_value(store, "acme", "z", "9");
        vn_store_free(store);
}

TEST(tables_hold_what_was_put_lmdb)
{
        tables(false);
}

TEST(tables_hold_what_was_put_fake)
{
        tables(true);
}

TEST(malformed_batches_are_refused)
{
        struct vn_store *store = open_store(test_dir(), false);
        struct vn_key at;
        static char large[VN_VALUE_MAX_BYTES + 1];
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        vn_batch_put(batch, VN_TABLE_policies, vn_key_text(vn_key_init(&at, VN_STR("a")), vn_str_n(large, 300)),
                     VN_STR("x"));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_store_commit(store, batch, NULL));
        vn_batch_reset(batch);
        vn_batch_put(batch, VN_TABLE_policies, vn_key_init(&at, VN_STR("")), VN_STR("x"));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_store_commit(store, batch, NULL));
        vn_batch_reset(batch);
        vn_batch_put(batch, VN_TABLE_policies, vn_key_text(vn_key_init(&at, VN_STR("a")), VN_STR("b\0c")),
                     VN_STR("x"));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_store_commit(store, batch, NULL));
        vn_batch_reset(batch);
        vn_batch_put(batch, VN_TABLE_policies, k(&at, "a", "b"), vn_str_n(large, sizeof large));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_store_commit(store, batch, NULL));
        vn_batch_reset(batch);
        vn_batch_record(batch, vn_str_n(large, VN_STORE_RECORD_MAX_BYTES + 1));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_store_commit(store, batch, NULL));
        vn_batch_reset(batch);
        for (int i = 0; i < 200; i++)
                vn_batch_put(batch, VN_TABLE_policies, k(&at, "a", "b"), vn_str_n(large, VN_VALUE_MAX_BYTES));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_store_commit(store, batch, NULL));
        vn_batch_reset(batch);
        vn_batch_put(batch, VN_TABLE_policies, k(&at, "a", "b"), vn_str_n(large, VN_VALUE_MAX_BYTES));
        CHECK_OK(vn_store_commit(store, batch, NULL));
        vn_store_free(store);
}

TEST(state_survives_a_restart)
{
        const char *dir = test_dir();
        struct vn_store *store = open_store(dir, false);
        uint8_t bytes[300];
        struct vn_err err = {.rc = VN_OK};
        CHECK_OK(put(store, "acme", "a", "1"));
        for (uint64_t i = 0; i < 700; i++) {
                struct vn_str record = testing_record(bytes, 200, 1, i, 1000 + (int64_t)i, 5);
                while (vn_ring_put(vn_store_ring(store, 0), record.ptr, record.len) != VN_OK)
                        usleep(100);
        }
        vn_store_free(store);
        store = open_store(dir, false);
        check_value(store, "acme", "a", "1");
        CHECK_INT(700, vn_store_checkpoint(store).size);
        CHECK_INT(700, vn_ring_next_seq(vn_store_ring(store, 0)));
        struct vn_store_stats stats;
        vn_store_stats(store, &stats);
        CHECK_INT(0, stats.gaps);
        vn_store_free(store);
        struct vn_record_ops ops = testing_ops();
        struct vn_verify_report report;
        CHECK_OK(vn_store_verify(dir, key, &ops, &report, &err));
        CHECK_INT(700, report.records);
}

TEST(second_opener_is_refused_with_the_name_of_the_first)
{
        struct vn_store *store = open_store(test_dir(), false), *second = NULL;
        struct vn_store_config config = testing_config(test_dir(), key, 2);
        struct vn_err err = {.rc = VN_OK};
        char pid[32];
        snprintf(pid, sizeof pid, "process %ld", (long)getpid());
        CHECK_RC(VN_FAILED_PRECONDITION, vn_store_open(&config, &second, &err));
        CHECK(strstr(err.msg, pid));
        pid_t child = fork();
        if (child == 0)
                _exit(vn_store_open(&config, &second, NULL) == VN_FAILED_PRECONDITION ? 0 : 1);
        int status;
        CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
        vn_store_free(store);
        store = open_store(test_dir(), false);
        vn_store_free(store);
}

static void raise_schema(const char *dir, const char *sub, const char *db, const char *name)
{
        char path[512];
        MDB_env *env;
        MDB_txn *txn;
        MDB_dbi dbi;
        uint64_t version = 99;
        MDB_val at = {strlen(name), (void *)(uintptr_t)name}, data = {sizeof version, &version};
        snprintf(path, sizeof path, "%s/%s", dir, sub);
        CHECK(!mdb_env_create(&env) && !mdb_env_set_maxdbs(env, 4) && !mdb_env_open(env, path, 0, 0600));
        CHECK(!mdb_txn_begin(env, NULL, 0, &txn) && !mdb_dbi_open(txn, db, 0, &dbi));
        CHECK(!mdb_put(txn, dbi, &at, &data, 0) && !mdb_txn_commit(txn));
        mdb_env_close(env);
}

TEST(newer_schema_is_refused_clearly)
{
        static const char *const places[][3] = {{"keyed", "_schema", "format"},
                                                {"keyed", "_schema", "policies"},
                                                {"segments/0000000000000001", "meta", "format"}};
        for (size_t i = 0; i < 3; i++) {
                char dir[512];
                struct vn_store *store;
                struct vn_err err = {.rc = VN_OK};
                snprintf(dir, sizeof dir, "%s/%zu", test_dir(), i);
                store = vn_store_free(open_store(dir, false));
                raise_schema(dir, places[i][0], places[i][1], places[i][2]);
                struct vn_store_config config = testing_config(dir, key, 2);
                CHECK_RC(VN_FAILED_PRECONDITION, vn_store_open(&config, &store, &err));
                CHECK(strstr(err.msg, "99") && strstr(err.msg, "newer"));
        }
}

/* --- asynchronous use --- */
struct work {
        _Atomic int done;
        _Atomic int rc;
        char value[32];
};

static enum vn_rc read_work(void *arg, struct vn_snap *snap)
{
        struct work *w = arg;
        struct vn_key at;
        VN_AUTO(vn_buf)
        value = VN_BUF_INIT(100);
        VN_TRY(vn_snap_get(snap, VN_TABLE_policies, k(&at, "acme", "a"), &value, NULL));
        return vn_str_copy(w->value, sizeof w->value, vn_buf_view(&value)) ? VN_OK : VN_INTERNAL;
}

static void work_done(void *arg, enum vn_rc rc)
{
        struct work *w = arg;
        atomic_store(&w->rc, (int)rc);
        atomic_fetch_add(&w->done, 1);
}

static void wait_for(struct work *w, int n)
{
        for (int i = 0; i < 20000 && atomic_load(&w->done) < n; i++)
                usleep(500);
        CHECK_INT(n, atomic_load(&w->done));
}

static void async(bool fake)
{
        struct vn_store *store = open_store(test_dir(), fake);
        struct vn_batch *batches[50];
        struct work writes = {.done = 0}, reads = {.done = 0};
        struct vn_key at;
        for (int i = 0; i < 50; i++) {
                char value[32];
                batches[i] = vn_batch_new();
                snprintf(value, sizeof value, "%d", i);
                vn_batch_put(batches[i], VN_TABLE_policies, k(&at, "acme", "a"), vn_str(value));
                CHECK_OK(vn_store_submit(store, batches[i], work_done, &writes, NULL));
        }
        wait_for(&writes, 50);
        CHECK_OK(vn_store_read(store, read_work, work_done, &reads));
        wait_for(&reads, 1);
        CHECK_TEXT("49", reads.value); /* in order of submission */
        for (int i = 0; i < 50; i++)
                vn_batch_free(batches[i]);
        struct vn_store_stats stats;
        vn_store_stats(store, &stats);
        CHECK(stats.commits < 50); /* grouped */
        vn_store_free(store);
}

TEST(changes_are_grouped_and_answered_in_order_lmdb)
{
        async(false);
}

TEST(changes_are_grouped_and_answered_in_order_fake)
{
        async(true);
}

TEST(slow_engine_delays_no_ring)
{
        struct vn_store_config config;
        struct vn_engine *engine;
        struct vn_store *store;
        uint8_t bytes[300];
        vn_store_free(open_store(test_dir(), true));
        char dir[512];
        snprintf(dir, sizeof dir, "%s/slow", test_dir());
        config = testing_config(dir, key, 1);
        config.ring_slots = 1024;
        CHECK_OK(vn_engine_fake_open(&config, 300 * VN_US_PER_MS, 0, &engine, NULL));
        CHECK_OK(vn_store_open_engine(&config, engine, &store, NULL));
        for (uint64_t i = 0; i < 1000; i++) {
                struct vn_str record = testing_record(bytes, 200, 1, i, 1000, 5);
                CHECK_OK(vn_ring_put(vn_store_ring(store, 0), record.ptr, record.len));
        }
        CHECK_OK(vn_store_flush(store, NULL));
        CHECK_INT(1000, vn_store_checkpoint(store).size);
        vn_store_free(store);
}

TEST(failed_commit_loses_and_doubles_nothing)
{
        struct vn_store_config config;
        struct vn_engine *engine;
        struct vn_store *store = open_store(test_dir(), true);
        uint8_t bytes[300];
        vn_store_free(store);
        char dir[512];
        snprintf(dir, sizeof dir, "%s/failing", test_dir());
        config = testing_config(dir, key, 1);
        CHECK_OK(vn_engine_fake_open(&config, 0, 0, &engine, NULL));
        CHECK_OK(vn_store_open_engine(&config, engine, &store, NULL));
        vn_engine_fake_fail(engine, 3, VN_UNAVAILABLE);
        for (uint64_t i = 0; i < 100; i++) {
                struct vn_str record = testing_record(bytes, 200, 1, i, 1000, 5);
                CHECK_OK(vn_ring_put(vn_store_ring(store, 0), record.ptr, record.len));
        }
        for (int i = 0; i < 100 && vn_store_flush(store, NULL) != VN_OK; i++)
                usleep(50000);
        CHECK_INT(100, vn_store_checkpoint(store).size);
        vn_engine_fake_fail(engine, 1, VN_DATA_LOSS); /* a failed sync: nothing is acknowledged any more */
        CHECK_RC(VN_DATA_LOSS, put(store, "acme", "a", "1"));
        CHECK_RC(VN_DATA_LOSS, put(store, "acme", "a", "1"));
        vn_store_free(store);
}

TEST(blobs_are_whole_or_not_there)
{
        struct vn_store *store = open_store(test_dir(), false);
        struct vn_hash hash, other = {.b = {1}};
        VN_AUTO(vn_buf)
        back = VN_BUF_INIT(1 << 20);
        static char bytes[200000];
        char path[600], hex[65];
        memset(bytes, 'm', sizeof bytes);
        static const char *const faults[] = {"store.blob.before", "file.write", "file.sync", "file.rename"};
        for (size_t i = 0; i < 4; i++) {
                vn_fault_arm(faults[i], 1, VN_FAULT_FAIL);
                CHECK(vn_store_blob_put(store, vn_str_n(bytes, sizeof bytes), &hash, NULL) != VN_OK);
                vn_fault_clear();
                CHECK_RC(VN_NOT_FOUND, vn_store_blob_get(store, &hash, &back, NULL));
        }
        CHECK_OK(vn_store_blob_put(store, vn_str_n(bytes, sizeof bytes), &hash, NULL));
        CHECK_OK(vn_store_blob_put(store, vn_str_n(bytes, sizeof bytes), &hash, NULL));
        CHECK_OK(vn_store_blob_get(store, &hash, &back, NULL));
        CHECK_INT(sizeof bytes, back.len);
        CHECK_RC(VN_NOT_FOUND, vn_store_blob_get(store, &other, &back, NULL));
        vn_hex(hash.b, 32, hex);
        snprintf(path, sizeof path, "%s/blobs/%.2s/%s", test_dir(), hex, hex);
        bytes[77] ^= 1;
        CHECK_OK(vn_file_write_atomic(path, vn_str_n(bytes, sizeof bytes), 0600, NULL));
        vn_buf_reset(&back);
        CHECK_RC(VN_DATA_LOSS, vn_store_blob_get(store, &hash, &back, NULL));
        CHECK_OK(vn_store_blob_delete(store, &hash, NULL));
        CHECK_RC(VN_NOT_FOUND, vn_store_blob_delete(store, &hash, NULL));
        vn_store_free(store);
}

static char alloc_dir[600];
static enum vn_rc open_and_use(void)
{
        struct vn_store_config config = testing_config(alloc_dir, key, 1);
        struct vn_store *store = NULL;
        struct vn_key at;
        VN_TRY(vn_store_open(&config, &store, NULL));
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        enum vn_rc rc = VN_RESOURCE_EXHAUSTED;
        if (batch) {
                vn_batch_put(batch, VN_TABLE_policies, k(&at, "acme", "a"), VN_STR("1"));
                vn_batch_record(batch, VN_STR("some record"));
                rc = vn_store_commit(store, batch, NULL);
        }
        vn_store_free(store);
        return rc;
}

TEST(allocation_failures_are_survived)
{
        vn_store_free(open_store(test_dir(), false));
        snprintf(alloc_dir, sizeof alloc_dir, "%s/alloc", test_dir());
        TEST_ALLOC_LOOP(open_and_use);
}
