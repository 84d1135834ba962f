/* credentials.h - Google's tokens for GCP: who the agent is, and how it proves that.
 * Purpose: an account whose description holds a credential file (key_json) uses that. Else the places are asked in the order
 *   of Google's own clients: the file GOOGLE_APPLICATION_CREDENTIALS; gcloud's application default credentials (CLOUDSDK_CONFIG
 *   moves them); the metadata server (GCE_METADATA_HOST moves it). A file may be a service account's key, an external
 *   account (workload identity federation; the subject's token from a file or a URL, read anew each time) or an
 *   impersonated service account. What cannot be done (a person's own login, a program to run, AWS's signature, another
 *   universe) is refused by name: another identity than the one meant would be used.
 * Tokens: access tokens under the audience "", ID tokens under the function's; an external account has ID tokens only
 *   through a service account that it impersonates.
 * URLs that a file names are the file's word only: https to Google's hosts, or wherever the account's endpoint stands in
 *   for them; a subject's URL may also be plain http on this host. The http client follows no redirect and uses no proxy.
 * Threads, ownership: the handle's. Errors: UNAUTHENTICATED if no place has credentials, with each place and why;
 *   messages hold no secret. Source: AIP-4110, AIP-4115, AIP-4117 and AIP-4118 of google.aip.dev; RFC 8693. */
#ifndef VANE_CLOUDS_GCP_CREDENTIALS_H
#define VANE_CLOUDS_GCP_CREDENTIALS_H

#include "clouds/gcp/gcp.h"
#include "clouds/identity.h"

enum vn_gcp_source_kind { VN_GCP_KEY, VN_GCP_EXTERNAL, VN_GCP_IMPERSONATED, VN_GCP_METADATA };
#define VN_GCP_MAX_SUBJECT_HEADERS 8

/* A credential file as read; texts point into `root`. */
struct vn_gcp_source {
        enum vn_gcp_source_kind kind;
        json_t *root;
        struct vn_str project;
        struct vn_str email, pem, token_uri;             /* a key's */
        struct vn_str audience, subject_type, token_url; /* an external account's */
        struct vn_str subject_file, subject_url;         /* exactly one */
        struct vn_str subject_field;                     /* of a JSON text; empty: the text is the token */
        struct vn_cloud_header subject_headers[VN_GCP_MAX_SUBJECT_HEADERS];
        size_t subject_header_count;
        struct vn_str impersonate_url; /* ...:generateAccessToken; empty: none */
        json_t *delegates;             /* an array, or NULL */
        struct vn_gcp_source *via;     /* of an impersonated account: whose token asks */
};

/* any_host: an endpoint stands in for Google's hosts. INVALID_ARGUMENT for a file that is none, FAILED_PRECONDITION for one
 * that cannot be used. */
enum vn_rc vn_gcp_source_parse(struct vn_str text, bool any_host, struct vn_gcp_source **ret,
                               struct vn_err *err) VN_MUST_USE;
struct vn_gcp_source *vn_gcp_source_free(struct vn_gcp_source *source);
VN_DEFINE_AUTO(vn_gcp_source);

/* --- between its files: each keeps the token that it got under `slot` --- */

/* token.c. Without an audience an access token, else an ID token. */
enum vn_rc vn_gcp_key_token(struct vn_cloud *cloud, const struct vn_gcp_source *source, const char *audience,
                            const char *slot, const struct vn_cloud_token **ret, struct vn_err *err) VN_MUST_USE;
/* metadata.c. NOT_FOUND where there is no such server. */
enum vn_rc vn_gcp_metadata_token(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                                 struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_metadata_project(struct vn_cloud *cloud, struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
/* external.c: the exchange of a subject's token. */
enum vn_rc vn_gcp_exchange(struct vn_cloud *cloud, const struct vn_gcp_source *source, const char *slot,
                           const struct vn_cloud_token **ret, struct vn_err *err) VN_MUST_USE;
/* The subject's token in a file's or an answer's text; points into *root or the text. */
enum vn_rc vn_gcp_subject(const struct vn_gcp_source *source, struct vn_str text, json_t **root, struct vn_str *ret,
                          struct vn_err *err) VN_MUST_USE;
/* {access_token, expires_in} */
enum vn_rc vn_gcp_keep_token(struct vn_cloud *cloud, json_t *answer, const char *slot,
                             const struct vn_cloud_token **ret, struct vn_err *err) VN_MUST_USE;

#endif
