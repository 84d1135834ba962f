#include "base/hash.h"
#include "federation/gate.h"
#include "tests/test.h"

static const struct vn_gate_rules rules = {
        .round = 4, .base_version = 3, .parameters = 3000, .max_norm = 100, .max_weight = 500};
static const struct vn_gate_header header = {4, 3, 200, 12000};

static void fill(float *values, uint64_t seed)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, seed);
        for (size_t i = 0; i < 3000; i++)
                values[i] = (float)vn_rng_normal(&rng);
}

/* Streams in chunks of the given size and gives the verdict. */
static enum vn_refusal stream(const float *values, size_t chunk, size_t total, double *ret_norm)
{
        struct vn_gate_check check;
        enum vn_refusal refusal = vn_gate_begin(&rules, &header, &check);
        for (size_t at = 0; refusal == VN_ACCEPTED && at < total; at += chunk)
                refusal =
                        vn_gate_chunk(&check, at, (const char *)values + at, chunk < total - at ? chunk : total - at);
        return refusal == VN_ACCEPTED ? vn_gate_end(&check, ret_norm) : refusal;
}

TEST(gate_accepts_any_chunking_and_finds_the_norm)
{
        float values[3000];
        double norm = 0, sum = 0;
        fill(values, test_seed());
        for (size_t i = 0; i < 3000; i++)
                sum += (double)values[i] * (double)values[i];
        static const size_t sizes[] = {12000, 65536, 4096, 1001, 7, 3, 1};
        for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
                CHECK_INT(VN_ACCEPTED, stream(values, sizes[i], 12000, &norm));
                CHECK_NEAR(sum, norm * norm, sum * 1e-12);
        }
}

TEST(gate_finds_a_bad_value_at_any_place)
{
        static const uint32_t bad[] = {0x7f800000, 0xff800000, 0x7fc00000, 0x7f800001, 0xffffffff};
        float values[3000];
        double norm;
        fill(values, 1);
        for (size_t at = 0; at < 3000; at += at < 20 || at > 2980 ? 1 : 37) {
                float held = values[at];
                memcpy(&values[at], &bad[at % 5], 4);
                CHECK_INT(VN_REFUSED_NOT_FINITE, stream(values, at % 2 ? 1024 : 1001, 12000, &norm));
                values[at] = held;
        }
}

TEST(gate_refuses_each_for_its_reason)
{
        struct vn_gate_check check;
        float values[3000];
        double norm;
        fill(values, 1);
        struct vn_gate_header h = header;
        h.round = 5;
        CHECK_INT(VN_REFUSED_ROUND, vn_gate_begin(&rules, &h, &check));
        h = header, h.base_version = 2;
        CHECK_INT(VN_REFUSED_VERSION, vn_gate_begin(&rules, &h, &check));
        h = header, h.total_bytes += 4;
        CHECK_INT(VN_REFUSED_SHAPE, vn_gate_begin(&rules, &h, &check));
        h = header, h.samples = 0;
        CHECK_INT(VN_REFUSED_WEIGHT, vn_gate_begin(&rules, &h, &check));
        h = header, h.samples = UINT64_MAX;
        CHECK_INT(VN_ACCEPTED, vn_gate_begin(&rules, &h, &check));
        CHECK_INT(500, check.weight); /* cut, not refused */

        CHECK_INT(VN_REFUSED_ORDER, vn_gate_chunk(&check, 4, values, 4));
        CHECK_INT(VN_REFUSED_ORDER, vn_gate_chunk(&check, 0, values, 0));
        CHECK_INT(VN_REFUSED_ORDER, vn_gate_chunk(&check, 0, values, 12001));
        CHECK_INT(VN_ACCEPTED, vn_gate_chunk(&check, 0, values, 8000));
        CHECK_INT(VN_REFUSED_ORDER, vn_gate_chunk(&check, 0, values, 8000));
        CHECK_INT(VN_REFUSED_ORDER, vn_gate_chunk(&check, 8000, values, SIZE_MAX));
        CHECK_INT(VN_REFUSED_INCOMPLETE, vn_gate_end(&check, &norm));

        CHECK_INT(VN_REFUSED_INCOMPLETE, stream(values, 100, 11996, &norm));
        for (size_t i = 0; i < 3000; i++)
                values[i] *= 100;
        CHECK_INT(VN_REFUSED_NORM, stream(values, 4096, 12000, &norm));
        for (size_t i = 0; i < 3000; i++)
                values[i] = 3e38f; /* squares overflow float32, not the sum */
        CHECK_INT(VN_REFUSED_NORM, stream(values, 4096, 12000, &norm));
}

TEST(gate_counts)
{
        struct vn_gate gate = {{0}};
        for (int i = 0; i < VN_REFUSAL_COUNT; i++) {
                CHECK(strcmp(vn_refusal_name((enum vn_refusal)i), "unknown"));
                vn_gate_count(&gate, (enum vn_refusal)i);
                vn_gate_count(&gate, VN_REFUSED_NORM);
        }
        CHECK_INT(1, vn_gate_counted(&gate, VN_REFUSED_LATE));
        CHECK_INT(VN_REFUSAL_COUNT + 1, vn_gate_counted(&gate, VN_REFUSED_NORM));
}
