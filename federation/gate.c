#include "federation/gate.h"

#include <string.h>

#include "base/detmath.h"

static const char *const names[VN_REFUSAL_COUNT] = {
        "accepted", "no_round", "round",      "version",  "late",       "identity", "duplicate",
        "shape",    "order",    "incomplete", "checksum", "not_finite", "norm",     "weight",
};

const char *vn_refusal_name(enum vn_refusal refusal)
{
        return (unsigned)refusal < VN_REFUSAL_COUNT ? names[refusal] : "unknown";
}

void vn_gate_count(struct vn_gate *gate, enum vn_refusal refusal)
{
        __atomic_fetch_add(&gate->counts[refusal], 1, __ATOMIC_RELAXED);
}

uint64_t vn_gate_counted(const struct vn_gate *gate, enum vn_refusal refusal)
{
        return __atomic_load_n(&gate->counts[refusal], __ATOMIC_RELAXED);
}

#ifndef __clang__
__attribute__((optimize("O3")))
#endif
bool vn_floats_finite(const float *values, size_t count, double *sum_of_squares)
{
        /* Eight running sums: wide enough for any vector unit, and always these eight. */
        double sum[8] = {0};
        uint32_t bad = 0;
        size_t i = 0;
        for (; i + 8 <= count; i += 8) {
                uint32_t bits[8];
                memcpy(bits, values + i, sizeof bits);
                for (int k = 0; k < 8; k++) {
                        double v = (double)values[i + k];
                        bad |= (bits[k] & 0x7f800000u) == 0x7f800000u;
                        sum[k] += v * v;
                }
        }
        for (; i < count; i++) {
                uint32_t bits;
                memcpy(&bits, values + i, sizeof bits);
                bad |= (bits & 0x7f800000u) == 0x7f800000u;
                sum[i % 8] += (double)values[i] * (double)values[i];
        }
        *sum_of_squares += ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
        return !bad;
}

enum vn_refusal vn_gate_begin(const struct vn_gate_rules *rules, const struct vn_gate_header *header,
                              struct vn_gate_check *ret)
{
        *ret = (struct vn_gate_check){.rules = *rules};
        if (header->round != rules->round)
                return VN_REFUSED_ROUND;
        if (header->base_version != rules->base_version)
                return VN_REFUSED_VERSION;
        if (header->total_bytes != rules->parameters * sizeof(float))
                return VN_REFUSED_SHAPE;
        if (!header->samples)
                return VN_REFUSED_WEIGHT;
        ret->weight = header->samples < rules->max_weight ? header->samples : rules->max_weight;
        return VN_ACCEPTED;
}

/* Whole floats from unaligned bytes, a block at a time. */
static enum vn_refusal check_floats(struct vn_gate_check *check, const uint8_t *bytes, size_t count)
{
        float block[1024];
        while (count) {
                size_t n = count < sizeof block / sizeof block[0] ? count : sizeof block / sizeof block[0];
                memcpy(block, bytes, n * sizeof(float));
                if (!vn_floats_finite(block, n, &check->sum_of_squares))
                        return VN_REFUSED_NOT_FINITE;
                bytes += n * sizeof(float);
                count -= n;
        }
        return VN_ACCEPTED;
}

enum vn_refusal vn_gate_chunk(struct vn_gate_check *check, uint64_t offset, const void *bytes, size_t count)
{
        const uint8_t *from = bytes;
        uint64_t total = check->rules.parameters * sizeof(float);
        if (offset != check->next_byte || !count || count > total - check->next_byte)
                return VN_REFUSED_ORDER;
        while (count && check->next_byte % sizeof(float)) { /* the rest of a cut float */
                check->partial[check->next_byte++ % sizeof(float)] = *from++;
                count--;
                if (check->next_byte % sizeof(float) == 0) {
                        enum vn_refusal refusal = check_floats(check, check->partial, 1);
                        if (refusal != VN_ACCEPTED)
                                return refusal;
                }
        }
        size_t whole = count / sizeof(float), rest = count % sizeof(float);
        enum vn_refusal refusal = check_floats(check, from, whole);
        if (rest)
                memcpy(check->partial, from + whole * sizeof(float), rest);
        check->next_byte += count;
        return refusal;
}

enum vn_refusal vn_gate_end(struct vn_gate_check *check, double *ret_norm)
{
        *ret_norm = vn_sqrt(check->sum_of_squares);
        if (check->next_byte != check->rules.parameters * sizeof(float))
                return VN_REFUSED_INCOMPLETE;
        if (!(*ret_norm <= check->rules.max_norm))
                return VN_REFUSED_NORM;
        return VN_ACCEPTED;
}
