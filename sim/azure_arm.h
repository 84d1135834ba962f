/* sim/azure_arm.h - Azure Resource Manager for function apps (internal to the Azure part). */
#ifndef VANE_SIM_AZURE_ARM_H
#define VANE_SIM_AZURE_ARM_H

#include "sim/azure.h"

#define VN_AZURE_GROUP "vane-demo"

/* part[0] is "subscriptions"; count may exceed what part holds (12): then it is no path of ours. */
void vn_azure_arm(struct vn_sim *sim, const struct vn_sim_request *request, const struct vn_str *part, size_t count,
                  struct vn_sim_response *response);
void vn_azure_site_id(const struct vn_sim *sim, uint32_t deployment, char ret[256]);
/* A site as ARM gives it; a list leaves out what is tuned. */
json_t *vn_azure_site(struct vn_sim *sim, uint32_t deployment, bool full);
/* Plans: part[0] follows "serverfarms". */
void vn_azure_plans(const struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                    const struct vn_str *part, size_t count, struct vn_sim_response *response);
/* Moves a site between the Consumption and the Premium plan as body.properties.serverFarmId says; false when the answer is
 * written (another plan, or a busy site). */
bool vn_azure_move(struct vn_sim *sim, uint32_t deployment, json_t *body, struct vn_sim_response *response);
/* What ARM calls the site's plan: "Dynamic", "FlexConsumption", "ElasticPremium". */
const char *vn_azure_tier(struct vn_sim *sim, uint32_t deployment);
void vn_azure_plan_id(struct vn_sim *sim, uint32_t deployment, char ret[200]);
/* .../config/web */
void vn_azure_web(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                  struct vn_sim_response *response);
/* .../slots, .../slots/S and .../slots/S/operations/ID; part[0] follows "slots". */
void vn_azure_slots(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                    const struct vn_str *part, size_t count, struct vn_sim_response *response);
void vn_azure_slot_host(struct vn_sim *sim, uint32_t deployment, const char *slot, char ret[140]);
/* The function key of a site, the same as long as the simulator runs. */
void vn_azure_key(const struct vn_sim *sim, uint32_t deployment, char ret[48]);

#endif
