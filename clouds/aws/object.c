/* S3: PUT of an object, addressed by path. Its signature takes the path as it is sent, encoded once. */
#include "clouds/aws/aws.h"
#include "clouds/object.h"

enum vn_rc vn_aws_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object,
                             struct vn_cloud_response *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        path = VN_BUF_INIT(4096);
        char host[128];
        struct vn_call call = {.method = "PUT",
                               .host = host,
                               .body = object->body,
                               .content_type = object->content_type,
                               .audience = VN_AWS_S3,
                               .once = true};

        vn_aws_host(cloud, "s3", host);
        vn_buf_char(&path, '/');
        vn_buf_str(&path, object->bucket);
        vn_buf_char(&path, '/');
        vn_buf_url_encode(&path, object->key, true);
        VN_TRY(vn_buf_check(&path, err));
        call.path = vn_buf_view(&path);
        return vn_cloud_send(cloud, &call, ret, err);
}
