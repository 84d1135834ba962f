/* Any bytes as a window from an agent: refused, or one whose figures agree with each other. */
#include <math.h>

#include "server/telemetry/telemetry.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct vn_window window;
        Vane__V1__Window *message = vane__v1__window__unpack(NULL, size, data);
        if (!message)
                return 0;
        if (vn_window_from_proto(message, &window, NULL) == VN_OK) {
                VN_ASSERT(window.function[0] && memchr(window.function, 0, sizeof window.function));
                VN_ASSERT(window.errors <= window.calls && window.cold_starts <= window.calls);
                VN_ASSERT(window.start_us % VN_WINDOW_US == 0 && window.durations.total <= window.calls);
                VN_ASSERT(isfinite(window.payload_log_sum) && isfinite(window.log_duration_sum));
        }
        vane__v1__window__free_unpacked(message, NULL);
        return 0;
}
