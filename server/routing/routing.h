/* routing.h - views are made here, and calls are routed by them.
 * Purpose: the control loop builds a view for each workload from accounts, policies, telemetry, prices and the model,
 *   and publishes all of them as one immutable table. Each edge loop holds its own reference to the table, decides with
 *   its own live counters, journals the record, and answers. No lock and no store on that path.
 * Threads: vn_routing_* on the control loop; vn_route_* and vn_report_* on edge loops; vn_routing_view from any thread.
 * Ownership: views are counted; a table holds one reference to each of its views, a loop one to its table. */
#ifndef VANE_SERVER_ROUTING_ROUTING_H
#define VANE_SERVER_ROUTING_ROUTING_H

#include "decide/decide.h"
#include "decide/record.h"
#include "federation/sketch.h"
#include "server/server.h"

enum vn_rc vn_routing_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_routing_stop(struct vn_server *server);
/* Something that views are made from has changed: publish at the next tick (at most ten a second). */
void vn_routing_dirty(struct vn_server *server);
void vn_routing_tick(struct vn_server *server, int64_t now_us);

struct vn_routing_figures {
        uint64_t routed, split, refused, unrecorded;
        uint64_t outcomes, outcomes_refused, failed;
        uint64_t per_cloud[3];
        uint64_t epoch;
        size_t workloads;
};
void vn_routing_figures(const struct vn_server *server, struct vn_routing_figures *ret); /* any thread */
/* Expected cost of what was routed to one cloud; control loop. */
double vn_routing_cost_usd(const struct vn_server *server, unsigned cloud);
/* Latency quantile over reported outcomes of one cloud, in ms; control loop. */
double vn_routing_p95_ms(const struct vn_server *server, unsigned cloud);
/* Slots of the present table, some of them empty (vn_routing_view_at gives NULL).
 * The present view of a workload for pages and tuning: NULL if there is none. Control loop only; borrowed. */
const struct vn_view *vn_routing_view(const struct vn_server *server, const char *tenant, const char *workload);
size_t vn_routing_view_count(const struct vn_server *server);
const struct vn_view *vn_routing_view_at(const struct vn_server *server, size_t index);
uint64_t vn_routing_routed(const struct vn_server *server, const char *tenant, const char *workload);
/* Outcomes of an endpoint as callers reported them. */
double vn_routing_network_us(const struct vn_server *server, uint64_t account_id);

#endif
