/* permissions.h - which permission each operation needs, and the least-privilege policy of an account made of them.
 * Purpose: one table (permissions.def) for the document that an administrator applies, for what a refusal is told to lack,
 *   and for what an agent asks its cloud about itself.
 * Threads: any; nothing is kept. Ownership: texts of the table live for ever; documents are appended to the caller's buffer.
 * Errors: INVALID_ARGUMENT for a scope or a bucket that could not stand in a document. */
#ifndef VANE_CLOUDS_PERMISSIONS_H
#define VANE_CLOUDS_PERMISSIONS_H

#include "clouds/cloud.h"

/* In rising order: each has what is below it. BUCKET is beside them: only where a bucket is named. */
enum vn_permission_level { VN_MAY_OBSERVE, VN_MAY_TUNE, VN_MAY_INVOKE, VN_MAY_BUCKET };
const char *vn_permission_level_name(enum vn_permission_level level);              /* "observe", "tune", "invoke" */
bool vn_permission_level_parse(struct vn_str name, enum vn_permission_level *ret); /* the three */

enum vn_permission_resource { VN_ON_ALL, VN_ON_FUNCTIONS, VN_ON_LOGS, VN_ON_INVOKE_ROLE, VN_ON_BUCKET };
struct vn_permission {
        enum vn_cloud_kind cloud;
        enum vn_permission_level level;
        enum vn_permission_resource resource;
        const char *operation; /* "list", "change memory_mb", "invoke", ... */
        const char *name;      /* as the cloud writes it */
};
extern const struct vn_permission vn_permissions[];
extern const size_t vn_permission_count;
/* The first permission of an operation, for telling what a refused one lacks; "" if there is no such row. */
const char *vn_permission_name(enum vn_cloud_kind cloud, const char *operation);

/* The role whose short sessions are the gateway's invoke grants (AWS). */
#define VN_INVOKE_ROLE "vane-invoke"

enum vn_policy_format { VN_POLICY_OWN, VN_POLICY_JSON, VN_POLICY_YAML }; /* OWN: JSON; GCP: YAML */
struct vn_policy_scope {
        struct vn_str name; /* of the Vane account */
        struct vn_str
                account; /* AWS account number, Azure subscription, GCP project; empty: a placeholder that is named */
        struct vn_str region; /* aws; empty: all */
        struct vn_str bucket; /* adds writing into this bucket; Azure: a resource id of a container; empty: none */
};
/* An IAM policy (AWS), a role definition for `az role definition create` (Azure), or a custom role for
 * `gcloud iam roles create --file` (GCP). */
enum vn_rc vn_policy_document(enum vn_cloud_kind cloud, enum vn_permission_level level,
                              const struct vn_policy_scope *scope, enum vn_policy_format format, struct vn_buf *ret,
                              struct vn_err *err) VN_MUST_USE;
/* What the credentials of an open account may do, as the cloud tells. Nothing is changed by asking: AWS is sent an update
 * of no setting, for a revision that cannot be, and a dry run of a call; Azure and GCP have a question for it. */
struct vn_cloud_abilities {
        enum vn_permission_level level; /* the highest that it can be used at */
        char refused[96];               /* what is missing for the next; empty at the highest */
};
/* `function` is any of the account's, as listed. */
enum vn_rc vn_cloud_abilities(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                              struct vn_cloud_abilities *ret, struct vn_err *err) VN_MUST_USE;

/* The account number, subscription or project in a function's full name; empty if it is not there. */
struct vn_str vn_policy_account_of(enum vn_cloud_kind cloud, struct vn_str resource);

#endif
