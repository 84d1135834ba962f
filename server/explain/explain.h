/* explain.h - decisions read back: lists, explanations, replay, and the live page's stream.
 * Threads: operations run on the reader loop (they only use the store); vn_explain_tick on the control loop. */
#ifndef VANE_SERVER_EXPLAIN_EXPLAIN_H
#define VANE_SERVER_EXPLAIN_EXPLAIN_H

#include "decide/attribution.h"
#include "server/op.h"
#include "server/server.h"
#include "vane/v1/control.pb-c.h"

enum vn_rc vn_explain_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_explain_stop(struct vn_server *server);
/* Sends what was recorded since the last tick to open WatchDecisions streams; at most 40 a turn and tenant, the newest. */
void vn_explain_tick(struct vn_server *server);

/* A record as people see it; texts in the arena. NULL when memory is out. */
Vane__V1__Decision *vn_explain_decision(struct vn_arena *arena, const struct vn_record *record, uint64_t seq);
/* The record of a decision id within the caller's tenant; NOT_FOUND otherwise. */
enum vn_rc vn_explain_find(struct vn_op *op, const char *id_text, struct vn_record *ret, struct vn_buf *ret_bytes,
                           uint64_t *ret_seq, struct vn_err *err) VN_MUST_USE;
/* A calibration of risk as a message in the arena. */
enum vn_rc vn_explain_calibration(struct vn_op *op, const struct vn_calibration *calibration,
                                  Vane__V1__RiskCalibration **ret, struct vn_err *err) VN_MUST_USE;

#endif
