/* testing.h - what the store's tests and benches share: a small record form with its callbacks, and opening a store.
 * For x_test.c and x_main.c only. Threads: any. */
#ifndef VANE_STORE_TESTING_H
#define VANE_STORE_TESTING_H

#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "store/history.h"

struct testing_record { /* the head of a test record; filler follows */
        char kind[4];   /* "rec", or "gap" */
        uint32_t count;
        uint64_t origin;
        uint64_t id;
        int64_t time_us;
        uint64_t tenant;
        struct vn_gap gap;
};

static inline enum vn_rc testing_keys(void *arg, struct vn_str record, struct vn_record_keys *ret)
{
        (void)arg;
        struct testing_record r;
        if (record.len < sizeof r)
                return VN_INVALID_ARGUMENT;
        memcpy(&r, record.ptr, sizeof r);
        ret->origin = r.origin;
        ret->id_first = r.id;
        ret->id_count = r.count;
        ret->first_us = ret->last_us = r.time_us;
        ret->kinds = r.kind[0] == 'g' ? 2 : 1;
        ret->tenants = vn_record_bit(r.tenant);
        ret->subjects[r.tenant % 4] = UINT64_C(1) << (r.id % 64);
        return VN_OK;
}

static inline enum vn_rc testing_leaf(void *arg, struct vn_str record, struct vn_leaf *ret)
{
        (void)arg;
        if (record.len < sizeof(struct testing_record))
                return VN_INVALID_ARGUMENT;
        memcpy(ret->bytes, record.ptr, 32);
        vn_sha256(record.ptr, record.len, ret->bytes + 32);
        ret->len = 64;
        return VN_OK;
}

static inline enum vn_rc testing_gap(void *arg, const struct vn_gap *gap, struct vn_buf *ret)
{
        (void)arg;
        struct testing_record r = {.kind = "gap", .gap = *gap};
        vn_buf_add(ret, &r, sizeof r);
        return vn_buf_check(ret, NULL);
}

/* A gap of no kind: the store's own have one. */
static inline bool testing_tombstone(void *arg, struct vn_str record, uint64_t *ret_first, uint64_t *ret_last)
{
        (void)arg;
        struct testing_record r;
        if (record.len < sizeof r)
                return false;
        memcpy(&r, record.ptr, sizeof r);
        *ret_first = r.gap.first_seq;
        *ret_last = r.gap.last_seq;
        return r.kind[0] == 'g' && !r.gap.kind;
}

static inline struct vn_record_ops testing_ops(void)
{
        return (struct vn_record_ops){
                .keys = testing_keys, .leaf = testing_leaf, .gap = testing_gap, .tombstone = testing_tombstone};
}

/* Writes a record of `bytes` bytes (at least the head) into `to`. */
static inline struct vn_str testing_record(uint8_t *to, size_t bytes, uint64_t origin, uint64_t id, int64_t time_us,
                                           uint64_t tenant)
{
        struct testing_record r = {
                .kind = "rec", .count = 1, .origin = origin, .id = id, .time_us = time_us, .tenant = tenant};
        if (bytes < sizeof r)
                bytes = sizeof r;
        memcpy(to, &r, sizeof r);
        for (size_t i = sizeof r; i < bytes; i++)
                to[i] = (uint8_t)(id * 31 + i);
        return vn_str_n(to, bytes);
}

static inline struct vn_store_config testing_config(const char *dir, const struct vn_note_key *key, uint32_t rings)
{
        return (struct vn_store_config){.dir = dir,
                                        .log_key = key,
                                        .record = testing_ops(),
                                        .ring_count = rings,
                                        .ring_slots = 256,
                                        .checkpoint_interval_us = 5 * VN_US_PER_MS,
                                        .disk_budget_bytes = UINT64_C(1) << 30,
                                        .min_free_bytes = 1};
}

#endif
