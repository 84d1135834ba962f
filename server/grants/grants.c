/* grants.c - the table of grants, and the way of a wish: checked, recorded, asked of the agent. */
#include "server/grants/internal.h"

#include <stdio.h>

#include "base/hash.h"
#include "base/hpke.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/state.h"

#define ASK_AGAIN_US (2 * VN_US_PER_S) /* doubled with each failure, as each asking is a record */
#define MAX_DOUBLINGS 7
#define ANSWER_US (30 * VN_US_PER_S) /* an agent's time to mint one */

enum vn_rc vn_grants_start(struct vn_server *server, struct vn_err *err)
{
        server->grants = vn_alloc(sizeof *server->grants);
        return server->grants ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
}

static void grant_free(struct vn_grant *grant)
{
        vn_free(grant->functions);
        vn_free(grant);
}

static void gateway_free(struct vn_gateway *gateway)
{
        vane__v1__gateway_message__free_unpacked(gateway->hello, NULL);
        vn_free(gateway);
}

void vn_grants_stop(struct vn_server *server)
{
        struct vn_grants *grants = server->grants;
        if (!grants)
                return;
        for (size_t i = 0; i < grants->count; i++)
                grant_free(grants->grants[i]);
        while (grants->gateways) {
                struct vn_gateway *next = grants->gateways->next;
                gateway_free(grants->gateways);
                grants->gateways = next;
        }
        vn_free(grants->grants);
        vn_free(grants);
        server->grants = NULL;
}

struct vn_grant *vn_grant_find(struct vn_grants *grants, const char *id)
{
        for (size_t i = 0; i < grants->count; i++)
                if (!strcmp(grants->grants[i]->id, id))
                        return grants->grants[i];
        return NULL;
}

/* --- the table --- */

static bool is_over(const struct vn_grant *grant)
{
        return grant->state != VN_GRANT_ASKED && grant->state != VN_GRANT_HELD;
}

static void forget(struct vn_grants *grants, size_t i)
{
        for (struct vn_gateway *gateway = grants->gateways; gateway; gateway = gateway->next)
                for (size_t w = 0; w < VN_GRANT_MAX_WISHES; w++)
                        if (gateway->wishes[w].grant == grants->grants[i])
                                gateway->wishes[w].grant = NULL;
        grant_free(grants->grants[i]);
        memmove(&grants->grants[i], &grants->grants[i + 1], (--grants->count - i) * sizeof *grants->grants);
}

/* The oldest that is over makes room. */
static bool make_room(struct vn_grants *grants)
{
        if (grants->count < VN_MAX_GRANTS)
                return true;
        for (size_t i = 0; i < grants->count; i++) {
                if (!is_over(grants->grants[i]))
                        continue;
                forget(grants, i);
                return true;
        }
        return false;
}

static enum vn_rc add(struct vn_grants *grants, struct vn_grant *grant, struct vn_err *err)
{
        struct vn_grant **grown =
                make_room(grants) ? vn_realloc(grants->grants, (grants->count + 1) * sizeof *grown) : NULL;
        if (!grown)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d grants", VN_MAX_GRANTS);
        grants->grants = grown;
        grown[grants->count++] = grant;
        return VN_OK;
}

enum vn_rc vn_grant_record(struct vn_server *server, const struct vn_grant *grant, const char *actor,
                           const char *what, struct vn_err *err)
{
        char choice[64], summary[256];
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        snprintf(choice, sizeof choice, "grant %s %s", grant->id, what);
        snprintf(summary, sizeof summary, "invoke grant %s for gateway %.64s %s: %zu functions, first %.64s",
                 grant->id, grant->gateway, what, grant->function_count, grant->functions[0].name);
        struct vn_change change = {.kind = VN_RECORD_ACCOUNT,
                                   .tenant = grant->tenant,
                                   .actor = actor,
                                   .subject = grant->account,
                                   .choice = choice,
                                   .summary = summary};
        VN_TRY(vn_record_change(server, batch, &change, NULL, err));
        return vn_store_commit(server->store, batch, err);
}

/* --- telling the gateway --- */

void vn_grant_trouble(struct vn_server *server, uint64_t stream, const char *account, const char *message)
{
        Vane__V1__GatewayEvent event = VANE__V1__GATEWAY_EVENT__INIT;
        Vane__V1__GrantTrouble trouble = VANE__V1__GRANT_TROUBLE__INIT;
        trouble.account = vn_state_text(account);
        trouble.message = vn_state_text(message);
        event.event_case = VANE__V1__GATEWAY_EVENT__EVENT_TROUBLE;
        event.trouble = &trouble;
        vn_hub_send_gateway(server, stream, &event.base);
}

void vn_grant_revoke(struct vn_server *server, struct vn_grant *grant)
{
        Vane__V1__GatewayEvent event = VANE__V1__GATEWAY_EVENT__INIT;
        Vane__V1__GrantId id = VANE__V1__GRANT_ID__INIT;
        grant->state = VN_GRANT_REVOKED;
        id.id = grant->id;
        event.event_case = VANE__V1__GATEWAY_EVENT__EVENT_REVOKED;
        event.revoked = &id;
        vn_hub_send_gateway(server, grant->stream, &event.base);
}

void vn_grants_account_closed(struct vn_server *server, uint64_t account_id)
{
        for (size_t i = 0; i < server->grants->count; i++)
                if (server->grants->grants[i]->account_id == account_id && !is_over(server->grants->grants[i]))
                        vn_grant_revoke(server, server->grants->grants[i]);
}

/* --- from a wish to a request --- */

/* A revoked grant that its cloud still honours bars its gateway from another one. */
static bool is_barred(const struct vn_server *server, const struct vn_gateway *gateway, uint64_t account_id)
{
        for (size_t i = 0; i < server->grants->count; i++) {
                const struct vn_grant *g = server->grants->grants[i];
                int64_t until_us = g->honoured_until_us ? g->honoured_until_us : g->expires_us;
                if (g->state == VN_GRANT_REVOKED && g->account_id == account_id &&
                    !strcmp(g->gateway, gateway->name) && !strcmp(g->tenant, gateway->tenant) &&
                    vn_now_us(server->clock) < until_us)
                        return true;
        }
        return false;
}

static enum vn_rc check_account(struct vn_server *server, const struct vn_gateway *gateway,
                                const struct vn_account_entry *account, struct vn_err *err)
{
        if (!account || account->revoked)
                return vn_fail(err, VN_NOT_FOUND, "no such account");
        if (vn_registry_usable_level(account) < VN_LEVEL_INVOKE)
                return vn_fail(err, VN_PERMISSION_DENIED, "the account may not be invoked: its level is %s%s%s",
                               vn_level_name(vn_registry_usable_level(account)),
                               account->refused[0] ? ", refused: " : "", account->refused);
        if (!vn_registry_online(server, account))
                return vn_fail(err, VN_UNAVAILABLE, "its agent is not there to mint a grant");
        if (is_barred(server, gateway, account->id))
                return vn_fail(err, VN_PERMISSION_DENIED, "a grant of this gateway was revoked there");
        return VN_OK;
}

static enum vn_rc fill_functions(const Vane__V1__GrantWish *wish, struct vn_account_entry *account,
                                 struct vn_grant *grant, struct vn_err *err)
{
        if (!wish->n_functions || wish->n_functions > VN_GRANT_MAX_FUNCTIONS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions: 1 to %d by name", VN_GRANT_MAX_FUNCTIONS);
        grant->functions = vn_alloc_array(wish->n_functions, sizeof *grant->functions);
        if (!grant->functions)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        for (size_t i = 0; i < wish->n_functions; i++) {
                const struct vn_function_entry *found = NULL;
                for (size_t k = 0; !found && k < account->function_count; k++)
                        if (!strcmp(account->functions[k].name, wish->functions[i]))
                                found = &account->functions[k];
                if (!found)
                        return vn_fail(err, VN_NOT_FOUND, "it has no function \"%.64s\"", wish->functions[i]);
                memcpy(grant->functions[i].name, found->name, sizeof found->name);
                memcpy(grant->functions[i].region, found->region, sizeof found->region);
                grant->function_count++;
        }
        return VN_OK;
}

static void send_request(struct vn_server *server, struct vn_gateway *gateway, struct vn_grant *grant)
{
        Vane__V1__AgentEvent event = VANE__V1__AGENT_EVENT__INIT;
        Vane__V1__GrantRequest request = VANE__V1__GRANT_REQUEST__INIT;
        Vane__V1__GrantFunction functions[VN_GRANT_MAX_FUNCTIONS], *list[VN_GRANT_MAX_FUNCTIONS];
        for (size_t i = 0; i < grant->function_count; i++) {
                list[i] = &functions[i];
                vane__v1__grant_function__init(list[i]);
                functions[i].name = grant->functions[i].name;
                functions[i].region = grant->functions[i].region;
        }
        request.id = grant->id;
        request.gateway = grant->gateway;
        request.gateway_key = gateway->hello->hello->public_key;
        request.functions = list;
        request.n_functions = grant->function_count;
        request.seconds = VN_GRANT_S;
        event.event_case = VANE__V1__AGENT_EVENT__EVENT_GRANT;
        event.grant = &request;
        vn_hub_send_agent(server, grant->account_id, &event.base);
}

static enum vn_rc make_grant(struct vn_server *server, struct vn_gateway *gateway, const Vane__V1__GrantWish *wish,
                             struct vn_grant *grant, struct vn_err *err)
{
        struct vn_account_entry *account = vn_registry_by_name(server->registry, gateway->tenant, wish->account);
        uint8_t id[8];
        VN_TRY(check_account(server, gateway, account, err));
        VN_TRY(fill_functions(wish, account, grant, err));
        vn_random_bytes(id, sizeof id);
        vn_hex(id, sizeof id, grant->id);
        grant->account_id = account->id;
        grant->stream = gateway->stream;
        grant->cloud = account->cloud;
        memcpy(grant->tenant, gateway->tenant, sizeof grant->tenant);
        memcpy(grant->gateway, gateway->name, sizeof grant->gateway);
        memcpy(grant->account, account->name, sizeof grant->account);
        grant->asked_us = vn_now_us(server->clock);
        grant->asked_mono_us = vn_mono_us(vn_clock_real());
        return vn_grant_record(server, grant, gateway->name, "issued", err);
}

static void ask(struct vn_server *server, struct vn_gateway *gateway, size_t w)
{
        const Vane__V1__GrantWish *wish = gateway->hello->hello->wishes[w];
        struct vn_err err;
        struct vn_grant *grant = vn_alloc(sizeof *grant);
        unsigned failures = gateway->wishes[w].failures;
        gateway->wishes[w].next_mono_us = vn_mono_us(vn_clock_real()) + ASK_AGAIN_US;
        enum vn_rc rc = grant ? make_grant(server, gateway, wish, grant, &err)
                              : vn_fail(&err, VN_RESOURCE_EXHAUSTED, "out of memory");
        if (rc == VN_OK)
                rc = add(server->grants, grant, &err);
        if (rc != VN_OK) {
                vn_grant_trouble(server, gateway->stream, wish->account, err.msg);
                if (grant)
                        grant_free(grant);
                return;
        }
        gateway->wishes[w].grant = grant;
        gateway->wishes[w].failures = failures + 1; /* none again, once it is held */
        gateway->wishes[w].next_mono_us =
                grant->asked_mono_us + (ASK_AGAIN_US << (failures < MAX_DOUBLINGS ? failures : MAX_DOUBLINGS));
        send_request(server, gateway, grant);
}

/* --- gateways --- */

void vn_gateway_hello(struct vn_server *server, uint64_t stream, const struct vn_identity *who,
                      Vane__V1__GatewayMessage *message)
{
        struct vn_grants *grants = server->grants;
        const Vane__V1__GatewayHello *hello = message->hello;
        const char *why = NULL;
        struct vn_gateway *gateway;
        for (gateway = grants->gateways; gateway; gateway = gateway->next)
                if (gateway->stream == stream)
                        why = "a second hello";
        if (hello->public_key.len != VN_HPKE_KEY_BYTES || !hello->n_wishes || hello->n_wishes > VN_GRANT_MAX_WISHES)
                why = "a hello has a public key of 32 bytes and 1 to 32 wishes";
        if (!why && (grants->gateway_count == VN_MAX_GATEWAYS || !(gateway = vn_alloc(sizeof *gateway))))
                why = "too many gateways";
        if (why) {
                vn_grant_trouble(server, stream, "", why);
                vane__v1__gateway_message__free_unpacked(message, NULL);
                return;
        }
        gateway->stream = stream;
        gateway->hello = message;
        memcpy(gateway->tenant, who->tenant, sizeof gateway->tenant);
        memcpy(gateway->name, who->actor, sizeof gateway->name);
        gateway->next = grants->gateways;
        grants->gateways = gateway;
        grants->gateway_count++;
        for (size_t w = 0; w < hello->n_wishes; w++)
                ask(server, gateway, w);
}

void vn_gateway_gone(struct vn_server *server, uint64_t stream)
{
        struct vn_grants *grants = server->grants;
        for (size_t i = 0; i < grants->count; i++)
                if (grants->grants[i]->stream == stream && !is_over(grants->grants[i]))
                        grants->grants[i]->state = VN_GRANT_ENDED;
        for (struct vn_gateway **at = &grants->gateways; *at; at = &(*at)->next) {
                struct vn_gateway *gateway = *at;
                if (gateway->stream != stream)
                        continue;
                *at = gateway->next;
                grants->gateway_count--;
                gateway_free(gateway);
                return;
        }
}

/* What the gateway has is renewed when a third of its time is left. */
static bool needs_another(struct vn_gateway *gateway, size_t w, int64_t now_us, int64_t mono_us)
{
        struct vn_grant *grant = gateway->wishes[w].grant;
        if (!grant)
                return true;
        switch (grant->state) {
        case VN_GRANT_ASKED:
                if (mono_us - grant->asked_mono_us < ANSWER_US)
                        return false;
                grant->state = VN_GRANT_FAILED;
                return true;
        case VN_GRANT_HELD:
                gateway->wishes[w].failures = 0;
                return grant->expires_us - now_us < (grant->expires_us - grant->asked_us) / 3;
        case VN_GRANT_REVOKED: gateway->wishes[w].closed = true; return false;
        case VN_GRANT_ENDED:
        case VN_GRANT_FAILED: break;
        }
        return true;
}

void vn_grants_tick(struct vn_server *server, int64_t now_us)
{
        struct vn_grants *grants = server->grants;
        int64_t mono_us = vn_mono_us(vn_clock_real());
        for (size_t i = 0; i < grants->count; i++)
                if (grants->grants[i]->state == VN_GRANT_HELD && grants->grants[i]->expires_us <= now_us)
                        grants->grants[i]->state = VN_GRANT_ENDED;
        for (struct vn_gateway *gateway = grants->gateways; gateway; gateway = gateway->next)
                for (size_t w = 0; w < gateway->hello->hello->n_wishes; w++)
                        if (!gateway->wishes[w].closed && mono_us >= gateway->wishes[w].next_mono_us &&
                            needs_another(gateway, w, now_us, mono_us))
                                ask(server, gateway, w);
}
