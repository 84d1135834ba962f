#include "server/routing/internal.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "server/policy_table.h"
#include "server/record.h"
#include "server/rounds/rounds.h"

#define PUBLISH_EVERY_US (100 * VN_US_PER_MS)
#define STALE_AFTER_US (2 * VN_US_PER_S) /* idle views are made anew at least this often: online states change */
#define MAX_WORKLOADS 100000

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

/* Parts are stored under their hashes before any record can name them; an old part is simply written again. */
static void store_view(struct vn_batch *batch, const struct vn_view *view, const struct vn_view *old)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_VIEW_PART_MAX_BYTES);
        struct vn_err err;
        struct vn_key key;
        for (unsigned p = 0; p < VN_VIEW_PARTS; p++) {
                if (old && !memcmp(old->part_id[p], view->part_id[p], 32))
                        continue;
                vn_buf_reset(&bytes);
                if (vn_view_encode_part(view, (enum vn_view_part)p, &bytes, &err) == VN_OK) {
                        vn_key_bytes(vn_key_init(&key, vn_str(view->tenant)), view->part_id[p], 32);
                        vn_batch_put(batch, VN_TABLE_view_parts, &key, vn_buf_view(&bytes));
                }
        }
        vn_buf_reset(&bytes);
        if (vn_view_encode_manifest(view, &bytes, &err) == VN_OK) {
                vn_key_bytes(vn_key_init(&key, vn_str(view->tenant)), view->id, 32);
                vn_batch_put(batch, VN_TABLE_view_parts, &key, vn_buf_view(&bytes));
        }
}

static void views_stored(void *arg, enum vn_rc rc)
{
        (void)rc; /* a part that could not be kept makes replay say "view expired", nothing else */
        vn_batch_free(arg);
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
        uint64_t x = ((const struct workload_name *)a)->hash, y = ((const struct workload_name *)b)->hash;
        return (x > y) - (x < y);
}

static enum vn_rc publish(struct vn_server *server, int64_t now_us, struct vn_err *err)
{
        struct vn_routing *routing = server->routing;
        struct workload_name *names = NULL;
        size_t count = collect_workloads(server, &names);
        struct vn_route_table *table = NULL;
        struct vn_batch *batch = vn_batch_new();
        enum vn_rc rc = batch ? table_new((uint32_t)count, &table, err)
                              : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        vn_routing_measure_networks(server);
        if (count > 1)
                qsort(names, count, sizeof *names, by_hash);
        for (size_t i = 0; rc == VN_OK && i < count && i < MAX_WORKLOADS; i++) {
                if (i && names[i].hash == names[i - 1].hash)
                        continue;
                struct vn_view_ref *ref, *old;
                rc = vn_view_build(server, names[i].tenant, names[i].name, atomic_load(&routing->epoch) + 1, now_us,
                                   &ref, err);
                if (rc == VN_NOT_FOUND) {
                        rc = VN_OK;
                        continue;
                }
                if (rc != VN_OK)
                        break;
                old = vn_route_find(routing->current, names[i].hash, names[i].tenant, vn_str(names[i].name));
                table_add(table, names[i].hash, ref);
                store_view(batch, ref->view, old ? old->view : NULL);
        }
        vn_free(names);
        if (rc == VN_OK) {
                /* Submitted before the swap: records that name these views are committed after them. */
                if (vn_store_submit(server->store, batch, views_stored, batch, NULL) == VN_OK)
                        batch = NULL;
                atomic_store(&routing->workloads, table->count);
                swap_table(routing, table);
        } else {
                vn_route_table_unref(table);
        }
        vn_batch_free(batch);
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

static void absorb_sample(struct vn_routing *routing, const struct vn_sample *s)
{
        struct vn_endpoint_live *e = vn_endpoint_live_of(routing, s->endpoint_id);
        struct vn_account_live *a = vn_account_live_of(routing, s->account_id);
        if (!e || !a)
                return;
        a->cloud = s->cloud;
        if (!s->status) {
                e->routed++;
                a->cost_usd += s->cost_usd;
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
        e->outcomes++;
        e->recent_outcomes++;
        if (s->status == VANE__V1__OUTCOME__STATUS__STATUS_OK)
                vn_sketch_add(&a->latency, s->latency_us, 1);
        else if (s->status == VANE__V1__OUTCOME__STATUS__STATUS_THROTTLED)
                e->recent_throttles++;
        else
                e->errors++, e->recent_errors++;
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
        int64_t since = wall_us - routing->last_publish_wall_us;
        if (!(routing->dirty && since >= PUBLISH_EVERY_US) && since < STALE_AFTER_US)
                return;
        routing->dirty = false;
        routing->last_publish_wall_us = wall_us;
        if (publish(server, now_us, &err) != VN_OK)
                VN_LOG(VIEWS_KEPT, "%s", err.msg);
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
        vn_random_bytes(loop->secret, sizeof loop->secret);
        if (!loop->pending || !loop->samples || !loop->record)
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
        if (!routing->loops || !routing->request_ids)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        for (uint32_t i = 0; i < routing->loop_count; i++)
                VN_TRY(loop_init(server, &routing->loops[i], i, err));
        return publish(server, vn_now_us(server->clock), err);
}

void vn_routing_stop(struct vn_server *server)
{
        struct vn_routing *routing = server->routing;
        if (!routing)
                return;
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
        }
        vn_free(routing->loops);
        vn_route_table_unref(routing->current);
        for (size_t b = 0; b < 4096; b++)
                while (routing->endpoints[b]) {
                        struct vn_endpoint_live *e = routing->endpoints[b];
                        routing->endpoints[b] = e->next;
                        vn_free(e);
                }
        vn_free(routing->accounts);
        vn_request_ids_free(routing->request_ids);
        pthread_mutex_destroy(&routing->mutex);
        vn_free(routing);
        server->routing = NULL;
}
