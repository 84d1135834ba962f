/* sim/serve.h - puts the simulator's handlers on TLS listeners and writes its ready file.
 * Threads: the handlers all run on one edge loop. Ownership: the server keeps sim until it is freed. */
#ifndef VANE_SIM_SERVE_H
#define VANE_SIM_SERVE_H

#include "sim/world.h"

struct vn_sim_server;
/* Listens on 127.0.0.1: five ports from port_base on (aws, azure, gcp, control and, without TLS, the
 * endpoints of the host), or any free ones for 0. Makes a CA, writes
 * DIR/ca.pem, the service accounts' key files and, last, DIR/sim.json (mode 0600: it holds credentials). */
enum vn_rc vn_sim_server_start(struct vn_sim *sim, const char *dir, uint16_t port_base, struct vn_sim_server **ret,
                               struct vn_err *err) VN_MUST_USE;
struct vn_sim_server *vn_sim_server_free(struct vn_sim_server *server); /* drains first */

#endif
