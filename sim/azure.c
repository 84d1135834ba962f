/* azure.c - Azure's front: Entra tokens, routing, function hosts. azure_arm.c has the control plane. */
#include "sim/azure.h"

#include <stdarg.h>
#include <stdio.h>
#include <strings.h>

#include "sim/azure_arm.h"
#include "sim/objects.h"
#include "sim/permissions.h"
#include "sim/token.h"

void vn_sim_azure_error(struct vn_sim_response *response, int status, const char *code, const char *format, ...)
{
        char message[512];
        va_list args;
        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        vn_sim_json(response, status, json_pack("{s:{s:s, s:s}}", "error", "code", code, "message", message));
}

void vn_sim_azure_host(const struct vn_sim *sim, uint32_t deployment, char ret[96])
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        snprintf(ret, 96, "%s-%08x.azurewebsites.net", vn_sim_function_name(sim, deployment),
                 (unsigned)vn_hash64(a->id, strlen(a->id), 0));
}

bool vn_sim_azure_flex(const struct vn_sim *sim, uint32_t deployment)
{
        return sim->demo->deployments[deployment].plan == VN_PLAN_AZURE_FLEX;
}

static uint32_t account_by(const struct vn_sim *sim, const char *tenant, const char *client)
{
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                const struct vn_sim_account *a = &sim->accounts[i];
                if (a->cloud == VN_PLATFORM_AZURE && (!tenant || !strcasecmp(a->tenant, tenant)) &&
                    (!client || !strcasecmp(a->key_id, client)))
                        return i;
        }
        return UINT32_MAX;
}

void vn_sim_azure_token_error(struct vn_sim_response *response, int status, const char *error, int code,
                              const char *text)
{
        char message[300];
        snprintf(message, sizeof message, "AADSTS%d: %s", code, text);
        vn_sim_json(
                response, status,
                json_pack("{s:s, s:s, s:[i]}", "error", error, "error_description", message, "error_codes", code));
}

enum vn_rc vn_sim_azure_sign(struct vn_sim *sim, uint32_t account, const char *audience, struct vn_buf *ret,
                             struct vn_err *err)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        json_int_t now_s = vn_now_us(sim->clock) / VN_US_PER_S;
        VN_AUTO(vn_json)
        claims = json_pack("{s:s, s:s, s:s, s:s, s:I, s:I, s:I}", "aud", audience, "iss", "https://sts.windows.net/",
                           "tid", a->tenant, "appid", a->key_id, "iat", now_s, "nbf", now_s, "exp",
                           now_s + VN_SIM_AZURE_TOKEN_S);
        if (!claims)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a token");
        return vn_token_sign(sim->token_key, claims, ret, err);
}

static void issue_token(struct vn_sim *sim, uint32_t account, const char *audience, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        struct vn_err err;
        if (vn_sim_azure_sign(sim, account, audience, &token, &err) != VN_OK) {
                vn_sim_azure_token_error(response, 500, "server_error", 90033, "A transient error has occurred.");
                return;
        }
        vn_sim_json(response, 200,
                    json_pack("{s:s, s:i, s:i, s:s}", "token_type", "Bearer", "expires_in", VN_SIM_AZURE_TOKEN_S,
                              "ext_expires_in", VN_SIM_AZURE_TOKEN_S, "access_token", token.ptr));
}

/* "https://management.azure.com/.default" is a token for "https://management.azure.com". */
static bool audience_of(const struct vn_buf *scope, char ret[128])
{
        struct vn_str text = vn_buf_view(scope), tail = VN_STR("/.default");
        if (!vn_str_starts(text, VN_STR("https://")) || !vn_str_ends(text, tail))
                return false;
        text = vn_str_n(text.ptr, text.len - tail.len);
        while (text.len && text.ptr[text.len - 1] == '/')
                text.len--;
        return vn_str_copy(ret, 128, text);
}

static void token(struct vn_sim *sim, struct vn_str tenant, const struct vn_sim_request *request,
                  struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        grant = VN_BUF_INIT(128);
        VN_AUTO(vn_buf)
        client = VN_BUF_INIT(128);
        VN_AUTO(vn_buf)
        scope = VN_BUF_INIT(256);
        char name[48], audience[128];
        if (!vn_str_copy(name, sizeof name, tenant) || account_by(sim, name, NULL) == UINT32_MAX) {
                vn_sim_azure_token_error(response, 400, "invalid_request", 90002,
                                         "Tenant not found. Check the tenant identifier.");
                return;
        }
        vn_sim_param(request->body, "grant_type", &grant);
        vn_sim_param(request->body, "client_id", &client);
        vn_sim_param(request->body, "scope", &scope);
        if (!vn_str_eq(vn_buf_view(&grant), VN_STR("client_credentials"))) {
                vn_sim_azure_token_error(response, 400, "unsupported_grant_type", 70003,
                                         "The app requested an unsupported grant type.");
                return;
        }
        uint32_t account = account_by(sim, name, client.ptr ? client.ptr : "");
        if (account == UINT32_MAX) {
                vn_sim_azure_token_error(response, 400, "unauthorized_client", 700016,
                                         "Application with this identifier was not found in the directory.");
                return;
        }
        if (!vn_sim_azure_proof(sim, account, request, response))
                return;
        if (!audience_of(&scope, audience)) {
                vn_sim_azure_token_error(response, 400, "invalid_scope", 70011,
                                         "The provided value for the input parameter 'scope' is not valid.");
                return;
        }
        issue_token(sim, account, audience, response);
}

static void openid(struct vn_str tenant, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        own = VN_BUF_INIT(512);
        vn_sim_own_address(request, &own);
        vn_buf_char(&own, '/');
        vn_buf_str(&own, tenant);
        const char *base = own.ptr ? own.ptr : "";
        vn_sim_json(response, 200,
                    json_pack("{s:s+, s:s+, s:s+, s:s+, s:[s], s:[s], s:[s]}", "issuer", base, "/v2.0",
                              "token_endpoint", base, "/oauth2/v2.0/token", "authorization_endpoint", base,
                              "/oauth2/v2.0/authorize", "jwks_uri", base, "/discovery/v2.0/keys",
                              "response_types_supported", "token", "subject_types_supported", "pairwise",
                              "id_token_signing_alg_values_supported", "RS256"));
}

static void refuse_token(struct vn_sim_response *response, const char *code, const char *message)
{
        vn_sim_azure_error(response, 401, code, "%s", message);
        vn_sim_set_header(response, "www-authenticate",
                          "Bearer authorization_uri=\"https://login.microsoftonline.com\", error=\"invalid_token\"");
}

bool vn_sim_azure_bearer(struct vn_sim *sim, const struct vn_sim_request *request, const char *audience,
                         struct vn_sim_response *response, uint32_t *ret_account)
{
        struct vn_str header = vn_sim_header(request, "authorization"), scheme = VN_STR("Bearer ");
        VN_AUTO(vn_json)
        claims = NULL;
        struct vn_err err;
        struct vn_str text;
        char client[64];
        if (!header.len) {
                refuse_token(response, "AuthenticationFailed",
                             "Authentication failed. The 'Authorization' header is missing.");
                return false;
        }
        if (header.len < scheme.len || !vn_str_eq_nocase(vn_str_n(header.ptr, scheme.len), scheme) ||
            vn_token_verify(sim->token_key, vn_str_n(header.ptr + scheme.len, header.len - scheme.len), &claims,
                            &err) != VN_OK) {
                refuse_token(response, "InvalidAuthenticationToken", "The access token is invalid.");
                return false;
        }
        if (vn_token_in_time(claims, vn_now_us(sim->clock), vn_now_us(vn_clock_real()), &err) != VN_OK) {
                refuse_token(response, "ExpiredAuthenticationToken",
                             "The access token expiry is before the current time.");
                return false;
        }
        if (vn_json_text(claims, "aud", &text, &err) != VN_OK || !vn_str_eq(text, vn_str(audience))) {
                refuse_token(response, "InvalidAuthenticationTokenAudience",
                             "The access token has been obtained for the wrong audience.");
                return false;
        }
        if (vn_json_text(claims, "appid", &text, &err) != VN_OK || !vn_str_copy(client, sizeof client, text) ||
            (*ret_account = account_by(sim, NULL, client)) == UINT32_MAX) {
                refuse_token(response, "InvalidAuthenticationToken",
                             "The access token is not one of an application here.");
                return false;
        }
        return true;
}

void vn_azure_key(const struct vn_sim *sim, uint32_t deployment, char ret[48])
{
        uint8_t mac[VN_SHA256_BYTES];
        char hex[2 * VN_SHA256_BYTES + 1];
        vn_hmac_sha256(vn_str_n(sim->token_key, sizeof sim->token_key), vn_str_n(&deployment, sizeof deployment),
                       mac);
        vn_hex(mac, sizeof mac, hex);
        snprintf(ret, 48, "%.40s==", hex);
}

/* The host is the function's name with a tail of fixed length. */
static uint32_t find_host(const struct vn_sim *sim, struct vn_str host)
{
        enum { TAIL = 9 };
        char full[96];
        host = vn_str_cut(&host, ':');
        struct vn_str rest = host, label = vn_str_cut(&rest, '.');
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS && label.len > TAIL; i++) {
                if (sim->accounts[i].cloud != VN_PLATFORM_AZURE)
                        continue;
                uint32_t d = vn_sim_find(sim, i, vn_str_n(label.ptr, label.len - TAIL));
                if (d == UINT32_MAX)
                        return d;
                vn_sim_azure_host(sim, d, full);
                if (vn_str_eq_nocase(host, vn_str(full)))
                        return d;
        }
        return UINT32_MAX;
}

static void answer_run(const struct vn_platform_outcome *out, struct vn_sim_response *response)
{
        switch (out->status) {
        case VN_RUN_OK:
                vn_sim_text(response, 200, "application/json", "");
                vn_sim_payload(out, &response->body);
                return;
        case VN_RUN_THROTTLED:
                vn_sim_text(response, 429, "text/plain", "");
                vn_sim_set_header(response, "retry-after", "1");
                return;
        case VN_RUN_UNAVAILABLE:
                vn_sim_text(response, 503, "text/html", "<html><body>The service is unavailable.</body></html>");
                return;
        case VN_RUN_TIMEOUT: vn_sim_text(response, 504, "text/plain", ""); return;
        case VN_RUN_ERROR:
        case VN_RUN_OOM: vn_sim_text(response, 500, "text/plain", ""); return;
        }
}

static void function_host(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                          struct vn_sim_response *response)
{
        struct vn_platform_outcome out;
        struct vn_str part[2], key = vn_sim_header(request, "x-functions-key");
        VN_AUTO(vn_buf)
        code = VN_BUF_INIT(256);
        char wanted[48];
        if (vn_sim_path_parts(request->path, part, 2) != 2 || !vn_str_eq_nocase(part[0], VN_STR("api")) ||
            !vn_str_eq_nocase(part[1], vn_str(vn_sim_function_name(sim, deployment)))) {
                vn_sim_text(response, 404, "text/plain", "");
                return;
        }
        if (!key.len && vn_sim_param(request->query, "code", &code))
                key = vn_buf_view(&code);
        vn_azure_key(sim, deployment, wanted);
        if (!vn_str_eq_secret(key, vn_str(wanted))) {
                vn_sim_text(response, 401, "text/plain", "");
                return;
        }
        /* Whatever the outcome, the record is kept by the world: Azure has no per-call answer beyond the status. */
        vn_sim_invoke(sim, deployment, request, response, &out);
        answer_run(&out, response);
}

void vn_sim_azure(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_str part[12];
        size_t count = vn_sim_path_parts(request->path, part, 12);
        bool post = vn_str_eq(request->verb, VN_STR("POST"));
        uint32_t account, deployment = find_host(sim, vn_sim_header(request, "host"));
        char id[40];
        vn_sim_uuid(vn_hash64(&sim->next_id, 8, sim->seed + 2), id);
        sim->next_id++;
        vn_sim_set_header(response, "x-ms-request-id", id);
        if (vn_sim_blob(sim, request, response))
                return;
        if (deployment != UINT32_MAX) {
                function_host(sim, deployment, request, response);
        } else if (count == 4 && post && vn_str_eq(part[1], VN_STR("oauth2")) &&
                   vn_str_eq(part[3], VN_STR("token"))) {
                token(sim, part[0], request, response);
        } else if (count == 4 && vn_str_eq(part[2], VN_STR(".well-known")) &&
                   vn_str_eq(part[3], VN_STR("openid-configuration"))) {
                openid(part[0], request, response);
        } else if (count == 3 && vn_str_eq(part[0], VN_STR("api")) && vn_str_eq(part[1], VN_STR("retail"))) {
                vn_sim_azure_prices(sim, request, response);
        } else if (count == 4 && post && vn_str_eq(part[0], VN_STR("v1")) && vn_str_eq(part[3], VN_STR("query"))) {
                bool workspace = vn_str_eq(part[1], VN_STR("workspaces"));
                if (!vn_sim_azure_bearer(sim, request,
                                         workspace ? "https://api.loganalytics.io"
                                                   : "https://api.applicationinsights.io",
                                         response, &account))
                        return;
                const struct vn_sim_account *a = &sim->accounts[account];
                if (!vn_str_eq_nocase(part[2], vn_str(workspace ? a->workspace : a->app_id)))
                        vn_sim_azure_error(response, 403, "InsufficientAccessError",
                                           "The provided credentials have insufficient access");
                else if (vn_sim_azure_query_permitted(sim, account, workspace, response))
                        vn_sim_azure_query(sim, account, workspace, request, response);
        } else if (count >= 2 && vn_str_eq_nocase(part[0], VN_STR("subscriptions"))) {
                vn_azure_arm(sim, request, part, count, response);
        } else {
                vn_sim_azure_error(response, 404, "NotFound", "The resource was not found.");
        }
}
