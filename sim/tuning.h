/* sim/tuning.h - what the control planes of Azure and GCP let be changed beside memory: instances, requests at once, slots and
 * revisions, kept for each deployment from its first change on.
 * Threads, ownership: as sim/world.h, in whose functions it lives. Instances act on the platform at once; requests at once,
 * slots and revisions are the control plane's only: every slot and revision runs the same code. */
#ifndef VANE_SIM_TUNING_H
#define VANE_SIM_TUNING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VN_SIM_SLOTS 2 /* beside production, as Azure's Premium plan has */
#define VN_SIM_SHARES 8
#define VN_SIM_SLOT_BYTES 40

struct vn_sim_slot {
        char name[VN_SIM_SLOT_BYTES];
        uint32_t looks; /* at its making: an operation ends at the second */
};
struct vn_sim_share {
        char name[VN_SIM_SLOT_BYTES]; /* azure: of a slot; gcp: of a revision, empty for whatever is the latest */
        char tag[VN_SIM_SLOT_BYTES];
        double percent;
};
struct vn_sim_tuning {
        bool known; /* else the deployment's first values hold */
        uint32_t max_instances, warm_instances, pre_warmed, concurrency;
        bool premium; /* azure: the site was moved to the Premium plan */
        struct vn_sim_slot slots[VN_SIM_SLOTS];
        size_t slot_count;
        uint32_t revisions; /* gcp: made so far */
        uint64_t operation; /* gcp: the latest change of traffic */
        uint32_t looks;     /* at it */
        struct vn_sim_share shares[VN_SIM_SHARES];
        size_t share_count;
};

/* Writes that one account may make: `burst` at once, then per_s. */
struct vn_sim_budget {
        double left;
        int64_t at_us;
        bool known;
};

struct vn_sim;
struct vn_sim_tuning *vn_sim_tuning(struct vn_sim *sim, uint32_t deployment);
/* Puts the instances into force and counts a change. */
void vn_sim_tuned(struct vn_sim *sim, uint32_t deployment);
/* False when the account's writes are used up. ret_left: those that are left. */
bool vn_sim_write_allowed(struct vn_sim *sim, uint32_t account, double burst, double per_s, uint32_t *ret_left);

#endif
