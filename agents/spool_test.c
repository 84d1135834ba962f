#include "agents/spool.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/hash.h"
#include "tests/test.h"

#define BOUND VN_SPOOL_MIN_BYTES
#define START INT64_C(1700000000000000)

static struct vn_spool *open_spool(const char *dir)
{
        struct vn_spool *s = NULL;
        struct vn_err err = {0};
        if (vn_spool_open(dir, BOUND, &s, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        return s;
}

/* Record i of a test: its text tells its number, its length differs, its time is i seconds after the start. */
static size_t text_of(unsigned i, size_t bytes, char ret[16384])
{
        int n = snprintf(ret, 16384, "record %u ", i);
        memset(ret + n, 'a' + (char)(i % 26), bytes);
        return (size_t)n + bytes;
}

static void put_many(struct vn_spool *s, unsigned from, unsigned to, size_t bytes)
{
        char text[16384];
        for (unsigned i = from; i < to; i++)
                CHECK_OK(vn_spool_put(s, i % 3, START + i * VN_US_PER_S,
                                      vn_str_n(text, text_of(i, bytes + i % 7, text)), NULL));
}

static void check_record(const struct vn_spool_record *r, unsigned i, size_t bytes)
{
        char text[16384];
        size_t n = text_of(i, bytes + i % 7, text);
        CHECK(vn_str_eq(r->payload, vn_str_n(text, n)));
        CHECK_INT(i % 3, r->kind);
        CHECK_INT(START + i * VN_US_PER_S, r->time_us);
}

/* Takes everything, `step` records at a time; returns how many came, and what was told as dropped. */
static unsigned take_all(struct vn_spool *s, unsigned first, size_t bytes, size_t step, struct vn_spool_dropped *ret)
{
        struct vn_spool_batch batch;
        unsigned next = first;
        uint64_t last = 0;
        vn_spool_batch_init(&batch);
        memset(ret, 0, sizeof *ret);
        for (;;) {
                CHECK_OK(vn_spool_peek(s, step, 1 << 20, &batch, NULL));
                if (batch.dropped.records) {
                        CHECK(!ret->records); /* told once */
                        *ret = batch.dropped;
                }
                if (!batch.count && !batch.dropped.records)
                        break;
                for (size_t i = 0; i < batch.count; i++) {
                        CHECK(batch.records[i].sequence > last);
                        last = batch.records[i].sequence;
                        check_record(&batch.records[i], next++, bytes);
                }
                CHECK_OK(vn_spool_ack(s, &batch, NULL));
        }
        vn_spool_batch_done(&batch);
        return next - first;
}

TEST(spool_gives_back_what_was_put_in_order_and_once)
{
        struct vn_spool_dropped dropped;
        struct vn_spool_stats stats;
        VN_AUTO(vn_spool)
        s = open_spool(test_dir());
        put_many(s, 0, 1000, 20);
        vn_spool_stats(s, &stats);
        CHECK_INT(1000, stats.waiting_records);
        CHECK_INT(1000, take_all(s, 0, 20, 7, &dropped));
        CHECK_INT(0, dropped.records);
        put_many(s, 1000, 1010, 20);
        CHECK_INT(10, take_all(s, 1000, 20, 100, &dropped));
        vn_spool_stats(s, &stats);
        CHECK_INT(0, stats.waiting_records);
        CHECK_INT(0, stats.dropped_records);
}

TEST(spool_batches_keep_their_limits_and_are_repeated_until_acknowledged)
{
        struct vn_spool_batch batch;
        VN_AUTO(vn_spool)
        s = open_spool(test_dir());
        vn_spool_batch_init(&batch);
        put_many(s, 0, 100, 1000);
        for (int again = 0; again < 3; again++) {
                CHECK_OK(vn_spool_peek(s, 100, 5100, &batch, NULL));
                CHECK_INT(5, batch.count);
                check_record(&batch.records[0], 0, 1000);
        }
        CHECK_OK(vn_spool_peek(s, 100, 1, &batch, NULL)); /* one at least */
        CHECK_INT(1, batch.count);
        CHECK_OK(vn_spool_ack(s, &batch, NULL));
        CHECK_OK(vn_spool_peek(s, 3, 1 << 20, &batch, NULL));
        CHECK_INT(3, batch.count);
        check_record(&batch.records[0], 1, 1000);
        vn_spool_batch_done(&batch);
}

TEST(spool_keeps_records_and_position_over_a_restart)
{
        struct vn_spool_batch batch;
        struct vn_spool_dropped dropped;
        char id[VN_SPOOL_ID_BYTES];
        struct vn_spool *s = open_spool(test_dir());
        vn_spool_batch_init(&batch);
        put_many(s, 0, 2000, 60); /* several segments */
        CHECK_OK(vn_spool_peek(s, 777, 1 << 20, &batch, NULL));
        CHECK_OK(vn_spool_ack(s, &batch, NULL));
        CHECK_OK(vn_spool_peek(s, 5, 1 << 20, &batch, NULL)); /* read, but not acknowledged: comes again */
        memcpy(id, vn_spool_id(s), sizeof id);
        vn_spool_free(s);
        s = open_spool(test_dir());
        CHECK_TEXT(id, vn_spool_id(s));
        CHECK_INT(2000 - 777, take_all(s, 777, 60, 100, &dropped));
        CHECK_INT(0, dropped.records);
        vn_spool_free(s);
        s = open_spool(test_dir());
        put_many(s, 0, 1, 60);
        CHECK_OK(vn_spool_peek(s, 5, 1 << 20, &batch, NULL));
        CHECK_INT(2001, batch.records[0].sequence); /* a sequence is used once */
        vn_spool_free(s);
        vn_spool_batch_done(&batch);
}

static uint64_t bytes_in(const char *dir)
{
        char command[600];
        uint64_t sum = 0;
        for (uint64_t first = 1; first < 20000; first++) {
                struct stat st;
                snprintf(command, sizeof command, "%s/%016llx.seg", dir, (unsigned long long)first);
                if (!stat(command, &st))
                        sum += (uint64_t)st.st_size;
        }
        return sum;
}

TEST(spool_drops_the_oldest_beyond_its_bound_and_tells_exactly_what)
{
        struct vn_spool_dropped dropped;
        struct vn_spool_stats stats;
        VN_AUTO(vn_spool)
        s = open_spool(test_dir());
        struct vn_spool_batch batch;
        vn_spool_batch_init(&batch);
        put_many(s, 0, 5, 100);
        CHECK_OK(vn_spool_peek(s, 2, 1 << 20, &batch, NULL));
        CHECK_OK(vn_spool_ack(s, &batch, NULL)); /* what has arrived is not dropped */
        put_many(s, 5, 10000, 100);
        CHECK(bytes_in(test_dir()) <= BOUND);
        vn_spool_stats(s, &stats);
        CHECK_INT(10000 - 2, stats.waiting_records + stats.dropped_records);
        CHECK(stats.waiting_bytes > BOUND / 2);
        unsigned kept = (unsigned)stats.waiting_records;
        CHECK_INT(kept, take_all(s, 10000 - kept, 100, 50, &dropped));
        CHECK_INT(10000 - 2 - kept, dropped.records);
        CHECK_INT(START + 2 * VN_US_PER_S, dropped.from_us);
        CHECK_INT(START + (9999 - (int64_t)kept) * VN_US_PER_S, dropped.to_us);
        uint64_t bytes = 0;
        char text[16384];
        for (unsigned i = 2; i < 10000 - kept; i++)
                bytes += text_of(i, 100 + i % 7, text);
        CHECK_INT(bytes, dropped.bytes);
        vn_spool_stats(s, &stats);
        CHECK_INT(0, stats.untold_records);
        CHECK_INT(dropped.records, stats.dropped_records);
        vn_spool_batch_done(&batch);
}

TEST(spool_remembers_what_it_dropped_over_a_restart_until_it_is_told)
{
        struct vn_spool_dropped dropped;
        struct vn_spool_stats stats;
        struct vn_spool *s = open_spool(test_dir());
        put_many(s, 0, 5000, 100);
        vn_spool_stats(s, &stats);
        uint64_t gone = stats.dropped_records;
        CHECK(gone > 0);
        vn_spool_free(s);
        s = open_spool(test_dir());
        CHECK_INT(5000 - gone, take_all(s, (unsigned)gone, 100, 99, &dropped));
        CHECK_INT(gone, dropped.records);
        CHECK_INT(START, dropped.from_us);
        vn_spool_free(s);
        s = open_spool(test_dir());
        CHECK_INT(0, take_all(s, 0, 100, 99, &dropped));
        CHECK_INT(0, dropped.records);
        vn_spool_free(s);
}

TEST(spool_does_not_count_as_dropped_what_arrived_while_it_was_dropped)
{
        struct vn_spool_batch batch;
        struct vn_spool_dropped dropped;
        struct vn_spool_stats stats;
        for (int arrives = 0; arrives < 2; arrives++) {
                char dir[600];
                snprintf(dir, sizeof dir, "%s/%d", test_dir(), arrives);
                VN_AUTO(vn_spool)
                s = open_spool(dir);
                vn_spool_batch_init(&batch);
                put_many(s, 0, 10, 100);
                CHECK_OK(vn_spool_peek(s, 10, 1 << 20, &batch, NULL));
                put_many(s, 10, 10000, 100); /* the ten are long gone from the disk */
                if (arrives)
                        CHECK_OK(vn_spool_ack(s, &batch, NULL));
                CHECK_OK(vn_spool_peek(s, 1, 1 << 20, &batch, NULL));
                vn_spool_stats(s, &stats);
                CHECK_INT(10000 - (arrives ? 10 : 0), stats.dropped_records + stats.waiting_records);
                CHECK_INT(stats.dropped_records, batch.dropped.records);
                CHECK_INT(START + (arrives ? 10 : 0) * VN_US_PER_S, batch.dropped.from_us);
                take_all(s, (unsigned)(10000 - stats.waiting_records), 100, 500, &dropped);
                vn_spool_batch_done(&batch);
        }
}

/* --- what a kill or a power cut leaves --- */

#define SMALL 12 /* records of the file that is cut and garbled at every byte */

static void write_file(const char *path, const char *bytes, size_t n)
{
        int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        CHECK(fd >= 0 && write(fd, bytes, n) == (ssize_t)n && !close(fd));
}

static void check_prefix_and_more(const char *dir, unsigned at_least)
{
        struct vn_spool_batch batch;
        struct vn_spool_dropped dropped;
        VN_AUTO(vn_spool)
        s = open_spool(dir);
        struct vn_spool_stats stats;
        vn_spool_stats(s, &stats);
        unsigned whole = (unsigned)stats.waiting_records;
        CHECK(whole >= at_least && whole <= SMALL);
        put_many(s, whole, whole + 2, 10);
        CHECK_INT(whole + 2, take_all(s, 0, 10, 5, &dropped));
        vn_spool_batch_init(&batch);
        CHECK_OK(vn_spool_peek(s, 5, 100, &batch, NULL));
        CHECK_INT(0, batch.count);
        vn_spool_batch_done(&batch);
}

TEST(spool_takes_up_after_an_end_at_every_byte)
{
        char dir[600], path[700];
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(1 << 16);
        size_t ends[SMALL + 1] = {0}, used;
        snprintf(dir, sizeof dir, "%s/whole", test_dir());
        snprintf(path, sizeof path, "%s/0000000000000001.seg", dir);
        {
                VN_AUTO(vn_spool)
                s = open_spool(dir);
                put_many(s, 0, SMALL, 10);
        }
        CHECK_OK(vn_file_read(path, &bytes, NULL));
        for (unsigned i = 0; i < SMALL; i++) {
                struct vn_spool_record r;
                CHECK_OK(vn_spool_record_read(vn_str_n(bytes.ptr + ends[i], bytes.len - ends[i]), &r, &used));
                ends[i + 1] = ends[i] + used;
        }
        CHECK_INT(bytes.len, ends[SMALL]);
        for (size_t cut = 0; cut <= bytes.len; cut++) {
                unsigned whole = 0;
                while (whole < SMALL && ends[whole + 1] <= cut)
                        whole++;
                snprintf(dir, sizeof dir, "%s/cut%zu", test_dir(), cut);
                CHECK(!mkdir(dir, 0700));
                snprintf(path, sizeof path, "%s/0000000000000001.seg", dir);
                write_file(path, bytes.ptr, cut);
                check_prefix_and_more(dir, whole);
        }
        for (size_t at = 0; at < bytes.len; at++) {
                unsigned whole = 0;
                while (ends[whole + 1] <= at)
                        whole++;
                snprintf(dir, sizeof dir, "%s/bad%zu", test_dir(), at);
                CHECK(!mkdir(dir, 0700));
                snprintf(path, sizeof path, "%s/0000000000000001.seg", dir);
                bytes.ptr[at] = (char)(bytes.ptr[at] ^ (1 << at % 8));
                write_file(path, bytes.ptr, bytes.len);
                bytes.ptr[at] = (char)(bytes.ptr[at] ^ (1 << at % 8));
                check_prefix_and_more(dir, whole);
        }
}

TEST(spool_counts_what_a_garbled_or_missing_segment_held)
{
        struct vn_spool_dropped dropped;
        struct vn_spool_batch batch;
        char path[700];
        for (int missing = 0; missing < 2; missing++) {
                char dir[600];
                snprintf(dir, sizeof dir, "%s/%d", test_dir(), missing);
                struct vn_spool *s = open_spool(dir);
                put_many(s, 0, 2000, 60);
                vn_spool_free(s);
                /* The second segment: its first record's payload, or all of it. */
                uint64_t first = 0;
                for (uint64_t i = 2; i < 2000 && !first; i++) {
                        snprintf(path, sizeof path, "%s/%016llx.seg", dir, (unsigned long long)i);
                        first = access(path, F_OK) ? 0 : i;
                }
                CHECK(first > 0);
                if (missing) {
                        CHECK(!unlink(path));
                } else {
                        int fd = open(path, O_WRONLY);
                        CHECK(fd >= 0 && pwrite(fd, "!", 1, 40) == 1 && !close(fd));
                }
                s = open_spool(dir);
                vn_spool_batch_init(&batch);
                uint64_t got = 0, gone = 0, next = 1;
                for (;;) {
                        CHECK_OK(vn_spool_peek(s, 100, 1 << 20, &batch, NULL));
                        gone += batch.dropped.records;
                        if (!batch.count && !batch.dropped.records)
                                break;
                        for (size_t i = 0; i < batch.count; i++) {
                                if (batch.records[i].sequence != next)
                                        CHECK_INT(first, next); /* the gap begins where the segment did */
                                next = batch.records[i].sequence + 1;
                                check_record(&batch.records[i], (unsigned)batch.records[i].sequence - 1, 60);
                        }
                        got += batch.count;
                        CHECK_OK(vn_spool_ack(s, &batch, NULL));
                }
                CHECK_INT(2000, got + gone);
                CHECK(gone > 100 && gone < 1000);
                CHECK_INT(2001, next);
                put_many(s, 0, 1, 60);
                CHECK_INT(1, take_all(s, 0, 60, 10, &dropped));
                vn_spool_free(s);
                vn_spool_batch_done(&batch);
        }
}

TEST(spool_gives_up_a_record_that_rots_while_it_runs)
{
        struct vn_spool_dropped dropped;
        char path[700];
        VN_AUTO(vn_spool)
        s = open_spool(test_dir());
        put_many(s, 0, 10, 60);
        snprintf(path, sizeof path, "%s/0000000000000001.seg", test_dir());
        int fd = open(path, O_WRONLY);
        CHECK(fd >= 0 && pwrite(fd, "!", 1, 40) == 1 && !close(fd));
        struct vn_spool_batch batch;
        vn_spool_batch_init(&batch);
        CHECK_OK(vn_spool_peek(s, 10, 1 << 20, &batch, NULL));
        CHECK_INT(0, batch.count);
        put_many(s, 10, 20, 60);
        CHECK_INT(10, take_all(s, 10, 60, 3, &dropped));
        CHECK_INT(10, dropped.records);
        vn_spool_batch_done(&batch);
}

TEST(spool_without_its_state_file_gives_all_again_under_another_id)
{
        struct vn_spool_dropped dropped;
        char path[700], id[VN_SPOOL_ID_BYTES];
        struct vn_spool *s = open_spool(test_dir());
        put_many(s, 0, 50, 60);
        memcpy(id, vn_spool_id(s), sizeof id);
        vn_spool_free(s);
        snprintf(path, sizeof path, "%s/spool.json", test_dir());
        for (int garbled = 0; garbled < 2; garbled++) {
                if (garbled)
                        write_file(path, "{\"id\":1}", 8);
                else
                        CHECK(!unlink(path));
                s = open_spool(test_dir());
                CHECK(strcmp(id, vn_spool_id(s)));
                if (garbled) {
                        CHECK_INT(50, take_all(s, 0, 60, 9, &dropped));
                        CHECK_INT(0, dropped.records);
                }
                vn_spool_free(s);
        }
}

/* --- a disk that is full, or fails --- */

TEST(spool_on_a_full_disk_gives_the_oldest_for_the_newest)
{
        struct vn_spool_dropped dropped;
        struct vn_spool_stats stats;
        VN_AUTO(vn_spool)
        s = open_spool(test_dir());
        put_many(s, 0, 1000, 60); /* more than one segment */
        vn_fault_arm("spool.write", 1, VN_FAULT_FAIL);
        put_many(s, 1000, 1001, 60);
        vn_fault_clear();
        vn_spool_stats(s, &stats);
        CHECK(stats.dropped_records > 0);
        CHECK_INT(1001, stats.dropped_records + stats.waiting_records);
        CHECK_INT(stats.waiting_records, take_all(s, (unsigned)stats.dropped_records, 60, 100, &dropped));
        CHECK_INT(stats.dropped_records, dropped.records);
        /* With nothing to give, the record itself is dropped, and told. */
        vn_fault_arm("spool.write", 1, VN_FAULT_FAIL);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_spool_put(s, 0, START + 5, VN_STR("lost"), NULL));
        vn_fault_clear();
        put_many(s, 7, 8, 60);
        CHECK_INT(1, take_all(s, 7, 60, 100, &dropped));
        CHECK_INT(1, dropped.records);
        CHECK_INT(4, dropped.bytes);
        CHECK_INT(START + 5, dropped.from_us);
        CHECK_RC(VN_OUT_OF_RANGE, vn_spool_put(s, 0, 0, vn_str_n("", VN_SPOOL_MAX_RECORD_BYTES + 1), NULL));
}

TEST(spool_hands_nothing_out_that_is_not_durable_and_survives_a_failing_disk)
{
        static const char *const places[] = {"spool.sync", "spool.read", "file.write", "file.sync", "file.rename"};
        struct vn_spool_dropped dropped;
        struct vn_spool_batch batch;
        VN_AUTO(vn_spool)
        s = open_spool(test_dir());
        unsigned next = 0;
        vn_spool_batch_init(&batch);
        for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
                put_many(s, next, next + 10, 60);
                vn_fault_arm(places[i], 1, VN_FAULT_FAIL);
                enum vn_rc rc = vn_spool_peek(s, 5, 1 << 20, &batch, NULL);
                if (rc == VN_OK) /* the state file */
                        CHECK(vn_spool_ack(s, &batch, NULL) != VN_OK);
                else
                        CHECK_INT(0, batch.count);
                vn_fault_clear();
                unsigned taken = rc == VN_OK ? 5 : 0;
                CHECK_INT(10 - taken, take_all(s, next + taken, 60, 100, &dropped));
                next += 10;
        }
        CHECK_INT(0, dropped.records);
        vn_spool_batch_done(&batch);
}

static char alloc_dir[600];
static unsigned alloc_turn;

static enum vn_rc use_spool(void)
{
        char dir[700];
        struct vn_spool_batch batch;
        struct vn_spool *s = NULL;
        snprintf(dir, sizeof dir, "%s/%u", alloc_dir, alloc_turn++);
        vn_spool_batch_init(&batch);
        enum vn_rc rc = vn_spool_open(dir, BOUND, &s, NULL);
        for (int i = 0; rc == VN_OK && i < 3; i++)
                rc = vn_spool_put(s, 0, i, VN_STR("text"), NULL);
        if (rc == VN_OK)
                rc = vn_spool_peek(s, 10, 100, &batch, NULL);
        if (rc == VN_OK)
                rc = vn_spool_ack(s, &batch, NULL);
        vn_spool_free(s);
        vn_spool_batch_done(&batch);
        return rc;
}

TEST(spool_survives_every_failing_allocation)
{
        snprintf(alloc_dir, sizeof alloc_dir, "%s", test_dir());
        TEST_ALLOC_LOOP(use_spool);
}

/* Any order of putting, taking, refusing and restarting: each record arrives once or is told as dropped, in order. */
TEST(spool_loses_nothing_untold_whatever_the_order)
{
        struct vn_rng rng;
        struct vn_spool_batch batch;
        uint64_t put = 0, arrived = 0, told = 0;
        unsigned newest = 0;
        struct vn_spool *s = open_spool(test_dir());
        vn_rng_seed(&rng, test_seed());
        vn_spool_batch_init(&batch);
        for (int turn = 0; turn < 600; turn++) {
                unsigned many = (unsigned)vn_rng_below(&rng, 200);
                put_many(s, (unsigned)put, (unsigned)put + many, 300);
                put += many;
                if (!vn_rng_below(&rng, 8)) {
                        vn_spool_free(s);
                        s = open_spool(test_dir());
                }
                if (vn_rng_below(&rng, 3))
                        continue;
                CHECK_OK(vn_spool_peek(s, 1 + vn_rng_below(&rng, 400), 1 + vn_rng_below(&rng, 90000), &batch, NULL));
                if (!vn_rng_below(&rng, 3))
                        put_many(s, (unsigned)put, (unsigned)put + 150, 300), put += 150;
                if (!vn_rng_below(&rng, 3))
                        continue;
                for (size_t i = 0; i < batch.count; i++) {
                        CHECK(!newest || batch.records[i].sequence > newest);
                        newest = (unsigned)batch.records[i].sequence;
                        check_record(&batch.records[i], newest - 1, 300);
                }
                arrived += batch.count;
                told += batch.dropped.records;
                CHECK_OK(vn_spool_ack(s, &batch, NULL));
        }
        do {
                CHECK_OK(vn_spool_peek(s, 1000, 1 << 20, &batch, NULL));
                arrived += batch.count;
                told += batch.dropped.records;
                CHECK_OK(vn_spool_ack(s, &batch, NULL));
        } while (batch.count);
        CHECK_INT(put, arrived + told);
        CHECK(told > 0 && arrived > 0);
        vn_spool_free(s);
        vn_spool_batch_done(&batch);
}

/* A power cut may take records that had arrived: their sequences, which name objects elsewhere, are not used again. */
TEST(spool_uses_no_sequence_twice_even_if_the_disk_forgot_what_had_arrived)
{
        struct vn_spool_batch batch;
        struct vn_spool_dropped dropped;
        char path[700];
        struct vn_spool *s = open_spool(test_dir());
        put_many(s, 0, 10, 60);
        take_all(s, 0, 60, 10, &dropped);
        vn_spool_free(s);
        snprintf(path, sizeof path, "%s/0000000000000001.seg", test_dir());
        CHECK(!truncate(path, 150));
        s = open_spool(test_dir());
        put_many(s, 0, 3, 60);
        vn_spool_batch_init(&batch);
        CHECK_OK(vn_spool_peek(s, 10, 1000, &batch, NULL));
        CHECK_INT(3, batch.count);
        CHECK_INT(11, batch.records[0].sequence);
        CHECK_INT(0, batch.dropped.records);
        vn_spool_batch_done(&batch);
        vn_spool_free(s);
}
