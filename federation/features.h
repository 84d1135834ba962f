/* features.h - from windows to what the model sees, and the baselines that it has to beat.
 * Purpose: a function's running history (its own mean, median, spread and slopes of log duration), and the feature
 *   vectors that inference, training and evaluation all make with the same code.
 * Threads: value types, pure functions. Units: natural logs of microseconds and of 1 + bytes; memory in MB. */
#ifndef VANE_FEDERATION_FEATURES_H
#define VANE_FEDERATION_FEATURES_H

#include "federation/window.h"

#define VN_FEATURES_VERSION 2 /* rises when a feature changes its meaning: older models are then refused */
#define VN_DURATION_FEATURES 20
#define VN_COLD_FEATURES 12
#define VN_HISTORY_WINDOWS 128
#define VN_ANCHOR_PRIOR_CALLS 0.5

/* What is known of a function before a window: small, without pointers, fit for a view. */
struct vn_fn_stats {
        uint32_t windows;        /* seen so far */
        uint32_t recent;         /* of them in the history's memory: mean, median and the rest are over these */
        double mean, median;     /* running, of the windows' mean log duration */
        double spread;           /* standard deviation of the same */
        double last;             /* the window before */
        double anchor;           /* mean by calls at the present memory size, pulled to the mean over all sizes by
                                    VN_ANCHOR_PRIOR_CALLS: right sooner than `mean` after a change of size */
        double payload_log_mean; /* running */
        double cold_share;       /* running */
        double log_memory;       /* running, ln MB */
        double slope_payload;    /* regression of log duration on payload_log within the function, shrunk to 0 */
        double slope_cold;       /* and on the cold share */
        double slope_memory;     /* and on ln MB */
        double calls_per_min;    /* running, over the minutes that had calls */
        double within_sd;        /* standard deviation of ln duration within windows */
};

/* The history that yields the statistics: a ring of the last VN_HISTORY_WINDOWS windows. */
struct vn_fn_history {
        struct vn_fn_stats stats;
        uint32_t next;
        struct {
                float y, payload, cold, log_memory, calls, sum_sq_within;
        } ring[VN_HISTORY_WINDOWS];
};
void vn_fn_history_init(struct vn_fn_history *history);
/* Windows must come in order of start; one without calls changes nothing. */
void vn_fn_history_push(struct vn_fn_history *history, const struct vn_window *window);

/* A question about one call, or about the calls of one window. */
struct vn_duration_query {
        enum vn_platform platform;
        double memory_mb;
        double payload_log; /* ln(1 + bytes), the mean if there are several calls */
        double cold_share;  /* 0 or 1 for one call */
        int64_t time_us;
};
struct vn_cold_query {
        enum vn_platform platform;
        double memory_mb;
        double idle_s; /* since the call before */
};
void vn_duration_features(const struct vn_fn_stats *stats, const struct vn_duration_query *query,
                          float ret[VN_DURATION_FEATURES]);
void vn_cold_features(const struct vn_fn_stats *stats, const struct vn_cold_query *query,
                      float ret[VN_COLD_FEATURES]);

void vn_duration_query_of_window(const struct vn_window *window, enum vn_platform platform,
                                 struct vn_duration_query *ret);
/* The idle time that stands for a bin: the geometric middle of its bounds, in seconds. */
double vn_idle_bin_s(size_t bin);

#endif
