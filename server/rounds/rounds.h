/* rounds.h - federated training rounds: offered, collected, averaged, judged, promoted or refused, resumed after a kill.
 * Purpose: the state machine of a round and the lineage of models, one lineage a tenant: offers, updates, quorum,
 *   held-out windows and promotion are within the tenant. Everything that it promotes is a recorded decision.
 * Threads: the control loop, except aggregation and evaluation, which run on the compute thread and post back; the
 *   streams of FetchModel and SubmitUpdate run on edge loops (transfer.c).
 * Ownership: the model returned by vn_rounds_model is borrowed until the next tick. */
#ifndef VANE_SERVER_ROUNDS_ROUNDS_H
#define VANE_SERVER_ROUNDS_ROUNDS_H

#include "federation/model.h"
#include "server/server.h"

/* Loads models and rounds; makes model version 1 where a tenant has none; takes up the rounds that were open. */
enum vn_rc vn_rounds_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_rounds_stop(struct vn_server *server);
/* Starts rounds when they are due (config.round_interval_s of server->clock, and at least round_quorum of the
 * tenant's accounts online), closes them at quorum of all online accounts or at the deadline. */
void vn_rounds_tick(struct vn_server *server, int64_t now_us);
/* An agent's Watch stream has just opened: tell it the current model and the open round (vn_hub_send_agent). */
void vn_rounds_hello(struct vn_server *server, uint64_t account_id);
/* A new tenant's lineage with model version 1: added to the batch that makes the tenant, in force from adopt on. */
struct vn_lineage;
enum vn_rc vn_rounds_make_first(struct vn_server *server, struct vn_batch *batch, const char *tenant,
                                const char *actor, struct vn_lineage **ret, struct vn_err *err) VN_MUST_USE;
void vn_rounds_adopt(struct vn_server *server, struct vn_lineage *lineage); /* takes it; the tenant has its number */
struct vn_lineage *vn_lineage_free(struct vn_lineage *lineage);
VN_DEFINE_AUTO(vn_lineage);
/* The tenant's current model; never NULL after start. */
const struct vn_model *vn_rounds_model(const struct vn_server *server, const char *tenant);
/* Its error on held-out windows (mean absolute error of ln duration); 0.5 before any evaluation. */
double vn_rounds_model_error(const struct vn_server *server, const char *tenant);

struct vn_rounds_figures {
        uint64_t rounds; /* that ended promoted or refused */
        uint64_t model_version;
        double eval_loss_first; /* of version 1 on the held-out windows of the newest evaluation */
        double eval_loss_last;  /* of the current version, same windows */
        double eval_loss_baseline;
};
void vn_rounds_figures(const struct vn_server *server, const char *tenant, struct vn_rounds_figures *ret);

#endif
