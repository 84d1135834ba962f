/* figures.c - what routing can say of itself, for the status page and others. */
#include "server/routing/internal.h"

void vn_routing_figures(const struct vn_server *server, struct vn_routing_figures *ret)
{
        const struct vn_routing *routing = server->routing;
        *ret = (struct vn_routing_figures){.epoch = atomic_load(&routing->epoch)};
        for (uint32_t i = 0; i < routing->loop_count; i++) {
                const struct vn_route_loop *loop = &routing->loops[i];
                ret->routed += atomic_load(&loop->routed);
                ret->split += atomic_load(&loop->split);
                ret->refused += atomic_load(&loop->refused);
                ret->unrecorded += atomic_load(&loop->unrecorded);
                ret->outcomes += atomic_load(&loop->outcomes);
                ret->outcomes_refused += atomic_load(&loop->outcomes_refused);
                ret->failed += atomic_load(&loop->failed);
                for (unsigned c = 0; c < 3; c++)
                        ret->per_cloud[c] += atomic_load(&loop->per_cloud[c]);
        }
        ret->workloads = (size_t)atomic_load(&routing->workloads);
}

double vn_routing_cost_usd(const struct vn_server *server, unsigned cloud)
{
        double usd = 0;
        for (size_t i = 0; i < server->routing->account_count; i++)
                if (server->routing->accounts[i].cloud == cloud)
                        usd += server->routing->accounts[i].cost_usd;
        return usd;
}

double vn_routing_p95_ms(const struct vn_server *server, unsigned cloud)
{
        struct vn_sketch all;
        vn_sketch_init(&all);
        for (size_t i = 0; i < server->routing->account_count; i++)
                if (server->routing->accounts[i].cloud == cloud)
                        vn_sketch_merge(&all, &server->routing->accounts[i].latency);
        return vn_sketch_quantile_us(&all, 0.95) / 1000;
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
