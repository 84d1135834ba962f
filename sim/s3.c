/* s3.c - S3, addressed by path: PutObject, GetObject, HeadObject, ListObjectsV2, HeadBucket. */
#include <stdio.h>

#include "sim/aws.h"
#include "sim/objects.h"

#define PAGE 1000

static void refuse(struct vn_sim_response *response, int status, const char *code, const char *message)
{
        vn_sim_aws_error(response, VN_AWS_S3, status, code, "%s", message);
}

static void set_object_headers(const struct vn_sim_object *o, struct vn_sim_response *response)
{
        char quoted[40], date[40];
        snprintf(quoted, sizeof quoted, "\"%s\"", o->etag);
        vn_sim_http_date(o->modified_us, date);
        vn_sim_set_header(response, "etag", quoted);
        vn_sim_set_header(response, "last-modified", date);
}

static void list(const struct vn_sim *sim, uint32_t account, const char *bucket, struct vn_str query,
                 struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        prefix = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        after = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        items = VN_BUF_INIT(VN_MAX_SIM_BODY_BYTES);
        uint64_t most, count = 0;
        const struct vn_sim_object *o;
        vn_sim_param(query, "prefix", &prefix);
        if (!vn_sim_param(query, "continuation-token", &after))
                vn_sim_param(query, "start-after", &after);
        if (vn_sim_param_u64(query, "max-keys", PAGE, UINT32_MAX, &most) != VN_OK) {
                refuse(response, 400, "InvalidArgument", "Provided max-keys not an integer or within integer range");
                return;
        }
        most = most < PAGE ? most : PAGE;
        while ((o = vn_sim_object_next(sim, account, vn_buf_view(&prefix), vn_buf_view(&after))) && count < most) {
                char time[VN_TIME_TEXT_BYTES];
                vn_time_format(o->modified_us, time);
                vn_buf_text(&items, "<Contents><Key>");
                vn_sim_xml_text(&items, vn_str(o->key));
                vn_buf_printf(&items,
                              "</Key><LastModified>%s</LastModified><ETag>&quot;%s&quot;</ETag><Size>%zu</Size>"
                              "<StorageClass>STANDARD</StorageClass></Contents>",
                              time, o->etag, o->len);
                vn_buf_reset(&after);
                vn_buf_text(&after, o->key);
                count++;
        }
        vn_sim_text(response, 200, "application/xml",
                    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Name>");
        vn_buf_printf(&response->body, "%s</Name><Prefix>", bucket);
        vn_sim_xml_text(&response->body, vn_buf_view(&prefix));
        vn_buf_printf(&response->body, "</Prefix><KeyCount>%llu</KeyCount><MaxKeys>%llu</MaxKeys><IsTruncated>%s",
                      (unsigned long long)count, (unsigned long long)most, o ? "true" : "false");
        vn_buf_text(&response->body, "</IsTruncated>");
        if (o) {
                vn_buf_text(&response->body, "<NextContinuationToken>");
                vn_sim_xml_text(&response->body, vn_buf_view(&after));
                vn_buf_text(&response->body, "</NextContinuationToken>");
        }
        vn_buf_str(&response->body, vn_buf_view(&items));
        vn_buf_text(&response->body, "</ListBucketResult>");
}

static void put(struct vn_sim *sim, uint32_t account, struct vn_str key, const struct vn_sim_request *request,
                struct vn_sim_response *response)
{
        const struct vn_sim_object *o =
                vn_sim_object_put(sim, account, key, request->body, vn_sim_header(request, "content-type"));
        if (!o) {
                refuse(response, 503, "SlowDown", "Please reduce your request rate.");
                return;
        }
        vn_sim_text(response, 200, "application/xml", "");
        set_object_headers(o, response);
}

void vn_sim_s3(struct vn_sim *sim, uint32_t account, const struct vn_sim_request *request,
               struct vn_sim_response *response)
{
        struct vn_str key = request->path, own;
        char bucket[64];
        bool get = vn_str_eq(request->verb, VN_STR("GET")), head = vn_str_eq(request->verb, VN_STR("HEAD"));
        vn_str_cut(&key, '/');
        own = key.ptr ? vn_str_cut(&key, '/') : VN_STR("");
        vn_sim_bucket_name(sim, account, bucket);
        if (!vn_str_eq(own, vn_str(bucket))) {
                refuse(response, 404, "NoSuchBucket", "The specified bucket does not exist");
        } else if (!key.len && head) {
                vn_sim_text(response, 200, "application/xml", "");
        } else if (!key.len && get) {
                list(sim, account, bucket, request->query, response);
        } else if (key.len && vn_str_eq(request->verb, VN_STR("PUT"))) {
                put(sim, account, key, request, response);
        } else if (key.len && (get || head)) {
                const struct vn_sim_object *o = vn_sim_object_get(sim, account, key);
                if (!o) {
                        refuse(response, 404, "NoSuchKey", "The specified key does not exist.");
                        return;
                }
                vn_sim_text(response, 200, o->content_type, "");
                vn_buf_add(&response->body, o->bytes, o->len);
                set_object_headers(o, response);
        } else {
                refuse(response, 405, "MethodNotAllowed",
                       "The specified method is not allowed against this resource.");
        }
}
