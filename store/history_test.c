#include <ftw.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/blob.h"
#include "store/file.h"
#include "store/testing.h"
#include "tests/test.h"

static struct vn_note_key *key;
static struct vn_clock_fake clock_fake;

static struct vn_store *open_at(const char *dir)
{
        struct vn_store *store = NULL;
        struct vn_err err = {.rc = VN_OK};
        if (!key) {
                CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
                vn_clock_fake_init(&clock_fake, 1000 * VN_US_PER_S);
        }
        struct vn_store_config config = testing_config(dir, key, 1);
        config.clock = &clock_fake.clock;
        config.segment_us = 100 * VN_US_PER_S;
        if (vn_store_open(&config, &store, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "open: %s", err.msg);
        return store;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
        (void)info, (void)type, (void)walk;
        return remove(path);
}

static void remove_tree(const char *path)
{
        nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

static void put_records(struct vn_store *store, uint64_t from, uint64_t count)
{
        static uint8_t bytes[3000];
        for (uint64_t i = from; i < from + count; i++) {
                struct vn_str record =
                        testing_record(bytes, i % 50 ? 150 : 2500, 7, i, clock_fake.time_us + (int64_t)i, i % 3);
                while (vn_ring_put(vn_store_ring(store, 0), record.ptr, record.len) != VN_OK)
                        usleep(100);
        }
        CHECK_OK(vn_store_flush(store, NULL));
}

struct seen {
        uint64_t count;
        uint64_t first;
        uint64_t last;
        uint64_t tenant; /* all must have this; 9: any */
        bool back;
        bool wrong;
};

static bool see(void *arg, uint64_t seq, struct vn_str record)
{
        struct seen *s = arg;
        struct testing_record r;
        memcpy(&r, record.ptr, sizeof r);
        if (s->count && (s->back ? seq >= s->last : seq <= s->last))
                s->wrong = true;
        if (s->tenant != 9 && r.kind[0] == 'r' && r.tenant != s->tenant)
                s->wrong = true;
        if (!s->count++)
                s->first = seq;
        s->last = seq;
        return true;
}

static struct seen scan(struct vn_store *store, struct vn_record_filter filter, uint64_t tenant)
{
        struct seen s = {.tenant = tenant, .back = filter.newest_first};
        uint64_t next;
        CHECK_OK(vn_store_records(store, &filter, see, &s, &next, NULL));
        CHECK(!s.wrong);
        return s;
}

/* 1,500 records in three segments. */
static struct vn_store *three_segments(const char *dir)
{
        struct vn_store *store = open_at(dir);
        for (uint64_t i = 0; i < 3; i++) {
                put_records(store, i * 500, 500);
                clock_fake.time_us += 101 * VN_US_PER_S;
        }
        struct vn_store_stats stats;
        vn_store_stats(store, &stats);
        return store;
}

TEST(records_are_found_across_segments)
{
        struct vn_store *store = three_segments(test_dir());
        struct seen s = scan(store, (struct vn_record_filter){.limit = 10000}, 9);
        CHECK_INT(1500, s.count);
        s = scan(store, (struct vn_record_filter){.limit = 10000, .newest_first = true}, 9);
        CHECK_INT(1500, s.count);
        CHECK_INT(1499, s.first);
        CHECK_INT(0, s.last);
        s = scan(store, (struct vn_record_filter){.limit = 10, .from_seq = 495}, 9);
        CHECK_INT(10, s.count);
        CHECK_INT(504, s.last);
        s = scan(store, (struct vn_record_filter){.limit = 10000, .from_seq = 495, .to_seq = 1005}, 9);
        CHECK_INT(510, s.count);
        s = scan(store,
                 (struct vn_record_filter){.limit = 10000, .from_seq = 495, .to_seq = 1005, .newest_first = true}, 9);
        CHECK_INT(510, s.count);
        CHECK_INT(495, s.last);
        s = scan(store, (struct vn_record_filter){.limit = 10000, .tenants = vn_record_bit(1)}, 1);
        CHECK_INT(500, s.count);
        s = scan(store, (struct vn_record_filter){.limit = 10000, .max_read = 100}, 9);
        CHECK_INT(100, s.count);
        s = scan(store, (struct vn_record_filter){.limit = 10000, .kinds = 2}, 9);
        CHECK_INT(0, s.count);
        int64_t second = 1000 * VN_US_PER_S + 101 * VN_US_PER_S;
        s = scan(store,
                 (struct vn_record_filter){.limit = 10000, .from_us = second, .to_us = second + 100 * VN_US_PER_S},
                 9);
        CHECK(s.count == 500 || clock_fake.time_us > second + 1000 * VN_US_PER_S);

        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(VN_STORE_RECORD_MAX_BYTES);
        struct testing_record r;
        uint64_t seq;
        for (uint64_t id = 0; id < 1500; id += 37) {
                vn_buf_reset(&record);
                CHECK_OK(vn_store_find(store, 7, id, id % 2 ? 0 : clock_fake.time_us, &seq, &record, NULL));
                CHECK_INT(id, seq);
                memcpy(&r, record.ptr, sizeof r);
                CHECK_INT(id, r.id);
                vn_buf_reset(&record);
                CHECK_OK(vn_store_record(store, id, &record, NULL));
                CHECK_INT(id % 50 ? 150 : 2500, record.len);
        }
        CHECK_RC(VN_NOT_FOUND, vn_store_find(store, 7, 99999, 0, &seq, &record, NULL));
        CHECK_RC(VN_NOT_FOUND, vn_store_find(store, 8, 5, 0, &seq, &record, NULL));
        CHECK_RC(VN_NOT_FOUND, vn_store_record(store, 1500, &record, NULL));
        vn_store_free(store);
}

TEST(the_log_proves_every_record)
{
        struct vn_store *store = three_segments(test_dir());
        struct vn_checkpoint checkpoint = vn_store_checkpoint(store), opened;
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        CHECK_INT(1500, checkpoint.size);
        CHECK_OK(vn_store_checkpoint_note(store, &note));
        CHECK_OK(vn_checkpoint_open(key, vn_buf_view(&note), &opened, NULL));
        CHECK(vn_hash_eq(&opened.root, &checkpoint.root));
        struct vn_proof proof;
        struct vn_leaf leaf, made;
        struct vn_hash hash;
        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(VN_STORE_RECORD_MAX_BYTES);
        for (uint64_t seq = 0; seq < 1500; seq += 11) {
                vn_buf_reset(&record);
                CHECK_OK(vn_store_record(store, seq, &record, NULL));
                CHECK_OK(testing_leaf(NULL, vn_buf_view(&record), &made));
                CHECK_OK(vn_store_leaf(store, seq, &leaf, NULL));
                CHECK(leaf.len == made.len && !memcmp(leaf.bytes, made.bytes, leaf.len));
                hash = vn_tlog_leaf_hash(vn_str_n(leaf.bytes, leaf.len));
                CHECK_OK(vn_store_prove_inclusion(store, seq, 1500, &proof, NULL));
                CHECK_OK(vn_tlog_verify_inclusion(seq, 1500, &hash, proof.hash, proof.n, &checkpoint.root, NULL));
        }
        CHECK_RC(VN_NOT_FOUND, vn_store_leaf(store, 1500, &leaf, NULL));
        CHECK(vn_store_prove_inclusion(store, 1500, 1501, &proof, NULL) != VN_OK);

        /* Tiles: a full one, the partial last one, nothing beyond; entry bundles hold the leaves. */
        VN_AUTO(vn_buf)
        tile = VN_BUF_INIT(1 << 17);
        CHECK_OK(vn_store_tile(store, &(struct vn_tile_name){0, 256, 4}, &tile, NULL));
        CHECK_INT(VN_TILE_BYTES, tile.len);
        vn_buf_reset(&tile);
        CHECK_OK(vn_store_tile(store, &(struct vn_tile_name){0, 1500 - 1280, 5}, &tile, NULL));
        CHECK_RC(VN_NOT_FOUND, vn_store_tile(store, &(struct vn_tile_name){0, 1501 - 1280, 5}, &tile, NULL));
        CHECK_RC(VN_NOT_FOUND, vn_store_tile(store, &(struct vn_tile_name){0, 256, 5}, &tile, NULL));
        CHECK_RC(VN_NOT_FOUND, vn_store_tile(store, &(struct vn_tile_name){1, 6, 0}, &tile, NULL));
        vn_buf_reset(&tile);
        CHECK_OK(vn_store_tile(store, &(struct vn_tile_name){1, 5, 0}, &tile, NULL));
        CHECK_INT(5 * 32, tile.len);
        vn_buf_reset(&tile);
        CHECK_OK(vn_store_tile(store, &(struct vn_tile_name){VN_TILE_ENTRIES, 256, 1}, &tile, NULL));
        CHECK_INT(256 * 66, tile.len);
        CHECK_OK(vn_store_leaf(store, 256, &leaf, NULL));
        CHECK(tile.ptr[0] == 0 && tile.ptr[1] == 64 && !memcmp(tile.ptr + 2, leaf.bytes, 64));

        put_records(store, 1500, 77);
        struct vn_checkpoint later = vn_store_checkpoint(store);
        CHECK_OK(vn_store_prove_consistency(store, 1500, later.size, &proof, NULL));
        CHECK_OK(vn_tlog_verify_consistency(1500, later.size, &checkpoint.root, &later.root, proof.hash, proof.n,
                                            NULL));
        vn_store_free(store);
}

static enum vn_rc tombstone(void *arg, const struct vn_span *span, struct vn_buf *ret)
{
        struct testing_record r = {.kind = "gap", .id = span->first_seq, .count = 0};
        ++*(int *)arg;
        r.gap.first_seq = span->first_seq;
        r.gap.last_seq = span->last_seq;
        vn_buf_add(ret, &r, sizeof r);
        return vn_buf_check(ret, NULL);
}

TEST(retention_unlinks_whole_segments_behind_a_tombstone)
{
        const char *dir = test_dir();
        struct vn_store *store = three_segments(dir);
        int tombstones = 0;
        struct vn_leaf leaf;
        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(VN_STORE_RECORD_MAX_BYTES);
        put_records(store, 1500, 1); /* opens the fourth segment */
        CHECK_OK(vn_store_retain(store, clock_fake.time_us - 150 * VN_US_PER_S, tombstone, &tombstones, NULL));
        CHECK_INT(2, tombstones);
        CHECK_RC(VN_NOT_FOUND, vn_store_record(store, 999, &record, NULL));
        CHECK_OK(vn_store_record(store, 1000, &record, NULL));
        CHECK_OK(vn_store_leaf(store, 999, &leaf, NULL)); /* leaves are never pruned */
        struct seen s = scan(store, (struct vn_record_filter){.limit = 10000}, 9);
        CHECK_INT(501 + 2, s.count);
        CHECK_INT(1000, s.first);
        s = scan(store, (struct vn_record_filter){.limit = 10000, .newest_first = true}, 9);
        CHECK_INT(503, s.count);
        store = vn_store_free(store);
        store = open_at(dir);
        CHECK_INT(1503, vn_store_checkpoint(store).size);
        vn_store_free(store);
        struct vn_verify_report report;
        struct vn_record_ops ops = testing_ops();
        CHECK_OK(vn_store_verify(dir, key, &ops, &report, NULL));
        CHECK_INT(1000, report.missing);
        CHECK_INT(503, report.records);
}

/* One segment's folder, by its place in the order of time. */
static void lose_segment(const char *dir, unsigned number)
{
        char path[1200];
        snprintf(path, sizeof path, "%s/segments/%016x", dir, number);
        CHECK_OK(vn_dir_remove(path, NULL));
}

TEST(verification_accepts_missing_records_only_behind_a_tombstone)
{
        const char *dir = test_dir();
        struct vn_store *store = three_segments(dir);
        struct vn_verify_report report;
        struct vn_record_ops ops = testing_ops(), blind = testing_ops();
        struct vn_err err;
        int tombstones = 0;
        put_records(store, 1500, 10);
        CHECK_OK(vn_store_retain(store, clock_fake.time_us - 250 * VN_US_PER_S, tombstone, &tombstones, NULL));
        CHECK_INT(1, tombstones);
        vn_store_free(store);
        CHECK_OK(vn_store_verify(dir, key, &ops, &report, &err));
        CHECK_INT(500, report.missing);
        blind.tombstone = NULL;
        CHECK_RC(VN_DATA_LOSS, vn_store_verify(dir, key, &blind, &report, &err));
        lose_segment(dir, 3);
        CHECK_RC(VN_DATA_LOSS, vn_store_verify(dir, key, &ops, &report, &err));
        CHECK(strstr(err.msg, "records 1000 to 1499") && strstr(err.msg, "no tombstone"));
}

TEST(times_that_callers_gave_do_not_hold_up_retention)
{
        const char *dir = test_dir();
        struct vn_store *store = open_at(dir);
        uint8_t bytes[200];
        int tombstones = 0;
        for (uint64_t i = 0; i < 3; i++) { /* a record of the year 2100 in each of three segments */
                VN_AUTO(vn_batch)
                batch = vn_batch_new();
                vn_batch_record(batch, testing_record(bytes, 150, 9, i, INT64_C(4102444800) * VN_US_PER_S, 1));
                CHECK_OK(vn_store_commit(store, batch, NULL));
                clock_fake.time_us += 101 * VN_US_PER_S;
        }
        CHECK_OK(vn_store_retain(store, clock_fake.time_us - 150 * VN_US_PER_S, tombstone, &tombstones, NULL));
        CHECK_INT(1, tombstones); /* the second began only 202 s ago, and may hold what is 101 s old */
        vn_store_free(store);
}

/* --- backup --- */
static void put_key(struct vn_store *store, uint64_t number)
{
        struct vn_key at;
        uint8_t bytes[200];
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        vn_batch_put(batch, VN_TABLE_meters, vn_key_u64(vn_key_init(&at, VN_STR("acme")), number), VN_STR("v"));
        if (number % 2)
                vn_batch_record(batch, testing_record(bytes, 150, 9, number, clock_fake.time_us, 1));
        CHECK_OK(vn_store_commit(store, batch, NULL));
}

static bool count_key(void *arg, struct vn_str at, struct vn_str value)
{
        (void)value;
        struct vn_str tenant;
        uint64_t number, *next = arg;
        if (vn_key_take_text(&at, &tenant) && vn_key_take_u64(&at, &number) && number == *next)
                ++*next;
        return true;
}

static void *keep_writing(void *arg)
{
        for (uint64_t i = 100; i < 160; i++)
                put_key(arg, i);
        return NULL;
}

TEST(backup_of_a_running_store_restores_and_verifies)
{
        char dir[512], to[512], back[512];
        struct vn_verify_report report;
        struct vn_record_ops ops = testing_ops();
        struct vn_err err = {.rc = VN_OK};
        struct vn_hash blob;
        struct vn_key at;
        snprintf(dir, sizeof dir, "%s/state", test_dir());
        snprintf(to, sizeof to, "%s/backup", test_dir());
        snprintf(back, sizeof back, "%s/restored", test_dir());
        struct vn_store *store = three_segments(dir);
        for (uint64_t i = 0; i < 100; i++)
                put_key(store, i);
        CHECK_OK(vn_store_blob_put(store, VN_STR("model"), &blob, NULL));
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, keep_writing, store) == 0);
        CHECK_OK(vn_store_backup(store, to, NULL, &err));
        pthread_join(thread, NULL);
        CHECK_RC(VN_ALREADY_EXISTS, vn_store_backup(store, to, NULL, &err));
        vn_store_free(store);

        enum vn_rc rc = vn_store_restore(to, back, key, &ops, &report, &err);
        if (rc != VN_OK)
                test_fail(__FILE__, __LINE__, "restore: %s", err.msg);
        CHECK(report.log_size >= 1550 && report.missing == 0 && report.records >= report.log_size);
        store = open_at(back);
        /* Every change is there up to one moment, and none after it: the copies are of one history. */
        uint64_t keys = 0, count = 0;
        CHECK_OK(vn_store_scan(store, VN_TABLE_meters, vn_key_init(&at, VN_STR("acme")), NULL, 1000, count_key, &keys,
                               NULL));
        CHECK(keys >= 100);
        for (uint64_t i = 1; i < keys; i += 2) {
                VN_AUTO(vn_buf)
                record = VN_BUF_INIT(1000);
                CHECK_OK(vn_store_find(store, 9, i, 0, &count, &record, NULL));
        }
        VN_AUTO(vn_buf)
        record = VN_BUF_INIT(1000);
        CHECK_RC(VN_NOT_FOUND, vn_store_find(store, 9, keys | 1, 0, &count, &record, NULL));
        CHECK_OK(vn_store_blob_get(store, &blob, &record, NULL));
        CHECK(vn_ring_next_seq(vn_store_ring(store, 0)) >= UINT64_C(1) << 32);
        vn_store_free(store);
}

TEST(backup_that_is_broken_off_leaves_nothing)
{
        char dir[512], to[512];
        struct vn_err err = {.rc = VN_OK};
        atomic_bool stop = true;
        snprintf(dir, sizeof dir, "%s/state", test_dir());
        snprintf(to, sizeof to, "%s/backup", test_dir());
        struct vn_store *store = three_segments(dir);
        CHECK_RC(VN_CANCELLED, vn_store_backup(store, to, &stop, &err));
        CHECK(access(to, F_OK) != 0);
        vn_fault_arm("store.backup.space", 2, VN_FAULT_FAIL);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_store_backup(store, to, NULL, &err));
        CHECK(strstr(err.msg, "no space"));
        char beside[600];
        snprintf(beside, sizeof beside, "%s.new", to);
        CHECK(access(to, F_OK) != 0 && access(beside, F_OK) != 0);
        CHECK_OK(vn_store_backup(store, to, NULL, &err));
        put_records(store, 1500, 1); /* segments roll again */
        vn_store_free(store);
}

/* Any damaged byte of log, leaves or records is noticed, or harmless. */
static void damage(const char *from, const char *file, uint64_t at, struct vn_err *err, enum vn_rc *ret)
{
        char command[600], path[1200];
        struct vn_verify_report report;
        struct vn_record_ops ops = testing_ops();
        static uint64_t number;
        snprintf(path, sizeof path, "%s/%s", from, file);
        FILE *f = fopen(path, "r+");
        CHECK(f);
        fseek(f, 0, SEEK_END);
        long size = ftell(f);
        CHECK(size > 0);
        fseek(f, (long)(at % (uint64_t)size), SEEK_SET);
        int byte = fgetc(f);
        fseek(f, (long)(at % (uint64_t)size), SEEK_SET);
        fputc(byte ^ 0x10, f);
        fclose(f);
        snprintf(command, sizeof command, "%s/../r%llu", from, (unsigned long long)number++);
        *ret = vn_store_restore(from, command, key, &ops, &report, err);
        f = fopen(path, "r+");
        fseek(f, (long)(at % (uint64_t)size), SEEK_SET);
        fputc(byte, f);
        fclose(f);
        if (*ret == VN_OK) { /* accepted: then nothing that the log commits to may have changed */
                CHECK_INT(0, report.missing);
                CHECK_INT(300, report.log_size);
        }
}

TEST(restore_refuses_what_the_log_does_not_vouch_for)
{
        char dir[512], to[512];
        struct vn_err err = {.rc = VN_OK};
        struct vn_rng rng;
        enum vn_rc rc;
        vn_rng_seed(&rng, test_seed());
        snprintf(dir, sizeof dir, "%s/state", test_dir());
        snprintf(to, sizeof to, "%s/backup", test_dir());
        struct vn_store *store = open_at(dir);
        put_records(store, 0, 300);
        CHECK_OK(vn_store_backup(store, to, NULL, &err));
        vn_store_free(store);
        static const char *const files[] = {"log/checkpoint", "log/leaf", "log/hash.0", "log/hash.1"};
        for (int i = 0; i < 40; i++) {
                const char *file = files[i % 4];
                damage(to, file,
                       i % 4 == 1 ? 258 * vn_rng_below(&rng, 300) + 2 + vn_rng_below(&rng, 64)
                                  : vn_rng_u64(&rng) >> 1,
                       &err, &rc);
                if (rc == VN_OK)
                        test_fail(__FILE__, __LINE__, "%s: accepted", file);
        }
        struct vn_record_ops ops = testing_ops();
        struct vn_verify_report report;
        CHECK_RC(VN_NOT_FOUND, vn_store_restore("/nonexistent", dir, key, &ops, &report, &err));
        CHECK_RC(VN_ALREADY_EXISTS, vn_store_restore(to, dir, key, &ops, &report, &err));
        VN_AUTO(vn_note_key)
        other = NULL;
        CHECK_OK(vn_note_key_generate("vane.test/log", &other, NULL));
        char back[512];
        snprintf(back, sizeof back, "%s/other", test_dir());
        CHECK_RC(VN_UNAUTHENTICATED, vn_store_restore(to, back, other, &ops, &report, &err));
}

static char alloc_from[512], alloc_to[512], alloc_back[512];

static enum vn_rc read_and_back_up(void)
{
        struct vn_record_ops ops = testing_ops();
        struct vn_record_filter filter = {.limit = 20};
        struct seen seen = {.tenant = 9};
        struct vn_verify_report report;
        struct vn_proof proof;
        struct vn_leaf leaf;
        uint64_t at;
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(1 << 20);
        struct vn_store_config config = testing_config(alloc_from, key, 1);
        struct vn_store *store = NULL;
        config.clock = &clock_fake.clock;
        config.segment_us = 100 * VN_US_PER_S;
        VN_TRY(vn_store_open(&config, &store, NULL));
        enum vn_rc rc = vn_store_records(store, &filter, see, &seen, &at, NULL);
        if (rc == VN_OK)
                rc = vn_store_record(store, 3, &bytes, NULL);
        if (rc == VN_OK)
                rc = vn_store_leaf(store, 3, &leaf, NULL);
        if (rc == VN_OK)
                rc = vn_store_prove_inclusion(store, 3, vn_store_checkpoint(store).size, &proof, NULL);
        vn_buf_reset(&bytes);
        if (rc == VN_OK)
                rc = vn_store_checkpoint_note(store, &bytes);
        remove_tree(alloc_to);
        remove_tree(alloc_back);
        if (rc == VN_OK)
                rc = vn_store_backup(store, alloc_to, NULL, NULL);
        vn_store_free(store);
        return rc == VN_OK ? vn_store_restore(alloc_to, alloc_back, key, &ops, &report, NULL) : rc;
}

TEST(reading_backup_and_restore_survive_failing_allocations)
{
        snprintf(alloc_from, sizeof alloc_from, "%s/state", test_dir());
        snprintf(alloc_to, sizeof alloc_to, "%s/backup", test_dir());
        snprintf(alloc_back, sizeof alloc_back, "%s/restored", test_dir());
        struct vn_store *store = open_at(alloc_from);
        put_records(store, 0, 60);
        vn_store_free(store);
        TEST_ALLOC_LOOP(read_and_back_up);
}
