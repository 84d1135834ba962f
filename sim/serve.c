/* serve.c - see serve.h. One edge a listener: a listener is a cloud, the control or the host, and an edge routes by path only. */
#include "sim/serve.h"

#include <stdio.h>
#include <stdlib.h>

#include <openssl/ssl.h>

#include "base/tls.h"
#include "net/edge.h"
#include "sim/aws.h"
#include "sim/azure.h"
#include "sim/call.h"
#include "sim/control.h"
#include "sim/gcp.h"
#include "sim/identity.h"

#include <pthread.h>

enum { LISTENERS = 5, CONTROL = 3, HOST = 4 };
#define YEAR_S (INT64_C(366) * 86400)

struct vn_sim_server {
        struct vn_sim *sim;
        pthread_mutex_t lock; /* several edges, one world */
        struct listener {
                struct vn_sim_server *server;
                struct vn_sim_lane lane;
                struct vn_edge *edge;
                uint16_t port;
                struct vn_tls_server *tls, *expired; /* the second lends its certificate while an event says so */
        } listeners[LISTENERS];
};

/* Which certificate a handshake shows. */
static int choose_certificate(SSL *ssl, void *arg)
{
        struct listener *l = arg;
        pthread_mutex_lock(&l->server->lock);
        bool expired = vn_sim_certificate_expired(l->server->sim, (enum vn_platform_cloud)l->lane.cloud);
        pthread_mutex_unlock(&l->server->lock);
        if (!expired)
                return 1; /* the context's own */
        SSL_CTX *from = vn_tls_server_ctx(l->expired);
        return SSL_use_certificate(ssl, SSL_CTX_get0_certificate(from)) == 1 &&
               SSL_use_PrivateKey(ssl, SSL_CTX_get0_privatekey(from)) == 1;
}

static enum vn_rc make_tls(struct vn_sim_server *server, const char *dir, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        ca_key = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        ca = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        key = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        csr = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        cert = VN_BUF_INIT(16384);
        static const char *const names[] = {"localhost", "127.0.0.1", "*.azurewebsites.net", "*.a.run.app"};
        /* Valid by the machine's clock for TLS stacks and far around it for the sandbox's. */
        int64_t now_s = vn_now_us(vn_clock_real()) / VN_US_PER_S;
        struct vn_pki_leaf leaf = {.dns_names = names,
                                   .dns_name_count = 4,
                                   .server = true,
                                   .not_before_s = now_s - YEAR_S / 12,
                                   .not_after_s = now_s + YEAR_S};
        char path[512];
        if (server->sim->ca_pem) {
                vn_buf_text(&ca_key, server->sim->ca_key_pem);
                vn_buf_text(&ca, server->sim->ca_pem);
        } else {
                VN_TRY(vn_pki_make_key(&ca_key, err));
                VN_TRY(vn_pki_make_ca(vn_buf_view(&ca_key), "vane-sim test authority", leaf.not_before_s,
                                      leaf.not_after_s, &ca, err));
        }
        VN_TRY(vn_pki_make_key(&key, err));
        VN_TRY(vn_pki_make_csr(vn_buf_view(&key), &csr, err));
        VN_TRY(vn_pki_sign_csr(vn_buf_view(&ca), vn_buf_view(&ca_key), vn_buf_view(&csr), &leaf, &cert, err));
        for (int i = 0; i < LISTENERS; i++)
                VN_TRY(vn_tls_server_new(vn_buf_view(&cert), vn_buf_view(&key), NULL, &server->listeners[i].tls,
                                         err));
        leaf.not_after_s = now_s - 3600;
        vn_buf_reset(&cert);
        VN_TRY(vn_pki_sign_csr(vn_buf_view(&ca), vn_buf_view(&ca_key), vn_buf_view(&csr), &leaf, &cert, err));
        for (int i = 0; i < CONTROL; i++) {
                struct listener *l = &server->listeners[i];
                VN_TRY(vn_tls_server_new(vn_buf_view(&cert), vn_buf_view(&key), NULL, &l->expired, err));
                SSL_CTX_set_cert_cb(vn_tls_server_ctx(l->tls), choose_certificate, l);
        }
        snprintf(path, sizeof path, "%s/ca.pem", dir);
        return vn_file_write_atomic(path, vn_buf_view(&ca), 0644, err);
}

static enum vn_rc listen_on(struct vn_sim_server *server, int i, uint16_t port, struct vn_err *err)
{
        static const vn_sim_handler handlers[LISTENERS] = {vn_sim_aws, vn_sim_azure, vn_sim_gcp, vn_sim_control,
                                                           vn_sim_identity_host};
        struct listener *l = &server->listeners[i];
        struct vn_edge_limits limits;
        vn_edge_limits_default(&limits);
        limits.max_body_bytes = 6u << 20;
        l->lane = (struct vn_sim_lane){
                .sim = server->sim, .lock = &server->lock, .handler = handlers[i], .cloud = i < CONTROL ? i : -1};
        VN_TRY(vn_edge_new(&limits, 1, &l->edge, err));
        /* Machines and containers reach the endpoints of their own host without TLS. */
        VN_TRY(vn_edge_listen(l->edge, "127.0.0.1", port, i == HOST ? NULL : l->tls, &l->port, err));
        VN_TRY(vn_edge_add_http(l->edge, "/", VN_ACCESS_PUBLIC, vn_sim_call, &l->lane, err));
        VN_TRY(vn_sim_lane_init(&l->lane, vn_edge_loop(l->edge, 0), err));
        return vn_edge_start(l->edge, err);
}

static json_t *account_json(const struct vn_sim *sim, uint32_t i, const char *endpoint, const char *dir,
                            struct vn_err *err)
{
        const struct vn_sim_account *a = &sim->accounts[i];
        json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "name", a->name, "cloud", vn_platform_cloud_name(a->cloud),
                                 "region", a->region, "endpoint", endpoint);
        char path[512], token_uri[128];
        switch (a->cloud) {
        case VN_PLATFORM_AWS:
                json_object_set_new(json, "account_id", json_string(a->id));
                snprintf(path, sizeof path, "arn:aws:iam::%s:role/vane-invoke", a->id);
                json_object_set_new(json, "grant_role_arn", json_string(path));
                json_object_set_new(json, "access_key_id", json_string(a->key_id));
                json_object_set_new(json, "secret_access_key", json_string(a->secret));
                return json;
        case VN_PLATFORM_AZURE:
                /* Under the names that Azure's tools use, and those of Vane's own account files. */
                json_object_set_new(json, "tenant_id", json_string(a->tenant));
                json_object_set_new(json, "tenant", json_string(a->tenant));
                json_object_set_new(json, "client_id", json_string(a->key_id));
                json_object_set_new(json, "client_secret", json_string(a->secret));
                json_object_set_new(json, "subscription_id", json_string(a->id));
                json_object_set_new(json, "subscription", json_string(a->id));
                json_object_set_new(json, "workspace", json_string(a->workspace));
                json_object_set_new(json, "app_id", json_string(a->app_id));
                json_object_set_new(json, "resource_group", json_string("vane-demo"));
                return json;
        case VN_PLATFORM_GCP: break;
        }
        snprintf(token_uri, sizeof token_uri, "%s/token", endpoint);
        char *key = vn_sim_gcp_key_file(sim, i, token_uri);
        snprintf(path, sizeof path, "%s/%s-key.json", dir, a->name);
        if (!key || vn_file_write_atomic(path, vn_str(key), 0600, err) != VN_OK) {
                vn_free(key);
                json_decref(json);
                return NULL;
        }
        json_object_set_new(json, "project_id", json_string(a->id));
        json_object_set_new(json, "project", json_string(a->id));
        json_object_set_new(json, "key_file", json_string(path));
        json_object_set_new(json, "key_json", json_string(key));
        vn_free(key);
        return json;
}

static enum vn_rc write_ready(struct vn_sim_server *server, const char *dir, struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = json_object();
        json_t *identity = NULL;
        char ca[512], endpoint[64], host[64], path[512];
        snprintf(ca, sizeof ca, "%s/ca.pem", dir);
        snprintf(host, sizeof host, "http://127.0.0.1:%u", server->listeners[HOST].port);
        for (uint32_t c = 0; c < VN_PLATFORM_CLOUDS; c++) {
                json_t *accounts = json_array();
                snprintf(endpoint, sizeof endpoint, "https://localhost:%u", server->listeners[c].port);
                for (uint32_t i = 2 * c; i < 2 * c + 2; i++) {
                        json_t *account = account_json(server->sim, i, endpoint, dir, err);
                        if (!account ||
                            vn_sim_identity_files(server->sim, i, dir, endpoint, host, account, err) != VN_OK ||
                            json_array_append_new(accounts, account)) {
                                json_decref(accounts);
                                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "an account could not be written");
                        }
                }
                json_object_set_new(
                        root, vn_platform_cloud_name((enum vn_platform_cloud)c),
                        json_pack("{s:s, s:s, s:o}", "endpoint", endpoint, "ca_file", ca, "accounts", accounts));
        }
        snprintf(endpoint, sizeof endpoint, "https://localhost:%u", server->listeners[CONTROL].port);
        json_object_set_new(root, "control",
                            json_pack("{s:s, s:s, s:s}", "endpoint", endpoint, "ca_file", ca, "token",
                                      server->sim->control_token));
        VN_TRY(vn_sim_identity_ready(server->sim, dir, host, &identity, err));
        json_object_set_new(root, "identity", identity);
        json_object_set_new(root, "seed", json_integer((json_int_t)server->sim->seed));
        char *text = json_dumps(root, JSON_INDENT(1));
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the ready file");
        snprintf(path, sizeof path, "%s/sim.json", dir);
        enum vn_rc rc = vn_file_write_atomic(path, vn_str(text), 0600, err);
        free(text);
        return rc;
}

static enum vn_rc start(struct vn_sim_server *server, const char *dir, uint16_t port_base, struct vn_err *err)
{
        VN_TRY(make_tls(server, dir, err));
        for (int i = 0; i < LISTENERS; i++) {
                VN_TRY(listen_on(server, i, port_base ? (uint16_t)(port_base + i) : 0, err));
                if (i < VN_PLATFORM_CLOUDS)
                        server->sim->port[i] = server->listeners[i].port;
        }
        return write_ready(server, dir, err);
}

enum vn_rc vn_sim_server_start(struct vn_sim *sim, const char *dir, uint16_t port_base, struct vn_sim_server **ret,
                               struct vn_err *err)
{
        struct vn_sim_server *server = vn_alloc(sizeof *server);
        if (!server)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the server");
        server->sim = sim;
        for (int i = 0; i < LISTENERS; i++)
                server->listeners[i].server = server;
        pthread_mutex_init(&server->lock, NULL);
        enum vn_rc rc = start(server, dir, port_base, err);
        if (rc == VN_OK)
                *ret = server;
        else
                vn_sim_server_free(server);
        return rc;
}

struct vn_sim_server *vn_sim_server_free(struct vn_sim_server *server)
{
        if (!server)
                return NULL;
        for (int i = 0; i < LISTENERS; i++) {
                struct listener *l = &server->listeners[i];
                if (l->lane.http)
                        vn_sim_lane_stop(&l->lane, vn_edge_loop(l->edge, 0));
                if (l->edge)
                        vn_edge_drain(l->edge, 500);
                vn_edge_free(l->edge);
                vn_tls_server_free(l->tls);
                vn_tls_server_free(l->expired);
        }
        pthread_mutex_destroy(&server->lock);
        vn_free(server);
        return NULL;
}
