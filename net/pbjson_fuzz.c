/* Property: whatever parses prints, and what was printed parses to the same print. */
#include "base/json.h"
#include "net/pbjson.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"
#include "vane/v1/routing.pb-c.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const ProtobufCMessageDescriptor *const kinds[] = {
        &vane__v1__report_request__descriptor, &vane__v1__update_part__descriptor, &vane__v1__agent_event__descriptor,
        &vane__v1__explanation__descriptor,    &vane__v1__route_batch__descriptor,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const ProtobufCMessageDescriptor *kind;
        VN_AUTO(vn_arena)
        arena = {.max_bytes = 4 << 20};
        VN_AUTO(vn_buf)
        first = VN_BUF_INIT(16 << 20);
        VN_AUTO(vn_buf)
        second = VN_BUF_INIT(16 << 20);
        ProtobufCMessage *message;
        struct vn_err err;

        if (size < 2)
                return 0;
        kind = kinds[data[0] % (sizeof(kinds) / sizeof(kinds[0]))];
        if (vn_pbjson_parse(kind, vn_str_n(data + 1, size - 1), &arena, &message, &err) != VN_OK)
                return 0;
        VN_ASSERT(vn_pbjson_print(message, &first, &err) == VN_OK);
        vn_arena_reset(&arena);
        VN_ASSERT(vn_pbjson_parse(kind, vn_buf_view(&first), &arena, &message, &err) == VN_OK);
        VN_ASSERT(vn_pbjson_print(message, &second, &err) == VN_OK);
        VN_ASSERT(vn_str_eq(vn_buf_view(&first), vn_buf_view(&second)));
        return 0;
}
