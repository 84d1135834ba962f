/* Whatever a log says: the parser ends, and an accepted record is within its bounds. */
#include "clouds/aws/aws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vn_cloud_invocation got = {0};

        if (vn_aws_report_parse(vn_str_n(data, size), &got) == VN_OK)
                VN_ASSERT(got.duration_us >= 0 && got.duration_us <= VN_US_PER_HOUR * 24 && got.billed_us >= 0 &&
                          got.init_us >= 0 && got.id_hash);
        return 0;
}
