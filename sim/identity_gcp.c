/* identity_gcp.c - GCP's metadata server, the exchange of other issuers' tokens, and impersonation. */
#include <stdio.h>

#include "sim/gcp.h"
#include "sim/identity.h"
#include "sim/token.h"

/* --- token exchange --- */

static uint32_t account_of_provider(const struct vn_sim *sim, struct vn_str audience)
{
        char provider[192];
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                vn_sim_gcp_provider(sim, i, provider);
                if (sim->accounts[i].cloud == VN_PLATFORM_GCP && vn_str_eq(audience, vn_str(provider)))
                        return i;
        }
        return UINT32_MAX;
}

static const char *subject_problem(enum vn_sim_subject wrong)
{
        switch (wrong) {
        case VN_SUBJECT_GOOD: return NULL;
        case VN_SUBJECT_UNREADABLE: return "Unable to verify the ID Token signature.";
        case VN_SUBJECT_ISSUER: return "The issuer in ID Token does not match the expected ones.";
        case VN_SUBJECT_AUDIENCE: return "The audience in ID Token does not match the expected audience.";
        case VN_SUBJECT_NAME: return "The given credential is rejected by the attribute condition.";
        case VN_SUBJECT_TIME: return "ID Token is expired, or is not valid yet.";
        }
        return NULL;
}

static bool form_is(const struct vn_sim_request *request, const char *name, const char *wanted)
{
        VN_AUTO(vn_buf)
        value = VN_BUF_INIT(256);
        return vn_sim_param(request->body, name, &value) && vn_str_eq(vn_buf_view(&value), vn_str(wanted));
}

void vn_sim_gcp_exchange(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        audience = VN_BUF_INIT(512);
        VN_AUTO(vn_buf)
        scope = VN_BUF_INIT(1024);
        VN_AUTO(vn_buf)
        subject = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        struct vn_err err;
        vn_sim_param(request->body, "audience", &audience);
        vn_sim_param(request->body, "subject_token", &subject);
        uint32_t account = account_of_provider(sim, vn_buf_view(&audience));
        const char *problem =
                subject_problem(vn_sim_subject_check(sim, vn_buf_view(&subject), audience.ptr ? audience.ptr : ""));
        if (!form_is(request, "grant_type", "urn:ietf:params:oauth:grant-type:token-exchange"))
                vn_sim_gcp_grant_error(response, "unsupported_grant_type", "Invalid grant_type");
        else if (!form_is(request, "requested_token_type", "urn:ietf:params:oauth:token-type:access_token") ||
                 !form_is(request, "subject_token_type", "urn:ietf:params:oauth:token-type:jwt") ||
                 !vn_sim_param(request->body, "scope", &scope) || !scope.len)
                vn_sim_gcp_grant_error(response, "invalid_request", "Token types or scope are missing or wrong.");
        else if (account == UINT32_MAX)
                vn_sim_gcp_grant_error(response, "invalid_target", "The target service indicated is invalid.");
        else if (problem)
                vn_sim_gcp_grant_error(response, "invalid_grant", problem);
        else if (vn_sim_gcp_sign(sim, account, NULL, &token, &err) != VN_OK)
                vn_sim_json(response, 500, NULL);
        else
                vn_sim_json(response, 200,
                            json_pack("{s:s, s:s, s:s, s:i}", "access_token", token.ptr, "issued_token_type",
                                      "urn:ietf:params:oauth:token-type:access_token", "token_type", "Bearer",
                                      "expires_in", VN_SIM_GCP_TOKEN_S));
}

/* --- impersonation --- */

static void answer_access(struct vn_sim *sim, uint32_t account, json_t *body, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        struct vn_str lifetime = VN_STR("3600s");
        struct vn_err err;
        char end[VN_TIME_TEXT_BYTES];
        if (json_object_get(body, "lifetime"))
                VN_IGNORE(vn_json_text(body, "lifetime", &lifetime, NULL));
        if (!json_array_size(json_object_get(body, "scope")) || !vn_str_eq(lifetime, VN_STR("3600s"))) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Request contains an invalid argument.");
                return;
        }
        vn_time_format(vn_now_us(sim->clock) + VN_SIM_GCP_TOKEN_S * VN_US_PER_S, end);
        vn_sim_json(response, 200,
                    vn_sim_gcp_sign(sim, account, NULL, &token, &err) == VN_OK
                            ? json_pack("{s:s, s:s}", "accessToken", token.ptr, "expireTime", end)
                            : NULL);
}

static void answer_id(struct vn_sim *sim, uint32_t account, json_t *body, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        const char *audience = json_string_value(json_object_get(body, "audience"));
        struct vn_err err;
        if (!audience || !audience[0])
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "audience is required");
        else
                vn_sim_json(response, 200,
                            vn_sim_gcp_sign(sim, account, audience, &token, &err) == VN_OK
                                    ? json_pack("{s:s}", "token", token.ptr)
                                    : NULL);
}

void vn_sim_gcp_generate(struct vn_sim *sim, uint32_t account, struct vn_str name_and_verb,
                         const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_str verb = name_and_verb, email = vn_str_cut(&verb, ':');
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        if (!vn_str_eq(email, vn_str(sim->accounts[account].key_id)))
                vn_sim_gcp_error(response, 403, "PERMISSION_DENIED",
                                 "Permission 'iam.serviceAccounts.getAccessToken' denied on resource (or it may not "
                                 "exist).");
        else if (vn_sim_body(request, &body, &err) != VN_OK)
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Invalid JSON payload received.");
        else if (vn_str_eq(verb, VN_STR("generateAccessToken")))
                answer_access(sim, account, body, response);
        else if (vn_str_eq(verb, VN_STR("generateIdToken")))
                answer_id(sim, account, body, response);
        else
                vn_sim_gcp_error(response, 404, "NOT_FOUND", "Method not found.");
}

/* --- metadata --- */

static void id_token(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                     struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        audience = VN_BUF_INIT(512);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        struct vn_err err;
        if (!vn_sim_param(request->query, "audience", &audience) || !audience.len)
                vn_sim_text(response, 400, "text/html", "non-empty audience parameter required");
        else if (vn_sim_gcp_sign(sim, account, audience.ptr, &token, &err) != VN_OK)
                vn_sim_json(response, 500, NULL);
        else
                vn_sim_text(response, 200, "text/html", token.ptr);
}

static void access_token(struct vn_sim *sim, uint32_t account, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        struct vn_err err;
        vn_sim_json(response, 200,
                    vn_sim_gcp_sign(sim, account, NULL, &token, &err) == VN_OK
                            ? json_pack("{s:s, s:i, s:s}", "access_token", token.ptr, "expires_in",
                                        VN_SIM_GCP_TOKEN_S, "token_type", "Bearer")
                            : NULL);
}

void vn_sim_gcp_metadata(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        uint32_t account = vn_sim_identity_account(VN_PLATFORM_GCP);
        const struct vn_sim_account *a = &sim->accounts[account];
        struct vn_str root = VN_STR("/computeMetadata/v1/"), self = VN_STR("instance/service-accounts/default/"),
                      path;
        if (!vn_str_eq(vn_sim_header(request, "metadata-flavor"), VN_STR("Google")) ||
            vn_sim_header(request, "x-forwarded-for").len || !vn_str_starts(request->path, root)) {
                vn_sim_text(response, 403, "text/html", "Missing required header: \"Metadata-Flavor\": \"Google\"");
                vn_sim_set_header(response, "metadata-flavor", "Google");
                return;
        }
        path = vn_str_n(request->path.ptr + root.len, request->path.len - root.len);
        bool own = vn_str_starts(path, self);
        if (own)
                path = vn_str_n(path.ptr + self.len, path.len - self.len);
        if (own && vn_str_eq(path, VN_STR("token")))
                access_token(sim, account, response);
        else if (own && vn_str_eq(path, VN_STR("identity")))
                id_token(sim, account, request, response);
        else if (own && vn_str_eq(path, VN_STR("email")))
                vn_sim_text(response, 200, "application/text", a->key_id);
        else if (!own && vn_str_eq(path, VN_STR("project/project-id")))
                vn_sim_text(response, 200, "application/text", a->id);
        else if (!own && vn_str_eq(path, VN_STR("universe/universe-domain")))
                vn_sim_text(response, 200, "application/text", "googleapis.com");
        else if (!own && vn_str_eq(path, VN_STR("instance")))
                vn_sim_text(response, 200, "application/text", "attributes/\nservice-accounts/\n");
        else
                vn_sim_text(response, 404, "text/html", "");
        vn_sim_set_header(response, "metadata-flavor", "Google");
}
