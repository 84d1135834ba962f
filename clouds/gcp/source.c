/* Credential files: what they may say, and what is refused. */
#include <arpa/inet.h>

#include "clouds/gcp/credentials.h"

#define DEFAULT_TOKEN_URI VN_STR("https://oauth2.googleapis.com/token")
#define GENERATE VN_STR(":generateAccessToken")

struct vn_gcp_source *vn_gcp_source_free(struct vn_gcp_source *source)
{
        if (!source)
                return NULL;
        vn_gcp_source_free(source->via); /* which has none */
        json_decref(source->root);
        vn_free(source);
        return NULL;
}

static bool is_googles(struct vn_str host)
{
        struct vn_str tail = VN_STR(".googleapis.com");
        return vn_str_eq(host, VN_STR("accounts.google.com")) || /* of keys of before 2018 */
               (host.len > tail.len && vn_str_eq_nocase(vn_str_n(host.ptr + host.len - tail.len, tail.len), tail));
}

static enum vn_rc check_url(struct vn_str url, bool any_host, const char *what, struct vn_err *err)
{
        struct vn_str host, path, query;
        VN_TRY(vn_account_need(url, what, err));
        if (!vn_str_starts(url, VN_STR("https://")) || vn_link_split(url, &host, &path, &query, NULL) != VN_OK ||
            !vn_is_host(host))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s is not https://HOST/...", what);
        if (!any_host && !is_googles(host))
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "%s: %.*s is none of Google's hosts, to which tokens may go", what,
                               (int)(host.len < 80 ? host.len : 80), host.ptr);
        return VN_OK;
}

static bool is_this_host(struct vn_str host)
{
        struct vn_str name = vn_str_cut(&host, ':');
        char text[INET_ADDRSTRLEN];
        struct in_addr address;
        if (vn_str_eq(name, VN_STR("localhost")))
                return true;
        if (!vn_str_copy(text, sizeof(text), name) || inet_pton(AF_INET, text, &address) != 1)
                return false;
        uint32_t bits = ntohl(address.s_addr);
        return bits >> 24 == 127 || bits >> 16 == 0xa9fe; /* link-local: 169.254.0.0/16 */
}

static enum vn_rc check_subject_url(struct vn_str url, bool any_host, struct vn_err *err)
{
        struct vn_str host, path, query;
        if (!vn_str_starts(url, VN_STR("http://")))
                return check_url(url, any_host, "credential_source.url", err);
        if (vn_link_split(url, &host, &path, &query, NULL) != VN_OK || !vn_is_host(host) || !is_this_host(host))
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "credential_source.url: plain http is for endpoints of this host only");
        return VN_OK;
}

/* --- external accounts --- */

static enum vn_rc read_headers(json_t *source, struct vn_gcp_source *ret, struct vn_err *err)
{
        const char *name;
        json_t *value;
        json_object_foreach(json_object_get(source, "headers"), name, value)
        {
                struct vn_cloud_header header = {vn_str(name), vn_str(json_string_value(value))};
                if (ret->subject_header_count == VN_GCP_MAX_SUBJECT_HEADERS || !vn_is_visible(header.name) ||
                    !header.name.len || !header.value.ptr || !vn_is_visible(header.value))
                        return vn_fail(err, VN_INVALID_ARGUMENT,
                                       "credential_source.headers: too many, or one that is no header");
                ret->subject_headers[ret->subject_header_count++] = header;
        }
        return VN_OK;
}

static enum vn_rc read_subject(json_t *root, bool any_host, struct vn_gcp_source *ret, struct vn_err *err)
{
        static const struct {
                const char *name, *why;
        } refused[] = {{"executable", "a program is not run for its output"},
                       {"environment_id", "AWS's signature is not made for it"},
                       {"certificate", "mutual TLS with Google is not spoken"}};
        json_t *source = json_object_get(root, "credential_source");
        struct vn_str format = vn_json_str(source, "format.type");
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
                if (json_object_get(source, refused[i].name))
                        return vn_fail(err, VN_FAILED_PRECONDITION,
                                       "an external account by \"%s\" is not supported: %s", refused[i].name,
                                       refused[i].why);
        ret->subject_file = vn_json_str(source, "file");
        ret->subject_url = vn_json_str(source, "url");
        if (!ret->subject_file.len == !ret->subject_url.len)
                return vn_fail(err, VN_INVALID_ARGUMENT, "credential_source names neither a file nor a url, or both");
        if (ret->subject_url.len)
                VN_TRY(check_subject_url(ret->subject_url, any_host, err));
        if (vn_str_eq(format, VN_STR("json"))) {
                ret->subject_field = vn_json_str(source, "format.subject_token_field_name");
                VN_TRY(vn_account_need(ret->subject_field, "subject_token_field_name", err));
        } else if (format.len && !vn_str_eq(format, VN_STR("text"))) {
                return vn_fail(err, VN_INVALID_ARGUMENT, "credential_source.format is neither text nor json");
        }
        return read_headers(source, ret, err);
}

static enum vn_rc read_impersonation(json_t *root, bool any_host, struct vn_gcp_source *ret, struct vn_err *err)
{
        ret->impersonate_url = vn_json_str(root, "service_account_impersonation_url");
        VN_TRY(check_url(ret->impersonate_url, any_host, "service_account_impersonation_url", err));
        return vn_str_ends(ret->impersonate_url, GENERATE)
                       ? VN_OK
                       : vn_fail(err, VN_INVALID_ARGUMENT,
                                 "service_account_impersonation_url does not end in :generateAccessToken");
}

static enum vn_rc read_external(json_t *root, bool any_host, struct vn_gcp_source *ret, struct vn_err *err)
{
        ret->kind = VN_GCP_EXTERNAL;
        ret->audience = vn_json_str(root, "audience");
        ret->subject_type = vn_json_str(root, "subject_token_type");
        ret->token_url = vn_json_str(root, "token_url");
        if (json_object_get(root, "workforce_pool_user_project"))
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "a workforce pool's account is a person's: not supported");
        VN_TRY(vn_account_need(ret->audience, "audience of the external account", err));
        VN_TRY(vn_account_need(ret->subject_type, "subject_token_type", err));
        VN_TRY(check_url(ret->token_url, any_host, "token_url", err));
        if (json_object_get(root, "service_account_impersonation_url"))
                VN_TRY(read_impersonation(root, any_host, ret, err));
        return read_subject(root, any_host, ret, err);
}

/* --- keys and impersonated accounts --- */

static enum vn_rc read_key(json_t *root, bool any_host, struct vn_gcp_source *ret, struct vn_err *err)
{
        ret->kind = VN_GCP_KEY;
        ret->email = vn_json_str(root, "client_email");
        ret->pem = vn_json_str(root, "private_key");
        ret->token_uri = vn_json_str(root, "token_uri");
        if (!ret->token_uri.len)
                ret->token_uri = DEFAULT_TOKEN_URI;
        VN_TRY(vn_account_need(ret->email, "client_email of the key", err));
        VN_TRY(vn_account_need(ret->pem, "private_key of the key", err));
        return check_url(ret->token_uri, any_host, "token_uri", err);
}

static enum vn_rc read_simple(json_t *root, bool any_host, struct vn_gcp_source *ret, struct vn_err *err)
{
        struct vn_str type = vn_json_str(root, "type"), universe = vn_json_str(root, "universe_domain");
        ret->root = json_incref(root);
        ret->project = vn_json_str(root, "project_id");
        if (universe.len && !vn_str_eq(universe, VN_STR("googleapis.com")))
                return vn_fail(err, VN_FAILED_PRECONDITION, "credentials of another universe_domain");
        if (!type.len || vn_str_eq(type, VN_STR("service_account")))
                return read_key(root, any_host, ret, err);
        if (vn_str_eq(type, VN_STR("external_account")))
                return read_external(root, any_host, ret, err);
        if (vn_str_eq(type, VN_STR("authorized_user")))
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "authorized_user is a person's own login, which an agent does not act as: give it a "
                               "service account");
        return vn_fail(err, VN_FAILED_PRECONDITION, "credentials of the type \"%.*s\" are not supported",
                       (int)(type.len < 40 ? type.len : 40), type.ptr);
}

static enum vn_rc read_impersonated(json_t *root, bool any_host, struct vn_gcp_source *ret, struct vn_err *err)
{
        json_t *source = json_object_get(root, "source_credentials"), *delegate;
        size_t i;
        ret->kind = VN_GCP_IMPERSONATED;
        ret->root = json_incref(root);
        ret->delegates = json_object_get(root, "delegates");
        json_array_foreach(ret->delegates, i, delegate) if (!json_is_string(delegate)) return vn_fail(
                err, VN_INVALID_ARGUMENT, "delegates are not all texts");
        VN_TRY(read_impersonation(root, any_host, ret, err));
        if (!json_is_object(source))
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: source_credentials is missing");
        ret->via = vn_alloc(sizeof(*ret->via));
        if (!ret->via)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        VN_TRY(read_simple(source, any_host, ret->via, err)); /* so not another impersonated one */
        ret->project = ret->via->project;
        return VN_OK;
}

enum vn_rc vn_gcp_source_parse(struct vn_str text, bool any_host, struct vn_gcp_source **ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        VN_AUTO(vn_gcp_source)
        source = vn_alloc(sizeof(*source));
        if (!source)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        enum vn_rc rc = vn_json_load(text, &root, NULL);
        if (rc == VN_RESOURCE_EXHAUSTED)
                return vn_fail(err, rc, "out of memory for an account");
        if (rc != VN_OK || !json_is_object(root))
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: not a credential file (key_json)");
        VN_TRY(vn_str_eq(vn_json_str(root, "type"), VN_STR("impersonated_service_account"))
                       ? read_impersonated(root, any_host, source, err)
                       : read_simple(root, any_host, source, err));
        *ret = vn_steal(&source);
        return VN_OK;
}
