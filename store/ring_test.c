#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/hash.h"
#include "store/ring.h"
#include "tests/test.h"

#define SLOTS 64

static struct vn_ring *open_ring(const char *dir, const struct vn_ring_mark *mark)
{
        char path[512];
        struct vn_ring *ring;
        struct vn_err err = {.rc = VN_OK};
        snprintf(path, sizeof path, "%s/ring", dir);
        CHECK_OK(vn_ring_open(path, 3, SLOTS, &ring, &err));
        CHECK_OK(vn_ring_recover(ring, mark, &err));
        return ring;
}

static size_t fill(uint8_t *to, struct vn_rng *rng, uint64_t number)
{
        size_t n = vn_rng_below(rng, 4) ? 16 + vn_rng_below(rng, 600) : 16 + vn_rng_below(rng, 15900);
        memset(to, (int)number, n);
        memcpy(to, &number, sizeof number);
        return n;
}

TEST(records_come_back_in_order_over_many_laps)
{
        static uint8_t bytes[VN_RING_MAX_RECORD_BYTES], scratch[VN_RING_MAX_RECORD_BYTES];
        struct vn_ring_mark mark = {0};
        struct vn_ring *ring = open_ring(test_dir(), &mark);
        struct vn_rng put_rng, get_rng;
        uint64_t seed = test_seed(), put = 0, got = 0, seq;
        struct vn_str record;
        struct vn_gap gap;
        vn_rng_seed(&put_rng, seed);
        vn_rng_seed(&get_rng, seed);
        size_t n = fill(bytes, &put_rng, 0);
        while (got < 3000) {
                while (put < 3000 && vn_ring_put(ring, bytes, n) == VN_OK)
                        n = fill(bytes, &put_rng, ++put);
                CHECK(put > got);
                while (vn_ring_peek(ring, scratch, &record, &seq) == VN_OK) {
                        static uint8_t want[VN_RING_MAX_RECORD_BYTES];
                        CHECK_INT(fill(want, &get_rng, got), record.len);
                        CHECK(!memcmp(want, record.ptr, record.len));
                        CHECK_INT(got++, seq);
                        if (got % 7 == 0)
                                vn_ring_release(ring);
                }
                vn_ring_release(ring);
                CHECK(!vn_ring_take_gap(ring, &gap));
        }
        vn_ring_free(ring);
}

TEST(full_ring_refuses_and_tells_what_was_lost)
{
        uint8_t bytes[500] = {1}, view[32] = {9}, scratch[VN_RING_MAX_RECORD_BYTES];
        struct vn_ring_mark mark = {0};
        struct vn_ring *ring = open_ring(test_dir(), &mark);
        struct vn_str record;
        struct vn_gap gap;
        uint64_t seq;
        for (int i = 0; i < SLOTS; i++)
                CHECK_OK(vn_ring_put(ring, bytes, sizeof bytes));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_ring_put(ring, bytes, sizeof bytes));
        vn_ring_lost(ring, 1, 1000, view);
        vn_ring_lost(ring, 2, 3000, view);
        while (vn_ring_peek(ring, scratch, &record, &seq) == VN_OK)
                ;
        CHECK(vn_ring_take_gap(ring, &gap));
        CHECK_INT(VN_GAP_LOST, gap.kind);
        CHECK_INT(3, gap.count);
        CHECK_INT(1000, gap.first_us);
        CHECK_INT(3000, gap.last_us);
        CHECK_INT(9, gap.view[0]);
        CHECK(!vn_ring_take_gap(ring, &gap));
        vn_ring_rewind(ring); /* the commit failed: the same gap is told again */
        CHECK(vn_ring_take_gap(ring, &gap));
        CHECK_INT(3, gap.count);
        while (vn_ring_peek(ring, scratch, &record, &seq) == VN_OK)
                ;
        mark = vn_ring_read_mark(ring);
        vn_ring_release(ring);
        CHECK_OK(vn_ring_put(ring, bytes, sizeof bytes));
        vn_ring_free(ring);

        ring = open_ring(test_dir(), &mark); /* told once, also after a restart */
        CHECK_INT(SLOTS + 1, vn_ring_next_seq(ring));
        CHECK_OK(vn_ring_peek(ring, scratch, &record, &seq));
        CHECK_INT(SLOTS, seq);
        CHECK(!vn_ring_take_gap(ring, &gap));
        vn_ring_free(ring);
}

TEST(what_stood_in_the_ring_survives_a_kill)
{
        const char *dir = test_dir();
        struct vn_ring_mark mark = {0};
        uint8_t scratch[VN_RING_MAX_RECORD_BYTES];
        struct vn_str record;
        struct vn_gap gap;
        uint64_t seq, acknowledged = 0;
        int pipes[2];
        CHECK(pipe(pipes) == 0);
        pid_t pid = fork();
        if (pid == 0) {
                struct vn_ring *ring = open_ring(dir, &mark);
                for (uint64_t i = 0;; i++) {
                        if (vn_ring_put(ring, &i, sizeof i) != VN_OK)
                                pause(); /* full: wait for the kill */
                        if (write(pipes[1], &i, sizeof i) != sizeof i)
                                _exit(1);
                }
        }
        while (acknowledged < 40)
                CHECK(read(pipes[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged);
        kill(pid, SIGKILL);
        CHECK(waitpid(pid, NULL, 0) == pid);
        fcntl(pipes[0], F_SETFL, O_NONBLOCK);
        while (read(pipes[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
                ;
        struct vn_ring *ring = open_ring(dir, &mark);
        uint64_t count = 0;
        for (; vn_ring_peek(ring, scratch, &record, &seq) == VN_OK; count++) {
                uint64_t value;
                memcpy(&value, record.ptr, sizeof value);
                CHECK_INT(count, value);
                CHECK_INT(count, seq);
        }
        CHECK(count >= acknowledged + 1);
        CHECK(!vn_ring_take_gap(ring, &gap));
        vn_ring_free(ring);
        close(pipes[0]);
        close(pipes[1]);
}

/* Flips one bit anywhere in the slots that are in use: the record it hits is missing and a gap says so, or nothing
 * changed; never is a changed record given out. */
TEST(a_flipped_bit_is_found_and_told)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        char path[512];
        uint8_t bytes[2500], scratch[VN_RING_MAX_RECORD_BYTES];
        snprintf(path, sizeof path, "%s/ring", test_dir());
        for (int round = 0; round < 300; round++) {
                struct vn_ring_mark mark = {0};
                unlink(path);
                struct vn_ring *ring = open_ring(test_dir(), &mark);
                for (int i = 0; i < 10; i++) {
                        memset(bytes, i, sizeof bytes);
                        CHECK_OK(vn_ring_put(ring, bytes, i % 3 ? 700 : 2500));
                }
                vn_ring_free(ring);
                int fd = open(path, O_RDWR);
                uint64_t at = 4096 + vn_rng_below(&rng, 18 * 1024);
                uint8_t byte;
                CHECK(pread(fd, &byte, 1, (off_t)at) == 1);
                byte ^= (uint8_t)(1u << vn_rng_below(&rng, 8));
                CHECK(pwrite(fd, &byte, 1, (off_t)at) == 1);
                close(fd);

                ring = open_ring(test_dir(), &mark);
                bool seen[10] = {false}, told[10] = {false};
                struct vn_str record;
                struct vn_gap gap;
                uint64_t seq, extra = 77;
                CHECK_OK(vn_ring_put(ring, &extra, sizeof extra)); /* a later record shows a gap at the end */
                while (vn_ring_peek(ring, scratch, &record, &seq) == VN_OK) {
                        if (seq == 10)
                                continue;
                        CHECK(seq < 10 && !seen[seq]);
                        seen[seq] = true;
                        CHECK_INT(seq % 3 ? 700 : 2500, record.len);
                        for (size_t i = 0; i < record.len; i++)
                                CHECK_INT(seq, record.ptr[i]);
                }
                while (vn_ring_take_gap(ring, &gap))
                        for (uint64_t i = gap.first_seq; i <= gap.last_seq; i++) {
                                CHECK_INT(VN_GAP_CORRUPT, gap.kind);
                                CHECK(i < 10);
                                told[i] = true;
                        }
                for (int i = 0; i < 10; i++)
                        CHECK(seen[i] != told[i]);
                vn_ring_free(ring);
        }
}

TEST(a_power_cut_is_told_and_sequences_never_come_again)
{
        char path[512];
        uint8_t bytes[100] = {5}, scratch[VN_RING_MAX_RECORD_BYTES];
        struct vn_ring_mark mark = {0};
        struct vn_ring *ring = open_ring(test_dir(), &mark);
        struct vn_str record;
        struct vn_gap gap;
        uint64_t seq;
        for (int i = 0; i < 10; i++)
                CHECK_OK(vn_ring_put(ring, bytes, sizeof bytes));
        for (int i = 0; i < 6; i++)
                CHECK_OK(vn_ring_peek(ring, scratch, &record, &seq));
        mark = vn_ring_read_mark(ring);
        vn_ring_free(ring);

        /* The disk kept the first page of long ago and lost slots 6, 7 and 9. */
        snprintf(path, sizeof path, "%s/ring", test_dir());
        int fd = open(path, O_RDWR);
        uint8_t zeros[1024] = {0};
        uint64_t zero = 0;
        CHECK(pwrite(fd, &zero, 8, 64) == 8); /* head */
        CHECK(pwrite(fd, zeros, 1024, 4096 + 6 * 1024) == 1024);
        CHECK(pwrite(fd, zeros, 1024, 4096 + 7 * 1024) == 1024);
        CHECK(pwrite(fd, zeros, 1024, 4096 + 9 * 1024) == 1024);
        close(fd);

        ring = open_ring(test_dir(), &mark);
        CHECK_INT(UINT64_C(1) << 32, vn_ring_next_seq(ring));
        CHECK_OK(vn_ring_peek(ring, scratch, &record, &seq));
        CHECK_INT(8, seq);
        CHECK_RC(VN_NOT_FOUND, vn_ring_peek(ring, scratch, &record, &seq));
        CHECK(vn_ring_take_gap(ring, &gap));
        CHECK_INT(VN_GAP_POWER_CUT, gap.kind);
        CHECK_INT(6, gap.first_seq);
        CHECK_INT(7, gap.last_seq);
        CHECK(vn_ring_take_gap(ring, &gap));
        CHECK_INT(9, gap.first_seq);
        CHECK_INT((UINT64_C(1) << 32) - 1, gap.last_seq);
        CHECK_INT(0, gap.count);
        CHECK(!vn_ring_take_gap(ring, &gap));
        CHECK_OK(vn_ring_put(ring, bytes, sizeof bytes));
        CHECK_OK(vn_ring_peek(ring, scratch, &record, &seq));
        CHECK_INT(UINT64_C(1) << 32, seq);
        CHECK(!vn_ring_take_gap(ring, &gap));
        vn_ring_free(ring);
}

TEST(wrong_files_are_refused)
{
        char path[512];
        struct vn_ring *ring = NULL;
        struct vn_err err = {.rc = VN_OK};
        snprintf(path, sizeof path, "%s/ring", test_dir());
        CHECK_OK(vn_ring_open(path, 3, SLOTS, &ring, &err));
        ring = vn_ring_free(ring);
        CHECK_RC(VN_FAILED_PRECONDITION, vn_ring_open(path, 4, SLOTS, &ring, &err));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_ring_open(path, 3, 2 * SLOTS, &ring, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_ring_open(path, 3, 100, &ring, &err));
        CHECK(truncate(path, 4096 + 1024) == 0);
        CHECK_RC(VN_DATA_LOSS, vn_ring_open(path, 3, SLOTS, &ring, &err));
        CHECK(truncate(path, 10) == 0);
        CHECK_RC(VN_DATA_LOSS, vn_ring_open(path, 3, SLOTS, &ring, &err));
        CHECK_OK(vn_file_write_atomic(path, VN_STR("x"), 0600, NULL));
        CHECK_RC(VN_DATA_LOSS, vn_ring_open(path, 3, SLOTS, &ring, &err));
        CHECK(ring == NULL);
}

/* Producer and consumer at the same time: nothing torn, nothing out of order (also run under the thread sanitizer). */
static void *produce(void *arg)
{
        struct vn_ring *ring = arg;
        uint64_t bytes[60];
        for (uint64_t i = 0; i < 20000; i++) {
                for (size_t k = 0; k < 60; k++)
                        bytes[k] = i;
                while (vn_ring_put(ring, bytes, sizeof bytes) != VN_OK)
                        sched_yield();
        }
        return NULL;
}

TEST(two_threads_share_a_ring)
{
        struct vn_ring_mark mark = {0};
        struct vn_ring *ring = open_ring(test_dir(), &mark);
        uint8_t scratch[VN_RING_MAX_RECORD_BYTES];
        struct vn_str record;
        uint64_t seq;
        pthread_t thread;
        CHECK(pthread_create(&thread, NULL, produce, ring) == 0);
        for (uint64_t got = 0; got < 20000;) {
                if (vn_ring_peek(ring, scratch, &record, &seq) != VN_OK) {
                        sched_yield();
                        continue;
                }
                uint64_t bytes[60];
                memcpy(bytes, record.ptr, sizeof bytes);
                CHECK_INT(got, bytes[0]);
                CHECK_INT(got, bytes[59]);
                CHECK_INT(got++, seq);
                vn_ring_release(ring);
        }
        pthread_join(thread, NULL);
        vn_ring_free(ring);
}

TEST(a_run_takes_its_sequences_and_leaves_no_gap)
{
        uint8_t bytes[3000] = {7}, scratch[VN_RING_MAX_RECORD_BYTES];
        struct vn_ring_mark mark = {0};
        struct vn_ring *ring = open_ring(test_dir(), &mark);
        struct vn_str record;
        struct vn_gap gap;
        uint64_t seq;
        CHECK_OK(vn_ring_put(ring, bytes, 100));
        CHECK_OK(vn_ring_put_run(ring, bytes, sizeof bytes, 40));
        CHECK_INT(41, vn_ring_next_seq(ring));
        CHECK_OK(vn_ring_put(ring, bytes, 100));
        for (unsigned i = 0; i < 3; i++) {
                CHECK_OK(vn_ring_peek(ring, scratch, &record, &seq));
                CHECK_INT(((const uint64_t[]){0, 1, 41})[i], seq);
        }
        CHECK_INT(42, vn_ring_read_mark(ring).next_seq);
        CHECK(!vn_ring_take_gap(ring, &gap));
        vn_ring_release(ring);
        /* Not consumed at a restart: the sequences of what stands in the ring are not given again. */
        CHECK_OK(vn_ring_put_run(ring, bytes, 50, 9));
        mark = vn_ring_read_mark(ring);
        vn_ring_free(ring);
        ring = open_ring(test_dir(), &mark);
        CHECK_INT(51, vn_ring_next_seq(ring));
        CHECK_OK(vn_ring_peek(ring, scratch, &record, &seq));
        CHECK_INT(42, seq);
        CHECK_INT(51, vn_ring_read_mark(ring).next_seq);
        vn_ring_free(ring);
}

TEST(room_that_is_said_to_be_there_is_there)
{
        static uint8_t bytes[VN_RING_MAX_RECORD_BYTES] = {1}, scratch[VN_RING_MAX_RECORD_BYTES];
        struct vn_ring_mark mark = {0};
        struct vn_ring *ring = open_ring(test_dir(), &mark);
        struct vn_str record;
        uint64_t seq;
        while (vn_ring_has_room(ring, sizeof bytes))
                CHECK_OK(vn_ring_put_run(ring, bytes, sizeof bytes, 3));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_ring_put_run(ring, bytes, sizeof bytes, 3));
        CHECK_OK(vn_ring_peek(ring, scratch, &record, &seq));
        vn_ring_release(ring);
        CHECK(vn_ring_has_room(ring, sizeof bytes));
        CHECK_OK(vn_ring_put_run(ring, bytes, sizeof bytes, 3));
        vn_ring_free(ring);
}
