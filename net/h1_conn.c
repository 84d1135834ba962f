/* h1_conn.c - HTTP/1.1 connections of the edge: one request at a time, what is pipelined waits in the buffer. */
#include <stdio.h>

#include "net/edge_internal.h"
#include "net/h1.h"

#define MAX_NAME_BYTES 256
#define MAX_TRAILER_BYTES 8192
#define BUSY_MAX_BYTES (64u << 10) /* pipelined bytes beyond this are left in the socket */

enum h1_state { H1_HEAD, H1_BODY, H1_CHUNK_LINE, H1_CHUNK, H1_CHUNK_END, H1_TRAILER };

struct h1_conn {
        struct vn_buf in;
        size_t at, scanned;
        enum h1_state state;
        uint64_t remaining;
        size_t trailer_bytes;
        struct vn_call *call; /* the exchange in progress */
        bool keep_alive, minor_0, chunked_out;
};

enum vn_rc edge_h1_start(struct edge_conn *conn)
{
        conn->h1 = vn_alloc(sizeof *conn->h1);
        if (!conn->h1)
                return VN_RESOURCE_EXHAUSTED;
        conn->h1->in = VN_BUF_INIT(conn->loop->edge->limits.max_header_bytes + BUSY_MAX_BYTES + 2 * EDGE_READ_BYTES);
        return VN_OK;
}

void edge_h1_free(struct edge_conn *conn)
{
        if (conn->h1)
                vn_buf_done(&conn->h1->in);
        vn_free(conn->h1);
        conn->h1 = NULL;
}

void edge_h1_call_gone(struct vn_call *call)
{
        if (call->conn->h1 && call->conn->h1->call == call)
                call->conn->h1->call = NULL;
}

static const char *reason(int status)
{
        static const struct {
                int status;
                const char *text;
        } reasons[] = {
                {200, "OK"},
                {201, "Created"},
                {202, "Accepted"},
                {204, "No Content"},
                {206, "Partial Content"},
                {301, "Moved Permanently"},
                {302, "Found"},
                {303, "See Other"},
                {304, "Not Modified"},
                {400, "Bad Request"},
                {401, "Unauthorized"},
                {403, "Forbidden"},
                {404, "Not Found"},
                {405, "Method Not Allowed"},
                {409, "Conflict"},
                {412, "Precondition Failed"},
                {413, "Content Too Large"},
                {414, "URI Too Long"},
                {415, "Unsupported Media Type"},
                {417, "Expectation Failed"},
                {429, "Too Many Requests"},
                {431, "Request Header Fields Too Large"},
                {499, "Client Closed Request"},
                {500, "Internal Server Error"},
                {501, "Not Implemented"},
                {503, "Service Unavailable"},
                {504, "Gateway Timeout"},
                {505, "HTTP Version Not Supported"},
        };
        for (size_t i = 0; i < sizeof reasons / sizeof *reasons; i++)
                if (reasons[i].status == status)
                        return reasons[i].text;
        return "Status";
}

/* What is not a request at all gets an answer that needs no call; then the connection ends, because nobody can tell
 * where the next request would begin. */
static void refuse(struct edge_conn *conn, int status)
{
        struct h1_conn *h1 = conn->h1;
        edge_count(conn->loop, status == 413 || status == 431 ? EDGE_STAT_too_large : EDGE_STAT_malformed, 1);
        conn->head_deadline_us = 0;
        conn->close_after = true;
        h1->keep_alive = false;
        if (h1->call) {
                edge_http_error(h1->call, status, VN_INVALID_ARGUMENT, "malformed request body");
                return;
        }
        char body[96];
        int n = snprintf(body, sizeof body, "{\"code\":3,\"message\":\"%s\",\"details\":[]}", reason(status));
        vn_buf_printf(edge_conn_out(conn),
                      "HTTP/1.1 %d %s\r\ndate: %s\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
                      "connection: close\r\n\r\n%s",
                      status, reason(status), edge_loop_date(conn->loop), n, body);
}

static bool add_headers(struct vn_call *call, const struct vn_h1_head *head)
{
        char lower[MAX_NAME_BYTES];
        edge_call_header(call, VN_STR(":method"), head->verb);
        edge_call_header(call, VN_STR(":path"), head->target);
        edge_call_header(call, VN_STR(":authority"), head->host);
        for (unsigned i = 0; i < head->header_count; i++) {
                struct vn_str name = head->headers[i].name;
                if (name.len > sizeof lower)
                        return false;
                for (size_t c = 0; c < name.len; c++)
                        lower[c] = name.ptr[c] >= 'A' && name.ptr[c] <= 'Z' ? (char)(name.ptr[c] + 32) : name.ptr[c];
                edge_call_header(call, vn_str_n(lower, name.len), head->headers[i].value);
        }
        return true;
}

static void request_ended(struct edge_conn *conn)
{
        struct vn_call *call = conn->h1->call;
        conn->h1->state = H1_HEAD;
        conn->h1->scanned = 0;
        if (call)
                edge_call_request_ended(call);
}

static void begin(struct edge_conn *conn, const struct vn_h1_head *head)
{
        struct h1_conn *h1 = conn->h1;
        struct vn_call *call = edge_call_new(conn, 0);
        if (!call) {
                refuse(conn, 503);
                return;
        }
        h1->call = call;
        h1->keep_alive = head->keep_alive;
        h1->minor_0 = head->minor_0;
        h1->remaining = head->has_length ? head->length : 0;
        h1->trailer_bytes = 0;
        h1->state = head->chunked ? H1_CHUNK_LINE : h1->remaining ? H1_BODY : H1_HEAD;
        if (!add_headers(call, head))
                call->head_too_large = true;
        vn_call_ref(call);
        edge_call_head_done(call);
        if (!conn->dead && h1->state == H1_HEAD)
                request_ended(conn);
        else if (!conn->dead && head->expect_continue && !call->discard)
                vn_buf_text(edge_conn_out(conn), "HTTP/1.1 100 Continue\r\n\r\n");
        vn_call_unref(call);
}

/* Each step returns whether another may follow. */
static bool head_step(struct edge_conn *conn, const char *bytes, size_t n)
{
        struct h1_conn *h1 = conn->h1;
        const struct vn_edge_limits *limits = &conn->loop->edge->limits;
        struct vn_h1_head head;
        if (h1->call)
                return false; /* one at a time */
        if (!conn->head_deadline_us)
                conn->head_deadline_us = conn->loop->now_us + (int64_t)limits->header_timeout_ms * 1000;
        long found = vn_h1_find_head(bytes, n, &h1->scanned);
        if (found == 0 && n <= limits->max_header_bytes)
                return false;
        int status = found < 0 ? (int)-found : found == 0 || (size_t)found > limits->max_header_bytes ? 431 : 0;
        if (!status)
                status = vn_h1_parse_head(bytes, (size_t)found, &head);
        if (status == VN_H1_NOT_HTTP)
                edge_conn_kill(conn);
        else if (status)
                refuse(conn, status);
        if (status)
                return false;
        conn->head_deadline_us = 0;
        h1->at += (size_t)found;
        h1->scanned = 0;
        begin(conn, &head);
        return true;
}

static bool body_step(struct edge_conn *conn, const char *bytes, size_t n)
{
        struct h1_conn *h1 = conn->h1;
        size_t take = h1->remaining < n ? (size_t)h1->remaining : n;
        h1->remaining -= take;
        h1->at += take;
        if (h1->call && take)
                edge_call_data(h1->call, bytes, take);
        if (h1->remaining)
                return true;
        if (h1->state == H1_CHUNK)
                h1->state = H1_CHUNK_END;
        else
                request_ended(conn);
        return true;
}

static bool chunk_step(struct edge_conn *conn, const char *bytes, size_t n)
{
        struct h1_conn *h1 = conn->h1;
        long used = 0;
        bool last = false;
        if (h1->state == H1_CHUNK_END) {
                used = bytes[0] != '\r' ? -1 : n < 2 ? 0 : bytes[1] == '\n' ? 2 : -1;
                if (used > 0)
                        h1->state = H1_CHUNK_LINE;
        } else if (h1->state == H1_CHUNK_LINE) {
                used = vn_h1_chunk_line(bytes, n, &h1->remaining);
                if (used > 0)
                        h1->state = h1->remaining ? H1_CHUNK : H1_TRAILER;
        } else {
                used = vn_h1_trailer_line(bytes, n, &last);
                if (used > 0 && (h1->trailer_bytes += (size_t)used) > MAX_TRAILER_BYTES)
                        used = -1;
        }
        if (used < 0) {
                refuse(conn, 400);
                return false;
        }
        h1->at += (size_t)used;
        if (last)
                request_ended(conn);
        return used > 0;
}

static void process(struct edge_conn *conn)
{
        struct h1_conn *h1 = conn->h1;
        bool more = true;
        while (more && !conn->dead && !conn->close_after && h1->at < h1->in.len) {
                const char *bytes = h1->in.ptr + h1->at;
                size_t n = h1->in.len - h1->at;
                if (h1->state == H1_HEAD)
                        more = head_step(conn, bytes, n);
                else if (h1->state == H1_BODY || h1->state == H1_CHUNK)
                        more = body_step(conn, bytes, n);
                else
                        more = chunk_step(conn, bytes, n);
                /* The answer to a half-read request is on its way, and then the connection ends. */
                if (h1->call && h1->call->discard && !h1->call->request_ended)
                        more = false;
        }
        if (conn->dead)
                return;
        if (h1->at == h1->in.len) {
                vn_buf_done(&h1->in);
                h1->in = VN_BUF_INIT(h1->in.max_bytes);
                h1->at = 0;
        } else if (h1->at) {
                memmove(h1->in.ptr, h1->in.ptr + h1->at, h1->in.len - h1->at);
                h1->in.len -= h1->at;
                h1->at = 0;
        }
        edge_conn_read_pause(conn, conn->peer_eof || (h1->in.len > BUSY_MAX_BYTES && h1->call));
}

void edge_h1_input(struct edge_conn *conn, const char *bytes, size_t n)
{
        struct h1_conn *h1 = conn->h1;
        if (conn->close_after || (h1->call && h1->call->discard && !h1->call->request_ended))
                return; /* read away: see process() */
        if (!vn_buf_add(&h1->in, bytes, n)) {
                edge_conn_kill(conn);
                return;
        }
        process(conn);
}

/* --- answers --- */

void edge_h1_respond(struct vn_call *call, const nghttp2_nv *nv, size_t count, bool body)
{
        struct edge_conn *conn = call->conn;
        struct h1_conn *h1 = conn->h1;
        struct vn_buf *out = edge_conn_out(conn);
        int status = 0;
        for (size_t i = 0; i < nv[0].valuelen; i++)
                status = status * 10 + (nv[0].value[i] - '0'); /* :status comes first, and it is ours */
        bool bodyless = status == 204 || status == 304 || call->is_head;
        h1->chunked_out = body && call->content_length < 0 && !h1->minor_0;
        if (!call->request_ended || conn->draining || (body && call->content_length < 0 && h1->minor_0))
                h1->keep_alive = false;
        vn_buf_printf(out, "HTTP/1.1 %d %s\r\ndate: %s\r\n", status, reason(status), edge_loop_date(conn->loop));
        for (size_t i = 1; i < count; i++) {
                vn_buf_add(out, nv[i].name, nv[i].namelen);
                vn_buf_add(out, ": ", 2);
                vn_buf_add(out, nv[i].value, nv[i].valuelen);
                vn_buf_add(out, "\r\n", 2);
        }
        if (h1->chunked_out)
                vn_buf_text(out, "transfer-encoding: chunked\r\n");
        else if (!body && call->content_length < 0 && !bodyless)
                vn_buf_text(out, "content-length: 0\r\n");
        if (!h1->keep_alive)
                vn_buf_text(out, "connection: close\r\n");
        else if (h1->minor_0)
                vn_buf_text(out, "connection: keep-alive\r\n");
        vn_buf_text(out, "\r\n");
        if (out->failed)
                edge_conn_kill(conn);
        else
                edge_loop_mark_dirty(conn);
}

/* Moves the body on; true when the exchange is complete. */
static bool move(struct edge_conn *conn, struct vn_call *call)
{
        struct h1_conn *h1 = conn->h1;
        struct vn_buf *out = edge_conn_out(conn);
        for (;;) {
                size_t have = edge_call_pending(call), queued = out->len - conn->out_at;
                if (!have || queued >= EDGE_OUT_HIGH_BYTES / 4)
                        break;
                size_t n = have < EDGE_OUT_HIGH_BYTES / 4 ? have : EDGE_OUT_HIGH_BYTES / 4;
                if (h1->chunked_out)
                        vn_buf_printf(out, "%zx\r\n", n);
                vn_buf_add(out, call->out.ptr + call->out_at, n);
                if (h1->chunked_out)
                        vn_buf_add(out, "\r\n", 2);
                call->out_at += n;
        }
        if (call->want_writable && edge_call_pending(call) * 2 < conn->loop->edge->limits.outbox_bytes)
                edge_call_writable_soon(call);
        if (edge_call_pending(call) || !call->out_end)
                return false;
        vn_buf_reset(&call->out);
        call->out_at = 0;
        if (h1->chunked_out)
                vn_buf_text(out, "0\r\n\r\n");
        return true;
}

void edge_h1_pump(struct edge_conn *conn)
{
        struct h1_conn *h1 = conn->h1;
        while (h1->call && h1->call->head_sent && move(conn, h1->call)) {
                bool close = !h1->keep_alive || conn->draining || conn->peer_eof || !h1->call->request_ended;
                edge_call_detach(h1->call);
                if (close) {
                        conn->close_after = true;
                        return;
                }
                process(conn); /* what was pipelined */
        }
        if (conn->out.failed)
                edge_conn_kill(conn);
        /* read_end() asked for the end before the answer was ready: it is put off until then. */
        if (h1->call && conn->peer_eof)
                conn->close_after = false;
}
