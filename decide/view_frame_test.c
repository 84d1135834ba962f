#include "decide/view_frame.h"

#include "base/hash.h"
#include "decide/testing.h"
#include "decide/view_delta.h"
#include "tests/test.h"

static void check_pair(struct vn_str base, struct vn_str whole, size_t *ret_bytes)
{
        VN_AUTO(vn_buf)
        delta = VN_BUF_INIT(2 * VN_VIEW_PART_MAX_BYTES);
        VN_AUTO(vn_buf)
        back = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
        CHECK_OK(vn_view_delta_make(base, whole, &delta, NULL));
        CHECK_OK(vn_view_delta_apply(base, vn_buf_view(&delta), &back, NULL));
        CHECK(vn_str_eq(whole, vn_buf_view(&back)));
        *ret_bytes = delta.len;
}

TEST(delta_gives_the_whole_back_whatever_the_base)
{
        struct vn_rng rng;
        size_t bytes = 0;
        vn_rng_seed(&rng, test_seed());
        for (int i = 0; i < 2000; i++) {
                char base[300], whole[300];
                size_t base_len = vn_rng_below(&rng, sizeof base), whole_len = vn_rng_below(&rng, sizeof whole);
                for (size_t k = 0; k < sizeof base; k++) {
                        base[k] = (char)vn_rng_below(&rng, 3);
                        whole[k] = vn_rng_below(&rng, 4) ? base[k] : (char)vn_rng_below(&rng, 3);
                }
                check_pair(vn_str_n(base, base_len), vn_str_n(whole, whole_len), &bytes);
        }
        char zeros[1000] = {0};
        check_pair(vn_str_n(zeros, sizeof zeros), vn_str_n(zeros, sizeof zeros), &bytes);
        CHECK_INT(5, bytes); /* the length, one run, no change */
}

TEST(delta_refuses_what_making_cannot_have_made)
{
        struct vn_str base = VN_STR("the quick brown fox jumps"), whole = VN_STR("the quick brawn fax jumps");
        VN_AUTO(vn_buf)
        delta = VN_BUF_INIT(1000);
        struct vn_err err;
        CHECK_OK(vn_view_delta_make(base, whole, &delta, NULL));
        for (size_t n = 0; n < delta.len; n++) {
                VN_AUTO(vn_buf)
                back = VN_BUF_INIT(1000);
                CHECK_RC(VN_DATA_LOSS, vn_view_delta_apply(base, vn_str_n(delta.ptr, n), &back, &err));
        }
        static const struct {
                const char *delta;
                size_t len;
        } bad[] = {
                {"\x19\x19\x00\x00", 4},             /* more than the length */
                {"\x02\x00\x02th", 5},               /* equal bytes told as changed */
                {"\x02\x01\x00\x01\x00", 5},         /* one run told as two */
                {"\x02\x00\x00\x02\x00", 5},         /* an empty run */
                {"\x1a\x1a\x00", 3},                 /* more equal bytes than the base has */
                {"\x02\x80\x00\x02xy", 6},           /* a varint that is too long */
                {"\xff\xff\xff\xff\x7f\x00\x00", 7}, /* longer than any part */
        };
        for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
                VN_AUTO(vn_buf)
                back = VN_BUF_INIT(1000);
                CHECK_RC(VN_DATA_LOSS, vn_view_delta_apply(base, vn_str_n(bad[i].delta, bad[i].len), &back, &err));
        }
}

/* --- a workload's views one after the other, kept as a store would keep them --- */

#define STEPS (3 * VN_VIEW_CHAIN + 3)

struct kept {
        struct vn_view *view[STEPS];
        struct vn_buf frame[STEPS];
        struct vn_buf part[64];
        uint8_t part_id[64][32];
        size_t steps, parts;
};

static enum vn_rc fetch(void *arg, const uint8_t id[32], struct vn_buf *ret, struct vn_err *err)
{
        struct kept *k = arg;
        for (size_t i = 0; i < k->parts; i++)
                if (!memcmp(k->part_id[i], id, 32)) {
                        vn_buf_str(ret, vn_buf_view(&k->part[i]));
                        return VN_OK;
                }
        return vn_fail(err, VN_NOT_FOUND, "no such part");
}

static enum vn_rc keep(struct kept *k, struct vn_view *view, uint64_t generation, bool keyframe)
{
        size_t at = k->steps++;
        uint8_t named = 0;
        const struct vn_view *base = keyframe ? NULL : k->view[at - 1];
        k->view[at] = view;
        k->frame[at] = VN_BUF_INIT(VN_VIEW_FRAME_MAX_BYTES);
        VN_TRY(vn_view_frame_make(view, generation, base, (uint8_t)(base ? (at - 1) % VN_VIEW_CHAIN : 0),
                                  &k->frame[at], &named, NULL));
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++) {
                bool have = false;
                for (size_t i = 0; i < k->parts; i++)
                        have = have || !memcmp(k->part_id[i], view->part_id[p], 32);
                if ((named >> p & 1) && !have) {
                        k->part[k->parts] = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
                        memcpy(k->part_id[k->parts], view->part_id[p], 32);
                        VN_TRY(vn_view_encode_part(view, (enum vn_view_part)p, &k->part[k->parts++], NULL));
                }
        }
        return VN_OK;
}

/* What a publication changes: the state always, prices and model now and then, the policy once. */
static void drift(struct vn_rng *rng, struct vn_view *v, size_t step)
{
        v->epoch++;
        v->epoch_us += 1000000;
        for (uint32_t i = 0; i < v->count; i++) {
                struct vn_endpoint *e = &v->endpoint[i];
                e->health_time_us += 500000 + (int64_t)vn_rng_below(rng, 1000);
                if (vn_rng_below(rng, 4) == 0) {
                        e->last_call_us = v->epoch_us - 1000;
                        e->samples += vn_rng_below(rng, 30);
                }
                if (step % 5 == 0)
                        e->border_s = 1000 - (double)step;
                if (step % 7 == 0)
                        e->duration_us[0][0] *= .99f;
        }
        if (step == 20)
                v->policy_version++;
}

static void make_history(struct kept *k, uint64_t seed)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, seed);
        memset(k, 0, sizeof *k);
        for (size_t i = 0; i < STEPS; i++) {
                struct vn_view *view = NULL;
                if (i)
                        CHECK_OK(vn_view_clone(k->view[i - 1], &view, NULL));
                else
                        CHECK((view = testing_view(6, seed)));
                drift(&rng, view, i);
                CHECK_OK(vn_view_seal(view, NULL));
                CHECK_OK(keep(k, view, 8, i % VN_VIEW_CHAIN == 0));
        }
}

static void forget_history(struct kept *k)
{
        for (size_t i = 0; i < k->steps; i++) {
                vn_view_free(k->view[i]);
                vn_buf_done(&k->frame[i]);
        }
        for (size_t i = 0; i < k->parts; i++)
                vn_buf_done(&k->part[i]);
}

static enum vn_rc rebuild(struct kept *k, size_t at, struct vn_view **ret, struct vn_err *err)
{
        struct vn_view_frame frames[VN_VIEW_CHAIN];
        size_t first = at - at % VN_VIEW_CHAIN, n = at - first + 1;
        for (size_t i = 0; i < n; i++)
                VN_TRY(vn_view_frame_read(vn_buf_view(&k->frame[first + i]), k->view[first + i]->epoch, &frames[i],
                                          err));
        return vn_view_frames_rebuild(frames, n, k->view[at]->id, fetch, k, ret, err);
}

TEST(each_view_of_a_history_comes_back_from_its_chain)
{
        struct kept k;
        struct vn_err err;
        size_t bytes = 0, whole = 0;
        make_history(&k, 5);
        for (size_t i = 0; i < STEPS; i++) {
                VN_AUTO(vn_view)
                back = NULL;
                CHECK_OK(rebuild(&k, i, &back, &err));
                CHECK(!memcmp(back->id, k.view[i]->id, 32));
                CHECK_INT(k.view[i]->epoch, back->epoch);
                bytes += k.frame[i].len;
                VN_AUTO(vn_buf)
                state = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
                CHECK_OK(vn_view_encode_part(k.view[i], VN_PART_STATE, &state, NULL));
                whole += state.len + 172; /* the manifest that was stored beside it */
        }
        CHECK(bytes * 3 < whole);
        CHECK_INT(1 + 2 + 4 + 4, k.parts); /* endpoints, policies, and prices and model once a keyframe */
        forget_history(&k);
}

TEST(frames_say_what_they_stand_on_and_nothing_else_fits)
{
        struct kept k;
        struct vn_view_frame frames[VN_VIEW_CHAIN];
        struct vn_err err;
        make_history(&k, 6);
        for (size_t i = 0; i < VN_VIEW_CHAIN; i++) {
                CHECK_OK(vn_view_frame_read(vn_buf_view(&k.frame[i]), k.view[i]->epoch, &frames[i], &err));
                CHECK_INT(i, frames[i].depth);
                if (i)
                        CHECK(frames[i].base_epoch == k.view[i - 1]->epoch &&
                              !memcmp(frames[i].base_name, k.view[i - 1]->id, VN_VIEW_NAME_BYTES));
                else
                        CHECK_INT(8, frames[i].generation);
        }
        VN_AUTO(vn_view)
        back = NULL;
        /* A frame left out, two changed over, another view's id, a part that is not there. */
        struct vn_view_frame other[2] = {frames[0], frames[2]};
        CHECK_RC(VN_DATA_LOSS, vn_view_frames_rebuild(other, 2, k.view[2]->id, fetch, &k, &back, &err));
        CHECK_RC(VN_DATA_LOSS, vn_view_frames_rebuild(frames, 4, k.view[2]->id, fetch, &k, &back, &err));
        CHECK_OK(vn_view_frames_rebuild(frames, 3, k.view[2]->id, fetch, &k, &back, &err));
        k.part_id[0][0] ^= 1;
        struct vn_view *none = NULL;
        CHECK_RC(VN_NOT_FOUND, vn_view_frames_rebuild(frames, 3, k.view[2]->id, fetch, &k, &none, &err));
        CHECK(!none);
        k.part_id[0][0] ^= 1;
        forget_history(&k);
}

TEST(no_frame_stands_higher_than_a_chain_is_long)
{
        struct vn_view_frame frame = {.depth = VN_VIEW_CHAIN - 1, .base_epoch = 8}, back;
        for (unsigned more = 0; more < 2; more++) {
                VN_AUTO(vn_buf)
                bytes = VN_BUF_INIT(1000);
                frame.depth = (uint8_t)(VN_VIEW_CHAIN - 1 + more);
                CHECK_OK(vn_view_frame_write(&frame, 9, &bytes, NULL));
                CHECK_RC(more ? VN_DATA_LOSS : VN_OK, vn_view_frame_read(vn_buf_view(&bytes), 9, &back, NULL));
        }
}

TEST(frames_refuse_damaged_bytes_or_read_as_written)
{
        struct kept k;
        struct vn_view_frame frame;
        make_history(&k, 7);
        for (size_t i = 0; i < 18; i++) {
                struct vn_buf *bytes = &k.frame[i];
                for (size_t n = 0; n < bytes->len; n++)
                        CHECK_RC(VN_DATA_LOSS,
                                 vn_view_frame_read(vn_str_n(bytes->ptr, n), k.view[i]->epoch, &frame, NULL));
                for (size_t at = 0; at < bytes->len; at++) {
                        VN_AUTO(vn_buf)
                        again = VN_BUF_INIT(VN_VIEW_FRAME_MAX_BYTES);
                        bytes->ptr[at] ^= 0x11;
                        if (vn_view_frame_read(vn_buf_view(bytes), k.view[i]->epoch, &frame, NULL) == VN_OK) {
                                CHECK_OK(vn_view_frame_write(&frame, k.view[i]->epoch, &again, NULL));
                                CHECK(vn_str_eq(vn_buf_view(bytes), vn_buf_view(&again)));
                        }
                        bytes->ptr[at] ^= 0x11;
                }
        }
        forget_history(&k);
}

static enum vn_rc make_and_rebuild(void)
{
        VN_AUTO(vn_view)
        a = testing_view(3, 1);
        VN_AUTO(vn_view)
        b = NULL;
        VN_AUTO(vn_view)
        back = NULL;
        static struct kept k;
        enum vn_rc rc = a ? vn_view_seal(a, NULL) : VN_RESOURCE_EXHAUSTED;
        memset(&k, 0, sizeof k);
        if (rc == VN_OK)
                rc = vn_view_clone(a, &b, NULL);
        if (rc == VN_OK) {
                b->epoch++;
                rc = vn_view_seal(b, NULL);
        }
        if (rc == VN_OK)
                rc = keep(&k, a, 1, true);
        if (rc == VN_OK)
                rc = keep(&k, b, 1, false);
        if (rc == VN_OK)
                rc = rebuild(&k, 1, &back, NULL);
        for (size_t i = 0; i < k.steps; i++)
                vn_buf_done(&k.frame[i]);
        for (size_t i = 0; i < k.parts; i++)
                vn_buf_done(&k.part[i]);
        return rc;
}

TEST(keeping_survives_each_failed_allocation)
{
        TEST_ALLOC_LOOP(make_and_rebuild);
}
