/* Open windows hang on their function; there are few at a time, so a function keeps them in a short sorted array. */
#include "federation/window.h"

#include <stdlib.h>

#include "base/detmath.h"
#include "base/hash.h"

const uint32_t vn_idle_upper_s[VN_IDLE_BINS] = {1,   5,   15,  30,   60,   120,  180,  300,
                                                420, 600, 900, 1200, 1800, 3600, 7200, 86400};
#define HOLD_OUT_SEED UINT64_C(0x76616e65686f6c64)
#define HOLD_OUT_ONE_IN 8

struct open_window {
        struct open_window *next; /* a later start */
        bool has_sample;
        int64_t last_call_us; /* whose memory the window shows */
        int64_t last_sample_us;
        struct vn_window full, sampled;
};

struct function {
        char name[VN_MAX_FUNCTION_NAME];
        char region[VN_MAX_REGION_NAME];
        int64_t last_start_us; /* of the latest call; INT64_MIN: none yet */
        struct open_window *open;
        size_t open_count;
};

struct vn_windower {
        struct vn_window_config config;
        struct function *functions; /* open addressing by hash of name and region; name empty: free */
        size_t slots, used;
        int64_t closed_until_us; /* windows that start before this were emitted */
        struct vn_window_stats stats;
};

bool vn_window_held_out(const struct vn_window *window)
{
        uint64_t hash = vn_hash64(window->function, strlen(window->function), HOLD_OUT_SEED);
        hash = vn_hash64(window->region, strlen(window->region), hash);
        return vn_hash64(&window->start_us, sizeof window->start_us, hash) % HOLD_OUT_ONE_IN == 0;
}

void vn_window_merge(struct vn_window *into, const struct vn_window *from)
{
        into->calls += from->calls;
        into->errors += from->errors;
        into->throttles += from->throttles;
        into->timeouts += from->timeouts;
        into->cold_starts += from->cold_starts;
        into->duration_sum_us += from->duration_sum_us;
        into->billed_sum_us += from->billed_sum_us;
        into->billed_mb_us += from->billed_mb_us;
        into->billed_milli_vcpu_us += from->billed_milli_vcpu_us;
        into->init_sum_us += from->init_sum_us;
        into->cold_duration_sum_us += from->cold_duration_sum_us;
        into->log_duration_sum += from->log_duration_sum;
        into->log_duration_sum_sq += from->log_duration_sum_sq;
        into->memory_mb = from->memory_mb ? from->memory_mb : into->memory_mb;
        if (from->max_memory_mb > into->max_memory_mb)
                into->max_memory_mb = from->max_memory_mb;
        into->payload_sum_bytes += from->payload_sum_bytes;
        into->payload_log_sum += from->payload_log_sum;
        into->response_sum_bytes += from->response_sum_bytes;
        into->idle_sum_us += from->idle_sum_us;
        for (size_t i = 0; i < VN_IDLE_BINS; i++) {
                into->idle[i].calls += from->idle[i].calls;
                into->idle[i].cold += from->idle[i].cold;
        }
        vn_sketch_merge(&into->durations, &from->durations);
}

enum vn_rc vn_windower_new(const struct vn_window_config *config, struct vn_windower **ret, struct vn_err *err)
{
        if (!config->max_functions || config->max_functions > 1000000 ||
            !(config->sample_rate >= 0 && config->sample_rate <= 1) || config->grace_us < 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "windower: configuration out of range");
        VN_AUTO(vn_windower)
        w = vn_alloc(sizeof *w);
        if (!w)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windower: out of memory");
        w->config = *config;
        w->slots = 16;
        w->closed_until_us = INT64_MIN;
        w->functions = vn_alloc_array(w->slots, sizeof *w->functions);
        if (!w->functions)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windower: out of memory");
        *ret = vn_steal(&w);
        return VN_OK;
}

struct vn_windower *vn_windower_free(struct vn_windower *windower)
{
        if (!windower)
                return NULL;
        for (size_t i = 0; windower->functions && i < windower->slots; i++)
                for (struct open_window *o = windower->functions[i].open, *next; o; o = next) {
                        next = o->next;
                        vn_free(o);
                }
        vn_free(windower->functions);
        vn_free(windower);
        return NULL;
}

static struct function *slot_of(struct function *table, size_t slots, const char *name, const char *region)
{
        uint64_t hash = vn_hash64(region, strlen(region), vn_hash64(name, strlen(name), 1));
        for (size_t i = hash % slots;; i = (i + 1) % slots)
                if (!table[i].name[0] || (!strcmp(table[i].name, name) && !strcmp(table[i].region, region)))
                        return &table[i];
}

static bool grow(struct vn_windower *w)
{
        size_t slots = w->slots * 2;
        struct function *table = vn_alloc_array(slots, sizeof *table);
        if (!table)
                return false;
        for (size_t i = 0; i < w->slots; i++)
                if (w->functions[i].name[0])
                        *slot_of(table, slots, w->functions[i].name, w->functions[i].region) = w->functions[i];
        vn_free(w->functions);
        w->functions = table;
        w->slots = slots;
        return true;
}

static struct function *function_of(struct vn_windower *w, const struct vn_invocation *call)
{
        struct function *f = slot_of(w->functions, w->slots, call->function, call->region);
        if (f->name[0])
                return f;
        if (w->used >= w->config.max_functions)
                return NULL;
        if (2 * (w->used + 1) > w->slots) {
                if (!grow(w))
                        return NULL;
                f = slot_of(w->functions, w->slots, call->function, call->region);
        }
        memcpy(f->name, call->function, sizeof f->name);
        memcpy(f->region, call->region, sizeof f->region);
        f->last_start_us = INT64_MIN;
        w->used++;
        return f;
}

static void window_init(struct vn_window *window, const struct function *f, int64_t start_us)
{
        memset(window, 0, sizeof *window);
        memcpy(window->function, f->name, sizeof window->function);
        memcpy(window->region, f->region, sizeof window->region);
        window->start_us = start_us;
}

static struct open_window *open_of(struct vn_windower *w, struct function *f, int64_t start_us)
{
        struct open_window **link = &f->open;
        while (*link && (*link)->full.start_us < start_us)
                link = &(*link)->next;
        if (*link && (*link)->full.start_us == start_us)
                return *link;
        if (f->open_count >= VN_WINDOW_OPEN_MAX)
                return NULL;
        struct open_window *o = vn_alloc(sizeof *o);
        if (!o)
                return NULL;
        window_init(&o->full, f, start_us);
        window_init(&o->sampled, f, start_us);
        o->last_call_us = o->last_sample_us = INT64_MIN;
        o->next = *link;
        *link = o;
        f->open_count++;
        w->stats.open++;
        return o;
}

static void count_idle(struct vn_window *window, int64_t idle_us, bool cold)
{
        size_t bin = 0;
        while (bin < VN_IDLE_BINS - 1 && idle_us > (int64_t)vn_idle_upper_s[bin] * 1000000)
                bin++;
        window->idle[bin].calls++;
        window->idle[bin].cold += cold;
        window->idle_sum_us += (uint64_t)idle_us;
}

static void count_call(struct vn_window *window, const struct vn_invocation *call, int64_t idle_us, int64_t *last_us)
{
        if (call->memory_mb && call->start_us >= *last_us) {
                window->memory_mb = call->memory_mb;
                *last_us = call->start_us;
        }
        if (call->max_memory_mb > window->max_memory_mb)
                window->max_memory_mb = call->max_memory_mb;
        if (call->status == VN_CALL_THROTTLED) {
                window->throttles++;
                return;
        }
        double log_us = vn_log((double)(call->duration_us > 1 ? call->duration_us : 1));
        window->calls++;
        window->errors += call->status == VN_CALL_ERROR || call->status == VN_CALL_TIMEOUT;
        window->timeouts += call->status == VN_CALL_TIMEOUT;
        window->cold_starts += call->cold;
        window->duration_sum_us += (uint64_t)call->duration_us;
        window->billed_sum_us += (uint64_t)call->billed_us;
        window->billed_mb_us += (uint64_t)call->billed_us * call->billed_mb;
        window->billed_milli_vcpu_us += (uint64_t)call->billed_us * call->milli_vcpu;
        window->init_sum_us += (uint64_t)call->init_us;
        if (call->cold)
                window->cold_duration_sum_us += (uint64_t)call->duration_us;
        window->log_duration_sum += log_us;
        window->log_duration_sum_sq += log_us * log_us;
        window->payload_sum_bytes += (double)call->payload_bytes;
        window->payload_log_sum += vn_log1p((double)call->payload_bytes);
        window->response_sum_bytes += (double)call->response_bytes;
        vn_sketch_add(&window->durations, call->duration_us, 1);
        if (idle_us >= 0)
                count_idle(window, idle_us, call->cold);
}

/* Drawn by what the call is, not by when it came: the order of arrival does not matter. */
static bool drawn(const struct vn_windower *w, const struct vn_invocation *call)
{
        uint64_t hash = vn_hash64(call->function, strlen(call->function), w->config.seed);
        int64_t key[3] = {call->start_us, call->duration_us, (int64_t)call->payload_bytes};
        hash = vn_hash64(key, sizeof key, hash);
        return (double)(hash >> 11) * 0x1p-53 < w->config.sample_rate;
}

enum vn_rc vn_windower_add(struct vn_windower *w, const struct vn_invocation *call, struct vn_err *err)
{
        if (!call->function[0] || call->start_us < 0 || call->duration_us < 0 || call->init_us < 0 ||
            call->billed_us < 0) {
                w->stats.refused++;
                return vn_fail(err, VN_INVALID_ARGUMENT, "windower: call without function or with a negative time");
        }
        int64_t start_us = call->start_us - call->start_us % VN_WINDOW_US;
        if (start_us < w->closed_until_us) {
                w->stats.late++;
                return vn_fail(err, VN_OUT_OF_RANGE, "windower: late call");
        }
        struct function *f = function_of(w, call);
        struct open_window *o = f ? open_of(w, f, start_us) : NULL;
        if (!o) {
                w->stats.refused++;
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windower: too many functions or open windows");
        }
        int64_t idle_us = f->last_start_us == INT64_MIN ? -1 : call->start_us - f->last_start_us;
        if (call->status != VN_CALL_THROTTLED && call->start_us > f->last_start_us)
                f->last_start_us = call->start_us;
        count_call(&o->full, call, idle_us, &o->last_call_us);
        w->stats.added++;
        if (drawn(w, call)) {
                count_call(&o->sampled, call, idle_us, &o->last_sample_us);
                o->has_sample = true;
                w->stats.sampled++;
        }
        return VN_OK;
}

static int by_start(const void *a, const void *b)
{
        const struct vn_window *x = &(*(struct open_window *const *)a)->full;
        const struct vn_window *y = &(*(struct open_window *const *)b)->full;
        if (x->start_us != y->start_us)
                return x->start_us < y->start_us ? -1 : 1;
        int names = strcmp(x->function, y->function);
        return names ? names : strcmp(x->region, y->region);
}

static void drop_first(struct vn_windower *w, const struct vn_window *window)
{
        struct function *f = slot_of(w->functions, w->slots, window->function, window->region);
        struct open_window *first = f->open;
        f->open = first->next;
        f->open_count--;
        w->stats.open--;
        vn_free(first);
}

enum vn_rc vn_windower_close(struct vn_windower *w, int64_t now_us, vn_window_emit emit, void *ctx,
                             struct vn_err *err)
{
        int64_t until_us = now_us - w->config.grace_us; /* windows that end at or before this are due */
        until_us -= ((until_us % VN_WINDOW_US) + VN_WINDOW_US) % VN_WINDOW_US;
        if (until_us > w->closed_until_us)
                w->closed_until_us = until_us;
        size_t count = 0;
        for (size_t i = 0; i < w->slots; i++)
                for (struct open_window *o = w->functions[i].open; o && o->full.start_us < until_us; o = o->next)
                        count++;
        if (!count)
                return VN_OK;
        struct open_window **due = vn_alloc_array(count, sizeof *due);
        if (!due)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windower: out of memory");
        count = 0;
        for (size_t i = 0; i < w->slots; i++)
                for (struct open_window *o = w->functions[i].open; o && o->full.start_us < until_us; o = o->next)
                        due[count++] = o;
        qsort(due, count, sizeof(struct open_window *), by_start);
        enum vn_rc rc = VN_OK;
        for (size_t i = 0; i < count && rc == VN_OK; i++) {
                rc = emit(ctx, &due[i]->full, due[i]->has_sample ? &due[i]->sampled : NULL, err);
                if (rc != VN_OK)
                        break;
                w->stats.emitted++;
                drop_first(w, &due[i]->full); /* sorted by start: it is its function's first */
        }
        vn_free(due);
        return rc;
}

void vn_windower_stats(const struct vn_windower *windower, struct vn_window_stats *ret)
{
        *ret = windower->stats;
        ret->functions = windower->used;
}
