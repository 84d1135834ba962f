/* slowdown.h - how much longer an endpoint's runs take at this moment than model and history say.
 * Purpose: windows tell of a crowded instance a minute late; the callers' outcomes tell within a tenth of a second.
 * Method: a mean of ln(run / expected run) over outcomes, each weighing half after 30 s, kept by caller (witness.h), pulled
 *   towards a prior by the weight of three: 1, or what the function's other endpoints in the same cloud say, since what
 *   crowds one crowds its like; taken from calls that were hardly cold, since a start is no slowness. Never below 1 (being
 *   faster is learnt from windows), in steps of 10 % from 1.2 on, so that views do not change with every call.
 * Threads: a value of the control loop's. Units: microseconds of the sandbox's or the real clock. */
#ifndef VANE_SERVER_ROUTING_SLOWDOWN_H
#define VANE_SERVER_ROUTING_SLOWDOWN_H

#include "server/routing/witness.h"

#define VN_SLOWDOWN_MAX 8.0
#define VN_SLOWDOWN_COLD_CHANCE .2 /* outcomes of calls that were colder do not count */

struct vn_slowdown {
        struct vn_witness_mean logs;
        int64_t at_us; /* the weights are as of then */
};
void vn_slowdown_add(struct vn_slowdown *slowdown, uint64_t caller, double ratio, int64_t now_us);
double vn_slowdown_now(const struct vn_slowdown *slowdown, double prior, int64_t now_us);

#endif
