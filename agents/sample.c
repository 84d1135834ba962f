#include "agents/sample.h"

#include "base/hash.h"

#define MAX_HALVINGS 16

struct entry {
        uint64_t function; /* 0: free */
        uint32_t one_in;
        uint64_t seen; /* ordinary lines in this interval, kept or not */
        double cost;
};
struct vn_sampler {
        struct vn_sample_config config;
        struct entry *entries; /* open addressing */
        size_t slots, count;
        int64_t interval_end_us;
        uint32_t usual_one_in; /* of a function without a rate of its own */
        uint64_t seen, kept;
        double cost;
        unsigned halvings;
};

enum vn_rc vn_sampler_new(const struct vn_sample_config *config, struct vn_sampler **ret, struct vn_err *err)
{
        if (!config->one_in || config->one_in > VN_SAMPLE_MAX_ONE_IN || !config->lines_per_interval ||
            config->interval_us <= 0 || !config->max_functions || config->max_functions > 1000000)
                return vn_fail(err, VN_INVALID_ARGUMENT, "sampling: configuration out of range");
        VN_AUTO(vn_sampler)
        s = vn_alloc(sizeof *s);
        if (!s)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "sampling: out of memory");
        s->config = *config;
        s->usual_one_in = config->one_in;
        s->interval_end_us = INT64_MIN;
        s->slots = 16;
        while (s->slots < 2 * config->max_functions)
                s->slots *= 2;
        s->entries = vn_alloc_array(s->slots, sizeof *s->entries);
        if (!s->entries)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "sampling: out of memory");
        *ret = vn_steal(&s);
        return VN_OK;
}

struct vn_sampler *vn_sampler_free(struct vn_sampler *sampler)
{
        if (sampler)
                vn_free(sampler->entries);
        vn_free(sampler);
        return NULL;
}

static struct entry *slot_of(const struct vn_sampler *s, uint64_t function)
{
        size_t i = (size_t)(function * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (s->slots - 1);
        while (s->entries[i].function && s->entries[i].function != function)
                i = (i + 1) & (s->slots - 1);
        return &s->entries[i];
}

/* NULL: too many functions; those share the usual rate. */
static struct entry *entry_of(struct vn_sampler *s, uint64_t function)
{
        function = function ? function : 1;
        struct entry *e = slot_of(s, function);
        if (e->function)
                return e;
        if (s->count == s->config.max_functions)
                return NULL;
        *e = (struct entry){.function = function, .one_in = s->usual_one_in};
        s->count++;
        return e;
}

static uint32_t one_in_of(double lines, double budget)
{
        double k = budget > 0 ? lines / budget : VN_SAMPLE_MAX_ONE_IN;
        if (!(k < VN_SAMPLE_MAX_ONE_IN))
                return VN_SAMPLE_MAX_ONE_IN;
        uint32_t whole = (uint32_t)k;
        whole += whole < k;
        return whole ? whole : 1;
}

/* The next interval's rates, from what was seen in this one; half of the bound is kept for what grows. */
static void turn(struct vn_sampler *s)
{
        double budget = (double)s->seen / s->config.one_in, most = s->config.lines_per_interval / 2.0;
        budget = budget < most ? budget : most;
        s->usual_one_in = s->seen ? one_in_of((double)s->seen, budget) : s->config.one_in;
        for (size_t i = 0; i < s->slots; i++) {
                struct entry *e = &s->entries[i];
                if (!e->function)
                        continue;
                double by_traffic = s->seen ? (double)e->seen / (double)s->seen : 0;
                double share = s->cost > 0 ? (by_traffic + e->cost / s->cost) / 2 : by_traffic;
                e->one_in = e->seen ? one_in_of((double)e->seen, budget * share) : s->usual_one_in;
                e->seen = 0;
                e->cost = 0;
        }
        s->seen = s->kept = 0;
        s->cost = 0;
        s->halvings = 0;
}

uint32_t vn_sampler_weight(struct vn_sampler *s, uint64_t function, uint64_t record, int64_t time_us, bool always)
{
        if (time_us >= s->interval_end_us) {
                if (s->interval_end_us != INT64_MIN)
                        turn(s);
                s->interval_end_us = time_us - time_us % s->config.interval_us + s->config.interval_us;
        }
        if (always)
                return 1;
        struct entry *e = entry_of(s, function);
        uint32_t one_in = e ? e->one_in : s->usual_one_in;
        if (e)
                e->seen++;
        s->seen++;
        uint32_t weight = one_in << s->halvings;
        uint64_t key[2] = {function, record};
        if (vn_hash64(key, sizeof key, s->config.seed) > UINT64_MAX / weight)
                return 0;
        uint64_t left = s->config.lines_per_interval - s->config.lines_per_interval / (UINT64_C(2) << s->halvings);
        if (++s->kept >= left && s->halvings < MAX_HALVINGS)
                s->halvings++;
        return weight;
}

void vn_sampler_cost(struct vn_sampler *s, uint64_t function, double cost)
{
        struct entry *e = cost > 0 ? entry_of(s, function) : NULL;
        if (!e)
                return;
        e->cost += cost;
        s->cost += cost;
}

uint32_t vn_sampler_one_in(const struct vn_sampler *s, uint64_t function)
{
        const struct entry *e = slot_of(s, function ? function : 1);
        return e->function ? e->one_in : s->usual_one_in;
}
