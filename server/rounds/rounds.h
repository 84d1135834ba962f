/* rounds.h - federated training rounds: offered, collected, averaged, judged, promoted or refused, resumed after a kill.
 * Purpose: the state machine of a round and the lineage of models. Everything that it promotes is a recorded decision.
 * Threads: the control loop, except aggregation and evaluation, which run on the compute thread and post back; the
 *   streams of FetchModel and SubmitUpdate run on edge loops (transfer.c).
 * Ownership: the model returned by vn_rounds_model is borrowed until the next tick. */
#ifndef VANE_SERVER_ROUNDS_ROUNDS_H
#define VANE_SERVER_ROUNDS_ROUNDS_H

#include "federation/model.h"
#include "server/server.h"

/* Loads models and rounds; makes model version 1 on the first start; takes up the round that was open. */
enum vn_rc vn_rounds_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_rounds_stop(struct vn_server *server);
/* Starts rounds when they are due (config.round_interval_s of server->clock, and at least round_quorum accounts online),
 * closes them at quorum of all online accounts or at the deadline. */
void vn_rounds_tick(struct vn_server *server, int64_t now_us);
/* An agent's Watch stream has just opened: tell it the current model and the open round (vn_hub_send_agent). */
void vn_rounds_hello(struct vn_server *server, uint64_t account_id);
/* The current model; never NULL after start. */
const struct vn_model *vn_rounds_model(const struct vn_server *server);
/* Its error on held-out windows (mean absolute error of ln duration); 0.5 before any evaluation. */
double vn_rounds_model_error(const struct vn_server *server);

struct vn_rounds_figures {
        uint64_t rounds; /* that ended promoted or refused */
        uint64_t model_version;
        double eval_loss_first; /* of version 1 on the held-out windows of the newest evaluation */
        double eval_loss_last;  /* of the current version, same windows */
        double eval_loss_baseline;
};
void vn_rounds_figures(const struct vn_server *server, struct vn_rounds_figures *ret);

#endif
