/* lines.h - raw log lines on their way to the account's own store: allowed, sampled, scrubbed, in this order.
 * Purpose: the one place through which the text of a function's log goes. Nothing of it is ever sent to vaned: who takes
 *   the lines is a sink of the account's owner.
 *   Allowed: a line's kind is found first, and a kind that the data class does not let through ends here.
 *   Sampled (sample.h): errors and cold starts all, others one in k, weighted.
 *   Scrubbed: the owner's patterns, then scrub.h. A line that cannot be scrubbed is dropped and counted.
 * Threads: one. Ownership: a line is borrowed during the callback. Bounds: VN_SCRUB_MAX_BYTES a line. */
#ifndef VANE_AGENTS_LINES_H
#define VANE_AGENTS_LINES_H

#include "agents/sample.h"
#include "agents/scrub.h"
#include "clouds/observe.h"
#include "federation/leave.h"

enum vn_line_kind {
        VN_LINE_REPORT,      /* the platform's figures of one invocation */
        VN_LINE_PLATFORM,    /* start, end, init */
        VN_LINE_ERROR,       /* a function's own, by severity or by how it reads */
        VN_LINE_APPLICATION, /* whatever else a function wrote */
        VN_LINE_KINDS
};
const char *vn_line_kind_name(enum vn_line_kind kind);

struct vn_line {
        const char *function, *region;
        int64_t time_us;
        enum vn_line_kind kind;
        uint32_t weight; /* how many lines of its kind it stands for */
        struct vn_str text;
};
typedef enum vn_rc (*vn_line_fn)(void *arg, const struct vn_line *line, struct vn_err *err);

struct vn_lines_config {
        struct vn_sample_config sample;
        enum vn_data_class data_class;
        const struct json_t *patterns; /* scrub_patterns.h; NULL: none */
        vn_line_fn each;
        void *arg;
};
struct vn_lines_stats {
        uint64_t seen, not_allowed, left_out, refused, handed;
        uint64_t pattern_hits, scrubbed[VN_SCRUB_KINDS];
};
struct vn_lines;
enum vn_rc vn_lines_new(const struct vn_lines_config *config, struct vn_lines **ret, struct vn_err *err) VN_MUST_USE;
struct vn_lines *vn_lines_free(struct vn_lines *lines);
VN_DEFINE_AUTO(vn_lines);
void vn_lines_set_class(struct vn_lines *lines, enum vn_data_class data_class);
/* One line as the cloud gave it. Errors are the callback's; the line itself never is one. */
enum vn_rc vn_lines_take(struct vn_lines *lines, const char *region, const struct vn_cloud_line *line,
                         struct vn_err *err) VN_MUST_USE;
void vn_lines_cost(struct vn_lines *lines, const char *function, const char *region, double gb_seconds);
void vn_lines_stats(const struct vn_lines *lines, struct vn_lines_stats *ret);
/* Pure; *ret_always for an error or a cold start. */
enum vn_line_kind vn_line_kind_of(const struct vn_cloud_line *line, bool *ret_always);

#endif
