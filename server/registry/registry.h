/* registry.h - cloud accounts, their agents' certificates, and the functions that they list.
 * Purpose: the state machine of an account (waiting -> online <-> offline -> revoked; observe -> tune -> invoke) and
 *   the inventory. All changes are recorded decisions.
 * Threads: the control loop. Ownership: entries belong to the registry; pointers are good until the next operation. */
#ifndef VANE_SERVER_REGISTRY_REGISTRY_H
#define VANE_SERVER_REGISTRY_REGISTRY_H

#include "federation/leave.h"
#include "server/auth.h"
#include "server/server.h"

#define VN_MAX_ACCOUNTS 10000
#define VN_MAX_FUNCTIONS_PER_ACCOUNT 20000
#define VN_MAX_TROUBLES 8
#define VN_OFFLINE_AFTER_US (15 * VN_US_PER_S) /* real time since the agent was last heard */

enum vn_cloud_id {
#define CLOUD(id, name) VN_##id,
#include "base/clouds.def"
        VN_CLOUD_COUNT
};
const char *vn_cloud_name(enum vn_cloud_id cloud);
bool vn_cloud_parse(const char *name, enum vn_cloud_id *ret);

enum vn_level { VN_LEVEL_OBSERVE, VN_LEVEL_TUNE, VN_LEVEL_INVOKE };
const char *vn_level_name(enum vn_level level);
bool vn_level_parse(const char *name, enum vn_level *ret);

struct vn_function_entry {
        char name[192];
        char region[48];
        char resource[256];
        char url[256];
        char runtime[48];
        char guard[128];
        uint32_t memory_mb, timeout_s, concurrency, max_instances;
        bool memory_tunable;
        uint32_t choices[16];
        uint32_t choice_count;
        int64_t seen_us;
};

struct vn_account_entry {
        uint64_t id;
        char tenant[VN_MAX_TENANT_BYTES];
        char name[64];
        enum vn_cloud_id cloud;
        char region[48];
        enum vn_level level, max_level;
        enum vn_data_class data_class;
        char residency[VN_MAX_RESIDENCY];
        bool revoked;
        int64_t created_us;
        uint8_t join_token_hash[32], join_key_hash[32];
        bool has_token, has_key;
        int64_t join_expires_us;
        char *certificate_pem; /* of join_key; NULL before enrolment */
        int64_t certificate_not_after_s;
        int64_t last_heard_wall_us; /* not stored: 0 after a restart */
        int64_t last_seen_us;
        uint64_t model_version, windows;
        uint64_t cloud_failures; /* as the agent told last; not stored */
        struct {
                char work[48], reason[200];
                int64_t since_us;
        } troubles[VN_MAX_TROUBLES]; /* the same */
        size_t trouble_count;
        bool ability_known;    /* not stored: the agent says it with each report */
        enum vn_level ability; /* what the cloud lets the agent do */
        char refused[96];      /* the permission that it lacks for more */
        struct vn_function_entry *functions;
        size_t function_count;
};

enum vn_rc vn_registry_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_registry_stop(struct vn_server *server);

size_t vn_registry_count(const struct vn_registry *registry);
struct vn_account_entry *vn_registry_at(struct vn_registry *registry, size_t index);
struct vn_account_entry *vn_registry_by_id(struct vn_registry *registry, uint64_t id);
struct vn_account_entry *vn_registry_by_name(struct vn_registry *registry, const char *tenant, const char *name);
struct vn_account_entry *vn_registry_by_token(struct vn_registry *registry, const uint8_t sha256[32]);
struct vn_account_entry *vn_registry_append(struct vn_registry *registry); /* zeroed, with an id; NULL: too many */
void vn_registry_remove_last(struct vn_registry *registry);                /* undoes append when its commit failed */
struct vn_function_entry *vn_registry_function(struct vn_account_entry *account, const char *name,
                                               const char *region);
/* By which the account's data may come here. */
void vn_registry_rules(const struct vn_server *server, const struct vn_account_entry *account,
                       struct vn_leave_rules *ret);
/* PERMISSION_DENIED, counted, for what may not leave the account; the agent reads the reason. */
enum vn_rc vn_registry_may_come(const struct vn_server *server, const struct vn_account_entry *account,
                                enum vn_leaving what, struct vn_err *err) VN_MUST_USE;
void vn_registry_store(struct vn_batch *batch, const struct vn_account_entry *account);
/* The level in force, or less where the cloud does not allow that much. */
enum vn_level vn_registry_usable_level(const struct vn_account_entry *account);
bool vn_registry_online(const struct vn_server *server, const struct vn_account_entry *account);
/* Marks that the agent spoke just now. */
void vn_registry_heard(struct vn_server *server, struct vn_account_entry *account);
/* The calling agent's account, heard just now; UNAUTHENTICATED if it is gone. */
struct vn_op;
enum vn_rc vn_op_agent_account(struct vn_op *op, struct vn_account_entry **ret, struct vn_err *err) VN_MUST_USE;
/* For the auth table; the caller frees the array. */
enum vn_rc vn_registry_auth_accounts(const struct vn_registry *registry, struct vn_auth_account **ret,
                                     size_t *ret_count, struct vn_err *err) VN_MUST_USE;

#endif
