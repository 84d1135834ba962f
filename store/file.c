#include "store/file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COPY_CHUNK_BYTES 65536
#define MAX_REMOVE_DEPTH 4

static enum vn_rc fail_errno(struct vn_err *err, const char *what)
{
        int number = errno;
        return vn_fail(err, vn_rc_from_errno(number), "%s: %s", what, strerror(number));
}

enum vn_rc vn_path_join(char ret[VN_PATH_BYTES], const char *a, const char *b, struct vn_err *err)
{
        int n = snprintf(ret, VN_PATH_BYTES, "%s/%s", a, b);
        if (n < 0 || n >= VN_PATH_BYTES)
                return vn_fail(err, VN_INVALID_ARGUMENT, "path is longer than %d bytes", VN_PATH_BYTES);
        return VN_OK;
}

enum vn_rc vn_dir_sync(const char *path, struct vn_err *err)
{
        int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return fail_errno(err, path);
        enum vn_rc rc = fsync(fd) == 0 ? VN_OK : fail_errno(err, path);
        close(fd);
        return rc;
}

enum vn_rc vn_dir_make(const char *path, struct vn_err *err)
{
        if (mkdir(path, 0700) != 0) {
                struct stat st;
                if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
                        return VN_OK;
                return fail_errno(err, path);
        }
        char parent[VN_PATH_BYTES];
        VN_TRY(vn_path_join(parent, path, "..", err));
        return vn_dir_sync(parent, err);
}

static enum vn_rc remove_tree(const char *path, unsigned depth, struct vn_err *err)
{
        struct stat st;
        if (lstat(path, &st) != 0)
                return errno == ENOENT ? VN_OK : fail_errno(err, path);
        if (!S_ISDIR(st.st_mode))
                return unlink(path) == 0 ? VN_OK : fail_errno(err, path);
        if (depth == MAX_REMOVE_DEPTH)
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: deeper than the store makes", path);
        DIR *dir = opendir(path);
        if (!dir)
                return fail_errno(err, path);
        enum vn_rc rc = VN_OK;
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(dir));) {
                char child[VN_PATH_BYTES];
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                rc = vn_path_join(child, path, entry->d_name, err);
                if (rc == VN_OK)
                        rc = remove_tree(child, depth + 1, err);
        }
        closedir(dir);
        if (rc == VN_OK && rmdir(path) != 0)
                rc = fail_errno(err, path);
        return rc;
}

enum vn_rc vn_dir_remove(const char *path, struct vn_err *err)
{
        return remove_tree(path, 0, err);
}

enum vn_rc vn_file_pread(int fd, void *ret, size_t n, uint64_t offset, struct vn_err *err)
{
        for (size_t done = 0; done < n;) {
                ssize_t got = pread(fd, (char *)ret + done, n - done, (off_t)(offset + done));
                if (got < 0 && errno == EINTR)
                        continue;
                if (got < 0)
                        return fail_errno(err, "read");
                if (got == 0)
                        return vn_fail(err, VN_DATA_LOSS, "file is shorter than it must be");
                done += (size_t)got;
        }
        return VN_OK;
}

enum vn_rc vn_file_pwrite(int fd, const void *bytes, size_t n, uint64_t offset, struct vn_err *err)
{
        for (size_t done = 0; done < n;) {
                ssize_t put = pwrite(fd, (const char *)bytes + done, n - done, (off_t)(offset + done));
                if (put < 0 && errno == EINTR)
                        continue;
                if (put < 0)
                        return fail_errno(err, "write");
                done += (size_t)put;
        }
        return VN_OK;
}

static enum vn_rc copy_bytes(int in, int out, uint64_t bytes, const char *name, struct vn_err *err)
{
        char chunk[COPY_CHUNK_BYTES];
        for (uint64_t at = 0; at < bytes;) {
                size_t want = bytes - at < sizeof chunk ? (size_t)(bytes - at) : sizeof chunk;
                ssize_t got = pread(in, chunk, want, (off_t)at);
                if (got < 0)
                        return fail_errno(err, name);
                if (got == 0 && bytes == UINT64_MAX)
                        break;
                if (got == 0)
                        return vn_fail(err, VN_DATA_LOSS, "%s: shorter than it must be", name);
                VN_TRY(vn_file_pwrite(out, chunk, (size_t)got, at, err));
                at += (uint64_t)got;
        }
        return fsync(out) == 0 ? VN_OK : fail_errno(err, name);
}

enum vn_rc vn_file_copy(const char *from, const char *to, uint64_t bytes, struct vn_err *err)
{
        int in = open(from, O_RDONLY | O_CLOEXEC);
        if (in < 0)
                return fail_errno(err, from);
        int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (out < 0) {
                close(in);
                return fail_errno(err, to);
        }
        enum vn_rc rc = copy_bytes(in, out, bytes, to, err);
        close(in);
        close(out);
        return rc;
}

uint64_t vn_file_bytes_on_disk(const char *path)
{
        struct stat st;
        return stat(path, &st) == 0 ? (uint64_t)st.st_blocks * 512 : 0;
}
