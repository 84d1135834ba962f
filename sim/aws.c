/* aws.c - AWS's front: signatures, routing by path and target, Lambda's control plane and invocations. */
#include "sim/aws.h"

#include <stdarg.h>
#include <stdio.h>

#include "sim/aws_lambda.h"
#include "sim/objects.h"
#include "sim/permissions.h"
#include "sim/sigv4.h"

#define SETTLE_US (3 * VN_US_PER_S)
#define PAGE 50

void vn_sim_aws_error(struct vn_sim_response *response, enum vn_aws_protocol protocol, int status, const char *code,
                      const char *format, ...)
{
        char message[512], header[600];
        va_list args;
        va_start(args, format);
        vsnprintf(message, sizeof message, format, args);
        va_end(args);
        switch (protocol) {
        case VN_AWS_REST:
                vn_sim_json(response, status,
                            json_pack("{s:s, s:s}", "Type", status < 500 ? "User" : "Service", "message", message));
                vn_sim_set_header(response, "x-amzn-errortype", code);
                return;
        case VN_AWS_JSON:
                vn_sim_json(response, status, json_pack("{s:s, s:s}", "__type", code, "message", message));
                snprintf(header, sizeof header, "%s;%s", code, status < 500 ? "Sender" : "Receiver");
                vn_sim_set_header(response, "x-amzn-query-error", header);
                return;
        case VN_AWS_QUERY:
                vn_sim_text(response, status, "text/xml", "<ErrorResponse><Error><Type>Sender</Type><Code>");
                vn_buf_printf(&response->body, "%s</Code><Message>%s</Message></Error></ErrorResponse>", code,
                              message);
                return;
        case VN_AWS_S3:
                vn_sim_text(response, status, "application/xml",
                            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>");
                vn_buf_printf(&response->body, "%s</Code><Message>%s</Message></Error>", code, message);
                return;
        }
}

static enum vn_aws_protocol protocol_of(const struct vn_sim_request *request)
{
        struct vn_str authorization = vn_sim_header(request, "authorization");
        static const char s3[] = "/s3/aws4_request";
        if (authorization.len && memmem(authorization.ptr, authorization.len, s3, sizeof s3 - 1))
                return VN_AWS_S3;
        if (vn_sim_header(request, "x-amz-target").len)
                return VN_AWS_JSON;
        return request->path.len > 1 ? VN_AWS_REST : VN_AWS_QUERY;
}

/* Temporary keys count only with their token, and only until their end. NULL: an account's own. */
static bool check_session(const struct vn_sim *sim, const struct vn_sim_session *session,
                          enum vn_aws_protocol protocol, const struct vn_sim_request *request,
                          struct vn_sim_response *response)
{
        if (!session)
                return true;
        bool ended = session->expires_us <= vn_now_us(sim->clock);
        if (!ended && vn_str_eq_secret(vn_sim_header(request, "x-amz-security-token"), vn_str(session->token)))
                return true;
        bool xml = protocol == VN_AWS_QUERY || protocol == VN_AWS_S3;
        const char *code = ended ? (xml ? "ExpiredToken" : "ExpiredTokenException")
                                 : (xml ? "InvalidClientTokenId" : "UnrecognizedClientException");
        vn_sim_aws_error(response, protocol, 403, code, "The security token included in the request is %s",
                         ended ? "expired" : "invalid");
        return false;
}

/* S3 has names of its own for what is wrong with a signature. */
static const char *s3_code(enum vn_sigv4_verdict verdict)
{
        switch (verdict) {
        case VN_SIGV4_UNKNOWN_KEY: return "InvalidAccessKeyId";
        case VN_SIGV4_EXPIRED: return "RequestTimeTooSkewed";
        case VN_SIGV4_MISMATCH: return "SignatureDoesNotMatch";
        case VN_SIGV4_OK:
        case VN_SIGV4_MISSING:
        case VN_SIGV4_INCOMPLETE:
        case VN_SIGV4_SCOPE: break;
        }
        return "AuthorizationHeaderMalformed";
}

static bool check_signature(struct vn_sim *sim, const struct vn_sim_request *request,
                            struct vn_sim_response *response, uint32_t *ret_account,
                            const struct vn_sim_session **ret_session, char ret_service[32])
{
        struct vn_sigv4_key keys[VN_SIM_ACCOUNTS + VN_SIM_SESSIONS];
        uint32_t account[VN_SIM_ACCOUNTS + VN_SIM_SESSIONS];
        const struct vn_sim_session *session[VN_SIM_ACCOUNTS + VN_SIM_SESSIONS] = {0};
        size_t count = 0;
        struct vn_sigv4_result result;
        enum vn_aws_protocol protocol = protocol_of(request);
        bool anywhere =
                protocol == VN_AWS_QUERY &&
                !vn_sim_aws_is_monitoring(request); /* the token service stands in each region, for all accounts */
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                const struct vn_sim_account *a = &sim->accounts[i];
                if (a->cloud != VN_PLATFORM_AWS)
                        continue;
                account[count] = i;
                keys[count++] = (struct vn_sigv4_key){a->key_id, a->secret, anywhere ? NULL : a->region};
        }
        for (size_t i = 0; i < VN_SIM_SESSIONS && sim->sessions[i].key_id[0]; i++) {
                session[count] = &sim->sessions[i];
                account[count] = sim->sessions[i].account;
                keys[count++] =
                        (struct vn_sigv4_key){sim->sessions[i].key_id, sim->sessions[i].secret,
                                              anywhere ? NULL : sim->accounts[sim->sessions[i].account].region};
        }
        enum vn_sigv4_verdict verdict =
                vn_sigv4_verify(request, keys, count, vn_now_us(sim->clock), vn_now_us(vn_clock_real()), &result);
        const char *code = "InvalidSignatureException";
        switch (verdict) {
        case VN_SIGV4_OK:
                *ret_account = account[result.key];
                *ret_session = session[result.key];
                memcpy(ret_service, result.service, sizeof result.service);
                return check_session(sim, session[result.key], protocol, request, response);
        case VN_SIGV4_MISSING:
                code = protocol == VN_AWS_QUERY ? "MissingAuthenticationToken"
                                                : "MissingAuthenticationTokenException";
                break;
        case VN_SIGV4_INCOMPLETE:
                code = protocol == VN_AWS_QUERY ? "IncompleteSignature" : "IncompleteSignatureException";
                break;
        case VN_SIGV4_UNKNOWN_KEY:
                code = protocol == VN_AWS_QUERY ? "InvalidClientTokenId" : "UnrecognizedClientException";
                break;
        case VN_SIGV4_EXPIRED: code = protocol == VN_AWS_REST ? "InvalidSignatureException" : "RequestExpired"; break;
        case VN_SIGV4_SCOPE:
        case VN_SIGV4_MISMATCH: code = protocol == VN_AWS_QUERY ? "SignatureDoesNotMatch" : code; break;
        }
        vn_sim_aws_error(response, protocol, 403, protocol == VN_AWS_S3 ? s3_code(verdict) : code, "%s",
                         result.message);
        return false;
}

void vn_sim_aws_arn(const struct vn_sim *sim, uint32_t account, uint32_t deployment, char ret[160])
{
        const struct vn_sim_account *a = &sim->accounts[account];
        snprintf(ret, 160, "arn:aws:lambda:%s:%s:function:%s", a->region, a->id,
                 vn_sim_function_name(sim, deployment));
}

static void revision_of(const struct vn_sim *sim, uint32_t deployment, uint32_t revision, char ret[40])
{
        const uint64_t parts[2] = {deployment, revision};
        vn_sim_uuid(vn_hash64(parts, sizeof parts, sim->seed ^ 0x4157), ret);
}

void vn_sim_aws_revision(const struct vn_sim *sim, uint32_t deployment, char ret[40])
{
        revision_of(sim, deployment, sim->functions[deployment].revision, ret);
}

static const char *runtime_name(enum vn_platform_runtime runtime)
{
        static const char *const names[VN_RUNTIME_COUNT] = {"nodejs20.x", "python3.12", "provided.al2023", "dotnet8",
                                                            "java21"};
        return names[runtime];
}

json_t *vn_sim_aws_configuration(struct vn_sim *sim, uint32_t account, uint32_t deployment, bool full, bool look)
{
        const struct vn_platform_deployment *d = &sim->demo->deployments[deployment];
        char arn[160], revision[40], changed[VN_TIME_TEXT_BYTES], role[120];
        bool busy = vn_sim_busy(sim, deployment, look);
        vn_sim_aws_arn(sim, account, deployment, arn);
        revision_of(sim, deployment, vn_sim_revision(sim, deployment), revision);
        vn_time_format(sim->functions[deployment].changed_us, changed);
        snprintf(changed + 23, 6, "+0000"); /* Lambda writes the zone so */
        snprintf(role, sizeof role, "arn:aws:iam::%s:role/vane-functions", sim->accounts[account].id);
        json_t *json = json_pack(
                "{s:s, s:s, s:s, s:s, s:s, s:i, s:s, s:i, s:i, s:s, s:s, s:s, s:[s], s:s, s:{s:i}}", "FunctionName",
                vn_sim_function_name(sim, deployment), "FunctionArn", arn, "Runtime", runtime_name(d->runtime),
                "Role", role, "Handler", "index.handler", "CodeSize", (int)(d->package_mb * 1048576), "Description",
                "", "Timeout", (int)(d->timeout_us / VN_US_PER_S), "MemorySize", (int)vn_sim_memory(sim, deployment),
                "LastModified", changed, "Version", "$LATEST", "PackageType", "Zip", "Architectures", "x86_64",
                "RevisionId", revision, "EphemeralStorage", "Size", 512);
        if (json && full) {
                json_object_set_new(json, "State", json_string("Active"));
                json_object_set_new(json, "LastUpdateStatus", json_string(busy ? "InProgress" : "Successful"));
                if (busy) {
                        json_object_set_new(json, "LastUpdateStatusReason",
                                            json_string("The function is being created."));
                        json_object_set_new(json, "LastUpdateStatusReasonCode", json_string("Creating"));
                }
        }
        return json;
}

static void list_functions(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                           struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        marker = VN_BUF_INIT(256);
        uint64_t max, start = 0;
        if (vn_sim_param_u64(request->query, "MaxItems", PAGE, 10000, &max) != VN_OK || max < 1) {
                vn_sim_aws_error(response, VN_AWS_REST, 400, "ValidationException",
                                 "MaxItems must be from 1 to 10000");
                return;
        }
        max = max > PAGE ? PAGE : max;
        max = vn_sim_page_size(sim, account, !vn_sim_param(request->query, "Marker", &marker), (size_t)max);
        if (vn_sim_param(request->query, "Marker", &marker) && marker.len) {
                uint32_t from = vn_sim_find(sim, account, vn_buf_view(&marker));
                if (from == UINT32_MAX) {
                        vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                         "Invalid Marker");
                        return;
                }
                start = from % sim->demo->function_count;
        }
        json_t *list = json_array();
        size_t f = start;
        for (; f < sim->demo->function_count && f - start < max; f++)
                json_array_append_new(list, vn_sim_aws_configuration(
                                                    sim, account, vn_demo_deployment(sim->demo, account, (uint32_t)f),
                                                    false, false));
        json_t *body = json_pack("{s:o}", "Functions", list);
        if (body)
                json_object_set_new(body, "NextMarker",
                                    f < sim->demo->function_count ? json_string(sim->trace->functions[f].name)
                                                                  : json_null());
        vn_sim_json(response, 200, body);
}

static void update_configuration(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                                 const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        char revision[40];
        const char *key;
        json_t *value;
        int64_t mb = vn_sim_memory(sim, deployment);
        if (vn_sim_body(request, &body, &err) != VN_OK) {
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidRequestContentException",
                                 "Could not parse request body into json: %s", err.msg);
                return;
        }
        if (vn_sim_busy(sim, deployment, false)) {
                char arn[160];
                vn_sim_aws_arn(sim, account, deployment, arn);
                vn_sim_aws_error(
                        response, VN_AWS_REST, 409, "ResourceConflictException",
                        "The operation cannot be performed at this time. An update is in progress for resource: %s",
                        arn);
                return;
        }
        json_object_foreach(body, key, value)
        {
                if (!strcmp(key, "RevisionId") || !strcmp(key, "MemorySize"))
                        continue;
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 "This simulator changes MemorySize only, not %.60s", key);
                return;
        }
        vn_sim_aws_revision(sim, deployment, revision);
        const char *sent = json_string_value(json_object_get(body, "RevisionId"));
        if (sent && strcmp(sent, revision)) {
                vn_sim_aws_error(response, VN_AWS_REST, 412, "PreconditionFailedException",
                                 "The Revision Id provided does not match the latest Revision Id. Call the "
                                 "GetFunction/GetAlias API to retrieve the latest Revision Id");
                return;
        }
        if (json_object_get(body, "MemorySize") && vn_json_i64(body, "MemorySize", &mb, &err) != VN_OK)
                mb = -1;
        if (mb < 0 || mb > UINT32_MAX || vn_platform_check_memory(VN_PLAN_LAMBDA, (uint32_t)mb, &err) != VN_OK ||
            vn_sim_change(sim, deployment, (uint32_t)mb, SETTLE_US, &err) != VN_OK) {
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 "'MemorySize' value failed to satisfy constraint: Member must have value between "
                                 "128 and 10240");
                return;
        }
        vn_sim_json(response, 200, vn_sim_aws_configuration(sim, account, deployment, true, false));
}

void vn_sim_aws_report(const struct vn_sim_record *record, struct vn_buf *ret)
{
        char id[40];
        vn_sim_uuid(record->id, id);
        vn_buf_printf(ret,
                      "REPORT RequestId: %s\tDuration: %.2f ms\tBilled Duration: %u ms\tMemory Size: %u MB\tMax "
                      "Memory Used: %u MB\t",
                      id, record->run_ms_x1000 / 1e3, record->billed_ms, record->memory_mb, record->used_mb);
        if (record->cold)
                vn_buf_printf(ret, "Init Duration: %.2f ms\t", record->init_ms_x1000 / 1e3);
        if (record->status == VN_RUN_TIMEOUT)
                vn_buf_text(ret, "Status: timeout");
        if (record->status == VN_RUN_OOM)
                vn_buf_text(ret, "Status: error\tError Type: Runtime.OutOfMemory");
        vn_buf_char(ret, '\n');
}

static void add_log_tail(const struct vn_sim_record *record, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        encoded = VN_BUF_INIT(8192);
        char id[40];
        vn_sim_uuid(record->id, id);
        vn_buf_printf(&text, "START RequestId: %s Version: $LATEST\nEND RequestId: %s\n", id, id);
        vn_sim_aws_report(record, &text);
        vn_buf_base64(&encoded, text.ptr, text.len);
        vn_sim_set_header(response, "x-amz-log-result", encoded.ptr ? encoded.ptr : "");
}

static void function_error(const struct vn_sim_record *record, struct vn_sim_response *response)
{
        char message[200], id[40];
        vn_sim_uuid(record->id, id);
        vn_sim_set_header(response, "x-amz-function-error", "Unhandled");
        if (record->status == VN_RUN_TIMEOUT)
                snprintf(message, sizeof message, "%s Task timed out after %.2f seconds", id,
                         record->run_ms_x1000 / 1e6);
        else if (record->status == VN_RUN_OOM)
                snprintf(message, sizeof message, "RequestId: %s Error: Runtime exited with error: signal: killed",
                         id);
        else
                snprintf(message, sizeof message, "the function failed");
        vn_sim_json(response, 200,
                    json_pack("{s:s, s:s}", "errorMessage", message, "errorType",
                              record->status == VN_RUN_OOM ? "Runtime.ExitError" : "Error"));
}

static void throttled(bool reserved, struct vn_sim_response *response)
{
        vn_sim_json(response, 429,
                    json_pack("{s:s, s:s, s:s}", "Type", "User", "message", "Rate Exceeded.", "Reason",
                              reserved ? "ReservedFunctionConcurrentInvocationLimitExceeded"
                                       : "ConcurrentInvocationLimitExceeded"));
        vn_sim_set_header(response, "x-amzn-errortype", "TooManyRequestsException");
        vn_sim_set_header(response, "retry-after", "1");
}

static void invoke(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct vn_sim_request *request,
                   struct vn_sim_response *response)
{
        struct vn_platform_outcome out;
        struct vn_str type = vn_sim_header(request, "x-amz-invocation-type"),
                      log = vn_sim_header(request, "x-amz-log-type");
        bool event = vn_str_eq(type, VN_STR("Event"));
        char version[24];
        if (type.len && !event && !vn_str_eq(type, VN_STR("RequestResponse")) && !vn_str_eq(type, VN_STR("DryRun"))) {
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 "Invalid InvocationType");
                return;
        }
        if (!vn_sim_aws_executed(sim, account, deployment, request, response, version))
                return;
        if (vn_str_eq(type, VN_STR("DryRun"))) {
                vn_sim_text(response, 204, "application/json", "");
                return;
        }
        if (event)
                vn_sim_text(response, 202, "application/json", ""); /* also when it must wait in the queue */
        if (vn_sim_aws_stopped(sim, deployment)) {
                if (!event)
                        throttled(true, response);
                return;
        }
        const struct vn_sim_record *record = vn_sim_invoke(sim, deployment, request, response, &out);
        if (out.status == VN_RUN_THROTTLED && !event) {
                throttled(vn_sim_aws_is_reserved(sim, deployment), response);
                return;
        }
        if (!record) {
                if (out.status != VN_RUN_THROTTLED)
                        vn_sim_aws_error(response, VN_AWS_REST, 500, "ServiceException", "Service error.");
                return;
        }
        char id[40];
        vn_sim_uuid(record->id, id);
        vn_sim_set_header(response, "x-amzn-requestid", id);
        if (event)
                return;
        vn_sim_set_header(response, "x-amz-executed-version", version);
        if (vn_str_eq(log, VN_STR("Tail")))
                add_log_tail(record, response);
        if (out.status != VN_RUN_OK) {
                function_error(record, response);
                return;
        }
        vn_sim_text(response, 200, "application/json", "");
        vn_sim_payload(&out, &response->body);
}

/* NAME, NAME:QUALIFIER, ACCOUNT:function:NAME or a whole ARN: the name; what follows it is in *ret_qualifier. */
struct vn_str vn_sim_aws_bare_name(struct vn_str text, struct vn_str *ret_qualifier)
{
        struct vn_str mark = VN_STR("function:");
        for (size_t i = 0; i + mark.len <= text.len; i++) {
                if (!memcmp(text.ptr + i, mark.ptr, mark.len)) {
                        text = vn_str_n(text.ptr + i + mark.len, text.len - i - mark.len);
                        break;
                }
        }
        struct vn_str name = vn_str_cut(&text, ':');
        *ret_qualifier = text.ptr ? text : VN_STR("");
        return name;
}

static void lambda(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                   struct vn_sim_response *response)
{
        struct vn_str part[5] = {0}, qualifier;
        size_t count = vn_sim_path_parts(request->path, part, 5);
        bool get = vn_str_eq(request->verb, VN_STR("GET"));
        if (count == 2 && get && vn_str_eq(part[1], VN_STR("account-settings"))) {
                vn_sim_aws_account_settings(sim, account, response);
                return;
        }
        bool known = count >= 2 && count <= 5 && vn_str_eq(part[1], VN_STR("functions")),
             is_2015 = vn_str_eq(part[0], VN_STR("2015-03-31"));
        if (known && count == 2 && get && is_2015) {
                list_functions(sim, account, request, response);
                return;
        }
        if (!known || count == 2) {
                vn_sim_aws_error(response, VN_AWS_REST, 404, "UnknownOperationException", "No such operation");
                return;
        }
        struct vn_str name = vn_sim_aws_bare_name(part[2], &qualifier);
        uint32_t deployment = vn_sim_find(sim, account, name);
        if (deployment == UINT32_MAX) {
                const struct vn_sim_account *a = &sim->accounts[account];
                vn_sim_aws_error(response, VN_AWS_REST, 404, "ResourceNotFoundException",
                                 "Function not found: arn:aws:lambda:%s:%s:function:%.*s", a->region, a->id,
                                 (int)(name.len < 80 ? name.len : 80), name.ptr);
        } else if (count == 3 && get && is_2015) {
                json_t *body = json_pack("{s:o, s:{s:s}}", "Configuration",
                                         vn_sim_aws_configuration(sim, account, deployment, true, true), "Code",
                                         "RepositoryType", "S3");
                vn_sim_aws_add_concurrency(sim, deployment, body);
                vn_sim_json(response, 200, body);
        } else if (count == 4 && get && is_2015 && vn_str_eq(part[3], VN_STR("configuration"))) {
                vn_sim_aws_qualified_configuration(sim, account, deployment, request, response);
        } else if (count == 4 && is_2015 && vn_str_eq(request->verb, VN_STR("PUT")) &&
                   vn_str_eq(part[3], VN_STR("configuration"))) {
                update_configuration(sim, account, deployment, request, response);
        } else if (count == 4 && is_2015 && vn_str_eq(request->verb, VN_STR("POST")) &&
                   vn_str_eq(part[3], VN_STR("invocations"))) {
                invoke(sim, account, deployment, request, response);
        } else if (!vn_sim_aws_versions(sim, account, deployment, part, count, request, response) &&
                   !vn_sim_aws_concurrency(sim, account, deployment, part, count, request, response)) {
                vn_sim_aws_error(response, VN_AWS_REST, 404, "UnknownOperationException", "No such operation");
        }
}

void vn_sim_aws(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        uint32_t account;
        const struct vn_sim_session *session;
        char service[32];
        if (vn_sim_aws_is_web_identity(request)) {
                vn_sim_aws_web_identity(sim, request, response);
                return;
        }
        if (!check_signature(sim, request, response, &account, &session, service))
                return;
        enum vn_aws_protocol protocol = protocol_of(request);
        static const char *const wanted[][2] = {{"AWSPriceListService.", "pricing"},
                                                {"Logs_20140328.", "logs"},
                                                {"GraniteServiceVersion20100801.", "monitoring"}};
        struct vn_str target = vn_sim_header(request, "x-amz-target");
        bool monitoring = protocol == VN_AWS_QUERY && vn_sim_aws_is_monitoring(request);
        const char *expected = protocol == VN_AWS_REST    ? "lambda"
                               : monitoring               ? "monitoring"
                               : protocol == VN_AWS_QUERY ? "sts"
                               : protocol == VN_AWS_S3    ? "s3"
                                                          : "";
        for (size_t i = 0; i < 3; i++) {
                if (vn_str_starts(target, vn_str(wanted[i][0])))
                        expected = wanted[i][1];
        }
        if (strcmp(service, expected)) {
                vn_sim_aws_error(response, protocol, 403,
                                 protocol == VN_AWS_QUERY ? "SignatureDoesNotMatch" : "InvalidSignatureException",
                                 "Credential should be scoped to correct service: '%s'.", expected);
                return;
        }
        if (!vn_sim_aws_permitted(sim, account, session, protocol, request, response))
                return;
        switch (protocol) {
        case VN_AWS_REST: lambda(sim, account, request, response); return;
        case VN_AWS_JSON: vn_sim_aws_target(sim, account, request, response); return;
        case VN_AWS_QUERY:
                if (monitoring)
                        vn_sim_aws_query(sim, account, request, response);
                else
                        vn_sim_aws_sts(sim, account, session != NULL, request, response);
                return;
        case VN_AWS_S3: vn_sim_s3(sim, account, request, response); return;
        }
}
