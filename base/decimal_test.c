#include "base/decimal.h"
#include "tests/test.h"

static int64_t pico(const char *text)
{
        int64_t value = -1;
        CHECK_OK(vn_decimal_parse(vn_str(text), VN_PICO, &value));
        return value;
}

TEST(decimal_keeps_what_was_written)
{
        CHECK_INT(16666700, pico("0.0000166667"));
        CHECK_INT(16000000, pico("1.6e-05"));
        CHECK_INT(16000000, pico("1.6E-5"));
        CHECK_INT(90000000000, pico(".09"));
        CHECK_INT(120 * INT64_C(1000000000000), pico("120"));
        CHECK_INT(-3 * INT64_C(1000000000000), pico("-3.000"));
        CHECK_INT(0, pico("0"));
        CHECK_INT(0, pico("0.00000000000000000000001"));
        CHECK_INT(0, pico("1e-9999"));
}

TEST(decimal_rounds_what_is_finer)
{
        CHECK_INT(1, pico("0.0000000000005"));
        CHECK_INT(0, pico("0.00000000000049"));
        CHECK_INT(10, pico("0.0000000000095"));
        CHECK_INT(-1, pico("-0.0000000000005"));
}

TEST(decimal_refuses_what_is_no_number)
{
        static const char *const bad[] = {"", "-", ".", "e5", "1e", "1e+", "1..2", "0x10", "1 ", " 1", "nan", "inf"};
        int64_t value;
        for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
                CHECK_RC(VN_INVALID_ARGUMENT, vn_decimal_parse(vn_str(bad[i]), VN_PICO, &value));
        CHECK_RC(VN_OUT_OF_RANGE, vn_decimal_parse(VN_STR("10000000"), VN_PICO, &value));
        CHECK_RC(VN_OUT_OF_RANGE, vn_decimal_parse(VN_STR("1e30"), VN_PICO, &value));
}

TEST(decimal_comes_back_from_a_double_as_it_was_written)
{
        static const double prices[] = {0.0000166667, 1.6e-5, 0.000026, 2.4e-5, 0.09, 0.0000002, 4.1667e-6};
        static const int64_t expected[] = {16666700, 16000000, 26000000, 24000000, 90000000000, 200000, 4166700};
        for (size_t i = 0; i < sizeof prices / sizeof prices[0]; i++) {
                int64_t value = 0;
                CHECK_OK(vn_decimal_from_double(prices[i], VN_PICO, &value));
                CHECK_INT(expected[i], value);
        }
        int64_t value;
        CHECK_RC(VN_INVALID_ARGUMENT, vn_decimal_from_double(0.0 / 0.0, VN_PICO, &value));
}

TEST(decimal_is_written_without_trailing_zeroes)
{
        char text[VN_DECIMAL_TEXT];
        vn_decimal_format(16666700, VN_PICO, text);
        CHECK_TEXT("0.0000166667", text);
        vn_decimal_format(-1500000000000, VN_PICO, text);
        CHECK_TEXT("-1.5", text);
        vn_decimal_format(0, VN_PICO, text);
        CHECK_TEXT("0", text);
        vn_decimal_format(INT64_MIN, 3, text);
        CHECK_TEXT("-9223372036854775.808", text);
        vn_decimal_format(7, 0, text);
        CHECK_TEXT("7", text);
}
