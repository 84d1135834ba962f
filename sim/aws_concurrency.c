/* aws_concurrency.c - Lambda's reserved and provisioned concurrency and the account's limits. */
#include <stdio.h>

#include "sim/aws_lambda.h"

#define UNRESERVED_LEAST 100
#define PROVISION_US (3 * VN_US_PER_S)
#define LOOKS 3 /* a sandbox clock may stand still while a client waits */

static void refuse(struct vn_sim_response *response, int status, const char *code, const char *message)
{
        vn_sim_aws_error(response, VN_AWS_REST, status, code, "%s", message);
}

bool vn_sim_aws_is_reserved(const struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        return lambda && lambda->is_reserved;
}

bool vn_sim_aws_stopped(const struct vn_sim *sim, uint32_t deployment)
{
        return vn_sim_aws_is_reserved(sim, deployment) && !sim->functions[deployment].lambda->reserved;
}

static uint32_t warm_total(const struct vn_sim_lambda *lambda)
{
        uint32_t total = 0;
        for (uint32_t i = 0; lambda && i < lambda->warm_count; i++)
                total += lambda->warm[i].requested;
        return total;
}

/* Of the whole account, one function left out: what it has is what it may ask for anew. */
static int64_t reserved_by_others(const struct vn_sim *sim, uint32_t account, uint32_t deployment)
{
        int64_t total = 0;
        for (size_t f = 0; f < sim->demo->function_count; f++) {
                uint32_t d = vn_demo_deployment(sim->demo, account, (uint32_t)f);
                const struct vn_sim_lambda *lambda = sim->functions[d].lambda;
                if (d != deployment && lambda)
                        total += lambda->is_reserved ? lambda->reserved : warm_total(lambda);
        }
        return total;
}

static int64_t account_limit(const struct vn_sim *sim, uint32_t account)
{
        return sim->demo->sites[account].concurrency_limit;
}

void vn_sim_aws_account_settings(struct vn_sim *sim, uint32_t account, struct vn_sim_response *response)
{
        int64_t limit = account_limit(sim, account);
        vn_sim_json(response, 200,
                    json_pack("{s:{s:I, s:I, s:I, s:I, s:I}, s:{s:I, s:I}}", "AccountLimit", "TotalCodeSize",
                              (json_int_t)INT64_C(80530636800), "CodeSizeUnzipped", (json_int_t)262144000,
                              "CodeSizeZipped", (json_int_t)52428800, "ConcurrentExecutions", (json_int_t)limit,
                              "UnreservedConcurrentExecutions",
                              (json_int_t)(limit - reserved_by_others(sim, account, UINT32_MAX)), "AccountUsage",
                              "TotalCodeSize", (json_int_t)0, "FunctionCount",
                              (json_int_t)sim->demo->function_count));
}

void vn_sim_aws_add_concurrency(const struct vn_sim *sim, uint32_t deployment, json_t *body)
{
        if (body && vn_sim_aws_is_reserved(sim, deployment))
                json_object_set_new(body, "Concurrency",
                                    json_pack("{s:i}", "ReservedConcurrentExecutions",
                                              (int)sim->functions[deployment].lambda->reserved));
}

/* Both settings as the platform knows them. */
static void apply(struct vn_sim *sim, uint32_t deployment)
{
        const struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        vn_platform_set_scaling(sim->platform, deployment,
                                lambda->is_reserved && lambda->reserved
                                        ? lambda->reserved
                                        : sim->demo->deployments[deployment].max_instances,
                                warm_total(lambda));
}

/* --- reserved --- */

static void put_reserved(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                         const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = vn_sim_aws_lambda(sim, deployment, response);
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        int64_t wanted;
        if (!lambda)
                return;
        int64_t free_now = account_limit(sim, account) - reserved_by_others(sim, account, deployment);
        if (vn_sim_body(request, &body, &err) != VN_OK ||
            vn_json_i64(body, "ReservedConcurrentExecutions", &wanted, &err) != VN_OK || wanted < 0)
                refuse(response, 400, "ValidationException",
                       "1 validation error detected: Value at 'reservedConcurrentExecutions' failed to satisfy "
                       "constraint: Member must have value greater than or equal to 0");
        else if (free_now - wanted < UNRESERVED_LEAST)
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 "Specified ReservedConcurrentExecutions for function decreases account's "
                                 "UnreservedConcurrentExecution below its minimum value of [%d].",
                                 UNRESERVED_LEAST);
        else if (wanted < warm_total(lambda))
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 " ReservedConcurrentExecutions  %lld should not be lower than function's total "
                                 "provisioned concurrency [%u].",
                                 (long long)wanted, warm_total(lambda));
        else {
                lambda->is_reserved = true;
                lambda->reserved = (uint32_t)wanted;
                apply(sim, deployment);
                vn_sim_json(response, 200, json_pack("{s:I}", "ReservedConcurrentExecutions", (json_int_t)wanted));
        }
}

static void reserved(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct vn_str part[5],
                     const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        struct vn_str qualifier;
        vn_sim_aws_bare_name(part[2], &qualifier);
        if (qualifier.len) {
                refuse(response, 400, "InvalidParameterValueException",
                       "This operation is permitted on Lambda functions only. Aliases and versions do not support "
                       "this operation. Please specify either a function name or an unqualified function ARN.");
        } else if (vn_str_eq(request->verb, VN_STR("PUT"))) {
                put_reserved(sim, account, deployment, request, response);
        } else if (vn_str_eq(request->verb, VN_STR("GET"))) {
                vn_sim_json(response, 200,
                            vn_sim_aws_is_reserved(sim, deployment)
                                    ? json_pack("{s:i}", "ReservedConcurrentExecutions", (int)lambda->reserved)
                                    : json_object());
        } else {
                if (lambda) {
                        lambda->is_reserved = false;
                        apply(sim, deployment);
                }
                vn_sim_text(response, 204, "application/json", "");
        }
}

/* --- provisioned --- */

static struct vn_sim_warm *find_warm(struct vn_sim_lambda *lambda, struct vn_str qualifier)
{
        for (uint32_t i = 0; lambda && i < lambda->warm_count; i++)
                if (vn_str_eq(qualifier, vn_str(lambda->warm[i].qualifier)))
                        return &lambda->warm[i];
        return NULL;
}

void vn_sim_aws_alias_moved(const struct vn_sim *sim, struct vn_sim_lambda *lambda, struct vn_str alias)
{
        struct vn_sim_warm *warm = find_warm(lambda, alias);
        if (!warm)
                return;
        warm->looks = 0;
        warm->ready_us = vn_now_us(sim->clock) + PROVISION_US;
}

static json_t *warm_json(const struct vn_sim *sim, struct vn_sim_warm *warm, bool look)
{
        char changed[VN_TIME_TEXT_BYTES];
        warm->looks += look && warm->looks < LOOKS;
        bool ready = warm->looks >= LOOKS || vn_now_us(sim->clock) >= warm->ready_us;
        vn_time_format(warm->changed_us, changed);
        snprintf(changed + 19, 6, "+0000"); /* whole seconds */
        return json_pack("{s:i, s:i, s:i, s:s, s:s}", "RequestedProvisionedConcurrentExecutions",
                         (int)warm->requested, "AllocatedProvisionedConcurrentExecutions",
                         ready ? (int)warm->requested : 0, "AvailableProvisionedConcurrentExecutions",
                         ready ? (int)warm->requested : 0, "Status", ready ? "READY" : "IN_PROGRESS", "LastModified",
                         changed);
}

static bool may_provision(struct vn_sim *sim, uint32_t account, uint32_t deployment, int64_t others, int64_t wanted,
                          struct vn_sim_response *response)
{
        const struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        int64_t free_now = account_limit(sim, account) - reserved_by_others(sim, account, deployment) - others;
        if (wanted < 1)
                refuse(response, 400, "ValidationException",
                       "1 validation error detected: Value at 'provisionedConcurrentExecutions' failed to satisfy "
                       "constraint: Member must have value greater than or equal to 1");
        else if (lambda->is_reserved && others + wanted > lambda->reserved)
                refuse(response, 400, "InvalidParameterValueException",
                       "Requested Provisioned Concurrency should not be greater than the "
                       "reservedConcurrentExecution for function");
        else if (wanted > free_now)
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 "Specified ConcurrentExecutions for function is greater than account's unreserved "
                                 "concurrency [%lld].",
                                 (long long)free_now);
        else if (!lambda->is_reserved && free_now - wanted < UNRESERVED_LEAST)
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 "Specified ConcurrentExecutions for function decreases account's "
                                 "UnreservedConcurrentExecution below its minimum value of [%d].",
                                 UNRESERVED_LEAST);
        else
                return true;
        return false;
}

static void put_warm(struct vn_sim *sim, uint32_t account, uint32_t deployment, struct vn_str qualifier,
                     const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda; /* it has versions, so it is there */
        struct vn_sim_warm *warm = find_warm(lambda, qualifier);
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        int64_t wanted;
        if (vn_sim_body(request, &body, &err) != VN_OK ||
            vn_json_i64(body, "ProvisionedConcurrentExecutions", &wanted, &err) != VN_OK)
                wanted = 0;
        if (!may_provision(sim, account, deployment, warm_total(lambda) - (warm ? warm->requested : 0), wanted,
                           response))
                return;
        if (!warm && lambda->warm_count == VN_SIM_LAMBDA_ALIASES) {
                refuse(response, 400, "InvalidParameterValueException", "This simulator keeps 16 of a function");
                return;
        }
        if (!warm)
                warm = &lambda->warm[lambda->warm_count++];
        VN_ASSERT(vn_str_copy(warm->qualifier, sizeof warm->qualifier, qualifier)); /* it is that of an alias */
        warm->requested = (uint32_t)wanted;
        warm->looks = 0;
        warm->changed_us = vn_now_us(sim->clock);
        warm->ready_us = warm->changed_us + PROVISION_US;
        apply(sim, deployment);
        vn_sim_json(response, 202, warm_json(sim, warm, false));
}

static void list_warm(struct vn_sim *sim, uint32_t account, uint32_t deployment, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        json_t *list = json_array();
        for (uint32_t i = 0; lambda && i < lambda->warm_count; i++) {
                json_t *item = warm_json(sim, &lambda->warm[i], false);
                char arn[320];
                vn_sim_aws_arn(sim, account, deployment, arn);
                snprintf(arn + strlen(arn), sizeof arn - strlen(arn), ":%s", lambda->warm[i].qualifier);
                json_object_set_new(item, "FunctionArn", json_string(arn));
                json_array_append_new(list, item);
        }
        vn_sim_json(response, 200, json_pack("{s:o}", "ProvisionedConcurrencyConfigs", list));
}

/* An alias or version that is there; otherwise answered, as Lambda does: differently for each verb. */
static bool check_qualifier(struct vn_sim *sim, uint32_t account, uint32_t deployment, struct vn_str qualifier,
                            bool put, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        char arn[160];
        uint64_t number;
        if (vn_sim_aws_is_published(lambda, qualifier))
                return true;
        vn_sim_aws_arn(sim, account, deployment, arn);
        if (vn_str_eq(qualifier, VN_STR("$LATEST")) || vn_sim_aws_alias(lambda, qualifier))
                refuse(response, 400, "InvalidParameterValueException",
                       put ? "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
                           : "The function resource provided must be an alias or a published version.");
        else
                vn_sim_aws_error(
                        response, VN_AWS_REST, 404, "ResourceNotFoundException", "%s: %s:%.*s",
                        vn_str_to_u64(qualifier, &number) == VN_OK ? "Function not found" : "Cannot find alias arn",
                        arn, (int)(qualifier.len < 80 ? qualifier.len : 80), qualifier.len ? qualifier.ptr : "");
        return false;
}

static void one_warm(struct vn_sim *sim, uint32_t account, uint32_t deployment, struct vn_str qualifier,
                     const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        struct vn_sim_warm *warm = find_warm(lambda, qualifier);
        bool put = vn_str_eq(request->verb, VN_STR("PUT"));
        if (!check_qualifier(sim, account, deployment, qualifier, put, response))
                return;
        if (put) {
                put_warm(sim, account, deployment, qualifier, request, response);
        } else if (vn_str_eq(request->verb, VN_STR("DELETE"))) {
                if (warm) {
                        *warm = lambda->warm[--lambda->warm_count];
                        apply(sim, deployment);
                }
                vn_sim_text(response, 204, "application/json", "");
        } else if (!warm) {
                refuse(response, 404, "ProvisionedConcurrencyConfigNotFoundException",
                       "No Provisioned Concurrency Config found for this function");
        } else {
                vn_sim_json(response, 200, warm_json(sim, warm, true));
        }
}

static void provisioned(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                        const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        qualifier = VN_BUF_INIT(1024);
        VN_AUTO(vn_buf)
        list = VN_BUF_INIT(64);
        vn_sim_param(request->query, "Qualifier", &qualifier);
        if (vn_str_eq(request->verb, VN_STR("GET")) && vn_sim_param(request->query, "List", &list))
                list_warm(sim, account, deployment, response);
        else
                one_warm(sim, account, deployment, vn_buf_view(&qualifier), request, response);
}

bool vn_sim_aws_concurrency(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct vn_str part[5],
                            size_t count, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        bool get = vn_str_eq(request->verb, VN_STR("GET")),
             write = vn_str_eq(request->verb, VN_STR("PUT")) || vn_str_eq(request->verb, VN_STR("DELETE"));
        bool is_2019 = vn_str_eq(part[0], VN_STR("2019-09-30")), is_2017 = vn_str_eq(part[0], VN_STR("2017-10-31"));
        if (count != 4)
                return false;
        if (vn_str_eq(part[3], VN_STR("concurrency")) && ((is_2019 && get) || (is_2017 && write)))
                reserved(sim, account, deployment, part, request, response);
        else if (vn_str_eq(part[3], VN_STR("provisioned-concurrency")) && is_2019 && (get || write))
                provisioned(sim, account, deployment, request, response);
        else
                return false;
        return true;
}
