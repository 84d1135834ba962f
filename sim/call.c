/* call.c - see call.h. */
#include "sim/call.h"

#include <stdio.h>

#include "net/http_client.h"

#define MAX_REAL_AT_ONCE 1000
#define MAX_REAL_BYTES ((size_t)6 << 20)

struct vn_sim_late {
        struct vn_sim_late *next;
        struct vn_sim_lane *lane;
        struct vn_call *call; /* a reference */
        struct vn_sim_request wire;
        struct vn_sim_response response;
        struct vn_sim_disturbance how;
        struct vn_timer *timer; /* stalls */
        int64_t at_us, began_us;
};

static struct vn_str call_header(const void *context, const char *name)
{
        return vn_call_header((const struct vn_call *)context, name);
}

/* A cloud of which all is out answers nothing. A call that names its instant is the platform's to refuse, and counted. */
static bool is_out(const struct vn_sim_lane *lane, const struct vn_sim_request *request)
{
        const struct vn_sim *sim = lane->sim;
        uint32_t out = 0;
        int64_t now_us = vn_now_us(sim->clock);
        if (lane->cloud < 0 || vn_sim_header(request, "x-vane-sim-at-us").len)
                return false;
        for (size_t i = 0; i < sim->injection_count; i++) {
                const struct vn_injection *it = &sim->injections[i];
                if (it->kind == VN_INJECT_OUTAGE && it->amount >= 1 && it->site / 2 == (uint32_t)lane->cloud &&
                    it->from_us <= now_us && now_us < it->until_us)
                        out |= 1u << it->site % 2;
        }
        return out == 3;
}

static void run(struct vn_sim_lane *lane, const struct vn_sim_request *wire, struct vn_sim_response *response,
                struct vn_sim_disturbance *how)
{
        memset(how, 0, sizeof *how);
        pthread_mutex_lock(lane->lock);
        if (lane->cloud >= 0)
                vn_sim_disturb(lane->sim, (enum vn_platform_cloud)lane->cloud, wire, response, how);
        if (is_out(lane, wire))
                vn_sim_json(response, 503, json_pack("{s:s}", "message", "this cloud is out of service"));
        else if (!how->refuse)
                lane->handler(lane->sim, wire, response);
        pthread_mutex_unlock(lane->lock);
}

static void reply(struct vn_call *call, const struct vn_sim_disturbance *how, struct vn_sim_response *response)
{
        struct vn_http_header headers[VN_MAX_SIM_HEADERS];
        vn_sim_spoil(how, response);
        if (how->reset || how->truncate) {
                size_t sent = how->reset ? 0 : response->body.len / 2;
                vn_http_break(call, response->status,
                              response->content_type[0] ? response->content_type : "application/json",
                              vn_buf_view(&response->body), sent);
                return;
        }
        for (size_t i = 0; i < response->header_count; i++)
                headers[i] = (struct vn_http_header){response->headers[i].name, response->headers[i].value};
        vn_http_reply(call, response->status, response->content_type[0] ? response->content_type : "application/json",
                      vn_buf_view(&response->body), headers, response->header_count);
}

static struct vn_sim_late *late_new(struct vn_sim_lane *lane, struct vn_call *call, const struct vn_sim_request *wire)
{
        struct vn_sim_late *late = vn_alloc(sizeof *late);
        if (!late)
                return NULL;
        late->lane = lane;
        late->call = vn_call_ref(call);
        late->wire = *wire;
        late->next = lane->late;
        lane->late = late;
        return late;
}

static void late_done(struct vn_sim_late *late)
{
        struct vn_sim_late **at = &late->lane->late;
        while (*at != late)
                at = &(*at)->next;
        *at = late->next;
        if (!vn_call_over(late->call))
                reply(late->call, &late->how, &late->response);
        vn_timer_free(late->timer);
        vn_sim_response_done(&late->response);
        vn_call_unref(late->call);
        vn_free(late);
}

static void stall_ended(void *arg)
{
        late_done(arg);
}

/* The clouds other than AWS pass on what the function's process answers, whatever it is. */
static void pass_on(const struct vn_sim_late *late, const struct vn_http_answer *answer,
                    struct vn_sim_response *response)
{
        struct vn_str type = vn_http_answer_header(answer, "content-type");
        if (late->lane->cloud == VN_PLATFORM_AWS && response->status != 200)
                return;
        if (late->lane->cloud != VN_PLATFORM_AWS)
                response->status = answer->status;
        if (type.len && !vn_str_copy(response->content_type, sizeof response->content_type, type))
                response->content_type[0] = 0;
        vn_buf_reset(&response->body);
        vn_buf_str(&response->body, vn_buf_view(&answer->body));
}

static void real_answered(void *context, enum vn_rc rc, const struct vn_http_answer *answer, const struct vn_err *err)
{
        struct vn_sim_late *late = context;
        struct vn_sim_real real = {.at_us = late->at_us, .run_us = vn_mono_us(vn_clock_real()) - late->began_us};
        (void)err;
        real.failed =
                rc != VN_OK || answer->status >= 400 || vn_http_answer_header(answer, "x-amz-function-error").len > 0;
        real.response_bytes = rc == VN_OK ? answer->body.len : 0;
        pthread_mutex_lock(late->lane->lock);
        late->lane->sim->real = &real;
        late->lane->handler(late->lane->sim, &late->wire, &late->response);
        late->lane->sim->real = NULL;
        pthread_mutex_unlock(late->lane->lock);
        if (rc == VN_OK && real.used)
                pass_on(late, answer, &late->response);
        late_done(late);
}

/* False if it could not be sent: then the answer is what the handler made of an unreachable function. */
static bool run_elsewhere(struct vn_sim_lane *lane, struct vn_call *call, const struct vn_sim_request *wire,
                          const char *url, const struct vn_sim_disturbance *how)
{
        char verb[16];
        struct vn_err err;
        /* Lambda's payload is JSON, whatever a client calls it. */
        struct vn_str type = lane->cloud == VN_PLATFORM_AWS ? VN_STR("") : vn_sim_header(wire, "content-type");
        const struct vn_http_field headers[] = {
                {VN_STR("content-type"), type.len ? type : VN_STR("application/json")}};
        if (!lane->http || !vn_str_copy(verb, sizeof verb, wire->verb))
                return false;
        struct vn_sim_late *late = late_new(lane, call, wire);
        if (!late)
                return false;
        vn_sim_response_init(&late->response);
        late->how = *how;
        late->at_us = vn_sim_arrival(lane->sim, wire);
        late->began_us = vn_mono_us(vn_clock_real());
        const struct vn_http_ask ask = {.method = verb,
                                        .url = url,
                                        .headers = headers,
                                        .header_count = 1,
                                        .body = wire->body,
                                        .timeout_us = 900 * VN_US_PER_S,
                                        .max_response_bytes = MAX_REAL_BYTES};
        if (vn_http_async_start(lane->http, &ask, real_answered, late, NULL, &err) != VN_OK) {
                vn_sim_text(&late->response, 503, "text/plain", "the function's process is not reached");
                late_done(late);
        }
        return true;
}

void vn_sim_call(void *context, const struct vn_http_request *request)
{
        struct vn_sim_lane *lane = context;
        struct vn_sim_response response;
        struct vn_sim_disturbance how;
        const struct vn_sim_request wire = {.verb = vn_call_verb(request->call), /* HEAD as it was signed */
                                            .path = request->path,
                                            .query = request->query,
                                            .body = request->body,
                                            .header = call_header,
                                            .header_context = request->call};
        vn_sim_response_init(&response);
        run(lane, &wire, &response, &how);
        if (response.real_url && run_elsewhere(lane, request->call, &wire, response.real_url, &how)) {
                vn_sim_response_done(&response);
                return;
        }
        if (how.reset || how.truncate) /* which may not be done from inside the edge's handler */
                how.stall_us = how.stall_us ? how.stall_us : 1;
        struct vn_sim_late *late = how.stall_us && lane->http ? late_new(lane, request->call, &wire) : NULL;
        struct vn_err err;
        if (late && vn_timer_new(vn_call_loop(request->call), stall_ended, late, &late->timer, &err) == VN_OK) {
                late->response = response;
                late->how = how;
                vn_timer_once(late->timer, how.stall_us);
                return;
        }
        reply(request->call, &how, &response);
        vn_sim_response_done(&response);
}

enum vn_rc vn_sim_lane_init(struct vn_sim_lane *lane, struct vn_loop *loop, struct vn_err *err)
{
        const struct vn_http_options options = {
                .allow_local_http = true, .http1_only = true, .user_agent = "vane-sim"};
        return vn_http_async_new(loop, &options, MAX_REAL_AT_ONCE, &lane->http, err);
}

static void stop(struct vn_task *task)
{
        struct vn_sim_lane *lane = (struct vn_sim_lane *)((char *)task - offsetof(struct vn_sim_lane, stop));
        lane->http = vn_http_async_free(lane->http); /* ends what runs elsewhere */
        while (lane->late)
                late_done(lane->late);
}

void vn_sim_lane_stop(struct vn_sim_lane *lane, struct vn_loop *loop)
{
        lane->stop.run = stop;
        vn_loop_post(loop, &lane->stop);
}
