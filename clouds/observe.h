/* observe.h - what a cloud tells about past invocations: logs, per-minute metrics, and its price list.
 * Threads, ownership, errors and retries: as in clouds/cloud.h.
 * Privacy: a record carries no payload, no log text and no identity of a caller; ids are hashed. Only vn_cloud_lines
 *   gives text, for the account's own store and for nothing else.
 * Lag: clouds publish after minutes; ask again with an overlap and drop what was seen (id_hash). */
#ifndef VANE_CLOUDS_OBSERVE_H
#define VANE_CLOUDS_OBSERVE_H

#include "clouds/cloud.h"

enum vn_invocation_status { VN_INVOCATION_OK, VN_INVOCATION_ERROR, VN_INVOCATION_TIMEOUT, VN_INVOCATION_THROTTLED };

struct vn_cloud_invocation {
        char function[VN_CLOUD_NAME_BYTES];
        char instance[64];   /* log stream, cloud_RoleInstance, instanceId; empty: not known */
        uint64_t id_hash;    /* of the cloud's own request id: the same record read twice has the same */
        int64_t time_us;     /* start of the invocation (aws: end of it minus duration) */
        int64_t duration_us; /* run time without init */
        int64_t billed_us;   /* -1: not told */
        int64_t init_us;     /* 0: none or not told */
        uint32_t memory_mb;  /* 0: not told */
        uint32_t max_memory_mb;
        int64_t request_bytes, response_bytes; /* -1: not told */
        enum vn_invocation_status status;
        bool cold;     /* aws: told; azure, gcp: first seen of its instance within this read */
        double weight; /* azure itemCount when the cloud samples; else 1 */
};
typedef enum vn_rc (*vn_cloud_invocation_fn)(void *arg, const struct vn_cloud_invocation *invocation);

/* Calls `each` for the invocations logged in [from_us, to_us), in the cloud's order; a result other than OK ends it.
 * function NULL: all functions of the account (azure, gcp: one query; aws: INVALID_ARGUMENT, logs are per function).
 * Azure and gcp do not tell cold starts: an instance counts as cold at its first record this handle has seen. */
enum vn_rc vn_cloud_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                         int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;

/* A line of a function's log as it was written: it may hold anything. */
struct vn_cloud_line {
        char function[VN_CLOUD_NAME_BYTES];
        char instance[64];
        uint64_t id_hash; /* of the record's id, or of all that it says where it has none */
        int64_t time_us;
        bool error;         /* by the severity that the cloud keeps; aws keeps none */
        struct vn_str text; /* borrowed for the callback */
};
typedef enum vn_rc (*vn_cloud_line_fn)(void *arg, const struct vn_cloud_line *line);
#define VN_CLOUD_MAX_LINES 200000
/* Lines written in [from_us, to_us), as vn_cloud_logs reads records: function NULL, pages, lag and errors alike.
 * OUT_OF_RANGE after VN_CLOUD_MAX_LINES of them, which were handed over. */
enum vn_rc vn_cloud_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err) VN_MUST_USE;

struct vn_cloud_minute {
        int64_t start_us;
        double calls, errors, throttles;
        double billed_gb_s;       /* azure: GB-seconds billed, by its own meter; 0 elsewhere */
        double billed_instance_s; /* gcp: seconds of instances billed, by its own meter; 0 elsewhere */
        double p95_us; /* of run time (aws) or request latency (gcp), the largest of its parts; 0: not told */
};
#define VN_CLOUD_MAX_MINUTES 1440
/* Minutes without data are left out (a missing minute is no data, not zero). Ascending; at most `cap`. */
enum vn_rc vn_cloud_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                            int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                            struct vn_err *err) VN_MUST_USE;

enum vn_cloud_meter {
        VN_METER_GB_SECOND,
        VN_METER_GIB_SECOND,
        VN_METER_VCPU_SECOND,
        VN_METER_REQUEST,
        VN_METER_STORAGE_GB_SECOND, /* ephemeral storage beyond what is included */
        VN_METER_READY_GB_SECOND,   /* kept ready: aws provisioned concurrency, azure always ready */
        VN_METER_READY_RUN_GB_SECOND,
        VN_METER_READY_REQUEST,
        VN_METER_READY_GIB_SECOND, /* gcp: minimum instances while idle */
        VN_METER_READY_VCPU_SECOND,
        VN_CLOUD_METERS
};
const char *vn_cloud_meter_name(enum vn_cloud_meter meter); /* "gb_second", ... as in PriceTier.meter */

struct vn_cloud_price {
        enum vn_cloud_meter meter;
        char plan[24]; /* lambda-x86, lambda-arm, consumption, flex, cloud-run */
        char region[VN_CLOUD_REGION_BYTES];
        char arch[8];         /* x86, arm; empty where it makes no difference */
        double from_units;    /* units a month from which this price holds */
        int64_t pico_usd;     /* 1e-12 USD for one GB-second, one request, ...; exact (base/decimal.h) */
        int64_t effective_us; /* since when, by the cloud; 0: not told */
};
struct vn_cloud_price_list {
        struct vn_cloud_price *prices; /* tiers of one meter stand together, ascending */
        size_t count, cap;
};
#define VN_CLOUD_MAX_PRICES 4096
/* On-demand list prices of the account's region, all pages and tiers, grants as tiers of price 0; what begins in the
 * future is left out. DATA_LOSS for a price that is not in USD (the message has its currency) or is no decimal number. */
enum vn_rc vn_cloud_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err) VN_MUST_USE;
void vn_cloud_price_list_done(struct vn_cloud_price_list *list);

#endif
