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
/* --- sites (site.c) --- */
enum vn_azure_plan { VN_AZURE_CONSUMPTION, VN_AZURE_FLEX, VN_AZURE_PREMIUM, VN_AZURE_DEDICATED };
const char *vn_azure_plan_name(enum vn_azure_plan plan); /* "Flex Consumption", ... */
/* A site as ARM has it, with the hash that serves as its guard. */
struct vn_azure_site {
        json_t *site, *web; /* web: config/web; NULL on Flex, where nothing of it is tuned */
        enum vn_azure_plan plan;
        char guard[VN_CLOUD_GUARD_BYTES];
};
typedef struct vn_azure_site vn_azure_site_auto;
static inline void vn_azure_site_cleanup(struct vn_azure_site *site)
{
        json_decref(site->site);
        json_decref(site->web);
}
enum vn_rc vn_azure_site_get(struct vn_cloud *cloud, const char *resource, struct vn_azure_site *ret,
                             struct vn_err *err) VN_MUST_USE;
/* What hangs below a site: "config/web", "slots", ...; body NULL for none. */
enum vn_rc vn_azure_below(struct vn_cloud *cloud, const char *method, const char *resource, const char *child,
                          json_t *body, json_t **ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_hash(json_t *parts, char ret[VN_CLOUD_GUARD_BYTES], struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                         struct vn_err *err) VN_MUST_USE;
/* --- slots (split.c) --- */
enum vn_rc vn_azure_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                               struct vn_cloud_split *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                              const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                              struct vn_err *err) VN_MUST_USE;
/* --- what is told about the past (observe.c, prices.c) --- */
enum vn_rc vn_azure_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                         int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                            int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                            struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object,
                               struct vn_cloud_response *ret, struct vn_err *err) VN_MUST_USE;

/* Runs a query on the account's workspace, or on its Application Insights where it names no workspace. */
enum vn_rc vn_azure_kql(struct vn_cloud *cloud, struct vn_str query, json_t **ret, struct vn_err *err) VN_MUST_USE;
struct vn_str vn_azure_role_of(const struct vn_cloud_function *function); /* cloud_RoleName; borrows */

#define VN_AZURE_API VN_STR("api-version=2024-04-01")
enum vn_rc vn_azure_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                          uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_azure_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                        bool *ret_invoke, struct vn_err *err) VN_MUST_USE;

#endif
