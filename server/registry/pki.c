#include "server/registry/pki.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/tls.h"

#define PEM_MAX 16384
#define CA_LIFETIME_S (10 * 366 * INT64_C(86400))
#define SERVER_LIFETIME_S (366 * INT64_C(86400))
#define BACKDATE_S 300 /* clocks differ a little */

struct vn_pki {
        char ca_file[600];
        struct vn_buf ca_cert, ca_key, server_cert, server_key;
        uint8_t fingerprint[32];
};

static void pki_path(struct vn_server *server, const char *name, char ret[600])
{
        snprintf(ret, 600, "%s/pki/%s", server->config.state_dir, name);
}

/* Reads both files, or makes the pair and writes them. */
static enum vn_rc load_or_make(struct vn_server *server, const char *name, struct vn_buf *key, struct vn_buf *cert,
                               enum vn_rc (*make)(struct vn_server *, struct vn_str, struct vn_buf *,
                                                  struct vn_err *),
                               struct vn_err *err)
{
        char key_path[600], cert_path[600], file[32];
        snprintf(file, sizeof file, "%s.key", name);
        pki_path(server, file, key_path);
        snprintf(file, sizeof file, "%s.pem", name);
        pki_path(server, file, cert_path);
        *key = VN_BUF_INIT(PEM_MAX);
        *cert = VN_BUF_INIT(PEM_MAX);
        if (access(key_path, F_OK) == 0 && access(cert_path, F_OK) == 0) {
                VN_TRY(vn_file_read(key_path, key, err));
                return vn_file_read(cert_path, cert, err);
        }
        VN_TRY(vn_pki_make_key(key, err));
        VN_TRY(make(server, vn_buf_view(key), cert, err));
        VN_TRY(vn_file_write_atomic(key_path, vn_buf_view(key), 0600, err));
        return vn_file_write_atomic(cert_path, vn_buf_view(cert), 0644, err);
}

static enum vn_rc make_ca(struct vn_server *server, struct vn_str key, struct vn_buf *ret, struct vn_err *err)
{
        int64_t now_s = vn_now_us(server->wall) / VN_US_PER_S;
        return vn_pki_make_ca(key, "Vane agents CA", now_s - BACKDATE_S, now_s + CA_LIFETIME_S, ret, err);
}

static enum vn_rc make_server(struct vn_server *server, struct vn_str key, struct vn_buf *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(PEM_MAX);
        VN_TRY(vn_pki_make_csr(key, &csr, err));
        const char *names[] = {"localhost", "127.0.0.1", "vaned", server->config.https_host};
        int64_t now_s = vn_now_us(server->wall) / VN_US_PER_S;
        struct vn_pki_leaf leaf = {.dns_names = names,
                                   .dns_name_count = 4,
                                   .server = true,
                                   .not_before_s = now_s - BACKDATE_S,
                                   .not_after_s = now_s + SERVER_LIFETIME_S};
        VN_TRY(vn_pki_sign_csr(vn_buf_view(&server->pki->ca_cert), vn_buf_view(&server->pki->ca_key),
                               vn_buf_view(&csr), &leaf, ret, err));
        vn_buf_str(ret, vn_buf_view(&server->pki->ca_cert));
        return vn_buf_check(ret, err);
}

enum vn_rc vn_pki_start(struct vn_server *server, struct vn_err *err)
{
        char dir[600];
        snprintf(dir, sizeof dir, "%s/pki", server->config.state_dir);
        if (mkdir(dir, 0700) && errno != EEXIST)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", dir, strerror(errno));
        struct vn_pki *pki = server->pki = vn_alloc(sizeof *pki);
        if (!pki)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        pki_path(server, "ca.pem", pki->ca_file);
        VN_TRY(load_or_make(server, "ca", &pki->ca_key, &pki->ca_cert, make_ca, err));
        VN_TRY(load_or_make(server, "server", &pki->server_key, &pki->server_cert, make_server, err));
        VN_TRY(vn_pki_cert_fingerprint(vn_buf_view(&pki->ca_cert), pki->fingerprint, err));
        struct vn_str ca = vn_buf_view(&pki->ca_cert);
        return vn_tls_server_new(vn_buf_view(&pki->server_cert), vn_buf_view(&pki->server_key), &ca, &server->tls,
                                 err);
}

void vn_pki_stop(struct vn_server *server)
{
        struct vn_pki *pki = server->pki;
        server->tls = vn_tls_server_free(server->tls);
        if (!pki)
                return;
        if (pki->ca_key.ptr)
                explicit_bzero(pki->ca_key.ptr, pki->ca_key.len);
        if (pki->server_key.ptr)
                explicit_bzero(pki->server_key.ptr, pki->server_key.len);
        vn_buf_done(&pki->ca_cert);
        vn_buf_done(&pki->ca_key);
        vn_buf_done(&pki->server_cert);
        vn_buf_done(&pki->server_key);
        vn_free(pki);
        server->pki = NULL;
}

const char *vn_pki_ca_pem(const struct vn_pki *pki)
{
        return pki->ca_cert.ptr;
}

const char *vn_pki_ca_file(const struct vn_pki *pki)
{
        return pki->ca_file;
}

const uint8_t *vn_pki_ca_fingerprint(const struct vn_pki *pki)
{
        return pki->fingerprint;
}

enum vn_rc vn_pki_sign_account(struct vn_server *server, uint64_t account_id, const char *csr_pem,
                               struct vn_buf *ret_cert_pem, int64_t *ret_not_after_s, struct vn_err *err)
{
        char uri[128];
        snprintf(uri, sizeof uri, "spiffe://" VN_TRUST_DOMAIN "/account/%llu", (unsigned long long)account_id);
        int64_t now_s = vn_now_us(server->wall) / VN_US_PER_S;
        struct vn_pki_leaf leaf = {.uri = uri,
                                   .not_before_s = now_s - BACKDATE_S,
                                   .not_after_s = now_s + server->config.certificate_lifetime_s};
        VN_TRY(vn_pki_sign_csr(vn_buf_view(&server->pki->ca_cert), vn_buf_view(&server->pki->ca_key), vn_str(csr_pem),
                               &leaf, ret_cert_pem, err));
        *ret_not_after_s = leaf.not_after_s;
        vn_buf_str(ret_cert_pem, vn_buf_view(&server->pki->ca_cert));
        return vn_buf_check(ret_cert_pem, err);
}
