/* aws.h - parts of the AWS side that its files and tests share. Internal to clouds/. */
#ifndef VANE_CLOUDS_AWS_AWS_H
#define VANE_CLOUDS_AWS_AWS_H

#include "clouds/call.h"

enum vn_rc vn_aws_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch,
                            struct vn_err *err) VN_MUST_USE;
/* "SERVICE.REGION.amazonaws.com". */
void vn_aws_host(const struct vn_cloud *cloud, const char *service, char ret[128]);
/* POST / with an X-Amz-Target, as Logs, CloudWatch and Pricing want it. */
enum vn_rc vn_aws_target(struct vn_cloud *cloud, const char *service, const char *host, const char *content_type,
                         const char *target, json_t *body, json_t **ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                         struct vn_cloud_result *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                       int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                          struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err) VN_MUST_USE;

/* Reads one log message: a REPORT line or the JSON form platform.report. NOT_FOUND if it is neither; DATA_LOSS if it
 * is one and cannot be read. Sets durations, memory, status, cold and id_hash; leaves the rest. */
enum vn_rc vn_aws_report_parse(struct vn_str message, struct vn_cloud_invocation *ret) VN_MUST_USE;
enum vn_rc vn_aws_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                        uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                      bool *ret_invoke, struct vn_err *err) VN_MUST_USE;

#endif
