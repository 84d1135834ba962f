/* people_table.h - people, tokens and sessions in memory; shared by people.c, people_ops.c and login.c.
 * Threads: the control loop. */
#ifndef VANE_SERVER_PEOPLE_TABLE_H
#define VANE_SERVER_PEOPLE_TABLE_H

#include "server/auth.h"
#include "server/server.h"

#define VN_MAX_PEOPLE 10000
#define VN_MAX_TOKENS 100000
#define VN_TOKEN_TEXT_BYTES 64 /* prefix and 43 characters of 256 random bits */
#define VN_LOGIN_LINK_US (24 * VN_US_PER_HOUR)
#define VN_SESSION_US (12 * VN_US_PER_HOUR)

struct vn_person_entry {
        char tenant[VN_MAX_TENANT_BYTES];
        char name[64];
        enum vn_access access;
        int64_t created_us;
        bool revoked;
};

struct vn_people {
        uint64_t id_seed; /* secret: nobody makes up a name with another's id */
        struct vn_auth *auth;
        struct vn_person_entry *persons;
        size_t person_count;
        struct vn_auth_token *tokens;
        size_t token_count;
};

const char *vn_role_name(enum vn_access access);
bool vn_role_parse(const char *name, enum vn_access *ret);
struct vn_person_entry *vn_people_find(struct vn_people *people, const char *tenant, const char *name);
uint64_t vn_people_id(const struct vn_people *people, const char *tenant, const char *name);
struct vn_person_entry *vn_people_append(struct vn_people *people); /* NULL: too many */
void vn_people_store(struct vn_batch *batch, const struct vn_person_entry *person);
/* Makes a token in memory and in the batch; its text is shown to the caller once and kept nowhere. */
enum vn_rc vn_people_make_token(struct vn_server *server, struct vn_batch *batch,
                                const struct vn_person_entry *person, enum vn_token_kind kind, int64_t lifetime_us,
                                char ret_token[VN_TOKEN_TEXT_BYTES], struct vn_err *err) VN_MUST_USE;
void vn_people_drop_token(struct vn_server *server, struct vn_batch *batch, const uint8_t sha256[32]);
/* What a page must send back with each write: bound to the session, worthless without its cookie. */
void vn_people_csrf(struct vn_str session_token, char ret[65]);
/* The session cookie's value among the request's cookies, or empty. */
struct vn_str vn_people_cookie(struct vn_call *call);

#endif
