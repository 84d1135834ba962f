/* test.h - the unit-test harness: TEST(name) { CHECK(...); } registers itself.
 * A file's tests run with `X-test --file x_test.c`; `--list` and `--only NAME` help at the desk.
 * CHECK stops the test (not the process); CHECK_OK and CHECK_RC print the code they got.
 * TEST_ALLOC_LOOP(fn): calls fn() again and again, failing allocation 1, 2, 3, ... until one run passes untouched;
 *   fn returns the rc of the operation under test and must leak nothing on failure (ASan looks). Allocations of jansson
 *   and libevent count like our own; the counter is the thread's.
 * Random tests use test_seed(): printed, and repeated with VANE_TEST_SEED. */
#ifndef VANE_TESTS_TEST_H
#define VANE_TESTS_TEST_H

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/str.h"

struct test_case {
        const char *file;
        const char *name;
        void (*run)(void);
        struct test_case *next;
};
void test_register(struct test_case *test);
__attribute__((noreturn)) void test_fail(const char *file, int line, const char *format, ...) VN_PRINTF(3, 4);
void test_skip(const char *why); /* counts as skipped and says so */
uint64_t test_seed(void);
/* Path under the data root: $VANE_DATA, else the tree's tests/data. Static buffer, overwritten by the next call. */
const char *test_data(const char *relative);
/* A fresh directory under $TMPDIR that goes when the test ends. Static buffer of that test. */
const char *test_dir(void);
void test_alloc_loop(enum vn_rc (*operation)(void), const char *file, int line);

#define TEST(test_name)                                                                                              \
        static void test_run_##test_name(void);                                                                      \
        __attribute__((constructor)) static void test_reg_##test_name(void)                                          \
        {                                                                                                            \
                static struct test_case test = {__FILE__, #test_name, test_run_##test_name, NULL};                   \
                test_register(&test);                                                                                \
        }                                                                                                            \
        static void test_run_##test_name(void)

#define CHECK(condition)                                                                                             \
        do {                                                                                                         \
                if (!(condition))                                                                                    \
                        test_fail(__FILE__, __LINE__, "%s", #condition);                                             \
        } while (0)
#define CHECK_RC(expected, expression)                                                                               \
        do {                                                                                                         \
                enum vn_rc check_rc_ = (expression);                                                                 \
                if (check_rc_ != (expected))                                                                         \
                        test_fail(__FILE__, __LINE__, "%s: got %s", #expression, vn_rc_name(check_rc_));             \
        } while (0)
#define CHECK_OK(expression) CHECK_RC(VN_OK, expression)
#define CHECK_INT(expected, actual)                                                                                  \
        do {                                                                                                         \
                long long check_e_ = (long long)(expected), check_a_ = (long long)(actual);                          \
                if (check_e_ != check_a_)                                                                            \
                        test_fail(__FILE__, __LINE__, "%s: want %lld, got %lld", #actual, check_e_, check_a_);       \
        } while (0)
#define CHECK_TEXT(expected, actual)                                                                                 \
        do {                                                                                                         \
                const char *check_e_ = (expected), *check_a_ = (actual);                                             \
                if (strcmp(check_e_, check_a_))                                                                      \
                        test_fail(__FILE__, __LINE__, "%s: want \"%s\", got \"%s\"", #actual, check_e_, check_a_);   \
        } while (0)
#define CHECK_NEAR(expected, actual, tolerance)                                                                      \
        do {                                                                                                         \
                double check_e_ = (expected), check_a_ = (actual);                                                   \
                if (!(check_a_ - check_e_ <= (tolerance) && check_e_ - check_a_ <= (tolerance)))                     \
                        test_fail(__FILE__, __LINE__, "%s: want %.17g, got %.17g", #actual, check_e_, check_a_);     \
        } while (0)
#define TEST_ALLOC_LOOP(operation) test_alloc_loop(operation, __FILE__, __LINE__)

#endif
