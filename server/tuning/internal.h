/* internal.h - proposals in memory; shared by tuning.c and proposals.c. Threads: the control loop.
 * States: waiting -> applying -> verifying -> kept | rolling-back -> rolled-back; waiting -> rejected;
 *   applying, rolling-back -> failed; shadow is an end: what would have been done. */
#ifndef VANE_SERVER_TUNING_INTERNAL_H
#define VANE_SERVER_TUNING_INTERNAL_H

#include "federation/sketch.h"
#include "server/tuning/tuning.h"

#define VN_MAX_PROPOSALS 100000
#define VN_PROPOSAL_HISTORY 12

struct vn_proposal {
        char id[64], tenant[VN_MAX_TENANT_BYTES], state[16];
        char workload[192], region[48];
        uint64_t account_id;
        uint32_t from_mb, to_mb;
        double saving_usd, saving_share, p95_before_us, p95_after_us, risk, confidence;
        char reason[200];
        int64_t created_us, changed_us, applied_us;
        int64_t asked_us; /* again, for a command without an answer; not stored */
        char approved_by[VN_MAX_ACTOR_BYTES], proposed_by[VN_MAX_ACTOR_BYTES], decision_id[48];
        char history[VN_PROPOSAL_HISTORY][160];
        size_t history_count;
        struct vn_sketch before; /* run times before the change */
        uint64_t before_calls, before_errors;
};
struct vn_tuning {
        struct vn_proposal *items;
        size_t count;
        uint64_t next_number;
        int64_t next_us;
};
bool vn_proposal_open(const struct vn_proposal *p);
void vn_proposal_store(struct vn_batch *batch, const struct vn_proposal *p);
void vn_proposal_history(struct vn_proposal *p, const char *line);
enum vn_rc vn_proposal_move(struct vn_server *server, struct vn_proposal *p, const char *state, const char *actor,
                            const char *why, struct vn_err *err) VN_MUST_USE;
/* Records the decision, then sends the command. */
enum vn_rc vn_proposal_apply(struct vn_server *server, struct vn_proposal *p, const char *actor,
                             struct vn_err *err) VN_MUST_USE;

#endif
