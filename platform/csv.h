/* platform/csv.h - reads CSV text a record at a time (RFC 4180: quotes, doubled quotes, LF or CRLF).
 * Pure. Threads: any. Ownership: fields borrow from the text; a quoted field with doubled quotes keeps them doubled. */
#ifndef VANE_PLATFORM_CSV_H
#define VANE_PLATFORM_CSV_H

#include "base/str.h"

#define VN_MAX_CSV_FIELDS 2048
struct vn_csv {
        struct vn_str rest;
        size_t line; /* of the record read last, from 1 */
        struct vn_str fields[VN_MAX_CSV_FIELDS];
        size_t count;
};
void vn_csv_init(struct vn_csv *csv, struct vn_str text);
/* False at the end. A record with more fields than fit is cut there. Empty lines are passed over. */
bool vn_csv_next(struct vn_csv *csv);
/* Index of a column by its name in the record that stands now (the header); -1 if absent. */
int vn_csv_column(const struct vn_csv *csv, const char *name);
/* The field at a column, empty beyond the record's end or for -1. */
struct vn_str vn_csv_field(const struct vn_csv *csv, int column);
/* A number; `absent` for an empty field. INVALID_ARGUMENT with line and column name otherwise. */
enum vn_rc vn_csv_number(const struct vn_csv *csv, int column, const char *name, double absent, double *ret,
                         struct vn_err *err) VN_MUST_USE;

#endif
