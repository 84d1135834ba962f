/* http.h - functions behind plain HTTP endpoints: Knative services, containers, a machine in the cellar.
 * Purpose: internal to clouds/. There is no control plane to ask, so the account states what there is (functions_file, read
 *   anew for each list) and how it is told (log_file); nothing can be changed.
 * Threads, ownership: as the handle's. Format of both files: docs/adding-a-cloud.md. */
#ifndef VANE_CLOUDS_HTTP_HTTP_H
#define VANE_CLOUDS_HTTP_HTTP_H

#include "clouds/call.h"

#define VN_HTTP_MAX_FILE_BYTES (4u << 20)
#define VN_HTTP_MAX_LOG_BYTES (64u << 20) /* of the log's end that a read looks at */

enum vn_rc vn_http_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                        int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err) VN_MUST_USE;
/* One line of the log; NOT_FOUND: of no use here (another function, not an invocation). */
enum vn_rc vn_http_log_line(struct vn_str line, struct vn_cloud_invocation *ret) VN_MUST_USE;

#endif
