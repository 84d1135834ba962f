/* AWS Lambda: invoke, and what CloudWatch and CloudWatch Logs tell afterwards. */
#include "clouds/aws/aws.h"

#define MAX_PAGES 1000

/* The log's last 4 KB come back with the answer; its REPORT line is the last one, so it is always there. */
static void read_log_tail(const struct vn_cloud_response *response, struct vn_cloud_result *ret)
{
        VN_AUTO(vn_buf)
        log = VN_BUF_INIT(16384);
        struct vn_str tail = vn_cloud_response_header(response, "x-amz-log-result"), rest;

        if (!tail.ptr || vn_base64_decode(tail, &log) != VN_OK)
                return;
        for (rest = vn_buf_view(&log); rest.ptr;) {
                struct vn_cloud_invocation report = {0};

                if (vn_aws_report_parse(vn_str_cut(&rest, '\n'), &report) != VN_OK)
                        continue;
                ret->duration_us = report.duration_us;
                ret->billed_us = report.billed_us;
                ret->init_us = report.init_us;
                ret->max_memory_mb = report.max_memory_mb;
                ret->timed_out = report.status == VN_INVOCATION_TIMEOUT;
        }
}

static enum vn_rc send_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                              bool async, struct vn_cloud_result *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        char host[128];
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .body = payload,
                               .audience = "lambda",
                               .once = true,
                               .content_type = "application/octet-stream"};

        vn_aws_host(cloud, "lambda", host);
        vn_buf_text(&path, "/2015-03-31/functions/");
        vn_buf_url_encode(&path, vn_str(function->name), false);
        vn_buf_text(&path, "/invocations");
        VN_TRY(vn_buf_check(&path, err));
        call.path = vn_buf_view(&path);
        call.timeout_us = async ? 0 : (function->timeout_s + 30) * VN_US_PER_S;
        call.extra[call.extra_count++] = (struct vn_cloud_header){
                VN_STR("X-Amz-Invocation-Type"), async ? VN_STR("Event") : VN_STR("RequestResponse")};
        if (!async)
                call.extra[call.extra_count++] = (struct vn_cloud_header){VN_STR("X-Amz-Log-Type"), VN_STR("Tail")};
        vn_invoke_header(cloud, &call);
        VN_TRY(vn_cloud_send(cloud, &call, &ret->response, err));
        ret->http_status = ret->response.status;
        ret->throttled = ret->http_status == 429;
        if (ret->throttled || ret->http_status == (async ? 202 : 200))
                return VN_OK;
        return vn_call_error(cloud, &ret->response, err);
}

enum vn_rc vn_aws_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                         struct vn_cloud_result *ret, struct vn_err *err)
{
        VN_TRY(send_invoke(cloud, function, payload, false, ret, err));
        if (ret->throttled)
                return VN_OK;
        ret->function_error = vn_cloud_response_header(&ret->response, "x-amz-function-error").ptr != NULL;
        read_log_tail(&ret->response, ret);
        if (ret->function_error && ret->response.body.ptr && strstr(ret->response.body.ptr, "Task timed out after"))
                ret->timed_out = true;
        return VN_OK;
}

enum vn_rc vn_aws_invoke_async(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                               struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err)
{
        return send_invoke(cloud, function, payload, true, ret, err);
}

/* "2026/11/24/[$LATEST]0123abcd": what follows the bracket names the instance. */
struct vn_str vn_aws_instance_of(struct vn_str stream)
{
        struct vn_str rest = stream;

        vn_str_cut(&rest, ']');
        return rest.ptr ? rest : stream;
}

struct log_read {
        const struct vn_cloud_function *function;
        int64_t from_us, to_us;
        vn_cloud_invocation_fn each;
        void *arg;
};

static enum vn_rc log_event(const struct log_read *read, json_t *event)
{
        struct vn_cloud_invocation invocation = {.request_bytes = -1, .response_bytes = -1, .weight = 1};
        double ms = vn_json_pick_number(event, "timestamp", -1);
        int64_t end_us;

        if (!(ms >= 0 && ms < 1e15) || vn_aws_report_parse(vn_json_str(event, "message"), &invocation) != VN_OK)
                return VN_OK; /* somebody's own text may look like a report: passed over */
        end_us = (int64_t)ms * VN_US_PER_MS;
        if (end_us < read->from_us || end_us >= read->to_us)
                return VN_OK;
        invocation.time_us = end_us - invocation.duration_us;
        memcpy(invocation.function, read->function->name, sizeof(invocation.function));
        vn_text_copy(invocation.instance, sizeof(invocation.instance),
                     vn_aws_instance_of(vn_json_str(event, "logStreamName")));
        return read->each(read->arg, &invocation);
}

/* One page of a function's log group; the token is read and set anew. */
enum vn_rc vn_aws_log_page(struct vn_cloud *cloud, const struct vn_aws_log_range *range, struct vn_buf *token,
                           json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        body = NULL;
        char host[128], group[VN_CLOUD_NAME_BYTES + 16];

        vn_aws_host(cloud, "logs", host);
        snprintf(group, sizeof(group), "/aws/lambda/%s", range->function->name);
        body = json_pack("{s:s, s:I, s:I}", "logGroupName", group, "startTime",
                         (json_int_t)(range->from_us / VN_US_PER_MS), "endTime",
                         (json_int_t)(range->to_us / VN_US_PER_MS));
        if (!body || (range->pattern && json_object_set_new(body, "filterPattern", json_string(range->pattern))) ||
            (token->len > 0 && json_object_set_new(body, "nextToken", json_string(token->ptr))))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        VN_TRY(vn_aws_target(cloud, "logs", host, "application/x-amz-json-1.1", "Logs_20140328.FilterLogEvents", body,
                             ret, err));
        vn_buf_reset(token);
        vn_buf_str(token, vn_json_str(*ret, "nextToken"));
        return vn_buf_check(token, err);
}

static enum vn_rc log_page(struct vn_cloud *cloud, const struct log_read *read, struct vn_buf *token,
                           struct vn_err *err)
{
        const struct vn_aws_log_range range = {read->function, read->from_us, read->to_us,
                                               "?REPORT ?\"platform.report\""};
        VN_AUTO(vn_json)
        page = NULL;
        json_t *event;
        size_t i;

        VN_TRY(vn_aws_log_page(cloud, &range, token, &page, err));
        json_array_foreach(json_object_get(page, "events"), i, event) VN_TRY(log_event(read, event));
        return VN_OK;
}

bool vn_aws_no_log(enum vn_rc rc, const struct vn_err *err)
{
        return rc == VN_NOT_FOUND || (rc == VN_INVALID_ARGUMENT && err && strstr(err->msg, "ResourceNotFound"));
}

enum vn_rc vn_aws_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                       int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err)
{
        const struct log_read read = {function, from_us, to_us, each, arg};
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(16384);

        if (!function)
                return vn_fail(err, VN_INVALID_ARGUMENT, "aws: logs are read function by function");
        for (int page = 0; page < MAX_PAGES; page++) {
                enum vn_rc rc = log_page(cloud, &read, &token, err);

                /* A function that never ran has no log group yet. */
                if (vn_aws_no_log(rc, err))
                        return VN_OK;
                VN_TRY(rc);
                if (token.len == 0)
                        return VN_OK;
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "aws: more than %d pages of log", MAX_PAGES);
}

static json_t *metric_query(const char *id, const char *metric, const char *stat, const char *function)
{
        return json_pack("{s:s, s:{s:{s:s, s:s, s:[{s:s, s:s}]}, s:i, s:s}, s:b}", "Id", id, "MetricStat", "Metric",
                         "Namespace", "AWS/Lambda", "MetricName", metric, "Dimensions", "Name", "FunctionName",
                         "Value", function, "Period", 60, "Stat", stat, "ReturnData", 1);
}

static enum vn_rc add_series(json_t *series, struct vn_cloud_minute *ret, size_t cap, size_t *count,
                             struct vn_err *err)
{
        struct vn_str id = vn_json_str(series, "Id");
        json_t *times = json_object_get(series, "Timestamps"), *values = json_object_get(series, "Values"), *time;
        size_t i;

        if (json_array_size(times) != json_array_size(values))
                return vn_fail(err, VN_DATA_LOSS, "aws: a metric has %zu times and %zu values",
                               json_array_size(times), json_array_size(values));
        json_array_foreach(times, i, time)
        {
                double value = json_number_value(json_array_get(values, i)), seconds = json_number_value(time);
                struct vn_cloud_minute add = {0};

                if (!(value >= 0 && value < 1e15) || !(seconds > 0 && seconds < 1e11))
                        return vn_fail(err, VN_DATA_LOSS, "aws: a metric's point is no number");
                add.calls = vn_str_eq(id, VN_STR("calls")) ? value : 0;
                add.errors = vn_str_eq(id, VN_STR("errors")) ? value : 0;
                add.throttles = vn_str_eq(id, VN_STR("throttles")) ? value : 0;
                add.p95_us = vn_str_eq(id, VN_STR("p95")) ? value * 1000 : 0; /* ms */
                if (!vn_minute_add(ret, cap, count, (int64_t)seconds * VN_US_PER_S, &add))
                        return vn_fail(err, VN_OUT_OF_RANGE, "aws: more than %zu minutes", cap);
        }
        return VN_OK;
}

enum vn_rc vn_aws_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                          struct vn_err *err)
{
        _Static_assert(VN_AWS_METRICS_ASKED == 3, "what is asked for below");
        VN_AUTO(vn_json)
        body = json_pack("{s:[o,o,o,o], s:I, s:I, s:s}", "MetricDataQueries",
                         metric_query("calls", "Invocations", "Sum", function->name),
                         metric_query("errors", "Errors", "Sum", function->name),
                         metric_query("throttles", "Throttles", "Sum", function->name),
                         metric_query("p95", "Duration", "p95", function->name), "StartTime",
                         (json_int_t)(from_us / VN_US_PER_S), "EndTime", (json_int_t)(to_us / VN_US_PER_S), "ScanBy",
                         "TimestampAscending");
        char host[128];

        vn_aws_host(cloud, "monitoring", host);
        for (int i = 0; body && i < MAX_PAGES; i++) {
                VN_AUTO(vn_json)
                page = NULL;
                json_t *series, *next;
                size_t at;

                VN_TRY(vn_aws_target(cloud, "monitoring", host, "application/x-amz-json-1.0",
                                     "GraniteServiceVersion20100801.GetMetricData", body, &page, err));
                json_array_foreach(json_object_get(page, "MetricDataResults"), at, series)
                        VN_TRY(add_series(series, ret, cap, ret_count, err));
                next = json_object_get(page, "NextToken");
                if (!json_is_string(next))
                        return VN_OK;
                if (json_object_set(body, "NextToken", next))
                        break;
        }
        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "aws: too many pages of metrics, or out of memory");
}
