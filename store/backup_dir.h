/* backup_dir.h - a backup as a folder: the store, what stands beside it in a state directory, and a signed list of it all.
 * Layout: DIR/store, DIR/log.key, DIR/pki/..., as in a state directory; DIR/FILES has a line "SHA256 MODE BYTES PATH" for
 *   each of them, DIR/BACKUP is the manifest (manifest.h) signed over that list. A file that is not listed is no part of it.
 *   Whoever has a backup has the log's key: the signature shows damage, not who made it.
 * Threads: any, but they wait for a disk. Ownership: the caller removes a folder that was left half made.
 * Errors: DATA_LOSS names the file that is not as it was; CANCELLED when `stop` (may be NULL) became true. */
#ifndef VANE_STORE_BACKUP_DIR_H
#define VANE_STORE_BACKUP_DIR_H

#include <stdatomic.h>

#include "store/history.h"
#include "store/manifest.h"

/* Keys, certificates and the like from one state directory into another folder: files, and folders of files. Not the
 * store, not other backups, not what tells of a running process or a first login. Keys get mode 0600. */
enum vn_rc vn_backup_copy_beside(const char *state_dir, const char *to_dir, struct vn_err *err) VN_MUST_USE;
/* Lists what is in the folder and signs; nothing in it may change after. */
enum vn_rc vn_backup_seal(const char *dir, const struct vn_note_key *key, const struct vn_verify_report *report,
                          int64_t time_us, const atomic_bool *stop, struct vn_backup_manifest *ret,
                          struct vn_err *err) VN_MUST_USE;
/* The manifest alone: what the backup is said to be. */
enum vn_rc vn_backup_read(const char *dir, struct vn_backup_manifest *ret, struct vn_err *err) VN_MUST_USE;
/* Copies the listed files into to_dir, which exists and is empty, each checked against the list on the way. */
enum vn_rc vn_backup_unpack(const char *dir, const char *to_dir, struct vn_backup_manifest *ret,
                            struct vn_err *err) VN_MUST_USE;

#endif
