#include "base/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum vn_rc(vn_fail)(struct vn_err *err, enum vn_rc rc, const char *format, ...)
{
        VN_ASSERT(rc != VN_OK);
        if (!err)
                return rc;
        err->rc = rc;
        va_list args;
        va_start(args, format);
        vsnprintf(err->msg, sizeof err->msg, format, args);
        va_end(args);
        return rc;
}

enum vn_rc(vn_err_prefix)(struct vn_err *err, enum vn_rc rc, const char *format, ...)
{
        if (!err)
                return rc;
        char old[VN_ERR_MSG_BYTES];
        memcpy(old, err->msg, sizeof old);
        old[sizeof old - 1] = 0;
        va_list args;
        va_start(args, format);
        int n = vsnprintf(err->msg, sizeof err->msg, format, args);
        va_end(args);
        if (n >= 0 && (size_t)n < sizeof err->msg)
                snprintf(err->msg + n, sizeof err->msg - (size_t)n, ": %s", old);
        err->rc = rc;
        return rc;
}

static const char *const rc_names[] = {
        "OK",        "CANCELLED",       "UNKNOWN",           "INVALID_ARGUMENT",   "DEADLINE_EXCEEDED",
        "NOT_FOUND", "ALREADY_EXISTS",  "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION",
        "ABORTED",   "OUT_OF_RANGE",    "UNIMPLEMENTED",     "INTERNAL",           "UNAVAILABLE",
        "DATA_LOSS", "UNAUTHENTICATED",
};
static const int rc_http[] = {200, 499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401};

const char *vn_rc_name(enum vn_rc rc)
{
        return (unsigned)rc < sizeof rc_names / sizeof rc_names[0] ? rc_names[rc] : "UNKNOWN";
}

int vn_rc_http_status(enum vn_rc rc)
{
        return (unsigned)rc < sizeof rc_http / sizeof rc_http[0] ? rc_http[rc] : 500;
}

enum vn_rc vn_rc_from_http_status(int status)
{
        if (status >= 200 && status < 300)
                return VN_OK;
        switch (status) {
        case 400: return VN_INVALID_ARGUMENT;
        case 401: return VN_UNAUTHENTICATED;
        case 403: return VN_PERMISSION_DENIED;
        case 404: return VN_NOT_FOUND;
        case 409: return VN_ABORTED;
        case 412: return VN_FAILED_PRECONDITION;
        case 413: return VN_OUT_OF_RANGE;
        case 429: return VN_RESOURCE_EXHAUSTED;
        case 499: return VN_CANCELLED;
        case 501: return VN_UNIMPLEMENTED;
        case 502:
        case 503: return VN_UNAVAILABLE;
        case 504: return VN_DEADLINE_EXCEEDED;
        default: return status >= 500 ? VN_INTERNAL : VN_UNKNOWN;
        }
}

enum vn_rc vn_rc_from_errno(int error_number)
{
        switch (error_number) {
        case 0: return VN_OK;
        case ENOENT: return VN_NOT_FOUND;
        case EEXIST: return VN_ALREADY_EXISTS;
        case EACCES:
        case EPERM:
        case EROFS: return VN_PERMISSION_DENIED;
        case ENOSPC:
        case EDQUOT:
        case ENOMEM:
        case EMFILE:
        case ENFILE: return VN_RESOURCE_EXHAUSTED;
        case EINVAL: return VN_INVALID_ARGUMENT;
        case EAGAIN:
        case ECONNREFUSED:
        case ECONNRESET:
        case EPIPE: return VN_UNAVAILABLE;
        case ETIMEDOUT: return VN_DEADLINE_EXCEEDED;
        case EIO: return VN_DATA_LOSS;
        default: return VN_INTERNAL;
        }
}

void vn_assert_failed(const char *expression, const char *file, int line)
{
        fprintf(stderr, "assertion failed: %s (%s:%d)\n", expression, file, line);
        abort();
}
