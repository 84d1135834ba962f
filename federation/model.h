/* model.h - the small neural model: one perceptron for durations, one for cold starts.
 * Purpose: inference with the same bits on every machine. Parameters and activations are float32, sums are float64 in
 *   one fixed order, and transcendentals come from base/detmath.h.
 * The duration net answers with (m, s): mean of ln(us) = the function's running mean + m, and s = ln of the spread
 *   (mean absolute deviation). The cold net answers with a logit. A new model answers m = 0: it starts as the baseline.
 * Threads: a model is immutable while shared; inference allocates nothing. Ownership: _new/_free.
 * Bytes: magic, format, version, round, parent hash, feature version, shapes, parameters (float32, little endian),
 *   SHA-256 of all before. The hash names the model. Decoding refuses what encoding cannot have made. */
#ifndef VANE_FEDERATION_MODEL_H
#define VANE_FEDERATION_MODEL_H

#include "base/mem.h"
#include "base/str.h"
#include "federation/features.h"

#define VN_MODEL_HASH_BYTES 32
#define VN_NET_MAX_LAYERS 4
#define VN_NET_MAX_WIDTH 1024
#define VN_MODEL_MAX_PARAMETERS 1500000
#define VN_MODEL_MAX_BYTES (VN_MODEL_MAX_PARAMETERS * 4 + 4096)

enum vn_activation { VN_ACTIVATION_RELU, VN_ACTIVATION_TANH };
/* width[0] inputs, width[layers] outputs; hidden layers are activated, the last is linear. */
struct vn_net_shape {
        uint8_t layers; /* 1..VN_NET_MAX_LAYERS */
        uint8_t activation;
        uint16_t width[VN_NET_MAX_LAYERS + 1];
        /* 1: the outputs also get weights straight from the inputs ([input][output], after the layers' parameters): what is
         * linear is then learnt from few rows, and the hidden layers learn the rest. */
        uint8_t skip;
};
size_t vn_net_parameters(const struct vn_net_shape *shape);

enum { VN_NET_DURATION, VN_NET_COLD, VN_NET_COUNT };
struct vn_model_shape {
        struct vn_net_shape net[VN_NET_COUNT];
};
size_t vn_model_parameters(const struct vn_model_shape *shape);
bool vn_model_shape_eq(const struct vn_model_shape *a, const struct vn_model_shape *b);
extern const struct vn_model_shape vn_model_shape_default; /* 20-32-16-2, tanh; 12-16-8-1, ReLU */

struct vn_model {
        uint64_t version; /* 1, 2, 3, ... */
        uint64_t round;   /* that made it; 0 for the first */
        uint8_t parent[VN_MODEL_HASH_BYTES];
        uint8_t hash[VN_MODEL_HASH_BYTES]; /* of the encoded form; vn_model_seal sets it */
        struct vn_model_shape shape;
        size_t parameter_count;
        float *parameters; /* duration net, then cold net; each layer: weights [input][output], then biases; skip */
};
/* Seeded (He) initialisation, last layers zero. Version 1. */
enum vn_rc vn_model_new(const struct vn_model_shape *shape, uint64_t seed, struct vn_model **ret,
                        struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_model_clone(const struct vn_model *model, struct vn_model **ret, struct vn_err *err) VN_MUST_USE;
struct vn_model *vn_model_free(struct vn_model *model);
VN_DEFINE_AUTO(vn_model);

/* Appends the bytes; sets model->hash. */
enum vn_rc vn_model_encode(struct vn_model *model, struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_model_decode(struct vn_str bytes, struct vn_model **ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_model_seal(struct vn_model *model, struct vn_err *err) VN_MUST_USE;

/* One net's outputs for one input vector. */
void vn_net_forward(const struct vn_net_shape *shape, const float *parameters, const float *input, float *ret);
/* The same, keeping every layer's activations (at[0] is the input, at[layers] the output): for training. */
void vn_net_trace(const struct vn_net_shape *shape, const float *parameters, const float *input,
                  float at[][VN_NET_MAX_WIDTH]);

struct vn_duration_estimate {
        double log_mean;   /* of ln(us) */
        double log_spread; /* mean absolute deviation of ln(us) around it, > 0 */
};
void vn_model_duration(const struct vn_model *model, const struct vn_fn_stats *stats,
                       const struct vn_duration_query *query, struct vn_duration_estimate *ret);
/* Chance that a call after this idle time starts cold, 0..1. */
double vn_model_cold(const struct vn_model *model, const struct vn_fn_stats *stats,
                     const struct vn_cold_query *query);

#endif
