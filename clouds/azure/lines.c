/* Azure: what functions wrote (AppTraces of a workspace, traces of Application Insights), by KQL. */
#include "clouds/azure/azure.h"

#define PAGE_ROWS 5000
#define MAX_PAGES 200
#define SEVERITY_ERROR 3

enum column { COL_TIME, COL_TEXT, COL_SEVERITY, COL_ROLE, COL_INSTANCE, COL_COUNT };
struct names {
        const char *table, *columns[COL_COUNT];
};
static const struct names workspace = {
        "AppTraces", {"TimeGenerated", "Message", "SeverityLevel", "AppRoleName", "AppRoleInstance"}};
static const struct names app = {"traces",
                                 {"timestamp", "message", "severityLevel", "cloud_RoleName", "cloud_RoleInstance"}};

static void write_query(const struct names *names, const struct vn_cloud_function *function, int64_t from_us,
                        int64_t to_us, struct vn_buf *ret)
{
        const char *time = names->columns[COL_TIME];
        char from[VN_TIME_TEXT_BYTES], to[VN_TIME_TEXT_BYTES];

        vn_time_format(from_us, from);
        vn_time_format(to_us, to);
        vn_buf_printf(ret, "%s | where %s >= datetime(%s) and %s < datetime(%s)", names->table, time, from, time, to);
        if (function) {
                vn_buf_printf(ret, " | where %s == ", names->columns[COL_ROLE]);
                vn_buf_json_string(ret, vn_azure_role_of(function));
        }
        vn_buf_printf(ret, " | order by %s asc | take %d | project ", time, PAGE_ROWS);
        for (int i = 0; i < COL_COUNT; i++)
                vn_buf_printf(ret, "%s%s", i ? ", " : "", names->columns[i]);
}

static json_t *cell(json_t *row, const int at[COL_COUNT], enum column column)
{
        return at[column] >= 0 ? json_array_get(row, (size_t)at[column]) : NULL;
}

static struct vn_str text_of(json_t *value)
{
        return json_is_string(value) ? vn_str_n(json_string_value(value), json_string_length(value)) : VN_STR("");
}

static enum vn_rc one_row(json_t *row, const int at[COL_COUNT], vn_cloud_line_fn each, void *arg,
                          int64_t *ret_time_us, struct vn_err *err)
{
        struct vn_cloud_line line = {.text = text_of(cell(row, at, COL_TEXT))};
        struct vn_str time = text_of(cell(row, at, COL_TIME));
        json_t *severity = cell(row, at, COL_SEVERITY);

        if (vn_time_parse(time.ptr, time.len, &line.time_us) != VN_OK)
                return vn_fail(err, VN_DATA_LOSS, "azure: a trace row lacks its time");
        *ret_time_us = line.time_us;
        line.error = json_number_value(severity) >= SEVERITY_ERROR;
        vn_text_copy(line.function, sizeof(line.function), text_of(cell(row, at, COL_ROLE)));
        vn_text_copy(line.instance, sizeof(line.instance), text_of(cell(row, at, COL_INSTANCE)));
        /* A trace has no id of its own: what it says, when and where is what it is. */
        line.id_hash = vn_hash64(line.instance, strlen(line.instance), vn_hash64(&line.time_us, 8, 5));
        line.id_hash = vn_hash64(line.text.ptr, line.text.len, line.id_hash);
        return line.text.len > 0 ? each(arg, &line) : VN_OK;
}

static enum vn_rc find_columns(const struct names *names, json_t *table, int ret[COL_COUNT], struct vn_err *err)
{
        json_t *column;
        size_t i;

        for (int c = 0; c < COL_COUNT; c++)
                ret[c] = -1;
        json_array_foreach(json_object_get(table, "columns"), i, column)
        {
                for (int c = 0; c < COL_COUNT; c++)
                        if (vn_str_eq(vn_json_str(column, "name"), vn_str(names->columns[c])))
                                ret[c] = (int)i;
        }
        if (ret[COL_TIME] < 0 || ret[COL_TEXT] < 0 || ret[COL_ROLE] < 0)
                return vn_fail(err, VN_DATA_LOSS, "azure: the trace answer lacks its columns");
        return VN_OK;
}

enum vn_rc vn_azure_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                          int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err)
{
        const struct names *names = cloud->config.workspace.len > 0 ? &workspace : &app;

        for (int page = 0; page < MAX_PAGES; page++) {
                VN_AUTO(vn_buf)
                query = VN_BUF_INIT(8192);
                VN_AUTO(vn_json)
                answer = NULL;
                int64_t first_us = from_us, time_us = from_us;
                int at[COL_COUNT];
                json_t *table, *row;
                size_t i;

                write_query(names, function, from_us, to_us, &query);
                VN_TRY(vn_buf_check(&query, err));
                VN_TRY(vn_azure_kql(cloud, vn_buf_view(&query), &answer, err));
                table = json_array_get(json_object_get(answer, "tables"), 0);
                VN_TRY(find_columns(names, table, at, err));
                json_array_foreach(json_object_get(table, "rows"), i, row)
                {
                        VN_TRY(one_row(row, at, each, arg, &time_us, err));
                        from_us = time_us > from_us ? time_us : from_us;
                }
                if (i < PAGE_ROWS)
                        return VN_OK;
                if (from_us == first_us)
                        from_us += VN_US_PER_MS; /* a whole page within one millisecond */
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "azure: more than %d pages of traces", MAX_PAGES);
}
