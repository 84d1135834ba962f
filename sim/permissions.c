/* permissions.c - reading the three kinds of documents, and asking them. */
#include "sim/permissions.h"

#include <strings.h>

#include "base/json.h"

/* '*' any text, '?' one character (IAM's). */
static bool matches(const char *pattern, const char *text, bool nocase)
{
        const char *star = NULL, *from = NULL;
        while (*text) {
                bool same = *pattern == '?' || (nocase ? !strncasecmp(pattern, text, 1) : *pattern == *text);
                if (*pattern == '*') {
                        star = pattern++;
                        from = text;
                } else if (*pattern && same) {
                        pattern++;
                        text++;
                } else if (star) {
                        pattern = star + 1;
                        text = ++from;
                } else {
                        return false;
                }
        }
        while (*pattern == '*')
                pattern++;
        return !*pattern;
}

/* One text or an array of them. */
static bool any(const json_t *patterns, const char *text, bool nocase)
{
        if (json_is_string(patterns))
                return matches(json_string_value(patterns), text, nocase);
        for (size_t i = 0; i < json_array_size(patterns); i++) {
                const char *pattern = json_string_value(json_array_get(patterns, i));
                if (pattern && matches(pattern, text, nocase))
                        return true;
        }
        return false;
}

static bool aws_allows(const json_t *policy, const char *action, const char *resource)
{
        const json_t *statements = json_object_get(policy, "Statement");
        for (size_t i = 0; i < json_array_size(statements); i++) {
                const json_t *s = json_array_get(statements, i);
                if (any(json_object_get(s, "Action"), action, true) &&
                    any(json_object_get(s, "Resource"), resource, false))
                        return true;
        }
        return false;
}

static bool azure_allows(const json_t *role, const char *action, const char *scope)
{
        const json_t *scopes = json_object_get(role, "AssignableScopes");
        bool in_scope = false;
        for (size_t i = 0; i < json_array_size(scopes); i++) {
                const char *one = json_string_value(json_array_get(scopes, i));
                in_scope = in_scope || (one && !strcasecmp(one, scope));
        }
        return in_scope && any(json_object_get(role, "Actions"), action, true) &&
               !any(json_object_get(role, "NotActions"), action, true);
}

static bool gcp_allows(const json_t *role, const char *permission)
{
        const json_t *names = json_object_get(role, "includedPermissions");
        for (size_t i = 0; i < json_array_size(names); i++) {
                const char *name = json_string_value(json_array_get(names, i));
                if (name && !strcmp(name, permission)) /* no wildcards in a custom role */
                        return true;
        }
        return false;
}

bool vn_sim_policy_allows(enum vn_platform_cloud cloud, const json_t *policy, const char *action,
                          const char *resource)
{
        switch (cloud) {
        case VN_PLATFORM_AWS: return aws_allows(policy, action, resource);
        case VN_PLATFORM_AZURE: return azure_allows(policy, action, resource);
        case VN_PLATFORM_GCP: return gcp_allows(policy, action);
        }
        return false;
}

bool vn_sim_may(const struct vn_sim *sim, uint32_t account, const char *action, const char *resource)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        return !a->policy || vn_sim_policy_allows(a->cloud, a->policy, action, resource);
}

/* --- parsing --- */

static enum vn_rc check_aws(const json_t *root, struct vn_err *err)
{
        const char *version = json_string_value(json_object_get(root, "Version"));
        const json_t *statements = json_object_get(root, "Statement");
        if (!version || strcmp(version, "2012-10-17") || !json_is_array(statements))
                return vn_fail(err, VN_INVALID_ARGUMENT, "MalformedPolicyDocument: Version 2012-10-17 and Statement");
        for (size_t i = 0; i < json_array_size(statements); i++) {
                const json_t *s = json_array_get(statements, i);
                const char *effect = json_string_value(json_object_get(s, "Effect")),
                           *sid = json_string_value(json_object_get(s, "Sid"));
                if (!effect || strcmp(effect, "Allow") || !json_object_get(s, "Action") ||
                    !json_object_get(s, "Resource") || json_object_get(s, "Condition"))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "MalformedPolicyDocument: statement %zu", i);
                for (; sid && *sid; sid++)
                        if (!((*sid | 32) >= 'a' && (*sid | 32) <= 'z') && !(*sid >= '0' && *sid <= '9'))
                                return vn_fail(err, VN_INVALID_ARGUMENT, "MalformedPolicyDocument: Sid");
        }
        return VN_OK;
}

static enum vn_rc check_azure(const json_t *root, struct vn_err *err)
{
        static const char *const arrays[] = {"Actions", "NotActions", "DataActions", "NotDataActions",
                                             "AssignableScopes"};
        for (size_t i = 0; i < sizeof arrays / sizeof arrays[0]; i++)
                if (!json_is_array(json_object_get(root, arrays[i])))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "InvalidRoleDefinition: %s", arrays[i]);
        if (!json_string_value(json_object_get(root, "Name")) || !json_is_true(json_object_get(root, "IsCustom")))
                return vn_fail(err, VN_INVALID_ARGUMENT, "InvalidRoleDefinition: Name and IsCustom");
        return VN_OK;
}

static enum vn_rc check_gcp(const json_t *root, struct vn_err *err)
{
        if (!json_string_value(json_object_get(root, "title")) ||
            !json_is_array(json_object_get(root, "includedPermissions")))
                return vn_fail(err, VN_INVALID_ARGUMENT, "a role needs title and includedPermissions");
        return VN_OK;
}

static struct vn_str unquoted(struct vn_str s)
{
        return s.len >= 2 && s.ptr[0] == '"' ? vn_str_n(s.ptr + 1, s.len - 2) : s;
}

/* "key: value" lines and one list in block style. */
static enum vn_rc parse_yaml(struct vn_str text, json_t **ret, struct vn_err *err)
{
        json_t *root = json_object(), *list = NULL;
        for (struct vn_str rest = text; root && rest.ptr;) {
                struct vn_str line = vn_str_trim(vn_str_cut(&rest, '\n')), value = line;
                char key[64];
                if (!line.len || line.ptr[0] == '#')
                        continue;
                if (vn_str_starts(line, VN_STR("- "))) {
                        value = unquoted(vn_str_trim(vn_str_n(line.ptr + 2, line.len - 2)));
                        if (!list || json_array_append_new(list, json_stringn(value.ptr, value.len)))
                                break;
                        continue;
                }
                struct vn_str name = vn_str_cut(&value, ':');
                if (!value.ptr || !vn_str_copy(key, sizeof key, name))
                        break;
                value = unquoted(vn_str_trim(value));
                list = value.len ? NULL : json_array();
                json_object_set_new(root, key, list ? list : json_stringn(value.ptr, value.len));
        }
        *ret = root;
        return root ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a document");
}

enum vn_rc vn_sim_policy_parse(enum vn_platform_cloud cloud, struct vn_str text, json_t **ret, struct vn_err *err)
{
        static const struct vn_json_limits limits = {VN_MAX_SIM_POLICY_BYTES, 5, 400};
        bool is_json = text.len && vn_str_trim(text).ptr[0] == '{';
        VN_AUTO(vn_json)
        root = NULL;
        if (text.len > VN_MAX_SIM_POLICY_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "LimitExceeded: the document is too long");
        if (is_json || cloud != VN_PLATFORM_GCP)
                VN_TRY(vn_json_parse(text, &limits, &root, err));
        else
                VN_TRY(parse_yaml(text, &root, err));
        switch (cloud) {
        case VN_PLATFORM_AWS: VN_TRY(check_aws(root, err)); break;
        case VN_PLATFORM_AZURE: VN_TRY(check_azure(root, err)); break;
        case VN_PLATFORM_GCP: VN_TRY(check_gcp(root, err)); break;
        }
        *ret = vn_steal(&root);
        return VN_OK;
}
