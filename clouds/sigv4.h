/* sigv4.h - AWS Signature Version 4: headers and pre-signed queries.
 * Purpose: own signer, because libcurl 7.88's is wrong for unsorted queries, ARNs in paths and valueless parameters.
 * Source: AWS's "Create a signed AWS API request"; judged by AWS's own test suite (tests/data/aws-sigv4).
 * Threads: any; pure but for OpenSSL. Ownership: borrows its inputs, appends to the caller's buffers. */
#ifndef VANE_CLOUDS_SIGV4_H
#define VANE_CLOUDS_SIGV4_H

#include "base/str.h"

#define VN_SIGV4_MAX_HEADERS 64
#define VN_SIGV4_MAX_PARAMS 256
#define VN_SIGV4_MAX_TEXT_BYTES (256u << 10) /* canonical request without the body */
#define VN_SIGV4_SIGNATURE_BYTES 65

struct vn_sigv4_header {
        struct vn_str name, value; /* any case; value as sent, with repeated and folded blanks allowed */
};
struct vn_sigv4_request {
        struct vn_str method;
        struct vn_str path;  /* as on the request line (what is percent-encoded there is encoded again); empty: "/" */
        struct vn_str query; /* as on the request line, without '?' */
        const struct vn_sigv4_header *headers; /* to be signed; must contain Host */
        size_t header_count;
        struct vn_str body;
};
struct vn_sigv4_key {
        struct vn_str access_key_id, secret_access_key, session_token; /* token empty: none */
        struct vn_str region, service;
};
struct vn_sigv4_options {
        int64_t time_us;
        bool keep_path;        /* sign the path without removing dot segments and double slashes */
        bool path_as_sent;     /* S3's rule: sign the path exactly as it is on the request line */
        bool sign_body_header; /* send and sign x-amz-content-sha256 */
        bool token_after;      /* send the session token unsigned */
        uint32_t expires_s;    /* query signing: X-Amz-Expires */
};
/* Everything that is worked out on the way; buffers are reset first. */
struct vn_sigv4_result {
        struct vn_buf canonical, string_to_sign;
        struct vn_buf authorization; /* header signing: value of Authorization */
        struct vn_buf query;         /* query signing: the query to send, signature included */
        char date[17];               /* x-amz-date, "20150830T123600Z" */
        char body_sha256[65];
        char signature[VN_SIGV4_SIGNATURE_BYTES];
};
void vn_sigv4_result_init(struct vn_sigv4_result *result);
void vn_sigv4_result_done(struct vn_sigv4_result *result);

/* Signs headers: the caller sends x-amz-date, x-amz-content-sha256 (if asked for), x-amz-security-token (if any) and
 * Authorization besides its own. Those that are already among the headers are used as they stand. */
enum vn_rc vn_sigv4_sign_headers(const struct vn_sigv4_request *request, const struct vn_sigv4_key *key,
                                 const struct vn_sigv4_options *options, struct vn_sigv4_result *ret,
                                 struct vn_err *err) VN_MUST_USE;
/* Signs a query: the caller sends path?ret->query. */
enum vn_rc vn_sigv4_sign_query(const struct vn_sigv4_request *request, const struct vn_sigv4_key *key,
                               const struct vn_sigv4_options *options, struct vn_sigv4_result *ret,
                               struct vn_err *err) VN_MUST_USE;

#endif
