/* identity_azure.c - how a client proves itself to Entra without a secret, and the endpoints of managed identities. */
#include <stdio.h>

#include "sim/azure.h"
#include "sim/identity.h"
#include "sim/token.h"

#define ASSERTION_TYPE VN_STR("urn:ietf:params:oauth:client-assertion-type:jwt-bearer")

static bool refuse(struct vn_sim_response *response, int code, const char *text)
{
        vn_sim_azure_token_error(response, 401, "invalid_client", code, text);
        return false;
}

/* --- federated tokens --- */

static bool refuse_subject(enum vn_sim_subject wrong, struct vn_sim_response *response)
{
        switch (wrong) {
        case VN_SUBJECT_GOOD: return true;
        case VN_SUBJECT_UNREADABLE: return refuse(response, 50027, "Invalid JWT token. Token format not valid.");
        case VN_SUBJECT_ISSUER:
                return refuse(response, 700211,
                              "No matching federated identity record found for presented assertion issuer.");
        case VN_SUBJECT_AUDIENCE:
                return refuse(response, 700212,
                              "No matching federated identity record found for presented assertion audience.");
        case VN_SUBJECT_NAME:
                return refuse(response, 700213,
                              "No matching federated identity record found for presented assertion subject.");
        case VN_SUBJECT_TIME: return refuse(response, 700024, "Client assertion is not within its valid time range.");
        }
        return false;
}

/* --- client certificates --- */

static enum vn_rc verify(const struct vn_sim_certificate *c, struct vn_str assertion, json_t *header,
                         json_t **ret_claims, struct vn_err *err)
{
        struct vn_str alg;
        VN_TRY(vn_json_text(header, "alg", &alg, err));
        return vn_str_eq(alg, VN_STR("PS256")) ? vn_token_verify_ps256(c->public_pem, assertion, ret_claims, err)
                                               : vn_token_verify_rs256(c->public_pem, assertion, ret_claims, err);
}

static bool names_certificate(const struct vn_sim_certificate *c, const json_t *header)
{
        struct vn_str sha1 = VN_STR(""), sha256 = VN_STR("");
        bool has_sha1 = vn_json_text(header, "x5t", &sha1, NULL) == VN_OK,
             has_sha256 = vn_json_text(header, "x5t#S256", &sha256, NULL) == VN_OK;
        return (has_sha1 || has_sha256) && (!has_sha1 || vn_str_eq(sha1, vn_str(c->sha1))) &&
               (!has_sha256 || vn_str_eq(sha256, vn_str(c->sha256)));
}

static bool is_audience(const struct vn_sim_account *a, const struct vn_sim_request *request, struct vn_str aud)
{
        VN_AUTO(vn_buf)
        own = VN_BUF_INIT(512);
        char entra[192];
        vn_sim_own_address(request, &own);
        vn_buf_printf(&own, "/%s/oauth2/v2.0/token", a->tenant);
        snprintf(entra, sizeof entra, "https://login.microsoftonline.com/%s/oauth2/v2.0/token", a->tenant);
        return vn_str_eq(aud, vn_str(entra)) || (own.len && vn_str_eq(aud, vn_buf_view(&own)));
}

static bool claim_is(const json_t *claims, const char *name, const char *wanted)
{
        struct vn_str text;
        return vn_json_text(claims, name, &text, NULL) == VN_OK && vn_str_eq(text, vn_str(wanted));
}

static bool check_certificate(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                              struct vn_str assertion, json_t *header, struct vn_sim_response *response)
{
        const struct vn_sim_identity *identity = vn_sim_identity(sim);
        const struct vn_sim_account *a = &sim->accounts[account];
        VN_AUTO(vn_json)
        claims = NULL;
        struct vn_str aud;
        struct vn_err err;
        if (!identity || !names_certificate(&identity->certificates[account], header) ||
            verify(&identity->certificates[account], assertion, header, &claims, &err) != VN_OK)
                return refuse(
                        response, 700027,
                        "The certificate with identifier used to sign the client assertion is not registered on "
                        "application, or its signature is wrong.");
        if (vn_json_text(claims, "aud", &aud, &err) != VN_OK || !is_audience(a, request, aud))
                return refuse(response, 700023, "Client assertion audience claim does not match Realm issuer.");
        if (!claim_is(claims, "iss", a->key_id) || !claim_is(claims, "sub", a->key_id))
                return refuse(response, 700021, "Client assertion application identifier doesn't match the client.");
        if (!json_object_get(claims, "jti") ||
            vn_token_in_time(claims, vn_now_us(sim->clock), vn_now_us(vn_clock_real()), &err) != VN_OK)
                return refuse(response, 700024, "Client assertion is not within its valid time range.");
        return true;
}

/* A certificate's assertion names it in its header; a federated token does not. */
static bool check_assertion(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                            struct vn_str assertion, struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        header = NULL;
        struct vn_err err;
        if (vn_token_header(assertion, &header, &err) != VN_OK || !json_is_object(header))
                return refuse(response, 50027, "Invalid JWT token. Token format not valid.");
        if (json_object_get(header, "x5t") || json_object_get(header, "x5t#S256"))
                return check_certificate(sim, account, request, assertion, header, response);
        return refuse_subject(vn_sim_subject_check(sim, assertion, VN_SIM_AZURE_AUDIENCE), response);
}

bool vn_sim_azure_proof(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                        struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        secret = VN_BUF_INIT(256);
        VN_AUTO(vn_buf)
        type = VN_BUF_INIT(256);
        VN_AUTO(vn_buf)
        assertion = VN_BUF_INIT(16384);
        if (vn_sim_param(request->body, "client_assertion", &assertion)) {
                vn_sim_param(request->body, "client_assertion_type", &type);
                return vn_str_eq(vn_buf_view(&type), ASSERTION_TYPE)
                               ? check_assertion(sim, account, request, vn_buf_view(&assertion), response)
                               : refuse(response, 90014, "The field 'client_assertion_type' has no known value.");
        }
        vn_sim_param(request->body, "client_secret", &secret);
        return vn_str_eq_secret(vn_buf_view(&secret), vn_str(sim->accounts[account].secret))
                       ? true
                       : refuse(response, 7000215, "Invalid client secret provided.");
}

/* --- managed identities --- */

static void refuse_identity(struct vn_sim_response *response, int status, const char *text)
{
        vn_sim_json(response, status, json_pack("{s:s, s:s}", "error", "invalid_request", "error_description", text));
}

/* Numbers are texts here; App Service tells the instant only. */
static void answer_token(struct vn_sim *sim, bool app_service, const char *resource, struct vn_sim_response *response)
{
        uint32_t account = vn_sim_identity_account(VN_PLATFORM_AZURE);
        struct vn_str audience = vn_str(resource);
        int64_t on_s = vn_now_us(sim->clock) / VN_US_PER_S + VN_SIM_AZURE_TOKEN_S;
        char plain[256], in[24], on[24];
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        struct vn_err err;
        while (audience.len && audience.ptr[audience.len - 1] == '/')
                audience.len--;
        if (!vn_str_copy(plain, sizeof plain, audience) || !vn_str_starts(audience, VN_STR("https://"))) {
                refuse_identity(response, 400, "The resource principal was not found.");
                return;
        }
        snprintf(in, sizeof in, "%d", VN_SIM_AZURE_TOKEN_S);
        snprintf(on, sizeof on, "%lld", (long long)on_s);
        json_t *json = vn_sim_azure_sign(sim, account, plain, &token, &err) == VN_OK
                               ? json_pack("{s:s, s:s, s:s, s:s, s:s}", "access_token", token.ptr, "expires_on", on,
                                           "resource", resource, "token_type", "Bearer", "client_id",
                                           sim->accounts[account].key_id)
                               : NULL;
        if (json && !app_service)
                json_object_set_new(json, "expires_in", json_string(in));
        vn_sim_json(response, 200, json);
}

static bool has_param(const struct vn_sim_request *request, const char *name, const char *wanted)
{
        VN_AUTO(vn_buf)
        value = VN_BUF_INIT(256);
        return vn_sim_param(request->query, name, &value) && vn_str_eq(vn_buf_view(&value), vn_str(wanted));
}

void vn_sim_azure_identity(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        const struct vn_sim_identity *identity = vn_sim_identity(sim);
        struct vn_str path = request->path;
        if (vn_str_ends(path, VN_STR("/"))) /* as Azure's own library asks where its variable is set */
                path.len--;
        bool app_service = vn_str_eq(path, VN_STR("/msi/token"));
        const struct vn_sim_account *a = &sim->accounts[vn_sim_identity_account(VN_PLATFORM_AZURE)];
        VN_AUTO(vn_buf)
        resource = VN_BUF_INIT(256);
        VN_AUTO(vn_buf)
        client = VN_BUF_INIT(128);
        if (!app_service && !vn_str_eq(path, VN_STR("/metadata/identity/oauth2/token")))
                vn_sim_text(response, 404, "text/plain", "");
        else if (app_service && (!identity || !vn_str_eq_secret(vn_sim_header(request, "x-identity-header"),
                                                                vn_str(identity->host_secret))))
                refuse_identity(response, 401, "The identity header is missing or wrong.");
        else if (!app_service && (!vn_str_eq_nocase(vn_sim_header(request, "metadata"), VN_STR("true")) ||
                                  vn_sim_header(request, "x-forwarded-for").len))
                refuse_identity(response, 400, "Required metadata header not specified");
        else if (!has_param(request, "api-version", app_service ? "2019-08-01" : "2018-02-01"))
                refuse_identity(response, 400, "Invalid API version");
        else if (!vn_sim_param(request->query, "resource", &resource) || !resource.len)
                refuse_identity(response, 400, "Required query variable 'resource' is missing");
        else if (vn_sim_param(request->query, "client_id", &client) &&
                 !vn_str_eq_nocase(vn_buf_view(&client), vn_str(a->key_id)))
                refuse_identity(response, 400, "Identity not found");
        else
                answer_token(sim, app_service, resource.ptr, response);
}
