/* blob.h - what is larger than 64 KiB: content-addressed files beside the tables.
 * Order: write, fsync, rename, fsync of the folder; only then may a batch that names the hash be submitted, so that no
 *   table ever names a blob that is not there. Put is idempotent; get checks the hash (DATA_LOSS).
 * Threads: any; each call works in the caller's thread and waits for the disk. Not on an edge loop. */
#ifndef VANE_STORE_BLOB_H
#define VANE_STORE_BLOB_H

#include "store/store.h"

/* --- blobs: content-addressed files --- */
#define VN_BLOB_MAX_BYTES (64u << 20)
enum vn_rc vn_store_blob_put(struct vn_store *store, struct vn_str bytes, struct vn_hash *ret,
                             struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_store_blob_get(struct vn_store *store, const struct vn_hash *hash, struct vn_buf *ret,
                             struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_store_blob_delete(struct vn_store *store, const struct vn_hash *hash, struct vn_err *err) VN_MUST_USE;

#endif
