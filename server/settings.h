/* settings.h - vaned's file, read through config.def.
 * Threads: load at start; reload on the main thread, published by the control loop. */
#ifndef VANE_SERVER_SETTINGS_H
#define VANE_SERVER_SETTINGS_H

#include "base/config.h"
#include "server/server.h"

extern const struct vn_config_row vn_settings_rows[];
extern const size_t vn_settings_row_count;
enum vn_rc vn_settings_load(const char *path, struct vn_server_config *ret, struct vn_err *err) VN_MUST_USE;
/* On SIGHUP: all or nothing; what is wrong is said on stderr. Always true: the server goes on.
 * last: the main thread's copy of what is in force; server->config is the control loop's, and may be a turn behind. */
bool vn_settings_reload(const char *path, struct vn_server_config *last, struct vn_server *server);

#endif
