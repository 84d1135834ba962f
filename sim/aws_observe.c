/* aws_observe.c - CloudWatch GetMetricData, GetMetricStatistics and ListMetrics, CloudWatch Logs FilterLogEvents, Price List GetProducts. */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "sim/aws.h"
#include "sim/stats.h"

#define MAX_QUERIES 500
#define MAX_POINTS 100800
#define LOG_PAGE 1000 /* records looked at for one answer: pages without a match are normal */

static void bad(struct vn_sim_response *response, const char *code, const char *what)
{
        vn_sim_aws_error(response, VN_AWS_JSON, 400, code, "%s", what);
}

static bool metric_value(const struct vn_sim_record *r, const void *arg, double *ret)
{
        const char *metric = arg;
        bool throttled = r->status == VN_RUN_THROTTLED || r->status == VN_RUN_UNAVAILABLE;
        *ret = 1;
        if (!strcmp(metric, "Throttles")) {
                *ret = r->status == VN_RUN_THROTTLED;
                return r->status != VN_RUN_UNAVAILABLE;
        }
        if (throttled)
                return false;
        if (!strcmp(metric, "Duration"))
                *ret = r->run_ms_x1000 / 1e3;
        else if (!strcmp(metric, "Errors"))
                *ret = r->status != VN_RUN_OK;
        return true;
}

static bool point_value(const struct vn_series_point *p, const char *stat, double *ret)
{
        if (!strcmp(stat, "Sum"))
                *ret = p->sum;
        else if (!strcmp(stat, "Average"))
                *ret = p->sum / (double)p->count;
        else if (!strcmp(stat, "Minimum"))
                *ret = p->minimum;
        else if (!strcmp(stat, "Maximum"))
                *ret = p->maximum;
        else if (!strcmp(stat, "SampleCount"))
                *ret = (double)p->count;
        else if (stat[0] == 'p')
                *ret = p->percentile;
        else
                return false;
        return true;
}

static bool is_metric(const char *name)
{
        return !strcmp(name, "Invocations") || !strcmp(name, "Errors") || !strcmp(name, "Throttles") ||
               !strcmp(name, "Duration");
}

struct metric_request {
        const char *id, *label, *metric, *stat;
        const char *function;
        int64_t period_us, from_us, until_us;
        bool descending, known; /* known: the namespace and metric exist here */
};

static const char *read_query(json_t *query, struct metric_request *ret)
{
        const char *space, *name = NULL, *value = NULL;
        json_t *metric = json_object_get(json_object_get(query, "MetricStat"), "Metric");
        json_t *dimensions = json_object_get(metric, "Dimensions");
        json_int_t period = json_integer_value(json_object_get(json_object_get(query, "MetricStat"), "Period"));
        ret->id = json_string_value(json_object_get(query, "Id"));
        ret->label = json_string_value(json_object_get(query, "Label"));
        ret->metric = json_string_value(json_object_get(metric, "MetricName"));
        ret->stat = json_string_value(json_object_get(json_object_get(query, "MetricStat"), "Stat"));
        space = json_string_value(json_object_get(metric, "Namespace"));
        if (!ret->id || ret->id[0] < 'a' || ret->id[0] > 'z')
                return "The parameter Id must start with a lower-case letter";
        if (!metric || !ret->metric || !ret->stat || !space)
                return "MetricStat with Metric and Stat is needed; expressions are not served here";
        if (period < 60 || period > 86400 || period % 60)
                return "The parameter Period must be a multiple of 60";
        double scratch;
        struct vn_series_point probe = {.count = 1};
        if (!point_value(&probe, ret->stat, &scratch))
                return "The parameter Stat is not valid";
        ret->period_us = period * VN_US_PER_S;
        if (json_array_size(dimensions) == 1) {
                name = json_string_value(json_object_get(json_array_get(dimensions, 0), "Name"));
                value = json_string_value(json_object_get(json_array_get(dimensions, 0), "Value"));
        }
        ret->function = value;
        ret->known = name && value && !strcmp(name, "FunctionName") && !strcmp(space, "AWS/Lambda") &&
                     is_metric(ret->metric);
        return NULL;
}

static json_t *metric_result(struct vn_sim *sim, uint32_t account, const struct metric_request *m)
{
        json_t *times = json_array(), *values = json_array();
        uint32_t deployment = m->known ? vn_sim_find(sim, account, vn_str(m->function)) : UINT32_MAX;
        double percentile = 50, value;
        size_t count = 0;
        struct vn_series_point *points = NULL;
        if (m->stat[0] == 'p')
                VN_IGNORE(vn_str_to_double(vn_str(m->stat + 1), &percentile)); /* else the median */
        if (deployment != UINT32_MAX) {
                struct vn_series_point *p = vn_series(sim, deployment, metric_value, m->metric, m->from_us,
                                                      m->until_us, m->period_us, percentile, MAX_POINTS, &count);
                points = p;
        }
        for (size_t i = 0; points && i < count; i++) {
                const struct vn_series_point *p = &points[m->descending ? count - 1 - i : i];
                if (point_value(p, m->stat, &value)) {
                        json_array_append_new(times, json_integer(p->start_us / VN_US_PER_S));
                        json_array_append_new(values, json_real(value));
                }
        }
        vn_free(points);
        return json_pack("{s:s, s:s, s:o, s:o, s:s}", "Id", m->id, "Label", m->label ? m->label : m->metric,
                         "Timestamps", times, "Values", values, "StatusCode", "Complete");
}

static void get_metric_data(struct vn_sim *sim, uint32_t account, const json_t *body,
                            struct vn_sim_response *response)
{
        json_t *queries = json_object_get(body, "MetricDataQueries"), *results = json_array(), *query;
        double from = json_number_value(json_object_get(body, "StartTime")),
               until = json_number_value(json_object_get(body, "EndTime"));
        const char *scan = json_string_value(json_object_get(body, "ScanBy"));
        const char *wrong = NULL;
        size_t i;
        if (!json_array_size(queries) || json_array_size(queries) > MAX_QUERIES)
                wrong = "MetricDataQueries must hold 1 to 500 queries";
        else if (!(from > 0 && until > from && until < 1e11))
                wrong = "The parameter StartTime must be less than the parameter EndTime";
        json_array_foreach(queries, i, query)
        {
                struct metric_request m = {.from_us = (int64_t)(from * 1e6),
                                           .until_us = (int64_t)(until * 1e6),
                                           .descending = !scan || strcmp(scan, "TimestampAscending")};
                if (!wrong)
                        wrong = read_query(query, &m);
                if (wrong)
                        break;
                json_array_append_new(results, metric_result(sim, account, &m));
        }
        if (wrong) {
                json_decref(results);
                bad(response, "ValidationError", wrong);
                return;
        }
        vn_sim_json(response, 200, json_pack("{s:o, s:[]}", "MetricDataResults", results, "Messages"));
}

static bool add_statistics(json_t *point, const struct vn_series_point *p, const json_t *names, bool extended)
{
        json_t *name, *into = point;
        size_t i;
        double value;
        if (extended && json_array_size(names)) {
                into = json_object();
                json_object_set_new(point, "ExtendedStatistics", into);
        }
        json_array_foreach(names, i, name)
        {
                const char *stat = json_string_value(name);
                if (!stat || (stat[0] == 'p') != extended || !point_value(p, stat, &value))
                        return false;
                json_object_set_new(into, stat, json_real(value));
        }
        return true;
}

/* One percentile a call, as the series has one: the first is asked for. */
static void get_metric_statistics(struct vn_sim *sim, uint32_t account, const json_t *body,
                                  struct vn_sim_response *response)
{
        enum { MOST = 1440 };
        json_t *names = json_object_get(body, "Statistics"), *extended = json_object_get(body, "ExtendedStatistics");
        const char *space = json_string_value(json_object_get(body, "Namespace")),
                   *metric = json_string_value(json_object_get(body, "MetricName")), *function = NULL;
        json_t *dimension = json_array_get(json_object_get(body, "Dimensions"), 0);
        double from = json_number_value(json_object_get(body, "StartTime")),
               until = json_number_value(json_object_get(body, "EndTime")), percentile = 50;
        json_int_t period = json_integer_value(json_object_get(body, "Period"));
        const char *first = json_string_value(json_array_get(extended, 0));
        size_t count = 0;
        if (!space || !metric || !(from > 0 && until > from && until < 1e11) || period < 60 || period % 60 ||
            period > 86400 || (!json_array_size(names) && !json_array_size(extended)) ||
            json_array_size(extended) > 1 || (first && first[0] == 'p' && !first[1])) {
                bad(response, "InvalidParameterValue",
                    "Namespace, MetricName, Period, StartTime before EndTime, and Statistics or one of "
                    "ExtendedStatistics are needed");
                return;
        }
        if ((until - from) / (double)period > MOST) {
                bad(response, "InvalidParameterCombination",
                    "You have requested up to more datapoints than the limit of 1,440.");
                return;
        }
        if (first && (first[0] != 'p' || vn_str_to_double(vn_str(first + 1), &percentile) != VN_OK ||
                      percentile < 0 || percentile > 100)) {
                bad(response, "InvalidParameterValue", "The value for parameter ExtendedStatistics is not valid");
                return;
        }
        if (json_string_value(json_object_get(dimension, "Name")) &&
            !strcmp(json_string_value(json_object_get(dimension, "Name")), "FunctionName"))
                function = json_string_value(json_object_get(dimension, "Value"));
        uint32_t deployment = function && is_metric(metric) && !strcmp(space, "AWS/Lambda")
                                      ? vn_sim_find(sim, account, vn_str(function))
                                      : UINT32_MAX;
        struct vn_series_point *points = NULL;
        if (deployment != UINT32_MAX)
                points = vn_series(sim, deployment, metric_value, metric, (int64_t)(from * 1e6),
                                   (int64_t)(until * 1e6), period * VN_US_PER_S, percentile, MOST + 1, &count);
        json_t *list = json_array();
        bool good = true;
        for (size_t i = 0; points && i < count; i++) {
                json_t *point = json_pack("{s:I, s:s}", "Timestamp", (json_int_t)(points[i].start_us / VN_US_PER_S),
                                          "Unit", strcmp(metric, "Duration") ? "Count" : "Milliseconds");
                good = point && add_statistics(point, &points[i], names, false) &&
                       add_statistics(point, &points[i], extended, true) && good;
                json_array_append_new(list, point);
        }
        vn_free(points);
        if (good)
                vn_sim_json(response, 200, json_pack("{s:s, s:O}", "Label", metric, "Datapoints", list));
        else
                bad(response, "InvalidParameterValue", "The parameter Statistics is not valid");
        json_decref(list);
}

/* A metric is there once it has a value. */
static void list_metrics(struct vn_sim *sim, uint32_t account, const json_t *body, struct vn_sim_response *response)
{
        enum { PAGE_FUNCTIONS = 125 };
        static const char *const all[] = {"Invocations", "Errors", "Throttles", "Duration"};
        const char *space = json_string_value(json_object_get(body, "Namespace")),
                   *metric = json_string_value(json_object_get(body, "MetricName")),
                   *token = json_string_value(json_object_get(body, "NextToken"));
        json_t *dimension = json_array_get(json_object_get(body, "Dimensions"), 0);
        const char *wanted = json_string_value(json_object_get(dimension, "Value"));
        uint64_t at = 0, found = 0;
        if (token && vn_str_to_u64(vn_str(token), &at) != VN_OK) {
                bad(response, "InvalidParameterValue", "The value for parameter NextToken is not valid");
                return;
        }
        json_t *list = json_array();
        for (; at < sim->demo->function_count && found < PAGE_FUNCTIONS && (!space || !strcmp(space, "AWS/Lambda"));
             at++) {
                const char *name = sim->trace->functions[at].name;
                if (!sim->functions[vn_demo_deployment(sim->demo, account, (uint32_t)at)].record_count ||
                    (wanted && strcmp(wanted, name)))
                        continue;
                found++;
                for (int i = 0; i < 4; i++) {
                        if (!metric || !strcmp(metric, all[i]))
                                json_array_append_new(list,
                                                      json_pack("{s:s, s:s, s:[{s:s, s:s}]}", "Namespace",
                                                                "AWS/Lambda", "MetricName", all[i], "Dimensions",
                                                                "Name", "FunctionName", "Value", name));
                }
        }
        json_t *answer = json_pack("{s:o}", "Metrics", list);
        if (answer && found == PAGE_FUNCTIONS && at < sim->demo->function_count) {
                char next[24];
                snprintf(next, sizeof next, "%llu", (unsigned long long)at);
                json_object_set_new(answer, "NextToken", json_string(next));
        }
        vn_sim_json(response, 200, answer);
}

void vn_sim_aws_monitoring(struct vn_sim *sim, uint32_t account, const char *operation, const json_t *body,
                           struct vn_sim_response *response)
{
        if (!strcmp(operation, "GetMetricData"))
                get_metric_data(sim, account, body, response);
        else if (!strcmp(operation, "GetMetricStatistics"))
                get_metric_statistics(sim, account, body, response);
        else if (!strcmp(operation, "ListMetrics"))
                list_metrics(sim, account, body, response);
        else
                bad(response, "UnknownOperationException", "No such operation");
}

/* CloudWatch Logs' terms: plain ones must all occur, "?x" ones are alternatives. JSON patterns are not served. */
static bool matches(const char *message, struct vn_str pattern)
{
        bool any = false, any_wanted = false;
        while (pattern.ptr && pattern.len) {
                char word[128];
                struct vn_str term = vn_str_trim(vn_str_cut(&pattern, ' '));
                bool optional = term.len && term.ptr[0] == '?';
                if (optional)
                        term = vn_str_n(term.ptr + 1, term.len - 1);
                if (term.len >= 2 && term.ptr[0] == '"' && term.ptr[term.len - 1] == '"')
                        term = vn_str_n(term.ptr + 1, term.len - 2);
                if (!term.len)
                        continue;
                bool found = vn_str_copy(word, sizeof word, term) && strstr(message, word);
                if (optional) {
                        any_wanted = true;
                        any = any || found;
                } else if (!found) {
                        return false;
                }
        }
        return any || !any_wanted;
}

static void log_stream(const struct vn_sim_record *r, char ret[96])
{
        char date[VN_TIME_TEXT_BYTES];
        vn_time_format(r->at_us, date);
        snprintf(ret, 96, "%.4s/%.2s/%.2s/[$LATEST]%032llx", date, date + 5, date + 8,
                 (unsigned long long)r->instance);
}

static void add_events(const struct vn_sim_record *r, struct vn_str pattern, json_t *events)
{
        VN_AUTO(vn_buf)
        report = VN_BUF_INIT(2048);
        char id[40], line[2][128], stream[96], event_id[64];
        const char *message[3] = {line[0], line[1], NULL};
        vn_sim_uuid(r->id, id);
        snprintf(line[0], sizeof line[0], "START RequestId: %s Version: $LATEST\n", id);
        snprintf(line[1], sizeof line[1], "END RequestId: %s\n", id);
        vn_sim_aws_report(r, &report);
        message[2] = report.ptr ? report.ptr : "";
        log_stream(r, stream);
        for (int i = 0; i < 3; i++) {
                if (!matches(message[i], pattern))
                        continue;
                snprintf(event_id, sizeof event_id, "%020llu%d", (unsigned long long)r->id, i);
                int64_t at_ms = (i ? r->end_us : r->at_us) / VN_US_PER_MS;
                json_array_append_new(events,
                                      json_pack("{s:s, s:I, s:s, s:I, s:s}", "logStreamName", stream, "timestamp",
                                                (json_int_t)at_ms, "message", message[i], "ingestionTime",
                                                (json_int_t)at_ms + 400, "eventId", event_id));
        }
}

static int64_t ms_to_us(int64_t ms)
{
        return ms < 0 ? 0 : ms > INT64_MAX / VN_US_PER_MS ? INT64_MAX : ms * VN_US_PER_MS;
}

/* The token is the index of the next record. The first page never holds events, as on AWS when old streams are searched
 * first: a client that stops at an empty page would miss everything. */
static void filter_log_events(struct vn_sim *sim, uint32_t account, const json_t *body,
                              struct vn_sim_response *response)
{
        const char *group = json_string_value(json_object_get(body, "logGroupName"));
        const char *pattern = json_string_value(json_object_get(body, "filterPattern"));
        const char *token = json_string_value(json_object_get(body, "nextToken"));
        json_int_t from = json_integer_value(json_object_get(body, "startTime"));
        json_t *end = json_object_get(body, "endTime");
        int64_t until = json_is_integer(end) ? json_integer_value(end) : INT64_MAX / 1000;
        uint64_t at = 0;
        uint32_t deployment = UINT32_MAX;
        if (!group) {
                bad(response, "InvalidParameterException", "logGroupName is needed");
                return;
        }
        if (!strncmp(group, "/aws/lambda/", 12))
                deployment = vn_sim_find(sim, account, vn_str(group + 12));
        if (deployment == UINT32_MAX || !sim->functions[deployment].record_count) {
                bad(response, "ResourceNotFoundException", "The specified log group does not exist.");
                return;
        }
        if (token && (strncmp(token, "page-", 5) || vn_str_to_u64(vn_str(token + 5), &at) != VN_OK)) {
                bad(response, "InvalidParameterException", "The specified nextToken is invalid.");
                return;
        }
        const struct vn_sim_function *f = &sim->functions[deployment];
        json_t *events = json_array();
        int64_t from_us = ms_to_us(from);
        int64_t until_us = vn_sim_visible(sim, VN_SIM_LOG_LAG, account, ms_to_us(until));
        at = token ? vn_sim_next_record(f, (size_t)at, from_us, until_us) : 0;
        for (int looked = 0; token && looked < LOG_PAGE && at < f->record_count; looked++) {
                if (f->records[at].instance)
                        add_events(&f->records[at], vn_str(pattern), events);
                at = vn_sim_next_record(f, (size_t)at + 1, from_us, until_us);
        }
        json_t *answer = json_pack("{s:o, s:[]}", "events", events, "searchedLogStreams");
        if (answer && at < f->record_count) {
                char next[40];
                snprintf(next, sizeof next, "page-%llu", (unsigned long long)at);
                json_object_set_new(answer, "nextToken", json_string(next));
        }
        vn_sim_json(response, 200, answer);
}

static bool passes(const json_t *attributes, const json_t *filters)
{
        json_t *filter;
        size_t i;
        json_array_foreach(filters, i, filter)
        {
                const char *field = json_string_value(json_object_get(filter, "Field"));
                const char *value = json_string_value(json_object_get(filter, "Value"));
                const char *type = json_string_value(json_object_get(filter, "Type"));
                const char *have = field ? json_string_value(json_object_get(attributes, field)) : NULL;
                if (!have || !value || (type && strcmp(type, "TERM_MATCH") && strcmp(type, "EQUALS")) ||
                    strcasecmp(have, value))
                        return false;
        }
        return true;
}

static void put_dimension(json_t *dimensions, const char *sku, unsigned tier, double from, double until, double usd,
                          const char *unit)
{
        char key[80], begin[32], end[32], price[40];
        snprintf(key, sizeof key, "%s.JRTCKXETXF.T%u", sku, tier);
        snprintf(begin, sizeof begin, "%.0f", from);
        snprintf(end, sizeof end, "%.0f", until);
        snprintf(price, sizeof price, "%.10f", usd);
        json_object_set_new(dimensions, key,
                            json_pack("{s:s, s:s, s:s, s:s, s:{s:s}, s:[]}", "unit", unit, "beginRange", begin,
                                      "endRange", until > 0 ? end : "Inf", "rateCode", key, "pricePerUnit", "USD",
                                      price, "appliesTo"));
}

static json_t *product(const struct vn_price_row *row, const struct vn_price_meter *meter, bool duration,
                       double factor)
{
        char sku[24], usage[80], offer[40];
        json_t *dimensions = json_object();
        snprintf(sku, sizeof sku, "%016llX",
                 (unsigned long long)vn_hash64(row->region, strlen(row->region), duration));
        snprintf(usage, sizeof usage, "%s-%s", row->region, duration ? "Lambda-GB-Second" : "Request");
        snprintf(offer, sizeof offer, "%s.JRTCKXETXF", sku);
        for (uint32_t i = 0; i < meter->tier_count; i++)
                put_dimension(dimensions, sku, i, meter->tiers[i].from,
                              i + 1 < meter->tier_count ? meter->tiers[i + 1].from : 0, meter->tiers[i].usd * factor,
                              duration ? "Lambda-GB-Second" : "Requests");
        return json_pack("{s:{s:s, s:s, s:{s:s, s:s, s:s, s:s, s:s, s:s}}, s:s, s:{s:{s:{s:o, s:s, s:s}}}}",
                         "product", "productFamily", "Serverless", "sku", sku, "attributes", "regionCode",
                         row->region, "location", row->region, "servicecode", "AWSLambda", "usagetype", usage,
                         "group", duration ? "AWS-Lambda-Duration" : "AWS-Lambda-Requests", "operation", "",
                         "serviceCode", "AWSLambda", "terms", "OnDemand", offer, "priceDimensions", dimensions, "sku",
                         sku, "offerTermCode", "JRTCKXETXF");
}

static double factor_of(const struct vn_sim *sim, enum vn_platform_cloud cloud, const char *region)
{
        for (uint32_t s = 0; s < vn_platform_site_count(sim->platform); s++) {
                const struct vn_platform_site *site = vn_platform_site(sim->platform, s);
                if (site->cloud == cloud && !strcmp(site->region, region))
                        return vn_platform_price_factor(sim->platform, s, vn_now_us(sim->clock));
        }
        return 1;
}

static void add_products(const struct vn_sim *sim, const struct vn_price_row *row, const json_t *filters,
                         json_t *list)
{
        struct vn_platform_price price;
        if (row->cloud != VN_PLATFORM_AWS || row->arm ||
            vn_price_table_region(&sim->prices, VN_PLATFORM_AWS, row->region, &price, NULL) != VN_OK)
                return;
        double factor = factor_of(sim, VN_PLATFORM_AWS, row->region);
        for (int duration = 0; duration < 2; duration++) {
                json_t *item = product(row, duration ? &price.gb_s : &price.request, duration, factor);
                if (passes(json_object_get(json_object_get(item, "product"), "attributes"), filters)) {
                        char *text = json_dumps(item, JSON_COMPACT);
                        json_array_append_new(list, json_string(text ? text : "{}"));
                        free(text);
                }
                json_decref(item);
        }
}

static void get_products(struct vn_sim *sim, const json_t *body, struct vn_sim_response *response)
{
        const char *service = json_string_value(json_object_get(body, "ServiceCode"));
        const char *token = json_string_value(json_object_get(body, "NextToken"));
        json_t *max_json = json_object_get(body, "MaxResults");
        json_int_t max = json_is_integer(max_json) ? json_integer_value(max_json) : 100;
        uint64_t at = 0;
        if (!service || strcmp(service, "AWSLambda")) {
                bad(response, "InvalidParameterException",
                    "Input Parameters are invalid. ServiceCode is not known here");
                return;
        }
        if (max < 1 || max > 100 || (token && vn_str_to_u64(vn_str(token), &at) != VN_OK)) {
                bad(response, token ? "InvalidNextTokenException" : "InvalidParameterException",
                    "Input Parameters are invalid.");
                return;
        }
        json_t *list = json_array();
        for (; at < sim->prices.row_count && json_array_size(list) + 2 <= (size_t)(max < 2 ? 2 : max); at++)
                add_products(sim, &sim->prices.rows[at], json_object_get(body, "Filters"), list);
        json_t *answer = json_pack("{s:s, s:o}", "FormatVersion", "aws_v1", "PriceList", list);
        if (answer && at < sim->prices.row_count) {
                char next[24];
                snprintf(next, sizeof next, "%llu", (unsigned long long)at);
                json_object_set_new(answer, "NextToken", json_string(next));
        }
        vn_sim_json(response, 200, answer);
}

void vn_sim_aws_target(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                       struct vn_sim_response *response)
{
        VN_AUTO(vn_json)
        body = NULL;
        struct vn_err err;
        struct vn_str target = vn_sim_header(request, "x-amz-target");
        if (vn_sim_body(request, &body, &err) != VN_OK) {
                vn_sim_aws_error(response, VN_AWS_JSON, 400, "SerializationException", "%s", err.msg);
                return;
        }
        struct vn_str granite = VN_STR("GraniteServiceVersion20100801.");
        char operation[64];
        if (vn_str_starts(target, granite) &&
            vn_str_copy(operation, sizeof operation, vn_str_n(target.ptr + granite.len, target.len - granite.len)))
                vn_sim_aws_monitoring(sim, account, operation, body, response);
        else if (vn_str_eq(target, VN_STR("Logs_20140328.FilterLogEvents")))
                filter_log_events(sim, account, body, response);
        else if (vn_str_eq(target, VN_STR("AWSPriceListService.GetProducts")))
                get_products(sim, body, response);
        else
                bad(response, "UnknownOperationException", "No such operation");
}
