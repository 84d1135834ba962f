/* pki.c - see tls.h: keys, requests and certificates of the small authority that enrols agents. */
#include <openssl/bn.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509v3.h>

#include "base/tls.h"

#define MAX_PEM_BYTES 65536
#define MIN_SECURITY_BITS 112 /* RSA 2048, P-224 */

static int no_password(char *buf, int size, int writing, void *user)
{
        (void)buf, (void)size, (void)writing, (void)user;
        return -1;
}

static enum vn_rc pki_fail(struct vn_err *err, enum vn_rc rc, const char *what)
{
        char reason[128] = "no reason given";
        unsigned long code = ERR_peek_error();
        if (code)
                ERR_error_string_n(code, reason, sizeof reason);
        ERR_clear_error();
        return vn_fail(err, rc, "%s: %s", what, reason);
}

static BIO *bio_of(struct vn_str pem)
{
        return pem.len && pem.len <= MAX_PEM_BYTES ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
}

static X509 *read_cert(struct vn_str pem)
{
        BIO *bio = bio_of(pem);
        X509 *cert = bio ? PEM_read_bio_X509(bio, NULL, no_password, NULL) : NULL;
        BIO_free(bio);
        return cert;
}

static EVP_PKEY *read_key(struct vn_str pem)
{
        BIO *bio = bio_of(pem);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
        BIO_free(bio);
        return key;
}

static X509_REQ *read_csr(struct vn_str pem)
{
        BIO *bio = bio_of(pem);
        X509_REQ *csr = bio ? PEM_read_bio_X509_REQ(bio, NULL, no_password, NULL) : NULL;
        BIO_free(bio);
        return csr;
}

/* Moves what a memory BIO holds into the buffer; `written` is the PEM writer's own result. */
static enum vn_rc give_pem(BIO *bio, int written, struct vn_buf *ret, struct vn_err *err)
{
        char *text = NULL;
        long n = bio ? BIO_get_mem_data(bio, &text) : 0;
        bool ok = written == 1 && n > 0 && vn_buf_add(ret, text, (size_t)n);
        if (ok || n <= 0) {
                BIO_free(bio);
                return ok ? VN_OK : pki_fail(err, VN_INTERNAL, "PEM");
        }
        OPENSSL_cleanse(text, (size_t)n);
        BIO_free(bio);
        return vn_buf_check(ret, err);
}

enum vn_rc vn_pki_make_key(struct vn_buf *ret_key_pem, struct vn_err *err)
{
        EVP_PKEY *key = EVP_EC_gen("P-256");
        BIO *bio = key ? BIO_new(BIO_s_secmem()) : NULL;
        int written = bio ? PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) : 0;
        EVP_PKEY_free(key);
        return give_pem(bio, written, ret_key_pem, err);
}

enum vn_rc vn_pki_make_csr(struct vn_str key_pem, struct vn_buf *ret_csr_pem, struct vn_err *err)
{
        EVP_PKEY *key = read_key(key_pem);
        if (!key)
                return pki_fail(err, VN_INVALID_ARGUMENT, "private key");
        X509_REQ *csr = X509_REQ_new();
        BIO *bio = NULL;
        int written = 0;
        if (csr && X509_REQ_set_version(csr, 0) && X509_REQ_set_pubkey(csr, key) &&
            X509_REQ_sign(csr, key, EVP_sha256()) && (bio = BIO_new(BIO_s_mem())))
                written = PEM_write_bio_X509_REQ(bio, csr);
        X509_REQ_free(csr);
        EVP_PKEY_free(key);
        return give_pem(bio, written, ret_csr_pem, err);
}

static bool set_serial(X509 *cert)
{
        BIGNUM *number = BN_new();
        /* 127 random bits with the top one set: positive, never zero, always of one length. */
        bool ok = number && BN_rand(number, 127, BN_RAND_TOP_ONE, BN_RAND_BOTTOM_ANY) &&
                  BN_to_ASN1_INTEGER(number, X509_get_serialNumber(cert));
        BN_free(number);
        return ok;
}

static bool set_times(X509 *cert, int64_t not_before_s, int64_t not_after_s)
{
        return not_before_s < not_after_s && ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)not_before_s) &&
               ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)not_after_s);
}

static bool add_text_extension(X509 *cert, X509 *issuer, int nid, const char *value)
{
        X509V3_CTX context;
        X509V3_set_ctx_nodb(&context);
        X509V3_set_ctx(&context, issuer, cert, NULL, NULL, 0);
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
        bool ok = extension && X509_add_ext(cert, extension, -1);
        X509_EXTENSION_free(extension);
        return ok;
}

static bool set_name(X509_NAME *name, const char *common_name)
{
        return X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)common_name, -1, -1, 0);
}

enum vn_rc vn_pki_make_ca(struct vn_str key_pem, const char *name, int64_t not_before_s, int64_t not_after_s,
                          struct vn_buf *ret_cert_pem, struct vn_err *err)
{
        EVP_PKEY *key = read_key(key_pem);
        if (!key)
                return pki_fail(err, VN_INVALID_ARGUMENT, "private key");
        X509 *cert = X509_new();
        BIO *bio = NULL;
        int written = 0;
        if (cert && X509_set_version(cert, 2) && set_serial(cert) && set_times(cert, not_before_s, not_after_s) &&
            set_name(X509_get_subject_name(cert), name) && X509_set_issuer_name(cert, X509_get_subject_name(cert)) &&
            X509_set_pubkey(cert, key) &&
            add_text_extension(cert, cert, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
            add_text_extension(cert, cert, NID_key_usage, "critical,keyCertSign,cRLSign") &&
            add_text_extension(cert, cert, NID_subject_key_identifier, "hash") &&
            X509_sign(cert, key, EVP_sha256()) && (bio = BIO_new(BIO_s_mem())))
                written = PEM_write_bio_X509(bio, cert);
        X509_free(cert);
        EVP_PKEY_free(key);
        return give_pem(bio, written, ret_cert_pem, err);
}

/* Names are built as structures, never through OpenSSL's configuration text, where "a,DNS:b" would be two. */
static bool push_name(GENERAL_NAMES *names, int type, const char *text)
{
        GENERAL_NAME *name = GENERAL_NAME_new();
        ASN1_STRING *value = NULL;
        ASN1_OCTET_STRING *address = type == GEN_DNS ? a2i_IPADDRESS(text) : NULL;
        if (address) {
                value = address;
                type = GEN_IPADD;
        } else if ((value = ASN1_IA5STRING_new()) && !ASN1_STRING_set(value, text, -1)) {
                ASN1_STRING_free(value);
                value = NULL;
        }
        ERR_clear_error(); /* a2i_IPADDRESS complains about every host name */
        if (!name || !value) {
                GENERAL_NAME_free(name);
                ASN1_STRING_free(value);
                return false;
        }
        GENERAL_NAME_set0_value(name, type, value);
        if (!sk_GENERAL_NAME_push(names, name)) {
                GENERAL_NAME_free(name);
                return false;
        }
        return true;
}

static bool add_names(X509 *cert, const struct vn_pki_leaf *leaf)
{
        GENERAL_NAMES *names = GENERAL_NAMES_new();
        bool ok = names != NULL;
        for (size_t i = 0; ok && i < leaf->dns_name_count; i++)
                ok = push_name(names, GEN_DNS, leaf->dns_names[i]);
        if (ok && leaf->uri)
                ok = push_name(names, GEN_URI, leaf->uri);
        /* The subject is empty, so the names are critical (RFC 5280, 4.2.1.6). */
        if (ok && sk_GENERAL_NAME_num(names) > 0)
                ok = X509_add1_ext_i2d(cert, NID_subject_alt_name, names, 1, X509V3_ADD_DEFAULT) == 1;
        GENERAL_NAMES_free(names);
        return ok;
}

static X509 *make_leaf(X509 *ca, EVP_PKEY *ca_key, EVP_PKEY *subject_key, const struct vn_pki_leaf *leaf)
{
        X509 *cert = X509_new();
        if (cert && X509_set_version(cert, 2) && set_serial(cert) &&
            set_times(cert, leaf->not_before_s, leaf->not_after_s) &&
            X509_set_issuer_name(cert, X509_get_subject_name(ca)) && X509_set_pubkey(cert, subject_key) &&
            add_text_extension(cert, ca, NID_basic_constraints, "critical,CA:FALSE") &&
            add_text_extension(cert, ca, NID_key_usage, "critical,digitalSignature") &&
            add_text_extension(cert, ca, NID_ext_key_usage, leaf->server ? "serverAuth" : "clientAuth") &&
            add_text_extension(cert, ca, NID_subject_key_identifier, "hash") &&
            add_text_extension(cert, ca, NID_authority_key_identifier, "keyid:always") && add_names(cert, leaf) &&
            X509_sign(cert, ca_key, EVP_sha256()))
                return cert;
        X509_free(cert);
        return NULL;
}

/* The request's own key, once its signature has proven that the sender holds the private half. */
static enum vn_rc check_csr(X509_REQ *csr, EVP_PKEY **ret_key, struct vn_err *err)
{
        if (!csr)
                return pki_fail(err, VN_INVALID_ARGUMENT, "certificate request");
        EVP_PKEY *key = X509_REQ_get0_pubkey(csr);
        if (!key || X509_REQ_verify(csr, key) != 1)
                return pki_fail(err, VN_INVALID_ARGUMENT, "certificate request: signature does not verify");
        if (EVP_PKEY_get_security_bits(key) < MIN_SECURITY_BITS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "certificate request: key is too weak");
        *ret_key = key;
        return VN_OK;
}

enum vn_rc vn_pki_sign_csr(struct vn_str ca_cert_pem, struct vn_str ca_key_pem, struct vn_str csr_pem,
                           const struct vn_pki_leaf *leaf, struct vn_buf *ret_cert_pem, struct vn_err *err)
{
        X509_REQ *csr = read_csr(csr_pem);
        EVP_PKEY *subject_key = NULL;
        enum vn_rc rc = check_csr(csr, &subject_key, err);
        X509 *ca = NULL;
        EVP_PKEY *ca_key = NULL;
        if (rc == VN_OK) {
                ca = read_cert(ca_cert_pem);
                ca_key = read_key(ca_key_pem);
                if (!ca || !ca_key || X509_check_private_key(ca, ca_key) != 1)
                        rc = pki_fail(err, VN_INVALID_ARGUMENT, "CA certificate and key");
                else if (leaf->not_before_s >= leaf->not_after_s)
                        rc = vn_fail(err, VN_INVALID_ARGUMENT, "certificate would end before it begins");
        }
        if (rc == VN_OK) {
                X509 *cert = make_leaf(ca, ca_key, subject_key, leaf);
                BIO *bio = cert ? BIO_new(BIO_s_mem()) : NULL;
                rc = give_pem(bio, bio ? PEM_write_bio_X509(bio, cert) : 0, ret_cert_pem, err);
                X509_free(cert);
        }
        EVP_PKEY_free(ca_key);
        X509_free(ca);
        X509_REQ_free(csr);
        return rc;
}

enum vn_rc vn_pki_cert_fingerprint(struct vn_str cert_pem, uint8_t ret[32], struct vn_err *err)
{
        X509 *cert = read_cert(cert_pem);
        int ok = cert ? X509_digest(cert, EVP_sha256(), ret, NULL) : 0;
        X509_free(cert);
        return ok == 1 ? VN_OK : pki_fail(err, VN_INVALID_ARGUMENT, "certificate");
}

enum vn_rc vn_pki_csr_key_hash(struct vn_str csr_pem, uint8_t ret[32], struct vn_err *err)
{
        X509_REQ *csr = read_csr(csr_pem);
        EVP_PKEY *key = NULL;
        unsigned char *der = NULL;
        enum vn_rc rc = check_csr(csr, &key, err);
        if (rc == VN_OK) {
                int n = i2d_PUBKEY(key, &der);
                if (n <= 0 || EVP_Digest(der, (size_t)n, ret, NULL, EVP_sha256(), NULL) != 1)
                        rc = pki_fail(err, VN_INTERNAL, "public key");
                OPENSSL_free(der);
        }
        X509_REQ_free(csr);
        return rc;
}

enum vn_rc vn_pki_cert_not_after(struct vn_str cert_pem, int64_t *ret_s, struct vn_err *err)
{
        X509 *cert = read_cert(cert_pem);
        ASN1_TIME *epoch = cert ? ASN1_TIME_set(NULL, 0) : NULL;
        int days = 0, seconds = 0;
        int ok = epoch ? ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(cert)) : 0;
        ASN1_TIME_free(epoch);
        X509_free(cert);
        if (!ok)
                return pki_fail(err, VN_INVALID_ARGUMENT, "certificate");
        *ret_s = (int64_t)days * 86400 + seconds;
        return VN_OK;
}
