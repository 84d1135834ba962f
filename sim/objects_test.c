#include "sim/objects.h"

#include "sim/sim_test.h"

static struct vn_str text_of(const struct vn_sim_object *o)
{
        return o ? vn_str_n(o->bytes, o->len) : VN_STR("none");
}

TEST(objects_are_replaced_and_listed_in_order_of_their_keys)
{
        struct test_sim t;
        test_sim_init(&t);
        static const char *const keys[] = {"b/2", "a", "b/1", "c", "b/10", "b0"};
        for (size_t i = 0; i < 6; i++) {
                CHECK(vn_sim_object_put(t.sim, 0, vn_str(keys[i]), VN_STR("old"), VN_STR("")));
                CHECK(vn_sim_object_put(t.sim, 1, vn_str(keys[i]), VN_STR("other's"), VN_STR("")));
        }
        CHECK(vn_sim_object_put(t.sim, 0, VN_STR("b/10"), VN_STR("new"), VN_STR("")));
        CHECK(vn_str_eq(VN_STR("new"), text_of(vn_sim_object_get(t.sim, 0, VN_STR("b/10")))));
        CHECK(vn_str_eq(VN_STR("other's"), text_of(vn_sim_object_get(t.sim, 1, VN_STR("b/10")))));
        CHECK(!vn_sim_object_get(t.sim, 0, VN_STR("b/")));
        static const char *const wanted[] = {"b/1", "b/10", "b/2"};
        struct vn_str after = VN_STR("");
        for (size_t i = 0; i < 3; i++) {
                const struct vn_sim_object *o = vn_sim_object_next(t.sim, 0, VN_STR("b/"), after);
                CHECK(o);
                CHECK_TEXT(wanted[i], o->key);
                after = vn_str(o->key);
        }
        CHECK(!vn_sim_object_next(t.sim, 0, VN_STR("b/"), after));
        CHECK(!vn_sim_object_next(t.sim, 2, VN_STR(""), VN_STR("")));
        test_sim_done(&t);
}

TEST(objects_have_a_bound_that_a_replacement_does_not_use_up)
{
        struct test_sim t;
        test_sim_init(&t);
        size_t big = VN_SIM_MAX_OBJECT_BYTES / 4;
        char *bytes = vn_alloc(big);
        CHECK(bytes);
        for (int i = 0; i < 3; i++)
                CHECK(vn_sim_object_put(t.sim, 0, VN_STR("same"), vn_str_n(bytes, big), VN_STR("")));
        static const char *const keys[] = {"a", "b", "c"};
        for (int i = 0; i < 3; i++)
                CHECK(vn_sim_object_put(t.sim, 0, vn_str(keys[i]), vn_str_n(bytes, big), VN_STR("")));
        CHECK(!vn_sim_object_put(t.sim, 0, VN_STR("d"), VN_STR("x"), VN_STR("")));
        CHECK(!vn_sim_object_put(t.sim, 0, vn_str_n("a\0b", 3), VN_STR(""), VN_STR("")));
        vn_free(bytes);
        test_sim_done(&t);
}

static void ask(struct vn_sim *sim,
                void (*cloud)(struct vn_sim *, const struct vn_sim_request *, struct vn_sim_response *),
                struct test_request *r, int status, const char *text)
{
        struct vn_sim_response response;
        vn_sim_response_init(&response);
        cloud(sim, &r->wire, &response);
        CHECK_INT(status, response.status);
        CHECK(!text || (response.body.ptr && strstr(response.body.ptr, text)));
        vn_sim_response_done(&response);
}

TEST(objects_are_for_nobody_without_a_signature_or_token)
{
        struct test_sim t;
        struct test_request r;
        test_sim_init(&t);
        test_request_init(&r, "PUT", "/vane-logs-aws-a/k", "", "x");
        test_request_header(&r, "host", "localhost:1");
        test_request_header(&r, "x-amz-date", "20270115T080000Z");
        test_request_header(&r, "x-amz-content-sha256", "UNSIGNED-PAYLOAD");
        char text[600];
        snprintf(text, sizeof text,
                 "AWS4-HMAC-SHA256 Credential=%s/20270115/%s/s3/aws4_request, SignedHeaders=host;x-amz-date, "
                 "Signature=%064d",
                 t.sim->accounts[0].key_id, t.sim->accounts[0].region, 0);
        test_request_header(&r, "authorization", text);
        ask(t.sim, vn_sim_aws, &r, 403, "<Code>SignatureDoesNotMatch</Code>");
        test_request_init(&r, "PUT", "/vane-logs/k", "", "x");
        test_request_header(&r, "host", "vaneazurea.blob.core.windows.net");
        test_request_header(&r, "x-ms-version", "2023-11-03");
        test_request_header(&r, "x-ms-blob-type", "BlockBlob");
        ask(t.sim, vn_sim_azure, &r, 401, NULL);
        test_request_init(&r, "POST", "/upload/storage/v1/b/vane-logs-gcp-a/o", "uploadType=media&name=k", "x");
        ask(t.sim, vn_sim_gcp, &r, 401, NULL);
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++)
                CHECK(!vn_sim_object_get(t.sim, i, VN_STR("k")));
        test_sim_done(&t);
}

TEST(objects_gcs_takes_multipart_bodies_apart_and_refuses_broken_ones)
{
        static const struct {
                const char *body;
                int status;
        } rows[] = {
                {"--B\r\nContent-Type: application/json\r\n\r\n{\"name\":\"n\"}\r\n--B\r\nContent-Type: "
                 "a/b\r\n\r\nDATA\r\n--B--",
                 200},
                {"--B\r\n\r\n{\"name\":\"n\"}\r\n--B\r\n\r\n\r\n--B--", 200},
                {"--B\r\n\r\n[]\r\n--B\r\n\r\nDATA\r\n--B--", 400},
                {"--B\r\n\r\n{\"name\":\"n\"}\r\n--B--", 400},
                {"--B\r\n\r\n--B", 400},
                {"--B", 400},
                {"", 400},
                {"--B\r\n\r\n{}\r\n--B\r\n\r\nDATA\r\n--B--", 400},
        };
        struct test_sim t;
        struct test_request r;
        test_sim_init(&t);
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
                struct vn_sim_response response;
                vn_sim_response_init(&response);
                test_request_init(&r, "POST", "/upload/storage/v1/b/vane-logs-gcp-a/o", "uploadType=multipart",
                                  rows[i].body);
                test_request_header(&r, "content-type", "multipart/related; boundary=\"B\"");
                vn_sim_gcs(t.sim, 4, &r.wire, &response);
                CHECK_INT(rows[i].status, response.status);
                vn_sim_response_done(&response);
                if (!i)
                        CHECK(vn_str_eq(VN_STR("DATA"), text_of(vn_sim_object_get(t.sim, 4, VN_STR("n")))));
        }
        /* CRC-32C of "123456789" is e3069283. */
        CHECK(vn_sim_object_put(t.sim, 4, VN_STR("digits"), VN_STR("123456789"), VN_STR("")));
        test_request_init(&r, "GET", "/storage/v1/b/vane-logs-gcp-a/o/digits", "", "");
        struct vn_sim_response response;
        vn_sim_response_init(&response);
        vn_sim_gcs(t.sim, 4, &r.wire, &response);
        CHECK(strstr(response.body.ptr, "\"crc32c\":\"4waSgw==\""));
        vn_sim_response_done(&response);
        test_sim_done(&t);
}
