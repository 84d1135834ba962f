/* progress.h - what must survive the agent's death: how far the logs were read, and which commands were carried out.
 * Purpose: after kill -9 the agent reads again from where the last sent window ended (the server drops what it has),
 *   and a command that comes again is answered with its first result.
 * Threads: the main thread. Ownership: a value type. Bounds: the last 128 commands. Written whole or not at all. */
#ifndef VANE_AGENTS_PROGRESS_H
#define VANE_AGENTS_PROGRESS_H

#include "agents/link.h"

#define VN_MAX_REMEMBERED 128

struct vn_progress {
        char path[512];
        int64_t collected_until_us; /* every window that ended by then has reached the server; 0: none yet */
        size_t command_count;       /* ever; the ring keeps the last ones */
        struct vn_command_result commands[VN_MAX_REMEMBERED];
};
/* A missing file is a fresh start; a damaged one is an error. */
enum vn_rc vn_progress_open(const char *state_dir, struct vn_progress *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_progress_save(const struct vn_progress *progress, struct vn_err *err) VN_MUST_USE;
const struct vn_command_result *vn_progress_find(const struct vn_progress *progress, const char *id); /* NULL: new */
void vn_progress_remember(struct vn_progress *progress, const struct vn_command_result *result);

#endif
