/* gate.h - the ingress gate: what an update must be before it may touch a model.
 * Purpose: shape, finite values, norm, round, identity, size and weight are checked while the update streams in; each
 *   refusal has a reason and is counted. A declared weight above the cap is cut down, not refused.
 * Threads: a gate's counters are atomic; a check belongs to one stream. Ownership: value types. */
#ifndef VANE_FEDERATION_GATE_H
#define VANE_FEDERATION_GATE_H

#include "base/err.h"

enum vn_refusal {
        VN_ACCEPTED,
        VN_REFUSED_NO_ROUND,   /* no round is open */
        VN_REFUSED_ROUND,      /* another round's */
        VN_REFUSED_VERSION,    /* trained from another model */
        VN_REFUSED_LATE,       /* after the deadline */
        VN_REFUSED_IDENTITY,   /* not an account of this round */
        VN_REFUSED_DUPLICATE,  /* this account's update is in already, and differs */
        VN_REFUSED_SHAPE,      /* not the model's number of parameters */
        VN_REFUSED_ORDER,      /* a chunk out of order, overlapping or beyond the end */
        VN_REFUSED_INCOMPLETE, /* fewer bytes than declared */
        VN_REFUSED_CHECKSUM,
        VN_REFUSED_NOT_FINITE, /* NaN or infinity */
        VN_REFUSED_NORM,       /* L2 norm above the bound */
        VN_REFUSED_WEIGHT,     /* no samples declared */
        VN_REFUSAL_COUNT
};
const char *vn_refusal_name(enum vn_refusal refusal); /* "accepted", "not_finite", ... */

struct vn_gate_rules {
        uint64_t round, base_version;
        size_t parameters;
        double max_norm;
        uint64_t max_weight; /* cap on the declared samples */
};
struct vn_gate_header {
        uint64_t round, base_version, samples, total_bytes;
};
struct vn_gate {
        uint64_t counts[VN_REFUSAL_COUNT]; /* by vn_gate_count, atomic */
};
void vn_gate_count(struct vn_gate *gate, enum vn_refusal refusal);
uint64_t vn_gate_counted(const struct vn_gate *gate, enum vn_refusal refusal);

/* A streaming check of one update. */
struct vn_gate_check {
        struct vn_gate_rules rules;
        uint64_t weight; /* after the cap */
        uint64_t next_byte;
        double sum_of_squares;
        uint8_t partial[4]; /* a float cut by a chunk's end */
};
enum vn_refusal vn_gate_begin(const struct vn_gate_rules *rules, const struct vn_gate_header *header,
                              struct vn_gate_check *ret) VN_MUST_USE;
/* Chunks must follow each other without gap; their length is free. */
enum vn_refusal vn_gate_chunk(struct vn_gate_check *check, uint64_t offset, const void *bytes,
                              size_t count) VN_MUST_USE;
enum vn_refusal vn_gate_end(struct vn_gate_check *check, double *ret_norm) VN_MUST_USE;

/* True if no value is NaN or infinite; adds to *sum_of_squares in an order that does not depend on the machine. */
bool vn_floats_finite(const float *values, size_t count, double *sum_of_squares);

#endif
