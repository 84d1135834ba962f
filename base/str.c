#include "base/str.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fault.h"
#include "base/mem.h"

bool vn_str_eq(struct vn_str a, struct vn_str b)
{
        return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

bool vn_str_eq_nocase(struct vn_str a, struct vn_str b)
{
        return a.len == b.len && (a.len == 0 || strncasecmp(a.ptr, b.ptr, a.len) == 0);
}

bool vn_str_eq_secret(struct vn_str a, struct vn_str b)
{
        if (a.len != b.len)
                return false;
        unsigned char differ = 0;
        for (size_t i = 0; i < a.len; i++)
                differ |= (unsigned char)(a.ptr[i] ^ b.ptr[i]);
        return differ == 0;
}

bool vn_str_starts(struct vn_str s, struct vn_str prefix)
{
        return s.len >= prefix.len && vn_str_eq(vn_str_n(s.ptr, prefix.len), prefix);
}

bool vn_str_ends(struct vn_str s, struct vn_str suffix)
{
        return s.len >= suffix.len && vn_str_eq(vn_str_n(s.ptr + s.len - suffix.len, suffix.len), suffix);
}

int vn_str_cmp(struct vn_str a, struct vn_str b)
{
        size_t n = a.len < b.len ? a.len : b.len;
        int order = n ? memcmp(a.ptr, b.ptr, n) : 0;
        return order ? order : (a.len > b.len) - (a.len < b.len);
}

struct vn_str vn_str_trim(struct vn_str s)
{
        while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
                s.ptr++, s.len--;
        while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
                s.len--;
        return s;
}

struct vn_str vn_str_cut(struct vn_str *s, char separator)
{
        const char *at = s->len ? memchr(s->ptr, separator, s->len) : NULL;
        struct vn_str before = *s;
        if (!at) {
                *s = (struct vn_str){NULL, 0};
                return before;
        }
        before.len = (size_t)(at - s->ptr);
        s->ptr = at + 1;
        s->len -= before.len + 1;
        return before;
}

enum vn_rc vn_str_to_u64(struct vn_str s, uint64_t *ret)
{
        uint64_t value = 0;
        if (s.len == 0)
                return VN_INVALID_ARGUMENT;
        for (size_t i = 0; i < s.len; i++) {
                if (s.ptr[i] < '0' || s.ptr[i] > '9')
                        return VN_INVALID_ARGUMENT;
                if (__builtin_mul_overflow(value, 10, &value) ||
                    __builtin_add_overflow(value, (uint64_t)(s.ptr[i] - '0'), &value))
                        return VN_OUT_OF_RANGE;
        }
        *ret = value;
        return VN_OK;
}

enum vn_rc vn_str_to_i64(struct vn_str s, int64_t *ret)
{
        bool negative = s.len && s.ptr[0] == '-';
        if (negative)
                s.ptr++, s.len--;
        uint64_t magnitude;
        VN_TRY(vn_str_to_u64(s, &magnitude));
        if (magnitude > (uint64_t)INT64_MAX + (negative ? 1 : 0))
                return VN_OUT_OF_RANGE;
        *ret = negative ? (int64_t)(0 - magnitude) : (int64_t)magnitude;
        return VN_OK;
}

enum vn_rc vn_str_to_double(struct vn_str s, double *ret)
{
        /* Vane never calls setlocale, so strtod reads the C locale; the check below keeps out hex, inf and nan. */
        char text[64];
        if (!vn_str_copy(text, sizeof text, s) || s.len == 0)
                return VN_INVALID_ARGUMENT;
        if (strspn(text, "0123456789+-.eE") != s.len || text[0] == '+')
                return VN_INVALID_ARGUMENT;
        char *end;
        double value = strtod(text, &end);
        if (*end || end == text)
                return VN_INVALID_ARGUMENT;
        if (value - value != 0)
                return VN_OUT_OF_RANGE;
        *ret = value;
        return VN_OK;
}

bool vn_str_copy(char *to, size_t to_bytes, struct vn_str from)
{
        if (from.len >= to_bytes || (from.len && memchr(from.ptr, 0, from.len))) {
                to[0] = 0;
                return false;
        }
        if (from.len)
                memcpy(to, from.ptr, from.len);
        to[from.len] = 0;
        return true;
}

bool vn_str_is_name(struct vn_str s, size_t max)
{
        if (s.len == 0 || s.len > max)
                return false;
        for (size_t i = 0; i < s.len; i++) {
                char c = s.ptr[i];
                bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
                if (!alnum && (i == 0 || (c != '-' && c != '_' && c != '.')))
                        return false;
        }
        return true;
}

/* Length of the valid UTF-8 sequence at p, or 0. Overlong forms and surrogates are invalid (RFC 3629). */
static size_t utf8_sequence(const unsigned char *p, size_t left)
{
        if (p[0] < 0x80)
                return 1;
        size_t n = p[0] >= 0xF0 ? 4 : p[0] >= 0xE0 ? 3 : 2;
        if (p[0] < 0xC2 || p[0] > 0xF4 || left < n)
                return 0;
        for (size_t i = 1; i < n; i++)
                if ((p[i] & 0xC0) != 0x80)
                        return 0;
        if ((p[0] == 0xE0 && p[1] < 0xA0) || (p[0] == 0xED && p[1] > 0x9F) || (p[0] == 0xF0 && p[1] < 0x90) ||
            (p[0] == 0xF4 && p[1] > 0x8F))
                return 0;
        return n;
}

bool vn_str_is_utf8(struct vn_str s)
{
        for (size_t i = 0; i < s.len;) {
                size_t n = utf8_sequence((const unsigned char *)s.ptr + i, s.len - i);
                if (n == 0)
                        return false;
                i += n;
        }
        return true;
}

bool vn_buf_reserve(struct vn_buf *buf, size_t more)
{
        if (more > buf->max_bytes - buf->len) {
                buf->failed = true;
                return false;
        }
        size_t need = buf->len + more + 1;
        if (need <= buf->cap)
                return true;
        size_t cap = buf->cap ? buf->cap * 2 : 128;
        if (cap < need)
                cap = need;
        char *grown = vn_realloc(buf->ptr, cap);
        if (!grown) {
                buf->failed = true;
                return false;
        }
        buf->ptr = grown;
        buf->cap = cap;
        buf->ptr[buf->len] = 0;
        return true;
}

bool vn_buf_add(struct vn_buf *buf, const void *bytes, size_t n)
{
        if (!vn_buf_reserve(buf, n))
                return false;
        if (n)
                memcpy(buf->ptr + buf->len, bytes, n);
        buf->len += n;
        buf->ptr[buf->len] = 0;
        return true;
}

bool vn_buf_str(struct vn_buf *buf, struct vn_str s)
{
        return vn_buf_add(buf, s.ptr, s.len);
}

bool vn_buf_text(struct vn_buf *buf, const char *text)
{
        return vn_buf_add(buf, text, strlen(text));
}

bool vn_buf_char(struct vn_buf *buf, char c)
{
        return vn_buf_add(buf, &c, 1);
}

bool vn_buf_printf(struct vn_buf *buf, const char *format, ...)
{
        va_list args;
        va_start(args, format);
        int n = vsnprintf(NULL, 0, format, args);
        va_end(args);
        if (n < 0 || !vn_buf_reserve(buf, (size_t)n)) {
                buf->failed = true;
                return false;
        }
        va_start(args, format);
        vsnprintf(buf->ptr + buf->len, (size_t)n + 1, format, args);
        va_end(args);
        buf->len += (size_t)n;
        return true;
}

void vn_buf_reset(struct vn_buf *buf)
{
        buf->len = 0;
        buf->failed = false;
        if (buf->ptr)
                buf->ptr[0] = 0;
}

void vn_buf_done(struct vn_buf *buf)
{
        vn_free(buf->ptr);
        *buf = VN_BUF_INIT(buf->max_bytes);
}

enum vn_rc vn_buf_check(const struct vn_buf *buf, struct vn_err *err)
{
        if (buf->failed)
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "larger than %zu bytes, or out of memory", buf->max_bytes);
        return VN_OK;
}

char *vn_buf_take(struct vn_buf *buf)
{
        if (!buf->ptr && !vn_buf_reserve(buf, 0))
                return NULL;
        char *text = buf->ptr;
        buf->ptr = NULL;
        buf->len = buf->cap = 0;
        return text;
}

enum vn_rc vn_file_read(const char *path, struct vn_buf *ret, struct vn_err *err)
{
        int fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        enum vn_rc rc = VN_OK;
        for (;;) {
                if (!vn_buf_reserve(ret, 1)) {
                        rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: larger than %zu bytes, or out of memory", path,
                                     ret->max_bytes);
                        break;
                }
                size_t room = ret->cap - ret->len - 1;
                if (room > ret->max_bytes - ret->len)
                        room = ret->max_bytes - ret->len;
                ssize_t n = read(fd, ret->ptr + ret->len, room);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        rc = vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
                if (n <= 0)
                        break;
                ret->len += (size_t)n;
                ret->ptr[ret->len] = 0;
                /* A file of exactly max_bytes is fine: only a further byte is too many. */
                if (ret->len == ret->max_bytes) {
                        char extra;
                        if (read(fd, &extra, 1) == 1)
                                rc = vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: larger than %zu bytes", path,
                                             ret->max_bytes);
                        break;
                }
        }
        close(fd);
        return rc;
}

static enum vn_rc write_all(int fd, struct vn_str content)
{
        while (content.len) {
                ssize_t n = write(fd, content.ptr, content.len);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return vn_rc_from_errno(errno);
                content.ptr += n;
                content.len -= (size_t)n;
        }
        return VN_OK;
}

static enum vn_rc sync_directory_of(const char *path)
{
        char dir[4096];
        const char *slash = strrchr(path, '/');
        if (!vn_str_copy(dir, sizeof dir,
                         slash ? vn_str_n(path, slash == path ? 1 : (size_t)(slash - path)) : VN_STR(".")))
                return VN_OUT_OF_RANGE;
        int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
                return vn_rc_from_errno(errno);
        int failed = fsync(fd) ? errno : 0;
        close(fd);
        return vn_rc_from_errno(failed);
}

enum vn_rc vn_file_write_atomic(const char *path, struct vn_str content, unsigned mode, struct vn_err *err)
{
        char beside[4096];
        int n = snprintf(beside, sizeof beside, "%s.new", path);
        if (n < 0 || (size_t)n >= sizeof beside)
                return vn_fail(err, VN_OUT_OF_RANGE, "%s: path too long", path);
        int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", beside, strerror(errno));
        enum vn_rc rc = VN_FAULT("file.write") ? VN_RESOURCE_EXHAUSTED : write_all(fd, content);
        if (rc == VN_OK && (VN_FAULT("file.sync") || fsync(fd)))
                rc = VN_DATA_LOSS;
        close(fd);
        if (rc == VN_OK && (VN_FAULT("file.rename") || rename(beside, path)))
                rc = vn_rc_from_errno(errno ? errno : EIO);
        if (rc != VN_OK) {
                unlink(beside);
                return vn_fail(err, rc, "%s: cannot write", path);
        }
        rc = sync_directory_of(path);
        return rc == VN_OK ? VN_OK : vn_fail(err, rc, "%s: cannot sync its directory", path);
}
