/* gather.h - the agent's side of its cloud: what is there, what happened, what it costs, and changing memory.
 * Purpose: from clouds/cloud.h to invocations (the allow-list as a type), reports and apply.h's functions.
 * Threads: the main thread; calls block on the cloud's API. Ownership: owns the cloud handle and its transport. Bounds:
 *   functions as cloud.h lists them, 65,536 remembered record ids (a read overlaps the one before). */
#ifndef VANE_AGENTS_GATHER_H
#define VANE_AGENTS_GATHER_H

#include "agents/apply.h"
#include "agents/lines.h"
#include "base/clock.h"
#include "federation/window.h"

struct vn_gather;
enum vn_rc vn_gather_open(const char *config_file, const struct vn_clock *clock, struct vn_gather **ret,
                          struct vn_err *err) VN_MUST_USE;
struct vn_gather *vn_gather_free(struct vn_gather *gather);
enum vn_platform vn_gather_platform(const struct vn_gather *gather);
/* How late this cloud's logs may come. */
int64_t vn_gather_lag_us(const struct vn_gather *gather);

/* Lists the functions anew; vn_gather_report_inventory sends what was listed. */
enum vn_rc vn_gather_list(struct vn_gather *gather, struct vn_err *err) VN_MUST_USE;
size_t vn_gather_function_count(const struct vn_gather *gather);
enum vn_rc vn_gather_report_inventory(const struct vn_gather *gather, struct vn_grpc_channel *channel,
                                      const struct vn_leave_rules *rules, int64_t now_us,
                                      struct vn_err *err) VN_MUST_USE;
/* Reads the price list and sends it. */
enum vn_rc vn_gather_report_prices(struct vn_gather *gather, struct vn_grpc_channel *channel, int64_t now_us,
                                   struct vn_err *err) VN_MUST_USE;

/* Invocations of [from_us, to_us) that were not handed over before. A result other than OK from `each` ends it. */
typedef enum vn_rc (*vn_gather_call)(void *arg, const struct vn_invocation *call);
enum vn_rc vn_gather_calls(struct vn_gather *gather, int64_t from_us, int64_t to_us, vn_gather_call each, void *arg,
                           struct vn_err *err) VN_MUST_USE;
/* Azure and GCP: what was billed in the window, by the cloud's own meter where it can be had. */
void vn_gather_meter(struct vn_gather *gather, struct vn_window *window);
/* Raw lines go to `each`, allowed, sampled and scrubbed (lines.h); as long as nobody takes them none is read. */
void vn_gather_lines_to(struct vn_gather *gather, vn_line_fn each, void *arg);
void vn_gather_set_class(struct vn_gather *gather, enum vn_data_class data_class);
/* Those written in [from_us, to_us) that were not handed over before. */
enum vn_rc vn_gather_lines(struct vn_gather *gather, int64_t from_us, int64_t to_us, struct vn_err *err) VN_MUST_USE;
/* What the cloud allows the account's credentials; FAILED_PRECONDITION while no function is listed to ask about. */
struct vn_cloud_abilities;
enum vn_rc vn_gather_abilities(const struct vn_gather *gather, struct vn_cloud_abilities *ret,
                               struct vn_err *err) VN_MUST_USE;
/* A credential that invokes these functions and nothing else; the caller drops it (clouds/grant.h). */
struct vn_cloud_grant;
struct vn_agent_grant;
enum vn_rc vn_gather_grant(const struct vn_gather *gather, const struct vn_agent_grant *request,
                           struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
/* What a change that was refused lacks. */
const char *vn_gather_change_permission(const struct vn_gather *gather);
uint64_t vn_gather_api_calls(const struct vn_gather *gather);
struct vn_cloud_usage;
void vn_gather_usage(const struct vn_gather *gather, struct vn_cloud_usage *ret);
/* Records whose names no window can hold, or that are of no listed function. */
uint64_t vn_gather_dropped(const struct vn_gather *gather);

/* For vn_apply; `state` of these is the gather. */
enum vn_rc vn_gather_read(void *state, const char *function, const char *region, struct vn_apply_state *ret,
                          struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gather_set(void *state, const char *function, const char *region, uint32_t memory_mb,
                         struct vn_apply_state *ret, struct vn_err *err) VN_MUST_USE;

#endif
