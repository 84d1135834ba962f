/* tls.h - server and client TLS contexts, and the small certificate authority that enrols agents.
 * Threads: contexts are made once and then shared; the CA is used from one thread at a time (its owner locks).
 * Ownership: as usual _new/_free; a context may be freed while connections still use it (OpenSSL counts).
 * Policy: TLS 1.2 and up, ECDHE with AEAD only, no renegotiation, no compression, tickets off. */
#ifndef VANE_BASE_TLS_H
#define VANE_BASE_TLS_H

#include "base/err.h"
#include "base/str.h"

struct ssl_ctx_st;
struct ssl_st;

struct vn_tls_server;
/* PEM texts. client_ca_pem NULL: no client certificates are asked for; else one is asked for, verified if sent, and
 * its absence is allowed (methods decide). ALPN offers h2 and http/1.1. */
enum vn_rc vn_tls_server_new(struct vn_str cert_chain_pem, struct vn_str key_pem, const struct vn_str *client_ca_pem,
                             struct vn_tls_server **ret, struct vn_err *err) VN_MUST_USE;
struct vn_tls_server *vn_tls_server_free(struct vn_tls_server *tls);
struct ssl_ctx_st *vn_tls_server_ctx(struct vn_tls_server *tls);

#define VN_MAX_URI_SAN_BYTES 256
/* The one URI SAN of the verified peer certificate; NOT_FOUND without certificate, INVALID_ARGUMENT with several. */
enum vn_rc vn_tls_peer_uri(struct ssl_st *ssl, char ret[VN_MAX_URI_SAN_BYTES],
                           uint8_t ret_fingerprint[32]) VN_MUST_USE;
/* When the verified peer certificate ends, in Unix seconds; 0 without one. */
int64_t vn_tls_peer_not_after_s(struct ssl_st *ssl);
/* After a handshake that failed: the peer's certificate was good but for its time. */
bool vn_tls_peer_expired(struct ssl_st *ssl);

/* --- keys and certificates (P-256) --- */
enum vn_rc vn_pki_make_key(struct vn_buf *ret_key_pem, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_pki_make_csr(struct vn_str key_pem, struct vn_buf *ret_csr_pem, struct vn_err *err) VN_MUST_USE;
/* A self-signed CA. Times are Unix seconds. */
enum vn_rc vn_pki_make_ca(struct vn_str key_pem, const char *name, int64_t not_before_s, int64_t not_after_s,
                          struct vn_buf *ret_cert_pem, struct vn_err *err) VN_MUST_USE;
struct vn_pki_leaf {
        const char *const *dns_names; /* "localhost", and IP addresses as text */
        size_t dns_name_count;
        const char *uri; /* NULL or the one URI SAN */
        bool server;     /* serverAuth, else clientAuth */
        int64_t not_before_s, not_after_s;
};
/* Signs for the CSR's public key only: every name in the CSR is ignored. Checks the CSR's own signature. */
enum vn_rc vn_pki_sign_csr(struct vn_str ca_cert_pem, struct vn_str ca_key_pem, struct vn_str csr_pem,
                           const struct vn_pki_leaf *leaf, struct vn_buf *ret_cert_pem,
                           struct vn_err *err) VN_MUST_USE;
/* SHA-256 of the certificate's DER (for pinning in join tokens), of the CSR's public key, and a certificate's end. */
enum vn_rc vn_pki_cert_fingerprint(struct vn_str cert_pem, uint8_t ret[32], struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_pki_csr_key_hash(struct vn_str csr_pem, uint8_t ret[32], struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_pki_cert_not_after(struct vn_str cert_pem, int64_t *ret_s, struct vn_err *err) VN_MUST_USE;

#endif
