#include "server/routing/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/policy_table.h"
#include "server/record.h"
#include "server/rounds/rounds.h"
#include "server/tenants.h"

#define PUBLISH_EVERY_US (100 * VN_US_PER_MS)
#define STALE_AFTER_US (2 * VN_US_PER_S) /* idle views are made anew at least this often: online states change */
#define RESPONSES_REMEMBERED 4000.0      /* of an endpoint: beyond these its past counts half */
#define MAX_WORKLOADS 100000
#define REUSE_WITHIN_US VN_US_PER_MIN /* how old an unchanged view may be: how well "agent last heard" is known */

uint64_t vn_workload_hash(const char *tenant, const char *workload)
{
        return vn_hash64(workload, strlen(workload), vn_hash64(tenant, strlen(tenant), 1));
}

uint64_t vn_endpoint_id_of(uint64_t account_id, const char *region, const char *function)
{
        return vn_hash64(function, strlen(function), vn_hash64(region, strlen(region), account_id)) | 1;
}

void vn_view_unref(struct vn_view_ref *ref)
{
        if (ref && atomic_fetch_sub(&ref->references, 1) == 1) {
                vn_view_free(ref->view);
                vn_free(ref->urls);
                vn_free(ref);
        }
}

void vn_route_table_unref(struct vn_route_table *table)
{
        if (!table || atomic_fetch_sub(&table->references, 1) != 1)
                return;
        for (uint32_t i = 0; table->slots && i <= table->mask; i++)
                vn_view_unref(table->slots[i].ref);
        vn_free(table->slots);
        vn_free(table);
}

struct vn_view_ref *vn_route_find(struct vn_route_table *table, uint64_t hash, const char *tenant,
                                  struct vn_str workload)
{
        if (!table || !table->slots)
                return NULL;
        for (uint32_t i = (uint32_t)hash & table->mask;; i = (i + 1) & table->mask) {
                struct vn_route_slot *slot = &table->slots[i];
                if (!slot->ref)
                        return NULL;
                if (slot->hash == hash && !strcmp(slot->ref->view->tenant, tenant) &&
                    vn_str_eq(vn_str(slot->ref->view->workload), workload))
                        return slot->ref;
        }
}

static enum vn_rc table_new(uint32_t count, struct vn_route_table **ret, struct vn_err *err)
{
        uint32_t size = 16;
        while (size < count * 2 + 1)
                size *= 2;
        struct vn_route_table *table = vn_alloc(sizeof *table);
        if (table)
                table->slots = vn_alloc_array(size, sizeof *table->slots);
        if (!table || !table->slots) {
                vn_free(table);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        atomic_store(&table->references, 1);
        table->mask = size - 1;
        *ret = table;
        return VN_OK;
}

static void table_add(struct vn_route_table *table, uint64_t hash, struct vn_view_ref *ref)
{
        uint32_t i = (uint32_t)hash & table->mask;
        while (table->slots[i].ref)
                i = (i + 1) & table->mask;
        table->slots[i] = (struct vn_route_slot){hash, ref};
        table->count++;
}

static void swap_table(struct vn_routing *routing, struct vn_route_table *table)
{
        pthread_mutex_lock(&routing->mutex);
        struct vn_route_table *old = routing->current;
        routing->current = table;
        table->epoch = atomic_fetch_add(&routing->epoch, 1) + 1;
        pthread_mutex_unlock(&routing->mutex);
        vn_route_table_unref(old);
}

/* One entry a distinct (tenant, function name): the functions of that name in all accounts are one workload. */
struct workload_name {
        const char *tenant, *name;
        uint64_t hash;
};

static size_t collect_workloads(struct vn_server *server, struct workload_name **ret)
{
        size_t count = 0, cap = 0;
        struct workload_name *names = NULL;
        for (size_t i = 0; i < vn_registry_count(server->registry); i++) {
                const struct vn_account_entry *a = vn_registry_at(server->registry, i);
                if (a->revoked)
                        continue;
                for (size_t f = 0; f < a->function_count; f++) {
                        uint64_t hash = vn_workload_hash(a->tenant, a->functions[f].name);
                        if (count == cap) {
                                cap = cap ? cap * 2 : 64;
                                struct workload_name *grown = vn_realloc(names, cap * sizeof *names);
                                if (!grown)
                                        goto out;
                                names = grown;
                        }
                        names[count++] = (struct workload_name){a->tenant, a->functions[f].name, hash};
                }
        }
out:
        *ret = names;
        return count;
}

static int by_hash(const void *a, const void *b)
{
        const struct workload_name *x = a, *y = b;
        int order = (x->hash > y->hash) - (x->hash < y->hash);
        if (!order)
                order = strcmp(x->tenant, y->tenant);
        return order ? order : strcmp(x->name, y->name);
}

/* Nothing new to decide by: then the view before goes on, and neither the store nor the loops have work with it. */
static bool says_the_same(const struct vn_view_ref *ref, const struct vn_view_ref *old)
{
        return vn_view_unchanged(ref->view, old->view) &&
               ref->view->epoch_us - old->view->epoch_us < REUSE_WITHIN_US &&
               !memcmp(ref->account_ids, old->account_ids, ref->view->count * sizeof *ref->account_ids) &&
               !memcmp(ref->urls, old->urls, ref->view->count * sizeof *ref->urls);
}

/* The workload's next view in the table. */
static void add_view(struct vn_routing *routing, struct vn_route_table *table, uint64_t hash, struct vn_view_ref *ref)
{
        struct vn_view_ref *old =
                vn_route_find(routing->current, hash, ref->view->tenant, vn_str(ref->view->workload));
        if (old && vn_view_keeper_keeps(routing->keeper, &old->kept) && says_the_same(ref, old)) {
                vn_view_unref(ref);
                atomic_fetch_add(&old->references, 1);
                table_add(table, hash, old);
                return;
        }
        vn_view_keeper_add(routing->keeper, ref->view, old ? old->view : NULL, old ? &old->kept : NULL, &ref->kept);
        table_add(table, hash, ref);
}

static enum vn_rc publish(struct vn_server *server, int64_t now_us, struct vn_err *err)
{
        struct vn_routing *routing = server->routing;
        struct workload_name *names = NULL;
        size_t count = collect_workloads(server, &names);
        struct vn_route_table *table = NULL;
        uint64_t epoch = atomic_load(&routing->epoch) + 1;
        enum vn_rc rc = table_new((uint32_t)count, &table, err);
        vn_view_keeper_begin(routing->keeper, epoch, now_us, server->config.replay_window_s * VN_US_PER_S);
        vn_routing_measure_networks(server);
        vn_spend_day(server, now_us);
        if (count > 1)
                qsort(names, count, sizeof *names, by_hash);
        for (size_t i = 0; rc == VN_OK && i < count && i < MAX_WORKLOADS; i++) {
                if (i && !by_hash(&names[i], &names[i - 1]))
                        continue;
                struct vn_view_ref *ref;
                rc = vn_view_build(server, names[i].tenant, names[i].name, epoch, now_us, &ref, err);
                if (rc == VN_NOT_FOUND) {
                        rc = VN_OK;
                        continue;
                }
                if (rc != VN_OK)
                        break;
                add_view(routing, table, names[i].hash, ref);
        }
        vn_free(names);
        /* Submitted before the swap: records that name these views are committed after them. What there is of a
         * publication that failed, too: a generation may begin with it. */
        vn_view_keeper_end(routing->keeper);
        if (rc == VN_OK)
                swap_table(routing, table);
        else
                vn_route_table_unref(table);
        return rc;
}

void vn_routing_dirty(struct vn_server *server)
{
        if (server->routing)
                server->routing->dirty = true;
}

/* --- samples: the loops' news for the control loop --- */

struct collect {
        struct vn_task task;
        struct vn_route_loop *loop;
        struct vn_sample *samples;
        uint32_t count;
};

struct vn_endpoint_live *vn_endpoint_live_of(struct vn_routing *routing, uint64_t endpoint_id)
{
        struct vn_endpoint_live **bucket = &routing->endpoints[endpoint_id >> 20 & 4095];
        for (struct vn_endpoint_live *e = *bucket; e; e = e->next)
                if (e->endpoint_id == endpoint_id)
                        return e;
        struct vn_endpoint_live *e = vn_alloc(sizeof *e);
        if (e) {
                e->endpoint_id = endpoint_id;
                e->next = *bucket;
                *bucket = e;
        }
        return e;
}

struct vn_account_live *vn_account_live_of(struct vn_routing *routing, uint64_t account_id)
{
        for (size_t i = 0; i < routing->account_count; i++)
                if (routing->accounts[i].account_id == account_id)
                        return &routing->accounts[i];
        struct vn_account_live *grown =
                vn_realloc(routing->accounts, (routing->account_count + 1) * sizeof *routing->accounts);
        if (!grown)
                return NULL;
        routing->accounts = grown;
        struct vn_account_live *a = &grown[routing->account_count++];
        memset(a, 0, sizeof *a);
        a->account_id = account_id;
        vn_sketch_init(&a->latency);
        return a;
}

static void note_ill(struct vn_account_live *a, uint64_t endpoint_id)
{
        for (uint32_t i = 0; i < a->ill_count; i++)
                if (a->ill[i] == endpoint_id)
                        return;
        if (a->ill_count < VN_ILL_ENDPOINTS)
                a->ill[a->ill_count++] = endpoint_id;
}

static void note_response(struct vn_endpoint_live *e, const struct vn_sample *s)
{
        double told;
        if (!s->response_bytes)
                return;
        vn_witness_mean_add(&e->response_bytes, s->lesson.caller, (double)s->response_bytes);
        vn_witness_mean_sum(&e->response_bytes, VN_WITNESS_FLOOR, &told);
        if (told > RESPONSES_REMEMBERED)
                vn_witness_mean_fade(&e->response_bytes, .5);
}

static void absorb_sample(struct vn_routing *routing, const struct vn_sample *s)
{
        struct vn_endpoint_live *e = vn_endpoint_live_of(routing, s->endpoint_id);
        struct vn_account_live *a = vn_account_live_of(routing, s->account_id);
        if (!e || !a)
                return;
        a->tenant = s->tenant;
        if (!s->status) {
                a->cloud = s->cloud; /* only an assignment knows it */
                e->routed++;
                if (s->time_us > e->last_assigned_us)
                        e->last_assigned_us = s->time_us;
                return;
        }
        /* Halves every ten minutes of no news as well as of news: a mended endpoint is trusted again. */
        if (s->time_us > e->decayed_us + 10 * VN_US_PER_MIN) {
                e->recent_outcomes /= 2;
                e->recent_errors /= 2;
                e->recent_throttles /= 2;
                e->decayed_us = s->time_us;
        }
        vn_lesson_absorb(routing->server, s, e, a);
        if (s->lesson.silent)
                return;
        e->outcomes++;
        e->recent_outcomes++;
        if (s->status == VANE__V1__OUTCOME__STATUS__STATUS_OK) {
                vn_sketch_add(&a->latency, s->latency_us, 1);
                note_response(e, s);
                e->errors_in_row = a->errors_in_row = a->ill_count = 0;
        } else if (s->status == VANE__V1__OUTCOME__STATUS__STATUS_THROTTLED) {
                e->recent_throttles++;
        } else {
                e->errors++, e->recent_errors++, e->errors_in_row++, a->errors_in_row++;
                e->last_error_us = a->last_error_us = s->time_us;
                note_ill(a, s->endpoint_id);
        }
}

static void collect_absorb(struct vn_task *task)
{
        struct collect *c = (struct collect *)task;
        struct vn_routing *routing = c->loop->server->routing;
        for (uint32_t i = 0; i < c->count; i++)
                absorb_sample(routing, &c->samples[i]);
        if (c->count)
                routing->dirty = true;
        vn_free(c->samples);
        vn_free(c);
}

/* On the edge loop: hands its samples over and starts a new array. */
static void collect_take(struct vn_task *task)
{
        struct collect *c = (struct collect *)task;
        struct vn_route_loop *loop = c->loop;
        vn_outcomes_overdue(loop);
        struct vn_sample *fresh = loop->sample_count ? vn_alloc_array(VN_MAX_SAMPLES, sizeof *fresh) : NULL;
        if (fresh) {
                c->samples = loop->samples;
                c->count = loop->sample_count;
                loop->samples = fresh;
                loop->sample_count = 0;
        }
        c->task.run = collect_absorb;
        vn_loop_post(loop->server->control, &c->task);
}

static void collect_samples(struct vn_routing *routing)
{
        for (uint32_t i = 0; i < routing->loop_count; i++) {
                struct collect *c = vn_alloc(sizeof *c);
                if (!c)
                        return;
                c->task.run = collect_take;
                c->loop = &routing->loops[i];
                vn_loop_post(routing->loops[i].loop, &c->task);
        }
}

void vn_routing_tick(struct vn_server *server, int64_t now_us)
{
        struct vn_routing *routing = server->routing;
        struct vn_err err;
        int64_t wall_us = vn_now_us(server->wall);
        collect_samples(routing);
        vn_lessons_tick(server, now_us);
        int64_t since = wall_us - routing->last_publish_wall_us;
        if (!(routing->dirty && since >= PUBLISH_EVERY_US) && since < STALE_AFTER_US)
                return;
        routing->dirty = false;
        routing->last_publish_wall_us = wall_us;
        if (publish(server, now_us, &err) != VN_OK)
                VN_LOG(VIEWS_KEPT, "%s", err.msg);
}

bool vn_routing_retain(struct vn_server *server, int64_t now_us)
{
        return vn_view_keeper_expire(server->routing->keeper, now_us, server->config.replay_window_s * VN_US_PER_S);
}

static enum vn_rc loop_init(struct vn_server *server, struct vn_route_loop *loop, uint32_t number, struct vn_err *err)
{
        loop->server = server;
        loop->number = number;
        loop->loop = vn_edge_loop(server->edge, number);
        loop->ring = vn_store_ring(server->store, number);
        loop->pending = vn_alloc_array(VN_PENDING_SLOTS, sizeof *loop->pending);
        loop->samples = vn_alloc_array(VN_MAX_SAMPLES, sizeof *loop->samples);
        loop->record = vn_alloc(sizeof *loop->record);
        loop->counts = vn_alloc_array(VN_MAX_TENANTS, sizeof *loop->counts);
        loop->spent_usd = vn_alloc_array(VN_POLICY_NUMBERS, sizeof *loop->spent_usd);
        vn_random_bytes(loop->secret, sizeof loop->secret);
        if (!loop->pending || !loop->samples || !loop->record || !loop->counts || !loop->spent_usd)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        return VN_OK;
}

enum vn_rc vn_routing_start(struct vn_server *server, struct vn_err *err)
{
        struct vn_routing *routing = server->routing = vn_alloc(sizeof *routing);
        if (!routing)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        routing->server = server;
        pthread_mutex_init(&routing->mutex, NULL);
        routing->loop_count = vn_edge_loop_count(server->edge);
        routing->loops = vn_alloc_array(routing->loop_count, sizeof *routing->loops);
        routing->request_ids = vn_request_ids_new();
        vn_random_bytes(&routing->caller_seed, sizeof routing->caller_seed);
        if (!routing->loops || !routing->request_ids)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(vn_request_ids_load(routing->request_ids, server->store, err));
        VN_TRY(vn_view_keeper_new(server->store, &routing->keeper, err));
        atomic_store(&routing->epoch, vn_view_keeper_last_epoch(routing->keeper));
        for (uint32_t i = 0; i < routing->loop_count; i++)
                VN_TRY(loop_init(server, &routing->loops[i], i, err));
        VN_TRY(vn_lessons_load(server, err));
        VN_TRY(vn_spend_load(server, vn_now_us(server->clock), err));
        return publish(server, vn_now_us(server->clock), err);
}

void vn_routing_stop(struct vn_server *server)
{
        struct vn_routing *routing = server->routing;
        if (!routing)
                return;
        vn_lessons_keep(server, true);
        for (uint32_t i = 0; routing->loops && i < routing->loop_count; i++) {
                struct vn_route_loop *loop = &routing->loops[i];
                vn_route_table_unref(loop->table);
                for (size_t b = 0; b < 1024; b++)
                        while (loop->lives[b]) {
                                struct vn_loop_live *live = loop->lives[b];
                                loop->lives[b] = live->next;
                                vn_free(live);
                        }
                vn_free(loop->pending);
                vn_free(loop->samples);
                vn_free(loop->record);
                vn_run_free(loop->run);
                vn_free(loop->counts);
                vn_free(loop->spent_usd);
        }
        vn_free(routing->loops);
        vn_route_table_unref(routing->current);
        for (size_t b = 0; b < 4096; b++)
                while (routing->endpoints[b]) {
                        struct vn_endpoint_live *e = routing->endpoints[b];
                        routing->endpoints[b] = e->next;
                        vn_free(e->waiting);
                        vn_free(e);
                }
        vn_lessons_free(routing);
        vn_free(routing->accounts);
        vn_request_ids_free(routing->request_ids);
        vn_view_keeper_free(routing->keeper);
        pthread_mutex_destroy(&routing->mutex);
        vn_free(routing);
        server->routing = NULL;
}
