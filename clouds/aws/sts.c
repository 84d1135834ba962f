#include "clouds/aws/sts.h"

#include <stdio.h>

#include "clouds/aws/aws.h"

#define MAX_FORM_BYTES (64u << 10) /* a web identity's token has some kilobytes */

struct vn_str vn_aws_xml_text(struct vn_str xml, const char *name)
{
        char open[48], close[48];
        const char *from, *to;
        int open_len = snprintf(open, sizeof(open), "<%s>", name),
            close_len = snprintf(close, sizeof(close), "</%s>", name);
        if (!xml.len || open_len < 0 || close_len < 0 || (size_t)close_len >= sizeof(close))
                return (struct vn_str){0};
        from = memmem(xml.ptr, xml.len, open, (size_t)open_len);
        if (!from)
                return (struct vn_str){0};
        from += open_len;
        to = memmem(from, (size_t)(xml.ptr + xml.len - from), close, (size_t)close_len);
        if (!to || memchr(from, '<', (size_t)(to - from)) || memchr(from, '&', (size_t)(to - from)))
                return (struct vn_str){0};
        return vn_str_n(from, (size_t)(to - from));
}

static void field(struct vn_buf *form, const char *name, struct vn_str value)
{
        if (!value.len)
                return;
        vn_buf_printf(form, "&%s=", name);
        vn_buf_url_encode(form, value, false);
}

static enum vn_rc refused(const struct vn_cloud_response *answer, struct vn_err *err)
{
        struct vn_str code = vn_aws_xml_text(vn_buf_view(&answer->body), "Code");
        enum vn_rc rc = answer->status >= 500 || answer->status == 429 || vn_str_eq(code, VN_STR("Throttling"))
                                ? VN_UNAVAILABLE
                        : answer->status == 403 && vn_str_eq(code, VN_STR("AccessDenied")) ? VN_PERMISSION_DENIED
                                                                                           : VN_UNAUTHENTICATED;
        if (!code.ptr || code.len > 64)
                code = VN_STR("no code");
        return vn_fail(err, rc, "sts: status %d, %.*s", answer->status, VN_FMT(code));
}

enum vn_rc vn_aws_sts_assume(struct vn_cloud *cloud, const struct vn_aws_role *role, struct vn_cloud_response *answer,
                             struct vn_aws_keys *ret, int64_t *ret_expires_us, struct vn_err *err)
{
        struct vn_buf form = VN_BUF_INIT(MAX_FORM_BYTES);
        char host[128], seconds[16];
        bool web = role->web_identity_token.len > 0;
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .path = VN_STR("/"),
                               .content_type = "application/x-www-form-urlencoded",
                               .audience = "sts",
                               .anonymous = web};
        vn_aws_host(cloud, "sts", host);
        snprintf(seconds, sizeof(seconds), "%u", role->seconds ? role->seconds : VN_AWS_ROLE_S);
        vn_buf_printf(&form, "Action=%s&Version=2011-06-15", web ? "AssumeRoleWithWebIdentity" : "AssumeRole");
        field(&form, "RoleArn", role->arn);
        field(&form, "RoleSessionName", role->session_name);
        field(&form, "DurationSeconds", vn_str(seconds));
        field(&form, "ExternalId", role->external_id);
        field(&form, "Policy", role->policy);
        field(&form, "WebIdentityToken", role->web_identity_token);
        call.body = vn_buf_view(&form);
        enum vn_rc rc = vn_buf_check(&form, err);
        if (rc == VN_OK)
                rc = vn_cloud_send(cloud, &call, answer, err); /* makes nothing, so it may be repeated */
        if (form.ptr)
                explicit_bzero(form.ptr, form.len);
        vn_buf_done(&form);
        if (rc != VN_OK)
                return rc;
        if (answer->status != 200)
                return refused(answer, err);
        struct vn_str xml = vn_buf_view(&answer->body), end = vn_aws_xml_text(xml, "Expiration");
        *ret = (struct vn_aws_keys){vn_aws_xml_text(xml, "AccessKeyId"), vn_aws_xml_text(xml, "SecretAccessKey"),
                                    vn_aws_xml_text(xml, "SessionToken")};
        if (!ret->access_key_id.len || !ret->secret_access_key.len || !ret->session_token.len || !end.len ||
            vn_time_parse(end.ptr, end.len, ret_expires_us) != VN_OK)
                return vn_fail(err, VN_DATA_LOSS, "sts: an answer without keys, or without their end");
        return VN_OK;
}
