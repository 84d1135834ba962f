/* hub.h - open streams to agents and to people's pages.
 * Purpose: the control loop says something once; every stream that may hear it does, on its own edge loop.
 * Threads: vn_hub_send_* from the control loop; streams attach and detach on their edge loops.
 * Limits: a stream whose outbox is full loses decisions (counted), never an agent's command: commands are kept by the
 *   tuning module and sent again when the agent comes back. */
#ifndef VANE_SERVER_REGISTRY_HUB_H
#define VANE_SERVER_REGISTRY_HUB_H

#include "server/server.h"

enum vn_rc vn_hub_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_hub_stop(struct vn_server *server);
/* To the agent of one account, or to all agents of a tenant; the message is copied. */
void vn_hub_send_agent(struct vn_server *server, uint64_t account_id, const ProtobufCMessage *event);
void vn_hub_send_agents(struct vn_server *server, const char *tenant, const ProtobufCMessage *event);
/* A gateway's stream (server/grants): its number, never 0 and never given again; 0: too many. On the call's loop. */
uint64_t vn_hub_attach_gateway(struct vn_server *server, struct vn_call *call);
void vn_hub_detach(struct vn_server *server, struct vn_call *call);
void vn_hub_send_gateway(struct vn_server *server, uint64_t stream, const ProtobufCMessage *event);
/* To every open WatchDecisions stream of the tenant. `kind` and `workload` are matched against the streams' filters. */
void vn_hub_send_decision(struct vn_server *server, const char *tenant, const char *kind, const char *workload,
                          const ProtobufCMessage *decision);
/* True if any WatchDecisions stream of the tenant is open. */
bool vn_hub_has_watchers(const struct vn_server *server, const char *tenant);
size_t vn_hub_agent_streams(const struct vn_server *server);
uint64_t vn_hub_dropped(const struct vn_server *server);

#endif
