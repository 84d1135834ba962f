/* Reading: JSON and parameter text into messages. Printing is in pbjson_print.c. */
#include "net/pbjson.h"

#include <limits.h>
#include <math.h>

#include "base/json.h"

/* A step of the path to the value at hand; kept on the stack so that a good message costs nothing. */
struct frame {
        const struct frame *parent;
        const char *name;
        size_t index;
        bool indexed;
};

struct reader {
        struct vn_arena *arena;
        struct vn_err *err;
        const struct frame *top;
        unsigned depth;
};

/* One JSON value or one parameter text on its way into a field. */
struct input {
        const json_t *json; /* NULL: parameter text */
        struct vn_str text;
};

#define MAX_FIELDS 256

static enum vn_rc fail_at(struct reader *r, const char *what)
{
        const struct frame *frames[VN_PBJSON_MAX_DEPTH + 1];
        size_t n = 0;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(160);

        for (const struct frame *f = r->top; f && n < VN_PBJSON_MAX_DEPTH + 1; f = f->parent)
                frames[n++] = f;
        while (n--) {
                vn_buf_printf(&path, "%s%s", path.len ? "." : "", frames[n]->name);
                if (frames[n]->indexed)
                        vn_buf_printf(&path, "[%zu]", frames[n]->index);
        }
        return vn_fail(r->err, VN_INVALID_ARGUMENT, "%.*s: %s", VN_FMT(vn_buf_view(&path)), what);
}

static enum vn_rc out_of_arena(struct reader *r)
{
        return vn_fail(r->err, VN_RESOURCE_EXHAUSTED, "message larger than its limit of %zu bytes",
                       r->arena->max_bytes);
}

static enum vn_rc new_message(struct reader *r, const ProtobufCMessageDescriptor *descriptor, ProtobufCMessage **ret)
{
        ProtobufCMessage *message = vn_arena_alloc(r->arena, descriptor->sizeof_message);
        if (!message)
                return out_of_arena(r);
        descriptor->message_init(message);
        *ret = message;
        return VN_OK;
}

enum vn_rc vn_pbjson_new(const ProtobufCMessageDescriptor *descriptor, struct vn_arena *arena, ProtobufCMessage **ret,
                         struct vn_err *err)
{
        struct reader r = {.arena = arena, .err = err};
        return new_message(&r, descriptor, ret);
}

/* --- names --- */

static bool name_is(const char *snake, struct vn_str name)
{
        const char *s = snake;
        size_t i = 0;

        if (strlen(snake) == name.len && !memcmp(snake, name.ptr, name.len))
                return true;
        for (; *s && i < name.len; s++, i++) {
                char c = *s;
                if (c == '_' && s[1]) {
                        c = *++s;
                        if (c >= 'a' && c <= 'z')
                                c = (char)(c - 'a' + 'A');
                }
                if (c != name.ptr[i])
                        return false;
        }
        return !*s && i == name.len;
}

const ProtobufCFieldDescriptor *vn_pbjson_field(const ProtobufCMessageDescriptor *descriptor, struct vn_str name)
{
        for (unsigned i = 0; i < descriptor->n_fields; i++)
                if (name_is(descriptor->fields[i].name, name))
                        return &descriptor->fields[i];
        return NULL;
}

void vn_pbjson_name(const char *snake, char ret[VN_PBJSON_MAX_NAME_BYTES])
{
        size_t n = 0;
        for (const char *s = snake; *s; s++) {
                char c = *s;
                if (c == '_' && s[1]) {
                        c = *++s;
                        if (c >= 'a' && c <= 'z')
                                c = (char)(c - 'a' + 'A');
                }
                VN_ASSERT(n + 1 < VN_PBJSON_MAX_NAME_BYTES);
                ret[n++] = c;
        }
        ret[n] = '\0';
}

/* --- scalars: JSON strings are taken for 64-bit integers only, which JSON numbers cannot all hold --- */

static bool double_is_integer(double d, double low, double high)
{
        return d >= low && d <= high && d == trunc(d);
}

static enum vn_rc read_i64(struct reader *r, const struct input *in, int64_t low, int64_t high, int64_t *ret)
{
        int64_t value;
        bool text = !in->json || (json_is_string(in->json) && low == INT64_MIN);

        if (json_is_integer(in->json)) {
                value = json_integer_value(in->json);
        } else if (json_is_real(in->json)) {
                /* 1e3 is an integer too; 2^53 is as far as a double tells neighbours apart */
                if (!double_is_integer(json_real_value(in->json), -9007199254740992.0, 9007199254740992.0))
                        return fail_at(r, "not an integer (write large ones as strings)");
                value = (int64_t)json_real_value(in->json);
        } else if (!text) {
                return fail_at(r, "not an integer");
        } else if (vn_str_to_i64(in->text, &value) != VN_OK) {
                return fail_at(r, "not an integer in range");
        }
        if (value < low || value > high)
                return fail_at(r, "integer out of range");
        *ret = value;
        return VN_OK;
}

static enum vn_rc read_u64(struct reader *r, const struct input *in, uint64_t high, uint64_t *ret)
{
        uint64_t value;
        int64_t narrow;

        if (in->json && !(json_is_string(in->json) && high == UINT64_MAX)) {
                VN_TRY(read_i64(r, in, 0, INT64_MAX, &narrow));
                value = (uint64_t)narrow;
        } else if (vn_str_to_u64(in->text, &value) != VN_OK) {
                return fail_at(r, "not a non-negative integer in range");
        }
        if (value > high)
                return fail_at(r, "integer out of range");
        *ret = value;
        return VN_OK;
}

static enum vn_rc read_double(struct reader *r, const struct input *in, double limit, double *ret)
{
        double value;

        if (in->json && json_is_number(in->json))
                value = json_number_value(in->json);
        else if (in->json)
                return fail_at(r, "not a number");
        else if (vn_str_to_double(in->text, &value) != VN_OK)
                return fail_at(r, "not a finite number");
        if (!isfinite(value) || fabs(value) > limit)
                return fail_at(r, "not a finite number in range");
        *ret = value;
        return VN_OK;
}

static enum vn_rc read_bool(struct reader *r, const struct input *in, protobuf_c_boolean *ret)
{
        if (in->json ? json_is_true(in->json) : vn_str_eq(in->text, VN_STR("true")))
                *ret = 1;
        else if (in->json ? json_is_false(in->json) : vn_str_eq(in->text, VN_STR("false")))
                *ret = 0;
        else
                return fail_at(r, "not true or false");
        return VN_OK;
}

static enum vn_rc read_enum(struct reader *r, const struct input *in, const ProtobufCEnumDescriptor *descriptor,
                            int *ret)
{
        struct reader quiet = *r;
        int64_t number = 0;

        if (!in->json || json_is_string(in->json))
                for (unsigned i = 0; i < descriptor->n_values; i++)
                        if (vn_str_eq(in->text, vn_str(descriptor->values[i].name))) {
                                *ret = descriptor->values[i].value;
                                return VN_OK;
                        }
        quiet.err = NULL;
        if (read_i64(&quiet, in, INT_MIN, INT_MAX, &number) == VN_OK &&
            protobuf_c_enum_descriptor_get_value(descriptor, (int)number)) {
                *ret = (int)number;
                return VN_OK;
        }
        return fail_at(r, "not one of the named values");
}

static enum vn_rc read_string(struct reader *r, const struct input *in, char **ret)
{
        if (in->json && !json_is_string(in->json))
                return fail_at(r, "not a string");
        /* JSON has been checked by its parser; parameters have not */
        if (!in->json && (!vn_str_is_utf8(in->text) || memchr(in->text.ptr, 0, in->text.len)))
                return fail_at(r, "not UTF-8 text");
        *ret = vn_arena_strndup(r->arena, in->text.ptr, in->text.len);
        return *ret ? VN_OK : out_of_arena(r);
}

static enum vn_rc read_bytes(struct reader *r, const struct input *in, ProtobufCBinaryData *ret)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_PBJSON_MAX_BYTES);

        if (in->json && !json_is_string(in->json))
                return fail_at(r, "not a base64 string");
        enum vn_rc rc = vn_base64_decode(in->text, &bytes);
        if (rc == VN_RESOURCE_EXHAUSTED)
                return out_of_arena(r);
        if (rc != VN_OK)
                return fail_at(r, "not base64");
        ret->len = bytes.len;
        ret->data = NULL;
        if (!bytes.len)
                return VN_OK;
        ret->data = vn_arena_alloc(r->arena, bytes.len);
        if (!ret->data)
                return out_of_arena(r);
        memcpy(ret->data, bytes.ptr, bytes.len);
        return VN_OK;
}

static enum vn_rc read_message(struct reader *r, const json_t *object, ProtobufCMessage *message);

static enum vn_rc read_child(struct reader *r, const struct input *in, const ProtobufCFieldDescriptor *field,
                             ProtobufCMessage **ret)
{
        ProtobufCMessage *child;

        if (!in->json)
                return fail_at(r, "a message cannot be a parameter");
        VN_TRY(new_message(r, field->descriptor, &child));
        VN_TRY(read_message(r, in->json, child));
        *ret = child;
        return VN_OK;
}

static size_t value_bytes(const ProtobufCFieldDescriptor *field)
{
        switch (field->type) {
        case PROTOBUF_C_TYPE_INT32:
        case PROTOBUF_C_TYPE_SINT32:
        case PROTOBUF_C_TYPE_SFIXED32:
        case PROTOBUF_C_TYPE_UINT32:
        case PROTOBUF_C_TYPE_FIXED32:
        case PROTOBUF_C_TYPE_FLOAT: return 4;
        case PROTOBUF_C_TYPE_INT64:
        case PROTOBUF_C_TYPE_SINT64:
        case PROTOBUF_C_TYPE_SFIXED64:
        case PROTOBUF_C_TYPE_UINT64:
        case PROTOBUF_C_TYPE_FIXED64:
        case PROTOBUF_C_TYPE_DOUBLE: return 8;
        case PROTOBUF_C_TYPE_BOOL: return sizeof(protobuf_c_boolean);
        case PROTOBUF_C_TYPE_ENUM: return sizeof(int);
        case PROTOBUF_C_TYPE_STRING:
        case PROTOBUF_C_TYPE_MESSAGE: return sizeof(void *);
        case PROTOBUF_C_TYPE_BYTES: return sizeof(ProtobufCBinaryData);
        }
        VN_ASSERT(!"field type");
        return 0;
}

static enum vn_rc read_value(struct reader *r, const struct input *in, const ProtobufCFieldDescriptor *field,
                             void *to)
{
        int64_t i = 0;
        uint64_t u = 0;
        double d = 0;

        switch (field->type) {
        case PROTOBUF_C_TYPE_INT32:
        case PROTOBUF_C_TYPE_SINT32:
        case PROTOBUF_C_TYPE_SFIXED32:
                VN_TRY(read_i64(r, in, INT32_MIN, INT32_MAX, &i));
                *(int32_t *)to = (int32_t)i;
                return VN_OK;
        case PROTOBUF_C_TYPE_INT64:
        case PROTOBUF_C_TYPE_SINT64:
        case PROTOBUF_C_TYPE_SFIXED64: return read_i64(r, in, INT64_MIN, INT64_MAX, to);
        case PROTOBUF_C_TYPE_UINT32:
        case PROTOBUF_C_TYPE_FIXED32:
                VN_TRY(read_u64(r, in, UINT32_MAX, &u));
                *(uint32_t *)to = (uint32_t)u;
                return VN_OK;
        case PROTOBUF_C_TYPE_UINT64:
        case PROTOBUF_C_TYPE_FIXED64: return read_u64(r, in, UINT64_MAX, to);
        case PROTOBUF_C_TYPE_FLOAT:
                VN_TRY(read_double(r, in, (double)3.4028234663852886e38, &d));
                *(float *)to = (float)d;
                return VN_OK;
        case PROTOBUF_C_TYPE_DOUBLE: return read_double(r, in, INFINITY, to);
        case PROTOBUF_C_TYPE_BOOL: return read_bool(r, in, to);
        case PROTOBUF_C_TYPE_ENUM: return read_enum(r, in, field->descriptor, to);
        case PROTOBUF_C_TYPE_STRING: return read_string(r, in, to);
        case PROTOBUF_C_TYPE_BYTES: return read_bytes(r, in, to);
        case PROTOBUF_C_TYPE_MESSAGE: return read_child(r, in, field, to);
        }
        VN_ASSERT(!"field type");
        return VN_INTERNAL;
}

/* --- fields --- */

static void *at(ProtobufCMessage *message, unsigned offset)
{
        return (char *)message + offset;
}

/* Room for one more value. Capacity is always the next power of two, so the count alone says when to grow. */
static enum vn_rc append_slot(struct reader *r, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                              void **ret)
{
        size_t *count = at(message, field->quantifier_offset), bytes = value_bytes(field);
        void **array = at(message, field->offset);

        if (*count == 0 || (*count & (*count - 1)) == 0) {
                size_t capacity = *count ? *count * 2 : 1;
                void *grown = vn_arena_alloc(r->arena, capacity * bytes);
                if (!grown)
                        return out_of_arena(r);
                if (*count)
                        memcpy(grown, *array, *count * bytes);
                *array = grown;
        }
        *ret = (char *)*array + *count * bytes;
        return VN_OK;
}

static enum vn_rc read_repeated(struct reader *r, const json_t *array, const ProtobufCFieldDescriptor *field,
                                ProtobufCMessage *message, struct frame *frame)
{
        if (!json_is_array(array))
                return fail_at(r, "not an array");
        frame->indexed = true;
        for (size_t i = 0; i < json_array_size(array); i++) {
                const json_t *item = json_array_get(array, i);
                struct input in = {.json = item};
                void *slot = NULL;

                frame->index = i;
                if (json_is_string(item))
                        in.text = vn_str_n(json_string_value(item), json_string_length(item));
                VN_TRY(append_slot(r, message, field, &slot));
                VN_TRY(read_value(r, &in, field, slot));
                ++*(size_t *)at(message, field->quantifier_offset);
        }
        return VN_OK;
}

static enum vn_rc read_single(struct reader *r, const struct input *in, const ProtobufCFieldDescriptor *field,
                              ProtobufCMessage *message)
{
        bool chosen = field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF;
        uint32_t *which = chosen ? at(message, field->quantifier_offset) : NULL;

        if (chosen && *which && *which != field->id)
                return fail_at(r, "another member of the same choice is set");
        VN_TRY(read_value(r, in, field, at(message, field->offset)));
        if (chosen)
                *which = field->id;
        else if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset)
                *(protobuf_c_boolean *)at(message, field->quantifier_offset) = 1;
        return VN_OK;
}

static enum vn_rc read_field(struct reader *r, const json_t *json, const ProtobufCFieldDescriptor *field,
                             ProtobufCMessage *message, struct frame *frame)
{
        struct input in = {.json = json};

        if (json_is_null(json))
                return VN_OK;
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
                return read_repeated(r, json, field, message, frame);
        if (json_is_string(json))
                in.text = vn_str_n(json_string_value(json), json_string_length(json));
        return read_single(r, &in, field, message);
}

static enum vn_rc read_message(struct reader *r, const json_t *object, ProtobufCMessage *message)
{
        const ProtobufCMessageDescriptor *descriptor = message->descriptor;
        uint8_t seen[MAX_FIELDS / 8] = {0};
        const struct frame *parent = r->top;

        VN_ASSERT(descriptor->n_fields <= MAX_FIELDS);
        if (!json_is_object(object))
                return parent ? fail_at(r, "not an object")
                              : vn_fail(r->err, VN_INVALID_ARGUMENT, "the body is not a JSON object");
        if (++r->depth > VN_PBJSON_MAX_DEPTH)
                return fail_at(r, "nested too deep");
        for (void *it = json_object_iter((json_t *)(uintptr_t)object); it;
             it = json_object_iter_next((json_t *)(uintptr_t)object, it)) {
                const char *key = json_object_iter_key(it);
                const ProtobufCFieldDescriptor *field = vn_pbjson_field(descriptor, vn_str(key));
                struct frame frame = {.parent = parent, .name = key};
                unsigned number;

                r->top = &frame;
                if (!field)
                        return fail_at(r, "no such field");
                number = (unsigned)(field - descriptor->fields);
                if (seen[number / 8] & 1u << number % 8)
                        return fail_at(r, "given twice");
                seen[number / 8] |= (uint8_t)(1u << number % 8);
                VN_TRY(read_field(r, json_object_iter_value(it), field, message, &frame));
                r->top = parent;
        }
        r->depth--;
        return VN_OK;
}

enum vn_rc vn_pbjson_parse(const ProtobufCMessageDescriptor *descriptor, struct vn_str json, struct vn_arena *arena,
                           ProtobufCMessage **ret, struct vn_err *err)
{
        static const struct vn_json_limits limits = {VN_PBJSON_MAX_BYTES, VN_PBJSON_MAX_DEPTH, VN_PBJSON_MAX_VALUES};
        struct reader r = {.arena = arena, .err = err};
        VN_AUTO(vn_json)
        root = NULL;
        ProtobufCMessage *message;

        VN_TRY(new_message(&r, descriptor, &message));
        if (json.len) {
                VN_TRY(vn_json_parse(json, &limits, &root, err));
                VN_TRY(read_message(&r, root, message));
        }
        *ret = message;
        return VN_OK;
}

/* Steps into message field `name` of *message, making it if it is not there. */
static enum vn_rc step_into(struct reader *r, struct vn_str name, ProtobufCMessage **message)
{
        const ProtobufCFieldDescriptor *field = vn_pbjson_field((*message)->descriptor, name);
        ProtobufCMessage **child;

        if (!field)
                return fail_at(r, "no such field");
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || field->label == PROTOBUF_C_LABEL_REPEATED)
                return fail_at(r, "not a single message");
        child = at(*message, field->offset);
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) {
                uint32_t *which = at(*message, field->quantifier_offset);
                if (*which && *which != field->id)
                        return fail_at(r, "another member of the same choice is set");
                if (!*which)
                        *child = NULL;
                if (!*child)
                        VN_TRY(new_message(r, field->descriptor, child));
                *which = field->id;
        } else if (!*child) {
                VN_TRY(new_message(r, field->descriptor, child));
        }
        *message = *child;
        return VN_OK;
}

enum vn_rc vn_pbjson_set_field(ProtobufCMessage *message, struct vn_str field_name, struct vn_str text,
                               struct vn_arena *arena, struct vn_err *err)
{
        char shown[VN_PBJSON_MAX_NAME_BYTES];
        struct frame frame = {.name = shown};
        struct reader r = {.arena = arena, .err = err, .top = &frame};
        struct input in = {.text = vn_str_n(text.ptr ? text.ptr : "", text.len)};
        const ProtobufCFieldDescriptor *field;
        struct vn_str rest = field_name, name;
        void *slot;

        if (!vn_str_is_utf8(field_name) || !vn_str_copy(shown, sizeof(shown), field_name))
                return vn_fail(err, VN_INVALID_ARGUMENT, "a parameter's name is too long or not text");
        name = vn_str_cut(&rest, '.');
        for (unsigned depth = 0; rest.ptr; name = vn_str_cut(&rest, '.')) {
                if (++depth > VN_PBJSON_MAX_DEPTH)
                        return fail_at(&r, "nested too deep");
                VN_TRY(step_into(&r, name, &message));
        }
        field = vn_pbjson_field(message->descriptor, name);
        if (!field)
                return fail_at(&r, "no such field");
        if (field->label != PROTOBUF_C_LABEL_REPEATED)
                return read_single(&r, &in, field, message);
        VN_TRY(append_slot(&r, message, field, &slot));
        VN_TRY(read_value(&r, &in, field, slot));
        ++*(size_t *)at(message, field->quantifier_offset);
        return VN_OK;
}
