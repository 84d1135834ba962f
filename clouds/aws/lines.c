/* AWS Lambda: what functions wrote, line by line, from CloudWatch Logs. */
#include "clouds/aws/aws.h"

#define MAX_PAGES 1000

static enum vn_rc one_event(const struct vn_aws_log_range *range, json_t *event, vn_cloud_line_fn each, void *arg)
{
        struct vn_cloud_line line = {.text = vn_json_str(event, "message")};
        double ms = vn_json_pick_number(event, "timestamp", -1);
        struct vn_str id = vn_json_str(event, "eventId"), stream = vn_json_str(event, "logStreamName");

        if (!(ms >= 0 && ms < 1e15) || line.text.len == 0)
                return VN_OK;
        line.time_us = (int64_t)ms * VN_US_PER_MS;
        if (line.time_us < range->from_us || line.time_us >= range->to_us)
                return VN_OK;
        while (line.text.len > 0 &&
               (line.text.ptr[line.text.len - 1] == '\n' || line.text.ptr[line.text.len - 1] == '\r'))
                line.text.len--;
        memcpy(line.function, range->function->name, sizeof(line.function));
        vn_text_copy(line.instance, sizeof(line.instance), vn_aws_instance_of(stream));
        line.id_hash = id.len > 0 ? vn_hash64(id.ptr, id.len, 4)
                                  : vn_hash64(line.text.ptr, line.text.len, vn_hash64(&line.time_us, 8, 4));
        return each(arg, &line);
}

enum vn_rc vn_aws_lines(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                        int64_t to_us, vn_cloud_line_fn each, void *arg, struct vn_err *err)
{
        const struct vn_aws_log_range range = {function, from_us, to_us, NULL};
        VN_AUTO(vn_buf)
        token = VN_BUF_INIT(16384);

        if (!function)
                return vn_fail(err, VN_INVALID_ARGUMENT, "aws: logs are read function by function");
        for (int i = 0; i < MAX_PAGES; i++) {
                VN_AUTO(vn_json)
                page = NULL;
                json_t *event;
                size_t at;
                enum vn_rc rc = vn_aws_log_page(cloud, &range, &token, &page, err);

                if (vn_aws_no_log(rc, err))
                        return VN_OK;
                VN_TRY(rc);
                json_array_foreach(json_object_get(page, "events"), at, event)
                        VN_TRY(one_event(&range, event, each, arg));
                if (token.len == 0)
                        return VN_OK;
        }
        return vn_fail(err, VN_OUT_OF_RANGE, "aws: more than %d pages of log", MAX_PAGES);
}
