#include "agents/gather.h"

#include "agents/collect.h"
#include "agents/meter.h"
#include "base/json.h"
#include "clouds/budget.h"
#include "clouds/observe.h"
#include "platform/bill.h"
#include "agents/watch.h"
#include "clouds/grant.h"
#include "clouds/permissions.h"
#include "vane/v1/agent.pb-c.h"

#define CONFIG_MAX 65536
#define CONFIG_VALUES 512
#define LINES_A_MINUTE 20000 /* ordinary ones kept, of all functions */
#define SAMPLED_FUNCTIONS 10000
#define SEEN_SLOTS 131072 /* a table twice the size of what it remembers */
#define SEEN_MAX 65536
#define SET_WAIT_US (20 * VN_US_PER_S)
#define REPORT_ARENA_BYTES (8u << 20)
#define MAX_WEIGHT 100
#define USUAL_ONE_IN 10
#define CONSUMPTION_MB 1536 /* Azure's Consumption plan has no memory setting: every instance may use this much */

struct vn_gather {
        struct vn_cloud_http *http;
        struct vn_cloud *cloud;
        struct vn_cloud_list list;
        struct vn_cloud_function read; /* the configuration as vn_gather_read saw it: what a change is based on */
        uint64_t *ring, *table;        /* ids seen: oldest out first */
        size_t seen;
        uint64_t dropped;
        struct vn_meter *meter;
        struct vn_lines *lines;
        vn_line_fn line_to; /* NULL: nobody takes raw lines */
        void *line_arg;
        struct vn_used_memory *used; /* azure: of functions on a plan without a memory setting */
        /* of the read under way */
        const struct vn_cloud_function *reading;
        vn_gather_call each;
        void *arg;
        int64_t from_us;
};

/* --- opening --- */

static enum vn_rc hand_line(void *arg, const struct vn_line *line, struct vn_err *err)
{
        struct vn_gather *g = arg;
        return g->line_to(g->line_arg, line, err);
}

/* `sample_one_in` and `scrub_patterns` of the account's configuration. */
static enum vn_rc open_lines(struct vn_gather *g, const struct json_t *root, struct vn_err *err)
{
        const json_t *one_in = json_object_get(root, "sample_one_in");
        struct vn_lines_config config = {.sample = {.one_in = USUAL_ONE_IN,
                                                    .lines_per_interval = LINES_A_MINUTE,
                                                    .interval_us = VN_US_PER_MIN,
                                                    .max_functions = SAMPLED_FUNCTIONS},
                                         .data_class = VN_DATA_RESTRICTED, /* until it is known */
                                         .patterns = json_object_get(root, "scrub_patterns"),
                                         .each = hand_line,
                                         .arg = g};
        if (one_in && !(json_integer_value(one_in) >= 1 && json_integer_value(one_in) <= VN_SAMPLE_MAX_ONE_IN))
                return vn_fail(err, VN_INVALID_ARGUMENT, "sample_one_in: a whole number, 1 to %d",
                               VN_SAMPLE_MAX_ONE_IN);
        if (one_in)
                config.sample.one_in = (uint32_t)json_integer_value(one_in);
        return vn_lines_new(&config, &g->lines, err);
}

static enum vn_rc open_cloud(struct vn_gather *g, struct vn_str text, const struct vn_clock *clock,
                             struct vn_err *err)
{
        static const struct vn_json_limits limits = {CONFIG_MAX, 4, CONFIG_VALUES};
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_cloud_config config;
        VN_TRY(vn_json_parse(text, &limits, &root, err));
        if (!json_is_object(root))
                return vn_fail(err, VN_INVALID_ARGUMENT, "not an object");
        VN_TRY(open_lines(g, root, err));
        VN_TRY(vn_cloud_config_from_json(root, &config, err));
        VN_TRY(vn_cloud_http_new(json_string_value(json_object_get(root, "ca_file")), &g->http, err));
        return vn_cloud_open(&config, clock, vn_cloud_http_transport(g->http), &g->cloud, err);
}

enum vn_rc vn_gather_open(const char *config_file, const struct vn_clock *clock, struct vn_gather **ret,
                          struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(CONFIG_MAX);
        struct vn_gather *g = vn_alloc(sizeof *g);
        if (!g)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "gather: out of memory");
        g->ring = vn_alloc_array(SEEN_MAX, sizeof *g->ring);
        g->table = vn_alloc_array(SEEN_SLOTS, sizeof *g->table);
        enum vn_rc rc = g->ring && g->table && vn_used_memory_new(&g->used, err) == VN_OK &&
                                        vn_meter_new(&g->meter, err) == VN_OK
                                ? vn_file_read(config_file, &text, err)
                                : vn_fail(err, VN_RESOURCE_EXHAUSTED, "gather: out of memory");
        if (rc == VN_OK) {
                rc = open_cloud(g, vn_buf_view(&text), clock, err);
                explicit_bzero(text.ptr, text.cap); /* credentials */
        }
        if (rc != VN_OK) {
                vn_gather_free(g);
                return vn_err_prefix(err, rc, "%.100s", config_file);
        }
        *ret = g;
        return VN_OK;
}

struct vn_gather *vn_gather_free(struct vn_gather *gather)
{
        if (!gather)
                return NULL;
        vn_cloud_list_done(&gather->list);
        vn_cloud_free(gather->cloud);
        vn_cloud_http_free(gather->http);
        vn_used_memory_free(gather->used);
        vn_meter_free(gather->meter);
        vn_lines_free(gather->lines);
        vn_free(gather->ring);
        vn_free(gather->table);
        vn_free(gather);
        return NULL;
}

enum vn_platform vn_gather_platform(const struct vn_gather *gather)
{
        return (enum vn_platform)vn_cloud_kind(gather->cloud); /* both count the rows of base/clouds.def */
}

int64_t vn_gather_lag_us(const struct vn_gather *gather)
{
        /* CloudWatch and Cloud Logging show records within seconds, Application Insights within minutes. */
        return vn_cloud_kind(gather->cloud) == VN_CLOUD_AZURE ? 180 * VN_US_PER_S : 60 * VN_US_PER_S;
}

enum vn_rc vn_gather_abilities(const struct vn_gather *gather, struct vn_cloud_abilities *ret, struct vn_err *err)
{
        if (!gather->list.count)
                return vn_fail(err, VN_FAILED_PRECONDITION, "no function is listed to ask about");
        return vn_cloud_abilities(gather->cloud, &gather->list.functions[0], ret, err);
}

const char *vn_gather_change_permission(const struct vn_gather *gather)
{
        return vn_permission_name(vn_cloud_kind(gather->cloud), "change memory_mb");
}

uint64_t vn_gather_api_calls(const struct vn_gather *gather)
{
        return vn_cloud_call_count(gather->cloud);
}

void vn_gather_usage(const struct vn_gather *gather, struct vn_cloud_usage *ret)
{
        vn_cloud_usage(gather->cloud, ret);
}

uint64_t vn_gather_dropped(const struct vn_gather *gather)
{
        return gather->dropped;
}

/* --- inventory and prices --- */

enum vn_rc vn_gather_list(struct vn_gather *gather, struct vn_err *err)
{
        struct vn_cloud_list list = {0};
        enum vn_rc rc = vn_cloud_list(gather->cloud, &list, err);
        if (rc != VN_OK) {
                vn_cloud_list_done(&list);
                return rc;
        }
        for (size_t i = 0; i < list.count; i++)
                if (!list.functions[i].memory_mb && vn_cloud_kind(gather->cloud) == VN_CLOUD_AZURE)
                        list.functions[i].memory_mb = CONSUMPTION_MB;
        vn_cloud_list_done(&gather->list);
        gather->list = list;
        return VN_OK;
}

size_t vn_gather_function_count(const struct vn_gather *gather)
{
        return gather->list.count;
}

static char *text(const char *borrowed)
{
        union {
                const char *in;
                char *out;
        } cast = {.in = borrowed}; /* protobuf-c packs from char * but does not write to it */
        return cast.out;
}

static void fill_function(const struct vn_cloud_function *f, Vane__V1__FunctionInfo *m, uint32_t *choices)
{
        vane__v1__function_info__init(m);
        m->name = text(f->name);
        m->region = text(f->region);
        m->resource = text(f->resource);
        m->memory_mb = f->memory_mb;
        m->timeout_s = f->timeout_s;
        m->concurrency = f->concurrency;
        m->runtime = text(f->runtime);
        m->url = text(f->url);
        m->memory_tunable = f->memory_tunable;
        m->max_instances = f->max_instances;
        m->guard = text(f->guard);
        memcpy(choices, f->memory_choices_mb, f->memory_choice_count * sizeof *choices);
        m->memory_choices_mb = choices;
        m->n_memory_choices_mb = f->memory_choice_count;
}

enum vn_rc vn_gather_report_inventory(const struct vn_gather *gather, struct vn_grpc_channel *channel,
                                      const struct vn_leave_rules *rules, int64_t now_us, struct vn_err *err)
{
        const struct vn_cloud_list *list = &gather->list;
        VN_AUTO(vn_arena)
        arena;
        Vane__V1__InventoryReport report = VANE__V1__INVENTORY_REPORT__INIT;
        vn_arena_init(&arena, REPORT_ARENA_BYTES);
        report.time_us = now_us;
        report.complete = list->complete;
        report.functions = vn_arena_alloc(&arena, (list->count + 1) * sizeof(Vane__V1__FunctionInfo *));
        report.unreachable = vn_arena_alloc(&arena, (list->unreachable_count + 1) * sizeof(char *));
        Vane__V1__FunctionInfo *functions = vn_arena_alloc(&arena, (list->count + 1) * sizeof *functions);
        uint32_t *choices = vn_arena_alloc(&arena, (list->count + 1) * VN_CLOUD_MAX_CHOICES * sizeof *choices);
        if (!report.functions || !report.unreachable || !functions || !choices)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "inventory: too many functions for one report");
        for (size_t i = 0; i < list->count; i++) {
                fill_function(&list->functions[i], &functions[i], choices + i * VN_CLOUD_MAX_CHOICES);
                report.functions[report.n_functions++] = &functions[i];
        }
        for (size_t i = 0; i < list->unreachable_count; i++)
                report.unreachable[report.n_unreachable++] = list->unreachable[i];
        return vn_link_inventory(channel, rules, &report, err);
}

static enum vn_rc send_prices(const struct vn_cloud_price_list *prices, struct vn_grpc_channel *channel,
                              int64_t now_us, struct vn_err *err)
{
        VN_AUTO(vn_arena)
        arena;
        Vane__V1__PriceReport report = VANE__V1__PRICE_REPORT__INIT;
        vn_arena_init(&arena, REPORT_ARENA_BYTES);
        report.time_us = now_us;
        if (prices->count)
                report.plan = text(prices->prices[0].plan);
        report.tiers = vn_arena_alloc(&arena, (prices->count + 1) * sizeof(Vane__V1__PriceTier *));
        Vane__V1__PriceTier *tiers = vn_arena_alloc(&arena, (prices->count + 1) * sizeof *tiers);
        if (!report.tiers || !tiers)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "prices: too many for one report");
        for (size_t i = 0; i < prices->count; i++) {
                const struct vn_cloud_price *p = &prices->prices[i];
                Vane__V1__PriceTier *tier = report.tiers[report.n_tiers] = &tiers[report.n_tiers];
                vane__v1__price_tier__init(tier);
                tier->meter = text(vn_cloud_meter_name(p->meter));
                tier->region = text(p->region);
                /* An Azure account has functions on both plans: Flex rates carry it where AWS's carry the processor. */
                tier->arch = text(strcmp(p->plan, "flex") ? p->arch : p->plan);
                tier->from_units = p->from_units;
                tier->pico_usd = p->pico_usd;
                tier->effective_us = p->effective_us;
                report.n_tiers++;
        }
        return vn_link_prices(channel, &report, err);
}

enum vn_rc vn_gather_report_prices(struct vn_gather *gather, struct vn_grpc_channel *channel, int64_t now_us,
                                   struct vn_err *err)
{
        struct vn_cloud_price_list prices = {0};
        enum vn_rc rc = vn_cloud_prices(gather->cloud, &prices, err);
        if (rc == VN_OK)
                rc = send_prices(&prices, channel, now_us, err);
        vn_cloud_price_list_done(&prices);
        return rc;
}

/* --- invocations --- */

static size_t slot_of(const struct vn_gather *g, uint64_t id)
{
        size_t i = (size_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SEEN_SLOTS;
        while (g->table[i] && g->table[i] != id)
                i = (i + 1) % SEEN_SLOTS;
        return i;
}

/* Linear probing without tombstones: what follows the hole moves up if it belongs there. */
static void forget(struct vn_gather *g, uint64_t id)
{
        size_t hole = slot_of(g, id);
        g->table[hole] = 0;
        for (size_t i = (hole + 1) % SEEN_SLOTS; g->table[i]; i = (i + 1) % SEEN_SLOTS) {
                uint64_t moved = g->table[i];
                g->table[i] = 0;
                g->table[slot_of(g, moved)] = moved;
        }
}

static bool seen_before(struct vn_gather *g, uint64_t id)
{
        id = id ? id : 1;
        size_t slot = slot_of(g, id);
        if (g->table[slot])
                return true;
        if (g->seen >= SEEN_MAX) {
                forget(g, g->ring[g->seen % SEEN_MAX]);
                slot = slot_of(g, id);
        }
        g->table[slot] = id;
        g->ring[g->seen++ % SEEN_MAX] = id;
        return false;
}

static const struct vn_cloud_function *find(const struct vn_gather *g, const char *name, const char *region)
{
        for (size_t i = 0; i < g->list.count; i++)
                if (!strcmp(g->list.functions[i].name, name) &&
                    (!region || !region[0] || !strcmp(g->list.functions[i].region, region)))
                        return &g->list.functions[i];
        return NULL;
}

static int64_t known(int64_t value, int64_t otherwise)
{
        return value >= 0 ? value : otherwise;
}

/* What no log tells, the plan's published rule does. INIT is in no such log, so a start is billed too low. */
static void bill(const struct vn_gather *g, const struct vn_cloud_function *f, struct vn_invocation *call, bool told)
{
        enum vn_bill_plan plan = VN_BILL_LAMBDA;
        switch (vn_cloud_kind(g->cloud)) {
        case VN_CLOUD_AWS:
        case VN_CLOUD_HTTP: break; /* by the time and the memory; nobody bills it */
        case VN_CLOUD_AZURE: plan = f->memory_tunable ? VN_BILL_FLEX : VN_BILL_CONSUMPTION; break;
        case VN_CLOUD_GCP:
                plan = VN_BILL_CLOUD_RUN;
                call->milli_vcpu = f->milli_vcpu;
                break;
        }
        if (!told && call->status != VN_CALL_THROTTLED)
                call->billed_us = (int64_t)vn_bill_time_us(plan, (uint64_t)call->duration_us, 0);
        call->billed_mb = vn_bill_memory_mb(plan, call->memory_mb, call->max_memory_mb);
}

/* Field by field: nothing crosses from a cloud's record but what is named here. */
static bool convert(const struct vn_cloud_invocation *from, const struct vn_cloud_function *f,
                    struct vn_invocation *to)
{
        static const enum vn_call_status status[] = {
                [VN_INVOCATION_OK] = VN_CALL_OK,
                [VN_INVOCATION_ERROR] = VN_CALL_ERROR,
                [VN_INVOCATION_TIMEOUT] = VN_CALL_TIMEOUT,
                [VN_INVOCATION_THROTTLED] = VN_CALL_THROTTLED,
        };
        *to = (struct vn_invocation){
                .start_us = from->time_us,
                .duration_us = known(from->duration_us, 0),
                .init_us = known(from->init_us, 0),
                .billed_us = known(from->billed_us, 0),
                .memory_mb = from->memory_mb ? from->memory_mb : f->memory_mb,
                .max_memory_mb = from->max_memory_mb,
                .payload_bytes = (uint64_t)known(from->request_bytes, 0),
                .response_bytes = (uint64_t)known(from->response_bytes, 0),
                .status = status[from->status],
                .cold = from->cold,
        };
        return vn_str_copy(to->function, sizeof to->function, vn_str(f->name)) &&
               vn_str_copy(to->region, sizeof to->region, vn_str(f->region));
}

static enum vn_rc take_record(void *arg, const struct vn_cloud_invocation *record)
{
        struct vn_gather *g = arg;
        struct vn_invocation call;
        if (record->time_us < g->from_us || seen_before(g, record->id_hash))
                return VN_OK;
        const struct vn_cloud_function *f = g->reading ? g->reading : find(g, record->function, NULL);
        if (!f || !convert(record, f, &call)) {
                g->dropped++;
                return VN_OK;
        }
        if (vn_cloud_kind(g->cloud) == VN_CLOUD_AZURE && !f->memory_tunable) {
                if (call.status != VN_CALL_THROTTLED)
                        VN_TRY(vn_used_memory_add(g->used, f, call.start_us, call.duration_us, NULL));
                call.max_memory_mb = vn_used_memory_mb(g->used, f->name);
        }
        bill(g, f, &call, record->billed_us >= 0);
        vn_lines_cost(g->lines, f->name, f->region, (double)call.billed_us / 1e6 * call.memory_mb / 1024);
        /* A cloud that samples its log says for how many calls a record stands. */
        int times = record->weight > 1 ? (int)(record->weight < MAX_WEIGHT ? record->weight + 0.5 : MAX_WEIGHT) : 1;
        for (int i = 0; i < times; i++)
                VN_TRY(g->each(g->arg, &call));
        return VN_OK;
}

enum vn_rc vn_gather_calls(struct vn_gather *gather, int64_t from_us, int64_t to_us, vn_gather_call each, void *arg,
                           struct vn_err *err)
{
        gather->each = each;
        gather->arg = arg;
        gather->from_us = from_us;
        gather->reading = NULL;
        if (vn_cloud_kind(gather->cloud) != VN_CLOUD_AWS) {
                const struct vn_used_memory_meter meter = {vn_used_memory_read_cloud, gather->cloud};
                /* Of what was read before. Without it the old figures stand; the log must still be read. */
                VN_IGNORE(vn_used_memory_refresh(gather->used, to_us, &meter, NULL));
                return vn_cloud_logs(gather->cloud, NULL, from_us, to_us, take_record, gather, err);
        }
        for (size_t i = 0; i < gather->list.count; i++) {
                gather->reading = &gather->list.functions[i];
                enum vn_rc rc =
                        vn_cloud_logs(gather->cloud, gather->reading, from_us, to_us, take_record, gather, err);
                if (rc != VN_OK && rc != VN_NOT_FOUND) /* never called yet: there is no log group */
                        return rc;
        }
        return VN_OK;
}

void vn_gather_meter(struct vn_gather *gather, struct vn_window *window)
{
        const struct vn_cloud_function *f = find(gather, window->function, window->region);
        if (f && vn_cloud_kind(gather->cloud) != VN_CLOUD_AWS)
                vn_meter_apply(gather->meter, f, vn_meter_read_cloud, gather->cloud, window);
}

/* --- raw lines --- */

void vn_gather_lines_to(struct vn_gather *gather, vn_line_fn each, void *arg)
{
        gather->line_to = each;
        gather->line_arg = arg;
}

void vn_gather_set_class(struct vn_gather *gather, enum vn_data_class data_class)
{
        vn_lines_set_class(gather->lines, data_class);
}

static enum vn_rc take_line(void *arg, const struct vn_cloud_line *line)
{
        struct vn_gather *g = arg;
        if (line->time_us < g->from_us || seen_before(g, line->id_hash))
                return VN_OK;
        const struct vn_cloud_function *f = g->reading ? g->reading : find(g, line->function, NULL);
        if (f)
                return vn_lines_take(g->lines, f->region, line, NULL);
        g->dropped++;
        return VN_OK;
}

enum vn_rc vn_gather_lines(struct vn_gather *gather, int64_t from_us, int64_t to_us, struct vn_err *err)
{
        if (!gather->line_to)
                return VN_OK;
        gather->from_us = from_us;
        gather->reading = NULL;
        if (vn_cloud_kind(gather->cloud) != VN_CLOUD_AWS)
                return vn_cloud_lines(gather->cloud, NULL, from_us, to_us, take_line, gather, err);
        for (size_t i = 0; i < gather->list.count; i++) {
                gather->reading = &gather->list.functions[i];
                VN_TRY(vn_cloud_lines(gather->cloud, gather->reading, from_us, to_us, take_line, gather, err));
        }
        return VN_OK;
}

/* --- invoke grants --- */

enum vn_rc vn_gather_grant(const struct vn_gather *gather, const struct vn_agent_grant *request,
                           struct vn_cloud_grant *ret, struct vn_err *err)
{
        const struct vn_cloud_function *functions[VN_AGENT_GRANT_FUNCTIONS];
        for (size_t i = 0; i < request->function_count; i++) {
                functions[i] = find(gather, request->functions[i].name, request->functions[i].region);
                if (!functions[i])
                        return vn_fail(err, VN_NOT_FOUND, "no function %.64s in this account",
                                       request->functions[i].name);
        }
        return vn_cloud_grant(gather->cloud, functions, request->function_count, request->seconds, ret, err);
}

/* --- changing memory --- */

static void fill_state(const struct vn_cloud_function *f, struct vn_apply_state *ret)
{
        ret->memory_mb = f->memory_mb;
        ret->busy = f->busy;
        VN_ASSERT(vn_str_copy(ret->guard, sizeof ret->guard, vn_str(f->guard)));
}

enum vn_rc vn_gather_read(void *state, const char *function, const char *region, struct vn_apply_state *ret,
                          struct vn_err *err)
{
        struct vn_gather *g = state;
        const struct vn_cloud_function *f = find(g, function, region);
        if (!f)
                return vn_fail(err, VN_NOT_FOUND, "no such function in this account");
        VN_TRY(vn_cloud_read(g->cloud, f, &g->read, err));
        fill_state(&g->read, ret);
        return VN_OK;
}

enum vn_rc vn_gather_set(void *state, const char *function, const char *region, uint32_t memory_mb,
                         struct vn_apply_state *ret, struct vn_err *err)
{
        struct vn_gather *g = state;
        struct vn_cloud_function after;
        (void)region;
        if (strcmp(g->read.name, function))
                return vn_fail(err, VN_FAILED_PRECONDITION, "the function was not read before");
        VN_TRY(vn_cloud_change(g->cloud, &g->read, VN_SETTING_MEMORY_MB, memory_mb, SET_WAIT_US, &after, err));
        fill_state(&after, ret);
        return VN_OK;
}
