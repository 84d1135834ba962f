/* sim/aws_test.h - signed calls to the AWS part, for its tests. */
#ifndef VANE_SIM_AWS_TEST_H
#define VANE_SIM_AWS_TEST_H

#include "base/hash.h"
#include "sim/sim_test.h"

struct aws_call {
        struct test_request request;
        struct vn_sim_response response;
};

static inline void aws_sign_with(const struct vn_sigv4_key *a, struct test_request *r, const char *service,
                                 int64_t at_us)
{
        VN_AUTO(vn_buf)
        canonical = VN_BUF_INIT(1 << 16);
        uint8_t hash[32], key[32], next[32];
        char date[32], amz[32], hex[65], text[512], first[100];
        vn_time_format(at_us, date);
        snprintf(amz, sizeof amz, "%.4s%.2s%.2sT%.2s%.2s%.2sZ", date, date + 5, date + 8, date + 11, date + 14,
                 date + 17);
        test_request_header(r, "host", "localhost:1");
        test_request_header(r, "x-amz-date", amz);
        vn_sha256(r->wire.body.ptr, r->wire.body.len, hash);
        vn_hex(hash, 32, hex);
        CHECK(vn_sigv4_canonical(&r->wire, VN_STR("host;x-amz-date"), vn_str(hex), false, &canonical));
        vn_sha256(canonical.ptr, canonical.len, hash);
        vn_hex(hash, 32, hex);
        snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%.8s/%s/%s/aws4_request\n%s", amz, amz, a->region, service,
                 hex);
        snprintf(first, sizeof first, "AWS4%s", a->secret);
        vn_hmac_sha256(vn_str(first), vn_str_n(amz, 8), key);
        vn_hmac_sha256(vn_str_n(key, 32), vn_str(a->region), next);
        vn_hmac_sha256(vn_str_n(next, 32), vn_str(service), key);
        vn_hmac_sha256(vn_str_n(key, 32), VN_STR("aws4_request"), next);
        vn_hmac_sha256(vn_str_n(next, 32), vn_str(text), key);
        vn_hex(key, 32, hex);
        snprintf(
                text, sizeof text,
                "AWS4-HMAC-SHA256 Credential=%s/%.8s/%s/%s/aws4_request, SignedHeaders=host;x-amz-date, Signature=%s",
                a->key_id, amz, a->region, service, hex);
        test_request_header(r, "authorization", text);
}

/* With the account's own key. */
static inline void aws_sign(const struct test_sim *t, uint32_t account, struct test_request *r, const char *service,
                            int64_t at_us)
{
        const struct vn_sim_account *a = &t->sim->accounts[account];
        const struct vn_sigv4_key key = {a->key_id, a->secret, a->region};
        aws_sign_with(&key, r, service, at_us);
}

static inline void aws_call(struct test_sim *t, struct aws_call *c, const char *service, const char *verb,
                            const char *path, const char *query, const char *body, const char *header,
                            const char *value)
{
        test_request_init(&c->request, verb, path, query, body);
        if (header)
                test_request_header(&c->request, header, value);
        if (service[0])
                aws_sign(t, 0, &c->request, service, t->clock.time_us);
        vn_sim_response_init(&c->response);
        vn_sim_aws(t->sim, &c->request.wire, &c->response);
}

static inline void aws_end(struct aws_call *c)
{
        vn_sim_response_done(&c->response);
}

#define FUNCTIONS "/2015-03-31/functions"

#endif
