#include "base/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <yaml.h>

#include "base/json.h"
#include "base/mem.h"

#define MAX_FILE_BYTES ((size_t)256 << 10)
#define MAX_NESTING 8
#define MAX_KEY_BYTES 128
#define MAX_ROWS 256

struct reader {
        const struct vn_config_row *rows;
        size_t count;
        const char *name; /* the file's, for messages */
        char *config;
        bool seen[MAX_ROWS];
        yaml_parser_t parser;
        struct vn_err *err;
};

static enum vn_rc fail_at(const struct reader *r, yaml_mark_t mark, const char *what, const char *detail)
{
        return vn_fail(r->err, VN_INVALID_ARGUMENT, "%s line %zu column %zu: %s%s%s", r->name, mark.line + 1,
                       mark.column + 1, what, *detail ? ": " : "", detail);
}

/* --- one value --- */

static bool set_uint(const struct vn_config_row *row, struct vn_str text, void *to, bool *ret_in_bounds)
{
        uint64_t value;

        if (vn_str_to_u64(text, &value) != VN_OK)
                return false;
        *ret_in_bounds = (double)value >= row->min && (double)value <= row->max &&
                         (row->bytes == 8 || value < UINT64_C(1) << row->bytes * 8);
        if (!*ret_in_bounds)
                return true;
        if (row->bytes == 2)
                *(uint16_t *)to = (uint16_t)value;
        else if (row->bytes == 4)
                *(uint32_t *)to = (uint32_t)value;
        else
                *(uint64_t *)to = value;
        return true;
}

/* False: not of that type. */
static bool set_value(const struct vn_config_row *row, struct vn_str text, char *config, bool *ret_in_bounds)
{
        void *to = config + row->offset;
        double number;

        *ret_in_bounds = true;
        switch (row->type) {
        case VN_CONFIG_TEXT:
                *ret_in_bounds =
                        (double)text.len >= row->min && (double)text.len <= row->max && text.len < row->bytes;
                if (!vn_str_is_utf8(text) || memchr(text.ptr, 0, text.len))
                        return false;
                return !*ret_in_bounds || vn_str_copy(to, row->bytes, text);
        case VN_CONFIG_UINT: return set_uint(row, text, to, ret_in_bounds);
        case VN_CONFIG_NUMBER:
                if (vn_str_to_double(text, &number) != VN_OK)
                        return false;
                *ret_in_bounds = number >= row->min && number <= row->max;
                if (*ret_in_bounds)
                        *(double *)to = number;
                return true;
        case VN_CONFIG_BOOL:
                if (!vn_str_eq(text, VN_STR("true")) && !vn_str_eq(text, VN_STR("false")))
                        return false;
                *(bool *)to = text.len == 4;
                return true;
        }
        VN_ASSERT(!"config type");
        return false;
}

static const char *type_name(enum vn_config_type type)
{
        switch (type) {
        case VN_CONFIG_TEXT: return "text";
        case VN_CONFIG_UINT: return "whole number";
        case VN_CONFIG_NUMBER: return "number";
        case VN_CONFIG_BOOL: return "true or false";
        }
        VN_ASSERT(!"config type");
        return "";
}

void vn_config_defaults(const struct vn_config_row *rows, size_t count, void *config)
{
        for (size_t i = 0; i < count; i++) {
                bool in_bounds;
                memset((char *)config + rows[i].offset, 0, rows[i].bytes);
                if (rows[i].fallback) {
                        bool typed = set_value(&rows[i], vn_str(rows[i].fallback), config, &in_bounds);
                        VN_ASSERT(typed && in_bounds); /* the table contradicts itself */
                }
        }
}

/* --- the file --- */

static void bounds_text(const struct vn_config_row *row, char *ret, size_t bytes)
{
        char low[VN_NUMBER_TEXT_BYTES], high[VN_NUMBER_TEXT_BYTES];

        VN_ASSERT(vn_json_number(row->min, low) && vn_json_number(row->max, high));
        snprintf(ret, bytes, "%s %s to %s%s%s", row->key, low, high, *row->unit ? " " : "",
                 row->type == VN_CONFIG_TEXT ? "bytes" : row->unit);
}

static enum vn_rc take_scalar(struct reader *r, const char *key, yaml_mark_t key_mark, const yaml_event_t *event)
{
        struct vn_str text = vn_str_n(event->data.scalar.value, event->data.scalar.length);
        const struct vn_config_row *row = NULL;
        char bounds[256];
        bool in_bounds;

        for (size_t i = 0; i < r->count && !row; i++)
                if (!strcmp(r->rows[i].key, key))
                        row = &r->rows[i];
        if (!row)
                return fail_at(r, key_mark, "no such key", key);
        if (r->seen[row - r->rows])
                return fail_at(r, key_mark, "given twice", key);
        r->seen[row - r->rows] = true;
        if (!set_value(row, text, r->config, &in_bounds)) {
                snprintf(bounds, sizeof(bounds), "%s wants a %s", key, type_name(row->type));
                return fail_at(r, event->start_mark, bounds, "");
        }
        if (in_bounds)
                return VN_OK;
        bounds_text(row, bounds, sizeof(bounds));
        return fail_at(r, event->start_mark, "out of bounds", bounds);
}

static enum vn_rc next_event(struct reader *r, yaml_event_t *event)
{
        if (yaml_parser_parse(&r->parser, event))
                return VN_OK;
        if (r->parser.error == YAML_MEMORY_ERROR)
                return vn_fail(r->err, VN_RESOURCE_EXHAUSTED, "%s: out of memory", r->name);
        return fail_at(r, r->parser.problem_mark, r->parser.problem ? r->parser.problem : "not YAML", "");
}

static bool join_key(char key[MAX_KEY_BYTES], const char *prefix, const yaml_event_t *event)
{
        size_t length = event->data.scalar.length;
        int n;

        if (memchr(event->data.scalar.value, 0, length))
                return false;
        n = snprintf(key, MAX_KEY_BYTES, "%s%s%.*s", prefix, *prefix ? "." : "", length > 1000 ? 1000 : (int)length,
                     (const char *)event->data.scalar.value);
        return n < MAX_KEY_BYTES;
}

/* The pairs of a mapping whose start has been read. */
static enum vn_rc take_mapping(struct reader *r, const char *prefix, unsigned depth)
{
        char key[MAX_KEY_BYTES];
        yaml_event_t event;
        yaml_mark_t mark;
        enum vn_rc rc = VN_OK;

        while (rc == VN_OK) {
                VN_TRY(next_event(r, &event));
                mark = event.start_mark;
                if (event.type == YAML_MAPPING_END_EVENT) {
                        yaml_event_delete(&event);
                        return VN_OK;
                }
                if (event.type != YAML_SCALAR_EVENT)
                        rc = fail_at(r, mark, "a key must be plain text", "");
                else if (!join_key(key, prefix, &event))
                        rc = fail_at(r, mark, "no such key", "it is too long");
                yaml_event_delete(&event);
                VN_TRY(rc);
                VN_TRY(next_event(r, &event));
                if (event.type == YAML_SCALAR_EVENT)
                        rc = take_scalar(r, key, mark, &event);
                else if (event.type != YAML_MAPPING_START_EVENT)
                        rc = fail_at(r, event.start_mark, "wants one value or a section", key);
                else if (depth >= MAX_NESTING)
                        rc = fail_at(r, event.start_mark, "nested too deep", key);
                else
                        rc = take_mapping(r, key, depth + 1);
                yaml_event_delete(&event);
        }
        return rc;
}

static enum vn_rc take_document(struct reader *r)
{
        yaml_event_t event;
        yaml_event_type_t type = YAML_NO_EVENT;
        unsigned documents = 0;

        while (type != YAML_STREAM_END_EVENT) {
                enum vn_rc rc = VN_OK;
                VN_TRY(next_event(r, &event));
                type = event.type;
                if (type == YAML_DOCUMENT_START_EVENT && documents++)
                        rc = fail_at(r, event.start_mark, "more than one document", "");
                else if (type == YAML_MAPPING_START_EVENT)
                        rc = take_mapping(r, "", 1);
                else if (type == YAML_SCALAR_EVENT && event.data.scalar.length)
                        rc = fail_at(r, event.start_mark, "not a list of keys and values", "");
                else if (type == YAML_SEQUENCE_START_EVENT || type == YAML_ALIAS_EVENT)
                        rc = fail_at(r, event.start_mark, "not a list of keys and values", "");
                yaml_event_delete(&event);
                VN_TRY(rc);
        }
        return VN_OK;
}

static enum vn_rc check_required(const struct reader *r)
{
        for (size_t i = 0; i < r->count; i++)
                if (!r->rows[i].fallback && !r->seen[i])
                        return vn_fail(r->err, VN_INVALID_ARGUMENT, "%s: %s is missing: %s", r->name, r->rows[i].key,
                                       r->rows[i].help);
        return VN_OK;
}

enum vn_rc vn_config_parse(const struct vn_config_row *rows, size_t count, struct vn_str yaml, const char *name,
                           void *config, size_t config_bytes, struct vn_err *err)
{
        struct reader r = {.rows = rows, .count = count, .name = name, .err = err};
        enum vn_rc rc;

        VN_ASSERT(count <= MAX_ROWS);
        if (yaml.len > MAX_FILE_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: larger than %zu bytes", name, MAX_FILE_BYTES);
        r.config = vn_alloc(config_bytes);
        if (!r.config || !yaml_parser_initialize(&r.parser)) {
                vn_free(r.config);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: out of memory", name);
        }
        memcpy(r.config, config, config_bytes); /* what no row describes stays as it is */
        vn_config_defaults(rows, count, r.config);
        yaml_parser_set_input_string(&r.parser, (const unsigned char *)(yaml.ptr ? yaml.ptr : ""), yaml.len);
        rc = take_document(&r);
        if (rc == VN_OK)
                rc = check_required(&r);
        if (rc == VN_OK)
                memcpy(config, r.config, config_bytes);
        yaml_parser_delete(&r.parser);
        vn_free(r.config);
        return rc;
}

enum vn_rc vn_config_read(const struct vn_config_row *rows, size_t count, const char *path, void *config,
                          size_t config_bytes, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_FILE_BYTES + 1);

        VN_TRY(vn_file_read(path, &text, err));
        return vn_config_parse(rows, count, vn_buf_view(&text), path, config, config_bytes, err);
}

enum vn_rc vn_config_reload(const struct vn_config_row *rows, size_t count, const char *path, void *config,
                            size_t config_bytes, struct vn_err *err)
{
        char *fresh = vn_alloc(config_bytes);
        enum vn_rc rc;

        if (!fresh)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: out of memory", path);
        memcpy(fresh, config, config_bytes);
        rc = vn_config_read(rows, count, path, fresh, config_bytes, err);
        for (size_t i = 0; i < count && rc == VN_OK; i++) {
                const struct vn_config_row *row = &rows[i];
                if (row->when == VN_CONFIG_START &&
                    memcmp(fresh + row->offset, (char *)config + row->offset, row->bytes))
                        rc = vn_fail(err, VN_FAILED_PRECONDITION, "%s: %s can only be changed by a restart", path,
                                     row->key);
        }
        if (rc == VN_OK)
                memcpy(config, fresh, config_bytes);
        vn_free(fresh);
        return rc;
}

void vn_config_document(const struct vn_config_row *rows, size_t count, struct vn_buf *out)
{
        char low[VN_NUMBER_TEXT_BYTES], high[VN_NUMBER_TEXT_BYTES];

        vn_buf_text(out, "| key | type | default | bounds | changes by | meaning |\n"
                         "| --- | --- | --- | --- | --- | --- |\n");
        for (size_t i = 0; i < count; i++) {
                const struct vn_config_row *row = &rows[i];
                vn_buf_printf(out, "| `%s` | %s | ", row->key, type_name(row->type));
                if (row->fallback)
                        vn_buf_printf(out, "`%s` | ", *row->fallback ? row->fallback : " ");
                else
                        vn_buf_text(out, "required | ");
                VN_ASSERT(vn_json_number(row->min, low) && vn_json_number(row->max, high));
                if (row->type == VN_CONFIG_BOOL)
                        vn_buf_text(out, "| ");
                else
                        vn_buf_printf(out, "%s to %s%s%s | ", low, high,
                                      *row->unit || row->type == VN_CONFIG_TEXT ? " " : "",
                                      row->type == VN_CONFIG_TEXT ? "bytes" : row->unit);
                vn_buf_printf(out, "%s | %s |\n", row->when == VN_CONFIG_RELOAD ? "SIGHUP" : "restart", row->help);
        }
}
