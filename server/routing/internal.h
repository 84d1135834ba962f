/* internal.h - what the routing module's files share; see routing.h for threads. */
#ifndef VANE_SERVER_ROUTING_INTERNAL_H
#define VANE_SERVER_ROUTING_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/telemetry/telemetry.h"
#include "vane/v1/routing.pb-c.h"

#define VN_PENDING_SLOTS 65536 /* decisions a loop remembers for their outcome; a power of two */
#define VN_OUTCOME_WITHIN_US (20 * VN_US_PER_MIN)
#define VN_MAX_SAMPLES 8192 /* between two collections by the control loop */

/* A view, shared by tables; the count is atomic since the last reference may go on any thread. */
struct vn_view_ref {
        _Atomic uint32_t references;
        struct vn_view *view;
        char (*urls)[256];
        uint64_t account_ids[VN_VIEW_MAX_ENDPOINTS];
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
        int64_t time_us;
        bool open;
};

struct vn_sample { /* from a loop to the control loop */
        uint64_t account_id;
        uint64_t endpoint_id;
        uint64_t hash;
        int64_t time_us;     /* of the assignment */
        uint32_t latency_us; /* 0: an assignment */
        uint8_t status;      /* Outcome.Status */
        uint8_t cloud;
        float cost_usd;
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
        uint8_t secret[32]; /* seeds of records come from it and a counter */
        uint64_t seed_counter;
        struct vn_record *record; /* scratch */
        uint8_t bytes[VN_RECORD_MAX_BYTES];
        /* counters: written by the loop, read by anybody */
        _Atomic uint64_t routed, split, refused, unrecorded, outcomes, outcomes_refused, failed, per_cloud[3];
};

struct vn_routing {
        struct vn_server *server;
        pthread_mutex_t mutex; /* of `current` and its count; taken on publication and when a loop changes over */
        struct vn_route_table *current;
        _Atomic uint64_t epoch;
        _Atomic uint64_t workloads; /* of the present table, for figures that any thread may ask for */
        struct vn_route_loop *loops;
        uint32_t loop_count;
        /* the control loop's */
        bool dirty;
        int64_t last_publish_wall_us;
        struct vn_endpoint_live *endpoints[4096];
        struct vn_account_live *accounts;
        size_t account_count;
        struct vn_request_ids *request_ids;
};

/* Per endpoint, fed by samples; control loop. */
struct vn_endpoint_live {
        struct vn_endpoint_live *next;
        uint64_t endpoint_id;
        int64_t last_assigned_us;
        uint64_t routed, errors, outcomes;
        double recent_outcomes, recent_errors, recent_throttles;
        int64_t decayed_us;
};
struct vn_account_live {
        uint64_t account_id;
        struct vn_sketch latency; /* as callers saw it */
        double cost_usd;
        double network_us;
        unsigned cloud;
};

uint64_t vn_workload_hash(const char *tenant, const char *workload);
struct vn_view_ref *vn_route_find(struct vn_route_table *table, uint64_t hash, const char *tenant,
                                  struct vn_str workload);
void vn_view_unref(struct vn_view_ref *ref);
void vn_route_table_unref(struct vn_route_table *table);
/* The loop that this thread is; makes sure that it holds the newest table. */
struct vn_route_loop *vn_route_loop_here(struct vn_server *server, struct vn_call *call);
struct vn_loop_live *vn_loop_live_of(struct vn_route_loop *loop, uint64_t hash, const struct vn_view *view);
void vn_route_sample(struct vn_route_loop *loop, const struct vn_sample *sample);
struct vn_endpoint_live *vn_endpoint_live_of(struct vn_routing *routing, uint64_t endpoint_id); /* NULL: no memory */
struct vn_account_live *vn_account_live_of(struct vn_routing *routing, uint64_t account_id);

/* view_build.c */
enum vn_rc vn_view_build(struct vn_server *server, const char *tenant, const char *workload, uint64_t epoch,
                         int64_t now_us, struct vn_view_ref **ret, struct vn_err *err) VN_MUST_USE;
void vn_routing_measure_networks(struct vn_server *server); /* before a publication's views */
uint64_t vn_endpoint_id_of(uint64_t account_id, const char *region, const char *function);

/* request_ids.c: answers already given, by tenant and request id */
struct vn_request_ids *vn_request_ids_new(void);
struct vn_request_ids *vn_request_ids_free(struct vn_request_ids *ids);
bool vn_request_ids_get(struct vn_request_ids *ids, uint64_t key, struct vn_record *ret_record);
void vn_request_ids_put(struct vn_request_ids *ids, uint64_t key, struct vn_str record);

#endif
