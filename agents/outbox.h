/* outbox.h - windows that wait to be sent, oldest first.
 * Threads: the main thread. Ownership: copies. Bounds: max windows; beyond that the oldest is dropped and counted. */
#ifndef VANE_AGENTS_OUTBOX_H
#define VANE_AGENTS_OUTBOX_H

#include "base/mem.h"
#include "federation/window.h"

struct vn_outbox {
        struct vn_window *windows;
        size_t first, count, cap, max;
        uint64_t dropped;
};
void vn_outbox_init(struct vn_outbox *outbox, size_t max);
void vn_outbox_done(struct vn_outbox *outbox);
enum vn_rc vn_outbox_put(struct vn_outbox *outbox, const struct vn_window *window, struct vn_err *err) VN_MUST_USE;
/* At most `max` waiting windows that lie together; sent ones are taken off with vn_outbox_sent. */
size_t vn_outbox_peek(const struct vn_outbox *outbox, size_t max, const struct vn_window **ret);
void vn_outbox_sent(struct vn_outbox *outbox, size_t count);
/* Start of the oldest that waits; INT64_MAX if none does. */
int64_t vn_outbox_oldest_us(const struct vn_outbox *outbox);

#endif
