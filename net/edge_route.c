/* edge_route.c - see edge_route.h. */
#include "net/edge_route.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/mem.h"

#define MAX_MESSAGE_DEPTH 24
#define DEFAULT_MAX_REQUEST (4u << 20)

static unsigned slot_of(const struct edge_routes *routes, struct vn_str path)
{
        return (unsigned)vn_hash64(path.ptr, path.len, 0) & (routes->slot_count - 1);
}

static void put(struct edge_routes *routes, struct edge_entry *entry)
{
        unsigned at = slot_of(routes, vn_str_n(entry->path, entry->path_len));
        while (routes->slots[at])
                at = (at + 1) & (routes->slot_count - 1);
        routes->slots[at] = entry;
}

static bool grow(struct edge_routes *routes)
{
        if (routes->slot_count >= 2 * (routes->row_count + 1))
                return true;
        unsigned count = routes->slot_count ? routes->slot_count * 2 : 64;
        struct edge_entry **slots = vn_alloc_array(count, sizeof(struct edge_entry *));
        if (!slots)
                return false;
        vn_free(routes->slots);
        routes->slots = slots;
        routes->slot_count = count;
        for (unsigned i = 0; i < routes->row_count; i++)
                put(routes, routes->rows[i]);
        return true;
}

/* protobuf-c unpacks by recursion without a limit, so a message type that contains itself would let a peer's bytes
 * decide how deep our stack goes: such types are refused as requests. */
static bool bounded_depth(const ProtobufCMessageDescriptor *message, unsigned depth)
{
        if (depth > MAX_MESSAGE_DEPTH)
                return false;
        for (unsigned i = 0; i < message->n_fields; i++)
                if (message->fields[i].type == PROTOBUF_C_TYPE_MESSAGE &&
                    !bounded_depth(message->fields[i].descriptor, depth + 1))
                        return false;
        return true;
}

static enum vn_rc parse_segment(struct vn_str text, struct route_segment *ret)
{
        *ret = (struct route_segment){.literal = text};
        if (!text.len)
                return VN_INVALID_ARGUMENT;
        const char *open = memchr(text.ptr, '{', text.len);
        if (!open)
                return memchr(text.ptr, '}', text.len) ? VN_INVALID_ARGUMENT : VN_OK;
        const char *close = memchr(text.ptr, '}', text.len);
        if (open != text.ptr || !close || close == open + 1)
                return VN_INVALID_ARGUMENT;
        ret->field = vn_str_n(open + 1, (size_t)(close - open - 1));
        ret->literal = vn_str_n(close + 1, text.len - (size_t)(close + 1 - text.ptr));
        return VN_OK;
}

static enum vn_rc parse_template(struct edge_entry *entry, struct vn_err *err)
{
        struct vn_str rest = vn_str(entry->row->path);
        if (!rest.len || rest.ptr[0] != '/')
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: HTTP path \"%s\"", entry->path, entry->row->path);
        rest = vn_str_n(rest.ptr + 1, rest.len - 1);
        while (rest.ptr) {
                struct vn_str part = vn_str_cut(&rest, '/');
                if (entry->segment_count == ROUTE_MAX_SEGMENTS ||
                    parse_segment(part, &entry->segments[entry->segment_count]) != VN_OK)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%s: HTTP path \"%s\"", entry->path,
                                       entry->row->path);
                entry->segment_count++;
        }
        return VN_OK;
}

static bool row_is_whole(const struct vn_method *row)
{
        bool whole_request = row->kind == VN_UNARY || row->kind == VN_SERVER_STREAM;
        if (!row->service || !row->name || !row->request || !row->response)
                return false;
        if (whole_request ? !row->start : !row->message || !row->half_close)
                return false;
        return row->verb == VN_HTTP_NONE || (whole_request && row->path);
}

enum vn_rc edge_routes_add(struct edge_routes *routes, const struct vn_method *row, void *context, struct vn_err *err)
{
        if (!row_is_whole(row))
                return vn_fail(err, VN_INVALID_ARGUMENT, "method row %s/%s is incomplete",
                               row->service ? row->service : "?", row->name ? row->name : "?");
        if (!bounded_depth(row->request, 0))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s/%s: the request type nests without end", row->service,
                               row->name);
        if (routes->row_count == ROUTE_MAX_ROWS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "more than %d methods", ROUTE_MAX_ROWS);
        struct edge_entry *entry = vn_alloc(sizeof *entry);
        if (!entry || !grow(routes)) {
                vn_free(entry);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for methods");
        }
        entry->row = row;
        entry->context = context;
        entry->max_request_bytes = row->max_request_bytes ? row->max_request_bytes : DEFAULT_MAX_REQUEST;
        int n = snprintf(entry->path, sizeof entry->path, "/%s/%s", row->service, row->name);
        entry->path_len = (size_t)n;
        enum vn_rc rc = VN_OK;
        if (n < 0 || (size_t)n >= sizeof entry->path)
                rc = vn_fail(err, VN_INVALID_ARGUMENT, "%s/%s: name too long", row->service, row->name);
        else if (edge_route_grpc(routes, vn_str_n(entry->path, entry->path_len)))
                rc = vn_fail(err, VN_ALREADY_EXISTS, "%s is registered twice", entry->path);
        else if (row->verb != VN_HTTP_NONE)
                rc = parse_template(entry, err);
        if (rc != VN_OK) {
                vn_free(entry);
                return rc;
        }
        put(routes, entry);
        routes->rows[routes->row_count++] = entry;
        return VN_OK;
}

enum vn_rc edge_routes_add_raw(struct edge_routes *routes, const char *prefix, enum vn_access access,
                               vn_http_handler handler, void *context, struct vn_err *err)
{
        size_t len = strlen(prefix);
        if (!len || prefix[0] != '/' || len >= sizeof routes->raws[0]->prefix || !handler)
                return vn_fail(err, VN_INVALID_ARGUMENT, "HTTP prefix \"%s\"", prefix);
        for (unsigned i = 0; i < routes->raw_count; i++)
                if (!strcmp(routes->raws[i]->prefix, prefix))
                        return vn_fail(err, VN_ALREADY_EXISTS, "%s is registered twice", prefix);
        if (routes->raw_count == ROUTE_MAX_RAW)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "more than %d HTTP prefixes", ROUTE_MAX_RAW);
        struct edge_raw *raw = vn_alloc(sizeof *raw);
        if (!raw)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for HTTP prefixes");
        *raw = (struct edge_raw){.len = len,
                                 .below = prefix[len - 1] == '/',
                                 .access = access,
                                 .handler = handler,
                                 .context = context};
        memcpy(raw->prefix, prefix, len + 1);
        routes->raws[routes->raw_count++] = raw;
        return VN_OK;
}

void edge_routes_done(struct edge_routes *routes)
{
        for (unsigned i = 0; i < routes->row_count; i++)
                vn_free(routes->rows[i]);
        for (unsigned i = 0; i < routes->raw_count; i++)
                vn_free(routes->raws[i]);
        vn_free(routes->slots);
        *routes = (struct edge_routes){0};
}

const struct edge_entry *edge_route_grpc(const struct edge_routes *routes, struct vn_str path)
{
        if (!routes->slot_count)
                return NULL;
        unsigned at = slot_of(routes, path);
        for (; routes->slots[at]; at = (at + 1) & (routes->slot_count - 1)) {
                const struct edge_entry *entry = routes->slots[at];
                if (entry->path_len == path.len && !memcmp(entry->path, path.ptr, path.len))
                        return entry;
        }
        return NULL;
}

bool edge_route_has_service(const struct edge_routes *routes, struct vn_str service)
{
        for (unsigned i = 0; i < routes->row_count; i++)
                if (vn_str_eq(vn_str(routes->rows[i]->row->service), service))
                        return true;
        return false;
}

static bool match_entry(const struct edge_entry *entry, const struct vn_str *parts, unsigned count,
                        struct route_match *ret)
{
        if (entry->segment_count != count)
                return false;
        ret->value_count = 0;
        for (unsigned i = 0; i < count; i++) {
                const struct route_segment *segment = &entry->segments[i];
                if (!segment->field.len) {
                        if (!vn_str_eq(segment->literal, parts[i]))
                                return false;
                        continue;
                }
                if (parts[i].len <= segment->literal.len || !vn_str_ends(parts[i], segment->literal))
                        return false;
                struct vn_str value = vn_str_n(parts[i].ptr, parts[i].len - segment->literal.len);
                ret->values[ret->value_count++] = (struct route_value){segment->field, value};
        }
        return true;
}

/* How many literal characters a template has: "/v1/a/{x}:pause" is taken before "/v1/a/{x}". */
static size_t weight(const struct edge_entry *entry)
{
        size_t sum = 0;
        for (unsigned i = 0; i < entry->segment_count; i++)
                sum += entry->segments[i].literal.len + (entry->segments[i].field.len ? 0 : 1);
        return sum;
}

void edge_route_http(const struct edge_routes *routes, enum vn_http_verb verb, struct vn_str path,
                     struct route_match *ret)
{
        *ret = (struct route_match){0};
        struct vn_str parts[ROUTE_MAX_SEGMENTS];
        unsigned count = 0;
        if (!path.len || path.ptr[0] != '/')
                return;
        for (struct vn_str rest = vn_str_n(path.ptr + 1, path.len - 1); rest.ptr; count++) {
                if (count == ROUTE_MAX_SEGMENTS)
                        return;
                parts[count] = vn_str_cut(&rest, '/');
        }
        size_t best = 0;
        for (unsigned i = 0; i < routes->row_count; i++) {
                const struct edge_entry *entry = routes->rows[i];
                struct route_match match = {0};
                if (!entry->segment_count || !match_entry(entry, parts, count, &match))
                        continue;
                ret->allowed |= 1u << entry->row->verb;
                if (entry->row->verb != verb || (ret->entry && weight(entry) <= best))
                        continue;
                best = weight(entry);
                match.entry = entry;
                match.allowed = ret->allowed;
                *ret = match;
        }
}

const struct edge_raw *edge_route_raw(const struct edge_routes *routes, struct vn_str path)
{
        const struct edge_raw *best = NULL;
        for (unsigned i = 0; i < routes->raw_count; i++) {
                const struct edge_raw *raw = routes->raws[i];
                bool fits = raw->below ? path.len >= raw->len : path.len == raw->len;
                if (fits && !memcmp(raw->prefix, path.ptr, raw->len) && (!best || raw->len > best->len))
                        best = raw;
        }
        return best;
}

enum vn_http_verb edge_verb(struct vn_str verb)
{
        if (vn_str_eq(verb, VN_STR("HEAD")))
                return VN_HTTP_GET;
        for (enum vn_http_verb v = VN_HTTP_GET; v <= VN_HTTP_DELETE; v++)
                if (vn_str_eq(verb, vn_str(edge_verb_name(v))))
                        return v;
        return VN_HTTP_NONE;
}

const char *edge_verb_name(enum vn_http_verb verb)
{
        static const char *const names[] = {"", "GET", "POST", "PUT", "PATCH", "DELETE"};
        return names[verb];
}
