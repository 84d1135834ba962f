/* sim/call.h - one request from the edge to its answer: handlers, disturbances, and functions that really run elsewhere.
 * Purpose: handlers answer at once; what makes an answer late (a stall, a real function) is here.
 * A real function's invocation passes its handler twice: the first time checks the request and stops before the run, the
 * second time has the real answer and its duration, bills and records it.
 * Threads: a lane belongs to its edge's loop; handlers of all lanes run under one lock. */
#ifndef VANE_SIM_CALL_H
#define VANE_SIM_CALL_H

#include <pthread.h>

#include "net/edge.h"
#include "sim/world.h"

typedef void (*vn_sim_handler)(struct vn_sim *sim, const struct vn_sim_request *request,
                               struct vn_sim_response *response);
struct vn_http_async;
struct vn_sim_late;

struct vn_sim_lane { /* one listener's */
        struct vn_sim *sim;
        pthread_mutex_t *lock;
        vn_sim_handler handler;
        int cloud; /* enum vn_platform_cloud, or -1 for the control API */
        struct vn_http_async *http;
        struct vn_sim_late *late;
        struct vn_task stop;
};
/* Before the loop starts. */
enum vn_rc vn_sim_lane_init(struct vn_sim_lane *lane, struct vn_loop *loop, struct vn_err *err) VN_MUST_USE;
/* Any thread, while the loop runs: what is late is answered at once, and nothing is late from then on. */
void vn_sim_lane_stop(struct vn_sim_lane *lane, struct vn_loop *loop);
/* The edge's handler; its context is the lane. */
void vn_sim_call(void *context, const struct vn_http_request *request);

#endif
