/* pulse.h - a sign of life while the main thread waits for a slow cloud.
 * Purpose: an agent whose cloud answers slowly is not gone; without this its whole account would be taken off the routes.
 * Threads: one of its own; vn_pulse_* from the main thread. It falls silent when the main thread has not called vn_pulse_turn
 *   for five minutes: then the agent is stuck, and the server shall see it.
 * Ownership: borrows the channel until stop. */
#ifndef VANE_AGENTS_PULSE_H
#define VANE_AGENTS_PULSE_H

#include "net/grpc_client.h"

struct vn_pulse;
enum vn_rc vn_pulse_new(struct vn_pulse **ret, struct vn_err *err) VN_MUST_USE;
struct vn_pulse *vn_pulse_free(struct vn_pulse *pulse);
enum vn_rc vn_pulse_start(struct vn_pulse *pulse, struct vn_grpc_channel *channel, struct vn_err *err) VN_MUST_USE;
void vn_pulse_stop(struct vn_pulse *pulse);
void vn_pulse_turn(struct vn_pulse *pulse); /* the main thread comes round */

#endif
