#include "agents/learn.h"

#include "base/hash.h"

#define MAX_ROWS 20000
#define MAX_HELD_OUT 8192

struct function {
        char name[VN_MAX_FUNCTION_NAME];
        char region[VN_MAX_REGION_NAME];
        struct vn_fn_history history;
};

/* What is needed to score a held-out window later, by another model. */
struct held_out {
        struct vn_fn_stats before;
        struct vn_duration_query query;
        double actual;
};

struct vn_learn {
        enum vn_platform platform;
        size_t max_functions, count, cap;
        struct function *functions;
        struct vn_rows rows;
        struct held_out *held;
        size_t held_count;
        struct vn_model *model;
};

enum vn_rc vn_learn_new(enum vn_platform platform, size_t max_functions, struct vn_learn **ret, struct vn_err *err)
{
        VN_AUTO(vn_learn)
        learn = vn_alloc(sizeof *learn);
        if (!learn)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "learning: out of memory");
        learn->platform = platform;
        learn->max_functions = max_functions;
        vn_rows_init(&learn->rows, MAX_ROWS);
        learn->held = vn_alloc_array(MAX_HELD_OUT, sizeof *learn->held);
        if (!learn->held)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "learning: out of memory");
        *ret = vn_steal(&learn);
        return VN_OK;
}

struct vn_learn *vn_learn_free(struct vn_learn *learn)
{
        if (!learn)
                return NULL;
        vn_rows_done(&learn->rows);
        vn_free(learn->functions);
        vn_free(learn->held);
        vn_model_free(learn->model);
        vn_free(learn);
        return NULL;
}

/* An account has hundreds of functions at most, a minute has one window of each: a plain search will do. */
static struct function *function_of(struct vn_learn *learn, const struct vn_window *w)
{
        for (size_t i = 0; i < learn->count; i++)
                if (!strcmp(learn->functions[i].name, w->function) && !strcmp(learn->functions[i].region, w->region))
                        return &learn->functions[i];
        if (learn->count >= learn->max_functions)
                return NULL;
        if (learn->count == learn->cap) {
                size_t cap = learn->cap ? 2 * learn->cap : 16;
                struct function *grown = vn_realloc(learn->functions, cap * sizeof *grown);
                if (!grown)
                        return NULL;
                learn->functions = grown;
                learn->cap = cap;
        }
        struct function *f = &learn->functions[learn->count++];
        memset(f, 0, sizeof *f);
        memcpy(f->name, w->function, sizeof f->name);
        memcpy(f->region, w->region, sizeof f->region);
        vn_fn_history_init(&f->history);
        return f;
}

enum vn_rc vn_learn_window(struct vn_learn *learn, const struct vn_window *full, const struct vn_window *sampled,
                           struct vn_err *err)
{
        struct function *f = function_of(learn, full);
        if (!f)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "learning: too many functions, or out of memory");
        const struct vn_fn_stats *before = &f->history.stats;
        if (sampled)
                VN_TRY(vn_rows_add(&learn->rows, before, sampled, learn->platform, err));
        if (full->calls && before->windows >= VN_EVALUATE_MIN_HISTORY && vn_window_held_out(full)) {
                struct held_out *h = &learn->held[learn->held_count++ % MAX_HELD_OUT];
                h->before = *before;
                h->actual = vn_window_log_mean(full);
                vn_duration_query_of_window(full, learn->platform, &h->query);
        }
        vn_fn_history_push(&f->history, full);
        return VN_OK;
}

void vn_learn_set_model(struct vn_learn *learn, struct vn_model *model)
{
        vn_model_free(learn->model);
        learn->model = model;
}

const struct vn_model *vn_learn_model(const struct vn_learn *learn)
{
        return learn->model;
}

static double distance(double a, double b)
{
        return a > b ? a - b : b - a;
}

static void evaluate(const struct vn_learn *learn, struct vn_learn_update *ret)
{
        size_t n = learn->held_count < MAX_HELD_OUT ? learn->held_count : MAX_HELD_OUT;
        ret->eval_windows = n;
        for (size_t i = 0; i < n; i++) {
                const struct held_out *h = &learn->held[i];
                struct vn_duration_estimate estimate;
                vn_model_duration(learn->model, &h->before, &h->query, &estimate);
                ret->model_loss_sum += distance(estimate.log_mean, h->actual);
                ret->mean_loss_sum += distance(h->before.mean, h->actual);
                ret->median_loss_sum += distance(h->before.median, h->actual);
        }
}

static enum vn_rc copy_rows(const struct vn_rows *from, struct vn_rows *to, struct vn_err *err)
{
        size_t durations = from->duration_count < from->max_rows ? from->duration_count : from->max_rows;
        size_t colds = from->cold_count < from->max_rows ? from->cold_count : from->max_rows;
        vn_rows_init(to, from->max_rows);
        to->duration = vn_alloc_array(durations + 1, sizeof *to->duration);
        to->cold = vn_alloc_array(colds + 1, sizeof *to->cold);
        if (!to->duration || !to->cold) {
                vn_rows_done(to);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "learning: out of memory");
        }
        if (durations)
                memcpy(to->duration, from->duration, durations * sizeof *to->duration);
        if (colds)
                memcpy(to->cold, from->cold, colds * sizeof *to->cold);
        to->duration_count = to->duration_cap = durations;
        to->cold_count = to->cold_cap = colds;
        return VN_OK;
}

static enum vn_rc train_shuffled(struct vn_learn *learn, const struct vn_train_config *config,
                                 struct vn_learn_update *update, struct vn_err *err)
{
        struct vn_rows shuffled;
        VN_TRY(copy_rows(&learn->rows, &shuffled, err));
        vn_rows_shuffle_labels(&shuffled, config->seed);
        enum vn_rc rc = vn_train_local(learn->model, &shuffled, config, update->delta, &update->result, err);
        vn_rows_done(&shuffled);
        return rc;
}

enum vn_rc vn_learn_train(struct vn_learn *learn, const struct vn_train_config *config, bool shuffle,
                          struct vn_learn_update *ret, struct vn_err *err)
{
        if (!learn->model)
                return vn_fail(err, VN_FAILED_PRECONDITION, "learning: no model yet");
        struct vn_learn_update update = {.parameters = learn->model->parameter_count};
        update.delta = vn_alloc_array(update.parameters, sizeof(float));
        if (!update.delta)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "learning: out of memory");
        enum vn_rc rc =
                shuffle ? train_shuffled(learn, config, &update, err)
                        : vn_train_local(learn->model, &learn->rows, config, update.delta, &update.result, err);
        if (rc != VN_OK) {
                vn_free(update.delta);
                return rc;
        }
        evaluate(learn, &update);
        *ret = update;
        return VN_OK;
}
