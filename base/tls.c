/* tls.c - see tls.h: the server's TLS context and what a verified peer is called. */
#include "base/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include "base/mem.h"

#define MAX_PEM_BYTES (1 << 20)
#define MAX_CHAIN_CERTS 16

struct vn_tls_server {
        SSL_CTX *ctx;
};

/* An encrypted key is an error: without this, OpenSSL would ask for its password on the terminal. */
static int no_password(char *buf, int size, int writing, void *user)
{
        (void)buf, (void)size, (void)writing, (void)user;
        return -1;
}

static enum vn_rc tls_fail(struct vn_err *err, enum vn_rc rc, const char *what)
{
        char reason[128] = "no reason given";
        unsigned long code = ERR_peek_error();
        if (code)
                ERR_error_string_n(code, reason, sizeof reason);
        ERR_clear_error();
        return vn_fail(err, rc, "%s: %s", what, reason);
}

static BIO *bio_of(struct vn_str text)
{
        return text.len && text.len <= MAX_PEM_BYTES ? BIO_new_mem_buf(text.ptr, (int)text.len) : NULL;
}

/* The first preference wins, so that `http/1.1, h2` of a confused client still becomes h2. */
static int choose_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_len, const unsigned char *in,
                       unsigned in_len, void *arg)
{
        static const unsigned char offered[] = "\x02h2\x08http/1.1";
        unsigned char *chosen;
        (void)ssl, (void)arg;
        if (SSL_select_next_proto(&chosen, out_len, offered, sizeof offered - 1, in, in_len) !=
            OPENSSL_NPN_NEGOTIATED)
                return SSL_TLSEXT_ERR_ALERT_FATAL; /* RFC 7301: no_application_protocol */
        *out = chosen;
        return SSL_TLSEXT_ERR_OK;
}

static enum vn_rc use_chain(SSL_CTX *ctx, struct vn_str pem, struct vn_err *err)
{
        BIO *bio = bio_of(pem);
        if (!bio)
                return vn_fail(err, VN_INVALID_ARGUMENT, "certificate: empty or too large");
        int count = 0;
        bool ok = true;
        for (X509 *cert; ok && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)); count++) {
                if (count >= MAX_CHAIN_CERTS)
                        ok = false;
                else if (count == 0)
                        ok = SSL_CTX_use_certificate(ctx, cert) == 1;
                else
                        ok = SSL_CTX_add1_chain_cert(ctx, cert) == 1;
                X509_free(cert);
        }
        BIO_free(bio);
        if (!ok || count == 0)
                return tls_fail(err, VN_INVALID_ARGUMENT, "certificate chain");
        ERR_clear_error(); /* the end of the text is an "error" too */
        return VN_OK;
}

static enum vn_rc use_key(SSL_CTX *ctx, struct vn_str pem, struct vn_err *err)
{
        BIO *bio = bio_of(pem);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
        BIO_free(bio);
        bool ok = key && SSL_CTX_use_PrivateKey(ctx, key) == 1 && SSL_CTX_check_private_key(ctx) == 1;
        EVP_PKEY_free(key);
        return ok ? VN_OK : tls_fail(err, VN_INVALID_ARGUMENT, "private key");
}

static enum vn_rc use_client_ca(SSL_CTX *ctx, struct vn_str pem, struct vn_err *err)
{
        BIO *bio = bio_of(pem);
        X509_STORE *store = SSL_CTX_get_cert_store(ctx);
        int count = 0;
        bool ok = bio != NULL;
        for (X509 *cert; ok && (cert = PEM_read_bio_X509(bio, NULL, no_password, NULL)); count++) {
                ok = count < MAX_CHAIN_CERTS && X509_STORE_add_cert(store, cert) == 1 &&
                     SSL_CTX_add_client_CA(ctx, cert) == 1;
                X509_free(cert);
        }
        BIO_free(bio);
        if (!ok || count == 0)
                return tls_fail(err, VN_INVALID_ARGUMENT, "client CA");
        ERR_clear_error();
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        return VN_OK;
}

static bool set_policy(SSL_CTX *ctx)
{
        static const unsigned char session_context[] = "vane";
        SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_NO_TICKET |
                                         SSL_OP_CIPHER_SERVER_PREFERENCE);
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                      SSL_MODE_RELEASE_BUFFERS);
        SSL_CTX_set_alpn_select_cb(ctx, choose_alpn, NULL);
        SSL_CTX_set_read_ahead(ctx, 1);
        return SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) && SSL_CTX_set_num_tickets(ctx, 0) &&
               SSL_CTX_set_session_id_context(ctx, session_context, sizeof session_context - 1) &&
               SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") &&
               SSL_CTX_set1_groups_list(ctx, "X25519:P-256");
}

enum vn_rc vn_tls_server_new(struct vn_str cert_chain_pem, struct vn_str key_pem, const struct vn_str *client_ca_pem,
                             struct vn_tls_server **ret, struct vn_err *err)
{
        *ret = NULL;
        struct vn_tls_server *tls = vn_alloc(sizeof *tls);
        if (!tls)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "TLS: out of memory");
        tls->ctx = SSL_CTX_new(TLS_server_method());
        enum vn_rc rc = VN_OK;
        if (!tls->ctx || !set_policy(tls->ctx))
                rc = tls_fail(err, VN_INTERNAL, "TLS context");
        if (rc == VN_OK)
                rc = use_chain(tls->ctx, cert_chain_pem, err);
        if (rc == VN_OK)
                rc = use_key(tls->ctx, key_pem, err);
        if (rc == VN_OK && client_ca_pem)
                rc = use_client_ca(tls->ctx, *client_ca_pem, err);
        if (rc != VN_OK) {
                vn_tls_server_free(tls);
                return rc;
        }
        *ret = tls;
        return VN_OK;
}

struct vn_tls_server *vn_tls_server_free(struct vn_tls_server *tls)
{
        if (!tls)
                return NULL;
        SSL_CTX_free(tls->ctx);
        vn_free(tls);
        return NULL;
}

struct ssl_ctx_st *vn_tls_server_ctx(struct vn_tls_server *tls)
{
        return tls->ctx;
}

static enum vn_rc copy_uri(const GENERAL_NAMES *names, char ret[VN_MAX_URI_SAN_BYTES])
{
        int found = 0;
        for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
                const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);
                if (name->type != GEN_URI)
                        continue;
                struct vn_str uri = vn_str_n(ASN1_STRING_get0_data(name->d.uniformResourceIdentifier),
                                             (size_t)ASN1_STRING_length(name->d.uniformResourceIdentifier));
                /* A NUL inside would make one name look like another. */
                if (++found > 1 || memchr(uri.ptr, 0, uri.len) || !vn_str_copy(ret, VN_MAX_URI_SAN_BYTES, uri))
                        return VN_INVALID_ARGUMENT;
        }
        return found ? VN_OK : VN_INVALID_ARGUMENT;
}

enum vn_rc vn_tls_peer_uri(struct ssl_st *ssl, char ret[VN_MAX_URI_SAN_BYTES], uint8_t ret_fingerprint[32])
{
        ret[0] = 0;
        X509 *cert = SSL_get0_peer_certificate(ssl);
        if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
                return VN_NOT_FOUND;
        if (X509_digest(cert, EVP_sha256(), ret_fingerprint, NULL) != 1)
                return VN_INTERNAL;
        GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
        enum vn_rc rc = names ? copy_uri(names, ret) : VN_INVALID_ARGUMENT;
        GENERAL_NAMES_free(names);
        if (rc != VN_OK)
                ret[0] = 0;
        return rc;
}

int64_t vn_tls_peer_not_after_s(struct ssl_st *ssl)
{
        X509 *cert = SSL_get0_peer_certificate(ssl);
        int days = 0, seconds = 0;
        if (!cert || SSL_get_verify_result(ssl) != X509_V_OK)
                return 0;
        ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
        int ok = epoch ? ASN1_TIME_diff(&days, &seconds, epoch, X509_get0_notAfter(cert)) : 0;
        ASN1_TIME_free(epoch);
        return ok ? (int64_t)days * 86400 + seconds : 1; /* a time that cannot be read is long over */
}

bool vn_tls_peer_expired(struct ssl_st *ssl)
{
        return SSL_get_verify_result(ssl) == X509_V_ERR_CERT_HAS_EXPIRED;
}
