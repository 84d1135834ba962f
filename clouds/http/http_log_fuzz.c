/* Any bytes as a line of the access log: nothing, or a record within its bounds. */
#include "clouds/http/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vn_cloud_invocation got;

        if (vn_http_log_line(vn_str_n((const char *)data, size), &got) == VN_OK)
                VN_ASSERT(got.duration_us >= 0 && got.duration_us <= 24 * VN_US_PER_HOUR && got.function[0] &&
                          got.init_us >= 0 && got.response_bytes >= -1);
        return 0;
}
