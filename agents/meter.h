/* meter.h - what the cloud's own meter says was billed, for clouds whose logs do not tell (azure, gcp).
 * Purpose: a window's billed quantity from the meter instead of from each call's duration: starts, shared instances and used
 *   memory are in it. Every minute of the meter is used once: in the window that closes next after it.
 * Threads: the agent's main thread. Ownership: owns its table. Bounds: as many functions as are listed. Cost: one reading a
 *   function and minute with calls. */
#ifndef VANE_AGENTS_METER_H
#define VANE_AGENTS_METER_H

#include "clouds/observe.h"
#include "federation/window.h"

struct vn_meter;
enum vn_rc vn_meter_new(struct vn_meter **ret, struct vn_err *err) VN_MUST_USE;
struct vn_meter *vn_meter_free(struct vn_meter *meter);
VN_DEFINE_AUTO(vn_meter);

struct vn_metered {
        double calls, gb_s, instance_s;
};
/* vn_meter_read_cloud, or a test's; `state` of that one is the struct vn_cloud. */
typedef enum vn_rc (*vn_meter_read)(void *state, const struct vn_cloud_function *function, int64_t from_us,
                                    int64_t to_us, struct vn_metered *ret, struct vn_err *err);
enum vn_rc vn_meter_read_cloud(void *cloud, const struct vn_cloud_function *function, int64_t from_us, int64_t to_us,
                               struct vn_metered *ret, struct vn_err *err) VN_MUST_USE;

/* Where the meter cannot be read, or has not caught up with the log, the window stays as it is: its calls by rule. */
void vn_meter_apply(struct vn_meter *meter, const struct vn_cloud_function *function, vn_meter_read read, void *state,
                    struct vn_window *window);

#endif
