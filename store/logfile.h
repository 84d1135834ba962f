/* logfile.h - the Merkle log on disk.
 * Purpose: append leaves, publish signed checkpoints, serve tiles and proofs.
 * Form: leaves in slots of 258 bytes (length, leaf, zeros) in `leaf`; the hashes of tile level L one after the other in
 *   `hash.L`; `checkpoint`. A tile of any width is a slice of its level's file, so no tile is written twice and one
 *   fdatasync covers thousands. Everything below the published size is durable before the checkpoint that names it.
 * Threads: append and publish on the writer only; the readers from any thread, they see the published size.
 * Recovery: what lies beyond the checkpoint is cut off; the owner appends it again from its records. */
#ifndef VANE_STORE_LOGFILE_H
#define VANE_STORE_LOGFILE_H

#include <stdatomic.h>

#include "store/store.h"

struct vn_logfile;
/* key may be one that only verifies: then append and publish must not be called. */
enum vn_rc vn_logfile_open(const char *dir, const struct vn_note_key *key, bool read_only, struct vn_logfile **ret,
                           struct vn_err *err) VN_MUST_USE;
struct vn_logfile *vn_logfile_free(struct vn_logfile *log);
VN_DEFINE_AUTO(vn_logfile);
uint64_t vn_logfile_size(const struct vn_logfile *log); /* with what is not published yet; writer only */
uint64_t vn_logfile_bytes(const struct vn_logfile *log);
uint64_t vn_logfile_syncs(const struct vn_logfile *log);
enum vn_rc vn_logfile_append(struct vn_logfile *log, const struct vn_leaf *leaf) VN_MUST_USE;
/* Makes all appended leaves durable and signs; nothing if nothing is new. On failure it may be called again. */
enum vn_rc vn_logfile_publish(struct vn_logfile *log, struct vn_err *err) VN_MUST_USE;

struct vn_checkpoint vn_logfile_checkpoint(struct vn_logfile *log);
enum vn_rc vn_logfile_note(struct vn_logfile *log, struct vn_buf *ret) VN_MUST_USE;
struct vn_tlog_reader vn_logfile_reader(struct vn_logfile *log);
enum vn_rc vn_logfile_leaf(struct vn_logfile *log, uint64_t seq, struct vn_leaf *ret, struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_logfile_tile(struct vn_logfile *log, const struct vn_tile_name *tile, struct vn_buf *ret,
                           struct vn_err *err) VN_MUST_USE;
/* Copies checkpoint, leaves and hashes of one published moment into an empty folder. */
enum vn_rc vn_logfile_backup(struct vn_logfile *log, const char *to_dir, struct vn_err *err) VN_MUST_USE;
/* Hashes every leaf again and compares with the files and the checkpoint's root. */
enum vn_rc vn_logfile_verify(struct vn_logfile *log, struct vn_err *err) VN_MUST_USE;

#endif
