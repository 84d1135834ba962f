/* figures.c - what routing can say of itself, for the status page and others. */
#include "server/routing/internal.h"
#include "server/tenants.h"

static void add_counts(const struct vn_tenant_counts *counts, struct vn_routing_figures *ret)
{
        ret->routed += atomic_load(&counts->routed);
        ret->split += atomic_load(&counts->split);
        ret->refused += atomic_load(&counts->refused);
        ret->outcomes += atomic_load(&counts->outcomes);
        ret->failed += atomic_load(&counts->failed);
        for (unsigned c = 0; c < VN_PROVIDER_COUNT; c++) {
                ret->per_cloud[c] += atomic_load(&counts->per_cloud[c]);
                ret->cost_usd[c] += atomic_load(&counts->cost_usd[c]);
        }
}

void vn_routing_totals(const struct vn_server *server, struct vn_routing_totals *ret)
{
        struct vn_routing *routing = server->routing;
        *ret = (struct vn_routing_totals){.epoch = atomic_load(&routing->epoch)};
        for (uint32_t i = 0; i < routing->loop_count; i++) {
                const struct vn_route_loop *loop = &routing->loops[i];
                for (size_t t = 0; t < VN_MAX_TENANTS; t++)
                        add_counts(&loop->counts[t], &ret->all);
                ret->unrecorded += atomic_load(&loop->unrecorded);
                ret->outcomes_refused += atomic_load(&loop->outcomes_refused);
        }
        pthread_mutex_lock(&routing->mutex);
        ret->all.workloads = routing->current ? routing->current->count : 0;
        pthread_mutex_unlock(&routing->mutex);
}

void vn_routing_figures(const struct vn_server *server, const char *tenant, struct vn_routing_figures *ret)
{
        const struct vn_routing *routing = server->routing;
        size_t number = vn_tenants_number(server, tenant);
        struct vn_sketch latency[VN_PROVIDER_COUNT];
        *ret = (struct vn_routing_figures){0};
        for (unsigned c = 0; c < VN_PROVIDER_COUNT; c++)
                vn_sketch_init(&latency[c]);
        for (uint32_t i = 0; i < routing->loop_count; i++)
                add_counts(&routing->loops[i].counts[number], ret);
        for (size_t i = 0; i < routing->account_count; i++) {
                const struct vn_account_live *a = &routing->accounts[i];
                if (a->tenant != number || a->cloud >= VN_PROVIDER_COUNT)
                        continue;
                vn_sketch_merge(&latency[a->cloud], &a->latency);
        }
        for (unsigned c = 0; c < VN_PROVIDER_COUNT; c++)
                ret->p95_ms[c] = vn_sketch_quantile_us(&latency[c], 0.95) / 1000;
        for (uint32_t i = 0; routing->current && i <= routing->current->mask; i++)
                ret->workloads += routing->current->slots[i].ref && routing->current->slots[i].ref->tenant == number;
}

const struct vn_view *vn_routing_view(const struct vn_server *server, const char *tenant, const char *workload)
{
        struct vn_view_ref *ref =
                vn_route_find(server->routing->current, vn_workload_hash(tenant, workload), tenant, vn_str(workload));
        return ref ? ref->view : NULL;
}

size_t vn_routing_view_count(const struct vn_server *server)
{
        return server->routing->current ? server->routing->current->mask + 1 : 0;
}

const struct vn_view *vn_routing_view_at(const struct vn_server *server, size_t index)
{
        const struct vn_view_ref *ref = server->routing->current->slots[index].ref;
        return ref ? ref->view : NULL;
}

uint64_t vn_routing_routed(const struct vn_server *server, const char *tenant, const char *workload)
{
        const struct vn_view *view = vn_routing_view(server, tenant, workload);
        uint64_t routed = 0;
        for (uint32_t i = 0; view && i < view->count; i++) {
                const struct vn_endpoint_live *e = vn_endpoint_live_of(server->routing, view->endpoint[i].id);
                routed += e ? e->routed : 0;
        }
        return routed;
}
