#include <pthread.h>
#include <sched.h>
#include <unistd.h>

#include "server/record.h"
#include "server/routing/internal.h"
#include "tests/test.h"

static struct vn_note_key *key;

struct asked {
        const char *tenant, *actor, *workload, *request_id;
};

/* Encodes a route of this caller; the id's sequence tells one from another. */
static void route_of(const struct asked *of, uint64_t sequence, struct vn_record *r)
{
        memset(r, 0, sizeof *r);
        r->kind = VN_RECORD_ROUTE;
        r->id = (struct vn_decision_id){7, 0, sequence};
        r->time_us = 1000 * VN_US_PER_S;
        r->decide_version = VN_DECIDE_VERSION;
        CHECK(vn_str_copy(r->tenant, sizeof r->tenant, vn_str(of->tenant)));
        CHECK(vn_str_copy(r->actor, sizeof r->actor, vn_str(of->actor)));
        CHECK(vn_str_copy(r->workload, sizeof r->workload, vn_str(of->workload)));
        CHECK(vn_str_copy(r->request_id, sizeof r->request_id, vn_str(of->request_id)));
}

static void key_of(const struct asked *of, uint8_t ret[VN_REQUEST_KEY_BYTES])
{
        vn_request_key(of->tenant, of->actor, of->workload, of->request_id, ret);
}

static void answer(struct vn_request_ids *ids, const uint8_t at[VN_REQUEST_KEY_BYTES], uint64_t sequence)
{
        vn_request_ids_answer(ids, at, &(struct vn_request_answer){.id = {7, 0, sequence}});
}

/* The sequence of the answer that is known; 0: none, and no claim is left behind. */
static uint64_t known(struct vn_request_ids *ids, const uint8_t at[VN_REQUEST_KEY_BYTES])
{
        struct vn_request_answer found;
        if (vn_request_ids_claim(ids, at, &found) == VN_REQUEST_ANSWERED)
                return found.id.sequence;
        vn_request_ids_drop(ids, at);
        return 0;
}

TEST(another_callers_answer_is_never_given)
{
        static const struct asked all[] = {
                {"acme", "person:ann", "checkout", "order-7"}, {"umbrella", "person:ann", "checkout", "order-7"},
                {"acme", "person:bob", "checkout", "order-7"}, {"acme", "person:ann", "refund", "order-7"},
                {"acme", "person:ann", "checkout", "order-8"}, {"acm", "eperson:ann", "checkout", "order-7"},
                {"acme", "person:ann", "checkoutorder", "-7"},
        };
        struct vn_request_ids *ids = vn_request_ids_new();
        uint8_t key_bytes[VN_REQUEST_KEY_BYTES];
        CHECK(ids);
        for (uint64_t i = 0; i < sizeof all / sizeof *all; i++) {
                key_of(&all[i], key_bytes);
                CHECK_INT(0, known(ids, key_bytes));
                answer(ids, key_bytes, 10 + i);
        }
        for (uint64_t i = 0; i < sizeof all / sizeof *all; i++) {
                key_of(&all[i], key_bytes);
                CHECK_INT(10 + i, known(ids, key_bytes));
        }
        answer(ids, key_bytes, 2); /* decided anew, since its endpoint had gone: the new answer stands for it */
        CHECK_INT(2, known(ids, key_bytes));
        vn_request_ids_free(ids);
}

TEST(the_oldest_answer_of_a_full_set_goes_and_no_claim)
{
        uint8_t keys[10][VN_REQUEST_KEY_BYTES] = {{0}}; /* the first eight bytes choose the set: all the same one */
        struct vn_request_ids *ids = vn_request_ids_new();
        struct vn_request_answer found;
        CHECK(ids);
        for (uint8_t i = 0; i < 10; i++)
                keys[i][15] = i;
        CHECK_INT(VN_REQUEST_NEW, vn_request_ids_claim(ids, keys[0], &found));
        for (uint64_t i = 1; i < 9; i++)
                answer(ids, keys[i], i);
        CHECK_INT(VN_REQUEST_CLAIMED, vn_request_ids_claim(ids, keys[0], &found));
        for (uint64_t i = 2; i < 9; i++)
                CHECK_INT(i, known(ids, keys[i]));
        answer(ids, keys[0], 100);
        CHECK_INT(100, known(ids, keys[0]));
        CHECK_INT(0, known(ids, keys[1])); /* looking for it has cost the now oldest its place */
        CHECK_INT(0, known(ids, keys[2]));
        vn_request_ids_free(ids);
}

TEST(a_dropped_claim_is_free_again)
{
        uint8_t at[VN_REQUEST_KEY_BYTES] = {1};
        struct vn_request_ids *ids = vn_request_ids_new();
        struct vn_request_answer found;
        CHECK(ids);
        CHECK_INT(VN_REQUEST_NEW, vn_request_ids_claim(ids, at, &found));
        vn_request_ids_drop(ids, at);
        CHECK_INT(VN_REQUEST_NEW, vn_request_ids_claim(ids, at, &found));
        answer(ids, at, 3);
        vn_request_ids_drop(ids, at); /* an answer is not dropped */
        CHECK_INT(3, known(ids, at));
        vn_request_ids_free(ids);
}

/* --- two loops --- */
struct race {
        struct vn_request_ids *ids;
        pthread_barrier_t *barrier;
        uint64_t number;
        uint64_t got[200];
};

static void *ask(void *arg)
{
        struct race *r = arg;
        for (unsigned i = 0; i < 200; i++) {
                char name[16];
                uint8_t at[VN_REQUEST_KEY_BYTES];
                struct vn_request_answer found;
                enum vn_request_state state;
                snprintf(name, sizeof name, "r%u", i);
                vn_request_key("acme", "person:ann", "checkout", name, at);
                pthread_barrier_wait(r->barrier);
                while ((state = vn_request_ids_claim(r->ids, at, &found)) == VN_REQUEST_CLAIMED)
                        sched_yield();
                r->got[i] = state == VN_REQUEST_ANSWERED ? found.id.sequence : 1000 * r->number + i;
                if (state == VN_REQUEST_NEW)
                        answer(r->ids, at, r->got[i]);
        }
        return NULL;
}

TEST(two_calls_at_the_same_time_get_one_decision)
{
        pthread_barrier_t barrier;
        pthread_t threads[2];
        static struct race races[2];
        struct vn_request_ids *ids = vn_request_ids_new();
        CHECK(ids && !pthread_barrier_init(&barrier, NULL, 2));
        for (uint64_t i = 0; i < 2; i++) {
                races[i] = (struct race){.ids = ids, .barrier = &barrier, .number = i + 1};
                CHECK(!pthread_create(&threads[i], NULL, ask, &races[i]));
        }
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
        for (int i = 0; i < 200; i++)
                CHECK(races[0].got[i] && races[0].got[i] == races[1].got[i]);
        pthread_barrier_destroy(&barrier);
        vn_request_ids_free(ids);
}

/* --- a restart --- */
static struct vn_store *open_store(const char *dir)
{
        struct vn_store *store = NULL;
        struct vn_err err = {.rc = VN_OK};
        if (!key)
                CHECK_OK(vn_note_key_generate("vane.test/log", &key, NULL));
        struct vn_store_config config = {
                .dir = dir, .log_key = key, .ring_count = 1, .ring_slots = 256, .min_free_bytes = 1};
        vn_record_ops(NULL, &config.record);
        if (vn_store_open(&config, &store, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "open: %s", err.msg);
        return store;
}

TEST(answers_are_found_again_in_the_store_and_the_newest_counts)
{
        static struct vn_record r;
        uint8_t bytes[VN_RUN_MAX_BYTES], at[VN_REQUEST_KEY_BYTES], in_run[VN_REQUEST_KEY_BYTES];
        size_t n;
        struct asked of = {"acme", "person:ann", "checkout", "order-7"};
        struct asked none = {"acme", "person:ann", "checkout", ""};
        const struct asked *order[] = {&of, &none, &of, &none};
        const char *dir = test_dir();
        struct vn_store *store = open_store(dir);
        struct vn_run *run = vn_run_new();
        CHECK(run);
        for (uint64_t i = 0; i < 4; i++) {
                route_of(order[i], i + 1, &r);
                CHECK_OK(vn_record_encode(&r, bytes, sizeof bytes, &n, NULL));
                CHECK_OK(vn_ring_put(vn_store_ring(store, 0), bytes, n));
        }
        vn_run_begin(run);
        for (uint64_t i = 0; i < 3; i++) { /* a streamed batch's */
                struct asked one = {"acme", "person:ann", "checkout", i == 1 ? "order-9" : ""};
                route_of(&one, 50 + i, &r);
                CHECK_OK(vn_run_add(run, &r, NULL));
                if (i == 1)
                        key_of(&one, in_run);
        }
        CHECK_OK(vn_run_finish(run, bytes, sizeof bytes, &n, NULL));
        CHECK_OK(vn_ring_put_run(vn_store_ring(store, 0), bytes, n, 3));
        vn_run_free(run);
        key_of(&of, at);
        for (int life = 0; life < 2; life++) {
                struct vn_request_ids *ids = vn_request_ids_new();
                CHECK(ids);
                CHECK_OK(vn_request_ids_load(ids, store, NULL)); /* what stands in the journal only is found, too */
                CHECK_INT(3, known(ids, at));
                CHECK_INT(51, known(ids, in_run));
                key_of(&none, at);
                CHECK_INT(0, known(ids, at));
                key_of(&of, at);
                vn_request_ids_free(ids);
                vn_store_free(store);
                store = life ? NULL : open_store(dir);
        }
}
