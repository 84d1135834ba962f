#include "server/audit/audit.h"

#include "decide/record.h"
#include "server/tenants.h"
#include "store/history.h"

#define RAW_EXPORT_MAX_BYTES (256u << 20)

static enum vn_rc bytes_in_arena(struct vn_op *op, const void *from, size_t n, ProtobufCBinaryData *ret,
                                 struct vn_err *err)
{
        ret->data = vn_arena_alloc(op->arena, n + 1);
        if (!ret->data)
                return vn_op_no_memory(err);
        memcpy(ret->data, from, n);
        ret->len = n;
        return VN_OK;
}

static enum vn_rc hashes_in_arena(struct vn_op *op, const struct vn_proof *proof, ProtobufCBinaryData **ret,
                                  size_t *ret_n, struct vn_err *err)
{
        *ret = vn_arena_alloc(op->arena, (proof->n + 1) * sizeof **ret);
        if (!*ret)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < proof->n; i++)
                VN_TRY(bytes_in_arena(op, proof->hash[i].b, VN_HASH_BYTES, &(*ret)[i], err));
        *ret_n = proof->n;
        return VN_OK;
}

enum vn_rc op_get_checkpoint(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        (void)message;
        char key[VN_NOTE_KEY_TEXT_BYTES];
        struct vn_checkpoint checkpoint;
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        Vane__V1__Checkpoint *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Checkpoint, vane__v1__checkpoint__init);
        if (!m)
                return vn_op_no_memory(err);
        VN_TRY(vn_store_checkpoint_note(op->server->store, &note));
        VN_TRY(vn_checkpoint_open(op->server->log_key, vn_buf_view(&note), &checkpoint, err));
        vn_note_key_text(op->server->log_key, key);
        m->note = vn_op_text(op, vn_buf_view(&note).ptr);
        m->size = checkpoint.size;
        m->verifier_key = vn_op_text(op, key);
        VN_TRY(bytes_in_arena(op, checkpoint.root.b, VN_HASH_BYTES, &m->root, err));
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc vn_audit_proof(struct vn_op *op, uint64_t index, uint64_t size, Vane__V1__Proof **ret, struct vn_err *err)
{
        struct vn_store *store = op->server->store;
        struct vn_checkpoint checkpoint = vn_store_checkpoint(store);
        struct vn_leaf leaf;
        struct vn_proof proof;
        Vane__V1__Proof *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Proof, vane__v1__proof__init);
        if (!m)
                return vn_op_no_memory(err);
        *ret = m;
        m->index = index;
        if (size > checkpoint.size)
                return vn_fail(err, VN_OUT_OF_RANGE, "size: the log has %llu entries",
                               (unsigned long long)checkpoint.size);
        m->size = size ? size : checkpoint.size;
        if (index >= m->size)
                return VN_OK; /* present stays false: not integrated yet */
        VN_TRY(vn_store_leaf(store, index, &leaf, err));
        VN_TRY(vn_store_prove_inclusion(store, index, m->size, &proof, err));
        VN_TRY(bytes_in_arena(op, leaf.bytes, leaf.len, &m->leaf, err));
        VN_TRY(hashes_in_arena(op, &proof, &m->path, &m->n_path, err));
        if (m->size == checkpoint.size) {
                VN_AUTO(vn_buf)
                note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
                struct vn_checkpoint signed_now;
                VN_TRY(vn_store_checkpoint_note(store, &note));
                VN_TRY(vn_checkpoint_open(op->server->log_key, vn_buf_view(&note), &signed_now, err));
                if (signed_now.size == m->size)
                        m->checkpoint = vn_op_text(op, vn_buf_view(&note).ptr);
                VN_TRY(bytes_in_arena(op, checkpoint.root.b, VN_HASH_BYTES, &m->root, err));
        }
        m->present = true;
        return VN_OK;
}

/* One log for all tenants, but an entry's header says what kind of thing was decided and when. One whose record is gone
 * or erased belongs to nobody any more but the installation. */
static enum vn_rc check_entry(struct vn_op *op, uint64_t index, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_RECORD_MAX_BYTES);
        struct vn_record_index entry;
        struct vn_err unused;
        enum vn_rc rc = vn_store_record(op->server->store, index, &bytes, err);
        if (rc == VN_OK)
                rc = vn_record_peek(vn_buf_view(&bytes), &entry, err);
        bool gone = rc == VN_NOT_FOUND || (rc == VN_OK && !entry.tenant.len);
        if (gone && vn_tenant_is_installation(op->identity, &unused) == VN_OK)
                return VN_OK;
        if (gone || (rc == VN_OK && !vn_str_eq(entry.tenant, vn_str(op->identity->tenant))))
                return vn_fail(err, VN_NOT_FOUND, "index: no entry of this tenant");
        return rc;
}

enum vn_rc op_prove_inclusion(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                              struct vn_err *err)
{
        const Vane__V1__ProveInclusionRequest *request = (const Vane__V1__ProveInclusionRequest *)message;
        Vane__V1__Proof *proof = NULL;
        if (request->index < vn_store_checkpoint(op->server->store).size)
                VN_TRY(check_entry(op, request->index, err));
        VN_TRY(vn_audit_proof(op, request->index, request->size, &proof, err));
        *ret_reply = &proof->base;
        return VN_OK;
}

enum vn_rc op_prove_consistency(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                                struct vn_err *err)
{
        const Vane__V1__ProveConsistencyRequest *request = (const Vane__V1__ProveConsistencyRequest *)message;
        struct vn_checkpoint checkpoint = vn_store_checkpoint(op->server->store);
        uint64_t to = request->to_size ? request->to_size : checkpoint.size;
        struct vn_proof proof;
        Vane__V1__ConsistencyProof *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ConsistencyProof, vane__v1__consistency_proof__init);
        if (!m)
                return vn_op_no_memory(err);
        if (to > checkpoint.size || request->from_size > to || request->from_size == 0)
                return vn_fail(err, VN_OUT_OF_RANGE, "from_size, to_size: 1 <= from <= to <= %llu",
                               (unsigned long long)checkpoint.size);
        VN_TRY(vn_store_prove_consistency(op->server->store, request->from_size, to, &proof, err));
        m->from_size = request->from_size;
        m->to_size = to;
        VN_TRY(hashes_in_arena(op, &proof, &m->path, &m->n_path, err));
        if (to == checkpoint.size)
                VN_TRY(bytes_in_arena(op, checkpoint.root.b, VN_HASH_BYTES, &m->to_root, err));
        *ret_reply = &m->base;
        return VN_OK;
}

/* --- raw HTTP: what other people's log tools fetch --- */

struct raw {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call;
        enum { CHECKPOINT, TILE, EXPORT } what;
        struct vn_tile_name tile;
        int64_t from_us, to_us;
        struct vn_buf body;
        enum vn_rc rc;
        struct vn_err err;
};

static void raw_answer(struct vn_task *task)
{
        struct raw *r = (struct raw *)task;
        struct vn_call *call = r->call;
        if (!vn_call_over(call)) {
                if (r->rc == VN_OK) {
                        static const char *const types[] = {"text/plain; charset=utf-8", "application/octet-stream",
                                                            "application/jsonl"};
                        /* A full tile never changes; a checkpoint and an export do. */
                        bool fixed = r->what == TILE && r->tile.width == VN_TILE_WIDTH;
                        struct vn_http_header cache = {"cache-control",
                                                       fixed ? "private, max-age=31536000, immutable" : "no-store"};
                        vn_http_reply(call, 200, types[r->what], vn_buf_view(&r->body), &cache, 1);
                } else {
                        vn_call_finish(call, r->rc, &r->err);
                }
        }
        vn_buf_done(&r->body);
        vn_call_unref(call);
}

static enum vn_rc whole_export(struct raw *r)
{
        struct vn_export *export;
        bool more = true;
        VN_TRY(vn_export_new(r->server, vn_call_identity(r->call)->tenant, r->from_us, r->to_us, &export, &r->err));
        enum vn_rc rc = VN_OK;
        while (more && rc == VN_OK && !vn_call_over(r->call))
                rc = vn_export_next(export, &r->body, &more, &r->err);
        vn_export_free(export);
        return rc;
}

static void raw_run(struct vn_task *task)
{
        struct raw *r = (struct raw *)task;
        switch (r->what) {
        case CHECKPOINT: r->rc = vn_store_checkpoint_note(r->server->store, &r->body); break;
        case TILE: r->rc = vn_store_tile(r->server->store, &r->tile, &r->body, &r->err); break;
        case EXPORT: r->rc = whole_export(r); break;
        }
        r->task.run = raw_answer;
        vn_loop_post(vn_call_loop(r->call), &r->task);
}

static void raw_start(struct vn_server *server, struct raw *from, struct vn_call *call)
{
        struct vn_err err;
        struct raw *r = vn_arena_alloc(vn_call_arena(call), sizeof *r);
        if (!r) {
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        *r = *from;
        r->task.run = raw_run;
        r->server = server;
        r->call = vn_call_ref(call);
        r->body = VN_BUF_INIT(r->what == EXPORT ? RAW_EXPORT_MAX_BYTES : 1u << 20);
        vn_loop_post(server->reader, &r->task);
}

static void handle_checkpoint(void *context, const struct vn_http_request *request)
{
        raw_start(context, &(struct raw){.what = CHECKPOINT}, request->call);
}

static void handle_tile(void *context, const struct vn_http_request *request)
{
        struct raw r = {.what = TILE};
        struct vn_err err;
        enum vn_rc rc = vn_tile_parse(vn_str_n(request->path.ptr + 1, request->path.len - 1), &r.tile);
        if (rc != VN_OK)
                rc = vn_fail(&err, VN_NOT_FOUND, "no such tile");
        else if (r.tile.level == VN_TILE_ENTRIES) /* leaves of all tenants; the other tiles are hashes only */
                rc = vn_tenant_is_installation(vn_call_identity(request->call), &err);
        if (rc == VN_OK)
                raw_start(context, &r, request->call);
        else
                vn_call_finish(request->call, rc, &err);
}

static bool query_i64(struct vn_str query, const char *name, int64_t *ret)
{
        while (query.ptr && query.len) {
                struct vn_str value = vn_str_cut(&query, '&');
                if (vn_str_eq(vn_str_cut(&value, '='), vn_str(name)))
                        return value.len == 0 || vn_str_to_i64(value, ret) == VN_OK;
        }
        return true;
}

static void handle_export(void *context, const struct vn_http_request *request)
{
        struct raw r = {.what = EXPORT};
        struct vn_err err;
        if (query_i64(request->query, "from", &r.from_us) && query_i64(request->query, "to", &r.to_us) &&
            r.from_us >= 0 && r.to_us >= 0)
                raw_start(context, &r, request->call);
        else
                vn_call_finish(request->call, vn_fail(&err, VN_INVALID_ARGUMENT, "from, to: microseconds since 1970"),
                               &err);
}

enum vn_rc vn_audit_add_http(struct vn_server *server, struct vn_err *err)
{
        VN_TRY(vn_edge_add_http(server->edge, "/checkpoint", VN_ACCESS_VIEWER, handle_checkpoint, server, err));
        VN_TRY(vn_edge_add_http(server->edge, "/tile/", VN_ACCESS_VIEWER, handle_tile, server, err));
        return vn_edge_add_http(server->edge, "/v1/audit/export.jsonl", VN_ACCESS_VIEWER, handle_export, server, err);
}
