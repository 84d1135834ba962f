#include "clouds/gcp/credentials.h"

#include <stdio.h>

#define MAX_FILE_BYTES (64u << 10)
#define MAX_BODY_BYTES (64u << 10)
#define GENERATE_BYTES strlen(":generateAccessToken")

/* Where the access tokens of a chain are kept: the account's own, and those that ask for it. */
static const char *const slots[] = {"", "source:", "source:source:"};

/* --- impersonation --- */

static enum vn_rc write_body(const struct vn_gcp_source *source, const char *audience, struct vn_buf *ret,
                             struct vn_err *err)
{
        json_t *delegate;
        size_t i;
        if (audience[0]) {
                vn_buf_text(ret, "{\"audience\":");
                vn_buf_json_string(ret, vn_str(audience));
                vn_buf_text(ret, ",\"includeEmail\":true");
        } else {
                vn_buf_text(ret, "{\"scope\":[\"" VN_GCP_SCOPE "\"]");
                vn_buf_printf(ret, ",\"lifetime\":\"%ds\"", VN_GCP_LIFE_S);
        }
        if (json_array_size(source->delegates)) {
                vn_buf_text(ret, ",\"delegates\":[");
                json_array_foreach(source->delegates, i, delegate)
                {
                        vn_buf_text(ret, i ? "," : "");
                        vn_buf_json_string(ret, vn_str(json_string_value(delegate)));
                }
                vn_buf_char(ret, ']');
        }
        vn_buf_char(ret, '}');
        return vn_buf_check(ret, err);
}

static enum vn_rc keep_generated(struct vn_cloud *cloud, const char *audience, json_t *answer, const char *slot,
                                 const struct vn_cloud_token **ret, struct vn_err *err)
{
        struct vn_str token = vn_json_str(answer, audience[0] ? "token" : "accessToken"),
                      end = vn_json_str(answer, "expireTime");
        int64_t expires_us = vn_jwt_end_us(token, vn_now_us(cloud->clock) + VN_GCP_LIFE_S * VN_US_PER_S);
        if (!vn_is_visible(token) ||
            (!audience[0] && (!end.len || vn_time_parse(end.ptr, end.len, &expires_us) != VN_OK)))
                return vn_fail(err, VN_DATA_LOSS, "impersonation: an answer without a token, or without its end");
        return vn_token_store(cloud, slot, token, expires_us, ret, err);
}

/* One call of :generateAccessToken or :generateIdToken with the token of whoever may ask. */
static enum vn_rc generate(struct vn_cloud *cloud, const struct vn_gcp_source *source, const char *audience,
                           const struct vn_cloud_token *asking, const char *slot, const struct vn_cloud_token **ret,
                           struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(1024);
        VN_AUTO(vn_buf)
        body = VN_BUF_INIT(MAX_BODY_BYTES);
        struct vn_buf bearer = VN_BUF_INIT(MAX_BODY_BYTES);
        char host[VN_CLOUD_URL_BYTES];
        struct vn_call call = {.method = "POST", .host = host, .anonymous = true, .content_type = "application/json"};
        struct vn_str name, base;
        vn_cloud_response_init(&response);
        VN_TRY(vn_link_split(source->impersonate_url, &name, &base, &call.query, err));
        vn_text_copy(host, sizeof(host), name);
        if (audience[0])
                vn_buf_printf(&path, "%.*s:generateIdToken", (int)(base.len - GENERATE_BYTES), base.ptr);
        else
                vn_buf_str(&path, base);
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(write_body(source, audience, &body, err));
        vn_buf_printf(&bearer, "Bearer %s", asking->text);
        enum vn_rc rc = vn_buf_check(&bearer, err);
        call.path = vn_buf_view(&path);
        call.body = vn_buf_view(&body);
        call.extra[call.extra_count++] = (struct vn_cloud_header){VN_STR("Authorization"), vn_buf_view(&bearer)};
        if (rc == VN_OK)
                rc = vn_call_json(cloud, &call, &response, &answer, err); /* makes nothing, so it may be repeated */
        vn_wipe(&bearer);
        if (rc == VN_OK)
                rc = keep_generated(cloud, audience, answer, slot, ret, err);
        if (response.body.ptr)
                explicit_bzero(response.body.ptr, response.body.len);
        return rc;
}

static enum vn_rc access_token(struct vn_cloud *cloud, const struct vn_gcp_source *source, size_t depth,
                               const struct vn_cloud_token **ret, struct vn_err *err);

/* A revoked token of whoever asks is fetched anew once. */
static enum vn_rc impersonate(struct vn_cloud *cloud, const struct vn_gcp_source *source, const char *audience,
                              size_t depth, const char *slot, const struct vn_cloud_token **ret, struct vn_err *err)
{
        enum vn_rc rc = VN_UNAUTHENTICATED;
        VN_ASSERT(depth + 1 < sizeof(slots) / sizeof(slots[0]));
        for (int attempt = 0; attempt < 2 && rc == VN_UNAUTHENTICATED; attempt++) {
                const struct vn_cloud_token *asking = vn_token_find(cloud, slots[depth + 1]);
                bool had_one = asking != NULL;
                if (!asking)
                        VN_TRY(source->via ? access_token(cloud, source->via, depth + 1, &asking, err)
                                           : vn_gcp_exchange(cloud, source, slots[depth + 1], &asking, err));
                rc = generate(cloud, source, audience, asking, slot, ret, err);
                if (rc == VN_UNAUTHENTICATED)
                        vn_token_drop(cloud, slots[depth + 1]);
                if (!had_one)
                        break;
        }
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "impersonation");
}

/* Of a file's account; an impersonated one's source is none, so the chain ends. */
static enum vn_rc access_token(struct vn_cloud *cloud, const struct vn_gcp_source *source, size_t depth,
                               const struct vn_cloud_token **ret, struct vn_err *err)
{
        if (source->impersonate_url.len)
                return impersonate(cloud, source, "", depth, slots[depth], ret, err);
        return source->kind == VN_GCP_KEY ? vn_gcp_key_token(cloud, source, "", slots[depth], ret, err)
                                          : vn_gcp_exchange(cloud, source, slots[depth], ret, err);
}

/* --- places --- */

static enum vn_rc take_file(struct vn_cloud *cloud, const char *path, struct vn_err *err)
{
        struct vn_buf text = VN_BUF_INIT(MAX_FILE_BYTES);
        enum vn_rc rc = vn_file_read(path, &text, err);
        if (rc == VN_OK) {
                rc = vn_gcp_source_parse(vn_buf_view(&text), cloud->config.endpoint.len > 0, &cloud->gcp, err);
                if (rc != VN_OK)
                        rc = vn_err_prefix(err, rc, "%s", path);
        }
        vn_wipe(&text);
        return rc;
}

static enum vn_rc find_source(struct vn_cloud *cloud, struct vn_err *err)
{
        struct vn_str named = vn_environment("GOOGLE_APPLICATION_CREDENTIALS"),
                      gcloud = vn_environment("CLOUDSDK_CONFIG"), home = vn_environment("HOME");
        char path[1024];
        int n = named.len ? snprintf(path, sizeof(path), "%.*s", VN_FMT(named))
                : gcloud.len
                        ? snprintf(path, sizeof(path), "%.*s/application_default_credentials.json", VN_FMT(gcloud))
                        : snprintf(path, sizeof(path), "%.*s/.config/gcloud/application_default_credentials.json",
                                   VN_FMT(home));
        if (n < 0 || (size_t)n >= sizeof(path))
                return vn_fail(err, VN_INVALID_ARGUMENT, "a credential file's path that is too long");
        enum vn_rc rc = take_file(cloud, path, err);
        if (rc != VN_NOT_FOUND)
                return rc;
        if (named.len)
                return vn_fail(err, VN_FAILED_PRECONDITION, "GOOGLE_APPLICATION_CREDENTIALS: there is no %s", path);
        cloud->gcp = vn_alloc(sizeof(*cloud->gcp));
        if (!cloud->gcp)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        cloud->gcp->kind = VN_GCP_METADATA;
        return VN_OK;
}

/* The metadata server is the last place: why the others had nothing is said too. */
static enum vn_rc no_place(enum vn_rc rc, struct vn_err *err)
{
        if (rc != VN_NOT_FOUND)
                return rc;
        return vn_err_prefix(
                err, VN_UNAUTHENTICATED,
                "no GCP credentials: GOOGLE_APPLICATION_CREDENTIALS is not set; gcloud has no application "
                "default credentials");
}

static enum vn_rc fetch(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                        struct vn_err *err)
{
        if (!cloud->gcp)
                VN_TRY(find_source(cloud, err));
        const struct vn_gcp_source *source = cloud->gcp;
        if (source->kind == VN_GCP_METADATA)
                return no_place(vn_gcp_metadata_token(cloud, audience, ret, err), err);
        if (!audience[0])
                return access_token(cloud, source, 0, ret, err);
        if (source->kind == VN_GCP_KEY)
                return vn_gcp_key_token(cloud, source, audience, audience, ret, err);
        if (!source->impersonate_url.len)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "gcp: an external account has ID tokens only with service_account_impersonation_url");
        return impersonate(cloud, source, audience, 0, audience, ret, err);
}

enum vn_rc vn_gcp_id_token(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                           struct vn_err *err)
{
        vn_token_drop(cloud, audience);
        return vn_token_get(cloud, audience, fetch, ret, err);
}

enum vn_rc vn_gcp_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch, struct vn_err *err)
{
        const struct vn_cloud_token *token;

        (void)host;
        VN_TRY(vn_token_get(cloud, call->audience ? call->audience : "", fetch, &token, err));
        return vn_bearer(request, scratch, token, err);
}

static enum vn_rc keep_project(struct vn_cloud *cloud, struct vn_str project, struct vn_err *err)
{
        char *copy = vn_arena_strndup(&cloud->arena, project.ptr ? project.ptr : "", project.len);
        if (!copy)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        cloud->config.project = vn_str_n(copy, project.len);
        return vn_account_need(cloud->config.project, "project", err);
}

enum vn_rc vn_gcp_need_project(struct vn_cloud *cloud, struct vn_err *err)
{
        struct vn_str named = vn_environment("GOOGLE_CLOUD_PROJECT");
        VN_AUTO(vn_buf)
        found = VN_BUF_INIT(256);
        if (cloud->config.project.len)
                return VN_OK;
        if (!cloud->gcp)
                VN_TRY(find_source(cloud, err));
        if (cloud->gcp->project.len || named.len || cloud->gcp->kind != VN_GCP_METADATA)
                return keep_project(cloud, cloud->gcp->project.len ? cloud->gcp->project : named, err);
        VN_TRY(no_place(vn_gcp_metadata_project(cloud, &found, err), err));
        return keep_project(cloud, vn_buf_view(&found), err);
}

enum vn_rc vn_gcp_open(struct vn_cloud *cloud, struct vn_err *err)
{
        const struct vn_cloud_config *c = &cloud->config;

        if (!c->key_json.len)
                return VN_OK; /* looked for when the first call needs it */
        VN_TRY(vn_gcp_source_parse(c->key_json, c->endpoint.len > 0, &cloud->gcp, err));
        return vn_gcp_need_project(cloud, err);
}

void vn_gcp_close(struct vn_cloud *cloud)
{
        cloud->gcp = vn_gcp_source_free(cloud->gcp);
}
