#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/lmdb_parts.h"

#define MAX_READERS 126
#define NEARLY_FULL_BYTES (1u << 20)

static bool disk_is_full(const char *path)
{
        struct statvfs fs;
        struct rlimit limit;
        if (getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
                return true; /* files may not grow: the same to us */
        return statvfs(path, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < NEARLY_FULL_BYTES;
}

enum vn_rc vn_lmdb_fail(struct vn_err *err, int lmdb_rc, const char *path)
{
        switch (lmdb_rc) {
        case MDB_SUCCESS: return VN_OK;
        case MDB_NOTFOUND: return vn_fail(err, VN_NOT_FOUND, "not found");
        case MDB_MAP_FULL:
        case MDB_TXN_FULL:
        case ENOSPC:
        case EDQUOT:
        case EFBIG: return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: no space: %s", path, mdb_strerror(lmdb_rc));
        case ENOMEM:
        case MDB_READERS_FULL: return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: %s", path, mdb_strerror(lmdb_rc));
        case EIO:
                /* LMDB says EIO also for a short write, which is how a disk that fills up within one call looks. */
                if (disk_is_full(path))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: no space: short write", path);
                return vn_fail(err, VN_DATA_LOSS, "%s: %s", path, mdb_strerror(lmdb_rc));
        default: return vn_fail(err, VN_DATA_LOSS, "%s: %s", path, mdb_strerror(lmdb_rc));
        }
}

static enum vn_rc env_open_at(struct vn_env *env, const char *path, uint64_t map_bytes, unsigned max_dbs,
                              struct vn_err *err)
{
        int rc = mdb_env_create(&env->env);
        if (rc)
                return vn_lmdb_fail(err, rc, path);
        if (!vn_str_copy(env->path, sizeof env->path, vn_str(path)))
                rc = EINVAL;
        if (!rc)
                rc = mdb_env_set_mapsize(env->env, map_bytes);
        if (!rc)
                rc = mdb_env_set_maxdbs(env->env, max_dbs);
        if (!rc)
                rc = mdb_env_set_maxreaders(env->env, MAX_READERS);
        if (!rc)
                rc = mdb_env_open(env->env, path, MDB_NOTLS, 0600);
        if (!rc)
                rc = mdb_env_get_fd(env->env, &env->fd);
        if (rc) {
                vn_env_close(env);
                return vn_lmdb_fail(err, rc, path);
        }
        return VN_OK;
}

static enum vn_rc parent_sync(const char *path, struct vn_err *err)
{
        char parent[VN_PATH_BYTES];
        VN_TRY(vn_path_join(parent, path, "..", err));
        return vn_dir_sync(parent, err);
}

enum vn_rc vn_env_open(struct vn_env *env, const char *path, uint64_t map_bytes, unsigned max_dbs,
                       enum vn_rc (*fill)(struct vn_env *env, void *arg, struct vn_err *err), void *arg,
                       struct vn_err *err)
{
        char data[VN_PATH_BYTES], beside[VN_PATH_BYTES];
        memset(env, 0, sizeof *env);
        VN_TRY(vn_path_join(data, path, "data.mdb", err));
        if (access(data, F_OK) == 0 || errno != ENOENT)
                return env_open_at(env, path, map_bytes, max_dbs, err);

        /* A kill in the middle must not leave half an environment under the final name. */
        int n = snprintf(beside, sizeof beside, "%s.new", path);
        if (n < 0 || (size_t)n >= sizeof beside)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%s: path too long", path);
        VN_TRY(vn_dir_remove(beside, err));
        VN_TRY(vn_dir_make(beside, err));
        VN_TRY(env_open_at(env, beside, map_bytes, max_dbs, err));
        enum vn_rc rc = fill(env, arg, err);
        if (rc == VN_OK && VN_FAULT("store.env.sync"))
                rc = vn_fail(err, VN_DATA_LOSS, "%s: injected failure", beside);
        if (rc == VN_OK && fsync(env->fd) != 0)
                rc = vn_fail(err, vn_rc_from_errno(errno), "%s: %s", beside, strerror(errno));
        vn_env_close(env);
        VN_TRY(rc);
        VN_TRY(vn_dir_sync(beside, err));
        if (VN_FAULT("store.env.rename") || rename(beside, path) != 0)
                return vn_fail(err, vn_rc_from_errno(errno ? errno : EIO), "%s: cannot rename", beside);
        VN_TRY(parent_sync(path, err));
        return env_open_at(env, path, map_bytes, max_dbs, err);
}

void vn_env_close(struct vn_env *env)
{
        if (env->env)
                mdb_env_close(env->env);
        env->env = NULL;
}

uint64_t vn_env_file_bytes(const struct vn_env *env)
{
        struct stat st;
        return fstat(env->fd, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}

uint64_t vn_env_live_bytes(const struct vn_env *env)
{
        MDB_txn *txn;
        MDB_cursor *cursor;
        MDB_stat stat;
        MDB_val key, pages;
        uint64_t free_pages = 0, bytes = vn_env_file_bytes(env);
        if (mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn))
                return bytes;
        /* Database 0 is LMDB's list of free pages: each value starts with its count. */
        if (!mdb_cursor_open(txn, 0, &cursor)) {
                while (!mdb_cursor_get(cursor, &key, &pages, MDB_NEXT)) {
                        size_t count;
                        memcpy(&count, pages.mv_data, sizeof count);
                        free_pages += count;
                }
                mdb_cursor_close(cursor);
        }
        mdb_txn_abort(txn);
        mdb_env_stat(env->env, &stat);
        return free_pages * stat.ms_psize < bytes ? bytes - free_pages * stat.ms_psize : 0;
}

enum vn_rc vn_env_copy(const struct vn_env *env, const char *to_dir, struct vn_err *err)
{
        char data[VN_PATH_BYTES];
        VN_TRY(vn_dir_make(to_dir, err));
        int rc = mdb_env_copy2(env->env, to_dir, 0);
        if (rc)
                return vn_lmdb_fail(err, rc, to_dir);
        VN_TRY(vn_path_join(data, to_dir, "data.mdb", err));
        int fd = open(data, O_RDONLY | O_CLOEXEC);
        if (fd < 0 || fsync(fd) != 0) {
                rc = errno;
                if (fd >= 0)
                        close(fd);
                return vn_fail(err, vn_rc_from_errno(rc), "%s: %s", data, strerror(rc));
        }
        close(fd);
        return vn_dir_sync(to_dir, err);
}
