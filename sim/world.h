/* sim/world.h - the simulated world: a platform, its accounts and credentials, and what happened so far.
 * Purpose: what the three clouds' handlers and the control API share.
 * Threads: one at a time. Ownership: vn_sim_free releases all; records and accounts are valid until then or until the
 *   next invocation. Units: microseconds of the process's clock (base/clock.h), USD, MB. */
#ifndef VANE_SIM_WORLD_H
#define VANE_SIM_WORLD_H

#include "base/clock.h"
#include "base/hash.h"
#include "platform/demo.h"
#include "sim/tuning.h"
#include "sim/event.h"
#include "sim/wire.h"

#define VN_SIM_ACCOUNTS VN_DEMO_SITES
#define VN_MAX_SIM_RECORDS 4000000 /* of all deployments; beyond it invocations are refused by their cloud */
#define VN_SIM_KEY_BYTES 32

struct vn_sim_account {
        const char *name;
        enum vn_platform_cloud cloud;
        char region[32];
        char id[40];                                /* AWS account number, Azure subscription, GCP project */
        char key_id[64];                            /* AWS access key id, Azure client id, GCP client_email */
        char secret[72];                            /* AWS secret access key, Azure client secret */
        char tenant[40], workspace[40], app_id[40]; /* Azure */
        char *private_pem, *public_pem;             /* GCP: the service account's key; its id is in `secret` */
        json_t *policy; /* what its identity is allowed (permissions.h); NULL: everything */
};

/* Temporary keys of an AWS role. */
struct vn_sim_session {
        char key_id[24], secret[48], token[64];
        uint32_t account;
        int64_t expires_us;
        bool invoke_role; /* of a role that may only invoke */
        json_t *policy;   /* given when the role was assumed: narrows it further; NULL: none */
};
#define VN_SIM_SESSIONS 64 /* the oldest goes for a new one */

/* One invocation that reached a platform. */
struct vn_sim_record {
        int64_t at_us, end_us; /* arrival at the endpoint's front, end of the run */
        uint32_t payload_bytes;
        uint32_t run_ms_x1000, init_ms_x1000, billed_ms; /* run and init in microseconds, capped at 71 minutes */
        uint16_t memory_mb, used_mb;
        uint8_t status; /* enum vn_platform_status */
        bool cold;
        uint32_t response_bytes;
        uint64_t instance, id;
};

struct vn_sim_lambda; /* sim/aws_lambda.h */
/* The time that a block of records spans, from the first arrival to the last end: what lets a query skip the block. Records
 * stand in the order in which they came, which is not quite that of their times. */
#define VN_SIM_BLOCK 64
struct vn_sim_block {
        int64_t from_us, until_us;
};

struct vn_sim_lambda; /* sim/aws_lambda.h */

struct vn_sim_function {    /* one deployment's control-plane state */
        uint32_t revision;  /* rises with every change, and again when it has settled */
        int64_t changed_us; /* last change */
        int64_t settles_us; /* INT64_MAX: nothing is under way */
        uint32_t looks;     /* how often somebody looked while it is under way */
        uint32_t wanted_mb;
        uint32_t before_mb, before_revision; /* before the latest change: what a stale read shows */
        uint64_t operation;                  /* id of the latest change */
        struct vn_sim_record *records;
        struct vn_sim_block *blocks;
        size_t record_count, record_cap, block_cap;
        /* ledger */
        uint64_t invocations, failed, cold;
        struct vn_platform_cost cost;
        struct vn_sim_tuning tuning;  /* azure, gcp */
        struct vn_sim_lambda *lambda; /* aws: versions, aliases and concurrency; NULL: none yet */
};

struct vn_sim_objects;

struct vn_sim_arrival {
        int64_t at_us;
        uint32_t function, payload_bytes;
};

/* What a real function did with the invocation that is being handled. */
struct vn_sim_real {
        int64_t at_us, run_us;
        uint64_t response_bytes;
        bool failed;
        bool used; /* set when it became an invocation: a limit or an outage may have come first */
};

struct vn_sim {
        const struct vn_clock *clock;
        uint64_t seed;
        struct vn_trace *trace;
        struct vn_price_table prices;
        struct vn_demo *demo;
        struct vn_platform *platform;
        struct vn_sim_account accounts[VN_SIM_ACCOUNTS];
        struct vn_sim_function *functions; /* by deployment */
        uint32_t *names;                   /* hash table of the functions' names: index + 1, 0 is empty */
        size_t name_slots;                 /* a power of two */
        char **real_urls;                  /* by function; NULL: none really runs */
        struct vn_sim_real *real;          /* during a handler's second call for a real function */
        uint8_t token_key[VN_SIM_KEY_BYTES];
        char control_token[2 * VN_SIM_KEY_BYTES + 1];
        struct vn_sim_arrival *arrivals;
        size_t arrival_count, arrival_cap;
        struct vn_injection injections[VN_MAX_PLATFORM_INJECTIONS]; /* for the replays of `alone` */
        size_t injection_count;
        struct vn_sim_event events[VN_MAX_SIM_EVENTS];
        size_t event_count;
        struct vn_sim_keep *keep;  /* NULL: nothing outlives the process */
        char *ca_pem, *ca_key_pem; /* kept; NULL: the server makes its own */
        size_t record_total;
        uint64_t next_id;
        struct vn_sim_identity *identity; /* sim/identity.h; NULL until it is needed */
        struct vn_sim_session sessions[VN_SIM_SESSIONS];
        size_t session_next;
        struct vn_sim_budget writes[VN_SIM_ACCOUNTS]; /* azure, gcp */
        struct vn_sim_objects *objects;               /* sim/objects.h; NULL: none yet */
        uint16_t port[VN_PLATFORM_CLOUDS];            /* 0 in tests without a server */
};

struct vn_sim_texts {
        struct vn_str invocations, durations, memory, functions_prices, aws_tiers, egress;
};
struct vn_sim_options {
        uint64_t seed;
        uint32_t functions; /* wanted in all, a sixth of them in each account; 0: those of the demonstration */
};
/* Makes accounts, keys and deployments. Secrets come from the kernel's random bytes, constants from the seed. */
enum vn_rc vn_sim_new(const struct vn_sim_texts *texts, const struct vn_clock *clock,
                      const struct vn_sim_options *options, struct vn_sim **ret, struct vn_err *err) VN_MUST_USE;
struct vn_sim *vn_sim_free(struct vn_sim *sim);
VN_DEFINE_AUTO(vn_sim);

/* Deployment of a function by its name in an account; UINT32_MAX if there is none. */
uint32_t vn_sim_find(const struct vn_sim *sim, uint32_t account, struct vn_str name);
/* The first record from index `at` on that was under way at some time in [from_us, until_us), its end included; the count of
 * records if there is none. */
size_t vn_sim_next_record(const struct vn_sim_function *function, size_t at, int64_t from_us, int64_t until_us);
const char *vn_sim_function_name(const struct vn_sim *sim, uint32_t deployment);
/* Time of the request: header x-vane-sim-at-us if a driver sends one, else the clock. */
int64_t vn_sim_arrival(const struct vn_sim *sim, const struct vn_sim_request *request);
/* Runs it on the platform, keeps the record, and puts x-vane-sim-elapsed-us into the response. Returns the record;
 * NULL when it was not reached (throttled, outage) or nothing more can be recorded: *outcome says which. */
const struct vn_sim_record *vn_sim_invoke(struct vn_sim *sim, uint32_t deployment,
                                          const struct vn_sim_request *request, struct vn_sim_response *response,
                                          struct vn_platform_outcome *outcome);
/* From now on the function runs at that address, in all accounts: http://127.0.0.1:PORT/PATH (Functions Framework), or
 * lambda+http://127.0.0.1:PORT/NAME (Lambda's invoke call, as serverless-offline has it). This machine only. */
enum vn_rc vn_sim_set_real(struct vn_sim *sim, struct vn_str name, struct vn_str url, struct vn_err *err) VN_MUST_USE;
/* For sim/keep.h: a record of an earlier process. False beyond the maximum, or without memory. */
bool vn_sim_restore_record(struct vn_sim *sim, uint32_t deployment, const struct vn_sim_record *record,
                           const struct vn_platform_outcome *outcome);
/* A JSON text of the wanted size, as the functions answer. */
void vn_sim_payload(const struct vn_platform_outcome *outcome, struct vn_buf *ret);

/* Memory as configured now, and a change of it. A change settles after delay_us of virtual time, or when it has been
 * looked at three times: a sandbox clock may stand still while a client waits. FAILED_PRECONDITION while another
 * change is under way. */
uint32_t vn_sim_revision(const struct vn_sim *sim, uint32_t deployment); /* as a read shows it, maybe stale */
uint32_t vn_sim_memory(const struct vn_sim *sim, uint32_t deployment);
enum vn_rc vn_sim_change(struct vn_sim *sim, uint32_t deployment, uint32_t memory_mb, int64_t delay_us,
                         struct vn_err *err) VN_MUST_USE;
/* True while a change is under way; a look by a client counts, the simulator's own does not. */
bool vn_sim_busy(struct vn_sim *sim, uint32_t deployment, bool look);

/* Sends the recorded arrivals to fresh platforms of the same seed and first sizes: all to one account, or a third of the
 * functions to each cloud. */
struct vn_sim_alone {
        double cost_usd, p95_ms;
        uint64_t failed, invocations;
};
enum vn_rc vn_sim_alone(const struct vn_sim *sim, const uint32_t account_of_third[3], struct vn_sim_alone *ret,
                        struct vn_err *err) VN_MUST_USE;

#endif
