/* Where Azure's tokens come from, in which order, when they are fetched anew, and what is refused. */
#include "clouds/azure/credentials.h"

#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "clouds/azure/azure.h"
#include "clouds/wire_test.h"

/* None of the machine's own settings. */
static void clean_environment(void)
{
        static const char *const names[] = {"AZURE_TENANT_ID",
                                            "AZURE_CLIENT_ID",
                                            "AZURE_CLIENT_SECRET",
                                            "AZURE_CLIENT_CERTIFICATE_PATH",
                                            "AZURE_CLIENT_CERTIFICATE_PASSWORD",
                                            "AZURE_USERNAME",
                                            "AZURE_FEDERATED_TOKEN_FILE",
                                            "AZURE_AUTHORITY_HOST",
                                            "AZURE_POD_IDENTITY_AUTHORITY_HOST",
                                            "IDENTITY_ENDPOINT",
                                            "IDENTITY_HEADER",
                                            "IDENTITY_SERVER_THUMBPRINT"};
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                unsetenv(names[i]);
}

static const char *file_with(const char *name, const char *text)
{
        static char path[300];
        snprintf(path, sizeof(path), "%s/%s", test_dir(), name);
        CHECK_OK(vn_file_write_atomic(path, vn_str(text), 0600, NULL));
        return path;
}

static struct vn_cloud *open_account(struct wire *wire, const struct vn_cloud_config *given)
{
        struct vn_cloud_config config = *given;
        struct vn_cloud *cloud = NULL;
        struct vn_err err = {0};
        config.kind = VN_CLOUD_AZURE;
        config.subscription = VN_STR("sub");
        if (vn_cloud_open(&config, &wire_clock.clock, &wire->transport, &cloud, &err) != VN_OK && !wire_may_fail)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        return cloud;
}

static const struct vn_cloud_config nothing;

/* A key and a certificate of it in one PEM text; to be freed by the process's end. */
static const char *pair(int64_t from_s, int64_t until_s)
{
        static char text[8192];
        EVP_PKEY *key = EVP_RSA_gen(2048);
        X509 *x = X509_new();
        BIO *bio = BIO_new(BIO_s_mem());
        char *pem;
        CHECK(key && x && bio && X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1));
        CHECK(ASN1_TIME_set(X509_getm_notBefore(x), from_s) && ASN1_TIME_set(X509_getm_notAfter(x), until_s));
        CHECK(X509_set_pubkey(x, key) && X509_sign(x, key, EVP_sha256()));
        CHECK(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) && PEM_write_bio_X509(bio, x));
        long len = BIO_get_mem_data(bio, &pem);
        CHECK(len > 0 && (size_t)len < sizeof(text));
        memcpy(text, pem, (size_t)len);
        text[len] = '\0';
        BIO_free(bio);
        X509_free(x);
        EVP_PKEY_free(key);
        return text;
}
#define NOON_S INT64_C(1795521600)

#define GOT(token) 200, NULL, "{\"token_type\":\"Bearer\",\"expires_in\":3599,\"access_token\":\"" token "\"}"
#define SITES                                                                                                        \
        {                                                                                                            \
                "GET https://management.azure.com/subscriptions/sub/", 200, NULL, "{\"value\":[]}"                   \
        }

static void list(struct vn_cloud *cloud)
{
        struct vn_cloud_list found;
        struct vn_err err = {0};
        if (vn_cloud_list(cloud, &found, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        vn_cloud_list_done(&found);
}

static json_t *part_of(const char *asked, int index)
{
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(16384);
        json_t *root = NULL;
        const char *at = strstr(asked, "client_assertion=");
        CHECK(at);
        struct vn_str rest = vn_str(at + strlen("client_assertion=")), part = {0};
        for (int i = 0; i <= index; i++)
                part = vn_str_cut(&rest, '.');
        CHECK_OK(vn_base64_decode(part, &text));
        CHECK_OK(vn_json_load(vn_buf_view(&text), &root, NULL));
        return root;
}

static void check_signature(const char *asked, const char *pem)
{
        VN_AUTO(vn_buf)
        signature = VN_BUF_INIT(4096);
        struct vn_str jwt = vn_str(strstr(asked, "client_assertion=") + strlen("client_assertion=")), rest = jwt;
        vn_str_cut(&rest, '.');
        vn_str_cut(&rest, '.');
        CHECK_OK(vn_base64_decode(rest, &signature));
        BIO *bio = BIO_new_mem_buf(pem, -1);
        X509 *x = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        EVP_MD_CTX *context = EVP_MD_CTX_new();
        CHECK(x && EVP_DigestVerifyInit(context, NULL, EVP_sha256(), NULL, X509_get0_pubkey(x)) == 1);
        CHECK_INT(1, EVP_DigestVerify(context, (const unsigned char *)signature.ptr, signature.len,
                                      (const unsigned char *)jwt.ptr, (size_t)(rest.ptr - 1 - jwt.ptr)));
        EVP_MD_CTX_free(context);
        X509_free(x);
        BIO_free(bio);
}

TEST(azure_client_certificates_sign_an_assertion_for_the_token_endpoint)
{
        static const struct wire_step steps[] = {
                {"POST https://login.microsoftonline.com/t/oauth2/v2.0/token", GOT("ONE")}, SITES};
        const char *pem = pair(NOON_S - 60, NOON_S + 86400);
        struct wire wire;
        clean_environment();
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(
                &wire, &(struct vn_cloud_config){.tenant = VN_STR("t"),
                                                 .client_id = VN_STR("c"),
                                                 .client_certificate_file = vn_str(file_with("c.pem", pem))});
        list(cloud);
        CHECK(strstr(wire.asked[1], "Authorization: Bearer ONE"));
        CHECK(strstr(wire.asked[0], "client-assertion-type%3Ajwt-bearer") && !strstr(wire.asked[0], "client_secret"));
        check_signature(wire.asked[0], pem);
        VN_AUTO(vn_json)
        header = part_of(wire.asked[0], 0);
        VN_AUTO(vn_json)
        claims = part_of(wire.asked[0], 1);
        CHECK_INT(43, json_string_length(json_object_get(header, "x5t#S256")));
        CHECK_INT(27, json_string_length(json_object_get(header, "x5t")));
        CHECK(vn_str_eq(vn_json_str(header, "alg"), VN_STR("RS256")));
        CHECK(vn_str_eq(vn_json_str(claims, "aud"), VN_STR("https://login.microsoftonline.com/t/oauth2/v2.0/token")));
        CHECK(vn_str_eq(vn_json_str(claims, "iss"), VN_STR("c")) &&
              vn_str_eq(vn_json_str(claims, "sub"), VN_STR("c")));
        CHECK(vn_json_str(claims, "jti").len >= 16);
        CHECK_NEAR(NOON_S, vn_json_pick_number(claims, "nbf", 0), 0);
        CHECK_NEAR(NOON_S + 600, vn_json_pick_number(claims, "exp", 0), 0);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

/* The one answer is a token from wherever it is asked: where that is, is what the test is about. */
static void check_asks(const struct vn_cloud_config *config, const char *expect, const char *part)
{
        const struct wire_step steps[] = {{expect, GOT("ONE")}, SITES};
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(&wire, config);
        list(cloud);
        if (!strstr(wire.asked[0], part))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", part, wire.asked[0]);
        wire_check_done(&wire);
        vn_cloud_free(cloud);
}

TEST(azure_identities_are_looked_for_in_the_order_of_azures_own_clients)
{
        clean_environment();
        check_asks(&nothing,
                   "GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2018-02-01"
                   "&resource=https%3A%2F%2Fmanagement.azure.com",
                   "Metadata: true");
        setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:99/", 1);
        check_asks(&(struct vn_cloud_config){.client_id = VN_STR("user one")},
                   "GET http://127.0.0.1:99/metadata/identity/oauth2/token?", "&client_id=user%20one\n");
        setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:98/msi/token", 1);
        setenv("IDENTITY_HEADER", "h-1", 1);
        check_asks(&nothing,
                   "GET http://127.0.0.1:98/msi/token?api-version=2019-08-01&resource=", "X-IDENTITY-HEADER: h-1");
        setenv("AZURE_FEDERATED_TOKEN_FILE", file_with("federated", "eyJ.a.b\n"), 1);
        setenv("AZURE_TENANT_ID", "t", 1);
        setenv("AZURE_CLIENT_ID", "c", 1);
        check_asks(&nothing, "POST https://login.microsoftonline.com/t/oauth2/v2.0/token",
                   "&client_assertion=eyJ.a.b");
        setenv("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.us/", 1);
        check_asks(&(struct vn_cloud_config){.tenant = VN_STR("t2"), .client_id = VN_STR("c2")},
                   "POST https://login.microsoftonline.us/t2/oauth2/v2.0/token", "client_id=c2&");
        unsetenv("AZURE_AUTHORITY_HOST");
        setenv("AZURE_CLIENT_CERTIFICATE_PATH", file_with("e.pem", pair(NOON_S - 60, NOON_S + 60)), 1);
        check_asks(&nothing, "POST https://login.microsoftonline.com/t/oauth2/v2.0/token", "client_assertion=eyJ");
        setenv("AZURE_CLIENT_SECRET", "s 1", 1); /* before a certificate, as Azure's own */
        check_asks(&nothing, "POST https://login.microsoftonline.com/t/oauth2/v2.0/token", "client_secret=s%201");
        check_asks(&(struct vn_cloud_config){.tenant = VN_STR("t3"),
                                             .client_id = VN_STR("c3"),
                                             .client_secret = VN_STR("own")},
                   "POST https://login.microsoftonline.com/t3/oauth2/v2.0/token", "client_secret=own");
}

static void check_refused(const struct vn_cloud_config *config, enum vn_rc want, const char *part)
{
        static const struct wire_step silence[] = {{NULL, 0, NULL, NULL}, {NULL, 0, NULL, NULL}};
        struct wire wire;
        struct vn_cloud_list found;
        struct vn_err err = {0};
        WIRE_INIT(&wire, silence);
        struct vn_cloud *cloud = open_account(&wire, config);
        CHECK_RC(want, vn_cloud_list(cloud, &found, &err));
        if (!strstr(err.msg, part) || strstr(err.msg, "HUSH"))
                test_fail(__FILE__, __LINE__, "\"%s\" is not in, or HUSH is: %s", part, err.msg);
        vn_cloud_free(cloud);
}

TEST(azure_identities_that_are_not_to_be_had_are_said_place_by_place)
{
        static const char *const places[] = {
                "environment: no AZURE_CLIENT_SECRET", "workload identity: no AZURE_FEDERATED_TOKEN_FILE",
                "App Service: IDENTITY_ENDPOINT is not set", "instance metadata: nothing answers"};
        clean_environment();
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
                check_refused(&nothing, VN_UNAUTHENTICATED, places[i]);
        /* Nothing that is set up is passed over. */
        setenv("IDENTITY_ENDPOINT", "http://127.0.0.1:98/msi/token", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "Azure Arc");
        setenv("IDENTITY_HEADER", "HUSH\n", 1);
        check_refused(&nothing, VN_INVALID_ARGUMENT, "control characters");
        setenv("IDENTITY_HEADER", "HUSH", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "App Service: nothing answers");
        setenv("IDENTITY_SERVER_THUMBPRINT", "ab", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "Service Fabric");
        setenv("AZURE_FEDERATED_TOKEN_FILE", "/absent/token", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "without AZURE_TENANT_ID");
        setenv("AZURE_TENANT_ID", "t", 1);
        setenv("AZURE_CLIENT_ID", "c", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "there is no /absent/token");
        setenv("AZURE_FEDERATED_TOKEN_FILE", file_with("odd", "HUSH HUSH\n"), 1);
        check_refused(&nothing, VN_DATA_LOSS, "holds no token");
        setenv("AZURE_USERNAME", "HUSH", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "AZURE_USERNAME is not supported");
        setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/absent/pem", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "/absent/pem: there is no such file");
        setenv("AZURE_CLIENT_CERTIFICATE_PASSWORD", "HUSH", 1);
        check_refused(&nothing, VN_FAILED_PRECONDITION, "AZURE_CLIENT_CERTIFICATE_PASSWORD is not supported");
        setenv("AZURE_CLIENT_SECRET", "HUSH", 1);
        unsetenv("AZURE_TENANT_ID");
        check_refused(&nothing, VN_FAILED_PRECONDITION, "without AZURE_TENANT_ID");
        setenv("AZURE_TENANT_ID", "t", 1);
        static const char *const authorities[] = {"http://login.example", "login.example", "https://a/b",
                                                  "https://a?b"};
        for (size_t i = 0; i < sizeof(authorities) / sizeof(authorities[0]); i++) {
                setenv("AZURE_AUTHORITY_HOST", authorities[i], 1);
                check_refused(&nothing, VN_INVALID_ARGUMENT, "AZURE_AUTHORITY_HOST is not https://HOST");
        }
        clean_environment();
}

static void check_pem(const char *text, const char *part)
{
        clean_environment();
        check_refused(&(struct vn_cloud_config){.tenant = VN_STR("t"),
                                                .client_id = VN_STR("c"),
                                                .client_certificate_file = vn_str(file_with("bad.pem", text))},
                      VN_FAILED_PRECONDITION, part);
}

TEST(azure_certificate_files_that_cannot_be_used_are_refused)
{
        static char one[8192], other[8192], mixed[16384];
        snprintf(one, sizeof(one), "%s", pair(NOON_S - 60, NOON_S + 60));
        snprintf(other, sizeof(other), "%s", pair(NOON_S - 60, NOON_S + 60));
        char *certificate = strstr(one, "-----BEGIN CERTIFICATE");
        check_pem("", "no certificate in it");
        check_pem("HUSH", "no certificate in it");
        check_pem(certificate, "no private key");
        check_pem(pair(NOON_S - 60, NOON_S - 1), "has ended");
        *strstr(other, "-----BEGIN CERTIFICATE") = '\0';
        snprintf(mixed, sizeof(mixed), "%s%s", other, certificate);
        check_pem(mixed, "no private key of its certificate");
        *certificate = '\0';
        check_pem(one, "no certificate in it");
        struct vn_cloud_config both = {.kind = VN_CLOUD_AZURE,
                                       .tenant = VN_STR("t"),
                                       .client_id = VN_STR("c"),
                                       .client_secret = VN_STR("s"),
                                       .client_certificate_file = VN_STR("f"),
                                       .subscription = VN_STR("sub")};
        struct vn_cloud *cloud = NULL;
        struct vn_err err;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_cloud_open(&both, &wire_clock.clock, NULL, &cloud, &err));
        CHECK(strstr(err.msg, "not both"));
}

TEST(azure_tokens_are_renewed_ahead_serve_to_their_end_and_are_dropped_when_refused)
{
        static const struct wire_step steps[] = {
                /* texts for numbers; an identity that is still on its way */
                {"GET /metadata/identity/oauth2/token", 404, NULL, ""},
                {"GET /metadata/identity/oauth2/token", 410, NULL, ""},
                {"GET /metadata/identity/oauth2/token", 429, NULL, ""},
                {"GET /metadata/identity/oauth2/token", 503, NULL, ""},
                {"GET /metadata/identity/oauth2/token", 200, NULL,
                 "{\"access_token\":\"ONE\",\"expires_in\":\"3600\",\"expires_on\":\"1795525200\"}"},
                SITES,
                SITES,
                /* five minutes ahead the service is away, the old one holds */
                {"GET /metadata/identity/oauth2/token", 0, NULL, NULL},
                {"GET /metadata/identity/oauth2/token", 0, NULL, NULL},
                SITES,
                SITES,
                /* a minute later it is back; only the instant is told, as App Service does */
                {"GET /metadata/identity/oauth2/token", 200, NULL,
                 "{\"access_token\":\"TWO\",\"expires_on\":\"1795532400\"}"},
                SITES,
                /* revoked before its end: once more with another, and no third time */
                {"GET management.azure.com", 401, NULL, "{}"},
                {"GET /metadata/identity/oauth2/token", GOT("THREE")},
                SITES};
        static const char *const used[] = {"ONE", "ONE", "ONE", "ONE", "TWO", "TWO", "THREE"};
        struct wire wire;
        size_t calls = 0;
        clean_environment();
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(&wire, &nothing);
        list(cloud);
        CHECK(wire.slept_us >= 12 * VN_US_PER_S);
        list(cloud);
        wire_clock.time_us += 56 * VN_US_PER_MIN;
        list(cloud);
        list(cloud);
        wire_clock.time_us += VN_US_PER_MIN;
        list(cloud);
        list(cloud);
        wire_check_done(&wire);
        for (size_t i = 0; i < wire.at; i++) {
                const char *bearer = strstr(wire.asked[i], "Authorization: Bearer ");
                if (!bearer)
                        continue;
                CHECK(calls < sizeof(used) / sizeof(used[0]));
                CHECK(!strncmp(bearer + strlen("Authorization: Bearer "), used[calls], strlen(used[calls])));
                calls++;
        }
        CHECK_INT(7, calls);
        vn_cloud_free(cloud);
}

static void check_answer(int status, const char *body, enum vn_rc want)
{
        const struct wire_step step = {NULL, status, NULL, body}, steps[] = {step, step, step, step, step};
        struct wire wire;
        struct vn_cloud_list found;
        struct vn_err err = {0};
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(&wire, &nothing);
        CHECK_RC(want, vn_cloud_list(cloud, &found, &err));
        if (strstr(err.msg, "HUSH"))
                test_fail(__FILE__, __LINE__, "%s", err.msg);
        vn_cloud_free(cloud);
}

TEST(azure_answers_of_this_host_that_are_no_tokens_are_refused)
{
        static const char *const bad[] = {"",
                                          "no JSON HUSH",
                                          "[]",
                                          "{\"access_token\":\"HUSH\"}",
                                          "{\"access_token\":\"HUSH\",\"expires_in\":\"-1\"}",
                                          "{\"access_token\":\"HUSH\",\"expires_in\":\"1e30\"}",
                                          "{\"access_token\":\"HUSH\",\"expires_on\":\"1\"}",
                                          "{\"access_token\":\"HUSH HUSH\",\"expires_in\":3600}",
                                          "{\"access_token\":7,\"expires_in\":3600}"};
        clean_environment();
        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                check_answer(200, bad[i], VN_DATA_LOSS);
        check_answer(400, "{\"error\":\"invalid_request\",\"error_description\":\"HUSH\"}", VN_UNAUTHENTICATED);
        check_answer(403, "HUSH", VN_UNAVAILABLE);
        check_answer(500, "HUSH", VN_UNAVAILABLE);
}

static enum vn_rc token_once(void)
{
        static const struct wire_step steps[] = {{NULL, GOT("A")}};
        const struct vn_cloud_token *token;
        struct wire wire;
        WIRE_INIT(&wire, steps);
        struct vn_cloud *cloud = open_account(&wire, &nothing);
        enum vn_rc rc = cloud ? vn_azure_fetch_token(cloud, VN_AZURE_ARM_SCOPE, &token, NULL) : VN_RESOURCE_EXHAUSTED;
        vn_cloud_free(cloud);
        return rc;
}

TEST(azure_tokens_survive_each_failed_allocation)
{
        clean_environment();
        wire_may_fail = true;
        TEST_ALLOC_LOOP(token_once);
        setenv("AZURE_TENANT_ID", "t", 1);
        setenv("AZURE_CLIENT_ID", "c", 1);
        setenv("AZURE_FEDERATED_TOKEN_FILE", file_with("federated", "eyJ.a.b\n"), 1);
        TEST_ALLOC_LOOP(token_once);
        wire_may_fail = false;
        clean_environment();
}
