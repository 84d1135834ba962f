#include "net/grant_seal.h"

#include <stdio.h>

enum vn_rc vn_grant_associated(const char *id, const uint8_t gateway_key[32], int64_t expires_us,
                               char ret[VN_GRANT_ASSOCIATED_BYTES], struct vn_err *err)
{
        char key[65];
        vn_hex(gateway_key, 32, key);
        int n = snprintf(ret, VN_GRANT_ASSOCIATED_BYTES, "grant %s\ngateway %s\nexpires %lld\n", id, key,
                         (long long)expires_us);
        return n > 0 && n < VN_GRANT_ASSOCIATED_BYTES ? VN_OK
                                                      : vn_fail(err, VN_INVALID_ARGUMENT, "a grant's id is too long");
}
