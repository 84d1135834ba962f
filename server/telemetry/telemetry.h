/* telemetry.h - what agents report, kept and condensed: windows with retention, estimators, prices, meters.
 * Purpose: for each endpoint (account, function, region) the running statistics that the model, the views and the
 *   pages are made from. Only what the clouds themselves logged counts here; outcome reports of callers do not.
 * Threads: the control loop; vn_window_from_proto is pure.
 * Ownership: entries belong to the telemetry; pointers are good until the next operation. */
#ifndef VANE_SERVER_TELEMETRY_TELEMETRY_H
#define VANE_SERVER_TELEMETRY_TELEMETRY_H

#include "base/hash.h"
#include "federation/features.h"
#include "federation/window.h"
#include "server/server.h"
#include "vane/v1/agent.pb-c.h"

#define VN_MAX_PRICE_TIERS 64
#define VN_RECENT_US (2 * VN_US_PER_HOUR) /* the two half-sketches turn over at half of this */

/* What is billed of an endpoint in a day, or in the part of it in which one price list held. */
struct vn_usage_row {
        int64_t start_us; /* 0: none is at hand */
        uint8_t version[VN_SHA256_BYTES];
        bool priced; /* version is one */
        uint64_t calls, billed_mb_us, billed_milli_vcpu_us, windows, metered;
        double response_bytes;
        int64_t last_us;
        uint32_t memory_mb;
};

struct vn_endpoint_stats {
        uint64_t account_id;
        char tenant[VN_MAX_TENANT_BYTES];
        char function[VN_MAX_FUNCTION_NAME];
        char region[VN_MAX_REGION_NAME];
        enum vn_platform platform;
        struct vn_fn_history history;
        struct vn_sketch recent[2]; /* current half and the one before */
        int64_t half_started_us;
        int64_t last_window_us; /* start of the newest window: older ones are duplicates */
        int64_t last_call_us;   /* not later than that window's end */
        uint64_t windows, calls, errors, throttles, timeouts, cold_starts;
        double recent_calls, recent_errors, recent_throttles; /* decayed by half each 30 minutes of windows */
        uint64_t billed_us, duration_us, init_us;
        double payload_mean_bytes, response_mean_bytes, payload_log_mean;
        double init_mean_us; /* of cold starts */
        struct vn_idle_bin idle[VN_IDLE_BINS];
        uint32_t memory_mb, max_memory_mb;
        int64_t memory_since_us;       /* when memory_mb was last seen to change */
        struct vn_sketch since_memory; /* calls since then: what a change is judged by */
        uint64_t calls_since, errors_since;
        struct vn_sketch before_memory; /* and up to then */
        uint64_t calls_before, errors_before;
        struct vn_usage_row usage; /* the newest row */
};

struct vn_account_entry;
struct vn_batch;
struct vn_price_tier_entry {
        char meter[24], region[48], arch[16];
        double from_units;   /* whole */
        int64_t pico_usd;    /* 1e-12 USD a unit */
        double usd_per_unit; /* the same, for decisions */
};
struct vn_account_prices {
        uint64_t account_id;
        int64_t time_us;
        int64_t since_us; /* when the list became this one */
        uint8_t version[VN_SHA256_BYTES];
        bool doubted;  /* the account's newest report was refused: this is the last good list */
        bool accepted; /* a person wants the next one, whatever it is (not stored) */
        char plan[32];
        size_t tier_count;
        struct vn_price_tier_entry tiers[VN_MAX_PRICE_TIERS];
        double gb_s, requests; /* meter position by the clouds' own logs, since this account joined */
};

enum vn_rc vn_telemetry_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_telemetry_stop(struct vn_server *server);
/* Deletes windows that are older than the retention; called by the control loop's timer. */
enum vn_rc vn_telemetry_retain(struct vn_server *server, struct vn_err *err) VN_MUST_USE;

size_t vn_telemetry_count(const struct vn_telemetry *telemetry);
struct vn_endpoint_stats *vn_telemetry_at(struct vn_telemetry *telemetry, size_t index);
struct vn_endpoint_stats *vn_telemetry_find(struct vn_telemetry *telemetry, uint64_t account_id, const char *function,
                                            const char *region); /* NULL: no window yet */
struct vn_account_prices *vn_telemetry_prices(struct vn_telemetry *telemetry,
                                              uint64_t account_id); /* NULL: none yet */
/* The same, made if there is none; NULL: out of memory. */
struct vn_account_prices *vn_telemetry_prices_of(struct vn_telemetry *telemetry, uint64_t account_id);
/* Adds a window to its day's row and puts the row into the batch. After a batch that failed usage.start_us must be 0. */
enum vn_rc vn_usage_add(struct vn_server *server, const struct vn_account_entry *account,
                        struct vn_endpoint_stats *stats, const struct vn_window *window, struct vn_batch *batch,
                        struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_prices_load(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
uint64_t vn_telemetry_windows(const struct vn_telemetry *telemetry, const char *tenant);
/* The two recent halves together. */
void vn_endpoint_recent(const struct vn_endpoint_stats *stats, struct vn_sketch *ret);

/* Of the last half hour or so, by the cloud's log; fades while nothing comes. */
double vn_endpoint_calls_per_min(const struct vn_endpoint_stats *stats, int64_t now_us);

/* Checks and converts; INVALID_ARGUMENT names the field. */
enum vn_rc vn_window_from_proto(const Vane__V1__Window *window, struct vn_window *ret,
                                struct vn_err *err) VN_MUST_USE;

#endif
