/* health.h - grpc.health.v1 on an edge: "" is the whole server, a registered service is as healthy as the whole.
 * Threads: vn_health_changed from any thread; the rest before the start and after the end. Ownership: the edge's. */
#ifndef VANE_NET_HEALTH_H
#define VANE_NET_HEALTH_H

#include "base/err.h"

struct vn_edge;
struct vn_health;

/* Adds its method rows to the edge. */
enum vn_rc vn_health_new(struct vn_edge *edge, struct vn_health **ret, struct vn_err *err) VN_MUST_USE;
/* Tells every watcher, each on its own loop. */
void vn_health_changed(struct vn_health *health);
struct vn_health *vn_health_free(struct vn_health *health);

#endif
