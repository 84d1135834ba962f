/* powercut-apply DIR SHADOW SEED: makes DIR what a power cut would have left of it.
 * SEED 0 drops everything that was not durable. Another seed keeps, page by page, about half of what had been written
 * to durable files and not synced: a disk may have written any of it. */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE 4096

static uint64_t random_state;

static uint64_t next_random(void)
{
        uint64_t z = random_state += UINT64_C(0x9e3779b97f4a7c15); /* splitmix64 */
        z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
        z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
        return z ^ (z >> 31);
}

static void die(const char *what)
{
        perror(what);
        exit(1);
}

/* Pages that differ: half of them go from the folder into what will replace it. */
static void keep_some(const char *real, const char *shadow)
{
        char a[PAGE], b[PAGE];
        int from = open(real, O_RDONLY), to = open(shadow, O_RDWR);
        for (off_t at = 0; from >= 0 && to >= 0; at += PAGE) {
                ssize_t n = pread(from, a, PAGE, at), m = pread(to, b, PAGE, at);
                if (n <= 0)
                        break;
                if (n == m && !memcmp(a, b, (size_t)n))
                        continue;
                if (next_random() % 2 && pwrite(to, a, (size_t)n, at) != n)
                        die(shadow);
        }
        if (from >= 0)
                close(from);
        if (to >= 0)
                close(to);
}

static void walk(const char *shadow, const char *real)
{
        DIR *dir = opendir(shadow);
        if (!dir)
                die(shadow);
        for (struct dirent *entry; (entry = readdir(dir));) {
                char a[4096], b[4096];
                struct stat st;
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                snprintf(a, sizeof a, "%s/%s", shadow, entry->d_name);
                snprintf(b, sizeof b, "%s/%s", real, entry->d_name);
                if (lstat(a, &st) != 0)
                        die(a);
                if (S_ISDIR(st.st_mode))
                        walk(a, b);
                else
                        keep_some(b, a);
        }
        closedir(dir);
}

static void remove_inside(const char *path)
{
        DIR *dir = opendir(path);
        if (!dir)
                return;
        for (struct dirent *entry; (entry = readdir(dir));) {
                char child[4096];
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                snprintf(child, sizeof child, "%s/%s", path, entry->d_name);
                remove_inside(child);
                if (remove(child) != 0)
                        die(child);
        }
        closedir(dir);
}

static void copy_inside(const char *from, const char *to)
{
        DIR *dir = opendir(from);
        if (!dir)
                die(from);
        for (struct dirent *entry; (entry = readdir(dir));) {
                static char chunk[1 << 16];
                char a[4096], b[4096];
                struct stat st;
                if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
                        continue;
                snprintf(a, sizeof a, "%s/%s", from, entry->d_name);
                snprintf(b, sizeof b, "%s/%s", to, entry->d_name);
                if (lstat(a, &st) != 0)
                        die(a);
                if (S_ISDIR(st.st_mode)) {
                        if (mkdir(b, 0700) != 0)
                                die(b);
                        copy_inside(a, b);
                        continue;
                }
                int in = open(a, O_RDONLY), out = open(b, O_WRONLY | O_CREAT | O_EXCL, 0600);
                if (in < 0 || out < 0)
                        die(b);
                for (ssize_t n; (n = read(in, chunk, sizeof chunk)) > 0;)
                        if (write(out, chunk, (size_t)n) != n)
                                die(b);
                close(in);
                close(out);
        }
        closedir(dir);
}

int main(int argc, char **argv)
{
        if (argc != 4) {
                fprintf(stderr, "usage: powercut-apply DIR SHADOW SEED\n");
                return 2;
        }
        random_state = strtoull(argv[3], NULL, 10);
        if (random_state)
                walk(argv[2], argv[1]);
        remove_inside(argv[1]);
        copy_inside(argv[2], argv[1]);
        return 0;
}
