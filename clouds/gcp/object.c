/* Cloud Storage: an upload of the JSON API in one request. */
#include "clouds/gcp/gcp.h"
#include "clouds/object.h"

enum vn_rc vn_gcp_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object,
                             struct vn_cloud_response *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(1024);
        VN_AUTO(vn_buf)
        query = VN_BUF_INIT(4096);
        struct vn_call call = {.method = "POST",
                               .host = "storage.googleapis.com",
                               .body = object->body,
                               .content_type = object->content_type,
                               .once = true};

        vn_buf_text(&path, "/upload/storage/v1/b/");
        vn_buf_url_encode(&path, object->bucket, false);
        vn_buf_text(&path, "/o");
        vn_buf_text(&query, "uploadType=media&name=");
        vn_buf_url_encode(&query, object->key, false);
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_buf_check(&query, err));
        call.path = vn_buf_view(&path);
        call.query = vn_buf_view(&query);
        return vn_cloud_send(cloud, &call, ret, err);
}
