/* The line that Lambda writes at the end of each invocation:
 *   REPORT RequestId: X\tDuration: 3.01 ms\tBilled Duration: 4 ms\tMemory Size: 128 MB\tMax Memory Used: 36 MB\t
 *   Init Duration: 110.10 ms\t
 * and its JSON form. Both come from outside, so nothing about them is believed before it is checked. */
#include "clouds/aws/aws.h"

#define MAX_MS 86400000.0 /* a day: far over any limit, far under overflow */

/* "3.01 ms" or "128 MB": the number before the unit. */
static bool number_with(struct vn_str text, const char *unit, double *ret)
{
        struct vn_str number = vn_str_cut(&text, ' ');

        return text.ptr && vn_str_eq(vn_str_trim(text), vn_str(unit)) && vn_str_to_double(number, ret) == VN_OK &&
               *ret >= 0 && *ret <= MAX_MS;
}

static int64_t ms_to_us(double ms)
{
        return (int64_t)(ms * 1000.0 + 0.5);
}

struct seen {
        bool duration, billed, memory;
};

static bool take_ms(struct vn_str value, int64_t *ret)
{
        double ms;

        if (!number_with(value, "ms", &ms))
                return false;
        *ret = ms_to_us(ms);
        return true;
}

static bool take_mb(struct vn_str value, uint32_t *ret)
{
        double mb;

        if (!number_with(value, "MB", &mb))
                return false;
        *ret = (uint32_t)mb;
        return true;
}

/* One "Name: value" of the line; unknown names are passed over. */
static bool take_field(struct vn_str name, struct vn_str value, struct vn_cloud_invocation *ret, struct seen *seen)
{
        int64_t init_us;

        if (vn_str_eq(name, VN_STR("Duration")))
                return seen->duration = take_ms(value, &ret->duration_us);
        if (vn_str_eq(name, VN_STR("Billed Duration")))
                return seen->billed = take_ms(value, &ret->billed_us);
        if (vn_str_eq(name, VN_STR("Memory Size")))
                return seen->memory = take_mb(value, &ret->memory_mb);
        if (vn_str_eq(name, VN_STR("Max Memory Used")))
                return take_mb(value, &ret->max_memory_mb);
        if (vn_str_eq(name, VN_STR("Init Duration")) || vn_str_eq(name, VN_STR("Restore Duration"))) {
                if (!take_ms(value, &init_us))
                        return false;
                ret->init_us += init_us;
                ret->cold = true;
                return true;
        }
        if (vn_str_eq(name, VN_STR("Status")))
                ret->status = vn_str_eq(value, VN_STR("timeout")) ? VN_INVOCATION_TIMEOUT : VN_INVOCATION_ERROR;
        return true;
}

static enum vn_rc parse_text(struct vn_str line, struct vn_cloud_invocation *ret)
{
        struct seen seen = {0};
        struct vn_str id;

        vn_str_cut(&line, ' '); /* REPORT */
        while (line.ptr) {
                struct vn_str field = vn_str_trim(vn_str_cut(&line, '\t')), name;

                if (field.len == 0)
                        continue;
                name = vn_str_cut(&field, ':');
                if (!field.ptr)
                        continue;
                field = vn_str_trim(field);
                if (vn_str_eq(name, VN_STR("RequestId"))) {
                        id = field;
                        ret->id_hash = vn_hash64(id.ptr, id.len, 1);
                } else if (!take_field(name, field, ret, &seen)) {
                        return VN_DATA_LOSS;
                }
        }
        return seen.duration && seen.billed && seen.memory && ret->id_hash ? VN_OK : VN_DATA_LOSS;
}

static enum vn_rc parse_json(struct vn_str text, struct vn_cloud_invocation *ret)
{
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str id, status;
        double duration, billed, memory, init, most;

        if (vn_json_load(text, &root, NULL) != VN_OK)
                return VN_DATA_LOSS;
        if (!vn_str_eq(vn_json_str(root, "type"), VN_STR("platform.report")))
                return VN_NOT_FOUND;
        id = vn_json_str(root, "record.requestId");
        duration = vn_json_pick_number(root, "record.metrics.durationMs", -1);
        billed = vn_json_pick_number(root, "record.metrics.billedDurationMs", -1);
        memory = vn_json_pick_number(root, "record.metrics.memorySizeMB", -1);
        most = vn_json_pick_number(root, "record.metrics.maxMemoryUsedMB", 0);
        init = vn_json_pick_number(root, "record.metrics.initDurationMs", 0) +
               vn_json_pick_number(root, "record.metrics.restoreDurationMs", 0);
        if (id.len == 0 || !(duration >= 0 && duration <= MAX_MS) || !(billed >= 0 && billed <= MAX_MS) ||
            !(memory >= 0 && memory <= MAX_MS) || !(init >= 0 && init <= MAX_MS) || !(most >= 0 && most <= MAX_MS))
                return VN_DATA_LOSS;
        ret->id_hash = vn_hash64(id.ptr, id.len, 1);
        ret->duration_us = ms_to_us(duration);
        ret->billed_us = ms_to_us(billed);
        ret->memory_mb = (uint32_t)memory;
        ret->max_memory_mb = (uint32_t)most;
        ret->init_us = ms_to_us(init);
        ret->cold = init > 0;
        status = vn_json_str(root, "record.status");
        if (vn_str_eq(status, VN_STR("timeout")))
                ret->status = VN_INVOCATION_TIMEOUT;
        else if (status.len > 0 && !vn_str_eq(status, VN_STR("success")))
                ret->status = VN_INVOCATION_ERROR;
        return VN_OK;
}

enum vn_rc vn_aws_report_parse(struct vn_str message, struct vn_cloud_invocation *ret)
{
        struct vn_cloud_invocation got = *ret;
        enum vn_rc rc;

        while (message.len > 0 && (message.ptr[message.len - 1] == '\n' || message.ptr[message.len - 1] == '\r'))
                message.len--;
        got.id_hash = 0;
        got.init_us = 0;
        got.cold = false;
        got.status = VN_INVOCATION_OK;
        got.max_memory_mb = 0;
        if (vn_str_starts(message, VN_STR("REPORT ")))
                rc = parse_text(vn_str_cut(&message, '\n'), &got); /* an XRAY line may follow */
        else if (message.len > 0 && message.ptr[0] == '{')
                rc = parse_json(message, &got);
        else
                rc = VN_NOT_FOUND;
        if (rc == VN_OK)
                *ret = got;
        return rc;
}
