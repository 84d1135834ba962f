/* Blob Storage: PUT of a block blob with an Entra token. The storage account is the host's first label. */
#include "clouds/azure/azure.h"
#include "clouds/object.h"

#define STORAGE_SCOPE "https://storage.azure.com/.default"
#define STORAGE_VERSION "2023-11-03"

enum vn_rc vn_azure_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object,
                               struct vn_cloud_response *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        char host[300];
        struct vn_call call = {.method = "PUT",
                               .host = host,
                               .body = object->body,
                               .content_type = object->content_type,
                               .audience = STORAGE_SCOPE,
                               .function_host = true, /* its name tells the account: a stand-in must see it */
                               .once = true};

        snprintf(host, sizeof(host), "%.*s.blob.core.windows.net", VN_FMT(object->account));
        call.extra[call.extra_count++] = (struct vn_cloud_header){VN_STR("x-ms-blob-type"), VN_STR("BlockBlob")};
        call.extra[call.extra_count++] = (struct vn_cloud_header){VN_STR("x-ms-version"), VN_STR(STORAGE_VERSION)};
        vn_buf_char(&path, '/');
        vn_buf_str(&path, object->bucket);
        vn_buf_char(&path, '/');
        vn_buf_url_encode(&path, object->key, true);
        VN_TRY(vn_buf_check(&path, err));
        call.path = vn_buf_view(&path);
        return vn_cloud_send(cloud, &call, ret, err);
}
