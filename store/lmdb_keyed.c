#include <stdio.h>
#include <string.h>

#include "base/fault.h"
#include "store/lmdb_parts.h"

#define MAX_DBS (VN_TABLE_COUNT + 4)

/* --- schema --- */
static enum vn_rc schema_put(struct vn_keyed *keyed, MDB_txn *txn, const char *name, uint64_t value,
                             struct vn_err *err)
{
        MDB_val key = vn_val(vn_str(name)), data = {sizeof value, &value};
        return vn_lmdb_fail(err, mdb_put(txn, keyed->schema, &key, &data, 0), keyed->env.path);
}

static enum vn_rc schema_get(struct vn_keyed *keyed, MDB_txn *txn, const char *name, uint64_t *ret,
                             struct vn_err *err)
{
        MDB_val key = vn_val(vn_str(name)), data;
        int rc = mdb_get(txn, keyed->schema, &key, &data);
        if (!rc && data.mv_size != sizeof *ret)
                return vn_fail(err, VN_DATA_LOSS, "%s: schema entry %s is damaged", keyed->env.path, name);
        if (rc)
                return vn_lmdb_fail(err, rc, keyed->env.path);
        memcpy(ret, data.mv_data, sizeof *ret);
        return VN_OK;
}

static enum vn_rc schema_check(struct vn_keyed *keyed, MDB_txn *txn, const char *name, uint64_t known,
                               struct vn_err *err)
{
        uint64_t stored = 0;
        enum vn_rc rc = schema_get(keyed, txn, name, &stored, err);
        if (rc == VN_NOT_FOUND) /* a table that this version brings */
                return schema_put(keyed, txn, name, known, err);
        VN_TRY(rc);
        if (stored > known)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "%s: %s has schema %llu, this program knows up to %llu: the state was written by a "
                               "newer Vane; start that version",
                               keyed->env.path, name, (unsigned long long)stored, (unsigned long long)known);
        if (stored < known)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "%s: %s has schema %llu, which this program no longer reads", keyed->env.path, name,
                               (unsigned long long)stored);
        return VN_OK;
}

static enum vn_rc open_tables(struct vn_keyed *keyed, MDB_txn *txn, struct vn_err *err)
{
        int rc = mdb_dbi_open(txn, "_schema", MDB_CREATE, &keyed->schema);
        if (rc)
                return vn_lmdb_fail(err, rc, keyed->env.path);
        VN_TRY(schema_check(keyed, txn, "format", VN_KEYED_FORMAT, err));
        for (unsigned i = 0; i < VN_TABLE_COUNT; i++) {
                const char *name = vn_table_name((enum vn_table)i);
                VN_TRY(schema_check(keyed, txn, name, vn_table_version((enum vn_table)i), err));
                rc = mdb_dbi_open(txn, name, MDB_CREATE, &keyed->table[i]);
                if (rc)
                        return vn_lmdb_fail(err, rc, keyed->env.path);
        }
        enum vn_rc got = schema_get(keyed, txn, "applied_upto", &keyed->applied_upto, err);
        return got == VN_NOT_FOUND ? schema_put(keyed, txn, "applied_upto", keyed->applied_upto = 0, err) : got;
}

static enum vn_rc fill_keyed(struct vn_env *env, void *arg, struct vn_err *err)
{
        struct vn_keyed *keyed = arg;
        MDB_txn *txn;
        int rc = mdb_txn_begin(env->env, NULL, 0, &txn);
        if (rc)
                return vn_lmdb_fail(err, rc, env->path);
        enum vn_rc filled = open_tables(keyed, txn, err);
        if (filled != VN_OK) {
                mdb_txn_abort(txn);
                return filled;
        }
        return vn_lmdb_fail(err, mdb_txn_commit(txn), env->path);
}

enum vn_rc vn_keyed_open(struct vn_keyed *keyed, const char *path, uint64_t map_bytes, struct vn_err *err)
{
        VN_TRY(vn_env_open(&keyed->env, path, map_bytes, MAX_DBS, fill_keyed, keyed, err));
        enum vn_rc rc = fill_keyed(&keyed->env, keyed, err);
        if (rc != VN_OK)
                vn_env_close(&keyed->env);
        return rc;
}

/* --- batches --- */
static enum vn_rc precondition(struct vn_keyed *keyed, MDB_txn *txn, const struct vn_op *op, enum vn_rc *ret,
                               struct vn_err *err)
{
        MDB_val key = vn_val(op->key), data;
        int rc = mdb_get(txn, keyed->table[op->head.table], &key, &data);
        if (rc && rc != MDB_NOTFOUND)
                return vn_lmdb_fail(err, rc, keyed->env.path);
        if (op->head.kind == VN_OP_REQUIRE_ABSENT && !rc)
                *ret = VN_ALREADY_EXISTS;
        if (op->head.kind == VN_OP_REQUIRE_EQUAL && (rc || !vn_str_eq(vn_val_str(data), op->value)))
                *ret = VN_ABORTED;
        return VN_OK;
}

static enum vn_rc delete_range(struct vn_keyed *keyed, MDB_txn *txn, const struct vn_op *op, struct vn_err *err)
{
        MDB_cursor *cursor;
        MDB_val key = vn_val(op->key), data;
        int rc = mdb_cursor_open(txn, keyed->table[op->head.table], &cursor);
        if (rc)
                return vn_lmdb_fail(err, rc, keyed->env.path);
        rc = mdb_cursor_get(cursor, &key, &data, MDB_SET_RANGE);
        for (uint32_t i = 0; !rc && i < op->head.max && vn_str_cmp(vn_val_str(key), op->value) < 0; i++) {
                rc = mdb_cursor_del(cursor, 0);
                if (!rc) /* after a deletion NEXT is the entry that took its place */
                        rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
        }
        mdb_cursor_close(cursor);
        return rc == MDB_NOTFOUND ? VN_OK : vn_lmdb_fail(err, rc, keyed->env.path);
}

static enum vn_rc apply_op(struct vn_keyed *keyed, MDB_txn *txn, const struct vn_op *op, struct vn_err *err)
{
        MDB_dbi dbi = keyed->table[op->head.table];
        MDB_val key = vn_val(op->key), data = vn_val(op->value);
        int rc = 0;
        switch ((enum vn_op_kind)op->head.kind) {
        case VN_OP_PUT: rc = mdb_put(txn, dbi, &key, &data, 0); break;
        case VN_OP_DELETE:
                rc = mdb_del(txn, dbi, &key, NULL);
                if (rc == MDB_NOTFOUND)
                        rc = 0;
                break;
        case VN_OP_DELETE_RANGE: return delete_range(keyed, txn, op, err);
        case VN_OP_REQUIRE_ABSENT:
        case VN_OP_REQUIRE_EQUAL: break;
        }
        return vn_lmdb_fail(err, rc, keyed->env.path);
}

enum vn_rc vn_keyed_apply_ops(struct vn_keyed *keyed, MDB_txn *txn, struct vn_str ops, struct vn_err *err)
{
        struct vn_op op;
        while (vn_op_next(&ops, &op))
                VN_TRY(apply_op(keyed, txn, &op, err));
        return ops.len ? vn_fail(err, VN_DATA_LOSS, "%s: a batch is damaged", keyed->env.path) : VN_OK;
}

enum vn_rc vn_keyed_apply(struct vn_keyed *keyed, MDB_txn *txn, struct vn_batch *batch, struct vn_err *err)
{
        struct vn_str ops = vn_buf_view(&batch->ops);
        struct vn_op op;
        batch->rc = VN_OK;
        while (batch->rc == VN_OK && vn_op_next(&ops, &op))
                VN_TRY(precondition(keyed, txn, &op, &batch->rc, err));
        return batch->rc == VN_OK ? vn_keyed_apply_ops(keyed, txn, vn_buf_view(&batch->ops), err) : VN_OK;
}

enum vn_rc vn_keyed_mark(struct vn_keyed *keyed, MDB_txn *txn, uint64_t applied_upto, struct vn_err *err)
{
        return schema_put(keyed, txn, "applied_upto", applied_upto, err);
}

/* --- reads --- */
enum vn_rc vn_keyed_get(struct vn_keyed *keyed, MDB_txn *txn, enum vn_table table, const struct vn_key *key,
                        struct vn_buf *ret, struct vn_err *err)
{
        if (key->failed)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: malformed key", vn_table_name(table));
        MDB_val k = {key->len, (void *)(uintptr_t)key->bytes}, data;
        int rc = mdb_get(txn, keyed->table[table], &k, &data);
        if (rc == MDB_NOTFOUND)
                return vn_fail(err, VN_NOT_FOUND, "%s: not found", vn_table_name(table));
        if (rc)
                return vn_lmdb_fail(err, rc, keyed->env.path);
        vn_buf_str(ret, vn_val_str(data));
        return vn_buf_check(ret, err);
}

enum vn_rc vn_keyed_scan(struct vn_keyed *keyed, MDB_txn *txn, enum vn_table table, const struct vn_key *prefix,
                         const struct vn_key *after, size_t limit, vn_scan_fn fn, void *arg, struct vn_err *err)
{
        if (prefix->failed || (after && after->failed))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: malformed key", vn_table_name(table));
        struct vn_str begin = vn_str_n(prefix->bytes, prefix->len);
        struct vn_str last = after ? vn_str_n(after->bytes, after->len) : begin;
        bool skip = after && vn_str_cmp(last, begin) >= 0;
        MDB_val key = vn_val(skip ? last : begin), data;
        MDB_cursor *cursor;
        int rc = mdb_cursor_open(txn, keyed->table[table], &cursor);
        if (rc)
                return vn_lmdb_fail(err, rc, keyed->env.path);
        /* An empty prefix is every tenant: LMDB has no empty key to start from. */
        rc = mdb_cursor_get(cursor, &key, &data, key.mv_size ? MDB_SET_RANGE : MDB_FIRST);
        if (!rc && skip && vn_str_eq(vn_val_str(key), last))
                rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
        for (size_t i = 0; !rc && i < limit && vn_str_starts(vn_val_str(key), begin); i++) {
                if (!fn(arg, vn_val_str(key), vn_val_str(data)))
                        break;
                rc = mdb_cursor_get(cursor, &key, &data, MDB_NEXT);
        }
        mdb_cursor_close(cursor);
        return rc == MDB_NOTFOUND ? VN_OK : vn_lmdb_fail(err, rc, keyed->env.path);
}
