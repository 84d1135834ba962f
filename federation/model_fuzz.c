/* Any bytes as a model. The checksum is made right first, or nothing behind it would ever be reached. What is accepted
 * encodes to the same bytes and answers with finite numbers. */
#include "base/hash.h"
#include "federation/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_answers(const struct vn_model *model)
{
        const struct vn_fn_stats stats = {.windows = 9, .recent = 9, .mean = 11, .median = 11};
        const struct vn_cold_query cold = {.platform = VN_PLATFORM_AWS, .memory_mb = 512, .idle_s = 300};
        double chance = vn_model_cold(model, &stats, &cold);
        VN_ASSERT(!(chance < 0) && !(chance > 1));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        if (size < VN_MODEL_HASH_BYTES || size > 65536)
                return 0;
        VN_AUTO(vn_buf)
        bytes = VN_BUF_INIT(65536);
        VN_AUTO(vn_buf)
        again = VN_BUF_INIT(65536);
        VN_AUTO(vn_model)
        model = NULL;
        vn_buf_add(&bytes, data, size);
        vn_sha256(bytes.ptr, size - VN_MODEL_HASH_BYTES, (uint8_t *)bytes.ptr + size - VN_MODEL_HASH_BYTES);
        if (vn_model_decode(vn_buf_view(&bytes), &model, NULL) != VN_OK)
                return 0;
        VN_ASSERT(vn_model_encode(model, &again, NULL) == VN_OK);
        VN_ASSERT(again.len == size && !memcmp(again.ptr, bytes.ptr, size));
        check_answers(model);
        return 0;
}
