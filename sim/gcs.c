/* gcs.c - Cloud Storage's JSON API: upload (media and multipart), download, metadata, list. */
#include <stdio.h>

#include "sim/gcp.h"
#include "sim/objects.h"

#define PAGE 1000
#define OBJECTS "/storage/v1/b/"
#define UPLOADS "/upload/storage/v1/b/"

bool vn_sim_gcs_path(struct vn_str path)
{
        return vn_str_starts(path, VN_STR(OBJECTS)) || vn_str_starts(path, VN_STR(UPLOADS));
}

/* Castagnoli's polynomial, a bit at a time: what the clients hold a download against. */
static void crc32c_of(const struct vn_sim_object *o, struct vn_buf *ret)
{
        uint32_t crc = UINT32_MAX;
        for (size_t i = 0; i < o->len; i++) {
                crc ^= (uint8_t)o->bytes[i];
                for (int bit = 0; bit < 8; bit++)
                        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
        }
        crc = ~crc;
        const uint8_t big[4] = {(uint8_t)(crc >> 24), (uint8_t)(crc >> 16), (uint8_t)(crc >> 8), (uint8_t)crc};
        vn_buf_base64(ret, big, sizeof big);
}

static json_t *resource(const struct vn_sim *sim, const struct vn_sim_object *o)
{
        VN_AUTO(vn_buf)
        crc = VN_BUF_INIT(16);
        char bucket[64], generation[24], size[24], id[VN_TIME_TEXT_BYTES];
        vn_sim_bucket_name(sim, o->account, bucket);
        crc32c_of(o, &crc);
        snprintf(generation, sizeof generation, "%llu", (unsigned long long)o->generation);
        snprintf(size, sizeof size, "%zu", o->len);
        vn_time_format(o->modified_us, id);
        return json_pack("{s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s, s:s}", "kind", "storage#object", "name",
                         o->key, "bucket", bucket, "generation", generation, "metageneration", "1", "contentType",
                         o->content_type, "size", size, "crc32c", crc.ptr ? crc.ptr : "", "etag", o->etag,
                         "timeCreated", id, "updated", id);
}

static bool part_of(struct vn_str *rest, struct vn_str boundary, struct vn_str *ret_head, struct vn_str *ret_body)
{
        const char *at = memmem(rest->ptr, rest->len, boundary.ptr, boundary.len);
        if (!at)
                return false;
        const char *from = at + boundary.len, *end = rest->ptr + rest->len;
        const char *body = memmem(from, (size_t)(end - from), "\r\n\r\n", 4);
        const char *next = body ? memmem(body, (size_t)(end - body), boundary.ptr, boundary.len) : NULL;
        if (!next || next - body < 6)
                return false;
        *ret_head = vn_str_n(from, (size_t)(body - from));
        *ret_body = vn_str_n(body + 4, (size_t)(next - body) - 6); /* without the line's end before the boundary */
        *rest = vn_str_n(next, (size_t)(end - next));
        return true;
}

/* multipart/related: metadata as JSON, then the bytes. */
static bool split_multipart(const struct vn_sim_request *request, struct vn_buf *scratch, json_t **ret_metadata,
                            struct vn_str *ret_body)
{
        static const struct vn_json_limits limits = {65536, 8, 500};
        struct vn_str type = vn_sim_header(request, "content-type"), rest = request->body, head, metadata;
        const char *at = type.len ? memmem(type.ptr, type.len, "boundary=", 9) : NULL;
        if (!at)
                return false;
        struct vn_str boundary = vn_str_n(at + 9, (size_t)(type.ptr + type.len - at) - 9);
        boundary = vn_str_cut(&boundary, ';');
        if (boundary.len > 1 && boundary.ptr[0] == '"')
                boundary = vn_str_n(boundary.ptr + 1, boundary.len - 2);
        vn_buf_text(scratch, "--");
        vn_buf_str(scratch, boundary);
        return part_of(&rest, vn_buf_view(scratch), &head, &metadata) &&
               part_of(&rest, vn_buf_view(scratch), &head, ret_body) &&
               vn_json_parse(metadata, &limits, ret_metadata, NULL) == VN_OK && json_is_object(*ret_metadata);
}

static void upload(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                   struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        kind = VN_BUF_INIT(64);
        VN_AUTO(vn_buf)
        name = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        boundary = VN_BUF_INIT(256);
        VN_AUTO(vn_json)
        metadata = NULL;
        struct vn_str body = request->body, type = vn_sim_header(request, "content-type"), text;
        vn_sim_param(request->query, "uploadType", &kind);
        vn_sim_param(request->query, "name", &name);
        if (vn_str_eq(vn_buf_view(&kind), VN_STR("multipart"))) {
                if (!split_multipart(request, &boundary, &metadata, &body)) {
                        vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Malformed multipart body.");
                        return;
                }
                if (!name.len && vn_json_text(metadata, "name", &text, NULL) == VN_OK)
                        vn_buf_str(&name, text);
                if (vn_json_text(metadata, "contentType", &type, NULL) != VN_OK)
                        type = VN_STR("");
        } else if (!vn_str_eq(vn_buf_view(&kind), VN_STR("media"))) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "This uploadType is not served here.");
                return;
        }
        if (!name.len) {
                vn_sim_gcp_error(response, 400, "INVALID_ARGUMENT", "Required: name");
                return;
        }
        const struct vn_sim_object *o = vn_sim_object_put(sim, account, vn_buf_view(&name), body, type);
        if (!o)
                vn_sim_gcp_error(response, 503, "UNAVAILABLE", "Backend Error");
        else
                vn_sim_json(response, 200, resource(sim, o));
}

static void list(const struct vn_sim *sim, uint32_t account, struct vn_str query, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        prefix = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        after = VN_BUF_INIT(2048);
        uint64_t most, count = 0;
        const struct vn_sim_object *o;
        json_t *items = json_array();
        vn_sim_param(query, "prefix", &prefix);
        vn_sim_param(query, "pageToken", &after);
        if (vn_sim_param_u64(query, "maxResults", PAGE, UINT32_MAX, &most) != VN_OK || !most)
                most = PAGE;
        most = most < PAGE ? most : PAGE;
        while ((o = vn_sim_object_next(sim, account, vn_buf_view(&prefix), vn_buf_view(&after))) && count++ < most) {
                json_array_append_new(items, resource(sim, o));
                vn_buf_reset(&after);
                vn_buf_text(&after, o->key);
        }
        json_t *page = json_pack("{s:s, s:o}", "kind", "storage#objects", "items", items);
        if (page && o)
                json_object_set_new(page, "nextPageToken", json_string(after.ptr));
        vn_sim_json(response, 200, page);
}

static void download(const struct vn_sim *sim, const struct vn_sim_object *o, struct vn_str query,
                     struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        alt = VN_BUF_INIT(32);
        VN_AUTO(vn_buf)
        hash = VN_BUF_INIT(64);
        vn_sim_param(query, "alt", &alt);
        if (!vn_str_eq(vn_buf_view(&alt), VN_STR("media"))) {
                vn_sim_json(response, 200, resource(sim, o));
                return;
        }
        vn_buf_text(&hash, "crc32c=");
        crc32c_of(o, &hash);
        vn_sim_text(response, 200, o->content_type, "");
        vn_buf_add(&response->body, o->bytes, o->len);
        vn_sim_set_header(response, "x-goog-hash", hash.ptr ? hash.ptr : "");
}

void vn_sim_gcs(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
                struct vn_sim_response *response)
{
        bool up = vn_str_starts(request->path, VN_STR(UPLOADS)), get = vn_str_eq(request->verb, VN_STR("GET"));
        size_t skip = up ? sizeof UPLOADS - 1 : sizeof OBJECTS - 1;
        struct vn_str rest = vn_str_n(request->path.ptr + skip, request->path.len - skip);
        struct vn_str own = vn_str_cut(&rest, '/'), collection = rest.ptr ? vn_str_cut(&rest, '/') : VN_STR("");
        char bucket[64];
        vn_sim_bucket_name(sim, account, bucket);
        bool objects = vn_str_eq(collection, VN_STR("o"));
        if (!vn_str_eq(own, vn_str(bucket))) {
                vn_sim_gcp_error(response, 404, "NOT_FOUND", "The specified bucket does not exist.");
        } else if (up && objects && vn_str_eq(request->verb, VN_STR("POST"))) {
                upload(sim, account, request, response);
        } else if (!up && get && !collection.len) {
                vn_sim_json(response, 200, json_pack("{s:s, s:s}", "kind", "storage#bucket", "name", bucket));
        } else if (!up && get && objects && !rest.len) {
                list(sim, account, request->query, response);
        } else if (!up && get && objects) {
                const struct vn_sim_object *o = vn_sim_object_get(sim, account, rest);
                if (o)
                        download(sim, o, request->query, response);
                else
                        vn_sim_gcp_error(response, 404, "NOT_FOUND", "No such object.");
        } else {
                vn_sim_gcp_error(response, 405, "UNIMPLEMENTED", "This method is not served here.");
        }
}
