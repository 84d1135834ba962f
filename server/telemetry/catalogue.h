/* catalogue.h - a price list as content: its canonical text, its version, and whether it may replace the one before.
 * Purpose: two reports of the same prices are the same bytes, so a list is stored once and named by its SHA-256. A list
 *   that is empty, lacks a meter, or is absurd beside the last good one is refused; that one stays in force.
 * Pure. Threads: any. Form: a header line, "cloud" and "currency" lines, then "meter region arch from usd" by line,
 *   sorted; "-" stands for an empty word. Effective dates are not part of it: they move without the prices. */
#ifndef VANE_SERVER_TELEMETRY_CATALOGUE_H
#define VANE_SERVER_TELEMETRY_CATALOGUE_H

#include "server/telemetry/telemetry.h"

#define VN_CATALOGUE_MAX_BYTES 16384

/* Sorts the list's tiers and writes the text; the version is its SHA-256. INVALID_ARGUMENT if a tier is there twice. */
enum vn_rc vn_catalogue_write(const char *cloud, struct vn_account_prices *prices, struct vn_buf *ret_text,
                              struct vn_err *err) VN_MUST_USE;
/* The tiers back from a text that vn_catalogue_write made; DATA_LOSS otherwise. */
enum vn_rc vn_catalogue_read(struct vn_str text, struct vn_account_prices *ret, struct vn_err *err) VN_MUST_USE;
/* FAILED_PRECONDITION says why `fresh` must not replace `old` (whose tier_count is 0 when there was none). */
enum vn_rc vn_catalogue_check(const struct vn_account_prices *old, const struct vn_account_prices *fresh,
                              struct vn_err *err) VN_MUST_USE;
/* One tier from a report; false if a figure is out of range or a text is no word. */
bool vn_catalogue_tier(struct vn_price_tier_entry *ret, const char *meter, const char *region, const char *arch,
                       double from_units, int64_t pico_usd);

#endif
