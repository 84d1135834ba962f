/* session.h - internal to AWS's credentials: keys at hand, and the places on this host that give some.
 * Purpose: credentials.c decides which place is asked and when; host_keys.c asks the endpoints of this host; sts.h is asked
 *   for roles. Threads, ownership: as the handle's. */
#ifndef VANE_CLOUDS_AWS_SESSION_H
#define VANE_CLOUDS_AWS_SESSION_H

#include "clouds/aws/credentials.h"
#include "clouds/identity.h"

struct vn_aws_session {
        char access_key_id[160], secret_access_key[192], session_token[8192];
        int64_t expires_us;   /* 0: never */
        int64_t ask_again_us; /* not asked anew before, while the old ones hold */
        bool fixed;           /* not to be replaced: of the description, or a source in use for a role */
};

enum vn_rc vn_aws_session_keep(struct vn_aws_session *s, const struct vn_aws_keys *keys, int64_t expires_us,
                               const char *place, struct vn_err *err) VN_MUST_USE;

/* NOT_FOUND, and why, where there is no such endpoint. */
enum vn_rc vn_aws_container_keys(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_instance_keys(struct vn_cloud *cloud, struct vn_aws_session *s, struct vn_err *err) VN_MUST_USE;

#endif
