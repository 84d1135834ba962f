/* account.h - one cloud account opened from its JSON description, transport included.
 * Purpose: what agents and the load driver share: {"cloud":"gcp", "region", "endpoint", "ca_file", "key_file", ...} with
 *   the members of vn_cloud_config; key_file names the service account's key where key_json does not hold it.
 * Threads: an account is used by one thread at a time. Ownership: owns its handle, transport and texts. */
#ifndef VANE_CLOUDS_ACCOUNT_H
#define VANE_CLOUDS_ACCOUNT_H

#include "clouds/cloud.h"

struct json_t;
struct vn_cloud_account;
/* The JSON is copied. Nothing is sent yet. */
enum vn_rc vn_cloud_account_open(const struct json_t *description, const struct vn_clock *clock,
                                 struct vn_cloud_account **ret, struct vn_err *err) VN_MUST_USE;
/* From a file of at most 64 KiB. */
enum vn_rc vn_cloud_account_open_file(const char *path, const struct vn_clock *clock, struct vn_cloud_account **ret,
                                      struct vn_err *err) VN_MUST_USE;
struct vn_cloud_account *vn_cloud_account_free(struct vn_cloud_account *account);
struct vn_cloud *vn_cloud_account_cloud(struct vn_cloud_account *account);
const char *vn_cloud_account_name(const struct vn_cloud_account *account); /* member "name", or "" */

#endif
