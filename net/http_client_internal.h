/* http_client_internal.h - what the blocking and the loop form of the HTTP client share: how one easy handle is set up
 * and how its result is read. Internal to net/http_client*. */
#ifndef VANE_NET_HTTP_CLIENT_INTERNAL_H
#define VANE_NET_HTTP_CLIENT_INTERNAL_H

#include <curl/curl.h>
#include <stdatomic.h>

#include "net/http_client.h"

#define HTTP_MAX_HOST_BYTES 256

/* The caller's options, copied. */
struct http_settings {
        char *ca_file, *cert_file, *key_file, *user_agent, *ca_pem;
        size_t ca_pem_bytes;
        bool allow_local_http, http1_only;
};

/* One exchange's own state; must not move while the easy handle uses it. */
struct http_transfer {
        CURL *easy; /* borrowed */
        struct curl_slist *headers;
        struct vn_http_answer *answer;
        size_t max_bytes;
        bool too_large, no_memory;
        struct vn_str body; /* of a request that goes once; read by on_read */
        size_t body_at;
        char *body_copy;
        atomic_bool *abort; /* NULL: cannot be aborted */
        char host[HTTP_MAX_HOST_BYTES];
        char error[CURL_ERROR_SIZE];
};

enum vn_rc http_settings_init(struct http_settings *settings, const struct vn_http_options *options,
                              struct vn_err *err) VN_MUST_USE;
void http_settings_done(struct http_settings *settings);

/* Checks the request and sets the handle up for it. copy_body: the handle keeps its own copy. */
enum vn_rc http_transfer_prepare(struct http_transfer *transfer, const struct http_settings *settings,
                                 const struct vn_http_ask *ask, bool copy_body, struct vn_err *err) VN_MUST_USE;
enum vn_rc http_transfer_result(struct http_transfer *transfer, CURLcode code, struct vn_err *err) VN_MUST_USE;
void http_transfer_done(struct http_transfer *transfer);

#endif
