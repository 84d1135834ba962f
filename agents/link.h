/* link.h - the agent's calls to vaned, as plain functions.
 * Threads: the main thread; each call blocks up to its deadline. Ownership: the channel is borrowed.
 * Privacy: what may not leave the account (federation/leave.h) is refused here with PERMISSION_DENIED, before it is sent.
 * Errors: the server's status. The join token never appears in a message or error. */
#ifndef VANE_AGENTS_LINK_H
#define VANE_AGENTS_LINK_H

#include "agents/identity.h"
#include "agents/learn.h"
#include "agents/watch.h"
#include "clouds/budget.h"
#include "net/grpc_client.h"

#define VN_LINK_MAX_WINDOWS 200 /* in one report */

/* A TLS channel to the server; identity's certificate is used once there is one. */
enum vn_rc vn_link_open(const char *server, struct vn_str ca_pem, const struct vn_agent_identity *identity,
                        struct vn_grpc_channel **ret, struct vn_err *err) VN_MUST_USE;
/* Spends the token for a certificate of identity's key. */
enum vn_rc vn_link_enrol(struct vn_grpc_channel *channel, struct vn_agent_identity *identity,
                         const struct vn_join_token *token, struct vn_str token_text, int64_t now_s,
                         struct vn_err *err) VN_MUST_USE;
/* A fresh key and certificate. */
enum vn_rc vn_link_renew(struct vn_grpc_channel *channel, struct vn_agent_identity *identity, int64_t now_s,
                         struct vn_err *err) VN_MUST_USE;

struct vn_link_counts {
        uint64_t dropped_fields, sampled_calls, cloud_api_calls, cloud_failures;
        const struct vn_troubles *troubles;
        struct vn_cloud_usage usage;
        const char *ability,
                *refused; /* what the cloud allows, and the permission missing for more; NULL: not known */
};
enum vn_rc vn_link_windows(struct vn_grpc_channel *channel, const struct vn_leave_rules *rules,
                           const struct vn_window *windows, size_t count, const struct vn_link_counts *counts,
                           struct vn_err *err) VN_MUST_USE;

/* Says no more than that the agent lives; from any thread. */
enum vn_rc vn_link_alive(struct vn_grpc_channel *channel, struct vn_err *err) VN_MUST_USE;

struct Vane__V1__InventoryReport;
struct Vane__V1__GrantReport;
struct Vane__V1__PriceReport;
enum vn_rc vn_link_inventory(struct vn_grpc_channel *channel, const struct vn_leave_rules *rules,
                             const struct Vane__V1__InventoryReport *report, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_link_prices(struct vn_grpc_channel *channel, const struct Vane__V1__PriceReport *report,
                          struct vn_err *err) VN_MUST_USE;

struct vn_command_result {
        char id[96];
        bool done;
        uint32_t memory_mb;
        char guard[128];
        char error[200];
};
enum vn_rc vn_link_grant(struct vn_grpc_channel *channel, const struct Vane__V1__GrantReport *report,
                         struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_link_command(struct vn_grpc_channel *channel, const struct vn_command_result *result,
                           struct vn_err *err) VN_MUST_USE;

/* The model of a version, checked against its own checksum. */
enum vn_rc vn_link_model(struct vn_grpc_channel *channel, uint64_t version, struct vn_model **ret,
                         struct vn_err *err) VN_MUST_USE;
/* Streams the update; ABORTED with the server's reason when the gate refuses it. */
enum vn_rc vn_link_update(struct vn_grpc_channel *channel, const struct vn_leave_rules *rules,
                          const struct vn_agent_round *round, const struct vn_learn_update *update,
                          struct vn_err *err) VN_MUST_USE;

#endif
