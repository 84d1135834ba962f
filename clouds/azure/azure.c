/* Azure: host keys, ARM calls, invoking functions, and whether the account works. */
#include "clouds/azure/azure.h"

#include "clouds/azure/credentials.h"

/* --- credentials --- */

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
        const struct vn_cloud_token *token;
        char *copy;

        (void)host;
        VN_TRY(vn_token_get(cloud, call->audience, is_key ? fetch_key : vn_azure_fetch_token, &token, err));
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

/* --- functions, and the account itself --- */

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

        VN_TRY(vn_azure_credentials_check(c, err));
        return vn_account_need(c->subscription, "subscription", err);
}

/* The subscription itself: readable with any role on it, and one small answer. */
static enum vn_rc azure_health(struct vn_cloud *cloud, struct vn_cloud_health *ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        char path[256];
        int64_t start_us;
        struct vn_str id;

        vn_cloud_response_init(&response);
        snprintf(path, sizeof(path), "/subscriptions/%.*s", VN_FMT(cloud->config.subscription));
        start_us = vn_now_us(cloud->clock);
        VN_TRY(vn_azure_arm(cloud, "GET", vn_str(path), VN_STR("api-version=2022-12-01"), NULL, &response, &answer,
                            err));
        vn_health_clock(cloud, &response, start_us, ret);
        id = vn_json_str(answer, "subscriptionId");
        if (!vn_str_eq_nocase(id, cloud->config.subscription))
                return vn_fail(err, VN_DATA_LOSS, "azure: another subscription than the asked one answered");
        snprintf(ret->identity, sizeof(ret->identity), "%.*s %.*s", VN_FMT(id),
                 VN_FMT(vn_json_str(answer, "displayName")));
        return VN_OK;
}

const struct vn_cloud_ops vn_azure_ops = {
        .name = "azure",
        .open = azure_open,
        .authorize = vn_azure_authorize,
        .list = vn_azure_list,
        .read = vn_azure_read,
        .change = vn_azure_change,
        .read_split = vn_azure_read_split,
        .set_split = vn_azure_set_split,
        .invoke = azure_invoke,
        .health = azure_health,
        .may = vn_azure_may,
        .grant = vn_azure_grant,
        .logs = vn_azure_logs,
        .lines = vn_azure_lines,
        .metrics = vn_azure_metrics,
        .prices = vn_azure_prices,
        .put_object = vn_azure_put_object,
};
