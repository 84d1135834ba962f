/* A managed identity's tokens, from the endpoints of this host: App Service's, and the instance metadata service. */
#include <stdio.h>

#include "clouds/azure/credentials.h"

#define MAX_URL_BYTES 1024
#define LONGEST_S 1e7

enum vn_rc vn_azure_host_answer(json_t *answer, int64_t now_us, struct vn_str *ret_token, int64_t *ret_expires_us,
                                struct vn_err *err)
{
        double seconds = vn_json_pick_number(answer, "expires_in", 0), now_s = (double)now_us / (double)VN_US_PER_S;
        if (!(seconds > 0)) /* App Service gives the instant only */
                seconds = vn_json_pick_number(answer, "expires_on", 0) - now_s;
        *ret_token = vn_json_str(answer, "access_token");
        if (!ret_token->len || !vn_is_visible(*ret_token))
                return vn_fail(err, VN_DATA_LOSS, "an answer without a token");
        if (!(seconds > 0 && seconds < LONGEST_S))
                return vn_fail(err, VN_DATA_LOSS, "a token without lifetime");
        *ret_expires_us = now_us + (int64_t)(seconds * (double)VN_US_PER_S);
        return VN_OK;
}

static bool may_come(int status)
{
        return status == 404 || status == 410 || status == 429 || status >= 500;
}

static enum vn_rc take_answer(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_response *response,
                              const struct vn_cloud_token **ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        answer = NULL;
        struct vn_str token;
        int64_t expires_us;
        if (response->status != 200)
                return vn_fail(err, VN_UNAVAILABLE, "answered with status %d", response->status);
        if (vn_json_load(vn_buf_view(&response->body), &answer, NULL) != VN_OK)
                return vn_fail(err, VN_DATA_LOSS, "an answer that is no JSON");
        VN_TRY(vn_azure_host_answer(answer, vn_now_us(cloud->clock), &token, &expires_us, err));
        return vn_token_store(cloud, scope, token, expires_us, ret, err);
}

/* base?api-version=V&resource=R[&client_id=C]; the client selects one of several identities of the host. */
static enum vn_rc write_url(struct vn_cloud *cloud, struct vn_str base, const char *version, const char *scope,
                            struct vn_buf *url, struct vn_err *err)
{
        struct vn_str resource = vn_str(scope), tail = VN_STR("/.default"), client = cloud->config.client_id;
        if (vn_str_ends(resource, tail))
                resource.len -= tail.len;
        if (!client.len)
                client = vn_environment("AZURE_CLIENT_ID");
        vn_buf_printf(url, "%.*s?api-version=%s&resource=", VN_FMT(base), version);
        vn_buf_url_encode(url, resource, false);
        if (client.len) {
                vn_buf_text(url, "&client_id=");
                vn_buf_url_encode(url, client, false);
        }
        return vn_buf_check(url, err);
}

static enum vn_rc ask(struct vn_cloud *cloud, struct vn_cloud_request *request, const char *scope,
                      const struct vn_cloud_token **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        vn_cloud_response_init(&response);
        VN_TRY(vn_host_ask(cloud, request, may_come, &response, err));
        enum vn_rc rc = response.status == 400
                                ? vn_fail(err, VN_NOT_FOUND, "no such identity is assigned to this host")
                                : take_answer(cloud, scope, &response, ret, err);
        if (response.body.ptr)
                explicit_bzero(response.body.ptr, response.body.len);
        return rc;
}

enum vn_rc vn_azure_app_service_token(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                      struct vn_err *err)
{
        struct vn_str at = vn_environment("IDENTITY_ENDPOINT"), header = vn_environment("IDENTITY_HEADER");
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(MAX_URL_BYTES);
        struct vn_cloud_request request = {.method = "GET"};
        if (!at.len)
                return vn_fail(err, VN_NOT_FOUND, "App Service: IDENTITY_ENDPOINT is not set");
        if (!header.len || vn_environment("IDENTITY_SERVER_THUMBPRINT").len)
                return vn_fail(err, VN_FAILED_PRECONDITION, "managed identity: that of %s is not supported",
                               header.len ? "Service Fabric" : "Azure Arc");
        if (!vn_is_visible(header) || !vn_is_visible(at))
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "App Service: blanks or control characters in its variables");
        VN_TRY(write_url(cloud, at, "2019-08-01", scope, &url, err));
        request.url = url.ptr;
        vn_request_header(&request, VN_STR("X-IDENTITY-HEADER"), header);
        enum vn_rc rc = ask(cloud, &request, scope, ret, err);
        /* What is set and does not work is a mistake, not a place without an identity. */
        return rc == VN_OK ? VN_OK
                           : vn_err_prefix(err, rc == VN_NOT_FOUND ? VN_FAILED_PRECONDITION : rc, "App Service");
}

/* The last place asked: on machines that are not Azure's nothing answers. */
enum vn_rc vn_azure_instance_token(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                   struct vn_err *err)
{
        struct vn_str at = vn_environment("AZURE_POD_IDENTITY_AUTHORITY_HOST");
        VN_AUTO(vn_buf)
        base = VN_BUF_INIT(MAX_URL_BYTES);
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(MAX_URL_BYTES);
        struct vn_cloud_request request = {.method = "GET"};
        if (!at.len)
                at = VN_STR("http://169.254.169.254");
        while (at.len && at.ptr[at.len - 1] == '/')
                at.len--;
        vn_buf_printf(&base, "%.*s/metadata/identity/oauth2/token", VN_FMT(at));
        VN_TRY(vn_buf_check(&base, err));
        VN_TRY(write_url(cloud, vn_buf_view(&base), "2018-02-01", scope, &url, err));
        request.url = url.ptr;
        vn_request_header(&request, VN_STR("Metadata"), VN_STR("true"));
        enum vn_rc rc = ask(cloud, &request, scope, ret, err);
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "instance metadata");
}
