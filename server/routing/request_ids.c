/* request_ids.c - a retry with the same request id gets the first decision.
 * What counts as the same: tenant, caller, workload and request id, compared with those of the stored record; the 64-bit
 *   key only finds the place. Bounded: sets of eight, and the oldest of a set goes.
 * Threads: edge loops. A call holds its stripe's lock from the look-up until its decision stands in the journal, so that of
 *   two calls with one id in two loops one decides and the other gets that decision; loading at start is alone. */
#include "base/log.h"
#include "server/routing/internal.h"
#include "store/history.h"

#define WAYS 8
#define SETS (VN_REQUEST_IDS / WAYS)
#define STRIPES 64

struct answer {
        uint64_t key;
        uint64_t order; /* rises: the smallest of a set is the oldest */
        uint32_t len;
        uint8_t record[];
};

struct vn_request_ids {
        struct stripe {
                pthread_mutex_t mutex;
                uint64_t order;
        } stripe[STRIPES];
        struct answer *sets[SETS][WAYS];
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
        if (!ids)
                return NULL;
        for (size_t i = 0; i < SETS; i++)
                for (size_t w = 0; w < WAYS; w++)
                        vn_free(ids->sets[i][w]);
        for (size_t i = 0; i < STRIPES; i++)
                pthread_mutex_destroy(&ids->stripe[i].mutex);
        vn_free(ids);
        return NULL;
}

uint64_t vn_request_key(const struct vn_request_of *of)
{
        uint64_t hash = vn_workload_hash(of->tenant, of->workload);
        hash = vn_hash64(of->actor, strlen(of->actor), hash);
        return vn_hash64(of->request_id, strlen(of->request_id), hash);
}

/* A set and its stripe: sets of one stripe are never touched under another's lock. */
static struct answer **set_of(struct vn_request_ids *ids, uint64_t key)
{
        return ids->sets[key % SETS];
}

static struct stripe *stripe_of(struct vn_request_ids *ids, uint64_t key)
{
        return &ids->stripe[key % SETS % STRIPES];
}

static bool is_of(const struct answer *a, const struct vn_request_of *of, struct vn_record *ret)
{
        return vn_record_decode(vn_str_n(a->record, a->len), ret, NULL) == VN_OK &&
               !strcmp(ret->tenant, of->tenant) && !strcmp(ret->actor, of->actor) &&
               !strcmp(ret->workload, of->workload) && !strcmp(ret->request_id, of->request_id);
}

static struct answer **find(struct vn_request_ids *ids, uint64_t key, const struct vn_request_of *of,
                            struct vn_record *ret)
{
        struct answer **set = set_of(ids, key);
        for (size_t w = 0; w < WAYS; w++)
                if (set[w] && set[w]->key == key && is_of(set[w], of, ret))
                        return &set[w];
        return NULL;
}

static void put(struct vn_request_ids *ids, uint64_t key, struct answer **where, struct vn_str record)
{
        struct answer **set = set_of(ids, key), *fresh = vn_alloc(sizeof *fresh + record.len);
        if (!fresh)
                return;
        fresh->key = key;
        fresh->order = ++stripe_of(ids, key)->order;
        fresh->len = (uint32_t)record.len;
        memcpy(fresh->record, record.ptr, record.len);
        for (size_t w = 0; !where && w < WAYS; w++)
                if (!set[w])
                        where = &set[w];
        if (!where) {
                where = &set[0];
                for (size_t w = 1; w < WAYS; w++)
                        if (set[w]->order < (*where)->order)
                                where = &set[w];
        }
        vn_free(*where);
        *where = fresh;
}

bool vn_request_ids_begin(struct vn_request_ids *ids, uint64_t key, const struct vn_request_of *of,
                          struct vn_record *ret)
{
        pthread_mutex_lock(&stripe_of(ids, key)->mutex);
        return find(ids, key, of, ret) != NULL;
}

void vn_request_ids_end(struct vn_request_ids *ids, uint64_t key, const struct vn_request_of *of,
                        struct vn_record *scratch, struct vn_str record)
{
        if (record.len)
                put(ids, key, find(ids, key, of, scratch), record);
        pthread_mutex_unlock(&stripe_of(ids, key)->mutex);
}

/* --- after a restart --- */
struct load {
        struct vn_request_ids *ids;
        struct vn_record *record;
        size_t count;
};

static bool load_one(void *arg, uint64_t seq, struct vn_str bytes)
{
        (void)seq;
        struct load *l = arg;
        struct vn_record *r = l->record;
        if (vn_record_decode(bytes, r, NULL) != VN_OK || r->kind != VN_RECORD_ROUTE || !r->request_id[0])
                return true;
        struct vn_request_of of = {r->tenant, r->actor, r->workload, r->request_id};
        uint64_t key = vn_request_key(&of);
        struct answer **set = set_of(l->ids, key);
        /* Newest first: what stands there already is newer and found first, and a full set stays as it is. */
        for (size_t w = 0; w < WAYS; w++)
                if (!set[w]) {
                        put(l->ids, key, &set[w], bytes);
                        break;
                }
        return ++l->count < VN_REQUEST_IDS;
}

/* The order of what was loaded runs backwards: turned round, so that the oldest go first. */
static void turn_orders(struct vn_request_ids *ids)
{
        for (size_t i = 0; i < SETS; i++)
                for (size_t w = 0; w < WAYS; w++)
                        if (ids->sets[i][w])
                                ids->sets[i][w]->order = VN_REQUEST_IDS - ids->sets[i][w]->order;
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
                rc = vn_store_records(store, &filter, load_one, &l, NULL, err);
        turn_orders(ids);
        vn_free(l.record);
        return rc;
}
