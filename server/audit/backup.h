/* backup.h - backups of the running server under STATE/backups, one at a time, on a thread of their own.
 * Purpose: a folder from which `vanectl restore` makes a state directory: store, log and its key, blobs, CA and keys, and
 *   the settings file as it was. Asked for by an admin of the installation; both that it began, before anything is
 *   copied, and how it ended are decisions in the log.
 * Threads: start on an edge loop, the copy on the backup thread, records on the control loop, the list on the reader loop.
 * Limits: 16 backups; together with the store they stay within disk_budget_bytes. A backup that fails or is interrupted
 *   leaves nothing under its name: it is made in STATE/backups/.making, which a start removes. */
#ifndef VANE_SERVER_AUDIT_BACKUP_H
#define VANE_SERVER_AUDIT_BACKUP_H

#include "server/server.h"

#define VN_MAX_BACKUPS 16

enum vn_rc vn_backups_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
/* Breaks off a backup that is being made, which still answers its caller: the loops must run. No other begins. */
void vn_backups_stop(struct vn_server *server);
/* After the edge and the loops are gone. */
void vn_backups_free(struct vn_server *server);

#endif
