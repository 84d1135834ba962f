/* sim/aws.h - AWS as seen on the wire: Lambda, CloudWatch, CloudWatch Logs, Price List, STS and S3 on one endpoint.
 * Threads: one at a time. Ownership: the response is the caller's. */
#ifndef VANE_SIM_AWS_H
#define VANE_SIM_AWS_H

#include "sim/world.h"

void vn_sim_aws(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);

/* --- between the files of the AWS part --- */
enum vn_aws_protocol { VN_AWS_REST, VN_AWS_JSON, VN_AWS_QUERY, VN_AWS_S3 };
void vn_sim_aws_error(struct vn_sim_response *response, enum vn_aws_protocol protocol, int status, const char *code,
                      const char *format, ...) VN_PRINTF(5, 6);
/* CloudWatch, Logs and Price List by x-amz-target. */
void vn_sim_aws_target(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                       struct vn_sim_response *response);
/* One of CloudWatch's operations by its name; body and answer as in the JSON protocol. */
void vn_sim_aws_monitoring(struct vn_sim *sim, uint32_t account, const char *operation, const json_t *body,
                           struct vn_sim_response *response);
/* CloudWatch's query protocol, and whether a form is meant for it. */
bool vn_sim_aws_is_monitoring(const struct vn_sim_request *request);
void vn_sim_aws_query(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                      struct vn_sim_response *response);
/* The Security Token Service. by_session: what signs are temporary keys. */
void vn_sim_aws_sts(struct vn_sim *sim, uint32_t account, bool by_session, const struct vn_sim_request *request,
                    struct vn_sim_response *response);
/* The account of a role that can be assumed, UINT32_MAX if there is none; by_id: only with the external id. */
uint32_t vn_sim_aws_role(const struct vn_sim *sim, struct vn_str arn, bool *ret_by_id);
bool vn_sim_aws_is_session_name(struct vn_str s);
const struct vn_sim_session *vn_sim_aws_issue(struct vn_sim *sim, uint32_t account, int64_t expires_us);
/* identity_aws.c: AssumeRoleWithWebIdentity, which nobody signs. */
bool vn_sim_aws_is_web_identity(const struct vn_sim_request *request);
void vn_sim_aws_web_identity(struct vn_sim *sim, const struct vn_sim_request *request,
                             struct vn_sim_response *response);
/* The three log lines of an invocation. */
void vn_sim_aws_report(const struct vn_sim_record *record, struct vn_buf *ret);

#endif
