/* GCP: Cloud Functions v2: list, read, invoke, and whether the account works. */
#include "clouds/gcp/gcp.h"

#include "base/decimal.h"
#include "clouds/gcp/credentials.h"

#define API_HOST VN_GCP_FUNCTIONS_HOST
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

bool vn_gcp_enum_is(json_t *item, const char *member, const char *name, int number)
{
        json_t *value = json_object_get(item, member);

        return json_is_integer(value) ? json_integer_value(value) == number
                                      : vn_str_eq(vn_json_str(item, member), vn_str(name));
}

/* "1", "0.167", "583m". */
static uint32_t milli_vcpu(struct vn_str text)
{
        bool milli = vn_str_ends(text, VN_STR("m"));
        int64_t value;

        if (vn_decimal_parse(vn_str_n(text.ptr, text.len - milli), milli ? 0 : 3, &value) != VN_OK)
                return 0;
        return value > 0 && value <= 1000000 ? (uint32_t)value : 0;
}

static enum vn_rc read_function(json_t *item, struct vn_cloud_function *ret, struct vn_err *err)
{
        static const uint32_t sizes[] = {128, 256, 512, 1024, 2048, 4096, 8192, 16384, 32768};
        struct vn_str name = vn_json_str(item, "name"), memory = vn_json_str(item, "serviceConfig.availableMemory");
        struct vn_str url = vn_json_str(item, "serviceConfig.uri");
        double timeout = vn_json_pick_number(item, "serviceConfig.timeoutSeconds", 0);
        double concurrency = vn_json_pick_number(item, "serviceConfig.maxInstanceRequestConcurrency", 1);
        double instances = vn_json_pick_number(item, "serviceConfig.maxInstanceCount", 0);
        double warm = vn_json_pick_number(item, "serviceConfig.minInstanceCount", 0);

        if (name_part(name, 5).len == 0 || name.len >= sizeof(ret->resource))
                return vn_fail(err, VN_DATA_LOSS, "gcp: a function's name is not projects/P/locations/L/functions/F");
        vn_text_copy(ret->resource, sizeof(ret->resource), name);
        vn_text_copy(ret->name, sizeof(ret->name), name_part(name, 5));
        vn_text_copy(ret->region, sizeof(ret->region), name_part(name, 3));
        vn_text_copy(ret->runtime, sizeof(ret->runtime), vn_json_str(item, "buildConfig.runtime"));
        vn_text_copy(ret->url, sizeof(ret->url), url.len > 0 ? url : vn_json_str(item, "url"));
        vn_text_copy(ret->guard, sizeof(ret->guard), vn_json_str(item, "updateTime"));
        ret->memory_mb = memory.len > 0 ? vn_gcp_memory_mb(memory) : 256; /* the documented default */
        ret->milli_vcpu = milli_vcpu(vn_json_str(item, "serviceConfig.availableCpu"));
        ret->timeout_s = timeout >= 1 && timeout <= 86400 ? (uint32_t)timeout : 60;
        ret->concurrency = concurrency >= 1 && concurrency <= 1000 ? (uint32_t)concurrency : 1;
        ret->max_instances = instances >= 1 && instances <= 1e6 ? (uint32_t)instances : 0;
        ret->warm_instances = warm >= 1 && warm <= 1e6 ? (uint32_t)warm : 0;
        /* This API lists the first generation's functions and does not change them. */
        ret->memory_tunable = !vn_gcp_enum_is(item, "environment", "GEN_1", 1);
        memcpy(ret->memory_choices_mb, sizes, sizeof(sizes));
        ret->memory_choice_count = sizeof(sizes) / sizeof(sizes[0]);
        ret->memory_min_mb = sizes[0];
        ret->memory_max_mb = 32768;
        ret->busy = vn_gcp_enum_is(item, "state", "DEPLOYING", 3);
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

        VN_TRY(vn_gcp_need_project(cloud, err));
        vn_buf_printf(&path, "/v2/projects/%.*s/locations/-/functions", VN_FMT(cloud->config.project));
        vn_buf_text(&query, "pageSize=1000");
        if (token->len > 0) {
                vn_buf_text(&query, "&pageToken=");
                vn_buf_url_encode(&query, vn_buf_view(token), false);
        }
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_buf_check(&query, err));
        VN_TRY(vn_gcp_call(cloud, "GET", API_HOST, vn_buf_view(&path), vn_buf_view(&query), NULL, false, &page, err));
        if (json_object_get(page, "functions") && !json_is_array(json_object_get(page, "functions")))
                return vn_fail(err, VN_DATA_LOSS, "gcp: the functions of the list are no list");
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

        for (int page = 1; page <= MAX_PAGES; page++) {
                char what[VN_CLOUD_REGION_BYTES];
                enum vn_rc rc = list_page(cloud, &token, ret, err);

                snprintf(what, sizeof(what), "page %d of the functions", page);
                if (rc != VN_OK) /* the first page is the project itself; a later one is a part */
                        return page == 1 ? rc : vn_list_partial(ret, rc, what, err);
                if (token.len == 0)
                        return VN_OK;
        }
        ret->complete = false;
        return VN_OK;
}

enum vn_rc vn_gcp_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                       struct vn_err *err)
{
        VN_AUTO(vn_json)
        item = NULL;
        char path[VN_CLOUD_RESOURCE_BYTES + 8];

        snprintf(path, sizeof(path), "/v2/%s", which->resource);
        VN_TRY(vn_gcp_call(cloud, "GET", API_HOST, vn_str(path), VN_STR(""), NULL, false, &item, err));
        VN_TRY(read_function(item, ret, err));
        return ret->guard[0] ? VN_OK : vn_fail(err, VN_DATA_LOSS, "gcp: %s has no updateTime", ret->name);
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

/* One function of the list: the call needs no right that listing does not, and no other API of the project. A location
 * that is configured keeps it from asking them all. */
static enum vn_rc gcp_health(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        char path[256];
        struct vn_str region = cloud->config.region.len > 0 ? cloud->config.region : VN_STR("-");
        struct vn_call call = {.method = "GET", .host = API_HOST, .query = VN_STR("pageSize=1")};
        int64_t start_us = vn_now_us(cloud->clock);
        struct vn_str email = VN_STR("");

        vn_cloud_response_init(&response);
        VN_TRY(vn_gcp_need_project(cloud, err));
        snprintf(path, sizeof(path), "/v2/projects/%.*s/locations/%.*s/functions", VN_FMT(cloud->config.project),
                 VN_FMT(region));
        call.path = vn_str(path);
        VN_TRY(vn_call_json(cloud, &call, &response, &answer, err));
        vn_health_clock(cloud, &response, start_us, ret);
        if (cloud->gcp && cloud->gcp->kind == VN_GCP_KEY)
                email = cloud->gcp->email;
        snprintf(ret->identity, sizeof(ret->identity), "projects/%.*s%s%.*s", VN_FMT(cloud->config.project),
                 email.len ? " " : "", VN_FMT(email));
        return VN_OK;
}

const struct vn_cloud_ops vn_gcp_ops = {
        .name = "gcp",
        .open = vn_gcp_open,
        .close = vn_gcp_close,
        .authorize = vn_gcp_authorize,
        .list = gcp_list,
        .read = vn_gcp_read,
        .change = vn_gcp_change,
        .read_split = vn_gcp_read_split,
        .set_split = vn_gcp_set_split,
        .invoke = gcp_invoke,
        .health = gcp_health,
        .may = vn_gcp_may,
        .grant = vn_gcp_grant,
        .logs = vn_gcp_logs,
        .lines = vn_gcp_lines,
        .metrics = vn_gcp_metrics,
        .prices = vn_gcp_prices,
        .put_object = vn_gcp_put_object,
};
