/* csv.c - see csv.h. */
#include "platform/csv.h"

void vn_csv_init(struct vn_csv *csv, struct vn_str text)
{
        csv->rest = text;
        csv->line = 0;
        csv->count = 0;
}

/* Takes one field off the rest; true if another follows in the same record. */
static bool take_field(struct vn_str *rest, struct vn_str *ret)
{
        size_t i = 0, end;
        if (rest->len && rest->ptr[0] == '"') {
                for (i = 1; i < rest->len; i++) {
                        if (rest->ptr[i] != '"')
                                continue;
                        if (i + 1 < rest->len && rest->ptr[i + 1] == '"')
                                i++;
                        else
                                break;
                }
                *ret = vn_str_n(rest->ptr + 1, i - 1);
                i += i < rest->len;
        } else {
                while (i < rest->len && rest->ptr[i] != ',' && rest->ptr[i] != '\n')
                        i++;
                end = i && rest->ptr[i - 1] == '\r' ? i - 1 : i;
                *ret = vn_str_n(rest->ptr, end);
        }
        while (i < rest->len && rest->ptr[i] != ',' && rest->ptr[i] != '\n')
                i++;
        bool more = i < rest->len && rest->ptr[i] == ',';
        i += i < rest->len;
        *rest = vn_str_n(rest->ptr + i, rest->len - i);
        return more;
}

bool vn_csv_next(struct vn_csv *csv)
{
        while (csv->rest.len && (csv->rest.ptr[0] == '\n' || csv->rest.ptr[0] == '\r')) {
                csv->line += csv->rest.ptr[0] == '\n';
                csv->rest = vn_str_n(csv->rest.ptr + 1, csv->rest.len - 1);
        }
        csv->count = 0;
        if (!csv->rest.len)
                return false;
        csv->line++;
        for (bool more = true; more;) {
                struct vn_str field;
                more = take_field(&csv->rest, &field);
                if (csv->count < VN_MAX_CSV_FIELDS)
                        csv->fields[csv->count++] = field;
        }
        return true;
}

int vn_csv_column(const struct vn_csv *csv, const char *name)
{
        for (size_t i = 0; i < csv->count; i++) {
                if (vn_str_eq(csv->fields[i], vn_str(name)))
                        return (int)i;
        }
        return -1;
}

struct vn_str vn_csv_field(const struct vn_csv *csv, int column)
{
        if (column < 0 || (size_t)column >= csv->count)
                return VN_STR("");
        return csv->fields[column];
}

enum vn_rc vn_csv_number(const struct vn_csv *csv, int column, const char *name, double absent, double *ret,
                         struct vn_err *err)
{
        struct vn_str text = vn_str_trim(vn_csv_field(csv, column));
        if (!text.len) {
                *ret = absent;
                return VN_OK;
        }
        if (vn_str_to_double(text, ret) != VN_OK)
                return vn_fail(err, VN_INVALID_ARGUMENT, "line %zu, %s: not a number: %.*s", csv->line, name,
                               (int)(text.len < 40 ? text.len : 40), text.ptr);
        return VN_OK;
}
