/* identity.h - who this agent is: its key, its certificate, its account, kept in one file.
 * Purpose: join once with a token, be the same account ever after, renew in time. The file holds the private key: it is
 *   written whole (all or nothing) with mode 0600 in a 0700 directory, before the token is spent, so that a crash
 *   during joining can be repeated with the same key.
 * Threads: the agent's main thread. Ownership: the caller owns the struct (vn_identity_file_done wipes the key).
 * Time: certificates live by the real clock, whatever the sandbox clock says. */
#ifndef VANE_AGENTS_IDENTITY_H
#define VANE_AGENTS_IDENTITY_H

#include "base/err.h"
#include "base/str.h"
#include "net/join_token.h"

struct vn_agent_identity {
        char path[512];
        struct vn_buf key_pem, cert_pem, ca_pem; /* cert empty: not enrolled yet */
        char account_id[32];
        char level[16];
        int64_t issued_s, not_after_s;
};
/* Loads DIR/identity.json, or makes a key and stores it. */
enum vn_rc vn_agent_identity_open(const char *state_dir, struct vn_agent_identity *ret,
                                  struct vn_err *err) VN_MUST_USE;
void vn_agent_identity_done(struct vn_agent_identity *identity);
enum vn_rc vn_agent_identity_save(const struct vn_agent_identity *identity, struct vn_err *err) VN_MUST_USE;

/* Takes a certificate that belongs to `key_pem` and is vouched for by the CA with this fingerprint; saves. */
struct vn_agent_certificate {
        struct vn_str key_pem, cert_pem, ca_pem;
        const char *account_id, *level;
};
enum vn_rc vn_agent_identity_take(struct vn_agent_identity *identity, const struct vn_agent_certificate *certificate,
                                  int64_t now_s, struct vn_err *err) VN_MUST_USE;
/* True in the last third of the certificate's life. */
bool vn_agent_identity_renew_due(const struct vn_agent_identity *identity, int64_t now_s);

/* Reads a token file and checks that the CA file is the one that the token names. */
enum vn_rc vn_agent_token_read(const char *path, struct vn_str ca_pem, struct vn_buf *ret_text,
                               struct vn_join_token *ret, struct vn_err *err) VN_MUST_USE;

#endif
