#include "net/reflection.h"

#include "base/hash.h"
#include "net/edge.h"
#include "proto/vane_descriptors.h"
#include "tests/test.h"

TEST(reflection_finds_files_and_symbols)
{
        struct vn_edge *edge;
        struct vn_reflection *r;
        struct vn_err err;
        CHECK_OK(vn_edge_new(NULL, 1, &edge, &err));
        edge = vn_edge_free(edge);
        CHECK_OK(vn_edge_new(NULL, 1, &edge, &err));
        CHECK_OK(vn_edge_set_descriptors(edge, vn_str_n(vane_descriptor_set, vane_descriptor_set_bytes), &err));
        /* Twice the same set adds nothing and is no error. */
        CHECK_OK(vn_edge_set_descriptors(edge, vn_str_n(vane_descriptor_set, vane_descriptor_set_bytes), &err));
        edge = vn_edge_free(edge);
        CHECK_OK(vn_reflection_new(NULL, &r, &err));
        struct vn_str file = vn_reflection_file(r, VN_STR("grpc/health/v1/health.proto"), false);
        static const char *const symbols[] = {
                "grpc.health.v1.Health", "grpc.health.v1.Health.Watch", "grpc.health.v1.HealthCheckResponse",
                "grpc.health.v1.HealthCheckResponse.ServingStatus", "grpc.health.v1.HealthCheckResponse.status"};
        CHECK(file.len > 100);
        for (size_t i = 0; i < sizeof symbols / sizeof *symbols; i++)
                CHECK(vn_reflection_file(r, vn_str(symbols[i]), true).ptr == file.ptr);
        CHECK(!vn_reflection_file(r, VN_STR("grpc.health.v1.Healthy"), true).len);
        CHECK(!vn_reflection_file(r, VN_STR(""), true).len);
        CHECK(!vn_reflection_file(r, VN_STR("grpc/health/v1/health"), false).len);
        vn_reflection_free(r);
}

TEST(reflection_takes_no_harm_from_broken_sets)
{
        struct vn_rng rng;
        struct vn_err err;
        vn_rng_seed(&rng, test_seed());
        char *copy = vn_alloc(vane_descriptor_set_bytes);
        CHECK(copy != NULL);
        for (int round = 0; round < 200; round++) {
                struct vn_reflection *r;
                CHECK_OK(vn_reflection_new(NULL, &r, &err));
                memcpy(copy, vane_descriptor_set, vane_descriptor_set_bytes);
                for (int i = 0; i < 8; i++)
                        copy[vn_rng_below(&rng, vane_descriptor_set_bytes)] = (char)vn_rng_u64(&rng);
                size_t len = vn_rng_below(&rng, vane_descriptor_set_bytes);
                VN_IGNORE(vn_reflection_add(r, vn_str_n(copy, len), &err)); /* either way, as long as it ends */
                vn_reflection_free(r);
        }
        vn_free(copy);
}
