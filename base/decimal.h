/* base/decimal.h - decimal numbers as whole numbers of a small unit, for prices: what a cloud writes is what is kept.
 * Pure. Threads: any. */
#ifndef VANE_BASE_DECIMAL_H
#define VANE_BASE_DECIMAL_H

#include "base/err.h"
#include "base/str.h"

#define VN_PICO 12 /* digits behind the point: prices are whole numbers of 1e-12 USD */

/* "0.0000166667", "1.6e-5", "-3" as a whole number of 10^-digits. What is finer is rounded half away from zero.
 * INVALID_ARGUMENT if it is no decimal number, OUT_OF_RANGE if it does not fit. */
enum vn_rc vn_decimal_parse(struct vn_str text, int digits, int64_t *ret) VN_MUST_USE;
/* The same of a number that a JSON reader made a double: with at most 15 significant digits, which prices have, the
 * way to the double and back gives the digits that were written. */
enum vn_rc vn_decimal_from_double(double value, int digits, int64_t *ret) VN_MUST_USE;

#define VN_DECIMAL_TEXT 48
/* Without trailing zeroes: 16666700 with 12 digits is "0.0000166667". */
void vn_decimal_format(int64_t value, int digits, char ret[VN_DECIMAL_TEXT]);

#endif
