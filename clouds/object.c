#include "clouds/object.h"

#include "clouds/call.h"

#define MAX_WAIT_S 3600

static bool is_bucket_name(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789.-_", s.ptr[i]) || !s.ptr[i])
                        return false;
        return s.len >= 3 && s.len <= 222;
}

enum vn_rc vn_cloud_put_object(struct vn_cloud *cloud, const struct vn_cloud_object *object, int64_t *ret_wait_us,
                               struct vn_err *err)
{
        VN_AUTO(vn_response)
        response;
        struct vn_str after;
        uint64_t seconds;

        *ret_wait_us = 0;
        if (!cloud->ops->put_object)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: no object store", cloud->ops->name);
        if (!is_bucket_name(object->bucket) || (object->account.len > 0 && !is_bucket_name(object->account)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "no name of a bucket");
        if (object->key.len == 0 || object->key.len > VN_CLOUD_MAX_KEY_BYTES ||
            object->body.len > VN_CLOUD_MAX_OBJECT_BYTES)
                return vn_fail(err, VN_OUT_OF_RANGE, "an object's key or body is over its limit");
        vn_cloud_response_init(&response);
        VN_TRY(cloud->ops->put_object(cloud, object, &response, err));
        if (response.status >= 200 && response.status < 300)
                return VN_OK;
        after = vn_cloud_response_header(&response, "retry-after");
        if (after.ptr && vn_str_to_u64(after, &seconds) == VN_OK)
                *ret_wait_us = (int64_t)(seconds < MAX_WAIT_S ? seconds : MAX_WAIT_S) * VN_US_PER_S;
        return vn_call_error(cloud, &response, err);
}
