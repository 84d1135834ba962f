/* The edge under TLS: identity from the certificate, enrolment without one, ALPN, certificates that must not pass. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/tls.h"
#include "net/edge.h"
#include "tests/test.h"

static void who(void *context, const struct vn_http_request *request)
{
        const char *uri = vn_call_peer_uri(request->call);
        (void)context;
        vn_http_reply(request->call, 200, "text/plain", vn_str(uri ? uri : "nobody"), NULL, 0);
}

static enum vn_rc authenticate(void *context, struct vn_call *call, struct vn_identity *ret, struct vn_err *err)
{
        (void)context, (void)err;
        if (vn_call_peer_uri(call) && vn_call_peer_fingerprint(call)) {
                ret->access = VN_ACCESS_AGENT;
                ret->account_id = 7;
        }
        return VN_OK;
}

static struct vn_buf ca_key, ca, server_key, server_cert, agent_key, agent_cert;

static enum vn_rc sign(struct vn_buf *key, struct vn_buf *cert, const char *uri, bool server, int64_t end_s)
{
        const char *names[] = {"localhost"};
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(8192);
        int64_t now_s = time(NULL);
        struct vn_pki_leaf leaf = {names, server ? 1 : 0, uri, server, now_s - 3600, now_s + end_s};
        *key = *cert = VN_BUF_INIT(8192);
        VN_TRY(vn_pki_make_key(key, NULL));
        VN_TRY(vn_pki_make_csr(vn_buf_view(key), &csr, NULL));
        return vn_pki_sign_csr(vn_buf_view(&ca), vn_buf_view(&ca_key), vn_buf_view(&csr), &leaf, cert, NULL);
}

static enum vn_rc start_edge(struct vn_edge **ret, uint16_t *ret_port)
{
        struct vn_tls_server *tls;
        int64_t now_s = time(NULL);
        ca_key = ca = VN_BUF_INIT(8192);
        VN_TRY(vn_pki_make_key(&ca_key, NULL));
        VN_TRY(vn_pki_make_ca(vn_buf_view(&ca_key), "test", now_s - 7200, now_s + 7200, &ca, NULL));
        VN_TRY(sign(&server_key, &server_cert, NULL, true, 3600));
        struct vn_str client_ca = vn_buf_view(&ca);
        VN_TRY(vn_tls_server_new(vn_buf_view(&server_cert), vn_buf_view(&server_key), &client_ca, &tls, NULL));
        VN_TRY(vn_edge_new(NULL, 1, ret, NULL));
        vn_edge_set_authenticator(*ret, authenticate, NULL);
        VN_TRY(vn_edge_add_http(*ret, "/who", VN_ACCESS_AGENT, who, NULL, NULL));
        VN_TRY(vn_edge_add_http(*ret, "/join", VN_ACCESS_ENROLL, who, NULL, NULL));
        VN_TRY(vn_edge_listen(*ret, "127.0.0.1", 0, tls, ret_port, NULL));
        vn_tls_server_free(tls); /* the listener holds its context */
        return vn_edge_start(*ret, NULL);
}

static void certs_done(void)
{
        struct vn_buf *all[] = {&ca_key, &ca, &server_key, &server_cert, &agent_key, &agent_cert};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
                vn_buf_done(all[i]);
}

static void use_cert(SSL_CTX *ctx)
{
        BIO *bio = BIO_new_mem_buf(agent_cert.ptr, (int)agent_cert.len);
        X509 *cert = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        BIO_free(bio);
        bio = BIO_new_mem_buf(agent_key.ptr, (int)agent_key.len);
        EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL);
        BIO_free(bio);
        SSL_CTX_use_certificate(ctx, cert);
        SSL_CTX_use_PrivateKey(ctx, key);
        X509_free(cert);
        EVP_PKEY_free(key);
}

/* The answer to a GET, empty if the server refused the connection. */
static const char *get(uint16_t port, const char *path, bool with_cert, int max_version)
{
        static char got[8192];
        char text[256];
        struct sockaddr_in address = {
                .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = socket(AF_INET, SOCK_STREAM, 0), n, len = 0;
        SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_max_proto_version(ctx, max_version);
        if (with_cert)
                use_cert(ctx);
        SSL *ssl = SSL_new(ctx);
        CHECK(!connect(fd, (struct sockaddr *)&address, sizeof address));
        SSL_set_fd(ssl, fd);
        if (SSL_connect(ssl) == 1) {
                n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: any\r\nConnection: close\r\n\r\n", path);
                SSL_write(ssl, text, n);
                while ((n = SSL_read(ssl, got + len, (int)sizeof got - 1 - len)) > 0)
                        len += n;
        }
        got[len] = 0;
        SSL_free(ssl);
        SSL_CTX_free(ctx);
        close(fd);
        ERR_clear_error();
        return got;
}

TEST(edge_identity_comes_from_the_certificate)
{
        struct vn_edge *edge;
        uint16_t port;
        struct vn_edge_stats stats;
        CHECK_OK(start_edge(&edge, &port));
        CHECK_OK(sign(&agent_key, &agent_cert, "spiffe://vane.local/account/7", false, 3600));
        CHECK(strstr(get(port, "/who", true, 0), "\r\n\r\nspiffe://vane.local/account/7"));
        CHECK(strstr(get(port, "/who", true, TLS1_2_VERSION), "spiffe://vane.local/account/7"));
        CHECK(strstr(get(port, "/who", false, 0), "401 Unauthorized"));
        CHECK(strstr(get(port, "/join", false, 0), "\r\n\r\nnobody"));
        CHECK_TEXT("", get(port, "/join", false, TLS1_1_VERSION));
        vn_buf_done(&agent_key);
        vn_buf_done(&agent_cert);

        CHECK_OK(sign(&agent_key, &agent_cert, "spiffe://vane.local/account/7", false, -60)); /* expired */
        CHECK_TEXT("", get(port, "/who", true, 0));
        vn_buf_done(&agent_key);
        vn_buf_done(&agent_cert);

        CHECK_OK(sign(&agent_key, &agent_cert, NULL, false, 3600)); /* signed, but it names nobody */
        CHECK_TEXT("", get(port, "/who", true, 0));
        vn_edge_stats(edge, &stats);
        CHECK(stats.handshake_failures >= 2);
        vn_edge_free(edge);
        certs_done();
}
