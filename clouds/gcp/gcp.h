/* gcp.h - parts of the GCP side that its files share. Internal to clouds/. */
#ifndef VANE_CLOUDS_GCP_GCP_H
#define VANE_CLOUDS_GCP_GCP_H

#include "clouds/call.h"

enum vn_rc vn_gcp_open(struct vn_cloud *cloud, struct vn_err *err) VN_MUST_USE; /* reads the key file */
enum vn_rc vn_gcp_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch,
                            struct vn_err *err) VN_MUST_USE;
/* A token fetched now: for ID tokens of that audience, not for calls of this handle. */
enum vn_rc vn_gcp_id_token(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                           struct vn_err *err) VN_MUST_USE;
/* Appends one signed JWT (RS256): for an access token with scope, for an ID token with target_audience. */
enum vn_rc vn_gcp_jwt(const char *email, const char *key_pem, const char *token_uri, const char *target_audience,
                      int64_t now_us, struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_call(struct vn_cloud *cloud, const char *method, const char *host, struct vn_str path,
                       struct vn_str query, json_t *body, bool once, json_t **ret, struct vn_err *err) VN_MUST_USE;
/* A Kubernetes quantity as Cloud Functions writes memory ("256M", "512Mi", "1Gi"): 0 if it is none. */
uint32_t vn_gcp_memory_mb(struct vn_str quantity);
enum vn_rc vn_gcp_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                       int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                          struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                        uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                      bool *ret_invoke, struct vn_err *err) VN_MUST_USE;

#endif
