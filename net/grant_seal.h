/* grant_seal.h - what an invoke grant is sealed with beside the gateway's key: to which grant it belongs.
 * Purpose: agent and gateway must put the same words under the seal, or it does not open: a grant cannot be passed off as
 *   another one, another account's, another gateway's, or as one that lasts longer.
 * Threads: any. */
#ifndef VANE_NET_GRANT_SEAL_H
#define VANE_NET_GRANT_SEAL_H

#include "base/err.h"
#include "base/str.h"

#define VN_GRANT_INFO VN_STR("vane invoke grant v1")
#define VN_GRANT_ASSOCIATED_BYTES 384

/* The gateway's key stands for the gateway: it was made for its one stream. INVALID_ARGUMENT if a text is too long. */
enum vn_rc vn_grant_associated(const char *id, const uint8_t gateway_key[32], int64_t expires_us,
                               char ret[VN_GRANT_ASSOCIATED_BYTES], struct vn_err *err) VN_MUST_USE;

#endif
