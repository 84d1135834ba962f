/* The metadata server of Google's machines, containers and functions. */
#include <stdio.h>

#include "clouds/gcp/credentials.h"

#define MAX_URL_BYTES 2048
#define ACCOUNT "instance/service-accounts/default/"

static bool may_come(int status)
{
        return status == 429 || status >= 500;
}

/* What does not say that it is Google's is a stranger at that address. */
static enum vn_rc ask(struct vn_cloud *cloud, struct vn_str path, struct vn_cloud_response *ret, struct vn_err *err)
{
        struct vn_str host = vn_environment("GCE_METADATA_HOST");
        VN_AUTO(vn_buf)
        url = VN_BUF_INIT(MAX_URL_BYTES);
        struct vn_cloud_request request = {.method = "GET"};
        if (vn_str_eq_nocase(vn_environment("NO_GCE_CHECK"), VN_STR("true")))
                return vn_fail(err, VN_NOT_FOUND, "switched off");
        if (!host.len || vn_str_eq(host, VN_STR("metadata.google.internal")))
                host = VN_STR("169.254.169.254"); /* a name could be resolved to anywhere */
        vn_buf_printf(&url, "http://%.*s/computeMetadata/v1/%.*s", VN_FMT(host), VN_FMT(path));
        VN_TRY(vn_buf_check(&url, err));
        request.url = url.ptr;
        vn_request_header(&request, VN_STR("Metadata-Flavor"), VN_STR("Google"));
        VN_TRY(vn_host_ask(cloud, &request, may_come, ret, err));
        if (!vn_str_eq(vn_cloud_response_header(ret, "metadata-flavor"), VN_STR("Google")))
                return vn_fail(err, VN_NOT_FOUND, "what answers is no metadata server");
        if (ret->status == 404)
                return vn_fail(err, VN_NOT_FOUND, "no service account belongs to this host");
        return ret->status == 200 ? VN_OK : vn_fail(err, VN_UNAVAILABLE, "answered with status %d", ret->status);
}

static enum vn_rc take_id_token(struct vn_cloud *cloud, const char *audience, struct vn_str text,
                                const struct vn_cloud_token **ret, struct vn_err *err)
{
        text = vn_without_line_end(text);
        if (!text.len || !vn_is_visible(text))
                return vn_fail(err, VN_DATA_LOSS, "an answer without a token");
        return vn_token_store(cloud, audience, text,
                              vn_jwt_end_us(text, vn_now_us(cloud->clock) + VN_GCP_LIFE_S * VN_US_PER_S), ret, err);
}

static enum vn_rc take_access_token(struct vn_cloud *cloud, struct vn_str text, const struct vn_cloud_token **ret,
                                    struct vn_err *err)
{
        VN_AUTO(vn_json)
        answer = NULL;
        if (vn_json_load(text, &answer, NULL) != VN_OK)
                return vn_fail(err, VN_DATA_LOSS, "an answer that is no JSON");
        return vn_gcp_keep_token(cloud, answer, "", ret, err);
}

enum vn_rc vn_gcp_metadata_token(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                                 struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(MAX_URL_BYTES);
        vn_cloud_response_init(&response);
        if (audience[0]) {
                vn_buf_text(&path, ACCOUNT "identity?audience=");
                vn_buf_url_encode(&path, vn_str(audience), false);
                vn_buf_text(&path, "&format=full");
        } else {
                vn_buf_text(&path, ACCOUNT "token?scopes=");
                vn_buf_url_encode(&path, vn_str(VN_GCP_SCOPE), false);
        }
        VN_TRY(vn_buf_check(&path, err));
        enum vn_rc rc = ask(cloud, vn_buf_view(&path), &response, err);
        if (rc == VN_OK)
                rc = audience[0] ? take_id_token(cloud, audience, vn_buf_view(&response.body), ret, err)
                                 : take_access_token(cloud, vn_buf_view(&response.body), ret, err);
        if (response.body.ptr)
                explicit_bzero(response.body.ptr, response.body.len);
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "metadata server");
}

enum vn_rc vn_gcp_metadata_project(struct vn_cloud *cloud, struct vn_buf *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        vn_cloud_response_init(&response);
        enum vn_rc rc = ask(cloud, VN_STR("project/project-id"), &response, err);
        struct vn_str text = vn_without_line_end(vn_buf_view(&response.body));
        for (size_t i = 0; rc == VN_OK && i < text.len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.:", text.ptr[i]) || !text.ptr[i])
                        rc = vn_fail(err, VN_DATA_LOSS, "an answer that is no project id");
        if (rc == VN_OK && !text.len)
                rc = vn_fail(err, VN_DATA_LOSS, "an answer without a project id");
        if (rc != VN_OK)
                return vn_err_prefix(err, rc, "metadata server");
        vn_buf_str(ret, text);
        return vn_buf_check(ret, err);
}
