#include "net/openapi.h"

#include <inttypes.h>
#include <stdint.h>

#include "net/pbjson.h"

#define MAX_MESSAGES 256
#define MAX_ROWS 512

/* Messages met on the way from the rows, each once; those that a request can carry are described as they may come
 * in, which is a little wider than as they go out. */
struct known {
        const ProtobufCMessageDescriptor *message;
        bool input;
};
struct writer {
        struct vn_buf *out;
        struct vn_err *err;
        struct known known[MAX_MESSAGES];
        size_t known_count;
};

static void quoted(struct writer *w, const char *text)
{
        vn_buf_json_string(w->out, vn_str(text));
}

/* {"key": with a comma before all but the first. */
static void key(struct writer *w, bool *first, const char *name)
{
        if (!*first)
                vn_buf_char(w->out, ',');
        *first = false;
        quoted(w, name);
        vn_buf_char(w->out, ':');
}

/* "vane.v1.Account" -> "Account": the document has one package. */
static const char *short_name(const char *full)
{
        const char *dot = strrchr(full, '.');
        return dot ? dot + 1 : full;
}

static enum vn_rc meet(struct writer *w, const ProtobufCMessageDescriptor *message, bool input)
{
        size_t i = 0;

        while (i < w->known_count && w->known[i].message != message)
                i++;
        if (i < w->known_count && w->known[i].input >= input)
                return VN_OK;
        if (i == MAX_MESSAGES)
                return vn_fail(w->err, VN_RESOURCE_EXHAUSTED, "more than %d messages to describe", MAX_MESSAGES);
        if (i == w->known_count)
                w->known_count++;
        w->known[i] = (struct known){message, input};
        for (unsigned f = 0; f < message->n_fields; f++)
                if (message->fields[f].type == PROTOBUF_C_TYPE_MESSAGE)
                        VN_TRY(meet(w, message->fields[f].descriptor, input));
        return VN_OK;
}

static void enum_schema(struct writer *w, const ProtobufCEnumDescriptor *e, bool numbers)
{
        vn_buf_text(w->out, "{\"enum\":[");
        for (unsigned i = 0; i < e->n_values; i++) {
                if (i)
                        vn_buf_char(w->out, ',');
                quoted(w, e->values[i].name);
                if (numbers)
                        vn_buf_printf(w->out, ",%d", e->values[i].value);
        }
        vn_buf_text(w->out, numbers ? ",null]}" : "]}");
}

/* How one value is written; `where` says in which of the three places. */
enum where { IN_REPLY, IN_BODY, IN_QUERY };

static void wide_integer(struct writer *w, bool is_signed, enum where where)
{
        const char *format = is_signed ? "int64" : "uint64";
        const char *pattern = is_signed ? "^-?[0-9]{1,18}$" : "^[0-9]{1,19}$";
        const char *low = is_signed ? "-9223372036854775808" : "0";

        if (where == IN_REPLY)
                vn_buf_printf(w->out, "{\"type\":\"string\",\"format\":\"%s\",\"pattern\":\"^-?[0-9]{1,20}$\"}",
                              format);
        else if (where == IN_BODY)
                vn_buf_printf(w->out,
                              "{\"type\":[\"string\",\"integer\",\"null\"],\"format\":\"%s\",\"pattern\":\"%s\","
                              "\"minimum\":%s,\"maximum\":9223372036854775807}",
                              format, pattern, low);
        else
                vn_buf_printf(w->out,
                              "{\"type\":\"integer\",\"format\":\"%s\",\"minimum\":%s,"
                              "\"maximum\":9223372036854775807}",
                              format, low);
}

static void simple(struct writer *w, const char *type, const char *rest, enum where where)
{
        if (where == IN_BODY)
                vn_buf_printf(w->out, "{\"type\":[\"%s\",\"null\"]%s}", type, rest);
        else
                vn_buf_printf(w->out, "{\"type\":\"%s\"%s}", type, rest);
}

static void value_schema(struct writer *w, const ProtobufCFieldDescriptor *field, enum where where)
{
        switch (field->type) {
        case PROTOBUF_C_TYPE_INT32:
        case PROTOBUF_C_TYPE_SINT32:
        case PROTOBUF_C_TYPE_SFIXED32:
                simple(w, "integer", ",\"format\":\"int32\",\"minimum\":-2147483648,\"maximum\":2147483647", where);
                return;
        case PROTOBUF_C_TYPE_UINT32:
        case PROTOBUF_C_TYPE_FIXED32: simple(w, "integer", ",\"minimum\":0,\"maximum\":4294967295", where); return;
        case PROTOBUF_C_TYPE_INT64:
        case PROTOBUF_C_TYPE_SINT64:
        case PROTOBUF_C_TYPE_SFIXED64: wide_integer(w, true, where); return;
        case PROTOBUF_C_TYPE_UINT64:
        case PROTOBUF_C_TYPE_FIXED64: wide_integer(w, false, where); return;
        case PROTOBUF_C_TYPE_FLOAT: simple(w, "number", ",\"format\":\"float\"", where); return;
        case PROTOBUF_C_TYPE_DOUBLE: simple(w, "number", ",\"format\":\"double\"", where); return;
        case PROTOBUF_C_TYPE_BOOL: simple(w, "boolean", "", where); return;
        case PROTOBUF_C_TYPE_ENUM: enum_schema(w, field->descriptor, where == IN_BODY); return;
        case PROTOBUF_C_TYPE_STRING:
                simple(w, "string", where == IN_REPLY ? "" : ",\"pattern\":\"^[^\\\\u0000]*$\"", where);
                return;
        case PROTOBUF_C_TYPE_BYTES:
                simple(w, "string", ",\"contentEncoding\":\"base64\",\"pattern\":\"^[A-Za-z0-9+/_-]*={0,2}$\"",
                       where);
                return;
        case PROTOBUF_C_TYPE_MESSAGE:
                vn_buf_text(w->out, "{\"$ref\":\"#/components/schemas/");
                vn_buf_text(w->out, short_name(((const ProtobufCMessageDescriptor *)field->descriptor)->name));
                vn_buf_text(w->out, "\"}");
                return;
        }
        VN_ASSERT(!"field type");
}

static void field_schema(struct writer *w, const ProtobufCFieldDescriptor *field, enum where where)
{
        if (field->label != PROTOBUF_C_LABEL_REPEATED) {
                value_schema(w, field, where);
                return;
        }
        vn_buf_printf(w->out, "{\"type\":%s,\"items\":", where == IN_BODY ? "[\"array\",\"null\"]" : "\"array\"");
        /* inside an array null is no value */
        value_schema(w, field,
                     where == IN_BODY && field->type != PROTOBUF_C_TYPE_INT64 && field->type != PROTOBUF_C_TYPE_UINT64
                             ? IN_QUERY
                             : where);
        vn_buf_char(w->out, '}');
}

static bool always_printed(const ProtobufCFieldDescriptor *field)
{
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
                return true;
        return field->type != PROTOBUF_C_TYPE_MESSAGE && !(field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) &&
               field->label != PROTOBUF_C_LABEL_OPTIONAL;
}

static void message_schema(struct writer *w, const struct known *known)
{
        const ProtobufCMessageDescriptor *m = known->message;
        char name[VN_PBJSON_MAX_NAME_BYTES];
        bool first = true;

        vn_buf_text(w->out, "{\"type\":\"object\",\"additionalProperties\":false,\"properties\":{");
        for (unsigned i = 0; i < m->n_fields; i++) {
                vn_pbjson_name(m->fields[i].name, name);
                key(w, &first, name);
                field_schema(w, &m->fields[i], known->input ? IN_BODY : IN_REPLY);
        }
        vn_buf_char(w->out, '}');
        if (!known->input) {
                first = true;
                vn_buf_text(w->out, ",\"required\":[");
                for (unsigned i = 0; i < m->n_fields; i++) {
                        if (!always_printed(&m->fields[i]))
                                continue;
                        if (!first)
                                vn_buf_char(w->out, ',');
                        first = false;
                        vn_pbjson_name(m->fields[i].name, name);
                        quoted(w, name);
                }
                vn_buf_char(w->out, ']');
        }
        vn_buf_char(w->out, '}');
}

/* --- operations --- */

static const char *verb_key(enum vn_http_verb verb)
{
        switch (verb) {
        case VN_HTTP_GET: return "get";
        case VN_HTTP_POST: return "post";
        case VN_HTTP_PUT: return "put";
        case VN_HTTP_PATCH: return "patch";
        case VN_HTTP_DELETE: return "delete";
        case VN_HTTP_NONE: break;
        }
        return NULL;
}

static bool in_path(const struct vn_method *row, const char *field)
{
        size_t n = strlen(field);
        for (const char *p = strchr(row->path, '{'); p; p = strchr(p + 1, '{'))
                if (!strncmp(p + 1, field, n) && p[1 + n] == '}')
                        return true;
        return false;
}

static void parameter(struct writer *w, bool *first, const char *name, const char *in,
                      const ProtobufCFieldDescriptor *field)
{
        bool path = !strcmp(in, "path");

        if (!*first)
                vn_buf_char(w->out, ',');
        *first = false;
        vn_buf_text(w->out, "{\"name\":");
        quoted(w, name);
        vn_buf_printf(w->out, ",\"in\":\"%s\"%s,\"schema\":", in, path ? ",\"required\":true" : "");
        if (path && field->type == PROTOBUF_C_TYPE_STRING)
                vn_buf_text(w->out, "{\"type\":\"string\",\"minLength\":1,\"pattern\":\"^[^/\\\\u0000]+$\"}");
        else
                field_schema(w, field, IN_QUERY);
        vn_buf_char(w->out, '}');
}

static enum vn_rc parameters(struct writer *w, const struct vn_method *row)
{
        bool first = true, query = row->verb == VN_HTTP_GET || row->verb == VN_HTTP_DELETE;
        char name[VN_PBJSON_MAX_NAME_BYTES];

        vn_buf_text(w->out, ",\"parameters\":[");
        for (const char *p = strchr(row->path, '{'); p; p = strchr(p + 1, '{')) {
                const char *end = strchr(p, '}');
                const ProtobufCFieldDescriptor *field =
                        end ? vn_pbjson_field(row->request, vn_str_n(p + 1, (size_t)(end - p - 1))) : NULL;
                if (!field || !vn_str_copy(name, sizeof(name), vn_str_n(p + 1, (size_t)(end - p - 1))))
                        return vn_fail(w->err, VN_INVALID_ARGUMENT, "%s.%s: path variable without a field",
                                       row->service, row->name);
                parameter(w, &first, name, "path", field);
        }
        for (unsigned i = 0; query && i < row->request->n_fields; i++) {
                const ProtobufCFieldDescriptor *field = &row->request->fields[i];
                if (field->type == PROTOBUF_C_TYPE_MESSAGE || in_path(row, field->name))
                        continue;
                vn_pbjson_name(field->name, name);
                parameter(w, &first, name, "query", field);
        }
        vn_buf_char(w->out, ']');
        return VN_OK;
}

static void responses(struct writer *w, const struct vn_method *row)
{
        static const int statuses[] = {400, 401, 403, 404, 405, 408, 409, 412, 413,
                                       414, 415, 429, 431, 499, 500, 501, 503, 504};
        bool stream = row->kind == VN_SERVER_STREAM || row->kind == VN_BIDI;

        vn_buf_text(w->out, ",\"responses\":{\"200\":{\"description\":");
        quoted(w, stream ? "Server-sent events; the data of each is one message as JSON." : "Done.");
        vn_buf_text(w->out,
                    stream ? ",\"content\":{\"text/event-stream\":{\"schema\":{\"type\":\"string\"},"
                             "\"x-event-schema\":{\"$ref\":\"#/components/schemas/"
                           : ",\"content\":{\"application/json\":{\"schema\":{\"$ref\":\"#/components/schemas/");
        vn_buf_text(w->out, short_name(row->response->name));
        vn_buf_text(w->out, "\"}}}}");
        for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++)
                vn_buf_printf(w->out, ",\"%d\":{\"$ref\":\"#/components/responses/Error\"}", statuses[i]);
        vn_buf_text(w->out, ",\"default\":{\"$ref\":\"#/components/responses/Error\"}}");
}

static const char *role(enum vn_access access)
{
        switch (access) {
        case VN_ACCESS_PUBLIC:
        case VN_ACCESS_ENROLL: return "Nobody has to log in for it.";
        case VN_ACCESS_AGENT: return "Agents only.";
        case VN_ACCESS_VIEWER: return "Needs the role viewer.";
        case VN_ACCESS_OPERATOR: return "Needs the role operator.";
        case VN_ACCESS_APPROVER: return "Needs the role approver.";
        case VN_ACCESS_ADMIN: return "Needs the role admin.";
        }
        VN_ASSERT(!"access");
        return "";
}

static enum vn_rc operation(struct writer *w, const struct vn_method *row)
{
        vn_buf_printf(w->out, "{\"operationId\":\"%s_%s\",\"tags\":[\"%s\"],\"summary\":", short_name(row->service),
                      row->name, short_name(row->service));
        quoted(w, row->help ? row->help : "");
        vn_buf_text(w->out, ",\"description\":");
        quoted(w, role(row->access));
        if (row->access == VN_ACCESS_PUBLIC || row->access == VN_ACCESS_ENROLL)
                vn_buf_text(w->out, ",\"security\":[]");
        VN_TRY(parameters(w, row));
        if (row->verb != VN_HTTP_GET && row->verb != VN_HTTP_DELETE) {
                vn_buf_text(w->out, ",\"requestBody\":{\"content\":{\"application/json\":{\"schema\":"
                                    "{\"$ref\":\"#/components/schemas/");
                vn_buf_text(w->out, short_name(row->request->name));
                vn_buf_text(w->out, "\"}}}}");
        }
        responses(w, row);
        vn_buf_char(w->out, '}');
        return VN_OK;
}

static enum vn_rc paths(struct writer *w, const struct vn_method *rows, size_t count)
{
        bool written[MAX_ROWS] = {false}, first_path = true;

        vn_buf_text(w->out, ",\"paths\":{");
        for (size_t i = 0; i < count; i++) {
                bool first = true;
                if (written[i] || rows[i].verb == VN_HTTP_NONE)
                        continue;
                key(w, &first_path, rows[i].path);
                vn_buf_char(w->out, '{');
                for (size_t j = i; j < count; j++) {
                        if (rows[j].verb == VN_HTTP_NONE || strcmp(rows[j].path, rows[i].path))
                                continue;
                        written[j] = true;
                        key(w, &first, verb_key(rows[j].verb));
                        VN_TRY(operation(w, &rows[j]));
                }
                vn_buf_char(w->out, '}');
        }
        vn_buf_char(w->out, '}');
        return VN_OK;
}

static void components(struct writer *w)
{
        bool first = true;

        vn_buf_text(w->out, ",\"components\":{\"securitySchemes\":{"
                            "\"bearer\":{\"type\":\"http\",\"scheme\":\"bearer\",\"description\":\"An API token.\"},"
                            "\"session\":{\"type\":\"apiKey\",\"in\":\"cookie\",\"name\":\"vane_session\","
                            "\"description\":\"A browser's session; writes need the X-Vane-CSRF header too.\"}},"
                            "\"responses\":{\"Error\":{\"description\":\"It was refused or failed; the message says "
                            "why.\",\"content\":{\"application/json\":{\"schema\":"
                            "{\"$ref\":\"#/components/schemas/Error\"}}}}},\"schemas\":{");
        key(w, &first, "Error");
        vn_buf_text(w->out, "{\"type\":\"object\",\"required\":[\"code\",\"message\",\"details\"],\"properties\":{"
                            "\"code\":{\"type\":\"integer\",\"minimum\":1,\"maximum\":16,\"description\":"
                            "\"A google.rpc.Code.\"},\"message\":{\"type\":\"string\"},"
                            "\"details\":{\"type\":\"array\"}}}");
        for (size_t i = 0; i < w->known_count; i++) {
                key(w, &first, short_name(w->known[i].message->name));
                message_schema(w, &w->known[i]);
        }
        vn_buf_text(w->out, "}}");
}

enum vn_rc vn_openapi_print(const struct vn_method *rows, size_t count, const char *title, const char *version,
                            struct vn_buf *out, struct vn_err *err)
{
        struct writer w = {.out = out, .err = err};

        if (count > MAX_ROWS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "more than %d methods to describe", MAX_ROWS);
        for (size_t i = 0; i < count; i++) {
                if (rows[i].verb == VN_HTTP_NONE)
                        continue;
                VN_TRY(meet(&w, rows[i].request, rows[i].verb != VN_HTTP_GET && rows[i].verb != VN_HTTP_DELETE));
                VN_TRY(meet(&w, rows[i].response, false));
        }
        vn_buf_text(out, "{\"openapi\":\"3.1.0\",\"info\":{\"title\":");
        quoted(&w, title);
        vn_buf_text(out, ",\"version\":");
        quoted(&w, version);
        vn_buf_text(out, "},\"servers\":[{\"url\":\"/\"}],\"security\":[{\"bearer\":[]},{\"session\":[]}]");
        VN_TRY(paths(&w, rows, count));
        components(&w);
        vn_buf_char(out, '}');
        return vn_buf_check(out, err);
}
