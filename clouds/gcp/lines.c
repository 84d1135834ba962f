/* GCP: what functions wrote to standard output and error, from Cloud Logging. */
#include "clouds/gcp/gcp.h"

#define MAX_PAGES 500

static bool is_error(json_t *entry)
{
        static const char *const names[] = {"ERROR", "CRITICAL", "ALERT", "EMERGENCY"};
        struct vn_str severity = vn_json_str(entry, "severity");

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
                if (vn_str_eq(severity, vn_str(names[i])))
                        return true;
        return vn_json_pick_number(entry, "severity", 0) >= 500; /* enumerations may come as numbers */
}

static enum vn_rc one_entry(json_t *entry, vn_cloud_line_fn each, void *arg, struct vn_err *err)
{
        struct vn_cloud_line line = {.text = vn_json_str(entry, "textPayload"), .error = is_error(entry)};
        struct vn_str time = vn_json_str(entry, "timestamp"), id = vn_json_str(entry, "insertId");
        json_t *payload = json_object_get(entry, "jsonPayload");
        char *dumped = NULL;
        enum vn_rc rc;

        if (vn_time_parse(time.ptr, time.len, &line.time_us) != VN_OK)
                return vn_fail(err, VN_DATA_LOSS, "gcp: a log entry lacks its time");
        if (line.text.len == 0 && payload) {
                dumped = json_dumps(payload, JSON_COMPACT | JSON_SORT_KEYS);
                if (!dumped)
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a log entry");
                line.text = vn_str(dumped);
        }
        vn_text_copy(line.function, sizeof(line.function), vn_json_str(entry, "resource.labels.service_name"));
        vn_text_copy(line.instance, sizeof(line.instance), vn_json_str(entry, "labels.instanceId"));
        line.id_hash = vn_hash64(id.ptr, id.len, 6);
        rc = line.text.len > 0 ? each(arg, &line) : VN_OK;
        free(dumped);
        return rc;
}

enum vn_rc vn_gcp_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                        int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(16384);
        VN_AUTO(vn_buf)
        filter = VN_BUF_INIT(2048);
        char from[VN_TIME_TEXT_BYTES], to[VN_TIME_TEXT_BYTES];

        vn_time_format(from_us, from);
        vn_time_format(to_us, to);
        vn_buf_printf(&filter,
                      "resource.type=\"cloud_run_revision\" AND "
                      "logName=(\"projects/%.*s/logs/run.googleapis.com%%2Fstdout\""
                      " OR \"projects/%.*s/logs/run.googleapis.com%%2Fstderr\")",
                      VN_FMT(cloud->config.project), VN_FMT(cloud->config.project));
        vn_buf_printf(&filter, " AND timestamp>=\"%s\" AND timestamp<\"%s\"", from, to);
        if (function)
                vn_buf_printf(&filter, " AND resource.labels.service_name=\"%s\"", function->name);
        VN_TRY(vn_buf_check(&filter, err));
        for (int i = 0; i < MAX_PAGES; i++) {
                VN_AUTO(vn_json)
                page = NULL;
                json_t *entry;
                size_t at;

                VN_TRY(vn_gcp_log_page(cloud, filter.ptr, &token, &page, err));
                json_array_foreach(json_object_get(page, "entries"), at, entry)
                        VN_TRY(one_entry(entry, each, arg, err));
                if (token.len == 0)
                        return VN_OK;
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "gcp: more than %d pages of log", MAX_PAGES);
}
