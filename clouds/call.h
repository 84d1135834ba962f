/* call.h - what the three clouds share below cloud.h: the handle, one authorised call with retries, tokens, JSON picks.
 * Purpose: internal to clouds/. Threads, ownership: as the handle's. */
#ifndef VANE_CLOUDS_CALL_H
#define VANE_CLOUDS_CALL_H

#include "base/hash.h"
#include "base/mem.h"
#include "clouds/budget.h"
#include "clouds/pick.h"

struct vn_cloud_object;
struct vn_cloud_ops;
struct vn_cloud_grant;
struct vn_cloud_token {
        char audience[VN_CLOUD_URL_BYTES];
        char *text;
        size_t len;
        int64_t expires_us;
        int64_t ask_again_us; /* not fetched anew before, while this one holds */
};
#define VN_AWS_METRICS_ASKED 3 /* by one GetMetricData of aws/observe.c */
#define VN_CLOUD_MAX_TOKENS 128
#define VN_CLOUD_MAX_SEEN 8192 /* instances remembered for cold-start inference */

struct vn_cloud {
        struct vn_cloud_config config; /* texts in the arena */
        struct vn_arena arena;
        const struct vn_clock *clock;
        const struct vn_cloud_transport *transport;
        const struct vn_cloud_ops *ops;
        struct vn_rng rng;
        uint64_t calls;
        bool write_late; /* the answer to the last write did not come in time */
        struct vn_budget budget;
        int64_t clock_offset_us; /* aws: the service's clock minus ours, learnt from a refused signature */
        struct vn_cloud_token tokens[VN_CLOUD_MAX_TOKENS];
        size_t token_count;
        uint64_t *seen; /* open addressing by hash, 0 is free */
        size_t seen_count;
        struct vn_cloud_header invoke_header; /* borrowed from the caller */
        struct vn_aws_session *aws;           /* aws/credentials.h; NULL: not asked for yet */
        bool host_answered;                   /* an endpoint of this host that gives tokens is there: identity.h */
        struct vn_gcp_source *gcp;            /* gcp/credentials.h; the same */
};

struct vn_call {
        const char *method;
        const char *host; /* the cloud's own; the configured endpoint takes its place */
        struct vn_str path, query;
        struct vn_str body;
        const char *content_type; /* NULL: none */
        struct vn_cloud_header extra[6];
        size_t extra_count;
        const char
                *audience; /* aws: signing name; azure: scope; gcp: NULL access token, else the ID token's audience */
        bool function_host; /* host is a function's own: keep it in Host when an endpoint stands in */
        bool plain;         /* http:// to this machine itself; the transport refuses it elsewhere */
        bool anonymous;     /* no credentials */
        bool once;          /* never repeat */
        int64_t timeout_us; /* 0: 30 s */
};

/* A cloud is one row of this: a NULL operation is one that it does not have (FAILED_PRECONDITION). */
struct vn_cloud_ops {
        const char *name; /* as in cloud.json */
        /* Checks the configuration and takes from it what the handle keeps; nothing is sent. */
        enum vn_rc (*open)(struct vn_cloud *cloud, struct vn_err *err);
        void (*close)(struct vn_cloud *cloud); /* NULL: nothing of its own */
        /* Adds credentials to the request; texts that it makes live in `scratch` until the request is sent. */
        enum vn_rc (*authorize)(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                                struct vn_cloud_request *request, struct vn_arena *scratch, struct vn_err *err);
        enum vn_rc (*list)(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err);
        enum vn_rc (*read)(struct vn_cloud *cloud, const struct vn_cloud_function *which,
                           struct vn_cloud_function *ret, struct vn_err *err);
        enum vn_rc (*change)(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                             enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                             struct vn_cloud_function *ret, struct vn_err *err);
        enum vn_rc (*read_split)(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                                 struct vn_str alias, struct vn_cloud_split *ret, struct vn_err *err);
        enum vn_rc (*set_split)(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                                const struct vn_cloud_split *wanted, int64_t max_wait_us, struct vn_cloud_split *ret,
                                struct vn_err *err);
        enum vn_rc (*invoke)(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                             struct vn_cloud_result *ret, struct vn_err *err);
        enum vn_rc (*invoke_async)(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                                   struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err);
        enum vn_rc (*health)(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err);
        /* Whether memory may be changed and functions be invoked; see vn_cloud_abilities. */
        enum vn_rc (*may)(struct vn_cloud *cloud, const struct vn_cloud_function *function, bool *ret_change,
                          bool *ret_invoke, struct vn_err *err);
        /* Appends to ret->secret; see grant.h. */
        enum vn_rc (*grant)(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                            uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err);
        enum vn_rc (*logs)(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                           int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err);
        enum vn_rc (*lines)(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                            int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err);
        enum vn_rc (*metrics)(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                              int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                              struct vn_err *err);
        enum vn_rc (*prices)(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err);
        /* Sends it and gives the answer of whatever status; the texts of `object` are checked. */
        enum vn_rc (*put_object)(struct vn_cloud *cloud, const struct vn_cloud_object *object,
                                 struct vn_cloud_response *ret, struct vn_err *err);
};
extern const struct vn_cloud_ops vn_aws_ops, vn_azure_ops, vn_gcp_ops, vn_http_ops;

/* INVALID_ARGUMENT that names the member of the account which is missing. */
enum vn_rc vn_account_need(struct vn_str text, const char *what, struct vn_err *err) VN_MUST_USE;
/* Sends and gives the answer of whatever status; retries unless `once`. */
enum vn_rc vn_cloud_send(struct vn_cloud *cloud, const struct vn_call *call, struct vn_cloud_response *ret,
                         struct vn_err *err) VN_MUST_USE;
/* The same, but a status other than 2xx becomes an error, and the body is parsed (an empty one gives an empty object). */
enum vn_rc vn_call_json(struct vn_cloud *cloud, const struct vn_call *call, struct vn_cloud_response *response,
                        json_t **ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_call_error(struct vn_cloud *cloud, const struct vn_cloud_response *response,
                         struct vn_err *err) VN_MUST_USE;
/* The service's code of an error answer ("PreconditionFailedException"); empty text if there is none. */
void vn_call_error_code(const struct vn_cloud_response *response, char ret[64]);

bool vn_request_header(struct vn_cloud_request *request, struct vn_str name, struct vn_str value);
/* Cached until five minutes before its end by the handle's clock; NULL: must be fetched. */
const struct vn_cloud_token *vn_token_find(struct vn_cloud *cloud, const char *audience);
enum vn_rc vn_token_store(struct vn_cloud *cloud, const char *audience, struct vn_str text, int64_t expires_us,
                          const struct vn_cloud_token **ret, struct vn_err *err) VN_MUST_USE;
typedef enum vn_rc (*vn_token_fetch)(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                                     struct vn_err *err);
/* The cached one, or a new one. While whoever gives them is away the old one serves to its end, with a minute between
 * attempts; a refusal is told at once. */
enum vn_rc vn_token_get(struct vn_cloud *cloud, const char *audience, vn_token_fetch fetch,
                        const struct vn_cloud_token **ret, struct vn_err *err) VN_MUST_USE;
void vn_token_drop(struct vn_cloud *cloud, const char *audience);
void vn_invoke_header(const struct vn_cloud *cloud, struct vn_call *call);
enum vn_rc vn_bearer(struct vn_cloud_request *request, struct vn_arena *scratch, const struct vn_cloud_token *token,
                     struct vn_err *err) VN_MUST_USE;

/* Path and query of an absolute link that a service gave; its host is not followed: credentials go to our own only. */
enum vn_rc vn_link_split(struct vn_str link, struct vn_str *ret_host, struct vn_str *ret_path,
                         struct vn_str *ret_query, struct vn_err *err) VN_MUST_USE;
/* What an HTTP status of a function's own host means (azure, gcp); other refusals become errors. */
enum vn_rc vn_function_status(struct vn_cloud *cloud, struct vn_cloud_result *ret, struct vn_err *err) VN_MUST_USE;
/* Waits between two looks at a running operation; false when max_wait_us is used up. */
struct vn_wait {
        int64_t pause_us, waited_us, max_us;
};
bool vn_wait_more(struct vn_cloud *cloud, struct vn_wait *wait, const struct vn_cloud_response *hint);
/* What a setting of the function is now. */
uint32_t vn_setting_value(const struct vn_cloud_function *function, enum vn_cloud_setting setting);
bool vn_split_same(const struct vn_cloud_split *a, const struct vn_cloud_split *b);
/* From the answer to a call that was sent at start_us: round trip, and the service's clock by its Date, which is whole
 * seconds: an offset below half a second says nothing. */
void vn_health_clock(struct vn_cloud *cloud, const struct vn_cloud_response *response, int64_t start_us,
                     struct vn_cloud_health *ret);
enum vn_rc vn_http_date_parse(struct vn_str text, int64_t *ret_us) VN_MUST_USE;

#endif
