/* transfer.c - models out and updates in: the two streams of an agent's part in a round, on edge loops. */
#include "server/api.h"
#include "server/registry/registry.h"
#include "server/rounds/internal.h"
#include "vane/v1/agent.pb-c.h"

#define CHUNK_BYTES (64u << 10)

/* --- FetchModel: read on the reader loop, sent here as fast as the agent reads --- */

struct fetch {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call;
        uint64_t version;
        struct vn_buf bytes;
        size_t sent;
        bool loading, ended;
        enum vn_rc rc;
        struct vn_err err;
};

static void fetch_finish(struct fetch *f, enum vn_rc rc, const struct vn_err *err)
{
        struct vn_call *call = f->call;
        vn_call_set_user(call, NULL);
        if (!vn_call_over(call))
                vn_call_finish(call, rc, rc == VN_OK ? NULL : err);
        vn_buf_done(&f->bytes);
        vn_free(f);
        vn_call_unref(call);
}

static void fetch_send(struct fetch *f)
{
        while (f->sent < f->bytes.len) {
                Vane__V1__Chunk chunk = VANE__V1__CHUNK__INIT;
                size_t n = f->bytes.len - f->sent;
                union {
                        char *in;
                        uint8_t *out;
                } at = {.in = f->bytes.ptr + f->sent};
                chunk.offset = f->sent;
                chunk.total_bytes = f->bytes.len;
                chunk.data = (ProtobufCBinaryData){n < CHUNK_BYTES ? n : CHUNK_BYTES, at.out};
                enum vn_rc rc = vn_call_send(f->call, &chunk.base);
                if (rc == VN_RESOURCE_EXHAUSTED)
                        return; /* vn_fetch_model_writable goes on */
                if (rc != VN_OK)
                        return fetch_finish(f, VN_CANCELLED, &f->err);
                f->sent += chunk.data.len;
        }
        fetch_finish(f, VN_OK, NULL);
}

static void fetch_loaded(struct vn_task *task)
{
        struct fetch *f = (struct fetch *)task;
        f->loading = false;
        if (f->ended || vn_call_over(f->call))
                fetch_finish(f, VN_CANCELLED, &f->err);
        else if (f->rc != VN_OK)
                fetch_finish(f, f->rc, &f->err);
        else
                fetch_send(f);
}

static void fetch_load(struct vn_task *task)
{
        struct fetch *f = (struct fetch *)task;
        struct vn_key key;
        struct vn_hash hash;
        VN_AUTO(vn_buf)
        entry = VN_BUF_INIT(VN_VALUE_MAX_BYTES);
        vn_lineage_key(&key, vn_call_identity(f->call)->tenant, f->version);
        if (vn_call_over(f->call))
                f->rc = vn_fail(&f->err, VN_CANCELLED, "the agent has gone");
        else
                f->rc = vn_store_get(f->server->store, VN_TABLE_models, &key, &entry, &f->err);
        if (f->rc == VN_NOT_FOUND)
                vn_fail(&f->err, VN_NOT_FOUND, "version: no model %llu", (unsigned long long)f->version);
        if (f->rc == VN_OK) {
                Vane__State__Model *m = vane__state__model__unpack(NULL, entry.len, (const uint8_t *)entry.ptr);
                if (m && m->sha256.len == 32) {
                        memcpy(hash.b, m->sha256.data, 32);
                        f->rc = vn_store_blob_get(f->server->store, &hash, &f->bytes, &f->err);
                } else {
                        f->rc = vn_fail(&f->err, VN_DATA_LOSS, "a stored model is not readable");
                }
                if (m)
                        vane__state__model__free_unpacked(m, NULL);
        }
        f->task.run = fetch_loaded;
        vn_loop_post(vn_call_loop(f->call), &f->task);
}

void vn_fetch_model_start(struct vn_call *call, const ProtobufCMessage *request)
{
        struct vn_server *server = vn_call_context(call);
        struct vn_err err;
        struct fetch *f = vn_alloc(sizeof *f);
        if (!f) {
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        *f = (struct fetch){.task.run = fetch_load,
                            .server = server,
                            .call = vn_call_ref(call),
                            .version = ((const Vane__V1__FetchModelRequest *)request)->version,
                            .bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES),
                            .loading = true};
        vn_call_set_user(call, f);
        vn_loop_post(server->reader, &f->task);
}

void vn_fetch_model_writable(struct vn_call *call)
{
        struct fetch *f = vn_call_user(call);
        if (f && !f->loading)
                fetch_send(f);
}

void vn_fetch_model_cancelled(struct vn_call *call)
{
        struct fetch *f = vn_call_user(call);
        if (!f)
                return;
        f->ended = true;
        if (!f->loading)
                fetch_finish(f, VN_CANCELLED, &f->err);
}

/* --- SubmitUpdate: collected here up to what the header declares, judged on the control loop --- */

struct submit {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call;
        bool has_header, posted;
        struct vn_submission s;
        enum vn_rc rc;
        struct vn_err err;
};

static void submit_end(struct submit *u)
{
        struct vn_call *call = u->call;
        vn_call_set_user(call, NULL);
        vn_buf_done(&u->s.bytes);
        vn_free(u);
        vn_call_unref(call);
}

static void submit_fail(struct submit *u, enum vn_rc rc, const char *what)
{
        struct vn_err err;
        if (!vn_call_over(u->call))
                vn_call_finish(u->call, vn_fail(&err, rc, "%s", what), &err);
        submit_end(u);
}

void vn_submit_open(struct vn_call *call)
{
        struct vn_err err;
        struct submit *u = vn_alloc(sizeof *u);
        if (!u) {
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        u->server = vn_call_context(call);
        u->call = vn_call_ref(call);
        u->s.account_id = vn_call_identity(call)->account_id;
        vn_call_set_user(call, u);
}

void vn_submit_message(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__UpdatePart *part = (const Vane__V1__UpdatePart *)message;
        struct submit *u = vn_call_user(call);
        if (!u || u->posted)
                return;
        if (part->part_case == VANE__V1__UPDATE_PART__PART_HEADER) {
                const Vane__V1__UpdateHeader *h = part->header;
                if (u->has_header || h->sha256.len != 32)
                        return submit_fail(u, VN_INVALID_ARGUMENT, "header: one, first, with a SHA-256");
                if (h->total_bytes > (uint64_t)VN_MODEL_MAX_PARAMETERS * sizeof(float))
                        return submit_fail(u, VN_RESOURCE_EXHAUSTED, "header.total_bytes: larger than any model");
                u->has_header = true;
                u->s.round = h->round;
                u->s.base_version = h->base_version;
                u->s.samples = h->samples;
                u->s.total_bytes = h->total_bytes;
                memcpy(u->s.sha256, h->sha256.data, 32);
                u->s.bytes = VN_BUF_INIT((size_t)h->total_bytes);
                return;
        }
        if (!u->has_header || part->part_case != VANE__V1__UPDATE_PART__PART_CHUNK)
                return submit_fail(u, VN_INVALID_ARGUMENT, "part: a header first, then chunks");
        if (part->chunk->offset != u->s.bytes.len)
                return submit_fail(u, VN_INVALID_ARGUMENT, "chunk.offset: out of order");
        if (!vn_buf_add(&u->s.bytes, part->chunk->data.data, part->chunk->data.len))
                return submit_fail(u, VN_INVALID_ARGUMENT, "chunk.data: more than the header declared");
}

static void submit_answer(struct vn_task *task)
{
        struct submit *u = (struct submit *)task;
        if (!vn_call_over(u->call)) {
                if (u->rc == VN_OK) {
                        Vane__V1__UpdateReceipt receipt = VANE__V1__UPDATE_RECEIPT__INIT;
                        union {
                                const char *in;
                                char *out;
                        } reason = {.in = vn_refusal_name(u->s.refusal)};
                        receipt.accepted = u->s.refusal == VN_ACCEPTED;
                        receipt.reason = reason.out;
                        receipt.weight = u->s.weight;
                        vn_call_reply(u->call, &receipt.base);
                } else {
                        vn_call_finish(u->call, u->rc, &u->err);
                }
        }
        submit_end(u);
}

static void submit_judge(struct vn_task *task)
{
        struct submit *u = (struct submit *)task;
        struct vn_account_entry *account = vn_registry_by_id(u->server->registry, u->s.account_id);
        if (account) {
                vn_registry_heard(u->server, account);
                account->model_version = u->s.base_version;
        }
        u->rc = vn_rounds_accept(u->server, &u->s, &u->err);
        u->task.run = submit_answer;
        vn_loop_post(vn_call_loop(u->call), &u->task);
}

void vn_submit_half_close(struct vn_call *call)
{
        struct submit *u = vn_call_user(call);
        if (!u || u->posted)
                return;
        if (!u->has_header)
                return submit_fail(u, VN_INVALID_ARGUMENT, "part: a header is needed");
        u->posted = true;
        u->task.run = submit_judge;
        vn_loop_post(u->server->control, &u->task);
}

void vn_submit_cancelled(struct vn_call *call)
{
        struct submit *u = vn_call_user(call);
        if (u && !u->posted)
                submit_end(u);
}
