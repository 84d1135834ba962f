/* accounts.c - what people do with accounts: add, list, promote, revoke. */
#include <stdio.h>

#include "base/hash.h"
#include "base/clouds.h"
#include "net/join_token.h"
#include "server/grants/grants.h"
#include "server/people.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/observing.h"
#include "server/registry/pki.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/telemetry/telemetry.h"
#include "server/tuning/pauses.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"

static const char *account_state(const struct vn_server *server, const struct vn_account_entry *account)
{
        if (account->revoked)
                return "revoked";
        if (!account->certificate_pem)
                return "waiting";
        return vn_registry_online(server, account) ? "online" : "offline";
}

static bool add_troubles(struct vn_op *op, const struct vn_account_entry *account, Vane__V1__Account *m)
{
        m->troubles = vn_arena_alloc(op->arena, (account->trouble_count + 1) * sizeof *m->troubles);
        if (!m->troubles)
                return false;
        for (size_t i = 0; i < account->trouble_count; i++) {
                Vane__V1__Trouble *t = VN_NEW_MESSAGE(op->arena, Vane__V1__Trouble, vane__v1__trouble__init);
                if (!t)
                        return false;
                t->work = vn_op_text(op, account->troubles[i].work);
                t->reason = vn_op_text(op, account->troubles[i].reason);
                t->since_us = account->troubles[i].since_us;
                m->troubles[m->n_troubles++] = t;
        }
        return true;
}

static Vane__V1__Account *account_message(struct vn_op *op, const struct vn_account_entry *account)
{
        Vane__V1__Account *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Account, vane__v1__account__init);
        if (!m)
                return NULL;
        m->id = vn_op_printf(op, "%llu", (unsigned long long)account->id);
        m->name = vn_op_text(op, account->name);
        m->cloud = vn_op_text(op, vn_cloud_name(account->cloud));
        m->region = vn_op_text(op, account->region);
        m->state = vn_op_text(op, account_state(op->server, account));
        m->level = vn_op_text(op, vn_level_name(account->level));
        m->max_level = vn_op_text(op, vn_level_name(account->max_level));
        m->created_us = account->created_us;
        m->last_seen_us = account->last_seen_us;
        m->certificate_not_after_s = account->certificate_not_after_s;
        m->functions = (uint32_t)account->function_count;
        m->windows = account->windows;
        m->model_version = account->model_version;
        m->data_class = vn_op_text(op, vn_data_class_name(account->data_class));
        m->residency = vn_op_text(op, account->residency);
        m->ability = vn_op_text(op, account->ability_known ? vn_level_name(account->ability) : "");
        if (account->refused[0] && account->ability_known && account->ability < account->max_level)
                m->note = vn_op_printf(op, "may only %s: %s is refused", vn_level_name(account->ability),
                                       account->refused);
        m->paused = vn_pauses_account(op->server, account->tenant, account->name);
        char calls[VN_OBSERVING_TEXT_BYTES], listed[VN_OBSERVING_TEXT_BYTES];
        vn_observing_describe(op->server, account->id, calls, listed);
        m->observing = vn_op_text(op, calls);
        m->inventory = vn_op_text(op, listed);
        return add_troubles(op, account, m) ? m : NULL;
}

static enum vn_rc account_reply(struct vn_op *op, const struct vn_account_entry *account,
                                ProtobufCMessage **ret_reply, struct vn_err *err)
{
        Vane__V1__Account *m = account_message(op, account);
        if (!m)
                return vn_op_no_memory(err);
        *ret_reply = &m->base;
        return VN_OK;
}

static enum vn_rc find_account(struct vn_op *op, const char *name, struct vn_account_entry **ret, struct vn_err *err)
{
        *ret = vn_registry_by_name(op->server->registry, op->identity->tenant, name);
        return *ret ? VN_OK : vn_fail(err, VN_NOT_FOUND, "name: no account \"%.64s\"", name);
}

/* A fresh token for the account: its hash into the entry, its text into the reply. */
static enum vn_rc make_join_token(struct vn_op *op, struct vn_account_entry *account, char text[VN_JOIN_TOKEN_BYTES],
                                  struct vn_err *err)
{
        struct vn_join_token token = {.level = (uint8_t)account->max_level, .account_id = account->id};
        memcpy(token.ca_fingerprint, vn_pki_ca_fingerprint(op->server->pki), 32);
        memcpy(token.tenant, account->tenant, sizeof token.tenant);
        vn_random_bytes(token.secret, sizeof token.secret);
        enum vn_rc rc = vn_join_token_encode(&token, text, err);
        explicit_bzero(&token, sizeof token);
        VN_TRY(rc);
        vn_sha256(text, strlen(text), account->join_token_hash);
        account->has_token = true;
        account->join_expires_us =
                vn_now_us(op->server->wall) + op->server->config.join_token_lifetime_s * VN_US_PER_S;
        return VN_OK;
}

static enum vn_rc join_reply(struct vn_op *op, const struct vn_account_entry *account, const char *token,
                             ProtobufCMessage **ret_reply, struct vn_err *err)
{
        Vane__V1__CreateAccountResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__CreateAccountResponse, vane__v1__create_account_response__init);
        if (!m || !(m->account = account_message(op, account)))
                return vn_op_no_memory(err);
        m->join_token = vn_op_text(op, token);
        m->expires_us = account->join_expires_us;
        m->join_command =
                vn_op_printf(op,
                             "vane-agent --server https://%s:%u --ca-file %s --join-token-file TOKEN_FILE "
                             "--state /var/lib/vane-agent --cloud-config CLOUD.json",
                             op->server->config.https_host, op->server->https_port, vn_pki_ca_file(op->server->pki));
        *ret_reply = &m->base;
        return VN_OK;
}

static enum vn_rc commit_account(struct vn_op *op, const struct vn_account_entry *account, const char *choice,
                                 struct vn_err *err)
{
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_op_no_memory(err);
        vn_registry_store(batch, account);
        struct vn_change change = {.kind = VN_RECORD_ACCOUNT,
                                   .tenant = account->tenant,
                                   .actor = op->identity->actor,
                                   .subject = account->name,
                                   .choice = choice};
        VN_TRY(vn_record_change(op->server, batch, &change, NULL, err));
        return vn_store_commit(op->server->store, batch, err);
}

static enum vn_rc check_new_account(struct vn_op *op, const Vane__V1__CreateAccountRequest *request,
                                    enum vn_cloud_id *ret_cloud, enum vn_level *ret_level, struct vn_err *err)
{
        *ret_level = VN_LEVEL_INVOKE;
        if (!vn_str_is_name(vn_str(request->name), 63))
                return vn_fail(err, VN_INVALID_ARGUMENT, "name: 1 to 63 letters, digits, '-', '_', '.'");
        if (!vn_cloud_parse(request->cloud, ret_cloud))
                return vn_fail(err, VN_INVALID_ARGUMENT, "cloud: one of%s", vn_cloud_names);
        if (!vn_str_is_name(vn_str(request->region), 47))
                return vn_fail(err, VN_INVALID_ARGUMENT, "region: 1 to 47 letters, digits, '-', '_', '.'");
        if (request->level[0] && !vn_level_parse(request->level, ret_level))
                return vn_fail(err, VN_INVALID_ARGUMENT, "level: observe, tune or invoke");
        if (request->residency[0] && !vn_str_is_name(vn_str(request->residency), VN_MAX_RESIDENCY - 1))
                return vn_fail(err, VN_INVALID_ARGUMENT, "residency: 1 to %d letters, digits, '-', '_', '.'",
                               VN_MAX_RESIDENCY - 1);
        enum vn_data_class data_class;
        if (!vn_data_class_parse(vn_str(request->data_class), &data_class))
                return vn_fail(err, VN_INVALID_ARGUMENT, "data_class: public, internal or restricted");
        if (vn_registry_by_name(op->server->registry, op->identity->tenant, request->name))
                return vn_fail(err, VN_ALREADY_EXISTS, "name: account \"%.64s\" exists", request->name);
        return VN_OK;
}

enum vn_rc op_create_account(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        const Vane__V1__CreateAccountRequest *request = (const Vane__V1__CreateAccountRequest *)message;
        enum vn_cloud_id cloud;
        enum vn_level level;
        VN_TRY(check_new_account(op, request, &cloud, &level, err));
        struct vn_account_entry *account = vn_registry_append(op->server->registry);
        if (!account)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d accounts", VN_MAX_ACCOUNTS);
        VN_ASSERT(vn_str_copy(account->tenant, sizeof account->tenant, vn_str(op->identity->tenant)));
        VN_ASSERT(vn_str_copy(account->name, sizeof account->name, vn_str(request->name)));
        VN_ASSERT(vn_str_copy(account->region, sizeof account->region, vn_str(request->region)));
        VN_ASSERT(vn_str_copy(account->residency, sizeof account->residency, vn_str(request->residency)));
        VN_ASSERT(vn_data_class_parse(vn_str(request->data_class), &account->data_class));
        account->cloud = cloud;
        account->level = VN_LEVEL_OBSERVE; /* whatever it may become later */
        account->max_level = level;
        account->created_us = op->now_us;
        char token[VN_JOIN_TOKEN_BYTES];
        enum vn_rc rc = make_join_token(op, account, token, err);
        if (rc == VN_OK)
                rc = commit_account(op, account, "created", err);
        if (rc == VN_OK) {
                vn_people_publish(op->server);
                rc = join_reply(op, account, token, ret_reply, err);
        } else {
                vn_registry_remove_last(op->server->registry);
        }
        explicit_bzero(token, sizeof token);
        return rc;
}

enum vn_rc op_create_join_token(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                                struct vn_err *err)
{
        struct vn_account_entry *account;
        VN_TRY(find_account(op, ((const Vane__V1__AccountName *)message)->name, &account, err));
        bool expired = account->certificate_not_after_s <= vn_now_us(op->server->wall) / VN_US_PER_S;
        if (account->revoked || (account->certificate_pem && !expired))
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "account \"%s\" is %s: only one that waits, or whose certificate has expired, joins",
                               account->name, account_state(op->server, account));
        struct vn_account_entry changed = *account;
        /* As at the first time: the token binds to the first key that uses it, which may only observe. */
        changed.has_key = false;
        changed.level = VN_LEVEL_OBSERVE;
        char token[VN_JOIN_TOKEN_BYTES];
        VN_TRY(make_join_token(op, &changed, token, err));
        VN_TRY(commit_account(op, &changed, "join token", err));
        *account = changed;
        vn_routing_dirty(op->server);
        enum vn_rc rc = join_reply(op, account, token, ret_reply, err);
        explicit_bzero(token, sizeof token);
        return rc;
}

enum vn_rc op_list_accounts(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                            struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        struct vn_registry *registry = op->server->registry;
        size_t total = 0, count = vn_registry_count(registry);
        struct vn_account_entry **mine = vn_arena_alloc(op->arena, (count + 1) * sizeof *mine);
        Vane__V1__ListAccountsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListAccountsResponse, vane__v1__list_accounts_response__init);
        if (!mine || !m)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < count; i++) {
                struct vn_account_entry *account = vn_registry_at(registry, i);
                if (!strcmp(account->tenant, op->identity->tenant) && strstr(account->name, request->filter))
                        mine[total++] = account;
        }
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, total, &page, err));
        m->accounts = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->accounts);
        for (size_t i = 0; m->accounts && i < page.count; i++)
                if ((m->accounts[i] = account_message(op, mine[page.from + i])))
                        m->n_accounts++;
        if (m->n_accounts != page.count)
                return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        m->total = (uint32_t)total;
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_get_account(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        struct vn_account_entry *account;
        VN_TRY(find_account(op, ((const Vane__V1__AccountName *)message)->name, &account, err));
        return account_reply(op, account, ret_reply, err);
}

enum vn_rc op_revoke_account(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        struct vn_account_entry *account;
        VN_TRY(find_account(op, ((const Vane__V1__AccountName *)message)->name, &account, err));
        if (!account->revoked) {
                struct vn_account_entry changed = *account;
                changed.revoked = true;
                changed.has_token = false;
                VN_TRY(commit_account(op, &changed, "revoked", err));
                *account = changed;
                vn_people_publish(op->server); /* from here on its certificate is refused */
                vn_edge_end_account(op->server->edge, account->id);
                vn_grants_account_closed(op->server, account->id);
                vn_routing_dirty(op->server);
        }
        return account_reply(op, account, ret_reply, err);
}

enum vn_rc op_accept_prices(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                            struct vn_err *err)
{
        struct vn_account_entry *account;
        VN_TRY(find_account(op, ((const Vane__V1__AccountName *)message)->name, &account, err));
        struct vn_account_prices *prices = vn_telemetry_prices(op->server->telemetry, account->id);
        if (!prices || !prices->doubted)
                return vn_fail(err, VN_FAILED_PRECONDITION, "account \"%s\": no price list of it was refused",
                               account->name);
        VN_TRY(commit_account(op, account, "the next price list is accepted", err));
        prices->accepted = true;
        return account_reply(op, account, ret_reply, err);
}

enum vn_rc op_set_level(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                        struct vn_err *err)
{
        const Vane__V1__SetLevelRequest *request = (const Vane__V1__SetLevelRequest *)message;
        struct vn_account_entry *account;
        enum vn_level level;
        VN_TRY(find_account(op, request->name, &account, err));
        if (!vn_level_parse(request->level, &level))
                return vn_fail(err, VN_INVALID_ARGUMENT, "level: observe, tune or invoke");
        if (account->revoked)
                return vn_fail(err, VN_FAILED_PRECONDITION, "account \"%s\" is revoked", account->name);
        if (level > account->max_level)
                return vn_fail(err, VN_FAILED_PRECONDITION, "level: this account was registered for at most %s",
                               vn_level_name(account->max_level));
        if (level != account->level) {
                struct vn_account_entry changed = *account;
                changed.level = level;
                VN_TRY(commit_account(op, &changed, vn_level_name(level), err));
                account->level = level;
                if (level < VN_LEVEL_INVOKE)
                        vn_grants_account_closed(op->server, account->id);
                Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
                Vane__V1__LevelNotice notice = VANE__V1__LEVEL_NOTICE__INIT;
                notice.level = vn_op_text(op, vn_level_name(level));
                event.event_case = VANE__V1__AGENT_EVENT__EVENT_LEVEL;
                event.level = &notice;
                vn_hub_send_agent(op->server, account->id, &event.base);
                vn_routing_dirty(op->server);
        }
        return account_reply(op, account, ret_reply, err);
}
