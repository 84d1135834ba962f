/* Entries a second through ring, commit and Merkle log at full load; and, at half of that rate, the time from an
 * entry's put to the signed checkpoint that covers it. The floor beside it: append of the same bytes with one fdatasync
 * for each thousand. */
#include <fcntl.h>
#include <stdatomic.h>

#include "bench/durable.h"
#include "store/testing.h"

#define RECORD_BYTES 400
#define MAX_ENTRIES 4000000u
#define FULL_SECONDS 3.0
#define HALF_SECONDS 4.0
#define FLOOR_GROUP 1000

static double *put_at;  /* of each entry: one ring, so entry n is the n-th put */
static double *latency; /* of the entries of the second phase */
static size_t latency_count;
static _Atomic uint64_t measure_from = UINT64_MAX;
static uint64_t integrated;

static void published(void *arg, const struct vn_checkpoint *checkpoint)
{
        (void)arg;
        double now = bench_now_s();
        for (; integrated < checkpoint->size && integrated < MAX_ENTRIES; integrated++)
                if (integrated >= atomic_load(&measure_from))
                        latency[latency_count++] = (now - put_at[integrated]) * 1e3;
}

static uint64_t put_for(struct vn_store *store, uint64_t next, double seconds, double rate)
{
        uint8_t bytes[RECORD_BYTES];
        struct vn_ring *ring = vn_store_ring(store, 0);
        double begin = bench_now_s(), now = begin;
        uint64_t first = next;
        while (now - begin < seconds && next < MAX_ENTRIES) {
                if (rate > 0 && (double)(next - first) > (now - begin) * rate) {
                        usleep(200);
                        now = bench_now_s();
                        continue;
                }
                struct vn_str record = testing_record(bytes, RECORD_BYTES, 1, next, 1, 1);
                put_at[next] = now = bench_now_s();
                if (vn_ring_put(ring, record.ptr, record.len) == VN_OK)
                        next++;
                else
                        usleep(100);
        }
        return next;
}

static double floor_rate(const char *dir)
{
        static uint8_t bytes[RECORD_BYTES * FLOOR_GROUP];
        char path[600];
        snprintf(path, sizeof path, "%s/floor", dir);
        int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
        double begin = bench_now_s(), now = begin;
        uint64_t count = 0;
        for (; now - begin < 1; now = bench_now_s(), count += FLOOR_GROUP)
                if (write(fd, bytes, sizeof bytes) != (ssize_t)sizeof bytes || fdatasync(fd) != 0)
                        bench_die("floor", "cannot write");
        close(fd);
        return (double)count / (now - begin);
}

static bool check_record(void *arg, uint64_t seq, struct vn_str record)
{
        uint64_t *next = arg;
        struct testing_record r;
        memcpy(&r, record.ptr, sizeof r);
        if (seq != *next || r.id != *next)
                bench_die("log", "a record came back changed");
        ++*next;
        return true;
}

static void read_back(struct vn_store *store, uint64_t count, const struct vn_note_key *key, const char *dir)
{
        struct vn_err err = {.rc = VN_OK};
        uint64_t seen = 0, next = 0;
        struct vn_verify_report report;
        struct vn_record_ops ops = testing_ops();
        do {
                struct vn_record_filter filter = {.limit = SIZE_MAX, .from_seq = next};
                bench_ok(vn_store_records(store, &filter, check_record, &seen, &next, &err), &err, "read back");
        } while (next < count);
        vn_store_free(store);
        bench_ok(vn_store_verify(dir, key, &ops, &report, &err), &err, "verify");
        if (seen != count || report.log_size != count || report.missing)
                bench_die("log", "entries are missing");
}

int main(void)
{
        struct vn_err err = {.rc = VN_OK};
        struct vn_note_key *key = NULL;
        struct vn_store *store;
        struct vn_store_stats stats;
        char root[512], dir[560];
        const char *fs = bench_dir(root);
        put_at = calloc(MAX_ENTRIES, sizeof *put_at);
        latency = calloc(MAX_ENTRIES, sizeof *latency);
        bench_ok(put_at && latency ? vn_note_key_generate("bench/log", &key, &err) : VN_RESOURCE_EXHAUSTED, &err,
                 "start");
        snprintf(dir, sizeof dir, "%s/state", root);
        struct vn_store_config config = testing_config(dir, key, 1);
        config.ring_slots = 0;
        config.checkpoint_interval_us = 0; /* the defaults */
        config.disk_budget_bytes = UINT64_C(64) << 30;
        config.published = published;
        bench_ok(vn_store_open(&config, &store, &err), &err, "open");

        double begin = bench_now_s();
        uint64_t full = put_for(store, 0, FULL_SECONDS, 0);
        bench_ok(vn_store_flush(store, &err), &err, "flush");
        double rate = (double)full / (bench_now_s() - begin);
        atomic_store(&measure_from, full);
        uint64_t all = put_for(store, full, HALF_SECONDS, rate / 2);
        bench_ok(vn_store_flush(store, &err), &err, "flush");
        usleep(400000); /* the figures are renewed four times a second */
        vn_store_stats(store, &stats);
        read_back(store, all, key, dir);
        double base = floor_rate(root);
        qsort(latency, latency_count, sizeof *latency, bench_by_value);
        printf("{\"bench\":\"log\",\"case\":\"append\",\"metric\":\"entries_per_s\",\"value\":%.0f,\"unit\":\"1/s\","
               "\"peer\":\"append+fdatasync/1000\",\"peer_value\":%.0f,\"ratio\":%.3f,\"fs\":\"%s\",\"syncs\":%llu,"
               "\"read_back\":%llu}\n",
               rate, base, rate / base, fs, (unsigned long long)stats.syncs, (unsigned long long)all);
        printf("{\"bench\":\"log\",\"case\":\"append\",\"metric\":\"integrated_p99_ms\",\"value\":%.1f,\"unit\":"
               "\"ms\","
               "\"peer\":null,\"peer_value\":null,\"ratio\":null,\"at_entries_per_s\":%.0f,\"entries\":%zu,"
               "\"fs\":\"%s\"}\n",
               latency_count ? latency[latency_count * 99 / 100] : -1.0, (double)(all - full) / HALF_SECONDS,
               latency_count, fs);
        vn_note_key_free(key);
        free(put_at);
        free(latency);
        bench_remove(root);
        return latency_count ? 0 : 1;
}
