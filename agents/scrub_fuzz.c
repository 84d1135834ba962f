/* Any bytes as a line: the scrubber ends within its bound, and scrubbing again changes nothing. */
#include "agents/scrub.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (!size || size > 4096)
                return 0;
        struct vn_scrub scrub;
        struct vn_str text;
        VN_AUTO(vn_buf)
        once = VN_BUF_INIT(1 << 20);
        vn_scrub_init(&scrub);
        if (vn_scrub_text(&scrub, vn_str_n(data, size), &text, NULL) == VN_OK) {
                VN_ASSERT(vn_buf_str(&once, text));
                VN_ASSERT(vn_scrub_text(&scrub, vn_buf_view(&once), &text, NULL) == VN_OK);
                VN_ASSERT(vn_str_eq(text, vn_buf_view(&once)));
        }
        vn_scrub_done(&scrub);
        return 0;
}
