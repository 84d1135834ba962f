/* azure.h - parts of the Azure side that its files share. Internal to clouds/. */
#ifndef VANE_CLOUDS_AZURE_AZURE_H
#define VANE_CLOUDS_AZURE_AZURE_H

#include "clouds/call.h"

#define VN_AZURE_ARM_SCOPE "https://management.azure.com/.default"
#define VN_AZURE_ARM_HOST "management.azure.com"
/* An audience that starts so is a site's resource id whose host key opens its functions. */
#define VN_AZURE_KEY_AUDIENCE "key:"

enum vn_rc vn_azure_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                              struct vn_cloud_request *request, struct vn_arena *scratch,
                              struct vn_err *err) VN_MUST_USE;
/* One ARM call on a resource path; body NULL for none. */
enum vn_rc vn_azure_arm(struct vn_cloud *cloud, const char *method, struct vn_str path, struct vn_str query,
                        json_t *body, struct vn_cloud_response *response, json_t **ret,
                        struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                           enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                           struct vn_cloud_function *ret, struct vn_err *err) VN_MUST_USE;
/* The site as ARM has it, and the hash that serves as its guard. */
enum vn_rc vn_azure_get_site(struct vn_cloud *cloud, const char *resource, json_t **ret,
                             char ret_guard[VN_CLOUD_GUARD_BYTES], struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                         struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                         int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                            int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                            struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err) VN_MUST_USE;

#define VN_AZURE_API VN_STR("api-version=2024-04-01")
enum vn_rc vn_azure_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                          uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                        bool *ret_invoke, struct vn_err *err) VN_MUST_USE;

#endif
