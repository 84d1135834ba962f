/* internal.h - what the routing module's files share; see routing.h for threads. */
#ifndef VANE_SERVER_ROUTING_INTERNAL_H
#define VANE_SERVER_ROUTING_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "decide/run.h"
#include "server/registry/registry.h"
#include "server/routing/calibrate.h"
#include "server/routing/cold.h"
#include "server/routing/request_ids.h"
#include "server/routing/routing.h"
#include "server/routing/slowdown.h"
#include "server/routing/spend.h"
#include "server/routing/view_store.h"
#include "server/telemetry/telemetry.h"
#include "vane/v1/routing.pb-c.h"

#define VN_PENDING_SLOTS 65536 /* decisions a loop remembers for their outcome; a power of two */
#define VN_OUTCOME_WITHIN_US (20 * VN_US_PER_MIN)
#define VN_MAX_SAMPLES 8192 /* between two collections by the control loop */

/* A view, shared by tables; the count is atomic since the last reference may go on any thread. */
struct vn_view_ref {
        _Atomic uint32_t references;
        struct vn_view *view;
        struct vn_view_kept kept; /* the control loop's */
        uint16_t tenant;          /* its number (tenants.h) */
        uint16_t policy;          /* and that of its policy (policy_table.h) */
        char (*urls)[256];
        uint64_t account_ids[VN_VIEW_MAX_ENDPOINTS];
        float slowdown[VN_VIEW_MAX_ENDPOINTS]; /* that is in the view's durations */
};

struct vn_route_slot {
        uint64_t hash; /* of tenant and workload */
        struct vn_view_ref *ref;
};
struct vn_route_table {
        _Atomic uint32_t references;
        uint64_t epoch;
        uint32_t mask, count;
        struct vn_route_slot *slots; /* open addressing */
};

/* What a loop keeps of one workload: counters that belong to a view's epoch. */
struct vn_loop_live {
        struct vn_loop_live *next;
        uint64_t hash;
        uint8_t view_id[32];
        uint32_t count;
        uint64_t endpoint_id[VN_VIEW_MAX_ENDPOINTS];
        struct vn_live live;
};

struct vn_pending {
        uint64_t sequence;
        uint64_t hash; /* of the workload */
        uint64_t endpoint_id, account_id;
        uint64_t caller; /* hash of tenant and actor */
        uint16_t tenant;
        int64_t time_us;
        bool open;
        bool watched;    /* the rest is filled: vn_outcome_watch */
        float raw, risk; /* combined, before and after calibration */
        float limit_us;  /* a longer latency is the event: vn_risk_limit_us */
        float warm_us;   /* network and expected run without a start; < 0: the run is not known */
        float spread_us; /* of the run */
        float run_us;    /* expected without the slowdown; < 0: likely a cold start */
        float network_us;
        int64_t price_time_us; /* of the list that decided */
};

/* What an outcome teaches: how good the chances were, and what a cold start takes. */
struct vn_lesson {
        uint64_t caller;
        int64_t price_time_us;
        float raw, risk;
        int64_t decided_us;
        float excess_us, spread_us; /* over what a warm run takes */
        float slower;               /* run over what was expected; < 0: not known */
        bool watched, late, run_known;
        bool silent; /* no outcome came in time */
};

struct vn_sample { /* from a loop to the control loop */
        uint64_t account_id;
        uint64_t endpoint_id;
        uint64_t hash;
        int64_t time_us;     /* of the assignment */
        uint32_t latency_us; /* 0: an assignment */
        uint8_t status;      /* Outcome.Status */
        uint8_t cloud;
        uint16_t tenant;
        uint32_t response_bytes; /* 0: not told */
        struct vn_lesson lesson; /* of an outcome */
};

/* What a loop counts for each tenant: written by the loop, read by anybody. */
struct vn_tenant_counts {
        _Atomic uint64_t routed, split, refused, outcomes, failed, per_cloud[VN_PROVIDER_COUNT];
        _Atomic double cost_usd[VN_PROVIDER_COUNT]; /* expected, by cloud */
};

struct vn_route_loop {
        struct vn_server *server;
        struct vn_loop *loop;
        struct vn_ring *ring;
        uint32_t number;
        struct vn_route_table *table; /* this loop's reference */
        struct vn_loop_live *lives[1024];
        struct vn_pending *pending;
        struct vn_sample *samples;
        uint32_t sample_count;
        uint32_t next_overdue; /* slot of `pending` at which the search for missing outcomes goes on */
        uint8_t secret[32];    /* seeds of records come from it and a counter */
        uint64_t seed_counter;
        struct vn_record *record; /* scratch */
        struct vn_run *run; /* decisions of a streamed batch that stand in no journal yet; NULL before the first */
        uint8_t bytes[VN_RUN_MAX_BYTES];
        struct vn_tenant_counts *counts; /* by the tenant's number */
        _Atomic double *spent_usd;       /* expected cost of what was decided here, by the policy's number */
        /* counters: written by the loop, read by anybody */
        _Atomic uint64_t journalled; /* sequences below stand in the journal, or never will */
        _Atomic uint64_t unrecorded, outcomes_refused;
};

struct vn_routing {
        struct vn_server *server;
        pthread_mutex_t mutex; /* of `current` and its count; taken on publication and when a loop changes over */
        struct vn_route_table *current;
        _Atomic uint64_t epoch;
        struct vn_route_loop *loops;
        uint32_t loop_count;
        uint64_t caller_seed; /* secret: nobody makes up a name that hashes like another caller's */
        /* the control loop's */
        bool dirty;
        int64_t last_publish_wall_us;
        struct vn_endpoint_live *endpoints[4096];
        struct vn_account_live *accounts;
        size_t account_count;
        struct vn_request_ids *request_ids;
        struct vn_view_keeper *keeper;
        struct vn_tenant_lessons *lessons;
        struct vn_spend spend;
        int64_t kept_wall_us; /* when what was learnt was last stored */
};

/* What one tenant's outcomes have taught; control loop. */
struct vn_tenant_lessons {
        struct vn_tenant_lessons *next;
        char tenant[64];
        bool fresh; /* not stored yet */
        struct vn_calibrator risk;
        struct vn_cold cold[VN_CLOUD_COUNT]; /* all functions together, for those that are new */
};

/* Per endpoint, fed by samples; control loop. */
struct vn_endpoint_live {
        struct vn_endpoint_live *next;
        uint64_t endpoint_id;
        int64_t last_assigned_us, last_error_us;
        uint32_t errors_in_row; /* up to the newest outcome */
        uint64_t routed, errors, outcomes;
        double recent_outcomes, recent_errors, recent_throttles;
        int64_t decayed_us;
        double logged_cold_us; /* what the cloud's log tells of a start */
        struct vn_slowdown slowdown;
        struct vn_witness_mean response_bytes; /* as callers tell them */
        struct vn_cold cold;
        bool cold_fresh;                 /* not stored yet */
        struct vn_cold_waiting *waiting; /* NULL: none yet */
};
/* Outcomes that wait for the window of their minute: it tells how many of the calls were cold. When all places are taken
 * newcomers are let go: which ones says nothing about them. */
#define VN_COLD_WAITING 32
struct vn_cold_waiting {
        unsigned count;
        struct {
                int64_t decided_us;
                uint64_t caller;
                float excess_us, spread_us;
        } outcome[VN_COLD_WAITING];
};
#define VN_ILL_ENDPOINTS 3
struct vn_account_live {
        uint64_t account_id;
        int64_t last_error_us;
        uint32_t errors_in_row, ill_count;
        uint64_t ill[VN_ILL_ENDPOINTS]; /* endpoints of which the row is; more are not told apart */
        struct vn_sketch latency;       /* as callers saw it */
        double network_us;
        unsigned cloud;
        uint16_t tenant;
};

uint64_t vn_workload_hash(const char *tenant, const char *workload);
struct vn_view_ref *vn_route_find(struct vn_route_table *table, uint64_t hash, const char *tenant,
                                  struct vn_str workload);
void vn_view_unref(struct vn_view_ref *ref);
void vn_route_table_unref(struct vn_route_table *table);
/* The loop that this thread is; makes sure that it holds the newest table. */
struct vn_route_loop *vn_route_loop_here(struct vn_server *server, struct vn_call *call);
struct vn_loop_live *vn_loop_live_of(struct vn_route_loop *loop, uint64_t hash, const struct vn_view *view);
/* Whose decision it is, within this boot. */
uint64_t vn_caller_hash(const struct vn_server *server, const struct vn_identity *who);
void vn_route_sample(struct vn_route_loop *loop, const struct vn_sample *sample);
struct vn_endpoint_live *vn_endpoint_live_of(struct vn_routing *routing, uint64_t endpoint_id); /* NULL: no memory */
struct vn_account_live *vn_account_live_of(struct vn_routing *routing, uint64_t account_id);

/* lessons.c: what outcomes teach */
void vn_outcome_watch(struct vn_route_loop *loop, const struct vn_view_ref *ref, const struct vn_question *question,
                      const struct vn_decision *decision); /* after the decision has its pending slot */
struct vn_lesson vn_lesson_of(const struct vn_pending *pending, uint64_t latency_us);
void vn_outcomes_overdue(struct vn_route_loop *loop); /* edge loop, each tick: looks through a part of the slots */
void vn_lesson_absorb(struct vn_server *server, const struct vn_sample *sample, struct vn_endpoint_live *endpoint,
                      const struct vn_account_live *account);
struct vn_tenant_lessons *vn_lessons_of(struct vn_routing *routing, const char *tenant); /* NULL: no memory */
void vn_lessons_tick(struct vn_server *server, int64_t now_us);
/* How long a start of this endpoint is taken to be. */
void vn_lessons_cold(struct vn_server *server, const char *tenant, enum vn_cloud_id cloud,
                     const struct vn_endpoint_live *endpoint, struct vn_cold_start *ret);
/* lessons_store.c: kept over restarts, beside the other things that the server remembers */
enum vn_rc vn_lessons_load(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
/* Stores what is new; `wait` until it is durable, at stop. */
void vn_lessons_keep(struct vn_server *server, bool wait);
void vn_lessons_free(struct vn_routing *routing);

/* view_build.c */
enum vn_rc vn_view_build(struct vn_server *server, const char *tenant, const char *workload, uint64_t epoch,
                         int64_t now_us, struct vn_view_ref **ret, struct vn_err *err) VN_MUST_USE;
void vn_routing_measure_networks(struct vn_server *server); /* before a publication's views */
uint64_t vn_endpoint_id_of(uint64_t account_id, const char *region, const char *function);

/* route.c: one call between question and answer */
struct vn_routed {
        struct vn_view_ref *ref;
        struct vn_loop_live *live;
        struct vn_question question;
        struct vn_decision decision;
        uint8_t key[VN_REQUEST_KEY_BYTES];
        bool has_key;
        bool again; /* answered before: nothing is decided or recorded */
        bool recorded;
};
struct vn_route_answer {
        char id[VN_DECISION_ID_TEXT_BYTES];
        char reason[96];
        Vane__V1__RouteResponse message;
};
/* Finds the view, then decides or finds the first answer. What it returned OK for ends with vn_route_finish or, if it
 * cannot be recorded, with vn_route_give_up. */
enum vn_rc vn_route_ask(struct vn_route_loop *loop, const struct vn_identity *who,
                        const Vane__V1__RouteRequest *request, struct vn_routed *ret, struct vn_err *err) VN_MUST_USE;
/* The decision's record, in loop->record. */
enum vn_rc vn_route_record(struct vn_route_loop *loop, const struct vn_identity *who,
                           const Vane__V1__RouteRequest *request, const struct vn_routed *routed,
                           struct vn_err *err) VN_MUST_USE;
/* Counts, remembers and fills in the answer; its texts are the view's. */
void vn_route_finish(struct vn_route_loop *loop, const struct vn_identity *who, const struct vn_routed *routed,
                     struct vn_route_answer *answer);
void vn_route_give_up(struct vn_route_loop *loop, const struct vn_routed *routed);
/* All of that for one call, its record journalled. *ret_wait: its policy wants the commit first. */
enum vn_rc vn_route_one(struct vn_route_loop *loop, const struct vn_identity *who,
                        const Vane__V1__RouteRequest *request, struct vn_route_answer *answer, bool *ret_wait,
                        struct vn_err *err) VN_MUST_USE;
void vn_route_seed(struct vn_route_loop *loop, uint8_t ret[VN_RECORD_SEED_BYTES]); /* of a record's salts */
/* Journals the decisions of loop->run; there is room for them, or they would not be there. */
void vn_route_flush(struct vn_route_loop *loop);

/* recorded.c: runs `then(arg, rc)` on the call's loop once what the journals hold now is durable; the views of the
 * loop's present table live until then, and so does the call. */
void vn_when_recorded(struct vn_route_loop *loop, struct vn_call *call, void (*then)(void *arg, enum vn_rc rc),
                      void *arg);

#endif
