/* pauses.h - stop signs: everywhere, for an account, for a function.
 * Purpose: while one stands, nothing is changed in its scope and routing answers with the declared split.
 * Threads: the control loop. A pause reaches the views with the next publication, within 1 s. */
#ifndef VANE_SERVER_TUNING_PAUSES_H
#define VANE_SERVER_TUNING_PAUSES_H

#include "server/server.h"

enum vn_rc vn_pauses_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_pauses_stop(struct vn_server *server);
bool vn_pauses_global(const struct vn_server *server, const char *tenant);
bool vn_pauses_account(const struct vn_server *server, const char *tenant, const char *account);
bool vn_pauses_function(const struct vn_server *server, const char *tenant, const char *workload);
/* An agent's stream has just opened: all that stands for it, beginning with the account itself, from which the agent sees
 * that what it knew before is over. */
struct vn_account_entry;
void vn_pauses_hello(struct vn_server *server, const struct vn_account_entry *account);

#endif
