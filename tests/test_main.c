/* test_main.c - runs the registered tests of one binary; see test.h. */
#include <event2/event.h>
#include <ftw.h>
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/fault.h"
#include "tests/test.h"

static struct test_case *tests;
static jmp_buf test_exit;
static char test_directory[256];
static uint64_t seed_in_use;
static _Thread_local bool foreign_failed; /* a library's allocation was the one that failed */
static _Thread_local bool in_jansson_load;

void test_register(struct test_case *test)
{
        struct test_case **at = &tests;
        while (*at)
                at = &(*at)->next;
        *at = test;
}

void test_fail(const char *file, int line, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        fprintf(stderr, "  FAIL %s:%d: ", file, line);
        vfprintf(stderr, format, args);
        fputc('\n', stderr);
        va_end(args);
        longjmp(test_exit, 1);
}

void test_skip(const char *why)
{
        fprintf(stderr, "  SKIP %s\n", why);
        longjmp(test_exit, 2);
}

uint64_t test_seed(void)
{
        const char *given = getenv("VANE_TEST_SEED");
        struct timespec now;
        clock_gettime(CLOCK_REALTIME, &now);
        seed_in_use = given ? strtoull(given, NULL, 10) : (uint64_t)now.tv_sec * 1000003u + (uint64_t)now.tv_nsec;
        fprintf(stderr, "  seed %llu (VANE_TEST_SEED repeats it)\n", (unsigned long long)seed_in_use);
        return seed_in_use;
}

const char *test_data(const char *relative)
{
        static char path[4096];
        const char *root = getenv("VANE_DATA");
        if (!root || !root[0])
                root = getenv("VANE_DATA_DEFAULT");
        snprintf(path, sizeof path, "%s/%s", root ? root : "tests/data", relative);
        return path;
}

const char *test_dir(void)
{
        if (!test_directory[0]) {
                const char *tmp = getenv("TMPDIR");
                snprintf(test_directory, sizeof test_directory, "%s/vane-test-XXXXXX", tmp ? tmp : "/tmp");
                VN_ASSERT(mkdtemp(test_directory));
        }
        return test_directory;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *walk)
{
        (void)info, (void)type, (void)walk;
        return remove(path);
}

static void *foreign_alloc(size_t bytes)
{
        if (in_jansson_load)
                return malloc(bytes);
        void *memory = vn_alloc(bytes);
        foreign_failed |= !memory;
        return memory;
}

static void *foreign_realloc(void *old, size_t bytes)
{
        void *memory = vn_realloc(old, bytes);
        foreign_failed |= !memory;
        return memory;
}

/* jansson's reader stops the process with an assertion of its own when memory is out in the middle of a string: while it
 * reads, its allocations are not made to fail (VaneModule.cmake puts this in json_loadb's place). */
json_t *__real_json_loadb(const char *text, size_t bytes, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t bytes, size_t flags, json_error_t *error);
json_t *__wrap_json_loadb(const char *text, size_t bytes, size_t flags, json_error_t *error)
{
        in_jansson_load = true;
        json_t *json = __real_json_loadb(text, bytes, flags, error);
        in_jansson_load = false;
        return json;
}

void test_alloc_loop(enum vn_rc (*operation)(void), const char *file, int line)
{
        for (uint64_t n = 1; n < 100000; n++) {
                foreign_failed = false;
                vn_alloc_fail_at(n);
                enum vn_rc rc = operation();
                bool injected = vn_alloc_count() >= n;
                vn_alloc_fail_at(0);
                if (!injected) {
                        if (rc != VN_OK)
                                test_fail(file, line, "without a failure: %s", vn_rc_name(rc));
                        return;
                }
                /* A library does not always say that it was memory. */
                if (rc != VN_OK && rc != VN_RESOURCE_EXHAUSTED && !foreign_failed)
                        test_fail(file, line, "allocation %llu failed: got %s", (unsigned long long)n,
                                  vn_rc_name(rc));
        }
        test_fail(file, line, "never got through");
}

static bool file_matches(const char *file, const char *wanted)
{
        const char *slash = strrchr(file, '/');
        return !strcmp(slash ? slash + 1 : file, wanted);
}

/* One test in a frame of its own, so that longjmp clobbers nothing of main's. */
static bool run_one(const struct test_case *test)
{
        seed_in_use = 0;
        fprintf(stderr, "%s\n", test->name);
        int outcome = setjmp(test_exit);
        if (outcome == 0)
                test->run();
        vn_alloc_fail_at(0);
        vn_fault_clear();
        if (test_directory[0]) {
                nftw(test_directory, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
                test_directory[0] = 0;
        }
        return outcome != 1;
}

int main(int argc, char **argv)
{
        /* What these libraries allocate for us counts, and fails, like our own. */
        json_set_alloc_funcs(foreign_alloc, vn_free);
        event_set_mem_functions(foreign_alloc, foreign_realloc, vn_free);
        const char *file = NULL, *only = NULL;
        for (int i = 1; i < argc; i++) {
                if (!strcmp(argv[i], "--file") && i + 1 < argc)
                        file = argv[++i];
                else if (!strcmp(argv[i], "--only") && i + 1 < argc)
                        only = argv[++i];
                else if (!strcmp(argv[i], "--list")) {
                        for (struct test_case *t = tests; t; t = t->next)
                                printf("%s\n", t->name);
                        return 0;
                } else {
                        fprintf(stderr, "usage: %s [--file x_test.c] [--only NAME] [--list]\n", argv[0]);
                        return 2;
                }
        }
        int ran = 0, failed = 0;
        for (struct test_case *t = tests; t; t = t->next) {
                if ((file && !file_matches(t->file, file)) || (only && strcmp(t->name, only)))
                        continue;
                ran++;
                failed += run_one(t) ? 0 : 1;
        }
        fprintf(stderr, "%d tests, %d failed\n", ran, failed);
        return failed || !ran ? 1 : 0;
}
