/* window_proto.h - a window as it goes over the wire.
 * Threads: pure. Ownership: the message and all it points to live in the arena. */
#ifndef VANE_AGENTS_WINDOW_PROTO_H
#define VANE_AGENTS_WINDOW_PROTO_H

#include "base/mem.h"
#include "federation/window.h"
#include "vane/v1/agent.pb-c.h"

enum vn_rc vn_window_to_proto(const struct vn_window *window, struct vn_arena *arena, Vane__V1__Window **ret,
                              struct vn_err *err) VN_MUST_USE;

#endif
