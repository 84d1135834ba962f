/* sim/identity.h - who callers are without a secret of their own: the simulator's issuer of workload tokens, the clients'
 * certificates, and the endpoints at which machines, containers and apps of the three clouds are given credentials.
 * Purpose: identity_aws.c, identity_azure.c and identity_gcp.c speak each cloud's forms; this part holds what they check
 *   against. The endpoints of the host are on one plain-http listener of loopback; each speaks for its cloud's first account.
 * Threads: one at a time. Ownership: keys are the world's, made at first use. Errors: as given. */
#ifndef VANE_SIM_IDENTITY_H
#define VANE_SIM_IDENTITY_H

#include "sim/world.h"

#define VN_SIM_ISSUER "https://issuer.vane-sim.example"
#define VN_SIM_SUBJECT "system:serviceaccount:vane:agent"
#define VN_SIM_AWS_AUDIENCE "sts.amazonaws.com"
#define VN_SIM_AZURE_AUDIENCE "api://AzureADTokenExchange"

struct vn_sim_identity {
        char issuer_key_id[48];
        char *issuer_private_pem, *issuer_public_pem;
        char host_secret[2 * VN_SIM_KEY_BYTES + 1]; /* a container's authorization token, App Service's header */
        struct vn_sim_certificate {
                char *private_pem, *public_pem, *pem;
                char sha1[32], sha256[48]; /* thumbprints as in x5t and x5t#S256 */
        } certificates[VN_SIM_ACCOUNTS];   /* of Azure's */
};
/* NULL when memory is out. */
const struct vn_sim_identity *vn_sim_identity(struct vn_sim *sim);
void vn_sim_identity_free(struct vn_sim_identity *identity);
/* The first account of a cloud, for which its host endpoints speak. */
uint32_t vn_sim_identity_account(enum vn_platform_cloud cloud);
/* "//iam.googleapis.com/projects/..." of an account's workload identity provider. */
void vn_sim_gcp_provider(const struct vn_sim *sim, uint32_t account, char ret[192]);

/* What is wrong with a token of the issuer, if anything. */
enum vn_sim_subject {
        VN_SUBJECT_GOOD,
        VN_SUBJECT_UNREADABLE, /* not signed by the issuer's key, or by no key */
        VN_SUBJECT_ISSUER,
        VN_SUBJECT_AUDIENCE,
        VN_SUBJECT_NAME,
        VN_SUBJECT_TIME /* expired, or not valid yet */
};
enum vn_sim_subject vn_sim_subject_check(struct vn_sim *sim, struct vn_str token, const char *audience);
/* Appends a token of the issuer, good for a day by the machine's clock: outside clients know no other. */
enum vn_rc vn_sim_subject_sign(struct vn_sim *sim, const char *audience, struct vn_buf *ret,
                               struct vn_err *err) VN_MUST_USE;

/* The host endpoints: /latest and /creds (AWS), /metadata and /msi (Azure), /computeMetadata (GCP), /subject (a fresh token of
 * the issuer for ?audience=, as JSON). */
void vn_sim_identity_host(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);
void vn_sim_aws_host(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);
void vn_sim_azure_identity(struct vn_sim *sim, const struct vn_sim_request *request,
                           struct vn_sim_response *response);
void vn_sim_gcp_metadata(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response);

/* Writes an account's token, certificate and credential files into DIR and names them in its JSON. */
enum vn_rc vn_sim_identity_files(struct vn_sim *sim, uint32_t account, const char *dir, const char *endpoint,
                                 const char *host_endpoint, json_t *json, struct vn_err *err) VN_MUST_USE;
/* What a client of the host endpoints must know; the issuer's key file lets tests make tokens that must be refused. */
enum vn_rc vn_sim_identity_ready(struct vn_sim *sim, const char *dir, const char *host_endpoint, json_t **ret,
                                 struct vn_err *err) VN_MUST_USE;

#endif
