/* fleet.h - invokes functions in many cloud accounts at once, one worker thread an account.
 * Purpose: the load driver's hands. An account's calls are sent in the order of submission over one kept connection,
 *   so that the simulator sees its arrivals in the order of virtual time.
 * Threads: open, start, submit, take and free from one thread (the driver); workers are inside.
 * Ownership: a job belongs to the driver; between submit and take the fleet has it. */
#ifndef VANE_CLIENT_FLEET_H
#define VANE_CLIENT_FLEET_H

#include "base/clock.h"
#include "base/mem.h"

#define VN_FLEET_MAX_ACCOUNTS 64
#define VN_FLEET_MAX_PAYLOAD_BYTES (1u << 20)

enum vn_fleet_status { VN_FLEET_OK, VN_FLEET_ERROR, VN_FLEET_THROTTLED, VN_FLEET_TIMEOUT, VN_FLEET_UNREACHED };
#define VN_FLEET_STATUSES 5

struct vn_fleet_job {
        /* in */
        uint32_t account; /* index */
        char function[128];
        int64_t at_us; /* virtual time of arrival */
        uint32_t payload_bytes;
        /* out */
        enum vn_fleet_status status;
        int64_t elapsed_us; /* virtual: what the simulator says the call took; never below 1 ms */
        uint32_t response_bytes;
        char problem[160]; /* why it was not OK */
        /* the fleet's */
        struct vn_fleet_job *next;
};

struct vn_fleet;
/* Reads the simulator's ready file: {"aws":{"endpoint","ca_file","accounts":[{"name",...}]},"azure":...,"gcp":...}. */
enum vn_rc vn_fleet_open(const char *sim_file, const struct vn_clock *clock, struct vn_fleet **ret,
                         struct vn_err *err) VN_MUST_USE;
/* Starts the workers; each lists its account's functions first. Waits for all of them. */
enum vn_rc vn_fleet_start(struct vn_fleet *fleet, struct vn_err *err) VN_MUST_USE;
struct vn_fleet *vn_fleet_free(struct vn_fleet *fleet); /* jobs that are still inside are dropped */
VN_DEFINE_AUTO(vn_fleet);

size_t vn_fleet_accounts(const struct vn_fleet *fleet);
const char *vn_fleet_account_name(const struct vn_fleet *fleet, uint32_t account);
const char *vn_fleet_account_cloud(const struct vn_fleet *fleet, uint32_t account);
uint32_t vn_fleet_find(const struct vn_fleet *fleet, const char *name); /* UINT32_MAX: none */

void vn_fleet_submit(struct vn_fleet *fleet, struct vn_fleet_job *job);
/* All jobs done since the last take, as a list; waits up to wait_us (real time) for the first one. */
struct vn_fleet_job *vn_fleet_take(struct vn_fleet *fleet, int64_t wait_us);

#endif
