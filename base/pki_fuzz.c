/* Any bytes as PEM where one comes from outside: a certificate signing request, a certificate. They are signed or read,
 * or refused; and what was signed reads back with the end that we gave. */
#include <string.h>

#include "base/mem.h"
#include "base/tls.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define URI "spiffe://vane.local/account/7"

static struct vn_buf ca_key = VN_BUF_INIT(65536), ca_cert = VN_BUF_INIT(65536);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vn_str pem = vn_str_n(data, size);
        const struct vn_pki_leaf leaf = {.uri = URI, .not_before_s = 1, .not_after_s = 1000};
        uint8_t hash[32];
        int64_t until_s;
        VN_AUTO(vn_buf)
        cert = VN_BUF_INIT(65536);
        if (!ca_key.len) {
                VN_ASSERT(vn_pki_make_key(&ca_key, NULL) == VN_OK);
                VN_ASSERT(vn_pki_make_ca(vn_buf_view(&ca_key), "ca", 1, 100000, &ca_cert, NULL) == VN_OK);
        }
        VN_IGNORE(vn_pki_cert_fingerprint(pem, hash, NULL));
        VN_IGNORE(vn_pki_cert_not_after(pem, &until_s, NULL));
        VN_IGNORE(vn_pki_csr_key_hash(pem, hash, NULL));
        if (vn_pki_sign_csr(vn_buf_view(&ca_cert), vn_buf_view(&ca_key), pem, &leaf, &cert, NULL) == VN_OK) {
                VN_ASSERT(vn_pki_cert_not_after(vn_buf_view(&cert), &until_s, NULL) == VN_OK && until_s == 1000);
                VN_ASSERT(vn_pki_csr_key_hash(pem, hash, NULL) == VN_OK);
        }
        return 0;
}
