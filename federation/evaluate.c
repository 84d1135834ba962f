#include "federation/evaluate.h"

#include "base/hash.h"

#define MAX_SCOPE 64

struct function {
        char scope[MAX_SCOPE];
        char name[VN_MAX_FUNCTION_NAME];
        char region[VN_MAX_REGION_NAME];
        double mean_loss, median_loss;
        struct vn_fn_history history;
};

struct vn_evaluation {
        const struct vn_model *models[VN_EVALUATE_MAX_MODELS];
        size_t model_count, max_functions, count, slots;
        struct function **table; /* open addressing */
        struct vn_eval_sums sums;
};

enum vn_rc vn_evaluation_new(const struct vn_model *const *models, size_t model_count, size_t max_functions,
                             struct vn_evaluation **ret, struct vn_err *err)
{
        if (model_count > VN_EVALUATE_MAX_MODELS || !max_functions || max_functions > 1000000)
                return vn_fail(err, VN_INVALID_ARGUMENT, "evaluation: too many models or functions");
        VN_AUTO(vn_evaluation)
        e = vn_alloc(sizeof *e);
        if (!e)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "evaluation: out of memory");
        for (size_t i = 0; i < model_count; i++)
                e->models[i] = models[i];
        e->model_count = model_count;
        e->max_functions = max_functions;
        e->slots = 64;
        e->table = vn_alloc_array(e->slots, sizeof(struct function *));
        if (!e->table)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "evaluation: out of memory");
        *ret = vn_steal(&e);
        return VN_OK;
}

struct vn_evaluation *vn_evaluation_free(struct vn_evaluation *evaluation)
{
        if (!evaluation)
                return NULL;
        for (size_t i = 0; evaluation->table && i < evaluation->slots; i++)
                vn_free(evaluation->table[i]);
        vn_free(evaluation->table);
        vn_free(evaluation);
        return NULL;
}

static struct function **slot_of(struct function **table, size_t slots, const char *scope, const char *name,
                                 const char *region)
{
        uint64_t hash = vn_hash64(scope, strlen(scope), 2);
        hash = vn_hash64(name, strlen(name), hash);
        hash = vn_hash64(region, strlen(region), hash);
        for (size_t i = hash % slots;; i = (i + 1) % slots) {
                const struct function *f = table[i];
                if (!f || (!strcmp(f->scope, scope) && !strcmp(f->name, name) && !strcmp(f->region, region)))
                        return &table[i];
        }
}

static bool grow(struct vn_evaluation *e)
{
        size_t slots = 2 * e->slots;
        struct function **table = vn_alloc_array(slots, sizeof(struct function *));
        if (!table)
                return false;
        for (size_t i = 0; i < e->slots; i++)
                if (e->table[i])
                        *slot_of(table, slots, e->table[i]->scope, e->table[i]->name, e->table[i]->region) =
                                e->table[i];
        vn_free(e->table);
        e->table = table;
        e->slots = slots;
        return true;
}

static struct function *function_of(struct vn_evaluation *e, const char *scope, const struct vn_window *w)
{
        struct function **slot = slot_of(e->table, e->slots, scope, w->function, w->region);
        if (*slot)
                return *slot;
        if (e->count >= e->max_functions || strlen(scope) >= MAX_SCOPE)
                return NULL;
        if (2 * (e->count + 1) > e->slots) {
                if (!grow(e))
                        return NULL;
                slot = slot_of(e->table, e->slots, scope, w->function, w->region);
        }
        struct function *f = vn_alloc(sizeof *f);
        if (!f)
                return NULL;
        memcpy(f->scope, scope, strlen(scope) + 1);
        memcpy(f->name, w->function, sizeof f->name);
        memcpy(f->region, w->region, sizeof f->region);
        *slot = f;
        e->count++;
        return f;
}

static double distance(double a, double b)
{
        return a > b ? a - b : b - a;
}

static void score_duration(struct vn_evaluation *e, struct function *f, enum vn_platform platform,
                           const struct vn_window *w)
{
        const struct vn_fn_stats *stats = &f->history.stats;
        double actual = vn_window_log_mean(w);
        double mean = distance(stats->mean, actual), median = distance(stats->median, actual);
        struct vn_duration_query query;
        vn_duration_query_of_window(w, platform, &query);
        for (size_t i = 0; i < e->model_count; i++) {
                struct vn_duration_estimate estimate;
                vn_model_duration(e->models[i], stats, &query, &estimate);
                e->sums.model_loss_sum[i] += distance(estimate.log_mean, actual);
        }
        e->sums.windows++;
        e->sums.mean_loss_sum += mean;
        e->sums.median_loss_sum += median;
        f->mean_loss += mean;
        f->median_loss += median;
}

/* Sum over calls of (p - cold)^2, for `cold` ones and the rest zeros. */
static double brier(double p, const struct vn_idle_bin *bin)
{
        return bin->cold * (1 - p) * (1 - p) + (bin->calls - bin->cold) * p * p;
}

static void score_cold(struct vn_evaluation *e, const struct vn_fn_stats *stats, enum vn_platform platform,
                       const struct vn_window *w)
{
        for (size_t b = 0; b < VN_IDLE_BINS; b++) {
                if (!w->idle[b].calls)
                        continue;
                struct vn_cold_query query = {platform, w->memory_mb, vn_idle_bin_s(b)};
                for (size_t i = 0; i < e->model_count; i++)
                        e->sums.cold_brier_sum[i] += brier(vn_model_cold(e->models[i], stats, &query), &w->idle[b]);
                e->sums.cold_base_brier_sum += brier(stats->cold_share, &w->idle[b]);
                e->sums.cold_calls += w->idle[b].calls;
        }
}

enum vn_rc vn_evaluation_push(struct vn_evaluation *e, const char *scope, enum vn_platform platform,
                              const struct vn_window *window, struct vn_err *err)
{
        if (!window->calls)
                return VN_OK;
        struct function *f = function_of(e, scope, window);
        if (!f)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "evaluation: too many functions, or out of memory");
        if (f->history.stats.windows >= VN_EVALUATE_MIN_HISTORY && vn_window_held_out(window)) {
                score_duration(e, f, platform, window);
                score_cold(e, &f->history.stats, platform, window);
        }
        vn_fn_history_push(&f->history, window);
        return VN_OK;
}

void vn_evaluation_sums(const struct vn_evaluation *evaluation, struct vn_eval_sums *ret)
{
        *ret = evaluation->sums;
}

void vn_evaluation_result(const struct vn_evaluation *e, struct vn_eval_result *ret)
{
        double better = 0, windows = e->sums.windows ? (double)e->sums.windows : 1;
        double calls = e->sums.cold_calls ? (double)e->sums.cold_calls : 1;
        for (size_t i = 0; i < e->slots; i++)
                if (e->table[i])
                        better += e->table[i]->mean_loss < e->table[i]->median_loss ? e->table[i]->mean_loss
                                                                                    : e->table[i]->median_loss;
        *ret = (struct vn_eval_result){
                .windows = e->sums.windows,
                .cold_calls = e->sums.cold_calls,
                .mean_loss = e->sums.mean_loss_sum / windows,
                .median_loss = e->sums.median_loss_sum / windows,
                .baseline_loss = better / windows,
                .cold_base_brier = e->sums.cold_base_brier_sum / calls,
        };
        for (size_t i = 0; i < e->model_count; i++) {
                ret->loss[i] = e->sums.model_loss_sum[i] / windows;
                ret->cold_brier[i] = e->sums.cold_brier_sum[i] / calls;
        }
}

const struct vn_fn_stats *vn_evaluation_stats(const struct vn_evaluation *e, const char *scope, const char *function,
                                              const char *region)
{
        struct function *const *slot = slot_of(e->table, e->slots, scope, function, region);
        return *slot ? &(*slot)->history.stats : NULL;
}
