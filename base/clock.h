/* clock.h - every time that Vane reads comes from here.
 * Purpose: real time, a fake clock for tests, and the sandbox clock that several processes share so that hours
 *   of a trace pass in a minute.
 * Threads: any. Ownership: the caller owns the struct; a shared clock is opened and closed.
 * Units: microseconds. now_us is wall time since 1970; mono_us never goes back (its zero is arbitrary).
 *
 * Sandbox clock: a 4 KiB file, mapped by all processes (environment variable VANE_CLOCK names it). One process,
 *   the driver, moves it forward with vn_clock_shared_set; the others only read. It moves in events, not with
 *   this machine's time: what the simulator says takes 80 ms takes exactly 80 ms, however slow the machine is. */
#ifndef VANE_BASE_CLOCK_H
#define VANE_BASE_CLOCK_H

#include "base/err.h"

struct vn_clock {
        int64_t (*now_us)(const struct vn_clock *clock);
        int64_t (*mono_us)(const struct vn_clock *clock);
        void *state;
};

static inline int64_t vn_now_us(const struct vn_clock *clock)
{
        return clock->now_us(clock);
}
static inline int64_t vn_mono_us(const struct vn_clock *clock)
{
        return clock->mono_us(clock);
}

/* The machine's own clocks. */
const struct vn_clock *vn_clock_real(void);

struct vn_clock_fake {
        struct vn_clock clock;   /* pass &fake.clock */
        _Atomic int64_t time_us; /* both clocks show this; move it by hand, also while other threads read it */
};
void vn_clock_fake_init(struct vn_clock_fake *fake, int64_t start_us);

/* Creates (driver) or opens (others) the shared clock file. */
struct vn_clock_shared;
enum vn_rc vn_clock_shared_create(const char *path, int64_t start_us, struct vn_clock_shared **ret,
                                  struct vn_err *err) VN_MUST_USE;
enum vn_rc vn_clock_shared_open(const char *path, struct vn_clock_shared **ret, struct vn_err *err) VN_MUST_USE;
const struct vn_clock *vn_clock_shared_clock(const struct vn_clock_shared *shared);
/* Never moves back; an earlier time is ignored. */
void vn_clock_shared_set(struct vn_clock_shared *shared, int64_t time_us);
struct vn_clock_shared *vn_clock_shared_free(struct vn_clock_shared *shared);

/* The process's clock: the shared one if VANE_CLOCK is set, else the real one. Kept for the process's life. */
enum vn_rc vn_clock_from_environment(const struct vn_clock **ret, struct vn_err *err) VN_MUST_USE;
/* True when the process's clock is a sandbox clock: timers must then be polled against it. */
bool vn_clock_is_shared(const struct vn_clock *clock);

#define VN_US_PER_MS INT64_C(1000)
#define VN_US_PER_S INT64_C(1000000)
#define VN_US_PER_MIN (60 * VN_US_PER_S)
#define VN_US_PER_HOUR (3600 * VN_US_PER_S)

/* RFC 3339 in UTC with milliseconds, "2026-11-24T13:34:12.000Z": 25 bytes with the terminator. */
#define VN_TIME_TEXT_BYTES 32
void vn_time_format(int64_t time_us, char ret[VN_TIME_TEXT_BYTES]);
enum vn_rc vn_time_parse(const char *text, size_t len, int64_t *ret_us) VN_MUST_USE;

#endif
