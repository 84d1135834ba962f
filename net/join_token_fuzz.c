/* Any text as a join token: refused, or one that says the same when it is encoded again. */
#include "net/join_token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vn_join_token token, same;
        char again[VN_JOIN_TOKEN_BYTES];
        struct vn_str text = vn_str_n(data, size);
        if (vn_join_token_decode(text, &token, NULL) == VN_OK) {
                VN_ASSERT(token.level <= 2 && memchr(token.tenant, 0, sizeof token.tenant));
                VN_ASSERT(vn_join_token_encode(&token, again, NULL) == VN_OK);
                VN_ASSERT(vn_join_token_decode(vn_str(again), &same, NULL) == VN_OK);
                VN_ASSERT(!memcmp(&token, &same, sizeof token));
        }
        return 0;
}
