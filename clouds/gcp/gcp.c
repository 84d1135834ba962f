/* GCP: Cloud Functions v2: list, read, change, invoke. */
#include "clouds/gcp/gcp.h"

#define API_HOST "cloudfunctions.googleapis.com"
#define MAX_PAGES 200

enum vn_rc vn_gcp_call(struct vn_cloud *cloud, const char *method, const char *host, struct vn_str path,
                       struct vn_str query, json_t *body, bool once, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        struct vn_call call = {.method = method, .host = host, .path = path, .query = query, .once = once};
        char *text = NULL;
        enum vn_rc rc;

        vn_cloud_response_init(&response);
        if (body) {
                text = json_dumps(body, JSON_COMPACT);
                if (!text)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
                call.body = vn_str(text);
                call.content_type = "application/json";
        }
        rc = vn_call_json(cloud, &call, &response, ret, err);
        free(text);
        return rc;
}

/* The suffixes are decimal and binary in Kubernetes, but Cloud Functions sells 256, 512, 1,024 ... MiB and writes the
 * same size either way, so both count alike here. */
uint32_t vn_gcp_memory_mb(struct vn_str quantity)
{
        struct vn_str number = quantity;
        double factor = 1.0 / (1 << 20), value;

        if (number.len > 0 && number.ptr[number.len - 1] == 'i')
                number.len--;
        if (number.len > 0 && strchr("kKMG", number.ptr[number.len - 1])) {
                char unit = number.ptr[--number.len];
                factor = unit == 'M' ? 1 : unit == 'G' ? 1024 : 1.0 / 1024;
        } else if (number.len != quantity.len) {
                return 0;
        }
        if (vn_str_to_double(number, &value) != VN_OK || !(value > 0 && value * factor < 1 << 20))
                return 0;
        return (uint32_t)(value * factor + 0.5);
}

/* projects/P/locations/L/functions/F */
static struct vn_str name_part(struct vn_str name, int index)
{
        for (int i = 0; i < index && name.ptr; i++)
                vn_str_cut(&name, '/');
        return name.ptr ? vn_str_cut(&name, '/') : VN_STR("");
}

static bool is_deploying(json_t *item)
{
        json_t *state = json_object_get(item, "state"); /* a name, or a number for clients that asked for numbers */

        return json_is_integer(state) ? json_integer_value(state) == 3
                                      : vn_str_eq(vn_json_str(item, "state"), VN_STR("DEPLOYING"));
}

static enum vn_rc read_function(json_t *item, struct vn_cloud_function *ret, struct vn_err *err)
{
        static const uint32_t sizes[] = {128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
        struct vn_str name = vn_json_str(item, "name"), memory = vn_json_str(item, "serviceConfig.availableMemory");
        struct vn_str url = vn_json_str(item, "serviceConfig.uri");
        double timeout = vn_json_pick_number(item, "serviceConfig.timeoutSeconds", 0);
        double concurrency = vn_json_pick_number(item, "serviceConfig.maxInstanceRequestConcurrency", 1);
        double instances = vn_json_pick_number(item, "serviceConfig.maxInstanceCount", 0);

        if (name_part(name, 5).len == 0 || name.len >= sizeof(ret->resource))
                return vn_fail(err, VN_DATA_LOSS, "gcp: a function's name is not projects/P/locations/L/functions/F");
        vn_text_copy(ret->resource, sizeof(ret->resource), name);
        vn_text_copy(ret->name, sizeof(ret->name), name_part(name, 5));
        vn_text_copy(ret->region, sizeof(ret->region), name_part(name, 3));
        vn_text_copy(ret->runtime, sizeof(ret->runtime), vn_json_str(item, "buildConfig.runtime"));
        vn_text_copy(ret->url, sizeof(ret->url), url.len > 0 ? url : vn_json_str(item, "url"));
        vn_text_copy(ret->guard, sizeof(ret->guard), vn_json_str(item, "updateTime"));
        ret->memory_mb = memory.len > 0 ? vn_gcp_memory_mb(memory) : 256; /* the documented default */
        ret->timeout_s = timeout >= 1 && timeout <= 86400 ? (uint32_t)timeout : 60;
        ret->concurrency = concurrency >= 1 && concurrency <= 1000 ? (uint32_t)concurrency : 1;
        ret->max_instances = instances >= 1 && instances <= 1e6 ? (uint32_t)instances : 0;
        ret->memory_tunable = true;
        memcpy(ret->memory_choices_mb, sizes, sizeof(sizes));
        ret->memory_choice_count = sizeof(sizes) / sizeof(sizes[0]);
        ret->memory_min_mb = sizes[0];
        ret->memory_max_mb = 32768;
        ret->busy = is_deploying(item);
        if (!ret->memory_mb)
                return vn_fail(err, VN_DATA_LOSS, "gcp: memory of %s is not a quantity", ret->name);
        return VN_OK;
}

static enum vn_rc list_page(struct vn_cloud *cloud, struct vn_buf *token, struct vn_cloud_list *ret,
                            struct vn_err *err)
{
        VN_AUTO(vn_json)
        page = NULL;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(1024);
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(16384);
        json_t *item;
        size_t i;

        vn_buf_printf(&path, "/v2/projects/%.*s/locations/-/functions", VN_FMT(cloud->config.project));
        vn_buf_text(&query, "pageSize=1000");
        if (token->len > 0) {
                vn_buf_text(&query, "&pageToken=");
                vn_buf_url_encode(&query, vn_buf_view(token), false);
        }
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_buf_check(&query, err));
        VN_TRY(vn_gcp_call(cloud, "GET", API_HOST, vn_buf_view(&path), vn_buf_view(&query), NULL, false, &page, err));
        json_array_foreach(json_object_get(page, "functions"), i, item)
        {
                struct vn_cloud_function function = {0};

                VN_TRY(read_function(item, &function, err));
                function.guard[0] = '\0';
                if (cloud->config.region.len == 0 || vn_str_eq(cloud->config.region, vn_str(function.region)))
                        VN_TRY(vn_list_add(ret, &function, err));
        }
        json_array_foreach(json_object_get(page, "unreachable"), i, item)
                VN_TRY(vn_list_unreachable(ret, vn_str(json_string_value(item)), err));
        vn_buf_reset(token);
        vn_buf_str(token, vn_json_str(page, "nextPageToken"));
        return vn_buf_check(token, err);
}

static enum vn_rc gcp_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);

        for (int page = 0; page < MAX_PAGES; page++) {
                VN_TRY(list_page(cloud, &token, ret, err));
                if (token.len == 0)
                        return VN_OK;
        }
        ret->complete = false;
        return VN_OK;
}

static enum vn_rc gcp_read(struct vn_cloud *cloud, const struct vn_cloud_function *which,
                           struct vn_cloud_function *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        item = NULL;
        char path[VN_CLOUD_RESOURCE_BYTES + 8];

        snprintf(path, sizeof(path), "/v2/%s", which->resource);
        VN_TRY(vn_gcp_call(cloud, "GET", API_HOST, vn_str(path), VN_STR(""), NULL, false, &item, err));
        VN_TRY(read_function(item, ret, err));
        return ret->guard[0] ? VN_OK : vn_fail(err, VN_DATA_LOSS, "gcp: %s has no updateTime", ret->name);
}

/* Follows a long-running operation to its end. */
static enum vn_rc follow(struct vn_cloud *cloud, json_t **operation, int64_t max_wait_us, struct vn_err *err)
{
        struct vn_wait wait = {.max_us = max_wait_us};
        char path[512];

        while (!json_is_true(json_object_get(*operation, "done"))) {
                json_t *next = NULL;
                struct vn_str name = vn_json_str(*operation, "name");

                if (name.len == 0 || memchr(name.ptr, '?', name.len))
                        return vn_fail(err, VN_DATA_LOSS, "gcp: a change was answered without an operation");
                snprintf(path, sizeof(path), "/v2/%.*s", VN_FMT(name));
                if (!vn_wait_more(cloud, &wait, NULL))
                        return vn_fail(err, VN_DEADLINE_EXCEEDED, "gcp: the change is still running");
                VN_TRY(vn_gcp_call(cloud, "GET", API_HOST, vn_str(path), VN_STR(""), NULL, false, &next, err));
                json_decref(*operation);
                *operation = next;
        }
        if (vn_json_at(*operation, "error"))
                return vn_fail(err, VN_ABORTED, "gcp: the change failed with code %.0f: %.120s",
                               vn_json_pick_number(*operation, "error.code", 0),
                               vn_json_str(*operation, "error.message").ptr);
        return VN_OK;
}

static enum vn_rc set_memory(struct vn_cloud *cloud, const struct vn_cloud_function *as_read, uint32_t memory_mb,
                             int64_t max_wait_us, struct vn_cloud_function *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        body = NULL;
        VN_AUTO(vn_json)
        operation = NULL;
        char path[VN_CLOUD_RESOURCE_BYTES + 8], quantity[32];

        /* There is no etag: the last update's time is compared, one round trip before the write. */
        VN_TRY(gcp_read(cloud, as_read, ret, err));
        if (strcmp(ret->guard, as_read->guard) != 0)
                return vn_fail(err, VN_ABORTED, "gcp: %s was changed by somebody else", as_read->name);
        snprintf(quantity, sizeof(quantity), "%uMi", memory_mb);
        snprintf(path, sizeof(path), "/v2/%s", as_read->resource);
        body = json_pack("{s:s, s:{s:s}}", "name", as_read->resource, "serviceConfig", "availableMemory", quantity);
        if (!body)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
        VN_TRY(vn_gcp_call(cloud, "PATCH", API_HOST, vn_str(path), VN_STR("updateMask=serviceConfig.availableMemory"),
                           body, true, &operation, err));
        VN_TRY(follow(cloud, &operation, max_wait_us, err));
        VN_TRY(gcp_read(cloud, as_read, ret, err));
        if (ret->memory_mb != memory_mb)
                return vn_fail(err, VN_ABORTED, "gcp: %s has %u MB after the change to %u", as_read->name,
                               ret->memory_mb, memory_mb);
        return VN_OK;
}

static enum vn_rc gcp_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                             struct vn_cloud_result *ret, struct vn_err *err)
{
        char host[VN_CLOUD_URL_BYTES];
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .body = payload,
                               .audience = function->url,
                               .once = true,
                               .content_type = "application/octet-stream",
                               .function_host = true};
        struct vn_str url_host;

        VN_TRY(vn_link_split(vn_str(function->url), &url_host, &call.path, &call.query, err));
        vn_text_copy(host, sizeof(host), url_host);
        if (call.path.len == 0)
                call.path = VN_STR("/");
        call.timeout_us = (function->timeout_s + 30) * VN_US_PER_S;
        vn_invoke_header(cloud, &call);
        VN_TRY(vn_cloud_send(cloud, &call, &ret->response, err));
        return vn_function_status(cloud, ret, err);
}

static enum vn_rc gcp_change(struct vn_cloud *cloud, const struct vn_cloud_function *as_read,
                             enum vn_cloud_setting setting, uint32_t value, int64_t max_wait_us,
                             struct vn_cloud_function *ret, struct vn_err *err)
{
        if (setting != VN_SETTING_MEMORY_MB)
                return vn_fail(err, VN_FAILED_PRECONDITION, "gcp: %s of %s cannot be changed",
                               vn_cloud_setting_name(setting), as_read->name);
        return set_memory(cloud, as_read, value, max_wait_us, ret, err);
}

const struct vn_cloud_ops vn_gcp_ops = {
        .name = "gcp",
        .open = vn_gcp_open,
        .authorize = vn_gcp_authorize,
        .list = gcp_list,
        .read = gcp_read,
        .change = gcp_change,
        .invoke = gcp_invoke,
        .may = vn_gcp_may,
        .grant = vn_gcp_grant,
        .logs = vn_gcp_logs,
        .metrics = vn_gcp_metrics,
        .prices = vn_gcp_prices,
};
