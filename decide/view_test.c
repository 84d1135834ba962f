#include "tests/test.h"

#include <math.h>

#include "decide/testing.h"

TEST(view_parts_come_back_with_the_same_id)
{
        for (uint32_t n = 1; n <= VN_VIEW_MAX_ENDPOINTS; n += 31) {
                VN_AUTO(vn_view)
                view = testing_view(n, n);
                VN_AUTO(vn_view)
                back = NULL;
                VN_AUTO(vn_buf)
                blob = VN_BUF_INIT(1 << 20);
                VN_AUTO(vn_buf)
                again = VN_BUF_INIT(1 << 20);
                CHECK(view);
                view->policy.region_count = 2;
                snprintf(view->policy.regions[0], 48, "us-east-1");
                CHECK_OK(vn_view_seal(view, NULL));
                CHECK_OK(vn_view_encode(view, &blob, NULL));
                CHECK_OK(vn_view_decode_blob(vn_buf_view(&blob), &back, NULL));
                CHECK(!memcmp(view->id, back->id, 32));
                CHECK(!memcmp(view->hot, back->hot, sizeof(float) * VN_HOT_ROWS * view->stride));
                CHECK_OK(vn_view_encode(back, &again, NULL));
                CHECK(vn_str_eq(vn_buf_view(&blob), vn_buf_view(&again)));
        }
}

TEST(view_unchanged_parts_keep_their_ids)
{
        VN_AUTO(vn_view)
        a = testing_view(5, 1);
        VN_AUTO(vn_view)
        b = NULL;
        CHECK(a);
        CHECK_OK(vn_view_seal(a, NULL));
        CHECK_OK(vn_view_clone(a, &b, NULL));
        b->endpoint[2].network_us += 1;
        CHECK_OK(vn_view_seal(b, NULL));
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++)
                CHECK_INT(p != VN_PART_STATE, !memcmp(a->part_id[p], b->part_id[p], 32));
        CHECK(memcmp(a->id, b->id, 32));
}

TEST(view_refuses_damaged_bytes)
{
        VN_AUTO(vn_view)
        view = testing_view(3, 1);
        VN_AUTO(vn_buf)
        blob = VN_BUF_INIT(1 << 20);
        struct vn_view *back = NULL;
        struct vn_err err;
        CHECK(view);
        CHECK_OK(vn_view_seal(view, NULL));
        CHECK_OK(vn_view_encode(view, &blob, NULL));
        for (size_t i = 0; i < blob.len; i++) {
                blob.ptr[i] ^= 0x20;
                CHECK(vn_view_decode_blob(vn_buf_view(&blob), &back, &err) != VN_OK);
                blob.ptr[i] ^= 0x20;
        }
        for (size_t n = 0; n < blob.len; n++)
                CHECK(vn_view_decode_blob(vn_str_n(blob.ptr, n), &back, &err) != VN_OK);
        CHECK(!back);
}

TEST(view_refuses_what_is_out_of_bounds)
{
        for (unsigned i = 0; i < 12; i++) {
                VN_AUTO(vn_view)
                view = testing_view(3, 1);
                struct vn_err err;
                CHECK(view);
                struct vn_endpoint *e = &view->endpoint[1];
                switch (i) {
                case 0: e->network_us = NAN; break;
                case 1: e->usd_per_gb_s = INFINITY; break;
                case 2: e->error_rate = 1.01; break;
                case 3: e->rounding_us = 0; break;
                case 4: e->share = 0; break;
                case 5: e->duration_us[1][3] = e->duration_us[1][2] - 1; break;
                case 6: e->cold_chance[4] = -.1f; break;
                case 7: e->id = view->endpoint[0].id; break;
                case 8: view->payload_bytes[2] = view->payload_bytes[1]; break;
                case 9: view->count = 0; break;
                case 10: e->provider = VN_PROVIDER_COUNT; break;
                case 11: memset(e->region, 'x', sizeof e->region); break;
                }
                CHECK_RC(VN_INVALID_ARGUMENT, vn_view_seal(view, &err));
                CHECK(err.msg[0]);
        }
        struct vn_view *none = NULL;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_view_new(0, &none, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_view_new(VN_VIEW_MAX_ENDPOINTS + 1, &none, NULL));
        CHECK(!vn_view_free(NULL));
}

static enum vn_rc make_and_read_back(void)
{
        VN_AUTO(vn_view)
        view = testing_view(4, 2);
        VN_AUTO(vn_view)
        back = NULL;
        VN_AUTO(vn_buf)
        blob = VN_BUF_INIT(1 << 20);
        if (!view)
                return VN_RESOURCE_EXHAUSTED;
        VN_TRY(vn_view_seal(view, NULL));
        VN_TRY(vn_view_encode(view, &blob, NULL));
        return vn_view_decode_blob(vn_buf_view(&blob), &back, NULL);
}

TEST(view_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(make_and_read_back);
}
