#include "base/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "tests/test.h"

#define PEM_MAX 8192

struct pki {
        struct vn_buf ca_key, ca, server_key, server, agent_key, agent_csr, agent;
};

static enum vn_rc make_pki(struct pki *p, const char *uri, int64_t start_s, int64_t end_s)
{
        const char *names[] = {"localhost", "127.0.0.1"};
        struct vn_buf *all = (struct vn_buf *)p;
        for (size_t i = 0; i < sizeof *p / sizeof *all; i++)
                all[i] = VN_BUF_INIT(PEM_MAX);
        struct vn_buf csr = VN_BUF_INIT(PEM_MAX);
        int64_t now_s = time(NULL);
        VN_TRY(vn_pki_make_key(&p->ca_key, NULL));
        VN_TRY(vn_pki_make_ca(vn_buf_view(&p->ca_key), "vane test", now_s - 60, now_s + 86400, &p->ca, NULL));
        VN_TRY(vn_pki_make_key(&p->server_key, NULL));
        VN_TRY(vn_pki_make_csr(vn_buf_view(&p->server_key), &csr, NULL));
        struct vn_pki_leaf leaf = {names, 2, NULL, true, now_s - 60, now_s + 3600};
        enum vn_rc rc = vn_pki_sign_csr(vn_buf_view(&p->ca), vn_buf_view(&p->ca_key), vn_buf_view(&csr), &leaf,
                                        &p->server, NULL);
        vn_buf_done(&csr);
        VN_TRY(rc);
        VN_TRY(vn_pki_make_key(&p->agent_key, NULL));
        VN_TRY(vn_pki_make_csr(vn_buf_view(&p->agent_key), &p->agent_csr, NULL));
        struct vn_pki_leaf agent = {NULL, 0, uri, false, now_s + start_s, now_s + end_s};
        return vn_pki_sign_csr(vn_buf_view(&p->ca), vn_buf_view(&p->ca_key), vn_buf_view(&p->agent_csr), &agent,
                               &p->agent, NULL);
}

static void pki_done(struct pki *p)
{
        struct vn_buf *all = (struct vn_buf *)p;
        for (size_t i = 0; i < sizeof *p / sizeof *all; i++)
                vn_buf_done(&all[i]);
}

static X509 *cert_of(const struct vn_buf *pem)
{
        BIO *bio = BIO_new_mem_buf(pem->ptr, (int)pem->len);
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        BIO_free(bio);
        return cert;
}

static SSL_CTX *client_ctx(const struct pki *p, bool with_cert)
{
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        X509 *ca = cert_of(&p->ca);
        X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), ca);
        X509_free(ca);
        SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
        if (with_cert) {
                X509 *cert = cert_of(&p->agent);
                BIO *bio = BIO_new_mem_buf(p->agent_key.ptr, (int)p->agent_key.len);
                EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
                SSL_CTX_use_certificate(ctx, cert);
                SSL_CTX_use_PrivateKey(ctx, key);
                BIO_free(bio);
                EVP_PKEY_free(key);
                X509_free(cert);
        }
        return ctx;
}

struct pair {
        SSL_CTX *client_ctx;
        SSL *client, *server;
        bool up;
};

/* A handshake over a BIO pair in memory: no sockets, no time. */
static void connect_pair(struct pair *pair, const struct pki *p, struct vn_tls_server *tls, bool with_cert,
                         int client_max_version, const char *host)
{
        BIO *a, *b;
        pair->client_ctx = client_ctx(p, with_cert);
        SSL_CTX_set_max_proto_version(pair->client_ctx, client_max_version);
        pair->client = SSL_new(pair->client_ctx);
        pair->server = SSL_new(vn_tls_server_ctx(tls));
        BIO_new_bio_pair(&a, 0, &b, 0);
        SSL_set_bio(pair->client, a, a);
        SSL_set_bio(pair->server, b, b);
        SSL_set_connect_state(pair->client);
        SSL_set_accept_state(pair->server);
        X509_VERIFY_PARAM_set1_host(SSL_get0_param(pair->client), host, 0);
        SSL_set_alpn_protos(pair->client, (const unsigned char *)"\x08http/1.1\x02h2", 12);
        int c = 0, s = 0;
        for (int turn = 0; turn < 20 && (c != 1 || s != 1); turn++) {
                c = SSL_do_handshake(pair->client);
                s = SSL_do_handshake(pair->server);
        }
        pair->up = c == 1 && s == 1;
        ERR_clear_error();
}

static void pair_done(struct pair *pair)
{
        SSL_free(pair->client);
        SSL_free(pair->server);
        SSL_CTX_free(pair->client_ctx);
}

TEST(tls_mutual_identity_and_alpn)
{
        struct pki p;
        struct vn_tls_server *tls;
        struct vn_err err;
        char uri[VN_MAX_URI_SAN_BYTES];
        uint8_t seen[32], expected[32];
        const unsigned char *alpn;
        unsigned alpn_len;
        CHECK_OK(make_pki(&p, "spiffe://vane.local/account/42", -60, 3600));
        struct vn_str ca = vn_buf_view(&p.ca);
        CHECK_OK(vn_tls_server_new(vn_buf_view(&p.server), vn_buf_view(&p.server_key), &ca, &tls, &err));
        struct pair pair;
        connect_pair(&pair, &p, tls, true, 0, "localhost");
        CHECK(pair.up);
        CHECK_OK(vn_tls_peer_uri(pair.server, uri, seen));
        CHECK_TEXT("spiffe://vane.local/account/42", uri);
        CHECK_OK(vn_pki_cert_fingerprint(vn_buf_view(&p.agent), expected, NULL));
        CHECK(!memcmp(seen, expected, 32));
        SSL_get0_alpn_selected(pair.client, &alpn, &alpn_len);
        CHECK(alpn_len == 2 && !memcmp(alpn, "h2", 2));
        CHECK_TEXT("TLSv1.3", SSL_get_version(pair.client));
        pair_done(&pair);

        connect_pair(&pair, &p, tls, false, 0, "localhost");
        CHECK(pair.up); /* its absence is allowed: methods decide */
        CHECK_RC(VN_NOT_FOUND, vn_tls_peer_uri(pair.server, uri, seen));
        pair_done(&pair);
        connect_pair(&pair, &p, tls, false, TLS1_2_VERSION, "127.0.0.1");
        CHECK(!pair.up); /* an address is not a DNS name */
        pair_done(&pair);
        connect_pair(&pair, &p, tls, false, TLS1_2_VERSION, "localhost");
        CHECK(pair.up);
        pair_done(&pair);
        connect_pair(&pair, &p, tls, false, TLS1_1_VERSION, "localhost");
        CHECK(!pair.up);
        pair_done(&pair);
        vn_tls_server_free(tls);
        pki_done(&p);
}

TEST(tls_refuses_an_expired_or_foreign_client)
{
        struct pki ours, theirs, late;
        struct vn_tls_server *tls;
        CHECK_OK(make_pki(&ours, "spiffe://a/account/1", -60, 3600));
        CHECK_OK(make_pki(&theirs, "spiffe://a/account/1", -60, 3600));
        CHECK_OK(make_pki(&late, "spiffe://a/account/1", -3600, -60));
        struct vn_str ca = vn_buf_view(&late.ca);
        CHECK_OK(vn_tls_server_new(vn_buf_view(&late.server), vn_buf_view(&late.server_key), &ca, &tls, NULL));
        struct pair pair;
        connect_pair(&pair, &late, tls, true, TLS1_2_VERSION, "localhost");
        CHECK(!pair.up);
        pair_done(&pair);
        vn_tls_server_free(tls);

        ca = vn_buf_view(&ours.ca);
        CHECK_OK(vn_tls_server_new(vn_buf_view(&theirs.server), vn_buf_view(&theirs.server_key), &ca, &tls, NULL));
        connect_pair(&pair, &theirs, tls, true, TLS1_2_VERSION, "localhost");
        CHECK(!pair.up); /* signed by another authority of the same name */
        pair_done(&pair);
        vn_tls_server_free(tls);
        pki_done(&ours);
        pki_done(&theirs);
        pki_done(&late);
}

TEST(leaf_carries_only_what_the_authority_says)
{
        struct pki p;
        int64_t end_s = 0, now_s = time(NULL);
        CHECK_OK(make_pki(&p, "spiffe://vane.local/account/7,DNS:evil", -60, 3600));
        X509 *cert = cert_of(&p.agent);
        GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
        CHECK_INT(1, sk_GENERAL_NAME_num(names)); /* a comma in a name does not make a second name */
        CHECK_INT(0, X509_NAME_entry_count(X509_get_subject_name(cert)));
        CHECK(X509_get_extended_key_usage(cert) == XKU_SSL_CLIENT);
        CHECK_INT(0, X509_check_ca(cert));
        GENERAL_NAMES_free(names);
        X509_free(cert);
        CHECK_OK(vn_pki_cert_not_after(vn_buf_view(&p.agent), &end_s, NULL));
        CHECK(end_s >= now_s + 3590 && end_s <= now_s + 3610);
        pki_done(&p);
}

TEST(key_hash_is_the_keys_and_a_changed_request_is_refused)
{
        struct pki p;
        struct vn_err err;
        uint8_t one[32], two[32];
        CHECK_OK(make_pki(&p, "spiffe://a/account/1", -60, 60));
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(PEM_MAX);
        CHECK_OK(vn_pki_make_csr(vn_buf_view(&p.agent_key), &again, NULL));
        CHECK_OK(vn_pki_csr_key_hash(vn_buf_view(&p.agent_csr), one, NULL));
        CHECK_OK(vn_pki_csr_key_hash(vn_buf_view(&again), two, NULL));
        CHECK(!memcmp(one, two, 32)); /* another request for the same key: the signature differs, the key does not */
        int refused = 0;
        for (size_t i = 40; i < again.len - 40; i += 7) {
                char old = again.ptr[i];
                again.ptr[i] = old == 'A' ? 'B' : 'A';
                if (vn_pki_csr_key_hash(vn_buf_view(&again), two, &err) != VN_OK)
                        refused++;
                else
                        CHECK(old == 'A' || old == 'B' || !memcmp(one, two, 32));
                again.ptr[i] = old;
        }
        CHECK(refused > 20);
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(PEM_MAX);
        struct vn_pki_leaf backwards = {.uri = "x:y", .not_before_s = 10, .not_after_s = 10};
        CHECK_RC(VN_INVALID_ARGUMENT, vn_pki_sign_csr(vn_buf_view(&p.ca), vn_buf_view(&p.ca_key),
                                                      vn_buf_view(&p.agent_csr), &backwards, &out, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_pki_sign_csr(vn_buf_view(&p.ca), vn_buf_view(&p.agent_key),
                                                      vn_buf_view(&p.agent_csr), &backwards, &out, &err));
        pki_done(&p);
}

TEST(tls_bad_pem)
{
        struct pki p;
        struct vn_tls_server *tls;
        struct vn_err err;
        uint8_t hash[32];
        int64_t end_s;
        struct vn_str junk = VN_STR("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
        CHECK_OK(make_pki(&p, "x:y", -60, 60));
        struct vn_str chain = vn_buf_view(&p.server), key = vn_buf_view(&p.server_key);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_tls_server_new(junk, key, NULL, &tls, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_tls_server_new(VN_STR(""), key, NULL, &tls, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_tls_server_new(chain, vn_buf_view(&p.agent_key), NULL, &tls, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_tls_server_new(chain, key, &junk, &tls, &err));
        CHECK(tls == NULL);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_pki_cert_fingerprint(junk, hash, &err));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_pki_cert_not_after(junk, &end_s, &err));
        VN_AUTO(vn_buf)
        small = VN_BUF_INIT(16);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_pki_make_key(&small, &err));
        pki_done(&p);
}

static enum vn_rc make_and_sign(void)
{
        const struct vn_pki_leaf leaf = {
                .uri = "spiffe://vane.local/account/1", .not_before_s = 1, .not_after_s = 1000};
        VN_AUTO(vn_buf)
        ca_key = VN_BUF_INIT(65536);
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(65536);
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(65536);
        VN_AUTO(vn_buf)
        cert = VN_BUF_INIT(65536);
        uint8_t hash[32];
        struct vn_tls_server *server = NULL;
        VN_TRY(vn_pki_make_key(&ca_key, NULL));
        VN_TRY(vn_pki_make_ca(vn_buf_view(&ca_key), "ca", 1, 1000, &ca, NULL));
        VN_TRY(vn_pki_make_csr(vn_buf_view(&ca_key), &csr, NULL));
        VN_TRY(vn_pki_csr_key_hash(vn_buf_view(&csr), hash, NULL));
        VN_TRY(vn_pki_sign_csr(vn_buf_view(&ca), vn_buf_view(&ca_key), vn_buf_view(&csr), &leaf, &cert, NULL));
        struct vn_str ca_text = vn_buf_view(&ca);
        VN_TRY(vn_tls_server_new(ca_text, vn_buf_view(&ca_key), &ca_text, &server, NULL));
        vn_tls_server_free(server);
        return VN_OK;
}

TEST(pki_survives_failing_allocations)
{
        TEST_ALLOC_LOOP(make_and_sign);
}
