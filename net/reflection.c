/* reflection.c - see reflection.h. Of a FileDescriptorProto only names matter here, so it is read by hand (field numbers
 * from google/protobuf/descriptor.proto) and otherwise passed on as the bytes it came in. */
#include "net/reflection.h"

#include <stdlib.h>

#include "grpc/reflection/v1/reflection.pb-c.h"
#include "net/edge_internal.h"

#define MAX_FILES 256
#define MAX_SYMBOLS 16384
#define MAX_SET_BYTES (16u << 20)
#define MAX_NESTING 16
#define MAX_SYMBOL_BYTES 512

extern const unsigned char vn_net_descriptor_set[];
extern const unsigned long vn_net_descriptor_set_bytes;

struct file {
        struct vn_str name, bytes;
};

struct symbol {
        char *name;
        unsigned file;
};

struct vn_reflection {
        struct vn_edge *edge;
        struct vn_arena arena;
        struct file files[MAX_FILES];
        unsigned file_count;
        struct symbol *symbols; /* sorted by name */
        unsigned symbol_count;
};

/* --- reading the wire format --- */

static bool read_varint(struct vn_str *in, uint64_t *ret)
{
        *ret = 0;
        for (unsigned shift = 0; shift < 64 && in->len; shift += 7) {
                uint8_t byte = (uint8_t)in->ptr[0];
                *in = vn_str_n(in->ptr + 1, in->len - 1);
                *ret |= (uint64_t)(byte & 127) << shift;
                if (!(byte & 128))
                        return true;
        }
        return false;
}

/* Takes one field; ret is its bytes for length-delimited ones, else empty. */
static bool read_field(struct vn_str *in, unsigned *ret_number, struct vn_str *ret)
{
        uint64_t key, n;
        *ret = VN_STR("");
        if (!read_varint(in, &key) || key >> 3 > 1u << 29)
                return false;
        *ret_number = (unsigned)(key >> 3);
        if ((key & 7) == 0)
                return read_varint(in, &n);
        if ((key & 7) == 2) {
                if (!read_varint(in, &n) || n > in->len)
                        return false;
                *ret = vn_str_n(in->ptr, (size_t)n);
        } else if ((key & 7) == 5 || (key & 7) == 1) {
                n = (key & 7) == 5 ? 4 : 8;
                if (n > in->len)
                        return false;
        } else {
                return false;
        }
        *in = vn_str_n(in->ptr + n, in->len - (size_t)n);
        return true;
}

static struct vn_str find_field(struct vn_str message, unsigned number)
{
        unsigned n;
        struct vn_str value;
        while (message.len && read_field(&message, &n, &value))
                if (n == number)
                        return value;
        return VN_STR("");
}

static enum vn_rc add_symbol(struct vn_reflection *r, struct vn_str scope, struct vn_str name, struct vn_str *ret)
{
        char text[MAX_SYMBOL_BYTES];
        int n = snprintf(text, sizeof text, "%.*s%s%.*s", VN_FMT(scope), scope.len ? "." : "", VN_FMT(name));
        if (!name.len || n < 0 || (size_t)n >= sizeof text)
                return VN_INVALID_ARGUMENT;
        char *copy = vn_arena_strndup(&r->arena, text, (size_t)n);
        if (!copy || r->symbol_count == MAX_SYMBOLS)
                return VN_RESOURCE_EXHAUSTED;
        r->symbols[r->symbol_count++] = (struct symbol){copy, r->file_count};
        *ret = vn_str_n(copy, (size_t)n);
        return VN_OK;
}

/* What each container holds: a field number and what it contains in turn (the file itself, a message, a service). */
enum container { IN_FILE, IN_MESSAGE, IN_SERVICE, IN_NOTHING };

static enum container kind_of(enum container in, unsigned number)
{
        if (in == IN_FILE)
                return number == 4 ? IN_MESSAGE : number == 6 ? IN_SERVICE : IN_NOTHING;
        return in == IN_MESSAGE && number == 3 ? IN_MESSAGE : IN_NOTHING;
}

static bool is_definition(enum container in, unsigned number)
{
        switch (in) {
        case IN_FILE: /* message, enum, service, extension */ return number >= 4 && number <= 7;
        case IN_MESSAGE: /* field, nested message, enum */ return number >= 2 && number <= 4;
        case IN_SERVICE: /* method */ return number == 2;
        case IN_NOTHING: return false;
        }
        return false;
}

static enum vn_rc add_symbols(struct vn_reflection *r, enum container in, struct vn_str scope, struct vn_str bytes,
                              unsigned depth)
{
        unsigned number;
        struct vn_str value, name;
        if (depth > MAX_NESTING)
                return VN_INVALID_ARGUMENT;
        while (bytes.len) {
                if (!read_field(&bytes, &number, &value))
                        return VN_INVALID_ARGUMENT;
                if (!is_definition(in, number))
                        continue;
                VN_TRY(add_symbol(r, scope, find_field(value, 1), &name));
                if (kind_of(in, number) != IN_NOTHING)
                        VN_TRY(add_symbols(r, kind_of(in, number), name, value, depth + 1));
        }
        return VN_OK;
}

static int by_name(const void *a, const void *b)
{
        return strcmp(((const struct symbol *)a)->name, ((const struct symbol *)b)->name);
}

static enum vn_rc add_file(struct vn_reflection *r, struct vn_str bytes)
{
        struct vn_str name = find_field(bytes, 1);
        if (!name.len)
                return VN_INVALID_ARGUMENT;
        for (unsigned i = 0; i < r->file_count; i++)
                if (vn_str_eq(r->files[i].name, name))
                        return VN_OK;
        if (r->file_count == MAX_FILES)
                return VN_RESOURCE_EXHAUSTED;
        VN_TRY(add_symbols(r, IN_FILE, find_field(bytes, 2), bytes, 0));
        r->files[r->file_count++] = (struct file){name, bytes};
        return VN_OK;
}

enum vn_rc vn_reflection_add(struct vn_reflection *r, struct vn_str set, struct vn_err *err)
{
        char *copy = set.len && set.len <= MAX_SET_BYTES ? vn_arena_alloc(&r->arena, set.len) : NULL;
        if (!copy)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "descriptor set: %zu bytes", set.len);
        memcpy(copy, set.ptr, set.len);
        for (struct vn_str rest = vn_str_n(copy, set.len); rest.len;) {
                unsigned number;
                struct vn_str file;
                enum vn_rc rc = read_field(&rest, &number, &file) ? VN_OK : VN_INVALID_ARGUMENT;
                if (rc == VN_OK && number == 1)
                        rc = add_file(r, file);
                if (rc != VN_OK)
                        return vn_fail(err, rc, "descriptor set: file %u does not fit or is malformed",
                                       r->file_count);
        }
        qsort(r->symbols, r->symbol_count, sizeof *r->symbols, by_name);
        return VN_OK;
}

struct vn_str vn_reflection_file(const struct vn_reflection *r, struct vn_str name, bool is_symbol)
{
        char text[MAX_SYMBOL_BYTES];
        if (!is_symbol) {
                for (unsigned i = 0; i < r->file_count; i++)
                        if (vn_str_eq(r->files[i].name, name))
                                return r->files[i].bytes;
                return VN_STR("");
        }
        if (!vn_str_copy(text, sizeof text, name))
                return VN_STR("");
        struct symbol key = {text, 0};
        const struct symbol *found = bsearch(&key, r->symbols, r->symbol_count, sizeof key, by_name);
        return found ? r->files[found->file].bytes : VN_STR("");
}

/* --- the service --- */

static void answer(struct vn_call *call, const Grpc__Reflection__V1__ServerReflectionResponse *reply)
{
        enum vn_rc rc = vn_call_send(call, &reply->base);
        if (rc != VN_OK && rc != VN_CANCELLED && !vn_call_over(call))
                vn_call_finish(call, rc, NULL);
}

static void answer_error(struct vn_call *call, Grpc__Reflection__V1__ServerReflectionResponse *reply, enum vn_rc rc,
                         const char *text)
{
        Grpc__Reflection__V1__ErrorResponse error = GRPC__REFLECTION__V1__ERROR_RESPONSE__INIT;
        char message[64];
        snprintf(message, sizeof message, "%s", text);
        error.error_code = (int32_t)rc;
        error.error_message = message;
        reply->message_response_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_ERROR_RESPONSE;
        reply->error_response = &error;
        answer(call, reply);
        reply->error_response = NULL; /* it goes with this frame */
}

static void answer_file(struct vn_call *call, Grpc__Reflection__V1__ServerReflectionResponse *reply,
                        struct vn_str bytes)
{
        Grpc__Reflection__V1__FileDescriptorResponse files = GRPC__REFLECTION__V1__FILE_DESCRIPTOR_RESPONSE__INIT;
        ProtobufCBinaryData data = {bytes.len, (uint8_t *)(uintptr_t)bytes.ptr};
        if (!bytes.len) {
                answer_error(call, reply, VN_NOT_FOUND, "no such file or symbol");
                return;
        }
        files.n_file_descriptor_proto = 1;
        files.file_descriptor_proto = &data;
        reply->message_response_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_FILE_DESCRIPTOR_RESPONSE;
        reply->file_descriptor_response = &files;
        answer(call, reply);
        reply->file_descriptor_response = NULL; /* it goes with this frame */
}

static void answer_list(struct vn_call *call, Grpc__Reflection__V1__ServerReflectionResponse *reply,
                        const struct edge_routes *routes)
{
        Grpc__Reflection__V1__ServiceResponse services[ROUTE_MAX_ROWS], *pointers[ROUTE_MAX_ROWS];
        Grpc__Reflection__V1__ListServiceResponse list = GRPC__REFLECTION__V1__LIST_SERVICE_RESPONSE__INIT;
        for (unsigned i = 0; i < routes->row_count; i++) {
                const char *name = routes->rows[i]->row->service;
                bool seen = false;
                for (unsigned j = 0; j < i && !seen; j++)
                        seen = !strcmp(routes->rows[j]->row->service, name);
                if (seen)
                        continue;
                Grpc__Reflection__V1__ServiceResponse *service = &services[list.n_service];
                grpc__reflection__v1__service_response__init(service);
                service->name = (char *)(uintptr_t)name;
                pointers[list.n_service++] = service;
        }
        list.service = pointers;
        reply->message_response_case =
                GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__MESSAGE_RESPONSE_LIST_SERVICES_RESPONSE;
        reply->list_services_response = &list;
        answer(call, reply);
        reply->list_services_response = NULL; /* it goes with this frame */
}

static void on_message(struct vn_call *call, const ProtobufCMessage *message)
{
        const Grpc__Reflection__V1__ServerReflectionRequest *request = (const void *)message;
        const struct vn_reflection *r = vn_call_context(call);
        Grpc__Reflection__V1__ServerReflectionResponse reply = GRPC__REFLECTION__V1__SERVER_REFLECTION_RESPONSE__INIT;
        reply.valid_host = request->host;
        reply.original_request = (Grpc__Reflection__V1__ServerReflectionRequest *)(uintptr_t)request;
        if (request->message_request_case ==
            GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_BY_FILENAME)
                answer_file(call, &reply, vn_reflection_file(r, vn_str(request->file_by_filename), false));
        else if (request->message_request_case ==
                 GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_FILE_CONTAINING_SYMBOL)
                answer_file(call, &reply, vn_reflection_file(r, vn_str(request->file_containing_symbol), true));
        else if (request->message_request_case ==
                 GRPC__REFLECTION__V1__SERVER_REFLECTION_REQUEST__MESSAGE_REQUEST_LIST_SERVICES)
                answer_list(call, &reply, &r->edge->routes);
        else /* proto3 knows no extensions */
                answer_error(call, &reply, VN_NOT_FOUND, "there are no extensions here");
}

static void on_half_close(struct vn_call *call)
{
        if (!vn_call_over(call))
                vn_call_finish(call, VN_OK, NULL);
}

#define REFLECTION_ROW(service_name)                                                                                 \
        {                                                                                                            \
                .service = service_name, .name = "ServerReflectionInfo", .kind = VN_BIDI,                            \
                .access = VN_ACCESS_PUBLIC, .request = &grpc__reflection__v1__server_reflection_request__descriptor, \
                .response = &grpc__reflection__v1__server_reflection_response__descriptor,                           \
                .help = "Describes the services to tools.", .max_request_bytes = 65536, .message = on_message,       \
                .half_close = on_half_close                                                                          \
        }

/* Both versions have the same messages on the wire. */
static const struct vn_method rows[] = {
        REFLECTION_ROW("grpc.reflection.v1.ServerReflection"),
        REFLECTION_ROW("grpc.reflection.v1alpha.ServerReflection"),
};

enum vn_rc vn_reflection_new(struct vn_edge *edge, struct vn_reflection **ret, struct vn_err *err)
{
        *ret = NULL;
        struct vn_reflection *r = vn_alloc(sizeof *r);
        if (r)
                r->symbols = vn_alloc_array(MAX_SYMBOLS, sizeof *r->symbols);
        if (!r || !r->symbols) {
                vn_free(r);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "reflection: out of memory");
        }
        r->edge = edge;
        vn_arena_init(&r->arena, 2 * (size_t)MAX_SET_BYTES);
        *ret = r; /* also when what follows fails: the edge frees it */
        VN_TRY(vn_reflection_add(r, vn_str_n(vn_net_descriptor_set, vn_net_descriptor_set_bytes), err));
        return edge ? vn_edge_add_methods(edge, rows, sizeof rows / sizeof *rows, r, err) : VN_OK;
}

struct vn_reflection *vn_reflection_free(struct vn_reflection *r)
{
        if (!r)
                return NULL;
        vn_arena_done(&r->arena);
        vn_free(r->symbols);
        vn_free(r);
        return NULL;
}
