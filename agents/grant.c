#include "agents/grant.h"

#include "base/hpke.h"
#include "clouds/grant.h"
#include "net/grant_seal.h"
#include "vane/v1/agent.pb-c.h"

#define MAX_SEALED_BYTES (VN_CLOUD_GRANT_MAX_BYTES + VN_HPKE_TAG_BYTES)
#define SHORTEST_S 60
#define LONGEST_S 3600

static enum vn_rc seal(const struct vn_agent_grant *request, const struct vn_cloud_grant *grant, uint8_t enc[32],
                       struct vn_buf *ret, struct vn_err *err)
{
        char associated[VN_GRANT_ASSOCIATED_BYTES];
        VN_TRY(vn_grant_associated(request->id, request->gateway_key, grant->expires_us, associated, err));
        return vn_hpke_seal(request->gateway_key, VN_GRANT_INFO, vn_str(associated), vn_buf_view(&grant->secret), enc,
                            ret, err);
}

/* The agent is the last that can say no. */
static enum vn_rc mint(const struct vn_gather *gather, const struct vn_agent_grant *request, const char *level,
                       struct vn_cloud_grant *ret, struct vn_err *err)
{
        if (strcmp(level, "invoke"))
                return vn_fail(err, VN_PERMISSION_DENIED, "the account's level is %s", level);
        if (request->seconds < SHORTEST_S || request->seconds > LONGEST_S)
                return vn_fail(err, VN_INVALID_ARGUMENT, "a grant lasts %d to %d s", SHORTEST_S, LONGEST_S);
        return vn_gather_grant(gather, request, ret, err);
}

enum vn_rc vn_grant_give(const struct vn_gather *gather, struct vn_grpc_channel *channel,
                         const struct vn_agent_grant *request, const char *level, struct vn_err *err)
{
        struct vn_cloud_grant grant = {0};
        Vane__V1__GrantReport report = VANE__V1__GRANT_REPORT__INIT;
        VN_AUTO(vn_buf)
        sealed = VN_BUF_INIT(MAX_SEALED_BYTES);
        uint8_t enc[VN_HPKE_KEY_BYTES];
        char id[sizeof request->id];
        memcpy(id, request->id, sizeof id);
        enum vn_rc rc = mint(gather, request, level, &grant, err);
        if (rc == VN_OK)
                rc = seal(request, &grant, enc, &sealed, err);
        report.id = id;
        if (rc == VN_OK) {
                report.enc = (ProtobufCBinaryData){sizeof enc, enc};
                report.sealed = (ProtobufCBinaryData){sealed.len, (uint8_t *)sealed.ptr};
                report.expires_us = grant.expires_us;
                report.honoured_until_us = grant.honoured_until_us;
                report.honoured = grant.honoured;
        } else {
                report.error = err->msg;
        }
        struct vn_err lost;
        enum vn_rc told = vn_link_grant(channel, &report, rc == VN_OK ? err : &lost);
        vn_cloud_grant_done(&grant);
        return rc == VN_OK ? told : rc;
}
