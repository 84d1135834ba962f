/* credentials.h - the AWS keys that requests are signed with: where they come from, and when they are fetched anew.
 * Purpose: an account whose description holds keys uses those. Else the places are asked in the order of AWS's own clients:
 *   the account's `profile` if it names one; the environment (AWS_ACCESS_KEY_ID, ...); the profile AWS_PROFILE or "default"
 *   of the shared files; a container's endpoint (AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or _FULL_URI, with
 *   AWS_CONTAINER_AUTHORIZATION_TOKEN or _TOKEN_FILE); the instance metadata service, version 2 only. A profile's
 *   role (role_arn with source_profile, credential_source or web_identity_token_file), and the environment's web identity,
 *   are assumed through STS. A process, a single sign-on and a second factor are refused by name rather than passed over:
 *   other keys than those meant would be used.
 * Refresh: keys with an end are fetched again five minutes before it, by the handle's clock; while that fails the old ones
 *   serve to their end, with a minute between attempts.
 * Threads: the handle's. Ownership: what is returned is borrowed until the next call; everything is wiped on free.
 * Errors: UNAUTHENTICATED if no place has keys, with each place and why it had none; UNAVAILABLE if one did not answer.
 * Source: AWS SDKs and Tools Reference Guide, "standardized credential providers". */
#ifndef VANE_CLOUDS_AWS_CREDENTIALS_H
#define VANE_CLOUDS_AWS_CREDENTIALS_H

#include "clouds/call.h"

struct vn_aws_keys {
        struct vn_str access_key_id, secret_access_key, session_token; /* the last may be empty */
};
enum vn_rc vn_aws_keys(struct vn_cloud *cloud, struct vn_aws_keys *ret, struct vn_err *err) VN_MUST_USE;
/* After an answer that says the keys have expired: true if their place was asked anew, and a repeated call may help. */
bool vn_aws_keys_expired(struct vn_cloud *cloud);
struct vn_aws_session *vn_aws_session_free(struct vn_aws_session *session);

#endif
