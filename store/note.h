/* note.h - signed notes and checkpoints (C2SP signed-note, tlog-checkpoint), Ed25519.
 * Threads: any. Ownership: a key is freed by its owner; a secret key is overwritten when it goes.
 * Formats: public "NAME+HASH8+BASE64(0x01 || 32 bytes)"; the secret is a PKCS#8 PEM file, mode 0600. */
#ifndef VANE_STORE_NOTE_H
#define VANE_STORE_NOTE_H

#include "base/mem.h"
#include "store/tlog.h"

#define VN_NOTE_MAX_BYTES 8192
#define VN_NOTE_NAME_BYTES 128
#define VN_NOTE_KEY_TEXT_BYTES (VN_NOTE_NAME_BYTES + 64)

struct vn_note_key; /* an Ed25519 pair or only its public half */
/* A fresh pair; `name` has no spaces and no '+'. */
enum vn_rc vn_note_key_generate(const char *name, struct vn_note_key **ret, struct vn_err *err) VN_MUST_USE;
/* Reads the PEM file, or makes it (0600) if it is not there. */
enum vn_rc vn_note_key_load_or_make(const char *path, const char *name, struct vn_note_key **ret,
                                    struct vn_err *err) VN_MUST_USE;
/* From the public text form: can only verify. */
enum vn_rc vn_note_key_parse(struct vn_str text, struct vn_note_key **ret, struct vn_err *err) VN_MUST_USE;
void vn_note_key_text(const struct vn_note_key *key, char ret[VN_NOTE_KEY_TEXT_BYTES]);
const char *vn_note_key_name(const struct vn_note_key *key);
struct vn_note_key *vn_note_key_free(struct vn_note_key *key);
VN_DEFINE_AUTO(vn_note_key);

/* Appends to `ret` the note: text (ends in a newline, holds no empty last line), a blank line, one signature line. */
enum vn_rc vn_note_sign(const struct vn_note_key *key, struct vn_str text, struct vn_buf *ret,
                        struct vn_err *err) VN_MUST_USE;
/* Checks that one signature line is by `key` and holds; *ret_text is the signed text inside `note`. Lines by unknown
 * keys are ignored, a bad one by a known key is UNAUTHENTICATED, none at all is UNAUTHENTICATED. */
enum vn_rc vn_note_verify(const struct vn_note_key *key, struct vn_str note, struct vn_str *ret_text,
                          struct vn_err *err) VN_MUST_USE;

struct vn_checkpoint {
        char origin[VN_NOTE_NAME_BYTES];
        uint64_t size;
        struct vn_hash root;
};
enum vn_rc vn_checkpoint_format(const struct vn_checkpoint *checkpoint, struct vn_buf *ret) VN_MUST_USE;
enum vn_rc vn_checkpoint_parse(struct vn_str text, struct vn_checkpoint *ret, struct vn_err *err) VN_MUST_USE;
/* Signature, then the text; the origin must be the key's name. */
enum vn_rc vn_checkpoint_open(const struct vn_note_key *key, struct vn_str note, struct vn_checkpoint *ret,
                              struct vn_err *err) VN_MUST_USE;

#endif
