/* edge_http.c - plain HTTP of the edge: method rows as JSON and server-sent events, raw handlers, errors.
 * A row's path variables win over the query, and the query over the body, so that what was authorised by its path is
 * what is acted on. */
#include <stdio.h>

#include "net/edge_internal.h"
#include "net/pbjson.h"

#define MAX_REPLY_HEADERS 24
#define MAX_JSON_BYTES (16u << 20)
#define MAX_QUERY_FIELDS 64
#define HEARTBEAT_US (15 * VN_US_PER_S)

static const char *status_digits(struct vn_call *call, int status)
{
        char *text = vn_arena_alloc(&call->head_arena, 4);
        if (!text || status < 100 || status > 999)
                return "500";
        snprintf(text, 4, "%d", status);
        return text;
}

/* Adds content-length and submits; the body is in call->out. */
static void submit(struct vn_call *call, nghttp2_nv *nv, size_t n, bool has_length)
{
        char length[24];
        size_t body = edge_call_pending(call);
        if (has_length) {
                snprintf(length, sizeof length, "%zu", body);
                nv[n++] = edge_nv("content-length", vn_str(length));
                call->content_length = (int64_t)body;
        }
        if (call->is_head) {
                vn_buf_reset(&call->out);
                call->out_at = body = 0;
        }
        call->out_end = true;
        edge_call_submit(call, nv, n, body > 0);
}

static void error_with(struct vn_call *call, int status, enum vn_rc rc, const char *message, struct vn_str allow)
{
        nghttp2_nv nv[8];
        size_t n = 0;
        call->discard = true;
        if (call->head_sent || !call->conn)
                return;
        call->over = true;
        edge_call_failed(call, rc);
        if (call->kind == CALL_NEW)
                call->kind = CALL_REFUSED;
        vn_buf_reset(&call->out);
        call->out_at = 0;
        vn_buf_printf(&call->out, "{\"code\":%d,\"message\":", (int)rc);
        vn_buf_json_string(&call->out, vn_str(message ? message : ""));
        vn_buf_text(&call->out, ",\"details\":[]}");
        nv[n++] = edge_nv_fixed(":status", status_digits(call, status));
        nv[n++] = edge_nv_fixed("content-type", "application/json");
        nv[n++] = edge_nv_fixed("cache-control", "no-store");
        if (status == 401)
                nv[n++] = edge_nv_fixed("www-authenticate", "Bearer");
        if (allow.len)
                nv[n++] = edge_nv("allow", allow);
        submit(call, nv, n, true);
}

void edge_http_error(struct vn_call *call, int status, enum vn_rc rc, const char *message)
{
        error_with(call, status, rc, message, VN_STR(""));
}

static void fail(struct vn_call *call, enum vn_rc rc, const struct vn_err *err)
{
        edge_http_error(call, vn_rc_http_status(rc), rc, err->msg);
}

/* --- finding the handler --- */

static void refuse_verb(struct vn_call *call, unsigned allowed)
{
        char text[64] = "";
        for (enum vn_http_verb v = VN_HTTP_GET; v <= VN_HTTP_DELETE; v++)
                if (allowed & 1u << v)
                        snprintf(text + strlen(text), sizeof text - strlen(text), "%s%s", text[0] ? ", " : "",
                                 v == VN_HTTP_GET ? "GET, HEAD" : edge_verb_name(v));
        error_with(call, 405, VN_UNIMPLEMENTED, "this path does not take that verb", vn_str(text));
}

static enum vn_rc decode(struct vn_call *call, struct vn_str text, bool plus, struct vn_str *ret)
{
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(VN_PBJSON_MAX_BYTES);
        VN_TRY(vn_url_decode(text, &out));
        /* Forms write a blank as '+'; a plus sign itself comes as %2B and is not touched, as it was not in `text`. */
        if (plus && memchr(text.ptr, '+', text.len)) {
                VN_AUTO(vn_buf)
                spaced = VN_BUF_INIT(VN_PBJSON_MAX_BYTES);
                for (size_t i = 0; i < text.len; i++)
                        vn_buf_char(&spaced, text.ptr[i] == '+' ? ' ' : text.ptr[i]);
                vn_buf_reset(&out);
                VN_TRY(vn_buf_check(&spaced, NULL));
                VN_TRY(vn_url_decode(vn_buf_view(&spaced), &out));
        }
        if (out.len && memchr(out.ptr, 0, out.len))
                return VN_INVALID_ARGUMENT;
        char *copy = vn_arena_strndup(&call->arena, out.ptr ? out.ptr : "", out.len);
        *ret = vn_str_n(copy, out.len);
        return copy ? VN_OK : VN_RESOURCE_EXHAUSTED;
}

/* A decoded path must not climb: handlers that serve files never see "..". */
static bool path_is_plain(struct vn_str path)
{
        for (size_t i = 0; i < path.len; i++)
                if ((unsigned char)path.ptr[i] < 0x20 || path.ptr[i] == 0x7f || path.ptr[i] == '\\')
                        return false;
        for (struct vn_str rest = path; rest.ptr;) {
                struct vn_str part = vn_str_cut(&rest, '/');
                if (vn_str_eq(part, VN_STR(".")) || vn_str_eq(part, VN_STR("..")))
                        return false;
        }
        return path.len && path.ptr[0] == '/';
}

static void raw_head(struct vn_call *call, unsigned allowed)
{
        struct vn_err err = {0};
        struct vn_str path;
        if (decode(call, call->path, false, &path) != VN_OK || !path_is_plain(path)) {
                edge_http_error(call, 400, VN_INVALID_ARGUMENT, "malformed path");
                return;
        }
        call->raw = edge_route_raw(&call->loop->edge->routes, path);
        if (!call->raw) {
                if (allowed)
                        refuse_verb(call, allowed);
                else
                        edge_http_error(call, 404, VN_NOT_FOUND, "nothing is served at this path");
                return;
        }
        call->path = path;
        call->kind = CALL_RAW;
        enum vn_rc rc = edge_call_admit(call, call->raw->access, &err);
        if (rc != VN_OK)
                fail(call, rc, &err);
}

static bool is_json(struct vn_str type)
{
        struct vn_str main_type = vn_str_trim(vn_str_cut(&type, ';'));
        return vn_str_eq_nocase(main_type, VN_STR("application/json"));
}

void edge_http_head(struct vn_call *call)
{
        struct vn_err err = {0};
        struct route_match match;
        if (vn_str_starts(vn_call_header(call, "content-type"), VN_STR("application/grpc"))) {
                edge_http_error(call, 415, VN_UNIMPLEMENTED, "gRPC is spoken over HTTP/2 only");
                return;
        }
        edge_route_http(&call->loop->edge->routes, edge_verb(call->verb), call->path, &match);
        if (!match.entry) {
                raw_head(call, match.allowed);
                return;
        }
        call->entry = match.entry;
        call->kind = CALL_JSON;
        enum vn_rc rc = edge_call_admit(call, match.entry->row->access, &err);
        struct vn_str type = vn_call_header(call, "content-type");
        if (rc != VN_OK)
                fail(call, rc, &err);
        else if (type.len && match.entry->row->verb != VN_HTTP_GET && !is_json(type))
                edge_http_error(call, 415, VN_INVALID_ARGUMENT, "the body must be application/json");
}

/* --- the request as a message --- */

static enum vn_rc set_query(struct vn_call *call, ProtobufCMessage *message, struct vn_err *err)
{
        unsigned count = 0;
        struct vn_str rest = call->query;
        while (rest.ptr && call->query.len) {
                struct vn_str value = vn_str_cut(&rest, '&'), name, text;
                struct vn_str key = vn_str_cut(&value, '=');
                if (!key.len && !value.ptr)
                        continue;
                if (++count > MAX_QUERY_FIELDS)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "more than %d query fields", MAX_QUERY_FIELDS);
                if (decode(call, key, true, &name) != VN_OK ||
                    decode(call, value.ptr ? value : VN_STR(""), true, &text) != VN_OK)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "malformed query");
                VN_TRY(vn_pbjson_set_field(message, name, text, &call->arena, err));
        }
        return VN_OK;
}

static enum vn_rc build(struct vn_call *call, ProtobufCMessage **ret, struct vn_err *err)
{
        const struct vn_method *row = call->entry->row;
        bool takes_body = row->verb != VN_HTTP_GET && row->verb != VN_HTTP_DELETE;
        struct route_match match;
        if (call->body.len && !takes_body)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s takes no body", edge_verb_name(row->verb));
        if (takes_body)
                VN_TRY(vn_pbjson_parse(row->request, vn_buf_view(&call->body), &call->arena, ret, err));
        else
                VN_TRY(vn_pbjson_new(row->request, &call->arena, ret, err));
        VN_TRY(set_query(call, *ret, err));
        edge_route_http(&call->loop->edge->routes, row->verb, call->path, &match);
        for (unsigned i = 0; i < match.value_count; i++) {
                struct vn_str text;
                if (decode(call, match.values[i].value, false, &text) != VN_OK)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "malformed path");
                VN_TRY(vn_pbjson_set_field(*ret, match.values[i].field, text, &call->arena, err));
        }
        return VN_OK;
}

static void sse_head(struct vn_call *call)
{
        nghttp2_nv nv[4];
        size_t n = 0;
        call->sse = true;
        call->sse_next_beat_us = call->loop->now_us + HEARTBEAT_US;
        nv[n++] = edge_nv_fixed(":status", "200");
        nv[n++] = edge_nv_fixed("content-type", "text/event-stream");
        nv[n++] = edge_nv_fixed("cache-control", "no-store");
        if (call->is_head)
                call->out_end = true;
        edge_call_submit(call, nv, n, !call->is_head);
}

static void json_ended(struct vn_call *call)
{
        struct vn_err err = {0};
        if (call->body.len && !vn_call_header(call, "content-type").len) {
                edge_http_error(call, 415, VN_INVALID_ARGUMENT, "the body must be application/json");
                return;
        }
        enum vn_rc rc = build(call, &call->request, &err);
        if (rc != VN_OK) {
                fail(call, rc, &err);
                return;
        }
        vn_call_ref(call);
        edge_call_run(call);
        /* So that a stream's reader knows that it stands, even before the first event. */
        if (call->entry->row->kind == VN_SERVER_STREAM && !call->over && call->conn && !call->head_sent)
                sse_head(call);
        vn_call_unref(call);
}

void edge_http_ended(struct vn_call *call)
{
        if (call->kind == CALL_JSON) {
                json_ended(call);
                return;
        }
        const struct vn_http_request request = {
                .verb = call->is_head ? VN_STR("GET") : call->verb,
                .path = call->path,
                .query = call->query,
                .body = vn_buf_view(&call->body),
                .call = call,
        };
        vn_call_ref(call);
        call->started = true;
        call->raw->handler(call->raw->context, &request);
        vn_call_unref(call);
}

/* --- answers --- */

static size_t add_metadata(const struct vn_call *call, nghttp2_nv *nv)
{
        size_t n = 0;
        for (const struct call_metadata *item = call->initial; item; item = item->next)
                nv[n++] = (nghttp2_nv){(uint8_t *)(uintptr_t)item->name.ptr, (uint8_t *)(uintptr_t)item->value.ptr,
                                       item->name.len, item->value.len, NGHTTP2_NV_FLAG_NONE};
        return n;
}

void edge_json_reply(struct vn_call *call, const ProtobufCMessage *message)
{
        struct vn_err err = {0};
        nghttp2_nv nv[CALL_NV_MAX];
        size_t n = 0;
        enum vn_rc rc = message ? vn_pbjson_print(message, &call->out, &err) : VN_OK;
        if (!message)
                vn_buf_text(&call->out, "{}");
        if (rc == VN_OK)
                rc = vn_buf_check(&call->out, &err);
        if (rc != VN_OK) {
                fail(call, rc, &err);
                return;
        }
        nv[n++] = edge_nv_fixed(":status", "200");
        nv[n++] = edge_nv_fixed("content-type", "application/json");
        nv[n++] = edge_nv_fixed("cache-control", "no-store");
        nv[n++] = edge_nv_fixed("x-content-type-options", "nosniff");
        n += add_metadata(call, nv + n);
        submit(call, nv, n, true);
}

static enum vn_rc send_event(struct vn_call *call, const char *event, struct vn_str data)
{
        VN_TRY(edge_call_outbox(call, data.len + 64));
        if (event)
                vn_buf_printf(&call->out, "event: %s\n", event);
        else
                vn_buf_printf(&call->out, "id: %llu\n", (unsigned long long)++call->sse_id);
        vn_buf_text(&call->out, "data: ");
        vn_buf_str(&call->out, data);
        vn_buf_text(&call->out, "\n\n");
        call->sse_next_beat_us = call->loop->now_us + HEARTBEAT_US;
        edge_call_resume(call);
        return VN_OK;
}

enum vn_rc edge_json_send(struct vn_call *call, const ProtobufCMessage *message)
{
        VN_AUTO(vn_buf)
        json = VN_BUF_INIT(MAX_JSON_BYTES);
        VN_TRY(vn_pbjson_print(message, &json, NULL));
        VN_TRY(vn_buf_check(&json, NULL));
        if (!call->head_sent)
                sse_head(call);
        return call->is_head ? VN_OK : send_event(call, NULL, vn_buf_view(&json));
}

void edge_json_beat(struct vn_call *call)
{
        call->sse_next_beat_us = call->loop->now_us + HEARTBEAT_US;
        /* A reader that has not even taken what is there needs no proof of life. */
        if (!call->over && !edge_call_pending(call) && vn_buf_text(&call->out, ":\n\n"))
                edge_call_resume(call);
}

void edge_json_finish(struct vn_call *call, enum vn_rc rc, const char *message)
{
        if (rc != VN_OK && !call->head_sent) {
                edge_http_error(call, vn_rc_http_status(rc), rc, message);
                return;
        }
        if (call->entry->row->kind != VN_SERVER_STREAM) {
                edge_json_reply(call, NULL);
                return;
        }
        if (!call->head_sent)
                sse_head(call);
        if (rc != VN_OK)
                edge_call_failed(call, rc);
        VN_AUTO(vn_buf)
        data = VN_BUF_INIT(4096);
        vn_buf_printf(&data, "{\"code\":%d,\"message\":", (int)rc);
        vn_buf_json_string(&data, vn_str(message ? message : ""));
        vn_buf_text(&data, ",\"details\":[]}");
        /* The last event may go over the outbox's limit: it is small, and the only one after the end. */
        if (!call->is_head)
                vn_buf_printf(&call->out, "event: %s\ndata: %.*s\n\n", rc == VN_OK ? "end" : "error",
                              VN_FMT(vn_buf_view(&data)));
        call->out_end = true;
        edge_call_resume(call);
}

/* Names in lower case, as HTTP/2 demands; a value with a control byte would be a header of its own and is left out. */
static size_t reply_header(struct vn_call *call, const struct vn_http_header *header, nghttp2_nv *nv)
{
        size_t len = strlen(header->name), value_len = strlen(header->value);
        char *name = vn_arena_strndup(&call->head_arena, header->name, len);
        for (size_t i = 0; i < value_len; i++)
                if ((unsigned char)header->value[i] < 0x20 || header->value[i] == 0x7f)
                        return 0;
        for (size_t i = 0; name && i < len; i++)
                if (name[i] >= 'A' && name[i] <= 'Z')
                        name[i] = (char)(name[i] + 32);
        if (name)
                *nv = edge_nv(name, vn_str_n(header->value, value_len));
        return name ? 1 : 0;
}

void vn_http_reply(struct vn_call *call, int status, const char *content_type, struct vn_str body,
                   const struct vn_http_header *headers, size_t header_count)
{
        nghttp2_nv nv[MAX_REPLY_HEADERS + 8];
        size_t n = 0;
        VN_ASSERT(call->kind == CALL_RAW && header_count <= MAX_REPLY_HEADERS);
        if (!edge_call_finish_once(call))
                return;
        if (status >= 400)
                edge_call_failed(call, vn_rc_from_http_status(status));
        bool has_length = status != 204 && status != 304;
        if (has_length && !vn_buf_str(&call->out, body)) {
                call->over = false;
                edge_http_error(call, 500, VN_RESOURCE_EXHAUSTED, "the answer is too large");
                return;
        }
        nv[n++] = edge_nv_fixed(":status", status_digits(call, status));
        if (content_type)
                nv[n++] = edge_nv("content-type", vn_str(content_type));
        for (size_t i = 0; i < header_count; i++)
                n += reply_header(call, &headers[i], nv + n);
        submit(call, nv, n, has_length);
}

void vn_http_break(struct vn_call *call, int status, const char *content_type, struct vn_str body, size_t sent)
{
        struct edge_conn *conn = call->conn;
        char length[24];
        VN_ASSERT(call->kind == CALL_RAW && sent <= body.len);
        if (!edge_call_finish_once(call))
                return;
        if (sent && vn_buf_str(&call->out, vn_str_n(body.ptr, sent))) {
                snprintf(length, sizeof length, "%zu", body.len);
                const nghttp2_nv nv[] = {edge_nv_fixed(":status", status_digits(call, status)),
                                         edge_nv("content-type", vn_str(content_type)),
                                         edge_nv("content-length", vn_str(length))};
                call->content_length = (int64_t)body.len;
                edge_call_submit(call, nv, 3, true);
                edge_conn_flush(conn);
        }
        edge_conn_kill(conn);
}
