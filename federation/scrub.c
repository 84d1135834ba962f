/* The allow-list: the one place where a cloud's record becomes something that Vane keeps. */
#include "federation/window.h"

enum field_id {
        FIELD_FUNCTION,
        FIELD_REGION,
        FIELD_START,
        FIELD_DURATION,
        FIELD_INIT,
        FIELD_BILLED,
        FIELD_MEMORY,
        FIELD_MAX_MEMORY,
        FIELD_PAYLOAD,
        FIELD_RESPONSE,
        FIELD_STATUS,
        FIELD_COLD,
        FIELD_COUNT
};
static const char *const field_names[FIELD_COUNT] = {
        "function",  "region",        "start_us",      "duration_us",    "init_us", "billed_us",
        "memory_mb", "max_memory_mb", "payload_bytes", "response_bytes", "status",  "cold",
};
#define MAX_TIME_US INT64_C(32503680000000000) /* year 3000 */
#define MAX_SPAN_US (7 * 24 * INT64_C(3600000000))
#define MAX_BYTES (UINT64_C(1) << 40)

static bool take_number(struct vn_str value, uint64_t max, uint64_t *ret)
{
        return vn_str_to_u64(value, ret) == VN_OK && *ret <= max;
}

static bool take_span(struct vn_str value, int64_t max, int64_t *ret)
{
        uint64_t n;
        if (!take_number(value, (uint64_t)max, &n))
                return false;
        *ret = (int64_t)n;
        return true;
}

static bool take_mb(struct vn_str value, uint32_t *ret)
{
        uint64_t n;
        if (!take_number(value, 1u << 20, &n))
                return false;
        *ret = (uint32_t)n;
        return true;
}

/* Printable, without quotes or controls: names end up in records and pages. */
static bool take_name(struct vn_str value, char *ret, size_t ret_bytes)
{
        for (size_t i = 0; i < value.len; i++)
                if (value.ptr[i] <= ' ' || value.ptr[i] > '~' || value.ptr[i] == '"' || value.ptr[i] == '\\')
                        return false;
        return vn_str_copy(ret, ret_bytes, value);
}

static bool take_status(struct vn_str value, enum vn_call_status *ret)
{
        static const char *const names[] = {"ok", "error", "throttled", "timeout"};
        for (unsigned i = 0; i < 4; i++)
                if (vn_str_eq(value, vn_str(names[i]))) {
                        *ret = (enum vn_call_status)i;
                        return true;
                }
        return false;
}

static bool take_field(enum field_id id, struct vn_str v, struct vn_invocation *ret)
{
        uint64_t flag;
        switch (id) {
        case FIELD_FUNCTION: return v.len && take_name(v, ret->function, sizeof ret->function);
        case FIELD_REGION: return take_name(v, ret->region, sizeof ret->region);
        case FIELD_START: return take_span(v, MAX_TIME_US, &ret->start_us);
        case FIELD_DURATION: return take_span(v, MAX_SPAN_US, &ret->duration_us);
        case FIELD_INIT: return take_span(v, MAX_SPAN_US, &ret->init_us);
        case FIELD_BILLED: return take_span(v, MAX_SPAN_US, &ret->billed_us);
        case FIELD_MEMORY: return take_mb(v, &ret->memory_mb);
        case FIELD_MAX_MEMORY: return take_mb(v, &ret->max_memory_mb);
        case FIELD_PAYLOAD: return take_number(v, MAX_BYTES, &ret->payload_bytes);
        case FIELD_RESPONSE: return take_number(v, MAX_BYTES, &ret->response_bytes);
        case FIELD_STATUS: return take_status(v, &ret->status);
        case FIELD_COLD:
                if (!take_number(v, 1, &flag))
                        return false;
                ret->cold = flag;
                return true;
        case FIELD_COUNT: break;
        }
        return false;
}

enum vn_rc vn_invocation_scrub(const struct vn_field *fields, size_t count, struct vn_invocation *ret,
                               uint64_t *dropped, struct vn_err *err)
{
        struct vn_invocation call = {.status = VN_CALL_OK};
        unsigned seen = 0;
        for (size_t i = 0; i < count; i++) {
                unsigned id = 0;
                while (id < FIELD_COUNT && !vn_str_eq(fields[i].name, vn_str(field_names[id])))
                        id++;
                if (id == FIELD_COUNT) {
                        (*dropped)++;
                        continue;
                }
                if (seen & 1u << id)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "invocation record: %s twice", field_names[id]);
                seen |= 1u << id;
                /* The value is not quoted in the error: it may be anything. */
                if (!take_field((enum field_id)id, fields[i].value, &call))
                        return vn_fail(err, VN_INVALID_ARGUMENT, "invocation record: malformed %s", field_names[id]);
        }
        if (!(seen & 1u << FIELD_FUNCTION) || !(seen & 1u << FIELD_START))
                return vn_fail(err, VN_INVALID_ARGUMENT, "invocation record: no function or no start");
        *ret = call;
        return VN_OK;
}
