/* How far a Lambda function scales: reserved concurrency, its most instances, and provisioned concurrency, which is kept warm.
 * Neither call takes a RevisionId. So what was read before is compared with what stands right before the change; an edit of
 * somebody else's in the moment between the two is overwritten, and Lambda offers nothing against it. */
#include "clouds/aws/aws.h"

#define MAX_PAGES 20 /* of 50 aliases and versions with provisioned concurrency */
#define MAX_CONCURRENCY 1000000

struct reserved {
        bool is_set;
        uint32_t value; /* 0 and set: the function is stopped */
};

struct provisioned {
        char qualifier[VN_CLOUD_NAME_BYTES]; /* of the first */
        uint32_t requested;                  /* all together */
        size_t count;
        bool under_way;
};

static enum vn_rc read_count(json_t *root, const char *name, uint32_t *ret, struct vn_err *err)
{
        double value = vn_json_pick_number(root, name, -1);

        if (!(value >= 0 && value <= MAX_CONCURRENCY))
                return vn_fail(err, VN_DATA_LOSS, "aws: %s is no count", name);
        *ret = (uint32_t)value;
        return VN_OK;
}

static enum vn_rc read_reserved(struct vn_cloud *cloud, const char *name, struct reserved *ret, struct vn_err *err)
{
        const struct vn_aws_lambda_call call = {
                .method = "GET", .version = VN_LAMBDA_2019, .function = name, .what = "concurrency"};
        VN_AUTO(vn_json)
        answer = NULL;
        const json_t *value;

        VN_TRY(vn_aws_lambda(cloud, &call, &answer, err));
        value = json_object_get(answer, "ReservedConcurrentExecutions");
        *ret = (struct reserved){.is_set = value && !json_is_null(value)};
        return ret->is_set ? read_count(answer, "ReservedConcurrentExecutions", &ret->value, err) : VN_OK;
}

static enum vn_rc add_provisioned(json_t *item, struct provisioned *ret, struct vn_err *err)
{
        struct vn_str rest = vn_json_str(item, "FunctionArn"), qualifier = {0};
        uint32_t requested = 0;

        VN_TRY(read_count(item, "RequestedProvisionedConcurrentExecutions", &requested, err));
        while (rest.ptr)
                qualifier = vn_str_cut(&rest, ':');
        if (ret->count++ == 0 && !vn_str_copy(ret->qualifier, sizeof(ret->qualifier), qualifier))
                return vn_fail(err, VN_DATA_LOSS, "aws: a qualifier is too long");
        if (ret->requested + requested > MAX_CONCURRENCY)
                return vn_fail(err, VN_DATA_LOSS, "aws: more provisioned concurrency than there can be");
        ret->requested += requested;
        ret->under_way = ret->under_way || vn_str_eq(vn_json_str(item, "Status"), VN_STR("IN_PROGRESS"));
        return VN_OK;
}

static enum vn_rc read_provisioned(struct vn_cloud *cloud, const char *name, struct provisioned *ret,
                                   struct vn_err *err)
{
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(8192);

        *ret = (struct provisioned){0};
        vn_buf_text(&query, "List=ALL&MaxItems=50");
        for (int i = 0; i < MAX_PAGES; i++) {
                const struct vn_aws_lambda_call call = {.method = "GET",
                                                        .version = VN_LAMBDA_2019,
                                                        .function = name,
                                                        .what = "provisioned-concurrency",
                                                        .query = vn_buf_view(&query)};
                VN_AUTO(vn_json)
                page = NULL;
                struct vn_str next;
                json_t *item;
                size_t at;

                VN_TRY(vn_aws_lambda(cloud, &call, &page, err));
                json_array_foreach(json_object_get(page, "ProvisionedConcurrencyConfigs"), at, item)
                        VN_TRY(add_provisioned(item, ret, err));
                next = vn_json_str(page, "NextMarker");
                if (next.len == 0)
                        return VN_OK;
                vn_buf_reset(&query);
                vn_buf_text(&query, "List=ALL&Marker=");
                vn_buf_url_encode(&query, next, false);
                vn_buf_text(&query, "&MaxItems=50");
                VN_TRY(vn_buf_check(&query, err));
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "aws: more than %d pages of provisioned concurrency", MAX_PAGES);
}

/* Whoever may read the configuration but not these gets them as not known: memory can be tuned without. */
static bool left_out(enum vn_rc rc)
{
        return rc == VN_PERMISSION_DENIED || rc == VN_NOT_FOUND;
}

enum vn_rc vn_aws_read_scaling(struct vn_cloud *cloud, struct vn_cloud_function *ret, struct vn_err *err)
{
        struct reserved reserved;
        struct provisioned provisioned;
        enum vn_rc rc = read_reserved(cloud, ret->name, &reserved, err);

        if (rc != VN_OK && !left_out(rc))
                return rc;
        ret->max_instances = rc == VN_OK ? reserved.value : 0;
        rc = read_provisioned(cloud, ret->name, &provisioned, err);
        if (rc != VN_OK && !left_out(rc))
                return rc;
        ret->warm_instances = rc == VN_OK ? provisioned.requested : 0;
        ret->busy = ret->busy || (rc == VN_OK && provisioned.under_way);
        return VN_OK;
}

static enum vn_rc send_reserved(struct vn_cloud *cloud, const char *name, uint32_t value, struct vn_err *err)
{
        char body[64];
        VN_AUTO(vn_json)
        answer = NULL;

        snprintf(body, sizeof(body), "{\"ReservedConcurrentExecutions\":%u}", value);
        const struct vn_aws_lambda_call call = {.method = value ? "PUT" : "DELETE",
                                                .version = VN_LAMBDA_2017,
                                                .function = name,
                                                .what = "concurrency",
                                                .body = value ? vn_str(body) : VN_STR("")};
        return vn_aws_lambda(cloud, &call, &answer, err);
}

/* ABORTED if it is no longer as read. */
static enum vn_rc check_as_read(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t value_read,
                                uint32_t value_now, struct vn_err *err)
{
        struct vn_cloud_function now = {0};

        VN_TRY(vn_aws_configuration(cloud, as_read->name, &now, err));
        if (value_now != value_read || strcmp(now.guard, as_read->guard) != 0)
                return vn_fail(err, VN_ABORTED, "aws: %s is no longer as it was read", as_read->name);
        return VN_OK;
}

enum vn_rc vn_aws_set_reserved(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t value,
                               int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err)
{
        struct vn_wait wait = {.max_us = max_wait_us};
        struct reserved now;

        VN_TRY(read_reserved(cloud, as_read->name, &now, err));
        if (now.is_set && now.value == 0)
                return vn_fail(err, VN_FAILED_PRECONDITION, "aws: %s is stopped by a reserved concurrency of 0",
                               as_read->name);
        if (now.value != value) { /* else it is a change sent again */
                VN_TRY(check_as_read(cloud, as_read, as_read->max_instances, now.value, err));
                VN_TRY(send_reserved(cloud, as_read->name, value, err));
                VN_TRY(read_reserved(cloud, as_read->name, &now, err));
        }
        while (now.value != value || now.is_set != (value > 0)) {
                if (!vn_wait_more(cloud, &wait, NULL))
                        return vn_fail(err, VN_DEADLINE_EXCEEDED, "aws: %s does not show its reserved concurrency",
                                       as_read->name);
                VN_TRY(read_reserved(cloud, as_read->name, &now, err));
        }
        VN_TRY(vn_aws_configuration(cloud, as_read->name, ret, err));
        ret->max_instances = value;
        ret->warm_instances = as_read->warm_instances;
        return VN_OK;
}

static enum vn_rc one_provisioned(struct vn_cloud *cloud, const char *method, const char *name, const char *qualifier,
                                  struct vn_str body, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(1024);

        vn_buf_text(&query, "Qualifier=");
        vn_buf_url_encode(&query, vn_str(qualifier), false);
        VN_TRY(vn_buf_check(&query, err));
        const struct vn_aws_lambda_call call = {.method = method,
                                                .version = VN_LAMBDA_2019,
                                                .function = name,
                                                .what = "provisioned-concurrency",
                                                .query = vn_buf_view(&query),
                                                .body = body};
        return vn_aws_lambda(cloud, &call, ret, err);
}

static enum vn_rc send_provisioned(struct vn_cloud *cloud, const char *name, const char *qualifier, uint32_t value,
                                   struct vn_err *err)
{
        char body[64];
        VN_AUTO(vn_json)
        answer = NULL;

        snprintf(body, sizeof(body), "{\"ProvisionedConcurrentExecutions\":%u}", value);
        return one_provisioned(cloud, value ? "PUT" : "DELETE", name, qualifier, value ? vn_str(body) : VN_STR(""),
                               &answer, err);
}

/* One look: *ret_done when it has come to its end as wanted. */
static enum vn_rc look_at_provisioned(struct vn_cloud *cloud, const char *name, const char *qualifier, uint32_t value,
                                      bool *ret_done, struct vn_err *err)
{
        VN_AUTO(vn_json)
        answer = NULL;
        struct vn_str status, reason;
        uint32_t requested = 0;
        enum vn_rc rc = one_provisioned(cloud, "GET", name, qualifier, VN_STR(""), &answer, err);

        *ret_done = rc == VN_NOT_FOUND && value == 0;
        if (*ret_done)
                return VN_OK;
        VN_TRY(rc);
        VN_TRY(read_count(answer, "RequestedProvisionedConcurrentExecutions", &requested, err));
        status = vn_json_str(answer, "Status");
        reason = vn_json_str(answer, "StatusReason");
        if (value && requested != value)
                return vn_fail(err, VN_ABORTED, "aws: %s:%s has %u warm instances after the change to %u", name,
                               qualifier, requested, value);
        if (value && vn_str_eq(status, VN_STR("FAILED")))
                return vn_fail(err, VN_FAILED_PRECONDITION, "aws: provisioned concurrency of %s:%s failed: %.*s",
                               name, qualifier, (int)(reason.len < 80 ? reason.len : 80),
                               reason.len ? reason.ptr : "");
        *ret_done = value && vn_str_eq(status, VN_STR("READY"));
        return VN_OK;
}

static enum vn_rc await_provisioned(struct vn_cloud *cloud, const char *name, const char *qualifier, uint32_t value,
                                    int64_t max_wait_us, struct vn_err *err)
{
        struct vn_wait wait = {.max_us = max_wait_us};
        bool done;

        for (;;) {
                VN_TRY(look_at_provisioned(cloud, name, qualifier, value, &done, err));
                if (done)
                        return VN_OK;
                if (!vn_wait_more(cloud, &wait, NULL))
                        return vn_fail(err, VN_DEADLINE_EXCEEDED, "aws: %s:%s is still being provisioned", name,
                                       qualifier);
        }
}

enum vn_rc vn_aws_set_warm(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t value,
                           int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err)
{
        struct provisioned now;

        VN_TRY(read_provisioned(cloud, as_read->name, &now, err));
        if (now.count > 1)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "aws: %s has provisioned concurrency on %zu aliases or versions", as_read->name,
                               now.count);
        if (now.requested != value) { /* else it is a change sent again, which may still be under way */
                VN_TRY(check_as_read(cloud, as_read, as_read->warm_instances, now.requested, err));
                if (!now.count)
                        VN_TRY(vn_aws_published_alias(cloud, as_read->name, now.qualifier, err));
                VN_TRY(send_provisioned(cloud, as_read->name, now.qualifier, value, err));
        }
        if (now.qualifier[0])
                VN_TRY(await_provisioned(cloud, as_read->name, now.qualifier, value, max_wait_us, err));
        VN_TRY(vn_aws_configuration(cloud, as_read->name, ret, err));
        ret->max_instances = as_read->max_instances;
        ret->warm_instances = value;
        return VN_OK;
}
