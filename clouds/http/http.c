/* Plain HTTP endpoints: what the functions file says, and one POST an invocation. */
#include "clouds/http/http.h"

#include "base/decimal.h"

#define MAX_MB (1u << 20)

/* --- the functions file --- */

static enum vn_rc load(struct vn_cloud *cloud, json_t **ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_HTTP_MAX_FILE_BYTES);
        json_t *root = NULL;

        VN_TRY(vn_file_read(cloud->config.functions_file.ptr, &text, err));
        if (vn_json_load(vn_buf_view(&text), &root, err) != VN_OK)
                return vn_err_prefix(err, VN_INVALID_ARGUMENT, "functions_file");
        if (!json_is_array(json_object_get(root, "functions"))) {
                json_decref(root);
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions_file: no list \"functions\"");
        }
        *ret = root;
        return VN_OK;
}

static enum vn_rc whole(json_t *item, const char *member, uint32_t missing, uint32_t max, uint32_t *ret,
                        struct vn_err *err)
{
        json_t *value = json_object_get(item, member);

        *ret = missing;
        if (!value)
                return VN_OK;
        if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > max)
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions_file: %s must be a whole number up to %u", member,
                               max);
        *ret = (uint32_t)json_integer_value(value);
        return VN_OK;
}

/* A wrong entry makes the whole file wrong: one function silently missing would look like one that was taken away. */
static enum vn_rc read_entry(struct vn_cloud *cloud, json_t *item, struct vn_cloud_function *ret, struct vn_err *err)
{
        struct vn_str name = vn_json_str(item, "name"), url = vn_json_str(item, "url"), host, path, query,
                      region = vn_json_str(item, "region");
        char *canonical;

        if (name.len == 0 || name.len >= sizeof(ret->name) || url.len >= sizeof(ret->url) ||
            region.len >= sizeof(ret->region))
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "functions_file: a name, url or region is missing or too long");
        if (vn_link_split(url, &host, &path, &query, err) != VN_OK)
                return vn_err_prefix(err, VN_INVALID_ARGUMENT, "functions_file: url of %.*s", VN_FMT(name));
        if (!vn_str_starts(url, VN_STR("https://")) && !vn_str_starts(host, VN_STR("127.0.0.1")))
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions_file: url of %.*s must be https", VN_FMT(name));
        vn_text_copy(ret->name, sizeof(ret->name), name);
        vn_text_copy(ret->resource, sizeof(ret->resource), url);
        vn_text_copy(ret->url, sizeof(ret->url), url);
        vn_text_copy(ret->region, sizeof(ret->region), region.len > 0 ? region : cloud->config.region);
        vn_text_copy(ret->runtime, sizeof(ret->runtime), vn_json_str(item, "runtime"));
        VN_TRY(whole(item, "memory_mb", 0, MAX_MB, &ret->memory_mb, err));
        VN_TRY(whole(item, "timeout_s", 60, 86400, &ret->timeout_s, err));
        VN_TRY(whole(item, "concurrency", 0, 100000, &ret->concurrency, err));
        VN_TRY(whole(item, "max_instances", 0, 100000, &ret->max_instances, err));
        if (ret->memory_mb == 0)
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions_file: memory_mb of %s is missing", ret->name);
        canonical = json_dumps(item, JSON_COMPACT | JSON_SORT_KEYS);
        if (!canonical)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a function");
        snprintf(ret->guard, sizeof(ret->guard), "%016llx",
                 (unsigned long long)vn_hash64(canonical, strlen(canonical), 0));
        free(canonical);
        return VN_OK;
}

static enum vn_rc http_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        json_t *item;
        size_t i;

        VN_TRY(load(cloud, &root, err));
        json_array_foreach(json_object_get(root, "functions"), i, item)
        {
                struct vn_cloud_function function = {0};

                VN_TRY(read_entry(cloud, item, &function, err));
                VN_TRY(vn_list_add(ret, &function, err));
        }
        return VN_OK;
}

static enum vn_rc http_read(struct vn_cloud *cloud, const struct vn_cloud_function *which,
                            struct vn_cloud_function *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;
        json_t *item;
        size_t i;

        VN_TRY(load(cloud, &root, err));
        json_array_foreach(json_object_get(root, "functions"), i,
                           item) if (vn_str_eq(vn_json_str(item, "name"),
                                               vn_str(which->name))) return read_entry(cloud, item, ret, err);
        return vn_fail(err, VN_NOT_FOUND, "functions_file: no function %s", which->name);
}

static enum vn_rc price(struct vn_cloud *cloud, json_t *root, const char *member, enum vn_cloud_meter meter,
                        struct vn_cloud_price_list *ret, struct vn_err *err)
{
        struct vn_cloud_price row = {.meter = meter, .plan = "own"};
        json_t *value = vn_json_at(root, member);

        if (!json_is_number(value) || !(json_number_value(value) >= 0 && json_number_value(value) <= 1) ||
            vn_decimal_from_double(json_number_value(value), VN_PICO, &row.pico_usd) != VN_OK)
                return vn_fail(err, VN_INVALID_ARGUMENT, "functions_file: %s must be a price from 0 to 1", member);
        vn_text_copy(row.region, sizeof(row.region), cloud->config.region);
        return vn_price_add(ret, &row, err);
}

static enum vn_rc http_prices(struct vn_cloud *cloud, struct vn_cloud_price_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        root = NULL;

        VN_TRY(load(cloud, &root, err));
        VN_TRY(price(cloud, root, "prices.usd_per_gb_s", VN_METER_GB_SECOND, ret, err));
        return price(cloud, root, "prices.usd_per_request", VN_METER_REQUEST, ret, err);
}

/* --- calls --- */

static enum vn_rc http_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                                 struct vn_cloud_request *request, struct vn_arena *scratch, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(16384);
        struct vn_cloud_token token = {0};
        struct vn_str trimmed;
        enum vn_rc rc = VN_OK;

        (void)call, (void)host;
        if (cloud->config.token_file.len == 0)
                return VN_OK;
        VN_TRY(vn_file_read(cloud->config.token_file.ptr, &text, err));
        trimmed = vn_buf_view(&text);
        trimmed = vn_str_trim(vn_str_cut(&trimmed, '\n'));
        for (size_t i = 0; i < trimmed.len; i++)
                if ((unsigned char)trimmed.ptr[i] <= ' ' || trimmed.ptr[i] == 0x7f)
                        rc = vn_fail(err, VN_INVALID_ARGUMENT, "token_file: not a token");
        token.text = text.ptr + (trimmed.ptr ? trimmed.ptr - text.ptr : 0);
        token.len = trimmed.len;
        if (rc == VN_OK)
                rc = vn_bearer(request, scratch, &token, err);
        explicit_bzero(text.ptr, text.len);
        return rc;
}

static enum vn_rc call_endpoint(struct vn_cloud *cloud, const char *method, const struct vn_cloud_function *function,
                                struct vn_str payload, int64_t timeout_us, struct vn_cloud_response *ret,
                                struct vn_err *err)
{
        char host[VN_CLOUD_URL_BYTES];
        struct vn_call call = {.method = method, .host = host, .body = payload, .once = true, .function_host = true};
        struct vn_str url_host;

        VN_TRY(vn_link_split(vn_str(function->url), &url_host, &call.path, &call.query, err));
        vn_text_copy(host, sizeof(host), url_host);
        call.plain = vn_str_starts(vn_str(function->url), VN_STR("http://"));
        if (call.path.len == 0)
                call.path = VN_STR("/");
        if (payload.len > 0)
                call.content_type = "application/octet-stream";
        call.timeout_us = timeout_us;
        vn_invoke_header(cloud, &call);
        return vn_cloud_send(cloud, &call, ret, err);
}

static enum vn_rc http_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function, struct vn_str payload,
                              struct vn_cloud_result *ret, struct vn_err *err)
{
        int64_t timeout_us = (function->timeout_s + 30) * VN_US_PER_S;

        VN_TRY(call_endpoint(cloud, "POST", function, payload, timeout_us, &ret->response, err));
        return vn_function_status(cloud, ret, err);
}

/* HEAD on the first function: any answer of it, even "method not allowed", shows that the way and the token are good. */
static enum vn_rc http_health(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        struct vn_cloud_list list = {0};
        int64_t start_us = vn_now_us(cloud->clock), service_us;
        enum vn_rc rc = http_list(cloud, &list, err);

        vn_cloud_response_init(&response);
        if (rc == VN_OK && list.count == 0)
                rc = vn_fail(err, VN_NOT_FOUND, "functions_file: no function yet");
        if (rc == VN_OK)
                rc = call_endpoint(cloud, "HEAD", &list.functions[0], VN_STR(""), 10 * VN_US_PER_S, &response, err);
        if (rc == VN_OK && (response.status == 401 || response.status == 403 || response.status >= 500))
                rc = vn_call_error(cloud, &response, err);
        if (rc == VN_OK) {
                struct vn_str date = vn_cloud_response_header(&response, "date");

                ret->round_trip_us = vn_now_us(cloud->clock) - start_us;
                if (date.ptr && vn_http_date_parse(date, &service_us) == VN_OK)
                        ret->clock_offset_us = service_us - vn_now_us(cloud->clock);
                vn_text_copy(ret->identity, sizeof(ret->identity), vn_str(list.functions[0].url));
        }
        vn_cloud_list_done(&list);
        return rc;
}

/* Nobody meters these endpoints: a read tells of no minute. */
static enum vn_rc http_metrics(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                               int64_t to_us, struct vn_cloud_minute *ret, size_t cap, size_t *ret_count,
                               struct vn_err *err)
{
        (void)cloud, (void)function, (void)from_us, (void)to_us, (void)ret, (void)cap, (void)err;
        *ret_count = 0;
        return VN_OK;
}

static enum vn_rc http_open(struct vn_cloud *cloud, struct vn_err *err)
{
        VN_TRY(vn_account_need(cloud->config.region, "region", err));
        return vn_account_need(cloud->config.functions_file, "functions_file", err);
}

const struct vn_cloud_ops vn_http_ops = {
        .name = "http",
        .open = http_open,
        .authorize = http_authorize,
        .list = http_list,
        .read = http_read,
        .invoke = http_invoke,
        .health = http_health,
        .logs = vn_http_logs,
        .metrics = http_metrics,
        .prices = http_prices,
};
