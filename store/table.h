/* table.h - the keyed tables, keys, and write batches.
 * Purpose: what may be stored (tables.def), how a key is built, and the unit of change: a batch of puts, deletes,
 *   preconditions and log records that is committed whole or not at all.
 * Threads: a batch and a key belong to one thread at a time; while submitted, the batch belongs to the store.
 * Limits: key <= 255 bytes, value <= 64 KiB (larger things are blobs), record <= 16,000 bytes, batch <= 8 MiB.
 * Order of keys: bytewise. Text parts end in a zero byte and numbers are big-endian, so a prefix made of whole parts
 *   selects exactly what lies below it, and one tenant's keys never begin another's. */
#ifndef VANE_STORE_TABLE_H
#define VANE_STORE_TABLE_H

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

enum vn_table {
#define VN_TABLE(name, version, key, meaning) VN_TABLE_##name,
#include "store/tables.def"
#undef VN_TABLE
        VN_TABLE_COUNT
};
const char *vn_table_name(enum vn_table table);
unsigned vn_table_version(enum vn_table table);
const char *vn_table_key_description(enum vn_table table);

#define VN_KEY_MAX_BYTES 255
#define VN_VALUE_MAX_BYTES 65536
#define VN_STORE_RECORD_MAX_BYTES 16000
#define VN_BATCH_MAX_BYTES (8u << 20)
#define VN_TENANT_SYSTEM "_" /* no tenant can have this name: vn_str_is_name refuses it */

struct vn_key {
        uint16_t len;
        bool failed; /* a part did not fit or held a zero byte: the batch or read that gets it says so */
        uint8_t bytes[VN_KEY_MAX_BYTES];
};
/* Starts a key with its tenant; the others append one part each and return the key, so that calls nest. */
struct vn_key *vn_key_init(struct vn_key *key, struct vn_str tenant);
struct vn_key *vn_key_text(struct vn_key *key, struct vn_str part);
struct vn_key *vn_key_u64(struct vn_key *key, uint64_t part);
struct vn_key *vn_key_bytes(struct vn_key *key, const void *bytes,
                            size_t n); /* only parts of a fixed size, or last */
/* Takes a stored key apart again; false if it does not hold such a part here. `rest` starts as the whole key. */
bool vn_key_take_text(struct vn_str *rest, struct vn_str *ret);
bool vn_key_take_u64(struct vn_str *rest, uint64_t *ret);

struct vn_batch;
struct vn_batch *vn_batch_new(void); /* NULL when memory is out */
struct vn_batch *vn_batch_free(struct vn_batch *batch);
VN_DEFINE_AUTO(vn_batch);
void vn_batch_reset(struct vn_batch *batch); /* empty again, memory kept */
/* Adding never fails on the spot: the first error (too long, memory out) is kept and submit returns it. */
void vn_batch_put(struct vn_batch *batch, enum vn_table table, const struct vn_key *key, struct vn_str value);
void vn_batch_delete(struct vn_batch *batch, enum vn_table table, const struct vn_key *key);
/* Deletes keys in [from, to), at most `max` of them in this batch; for retention. */
void vn_batch_delete_range(struct vn_batch *batch, enum vn_table table, const struct vn_key *from,
                           const struct vn_key *to, uint32_t max);
/* Preconditions, checked by the writer against everything committed before: the batch fails with ALREADY_EXISTS,
 * or with ABORTED if the stored value is not byte for byte `value`, and then changes nothing. */
void vn_batch_require_absent(struct vn_batch *batch, enum vn_table table, const struct vn_key *key);
void vn_batch_require_equal(struct vn_batch *batch, enum vn_table table, const struct vn_key *key,
                            struct vn_str value);
/* Appends a record to the log in the same commit. Records of one batch get consecutive numbers. */
void vn_batch_record(struct vn_batch *batch, struct vn_str record);
/* Gap records, tombstones and pauses: may use the space that is kept back when the budget is spent. */
void vn_batch_use_reserve(struct vn_batch *batch);
/* After completion: the log number (leaf index) of the batch's first record; UINT64_MAX if it has none. */
uint64_t vn_batch_first_seq(const struct vn_batch *batch);
enum vn_rc vn_batch_check(const struct vn_batch *batch, struct vn_err *err) VN_MUST_USE;

#endif
