/* What parses prints, and every error names a place inside the document. */
#include "policies/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
        struct vn_policy_compiled p;
        struct vn_policy_errors errors;
        VN_AUTO(vn_buf)
        text = VN_BUF_INIT(1 << 16);
        if (vn_policy_parse(vn_str_n(data, n), &p, &errors, NULL) == VN_OK) {
                vn_policy_print(&p, &text);
                VN_ASSERT(!text.failed);
        } else {
                VN_ASSERT(errors.count > 0 && errors.items[0].line >= 1);
        }
        return 0;
}
