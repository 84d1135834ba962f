/* platform/internal.h - shared by the files of platform/: the state of a running model. Not for others. */
#ifndef VANE_PLATFORM_INTERNAL_H
#define VANE_PLATFORM_INTERNAL_H

#include "base/hash.h"
#include "platform/tables.h"

struct vn_instance {
        uint64_t id;
        int64_t ready_us;        /* end of its start */
        int64_t last_end_us;     /* latest end of its requests */
        int64_t idle_life_us;    /* goes this long after last_end_us */
        int64_t billed_until_us; /* shared plans: active time is paid for up to here */
        int64_t slot_end_us[VN_MAX_PLATFORM_SLOTS];
        uint32_t generation; /* of the deployment's memory size */
};

struct vn_pool {
        struct vn_rng rng; /* own stream: what happens to one deployment never moves another's draws */
        struct vn_instance *items;
        uint32_t count, cap;
        uint32_t generation, pending_mb;
        int64_t pending_at_us; /* INT64_MAX: no change waits */
        int64_t latest_us;
        double vcpu;
};

/* Ends of requests in flight in one account, as a binary heap. */
struct vn_in_flight {
        int64_t *end_us;
        uint32_t count, cap;
};

struct vn_platform {
        struct vn_platform_site *sites;
        size_t site_count;
        struct vn_platform_deployment *deployments;
        struct vn_pool *pools;
        size_t deployment_count;
        struct vn_in_flight *in_flight;
        double *rtt_factor;                                     /* by site */
        double place_factor[4], init_factor[4], idle_factor[4]; /* by plan */
        struct vn_injection injections[VN_MAX_PLATFORM_INJECTIONS];
        size_t injection_count;
        uint64_t next_instance;
};

struct vn_factors {
        double latency, price, outage;
        uint32_t limit; /* of requests in flight; UINT32_MAX: none */
};
struct vn_factors vn_platform_factors(const struct vn_platform *platform, uint32_t site, int64_t time_us);

/* exp(sigma * z) times the median. */
double vn_draw(struct vn_rng *rng, struct vn_spread spread);

/* Finds or starts an instance for a request that reaches the pool at `at_us`. Fills instance_id, cold, cold_us,
 * init_us, queue_us of *outcome; NULL when every instance is busy and no other may start. */
struct vn_instance *vn_pool_take(struct vn_platform *platform, uint32_t deployment, int64_t at_us,
                                 double latency_factor, struct vn_platform_outcome *outcome);
/* Requests that it serves at `at_us`, the new one not counted. */
uint32_t vn_instance_active(const struct vn_instance *instance, uint32_t slots, int64_t at_us);
/* Marks a slot busy until end_us. */
void vn_instance_hold(struct vn_instance *instance, uint32_t slots, int64_t at_us, int64_t end_us);

/* Fills billed_us and cost, and moves the site's meters. `from_us` and `until_us` bound the time on the instance. */
void vn_platform_bill(struct vn_platform *platform, uint32_t deployment, struct vn_instance *instance,
                      int64_t from_us, int64_t until_us, int64_t front_us, double price_factor,
                      struct vn_platform_outcome *outcome);

bool vn_in_flight_push(struct vn_in_flight *heap, int64_t now_us, int64_t end_us, uint32_t limit);
/* Requests in flight at now_us; earlier ones are dropped. */
uint32_t vn_in_flight_count(struct vn_in_flight *heap, int64_t now_us);

#endif
