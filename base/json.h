/* json.h - reading JSON from outside with limits.
 * Purpose: one way to parse hostile JSON: size, depth and number of values are checked before jansson builds
 *   anything, duplicate keys are errors, and the place of an error is in the message.
 * Threads: any; a json_t belongs to one thread at a time. Ownership: the caller drops the root (VN_AUTO(vn_json)). */
#ifndef VANE_BASE_JSON_H
#define VANE_BASE_JSON_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

struct vn_json_limits {
        size_t max_bytes;
        size_t max_depth;  /* nested objects and arrays; 1: one flat object */
        size_t max_values; /* objects, arrays and members together */
};

typedef json_t *vn_json_auto;
static inline void vn_json_cleanup(json_t **json)
{
        json_decref(*json);
}

/* INVALID_ARGUMENT with line and column; RESOURCE_EXHAUSTED beyond a limit. Any JSON value may be the root. */
enum vn_rc vn_json_parse(struct vn_str text, const struct vn_json_limits *limits, json_t **ret,
                         struct vn_err *err) VN_MUST_USE;

/* Typed members of an object: NOT_FOUND without the key, INVALID_ARGUMENT if it is something else. The text lives as
 * long as the object. */
enum vn_rc vn_json_text(const json_t *object, const char *key, struct vn_str *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_json_i64(const json_t *object, const char *key, int64_t *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_json_double(const json_t *object, const char *key, double *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_json_object(const json_t *object, const char *key, json_t **ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_json_array(const json_t *object, const char *key, json_t **ret, struct vn_err *err) VN_MUST_USE;

/* The shortest decimal that reads back as the same number; false for a non-finite one. */
#define VN_NUMBER_TEXT_BYTES 32
bool vn_json_number(double value, char ret[VN_NUMBER_TEXT_BYTES]);
bool vn_json_number_f32(float value, char ret[VN_NUMBER_TEXT_BYTES]);

#endif
