/* sim/azure_arm.h - Azure Resource Manager for function apps (internal to the Azure part). */
#ifndef VANE_SIM_AZURE_ARM_H
#define VANE_SIM_AZURE_ARM_H

#include "sim/azure.h"

/* part[0] is "subscriptions"; count may exceed what part holds (12): then it is no path of ours. */
void vn_azure_arm(struct vn_sim *sim, const struct vn_sim_request *request, const struct vn_str *part, size_t count,
                  struct vn_sim_response *response);
/* The function key of a site, the same as long as the simulator runs. */
void vn_azure_key(const struct vn_sim *sim, uint32_t deployment, char ret[48]);

#endif
