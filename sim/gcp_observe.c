/* gcp_observe.c - Cloud Monitoring time series, Cloud Logging entries of requests, billing catalog. */
#include <stdio.h>
#include <stdlib.h>

#include "sim/gcp.h"
#include "sim/stats.h"

#define MAX_POINTS 100000
#define MAX_CONDITIONS 12
#define RUN_SERVICE "152E-C115-5142"

static int status_of(const struct vn_sim_record *r)
{
        static const int codes[] = {[VN_RUN_OK] = 200,      [VN_RUN_ERROR] = 500,     [VN_RUN_OOM] = 500,
                                    [VN_RUN_TIMEOUT] = 504, [VN_RUN_THROTTLED] = 429, [VN_RUN_UNAVAILABLE] = 503};
        return codes[r->status];
}

/* One comparison of a filter: name op "value". Joined by AND or by a new line. */
struct condition {
        struct vn_str name, op, value;
};

static size_t parse_filter(struct vn_str text, struct condition ret[MAX_CONDITIONS])
{
        size_t count = 0;
        while (true) {
                while (text.len && strchr(" \t\r\n", text.ptr[0]))
                        text = vn_str_n(text.ptr + 1, text.len - 1);
                if (!text.len)
                        return count;
                if (vn_str_starts(text, VN_STR("AND "))) {
                        text = vn_str_n(text.ptr + 4, text.len - 4);
                        continue;
                }
                size_t n = 0, op = 0, value;
                while (n < text.len && !strchr(" =<>!:", text.ptr[n]))
                        n++;
                size_t start = n;
                while (start < text.len && text.ptr[start] == ' ')
                        start++;
                while (start + op < text.len && strchr("=<>!:", text.ptr[start + op]))
                        op++;
                value = start + op;
                while (value < text.len && text.ptr[value] == ' ')
                        value++;
                if (!n || !op || count == MAX_CONDITIONS)
                        return SIZE_MAX;
                bool quoted = value < text.len && text.ptr[value] == '"';
                size_t end = value + quoted;
                while (end < text.len && (quoted ? text.ptr[end] != '"' : !strchr(" \n", text.ptr[end])))
                        end++;
                ret[count++] = (struct condition){vn_str_n(text.ptr, n), vn_str_n(text.ptr + start, op),
                                                  vn_str_n(text.ptr + value + quoted, end - value - quoted)};
                end += quoted && end < text.len;
                text = vn_str_n(text.ptr + end, text.len - end);
        }
}

static const struct condition *find(const struct condition *conditions, size_t count, const char *name)
{
        for (size_t i = 0; i < count; i++) {
                if (vn_str_eq(conditions[i].name, vn_str(name)))
                        return &conditions[i];
        }
        return NULL;
}

struct series_request {
        struct vn_str metric, service;
        int64_t from_us, until_us, period_us;
        bool billed;       /* billable_instance_time */
        double percentile; /* -1: a count or a distribution */
        char service_text[128], metric_text[160];
};

static bool counted(const struct vn_sim_record *r, const void *arg, double *ret)
{
        const int *class = arg;
        *ret = 1;
        return status_of(r) / 100 == *class;
}

static bool latency(const struct vn_sim_record *r, const void *arg, double *ret)
{
        const int *class = arg;
        *ret = (double)(r->end_us - r->at_us) / 1e3;
        return r->instance && status_of(r) / 100 == *class;
}

/* Of every class: what was billed, in seconds. */
static bool billed(const struct vn_sim_record *r, const void *arg, double *ret)
{
        (void)arg;
        *ret = (double)r->billed_ms / 1e3;
        return r->billed_ms > 0;
}

static json_t *point_of(const struct vn_series_point *p, const struct series_request *q, bool count_metric)
{
        json_t *interval = json_pack("{s:o, s:o}", "startTime", vn_sim_time(p->start_us), "endTime",
                                     vn_sim_time(p->start_us + q->period_us));
        char count[24];
        snprintf(count, sizeof count, "%zu", p->count);
        json_t *value;
        if (count_metric)
                value = json_pack("{s:s}", "int64Value", count);
        else if (q->billed)
                value = json_pack("{s:f}", "doubleValue", p->sum);
        else if (q->percentile >= 0)
                value = json_pack("{s:f}", "doubleValue", p->percentile);
        else
                value = json_pack("{s:{s:s, s:f}}", "distributionValue", "count", count, "mean",
                                  p->sum / (double)p->count);
        return json_pack("{s:o, s:o}", "interval", interval, "value", value);
}

static void add_series(struct vn_sim *sim, uint32_t account, uint32_t deployment, const struct series_request *q,
                       int class, bool count_metric, json_t *list)
{
        char class_text[8], code[8];
        size_t count = 0;
        struct vn_series_point *points = vn_series(sim, deployment,
                                                   q->billed      ? billed
                                                   : count_metric ? counted
                                                                  : latency,
                                                   &class, q->from_us, q->until_us, q->period_us,
                                                   q->percentile >= 0 ? q->percentile : 50, MAX_POINTS, &count);
        if (count) {
                json_t *out = json_array();
                for (size_t i = count; i-- > 0;) /* newest first */
                        json_array_append_new(out, point_of(&points[i], q, count_metric));
                snprintf(class_text, sizeof class_text, "%dxx", class);
                snprintf(code, sizeof code, "%d", class == 2 ? 200 : class == 4 ? 429 : 500);
                json_array_append_new(list,
                                      json_pack("{s:{s:s%, s:{s:s, s:s}}, s:{s:s, s:{s:s, s:s, s:s}}, s:s, s:s, s:o}",
                                                "metric", "type", q->metric.ptr, q->metric.len, "labels",
                                                "response_code_class", class_text, "response_code", code, "resource",
                                                "type", "cloud_run_revision", "labels", "service_name",
                                                vn_sim_function_name(sim, deployment), "location",
                                                sim->accounts[account].region, "project_id",
                                                sim->accounts[account].id, "metricKind", "DELTA", "valueType",
                                                count_metric                      ? "INT64"
                                                : q->percentile >= 0 || q->billed ? "DOUBLE"
                                                                                  : "DISTRIBUTION",
                                                "points", out));
        }
        vn_free(points);
}

/* By name, or by number for clients that send enums so. */
static bool parse_aligner(struct vn_str text, double *ret_percentile)
{
        static const struct {
                const char *name, *number;
                double percentile;
        } known[] = {{"ALIGN_NONE", "0", -1},           {"ALIGN_DELTA", "1", -1},
                     {"ALIGN_SUM", "14", -1},           {"ALIGN_PERCENTILE_99", "18", 99},
                     {"ALIGN_PERCENTILE_95", "19", 95}, {"ALIGN_PERCENTILE_50", "20", 50},
                     {"ALIGN_PERCENTILE_05", "21", 5}};
        for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
                if (vn_str_eq(text, vn_str(known[i].name)) || vn_str_eq(text, vn_str(known[i].number))) {
                        *ret_percentile = known[i].percentile;
                        return true;
                }
        }
        return !text.len;
}

static bool param_time(struct vn_str query, const char *name, int64_t *ret_us)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(64);
        return vn_sim_param(query, name, &text) && vn_time_parse(text.ptr ? text.ptr : "", text.len, ret_us) == VN_OK;
}

static const char *read_series_request(const struct vn_sim_request *request, struct series_request *q,
                                       struct vn_buf *filter)
{
        struct condition conditions[MAX_CONDITIONS];
        VN_AUTO(vn_buf)
        period = VN_BUF_INIT(32);
        VN_AUTO(vn_buf)
        aligner = VN_BUF_INIT(64);
        uint64_t seconds = 60;
        *q = (struct series_request){.percentile = -1};
        if (!vn_sim_param(request->query, "filter", filter))
                return "Field filter had an invalid value: it is required.";
        size_t count = parse_filter(vn_buf_view(filter), conditions);
        const struct condition *metric = count == SIZE_MAX ? NULL : find(conditions, count, "metric.type");
        if (!metric || !vn_str_eq(metric->op, VN_STR("=")))
                return "Field filter had an invalid value: must specify exactly one metric.type.";
        const struct condition *service = find(conditions, count, "resource.labels.service_name");
        if (!service)
                service = find(conditions, count, "resource.label.service_name");
        q->metric = metric->value;
        q->service = service ? service->value : VN_STR("");
        if (!param_time(request->query, "interval.endTime", &q->until_us) ||
            !param_time(request->query, "interval.startTime", &q->from_us) || q->from_us > q->until_us)
                return "Field interval had an invalid value.";
        if (vn_sim_param(request->query, "aggregation.alignmentPeriod", &period) &&
            (!vn_str_ends(vn_buf_view(&period), VN_STR("s")) ||
             vn_str_to_u64(vn_str_n(period.ptr, period.len - 1), &seconds) != VN_OK || seconds < 60 ||
             seconds > 86400))
                return "Field aggregation.alignmentPeriod had an invalid value: at least 60s.";
        q->period_us = (int64_t)seconds * VN_US_PER_S;
        vn_sim_param(request->query, "aggregation.perSeriesAligner", &aligner);
        if (!parse_aligner(vn_buf_view(&aligner), &q->percentile))
                return "Field aggregation.perSeriesAligner had an invalid value.";
        return NULL;
}

void vn_gcp_time_series(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                        struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        filter = VN_BUF_INIT(4096);
        struct series_request q;
        const char *bad = read_series_request(request, &q, &filter);
        if (bad) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "%s", bad);
                return;
        }
        bool counts = vn_str_eq(q.metric, VN_STR("run.googleapis.com/request_count"));
        q.billed = vn_str_eq(q.metric, VN_STR("run.googleapis.com/container/billable_instance_time"));
        if (!counts && !q.billed && !vn_str_eq(q.metric, VN_STR("run.googleapis.com/request_latencies"))) {
                vn_sim_gcp_error(response, 404, "NOT_FOUND", "Cannot find metric(s) that match type = \"%.*s\".",
                                 (int)(q.metric.len < 100 ? q.metric.len : 100), q.metric.ptr);
                return;
        }
        json_t *list = json_array();
        for (uint32_t f = 0; f < sim->demo->function_count; f++) {
                if (q.service.len && !vn_str_eq(q.service, vn_str(sim->trace->functions[f].name)))
                        continue;
                for (int class = 2; class <= (q.billed ? 2 : 5); class ++)
                        add_series(sim, account, vn_demo_deployment(sim->demo, account, f), &q, class, counts, list);
        }
        vn_sim_json(response, 200,
                    json_pack("{s:o, s:s}", "timeSeries", list, "unit",
                              counts     ? "1"
                              : q.billed ? "s"
                                         : "ms"));
}

struct entry {
        const struct vn_sim_record *record;
        uint32_t deployment;
};

static int compare_entries(const void *a, const void *b)
{
        const struct vn_sim_record *x = ((const struct entry *)a)->record, *y = ((const struct entry *)b)->record;
        if (x->at_us != y->at_us)
                return x->at_us < y->at_us ? -1 : 1;
        return x->id < y->id ? -1 : x->id > y->id;
}

struct log_request {
        struct condition conditions[MAX_CONDITIONS];
        size_t count;
};

static bool entry_passes(const struct vn_sim *sim, const struct log_request *q, const struct entry *e,
                         const char *log_name)
{
        for (size_t i = 0; i < q->count; i++) {
                const struct condition *c = &q->conditions[i];
                int64_t bound;
                if (vn_str_eq(c->name, VN_STR("timestamp"))) {
                        if (vn_time_parse(c->value.ptr, c->value.len, &bound) != VN_OK)
                                return false;
                        bool less = c->op.ptr[0] == '<', equal = c->op.len == 2;
                        int64_t at = e->record->at_us;
                        if (less ? !(at < bound || (equal && at == bound)) : !(at > bound || (equal && at == bound)))
                                return false;
                } else if (vn_str_eq(c->name, VN_STR("resource.labels.service_name"))) {
                        if (!vn_str_eq(c->value, vn_str(vn_sim_function_name(sim, e->deployment))))
                                return false;
                } else if (vn_str_eq(c->name, VN_STR("resource.type"))) {
                        if (!vn_str_eq(c->value, VN_STR("cloud_run_revision")))
                                return false;
                } else if (vn_str_eq(c->name, VN_STR("logName"))) {
                        if (!vn_str_eq(c->value, vn_str(log_name)))
                                return false;
                } else {
                        return false;
                }
        }
        return true;
}

static json_t *entry_json(const struct vn_sim *sim, uint32_t account, const struct entry *e, const char *log_name)
{
        const struct vn_sim_record *r = e->record;
        char id[24], instance[24], took[32], request_bytes[24], response_bytes[24], host[96];
        snprintf(id, sizeof id, "%016llx", (unsigned long long)r->id);
        snprintf(instance, sizeof instance, "00%016llx", (unsigned long long)r->instance);
        snprintf(took, sizeof took, "%.6fs", (double)r->run_ms_x1000 / 1e6);
        snprintf(request_bytes, sizeof request_bytes, "%u", r->payload_bytes);
        snprintf(response_bytes, sizeof response_bytes, "%u", r->response_bytes);
        vn_sim_gcp_host(sim, e->deployment, host);
        json_t *json =
                json_pack("{s:s, s:s, s:o, s:s, s:{s:s, s:{s:s, s:s, s:s}}, s:{s:s, s:s+, s:i, s:s, s:s, s:s}}",
                          "insertId", id, "logName", log_name, "timestamp", vn_sim_time(r->at_us), "severity",
                          status_of(r) < 400 ? "INFO" : "ERROR", "resource", "type", "cloud_run_revision", "labels",
                          "service_name", vn_sim_function_name(sim, e->deployment), "location",
                          sim->accounts[account].region, "project_id", sim->accounts[account].id, "httpRequest",
                          "requestMethod", "POST", "requestUrl", "https://", host, "status", status_of(r), "latency",
                          took, "requestSize", request_bytes, "responseSize", response_bytes);
        if (json && r->instance)
                json_object_set_new(json, "labels", json_pack("{s:s}", "instanceId", instance));
        return json;
}

/* What the filter's conditions on time leave. */
static void bounds_of(const struct log_request *q, int64_t *from_us, int64_t *until_us)
{
        *from_us = INT64_MIN;
        *until_us = INT64_MAX;
        for (size_t i = 0; i < q->count; i++) {
                const struct condition *c = &q->conditions[i];
                int64_t bound;
                if (!vn_str_eq(c->name, VN_STR("timestamp")) ||
                    vn_time_parse(c->value.ptr, c->value.len, &bound) != VN_OK)
                        continue;
                if (c->op.ptr[0] == '<' && bound < *until_us)
                        *until_us = bound + 1;
                else if (c->op.ptr[0] == '>' && bound > *from_us)
                        *from_us = bound;
        }
}

static struct entry *gather(const struct vn_sim *sim, uint32_t account, const struct log_request *q,
                            const char *log_name, size_t *ret_count)
{
        struct entry *entries = vn_alloc_array(1, sizeof *entries);
        size_t cap = 1;
        int64_t from_us, until_us;
        bounds_of(q, &from_us, &until_us);
        until_us = vn_sim_visible(sim, VN_SIM_LOG_LAG, account, until_us);
        *ret_count = 0;
        for (uint32_t f = 0; entries && f < sim->demo->function_count; f++) {
                uint32_t deployment = vn_demo_deployment(sim->demo, account, f);
                const struct vn_sim_function *function = &sim->functions[deployment];
                for (size_t i = vn_sim_next_record(function, 0, from_us, until_us); i < function->record_count;
                     i = vn_sim_next_record(function, i + 1, from_us, until_us)) {
                        struct entry e = {&function->records[i], deployment};
                        if (!entry_passes(sim, q, &e, log_name))
                                continue;
                        if (*ret_count == cap) {
                                struct entry *more = vn_realloc(entries, 2 * cap * sizeof *entries);
                                if (!more) {
                                        vn_free(entries);
                                        return NULL;
                                }
                                entries = more;
                                cap *= 2;
                        }
                        entries[(*ret_count)++] = e;
                }
        }
        if (entries)
                qsort(entries, *ret_count, sizeof *entries, compare_entries);
        return entries;
}

void vn_gcp_entries(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                    struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        struct log_request q;
        char log_name[160], project[80];
        uint64_t start = 0;
        if (vn_sim_body(request, &body, &err) != VN_OK) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Invalid JSON payload received. %s", err.msg);
                return;
        }
        const char *resource = json_string_value(json_array_get(json_object_get(body, "resourceNames"), 0));
        const char *filter = json_string_value(json_object_get(body, "filter"));
        const char *order = json_string_value(json_object_get(body, "orderBy"));
        const char *token = json_string_value(json_object_get(body, "pageToken"));
        json_int_t size = json_integer_value(json_object_get(body, "pageSize"));
        snprintf(project, sizeof project, "projects/%s", sim->accounts[account].id);
        snprintf(log_name, sizeof log_name, "%s/logs/run.googleapis.com%%2Frequests", project);
        if (!resource || strcmp(resource, project)) {
                vn_sim_gcp_error(response, 403, "PERMISSION_DENIED", "Permission denied for all log views");
                return;
        }
        q.count = parse_filter(vn_str(filter), q.conditions);
        if (q.count == SIZE_MAX || size < 0 || (token && vn_str_to_u64(vn_str(token), &start) != VN_OK)) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Unparseable filter, pageSize or pageToken");
                return;
        }
        size = !size ? 50 : size > 1000 ? 1000 : size;
        size_t count;
        struct entry *entries = gather(sim, account, &q, log_name, &count);
        json_t *list = json_array();
        bool descending = order && !strcmp(order, "timestamp desc");
        size_t at = (size_t)start;
        for (; entries && at < count && at < start + (size_t)size; at++)
                json_array_append_new(list,
                                      entry_json(sim, account, &entries[descending ? count - 1 - at : at], log_name));
        vn_free(entries);
        json_t *answer = json_pack("{s:o}", "entries", list);
        if (answer && at < count) {
                char next[24];
                snprintf(next, sizeof next, "%zu", at);
                json_object_set_new(answer, "nextPageToken", json_string(next));
        }
        vn_sim_json(response, 200, answer);
}

static json_t *rate(double from, double usd)
{
        char units[24];
        snprintf(units, sizeof units, "%lld", (long long)usd);
        return json_pack("{s:f, s:{s:s, s:s, s:I}}", "startUsageAmount", from, "unitPrice", "currencyCode", "USD",
                         "units", units, "nanos", (json_int_t)((usd - (double)(long long)usd) * 1e9 + 0.5));
}

static void add_sku(json_t *list, const char *region, const char *what, const char *unit, double per_sold,
                    const struct vn_price_meter *meter, double factor)
{
        char id[24], name[80], description[120];
        uint64_t hash = vn_hash64(what, strlen(what), vn_hash64(region, strlen(region), 0));
        snprintf(id, sizeof id, "%04X-%04X-%04X", (unsigned)(hash >> 48), (unsigned)(hash >> 32) & 0xffff,
                 (unsigned)(hash >> 16) & 0xffff);
        snprintf(name, sizeof name, "services/" RUN_SERVICE "/skus/%s", id);
        snprintf(description, sizeof description, "%s in %s", what, region);
        json_t *rates = json_pack("[o, o]", rate(0, 0), rate(meter->free, meter->tiers[0].usd * per_sold * factor));
        json_array_append_new(list,
                              json_pack("{s:s, s:s, s:s, s:{s:s, s:s, s:s, s:s}, s:[s], s:[{s:s, s:{s:s, s:s, s:s, "
                                        "s:i, s:i, s:o}, s:i, s:s}], s:s}",
                                        "name", name, "skuId", id, "description", description, "category",
                                        "serviceDisplayName", "Cloud Run", "resourceFamily", "ApplicationServices",
                                        "resourceGroup", "Compute", "usageType", "OnDemand", "serviceRegions", region,
                                        "pricingInfo", "summary", "", "pricingExpression", "usageUnit", unit,
                                        "usageUnitDescription", unit, "baseUnit", unit, "displayQuantity", 1,
                                        "baseUnitConversionFactor", 1, "tieredRates", rates, "currencyConversionRate",
                                        1, "effectiveTime", "2024-11-01T00:00:00Z", "serviceProviderName", "Google"));
}

void vn_gcp_skus(struct vn_sim *sim, struct vn_str service, const struct vn_sim_request *request,
                 struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        currency = VN_BUF_INIT(16);
        if (!vn_str_eq(service, VN_STR(RUN_SERVICE))) {
                vn_sim_gcp_error(response, 404, "NOT_FOUND", "The service was not found.");
                return;
        }
        if (vn_sim_param(request->query, "currencyCode", &currency) &&
            !vn_str_eq(vn_buf_view(&currency), VN_STR("USD"))) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Prices are in USD here.");
                return;
        }
        json_t *list = json_array();
        for (uint32_t s = 0; s < vn_platform_site_count(sim->platform); s++) {
                const struct vn_platform_site *site = vn_platform_site(sim->platform, s);
                if (site->cloud != VN_PLATFORM_GCP)
                        continue;
                double factor = vn_platform_price_factor(sim->platform, s, vn_now_us(sim->clock));
                add_sku(list, site->region, "Services CPU (Request-based billing)", "s", 1, &site->price.vcpu_s,
                        factor);
                add_sku(list, site->region, "Services Memory (Request-based billing)", "GiBy.s", 1,
                        &site->price.gib_s, factor);
                add_sku(list, site->region, "Services Requests", "count", 1, &site->price.request, factor);
        }
        vn_sim_json(response, 200, json_pack("{s:o, s:s}", "skus", list, "nextPageToken", ""));
}
