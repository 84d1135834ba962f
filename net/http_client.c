/* The blocking form: one easy handle that is kept, so that its connections are. */
#include "net/http_client_internal.h"

struct vn_http {
        struct http_settings settings;
        CURL *easy;
        atomic_bool abort;
};

enum vn_rc vn_http_new(const struct vn_http_options *options, struct vn_http **ret, struct vn_err *err)
{
        VN_AUTO(vn_http)
        http = vn_alloc(sizeof(*http));

        if (!http)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP client");
        VN_TRY(http_settings_init(&http->settings, options, err));
        http->easy = curl_easy_init();
        if (!http->easy)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for an HTTP client");
        *ret = vn_steal(&http);
        return VN_OK;
}

struct vn_http *vn_http_free(struct vn_http *http)
{
        if (!http)
                return NULL;
        if (http->easy)
                curl_easy_cleanup(http->easy);
        http_settings_done(&http->settings);
        vn_free(http);
        return NULL;
}

enum vn_rc vn_http_do(struct vn_http *http, const struct vn_http_ask *ask, struct vn_http_answer *answer,
                      struct vn_err *err)
{
        struct http_transfer t = {.easy = http->easy, .answer = answer, .abort = &http->abort};
        enum vn_rc rc;

        atomic_store(&http->abort, false);
        curl_easy_reset(http->easy); /* options only: connections, sessions and names found are kept */
        rc = http_transfer_prepare(&t, &http->settings, ask, false, err);
        if (rc == VN_OK)
                rc = http_transfer_result(&t, curl_easy_perform(http->easy), err);
        http_transfer_done(&t);
        return rc;
}

void vn_http_abort(struct vn_http *http)
{
        atomic_store(&http->abort, true);
}
