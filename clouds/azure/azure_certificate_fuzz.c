/* A certificate file of any bytes: an assertion of three parts, or a refusal; nothing asks for a password. */
#include "clouds/azure/credentials.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        VN_AUTO(vn_buf)
        jwt = VN_BUF_INIT(16384);
        if (vn_azure_assertion(vn_str_n(data, size), VN_STR("c"), VN_STR("https://a/token"), 0, &jwt, NULL) != VN_OK)
                return 0;
        struct vn_str rest = vn_buf_view(&jwt);
        for (int i = 0; i < 3; i++)
                VN_ASSERT(vn_str_cut(&rest, '.').len);
        VN_ASSERT(!rest.ptr && vn_is_visible(vn_buf_view(&jwt)));
        return 0;
}
