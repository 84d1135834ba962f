/* evaluate.h - how good a model is on held-out windows, beside the baselines, on the same windows.
 * Purpose: the figures eval_loss and eval_loss_baseline. The loss is the mean absolute error of the predicted mean
 *   log duration of a window. The baselines are each function's own running mean and running median, known before the
 *   window; "the better" is taken function by function, in hindsight, which favours the baseline.
 * Windows must be pushed in order of start for each function; one evaluation belongs to one thread.
 * Ownership: the evaluation owns its histories; the models are borrowed. Bounds: max_functions. */
#ifndef VANE_FEDERATION_EVALUATE_H
#define VANE_FEDERATION_EVALUATE_H

#include "federation/model.h"

#define VN_EVALUATE_MAX_MODELS 4
#define VN_EVALUATE_MIN_HISTORY 3 /* windows that a function must have had before one of its windows is scored */

struct vn_eval_sums {
        uint64_t windows;
        double model_loss_sum[VN_EVALUATE_MAX_MODELS];
        double mean_loss_sum, median_loss_sum;
        uint64_t cold_calls;
        double cold_brier_sum[VN_EVALUATE_MAX_MODELS]; /* of (chance - cold)^2 over calls */
        double cold_base_brier_sum;                    /* the running cold share as the forecast */
};
struct vn_eval_result {
        uint64_t windows, cold_calls;
        double loss[VN_EVALUATE_MAX_MODELS];
        double mean_loss, median_loss, baseline_loss;
        double cold_brier[VN_EVALUATE_MAX_MODELS], cold_base_brier;
};

struct vn_evaluation;
enum vn_rc vn_evaluation_new(const struct vn_model *const *models, size_t model_count, size_t max_functions,
                             struct vn_evaluation **ret, struct vn_err *err) VN_MUST_USE;
struct vn_evaluation *vn_evaluation_free(struct vn_evaluation *evaluation);
VN_DEFINE_AUTO(vn_evaluation);
/* Every window, held out or not: all of them make the running statistics, only the held-out ones are scored.
 * `scope` tells apart equal names in different accounts. */
enum vn_rc vn_evaluation_push(struct vn_evaluation *evaluation, const char *scope, enum vn_platform platform,
                              const struct vn_window *window, struct vn_err *err) VN_MUST_USE;
void vn_evaluation_result(const struct vn_evaluation *evaluation, struct vn_eval_result *ret);
void vn_evaluation_sums(const struct vn_evaluation *evaluation, struct vn_eval_sums *ret);
/* The statistics of a function after all that was pushed; NULL if unknown. Borrowed until the next push. */
const struct vn_fn_stats *vn_evaluation_stats(const struct vn_evaluation *evaluation, const char *scope,
                                              const char *function, const char *region);

#endif
