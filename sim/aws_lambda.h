/* sim/aws_lambda.h - a Lambda function's versions, aliases and concurrency, as the simulator keeps them.
 * Purpose: between aws.c, which routes and answers about $LATEST, aws_versions.c and aws_concurrency.c.
 * Threads: one at a time. Ownership: struct vn_sim_lambda belongs to its function (world.h).
 * A version is a number and its memory: what runs is the deployment's present model, whatever the version. */
#ifndef VANE_SIM_AWS_LAMBDA_H
#define VANE_SIM_AWS_LAMBDA_H

#include "sim/aws.h"

#define VN_SIM_LAMBDA_VERSIONS 64
#define VN_SIM_LAMBDA_ALIASES 16
#define VN_SIM_LAMBDA_QUALIFIER_BYTES 132

struct vn_sim_version {
        uint32_t memory_mb, of_revision; /* of $LATEST when it was published */
};
struct vn_sim_alias {
        char name[VN_SIM_LAMBDA_QUALIFIER_BYTES];
        uint32_t version, other; /* 0: $LATEST; no other */
        double weight;           /* of `other` */
        uint32_t revision;
};
struct vn_sim_warm { /* provisioned concurrency */
        char qualifier[VN_SIM_LAMBDA_QUALIFIER_BYTES];
        uint32_t requested, looks;
        int64_t changed_us, ready_us;
};
struct vn_sim_lambda {
        bool is_reserved;
        uint32_t reserved;                                      /* 0 and reserved: stopped */
        struct vn_sim_version versions[VN_SIM_LAMBDA_VERSIONS]; /* number is index and one */
        struct vn_sim_alias aliases[VN_SIM_LAMBDA_ALIASES];
        struct vn_sim_warm warm[VN_SIM_LAMBDA_ALIASES];
        uint32_t version_count, alias_count, warm_count, next_revision;
};
/* Made at its first use; NULL and a 500 without memory. */
struct vn_sim_lambda *vn_sim_aws_lambda(struct vn_sim *sim, uint32_t deployment, struct vn_sim_response *response);

/* --- aws.c --- */
void vn_sim_aws_arn(const struct vn_sim *sim, uint32_t account, uint32_t deployment, char ret[160]);
void vn_sim_aws_revision(const struct vn_sim *sim, uint32_t deployment, char ret[40]);
/* full: what a Get has beyond a List: the state of the last change. */
json_t *vn_sim_aws_configuration(struct vn_sim *sim, uint32_t account, uint32_t deployment, bool full, bool look);
struct vn_str vn_sim_aws_bare_name(struct vn_str text, struct vn_str *ret_qualifier);

/* --- aws_versions.c: versions and aliases. True if the path is theirs and is answered. --- */
bool vn_sim_aws_versions(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct vn_str part[5],
                         size_t count, const struct vn_sim_request *request, struct vn_sim_response *response);
void vn_sim_aws_qualified_configuration(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                                        const struct vn_sim_request *request, struct vn_sim_response *response);
/* Which version a call runs; false if its qualifier names none, which is answered. */
bool vn_sim_aws_executed(struct vn_sim *sim, uint32_t account, uint32_t deployment,
                         const struct vn_sim_request *request, struct vn_sim_response *response, char ret[24]);
/* False if it is neither an alias nor a published version. */
bool vn_sim_aws_is_published(const struct vn_sim_lambda *lambda, struct vn_str qualifier);
struct vn_sim_alias *vn_sim_aws_alias(struct vn_sim_lambda *lambda, struct vn_str name);
/* A version's number; false: it is none, or not of this function. */
bool vn_sim_aws_version(const struct vn_sim_lambda *lambda, struct vn_str text, uint32_t *ret);

/* --- aws_concurrency.c: reserved and provisioned concurrency, the account's limits --- */
bool vn_sim_aws_concurrency(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct vn_str part[5],
                            size_t count, const struct vn_sim_request *request, struct vn_sim_response *response);
void vn_sim_aws_account_settings(struct vn_sim *sim, uint32_t account, struct vn_sim_response *response);
void vn_sim_aws_add_concurrency(const struct vn_sim *sim, uint32_t deployment, json_t *body); /* of GetFunction */
bool vn_sim_aws_is_reserved(const struct vn_sim *sim, uint32_t deployment);
bool vn_sim_aws_stopped(const struct vn_sim *sim, uint32_t deployment); /* by a reserved concurrency of 0 */
void vn_sim_aws_alias_moved(const struct vn_sim *sim, struct vn_sim_lambda *lambda, struct vn_str alias);

#endif
