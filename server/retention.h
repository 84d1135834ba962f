/* retention.h - what is too old goes: telemetry windows, views for replay, and whole segments of records.
 * Purpose: three keys of the configuration, judged by the shared clock. A segment goes behind a tombstone in the log,
 *   which says for good that what is missing below it was dropped, by which rule and by whom.
 * Threads: vn_retention_tick on the control loop; segments are dropped on the reader loop, which may wait for the disk.
 * Ownership: one of each server; stopped after the loops. */
#ifndef VANE_SERVER_RETENTION_H
#define VANE_SERVER_RETENTION_H

#include "server/server.h"

enum vn_rc vn_retention_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_retention_stop(struct vn_server *server);
void vn_retention_tick(struct vn_server *server, int64_t now_us);

#endif
