/* window.h - what an agent makes of invocations: scrubbed records, one-minute tumbling windows, a training sample.
 * Purpose: the only shapes in which anything about an invocation may leave its account. A record from a cloud's log
 *   is first scrubbed: fields on the allow-list are read, everything else is dropped and counted, never kept.
 * Threads: a windower belongs to one thread. Ownership: the windower owns its open windows; emitted ones are only
 *   borrowed during the callback. Units: microseconds since 1970, bytes, MB; logs are natural.
 * Bounds: at most max_functions functions and VN_WINDOW_OPEN_MAX open windows each; beyond that records are counted
 *   and dropped. A record older than what was closed is late: counted and dropped, so that no window is sent twice
 *   with different content. */
#ifndef VANE_FEDERATION_WINDOW_H
#define VANE_FEDERATION_WINDOW_H

#include "base/mem.h"
#include "federation/sketch.h"

#define VN_MAX_FUNCTION_NAME 192
#define VN_MAX_REGION_NAME 48
#define VN_WINDOW_US INT64_C(60000000)
#define VN_WINDOW_OPEN_MAX 16

enum vn_platform {
#define CLOUD(id, name) VN_PLATFORM_##id,
#include "base/clouds.def"
        VN_PLATFORM_COUNT
};
enum vn_call_status { VN_CALL_OK, VN_CALL_ERROR, VN_CALL_THROTTLED, VN_CALL_TIMEOUT };

/* A scrubbed invocation: the allow-list as a type. */
struct vn_invocation {
        char function[VN_MAX_FUNCTION_NAME];
        char region[VN_MAX_REGION_NAME];
        int64_t start_us;
        int64_t duration_us; /* run time, without INIT; 0 for a throttled call */
        int64_t init_us;
        int64_t billed_us;
        uint32_t memory_mb, max_memory_mb;
        uint32_t billed_mb, milli_vcpu; /* what the billed time is sold by; milli_vcpu 0: memory alone */
        uint64_t payload_bytes, response_bytes;
        enum vn_call_status status;
        bool cold;
};

struct vn_field {
        struct vn_str name, value;
};
/* Reads "function", "region", "start_us", "duration_us", "init_us", "billed_us", "memory_mb", "max_memory_mb",
 * "payload_bytes", "response_bytes", "status" (ok, error, throttled, timeout) and "cold" (0, 1). Unknown fields are
 * added to *dropped; a known one that is malformed or given twice, or no function or start, refuses the record. */
enum vn_rc vn_invocation_scrub(const struct vn_field *fields, size_t count, struct vn_invocation *ret,
                               uint64_t *dropped, struct vn_err *err) VN_MUST_USE;

/* Idle time before a call, in bins: what the cold-start model learns from. */
#define VN_IDLE_BINS 16
extern const uint32_t vn_idle_upper_s[VN_IDLE_BINS]; /* last one: 86,400, and takes all that is longer */
struct vn_idle_bin {
        uint32_t calls, cold;
};

struct vn_window {
        char function[VN_MAX_FUNCTION_NAME];
        char region[VN_MAX_REGION_NAME];
        int64_t start_us; /* a multiple of VN_WINDOW_US */
        uint32_t calls;   /* that ran: errors and time-outs included, throttles not */
        uint32_t errors, throttles, timeouts, cold_starts;
        uint64_t duration_sum_us, billed_sum_us, init_sum_us;
        bool metered;                                /* the next two are the cloud's own meter's */
        uint64_t billed_mb_us, billed_milli_vcpu_us; /* sums over calls: MB and milli-vCPU times billed time */
        uint64_t cold_duration_sum_us;               /* run time of the cold ones alone */
        double log_duration_sum, log_duration_sum_sq;
        uint32_t memory_mb; /* of the last call by time */
        uint32_t max_memory_mb;
        double payload_sum_bytes, payload_log_sum; /* log: ln(1 + bytes) */
        double response_sum_bytes;
        uint64_t idle_sum_us; /* over the calls in idle[] */
        struct vn_idle_bin idle[VN_IDLE_BINS];
        struct vn_sketch durations;
};
void vn_window_merge(struct vn_window *into, const struct vn_window *from); /* same function, region and start */
static inline double vn_window_log_mean(const struct vn_window *w)          /* mean of ln(us); 0 without calls */
{
        return w->calls ? w->log_duration_sum / w->calls : 0;
}

struct vn_window_config {
        size_t max_functions;
        double sample_rate; /* share of invocations that the training windows are made of; 0.1 */
        uint64_t seed;      /* of the sampling: the same records give the same sample, whatever their order */
        int64_t grace_us;   /* a window closes this long after its end: clouds' logs come late */
};
struct vn_windower;
enum vn_rc vn_windower_new(const struct vn_window_config *config, struct vn_windower **ret,
                           struct vn_err *err) VN_MUST_USE;
struct vn_windower *vn_windower_free(struct vn_windower *windower);
VN_DEFINE_AUTO(vn_windower);
/* RESOURCE_EXHAUSTED (too many functions, or memory) and OUT_OF_RANGE (late, or far ahead) drop the record. */
enum vn_rc vn_windower_add(struct vn_windower *windower, const struct vn_invocation *call,
                           struct vn_err *err) VN_MUST_USE;
/* Emits every window that ended at least grace_us before now_us, in order of start, then function, then region.
 * `sampled` is NULL when none of its calls was drawn. A failing callback stops and keeps that window and the rest. */
typedef enum vn_rc (*vn_window_emit)(void *ctx, const struct vn_window *full, const struct vn_window *sampled,
                                     struct vn_err *err);
enum vn_rc vn_windower_close(struct vn_windower *windower, int64_t now_us, vn_window_emit emit, void *ctx,
                             struct vn_err *err) VN_MUST_USE;
struct vn_window_stats {
        uint64_t added, sampled, late, refused, emitted;
        size_t functions, open;
};
void vn_windower_stats(const struct vn_windower *windower, struct vn_window_stats *ret);

/* One window in eight is held out of training, by a hash of function, region and start: agents and server agree on
 * which without talking. */
bool vn_window_held_out(const struct vn_window *window);

#endif
