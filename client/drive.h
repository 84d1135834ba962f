/* drive.h - drives a trace through the sandbox, over virtual time.
 * Purpose: for every call of the trace, in the order of virtual time: route it by vaned, invoke it at the chosen account
 *   over the cloud's own wire, and report its outcome when virtual time has reached its end.
 * Clock: the driver owns the shared clock. It follows real time at the speed that fits the trace into the time given, and
 *   stands still for a call that is under way: it never passes a call's arrival by more than `lookahead`, which is less
 *   than any call takes (a network round trip), until the simulator has said how long that call takes. So no decision is
 *   made after an outcome that it should have known.
 * Threads: one; workers are inside fleet.h and router.h. */
#ifndef VANE_CLIENT_DRIVE_H
#define VANE_CLIENT_DRIVE_H

#include "base/clock.h"
#include "client/fleet.h"
#include "client/router.h"
#include "platform/trace.h"

struct vn_drive_options {
        double seconds;       /* real time for the load */
        int64_t lookahead_us; /* virtual */
        int64_t tail_us;      /* virtual time to let pass after the last call */
        uint64_t seed;        /* part of the request ids */
};
#define VN_DRIVE_MAX_ATTEMPTS 3

struct vn_drive_summary {
        uint64_t invocations; /* calls of the trace that were driven to their end */
        uint64_t failed;      /* of them, those whose last attempt was not OK */
        uint64_t undriven;    /* left over when the time was up */
        uint64_t retried, unrouted;
        uint64_t by_status[VN_FLEET_STATUSES];  /* attempts */
        uint64_t routed[VN_FLEET_MAX_ACCOUNTS]; /* attempts by account */
        double p50_ms, p95_ms, p99_ms, mean_ms; /* virtual, first arrival to last end */
        double virtual_s, seconds;
        struct vn_router_counts reports;
        char first_problem[200];
};

/* Where calls go; the program uses the router, tests a fake. Blocking; as in router.h. */
struct vn_drive_ports {
        enum vn_rc (*route)(void *state, const struct vn_route_ask *asks, size_t count, struct vn_route_answer *ret,
                            struct vn_err *err);
        enum vn_rc (*report)(void *state, const struct vn_report *report, struct vn_err *err);
        uint32_t (*find_account)(void *state, const char *name);
        void (*submit)(void *state, struct vn_fleet_job *job);
        struct vn_fleet_job *(*take)(void *state, int64_t wait_us);
        void (*set_clock)(void *state, int64_t virtual_us);
        int64_t (*real_us)(void *state); /* monotonic */
        void *state;
};
/* Drives from virtual time start_us. A server that cannot be reached ends it with an error; a failed call does not. */
enum vn_rc vn_drive(const struct vn_trace *trace, int64_t start_us, const struct vn_drive_options *options,
                    const struct vn_drive_ports *ports, struct vn_drive_summary *ret, struct vn_err *err) VN_MUST_USE;

#endif
