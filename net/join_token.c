#include "net/join_token.h"

#define PREFIX "vanejoin1."
#define FIXED_BYTES (2 + 8 + 32 + 32)

enum vn_rc vn_join_token_encode(const struct vn_join_token *token, char ret[VN_JOIN_TOKEN_BYTES], struct vn_err *err)
{
        uint8_t head[2 + 8] = {1, token->level};
        for (int i = 0; i < 8; i++)
                head[2 + i] = (uint8_t)(token->account_id >> (56 - 8 * i));
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(FIXED_BYTES + 64);
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(VN_JOIN_TOKEN_BYTES - 1);
        vn_buf_add(&bytes, head, sizeof head);
        vn_buf_add(&bytes, token->ca_fingerprint, 32);
        vn_buf_add(&bytes, token->secret, 32);
        vn_buf_text(&bytes, token->tenant);
        VN_TRY(vn_buf_check(&bytes, err));
        vn_buf_text(&text, PREFIX);
        vn_buf_base64url(&text, bytes.ptr, bytes.len);
        VN_TRY(vn_buf_check(&text, err));
        memcpy(ret, text.ptr, text.len + 1);
        explicit_bzero(bytes.ptr, bytes.len);
        explicit_bzero(text.ptr, text.len);
        return VN_OK;
}

enum vn_rc vn_join_token_decode(struct vn_str text, struct vn_join_token *ret, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_JOIN_TOKEN_BYTES);
        if (!vn_str_starts(text, VN_STR(PREFIX)) || text.len >= VN_JOIN_TOKEN_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "join token: not one of this server's");
        text = vn_str_n(text.ptr + sizeof PREFIX - 1, text.len - (sizeof PREFIX - 1));
        if (vn_base64_decode(text, &bytes) != VN_OK || bytes.len <= FIXED_BYTES || bytes.ptr[0] != 1 ||
            (uint8_t)bytes.ptr[1] > 2)
                return vn_fail(err, VN_INVALID_ARGUMENT, "join token: damaged");
        *ret = (struct vn_join_token){.level = (uint8_t)bytes.ptr[1]};
        for (int i = 0; i < 8; i++)
                ret->account_id = ret->account_id << 8 | (uint8_t)bytes.ptr[2 + i];
        memcpy(ret->ca_fingerprint, bytes.ptr + 10, 32);
        memcpy(ret->secret, bytes.ptr + 42, 32);
        if (!vn_str_copy(ret->tenant, sizeof ret->tenant,
                         vn_str_n(bytes.ptr + FIXED_BYTES, bytes.len - FIXED_BYTES)) ||
            !vn_str_is_name(vn_str(ret->tenant), 63))
                return vn_fail(err, VN_INVALID_ARGUMENT, "join token: damaged");
        return VN_OK;
}
