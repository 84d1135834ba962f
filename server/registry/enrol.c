/* enrol.c - what agents do with their account: join, renew, list functions. */
#include "base/hash.h"
#include "base/tls.h"
#include "server/record.h"
#include "server/registry/pki.h"
#include "server/registry/observing.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/state.h"
#include "server/people.h"
#include "vane/state/state.pb-c.h"
#include "vane/v1/agent.pb-c.h"

#define CERTIFICATE_MAX 16384

static enum vn_rc enrol_reply(struct vn_op *op, const struct vn_account_entry *account, ProtobufCMessage **ret_reply,
                              struct vn_err *err)
{
        Vane__V1__EnrollResponse *m =
                VN_NEW_MESSAGE(op->arena, Vane__V1__EnrollResponse, vane__v1__enroll_response__init);
        if (!m)
                return vn_op_no_memory(err);
        m->account_id = vn_op_printf(op, "%llu", (unsigned long long)account->id);
        m->certificate_pem = vn_op_text(op, account->certificate_pem);
        m->ca_pem = vn_op_text(op, vn_pki_ca_pem(op->server->pki));
        m->not_after_s = account->certificate_not_after_s;
        m->level = vn_op_text(op, vn_level_name(account->level));
        *ret_reply = &m->base;
        return VN_OK;
}

/* Signs for the CSR's key, stores account and record, then keeps the certificate. */
static enum vn_rc give_certificate(struct vn_op *op, struct vn_account_entry *account, const char *csr_pem,
                                   const uint8_t key_hash[32], const char *actor, const char *choice,
                                   struct vn_err *err)
{
        VN_AUTO(vn_buf)
        certificate = VN_BUF_INIT(CERTIFICATE_MAX);
        struct vn_account_entry changed = *account;
        VN_TRY(vn_pki_sign_account(op->server, account->id, csr_pem, &certificate, &changed.certificate_not_after_s,
                                   err));
        memcpy(changed.join_key_hash, key_hash, 32);
        changed.has_key = true;
        changed.certificate_pem = certificate.ptr;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_op_no_memory(err);
        vn_registry_store(batch, &changed);
        struct vn_change change = {.kind = VN_RECORD_ACCOUNT,
                                   .tenant = account->tenant,
                                   .actor = actor,
                                   .subject = account->name,
                                   .choice = choice};
        VN_TRY(vn_record_change(op->server, batch, &change, NULL, err));
        VN_TRY(vn_store_commit(op->server->store, batch, err));
        vn_free(account->certificate_pem);
        changed.certificate_pem = vn_buf_take(&certificate);
        *account = changed;
        vn_registry_heard(op->server, account);
        return VN_OK;
}

enum vn_rc op_enroll(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                     struct vn_err *err)
{
        const Vane__V1__EnrollRequest *request = (const Vane__V1__EnrollRequest *)message;
        uint8_t token_hash[32], key_hash[32];
        vn_sha256(request->token, strlen(request->token), token_hash);
        struct vn_account_entry *account = vn_registry_by_token(op->server->registry, token_hash);
        if (!account || account->revoked)
                return vn_fail(err, VN_UNAUTHENTICATED, "token: not known, or used up");
        if (vn_now_us(op->server->wall) > account->join_expires_us)
                return vn_fail(err, VN_UNAUTHENTICATED,
                               "token: expired; make a new one with `vanectl account token %s`", account->name);
        VN_TRY(vn_pki_csr_key_hash(vn_str(request->csr_pem), key_hash, err));
        if (account->has_key && memcmp(account->join_key_hash, key_hash, 32)) {
                /* Somebody else holds this token: said loudly, recorded, and refused. */
                VN_AUTO(vn_batch)
                batch = vn_batch_new();
                struct vn_change alarm = {.kind = VN_RECORD_ACCOUNT,
                                          .tenant = account->tenant,
                                          .actor = "unknown",
                                          .subject = account->name,
                                          .choice = "ALARM: join token used with a second key"};
                if (!batch)
                        return vn_op_no_memory(err);
                VN_TRY(vn_record_change(op->server, batch, &alarm, NULL, err));
                VN_TRY(vn_store_commit(op->server->store, batch, err));
                return vn_fail(err, VN_PERMISSION_DENIED, "token: already used with another key");
        }
        if (account->has_key && account->certificate_not_after_s <= vn_now_us(op->server->wall) / VN_US_PER_S)
                return vn_fail(err, VN_UNAUTHENTICATED,
                               "token: used up, and the certificate that it gave has expired; make a new one with "
                               "`vanectl account token %s`",
                               account->name);
        if (!account->has_key)
                VN_TRY(give_certificate(op, account, request->csr_pem, key_hash, "join-token", "enrolled", err));
        return enrol_reply(op, account, ret_reply, err);
}

enum vn_rc vn_op_agent_account(struct vn_op *op, struct vn_account_entry **ret, struct vn_err *err)
{
        *ret = vn_registry_by_id(op->server->registry, op->identity->account_id);
        if (!*ret || (*ret)->revoked)
                return vn_fail(err, VN_UNAUTHENTICATED, "this account is revoked or gone");
        vn_registry_heard(op->server, *ret);
        return VN_OK;
}

enum vn_rc op_renew(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                    struct vn_err *err)
{
        const Vane__V1__RenewRequest *request = (const Vane__V1__RenewRequest *)message;
        struct vn_account_entry *account;
        uint8_t key_hash[32];
        VN_TRY(vn_op_agent_account(op, &account, err));
        VN_TRY(vn_pki_csr_key_hash(vn_str(request->csr_pem), key_hash, err));
        VN_TRY(give_certificate(op, account, request->csr_pem, key_hash, op->identity->actor, "certificate renewed",
                                err));
        return enrol_reply(op, account, ret_reply, err);
}

static enum vn_rc check_function(const Vane__V1__FunctionInfo *f, struct vn_function_entry *ret, int64_t now_us,
                                 struct vn_err *err)
{
        *ret = (struct vn_function_entry){.memory_mb = f->memory_mb,
                                          .timeout_s = f->timeout_s,
                                          .concurrency = f->concurrency,
                                          .max_instances = f->max_instances,
                                          .memory_tunable = f->memory_tunable,
                                          .seen_us = now_us};
        for (size_t i = 0; i < f->n_memory_choices_mb && i < 16; i++)
                ret->choices[ret->choice_count++] = f->memory_choices_mb[i];
        if (!f->name[0] || !vn_str_copy(ret->name, sizeof ret->name, vn_str(f->name)) ||
            !vn_str_is_utf8(vn_str(f->name)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions.name: 1 to 191 bytes of UTF-8");
        if (!vn_str_copy(ret->region, sizeof ret->region, vn_str(f->region)) ||
            !vn_str_copy(ret->resource, sizeof ret->resource, vn_str(f->resource)) ||
            !vn_str_copy(ret->url, sizeof ret->url, vn_str(f->url)) ||
            !vn_str_copy(ret->runtime, sizeof ret->runtime, vn_str(f->runtime)) ||
            !vn_str_copy(ret->guard, sizeof ret->guard, vn_str(f->guard)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions: a text of \"%.64s\" is too long", ret->name);
        /* 0: the plan has no size to choose (Azure Consumption). */
        if ((f->memory_mb == 0 && f->memory_tunable) || f->memory_mb > 65536)
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions.memory_mb: %u of \"%.64s\"", f->memory_mb,
                               ret->name);
        return VN_OK;
}

static void function_key(struct vn_key *key, const struct vn_account_entry *account,
                         const struct vn_function_entry *f)
{
        vn_key_text(vn_key_text(vn_key_u64(vn_key_init(key, vn_str(account->tenant)), account->id), vn_str(f->name)),
                    vn_str(f->region));
}

static bool listed(const Vane__V1__InventoryReport *report, const struct vn_function_entry *f)
{
        for (size_t i = 0; i < report->n_functions; i++)
                if (!strcmp(report->functions[i]->name, f->name) && !strcmp(report->functions[i]->region, f->region))
                        return true;
        return false;
}

static void store_function(struct vn_batch *batch, const struct vn_account_entry *account,
                           const struct vn_function_entry *entry)
{
        struct vn_function_entry f = *entry;
        Vane__State__Function stored = VANE__STATE__FUNCTION__INIT;
        stored.account_id = account->id;
        stored.name = f.name;
        stored.region = f.region;
        stored.resource = f.resource;
        stored.memory_mb = f.memory_mb;
        stored.timeout_s = f.timeout_s;
        stored.concurrency = f.concurrency;
        stored.runtime = f.runtime;
        stored.url = f.url;
        stored.memory_tunable = f.memory_tunable;
        stored.max_instances = f.max_instances;
        stored.memory_choices_mb = f.choices;
        stored.n_memory_choices_mb = f.choice_count;
        stored.guard = f.guard;
        stored.seen_us = f.seen_us;
        struct vn_key key;
        function_key(&key, account, &f);
        vn_state_put(batch, VN_TABLE_functions, &key, &stored.base);
}

/* Equal but for the time of seeing: nothing to store. */
static bool same_function(const struct vn_function_entry *a, const struct vn_function_entry *b)
{
        struct vn_function_entry copy = *b;
        copy.seen_us = a->seen_us;
        return !memcmp(a, &copy, sizeof copy);
}

enum vn_rc op_report_inventory(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                               struct vn_err *err)
{
        const Vane__V1__InventoryReport *report = (const Vane__V1__InventoryReport *)message;
        struct vn_account_entry *account;
        VN_TRY(vn_op_agent_account(op, &account, err));
        VN_TRY(vn_registry_may_come(op->server, account, VN_LEAVING_INVENTORY, err));
        VN_TRY(vn_observing_listed(op->server, account, report, err));
        if (report->n_functions > VN_MAX_FUNCTIONS_PER_ACCOUNT)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "functions: at most %d", VN_MAX_FUNCTIONS_PER_ACCOUNT);
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        /* A partial listing never makes a function vanish: those that it lacks stay behind those that it has. */
        size_t kept = 0;
        for (size_t i = 0; !report->complete && i < account->function_count; i++)
                kept += !listed(report, &account->functions[i]);
        if (report->n_functions + kept > VN_MAX_FUNCTIONS_PER_ACCOUNT)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "functions: at most %d", VN_MAX_FUNCTIONS_PER_ACCOUNT);
        struct vn_function_entry *fresh = vn_alloc_array(report->n_functions + kept + 1, sizeof *fresh);
        enum vn_rc rc = batch && fresh ? VN_OK : vn_op_no_memory(err);
        size_t changed = 0;
        for (size_t i = 0; rc == VN_OK && i < report->n_functions; i++) {
                rc = check_function(report->functions[i], &fresh[i], op->now_us, err);
                if (rc != VN_OK)
                        break;
                const struct vn_function_entry *old = vn_registry_function(account, fresh[i].name, fresh[i].region);
                if (old && same_function(old, &fresh[i]))
                        continue;
                store_function(batch, account, &fresh[i]);
                changed++;
        }
        for (size_t i = 0; rc == VN_OK && report->complete && i < account->function_count; i++)
                if (!listed(report, &account->functions[i])) {
                        struct vn_key key;
                        function_key(&key, account, &account->functions[i]);
                        vn_batch_delete(batch, VN_TABLE_functions, &key);
                        changed++;
                }
        if (rc == VN_OK && changed)
                rc = vn_store_commit(op->server->store, batch, err);
        if (rc != VN_OK) {
                vn_free(fresh);
                return rc;
        }
        if (report->complete) {
                vn_free(account->functions);
                account->functions = vn_steal(&fresh);
                account->function_count = report->n_functions;
        } else {
                size_t seen = report->n_functions;
                for (size_t i = 0; i < account->function_count; i++)
                        if (!listed(report, &account->functions[i]))
                                fresh[seen++] = account->functions[i];
                vn_free(account->functions);
                account->functions = vn_steal(&fresh);
                account->function_count = seen;
        }
        if (changed)
                vn_routing_dirty(op->server);
        Vane__V1__Ack *ack = VN_NEW_MESSAGE(op->arena, Vane__V1__Ack, vane__v1__ack__init);
        if (!ack)
                return vn_op_no_memory(err);
        *ret_reply = &ack->base;
        return VN_OK;
}
