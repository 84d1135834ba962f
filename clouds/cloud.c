#include "clouds/cloud.h"

#include "clouds/aws/credentials.h"
#include "clouds/call.h"

const char *vn_cloud_kind_name(enum vn_cloud_kind kind)
{
        static const char *const names[] = {
                [VN_CLOUD_AWS] = "aws", [VN_CLOUD_AZURE] = "azure", [VN_CLOUD_GCP] = "gcp"};

        return names[kind];
}

bool vn_cloud_kind_parse(struct vn_str name, enum vn_cloud_kind *ret)
{
        for (int kind = VN_CLOUD_AWS; kind <= VN_CLOUD_GCP; kind++) {
                if (vn_str_eq(name, vn_str(vn_cloud_kind_name((enum vn_cloud_kind)kind)))) {
                        *ret = (enum vn_cloud_kind)kind;
                        return true;
                }
        }
        return false;
}

const char *vn_cloud_meter_name(enum vn_cloud_meter meter)
{
        static const char *const names[] = {[VN_METER_GB_SECOND] = "gb_second",
                                            [VN_METER_GIB_SECOND] = "gib_second",
                                            [VN_METER_VCPU_SECOND] = "vcpu_second",
                                            [VN_METER_REQUEST] = "request"};

        return names[meter];
}

/* Every text of the configuration, in one table, so that copying and reading JSON cannot forget one. */
static const struct {
        const char *name;
        size_t at;
} texts[] = {
        {"region", offsetof(struct vn_cloud_config, region)},
        {"access_key_id", offsetof(struct vn_cloud_config, access_key_id)},
        {"secret_access_key", offsetof(struct vn_cloud_config, secret_access_key)},
        {"session_token", offsetof(struct vn_cloud_config, session_token)},
        {"profile", offsetof(struct vn_cloud_config, profile)},
        {"tenant", offsetof(struct vn_cloud_config, tenant)},
        {"client_id", offsetof(struct vn_cloud_config, client_id)},
        {"client_secret", offsetof(struct vn_cloud_config, client_secret)},
        {"subscription", offsetof(struct vn_cloud_config, subscription)},
        {"workspace", offsetof(struct vn_cloud_config, workspace)},
        {"app_id", offsetof(struct vn_cloud_config, app_id)},
        {"key_json", offsetof(struct vn_cloud_config, key_json)},
        {"project", offsetof(struct vn_cloud_config, project)},
        {"endpoint", offsetof(struct vn_cloud_config, endpoint)},
        {"functions_endpoint", offsetof(struct vn_cloud_config, functions_endpoint)},
};
#define TEXT_COUNT (sizeof(texts) / sizeof(texts[0]))

static struct vn_str *text_of(struct vn_cloud_config *config, size_t i)
{
        return (struct vn_str *)((char *)config + texts[i].at);
}

enum vn_rc vn_cloud_config_from_json(const struct json_t *account, struct vn_cloud_config *ret, struct vn_err *err)
{
        memset(ret, 0, sizeof(*ret));
        if (!vn_cloud_kind_parse(vn_str(json_string_value(json_object_get(account, "cloud"))), &ret->kind))
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: cloud must be aws, azure or gcp");
        for (size_t i = 0; i < TEXT_COUNT; i++)
                *text_of(ret, i) = vn_str(json_string_value(json_object_get(account, texts[i].name)));
        return VN_OK;
}

static enum vn_rc copy_config(struct vn_cloud *cloud, const struct vn_cloud_config *config, struct vn_err *err)
{
        cloud->config = *config;
        for (size_t i = 0; i < TEXT_COUNT; i++) {
                struct vn_str *text = text_of(&cloud->config, i);
                const char *from = text->len > 0 ? text->ptr : "";

                text->ptr = vn_arena_strndup(&cloud->arena, from, text->len);
                if (!text->ptr)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        }
        return VN_OK;
}

static enum vn_rc need(struct vn_str text, const char *what, struct vn_err *err)
{
        return text.len > 0 ? VN_OK : vn_fail(err, VN_INVALID_ARGUMENT, "account: %s is missing", what);
}

static enum vn_rc gcp_key(struct vn_cloud *cloud, struct vn_err *err)
{
        VN_AUTO(vn_json)
        key = NULL;
        struct vn_str email, pem, uri, project;
        struct vn_cloud_config *c = &cloud->config;

        VN_TRY(need(c->key_json, "key_json", err));
        if (vn_json_load(c->key_json, &key, NULL) != VN_OK)
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: key_json is not a service account's key file");
        email = vn_json_str(key, "client_email");
        pem = vn_json_str(key, "private_key");
        uri = vn_json_str(key, "token_uri");
        project = vn_json_str(key, "project_id");
        VN_TRY(need(email, "client_email of the key", err));
        VN_TRY(need(pem, "private_key of the key", err));
        uri = uri.len > 0 ? uri : VN_STR("https://oauth2.googleapis.com/token");
        cloud->key_email = vn_arena_strndup(&cloud->arena, email.ptr, email.len);
        cloud->key_pem = vn_arena_strndup(&cloud->arena, pem.ptr, pem.len);
        cloud->key_token_uri = vn_arena_strndup(&cloud->arena, uri.ptr, uri.len);
        if (c->project.len == 0)
                c->project = vn_str_n(vn_arena_strndup(&cloud->arena, project.ptr, project.len), project.len);
        if (!cloud->key_email || !cloud->key_pem || !cloud->key_token_uri || !c->project.ptr)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        return need(c->project, "project", err);
}

static enum vn_rc check_config(struct vn_cloud *cloud, struct vn_err *err)
{
        const struct vn_cloud_config *c = &cloud->config;

        switch (c->kind) {
        case VN_CLOUD_AWS:
                cloud->ops = &vn_aws_ops;
                VN_TRY(need(c->region, "region", err));
                if (!c->access_key_id.len && !c->secret_access_key.len)
                        return VN_OK; /* aws/credentials.h looks for keys */
                if (c->profile.len)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "account: either keys or a profile");
                VN_TRY(need(c->access_key_id, "access_key_id", err));
                return need(c->secret_access_key, "secret_access_key", err);
        case VN_CLOUD_AZURE:
                cloud->ops = &vn_azure_ops;
                VN_TRY(need(c->tenant, "tenant", err));
                VN_TRY(need(c->client_id, "client_id", err));
                VN_TRY(need(c->client_secret, "client_secret", err));
                return need(c->subscription, "subscription", err);
        case VN_CLOUD_GCP: cloud->ops = &vn_gcp_ops; return gcp_key(cloud, err);
        }
        return vn_fail(err, VN_INVALID_ARGUMENT, "account: unknown cloud");
}

enum vn_rc vn_cloud_open(const struct vn_cloud_config *config, const struct vn_clock *clock,
                         const struct vn_cloud_transport *transport, struct vn_cloud **ret, struct vn_err *err)
{
        struct vn_cloud *cloud = vn_alloc(sizeof(*cloud));
        uint64_t seed;
        enum vn_rc rc;

        if (!cloud)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        vn_arena_init(&cloud->arena, 256 << 10);
        cloud->clock = clock;
        cloud->transport = transport;
        vn_random_bytes(&seed, sizeof(seed));
        vn_rng_seed(&cloud->rng, seed);
        rc = copy_config(cloud, config, err);
        if (rc == VN_OK)
                rc = check_config(cloud, err);
        if (rc != VN_OK) {
                vn_cloud_free(cloud);
                return rc;
        }
        *ret = cloud;
        return VN_OK;
}

struct vn_cloud *vn_cloud_free(struct vn_cloud *cloud)
{
        if (!cloud)
                return NULL;
        for (size_t i = 0; i < cloud->token_count; i++)
                vn_free_secret(cloud->tokens[i].text, cloud->tokens[i].len);
        vn_aws_session_free(cloud->aws);
        vn_free(cloud->seen);
        vn_arena_done(&cloud->arena);
        vn_free(cloud);
        return NULL;
}

enum vn_cloud_kind vn_cloud_kind(const struct vn_cloud *cloud)
{
        return cloud->config.kind;
}

uint64_t vn_cloud_call_count(const struct vn_cloud *cloud)
{
        return cloud->calls;
}

enum vn_rc vn_cloud_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err)
{
        enum vn_rc rc;

        memset(ret, 0, sizeof(*ret));
        ret->complete = true;
        rc = cloud->ops->list(cloud, ret, err);
        if (rc != VN_OK)
                vn_cloud_list_done(ret);
        return rc;
}

enum vn_rc vn_cloud_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                         struct vn_err *err)
{
        struct vn_cloud_function got = {0};

        VN_TRY(cloud->ops->read(cloud, which, &got, err));
        *ret = got;
        return VN_OK;
}

/* What every cloud would refuse, refused before anything is sent. */
static enum vn_rc check_memory(const struct vn_cloud_function *f, uint32_t memory_mb, struct vn_err *err)
{
        if (!f->memory_tunable)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: its plan has no memory setting", f->name);
        if (!f->guard[0])
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: read the configuration before changing it", f->name);
        for (size_t i = 0; i < f->memory_choice_count; i++)
                if (f->memory_choices_mb[i] == memory_mb)
                        return VN_OK;
        if (f->memory_choice_count > 0)
                return vn_fail(err, VN_OUT_OF_RANGE, "%s: the plan has no size of %u MB", f->name, memory_mb);
        if (memory_mb < f->memory_min_mb || memory_mb > f->memory_max_mb)
                return vn_fail(err, VN_OUT_OF_RANGE, "%s: %u MB is outside %u to %u", f->name, memory_mb,
                               f->memory_min_mb, f->memory_max_mb);
        return VN_OK;
}

enum vn_rc vn_cloud_set_memory(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t memory_mb,
                               int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err)
{
        struct vn_cloud_function got = {0}, now = {0};
        struct vn_err lost;
        enum vn_rc rc;

        VN_TRY(check_memory(as_read, memory_mb, err));
        rc = cloud->ops->set_memory(cloud, as_read, memory_mb, max_wait_us, &got, err);
        if (rc == VN_UNAVAILABLE || rc == VN_RESOURCE_EXHAUSTED) {
                /* The answer may be lost and the change made. The guard tells: as it was, nothing happened and one
                 * more attempt is safe; otherwise what stands now is the result. */
                if (cloud->ops->read(cloud, as_read, &now, &lost) != VN_OK)
                        return rc;
                if (!strcmp(now.guard, as_read->guard))
                        rc = cloud->ops->set_memory(cloud, as_read, memory_mb, max_wait_us, &got, err);
                else if (now.memory_mb == memory_mb && !now.busy)
                        rc = (got = now, VN_OK);
        }
        VN_TRY(rc);
        *ret = got;
        return VN_OK;
}

enum vn_rc vn_cloud_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                           struct vn_cloud_result *ret, struct vn_err *err)
{
        enum vn_rc rc;

        if (payload.len > VN_CLOUD_MAX_PAYLOAD_BYTES)
                return vn_fail(err, VN_OUT_OF_RANGE, "payload of %zu bytes is over the limit", payload.len);
        memset(ret, 0, sizeof(*ret));
        ret->duration_us = ret->billed_us = ret->init_us = -1;
        vn_cloud_response_init(&ret->response);
        rc = cloud->ops->invoke(cloud, function, payload, ret, err);
        if (rc != VN_OK)
                vn_cloud_result_done(ret);
        return rc;
}

void vn_cloud_set_invoke_header(struct vn_cloud *cloud, struct vn_str name, struct vn_str value)
{
        cloud->invoke_header = (struct vn_cloud_header){name, value};
}

void vn_invoke_header(const struct vn_cloud *cloud, struct vn_call *call)
{
        if (cloud->invoke_header.name.len > 0)
                call->extra[call->extra_count++] = cloud->invoke_header;
}

void vn_cloud_result_done(struct vn_cloud_result *result)
{
        vn_cloud_response_done(&result->response);
        memset(result, 0, sizeof(*result));
}

enum vn_rc vn_cloud_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                         int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err)
{
        if (from_us >= to_us)
                return VN_OK;
        return cloud->ops->logs(cloud, function, from_us, to_us, each, arg, err);
}

enum vn_rc vn_cloud_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                            int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                            struct vn_err *err)
{
        *ret_count = 0;
        if (from_us >= to_us)
                return VN_OK;
        return cloud->ops->metrics(cloud, function, from_us, to_us, ret, cap, ret_count, err);
}

enum vn_rc vn_cloud_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        enum vn_rc rc;

        memset(ret, 0, sizeof(*ret));
        rc = cloud->ops->prices(cloud, ret, err);
        if (rc != VN_OK)
                vn_cloud_price_list_done(ret);
        return rc;
}
