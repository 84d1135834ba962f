/* gcp.h - parts of the GCP side that its files share. Internal to clouds/. */
#ifndef VANE_CLOUDS_GCP_GCP_H
#define VANE_CLOUDS_GCP_GCP_H

#include "clouds/call.h"

#define VN_GCP_SCOPE "https://www.googleapis.com/auth/cloud-platform"
#define VN_GCP_LIFE_S 3600

enum vn_rc vn_gcp_open(struct vn_cloud *cloud,
                       struct vn_err *err) VN_MUST_USE; /* reads the key file that it is given */
enum vn_rc vn_gcp_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch,
                            struct vn_err *err) VN_MUST_USE;
/* Fills config.project where the description has none: the credential file's, GOOGLE_CLOUD_PROJECT, or the metadata server's. */
enum vn_rc vn_gcp_need_project(struct vn_cloud *cloud, struct vn_err *err) VN_MUST_USE;
void vn_gcp_close(struct vn_cloud *cloud);
/* A token fetched now: for ID tokens of that audience, not for calls of this handle. */
enum vn_rc vn_gcp_id_token(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                           struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_call(struct vn_cloud *cloud, const char *method, const char *host, struct vn_str path,
                       struct vn_str query, json_t *body, bool once, json_t **ret, struct vn_err *err) VN_MUST_USE;
#define VN_GCP_FUNCTIONS_HOST "cloudfunctions.googleapis.com"
#define VN_GCP_RUN_HOST "run.googleapis.com"
/* Whether a member holds an enum's value, by its name or by its number: Google's services write either. */
bool vn_gcp_enum_is(json_t *item, const char *member, const char *name, int number);
enum vn_rc vn_gcp_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                       struct vn_err *err) VN_MUST_USE;
/* Follows a long-running operation of `host` to its end; *operation is replaced by its later states. */
enum vn_rc vn_gcp_follow(struct vn_cloud *cloud, const char *host, json_t **operation, int64_t max_wait_us,
                         struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                         enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                         struct vn_cloud_function *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                             struct vn_cloud_split *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                            const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                            struct vn_err *err) VN_MUST_USE;
/* A Kubernetes quantity as Cloud Functions writes memory ("256M", "512Mi", "1Gi"): 0 if it is none. */
uint32_t vn_gcp_memory_mb(struct vn_str quantity);
enum vn_rc vn_gcp_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                       int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                        int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                          struct vn_err *err) VN_MUST_USE;
/* One page of entries:list; the token is read and set anew. */
enum vn_rc vn_gcp_log_page(struct vn_cloud *cloud, const char *filter, struct vn_buf *token, json_t **ret,
                           struct vn_err *err) VN_MUST_USE;
/* A quantile of a Cloud Monitoring distribution, in its unit: linear, exponential or explicit buckets, interpolated within
 * one; 0 for an empty one. DATA_LOSS for what is no distribution. */
enum vn_rc vn_gcp_distribution_quantile(json_t *distribution, double q, double *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object,
                             struct vn_cloud_response *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                        uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_gcp_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                      bool *ret_invoke, struct vn_err *err) VN_MUST_USE;

#endif
