#include "server/http_misc.h"

#include "base/metrics.h"
#include "server/audit/audit.h"
#include "server/registry/hub.h"
#include "server/registry/observing.h"
#include "server/routing/routing.h"
#include "server/tenants.h"

static void handle_metrics(void *context, const struct vn_http_request *request)
{
        struct vn_server *server = context;
        struct vn_routing_totals r;
        struct vn_store_stats s;
        struct vn_edge_stats e;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(4u << 20);
        struct vn_err err;
        enum vn_rc rc = vn_tenant_is_installation(vn_call_identity(request->call), &err);
        if (rc != VN_OK) {
                vn_call_finish(request->call, rc, &err);
                return;
        }
        vn_routing_totals(server, &r);
        vn_store_stats(server->store, &s);
#define VN_ROW(name, type, value, help)                                                                              \
        vn_buf_printf(&text, "# HELP %s %s\n# TYPE %s %s\n%s %llu\n", name, help, name, type, name,                  \
                      (unsigned long long)(value));
#include "server/metrics.def"
#undef VN_ROW
        vn_edge_stats(server->edge, &e);
#define VN_EDGE_STAT(name, help)                                                                                     \
        vn_buf_printf(&text,                                                                                         \
                      "# HELP vane_edge_%s_total Edge: %s.\n# TYPE vane_edge_%s_total counter\n"                     \
                      "vane_edge_%s_total %llu\n",                                                                   \
                      #name, help, #name, #name, (unsigned long long)e.name);
#include "net/edge_stats.def"
#undef VN_EDGE_STAT
        VN_METRIC_SET(UP_SINCE, (double)server->started_us / 1e6);
        vn_metrics_print(&text);
        vn_observing_metrics(server, &text);
        vn_http_reply(request->call, 200, "text/plain; version=0.0.4; charset=utf-8", vn_buf_view(&text), NULL, 0);
}

enum vn_rc vn_http_misc_start(struct vn_server *server, struct vn_err *err)
{
        VN_TRY(vn_edge_add_http(server->edge, "/metrics", VN_ACCESS_VIEWER, handle_metrics, server, err));
        return vn_audit_add_http(server, err);
}
