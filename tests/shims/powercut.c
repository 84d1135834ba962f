/* powercut.c - a library to preload: remembers what a power cut would leave of a folder.
 * Purpose: VANE_POWERCUT_DIR is the watched folder, VANE_POWERCUT_SHADOW another one that always holds what is durable
 *   of it: bytes that a finished fsync, fdatasync or msync covered, writes through O_DSYNC or O_SYNC, and renames and
 *   deletions whose folder was synced. Kill the process, run powercut-apply, and the folder is as after a power cut.
 * Also: VANE_POWERCUT_BOOT, if set, is what the process reads as the kernel's boot id.
 * Threads: one mutex around everything. Calls go straight to the kernel, so that sanitizers do not mind.
 * Limits: files of more than MAX_RANGES unsynced writes are copied whole; path names up to 1,024 bytes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#define PATH_BYTES 1024
#define MAX_FILES 512
#define MAX_RANGES 4096
#define MAX_MAPS 128
#define MAX_MOVES 256

struct range {
        off_t from;
        off_t to;
};
struct file { /* by inode: what was written and not synced, in this process */
        dev_t dev;
        ino_t ino;
        bool known; /* synced once: the shadow has the rest */
        bool whole; /* too many ranges */
        size_t count;
        struct range ranges[MAX_RANGES];
};
struct map {
        char *at;
        size_t len;
        off_t offset;
        char path[PATH_BYTES];
};
struct move { /* a rename (to not empty) or a deletion, until its folder is synced */
        char from[PATH_BYTES];
        char to[PATH_BYTES];
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static struct file files[MAX_FILES];
static size_t file_count;
static struct map maps[MAX_MAPS];
static struct move moves[MAX_MOVES];
static size_t move_count;

__attribute__((noreturn)) static void give_up(const char *why)
{
        static const char prefix[] = "powercut: ";
        if (syscall(SYS_write, 2, prefix, sizeof prefix - 1) < 0 || syscall(SYS_write, 2, why, strlen(why)) < 0 ||
            syscall(SYS_write, 2, "\n", 1) < 0)
                _exit(125);
        _exit(125);
}

/* --- names --- */
static const char *watched(const char *path)
{
        static char root[PATH_BYTES];
        if (!root[0]) {
                const char *dir = getenv("VANE_POWERCUT_DIR");
                if (!dir || !getenv("VANE_POWERCUT_SHADOW"))
                        return NULL;
                char full[PATH_MAX];
                if (!realpath(dir, full) || strlen(full) >= sizeof root)
                        return NULL;
                memcpy(root, full, strlen(full) + 1);
        }
        size_t n = strlen(root);
        if (strncmp(path, root, n) || (path[n] != '/' && path[n] != 0))
                return NULL;
        return path + n;
}

static bool shadow_of(const char *path, char ret[PATH_BYTES])
{
        const char *rest = watched(path);
        if (!rest)
                return false;
        int n = snprintf(ret, PATH_BYTES, "%s%s", getenv("VANE_POWERCUT_SHADOW"), rest);
        if (n < 0 || n >= PATH_BYTES)
                give_up("path too long");
        return true;
}

static bool path_of_fd(int fd, char ret[PATH_BYTES])
{
        char link[64];
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t n = readlink(link, ret, PATH_BYTES - 1);
        if (n <= 0 || ret[0] != '/')
                return false;
        ret[n] = 0;
        return watched(ret) != NULL;
}

/* The path without "..", "." and links in its folder part; the last part need not exist. */
static bool full_path(const char *path, char ret[PATH_BYTES])
{
        char folder[PATH_MAX], full[PATH_MAX];
        const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path;
        int n = slash ? snprintf(folder, sizeof folder, "%.*s", (int)(slash - path) + 1, path)
                      : snprintf(folder, sizeof folder, ".");
        if (n < 0 || (size_t)n >= sizeof folder || !realpath(folder, full))
                return false;
        n = snprintf(ret, PATH_BYTES, "%s/%s", full, name);
        return n > 0 && n < PATH_BYTES;
}

/* --- the shadow --- */
static void make_parents(char *path)
{
        for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
                *slash = 0;
                if (mkdir(path, 0700) != 0 && errno != EEXIST)
                        give_up("cannot make a folder in the shadow");
                *slash = '/';
        }
}

static void copy_range(int from, int to, off_t at, off_t end)
{
        static char chunk[1 << 16];
        while (at < end) {
                size_t want = end - at < (off_t)sizeof chunk ? (size_t)(end - at) : sizeof chunk;
                ssize_t n = syscall(SYS_pread64, from, chunk, want, at);
                if (n == 0)
                        return; /* shorter now */
                if (n < 0 || syscall(SYS_pwrite64, to, chunk, (size_t)n, at) != n)
                        give_up("cannot copy into the shadow");
                at += n;
        }
}

static int shadow_open(const char *path, bool *ret_new)
{
        char shadow[PATH_BYTES];
        if (!shadow_of(path, shadow))
                return -1;
        make_parents(shadow);
        *ret_new = access(shadow, F_OK) != 0;
        int fd = (int)syscall(SYS_openat, AT_FDCWD, shadow, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
                give_up("cannot open a file in the shadow");
        return fd;
}

static struct file *file_of(int fd)
{
        struct stat st;
        if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
                return NULL;
        for (size_t i = 0; i < file_count; i++)
                if (files[i].dev == st.st_dev && files[i].ino == st.st_ino) {
                        if (st.st_nlink == 0)
                                return NULL;
                        return &files[i];
                }
        /* An inode's number may come again after a deletion: the table is for one short process. */
        if (file_count == MAX_FILES)
                give_up("too many files");
        files[file_count] = (struct file){.dev = st.st_dev, .ino = st.st_ino};
        return &files[file_count++];
}

static void file_durable(int fd, const char *path)
{
        struct stat st;
        bool fresh;
        struct file *file = file_of(fd);
        if (!file || fstat(fd, &st) != 0)
                return;
        int from = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
        int to = shadow_open(path, &fresh);
        if (from < 0 || to < 0)
                give_up("cannot open a file that is being synced");
        if (fresh || !file->known || file->whole)
                copy_range(from, to, 0, st.st_size);
        else
                for (size_t i = 0; i < file->count; i++)
                        copy_range(from, to, file->ranges[i].from, file->ranges[i].to);
        if (syscall(SYS_ftruncate, to, st.st_size) != 0)
                give_up("cannot cut a file in the shadow");
        file->known = true;
        file->whole = false;
        file->count = 0;
        close(from);
        close(to);
}

static void range_durable(const char *path, off_t at, off_t end)
{
        bool fresh;
        struct stat st;
        int from = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
        int to = shadow_open(path, &fresh);
        if (from >= 0 && to >= 0 && fstat(from, &st) == 0)
                copy_range(from, to, at, end < st.st_size ? end : st.st_size);
        close(from);
        close(to);
}

/* All renames and deletions in this folder are durable now, in their order. */
static void folder_durable(const char *path)
{
        char shadow[PATH_BYTES], from[PATH_BYTES], to[PATH_BYTES];
        size_t n = strlen(path), kept = 0;
        if (shadow_of(path, shadow)) {
                size_t len = strlen(shadow);
                if (len + 2 < sizeof shadow)
                        memcpy(shadow + len, "/x", 3);
                make_parents(shadow);
        }
        for (size_t i = 0; i < move_count; i++) {
                const char *name = moves[i].to[0] ? moves[i].to : moves[i].from;
                bool here = !strncmp(name, path, n) && name[n] == '/' && !strchr(name + n + 1, '/');
                if (!here) {
                        moves[kept++] = moves[i];
                        continue;
                }
                if (!shadow_of(moves[i].from, from))
                        continue;
                if (!moves[i].to[0])
                        remove(from);
                else if (shadow_of(moves[i].to, to))
                        syscall(SYS_rename, from, to);
        }
        move_count = kept;
}

static void durable(int fd)
{
        char path[PATH_BYTES];
        struct stat st;
        if (!path_of_fd(fd, path) || fstat(fd, &st) != 0)
                return;
        pthread_mutex_lock(&mutex);
        if (S_ISDIR(st.st_mode))
                folder_durable(path);
        else
                file_durable(fd, path);
        pthread_mutex_unlock(&mutex);
}

static void written(int fd, off_t at, ssize_t n)
{
        char path[PATH_BYTES];
        if (n <= 0 || !path_of_fd(fd, path))
                return;
        pthread_mutex_lock(&mutex);
        if (fcntl(fd, F_GETFL) & O_DSYNC) {
                range_durable(path, at, at + n);
        } else {
                struct file *file = file_of(fd);
                if (file && file->count < MAX_RANGES)
                        file->ranges[file->count++] = (struct range){at, at + n};
                else if (file)
                        file->whole = true;
        }
        pthread_mutex_unlock(&mutex);
}

/* --- the calls --- */
#define PUBLIC __attribute__((visibility("default")))

PUBLIC int fsync(int fd)
{
        durable(fd);
        return 0;
}

PUBLIC int fdatasync(int fd)
{
        durable(fd);
        return 0;
}

PUBLIC ssize_t pwrite(int fd, const void *bytes, size_t n, off_t at)
{
        ssize_t done = syscall(SYS_pwrite64, fd, bytes, n, at);
        int kept = errno;
        written(fd, at, done);
        errno = kept;
        return done;
}

PUBLIC ssize_t pwrite64(int fd, const void *bytes, size_t n, off_t at)
{
        return pwrite(fd, bytes, n, at);
}

PUBLIC ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t at)
{
        ssize_t done = syscall(SYS_pwritev, fd, parts, (long)count, (long)at, 0L);
        int kept = errno;
        written(fd, at, done);
        errno = kept;
        return done;
}

PUBLIC ssize_t pwritev64(int fd, const struct iovec *parts, int count, off_t at)
{
        return pwritev(fd, parts, count, at);
}

PUBLIC ssize_t write(int fd, const void *bytes, size_t n)
{
        off_t at = lseek(fd, 0, SEEK_CUR);
        ssize_t done = syscall(SYS_write, fd, bytes, n);
        int kept = errno;
        if (at >= 0)
                written(fd, (fcntl(fd, F_GETFL) & O_APPEND) && done > 0 ? lseek(fd, 0, SEEK_CUR) - done : at, done);
        errno = kept;
        return done;
}

PUBLIC ssize_t writev(int fd, const struct iovec *parts, int count)
{
        off_t at = lseek(fd, 0, SEEK_CUR);
        ssize_t done = syscall(SYS_writev, fd, parts, (long)count);
        int kept = errno;
        if (at >= 0)
                written(fd, at, done);
        errno = kept;
        return done;
}

PUBLIC void *mmap(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
        void *mapped = (void *)syscall(SYS_mmap, at, len, (long)protection, (long)flags, (long)fd, offset);
        char path[PATH_BYTES];
        int kept = errno;
        if (mapped != MAP_FAILED && fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE) &&
            path_of_fd(fd, path)) {
                pthread_mutex_lock(&mutex);
                size_t i = 0;
                while (i < MAX_MAPS && maps[i].at)
                        i++;
                if (i == MAX_MAPS)
                        give_up("too many mappings");
                maps[i] = (struct map){.at = mapped, .len = len, .offset = offset};
                memcpy(maps[i].path, path, sizeof path);
                pthread_mutex_unlock(&mutex);
        }
        errno = kept;
        return mapped;
}

PUBLIC void *mmap64(void *at, size_t len, int protection, int flags, int fd, off_t offset)
{
        return mmap(at, len, protection, flags, fd, offset);
}

PUBLIC int munmap(void *at, size_t len)
{
        pthread_mutex_lock(&mutex);
        for (size_t i = 0; i < MAX_MAPS; i++)
                if (maps[i].at == at)
                        maps[i].at = NULL;
        pthread_mutex_unlock(&mutex);
        return (int)syscall(SYS_munmap, at, len);
}

PUBLIC int msync(void *at, size_t len, int flags)
{
        (void)flags;
        pthread_mutex_lock(&mutex);
        for (size_t i = 0; i < MAX_MAPS; i++) {
                const struct map *m = &maps[i];
                if (m->at && (char *)at >= m->at && (char *)at < m->at + m->len) {
                        off_t from = m->offset + ((char *)at - m->at);
                        range_durable(m->path, from, from + (off_t)len);
                }
        }
        pthread_mutex_unlock(&mutex);
        return 0;
}

PUBLIC int ftruncate(int fd, off_t len)
{
        char path[PATH_BYTES];
        int rc = (int)syscall(SYS_ftruncate, fd, len);
        int kept = errno;
        if (rc == 0 && path_of_fd(fd, path)) {
                pthread_mutex_lock(&mutex);
                struct file *file = file_of(fd);
                if (file)
                        file->whole = true; /* what comes back after a cut are zeros, not what stood there */
                pthread_mutex_unlock(&mutex);
        }
        errno = kept;
        return rc;
}

PUBLIC int ftruncate64(int fd, off_t len)
{
        return ftruncate(fd, len);
}

static void remember_move(const char *from, const char *to)
{
        pthread_mutex_lock(&mutex);
        if (move_count == MAX_MOVES)
                give_up("too many renames without a sync of their folder");
        snprintf(moves[move_count].from, PATH_BYTES, "%s", from);
        snprintf(moves[move_count].to, PATH_BYTES, "%s", to);
        move_count++;
        pthread_mutex_unlock(&mutex);
}

PUBLIC int rename(const char *from, const char *to)
{
        char a[PATH_BYTES], b[PATH_BYTES];
        bool both = full_path(from, a) && full_path(to, b) && watched(a) && watched(b);
        int rc = (int)syscall(SYS_rename, from, to);
        if (rc == 0 && both)
                remember_move(a, b);
        return rc;
}

static int gone(const char *path, long number)
{
        char full[PATH_BYTES];
        bool ours = full_path(path, full) && watched(full);
        int rc = (int)syscall(number, path);
        if (rc == 0 && ours)
                remember_move(full, "");
        return rc;
}

PUBLIC int unlink(const char *path)
{
        return gone(path, SYS_unlink);
}

PUBLIC int rmdir(const char *path)
{
        return gone(path, SYS_rmdir);
}

static int boot_id_file(void)
{
        const char *boot = getenv("VANE_POWERCUT_BOOT");
        int fd = (int)syscall(SYS_memfd_create, "boot_id", 1L);
        if (boot && fd >= 0 && syscall(SYS_write, fd, boot, strlen(boot)) >= 0)
                lseek(fd, 0, SEEK_SET);
        return fd;
}

PUBLIC int open(const char *path, int flags, ...)
{
        mode_t mode = 0;
        if (flags & (O_CREAT | O_TMPFILE)) {
                va_list args;
                va_start(args, flags);
                mode = va_arg(args, mode_t);
                va_end(args);
        }
        if (!strcmp(path, "/proc/sys/kernel/random/boot_id") && getenv("VANE_POWERCUT_BOOT"))
                return boot_id_file();
        return (int)syscall(SYS_openat, AT_FDCWD, path, (long)flags, (long)mode);
}
