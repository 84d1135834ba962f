/* sink_kind.h - what a kind of sink is to sinks.c: one row of functions. Internal to the sinks.
 * Threads: open, close, encode_* and window on the main thread; deliver on the sink's own. */
#ifndef VANE_AGENTS_SINK_KIND_H
#define VANE_AGENTS_SINK_KIND_H

#include <jansson.h>
#include <stdatomic.h>

#include "agents/sink.h"
#include "agents/spool.h"
#include "base/lock.h"

struct vn_sink_delivery {
        uint64_t refused; /* records of the batch that the other side will never take: not sent again */
        char why[160];    /* and why not */
        int64_t wait_us;  /* after a failure: how long it asks to be left alone; 0: it does not say */
        bool too_large;   /* fewer at once may work */
};

struct vn_sink;
struct vn_sink_kind {
        const char *name;
        const char *const *members; /* of its configuration, besides kind, name and spool_bytes; ends with NULL */
        size_t max_records, max_bytes;
        enum vn_rc (*open)(struct vn_sink *sink, const json_t *config, struct vn_err *err);
        void (*close)(struct vn_sink *sink);
        /* What goes into the spool; NULL: this kind does not take it. */
        void (*encode_line)(const struct vn_sink *sink, const struct vn_sink_line *line, struct vn_buf *ret);
        void (*encode_window)(const struct vn_sink *sink, const struct vn_window *window, struct vn_buf *ret);
        /* OK: the whole batch has arrived or is refused for good. */
        enum vn_rc (*deliver)(struct vn_sink *sink, const struct vn_spool_batch *batch, struct vn_sink_delivery *ret,
                              struct vn_err *err);
        void (*window)(struct vn_sink *sink, const struct vn_window *window); /* kinds without a spool */
};
extern const struct vn_sink_kind vn_sink_s3, vn_sink_blob, vn_sink_gcs, vn_sink_prometheus, vn_sink_influx,
        vn_sink_postgres;

struct vn_sink {
        const struct vn_sink_kind *kind;
        struct vn_sinks *sinks;
        char name[VN_SINK_NAME_BYTES];
        void *state; /* the kind's own */
        struct vn_buf encoded;
        struct vn_spool *spool; /* NULL: has none */
        int64_t flush_us;       /* records may wait so long for others to go with; 0: not at all */
        pthread_t thread;
        bool running;
        struct vn_lock lock; /* class "sink": what follows */
        pthread_cond_t wake;
        bool stop;
        atomic_uint_fast64_t delivered, refused;
        _Atomic int64_t last_error_us;
};
struct vn_sinks {
        char account[64], cloud[16];
        const struct vn_clock *clock;
        json_t *description; /* of cloud.json */
        struct vn_sink items[VN_MAX_SINKS];
        size_t count;
};

/* Members of a sink's configuration. Text: NOT_FOUND if it is missing; secrets come from files, one line each. */
enum vn_rc vn_sink_text(const json_t *config, const char *member, struct vn_str *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_sink_number(const json_t *config, const char *member, int64_t min, int64_t max, int64_t absent,
                          int64_t *ret, struct vn_err *err) VN_MUST_USE;
/* The line in the file that a member names; empty if there is no such member. The caller wipes it. */
enum vn_rc vn_sink_secret(const json_t *config, const char *member, struct vn_buf *ret,
                          struct vn_err *err) VN_MUST_USE;

#endif
