/* net/openapi.h - the OpenAPI 3.1 document of a method table.
 * Purpose: /openapi.json is made from the rows that the edge dispatches by, so it cannot tell another story.
 * Threads: any; pure. Ownership: the caller's buffer. Rows without a verb (gRPC only) are left out.
 * Errors: RESOURCE_EXHAUSTED if the buffer is too small; INVALID_ARGUMENT for a path variable that is no field. */
#ifndef VANE_NET_OPENAPI_H
#define VANE_NET_OPENAPI_H

#include "net/service.h"

enum vn_rc vn_openapi_print(const struct vn_method *rows, size_t count, const char *title, const char *version,
                            struct vn_buf *out, struct vn_err *err) VN_MUST_USE;

#endif
