/* Any bytes either do not read as a record, or encode again to themselves and have a leaf that verifies. */
#include "decide/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vn_record record;
        struct vn_view *view = NULL;
        uint8_t leaf[VN_RECORD_LEAF_BYTES];
        struct vn_str bytes = vn_str_n(data, size);
        if (vn_record_decode(bytes, &record, NULL) == VN_OK) {
                VN_ASSERT(vn_record_leaf(bytes, leaf, NULL) == VN_OK);
                VN_ASSERT(vn_record_verify_leaf(bytes, vn_str_n(leaf, sizeof leaf), NULL) == VN_OK);
        }
        if (vn_view_decode_blob(bytes, &view, NULL) == VN_OK)
                view = vn_view_free(view);
        return 0;
}
