/* net/pbjson.h - protobuf-c messages as JSON and back, by descriptor reflection.
 * Purpose: the JSON side of every method row, and of vanectl's output. The form is that of proto3's JSON mapping:
 *   names lowerCamelCase out, both camelCase and snake_case in; 64-bit integers are strings out, strings or numbers
 *   in (other numbers are numbers only); enums by name out, name or known number in; bytes base64; null in means "not given".
 *   Every plain field is printed, defaults too, so that a reply's shape does not depend on its values; message
 *   fields and optional fields that are not set, and oneof members that are not chosen, are left out.
 * Threads: any; pure. Ownership: parsed messages live in the arena that is passed (never protobuf-c's free).
 * Limits: text 8 MiB, 200,000 values, 32 levels; memory is the arena's cap.
 * Errors: INVALID_ARGUMENT names the field's path ("accounts[3].name: ..."); RESOURCE_EXHAUSTED when the arena or the
 *   buffer is full. Unknown fields, duplicates, two members of one oneof and non-finite numbers are errors.
 * Maps (repeated entries) have no special form here: vane/v1 has none. */
#ifndef VANE_NET_PBJSON_H
#define VANE_NET_PBJSON_H

#include <protobuf-c/protobuf-c.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

#define VN_PBJSON_MAX_BYTES ((size_t)8 << 20)
#define VN_PBJSON_MAX_DEPTH 32
#define VN_PBJSON_MAX_VALUES 200000
#define VN_PBJSON_MAX_NAME_BYTES 96

/* An empty message (every field at its default) in the arena. */
enum vn_rc vn_pbjson_new(const ProtobufCMessageDescriptor *descriptor, struct vn_arena *arena, ProtobufCMessage **ret,
                         struct vn_err *err) VN_MUST_USE;
/* The text must be one JSON object; empty text is the empty message (a POST without a body). */
enum vn_rc vn_pbjson_parse(const ProtobufCMessageDescriptor *descriptor, struct vn_str json, struct vn_arena *arena,
                           ProtobufCMessage **ret, struct vn_err *err) VN_MUST_USE;
/* Sets one scalar field from text, for path and query parameters. `field` may be dotted ("page.page_size"; messages on
 * the way are made); a repeated field gets the value appended. The message must come from this module (same arena). */
enum vn_rc vn_pbjson_set_field(ProtobufCMessage *message, struct vn_str field, struct vn_str text,
                               struct vn_arena *arena, struct vn_err *err) VN_MUST_USE;
/* Appends compact JSON to `out`. A non-finite number in the message is INTERNAL: it is our own bug. */
enum vn_rc vn_pbjson_print(const ProtobufCMessage *message, struct vn_buf *out, struct vn_err *err) VN_MUST_USE;

/* The field that `name` (camelCase or snake_case) means, or NULL. */
const ProtobufCFieldDescriptor *vn_pbjson_field(const ProtobufCMessageDescriptor *descriptor, struct vn_str name);
/* "page_size" -> "pageSize"; names longer than the array stop the process (they are ours). */
void vn_pbjson_name(const char *snake, char ret[VN_PBJSON_MAX_NAME_BYTES]);

/* How many values a repeated field holds, and whether another field is present (plain fields always are). */
size_t vn_pbjson_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field);
/* Prints value `index` of a field (0 for a single one) as JSON. */
enum vn_rc vn_pbjson_print_value(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t index,
                                 struct vn_buf *out, struct vn_err *err) VN_MUST_USE;
/* The message in a message field; NULL if it is not set. */
const ProtobufCMessage *vn_pbjson_child(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                                        size_t index);

#endif
