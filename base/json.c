#include "base/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Walks the text once, knowing only strings and brackets: enough to bound what jansson will allocate. Whether it is
 * JSON at all is jansson's business. */
static enum vn_rc check_limits(struct vn_str text, const struct vn_json_limits *limits, struct vn_err *err)
{
        size_t depth = 0, values = 1;
        bool in_string = false;

        if (text.len > limits->max_bytes)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "JSON text of %zu bytes, at most %zu allowed", text.len,
                               limits->max_bytes);
        for (size_t i = 0; i < text.len; i++) {
                char c = text.ptr[i];
                if (in_string) {
                        if (c == '\\')
                                i++;
                        else if (c == '"')
                                in_string = false;
                        continue;
                }
                if (c == '"')
                        in_string = true;
                else if (c == '{' || c == '[') {
                        values++;
                        if (++depth > limits->max_depth)
                                return vn_fail(err, VN_INVALID_ARGUMENT, "JSON nested deeper than %zu levels",
                                               limits->max_depth);
                } else if (c == '}' || c == ']')
                        depth -= depth > 0;
                else if (c == ',')
                        values++;
        }
        if (values > limits->max_values)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "JSON of more than %zu values", limits->max_values);
        return VN_OK;
}

enum vn_rc vn_json_parse(struct vn_str text, const struct vn_json_limits *limits, json_t **ret, struct vn_err *err)
{
        json_error_t error;
        json_t *root;

        VN_TRY(check_limits(text, limits, err));
        root = json_loadb(text.ptr ? text.ptr : "", text.len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
        if (!root) {
                if (json_error_code(&error) == json_error_out_of_memory)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory reading JSON");
                return vn_fail(err, VN_INVALID_ARGUMENT, "JSON line %d column %d: %s", error.line, error.column,
                               error.text);
        }
        *ret = root;
        return VN_OK;
}

static enum vn_rc member(const json_t *object, const char *key, const char *want, bool (*is)(const json_t *),
                         json_t **ret, struct vn_err *err)
{
        json_t *value = json_object_get(object, key);
        if (!value)
                return vn_fail(err, VN_NOT_FOUND, "%s: missing", key);
        if (!is(value))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: not %s", key, want);
        *ret = value;
        return VN_OK;
}

/* jansson's tests are macros. */
static bool is_text(const json_t *v)
{
        return json_is_string(v);
}
static bool is_integer(const json_t *v)
{
        return json_is_integer(v);
}
static bool is_number(const json_t *v)
{
        return json_is_number(v);
}
static bool is_object(const json_t *v)
{
        return json_is_object(v);
}
static bool is_array(const json_t *v)
{
        return json_is_array(v);
}

enum vn_rc vn_json_text(const json_t *object, const char *key, struct vn_str *ret, struct vn_err *err)
{
        json_t *value = NULL;
        VN_TRY(member(object, key, "a string", is_text, &value, err));
        *ret = vn_str_n(json_string_value(value), json_string_length(value));
        return VN_OK;
}

enum vn_rc vn_json_i64(const json_t *object, const char *key, int64_t *ret, struct vn_err *err)
{
        json_t *value = NULL;
        VN_TRY(member(object, key, "an integer", is_integer, &value, err));
        *ret = json_integer_value(value);
        return VN_OK;
}

enum vn_rc vn_json_double(const json_t *object, const char *key, double *ret, struct vn_err *err)
{
        json_t *value = NULL;
        VN_TRY(member(object, key, "a number", is_number, &value, err));
        *ret = json_number_value(value);
        return VN_OK;
}

enum vn_rc vn_json_object(const json_t *object, const char *key, json_t **ret, struct vn_err *err)
{
        return member(object, key, "an object", is_object, ret, err);
}

enum vn_rc vn_json_array(const json_t *object, const char *key, json_t **ret, struct vn_err *err)
{
        return member(object, key, "an array", is_array, ret, err);
}

/* "-0" alone would be read as an integer, which has no sign to its zero. */
static bool is_minus_zero(double value, char ret[VN_NUMBER_TEXT_BYTES])
{
        if (value != 0 || !signbit(value))
                return false;
        snprintf(ret, VN_NUMBER_TEXT_BYTES, "-0.0");
        return true;
}

bool vn_json_number(double value, char ret[VN_NUMBER_TEXT_BYTES])
{
        ret[0] = '\0';
        if (!isfinite(value))
                return false;
        if (is_minus_zero(value, ret))
                return true;
        for (int digits = 15; digits <= 17; digits++) {
                snprintf(ret, VN_NUMBER_TEXT_BYTES, "%.*g", digits, value);
                if (strtod(ret, NULL) == value)
                        break;
        }
        return true;
}

bool vn_json_number_f32(float value, char ret[VN_NUMBER_TEXT_BYTES])
{
        ret[0] = '\0';
        if (!isfinite(value))
                return false;
        if (is_minus_zero((double)value, ret))
                return true;
        for (int digits = 6; digits <= 9; digits++) {
                snprintf(ret, VN_NUMBER_TEXT_BYTES, "%.*g", digits, (double)value);
                if (strtof(ret, NULL) == value)
                        break;
        }
        return true;
}
