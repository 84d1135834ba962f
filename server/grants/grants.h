/* grants.h - invoke grants: who asked for what, what became of it, and what the cloud keeps honouring.
 * Purpose: a gateway's wishes become requests to agents; sealed answers go to the gateway's stream and are not kept.
 * Threads: the control loop; the stream's own callbacks (api.h) on their edge loops.
 * Ownership: in memory only: not in the store, in views or in metrics. Limits: VN_MAX_GRANTS known at once, of which the ended
 *   ones go first; VN_MAX_GATEWAYS streams. */
#ifndef VANE_SERVER_GRANTS_GRANTS_H
#define VANE_SERVER_GRANTS_GRANTS_H

#include "server/registry/registry.h"

#define VN_MAX_GRANTS 4096
#define VN_MAX_GATEWAYS 256

enum vn_rc vn_grants_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_grants_stop(struct vn_server *server);
/* Renews what is about to end, asks again where there is none yet. */
void vn_grants_tick(struct vn_server *server, int64_t now_us);
/* The account was revoked, or may no longer be invoked: its grants are taken back. */
void vn_grants_account_closed(struct vn_server *server, uint64_t account_id);

#endif
