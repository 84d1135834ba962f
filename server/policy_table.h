/* policy_table.h - the policies in force, their versions, and which one governs a workload.
 * Threads: the control loop. Ownership: pointers are good until the next operation.
 * Rule: of the policies whose glob matches, the one with the most fixed characters governs; ties go to the first name. */
#ifndef VANE_SERVER_POLICY_TABLE_H
#define VANE_SERVER_POLICY_TABLE_H

#include "policies/policy.h"
#include "server/server.h"

#define VN_MAX_POLICIES 1000 /* of all tenants together */
#define VN_POLICY_NUMBERS (VN_MAX_POLICIES + 1)

struct vn_policy_entry {
        uint16_t number; /* 1..VN_MAX_POLICIES, the same until the server stops; 0: the built-in default */
        char tenant[VN_MAX_TENANT_BYTES];
        uint64_t version;
        char *document;
        char author[VN_MAX_ACTOR_BYTES];
        char decision_id[48];
        int64_t time_us;
        struct vn_policy_compiled compiled;
};

enum vn_rc vn_policy_table_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_policy_table_stop(struct vn_server *server);
/* Never NULL: the built-in default (version 0) where none matches. */
const struct vn_policy_entry *vn_policy_for(const struct vn_server *server, const char *tenant, const char *workload);
/* All tenants' policies in force, the built-in default not among them. */
size_t vn_policy_count(const struct vn_server *server);
const struct vn_policy_entry *vn_policy_at(const struct vn_server *server, size_t index);

#endif
