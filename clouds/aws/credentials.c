#include "clouds/aws/credentials.h"

#include <stdio.h>

#include "clouds/aws/profile.h"
#include "clouds/aws/session.h"
#include "clouds/aws/sts.h"

#define AHEAD_US (5 * VN_US_PER_MIN)
#define ASK_AGAIN_US VN_US_PER_MIN
#define MAX_FILE_BYTES (256u << 10)
#define MAX_TOKEN_BYTES (32u << 10)
#define MAX_ROLES 4 /* one that assumes one that assumes ... */

/* A place that has no keys says NOT_FOUND and why; any other error ends the search. */
typedef enum vn_rc (*place_fn)(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err);

enum vn_rc vn_aws_session_keep(struct vn_aws_session *s, const struct vn_aws_keys *keys, int64_t expires_us,
                               const char *place, struct vn_err *err)
{
        if (!vn_is_visible(keys->access_key_id) || !vn_is_visible(keys->secret_access_key) ||
            !vn_is_visible(keys->session_token))
                return vn_fail(err, VN_DATA_LOSS, "%s: a key with blanks or control characters in it", place);
        if (!vn_str_copy(s->access_key_id, sizeof(s->access_key_id), keys->access_key_id) ||
            !vn_str_copy(s->secret_access_key, sizeof(s->secret_access_key), keys->secret_access_key) ||
            !vn_str_copy(s->session_token, sizeof(s->session_token), keys->session_token))
                return vn_fail(err, VN_DATA_LOSS, "%s: a key that is too long", place);
        s->expires_us = expires_us;
        return VN_OK;
}

/* --- roles --- */

/* Signed with `source`, which is taken; NULL: by the role's token. */
static enum vn_rc assume(struct vn_cloud *cloud, struct vn_aws_session *source, const struct vn_aws_role *role,
                         struct vn_aws_session *s, struct vn_err *err)
{
        struct vn_cloud_response answer;
        struct vn_aws_keys keys;
        int64_t expires_us = 0;
        vn_cloud_response_init(&answer);
        VN_ASSERT(!cloud->aws);
        cloud->aws = source;
        enum vn_rc rc = vn_aws_sts_assume(cloud, role, &answer, &keys, &expires_us, err);
        cloud->aws = NULL;
        if (rc == VN_OK)
                rc = vn_aws_session_keep(s, &keys, expires_us, "sts", err);
        vn_wipe(&answer.body);
        vn_cloud_response_done(&answer);
        vn_aws_session_free(source);
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "role %.*s", VN_FMT(role->arn));
}

static struct vn_str session_name(struct vn_str configured)
{
        struct vn_str set = vn_environment("AWS_ROLE_SESSION_NAME");
        return configured.len ? configured : set.len ? set : VN_STR("vane-agent");
}

static enum vn_rc assume_by_token(struct vn_cloud *cloud, struct vn_str arn, struct vn_str name, struct vn_str file,
                                  struct vn_aws_session *s, struct vn_err *err)
{
        struct vn_buf token = VN_BUF_INIT(MAX_TOKEN_BYTES);
        struct vn_str text = {0};
        if (!arn.len)
                return vn_fail(err, VN_INVALID_ARGUMENT, "web identity: no role");
        enum vn_rc rc = vn_token_read(file, &token, &text, err);
        if (rc == VN_NOT_FOUND)
                rc = vn_fail(err, VN_FAILED_PRECONDITION, "web identity: there is no %.*s", VN_FMT(file));
        if (rc == VN_OK && (!text.len || !vn_is_visible(text)))
                rc = vn_fail(err, VN_DATA_LOSS, "web identity: %.*s holds no token", VN_FMT(file));
        if (rc == VN_OK)
                rc = assume(cloud, NULL,
                            &(struct vn_aws_role){
                                    .arn = arn, .session_name = session_name(name), .web_identity_token = text},
                            s, err);
        vn_wipe(&token);
        return rc;
}

/* --- environment and shared files --- */

static enum vn_rc from_environment(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        struct vn_aws_keys keys = {vn_environment("AWS_ACCESS_KEY_ID"), vn_environment("AWS_SECRET_ACCESS_KEY"),
                                   vn_environment("AWS_SESSION_TOKEN")};
        struct vn_str token_file = vn_environment("AWS_WEB_IDENTITY_TOKEN_FILE");
        if (keys.access_key_id.len && keys.secret_access_key.len)
                return vn_aws_session_keep(s, &keys, 0, "environment", err);
        if (token_file.len)
                return assume_by_token(cloud, vn_environment("AWS_ROLE_ARN"), VN_STR(""), token_file, s, err);
        return vn_fail(err, VN_NOT_FOUND,
                       "environment: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not both set");
}

static enum vn_rc read_shared(const char *variable, const char *in_home, struct vn_buf *ret, struct vn_err *err)
{
        char path[1024];
        struct vn_str named = vn_environment(variable), home = vn_environment("HOME");
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

static enum vn_rc own_keys(const struct shared *f, struct vn_aws_session *s, struct vn_err *err)
{
        struct vn_aws_keys keys = {setting(f, "aws_access_key_id"), setting(f, "aws_secret_access_key"),
                                   setting(f, "aws_session_token")};
        if (!keys.access_key_id.len || !keys.secret_access_key.len)
                return vn_fail(err, VN_NOT_FOUND, "profile \"%.*s\": no keys", VN_FMT(f->profile));
        return vn_aws_session_keep(s, &keys, 0, "shared files", err);
}

static enum vn_rc from_environment(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err);

static enum vn_rc from_credential_source(struct vn_cloud *cloud, struct vn_str source, struct vn_aws_session *s,
                                         struct vn_err *err)
{
        if (vn_str_eq(source, VN_STR("Environment")))
                return from_environment(cloud, s, err);
        if (vn_str_eq(source, VN_STR("EcsContainer")))
                return vn_aws_container_keys(cloud, s, err);
        if (vn_str_eq(source, VN_STR("Ec2InstanceMetadata")))
                return vn_aws_instance_keys(cloud, s, err);
        return vn_fail(err, VN_FAILED_PRECONDITION,
                       "a role without source_profile, credential_source or "
                       "web_identity_token_file");
}

/* The keys of a profile's role are asked for with those of its source, which may be a role's in turn. */
static enum vn_rc keys_of_profile(struct vn_cloud *cloud, const struct shared *f, unsigned roles,
                                  struct vn_aws_session *s, struct vn_err *err)
{
        /* Each of them means other keys than the profile's own. */
        static const char *const refused[] = {"credential_process", "sso_session", "sso_start_url", "mfa_serial"};
        struct vn_aws_role role = {.arn = setting(f, "role_arn"),
                                   .session_name = session_name(setting(f, "role_session_name")),
                                   .external_id = setting(f, "external_id")};
        struct vn_str token_file = setting(f, "web_identity_token_file"), source = setting(f, "source_profile");
        struct shared of_source = {f->credentials, f->config, source};
        for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
                if (setting(f, refused[i]).len)
                        return vn_fail(err, VN_FAILED_PRECONDITION, "profile \"%.*s\": %s is not supported",
                                       VN_FMT(f->profile), refused[i]);
        if (!role.arn.len)
                return own_keys(f, s, err);
        if (token_file.len)
                return assume_by_token(cloud, role.arn, setting(f, "role_session_name"), token_file, s, err);
        if (roles == MAX_ROLES)
                return vn_fail(err, VN_FAILED_PRECONDITION, "profile \"%.*s\": more than %d roles in a row",
                               VN_FMT(f->profile), MAX_ROLES);
        struct vn_aws_session *held = vn_alloc(sizeof(*held));
        if (!held)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for keys");
        held->fixed = true; /* an ended one is the profile's to replace, not the call's */
        enum vn_rc rc = vn_str_eq(source, f->profile) ? own_keys(f, held, err)
                        : source.len                  ? keys_of_profile(cloud, &of_source, roles + 1, held, err)
                                     : from_credential_source(cloud, setting(f, "credential_source"), held, err);
        if (rc == VN_OK)
                return assume(cloud, held, &role, s, err);
        vn_aws_session_free(held);
        /* A role whose source has no keys is a mistake, not a place without keys. */
        return vn_err_prefix(err, rc == VN_NOT_FOUND ? VN_FAILED_PRECONDITION : rc, "source of profile \"%.*s\"",
                             VN_FMT(f->profile));
}

static enum vn_rc from_profile(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        struct shared f = {VN_BUF_INIT(MAX_FILE_BYTES), VN_BUF_INIT(MAX_FILE_BYTES), cloud->config.profile};
        if (!f.profile.len)
                f.profile = vn_environment("AWS_PROFILE");
        if (!f.profile.len)
                f.profile = VN_STR("default");
        enum vn_rc rc = read_shared("AWS_SHARED_CREDENTIALS_FILE", "credentials", &f.credentials, err);
        if (rc == VN_OK)
                rc = read_shared("AWS_CONFIG_FILE", "config", &f.config, err);
        if (rc == VN_OK)
                rc = keys_of_profile(cloud, &f, 0, s, err);
        vn_wipe(&f.credentials);
        vn_wipe(&f.config);
        return rc;
}

/* --- which, and when --- */

static enum vn_rc find_keys(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err)
{
        static const place_fn places[] = {from_environment, from_profile, vn_aws_container_keys,
                                          vn_aws_instance_keys};
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
        rc = s->fixed ? vn_aws_session_keep(s, &keys, 0, "account", err) : find_keys(cloud, s, err);
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
        else if (!cloud->aws->fixed && cloud->aws->expires_us && now_us > cloud->aws->expires_us - AHEAD_US) {
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
