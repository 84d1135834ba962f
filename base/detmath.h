/* detmath.h - exp, log and friends with the same bits on every machine.
 * Purpose: what decide/ and model inference use in place of libm, whose last bits differ between versions.
 * Accuracy: within 2 ulp of the correctly rounded result over the stated range (tested against libm).
 * Threads: any; pure. Needs -ffp-contract=off. */
#ifndef VANE_BASE_DETMATH_H
#define VANE_BASE_DETMATH_H

double vn_exp(double x); /* 0 below -745, infinity above 709.78; NaN stays NaN */
double vn_log(double x); /* natural; -infinity at 0, NaN below */
double vn_log1p(double x);
double vn_pow(double x, double y); /* x >= 0: exp(y log x); 1 for y = 0 */
double vn_tanh(double x);
double vn_sigmoid(double x);
double vn_sqrt(double x); /* IEEE 754 correctly rounded, so the hardware's */

#endif
