/* Azure: an invoke grant is the functions' own keys. A function's key opens that function; the host's would open the whole
 * app, so it is not given away. */
#include "clouds/grant.h"

#include "clouds/azure/azure.h"

/* site.function where a site has several; else the function's name is in its address: .../api/NAME. */
static struct vn_str function_of(const struct vn_cloud_function *f)
{
        struct vn_str last = vn_str(f->url);

        for (struct vn_str rest = last; rest.ptr;)
                last = vn_str_cut(&rest, '/');
        return last;
}

static enum vn_rc add_function(struct vn_cloud *cloud, const struct vn_cloud_function *f, struct vn_buf *ret,
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
        vn_buf_text(&path, f->resource);
        vn_buf_text(&path, "/functions/");
        vn_buf_url_encode(&path, function_of(f), false);
        vn_buf_text(&path, "/listkeys");
        VN_TRY(vn_buf_check(&path, err));
        VN_TRY(vn_azure_arm(cloud, "POST", vn_buf_view(&path), VN_AZURE_API, NULL, &response, &answer, err));
        key = vn_json_str(answer, "default");
        if (!key.len)
                return vn_fail(err, VN_NOT_FOUND, "azure: %s has no key of its own", f->name);
        vn_grant_line(ret, "function", vn_str(f->name));
        vn_grant_line(ret, "region", vn_str(f->region));
        vn_grant_line(ret, "url", vn_str(f->url));
        vn_grant_line(ret, "header", VN_STR("x-functions-key"));
        vn_grant_line(ret, "value", key);
        if (response.body.ptr)
                explicit_bzero(response.body.ptr, response.body.cap);
        return vn_buf_check(ret, err);
}

enum vn_rc vn_azure_grant(struct vn_cloud *cloud, const struct vn_cloud_function *const *functions, size_t count,
                          uint32_t seconds, struct vn_cloud_grant *ret, struct vn_err *err)
{
        vn_buf_reserve(&ret->secret, 16384); /* a buffer that grows leaves copies behind */
        vn_grant_line(&ret->secret, "cloud", VN_STR("azure"));
        for (size_t i = 0; i < count; i++)
                VN_TRY(add_function(cloud, functions[i], &ret->secret, err));
        ret->expires_us = vn_now_us(cloud->clock) + seconds * VN_US_PER_S;
        snprintf(ret->honoured, sizeof(ret->honoured), "the rotation of the functions' keys");
        return VN_OK;
}
