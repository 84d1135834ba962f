#include "server/registry/registry.h"

#include "base/hash.h"
#include "base/metrics.h"
#include "server/state.h"
#include "vane/state/state.pb-c.h"

struct vn_registry {
        struct vn_account_entry **accounts; /* by age; an entry never moves */
        size_t count;
        uint64_t next_id;
};

static const char *const cloud_names[] = {
#define CLOUD(id, name) name,
#include "base/clouds.def"
};
static const char *const level_names[] = {"observe", "tune", "invoke"};

const char *vn_cloud_name(enum vn_cloud_id cloud)
{
        return cloud_names[cloud];
}

bool vn_cloud_parse(const char *name, enum vn_cloud_id *ret)
{
        for (unsigned i = 0; i < VN_CLOUD_COUNT; i++)
                if (!strcmp(name, cloud_names[i])) {
                        *ret = (enum vn_cloud_id)i;
                        return true;
                }
        return false;
}

const char *vn_level_name(enum vn_level level)
{
        return level_names[level];
}

bool vn_level_parse(const char *name, enum vn_level *ret)
{
        for (unsigned i = 0; i < 3; i++)
                if (!strcmp(name, level_names[i])) {
                        *ret = (enum vn_level)i;
                        return true;
                }
        return false;
}

size_t vn_registry_count(const struct vn_registry *registry)
{
        return registry->count;
}

struct vn_account_entry *vn_registry_at(struct vn_registry *registry, size_t index)
{
        VN_ASSERT(index < registry->count);
        return registry->accounts[index];
}

struct vn_account_entry *vn_registry_by_id(struct vn_registry *registry, uint64_t id)
{
        for (size_t i = 0; i < registry->count; i++)
                if (registry->accounts[i]->id == id)
                        return registry->accounts[i];
        return NULL;
}

struct vn_account_entry *vn_registry_by_name(struct vn_registry *registry, const char *tenant, const char *name)
{
        for (size_t i = 0; i < registry->count; i++)
                if (!strcmp(registry->accounts[i]->tenant, tenant) && !strcmp(registry->accounts[i]->name, name))
                        return registry->accounts[i];
        return NULL;
}

struct vn_account_entry *vn_registry_by_token(struct vn_registry *registry, const uint8_t sha256[32])
{
        for (size_t i = 0; i < registry->count; i++)
                if (registry->accounts[i]->has_token && !memcmp(registry->accounts[i]->join_token_hash, sha256, 32))
                        return registry->accounts[i];
        return NULL;
}

struct vn_account_entry *vn_registry_append(struct vn_registry *registry)
{
        if (registry->count == VN_MAX_ACCOUNTS)
                return NULL;
        struct vn_account_entry **grown =
                vn_realloc(registry->accounts, (registry->count + 1) * sizeof *registry->accounts);
        if (!grown)
                return NULL;
        registry->accounts = grown;
        struct vn_account_entry *account = vn_alloc(sizeof *account);
        if (!account)
                return NULL;
        account->id = registry->next_id++;
        grown[registry->count++] = account;
        return account;
}

static void account_free(struct vn_account_entry *account)
{
        vn_free(account->certificate_pem);
        vn_free(account->functions);
        vn_free(account);
}

void vn_registry_remove_last(struct vn_registry *registry)
{
        VN_ASSERT(registry->count > 0);
        account_free(registry->accounts[--registry->count]);
}

struct vn_function_entry *vn_registry_function(struct vn_account_entry *account, const char *name, const char *region)
{
        for (size_t i = 0; i < account->function_count; i++)
                if (!strcmp(account->functions[i].name, name) && !strcmp(account->functions[i].region, region))
                        return &account->functions[i];
        return NULL;
}

void vn_registry_rules(const struct vn_server *server, const struct vn_account_entry *account,
                       struct vn_leave_rules *ret)
{
        ret->data_class = account->data_class;
        memcpy(ret->residency, account->residency, sizeof ret->residency);
        memcpy(ret->server_residency, server->config.residency, sizeof ret->server_residency);
}

enum vn_rc vn_registry_may_come(const struct vn_server *server, const struct vn_account_entry *account,
                                enum vn_leaving what, struct vn_err *err)
{
        struct vn_leave_rules rules;
        vn_registry_rules(server, account, &rules);
        enum vn_rc rc = vn_leave_check(&rules, what, err);
        if (rc != VN_OK)
                VN_METRIC_ADD_FOR(DATA_REFUSED, vn_leaving_name(what), 1);
        return rc;
}

void vn_registry_store(struct vn_batch *batch, const struct vn_account_entry *account)
{
        struct vn_account_entry copy = *account; /* protobuf-c wants pointers that it may not write to */
        Vane__State__Account stored = VANE__STATE__ACCOUNT__INIT;
        stored.id = account->id;
        stored.tenant = copy.tenant;
        stored.name = copy.name;
        stored.cloud = vn_state_text(vn_cloud_name(account->cloud));
        stored.region = copy.region;
        stored.level = vn_state_text(vn_level_name(account->level));
        stored.max_level = vn_state_text(vn_level_name(account->max_level));
        stored.revoked = account->revoked;
        stored.created_us = account->created_us;
        if (account->has_token)
                stored.join_token_sha256 = (ProtobufCBinaryData){32, copy.join_token_hash};
        stored.join_expires_us = account->join_expires_us;
        if (account->has_key)
                stored.join_key_sha256 = (ProtobufCBinaryData){32, copy.join_key_hash};
        stored.certificate_pem = vn_state_text(account->certificate_pem ? account->certificate_pem : "");
        stored.certificate_not_after_s = account->certificate_not_after_s;
        stored.model_version = account->model_version;
        stored.windows = account->windows;
        stored.data_class = vn_state_text(vn_data_class_name(account->data_class));
        stored.residency = copy.residency;
        struct vn_key key;
        vn_key_u64(vn_key_init(&key, vn_str(account->tenant)), account->id);
        vn_state_put(batch, VN_TABLE_accounts, &key, &stored.base);
}

static bool fill_account(struct vn_account_entry *account, const Vane__State__Account *a)
{
        account->id = a->id;
        account->revoked = a->revoked;
        account->created_us = a->created_us;
        account->join_expires_us = a->join_expires_us;
        account->certificate_not_after_s = a->certificate_not_after_s;
        account->model_version = a->model_version;
        account->windows = a->windows;
        account->has_token = a->join_token_sha256.len == 32;
        account->has_key = a->join_key_sha256.len == 32;
        if (account->has_token)
                memcpy(account->join_token_hash, a->join_token_sha256.data, 32);
        if (account->has_key)
                memcpy(account->join_key_hash, a->join_key_sha256.data, 32);
        return vn_str_copy(account->tenant, sizeof account->tenant, vn_str(a->tenant)) &&
               vn_str_copy(account->name, sizeof account->name, vn_str(a->name)) &&
               vn_str_copy(account->region, sizeof account->region, vn_str(a->region)) &&
               vn_str_copy(account->residency, sizeof account->residency, vn_str(a->residency)) &&
               vn_data_class_parse(vn_str(a->data_class), &account->data_class) &&
               vn_cloud_parse(a->cloud, &account->cloud) && vn_level_parse(a->level, &account->level) &&
               vn_level_parse(a->max_level, &account->max_level);
}

static enum vn_rc load_account(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        struct vn_registry *registry = arg;
        Vane__State__Account *a = (Vane__State__Account *)message;
        struct vn_account_entry *account = vn_registry_append(registry);
        bool room = account && (!a->certificate_pem[0] || (account->certificate_pem = vn_strdup(a->certificate_pem)));
        enum vn_rc rc = vn_state_taken(room ? account : NULL, room && fill_account(account, a),
                                       "accounts: a stored account", err);
        if (a->id >= registry->next_id)
                registry->next_id = a->id + 1;
        vane__state__account__free_unpacked(a, NULL);
        return rc;
}

static bool fill_function(struct vn_function_entry *f, const Vane__State__Function *stored)
{
        f->memory_mb = stored->memory_mb;
        f->timeout_s = stored->timeout_s;
        f->concurrency = stored->concurrency;
        f->max_instances = stored->max_instances;
        f->memory_tunable = stored->memory_tunable;
        f->seen_us = stored->seen_us;
        for (size_t i = 0; i < stored->n_memory_choices_mb && i < 16; i++)
                f->choices[f->choice_count++] = stored->memory_choices_mb[i];
        return vn_str_copy(f->name, sizeof f->name, vn_str(stored->name)) &&
               vn_str_copy(f->region, sizeof f->region, vn_str(stored->region)) &&
               vn_str_copy(f->resource, sizeof f->resource, vn_str(stored->resource)) &&
               vn_str_copy(f->url, sizeof f->url, vn_str(stored->url)) &&
               vn_str_copy(f->runtime, sizeof f->runtime, vn_str(stored->runtime)) &&
               vn_str_copy(f->guard, sizeof f->guard, vn_str(stored->guard));
}

static enum vn_rc load_function(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        Vane__State__Function *stored = (Vane__State__Function *)message;
        struct vn_account_entry *account = vn_registry_by_id(arg, stored->account_id);
        struct vn_function_entry *grown =
                account ? vn_realloc(account->functions, (account->function_count + 1) * sizeof *grown) : NULL;
        if (grown) {
                account->functions = grown;
                memset(&grown[account->function_count], 0, sizeof *grown);
        }
        bool good = grown && fill_function(&grown[account->function_count++], stored);
        enum vn_rc rc =
                vn_state_taken(account ? (void *)grown : (void *)stored, good, "functions: a stored function", err);
        vane__state__function__free_unpacked(stored, NULL);
        return rc;
}

enum vn_rc vn_registry_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_registry *registry = server->registry = vn_alloc(sizeof *registry);
        if (!registry)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        registry->next_id = 1;
        VN_TRY(vn_state_load(server->store, VN_TABLE_accounts, &vane__state__account__descriptor, load_account,
                             registry, err));
        return vn_state_load(server->store, VN_TABLE_functions, &vane__state__function__descriptor, load_function,
                             registry, err);
}

void vn_registry_stop(struct vn_server *server)
{
        struct vn_registry *registry = server->registry;
        if (!registry)
                return;
        for (size_t i = 0; i < registry->count; i++)
                account_free(registry->accounts[i]);
        vn_free(registry->accounts);
        vn_free(registry);
        server->registry = NULL;
}

enum vn_level vn_registry_usable_level(const struct vn_account_entry *account)
{
        return account->ability_known && account->ability < account->level ? account->ability : account->level;
}

bool vn_registry_online(const struct vn_server *server, const struct vn_account_entry *account)
{
        return !account->revoked && account->last_heard_wall_us &&
               vn_now_us(server->wall) - account->last_heard_wall_us < VN_OFFLINE_AFTER_US;
}

void vn_registry_heard(struct vn_server *server, struct vn_account_entry *account)
{
        account->last_heard_wall_us = vn_now_us(server->wall);
        account->last_seen_us = vn_now_us(server->clock);
}

enum vn_rc vn_registry_auth_accounts(const struct vn_registry *registry, struct vn_auth_account **ret,
                                     size_t *ret_count, struct vn_err *err)
{
        struct vn_auth_account *accounts = vn_alloc_array(registry->count + 1, sizeof *accounts);
        if (!accounts)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        for (size_t i = 0; i < registry->count; i++) {
                accounts[i].id = registry->accounts[i]->id;
                accounts[i].revoked = registry->accounts[i]->revoked;
                memcpy(accounts[i].tenant, registry->accounts[i]->tenant, sizeof accounts[i].tenant);
        }
        *ret = accounts;
        *ret_count = registry->count;
        return VN_OK;
}
