/* Keys from endpoints of this host: a container's, and the instance metadata service. */
#include <stdio.h>

#include "clouds/aws/session.h"

#define TIMEOUT_US VN_US_PER_S /* in a container the metadata service's hop limit leaves requests without an answer */
#define ATTEMPTS 2
#define MAX_URL_BYTES 512

static enum vn_rc ask(struct vn_cloud *cloud, struct vn_cloud_request *request, struct vn_cloud_response *ret,
                      struct vn_err *err)
{
        enum vn_rc rc = VN_UNAVAILABLE;
        request->timeout_us = TIMEOUT_US;
        for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
                if (attempt)
                        cloud->transport->sleep_us(cloud->transport->state, 200 * VN_US_PER_MS);
                vn_cloud_response_done(ret);
                vn_cloud_response_init(ret);
                cloud->calls++;
                rc = cloud->transport->send(cloud->transport->state, request, ret, err);
                if (rc == VN_OK && ret->status == 200)
                        return VN_OK;
                if (rc == VN_OK && ret->status < 500)
                        break;
        }
        return rc != VN_OK ? rc : vn_fail(err, VN_UNAVAILABLE, "answered with status %d", ret->status);
}

/* {AccessKeyId, SecretAccessKey, Token, Expiration}, as both endpoints answer. */
static enum vn_rc take_answer(struct vn_aws_session *s, const struct vn_cloud_response *response, const char *place,
                              struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        int64_t expires_us = 0;
        if (vn_json_load(vn_buf_view(&response->body), &root, NULL) != VN_OK)
                return vn_fail(err, VN_DATA_LOSS, "%s: an answer that is no JSON", place);
        struct vn_aws_keys keys = {vn_json_str(root, "AccessKeyId"), vn_json_str(root, "SecretAccessKey"),
                                   vn_json_str(root, "Token")};
        struct vn_str end = vn_json_str(root, "Expiration"), code = vn_json_str(root, "Code");
        if (code.len && !vn_str_eq(code, VN_STR("Success")))
                return vn_fail(err, VN_UNAVAILABLE, "%s: %.*s", place, (int)(code.len < 64 ? code.len : 64),
                               code.ptr);
        if (!keys.access_key_id.len || !keys.secret_access_key.len ||
            (end.len && vn_time_parse(end.ptr, end.len, &expires_us) != VN_OK))
                return vn_fail(err, VN_DATA_LOSS, "%s: an answer without keys, or with an end that is no time",
                               place);
        return vn_aws_session_keep(s, &keys, expires_us, place, err);
}

static enum vn_rc container_header(struct vn_cloud_request *request, struct vn_buf *token, struct vn_err *err)
{
        struct vn_str file = vn_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
                      text = vn_environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        if (file.len)
                VN_TRY(vn_token_read(file, token, &text, err));
        if (!vn_is_visible(text) && !vn_str_starts(text, VN_STR("Basic ")) && !vn_str_starts(text, VN_STR("Bearer ")))
                return vn_fail(err, VN_INVALID_ARGUMENT, "the authorization token has blanks or control characters");
        if (text.len)
                vn_request_header(request, VN_STR("Authorization"), text);
        return VN_OK;
}

enum vn_rc vn_aws_container_keys(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        struct vn_buf token = VN_BUF_INIT(16u << 10);
        struct vn_str relative = vn_environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
                      full = vn_environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
        char url[MAX_URL_BYTES];
        struct vn_cloud_request request = {.method = "GET", .url = url};
        vn_cloud_response_init(&response);
        if (!relative.len && !full.len)
                return vn_fail(err, VN_NOT_FOUND, "container: no endpoint is set");
        int n = relative.len ? snprintf(url, sizeof(url), "http://169.254.170.2%.*s", VN_FMT(relative))
                             : snprintf(url, sizeof(url), "%.*s", VN_FMT(full));
        if (n < 0 || (size_t)n >= sizeof(url) || (relative.len && relative.ptr[0] != '/'))
                return vn_fail(err, VN_INVALID_ARGUMENT, "container: the endpoint is too long, or its path relative");
        enum vn_rc rc = container_header(&request, &token, err);
        if (rc == VN_OK)
                rc = ask(cloud, &request, &response, err);
        if (rc == VN_OK)
                rc = take_answer(s, &response, "container", err);
        vn_wipe(&token);
        vn_wipe(&response.body);
        /* What is set and does not work is a mistake, not a place without keys. */
        return rc == VN_OK ? VN_OK
                           : vn_err_prefix(err, rc == VN_NOT_FOUND ? VN_FAILED_PRECONDITION : rc, "container");
}

static bool is_role_name(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+=,.@_-", s.ptr[i]) ||
                    !s.ptr[i])
                        return false;
        return s.len > 0 && s.len <= 128;
}

static enum vn_rc metadata(struct vn_cloud *cloud, const char *method, const char *path, struct vn_str token,
                           struct vn_cloud_response *ret, struct vn_err *err)
{
        char url[MAX_URL_BYTES];
        struct vn_str at = vn_environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
        struct vn_cloud_request request = {.method = method, .url = url};
        if (!at.len)
                at = VN_STR("http://169.254.169.254");
        if (at.ptr[at.len - 1] == '/')
                at.len--;
        int n = snprintf(url, sizeof(url), "%.*s/latest/%s", VN_FMT(at), path);
        if (n < 0 || (size_t)n >= sizeof(url))
                return vn_fail(err, VN_INVALID_ARGUMENT, "the endpoint is too long");
        if (token.len)
                vn_request_header(&request, VN_STR("X-aws-ec2-metadata-token"), token);
        else
                vn_request_header(&request, VN_STR("X-aws-ec2-metadata-token-ttl-seconds"), VN_STR("21600"));
        return ask(cloud, &request, ret, err);
}

static enum vn_rc ask_instance(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        VN_AUTO(vn_response)
        session;
        VN_AUTO(vn_response)
        answer;
        char path[192];
        vn_cloud_response_init(&session);
        vn_cloud_response_init(&answer);
        VN_TRY(metadata(cloud, "PUT", "api/token", VN_STR(""), &session, err));
        struct vn_str token = vn_buf_view(&session.body);
        if (!token.len || token.len > 1024 || !vn_is_visible(token))
                return vn_fail(err, VN_DATA_LOSS, "a session token that is none");
        VN_TRY(metadata(cloud, "GET", "meta-data/iam/security-credentials/", token, &answer, err));
        struct vn_str roles = vn_buf_view(&answer.body), role = vn_str_trim(vn_str_cut(&roles, '\n'));
        if (!is_role_name(role))
                return vn_fail(err, VN_NOT_FOUND, "no role belongs to the instance");
        snprintf(path, sizeof(path), "meta-data/iam/security-credentials/%.*s", VN_FMT(role));
        VN_TRY(metadata(cloud, "GET", path, token, &answer, err));
        enum vn_rc rc = take_answer(s, &answer, "instance", err);
        explicit_bzero(answer.body.ptr, answer.body.len);
        return rc;
}

/* The last place asked: on machines that are no EC2 instance nothing answers. */
enum vn_rc vn_aws_instance_keys(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        if (vn_str_eq_nocase(vn_environment("AWS_EC2_METADATA_DISABLED"), VN_STR("true")))
                return vn_fail(err, VN_NOT_FOUND, "instance metadata: switched off");
        enum vn_rc rc = ask_instance(cloud, s, err);
        if (rc == VN_UNAVAILABLE || rc == VN_DEADLINE_EXCEEDED)
                rc = VN_NOT_FOUND;
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "instance metadata");
}
