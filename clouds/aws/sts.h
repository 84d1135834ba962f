/* sts.h - temporary keys for a role, from AWS's Security Token Service.
 * Purpose: AssumeRole, signed with the keys that the handle has at the moment, and AssumeRoleWithWebIdentity, which is not
 *   signed: the token is the proof. The service answers in XML, of which three texts and a time are taken.
 * Threads: the handle's. Ownership: the keys point into the response, which the caller wipes.
 * Errors: PERMISSION_DENIED or UNAUTHENTICATED with the service's code, UNAVAILABLE for throttling and 5xx, DATA_LOSS for an
 *   answer without keys. Source: AWS STS API Reference, 2011-06-15. */
#ifndef VANE_CLOUDS_AWS_STS_H
#define VANE_CLOUDS_AWS_STS_H

#include "clouds/aws/credentials.h"

#define VN_AWS_ROLE_S 3600 /* the most that a chained role may ask for */

struct vn_aws_role {
        struct vn_str arn, session_name;
        struct vn_str external_id;        /* empty: none */
        struct vn_str web_identity_token; /* empty: signed */
        struct vn_str policy;             /* narrows what the role has; empty: all of it */
        uint32_t seconds;                 /* 0: VN_AWS_ROLE_S */
};
enum vn_rc vn_aws_sts_assume(struct vn_cloud *cloud, const struct vn_aws_role *role, struct vn_cloud_response *answer,
                             struct vn_aws_keys *ret, int64_t *ret_expires_us, struct vn_err *err) VN_MUST_USE;

/* The text of the first element of that name without attributes; ptr NULL if there is none, or if it holds markup. */
struct vn_str vn_aws_xml_text(struct vn_str xml, const char *name);

#endif
