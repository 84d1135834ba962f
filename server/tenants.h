/* tenants.h - who shares this installation: each tenant has its own people, accounts, policies, models and decisions.
 * Purpose: the list of tenants, and a small number for each, by which other modules keep what they hold per tenant. The
 *   tenant "default" is the installation's own: its admins make the others, and nobody reads across.
 * Threads: the control loop; vn_tenant_is_installation on any.
 * Ownership: entries belong to the table and never move; a number is good until the process ends. */
#ifndef VANE_SERVER_TENANTS_H
#define VANE_SERVER_TENANTS_H

#include "server/server.h"

#define VN_MAX_TENANTS 1000
#define VN_MAX_TENANT_NAME 63

struct vn_tenant_entry {
        char name[VN_MAX_TENANT_BYTES];
        char created_by[VN_MAX_ACTOR_BYTES];
        int64_t created_us;
        uint64_t changes; /* recorded since the process started; outcomes and routes are counted elsewhere */
};

/* Loads the tenants; makes "default" where it is missing, which is the first start or an old state directory. */
enum vn_rc vn_tenants_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_tenants_stop(struct vn_server *server);
size_t vn_tenants_count(const struct vn_server *server);
const struct vn_tenant_entry *vn_tenants_at(const struct vn_server *server, size_t number);
/* Every tenant that an identity, an account or a record names exists: another name stops the process. */
size_t vn_tenants_number(const struct vn_server *server, const char *name);
void vn_tenants_count_change(struct vn_server *server, const char *name);
/* Lower-case letters, digits and hyphens, 1 to 63, the first no hyphen: it stands in command lines and in keys. */
bool vn_tenant_name_ok(const char *name);
/* Figures of the whole installation are for its own people: PERMISSION_DENIED for any other tenant's. */
enum vn_rc vn_tenant_is_installation(const struct vn_identity *who, struct vn_err *err) VN_MUST_USE;

#endif
