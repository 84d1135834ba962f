#include "net/join_token.h"
#include "tests/test.h"

TEST(join_token_round_trips_and_refuses_damage)
{
        struct vn_join_token token = {.level = 2, .account_id = 77, .tenant = "default"}, back;
        memset(token.ca_fingerprint, 0xAB, 32);
        memset(token.secret, 0xCD, 32);
        char text[VN_JOIN_TOKEN_BYTES];
        CHECK_OK(vn_join_token_encode(&token, text, NULL));
        CHECK_OK(vn_join_token_decode(vn_str(text), &back, NULL));
        CHECK(!memcmp(&token, &back, sizeof token));
        for (size_t n = 0; n + 1 < strlen(text); n++)
                if (vn_join_token_decode(vn_str_n(text, n), &back, NULL) == VN_OK)
                        CHECK(strcmp(back.tenant, "default") != 0); /* a cut tenant is another token's */
        text[12] = '!';
        CHECK_RC(VN_INVALID_ARGUMENT, vn_join_token_decode(vn_str(text), &back, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_join_token_decode(VN_STR("vane_other"), &back, NULL));
}
