/* AWS: what the keys may do. IAM answers before Lambda looks at the request, so a request that can change nothing tells. */
#include "clouds/aws/aws.h"

/* No function has this revision, and no setting is named besides. */
#define NO_REVISION "{\"RevisionId\":\"00000000-0000-0000-0000-000000000000\"}"

static enum vn_rc ask(struct vn_cloud *cloud, const struct vn_call *question,
                      const struct vn_cloud_function *function, const char *what, bool *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        struct vn_call call = *question;
        char host[128];
        enum vn_rc rc;

        vn_cloud_response_init(&response);
        vn_aws_host(cloud, "lambda", host);
        vn_buf_text(&path, "/2015-03-31/functions/");
        vn_buf_url_encode(&path, vn_str(function->name), false);
        vn_buf_text(&path, what);
        VN_TRY(vn_buf_check(&path, err));
        call.host = host;
        call.path = vn_buf_view(&path);
        call.audience = "lambda";
        call.content_type = "application/json";
        VN_TRY(vn_cloud_send(cloud, &call, &response, err));
        *ret = true;
        if (response.status >= 200 && response.status <= 299)
                return VN_OK;
        rc = vn_call_error(cloud, &response, err);
        *ret = rc != VN_PERMISSION_DENIED;
        /* What else Lambda refuses it refuses after IAM has let it through. */
        return rc == VN_PERMISSION_DENIED || rc == VN_ABORTED || rc == VN_INVALID_ARGUMENT ? VN_OK : rc;
}

enum vn_rc vn_aws_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                      bool *ret_invoke, struct vn_err *err)
{
        struct vn_call change = {.method = "PUT", .body = VN_STR(NO_REVISION)}, invoke = {.method = "POST"};

        invoke.extra[invoke.extra_count++] =
                (struct vn_cloud_header){VN_STR("X-Amz-Invocation-Type"), VN_STR("DryRun")};
        VN_TRY(ask(cloud, &change, function, "/configuration", ret_change, err));
        return ask(cloud, &invoke, function, "/invocations", ret_invoke, err);
}
