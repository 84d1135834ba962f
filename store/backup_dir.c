#include "store/backup_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "store/file.h"

#define LIST "FILES"
#define NOTE "BACKUP"
#define MAX_LIST_BYTES ((size_t)64 << 20)
#define MAX_SMALL_BYTES ((size_t)16 << 20)
#define MAX_DEPTH 4 /* store/blobs/ab/HASH */
#define CHUNK_BYTES 65536

static enum vn_rc fail_errno(const char *path, struct vn_err *err)
{
        int number = errno;
        return vn_fail(err, vn_rc_from_errno(number), "%.150s: %s", path, strerror(number));
}

static mode_t mode_of(const char *name, mode_t mode)
{
        return vn_str_ends(vn_str(name), VN_STR(".key")) ? 0600 : mode & 0644;
}

/* --- what stands beside the store --- */
static enum vn_rc copy_small(const char *from, const char *to, mode_t mode, struct vn_err *err)
{
        VN_AUTO(vn_buf)
        content = VN_BUF_INIT(MAX_SMALL_BYTES);
        VN_TRY(vn_file_read(from, &content, err));
        enum vn_rc rc = vn_file_write_atomic(to, vn_buf_view(&content), mode, err);
        if (content.ptr)
                explicit_bzero(content.ptr, content.len); /* private keys are among them */
        return rc;
}

static bool is_beside(const char *name)
{
        static const char *const others[] = {"store", "backups", "ready.json", "first-login.json", LIST, NOTE};
        for (size_t i = 0; i < sizeof others / sizeof *others; i++)
                if (!strcmp(name, others[i]))
                        return false;
        return name[0] != '.';
}

static enum vn_rc copy_entry(const char *from, const char *to, const char *name, bool folders, struct vn_err *err);

static enum vn_rc copy_folder(const char *from, const char *to, bool folders, struct vn_err *err)
{
        DIR *dir = opendir(from);
        enum vn_rc rc = VN_OK;
        if (!dir)
                return fail_errno(from, err);
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(dir));)
                if (is_beside(entry->d_name))
                        rc = copy_entry(from, to, entry->d_name, folders, err);
        closedir(dir);
        return rc == VN_OK ? vn_dir_sync(to, err) : rc;
}

static enum vn_rc copy_entry(const char *from, const char *to, const char *name, bool folders, struct vn_err *err)
{
        char a[VN_PATH_BYTES], b[VN_PATH_BYTES];
        struct stat info;
        VN_TRY(vn_path_join(a, from, name, err));
        VN_TRY(vn_path_join(b, to, name, err));
        if (lstat(a, &info) != 0)
                return errno == ENOENT ? VN_OK : fail_errno(a, err); /* replaced at this moment, or gone */
        if (S_ISREG(info.st_mode))
                return copy_small(a, b, mode_of(name, info.st_mode), err);
        if (!S_ISDIR(info.st_mode) || !folders)
                return VN_OK;
        VN_TRY(vn_dir_make(b, err));
        return copy_folder(a, b, false, err); /* a folder in a folder is none of ours */
}

enum vn_rc vn_backup_copy_beside(const char *state_dir, const char *to_dir, struct vn_err *err)
{
        return copy_folder(state_dir, to_dir, true, err);
}

/* --- reading a file through, perhaps into another --- */
static enum vn_rc pour(int in, int out, const char *name, const atomic_bool *stop, uint64_t *ret_bytes,
                       uint8_t ret_sha256[VN_SHA256_BYTES], struct vn_err *err)
{
        char chunk[CHUNK_BYTES];
        VN_AUTO(vn_digest)
        digest = vn_digest_new();
        if (!digest)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        for (*ret_bytes = 0;;) {
                if (stop && atomic_load(stop))
                        return vn_fail(err, VN_CANCELLED, "broken off: the server is stopping");
                ssize_t n = pread(in, chunk, sizeof chunk, (off_t)*ret_bytes);
                if (n < 0)
                        return fail_errno(name, err);
                if (n == 0)
                        break;
                if (out >= 0)
                        VN_TRY(vn_file_pwrite(out, chunk, (size_t)n, *ret_bytes, err));
                vn_digest_add(digest, chunk, (size_t)n);
                *ret_bytes += (uint64_t)n;
        }
        vn_digest_end(digest, ret_sha256);
        return out < 0 || fsync(out) == 0 ? VN_OK : fail_errno(name, err);
}

/* --- sealing --- */
struct seal {
        const atomic_bool *stop;
        struct vn_buf list;
        struct vn_backup_manifest *manifest;
};

static enum vn_rc list_file(struct seal *s, const char *path, const char *name, mode_t mode, struct vn_err *err)
{
        uint8_t sha256[VN_SHA256_BYTES];
        char hex[2 * VN_SHA256_BYTES + 1];
        uint64_t bytes;
        int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0)
                return fail_errno(path, err);
        enum vn_rc rc = pour(fd, -1, path, s->stop, &bytes, sha256, err);
        close(fd);
        VN_TRY(rc);
        vn_hex(sha256, sizeof sha256, hex);
        vn_buf_printf(&s->list, "%s %04o %llu %s\n", hex, (unsigned)mode & 0777, (unsigned long long)bytes, name);
        s->manifest->bytes += bytes;
        s->manifest->files++;
        return vn_buf_check(&s->list, err);
}

/* What opening a store leaves in it, and a restored one makes anew. */
static bool is_leftover(const char *name)
{
        return !strcmp(name, "LOCK") || !strcmp(name, "lock.mdb") || !strcmp(name, "reserve");
}

static enum vn_rc list_folder(struct seal *s, const char *dir, const char *prefix, unsigned depth,
                              struct vn_err *err);

static enum vn_rc list_entry(struct seal *s, const char *dir, const char *prefix, const char *entry, unsigned depth,
                             struct vn_err *err)
{
        char path[VN_PATH_BYTES], name[VN_PATH_BYTES];
        struct stat info;
        VN_TRY(vn_path_join(path, dir, entry, err));
        int n = snprintf(name, sizeof name, "%s%s%s", prefix, *prefix ? "/" : "", entry);
        if (n < 0 || n >= (int)sizeof name || strchr(entry, '\n'))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%.150s: the name cannot be listed", path);
        if (lstat(path, &info) != 0)
                return fail_errno(path, err);
        if (is_leftover(entry) && depth > 0)
                return unlink(path) == 0 ? VN_OK : fail_errno(path, err);
        if (S_ISDIR(info.st_mode))
                return list_folder(s, path, name, depth + 1, err);
        if (!S_ISREG(info.st_mode))
                return vn_fail(err, VN_INVALID_ARGUMENT, "%.150s: neither a file nor a folder", path);
        return list_file(s, path, name, mode_of(entry, info.st_mode), err);
}

static enum vn_rc list_folder(struct seal *s, const char *dir, const char *prefix, unsigned depth, struct vn_err *err)
{
        if (depth > MAX_DEPTH)
                return vn_fail(err, VN_INVALID_ARGUMENT, "%.150s: deeper than a backup is", dir);
        DIR *d = opendir(dir);
        enum vn_rc rc = VN_OK;
        if (!d)
                return fail_errno(dir, err);
        for (struct dirent *entry; rc == VN_OK && (entry = readdir(d));)
                if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
                        rc = list_entry(s, dir, prefix, entry->d_name, depth, err);
        closedir(d);
        return rc;
}

static enum vn_rc write_seal(const char *dir, const struct vn_note_key *key, struct seal *s, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        vn_sha256(s->list.ptr, s->list.len, s->manifest->sha256);
        VN_TRY(vn_backup_manifest_sign(key, s->manifest, &note, err));
        VN_TRY(vn_path_join(path, dir, LIST, err));
        VN_TRY(vn_file_write_atomic(path, vn_buf_view(&s->list), 0600, err));
        VN_TRY(vn_path_join(path, dir, NOTE, err));
        return vn_file_write_atomic(path, vn_buf_view(&note), 0600, err);
}

enum vn_rc vn_backup_seal(const char *dir, const struct vn_note_key *key, const struct vn_verify_report *report,
                          int64_t time_us, const atomic_bool *stop, struct vn_backup_manifest *ret,
                          struct vn_err *err)
{
        struct seal s = {.stop = stop, .list = VN_BUF_INIT(MAX_LIST_BYTES), .manifest = ret};
        *ret = (struct vn_backup_manifest){.time_us = time_us,
                                           .records = report->records,
                                           .size = report->log_size,
                                           .root = report->checkpoint.root};
        vn_note_key_text(key, ret->key);
        enum vn_rc rc = list_folder(&s, dir, "", 0, err);
        if (rc == VN_OK)
                rc = write_seal(dir, key, &s, err);
        vn_buf_done(&s.list);
        return rc;
}

/* --- unpacking --- */
enum vn_rc vn_backup_read(const char *dir, struct vn_backup_manifest *ret, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        VN_AUTO(vn_buf)
        note = VN_BUF_INIT(VN_NOTE_MAX_BYTES);
        VN_TRY(vn_path_join(path, dir, NOTE, err));
        if (access(path, F_OK) != 0)
                return vn_fail(err, VN_NOT_FOUND, "%.150s: not there: this is no backup", path);
        VN_TRY(vn_file_read(path, &note, err));
        enum vn_rc rc = vn_backup_manifest_open(vn_buf_view(&note), ret, err);
        return rc == VN_OK ? rc : vn_err_prefix(err, rc, "%.150s", path);
}

struct listed {
        uint8_t sha256[VN_SHA256_BYTES];
        mode_t mode;
        uint64_t bytes;
        char name[VN_PATH_BYTES];
};

/* Relative, without dots at the start of a part: whatever the list says, nothing is written outside of the folder. */
static bool is_inside(struct vn_str name)
{
        struct vn_str rest = name;
        unsigned parts = 0;
        while (rest.ptr) {
                struct vn_str part = vn_str_cut(&rest, '/');
                if (!part.len || part.ptr[0] == '.' || ++parts > MAX_DEPTH + 1)
                        return false;
        }
        return true;
}

static bool take_listed(struct vn_str line, struct listed *ret)
{
        struct vn_str sha256 = vn_str_cut(&line, ' '), mode = line.ptr ? vn_str_cut(&line, ' ') : line;
        struct vn_str bytes = line.ptr ? vn_str_cut(&line, ' ') : line;
        ret->mode = vn_str_eq(mode, VN_STR("0644")) ? 0644 : 0600;
        return line.ptr && is_inside(line) && vn_str_copy(ret->name, sizeof ret->name, line) &&
               vn_unhex(sha256, ret->sha256, sizeof ret->sha256) == VN_OK &&
               vn_str_to_u64(bytes, &ret->bytes) == VN_OK;
}

static enum vn_rc make_folders(const char *dir, char *name, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        for (char *slash = strchr(name, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                enum vn_rc rc = vn_path_join(path, dir, name, err);
                if (rc == VN_OK && access(path, F_OK) != 0)
                        rc = vn_dir_make(path, err);
                *slash = '/';
                VN_TRY(rc);
        }
        return VN_OK;
}

static enum vn_rc unpack_file(const char *dir, const char *to_dir, struct listed *file, struct vn_err *err)
{
        char from[VN_PATH_BYTES], to[VN_PATH_BYTES];
        uint8_t sha256[VN_SHA256_BYTES];
        uint64_t bytes = 0;
        VN_TRY(make_folders(to_dir, file->name, err));
        VN_TRY(vn_path_join(from, dir, file->name, err));
        VN_TRY(vn_path_join(to, to_dir, file->name, err));
        int in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        if (in < 0)
                return errno == ENOENT ? vn_fail(err, VN_DATA_LOSS, "%.150s: is missing from the backup", file->name)
                                       : fail_errno(from, err);
        int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode);
        enum vn_rc rc = out < 0 ? fail_errno(to, err) : pour(in, out, to, NULL, &bytes, sha256, err);
        close(in);
        if (out >= 0)
                close(out);
        VN_TRY(rc);
        if (bytes != file->bytes)
                return vn_fail(err, VN_DATA_LOSS, "%.150s: has %llu bytes, but had %llu when it was backed up",
                               file->name, (unsigned long long)bytes, (unsigned long long)file->bytes);
        if (memcmp(sha256, file->sha256, sizeof sha256))
                return vn_fail(err, VN_DATA_LOSS, "%.150s: is not as it was when it was backed up", file->name);
        return VN_OK;
}

/* The folders of a store that may be empty, and so are named by no file. */
static enum vn_rc sync_folders(const char *to_dir, struct vn_err *err)
{
        static const char *const folders[] = {"store", "store/log", "store/keyed", "store/segments"};
        char path[VN_PATH_BYTES];
        for (size_t i = 0; i < sizeof folders / sizeof *folders; i++) {
                VN_TRY(vn_path_join(path, to_dir, folders[i], err));
                VN_TRY(vn_dir_make(path, err));
                VN_TRY(vn_dir_sync(path, err));
        }
        return vn_dir_sync(to_dir, err);
}

enum vn_rc vn_backup_unpack(const char *dir, const char *to_dir, struct vn_backup_manifest *ret, struct vn_err *err)
{
        char path[VN_PATH_BYTES];
        uint8_t sha256[VN_SHA256_BYTES];
        struct listed file;
        VN_AUTO(vn_buf)
        list = VN_BUF_INIT(MAX_LIST_BYTES);
        VN_TRY(vn_backup_read(dir, ret, err));
        VN_TRY(vn_path_join(path, dir, LIST, err));
        if (access(path, F_OK) != 0)
                return vn_fail(err, VN_DATA_LOSS, LIST ": is missing from the backup");
        VN_TRY(vn_file_read(path, &list, err));
        vn_sha256(list.ptr, list.len, sha256);
        if (memcmp(sha256, ret->sha256, sizeof sha256))
                return vn_fail(err, VN_DATA_LOSS, LIST ": is not as it was when it was backed up");
        for (struct vn_str rest = vn_buf_view(&list); rest.ptr && rest.len;) {
                if (!take_listed(vn_str_cut(&rest, '\n'), &file))
                        return vn_fail(err, VN_INVALID_ARGUMENT, LIST ": a line is malformed");
                VN_TRY(unpack_file(dir, to_dir, &file, err));
        }
        return sync_folders(to_dir, err);
}
