#include "agents/window_proto.h"

static bool put_idle(const struct vn_window *w, struct vn_arena *arena, Vane__V1__Window *m)
{
        m->idle_bins = vn_arena_alloc(arena, VN_IDLE_BINS * sizeof(Vane__V1__IdleBin *));
        Vane__V1__IdleBin *bins = vn_arena_alloc(arena, VN_IDLE_BINS * sizeof *bins);
        if (!m->idle_bins || !bins)
                return false;
        for (size_t i = 0; i < VN_IDLE_BINS; i++) {
                if (!w->idle[i].calls)
                        continue;
                Vane__V1__IdleBin *bin = m->idle_bins[m->n_idle_bins] = &bins[m->n_idle_bins];
                vane__v1__idle_bin__init(bin);
                bin->upper_s = vn_idle_upper_s[i];
                bin->calls = w->idle[i].calls;
                bin->cold = w->idle[i].cold;
                m->n_idle_bins++;
        }
        return true;
}

static bool put_sketch(const struct vn_window *w, struct vn_arena *arena, Vane__V1__Window *m)
{
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(VN_SKETCH_MAX_BYTES);
        vn_sketch_encode(&w->durations, &bytes);
        m->duration_sketch.data = bytes.failed ? NULL : vn_arena_alloc(arena, bytes.len);
        if (!m->duration_sketch.data)
                return false;
        memcpy(m->duration_sketch.data, bytes.ptr, bytes.len);
        m->duration_sketch.len = bytes.len;
        return true;
}

enum vn_rc vn_window_to_proto(const struct vn_window *w, struct vn_arena *arena, Vane__V1__Window **ret,
                              struct vn_err *err)
{
        Vane__V1__Window *m = vn_arena_alloc(arena, sizeof *m);
        if (m)
                vane__v1__window__init(m);
        if (!m || !put_idle(w, arena, m) || !put_sketch(w, arena, m) ||
            !(m->function = vn_arena_strndup(arena, w->function, strlen(w->function))) ||
            !(m->region = vn_arena_strndup(arena, w->region, strlen(w->region))))
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "windows: out of memory");
        m->start_us = w->start_us;
        m->length_s = (uint32_t)(VN_WINDOW_US / 1000000);
        m->calls = w->calls;
        m->errors = w->errors;
        m->throttles = w->throttles;
        m->timeouts = w->timeouts;
        m->cold_starts = w->cold_starts;
        m->duration_sum_us = w->duration_sum_us;
        m->billed_sum_us = w->billed_sum_us;
        m->metered = w->metered;
        m->billed_mb_us = w->billed_mb_us;
        m->billed_milli_vcpu_us = w->billed_milli_vcpu_us;
        m->init_sum_us = w->init_sum_us;
        m->memory_mb = w->memory_mb;
        m->max_memory_used_mb = w->max_memory_mb;
        m->payload_log_mean = w->calls ? w->payload_log_sum / w->calls : 0;
        m->payload_sum_bytes = w->payload_sum_bytes;
        m->response_sum_bytes = w->response_sum_bytes;
        m->log_duration_sum = w->log_duration_sum;
        m->log_duration_sum_sq = w->log_duration_sum_sq;
        m->idle_before_sum_us = w->idle_sum_us;
        *ret = m;
        return VN_OK;
}
