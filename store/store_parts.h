/* store_parts.h - the inside of the store, for store.c, writer.c, reader.c, history.c and blob.c only.
 * Threads: `mutex` guards the queues, the flags and the figures; what is marked writer belongs to the writer thread
 *   (and to open and free, when it does not run). Ring producers touch only their ring. */
#ifndef VANE_STORE_STORE_PARTS_H
#define VANE_STORE_STORE_PARTS_H

#include <pthread.h>
#include <stdatomic.h>

#include "store/batch.h"
#include "store/engine.h"
#include "store/file.h"
#include "store/logfile.h"

#define VN_GROUP_MAX_BATCHES 1024
#define VN_GROUP_MAX_BATCH_BYTES (16u << 20)
#define VN_GROUP_MAX_RECORDS 8192
#define VN_GROUP_SCRATCH_BYTES (2u << 20)
#define VN_GROUP_MAX_GAPS 128
#define VN_MAX_READERS 32

struct vn_read_job {
        enum vn_rc (*work)(void *arg, struct vn_snap *snap);
        void (*done)(void *arg, enum vn_rc rc);
        void *arg;
        struct vn_read_job *next;
};

struct vn_writer { /* writer's own */
        struct vn_batch *batches[VN_GROUP_MAX_BATCHES];
        struct vn_str records[VN_GROUP_MAX_RECORDS + VN_GROUP_MAX_GAPS];
        struct vn_ring_mark marks[VN_STORE_MAX_RINGS];
        uint8_t *scratch;
        struct vn_buf gaps;
        uint64_t next_seq;       /* all below are committed */
        int64_t published_at_us; /* monotonic */
        int64_t drained_at_us;
        int64_t checked_at_us;
        uint64_t bytes_since_check;
        bool drain_failed; /* back off before the rings are tried again */
};

struct vn_store {
        struct vn_store_config config;
        char dir[VN_PATH_BYTES];
        char blob_dir[VN_PATH_BYTES];
        int lock_fd;
        struct vn_engine *engine;
        struct vn_logfile *log;
        struct vn_ring *rings[VN_STORE_MAX_RINGS];
        struct vn_writer writer;
        pthread_t writer_thread;
        bool writer_runs;

        pthread_mutex_t mutex;
        pthread_cond_t wake; /* the writer */
        pthread_cond_t done; /* those who wait for a flush */
        struct vn_batch *queue_head, *queue_tail;
        size_t queue_count;
        bool stop;
        uint64_t flush_wanted, flush_done;
        enum vn_rc flush_rc;
        struct vn_err flush_error;
        enum vn_rc failed; /* not OK: a sync failed; nothing is written any more until a restart */
        struct vn_store_stats stats;

        pthread_mutex_t read_mutex;
        pthread_cond_t read_wake;
        pthread_t readers[VN_MAX_READERS];
        unsigned reader_count;
        struct vn_read_job *read_head, *read_tail;
        size_t read_waiting;
        bool read_stop;
        _Atomic uint64_t blob_bytes;
};

void *vn_writer_main(void *store);
enum vn_rc vn_writer_start(struct vn_store *store, struct vn_err *err) VN_MUST_USE;
void vn_writer_stop(struct vn_store *store);
/* Makes the leaves of committed records that the log does not have yet (after a crash, or when memory was short). */
enum vn_rc vn_writer_catch_up(struct vn_store *store, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_writer_leaf(const struct vn_record_ops *ops, struct vn_str record, struct vn_leaf *ret) VN_MUST_USE;
/* Looks at budget and disk and sets stats.read_only. */
void vn_writer_check_space(struct vn_store *store);
enum vn_rc vn_readers_start(struct vn_store *store, struct vn_err *err) VN_MUST_USE;
void vn_readers_stop(struct vn_store *store);
enum vn_rc vn_blobs_open(struct vn_store *store, struct vn_err *err) VN_MUST_USE;
/* The lock on a state directory: FAILED_PRECONDITION, naming the process, if another one holds it. */
enum vn_rc vn_store_lock(const char *dir, int *ret_fd, struct vn_err *err) VN_MUST_USE;
void vn_store_config_defaults(struct vn_store_config *config);
int64_t vn_store_mono_us(void);

#endif
