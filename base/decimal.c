#include "base/decimal.h"

#include <math.h>
#include <stdio.h>

#define MAX_DIGITS 40 /* of the number as written */

struct digits {
        char digit[MAX_DIGITS];
        size_t count;
        int64_t point; /* so many of them stand before the point */
        bool negative;
};

static bool is_digit(char c)
{
        return c >= '0' && c <= '9';
}

/* Leading zeroes count nothing; behind MAX_DIGITS nothing is left that could matter. */
static void take_digit(struct digits *d, char c, bool fraction, bool *seen)
{
        *seen = true;
        if (c == '0' && d->count == 0) {
                d->point -= fraction;
                return;
        }
        if (d->count < MAX_DIGITS)
                d->digit[d->count++] = c;
        d->point += !fraction;
}

static bool take_exponent(const char *at, const char *end, struct digits *d)
{
        bool negative = at < end && *at == '-';
        int64_t exponent = 0;
        if (at < end && (*at == '-' || *at == '+'))
                at++;
        if (at == end)
                return false;
        for (; at < end; at++) {
                if (!is_digit(*at) || exponent > 9999)
                        return false;
                exponent = exponent * 10 + (*at - '0');
        }
        d->point += negative ? -exponent : exponent;
        return true;
}

static bool take(struct vn_str text, struct digits *d)
{
        const char *at = text.ptr, *end = text.ptr + text.len;
        bool fraction = false, seen = false;
        if (text.len == 0 || text.len > 256)
                return false;
        d->negative = *at == '-';
        at += d->negative;
        for (; at < end; at++) {
                if (is_digit(*at))
                        take_digit(d, *at, fraction, &seen);
                else if (*at == '.' && !fraction)
                        fraction = true;
                else
                        break;
        }
        if (!seen)
                return false;
        return at == end || ((*at == 'e' || *at == 'E') && take_exponent(at + 1, end, d));
}

enum vn_rc vn_decimal_parse(struct vn_str text, int digits, int64_t *ret)
{
        struct digits d = {.count = 0};
        int64_t value = 0;
        if (!take(text, &d))
                return VN_INVALID_ARGUMENT;
        int64_t wanted = d.point + digits; /* digits of the whole number */
        if (d.count == 0 || wanted < 0) {
                *ret = 0;
                return VN_OK;
        }
        if (wanted > 18)
                return VN_OUT_OF_RANGE;
        for (int64_t i = 0; i < wanted; i++)
                value = value * 10 + (i < (int64_t)d.count ? d.digit[i] - '0' : 0);
        if (wanted < (int64_t)d.count && d.digit[wanted] >= '5')
                value++;
        *ret = d.negative ? -value : value;
        return VN_OK;
}

enum vn_rc vn_decimal_from_double(double value, int digits, int64_t *ret)
{
        char text[40];
        if (!isfinite(value))
                return VN_INVALID_ARGUMENT;
        snprintf(text, sizeof text, "%.15g", value);
        return vn_decimal_parse(vn_str(text), digits, ret);
}

void vn_decimal_format(int64_t value, int digits, char ret[VN_DECIMAL_TEXT])
{
        uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, scale = 1;
        for (int i = 0; i < digits; i++)
                scale *= 10;
        int n = snprintf(ret, VN_DECIMAL_TEXT, "%s%llu", value < 0 ? "-" : "", (unsigned long long)(rest / scale));
        if (rest % scale == 0 || n < 0)
                return;
        n += snprintf(ret + n, VN_DECIMAL_TEXT - (size_t)n, ".%0*llu", digits, (unsigned long long)(rest % scale));
        while (ret[n - 1] == '0')
                ret[--n] = '\0';
}
