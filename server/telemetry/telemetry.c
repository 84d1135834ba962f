#include "server/telemetry/telemetry.h"

#include "base/detmath.h"
#include "base/hash.h"
#include "base/metrics.h"
#include "server/registry/observing.h"
#include "server/registry/registry.h"
#include "server/routing/routing.h"
#include "server/state.h"

#define MAX_ENDPOINTS 200000
#define BUCKETS 4096
#define MAX_FAILURES_A_REPORT 1000 /* no agent spoils the counter for the others */
#define DECAY_HALF_LIFE_US (30 * VN_US_PER_MIN)

struct node {
        struct node *next;
        struct vn_endpoint_stats stats;
};

struct vn_telemetry {
        struct node *buckets[BUCKETS];
        struct vn_endpoint_stats **order;
        size_t count;
        struct vn_account_prices **prices;
        size_t price_count;
};

static size_t bucket_of(uint64_t account_id, const char *function, const char *region)
{
        uint64_t h = vn_hash64(function, strlen(function), account_id);
        return vn_hash64(region, strlen(region), h) % BUCKETS;
}

struct vn_endpoint_stats *vn_telemetry_find(struct vn_telemetry *telemetry, uint64_t account_id, const char *function,
                                            const char *region)
{
        for (struct node *n = telemetry->buckets[bucket_of(account_id, function, region)]; n; n = n->next)
                if (n->stats.account_id == account_id && !strcmp(n->stats.function, function) &&
                    !strcmp(n->stats.region, region))
                        return &n->stats;
        return NULL;
}

static struct vn_endpoint_stats *find_or_add(struct vn_telemetry *telemetry, const struct vn_account_entry *account,
                                             const struct vn_window *w, struct vn_err *err)
{
        struct vn_endpoint_stats *stats = vn_telemetry_find(telemetry, account->id, w->function, w->region);
        if (stats)
                return stats;
        struct vn_endpoint_stats **grown =
                telemetry->count < MAX_ENDPOINTS
                        ? vn_realloc(telemetry->order, (telemetry->count + 1) * sizeof *grown)
                        : NULL;
        if (grown)
                telemetry->order = grown;
        struct node *node = grown ? vn_alloc(sizeof *node) : NULL;
        if (!node) {
                VN_IGNORE(vn_fail(err, VN_RESOURCE_EXHAUSTED, "too many functions, or out of memory"));
                return NULL;
        }
        size_t bucket = bucket_of(account->id, w->function, w->region);
        node->next = telemetry->buckets[bucket];
        telemetry->buckets[bucket] = node;
        stats = &node->stats;
        stats->account_id = account->id;
        stats->platform = (enum vn_platform)account->cloud;
        memcpy(stats->tenant, account->tenant, sizeof stats->tenant);
        memcpy(stats->function, w->function, sizeof stats->function);
        memcpy(stats->region, w->region, sizeof stats->region);
        vn_fn_history_init(&stats->history);
        vn_sketch_init(&stats->recent[0]);
        vn_sketch_init(&stats->recent[1]);
        vn_sketch_init(&stats->since_memory);
        vn_sketch_init(&stats->before_memory);
        grown[telemetry->count++] = stats;
        return stats;
}

/* Means are over all calls seen, newer ones weighing more: at most 1,000 calls' worth of inertia. */
static void blend(double *mean, double sum, double calls, double before)
{
        double inertia = before < 1000 ? before : 1000;
        *mean = (*mean * inertia + sum) / (inertia + calls);
}

static void note_memory(struct vn_endpoint_stats *s, const struct vn_window *w)
{
        if (w->memory_mb && w->memory_mb != s->memory_mb) {
                if (s->memory_mb) {
                        s->before_memory = s->since_memory;
                        s->calls_before = s->calls_since;
                        s->errors_before = s->errors_since;
                }
                s->memory_mb = w->memory_mb;
                s->memory_since_us = w->start_us;
                vn_sketch_init(&s->since_memory);
                s->calls_since = s->errors_since = 0;
        }
        vn_sketch_merge(&s->since_memory, &w->durations);
        s->calls_since += w->calls;
        s->errors_since += w->errors;
        if (w->max_memory_mb > s->max_memory_mb)
                s->max_memory_mb = w->max_memory_mb;
}

static double kept_after(int64_t passed_us)
{
        return vn_exp(-.6931471805599453 * (double)passed_us / (double)DECAY_HALF_LIFE_US);
}

/* At a steady rate r a minute the decayed sum tends to r / (1 - k), k being what a minute keeps; after n windows it is
 * r (1 - k^n) / (1 - k). */
double vn_endpoint_calls_per_min(const struct vn_endpoint_stats *s, int64_t now_us)
{
        int64_t passed_us = now_us - s->last_window_us - VN_WINDOW_US;
        double minute = kept_after(VN_WINDOW_US), all = kept_after(VN_WINDOW_US * (int64_t)s->windows);
        if (!s->windows)
                return 0;
        return s->recent_calls * kept_after(passed_us > 0 ? passed_us : 0) * (1 - minute) / (1 - all);
}

static void absorb(struct vn_telemetry *telemetry, struct vn_endpoint_stats *s, const struct vn_window *w)
{
        if (w->start_us - s->half_started_us > VN_RECENT_US / 2) {
                s->recent[1] = s->recent[0];
                vn_sketch_init(&s->recent[0]);
                s->half_started_us = w->start_us;
        }
        if (s->last_window_us) {
                double keep = kept_after(w->start_us - s->last_window_us);
                s->recent_calls *= keep;
                s->recent_errors *= keep;
                s->recent_throttles *= keep;
        }
        if (w->calls) {
                blend(&s->payload_mean_bytes, w->payload_sum_bytes, w->calls, (double)s->calls);
                blend(&s->response_mean_bytes, w->response_sum_bytes, w->calls, (double)s->calls);
                blend(&s->payload_log_mean, w->payload_log_sum, w->calls, (double)s->calls);
                s->last_call_us = w->start_us + VN_WINDOW_US;
        }
        if (w->cold_starts)
                blend(&s->init_mean_us, (double)w->init_sum_us, w->cold_starts, (double)s->cold_starts);
        vn_sketch_merge(&s->recent[0], &w->durations);
        vn_fn_history_push(&s->history, w);
        note_memory(s, w);
        s->calls += w->calls;
        s->errors += w->errors;
        s->throttles += w->throttles;
        s->timeouts += w->timeouts;
        s->cold_starts += w->cold_starts;
        s->recent_calls += w->calls;
        s->recent_errors += w->errors;
        s->recent_throttles += w->throttles;
        s->billed_us += w->billed_sum_us;
        s->duration_us += w->duration_sum_us;
        s->init_us += w->init_sum_us;
        for (size_t i = 0; i < VN_IDLE_BINS; i++) {
                s->idle[i].calls += w->idle[i].calls;
                s->idle[i].cold += w->idle[i].cold;
        }
        s->last_window_us = w->start_us;
        s->windows++;
        struct vn_account_prices *prices = vn_telemetry_prices(telemetry, s->account_id);
        if (prices) {
                prices->gb_s += (double)w->billed_sum_us / 1e6 * w->memory_mb / 1024;
                prices->requests += w->calls;
        }
}

void vn_endpoint_recent(const struct vn_endpoint_stats *stats, struct vn_sketch *ret)
{
        *ret = stats->recent[0];
        vn_sketch_merge(ret, &stats->recent[1]);
}

static void window_key(struct vn_key *key, const struct vn_account_entry *account, const struct vn_window *w)
{
        vn_key_u64(vn_key_text(vn_key_text(vn_key_u64(vn_key_init(key, vn_str(account->tenant)), account->id),
                                           vn_str(w->function)),
                               vn_str(w->region)),
                   (uint64_t)w->start_us);
}

static void copy_plain(char *to, size_t bytes, const char *from)
{
        size_t n = 0;
        for (; from[n] && n + 1 < bytes; n++)
                to[n] = from[n] >= ' ' && from[n] < 0x7f ? from[n] : '?';
        to[n] = '\0';
}

/* What the agent says of its cloud now. It may quote the cloud: cut, and nothing that a terminal would obey. */
static void take_troubles(struct vn_account_entry *account, const Vane__V1__WindowReport *report)
{
        account->trouble_count = 0;
        for (size_t i = 0; i < report->n_troubles && i < VN_MAX_TROUBLES; i++) {
                const Vane__V1__CloudTrouble *t = report->troubles[i];
                size_t at = account->trouble_count++;
                copy_plain(account->troubles[at].work, sizeof account->troubles[at].work, t->work);
                copy_plain(account->troubles[at].reason, sizeof account->troubles[at].reason, t->reason);
                account->troubles[at].since_us = t->since_us;
        }
}

/* The agent asked the same table before it sent; whoever sends all the same is refused whole. */
static enum vn_rc may_come(const struct vn_server *server, const struct vn_account_entry *account,
                           const Vane__V1__WindowReport *report, struct vn_err *err)
{
        bool sizes = false;
        for (size_t i = 0; i < report->n_windows; i++) {
                const Vane__V1__Window *w = report->windows[i];
                sizes |= w->payload_log_mean > 0 || w->payload_sum_bytes > 0 || w->response_sum_bytes > 0;
        }
        if (report->n_windows)
                VN_TRY(vn_registry_may_come(server, account, VN_LEAVING_WINDOW, err));
        return sizes ? vn_registry_may_come(server, account, VN_LEAVING_SIZES, err) : VN_OK;
}

/* What an agent says of itself: one that cannot be read is as if it had said nothing. */
static void take_ability(struct vn_account_entry *account, const Vane__V1__Ability *ability)
{
        enum vn_level level;
        char refused[sizeof account->refused];
        account->ability_known = false;
        if (!ability || !vn_level_parse(ability->level, &level) ||
            !vn_str_copy(refused, sizeof refused, vn_str(ability->refused)))
                return;
        for (const char *c = refused; *c; c++)
                if (*c <= ' ' || *c > '~')
                        return;
        account->ability_known = true;
        account->ability = level;
        memcpy(account->refused, refused, sizeof refused);
}

enum vn_rc op_report_windows(struct vn_op *op, const ProtobufCMessage *message, ProtobufCMessage **ret_reply,
                             struct vn_err *err)
{
        const Vane__V1__WindowReport *report = (const Vane__V1__WindowReport *)message;
        struct vn_telemetry *telemetry = op->server->telemetry;
        struct vn_account_entry *account;
        VN_TRY(vn_op_agent_account(op, &account, err));
        VN_TRY(may_come(op->server, account, report, err));
        Vane__V1__Ack *ack = VN_NEW_MESSAGE(op->arena, Vane__V1__Ack, vane__v1__ack__init);
        if (ack && report->only_alive) {
                *ret_reply = &ack->base;
                return VN_OK;
        }
        VN_TRY(vn_observing_calls(op->server, account, report, err));
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        struct vn_window *windows = vn_alloc_array(report->n_windows + 1, sizeof *windows);
        enum vn_rc rc = batch && ack && windows ? VN_OK : vn_op_no_memory(err);
        size_t fresh = 0;
        for (size_t i = 0; rc == VN_OK && i < report->n_windows; i++) {
                rc = vn_window_from_proto(report->windows[i], &windows[fresh], err);
                if (rc != VN_OK)
                        break;
                const struct vn_endpoint_stats *seen =
                        vn_telemetry_find(telemetry, account->id, windows[fresh].function, windows[fresh].region);
                if (seen && windows[fresh].start_us <= seen->last_window_us)
                        continue; /* sent again after a lost answer */
                struct vn_key key;
                window_key(&key, account, &windows[fresh]);
                vn_state_put(batch, VN_TABLE_windows, &key, &report->windows[i]->base);
                struct vn_endpoint_stats *stats = find_or_add(telemetry, account, &windows[fresh], err);
                if (stats)
                        rc = vn_usage_add(op->server, account, stats, &windows[fresh], batch, err);
                fresh++;
        }
        if (rc == VN_OK && fresh)
                rc = vn_store_commit(op->server->store, batch, err);
        for (size_t i = 0; rc != VN_OK && i < fresh; i++) {
                struct vn_endpoint_stats *stats =
                        vn_telemetry_find(telemetry, account->id, windows[i].function, windows[i].region);
                if (stats)
                        stats->usage.start_us = 0; /* what is stored counts */
        }
        for (size_t i = 0; rc == VN_OK && i < fresh; i++) {
                struct vn_endpoint_stats *stats = find_or_add(telemetry, account, &windows[i], err);
                if (stats)
                        absorb(telemetry, stats, &windows[i]);
                vn_routing_window(op->server, account, &windows[i]);
        }
        vn_free(windows);
        VN_TRY(rc);
        account->windows += fresh;
        /* The agent counts from its start: less than before is a new one. */
        uint64_t before = report->cloud_failures < account->cloud_failures ? 0 : account->cloud_failures;
        uint64_t more = report->cloud_failures - before;
        VN_METRIC_ADD_FOR(CLOUD_FAILURES, NULL, more < MAX_FAILURES_A_REPORT ? more : MAX_FAILURES_A_REPORT);
        account->cloud_failures = report->cloud_failures;
        take_troubles(account, report);
        take_ability(account, report->ability);
        if (fresh)
                vn_routing_dirty(op->server);
        *ret_reply = &ack->base;
        return VN_OK;
}

struct vn_account_prices *vn_telemetry_prices(struct vn_telemetry *telemetry, uint64_t account_id)
{
        for (size_t i = 0; i < telemetry->price_count; i++)
                if (telemetry->prices[i]->account_id == account_id)
                        return telemetry->prices[i];
        return NULL;
}

struct vn_account_prices *vn_telemetry_prices_of(struct vn_telemetry *telemetry, uint64_t account_id)
{
        struct vn_account_prices *prices = vn_telemetry_prices(telemetry, account_id);
        if (prices)
                return prices;
        struct vn_account_prices **grown =
                vn_realloc(telemetry->prices, (telemetry->price_count + 1) * sizeof *grown);
        if (!grown)
                return NULL;
        telemetry->prices = grown;
        prices = grown[telemetry->price_count] = vn_alloc(sizeof *prices);
        if (prices) {
                prices->account_id = account_id;
                telemetry->price_count++;
        }
        return prices;
}

static enum vn_rc load_window(void *arg, struct vn_str key, ProtobufCMessage *message, struct vn_err *err)
{
        struct vn_server *server = arg;
        struct vn_str tenant;
        uint64_t account_id = 0;
        struct vn_window *window = vn_alloc(sizeof *window);
        enum vn_rc rc = window ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        if (rc == VN_OK)
                rc = vn_window_from_proto((Vane__V1__Window *)message, window, err);
        if (rc == VN_OK && vn_key_take_text(&key, &tenant) && vn_key_take_u64(&key, &account_id)) {
                struct vn_account_entry *account = vn_registry_by_id(server->registry, account_id);
                struct vn_endpoint_stats *stats =
                        account ? find_or_add(server->telemetry, account, window, err) : NULL;
                if (stats)
                        absorb(server->telemetry, stats, window);
        }
        vn_free(window);
        protobuf_c_message_free_unpacked(message, NULL);
        return rc;
}

enum vn_rc vn_telemetry_start(struct vn_server *server, struct vn_err *err)
{
        server->telemetry = vn_alloc(sizeof *server->telemetry);
        if (!server->telemetry)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        VN_TRY(vn_prices_load(server, err));
        return vn_state_load(server->store, VN_TABLE_windows, &vane__v1__window__descriptor, load_window, server,
                             err);
}

void vn_telemetry_stop(struct vn_server *server)
{
        struct vn_telemetry *telemetry = server->telemetry;
        if (!telemetry)
                return;
        for (size_t i = 0; i < BUCKETS; i++)
                while (telemetry->buckets[i]) {
                        struct node *node = telemetry->buckets[i];
                        telemetry->buckets[i] = node->next;
                        vn_free(node);
                }
        for (size_t i = 0; i < telemetry->price_count; i++)
                vn_free(telemetry->prices[i]);
        vn_free(telemetry->prices);
        vn_free(telemetry->order);
        vn_free(telemetry);
        server->telemetry = NULL;
}

enum vn_rc vn_telemetry_retain(struct vn_server *server, struct vn_err *err)
{
        int64_t before_us = vn_now_us(server->clock) - server->config.window_retention_s * VN_US_PER_S;
        if (before_us <= 0)
                return VN_OK;
        VN_AUTO(vn_batch)
        batch = vn_batch_new();
        if (!batch)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        for (size_t i = 0; i < server->telemetry->count; i++) {
                const struct vn_endpoint_stats *s = server->telemetry->order[i];
                struct vn_key from, to;
                vn_key_text(vn_key_text(vn_key_u64(vn_key_init(&from, vn_str(s->tenant)), s->account_id),
                                        vn_str(s->function)),
                            vn_str(s->region));
                to = from;
                vn_key_u64(&from, 0);
                vn_key_u64(&to, (uint64_t)before_us);
                vn_batch_delete_range(batch, VN_TABLE_windows, &from, &to, 1000);
        }
        return vn_store_commit(server->store, batch, err);
}

size_t vn_telemetry_count(const struct vn_telemetry *telemetry)
{
        return telemetry->count;
}

struct vn_endpoint_stats *vn_telemetry_at(struct vn_telemetry *telemetry, size_t index)
{
        VN_ASSERT(index < telemetry->count);
        return telemetry->order[index];
}

uint64_t vn_telemetry_windows(const struct vn_telemetry *telemetry, const char *tenant)
{
        uint64_t windows = 0;
        for (size_t i = 0; i < telemetry->count; i++)
                if (!strcmp(telemetry->order[i]->tenant, tenant))
                        windows += telemetry->order[i]->windows;
        return windows;
}
