/* apply.h - carrying out a command: one memory change, guarded on this side too.
 * Purpose: the agent is the last that can say no. It refuses what its level does not allow, what is paused, expired,
 *   larger than +50 % in one step (unless it is a rollback), or based on a configuration that is no longer there; the
 *   cloud's own concurrency guard has the very last word.
 * Threads: the main thread. Ownership: all borrowed. The cloud comes as functions, so that tests can be one. */
#ifndef VANE_AGENTS_APPLY_H
#define VANE_AGENTS_APPLY_H

#include "agents/link.h"

struct vn_apply_state {
        uint32_t memory_mb;
        char guard[128];
        bool busy; /* a change is still being carried out */
};
struct vn_apply_cloud {
        void *state;
        enum vn_rc (*read)(void *state, const char *function, const char *region, struct vn_apply_state *ret,
                           struct vn_err *err);
        /* Only if the configuration is still as read gave it. */
        enum vn_rc (*set)(void *state, const char *function, const char *region, uint32_t memory_mb,
                          struct vn_apply_state *ret, struct vn_err *err);
        bool (*paused)(void *state, const char *function);
};
/* Always gives a result: done, or not done with the reason. */
void vn_apply(const struct vn_apply_cloud *cloud, const struct vn_agent_command *command, const char *level,
              int64_t now_us, struct vn_command_result *ret);

#endif
