/* aws.h - parts of the AWS side that its files and tests share. Internal to clouds/.
 * Requests that an operation sends, credentials and retries aside: list 1 for 50 functions; read 3 (configuration, reserved and
 *   provisioned concurrency); memory 1, and 1 a look; reserved concurrency 2 before and 2 after the change; provisioned
 *   concurrency 2 before (3 where there is none yet), 1, 1 a look, 1 after it; read a split 1; set one 1; invoke 1; health 1;
 *   logs 1 a page; metrics 1; prices 1 a page. */
#ifndef VANE_CLOUDS_AWS_AWS_H
#define VANE_CLOUDS_AWS_AWS_H

#include "clouds/call.h"

#define VN_AWS_S3 "s3" /* as audience of a call */

enum vn_rc vn_aws_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                            struct vn_cloud_request *request, struct vn_arena *scratch,
                            struct vn_err *err) VN_MUST_USE;
/* "SERVICE.REGION.amazonaws.com". */
void vn_aws_host(const struct vn_cloud *cloud, const char *service, char ret[128]);
/* POST / with an X-Amz-Target, as Logs, CloudWatch and Pricing want it. */
enum vn_rc vn_aws_target(struct vn_cloud *cloud, const char *service, const char *host, const char *content_type,
                         const char *target, json_t *body, json_t **ret, struct vn_err *err) VN_MUST_USE;
/* A call of Lambda's about one function; anything but a GET is sent once. */
#define VN_LAMBDA_2015 "2015-03-31"
#define VN_LAMBDA_2017 "2017-10-31"
#define VN_LAMBDA_2019 "2019-09-30"
struct vn_aws_lambda_call {
        const char *method, *version, *function, *what; /* "configuration", "aliases", ... */
        struct vn_str item;                             /* of `what`; empty: none */
        struct vn_str query, body;
};
enum vn_rc vn_aws_lambda(struct vn_cloud *cloud, const struct vn_aws_lambda_call *call, json_t **ret,
                         struct vn_err *err) VN_MUST_USE;
/* Without the two concurrencies. */
enum vn_rc vn_aws_configuration(struct vn_cloud *cloud, const char *name, struct vn_cloud_function *ret,
                                struct vn_err *err) VN_MUST_USE;

/* scaling.c: max_instances is reserved concurrency, warm_instances all provisioned concurrency together. */
enum vn_rc vn_aws_read_scaling(struct vn_cloud *cloud, struct vn_cloud_function *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_set_reserved(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t value,
                               int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_set_warm(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t value,
                           int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err) VN_MUST_USE;

/* alias.c */
enum vn_rc vn_aws_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                             struct vn_cloud_split *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                            const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                            struct vn_err *err) VN_MUST_USE;
/* The first alias of a published version, which alone may have provisioned concurrency. FAILED_PRECONDITION: there is none. */
enum vn_rc vn_aws_published_alias(struct vn_cloud *cloud, const char *function, char ret[VN_CLOUD_NAME_BYTES],
                                  struct vn_err *err) VN_MUST_USE;

enum vn_rc vn_aws_health(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_invoke_async(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                               struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                         struct vn_cloud_result *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                       int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                        int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                          struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object,
                             struct vn_cloud_response *ret, struct vn_err *err) VN_MUST_USE;

/* A page of what a function's log holds; pattern NULL: everything. An empty page with a token means: go on. */
struct vn_aws_log_range {
        const struct vn_cloud_function *function;
        int64_t from_us, to_us;
        const char *pattern;
};
enum vn_rc vn_aws_log_page(struct vn_cloud *cloud, const struct vn_aws_log_range *range, struct vn_buf *token,
                           json_t **ret, struct vn_err *err) VN_MUST_USE;
bool vn_aws_no_log(enum vn_rc rc, const struct vn_err *err); /* a function that never ran has no log group */
struct vn_str vn_aws_instance_of(struct vn_str stream);      /* borrows */

/* Reads one log message: a REPORT line or the JSON form platform.report. NOT_FOUND if it is neither; DATA_LOSS if it
 * is one and cannot be read. Sets durations, memory, status, cold and id_hash; leaves the rest. */
enum vn_rc vn_aws_report_parse(struct vn_str message, struct vn_cloud_invocation *ret) VN_MUST_USE;
enum vn_rc vn_aws_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                        uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_aws_may(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                      bool *ret_invoke, struct vn_err *err) VN_MUST_USE;

#endif
