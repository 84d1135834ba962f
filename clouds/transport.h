/* transport.h - how clouds/ sends one HTTP request, as a pair of function pointers.
 * Purpose: the real one is HTTPS over net/http_client.h; tests inject one that answers from fixtures.
 * Threads: a transport is used by one thread at a time unless its maker says otherwise.
 * Ownership: requests borrow; a response owns its buffers (vn_cloud_response_done). */
#ifndef VANE_CLOUDS_TRANSPORT_H
#define VANE_CLOUDS_TRANSPORT_H

#include "base/err.h"
#include "base/str.h"

#define VN_CLOUD_MAX_HEADERS 24
#define VN_CLOUD_MAX_RESPONSE_BYTES (16u << 20)

struct vn_cloud_header {
        struct vn_str name, value;
};
struct vn_cloud_request {
        const char *method;
        const char *url;
        struct vn_cloud_header headers[VN_CLOUD_MAX_HEADERS];
        size_t header_count;
        struct vn_str body;
        int64_t timeout_us;
        bool once; /* must not be sent twice, whatever becomes of the connection */
};
struct vn_cloud_response {
        int status;
        struct vn_buf headers; /* "name\0value\0" pairs, names in lower case */
        struct vn_buf body;
};
void vn_cloud_response_init(struct vn_cloud_response *response);
void vn_cloud_response_done(struct vn_cloud_response *response);
/* Empty (ptr NULL) if absent; the first one if repeated. */
struct vn_str vn_cloud_response_header(const struct vn_cloud_response *response, const char *lower_name);
bool vn_cloud_response_add_header(struct vn_cloud_response *response, struct vn_str name, struct vn_str value);

struct vn_cloud_transport {
        /* An HTTP answer of any status is OK; else UNAVAILABLE or DEADLINE_EXCEEDED. The response is initialised. */
        enum vn_rc (*send)(void *state, const struct vn_cloud_request *request, struct vn_cloud_response *response,
                           struct vn_err *err);
        void (*sleep_us)(void *state, int64_t us); /* between retries and polls */
        void *state;
};

/* HTTPS with kept-alive connections; ca_file NULL: the system's. Plain http only to loopback. */
struct vn_cloud_http;
enum vn_rc vn_cloud_http_new(const char *ca_file, struct vn_cloud_http **ret, struct vn_err *err) VN_MUST_USE;
struct vn_cloud_http *vn_cloud_http_free(struct vn_cloud_http *http);
const struct vn_cloud_transport *vn_cloud_http_transport(const struct vn_cloud_http *http);

#endif
