/* join_token.h - the single-use text that lets an agent join: what it says, and its two encodings.
 * Text: "vanejoin1." and base64url of: version 1, level (0 observe, 1 tune, 2 invoke), account id (8 bytes, big endian),
 *   SHA-256 of the server's CA certificate (32 bytes, DER), secret (32 bytes), tenant (the rest).
 * Threads: pure. The whole text is a secret; the server keeps only its SHA-256. */
#ifndef VANE_NET_JOIN_TOKEN_H
#define VANE_NET_JOIN_TOKEN_H

#include "base/err.h"
#include "base/str.h"

#define VN_JOIN_TOKEN_BYTES 256

struct vn_join_token {
        uint8_t level;
        uint64_t account_id;
        uint8_t ca_fingerprint[32]; /* as vn_pki_cert_fingerprint gives it */
        uint8_t secret[32];
        char tenant[64];
};
enum vn_rc vn_join_token_encode(const struct vn_join_token *token, char ret[VN_JOIN_TOKEN_BYTES],
                                struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_join_token_decode(struct vn_str text, struct vn_join_token *ret, struct vn_err *err) VN_MUST_USE;

#endif
