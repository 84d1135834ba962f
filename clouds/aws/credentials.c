#include "clouds/aws/credentials.h"

#include <stdio.h>
#include <stdlib.h>

#include "clouds/aws/profile.h"

#define AHEAD_US (5 * VN_US_PER_MIN)
#define ASK_AGAIN_US VN_US_PER_MIN
#define TIMEOUT_US VN_US_PER_S /* in a container the metadata service's hop limit leaves requests without an answer */
#define ATTEMPTS 2
#define MAX_FILE_BYTES (256u << 10)
#define MAX_URL_BYTES 512

struct vn_aws_session {
        char access_key_id[160], secret_access_key[192], session_token[8192];
        int64_t expires_us;   /* 0: never */
        int64_t ask_again_us; /* not asked anew before, while the old ones hold */
        bool fixed;           /* the account's description holds them */
};

/* A place that has no keys says NOT_FOUND and why; any other error ends the search. */
typedef enum vn_rc (*place_fn)(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err);

static struct vn_str environment(const char *name)
{
        return vn_str(getenv(name));
}

static bool is_visible(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
                        return false;
        return true;
}

static enum vn_rc keep(struct vn_aws_session *s, const struct vn_aws_keys *keys, int64_t expires_us,
                       const char *place, struct vn_err *err)
{
        if (!is_visible(keys->access_key_id) || !is_visible(keys->secret_access_key) ||
            !is_visible(keys->session_token))
                return vn_fail(err, VN_DATA_LOSS, "%s: a key with blanks or control characters in it", place);
        if (!vn_str_copy(s->access_key_id, sizeof(s->access_key_id), keys->access_key_id) ||
            !vn_str_copy(s->secret_access_key, sizeof(s->secret_access_key), keys->secret_access_key) ||
            !vn_str_copy(s->session_token, sizeof(s->session_token), keys->session_token))
                return vn_fail(err, VN_DATA_LOSS, "%s: a key that is too long", place);
        s->expires_us = expires_us;
        return VN_OK;
}

/* --- environment and shared files --- */

static enum vn_rc from_environment(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        struct vn_aws_keys keys = {environment("AWS_ACCESS_KEY_ID"), environment("AWS_SECRET_ACCESS_KEY"),
                                   environment("AWS_SESSION_TOKEN")};
        (void)cloud;
        if (keys.access_key_id.len && keys.secret_access_key.len)
                return keep(s, &keys, 0, "environment", err);
        if (environment("AWS_WEB_IDENTITY_TOKEN_FILE").len)
                return vn_fail(err, VN_FAILED_PRECONDITION, "AWS_WEB_IDENTITY_TOKEN_FILE: not supported");
        return vn_fail(err, VN_NOT_FOUND,
                       "environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set");
}

static enum vn_rc read_shared(const char *variable, const char *in_home, struct vn_buf *ret, struct vn_err *err)
{
        char path[1024];
        struct vn_str named = environment(variable), home = environment("HOME");
        int n = named.len ? snprintf(path, sizeof(path), "%.*s", VN_FMT(named))
                          : snprintf(path, sizeof(path), "%.*s/.aws/%s", VN_FMT(home), in_home);
        if (n < 0 || (size_t)n >= sizeof(path))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: a path that is too long", variable);
        enum vn_rc rc = vn_file_read(path, ret, err);
        return rc == VN_NOT_FOUND ? VN_OK : rc;
}

struct shared {
        struct vn_buf credentials, config;
        struct vn_str profile;
};

static struct vn_str setting(const struct shared *f, const char *name)
{
        struct vn_str value = vn_aws_profile_value(vn_buf_view(&f->credentials), false, f->profile, vn_str(name));
        return value.len ? value : vn_aws_profile_value(vn_buf_view(&f->config), true, f->profile, vn_str(name));
}

static enum vn_rc keys_of_profile(const struct shared *f, struct vn_aws_session *s, struct vn_err *err)
{
        /* Each of them means other keys than the profile's own. */
        static const char *const refused[] = {"role_arn", "credential_process", "sso_session", "sso_start_url"};
        struct vn_aws_keys keys = {setting(f, "aws_access_key_id"), setting(f, "aws_secret_access_key"),
                                   setting(f, "aws_session_token")};
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
                if (setting(f, refused[i]).len)
                        return vn_fail(err, VN_FAILED_PRECONDITION, "profile \"%.*s\": %s is not supported",
                                       VN_FMT(f->profile), refused[i]);
        if (!keys.access_key_id.len || !keys.secret_access_key.len)
                return vn_fail(err, VN_NOT_FOUND, "profile \"%.*s\": no keys", VN_FMT(f->profile));
        return keep(s, &keys, 0, "shared files", err);
}

static void wipe(struct vn_buf *buf)
{
        if (buf->ptr)
                explicit_bzero(buf->ptr, buf->len);
        vn_buf_done(buf);
}

static enum vn_rc from_profile(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        struct shared f = {VN_BUF_INIT(MAX_FILE_BYTES), VN_BUF_INIT(MAX_FILE_BYTES), cloud->config.profile};
        if (!f.profile.len)
                f.profile = environment("AWS_PROFILE");
        if (!f.profile.len)
                f.profile = VN_STR("default");
        enum vn_rc rc = read_shared("AWS_SHARED_CREDENTIALS_FILE", "credentials", &f.credentials, err);
        if (rc == VN_OK)
                rc = read_shared("AWS_CONFIG_FILE", "config", &f.config, err);
        if (rc == VN_OK)
                rc = keys_of_profile(&f, s, err);
        wipe(&f.credentials);
        wipe(&f.config);
        return rc;
}

/* --- endpoints on this host --- */

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
        return keep(s, &keys, expires_us, place, err);
}

static enum vn_rc container_header(struct vn_cloud_request *request, struct vn_buf *token, struct vn_err *err)
{
        struct vn_str file = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"),
                      text = environment("AWS_CONTAINER_AUTHORIZATION_TOKEN");
        if (file.len) { /* read each time: it is replaced before it ends */
                VN_TRY(vn_file_read(file.ptr, token, err));
                text = vn_buf_view(token);
                while (text.len && (text.ptr[text.len - 1] == '\n' || text.ptr[text.len - 1] == '\r'))
                        text.len--;
        }
        if (!is_visible(text) && !vn_str_starts(text, VN_STR("Basic ")) && !vn_str_starts(text, VN_STR("Bearer ")))
                return vn_fail(err, VN_INVALID_ARGUMENT, "the authorization token has blanks or control characters");
        if (text.len)
                vn_request_header(request, VN_STR("Authorization"), text);
        return VN_OK;
}

static enum vn_rc from_container(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        struct vn_buf token = VN_BUF_INIT(16u << 10);
        struct vn_str relative = environment("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
                      full = environment("AWS_CONTAINER_CREDENTIALS_FULL_URI");
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
        wipe(&token);
        wipe(&response.body);
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "container");
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
        struct vn_str at = environment("AWS_EC2_METADATA_SERVICE_ENDPOINT");
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

static enum vn_rc instance_keys(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
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
        if (!token.len || token.len > 1024 || !is_visible(token))
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
static enum vn_rc from_instance(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        if (vn_str_eq_nocase(environment("AWS_EC2_METADATA_DISABLED"), VN_STR("true")))
                return vn_fail(err, VN_NOT_FOUND, "instance metadata: switched off");
        enum vn_rc rc = instance_keys(cloud, s, err);
        if (rc == VN_UNAVAILABLE || rc == VN_DEADLINE_EXCEEDED)
                rc = VN_NOT_FOUND;
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "instance metadata");
}

/* --- which, and when --- */

static enum vn_rc find_keys(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        static const place_fn places[] = {from_environment, from_profile, from_container, from_instance};
        bool named = cloud->config.profile.len > 0;
        VN_AUTO(vn_buf)
        why = VN_BUF_INIT(2048);
        if (named)
                return from_profile(cloud, s, err);
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                struct vn_err here = {0};
                enum vn_rc rc = places[i](cloud, s, &here);
                if (rc != VN_NOT_FOUND) {
                        if (rc != VN_OK && err)
                                *err = here;
                        return rc;
                }
                vn_buf_printf(&why, "%s%s", i ? "; " : "", here.msg);
        }
        return vn_fail(err, VN_UNAUTHENTICATED, "no AWS keys: %.*s", VN_FMT(vn_buf_view(&why)));
}

static enum vn_rc session_of(struct vn_cloud *cloud, struct vn_err *err)
{
        const struct vn_cloud_config *c = &cloud->config;
        struct vn_aws_keys keys = {c->access_key_id, c->secret_access_key, c->session_token};
        struct vn_aws_session *s = vn_alloc(sizeof(*s));
        enum vn_rc rc;
        if (!s)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for keys");
        s->fixed = keys.access_key_id.len > 0;
        rc = s->fixed ? keep(s, &keys, 0, "account", err) : find_keys(cloud, s, err);
        if (rc == VN_OK)
                cloud->aws = s;
        else
                vn_aws_session_free(s);
        return rc;
}

/* New keys take the old ones' place only when they are whole. */
static enum vn_rc renew(struct vn_cloud *cloud, int64_t now_us, struct vn_err *err)
{
        struct vn_aws_session *old = cloud->aws;
        if (old->ask_again_us > now_us)
                return VN_OK;
        old->ask_again_us = now_us + ASK_AGAIN_US;
        cloud->aws = NULL;
        enum vn_rc rc = session_of(cloud, err);
        if (rc == VN_OK) {
                vn_aws_session_free(old);
                return VN_OK;
        }
        cloud->aws = old;
        return rc;
}

enum vn_rc vn_aws_keys(struct vn_cloud *cloud, struct vn_aws_keys *ret, struct vn_err *err)
{
        int64_t now_us = vn_now_us(cloud->clock) + cloud->clock_offset_us;
        if (!cloud->aws)
                VN_TRY(session_of(cloud, err));
        else if (cloud->aws->expires_us && now_us > cloud->aws->expires_us - AHEAD_US) {
                enum vn_rc rc = renew(cloud, now_us, err);
                if (cloud->aws->expires_us && now_us >= cloud->aws->expires_us)
                        return rc != VN_OK ? rc
                                           : vn_fail(err, VN_UNAUTHENTICATED,
                                                     "the AWS keys have ended, and no new ones "
                                                     "are to be had");
        }
        *ret = (struct vn_aws_keys){vn_str(cloud->aws->access_key_id), vn_str(cloud->aws->secret_access_key),
                                    vn_str(cloud->aws->session_token)};
        return VN_OK;
}

bool vn_aws_keys_expired(struct vn_cloud *cloud)
{
        struct vn_err err;
        if (!cloud->aws || cloud->aws->fixed)
                return false;
        return renew(cloud, vn_now_us(cloud->clock) + cloud->clock_offset_us, &err) == VN_OK;
}

struct vn_aws_session *vn_aws_session_free(struct vn_aws_session *session)
{
        vn_free_secret(session, session ? sizeof(*session) : 0);
        return NULL;
}
