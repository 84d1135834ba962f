/* gcp.c - GCP's front: routing, function hosts, tokens. */
#include "sim/gcp.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "sim/objects.h"
#include "sim/permissions.h"
#include "sim/token.h"

#define TOKEN_URI "https://oauth2.googleapis.com/token"

void vn_sim_gcp_error(struct vn_sim_response *response, int status, const char *code, const char *format, ...)
{
        char message[512];
        va_list args;
        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        vn_sim_json(response, status,
                    json_pack("{s:{s:i, s:s, s:s}}", "error", "code", status, "message", message, "status", code));
}

void vn_sim_gcp_host(const struct vn_sim *sim, uint32_t deployment, char ret[96])
{
        const struct vn_sim_account *a = &sim->accounts[deployment / sim->demo->function_count];
        snprintf(ret, 96, "%s-%08x-uc.a.run.app", vn_sim_function_name(sim, deployment),
                 (unsigned)vn_hash64(a->id, strlen(a->id), 0));
}

char *vn_sim_gcp_key_file(const struct vn_sim *sim, uint32_t account, const char *token_uri)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        VN_AUTO(vn_json)
        json = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "type", "service_account", "project_id", a->id,
                         "private_key_id", a->secret, "private_key", a->private_pem, "client_email", a->key_id,
                         "client_id", "100000000000000000000", "token_uri", token_uri, "universe_domain",
                         "googleapis.com");
        char *text = json ? json_dumps(json, JSON_INDENT(1)) : NULL;
        char *copy = text ? vn_strdup(text) : NULL;
        free(text);
        return copy;
}

static uint32_t account_by_email(const struct vn_sim *sim, struct vn_str email)
{
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                if (sim->accounts[i].cloud == VN_PLATFORM_GCP && vn_str_eq(email, vn_str(sim->accounts[i].key_id)))
                        return i;
        }
        return UINT32_MAX;
}

/* Reads the issuer without trusting it yet, to know whose key must have signed. */
static uint32_t claimed_issuer(const struct vn_sim *sim, struct vn_str jwt)
{
        static const struct vn_json_limits limits = {.max_bytes = 16384, .max_depth = 6, .max_values = 200};
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(16384);
        VN_AUTO(vn_json)
        claims = NULL;
        struct vn_str iss, rest = jwt;
        vn_str_cut(&rest, '.');
        struct vn_str payload = rest.ptr ? vn_str_cut(&rest, '.') : VN_STR("");
        if (vn_base64_decode(payload, &text) != VN_OK ||
            vn_json_parse(vn_buf_view(&text), &limits, &claims, NULL) != VN_OK || !json_is_object(claims) ||
            vn_json_text(claims, "iss", &iss, NULL) != VN_OK)
                return UINT32_MAX;
        return account_by_email(sim, iss);
}

/* A JWT that a service account of ours signed and that is in time. */
static enum vn_rc account_jwt(struct vn_sim *sim, struct vn_str jwt, uint32_t *ret_account, json_t **ret_claims,
                              struct vn_err *err)
{
        int64_t iat, exp;
        *ret_account = claimed_issuer(sim, jwt);
        if (*ret_account == UINT32_MAX)
                return vn_fail(err, VN_UNAUTHENTICATED, "Invalid grant: account not found");
        if (vn_token_verify_rs256(sim->accounts[*ret_account].public_pem, jwt, ret_claims, err) != VN_OK)
                return vn_fail(err, VN_UNAUTHENTICATED, "Invalid JWT Signature.");
        if (vn_token_in_time(*ret_claims, vn_now_us(sim->clock), vn_now_us(vn_clock_real()), err) == VN_OK &&
            vn_json_i64(*ret_claims, "iat", &iat, err) == VN_OK &&
            vn_json_i64(*ret_claims, "exp", &exp, err) == VN_OK && exp - iat <= 3600)
                return VN_OK;
        json_decref(*ret_claims);
        *ret_claims = NULL;
        return vn_fail(err, VN_UNAUTHENTICATED,
                       "Invalid JWT: Token must be a short-lived token (60 minutes) and in a "
                       "reasonable timeframe. Check your iat and exp values in the JWT claim.");
}

void vn_sim_gcp_grant_error(struct vn_sim_response *response, const char *error, const char *description)
{
        vn_sim_json(response, 400, json_pack("{s:s, s:s}", "error", error, "error_description", description));
}

enum vn_rc vn_sim_gcp_sign(struct vn_sim *sim, uint32_t account, const char *audience, struct vn_buf *ret,
                           struct vn_err *err)
{
        json_int_t now_s = vn_now_us(sim->clock) / VN_US_PER_S;
        const char *email = sim->accounts[account].key_id;
        VN_AUTO(vn_json)
        claims = json_pack("{s:s, s:s, s:s, s:s, s:b, s:I, s:I}", "iss",
                           audience ? "https://accounts.google.com" : "vane-sim", "aud",
                           audience ? audience : "access", "sub", email, "email", email, "email_verified", 1, "iat",
                           now_s, "exp", now_s + VN_SIM_GCP_TOKEN_S + 1);
        if (!claims)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a token");
        if (!audience)
                vn_buf_text(ret, "ya29.");
        return vn_token_sign(sim->token_key, claims, ret, err);
}

static void answer_token(struct vn_sim *sim, uint32_t account, const json_t *asked, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        const char *audience = json_string_value(json_object_get(asked, "target_audience"));
        struct vn_err err;
        if (vn_sim_gcp_sign(sim, account, audience, &token, &err) != VN_OK)
                vn_sim_json(response, 500, NULL);
        else if (audience)
                vn_sim_json(response, 200, json_pack("{s:s}", "id_token", token.ptr));
        else
                vn_sim_json(response, 200,
                            json_pack("{s:s, s:i, s:s}", "access_token", token.ptr, "expires_in", VN_SIM_GCP_TOKEN_S,
                                      "token_type", "Bearer"));
}

void vn_gcp_token(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        grant = VN_BUF_INIT(256);
        VN_AUTO(vn_buf)
        assertion = VN_BUF_INIT(16384);
        VN_AUTO(vn_json)
        claims = NULL;
        uint32_t account;
        struct vn_err err;
        struct vn_str aud;
        vn_sim_param(request->body, "grant_type", &grant);
        if (!vn_str_eq(vn_buf_view(&grant), VN_STR("urn:ietf:params:oauth:grant-type:jwt-bearer"))) {
                vn_sim_gcp_grant_error(response, "unsupported_grant_type", "Invalid grant_type");
                return;
        }
        if (!vn_sim_param(request->body, "assertion", &assertion)) {
                vn_sim_gcp_grant_error(response, "invalid_request", "Missing assertion");
                return;
        }
        if (account_jwt(sim, vn_buf_view(&assertion), &account, &claims, &err) != VN_OK) {
                vn_sim_gcp_grant_error(response, "invalid_grant", err.msg);
                return;
        }
        VN_AUTO(vn_buf)
        own = VN_BUF_INIT(512);
        vn_sim_own_address(request, &own);
        vn_buf_text(&own, "/token");
        if (vn_json_text(claims, "aud", &aud, &err) != VN_OK ||
            (!vn_str_eq(aud, VN_STR(TOKEN_URI)) && !vn_str_eq(aud, vn_buf_view(&own)))) {
                vn_sim_gcp_grant_error(response, "invalid_grant",
                                       "Invalid JWT: the audience must be " TOKEN_URI " or this address.");
                return;
        }
        if (!json_object_get(claims, "scope") == !json_object_get(claims, "target_audience")) {
                vn_sim_gcp_grant_error(response, "invalid_scope",
                                       "Exactly one of scope and target_audience must be given.");
                return;
        }
        answer_token(sim, account, claims, response);
}

static struct vn_str bearer_of(const struct vn_sim_request *request)
{
        struct vn_str header = vn_sim_header(request, "authorization"), scheme = VN_STR("Bearer ");
        if (header.len <= scheme.len || !vn_str_eq_nocase(vn_str_n(header.ptr, scheme.len), scheme))
                return VN_STR("");
        return vn_str_n(header.ptr + scheme.len, header.len - scheme.len);
}

static bool audience_is(const json_t *claims, struct vn_str wanted)
{
        struct vn_str aud;
        return vn_json_text(claims, "aud", &aud, NULL) == VN_OK && vn_str_eq(aud, wanted);
}

bool vn_gcp_bearer(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response,
                   uint32_t *ret_account)
{
        struct vn_str token = bearer_of(request), prefix = VN_STR("ya29."), email, aud;
        VN_AUTO(vn_json)
        claims = NULL;
        struct vn_err err;
        bool good;
        if (vn_str_starts(token, prefix)) {
                token = vn_str_n(token.ptr + prefix.len, token.len - prefix.len);
                good = vn_token_verify(sim->token_key, token, &claims, &err) == VN_OK &&
                       audience_is(claims, VN_STR("access")) &&
                       vn_token_in_time(claims, vn_now_us(sim->clock), vn_now_us(vn_clock_real()), &err) == VN_OK &&
                       vn_json_text(claims, "email", &email, &err) == VN_OK;
                *ret_account = good ? account_by_email(sim, email) : UINT32_MAX;
        } else {
                /* A self-signed JWT names a service as audience, or a scope. */
                good = token.len && account_jwt(sim, token, ret_account, &claims, &err) == VN_OK &&
                       (json_object_get(claims, "scope") ||
                        (vn_json_text(claims, "aud", &aud, &err) == VN_OK && vn_str_starts(aud, VN_STR("https://")) &&
                         !vn_str_eq(aud, VN_STR(TOKEN_URI))));
        }
        if (good && *ret_account != UINT32_MAX)
                return true;
        vn_sim_gcp_error(
                response, 401, "UNAUTHENTICATED",
                "Request had invalid authentication credentials. Expected OAuth 2 access token, login cookie or "
                "other valid authentication credential. See "
                "https://developers.google.com/identity/sign-in/web/devconsole-project.");
        return false;
}

bool vn_gcp_id_token(struct vn_sim *sim, const struct vn_sim_request *request, const char *audience,
                     uint32_t *ret_account)
{
        VN_AUTO(vn_json)
        claims = NULL;
        struct vn_err err;
        struct vn_str email;
        bool good = vn_token_verify(sim->token_key, bearer_of(request), &claims, &err) == VN_OK &&
                    audience_is(claims, vn_str(audience)) &&
                    vn_token_in_time(claims, vn_now_us(sim->clock), vn_now_us(vn_clock_real()), &err) == VN_OK &&
                    vn_json_text(claims, "email", &email, &err) == VN_OK;
        *ret_account = good ? account_by_email(sim, email) : UINT32_MAX;
        return *ret_account != UINT32_MAX;
}

/* The host is the function's name with a tail of fixed length. */
static uint32_t find_host(const struct vn_sim *sim, struct vn_str host)
{
        enum { TAIL = 12 };
        char full[96];
        host = vn_str_cut(&host, ':');
        struct vn_str rest = host, label = vn_str_cut(&rest, '.');
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS && label.len > TAIL; i++) {
                if (sim->accounts[i].cloud != VN_PLATFORM_GCP)
                        continue;
                uint32_t d = vn_sim_find(sim, i, vn_str_n(label.ptr, label.len - TAIL));
                if (d == UINT32_MAX)
                        return d;
                vn_sim_gcp_host(sim, d, full);
                if (vn_str_eq_nocase(host, vn_str(full)))
                        return d;
        }
        return UINT32_MAX;
}

static void page(struct vn_sim_response *response, int status, const char *title)
{
        vn_sim_text(response, status, "text/html; charset=UTF-8", "<html><head><title>");
        vn_buf_printf(&response->body, "%d %s</title></head><body><h1>Error: %s</h1></body></html>", status, title,
                      title);
}

static void function_host(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                          struct vn_sim_response *response)
{
        struct vn_platform_outcome out;
        char host[96], audience[128];
        uint32_t caller;
        vn_sim_gcp_host(sim, deployment, host);
        snprintf(audience, sizeof audience, "https://%s", host);
        if (!bearer_of(request).len) {
                page(response, 403, "Forbidden");
                return;
        }
        if (!vn_gcp_id_token(sim, request, audience, &caller)) {
                page(response, 401, "Unauthorized");
                vn_sim_set_header(response, "www-authenticate",
                                  "Bearer error=\"invalid_token\" error_description=\"The access token could not be "
                                  "verified\"");
                return;
        }
        if (!vn_sim_may(sim, caller, "run.routes.invoke", "")) {
                page(response, 403, "Forbidden");
                return;
        }
        vn_sim_invoke(sim, deployment, request, response, &out);
        switch (out.status) {
        case VN_RUN_OK:
                vn_sim_text(response, 200, "application/json", "");
                vn_sim_payload(&out, &response->body);
                return;
        case VN_RUN_THROTTLED:
                page(response, 429, "Too Many Requests");
                vn_sim_set_header(response, "retry-after", "1");
                return;
        case VN_RUN_TIMEOUT: page(response, 504, "Gateway Timeout"); return;
        case VN_RUN_UNAVAILABLE: page(response, 503, "Service Unavailable"); return;
        case VN_RUN_ERROR:
        case VN_RUN_OOM: page(response, 500, "Server Error"); return;
        }
}

void vn_sim_gcp(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_str part[10];
        size_t count = vn_sim_path_parts(request->path, part, 10);
        bool post = vn_str_eq(request->verb, VN_STR("POST"));
        uint32_t account, deployment = find_host(sim, vn_sim_header(request, "host"));
        if (deployment != UINT32_MAX) {
                function_host(sim, deployment, request, response);
                return;
        }
        if (count == 1 && post && vn_str_eq(part[0], VN_STR("token"))) {
                vn_gcp_token(sim, request, response);
                return;
        }
        if (count == 2 && post && vn_str_eq(part[0], VN_STR("v1")) && vn_str_eq(part[1], VN_STR("token"))) {
                vn_sim_gcp_exchange(sim, request, response);
                return;
        }
        if (!vn_gcp_bearer(sim, request, response, &account))
                return;
        if (count == 5 && post && vn_str_eq(part[0], VN_STR("v1")) && vn_str_eq(part[3], VN_STR("serviceAccounts"))) {
                vn_sim_gcp_generate(sim, account, part[4], request, response);
                return;
        }
        if (vn_sim_gcs_path(request->path)) {
                vn_sim_gcs(sim, account, request, response);
                return;
        }
        bool project = count >= 4 && vn_str_eq(part[1], VN_STR("projects"));
        if (project && !vn_str_eq(part[2], vn_str(sim->accounts[account].id))) {
                vn_sim_gcp_error(response, 403, "PERMISSION_DENIED",
                                 "Permission denied on project or it does not exist.");
        } else if (project && vn_str_eq(part[0], VN_STR("v2")) && count <= 10) {
                if (vn_sim_gcp_permitted(sim, account, vn_sim_gcp_permission_of(request, part + 3, count - 3),
                                         response))
                        vn_gcp_functions(sim, account, request, part + 3, count - 3, response);
        } else if (project && vn_str_eq(part[0], VN_STR("v3")) && count == 4 &&
                   vn_str_eq(part[3], VN_STR("timeSeries"))) {
                if (vn_sim_gcp_permitted(sim, account, "monitoring.timeSeries.list", response))
                        vn_gcp_time_series(sim, account, request, response);
        } else if (count == 2 && post && vn_str_eq(part[0], VN_STR("v2")) &&
                   vn_str_eq(part[1], VN_STR("entries:list"))) {
                if (vn_sim_gcp_permitted(sim, account, "logging.logEntries.list", response))
                        vn_gcp_entries(sim, account, request, response);
        } else if (count == 3 && post && vn_str_eq(part[0], VN_STR("v1")) && vn_str_eq(part[1], VN_STR("projects")) &&
                   vn_str_ends(part[2], VN_STR(":testIamPermissions"))) {
                if (vn_str_eq(vn_str_n(part[2].ptr, part[2].len - 19), vn_str(sim->accounts[account].id)))
                        vn_sim_gcp_test_permissions(sim, account, request, response);
                else
                        vn_sim_gcp_error(response, 403, "PERMISSION_DENIED", "The caller does not have permission");
        } else if (count == 4 && vn_str_eq(part[0], VN_STR("v1")) && vn_str_eq(part[1], VN_STR("services")) &&
                   vn_str_eq(part[3], VN_STR("skus"))) {
                vn_gcp_skus(sim, part[2], request, response);
        } else {
                page(response, 404, "Not Found");
        }
}
