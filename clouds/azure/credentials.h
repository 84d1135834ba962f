/* credentials.h - Entra's tokens for Azure: who the agent is, and how it proves that.
 * Purpose: an account whose description holds a client secret or names a client certificate uses that. Else the places are
 *   asked in the order of Azure's own DefaultAzureCredential: the environment (AZURE_TENANT_ID, AZURE_CLIENT_ID and
 *   AZURE_CLIENT_SECRET or AZURE_CLIENT_CERTIFICATE_PATH); a workload's identity (AZURE_FEDERATED_TOKEN_FILE, read anew each
 *   time); App Service (IDENTITY_ENDPOINT, IDENTITY_HEADER); the instance metadata service
 *   (AZURE_POD_IDENTITY_AUTHORITY_HOST moves it). A place that is set up and does not work ends the search, and what cannot
 *   be done (a password, Azure Arc, Service Fabric) is refused by name: another identity than the one meant would be used.
 *   The description's tenant and client_id take the place of the environment's.
 * Refresh: as vn_token_get. Threads, ownership: the handle's.
 * Errors: UNAUTHENTICATED if no place has an identity, with each place and why; messages hold no secret.
 * Source: the environment variables' table of the Azure Identity libraries; Microsoft identity platform, "client credentials". */
#ifndef VANE_CLOUDS_AZURE_CREDENTIALS_H
#define VANE_CLOUDS_AZURE_CREDENTIALS_H

#include "clouds/identity.h"

/* Whether the description names one credential whole, or none; nothing is sent. */
enum vn_rc vn_azure_credentials_check(const struct vn_cloud_config *config, struct vn_err *err) VN_MUST_USE;
/* A vn_token_fetch: a new token for a scope "https://RESOURCE/.default". */
enum vn_rc vn_azure_fetch_token(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                struct vn_err *err) VN_MUST_USE;

/* --- between its files --- */

/* host_tokens.c: NOT_FOUND, and why, where there is no such endpoint. */
enum vn_rc vn_azure_app_service_token(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                      struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_instance_token(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                   struct vn_err *err) VN_MUST_USE;
/* What both endpoints answer; numbers come as texts. The token points into the JSON. */
enum vn_rc vn_azure_host_answer(json_t *answer, int64_t now_us, struct vn_str *ret_token, int64_t *ret_expires_us,
                                struct vn_err *err) VN_MUST_USE;
/* certificate.c: appends the assertion that a client makes with its certificate, good for ten minutes at one audience.
 * `pem` holds an RSA key without a password and its certificate, in any order. */
enum vn_rc vn_azure_assertion(struct vn_str pem, struct vn_str client, struct vn_str audience, int64_t now_us,
                              struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;

#endif
