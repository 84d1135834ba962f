#include "tests/test.h"

#include "decide/record.h"
#include "decide/testing.h"

struct made {
        struct vn_record record;
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        size_t len;
};

static void make_route(struct vn_view *view, struct vn_rng *rng, unsigned busy, struct made *ret)
{
        struct vn_question q = testing_question(rng);
        struct vn_live live = {.breaker_open = {{0, 0}}};
        struct vn_decision d;
        for (unsigned i = 0; i < busy; i++) {
                uint32_t c = (uint32_t)vn_rng_below(rng, view->count);
                live.assigned[c] = (uint16_t)vn_rng_below(rng, 50);
                live.in_flight[c] = (uint16_t)vn_rng_below(rng, 20);
        }
        vn_decide(view, &q, &live, &d);
        vn_record_of_route(view, &q, &live, &d, &ret->record);
        snprintf(ret->record.actor, sizeof ret->record.actor, "token:ci");
        snprintf(ret->record.request_id, sizeof ret->record.request_id, "6f1c2d4e-1b7a-4f6b-9c1d-0a1b2c3d4e5f");
        snprintf(ret->record.caller_region, sizeof ret->record.caller_region, "aws:eu-central-1");
        for (unsigned i = 0; i < VN_RECORD_SEED_BYTES; i++)
                ret->record.seed[i] = (uint8_t)vn_rng_u64(rng);
        CHECK_OK(vn_record_encode(&ret->record, ret->bytes, sizeof ret->bytes, &ret->len, NULL));
}

static struct vn_str text_of(const struct made *m)
{
        return vn_str_n(m->bytes, m->len);
}

TEST(record_replays_to_the_same_bytes)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (unsigned round = 0; round < 300; round++) {
                VN_AUTO(vn_view)
                view = testing_view(1 + (uint32_t)vn_rng_below(&rng, 100), vn_rng_u64(&rng));
                VN_AUTO(vn_view)
                stored = NULL;
                VN_AUTO(vn_buf)
                blob = VN_BUF_INIT(1 << 20);
                struct made m;
                uint8_t again[VN_RECORD_MAX_BYTES];
                size_t n;
                CHECK(view);
                view->policy.exploration = .2;
                view->paused = round % 11 == 0;
                view->policy.clouds = round % 13 == 0 ? 0 : 7;
                CHECK_OK(vn_view_seal(view, NULL));
                make_route(view, &rng, round % 20, &m);
                CHECK_OK(vn_view_encode(view, &blob, NULL));
                CHECK_OK(vn_view_decode_blob(vn_buf_view(&blob), &stored, NULL));
                CHECK_OK(vn_record_replay(text_of(&m), &m.record.id, stored, again, sizeof again, &n, NULL));
                CHECK(n == m.len && !memcmp(again, m.bytes, n));
        }
}

TEST(record_of_a_route_stays_under_512_bytes)
{
        struct vn_rng rng;
        VN_AUTO(vn_view)
        six = testing_view(6, 4);
        VN_AUTO(vn_view)
        hundred = testing_view(100, 4);
        struct made m;
        vn_rng_seed(&rng, 1);
        CHECK(six && hundred);
        CHECK_OK(vn_view_seal(six, NULL));
        CHECK_OK(vn_view_seal(hundred, NULL));
        for (unsigned i = 0; i < 100; i++) {
                make_route(six, &rng, 12, &m);
                CHECK(m.len < 512);
                make_route(hundred, &rng, 10, &m);
                CHECK(m.len < 512);
                make_route(hundred, &rng, 1000, &m);
                CHECK(m.len <= 1000); /* one journal slot */
        }
}

TEST(record_replay_refuses_rather_than_mismatches)
{
        struct vn_rng rng;
        VN_AUTO(vn_view)
        view = testing_view(6, 4);
        VN_AUTO(vn_view)
        other = testing_view(6, 5);
        struct made m;
        uint8_t out[VN_RECORD_MAX_BYTES];
        size_t n;
        struct vn_err err;
        vn_rng_seed(&rng, 1);
        CHECK(view && other);
        CHECK_OK(vn_view_seal(view, NULL));
        CHECK_OK(vn_view_seal(other, NULL));
        make_route(view, &rng, 2, &m);
        CHECK_RC(VN_FAILED_PRECONDITION,
                 vn_record_replay(text_of(&m), &m.record.id, other, out, sizeof out, &n, &err));
        m.record.decide_version = VN_DECIDE_VERSION + 1;
        CHECK_OK(vn_record_encode(&m.record, m.bytes, sizeof m.bytes, &m.len, &err));
        CHECK_RC(VN_UNIMPLEMENTED, vn_record_replay(text_of(&m), &m.record.id, view, out, sizeof out, &n, &err));
        m.record.decide_version = VN_DECIDE_VERSION;
        m.record.margin += 1e-12; /* a forged record is a mismatch */
        CHECK_OK(vn_record_encode(&m.record, m.bytes, sizeof m.bytes, &m.len, &err));
        CHECK_RC(VN_DATA_LOSS, vn_record_replay(text_of(&m), &m.record.id, view, out, sizeof out, &n, &err));
        struct vn_record change = {.kind = VN_RECORD_POLICY};
        CHECK_OK(vn_record_encode(&change, m.bytes, sizeof m.bytes, &m.len, &err));
        CHECK_RC(VN_FAILED_PRECONDITION, vn_record_replay(text_of(&m), &change.id, view, out, sizeof out, &n, &err));
}

TEST(record_every_kind_reads_back)
{
        for (unsigned k = 1; k < VN_RECORD_KIND_COUNT; k++) {
                struct vn_record r = {.kind = (enum vn_record_kind)k, .time_us = 5, .id = {1, VN_CONTROL_LOOP, k}},
                                 back;
                uint8_t bytes[VN_RECORD_MAX_BYTES];
                size_t n;
                enum vn_record_kind kind;
                snprintf(r.tenant, sizeof r.tenant, "default");
                snprintf(r.workload, sizeof r.workload, "checkout");
                snprintf(r.approved_by, sizeof r.approved_by, "grace");
                snprintf(r.summary, sizeof r.summary, "512 to 768 MB");
                r.outcome_status = 1;
                r.outcome_latency_us = 1234;
                r.count = 9;
                if (k != VN_RECORD_ROUTE) {
                        snprintf(r.subject, sizeof r.subject, "aws-a");
                        snprintf(r.before, sizeof r.before, "512");
                        snprintf(r.after, sizeof r.after, "768");
                        r.value_before = 512, r.value_after = 768;
                }
                CHECK_OK(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
                CHECK_OK(vn_record_decode(vn_str_n(bytes, n), &back, NULL));
                CHECK_INT(k, back.kind);
                CHECK_TEXT(r.subject, back.subject);
                CHECK_TEXT(r.approved_by, back.approved_by);
                CHECK(back.outcome_latency_us == 1234 && back.count == 9 && back.value_after == r.value_after);
                CHECK(vn_record_kind_parse(vn_str(vn_record_kind_name(r.kind)), &kind) && kind == r.kind);
                struct vn_record_index index;
                CHECK_OK(vn_record_peek(vn_str_n(bytes, n), &index, NULL));
                CHECK(vn_str_eq(index.tenant, VN_STR("default")) && vn_str_eq(index.workload, VN_STR("checkout")));
                CHECK(index.id.sequence == k && index.time_us == 5 && index.kind == r.kind);
        }
}

TEST(record_longest_texts_fit)
{
        struct vn_record r = {
                .kind = VN_RECORD_ROUTE, .status = VN_DECIDED, .has_runner_up = true, .candidates = 128};
        char *texts[] = {r.tenant,      r.actor,          r.delegation,        r.request_id,
                         r.approved_by, r.choice.account, r.runner_up.account, r.policy};
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        size_t n;
        for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
                memset(texts[i], 'x', 63);
        memset(r.workload, 'x', 191);
        memset(r.caller_region, 'x', 47);
        memset(r.choice.region, 'x', 47);
        memset(r.runner_up.region, 'x', 47);
        memset(r.summary, 'x', 255);
        memset(r.view_id, 1, 32);
        memset(r.excluded, 0xff, sizeof r.excluded);
        memset(&r.live, 0x3f, sizeof r.live);
        r.outcome_latency_us = UINT64_MAX;
        r.epoch = r.model_version = r.price_version = r.policy_version = r.count = r.first_seq = r.last_seq =
                UINT64_MAX;
        CHECK_OK(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
        struct vn_record back;
        CHECK_OK(vn_record_decode(vn_str_n(bytes, n), &back, NULL));
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_record_encode(&r, bytes, n - 1, &n, NULL));
}

TEST(record_refuses_damaged_bytes)
{
        struct vn_rng rng;
        VN_AUTO(vn_view)
        view = testing_view(6, 4);
        struct made m;
        struct vn_record back;
        uint8_t leaf[VN_RECORD_LEAF_BYTES];
        vn_rng_seed(&rng, 1);
        CHECK(view);
        CHECK_OK(vn_view_seal(view, NULL));
        make_route(view, &rng, 3, &m);
        CHECK_OK(vn_record_leaf(text_of(&m), leaf, NULL));
        for (size_t n = 0; n < m.len; n++)
                CHECK(vn_record_decode(vn_str_n(m.bytes, n), &back, NULL) != VN_OK);
        for (size_t i = 0; i < m.len * 8; i++) {
                m.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
                /* Either it does not read, or it is another record: never the same leaf. */
                CHECK(vn_record_verify_leaf(text_of(&m), vn_str_n(leaf, sizeof leaf), NULL) != VN_OK);
                VN_IGNORE(vn_record_decode(text_of(&m), &back, NULL) == VN_OK); /* must only not crash */
                m.bytes[i / 8] ^= (uint8_t)(1u << i % 8);
        }
        CHECK_OK(vn_record_verify_leaf(text_of(&m), vn_str_n(leaf, sizeof leaf), NULL));
}

TEST(record_redaction_keeps_the_leaf)
{
        struct vn_rng rng;
        VN_AUTO(vn_view)
        view = testing_view(6, 4);
        struct made m;
        uint8_t leaf[VN_RECORD_LEAF_BYTES], once[VN_RECORD_MAX_BYTES], twice[VN_RECORD_MAX_BYTES];
        size_t n, n2;
        struct vn_record back;
        vn_rng_seed(&rng, 9);
        CHECK(view);
        CHECK_OK(vn_view_seal(view, NULL));
        make_route(view, &rng, 3, &m);
        CHECK_OK(vn_record_leaf(text_of(&m), leaf, NULL));
        for (uint8_t groups = 0; groups < 1u << VN_RECORD_GROUPS; groups++) {
                CHECK_OK(vn_record_redact(text_of(&m), groups, once, sizeof once, &n, NULL));
                CHECK_OK(vn_record_verify_leaf(vn_str_n(once, n), vn_str_n(leaf, sizeof leaf), NULL));
                CHECK_OK(vn_record_decode(vn_str_n(once, n), &back, NULL));
                CHECK_INT(groups >> VN_GROUP_IDENTITY & 1, back.actor[0] == 0);
                CHECK_OK(vn_record_redact(vn_str_n(once, n), 1u << VN_GROUP_REST, twice, sizeof twice, &n2, NULL));
                CHECK_OK(vn_record_verify_leaf(vn_str_n(twice, n2), vn_str_n(leaf, sizeof leaf), NULL));
        }
        /* What was erased is gone, and so is the seed from which its salt could be made again. */
        CHECK_OK(vn_record_redact(text_of(&m), 1u << VN_GROUP_IDENTITY, once, sizeof once, &n, NULL));
        CHECK(!memmem(once, n, "token:ci", 8) && !memmem(once, n, m.record.seed, VN_RECORD_SEED_BYTES));
        CHECK(memmem(m.bytes, m.len, "token:ci", 8));
}

TEST(record_leaf_has_no_personal_data)
{
        struct vn_record r = {.kind = VN_RECORD_PEOPLE};
        uint8_t bytes[VN_RECORD_MAX_BYTES], a[VN_RECORD_LEAF_BYTES], b[VN_RECORD_LEAF_BYTES];
        size_t n;
        snprintf(r.actor, sizeof r.actor, "ada@example.org");
        CHECK_OK(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
        CHECK_OK(vn_record_leaf(vn_str_n(bytes, n), a, NULL));
        CHECK(!memmem(a, sizeof a, "ada", 3));
        r.seed[0] = 1; /* another salt, another commitment: equal texts cannot be linked */
        CHECK_OK(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
        CHECK_OK(vn_record_leaf(vn_str_n(bytes, n), b, NULL));
        CHECK(memcmp(a + VN_RECORD_HEADER_BYTES, b + VN_RECORD_HEADER_BYTES, 32));
}
