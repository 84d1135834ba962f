/* build.h - from model, history and sketch to the tables of a view, and to a function's cost-time curve.
 * Purpose: all inference happens here, when a view is made, so that deciding only reads tables.
 * Threads: any; pure. Ownership: inputs are borrowed during the call.
 * Method: the model (else the function's own running mean and payload slope) gives the middle of ln(run time) at a
 *   payload and memory. Around it stands the shape of what was seen, by the sketch, with a log-normal of the function's
 *   own spread (or the model's doubt, if that is wider) for a prior that weighs as much as four calls. Cold chances come
 *   from the model, else from the observed share. */
#ifndef VANE_DECIDE_BUILD_H
#define VANE_DECIDE_BUILD_H

#include "decide/tune.h"
#include "decide/view.h"
#include "federation/model.h"

struct vn_build_input {
        const struct vn_model *model;    /* NULL: none yet */
        const struct vn_fn_stats *stats; /* NULL or without windows: nothing seen there yet */
        const struct vn_sketch *sketch;  /* NULL: none */
        enum vn_platform platform;
        double memory_mb;
        int64_t time_us;
        double default_us;       /* run time to assume where nothing was seen; of a sibling, for example */
        double cold_us, init_us; /* as learnt or observed; 0: default_cold_us */
        double default_cold_us;
};
/* Fills the MODEL part of an endpoint. */
void vn_build_model_part(const struct vn_build_input *input, const double payload_bytes[VN_VIEW_KNOTS],
                         struct vn_endpoint *ret);

struct vn_build_size { /* a memory size that the plan offers, and what of it is billed */
        uint32_t memory_mb;
        double billed_gb, vcpu;
};
/* The curve at the function's mean payload, warm, at the endpoint's prices. Writes min(sizes, VN_TUNE_MAX_POINTS). */
size_t vn_build_curve(const struct vn_build_input *input, const struct vn_endpoint *endpoint, double response_bytes,
                      const struct vn_build_size *sizes, size_t size_count, struct vn_curve_point *ret);

#endif
