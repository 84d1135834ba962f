/* cold.h - how much longer a call takes when it meets a cold start, learnt from outcomes.
 * Purpose: Azure's and GCP's logs do not tell it, and AWS's tell only the part in which the function's code starts. What
 *   they do tell is how many of a minute's calls were cold, and each outcome by how much the answer was later than
 *   network and an expected warm run explain. The regression of that excess on the share that was cold has the duration
 *   as its slope.
 * Method: weighted least squares with an intercept. A call weighs the less the more its own run varies, against the scale
 *   of a start there. Both coefficients are pulled: the intercept to 0, the slope to a prior, as much as `prior_starts`
 *   certain cold starts would; so little data changes little. Sums are kept by caller (witness.h) and fade.
 * Threads: the control loop; pure. Ownership: plain values. Units: microseconds. */
#ifndef VANE_SERVER_ROUTING_COLD_H
#define VANE_SERVER_ROUTING_COLD_H

#include "server/routing/witness.h"

struct vn_cold_sums {
        double starts;          /* sum of the shares: cold starts among the outcomes */
        double w, c, y, cc, cy; /* weight, and weighted sums of share, excess and their products */
};
struct vn_cold {
        uint64_t caller[VN_WITNESSES];
        struct vn_cold_sums sums[VN_WITNESSES];
        int64_t newest_us; /* of the outcomes; 0: none */
};

struct vn_cold_outcome {
        uint64_t caller;
        int64_t time_us;
        double share;     /* of the calls of its minute that were cold */
        double excess_us; /* latency less network, expected warm run, and what the log tells of a start */
        double spread_us; /* of the run time: about one standard deviation */
};
/* scale_us: what a start takes there by general knowledge. An excess counts within -4 and 8 times as much. */
void vn_cold_add(struct vn_cold *cold, const struct vn_cold_outcome *outcome, double scale_us);

struct vn_cold_estimate {
        double us;     /* not below 0, not over 8 times the scale */
        double starts; /* that it rests on, each caller's capped */
};
void vn_cold_estimate(const struct vn_cold *cold, double scale_us, double prior_us, double prior_starts,
                      struct vn_cold_estimate *ret);

#endif
