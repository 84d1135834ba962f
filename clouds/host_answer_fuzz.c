/* Any bytes as the answers of the endpoints that give tokens: a call goes on with a token that can stand in a header, or an
 * error says why. First byte: whose endpoint. Then the answers, each with a status byte before it, split by NUL. */
#include <stdlib.h>

#include "clouds/identity.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define EXTERNAL                                                                                                     \
        "{\"type\":\"external_account\",\"audience\":\"a\",\"subject_token_type\":\"t\",\"token_url\":"              \
        "\"https://sts.googleapis.com/v1/token\",\"credential_source\":{\"url\":\"http://127.0.0.1/\",\"format\":"   \
        "{\"type\":\"json\",\"subject_token_field_name\":\"t\"}},\"service_account_impersonation_url\":"             \
        "\"https://iamcredentials.googleapis.com/v1/x:generateAccessToken\"}"

static enum vn_rc answer_next(void *state, const struct vn_cloud_request *request, struct vn_cloud_response *response,
                              struct vn_err *err)
{
        static const int statuses[] = {200, 200, 200, 400, 401, 403, 404, 429, 500};
        struct vn_str *rest = state, one;
        for (size_t i = 0; i < request->header_count; i++) {
                struct vn_str value = request->headers[i].value, bearer = VN_STR("Bearer ");
                if (vn_str_starts(value, bearer))
                        value = vn_str_n(value.ptr + bearer.len, value.len - bearer.len);
                VN_ASSERT(vn_is_visible(value));
        }
        one = rest->ptr ? vn_str_cut(rest, '\0') : VN_STR("");
        if (!one.len)
                return vn_fail(err, VN_UNAVAILABLE, "the connection broke");
        response->status = statuses[(uint8_t)one.ptr[0] % (sizeof statuses / sizeof *statuses)];
        vn_cloud_response_add_header(response, VN_STR("metadata-flavor"), VN_STR("Google"));
        vn_buf_add(&response->body, one.ptr + 1, one.len - 1);
        return vn_buf_check(&response->body, err);
}

static void sleep_not(void *state, int64_t us)
{
        (void)state, (void)us;
}

/* Nothing of the machine's own: only the endpoints are left. */
static void clean_environment(void)
{
        static const char *const names[] = {
                "AZURE_CLIENT_SECRET",        "AZURE_CLIENT_CERTIFICATE_PATH",     "AZURE_USERNAME",
                "AZURE_FEDERATED_TOKEN_FILE", "AZURE_POD_IDENTITY_AUTHORITY_HOST", "GOOGLE_APPLICATION_CREDENTIALS",
                "GCE_METADATA_HOST"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                unsetenv(names[i]);
        setenv("CLOUDSDK_CONFIG", "/nonexistent", 1);
        setenv("IDENTITY_ENDPOINT", "http://127.0.0.1/msi", 1);
        setenv("IDENTITY_HEADER", "h", 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct vn_clock_fake clock;
        const struct vn_cloud_config configs[] = {
                {.kind = VN_CLOUD_AZURE, .subscription = VN_STR("s")},
                {.kind = VN_CLOUD_GCP, .project = VN_STR("p")},
                {.kind = VN_CLOUD_GCP},
                {.kind = VN_CLOUD_GCP, .project = VN_STR("p"), .key_json = VN_STR(EXTERNAL)}};
        struct vn_str rest = size ? vn_str_n(data + 1, size - 1) : VN_STR("");
        const struct vn_cloud_transport transport = {answer_next, sleep_not, &rest};
        struct vn_cloud *cloud = NULL;
        struct vn_cloud_list list;
        if (!size)
                return 0;
        clean_environment();
        vn_clock_fake_init(&clock, INT64_C(1795521600000000));
        VN_ASSERT(vn_cloud_open(&configs[data[0] % 4], &clock.clock, &transport, &cloud, NULL) == VN_OK);
        if (vn_cloud_list(cloud, &list, NULL) == VN_OK)
                vn_cloud_list_done(&list);
        vn_cloud_free(cloud);
        return 0;
}
