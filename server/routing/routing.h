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
#include "federation/window.h"
#include "server/server.h"

struct vn_account_entry;

enum vn_rc vn_routing_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_routing_stop(struct vn_server *server);
/* Something that views are made from has changed: publish at the next tick (at most ten a second). */
void vn_routing_dirty(struct vn_server *server);
/* An account has sent a window: outcomes of its minute now teach what a cold start takes. */
void vn_routing_window(struct vn_server *server, const struct vn_account_entry *account,
                       const struct vn_window *window);
void vn_routing_tick(struct vn_server *server, int64_t now_us);
/* Drops a slice of the views that are older than the replay window; true while there is more to drop. */
bool vn_routing_retain(struct vn_server *server, int64_t now_us);

struct vn_routing_figures {
        uint64_t routed, split, refused;
        uint64_t outcomes, failed;
        uint64_t per_cloud[VN_PROVIDER_COUNT];
        double cost_usd[VN_PROVIDER_COUNT]; /* expected, summed over what was routed */
        double p95_ms[VN_PROVIDER_COUNT];   /* over reported outcomes */
        size_t workloads;
};
/* Of one tenant; control loop. */
void vn_routing_figures(const struct vn_server *server, const char *tenant, struct vn_routing_figures *ret);
/* Of the whole installation, without latency; any thread. */
struct vn_routing_totals {
        struct vn_routing_figures all;
        uint64_t unrecorded, outcomes_refused, epoch;
};
void vn_routing_totals(const struct vn_server *server, struct vn_routing_totals *ret);
/* How good the chances told were, and what mends them now; for the tenant. False: no outcome was told yet. */
struct vn_risk_quality {
        double outcomes;                       /* each caller's capped */
        double brier_raw, brier, ece_raw, ece; /* of the chances as computed, and as told */
        struct vn_calibration calibration;
        int64_t fitted_us; /* 0: never */
};
bool vn_routing_risk_quality(const struct vn_server *server, const char *tenant, struct vn_risk_quality *ret);
/* How long a cold start of an endpoint takes, and how that is known. */
struct vn_cold_start {
        double us, logged_us; /* expected in all; what of it the cloud's log tells */
        double starts;        /* among the outcomes that the rest of it was learnt from */
        bool own;             /* those of this function; else of all functions in this cloud */
        int64_t newest_us;    /* of those outcomes; 0: none, it is general knowledge */
};
void vn_routing_cold_start(struct vn_server *server, const char *tenant, unsigned cloud, uint64_t endpoint_id,
                           struct vn_cold_start *ret);
/* Slots of the present table, some of them empty (vn_routing_view_at gives NULL).
 * The present view of a workload for pages and tuning: NULL if there is none. Control loop only; borrowed. */
const struct vn_view *vn_routing_view(const struct vn_server *server, const char *tenant, const char *workload);
size_t vn_routing_view_count(const struct vn_server *server);
const struct vn_view *vn_routing_view_at(const struct vn_server *server, size_t index);
uint64_t vn_routing_routed(const struct vn_server *server, const char *tenant, const char *workload);
/* Outcomes of an endpoint as callers reported them. */
double vn_routing_network_us(const struct vn_server *server, uint64_t account_id);

#endif
