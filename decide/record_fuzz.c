/* Any bytes either do not read as a record, or encode again to themselves and have a leaf that verifies. */
#include "decide/run.h"

/* Reads every decision and builds the record from them again; false for what does not read. */
static bool rebuilds(struct vn_str bytes)
{
        static uint8_t again[VN_RUN_MAX_BYTES];
        struct vn_run_reader reader;
        struct vn_record record;
        enum vn_rc rc = vn_run_open(&reader, bytes, NULL);
        VN_AUTO(vn_run)
        run = vn_run_new();
        VN_ASSERT(run);
        vn_run_begin(run);
        size_t n;
        while (rc == VN_OK && (rc = vn_run_next(&reader, &record, NULL)) == VN_OK)
                if (vn_run_add(run, &record, NULL) != VN_OK)
                        return false; /* larger than a builder would make it */
        if (rc != VN_NOT_FOUND)
                return false;
        VN_ASSERT(vn_run_finish(run, again, sizeof again, &n, NULL) == VN_OK);
        VN_ASSERT(n == bytes.len && !memcmp(again, bytes.ptr, n));
        return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        struct vn_view *view = NULL;
        uint8_t leaf[VN_RECORD_LEAF_BYTES];
        struct vn_str bytes = vn_str_n(data, size);
        if (rebuilds(bytes)) {
                VN_ASSERT(vn_record_leaf(bytes, leaf, NULL) == VN_OK);
                VN_ASSERT(vn_record_verify_leaf(bytes, vn_str_n(leaf, sizeof leaf), NULL) == VN_OK);
        }
        if (vn_view_decode_blob(bytes, &view, NULL) == VN_OK)
                view = vn_view_free(view);
        return 0;
}
