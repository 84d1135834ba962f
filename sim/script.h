/* sim/script.h - reads events from a script: YAML, or JSON, which is YAML.
 *   events:
 *     - {what: outage, cloud: aws, at: 600, for: 300}
 *     - {what: throttle, account: gcp-a, service: logs, at: 2026-11-24T13:00:00Z, for: 60, share: 0.5}
 * Keys: what; cloud, region, account (together; none: everything); service; at (seconds from the start, or a time); for
 * (seconds; without: for good); share; the amount under the name that the kind gives it; function (edit). Unknown keys, names
 * that do not exist and figures out of range are errors, with the line.
 * Threads: one at a time. */
#ifndef VANE_SIM_SCRIPT_H
#define VANE_SIM_SCRIPT_H

#include "sim/world.h"

enum vn_rc vn_sim_script(struct vn_sim *sim, struct vn_str text, int64_t start_us, struct vn_err *err) VN_MUST_USE;
/* One event, as an object of its own. */
enum vn_rc vn_sim_script_one(struct vn_sim *sim, struct vn_str text, int64_t start_us,
                             struct vn_err *err) VN_MUST_USE;

#endif
