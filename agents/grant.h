/* grant.h - an invoke grant for a gateway: minted here, sealed to its key, handed to the server as ciphertext.
 * Threads: the main thread. Ownership: the credential lives only in here and is wiped before return.
 * Errors: the server has been told why there is no grant whenever it can be told. */
#ifndef VANE_AGENTS_GRANT_H
#define VANE_AGENTS_GRANT_H

#include "agents/gather.h"
#include "agents/watch.h"

enum vn_rc vn_grant_give(const struct vn_gather *gather, struct vn_grpc_channel *channel,
                         const struct vn_agent_grant *request, const char *level, struct vn_err *err) VN_MUST_USE;

#endif
