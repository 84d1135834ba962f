/* watch.h - the open Watch stream: what the server tells the agent, as it happens.
 * Purpose: a thread that keeps the stream open (with jittered backoff) and turns messages into events for the main
 *   thread. Pauses take effect at once, on this thread: they must not wait behind work.
 * Threads: one of its own; the functions here may be called from the main thread.
 * Ownership: borrows the channel until stop. Bounds: 256 waiting events; if they are not taken the stream is closed and
 *   opened again later, and the server says again what still counts. */
#ifndef VANE_AGENTS_WATCH_H
#define VANE_AGENTS_WATCH_H

#include "federation/leave.h"
#include "federation/model.h"
#include "net/grpc_client.h"

enum vn_agent_event_kind {
        VN_AGENT_COMMAND,
        VN_AGENT_ROUND,
        VN_AGENT_MODEL,
        VN_AGENT_LEVEL,
        VN_AGENT_RULES,
        VN_AGENT_GRANT
};
struct vn_agent_command {
        char id[96], function[VN_MAX_FUNCTION_NAME], region[VN_MAX_REGION_NAME], expected_guard[128];
        uint32_t memory_mb, expected_memory_mb;
        bool rollback;
        int64_t expires_us;
};
struct vn_agent_round {
        uint64_t round, base_version, seed, parameter_count;
        int64_t deadline_us;
        uint32_t epochs, batch;
        double learning_rate, proximal;
};
#define VN_AGENT_GRANT_FUNCTIONS 16
struct vn_agent_grant {
        char id[17], gateway[96];
        uint8_t gateway_key[32];
        uint32_t seconds;
        size_t function_count;
        struct {
                char name[VN_MAX_FUNCTION_NAME], region[VN_MAX_REGION_NAME];
        } functions[VN_AGENT_GRANT_FUNCTIONS];
};
struct vn_agent_event {
        enum vn_agent_event_kind kind;
        union {
                struct vn_agent_command command;
                struct vn_agent_round round;
                struct vn_agent_grant grant;
                struct {
                        uint64_t version;
                        uint8_t sha256[VN_MODEL_HASH_BYTES];
                } model;
                char level[16];
                struct vn_leave_rules rules; /* what may leave the account */
        };
};

struct vn_watch;
enum vn_rc vn_watch_start(struct vn_grpc_channel *channel, struct vn_watch **ret, struct vn_err *err) VN_MUST_USE;
/* Cancels the stream and joins the thread; events that wait and pauses are kept for vn_watch_resume. */
void vn_watch_stop(struct vn_watch *watch);
enum vn_rc vn_watch_resume(struct vn_watch *watch, struct vn_grpc_channel *channel, struct vn_err *err) VN_MUST_USE;
struct vn_watch *vn_watch_free(struct vn_watch *watch);
/* Waits at most wait_us of real time for an event; false: none. */
bool vn_watch_next(struct vn_watch *watch, int64_t wait_us, struct vn_agent_event *ret);
bool vn_watch_connected(const struct vn_watch *watch);
/* True while the account, or this function of it, is paused. */
bool vn_watch_paused(struct vn_watch *watch, const char *function);
void vn_watch_set_model_version(struct vn_watch *watch, uint64_t version); /* told to the server on (re)connection */
/* The result of the last attempt that failed: "" while the stream is open. */
void vn_watch_error(struct vn_watch *watch, struct vn_err *ret);

/* Message to event; false for one that this agent does not know or whose texts are too long. A pause is applied to
 * `watch` and gives no event. For tests too. */
struct Vane__V1__AgentEvent;
bool vn_watch_convert(struct vn_watch *watch, const struct Vane__V1__AgentEvent *message, struct vn_agent_event *ret);

#endif
