/* interop_service.h - grpc.testing.TestService as method rows; also over HTTP/JSON, where the judges look at the edge's
 * JSON side. Threads: the edge's loops; no shared state. */
#ifndef VANE_TESTS_INTEROP_SERVICE_H
#define VANE_TESTS_INTEROP_SERVICE_H

#include "net/service.h"

extern const struct vn_method interop_rows[];
extern const size_t interop_row_count;

#endif
