/* collect.h - how much memory a function really uses where its plan bills by use and its log does not say.
 * Purpose: Azure's Consumption plan bills the memory used, rounded up to 128 MB. Its meter counts billed GB-seconds; with
 *   the billed time from the log this gives the billed memory: the cloud's own figure, not a guess.
 * Threads: the agent's main thread. Ownership: owns its table. Bounds: as many functions as are listed. */
#ifndef VANE_AGENTS_COLLECT_H
#define VANE_AGENTS_COLLECT_H

#include "clouds/observe.h"

struct vn_used_memory;
enum vn_rc vn_used_memory_new(struct vn_used_memory **ret, struct vn_err *err) VN_MUST_USE;
struct vn_used_memory *vn_used_memory_free(struct vn_used_memory *used);
VN_DEFINE_AUTO(vn_used_memory);
/* One call that ran. */
enum vn_rc vn_used_memory_add(struct vn_used_memory *used, const struct vn_cloud_function *function, int64_t start_us,
                              int64_t duration_us, struct vn_err *err) VN_MUST_USE;
/* Asks the meter of each function that had calls since the last time; at most every ten minutes of now_us. */
struct vn_used_memory_meter {
        enum vn_rc (*read)(void *state, const struct vn_cloud_function *function, int64_t from_us, int64_t to_us,
                           double *ret_billed_gb_s, double *ret_calls, struct vn_err *err);
        void *state;
};
enum vn_rc vn_used_memory_refresh(struct vn_used_memory *used, int64_t now_us,
                                  const struct vn_used_memory_meter *meter, struct vn_err *err) VN_MUST_USE;
uint32_t vn_used_memory_mb(const struct vn_used_memory *used, const char *function); /* 0: not known yet */
/* The real meter: the cloud's per-minute metrics; state is the struct vn_cloud. */
enum vn_rc vn_used_memory_read_cloud(void *cloud, const struct vn_cloud_function *function, int64_t from_us,
                                     int64_t to_us, double *ret_billed_gb_s, double *ret_calls,
                                     struct vn_err *err) VN_MUST_USE;

#endif
