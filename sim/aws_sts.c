/* aws_sts.c - AWS's Security Token Service: who signs, and keys for an hour for a role.
 * Each account has three roles that its own and the other accounts' keys may assume: vane-agent; vane-agent-by-id, which
 * asks for the external id "vane-sim"; and vane-invoke, which may invoke functions and nothing else. A session policy
 * narrows what the role has. */
#include <stdio.h>

#include "base/hash.h"
#include "sim/aws.h"
#include "sim/keep.h"
#include "sim/permissions.h"

#define SHORTEST_S 900
#define LONGEST_S 43200
#define CHAINED_LONGEST_S 3600

static void refuse(struct vn_sim_response *response, int status, const char *code, const char *message)
{
        vn_sim_aws_error(response, VN_AWS_QUERY, status, code, "%s", message);
}

#define NOBODY UINT32_MAX
#define MAX_SESSION_POLICY 2048

struct role {
        uint32_t account; /* NOBODY: there is no such role */
        bool by_id, invoke;
};

static struct role find_role(const struct vn_sim *sim, struct vn_str arn)
{
        for (uint32_t i = 0; i < VN_SIM_ACCOUNTS; i++) {
                char start[64];
                if (sim->accounts[i].cloud != VN_PLATFORM_AWS)
                        continue;
                snprintf(start, sizeof start, "arn:aws:iam::%s:role/", sim->accounts[i].id);
                if (!vn_str_starts(arn, vn_str(start)))
                        continue;
                struct vn_str name = vn_str_n(arn.ptr + strlen(start), arn.len - strlen(start));
                struct role role = {i, vn_str_eq(name, VN_STR("vane-agent-by-id")),
                                    vn_str_eq(name, VN_STR("vane-invoke"))};
                if (role.by_id || role.invoke || vn_str_eq(name, VN_STR("vane-agent")))
                        return role;
        }
        return (struct role){.account = NOBODY};
}

static const struct vn_sim_session *issue(struct vn_sim *sim, const struct role *role, json_t *policy,
                                          int64_t expires_us)
{
        struct vn_sim_session *s = &sim->sessions[sim->session_next++ % VN_SIM_SESSIONS];
        uint8_t bytes[52];
        char hex[2 * sizeof bytes + 1];
        vn_random_bytes(bytes, sizeof bytes);
        vn_hex(bytes, sizeof bytes, hex);
        for (size_t i = 0; i < 16; i++) /* key ids are upper case */
                hex[i] = (char)(hex[i] >= 'a' ? hex[i] - 'a' + 'A' : hex[i]);
        snprintf(s->key_id, sizeof s->key_id, "ASIA%.16s", hex);
        snprintf(s->secret, sizeof s->secret, "%.40s", hex + 16);
        snprintf(s->token, sizeof s->token, "Fwo+/%.48s==", hex + 56);
        s->account = role->account;
        s->expires_us = expires_us;
        s->invoke_role = role->invoke;
        json_decref(s->policy);
        s->policy = policy;
        if (!role->invoke &&
            !policy) /* kept without what narrows it, a session would come back as more than it was */
                vn_sim_keep_session(sim, s);
        return s;
}

uint32_t vn_sim_aws_role(const struct vn_sim *sim, struct vn_str arn, bool *ret_by_id)
{
        struct role role = find_role(sim, arn);
        *ret_by_id = role.by_id;
        return role.account;
}

const struct vn_sim_session *vn_sim_aws_issue(struct vn_sim *sim, uint32_t account, int64_t expires_us)
{
        const struct role plain = {.account = account};
        return issue(sim, &plain, NULL, expires_us);
}

static void answer_keys(const struct vn_sim *sim, const struct vn_sim_session *s, struct vn_str session_name,
                        struct vn_sim_response *response)
{
        char end[VN_TIME_TEXT_BYTES];
        vn_time_format(s->expires_us, end);
        vn_sim_text(response, 200, "text/xml", "");
        vn_buf_printf(
                &response->body,
                "<AssumeRoleResponse xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\">\n  <AssumeRoleResult>\n"
                "    <AssumedRoleUser>\n      <AssumedRoleId>AROA0000000000000000:%.*s</AssumedRoleId>\n"
                "      <Arn>arn:aws:sts::%s:assumed-role/vane-agent/%.*s</Arn>\n    </AssumedRoleUser>\n"
                "    <Credentials>\n      <AccessKeyId>%s</AccessKeyId>\n"
                "      <SecretAccessKey>%s</SecretAccessKey>\n      <SessionToken>%s</SessionToken>\n"
                "      <Expiration>%s</Expiration>\n    </Credentials>\n  </AssumeRoleResult>\n"
                "</AssumeRoleResponse>\n",
                VN_FMT(session_name), sim->accounts[s->account].id, VN_FMT(session_name), s->key_id, s->secret,
                s->token, end);
}

bool vn_sim_aws_is_session_name(struct vn_str s)
{
        for (size_t i = 0; i < s.len; i++)
                if (!s.ptr[i] ||
                    !strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_+=,.@-", s.ptr[i]))
                        return false;
        return s.len >= 2 && s.len <= 64;
}

static void assume_role(struct vn_sim *sim, bool by_session, const struct vn_sim_request *request,
                        struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        arn = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        name = VN_BUF_INIT(128);
        VN_AUTO(vn_buf)
        external = VN_BUF_INIT(2048);
        VN_AUTO(vn_buf)
        policy = VN_BUF_INIT(4 * MAX_SESSION_POLICY);
        uint64_t seconds;
        json_t *narrowed = NULL;
        struct vn_err err;
        vn_sim_param(request->body, "RoleArn", &arn);
        vn_sim_param(request->body, "RoleSessionName", &name);
        vn_sim_param(request->body, "ExternalId", &external);
        bool has_policy = vn_sim_param(request->body, "Policy", &policy);
        struct role role = find_role(sim, vn_buf_view(&arn));
        if (!vn_sim_aws_is_session_name(vn_buf_view(&name)) ||
            vn_sim_param_u64(request->body, "DurationSeconds", CHAINED_LONGEST_S, LONGEST_S, &seconds) != VN_OK ||
            seconds < SHORTEST_S)
                refuse(response, 400, "ValidationError", "1 validation error detected");
        else if (by_session && seconds > CHAINED_LONGEST_S)
                refuse(response, 400, "ValidationError",
                       "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role "
                       "chaining");
        else if (role.account == NOBODY || (role.by_id && !vn_str_eq(vn_buf_view(&external), VN_STR("vane-sim"))))
                refuse(response, 403, "AccessDenied",
                       "User is not authorized to perform: sts:AssumeRole on this resource");
        else if (has_policy && (policy.len > MAX_SESSION_POLICY ||
                                vn_sim_policy_parse(VN_PLATFORM_AWS, vn_buf_view(&policy), &narrowed, &err) != VN_OK))
                refuse(response, 400, "MalformedPolicyDocument", "The policy is not in the valid JSON format.");
        else
                answer_keys(sim, issue(sim, &role, narrowed, vn_now_us(sim->clock) + (int64_t)seconds * VN_US_PER_S),
                            vn_buf_view(&name), response);
}

void vn_sim_aws_sts(struct vn_sim *sim, uint32_t account, bool by_session, const struct vn_sim_request *request,
                    struct vn_sim_response *response)
{
        VN_AUTO(vn_buf)
        action = VN_BUF_INIT(128);
        const struct vn_sim_account *a = &sim->accounts[account];
        vn_sim_param(request->body, "Action", &action);
        if (vn_str_eq(vn_buf_view(&action), VN_STR("AssumeRole"))) {
                assume_role(sim, by_session, request, response);
                return;
        }
        if (!vn_str_eq(vn_buf_view(&action), VN_STR("GetCallerIdentity"))) {
                refuse(response, 400, "InvalidAction", "Could not find this operation");
                return;
        }
        vn_sim_text(response, 200, "text/xml", "");
        vn_buf_printf(&response->body,
                      "<GetCallerIdentityResponse "
                      "xmlns=\"https://sts.amazonaws.com/doc/2011-06-15/\"><GetCallerIdentityResult>"
                      "<Arn>arn:aws:iam::%s:user/vane-agent</Arn><UserId>%s</UserId><Account>%s</Account>"
                      "</GetCallerIdentityResult></GetCallerIdentityResponse>",
                      a->id, a->key_id, a->id);
}
