/* op.h - operations of the control plane: everything but Route, Report and the streams.
 * Purpose: an edge loop hands an operation to the control loop, which runs one at a time and may wait for the store;
 *   the answer goes back to the edge loop. One thread owns all control state, so it needs no locks.
 * Threads: an operation's function runs on the control loop only.
 * Ownership: request and reply live in the call's arena. */
#ifndef VANE_SERVER_OP_H
#define VANE_SERVER_OP_H

#include "net/service.h"

struct vn_server;

struct vn_op {
        struct vn_server *server;
        const struct vn_identity *identity;
        struct vn_arena *arena;
        struct vn_call *call; /* for headers only; answered by op.c */
        int64_t now_us;
};

/* Fills *ret_reply (in op->arena) on VN_OK; on an error the state is as before. */
typedef enum vn_rc (*vn_op_fn)(struct vn_op *op, const ProtobufCMessage *request, ProtobufCMessage **ret_reply,
                               struct vn_err *err);

/* The start callback of every row of api.def: queues the operation. */
void vn_op_start(struct vn_call *call, const ProtobufCMessage *request);
/* Runs fn on the control loop for a raw HTTP call; done runs back on the call's loop. */
void vn_op_run(struct vn_server *server, struct vn_call *call, vn_op_fn fn, const ProtobufCMessage *request);

/* Allocates a message in the arena and initialises it; on failure the caller returns vn_op_no_memory(err). */
#define VN_NEW_MESSAGE(arena, type, init)                                                                            \
        ({                                                                                                           \
                type *vn_message_ = vn_arena_alloc((arena), sizeof(type));                                           \
                if (vn_message_)                                                                                     \
                        init(vn_message_);                                                                           \
                vn_message_;                                                                                         \
        })
static inline enum vn_rc vn_op_no_memory(struct vn_err *err)
{
        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "this request needs more memory than one request may use");
}
/* Text into the arena; "" when memory is out, so that a reply is never half-built with NULL. */
char *vn_op_text(struct vn_op *op, const char *text);
char *vn_op_printf(struct vn_op *op, const char *format, ...) VN_PRINTF(2, 3);

/* Paging over an array of `total` items: token is the decimal offset. */
struct vn_page {
        size_t from, count;
        char *next_token; /* "" at the end */
};
enum vn_rc vn_op_page(struct vn_op *op, uint32_t page_size, const char *token, size_t total, struct vn_page *ret,
                      struct vn_err *err) VN_MUST_USE;

#endif
