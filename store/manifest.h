/* manifest.h - what a log's key vouches for besides its checkpoints: that an export, or a backup, is whole.
 * Purpose: a list cannot show that its end is missing. So whoever made it signs how much there is, and a SHA-256 of it.
 * Format: a signed note (note.h) whose first line is "NAME/export/v1" or "NAME/backup/v1" with the key's name, then one
 *   "word value" a line. A checkpoint's first line is the name alone and its second a number, so that none of the three
 *   can be taken for another. There is one spelling: what is opened is written again and compared, the signature too.
 * Threads: any; pure. Ownership: values. Errors: UNAUTHENTICATED (not signed by the key), INVALID_ARGUMENT. */
#ifndef VANE_STORE_MANIFEST_H
#define VANE_STORE_MANIFEST_H

#include "base/hash.h"
#include "store/note.h"

#define VN_MANIFEST_TENANT_BYTES 64
#define VN_BACKUP_NAME_BYTES 64

struct vn_export_manifest {
        char tenant[VN_MANIFEST_TENANT_BYTES];
        int64_t from_us, to_us; /* as asked for; 0: no bound */
        uint64_t size;          /* of the checkpoint that the proofs lead to */
        struct vn_hash root;
        uint64_t first, end; /* the export accounts for every entry of the log from first to before end */
        uint64_t records, expired, others, missing;
        uint64_t lines;                  /* before this one */
        uint8_t sha256[VN_SHA256_BYTES]; /* of those lines, newlines included */
};
/* Appends the note to `ret`. */
enum vn_rc vn_export_manifest_sign(const struct vn_note_key *key, const struct vn_export_manifest *manifest,
                                   struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_export_manifest_open(const struct vn_note_key *key, struct vn_str note, struct vn_export_manifest *ret,
                                   struct vn_err *err) VN_MUST_USE;

struct vn_backup_manifest {
        char key[VN_NOTE_KEY_TEXT_BYTES]; /* that it is signed with */
        int64_t time_us;
        uint64_t bytes, files; /* of all files but the two that list them */
        uint64_t records;
        uint64_t size; /* of the log */
        struct vn_hash root;
        uint8_t sha256[VN_SHA256_BYTES]; /* of the list of files */
};
enum vn_rc vn_backup_manifest_sign(const struct vn_note_key *key, const struct vn_backup_manifest *manifest,
                                   struct vn_buf *ret, struct vn_err *err) VN_MUST_USE;
/* Checked with the key that it names itself: whether that is the right one is for the caller to see. */
enum vn_rc vn_backup_manifest_open(struct vn_str note, struct vn_backup_manifest *ret,
                                   struct vn_err *err) VN_MUST_USE;

#endif
