/* request_ids.c - a retry with the same request id gets the first decision.
 * The key is a cut SHA-256 of tenant, caller, workload and request id, so equal keys are equal requests. A call that finds
 *   nothing claims the key; of two calls with one id in two loops the second waits for the first one's decision, which
 *   is microseconds away, and for its journal entry.
 * Bounded: sets of eight, all allocated at start; the oldest answer of a set goes.
 * Threads: edge loops, each call under its stripe's lock for a look-up; loading at start is alone. */
#include "server/routing/internal.h"
#include "store/history.h"

#define WAYS 8
#define SETS (VN_REQUEST_IDS / WAYS)
#define STRIPES 64

enum entry_state { EMPTY, CLAIMED, ANSWERED };
struct entry {
        uint8_t key[VN_REQUEST_KEY_BYTES];
        uint64_t order; /* rises: the smallest of a set is the oldest */
        enum entry_state state;
        struct vn_request_answer answer;
};

struct vn_request_ids {
        struct stripe {
                pthread_mutex_t mutex;
                uint64_t order;
        } stripe[STRIPES];
        struct entry sets[SETS][WAYS];
};

struct vn_request_ids *vn_request_ids_new(void)
{
        struct vn_request_ids *ids = vn_alloc(sizeof *ids);
        for (size_t i = 0; ids && i < STRIPES; i++)
                pthread_mutex_init(&ids->stripe[i].mutex, NULL);
        return ids;
}

struct vn_request_ids *vn_request_ids_free(struct vn_request_ids *ids)
{
        for (size_t i = 0; ids && i < STRIPES; i++)
                pthread_mutex_destroy(&ids->stripe[i].mutex);
        vn_free(ids);
        return NULL;
}

void vn_request_key(const char *tenant, const char *actor, const char *workload, const char *request_id,
                    uint8_t ret[VN_REQUEST_KEY_BYTES])
{
        /* With their final zeros, so that no two quadruples run together to the same bytes. */
        const struct vn_str parts[] = {vn_str_n(tenant, strlen(tenant) + 1), vn_str_n(actor, strlen(actor) + 1),
                                       vn_str_n(workload, strlen(workload) + 1), vn_str(request_id)};
        uint8_t digest[VN_SHA256_BYTES];
        vn_sha256_parts(parts, 4, digest);
        memcpy(ret, digest, VN_REQUEST_KEY_BYTES);
}

static size_t set_number(const uint8_t key[VN_REQUEST_KEY_BYTES])
{
        uint64_t word;
        memcpy(&word, key, sizeof word);
        return word % SETS;
}

/* Sets of one stripe are never touched under another's lock. */
static struct stripe *stripe_of(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES])
{
        return &ids->stripe[set_number(key) % STRIPES];
}

static struct entry *find(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES])
{
        struct entry *set = ids->sets[set_number(key)];
        for (size_t w = 0; w < WAYS; w++)
                if (set[w].state != EMPTY && !memcmp(set[w].key, key, VN_REQUEST_KEY_BYTES))
                        return &set[w];
        return NULL;
}

/* An empty place, else the oldest answer's; a claim's only if there is nothing else. */
static struct entry *place(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES])
{
        struct entry *set = ids->sets[set_number(key)], *best = &set[0];
        for (size_t w = 0; w < WAYS; w++) {
                if (set[w].state == EMPTY)
                        return &set[w];
                bool more_ready = best->state == CLAIMED && set[w].state == ANSWERED;
                if (more_ready || (set[w].state == best->state && set[w].order < best->order))
                        best = &set[w];
        }
        return best;
}

static struct entry *put(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES], enum entry_state state)
{
        struct entry *entry = find(ids, key);
        if (!entry)
                entry = place(ids, key);
        memcpy(entry->key, key, VN_REQUEST_KEY_BYTES);
        entry->order = ++stripe_of(ids, key)->order;
        entry->state = state;
        return entry;
}

enum vn_request_state vn_request_ids_claim(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES],
                                           struct vn_request_answer *ret)
{
        enum vn_request_state state = VN_REQUEST_NEW;
        pthread_mutex_lock(&stripe_of(ids, key)->mutex);
        const struct entry *entry = find(ids, key);
        if (!entry) {
                put(ids, key, CLAIMED);
        } else if (entry->state == CLAIMED) {
                state = VN_REQUEST_CLAIMED;
        } else {
                state = VN_REQUEST_ANSWERED;
                *ret = entry->answer;
        }
        pthread_mutex_unlock(&stripe_of(ids, key)->mutex);
        return state;
}

void vn_request_ids_answer(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES],
                           const struct vn_request_answer *answer)
{
        pthread_mutex_lock(&stripe_of(ids, key)->mutex);
        put(ids, key, ANSWERED)->answer = *answer;
        pthread_mutex_unlock(&stripe_of(ids, key)->mutex);
}

void vn_request_ids_drop(struct vn_request_ids *ids, const uint8_t key[VN_REQUEST_KEY_BYTES])
{
        pthread_mutex_lock(&stripe_of(ids, key)->mutex);
        struct entry *entry = find(ids, key);
        if (entry && entry->state == CLAIMED)
                entry->state = EMPTY;
        pthread_mutex_unlock(&stripe_of(ids, key)->mutex);
}

/* --- after a restart --- */
struct load {
        struct vn_request_ids *ids;
        struct vn_record *record;
        size_t found, read;
};

static void load_decision(struct load *l, const struct vn_record *r)
{
        uint8_t key[VN_REQUEST_KEY_BYTES];
        l->read++;
        if (r->kind != VN_RECORD_ROUTE || !r->request_id[0])
                return;
        vn_request_key(r->tenant, r->actor, r->workload, r->request_id, key);
        /* Newest first: what stands there already is newer, and a full set stays as it is. */
        if (find(l->ids, key) || place(l->ids, key)->state != EMPTY)
                return;
        put(l->ids, key, ANSWERED)->answer =
                (struct vn_request_answer){.id = r->id,
                                           .endpoint_id = r->choice.endpoint_id,
                                           .cost = vn_features_cost(&r->choice.features),
                                           .latency_us = vn_features_latency_us(&r->choice.features),
                                           .status = r->status};
        l->found++;
}

static bool load_record(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct load *l = arg;
        struct vn_run_reader reader;
        (void)seq;
        if (vn_run_open(&reader, bytes, NULL) != VN_OK)
                return true;
        while (vn_run_next(&reader, l->record, NULL) == VN_OK)
                load_decision(l, l->record);
        return l->found < VN_REQUEST_IDS && l->read < VN_REQUEST_IDS_READ;
}

/* The order of what was loaded runs backwards: turned round, so that the oldest go first. */
static void turn_orders(struct vn_request_ids *ids)
{
        for (size_t i = 0; i < SETS; i++)
                for (size_t w = 0; w < WAYS; w++)
                        if (ids->sets[i][w].state != EMPTY)
                                ids->sets[i][w].order = VN_REQUEST_IDS - ids->sets[i][w].order;
        for (size_t i = 0; i < STRIPES; i++)
                ids->stripe[i].order = VN_REQUEST_IDS;
}

enum vn_rc vn_request_ids_load(struct vn_request_ids *ids, struct vn_store *store, struct vn_err *err)
{
        struct load l = {.ids = ids, .record = vn_alloc(sizeof *l.record)};
        struct vn_record_filter filter = {.kinds = UINT64_C(1) << VN_RECORD_ROUTE,
                                          .newest_first = true,
                                          .limit = SIZE_MAX,
                                          .max_read = VN_REQUEST_IDS_READ};
        enum vn_rc rc = l.record ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        /* What stood only in the journals is committed first. On a full disk it cannot be, and is not found. */
        if (rc == VN_OK)
                VN_IGNORE(vn_store_flush(store, NULL));
        if (rc == VN_OK)
                rc = vn_store_records(store, &filter, load_record, &l, NULL, err);
        turn_orders(ids);
        vn_free(l.record);
        return rc;
}
