/* A shared file of any bytes: what is found lies in the text, and has neither line ends nor blanks around it. */
#include "base/err.h"
#include "clouds/aws/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        const struct vn_str text = vn_str_n(data, size);
        for (int config_file = 0; config_file < 2; config_file++) {
                struct vn_str value = vn_aws_profile_value(text, config_file, VN_STR("default"), VN_STR("a"));
                if (!value.ptr)
                        continue;
                VN_ASSERT(value.ptr >= text.ptr && value.ptr + value.len <= text.ptr + text.len);
                VN_ASSERT(!value.len || !memchr(value.ptr, '\n', value.len));
                VN_ASSERT(vn_str_eq(value, vn_str_trim(value)));
        }
        return 0;
}
