/* model_transfer.c - models out, updates in: the streams of FetchModel and SubmitUpdate, on their edge loops.
 * An update is checked while it streams in (federation/gate.h), then made durable on the compute loop, then entered into
 * its round on the control loop, and only then acknowledged. */
#include "base/hash.h"
#include "server/api.h"
#include "server/registry/registry.h"
#include "server/rounds/internal.h"
#include "vane/v1/agent.pb-c.h"

#define CHUNK_BYTES 65536

/* --- models out --- */

struct fetch {
        struct vn_model_bytes *bytes;
        size_t at;
};

static void fetch_free(struct vn_call *call, struct fetch *fetch)
{
        vn_call_set_user(call, NULL);
        vn_model_bytes_unref(fetch->bytes);
        vn_free(fetch);
}

void vn_fetch_model_writable(struct vn_call *call)
{
        struct fetch *fetch = vn_call_user(call);
        if (!fetch)
                return;
        struct vn_buf *bytes = &fetch->bytes->bytes;
        while (fetch->at < bytes->len) {
                Vane__V1__Chunk chunk = VANE__V1__CHUNK__INIT;
                size_t left = bytes->len - fetch->at;
                chunk.offset = fetch->at;
                chunk.total_bytes = bytes->len;
                chunk.data.data = (uint8_t *)bytes->ptr + fetch->at;
                chunk.data.len = left < CHUNK_BYTES ? left : CHUNK_BYTES;
                enum vn_rc rc = vn_call_send(call, &chunk.base);
                if (rc == VN_RESOURCE_EXHAUSTED)
                        return; /* called again when there is room */
                if (rc != VN_OK) {
                        fetch_free(call, fetch);
                        return;
                }
                fetch->at += chunk.data.len;
        }
        fetch_free(call, fetch);
        vn_call_finish(call, VN_OK, NULL);
}

void vn_fetch_model_cancelled(struct vn_call *call)
{
        struct fetch *fetch = vn_call_user(call);
        if (fetch)
                fetch_free(call, fetch);
}

void vn_fetch_model_start(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__FetchModelRequest *request = (const Vane__V1__FetchModelRequest *)message;
        struct vn_rounds *rounds = ((struct vn_server *)vn_call_context(call))->rounds;
        struct fetch *fetch = vn_alloc(sizeof *fetch);
        struct vn_err err;
        enum vn_rc rc = fetch ? VN_OK : vn_op_no_memory(&err);
        if (rc == VN_OK) {
                pthread_mutex_lock(&rounds->mutex);
                struct vn_model_bytes *bytes = rounds->shared.bytes;
                if (!request->version || request->version == bytes->version) {
                        atomic_fetch_add(&bytes->references, 1);
                        fetch->bytes = bytes;
                }
                pthread_mutex_unlock(&rounds->mutex);
                if (!fetch->bytes)
                        rc = vn_fail(&err, VN_NOT_FOUND, "version: only the one in force can be had");
        }
        if (rc != VN_OK) {
                vn_free(fetch);
                vn_call_finish(call, rc, &err);
                return;
        }
        vn_call_set_user(call, fetch);
        vn_fetch_model_writable(call);
}

/* --- updates in --- */

struct submit {
        struct vn_task task;
        struct vn_server *server;
        struct vn_call *call; /* a reference once it is handed on */
        uint64_t account_id;
        bool has_header;
        struct vn_gate_check check;
        uint8_t sha256[VN_SHA256_BYTES];
        struct vn_buf bytes;
        enum vn_refusal refusal;
        enum vn_rc rc;
        struct vn_err err;
};

static void submit_free(struct submit *s)
{
        atomic_fetch_sub(&s->server->rounds->in_flight, s->bytes.max_bytes);
        vn_buf_done(&s->bytes);
        vn_free(s);
}

static void answer(struct vn_call *call, enum vn_refusal refusal, uint64_t weight)
{
        Vane__V1__UpdateReceipt receipt = VANE__V1__UPDATE_RECEIPT__INIT;
        union {
                const char *in;
                char *out;
        } reason = {.in = vn_refusal_name(refusal)};
        receipt.accepted = refusal == VN_ACCEPTED;
        receipt.reason = reason.out;
        receipt.weight = weight;
        vn_call_reply(call, &receipt.base);
}

/* On the call's loop, before anything was handed on. */
static void refuse(struct submit *s, enum vn_refusal refusal)
{
        struct vn_call *call = s->call;
        struct vn_rounds *rounds = s->server->rounds;
        vn_gate_count(&rounds->gate, refusal);
        if (refusal != VN_REFUSED_ROUND && refusal != VN_REFUSED_NO_ROUND && refusal != VN_REFUSED_LATE)
                atomic_fetch_add(&rounds->refused, 1);
        vn_call_set_user(call, NULL);
        submit_free(s);
        answer(call, refusal, 0);
}

void vn_submit_open(struct vn_call *call)
{
        struct vn_server *server = vn_call_context(call);
        struct vn_err err;
        struct submit *s = vn_alloc(sizeof *s);
        if (!s) {
                vn_call_finish(call, vn_op_no_memory(&err), &err);
                return;
        }
        s->server = server;
        s->call = call;
        s->account_id = vn_call_identity(call)->account_id;
        vn_call_set_user(call, s);
}

void vn_submit_cancelled(struct vn_call *call)
{
        struct submit *s = vn_call_user(call);
        if (s)
                submit_free(s);
        vn_call_set_user(call, NULL);
}

static enum vn_refusal take_header(struct submit *s, const Vane__V1__UpdateHeader *h)
{
        struct vn_rounds *rounds = s->server->rounds;
        struct vn_gate_header header = {h->round, h->base_version, h->samples, h->total_bytes};
        pthread_mutex_lock(&rounds->mutex);
        bool open = rounds->shared.open;
        struct vn_gate_rules rules = rounds->shared.rules;
        int64_t deadline_us = rounds->shared.deadline_us;
        pthread_mutex_unlock(&rounds->mutex);
        if (!open)
                return VN_REFUSED_NO_ROUND;
        if (vn_now_us(s->server->clock) > deadline_us)
                return VN_REFUSED_LATE;
        if (h->sha256.len != sizeof s->sha256)
                return VN_REFUSED_CHECKSUM;
        enum vn_refusal refusal = vn_gate_begin(&rules, &header, &s->check);
        if (refusal != VN_ACCEPTED)
                return refusal;
        memcpy(s->sha256, h->sha256.data, sizeof s->sha256);
        s->bytes = VN_BUF_INIT(rules.parameters * sizeof(float));
        atomic_fetch_add(&rounds->in_flight, s->bytes.max_bytes);
        s->has_header = true;
        return VN_ACCEPTED;
}

static enum vn_refusal take_chunk(struct submit *s, const Vane__V1__Chunk *chunk)
{
        if (!s->has_header)
                return VN_REFUSED_ORDER;
        enum vn_refusal refusal = vn_gate_chunk(&s->check, chunk->offset, chunk->data.data, chunk->data.len);
        if (refusal == VN_ACCEPTED)
                vn_buf_add(&s->bytes, chunk->data.data, chunk->data.len);
        return refusal;
}

void vn_submit_message(struct vn_call *call, const ProtobufCMessage *message)
{
        const Vane__V1__UpdatePart *part = (const Vane__V1__UpdatePart *)message;
        struct submit *s = vn_call_user(call);
        enum vn_refusal refusal = VN_REFUSED_ORDER;
        if (!s)
                return;
        if (part->part_case == VANE__V1__UPDATE_PART__PART_HEADER && !s->has_header)
                refusal = take_header(s, part->header);
        else if (part->part_case == VANE__V1__UPDATE_PART__PART_CHUNK)
                refusal = take_chunk(s, part->chunk);
        if (refusal != VN_ACCEPTED) {
                refuse(s, refusal);
                return;
        }
        if (s->bytes.failed || atomic_load(&s->server->rounds->in_flight) > VN_ROUND_MAX_IN_FLIGHT) {
                struct vn_err err;
                vn_call_set_user(call, NULL);
                submit_free(s);
                vn_call_finish(call, vn_fail(&err, VN_RESOURCE_EXHAUSTED, "too many updates at once: try again"), &err);
        }
}

/* Fourth, back on the call's loop. */
static void submit_answer(struct vn_task *task)
{
        struct submit *s = (struct submit *)task;
        struct vn_call *call = s->call;
        if (s->rc == VN_OK && s->refusal != VN_ACCEPTED)
                atomic_fetch_add(&s->server->rounds->refused, 1);
        if (s->rc == VN_OK)
                vn_gate_count(&s->server->rounds->gate, s->refusal);
        if (!vn_call_over(call)) {
                if (s->rc == VN_OK)
                        answer(call, s->refusal, s->check.weight);
                else
                        vn_call_finish(call, s->rc, &s->err);
        }
        submit_free(s);
        vn_call_unref(call);
}

static enum vn_refusal entry_refusal(const struct vn_rounds *rounds, const struct submit *s, bool *ret_there)
{
        *ret_there = false;
        if (!rounds->is_open || rounds->open.state != VN_ROUND_COLLECTING)
                return VN_REFUSED_NO_ROUND;
        if (rounds->open.round != s->check.rules.round)
                return VN_REFUSED_ROUND;
        if (!vn_registry_by_id(s->server->registry, s->account_id))
                return VN_REFUSED_IDENTITY;
        for (size_t i = 0; i < rounds->open.update_count; i++)
                if (rounds->open.updates[i].account_id == s->account_id) {
                        *ret_there = !memcmp(rounds->open.updates[i].sha256, s->sha256, sizeof s->sha256);
                        return *ret_there ? VN_ACCEPTED : VN_REFUSED_DUPLICATE;
                }
        return rounds->open.update_count < VN_MAX_ROUND_UPDATES ? VN_ACCEPTED : VN_REFUSED_LATE;
}

/* Enters the update into the round's row; in memory only once that is durable. */
static enum vn_rc enter(struct submit *s, struct vn_err *err)
{
        struct vn_rounds *rounds = s->server->rounds;
        VN_AUTO(vn_batch) batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "round: out of memory");
        struct vn_round_update *update = &rounds->open.updates[rounds->open.update_count];
        update->account_id = s->account_id;
        update->weight = s->check.weight;
        memcpy(update->sha256, s->sha256, sizeof update->sha256);
        rounds->open.update_count++;
        rounds->open.refused = atomic_load(&rounds->refused);
        vn_round_put(batch, &rounds->open);
        enum vn_rc rc = vn_store_commit(s->server->store, batch, err);
        if (rc != VN_OK) {
                rounds->open.update_count--;
                return rc;
        }
        struct vn_account_entry *account = vn_registry_by_id(s->server->registry, s->account_id);
        account->model_version = rounds->open.base_version;
        vn_registry_heard(s->server, account);
        return VN_OK;
}

/* Third, on the control loop: the round may have ended meanwhile. */
static void submit_enter(struct vn_task *task)
{
        struct submit *s = (struct submit *)task;
        bool there;
        if (!s->server->rounds)
                return; /* vaned is stopping: nothing was acknowledged, the process ends */
        if (s->rc == VN_OK) {
                s->refusal = entry_refusal(s->server->rounds, s, &there);
                if (s->refusal == VN_ACCEPTED && !there)
                        s->rc = enter(s, &s->err);
        }
        s->task.run = submit_answer;
        vn_loop_post(vn_call_loop(s->call), &s->task);
}

/* Second, on the compute loop: the journal. */
static void submit_journal(struct vn_task *task)
{
        struct submit *s = (struct submit *)task;
        struct vn_hash hash;
        s->rc = vn_store_blob_put(s->server->store, vn_buf_view(&s->bytes), &hash, &s->err);
        if (s->rc == VN_OK && memcmp(hash.b, s->sha256, sizeof hash.b))
                s->rc = vn_fail(&s->err, VN_INTERNAL, "round: the journal names another hash");
        s->task.run = submit_enter;
        vn_loop_post(s->server->control, &s->task);
}

/* First, on the call's loop: the last checks. */
void vn_submit_half_close(struct vn_call *call)
{
        struct submit *s = vn_call_user(call);
        uint8_t sha256[VN_SHA256_BYTES];
        double norm;
        if (!s)
                return;
        enum vn_refusal refusal = s->has_header ? vn_gate_end(&s->check, &norm) : VN_REFUSED_INCOMPLETE;
        if (refusal == VN_ACCEPTED) {
                vn_sha256(s->bytes.ptr, s->bytes.len, sha256);
                if (memcmp(sha256, s->sha256, sizeof sha256))
                        refusal = VN_REFUSED_CHECKSUM;
        }
        if (refusal != VN_ACCEPTED) {
                refuse(s, refusal);
                return;
        }
        vn_call_set_user(call, NULL); /* from here on a cancelled call changes nothing: the update counts */
        s->call = vn_call_ref(call);
        s->task.run = submit_journal;
        vn_loop_post(s->server->rounds->compute, &s->task);
}
