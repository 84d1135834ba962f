/* Any bytes as JSON, numbers, times and encoded text: what is accepted says the same when it is written again. */
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void numbers(struct vn_str text)
{
        char again[VN_NUMBER_TEXT_BYTES];
        double value, same;
        int64_t i;
        uint64_t u;
        if (vn_str_to_double(text, &value) == VN_OK) {
                VN_ASSERT(vn_json_number(value, again));
                VN_ASSERT(vn_str_to_double(vn_str(again), &same) == VN_OK && same == value);
        }
        if (vn_str_to_u64(text, &u) == VN_OK && u <= INT64_MAX)
                VN_ASSERT(vn_str_to_i64(text, &i) == VN_OK && (uint64_t)i == u);
}

static void codecs(struct vn_str text)
{
        VN_AUTO(vn_buf)
        plain = VN_BUF_INIT(1 << 20);
        VN_AUTO(vn_buf)
        coded = VN_BUF_INIT(4 << 20);
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(4 << 20);
        vn_buf_url_encode(&coded, text, true);
        VN_ASSERT(vn_url_decode(vn_buf_view(&coded), &plain) == VN_OK && vn_str_eq(vn_buf_view(&plain), text));
        vn_buf_reset(&coded);
        vn_buf_reset(&plain);
        vn_buf_base64url(&coded, text.ptr, text.len);
        VN_ASSERT(vn_base64_decode(vn_buf_view(&coded), &plain) == VN_OK && vn_str_eq(vn_buf_view(&plain), text));
        vn_buf_reset(&plain);
        if (vn_base64_decode(text, &plain) == VN_OK) {
                vn_buf_reset(&coded);
                vn_buf_base64(&coded, plain.ptr, plain.len);
                VN_ASSERT(vn_base64_decode(vn_buf_view(&coded), &again) == VN_OK);
                VN_ASSERT(vn_str_eq(vn_buf_view(&plain), vn_buf_view(&again)));
        }
        vn_buf_reset(&plain);
        if (vn_url_decode(text, &plain) == VN_OK)
                VN_ASSERT(plain.len <= text.len);
}

static void json(struct vn_str text)
{
        static const struct vn_json_limits limits = {1 << 20, 16, 5000};
        VN_AUTO(vn_json)
        parsed = NULL;
        VN_AUTO(vn_json)
        again = NULL;
        VN_AUTO(vn_buf)
        quoted = VN_BUF_INIT(8 << 20);
        struct vn_err err = {.rc = VN_OK};
        if (vn_json_parse(text, &limits, &parsed, &err) == VN_OK) {
                char *dump = json_dumps(parsed, JSON_ENCODE_ANY);
                VN_ASSERT(dump && vn_json_parse(vn_str(dump), &limits, &again, &err) == VN_OK);
                VN_ASSERT(json_equal(parsed, again));
                free(dump);
                again = (json_decref(again), NULL);
        } else {
                VN_ASSERT(err.msg[0]);
        }
        /* Whatever a peer's text holds, between our quotes it is one JSON string (our own parser refuses NUL). */
        if (memchr(text.ptr, 0, text.len))
                return;
        vn_buf_json_string(&quoted, text);
        VN_ASSERT(vn_json_parse(vn_buf_view(&quoted), &limits, &again, &err) == VN_OK && json_is_string(again));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size > 65536)
                return 0;
        /* A copy of its own, so that one byte too many is seen. */
        char *bytes = vn_strndup((const char *)data, size);
        struct vn_str text = vn_str_n(bytes, size);
        VN_ASSERT(bytes);
        numbers(text);
        codecs(text);
        json(text);
        vn_free(bytes);
        return 0;
}
