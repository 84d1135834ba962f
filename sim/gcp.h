/* sim/gcp.h - GCP as seen on the wire: tokens, Cloud Functions v2, Cloud Run (traffic of its services), function hosts, Monitoring,
 * Logging and the billing catalog on one endpoint.
 * Threads: one at a time. Ownership: the response is the caller's. */
#ifndef VANE_SIM_GCP_H
#define VANE_SIM_GCP_H

#include "sim/world.h"

void vn_sim_gcp(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);
/* The key file of a service account, as JSON text; the caller frees it (vn_free). NULL when memory is out. */
char *vn_sim_gcp_key_file(const struct vn_sim *sim, uint32_t account, const char *token_uri);

/* --- between the files of the GCP part --- */
void vn_sim_gcp_error(struct vn_sim_response *response, int status, const char *code, const char *format, ...)
        VN_PRINTF(4, 5);
void vn_sim_gcp_host(const struct vn_sim *sim, uint32_t deployment, char ret[96]); /* fn-00-1a2b3c4d-uc.a.run.app */
#define VN_SIM_GCP_TOKEN_S 3599
/* Appends an access token, or an ID token for an audience. */
enum vn_rc vn_sim_gcp_sign(struct vn_sim *sim, uint32_t account, const char *audience, struct vn_buf *ret,
                           struct vn_err *err) VN_MUST_USE;
void vn_sim_gcp_grant_error(struct vn_sim_response *response, const char *error, const char *description);
/* identity_gcp.c: the Security Token Service's exchange, and IAM Credentials' NAME:generateAccessToken, :generateIdToken. */
void vn_sim_gcp_exchange(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);
void vn_sim_gcp_generate(struct vn_sim *sim, uint32_t account, struct vn_str name_and_verb,
                         const struct vn_sim_request *request, struct vn_sim_response *response);
void vn_gcp_token(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);
/* The account that a bearer token speaks for: an access token from here, or a self-signed JWT. */
bool vn_gcp_bearer(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response,
                   uint32_t *ret_account);
/* Whether the request bears an ID token for this audience. */
bool vn_gcp_id_token(struct vn_sim *sim, const struct vn_sim_request *request, const char *audience,
                     uint32_t *ret_account); /* of the caller */
void vn_gcp_functions(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                      const struct vn_str *part, size_t count,
                      struct vn_sim_response *response); /* below /v2/projects/P/ */
void vn_gcp_path(const struct vn_sim *sim, uint32_t deployment, const char *kind, char ret[200]);
void vn_gcp_cpu_text(const struct vn_platform_deployment *d, uint32_t memory_mb, char ret[24]);
/* False when the project's writes are used up; the answer is then written. */
bool vn_gcp_write_allowed(struct vn_sim *sim, uint32_t account, struct vn_sim_response *response);
/* Cloud Run: a service as the API gives it, and what is below /services/S. */
json_t *vn_gcp_service(struct vn_sim *sim, uint32_t deployment);
void vn_gcp_run(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_request *request,
                const struct vn_str *part, size_t count, struct vn_sim_response *response);
/* The operation of a change of traffic; NULL if the id is none of the account's. */
json_t *vn_gcp_run_operation(struct vn_sim *sim, uint32_t account, struct vn_str id);
void vn_gcp_time_series(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                        struct vn_sim_response *response);
void vn_gcp_entries(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                    struct vn_sim_response *response);
void vn_gcp_skus(struct vn_sim *sim, struct vn_str service, const struct vn_sim_request *request,
                 struct vn_sim_response *response);

#endif
