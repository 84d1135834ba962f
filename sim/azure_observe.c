/* azure_observe.c - Azure Monitor metrics, log queries over requests, retail prices. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "sim/azure.h"
#include "sim/kql.h"
#include "sim/stats.h"

#define MAX_POINTS 100000

/* Units are MB-milliseconds. */
static bool metric_value(const struct vn_sim_record *r, const void *arg, double *ret)
{
        const char *metric = arg;
        bool ran = r->status != VN_RUN_THROTTLED && r->status != VN_RUN_UNAVAILABLE;
        *ret = 1;
        if (!strcasecmp(metric, "Requests"))
                return true;
        if (!strcasecmp(metric, "Http5xx")) {
                *ret = r->status == VN_RUN_ERROR || r->status == VN_RUN_OOM || r->status == VN_RUN_TIMEOUT ||
                       r->status == VN_RUN_UNAVAILABLE;
                return true;
        }
        if (strcasestr(metric, "Units"))
                *ret = (double)r->billed_ms * r->memory_mb;
        return ran;
}

static const char *known_metric(struct vn_str name, bool flex)
{
        static const char *const shared[] = {"Requests", "Http5xx"};
        static const char *const consumption[] = {"FunctionExecutionCount", "FunctionExecutionUnits"};
        static const char *const flex_names[] = {"OnDemandFunctionExecutionCount", "OnDemandFunctionExecutionUnits"};
        for (int i = 0; i < 2; i++) {
                const char *own = flex ? flex_names[i] : consumption[i];
                if (vn_str_eq_nocase(name, vn_str(shared[i])))
                        return shared[i];
                if (vn_str_eq_nocase(name, vn_str(own)))
                        return own;
        }
        return NULL;
}

static json_t *metric_series(struct vn_sim *sim, uint32_t deployment, const char *resource, const char *metric,
                             int64_t from_us, int64_t until_us, int64_t period_us)
{
        json_t *data = json_array();
        char id[360];
        size_t count = 0, at = 0;
        struct vn_series_point *points = vn_series(sim, deployment, metric_value, metric, from_us, until_us,
                                                   period_us, 50, MAX_POINTS, &count);
        /* Azure names every interval; one without data has no value. */
        for (int64_t t = from_us - from_us % period_us; t < until_us && points; t += period_us) {
                json_t *point = json_pack("{s:o}", "timeStamp", vn_sim_time(t));
                if (at < count && points[at].start_us == t)
                        json_object_set_new(point, "total", json_real(points[at++].sum));
                json_array_append_new(data, point);
        }
        vn_free(points);
        snprintf(id, sizeof id, "%s/providers/Microsoft.Insights/metrics/%s", resource, metric);
        return json_pack("{s:s, s:s, s:{s:s, s:s}, s:s, s:[{s:[], s:o}], s:s}", "id", id, "type",
                         "Microsoft.Insights/metrics", "name", "value", metric, "localizedValue", metric, "unit",
                         "Count", "timeseries", "metadatavalues", "data", data, "errorCode", "Success");
}

/* Monitor's errors have no "error" around them. */
static void bad_metric(struct vn_sim_response *response, const char *message, struct vn_str name)
{
        char text[256];
        snprintf(text, sizeof text, "%s%.*s", message, (int)(name.len < 80 ? name.len : 80),
                 name.ptr ? name.ptr : "");
        vn_sim_json(response, 400, json_pack("{s:s, s:s}", "code", "BadRequest", "message", text));
}

static bool parse_timespan(struct vn_str text, int64_t *from_us, int64_t *until_us)
{
        struct vn_str from = vn_str_cut(&text, '/');
        return text.ptr && vn_time_parse(from.ptr, from.len, from_us) == VN_OK &&
               vn_time_parse(text.ptr, text.len, until_us) == VN_OK && *from_us < *until_us;
}

static int64_t parse_interval(struct vn_str text)
{
        static const struct {
                const char *name;
                int64_t minutes;
        } intervals[] = {{"PT1M", 1},  {"PT5M", 5},  {"PT15M", 15}, {"PT30M", 30},
                         {"PT1H", 60}, {"PT6H", 60}, {"PT12H", 60}, {"P1D", 1440}};
        for (size_t i = 0; i < sizeof intervals / sizeof intervals[0]; i++) {
                if (vn_str_eq(text, vn_str(intervals[i].name)))
                        return intervals[i].minutes * VN_US_PER_MIN;
        }
        return 0;
}

void vn_sim_azure_metrics(struct vn_sim *sim, uint32_t deployment, const char *resource,
                          const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        span = VN_BUF_INIT(128);
        VN_AUTO(vn_buf)
        interval = VN_BUF_INIT(32);
        VN_AUTO(vn_buf)
        names = VN_BUF_INIT(1024);
        int64_t until_us = vn_now_us(sim->clock), from_us = until_us - VN_US_PER_HOUR, period_us = VN_US_PER_MIN;
        if (vn_sim_param(request->query, "timespan", &span) &&
            !parse_timespan(vn_buf_view(&span), &from_us, &until_us)) {
                bad_metric(response, "Invalid time span: ", vn_buf_view(&span));
                return;
        }
        if (vn_sim_param(request->query, "interval", &interval))
                period_us = parse_interval(vn_buf_view(&interval));
        if (!period_us || (until_us - from_us) / period_us > 1440 * 7 ||
            !vn_sim_param(request->query, "metricnames", &names)) {
                bad_metric(response, "Invalid interval or no metricnames", VN_STR(""));
                return;
        }
        json_t *value = json_array();
        for (struct vn_str rest = vn_buf_view(&names); rest.ptr;) {
                struct vn_str name = vn_str_cut(&rest, ',');
                const char *metric = known_metric(name, vn_sim_azure_flex(sim, deployment));
                if (!metric) {
                        json_decref(value);
                        bad_metric(response,
                                   "Failed to find metric configuration for provider: Microsoft.Web, resource Type: "
                                   "sites, metric: ",
                                   name);
                        return;
                }
                json_array_append_new(value,
                                      metric_series(sim, deployment, resource, metric, from_us, until_us, period_us));
        }
        char period[16], timespan[2 * VN_TIME_TEXT_BYTES + 1], until[VN_TIME_TEXT_BYTES];
        snprintf(period, sizeof period, "PT%lldM", (long long)(period_us / VN_US_PER_MIN));
        vn_time_format(from_us, timespan);
        vn_time_format(until_us, until);
        strncat(timespan, "/", sizeof timespan - strlen(timespan) - 1);
        strncat(timespan, until, sizeof timespan - strlen(timespan) - 1);
        vn_sim_json(response, 200,
                    json_pack("{s:i, s:s, s:s, s:o, s:s, s:s}", "cost", 0, "timespan", timespan, "interval",
                              period_us == VN_US_PER_HOUR ? "PT1H" : period, "value", value, "namespace",
                              "Microsoft.Web/sites", "resourceregion",
                              sim->accounts[deployment / sim->demo->function_count].region));
}

enum column { C_TIME, C_ID, C_ROLE, C_NAME, C_INSTANCE, C_MS, C_SUCCESS, C_CODE, C_ITEMS, C_URL, COLUMNS };

static const struct vn_kql_column workspace_columns[COLUMNS] = {
        {"TimeGenerated", VN_KQL_TIME},   {"Id", VN_KQL_TEXT},
        {"AppRoleName", VN_KQL_TEXT},     {"Name", VN_KQL_TEXT},
        {"AppRoleInstance", VN_KQL_TEXT}, {"DurationMs", VN_KQL_REAL},
        {"Success", VN_KQL_BOOL},         {"ResultCode", VN_KQL_TEXT},
        {"ItemCount", VN_KQL_LONG},       {"Url", VN_KQL_TEXT}};
static const struct vn_kql_column app_columns[COLUMNS] = {{"timestamp", VN_KQL_TIME},
                                                          {"id", VN_KQL_TEXT},
                                                          {"cloud_RoleName", VN_KQL_TEXT},
                                                          {"name", VN_KQL_TEXT},
                                                          {"cloud_RoleInstance", VN_KQL_TEXT},
                                                          {"duration", VN_KQL_REAL},
                                                          {"success", VN_KQL_TEXT},
                                                          {"resultCode", VN_KQL_TEXT},
                                                          {"itemCount", VN_KQL_LONG},
                                                          {"url", VN_KQL_TEXT}};

static const char *result_code(const struct vn_sim_record *r)
{
        switch ((enum vn_platform_status)r->status) {
        case VN_RUN_OK: return "200";
        case VN_RUN_TIMEOUT: return "504";
        case VN_RUN_ERROR:
        case VN_RUN_OOM:
        case VN_RUN_THROTTLED:
        case VN_RUN_UNAVAILABLE: break;
        }
        return "500";
}

static bool fill_row(const struct vn_sim *sim, uint32_t deployment, const struct vn_sim_record *r, bool workspace,
                     struct vn_arena *arena, struct vn_kql_value *row)
{
        char *texts = vn_arena_alloc(arena, 80);
        if (!texts)
                return false;
        snprintf(texts, 40, "%016llx", (unsigned long long)r->id);
        snprintf(texts + 40, 40, "%016llx", (unsigned long long)r->instance);
        struct vn_str name = vn_str(vn_sim_function_name(sim, deployment));
        bool good = r->status == VN_RUN_OK;
        row[C_TIME].integer = r->end_us - r->run_ms_x1000;
        row[C_ID].text = vn_str(texts);
        row[C_ROLE].text = row[C_NAME].text = name;
        row[C_INSTANCE].text = vn_str(texts + 40);
        row[C_MS].number = r->run_ms_x1000 / 1e3;
        row[C_SUCCESS].integer = good;
        row[C_SUCCESS].text = workspace ? VN_STR("") : good ? VN_STR("True") : VN_STR("False");
        row[C_CODE].text = vn_str(result_code(r));
        row[C_ITEMS].integer = 1;
        return true;
}

/* Requests that reached an instance: what the front end refused is not in the logs. */
static bool fill_table(const struct vn_sim *sim, uint32_t account, bool workspace, int64_t from_us, int64_t until_us,
                       struct vn_arena *arena, struct vn_kql_table *table)
{
        size_t total = 0;
        for (uint32_t f = 0; f < sim->demo->function_count; f++) {
                const struct vn_sim_function *function = &sim->functions[vn_demo_deployment(sim->demo, account, f)];
                for (size_t i = vn_sim_next_record(function, 0, from_us, until_us); i < function->record_count;
                     i = vn_sim_next_record(function, i + 1, from_us, until_us))
                        total++;
        }
        table->columns = workspace ? workspace_columns : app_columns;
        table->column_count = COLUMNS;
        table->row_count = 0;
        table->rows = vn_arena_alloc(arena, (total * COLUMNS + 1) * sizeof *table->rows);
        for (uint32_t f = 0; table->rows && f < sim->demo->function_count; f++) {
                uint32_t deployment = vn_demo_deployment(sim->demo, account, f);
                const struct vn_sim_function *function = &sim->functions[deployment];
                for (size_t i = vn_sim_next_record(function, 0, from_us, until_us); i < function->record_count;
                     i = vn_sim_next_record(function, i + 1, from_us, until_us)) {
                        if (!function->records[i].instance)
                                continue;
                        if (!fill_row(sim, deployment, &function->records[i], workspace, arena,
                                      table->rows + table->row_count++ * COLUMNS))
                                return false;
                }
        }
        return table->rows != NULL;
}

void vn_sim_azure_query(struct vn_sim *sim, uint32_t account, bool workspace, const struct vn_sim_request *request,
                        struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        json_t *answer = NULL;
        struct vn_arena arena;
        struct vn_kql_table table = {0};
        struct vn_err err;
        struct vn_str query;
        if (vn_sim_body(request, &body, &err) != VN_OK || vn_json_text(body, "query", &query, &err) != VN_OK) {
                vn_sim_azure_error(response, 400, "BadArgumentError", "The request had some invalid properties: %s",
                                   err.msg);
                return;
        }
        const char *name = workspace ? "AppRequests" : "requests";
        int64_t from_us = INT64_MIN, until_us = INT64_MAX;
        vn_kql_bounds(query, name, workspace ? workspace_columns : app_columns, COLUMNS, vn_now_us(sim->clock),
                      &from_us, &until_us);
        until_us = vn_sim_visible(sim, VN_SIM_LOG_LAG, account, until_us);
        vn_arena_init(&arena, 512u << 20);
        if (!fill_table(sim, account, workspace, from_us, until_us, &arena, &table))
                vn_sim_azure_error(response, 503, "ServiceUnavailable", "The table is too large for this simulator.");
        else if (vn_kql_run(query, name, &table, vn_now_us(sim->clock), &answer, &err) != VN_OK)
                vn_sim_json(response, 400,
                            json_pack("{s:{s:s, s:s, s:{s:s, s:s}}}", "error", "message",
                                      "The request had some invalid properties", "code", "BadArgumentError",
                                      "innererror", "code", "SyntaxError", "message", err.msg));
        else
                vn_sim_json(response, 200, answer);
        vn_arena_done(&arena);
}

struct retail {
        const char *meter, *product, *sku, *unit;
        double usd, from; /* of one unit as sold */
};

static json_t *retail_item(const char *region, const struct retail *r)
{
        char id[40];
        vn_sim_uuid(vn_hash64(r->meter, strlen(r->meter), 3), id);
        return json_pack("{s:s, s:f, s:f, s:f, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:b, s:s}",
                         "currencyCode", "USD", "tierMinimumUnits", r->from, "retailPrice", r->usd, "unitPrice",
                         r->usd, "armRegionName", region, "location", region, "effectiveStartDate",
                         "2024-11-01T00:00:00Z", "meterId", id, "meterName", r->meter, "productName", r->product,
                         "skuName", r->sku, "serviceName", "Functions", "serviceFamily", "Compute", "unitOfMeasure",
                         r->unit, "isPrimaryMeterRegion", 1, "type", "Consumption");
}

/* "serviceName eq 'Functions' and armRegionName eq 'eastus'"; values are compared with case, as there. */
static bool passes(const json_t *item, struct vn_str filter)
{
        while (filter.len) {
                struct vn_str clause = filter, field, value;
                for (size_t i = 0; i + 5 <= filter.len; i++) {
                        if (!memcmp(filter.ptr + i, " and ", 5)) {
                                clause = vn_str_n(filter.ptr, i);
                                break;
                        }
                }
                size_t used = clause.len < filter.len ? clause.len + 5 : clause.len;
                filter = vn_str_n(filter.ptr + used, filter.len - used);
                char name[64];
                value = vn_str_trim(clause);
                field = vn_str_cut(&value, ' ');
                if (!value.ptr || !vn_str_starts(value, VN_STR("eq '")) || !vn_str_ends(value, VN_STR("'")) ||
                    value.len < 5 || !vn_str_copy(name, sizeof name, field))
                        return false;
                value = vn_str_n(value.ptr + 4, value.len - 5);
                const char *have = json_string_value(json_object_get(item, name));
                if (!have || !vn_str_eq(vn_str(have), value))
                        return false;
        }
        return true;
}

static void add_meter(json_t *items, const char *region, struct retail base, const struct vn_price_meter *meter,
                      double per_sold, double factor, struct vn_str filter)
{
        for (uint32_t i = 0; i < 2; i++) { /* the grant is a tier of price 0 */
                struct retail r = base;
                r.usd = i ? meter->tiers[0].usd * per_sold * factor : 0;
                r.from = i ? meter->free / per_sold : 0;
                json_t *item = retail_item(region, &r);
                if (passes(item, filter))
                        json_array_append(items, item);
                json_decref(item);
        }
}

void vn_sim_azure_prices(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        filter = VN_BUF_INIT(2048);
        json_t *items = json_array();
        vn_sim_param(request->query, "$filter", &filter);
        struct vn_str text = vn_buf_view(&filter);
        for (uint32_t s = 0; s < vn_platform_site_count(sim->platform); s++) {
                const struct vn_platform_site *site = vn_platform_site(sim->platform, s);
                if (site->cloud != VN_PLATFORM_AZURE)
                        continue;
                double factor = vn_platform_price_factor(sim->platform, s, vn_now_us(sim->clock));
                const struct vn_platform_price *p = &site->price;
                add_meter(items, site->region,
                          (struct retail){.meter = "Standard Execution Time",
                                          .product = "Functions",
                                          .sku = "Standard",
                                          .unit = "1 GB Second"},
                          &p->gb_s, 1, factor, text);
                add_meter(items, site->region,
                          (struct retail){.meter = "Standard Total Executions",
                                          .product = "Functions",
                                          .sku = "Standard",
                                          .unit = "10"},
                          &p->request, 10, factor, text);
                add_meter(items, site->region,
                          (struct retail){.meter = "On Demand Execution Time",
                                          .product = "Flex Consumption",
                                          .sku = "On Demand",
                                          .unit = "1 GB Second"},
                          &p->flex_gb_s, 1, factor, text);
                add_meter(items, site->region,
                          (struct retail){.meter = "On Demand Total Executions",
                                          .product = "Flex Consumption",
                                          .sku = "On Demand",
                                          .unit = "10"},
                          &p->flex_request, 10, factor, text);
        }
        json_t *answer =
                json_pack("{s:s, s:s, s:s, s:n, s:i}", "BillingCurrency", "USD", "CustomerEntityId", "Default",
                          "CustomerEntityType", "Retail", "NextPageLink", "Count", (int)json_array_size(items));
        json_object_set_new(answer, "Items", items);
        vn_sim_json(response, 200, answer);
}
