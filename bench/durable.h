/* durable.h - what the benches that say "durable" share: a folder on a real file system, its name, and JSON lines.
 * Threads: one. Rules: a bench that says durable names its file system and its count of syncs, refuses tmpfs, and reads
 *   every accepted record back, or prints no line. */
#ifndef VANE_BENCH_DURABLE_H
#define VANE_BENCH_DURABLE_H

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>

#include "base/err.h"

static inline double bench_now_s(void)
{
        struct timespec t;
        clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

__attribute__((noreturn)) static inline void bench_die(const char *what, const char *why)
{
        fprintf(stderr, "bench: %s: %s\n", what, why);
        exit(1);
}

static inline void bench_ok(enum vn_rc rc, const struct vn_err *err, const char *what)
{
        if (rc != VN_OK)
                bench_die(what, err && err->msg[0] ? err->msg : vn_rc_name(rc));
}

/* NULL for file systems in memory. */
static inline const char *bench_fs_name(const char *dir)
{
        struct statfs fs;
        if (statfs(dir, &fs) != 0)
                return NULL;
        switch ((unsigned long)fs.f_type) {
        case 0x01021994UL:              /* tmpfs */
        case 0x858458f6UL: return NULL; /* ramfs */
        case 0xef53UL: return "ext4";   /* ext2, ext3 and ext4 share it */
        case 0x58465342UL: return "xfs";
        case 0x9123683eUL: return "btrfs";
        case 0x794c7630UL: return "overlayfs";
        case 0x2fc12fc1UL: return "zfs";
        default: return "other";
        }
}

/* A fresh folder under $VANE_BENCH_DIR, $TMPDIR or /var/tmp. */
static inline const char *bench_dir(char ret[512])
{
        const char *root = getenv("VANE_BENCH_DIR");
        if (!root || !root[0])
                root = getenv("TMPDIR");
        if (!root || !root[0])
                root = "/var/tmp";
        snprintf(ret, 512, "%s/vane-bench-XXXXXX", root);
        if (!mkdtemp(ret))
                bench_die(root, "cannot make a folder");
        const char *fs = bench_fs_name(ret);
        if (!fs) {
                rmdir(ret);
                bench_die(root, "is in memory: set VANE_BENCH_DIR to a folder on a disk");
        }
        return fs;
}

static inline int bench_remove_one(const char *path, const struct stat *st, int kind, struct FTW *ftw)
{
        (void)st, (void)kind, (void)ftw;
        return remove(path);
}

static inline void bench_remove(const char *dir)
{
        nftw(dir, bench_remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static inline int bench_by_value(const void *a, const void *b)
{
        const double *x = a, *y = b;
        return *x < *y ? -1 : *x > *y;
}

static inline double bench_median(double *values, size_t n)
{
        qsort(values, n, sizeof *values, bench_by_value);
        return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

#endif
