/* aggregate.h - the server's side of averaging: many updates into one, the same bits whatever the order or threads.
 * Purpose: strategies are rows of a table of pure functions over chunks of parameters. Updates are ordered by account
 *   id before anything is added; within a parameter the sums run in that order in float64; chunks are independent, so
 *   any number of threads gives the same bits.
 * Threads: vn_aggregate may start threads and joins them before it returns. Ownership: updates are borrowed; values
 *   may be mapped files. Units: a chunk is 16,384 floats (64 KiB).
 * Source: FedAvg is McMahan et al. 2017, weights as declared and capped. */
#ifndef VANE_FEDERATION_AGGREGATE_H
#define VANE_FEDERATION_AGGREGATE_H

#include "base/err.h"
#include "base/mem.h"

#define VN_CHUNK_FLOATS 16384
#define VN_CHUNK_BYTES (VN_CHUNK_FLOATS * 4)
#define VN_BLOCK_FLOATS 2048 /* what is summed at a time: its sums stay in the first-level cache */
#define VN_MAX_UPDATES 100000

struct vn_update {
        const char *account; /* distinct within one aggregation */
        double weight;       /* > 0, finite */
        const float *values;
};

struct vn_strategy {
        const char *name;
        /* Writes `floats` results from parameter `first` on: updates are in their final order; sums is scratch for as
         * many float64 as floats, at most VN_BLOCK_FLOATS. */
        void (*chunk)(const struct vn_update *updates, size_t count, double weight_sum, size_t first, size_t floats,
                      double *sums, float *ret);
};
const struct vn_strategy *vn_strategy_find(const char *name); /* "fedavg"; NULL if unknown */

/* ret gets `parameters` floats. threads 0: one a core, at most 8. INVALID_ARGUMENT: no update, an account twice, a
 * weight that is not finite and positive. OUT_OF_RANGE: a result is not finite. */
enum vn_rc vn_aggregate(const struct vn_strategy *strategy, const struct vn_update *updates, size_t count,
                        size_t parameters, unsigned threads, float *ret, struct vn_err *err) VN_MUST_USE;

#endif
