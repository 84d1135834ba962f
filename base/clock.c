#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static int64_t clock_read(clockid_t id)
{
        struct timespec t;
        clock_gettime(id, &t);
        return (int64_t)t.tv_sec * VN_US_PER_S + t.tv_nsec / 1000;
}

static int64_t real_now(const struct vn_clock *clock)
{
        (void)clock;
        return clock_read(CLOCK_REALTIME);
}

static int64_t real_mono(const struct vn_clock *clock)
{
        (void)clock;
        return clock_read(CLOCK_MONOTONIC);
}

const struct vn_clock *vn_clock_real(void)
{
        static const struct vn_clock real = {real_now, real_mono, NULL};
        return &real;
}

static int64_t fake_time(const struct vn_clock *clock)
{
        return ((const struct vn_clock_fake *)clock->state)->time_us;
}

void vn_clock_fake_init(struct vn_clock_fake *fake, int64_t start_us)
{
        *fake = (struct vn_clock_fake){{fake_time, fake_time, fake}, start_us};
}

#define SHARED_BYTES 4096
#define SHARED_MAGIC UINT64_C(0x6b636c63656e6156)

struct shared_page {
        uint64_t magic;
        _Atomic int64_t time_us;
};

struct vn_clock_shared {
        struct vn_clock clock;
        struct shared_page *page;
};

static int64_t shared_time(const struct vn_clock *clock)
{
        const struct vn_clock_shared *shared = clock->state;
        return atomic_load_explicit(&shared->page->time_us, memory_order_acquire);
}

static enum vn_rc shared_map(const char *path, int flags, struct vn_clock_shared **ret, struct vn_err *err)
{
        int fd = open(path, flags | O_CLOEXEC, 0600);
        if (fd < 0)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        if ((flags & O_CREAT) && ftruncate(fd, SHARED_BYTES)) {
                close(fd);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "%s: cannot size the clock file", path);
        }
        if (lseek(fd, 0, SEEK_END) != SHARED_BYTES) {
                close(fd);
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: not a clock file", path);
        }
        void *page = mmap(NULL, SHARED_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        close(fd);
        if (page == MAP_FAILED)
                return vn_fail(err, vn_rc_from_errno(errno), "%s: %s", path, strerror(errno));
        struct vn_clock_shared *shared = vn_alloc(sizeof *shared);
        if (!shared) {
                munmap(page, SHARED_BYTES);
                return vn_fail(err, VN_RESOURCE_EXHAUSTED, "out of memory");
        }
        shared->page = page;
        shared->clock = (struct vn_clock){shared_time, shared_time, shared};
        *ret = shared;
        return VN_OK;
}

enum vn_rc vn_clock_shared_create(const char *path, int64_t start_us, struct vn_clock_shared **ret,
                                  struct vn_err *err)
{
        struct vn_clock_shared *shared;
        VN_TRY(shared_map(path, O_RDWR | O_CREAT | O_TRUNC, &shared, err));
        atomic_store(&shared->page->time_us, start_us);
        shared->page->magic = SHARED_MAGIC;
        *ret = shared;
        return VN_OK;
}

enum vn_rc vn_clock_shared_open(const char *path, struct vn_clock_shared **ret, struct vn_err *err)
{
        struct vn_clock_shared *shared;
        VN_TRY(shared_map(path, O_RDWR, &shared, err));
        if (shared->page->magic != SHARED_MAGIC) {
                vn_clock_shared_free(shared);
                return vn_fail(err, VN_FAILED_PRECONDITION, "%s: not a clock file", path);
        }
        *ret = shared;
        return VN_OK;
}

const struct vn_clock *vn_clock_shared_clock(const struct vn_clock_shared *shared)
{
        return &shared->clock;
}

void vn_clock_shared_set(struct vn_clock_shared *shared, int64_t time_us)
{
        int64_t old = atomic_load(&shared->page->time_us);
        while (time_us > old && !atomic_compare_exchange_weak(&shared->page->time_us, &old, time_us))
                ;
}

struct vn_clock_shared *vn_clock_shared_free(struct vn_clock_shared *shared)
{
        if (shared) {
                munmap(shared->page, SHARED_BYTES);
                vn_free(shared);
        }
        return NULL;
}

bool vn_clock_is_shared(const struct vn_clock *clock)
{
        return clock->now_us == shared_time;
}

enum vn_rc vn_clock_from_environment(const struct vn_clock **ret, struct vn_err *err)
{
        static pthread_mutex_t once = PTHREAD_MUTEX_INITIALIZER;
        static struct vn_clock_shared *process_clock;
        const char *path = getenv("VANE_CLOCK");
        if (!path || !path[0]) {
                *ret = vn_clock_real();
                return VN_OK;
        }
        pthread_mutex_lock(&once);
        enum vn_rc rc = process_clock ? VN_OK : vn_clock_shared_open(path, &process_clock, err);
        if (rc == VN_OK)
                *ret = &process_clock->clock;
        pthread_mutex_unlock(&once);
        return rc;
}

/* Days since 1970 of a civil date and back, by shifting the year to begin in March (proleptic Gregorian). */
static int64_t days_from_civil(int64_t year, unsigned month, unsigned day)
{
        year -= month <= 2;
        int64_t era = (year >= 0 ? year : year - 399) / 400;
        unsigned of_era = (unsigned)(year - era * 400);
        unsigned of_year = (153 * (month + (month > 2 ? -3u : 9u)) + 2) / 5 + day - 1;
        return era * 146097 + (int64_t)(of_era * 365 + of_era / 4 - of_era / 100 + of_year) - 719468;
}

void vn_time_format(int64_t time_us, char ret[VN_TIME_TEXT_BYTES])
{
        int64_t seconds = time_us / VN_US_PER_S, micros = time_us % VN_US_PER_S;
        if (micros < 0)
                seconds--, micros += VN_US_PER_S;
        time_t t = (time_t)seconds;
        struct tm tm;
        gmtime_r(&t, &tm);
        unsigned year = (unsigned)(tm.tm_year + 1900) % 10000;
        snprintf(ret, VN_TIME_TEXT_BYTES, "%04u-%02d-%02dT%02d:%02d:%02d.%03dZ", year, tm.tm_mon + 1, tm.tm_mday,
                 tm.tm_hour, tm.tm_min, tm.tm_sec, (int)(micros / 1000));
}

static bool digits(const char *p, unsigned n, unsigned *ret)
{
        unsigned value = 0;
        for (unsigned i = 0; i < n; i++) {
                if (p[i] < '0' || p[i] > '9')
                        return false;
                value = value * 10 + (unsigned)(p[i] - '0');
        }
        *ret = value;
        return true;
}

enum vn_rc vn_time_parse(const char *text, size_t len, int64_t *ret_us)
{
        unsigned year, month, day, hour, minute, second;
        if (len < 20 || !digits(text, 4, &year) || text[4] != '-' || !digits(text + 5, 2, &month) || text[7] != '-' ||
            !digits(text + 8, 2, &day) || (text[10] != 'T' && text[10] != 't') || !digits(text + 11, 2, &hour) ||
            text[13] != ':' || !digits(text + 14, 2, &minute) || text[16] != ':' || !digits(text + 17, 2, &second))
                return VN_INVALID_ARGUMENT;
        if (month < 1 || month > 12 || day < 1 || day > 31 || hour > 23 || minute > 59 || second > 60)
                return VN_INVALID_ARGUMENT;
        size_t at = 19;
        int64_t micros = 0;
        if (text[at] == '.') {
                int64_t unit = 100000;
                for (at++; at < len && text[at] >= '0' && text[at] <= '9'; at++, unit /= 10)
                        micros += unit * (text[at] - '0');
        }
        int64_t offset_minutes = 0;
        if (at + 6 == len && (text[at] == '+' || text[at] == '-')) {
                unsigned oh, om;
                if (!digits(text + at + 1, 2, &oh) || text[at + 3] != ':' || !digits(text + at + 4, 2, &om))
                        return VN_INVALID_ARGUMENT;
                offset_minutes = (text[at] == '-' ? -1 : 1) * (int64_t)(oh * 60 + om);
        } else if (at + 1 != len || (text[at] != 'Z' && text[at] != 'z')) {
                return VN_INVALID_ARGUMENT;
        }
        int64_t seconds = days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
        *ret_us = (seconds - offset_minutes * 60) * VN_US_PER_S + micros;
        return VN_OK;
}
