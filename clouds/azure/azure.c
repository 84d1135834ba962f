/* Azure: tokens, host keys, ARM calls, listing, reading and invoking functions. */
#include "clouds/azure/azure.h"

#define MAX_PAGES 200
#define CONSUMPTION_MB 1536 /* what an instance of the plan without a memory setting has */

/* --- credentials --- */

static enum vn_rc fetch_token(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                              struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(512);
        VN_AUTO(vn_buf)
        form = VN_BUF_INIT(8192);
        struct vn_call call = {.method = "POST",
                               .host = "login.microsoftonline.com",
                               .anonymous = true,
                               .content_type = "application/x-www-form-urlencoded"};
        double seconds;
        enum vn_rc rc;

        vn_cloud_response_init(&response);
        vn_buf_char(&path, '/');
        vn_buf_url_encode(&path, cloud->config.tenant, false);
        vn_buf_text(&path, "/oauth2/v2.0/token");
        vn_buf_text(&form, "client_id=");
        vn_buf_url_encode(&form, cloud->config.client_id, false);
        vn_buf_text(&form, "&scope=");
        vn_buf_url_encode(&form, vn_str(scope), false);
        vn_buf_text(&form, "&grant_type=client_credentials&client_secret=");
        vn_buf_url_encode(&form, cloud->config.client_secret, false);
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_buf_check(&form, err));
        call.path = vn_buf_view(&path);
        call.body = vn_buf_view(&form);
        rc = vn_call_json(cloud, &call, &response, &answer, err);
        explicit_bzero(form.ptr, form.len);
        if (rc == VN_INVALID_ARGUMENT) /* the authority says 400 to a wrong client or secret */
                return vn_err_prefix(err, VN_UNAUTHENTICATED, "azure token");
        VN_TRY(rc);
        seconds = vn_json_pick_number(answer, "expires_in", 0);
        if (!(seconds > 0 && seconds < 1e7))
                return vn_fail(err, VN_DATA_LOSS, "azure: token without lifetime");
        return vn_token_store(cloud, scope, vn_json_str(answer, "access_token"),
                              vn_now_us(cloud->clock) + (int64_t)(seconds * (double)VN_US_PER_S), ret, err);
}

/* The site's host key, read with the account's own rights and kept for an hour. */
static enum vn_rc fetch_key(struct vn_cloud *cloud, const char *audience, const struct vn_cloud_token **ret,
                            struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(1024);
        struct vn_str key;

        vn_cloud_response_init(&response);
        vn_buf_text(&path, audience + strlen(VN_AZURE_KEY_AUDIENCE));
        vn_buf_text(&path, "/host/default/listkeys");
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_azure_arm(cloud, "POST", vn_buf_view(&path), VN_AZURE_API, NULL, &response, &answer, err));
        key = vn_json_str(answer, "functionKeys.default");
        if (key.len == 0)
                key = vn_json_str(answer, "masterKey");
        if (key.len == 0)
                return vn_fail(err, VN_NOT_FOUND, "azure: the site has no host key");
        return vn_token_store(cloud, audience, key, vn_now_us(cloud->clock) + VN_US_PER_HOUR, ret, err);
}

enum vn_rc vn_azure_authorize(struct vn_cloud *cloud, const struct vn_call *call, struct vn_str host,
                              struct vn_cloud_request *request, struct vn_arena *scratch, struct vn_err *err)
{
        bool is_key = !strncmp(call->audience, VN_AZURE_KEY_AUDIENCE, strlen(VN_AZURE_KEY_AUDIENCE));
        const struct vn_cloud_token *token = vn_token_find(cloud, call->audience);
        char *copy;

        (void)host;
        if (!token)
                VN_TRY(is_key ? fetch_key(cloud, call->audience, &token, err)
                              : fetch_token(cloud, call->audience, &token, err));
        if (!is_key)
                return vn_bearer(request, scratch, token, err);
        copy = vn_arena_strndup(scratch, token->text, token->len);
        if (!copy)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a key");
        vn_request_header(request, VN_STR("x-functions-key"), vn_str_n(copy, token->len));
        return VN_OK;
}

enum vn_rc vn_azure_arm(struct vn_cloud *cloud, const char *method, struct vn_str path, struct vn_str query,
                        json_t *body, struct vn_cloud_response *response, json_t **ret, struct vn_err *err)
{
        struct vn_call call = {.method = method,
                               .host = VN_AZURE_ARM_HOST,
                               .path = path,
                               .query = query,
                               .audience = VN_AZURE_ARM_SCOPE,
                               .once = body != NULL};
        char *text = NULL;
        enum vn_rc rc;

        if (body) {
                text = json_dumps(body, JSON_COMPACT);
                if (!text)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a request");
                call.body = vn_str(text);
                call.content_type = "application/json";
        }
        rc = vn_call_json(cloud, &call, response, ret, err);
        free(text);
        return rc;
}

/* --- sites and functions --- */

/* What a change must not overwrite. Left out: what moves by itself (state, addresses, usage). */
static enum vn_rc guard_of(json_t *site, char ret[VN_CLOUD_GUARD_BYTES], struct vn_err *err)
{
        static const char *const parts[] = {"kind",
                                            "tags",
                                            "identity",
                                            "properties.functionAppConfig",
                                            "properties.siteConfig",
                                            "properties.serverFarmId",
                                            "properties.httpsOnly",
                                            "properties.publicNetworkAccess",
                                            "properties.lastModifiedTimeUtc"};
        VN_AUTO(vn_json)
        all = json_array();
        uint8_t hash[VN_SHA256_BYTES];
        char *text = NULL;

        for (size_t i = 0; all && i < sizeof(parts) / sizeof(parts[0]); i++) {
                json_t *part = vn_json_at(site, parts[i]);
                if (json_array_append_new(all, part ? json_incref(part) : json_null()))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a site");
        }
        text = all ? json_dumps(all, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a site");
        vn_sha256(text, strlen(text), hash);
        vn_hex(hash, sizeof(hash), ret);
        free(text);
        return VN_OK;
}

enum vn_rc vn_azure_get_site(struct vn_cloud *cloud, const char *resource, json_t **ret,
                             char ret_guard[VN_CLOUD_GUARD_BYTES], struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        site = NULL;

        vn_cloud_response_init(&response);
        if (resource[0] != '/')
                return vn_fail(err, VN_INVALID_ARGUMENT, "azure: a function without its site's resource id");
        VN_TRY(vn_azure_arm(cloud, "GET", vn_str(resource), VN_AZURE_API, NULL, &response, &site, err));
        VN_TRY(guard_of(site, ret_guard, err));
        *ret = vn_steal(&site);
        return VN_OK;
}

static void read_site(json_t *site, struct vn_cloud_function *ret)
{
        static const uint32_t flex_mb[] = {512, 2048, 4096};
        json_t *scale = vn_json_at(site, "properties.functionAppConfig.scaleAndConcurrency");
        double memory = vn_json_pick_number(scale, "instanceMemoryMB", 0);
        double concurrency = vn_json_pick_number(scale, "triggers.http.perInstanceConcurrency", 0);
        double instances = vn_json_pick_number(scale, "maximumInstanceCount", 0);

        vn_text_copy(ret->name, sizeof(ret->name), vn_json_str(site, "name"));
        vn_text_copy(ret->region, sizeof(ret->region), vn_json_str(site, "location"));
        vn_text_copy(ret->resource, sizeof(ret->resource), vn_json_str(site, "id"));
        vn_text_copy(ret->runtime, sizeof(ret->runtime),
                     vn_json_str(site, "properties.functionAppConfig.runtime.name"));
        ret->concurrency = concurrency >= 1 && concurrency <= 1000 ? (uint32_t)concurrency : 0;
        ret->max_instances = instances >= 1 && instances <= 1e6 ? (uint32_t)instances : 0;
        ret->memory_tunable = memory > 0 && memory <= 1 << 20;
        ret->memory_mb = CONSUMPTION_MB;
        if (ret->memory_tunable) {
                ret->memory_mb = (uint32_t)memory;
                memcpy(ret->memory_choices_mb, flex_mb, sizeof(flex_mb));
                ret->memory_choice_count = sizeof(flex_mb) / sizeof(flex_mb[0]);
                ret->memory_min_mb = flex_mb[0];
                ret->memory_max_mb = flex_mb[2];
        }
}

/* "East US" and "eastus" are the same region; the second is the one that prices use. */
static void fold_region(char *region)
{
        char *to = region;

        for (const char *from = region; *from; from++)
                if (*from != ' ')
                        *to++ = *from >= 'A' && *from <= 'Z' ? (char)(*from + 32) : *from;
        *to = '\0';
}

/* The functions of one site, each as `base` with its own name and address. */
static enum vn_rc site_functions(struct vn_cloud *cloud, const struct vn_cloud_function *base, struct vn_str host,
                                 struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        page = NULL;
        char path[VN_CLOUD_RESOURCE_BYTES + 16];
        json_t *items, *item;
        size_t i;

        vn_cloud_response_init(&response);
        snprintf(path, sizeof(path), "%s/functions", base->resource);
        VN_TRY(vn_azure_arm(cloud, "GET", vn_str(path), VN_AZURE_API, NULL, &response, &page, err));
        items = json_object_get(page, "value");
        json_array_foreach(items, i, item)
        {
                struct vn_cloud_function function = *base;
                struct vn_str name = vn_json_str(item, "properties.name"),
                              url = vn_json_str(item, "properties.invoke_url_template");

                if (name.len == 0) { /* the resource's name is site/function */
                        name = vn_json_str(item, "name");
                        struct vn_str rest = name;
                        vn_str_cut(&rest, '/');
                        name = rest.ptr ? rest : name;
                }
                if (json_is_true(vn_json_at(item, "properties.isDisabled")))
                        continue;
                if (json_array_size(items) > 1)
                        snprintf(function.name, sizeof(function.name), "%.90s.%.*s", base->name, VN_FMT(name));
                if (url.len > 0)
                        vn_text_copy(function.url, sizeof(function.url), url);
                else
                        snprintf(function.url, sizeof(function.url), "https://%.*s/api/%.*s", VN_FMT(host),
                                 VN_FMT(name));
                VN_TRY(vn_list_add(ret, &function, err));
        }
        return VN_OK;
}

static bool is_function_app(json_t *site)
{
        struct vn_str kind = vn_json_str(site, "kind");
        char text[64];

        vn_text_copy(text, sizeof(text), kind);
        return strcasestr(text, "functionapp") && !strcasestr(text, "workflowapp");
}

/* One item of the list: lists leave functionAppConfig out, so a site without it is read by itself. */
static enum vn_rc list_site(struct vn_cloud *cloud, json_t *item, struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_json)
        full = NULL;
        struct vn_cloud_function base = {0};
        char guard[VN_CLOUD_GUARD_BYTES];

        if (!is_function_app(item))
                return VN_OK;
        read_site(item, &base);
        if (!base.resource[0] || !base.name[0])
                return vn_fail(err, VN_DATA_LOSS, "azure: a site of the list has no id or name");
        if (!vn_json_at(item, "properties.functionAppConfig")) {
                VN_TRY(vn_azure_get_site(cloud, base.resource, &full, guard, err));
                read_site(full, &base);
        }
        fold_region(base.region);
        if (cloud->config.region.len > 0 && !vn_str_eq(cloud->config.region, vn_str(base.region)))
                return VN_OK;
        return site_functions(cloud, &base, vn_json_str(full ? full : item, "properties.defaultHostName"), ret, err);
}

static enum vn_rc azure_list(struct vn_cloud *cloud, struct vn_cloud_list *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(16384);

        vn_buf_printf(&path, "/subscriptions/%.*s/providers/Microsoft.Web/sites", VN_FMT(cloud->config.subscription));
        vn_buf_str(&query, VN_AZURE_API);
        for (int i = 0; i < MAX_PAGES; i++) {
                VN_AUTO(vn_response)
                response;
                VN_AUTO(vn_json)
                page = NULL;
                struct vn_str link, host, next_path, next_query;
                json_t *item;
                size_t at;

                vn_cloud_response_init(&response);
                VN_TRY(vn_buf_check(&path, err));
                VN_TRY(vn_buf_check(&query, err));
                VN_TRY(vn_azure_arm(cloud, "GET", vn_buf_view(&path), vn_buf_view(&query), NULL, &response, &page,
                                    err));
                if (!json_is_array(json_object_get(page, "value")))
                        return vn_fail(err, VN_DATA_LOSS, "azure: the list has no value");
                json_array_foreach(json_object_get(page, "value"), at, item) VN_TRY(list_site(cloud, item, ret, err));
                link = vn_json_str(page, "nextLink");
                if (link.len == 0)
                        return VN_OK;
                VN_TRY(vn_link_split(link, &host, &next_path, &next_query, err));
                vn_buf_reset(&path);
                vn_buf_str(&path, next_path);
                vn_buf_reset(&query);
                vn_buf_str(&query, next_query);
        }
        ret->complete = false;
        return VN_OK;
}

enum vn_rc vn_azure_read(struct vn_cloud *cloud, const struct vn_cloud_function *which, struct vn_cloud_function *ret,
                         struct vn_err *err)
{
        VN_AUTO(vn_json)
        site = NULL;
        struct vn_cloud_list functions = {.complete = true};
        struct vn_cloud_function base = {0};
        enum vn_rc rc;

        VN_TRY(vn_azure_get_site(cloud, which->resource, &site, base.guard, err));
        read_site(site, &base);
        fold_region(base.region);
        rc = site_functions(cloud, &base, vn_json_str(site, "properties.defaultHostName"), &functions, err);
        if (rc == VN_OK) {
                rc = vn_fail(err, VN_NOT_FOUND, "azure: %s is not on its site any more", which->name);
                for (size_t i = 0; i < functions.count; i++) {
                        if (!strcmp(functions.functions[i].name, which->name)) {
                                *ret = functions.functions[i];
                                rc = VN_OK;
                        }
                }
        }
        vn_cloud_list_done(&functions);
        return rc;
}

static enum vn_rc azure_invoke(struct vn_cloud *cloud, const struct vn_cloud_function *function,
                               struct vn_str payload, struct vn_cloud_result *ret, struct vn_err *err)
{
        char host[VN_CLOUD_URL_BYTES], audience[VN_CLOUD_URL_BYTES + 8];
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .body = payload,
                               .audience = audience,
                               .once = true,
                               .content_type = "application/octet-stream",
                               .function_host = true};
        struct vn_str url_host;

        VN_TRY(vn_link_split(vn_str(function->url), &url_host, &call.path, &call.query, err));
        vn_text_copy(host, sizeof(host), url_host);
        if (snprintf(audience, sizeof(audience), VN_AZURE_KEY_AUDIENCE "%s", function->resource) >=
            VN_CLOUD_URL_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "azure: the resource id of %s is too long", function->name);
        call.timeout_us = (function->timeout_s ? function->timeout_s + 30 : 260) * VN_US_PER_S;
        vn_invoke_header(cloud, &call);
        VN_TRY(vn_cloud_send(cloud, &call, &ret->response, err));
        return vn_function_status(cloud, ret, err);
}

static enum vn_rc azure_open(struct vn_cloud *cloud, struct vn_err *err)
{
        const struct vn_cloud_config *c = &cloud->config;

        VN_TRY(vn_account_need(c->tenant, "tenant", err));
        VN_TRY(vn_account_need(c->client_id, "client_id", err));
        VN_TRY(vn_account_need(c->client_secret, "client_secret", err));
        return vn_account_need(c->subscription, "subscription", err);
}

const struct vn_cloud_ops vn_azure_ops = {
        .name = "azure",
        .open = azure_open,
        .authorize = vn_azure_authorize,
        .list = azure_list,
        .read = vn_azure_read,
        .change = vn_azure_change,
        .invoke = azure_invoke,
        .may = vn_azure_may,
        .grant = vn_azure_grant,
        .logs = vn_azure_logs,
        .metrics = vn_azure_metrics,
        .prices = vn_azure_prices,
};
