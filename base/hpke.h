/* hpke.h - sealing a short secret to one public key: RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and
 * AES-256-GCM, one message a key encapsulation.
 * Threads: any. Ownership: opened text is appended to the caller's buffer, who wipes it. Errors: UNAUTHENTICATED for what does
 *   not open, whatever the reason: another key, other associated data, a changed byte. */
#ifndef VANE_BASE_HPKE_H
#define VANE_BASE_HPKE_H

#include "base/err.h"
#include "base/str.h"

#define VN_HPKE_KEY_BYTES 32
#define VN_HPKE_TAG_BYTES 16
#define VN_HPKE_MAX_BYTES 65536
#define VN_HPKE_MAX_INFO_BYTES 512

/* A fresh pair; the private key is the caller's to wipe. */
enum vn_rc vn_hpke_make_key(uint8_t ret_private[VN_HPKE_KEY_BYTES], uint8_t ret_public[VN_HPKE_KEY_BYTES],
                            struct vn_err *err) VN_MUST_USE;
/* ret_enc goes along with what is appended to ret: text's length and a tag. */
enum vn_rc vn_hpke_seal(const uint8_t public_key[VN_HPKE_KEY_BYTES], struct vn_str info, struct vn_str associated,
                        struct vn_str text, uint8_t ret_enc[VN_HPKE_KEY_BYTES], struct vn_buf *ret,
                        struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_hpke_open(const uint8_t private_key[VN_HPKE_KEY_BYTES], const uint8_t enc[VN_HPKE_KEY_BYTES],
                        struct vn_str info, struct vn_str associated, struct vn_str sealed, struct vn_buf *ret,
                        struct vn_err *err) VN_MUST_USE;

/* The same with the RFC's own choice of cipher and ephemeral key: for its test vectors. */
enum vn_hpke_aead { VN_HPKE_AES_128_GCM = 1, VN_HPKE_AES_256_GCM = 2 };
enum vn_rc vn_hpke_seal_as(enum vn_hpke_aead aead, const uint8_t ephemeral[VN_HPKE_KEY_BYTES],
                           const uint8_t public_key[VN_HPKE_KEY_BYTES], struct vn_str info, struct vn_str associated,
                           struct vn_str text, uint8_t ret_enc[VN_HPKE_KEY_BYTES], struct vn_buf *ret,
                           struct vn_err *err) VN_MUST_USE;

#endif
