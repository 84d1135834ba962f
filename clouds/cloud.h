/* cloud.h - one interface to functions on AWS Lambda, Azure Functions, GCP Cloud Functions and plain HTTP endpoints.
 * Purpose: list, read, change, invoke, read metrics, logs and prices, with each cloud's own wire API.
 * Threads: a handle is used by one thread at a time; open one handle a thread. Calls block.
 * Ownership: the handle copies its configuration. Arrays handed out are released by the matching _done.
 * Errors: an answer other than success becomes the nearest vn_rc with the cloud's own code in the message:
 *   ABORTED for a lost concurrency guard (AWS 412, Azure and GCP: the configuration is no longer as read),
 *   UNAVAILABLE for 5xx and broken connections, RESOURCE_EXHAUSTED for throttling, UNAUTHENTICATED or
 *   PERMISSION_DENIED for credentials, DATA_LOSS for an answer that cannot be read.
 * Retries: reads on 429, 5xx and broken connections, full jitter, Retry-After obeyed, bounded; a memory change is never
 *   repeated blindly; an invocation is never repeated. */
#ifndef VANE_CLOUDS_CLOUD_H
#define VANE_CLOUDS_CLOUD_H

#include "base/clock.h"
#include "base/str.h"
#include "clouds/transport.h"

enum vn_cloud_kind {
#define CLOUD(id, name) VN_CLOUD_##id,
#include "base/clouds.def"
};
const char *vn_cloud_kind_name(enum vn_cloud_kind kind); /* "aws", ... as in base/clouds.def */
bool vn_cloud_kind_parse(struct vn_str name, enum vn_cloud_kind *ret);

#define VN_CLOUD_NAME_BYTES 128
#define VN_CLOUD_RESOURCE_BYTES 320
#define VN_CLOUD_URL_BYTES 320
#define VN_CLOUD_REGION_BYTES 40
#define VN_CLOUD_GUARD_BYTES 96
#define VN_CLOUD_MAX_FUNCTIONS 10000
#define VN_CLOUD_MAX_PAYLOAD_BYTES (6u << 20)

/* Borrowed texts; empty where a cloud does not need one. */
struct vn_cloud_config {
        enum vn_cloud_kind kind;
        struct vn_str region;                                          /* aws: required; others: a filter, or empty */
        struct vn_str access_key_id, secret_access_key, session_token; /* aws; empty: aws/credentials.h finds them */
        struct vn_str profile;                                         /* aws: of the shared files, instead */
        struct vn_str tenant, client_id, client_secret, subscription;  /* azure; see azure/credentials.h */
        struct vn_str client_certificate_file; /* azure: instead of a secret; read each time */
        struct vn_str workspace;               /* azure: Log Analytics workspace whose AppRequests are read; or */
        struct vn_str app_id;                  /* azure: the Application Insights app whose requests are read */
        struct vn_str key_json;       /* gcp: content of a credential file; empty: gcp/credentials.h finds one */
        struct vn_str project;        /* gcp: empty takes the file's, or the metadata server's */
        struct vn_str grant_role_arn; /* aws: the role whose sessions are invoke grants; empty: none can be made */
        struct vn_str functions_file; /* http: which functions there are, and what they cost */
        struct vn_str token_file;     /* http: a bearer token, read anew for each call; empty: none */
        struct vn_str log_file;       /* http: the access log, JSON lines; empty: none */
        struct vn_str endpoint;       /* https://host:port that stands in for all of the cloud's hosts */
        struct vn_str functions_endpoint; /* the same for functions' own hosts; empty: endpoint */
        uint32_t calls_per_hour;          /* that observing may make; 0: VN_CLOUD_CALLS_PER_HOUR of clouds/budget.h */
};
/* Reads the members of one account object (as in vane-sim's ready file): cloud, region, access_key_id, ... INVALID_ARGUMENT for
 * an unknown cloud or calls_per_hour out of range. */
struct json_t;
enum vn_rc vn_cloud_config_from_json(const struct json_t *account, struct vn_cloud_config *ret,
                                     struct vn_err *err) VN_MUST_USE;

struct vn_cloud;
/* clock and transport must outlive the handle. Nothing is sent yet. */
enum vn_rc vn_cloud_open(const struct vn_cloud_config *config, const struct vn_clock *clock,
                         const struct vn_cloud_transport *transport, struct vn_cloud **ret,
                         struct vn_err *err) VN_MUST_USE;
struct vn_cloud *vn_cloud_free(struct vn_cloud *cloud);
enum vn_cloud_kind vn_cloud_kind(const struct vn_cloud *cloud);
uint64_t vn_cloud_call_count(const struct vn_cloud *cloud); /* HTTP requests sent since open */

#define VN_CLOUD_MAX_CHOICES 12
struct vn_cloud_function {
        char name[VN_CLOUD_NAME_BYTES]; /* aws FunctionName; gcp last part; azure site name, or site.function */
        char region[VN_CLOUD_REGION_BYTES];
        char resource[VN_CLOUD_RESOURCE_BYTES]; /* ARN, ARM id of the site, projects/P/locations/L/functions/F */
        char runtime[32];
        char url[VN_CLOUD_URL_BYTES];     /* empty on aws: invoked by API */
        char guard[VN_CLOUD_GUARD_BYTES]; /* RevisionId; hash of the site as read; updateTime. Empty after a list */
        uint32_t memory_mb, timeout_s;
        uint32_t milli_vcpu;     /* gcp, whose bill it is part of; 0: not told */
        uint32_t concurrency;    /* requests an instance takes at once; 0: not known */
        uint32_t max_instances;  /* 0: not known, or no limit of its own */
        uint32_t warm_instances; /* kept ready and paid for: provisioned, always ready, minimum */
        bool memory_tunable;
        bool busy;                                        /* a change is still being carried out */
        uint32_t memory_choices_mb[VN_CLOUD_MAX_CHOICES]; /* none: any whole MB from min to max */
        size_t memory_choice_count;
        uint32_t memory_min_mb, memory_max_mb;
};
struct vn_cloud_list {
        struct vn_cloud_function *functions;
        size_t count, cap;
        char (*unreachable)[VN_CLOUD_REGION_BYTES]; /* what did not answer: locations, "page 2", "site NAME" */
        size_t unreachable_count;
        bool complete; /* nothing missing and no limit reached */
};
enum vn_rc vn_cloud_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err) VN_MUST_USE;
void vn_cloud_list_done(struct vn_cloud_list *list);

/* `which` needs only what a list gave: name, region, resource. */
enum vn_rc vn_cloud_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                         struct vn_err *err) VN_MUST_USE;

/* What can be changed about a function. A setting that its cloud or plan does not have is FAILED_PRECONDITION. */
enum vn_cloud_setting {
        VN_SETTING_MEMORY_MB,
        VN_SETTING_CONCURRENCY,    /* requests that one instance takes at once */
        VN_SETTING_MAX_INSTANCES,  /* aws: reserved concurrency; azure: maximumInstanceCount; gcp: maxInstanceCount */
        VN_SETTING_WARM_INSTANCES, /* aws: provisioned concurrency; azure: always ready; gcp: minInstanceCount */
};
const char *vn_cloud_setting_name(enum vn_cloud_setting setting); /* "memory_mb", "concurrency", ... */
/* Changes one setting only if the configuration is still as `as_read` (its guard), waits until the cloud has carried it
 * out (at most max_wait_us of real time; DEADLINE_EXCEEDED then), and gives the new configuration with a new guard. Sent
 * again after a lost answer it changes nothing twice. To undo: the same call with the value of `as_read`; 0 takes a limit or
 * the warm instances away. */
enum vn_rc vn_cloud_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                           enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                           struct vn_cloud_function *ret, struct vn_err *err) VN_MUST_USE;

/* How calls are divided over a function's versions: an AWS alias, GCP (Cloud Run) revisions, Azure slots. */
#define VN_CLOUD_MAX_SHARES 8
struct vn_cloud_share {
        char version[VN_CLOUD_NAME_BYTES]; /* version number, revision name, slot name ("production") */
        uint32_t per_mille;
};
struct vn_cloud_split {
        char alias[VN_CLOUD_NAME_BYTES];  /* aws: which alias; elsewhere empty */
        char guard[VN_CLOUD_GUARD_BYTES]; /* RevisionId of the alias, etag of the service, hash of the slots' rules */
        struct vn_cloud_share shares[VN_CLOUD_MAX_SHARES]; /* sum 1000 */
        size_t count;
};
/* `alias` empty on AWS: the first alias that has one version or more. FAILED_PRECONDITION where a plan has no versions, and
 * the message says which plan that is. */
enum vn_rc vn_cloud_read_split(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str alias,
                               struct vn_cloud_split *ret, struct vn_err *err) VN_MUST_USE;
/* Sets the shares of `wanted` (its alias and guard are those of a read); guarded, polled and repeatable as above. */
enum vn_rc vn_cloud_set_split(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                              const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                              struct vn_err *err) VN_MUST_USE;

struct vn_cloud_result {
        int http_status;
        bool function_error; /* the function itself failed (its code, memory or time-out) */
        bool throttled;      /* the platform refused to start it */
        bool timed_out;
        int64_t duration_us, billed_us, init_us; /* -1: the cloud does not say */
        uint32_t max_memory_mb;                  /* 0: the cloud does not say */
        struct vn_cloud_response response;       /* body and headers as received */
};
/* OK whenever the cloud answered about the call, even with an error of the function or a throttle. */
enum vn_rc vn_cloud_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                           struct vn_cloud_result *ret, struct vn_err *err) VN_MUST_USE;
/* Hands the payload to the cloud's own queue and does not wait for the run: http_status and the request's id only.
 * FAILED_PRECONDITION where the cloud has no such call (functions that are called by HTTP). */
enum vn_rc vn_cloud_invoke_async(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                                 struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err) VN_MUST_USE;
/* Sent with each invocation from now on (a trace context, the sandbox's arrival time); borrowed; empty name: none. */
void vn_cloud_set_invoke_header(struct vn_cloud *cloud, struct vn_str name, struct vn_str value);
void vn_cloud_result_done(struct vn_cloud_result *result);

/* One cheap call that needs the account's credentials: do they work, whose are they, how far away is the service? */
struct vn_cloud_health {
        char identity[VN_CLOUD_RESOURCE_BYTES]; /* as the cloud names it: an ARN, a subscription, a project */
        int64_t round_trip_us, clock_offset_us; /* the service's clock minus ours */
};
enum vn_rc vn_cloud_health(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err) VN_MUST_USE;

#endif
