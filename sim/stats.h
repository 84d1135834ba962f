/* sim/stats.h - statistics over an account's records, for the clouds' metric services.
 * Threads: one at a time. Units: as each value says. */
#ifndef VANE_SIM_STATS_H
#define VANE_SIM_STATS_H

#include "sim/world.h"

struct vn_series_point {
        int64_t start_us;
        size_t count; /* values in the period; 0: no data */
        double sum, minimum, maximum;
        double percentile; /* the one asked for */
};
/* The value of a record for a metric; false if the record has none. */
typedef bool (*vn_series_value)(const struct vn_sim_record *record, const void *arg, double *ret);

/* Points of period_us from from_us (rounded down to the period) until before until_us, in time order, without those that
 * have no data. At most `max` points. percentile 0..100; the nearest rank. NULL when memory is out. */
struct vn_series_point *vn_series(const struct vn_sim *sim, uint32_t deployment, vn_series_value value,
                                  const void *arg, int64_t from_us, int64_t until_us, int64_t period_us,
                                  double percentile, size_t max, size_t *ret_count);

#endif
