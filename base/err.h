/* err.h - results, errors and assertions.
 * Purpose: one result type for everything that can fail. The codes are numerically those of gRPC, so that
 *   putting an error on the wire is the identity.
 * Threads: any. Ownership: the caller owns `struct vn_err`; NULL is allowed wherever an `err` is taken.
 * Rules: an expected failure returns; a broken invariant stops the process (VN_ASSERT, on in release too).
 *   Library code never logs an error that it returns. */
#ifndef VANE_BASE_ERR_H
#define VANE_BASE_ERR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VN_MUST_USE __attribute__((warn_unused_result))
#define VN_PRINTF(a, b) __attribute__((format(printf, a, b)))

enum vn_rc {
        VN_OK = 0,
        VN_CANCELLED = 1,
        VN_UNKNOWN = 2,
        VN_INVALID_ARGUMENT = 3,
        VN_DEADLINE_EXCEEDED = 4,
        VN_NOT_FOUND = 5,
        VN_ALREADY_EXISTS = 6,
        VN_PERMISSION_DENIED = 7,
        VN_RESOURCE_EXHAUSTED = 8,
        VN_FAILED_PRECONDITION = 9,
        VN_ABORTED = 10,
        VN_OUT_OF_RANGE = 11,
        VN_UNIMPLEMENTED = 12,
        VN_INTERNAL = 13,
        VN_UNAVAILABLE = 14,
        VN_DATA_LOSS = 15,
        VN_UNAUTHENTICATED = 16,
};

#define VN_ERR_MSG_BYTES 256

struct vn_err {
        enum vn_rc rc;
        char msg[VN_ERR_MSG_BYTES];
};

/* Fills err (if not NULL) and returns rc, so that `return vn_fail(err, VN_X, "...")` reads as one step. */
enum vn_rc vn_fail(struct vn_err *err, enum vn_rc rc, const char *format, ...) VN_PRINTF(3, 4);
/* Puts "prefix: " before the message that err already holds; returns err's rc. */
enum vn_rc vn_err_prefix(struct vn_err *err, enum vn_rc rc, const char *format, ...) VN_PRINTF(3, 4);
#ifdef __clang_analyzer__
/* The static analyser reads one file at a time. Without this it believes that a failure may come out as VN_OK, and
 * follows paths that do not exist. */
#define VN_NEVER_OK(code, function, ...)                                                                             \
        ({                                                                                                           \
                enum vn_rc vn_never_ok_ = (code);                                                                    \
                if (vn_never_ok_ == VN_OK)                                                                           \
                        __builtin_unreachable();                                                                     \
                (void)(function)(__VA_ARGS__);                                                                       \
                vn_never_ok_;                                                                                        \
        })
#define vn_fail(err, rc, ...) VN_NEVER_OK(rc, vn_fail, err, rc, __VA_ARGS__)
#define vn_err_prefix(err, rc, ...) VN_NEVER_OK(rc, vn_err_prefix, err, rc, __VA_ARGS__)
#endif
/* "INVALID_ARGUMENT" and the like; "UNKNOWN" for a number out of range. */
const char *vn_rc_name(enum vn_rc rc);
/* The HTTP status for a code (google.rpc.Code's mapping), and the nearest code for a status. */
int vn_rc_http_status(enum vn_rc rc);
enum vn_rc vn_rc_from_http_status(int status);
/* The nearest code for an errno value. */
enum vn_rc vn_rc_from_errno(int error_number);

#define VN_TRY(expression)                                                                                           \
        do {                                                                                                         \
                enum vn_rc vn_try_rc_ = (expression);                                                                \
                if (vn_try_rc_ != VN_OK)                                                                             \
                        return vn_try_rc_;                                                                           \
        } while (0)

__attribute__((noreturn)) void vn_assert_failed(const char *expression, const char *file, int line);
#define VN_ASSERT(condition)                                                                                         \
        do {                                                                                                         \
                if (__builtin_expect(!(condition), 0))                                                               \
                        vn_assert_failed(#condition, __FILE__, __LINE__);                                            \
        } while (0)

/* For the rare call whose result truly does not matter; say why beside it. */
#define VN_IGNORE(expression)                                                                                        \
        do {                                                                                                         \
                if (expression) {                                                                                    \
                }                                                                                                    \
        } while (0)

#endif
