/* internal.h - what the files of server/grants share. Threads: the control loop. */
#ifndef VANE_SERVER_GRANTS_INTERNAL_H
#define VANE_SERVER_GRANTS_INTERNAL_H

#include "server/grants/grants.h"
#include "vane/v1/agent.pb-c.h"
#include "vane/v1/control.pb-c.h"

#define VN_GRANT_MAX_WISHES 32    /* of one gateway */
#define VN_GRANT_MAX_FUNCTIONS 16 /* of one wish: what the narrowest cloud can name in one grant */
#define VN_GRANT_S 900

enum vn_grant_state { VN_GRANT_ASKED, VN_GRANT_HELD, VN_GRANT_REVOKED, VN_GRANT_ENDED, VN_GRANT_FAILED };

struct vn_grant {
        char id[17];
        uint64_t account_id, stream;
        char tenant[VN_MAX_TENANT_BYTES], account[64], gateway[VN_MAX_ACTOR_BYTES];
        enum vn_cloud_id cloud;
        enum vn_grant_state state;
        int64_t asked_us, asked_mono_us, expires_us, honoured_until_us;
        char honoured[96];
        struct {
                char name[192], region[48];
        } * functions;
        size_t function_count;
};

struct vn_gateway {
        struct vn_gateway *next;
        uint64_t stream;
        char tenant[VN_MAX_TENANT_BYTES], name[VN_MAX_ACTOR_BYTES];
        Vane__V1__GatewayMessage *hello; /* with the key and the wishes */
        struct {
                struct vn_grant *grant; /* the newest asked for; NULL: none yet, or forgotten */
                int64_t next_mono_us;   /* not asked again before */
                unsigned failures;      /* in a row */
                bool closed;            /* its grant was revoked */
        } wishes[VN_GRANT_MAX_WISHES];
};

struct vn_grants {
        struct vn_grant **grants; /* by age */
        size_t count;
        struct vn_gateway *gateways;
        size_t gateway_count;
};

struct vn_grant *vn_grant_find(struct vn_grants *grants, const char *id);
/* The record of a change, durable when it returns. */
enum vn_rc vn_grant_record(struct vn_server *server, const struct vn_grant *grant, const char *actor,
                           const char *what, struct vn_err *err) VN_MUST_USE;
/* Marks it and tells its gateway. */
void vn_grant_revoke(struct vn_server *server, struct vn_grant *grant);
void vn_grant_trouble(struct vn_server *server, uint64_t stream, const char *account, const char *message);
/* A gateway's first message; owned from here on. */
void vn_gateway_hello(struct vn_server *server, uint64_t stream, const struct vn_identity *who,
                      Vane__V1__GatewayMessage *message);
void vn_gateway_gone(struct vn_server *server, uint64_t stream);

#endif
