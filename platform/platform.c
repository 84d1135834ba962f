/* platform.c - the model's front: configuration, one invocation from end to end, changes, injections.
 * An invocation is computed whole at its arrival, so the model needs no event queue: what a later arrival can see of
 * it (its slot, its instance's life, the account's count) is kept as times. */
#include "platform/platform.h"

#include "base/clock.h"
#include "base/detmath.h"
#include "base/mem.h"
#include "platform/internal.h"

static enum vn_rc check_memory(enum vn_platform_plan plan, uint32_t mb, struct vn_err *err)
{
        switch (plan) {
        case VN_PLAN_LAMBDA:
                if (mb < 128 || mb > 10240)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "memory must be 128 to 10240 MB, not %u", mb);
                return VN_OK;
        case VN_PLAN_AZURE_FLEX:
                if (mb != 512 && mb != 2048 && mb != 4096)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "memory must be 512, 2048 or 4096 MB, not %u", mb);
                return VN_OK;
        case VN_PLAN_CLOUD_RUN:
                if (mb < 128 || mb > 32768)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "memory must be 128 to 32768 MB, not %u", mb);
                return VN_OK;
        case VN_PLAN_AZURE_CONSUMPTION: return VN_OK;
        }
        return vn_fail(err, VN_INVALID_ARGUMENT, "plan out of range");
}

static enum vn_rc check_deployment(const struct vn_platform_config *config, size_t i, struct vn_err *err)
{
        const struct vn_platform_deployment *d = &config->deployments[i];
        const struct vn_platform_work *w = &d->work;
        enum vn_rc rc = check_memory(d->plan, d->memory_mb, err);
        if (rc != VN_OK)
                return vn_err_prefix(err, rc, "deployment %zu", i);
        if (d->site >= config->site_count || (unsigned)d->runtime >= VN_RUNTIME_COUNT)
                return vn_fail(err, VN_INVALID_ARGUMENT, "deployment %zu: no such site or runtime", i);
        if (d->concurrency < 1 || d->concurrency > VN_MAX_PLATFORM_SLOTS ||
            (d->plan == VN_PLAN_LAMBDA && d->concurrency != 1) || d->max_instances > VN_MAX_PLATFORM_INSTANCES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "deployment %zu: concurrency or instances out of range", i);
        /* Written so that a NaN fails too. */
        if (!(w->cpu_ms >= 0 && w->io_ms >= 0 && w->cpu_ms_per_kb >= 0 && w->parallel >= 1 && w->noise >= 0 &&
              w->noise <= 3 && w->need_mb >= 0 && w->need_mb_per_kb >= 0 && w->response_bytes >= 0 &&
              w->response_per_byte >= 0 && w->error_rate >= 0 && w->error_rate <= 1 && d->package_mb >= 0) ||
            d->timeout_us <= 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "deployment %zu: a work figure is out of range", i);
        return VN_OK;
}

static enum vn_rc check_config(const struct vn_platform_config *config, struct vn_err *err)
{
        if (!config->site_count || config->site_count > VN_MAX_PLATFORM_SITES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "1 to %d sites, not %zu", VN_MAX_PLATFORM_SITES,
                               config->site_count);
        if (config->deployment_count > VN_MAX_PLATFORM_DEPLOYMENTS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "more than %d deployments", VN_MAX_PLATFORM_DEPLOYMENTS);
        if (!(config->spread >= 0 && config->spread < 1))
                return vn_fail(err, VN_INVALID_ARGUMENT, "spread must be in [0, 1)");
        for (size_t i = 0; i < config->site_count; i++) {
                if (!(config->sites[i].rtt_ms >= 0))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "site %zu: negative round trip", i);
        }
        for (size_t i = 0; i < config->deployment_count; i++)
                VN_TRY(check_deployment(config, i, err));
        return VN_OK;
}

static void draw_constants(struct vn_platform *p, double spread, uint64_t seed)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, vn_hash64("constants", 9, seed));
        for (int i = 0; i < 4; i++) {
                p->place_factor[i] = 1 + spread * (2 * vn_rng_unit(&rng) - 1);
                p->init_factor[i] = 1 + spread * (2 * vn_rng_unit(&rng) - 1);
                p->idle_factor[i] = 1 + spread * (2 * vn_rng_unit(&rng) - 1);
        }
        for (size_t i = 0; i < p->site_count; i++)
                p->rtt_factor[i] = 1 + spread * (2 * vn_rng_unit(&rng) - 1);
        for (size_t i = 0; i < p->deployment_count; i++) {
                uint64_t index = i;
                vn_rng_seed(&p->pools[i].rng, vn_hash64(&index, sizeof index, seed));
                p->pools[i].pending_at_us = INT64_MAX;
                p->pools[i].latest_us = INT64_MIN;
                p->pools[i].vcpu = p->deployments[i].vcpu > 0
                                           ? p->deployments[i].vcpu
                                           : vn_platform_vcpu(p->deployments[i].plan, p->deployments[i].memory_mb);
        }
}

enum vn_rc vn_platform_new(const struct vn_platform_config *config, uint64_t seed, struct vn_platform **ret,
                           struct vn_err *err)
{
        VN_TRY(check_config(config, err));
        struct vn_platform *p = vn_alloc(sizeof *p);
        if (!p)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a platform");
        p->site_count = config->site_count;
        p->deployment_count = config->deployment_count;
        size_t deployments = p->deployment_count ? p->deployment_count : 1;
        p->sites = vn_alloc_array(p->site_count, sizeof *p->sites);
        p->rtt_factor = vn_alloc_array(p->site_count, sizeof *p->rtt_factor);
        p->in_flight = vn_alloc_array(p->site_count, sizeof *p->in_flight);
        p->deployments = vn_alloc_array(deployments, sizeof *p->deployments);
        p->pools = vn_alloc_array(deployments, sizeof *p->pools);
        if (!p->sites || !p->rtt_factor || !p->in_flight || !p->deployments || !p->pools) {
                vn_platform_free(p);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a platform");
        }
        memcpy(p->sites, config->sites, p->site_count * sizeof *p->sites);
        if (p->deployment_count)
                memcpy(p->deployments, config->deployments, p->deployment_count * sizeof *p->deployments);
        draw_constants(p, config->spread, seed);
        *ret = p;
        return VN_OK;
}

struct vn_platform *vn_platform_free(struct vn_platform *platform)
{
        if (!platform)
                return NULL;
        for (size_t i = 0; platform->pools && i < platform->deployment_count; i++)
                vn_free(platform->pools[i].items);
        for (size_t i = 0; platform->in_flight && i < platform->site_count; i++)
                vn_free(platform->in_flight[i].end_us);
        vn_free(platform->pools);
        vn_free(platform->in_flight);
        vn_free(platform->deployments);
        vn_free(platform->rtt_factor);
        vn_free(platform->sites);
        vn_free(platform);
        return NULL;
}

struct vn_factors vn_platform_factors(const struct vn_platform *platform, uint32_t site, int64_t time_us)
{
        uint32_t own = platform->sites[site].concurrency_limit;
        struct vn_factors f = {1, 1, 0, own ? own : UINT32_MAX};
        for (size_t i = 0; i < platform->injection_count; i++) {
                const struct vn_injection *it = &platform->injections[i];
                if ((it->site != UINT32_MAX && it->site != site) || time_us < it->from_us || time_us >= it->until_us)
                        continue;
                switch (it->kind) {
                case VN_INJECT_OUTAGE: f.outage = it->amount > f.outage ? it->amount : f.outage; break;
                case VN_INJECT_LATENCY: f.latency *= it->amount; break;
                case VN_INJECT_PRICE: f.price *= it->amount; break;
                case VN_INJECT_LIMIT:
                        if (it->amount < f.limit)
                                f.limit = (uint32_t)it->amount;
                        break;
                }
        }
        return f;
}

double vn_platform_price_factor(const struct vn_platform *platform, uint32_t site, int64_t time_us)
{
        return vn_platform_factors(platform, site, time_us).price;
}

enum vn_rc vn_platform_inject(struct vn_platform *platform, const struct vn_injection *injection, struct vn_err *err)
{
        bool share = injection->kind == VN_INJECT_OUTAGE;
        if (injection->site != UINT32_MAX && injection->site >= platform->site_count)
                return vn_fail(err, VN_NOT_FOUND, "no such site");
        double most = share ? 1 : injection->kind == VN_INJECT_LIMIT ? 1e6 : 1000;
        if (!(injection->amount >= 0 && injection->amount <= most))
                return vn_fail(err, VN_INVALID_ARGUMENT, "amount out of range");
        if (injection->until_us <= injection->from_us)
                return vn_fail(err, VN_INVALID_ARGUMENT, "an injection must end after it begins");
        if (platform->injection_count == VN_MAX_PLATFORM_INJECTIONS)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "more than %d injections", VN_MAX_PLATFORM_INJECTIONS);
        platform->injections[platform->injection_count++] = *injection;
        return VN_OK;
}

/* Takes a waiting memory change into force. */
static void settle(struct vn_platform *p, uint32_t deployment, int64_t time_us)
{
        struct vn_pool *pool = &p->pools[deployment];
        struct vn_platform_deployment *d = &p->deployments[deployment];
        if (time_us < pool->pending_at_us)
                return;
        d->memory_mb = pool->pending_mb;
        pool->vcpu = d->vcpu > 0 ? d->vcpu : vn_platform_vcpu(d->plan, d->memory_mb);
        pool->pending_at_us = INT64_MAX;
        pool->generation++;
}

enum vn_rc vn_platform_check_memory(enum vn_platform_plan plan, uint32_t memory_mb, struct vn_err *err)
{
        if (plan == VN_PLAN_AZURE_CONSUMPTION)
                return vn_fail(err, VN_FAILED_PRECONDITION, "the Consumption plan has no memory setting");
        return check_memory(plan, memory_mb, err);
}

enum vn_rc vn_platform_set_memory(struct vn_platform *platform, uint32_t deployment, uint32_t memory_mb,
                                  int64_t time_us, struct vn_err *err)
{
        if (deployment >= platform->deployment_count)
                return vn_fail(err, VN_NOT_FOUND, "no such deployment");
        VN_TRY(vn_platform_check_memory(platform->deployments[deployment].plan, memory_mb, err));
        settle(platform, deployment, time_us);
        platform->pools[deployment].pending_mb = memory_mb;
        platform->pools[deployment].pending_at_us = time_us;
        return VN_OK;
}

void vn_platform_set_scaling(struct vn_platform *platform, uint32_t deployment, uint32_t max_instances,
                             uint32_t warm_instances)
{
        VN_ASSERT(deployment < platform->deployment_count);
        struct vn_platform_deployment *d = &platform->deployments[deployment];
        d->max_instances = max_instances < VN_MAX_PLATFORM_INSTANCES ? max_instances : VN_MAX_PLATFORM_INSTANCES;
        d->warm_instances = warm_instances < VN_MAX_PLATFORM_INSTANCES ? warm_instances : VN_MAX_PLATFORM_INSTANCES;
}

uint32_t vn_platform_memory(const struct vn_platform *platform, uint32_t deployment, int64_t time_us)
{
        VN_ASSERT(deployment < platform->deployment_count);
        const struct vn_pool *pool = &platform->pools[deployment];
        return time_us >= pool->pending_at_us ? pool->pending_mb : platform->deployments[deployment].memory_mb;
}

/* Work done with `active` requests sharing the instance, the new one included. The share is that of the moment when
 * it starts: later neighbours are not looked at, which keeps the model one pass. */
static int64_t run_time(struct vn_pool *pool, const struct vn_platform_deployment *d, uint32_t active, double kb,
                        double need_mb, double latency_factor)
{
        const struct vn_platform_work *w = &d->work;
        double noise = w->noise > 0 ? vn_exp(w->noise * vn_rng_normal(&pool->rng)) : 1;
        double vcpu = pool->vcpu / (active > 1 ? active : 1);
        double usable = vcpu < w->parallel ? vcpu : w->parallel;
        double cpu_ms = (w->cpu_ms + w->cpu_ms_per_kb * kb) / (usable * vn_plan_table(d->plan)->speed);
        /* Within a tenth of the limit garbage collection and paging eat time; beyond it the process is killed. */
        double fill = d->memory_mb ? need_mb / d->memory_mb : 0;
        if (d->plan != VN_PLAN_AZURE_CONSUMPTION && fill > 0.9)
                cpu_ms *= 1 + 10 * ((fill < 1 ? fill : 1) - 0.9);
        return (int64_t)((cpu_ms + w->io_ms) * noise * latency_factor * 1e3);
}

static uint64_t response_size(const struct vn_platform_work *w, uint64_t payload_bytes)
{
        double bytes = w->response_bytes + w->response_per_byte * (double)payload_bytes;
        return bytes < 6e6 ? (uint64_t)bytes : UINT64_C(6000000);
}

static void finish_run(struct vn_pool *pool, const struct vn_platform_deployment *d, uint64_t payload_bytes,
                       double limit_mb, struct vn_platform_outcome *out)
{
        if ((double)out->used_mb > limit_mb) {
                out->status = VN_RUN_OOM;
                out->run_us = out->run_us * 6 / 10; /* it dies on the way up */
                out->used_mb = (uint32_t)limit_mb;
        } else if (d->work.error_rate > 0 && vn_rng_unit(&pool->rng) < d->work.error_rate) {
                out->status = VN_RUN_ERROR;
                out->run_us /= 2;
        }
        if (out->run_us > d->timeout_us) {
                out->status = VN_RUN_TIMEOUT;
                out->run_us = d->timeout_us;
        }
        out->response_bytes = out->status == VN_RUN_OK ? response_size(&d->work, payload_bytes) : 256;
}

static void refuse(struct vn_platform_outcome *out, enum vn_platform_status status)
{
        out->status = status;
        out->elapsed_us = out->network_us;
        out->response_bytes = 256;
}

void vn_platform_invoke(struct vn_platform *platform, uint32_t deployment, int64_t time_us, uint64_t payload_bytes,
                        struct vn_platform_outcome *ret)
{
        vn_platform_invoke_measured(platform, deployment, time_us, payload_bytes, NULL, ret);
}

static void take_measured(const struct vn_platform_measured *measured, const struct vn_platform_deployment *d,
                          struct vn_platform_outcome *out)
{
        out->run_us = measured->run_us < d->timeout_us ? measured->run_us : d->timeout_us;
        out->response_bytes = measured->response_bytes;
        if (measured->failed)
                out->status = VN_RUN_ERROR;
        if (measured->run_us > d->timeout_us)
                out->status = VN_RUN_TIMEOUT;
}

void vn_platform_invoke_measured(struct vn_platform *platform, uint32_t deployment, int64_t time_us,
                                 uint64_t payload_bytes, const struct vn_platform_measured *measured,
                                 struct vn_platform_outcome *ret)
{
        VN_ASSERT(deployment < platform->deployment_count);
        struct vn_platform_deployment *d = &platform->deployments[deployment];
        struct vn_pool *pool = &platform->pools[deployment];
        const struct vn_platform_site *site = &platform->sites[d->site];
        const struct vn_plan_table *table = vn_plan_table(d->plan);

        memset(ret, 0, sizeof *ret);
        time_us = time_us > pool->latest_us ? time_us : pool->latest_us;
        pool->latest_us = time_us;
        settle(platform, deployment, time_us);
        struct vn_factors factors = vn_platform_factors(platform, d->site, time_us);
        int64_t front_us = (int64_t)(vn_draw(&pool->rng, table->front_ms) * factors.latency * 1e3);
        ret->network_us = front_us + (int64_t)(site->rtt_ms * platform->rtt_factor[d->site] * factors.latency * 1e3);
        ret->memory_mb = d->memory_mb;
        if (factors.outage > 0 && vn_rng_unit(&pool->rng) < factors.outage) {
                refuse(ret, VN_RUN_UNAVAILABLE);
                return;
        }
        bool limited = factors.limit != UINT32_MAX;
        if (limited && vn_in_flight_count(&platform->in_flight[d->site], time_us) >= factors.limit) {
                refuse(ret, VN_RUN_THROTTLED);
                return;
        }
        int64_t at_us = time_us + ret->network_us / 2;
        struct vn_instance *it = vn_pool_take(platform, deployment, at_us, factors.latency, ret);
        if (!it) {
                refuse(ret, VN_RUN_THROTTLED);
                return;
        }
        int64_t from_us = at_us + ret->queue_us + ret->cold_us;
        uint32_t active = vn_instance_active(it, d->concurrency, from_us) + 1;
        double kb = (double)payload_bytes / 1024;
        double need_mb = d->work.need_mb + d->work.need_mb_per_kb * kb;
        /* Neighbours in one process share the code; each adds what its own request holds. */
        need_mb += (active - 1) * (d->work.need_mb * 0.15 + d->work.need_mb_per_kb * kb);
        ret->run_us = run_time(pool, d, active, kb, need_mb, factors.latency);
        bool consumption = d->plan == VN_PLAN_AZURE_CONSUMPTION;
        double limit_mb = consumption ? 1536 : d->memory_mb;
        ret->used_mb = (uint32_t)(need_mb + (consumption ? table->host_mb[d->runtime] : 0) + 0.999);
        if (measured)
                take_measured(measured, d, ret);
        else
                finish_run(pool, d, payload_bytes, limit_mb, ret);
        ret->elapsed_us = ret->network_us + ret->queue_us + ret->cold_us + ret->run_us;
        vn_instance_hold(it, d->concurrency, from_us, from_us + ret->run_us);
        if (ret->status == VN_RUN_OOM || ret->status == VN_RUN_TIMEOUT)
                it->generation = pool->generation - 1; /* the sandbox is thrown away */
        if (limited)
                VN_IGNORE(vn_in_flight_push(&platform->in_flight[d->site], time_us, from_us + ret->run_us,
                                            UINT32_MAX)); /* only memory can refuse: then one call goes uncounted */
        vn_platform_bill(platform, deployment, it, from_us, from_us + ret->run_us,
                         (int64_t)((double)front_us * table->billed_front_share), factors.price, ret);
}

size_t vn_platform_site_count(const struct vn_platform *platform)
{
        return platform->site_count;
}

const struct vn_platform_site *vn_platform_site(const struct vn_platform *platform, uint32_t site)
{
        VN_ASSERT(site < platform->site_count);
        return &platform->sites[site];
}

size_t vn_platform_deployment_count(const struct vn_platform *platform)
{
        return platform->deployment_count;
}

const struct vn_platform_deployment *vn_platform_deployment(const struct vn_platform *platform, uint32_t deployment)
{
        VN_ASSERT(deployment < platform->deployment_count);
        return &platform->deployments[deployment];
}

void vn_platform_skip_instances(struct vn_platform *platform, uint64_t past)
{
        if (platform->next_instance < past)
                platform->next_instance = past;
}
