/* sim/keep.h - what outlives the simulator's process when it is asked to keep its state.
 * Files of the state directory: `identity.json` (accounts, keys, tokens, the certificate authority; written once, whole or not at
 * all, mode 0600) and `journal` (appended: invocations, changes of functions, temporary keys; each entry with a checksum).
 * An invocation stands in the journal before it is answered and survives the process; a change and temporary keys are on
 * the disk before they are answered. A torn end is cut off. Instances do not survive: the first call of each is cold.
 * Threads: one at a time. */
#ifndef VANE_SIM_KEEP_H
#define VANE_SIM_KEEP_H

#include "sim/world.h"

struct vn_sim_keep;
/* Takes what the directory has, or begins it. FAILED_PRECONDITION if it was begun with another seed or count of functions. */
enum vn_rc vn_sim_keep_open(struct vn_sim *sim, const char *dir, struct vn_err *err) VN_MUST_USE;
struct vn_sim_keep *vn_sim_keep_free(struct vn_sim_keep *keep);
/* False once something could not be written: no invocation or change is taken then. Without a keep it is true. */
bool vn_sim_keep_good(const struct vn_sim *sim);
void vn_sim_keep_record(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_record *record,
                        const struct vn_platform_outcome *outcome);
void vn_sim_keep_function(struct vn_sim *sim, uint32_t deployment);
void vn_sim_keep_session(struct vn_sim *sim, const struct vn_sim_session *session);

#endif
