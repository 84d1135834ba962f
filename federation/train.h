/* train.h - local training: mini-batch Adam on an account's own sampled windows.
 * Purpose: from a global model and rows to a local update (new parameters minus old ones). Seeded shuffles and one
 *   order of summation: the same rows, model and configuration give the same bits.
 * Loss: duration net, Laplace likelihood of the residual over the function's running mean with a smoothed absolute
 *   value (its median is what the evaluation's absolute error asks for); cold net, cross-entropy, weighted by calls.
 * Threads: one a call; pure. Ownership: a row set owns its rows. */
#ifndef VANE_FEDERATION_TRAIN_H
#define VANE_FEDERATION_TRAIN_H

#include "federation/model.h"

#define VN_MAX_TRAIN_ROWS 200000

struct vn_duration_row {
        float x[VN_DURATION_FEATURES];
        float y;    /* the window's mean log duration */
        float base; /* the function's running mean before it, which the net corrects */
        float weight;
};
struct vn_cold_row {
        float x[VN_COLD_FEATURES];
        float share; /* of cold starts, 0..1 */
        float weight;
};
struct vn_rows {
        size_t duration_count, duration_cap, cold_count, cold_cap, max_rows;
        struct vn_duration_row *duration;
        struct vn_cold_row *cold;
};
void vn_rows_init(struct vn_rows *rows, size_t max_rows); /* of each kind; the oldest are overwritten beyond it */
void vn_rows_done(struct vn_rows *rows);
/* Adds a sampled window's rows, given what was known before it. Held-out windows and those without history add
 * nothing. */
enum vn_rc vn_rows_add(struct vn_rows *rows, const struct vn_fn_stats *before, const struct vn_window *sampled,
                       enum vn_platform platform, struct vn_err *err) VN_MUST_USE;
/* For the control experiment only: permutes the labels (durations, cold shares) among the rows of each kind. */
void vn_rows_shuffle_labels(struct vn_rows *rows, uint64_t seed);

struct vn_train_config {
        uint64_t seed;
        uint32_t epochs, batch; /* 1..1000, 1..4096 */
        double learning_rate;   /* 0 < rate <= 1 */
        double clip_norm;       /* of a batch's gradient; 0: 5 */
        double weight_decay;    /* pulls towards the global parameters (FedProx's mu); 0: none */
};
struct vn_train_result {
        uint64_t samples;               /* duration rows plus cold rows */
        double loss_before, loss_after; /* mean over rows, both nets */
        double update_norm;
};
/* delta has model->parameter_count floats. FAILED_PRECONDITION without rows; ABORTED if it diverges (not finite). */
enum vn_rc vn_train_local(const struct vn_model *model, const struct vn_rows *rows,
                          const struct vn_train_config *config, float *ret_delta, struct vn_train_result *ret,
                          struct vn_err *err) VN_MUST_USE;

/* Loss and gradient (added to grad, may be NULL) of one row; what the gradient check tests. */
double vn_duration_loss(const struct vn_net_shape *shape, const float *parameters, const struct vn_duration_row *row,
                        double *grad);
double vn_cold_loss(const struct vn_net_shape *shape, const float *parameters, const struct vn_cold_row *row,
                    double *grad);

#endif
