/* sim/permissions.h - policy documents attached to the simulated identities, and what they allow.
 * Purpose: judges the documents that Vane prints: an IAM policy, an Azure role definition, a GCP custom role; read by a parser
 *   of its own, so that a misunderstanding does not pass on both sides. Allow only: documents with Deny are refused.
 * Threads: one at a time. Ownership: documents are json_t of the account or session that they are attached to. */
#ifndef VANE_SIM_PERMISSIONS_H
#define VANE_SIM_PERMISSIONS_H

#include "sim/aws.h"

#define VN_MAX_SIM_POLICY_BYTES 8192 /* a managed policy of IAM has 6,144 characters */

/* INVALID_ARGUMENT for a document that the cloud would not take. A GCP role may come as YAML, in block style. */
enum vn_rc vn_sim_policy_parse(enum vn_platform_cloud cloud, struct vn_str text, json_t **ret,
                               struct vn_err *err) VN_MUST_USE;
/* resource: an ARN, or what AssignableScopes must hold (Azure); not looked at for GCP. */
bool vn_sim_policy_allows(enum vn_platform_cloud cloud, const json_t *policy, const char *action,
                          const char *resource);
/* By the document of the account; without one everything is allowed. */
bool vn_sim_may(const struct vn_sim *sim, uint32_t account, const char *action, const char *resource);

/* Each false: refused, and the cloud's own answer is written. A request that no rule knows is refused too, once there is
 * a document. */
bool vn_sim_aws_permitted(const struct vn_sim *sim, uint32_t account, const struct vn_sim_session *session,
                          enum vn_aws_protocol protocol, const struct vn_sim_request *request,
                          struct vn_sim_response *response);
bool vn_sim_azure_permitted(const struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                            const struct vn_str *part, size_t count, struct vn_sim_response *response);
bool vn_sim_azure_query_permitted(const struct vn_sim *sim, uint32_t account, bool workspace,
                                  struct vn_sim_response *response);
/* The answer to GET .../providers/Microsoft.Authorization/permissions. */
void vn_sim_azure_permissions(const struct vn_sim *sim, uint32_t account, struct vn_sim_response *response);
bool vn_sim_gcp_permitted(const struct vn_sim *sim, uint32_t account, const char *permission,
                          struct vn_sim_response *response);
/* The permission that a request below /v2/projects/P/ needs; NULL: none is known. */
const char *vn_sim_gcp_permission_of(const struct vn_sim_request *request, const struct vn_str *part, size_t count);
void vn_sim_gcp_test_permissions(const struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                                 struct vn_sim_response *response);

#endif
