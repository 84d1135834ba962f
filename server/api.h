/* api.h - the operations and calls that api.def's rows name.
 * Threads: op_* on the control loop; vn_*_start and the like on the call's edge loop. */
#ifndef VANE_SERVER_API_H
#define VANE_SERVER_API_H

#include "net/service.h"
#include "server/op.h"

#define VN_OP(service, method, access, request, response, verb, path, operation, help)                               \
        enum vn_rc operation(struct vn_op *op, const ProtobufCMessage *request_message,                              \
                             ProtobufCMessage **ret_reply, struct vn_err *err);
#define VN_CALL(service, method, kind, access, request, response, verb, path, start, open, message, half_close,      \
                cancelled, writable, help)
#include "server/api.def"
#undef VN_OP
#undef VN_CALL

/* registry/watch.c */
void vn_watch_start(struct vn_call *call, const ProtobufCMessage *request);
void vn_watch_cancelled(struct vn_call *call);
/* rounds/transfer.c */
void vn_fetch_model_start(struct vn_call *call, const ProtobufCMessage *request);
void vn_fetch_model_cancelled(struct vn_call *call);
void vn_fetch_model_writable(struct vn_call *call);
void vn_submit_open(struct vn_call *call);
void vn_submit_message(struct vn_call *call, const ProtobufCMessage *message);
void vn_submit_half_close(struct vn_call *call);
void vn_submit_cancelled(struct vn_call *call);
/* routing/ */
void vn_route_start(struct vn_call *call, const ProtobufCMessage *request);
void vn_route_stream_open(struct vn_call *call);
void vn_route_stream_message(struct vn_call *call, const ProtobufCMessage *message);
void vn_route_stream_half_close(struct vn_call *call);
void vn_report_start(struct vn_call *call, const ProtobufCMessage *request);
/* explain/ */
void vn_decisions_watch_start(struct vn_call *call, const ProtobufCMessage *request);
void vn_decisions_watch_cancelled(struct vn_call *call);
/* grants/ */
void vn_grants_open(struct vn_call *call);
void vn_grants_message(struct vn_call *call, const ProtobufCMessage *message);
void vn_grants_half_close(struct vn_call *call);
void vn_grants_cancelled(struct vn_call *call);
/* audit/ */
void vn_export_start(struct vn_call *call, const ProtobufCMessage *request);
void vn_export_cancelled(struct vn_call *call);
void vn_export_writable(struct vn_call *call);
void vn_backup_start(struct vn_call *call, const ProtobufCMessage *request);

/* The whole table, and the operation behind a VN_OP row. */
extern const struct vn_method vn_api_methods[];
extern const size_t vn_api_method_count;
vn_op_fn vn_api_operation(const struct vn_method *method);
/* True for operations that only read the store, or backups, and so need not wait for the control loop. */
bool vn_api_only_reads_store(const struct vn_method *method);

#endif
