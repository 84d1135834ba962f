/* router.h - the driver's side of vane.v1.Routing: routes in batches over one stream, reports in the background.
 * Threads: one thread calls; a reporter thread is inside.
 * Ownership: the router owns its channel; results are plain values.
 * Errors: a broken stream is opened again and the batch asked again with the same request ids, which the server answers
 *   with its first decisions; UNAVAILABLE after 10 s. */
#ifndef VANE_CLIENT_ROUTER_H
#define VANE_CLIENT_ROUTER_H

#include "base/err.h"
#include "base/mem.h"

#define VN_ROUTER_MAX_BATCH 64
#define VN_ROUTER_MAX_EXCLUDED 2
#define VN_ROUTER_ID_BYTES 80

struct vn_route_ask {
        const char *workload;
        uint32_t payload_bytes;
        int64_t time_us;
        char request_id[48];
        const char *excluded[VN_ROUTER_MAX_EXCLUDED]; /* accounts that just failed this call */
        size_t excluded_count;
};
struct vn_route_answer {
        enum vn_rc rc; /* of this item */
        char problem[120];
        char decision_id[VN_ROUTER_ID_BYTES];
        char account[80];
        char function[128];
};
enum vn_report_status { VN_REPORT_OK = 1, VN_REPORT_ERROR = 2, VN_REPORT_THROTTLED = 3, VN_REPORT_TIMEOUT = 4 };
struct vn_report {
        char decision_id[VN_ROUTER_ID_BYTES];
        enum vn_report_status status;
        uint64_t latency_us;
        uint32_t response_bytes;
};

struct vn_router;
/* server: "https://host:port" or "host:port"; ca_file and token_file as vaned wrote them. */
enum vn_rc vn_router_open(const char *server, const char *ca_file, const char *token_file, struct vn_router **ret,
                          struct vn_err *err) VN_MUST_USE;
struct vn_router *vn_router_free(struct vn_router *router); /* what is not yet reported is dropped */
VN_DEFINE_AUTO(vn_router);
enum vn_rc vn_router_route(struct vn_router *router, const struct vn_route_ask *asks, size_t count,
                           struct vn_route_answer *ret, struct vn_err *err) VN_MUST_USE;
/* Queues; the reporter sends. */
enum vn_rc vn_router_report(struct vn_router *router, const struct vn_report *report, struct vn_err *err) VN_MUST_USE;
/* Waits until all reports are answered (at most wait_us), and tells how it went. */
struct vn_router_counts {
        uint64_t accepted, refused, lost;
        char last_reason[120];
};
void vn_router_flush(struct vn_router *router, int64_t wait_us, struct vn_router_counts *ret);

#endif
