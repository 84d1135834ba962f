/* Answers on standard output. JSON is the server's own form; YAML is made of it; tables by reflection. What a server
 * says is shown, never obeyed: control characters do not reach a terminal. */
#include <stdlib.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "cli/command.h"
#include "net/pbjson.h"

#define MAX_COLUMNS 16
#define MAX_OUTPUT_BYTES ((size_t)64 << 20)
#define MAX_CELL_BYTES 4096
#define MAX_DEPTH 16

struct printer {
        struct vn_buf *out;
        struct vn_err *err;
};

/* --- cells --- */

static bool is_time(const ProtobufCFieldDescriptor *field)
{
        return field->type == PROTOBUF_C_TYPE_INT64 && vn_str_ends(vn_str(field->name), VN_STR("_us"));
}

/* A field's name for people: "created_us" is shown as a time, so its unit goes. */
static void add_name(struct vn_buf *out, const ProtobufCFieldDescriptor *field, bool heading)
{
        size_t n = strlen(field->name) - (is_time(field) ? 3 : 0);

        for (size_t i = 0; i < n; i++) {
                char c = field->name[i];
                if (c == '_')
                        c = '-';
                else if (heading && c >= 'a' && c <= 'z')
                        c = (char)(c - 'a' + 'A');
                vn_buf_char(out, c);
        }
}

static void add_flat(struct vn_buf *out, struct vn_str text, bool keep_lines)
{
        for (size_t i = 0; i < text.len; i++) {
                unsigned char c = (unsigned char)text.ptr[i];
                vn_buf_char(out, (c < ' ' && !(keep_lines && c == '\n')) || c == 0x7f ? ' ' : (char)c);
        }
}

static enum vn_rc add_cell(struct printer *p, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                           size_t index)
{
        const char *at = (const char *)message + field->offset;
        char time[VN_TIME_TEXT_BYTES];
        VN_AUTO(vn_buf)
        json = VN_BUF_INIT(MAX_OUTPUT_BYTES);

        if (field->type == PROTOBUF_C_TYPE_STRING) {
                char *const *texts = field->label == PROTOBUF_C_LABEL_REPEATED ? *(char **const *)(const void *)at
                                                                               : (char *const *)(const void *)at;
                add_flat(p->out, vn_str(texts[index] ? texts[index] : ""), false);
                return VN_OK;
        }
        if (is_time(field) && field->label != PROTOBUF_C_LABEL_REPEATED) {
                int64_t us = *(const int64_t *)(const void *)at;
                if (us)
                        vn_time_format(us, time);
                vn_buf_text(p->out, us ? time : "-");
                return VN_OK;
        }
        if (field->type == PROTOBUF_C_TYPE_DOUBLE && field->label != PROTOBUF_C_LABEL_REPEATED) {
                vn_buf_printf(p->out, "%.6g", *(const double *)(const void *)at);
                return VN_OK;
        }
        VN_TRY(vn_pbjson_print_value(message, field, index, &json, p->err));
        if (json.len >= 2 && *json.ptr == '"') /* 64-bit integers, bytes, enums */
                vn_buf_str(p->out, vn_str_n(json.ptr + 1, json.len - 2));
        else
                vn_buf_str(p->out, vn_buf_view(&json));
        return VN_OK;
}

static enum vn_rc add_all(struct printer *p, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
        for (size_t i = 0; i < vn_pbjson_count(message, field); i++) {
                if (i)
                        vn_buf_char(p->out, ',');
                VN_TRY(add_cell(p, message, field, i));
        }
        return VN_OK;
}

/* --- tables --- */

static size_t width(const char *text)
{
        size_t n = 0;
        for (; *text; text++)
                n += ((unsigned char)*text & 0xc0) != 0x80;
        return n;
}

struct grid {
        const ProtobufCFieldDescriptor *columns[MAX_COLUMNS];
        size_t column_count, row_count;
        char **cells; /* with the heading as row 0 */
};

static void grid_done(struct grid *g)
{
        for (size_t i = 0; g->cells && i < g->column_count * (g->row_count + 1); i++)
                vn_free(g->cells[i]);
        vn_free(g->cells);
}

static enum vn_rc grid_fill(struct printer *p, struct grid *g, const ProtobufCMessage *message,
                            const ProtobufCFieldDescriptor *list)
{
        g->cells = vn_alloc_array(g->column_count * (g->row_count + 1), sizeof(char *));
        if (!g->cells)
                return vn_fail(p->err, VN_RESOURCE_EXHAUSTED, "out of memory for a table");
        for (size_t r = 0; r <= g->row_count; r++) {
                for (size_t c = 0; c < g->column_count; c++) {
                        VN_AUTO(vn_buf)
                        cell = VN_BUF_INIT(MAX_CELL_BYTES);
                        struct printer one = {&cell, p->err};
                        if (!r) {
                                add_name(&cell, g->columns[c], true);
                        } else {
                                const ProtobufCMessage *row = list ? vn_pbjson_child(message, list, r - 1) : message;
                                VN_TRY(add_all(&one, row, g->columns[c]));
                        }
                        if (!cell.len)
                                vn_buf_char(&cell, '-');
                        g->cells[r * g->column_count + c] = vn_buf_take(&cell);
                        if (!g->cells[r * g->column_count + c])
                                return vn_fail(p->err, VN_RESOURCE_EXHAUSTED, "out of memory for a table");
                }
        }
        return VN_OK;
}

static void grid_print(struct printer *p, const struct grid *g, unsigned indent, bool heading)
{
        size_t widths[MAX_COLUMNS] = {0};

        for (size_t r = 0; r <= g->row_count; r++)
                for (size_t c = 0; c < g->column_count; c++) {
                        size_t w = width(g->cells[r * g->column_count + c]);
                        if (w > widths[c])
                                widths[c] = w;
                }
        for (size_t r = heading ? 0 : 1; r <= g->row_count; r++) {
                vn_buf_printf(p->out, "%*s", (int)indent, "");
                for (size_t c = 0; c < g->column_count; c++) {
                        const char *cell = g->cells[r * g->column_count + c];
                        bool last = c + 1 == g->column_count;
                        vn_buf_text(p->out, cell);
                        vn_buf_printf(p->out, "%*s", last ? 0 : (int)(widths[c] - width(cell) + 2), "");
                }
                vn_buf_char(p->out, '\n');
        }
}

/* The rows of a list of messages, or one message as one row (list NULL). columns empty: all plain fields. */
static enum vn_rc print_table(struct printer *p, const ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *list, const char *columns, unsigned indent,
                              bool heading)
{
        const ProtobufCMessageDescriptor *row =
                list ? (const ProtobufCMessageDescriptor *)list->descriptor : message->descriptor;
        struct grid g = {.row_count = list ? vn_pbjson_count(message, list) : 1};
        struct vn_str rest = vn_str(columns);
        enum vn_rc rc;

        while (rest.ptr && rest.len && g.column_count < MAX_COLUMNS) {
                struct vn_str name = vn_str_cut(&rest, ' ');
                if (name.len) {
                        g.columns[g.column_count] = vn_pbjson_field(row, name);
                        VN_ASSERT(g.columns[g.column_count]); /* the command table names a field that is not there */
                        g.column_count++;
                }
        }
        for (unsigned i = 0; !*columns && i < row->n_fields && g.column_count < MAX_COLUMNS; i++)
                if (row->fields[i].type != PROTOBUF_C_TYPE_MESSAGE)
                        g.columns[g.column_count++] = &row->fields[i];
        rc = grid_fill(p, &g, message, list);
        if (rc == VN_OK)
                grid_print(p, &g, indent, heading);
        grid_done(&g);
        return rc;
}

/* --- one message, every field --- */

static enum vn_rc print_detail(struct printer *p, const ProtobufCMessage *message, unsigned depth);

static enum vn_rc print_field(struct printer *p, const ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *field, unsigned depth)
{
        const char *text = NULL;

        vn_buf_printf(p->out, "%*s", (int)depth * 2, "");
        add_name(p->out, field, false);
        vn_buf_char(p->out, ':');
        if (field->type == PROTOBUF_C_TYPE_MESSAGE) {
                vn_buf_char(p->out, '\n');
                if (field->label == PROTOBUF_C_LABEL_REPEATED)
                        return print_table(p, message, field, "", (depth + 1) * 2, true);
                return depth >= MAX_DEPTH ? VN_OK : print_detail(p, vn_pbjson_child(message, field, 0), depth + 1);
        }
        if (field->type == PROTOBUF_C_TYPE_STRING && field->label != PROTOBUF_C_LABEL_REPEATED)
                text = *(char *const *)(const void *)((const char *)message + field->offset);
        if (text && strchr(text, '\n')) { /* a document: as it is, below its name */
                vn_buf_char(p->out, '\n');
                add_flat(p->out, vn_str(text), true);
        } else {
                vn_buf_char(p->out, ' ');
                VN_TRY(add_all(p, message, field));
        }
        vn_buf_char(p->out, '\n');
        return VN_OK;
}

static enum vn_rc print_detail(struct printer *p, const ProtobufCMessage *message, unsigned depth)
{
        for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
                const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
                if (vn_pbjson_count(message, field))
                        VN_TRY(print_field(p, message, field, depth));
        }
        return VN_OK;
}

/* --- YAML out of JSON --- */

static void yaml_indent(struct vn_buf *out, unsigned depth)
{
        vn_buf_printf(out, "%*s", (int)depth * 2, "");
}

static void yaml_scalar(struct vn_buf *out, const json_t *v)
{
        char number[VN_NUMBER_TEXT_BYTES];

        if (json_is_string(v))
                vn_buf_json_string(out, vn_str_n(json_string_value(v), json_string_length(v)));
        else if (json_is_integer(v))
                vn_buf_printf(out, "%lld", (long long)json_integer_value(v));
        else if (json_is_real(v) && vn_json_number(json_real_value(v), number))
                vn_buf_text(out, number);
        else
                vn_buf_text(out, json_is_true(v) ? "true" : json_is_false(v) ? "false" : "null");
        vn_buf_char(out, '\n');
}

/* `inline_first`: the cursor stands behind "- ", where an object's first key goes. */
static void yaml_value(struct vn_buf *out, json_t *v, unsigned depth, bool inline_first)
{
        const char *key;
        json_t *item;
        size_t i;

        json_object_foreach(v, key, item)
        {
                bool nested = (json_is_object(item) && json_object_size(item)) ||
                              (json_is_array(item) && json_array_size(item));
                if (!inline_first)
                        yaml_indent(out, depth);
                inline_first = false;
                vn_buf_text(out, key);
                vn_buf_char(out, ':');
                vn_buf_char(out, nested ? '\n' : ' ');
                if (nested)
                        yaml_value(out, item, depth + 1, false);
                else if (json_is_object(item) || json_is_array(item))
                        vn_buf_text(out, json_is_object(item) ? "{}\n" : "[]\n");
                else
                        yaml_scalar(out, item);
        }
        for (i = 0; json_is_array(v) && i < json_array_size(v); i++) {
                item = json_array_get(v, i);
                yaml_indent(out, depth);
                vn_buf_text(out, "- ");
                if (json_is_object(item) && json_object_size(item))
                        yaml_value(out, item, depth + 1, true);
                else if (json_is_object(item))
                        vn_buf_text(out, "{}\n");
                else
                        yaml_scalar(out, item);
        }
}

static enum vn_rc print_as_json(const ProtobufCMessage *message, enum cli_format format, struct vn_buf *out,
                                struct vn_err *err)
{
        VN_AUTO(vn_buf)
        compact = VN_BUF_INIT(MAX_OUTPUT_BYTES);
        VN_AUTO(vn_json)
        tree = NULL;
        json_error_t why;
        char *pretty;

        VN_TRY(vn_pbjson_print(message, &compact, err));
        if (format == CLI_JSONL) {
                vn_buf_str(out, vn_buf_view(&compact));
                vn_buf_char(out, '\n');
                return VN_OK;
        }
        tree = json_loadb(compact.ptr, compact.len, 0, &why);
        if (!tree)
                return vn_fail(err, VN_INTERNAL, "%s", why.text);
        if (format == CLI_YAML) {
                if (json_object_size(tree))
                        yaml_value(out, tree, 0, false);
                else
                        vn_buf_text(out, "{}\n");
                return VN_OK;
        }
        pretty = json_dumps(tree, JSON_INDENT(2) | JSON_REAL_PRECISION(17));
        if (!pretty)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_buf_text(out, pretty);
        vn_buf_char(out, '\n');
        free(pretty); /* jansson's */
        return VN_OK;
}

static enum vn_rc print_text(struct printer *p, const ProtobufCMessage *message, const char *columns)
{
        struct vn_str rest = vn_str(columns), list;
        const ProtobufCFieldDescriptor *field;

        if (!*columns)
                return print_detail(p, message, 0);
        list = vn_str_cut(&rest, ':');
        if (!rest.ptr) /* a stream's line */
                return print_table(p, message, NULL, columns, 0, false);
        field = vn_pbjson_field(message->descriptor, list);
        VN_ASSERT(field);
        return print_table(p, message, field, rest.ptr, 0, true);
}

enum vn_rc cli_print(const ProtobufCMessage *message, const char *columns, enum cli_format format, FILE *out,
                     struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_OUTPUT_BYTES);
        struct printer p = {&text, err};

        if (format == CLI_TABLE)
                VN_TRY(print_text(&p, message, columns));
        else
                VN_TRY(print_as_json(message, format, &text, err));
        VN_TRY(vn_buf_check(&text, err));
        if (fwrite(text.ptr ? text.ptr : "", 1, text.len, out) != text.len || fflush(out))
                return vn_fail(err, VN_UNAVAILABLE, "standard output cannot be written");
        return VN_OK;
}
