#include <pthread.h>
#include <unistd.h>

#include "server/record.h"
#include "server/routing/internal.h"
#include "tests/test.h"

static struct vn_note_key *key;

/* Encodes a route of this caller; the id's sequence tells one from another. */
static struct vn_str route_of(const struct vn_request_of *of, uint64_t sequence, uint8_t bytes[VN_RECORD_MAX_BYTES])
{
        struct vn_record *r = vn_alloc(sizeof *r);
        size_t n = 0;
        CHECK(r);
        r->kind = VN_RECORD_ROUTE;
        r->id = (struct vn_decision_id){7, 0, sequence};
        r->time_us = 1000 * VN_US_PER_S;
        r->decide_version = VN_DECIDE_VERSION;
        CHECK(vn_str_copy(r->tenant, sizeof r->tenant, vn_str(of->tenant)));
        CHECK(vn_str_copy(r->actor, sizeof r->actor, vn_str(of->actor)));
        CHECK(vn_str_copy(r->workload, sizeof r->workload, vn_str(of->workload)));
        CHECK(vn_str_copy(r->request_id, sizeof r->request_id, vn_str(of->request_id)));
        CHECK_OK(vn_record_encode(r, bytes, VN_RECORD_MAX_BYTES, &n, NULL));
        vn_free(r);
        return vn_str_n(bytes, n);
}

static void answer(struct vn_request_ids *ids, uint64_t at, const struct vn_request_of *of, uint64_t sequence)
{
        static struct vn_record scratch;
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        vn_request_ids_begin(ids, at, of, &scratch);
        vn_request_ids_end(ids, at, of, &scratch, route_of(of, sequence, bytes));
}

/* The sequence of the answer that is known; 0: none. */
static uint64_t known(struct vn_request_ids *ids, uint64_t at, const struct vn_request_of *of)
{
        static struct vn_record record;
        bool found = vn_request_ids_begin(ids, at, of, &record);
        uint64_t sequence = found ? record.id.sequence : 0;
        vn_request_ids_end(ids, at, of, &record, vn_str_n("", 0));
        return sequence;
}

TEST(another_callers_answer_is_never_given_not_even_under_the_same_key)
{
        static const struct vn_request_of mine = {"acme", "person:ann", "checkout", "order-7"};
        static const struct vn_request_of others[] = {{"umbrella", "person:ann", "checkout", "order-7"},
                                                      {"acme", "person:bob", "checkout", "order-7"},
                                                      {"acme", "person:ann", "refund", "order-7"},
                                                      {"acme", "person:ann", "checkout", "order-8"}};
        struct vn_request_ids *ids = vn_request_ids_new();
        CHECK(ids);
        answer(ids, 42, &mine, 1); /* one key for all: what a collision of the hash would do */
        for (uint64_t i = 0; i < 4; i++) {
                CHECK_INT(0, known(ids, 42, &others[i]));
                answer(ids, 42, &others[i], 10 + i);
        }
        CHECK_INT(1, known(ids, 42, &mine));
        for (uint64_t i = 0; i < 4; i++) {
                CHECK_INT(10 + i, known(ids, 42, &others[i]));
                CHECK(vn_request_key(&others[i]) != vn_request_key(&mine));
        }
        answer(ids, 42, &mine, 2); /* decided anew, since its endpoint had gone: the new answer stands for it */
        CHECK_INT(2, known(ids, 42, &mine));
        vn_request_ids_free(ids);
}

TEST(the_oldest_answer_of_a_full_set_goes)
{
        char names[9][8];
        struct vn_request_of of = {"acme", "person:ann", "checkout", NULL};
        struct vn_request_ids *ids = vn_request_ids_new();
        CHECK(ids);
        for (uint64_t i = 0; i < 9; i++) {
                snprintf(names[i], sizeof names[i], "r%u", (unsigned)i);
                of.request_id = names[i];
                answer(ids, 5, &of, i + 1);
        }
        for (uint64_t i = 0; i < 9; i++) {
                of.request_id = names[i];
                CHECK_INT(i ? i + 1 : 0, known(ids, 5, &of));
        }
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
        struct vn_record *record = vn_alloc(sizeof *record);
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        for (unsigned i = 0; record && i < 200; i++) {
                char name[16];
                struct vn_request_of of = {"acme", "person:ann", "checkout", name};
                snprintf(name, sizeof name, "r%u", i);
                uint64_t at = vn_request_key(&of);
                pthread_barrier_wait(r->barrier);
                if (vn_request_ids_begin(r->ids, at, &of, record)) {
                        r->got[i] = record->id.sequence;
                        vn_request_ids_end(r->ids, at, &of, record, vn_str_n("", 0));
                } else {
                        r->got[i] = 1000 * r->number + i;
                        vn_request_ids_end(r->ids, at, &of, record, route_of(&of, r->got[i], bytes));
                }
        }
        vn_free(record);
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
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        struct vn_request_of of = {"acme", "person:ann", "checkout", "order-7"};
        struct vn_request_of none = {"acme", "person:ann", "checkout", ""};
        const char *dir = test_dir();
        struct vn_store *store = open_store(dir);
        const struct vn_request_of *order[] = {&of, &none, &of, &none};
        for (uint64_t i = 0; i < 4; i++) {
                struct vn_str record = route_of(order[i], i + 1, bytes);
                CHECK_OK(vn_ring_put(vn_store_ring(store, 0), record.ptr, record.len));
        }
        struct vn_request_ids *ids = vn_request_ids_new();
        CHECK(ids);
        CHECK_OK(vn_request_ids_load(ids, store, NULL)); /* at once: what stands in the journal only is found, too */
        CHECK_INT(3, known(ids, vn_request_key(&of), &of));
        CHECK_INT(0, known(ids, vn_request_key(&none), &none));
        ids = vn_request_ids_free(ids);
        vn_store_free(store);
        store = open_store(dir);
        ids = vn_request_ids_new();
        CHECK_OK(vn_request_ids_load(ids, store, NULL));
        CHECK_INT(3, known(ids, vn_request_key(&of), &of));
        vn_request_ids_free(ids);
        vn_store_free(store);
}
