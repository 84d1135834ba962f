/* The loop form: libcurl's multi handle tells which sockets and which time-out it waits for, libevent waits.
 * Callbacks run from `collect`, after libcurl has returned: they may start and cancel exchanges. */
#include <event2/event.h>

#include "base/loop.h"
#include "net/http_client_internal.h"

#define MAX_HOST_CONNECTIONS 8L
#define MAX_CONNECTIONS 64L

struct vn_http_exchange {
        struct vn_http_exchange *next, *prev;
        struct vn_http_async *http;
        struct http_transfer transfer;
        struct vn_http_answer answer;
        vn_http_done done;
        void *context;
};

struct vn_http_async {
        struct vn_loop *loop;
        struct http_settings settings;
        CURLM *multi;
        struct vn_timer *timer;
        struct vn_http_exchange *exchanges;
        unsigned in_flight, max_in_flight;
        bool collecting;
};

static void end(struct vn_http_exchange *x, enum vn_rc rc, const struct vn_err *err)
{
        struct vn_http_async *http = x->http;

        curl_multi_remove_handle(http->multi, x->transfer.easy);
        if (x->prev)
                x->prev->next = x->next;
        else
                http->exchanges = x->next;
        if (x->next)
                x->next->prev = x->prev;
        http->in_flight--;
        x->done(x->context, rc, &x->answer, err);
        curl_easy_cleanup(x->transfer.easy);
        http_transfer_done(&x->transfer);
        vn_http_answer_done(&x->answer);
        vn_free(x);
}

static void collect(struct vn_http_async *http)
{
        CURLMsg *message;
        int left;

        http->collecting = true;
        while ((message = curl_multi_info_read(http->multi, &left))) {
                struct vn_err err = {.rc = VN_OK};
                char *private = NULL;
                struct vn_http_exchange *x;
                enum vn_rc rc;

                if (message->msg != CURLMSG_DONE)
                        continue;
                curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &private);
                x = (struct vn_http_exchange *)(void *)(private - offsetof(struct vn_http_exchange, transfer));
                rc = http_transfer_result(&x->transfer, message->data.result, &err);
                end(x, rc, &err);
        }
        http->collecting = false;
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
        struct vn_http_async *http = arg;
        int running, flags = (what & EV_READ ? CURL_CSELECT_IN : 0) | (what & EV_WRITE ? CURL_CSELECT_OUT : 0);

        curl_multi_socket_action(http->multi, fd, flags, &running);
        collect(http);
}

static void on_timer(void *arg)
{
        struct vn_http_async *http = arg;
        int running;

        curl_multi_socket_action(http->multi, CURL_SOCKET_TIMEOUT, 0, &running);
        collect(http);
}

static int on_timeout_wanted(CURLM *multi, long ms, void *arg)
{
        struct vn_http_async *http = arg;
        (void)multi;
        if (ms < 0)
                vn_timer_cancel(http->timer);
        else
                vn_timer_once(http->timer, (int64_t)ms * 1000);
        return 0;
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
        struct vn_http_async *http = arg;
        struct event *event = socket_arg;
        short flags = EV_PERSIST;

        (void)easy;
        if (event) {
                event_free(event);
                curl_multi_assign(http->multi, fd, NULL);
        }
        if (what == CURL_POLL_REMOVE)
                return 0;
        flags |= (what & CURL_POLL_IN ? EV_READ : 0) | (what & CURL_POLL_OUT ? EV_WRITE : 0);
        event = event_new(vn_loop_base(http->loop), fd, flags, on_event, http);
        if (!event || event_add(event, NULL) || curl_multi_assign(http->multi, fd, event)) {
                if (event)
                        event_free(event);
                return -1; /* libcurl fails every exchange of the multi handle: memory is out */
        }
        return 0;
}

VN_DEFINE_AUTO(vn_http_async);

enum vn_rc vn_http_async_new(struct vn_loop *loop, const struct vn_http_options *options, unsigned max_in_flight,
                             struct vn_http_async **ret, struct vn_err *err)
{
        VN_AUTO(vn_http_async)
        http = vn_alloc(sizeof(*http));

        if (!http)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP client");
        http->loop = loop;
        http->max_in_flight = max_in_flight;
        VN_TRY(http_settings_init(&http->settings, options, err));
        VN_TRY(vn_timer_new(loop, on_timer, http, &http->timer, err));
        http->multi = curl_multi_init();
        if (!http->multi)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP client");
        curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
        curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http);
        curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted);
        curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http);
        curl_multi_setopt(http->multi, CURLMOPT_MAX_HOST_CONNECTIONS, MAX_HOST_CONNECTIONS);
        curl_multi_setopt(http->multi, CURLMOPT_MAX_TOTAL_CONNECTIONS, MAX_CONNECTIONS);
        *ret = vn_steal(&http);
        return VN_OK;
}

struct vn_http_async *vn_http_async_free(struct vn_http_async *http)
{
        if (!http)
                return NULL;
        VN_ASSERT(!http->collecting); /* not from a callback */
        while (http->exchanges)
                vn_http_async_cancel(http->exchanges);
        if (http->multi)
                curl_multi_cleanup(http->multi);
        vn_timer_free(http->timer);
        http_settings_done(&http->settings);
        vn_free(http);
        return NULL;
}

enum vn_rc vn_http_async_start(struct vn_http_async *http, const struct vn_http_ask *ask, vn_http_done done,
                               void *context, struct vn_http_exchange **ret, struct vn_err *err)
{
        struct vn_http_exchange *x;
        enum vn_rc rc;

        if (http->in_flight >= http->max_in_flight)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%u HTTP requests are under way", http->in_flight);
        x = vn_alloc(sizeof(*x));
        if (!x)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP request");
        vn_http_answer_init(&x->answer);
        x->http = http;
        x->done = done;
        x->context = context;
        x->transfer.answer = &x->answer;
        x->transfer.easy = curl_easy_init();
        rc = x->transfer.easy ? http_transfer_prepare(&x->transfer, &http->settings, ask, true, err)
                              : vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP request");
        if (rc == VN_OK && curl_multi_add_handle(http->multi, x->transfer.easy))
                rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP request");
        if (rc != VN_OK) {
                if (x->transfer.easy)
                        curl_easy_cleanup(x->transfer.easy);
                http_transfer_done(&x->transfer);
                vn_http_answer_done(&x->answer);
                vn_free(x);
                return rc;
        }
        x->next = http->exchanges;
        if (x->next)
                x->next->prev = x;
        http->exchanges = x;
        http->in_flight++;
        if (ret)
                *ret = x;
        return VN_OK;
}

void vn_http_async_cancel(struct vn_http_exchange *exchange)
{
        struct vn_err err;
        enum vn_rc rc = vn_fail(&err, VN_CANCELLED, "%s: given up", exchange->transfer.host);
        end(exchange, rc, &err);
}
