/* kql.c - see kql.h. One pass a stage over a table in an arena. */
#include "sim/kql.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define MAX_COLUMNS 24
#define MAX_CONDITIONS 32
#define MAX_STAGES 12
#define MAX_ARENA (256u << 20)

enum token_kind { T_END, T_NAME, T_TEXT, T_NUMBER, T_SPAN, T_SYMBOL };
struct token {
        enum token_kind kind;
        struct vn_str text;
        double number; /* a span's is in microseconds */
};

struct run {
        struct vn_str rest;
        struct token token;
        struct vn_err *err;
        struct vn_arena arena;
        struct vn_kql_column columns[MAX_COLUMNS];
        size_t column_count;
        struct vn_kql_value *rows;
        size_t row_count;
        int64_t now_us;
        int64_t *from_us, *until_us; /* vn_kql_bounds: narrowed by each condition on the first column */
};

static enum vn_rc wrong(struct run *r, const char *what)
{
        return vn_fail(r->err, VN_INVALID_ARGUMENT, "%s near \"%.*s\"", what,
                       (int)(r->token.text.len < 40 ? r->token.text.len : 40),
                       r->token.text.ptr ? r->token.text.ptr : "");
}

static bool is_name_char(char c)
{
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '$';
}

static void read_number(struct run *r)
{
        static const struct {
                const char *suffix;
                double us;
        } spans[] = {{"ms", 1e3}, {"d", 86400e6}, {"h", 3600e6}, {"m", 60e6}, {"s", 1e6}};
        size_t n = 0;
        while (n < r->rest.len && ((r->rest.ptr[n] >= '0' && r->rest.ptr[n] <= '9') || r->rest.ptr[n] == '.'))
                n++;
        r->token = (struct token){.kind = T_NUMBER, .text = vn_str_n(r->rest.ptr, n)};
        if (vn_str_to_double(r->token.text, &r->token.number) != VN_OK)
                r->token.kind = T_SYMBOL; /* no stage takes it */
        r->rest = vn_str_n(r->rest.ptr + n, r->rest.len - n);
        for (size_t i = 0; i < 5; i++) {
                struct vn_str suffix = vn_str(spans[i].suffix);
                if (vn_str_starts(r->rest, suffix) &&
                    (r->rest.len == suffix.len || !is_name_char(r->rest.ptr[suffix.len]))) {
                        r->token.kind = T_SPAN;
                        r->token.number *= spans[i].us;
                        r->rest = vn_str_n(r->rest.ptr + suffix.len, r->rest.len - suffix.len);
                        return;
                }
        }
}

static void next(struct run *r)
{
        while (r->rest.len && strchr(" \t\r\n", r->rest.ptr[0]))
                r->rest = vn_str_n(r->rest.ptr + 1, r->rest.len - 1);
        const char *p = r->rest.ptr;
        size_t n = 0, left = r->rest.len;
        r->token = (struct token){.kind = T_END, .text = vn_str_n(p, 0)};
        if (!left)
                return;
        if (*p >= '0' && *p <= '9') {
                read_number(r);
                return;
        }
        if (is_name_char(*p)) {
                while (n < left && is_name_char(p[n]))
                        n++;
                r->token = (struct token){.kind = T_NAME, .text = vn_str_n(p, n)};
        } else if (*p == '"' || *p == '\'') {
                for (n = 1; n < left && p[n] != *p;)
                        n++;
                r->token = (struct token){.kind = n < left ? T_TEXT : T_SYMBOL, .text = vn_str_n(p + 1, n - 1)};
                n += n < left;
        } else {
                n = left > 1 && (p[1] == '=' || (p[0] == '=' && p[1] == '~')) && strchr("=!<>", *p) ? 2 : 1;
                r->token = (struct token){.kind = T_SYMBOL, .text = vn_str_n(p, n)};
        }
        r->rest = vn_str_n(p + n, left - n);
}

static bool at(const struct run *r, const char *text)
{
        return (r->token.kind == T_NAME || r->token.kind == T_SYMBOL) && vn_str_eq(r->token.text, vn_str(text));
}

static bool take(struct run *r, const char *text)
{
        if (!at(r, text))
                return false;
        next(r);
        return true;
}

static enum vn_rc find_column(struct run *r, size_t *ret)
{
        for (*ret = 0; r->token.kind == T_NAME && *ret < r->column_count; ++*ret) {
                if (vn_str_eq(r->token.text, vn_str(r->columns[*ret].name))) {
                        next(r);
                        return VN_OK;
                }
        }
        return wrong(r, "no such column");
}

/* Kept within what a day's calculation needs, so that no conversion or difference overflows. */
static int64_t whole(double number)
{
        return number < 4e18 ? (int64_t)number : INT64_C(4000000000000000000);
}

/* A literal as a value comparable with the column's type. */
static enum vn_rc literal(struct run *r, enum vn_kql_type type, struct vn_kql_value *ret)
{
        *ret = (struct vn_kql_value){.text = r->token.text, .number = r->token.number};
        ret->integer = whole(r->token.number);
        if (type == VN_KQL_TIME) {
                bool ago = at(r, "ago");
                if (!ago && !at(r, "datetime") && !at(r, "now"))
                        return wrong(r, "a time is needed");
                bool now = at(r, "now");
                next(r);
                if (!at(r, "("))
                        return wrong(r, "( is needed");
                struct vn_str inside = vn_str_cut(&r->rest, ')');
                if (!r->rest.ptr)
                        return wrong(r, ") is needed");
                inside = vn_str_trim(inside);
                if (ago) {
                        struct run span = {.rest = inside};
                        next(&span);
                        if (span.token.kind != T_SPAN)
                                return wrong(r, "a time span is needed");
                        ret->integer = r->now_us - whole(span.token.number);
                } else if (now) {
                        ret->integer = r->now_us;
                } else {
                        if (inside.len && (inside.ptr[0] == '"' || inside.ptr[0] == '\'') && inside.len > 1)
                                inside = vn_str_n(inside.ptr + 1, inside.len - 2);
                        if (vn_time_parse(inside.ptr, inside.len, &ret->integer) != VN_OK)
                                return wrong(r, "a time cannot be read");
                }
                next(r);
                return VN_OK;
        }
        if (type == VN_KQL_BOOL && r->token.kind == T_NAME)
                ret->integer = vn_str_eq(r->token.text, VN_STR("true"));
        else if (r->token.kind != (type == VN_KQL_TEXT ? T_TEXT : T_NUMBER))
                return wrong(r, "a literal of the column's type is needed");
        next(r);
        return VN_OK;
}

static int compare_values(enum vn_kql_type type, const struct vn_kql_value *a, const struct vn_kql_value *b)
{
        switch (type) {
        case VN_KQL_TEXT: return vn_str_cmp(a->text, b->text);
        case VN_KQL_REAL: return a->number < b->number ? -1 : a->number > b->number;
        case VN_KQL_LONG:
        case VN_KQL_TIME:
        case VN_KQL_BOOL: return a->integer < b->integer ? -1 : a->integer > b->integer;
        }
        return 0;
}

static bool holds(struct vn_str op, enum vn_kql_type type, const struct vn_kql_value *a, const struct vn_kql_value *b)
{
        int c = compare_values(type, a, b);
        if (vn_str_eq(op, VN_STR("=~")))
                return vn_str_eq_nocase(a->text, b->text);
        if (vn_str_eq(op, VN_STR("!=")))
                return c != 0;
        if (vn_str_eq(op, VN_STR("<")))
                return c < 0;
        if (vn_str_eq(op, VN_STR("<=")))
                return c <= 0;
        if (vn_str_eq(op, VN_STR(">")))
                return c > 0;
        return vn_str_eq(op, VN_STR(">=")) ? c >= 0 : c == 0;
}

static void narrow(const struct run *r, struct vn_str op, int64_t value)
{
        bool equal = vn_str_eq(op, VN_STR("=="));
        if ((equal || op.ptr[0] == '>') && value > *r->from_us)
                *r->from_us = value;
        if ((equal || op.ptr[0] == '<') && value < *r->until_us)
                *r->until_us = value + 1;
}

static enum vn_rc stage_where(struct run *r)
{
        size_t conditions = 0;
        do {
                size_t column, kept = 0;
                struct vn_kql_value value;
                VN_TRY(find_column(r, &column));
                struct vn_str op = r->token.text;
                if (r->token.kind != T_SYMBOL || !op.len || !strchr("=!<>", op.ptr[0]) ||
                    ++conditions > MAX_CONDITIONS)
                        return wrong(r, "a comparison is needed");
                next(r);
                VN_TRY(literal(r, r->columns[column].type, &value));
                if (r->from_us && !column && r->columns[0].type == VN_KQL_TIME)
                        narrow(r, op, value.integer);
                for (size_t i = 0; i < r->row_count; i++) {
                        struct vn_kql_value *row = r->rows + i * r->column_count;
                        if (!holds(op, r->columns[column].type, &row[column], &value))
                                continue;
                        memmove(r->rows + kept++ * r->column_count, row, r->column_count * sizeof *row);
                }
                r->row_count = kept;
        } while (take(r, "and"));
        return VN_OK;
}

/* qsort has no context: the order stands in front of each row's index. */
struct sort_key {
        struct vn_kql_value value;
        enum vn_kql_type type;
        bool descending;
        size_t index;
};

static int compare_keys(const void *a, const void *b)
{
        const struct sort_key *x = a, *y = b;
        int c = compare_values(x->type, &x->value, &y->value);
        if (c)
                return x->descending ? -c : c;
        return x->index < y->index ? -1 : x->index > y->index;
}

static enum vn_rc sort_rows(struct run *r, size_t column, bool descending)
{
        struct sort_key *keys = vn_arena_alloc(&r->arena, (r->row_count + 1) * sizeof *keys);
        struct vn_kql_value *sorted =
                vn_arena_alloc(&r->arena, (r->row_count * r->column_count + 1) * sizeof *sorted);
        if (!keys || !sorted)
                return vn_fail(r->err, VN_RESOURCE_EXHAUSTED, "the result is too large");
        for (size_t i = 0; i < r->row_count; i++)
                keys[i] = (struct sort_key){r->rows[i * r->column_count + column], r->columns[column].type,
                                            descending, i};
        qsort(keys, r->row_count, sizeof *keys, compare_keys);
        for (size_t i = 0; i < r->row_count; i++)
                memcpy(sorted + i * r->column_count, r->rows + keys[i].index * r->column_count,
                       r->column_count * sizeof *sorted);
        r->rows = sorted;
        return VN_OK;
}

static enum vn_rc stage_order(struct run *r)
{
        size_t column;
        if (!take(r, "by"))
                return wrong(r, "by is needed");
        VN_TRY(find_column(r, &column));
        bool descending = !at(r, "asc"); /* Kusto's default is descending */
        if (!take(r, "asc"))
                take(r, "desc");
        return sort_rows(r, column, descending);
}

static enum vn_rc stage_take(struct run *r)
{
        if (r->token.kind != T_NUMBER)
                return wrong(r, "a number is needed");
        size_t n = r->token.number < 1e9 ? (size_t)r->token.number : (size_t)1e9;
        r->row_count = r->row_count < n ? r->row_count : n;
        next(r);
        return VN_OK;
}

static enum vn_rc stage_project(struct run *r)
{
        size_t from[MAX_COLUMNS], count = 0;
        struct vn_kql_column columns[MAX_COLUMNS];
        do {
                if (count == MAX_COLUMNS)
                        return wrong(r, "too many columns");
                VN_TRY(find_column(r, &from[count]));
                columns[count] = r->columns[from[count]];
                count++;
        } while (take(r, ","));
        struct vn_kql_value *rows = vn_arena_alloc(&r->arena, (r->row_count * count + 1) * sizeof *rows);
        if (!rows)
                return vn_fail(r->err, VN_RESOURCE_EXHAUSTED, "the result is too large");
        for (size_t i = 0; i < r->row_count; i++) {
                for (size_t c = 0; c < count; c++)
                        rows[i * count + c] = r->rows[i * r->column_count + from[c]];
        }
        memcpy(r->columns, columns, count * sizeof *columns);
        r->column_count = count;
        r->rows = rows;
        return VN_OK;
}

enum aggregate_kind { A_COUNT, A_SUM, A_AVG, A_MIN, A_MAX, A_PERCENTILE };
struct aggregate {
        enum aggregate_kind kind;
        size_t column;
        double percentile;
};
struct summary {
        struct aggregate aggregates[8];
        size_t aggregate_count, by[2], by_count;
        double bin_us[2]; /* 0: the value itself */
        char *names[10];
};

static double as_number(const struct run *r, size_t column, const struct vn_kql_value *v)
{
        return r->columns[column].type == VN_KQL_REAL ? v->number : (double)v->integer;
}

static enum vn_rc read_aggregate(struct run *r, struct summary *s)
{
        static const char *const names[] = {"count", "sum", "avg", "min", "max", "percentile"};
        struct aggregate *a = &s->aggregates[s->aggregate_count];
        char *own = NULL;
        struct run ahead = *r;
        if (r->token.kind != T_NAME || s->aggregate_count == 8)
                return wrong(r, "an aggregate is needed");
        next(&ahead);
        if (at(&ahead, "=")) { /* name = aggregate */
                own = vn_arena_alloc(&r->arena, r->token.text.len + 1);
                if (!own)
                        return vn_fail(r->err, VN_RESOURCE_EXHAUSTED, "the query is too large");
                memcpy(own, r->token.text.ptr, r->token.text.len);
                next(r);
                next(r);
        }
        for (a->kind = A_COUNT; a->kind <= A_PERCENTILE && !at(r, names[a->kind]);)
                a->kind++;
        if (a->kind > A_PERCENTILE)
                return wrong(r, "no such aggregate");
        size_t bytes = 96;
        char *name = vn_arena_alloc(&r->arena, bytes);
        next(r);
        if (!name || !take(r, "("))
                return wrong(r, "( is needed");
        if (a->kind != A_COUNT)
                VN_TRY(find_column(r, &a->column));
        if (a->kind == A_PERCENTILE) {
                if (!take(r, ",") || r->token.kind != T_NUMBER || r->token.number > 100)
                        return wrong(r, "a percentile is needed");
                a->percentile = r->token.number;
                next(r);
        }
        if (!take(r, ")"))
                return wrong(r, ") is needed");
        if (a->kind == A_PERCENTILE)
                snprintf(name, bytes, "percentile_%.60s_%.0f", r->columns[a->column].name, a->percentile);
        else
                snprintf(name, bytes, "%s_%.60s", names[a->kind],
                         a->kind == A_COUNT ? "" : r->columns[a->column].name);
        s->names[s->aggregate_count++] = own ? own : name;
        return VN_OK;
}

static enum vn_rc read_by(struct run *r, struct summary *s)
{
        do {
                if (s->by_count == 2)
                        return wrong(r, "at most two groups");
                bool bin = take(r, "bin");
                if (bin && !take(r, "("))
                        return wrong(r, "( is needed");
                VN_TRY(find_column(r, &s->by[s->by_count]));
                if (bin) {
                        if (!take(r, ",") || r->token.kind != T_SPAN || !(r->token.number >= 1) ||
                            r->columns[s->by[s->by_count]].type != VN_KQL_TIME)
                                return wrong(r, "bin needs a time and a span");
                        s->bin_us[s->by_count] = r->token.number;
                        next(r);
                        if (!take(r, ")"))
                                return wrong(r, ") is needed");
                }
                s->by_count++;
        } while (take(r, ","));
        return VN_OK;
}

static int compare_doubles(const void *a, const void *b)
{
        double x = *(const double *)a, y = *(const double *)b;
        return x < y ? -1 : x > y;
}

static void aggregate(const struct run *r, const struct aggregate *a, size_t first, size_t end, double *scratch,
                      struct vn_kql_value *ret)
{
        size_t n = end - first;
        double sum = 0;
        for (size_t i = 0; i < n && a->kind != A_COUNT; i++) {
                scratch[i] = as_number(r, a->column, &r->rows[(first + i) * r->column_count + a->column]);
                sum += scratch[i];
        }
        qsort(scratch, a->kind == A_COUNT ? 0 : n, sizeof *scratch, compare_doubles);
        size_t rank = (size_t)(a->percentile / 100 * (double)n + 0.999999);
        switch (a->kind) {
        case A_COUNT: ret->integer = (int64_t)n; return;
        case A_SUM: ret->number = sum; return;
        case A_AVG: ret->number = n ? sum / (double)n : 0; return;
        case A_MIN: ret->number = n ? scratch[0] : 0; return;
        case A_MAX: ret->number = n ? scratch[n - 1] : 0; return;
        case A_PERCENTILE: ret->number = n ? scratch[rank < 1 ? 0 : rank > n ? n - 1 : rank - 1] : 0; return;
        }
}

static bool same_group(const struct run *r, const struct summary *s, size_t a, size_t b)
{
        for (size_t g = 0; g < s->by_count; g++) {
                if (compare_values(r->columns[s->by[g]].type, &r->rows[a * r->column_count + s->by[g]],
                                   &r->rows[b * r->column_count + s->by[g]]))
                        return false;
        }
        return true;
}

static enum vn_rc stage_summarize(struct run *r)
{
        struct summary s = {0};
        do {
                VN_TRY(read_aggregate(r, &s));
        } while (take(r, ","));
        if (take(r, "by"))
                VN_TRY(read_by(r, &s));
        for (size_t g = s.by_count; g-- > 0;) {
                for (size_t i = 0; s.bin_us[g] > 0 && i < r->row_count; i++) {
                        struct vn_kql_value *v = &r->rows[i * r->column_count + s.by[g]];
                        v->integer -= v->integer % whole(s.bin_us[g]);
                }
                VN_TRY(sort_rows(r, s.by[g], false)); /* stable by index, so the first group is the outer order */
        }
        size_t width = s.by_count + s.aggregate_count, groups = 0;
        struct vn_kql_value *rows = vn_arena_alloc(&r->arena, ((r->row_count + 1) * width) * sizeof *rows);
        double *scratch = vn_arena_alloc(&r->arena, (r->row_count + 1) * sizeof *scratch);
        if (!rows || !scratch)
                return vn_fail(r->err, VN_RESOURCE_EXHAUSTED, "the result is too large");
        for (size_t i = 0, end; i < r->row_count || (!i && !s.by_count); i = end) {
                for (end = i + (i < r->row_count); end < r->row_count && same_group(r, &s, i, end);)
                        end++;
                struct vn_kql_value *row = rows + groups++ * width;
                for (size_t g = 0; g < s.by_count; g++)
                        row[g] = r->rows[i * r->column_count + s.by[g]];
                for (size_t a = 0; a < s.aggregate_count; a++)
                        aggregate(r, &s.aggregates[a], i, end, scratch, &row[s.by_count + a]);
                if (end == i)
                        break;
        }
        struct vn_kql_column columns[MAX_COLUMNS];
        for (size_t g = 0; g < s.by_count; g++)
                columns[g] = r->columns[s.by[g]];
        for (size_t a = 0; a < s.aggregate_count; a++)
                columns[s.by_count + a] = (struct vn_kql_column){
                        s.names[a], s.aggregates[a].kind == A_COUNT ? VN_KQL_LONG : VN_KQL_REAL};
        memcpy(r->columns, columns, width * sizeof *columns);
        r->column_count = width;
        r->rows = rows;
        r->row_count = groups;
        return VN_OK;
}

static enum vn_rc stage_count(struct run *r)
{
        struct vn_kql_value *rows = vn_arena_alloc(&r->arena, sizeof *rows);
        if (!rows)
                return vn_fail(r->err, VN_RESOURCE_EXHAUSTED, "the result is too large");
        rows->integer = (int64_t)r->row_count;
        r->columns[0] = (struct vn_kql_column){"Count", VN_KQL_LONG};
        r->column_count = r->row_count = 1;
        r->rows = rows;
        return VN_OK;
}

static json_t *cell(enum vn_kql_type type, const struct vn_kql_value *v)
{
        char time[VN_TIME_TEXT_BYTES];
        switch (type) {
        case VN_KQL_TEXT: return json_stringn(v->text.ptr ? v->text.ptr : "", v->text.len);
        case VN_KQL_REAL: return json_real(v->number);
        case VN_KQL_LONG: return json_integer(v->integer);
        case VN_KQL_TIME: vn_time_format(v->integer, time); return json_string(time);
        case VN_KQL_BOOL: return json_boolean(v->integer);
        }
        return NULL;
}

static json_t *answer(const struct run *r)
{
        static const char *const types[] = {"string", "real", "long", "datetime", "bool"};
        json_t *columns = json_array(), *rows = json_array();
        for (size_t c = 0; c < r->column_count; c++)
                json_array_append_new(columns, json_pack("{s:s, s:s}", "name", r->columns[c].name, "type",
                                                         types[r->columns[c].type]));
        for (size_t i = 0; i < r->row_count; i++) {
                json_t *row = json_array();
                for (size_t c = 0; c < r->column_count; c++)
                        json_array_append_new(row, cell(r->columns[c].type, &r->rows[i * r->column_count + c]));
                json_array_append_new(rows, row);
        }
        return json_pack("{s:[{s:s, s:o, s:o}]}", "tables", "name", "PrimaryResult", "columns", columns, "rows",
                         rows);
}

static enum vn_rc stages(struct run *r)
{
        for (int n = 0; take(r, "|"); n++) {
                enum vn_rc rc;
                if (n == MAX_STAGES)
                        return wrong(r, "too many stages");
                if (take(r, "where"))
                        rc = stage_where(r);
                else if (take(r, "order") || take(r, "sort"))
                        rc = stage_order(r);
                else if (take(r, "take") || take(r, "limit"))
                        rc = stage_take(r);
                else if (take(r, "project"))
                        rc = stage_project(r);
                else if (take(r, "summarize"))
                        rc = stage_summarize(r);
                else if (take(r, "count"))
                        rc = stage_count(r);
                else
                        return wrong(r, "this operator is not served");
                VN_TRY(rc);
        }
        return r->token.kind == T_END ? VN_OK : wrong(r, "the query does not end here");
}

void vn_kql_bounds(struct vn_str query, const char *table_name, const struct vn_kql_column *columns,
                   size_t column_count, int64_t now_us, int64_t *from_us, int64_t *until_us)
{
        struct vn_err err;
        struct run r = {.rest = query,
                        .err = &err,
                        .column_count = column_count,
                        .now_us = now_us,
                        .from_us = from_us,
                        .until_us = until_us};
        VN_ASSERT(column_count <= MAX_COLUMNS);
        memcpy(r.columns, columns, column_count * sizeof *columns);
        next(&r);
        if (!take(&r, table_name))
                return;
        for (int n = 0; n < MAX_STAGES && take(&r, "|") && take(&r, "where"); n++) {
                if (stage_where(&r) != VN_OK)
                        return; /* the run itself will say so */
        }
}

enum vn_rc vn_kql_run(struct vn_str query, const char *table_name, const struct vn_kql_table *table, int64_t now_us,
                      json_t **ret, struct vn_err *err)
{
        struct run r = {.rest = query,
                        .err = err,
                        .column_count = table->column_count,
                        .row_count = table->row_count,
                        .now_us = now_us};
        VN_ASSERT(table->column_count <= MAX_COLUMNS);
        vn_arena_init(&r.arena, MAX_ARENA);
        memcpy(r.columns, table->columns, table->column_count * sizeof *r.columns);
        r.rows = vn_arena_alloc(&r.arena, (table->row_count * table->column_count + 1) * sizeof *r.rows);
        enum vn_rc rc = r.rows ? VN_OK : vn_fail(err, VN_RESOURCE_EXHAUSTED, "the table is too large");
        if (rc == VN_OK && table->row_count)
                memcpy(r.rows, table->rows, table->row_count * table->column_count * sizeof *r.rows);
        next(&r);
        if (rc == VN_OK && !take(&r, table_name))
                rc = wrong(&r, "no such table");
        if (rc == VN_OK)
                rc = stages(&r);
        if (rc == VN_OK) {
                *ret = answer(&r);
                if (!*ret)
                        rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "no memory for the answer");
        }
        vn_arena_done(&r.arena);
        return rc;
}
