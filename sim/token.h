/* sim/token.h - the clouds' token formats: JWTs signed by the simulator (HS256) and by service accounts (RS256).
 * Threads: any. Ownership: claims are the caller's JSON. Errors: UNAUTHENTICATED with the reason. */
#ifndef VANE_SIM_TOKEN_H
#define VANE_SIM_TOKEN_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

/* Appends header.payload.signature over the claims. */
enum vn_rc vn_token_sign(const uint8_t key[32], const json_t *claims, struct vn_buf *ret,
                         struct vn_err *err) VN_MUST_USE;
/* Checks the signature only; exp and the rest are the caller's. */
enum vn_rc vn_token_verify(const uint8_t key[32], struct vn_str token, json_t **ret_claims,
                           struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_token_verify_rs256(const char *public_pem, struct vn_str token, json_t **ret_claims,
                                 struct vn_err *err) VN_MUST_USE;
/* The same with RSA-PSS (PS256). */
enum vn_rc vn_token_verify_ps256(const char *public_pem, struct vn_str token, json_t **ret_claims,
                                 struct vn_err *err) VN_MUST_USE;
/* A token's header, not to be trusted before its signature is checked. */
enum vn_rc vn_token_header(struct vn_str token, json_t **ret, struct vn_err *err) VN_MUST_USE;
/* Appends header.payload.signature (RS256) with the key of that id. */
enum vn_rc vn_token_sign_rs256(const char *private_pem, const char *key_id, const json_t *claims, struct vn_buf *ret,
                               struct vn_err *err) VN_MUST_USE;
/* exp and (if present) iat and nbf against either time base: the sandbox's clock or the machine's, because an outside
 * client knows only the latter. */
enum vn_rc vn_token_in_time(const json_t *claims, int64_t now_us, int64_t real_us, struct vn_err *err) VN_MUST_USE;
/* A 2048-bit RSA key: its id in hex, private key and public key as PEM (released with vn_free). */
enum vn_rc vn_token_make_key(char *ret_id, size_t id_bytes, char **ret_private_pem, char **ret_public_pem,
                             struct vn_err *err) VN_MUST_USE;

#endif
