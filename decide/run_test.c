#include "tests/test.h"

#include "decide/run.h"
#include "decide/testing.h"

struct made {
        struct vn_record record[VN_RUN_MAX];
        uint32_t count;
        uint8_t bytes[VN_RUN_MAX_BYTES];
        size_t len;
};

/* What a loop does with a streamed batch: decides, counts the assignment, goes on. Fewer than asked for if it is full. */
static void make_run(struct vn_view *const *views, size_t view_count, uint32_t count, struct vn_rng *rng,
                     struct made *ret)
{
        struct vn_live live[4] = {{.assigned = {3}}};
        VN_AUTO(vn_run)
        run = vn_run_new();
        CHECK(run && view_count <= 4);
        vn_run_begin(run);
        int64_t now_us = TESTING_EPOCH_US + 5000000;
        for (ret->count = 0; ret->count < count; ret->count++) {
                size_t which = vn_rng_below(rng, view_count);
                struct vn_question q = testing_question(rng);
                struct vn_decision d;
                struct vn_record *r = &ret->record[ret->count];
                q.id = (struct vn_decision_id){77, 1, 1000 + ret->count};
                q.time_us = now_us += (int64_t)vn_rng_below(rng, 3000) - 1000;
                vn_decide(views[which], &q, &live[which], &d);
                vn_record_of_route(views[which], &q, &live[which], &d, r);
                vn_live_assigned(&live[which], d.choice);
                snprintf(r->actor, sizeof r->actor, "person:ada");
                snprintf(r->caller_region, sizeof r->caller_region, "aws:eu-central-1");
                memset(r->seed, 0x5a, sizeof r->seed);
                if (vn_run_add(run, r, NULL) != VN_OK)
                        break;
        }
        CHECK_INT(ret->count, vn_run_count(run));
        CHECK_OK(vn_run_finish(run, ret->bytes, sizeof ret->bytes, &ret->len, NULL));
}

static struct vn_view *sealed_view(uint32_t endpoints, uint64_t seed)
{
        struct vn_view *view = testing_view(endpoints, seed);
        CHECK(view);
        view->policy.exploration = .1;
        CHECK_OK(vn_view_seal(view, NULL));
        return view;
}

static struct vn_str text_of(const struct made *m)
{
        return vn_str_n(m->bytes, m->len);
}

TEST(run_reads_back_what_was_added)
{
        static struct made m;
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        VN_AUTO(vn_view)
        a = sealed_view(6, 1);
        VN_AUTO(vn_view)
        b = sealed_view(3, 2);
        struct vn_view *views[] = {a, b};
        for (uint32_t count = 1; count <= VN_RUN_MAX; count = count < 4 ? count + 1 : count * 2) {
                struct vn_run_reader reader;
                struct vn_record back;
                make_run(views, 1 + count % 2, count, &rng, &m);
                CHECK_OK(vn_run_open(&reader, text_of(&m), NULL));
                CHECK_INT(m.count, reader.count);
                for (uint32_t i = 0; i < m.count; i++) {
                        uint8_t want[VN_RECORD_MAX_BYTES], got[VN_RECORD_MAX_BYTES];
                        size_t want_len, got_len;
                        CHECK_OK(vn_run_next(&reader, &back, NULL));
                        CHECK_OK(vn_record_encode(&m.record[i], want, sizeof want, &want_len, NULL));
                        CHECK_OK(vn_record_encode(&back, got, sizeof got, &got_len, NULL));
                        CHECK(want_len == got_len && !memcmp(want, got, want_len));
                        CHECK_OK(vn_run_find(text_of(&m), &m.record[i].id, &back, NULL));
                        CHECK(back.time_us == m.record[i].time_us);
                }
                CHECK_RC(VN_NOT_FOUND, vn_run_next(&reader, &back, NULL));
        }
}

TEST(run_of_one_is_a_plain_record)
{
        static struct made m;
        struct vn_rng rng;
        uint8_t plain[VN_RECORD_MAX_BYTES];
        size_t n;
        vn_rng_seed(&rng, 3);
        VN_AUTO(vn_view)
        view = sealed_view(6, 1);
        make_run(&view, 1, 1, &rng, &m);
        CHECK_OK(vn_record_encode(m.record, plain, sizeof plain, &n, NULL));
        CHECK(n == m.len && !memcmp(plain, m.bytes, n));
}

TEST(run_takes_a_fraction_of_its_records)
{
        static struct made m;
        struct vn_rng rng;
        vn_rng_seed(&rng, 4);
        VN_AUTO(vn_view)
        view = sealed_view(6, 1);
        make_run(&view, 1, 64, &rng, &m);
        CHECK_INT(64, m.count);
        size_t plain = 0;
        for (uint32_t i = 0; i < m.count; i++) {
                uint8_t bytes[VN_RECORD_MAX_BYTES];
                size_t n;
                CHECK_OK(vn_record_encode(&m.record[i], bytes, sizeof bytes, &n, NULL));
                plain += n;
        }
        CHECK(m.len < plain * 6 / 10);
}

TEST(run_replays_each_of_its_decisions)
{
        static struct made m;
        static uint8_t again[VN_RUN_MAX_BYTES];
        struct vn_rng rng;
        struct vn_err err;
        size_t n;
        vn_rng_seed(&rng, test_seed());
        VN_AUTO(vn_view)
        a = sealed_view(6, 1);
        VN_AUTO(vn_view)
        b = sealed_view(3, 2);
        struct vn_view *views[] = {a, b};
        make_run(views, 2, 40, &rng, &m);
        for (uint32_t i = 0; i < m.count; i++) {
                struct vn_view *own = memcmp(m.record[i].view_id, a->id, 32) ? b : a, *other = own == a ? b : a;
                CHECK_OK(vn_record_replay(text_of(&m), &m.record[i].id, own, again, sizeof again, &n, &err));
                CHECK(n == m.len && !memcmp(again, m.bytes, n));
                CHECK_RC(VN_FAILED_PRECONDITION,
                         vn_record_replay(text_of(&m), &m.record[i].id, other, again, sizeof again, &n, &err));
        }
        struct vn_decision_id none = {77, 1, 1};
        CHECK_RC(VN_NOT_FOUND, vn_record_replay(text_of(&m), &none, a, again, sizeof again, &n, &err));
        struct vn_record back;
        CHECK_RC(VN_FAILED_PRECONDITION, vn_record_decode(text_of(&m), &back, &err));
}

TEST(run_with_a_forged_decision_is_a_mismatch)
{
        static struct made m;
        static uint8_t bytes[VN_RUN_MAX_BYTES], again[VN_RUN_MAX_BYTES];
        struct vn_rng rng;
        size_t n, n2;
        vn_rng_seed(&rng, 6);
        VN_AUTO(vn_view)
        view = sealed_view(6, 1);
        VN_AUTO(vn_run)
        run = vn_run_new();
        make_run(&view, 1, 8, &rng, &m);
        vn_run_begin(run);
        m.record[5].margin += 1e-12;
        for (uint32_t i = 0; i < m.count; i++)
                CHECK_OK(vn_run_add(run, &m.record[i], NULL));
        CHECK_OK(vn_run_finish(run, bytes, sizeof bytes, &n, NULL));
        CHECK_OK(vn_record_replay(vn_str_n(bytes, n), &m.record[4].id, view, again, sizeof again, &n2, NULL));
        CHECK_RC(VN_DATA_LOSS,
                 vn_record_replay(vn_str_n(bytes, n), &m.record[5].id, view, again, sizeof again, &n2, NULL));
}

TEST(run_refuses_what_does_not_follow)
{
        static struct made m;
        struct vn_rng rng;
        vn_rng_seed(&rng, 7);
        VN_AUTO(vn_view)
        view = sealed_view(6, 1);
        make_run(&view, 1, 4, &rng, &m);
        VN_AUTO(vn_run)
        run = vn_run_new();
        vn_run_begin(run);
        CHECK_OK(vn_run_add(run, &m.record[0], NULL));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_run_add(run, &m.record[2], NULL));
        m.record[1].kind = VN_RECORD_POLICY;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_run_add(run, &m.record[1], NULL));
        m.record[1].kind = VN_RECORD_ROUTE;
        m.record[1].outcome_status = 1;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_run_add(run, &m.record[1], NULL));
        m.record[1].outcome_status = 0;
        CHECK_OK(vn_run_add(run, &m.record[1], NULL)); /* what was refused left nothing behind */
        CHECK_OK(vn_run_add(run, &m.record[2], NULL));
        CHECK_OK(vn_run_add(run, &m.record[3], NULL));
        uint8_t bytes[VN_RUN_MAX_BYTES];
        size_t n;
        CHECK_OK(vn_run_finish(run, bytes, sizeof bytes, &n, NULL));
        CHECK(n == m.len && !memcmp(bytes, m.bytes, n));
}

TEST(run_that_is_full_keeps_what_it_has)
{
        static struct made m;
        struct vn_rng rng;
        vn_rng_seed(&rng, 8);
        VN_AUTO(vn_view)
        a = sealed_view(100, 1);
        VN_AUTO(vn_view)
        b = sealed_view(90, 2);
        struct vn_view *views[] = {a, b}; /* neighbours with little in common */
        make_run(views, 2, VN_RUN_MAX, &rng, &m);
        CHECK(m.count > 16 && m.count < VN_RUN_MAX && m.len <= VN_RUN_MAX_BYTES);
        struct vn_record back;
        CHECK_OK(vn_run_find(text_of(&m), &m.record[m.count - 1].id, &back, NULL));
}

TEST(run_refuses_damaged_bytes)
{
        static struct made m;
        struct vn_rng rng;
        struct vn_record back;
        uint8_t leaf[VN_RECORD_LEAF_BYTES];
        vn_rng_seed(&rng, 9);
        VN_AUTO(vn_view)
        view = sealed_view(3, 1);
        make_run(&view, 1, 6, &rng, &m);
        CHECK_OK(vn_record_leaf(text_of(&m), leaf, NULL));
        for (size_t n = 0; n < m.len; n++)
                CHECK(vn_run_find(vn_str_n(m.bytes, n), &m.record[5].id, &back, NULL) != VN_OK);
        for (size_t i = 0; i < m.len * 8; i++) {
                m.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
                CHECK(vn_record_verify_leaf(text_of(&m), vn_str_n(leaf, sizeof leaf), NULL) != VN_OK);
                VN_IGNORE(vn_run_find(text_of(&m), &m.record[5].id, &back, NULL) == VN_OK); /* must only not crash */
                m.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        }
}

TEST(run_redaction_erases_for_all_and_keeps_the_leaf)
{
        static struct made m;
        static uint8_t once[VN_RUN_MAX_BYTES];
        struct vn_rng rng;
        uint8_t leaf[VN_RECORD_LEAF_BYTES];
        size_t n;
        vn_rng_seed(&rng, 10);
        VN_AUTO(vn_view)
        view = sealed_view(6, 1);
        make_run(&view, 1, 12, &rng, &m);
        CHECK_OK(vn_record_leaf(text_of(&m), leaf, NULL));
        for (uint8_t groups = 0; groups < 1u << VN_RECORD_GROUPS; groups++) {
                struct vn_record back;
                CHECK_OK(vn_record_redact(text_of(&m), groups, once, sizeof once, &n, NULL));
                CHECK_OK(vn_record_verify_leaf(vn_str_n(once, n), vn_str_n(leaf, sizeof leaf), NULL));
                CHECK_OK(vn_run_find(vn_str_n(once, n), &m.record[7].id, &back, NULL));
                CHECK_INT(groups >> VN_GROUP_IDENTITY & 1, back.actor[0] == 0);
                CHECK_INT(groups >> VN_GROUP_CHOICE & 1, back.choice.account[0] == 0);
        }
}

struct names {
        unsigned calls;
        char last[64];
};

static void take_name(void *arg, struct vn_str name)
{
        struct names *n = arg;
        n->calls++;
        snprintf(n->last, sizeof n->last, "%.*s", VN_FMT(name));
}

TEST(run_scan_names_each_stretch_and_the_span)
{
        static struct made m;
        static uint8_t bytes[VN_RUN_MAX_BYTES];
        struct vn_rng rng;
        struct names names = {0};
        struct vn_run_span span;
        struct vn_record_index index;
        size_t n;
        vn_rng_seed(&rng, 11);
        VN_AUTO(vn_view)
        view = sealed_view(6, 1);
        make_run(&view, 1, 9, &rng, &m);
        CHECK_OK(vn_run_scan(text_of(&m), take_name, &names, &span, NULL));
        CHECK_INT(1, names.calls);
        CHECK_TEXT(view->workload, names.last);
        CHECK_OK(vn_record_peek(text_of(&m), &index, NULL));
        CHECK(index.count == 9 && vn_str_eq(index.workload, vn_str(view->workload)) &&
              vn_str_eq(index.tenant, vn_str(view->tenant)));
        for (uint32_t i = 0; i < m.count; i++)
                CHECK(span.first_us <= m.record[i].time_us && m.record[i].time_us <= span.last_us);

        VN_AUTO(vn_run)
        run = vn_run_new();
        vn_run_begin(run);
        for (uint32_t i = 0; i < m.count; i++) {
                snprintf(m.record[i].workload, sizeof m.record[i].workload, "%s", i < 3 ? "a" : i < 7 ? "b" : "a");
                CHECK_OK(vn_run_add(run, &m.record[i], NULL));
        }
        CHECK_OK(vn_run_finish(run, bytes, sizeof bytes, &n, NULL));
        names = (struct names){0};
        CHECK_OK(vn_run_scan(vn_str_n(bytes, n), take_name, &names, &span, NULL));
        CHECK_INT(3, names.calls);
        CHECK_TEXT("a", names.last);
}
