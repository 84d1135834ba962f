/* instance.c - instances of one deployment: which one serves a request, when a new one starts, when one goes.
 * Choice: the idle instance that was busy last, as the clouds pack load so that the others can go; with concurrency
 *   above 1, the busiest one that has a slot left. An instance goes when it has been idle for its own idle life, which
 *   is drawn when it starts. */
#include <string.h>

#include "base/clock.h"
#include "base/detmath.h"
#include "base/mem.h"
#include "platform/internal.h"

double vn_draw(struct vn_rng *rng, struct vn_spread spread)
{
        return spread.median * vn_exp(spread.sigma * vn_rng_normal(rng));
}

uint32_t vn_instance_active(const struct vn_instance *instance, uint32_t slots, int64_t at_us)
{
        uint32_t active = 0;
        for (uint32_t i = 0; i < slots; i++)
                active += instance->slot_end_us[i] > at_us;
        return active;
}

void vn_instance_hold(struct vn_instance *instance, uint32_t slots, int64_t at_us, int64_t end_us)
{
        for (uint32_t i = 0; i < slots; i++) {
                if (instance->slot_end_us[i] <= at_us) {
                        instance->slot_end_us[i] = end_us;
                        break;
                }
        }
        if (end_us > instance->last_end_us)
                instance->last_end_us = end_us;
}

/* Drops instances whose idle life has passed, and idle ones of an older memory size. */
static void expire(struct vn_pool *pool, int64_t at_us)
{
        for (uint32_t i = 0; i < pool->count;) {
                const struct vn_instance *it = &pool->items[i];
                bool idle = it->last_end_us <= at_us;
                if (idle && (it->generation != pool->generation || at_us - it->last_end_us > it->idle_life_us))
                        pool->items[i] = pool->items[--pool->count];
                else
                        i++;
        }
}

static struct vn_instance *find_free(struct vn_pool *pool, uint32_t slots, int64_t at_us, int64_t *ret_soonest_us)
{
        struct vn_instance *best = NULL;
        uint32_t best_active = 0;
        *ret_soonest_us = INT64_MAX;
        for (uint32_t i = 0; i < pool->count; i++) {
                struct vn_instance *it = &pool->items[i];
                uint32_t active = vn_instance_active(it, slots, at_us);
                if (it->generation != pool->generation)
                        continue;
                if (active == slots || it->ready_us > at_us) {
                        for (uint32_t s = 0; s < slots; s++) {
                                int64_t free_us =
                                        it->slot_end_us[s] > it->ready_us ? it->slot_end_us[s] : it->ready_us;
                                if (free_us < *ret_soonest_us)
                                        *ret_soonest_us = free_us;
                        }
                        continue;
                }
                if (!best || active > best_active || (active == best_active && it->last_end_us > best->last_end_us)) {
                        best = it;
                        best_active = active;
                }
        }
        return best;
}

static int64_t draw_idle_life(struct vn_pool *pool, const struct vn_plan_table *table, double factor)
{
        double low = table->idle_low_s, high = table->idle_high_s;
        if (vn_rng_unit(&pool->rng) < table->idle_early) {
                high = low;
                low = table->idle_min_s;
        }
        return (int64_t)((low + (high - low) * vn_rng_unit(&pool->rng)) * factor * 1e6);
}

static struct vn_instance *start(struct vn_platform *platform, uint32_t deployment, int64_t at_us,
                                 double latency_factor, struct vn_platform_outcome *outcome)
{
        const struct vn_platform_deployment *d = &platform->deployments[deployment];
        struct vn_pool *pool = &platform->pools[deployment];
        const struct vn_plan_table *table = vn_plan_table(d->plan);
        uint32_t limit = d->max_instances ? d->max_instances : table->default_max_instances;

        if (pool->count >= limit)
                return NULL;
        if (pool->count == pool->cap) {
                uint32_t cap = pool->cap ? pool->cap * 2 : 4;
                struct vn_instance *items = vn_realloc(pool->items, cap * sizeof *items);
                if (!items)
                        return NULL; /* seen as a throttle: the model goes on, smaller */
                pool->items = items;
                pool->cap = cap;
        }
        struct vn_instance *it = &pool->items[pool->count++];
        struct vn_spread init = table->init_ms[d->runtime];
        memset(it, 0, sizeof *it);
        init.median += table->init_ms_per_mb * d->package_mb;
        double place_ms = vn_draw(&pool->rng, table->place_ms) * platform->place_factor[d->plan] * latency_factor;
        double init_ms = vn_draw(&pool->rng, init) * platform->init_factor[d->plan] * latency_factor;
        if (pool->count > d->warm_instances) {
                outcome->cold = true;
                outcome->init_us = (int64_t)(init_ms * 1e3);
                outcome->cold_us = outcome->init_us + (int64_t)(place_ms * 1e3);
        }
        it->id = ++platform->next_instance;
        it->generation = pool->generation;
        it->ready_us = it->last_end_us = at_us + outcome->cold_us;
        it->idle_life_us = draw_idle_life(pool, table, platform->idle_factor[d->plan]);
        return it;
}

struct vn_instance *vn_pool_take(struct vn_platform *platform, uint32_t deployment, int64_t at_us,
                                 double latency_factor, struct vn_platform_outcome *outcome)
{
        const struct vn_platform_deployment *d = &platform->deployments[deployment];
        struct vn_pool *pool = &platform->pools[deployment];
        int64_t soonest_us;

        expire(pool, at_us);
        struct vn_instance *it = find_free(pool, d->concurrency, at_us, &soonest_us);
        if (!it)
                it = start(platform, deployment, at_us, latency_factor, outcome);
        /* Azure keeps a request until a worker is free; the others refuse it (the caller reports a throttle). */
        if (!it && soonest_us != INT64_MAX &&
            (d->plan == VN_PLAN_AZURE_CONSUMPTION || d->plan == VN_PLAN_AZURE_FLEX)) {
                outcome->queue_us = soonest_us - at_us;
                it = find_free(pool, d->concurrency, soonest_us, &soonest_us);
        }
        if (it)
                outcome->instance_id = it->id;
        return it;
}

static void heap_sift_down(struct vn_in_flight *heap)
{
        uint32_t i = 0;
        for (;;) {
                uint32_t child = 2 * i + 1;
                if (child >= heap->count)
                        return;
                if (child + 1 < heap->count && heap->end_us[child + 1] < heap->end_us[child])
                        child++;
                if (heap->end_us[i] <= heap->end_us[child])
                        return;
                int64_t swap = heap->end_us[i];
                heap->end_us[i] = heap->end_us[child];
                heap->end_us[child] = swap;
                i = child;
        }
}

uint32_t vn_in_flight_count(struct vn_in_flight *heap, int64_t now_us)
{
        while (heap->count && heap->end_us[0] <= now_us) {
                heap->end_us[0] = heap->end_us[--heap->count];
                heap_sift_down(heap);
        }
        return heap->count;
}

bool vn_in_flight_push(struct vn_in_flight *heap, int64_t now_us, int64_t end_us, uint32_t limit)
{
        if (vn_in_flight_count(heap, now_us) >= limit)
                return false;
        if (heap->count == heap->cap) {
                uint32_t cap = heap->cap ? heap->cap * 2 : 16;
                int64_t *items = vn_realloc(heap->end_us, cap * sizeof *items);
                if (!items)
                        return false;
                heap->end_us = items;
                heap->cap = cap;
        }
        uint32_t i = heap->count++;
        while (i && heap->end_us[(i - 1) / 2] > end_us) {
                heap->end_us[i] = heap->end_us[(i - 1) / 2];
                i = (i - 1) / 2;
        }
        heap->end_us[i] = end_us;
        return true;
}
