/* h2.c - HTTP/2 of the edge, by libnghttp2's server session.
 * Flow control: nghttp2's automatic WINDOW_UPDATEs are off. A connection's window is given back at once (so one slow
 *   stream cannot stop its neighbours; edge_call_hold bounds the sum); a stream's when its bytes were consumed.
 * Floods: nghttp2 limits RST_STREAM (1,000, then 33 a second), CONTINUATION (8), SETTINGS entries, queued ACKs. Above
 *   that each connection has credit for control frames, which real work earns: a request or a DATA frame adds to it,
 *   each PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA and each stream error takes from it. Below zero: GOAWAY. */
#include "net/edge_internal.h"

#define STREAM_WINDOW (256 << 10)
#define CONNECTION_WINDOW (1 << 20)
#define MAX_FRAME_BYTES 16384
#define CREDIT_START 1000
#define CREDIT_MAX 4000
#define CREDIT_A_SECOND 100
#define CREDIT_WORK 4
#define COST_STREAM_ERROR 4
#define TABLE_BYTES 4096

static void earn(struct edge_conn *conn, int64_t credit)
{
        conn->credit += credit;
        if (conn->credit > CREDIT_MAX)
                conn->credit = CREDIT_MAX;
}

void edge_h2_calm(struct edge_conn *conn, uint32_t error_code)
{
        edge_count(conn->loop, EDGE_STAT_floods, 1);
        if (nghttp2_session_terminate_session(conn->h2, error_code))
                edge_conn_kill(conn);
}

static void spend(struct edge_conn *conn, int64_t cost)
{
        if (conn->credit < 0)
                return; /* GOAWAY is on its way */
        int64_t elapsed_us = conn->loop->now_us - conn->credit_us;
        if (elapsed_us > VN_US_PER_S / CREDIT_A_SECOND) {
                earn(conn, elapsed_us * CREDIT_A_SECOND / VN_US_PER_S);
                conn->credit_us = conn->loop->now_us;
        }
        conn->credit -= cost;
        if (conn->credit < 0)
                edge_h2_calm(conn, NGHTTP2_ENHANCE_YOUR_CALM);
}

static struct vn_call *call_of(nghttp2_session *session, int32_t stream_id)
{
        return nghttp2_session_get_stream_user_data(session, stream_id);
}

static int on_begin_headers(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct edge_conn *conn = user;
        if (conn->dead)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
                return 0;
        earn(conn, CREDIT_WORK);
        struct vn_call *call = edge_call_new(conn, frame->hd.stream_id);
        if (!call || nghttp2_session_set_stream_user_data(session, frame->hd.stream_id, call)) {
                if (call)
                        edge_call_detach(call);
                return NGHTTP2_ERR_TEMPORAL_CALLBACK_FAILURE;
        }
        if (!(frame->hd.flags & NGHTTP2_FLAG_END_HEADERS))
                conn->head_deadline_us =
                        conn->loop->now_us + (int64_t)conn->loop->edge->limits.header_timeout_ms * 1000;
        return 0;
}

static int on_header(nghttp2_session *session, const nghttp2_frame *frame, const uint8_t *name, size_t name_len,
                     const uint8_t *value, size_t value_len, uint8_t flags, void *user)
{
        struct edge_conn *conn = user;
        (void)flags;
        if (conn->dead)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        if (frame->hd.type != NGHTTP2_HEADERS || frame->headers.cat != NGHTTP2_HCAT_REQUEST)
                return 0; /* request trailers say nothing to us */
        struct vn_call *call = call_of(session, frame->hd.stream_id);
        if (call)
                edge_call_header(call, vn_str_n(name, name_len), vn_str_n(value, value_len));
        return 0;
}

static int on_frame_recv(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct edge_conn *conn = user;
        if (conn->dead)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        struct vn_call *call = NULL;
        if (frame->hd.type == NGHTTP2_HEADERS) {
                conn->head_deadline_us = 0;
                call = call_of(session, frame->hd.stream_id);
                if (call && !call->head_done)
                        edge_call_head_done(call);
        } else if (frame->hd.type == NGHTTP2_DATA) {
                if (frame->hd.length)
                        earn(conn, CREDIT_WORK);
                else if (!(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
                        spend(conn, 1);
                call = call_of(session, frame->hd.stream_id);
        } else {
                if (frame->hd.type == NGHTTP2_SETTINGS && !(frame->hd.flags & NGHTTP2_FLAG_ACK))
                        conn->head_deadline_us = 0; /* the preface is whole */
                spend(conn, 1);
        }
        /* Looked up again: the head's handling may have ended the call. */
        if (call && (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) && !conn->dead &&
            (call = call_of(session, frame->hd.stream_id)))
                edge_call_request_ended(call);
        return conn->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_data(nghttp2_session *session, uint8_t flags, int32_t stream_id, const uint8_t *data, size_t len,
                   void *user)
{
        struct edge_conn *conn = user;
        (void)flags;
        if (conn->dead)
                return NGHTTP2_ERR_CALLBACK_FAILURE;
        nghttp2_session_consume_connection(session, len);
        struct vn_call *call = call_of(session, stream_id);
        if (call)
                edge_call_data(call, (const char *)data, len);
        return conn->dead ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

void edge_h2_consume(struct vn_call *call, size_t bytes)
{
        if (call->conn && !call->conn->dead && bytes) {
                nghttp2_session_consume_stream(call->conn->h2, call->stream_id, bytes);
                edge_loop_mark_dirty(call->conn);
        }
}

static int on_stream_close(nghttp2_session *session, int32_t stream_id, uint32_t error_code, void *user)
{
        struct edge_conn *conn = user;
        (void)error_code;
        struct vn_call *call = conn->dead ? NULL : call_of(session, stream_id);
        if (call)
                edge_call_detach(call);
        return 0;
}

static int on_frame_sent(nghttp2_session *session, const nghttp2_frame *frame, void *user)
{
        struct edge_conn *conn = user;
        if (conn->dead)
                return 0;
        if (frame->hd.type == NGHTTP2_RST_STREAM) {
                /* Also when the peer only provoked our reset ("made you reset"). */
                if (frame->rst_stream.error_code != NGHTTP2_NO_ERROR)
                        spend(conn, COST_STREAM_ERROR);
                return 0;
        }
        if (frame->hd.type == NGHTTP2_DATA)
                earn(conn, CREDIT_WORK); /* its reader may well answer with a WINDOW_UPDATE or a PING */
        if ((frame->hd.type != NGHTTP2_DATA && frame->hd.type != NGHTTP2_HEADERS) ||
            !(frame->hd.flags & NGHTTP2_FLAG_END_STREAM))
                return 0;
        struct vn_call *call = call_of(session, frame->hd.stream_id);
        /* Answered before the request was whole: RFC 9113, 8.1 asks for NO_ERROR. */
        if (call && !call->request_ended)
                nghttp2_submit_rst_stream(session, NGHTTP2_FLAG_NONE, frame->hd.stream_id, NGHTTP2_NO_ERROR);
        return 0;
}

static int on_invalid_frame(nghttp2_session *session, const nghttp2_frame *frame, int error, void *user)
{
        struct edge_conn *conn = user;
        (void)session, (void)frame, (void)error;
        edge_count(conn->loop, EDGE_STAT_malformed, 1);
        return 0;
}

static ssize_t read_body(nghttp2_session *session, int32_t stream_id, uint8_t *buf, size_t room, uint32_t *flags,
                         nghttp2_data_source *source, void *user)
{
        struct vn_call *call = source->ptr;
        (void)user;
        size_t have = call->out.len - call->out_at, n = have < room ? have : room;
        memcpy(buf, call->out.ptr + call->out_at, n);
        call->out_at += n;
        if (call->out_at == call->out.len) {
                vn_buf_reset(&call->out);
                call->out_at = 0;
        }
        if (call->want_writable && edge_call_pending(call) * 2 < call->loop->edge->limits.outbox_bytes)
                edge_call_writable_soon(call);
        if (n < have || !call->out_end) {
                call->out_deferred = n == 0;
                return n ? (ssize_t)n : NGHTTP2_ERR_DEFERRED;
        }
        *flags |= NGHTTP2_DATA_FLAG_EOF;
        call->end_sent = true;
        if (call->kind == CALL_GRPC) {
                nghttp2_nv nv[CALL_NV_MAX];
                size_t count = edge_grpc_trailers(call, nv);
                *flags |= NGHTTP2_DATA_FLAG_NO_END_STREAM;
                if (nghttp2_submit_trailer(session, stream_id, nv, count))
                        return NGHTTP2_ERR_CALLBACK_FAILURE;
        }
        return (ssize_t)n;
}

void edge_h2_respond(struct vn_call *call, const nghttp2_nv *nv, size_t count, bool body)
{
        nghttp2_data_provider provider = {.source.ptr = call, .read_callback = read_body};
        if (nghttp2_submit_response(call->conn->h2, call->stream_id, nv, count, body ? &provider : NULL))
                edge_h2_reset(call, NGHTTP2_INTERNAL_ERROR);
        edge_loop_mark_dirty(call->conn);
}

void edge_h2_resume(struct vn_call *call)
{
        if (call->out_deferred) {
                call->out_deferred = false;
                /* Fails only when the stream is gone, and then its close is already on the way. */
                nghttp2_session_resume_data(call->conn->h2, call->stream_id);
        }
        edge_loop_mark_dirty(call->conn);
}

void edge_h2_reset(struct vn_call *call, uint32_t error_code)
{
        nghttp2_submit_rst_stream(call->conn->h2, NGHTTP2_FLAG_NONE, call->stream_id, error_code);
        edge_loop_mark_dirty(call->conn);
}

enum vn_rc edge_h2_setup(struct edge_loop *loop, struct vn_err *err)
{
        if (nghttp2_session_callbacks_new(&loop->h2_callbacks) || nghttp2_option_new(&loop->h2_option))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for HTTP/2");
        nghttp2_session_callbacks *cb = loop->h2_callbacks;
        nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
        nghttp2_session_callbacks_set_on_header_callback(cb, on_header);
        nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
        nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
        nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
        nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_sent);
        nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
        nghttp2_option *option = loop->h2_option;
        nghttp2_option_set_no_auto_window_update(option, 1);
        nghttp2_option_set_max_outbound_ack(option, 200);
        nghttp2_option_set_max_settings(option, 32);
        nghttp2_option_set_stream_reset_rate_limit(option, 1000, 33);
        nghttp2_option_set_max_continuations(option, 8);
        nghttp2_option_set_max_deflate_dynamic_table_size(option, TABLE_BYTES);
        return VN_OK;
}

enum vn_rc edge_h2_start(struct edge_conn *conn)
{
        const struct vn_edge_limits *limits = &conn->loop->edge->limits;
        nghttp2_settings_entry settings[] = {
                {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, limits->max_streams},
                {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, STREAM_WINDOW},
                {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, limits->max_header_bytes},
        };
        conn->credit = CREDIT_START;
        conn->credit_us = conn->loop->now_us;
        if (nghttp2_session_server_new2(&conn->h2, conn->loop->h2_callbacks, conn, conn->loop->h2_option) ||
            nghttp2_submit_settings(conn->h2, NGHTTP2_FLAG_NONE, settings, sizeof settings / sizeof *settings) ||
            nghttp2_session_set_local_window_size(conn->h2, NGHTTP2_FLAG_NONE, 0, CONNECTION_WINDOW))
                return VN_RESOURCE_EXHAUSTED;
        return VN_OK;
}

enum vn_rc edge_h2_input(struct edge_conn *conn, const char *bytes, size_t n)
{
        ssize_t used = nghttp2_session_mem_recv(conn->h2, (const uint8_t *)bytes, n);
        if (conn->dead)
                return VN_OK;
        if (used < 0) {
                if (used == NGHTTP2_ERR_FLOODED || used == NGHTTP2_ERR_TOO_MANY_SETTINGS ||
                    used == NGHTTP2_ERR_TOO_MANY_CONTINUATIONS) {
                        edge_h2_calm(conn, NGHTTP2_ENHANCE_YOUR_CALM);
                } else if (used == NGHTTP2_ERR_BAD_CLIENT_MAGIC) {
                        edge_count(conn->loop, EDGE_STAT_malformed, 1);
                        nghttp2_session_terminate_session(conn->h2, NGHTTP2_PROTOCOL_ERROR);
                } else {
                        return VN_INTERNAL;
                }
                conn->close_after = true;
        }
        return VN_OK;
}

bool edge_h2_pump(struct edge_conn *conn)
{
        struct vn_buf *out = edge_conn_out(conn);
        while (out->len - conn->out_at < EDGE_OUT_HIGH_BYTES) {
                const uint8_t *frames;
                ssize_t n = nghttp2_session_mem_send(conn->h2, &frames);
                if (n < 0 || conn->dead)
                        return false;
                if (n == 0)
                        break;
                if (!vn_buf_add(out, frames, (size_t)n))
                        return false;
        }
        return true;
}

bool edge_h2_done(struct edge_conn *conn)
{
        return !nghttp2_session_want_read(conn->h2) && !nghttp2_session_want_write(conn->h2);
}

void edge_h2_drain(struct edge_conn *conn, bool final)
{
        if (!final)
                nghttp2_submit_shutdown_notice(conn->h2);
        else
                nghttp2_submit_goaway(conn->h2, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(conn->h2),
                                      NGHTTP2_NO_ERROR, NULL, 0);
        edge_loop_mark_dirty(conn);
}
