/* decisions.c - decisions listed, found, watched. */
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "decide/run.h"
#include "server/explain/explain.h"
#include "server/record.h"
#include "server/registry/hub.h"
#include "server/tenants.h"
#include "store/history.h"

#define TICK_RECORDS 40
#define TICK_READS 20000 /* looked at for one tenant: the control loop has other things to do */
#define TICK_EVERY_WALL_US (500 * VN_US_PER_MS)

struct vn_explain {
        uint64_t told[VN_MAX_TENANTS]; /* the tenant's records before this sequence were announced */
        int64_t next_wall_us;
        struct vn_arena arena;
};

enum vn_rc vn_explain_start(struct vn_server *server, struct vn_err *err)
{
        server->explain = vn_alloc(sizeof *server->explain);
        if (!server->explain)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_arena_init(&server->explain->arena, 1u << 20);
        struct vn_store_stats stats;
        vn_store_stats(server->store, &stats);
        for (size_t i = 0; i < VN_MAX_TENANTS; i++)
                server->explain->told[i] = stats.log_size;
        return VN_OK;
}

void vn_explain_stop(struct vn_server *server)
{
        if (server->explain)
                vn_arena_done(&server->explain->arena);
        vn_free(server->explain);
        server->explain = NULL;
}

static char *text(struct vn_arena *arena, const char *from)
{
        static char empty[1] = "";
        char *copy = vn_arena_strndup(arena, from, strlen(from));
        return copy ? copy : empty;
}

static void change_summary(const struct vn_record *r, char *ret, size_t ret_bytes)
{
        if (r->summary[0])
                snprintf(ret, ret_bytes, "%s", r->summary);
        else if (r->before[0])
                snprintf(ret, ret_bytes, "%s: %s, was %s, by %s.", r->subject, r->after, r->before, r->actor);
        else
                snprintf(ret, ret_bytes, "%s: %s, by %s.", r->subject, r->after, r->actor);
}

Vane__V1__Decision *vn_explain_decision(struct vn_arena *arena, const struct vn_record *r, uint64_t seq)
{
        static const char *const outcomes[] = {"", "ok", "error", "throttled", "timeout"};
        char line[VN_SENTENCE_BYTES], id[VN_DECISION_ID_TEXT_BYTES];
        Vane__V1__Decision *m = VN_NEW_MESSAGE(arena, Vane__V1__Decision, vane__v1__decision__init);
        if (!m)
                return NULL;
        vn_decision_id_format(&r->id, id);
        m->id = text(arena, id);
        m->kind = text(arena, vn_record_kind_name(r->kind));
        m->time_us = r->time_us;
        m->actor = text(arena, r->actor);
        m->workload = text(arena, r->workload);
        m->mode = text(arena, r->kind == VN_RECORD_ROUTE ? vn_record_mode_name(r->mode) : "");
        m->margin = r->margin;
        m->confidence = (double)r->confidence;
        m->risk = (double)r->risk.combined;
        m->commit = seq;
        m->leaf_index = seq;
        m->in_log = seq != UINT64_MAX;
        m->model_version = r->model_version;
        m->policy = text(arena, r->policy);
        m->policy_version = r->policy_version;
        if (r->kind == VN_RECORD_ROUTE) {
                m->choice = text(arena, r->choice.account);
                m->runner_up = text(arena, r->has_runner_up ? r->runner_up.account : "");
                vn_record_sentence(r, line);
        } else {
                m->choice = text(arena, r->after);
                change_summary(r, line, sizeof line);
        }
        m->summary = text(arena, line);
        if (r->outcome_status && r->outcome_status < 5 &&
            (m->outcome = VN_NEW_MESSAGE(arena, Vane__V1__DecisionOutcome, vane__v1__decision_outcome__init))) {
                m->outcome->status = text(arena, outcomes[r->outcome_status]);
                m->outcome->latency_ms = (double)r->outcome_latency_us / 1000;
        }
        return m;
}

struct oldest {
        uint64_t seq;
        int64_t time_us;
};

static bool see_oldest(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct oldest *o = arg;
        struct vn_record_index index;
        o->seq = seq;
        o->time_us = vn_record_peek(bytes, &index, NULL) == VN_OK ? index.time_us : 0;
        return false;
}

/* An id does not tell when it was given; what can be said is from where on records are still kept. */
static enum vn_rc not_kept(struct vn_op *op, struct vn_err *err)
{
        struct vn_record_filter first = {.limit = 1};
        struct oldest oldest = {.seq = 0};
        char when[VN_TIME_TEXT_BYTES];
        struct vn_err why;
        if (vn_store_records(op->server->store, &first, see_oldest, &oldest, NULL, &why) != VN_OK || !oldest.seq)
                return vn_fail(err, VN_NOT_FOUND, "id: no such decision");
        vn_time_format(oldest.time_us, when);
        return vn_fail(err, VN_NOT_FOUND,
                       "id: no such decision, or its retention has ended: records are kept from %s on (entry %llu)",
                       when, (unsigned long long)oldest.seq);
}

enum vn_rc vn_explain_find(struct vn_op *op, const char *id_text, struct vn_record *ret, struct vn_buf *ret_bytes,
                           uint64_t *ret_seq, struct vn_err *err)
{
        struct vn_decision_id id;
        if (vn_decision_id_parse(vn_str(id_text), &id) != VN_OK)
                return vn_fail(err, VN_INVALID_ARGUMENT, "id: not a decision's id");
        enum vn_rc rc = vn_store_find(op->server->store, vn_record_origin_key(&id, false), id.sequence, 0, ret_seq,
                                      ret_bytes, err);
        if (rc == VN_OK)
                rc = vn_run_find(vn_buf_view(ret_bytes), &id, ret, err);
        if (rc == VN_NOT_FOUND || (rc == VN_OK && strcmp(ret->tenant, op->identity->tenant)))
                return not_kept(op, err);
        return rc;
}

/* How a routed call ended is a record of its own, found by the decision's id. */
static void find_outcome(struct vn_op *op, struct vn_record *r)
{
        struct vn_decision_id id = {vn_record_origin_key(&r->id, true), r->id.loop, r->id.sequence};
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_RECORD_MAX_BYTES);
        struct vn_record *outcome = vn_alloc(sizeof *outcome);
        struct vn_err err;
        uint64_t seq;
        if (outcome && r->kind == VN_RECORD_ROUTE &&
            vn_store_find(op->server->store, vn_record_origin_key(&id, false), id.sequence, r->time_us, &seq, &bytes,
                          &err) == VN_OK &&
            vn_record_decode(vn_buf_view(&bytes), outcome, &err) == VN_OK) {
                r->outcome_status = outcome->outcome_status;
                r->outcome_latency_us = outcome->outcome_latency_us;
                r->outcome_response_bytes = outcome->outcome_response_bytes;
        }
        vn_free(outcome);
}

enum vn_rc op_get_decision(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                           struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_RUN_MAX_BYTES);
        struct vn_record *record = vn_arena_alloc(op->arena, sizeof *record);
        uint64_t seq;
        if (!record)
                return vn_op_no_memory(err);
        VN_TRY(vn_explain_find(op, ((const Vane__V1__DecisionId *)message)->id, record, &bytes, &seq, err));
        find_outcome(op, record);
        Vane__V1__Decision *m = vn_explain_decision(op->arena, record, seq);
        *ret_reply = m ? &m->base : NULL;
        return m ? VN_OK : vn_op_no_memory(err);
}

struct listing {
        struct vn_op *op;
        const Vane__V1__ListDecisionsRequest *request;
        Vane__V1__ListDecisionsResponse *reply;
        struct vn_record *record;
        size_t limit;
        uint64_t part_seq;   /* this record is listed only below */
        uint32_t part_index; /* this one of its decisions; both also say where the next page goes on */
        enum vn_rc rc;
};

static bool is_asked_for(const struct listing *l, const struct vn_record *r)
{
        return !strcmp(r->tenant, l->op->identity->tenant) &&
               (!l->request->workload[0] || !strcmp(r->workload, l->request->workload)) &&
               (l->request->kind[0] || r->kind != VN_RECORD_OUTCOME);
}

/* Which of a record's decisions below `end` are asked for; the summaries only said maybe. */
static size_t matches(struct listing *l, struct vn_str bytes, uint32_t end, bool ret[VN_RUN_MAX])
{
        struct vn_run_reader reader;
        size_t found = 0;
        if (vn_run_open(&reader, bytes, NULL) != VN_OK)
                return 0;
        for (uint32_t i = 0; i < reader.count && i < end; i++) {
                if (vn_run_next(&reader, l->record, NULL) != VN_OK)
                        return 0;
                ret[i] = is_asked_for(l, l->record);
                found += ret[i];
        }
        return found;
}

/* A record's decisions, the newest first: those that fit the page are the last ones of it, so they fill it from its end. */
static bool list_record(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct listing *l = arg;
        struct vn_run_reader reader;
        bool wanted[VN_RUN_MAX] = {false};
        uint32_t end = seq == l->part_seq ? l->part_index : VN_RUN_MAX;
        size_t found = matches(l, bytes, end, wanted), room = l->limit - l->reply->n_decisions;
        size_t skip = found > room ? found - room : 0, at = l->reply->n_decisions + found - skip;
        if (!found)
                return true;
        l->reply->n_decisions = at;
        l->rc = vn_run_open(&reader, bytes, NULL);
        for (uint32_t i = 0; l->rc == VN_OK && i < reader.count && i < end; i++) {
                l->rc = vn_run_next(&reader, l->record, NULL);
                if (l->rc != VN_OK || !wanted[i] || (skip && skip--))
                        continue;
                if (at == l->reply->n_decisions) {
                        l->part_seq = seq;
                        l->part_index = i;
                }
                l->reply->decisions[--at] = vn_explain_decision(l->op->arena, l->record, seq);
                if (!l->reply->decisions[at])
                        l->rc = VN_RESOURCE_EXHAUSTED;
        }
        return l->rc == VN_OK && l->reply->n_decisions < l->limit;
}

/* "SEQ": what is before that record; "SEQ.INDEX": and its decisions before that one. */
static bool take_page_token(struct listing *l, const char *token, uint64_t *ret_to_seq)
{
        struct vn_str rest = vn_str(token), seq = vn_str_cut(&rest, '.');
        uint64_t index = 0;
        l->part_seq = UINT64_MAX;
        if (!token[0])
                return true;
        if (vn_str_to_u64(seq, ret_to_seq) != VN_OK || *ret_to_seq >= UINT64_MAX - 1)
                return false;
        if (!rest.ptr)
                return true;
        if (vn_str_to_u64(rest, &index) != VN_OK || index < 1 || index >= VN_RUN_MAX)
                return false;
        l->part_seq = *ret_to_seq;
        l->part_index = (uint32_t)index;
        ++*ret_to_seq;
        return true;
}

static char *make_page_token(struct listing *l, uint64_t next)
{
        bool full = l->reply->n_decisions == l->limit;
        if (full && l->part_index)
                return vn_op_printf(l->op, "%llu.%u", (unsigned long long)l->part_seq, l->part_index);
        uint64_t upto = full ? l->part_seq : next;
        return upto > 0 ? vn_op_printf(l->op, "%llu", (unsigned long long)upto) : vn_op_text(l->op, "");
}

enum vn_rc op_list_decisions(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        const Vane__V1__ListDecisionsRequest *request = (const Vane__V1__ListDecisionsRequest *)message;
        struct vn_page page;
        struct listing l = {.op = op, .request = request};
        struct vn_record_filter filter = {.newest_first = true, .from_us = request->from_us, .to_us = request->to_us};
        VN_TRY(vn_op_page(op, request->page_size, "", SIZE_MAX / 2, &page, err));
        l.limit = page.count;
        if (!take_page_token(&l, request->page_token, &filter.to_seq))
                return vn_fail(err, VN_INVALID_ARGUMENT, "page_token: not one that this server gave");
        if (request->kind[0]) {
                enum vn_record_kind kind;
                if (!vn_record_kind_parse(vn_str(request->kind), &kind))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "kind: route, memory, model, policy, account, ...");
                filter.kinds = UINT64_C(1) << kind;
        }
        if (request->from_us < 0 || request->to_us < 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "from_us, to_us: not negative");
        uint64_t tenant = vn_hash64(op->identity->tenant, strlen(op->identity->tenant), 0);
        filter.tenants = vn_record_bit(tenant);
        if (request->workload[0]) {
                uint64_t subject = vn_hash64(request->workload, strlen(request->workload), 0);
                filter.subjects[(subject >> 6) & 3] = vn_record_bit(subject);
        }
        filter.limit = SIZE_MAX; /* list_record counts what really fits */
        l.reply = VN_NEW_MESSAGE(op->arena, Vane__V1__ListDecisionsResponse, vane__v1__list_decisions_response__init);
        l.record = vn_arena_alloc(op->arena, sizeof *l.record);
        if (l.reply)
                l.reply->decisions = vn_arena_alloc(op->arena, (l.limit + 1) * sizeof *l.reply->decisions);
        if (!l.reply || !l.record || !l.reply->decisions)
                return vn_op_no_memory(err);
        uint64_t next = 0;
        if (filter.to_seq || !request->page_token[0])
                VN_TRY(vn_store_records(op->server->store, &filter, list_record, &l, &next, err));
        if (l.rc == VN_RESOURCE_EXHAUSTED)
                return vn_op_no_memory(err);
        if (l.rc != VN_OK)
                return vn_fail(err, l.rc, "a record in the store is damaged");
        l.reply->next_page_token = make_page_token(&l, next);
        *ret_reply = &l.reply->base;
        return VN_OK;
}

struct telling {
        struct vn_server *server;
        struct vn_record *record;
        const char *tenant;
        size_t found;
        uint64_t first_seq;
};

/* Backwards: where the tenant's newest TICK_RECORDS begin. */
static bool find_one(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct telling *t = arg;
        struct vn_record_index index;
        if (vn_record_peek(bytes, &index, NULL) != VN_OK || !vn_str_eq(index.tenant, vn_str(t->tenant)) ||
            index.kind == VN_RECORD_OUTCOME)
                return true;
        t->first_seq = seq;
        return ++t->found < TICK_RECORDS;
}

static bool tell_one(void *arg, uint64_t seq, struct vn_str bytes)
{
        struct telling *t = arg;
        struct vn_record *r = t->record;
        struct vn_run_reader reader;
        if (vn_run_open(&reader, bytes, NULL) != VN_OK)
                return true;
        while (vn_run_next(&reader, r, NULL) == VN_OK) {
                if (r->kind == VN_RECORD_OUTCOME || strcmp(r->tenant, t->tenant) ||
                    reader.count - reader.at >= TICK_RECORDS)
                        continue;
                vn_arena_reset(&t->server->explain->arena);
                Vane__V1__Decision *m = vn_explain_decision(&t->server->explain->arena, r, seq);
                if (m)
                        vn_hub_send_decision(t->server, r->tenant, m->kind, r->workload, &m->base);
        }
        return true;
}

/* A page that shows the newest may skip some of its own tenant's, but no other tenant's load makes it skip any. */
static void tell_tenant(struct telling *t, uint64_t from_seq, uint64_t to_seq)
{
        struct vn_err err;
        uint64_t next, bit = vn_record_bit(vn_hash64(t->tenant, strlen(t->tenant), 0));
        struct vn_record_filter back = {.from_seq = from_seq,
                                        .to_seq = to_seq,
                                        .tenants = bit,
                                        .newest_first = true,
                                        .limit = SIZE_MAX,
                                        .max_read = TICK_READS};
        t->found = 0;
        VN_IGNORE(vn_store_records(t->server->store, &back, find_one, t, &next, &err));
        if (!t->found)
                return;
        struct vn_record_filter filter = {.from_seq = t->first_seq,
                                          .to_seq = to_seq,
                                          .tenants = bit,
                                          .limit = SIZE_MAX,
                                          .max_read = TICK_READS};
        VN_IGNORE(vn_store_records(t->server->store, &filter, tell_one, t, &next, &err));
}

void vn_explain_tick(struct vn_server *server)
{
        struct vn_explain *explain = server->explain;
        struct vn_store_stats stats;
        if (vn_now_us(server->wall) < explain->next_wall_us)
                return;
        explain->next_wall_us = vn_now_us(server->wall) + TICK_EVERY_WALL_US;
        vn_store_stats(server->store, &stats);
        struct telling t = {.server = server, .record = vn_alloc(sizeof *t.record)};
        for (size_t i = 0; t.record && i < vn_tenants_count(server); i++) {
                t.tenant = vn_tenants_at(server, i)->name;
                if (stats.log_size <= explain->told[i] || !vn_hub_has_watchers(server, t.tenant))
                        continue;
                tell_tenant(&t, explain->told[i], stats.log_size);
                explain->told[i] = stats.log_size;
        }
        vn_free(t.record);
}
