#include "base/hpke.h"

#include "tests/test.h"

static struct vn_str unhex(const char *hex, uint8_t *ret)
{
        size_t n = strlen(hex) / 2;
        CHECK_OK(vn_unhex(vn_str(hex), ret, n));
        return vn_str_n(ret, n);
}

/* RFC 9180, appendix A.1.1, sequence number 0. */
TEST(the_rfc_s_vector_comes_out)
{
        uint8_t ephemeral[32], recipient[32], info[64], aad[16], text[64], want[64], want_enc[32], enc[32];
        VN_AUTO(vn_buf)
        sealed = VN_BUF_INIT(1024);

        unhex("52c4a758a802cd8b936eceea314432798d5baf2d7e9235dc084ab1b9cfa2f736", ephemeral);
        unhex("3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d", recipient);
        unhex("37fda3567bdbd628e88668c3c8d7e97d1d1253b6d4ea6d44c150f741f1bf4431", want_enc);
        struct vn_str expected = unhex("f938558b5d72f1a23810b4be2ab4f84331acc02fc97babc53a52ae8218a355a9"
                                       "6d8770ac83d07bea87e13c512a",
                                       want);
        CHECK_OK(vn_hpke_seal_as(
                VN_HPKE_AES_128_GCM, ephemeral, recipient, unhex("4f6465206f6e2061204772656369616e2055726e", info),
                unhex("436f756e742d30", aad),
                unhex("4265617574792069732074727574682c20747275746820626561757479", text), enc, &sealed, NULL));
        CHECK(!memcmp(enc, want_enc, 32));
        CHECK(vn_str_eq(expected, vn_buf_view(&sealed)));
}

struct pair {
        uint8_t private_key[32], public_key[32];
};

static struct pair make(void)
{
        struct pair p;
        CHECK_OK(vn_hpke_make_key(p.private_key, p.public_key, NULL));
        return p;
}

TEST(what_is_sealed_to_one_key_opens_with_that_key_only)
{
        struct pair one = make(), other = make();
        uint8_t enc[32];
        VN_AUTO(vn_buf)
        sealed = VN_BUF_INIT(1024);
        VN_AUTO(vn_buf)
        opened = VN_BUF_INIT(1024);
        const struct vn_str info = VN_STR("test"), aad = VN_STR("grant 1"), text = VN_STR("a secret");

        CHECK_OK(vn_hpke_seal(one.public_key, info, aad, text, enc, &sealed, NULL));
        CHECK_INT(text.len + VN_HPKE_TAG_BYTES, sealed.len);
        CHECK(!memmem(sealed.ptr, sealed.len, text.ptr, text.len));
        CHECK_OK(vn_hpke_open(one.private_key, enc, info, aad, vn_buf_view(&sealed), &opened, NULL));
        CHECK(vn_str_eq(text, vn_buf_view(&opened)));
        vn_buf_reset(&opened);
        CHECK_RC(VN_UNAUTHENTICATED,
                 vn_hpke_open(other.private_key, enc, info, aad, vn_buf_view(&sealed), &opened, NULL));
        CHECK_RC(VN_UNAUTHENTICATED,
                 vn_hpke_open(one.private_key, enc, info, VN_STR("grant 2"), vn_buf_view(&sealed), &opened, NULL));
        CHECK_RC(VN_UNAUTHENTICATED,
                 vn_hpke_open(one.private_key, enc, VN_STR("toast"), aad, vn_buf_view(&sealed), &opened, NULL));
        for (size_t i = 0; i < sealed.len; i++) {
                sealed.ptr[i] ^= 1;
                CHECK_RC(VN_UNAUTHENTICATED,
                         vn_hpke_open(one.private_key, enc, info, aad, vn_buf_view(&sealed), &opened, NULL));
                sealed.ptr[i] ^= 1;
        }
        CHECK_INT(0, opened.len);
}

TEST(a_key_of_small_order_is_nobody_s)
{
        struct pair one = make();
        static const uint8_t zero[32];
        uint8_t enc[32];
        VN_AUTO(vn_buf)
        sealed = VN_BUF_INIT(1024);

        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_hpke_seal(zero, VN_STR(""), VN_STR(""), VN_STR("a secret"), enc, &sealed, NULL));
        CHECK_RC(VN_UNAUTHENTICATED, vn_hpke_open(one.private_key, zero, VN_STR(""), VN_STR(""),
                                                  VN_STR("0123456789abcdef0"), &sealed, NULL));
        CHECK_RC(VN_INVALID_ARGUMENT,
                 vn_hpke_seal(one.public_key, VN_STR(""), VN_STR(""), VN_STR(""), enc, &sealed, NULL));
}
