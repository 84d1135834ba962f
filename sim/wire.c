/* wire.c - see wire.h. */
#include "sim/wire.h"

#include <stdio.h>

#include "base/clock.h"

struct vn_str vn_sim_header(const struct vn_sim_request *request, const char *name)
{
        return request->header ? request->header(request->header_context, name) : VN_STR("");
}

void vn_sim_response_init(struct vn_sim_response *response)
{
        memset(response, 0, sizeof *response);
        response->status = 500;
        response->body = VN_BUF_INIT(VN_MAX_SIM_BODY_BYTES);
}

void vn_sim_response_done(struct vn_sim_response *response)
{
        for (size_t i = 0; i < response->header_count; i++)
                vn_free(response->headers[i].value);
        response->header_count = 0;
        vn_buf_done(&response->body);
}

void vn_sim_set_header(struct vn_sim_response *response, const char *name, const char *value)
{
        if (response->header_count == VN_MAX_SIM_HEADERS)
                return;
        char *copy = vn_strdup(value);
        if (!copy)
                return;
        response->headers[response->header_count].name = name;
        response->headers[response->header_count++].value = copy;
}

void vn_sim_text(struct vn_sim_response *response, int status, const char *content_type, const char *text)
{
        response->status = status;
        if (!vn_str_copy(response->content_type, sizeof response->content_type, vn_str(content_type)))
                response->content_type[0] = 0;
        vn_buf_reset(&response->body);
        vn_buf_text(&response->body, text);
}

void vn_sim_json(struct vn_sim_response *response, int status, json_t *body)
{
        char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;
        vn_sim_text(response, text ? status : 500, "application/json", text ? text : "{}");
        free(text);
        json_decref(body);
}

bool vn_sim_param(struct vn_str query, const char *name, struct vn_buf *ret)
{
        struct vn_str rest = query;
        vn_buf_reset(ret);
        while (rest.ptr && rest.len) {
                struct vn_str value = vn_str_cut(&rest, '&'), key = vn_str_cut(&value, '=');
                VN_AUTO(vn_buf)
                plain = VN_BUF_INIT(256);
                if (vn_url_decode(key, &plain) != VN_OK || !vn_str_eq(vn_buf_view(&plain), vn_str(name)))
                        continue;
                VN_AUTO(vn_buf)
                spaced = VN_BUF_INIT(1 << 16);
                for (size_t i = 0; value.ptr && i < value.len; i++)
                        vn_buf_char(&spaced, value.ptr[i] == '+' ? ' ' : value.ptr[i]);
                return vn_url_decode(vn_buf_view(&spaced), ret) == VN_OK && !ret->failed;
        }
        return false;
}

enum vn_rc vn_sim_param_u64(struct vn_str query, const char *name, uint64_t absent, uint64_t max, uint64_t *ret)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(64);
        *ret = absent;
        if (!vn_sim_param(query, name, &text) || !text.len)
                return VN_OK;
        VN_TRY(vn_str_to_u64(vn_buf_view(&text), ret));
        return *ret <= max ? VN_OK : VN_INVALID_ARGUMENT;
}

enum vn_rc vn_sim_body(const struct vn_sim_request *request, json_t **ret, struct vn_err *err)
{
        static const struct vn_json_limits limits = {.max_bytes = 4u << 20, .max_depth = 24, .max_values = 100000};
        if (!request->body.len) {
                *ret = json_object();
                return *ret ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory");
        }
        VN_TRY(vn_json_parse(request->body, &limits, ret, err));
        if (json_is_object(*ret))
                return VN_OK;
        json_decref(*ret);
        *ret = NULL;
        return vn_fail(err, VN_INVALID_ARGUMENT, "the body is not an object");
}

size_t vn_sim_path_parts(struct vn_str path, struct vn_str *ret, size_t max)
{
        size_t count = 0;
        if (path.len && path.ptr[0] == '/')
                path = vn_str_n(path.ptr + 1, path.len - 1);
        while (path.ptr) {
                struct vn_str part = vn_str_cut(&path, '/');
                if (!path.ptr && !part.len)
                        break; /* a trailing slash */
                if (count < max)
                        ret[count] = part;
                count++;
        }
        return count;
}

void vn_sim_own_address(const struct vn_sim_request *request, struct vn_buf *ret)
{
        vn_buf_text(ret, "https://");
        vn_buf_str(ret, vn_sim_header(request, "host"));
}

void vn_sim_uuid(uint64_t hash, char ret[40])
{
        uint64_t other = hash * UINT64_C(0x9e3779b97f4a7c15) ^ (hash >> 29);
        snprintf(ret, 40, "%08x-%04x-4%03x-a%03x-%012llx", (unsigned)(hash >> 32), (unsigned)(hash >> 16) & 0xffff,
                 (unsigned)hash & 0xfff, (unsigned)(other >> 48) & 0xfff,
                 (unsigned long long)(other & 0xffffffffffff));
}

json_t *vn_sim_time(int64_t time_us)
{
        char text[VN_TIME_TEXT_BYTES];
        vn_time_format(time_us, text);
        return json_string(text);
}
