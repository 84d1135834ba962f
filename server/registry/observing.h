/* observing.h - what it takes to observe each account: its agent's calls to the cloud, what they cost, the budget left, and
 * whether the last listing was whole.
 * Purpose: from agents' reports to `vanectl account show` and /metrics. Nothing is stored: agents tell again.
 * Threads: any; a lock of its own, since /metrics is answered on edge loops. Bounds: as many accounts as the registry has, and
 *   VN_OBSERVING_METRICS of them in /metrics. Ownership: all copied. */
#ifndef VANE_SERVER_REGISTRY_OBSERVING_H
#define VANE_SERVER_REGISTRY_OBSERVING_H

#include "server/registry/registry.h"

#define VN_OBSERVING_METRICS 1000
#define VN_OBSERVING_TEXT_BYTES 400

struct Vane__V1__WindowReport;
struct Vane__V1__InventoryReport;

enum vn_rc vn_observing_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_observing_stop(struct vn_server *server);
/* INVALID_ARGUMENT for what no agent says. A report without usage changes nothing. */
enum vn_rc vn_observing_calls(struct vn_server *server, const struct vn_account_entry *account,
                              const struct Vane__V1__WindowReport *report, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_observing_listed(struct vn_server *server, const struct vn_account_entry *account,
                               const struct Vane__V1__InventoryReport *report, struct vn_err *err) VN_MUST_USE;
/* Lines for people; empty while the agent has not told (since this process's start). */
void vn_observing_describe(struct vn_server *server, uint64_t account_id, char ret_calls[VN_OBSERVING_TEXT_BYTES],
                           char ret_listed[VN_OBSERVING_TEXT_BYTES]);
/* Prometheus text of account_metrics.def. */
void vn_observing_metrics(struct vn_server *server, struct vn_buf *out);

#endif
