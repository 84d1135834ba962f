/* pki.h - the server's own certificate authority: it signs vaned's certificate and the agents'.
 * Threads: the control loop, and start-up. Ownership: the texts belong to the pki.
 * Files under STATE/pki (0600): ca.key, ca.pem, server.key, server.pem. Real time, whatever the sandbox's clock. */
#ifndef VANE_SERVER_REGISTRY_PKI_H
#define VANE_SERVER_REGISTRY_PKI_H

#include "server/server.h"

enum vn_rc vn_pki_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_pki_stop(struct vn_server *server);
const char *vn_pki_ca_pem(const struct vn_pki *pki);
const char *vn_pki_ca_file(const struct vn_pki *pki);
const uint8_t *vn_pki_ca_fingerprint(const struct vn_pki *pki); /* 32 bytes */
/* A client certificate for the CSR's key with the account's URI as its only name. */
enum vn_rc vn_pki_sign_account(struct vn_server *server, uint64_t account_id, const char *csr_pem,
                               struct vn_buf *ret_cert_pem, int64_t *ret_not_after_s, struct vn_err *err) VN_MUST_USE;

#endif
