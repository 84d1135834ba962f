#include "server/tenants.h"

#include <stdio.h>

#include "server/people.h"
#include "server/people_table.h"
#include "server/record.h"
#include "server/rounds/rounds.h"
#include "server/state.h"
#include "vane/state/state.pb-c.h"
#include "vane/v1/control.pb-c.h"

struct vn_tenants {
        struct vn_tenant_entry items[VN_MAX_TENANTS];
        uint16_t by_name[VN_MAX_TENANTS]; /* numbers, in the order of names */
        size_t count;
};

bool vn_tenant_name_ok(const char *name)
{
        size_t n = strlen(name);
        if (n == 0 || n > VN_MAX_TENANT_NAME || name[0] == '-')
                return false;
        for (size_t i = 0; i < n; i++)
                if (!(name[i] >= 'a' && name[i] <= 'z') && !(name[i] >= '0' && name[i] <= '9') && name[i] != '-')
                        return false;
        return true;
}

enum vn_rc vn_tenant_is_installation(const struct vn_identity *who, struct vn_err *err)
{
        if (strcmp(who->tenant, VN_TENANT_DEFAULT))
                return vn_fail(err, VN_PERMISSION_DENIED,
                               "this is about the whole installation: only people of the tenant \"%s\" may",
                               VN_TENANT_DEFAULT);
        return VN_OK;
}

/* Where the name stands in by_name, or would. */
static size_t place_of(const struct vn_tenants *tenants, const char *name, bool *ret_found)
{
        size_t low = 0, high = tenants->count;
        *ret_found = false;
        while (low < high) {
                size_t middle = (low + high) / 2;
                int order = strcmp(name, tenants->items[tenants->by_name[middle]].name);
                if (order == 0) {
                        *ret_found = true;
                        return middle;
                }
                if (order < 0)
                        high = middle;
                else
                        low = middle + 1;
        }
        return low;
}

static struct vn_tenant_entry *add(struct vn_tenants *tenants, const char *name, const char *created_by,
                                   int64_t created_us)
{
        bool found;
        size_t place = place_of(tenants, name, &found);
        if (found || tenants->count == VN_MAX_TENANTS)
                return NULL;
        struct vn_tenant_entry *tenant = &tenants->items[tenants->count];
        if (!vn_str_copy(tenant->name, sizeof tenant->name, vn_str(name)) ||
            !vn_str_copy(tenant->created_by, sizeof tenant->created_by, vn_str(created_by)))
                return NULL;
        tenant->created_us = created_us;
        tenant->changes = 0;
        memmove(&tenants->by_name[place + 1], &tenants->by_name[place],
                (tenants->count - place) * sizeof tenants->by_name[0]);
        tenants->by_name[place] = (uint16_t)tenants->count++;
        return tenant;
}

static void remove_last(struct vn_tenants *tenants)
{
        bool found;
        size_t place = place_of(tenants, tenants->items[tenants->count - 1].name, &found);
        VN_ASSERT(found);
        tenants->count--;
        memmove(&tenants->by_name[place], &tenants->by_name[place + 1],
                (tenants->count - place) * sizeof tenants->by_name[0]);
}

size_t vn_tenants_count(const struct vn_server *server)
{
        return server->tenants->count;
}

const struct vn_tenant_entry *vn_tenants_at(const struct vn_server *server, size_t number)
{
        VN_ASSERT(number < server->tenants->count);
        return &server->tenants->items[number];
}

size_t vn_tenants_number(const struct vn_server *server, const char *name)
{
        bool found;
        size_t place = place_of(server->tenants, name, &found);
        VN_ASSERT(found);
        return server->tenants->by_name[place];
}

void vn_tenants_count_change(struct vn_server *server, const char *name)
{
        server->tenants->items[vn_tenants_number(server, name)].changes++;
}

static void store(struct vn_batch *batch, const char *name, const char *created_by, int64_t created_us)
{
        Vane__State__Tenant stored = VANE__STATE__TENANT__INIT;
        struct vn_key key;
        stored.name = vn_state_text(name);
        stored.created_by = vn_state_text(created_by);
        stored.created_us = created_us;
        vn_key_text(vn_key_init(&key, VN_STR(VN_TENANT_SYSTEM)), vn_str(name));
        vn_state_put(batch, VN_TABLE_tenants, &key, &stored.base);
}

static enum vn_rc load_tenant(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        Vane__State__Tenant *t = (Vane__State__Tenant *)message;
        bool good = vn_tenant_name_ok(t->name) && add(arg, t->name, t->created_by, t->created_us);
        vane__state__tenant__free_unpacked(t, NULL);
        return good ? VN_OK : vn_fail(err, VN_DATA_LOSS, "tenants: a stored tenant is not readable");
}

static enum vn_rc record_tenant(struct vn_server *server, struct vn_batch *batch, const char *name, const char *actor,
                                struct vn_err *err)
{
        struct vn_change change = {.kind = VN_RECORD_PEOPLE,
                                   .tenant = VN_TENANT_DEFAULT,
                                   .actor = actor,
                                   .subject = name,
                                   .choice = "tenant made"};
        return vn_record_change(server, batch, &change, NULL, err);
}

enum vn_rc vn_tenants_start(struct vn_server *server, struct vn_err *err)
{
        static const char actor[] = "system:first-start";
        struct vn_tenants *tenants = server->tenants = vn_alloc(sizeof *tenants);
        bool found;
        if (!tenants)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(vn_state_load(server->store, VN_TABLE_tenants, &vane__state__tenant__descriptor, load_tenant, tenants,
                             err));
        place_of(tenants, VN_TENANT_DEFAULT, &found);
        if (found)
                return VN_OK;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch || !add(tenants, VN_TENANT_DEFAULT, actor, server->started_us))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        store(batch, VN_TENANT_DEFAULT, actor, server->started_us);
        VN_TRY(record_tenant(server, batch, VN_TENANT_DEFAULT, actor, err));
        return vn_store_commit(server->store, batch, err);
}

void vn_tenants_stop(struct vn_server *server)
{
        vn_free(server->tenants);
        server->tenants = NULL;
}

/* --- what the installation's admins ask --- */

static enum vn_rc check(struct vn_op *op, const char *name, struct vn_err *err)
{
        const struct vn_tenants *tenants = op->server->tenants;
        bool found;
        VN_TRY(vn_tenant_is_installation(op->identity, err));
        if (!vn_tenant_name_ok(name))
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "name: 1 to 63 lower-case letters, digits and hyphens, the first no hyphen");
        place_of(tenants, name, &found);
        if (found)
                return vn_fail(err, VN_ALREADY_EXISTS, "name: tenant \"%s\" exists", name);
        return tenants->count == VN_MAX_TENANTS
                       ? vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d tenants", VN_MAX_TENANTS)
                       : VN_OK;
}

static Vane__V1__Tenant *tenant_message(struct vn_op *op, const struct vn_tenant_entry *tenant)
{
        Vane__V1__Tenant *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Tenant, vane__v1__tenant__init);
        if (m) {
                m->name = vn_op_text(op, tenant->name);
                m->created_us = tenant->created_us;
                m->created_by = vn_op_text(op, tenant->created_by);
        }
        return m;
}

static enum vn_rc created_reply(struct vn_op *op, const struct vn_tenant_entry *tenant,
                                const struct vn_first_login logins[VN_FIRST_PEOPLE], ProtobufCMessage **ret_reply,
                                struct vn_err *err)
{
        Vane__V1__CreateTenantResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__CreateTenantResponse, vane__v1__create_tenant_response__init);
        if (m) {
                m->tenant = tenant_message(op, tenant);
                m->people = vn_arena_alloc(op->arena, VN_FIRST_PEOPLE * sizeof *m->people);
        }
        if (!m || !m->tenant || !m->people)
                return vn_op_no_memory(err);
        m->expires_us = logins[0].expires_us;
        for (size_t i = 0; i < VN_FIRST_PEOPLE; i++) {
                Vane__V1__FirstLogin *one =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__FirstLogin, vane__v1__first_login__init);
                if (!one)
                        return vn_op_no_memory(err);
                one->name = vn_op_text(op, logins[i].name);
                one->role = vn_op_text(op, vn_role_name(logins[i].access));
                one->token = vn_op_text(op, logins[i].token);
                one->link = vn_op_printf(op, "http://127.0.0.1:%u/login#%s", op->server->http_port, logins[i].token);
                m->people[m->n_people++] = one;
        }
        *ret_reply = &m->base;
        return VN_OK;
}

/* One commit for the tenant, its people, their links, its first model and the records of all this: a tenant is there
 * whole or not at all. What is in memory before the commit is taken back by the caller. */
static enum vn_rc commit_tenant(struct vn_op *op, const struct vn_tenant_entry *tenant,
                                struct vn_first_login logins[VN_FIRST_PEOPLE], struct vn_lineage **ret_lineage,
                                ProtobufCMessage **ret_reply, struct vn_err *err)
{
        struct vn_server *server = op->server;
        const char *name = tenant->name;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_op_no_memory(err);
        store(batch, name, tenant->created_by, tenant->created_us);
        VN_TRY(record_tenant(server, batch, name, op->identity->actor, err));
        VN_TRY(vn_people_make_first(server, batch, name, "system:new-tenant", logins, err));
        VN_TRY(vn_rounds_make_first(server, batch, name, "system:new-tenant", ret_lineage, err));
        /* The answer before the commit: links that were never shown would be of no use to anybody. */
        VN_TRY(created_reply(op, tenant, logins, ret_reply, err));
        return vn_store_commit(server->store, batch, err);
}

enum vn_rc op_create_tenant(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                            struct vn_err *err)
{
        const char *name = ((const Vane__V1__CreateTenantRequest *)message)->name;
        struct vn_server *server = op->server;
        struct vn_people *people = server->people;
        struct vn_first_login logins[VN_FIRST_PEOPLE];
        struct vn_lineage *lineage = NULL;
        VN_TRY(check(op, name, err));
        const struct vn_tenant_entry *tenant = add(server->tenants, name, op->identity->actor, op->now_us);
        VN_ASSERT(tenant); /* check() made sure of it */
        size_t persons = people->person_count, tokens = people->token_count;
        enum vn_rc rc = commit_tenant(op, tenant, logins, &lineage, ret_reply, err);
        if (rc == VN_OK) {
                vn_rounds_adopt(server, lineage);
                vn_people_publish(server);
        } else {
                people->person_count = persons;
                people->token_count = tokens;
                vn_lineage_free(lineage);
                remove_last(server->tenants);
        }
        explicit_bzero(logins, sizeof logins);
        return rc;
}

enum vn_rc op_list_tenants(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        const struct vn_tenants *tenants = op->server->tenants;
        size_t total = 0;
        VN_TRY(vn_tenant_is_installation(op->identity, err));
        const struct vn_tenant_entry **listed = vn_arena_alloc(op->arena, (tenants->count + 1) * sizeof *listed);
        Vane__V1__ListTenantsResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListTenantsResponse, vane__v1__list_tenants_response__init);
        if (!listed || !m)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < tenants->count; i++) {
                const struct vn_tenant_entry *tenant = &tenants->items[tenants->by_name[i]];
                if (strstr(tenant->name, request->filter))
                        listed[total++] = tenant;
        }
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, total, &page, err));
        m->tenants = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->tenants);
        for (size_t i = 0; m->tenants && i < page.count; i++)
                if ((m->tenants[i] = tenant_message(op, listed[page.from + i])))
                        m->n_tenants++;
        if (m->n_tenants != page.count)
                return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        m->total = (uint32_t)total;
        *ret_reply = &m->base;
        return VN_OK;
}
