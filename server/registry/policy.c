/* policy.c - the policy document of an account: what its cloud must allow the agent, and no more. */
#include "clouds/permissions.h"
#include "server/registry/registry.h"
#include "vane/v1/control.pb-c.h"

#define MAX_DOCUMENT_BYTES 65536

static enum vn_rc format_of(const char *name, enum vn_policy_format *ret, struct vn_err *err)
{
        static const char *const names[] = {
                [VN_POLICY_OWN] = "", [VN_POLICY_JSON] = "json", [VN_POLICY_YAML] = "yaml"};
        for (unsigned i = 0; i < sizeof names / sizeof names[0]; i++) {
                if (!strcmp(name, names[i])) {
                        *ret = (enum vn_policy_format)i;
                        return VN_OK;
                }
        }
        return vn_fail(err, VN_INVALID_ARGUMENT, "format: json or yaml");
}

/* The two lists have one order, and this is the one place where it counts. */
static enum vn_cloud_kind kind_of(enum vn_cloud_id cloud)
{
        _Static_assert((int)VN_AWS == (int)VN_CLOUD_AWS && (int)VN_AZURE == (int)VN_CLOUD_AZURE &&
                               (int)VN_GCP == (int)VN_CLOUD_GCP,
                       "clouds in one order");
        return (enum vn_cloud_kind)cloud;
}

enum vn_rc op_get_account_policy(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                                 struct vn_err *err)
{
        const Vane__V1__AccountPolicyRequest *request = (const Vane__V1__AccountPolicyRequest *)message;
        const struct vn_account_entry *account =
                vn_registry_by_name(op->server->registry, op->identity->tenant, request->name);
        Vane__V1__AccountPolicy *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__AccountPolicy, vane__v1__account_policy__init);
        VN_AUTO(vn_buf)
        document = VN_BUF_INIT(MAX_DOCUMENT_BYTES);
        enum vn_permission_level level;
        enum vn_policy_format format = VN_POLICY_OWN;
        if (!account)
                return vn_fail(err, VN_NOT_FOUND, "name: no account \"%.64s\"", request->name);
        const char *level_name = request->level[0] ? request->level : vn_level_name(account->level);
        if (!vn_permission_level_parse(vn_str(level_name), &level))
                return vn_fail(err, VN_INVALID_ARGUMENT, "level: observe, tune or invoke");
        VN_TRY(format_of(request->format, &format, err));
        struct vn_policy_scope scope = {
                .name = vn_str(account->name), .region = vn_str(account->region), .bucket = vn_str(request->bucket)};
        /* The functions' full names say whose they are; before the first inventory nobody does. */
        if (account->function_count)
                scope.account = vn_policy_account_of(kind_of(account->cloud), vn_str(account->functions[0].resource));
        VN_TRY(vn_policy_document(kind_of(account->cloud), level, &scope, format, &document, err));
        if (!m)
                return vn_op_no_memory(err);
        m->name = vn_op_text(op, account->name);
        m->cloud = vn_op_text(op, vn_cloud_name(account->cloud));
        m->level = vn_op_text(op, vn_permission_level_name(level));
        m->cloud_account = vn_op_printf(op, "%.*s", VN_FMT(scope.account));
        m->document = vn_op_text(op, document.ptr);
        *ret_reply = &m->base;
        return VN_OK;
}
