#include "store/table.h"

#include <string.h>

#include "store/batch.h"

#define BATCH_OVERHEAD_BYTES (1u << 16)

struct table_row {
        const char *name;
        unsigned version;
        const char *key;
};
static const struct table_row rows[VN_TABLE_COUNT] = {
#define VN_TABLE(name, version, key, meaning) [VN_TABLE_##name] = {#name, version, key},
#include "store/tables.def"
#undef VN_TABLE
};

const char *vn_table_name(enum vn_table table)
{
        VN_ASSERT(table < VN_TABLE_COUNT);
        return rows[table].name;
}

unsigned vn_table_version(enum vn_table table)
{
        VN_ASSERT(table < VN_TABLE_COUNT);
        return rows[table].version;
}

const char *vn_table_key_description(enum vn_table table)
{
        VN_ASSERT(table < VN_TABLE_COUNT);
        return rows[table].key;
}

/* --- keys --- */
struct vn_key *vn_key_bytes(struct vn_key *key, const void *bytes, size_t n)
{
        if (key->failed || n > sizeof key->bytes - key->len) {
                key->failed = true;
                return key;
        }
        if (n)
                memcpy(key->bytes + key->len, bytes, n);
        key->len = (uint16_t)(key->len + n);
        return key;
}

struct vn_key *vn_key_text(struct vn_key *key, struct vn_str part)
{
        if (part.len && memchr(part.ptr, 0, part.len))
                key->failed = true;
        vn_key_bytes(key, part.ptr, part.len);
        return vn_key_bytes(key, "", 1);
}

struct vn_key *vn_key_init(struct vn_key *key, struct vn_str tenant)
{
        key->len = 0;
        key->failed = !tenant.len;
        return vn_key_text(key, tenant);
}

struct vn_key *vn_key_u64(struct vn_key *key, uint64_t part)
{
        uint64_t be = __builtin_bswap64(part);
        return vn_key_bytes(key, &be, sizeof be);
}

bool vn_key_take_text(struct vn_str *rest, struct vn_str *ret)
{
        const char *end = rest->len ? memchr(rest->ptr, 0, rest->len) : NULL;
        if (!end)
                return false;
        *ret = vn_str_n(rest->ptr, (size_t)(end - rest->ptr));
        *rest = vn_str_n(end + 1, rest->len - ret->len - 1);
        return true;
}

bool vn_key_take_u64(struct vn_str *rest, uint64_t *ret)
{
        if (rest->len < sizeof *ret)
                return false;
        memcpy(ret, rest->ptr, sizeof *ret);
        *ret = __builtin_bswap64(*ret);
        *rest = vn_str_n(rest->ptr + sizeof *ret, rest->len - sizeof *ret);
        return true;
}

/* --- batches --- */
struct vn_batch *vn_batch_new(void)
{
        struct vn_batch *batch = vn_alloc(sizeof *batch);
        if (!batch)
                return NULL;
        batch->ops = VN_BUF_INIT(VN_BATCH_MAX_BYTES + BATCH_OVERHEAD_BYTES);
        batch->records = VN_BUF_INIT(VN_BATCH_MAX_BYTES);
        batch->first_seq = UINT64_MAX;
        return batch;
}

struct vn_batch *vn_batch_free(struct vn_batch *batch)
{
        if (!batch)
                return NULL;
        VN_ASSERT(!batch->submitted);
        vn_buf_done(&batch->ops);
        vn_buf_done(&batch->records);
        vn_free(batch);
        return NULL;
}

void vn_batch_reset(struct vn_batch *batch)
{
        VN_ASSERT(!batch->submitted);
        struct vn_buf ops = batch->ops, records = batch->records;
        memset(batch, 0, sizeof *batch);
        batch->ops = ops;
        batch->records = records;
        vn_buf_reset(&batch->ops);
        vn_buf_reset(&batch->records);
        batch->first_seq = UINT64_MAX;
}

static void batch_error(struct vn_batch *batch, enum vn_rc rc, const char *what)
{
        if (batch->error == VN_OK) {
                batch->error = rc;
                batch->error_what = what;
        }
}

static void batch_op(struct vn_batch *batch, enum vn_op_kind kind, enum vn_table table, const struct vn_key *key,
                     struct vn_str value, uint32_t max)
{
        VN_ASSERT(!batch->submitted && table < VN_TABLE_COUNT);
        if (key->failed || !key->len) {
                batch_error(batch, VN_INVALID_ARGUMENT, "key is longer than 255 bytes, or a part holds a zero byte");
                return;
        }
        if (value.len > VN_VALUE_MAX_BYTES) {
                batch_error(batch, VN_INVALID_ARGUMENT, "value is longer than 64 KiB: store it as a blob");
                return;
        }
        struct vn_op_head head = {.kind = (uint8_t)kind,
                                  .table = (uint8_t)table,
                                  .key_len = key->len,
                                  .value_len = (uint32_t)value.len,
                                  .max = max};
        size_t before = batch->ops.len;
        if (!vn_buf_add(&batch->ops, &head, sizeof head) || !vn_buf_add(&batch->ops, key->bytes, key->len) ||
            !vn_buf_add(&batch->ops, value.ptr, value.len)) {
                batch->ops.len = before;
                batch_error(batch, VN_RESOURCE_EXHAUSTED, "batch is longer than 8 MiB, or memory is out");
                return;
        }
        batch->op_count++;
        batch->changes = batch->changes || kind == VN_OP_PUT || kind == VN_OP_DELETE || kind == VN_OP_DELETE_RANGE;
        batch->grows = batch->grows || kind == VN_OP_PUT;
}

void vn_batch_put(struct vn_batch *batch, enum vn_table table, const struct vn_key *key, struct vn_str value)
{
        batch_op(batch, VN_OP_PUT, table, key, value, 0);
}

void vn_batch_delete(struct vn_batch *batch, enum vn_table table, const struct vn_key *key)
{
        batch_op(batch, VN_OP_DELETE, table, key, VN_STR(""), 0);
}

void vn_batch_delete_range(struct vn_batch *batch, enum vn_table table, const struct vn_key *from,
                           const struct vn_key *to, uint32_t max)
{
        if (to->failed) {
                batch_error(batch, VN_INVALID_ARGUMENT, "key is longer than 255 bytes, or a part holds a zero byte");
                return;
        }
        batch_op(batch, VN_OP_DELETE_RANGE, table, from, vn_str_n(to->bytes, to->len), max);
}

void vn_batch_require_absent(struct vn_batch *batch, enum vn_table table, const struct vn_key *key)
{
        batch_op(batch, VN_OP_REQUIRE_ABSENT, table, key, VN_STR(""), 0);
}

void vn_batch_require_equal(struct vn_batch *batch, enum vn_table table, const struct vn_key *key,
                            struct vn_str value)
{
        batch_op(batch, VN_OP_REQUIRE_EQUAL, table, key, value, 0);
}

void vn_batch_record(struct vn_batch *batch, struct vn_str record)
{
        VN_ASSERT(!batch->submitted);
        if (!record.len || record.len > VN_STORE_RECORD_MAX_BYTES) {
                batch_error(batch, VN_INVALID_ARGUMENT, "record is empty or longer than 16,000 bytes");
                return;
        }
        uint32_t len = (uint32_t)record.len;
        size_t before = batch->records.len;
        if (!vn_buf_add(&batch->records, &len, sizeof len) || !vn_buf_add(&batch->records, record.ptr, record.len)) {
                batch->records.len = before;
                batch_error(batch, VN_RESOURCE_EXHAUSTED, "batch is longer than 8 MiB, or memory is out");
                return;
        }
        batch->record_count++;
        batch->grows = true;
}

void vn_batch_use_reserve(struct vn_batch *batch)
{
        batch->reserve = true;
}

uint64_t vn_batch_first_seq(const struct vn_batch *batch)
{
        return batch->first_seq;
}

enum vn_rc vn_batch_check(const struct vn_batch *batch, struct vn_err *err)
{
        if (batch->error != VN_OK)
                return vn_fail(err, batch->error, "%s", batch->error_what);
        return VN_OK;
}

bool vn_op_next(struct vn_str *rest, struct vn_op *ret)
{
        if (rest->len < sizeof ret->head)
                return false;
        memcpy(&ret->head, rest->ptr, sizeof ret->head);
        size_t need = sizeof ret->head + ret->head.key_len + (size_t)ret->head.value_len;
        if (rest->len < need || ret->head.table >= VN_TABLE_COUNT || ret->head.kind > VN_OP_REQUIRE_EQUAL)
                return false;
        ret->key = vn_str_n(rest->ptr + sizeof ret->head, ret->head.key_len);
        ret->value = vn_str_n(ret->key.ptr + ret->key.len, ret->head.value_len);
        *rest = vn_str_n(rest->ptr + need, rest->len - need);
        return true;
}

bool vn_batch_record_next(struct vn_str *rest, struct vn_str *ret)
{
        uint32_t len;
        if (rest->len < sizeof len)
                return false;
        memcpy(&len, rest->ptr, sizeof len);
        VN_ASSERT(len <= rest->len - sizeof len);
        *ret = vn_str_n(rest->ptr + sizeof len, len);
        *rest = vn_str_n(ret->ptr + len, rest->len - sizeof len - len);
        return true;
}
