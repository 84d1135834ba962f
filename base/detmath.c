/* Range reduction by Cody and Waite; the polynomials are the classic minimax ones of fdlibm (see detmath.h for why
 * they are here). Only + - * / and sqrt are used, which IEEE 754 defines exactly. */
#include "base/detmath.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

static const double ln2_high = 6.93147180369123816490e-01, ln2_low = 1.90821492927058770002e-10;

static uint64_t bits_of(double x)
{
        uint64_t b;
        memcpy(&b, &x, sizeof b);
        return b;
}

static double of_bits(uint64_t b)
{
        double x;
        memcpy(&x, &b, sizeof x);
        return x;
}

/* x * 2^k without libm; k may lead into the subnormals. */
static double scale(double x, int k)
{
        while (k > 1000)
                x *= 0x1p1000, k -= 1000;
        while (k < -1000)
                x *= 0x1p-1000, k += 1000;
        return x * of_bits((uint64_t)(1023 + k) << 52);
}

double vn_exp(double x)
{
        if (x != x)
                return x;
        if (x > 709.782712893384)
                return of_bits(UINT64_C(0x7ff) << 52);
        if (x < -745.2)
                return 0;
        double shifted = x * 1.44269504088896338700e+00 + (x < 0 ? -0.5 : 0.5);
        int k = (int)shifted;
        double high = x - k * ln2_high, low = k * ln2_low, r = high - low, t = r * r;
        double c = r - t * (1.66666666666666019037e-01 +
                            t * (-2.77777777770155933842e-03 +
                                 t * (6.61375632143793436117e-05 +
                                      t * (-1.65339022054652515390e-06 + t * 4.13813679705723846039e-08))));
        double y = 1 - ((low - r * c / (2 - c)) - high);
        return scale(y, k);
}

double vn_log(double x)
{
        if (x != x)
                return x;
        if (x < 0)
                return of_bits(UINT64_C(0x7ff8) << 48);
        if (x == 0)
                return -of_bits(UINT64_C(0x7ff) << 52);
        if (x - x != 0)
                return x;
        int k = 0;
        if (x < 0x1p-1022)
                x *= 0x1p54, k = -54;
        uint64_t b = bits_of(x);
        k += (int)(b >> 52) - 1023;
        x = of_bits((b & UINT64_C(0xfffffffffffff)) | UINT64_C(1023) << 52);
        if (x > 1.41421356237309504880)
                x *= 0.5, k++;
        double f = x - 1, s = f / (2 + f), z = s * s, half = 0.5 * f * f;
        double series = z * (6.666666666666735130e-01 +
                             z * (3.999999999940941908e-01 +
                                  z * (2.857142874366239149e-01 +
                                       z * (2.222219843214978396e-01 +
                                            z * (1.818357216161805012e-01 +
                                                 z * (1.531383769920937332e-01 + z * 1.479819860511658591e-01))))));
        return k * ln2_high - ((half - (s * (half + series) + k * ln2_low)) - f);
}

double vn_log1p(double x)
{
        double u = 1 + x;
        if (u == 1)
                return x;
        return vn_log(u) * (x / (u - 1)); /* corrects the rounding of 1 + x */
}

double vn_pow(double x, double y)
{
        return y == 0 ? 1 : x == 0 ? 0 : vn_exp(y * vn_log(x));
}

double vn_tanh(double x)
{
        if (x > 20)
                return 1;
        if (x < -20)
                return -1;
        double e = vn_exp(2 * x);
        return (e - 1) / (e + 1);
}

double vn_sigmoid(double x)
{
        if (x >= 0)
                return 1 / (1 + vn_exp(-x));
        double e = vn_exp(x);
        return e / (1 + e);
}

double vn_sqrt(double x)
{
        return __builtin_sqrt(x);
}
