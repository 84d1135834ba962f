/* The access log of plain HTTP endpoints: one JSON object a line, as any proxy can be told to write it. */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clouds/http/http.h"

#define CHUNK_BYTES 65536
#define MAX_LINE_BYTES 16384
#define DAY_MS 86400e3

/* A span in milliseconds as microseconds; false unless it is between nothing and a day. */
static bool span(json_t *root, const char *member, double missing, int64_t *ret_us)
{
        double ms = vn_json_pick_number(root, member, missing);

        if (!(ms >= 0 && ms <= DAY_MS))
                return false;
        *ret_us = (int64_t)(ms * 1e3 + 0.5);
        return true;
}

static int64_t bytes(json_t *root, const char *member)
{
        double n = vn_json_pick_number(root, member, -1);

        return n >= 0 && n <= 1e12 ? (int64_t)n : -1;
}

static enum vn_invocation_status status_of(double status)
{
        if (status == 429)
                return VN_INVOCATION_THROTTLED;
        if (status == 504)
                return VN_INVOCATION_TIMEOUT;
        return status >= 400 ? VN_INVOCATION_ERROR : VN_INVOCATION_OK;
}

enum vn_rc vn_http_log_line(struct vn_str line, struct vn_cloud_invocation *ret)
{
        VN_AUTO(vn_json)
        root = NULL;
        struct vn_str time, function;
        double status, used;

        *ret = (struct vn_cloud_invocation){.billed_us = -1, .weight = 1};
        if (vn_json_load(line, &root, NULL) != VN_OK)
                return VN_NOT_FOUND;
        time = vn_json_str(root, "time");
        function = vn_json_str(root, "function");
        status = vn_json_pick_number(root, "status", 0);
        used = vn_json_pick_number(root, "memory_used_mb", 0);
        if (function.len == 0 || function.len >= sizeof(ret->function) ||
            vn_time_parse(time.ptr, time.len, &ret->time_us) != VN_OK || !(status >= 100 && status <= 599) ||
            !span(root, "duration_ms", -1, &ret->duration_us) || !span(root, "init_ms", 0, &ret->init_us))
                return VN_NOT_FOUND;
        vn_text_copy(ret->function, sizeof(ret->function), function);
        vn_text_copy(ret->instance, sizeof(ret->instance), vn_json_str(root, "instance"));
        ret->status = status_of(status);
        ret->request_bytes = bytes(root, "request_bytes");
        ret->response_bytes = bytes(root, "response_bytes");
        ret->max_memory_mb = used > 0 && used < 1 << 20 ? (uint32_t)used : 0;
        ret->cold = json_is_true(json_object_get(root, "cold")) || ret->init_us > 0;
        return VN_OK;
}

struct reading {
        const struct vn_cloud_function *function;
        int64_t from_us, to_us;
        vn_cloud_invocation_fn each;
        void *arg;
};

/* Proxies give no id of a request that is unique for certain; the place in the file is. */
static enum vn_rc take(const struct reading *r, struct vn_str line, uint64_t at)
{
        struct vn_cloud_invocation invocation;

        if (vn_http_log_line(line, &invocation) != VN_OK || invocation.time_us < r->from_us ||
            invocation.time_us >= r->to_us || (r->function && strcmp(r->function->name, invocation.function)))
                return VN_OK;
        invocation.id_hash = vn_hash64(line.ptr, line.len, at);
        return r->each(r->arg, &invocation);
}

/* From `at` on, line by line. What has no newline yet is being written: a later read will have it whole. A line longer than
 * the buffer is passed over to its end. */
static enum vn_rc read_lines(int fd, uint64_t at, bool skip, const struct reading *r, struct vn_buf *buf,
                             struct vn_err *err)
{
        for (;;) {
                size_t start = 0;
                ssize_t n;

                if (!vn_buf_reserve(buf, CHUNK_BYTES))
                        return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory for a log");
                n = pread(fd, buf->ptr + buf->len, CHUNK_BYTES, (off_t)(at + buf->len));
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return vn_fail(err, vn_rc_from_errno(errno), "log_file: %s", strerror(errno));
                if (n == 0)
                        return VN_OK;
                buf->len += (size_t)n;
                for (char *end; (end = memchr(buf->ptr + start, '\n', buf->len - start));) {
                        struct vn_str line = vn_str_n(buf->ptr + start, (size_t)(end - (buf->ptr + start)));

                        if (!skip && line.len > 0 && line.len <= MAX_LINE_BYTES)
                                VN_TRY(take(r, line, at + start));
                        skip = false;
                        start += line.len + 1;
                }
                if (buf->len - start > MAX_LINE_BYTES) {
                        skip = true;
                        start = buf->len;
                }
                memmove(buf->ptr, buf->ptr + start, buf->len - start);
                buf->len -= start;
                at += start;
        }
}

enum vn_rc vn_http_logs(struct vn_cloud *cloud, const struct vn_cloud_function *function, int64_t from_us,
                        int64_t to_us, vn_cloud_invocation_fn each, void *arg, struct vn_err *err)
{
        const struct reading r = {function, from_us, to_us, each, arg};
        VN_AUTO(vn_buf)
        buf = VN_BUF_INIT(CHUNK_BYTES + MAX_LINE_BYTES + 1024);
        struct stat about;
        uint64_t at = 0;
        enum vn_rc rc;
        int fd;

        if (cloud->config.log_file.len == 0)
                return VN_OK;
        fd = open(cloud->config.log_file.ptr, O_RDONLY | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
                return VN_OK; /* between two files of a rotation, or before the first call */
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "log_file: %s", strerror(errno));
        if (fstat(fd, &about) == 0 && about.st_size > (off_t)VN_HTTP_MAX_LOG_BYTES)
                at = (uint64_t)about.st_size - VN_HTTP_MAX_LOG_BYTES;
        rc = read_lines(fd, at, at > 0, &r, &buf, err);
        close(fd);
        return rc;
}
