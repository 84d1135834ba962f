/* policy_table.h - the policies in force, their versions, and which one governs a workload.
 * Threads: the control loop. Ownership: pointers are good until the next operation.
 * Rule: of the policies whose glob matches, the one with the most fixed characters governs; ties go to the first name. */
#ifndef VANE_SERVER_POLICY_TABLE_H
#define VANE_SERVER_POLICY_TABLE_H

#include "policies/policy.h"
#include "server/server.h"

struct vn_policy_entry {
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

#endif
