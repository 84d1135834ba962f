/* log.h - structured log lines on standard error, one row of log_events.def an event.
 * Purpose: VN_LOG(EVENT, "key=%s ...", ...) writes one line: time, level, event name, and the text. The table gives each
 *   event its level and its meaning, and makes docs/log-events.md.
 * Threads: any; a line is one write(2). Ownership: nothing is kept.
 * Form: `2026-11-24T13:34:12.000Z info agent-online account=aws-a` or, with VN_LOG_JSON,
 *   {"time":"...","level":"info","event":"agent-online","account":"aws-a"}. Values with blanks are quoted: "key=%s" with
 *   vn_log_value-made text, or simply key="%s". In JSON the key=value pairs become members (all strings).
 * Limits: a line 2 KiB. Repeats: per event at most 20 lines in 10 s, then one line that counts what was held back.
 * Rules: libraries return errors; edges log once. No secrets, no payloads. */
#ifndef VANE_BASE_LOG_H
#define VANE_BASE_LOG_H

#include "base/clock.h"
#include "base/str.h"

enum vn_log_level { VN_LOG_DEBUG, VN_LOG_INFO, VN_LOG_WARN, VN_LOG_ERROR };
enum vn_log_form { VN_LOG_TEXT, VN_LOG_JSON };

enum vn_log_event {
#define VN_LOG_EVENT(name, text, level, help) VN_EVENT_##name,
#include "base/log_events.def"
#undef VN_LOG_EVENT
        VN_EVENT_COUNT
};

/* Before threads start. fd 2 and the real clock unless set; lines below `level` are not written. */
void vn_log_init(const char *program, enum vn_log_level level, enum vn_log_form form);
void vn_log_set_level(enum vn_log_level level); /* any time */
void vn_log_set_output(int fd, const struct vn_clock *clock);
/* "debug", "info", "warn", "error"; INVALID_ARGUMENT otherwise. */
enum vn_rc vn_log_level_parse(struct vn_str text, enum vn_log_level *ret) VN_MUST_USE;

void vn_log_write(enum vn_log_event event, const char *format, ...) VN_PRINTF(2, 3);
#define VN_LOG(event, ...) vn_log_write(VN_EVENT_##event, __VA_ARGS__)
/* A table for the documentation, in Markdown. */
void vn_log_document(struct vn_buf *out);

#endif
