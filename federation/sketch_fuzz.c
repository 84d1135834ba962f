/* Any bytes as a sketch: refused, or the one form of what they say. */
#include "federation/sketch.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        static struct vn_sketch sketch;
        if (vn_sketch_decode(vn_str_n(data, size), &sketch, NULL) != VN_OK)
                return 0;
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(VN_SKETCH_MAX_BYTES);
        vn_sketch_encode(&sketch, &again);
        /* The older form comes back in the newer one. */
        VN_ASSERT(!again.failed && (data[0] == 1 || (again.len == size && !memcmp(again.ptr, data, size))));
        double median_us = vn_sketch_quantile_us(&sketch, 0.5);
        VN_ASSERT(median_us >= 0 && median_us < 1e12);
        return 0;
}
