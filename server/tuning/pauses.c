#include "server/tuning/pauses.h"

#include "server/record.h"
#include "server/registry/hub.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/state.h"
#include "vane/state/state.pb-c.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"

#define MAX_PAUSES 10000

struct pause {
        char tenant[VN_MAX_TENANT_BYTES];
        char scope[12], name[192], reason[256], actor[VN_MAX_ACTOR_BYTES];
        int64_t time_us;
};

struct vn_pauses {
        struct pause *items;
        size_t count;
};

static struct pause *find(const struct vn_server *server, const char *tenant, const char *scope, const char *name)
{
        struct vn_pauses *pauses = server->pauses;
        for (size_t i = 0; i < pauses->count; i++)
                if (!strcmp(pauses->items[i].tenant, tenant) && !strcmp(pauses->items[i].scope, scope) &&
                    !strcmp(pauses->items[i].name, name))
                        return &pauses->items[i];
        return NULL;
}

bool vn_pauses_global(const struct vn_server *server, const char *tenant)
{
        return find(server, tenant, "global", "") != NULL;
}

bool vn_pauses_account(const struct vn_server *server, const char *tenant, const char *account)
{
        return find(server, tenant, "account", account) != NULL;
}

bool vn_pauses_function(const struct vn_server *server, const char *tenant, const char *workload)
{
        return find(server, tenant, "function", workload) != NULL;
}

static struct pause *append(struct vn_pauses *pauses)
{
        struct pause *grown =
                pauses->count < MAX_PAUSES ? vn_realloc(pauses->items, (pauses->count + 1) * sizeof *grown) : NULL;
        if (!grown)
                return NULL;
        pauses->items = grown;
        memset(&grown[pauses->count], 0, sizeof *grown);
        return &grown[pauses->count++];
}

static bool fill(struct pause *p, const char *tenant, const char *scope, const char *name, const char *reason,
                 const char *actor, int64_t time_us)
{
        p->time_us = time_us;
        return vn_str_copy(p->tenant, sizeof p->tenant, vn_str(tenant)) &&
               vn_str_copy(p->scope, sizeof p->scope, vn_str(scope)) &&
               vn_str_copy(p->name, sizeof p->name, vn_str(name)) &&
               vn_str_copy(p->reason, sizeof p->reason, vn_str(reason)) &&
               vn_str_copy(p->actor, sizeof p->actor, vn_str(actor));
}

static enum vn_rc load_pause(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        Vane__State__Pause *stored = (Vane__State__Pause *)message;
        struct vn_str tenant;
        char name[VN_MAX_TENANT_BYTES];
        struct pause *p = append(arg);
        bool good = p && vn_key_take_text(&key, &tenant) && vn_str_copy(name, sizeof name, tenant) &&
                    fill(p, name, stored->scope, stored->name, stored->reason, stored->actor, stored->time_us);
        vane__state__pause__free_unpacked(stored, NULL);
        return vn_state_taken(p, good, "pauses: a stored pause", err);
}

enum vn_rc vn_pauses_start(struct vn_server *server, struct vn_err *err)
{
        server->pauses = vn_alloc(sizeof *server->pauses);
        if (!server->pauses)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        return vn_state_load(server->store, VN_TABLE_pauses, &vane__state__pause__descriptor, load_pause,
                             server->pauses, err);
}

void vn_pauses_stop(struct vn_server *server)
{
        if (server->pauses)
                vn_free(server->pauses->items);
        vn_free(server->pauses);
        server->pauses = NULL;
}

static enum vn_rc check(struct vn_op *op, const Vane__V1__Pause *request, struct vn_err *err)
{
        bool global = !strcmp(request->scope, "global");
        if (!global && strcmp(request->scope, "account") && strcmp(request->scope, "function"))
                return vn_fail(err, VN_INVALID_ARGUMENT, "scope: global, account or function");
        if (global != !request->name[0])
                return vn_fail(err, VN_INVALID_ARGUMENT, "name: %s",
                               global ? "must be empty for global" : "required");
        if (!strcmp(request->scope, "account") &&
            !vn_registry_by_name(op->server->registry, op->identity->tenant, request->name))
                return vn_fail(err, VN_NOT_FOUND, "name: no account \"%.64s\"", request->name);
        if (strlen(request->reason) > 255 || strlen(request->name) > 191)
                return vn_fail(err, VN_INVALID_ARGUMENT, "reason: at most 255 bytes; name: at most 191");
        return VN_OK;
}

static void tell_agent(struct vn_server *server, const struct vn_account_entry *account, char *function, bool paused)
{
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__PauseNotice notice = VANE__V1__PAUSE_NOTICE__INIT;
        notice.paused = paused;
        if (function)
                notice.function = function;
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_PAUSE;
        event.pause = &notice;
        vn_hub_send_agent(server, account->id, &event.base);
}

/* Everywhere and the account are one to an agent: ending one of the two pauses does not end the other. */
static bool stands_still(const struct vn_server *server, const struct vn_account_entry *account)
{
        return vn_pauses_global(server, account->tenant) || vn_pauses_account(server, account->tenant, account->name);
}

/* Agents in the scope hear of it at once: a command that is on its way is not carried out. */
static void tell_agents(struct vn_op *op, const Vane__V1__Pause *request)
{
        bool function = !strcmp(request->scope, "function");
        for (size_t i = 0; i < vn_registry_count(op->server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(op->server->registry, i);
                if (strcmp(a->tenant, op->identity->tenant) ||
                    (!strcmp(request->scope, "account") && strcmp(a->name, request->name)))
                        continue;
                tell_agent(op->server, a, function ? request->name : NULL,
                           function ? request->paused : stands_still(op->server, a));
        }
}

void vn_pauses_hello(struct vn_server *server, const struct vn_account_entry *account)
{
        struct vn_pauses *pauses = server->pauses;
        tell_agent(server, account, NULL, stands_still(server, account));
        for (size_t i = 0; i < pauses->count; i++)
                if (!strcmp(pauses->items[i].tenant, account->tenant) && !strcmp(pauses->items[i].scope, "function"))
                        tell_agent(server, account, pauses->items[i].name, true);
}

enum vn_rc op_set_pause(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                        struct vn_err *err)
{
        const Vane__V1__Pause *request = (const Vane__V1__Pause *)message;
        struct vn_pauses *pauses = op->server->pauses;
        VN_TRY(check(op, request, err));
        struct pause *old = find(op->server, op->identity->tenant, request->scope, request->name);
        Vane__V1__Pause *reply = VN_NEW_MESSAGE(op->arena, Vane__V1__Pause, vane__v1__pause__init);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!reply || !batch)
                return vn_op_no_memory(err);
        *reply = *request;
        reply->actor = vn_op_text(op, op->identity->actor);
        reply->time_us = op->now_us;
        *ret_reply = &reply->base;
        if (request->paused == (old != NULL))
                return VN_OK;
        struct vn_key key;
        vn_key_text(vn_key_text(vn_key_init(&key, vn_str(op->identity->tenant)), vn_str(request->scope)),
                    vn_str(request->name));
        Vane__State__Pause stored = VANE__STATE__PAUSE__INIT;
        stored.scope = request->scope;
        stored.name = request->name;
        stored.reason = request->reason;
        stored.actor = reply->actor;
        stored.time_us = op->now_us;
        if (request->paused)
                vn_state_put(batch, VN_TABLE_pauses, &key, &stored.base);
        else
                vn_batch_delete(batch, VN_TABLE_pauses, &key);
        vn_batch_use_reserve(batch); /* a stop sign must stand even when the disk is full */
        struct vn_change change = {.kind = VN_RECORD_PAUSE,
                                   .tenant = op->identity->tenant,
                                   .actor = op->identity->actor,
                                   .subject = request->name[0] ? request->name : "global",
                                   .choice = request->paused ? "paused" : "resumed"};
        VN_TRY(vn_record_change(op->server, batch, &change, NULL, err));
        VN_TRY(vn_store_commit(op->server->store, batch, err));
        if (request->paused) {
                struct pause *p = append(pauses);
                if (!p || !fill(p, op->identity->tenant, request->scope, request->name, request->reason, reply->actor,
                                op->now_us))
                        return vn_op_no_memory(err);
        } else {
                *old = pauses->items[--pauses->count];
        }
        tell_agents(op, request);
        vn_routing_dirty(op->server);
        return VN_OK;
}

enum vn_rc op_list_pauses(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        (void)message;
        struct vn_pauses *pauses = op->server->pauses;
        Vane__V1__ListPausesResponse *reply =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListPausesResponse, vane__v1__list_pauses_response__init);
        if (reply)
                reply->pauses = vn_arena_alloc(op->arena, (pauses->count + 1) * sizeof *reply->pauses);
        if (!reply || !reply->pauses)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < pauses->count; i++) {
                const struct pause *p = &pauses->items[i];
                if (strcmp(p->tenant, op->identity->tenant))
                        continue;
                Vane__V1__Pause *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Pause, vane__v1__pause__init);
                if (!m)
                        return vn_op_no_memory(err);
                m->scope = vn_op_text(op, p->scope);
                m->name = vn_op_text(op, p->name);
                m->reason = vn_op_text(op, p->reason);
                m->actor = vn_op_text(op, p->actor);
                m->time_us = p->time_us;
                m->paused = true;
                reply->pauses[reply->n_pauses++] = m;
        }
        *ret_reply = &reply->base;
        return VN_OK;
}
