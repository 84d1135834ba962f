/* From the table to the document that a cloud takes. */
#include "clouds/permissions.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/json.h"

const struct vn_permission vn_permissions[] = {
#define VN_PERMISSION(cloud, level, resource, operation, permission)                                                 \
        {VN_CLOUD_##cloud, VN_MAY_##level, VN_ON_##resource, operation, permission},
#include "clouds/permissions.def"
#undef VN_PERMISSION
};
const size_t vn_permission_count = sizeof(vn_permissions) / sizeof(vn_permissions[0]);

static const char *const level_names[] = {"observe", "tune", "invoke", "bucket"};

const char *vn_permission_level_name(enum vn_permission_level level)
{
        return level_names[level];
}

bool vn_permission_level_parse(struct vn_str name, enum vn_permission_level *ret)
{
        for (unsigned i = 0; i <= VN_MAY_INVOKE; i++) {
                if (vn_str_eq(name, vn_str(level_names[i]))) {
                        *ret = (enum vn_permission_level)i;
                        return true;
                }
        }
        return false;
}

const char *vn_permission_name(enum vn_cloud_kind cloud, const char *operation)
{
        for (size_t i = 0; i < vn_permission_count; i++)
                if (vn_permissions[i].cloud == cloud && !strcmp(vn_permissions[i].operation, operation))
                        return vn_permissions[i].name;
        return "";
}

static bool is_in(const struct vn_permission *p, enum vn_cloud_kind cloud, enum vn_permission_level level,
                  const struct vn_policy_scope *scope)
{
        return p->cloud == cloud && (p->level == VN_MAY_BUCKET ? scope->bucket.len > 0 : p->level <= level);
}

/* --- JSON; what fails for want of memory gives NULL, and NULL makes all that it would be part of NULL --- */

/* Takes both. */
static json_t *append(json_t *array, json_t *item)
{
        if (!json_array_append_new(array, item))
                return array;
        json_decref(array);
        return NULL;
}

static json_t *names_of(enum vn_cloud_kind cloud, enum vn_permission_level level, const struct vn_policy_scope *scope,
                        bool data)
{
        json_t *names = json_array();

        for (size_t i = 0; i < vn_permission_count; i++)
                if (is_in(&vn_permissions[i], cloud, level, scope) &&
                    data == (vn_permissions[i].resource == VN_ON_BUCKET))
                        names = append(names, json_string(vn_permissions[i].name));
        return names;
}

static const char *partition_of(struct vn_str region)
{
        return vn_str_starts(region, VN_STR("cn-"))       ? "aws-cn"
               : vn_str_starts(region, VN_STR("us-gov-")) ? "aws-us-gov"
                                                          : "aws";
}

/* An ARN of whatever the permission is narrowed to. Regions and accounts that are not known: the first is any, the second
 * a placeholder, because a policy for any account would be no narrower. */
static void arn_of(enum vn_permission_resource resource, const struct vn_policy_scope *scope, char ret[256])
{
        const char *partition = partition_of(scope->region);
        struct vn_str region = scope->region.len ? scope->region : VN_STR("*"),
                      account = scope->account.len ? scope->account : VN_STR("ACCOUNT_NUMBER");

        switch (resource) {
        case VN_ON_ALL: snprintf(ret, 256, "*"); return;
        case VN_ON_FUNCTIONS:
                snprintf(ret, 256, "arn:%s:lambda:%.*s:%.*s:function:*", partition, VN_FMT(region), VN_FMT(account));
                return;
        case VN_ON_LOGS:
                snprintf(ret, 256, "arn:%s:logs:%.*s:%.*s:log-group:/aws/lambda/*", partition, VN_FMT(region),
                         VN_FMT(account));
                return;
        case VN_ON_INVOKE_ROLE:
                snprintf(ret, 256, "arn:%s:iam::%.*s:role/" VN_INVOKE_ROLE, partition, VN_FMT(account));
                return;
        case VN_ON_BUCKET: snprintf(ret, 256, "arn:%s:s3:::%.*s/*", partition, VN_FMT(scope->bucket)); return;
        }
}

/* A Sid has letters and digits only. */
static void sid_of(enum vn_permission_level level, enum vn_permission_resource resource, bool placeholder,
                   char ret[96])
{
        static const char *const levels[] = {"Observe", "Tune", "Invoke", "Write"}, *const resources[] = {
                                                                                            "", "Functions", "Logs",
                                                                                            "Role", "Bucket"};

        snprintf(ret, 96, "Vane%s%s%s", levels[level], resources[resource],
                 placeholder ? "ReplaceACCOUNTNUMBER" : "");
}

static bool has_any(enum vn_permission_level level, enum vn_permission_resource resource)
{
        for (size_t i = 0; i < vn_permission_count; i++)
                if (vn_permissions[i].cloud == VN_CLOUD_AWS && vn_permissions[i].level == level &&
                    vn_permissions[i].resource == resource)
                        return true;
        return false;
}

static json_t *statement(enum vn_permission_level level, enum vn_permission_resource resource,
                         const struct vn_policy_scope *scope)
{
        char sid[96], arn[256];
        json_t *actions = json_array();

        for (size_t i = 0; i < vn_permission_count; i++)
                if (vn_permissions[i].cloud == VN_CLOUD_AWS && vn_permissions[i].level == level &&
                    vn_permissions[i].resource == resource)
                        actions = append(actions, json_string(vn_permissions[i].name));
        sid_of(level, resource, !scope->account.len && resource != VN_ON_ALL && resource != VN_ON_BUCKET, sid);
        arn_of(resource, scope, arn);
        return json_pack("{s:s, s:s, s:o, s:s}", "Sid", sid, "Effect", "Allow", "Action", actions, "Resource", arn);
}

static json_t *aws_policy(enum vn_permission_level level, const struct vn_policy_scope *scope)
{
        json_t *statements = json_array();

        for (unsigned l = 0; l <= VN_MAY_BUCKET; l++) {
                if (l == VN_MAY_BUCKET ? !scope->bucket.len : l > level)
                        continue;
                for (unsigned r = VN_ON_ALL; r <= VN_ON_BUCKET; r++)
                        if (has_any((enum vn_permission_level)l, (enum vn_permission_resource)r))
                                statements = append(statements, statement((enum vn_permission_level)l,
                                                                          (enum vn_permission_resource)r, scope));
        }
        return json_pack("{s:s, s:o}", "Version", "2012-10-17", "Statement", statements);
}

static json_t *azure_role(enum vn_permission_level level, const struct vn_policy_scope *scope)
{
        char name[128], description[256], assignable[96];
        const char *level_name = level_names[level];

        snprintf(name, sizeof(name), "Vane %s %.*s", level_name, VN_FMT(scope->name));
        snprintf(description, sizeof(description), "What Vane's agent needs to %s.%s", level_name,
                 scope->account.len ? "" : " Replace SUBSCRIPTION_ID before use.");
        snprintf(assignable, sizeof(assignable), "/subscriptions/%.*s",
                 VN_FMT(scope->account.len ? scope->account : VN_STR("SUBSCRIPTION_ID")));
        return json_pack("{s:s, s:b, s:s, s:o, s:[], s:o, s:[], s:[s]}", "Name", name, "IsCustom", 1, "Description",
                         description, "Actions", names_of(VN_CLOUD_AZURE, level, scope, false), "NotActions",
                         "DataActions", names_of(VN_CLOUD_AZURE, level, scope, true), "NotDataActions",
                         "AssignableScopes", assignable);
}

static json_t *gcp_role(enum vn_permission_level level, const struct vn_policy_scope *scope)
{
        json_t *names = names_of(VN_CLOUD_GCP, level, scope, false);
        char title[128], description[128];

        for (size_t i = 0; i < vn_permission_count; i++) /* a custom role has one list for both */
                if (is_in(&vn_permissions[i], VN_CLOUD_GCP, level, scope) &&
                    vn_permissions[i].resource == VN_ON_BUCKET)
                        names = append(names, json_string(vn_permissions[i].name));
        snprintf(title, sizeof(title), "Vane %s %.*s", level_names[level], VN_FMT(scope->name));
        snprintf(description, sizeof(description), "What Vane's agent needs to %s.", level_names[level]);
        return json_pack("{s:s, s:s, s:s, s:o}", "title", title, "description", description, "stage", "GA",
                         "includedPermissions", names);
}

/* --- YAML: what the documents above are made of, and no more --- */

static void yaml_scalar(json_t *value, struct vn_buf *ret)
{
        struct vn_str text = vn_str(json_string_value(value));
        bool plain = text.len > 0;

        if (json_is_boolean(value)) {
                vn_buf_text(ret, json_is_true(value) ? "true" : "false");
                return;
        }
        for (size_t i = 0; i < text.len; i++) {
                char c = text.ptr[i], lower = (char)(c | 0x20);
                plain &= (lower >= 'a' && lower <= 'z') || (i && strchr("./-", c) && i + 1 < text.len);
        }
        /* A word alone could be a truth value to some readers. */
        if (plain && memchr(text.ptr, '.', text.len))
                vn_buf_str(ret, text);
        else
                vn_buf_json_string(ret, text);
}

static void indent(struct vn_buf *ret, int depth)
{
        for (int i = 0; i < depth; i++)
                vn_buf_text(ret, "  ");
}

/* Documents are four levels deep. */
static void yaml(json_t *value, int depth, bool after_dash, struct vn_buf *ret) // NOLINT(misc-no-recursion)
{
        const char *key;
        json_t *item;
        size_t i;
        bool first = after_dash;

        json_object_foreach(value, key, item)
        {
                bool nested = json_is_object(item) || (json_is_array(item) && json_array_size(item) > 0);
                indent(ret, first ? 0 : depth);
                first = false;
                vn_buf_printf(ret, "%s:%s", key, nested ? "\n" : json_is_array(item) ? " []\n" : " ");
                if (nested) {
                        yaml(item, depth + 1, false, ret);
                } else if (!json_is_array(item)) {
                        yaml_scalar(item, ret);
                        vn_buf_char(ret, '\n');
                }
        }
        json_array_foreach(value, i, item)
        {
                indent(ret, depth);
                vn_buf_text(ret, "- ");
                if (json_is_object(item)) {
                        yaml(item, depth + 1, true, ret);
                } else {
                        yaml_scalar(item, ret);
                        vn_buf_char(ret, '\n');
                }
        }
}

static void gcp_notes(enum vn_permission_level level, struct vn_str account, struct vn_buf *ret)
{
        if (!account.len)
                vn_buf_text(ret, "# The project is not known yet: replace PROJECT_ID in the command.\n");
        if (level >= VN_MAY_TUNE)
                vn_buf_text(ret,
                            "# Changing a function also needs iam.serviceAccounts.actAs on the account that it runs "
                            "as. Give it for that\n# account alone: gcloud iam service-accounts "
                            "add-iam-policy-binding RUNTIME_ACCOUNT --member=serviceAccount:AGENT\n"
                            "#   --role=roles/iam.serviceAccountUser\n");
}

/* What stands in a document stands in somebody's shell next. */
static bool is_plain(struct vn_str text, const char *beside)
{
        for (size_t i = 0; i < text.len; i++) {
                char c = text.ptr[i], lower = (char)(c | 0x20);
                if (!(lower >= 'a' && lower <= 'z') && !(c >= '0' && c <= '9') && !(c && strchr(beside, c)))
                        return false;
        }
        return text.len < 128;
}

enum vn_rc vn_policy_document(enum vn_cloud_kind cloud, enum vn_permission_level level,
                              const struct vn_policy_scope *scope, enum vn_policy_format format, struct vn_buf *ret,
                              struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        char *text;

        VN_ASSERT(level <= VN_MAY_INVOKE);
        if (!is_plain(scope->account, "-.:") || !is_plain(scope->region, "-") || !is_plain(scope->name, "-_."))
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "the account's name, number or region could not stand in a policy");
        if (!is_plain(scope->bucket, cloud == VN_CLOUD_AZURE ? "-_./" : "-_."))
                return vn_fail(err, VN_INVALID_ARGUMENT, "bucket: letters, digits, '-', '_', '.'");
        switch (cloud) {
        case VN_CLOUD_AWS: root = aws_policy(level, scope); break;
        case VN_CLOUD_AZURE: root = azure_role(level, scope); break;
        case VN_CLOUD_GCP: root = gcp_role(level, scope); break;
        case VN_CLOUD_HTTP:
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "a place of one's own has no policy: who has its token may call its endpoints");
        }
        if (!root)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a policy");
        if (format == VN_POLICY_YAML || (format == VN_POLICY_OWN && cloud == VN_CLOUD_GCP)) {
                if (cloud == VN_CLOUD_GCP)
                        gcp_notes(level, scope->account, ret);
                yaml(root, 0, false, ret);
                return vn_buf_check(ret, err);
        }
        text = json_dumps(root, JSON_INDENT(2));
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a policy");
        vn_buf_text(ret, text);
        vn_buf_char(ret, '\n');
        free(text);
        return vn_buf_check(ret, err);
}

struct vn_str vn_policy_account_of(enum vn_cloud_kind cloud, struct vn_str resource)
{
        /* arn:aws:lambda:REGION:NUMBER:..., /subscriptions/ID/..., projects/ID/... */
        static const int part_of[] = {[VN_CLOUD_AWS] = 4, [VN_CLOUD_AZURE] = 2, [VN_CLOUD_GCP] = 1};
        static const char *const start_of[] = {
                [VN_CLOUD_AWS] = "arn:", [VN_CLOUD_AZURE] = "/subscriptions/", [VN_CLOUD_GCP] = "projects/"};
        char separator = cloud == VN_CLOUD_AWS ? ':' : '/';

        if (cloud == VN_CLOUD_HTTP || !vn_str_starts(resource, vn_str(start_of[cloud])))
                return VN_STR("");
        for (int i = 0; i < part_of[cloud] && resource.ptr; i++)
                vn_str_cut(&resource, separator);
        return resource.ptr ? vn_str_cut(&resource, separator) : VN_STR("");
}
