/* sim/azure.h - Azure as seen on the wire: Entra tokens, ARM for function apps, function hosts, Monitor metrics, log
 * queries and retail prices on one endpoint.
 * Threads: one at a time. Ownership: the response is the caller's. */
#ifndef VANE_SIM_AZURE_H
#define VANE_SIM_AZURE_H

#include "sim/world.h"

void vn_sim_azure(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);

/* --- between the files of the Azure part --- */
void vn_sim_azure_error(struct vn_sim_response *response, int status, const char *code, const char *format, ...)
        VN_PRINTF(4, 5);
#define VN_SIM_AZURE_TOKEN_S 3599
/* Appends an access token for an audience, as Entra signs it. */
enum vn_rc vn_sim_azure_sign(struct vn_sim *sim, uint32_t account, const char *audience, struct vn_buf *ret,
                             struct vn_err *err) VN_MUST_USE;
void vn_sim_azure_token_error(struct vn_sim_response *response, int status, const char *error, int code,
                              const char *text);
/* identity_azure.c: whether the client of the token request is the account's: by its secret, by an assertion signed with
 * its certificate, or by a token of the simulator's issuer; else the answer is written. */
bool vn_sim_azure_proof(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                        struct vn_sim_response *response);
/* The account that a bearer token for this audience speaks for; else the answer is written. `any_azure` UINT32_MAX. */
bool vn_sim_azure_bearer(struct vn_sim *sim, const struct vn_sim_request *request, const char *audience,
                         struct vn_sim_response *response, uint32_t *ret_account);
void vn_sim_azure_host(const struct vn_sim *sim, uint32_t deployment,
                       char ret[96]); /* fn-00-1a2b3c4d.azurewebsites.net */
bool vn_sim_azure_flex(const struct vn_sim *sim, uint32_t deployment);
void vn_sim_azure_metrics(struct vn_sim *sim, uint32_t deployment, const char *resource,
                          const struct vn_sim_request *request, struct vn_sim_response *response);
/* KQL over AppRequests (workspace) or requests (application). */
void vn_sim_azure_query(struct vn_sim *sim, uint32_t account, bool workspace, const struct vn_sim_request *request,
                        struct vn_sim_response *response);
void vn_sim_azure_prices(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);

#endif
