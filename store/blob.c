#include "store/blob.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/hash.h"
#include "store/store_parts.h"

/* blobs/ab/HASH: 256 folders, made as they are needed. */
static enum vn_rc blob_path(const struct vn_store *store, const struct vn_hash *hash, char folder[VN_PATH_BYTES],
                            char path[VN_PATH_BYTES], struct vn_err *err)
{
        char hex[2 * VN_HASH_BYTES + 1], first[3];
        vn_hex(hash->b, VN_HASH_BYTES, hex);
        memcpy(first, hex, 2);
        first[2] = 0;
        VN_TRY(vn_path_join(folder, store->blob_dir, first, err));
        return vn_path_join(path, folder, hex, err);
}

enum vn_rc vn_store_blob_put(struct vn_store *store, struct vn_str bytes, struct vn_hash *ret, struct vn_err *err)
{
        char folder[VN_PATH_BYTES], path[VN_PATH_BYTES];
        if (bytes.len > VN_BLOB_MAX_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "blob is longer than %u bytes", VN_BLOB_MAX_BYTES);
        vn_sha256(bytes.ptr, bytes.len, ret->b);
        VN_TRY(blob_path(store, ret, folder, path, err));
        if (access(path, F_OK) == 0)
                return VN_OK;
        struct vn_store_stats stats;
        vn_store_stats(store, &stats);
        if (stats.read_only || stats.used_bytes + bytes.len >= stats.budget_bytes)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s",
                               stats.read_only ? stats.why : "the blob does not fit the disk budget");
        VN_TRY(vn_dir_make(folder, err));
        if (VN_FAULT("store.blob.before"))
                return vn_fail(err, VN_UNAVAILABLE, "injected failure before the blob");
        VN_TRY(vn_file_write_atomic(path, bytes, 0600, err));
        atomic_fetch_add(&store->blob_bytes, vn_file_bytes_on_disk(path));
        return VN_OK;
}

enum vn_rc vn_store_blob_get(struct vn_store *store, const struct vn_hash *hash, struct vn_buf *ret,
                             struct vn_err *err)
{
        char folder[VN_PATH_BYTES], path[VN_PATH_BYTES];
        struct vn_hash have;
        size_t before = ret->len;
        VN_TRY(blob_path(store, hash, folder, path, err));
        if (access(path, F_OK) != 0 && errno == ENOENT)
                return vn_fail(err, VN_NOT_FOUND, "no such blob");
        VN_TRY(vn_file_read(path, ret, err));
        vn_sha256(ret->ptr + before, ret->len - before, have.b);
        if (!vn_hash_eq(&have, hash))
                return vn_fail(err, VN_DATA_LOSS, "%s: the bytes are not those that were stored", path);
        return VN_OK;
}

enum vn_rc vn_store_blob_delete(struct vn_store *store, const struct vn_hash *hash, struct vn_err *err)
{
        char folder[VN_PATH_BYTES], path[VN_PATH_BYTES];
        VN_TRY(blob_path(store, hash, folder, path, err));
        uint64_t bytes = vn_file_bytes_on_disk(path);
        if (unlink(path) != 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        atomic_fetch_sub(&store->blob_bytes, bytes);
        return vn_dir_sync(folder, err);
}

static uint64_t folder_bytes(const char *folder)
{
        char path[VN_PATH_BYTES];
        uint64_t bytes = 0;
        DIR *dir = opendir(folder);
        if (!dir)
                return 0;
        for (struct dirent *entry; (entry = readdir(dir));)
                if (entry->d_name[0] != '.' && vn_path_join(path, folder, entry->d_name, NULL) == VN_OK)
                        bytes += vn_file_bytes_on_disk(path);
        closedir(dir);
        return bytes;
}

enum vn_rc vn_blobs_open(struct vn_store *store, struct vn_err *err)
{
        char folder[VN_PATH_BYTES], name[8];
        VN_TRY(vn_path_join(store->blob_dir, store->dir, "blobs", err));
        VN_TRY(vn_dir_make(store->blob_dir, err));
        uint64_t bytes = 0;
        for (unsigned i = 0; i < 256; i++) {
                snprintf(name, sizeof name, "%02x", i);
                VN_TRY(vn_path_join(folder, store->blob_dir, name, err));
                bytes += folder_bytes(folder);
        }
        atomic_store(&store->blob_bytes, bytes);
        return VN_OK;
}
