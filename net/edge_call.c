/* edge_call.c - the life of a call: made, filled with headers and body, admitted, run, ended. See edge_call.h. */
#include "base/metrics.h"
#include "net/edge_internal.h"

#define KEEP_BUFFER_BYTES (16u << 10)
#define MAX_STASH_BYTES (2u << 20)
#define MAX_OUT_BYTES (64u << 20)

/* --- memory that protobuf-c unpacks into --- */

static void *arena_alloc(void *data, size_t bytes)
{
        struct vn_call *call = data;
        void *memory = vn_arena_alloc(call->arena_now, bytes);
        if (!memory)
                call->arena_full = true;
        return memory;
}

static void arena_free(void *data, void *memory)
{
        (void)data, (void)memory; /* goes with the arena */
}

/* --- birth and death --- */

static struct vn_call *fresh(struct edge_loop *loop)
{
        struct vn_call *call = loop->pool;
        if (!call) {
                call = vn_alloc(sizeof *call);
                if (!call)
                        return NULL;
                vn_arena_init(&call->arena, CALL_ARENA_BYTES);
                vn_arena_init(&call->message_arena, CALL_ARENA_BYTES);
                vn_arena_init(&call->head_arena, CALL_ARENA_BYTES);
                call->body = VN_BUF_INIT(MAX_OUT_BYTES);
                call->out = VN_BUF_INIT(MAX_OUT_BYTES);
                return call;
        }
        loop->pool = call->next;
        loop->pool_count--;
        struct vn_arena arena = call->arena, message_arena = call->message_arena, head_arena = call->head_arena;
        struct vn_buf body = call->body, out = call->out;
        memset(call, 0, offsetof(struct vn_call, header_store));
        call->arena = arena;
        call->message_arena = message_arena;
        call->head_arena = head_arena;
        call->body = body;
        call->out = out;
        return call;
}

struct vn_call *edge_call_new(struct edge_conn *conn, int32_t stream_id)
{
        struct vn_call *call = fresh(conn->loop);
        if (!call)
                return NULL;
        call->refs = 1;
        call->conn = conn;
        call->loop = conn->loop;
        call->stream_id = stream_id;
        call->headers = call->header_store;
        call->header_room = CALL_INLINE_HEADERS;
        call->allocator = (ProtobufCAllocator){arena_alloc, arena_free, call};
        call->arena_now = &call->arena;
        call->stash = VN_BUF_INIT(MAX_STASH_BYTES);
        call->deadline_us = INT64_MAX;
        call->content_length = -1;
        call->next = conn->calls;
        if (call->next)
                call->next->prev = call;
        conn->calls = call;
        conn->call_count++;
        edge_count(conn->loop, EDGE_STAT_calls, 1);
        return call;
}

struct vn_call *vn_call_ref(struct vn_call *call)
{
        call->refs++;
        return call;
}

static void keep_small(struct vn_buf *buf)
{
        if (buf->cap > KEEP_BUFFER_BYTES) {
                vn_buf_done(buf);
                *buf = VN_BUF_INIT(MAX_OUT_BYTES);
        } else {
                vn_buf_reset(buf);
        }
}

struct vn_call *vn_call_unref(struct vn_call *call)
{
        if (!call || --call->refs)
                return NULL;
        struct edge_loop *loop = call->loop;
        vn_arena_reset(&call->arena);
        vn_arena_reset(&call->message_arena);
        vn_arena_reset(&call->head_arena);
        keep_small(&call->body);
        keep_small(&call->out);
        vn_buf_done(&call->stash);
        if (loop->pool_count < EDGE_POOL_CALLS) {
                call->next = loop->pool;
                loop->pool = call;
                loop->pool_count++;
                return NULL;
        }
        vn_arena_done(&call->arena);
        vn_arena_done(&call->message_arena);
        vn_arena_done(&call->head_arena);
        vn_buf_done(&call->body);
        vn_buf_done(&call->out);
        vn_free(call);
        return NULL;
}

static void disarm(struct vn_call *call)
{
        if (call->deadline_armed)
                event_del(&call->deadline_event);
        call->deadline_armed = false;
        call->body_deadline_us = 0;
}

static void tell_cancelled(struct vn_call *call)
{
        call->over = true;
        if (!call->started || call->finished)
                return;
        edge_count(call->loop, EDGE_STAT_cancelled, 1);
        if (call->entry && call->entry->row->cancelled)
                call->entry->row->cancelled(call);
}

void edge_call_detach(struct vn_call *call)
{
        struct edge_conn *conn = call->conn;
        if (!conn)
                return;
        disarm(call);
        edge_call_hold(call, 0);
        *(call->prev ? &call->prev->next : &conn->calls) = call->next;
        if (call->next)
                call->next->prev = call->prev;
        conn->call_count--;
        conn->active_us = conn->loop->now_us;
        edge_h1_call_gone(call);
        call->conn = NULL;
        edge_count(call->loop, EDGE_STAT_calls_ended, 1);
        if (!call->over)
                tell_cancelled(call);
        vn_call_unref(call);
}

/* --- request --- */

static bool more_headers(struct vn_call *call)
{
        struct call_header *headers = vn_arena_alloc(&call->arena, CALL_MAX_HEADERS * sizeof *headers);
        if (!headers)
                return false;
        memcpy(headers, call->headers, call->header_count * sizeof *headers);
        call->headers = headers;
        call->header_room = CALL_MAX_HEADERS;
        return true;
}

void edge_call_header(struct vn_call *call, struct vn_str name, struct vn_str value)
{
        call->header_bytes += name.len + value.len + 32; /* as SETTINGS_MAX_HEADER_LIST_SIZE counts */
        if (call->header_bytes > call->loop->edge->limits.max_header_bytes)
                call->head_too_large = true;
        if (call->head_too_large)
                return;
        char *copy = vn_arena_alloc(&call->arena, name.len + value.len);
        if (!copy) {
                call->head_too_large = true;
                return;
        }
        memcpy(copy, name.ptr, name.len);
        if (value.len)
                memcpy(copy + name.len, value.ptr, value.len);
        value.ptr = copy + name.len;
        name.ptr = copy;
        if (name.ptr[0] == ':') {
                if (vn_str_eq(name, VN_STR(":path")))
                        call->target = value;
                else if (vn_str_eq(name, VN_STR(":method")))
                        call->verb = value;
                else if (vn_str_eq(name, VN_STR(":authority")))
                        call->authority = value;
                return;
        }
        if (call->header_count == call->header_room &&
            (call->header_room == CALL_MAX_HEADERS || !more_headers(call))) {
                call->head_too_large = true;
                return;
        }
        call->headers[call->header_count++] = (struct call_header){name, value};
}

static bool host_is_known(const struct vn_edge *edge, struct vn_str host)
{
        for (unsigned i = 0; i < edge->host_count; i++)
                if (vn_str_eq_nocase(vn_str(edge->hosts[i]), host))
                        return true;
        return false;
}

/* Plain listeners are on loopback, where any web page can send requests by a name of its own that it made resolve
 * there: so both names, the one asked for and the one asking, must be ours. */
static bool host_allowed(const struct vn_call *call)
{
        const struct vn_edge *edge = call->loop->edge;
        struct vn_str host = call->authority.len ? call->authority : vn_call_header(call, "host");
        struct vn_str origin = vn_call_header(call, "origin");
        if (!host_is_known(edge, host))
                return false;
        if (!origin.len)
                return true;
        return vn_str_starts(origin, VN_STR("http://")) &&
               host_is_known(edge, vn_str_n(origin.ptr + 7, origin.len - 7));
}

static bool is_grpc(const struct vn_call *call)
{
        struct vn_str type = vn_call_header(call, "content-type");
        const size_t n = sizeof "application/grpc" - 1;
        return call->stream_id && vn_str_starts(type, VN_STR("application/grpc")) &&
               (type.len == n || type.ptr[n] == '+' || type.ptr[n] == ';');
}

void edge_call_head_done(struct vn_call *call)
{
        struct edge_loop *loop = call->loop;
        call->head_done = true;
        call->body_deadline_us = loop->now_us + (int64_t)loop->edge->limits.body_timeout_ms * 1000;
        call->is_head = vn_str_eq(call->verb, VN_STR("HEAD"));
        if (call->head_too_large) {
                edge_count(loop, EDGE_STAT_too_large, 1);
                edge_http_error(call, 431, VN_RESOURCE_EXHAUSTED, "request header fields too large");
                return;
        }
        struct vn_str query = call->target;
        call->path = vn_str_cut(&query, '?');
        call->query = query.ptr ? query : VN_STR("");
        if (call->conn->plain && !host_allowed(call)) {
                edge_count(loop, EDGE_STAT_denied, 1);
                edge_http_error(call, 403, VN_PERMISSION_DENIED, "this Host or Origin is not served here");
        } else if (is_grpc(call)) {
                edge_grpc_head(call);
        } else {
                edge_http_head(call);
        }
}

bool edge_call_hold(struct vn_call *call, size_t bytes)
{
        struct edge_conn *conn = call->conn;
        if (!conn || bytes == call->held_bytes)
                return true;
        conn->buffered_bytes += bytes - call->held_bytes; /* wraps on purpose when it shrinks */
        call->loop->buffered_bytes += bytes - call->held_bytes;
        bool grew = bytes > call->held_bytes;
        call->held_bytes = bytes;
        return !grew || (conn->buffered_bytes <= EDGE_CONN_BUFFERED_MAX &&
                         call->loop->buffered_bytes <= EDGE_LOOP_BUFFERED_MAX);
}

void edge_call_data(struct vn_call *call, const char *bytes, size_t n)
{
        if (call->kind == CALL_GRPC && !call->discard && !call->over) {
                edge_grpc_data(call, bytes, n);
                return;
        }
        if (call->stream_id)
                edge_h2_consume(call, n);
        if (call->discard || call->over)
                return;
        size_t max = call->entry ? call->entry->max_request_bytes : call->loop->edge->limits.max_body_bytes;
        if (call->body.len + n > max || !edge_call_hold(call, call->body.len + n) ||
            !vn_buf_add(&call->body, bytes, n)) {
                edge_count(call->loop, EDGE_STAT_too_large, 1);
                edge_http_error(call, 413, VN_RESOURCE_EXHAUSTED, "request body too large");
        }
}

void edge_call_request_ended(struct vn_call *call)
{
        call->request_ended = true;
        call->body_deadline_us = 0;
        if (call->discard || call->over)
                return;
        if (call->kind == CALL_GRPC)
                edge_grpc_ended(call);
        else
                edge_http_ended(call);
}

void edge_call_run(struct vn_call *call)
{
        vn_call_ref(call);
        call->started = true;
        call->entry->row->start(call, call->request);
        vn_call_unref(call);
}

/* --- who may --- */

static bool role_suffices(enum vn_access has, enum vn_access need)
{
        switch (need) {
        case VN_ACCESS_PUBLIC:
        case VN_ACCESS_ENROLL: return true;
        case VN_ACCESS_AGENT: return has == VN_ACCESS_AGENT;
        case VN_ACCESS_VIEWER: return has >= VN_ACCESS_VIEWER;
        case VN_ACCESS_OPERATOR:
        case VN_ACCESS_APPROVER:
        case VN_ACCESS_ADMIN: return has == need || has == VN_ACCESS_ADMIN;
        }
        return false;
}

enum vn_rc edge_call_admit(struct vn_call *call, enum vn_access need, struct vn_err *err)
{
        const struct vn_edge *edge = call->loop->edge;
        enum vn_rc rc = VN_OK;
        if (edge_conn_expired(call->conn)) {
                edge_count(call->loop, EDGE_STAT_expired, 1);
                rc = vn_fail(err, VN_UNAUTHENTICATED, "the client certificate has expired");
        } else if (edge->authenticate)
                rc = edge->authenticate(edge->authenticate_context, call, &call->identity, err);
        if (rc == VN_OK && need == VN_ACCESS_ENROLL && call->conn->plain)
                rc = vn_fail(err, VN_UNAUTHENTICATED, "enrolment needs TLS");
        if (rc == VN_OK && !role_suffices(call->identity.access, need)) {
                if (call->identity.access <= VN_ACCESS_ENROLL)
                        rc = vn_fail(err, VN_UNAUTHENTICATED, "a credential is needed");
                else
                        rc = vn_fail(err, VN_PERMISSION_DENIED, "the caller's role does not allow this");
        }
        if (rc == VN_UNAUTHENTICATED)
                edge_count(call->loop, EDGE_STAT_unauthenticated, 1);
        else if (rc != VN_OK)
                edge_count(call->loop, EDGE_STAT_denied, 1);
        return rc;
}

/* --- answer --- */

void edge_call_failed(const struct vn_call *call, enum vn_rc rc)
{
        VN_METRIC_ADD_FOR(CALLS_FAILED, vn_rc_name(rc), 1);
        if (call->identity.access == VN_ACCESS_AGENT)
                VN_METRIC_ADD_FOR(AGENT_CALLS_FAILED, vn_rc_name(rc), 1);
}

size_t edge_call_pending(const struct vn_call *call)
{
        return call->out.len - call->out_at;
}

enum vn_rc edge_call_outbox(struct vn_call *call, size_t n)
{
        size_t pending = edge_call_pending(call);
        /* A message larger than the outbox may still be sent, but only into an empty one. */
        if (pending && pending + n > call->loop->edge->limits.outbox_bytes) {
                call->want_writable = true;
                edge_count(call->loop, EDGE_STAT_outbox_full, 1);
                return VN_RESOURCE_EXHAUSTED;
        }
        if (call->out_at > KEEP_BUFFER_BYTES) {
                memmove(call->out.ptr, call->out.ptr + call->out_at, pending);
                call->out.len = pending;
                call->out_at = 0;
        }
        return vn_buf_reserve(&call->out, n) ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

void edge_call_submit(struct vn_call *call, const nghttp2_nv *nv, size_t count, bool body)
{
        call->head_sent = true;
        if (call->stream_id)
                edge_h2_respond(call, nv, count, body);
        else
                edge_h1_respond(call, nv, count, body);
}

void edge_call_resume(struct vn_call *call)
{
        if (!call->conn) /* writing the head just now may have ended the connection: no memory for it */
                return;
        if (call->stream_id)
                edge_h2_resume(call);
        else
                edge_loop_mark_dirty(call->conn);
}

void edge_call_writable_soon(struct vn_call *call)
{
        if (call->waking)
                return;
        call->waking = true;
        call->next_wake = call->loop->wake;
        call->loop->wake = vn_call_ref(call);
}

void edge_call_wake(struct edge_loop *loop)
{
        while (loop->wake) {
                struct vn_call *call = loop->wake;
                loop->wake = call->next_wake;
                call->waking = call->want_writable = false;
                if (!call->over && call->entry && call->entry->row->writable)
                        call->entry->row->writable(call);
                vn_call_unref(call);
        }
}

static void end_with(struct vn_call *call, enum vn_rc rc, const char *message)
{
        disarm(call);
        if (call->kind == CALL_GRPC)
                edge_grpc_finish(call, rc, message);
        else if (call->kind == CALL_JSON)
                edge_json_finish(call, rc, message);
        else if (!call->head_sent)
                edge_http_error(call, vn_rc_http_status(rc), rc, message);
}

void edge_call_abort(struct vn_call *call, enum vn_rc rc, const char *message)
{
        if (call->over || !call->conn)
                return;
        vn_call_ref(call);
        call->aborted = call->discard = true;
        end_with(call, rc, message);
        tell_cancelled(call);
        vn_call_unref(call);
}

/* --- what handlers call (service.h) --- */

bool edge_call_finish_once(struct vn_call *call)
{
        VN_ASSERT(!call->finished);
        call->finished = true;
        if (call->over || !call->conn)
                return false;
        disarm(call);
        atomic_store_explicit(&call->over, true, memory_order_relaxed); /* on each call's way: no fence */
        return true;
}

void vn_call_reply(struct vn_call *call, const ProtobufCMessage *message)
{
        if (!edge_call_finish_once(call))
                return;
        call->out_end = true;
        if (call->kind == CALL_JSON)
                edge_json_reply(call, message);
        else if (edge_grpc_send(call, message) == VN_OK)
                edge_grpc_finish(call, VN_OK, NULL);
        else
                edge_grpc_finish(call, VN_RESOURCE_EXHAUSTED, "the answer is too large");
}

void vn_call_finish(struct vn_call *call, enum vn_rc rc, const struct vn_err *err)
{
        if (edge_call_finish_once(call))
                end_with(call, rc, err ? err->msg : rc == VN_OK ? NULL : vn_rc_name(rc));
}

enum vn_rc vn_call_send(struct vn_call *call, const ProtobufCMessage *message)
{
        if (call->over || !call->conn)
                return VN_CANCELLED;
        return call->kind == CALL_JSON ? edge_json_send(call, message) : edge_grpc_send(call, message);
}

static enum vn_rc add_metadata(struct vn_call *call, struct call_metadata **list, const char *name,
                               struct vn_str value)
{
        if (call->metadata_count == CALL_MAX_METADATA)
                return VN_RESOURCE_EXHAUSTED;
        for (const char *c = name; *c; c++)
                if (!((*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') || *c == '-' || *c == '_' || *c == '.'))
                        return VN_INVALID_ARGUMENT;
        for (size_t i = 0; i < value.len; i++)
                if ((unsigned char)value.ptr[i] < 0x20 || (unsigned char)value.ptr[i] > 0x7e)
                        return VN_INVALID_ARGUMENT;
        struct call_metadata *item = vn_arena_alloc(&call->arena, sizeof *item);
        size_t name_len = strlen(name);
        char *text = item ? vn_arena_alloc(&call->arena, name_len + value.len) : NULL;
        if (!text || !name_len)
                return text ? VN_INVALID_ARGUMENT : VN_RESOURCE_EXHAUSTED;
        memcpy(text, name, name_len);
        if (value.len)
                memcpy(text + name_len, value.ptr, value.len);
        *item = (struct call_metadata){*list, vn_str_n(text, name_len), vn_str_n(text + name_len, value.len)};
        *list = item;
        call->metadata_count++;
        return VN_OK;
}

enum vn_rc vn_call_add_initial_metadata(struct vn_call *call, const char *name, struct vn_str value)
{
        return add_metadata(call, &call->initial, name, value);
}

enum vn_rc vn_call_add_trailing_metadata(struct vn_call *call, const char *name, struct vn_str value)
{
        return add_metadata(call, &call->trailing, name, value);
}
