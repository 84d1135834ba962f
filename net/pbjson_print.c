/* Printing: messages into JSON. */
#include "base/json.h"
#include "net/pbjson.h"

struct printer {
        struct vn_buf *out;
        struct vn_err *err;
        unsigned depth;
};

static const void *at(const ProtobufCMessage *message, unsigned offset)
{
        return (const char *)message + offset;
}

/* A message pointer that protobuf-c may also have left unset, and a text that may be NULL in hand-made messages. */
static const void *pointer_at(const void *from)
{
        return *(const void *const *)from;
}

size_t vn_pbjson_count(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
        if (field->label == PROTOBUF_C_LABEL_REPEATED)
                return *(const size_t *)at(message, field->quantifier_offset);
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
                if (*(const uint32_t *)at(message, field->quantifier_offset) != field->id)
                        return 0;
        if (field->type == PROTOBUF_C_TYPE_MESSAGE)
                return pointer_at(at(message, field->offset)) != NULL;
        if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
                return 1;
        if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->quantifier_offset)
                return *(const protobuf_c_boolean *)at(message, field->quantifier_offset) != 0;
        if (field->label == PROTOBUF_C_LABEL_OPTIONAL && field->type == PROTOBUF_C_TYPE_STRING)
                return pointer_at(at(message, field->offset)) != NULL;
        return 1;
}

static const void *value_at(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t index,
                            size_t bytes)
{
        if (field->label != PROTOBUF_C_LABEL_REPEATED)
                return at(message, field->offset);
        return (const char *)pointer_at(at(message, field->offset)) + index * bytes;
}

const ProtobufCMessage *vn_pbjson_child(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field,
                                        size_t index)
{
        if (field->type != PROTOBUF_C_TYPE_MESSAGE || index >= vn_pbjson_count(message, field))
                return NULL;
        return pointer_at(value_at(message, field, index, sizeof(void *)));
}

static enum vn_rc print_number(struct printer *p, const ProtobufCFieldDescriptor *field, bool finite,
                               const char *text)
{
        if (!finite)
                return vn_fail(p->err, VN_INTERNAL, "%s: not a finite number", field->name);
        vn_buf_text(p->out, text);
        return VN_OK;
}

static void print_enum(struct printer *p, const ProtobufCFieldDescriptor *field, int number)
{
        const ProtobufCEnumValue *value = protobuf_c_enum_descriptor_get_value(field->descriptor, number);
        if (value)
                vn_buf_json_string(p->out, vn_str(value->name));
        else
                vn_buf_printf(p->out, "%d", number);
}

static void print_bytes(struct printer *p, const ProtobufCBinaryData *bytes)
{
        vn_buf_char(p->out, '"');
        if (bytes->len)
                vn_buf_base64(p->out, bytes->data, bytes->len);
        vn_buf_char(p->out, '"');
}

static enum vn_rc print_message(struct printer *p, const ProtobufCMessage *message);

static enum vn_rc print_value(struct printer *p, const ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *field, size_t i)
{
        char number[VN_NUMBER_TEXT_BYTES];
        bool finite;
        const char *text;

        switch (field->type) {
        case PROTOBUF_C_TYPE_INT32:
        case PROTOBUF_C_TYPE_SINT32:
        case PROTOBUF_C_TYPE_SFIXED32:
                vn_buf_printf(p->out, "%d", *(const int32_t *)value_at(message, field, i, 4));
                return VN_OK;
        case PROTOBUF_C_TYPE_UINT32:
        case PROTOBUF_C_TYPE_FIXED32:
                vn_buf_printf(p->out, "%u", *(const uint32_t *)value_at(message, field, i, 4));
                return VN_OK;
        case PROTOBUF_C_TYPE_INT64:
        case PROTOBUF_C_TYPE_SINT64:
        case PROTOBUF_C_TYPE_SFIXED64:
                vn_buf_printf(p->out, "\"%lld\"", (long long)*(const int64_t *)value_at(message, field, i, 8));
                return VN_OK;
        case PROTOBUF_C_TYPE_UINT64:
        case PROTOBUF_C_TYPE_FIXED64:
                vn_buf_printf(p->out, "\"%llu\"",
                              (unsigned long long)*(const uint64_t *)value_at(message, field, i, 8));
                return VN_OK;
        case PROTOBUF_C_TYPE_FLOAT:
                finite = vn_json_number_f32(*(const float *)value_at(message, field, i, 4), number);
                return print_number(p, field, finite, number);
        case PROTOBUF_C_TYPE_DOUBLE:
                finite = vn_json_number(*(const double *)value_at(message, field, i, 8), number);
                return print_number(p, field, finite, number);
        case PROTOBUF_C_TYPE_BOOL:
                vn_buf_text(p->out,
                            *(const protobuf_c_boolean *)value_at(message, field, i, sizeof(protobuf_c_boolean))
                                    ? "true"
                                    : "false");
                return VN_OK;
        case PROTOBUF_C_TYPE_ENUM:
                print_enum(p, field, *(const int *)value_at(message, field, i, sizeof(int)));
                return VN_OK;
        case PROTOBUF_C_TYPE_STRING:
                text = pointer_at(value_at(message, field, i, sizeof(char *)));
                vn_buf_json_string(p->out, vn_str(text ? text : ""));
                return VN_OK;
        case PROTOBUF_C_TYPE_BYTES:
                print_bytes(p, value_at(message, field, i, sizeof(ProtobufCBinaryData)));
                return VN_OK;
        case PROTOBUF_C_TYPE_MESSAGE:
                return print_message(p, pointer_at(value_at(message, field, i, sizeof(void *))));
        }
        VN_ASSERT(!"field type");
        return VN_INTERNAL;
}

static enum vn_rc print_field(struct printer *p, const ProtobufCMessage *message,
                              const ProtobufCFieldDescriptor *field)
{
        size_t count = vn_pbjson_count(message, field);

        if (field->label != PROTOBUF_C_LABEL_REPEATED)
                return print_value(p, message, field, 0);
        vn_buf_char(p->out, '[');
        for (size_t i = 0; i < count && !p->out->failed; i++) {
                if (i)
                        vn_buf_char(p->out, ',');
                VN_TRY(print_value(p, message, field, i));
        }
        vn_buf_char(p->out, ']');
        return VN_OK;
}

static enum vn_rc print_message(struct printer *p, const ProtobufCMessage *message)
{
        char name[VN_PBJSON_MAX_NAME_BYTES];
        bool first = true;

        if (++p->depth > VN_PBJSON_MAX_DEPTH)
                return vn_fail(p->err, VN_INTERNAL, "message nested too deep");
        vn_buf_char(p->out, '{');
        for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
                const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
                if (field->label != PROTOBUF_C_LABEL_REPEATED && !vn_pbjson_count(message, field))
                        continue;
                if (!first)
                        vn_buf_char(p->out, ',');
                first = false;
                vn_pbjson_name(field->name, name);
                vn_buf_char(p->out, '"');
                vn_buf_text(p->out, name);
                vn_buf_text(p->out, "\":");
                VN_TRY(print_field(p, message, field));
        }
        vn_buf_char(p->out, '}');
        p->depth--;
        return VN_OK;
}

enum vn_rc vn_pbjson_print(const ProtobufCMessage *message, struct vn_buf *out, struct vn_err *err)
{
        struct printer p = {.out = out, .err = err};
        VN_TRY(print_message(&p, message));
        return vn_buf_check(out, err);
}

enum vn_rc vn_pbjson_print_value(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, size_t index,
                                 struct vn_buf *out, struct vn_err *err)
{
        struct printer p = {.out = out, .err = err};
        VN_ASSERT(index < vn_pbjson_count(message, field));
        VN_TRY(print_value(&p, message, field, index));
        return vn_buf_check(out, err);
}
