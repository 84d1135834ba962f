/* request_ids.c - a retry with the same request id gets the first decision.
 * Threads: any edge loop, under one mutex: only calls that carry a request id come here. Bounded: the oldest go. */
#include "server/routing/internal.h"

#define SLOTS 16384

struct answer {
        uint64_t key;
        uint32_t len;
        uint8_t record[VN_RECORD_MAX_BYTES];
};

struct vn_request_ids {
        pthread_mutex_t mutex;
        struct answer *slots[SLOTS];
};

struct vn_request_ids *vn_request_ids_new(void)
{
        struct vn_request_ids *ids = vn_alloc(sizeof *ids);
        if (ids)
                pthread_mutex_init(&ids->mutex, NULL);
        return ids;
}

struct vn_request_ids *vn_request_ids_free(struct vn_request_ids *ids)
{
        if (ids) {
                for (size_t i = 0; i < SLOTS; i++)
                        vn_free(ids->slots[i]);
                pthread_mutex_destroy(&ids->mutex);
                vn_free(ids);
        }
        return NULL;
}

bool vn_request_ids_get(struct vn_request_ids *ids, uint64_t key, struct vn_record *ret_record)
{
        pthread_mutex_lock(&ids->mutex);
        const struct answer *a = ids->slots[key % SLOTS];
        bool found = a && a->key == key && vn_record_decode(vn_str_n(a->record, a->len), ret_record, NULL) == VN_OK;
        pthread_mutex_unlock(&ids->mutex);
        return found;
}

void vn_request_ids_put(struct vn_request_ids *ids, uint64_t key, struct vn_str record)
{
        pthread_mutex_lock(&ids->mutex);
        struct answer **slot = &ids->slots[key % SLOTS];
        if (!*slot)
                *slot = vn_alloc(sizeof **slot);
        if (*slot && record.len <= sizeof(*slot)->record) {
                (*slot)->key = key;
                (*slot)->len = (uint32_t)record.len;
                memcpy((*slot)->record, record.ptr, record.len);
        }
        pthread_mutex_unlock(&ids->mutex);
}
