#include "server/policy_table.h"

#include <stdio.h>

#include "base/hash.h"
#include "server/record.h"
#include "server/routing/routing.h"
#include "server/routing/spend.h"
#include "server/state.h"
#include "vane/state/state.pb-c.h"
#include "vane/v1/control.pb-c.h"

struct vn_policy_table {
        struct vn_policy_entry *entries;
        size_t count;
        struct vn_policy_entry built_in;
};

static struct vn_policy_entry *find(const struct vn_policy_table *table, const char *tenant, const char *name)
{
        for (size_t i = 0; i < table->count; i++)
                if (!strcmp(table->entries[i].tenant, tenant) && !strcmp(table->entries[i].compiled.name, name))
                        return &table->entries[i];
        return NULL;
}

static size_t fixed_characters(const char *glob)
{
        size_t n = 0;
        for (; *glob; glob++)
                n += *glob != '*' && *glob != '?';
        return n;
}

const struct vn_policy_entry *vn_policy_for(const struct vn_server *server, const char *tenant, const char *workload)
{
        const struct vn_policy_table *table = server->policies;
        const struct vn_policy_entry *best = NULL;
        for (size_t i = 0; i < table->count; i++) {
                const struct vn_policy_entry *e = &table->entries[i];
                if (strcmp(e->tenant, tenant) || !vn_policy_glob(e->compiled.workloads, workload))
                        continue;
                size_t mine = fixed_characters(e->compiled.workloads);
                size_t other = best ? fixed_characters(best->compiled.workloads) : 0;
                if (!best || mine > other || (mine == other && strcmp(e->compiled.name, best->compiled.name) < 0))
                        best = e;
        }
        return best ? best : &table->built_in;
}

static struct vn_policy_entry *append(struct vn_policy_table *table)
{
        struct vn_policy_entry *grown = table->count < VN_MAX_POLICIES
                                                ? vn_realloc(table->entries, (table->count + 1) * sizeof *grown)
                                                : NULL;
        if (!grown)
                return NULL;
        table->entries = grown;
        memset(&grown[table->count], 0, sizeof *grown);
        grown[table->count].number = (uint16_t)(table->count + 1);
        return &grown[table->count++];
}

size_t vn_policy_count(const struct vn_server *server)
{
        return server->policies->count;
}

const struct vn_policy_entry *vn_policy_at(const struct vn_server *server, size_t index)
{
        VN_ASSERT(index < server->policies->count);
        return &server->policies->entries[index];
}

static enum vn_rc fill(struct vn_policy_entry *entry, const Vane__State__Policy *p, struct vn_err *err)
{
        struct vn_policy_errors errors;
        VN_TRY(vn_policy_parse(vn_str(p->document), &entry->compiled, &errors, err));
        char *document = vn_strdup(p->document);
        if (!document)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_free(entry->document);
        entry->document = document;
        entry->version = p->version;
        entry->time_us = p->time_us;
        if (!vn_str_copy(entry->tenant, sizeof entry->tenant, vn_str(p->tenant)) ||
            !vn_str_copy(entry->author, sizeof entry->author, vn_str(p->author)) ||
            !vn_str_copy(entry->decision_id, sizeof entry->decision_id, vn_str(p->decision_id)))
                return vn_fail(err, VN_DATA_LOSS, "policies: a stored text is too long");
        return VN_OK;
}

static enum vn_rc load_policy(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        (void)key;
        struct vn_policy_entry *entry = append(arg);
        enum vn_rc rc = entry ? fill(entry, (Vane__State__Policy *)message, err)
                              : vn_fail(err, VN_RESOURCE_EXHAUSTED, "at most %d policies", VN_MAX_POLICIES);
        protobuf_c_message_free_unpacked(message, NULL);
        return rc;
}

enum vn_rc vn_policy_table_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_policy_table *table = server->policies = vn_alloc(sizeof *table);
        if (!table)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_policy_default(&table->built_in.compiled);
        return vn_state_load(server->store, VN_TABLE_policies, &vane__state__policy__descriptor, load_policy, table,
                             err);
}

void vn_policy_table_stop(struct vn_server *server)
{
        struct vn_policy_table *table = server->policies;
        if (!table)
                return;
        for (size_t i = 0; i < table->count; i++)
                vn_free(table->entries[i].document);
        vn_free(table->entries);
        vn_free(table);
        server->policies = NULL;
}

static Vane__V1__Policy *policy_message(struct vn_op *op, const Vane__State__Policy *p,
                                        const struct vn_policy_compiled *compiled)
{
        Vane__V1__Policy *m = VN_NEW_MESSAGE(op->arena, Vane__V1__Policy, vane__v1__policy__init);
        if (!m)
                return NULL;
        uint8_t digest[32];
        char hex[65];
        vn_sha256(p->document, strlen(p->document), digest);
        vn_hex(digest, 32, hex);
        m->name = vn_op_text(op, p->name);
        m->version = p->version;
        m->document = vn_op_text(op, p->document);
        m->author = vn_op_text(op, p->author);
        m->time_us = p->time_us;
        m->sha256 = vn_op_text(op, hex);
        m->decision_id = vn_op_text(op, p->decision_id);
        m->scope = vn_op_text(op, compiled->workloads);
        return m;
}

static void stored_of(const struct vn_policy_entry *entry, Vane__State__Policy *ret)
{
        vane__state__policy__init(ret);
        ret->tenant = vn_state_text(entry->tenant);
        ret->name = vn_state_text(entry->compiled.name);
        ret->version = entry->version;
        ret->document = entry->document;
        ret->author = vn_state_text(entry->author);
        ret->time_us = entry->time_us;
        ret->decision_id = vn_state_text(entry->decision_id);
}

/* Stores the document as the next version and puts it in force. */
static enum vn_rc put_in_force(struct vn_op *op, const char *document, const struct vn_policy_compiled *compiled,
                               const char *what, ProtobufCMessage **ret_reply, struct vn_err *err)
{
        struct vn_policy_table *table = op->server->policies;
        struct vn_policy_entry *entry = find(table, op->identity->tenant, compiled->name);
        char id[VN_DECISION_ID_TEXT_BYTES], before[32] = "", after[64];
        Vane__State__Policy p = VANE__STATE__POLICY__INIT;
        p.version = entry ? entry->version + 1 : 1;
        if (entry)
                snprintf(before, sizeof before, "version %llu", (unsigned long long)entry->version);
        snprintf(after, sizeof after, "version %llu%s%s", (unsigned long long)p.version, what[0] ? ": " : "", what);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_op_no_memory(err);
        struct vn_change change = {.kind = VN_RECORD_POLICY,
                                   .tenant = op->identity->tenant,
                                   .actor = op->identity->actor,
                                   .subject = compiled->name,
                                   .before = before,
                                   .choice = after,
                                   .policy_version = p.version};
        VN_TRY(vn_record_change(op->server, batch, &change, id, err));
        p.tenant = vn_state_text(op->identity->tenant);
        p.name = vn_state_text(compiled->name);
        p.document = vn_state_text(document);
        p.author = vn_state_text(op->identity->actor);
        p.time_us = op->now_us;
        p.decision_id = id;
        struct vn_key key, version_key;
        vn_key_text(vn_key_init(&key, vn_str(p.tenant)), vn_str(p.name));
        version_key = key;
        vn_state_put(batch, VN_TABLE_policies, &key, &p.base);
        vn_state_put(batch, VN_TABLE_policy_versions, vn_key_u64(&version_key, p.version), &p.base);
        Vane__V1__Policy *reply = policy_message(op, &p, compiled);
        if (!reply || (!entry && !(entry = append(table))))
                return vn_op_no_memory(err);
        enum vn_rc rc = vn_store_commit(op->server->store, batch, err);
        if (rc == VN_OK)
                rc = fill(entry, &p, err);
        else if (!entry->version)
                table->count--; /* the entry that was appended for it */
        VN_TRY(rc);
        vn_routing_dirty(op->server);
        *ret_reply = &reply->base;
        return VN_OK;
}

enum vn_rc op_apply_policy(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        const Vane__V1__ApplyPolicyRequest *request = (const Vane__V1__ApplyPolicyRequest *)message;
        struct vn_policy_compiled compiled;
        struct vn_policy_errors errors;
        enum vn_rc rc = vn_policy_parse(vn_str(request->document), &compiled, &errors, err);
        if (rc != VN_OK)
                return errors.count > 1 ? vn_err_prefix(err, rc, "document has %zu errors, the first", errors.count)
                                        : vn_err_prefix(err, rc, "document");
        const struct vn_policy_entry *entry = find(op->server->policies, op->identity->tenant, compiled.name);
        uint64_t current = entry ? entry->version : 0;
        if (request->expected_version && request->expected_version != current)
                return vn_fail(err, VN_ABORTED, "expected_version: %llu was expected, %llu is in force",
                               (unsigned long long)request->expected_version, (unsigned long long)current);
        if (entry && !strcmp(entry->document, request->document)) {
                Vane__State__Policy p;
                stored_of(entry, &p); /* nothing changes, so nothing is recorded */
                Vane__V1__Policy *reply = policy_message(op, &p, &entry->compiled);
                *ret_reply = reply ? &reply->base : NULL;
                return reply ? VN_OK : vn_op_no_memory(err);
        }
        return put_in_force(op, request->document, &compiled, "", ret_reply, err);
}

enum vn_rc op_check_policy(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        const Vane__V1__ApplyPolicyRequest *request = (const Vane__V1__ApplyPolicyRequest *)message;
        struct vn_policy_compiled compiled;
        struct vn_policy_errors errors;
        struct vn_err first;
        Vane__V1__CheckPolicyResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__CheckPolicyResponse, vane__v1__check_policy_response__init);
        if (!m)
                return vn_op_no_memory(err);
        m->ok = vn_policy_parse(vn_str(request->document), &compiled, &errors, &first) == VN_OK;
        m->name = vn_op_text(op, compiled.name);
        m->errors = vn_arena_alloc(op->arena, VN_POLICY_MAX_ERRORS * sizeof *m->errors);
        if (!m->errors)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < errors.count; i++) {
                Vane__V1__PolicyError *e =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__PolicyError, vane__v1__policy_error__init);
                if (!e)
                        return vn_op_no_memory(err);
                e->line = errors.items[i].line;
                e->column = errors.items[i].column;
                e->field = vn_op_text(op, errors.items[i].field);
                e->message = vn_op_text(op, errors.items[i].message);
                m->errors[m->n_errors++] = e;
        }
        if (m->ok) {
                VN_AUTO(vn_buf)
                json = VN_BUF_INIT(16384);
                vn_policy_print(&compiled, &json);
                m->canonical_json = vn_op_text(op, vn_buf_view(&json).ptr);
        }
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_list_policies(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                            struct vn_err *err)
{
        const Vane__V1__PageRequest *request = (const Vane__V1__PageRequest *)message;
        const struct vn_policy_table *table = op->server->policies;
        size_t total = 0;
        const struct vn_policy_entry **mine = vn_arena_alloc(op->arena, (table->count + 1) * sizeof *mine);
        Vane__V1__ListPoliciesResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__ListPoliciesResponse, vane__v1__list_policies_response__init);
        if (!m || !mine)
                return vn_op_no_memory(err);
        for (size_t i = 0; i < table->count; i++)
                if (!strcmp(table->entries[i].tenant, op->identity->tenant) &&
                    strstr(table->entries[i].compiled.name, request->filter))
                        mine[total++] = &table->entries[i];
        struct vn_page page;
        VN_TRY(vn_op_page(op, request->page_size, request->page_token, total, &page, err));
        m->policies = vn_arena_alloc(op->arena, (page.count + 1) * sizeof *m->policies);
        for (size_t i = 0; m->policies && i < page.count; i++) {
                Vane__State__Policy p;
                stored_of(mine[page.from + i], &p);
                if ((m->policies[i] = policy_message(op, &p, &mine[page.from + i]->compiled)))
                        m->n_policies++;
        }
        if (m->n_policies != page.count)
                return vn_op_no_memory(err);
        m->next_page_token = page.next_token;
        m->total = (uint32_t)total;
        *ret_reply = &m->base;
        return VN_OK;
}

/* One stored version (0: the newest), unpacked; the caller frees it. */
static enum vn_rc load_version(struct vn_op *op, const char *name, uint64_t version, Vane__State__Policy **ret,
                               struct vn_err *err)
{
        const struct vn_policy_entry *entry = find(op->server->policies, op->identity->tenant, name);
        if (!entry)
                return vn_fail(err, VN_NOT_FOUND, "name: no policy \"%.64s\"", name);
        struct vn_key key;
        vn_key_u64(vn_key_text(vn_key_init(&key, vn_str(op->identity->tenant)), vn_str(name)),
                   version ? version : entry->version);
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VALUE_MAX_BYTES);
        if (vn_store_get(op->server->store, VN_TABLE_policy_versions, &key, &bytes, err) != VN_OK)
                return vn_fail(err, VN_NOT_FOUND, "version: policy \"%.64s\" has no version %llu", name,
                               (unsigned long long)version);
        *ret = vane__state__policy__unpack(NULL, bytes.len, (const uint8_t *)bytes.ptr);
        return *ret ? VN_OK : vn_fail(err, VN_DATA_LOSS, "a stored policy does not unpack");
}

enum vn_rc op_get_policy(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                         struct vn_err *err)
{
        const Vane__V1__GetPolicyRequest *request = (const Vane__V1__GetPolicyRequest *)message;
        Vane__State__Policy *p;
        struct vn_policy_compiled compiled;
        struct vn_policy_errors errors;
        VN_TRY(load_version(op, request->name, request->version, &p, err));
        enum vn_rc rc = vn_policy_parse(vn_str(p->document), &compiled, &errors, err);
        Vane__V1__Policy *reply = rc == VN_OK ? policy_message(op, p, &compiled) : NULL;
        vane__state__policy__free_unpacked(p, NULL);
        VN_TRY(rc);
        *ret_reply = reply ? &reply->base : NULL;
        return reply ? VN_OK : vn_op_no_memory(err);
}

enum vn_rc op_get_policy_spend(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                               struct vn_err *err)
{
        const Vane__V1__PolicySpendRequest *request = (const Vane__V1__PolicySpendRequest *)message;
        const struct vn_policy_entry *entry = find(op->server->policies, op->identity->tenant, request->name);
        if (!entry)
                return vn_fail(err, VN_NOT_FOUND, "name: no policy \"%.64s\"", request->name);
        Vane__V1__PolicySpend *m = VN_NEW_MESSAGE(op->arena, Vane__V1__PolicySpend, vane__v1__policy_spend__init);
        if (!m)
                return vn_op_no_memory(err);
        m->name = vn_op_text(op, entry->compiled.name);
        m->spent_today_usd = vn_spend_today_usd(op->server, entry);
        m->budget_usd_per_day = entry->compiled.budget_usd_per_day;
        *ret_reply = &m->base;
        return VN_OK;
}

static enum vn_rc compiled_version(struct vn_op *op, const char *name, uint64_t version,
                                   struct vn_policy_compiled *ret, struct vn_err *err)
{
        Vane__State__Policy *p;
        struct vn_policy_errors errors;
        VN_TRY(load_version(op, name, version, &p, err));
        enum vn_rc rc = vn_policy_parse(vn_str(p->document), ret, &errors, err);
        vane__state__policy__free_unpacked(p, NULL);
        return rc;
}

enum vn_rc op_diff_policy(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                          struct vn_err *err)
{
        const Vane__V1__DiffPolicyRequest *request = (const Vane__V1__DiffPolicyRequest *)message;
        struct vn_policy_compiled before, after;
        struct vn_policy_change *rows = vn_arena_alloc(op->arena, VN_POLICY_MAX_CHANGES * sizeof *rows);
        Vane__V1__DiffPolicyResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__DiffPolicyResponse, vane__v1__diff_policy_response__init);
        if (!rows || !m)
                return vn_op_no_memory(err);
        if (!request->from_version)
                return vn_fail(err, VN_INVALID_ARGUMENT, "from_version: required");
        VN_TRY(compiled_version(op, request->name, request->from_version, &before, err));
        VN_TRY(compiled_version(op, request->name, request->to_version, &after, err));
        size_t count = vn_policy_diff(&before, &after, rows);
        m->changes = vn_arena_alloc(op->arena, (count + 1) * sizeof *m->changes);
        for (size_t i = 0; m->changes && i < count; i++) {
                Vane__V1__PolicyChange *c =
                        VN_NEW_MESSAGE(op->arena, Vane__V1__PolicyChange, vane__v1__policy_change__init);
                if (!c)
                        return vn_op_no_memory(err);
                c->field = rows[i].field;
                c->before = rows[i].before;
                c->after = rows[i].after;
                m->changes[m->n_changes++] = c;
        }
        *ret_reply = &m->base;
        return VN_OK;
}

enum vn_rc op_rollback_policy(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                              struct vn_err *err)
{
        const Vane__V1__RollbackPolicyRequest *request = (const Vane__V1__RollbackPolicyRequest *)message;
        Vane__State__Policy *p;
        struct vn_policy_compiled compiled;
        struct vn_policy_errors errors;
        char what[48];
        if (!request->to_version)
                return vn_fail(err, VN_INVALID_ARGUMENT, "to_version: required");
        VN_TRY(load_version(op, request->name, request->to_version, &p, err));
        enum vn_rc rc = vn_policy_parse(vn_str(p->document), &compiled, &errors, err);
        snprintf(what, sizeof what, "as version %llu", (unsigned long long)request->to_version);
        if (rc == VN_OK)
                rc = put_in_force(op, p->document, &compiled, what, ret_reply, err);
        vane__state__policy__free_unpacked(p, NULL);
        return rc;
}
