/* learn.h - the agent's own learning: histories, training rows and held-out windows of its account, and the model.
 * Purpose: what a round asks of an agent: how good is the base model here, and what would improve it.
 * Threads: the agent's main thread. Ownership: owns the model that it is given. Bounds: functions, rows and held-out
 *   windows; beyond them the oldest go. */
#ifndef VANE_AGENTS_LEARN_H
#define VANE_AGENTS_LEARN_H

#include "federation/evaluate.h"
#include "federation/train.h"

struct vn_learn;
enum vn_rc vn_learn_new(enum vn_platform platform, size_t max_functions, struct vn_learn **ret,
                        struct vn_err *err) VN_MUST_USE;
struct vn_learn *vn_learn_free(struct vn_learn *learn);
VN_DEFINE_AUTO(vn_learn);
/* A closed window, in order of start; sampled may be NULL. */
enum vn_rc vn_learn_window(struct vn_learn *learn, const struct vn_window *full, const struct vn_window *sampled,
                           struct vn_err *err) VN_MUST_USE;
void vn_learn_set_model(struct vn_learn *learn, struct vn_model *model); /* takes it */
const struct vn_model *vn_learn_model(const struct vn_learn *learn);     /* NULL before the first */

struct vn_learn_update {
        float *delta; /* vn_free */
        size_t parameters;
        struct vn_train_result result;
        uint64_t eval_windows;
        double model_loss_sum, mean_loss_sum, median_loss_sum; /* of the base model, on held-out windows */
};
/* FAILED_PRECONDITION without model or rows. shuffle: the control experiment. */
enum vn_rc vn_learn_train(struct vn_learn *learn, const struct vn_train_config *config, bool shuffle,
                          struct vn_learn_update *ret, struct vn_err *err) VN_MUST_USE;

#endif
