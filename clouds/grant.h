/* grant.h - a credential that can invoke some functions of an account and nothing else, for a gateway.
 * Purpose: as short-lived as the cloud allows. AWS: a session of the account's `grant_role_arn`, narrowed by a session policy to
 *   these functions, 15 minutes. Azure: the functions' own keys, which open nothing else; they have no end. GCP: an ID token
 *   for each function's address, one hour; it is good for calling, not for Google's APIs.
 * Threads: the handle's. Ownership: the caller drops the grant, which wipes it.
 * Errors: as in cloud.h; FAILED_PRECONDITION where the account is not set up for grants. */
#ifndef VANE_CLOUDS_GRANT_H
#define VANE_CLOUDS_GRANT_H

#include "clouds/cloud.h"

#define VN_CLOUD_GRANT_MAX_FUNCTIONS 16 /* their ARNs must fit into a session policy */
#define VN_CLOUD_GRANT_MAX_BYTES 49152

struct vn_cloud_grant {
        struct vn_buf
                secret; /* lines of "name value": the account's, then from each "function NAME" on that function's */
        int64_t expires_us; /* by the cloud's own clock; where it has no end: after the seconds that were asked */
        int64_t honoured_until_us; /* 0: without end */
        char honoured[96];         /* what ends it, in a few words */
};
/* `functions` as listed. */
enum vn_rc vn_cloud_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                          uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
/* One line of a secret; a value that is none (a control character) spoils the buffer. For the clouds' own files. */
void vn_grant_line(struct vn_buf *ret, const char *name, struct vn_str value);
void vn_cloud_grant_done(struct vn_cloud_grant *grant);

#endif
