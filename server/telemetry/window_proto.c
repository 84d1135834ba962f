/* window_proto.c - a window off the wire: every figure checked before it is believed. */
#include "server/telemetry/telemetry.h"

#define MAX_CALLS 10000000u
#define MAX_SUM 1e18

static bool finite_in(double value, double low, double high)
{
        return value >= low && value <= high; /* false for NaN */
}

static enum vn_rc check_counts(const Vane__V1__Window *w, struct vn_err *err)
{
        if (w->calls > MAX_CALLS || w->throttles > MAX_CALLS)
                return vn_fail(err, VN_INVALID_ARGUMENT, "windows.calls: at most %u", MAX_CALLS);
        if (w->errors > w->calls || w->timeouts > w->calls || w->cold_starts > w->calls)
                return vn_fail(err, VN_INVALID_ARGUMENT, "windows: more errors, timeouts or cold starts than calls");
        if (w->start_us <= 0 || w->start_us % VN_WINDOW_US || (w->length_s && w->length_s != 60))
                return vn_fail(err, VN_INVALID_ARGUMENT, "windows.start_us: not the start of a one-minute window");
        if (!finite_in(w->payload_log_mean, 0, 64) || !finite_in(w->payload_sum_bytes, 0, MAX_SUM) ||
            !finite_in(w->response_sum_bytes, 0, MAX_SUM) || !finite_in(w->log_duration_sum, -MAX_SUM, MAX_SUM) ||
            !finite_in(w->log_duration_sum_sq, 0, MAX_SUM))
                return vn_fail(err, VN_INVALID_ARGUMENT, "windows: a sum is not finite or out of range");
        if (w->memory_mb > 65536 || w->max_memory_used_mb > 65536)
                return vn_fail(err, VN_INVALID_ARGUMENT, "windows.memory_mb: at most 65536");
        return VN_OK;
}

static enum vn_rc read_idle(const Vane__V1__Window *w, struct vn_window *ret, struct vn_err *err)
{
        for (size_t i = 0; i < w->n_idle_bins; i++) {
                const Vane__V1__IdleBin *bin = w->idle_bins[i];
                size_t at = 0;
                while (at < VN_IDLE_BINS && vn_idle_upper_s[at] != bin->upper_s)
                        at++;
                if (at == VN_IDLE_BINS || bin->cold > bin->calls || bin->calls > w->calls)
                        return vn_fail(err, VN_INVALID_ARGUMENT, "windows.idle_bins: no such bin, or too many calls");
                ret->idle[at].calls = bin->calls;
                ret->idle[at].cold = bin->cold;
        }
        return VN_OK;
}

enum vn_rc vn_window_from_proto(const Vane__V1__Window *w, struct vn_window *ret, struct vn_err *err)
{
        memset(ret, 0, sizeof *ret);
        if (!w->function[0] || !vn_str_copy(ret->function, sizeof ret->function, vn_str(w->function)) ||
            !vn_str_copy(ret->region, sizeof ret->region, vn_str(w->region)))
                return vn_fail(err, VN_INVALID_ARGUMENT, "windows.function: missing or too long");
        VN_TRY(check_counts(w, err));
        VN_TRY(read_idle(w, ret, err));
        vn_sketch_init(&ret->durations);
        if (w->duration_sketch.len) {
                struct vn_str bytes = vn_str_n(w->duration_sketch.data, w->duration_sketch.len);
                enum vn_rc rc = vn_sketch_decode(bytes, &ret->durations, err);
                if (rc != VN_OK)
                        return vn_err_prefix(err, rc, "windows.duration_sketch");
        }
        if (ret->durations.total > w->calls)
                return vn_fail(err, VN_INVALID_ARGUMENT, "windows.duration_sketch: more than calls");
        ret->start_us = w->start_us;
        ret->calls = w->calls;
        ret->errors = w->errors;
        ret->throttles = w->throttles;
        ret->timeouts = w->timeouts;
        ret->cold_starts = w->cold_starts;
        ret->duration_sum_us = w->duration_sum_us;
        ret->billed_sum_us = w->billed_sum_us;
        ret->metered = w->metered;
        ret->billed_mb_us = w->billed_mb_us;
        ret->billed_milli_vcpu_us = w->billed_milli_vcpu_us;
        ret->init_sum_us = w->init_sum_us;
        ret->log_duration_sum = w->log_duration_sum;
        ret->log_duration_sum_sq = w->log_duration_sum_sq;
        ret->memory_mb = w->memory_mb;
        ret->max_memory_mb = w->max_memory_used_mb;
        ret->payload_sum_bytes = w->payload_sum_bytes;
        ret->payload_log_sum = w->payload_log_mean * w->calls;
        ret->response_sum_bytes = w->response_sum_bytes;
        ret->idle_sum_us = w->idle_before_sum_us;
        return VN_OK;
}
