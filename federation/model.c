/* Weights lie input-major ([input][output]): the inner loop runs over outputs, so it vectorises, and each output still
 * adds its inputs in one fixed order. */
#include "federation/model.h"

#include "base/detmath.h"
#include "base/hash.h"

#define MODEL_FORMAT 2
static const char magic[8] = {'V', 'N', 'M', 'O', 'D', 'E', 'L', '\n'};
/* magic, format, feature version, version, round, parent, shapes, parameter count */
#define SHAPE_BYTES (3 + 2 * (VN_NET_MAX_LAYERS + 1))
#define HEAD_BYTES (8 + 4 + 4 + 8 + 8 + VN_MODEL_HASH_BYTES + VN_NET_COUNT * SHAPE_BYTES + 8)

const struct vn_model_shape vn_model_shape_default = {
        .net =
                {
                        [VN_NET_DURATION] = {3, VN_ACTIVATION_TANH, {VN_DURATION_FEATURES, 32, 16, 2, 0}, 1},
                        [VN_NET_COLD] = {3, VN_ACTIVATION_RELU, {VN_COLD_FEATURES, 16, 8, 1, 0}, 1},
                },
};

size_t vn_net_parameters(const struct vn_net_shape *shape)
{
        size_t n = 0;
        for (unsigned i = 0; i < shape->layers; i++)
                n += ((size_t)shape->width[i] + 1) * shape->width[i + 1];
        return n + (shape->skip ? (size_t)shape->width[0] * shape->width[shape->layers] : 0);
}

size_t vn_model_parameters(const struct vn_model_shape *shape)
{
        return vn_net_parameters(&shape->net[VN_NET_DURATION]) + vn_net_parameters(&shape->net[VN_NET_COLD]);
}

static bool net_eq(const struct vn_net_shape *a, const struct vn_net_shape *b)
{
        if (a->layers != b->layers || a->activation != b->activation || a->skip != b->skip)
                return false;
        for (unsigned i = 0; i <= a->layers; i++)
                if (a->width[i] != b->width[i])
                        return false;
        return true;
}

bool vn_model_shape_eq(const struct vn_model_shape *a, const struct vn_model_shape *b)
{
        return net_eq(&a->net[0], &b->net[0]) && net_eq(&a->net[1], &b->net[1]);
}

static bool net_ok(const struct vn_net_shape *shape, unsigned inputs, unsigned outputs)
{
        if (shape->layers < 1 || shape->layers > VN_NET_MAX_LAYERS || shape->activation > VN_ACTIVATION_TANH ||
            shape->skip > 1)
                return false;
        for (unsigned i = 0; i <= shape->layers; i++)
                if (!shape->width[i] || shape->width[i] > VN_NET_MAX_WIDTH)
                        return false;
        return shape->width[0] == inputs && shape->width[shape->layers] == outputs;
}

static bool shape_ok(const struct vn_model_shape *shape)
{
        return net_ok(&shape->net[VN_NET_DURATION], VN_DURATION_FEATURES, 2) &&
               net_ok(&shape->net[VN_NET_COLD], VN_COLD_FEATURES, 1) &&
               vn_model_parameters(shape) <= VN_MODEL_MAX_PARAMETERS;
}

static enum vn_rc model_blank(const struct vn_model_shape *shape, struct vn_model **ret, struct vn_err *err)
{
        if (!shape_ok(shape))
                return vn_fail(err, VN_INVALID_ARGUMENT, "model: shape out of bounds");
        VN_AUTO(vn_model)
        model = vn_alloc(sizeof *model);
        if (!model)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "model: out of memory");
        model->version = 1;
        model->shape = *shape;
        model->parameter_count = vn_model_parameters(shape);
        model->parameters = vn_alloc_array(model->parameter_count, sizeof(float));
        if (!model->parameters)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "model: out of memory");
        *ret = vn_steal(&model);
        return VN_OK;
}

static void net_init(const struct vn_net_shape *shape, struct vn_rng *rng, float *p)
{
        for (unsigned l = 0; l < shape->layers; l++) {
                size_t weights = (size_t)shape->width[l] * shape->width[l + 1];
                double scale = l + 1 == shape->layers ? 0 : vn_sqrt(2.0 / shape->width[l]);
                for (size_t i = 0; i < weights; i++)
                        p[i] = scale > 0 ? (float)(scale * vn_rng_normal(rng)) : 0;
                p += weights + shape->width[l + 1];
        }
}

enum vn_rc vn_model_new(const struct vn_model_shape *shape, uint64_t seed, struct vn_model **ret, struct vn_err *err)
{
        VN_AUTO(vn_model)
        model = NULL;
        VN_TRY(model_blank(shape, &model, err));
        struct vn_rng rng;
        vn_rng_seed(&rng, seed);
        net_init(&shape->net[VN_NET_DURATION], &rng, model->parameters);
        net_init(&shape->net[VN_NET_COLD], &rng, model->parameters + vn_net_parameters(&shape->net[VN_NET_DURATION]));
        VN_TRY(vn_model_seal(model, err));
        *ret = vn_steal(&model);
        return VN_OK;
}

enum vn_rc vn_model_clone(const struct vn_model *model, struct vn_model **ret, struct vn_err *err)
{
        struct vn_model *copy = NULL;
        VN_TRY(model_blank(&model->shape, &copy, err));
        float *parameters = copy->parameters;
        memcpy(parameters, model->parameters, model->parameter_count * sizeof(float));
        *copy = *model;
        copy->parameters = parameters;
        *ret = copy;
        return VN_OK;
}

struct vn_model *vn_model_free(struct vn_model *model)
{
        if (model)
                vn_free(model->parameters);
        vn_free(model);
        return NULL;
}

/* --- inference --- */

/* sum[o] += the inputs' weights, in the order of the inputs. */
static void add_inputs(const float *w, const float *x, size_t in, size_t out, double *sum)
{
        for (size_t i = 0; i < in; i++) {
                double xi = (double)x[i];
                for (size_t o = 0; o < out; o++)
                        sum[o] += (double)w[i * out + o] * xi;
        }
}

/* One layer, the l-th; *p moves on to the next one's parameters. */
static void run_layer(const struct vn_net_shape *shape, unsigned l, const float **p, const float *input,
                      const float *x, float *to)
{
        double sum[VN_NET_MAX_WIDTH];
        size_t in = shape->width[l], out = shape->width[l + 1];
        const float *bias = *p + in * out;
        bool last = l + 1 == shape->layers;
        for (size_t o = 0; o < out; o++)
                sum[o] = (double)bias[o];
        add_inputs(*p, x, in, out, sum);
        *p = bias + out;
        if (last && shape->skip)
                add_inputs(*p, input, shape->width[0], out, sum);
        for (size_t o = 0; o < out; o++)
                to[o] = (float)(last                                      ? sum[o]
                                : shape->activation == VN_ACTIVATION_RELU ? (sum[o] > 0 ? sum[o] : 0)
                                                                          : vn_tanh(sum[o]));
}

void vn_net_forward(const struct vn_net_shape *shape, const float *p, const float *input, float *ret)
{
        float held[2][VN_NET_MAX_WIDTH];
        const float *x = input;
        for (unsigned l = 0; l < shape->layers; l++) {
                float *to = l + 1 == shape->layers ? ret : held[l % 2];
                run_layer(shape, l, &p, input, x, to);
                x = to;
        }
}

void vn_net_trace(const struct vn_net_shape *shape, const float *p, const float *input, float at[][VN_NET_MAX_WIDTH])
{
        memcpy(at[0], input, shape->width[0] * sizeof(float));
        for (unsigned l = 0; l < shape->layers; l++)
                run_layer(shape, l, &p, input, at[l], at[l + 1]);
}

void vn_model_duration(const struct vn_model *model, const struct vn_fn_stats *stats,
                       const struct vn_duration_query *query, struct vn_duration_estimate *ret)
{
        float x[VN_DURATION_FEATURES], y[2];
        vn_duration_features(stats, query, x);
        vn_net_forward(&model->shape.net[VN_NET_DURATION], model->parameters, x, y);
        ret->log_mean = stats->mean + (double)y[0];
        ret->log_spread = vn_exp((double)y[1] < -5 ? -5 : (double)y[1] > 3 ? 3 : (double)y[1]);
}

double vn_model_cold(const struct vn_model *model, const struct vn_fn_stats *stats, const struct vn_cold_query *query)
{
        float x[VN_COLD_FEATURES], logit = 0;
        vn_cold_features(stats, query, x);
        vn_net_forward(&model->shape.net[VN_NET_COLD],
                       model->parameters + vn_net_parameters(&model->shape.net[VN_NET_DURATION]), x, &logit);
        return vn_sigmoid((double)logit);
}

/* --- bytes --- */

static void put_le(uint8_t **to, uint64_t value, unsigned bytes)
{
        for (unsigned i = 0; i < bytes; i++)
                *(*to)++ = (uint8_t)(value >> 8 * i);
}

static uint64_t take_le(const uint8_t **from, unsigned bytes)
{
        uint64_t value = 0;
        for (unsigned i = 0; i < bytes; i++)
                value |= (uint64_t) * (*from)++ << 8 * i;
        return value;
}

static void put_head(const struct vn_model *model, uint8_t *to)
{
        memcpy(to, magic, sizeof magic);
        to += sizeof magic;
        put_le(&to, MODEL_FORMAT, 4);
        put_le(&to, VN_FEATURES_VERSION, 4);
        put_le(&to, model->version, 8);
        put_le(&to, model->round, 8);
        memcpy(to, model->parent, VN_MODEL_HASH_BYTES);
        to += VN_MODEL_HASH_BYTES;
        for (unsigned n = 0; n < VN_NET_COUNT; n++) {
                const struct vn_net_shape *net = &model->shape.net[n];
                put_le(&to, net->layers, 1);
                put_le(&to, net->activation, 1);
                put_le(&to, net->skip, 1);
                for (unsigned i = 0; i <= VN_NET_MAX_LAYERS; i++)
                        put_le(&to, i <= net->layers ? net->width[i] : 0, 2);
        }
        put_le(&to, model->parameter_count, 8);
}

enum vn_rc vn_model_encode(struct vn_model *model, struct vn_buf *ret, struct vn_err *err)
{
        uint8_t head[HEAD_BYTES];
        size_t start = ret->len, body = model->parameter_count * 4;
        put_head(model, head);
        vn_buf_reserve(ret, sizeof head + body + VN_MODEL_HASH_BYTES);
        vn_buf_add(ret, head, sizeof head);
        vn_buf_add(ret, model->parameters, body); /* float32, little endian: every machine that Vane runs on */
        VN_TRY(vn_buf_check(ret, err));
        vn_sha256(ret->ptr + start, ret->len - start, model->hash);
        vn_buf_add(ret, model->hash, sizeof model->hash);
        return vn_buf_check(ret, err);
}

enum vn_rc vn_model_seal(struct vn_model *model, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES);
        return vn_model_encode(model, &bytes, err);
}

static bool take_shape(const uint8_t **from, struct vn_net_shape *ret)
{
        ret->layers = (uint8_t)take_le(from, 1);
        ret->activation = (uint8_t)take_le(from, 1);
        ret->skip = (uint8_t)take_le(from, 1);
        for (unsigned i = 0; i <= VN_NET_MAX_LAYERS; i++) {
                ret->width[i] = (uint16_t)take_le(from, 2);
                if (i > ret->layers && ret->width[i])
                        return false;
        }
        return true;
}

static bool all_finite(const float *values, size_t count)
{
        for (size_t i = 0; i < count; i++)
                if (values[i] - values[i] != 0)
                        return false;
        return true;
}

enum vn_rc vn_model_decode(struct vn_str bytes, struct vn_model **ret, struct vn_err *err)
{
        const uint8_t *from = (const uint8_t *)bytes.ptr;
        if (bytes.len < HEAD_BYTES + VN_MODEL_HASH_BYTES || bytes.len > VN_MODEL_MAX_BYTES ||
            memcmp(from, magic, sizeof magic))
                return vn_fail(err, VN_INVALID_ARGUMENT, "model: not a model file");
        uint8_t hash[VN_MODEL_HASH_BYTES];
        vn_sha256(from, bytes.len - VN_MODEL_HASH_BYTES, hash);
        if (memcmp(hash, from + bytes.len - VN_MODEL_HASH_BYTES, sizeof hash))
                return vn_fail(err, VN_DATA_LOSS, "model: checksum differs");
        from += sizeof magic;
        uint64_t format = take_le(&from, 4), features = take_le(&from, 4);
        if (format != MODEL_FORMAT || features != VN_FEATURES_VERSION)
                return vn_fail(err, VN_FAILED_PRECONDITION, "model: format %u, features %u are not known here",
                               (unsigned)format, (unsigned)features);
        struct vn_model head = {0};
        head.version = take_le(&from, 8);
        head.round = take_le(&from, 8);
        memcpy(head.parent, from, sizeof head.parent);
        from += sizeof head.parent;
        bool shapes = take_shape(&from, &head.shape.net[0]);
        shapes = take_shape(&from, &head.shape.net[1]) && shapes;
        head.parameter_count = take_le(&from, 8);
        if (!shapes || !shape_ok(&head.shape) || head.parameter_count != vn_model_parameters(&head.shape) ||
            bytes.len != HEAD_BYTES + head.parameter_count * 4 + VN_MODEL_HASH_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "model: shape and size do not fit");
        VN_AUTO(vn_model)
        model = NULL;
        VN_TRY(model_blank(&head.shape, &model, err));
        memcpy(model->parameters, from, head.parameter_count * 4);
        if (!all_finite(model->parameters, model->parameter_count))
                return vn_fail(err, VN_INVALID_ARGUMENT, "model: a parameter is not finite");
        model->version = head.version;
        model->round = head.round;
        memcpy(model->parent, head.parent, sizeof head.parent);
        memcpy(model->hash, hash, sizeof hash);
        *ret = vn_steal(&model);
        return VN_OK;
}
