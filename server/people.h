/* people.h - who may do what: people, roles, API tokens, browser sessions, and the check on every call.
 * Purpose: two people from the first start, so that an approver is another person; tokens are hashed at rest.
 * Threads: vn_people_authenticate on any edge loop, without a lock while nothing changes: each thread keeps a
 *   reference to the current table and looks for a newer one by one atomic load. The rest on the control loop. */
#ifndef VANE_SERVER_PEOPLE_H
#define VANE_SERVER_PEOPLE_H

#include "server/server.h"

/* Loads people and tokens; on the first start makes "admin" and "approver" and writes their one-time links to
 * STATE/first-login.json (0600). */
enum vn_rc vn_people_start(struct vn_server *server, struct vn_err *err) VN_MUST_USE;
void vn_people_stop(struct vn_server *server);

/* A tenant's first two people, so that who approves is not who proposed, with a link for one log-in each. */
#define VN_FIRST_PEOPLE 2
struct vn_first_login {
        const char *name;
        enum vn_access access;
        char token[64];
        int64_t expires_us;
};
/* Adds them to memory and to the batch, with their records. If the batch is not committed, the caller takes them out of
 * memory again, or stops. */
enum vn_rc vn_people_make_first(struct vn_server *server, struct vn_batch *batch, const char *tenant,
                                const char *actor, struct vn_first_login ret[VN_FIRST_PEOPLE],
                                struct vn_err *err) VN_MUST_USE;

/* The edge's authenticator (context: the server). Agents by certificate, people by bearer token or session cookie; a
 * write by session needs the X-Vane-CSRF header. */
enum vn_rc vn_people_authenticate(void *context, struct vn_call *call, struct vn_identity *ret, struct vn_err *err);
/* Tells the auth table about an agent's account: known certificates only are let in. */
void vn_people_publish(struct vn_server *server);

/* Prints the first start's links on a terminal, if there is one. */
void vn_people_show_links(struct vn_server *server);

/* Raw HTTP: POST /login {token}, GET /session, POST /logout, POST /login-link. */
enum vn_rc vn_people_add_http(struct vn_server *server, struct vn_err *err) VN_MUST_USE;

#endif
