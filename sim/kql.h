/* sim/kql.h - the part of the Kusto language that log queries about requests need.
 * Served: TABLE | where COND and COND | order by C asc | take N | project C, ... | summarize F by C, bin(T, 5m) | count.
 *   Conditions: column op literal, with == != =~ < <= > >=; literals: text, numbers, true/false, datetime(...),
 *   ago(1h), 5m as a time span. Aggregates: count(), sum, avg, min, max, percentile(c, p), countif is not.
 * Threads: any; pure. Ownership: the result is the caller's JSON. Limits: 12 stages, 24 columns, 32 conditions. */
#ifndef VANE_SIM_KQL_H
#define VANE_SIM_KQL_H

#include <jansson.h>

#include "base/err.h"
#include "base/str.h"

enum vn_kql_type { VN_KQL_TEXT, VN_KQL_REAL, VN_KQL_LONG, VN_KQL_TIME, VN_KQL_BOOL };
struct vn_kql_column {
        const char *name;
        enum vn_kql_type type;
};
/* Text borrows from the row's owner; times are microseconds in `number`'s place as an integer. */
struct vn_kql_value {
        struct vn_str text;
        double number;
        int64_t integer; /* LONG, TIME, BOOL */
};
struct vn_kql_table {
        const struct vn_kql_column *columns;
        size_t column_count;
        struct vn_kql_value *rows; /* row-major */
        size_t row_count;
};
/* The times of the first column outside of which the query's first stages leave nothing: no row beyond [from, until) need be
 * in the table. Untouched without such a condition, or where the query cannot be read. */
void vn_kql_bounds(struct vn_str query, const char *table_name, const struct vn_kql_column *columns,
                   size_t column_count, int64_t now_us, int64_t *from_us, int64_t *until_us);
/* {"tables":[{name, columns:[{name,type}], rows:[[...]]}]}. INVALID_ARGUMENT with what is not understood. */
enum vn_rc vn_kql_run(struct vn_str query, const char *table_name, const struct vn_kql_table *table, int64_t now_us,
                      json_t **ret, struct vn_err *err) VN_MUST_USE;

#endif
