/* The shim itself, and the store under it. The test binary starts itself again under the shim: POWERCUT_ROLE says as
 * what, POWERCUT_TOLD is the descriptor of a pipe to which it writes what it was told is safe. */
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/testing.h"
#include "tests/test.h"

#define LIVES 12
#define TELL_CHANGE 1
#define TELL_ROUTE 2

struct told {
        uint64_t what;
        uint64_t number;
};

static void tell(uint64_t what, uint64_t number)
{
        struct told t = {what, number};
        uint64_t fd;
        if (vn_str_to_u64(vn_str(getenv("POWERCUT_TOLD")), &fd) != VN_OK ||
            write((int)fd, &t, sizeof t) != (ssize_t)sizeof t)
                _exit(9);
}

/* --- roles --- */
static void put_file(const char *name, const char *content, bool sync)
{
        int fd = open(name, O_WRONLY | O_CREAT, 0600);
        if (fd < 0 || write(fd, content, strlen(content)) < 0 || (sync && fsync(fd) != 0))
                _exit(8);
        close(fd);
}

static void sync_folder(const char *name)
{
        int fd = open(name, O_RDONLY | O_DIRECTORY);
        if (fd < 0 || fsync(fd) != 0)
                _exit(8);
        close(fd);
}

__attribute__((noreturn)) static void role_files(const char *dir)
{
        if (chdir(dir) != 0)
                _exit(7);
        put_file("synced", "synced bytes", true);
        put_file("unsynced", "lost", false);
        put_file("renamed.new", "renamed", true);
        put_file("half.new", "half", true);
        put_file("deleted", "still here", true);
        put_file("gone", "gone", true);
        if (rename("renamed.new", "renamed") != 0 || unlink("gone") != 0)
                _exit(7);
        sync_folder(".");
        if (rename("half.new", "half") != 0 || unlink("deleted") != 0)
                _exit(7);
        int fd = open("synced", O_WRONLY);
        if (pwrite(fd, "SYNCED", 6, 0) != 6) /* not synced again */
                _exit(7);
        int direct = open("direct", O_WRONLY | O_CREAT | O_DSYNC, 0600);
        if (pwrite(direct, "direct", 6, 0) != 6)
                _exit(7);
        int mapped = open("mapped", O_RDWR | O_CREAT, 0600);
        if (ftruncate(mapped, 8192) != 0 || fsync(mapped) != 0)
                _exit(7);
        char *map = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_SHARED, mapped, 0);
        memset(map, 'a', 8192);
        if (msync(map, 4096, MS_SYNC) != 0)
                _exit(7);
        tell(0, 0);
        pause();
        _exit(0);
}

static struct vn_note_key *load_key(const char *dir)
{
        char path[512];
        struct vn_note_key *key;
        snprintf(path, sizeof path, "%s.key.pem", dir);
        VN_ASSERT(vn_note_key_load_or_make(path, "vane.test/log", &key, NULL) == VN_OK);
        return key;
}

static struct vn_store *open_at(const char *dir, const struct vn_note_key *key, struct vn_err *err)
{
        struct vn_store *store = NULL;
        struct vn_store_config config = testing_config(dir, key, 1);
        config.segment_max_bytes = 256 * 1024;
        return vn_store_open(&config, &store, err) == VN_OK ? store : NULL;
}

__attribute__((noreturn)) static void role_store(const char *dir)
{
        struct vn_store *store = open_at(dir, load_key(dir), NULL);
        uint64_t n = strtoull(getenv("POWERCUT_FROM"), NULL, 10);
        uint8_t bytes[300];
        if (!store)
                _exit(6);
        for (;; n++) {
                for (int i = 0; i < 5; i++) {
                        struct vn_ring *ring = vn_store_ring(store, 0);
                        uint64_t seq = vn_ring_next_seq(ring);
                        struct vn_str record = testing_record(bytes, 250, 2, seq, 1, 0);
                        if (vn_ring_put(ring, record.ptr, record.len) == VN_OK)
                                tell(TELL_ROUTE, seq);
                }
                struct vn_key at;
                VN_AUTO(vn_batch)
                batch = vn_batch_new();
                vn_batch_put(batch, VN_TABLE_meters, vn_key_u64(vn_key_init(&at, VN_STR("t")), n), VN_STR("v"));
                if (n % 3)
                        vn_batch_record(batch, testing_record(bytes, 250, 1, n, 1, 0));
                if (vn_store_commit(store, batch, NULL) != VN_OK)
                        _exit(5);
                tell(TELL_CHANGE, n);
        }
}

__attribute__((constructor)) static void play_role(void)
{
        const char *role = getenv("POWERCUT_ROLE"), *dir = getenv("VANE_POWERCUT_DIR");
        if (role && !strcmp(role, "files"))
                role_files(dir);
        if (role && !strcmp(role, "store"))
                role_store(dir);
}

/* --- the parent --- */
static pid_t start(const char *role, const char *dir, const char *shadow, uint64_t from, unsigned boot, int *ret_told)
{
        int pipes[2];
        CHECK(pipe(pipes) == 0);
        pid_t pid = fork();
        CHECK(pid >= 0);
        if (pid == 0) {
                char text[32];
                const char *options = getenv("ASAN_OPTIONS");
                char asan[512];
                snprintf(asan, sizeof asan, "%s:verify_asan_link_order=0:detect_leaks=0", options ? options : "");
                setenv("ASAN_OPTIONS", asan, 1);
                setenv("LD_PRELOAD", POWERCUT_LIBRARY, 1);
                setenv("POWERCUT_ROLE", role, 1);
                setenv("VANE_POWERCUT_DIR", dir, 1);
                setenv("VANE_POWERCUT_SHADOW", shadow, 1);
                snprintf(text, sizeof text, "%d", pipes[1]);
                setenv("POWERCUT_TOLD", text, 1);
                snprintf(text, sizeof text, "%llu", (unsigned long long)from);
                setenv("POWERCUT_FROM", text, 1);
                snprintf(text, sizeof text, "boot-%u", boot);
                setenv("VANE_POWERCUT_BOOT", text, 1);
                close(pipes[0]);
                execl("/proc/self/exe", "powercut-test", (char *)NULL);
                _exit(99);
        }
        close(pipes[1]);
        *ret_told = pipes[0];
        return pid;
}

static void cut(pid_t pid, const char *dir, const char *shadow, uint64_t seed)
{
        char text[32];
        int status;
        kill(pid, SIGKILL);
        CHECK(waitpid(pid, &status, 0) == pid);
        if (!WIFSIGNALED(status))
                test_fail(__FILE__, __LINE__, "the process ended by itself: %d", WEXITSTATUS(status));
        snprintf(text, sizeof text, "%llu", (unsigned long long)seed);
        pid_t apply = fork();
        if (apply == 0) {
                execl(POWERCUT_APPLY, "powercut-apply", dir, shadow, text, (char *)NULL);
                _exit(99);
        }
        CHECK(waitpid(apply, &status, 0) == apply && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static const char *content(const char *dir, const char *name)
{
        static char text[64];
        char path[600];
        VN_AUTO(vn_buf)
        buf = VN_BUF_INIT(10000);
        snprintf(path, sizeof path, "%s/%s", dir, name);
        if (access(path, F_OK) != 0)
                return "(none)";
        CHECK_OK(vn_file_read(path, &buf, NULL));
        snprintf(text, sizeof text, "%.40s", buf.ptr ? buf.ptr : "");
        return text;
}

static void folders(char dir[512], char shadow[512])
{
        snprintf(dir, 512, "%s/state", test_dir());
        snprintf(shadow, 512, "%s/shadow", test_dir());
        CHECK(mkdir(dir, 0700) == 0 && mkdir(shadow, 0700) == 0);
}

TEST(only_what_was_synced_stays)
{
        char dir[512], shadow[512], path[600];
        struct told told;
        int fd;
        folders(dir, shadow);
        pid_t pid = start("files", dir, shadow, 0, 1, &fd);
        CHECK(read(fd, &told, sizeof told) == (ssize_t)sizeof told);
        CHECK_TEXT("SYNCED bytes", content(dir, "synced")); /* the page cache has it */
        cut(pid, dir, shadow, 0);
        close(fd);
        CHECK_TEXT("synced bytes", content(dir, "synced"));
        CHECK_TEXT("(none)", content(dir, "unsynced"));
        CHECK_TEXT("renamed", content(dir, "renamed"));
        CHECK_TEXT("(none)", content(dir, "renamed.new"));
        CHECK_TEXT("half", content(dir, "half.new"));
        CHECK_TEXT("(none)", content(dir, "half"));
        CHECK_TEXT("still here", content(dir, "deleted"));
        CHECK_TEXT("(none)", content(dir, "gone"));
        CHECK_TEXT("direct", content(dir, "direct"));
        VN_AUTO(vn_buf)
        mapped = VN_BUF_INIT(10000);
        snprintf(path, sizeof path, "%s/mapped", dir);
        CHECK_OK(vn_file_read(path, &mapped, NULL));
        CHECK_INT(8192, mapped.len);
        CHECK(mapped.ptr[0] == 'a' && mapped.ptr[4095] == 'a' && mapped.ptr[4096] == 0 && mapped.ptr[8191] == 0);
}

/* --- the store --- */
#define MAX_ROUTES 200000
struct found {
        struct told *routes; /* what = 1: told; 2: recorded; 4: in a gap */
        size_t route_count;
        uint64_t changes;
        bool wrong;
};

static struct told *route(struct found *f, uint64_t seq)
{
        for (size_t i = f->route_count; i-- > 0;)
                if (f->routes[i].number == seq)
                        return &f->routes[i];
        return NULL;
}

static bool find_record(void *arg, uint64_t seq, struct vn_str record)
{
        (void)seq;
        struct found *f = arg;
        struct testing_record r;
        memcpy(&r, record.ptr, sizeof r);
        if (r.kind[0] == 'g') {
                for (size_t i = 0; i < f->route_count; i++)
                        if (f->routes[i].number >= r.gap.first_seq && f->routes[i].number <= r.gap.last_seq)
                                f->routes[i].what |= 4;
        } else if (r.origin == 2) {
                struct told *t = route(f, r.id);
                if (t && (t->what & 2))
                        f->wrong = true; /* twice */
                else if (t)
                        t->what |= 2;
        }
        return true;
}

static bool find_key(void *arg, struct vn_str key, struct vn_str value)
{
        (void)value;
        uint64_t number, *next = arg;
        struct vn_str tenant;
        if (vn_key_take_text(&key, &tenant) && vn_key_take_u64(&key, &number) && number == *next)
                ++*next;
        return true;
}

static uint64_t check_store(const char *dir, struct found *f, uint64_t changes)
{
        struct vn_err err = {.rc = VN_OK};
        struct vn_note_key *key = load_key(dir);
        struct vn_store *store = open_at(dir, key, &err);
        struct vn_key at;
        uint64_t next, keys = 0, lost = 0;
        if (!store)
                test_fail(__FILE__, __LINE__, "after the power cut: %s", err.msg);
        CHECK_OK(vn_store_flush(store, NULL));
        for (size_t i = 0; i < f->route_count; i++)
                f->routes[i].what = 1;
        struct vn_record_filter filter = {.limit = SIZE_MAX};
        CHECK_OK(vn_store_records(store, &filter, find_record, f, &next, NULL));
        CHECK(!f->wrong);
        for (size_t i = 0; i < f->route_count; i++) {
                if (!(f->routes[i].what & 2))
                        lost++;
                if (!(f->routes[i].what & 6))
                        test_fail(__FILE__, __LINE__, "route %llu is lost and no gap says so",
                                  (unsigned long long)f->routes[i].number);
        }
        CHECK_OK(vn_store_scan(store, VN_TABLE_meters, vn_key_init(&at, VN_STR("t")), NULL, SIZE_MAX, find_key, &keys,
                               NULL));
        if (keys < changes)
                test_fail(__FILE__, __LINE__, "%llu changes were acknowledged, %llu are here",
                          (unsigned long long)changes, (unsigned long long)keys);
        vn_store_free(store);
        struct vn_verify_report report;
        struct vn_record_ops ops = testing_ops();
        if (vn_store_verify(dir, key, &ops, &report, &err) != VN_OK)
                test_fail(__FILE__, __LINE__, "verify: %s", err.msg);
        CHECK_INT(0, report.missing);
        vn_note_key_free(key);
        fprintf(stderr, "  %zu routes told, %llu lost and reported; %llu changes\n", f->route_count,
                (unsigned long long)lost, (unsigned long long)keys);
        return keys;
}

/* Empties the shadow and fills it with the folder as it is: what another boot finds is durable. */
static void shadow_again(const char *dir, const char *shadow)
{
        int status;
        pid_t pid = fork();
        if (pid == 0) {
                execl(POWERCUT_APPLY, "powercut-apply", shadow, dir, "0", (char *)NULL);
                _exit(99);
        }
        CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(power_cuts_lose_no_change_and_report_every_lost_route)
{
        char dir[512], shadow[512];
        struct vn_rng rng;
        struct found f = {.routes = calloc(MAX_ROUTES, sizeof *f.routes)};
        uint64_t changes = 0;
        folders(dir, shadow);
        vn_rng_seed(&rng, test_seed());
        vn_note_key_free(load_key(dir));
        for (unsigned life = 0; life < LIVES; life++) {
                struct told told;
                int fd;
                pid_t pid = start("store", dir, shadow, changes, life, &fd);
                uint64_t stop_after = 1 + vn_rng_below(&rng, 400), acknowledged = changes;
                while (stop_after-- > 0 && read(fd, &told, sizeof told) == (ssize_t)sizeof told) {
                        if (told.what == TELL_CHANGE)
                                acknowledged = told.number + 1;
                        else if (f.route_count < MAX_ROUTES)
                                f.routes[f.route_count++].number = told.number;
                }
                kill(pid, SIGKILL);
                while (read(fd, &told, sizeof told) == (ssize_t)sizeof told) { /* what it said before it died */
                        if (told.what == TELL_CHANGE)
                                acknowledged = told.number + 1;
                        else if (f.route_count < MAX_ROUTES)
                                f.routes[f.route_count++].number = told.number;
                }
                close(fd);
                cut(pid, dir, shadow, life % 3 ? vn_rng_u64(&rng) : 0);
                changes = check_store(dir, &f, acknowledged);
                shadow_again(dir, shadow);
        }
        CHECK(f.route_count > 0 && changes > 0);
        free(f.routes);
}
