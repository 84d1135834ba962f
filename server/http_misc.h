/* http_misc.h - /metrics, and everything else over plain HTTP that has no page: the log's tiles and export.
 * Threads: handlers run on edge loops. */
#ifndef VANE_SERVER_HTTP_MISC_H
#define VANE_SERVER_HTTP_MISC_H

#include "server/server.h"

enum vn_rc vn_http_misc_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;

#endif
