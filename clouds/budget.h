/* budget.h - how many calls an account's observing may make, how many were made, and what they cost.
 * Purpose: a bucket of calls that fills evenly over the hour (calls_per_hour of the account's description) and holds an hour's
 *   worth. Listing, logs, metrics and prices draw from it and leave the last tenth to reading one function, which comes before
 *   a change. Changes, invocations and credentials are counted and draw nothing: observing never keeps them back. Who finds it
 *   empty gets RESOURCE_EXHAUSTED that names it; nothing was sent then.
 * Dollars are an estimate from above: every attempt counts, free allotments do not. budget.c has the prices and their sources.
 * Threads, ownership: the handle's. Time: the handle's clock. */
#ifndef VANE_CLOUDS_BUDGET_H
#define VANE_CLOUDS_BUDGET_H

#include "clouds/cloud.h"

/* Five a second and a half: below what each cloud lets one caller read, and enough for 300 Lambda functions a minute. */
#define VN_CLOUD_CALLS_PER_HOUR 20000
#define VN_CLOUD_MAX_CALLS_PER_HOUR 10000000

enum vn_call_class {
        VN_CALLS_LIST,
        VN_CALLS_READ, /* of one function, and health */
        VN_CALLS_CHANGE,
        VN_CALLS_INVOKE,
        VN_CALLS_LOGS,
        VN_CALLS_METRICS,
        VN_CALLS_PRICES,
        VN_CALLS_CREDENTIALS,
        VN_CALL_CLASSES
};
const char *vn_call_class_name(enum vn_call_class class); /* "list", "read", ... */

struct vn_cloud_usage {
        int64_t since_us; /* when the handle was opened */
        uint64_t calls[VN_CALL_CLASSES];
        double usd[VN_CALL_CLASSES];
        uint32_t calls_per_hour;
        double left; /* calls in the bucket */
};
void vn_cloud_usage(const struct vn_cloud *cloud, struct vn_cloud_usage *ret);

/* --- internal to clouds/ --- */
struct vn_budget {
        struct vn_cloud_usage usage;
        int64_t filled_us;
        enum vn_call_class class; /* of the operation under way */
};
void vn_budget_init(struct vn_budget *budget, uint32_t calls_per_hour, int64_t now_us);
/* Counts one call of the class under way, or refuses it. */
enum vn_rc vn_budget_take(struct vn_budget *budget, enum vn_cloud_kind kind, int64_t now_us,
                          struct vn_err *err) VN_MUST_USE;

#endif
