/* identity_aws.c - AWS's keys for those who have none: a workload's token at the Security Token Service, the instance
 * metadata service (version 2 only) and a container's endpoint. */
#include <stdio.h>

#include "base/hash.h"
#include "sim/aws.h"
#include "sim/identity.h"

#define ROLE "vane-agent"
#define KEYS_S 21600
#define LONGEST_SESSION_S 21600
#define SHORTEST_S 900
#define LONGEST_S 43200

/* --- Security Token Service --- */

bool vn_sim_aws_is_web_identity(const struct vn_sim_request *request)
{
        VN_AUTO(vn_buf)
        action = VN_BUF_INIT(128);
        return vn_str_eq(request->verb, VN_STR("POST")) && vn_str_eq(request->path, VN_STR("/")) &&
               vn_sim_param(request->body, "Action", &action) &&
               vn_str_eq(vn_buf_view(&action), VN_STR("AssumeRoleWithWebIdentity"));
}

static bool refuse_subject(enum vn_sim_subject wrong, struct vn_sim_response *response)
{
        static const struct {
                const char *code, *message;
        } texts[] = {
                [VN_SUBJECT_UNREADABLE] = {"InvalidIdentityToken",
                                           "Couldn't retrieve verification key from your identity provider, or "
                                           "the token is not signed with it"},
                [VN_SUBJECT_ISSUER] = {"InvalidIdentityToken", "No OpenIDConnect provider found in your account"},
                [VN_SUBJECT_AUDIENCE] = {"InvalidIdentityToken", "Incorrect token audience"},
                [VN_SUBJECT_NAME] = {"AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity"},
                [VN_SUBJECT_TIME] = {"ExpiredTokenException",
                                     "Token expired, or not valid yet, by the clock of this service"}};
        if (wrong == VN_SUBJECT_GOOD)
                return false;
        vn_sim_aws_error(response, VN_AWS_QUERY, wrong == VN_SUBJECT_NAME ? 403 : 400, texts[wrong].code, "%s",
                         texts[wrong].message);
        return true;
}

static void answer_session(const struct vn_sim *sim, const struct vn_sim_session *s, struct vn_str name,
                           struct vn_sim_response *response)
{
        char end[VN_TIME_TEXT_BYTES];
        vn_time_format(s->expires_us, end);
        vn_sim_text(response, 200, "text/xml", "");
        vn_buf_printf(&response->body,
                      "<AssumeRoleWithWebIdentityResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">"
                      "<AssumeRoleWithWebIdentityResult><SubjectFromWebIdentityToken>" VN_SIM_SUBJECT
                      "</SubjectFromWebIdentityToken><Audience>" VN_SIM_AWS_AUDIENCE
                      "</Audience><Provider>" VN_SIM_ISSUER
                      "</Provider><AssumedRoleUser><AssumedRoleId>AROA0000000000000000:%.*s</AssumedRoleId>"
                      "<Arn>arn:aws:sts::%s:assumed-role/" ROLE "/%.*s</Arn></AssumedRoleUser><Credentials>"
                      "<AccessKeyId>%s</AccessKeyId><SecretAccessKey>%s</SecretAccessKey>"
                      "<SessionToken>%s</SessionToken><Expiration>%s</Expiration></Credentials>"
                      "</AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>",
                      VN_FMT(name), sim->accounts[s->account].id, VN_FMT(name), s->key_id, s->secret, s->token, end);
}

void vn_sim_aws_web_identity(struct vn_sim *sim, const struct vn_sim_request *request,
                             struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        arn = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        name = VN_BUF_INIT(128);
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(16384);
        uint64_t seconds;
        bool by_id;
        vn_sim_param(request->body, "RoleArn", &arn);
        vn_sim_param(request->body, "RoleSessionName", &name);
        vn_sim_param(request->body, "WebIdentityToken", &token);
        if (!vn_sim_aws_is_session_name(vn_buf_view(&name)) ||
            vn_sim_param_u64(request->body, "DurationSeconds", 3600, LONGEST_S, &seconds) != VN_OK ||
            seconds < SHORTEST_S) {
                vn_sim_aws_error(response, VN_AWS_QUERY, 400, "ValidationError", "1 validation error detected");
                return;
        }
        if (refuse_subject(vn_sim_subject_check(sim, vn_buf_view(&token), VN_SIM_AWS_AUDIENCE), response))
                return;
        uint32_t account = vn_sim_aws_role(sim, vn_buf_view(&arn), &by_id);
        if (account == UINT32_MAX || by_id) {
                vn_sim_aws_error(response, VN_AWS_QUERY, 403, "AccessDenied",
                                 "Not authorized to perform sts:AssumeRoleWithWebIdentity");
                return;
        }
        answer_session(sim, vn_sim_aws_issue(sim, account, vn_now_us(sim->clock) + (int64_t)seconds * VN_US_PER_S),
                       vn_buf_view(&name), response);
}

/* --- endpoints of the host --- */

static void answer_keys(struct vn_sim *sim, bool instance, struct vn_sim_response *response)
{
        const struct vn_sim_session *s = vn_sim_aws_issue(sim, vn_sim_identity_account(VN_PLATFORM_AWS),
                                                          vn_now_us(sim->clock) + KEYS_S * VN_US_PER_S);
        char end[VN_TIME_TEXT_BYTES], now[VN_TIME_TEXT_BYTES];
        vn_time_format(s->expires_us, end);
        vn_time_format(vn_now_us(sim->clock), now);
        json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "AccessKeyId", s->key_id, "SecretAccessKey", s->secret,
                                 "Token", s->token, "Expiration", end);
        if (json && instance) {
                json_object_set_new(json, "Code", json_string("Success"));
                json_object_set_new(json, "Type", json_string("AWS-HMAC"));
                json_object_set_new(json, "LastUpdated", json_string(now));
        }
        vn_sim_json(response, 200, json);
}

static void sign_session(const struct vn_sim *sim, int64_t until_us, char ret[96])
{
        uint8_t mac[VN_SHA256_BYTES];
        char hex[2 * VN_SHA256_BYTES + 1], text[32];
        snprintf(text, sizeof text, "imds%lld", (long long)until_us);
        vn_hmac_sha256(vn_str_n(sim->token_key, sizeof sim->token_key), vn_str(text), mac);
        vn_hex(mac, sizeof mac, hex);
        snprintf(ret, 96, "%lld-%.40s", (long long)until_us, hex);
}

static void start_session(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        struct vn_str ttl = vn_sim_header(request, "x-aws-ec2-metadata-token-ttl-seconds");
        uint64_t seconds;
        char token[96];
        if (vn_sim_header(request, "x-forwarded-for").len) {
                vn_sim_text(response, 403, "text/plain", "");
                return;
        }
        if (!ttl.len || vn_str_to_u64(ttl, &seconds) != VN_OK || seconds < 1 || seconds > LONGEST_SESSION_S) {
                vn_sim_text(response, 400, "text/plain", "");
                return;
        }
        sign_session(sim, vn_now_us(sim->clock) + (int64_t)seconds * VN_US_PER_S, token);
        vn_sim_text(response, 200, "text/plain", token);
        vn_sim_set_header(response, "x-aws-ec2-metadata-token-ttl-seconds", "21600");
}

static bool has_session(const struct vn_sim *sim, const struct vn_sim_request *request)
{
        struct vn_str sent = vn_sim_header(request, "x-aws-ec2-metadata-token"), rest = sent;
        int64_t until_us;
        char token[96];
        if (!sent.len || vn_str_to_i64(vn_str_cut(&rest, '-'), &until_us) != VN_OK ||
            until_us <= vn_now_us(sim->clock))
                return false;
        sign_session(sim, until_us, token);
        return vn_str_eq_secret(sent, vn_str(token));
}

static void instance(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        static const char roles[] = "/latest/meta-data/iam/security-credentials/";
        if (vn_str_eq(request->path, VN_STR("/latest/api/token")) && vn_str_eq(request->verb, VN_STR("PUT")))
                start_session(sim, request, response);
        else if (!has_session(sim, request))
                vn_sim_text(response, 401, "text/plain", "");
        else if (vn_str_eq(request->path, vn_str(roles)) ||
                 vn_str_eq(request->path, vn_str_n(roles, sizeof roles - 2)))
                vn_sim_text(response, 200, "text/plain", ROLE);
        else if (vn_str_starts(request->path, vn_str(roles)) && vn_str_ends(request->path, VN_STR("/" ROLE)))
                answer_keys(sim, true, response);
        else
                vn_sim_text(response, 404, "text/plain", "");
}

void vn_sim_aws_host(struct vn_sim *sim, const struct vn_sim_request *request, struct vn_sim_response *response)
{
        const struct vn_sim_identity *identity = vn_sim_identity(sim);
        if (!vn_str_eq(request->path, VN_STR("/creds")))
                instance(sim, request, response);
        else if (!identity ||
                 !vn_str_eq_secret(vn_sim_header(request, "authorization"), vn_str(identity->host_secret)))
                vn_sim_json(response, 403,
                            json_pack("{s:s, s:s}", "code", "AccessDenied", "message",
                                      "the authorization token is wrong"));
        else
                answer_keys(sim, false, response);
}
