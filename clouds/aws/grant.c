/* AWS: an invoke grant is a session of a role, which the session's own policy narrows to the functions' ARNs. */
#include "clouds/grant.h"

#include "clouds/aws/aws.h"
#include "clouds/aws/sts.h"

#define SHORTEST_S 900 /* AssumeRole takes no less */
#define MAX_POLICY_BYTES 2048

static enum vn_rc session_policy(const struct vn_cloud_function *const *functions, size_t count, struct vn_buf *ret,
                                 struct vn_err *err)
{
        vn_buf_text(ret, "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Action\":"
                         "\"lambda:InvokeFunction\",\"Resource\":[");
        for (size_t i = 0; i < count; i++) {
                if (!functions[i]->resource[0] || strpbrk(functions[i]->resource, "*?"))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "%s: not one function's name", functions[i]->name);
                vn_buf_text(ret, i ? "," : "");
                vn_buf_json_string(ret, vn_str(functions[i]->resource));
        }
        vn_buf_text(ret, "]}]}");
        return vn_buf_check(ret, err);
}

static void write_secret(const struct vn_cloud *cloud, const struct vn_aws_keys *keys,
                         const struct vn_cloud_function *const *functions, size_t count, struct vn_buf *ret)
{
        vn_buf_reserve(ret, 16384); /* a buffer that grows leaves copies behind */
        vn_grant_line(ret, "cloud", VN_STR("aws"));
        vn_grant_line(ret, "region", cloud->config.region);
        vn_grant_line(ret, "access_key_id", keys->access_key_id);
        vn_grant_line(ret, "secret_access_key", keys->secret_access_key);
        vn_grant_line(ret, "session_token", keys->session_token);
        for (size_t i = 0; i < count; i++)
                vn_grant_line(ret, "function", vn_str(functions[i]->name));
}

enum vn_rc vn_aws_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                        uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        policy = VN_BUF_INIT(MAX_POLICY_BYTES);
        struct vn_aws_role role = {.arn = cloud->config.grant_role_arn,
                                   .session_name = VN_STR("vane-grant"),
                                   .seconds = seconds < SHORTEST_S      ? SHORTEST_S
                                              : seconds > VN_AWS_ROLE_S ? VN_AWS_ROLE_S
                                                                        : seconds};
        struct vn_cloud_response answer;
        struct vn_aws_keys keys;

        if (!role.arn.len)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "aws: grant_role_arn is missing from the account: the role whose sessions are grants");
        VN_TRY(session_policy(functions, count, &policy, err));
        role.policy = vn_buf_view(&policy);
        vn_cloud_response_init(&answer);
        enum vn_rc rc = vn_aws_sts_assume(cloud, &role, &answer, &keys, &ret->expires_us, err);
        if (rc == VN_OK)
                write_secret(cloud, &keys, functions, count, &ret->secret);
        if (answer.body.ptr)
                explicit_bzero(answer.body.ptr, answer.body.cap);
        vn_cloud_response_done(&answer);
        ret->honoured_until_us = ret->expires_us;
        snprintf(ret->honoured, sizeof(ret->honoured), "the session's end");
        return rc;
}
