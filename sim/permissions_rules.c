/* permissions_rules.c - which permission a request needs, by each cloud's own description of its API, and the answer to one
 * that lacks it. */
#include <stdio.h>

#include "sim/azure.h"
#include "sim/gcp.h"
#include "sim/permissions.h"

/* --- AWS --- */

struct lambda_rule {
        const char *verb, *child;
        bool below; /* something follows the child's name */
        const char *action;
};
static const struct lambda_rule lambda_rules[] = {
        {"GET", "", false, "lambda:GetFunction"},
        {"GET", "configuration", false, "lambda:GetFunctionConfiguration"},
        {"PUT", "configuration", false, "lambda:UpdateFunctionConfiguration"},
        {"POST", "invocations", false, "lambda:InvokeFunction"},
        {"GET", "aliases", false, "lambda:ListAliases"},
        {"GET", "aliases", true, "lambda:GetAlias"},
        {"PUT", "aliases", true, "lambda:UpdateAlias"},
        {"GET", "versions", false, "lambda:ListVersionsByFunction"},
        {"POST", "versions", false, "lambda:PublishVersion"},
        {"GET", "concurrency", false, "lambda:GetFunctionConcurrency"},
        {"PUT", "concurrency", false, "lambda:PutFunctionConcurrency"},
        {"DELETE", "concurrency", false, "lambda:DeleteFunctionConcurrency"},
        {"GET", "provisioned-concurrency", false, "lambda:GetProvisionedConcurrencyConfig"},
        {"PUT", "provisioned-concurrency", false, "lambda:PutProvisionedConcurrencyConfig"},
        {"DELETE", "provisioned-concurrency", false, "lambda:DeleteProvisionedConcurrencyConfig"},
};

static bool lambda_need(const struct vn_sim_account *a, const struct vn_sim_request *request, char action[96],
                        char resource[256])
{
        struct vn_str part[5], name;
        size_t count = vn_sim_path_parts(request->path, part, 5);
        struct vn_str child = count > 3 ? part[3] : VN_STR("");
        snprintf(resource, 256, "*");
        if (count == 2 && vn_str_eq(part[1], VN_STR("account-settings"))) {
                snprintf(action, 96, "lambda:GetAccountSettings");
                return true;
        }
        if (count == 2 && vn_str_eq(part[1], VN_STR("functions")) && vn_str_eq(request->verb, VN_STR("GET"))) {
                snprintf(action, 96, "lambda:ListFunctions");
                return true;
        }
        if (count < 3 || count > 5 || !vn_str_eq(part[1], VN_STR("functions")))
                return false;
        name = part[2];
        for (struct vn_str rest = name; rest.ptr;) /* of an ARN, what follows "function" */
                if (vn_str_eq(vn_str_cut(&rest, ':'), VN_STR("function")) && rest.ptr)
                        name = rest;
        snprintf(resource, 256, "arn:aws:lambda:%s:%s:function:%.*s", a->region, a->id, VN_FMT(name));
        for (size_t i = 0; i < sizeof lambda_rules / sizeof lambda_rules[0]; i++) {
                const struct lambda_rule *r = &lambda_rules[i];
                if (vn_str_eq(request->verb, vn_str(r->verb)) && vn_str_eq(child, vn_str(r->child)) &&
                    r->below == (count == 5)) {
                        bool all = memmem(request->query.ptr, request->query.len, "List=ALL", 8) != NULL;
                        snprintf(action, 96, "%s", all ? "lambda:ListProvisionedConcurrencyConfigs" : r->action);
                        return true;
                }
        }
        return false;
}

static bool target_need(const struct vn_sim_account *a, const struct vn_sim_request *request, char action[96],
                        char resource[256])
{
        static const char *const prefixes[][2] = {{"Logs_20140328", "logs"},
                                                  {"GraniteServiceVersion20100801", "cloudwatch"},
                                                  {"AWSPriceListService", "pricing"}};
        struct vn_str operation = vn_sim_header(request, "x-amz-target"), service = vn_str_cut(&operation, '.');
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        struct vn_str group;
        snprintf(resource, 256, "*");
        for (size_t i = 0; i < 3; i++) {
                if (!vn_str_eq(service, vn_str(prefixes[i][0])) || operation.len > 40)
                        continue;
                snprintf(action, 96, "%s:%.*s", prefixes[i][1], VN_FMT(operation));
                if (i == 0 && vn_sim_body(request, &body, &err) == VN_OK &&
                    vn_json_text(body, "logGroupName", &group, NULL) == VN_OK)
                        snprintf(resource, 256, "arn:aws:logs:%s:%s:log-group:%.*s", a->region, a->id, VN_FMT(group));
                return true;
        }
        return false;
}

/* Whoever is asked who he is may say so. */
static bool sts_need(const struct vn_sim_request *request, char action[96], char resource[256])
{
        VN_AUTO(vn_buf)
        name = VN_BUF_INIT(128);
        VN_AUTO(vn_buf)
        role = VN_BUF_INIT(2048);
        vn_sim_param(request->body, "Action", &name);
        vn_sim_param(request->body, "RoleArn", &role);
        snprintf(action, 96, "%s:%.64s", vn_sim_aws_is_monitoring(request) ? "cloudwatch" : "sts",
                 name.ptr ? name.ptr : "");
        snprintf(resource, 256, "%.200s", role.ptr ? role.ptr : "*");
        return true;
}

/* Path style: /BUCKET/KEY. */
static bool s3_need(const struct vn_sim_request *request, char action[96], char resource[256])
{
        struct vn_str path = request->path, bucket;
        vn_str_cut(&path, '/');
        bucket = vn_str_cut(&path, '/');
        bool object = path.len > 0;
        snprintf(action, 96, "s3:%s",
                 !object                                      ? "ListBucket"
                 : vn_str_eq(request->verb, VN_STR("PUT"))    ? "PutObject"
                 : vn_str_eq(request->verb, VN_STR("DELETE")) ? "DeleteObject"
                                                              : "GetObject");
        snprintf(resource, 256, "arn:aws:s3:::%.*s%s%.*s", (int)(bucket.len < 64 ? bucket.len : 64), bucket.ptr,
                 object ? "/" : "", object ? (int)(path.len < 150 ? path.len : 150) : 0, object ? path.ptr : "");
        return bucket.len > 0;
}

static void refuse_aws(const struct vn_sim_account *a, enum vn_aws_protocol protocol, const char *action,
                       const char *resource, struct vn_sim_response *response)
{
        bool metrics = !strncmp(action, "cloudwatch:", 11);
        vn_sim_aws_error(
                response, protocol, protocol == VN_AWS_JSON && !metrics ? 400 : 403,
                protocol == VN_AWS_QUERY || metrics ? "AccessDenied" : "AccessDeniedException",
                "User: arn:aws:iam::%s:user/vane-agent is not authorized to perform: %s on resource: %s because "
                "no identity-based policy allows the %s action",
                a->id, action, resource, action);
}

bool vn_sim_aws_permitted(const struct vn_sim *sim, uint32_t account, const struct vn_sim_session *session,
                          enum vn_aws_protocol protocol, const struct vn_sim_request *request,
                          struct vn_sim_response *response)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        char action[96] = "", resource[256];
        bool known = false, allowed;
        if (!a->policy && !(session && (session->invoke_role || session->policy)))
                return true;
        switch (protocol) {
        case VN_AWS_REST: known = lambda_need(a, request, action, resource); break;
        case VN_AWS_JSON: known = target_need(a, request, action, resource); break;
        case VN_AWS_QUERY: known = sts_need(request, action, resource); break;
        case VN_AWS_S3: known = s3_need(request, action, resource); break;
        }
        if (known && !strcmp(action, "sts:GetCallerIdentity"))
                return true;
        /* A session has what its role and its own policy both allow. */
        allowed = session && session->invoke_role ? !strcmp(action, "lambda:InvokeFunction")
                                                  : vn_sim_may(sim, account, action, resource);
        if (session && session->policy)
                allowed = allowed && vn_sim_policy_allows(VN_PLATFORM_AWS, session->policy, action, resource);
        if (!known || !allowed)
                refuse_aws(a, protocol, action, resource, response);
        return known && allowed;
}

/* --- Azure --- */

/* .../providers/NAMESPACE/type/name/type/name: the types make the action, the verb its end; a POST ends in its own. The last
 * "providers" counts, as metrics and permissions hang below a site. */
static bool azure_action(const struct vn_sim_request *request, const struct vn_str *part, size_t count,
                         char action[256])
{
        bool post = vn_str_eq(request->verb, VN_STR("POST"));
        size_t from = 0, n;
        if (count == 2 && vn_str_eq(request->verb, VN_STR("GET"))) {
                snprintf(action, 256, "Microsoft.Resources/subscriptions/read");
                return true;
        }
        for (size_t i = 0; i < count; i++)
                if (vn_str_eq_nocase(part[i], VN_STR("providers")))
                        from = i + 1;
        if (!from || from + 1 >= count)
                return false;
        n = (size_t)snprintf(action, 256, "%.*s", VN_FMT(part[from]));
        for (size_t i = from + 1; i + (post ? 1 : 0) < count && n < 256; i += 2)
                n += (size_t)snprintf(action + n, 256 - n, "/%.*s", VN_FMT(part[i]));
        if (post && n < 256)
                n += (size_t)snprintf(action + n, 256 - n, "/%.*s", VN_FMT(part[count - 1]));
        if (n < 256)
                n += (size_t)snprintf(action + n, 256 - n, "%s",
                                      post                                      ? "/action"
                                      : vn_str_eq(request->verb, VN_STR("GET")) ? "/read"
                                                                                : "/write");
        return n < 256;
}

static bool azure_may(const struct vn_sim *sim, uint32_t account, const char *action)
{
        char scope[64];
        snprintf(scope, sizeof scope, "/subscriptions/%s", sim->accounts[account].id);
        return vn_sim_may(sim, account, action, scope);
}

bool vn_sim_azure_permitted(const struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                            const struct vn_str *part, size_t count, struct vn_sim_response *response)
{
        char action[256] = "";
        if (!sim->accounts[account].policy)
                return true;
        /* Replacing a site puts it into its plan once more. */
        bool known = azure_action(request, part, count, action);
        if (known && azure_may(sim, account, action) &&
            (strcasecmp(action, "Microsoft.Web/sites/write") ||
             azure_may(sim, account, "Microsoft.Web/serverfarms/join/action")))
                return true;
        vn_sim_azure_error(
                response, 403, "AuthorizationFailed",
                "The client '%s' with object id '%s' does not have authorization to perform action '%s' over "
                "scope '/subscriptions/%s' or the scope is invalid.",
                sim->accounts[account].key_id, sim->accounts[account].key_id, action, sim->accounts[account].id);
        return false;
}

bool vn_sim_azure_query_permitted(const struct vn_sim *sim, uint32_t account, bool workspace,
                                  struct vn_sim_response *response)
{
        if (workspace ? azure_may(sim, account, "Microsoft.OperationalInsights/workspaces/query/read") &&
                                azure_may(sim, account,
                                          "Microsoft.OperationalInsights/workspaces/query/AppRequests/read")
                      : azure_may(sim, account, "Microsoft.Insights/components/query/read"))
                return true;
        vn_sim_azure_error(response, 403, "InsufficientAccessError",
                           "The provided credentials have insufficient access to perform the requested operation");
        return false;
}

void vn_sim_azure_permissions(const struct vn_sim *sim, uint32_t account, struct vn_sim_response *response)
{
        const json_t *role = sim->accounts[account].policy;
        json_t *actions = role ? json_deep_copy(json_object_get(role, "Actions")) : json_pack("[s]", "*");
        vn_sim_json(response, 200,
                    json_pack("{s:[{s:o, s:[], s:[], s:[]}]}", "value", "actions", actions, "notActions",
                              "dataActions", "notDataActions"));
}

/* --- GCP --- */

const char *vn_sim_gcp_permission_of(const struct vn_sim_request *request, const struct vn_str *part, size_t count)
{
        static const struct {
                const char *verb, *kind;
                size_t count;
                const char *permission;
        } rules[] = {
                {"GET", "functions", 3, "cloudfunctions.functions.list"},
                {"GET", "functions", 4, "cloudfunctions.functions.get"},
                {"PATCH", "functions", 4, "cloudfunctions.functions.update"},
                {"GET", "operations", 4, "cloudfunctions.operations.get"},
                {"GET", "services", 3, "run.services.list"},
                {"GET", "services", 4, "run.services.get"},
                {"PATCH", "services", 4, "run.services.update"},
                {"GET", "services", 5, "run.revisions.list"},
        };
        for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
                if (count == rules[i].count && vn_str_eq(part[2], vn_str(rules[i].kind)) &&
                    vn_str_eq(request->verb, vn_str(rules[i].verb)))
                        return rules[i].permission;
        return NULL;
}

bool vn_sim_gcp_permitted(const struct vn_sim *sim, uint32_t account, const char *permission,
                          struct vn_sim_response *response)
{
        if (!sim->accounts[account].policy || (permission && vn_sim_may(sim, account, permission, "")))
                return true;
        vn_sim_gcp_error(response, 403, "PERMISSION_DENIED",
                         "Permission '%s' denied on resource '//cloudresourcemanager."
                         "googleapis.com/projects/%s' (or it may not exist).",
                         permission ? permission : "unknown", sim->accounts[account].id);
        return false;
}

void vn_sim_gcp_test_permissions(const struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                                 struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        json_t *asked, *one, *held = json_array();
        size_t i;
        if (vn_sim_body(request, &body, &err) != VN_OK) {
                json_decref(held);
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Invalid JSON payload received. %s", err.msg);
                return;
        }
        asked = json_object_get(body, "permissions");
        json_array_foreach(asked, i, one) if (json_is_string(one) && vn_sim_may(sim, account, json_string_value(one),
                                                                                "")) json_array_append(held, one);
        /* Like the service: without any, the member is left out. */
        json_t *answer = json_object();
        if (json_array_size(held))
                json_object_set(answer, "permissions", held);
        json_decref(held);
        vn_sim_json(response, 200, answer);
}
