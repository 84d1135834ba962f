/* sample.h - which log lines are kept, and for how many each of them stands.
 * Purpose: one line in `one_in` on the whole, all errors and cold starts, and more of the functions that cost most.
 *   Whole numbers only: a function's rate is one in k, and a kept line weighs k, so sums over kept lines are unbiased and
 *   sketches take the weight as it is. Half of the budget goes by traffic, half by cost.
 * Decided by a hash of the record's id: the same record read twice is decided alike within an interval, and what a
 *   lower rate keeps a higher one keeps too.
 * Bounds: at most about lines_per_interval ordinary lines in an interval: when half is used up every rate halves, when
 *   half of the rest is, again, and so on; weights follow, so that counts stay unbiased. Errors and cold starts are not
 *   bounded here. At most max_functions have a rate of their own.
 * Threads: one. Time is that of the records and only goes forward. */
#ifndef VANE_AGENTS_SAMPLE_H
#define VANE_AGENTS_SAMPLE_H

#include "base/err.h"
#include "base/mem.h"

#define VN_SAMPLE_MAX_ONE_IN 1000

struct vn_sample_config {
        uint32_t one_in; /* 10: a tenth */
        uint32_t lines_per_interval;
        int64_t interval_us;
        size_t max_functions;
        uint64_t seed;
};
struct vn_sampler;
enum vn_rc vn_sampler_new(const struct vn_sample_config *config, struct vn_sampler **ret,
                          struct vn_err *err) VN_MUST_USE;
struct vn_sampler *vn_sampler_free(struct vn_sampler *sampler);
VN_DEFINE_AUTO(vn_sampler);
/* 0: left out; else kept, and stands for so many. `function` and `record` are hashes; `always` for errors and cold
 * starts, which weigh 1. */
uint32_t vn_sampler_weight(struct vn_sampler *sampler, uint64_t function, uint64_t record, int64_t time_us,
                           bool always);
/* What a call of the function cost, in any unit that is the same for all: GB-seconds. Felt from the next interval on. */
void vn_sampler_cost(struct vn_sampler *sampler, uint64_t function, double cost);
uint32_t vn_sampler_one_in(const struct vn_sampler *sampler, uint64_t function); /* in this interval, unhalved */

#endif
