/* The real transport: HTTPS by net/http_client.h, whose answers have the very layout of vn_cloud_response. */
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "clouds/transport.h"
#include "net/http_client.h"

struct vn_cloud_http {
        struct vn_http *http;
        struct vn_cloud_transport transport;
};

static enum vn_rc send_http(void *state, const struct vn_cloud_request *request, struct vn_cloud_response *response,
                            struct vn_err *err)
{
        struct vn_cloud_http *self = state;
        struct vn_http_field fields[VN_CLOUD_MAX_HEADERS];
        struct vn_http_ask ask = {.method = request->method,
                                  .url = request->url,
                                  .headers = fields,
                                  .header_count = request->header_count,
                                  .body = request->body,
                                  .timeout_us = request->timeout_us,
                                  .once = request->once,
                                  .max_response_bytes = VN_CLOUD_MAX_RESPONSE_BYTES};
        struct vn_http_answer answer;
        enum vn_rc rc;

        for (size_t i = 0; i < request->header_count; i++)
                fields[i] = (struct vn_http_field){request->headers[i].name, request->headers[i].value};
        vn_http_answer_init(&answer);
        rc = vn_http_do(self->http, &ask, &answer, err);
        if (rc != VN_OK) {
                vn_http_answer_done(&answer);
                return rc;
        }
        vn_cloud_response_done(response);
        *response = (struct vn_cloud_response){answer.status, answer.headers, answer.body};
        return VN_OK;
}

static void sleep_real(void *state, int64_t us)
{
        struct timespec left = {.tv_sec = us / VN_US_PER_S, .tv_nsec = us % VN_US_PER_S * 1000};

        (void)state;
        while (us > 0 && nanosleep(&left, &left))
                ;
}

enum vn_rc vn_cloud_http_new(const char *ca_file, struct vn_cloud_http **ret, struct vn_err *err)
{
        const struct vn_http_options options = {
                .ca_file = ca_file, .user_agent = "vane-clouds", .allow_local_http = true};
        struct vn_cloud_http *self = vn_alloc(sizeof(*self));
        enum vn_rc rc;

        if (!self)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a transport");
        rc = vn_http_new(&options, &self->http, err);
        if (rc != VN_OK) {
                vn_free(self);
                return rc;
        }
        self->transport = (struct vn_cloud_transport){send_http, sleep_real, self};
        *ret = self;
        return VN_OK;
}

struct vn_cloud_http *vn_cloud_http_free(struct vn_cloud_http *http)
{
        if (http) {
                vn_http_free(http->http);
                vn_free(http);
        }
        return NULL;
}

const struct vn_cloud_transport *vn_cloud_http_transport(const struct vn_cloud_http *http)
{
        return &http->transport;
}
