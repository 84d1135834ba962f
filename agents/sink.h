/* sink.h - where an account's own telemetry goes besides the server: its bucket, Prometheus, InfluxDB, PostgreSQL.
 * Purpose: raw sampled lines and closed windows are handed over here; nothing of it goes to vaned. Which sinks there are is
 *   the member `sinks` of cloud.json: docs/sinks.md.
 * Threads: vn_sinks_line and vn_sinks_window belong to the agent's main thread; they write to a spool on disk (spool.h)
 *   and never wait for a network. Each sink has a thread that delivers from its spool, oldest first, and tries again for as
 *   long as it takes; Prometheus is asked instead, by its scrapes, and has no spool.
 * Delivery: a record is taken off its spool once the other side has confirmed it. A resend replaces what it repeats (object
 *   names, points, unique keys), so that nothing doubles.
 * Errors: a sink that cannot be reached is no error here: it is logged, and shown by vn_sinks_health. */
#ifndef VANE_AGENTS_SINK_H
#define VANE_AGENTS_SINK_H

#include "base/clock.h"
#include "federation/window.h"

#define VN_MAX_SINKS 8
#define VN_SINK_NAME_BYTES 40
#define VN_SINK_MAX_LINE_BYTES (32u << 10) /* of text; what is longer is cut */

struct vn_sink_line {
        int64_t time_us;
        const char *function, *region;
        const char *kind;   /* a word: report, error, application, ... (lines.h) */
        uint32_t weight;    /* how many lines of its kind it stands for */
        struct vn_str text; /* scrubbed */
};

struct vn_sinks;
struct vn_sinks_options {
        const char *config_file; /* cloud.json: member sinks, and the credentials for the account's bucket */
        const char *state_dir;   /* spools lie in its folder "sinks" */
        const char *account;     /* as it is called in what is written, unless cloud.json has a `name` */
        const struct vn_clock *clock;
};
/* Gives NULL, and OK, where the file names no sinks. INVALID_ARGUMENT for a member that no sink knows. */
enum vn_rc vn_sinks_open(const struct vn_sinks_options *options, struct vn_sinks **ret,
                         struct vn_err *err) VN_MUST_USE;
/* Stops the threads, which end what they are doing; what was not delivered stays in the spools. */
struct vn_sinks *vn_sinks_free(struct vn_sinks *sinks);

/* Both take NULL for no sinks. */
void vn_sinks_line(struct vn_sinks *sinks, const struct vn_sink_line *line);
void vn_sinks_window(struct vn_sinks *sinks, const struct vn_window *window);
bool vn_sinks_take_lines(const struct vn_sinks *sinks); /* reading them from the cloud is not for nothing */

struct vn_sink_health {
        char name[VN_SINK_NAME_BYTES];
        const char *kind;
        bool spooled; /* else the rest is 0 */
        uint64_t waiting_records, waiting_bytes;
        uint64_t delivered_records, dropped_records, refused_records; /* since the start */
        int64_t last_error_us;                                        /* of the real monotonic clock; 0: none yet */
};
/* Any thread. Returns how many there are. */
size_t vn_sinks_health(const struct vn_sinks *sinks, struct vn_sink_health ret[VN_MAX_SINKS]);

#endif
