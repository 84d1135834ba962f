/* What an auditor's tool reads from outside: signed notes, checkpoints, keys and tile names. Whatever parses must say
 * the same again. */
#include <stdint.h>
#include <string.h>

#include "store/note.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n);
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
        struct vn_str text = vn_str_n(bytes, n), signed_text;
        static struct vn_note_key *key;
        struct vn_checkpoint checkpoint;
        struct vn_tile_name tile;
        struct vn_note_key *other;
        if (!key && vn_note_key_parse(VN_STR("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"),
                                      &key, NULL) != VN_OK)
                return 0;
        if (vn_note_verify(key, text, &signed_text, NULL) == VN_OK)
                VN_ASSERT(signed_text.ptr == text.ptr && signed_text.len < n);
        if (vn_checkpoint_parse(text, &checkpoint, NULL) == VN_OK) {
                VN_AUTO(vn_buf)
                again = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
                VN_ASSERT(vn_checkpoint_format(&checkpoint, &again) == VN_OK);
                VN_ASSERT(vn_checkpoint_parse(vn_buf_view(&again), &checkpoint, NULL) == VN_OK);
        }
        if (vn_tile_parse(text, &tile) == VN_OK) {
                char path[VN_TILE_PATH_BYTES];
                VN_ASSERT(vn_tile_path(&tile, path) == VN_OK && vn_str_eq(text, vn_str(path)));
        }
        if (vn_note_key_parse(text, &other, NULL) == VN_OK)
                vn_note_key_free(other);
        return 0;
}
