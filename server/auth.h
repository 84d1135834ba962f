/* auth.h - the immutable table that authenticates calls on edge loops; rebuilt and swapped on every change.
 * Threads: vn_auth_lookup_* from any thread; publish from the control loop.
 * Ownership: the set owns its tables; a thread's borrowed table lives until that thread's next lookup. */
#ifndef VANE_SERVER_AUTH_H
#define VANE_SERVER_AUTH_H

#include "net/service.h"

enum vn_token_kind { VN_TOKEN_API, VN_TOKEN_LOGIN_LINK, VN_TOKEN_SESSION };

struct vn_auth_token {
        uint8_t sha256[32];
        enum vn_token_kind kind;
        enum vn_access access;
        int64_t expires_us;
        uint64_t person_id; /* see vn_identity */
        char tenant[VN_MAX_TENANT_BYTES];
        char person[64];
};
struct vn_auth_account {
        uint64_t id;
        char tenant[VN_MAX_TENANT_BYTES];
        bool revoked;
};

struct vn_auth;
struct vn_auth *vn_auth_new(void);
struct vn_auth *vn_auth_free(struct vn_auth *auth);
/* Copies both arrays into a new table and makes it current. */
enum vn_rc vn_auth_publish(struct vn_auth *auth, const struct vn_auth_token *tokens, size_t token_count,
                           const struct vn_auth_account *accounts, size_t account_count,
                           struct vn_err *err) VN_MUST_USE;
bool vn_auth_token(struct vn_auth *auth, const uint8_t sha256[32], struct vn_auth_token *ret);
bool vn_auth_account(struct vn_auth *auth, uint64_t id, struct vn_auth_account *ret);

#endif
