#include "server/api.h"

#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"
#include "vane/v1/routing.pb-c.h"

#define VN_OP(service_, method_, access_, request_, response_, verb_, path_, operation_, help_)                      \
        {.service = "vane.v1." #service_,                                                                            \
         .name = #method_,                                                                                           \
         .kind = VN_UNARY,                                                                                           \
         .access = VN_ACCESS_##access_,                                                                              \
         .request = &vane__v1__##request_##__descriptor,                                                             \
         .response = &vane__v1__##response_##__descriptor,                                                           \
         .verb = VN_HTTP_##verb_,                                                                                    \
         .path = path_,                                                                                              \
         .help = help_,                                                                                              \
         .start = vn_op_start},
#define VN_CALL(service_, method_, kind_, access_, request_, response_, verb_, path_, start_, open_, message_,       \
                half_close_, cancelled_, writable_, help_)                                                           \
        {.service = "vane.v1." #service_,                                                                            \
         .name = #method_,                                                                                           \
         .kind = VN_##kind_,                                                                                         \
         .access = VN_ACCESS_##access_,                                                                              \
         .request = &vane__v1__##request_##__descriptor,                                                             \
         .response = &vane__v1__##response_##__descriptor,                                                           \
         .verb = VN_HTTP_##verb_,                                                                                    \
         .path = path_,                                                                                              \
         .help = help_,                                                                                              \
         .start = start_,                                                                                            \
         .open = open_,                                                                                              \
         .message = message_,                                                                                        \
         .half_close = half_close_,                                                                                  \
         .cancelled = cancelled_,                                                                                    \
         .writable = writable_},
const struct vn_method vn_api_methods[] = {
#include "server/api.def"
};
#undef VN_OP
#undef VN_CALL
const size_t vn_api_method_count = sizeof vn_api_methods / sizeof vn_api_methods[0];

/* In the same order as vn_api_methods, so that a row's index finds its operation. */
#define VN_OP(service, method, access, request, response, verb, path, operation, help) operation,
#define VN_CALL(service, method, kind, access, request, response, verb, path, start, open, message, half_close,      \
                cancelled, writable, help)                                                                           \
        NULL,
static const vn_op_fn operations[] = {
#include "server/api.def"
};
#undef VN_OP
#undef VN_CALL

vn_op_fn vn_api_operation(const struct vn_method *method)
{
        size_t index = (size_t)(method - vn_api_methods);
        VN_ASSERT(index < vn_api_method_count && operations[index]);
        return operations[index];
}

bool vn_api_only_reads_store(const struct vn_method *method)
{
        return !strcmp(method->service, "vane.v1.Decisions") || !strcmp(method->service, "vane.v1.Audit") ||
               !strcmp(method->service, "vane.v1.Backups") || !strcmp(method->service, "vane.v1.Costs");
}
