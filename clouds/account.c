#include "clouds/account.h"

#include "clouds/call.h"

#define MAX_FILE_BYTES (64u << 10)

struct vn_cloud_account {
        json_t *description;
        struct vn_buf key;
        struct vn_cloud_http *http;
        struct vn_cloud *cloud;
};

static enum vn_rc open_parts(struct vn_cloud_account *account, const struct vn_clock *clock, struct vn_err *err)
{
        struct vn_cloud_config config;
        const char *key_file = json_string_value(json_object_get(account->description, "key_file"));
        const char *ca_file = json_string_value(json_object_get(account->description, "ca_file"));

        VN_TRY(vn_cloud_config_from_json(account->description, &config, err));
        if (config.kind == VN_CLOUD_GCP && config.key_json.len == 0 && key_file) {
                VN_TRY(vn_file_read(key_file, &account->key, err));
                config.key_json = vn_buf_view(&account->key);
        }
        VN_TRY(vn_cloud_http_new(ca_file, &account->http, err));
        return vn_cloud_open(&config, clock, vn_cloud_http_transport(account->http), &account->cloud, err);
}

enum vn_rc vn_cloud_account_open(const struct json_t *description, const struct vn_clock *clock,
                                 struct vn_cloud_account **ret, struct vn_err *err)
{
        struct vn_cloud_account *account = vn_alloc(sizeof(*account));
        enum vn_rc rc;

        if (!account)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an account");
        account->key = VN_BUF_INIT(MAX_FILE_BYTES);
        account->description = json_deep_copy(description);
        rc = json_is_object(account->description) ? open_parts(account, clock, err)
                                                  : vn_fail(err, VN_INVALID_ARGUMENT, "account: not a JSON object");
        if (rc != VN_OK) {
                vn_cloud_account_free(account);
                return rc;
        }
        *ret = account;
        return VN_OK;
}

enum vn_rc vn_cloud_account_open_file(const char *path, const struct vn_clock *clock, struct vn_cloud_account **ret,
                                      struct vn_err *err)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(MAX_FILE_BYTES);
        VN_AUTO(vn_json)
        description = NULL;
        enum vn_rc rc;

        VN_TRY(vn_file_read(path, &text, err));
        rc = vn_json_load(vn_buf_view(&text), &description, err);
        explicit_bzero(text.ptr, text.len);
        if (rc != VN_OK)
                return vn_err_prefix(err, VN_INVALID_ARGUMENT, "%s", path);
        return vn_cloud_account_open(description, clock, ret, err);
}

struct vn_cloud_account *vn_cloud_account_free(struct vn_cloud_account *account)
{
        if (!account)
                return NULL;
        vn_cloud_free(account->cloud);
        vn_cloud_http_free(account->http);
        if (account->key.ptr)
                explicit_bzero(account->key.ptr, account->key.len);
        vn_buf_done(&account->key);
        json_decref(account->description);
        vn_free(account);
        return NULL;
}

struct vn_cloud *vn_cloud_account_cloud(struct vn_cloud_account *account)
{
        return account->cloud;
}

const char *vn_cloud_account_name(const struct vn_cloud_account *account)
{
        const char *name = json_string_value(json_object_get(account->description, "name"));

        return name ? name : "";
}
