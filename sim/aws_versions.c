/* aws_versions.c - Lambda's versions and aliases: publish, list, create, move, delete, and what a qualifier runs. */
#include <stdio.h>

#include "base/hash.h"
#include "sim/aws_lambda.h"

#define PAGE 50

static void refuse(struct vn_sim_response *response, int status, const char *code, const char *message)
{
        vn_sim_aws_error(response, VN_AWS_REST, status, code, "%s", message);
}

struct vn_sim_lambda *vn_sim_aws_lambda(struct vn_sim *sim, uint32_t deployment, struct vn_sim_response *response)
{
        struct vn_sim_function *f = &sim->functions[deployment];
        if (!f->lambda)
                f->lambda = vn_alloc(sizeof *f->lambda);
        if (!f->lambda)
                refuse(response, 500, "ServiceException", "no memory");
        return f->lambda;
}

struct vn_sim_alias *vn_sim_aws_alias(struct vn_sim_lambda *lambda, struct vn_str name)
{
        for (uint32_t i = 0; lambda && i < lambda->alias_count; i++)
                if (vn_str_eq(name, vn_str(lambda->aliases[i].name)))
                        return &lambda->aliases[i];
        return NULL;
}

bool vn_sim_aws_version(const struct vn_sim_lambda *lambda, struct vn_str text, uint32_t *ret)
{
        uint64_t number;
        if (!lambda || vn_str_to_u64(text, &number) != VN_OK || number < 1 || number > lambda->version_count)
                return false;
        *ret = (uint32_t)number;
        return true;
}

bool vn_sim_aws_is_published(const struct vn_sim_lambda *lambda, struct vn_str qualifier)
{
        uint32_t version;
        if (vn_sim_aws_version(lambda, qualifier, &version))
                return true;
        for (uint32_t i = 0; lambda && i < lambda->alias_count; i++)
                if (vn_str_eq(qualifier, vn_str(lambda->aliases[i].name)))
                        return lambda->aliases[i].version > 0;
        return false;
}

static void version_text(uint32_t version, char ret[24])
{
        if (version)
                snprintf(ret, 24, "%u", version);
        else
                snprintf(ret, 24, "$LATEST");
}

static void not_found(const struct vn_sim *sim, uint32_t account, uint32_t deployment, struct vn_str qualifier,
                      struct vn_sim_response *response)
{
        char arn[160];
        vn_sim_aws_arn(sim, account, deployment, arn);
        vn_sim_aws_error(response, VN_AWS_REST, 404, "ResourceNotFoundException", "Function not found: %s:%.*s", arn,
                         (int)(qualifier.len < 80 ? qualifier.len : 80), qualifier.len ? qualifier.ptr : "");
}

static json_t *version_json(struct vn_sim *sim, uint32_t account, uint32_t deployment, uint32_t version)
{
        const struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        json_t *json = vn_sim_aws_configuration(sim, account, deployment, false, false);
        char arn[200], number[24], id[40];
        const uint64_t parts[3] = {deployment, version, 0x7665};
        vn_sim_aws_arn(sim, account, deployment, arn);
        version_text(version, number);
        snprintf(arn + strlen(arn), sizeof arn - strlen(arn), ":%s", number);
        json_object_set_new(json, "FunctionArn", json_string(arn));
        json_object_set_new(json, "Version", json_string(number));
        if (!version)
                return json;
        vn_sim_uuid(vn_hash64(parts, sizeof parts, sim->seed), id);
        json_object_set_new(json, "RevisionId", json_string(id));
        json_object_set_new(json, "MemorySize", json_integer(lambda->versions[version - 1].memory_mb));
        json_object_set_new(json, "State", json_string("Active"));
        json_object_set_new(json, "LastUpdateStatus", json_string("Successful"));
        return json;
}

/* ?Qualifier= or NAME:QUALIFIER; empty: $LATEST without being said. */
static void qualifier_of(const struct vn_sim_request *request, struct vn_buf *ret)
{
        struct vn_str part[5] = {0}, in_name;
        vn_sim_path_parts(request->path, part, 5);
        vn_sim_aws_bare_name(part[2], &in_name);
        if (in_name.len)
                vn_buf_str(ret, in_name);
        else
                vn_sim_param(request->query, "Qualifier", ret);
}

static bool runs_other(struct vn_sim *sim, const struct vn_sim_alias *alias)
{
        uint64_t draw = vn_hash64(&sim->next_id, sizeof sim->next_id, sim->seed + 2);
        return alias->other && (double)(draw >> 11) * 0x1p-53 < alias->weight;
}

bool vn_sim_aws_executed(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                         const struct vn_sim_request *request, struct vn_sim_response *response, char ret[24])
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1024);
        uint32_t version = 0;
        qualifier_of(request, &text);
        struct vn_str qualifier = vn_buf_view(&text);
        const struct vn_sim_alias *alias = vn_sim_aws_alias(lambda, qualifier);
        if (alias)
                version = runs_other(sim, alias) ? alias->other : alias->version;
        else if (qualifier.len && !vn_str_eq(qualifier, VN_STR("$LATEST")) &&
                 !vn_sim_aws_version(lambda, qualifier, &version)) {
                not_found(sim, account, deployment, qualifier, response);
                return false;
        }
        version_text(version, ret);
        return true;
}

void vn_sim_aws_qualified_configuration(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                                        const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1024);
        uint32_t version = 0;
        qualifier_of(request, &text);
        struct vn_str qualifier = vn_buf_view(&text);
        const struct vn_sim_alias *alias = vn_sim_aws_alias(lambda, qualifier);
        if (alias)
                version = alias->version;
        else if (qualifier.len && !vn_str_eq(qualifier, VN_STR("$LATEST")) &&
                 !vn_sim_aws_version(lambda, qualifier, &version)) {
                not_found(sim, account, deployment, qualifier, response);
                return;
        }
        vn_sim_json(response, 200,
                    version ? version_json(sim, account, deployment, version)
                            : vn_sim_aws_configuration(sim, account, deployment, true, true));
}

/* --- versions --- */

static bool revision_fits(const char *sent, const char *now, struct vn_sim_response *response)
{
        if (!sent || !strcmp(sent, now))
                return true;
        refuse(response, 412, "PreconditionFailedException",
               "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to "
               "retrieve the latest Revision Id");
        return false;
}

static void publish(struct vn_sim *sim, uint32_t account, uint32_t deployment, const json_t *body,
                    struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = vn_sim_aws_lambda(sim, deployment, response);
        char arn[160], revision[40];
        if (!lambda)
                return;
        vn_sim_aws_arn(sim, account, deployment, arn);
        vn_sim_aws_revision(sim, deployment, revision);
        if (vn_sim_busy(sim, deployment, false)) {
                vn_sim_aws_error(
                        response, VN_AWS_REST, 409, "ResourceConflictException",
                        "The operation cannot be performed at this time. An update is in progress for resource: %s",
                        arn);
                return;
        }
        if (!revision_fits(json_string_value(json_object_get(body, "RevisionId")), revision, response))
                return;
        uint32_t now = sim->functions[deployment].revision, n = lambda->version_count;
        /* Nothing has changed since the last one: that one is answered. */
        if (!n || lambda->versions[n - 1].of_revision != now) {
                if (n == VN_SIM_LAMBDA_VERSIONS) {
                        refuse(response, 400, "CodeStorageExceededException", "Code storage limit exceeded.");
                        return;
                }
                lambda->versions[n] = (struct vn_sim_version){vn_sim_memory(sim, deployment), now};
                lambda->version_count++;
        }
        vn_sim_json(response, 201, version_json(sim, account, deployment, lambda->version_count));
}

static bool page_of(const struct vn_sim_request *request, uint64_t *ret_from, uint64_t *ret_max,
                    struct vn_sim_response *response)
{
        if (vn_sim_param_u64(request->query, "MaxItems", PAGE, 10000, ret_max) == VN_OK && *ret_max >= 1 &&
            vn_sim_param_u64(request->query, "Marker", 0, UINT32_MAX, ret_from) == VN_OK) {
                *ret_max = *ret_max > PAGE ? PAGE : *ret_max;
                return true;
        }
        refuse(response, 400, "InvalidParameterValueException", "Invalid Marker or MaxItems");
        return false;
}

static void answer_page(const char *name, json_t *list, uint64_t next, uint64_t count,
                        struct vn_sim_response *response)
{
        json_t *body = json_pack("{s:o}", name, list);
        char marker[24];
        snprintf(marker, sizeof marker, "%llu", (unsigned long long)next);
        if (body && next < count)
                json_object_set_new(body, "NextMarker", json_string(marker));
        vn_sim_json(response, 200, body);
}

static void list_versions(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                          const struct vn_sim_request *request, struct vn_sim_response *response)
{
        const struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        uint64_t from, max, count = 1 + (lambda ? lambda->version_count : 0), i;
        if (!page_of(request, &from, &max, response))
                return;
        json_t *list = json_array();
        for (i = from; i < count && i - from < max; i++)
                json_array_append_new(list, version_json(sim, account, deployment, (uint32_t)i));
        answer_page("Versions", list, i, count, response);
}

/* --- aliases --- */

static void alias_revision(const struct vn_sim *sim, uint32_t deployment, const struct vn_sim_alias *alias,
                           char ret[40])
{
        const uint64_t parts[3] = {deployment, alias->revision, 0x616c};
        vn_sim_uuid(vn_hash64(parts, sizeof parts, sim->seed), ret);
}

static json_t *alias_json(const struct vn_sim *sim, uint32_t account, uint32_t deployment,
                          const struct vn_sim_alias *alias)
{
        char arn[320], version[24], other[24], revision[40];
        vn_sim_aws_arn(sim, account, deployment, arn);
        snprintf(arn + strlen(arn), sizeof arn - strlen(arn), ":%s", alias->name);
        version_text(alias->version, version);
        version_text(alias->other, other);
        alias_revision(sim, deployment, alias, revision);
        json_t *json = json_pack("{s:s, s:s, s:s, s:s, s:s}", "AliasArn", arn, "Name", alias->name, "FunctionVersion",
                                 version, "Description", "", "RevisionId", revision);
        if (json && alias->other)
                json_object_set_new(json, "RoutingConfig",
                                    json_pack("{s:{s:f}}", "AdditionalVersionWeights", other, alias->weight));
        return json;
}

/* Takes the weights of a body into *ret; false when they are refused, which is answered. */
static bool take_weights(struct vn_sim *sim, uint32_t account, uint32_t deployment, const json_t *body,
                         struct vn_sim_alias *ret, struct vn_sim_response *response)
{
        json_t *weights = json_object_get(json_object_get(body, "RoutingConfig"), "AdditionalVersionWeights"),
               *weight;
        const char *version;
        if (!json_object_get(body, "RoutingConfig"))
                return true;
        ret->other = 0;
        if (json_object_size(weights) > 1) {
                refuse(response, 400, "InvalidParameterValueException",
                       "Number of items in AdditionalVersionWeights cannot be greater than 1");
                return false;
        }
        json_object_foreach(weights, version, weight)
        {
                double share = json_number_value(weight);
                if (!json_is_number(weight) || !(share >= 0 && share <= 1) || version[0] == '$') {
                        refuse(response, 400, "ValidationException",
                               "1 validation error detected: Value at 'routingConfig.additionalVersionWeights' "
                               "failed "
                               "to satisfy constraint");
                        return false;
                }
                if (!vn_sim_aws_version(sim->functions[deployment].lambda, vn_str(version), &ret->other)) {
                        not_found(sim, account, deployment, vn_str(version), response);
                        return false;
                }
                ret->weight = share;
        }
        if (ret->other && !ret->version)
                refuse(response, 400, "InvalidParameterValueException",
                       "$LATEST is not supported for an alias pointing to more than 1 version");
        else if (ret->other && ret->other == ret->version)
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidParameterValueException",
                                 "Invalid function version %u. Function version %u is already included in routing "
                                 "configuration.",
                                 ret->other, ret->other);
        else
                return true;
        return false;
}

/* Version and weights of a body into *ret. */
static bool take_alias(struct vn_sim *sim, uint32_t account, uint32_t deployment, const json_t *body,
                       struct vn_sim_alias *ret, struct vn_sim_response *response)
{
        struct vn_str version = vn_str(json_string_value(json_object_get(body, "FunctionVersion")));
        if (vn_str_eq(version, VN_STR("$LATEST"))) {
                ret->version = 0;
        } else if (version.len && !vn_sim_aws_version(sim->functions[deployment].lambda, version, &ret->version)) {
                not_found(sim, account, deployment, version, response);
                return false;
        }
        return take_weights(sim, account, deployment, body, ret, response);
}

static bool is_alias_name(struct vn_str name)
{
        bool letter = false;
        for (size_t i = 0; i < name.len; i++) {
                char c = name.ptr[i];
                bool digit = c >= '0' && c <= '9';
                if (!digit && !((c | 32) >= 'a' && (c | 32) <= 'z') && c != '-' && c != '_')
                        return false;
                letter = letter || !digit;
        }
        return letter && name.len <= 128;
}

static void create_alias(struct vn_sim *sim, uint32_t account, uint32_t deployment, const json_t *body,
                         struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = vn_sim_aws_lambda(sim, deployment, response);
        struct vn_str name = vn_str(json_string_value(json_object_get(body, "Name")));
        struct vn_sim_alias alias = {0};
        if (!lambda)
                return;
        if (!is_alias_name(name) || !vn_str_copy(alias.name, sizeof alias.name, name) ||
            !json_is_string(json_object_get(body, "FunctionVersion"))) {
                refuse(response, 400, "ValidationException",
                       "1 validation error detected: Value at 'name' failed to satisfy constraint: Member must "
                       "satisfy "
                       "regular expression pattern: (?!^[0-9]+$)([a-zA-Z0-9-_]+)");
                return;
        }
        if (vn_sim_aws_alias(lambda, name)) {
                char arn[160];
                vn_sim_aws_arn(sim, account, deployment, arn);
                vn_sim_aws_error(response, VN_AWS_REST, 409, "ResourceConflictException",
                                 "Alias already exists: %s:%s", arn, alias.name);
                return;
        }
        if (!take_alias(sim, account, deployment, body, &alias, response))
                return;
        if (lambda->alias_count == VN_SIM_LAMBDA_ALIASES) {
                refuse(response, 400, "AliasLimitExceededException", "This simulator keeps 16 aliases of a function");
                return;
        }
        alias.revision = ++lambda->next_revision;
        lambda->aliases[lambda->alias_count++] = alias;
        vn_sim_json(response, 201, alias_json(sim, account, deployment, &alias));
}

static void update_alias(struct vn_sim *sim, uint32_t account, uint32_t deployment, struct vn_sim_alias *alias,
                         const json_t *body, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        struct vn_sim_alias changed = *alias;
        char revision[40];
        alias_revision(sim, deployment, alias, revision);
        if (!revision_fits(json_string_value(json_object_get(body, "RevisionId")), revision, response) ||
            !take_alias(sim, account, deployment, body, &changed, response))
                return;
        changed.revision = ++lambda->next_revision;
        if (changed.version != alias->version)
                vn_sim_aws_alias_moved(sim, lambda, vn_str(alias->name));
        *alias = changed;
        vn_sim_json(response, 200, alias_json(sim, account, deployment, alias));
}

static void list_aliases(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                         const struct vn_sim_request *request, struct vn_sim_response *response)
{
        const struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        uint64_t from, max, count = lambda ? lambda->alias_count : 0, i;
        if (!page_of(request, &from, &max, response))
                return;
        json_t *list = json_array();
        for (i = from; i < count && i - from < max; i++)
                json_array_append_new(list, alias_json(sim, account, deployment, &lambda->aliases[i]));
        answer_page("Aliases", list, i, count, response);
}

static void one_alias(struct vn_sim *sim, uint32_t account, uint32_t deployment, struct vn_str name,
                      const struct vn_sim_request *request, const json_t *body, struct vn_sim_response *response)
{
        struct vn_sim_lambda *lambda = sim->functions[deployment].lambda;
        struct vn_sim_alias *alias = vn_sim_aws_alias(lambda, name);
        if (vn_str_eq(request->verb, VN_STR("DELETE"))) { /* also of one that is not there */
                if (alias)
                        *alias = lambda->aliases[--lambda->alias_count];
                vn_sim_text(response, 204, "application/json", "");
        } else if (!alias) {
                char arn[160];
                vn_sim_aws_arn(sim, account, deployment, arn);
                vn_sim_aws_error(response, VN_AWS_REST, 404, "ResourceNotFoundException",
                                 "Cannot find alias arn: %s:%.*s", arn, (int)(name.len < 80 ? name.len : 80),
                                 name.ptr);
        } else if (vn_str_eq(request->verb, VN_STR("PUT"))) {
                update_alias(sim, account, deployment, alias, body, response);
        } else {
                vn_sim_json(response, 200, alias_json(sim, account, deployment, alias));
        }
}

bool vn_sim_aws_versions(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct vn_str part[5],
                         size_t count, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        bool get = vn_str_eq(request->verb, VN_STR("GET")), post = vn_str_eq(request->verb, VN_STR("POST"));
        bool aliases = vn_str_eq(part[3], VN_STR("aliases")), versions = vn_str_eq(part[3], VN_STR("versions"));
        bool one = get || vn_str_eq(request->verb, VN_STR("PUT")) || vn_str_eq(request->verb, VN_STR("DELETE"));
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        if (!vn_str_eq(part[0], VN_STR("2015-03-31")) || (!aliases && !versions) ||
            (count == 4 ? !get && !post : count != 5 || !aliases || !one))
                return false;
        if (vn_sim_body(request, &body, &err) != VN_OK)
                vn_sim_aws_error(response, VN_AWS_REST, 400, "InvalidRequestContentException",
                                 "Could not parse request body into json: %s", err.msg);
        else if (count == 5)
                one_alias(sim, account, deployment, part[4], request, body, response);
        else if (versions && get)
                list_versions(sim, account, deployment, request, response);
        else if (versions)
                publish(sim, account, deployment, body, response);
        else if (get)
                list_aliases(sim, account, deployment, request, response);
        else
                create_alias(sim, account, deployment, body, response);
        return true;
}
