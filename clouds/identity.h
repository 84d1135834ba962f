/* identity.h - what the credentials of the three clouds share: texts from outside, endpoints of this host, signed assertions.
 * Purpose: internal to clouds/. Threads: a handle's. Ownership: results point into the caller's buffers, which it wipes.
 * Errors: no message holds any of what is read. */
#ifndef VANE_CLOUDS_IDENTITY_H
#define VANE_CLOUDS_IDENTITY_H

#include "clouds/call.h"

/* An environment variable; empty if it is not set. */
struct vn_str vn_environment(const char *name);
bool vn_is_visible(struct vn_str s); /* nothing that could end a header or stand for a blank */
bool vn_is_host(struct vn_str s);    /* NAME or NAME:PORT and nothing else: no user, no query */
void vn_wipe(struct vn_buf *buf);    /* overwrites, then releases */
struct vn_str vn_without_line_end(struct vn_str s);
/* The content of a file that whoever writes it replaces before the token in it ends, without the line's end: read each time. */
enum vn_rc vn_token_read(struct vn_str path, struct vn_buf *buf, struct vn_str *ret, struct vn_err *err) VN_MUST_USE;

/* Asks an endpoint of this host, which is there or never will be: NOT_FOUND if nothing answers within a second, UNAVAILABLE if
 * something did before. One that answers is asked again, with rising pauses, while `may_come` says that its status may change.
 * OK: an answer of any status. */
enum vn_rc vn_host_ask(struct vn_cloud *cloud, struct vn_cloud_request *request, bool (*may_come)(int status),
                       struct vn_cloud_response *ret, struct vn_err *err) VN_MUST_USE;

/* Appends header.claims.signature (RS256); both are JSON texts. A key under a password is refused. */
enum vn_rc vn_jwt_sign(struct vn_str header, struct vn_str claims, struct vn_str key_pem, struct vn_buf *ret,
                       struct vn_err *err) VN_MUST_USE;
/* The exp of a JWT in microseconds, not checked otherwise; `missing_us` if there is none to be read. */
int64_t vn_jwt_end_us(struct vn_str token, int64_t missing_us);

#endif
