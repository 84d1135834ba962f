#include "server/audit/export_range.h"

#include <stdlib.h>

#include "decide/record.h"
#include "decide/wire.h"

#define MAX_TOMBSTONES 100000
#define HEADER_TIME_AT 26 /* of a record's header, with which its leaf begins */

/* --- the range --- */

/* The log itself knows the time of every entry, of expired ones too: leaves are never pruned. */
static enum vn_rc time_of(struct vn_store *store, uint64_t seq, int64_t *ret_us, struct vn_err *err)
{
        struct vn_leaf leaf;
        VN_TRY(vn_store_leaf(store, seq, &leaf, err));
        if (leaf.len != VN_RECORD_LEAF_BYTES)
                return vn_fail(err, VN_DATA_LOSS, "leaf %llu of the log is damaged", (unsigned long long)seq);
        struct vn_in in = {.p = leaf.bytes, .len = leaf.len, .at = HEADER_TIME_AT};
        *ret_us = (int64_t)vn_take_le(&in, 8);
        return VN_OK;
}

/* The first entry that is not before the time, if entries are in the order of time, as they nearly are. */
static enum vn_rc first_not_before(struct vn_store *store, uint64_t size, int64_t us, uint64_t *ret,
                                   struct vn_err *err)
{
        uint64_t low = 0, high = size;
        while (low < high) {
                uint64_t middle = low + (high - low) / 2;
                int64_t there;
                VN_TRY(time_of(store, middle, &there, err));
                if (there < us)
                        low = middle + 1;
                else
                        high = middle;
        }
        *ret = low;
        return VN_OK;
}

static bool take_seq(void *arg, uint64_t seq, struct vn_str record)
{
        (void)record;
        *(uint64_t *)arg = seq;
        return false;
}

/* A clock that was set back puts records out of order: the outermost that are there decide too. */
static enum vn_rc widen(struct vn_store *store, uint64_t size, int64_t from_us, int64_t to_us, bool newest_first,
                        uint64_t *bound, struct vn_err *err)
{
        struct vn_record_filter filter = {
                .to_seq = size, .from_us = from_us, .to_us = to_us, .newest_first = newest_first, .limit = 1};
        uint64_t found = UINT64_MAX, next = 0, before;
        do {
                before = newest_first ? filter.to_seq : filter.from_seq;
                VN_TRY(vn_store_records(store, &filter, take_seq, &found, &next, err));
                *(newest_first ? &filter.to_seq : &filter.from_seq) = next;
        } while (found == UINT64_MAX && next != before && next < size && next > 0);
        if (found != UINT64_MAX && newest_first && found + 1 > *bound)
                *bound = found + 1;
        if (found != UINT64_MAX && !newest_first && found < *bound)
                *bound = found;
        return VN_OK;
}

enum vn_rc vn_export_range(struct vn_store *store, uint64_t size, int64_t from_us, int64_t to_us, uint64_t *ret_first,
                           uint64_t *ret_end, struct vn_err *err)
{
        *ret_first = 0;
        *ret_end = size;
        if (!size)
                return VN_OK;
        if (from_us) {
                VN_TRY(first_not_before(store, size, from_us, ret_first, err));
                VN_TRY(widen(store, size, from_us, to_us, false, ret_first, err));
        }
        if (to_us) {
                VN_TRY(first_not_before(store, size, to_us, ret_end, err));
                VN_TRY(widen(store, size, from_us, to_us, true, ret_end, err));
        }
        if (*ret_end < *ret_first)
                *ret_end = *ret_first;
        return VN_OK;
}

/* --- tombstones --- */
struct load {
        struct vn_tombstones *list;
        size_t room;
        struct vn_err *err;
        enum vn_rc rc;
};

static bool take_tombstone(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct load *load = arg;
        struct vn_tombstones *list = load->list;
        struct vn_record *record = vn_alloc(sizeof *record);
        if (!record || list->count == load->room) {
                load->rc = vn_fail(load->err, VN_RESOURCE_EXHAUSTED, "too many tombstones for one export");
        } else if (vn_record_decode(bytes, record, NULL) == VN_OK && record->kind == VN_RECORD_TOMBSTONE &&
                   record->first_seq <= record->last_seq && record->last_seq < seq) {
                /* One that is damaged, or speaks of what came after it, excuses nothing. */
                list->list[list->count++] = (struct vn_tombstone){seq, record->first_seq, record->last_seq, false};
        }
        vn_free(record);
        return load->rc == VN_OK;
}

static enum vn_rc load_more(struct vn_store *store, uint64_t from, uint64_t to, struct load *load)
{
        struct vn_record_filter filter = {
                .from_seq = from, .to_seq = to, .kinds = UINT64_C(1) << VN_RECORD_TOMBSTONE, .limit = SIZE_MAX};
        for (uint64_t next = 0;; filter.from_seq = next) {
                VN_TRY(vn_store_records(store, &filter, take_tombstone, load, &next, load->err));
                if (load->rc != VN_OK || next <= filter.from_seq || (to && next >= to))
                        return load->rc;
        }
}

enum vn_rc vn_tombstones_load(struct vn_store *store, uint64_t from, uint64_t to, struct vn_tombstones *list,
                              struct vn_err *err)
{
        if (!list->list)
                list->list = vn_alloc_array(MAX_TOMBSTONES, sizeof *list->list);
        if (!list->list)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        struct load load = {.list = list, .room = MAX_TOMBSTONES, .err = err};
        return load_more(store, from, to, &load);
}

void vn_tombstones_done(struct vn_tombstones *list)
{
        vn_free(list->list);
        *list = (struct vn_tombstones){.count = 0};
}

struct vn_tombstone *vn_tombstone_of(const struct vn_tombstones *list, uint64_t seq, uint64_t *ret_next)
{
        *ret_next = UINT64_MAX;
        for (size_t i = 0; i < list->count; i++) {
                struct vn_tombstone *t = &list->list[i];
                if (t->first <= seq && seq <= t->last)
                        return t;
                if (t->first > seq && t->first < *ret_next)
                        *ret_next = t->first;
        }
        return NULL;
}
