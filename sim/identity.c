/* identity.c - see identity.h. */
#include "sim/identity.h"

#include <stdio.h>

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "base/hash.h"
#include "sim/token.h"

#define DAY_S 86400
#define YEAR_S (366 * DAY_S)

/* --- keys --- */

static char *bio_text(BIO *bio)
{
        char *data = NULL;
        long n = BIO_get_mem_data(bio, &data);
        return n > 0 ? vn_strndup(data, (size_t)n) : NULL;
}

static bool thumbprint(X509 *x, const EVP_MD *digest, char *ret, size_t bytes)
{
        unsigned char hash[EVP_MAX_MD_SIZE];
        unsigned len;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(128);
        return X509_digest(x, digest, hash, &len) == 1 && vn_buf_base64url(&text, hash, len) &&
               vn_str_copy(ret, bytes, vn_buf_view(&text));
}

static X509 *self_sign(const char *private_pem)
{
        BIO *bio = BIO_new_mem_buf(private_pem, -1);
        EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, NULL, NULL) : NULL;
        X509 *x = X509_new();
        X509_NAME *name = x ? X509_get_subject_name(x) : NULL;
        bool good = key && name && X509_set_version(x, 2) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) &&
                    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC, (const unsigned char *)"vane-agent", -1, -1,
                                               0) &&
                    X509_set_issuer_name(x, name) && X509_gmtime_adj(X509_getm_notBefore(x), -YEAR_S / 12) &&
                    X509_gmtime_adj(X509_getm_notAfter(x), YEAR_S) && X509_set_pubkey(x, key) &&
                    X509_sign(x, key, EVP_sha256());
        EVP_PKEY_free(key);
        BIO_free(bio);
        if (good)
                return x;
        X509_free(x);
        return NULL;
}

static enum vn_rc make_certificate(struct vn_sim_certificate *ret, struct vn_err *err)
{
        char id[48];
        VN_TRY(vn_token_make_key(id, sizeof id, &ret->private_pem, &ret->public_pem, err));
        X509 *x = self_sign(ret->private_pem);
        BIO *bio = BIO_new(BIO_s_mem());
        if (x && bio && PEM_write_bio_X509(bio, x) == 1 && thumbprint(x, EVP_sha1(), ret->sha1, sizeof ret->sha1) &&
            thumbprint(x, EVP_sha256(), ret->sha256, sizeof ret->sha256))
                ret->pem = bio_text(bio);
        BIO_free(bio);
        X509_free(x);
        return ret->pem ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a certificate");
}

static enum vn_rc make(const struct vn_sim *sim, struct vn_sim_identity *identity, struct vn_err *err)
{
        uint8_t bytes[VN_SIM_KEY_BYTES];
        vn_random_bytes(bytes, sizeof bytes);
        vn_hex(bytes, sizeof bytes, identity->host_secret);
        VN_TRY(vn_token_make_key(identity->issuer_key_id, sizeof identity->issuer_key_id,
                                 &identity->issuer_private_pem, &identity->issuer_public_pem, err));
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++)
                if (sim->accounts[i].cloud == VN_PLATFORM_AZURE)
                        VN_TRY(make_certificate(&identity->certificates[i], err));
        return VN_OK;
}

const struct vn_sim_identity *vn_sim_identity(struct vn_sim *sim)
{
        struct vn_err err;
        if (sim->identity)
                return sim->identity;
        struct vn_sim_identity *identity = vn_alloc(sizeof *identity);
        if (identity && make(sim, identity, &err) != VN_OK) {
                vn_sim_identity_free(identity);
                identity = NULL;
        }
        return sim->identity = identity;
}

void vn_sim_identity_free(struct vn_sim_identity *identity)
{
        if (!identity)
                return;
        vn_free(identity->issuer_private_pem);
        vn_free(identity->issuer_public_pem);
        for (size_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                vn_free(identity->certificates[i].private_pem);
                vn_free(identity->certificates[i].public_pem);
                vn_free(identity->certificates[i].pem);
        }
        vn_free_secret(identity, sizeof *identity);
}

uint32_t vn_sim_identity_account(enum vn_platform_cloud cloud)
{
        return 2 * (uint32_t)cloud;
}

void vn_sim_gcp_provider(const struct vn_sim *sim, uint32_t account, char ret[192])
{
        snprintf(ret, 192,
                 "//iam.googleapis.com/projects/%s/locations/global/workloadIdentityPools/vane/providers/sim",
                 sim->accounts[account].id);
}

/* --- the issuer --- */

enum vn_sim_subject vn_sim_subject_check(struct vn_sim *sim, struct vn_str token, const char *audience)
{
        const struct vn_sim_identity *identity = vn_sim_identity(sim);
        VN_AUTO(vn_json)
        claims = NULL;
        struct vn_err err;
        struct vn_str text;
        if (!identity || vn_token_verify_rs256(identity->issuer_public_pem, token, &claims, &err) != VN_OK)
                return VN_SUBJECT_UNREADABLE;
        if (vn_json_text(claims, "iss", &text, &err) != VN_OK || !vn_str_eq(text, VN_STR(VN_SIM_ISSUER)))
                return VN_SUBJECT_ISSUER;
        if (vn_json_text(claims, "aud", &text, &err) != VN_OK || !vn_str_eq(text, vn_str(audience)))
                return VN_SUBJECT_AUDIENCE;
        if (vn_json_text(claims, "sub", &text, &err) != VN_OK || !vn_str_eq(text, VN_STR(VN_SIM_SUBJECT)))
                return VN_SUBJECT_NAME;
        if (vn_token_in_time(claims, vn_now_us(sim->clock), vn_now_us(vn_clock_real()), &err) != VN_OK)
                return VN_SUBJECT_TIME;
        return VN_SUBJECT_GOOD;
}

enum vn_rc vn_sim_subject_sign(struct vn_sim *sim, const char *audience, struct vn_buf *ret, struct vn_err *err)
{
        const struct vn_sim_identity *identity = vn_sim_identity(sim);
        json_int_t now_s = vn_now_us(vn_clock_real()) / VN_US_PER_S;
        VN_AUTO(vn_json)
        claims = json_pack("{s:s, s:s, s:s, s:I, s:I, s:I}", "iss", VN_SIM_ISSUER, "sub", VN_SIM_SUBJECT, "aud",
                           audience, "iat", now_s, "nbf", now_s, "exp", now_s + DAY_S);
        if (!identity || !claims)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a token");
        return vn_token_sign_rs256(identity->issuer_private_pem, identity->issuer_key_id, claims, ret, err);
}

/* --- the listener of the host --- */

static void subject(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        audience = VN_BUF_INIT(512);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        struct vn_err err;
        if (!vn_str_eq_nocase(vn_sim_header(request, "metadata"), VN_STR("true")) ||
            !vn_sim_param(request->query, "audience", &audience) || !audience.len)
                vn_sim_json(response, 400,
                            json_pack("{s:s}", "error", "the header Metadata: true and an audience are required"));
        else if (vn_sim_subject_sign(sim, audience.ptr, &token, &err) != VN_OK)
                vn_sim_json(response, 500, NULL);
        else
                vn_sim_json(response, 200, json_pack("{s:s}", "value", token.ptr));
}

void vn_sim_identity_host(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        static const struct {
                const char *first;
                void (*answer)(struct vn_sim *sim, const struct vn_sim_request *request,
                               struct vn_sim_response *response);
        } parts[] = {{"latest", vn_sim_aws_host},
                     {"creds", vn_sim_aws_host},
                     {"metadata", vn_sim_azure_identity},
                     {"msi", vn_sim_azure_identity},
                     {"computeMetadata", vn_sim_gcp_metadata},
                     {"subject", subject}};
        struct vn_str part[8];
        size_t count = vn_sim_path_parts(request->path, part, 8);
        for (size_t i = 0; count && i < sizeof parts / sizeof *parts; i++) {
                if (vn_str_eq(part[0], vn_str(parts[i].first))) {
                        parts[i].answer(sim, request, response);
                        return;
                }
        }
        vn_sim_text(response, 404, "text/plain", "");
}

/* --- the ready file --- */

static enum vn_rc keep(json_t *json, const char *name, const char *dir, const char *account, const char *suffix,
                       struct vn_str content, struct vn_err *err)
{
        char path[512];
        snprintf(path, sizeof path, "%s/%s-%s", dir, account, suffix);
        VN_TRY(vn_file_write_atomic(path, content, 0600, err));
        return json_object_set_new(json, name, json_string(path))
                       ? vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the ready file")
                       : VN_OK;
}

static enum vn_rc keep_subject(struct vn_sim *sim, json_t *json, const char *name, const char *dir,
                               const char *account, const char *audience, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(8192);
        VN_TRY(vn_sim_subject_sign(sim, audience, &token, err));
        return keep(json, name, dir, account, "subject.jwt", vn_buf_view(&token), err);
}

static enum vn_rc keep_external(struct vn_sim *sim, uint32_t account, json_t *json, const char *name, const char *dir,
                                const char *suffix, const char *endpoint, json_t *source, struct vn_err *err)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        char provider[192];
        vn_sim_gcp_provider(sim, account, provider);
        VN_AUTO(vn_json)
        file = json_pack("{s:s, s:s, s:s, s:s+, s:s+++, s:o}", "type", "external_account", "audience", provider,
                         "subject_token_type", "urn:ietf:params:oauth:token-type:jwt", "token_url", endpoint,
                         "/v1/token", "service_account_impersonation_url", endpoint,
                         "/v1/projects/-/serviceAccounts/", a->key_id, ":generateAccessToken", "credential_source",
                         source);
        char *text = file ? json_dumps(file, JSON_INDENT(1)) : NULL;
        if (!text)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for a credential file");
        enum vn_rc rc = keep(json, name, dir, a->name, suffix, vn_str(text), err);
        free(text);
        return rc;
}

static enum vn_rc gcp_files(struct vn_sim *sim, uint32_t account, const char *dir, const char *endpoint,
                            const char *host_endpoint, json_t *json, struct vn_err *err)
{
        char provider[192], url[512];
        VN_AUTO(vn_buf)
        audience = VN_BUF_INIT(512);
        vn_sim_gcp_provider(sim, account, provider);
        vn_buf_url_encode(&audience, vn_str(provider), false);
        VN_TRY(vn_buf_check(&audience, err));
        snprintf(url, sizeof url, "%s/subject?audience=%s", host_endpoint, audience.ptr);
        VN_TRY(keep_subject(sim, json, "subject_token_file", dir, sim->accounts[account].name, provider, err));
        VN_TRY(keep_external(sim, account, json, "external_account_file", dir, "external.json", endpoint,
                             json_pack("{s:O}", "file", json_object_get(json, "subject_token_file")), err));
        return keep_external(sim, account, json, "external_url_file", dir, "external-url.json", endpoint,
                             json_pack("{s:s, s:{s:s}, s:{s:s, s:s}}", "url", url, "headers", "Metadata", "True",
                                       "format", "type", "json", "subject_token_field_name", "value"),
                             err);
}

enum vn_rc vn_sim_identity_files(struct vn_sim *sim, uint32_t account, const char *dir, const char *endpoint,
                                 const char *host_endpoint, json_t *json, struct vn_err *err)
{
        const struct vn_sim_account *a = &sim->accounts[account];
        const struct vn_sim_identity *identity = vn_sim_identity(sim);
        VN_AUTO(vn_buf)
        pair = VN_BUF_INIT(16384);
        char arn[96];
        if (!identity)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for keys");
        switch (a->cloud) {
        case VN_PLATFORM_AWS:
                snprintf(arn, sizeof arn, "arn:aws:iam::%s:role/vane-agent", a->id);
                json_object_set_new(json, "role_arn", json_string(arn));
                return keep_subject(sim, json, "web_identity_token_file", dir, a->name, VN_SIM_AWS_AUDIENCE, err);
        case VN_PLATFORM_AZURE:
                vn_buf_text(&pair, identity->certificates[account].private_pem);
                vn_buf_text(&pair, identity->certificates[account].pem);
                VN_TRY(vn_buf_check(&pair, err));
                VN_TRY(keep(json, "certificate_file", dir, a->name, "client.pem", vn_buf_view(&pair), err));
                return keep_subject(sim, json, "federated_token_file", dir, a->name, VN_SIM_AZURE_AUDIENCE, err);
        case VN_PLATFORM_GCP: return gcp_files(sim, account, dir, endpoint, host_endpoint, json, err);
        }
        return VN_OK;
}

enum vn_rc vn_sim_identity_ready(struct vn_sim *sim, const char *dir, const char *host_endpoint, json_t **ret,
                                 struct vn_err *err)
{
        const struct vn_sim_identity *identity = vn_sim_identity(sim);
        if (!identity)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for keys");
        *ret = json_pack("{s:s, s:s, s:s, s:s, s:s}", "endpoint", host_endpoint, "secret", identity->host_secret,
                         "issuer", VN_SIM_ISSUER, "issuer_key_id", identity->issuer_key_id, "subject",
                         VN_SIM_SUBJECT);
        if (!*ret)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the ready file");
        return keep(*ret, "issuer_key_file", dir, "issuer", "key.pem", vn_str(identity->issuer_private_pem), err);
}
