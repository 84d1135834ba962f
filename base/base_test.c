#include "base/clock.h"
#include "base/detmath.h"
#include "base/fault.h"
#include "base/hash.h"
#include "tests/test.h"

#include <math.h>

static double ulps(double got, double want)
{
        double unit = fabs(want) * 0x1p-52;
        return unit > 0 ? fabs(got - want) / unit : fabs(got - want) / 0x1p-1074;
}

TEST(detmath_agrees_with_libm_within_2_ulp)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (int i = 0; i < 200000; i++) {
                double x = (vn_rng_unit(&rng) - 0.5) * 1400;
                if (exp(x) > 1e-300 && exp(x) < 1e300)
                        CHECK(ulps(vn_exp(x), exp(x)) <= 2);
                double y = exp((vn_rng_unit(&rng) - 0.5) * 600);
                CHECK(ulps(vn_log(y), log(y)) <= 2);
        }
        CHECK(vn_exp(0) == 1 && vn_log(1) == 0 && vn_exp(-1000) == 0 && isinf(vn_exp(1000)));
        CHECK_NEAR(tanh(0.3), vn_tanh(0.3), 1e-15);
        CHECK_NEAR(1 / (1 + exp(2.5)), vn_sigmoid(-2.5), 1e-16);
}

TEST(buffer_never_passes_its_maximum)
{
        VN_AUTO(vn_buf)
        buf = VN_BUF_INIT(10);
        CHECK(vn_buf_text(&buf, "12345"));
        CHECK(!vn_buf_text(&buf, "678901"));
        CHECK_TEXT("12345", buf.ptr);
        CHECK_RC(VN_RESOURCE_EXHAUSTED, vn_buf_check(&buf, NULL));
}

TEST(numbers_reject_what_is_not_wholly_a_number)
{
        uint64_t u;
        int64_t s;
        double d;
        CHECK_OK(vn_str_to_u64(VN_STR("18446744073709551615"), &u));
        CHECK_RC(VN_OUT_OF_RANGE, vn_str_to_u64(VN_STR("18446744073709551616"), &u));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_str_to_u64(VN_STR("+5"), &u));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_str_to_u64(VN_STR("0x5"), &u));
        CHECK_OK(vn_str_to_i64(VN_STR("-9223372036854775808"), &s));
        CHECK_OK(vn_str_to_double(VN_STR("1.66667e-5"), &d));
        CHECK_RC(VN_INVALID_ARGUMENT, vn_str_to_double(VN_STR("nan"), &d));
        CHECK_RC(VN_OUT_OF_RANGE, vn_str_to_double(VN_STR("1e999"), &d));
}

TEST(encodings_round_trip)
{
        struct vn_rng rng;
        vn_rng_seed(&rng, test_seed());
        for (int i = 0; i < 500; i++) {
                uint8_t bytes[64];
                size_t n = vn_rng_below(&rng, sizeof bytes);
                for (size_t k = 0; k < n; k++)
                        bytes[k] = (uint8_t)vn_rng_u64(&rng);
                VN_AUTO(vn_buf)
                text = VN_BUF_INIT(1000);
                VN_AUTO(vn_buf)
                back = VN_BUF_INIT(1000);
                CHECK(i % 2 ? vn_buf_base64(&text, bytes, n) : vn_buf_base64url(&text, bytes, n));
                CHECK_OK(vn_base64_decode(vn_buf_view(&text), &back));
                CHECK(vn_str_eq(vn_buf_view(&back), vn_str_n(bytes, n)));
                vn_buf_reset(&text);
                vn_buf_reset(&back);
                CHECK(vn_buf_url_encode(&text, vn_str_n(bytes, n), false));
                CHECK_OK(vn_url_decode(vn_buf_view(&text), &back));
                CHECK(vn_str_eq(vn_buf_view(&back), vn_str_n(bytes, n)));
        }
}

TEST(json_string_escapes_and_repairs)
{
        VN_AUTO(vn_buf)
        out = VN_BUF_INIT(100);
        CHECK(vn_buf_json_string(&out, VN_STR("a\"\\\n\xC3\xA9\xFF")));
        CHECK_TEXT("\"a\\\"\\\\\\u000a\xC3\xA9\xEF\xBF\xBD\"", out.ptr);
}

TEST(digest_in_pieces_is_the_digest_of_the_whole)
{
        uint8_t whole[VN_SHA256_BYTES], pieces[VN_SHA256_BYTES];
        struct vn_digest *digest = vn_digest_new();
        CHECK(digest);
        vn_sha256("in three pieces", 15, whole);
        vn_digest_add(digest, "in ", 3);
        vn_sha256("between", 7, pieces); /* which has a context of its own */
        vn_digest_add(digest, "three ", 6);
        vn_digest_add(digest, "pieces", 6);
        vn_digest_end(digest, pieces);
        vn_digest_free(digest);
        CHECK(!memcmp(whole, pieces, sizeof whole));
}

TEST(sha256_and_hmac_match_published_vectors)
{
        uint8_t digest[32];
        char hex[65];
        vn_sha256("abc", 3, digest);
        vn_hex(digest, 32, hex);
        CHECK_TEXT("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", hex);
        vn_hmac_sha256(VN_STR("Jefe"), VN_STR("what do ya want for nothing?"), digest); /* RFC 4231, case 2 */
        vn_hex(digest, 32, hex);
        CHECK_TEXT("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843", hex);
}

TEST(time_text_round_trips)
{
        char text[VN_TIME_TEXT_BYTES];
        int64_t back;
        for (int64_t t = -1000000000; t < 5000000000; t += 86399999) {
                vn_time_format(t * VN_US_PER_S, text);
                CHECK_OK(vn_time_parse(text, strlen(text), &back));
                CHECK_INT(t * VN_US_PER_S, back);
        }
        CHECK_OK(vn_time_parse("2026-11-24T15:00:00+02:00", 25, &back));
        vn_time_format(back, text);
        CHECK_TEXT("2026-11-24T13:00:00.000Z", text);
        CHECK_RC(VN_INVALID_ARGUMENT, vn_time_parse("2026-13-24T15:00:00Z", 20, &back));
}

TEST(arena_stops_at_its_cap_and_forgets_all_at_once)
{
        VN_AUTO(vn_arena)
        arena = {0};
        vn_arena_init(&arena, 10000);
        size_t got = 0;
        while (vn_arena_alloc(&arena, 100))
                got++;
        CHECK(got > 50 && got <= 100);
        vn_arena_reset(&arena);
        CHECK(vn_arena_alloc(&arena, 100) != NULL);
        CHECK(vn_arena_alloc(&arena, SIZE_MAX) == NULL);
}

TEST(shared_clock_is_seen_by_all_and_never_goes_back)
{
        char path[512];
        snprintf(path, sizeof path, "%s/clock", test_dir());
        struct vn_clock_shared *driver, *reader;
        CHECK_OK(vn_clock_shared_create(path, 1000, &driver, NULL));
        CHECK_OK(vn_clock_shared_open(path, &reader, NULL));
        vn_clock_shared_set(driver, 5000);
        vn_clock_shared_set(driver, 4000);
        CHECK_INT(5000, vn_now_us(vn_clock_shared_clock(reader)));
        vn_clock_shared_free(driver);
        vn_clock_shared_free(reader);
}

static enum vn_rc write_once(void)
{
        char path[512];
        snprintf(path, sizeof path, "%s/file", test_dir());
        VN_AUTO(vn_buf)
        back = VN_BUF_INIT(100);
        VN_TRY(vn_file_write_atomic(path, VN_STR("content"), 0600, NULL));
        VN_TRY(vn_file_read(path, &back, NULL));
        CHECK(vn_str_eq(vn_buf_view(&back), VN_STR("content")));
        return VN_OK;
}

TEST(atomic_write_survives_each_fault)
{
        TEST_ALLOC_LOOP(write_once);
        char path[512];
        snprintf(path, sizeof path, "%s/file", test_dir());
        static const char *const places[] = {"file.write", "file.sync", "file.rename"};
        for (size_t i = 0; i < 3; i++) {
                vn_fault_arm(places[i], 1, VN_FAULT_FAIL);
                CHECK(vn_file_write_atomic(path, VN_STR("other"), 0600, NULL) != VN_OK);
                VN_AUTO(vn_buf)
                back = VN_BUF_INIT(100);
                CHECK_OK(vn_file_read(path, &back, NULL));
                CHECK_TEXT("content", back.ptr);
                vn_fault_clear();
        }
}
