/* sim/control.h - the simulator's own control API, on a listener of its own with a token.
 *   POST /control/outage  {"cloud"|"account", "share": 0..1, "from_s", "seconds"}
 *                         share 1 of a whole cloud: its other APIs answer 503 as well
 *   POST /control/latency {"cloud"|"account", "factor", "from_s", "seconds"}
 *   POST /control/price   {"cloud"|"account", "factor", "from_s", "seconds"}    from_s counts from now (default 0)
 *   POST /control/event   one event of a script (sim/script.h); `at` counts from now
 *   GET  /control/ledger  what was invoked, what it cost and how long it took: in all, by cloud, by account
 *   POST /control/alone   {"cloud": "aws"|"azure"|"gcp"|"thirds"}: the same arrivals on a fresh platform, sent to that
 *                         cloud alone (the better of its two accounts), or a static third of the functions to each
 *   GET  /control/hidden  403, always: what decides must not read the model's constants
 * Threads: one at a time. */
#ifndef VANE_SIM_CONTROL_H
#define VANE_SIM_CONTROL_H

#include "sim/world.h"

void vn_sim_control(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);

#endif
