#include "clouds/azure/credentials.h"

#define LOGIN_HOST VN_STR("login.microsoftonline.com")
#define MAX_FILE_BYTES (64u << 10)
#define MAX_FORM_BYTES (128u << 10)

/* How a client shows that it is the one: exactly one of the three. */
struct app {
        struct vn_str tenant, client;
        struct vn_str secret, certificate_file, assertion;
};

enum vn_rc vn_azure_credentials_check(const struct vn_cloud_config *config, struct vn_err *err)
{
        if (config->client_secret.len && config->client_certificate_file.len)
                return vn_fail(err, VN_INVALID_ARGUMENT,
                               "account: client_secret or client_certificate_file, not both");
        if (config->client_secret.len || config->client_certificate_file.len)
                VN_TRY(vn_account_need(config->tenant, "tenant", err));
        if (config->tenant.len || config->client_secret.len || config->client_certificate_file.len)
                VN_TRY(vn_account_need(config->client_id, "client_id", err));
        return VN_OK;
}

/* --- Entra --- */

static enum vn_rc authority(struct vn_str *ret_host, struct vn_err *err)
{
        struct vn_str at = vn_environment("AZURE_AUTHORITY_HOST"), path, query;
        *ret_host = LOGIN_HOST;
        if (!at.len)
                return VN_OK;
        if (!vn_str_starts(at, VN_STR("https://")) || vn_link_split(at, ret_host, &path, &query, NULL) != VN_OK ||
            !vn_is_host(*ret_host) || (path.len && !vn_str_eq(path, VN_STR("/"))) || query.len)
                return vn_fail(err, VN_INVALID_ARGUMENT, "AZURE_AUTHORITY_HOST is not https://HOST");
        return VN_OK;
}

static enum vn_rc assertion_of(const struct app *app, struct vn_str host, struct vn_str path, int64_t now_us,
                               struct vn_buf *ret, struct vn_err *err)
{
        struct vn_buf pem = VN_BUF_INIT(MAX_FILE_BYTES);
        VN_AUTO(vn_buf)
        audience = VN_BUF_INIT(1024);
        struct vn_str text = {0};
        if (app->assertion.len) {
                vn_buf_str(ret, app->assertion);
                return vn_buf_check(ret, err);
        }
        vn_buf_printf(&audience, "https://%.*s%.*s", VN_FMT(host), VN_FMT(path));
        enum vn_rc rc = vn_buf_check(&audience, err);
        if (rc == VN_OK)
                rc = vn_token_read(app->certificate_file, &pem, &text, err);
        if (rc == VN_NOT_FOUND)
                rc = vn_fail(err, VN_FAILED_PRECONDITION, "there is no such file");
        if (rc == VN_OK)
                rc = vn_azure_assertion(text, app->client, vn_buf_view(&audience), now_us, ret, err);
        vn_wipe(&pem);
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "client certificate %.*s", VN_FMT(app->certificate_file));
}

static enum vn_rc write_form(const struct app *app, const char *scope, struct vn_str host, struct vn_str path,
                             int64_t now_us, struct vn_buf *form, struct vn_err *err)
{
        struct vn_buf assertion = VN_BUF_INIT(MAX_FILE_BYTES);
        enum vn_rc rc = VN_OK;
        vn_buf_text(form, "client_id=");
        vn_buf_url_encode(form, app->client, false);
        vn_buf_text(form, "&scope=");
        vn_buf_url_encode(form, vn_str(scope), false);
        vn_buf_text(form, "&grant_type=client_credentials");
        if (app->secret.len) {
                vn_buf_text(form, "&client_secret=");
                vn_buf_url_encode(form, app->secret, false);
        } else {
                rc = assertion_of(app, host, path, now_us, &assertion, err);
                vn_buf_text(form,
                            "&client_assertion_type=urn%3Aietf%3Aparams%3Aoauth%3Aclient-assertion-type%3Ajwt-bearer"
                            "&client_assertion=");
                vn_buf_url_encode(form, vn_buf_view(&assertion), false);
                vn_wipe(&assertion);
        }
        return rc == VN_OK ? vn_buf_check(form, err) : rc;
}

static enum vn_rc take_answer(struct vn_cloud *cloud, const char *scope, json_t *answer,
                              const struct vn_cloud_token **ret, struct vn_err *err)
{
        double seconds = vn_json_pick_number(answer, "expires_in", 0);
        if (!(seconds > 0 && seconds < 1e7))
                return vn_fail(err, VN_DATA_LOSS, "azure: token without lifetime");
        return vn_token_store(cloud, scope, vn_json_str(answer, "access_token"),
                              vn_now_us(cloud->clock) + (int64_t)(seconds * (double)VN_US_PER_S), ret, err);
}

static enum vn_rc ask_entra(struct vn_cloud *cloud, const char *scope, const struct app *app,
                            const struct vn_cloud_token **ret, struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        VN_AUTO(vn_json)
        answer = NULL;
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(512);
        struct vn_buf form = VN_BUF_INIT(MAX_FORM_BYTES);
        char host[VN_CLOUD_URL_BYTES];
        struct vn_call call = {.method = "POST",
                               .host = host,
                               .anonymous = true,
                               .content_type = "application/x-www-form-urlencoded"};
        struct vn_str login;
        vn_cloud_response_init(&response);
        VN_TRY(authority(&login, err));
        vn_text_copy(host, sizeof(host), login);
        vn_buf_char(&path, '/');
        vn_buf_url_encode(&path, app->tenant, false);
        vn_buf_text(&path, "/oauth2/v2.0/token");
        VN_TRY(vn_buf_check(&path, err));
        call.path = vn_buf_view(&path);
        enum vn_rc rc = write_form(app, scope, login, call.path, vn_now_us(cloud->clock), &form, err);
        call.body = vn_buf_view(&form);
        if (rc == VN_OK) {
                rc = vn_call_json(cloud, &call, &response, &answer, err);
                if (rc == VN_INVALID_ARGUMENT) /* the authority says 400 to a wrong client or proof */
                        rc = vn_err_prefix(err, VN_UNAUTHENTICATED, "azure token");
        }
        vn_wipe(&form);
        if (rc == VN_OK)
                rc = take_answer(cloud, scope, answer, ret, err);
        if (response.body.ptr)
                explicit_bzero(response.body.ptr, response.body.len);
        return rc;
}

/* --- places: NOT_FOUND says why there is nothing; any other error ends the search --- */

typedef enum vn_rc (*place_fn)(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                               struct vn_err *err);

static struct vn_str first(struct vn_str configured, const char *variable)
{
        return configured.len ? configured : vn_environment(variable);
}

static enum vn_rc from_environment(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                   struct vn_err *err)
{
        struct app app = {.tenant = first(cloud->config.tenant, "AZURE_TENANT_ID"),
                          .client = first(cloud->config.client_id, "AZURE_CLIENT_ID"),
                          .secret = vn_environment("AZURE_CLIENT_SECRET"),
                          .certificate_file = vn_environment("AZURE_CLIENT_CERTIFICATE_PATH")};
        const char *refused = app.secret.len                                                      ? NULL
                              : !app.certificate_file.len && vn_environment("AZURE_USERNAME").len ? "AZURE_USERNAME"
                              : app.certificate_file.len && vn_environment("AZURE_CLIENT_CERTIFICATE_PASSWORD").len
                                      ? "AZURE_CLIENT_CERTIFICATE_PASSWORD"
                                      : NULL;
        if (refused)
                return vn_fail(err, VN_FAILED_PRECONDITION, "environment: %s is not supported", refused);
        if (!app.secret.len && !app.certificate_file.len)
                return vn_fail(err, VN_NOT_FOUND, "environment: no AZURE_CLIENT_SECRET");
        if (!app.tenant.len || !app.client.len)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "environment: a secret or certificate without AZURE_TENANT_ID and AZURE_CLIENT_ID");
        return ask_entra(cloud, scope, &app, ret, err);
}

static enum vn_rc from_workload(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                struct vn_err *err)
{
        struct vn_buf token = VN_BUF_INIT(MAX_FILE_BYTES);
        struct vn_str file = vn_environment("AZURE_FEDERATED_TOKEN_FILE");
        struct app app = {.tenant = first(cloud->config.tenant, "AZURE_TENANT_ID"),
                          .client = first(cloud->config.client_id, "AZURE_CLIENT_ID")};
        if (!file.len)
                return vn_fail(err, VN_NOT_FOUND, "workload identity: no AZURE_FEDERATED_TOKEN_FILE");
        if (!app.tenant.len || !app.client.len)
                return vn_fail(err, VN_FAILED_PRECONDITION,
                               "workload identity: a token file without AZURE_TENANT_ID and AZURE_CLIENT_ID");
        enum vn_rc rc = vn_token_read(file, &token, &app.assertion, err);
        if (rc == VN_NOT_FOUND)
                rc = vn_fail(err, VN_FAILED_PRECONDITION, "there is no %.*s", VN_FMT(file));
        if (rc == VN_OK && (!app.assertion.len || !vn_is_visible(app.assertion)))
                rc = vn_fail(err, VN_DATA_LOSS, "%.*s holds no token", VN_FMT(file));
        if (rc == VN_OK)
                rc = ask_entra(cloud, scope, &app, ret, err);
        vn_wipe(&token);
        return rc == VN_OK ? VN_OK : vn_err_prefix(err, rc, "workload identity");
}

enum vn_rc vn_azure_fetch_token(struct vn_cloud *cloud, const char *scope, const struct vn_cloud_token **ret,
                                struct vn_err *err)
{
        static const place_fn places[] = {from_environment, from_workload, vn_azure_app_service_token,
                                          vn_azure_instance_token};
        const struct vn_cloud_config *c = &cloud->config;
        VN_AUTO(vn_buf)
        why = VN_BUF_INIT(2048);
        if (c->client_secret.len || c->client_certificate_file.len)
                return ask_entra(cloud, scope,
                                 &(struct app){c->tenant, c->client_id, c->client_secret, c->client_certificate_file,
                                               VN_STR("")},
                                 ret, err);
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
                struct vn_err here = {0};
                enum vn_rc rc = places[i](cloud, scope, ret, &here);
                if (rc != VN_NOT_FOUND) {
                        if (rc != VN_OK && err)
                                *err = here;
                        return rc;
                }
                vn_buf_printf(&why, "%s%s", i ? "; " : "", here.msg);
        }
        return vn_fail(err, VN_UNAUTHENTICATED, "no Azure identity: %.*s", VN_FMT(vn_buf_view(&why)));
}
