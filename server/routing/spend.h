/* spend.h - what today's decisions are expected to cost, by policy: what a daily budget is held against.
 * Purpose: an edge loop adds each decision's expected cost to its own counter of the policy; the control loop sums the
 *   counters when it makes views, so that a spent budget takes effect within a tenth of a second of routing. A day begins
 *   at 00:00 UTC of the server's clock, whatever time a question says.
 * Kept: in the table `meta`, at the times of what outcomes taught (lessons_store.c). A crash forgets ten seconds at most.
 * Threads: vn_count_usd on the one thread that owns the counter; all else on the control loop. */
#ifndef VANE_SERVER_ROUTING_SPEND_H
#define VANE_SERVER_ROUTING_SPEND_H

#include <stdatomic.h>

#include "server/policy_table.h"
#include "store/table.h"

struct vn_spend {
        int64_t day;                          /* since 1970 */
        double before_usd[VN_POLICY_NUMBERS]; /* what the counters held when the day began */
        double kept_usd[VN_POLICY_NUMBERS];   /* as stored */
};

/* One writer, any number of readers. */
static inline void vn_count_usd(_Atomic double *sum, double usd)
{
        atomic_store_explicit(sum, atomic_load_explicit(sum, memory_order_relaxed) + usd, memory_order_relaxed);
}

/* Before any counting: what earlier lives of the server have spent today. */
enum vn_rc vn_spend_load(struct vn_server *server, int64_t now_us, struct vn_err *err) VN_MUST_USE;
/* Begins a new day when its time has come. */
void vn_spend_day(struct vn_server *server, int64_t now_us);
double vn_spend_today_usd(const struct vn_server *server, const struct vn_policy_entry *policy);
/* Something is to be stored; and puts it into the batch. */
bool vn_spend_fresh(const struct vn_server *server);
void vn_spend_put(struct vn_server *server, struct vn_batch *batch);

#endif
