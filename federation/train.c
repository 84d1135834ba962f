/* Gradients are float64 and run over rows and parameters in one order: the same inputs give the same bits. */
#include "federation/train.h"

#include "base/detmath.h"
#include "base/hash.h"

#define SMOOTH 0.05 /* |e| is sqrt(e^2 + SMOOTH^2) - SMOOTH: a gradient near zero that does not jump */
#define MIN_LOG_SPREAD (-5.0)
#define MAX_LOG_SPREAD 3.0
#define MIN_SPREAD 0.02 /* keeps the spread off zero where a function never varies */
/* The loss is |e| plus a share of the Laplace likelihood s + |e| exp(-s): the plain error keeps noisy functions as
 * important as the evaluation holds them, the likelihood teaches the spread. */
#define SPREAD_SHARE 0.25
#define DEFAULT_CLIP 5.0

/* Activations of one forward pass, kept for the way back. */
struct trace {
        float at[VN_NET_MAX_LAYERS + 1][VN_NET_MAX_WIDTH];
};

/* delta holds d loss / d output on entry; grad is added to. */
static void backward(const struct vn_net_shape *shape, const float *p, const struct trace *t, double *delta,
                     double *grad)
{
        double below[VN_NET_MAX_WIDTH];
        size_t outputs = shape->width[shape->layers], direct = shape->skip ? shape->width[0] * outputs : 0;
        size_t offset = vn_net_parameters(shape) - direct;
        for (size_t i = 0; i < direct; i++)
                grad[offset + i] += (double)t->at[0][i / outputs] * delta[i % outputs];
        for (unsigned l = shape->layers; l-- > 0;) {
                size_t in = shape->width[l], out = shape->width[l + 1];
                offset -= (in + 1) * out;
                for (size_t i = 0; i < in; i++) {
                        double x = (double)t->at[l][i], sum = 0;
                        const float *w = p + offset + i * out;
                        double *g = grad + offset + i * out;
                        for (size_t o = 0; o < out; o++) {
                                g[o] += x * delta[o];
                                sum += (double)w[o] * delta[o];
                        }
                        double slope = shape->activation == VN_ACTIVATION_RELU ? (x > 0 ? 1 : 0) : 1 - x * x;
                        below[i] = sum * slope;
                }
                for (size_t o = 0; o < out; o++)
                        grad[offset + in * out + o] += delta[o];
                memcpy(delta, below, in * sizeof(double));
        }
}

double vn_duration_loss(const struct vn_net_shape *shape, const float *p, const struct vn_duration_row *row,
                        double *grad)
{
        struct trace t;
        vn_net_trace(shape, p, row->x, t.at);
        double e = (double)row->base + (double)t.at[shape->layers][0] - (double)row->y;
        double s = (double)t.at[shape->layers][1];
        bool inside = s > MIN_LOG_SPREAD && s < MAX_LOG_SPREAD;
        s = s < MIN_LOG_SPREAD ? MIN_LOG_SPREAD : s > MAX_LOG_SPREAD ? MAX_LOG_SPREAD : s;
        double root = vn_sqrt(e * e + SMOOTH * SMOOTH), size = root - SMOOTH + MIN_SPREAD;
        double inverse = vn_exp(-s), weight = (double)row->weight;
        if (grad) {
                double delta[VN_NET_MAX_WIDTH] = {weight * e / root * (1 + SPREAD_SHARE * inverse),
                                                  inside ? weight * SPREAD_SHARE * (1 - size * inverse) : 0};
                backward(shape, p, &t, delta, grad);
        }
        return weight * (root - SMOOTH + SPREAD_SHARE * (s + size * inverse));
}

double vn_cold_loss(const struct vn_net_shape *shape, const float *p, const struct vn_cold_row *row, double *grad)
{
        struct trace t;
        vn_net_trace(shape, p, row->x, t.at);
        double z = (double)t.at[shape->layers][0], share = (double)row->share, weight = (double)row->weight;
        double positive = z > 0 ? z : 0, size = z > 0 ? z : -z;
        if (grad) {
                double delta[VN_NET_MAX_WIDTH] = {weight * (vn_sigmoid(z) - share)};
                backward(shape, p, &t, delta, grad);
        }
        return weight * (positive - share * z + vn_log1p(vn_exp(-size)));
}

/* --- Adam (Kingma and Ba 2015), one net at a time --- */

typedef double (*row_loss)(const struct vn_net_shape *shape, const float *p, const void *rows, size_t index,
                           double *grad);

static double duration_row_loss(const struct vn_net_shape *shape, const float *p, const void *rows, size_t index,
                                double *grad)
{
        return vn_duration_loss(shape, p, (const struct vn_duration_row *)rows + index, grad);
}

static double cold_row_loss(const struct vn_net_shape *shape, const float *p, const void *rows, size_t index,
                            double *grad)
{
        return vn_cold_loss(shape, p, (const struct vn_cold_row *)rows + index, grad);
}

struct job {
        const struct vn_net_shape *shape;
        const struct vn_train_config *config;
        const void *rows;
        size_t count, parameters;
        row_loss loss;
        const float *global; /* where the parameters started */
        float *p;
        double *grad, *m, *v;
        uint32_t *order;
        uint64_t steps;
        double beta1_power, beta2_power;
};

static double mean_loss(const struct job *job)
{
        double sum = 0;
        for (size_t i = 0; i < job->count; i++)
                sum += job->loss(job->shape, job->p, job->rows, i, NULL);
        return sum / (double)job->count;
}

static void adam_step(struct job *job, size_t batch)
{
        const double beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8;
        const struct vn_train_config *config = job->config;
        double sum = 0, clip = config->clip_norm > 0 ? config->clip_norm : DEFAULT_CLIP;
        for (size_t i = 0; i < job->parameters; i++) {
                job->grad[i] = job->grad[i] / (double)batch +
                               config->weight_decay * ((double)job->p[i] - (double)job->global[i]);
                sum += job->grad[i] * job->grad[i];
        }
        double norm = vn_sqrt(sum), scale = norm > clip ? clip / norm : 1;
        job->beta1_power *= beta1;
        job->beta2_power *= beta2;
        for (size_t i = 0; i < job->parameters; i++) {
                double g = job->grad[i] * scale;
                job->m[i] = beta1 * job->m[i] + (1 - beta1) * g;
                job->v[i] = beta2 * job->v[i] + (1 - beta2) * g * g;
                double m = job->m[i] / (1 - job->beta1_power), v = job->v[i] / (1 - job->beta2_power);
                job->p[i] = (float)((double)job->p[i] - config->learning_rate * m / (vn_sqrt(v) + epsilon));
        }
}

static void train_epochs(struct job *job, uint64_t seed)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, seed);
        job->beta1_power = job->beta2_power = 1;
        for (size_t i = 0; i < job->count; i++)
                job->order[i] = (uint32_t)i;
        for (uint32_t epoch = 0; epoch < job->config->epochs; epoch++) {
                for (size_t i = job->count; i > 1; i--) {
                        size_t j = vn_rng_below(&rng, i);
                        uint32_t held = job->order[i - 1];
                        job->order[i - 1] = job->order[j];
                        job->order[j] = held;
                }
                for (size_t first = 0; first < job->count; first += job->config->batch) {
                        size_t left = job->count - first, n = left < job->config->batch ? left : job->config->batch;
                        memset(job->grad, 0, job->parameters * sizeof(double));
                        for (size_t i = 0; i < n; i++)
                                job->loss(job->shape, job->p, job->rows, job->order[first + i], job->grad);
                        adam_step(job, n);
                }
        }
}

static enum vn_rc train_net(struct job *job, uint64_t seed, struct vn_train_result *result, struct vn_err *err)
{
        if (!job->count)
                return VN_OK;
        enum vn_rc rc = VN_OK;
        job->grad = vn_alloc_array(job->parameters * 3, sizeof(double));
        job->order = vn_alloc_array(job->count, sizeof *job->order);
        if (job->grad && job->order) {
                job->m = job->grad + job->parameters;
                job->v = job->m + job->parameters;
                result->loss_before += mean_loss(job);
                train_epochs(job, seed);
                result->loss_after += mean_loss(job);
        } else {
                rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "training: out of memory");
        }
        vn_free(job->grad);
        vn_free(job->order);
        return rc;
}

static enum vn_rc check_config(const struct vn_train_config *config, struct vn_err *err)
{
        if (!config->epochs || config->epochs > 1000 || !config->batch || config->batch > 4096 ||
            !(config->learning_rate > 0 && config->learning_rate <= 1) || !(config->clip_norm >= 0) ||
            !(config->weight_decay >= 0 && config->weight_decay <= 100))
                return vn_fail(err, VN_INVALID_ARGUMENT, "training: configuration out of range");
        return VN_OK;
}

/* p starts as the global parameters and becomes the local ones. */
static enum vn_rc train_both(const struct vn_model *model, const struct vn_rows *rows,
                             const struct vn_train_config *config, float *p, struct vn_train_result *result,
                             struct vn_err *err)
{
        size_t first = vn_net_parameters(&model->shape.net[VN_NET_DURATION]);
        struct job duration = {
                .shape = &model->shape.net[VN_NET_DURATION],
                .config = config,
                .rows = rows->duration,
                .count = rows->duration_count < rows->max_rows ? rows->duration_count : rows->max_rows,
                .parameters = first,
                .loss = duration_row_loss,
                .global = model->parameters,
                .p = p,
        };
        struct job cold = {
                .shape = &model->shape.net[VN_NET_COLD],
                .config = config,
                .rows = rows->cold,
                .count = rows->cold_count < rows->max_rows ? rows->cold_count : rows->max_rows,
                .parameters = model->parameter_count - first,
                .loss = cold_row_loss,
                .global = model->parameters + first,
                .p = p + first,
        };
        result->samples = duration.count + cold.count;
        VN_TRY(train_net(&duration, config->seed, result, err));
        return train_net(&cold, config->seed ^ UINT64_C(0x636f6c64), result, err);
}

enum vn_rc vn_train_local(const struct vn_model *model, const struct vn_rows *rows,
                          const struct vn_train_config *config, float *ret_delta, struct vn_train_result *ret,
                          struct vn_err *err)
{
        VN_TRY(check_config(config, err));
        if (!rows->duration_count)
                return vn_fail(err, VN_FAILED_PRECONDITION, "training: no rows");
        struct vn_train_result result = {0};
        memcpy(ret_delta, model->parameters, model->parameter_count * sizeof(float));
        VN_TRY(train_both(model, rows, config, ret_delta, &result, err));
        double sum = 0;
        for (size_t i = 0; i < model->parameter_count; i++) {
                ret_delta[i] -= model->parameters[i];
                sum += (double)ret_delta[i] * (double)ret_delta[i];
        }
        result.update_norm = vn_sqrt(sum);
        if (!(result.update_norm < 1e30) || result.loss_after != result.loss_after)
                return vn_fail(err, VN_ABORTED, "training: it diverged");
        *ret = result;
        return VN_OK;
}
