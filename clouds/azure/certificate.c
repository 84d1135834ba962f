/* A client certificate's assertion: a JWT signed with its key, which names the certificate by both thumbprints. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <time.h>

#include "clouds/azure/credentials.h"

#define LIFE_S 600

static int no_password(char *buf, int size, int writing, void *arg)
{
        (void)buf, (void)size, (void)writing, (void)arg;
        return -1;
}

static bool is_pair(X509 *certificate, struct vn_str pem)
{
        BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
        bool is = key && X509_check_private_key(certificate, key) == 1;
        EVP_PKEY_free(key);
        BIO_free(bio);
        return is;
}

static enum vn_rc check(X509 *certificate, struct vn_str pem, int64_t now_us, struct vn_err *err)
{
        time_t now_s = (time_t)(now_us / VN_US_PER_S);
        if (!certificate)
                return vn_fail(err, VN_FAILED_PRECONDITION, "no certificate in it");
        if (!is_pair(certificate, pem))
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "no private key of its certificate in it, or one under a password");
        if (X509_cmp_time(X509_get0_notAfter(certificate), &now_s) < 0)
                return vn_fail(err, VN_FAILED_PRECONDITION, "its certificate has ended");
        return VN_OK;
}

static enum vn_rc write_header(X509 *certificate, struct vn_buf *ret, struct vn_err *err)
{
        unsigned char sha1[EVP_MAX_MD_SIZE], sha256[EVP_MAX_MD_SIZE];
        unsigned sha1_len, sha256_len;
        if (X509_digest(certificate, EVP_sha1(), sha1, &sha1_len) != 1 ||
            X509_digest(certificate, EVP_sha256(), sha256, &sha256_len) != 1)
                return vn_fail(err, VN_FAILED_PRECONDITION, "its certificate has no thumbprint");
        vn_buf_text(ret, "{\"alg\":\"RS256\",\"typ\":\"JWT\",\"x5t\":\"");
        vn_buf_base64url(ret, sha1, sha1_len);
        vn_buf_text(ret, "\",\"x5t#S256\":\"");
        vn_buf_base64url(ret, sha256, sha256_len);
        vn_buf_text(ret, "\"}");
        return vn_buf_check(ret, err);
}

static enum vn_rc write_claims(struct vn_str client, struct vn_str audience, int64_t now_us, struct vn_buf *ret,
                               struct vn_err *err)
{
        long long now_s = (long long)(now_us / VN_US_PER_S);
        uint8_t once[16];
        char id[2 * sizeof(once) + 1];
        vn_random_bytes(once, sizeof(once));
        vn_hex(once, sizeof(once), id);
        vn_buf_text(ret, "{\"aud\":");
        vn_buf_json_string(ret, audience);
        vn_buf_text(ret, ",\"iss\":");
        vn_buf_json_string(ret, client);
        vn_buf_text(ret, ",\"sub\":");
        vn_buf_json_string(ret, client);
        vn_buf_printf(ret, ",\"jti\":\"%s\",\"iat\":%lld,\"nbf\":%lld,\"exp\":%lld}", id, now_s, now_s,
                      now_s + LIFE_S);
        return vn_buf_check(ret, err);
}

enum vn_rc vn_azure_assertion(struct vn_str pem, struct vn_str client, struct vn_str audience, int64_t now_us,
                              struct vn_buf *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        header = VN_BUF_INIT(512);
        VN_AUTO(vn_buf)
        claims = VN_BUF_INIT(4096);
        BIO *bio = BIO_new_mem_buf(pem.ptr ? pem.ptr : "", (int)pem.len);
        X509 *certificate = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
        enum vn_rc rc = check(certificate, pem, now_us, err);
        if (rc == VN_OK)
                rc = write_header(certificate, &header, err);
        X509_free(certificate);
        BIO_free(bio);
        VN_TRY(rc);
        VN_TRY(write_claims(client, audience, now_us, &claims, err));
        return vn_jwt_sign(vn_buf_view(&header), vn_buf_view(&claims), pem, ret, err);
}
