/* GCP: Cloud Run's request log, and its request counts from Cloud Monitoring. */
#include "clouds/gcp/gcp.h"

#define MAX_PAGES 500

struct log_read {
        const struct vn_cloud_function *function;
        vn_cloud_invocation_fn each;
        void *arg;
};

/* "0.123456s": a duration is text with a unit. */
static bool seconds_text(struct vn_str text, int64_t *ret_us)
{
        double seconds;

        if (!vn_str_ends(text, VN_STR("s")) ||
            vn_str_to_double(vn_str_n(text.ptr, text.len - 1), &seconds) != VN_OK ||
            !(seconds >= 0 && seconds <= 86400))
                return false;
        *ret_us = (int64_t)(seconds * 1e6 + 0.5);
        return true;
}

static enum vn_rc log_entry(struct vn_cloud *cloud, const struct log_read *read, json_t *entry, struct vn_err *err)
{
        struct vn_cloud_invocation invocation = {.billed_us = -1, .weight = 1};
        struct vn_str time = vn_json_str(entry, "timestamp"), id = vn_json_str(entry, "insertId");
        double status = vn_json_pick_number(entry, "httpRequest.status", 0);

        if (vn_time_parse(time.ptr, time.len, &invocation.time_us) != VN_OK || !(status >= 100 && status <= 599))
                return vn_fail(err, VN_DATA_LOSS, "gcp: a request's log entry lacks time or status");
        /* A refused request has no latency; a served one must. */
        if (!seconds_text(vn_json_str(entry, "httpRequest.latency"), &invocation.duration_us) && status != 429)
                return vn_fail(err, VN_DATA_LOSS, "gcp: a request's log entry lacks its latency");
        vn_text_copy(invocation.function, sizeof(invocation.function),
                     vn_json_str(entry, "resource.labels.service_name"));
        vn_text_copy(invocation.instance, sizeof(invocation.instance), vn_json_str(entry, "labels.instanceId"));
        invocation.id_hash = vn_hash64(id.ptr, id.len, 3);
        invocation.request_bytes = (int64_t)vn_json_pick_number(entry, "httpRequest.requestSize", -1);
        invocation.response_bytes = (int64_t)vn_json_pick_number(entry, "httpRequest.responseSize", -1);
        if (status == 429)
                invocation.status = VN_INVOCATION_THROTTLED;
        else if (status == 504)
                invocation.status = VN_INVOCATION_TIMEOUT;
        else if (status >= 400)
                invocation.status = VN_INVOCATION_ERROR;
        invocation.cold = status != 429 && vn_instance_is_new(cloud, invocation.function, invocation.instance);
        return read->each(read->arg, &invocation);
}

enum vn_rc vn_gcp_log_page(struct vn_cloud *cloud, const char *filter, struct vn_buf *token, json_t **ret,
                           struct vn_err *err)
{
        VN_AUTO(vn_json)
        body = NULL;
        char resource[VN_CLOUD_NAME_BYTES];

        snprintf(resource, sizeof(resource), "projects/%.*s", VN_FMT(cloud->config.project));
        body = json_pack("{s:[s], s:s, s:s, s:i}", "resourceNames", resource, "filter", filter, "orderBy",
                         "timestamp asc", "pageSize", 1000);
        if (!body || (token->len > 0 && json_object_set_new(body, "pageToken", json_string(token->ptr))))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        VN_TRY(vn_gcp_call(cloud, "POST", "logging.googleapis.com", VN_STR("/v2/entries:list"), VN_STR(""), body,
                           false, ret, err));
        vn_buf_reset(token); /* an empty page with a token means: go on */
        vn_buf_str(token, vn_json_str(*ret, "nextPageToken"));
        return vn_buf_check(token, err);
}

static enum vn_rc log_page(struct vn_cloud *cloud, const struct log_read *read, const char *filter,
                           struct vn_buf *token, struct vn_err *err)
{
        VN_AUTO(vn_json)
        page = NULL;
        json_t *entry;
        size_t i;

        VN_TRY(vn_gcp_log_page(cloud, filter, token, &page, err));
        json_array_foreach(json_object_get(page, "entries"), i, entry) VN_TRY(log_entry(cloud, read, entry, err));
        return VN_OK;
}

enum vn_rc vn_gcp_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                       int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err)
{
        const struct log_read read = {function, each, arg};
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        filter = VN_BUF_INIT(2048);
        char from[VN_TIME_TEXT_BYTES], to[VN_TIME_TEXT_BYTES];

        VN_TRY(vn_gcp_need_project(cloud, err));
        vn_time_format(from_us, from);
        vn_time_format(to_us, to);
        vn_buf_printf(&filter,
                      "resource.type=\"cloud_run_revision\" AND "
                      "logName=\"projects/%.*s/logs/run.googleapis.com%%2Frequests\"",
                      VN_FMT(cloud->config.project));
        vn_buf_printf(&filter, " AND timestamp>=\"%s\" AND timestamp<\"%s\"", from, to);
        if (function)
                vn_buf_printf(&filter, " AND resource.labels.service_name=\"%s\"", function->name);
        VN_TRY(vn_buf_check(&filter, err));
        for (int page = 0; page < MAX_PAGES; page++) {
                VN_TRY(log_page(cloud, &read, filter.ptr, &token, err));
                if (token.len == 0)
                        return VN_OK;
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "gcp: more than %d pages of log", MAX_PAGES);
}

/* Counts are whole and come as text; billed time is in seconds. */
static enum vn_rc add_series(json_t *series, struct vn_cloud_minute *ret, size_t cap, size_t *count,
                             struct vn_err *err)
{
        double code = vn_json_pick_number(series, "metric.labels.response_code", 0);
        struct vn_str class = vn_json_str(series, "metric.labels.response_code_class");
        json_t *point;
        size_t i;

        json_array_foreach(json_object_get(series, "points"), i, point)
        {
                struct vn_str end = vn_json_str(point, "interval.endTime");
                json_t *distribution = vn_json_at(point, "value.distributionValue");
                double billed_s = vn_json_pick_number(point, "value.doubleValue", -1), p95_ms = 0;
                bool counted = !distribution && billed_s < 0;
                double value = counted ? vn_json_pick_number(point, "value.int64Value", -1) : 0;
                struct vn_cloud_minute add = {.calls = code == 429 ? 0 : value,
                                              .errors = code >= 500 || vn_str_eq(class, VN_STR("5xx")) ? value : 0,
                                              .throttles = code == 429 ? value : 0,
                                              .billed_instance_s = billed_s > 0 && billed_s < 1e12 ? billed_s : 0};
                int64_t end_us;

                if (distribution)
                        VN_TRY(vn_gcp_distribution_quantile(distribution, 0.95, &p95_ms, err));
                add.p95_us = p95_ms * 1000;
                if (vn_time_parse(end.ptr, end.len, &end_us) != VN_OK || !(value >= 0 && value < 1e15))
                        return vn_fail(err, VN_DATA_LOSS, "gcp: a metric's point is no number");
                if (!vn_minute_add(ret, cap, count, end_us - VN_US_PER_MIN, &add))
                        return vn_fail(err, VN_OUT_OF_RANGE, "gcp: more than %zu minutes", cap);
        }
        return VN_OK;
}

struct metric {
        const char *type, *aligner;
};

static enum vn_rc read_metric(struct vn_cloud *cloud, const struct metric *metric,
                              const struct vn_cloud_function *function, int64_t from_us, int64_t to_us,
                              struct vn_cloud_minute *ret, size_t cap, size_t *ret_count, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(512);
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        char from[VN_TIME_TEXT_BYTES], to[VN_TIME_TEXT_BYTES], filter[512];

        VN_TRY(vn_gcp_need_project(cloud, err));
        vn_time_format(from_us, from);
        vn_time_format(to_us, to);
        vn_buf_printf(&path, "/v3/projects/%.*s/timeSeries", VN_FMT(cloud->config.project));
        snprintf(filter, sizeof(filter),
                 "metric.type=\"run.googleapis.com/%s\" AND resource.labels.service_name=\"%s\"", metric->type,
                 function->name);
        for (int i = 0; i < MAX_PAGES; i++) {
                VN_AUTO(vn_json)
                page = NULL;
                json_t *series;
                size_t at;

                vn_buf_reset(&query);
                vn_buf_text(&query, "filter=");
                vn_buf_url_encode(&query, vn_str(filter), false);
                vn_buf_printf(&query, "&interval.startTime=%s&interval.endTime=%s&aggregation.alignmentPeriod=60s",
                              from, to);
                vn_buf_printf(&query, "&aggregation.perSeriesAligner=%s&view=FULL", metric->aligner);
                if (token.len > 0) {
                        vn_buf_text(&query, "&pageToken=");
                        vn_buf_url_encode(&query, vn_buf_view(&token), false);
                }
                VN_TRY(vn_buf_check(&path, err));
                VN_TRY(vn_buf_check(&query, err));
                VN_TRY(vn_gcp_call(cloud, "GET", "monitoring.googleapis.com", vn_buf_view(&path), vn_buf_view(&query),
                                   NULL, false, &page, err));
                json_array_foreach(json_object_get(page, "timeSeries"), at, series)
                        VN_TRY(add_series(series, ret, cap, ret_count, err));
                vn_buf_reset(&token);
                vn_buf_str(&token, vn_json_str(page, "nextPageToken"));
                VN_TRY(vn_buf_check(&token, err));
                if (token.len == 0)
                        return VN_OK;
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "gcp: more than %d pages of metrics", MAX_PAGES);
}

enum vn_rc vn_gcp_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                          struct vn_err *err)
{
        static const struct metric metrics[] = {{"request_count", "ALIGN_SUM"},
                                                {"request_latencies", "ALIGN_DELTA"},
                                                {"container/billable_instance_time", "ALIGN_SUM"}};

        for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
                VN_TRY(read_metric(cloud, &metrics[i], function, from_us, to_us, ret, cap, ret_count, err));
        return VN_OK;
}
