/* Durable records a second through the store (records, tables' transaction, leaf hashing, Merkle log and checkpoints
 * included) beside bare LMDB appends of the same bytes, in alternating passes of one run. */
#include <lmdb.h>

#include "bench/durable.h"
#include "store/testing.h"

#define RECORD_BYTES 400
#define PASSES 5
#define SECONDS 0.6

static uint8_t record_bytes[RECORD_BYTES];
static uint64_t raw_commits, raw_records;

/* --- the peer --- */
static double raw_pass(MDB_env *env, MDB_dbi dbi, unsigned group, uint64_t *next)
{
        double begin = bench_now_s(), now = begin;
        uint64_t count = 0;
        for (; now - begin < SECONDS; now = bench_now_s()) {
                MDB_txn *txn;
                if (mdb_txn_begin(env, NULL, 0, &txn))
                        bench_die("raw-lmdb", "begin");
                for (unsigned i = 0; i < group; i++) {
                        struct vn_str record = testing_record(record_bytes, RECORD_BYTES, 1, *next, 1, 1);
                        uint64_t be = __builtin_bswap64((*next)++);
                        MDB_val key = {sizeof be, &be}, data = {record.len, (void *)(uintptr_t)record.ptr};
                        if (mdb_put(txn, dbi, &key, &data, MDB_APPEND))
                                bench_die("raw-lmdb", "put");
                }
                if (mdb_txn_commit(txn))
                        bench_die("raw-lmdb", "commit");
                raw_commits++;
                count += group;
        }
        return (double)count / (now - begin);
}

static MDB_env *raw_open(const char *dir, MDB_dbi *dbi)
{
        MDB_env *env;
        MDB_txn *txn;
        char path[600];
        snprintf(path, sizeof path, "%s/raw.mdb", dir);
        if (mdb_env_create(&env) || mdb_env_set_mapsize(env, (size_t)16 << 30) ||
            mdb_env_open(env, path, MDB_NOSUBDIR, 0600) || mdb_txn_begin(env, NULL, 0, &txn) ||
            mdb_dbi_open(txn, NULL, 0, dbi) || mdb_txn_commit(txn))
                bench_die("raw-lmdb", "cannot open");
        return env;
}

static void raw_read_back(MDB_env *env, MDB_dbi dbi, uint64_t count)
{
        MDB_txn *txn;
        MDB_cursor *cursor;
        MDB_val key, data;
        if (mdb_txn_begin(env, NULL, MDB_RDONLY, &txn) || mdb_cursor_open(txn, dbi, &cursor))
                bench_die("raw-lmdb", "cannot read");
        while (!mdb_cursor_get(cursor, &key, &data, MDB_NEXT))
                raw_records++;
        mdb_cursor_close(cursor);
        mdb_txn_abort(txn);
        if (raw_records != count)
                bench_die("raw-lmdb", "records are missing");
}

/* --- the store --- */
static double store_pass(struct vn_store *store, unsigned group, uint64_t *next)
{
        struct vn_err err = {.rc = VN_OK};
        struct vn_batch *batch = vn_batch_new();
        double begin = bench_now_s(), now = begin;
        uint64_t count = 0;
        for (; now - begin < SECONDS; now = bench_now_s()) {
                vn_batch_reset(batch);
                for (unsigned i = 0; i < group; i++)
                        vn_batch_record(batch, testing_record(record_bytes, RECORD_BYTES, 1, (*next)++, 1, 1));
                bench_ok(vn_store_commit(store, batch, &err), &err, "commit");
                count += group;
        }
        vn_batch_free(batch);
        return (double)count / (now - begin);
}

static bool check_record(void *arg, uint64_t seq, struct vn_str record)
{
        uint64_t *next = arg;
        struct testing_record r;
        memcpy(&r, record.ptr, sizeof r);
        if (seq != *next || r.id != *next || record.len != RECORD_BYTES)
                bench_die("store", "a record came back changed");
        ++*next;
        return true;
}

static void read_back(struct vn_store *store, uint64_t count)
{
        struct vn_err err = {.rc = VN_OK};
        uint64_t seen = 0, next = 0;
        do {
                struct vn_record_filter filter = {.limit = SIZE_MAX, .from_seq = next};
                bench_ok(vn_store_records(store, &filter, check_record, &seen, &next, &err), &err, "read back");
        } while (next < count);
        bench_ok(vn_store_flush(store, &err), &err, "flush");
        if (seen != count || vn_store_checkpoint(store).size != count)
                bench_die("store", "records are missing");
}

static void one_case(const char *root, const char *fs, unsigned group)
{
        struct vn_err err = {.rc = VN_OK};
        struct vn_note_key *key;
        struct vn_store *store;
        char dir[560];
        double ours[PASSES], peer[PASSES];
        uint64_t next = 0, raw_next = 0;
        MDB_dbi dbi;
        snprintf(dir, sizeof dir, "%s/%u", root, group);
        bench_ok(vn_note_key_generate("bench/log", &key, &err), &err, "key");
        struct vn_store_config config = testing_config(dir, key, 1);
        config.checkpoint_interval_us = 0; /* the default */
        config.disk_budget_bytes = UINT64_C(64) << 30;
        bench_ok(vn_store_open(&config, &store, &err), &err, "open");
        MDB_env *raw = raw_open(dir, &dbi);
        raw_commits = raw_records = 0;
        for (int i = 0; i < PASSES; i++) {
                if (i % 2) {
                        ours[i] = store_pass(store, group, &next);
                        peer[i] = raw_pass(raw, dbi, group, &raw_next);
                } else {
                        peer[i] = raw_pass(raw, dbi, group, &raw_next);
                        ours[i] = store_pass(store, group, &next);
                }
        }
        read_back(store, next);
        raw_read_back(raw, dbi, raw_next);
        struct vn_store_stats stats;
        usleep(400000); /* the figures are renewed four times a second */
        vn_store_stats(store, &stats);
        double a = bench_median(ours, PASSES), b = bench_median(peer, PASSES);
        printf("{\"bench\":\"store\",\"case\":\"group-%u\",\"metric\":\"records_per_s\",\"value\":%.0f,\"unit\":\"1/"
               "s\","
               "\"peer\":\"raw-lmdb\",\"peer_value\":%.0f,\"ratio\":%.3f,\"fs\":\"%s\",\"syncs\":%llu,"
               "\"peer_syncs\":%llu,\"commits\":%llu,\"read_back\":%llu}\n",
               group, a, b, a / b, fs, (unsigned long long)stats.syncs, 2 * (unsigned long long)raw_commits,
               (unsigned long long)stats.commits, (unsigned long long)next);
        fflush(stdout);
        mdb_env_close(raw);
        vn_store_free(store);
        vn_note_key_free(key);
        bench_remove(dir);
}

int main(void)
{
        char root[512];
        const char *fs = bench_dir(root);
        const unsigned groups[] = {1, 100, 1000};
        for (size_t i = 0; i < sizeof groups / sizeof *groups; i++)
                one_case(root, fs, groups[i]);
        bench_remove(root);
        return 0;
}
