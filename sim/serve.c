/* serve.c - see serve.h. One edge a listener: a listener is a cloud, and an edge routes by path only. */
#include "sim/serve.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/tls.h"
#include "net/edge.h"
#include "sim/aws.h"
#include "sim/azure.h"
#include "sim/control.h"
#include "sim/gcp.h"

#include <pthread.h>

enum { LISTENERS = 4, CONTROL = 3 };
#define YEAR_S (INT64_C(366) * 86400)

typedef void (*sim_handler)(struct vn_sim *sim, const struct vn_sim_request *request,
                            struct vn_sim_response *response);

struct vn_sim_server {
        struct vn_sim *sim;
        pthread_mutex_t lock; /* four edges, one world */
        struct listener {
                struct vn_sim_server *server;
                sim_handler handler;
                struct vn_edge *edge;
                uint16_t port;
        } listeners[LISTENERS];
        struct vn_tls_server *tls;
};

static struct vn_str call_header(const void *context, const char *name)
{
        return vn_call_header((const struct vn_call *)context, name);
}

/* A cloud of which all is out answers nothing. A call that names its instant is the platform's to refuse, and counted. */
static bool is_out(const struct listener *listener, const struct vn_sim_request *request)
{
        const struct vn_sim *sim = listener->server->sim;
        uint32_t cloud = (uint32_t)(listener - listener->server->listeners), out = 0;
        int64_t now_us = vn_now_us(sim->clock);
        if (cloud == CONTROL || vn_sim_header(request, "x-vane-sim-at-us").len)
                return false;
        for (size_t i = 0; i < sim->injection_count; i++) {
                const struct vn_injection *it = &sim->injections[i];
                if (it->kind == VN_INJECT_OUTAGE && it->amount >= 1 && it->site / 2 == cloud &&
                    it->from_us <= now_us && now_us < it->until_us)
                        out |= 1u << it->site % 2;
        }
        return out == 3;
}

static void handle(void *context, const struct vn_http_request *request)
{
        struct listener *listener = context;
        struct vn_sim_response response;
        struct vn_http_header headers[VN_MAX_SIM_HEADERS];
        const struct vn_sim_request wire = {.verb = request->verb,
                                            .path = request->path,
                                            .query = request->query,
                                            .body = request->body,
                                            .header = call_header,
                                            .header_context = request->call};
        vn_sim_response_init(&response);
        pthread_mutex_lock(&listener->server->lock);
        if (is_out(listener, &wire))
                vn_sim_json(&response, 503, json_pack("{s:s}", "message", "this cloud is out of service"));
        else
                listener->handler(listener->server->sim, &wire, &response);
        pthread_mutex_unlock(&listener->server->lock);
        for (size_t i = 0; i < response.header_count; i++)
                headers[i] = (struct vn_http_header){response.headers[i].name, response.headers[i].value};
        vn_http_reply(request->call, response.status,
                      response.content_type[0] ? response.content_type : "application/json",
                      vn_buf_view(&response.body), headers, response.header_count);
        vn_sim_response_done(&response);
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
        VN_TRY(vn_pki_make_key(&ca_key, err));
        VN_TRY(vn_pki_make_ca(vn_buf_view(&ca_key), "vane-sim test authority", leaf.not_before_s, leaf.not_after_s,
                              &ca, err));
        VN_TRY(vn_pki_make_key(&key, err));
        VN_TRY(vn_pki_make_csr(vn_buf_view(&key), &csr, err));
        VN_TRY(vn_pki_sign_csr(vn_buf_view(&ca), vn_buf_view(&ca_key), vn_buf_view(&csr), &leaf, &cert, err));
        VN_TRY(vn_tls_server_new(vn_buf_view(&cert), vn_buf_view(&key), NULL, &server->tls, err));
        snprintf(path, sizeof path, "%s/ca.pem", dir);
        return vn_file_write_atomic(path, vn_buf_view(&ca), 0644, err);
}

static enum vn_rc listen_on(struct vn_sim_server *server, int i, uint16_t port, struct vn_err *err)
{
        static const sim_handler handlers[LISTENERS] = {vn_sim_aws, vn_sim_azure, vn_sim_gcp, vn_sim_control};
        struct listener *l = &server->listeners[i];
        struct vn_edge_limits limits;
        vn_edge_limits_default(&limits);
        limits.max_body_bytes = 6u << 20;
        l->server = server;
        l->handler = handlers[i];
        VN_TRY(vn_edge_new(&limits, 1, &l->edge, err));
        VN_TRY(vn_edge_listen(l->edge, "127.0.0.1", port, server->tls, &l->port, err));
        VN_TRY(vn_edge_add_http(l->edge, "/", VN_ACCESS_PUBLIC, handle, l, err));
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
        char ca[512], endpoint[64], path[512];
        snprintf(ca, sizeof ca, "%s/ca.pem", dir);
        for (uint32_t c = 0; c < VN_PLATFORM_CLOUDS; c++) {
                json_t *accounts = json_array();
                snprintf(endpoint, sizeof endpoint, "https://localhost:%u", server->listeners[c].port);
                for (uint32_t i = 2 * c; i < 2 * c + 2; i++) {
                        json_t *account = account_json(server->sim, i, endpoint, dir, err);
                        if (!account || json_array_append_new(accounts, account)) {
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
                if (server->listeners[i].edge)
                        vn_edge_drain(server->listeners[i].edge, 500);
                vn_edge_free(server->listeners[i].edge);
        }
        vn_tls_server_free(server->tls);
        pthread_mutex_destroy(&server->lock);
        vn_free(server);
        return NULL;
}
