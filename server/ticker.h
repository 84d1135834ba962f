/* ticker.h - what the control loop does by itself: publish views, drive rounds and tuning, forget what is old.
 * Threads: the control loop. Under a sandbox clock the timer is real and what is due is asked of the clock. */
#ifndef VANE_SERVER_TICKER_H
#define VANE_SERVER_TICKER_H

#include "server/server.h"

enum vn_rc vn_ticker_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_ticker_stop(struct vn_server *server);

#endif
