/* A segment of whatever bytes: reading ends, and what is accepted lies within them and is as long as it says. */
#include "agents/spool.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vn_str bytes = vn_str_n(data, size);
        struct vn_spool_record r;
        size_t used;
        while (vn_spool_record_read(bytes, &r, &used) == VN_OK) {
                VN_ASSERT(used <= bytes.len && used == VN_SPOOL_HEAD_BYTES + r.payload.len &&
                          r.payload.len <= VN_SPOOL_MAX_RECORD_BYTES &&
                          r.payload.ptr + r.payload.len == bytes.ptr + used);
                bytes = vn_str_n(bytes.ptr + used, bytes.len - used);
        }
        return 0;
}
