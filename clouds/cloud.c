#include "clouds/cloud.h"

#include "base/clouds.h"
#include "clouds/call.h"

static const struct vn_cloud_ops *const clouds[] = {[VN_CLOUD_AWS] = &vn_aws_ops,
                                                    [VN_CLOUD_AZURE] = &vn_azure_ops,
                                                    [VN_CLOUD_GCP] = &vn_gcp_ops,
                                                    [VN_CLOUD_HTTP] = &vn_http_ops};
#define CLOUD_COUNT (sizeof(clouds) / sizeof(clouds[0]))

const char *vn_cloud_kind_name(enum vn_cloud_kind kind)
{
        return clouds[kind]->name;
}

bool vn_cloud_kind_parse(struct vn_str name, enum vn_cloud_kind *ret)
{
        for (size_t kind = 0; kind < CLOUD_COUNT; kind++) {
                if (vn_str_eq(name, vn_str(clouds[kind]->name))) {
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
                                            [VN_METER_REQUEST] = "request",
                                            [VN_METER_STORAGE_GB_SECOND] = "storage_gb_second",
                                            [VN_METER_READY_GB_SECOND] = "ready_gb_second",
                                            [VN_METER_READY_RUN_GB_SECOND] = "ready_run_gb_second",
                                            [VN_METER_READY_REQUEST] = "ready_request",
                                            [VN_METER_READY_GIB_SECOND] = "ready_gib_second",
                                            [VN_METER_READY_VCPU_SECOND] = "ready_vcpu_second"};

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
        {"client_certificate_file", offsetof(struct vn_cloud_config, client_certificate_file)},
        {"subscription", offsetof(struct vn_cloud_config, subscription)},
        {"workspace", offsetof(struct vn_cloud_config, workspace)},
        {"app_id", offsetof(struct vn_cloud_config, app_id)},
        {"key_json", offsetof(struct vn_cloud_config, key_json)},
        {"grant_role_arn", offsetof(struct vn_cloud_config, grant_role_arn)},
        {"project", offsetof(struct vn_cloud_config, project)},
        {"functions_file", offsetof(struct vn_cloud_config, functions_file)},
        {"token_file", offsetof(struct vn_cloud_config, token_file)},
        {"log_file", offsetof(struct vn_cloud_config, log_file)},
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
        const json_t *budget;

        memset(ret, 0, sizeof(*ret));
        if (!vn_cloud_kind_parse(vn_str(json_string_value(json_object_get(account, "cloud"))), &ret->kind))
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: cloud must be one of%s", vn_cloud_names);
        for (size_t i = 0; i < TEXT_COUNT; i++)
                *text_of(ret, i) = vn_str(json_string_value(json_object_get(account, texts[i].name)));
        budget = json_object_get(account, "calls_per_hour");
        if (budget && (!json_is_integer(budget) || json_integer_value(budget) < 1 ||
                       json_integer_value(budget) > VN_CLOUD_MAX_CALLS_PER_HOUR))
                return vn_fail(err, VN_INVALID_ARGUMENT, "account: calls_per_hour must be from 1 to %d",
                               VN_CLOUD_MAX_CALLS_PER_HOUR);
        ret->calls_per_hour = (uint32_t)json_integer_value(budget);
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

enum vn_rc vn_account_need(struct vn_str text, const char *what, struct vn_err *err)
{
        return text.len > 0 ? VN_OK : vn_fail(err, VN_INVALID_ARGUMENT, "account: %s is missing", what);
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
        cloud->ops = clouds[config->kind];
        vn_budget_init(&cloud->budget, config->calls_per_hour, vn_now_us(clock));
        if (rc == VN_OK)
                rc = cloud->ops->open(cloud, err);
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
        if (cloud->ops && cloud->ops->close)
                cloud->ops->close(cloud);
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
        cloud->budget.class = VN_CALLS_LIST;
        rc = cloud->ops->list(cloud, ret, err);
        if (rc != VN_OK)
                vn_cloud_list_done(ret);
        return rc;
}

enum vn_rc vn_cloud_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                         struct vn_err *err)
{
        struct vn_cloud_function got = {0};

        cloud->budget.class = VN_CALLS_READ;
        VN_TRY(cloud->ops->read(cloud, which, &got, err));
        *ret = got;
        return VN_OK;
}

typedef enum vn_rc (*invoke_fn)(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                                struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err);

static enum vn_rc invoke(invoke_fn op, struct vn_cloud *cloud, const struct vn_cloud_function *function,
                         struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err)
{
        enum vn_rc rc;

        if (!op)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: its cloud has no such call", function->name);
        if (payload.len > VN_CLOUD_MAX_PAYLOAD_BYTES)
                return vn_fail(err, VN_OUT_OF_RANGE, "payload of %zu bytes is over the limit", payload.len);
        memset(ret, 0, sizeof(*ret));
        ret->duration_us = ret->billed_us = ret->init_us = -1;
        vn_cloud_response_init(&ret->response);
        cloud->budget.class = VN_CALLS_INVOKE;
        rc = op(cloud, function, payload, ret, err);
        if (rc != VN_OK)
                vn_cloud_result_done(ret);
        return rc;
}

enum vn_rc vn_cloud_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                           struct vn_cloud_result *ret, struct vn_err *err)
{
        return invoke(cloud->ops->invoke, cloud, function, payload, ret, err);
}

enum vn_rc vn_cloud_invoke_async(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                                 struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err)
{
        return invoke(cloud->ops->invoke_async, cloud, function, payload, ret, err);
}

enum vn_rc vn_cloud_health(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err)
{
        struct vn_cloud_health got = {0};

        if (!cloud->ops->health)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: no health call", cloud->ops->name);
        cloud->budget.class = VN_CALLS_READ;
        VN_TRY(cloud->ops->health(cloud, &got, err));
        *ret = got;
        return VN_OK;
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
        cloud->budget.class = VN_CALLS_LOGS;
        return cloud->ops->logs(cloud, function, from_us, to_us, each, arg, err);
}

struct bounded {
        vn_cloud_line_fn each;
        void *arg;
        size_t lines;
        struct vn_err *err;
};

static enum vn_rc bounded_line(void *arg, const struct vn_cloud_line *line)
{
        struct bounded *bounded = arg;

        if (bounded->lines++ == VN_CLOUD_MAX_LINES)
                return vn_fail(bounded->err, VN_OUT_OF_RANGE, "more than %d log lines at once", VN_CLOUD_MAX_LINES);
        return bounded->each(bounded->arg, line);
}

enum vn_rc vn_cloud_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err)
{
        struct bounded bounded = {each, arg, 0, err};

        if (from_us >= to_us)
                return VN_OK;
        if (!cloud->ops->lines)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: no log lines to be read", cloud->ops->name);
        return cloud->ops->lines(cloud, function, from_us, to_us, bounded_line, &bounded, err);
}

enum vn_rc vn_cloud_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                            int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                            struct vn_err *err)
{
        *ret_count = 0;
        if (from_us >= to_us)
                return VN_OK;
        cloud->budget.class = VN_CALLS_METRICS;
        return cloud->ops->metrics(cloud, function, from_us, to_us, ret, cap, ret_count, err);
}

enum vn_rc vn_cloud_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        enum vn_rc rc;

        memset(ret, 0, sizeof(*ret));
        cloud->budget.class = VN_CALLS_PRICES;
        rc = cloud->ops->prices(cloud, ret, err);
        if (rc != VN_OK)
                vn_cloud_price_list_done(ret);
        return rc;
}
