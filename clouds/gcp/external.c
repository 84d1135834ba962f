/* Workload identity federation: a token of another issuer is exchanged for one of Google's (RFC 8693). */
#include "clouds/gcp/credentials.h"

#define MAX_SUBJECT_BYTES (64u << 10)
#define MAX_FORM_BYTES (160u << 10)

enum vn_rc vn_gcp_subject(const struct vn_gcp_source *source, struct vn_str text, json_t **root, struct vn_str *ret,
                          struct vn_err *err)
{
        *ret = vn_without_line_end(text);
        if (source->subject_field.len) {
                if (vn_json_load(text, root, NULL) != VN_OK)
                        return vn_fail(err, VN_DATA_LOSS, "no JSON");
                /* A field's name may have dots in it: no path. */
                *ret = vn_str(json_string_value(json_object_get(*root, source->subject_field.ptr)));
        }
        return ret->len && vn_is_visible(*ret) ? VN_OK : vn_fail(err, VN_DATA_LOSS, "no token");
}

static bool never(int status)
{
        (void)status;
        return false;
}

static enum vn_rc ask_url(struct vn_cloud *cloud, const struct vn_gcp_source *source, struct vn_cloud_response *ret,
                          struct vn_err *err)
{
        struct vn_cloud_request request = {.method = "GET", .url = source->subject_url.ptr};
        char host[VN_CLOUD_URL_BYTES];
        struct vn_call call = {.method = "GET", .host = host, .anonymous = true};
        struct vn_str name;
        if (vn_str_starts(source->subject_url, VN_STR("http://"))) { /* of this host */
                for (size_t i = 0; i < source->subject_header_count; i++)
                        vn_request_header(&request, source->subject_headers[i].name,
                                          source->subject_headers[i].value);
                VN_TRY(vn_host_ask(cloud, &request, never, ret, err));
        } else {
                VN_TRY(vn_link_split(source->subject_url, &name, &call.path, &call.query, err));
                vn_text_copy(host, sizeof(host), name);
                for (; call.extra_count < source->subject_header_count &&
                       call.extra_count < sizeof(call.extra) / sizeof(call.extra[0]);
                     call.extra_count++)
                        call.extra[call.extra_count] = source->subject_headers[call.extra_count];
                VN_TRY(vn_cloud_send(cloud, &call, ret, err));
        }
        return ret->status == 200 ? VN_OK : vn_fail(err, VN_UNAVAILABLE, "answered with status %d", ret->status);
}

static enum vn_rc write_form(const struct vn_gcp_source *source, struct vn_str subject, struct vn_buf *form,
                             struct vn_err *err)
{
        vn_buf_text(form, "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
                          "&requested_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token&audience=");
        vn_buf_url_encode(form, source->audience, false);
        vn_buf_text(form, "&scope=");
        vn_buf_url_encode(form, vn_str(VN_GCP_SCOPE), false);
        vn_buf_text(form, "&subject_token_type=");
        vn_buf_url_encode(form, source->subject_type, false);
        vn_buf_text(form, "&subject_token=");
        vn_buf_url_encode(form, subject, false);
        return vn_buf_check(form, err);
}

/* Reads the subject's token anew and writes it into the form. */
static enum vn_rc prove(struct vn_cloud *cloud, const struct vn_gcp_source *source, struct vn_buf *form,
                        struct vn_err *err)
{
        struct vn_buf file = VN_BUF_INIT(MAX_SUBJECT_BYTES);
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str text = {0}, subject;
        vn_cloud_response_init(&response);
        enum vn_rc rc = source->subject_file.len ? vn_token_read(source->subject_file, &file, &text, err)
                                                 : ask_url(cloud, source, &response, err);
        if (rc == VN_NOT_FOUND && source->subject_file.len)
                rc = vn_fail(err, VN_FAILED_PRECONDITION, "there is no %.*s", VN_FMT(source->subject_file));
        if (!source->subject_file.len)
                text = vn_buf_view(&response.body);
        if (rc == VN_OK)
                rc = vn_gcp_subject(source, text, &root, &subject, err);
        if (rc == VN_OK)
                rc = write_form(source, subject, form, err);
        vn_wipe(&file);
        vn_wipe(&response.body);
        return rc == VN_OK ? VN_OK
                           : vn_err_prefix(err, rc == VN_NOT_FOUND ? VN_FAILED_PRECONDITION : rc, "subject's token");
}

enum vn_rc vn_gcp_exchange(struct vn_cloud *cloud, const struct vn_gcp_source *source, const char *slot,
                           const struct vn_cloud_token **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        struct vn_buf form = VN_BUF_INIT(MAX_FORM_BYTES);
        char host[VN_CLOUD_URL_BYTES];
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .anonymous = true,
                               .content_type = "application/x-www-form-urlencoded"};
        struct vn_str name;
        vn_cloud_response_init(&response);
        VN_TRY(vn_link_split(source->token_url, &name, &call.path, &call.query, err));
        vn_text_copy(host, sizeof(host), name);
        enum vn_rc rc = prove(cloud, source, &form, err);
        call.body = vn_buf_view(&form);
        if (rc == VN_OK) {
                rc = vn_call_json(cloud, &call, &response, &answer, err);
                if (rc == VN_INVALID_ARGUMENT) /* invalid_grant comes as 400 */
                        rc = vn_err_prefix(err, VN_UNAUTHENTICATED, "token exchange");
        }
        vn_wipe(&form);
        if (rc == VN_OK)
                rc = vn_gcp_keep_token(cloud, answer, slot, ret, err);
        if (response.body.ptr)
                explicit_bzero(response.body.ptr, response.body.len);
        return rc;
}
