/* agent.h - vane-agent as one object: joins, then collects, sends, learns, applies, until it is stopped.
 * Threads: the caller's, plus the watch thread. Time: telemetry and rounds by the process's clock, certificates by the
 *   real one. Under a sandbox clock everything is polled. */
#ifndef VANE_AGENTS_AGENT_H
#define VANE_AGENTS_AGENT_H

#include <signal.h>

#include "agents/options.h"

/* Returns OK when *stop is set, or the error that makes going on pointless. */
enum vn_rc vn_agent_run(const struct vn_agent_options *options, const volatile sig_atomic_t *stop,
                        struct vn_err *err) VN_MUST_USE;

#endif
