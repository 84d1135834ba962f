/* Any bytes as a cloud's answers, on every read and change of every cloud: an error or a result within its bounds.
 * First byte: which cloud and what is asked. Then the answers' bodies, each with a status byte before it, split by NUL;
 * the last one is given again and again. */
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>

#include "clouds/call.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_CALLS 40
#define NOON INT64_C(1795521600000000) /* 2026-11-24T12:00:00Z */

struct script {
        struct vn_str rest, last;
        unsigned calls;
};

static enum vn_rc send_scripted(void *state, const struct vn_cloud_request *request,
                                struct vn_cloud_response *response, struct vn_err *err)
{
        static const int statuses[] = {200, 201, 202, 204, 304, 400, 401, 403, 404, 409, 412, 429, 500, 503};
        struct script *script = state;
        (void)request;
        if (script->rest.ptr && script->rest.len)
                script->last = vn_str_cut(&script->rest, '\0');
        if (++script->calls > MAX_CALLS || !script->last.len)
                return vn_fail(err, VN_UNAVAILABLE, "the connection broke");
        response->status = statuses[(uint8_t)script->last.ptr[0] % (sizeof statuses / sizeof *statuses)];
        vn_cloud_response_add_header(response, VN_STR("etag"), VN_STR("\"1\""));
        vn_cloud_response_add_header(response, VN_STR("location"), VN_STR("https://eastus.example/op"));
        vn_buf_add(&response->body, script->last.ptr + 1, script->last.len - 1);
        return vn_buf_check(&response->body, err);
}

static void sleep_not(void *state, int64_t us)
{
        (void)state, (void)us;
}

static enum vn_rc one_call(void *arg, const struct vn_cloud_invocation *invocation)
{
        (void)arg;
        VN_ASSERT(invocation->duration_us >= 0 && invocation->duration_us <= 24 * VN_US_PER_HOUR);
        return VN_OK;
}

static enum vn_rc one_line(void *arg, const struct vn_cloud_line *line)
{
        (void)arg;
        VN_ASSERT(line->text.len > 0);
        return VN_OK;
}

/* A service account's key file with a key made for this process. */
static const char *gcp_key(void)
{
        static char text[8192];
        char *pem;
        if (text[0])
                return text;
        EVP_PKEY *key = EVP_RSA_gen(1024);
        BIO *bio = BIO_new(BIO_s_mem());
        VN_ASSERT(key && bio && PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL));
        long len = BIO_get_mem_data(bio, &pem);
        json_t *file = json_pack("{s:s, s:s, s:s, s:s%, s:s}", "type", "service_account", "project_id", "p",
                                 "client_email", "sa@p.iam.gserviceaccount.com", "private_key", pem, (size_t)len,
                                 "token_uri", "https://oauth2.googleapis.com/token");
        VN_ASSERT(file && json_dumpb(file, text, sizeof text - 1, 0) < sizeof text);
        json_decref(file);
        BIO_free(bio);
        EVP_PKEY_free(key);
        return text;
}

static void ask(struct vn_cloud *cloud, unsigned what)
{
        const struct vn_cloud_function f = {.name = "f", .resource = "/s/a"};
        struct vn_cloud_list list;
        struct vn_cloud_price_list prices;
        struct vn_cloud_minute minutes[4];
        size_t count;
        struct vn_cloud_function got, after;
        struct vn_cloud_split split;
        struct vn_cloud_health health;
        struct vn_cloud_result result;
        switch (what) {
        case 0:
                if (vn_cloud_list(cloud, &list, NULL) == VN_OK)
                        vn_cloud_list_done(&list);
                break;
        case 1: VN_IGNORE(vn_cloud_logs(cloud, &f, NOON, NOON + VN_US_PER_HOUR, one_call, NULL, NULL)); break;
        case 2:
                if (vn_cloud_metrics(cloud, &f, NOON, NOON + VN_US_PER_HOUR, minutes, 4, &count, NULL) == VN_OK)
                        VN_ASSERT(count <= 4);
                break;
        case 3:
                if (vn_cloud_prices(cloud, &prices, NULL) == VN_OK)
                        vn_cloud_price_list_done(&prices);
                break;
        case 4:
                if (vn_cloud_read(cloud, &f, &got, NULL) == VN_OK)
                        for (int setting = VN_SETTING_MEMORY_MB; setting <= VN_SETTING_WARM_INSTANCES; setting++)
                                VN_IGNORE(vn_cloud_change(cloud, &got, (enum vn_cloud_setting)setting, 512,
                                                          VN_US_PER_S, &after, NULL));
                break;
        case 5:
                if (vn_cloud_invoke(cloud, &f, VN_STR("{}"), &result, NULL) == VN_OK)
                        vn_cloud_result_done(&result);
                if (vn_cloud_invoke_async(cloud, &f, VN_STR("{}"), &result, NULL) == VN_OK)
                        vn_cloud_result_done(&result);
                break;
        case 6:
                if (vn_cloud_read_split(cloud, &f, VN_STR(""), &split, NULL) == VN_OK)
                        VN_IGNORE(vn_cloud_set_split(cloud, &f, &split, VN_US_PER_S, &split, NULL));
                break;
        case 7: VN_IGNORE(vn_cloud_health(cloud, &health, NULL)); break;
        case 8: VN_IGNORE(vn_cloud_lines(cloud, &f, NOON, NOON + VN_US_PER_HOUR, one_line, NULL, NULL)); break;
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < 2)
                return 0;
        static struct vn_clock_fake clock;
        struct script script = {.rest = vn_str_n(data + 1, size - 1)};
        const struct vn_cloud_transport transport = {send_scripted, sleep_not, &script};
        const struct vn_cloud_config configs[] = {
                {.kind = VN_CLOUD_AWS,
                 .region = VN_STR("us-east-1"),
                 .access_key_id = VN_STR("AKIDEXAMPLE"),
                 .secret_access_key = VN_STR("secret")},
                {.kind = VN_CLOUD_AZURE,
                 .region = VN_STR("eastus"),
                 .tenant = VN_STR("t"),
                 .client_id = VN_STR("c"),
                 .client_secret = VN_STR("s"),
                 .subscription = VN_STR("sub"),
                 .workspace = VN_STR("ws")},
                {.kind = VN_CLOUD_GCP, .region = VN_STR("us-central1"), .key_json = vn_str(gcp_key())},
        };
        struct vn_cloud *cloud = NULL;
        vn_clock_fake_init(&clock, NOON);
        if (vn_cloud_open(&configs[data[0] % 3], &clock.clock, &transport, &cloud, NULL) != VN_OK)
                return 0;
        ask(cloud, data[0] / 3 % 9);
        vn_cloud_free(cloud);
        return 0;
}
