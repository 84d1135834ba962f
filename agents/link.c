#include "agents/link.h"

#include "agents/trouble.h"
#include "agents/window_proto.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/tls.h"
#include "vane/v1/agent.pb-c.h"

#define CALL_US (10 * VN_US_PER_S)
#define STREAM_US (60 * VN_US_PER_S)
#define ARENA_BYTES (4u << 20)
#define CHUNK_BYTES 65536

static char *text(const char *borrowed)
{
        union {
                const char *in;
                char *out;
        } cast = {.in = borrowed}; /* protobuf-c packs from char * but does not write to it */
        return cast.out;
}

enum vn_rc vn_link_open(const char *server, struct vn_str ca_pem, const struct vn_agent_identity *identity,
                        struct vn_grpc_channel **ret, struct vn_err *err)
{
        struct vn_grpc_options options = {.target = server, .ca_pem = ca_pem, .keep_alive = true};
        if (identity->cert_pem.len) {
                options.cert_pem = vn_buf_view(&identity->cert_pem);
                options.key_pem = vn_buf_view(&identity->key_pem);
        }
        return vn_grpc_channel_new(&options, ret, err);
}

/* A unary call whose answer says nothing (Ack). */
static enum vn_rc tell(struct vn_grpc_channel *channel, const char *path, const ProtobufCMessage *request,
                       struct vn_err *err)
{
        VN_AUTO(vn_arena)
        arena;
        ProtobufCMessage *reply = NULL;
        /* Waits for the line: a call that fails at once ends the polling that makes a new one, and after a restart of
         * the server the handshake would stand still until the server gives it up. */
        struct vn_grpc_method method = {path, &vane__v1__ack__descriptor, CALL_US, true};
        vn_arena_init(&arena, 65536);
        return vn_grpc_unary(channel, &method, request, &arena, &reply, err);
}

/* --- joining --- */

static enum vn_rc take_certificate(struct vn_agent_identity *identity, const Vane__V1__EnrollResponse *m,
                                   struct vn_str key_pem, int64_t now_s, struct vn_err *err)
{
        struct vn_agent_certificate certificate = {
                .key_pem = key_pem,
                .cert_pem = vn_str(m->certificate_pem),
                .ca_pem = vn_str(m->ca_pem),
                .account_id = m->account_id,
                .level = m->level,
        };
        return vn_agent_identity_take(identity, &certificate, now_s, err);
}

enum vn_rc vn_link_enrol(struct vn_grpc_channel *channel, struct vn_agent_identity *identity,
                         const struct vn_join_token *token, struct vn_str token_text, int64_t now_s,
                         struct vn_err *err)
{
        VN_AUTO(vn_arena)
        arena;
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        key = VN_BUF_INIT(16384);
        uint8_t fingerprint[32];
        vn_arena_init(&arena, 262144);
        VN_TRY(vn_pki_make_csr(vn_buf_view(&identity->key_pem), &csr, err));
        Vane__V1__EnrollRequest request = VANE__V1__ENROLL_REQUEST__INIT;
        request.token = text(token_text.ptr); /* terminated: it comes from a vn_buf */
        request.csr_pem = csr.ptr;
        request.agent_version = text(VANE_VERSION);
        struct vn_grpc_method method = {"/vane.v1.Agents/Enroll", &vane__v1__enroll_response__descriptor, CALL_US,
                                        true};
        ProtobufCMessage *reply = NULL;
        VN_TRY(vn_grpc_unary(channel, &method, &request.base, &arena, &reply, err));
        const Vane__V1__EnrollResponse *m = (const Vane__V1__EnrollResponse *)reply;
        VN_TRY(vn_pki_cert_fingerprint(vn_str(m->ca_pem), fingerprint, err));
        if (memcmp(fingerprint, token->ca_fingerprint, sizeof fingerprint))
                return vn_fail(err, VN_PERMISSION_DENIED, "the server's CA is not the one that the join token names");
        vn_buf_str(&key, vn_buf_view(&identity->key_pem));
        VN_TRY(vn_buf_check(&key, err));
        return take_certificate(identity, m, vn_buf_view(&key), now_s, err);
}

enum vn_rc vn_link_renew(struct vn_grpc_channel *channel, struct vn_agent_identity *identity, int64_t now_s,
                         struct vn_err *err)
{
        VN_AUTO(vn_arena)
        arena;
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        key = VN_BUF_INIT(16384);
        vn_arena_init(&arena, 262144);
        VN_TRY(vn_pki_make_key(&key, err));
        VN_TRY(vn_pki_make_csr(vn_buf_view(&key), &csr, err));
        Vane__V1__RenewRequest request = VANE__V1__RENEW_REQUEST__INIT;
        request.csr_pem = csr.ptr;
        struct vn_grpc_method method = {"/vane.v1.Agents/Renew", &vane__v1__enroll_response__descriptor, CALL_US,
                                        true}; /* waits for the line, as in `tell` */
        ProtobufCMessage *reply = NULL;
        VN_TRY(vn_grpc_unary(channel, &method, &request.base, &arena, &reply, err));
        return take_certificate(identity, (const Vane__V1__EnrollResponse *)reply, vn_buf_view(&key), now_s, err);
}

/* --- reports --- */

static char *copy(struct vn_arena *arena, const char *text)
{
        return vn_arena_strndup(arena, text, strlen(text));
}

static enum vn_rc add_troubles(const struct vn_troubles *troubles, struct vn_arena *arena,
                               Vane__V1__WindowReport *report, struct vn_err *err)
{
        Vane__V1__CloudTrouble *all = vn_arena_alloc(arena, VN_WORK_COUNT * sizeof *all);
        report->troubles = vn_arena_alloc(arena, VN_WORK_COUNT * sizeof *report->troubles);
        if (!all || !report->troubles)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windows: out of memory");
        for (int i = 0; i < VN_WORK_COUNT; i++) {
                const struct vn_trouble *t = &troubles->of[i];
                if (!t->since_us)
                        continue;
                Vane__V1__CloudTrouble *m = report->troubles[report->n_troubles++] = &all[i];
                vane__v1__cloud_trouble__init(m);
                m->work = copy(arena, vn_work_name((enum vn_work)i));
                m->reason = copy(arena, t->text);
                m->since_us = t->since_us;
                if (!m->work || !m->reason)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windows: out of memory");
        }
        return VN_OK;
}

static void fill_usage(const struct vn_link_counts *counts, Vane__V1__CloudUsage *ret,
                       Vane__V1__CloudCalls calls[VN_CALL_CLASSES], Vane__V1__CloudCalls *rows[VN_CALL_CLASSES])
{
        vane__v1__cloud_usage__init(ret);
        ret->since_us = counts->usage.since_us;
        ret->calls_per_hour = counts->usage.calls_per_hour;
        ret->left = counts->usage.left;
        ret->n_calls = VN_CALL_CLASSES;
        ret->calls = rows;
        for (size_t i = 0; i < VN_CALL_CLASSES; i++) {
                vane__v1__cloud_calls__init(rows[i] = &calls[i]);
                calls[i].class_ = text(vn_call_class_name((enum vn_call_class)i));
                calls[i].calls = counts->usage.calls[i];
                calls[i].usd = counts->usage.usd[i];
        }
}

/* What may leave of a window: its sizes only where the rules say so. */
static void without_sizes(Vane__V1__Window *window)
{
        window->payload_log_mean = window->payload_sum_bytes = window->response_sum_bytes = 0;
}

enum vn_rc vn_link_windows(struct vn_grpc_channel *channel, const struct vn_leave_rules *rules,
                           const struct vn_window *windows, size_t count, const struct vn_link_counts *counts,
                           struct vn_err *err)
{
        VN_AUTO(vn_arena)
        arena;
        Vane__V1__WindowReport report = VANE__V1__WINDOW_REPORT__INIT;
        VN_ASSERT(count <= VN_LINK_MAX_WINDOWS);
        if (count)
                VN_TRY(vn_leave_check(rules, VN_LEAVING_WINDOW, err));
        vn_arena_init(&arena, ARENA_BYTES);
        report.n_windows = count;
        report.windows = vn_arena_alloc(&arena, count * sizeof *report.windows);
        for (size_t i = 0; report.windows && i < count; i++) {
                VN_TRY(vn_window_to_proto(&windows[i], &arena, &report.windows[i], err));
                if (!vn_may_leave(rules, VN_LEAVING_SIZES))
                        without_sizes(report.windows[i]);
        }
        if (!report.windows)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windows: out of memory");
        report.dropped_fields = counts->dropped_fields;
        report.sampled_calls = counts->sampled_calls;
        report.cloud_api_calls = counts->cloud_api_calls;
        report.cloud_failures = counts->cloud_failures;
        Vane__V1__CloudUsage usage;
        Vane__V1__CloudCalls calls[VN_CALL_CLASSES], *rows[VN_CALL_CLASSES];
        fill_usage(counts, &usage, calls, rows);
        report.cloud_usage = &usage;
        VN_TRY(add_troubles(counts->troubles, &arena, &report, err));
        Vane__V1__Ability ability = VANE__V1__ABILITY__INIT;
        if (counts->ability) {
                ability.level = text(counts->ability);
                ability.refused = text(counts->refused);
                report.ability = &ability;
        }
        return tell(channel, "/vane.v1.Agents/ReportWindows", &report.base, err);
}

enum vn_rc vn_link_alive(struct vn_grpc_channel *channel, struct vn_err *err)
{
        Vane__V1__WindowReport report = VANE__V1__WINDOW_REPORT__INIT;
        report.only_alive = true;
        return tell(channel, "/vane.v1.Agents/ReportWindows", &report.base, err);
}

enum vn_rc vn_link_inventory(struct vn_grpc_channel *channel, const struct vn_leave_rules *rules,
                             const Vane__V1__InventoryReport *report, struct vn_err *err)
{
        VN_TRY(vn_leave_check(rules, VN_LEAVING_INVENTORY, err));
        return tell(channel, "/vane.v1.Agents/ReportInventory", &report->base, err);
}

enum vn_rc vn_link_prices(struct vn_grpc_channel *channel, const Vane__V1__PriceReport *report, struct vn_err *err)
{
        return tell(channel, "/vane.v1.Agents/ReportPrices", &report->base, err);
}

enum vn_rc vn_link_command(struct vn_grpc_channel *channel, const struct vn_command_result *result,
                           struct vn_err *err)
{
        Vane__V1__CommandResult m = VANE__V1__COMMAND_RESULT__INIT;
        m.id = text(result->id);
        m.done = result->done;
        m.error = text(result->error);
        m.memory_mb = result->memory_mb;
        m.guard = text(result->guard);
        return tell(channel, "/vane.v1.Agents/ReportCommand", &m.base, err);
}

enum vn_rc vn_link_grant(struct vn_grpc_channel *channel, const Vane__V1__GrantReport *report, struct vn_err *err)
{
        return tell(channel, "/vane.v1.Agents/ReportGrant", &report->base, err);
}

/* --- models and updates --- */

struct model_bytes {
        struct vn_buf bytes;
        uint64_t total;
};

static enum vn_rc take_chunk(void *context, const ProtobufCMessage *message, struct vn_err *err)
{
        struct model_bytes *model = context;
        const Vane__V1__Chunk *chunk = (const Vane__V1__Chunk *)message;
        if (chunk->offset != model->bytes.len || (model->bytes.len && chunk->total_bytes != model->total) ||
            chunk->total_bytes > VN_MODEL_MAX_BYTES)
                return vn_fail(err, VN_DATA_LOSS, "model: a chunk is out of place");
        model->total = chunk->total_bytes;
        vn_buf_add(&model->bytes, chunk->data.data, chunk->data.len);
        return vn_buf_check(&model->bytes, err);
}

enum vn_rc vn_link_model(struct vn_grpc_channel *channel, uint64_t version, struct vn_model **ret, struct vn_err *err)
{
        Vane__V1__FetchModelRequest request = VANE__V1__FETCH_MODEL_REQUEST__INIT;
        struct vn_grpc_method method = {"/vane.v1.Agents/FetchModel", &vane__v1__chunk__descriptor, STREAM_US, false};
        struct model_bytes model = {.bytes = VN_BUF_INIT(VN_MODEL_MAX_BYTES)};
        VN_AUTO(vn_model)
        decoded = NULL;
        request.version = version;
        enum vn_rc rc = vn_grpc_server_stream(channel, &method, &request.base, ARENA_BYTES, take_chunk, &model, err);
        if (rc == VN_OK && model.bytes.len != model.total)
                rc = vn_fail(err, VN_DATA_LOSS, "model: the stream ended early");
        if (rc == VN_OK)
                rc = vn_model_decode(vn_buf_view(&model.bytes), &decoded, err);
        if (rc == VN_OK && decoded->version != version)
                rc = vn_fail(err, VN_DATA_LOSS, "model: another version than asked for");
        vn_buf_done(&model.bytes);
        if (rc == VN_OK)
                *ret = vn_steal(&decoded);
        return rc;
}

static enum vn_rc send_header(struct vn_grpc_call *call, const struct vn_agent_round *round,
                              const struct vn_learn_update *update, struct vn_err *err)
{
        Vane__V1__UpdatePart part = VANE__V1__UPDATE_PART__INIT;
        Vane__V1__UpdateHeader header = VANE__V1__UPDATE_HEADER__INIT;
        Vane__V1__EvalSums eval = VANE__V1__EVAL_SUMS__INIT;
        uint8_t sha256[VN_SHA256_BYTES];
        vn_sha256(update->delta, update->parameters * sizeof(float), sha256);
        eval.windows = update->eval_windows;
        eval.model_loss_sum = update->model_loss_sum;
        eval.mean_loss_sum = update->mean_loss_sum;
        eval.median_loss_sum = update->median_loss_sum;
        header.round = round->round;
        header.base_version = round->base_version;
        header.samples = update->result.samples;
        header.total_bytes = update->parameters * sizeof(float);
        header.sha256.data = sha256;
        header.sha256.len = sizeof sha256;
        header.local_loss_before = update->result.loss_before;
        header.local_loss_after = update->result.loss_after;
        header.eval = &eval;
        part.part_case = VANE__V1__UPDATE_PART__PART_HEADER;
        part.header = &header;
        return vn_grpc_send(call, &part.base, err);
}

static enum vn_rc send_chunks(struct vn_grpc_call *call, const struct vn_learn_update *update, struct vn_err *err)
{
        size_t total = update->parameters * sizeof(float);
        for (size_t at = 0; at < total; at += CHUNK_BYTES) {
                Vane__V1__UpdatePart part = VANE__V1__UPDATE_PART__INIT;
                Vane__V1__Chunk chunk = VANE__V1__CHUNK__INIT;
                chunk.offset = at;
                chunk.total_bytes = total;
                chunk.data.data = (uint8_t *)update->delta + at;
                chunk.data.len = total - at < CHUNK_BYTES ? total - at : CHUNK_BYTES;
                part.part_case = VANE__V1__UPDATE_PART__PART_CHUNK;
                part.chunk = &chunk;
                VN_TRY(vn_grpc_send(call, &part.base, err));
        }
        return vn_grpc_send_done(call, err);
}

enum vn_rc vn_link_update(struct vn_grpc_channel *channel, const struct vn_leave_rules *rules,
                          const struct vn_agent_round *round, const struct vn_learn_update *update,
                          struct vn_err *err)
{
        VN_TRY(vn_leave_check(rules, VN_LEAVING_UPDATE, err));
        VN_AUTO(vn_arena)
        arena;
        VN_AUTO(vn_grpc_call)
        call = NULL;
        struct vn_grpc_method method = {"/vane.v1.Agents/SubmitUpdate", &vane__v1__update_receipt__descriptor,
                                        STREAM_US, false};
        ProtobufCMessage *reply = NULL;
        vn_arena_init(&arena, 65536);
        VN_TRY(vn_grpc_open(channel, &method, &call, err));
        enum vn_rc rc = send_header(call, round, update, err);
        if (rc == VN_OK)
                rc = send_chunks(call, update, err);
        if (rc == VN_OK || rc == VN_CANCELLED)
                rc = vn_grpc_recv(call, &arena, &reply, err); /* an early refusal has its answer here */
        if (rc == VN_OK && !reply) {
                rc = vn_grpc_finish(call, err);
                return rc == VN_OK ? vn_fail(err, VN_DATA_LOSS, "update: no receipt") : rc;
        }
        VN_TRY(rc);
        const Vane__V1__UpdateReceipt *receipt = (const Vane__V1__UpdateReceipt *)reply;
        if (!receipt->accepted)
                return vn_fail(err, VN_ABORTED, "update refused: %.100s", receipt->reason);
        return vn_grpc_finish(call, err);
}
