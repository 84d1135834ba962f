#include "clouds/identity.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>

#define FIRST_US VN_US_PER_S /* where there is no such endpoint, its address often swallows requests */
#define LATER_US (10 * VN_US_PER_S)
#define ATTEMPTS 5
#define SILENT_ATTEMPTS 2
#define PAUSE_US (800 * VN_US_PER_MS) /* doubled each time; a new identity takes seconds to arrive on its host */

struct vn_str vn_environment(const char *name)
{
        return vn_str(getenv(name));
}

bool vn_is_visible(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
                        return false;
        return true;
}

bool vn_is_host(struct vn_str host)
{
        struct vn_str port = host, name = vn_str_cut(&port, ':');
        for (size_t i = 0; i < name.len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-", name.ptr[i]) ||
                    !name.ptr[i])
                        return false;
        for (size_t i = 0; port.ptr && i < port.len; i++)
                if (port.ptr[i] < '0' || port.ptr[i] > '9')
                        return false;
        return name.len > 0;
}

void vn_wipe(struct vn_buf *buf)
{
        if (buf->ptr)
                explicit_bzero(buf->ptr, buf->len);
        vn_buf_done(buf);
}

struct vn_str vn_without_line_end(struct vn_str s)
{
        while (s.len && (s.ptr[s.len - 1] == '\n' || s.ptr[s.len - 1] == '\r'))
                s.len--;
        return s;
}

enum vn_rc vn_token_read(struct vn_str path, struct vn_buf *buf, struct vn_str *ret, struct vn_err *err)
{
        char name[1024];
        if (!vn_str_copy(name, sizeof(name), path))
                return vn_fail(err, VN_INVALID_ARGUMENT, "a token file's path that is too long");
        VN_TRY(vn_file_read(name, buf, err));
        *ret = vn_without_line_end(vn_buf_view(buf));
        return VN_OK;
}

enum vn_rc vn_host_ask(struct vn_cloud *cloud, struct vn_cloud_request *request, bool (*may_come)(int status),
                       struct vn_cloud_response *ret, struct vn_err *err)
{
        int64_t pause_us = PAUSE_US;
        bool answered = cloud->host_answered;
        for (int attempt = 1;; attempt++) {
                request->timeout_us = answered ? LATER_US : FIRST_US;
                vn_cloud_response_done(ret);
                vn_cloud_response_init(ret);
                cloud->calls++;
                enum vn_rc rc = cloud->transport->send(cloud->transport->state, request, ret, err);
                answered = cloud->host_answered = answered || rc == VN_OK;
                if (rc == VN_OK && !may_come(ret->status))
                        return VN_OK;
                if (rc != VN_OK && rc != VN_UNAVAILABLE && rc != VN_DEADLINE_EXCEEDED)
                        return rc;
                if (rc != VN_OK && attempt == SILENT_ATTEMPTS)
                        return vn_fail(err, answered ? VN_UNAVAILABLE : VN_NOT_FOUND, "nothing answers");
                if (attempt == ATTEMPTS)
                        return rc;
                cloud->transport->sleep_us(cloud->transport->state, pause_us);
                pause_us *= 2;
        }
}

/* --- assertions --- */

/* OpenSSL's own would ask on the terminal. */
static int no_password(char *buf, int size, int writing, void *arg)
{
        (void)buf, (void)size, (void)writing, (void)arg;
        return -1;
}

static enum vn_rc sign(struct vn_str key_pem, struct vn_str text, struct vn_buf *ret, struct vn_err *err)
{
        BIO *bio = key_pem.len <= INT32_MAX ? BIO_new_mem_buf(key_pem.ptr, (int)key_pem.len) : NULL;
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        unsigned char signature[1024];
        size_t len = sizeof(signature);
        bool ok = key && context && EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_size(key) <= (int)sizeof(signature) &&
                  EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) == 1 &&
                  EVP_DigestSign(context, signature, &len, (const unsigned char *)text.ptr, text.len) == 1;

        BIO_free(bio);
        EVP_PKEY_free(key);
        EVP_MD_CTX_free(context);
        if (!ok)
                return vn_fail(err, VN_UNAUTHENTICATED,
                               "the private key cannot sign (RSA expected, and no password on it)");
        vn_buf_base64url(ret, signature, len);
        return vn_buf_check(ret, err);
}

enum vn_rc vn_jwt_sign(struct vn_str header, struct vn_str claims, struct vn_str key_pem, struct vn_buf *ret,
                       struct vn_err *err)
{
        VN_AUTO(vn_buf)
        signature = VN_BUF_INIT(4096);
        size_t start = ret->len;

        vn_buf_base64url(ret, header.ptr, header.len);
        vn_buf_char(ret, '.');
        vn_buf_base64url(ret, claims.ptr, claims.len);
        VN_TRY(vn_buf_check(ret, err));
        VN_TRY(sign(key_pem, vn_str_n(ret->ptr + start, ret->len - start), &signature, err));
        vn_buf_char(ret, '.');
        vn_buf_str(ret, vn_buf_view(&signature));
        return vn_buf_check(ret, err);
}

int64_t vn_jwt_end_us(struct vn_str token, int64_t missing_us)
{
        VN_AUTO(vn_buf)
        claims = VN_BUF_INIT(16384);
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str payload;
        double exp;

        vn_str_cut(&token, '.');
        payload = token.ptr ? vn_str_cut(&token, '.') : VN_STR("");
        if (vn_base64_decode(payload, &claims) != VN_OK || vn_json_load(vn_buf_view(&claims), &root, NULL) != VN_OK)
                return missing_us;
        exp = vn_json_pick_number(root, "exp", 0);
        return exp > 0 && exp < 1e11 ? (int64_t)exp * VN_US_PER_S : missing_us;
}
