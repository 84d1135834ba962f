/* tuning.h - memory-size proposals: made from the model, guarded, approved or automatic, applied through the agent,
 *   judged against the baseline, kept or rolled back. Every step is a recorded decision.
 * Threads: the control loop. */
#ifndef VANE_SERVER_TUNING_TUNING_H
#define VANE_SERVER_TUNING_TUNING_H

#include "decide/tune.h"
#include "server/server.h"
#include "server/telemetry/telemetry.h"

enum vn_rc vn_tuning_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_tuning_stop(struct vn_server *server);
void vn_tuning_tick(struct vn_server *server, int64_t now_us);
/* An agent's stream has just opened: commands that it has not answered are sent again. */
void vn_tuning_hello(struct vn_server *server, uint64_t account_id);

struct vn_tuning_figures { /* of one tenant */
        uint64_t proposals, applied, rolled_back;
};
void vn_tuning_figures(const struct vn_server *server, const char *tenant, struct vn_tuning_figures *ret);

/* The cost-time curve of an endpoint by the model and the account's prices, and what tuning makes of it. */
struct vn_function_entry;
struct vn_account_entry;
size_t vn_tuning_curve(struct vn_server *server, const struct vn_account_entry *account,
                       const struct vn_function_entry *function, const struct vn_endpoint_stats *stats,
                       struct vn_curve_point ret[VN_TUNE_MAX_POINTS], struct vn_tune_proposal *ret_proposal);

#endif
