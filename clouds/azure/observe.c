/* Azure: requests by KQL (Log Analytics or Application Insights), and platform metrics. */
#include "clouds/azure/azure.h"

#define PAGE_ROWS 5000
#define MAX_PAGES 200
#define SKU_FLEX_METRICS "OnDemandFunctionExecutionCount,OnDemandFunctionExecutionUnits,Http5xx"
#define SKU_OTHER_METRICS "FunctionExecutionCount,FunctionExecutionUnits,Http5xx"
#define UNITS_PER_GB_S 1024000.0 /* execution units are MB-milliseconds */

/* The same facts have one set of names in a workspace (AppRequests) and another in Application Insights (requests). */
enum column {
        COL_TIME,
        COL_ID,
        COL_ROLE,
        COL_NAME,
        COL_INSTANCE,
        COL_MS,
        COL_SUCCESS,
        COL_CODE,
        COL_ITEMS,
        COL_COUNT
};
static const char *const workspace_names[COL_COUNT] = {"TimeGenerated",   "Id",         "AppRoleName", "Name",
                                                       "AppRoleInstance", "DurationMs", "Success",     "ResultCode",
                                                       "ItemCount"};
static const char *const app_names[COL_COUNT] = {"timestamp",          "id",       "cloud_RoleName", "name",
                                                 "cloud_RoleInstance", "duration", "success",        "resultCode",
                                                 "itemCount"};

struct kql {
        const char *table, *host, *scope;
        const char *const *names;
        char path[128];
};

static enum vn_rc kql_target(struct vn_cloud *cloud, struct kql *ret, struct vn_err *err)
{
        const struct vn_cloud_config *c = &cloud->config;

        if (c->workspace.len > 0) {
                *ret = (struct kql){"AppRequests", "api.loganalytics.io", "https://api.loganalytics.io/.default",
                                    workspace_names, ""};
                snprintf(ret->path, sizeof(ret->path), "/v1/workspaces/%.*s/query", VN_FMT(c->workspace));
                return VN_OK;
        }
        if (c->app_id.len > 0) {
                *ret = (struct kql){"requests", "api.applicationinsights.io",
                                    "https://api.applicationinsights.io/.default", app_names, ""};
                snprintf(ret->path, sizeof(ret->path), "/v1/apps/%.*s/query", VN_FMT(c->app_id));
                return VN_OK;
        }
        return vn_fail(err, VN_FAILED_PRECONDITION,
                       "azure: the account names neither workspace nor app_id to read logs from");
}

static struct vn_str cell(json_t *row, const int at[COL_COUNT], enum column column)
{
        json_t *value = at[column] >= 0 ? json_array_get(row, (size_t)at[column]) : NULL;

        return json_is_string(value) ? vn_str_n(json_string_value(value), json_string_length(value)) : VN_STR("");
}

static double cell_number(json_t *row, const int at[COL_COUNT], enum column column, double missing)
{
        json_t *value = at[column] >= 0 ? json_array_get(row, (size_t)at[column]) : NULL;
        double number;

        if (json_is_number(value))
                return json_number_value(value);
        if (json_is_string(value) && vn_str_to_double(cell(row, at, column), &number) == VN_OK)
                return number;
        return missing;
}

static bool cell_true(json_t *row, const int at[COL_COUNT], enum column column)
{
        json_t *value = at[column] >= 0 ? json_array_get(row, (size_t)at[column]) : NULL;

        return json_is_true(value) || vn_str_eq_nocase(cell(row, at, column), VN_STR("true"));
}

static enum vn_invocation_status status_of(double code, bool success)
{
        if (code == 429)
                return VN_INVOCATION_THROTTLED;
        if (code == 504)
                return VN_INVOCATION_TIMEOUT;
        return success ? VN_INVOCATION_OK : VN_INVOCATION_ERROR;
}

static enum vn_rc read_row(struct vn_cloud *cloud, json_t *row, const int at[COL_COUNT],
                           struct vn_cloud_invocation *ret, struct vn_err *err)
{
        struct vn_str time = cell(row, at, COL_TIME), id = cell(row, at, COL_ID);
        double ms = cell_number(row, at, COL_MS, -1), items = cell_number(row, at, COL_ITEMS, 1);

        if (vn_time_parse(time.ptr, time.len, &ret->time_us) != VN_OK || !(ms >= 0 && ms <= 86400000) ||
            !(items >= 1 && items <= 1e6))
                return vn_fail(err, VN_DATA_LOSS, "azure: a request row lacks time or duration");
        ret->duration_us = (int64_t)(ms * 1000 + 0.5);
        ret->id_hash = vn_hash64(id.ptr, id.len, 2);
        ret->weight = items;
        ret->status = status_of(cell_number(row, at, COL_CODE, 0), cell_true(row, at, COL_SUCCESS));
        vn_text_copy(ret->function, sizeof(ret->function), cell(row, at, COL_ROLE));
        vn_text_copy(ret->instance, sizeof(ret->instance), cell(row, at, COL_INSTANCE));
        ret->cold = ret->status != VN_INVOCATION_THROTTLED && vn_instance_is_new(cloud, ret->function, ret->instance);
        return VN_OK;
}

struct log_read {
        const struct vn_cloud_function *function;
        int64_t to_us;
        vn_cloud_invocation_fn each;
        void *arg;
};

/* A site of several functions logs them under one role: the second part of the name tells them apart. */
struct vn_str vn_azure_role_of(const struct vn_cloud_function *function)
{
        struct vn_str site = vn_str(function->resource), last = site;

        while (site.ptr)
                last = vn_str_cut(&site, '/');
        return last;
}

static void write_query(const struct kql *kql, const struct log_read *read, int64_t from_us, struct vn_buf *ret)
{
        char from[VN_TIME_TEXT_BYTES], to[VN_TIME_TEXT_BYTES];

        vn_time_format(from_us, from);
        vn_time_format(read->to_us, to);
        vn_buf_printf(ret, "%s | where %s >= datetime(%s) and %s < datetime(%s)", kql->table, kql->names[COL_TIME],
                      from, kql->names[COL_TIME], to);
        if (read->function) {
                struct vn_str role = vn_azure_role_of(read->function);

                vn_buf_printf(ret, " | where %s == ", kql->names[COL_ROLE]);
                vn_buf_json_string(ret, role);
                if (!vn_str_eq(role, vn_str(read->function->name))) {
                        vn_buf_printf(ret, " and %s == ", kql->names[COL_NAME]);
                        vn_buf_json_string(ret, vn_str(read->function->name + role.len + 1));
                }
        }
        vn_buf_printf(ret, " | order by %s asc | take %d | project ", kql->names[COL_TIME], PAGE_ROWS);
        for (int i = 0; i < COL_COUNT; i++)
                vn_buf_printf(ret, "%s%s", i ? ", " : "", kql->names[i]);
}

enum vn_rc vn_azure_kql(struct vn_cloud *cloud, struct vn_str query, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        body = json_pack("{s:s%}", "query", query.ptr, query.len);
        struct kql kql;
        char *text;
        enum vn_rc rc;

        vn_cloud_response_init(&response);
        VN_TRY(kql_target(cloud, &kql, err));
        text = body ? json_dumps(body, JSON_COMPACT) : NULL;
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a query");
        struct vn_call call = {.method = "POST",
                               .host = kql.host,
                               .path = vn_str(kql.path),
                               .audience = kql.scope,
                               .content_type = "application/json"};
        call.body = vn_str(text);
        rc = vn_call_json(cloud, &call, &response, ret, err);
        free(text);
        /* A 200 with an error beside the rows is a partial answer. */
        if (rc == VN_OK && vn_json_at(*ret, "error"))
                rc = vn_fail(err, VN_UNAVAILABLE, "azure: the log query answered only in part");
        return rc;
}

static enum vn_rc find_columns(const struct kql *kql, json_t *table, int ret[COL_COUNT], struct vn_err *err)
{
        json_t *column;
        size_t i;

        for (int c = 0; c < COL_COUNT; c++)
                ret[c] = -1;
        json_array_foreach(json_object_get(table, "columns"), i,
                           column) for (int c = 0; c < COL_COUNT;
                                        c++) if (vn_str_eq(vn_json_str(column, "name"), vn_str(kql->names[c])))
                ret[c] = (int)i;
        if (ret[COL_TIME] < 0 || ret[COL_MS] < 0 || ret[COL_ROLE] < 0)
                return vn_fail(err, VN_DATA_LOSS, "azure: the log answer lacks its columns");
        return VN_OK;
}

/* One page; moves *from_us on. Rows at the page's last instant come again: the reader drops them by id. */
static enum vn_rc log_page(struct vn_cloud *cloud, const struct kql *kql, const struct log_read *read,
                           int64_t *from_us, bool *ret_more, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(8192);
        VN_AUTO(vn_json)
        answer = NULL;
        int64_t first_us = *from_us;
        json_t *table, *row;
        int at[COL_COUNT];
        size_t i, rows;

        write_query(kql, read, *from_us, &query);
        VN_TRY(vn_buf_check(&query, err));
        VN_TRY(vn_azure_kql(cloud, vn_buf_view(&query), &answer, err));
        table = json_array_get(json_object_get(answer, "tables"), 0);
        VN_TRY(find_columns(kql, table, at, err));
        rows = json_array_size(json_object_get(table, "rows"));
        json_array_foreach(json_object_get(table, "rows"), i, row)
        {
                struct vn_cloud_invocation invocation = {.billed_us = -1, .request_bytes = -1, .response_bytes = -1};

                VN_TRY(read_row(cloud, row, at, &invocation, err));
                *from_us = invocation.time_us > *from_us ? invocation.time_us : *from_us;
                VN_TRY(read->each(read->arg, &invocation));
        }
        *ret_more = rows >= PAGE_ROWS;
        if (*ret_more && *from_us == first_us)
                *from_us += VN_US_PER_MS; /* a whole page within one millisecond */
        return VN_OK;
}

enum vn_rc vn_azure_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                         int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err)
{
        const struct log_read read = {function, to_us, each, arg};
        struct kql kql;
        bool more = true;

        VN_TRY(kql_target(cloud, &kql, err));
        for (int page = 0; more && page < MAX_PAGES; page++)
                VN_TRY(log_page(cloud, &kql, &read, &from_us, &more, err));
        return more ? vn_fail(err, VN_OUT_OF_RANGE, "azure: more than %d pages of log", MAX_PAGES) : VN_OK;
}

static enum vn_rc add_series(json_t *metric, struct vn_cloud_minute *ret, size_t cap, size_t *count,
                             struct vn_err *err)
{
        struct vn_str name = vn_json_str(metric, "name.value");
        bool errors = vn_str_eq_nocase(name, VN_STR("Http5xx")), units = vn_str_ends(name, VN_STR("ExecutionUnits"));
        json_t *series, *point;
        size_t i, j;

        json_array_foreach(json_object_get(metric, "timeseries"), i, series)
        {
                json_array_foreach(json_object_get(series, "data"), j, point)
                {
                        struct vn_str time = vn_json_str(point, "timeStamp");
                        double total = vn_json_pick_number(point, "total", -1);
                        struct vn_cloud_minute add = {.calls = errors || units ? 0 : total,
                                                      .errors = errors ? total : 0,
                                                      .billed_gb_s = units ? total / UNITS_PER_GB_S : 0};
                        int64_t at_us;

                        if (!vn_json_at(point, "total"))
                                continue; /* no data is not zero */
                        if (vn_time_parse(time.ptr, time.len, &at_us) != VN_OK || !(total >= 0 && total < 1e15))
                                return vn_fail(err, VN_DATA_LOSS, "azure: a metric's point is no number");
                        if (!vn_minute_add(ret, cap, count, at_us, &add))
                                return vn_fail(err, VN_OUT_OF_RANGE, "azure: more than %zu minutes", cap);
                }
        }
        return VN_OK;
}

enum vn_rc vn_azure_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                            int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                            struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(1024);
        char path[VN_CLOUD_RESOURCE_BYTES + 64], from[VN_TIME_TEXT_BYTES], to[VN_TIME_TEXT_BYTES], span[80];
        json_t *metric;
        size_t i;

        vn_cloud_response_init(&response);
        vn_time_format(from_us, from);
        vn_time_format(to_us, to);
        snprintf(span, sizeof(span), "%s/%s", from, to);
        snprintf(path, sizeof(path), "%s/providers/Microsoft.Insights/metrics", function->resource);
        vn_buf_text(&query, "api-version=2018-01-01&timespan=");
        vn_buf_url_encode(&query, vn_str(span), false);
        vn_buf_text(&query, "&interval=PT1M&metricnames=");
        vn_buf_url_encode(&query, function->memory_tunable ? VN_STR(SKU_FLEX_METRICS) : VN_STR(SKU_OTHER_METRICS),
                          false);
        vn_buf_text(&query, "&aggregation=Total");
        VN_TRY(vn_buf_check(&query, err));
        VN_TRY(vn_azure_arm(cloud, "GET", vn_str(path), vn_buf_view(&query), NULL, &response, &answer, err));
        if (!vn_str_eq(vn_json_str(answer, "interval"), VN_STR("PT1M")))
                return vn_fail(err, VN_OUT_OF_RANGE, "azure: metrics come in steps of %.20s, not minutes",
                               vn_json_str(answer, "interval").ptr);
        json_array_foreach(json_object_get(answer, "value"), i, metric)
                VN_TRY(add_series(metric, ret, cap, ret_count, err));
        return VN_OK;
}
