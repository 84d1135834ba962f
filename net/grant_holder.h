/* grant_holder.h - a gateway's invoke grants: received sealed, opened here, used while they may be, wiped.
 * Purpose: keeps a stream to vaned (WatchGrants) with a key pair made for it, opens what arrives for that key, and hands out
 *   credentials by account and function. A grant is usable until it expires, is revoked, or its stream ends; and never longer
 *   than LEASE after a ping that the server has answered was sent: a server that is gone or cut off takes its grants along.
 * Threads: two of its own; the functions here may be called from any thread.
 * Ownership: borrows channel, clock and the wishes' texts until free. Secrets are in locked pages that core dumps leave out, and
 *   are wiped when they end; what vn_grant_holder_use copies out is the caller's to wipe (vn_grant_use_done).
 * Limits: 64 grants, 64 KiB each; wishes as vaned takes them. */
#ifndef VANE_NET_GRANT_HOLDER_H
#define VANE_NET_GRANT_HOLDER_H

#include "base/clock.h"
#include "net/grpc_client.h"

#define VN_GRANT_LEASE_US (900 * VN_US_PER_MS) /* from a ping's sending; a revocation must bite within a second */
#define VN_GRANT_PING_US (200 * VN_US_PER_MS)

struct vn_grant_wanted {
        const char *account;
        char **functions;
        size_t count;
};
struct vn_grant_holder_options {
        struct vn_grpc_channel *channel;
        const struct vn_clock *clock; /* of the grants' expiry */
        const struct vn_grant_wanted *wanted;
        size_t wanted_count;
};

struct vn_grant_holder;
enum vn_rc vn_grant_holder_new(const struct vn_grant_holder_options *options, struct vn_grant_holder **ret,
                               struct vn_err *err) VN_MUST_USE;
struct vn_grant_holder *vn_grant_holder_free(struct vn_grant_holder *holder);

/* What a call of one function is signed or sent with. AWS: keys; elsewhere a header for the function's address. */
struct vn_grant_use {
        char id[17], cloud[8], region[48];
        char access_key_id[128], secret_access_key[128], session_token[4096]; /* aws */
        char url[384], header[32], value[6144];
};
/* UNAVAILABLE: there is none that may be used now, and err says why. */
enum vn_rc vn_grant_holder_use(struct vn_grant_holder *holder, const char *account, const char *function,
                               struct vn_grant_use *ret, struct vn_err *err) VN_MUST_USE;
void vn_grant_use_done(struct vn_grant_use *use);

#endif
